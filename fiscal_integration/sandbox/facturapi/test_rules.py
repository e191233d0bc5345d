import unittest
from decimal import Decimal

from fiscal_integration.sandbox.facturapi import catalogs, judges
from fiscal_integration.sandbox.facturapi.test_cfdi import (
	CUSTOMER,
	FOREIGN,
	IEPS,
	IVA,
	PUBLIC,
	WITHHELD,
	FacturapiTestCase,
	body,
	line,
)

CREDIT = {"payment_method": "PPD", "payment_form": "99"}
FACETS = {
	"legal_name": "4/cfdv40.xsd Receptor/@Nombre",
	"description": "4/cfdv40.xsd Concepto/@Descripcion",
	"unit_name": "4/cfdv40.xsd Concepto/@Unidad",
	"sku": "4/cfdv40.xsd Concepto/@NoIdentificacion",
	"series": "4/cfdv40.xsd Comprobante/@Serie",
	"conditions": "4/cfdv40.xsd Comprobante/@CondicionesDePago",
	"numOperacion": "Pagos/Pagos20.xsd Pago/@NumOperacion",
	"nomBancoOrdExt": "Pagos/Pagos20.xsd Pago/@NomBancoOrdExt",
}


class TestCatalogues(unittest.TestCase):
	"""The emulator's catalogues against SAT's, as satcfdi ships them."""

	def test_texts_have_the_facets_of_the_schemas(self):
		self.assertEqual(set(FACETS), set(catalogs.LONGEST))
		for name, path in FACETS.items():
			with self.subTest(name):
				facets = judges.facets(path)
				self.assertEqual(int(facets["maxLength"]), catalogs.LONGEST[name])
				self.assertEqual(facets["pattern"], f"[^|]{{1,{catalogs.LONGEST[name]}}}")

	def test_numbers_have_the_facets_of_the_schemas(self):
		"""Six decimals, and above zero where a base or a quantity is told."""
		for path in (
			"4/cfdv40.xsd Concepto/@Cantidad",
			"4/cfdv40.xsd Traslado/@TasaOCuota",
			"Pagos/Pagos20.xsd TrasladoDR/@BaseDR",
			"Pagos/Pagos20.xsd RetencionDR/@BaseDR",
			"4/cfdv40.xsd Comprobante/@TipoCambio",
		):
			with self.subTest(path):
				self.assertEqual(judges.facets(path)["fractionDigits"], "6")
		for path in ("4/cfdv40.xsd Concepto/@Cantidad", "Pagos/Pagos20.xsd TrasladoDR/@BaseDR"):
			self.assertEqual(judges.facets(path)["minInclusive"], "0.000001")

	def test_currencies_and_countries(self):
		self.assertEqual(
			catalogs.CURRENCIES,
			{code: decimals for code, (_, decimals) in judges.catalogue("C756_c_Moneda").items()},
		)
		self.assertEqual(catalogs.COUNTRIES, judges.enumeration("c_Pais"))

	def test_payment_forms_uses_and_regimes(self):
		self.assertEqual(catalogs.PAYMENT_FORMS, judges.enumeration("c_FormaPago"))
		self.assertEqual(catalogs.RELATIONSHIPS, judges.enumeration("c_TipoRelacion"))
		# P01 was the use of payments in CFDI 3.3; the schema keeps it, the catalogue in force does not.
		self.assertEqual(set(catalogs.USES), judges.enumeration("c_UsoCFDI") - {"P01"})
		over = {"609", "628", "629", "630"}
		self.assertEqual(set(catalogs.REGIMES), judges.enumeration("c_RegimenFiscal") - over)

	def test_rates(self):
		"""c_TasaOCuota, row by row."""
		for there, tax, factor, rate, withheld in (
			(True, "IVA", "Tasa", "0", False),
			(True, "IVA", "Tasa", "0.08", False),
			(True, "IVA", "Tasa", "0.16", False),
			(False, "IVA", "Tasa", "0.10", False),
			(False, "IVA", "Tasa", "0.15", False),
			(False, "IVA", "Tasa", "0.11", False),
			(True, "IVA", "Tasa", "0.106667", True),
			(True, "IVA", "Tasa", "0.16", True),
			(False, "IVA", "Tasa", "0.1067", False),
			(False, "IVA", "Tasa", "0.160001", True),
			(False, "IVA", "Tasa", "0.1066667", True),
			(True, "IVA", "Exento", "0", False),
			(False, "IVA", "Exento", "0", True),
			(False, "IVA", "Cuota", "0.16", False),
			(True, "ISR", "Tasa", "0.0125", True),
			(True, "ISR", "Tasa", "0.35", True),
			(False, "ISR", "Tasa", "0.36", True),
			(False, "ISR", "Tasa", "0.10", False),
			(True, "IEPS", "Tasa", "0.08", False),
			(True, "IEPS", "Tasa", "0.265", False),
			(True, "IEPS", "Tasa", "1.6", False),
			(True, "IEPS", "Tasa", "0.03", False),
			(False, "IEPS", "Tasa", "0.03", True),
			(False, "IEPS", "Tasa", "0.10", False),
			(True, "IEPS", "Cuota", "1.6451", False),
			(True, "IEPS", "Cuota", "66.5062", False),
			(False, "IEPS", "Cuota", "66.5063", False),
		):
			with self.subTest(tax=tax, factor=factor, rate=rate, withheld=withheld):
				self.assertIs(catalogs.has_rate(tax, factor, Decimal(rate), withheld), there)


