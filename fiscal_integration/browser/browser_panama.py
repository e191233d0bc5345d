import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from playwright.sync_api import expect

from fiscal_integration.browser.desk import SETTINGS, URL, DeskCase, bench
from fiscal_integration.sandbox.reading import read_pdf

COMPANY = "Mercadito del Istmo"
BUSINESS = "Distribuidora Chiriquí, S.A."
TILL = "Caja Panamá"


class PanamaCase(DeskCase):
	"""One provider behind the settings page, from its fields to the PDF; the tests build on each other."""

	provider = ""
	transport = ""
	company = COMPANY
	country = "panama"

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.key = cls.sandbox.secret_key(cls.provider)
		bench("execute", f"fiscal_integration.sample.set_up_{cls.country}")
		bench("execute", "frappe.delete_doc_if_exists", "--args", repr(["Fiscal Account", cls.company]))
		bench(
			"execute", "frappe.db.delete", "--args", repr(["Fiscal Point of Sale", {"company": cls.company}])
		)

	def connect(self):
		"""Enter the settings as an administrator does."""
		bench(
			"execute",
			"frappe.db.set_single_value",
			"--args",
			json.dumps(["Fiscal Integration Settings", "enabled", 0]),
		)
		self.open_settings()
		self.set(company=self.company)
		self.set(provider=self.provider, environment="Test")
		self.page.wait_for_timeout(500)
		self.set(server_url=self.sandbox.url(self.provider), secret_key=self.key, enabled=1)
		for key, value in {**self.sandbox.parameters(self.provider), **self.more()}.items():
			field = self.page.locator(f'[data-fieldname="parameters_html"] [data-fieldname="{key}"]')
			select = field.locator("select")
			if select.count():
				select.select_option(value)
			else:
				field.locator("input").fill(value)
				field.locator("input").press("Tab")
		self.save()
		self.open_settings()

	def more(self):
		return {"transport": self.transport} if self.transport else {}

	def fields(self):
		return set(
			self.page.eval_on_selector_all(
				'[data-fieldname="parameters_html"] .frappe-control',
				"controls => controls.map(control => control.dataset.fieldname)",
			)
		)

	def sale(self, doctype="POS Invoice", **values):
		"""A committed draft. Returns its name."""
		return bench(
			"execute",
			"fiscal_integration.sample.draft",
			"--kwargs",
			repr({self.country: True, "doctype": doctype, **values}),
		)

	def submit_in_desk(self, doctype, name):
		self.page.goto(f"{URL}/app/{doctype.lower().replace(' ', '-')}/{name}")
		self.page.wait_for_selector(".page-actions .primary-action:visible")
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(1000)
		save = self.page.locator(".page-actions .primary-action:visible", has_text="Save")
		if save.count():
			save.click()
		self.page.locator(".page-actions .primary-action:visible", has_text="Submit").click()
		self.page.locator(".modal.show .btn-primary:visible").click()

	def issue(self, doctype="POS Invoice", **values) -> str:
		name = self.sale(doctype, **values)
		self.submit_in_desk(doctype, name)
		self.until(lambda: self.value(doctype, name, "fiscal_status"), "Issued")
		return name

	def open_tab(self, doctype, name):
		self.page.goto(f"{URL}/app/{doctype.lower().replace(' ', '-')}/{name}")
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(800)
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		self.page.wait_for_selector(".fiscal-view:visible")
		self.page.wait_for_timeout(500)

	def read(self, program, *arguments) -> str:
		return subprocess.run([program, *arguments], capture_output=True, text=True, check=False).stdout

	def check_qr_on_screen(self, code):
		if not shutil.which("zbarimg"):
			return
		with tempfile.TemporaryDirectory() as folder:
			path = str(Path(folder, "screen.png"))
			self.page.locator("img.fiscal-qr").screenshot(path=path)
			self.assertIn(code, self.read("zbarimg", "-q", "--raw", path))

	def check_pdf(self, doctype, name, code):
		"""The fiscal PDF, over its route; its text and its QR read by programs that know nothing of us."""
		group = self.page.locator(".inner-group-button", has_text="Fiscal").first
		group.locator("button").first.click()
		with self.page.expect_response(re.compile("fiscal_integration.api.fetch_file")) as info:
			self.page.get_by_text("Download Fiscal PDF").first.click()
		answer = self.context.request.get(URL + info.value.json()["message"])
		self.assertTrue(answer.body().startswith(b"%PDF"))
		try:
			text, qr = read_pdf(answer.body())
		except unittest.SkipTest:
			return
		self.assertIn(code, text)
		self.assertIn(code, qr)

	def press(self, label):
		self.page.locator(".inner-group-button", has_text="Fiscal").first.locator("button").first.click()
		self.page.get_by_text(label, exact=True).first.click()
		self.page.wait_for_timeout(700)


