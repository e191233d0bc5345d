import random
import unittest

from fiscal_integration.fiscal.panama import ruc
from fiscal_integration.sandbox import dgi_numbers

# authorities/panama.md#ruc-and-dv: pairs that were published and recompute.
PUBLISHED = {
	"155596713-2-2015": "59",
	"521-136-113133": "02",
	"45400-2-299934": "09",
	"2679372-1-844914": "73",
	"637793-1-457490": "00",
}
INVENTED = {"155718881-2-2018": "62", "155660055-2-2018": "77"}


# Of the DGI's document "Algoritmo para el cálculo del DV" (version 201805), as independent calculators test with, and
# of published papers: 8-NT-1-13656 is the Ministry of Education's in HKA's sample of a retention.
NATURAL_PAIRS = {
	"8-769-1080": "56",
	"5-257-218": "09",
	"8-442-445": "08",
	"2-7-89": "20",
	"PE-842-3681": "51",
	"PE-1-19": "60",
	"E-8-127702": "16",
	"E-8-12770": "72",
	"E-1234-12770": "98",
	"E-7824-53189": "90",
	"N-19-1821": "11",
	"N-1234-12345": "00",
	"N-7824-53189": "73",
	"8AV-1-196": "90",
	"2AV-1234-123": "33",
	"2AV-123-123456": "28",
	"13PI-1-196": "58",
	"2PI-1234-12345": "26",
	"8-NT-1-24": "33",
	"9-NT-2-421578": "50",
	"6-NT-227-888555": "09",
	"8-NT-2-781965": "90",
}
JURIDICAL_PAIRS = {
	"8-NT-1-13656": "43",
	"1-NT-45-56544": "03",
	"5-NT-478-2351": "94",
	"11-NT-958-218210": "73",
	"8-NT-1-123456": "52",
	"155720753-2-2022": "39",
	"1956569-1-732877": "00",
	"10102-64-103462": "30",
	"12388-184-921": "62",
	"32425-254-85621": "68",
}


