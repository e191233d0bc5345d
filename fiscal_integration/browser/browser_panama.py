import unittest

from playwright.sync_api import expect

from fiscal_integration.browser.desk import SETTINGS, URL, DeskCase, address, bench
from fiscal_integration.sandbox.reading import read_pdf

COMPANY = "Mercadito del Istmo"
BUSINESS = "Distribuidora Chiriquí, S.A."
TILL = "Caja Panamá"


class PanamaCase(DeskCase):
	"""One provider behind the settings page, from its fields to the PDF; the tests build on each other."""

	transport = ""
	company = COMPANY
	country = "panama"

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		bench(f"fiscal_integration.sample.set_up_{cls.country}")
		bench("frappe.delete_doc_if_exists", "Fiscal Account", cls.company)
		bench("frappe.db.delete", "Fiscal Point of Sale", {"company": cls.company})

	def enter_connection(self):
		"""Enter the settings as an administrator does."""
		bench("frappe.db.set_single_value", SETTINGS, "enabled", 0)
		self.open_settings()
		self.set(company=self.company)
		self.set(provider=self.provider, environment="Test")
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

	@classmethod
	def draft(cls, doctype=None, **values):
		return super().draft(doctype, **{cls.country: True}, **values)

	def issue(self, doctype=None, **values) -> str:
		name = self.draft(doctype, **values)
		doctype = doctype or self.sale_doctype
		self.submit(doctype, name)
		self.becomes("Issued", name, doctype)
		return name

	def give_back(self, doctype, name) -> str:
		"""A return of all of an invoice, by ERPNext's own action. Returns its name."""
		self.open_form(doctype, name)
		module = doctype.lower().replace(" ", "_")
		self.page.evaluate(
			"([source_name, method]) => frappe.model.open_mapped_doc({source_name, method})",
			[name, f"erpnext.accounts.doctype.{module}.{module}.make_sales_return"],
		)
		self.form(doctype)
		return self.submit()

	def check_pdf(self, code):
		"""The fiscal PDF of the invoice that is open, over its route; its text and its QR read by programs that know
		nothing of us."""
		answer = self.context.request.get(URL + self.fetch("Download Fiscal PDF"))
		self.assertTrue(answer.body().startswith(b"%PDF"))
		try:
			text, qr = read_pdf(answer.body())
		except unittest.SkipTest:
			return
		self.assertIn(code, text)
		self.assertIn(code, qr)