class Walk:
	"""What is seen with each of them."""

	def test_1_the_settings_draw_the_providers_own_fields(self):
		self.connect()
		self.assertLessEqual(set(self.sandbox.parameters(self.provider)), self.fields())
		self.assertIn("✓ Connection successful", self.ping())
		if self.provider == "hka":
			self.open_settings()
			expect(self.page.locator(".fiscal-ping")).to_contain_text("Folios left: 1000")
			expect(self.page.locator(".fiscal-ping")).to_contain_text("Licence until")
		self.page.locator(".fiscal-ping-result").scroll_into_view_if_needed()
		self.shot(f"panama-{self.provider}{self.transport.lower()}-settings")

	def test_2_a_cash_sale_comes_back_with_cufe_and_qr(self):
		name = self.issue()
		type(self).invoice = name
		self.open_tab("POS Invoice", name)
		code = self.value("POS Invoice", name, "fiscal_id")
		(issued,) = [entry for entry in self.sandbox.ledger(self.provider) if entry["uuid"] == code]
		self.assertTrue(issued["external_id"].startswith(name))
		self.assertTrue(self.value("POS Invoice", name, "fiscal_authorization"))
		self.assertTrue(self.value("POS Invoice", name, "fiscal_qr_image").startswith("data:image/png"))
		self.check_qr_on_screen(code)
		self.shot(f"panama-{self.provider}{self.transport.lower()}-invoice")
		self.check_pdf("POS Invoice", name, code)
		self.page.goto(f"{URL}/app/pos-invoice?name={name}")
		row = self.page.locator(".list-row-container", has_text=name).first
		expect(row.locator(".fiscal-status-pill.green")).to_contain_text("Issued")

	def test_3_cancelling_is_refused_and_a_credit_note_offered(self):
		self.page.goto(f"{URL}/app/pos-invoice/{self.invoice}")
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(1000)
		self.page.locator(".page-actions .btn-secondary:visible", has_text="Cancel").click()
		self.page.locator(".modal.show .btn-primary:visible").click()
		message = self.page.locator(".modal.show", has_text="cannot be cancelled")
		expect(message).to_contain_text("credit note")
		self.page.wait_for_timeout(700)
		self.shot(f"panama-{self.provider}{self.transport.lower()}-refused")
		message.get_by_role("button", name="Make a Credit Note").click()
		self.page.wait_for_url(re.compile("pos-invoice/new"))
		self.page.wait_for_load_state("networkidle")
		self.assertEqual(self.page.evaluate("() => cur_frm.doc.return_against"), self.invoice)

	def test_4_a_sales_invoice_of_every_kind(self):
		for customer in (BUSINESS, "Ana Lucía Batista", "Pacific Outfitters Inc"):
			with self.subTest(customer):
				self.issue("Sales Invoice", customer=customer)

	def test_5_a_credit_note(self):
		original = self.issue("Sales Invoice", customer=BUSINESS)
		self.page.evaluate(
			"""name => frappe.model.open_mapped_doc({source_name: name,
				method: "erpnext.accounts.doctype.sales_invoice.sales_invoice.make_sales_return"})""",
			original,
		)
		self.page.wait_for_url(re.compile("sales-invoice/new"))
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(800)
		self.page.locator(".page-actions .primary-action:visible", has_text="Save").click()
		self.page.wait_for_load_state("networkidle")
		self.page.locator(".page-actions .primary-action:visible", has_text="Submit").click()
		self.page.locator(".modal.show .btn-primary:visible").click()
		self.page.wait_for_timeout(1500)
		note = self.page.evaluate("() => cur_frm.doc.name")
		self.until(lambda: self.value("Sales Invoice", note, "fiscal_status"), "Issued")
		code = self.value("Sales Invoice", note, "fiscal_id")
		(entry,) = [entry for entry in self.sandbox.ledger(self.provider) if entry["uuid"] == code]
		self.assertEqual(entry["type"], "04")
		self.assertEqual(entry["referenced"], self.value("Sales Invoice", original, "fiscal_id"))

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()


class TestFacturaFacil(Walk, PanamaCase):
	provider = "facturafacil"


class TestHkaRest(Walk, PanamaCase):
	provider = "hka"
	transport = "REST"


