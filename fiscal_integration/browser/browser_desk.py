import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import requests
from playwright.sync_api import expect

from fiscal_integration.browser.desk import URL, WRONG_KEY, DeskCase, bench


class TestDesk(DeskCase):
	"""What an administrator and a cashier do, in their order."""

	secrets = (WRONG_KEY,)

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		# As after installing, whatever other tests entered.
		for field, value in (("enabled", 0), ("provider", ""), ("server_url", ""), ("environment", "Test")):
			bench(
				"execute",
				"frappe.db.set_single_value",
				"--args",
				repr(["Fiscal Integration Settings", field, value]),
			)

	# -- the administrator -------------------------------------------------------------------------------

	def test_1_settings_are_drawn_and_kept(self):
		self.open_settings()
		expect(self.page.locator(".fiscal-status")).to_contain_text("Disabled")
		self.set(company="Abarrotes La Esperanza", provider="", server_url="")
		self.page.select_option('[data-fieldname="provider"] select', "facturapi")
		self.page.wait_for_timeout(500)
		drawn = self.page.eval_on_selector_all(
			'[data-fieldname="parameters_html"] .frappe-control',
			"controls => controls.map(control => control.dataset.fieldname)",
		)
		self.assertEqual(
			drawn,
			"issuing_postal_code time_zone default_product_code default_unit_code default_use "
			"default_payment_form credit_note_payment_form untaxed_lines walk_in_sales series webhook_secret".split(),
		)
		self.assertEqual(
			self.page.input_value('[data-fieldname="server_url"] input'), "https://www.facturapi.io/v2"
		)
		self.set(server_url=self.sandbox.url("facturapi"))
		self.page.fill('[data-fieldname="secret_key"] input', self.key)
		self.parameter("issuing_postal_code").fill("44100")
		self.parameter("issuing_postal_code").press("Tab")
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
		self.page.fill('[data-fieldname="secret_key"] input', WRONG_KEY)
		self.page.locator('[data-fieldname="secret_key"] input').press("Tab")
		text = self.ping()
		self.assertIn("✗ Connection failed", text)
		self.assertIn("does not accept the secret key", text)
		self.page.fill('[data-fieldname="secret_key"] input', self.key)
		self.page.locator('[data-fieldname="secret_key"] input').press("Tab")
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
		self.page.fill('[data-fieldname="secret_key"] input', self.key)
		self.page.locator('[data-fieldname="secret_key"] input').press("Tab")
		self.save()
		self.assertIn("test key", self.dialog())
		self.page.evaluate("() => cur_frm.reload_doc()")

	# -- the cashier -------------------------------------------------------------------------------------

	def test_4_a_pos_invoice_submitted_in_desk_comes_back_issued(self):
		name = bench("execute", "fiscal_integration.sample.draft")
		type(self).invoice = name
		self.submit(name)
		expect(self.page.locator(".page-head .indicator-pill", has_text="Paid").first).to_be_visible()
		self.until(lambda: self.value("POS Invoice", name, "fiscal_status"), "Issued")
		self.page.goto(f"{URL}/app/pos-invoice/{name}")
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		expect(self.page.locator(".fiscal-view .indicator-pill.green")).to_contain_text("Issued")
		expect(self.page.locator("img.fiscal-qr")).to_be_visible()
		(issued,) = [
			entry for entry in self.sandbox.ledger("facturapi") if entry["external_id"].startswith(name + ".")
		]
		expect(self.page.locator('[data-fieldname="fiscal_id"]').first).to_contain_text(issued["uuid"])
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(1000)
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		self.page.wait_for_timeout(1000)
		self.shot("pos-invoice")
		self.read_qr(issued["uuid"])

	def read_qr(self, uuid):
		"""A program that knows nothing of us reads the code off the screen."""
		if not shutil.which("zbarimg"):
			return
		with tempfile.TemporaryDirectory() as folder:
			path = Path(folder, "screen.png")
			self.page.locator("img.fiscal-qr").screenshot(path=path)
			read = subprocess.run(
				["zbarimg", "-q", "--raw", str(path)], capture_output=True, text=True, check=False
			)
		self.assertIn(uuid, read.stdout)

	def test_5_the_pdf(self):
		self.page.goto(f"{URL}/app/pos-invoice/{self.invoice}")
		group = self.page.locator(".inner-group-button", has_text="Fiscal").first
		group.locator("button").first.click()
		with self.page.expect_response(re.compile("fiscal_integration.api.fetch_file")) as info:
			self.page.get_by_text("Download Fiscal PDF").first.click()
		path = info.value.json()["message"]
		self.assertEqual(path, f"/pos-invoice/{self.invoice}/fiscal/pdf")
		answer = self.context.request.get(URL + path)
		self.assertEqual(answer.status, 200)
		self.assertIn(f"{self.invoice}-fiscal.pdf", answer.headers["content-disposition"])
		self.assertTrue(answer.body().startswith(b"%PDF"))
		self.assertEqual(requests.get(URL + path, timeout=30).status_code, 404)
		draft = bench("execute", "fiscal_integration.sample.draft")
		self.assertEqual(self.context.request.get(f"{URL}/pos-invoice/{draft}/fiscal/pdf").status, 409)

	def test_6_the_fiscal_document_and_its_exchanges(self):
		row = self.context.request.get(f"{URL}/api/resource/POS Invoice/{self.invoice}").json()["data"][
			"fiscal_document"
		]
		self.page.goto(f"{URL}/app/fiscal-document/{row}")
		expect(self.page.locator(".fiscal-view .indicator-pill.green")).to_contain_text("Issued")
		expect(self.page.locator("img.fiscal-qr")).to_be_visible()
		self.page.wait_for_timeout(500)
		self.shot("fiscal-document")
		found = self.context.request.get(
			f"{URL}/api/resource/Integration Request",
			params={
				"filters": json.dumps([["fiscal_document", "=", row]]),
				"fields": json.dumps(["name", "status", "fiscal_operation"]),
			},
		).json()["data"]
		self.assertIn("issue", [entry["fiscal_operation"] for entry in found])

	def test_7_what_is_not_ready_is_told_before_submit(self):
		name = bench(
			"execute",
			"fiscal_integration.sample.draft",
			"--kwargs",
			json.dumps({"customer": "Sin Código Postal SA"}),
		)
		self.submit(name)
		message = self.page.locator(".modal.show", has_text="Not Ready for the Tax Authority")
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
		# The address changes before the form does.
		self.page.wait_for_function("() => cur_frm?.doctype === 'Fiscal Account' && cur_frm.is_new()")
		self.page.wait_for_selector("#page-Fiscal\\ Account .fiscal-status:visible")
		self.page.wait_for_load_state("networkidle")
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
