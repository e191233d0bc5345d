"""The print formats: what was issued is on the paper, in every layout, and nothing else looks like it.

On the embedded site the formats' templates are rendered by themselves; on a bench Frappe prints them.
"""

import html
import importlib.util
import json
import re
import shutil
import subprocess
import tempfile
import unittest
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import now_datetime
from frappe.utils.file_manager import save_file
from jinja2 import PackageLoader, PrefixLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from fiscal_integration import claims, dispatch, hooks, printing, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.austria import rksv
from fiscal_integration.fiscal.money import decimal
from fiscal_integration.fiscal.panama import cufe
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.xml import parse
from fiscal_integration.printing import common, mexico, panama
from fiscal_integration.sandbox.facturapi import ISSUER
from fiscal_integration.testing import FiscalTestCase
from fiscal_integration.tests.test_aludra import AludraCase
from fiscal_integration.tests.test_austria import AustriaCase
from fiscal_integration.tests.test_mexico import GlobalCase, MexicoCase

ON_BENCH = bool(importlib.util.find_spec("frappe.www"))
PROGRAMS = ("chromium", "pdfinfo", "pdftotext", "pdftoppm", "zbarimg")
MISSING = [program for program in PROGRAMS if not shutil.which(program)]
MM = 72 / 25.4
PAPERS = {"80mm": 80, "A4": 210}
SUFFIXES = {
	"POS Invoice": "",
	"Sales Invoice": " Sales",
	"Payment Entry": " Payment",
	claims.DOCTYPE: " Global",
}
A4_ONLY = ("Payment Entry", claims.DOCTYPE)
MONTHS = "Enero Febrero Marzo Abril Mayo Junio Julio Agosto Septiembre Octubre Noviembre Diciembre".split()
BUSINESS = "Papelería del Centro SA de CV"
DISTRIBUTOR = "Distribuidora Chiriquí, S.A."
ITEMS = (
	("CAFE-500", 2, 145.0),
	("LIBRO-01", 1, 320.0),
	{
		"item_code": "QUESO-KG",
		"qty": 1.355,
		"rate": 170.91,
		"price_list_rate": 189.9,
		"discount_amount": 18.99,
	},
	("AGUA-1L", 600, 18.5),
)
NO_FISCAL_WORDS = ("Folio fiscal", "CUFE", "Sello", "representación impresa", "Belegnummer", "<img")


def format_file(name: str) -> dict:
	folder = name.lower().replace(" ", "_")
	path = frappe.get_app_path(
		"fiscal_integration", "fiscal_integration", "print_format", folder, f"{folder}.json"
	)
	return json.loads(Path(path).read_text())


def text_of(markup: str) -> str:
	"""What one reads on the paper, blanks made one: a page has a title too, which is not printed."""
	markup = re.sub(r"<(style|script|title)\b.*?</\1>", " ", markup, flags=re.S)
	return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", markup)))


class Paper:
	"""One printed page or more, as programs that know nothing of us read them."""

	def __init__(self, content: bytes):
		with tempfile.TemporaryDirectory() as folder:
			path = Path(folder, "x.pdf")
			path.write_bytes(content)
			facts = run("pdfinfo", path)
			self.width, self.height = (
				float(value) / MM for value in re.search(r"Page size:\s+([\d.]+) x ([\d.]+)", facts).groups()
			)
			self.text = re.sub(r"\s+", " ", run("pdftotext", "-layout", path, "-"))
			boxes = run("pdftotext", "-bbox", path, "-")
			self.right = max(float(value) for value in re.findall(r'xMax="([\d.]+)"', boxes)) / MM
			run("pdftoppm", "-r", "200", "-png", path, Path(folder, "x"))
			self.codes = []
			for image in sorted(Path(folder).glob("x*.png")):
				# It ends with 4 on a page without a code.
				found = subprocess.run(
					["zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", image],
					capture_output=True,
					text=True,
					check=False,
				)
				self.codes += found.stdout.split("\n")[:-1]

	@classmethod
	def of_html(cls, body: str):
		with tempfile.TemporaryDirectory() as folder:
			source, target = Path(folder, "x.html"), Path(folder, "x.pdf")
			source.write_text(
				f'<!DOCTYPE html><meta charset="utf-8"><div class="print-format">{body}</div>',
				encoding="utf-8",
			)
			run(
				"chromium",
				"--headless",
				"--no-sandbox",
				"--disable-gpu",
				f"--user-data-dir={folder}/profile",
				"--no-pdf-header-footer",
				f"--print-to-pdf={target}",
				source.as_uri(),
			)
			return cls(target.read_bytes())


