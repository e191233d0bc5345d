import json
import re
import subprocess
import zipfile

from playwright.sync_api import expect

from fiscal_integration.browser.desk import SHOTS, URL, DeskCase, bench

COMPANY = "Abarrotes La Esperanza"


class TestProof(DeskCase):
	"""What finance and an auditor do: read the trail, prove it, take it away, and find what does not agree."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect(1)
		(cls.invoice,) = cls.sell()

	@classmethod
	def connect(cls, enabled):
		values = {"url": cls.sandbox.url("facturapi"), "secret_key": cls.key, "enabled": enabled}
		bench("execute", "fiscal_integration.sample.connect", "--kwargs", repr(values))

	@staticmethod
	def sell():
		return json.loads(bench("execute", "fiscal_integration.sample.sell"))

	@staticmethod
	def change(doctype, name, field, value):
		"""An UPDATE past the program."""
		bench("execute", "frappe.db.set_value", "--args", repr([doctype, name, field, value, None, False]))

	def status(self, name):
		return self.value("POS Invoice", name, "fiscal_status")

	def open_report(self, name, **filters):
		query = "&".join(f"{key}={value}" for key, value in filters.items())
		self.page.goto(f"{URL}/app/query-report/{name}?{query}")
		# What is drawn first may be the report as it is without these filters.
		self.page.wait_for_function(
			"""wanted => window.frappe && frappe.query_report && (frappe.query_report.data || []).length
				&& Object.entries(wanted).every(([key, value]) =>
					frappe.query_report.get_filter_value(key) === value
					&& frappe.query_report.data.every((row) => !(key in row) || row[key] === value))""",
			arg=filters,
		)
		self.page.wait_for_selector(".dt-scrollable .dt-row")
		self.page.wait_for_load_state("networkidle")

	def grid(self) -> str:
		return self.page.locator(".dt-scrollable").inner_text()

	def menu(self, label):
		self.page.locator(".menu-btn-group:visible button").first.click()
		self.page.locator(".menu-btn-group:visible .dropdown-menu li:visible", has_text=label).first.click()
		expect(self.page.locator(".modal.show .btn-modal-primary:visible")).to_be_visible()
		self.page.wait_for_timeout(500)

	def verify(self) -> str:
		with self.page.expect_response(re.compile("verify_record")):
			self.page.get_by_role("button", name="Verify Record").first.click()
		return self.dialog()

	def test_1_the_trail_of_an_invoice(self):
		self.until(lambda: self.status(self.invoice), "Issued")
		type(self).document = self.value("POS Invoice", self.invoice, "fiscal_document")
		self.open_report("Fiscal Audit Trail", fiscal_document=self.document)
		grid = self.grid()
		for words in ("Invoice submitted", "Sent to the provider", "Answered", "holds", self.invoice):
			self.assertIn(words, grid)
		self.shot("audit-trail")
		self.assertIn("as they were written", self.verify())

	def test_2_taken_away_as_a_spreadsheet_and_on_paper(self):
		fiscal_id = self.value("POS Invoice", self.invoice, "fiscal_id")
		self.menu("Export")
		with self.page.expect_download() as download:
			self.page.locator(".modal.show .btn-modal-primary:visible").click()
		self.assertRegex(download.value.suggested_filename, r"\.xlsx$")
		with zipfile.ZipFile(download.value.path()) as book:
			text = "".join(book.read(name).decode() for name in book.namelist() if name.endswith(".xml"))
		for words in ("Invoice submitted", "Sent to the provider", fiscal_id, self.invoice):
			self.assertIn(words, text)
		self.menu("PDF")
		with self.page.expect_download() as download:
			self.page.locator(".modal.show .btn-modal-primary:visible").click()
		self.assertRegex(download.value.suggested_filename, r"\.pdf$")
		path = str(download.value.path())
		text = subprocess.run(
			["pdftotext", "-raw", path, "-"], capture_output=True, text=True, check=True
		).stdout
		text = "".join(text.split())
		for words in ("FiscalAuditTrail", "Invoicesubmitted", "Senttotheprovider", fiscal_id, self.invoice):
			self.assertIn(words, text)
		if SHOTS:
			subprocess.run(
				["pdftoppm", "-png", "-r", "80", "-f", "1", "-singlefile", path, f"{SHOTS}/audit-trail-pdf"],
				check=True,
			)

	def test_3_the_form_names_the_row_that_was_changed(self):
		page = f"{URL}/app/fiscal-document/{self.document}"
		self.page.goto(page)
		self.page.wait_for_selector(".fiscal-view")
		self.page.wait_for_load_state("networkidle")
		self.assertIn("as they were written", self.verify())
		filters = json.dumps([["fiscal_chain", "=", self.document]])
		found = self.context.request.get(f"{URL}/api/resource/Integration Request?filters={filters}")
		(request,) = [row["name"] for row in found.json()["data"]]
		output = self.value("Integration Request", request, "output")
		self.change("Integration Request", request, "output", f"{output}x")
		with self.page.expect_response(re.compile("verify_record")):
			self.page.get_by_role("button", name="Verify Record").first.click()
		message = self.page.locator(".modal.show .msgprint").first
		expect(message).to_contain_text("Row 1 was changed")
		expect(message).to_contain_text(request)
		self.page.wait_for_timeout(400)
		self.shot("audit-broken")
		self.open_report("Fiscal Audit Trail", fiscal_document=self.document)
		self.assertIn("Row 1 was changed", self.grid())
		self.change("Integration Request", request, "output", output)

	def test_4_what_does_not_agree_and_generate(self):
		self.connect(0)
		(missing,) = self.sell()
		self.connect(1)
		total = self.value("Fiscal Document", self.document, "provider_total")
		self.change("Fiscal Document", self.document, "provider_total", total + 1)
		self.open_report("Fiscal Reconciliation", company=COMPANY)
		# The grid draws only the rows that are on the screen, and other tests have left findings too.
		found = self.page.evaluate("() => frappe.query_report.data.map((row) => [row.invoice, row.kind])")
		self.assertIn([missing, "No Fiscal Document"], found)
		self.assertIn([self.invoice, "Amounts Differ"], found)
		expect(self.page.locator(".report-summary")).to_contain_text("No Fiscal Document")
		self.shot("reconciliation")
		self.change("Fiscal Document", self.document, "provider_total", total)
		row = self.page.evaluate(
			"name => frappe.query_report.data.findIndex((row) => row.invoice === name)", missing
		)
		self.page.evaluate("row => frappe.query_report.datatable.rowmanager.checkRow(row, true)", row)
		self.page.get_by_role("button", name="Generate").first.click()
		expect(self.page.locator(".modal.show")).to_contain_text("1 invoices")
		self.page.wait_for_timeout(500)
		self.page.locator(".modal.show .btn-primary:visible").click()
		expect(self.page.locator(".modal.show .msgprint")).to_contain_text("FB-")
		self.until(lambda: self.status(missing), "Issued")
		self.open_report(
			"Fiscal Audit Trail", fiscal_document=self.value("POS Invoice", missing, "fiscal_document")
		)
		self.assertIn("FB-", self.grid())
		self.no_secret_and_no_script_error()
