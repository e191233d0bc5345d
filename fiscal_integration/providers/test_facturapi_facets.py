"""Whatever stands in an invoice, what is sent fits the facets of SAT's schema, which satcfdi ships."""

import json
import unittest
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal

try:
	from hypothesis import given, settings
	from hypothesis import strategies as st
except ImportError:  # a bench without its developers' packages
	raise unittest.SkipTest("hypothesis is not installed") from None

from lxml import etree

from fiscal_integration.fiscal.invoice import DocumentKind, Party, Settlement
from fiscal_integration.fiscal.mexico import facets, rates, regimes
from fiscal_integration.fiscal.money import MICRO, quantize
from fiscal_integration.providers.test_facturapi import NOW, built, line, provider, sale, vat
from fiscal_integration.sandbox.facturapi import judges

XS = "{http://www.w3.org/2001/XMLSchema}"
DIRTY = st.text(max_size=1500) | st.text(
	st.sampled_from("|<>&;p/ \t\n\x00\x1f\x85éñ\u200b\u2028ab,.SA"), max_size=400
)
AMOUNTS = st.decimals("0.000001", "99999", places=6)


class Facets:
	"""The simple types of attributes in SAT's schema; `refuses` asks libxml2 about a value of one."""

	def __init__(self):
		folder = judges.folder()
		self.types = str(folder / "tipoDatos" / "tdCFDI" / "tdCFDI.xsd")
		self.sources = [
			etree.parse(folder / name).getroot() for name in ("4/cfdv40.xsd", "Pagos/Pagos20.xsd")
		]
		self.known = {}

	def schema(self, element, attribute):
		if (element, attribute) not in self.known:
			self.known[element, attribute] = self._make(element, attribute)
		return self.known[element, attribute]

	def _make(self, element, attribute):
		for source in self.sources:
			for found in source.iter(f"{XS}element"):
				if found.get("name") != element:
					continue
				entry = found.find(f"{XS}complexType/{XS}attribute[@name='{attribute}']")
				if entry is None:
					continue
				root = etree.Element(
					f"{XS}schema",
					nsmap={"tdCFDI": "http://www.sat.gob.mx/sitio_internet/cfd/tipoDatos/tdCFDI"},
				)
				etree.SubElement(
					root,
					f"{XS}import",
					namespace="http://www.sat.gob.mx/sitio_internet/cfd/tipoDatos/tdCFDI",
					schemaLocation=self.types,
				)
				made = etree.SubElement(root, f"{XS}element", name="value")
				if entry.get("type"):
					made.set("type", entry.get("type"))
				else:
					made.append(deepcopy(entry.find(f"{XS}simpleType")))
				# Through text, since the type's prefix has to be looked up anew.
				return etree.XMLSchema(etree.fromstring(etree.tostring(root)))
		raise LookupError(f"{element}/@{attribute}")

	def refuses(self, element, attribute, value) -> str:
		node = etree.Element("value")
		node.text = value if isinstance(value, str) else format(Decimal(str(value)), "f")
		schema = self.schema(element, attribute)
		return "" if schema.validate(node) else str(schema.error_log)