def run(*command) -> str:
	return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class PrintCase(FiscalTestCase):
	kind = "CFDI"

	def setUp(self):
		super().setUp()
		if ON_BENCH:
			for field in ("allow_print_for_draft", "allow_print_for_cancelled"):
				frappe.db.set_single_value("Print Settings", field, 1)
			frappe.db.commit()

	def formats(self, doc) -> dict[str, str]:
		"""The names of the formats for this document, by paper."""
		suffix = SUFFIXES[doc.doctype]
		found = {"80mm": f"{self.kind} Receipt{suffix}", "A4": f"{self.kind} A4{suffix}"}
		return {"A4": found["A4"]} if doc.doctype in A4_ONLY else found

	def rendered(self, doc, name: str) -> str:
		doc = frappe.get_doc(doc.doctype, doc.name)
		if ON_BENCH:
			return frappe.get_print(doc.doctype, doc.name, print_format=name, doc=doc, no_letterhead=1)
		environment = SandboxedEnvironment(
			loader=PrefixLoader({"fiscal_integration": PackageLoader("fiscal_integration", ".")}),
			undefined=StrictUndefined,
		)
		for method in hooks.jinja["methods"]:
			environment.globals[method.rpartition(".")[2]] = frappe.get_attr(method)
		return environment.from_string(format_file(name)["html"]).render(doc=doc)

	def papers(self, doc) -> dict[str, str]:
		return {paper: self.rendered(doc, name) for paper, name in self.formats(doc).items()}

	def says(self, doc, *wanted, without=()):
		"""Each layout holds all of `wanted`, and none of `without`."""
		for paper, markup in self.papers(doc).items():
			said = text_of(markup)
			packed = said.replace(" ", "")
			self.assertNotIn("{{", markup)
			for value in wanted:
				self.assertIn(str(value).replace(" ", ""), packed, f"{paper}: {value} in {said}")
			for value in without:
				self.assertNotIn(value, said, paper)

	def is_nothing(self, doc, heading: str, reason: str):
		"""No layout can be taken for a fiscal document."""
		for paper, markup in self.papers(doc).items():
			said = text_of(markup)
			self.assertIn(heading, said, paper)
			self.assertIn(reason, said, paper)
			self.assertIn(doc.name, said, paper)
			for word in NO_FISCAL_WORDS:
				self.assertNotIn(word, said if word != "<img" else markup.split("</style>")[-1], paper)

	def shows_qr(self, doc, row):
		self.assertTrue(row.qr_image)
		for paper, markup in self.papers(doc).items():
			self.assertEqual(re.findall(r'src="(data:image[^"]+)"', markup), [row.qr_image], paper)

	def issue(self, **values):
		doc, row = self.sell(**{"items": ITEMS, **values})
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row

	def issue_note(self, doc):
		note = sample.credit_note(doc)
		frappe.db.commit()
		row = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return note, row

	def set_row(self, row, **values):
		frappe.db.set_value(dispatch.DOCTYPE, row.name, values)
		frappe.db.commit()

	def read_back(self, doc, row, *wanted):
		"""Printed by a browser, each layout has its size, nothing beyond its edge, and a QR code that reads as
		what was issued."""
		for paper, markup in self.papers(doc).items():
			page = Paper.of_html(markup)
			self.assertAlmostEqual(page.width, PAPERS[paper], delta=0.5)
			self.assertLess(page.right, PAPERS[paper] - 2, f"{paper}: something runs over the edge")
			self.assertEqual(page.codes, [row.qr_value], paper)
			packed = page.text.replace(" ", "")
			for value in wanted:
				self.assertIn(str(value).replace(" ", ""), packed, paper)

	def pdf_of_frappe(self, doc, row):
		"""The same of the PDF that Frappe makes."""
		from frappe.utils.pdf import get_pdf

		for paper, name in self.formats(doc).items():
			# Nobody serves the site's stylesheets during the tests.
			page = Paper(get_pdf(re.sub(r"<link[^>]*>", "", self.rendered(doc, name))))
			self.assertAlmostEqual(page.width, PAPERS[paper], delta=0.5)
			self.assertLess(page.right, PAPERS[paper])
			self.assertEqual(page.codes, [row.qr_value], paper)


class TestFormats(unittest.TestCase):
	def test_each_country_has_each_layout_for_both_documents(self):
		for kind, language in (("CFDI", "es"), ("CAFE", "es"), ("RKSV", "de")):
			for layout in ("Receipt", "A4"):
				for suffix, doctype in (("", "POS Invoice"), (" Sales", "Sales Invoice")):
					found = format_file(f"{kind} {layout}{suffix}")
					self.assertEqual(
						(found["doc_type"], found["standard"], found["print_format_type"], found["module"]),
						(doctype, "Yes", "Jinja", "Fiscal Integration"),
					)
					self.assertEqual(found["default_print_language"], language)

	def test_mexico_has_one_for_payments_and_one_for_global_invoices(self):
		for doctype in A4_ONLY:
			found = format_file(f"CFDI A4{SUFFIXES[doctype]}")
			self.assertEqual(
				(found["doc_type"], found["standard"], found["default_print_language"]),
				(doctype, "Yes", "es"),
			)


class CFDICase(PrintCase):
	def entry(self, row) -> dict:
		"""What the sandbox issued for the row."""
		(found,) = [
			entry
			for entry in self.sandbox.emulators["facturapi"].invoices.values()
			if entry["uuid"] == row.fiscal_id
		]
		return found

	def seals(self, entry) -> tuple:
		return (
			ISSUER["legal_name"],
			ISSUER["tax_id"],
			"601 - General de Ley Personas Morales",
			"Lugar de expedición 44100",
			f"{entry['series']} {entry['folio_number']}",
			entry["uuid"],
			f"certificado del SAT {entry['stamp']['sat_cert_number']}",
			entry["stamp"]["signature"],
			entry["stamp"]["sat_signature"],
			entry["stamp"]["complement_string"],
			entry["stamp"]["rfc_provider_cert"],
			"Este documento es una representación impresa de un CFDI",
		)

	def local(self, text) -> str:
		"""An answer's UTC time where the CFDI is issued."""
		moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
		return f"{moment.astimezone(ZoneInfo('America/Mexico_City')):%Y-%m-%dT%H:%M:%S}"


