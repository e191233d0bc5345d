import base64
import json
import random
import unittest
from decimal import Decimal

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree

from fiscal_integration.sandbox import Sandbox
from fiscal_integration.sandbox.facturapi import cfdi as maker
from fiscal_integration.sandbox.facturapi import judges, matrix, seal

IVA = {"type": "IVA", "rate": 0.16}
IEPS = {"type": "IEPS", "rate": 0.08}
WITHHELD = [
	{"type": "ISR", "rate": 0.1, "withholding": True},
	{"type": "IVA", "rate": 0.106667, "withholding": True},
]
CUSTOMER = {
	"legal_name": "ESCUELA KEMPER URGATE",
	"tax_id": "EKU9003173C9",
	"tax_system": "601",
	"address": {"zip": "44100"},
}
PUBLIC = {
	"legal_name": "PUBLICO EN GENERAL",
	"tax_id": "XAXX010101000",
	"tax_system": "616",
	"address": {"zip": "44100"},
}
FOREIGN = {
	"legal_name": "Pacific Outfitters & Sons",
	"tax_id": "981234567",
	"tax_system": "616",
	"address": {"zip": "92101", "country": "USA"},
}


def line(price=100, quantity=1, discount=0, **product):
	product = {
		"description": "Café «molido» & <tostado>",
		"product_key": "50201706",
		"price": price,
		**product,
	}
	product.setdefault("tax_included", False)
	return {"quantity": quantity, "discount": discount, "product": product}


def body(*lines, **values):
	lines = lines or (line(),)
	return {"customer": CUSTOMER, "items": list(lines), "payment_form": "01", "use": "G03", **values}


class FacturapiTestCase(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)
		cls.url = cls.sandbox.url("facturapi")
		cls.emulator = cls.sandbox.emulators["facturapi"]

	def setUp(self):
		self.sandbox.reset()

	def call(self, method, path, status=200, live=False, key=None, **request):
		headers = {"Authorization": "Bearer " + (key or self.sandbox.secret_key("facturapi", live))}
		answer = requests.request(method, self.url + path, headers=headers, timeout=30, **request)
		self.assertEqual(answer.status_code, status, answer.text[:600])
		return answer.json() if "json" in answer.headers["Content-Type"] else answer.content

	def issue(self, sent, **options):
		return self.call("POST", "/invoices", json=sent, **options)

	def paid(self, sale, amount, **values):
		"""A payment complement of a sale, with what the payment summary says of it."""
		summary = self.call("GET", f"/invoices/{sale['id']}/payment-summary", params={"amount": amount})
		related = {name: value for name, value in summary.items() if name != "total"}
		payment = {"payment_form": "03", "related_documents": [related], **values}
		if summary["currency"] != payment.get("currency", "MXN"):
			related["exchange"] = 0.05
		if not payment.get("currency"):
			payment["currency"] = "MXN"
		return {"type": "P", "customer": CUSTOMER, "complements": [{"type": "pago", "data": [payment]}]}


