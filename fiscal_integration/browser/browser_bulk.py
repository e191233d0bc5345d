import json
import re

from playwright.sync_api import expect

from fiscal_integration.browser.desk import PATIENCE, DeskCase, address

GENERATE = "Generate Fiscal Documents"
PASSWORD = "Caja-Registradora-77"
CASHIER = "bulk-cashier@example.com"


class TestBulk(DeskCase):
	"""Sales made while the app was off, and what a manager does about all of them at once."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect(enabled=0)
		# Other tests send as many at once as the provider bears.
		cls.addClassCleanup(cls.connect, max_concurrent=0)
		cls.names = cls.sell(7)
		cls.unfinished = cls.draft()
		cls.connect(enabled=1)

	@classmethod
	def connect(cls, **values):
		# One at a time, so that a batch can be watched.
		super().connect(**{"max_concurrent": 1, "batch_enabled": 0, **values})

	def open_list(self):
		names = json.dumps(["in", [*self.names, self.unfinished]])
		self.page.goto(f"{address(self.sale_doctype)}?name={names}")
		expect(self.page.locator(".list-row-container .list-row-checkbox")).to_have_count(8)
		self.settle()

	def preview(self):
		return self.modal().locator(".fiscal-bulk-preview")

	def test_1_ticked_rows_are_counted_before_anything_is_done(self):
		self.open_list()
		self.tick([self.names[0], self.names[1], self.unfinished])
		self.act(GENERATE)
		shown = self.preview()
		expect(shown).to_contain_text("3 selected. 2 will be sent.")
		expect(shown).to_contain_text("2 have no fiscal document and get one.")
		expect(shown.locator(".fiscal-bulk-left")).to_contain_text("A draft: submit it first.")
		self.page.locator(".modal.show .btn-modal-close:visible").first.click()
		expect(self.page.locator(".modal.show")).to_have_count(0)
		self.assertFalse(self.value(self.sale_doctype, self.names[0], "fiscal_document"))

	def test_2_all_that_match_and_a_reload_in_the_middle(self):
		# Longer than all that is to be seen of it while it runs.
		self.sandbox.set_option("facturapi", latency=8.0)
		self.sandbox.fault(
			"facturapi", "status", match=f"{self.names[0]}.", status=400, code="invalid_request"
		)
		self.open_list()
		self.menu(GENERATE)
		shown = self.preview()
		expect(shown).to_contain_text("8 match the filters of this list. 7 will be sent.")
		expect(shown.locator(".fiscal-bulk-left tr")).to_have_count(1)
		self.shot("bulk-preview")
		self.page.locator(".modal.show .btn-primary:visible", has_text="Send 7").click()
		expect(self.page.locator(".desk-alert", has_text="7 are on their way")).to_be_visible()
		strip = self.page.locator(".fiscal-bulk-strip", has_text="of 7 issued")
		expect(strip).to_be_visible()
		self.page.reload()
		expect(strip).to_be_visible()
		self.shot("bulk-list")
		strip.locator("a").click()
		progress = self.page.locator('.fiscal-batch-bar .fiscal-progress[data-status="Running"]')
		expect(progress).to_contain_text("waiting")
		self.page.reload()
		expect(progress).to_contain_text("waiting")
		self.sandbox.set_option("facturapi", latency=0.0)
		done = self.page.locator('.fiscal-batch-bar .fiscal-progress[data-status="Finished"]')
		expect(done).to_contain_text("6 of 7 issued · 1 need a person", timeout=2 * PATIENCE)
		expect(self.page.locator(".fiscal-batch-errors tbody tr")).to_have_count(1)
		expect(self.page.locator(".fiscal-bulk-left")).to_contain_text("A draft: submit it first.")
		expect(self.page.locator('[data-fieldname="summary"]')).to_contain_text("Issued: 6")
		self.settle()
		self.shot("bulk-batch")
		self.page.locator(".fiscal-batch-errors tbody a").click()
		self.page.wait_for_url(re.compile("fiscal-document"))
		expect(self.page.locator(".list-row-container .list-row-checkbox")).to_have_count(1)

	def test_3_what_is_issued_is_not_sent_again(self):
		self.open_list()
		self.menu(GENERATE)
		shown = self.preview()
		expect(shown).to_contain_text("1 were refused or failed")
		expect(shown.locator(".fiscal-bulk-left")).to_contain_text("Issued already.")
		self.page.locator(".modal.show .btn-primary:visible", has_text="Send 1").click()
		for name in self.names:
			self.becomes("Issued", name)
			self.assertEqual(len(self.ledger_of(name)), 1, name)

	def test_4_filters_by_fiscal_state(self):
		self.open_list()
		for label, number in (
			("Issued", 7),
			("Error", 0),
			("Cancelled", 0),
			("Without Document", 0),
			("All", 8),
		):
			if label == "Error":
				self.page.locator('.inner-group-button[data-label="Fiscal"] button').first.click()
				self.shot("bulk-filters")
			self.press(label)
			expect(self.page.locator(".list-row-container .list-row-checkbox")).to_have_count(number)
		expect(self.page.locator(".fiscal-status-pill.green")).to_have_count(7)

	def test_5_who_has_not_the_role_is_not_offered_it_and_refused(self):
		self.ensure_user(CASHIER, ["Accounts User", "Fiscal User"], PASSWORD)
		self.log_in(CASHIER, PASSWORD)
		page = self.page
		page.goto(address(self.sale_doctype))
		page.wait_for_selector(".list-row-container .list-row-checkbox")
		self.settle()
		# ERPNext's own entry is there, ours is not.
		own = {"POS Invoice": "Make Merge Log", "Sales Invoice": "Payment"}[self.sale_doctype]
		self.assertTrue(page.locator(".actions-btn-group .dropdown-menu", has_text=own).count())
		self.assertEqual(page.get_by_text(GENERATE).count(), 0)
		for method in ("preview_bulk", "start_bulk"):
			status = page.evaluate(
				"""([method, doctype, names]) => fetch(`/api/method/fiscal_integration.api.${method}`, {method: "POST",
					headers: {"Content-Type": "application/json", "X-Frappe-CSRF-Token": frappe.csrf_token},
					body: JSON.stringify({doctype, names})}).then((answer) => answer.status)""",
				[method, self.sale_doctype, self.names],
			)
			self.assertEqual(status, 403, method)

	def test_9_no_answer_ever_held_a_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