class TestCFDI(CFDICase):
	def test_what_was_stamped_is_on_every_layout_of_both_documents(self):
		for doctype in (None, "Sales Invoice"):
			doc, row = self.issue(doctype=doctype, customer=BUSINESS)
			entry = self.entry(row)
			self.says(
				doc,
				*self.seals(entry),
				entry["customer"]["legal_name"],
				entry["customer"]["tax_id"],
				f"Domicilio fiscal (C.P.) {entry['customer']['address']['zip']}",
				"G03 - Gastos en general",
				"I - Ingreso",
				"50131801",
				"H87",
				"Queso Oaxaca, a granel",
				"1.355",
				"189.90",
				"25.73",
				"IVA 16 %",
				"IVA Exento",
				f"Total MXN {entry['total']:,.2f}",
				"01 - Efectivo",
				"PUE - Pago en una sola exhibición",
				doc.name,
				without=("NO ES UN CFDI", "CANCELADO"),
			)
			self.shows_qr(doc, row)

	def test_times_are_those_of_the_place_of_issue(self):
		doc, row = self.issue()
		view = printing.fiscal_cfdi(doc)
		self.assertEqual(view["issued_at"], json.loads(row.payload)["date"][:19])
		self.assertEqual(view["issued_at"][:13], view["stamped_at"][:13])

	def test_the_amounts_make_the_total(self):
		doc, row = self.issue(
			customer=BUSINESS,
			taxes=[
				sample.tax_row("IEPS 8", 8),
				sample.tax_row("IVA 16", 16, charge_type="On Previous Row Total", row_id=1),
				sample.tax_row("ISR Retenido", -10),
			],
		)
		view = printing.fiscal_cfdi(doc)
		amounts = [Decimal(amount.replace(",", "")) for _name, amount in view["taxes"]]
		total = Decimal(view["subtotal"].replace(",", "")) - Decimal(view["discount"].replace(",", ""))
		self.assertAlmostEqual(total + sum(amounts), Decimal(str(self.entry(row)["total"])), delta=0.02)
		names = [name for name, _amount in view["taxes"]]
		self.assertIn("IEPS 8 %", names)
		self.assertTrue(any(name.startswith("Ret. ") for name in names))
		self.assertTrue(any(amount < 0 for amount in amounts))

	def test_a_credit_note_names_what_it_corrects(self):
		doc, row = self.issue(customer=BUSINESS)
		note, noted = self.issue_note(doc)
		self.says(
			note,
			"Nota de crédito",
			"E - Egreso",
			"03 - Devolución de mercancía",
			row.fiscal_id,
			noted.fiscal_id,
			"G03 - Gastos en general",
		)

	def test_a_walk_in_sale_is_a_global_one(self):
		doc, row = self.issue()
		self.says(doc, "PUBLICO EN GENERAL", "XAXX010101000", "616 - Sin obligaciones", "S01 - Sin efectos")
		day = row.issued_at
		self.says(doc, f"Periodicidad Diaria Meses {day:%m} - {MONTHS[day.month - 1]} Año {day:%Y}")
		self.says(doc, "Domicilio fiscal (C.P.) 44100")

	def test_a_sale_on_credit(self):
		doc, _row = self.issue(doctype="Sales Invoice", customer=BUSINESS, paid=False)
		self.says(doc, "99 - Por definir", "PPD - Pago en parcialidades o diferido")

	def test_a_foreign_receiver(self):
		doc, _row = self.issue(customer="Pacific Outfitters Inc")
		self.says(doc, "XEXX010101000", "981234567", "USA", "Pacific Outfitters Inc")

	def test_it_tells_what_was_issued_and_not_what_erpnext_says_now(self):
		doc, row = self.issue(customer=BUSINESS)
		frappe.db.set_value(doc.doctype, doc.name, "customer_name", "Somebody Else")
		frappe.db.set_value("Item", "CAFE-500", "fiscal_product_code", "50201708")
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.db.set_value, "Item", "CAFE-500", "fiscal_product_code", "50201706")
		self.says(doc, "50201706", self.entry(row)["customer"]["legal_name"], without=("Somebody Else",))

	def test_what_only_the_kept_xml_tells(self):
		doc, row = self.issue(customer=BUSINESS)
		self.says(doc, without=("No. de serie del CSD",))
		content = (
			'<?xml version="1.0" encoding="UTF-8"?><cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/4" '
			'NoCertificado="30001000000500003416" LugarExpedicion="06000">'
			'<cfdi:Emisor Rfc="EKU9003173C9" Nombre="ESCUELA KEMPER URGATE" RegimenFiscal="603"/></cfdi:Comprobante>'
		)
		file = save_file(f"{doc.name}-fiscal.xml", content.encode(), doc.doctype, doc.name, is_private=1)
		self.set_row(row, xml=file.file_url)
		self.says(
			doc,
			"No. de serie del CSD 30001000000500003416",
			"Lugar de expedición 06000",
			"ESCUELA KEMPER URGATE",
			"603 - Personas Morales con Fines no Lucrativos",
		)

	def test_a_test_document_says_so_and_a_production_one_does_not(self):
		doc, row = self.issue()
		self.says(doc, "PRUEBA: SIN VALIDEZ FISCAL")
		self.set_row(row, environment="Production")
		self.says(doc, row.fiscal_id, without=("PRUEBA",))

	def test_a_cancelled_one_says_so(self):
		doc, row = self.issue()
		self.set_row(row, cancellation_status=lifecycle.CANCEL_PENDING)
		self.says(doc, "Cancelación solicitada", without=("CFDI CANCELADO",))
		self.set_row(row, cancellation_status=lifecycle.CANCELLED, cancelled_at=now_datetime())
		self.says(doc, f"CFDI CANCELADO {now_datetime():%d/%m/%Y}", row.fiscal_id)

	def test_what_is_not_issued_cannot_be_taken_for_a_cfdi(self):
		heading = "ESTE DOCUMENTO NO ES UN CFDI"
		draft = sample.invoice(items=ITEMS, submit=False)
		frappe.db.commit()
		self.is_nothing(draft, heading, "borrador")
		doc, row = self.sell(items=ITEMS)
		self.is_nothing(doc, heading, "pendiente de envío")
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		self.assertEqual(self.run_job(row).status, lifecycle.REJECTED)
		self.is_nothing(doc, heading, "rechazado")
		doc, row = self.sell(items=ITEMS)
		self.sandbox.fault("facturapi", "pending", after=600)
		self.assertEqual(self.run_job(row).status, lifecycle.PENDING)
		self.is_nothing(doc, heading, "en espera de respuesta")
		self.set_row(
			row, status=lifecycle.NEEDS_REVIEW, fiscal_id="OF-ANOTHER-SALE", qr_value="x", qr_image="x"
		)
		self.is_nothing(doc, heading, "en revisión")

	def test_a_sale_without_fiscal_document_or_withdrawn(self):
		heading = "ESTE DOCUMENTO NO ES UN CFDI"
		doc, _row = self.sell(items=ITEMS)
		doc.reload()
		doc.cancel()
		frappe.db.commit()
		self.is_nothing(doc, heading, "VENTA CANCELADA")
		self.switch_off()
		doc = sample.invoice(items=ITEMS)
		frappe.db.commit()
		self.is_nothing(doc, heading, "sin comprobante fiscal")
		self.assertEqual((printing.fiscal_receipt(doc), printing.fiscal_qr(doc)), ({}, ""))

	def test_another_countrys_format_does_not_pretend(self):
		doc, _row = self.issue()
		said = text_of(self.rendered(doc, "CAFE Receipt"))
		self.assertIn("ESTE DOCUMENTO NO ES UNA FACTURA FISCAL", said)
		self.assertNotIn("Consulte", said)

	def test_what_people_typed_is_no_markup(self):
		rows = [{"item_code": "CAFE-500", "qty": 1, "rate": 10.0, "description": "Té & <más"}]
		doc, row = self.issue(items=rows)
		told = json.loads(row.payload)["items"][0]["product"]["description"]
		self.assertIn("&", told)
		for markup in self.papers(doc).values():
			self.assertIn(html.escape(told), markup)

	def test_the_helpers_of_peoples_own_formats(self):
		doc, row = self.issue()
		found = printing.fiscal_receipt(doc)
		self.assertTrue(found["valid"] and found["test"] and not found["cancelled"])
		self.assertEqual((found["fiscal_id"], found["qr_value"]), (row.fiscal_id, row.qr_value))
		self.assertEqual(found["stamps"]["series"], self.entry(row)["series"])
		self.assertEqual(printing.fiscal_qr(doc), row.qr_image)

	@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
	def test_the_paper_read_back(self):
		doc, row = self.issue(customer=BUSINESS)
		self.read_back(doc, row, row.fiscal_id, "representación impresa")

	@unittest.skipUnless(ON_BENCH and shutil.which("wkhtmltopdf"), "a bench with wkhtmltopdf makes such PDFs")
	@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
	def test_the_pdf_of_frappe(self):
		doc, row = self.issue(customer=BUSINESS)
		self.pdf_of_frappe(doc, row)


