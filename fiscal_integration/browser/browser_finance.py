import re
import time

from playwright.sync_api import expect

from fiscal_integration.browser.desk import SETTINGS, URL, DeskCase, address, bench

REFUSED, RIGHT = "EFO010101EF0", "PCE950708QX2"
"""An RFC of the right form that SAT does not know, and one that it does."""
LOGS = re.compile(r"/app/(error-log|integration-request)", re.I)


class TestFinance(DeskCase):
	"""Somebody in finance, who is no administrator and reads no log, mends a refused invoice and cancels another."""

	user, password = "finance@example.com", "Libro-Mayor-3306"
	# ERPNext lets those with the accounts' roles read customers only.
	roles = ("Accounts Manager", "Sales User", "Fiscal Manager")

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect(enable_cancellation=0)
		cls.places = []
		cls.page.on("framenavigated", lambda frame: cls.places.append(frame.url))
		cls.customer = f"Ferretería {int(time.time())} SA de CV"
		bench(
			"fiscal_integration.sample._ensure_customer",
			cls.customer,
			{
				"tax_id": REFUSED,
				"fiscal_tax_regime": "601",
				"fiscal_document_use": "G03",
				"fiscal_postal_code": "44100",
			},
		)
		cls.invoice = cls.sale(customer=cls.customer)

	def test_1_the_workspace_tells_of_a_refused_invoice(self):
		self.becomes("Rejected", self.invoice, "Sales Invoice")
		self.page.goto(f"{URL}/app/fiscal-integration")
		card = self.page.locator(".number-widget-box", has=self.page.get_by_text("Errors", exact=True))
		expect(card.locator(".number")).to_have_text(re.compile(r"[1-9]"))
		self.settle()
		self.shot("finance-workspace")
		card.locator(".number").click()
		row = self.page.locator(".list-row-container", has_text=self.invoice)
		expect(row).to_contain_text("Rejected")
		expect(row.locator(".fiscal-why")).to_contain_text("El RFC no está en la lista")
		self.settle()
		self.shot("finance-errors")
		row.locator(".list-subject a").first.click()
		type(self).document = self.value("Sales Invoice", self.invoice, "fiscal_document")
		self.form("Fiscal Document", self.document)

	def test_2_what_is_wrong_and_what_to_do_is_told_in_words(self):
		view = self.page.locator(".fiscal-view:visible")
		expect(view.locator(".indicator-pill").first).to_have_text("Rejected")
		expect(view).to_contain_text("refused the data: correct them, then send again")
		expect(view.locator(".fiscal-todo")).to_contain_text("Correct what the error names, then Send Again.")
		expect(view.locator(".fiscal-error")).to_contain_text(
			"Tax ID of the Customer: El RFC no está en la lista de inscritos del SAT"
		)
		expect(view.locator(".fiscal-places")).to_contain_text(f"Sales Invoice: {self.invoice}")
		self.shot("finance-refused")

	def test_3_the_customer_is_a_click_away_and_is_mended(self):
		self.page.locator(".fiscal-places:visible a", has_text=self.customer).click()
		self.form("Customer", self.customer)
		self.page.get_by_role("tab", name="Tax", exact=True).click()
		expect(self.page.locator('[data-fieldname="tax_id"]:visible input')).to_have_value(REFUSED)
		self.shot("finance-customer")
		self.fill("tax_id", RIGHT)
		self.page.keyboard.press("Control+s")
		self.becomes(RIGHT, self.customer, "Customer", "tax_id")

	def test_4_it_is_sent_again_and_seen_to_be_issued(self):
		# Back to the list where she came from, and into the invoice.
		self.page.go_back()
		self.form("Fiscal Document", self.document)
		self.page.locator(".fiscal-places:visible a", has_text=self.invoice).click()
		self.form("Sales Invoice", self.invoice)
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		self.press("Send Again")
		pill = self.page.locator(".fiscal-view:visible .indicator-pill").first
		expect(pill).to_have_text("Issued")
		expect(self.page.locator("img.fiscal-qr:visible")).to_be_visible()
		expect(self.page.locator(".fiscal-places:visible")).to_have_count(0)
		(issued,) = self.ledger_of(self.invoice)
		self.assertEqual(issued["customer"], RIGHT)
		expect(self.page.locator(".fiscal-view:visible code")).to_have_text(issued["uuid"])
		self.shot("finance-issued")

	def test_5_the_whole_story_is_in_the_audit_trail(self):
		self.page.goto(f"{URL}/app/fiscal-integration")
		self.page.locator(".shortcut-widget-box", has_text="Fiscal Audit Trail").click()
		self.report()
		filters = self.page.locator(".page-form:visible")
		filters.locator('[data-fieldname="reference_doctype"] select').select_option("Sales Invoice")
		filters.locator('[data-fieldname="invoice"] input:visible').fill(self.invoice)
		self.page.locator(".awesomplete [role=option]:visible", has_text=self.invoice).first.click()
		self.report(invoice=self.invoice)
		told = self.page.evaluate(
			"() => frappe.query_report.data.map((row) => [row.event, row.who, row.outcome])"
		)
		events = [event for event, _who, _outcome in told]
		self.assertEqual(
			events,
			[
				"Invoice submitted",
				"Sent to the provider",
				"Queued again",
				"Sent to the provider",
				"Fiscal document: Issued",
			],
		)
		self.assertEqual(
			[outcome for event, _who, outcome in told if event.startswith("Sent")], ["Refused", "Answered"]
		)
		self.assertEqual(told[2][1], self.user)
		self.assertEqual(told[4][2], self.value("Sales Invoice", self.invoice, "fiscal_id"))
		answers = self.page.evaluate("() => frappe.query_report.data.map((row) => row.answer)")
		self.assertIn("RFC", answers[1])
		self.shot("finance-trail")
		self.assertEqual([place for place in self.places if LOGS.search(place)], [])

	def test_6_cancelling_is_switched_on(self):
		self.open_tab("Sales Invoice", self.invoice)
		self.assertNotIn("Cancel Fiscal Document", self.page.evaluate("() => cur_frm.fiscal_buttons"))
		self.open_settings()
		self.page.locator('[data-fieldname="enable_cancellation"] input').first.check()
		self.save()
		self.assertEqual(self.value(SETTINGS, SETTINGS, "enable_cancellation"), 1)

	def test_7_another_is_cancelled_at_the_authority_and_then_here(self):
		self.sandbox.set_option("facturapi", cancellation="accepted")
		name = self.sale()
		self.becomes("Issued", name, "Sales Invoice")
		self.page.goto(f"{address('Sales Invoice')}?name={name}")
		self.page.locator(".list-row-container", has_text=name).locator(".list-subject a").first.click()
		self.form("Sales Invoice", name)
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		self.press("Cancel Fiscal Document")
		dialog = self.modal()
		dialog.locator('[data-fieldname="motive"] select').select_option("02")
		self.shot("finance-cancel")
		self.confirm()
		told = self.page.locator(".fiscal-cancellation:visible")
		expect(told).to_contain_text("Cancellation: Cancelled")
		expect(told).to_contain_text("Cancel the invoice in ERPNext too.")
		self.shot("finance-cancelled")
		(entry,) = self.ledger_of(name)
		self.assertEqual(entry["status"], "canceled")
		self.press("Cancel Sales Invoice")
		self.confirm()
		self.becomes(2, name, "Sales Invoice", "docstatus")
		expect(self.page.locator(".page-head:visible .indicator-pill", has_text="Cancelled")).to_be_visible()
		expect(told).not_to_contain_text("in ERPNext too")
		self.shot("finance-cancelled-here")

	def test_9_nothing_failed_on_the_way(self):
		self.no_secret_and_no_script_error()
