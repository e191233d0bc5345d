import unittest

from fiscal_integration.fiscal.mexico.names import legal_name


class TestLegalName(unittest.TestCase):
	def test_types_of_companies_go(self):
		for kind in (
			"S.A.",
			"SA",
			"S. A. de C. V.",
			"S.A DE C.V",
			"SA de CV",
			"S.A.B. de C.V.",
			"S.A.P.I. de C.V.",
			"SAPI de CV",
			"S.A.P.I.B. de C.V.",
			"S.A.S.",
			"S.A.S. de C.V.",
			"S. de R.L.",
			"S de RL de CV",
			"S. de R.L. MI",
			"S. de R.L. M.I. de C.V.",
			"S. de R.L. de I.P. de C.V.",
			"S. de R.L. de M.I.",
			"S. de P.R. de R.L.",
			"S. de S.S.",
			"A. en P.",
			"S.C.",
			"S.C. de C.V.",
			"S.C. de R.L.",
			"S.C. de R.L. de C.V.",
			"S.C. de P. de R.L. de C.V.",
			"S.C. de A.P. de R.L. de C.V.",
			"S.C.L.",
			"SCL de CV",
			"S. en C.",
			"S. en C. de C.V.",
			"S. en C. por A.",
			"S. en N.C.",
			"S.N.C.",
			"S.P.R.",
			"S.P.R. de R.L.",
			"SPR de RL de CV",
			"S.P.R. de R.I.",
			"S.S.S.",
			"A.C.",
			"I.A.P.",
			"A.B.P.",
			"A.R.I.C. de R.L.",
			"SOFOM ENR",
			"SOFOM, E.N.R.",
			"SOFOM E.R.",
			"S.A. de C.V., SOFOM, E.N.R.",
			"S.A.P.I. DE C.V. SOFOM ENR",
			"S.A. de C.V., SOFOM, Entidad No Regulada",
			"S.A. de C.V., Sociedad Financiera de Objeto Múltiple, E.N.R.",
			"S.A. de C.V., S.F.P.",
			"Sociedad Anónima de Capital Variable",
			"Sociedad de Responsabilidad Limitada de Capital Variable",
			"Sociedad Civil",
			"Sociedad Anónima Promotora de Inversión de Capital Variable",
		):
			for before in (" ", ", "):
				with self.subTest(kind + before):
					self.assertEqual(legal_name(f"Comercial de Ávila{before}{kind}"), "COMERCIAL DE ÁVILA")

	def test_names_stay(self):
		for name, registered in (
			("Tienda  Única", "TIENDA ÚNICA"),
			("SA", "SA"),
			("S.A. de C.V.", "S.A. DE C.V."),
			("Casa Sofom", "CASA SOFOM"),
			("Hospital ER", "HOSPITAL ER"),
			("Pérez, López y Asociados, S.C.", "PÉREZ, LÓPEZ Y ASOCIADOS"),
			("Servicios de CV", "SERVICIOS DE CV"),
			("Música SA y Más", "MÚSICA SA Y MÁS"),
			("Sociedad de Amigos", "SOCIEDAD DE AMIGOS"),
			("Muñoz & Cía, S. en N.C.", "MUÑOZ & CÍA"),
		):
			with self.subTest(name):
				self.assertEqual(legal_name(name), registered)

	def test_a_natural_persons_name_is_no_companys(self):
		self.assertEqual(legal_name("Ana María Sa", natural_person=True), "ANA MARÍA SA")