class TestCFDIOfPayments(MexicoCase, CFDICase):
	def paid(self, *allocations, **values):
		doc, row = self.pay(*allocations, **values)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row

	def settled(self):
		"""The official example: of 345.60 the second 100 are paid (providers/facturapi.md#requests)."""
		sale, row = self.credit_sale(items=[("CAFE-500", 1, 297.93)])
		self.paid((sale, 100))
		return row, *self.paid((sale, 100))

	def test_what_was_stamped_is_on_the_paper(self):
		sale_row, doc, row = self.settled()
		entry, sale = self.entry(row), self.entry(sale_row)
		self.says(
			doc,
			*self.seals(entry),
			"Recibo electrónico de pago (CFDI 4.0)",
			"P - Pago",
			f"Fecha de emisión {self.local(entry['date'])}",
			f"Fecha de certificación {self.local(entry['stamp']['date'])}",
			entry["customer"]["legal_name"],
			entry["customer"]["tax_id"],
			"Régimen fiscal 601 - General de Ley Personas Morales",
			f"Domicilio fiscal (C.P.) {entry['customer']['address']['zip']}",
			"Uso del CFDI CP01 - Pagos",
			f"Fecha de pago {entry['complements'][0]['data'][0]['date'][:19]}",
			"Forma de pago 03 - Transferencia electrónica de fondos",
			"Número de operación SPEI-0001",
			"Moneda MXN Tipo de cambio 1 Monto 100.00",
			f"UUID {sale['uuid']} · Serie y folio {sale['series']} {sale['folio_number']} "
			"02 - Sí objeto de impuesto IVA 16 %: base 86.21, importe 13.79 MXN 1 2 245.60 100.00 145.60",
			"IVA 16 % base 86.21 13.79 Total pagado MXN 100.00",
			doc.name,
			without=("NO ES UN CFDI", "CANCELADO", "Subtotal", "Método de pago", "Monto total en MXN"),
		)
		self.assertNotEqual(sale["uuid"], entry["uuid"])
		self.shows_qr(doc, row)

	def test_each_invoice_of_several_has_its_line(self):
		sales = [self.credit_sale(items=[("CAFE-500", number, 100.0)]) for number in (1, 2)]
		doc, _row = self.paid(*((sale, sale.grand_total) for sale, _row in sales))
		first, second = (self.entry(row) for _sale, row in sales)
		self.says(
			doc,
			f"UUID {first['uuid']} · Serie y folio {first['series']} {first['folio_number']}",
			f"UUID {second['uuid']} · Serie y folio {second['series']} {second['folio_number']}",
			"base 100.00, importe 16.00 MXN 1 1 116.00 116.00 0.00",
			"base 200.00, importe 32.00 MXN 1 1 232.00 232.00 0.00",
			"IVA 16 % base 300.00 48.00 Total pagado MXN 348.00",
		)

	def test_exempt_taxes_have_a_base_and_no_amount(self):
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0), ("LIBRO-01", 1, 200.0)])
		doc, _row = self.paid((sale, sale.grand_total))
		self.says(doc, "IVA 16 %: base 100.00, importe 16.00", without=("IVA Exento: base 200.00,",))
		self.says(doc, "IVA Exento: base 200.00", "IVA Exento base 200.00")
		((_taxed, *_), (name, base, amount)) = printing.fiscal_cfdi(doc)["payment"]["taxes"]
		self.assertEqual((name, base, amount), ("IVA Exento", "200.00", ""))

	def test_an_invoice_in_another_currency(self):
		sale, sale_row = self.credit_sale(
			items=[("CAFE-500", 1, 100.0)], currency="USD", conversion_rate=20, price_list_currency="MXN"
		)
		doc, row = self.paid((sale, 58.0))
		amounts = (
			"0.05 1 116.00 2.90 113.10"
			if (sale.party_account_currency or "MXN") == "MXN"
			else "0.05 1 116.00 58.00 58.00"
		)
		self.says(doc, self.entry(sale_row)["uuid"], f"USD {amounts}", "Tipo de cambio 1 Monto")
		self.says(doc, f"Total pagado MXN {decimal(self.entry(row)['total_payment_amount']):,.2f}")

	def test_a_payment_in_another_currency_tells_its_rate(self):
		_sale_row, doc, row = self.settled()
		body = json.loads(row.payload)
		payment = body["complements"][0]["data"][0]
		payment.update(currency="USD", exchange=18.4523)
		payment["related_documents"][0]["exchange"] = 18.4523
		self.set_row(row, payload=json.dumps(body), provider_total=5.42)
		self.says(
			doc,
			"Moneda USD Tipo de cambio 18.4523 Monto 5.42 Monto total en MXN 100.01",
			"MXN 18.4523 2 245.60 100.00 145.60",
			"IVA 16 % base 4.67 0.75 Total pagado USD 5.42",
		)

	def test_the_time_of_issue_is_not_told_in_the_summer_time_of_the_payment(self):
		_sale_row, doc, _row = self.settled()
		self.connect(parameters={"time_zone": "America/Tijuana"})
		self.addCleanup(self.connect, parameters={"time_zone": "America/Mexico_City"})
		zone = mexico._zone(doc, {"complements": [{"data": [{"date": "2026-07-01T12:00:00-07:00"}]}]})
		winter = datetime(2026, 12, 1, 12, tzinfo=ZoneInfo("UTC")).astimezone(zone)
		self.assertEqual(winter.isoformat(), "2026-12-01T04:00:00-08:00")

	def test_what_only_the_kept_xml_tells(self):
		_sale_row, doc, row = self.settled()
		self.says(doc, without=("No. de serie del CSD",))
		content = (
			'<?xml version="1.0" encoding="UTF-8"?><cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/4" '
			'NoCertificado="30001000000500003416" LugarExpedicion="06000" Fecha="2026-11-20T10:11:12"/>'
		)
		file = save_file(f"{doc.name}-fiscal.xml", content.encode(), doc.doctype, doc.name, is_private=1)
		self.set_row(row, xml=file.file_url)
		self.says(
			doc,
			"No. de serie del CSD 30001000000500003416",
			"Lugar de expedición 06000",
			"Fecha de emisión 2026-11-20T10:11:12",
		)

	def test_what_is_not_issued_cannot_be_taken_for_a_cfdi(self):
		heading = "ESTE DOCUMENTO NO ES UN CFDI"
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		draft = sample.payment([(sale, 50)], submit=False)
		frappe.db.commit()
		self.is_nothing(draft, heading, "borrador")
		self.says(draft, f"Pago {draft.name}", f"{sale.name} 50.00", "Total MXN 50.00")
		doc, row = self.pay((sale, 116), run=False)
		self.is_nothing(doc, heading, "pendiente de envío")
		doc.reload()
		doc.cancel()
		frappe.db.commit()
		self.is_nothing(doc, heading, "PAGO CANCELADO")
		doc, row = self.pay((sale, 116), run=False)
		self.set_row(row, status=lifecycle.REJECTED)
		self.is_nothing(doc, heading, "rechazado")

	def test_a_payment_that_needs_none(self):
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		self.switch_off()
		doc, row = self.pay((sale, 50))
		self.assertIsNone(row)
		self.is_nothing(doc, "ESTE DOCUMENTO NO ES UN CFDI", "sin comprobante fiscal")

	def test_a_cancelled_one_says_so(self):
		_sale_row, doc, row = self.settled()
		self.emulator.options["cancellation"] = "accepted"
		self.ask(row, "02", cancel_source=1)
		row = self.step(row)
		self.says(doc, f"CFDI CANCELADO {now_datetime():%d/%m/%Y}", row.fiscal_id, without=("VENTA",))

	@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
	def test_the_paper_read_back(self):
		sale_row, doc, row = self.settled()
		self.read_back(doc, row, row.fiscal_id, sale_row.fiscal_id, "245.60", "representación impresa")

	@unittest.skipUnless(ON_BENCH and shutil.which("wkhtmltopdf"), "a bench with wkhtmltopdf makes such PDFs")
	@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
	def test_the_pdf_of_frappe(self):
		_sale_row, doc, row = self.settled()
		self.pdf_of_frappe(doc, row)