class Walk:
	"""What is seen with each of them."""

	def test_1_the_settings_draw_the_providers_own_fields(self):
		self.enter_connection()
		self.assertLessEqual(set(self.sandbox.parameters(self.provider)), set(self.parameters()))
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
		self.open_tab(self.sale_doctype, name)
		code = self.value(self.sale_doctype, name, "fiscal_id")
		(issued,) = [entry for entry in self.sandbox.ledger(self.provider) if entry["uuid"] == code]
		self.assertTrue(issued["external_id"].startswith(name))
		self.assertTrue(self.value(self.sale_doctype, name, "fiscal_authorization"))
		self.assertTrue(self.value(self.sale_doctype, name, "fiscal_qr_image").startswith("data:image/png"))
		self.check_qr(code)
		self.shot(f"panama-{self.provider}{self.transport.lower()}-invoice")
		self.check_pdf(code)
		self.page.goto(f"{address(self.sale_doctype)}?name={name}")
		row = self.page.locator(".list-row-container", has_text=name).first
		expect(row.locator(".fiscal-status-pill.green")).to_contain_text("Issued")

	def test_3_cancelling_is_refused_and_a_credit_note_offered(self):
		self.open_form(self.sale_doctype, self.invoice)
		self.cancel()
		message = self.modal("cannot be cancelled")
		expect(message).to_contain_text("credit note")
		self.shot(f"panama-{self.provider}{self.transport.lower()}-refused")
		message.get_by_role("button", name="Make a Credit Note").click()
		self.form(self.sale_doctype)
		self.assertEqual(self.page.evaluate("() => cur_frm.doc.return_against"), self.invoice)

	def test_4_a_sales_invoice_of_every_kind(self):
		for customer in (BUSINESS, "Ana Lucía Batista", "Pacific Outfitters Inc"):
			with self.subTest(customer):
				self.issue("Sales Invoice", customer=customer)

	def test_4_taxes_and_discounts_of_every_kind(self):
		coffee = [["CAFE-500", 2, 145]]
		for kind, values in (
			("ITBMS of 15 %", {"items": coffee, "taxes": [["ITBMS 15", 15]]}),
			(
				"ITBMS of 10 % included",
				{"items": coffee, "taxes": [["ITBMS 10", 10, {"included_in_print_rate": 1}]]},
			),
			("an exempt row", {"items": [["CAFE-500", 1, 10], ["LIBRO-01", 1, 20]]}),
			(
				"a discount on the whole",
				{"values": {"apply_discount_on": "Grand Total", "additional_discount_percentage": 15}},
			),
			(
				"a free row",
				{
					"items": [
						["CAFE-500", 1, 10],
						{"item_code": "AGUA-1L", "qty": 2, "rate": 0, "price_list_rate": 0},
					]
				},
			),
			("a hundred thousand at 0.35", {"items": [["AGUA-1L", 100000, 0.35]], "taxes": "inclusive"}),
		):
			with self.subTest(kind):
				name = self.issue("Sales Invoice", customer=BUSINESS, **values)
				code = self.value("Sales Invoice", name, "fiscal_id")
				(entry,) = [entry for entry in self.sandbox.ledger(self.provider) if entry["uuid"] == code]
				self.assertAlmostEqual(
					float(entry["total"]), self.value("Sales Invoice", name, "grand_total"), 2
				)

	def test_4_a_wrong_ruc_is_told_before_submit(self):
		name = self.draft("Sales Invoice", customer="RUC Equivocado, S.A.")
		self.submit("Sales Invoice", name)
		self.assertIn("155-X", self.dialog())
		self.assertEqual(self.value("Sales Invoice", name, "docstatus"), 0)

	def test_5_a_credit_note(self):
		original = self.issue("Sales Invoice", customer=BUSINESS)
		note = self.give_back("Sales Invoice", original)
		self.becomes("Issued", note, "Sales Invoice")
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
		name = self.draft("Sales Invoice", customer=BUSINESS)
		self.open_form("Sales Invoice", name)
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		section = self.page.locator('[data-fieldname="fiscal_data_section"]')
		expect(section).to_be_visible()
		expect(self.page.locator('[data-fieldname="fiscal_customer_dv"] input')).to_have_attribute(
			"placeholder", "59"
		)
		self.fill("fiscal_customer_tax_id", "45400-2-299934")
		expect(self.page.locator('[data-fieldname="fiscal_customer_dv"] input')).to_have_value("09")
		self.fill("fiscal_customer_tax_id", "155596713-2-2015")
		expect(self.page.locator('[data-fieldname="fiscal_customer_dv"] input')).to_have_value("59")
		self.press("Look Up RUC")
		expect(self.page.locator('[data-fieldname="fiscal_customer_name"] input')).to_have_value(BUSINESS)
		section.scroll_into_view_if_needed()
		self.shot("panama-fiscal-data")
		self.page.evaluate("() => cur_frm.set_value('fiscal_customer_email', 'compras@example.com')")
		self.save()
		self.submit("Sales Invoice", name)
		self.becomes("Issued", name, "Sales Invoice")

	def test_7_a_till_of_its_own(self):
		self.open_form("Fiscal Point of Sale")
		self.set(company=COMPANY)
		self.set(pos_profile=TILL, branch_code="0002", point_code="000")
		self.save()
		self.assertIn("001 to 999", self.dialog())
		self.set(point_code="017", serial_device="0000000007")
		self.save()
		self.shot("panama-point-of-sale")
		name = self.issue()
		row = self.value(self.sale_doctype, name, "fiscal_document")
		self.assertTrue(self.value("Fiscal Document", row, "fiscal_number").startswith("0002-017-"))
		point = self.rows("Fiscal Point of Sale", {"pos_profile": TILL})[0]["name"]
		bench("frappe.delete_doc", "Fiscal Point of Sale", point)

	def test_8_a_sale_that_did_not_take_place(self):
		self.open_settings()
		self.set(enable_cancellation=1)
		self.save()
		name = self.issue()
		self.open_tab(self.sale_doctype, name)
		self.press("Cancel Fiscal Document")
		reason = self.page.locator('.modal.show [data-fieldname="reason"] textarea')
		reason.fill("Error")
		self.confirm()
		expect(self.page.locator(".modal.show .msgprint")).to_contain_text("15")
		self.open_tab(self.sale_doctype, name)
		self.press("Cancel Fiscal Document")
		reason.fill("La venta no se realizó")
		self.confirm()
		self.becomes("Cancelled", name, field="fiscal_cancellation")
		self.open_tab(self.sale_doctype, name)
		expect(self.page.locator(".fiscal-cancellation")).to_contain_text("Cancelled")
		self.shot("panama-cancelled")
		self.cancel()
		self.becomes(2, name, field="docstatus")

	def test_8_point_of_sale_page(self):
		bench("fiscal_integration.sample.use_till", panama=True)
		self.page.goto(address("Point of Sale"))
		button = self.page.locator(".fiscal-data-btn")
		expect(button).to_be_visible()
		# The page makes its invoice when it has what it shows.
		self.page.wait_for_function("() => window.cur_pos && cur_pos.frm && cur_pos.frm.doc")
		self.settle()
		button.click()
		dialog = self.modal("Fiscal Data")
		dialog.locator('[data-fieldname="fiscal_customer_type"] select').select_option("01")
		number = dialog.locator('[data-fieldname="fiscal_customer_tax_id"] input')
		number.fill("155596713-2-2015")
		number.press("Tab")
		expect(dialog.locator('[data-fieldname="fiscal_customer_dv"] input')).to_have_value("59")
		dialog.get_by_role("button", name="Look Up RUC").click()
		expect(dialog.locator('[data-fieldname="fiscal_customer_name"] input')).to_have_value(BUSINESS)
		dialog.locator('input[data-fieldname="fiscal_customer_address"]').fill("Vía España, local 3")
		place = dialog.locator('input[data-fieldname="fiscal_customer_location"]')
		place.click()
		self.page.keyboard.type("panama bella vista", delay=40)
		expect(dialog.locator(".awesomplete li", has_text="8-8-7")).to_be_visible()
		self.shot("panama-pos-page")
		dialog.locator(".awesomplete li", has_text="8-8-7").click()
		dialog.locator(".btn-primary:visible", has_text="Take Over").click()
		self.until(
			lambda: self.page.evaluate("() => cur_pos.frm.doc.fiscal_customer_tax_id"), "155596713-2-2015"
		)
		self.until(lambda: self.page.evaluate("() => cur_pos.frm.doc.fiscal_customer_location"), "8-8-7")