class TestRuc(unittest.TestCase):
	def test_every_form_of_the_fact_sheet(self):
		for text, taxpayer_type in {
			"8-442-445": ruc.NATURAL,
			"13-1-2": ruc.NATURAL,
			"8-730-241": ruc.NATURAL,
			"PE-3824-523": ruc.NATURAL,
			"E-8-98765": ruc.NATURAL,
			"N-19-1234": ruc.NATURAL,
			"1AV-12-345": ruc.NATURAL,
			"1-AV-12-345": ruc.NATURAL,
			"4PI-7-890": ruc.NATURAL,
			"4-PI-7-890": ruc.NATURAL,
			"8-NT-1-12345": ruc.NATURAL,
			"521-136-113133": ruc.JURIDICAL,
			"155596713-2-2015": ruc.JURIDICAL,
		}.items():
			with self.subTest(text):
				self.assertEqual(ruc.parse(text).taxpayer_type, taxpayer_type)

	def test_what_is_none(self):
		for text in (
			"",
			"8-442",
			"8442445",
			"0-442-445",
			"AV-12-345",
			"8-PE-12-345",
			"J-8-56789-1",
			"8-442-445 ",
			"8-442-445\n",
			"8--442-445",
			"-442-445",
			"8-442-445-DV59",
			"155596713-2-2015-59",
			"8-442-44555555555555555",
			"pe-3824-523",
			"８-442-445",
		):
			with self.subTest(text):
				self.assertFalse(ruc.is_valid(text))

	def test_verification_digits_of_the_published_pairs(self):
		for text, digits in PUBLISHED.items():
			with self.subTest(text):
				self.assertEqual(ruc.verification_digits(text, ruc.JURIDICAL), digits)

	def test_invented_pairs_do_not_fit(self):
		for text, digits in INVENTED.items():
			self.assertNotEqual(ruc.verification_digits(text, ruc.JURIDICAL), digits)

	def test_every_natural_form_has_two_digits_and_hyphens_do_not_matter(self):
		for text in ("8-442-445", "PE-3824-523", "E-8-98765", "N-19-1234", "8-NT-1-12345"):
			self.assertRegex(ruc.verification_digits(text, ruc.NATURAL), r"^\d\d$")
		self.assertEqual(
			ruc.verification_digits("1AV-12-345", ruc.NATURAL),
			ruc.verification_digits("1-AV-12-345", ruc.NATURAL),
		)

	def test_what_is_no_ruc_has_no_digits(self):
		for text, taxpayer_type in (("x", 1), ("", 2), ("155596713-2-2015", 1), ("PE-1-2", 2)):
			with self.assertRaises(ValueError):
				ruc.verification_digits(text, taxpayer_type)

	def test_digits_of_the_authoritys_examples(self):
		for kind, pairs in ((ruc.NATURAL, NATURAL_PAIRS), (ruc.JURIDICAL, JURIDICAL_PAIRS)):
			for text, digits in pairs.items():
				with self.subTest(text):
					self.assertEqual(ruc.verification_digits(text, kind), digits)

	def test_a_number_of_both_kinds_is_decided_by_its_digits(self):
		self.assertTrue(ruc.parse("8-NT-1-13656").either)
		self.assertEqual(ruc.type_by_digits("8-NT-1-13656", "43"), ruc.JURIDICAL)
		self.assertEqual(ruc.type_by_digits("8-NT-2-781965", "90"), ruc.NATURAL)
		for text, digits in (("8-NT-1-13656", ""), ("8-NT-1-13656", "99"), ("8-442-445", "08"), ("x", "1")):
			self.assertEqual(ruc.type_by_digits(text, digits), 0)

	def test_an_independent_calculator_agrees(self):
		try:
			from panama_ruc_dv_calculator.ruc_juridica import RucJuridica
			from panama_ruc_dv_calculator.ruc_juridica_nt import RucJuridicaNT
			from panama_ruc_dv_calculator.ruc_natural import RucNatural
			from panama_ruc_dv_calculator.ruc_natural_nt import RucNaturalNT
		except ImportError:
			self.skipTest("panama-ruc-dv-calculator (PyPI) is not installed")
		chance = random.Random(201805)
		tried = 0
		for form, kind, judge, longest in (
			("{p}-{b}-{g}", ruc.NATURAL, RucNatural, 4),
			("PE-{b}-{g}", ruc.NATURAL, RucNatural, 4),
			("E-{b}-{g}", ruc.NATURAL, RucNatural, 4),
			("N-{b}-{g}", ruc.NATURAL, RucNatural, 4),
			("{p}AV-{b}-{g}", ruc.NATURAL, RucNatural, 4),
			("{p}PI-{b}-{g}", ruc.NATURAL, RucNatural, 4),
			("{p}-NT-{b}-{g}", ruc.NATURAL, RucNaturalNT, 3),
			("{p}-NT-{b}-{g}", ruc.JURIDICAL, RucJuridicaNT, 3),
			("{r}-{b}-{g}", ruc.JURIDICAL, RucJuridica, 4),
		):
			for _time in range(300):
				text = form.format(
					p=chance.randint(1, 13),
					b=chance.randint(1, 10 ** chance.randint(1, longest) - 1),
					g=chance.randint(1, 10 ** chance.randint(1, 6) - 1),
					r=chance.randint(50, 10 ** chance.randint(3, 8)),
				)
				with self.subTest(text):
					self.assertEqual(ruc.verification_digits(text, kind), judge(text).dv)
					tried += 1
		self.assertEqual(tried, 2700)

	def test_the_sandbox_reckons_the_same_in_its_own_way(self):
		chance = random.Random(7)
		for _time in range(3000):
			form = chance.choice(
				("{p}-{b}-{g}", "E-{b}-{g}", "{p}-PI-{b}-{g}", "{p}-NT-{b}-{g}", "{r}-{b}-{g}")
			)
			text = form.format(
				p=chance.randint(0, 14),
				b=chance.randint(0, 9999),
				g=chance.randint(0, 999999),
				r=chance.randint(1, 10**9),
			)
			for kind in (ruc.NATURAL, ruc.JURIDICAL):
				try:
					ours = ruc.verification_digits(text, kind)
				except ValueError:
					ours = ""
				with self.subTest(text):
					self.assertEqual(ours, dgi_numbers.dv(text, kind))