class TestCFDIOfGlobalInvoices(GlobalCase, CFDICase):
	def collected(self, submit=True):
		"""Two walk-in sales of yesterday, and the global invoice of them."""
		sales = [
			self.sell(posting_date=self.day, posting_time="09:30:00", items=items)[0]
			for items in ([("CAFE-500", 3, 33.33), ("LIBRO-01", 1, 120.5)], [("AGUA-1L", 7, 18.57)])
		]
		doc = super().collected(submit)
		return sales, doc, dispatch.find(doc.doctype, doc.name)

	def issued_global(self):
		sales, doc, row = self.collected()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return sales, doc, row

	def test_what_was_stamped_is_on_the_paper(self):
		sales, doc, row = self.issued_global()
		entry = self.entry(row)
		self.says(
			doc,
			*self.seals(entry),
			"Factura global (CFDI 4.0)",
			"I - Ingreso",
			"PUBLICO EN GENERAL",
			"XAXX010101000",
			"616 - Sin obligaciones fiscales",
			"S01 - Sin efectos fiscales",
			"Información global",
			f"Periodicidad Diaria Meses {self.day:%m} - {MONTHS[self.day.month - 1]} Año {self.day:%Y}",
			"01010101 1 ACT Actividad Venta",
			*(sale.name for sale in sales),
			"99.99",
			"120.50",
			"129.99",
			"IVA Exento",
			"IVA 16 % 36.80",
			f"Total MXN {sum(decimal(sale.grand_total) for sale in sales):,.2f}",
			"PUE - Pago en una sola exhibición",
			doc.name,
			without=("NO ES UN CFDI", "CANCELAD"),
		)
		self.shows_qr(doc, row)

	def test_two_months(self):
		_sales, doc, row = self.issued_global()
		body = json.loads(row.payload)
		body["global"] = {"periodicity": "two_months", "months": "13", "year": 2026}
		self.set_row(row, payload=json.dumps(body))
		self.says(doc, "Periodicidad Bimestral Meses 13 - Enero-Febrero Año 2026")

	def test_what_is_not_issued_cannot_be_taken_for_a_cfdi(self):
		heading = "ESTE DOCUMENTO NO ES UN CFDI"
		sales, draft, _row = self.collected(submit=False)
		self.is_nothing(draft, heading, "borrador")
		self.says(draft, f"Factura global {draft.name}", *(sale.name for sale in sales))
		draft.submit()
		frappe.db.commit()
		self.is_nothing(draft, heading, "pendiente de envío")
		draft.cancel()
		frappe.db.commit()
		self.is_nothing(draft, heading, "FACTURA GLOBAL CANCELADA")

	def test_a_cancelled_one_says_so(self):
		_sales, doc, row = self.issued_global()
		self.emulator.options["cancellation"] = "accepted"
		self.ask(row, "02", cancel_source=1)
		row = self.step(row)
		self.says(doc, f"CFDI CANCELADO {now_datetime():%d/%m/%Y}", row.fiscal_id)

	@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
	def test_the_paper_read_back(self):
		sales, doc, row = self.issued_global()
		self.read_back(doc, row, row.fiscal_id, *(sale.name for sale in sales), "representación impresa")

	@unittest.skipUnless(ON_BENCH and shutil.which("wkhtmltopdf"), "a bench with wkhtmltopdf makes such PDFs")
	@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
	def test_the_pdf_of_frappe(self):
		_sales, doc, row = self.issued_global()
		self.pdf_of_frappe(doc, row)