class TestHkaSoap(Walk, PanamaCase):
	provider = "hka"
	transport = "SOAP"

	def test_6_fiscal_data_of_one_sale(self):
		name = self.sale("Sales Invoice", customer=BUSINESS)
		self.page.goto(f"{URL}/app/sales-invoice/{name}")
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(1500)
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		section = self.page.locator('[data-fieldname="fiscal_data_section"]')
		expect(section).to_be_visible()
		expect(self.page.locator('[data-fieldname="fiscal_customer_dv"] input')).to_have_attribute(
			"placeholder", "59"
		)
		field = self.page.locator('[data-fieldname="fiscal_customer_tax_id"] input')
		field.fill("45400-2-299934")
		field.press("Tab")
		expect(self.page.locator('[data-fieldname="fiscal_customer_dv"] input')).to_have_value("09")
		field.fill("155596713-2-2015")
		field.press("Tab")
		expect(self.page.locator('[data-fieldname="fiscal_customer_dv"] input')).to_have_value("59")
		self.press("Look Up RUC")
		expect(self.page.locator('[data-fieldname="fiscal_customer_name"] input')).to_have_value(BUSINESS)
		section.scroll_into_view_if_needed()
		self.shot("panama-fiscal-data")
		self.page.evaluate("() => cur_frm.set_value('fiscal_customer_email', 'compras@example.com')")
		self.save()
		self.page.wait_for_load_state("networkidle")
		self.submit_in_desk("Sales Invoice", name)
		self.until(lambda: self.value("Sales Invoice", name, "fiscal_status"), "Issued")

	def test_7_a_till_of_its_own(self):
		self.page.goto(f"{URL}/app/fiscal-point-of-sale/new")
		self.page.wait_for_load_state("networkidle")
		self.set(company=COMPANY)
		self.set(pos_profile=TILL, branch_code="0002", point_code="000")
		self.save()
		self.assertIn("001 to 999", self.dialog())
		self.set(point_code="017", serial_device="0000000007")
		self.save()
		self.page.wait_for_timeout(800)
		self.shot("panama-point-of-sale")
		name = self.issue()
		row = self.value("POS Invoice", name, "fiscal_document")
		self.assertTrue(self.value("Fiscal Document", row, "fiscal_number").startswith("0002-017-"))
		point = self.page.request.get(
			f"{URL}/api/resource/Fiscal Point of Sale", params={"filters": json.dumps({"pos_profile": TILL})}
		).json()["data"][0]["name"]
		bench("execute", "frappe.delete_doc", "--args", repr(["Fiscal Point of Sale", point]))

	def test_8_a_sale_that_did_not_take_place(self):
		self.page.goto(URL + SETTINGS)
		self.page.wait_for_selector(".fiscal-status")
		self.page.wait_for_load_state("networkidle")
		self.set(enable_cancellation=1)
		self.save()
		name = self.issue()
		self.open_tab("POS Invoice", name)
		self.press("Cancel Fiscal Document")
		reason = self.page.locator('.modal.show [data-fieldname="reason"] textarea')
		reason.fill("Error")
		self.page.locator(".modal.show .btn-primary:visible").click()
		self.page.wait_for_timeout(800)
		self.assertIn("15", self.page.locator(".modal.show .msgprint").inner_text())
		self.open_tab("POS Invoice", name)
		self.press("Cancel Fiscal Document")
		reason.fill("La venta no se realizó")
		self.page.locator(".modal.show .btn-primary:visible").click()
		self.until(lambda: self.value("POS Invoice", name, "fiscal_cancellation"), "Cancelled")
		self.open_tab("POS Invoice", name)
		expect(self.page.locator(".fiscal-cancellation")).to_contain_text("Cancelled")
		self.shot("panama-cancelled")
		self.page.locator(".page-actions .btn-secondary:visible", has_text="Cancel").click()
		self.page.locator(".modal.show .btn-primary:visible").click()
		self.until(lambda: self.value("POS Invoice", name, "docstatus"), 2)

	def test_8_point_of_sale_page(self):
		bench("execute", "fiscal_integration.sample.use_till", "--kwargs", repr({"panama": True}))
		self.page.goto(f"{URL}/app/point-of-sale")
		button = self.page.locator(".fiscal-data-btn")
		expect(button).to_be_visible()
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(1500)
		button.click()
		dialog = self.page.locator(".modal.show", has_text="Fiscal Data")
		expect(dialog).to_be_visible()
		self.page.wait_for_timeout(600)
		dialog.locator('[data-fieldname="fiscal_customer_type"] select').select_option("01")
		number = dialog.locator('[data-fieldname="fiscal_customer_tax_id"] input')
		number.fill("155596713-2-2015")
		number.press("Tab")
		expect(dialog.locator('[data-fieldname="fiscal_customer_dv"] input')).to_have_value("59")
		dialog.get_by_role("button", name="Look Up RUC").click()
		expect(dialog.locator('[data-fieldname="fiscal_customer_name"] input')).to_have_value(BUSINESS)
		self.page.wait_for_timeout(500)
		self.shot("panama-pos-page")
		dialog.locator(".btn-primary:visible", has_text="Take Over").click()
		self.page.wait_for_timeout(800)
		self.assertEqual(
			self.page.evaluate("() => cur_pos.frm.doc.fiscal_customer_tax_id"), "155596713-2-2015"
		)
