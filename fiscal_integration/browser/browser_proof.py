import re
import subprocess
import zipfile

from playwright.sync_api import expect

from fiscal_integration.browser.desk import SHOTS, DeskCase, bench

COMPANY = "Abarrotes La Esperanza"


class TestProof(DeskCase):
	"""What finance and an auditor do: read the trail, prove it, take it away, and find what does not agree."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect()
		(cls.invoice,) = cls.sell()

	@staticmethod
	def change(doctype, name, field, value):
		"""An UPDATE past the program."""
		bench("frappe.db.set_value", doctype, name, field, value, update_modified=False)

	def grid(self) -> str:
		return self.page.locator(".dt-scrollable").inner_text()

	def take_away(self, label):
		"""What the menu's entry makes, when its dialog was answered."""
		self.menu(label)
		with self.page.expect_download() as download:
			self.modal().locator(".btn-modal-primary:visible").click()
		return download.value

	def verify(self) -> str:
		with self.page.expect_response(re.compile("verify_record")):
			self.page.get_by_role("button", name="Verify Record").first.click()
		return self.dialog()

	def test_1_the_trail_of_an_invoice(self):
		self.becomes("Issued", self.invoice)
		type(self).document = self.value(self.sale_doctype, self.invoice, "fiscal_document")
		self.open_report("Fiscal Audit Trail", fiscal_document=self.document)
		grid = self.grid()
		for words in ("Invoice submitted", "Sent to the provider", "Answered", "holds", self.invoice):
			self.assertIn(words, grid)
		self.shot("audit-trail")
		self.assertIn("as they were written", self.verify())

	def test_2_taken_away_as_a_spreadsheet_and_on_paper(self):
		fiscal_id = self.value(self.sale_doctype, self.invoice, "fiscal_id")
		download = self.take_away("Export")
		self.assertRegex(download.suggested_filename, r"\.xlsx$")
		with zipfile.ZipFile(download.path()) as book:
			text = "".join(book.read(name).decode() for name in book.namelist() if name.endswith(".xml"))
		for words in ("Invoice submitted", "Sent to the provider", fiscal_id, self.invoice):
			self.assertIn(words, text)
		download = self.take_away("PDF")
		self.assertRegex(download.suggested_filename, r"\.pdf$")
		path = str(download.path())
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
		self.open_form("Fiscal Document", self.document)
		self.assertIn("as they were written", self.verify())
		(found,) = self.rows("Integration Request", {"fiscal_chain": self.document})
		request = found["name"]
		output = self.value("Integration Request", request, "output")
		self.change("Integration Request", request, "output", f"{output}x")
		with self.page.expect_response(re.compile("verify_record")):
			self.page.get_by_role("button", name="Verify Record").first.click()
		message = self.modal()
		expect(message).to_contain_text("Row 1 was changed")
		expect(message).to_contain_text(request)
		self.shot("audit-broken")
		self.open_report("Fiscal Audit Trail", fiscal_document=self.document)
		self.assertIn("Row 1 was changed", self.grid())
		self.change("Integration Request", request, "output", output)

	def test_4_what_does_not_agree_and_generate(self):
		self.connect(enabled=0)
		(missing,) = self.sell()
		self.connect()
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
		self.confirm("1 invoices")
		expect(self.page.locator(".modal.show .msgprint")).to_contain_text("FB-")
		self.becomes("Issued", missing)
		self.open_report(
			"Fiscal Audit Trail", fiscal_document=self.value(self.sale_doctype, missing, "fiscal_document")
		)
		self.assertIn("FB-", self.grid())
		self.no_secret_and_no_script_error()