class Cafe:
	"""What holds for each provider of Panama."""

	kind = "CAFE"
	shop = sample.PANAMA

	def common(self, doc, row):
		code = cufe.parts(row.fiscal_id)
		return (
			"Comprobante Auxiliar de Factura Electrónica",
			f"RUC {code['ruc'].lstrip('0')} DV {code['dv']}",
			f"Sucursal {code['branch']}",
			f"Punto de facturación {code['point']}",
			f"Número {code['number']}",
			row.fiscal_id,
			f"Protocolo de autorización {row.authorization_number}",
			f"Fecha de autorización {common.local_time(row.authorized_at, dgi.ZONE):%d/%m/%Y %H:%M:%S}"
			if row.authorized_at
			else "",
			"https://dgi-fep-test.mef.gob.pa:40001/Consultas/FacturasPorCUFE",
			doc.name,
			"Queso Oaxaca, a granel",
			"1.355",
			f"{row.total:,.2f}",
		)

	def test_what_was_authorised_is_on_every_layout_of_both_documents(self):
		for doctype in (None, "Sales Invoice"):
			doc, row = self.issue(doctype=doctype, customer=DISTRIBUTOR)
			self.says(
				doc,
				*self.common(doc, row),
				"Factura de Operación Interna",
				DISTRIBUTOR,
				"155596713-2-2015",
				"Exento 320.00 0.00",
				"7 %",
				"AMBIENTE DE PRUEBAS",
				without=("NO ES UNA FACTURA", "ANULADA", "PENDIENTE"),
			)
			self.shows_qr(doc, row)

	def test_the_lines_make_the_total(self):
		doc, row = self.issue(customer=DISTRIBUTOR)
		view = printing.fiscal_cafe(doc)
		amount = {key: Decimal(view[key].replace(",", "")) for key in ("net", "itbms", "total")}
		self.assertEqual(amount["net"] + amount["itbms"], amount["total"])
		self.assertEqual(amount["total"], Decimal(str(row.total)).quantize(Decimal("0.01")))
		sums = [Decimal(tax.replace(",", "")) for _rate, _base, tax in view["by_rate"]]
		self.assertEqual(sum(sums), amount["itbms"])

	def test_a_walk_in_sale(self):
		doc, row = self.issue()
		self.says(doc, row.fiscal_id, without=("NO ES UNA FACTURA",))

	def test_what_is_not_issued_cannot_be_taken_for_an_invoice(self):
		heading = "ESTE DOCUMENTO NO ES UNA FACTURA FISCAL"
		doc, row = self.sell(items=ITEMS)
		self.is_nothing(doc, heading, "pendiente de envío")
		self.set_row(row, status=lifecycle.REJECTED)
		self.is_nothing(doc, heading, "rechazado")
		self.set_row(row, status=lifecycle.PENDING)
		self.is_nothing(doc, heading, "en espera de respuesta")

	def test_a_cancelled_one_says_so(self):
		doc, row = self.issue()
		self.set_row(row, cancellation_status=lifecycle.CANCELLED)
		self.says(doc, "FACTURA ANULADA", row.fiscal_id)