class TestRefusals(FacturapiTestCase):
	"""What SAT and Facturapi refuse, by their codes, each with the field."""

	def refused(self, code, path, sent):
		answer = self.call("POST", "/invoices", 400, json=sent)
		found = [(entry["code"], entry["path"]) for entry in answer["errors"]]
		self.assertIn((code, path), found, answer)
		for entry in answer["errors"]:
			self.assertEqual(entry["source"], "sat" if entry["code"][:3] in ("CFD", "CRP") else "facturapi")
		self.assertEqual(self.sandbox.ledger("facturapi"), self.issued)

	def setUp(self):
		super().setUp()
		self.issued = []

	def customer(self, **values):
		return {**CUSTOMER, **values}

	def test_invoices(self):
		now = self.sandbox.clock.now().year
		period = {"periodicity": "day", "months": "01", "year": now}

		def public(**values):
			return body(**{"customer": PUBLIC, "use": "S01", "global": period, **values})

		def taxed(*taxes, **product):
			return body(line(taxes=list(taxes), **product))

		tax = "items.0.product.taxes.0."
		for code, path, sent in (
			("unknown_field", "nonsense", body(nonsense=1)),
			("unknown_field", "customer.nonsense", body(customer=self.customer(nonsense=1))),
			("unknown_field", "items.0.nonsense", body({**line(), "nonsense": 1})),
			("unknown_field", "items.0.product.nonsense", body(line(nonsense=1))),
			("unknown_field", f"{tax}nonsense", taxed({**IVA, "nonsense": 1})),
			("not_allowed", "items.0.third_party", body({**line(), "third_party": {"zip": "1"}})),
			("not_allowed", "complements", body(complements=[{"type": "custom", "data": "<x/>"}])),
			("required", "payment_form", body(payment_form="")),
			("required", "use", {name: value for name, value in body().items() if name != "use"}),
			("invalid_value", "type", body(type="X")),
			("not_allowed", "type", body(type="N")),
			("not_allowed", "type", body(type="T")),
			# the receiver
			("invalid_format", "customer.tax_id", body(customer=self.customer(tax_id="EKU"))),
			("invalid_format", "customer.tax_id", body(customer=self.customer(tax_id="EKU9013323C9"))),
			("CFDI40143", "customer.tax_id", body(customer=self.customer(tax_id="EFO010101EF0"))),
			("invalid_format", "customer.address.zip", body(customer=self.customer(address={"zip": "1"}))),
			("required", "customer.address.zip", body(customer=self.customer(address={}))),
			("invalid_format", "customer.email", body(customer=self.customer(email="a@b.mx, c@d.mx"))),
			("tax_system_not_in_catalog", "customer.tax_system", body(customer=self.customer(tax_system="999"))),
			*(
				("tax_system_not_in_catalog", "customer.tax_system", body(customer=self.customer(tax_system=code)))
				for code in ("609", "628", "629", "630")
			),
			(
				"tax_system_not_allowed_for_tax_id",
				"customer.tax_system",
				body(customer=self.customer(tax_system="612")),
			),
			(
				"tax_system_not_allowed_for_tax_id",
				"customer.tax_system",
				body(customer=self.customer(tax_system="601", tax_id="CACX7605101P8")),
			),
			("CFDI40145", "customer.legal_name", body(customer=self.customer(legal_name="KEMPER SA DE CV"))),
			("invalid_format", "customer.legal_name", body(customer=self.customer(legal_name="KEMPER | B"))),
			("invalid_length", "customer.legal_name", body(customer=self.customer(legal_name="K" * 301))),
			("CFDI40160", "use", body(use="P01")),
			("CFDI40161", "use", body(use="D01")),
			("CFDI40161", "use", body(use="G03", customer=FOREIGN)),
			("CFDI40161", "use", public(use="G03")),
			("not_found", "customer.address.country", body(use="S01", customer={**FOREIGN, "address": {"zip": "1", "country": "XYZ"}})),
			("not_allowed", "customer.tax_id", body(use="S01", customer={**FOREIGN, "tax_id": "XEXX010101000"})),
			("CFDI40158", "customer.tax_system", body(use="S01", customer={**FOREIGN, "tax_system": "601"})),
			# the general public
			("CFDI40130", "global", body(use="S01", customer=PUBLIC)),
			("CFDI40146", "customer.tax_id", body(customer=self.customer(legal_name="PUBLICO EN GENERAL"))),
			("CFDI40146", "customer.tax_id", body(use="S01", **{"global": period})),
			("CFDI40149", "customer.address.zip", public(customer={**PUBLIC, "address": {"zip": "64000"}})),
			("CFDI40149", "customer.address.zip", public(address={"zip": "64000"})),
			("CFDI40158", "customer.tax_system", public(customer={**PUBLIC, "tax_system": "601"})),
			("not_allowed", "payment_method", public(**CREDIT)),
			("not_allowed", "use", public(use="CP01")),
			("CFDI40131", "global.periodicity", public(**{"global": {**period, "periodicity": "hour"}})),
			("CFDI40132", "global.periodicity", public(**{"global": {**period, "periodicity": "two_months", "months": "13"}})),
			("CFDI40134", "global.months", public(**{"global": {**period, "months": "13"}})),
			("CFDI40135", "global.months", public(**{"global": {**period, "periodicity": "two_months"}})),
			("CFDI40136", "global.year", public(**{"global": {**period, "year": now - 2}})),
			("CFDI40136", "global.year", public(**{"global": {**period, "year": now + 1}})),
			# money
			("not_allowed", "payment_form", body(payment_form="99")),
			("CFDI40104", "payment_form", body(payment_form="07")),
			("CFDI40105", "payment_form", body(payment_method="PPD")),
			("CFDI40124", "payment_method", body(payment_method="X")),
			("not_allowed", "payment_method", body(type="E", payment_method="PPD", payment_form="99")),
			("CFDI40113", "currency", body(currency="ABC", exchange=1)),
			("CFDI40113", "currency", body(currency="XXX", exchange=1)),
			("CFDI40114", "exchange", body(exchange=18)),
			("CFDI40115", "exchange", body(currency="USD")),
			("CFDI40117", "exchange", body(currency="USD", exchange=18.1234567)),
			("exchange_rate_too_small", "exchange", body(currency="USD", exchange=0)),
			("CFDI40122", "export", body(export="02")),
			("CFDI40123", "export", body(export="09")),
			# lines
			("product_key_not_found", "items.0.product.product_key", body(line(product_key="1"))),
			("unit_key_not_found", "items.0.product.unit_key", body(line(unit_key="pieza"))),
			("CFDI40166", "items.0.product.price", body(line(0))),
			("CFDI40174", f"{tax}base", body(line(0))),
			("CFDI40174", f"{tax}base", body(line(100, discount=100))),
			("CFDI40181", "items.0.product.taxes.1.base", body(line(100, discount=100, taxes=[IVA, WITHHELD[0]]))),
			("too_large", "items.0.discount", body(line(100, discount=101))),
			("too_small", "items.0.discount", body(line(100, discount=-1))),
			("too_small", "items.0.quantity", body(line(quantity=0))),
			("too_small", "items.0.quantity", body(line(quantity=-1))),
			("invalid_format", "items.0.quantity", body(line(quantity=1.0000001))),
			("invalid_type", "items.0.quantity", body(line(quantity="1"))),
			("too_small", "items.0.product.price", body(line(-1))),
			("invalid_format", "items.0.product.price", body(line(1.0000001))),
			("invalid_type", "items.0.product.price", body(line("100"))),
			("invalid_format", "items.0.product.description", body(line(description="a|b"))),
			("invalid_format", "items.0.product.description", body(line(description="a\x0bb"))),
			("invalid_length", "items.0.product.description", body(line(description="a" * 1001))),
			("invalid_length", "items.0.product.description", body(line(description="   "))),
			("invalid_format", "items.0.product.sku", body(line(sku="a|b"))),
			("invalid_length", "items.0.product.sku", body(line(sku="a" * 101))),
			("invalid_length", "items.0.product.unit_name", body(line(unit_name="a" * 21))),
			("invalid_format", "series", body(series="A|B")),
			("invalid_length", "series", body(series="A" * 26)),
			("invalid_length", "conditions", body(conditions="A" * 1001)),
			# taxes
			("CFDI40170", "items.0.product.taxability", body(line(taxability="09"))),
			("CFDI40171", "items.0.product.taxes", taxed()),
			("CFDI40172", "items.0.product.taxes", taxed(IVA, taxability="01")),
			("invalid_value", "items.0.product.taxes", taxed(IVA, taxability="07")),
			("invalid_value", f"{tax}type", taxed({"type": "VAT", "rate": 0.16})),
			("invalid_value", f"{tax}factor", taxed({**IVA, "factor": "Rate"})),
			("required", f"{tax}rate", taxed({"type": "IVA"})),
			("CFDI40179", f"{tax}rate", taxed({"rate": 0.10})),
			("CFDI40179", f"{tax}rate", taxed({"rate": 0.15})),
			("CFDI40179", f"{tax}rate", taxed({"type": "IEPS", "rate": 0.05})),
			("CFDI40179", f"{tax}rate", taxed({"type": "ISR", "rate": 0.10})),
			("CFDI40185", f"{tax}rate", taxed({"type": "ISR", "rate": 0.40, "withholding": True})),
			("CFDI40184", f"{tax}rate", taxed({"rate": 0, "factor": "Exento", "withholding": True})),
			("too_small", f"{tax}base", taxed({**IVA, "base": 0})),
			("not_allowed", f"{tax}ieps_mode", taxed({**IVA, "ieps_mode": "unit"})),
			("invalid_value", f"{tax}ieps_mode", taxed({**IEPS, "ieps_mode": "subtract_before_break_down"})),
			("invalid_value", "items.0.product.taxes.1", taxed(IVA, IVA)),
			("required", "items.0.product.local_taxes.0.type", body(line(local_taxes=[{"rate": 0.03}]))),
			("invalid_format", "items.0.product.local_taxes.0.type", body(line(local_taxes=[{"type": "a|b", "rate": 0.03}]))),
			("invalid_format", "items.0.product.local_taxes.0.rate", body(line(local_taxes=[{"type": "a", "rate": 0.03333}]))),
			# dates and references
			("too_small", "date", body(date="2020-01-01T00:00:00-06:00")),
			("too_large", "date", body(date="2120-01-01T00:00:00-06:00")),
			("invalid_date", "date", body(date="yesterday")),
			("CFDI40137", "related_documents.0.relationship", body(related_documents=[{"relationship": "10", "documents": []}])),
			("required", "related_documents.0.documents", body(related_documents=[{"relationship": "01", "documents": []}])),
			("invalid_format", "related_documents.0.documents", body(related_documents=[{"relationship": "01", "documents": ["x"]}])),
			("too_large", "external_id", body(external_id="x" * 101)),
		):  # fmt: skip
			with self.subTest(code, path=path):
				self.refused(code, path, sent)

	def test_the_large_catalogues_are_asked_where_they_are_there(self):
		judges.satcfdi()
		for code, path, sent in (
			("product_key_not_found", "items.0.product.product_key", body(line(product_key="99999999"))),
			("unit_key_not_found", "items.0.product.unit_key", body(line(unit_key="ZZZ"))),
			("not_found", "customer.address.zip", body(customer=self.customer(address={"zip": "00001"}))),
		):
			with self.subTest(code):
				self.refused(code, path, sent)

	def test_what_is_right_at_the_edge(self):
		"""The neighbours of what is refused are stamped."""
		for sent in (
			body(line(0.000001, 1000000)),
			body(line(description="a" * 1000, sku="a" * 100, unit_name="a" * 20)),
			body(line(100, discount=99.99)),
			body(line(100, discount=100, taxability="01", taxes=[])),
			body(use="G02", customer=self.customer(tax_system="616", tax_id="CACX7605101P8"), type="E"),
			body(type="E", payment_form="99"),
			body(customer=self.customer(tax_system="605", tax_id="CACX7605101P8"), use="D01"),
			body(line(taxability="07", taxes=[IEPS])),
			body(line(taxability="08", taxes=[])),
		):
			with self.subTest(sent=sent):
				self.issue(sent)

	def test_payments(self):
		sale = self.issue(body(line(100), **CREDIT))
		cash = self.issue(body(line(100)))
		dollars = self.issue(body(line(100), currency="USD", exchange=18, **CREDIT))
		exempt = self.issue(body(line(100, taxes=[{"rate": 0, "factor": "Exento"}]), **CREDIT))
		self.issued = self.sandbox.ledger("facturapi")
		payment, related = "complements.0.data.0.", "complements.0.data.0.related_documents.0."

		def of(entry=sale, amount=50, change=None, taxes=None, **values):
			sent = self.paid(entry, amount)
			(told,) = sent["complements"][0]["data"]
			(document,) = told["related_documents"]
			told.update(values)
			document.update(change or {})
			if taxes is not None:
				document["taxes"] = [{**document["taxes"][0], **each} for each in taxes]
			return sent

		for code, path, sent in (
			("invalid_value", "complements.0.type", {**of(), "complements": [{"type": "x", "data": []}]}),
			("unknown_field", f"{payment}nonsense", of(nonsense=1)),
			("CRP20212", f"{payment}payment_form", of(payment_form="99")),
			("CRP20213", f"{payment}currency", of(currency="XXX")),
			("CRP20214", f"{payment}exchange", of(currency="USD")),
			("CRP20215", f"{payment}exchange", of(exchange=2)),
			("CRP20221", f"{payment}rfcEmisorCtaOrd", of(payment_form="01", rfcEmisorCtaOrd="BNM840515VB1")),
			("CRP20229", f"{payment}tipoCadPago", of(payment_form="01", tipoCadPago="01")),
			("CRP20230", f"{payment}certPago", of(tipoCadPago="01")),
			("invalid_format", f"{payment}ctaOrdenante", of(ctaOrdenante="1")),
			("invalid_format", f"{payment}numOperacion", of(numOperacion="a|b")),
			("invalid_length", f"{payment}numOperacion", of(numOperacion="a" * 101)),
			("too_large", f"{payment}date", of(date="2120-01-01T00:00:00-06:00")),
			("invalid_date", f"{payment}date", of(date="x")),
			("required", f"{payment}related_documents", of(related_documents=[])),
			("required", f"{related}installment", of(change={"installment": None})),
			("unknown_field", f"{related}nonsense", of(change={"nonsense": 1})),
			("CRP20237", f"{related}exchange", of(dollars, 10, change={"exchange": None})),
			("CRP20238", f"{related}exchange", of(change={"exchange": 2})),
			("not_found", f"{related}uuid", of(change={"uuid": cash["uuid"]})),
			("invalid_value", f"{related}currency", of(change={"currency": "USD", "exchange": 1})),
			("invalid_value", f"{related}last_balance", of(change={"last_balance": 115.99})),
			("invalid_value", f"{related}installment", of(change={"installment": 2})),
			("CRP20241", f"{related}amount", of(change={"amount": 0})),
			("CRP20242", f"{related}amount", of(change={"amount": 50.001})),
			("amount_exceeds_related_document_balance", f"{related}amount", of(change={"amount": 116.01})),
			("CRP20246", f"{related}taxes", of(change={"taxes": [], "taxability": "02"})),
			("CRP20247", f"{related}taxes", of(change={"taxability": "01"})),
			("invalid_value", f"{related}taxes", of(change={"taxes": []})),
			("CRP20255", f"{related}taxes.0.base", of(taxes=[{"base": 0}])),
			("invalid_format", f"{related}taxes.0.base", of(taxes=[{"base": 43.1034481}])),
			("invalid_value", f"{related}taxes", of(taxes=[{"base": 50}])),
			("CRP20260", f"{related}taxes.0.rate", of(taxes=[{"rate": 0.15}])),
			("CRP20253", f"{related}taxes.1.rate", of(taxes=[{}, {"type": "ISR", "withholding": True, "rate": 0.5}])),
			("invalid_value", f"{related}taxes.1", of(taxes=[{}, {}])),
			# What is exempt is not what is taxed at nothing.
			("invalid_value", f"{related}taxes", of(exempt, 50, taxes=[{"factor": "Tasa"}])),
		):  # fmt: skip
			with self.subTest(code, path=path):
				self.refused(code, path, sent)
		for good in (of(), of(exempt, 50), of(dollars, 10)):
			self.issue(good)

	def test_a_payment_is_the_receivers(self):
		sale = self.issue(body(**CREDIT))
		self.issued = self.sandbox.ledger("facturapi")
		other = {**CUSTOMER, "tax_id": "IIA040805DZ4"}
		sent = {**self.paid(sale, 50), "customer": other}
		self.refused("not_allowed", "complements.0.data.0.related_documents.0.uuid", sent)