class TestFacets(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.facets = Facets()

	def fits(self, element, attribute, value):
		self.assertEqual(self.facets.refuses(element, attribute, value), "", (attribute, value))

	def test_the_judge_refuses(self):
		for element, attribute, value in (
			("Concepto", "Descripcion", "a|b"),
			("Concepto", "Unidad", "x" * 21),
			("Concepto", "Cantidad", "1.0000001"),
			("Concepto", "NoIdentificacion", ""),
			("Traslado", "Base", "0"),
		):
			with self.subTest(attribute):
				self.assertNotEqual(self.facets.refuses(element, attribute, value), "")

	@settings(deadline=None, max_examples=150)
	@given(DIRTY, DIRTY, DIRTY, DIRTY, st.sampled_from((("PCE950708QX2", "601"), ("RUOM851012AB3", "612"))))
	def test_texts(self, description, code, unit, name, who):
		bought = replace(line(), description=description, code=code, unit=unit)
		receiver = replace(sale().receiver, name=f"N{name}", tax_id=who[0], regime=who[1])
		payload = provider().build(sale(bought, receiver=receiver), "ref", "key", NOW)
		body = json.loads(payload.body)
		product = body["items"][0]["product"]
		self.fits("Concepto", "Descripcion", product["description"])
		self.fits("Concepto", "Unidad", product["unit_name"])
		if "sku" in product:
			self.fits("Concepto", "NoIdentificacion", product["sku"])
		self.fits("Receptor", "Nombre", body["customer"]["legal_name"])

	@settings(deadline=None, max_examples=50)
	@given(DIRTY, DIRTY)
	def test_foreign_receivers_and_payments(self, tax_id, operation):
		abroad = Party("Pacific Outfitters", f"9{tax_id}", "US", "92101")
		body = json.loads(provider().build(sale(receiver=abroad), "ref", "key", NOW).body)
		self.fits("Receptor", "NumRegIdTrib", body["customer"]["tax_id"])
		settled = Settlement("Sales Invoice", "X", fiscal_id="U", amount=Decimal(1), last_balance=Decimal(1))
		settled = replace(settled, total=Decimal(116), currency="MXN", payload=json.dumps(body))
		payment = replace(
			sale(), kind=DocumentKind.PAYMENT, lines=(), settles=(settled,), payment_reference=operation
		)
		(paid,) = json.loads(provider().build(payment, "r", "k", NOW).body)["complements"][0]["data"]
		if "numOperacion" in paid:
			self.fits("Pago", "NumOperacion", paid["numOperacion"])
		for tax in paid["related_documents"][0]["taxes"]:
			self.fits("TrasladoDR", "BaseDR", tax["base"])
			self.fits("TrasladoDR", "TasaOCuotaDR", tax["rate"])

	@settings(deadline=None, max_examples=150)
	@given(
		st.decimals("0.0000005", "99999", places=9),
		AMOUNTS,
		st.decimals("0", "0.99", places=4),
		st.sampled_from(sorted(rates.VAT)),
	)
	def test_numbers(self, quantity, price, off, rate):
		quantity = max(quantize(quantity, MICRO), MICRO)
		discount = quantize(quantity * price * off, MICRO)
		net = quantize(quantity * price - discount, MICRO)
		if net <= 0:
			return
		bought = line(str(net), str(quantity), str(price), (vat(net, rate),), discount=discount)
		total = quantize(net * (1 + rate))
		body = json.loads(provider().build(sale(bought, total=str(total)), "ref", "key", NOW).body)
		(item,) = body["items"]
		self.fits("Concepto", "Cantidad", item["quantity"])
		self.fits("Concepto", "ValorUnitario", item["product"]["price"])
		self.assertGreater(item["product"]["price"], 0)
		self.fits("Concepto", "Descuento", item.get("discount", 0))
		for tax in item["product"]["taxes"]:
			self.fits("Traslado", "TasaOCuota", tax["rate"])

	@settings(deadline=None, max_examples=50)
	@given(st.decimals("0.01", "1000", places=2), st.decimals("0.01", "5000", places=2))
	def test_a_part_of_a_small_line_has_a_base(self, paid, other):
		"""50.00 paid of an invoice with a line of 0.86 told a base of zero once."""
		lines = (line("0.86", taxes=(vat("0.86", "0.08"),)), line(str(other)))
		total = quantize(Decimal("0.86") * Decimal("1.08")) + quantize(other * Decimal("1.16"))
		body, expected = built(sale(*lines, total=str(total), on_credit=True, payments=()))
		paid = min(paid, expected.total)
		settled = Settlement("Sales Invoice", "X", "D", "U", paid, expected.total, 1, "MXN")
		settled = replace(settled, total=expected.total, payload=json.dumps(body))
		for tax in provider()._settled(settled, "MXN")["taxes"]:
			self.fits("TrasladoDR", "BaseDR", tax["base"])

	def test_lengths_are_the_schemas(self):
		for longest, element, attribute in (
			(facets.NAME, "Receptor", "Nombre"),
			(facets.DESCRIPTION, "Concepto", "Descripcion"),
			(facets.CODE, "Concepto", "NoIdentificacion"),
			(facets.UNIT, "Concepto", "Unidad"),
			(facets.SERIES, "Comprobante", "Serie"),
			(facets.OPERATION, "Pago", "NumOperacion"),
			(facets.FOREIGN_ID, "Receptor", "NumRegIdTrib"),
		):
			with self.subTest(attribute):
				self.fits(element, attribute, "x" * longest)
				self.assertNotEqual(self.facets.refuses(element, attribute, "x" * (longest + 1)), "")


class TestCatalogues(unittest.TestCase):
	"""c_RegimenFiscal and c_UsoCFDI as satcfdi has them; it has neither c_TasaOCuota nor what is in force."""

	def test_regimes_and_uses(self):
		judges.satcfdi()
		from satcfdi.catalogs import select_all

		self.assertEqual(regimes.IN_FORCE | regimes.ENDED, set(select_all("C756_c_RegimenFiscal")))
		self.assertEqual(len(regimes.IN_FORCE), 19)
		# P01 ended with CFDI 3.3.
		self.assertEqual(set(regimes.USES), set(select_all("C756_c_UsoCFDI")) - {"P01"})