class TestCfdi(FacturapiTestCase):
	"""SAT's own schemas and transformation, and satcfdi's reader, judge every type of CFDI that is made."""

	def documents(self):
		"""Each type of document with what is special about it, issued."""
		sale = self.issue(body())
		yield "income", sale
		credit = {"payment_method": "PPD", "payment_form": "99"}
		for name, sent in (
			("zero-rated", body(line(taxes=[{"rate": 0}]))),
			("exempt", body(line(taxes=[{"rate": 0, "factor": "Exento"}]))),
			("exempt beside zero-rated", body(line(taxes=[{"rate": 0, "factor": "Exento"}]), line(taxes=[{"rate": 0}]))),
			("not subject", body(line(taxability="01", taxes=[]))),
			("excise below VAT", body(line(12.94, 7, tax_included=True, taxes=[IEPS, IVA]))),
			("excise beside VAT", body(line(taxes=[{**IEPS, "ieps_mode": "break_down"}, IVA]))),
			(
				"excise by quota",
				body(
					line(
						quantity=3,
						taxes=[
							{"type": "IEPS", "factor": "Cuota", "rate": 1.6451, "base": 0.6, "ieps_mode": "unit"},
							IVA,
						],
					)
				),
			),
			("withheld", body(line(100.04, taxes=[IVA, *WITHHELD]))),
			("only withheld", body(line(taxes=WITHHELD))),
			("local taxes", body(line(local_taxes=[{"type": "ISH", "rate": 0.03}, {"type": "5 al millar", "rate": 0.005, "withholding": True}]))),
			("frontier", body(line(taxes=[{"rate": 0.08}]))),
			("discounts", body(line(33.333333, 2.125, discount=10.5), line(9.9, discount=1.485))),
			("many lines", body(*(line(round(1 + number / 7, 6), number + 1) for number in range(20)))),
			("dollars", body(line(35.5), currency="USD", exchange=18.234567)),
			("dinars of three decimals", body(line(35.5), currency="KWD", exchange=60)),
			("yen of none", body(line(355), currency="JPY", exchange=0.12)),
			("foreign receiver", body(customer=FOREIGN, use="S01")),
			("series, conditions, code and unit", body(line(sku="A-1", unit_key="KGM", unit_name="Kilo"), series="AB", conditions="A 30 días", folio_number=77)),
			("predial", body(line() | {"property_tax_account": ["12A"]})),
			("another place", body(address={"zip": "22000"})),
			("global", body(customer=PUBLIC, use="S01", **{"global": {"periodicity": "day", "months": "01", "year": self.sandbox.clock.now().year}})),
			("credit note", body(type="E", use="G02", related_documents=[{"relationship": "01", "documents": [sale["uuid"]]}])),
			("returned goods", body(type="E", use="G02", related_documents=[{"relationship": "03", "documents": [sale["uuid"]]}])),
			("debit note", body(related_documents=[{"relationship": "02", "documents": [sale["uuid"]]}])),
			("substitute", body(related_documents=[{"relationship": "04", "documents": [sale["uuid"]]}])),
			("addenda", body(addenda='<x:orden numero="1">A</x:orden>', namespaces=[{"prefix": "x", "uri": "https://example.com/x", "schema_location": "https://example.com/x.xsd"}])),
		):  # fmt: skip
			yield name, self.issue(sent)
		for name, lines in (
			("payment", [line(12.94, 7, tax_included=True, taxes=[IEPS, IVA])]),
			("payment of exempt and zero-rated", [line(taxes=[{"rate": 0, "factor": "Exento"}]), line(taxes=[{"rate": 0}]), line(taxes=[{"rate": 0.08}])]),
			("payment of withheld", [line(taxes=[IVA, *WITHHELD])]),
			("payment of what is not subject", [line(taxability="01", taxes=[])]),
		):  # fmt: skip
			owed = self.issue(body(*lines, **credit))
			first = self.issue(self.paid(owed, 50, numOperacion="REF 1"))
			yield f"{name}, first part", first
			rest = Decimal(str(owed["total"])) - 50
			yield f"{name}, the rest", self.issue(self.paid(owed, rest, ctaOrdenante="012345678901234567"))
		owed = self.issue(body(currency="USD", exchange=18, **credit))
		yield "payment in dollars", self.issue(self.paid(owed, 16, currency="USD", exchange=18.5))
		yield "payment in pesos of dollars", self.issue(self.paid(owed, 100))

	def test_every_document_is_valid_read_and_sealed(self):
		reader = judges.satcfdi()
		kinds = set()
		for name, invoice in self.documents():
			with self.subTest(name):
				xml = self.call("GET", f"/invoices/{invoice['id']}/xml")
				self.assertEqual(judges.schema_errors(xml), [])
				self.assertEqual(matrix.errors(xml), [])
				read = reader.from_string(xml)
				kinds.add(str(read["TipoDeComprobante"].code))
				if invoice["type"] != "P":
					self.assertEqual(read["Total"], Decimal(str(invoice["total"])))
					self.assertEqual(judges.sum_of(read), read["Total"])
				self._sealed(xml, read, invoice)
		self.assertEqual(kinds, {"I", "E", "P"})

	def _sealed(self, xml, read, invoice):
		"""The seal is that of SAT's Original String under the certificate in the XML; the stamp repeats it."""
		certificate = x509.load_der_x509_certificate(base64.b64decode(read["Certificado"]))
		number = certificate.serial_number.to_bytes(20, "big").decode()
		self.assertEqual(number, read["NoCertificado"])
		text = judges.original_string(xml)
		certificate.public_key().verify(
			base64.b64decode(read["Sello"]), text.encode(), padding.PKCS1v15(), hashes.SHA256()
		)
		stamp = read["Complemento"]["TimbreFiscalDigital"]
		self.assertEqual(stamp["UUID"], invoice["uuid"])
		self.assertEqual(stamp["SelloCFD"], read["Sello"])
		self.assertEqual(invoice["stamp"]["signature"], read["Sello"])
		seal.certifier().certificate.public_key().verify(
			base64.b64decode(stamp["SelloSAT"]),
			invoice["stamp"]["complement_string"].encode(),
			padding.PKCS1v15(),
			hashes.SHA256(),
		)
		self.assertIn(f"fe={read['Sello'][-8:]}", invoice["verification_url"])
		self.assertEqual(maker.original_string(_unstamped(xml)), text)

	def test_random_invoices(self):
		"""500 of up to eight lines: prices with and without tax, IEPS, withheld, frontier, discounts, currencies."""
		judges.satcfdi()
		dice = random.Random(20_26)
		for number in range(500):
			lines = []
			for _ in range(dice.randint(1, 8)):
				taxes = [
					dice.choice((IVA, IVA, {"rate": 0.08}, {"rate": 0}, {"rate": 0, "factor": "Exento"}))
				]
				if dice.random() < 0.3:
					mode = dice.choice(("sum_before_taxes", "break_down"))
					taxes.append({**IEPS, "rate": dice.choice((0.08, 0.265, 0.53)), "ieps_mode": mode})
				if dice.random() < 0.2:
					taxes += WITHHELD
				price = round(dice.uniform(0.01, 5000), dice.choice((2, 2, 4, 6))) or 0.01
				quantity = round(dice.uniform(0.001, 50), dice.choice((0, 3))) or 1
				local = [{"type": "ISH", "rate": 0.03}] if dice.random() < 0.05 else []
				each = line(price, quantity, tax_included=dice.random() < 0.5, taxes=taxes, local_taxes=local)
				if dice.random() < 0.3:
					each["discount"] = round(price * quantity * dice.uniform(0, 0.4), dice.choice((2, 6)))
				lines.append(each)
			money = dice.choice(
				({}, {}, {"currency": "USD", "exchange": 18.2345}, {"currency": "JPY", "exchange": 0.12})
			)
			answer = self.emulator.create(self.emulator.json_of(json.dumps(body(*lines, **money))), False, {})
			self.assertEqual(answer.status, 200)
			xml = self.emulator.invoices[answer.body["id"]]["_xml"].encode()
			with self.subTest(number=number, lines=lines):
				self.assertEqual(judges.schema_errors(xml), [])
				self.assertEqual(matrix.errors(xml), [])

	def test_the_matrix_finds_what_is_wrong(self):
		"""Each change of a good XML is found, by its code."""
		sale = self.issue(
			body(line(33.33, 3, discount=9.99, taxes=[IVA, IEPS, *WITHHELD]), line(10, taxes=[{"rate": 0}]))
		)
		owed = self.issue(body(payment_method="PPD", payment_form="99"))
		payment = self.issue(self.paid(owed, 50))
		for invoice, code, path, name, value in (
			(sale, "CFDI40108", ".", "SubTotal", "110.00"),
			(sale, "CFDI40107", ".", "SubTotal", "109.990"),
			(sale, "CFDI40111", ".", "Descuento", "10.00"),
			(sale, "CFDI40119", ".", "Total", "110.37"),
			(sale, "CFDI40105", ".", "MetodoPago", "PPD"),
			(sale, "CFDI40114", ".", "TipoCambio", "2"),
			(sale, "CFDI40166", ".//c:Concepto", "ValorUnitario", "0"),
			(sale, "CFDI40167", ".//c:Concepto", "Importe", "150"),
			(sale, "CFDI40168", ".//c:Concepto", "Descuento", "9.9900001"),
			(sale, "CFDI40172", ".//c:Concepto", "ObjetoImp", "01"),
			(sale, "CFDI40180", ".//c:Concepto//c:Traslado", "Importe", "99"),
			(sale, "CFDI40186", ".//c:Concepto//c:Retencion", "Importe", "99"),
			(sale, "CFDI40203", "c:Impuestos", "TotalImpuestosRetenidos", "1.00"),
			(sale, "CFDI40205", "c:Impuestos", "TotalImpuestosTrasladados", "1.00"),
			(sale, "CFDI40211", "c:Impuestos//c:Retencion", "Importe", "1.00"),
			(sale, "CFDI40215", "c:Impuestos//c:Traslado", "Base", "1.00"),
			(sale, "CFDI40221", "c:Impuestos//c:Traslado", "Importe", "1.00"),
			(payment, "CRP20104", ".", "Moneda", "MXN"),
			(payment, "CRP20219", ".//p:Pago", "Monto", "50.001"),
			(payment, "CRP20201 to 20211", ".//p:Totales", "TotalTrasladosBaseIVA16", "1.00"),
			(payment, "CRP20244", ".//p:DoctoRelacionado", "ImpSaldoInsoluto", "66.01"),
			(payment, "CRP20261", ".//p:TrasladoDR", "ImporteDR", "7.00"),
			(payment, "CRP20268", ".//p:TrasladoP", "BaseP", "43.11"),
			(payment, "CRP20274", ".//p:TrasladoP", "ImporteP", "6.91"),
		):
			with self.subTest(code, name=name):
				root = etree.fromstring(self.call("GET", f"/invoices/{invoice['id']}/xml"))
				root.find(path, {"c": maker.CFDI, "p": maker.PAGOS}).set(name, value)
				found = matrix.errors(etree.tostring(root))
				self.assertTrue(any(text.startswith(code) for text in found), found)

	def test_the_original_string_of_the_stamp_is_sats(self):
		invoice = self.issue(body())
		xml = self.call("GET", f"/invoices/{invoice['id']}/xml")
		path = judges.folder() / "TimbreFiscalDigital" / "cadenaoriginal_TFD_1_1.xslt"
		(stamp,) = etree.fromstring(xml).iter(f"{{{maker.STAMP}}}TimbreFiscalDigital")
		text = str(etree.XSLT(etree.parse(path))(etree.ElementTree(etree.fromstring(etree.tostring(stamp)))))
		self.assertEqual(text, invoice["stamp"]["complement_string"])

	def test_payments_add_up(self):
		"""CRP20201 to 20211 in pesos, CRP20244, and the taxes of each document within those of the payment."""
		reader = judges.satcfdi()
		owed = self.issue(
			body(line(100, taxes=[IVA, *WITHHELD]), line(50, taxes=[{"rate": 0}]), payment_method="PPD", payment_form="99", currency="USD", exchange=18)
		)  # fmt: skip
		invoice = self.issue(self.paid(owed, 60, currency="USD", exchange=17.123456))
		read = reader.from_string(self.call("GET", f"/invoices/{invoice['id']}/xml"))
		complement = read["Complemento"]["Pagos"]
		(payment,) = complement["Pago"]
		rate = payment["TipoCambioP"]
		totals = complement["Totales"]
		cents = Decimal("0.01")
		self.assertEqual(totals["MontoTotalPagos"], (payment["Monto"] * rate).quantize(cents))
		for tax in payment["ImpuestosP"]["TrasladosP"].values():
			name = int(tax["TasaOCuotaP"] * 100)
			self.assertEqual(totals[f"TotalTrasladosBaseIVA{name}"], (tax["BaseP"] * rate).quantize(cents))
			self.assertEqual(
				totals[f"TotalTrasladosImpuestoIVA{name}"], (tax["ImporteP"] * rate).quantize(cents)
			)
		(settled,) = payment["DoctoRelacionado"]
		self.assertEqual(settled["ImpSaldoInsoluto"], settled["ImpSaldoAnt"] - settled["ImpPagado"])
		self.assertEqual(json.dumps(invoice["total_payment_amount"]), "60")


def _unstamped(xml):
	root = etree.fromstring(xml)
	for node in root.iter(f"{{{maker.STAMP}}}TimbreFiscalDigital"):
		node.getparent().remove(node)
		break
	for node in root.findall(f"{{{maker.CFDI}}}Addenda"):
		root.remove(node)
	root.attrib.pop(f"{{{maker.XSI}}}schemaLocation")
	return root