class CafeWithNotes(Cafe):
	"""Providers that are told the kind of receiver and the payments, and that take notes."""

	def test_a_credit_note_names_the_cufe_of_what_it_corrects(self):
		doc, row = self.issue(customer=DISTRIBUTOR)
		note, noted = self.issue_note(doc)
		self.says(
			note,
			"Nota de Crédito referente a Factura Electrónica",
			f"Factura de referencia Fecha {common.local_time(row.issued_at, dgi.ZONE):%d/%m/%Y}",
			row.fiscal_id,
			noted.fiscal_id,
		)

	def test_each_kind_of_receiver_with_what_it_carries(self):
		for customer, wanted in (
			(sample.WALK_IN, ("Consumidor final",)),
			(DISTRIBUTOR, ("Contribuyente", "RUC 155596713-2-2015", "DV 59", "Avenida Central, local 12")),
			("Ana Lucía Batista", ("Consumidor final", "8-730-241")),
			("Pacific Outfitters Inc", ("Extranjero", "Identificación 981234567")),
			("Ministerio de Prueba", ("Gobierno", "521-136-113133")),
		):
			with self.subTest(customer):
				doc, _row = self.issue(customer=customer, items=[("PAPEL-A4", 4, 6.75)])
				self.says(doc, *wanted)

	def test_taxes_discounts_payments_and_change(self):
		items = [
			{
				"item_code": "CAFE-500",
				"qty": 2,
				"rate": 100.0,
				"price_list_rate": 125.0,
				"discount_amount": 25.0,
			}
		]
		doc, _row = self.issue(
			customer=DISTRIBUTOR, items=items, paid=[("Cash", 114.0), ("Credit Card", 100.0)]
		)
		self.assertEqual(
			printing.fiscal_cafe(doc)["payments"], [("Efectivo", "114.00"), ("Tarjeta de crédito", "100.00")]
		)
		self.says(doc, "125.00", "25.00", "7 % 200.00 14.00", "Total B/. 214.00", "Tarjeta de crédito 100.00")


class TestCafeHka(CafeWithNotes, PrintCase):
	provider = "hka"

	def test_what_falls_due(self):
		doc, _row = self.issue(doctype="Sales Invoice", customer=DISTRIBUTOR, paid=False)
		self.says(doc, "Crédito")

	@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
	def test_the_paper_read_back(self):
		doc, row = self.issue(customer=DISTRIBUTOR)
		self.read_back(doc, row, row.fiscal_id, row.authorization_number)


class TestCafeFacturaFacil(CafeWithNotes, PrintCase):
	provider = "facturafacil"


class TestCafeConteo(Cafe, PrintCase):
	provider = "conteo"


class TestCafeAludra(CafeWithNotes, AludraCase, PrintCase):
	provider = "aludra"

	def issue(self, **values):
		return PrintCase.issue(self, **values)

	def connect_account(self, **values):
		values["parameters"] = {
			"automatic_submission": "Yes",
			"emission": "01 Normal",
			**values.get("parameters", {}),
		}
		return super().connect_account(**values)

	def test_what_is_not_issued_cannot_be_taken_for_an_invoice(self):
		doc, row = self.sell(items=ITEMS)
		self.sandbox.fault("aludra", "status", status=200, code="1601")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		self.assertTrue(row.fiscal_id and row.payload, "it was signed, but is nobody's legal id")
		self.is_nothing(doc, "ESTE DOCUMENTO NO ES UNA FACTURA FISCAL", "rechazado")
		super().test_what_is_not_issued_cannot_be_taken_for_an_invoice()

	def test_the_issuer_is_told_as_it_was_signed(self):
		doc, row = self.issue(customer=DISTRIBUTOR)
		root = parse(row.payload)
		issuer = root.find(f".//{panama._dgi('gEmis')}")
		self.says(
			doc,
			*(
				panama._at(issuer, path)
				for path in ("dNombEm", "gRucEmi/dRuc", "dDirecEm", "gUbiEm/dProv", "dTfnEm")
			),
		)

	def test_what_was_signed_offline_has_cufe_and_qr_and_says_that_it_is_pending(self):
		self.connect_account(parameters={"automatic_submission": "No"})
		doc, row = self.sell(items=ITEMS, customer=DISTRIBUTOR)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.QUEUED)
		self.says(
			doc,
			"FIRMADA, PENDIENTE DE ENVÍO A LA DGI",
			row.fiscal_id,
			without=("NO ES UNA FACTURA", "Protocolo de autorización"),
		)
		self.shows_qr(doc, row)

	def test_contingency_is_marked_with_its_reason(self):
		self.connect_account(
			parameters={
				"emission": "02 Contingency",
				"contingency_since": "2026-11-21 08:00",
				"contingency_reason": "Sin conexión a Internet en el local",
			}
		)
		doc, _row = self.issue()
		self.says(
			doc, "Emitida en contingencia desde 21/11/2026 08:00:00: Sin conexión a Internet en el local"
		)


