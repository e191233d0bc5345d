import requests
from playwright.sync_api import expect

from fiscal_integration.browser.desk import SETTINGS, URL, WRONG_KEY, DeskCase, address, bench, slug


class TestDesk(DeskCase):
	"""What an administrator and a cashier do, in their order."""

	secrets = (WRONG_KEY,)

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		# As after installing, whatever other tests entered.
		for field, value in (("enabled", 0), ("provider", ""), ("server_url", ""), ("environment", "Test")):
			bench("frappe.db.set_single_value", SETTINGS, field, value)

	# -- the administrator -------------------------------------------------------------------------------

	def test_1_settings_are_drawn_and_kept(self):
		self.open_settings()
		expect(self.page.locator(".fiscal-status")).to_contain_text("Disabled")
		self.set(company="Abarrotes La Esperanza", provider="", server_url="")
		self.page.select_option('[data-fieldname="provider"] select', "facturapi")
		self.settle()
		self.assertEqual(
			self.parameters(),
			"issuing_postal_code issuer_tax_regime time_zone default_product_code default_unit_code default_use "
			"default_payment_form credit_note_payment_form untaxed_lines walk_in_sales series webhook_secret".split(),
		)
		self.assertEqual(
			self.page.input_value('[data-fieldname="server_url"] input'), "https://www.facturapi.io/v2"
		)
		self.set(server_url=self.sandbox.url("facturapi"))
		self.page.fill('[data-fieldname="secret_key"] input', self.key)
		self.fill("issuing_postal_code", "44100")
		self.set(enabled=1)
		self.save()
		self.open_settings()
		expect(self.page.locator(".fiscal-status .indicator-pill.green")).to_contain_text("Enabled")
		self.assertEqual(self.parameter("issuing_postal_code").input_value(), "44100")
		self.assertRegex(self.page.input_value('[data-fieldname="secret_key"] input'), r"^\**$")

	def test_2_ping_good_and_bad(self):
		self.open_settings()
		self.assertIn("✓ Connection successful", self.ping())
		self.shot("settings")
		self.fill("secret_key", WRONG_KEY)
		text = self.ping()
		self.assertIn("✗ Connection failed", text)
		self.assertIn("does not accept the secret key", text)
		self.fill("secret_key", self.key)
		self.sandbox.refuse()
		self.assertIn("cannot be reached", self.ping())
		self.sandbox.resume()
		self.assertIn("✓ Connection successful", self.ping())

	def test_3_production_demands_its_own_key(self):
		self.open_settings()
		self.set(environment="Production")
		self.save()
		self.assertIn("has to be entered", self.dialog())
		self.open_settings()
		self.set(environment="Production")
		self.fill("secret_key", self.key)
		self.save()
		self.assertIn("test key", self.dialog())
		self.page.evaluate("() => cur_frm.reload_doc()")

	# -- the cashier -------------------------------------------------------------------------------------

	def test_4_a_pos_invoice_submitted_in_desk_comes_back_issued(self):
		name = self.draft()
		type(self).invoice = name
		self.submit(self.sale_doctype, name)
		expect(self.page.locator(".page-head .indicator-pill", has_text="Paid").first).to_be_visible()
		self.becomes("Issued", name)
		self.open_tab(self.sale_doctype, name)
		expect(self.page.locator(".fiscal-view .indicator-pill.green")).to_contain_text("Issued")
		expect(self.page.locator("img.fiscal-qr")).to_be_visible()
		(issued,) = self.ledger_of(name)
		expect(self.page.locator('[data-fieldname="fiscal_id"]').first).to_contain_text(issued["uuid"])
		self.shot("pos-invoice")
		self.check_qr(issued["uuid"])

	def test_4_each_row_of_a_list_has_its_own_mark(self):
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		(refused,) = self.sell()
		self.becomes("Rejected", refused)
		names = [refused, *self.sell(number=2)]
		for name in names[1:]:
			self.becomes("Issued", name)
		seen = []
		for doctype in ("POS Invoice", "Sales Invoice"):
			with self.subTest(doctype=doctype):
				self.page.goto(address(doctype))
				self.page.wait_for_function(
					"doctype => window.cur_list && cur_list.doctype === doctype", arg=doctype
				)
				self.settle()
				# Frappe opens a list with the filters that its user had last.
				self.page.evaluate("() => cur_list.filter_area.clear()")
				self.settle()
				if doctype == self.sale_doctype:
					row = self.page.locator(".list-row-container", has_text=refused).first
					expect(row.locator(".fiscal-status-pill.red")).to_contain_text("Rejected")
				self.settle()
				shown = self.page.evaluate(
					"""() => Object.fromEntries(cur_list.$result.find(".list-row-checkbox").get().map((box) => {
						const pills = $(box).closest(".list-row").find(".fiscal-status-pill").get();
						return [box.dataset.name, pills.map((pill) => pill.innerText).join()];
					}))"""
				)
				stored = self.page.evaluate(
					"""([doctype, names]) => frappe.db.get_list(doctype, {
						filters: {name: ["in", names]}, fields: ["name", "fiscal_status", "fiscal_cancellation"], limit: 100})""",
					[doctype, list(shown)],
				)
				self.assertEqual(len(stored), len(shown))
				seen += shown
				for row in stored:
					cancelled = row["fiscal_cancellation"] == "Cancelled"
					state = "Cancelled" if cancelled else row["fiscal_status"]
					self.assertEqual(shown[row["name"]], f"Fiscal: {state}" if state else "", row["name"])
		self.assertLessEqual(set(names), set(seen))

	def test_5_the_pdf(self):
		self.open_form(self.sale_doctype, self.invoice)
		path = self.fetch("Download Fiscal PDF")
		self.assertEqual(path, f"/{slug(self.sale_doctype)}/{self.invoice}/fiscal/pdf")
		answer = self.context.request.get(URL + path)
		self.assertEqual(answer.status, 200)
		self.assertIn(f"{self.invoice}-fiscal.pdf", answer.headers["content-disposition"])
		self.assertTrue(answer.body().startswith(b"%PDF"))
		self.assertEqual(requests.get(URL + path, timeout=30).status_code, 404)
		path = f"/{slug(self.sale_doctype)}/{self.draft()}/fiscal/pdf"
		self.assertEqual(self.context.request.get(URL + path).status, 409)

	def test_6_the_fiscal_document_and_its_exchanges(self):
		row = self.value(self.sale_doctype, self.invoice, "fiscal_document")
		self.open_form("Fiscal Document", row)
		expect(self.page.locator(".fiscal-view .indicator-pill.green")).to_contain_text("Issued")
		expect(self.page.locator("img.fiscal-qr")).to_be_visible()
		self.shot("fiscal-document")
		found = self.rows("Integration Request", {"fiscal_document": row}, "fiscal_operation")
		self.assertIn("issue", [entry["fiscal_operation"] for entry in found])

	def test_7_what_is_not_ready_is_told_before_submit(self):
		self.submit(self.sale_doctype, self.draft(customer="Sin Código Postal SA"))
		message = self.modal("Not Ready for the Tax Authority")
		expect(message).to_contain_text("postal code")
		self.shot("not-ready")

	def test_8_a_company_that_no_provider_serves(self):
		self.page.evaluate(
			"""() => frappe.db.insert({doctype: "Company", company_name: "Kiosk Berlin", abbr: "KB",
				default_currency: "EUR", country: "Germany", chart_of_accounts: "Standard"}).catch(() => null)"""
		)
		# From one form to the other within a session, as people go.
		self.open_settings()
		self.page.evaluate("() => frappe.set_route('fiscal-account', 'new')")
		self.connection_form("Fiscal Account")
		self.set(company="Kiosk Berlin")
		expect(self.page.locator(".fiscal-status:visible .indicator-pill")).to_contain_text("Not Available")
		options = self.page.eval_on_selector_all(
			'#page-Fiscal\\ Account [data-fieldname="provider"] select option',
			"options => options.map(option => option.value)",
		)
		self.assertEqual(set(options), {""})
		self.shot("not-available")

	def test_8_disabled_is_grey(self):
		self.open_settings()
		self.set(enabled=0)
		self.save()
		self.open_settings()
		expect(self.page.locator(".fiscal-status .indicator-pill.gray")).to_contain_text("Disabled")

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