class TestRKSV(AustriaCase, PrintCase):
	kind = "RKSV"

	def setUp(self):
		super().setUp()
		self.set_up()

	def issue(self, **values):
		return PrintCase.issue(self, **values)

	def test_what_rksv_and_bao_want_is_on_every_layout_of_both_documents(self):
		for doctype in (None, "Sales Invoice"):
			doc, row = self.issue(doctype=doctype, pos_profile=self.shop.profile)
			code = rksv.parse(row.qr_value)
			self.says(
				doc,
				self.shop.company,
				"UID ATU12345678",
				doc.name,
				f"Belegnummer {code.number}",
				f"Kassen-ID {code.register}",
				f"{code.time:%d.%m.%Y %H:%M:%S}",
				"Queso Oaxaca, a granel",
				"1,355",
				"brutto 20 % 13.",
				"brutto 0 % 320,00",
				"Netto Steuer Brutto",
				"Summe EUR",
				without=("Stornobuchung", "Trainingsbuchung", rksv.OUTAGE),
			)
			self.shows_qr(doc, row)

	def test_tax_by_rate_makes_the_total(self):
		doc, _row = self.issue()
		rows = printing.fiscal_rksv(doc)["by_rate"]
		amounts = [[Decimal(text.replace(".", "").replace(",", ".")) for text in entry[1:]] for entry in rows]
		for net, tax, gross in amounts:
			self.assertEqual(net + tax, gross)
		self.assertAlmostEqual(float(sum(entry[2] for entry in amounts)), doc.grand_total, delta=0.005)

	def test_a_return(self):
		doc, _row = self.issue()
		note, row = self.issue_note(doc)
		self.says(note, "Stornobuchung", doc.name, "brutto 0 % -320,00", rksv.parse(row.qr_value).number)

	def test_training(self):
		self.till.training = 1
		self.till.save()
		frappe.db.commit()
		doc, _row = self.issue()
		self.says(doc, "Trainingsbuchung")

	def test_the_slip_of_an_outage_has_no_number(self):
		self.sandbox.refuse()
		doc, row = self.sell(items=ITEMS)
		self.assertNotEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.says(doc, rksv.OUTAGE, doc.name, without=("Belegnummer", "Kassen-ID"))
		for markup in self.papers(doc).values():
			self.assertEqual(markup.count('src="data:image'), 1)

	def test_what_the_trust_service_could_not_sign_says_so_too(self):
		self.sandbox.set_option("fiskaly", outage=True)
		doc, row = self.issue()
		self.says(doc, rksv.OUTAGE, f"Belegnummer {rksv.parse(row.qr_value).number}")

	def test_what_is_refused_cannot_be_taken_for_a_receipt(self):
		doc, row = self.sell(items=ITEMS)
		self.set_row(row, status=lifecycle.REJECTED)
		self.is_nothing(doc, "KEIN GÜLTIGER BELEG", "abgelehnt")
		self.assertEqual(printing.fiscal_qr(doc), "")
		self.assertFalse(printing.fiscal_receipt(doc)["valid"])

	def test_an_invoice_outside_of_the_rksv_is_a_plain_one(self):
		doc, row = self.sell(doctype="Sales Invoice", paid=False, items=ITEMS)
		self.assertIsNone(row)
		self.says(doc, "Netto Steuer Brutto", doc.name, without=("KEIN GÜLTIGER BELEG", "Belegnummer"))

	@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
	def test_the_paper_read_back(self):
		doc, row = self.issue()
		self.read_back(doc, row, f"Belegnummer {rksv.parse(row.qr_value).number}", "brutto 20 %")


class TestWhatOthersWroteIsText(unittest.TestCase):
	def test_every_value_in_the_prints_is_escaped(self):
		"""Frappe renders print formats without escaping, so each value says so itself; only a macro's output is markup."""
		folder = Path(frappe.get_app_path("fiscal_integration", "templates", "includes", "fiscal_print"))
		templates = sorted(folder.glob("*.html"))
		self.assertGreater(len(templates), 5)
		markup = {
			name
			for path in templates
			for name in re.findall(r"{%-? *macro +(\w+)\(", path.read_text(encoding="utf-8"))
		}
		for path in templates:
			for expression in re.findall(r"{{-?(.*?)-?}}", path.read_text(encoding="utf-8"), re.DOTALL):
				with self.subTest(path.name, expression=expression):
					called = re.match(r"(\w+)\(.*\)$", expression.strip(), re.DOTALL)
					self.assertTrue(
						(called and called[1] in markup) or re.search(r"\| *e$", expression.strip())
					)
