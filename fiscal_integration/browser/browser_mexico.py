import re

from playwright.sync_api import expect

from fiscal_integration.browser.desk import DeskCase, bench

COMPANY = "Abarrotes La Esperanza"
BUSINESS = "Papelería del Centro SA de CV"


class TestMexico(DeskCase):
	"""Cancelling with SAT's motives, the complement of a payment, and the global invoice, in Desk."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect()

	@classmethod
	def connect(cls, **values):
		super().connect(enable_cancellation=1, **values)

	def issued(self, doctype="Sales Invoice", **values):
		name = self.sale(doctype, **values)
		self.becomes("Issued", name, doctype)
		return name

	def ask(self, motive, substitute=None, with_source=False):
		self.press("Cancel Fiscal Document")
		dialog = self.modal()
		dialog.locator('[data-fieldname="motive"] select').select_option(motive)
		if substitute:
			field = dialog.locator('[data-fieldname="substitute"] input')
			field.fill(substitute)
			self.page.locator(".awesomplete [role=option]:visible", has_text=substitute).first.click()
		box = dialog.locator('input[type="checkbox"][data-fieldname="cancel_source"]')
		box.set_checked(with_source)
		self.shot(f"cancel-{motive}")
		dialog.locator(".btn-primary:visible").click()
		expect(dialog).to_have_count(0)

	def test_1_motive_01_with_the_substitute_found_by_its_name(self):
		wrong = self.issued(customer=BUSINESS)
		row = self.value("Sales Invoice", wrong, "fiscal_document")
		right = self.issued(customer=BUSINESS, values={"fiscal_substitutes": row})
		self.sandbox.set_option("facturapi", cancellation="accepted")
		self.open_tab("Sales Invoice", wrong)
		self.ask("01", right)
		self.becomes("Cancelled", wrong, "Sales Invoice", "fiscal_cancellation")
		self.open_tab("Sales Invoice", wrong)
		expect(self.page.locator(".fiscal-cancellation")).to_contain_text("Cancelled")
		self.shot("cancelled")
		self.press("Cancel Sales Invoice")
		self.confirm()
		self.becomes(2, wrong, "Sales Invoice", "docstatus")

	def test_2_the_receiver_is_waited_for(self):
		self.sandbox.set_option("facturapi", cancellation="pending")
		name = self.issued(customer=BUSINESS)
		self.open_tab("Sales Invoice", name)
		self.ask("02", with_source=True)
		self.becomes("Pending", name, "Sales Invoice", "fiscal_cancellation")
		self.open_tab("Sales Invoice", name)
		expect(self.page.locator(".fiscal-cancellation")).to_contain_text("three business days")
		self.shot("cancel-pending")

	def test_3_a_payment_becomes_a_complement(self):
		self.sandbox.set_option("facturapi", cancellation="accepted")
		sale = self.issued(customer=BUSINESS, paid=False)
		payment = bench("fiscal_integration.sample.pay", sale=sale, amount=100)
		self.becomes("Issued", payment, "Payment Entry")
		self.open_tab("Payment Entry", payment)
		expect(self.page.locator(".fiscal-view .indicator-pill.green").first).to_contain_text("Issued")
		self.shot("complement")
		self.cancel()
		self.modal("cancelled first")
		self.shot("complement-first")
		self.open_tab("Payment Entry", payment)
		self.ask("02", with_source=True)
		self.becomes(2, payment, "Payment Entry", "docstatus")

	def test_3_what_was_paid_at_once_is_told_too(self):
		sale = self.issued(customer=BUSINESS, paid=[["Cash", 50]])

		def payments():
			filters = {"reference_name": sale, "purpose": "Payment 1"}
			return self.rows("Fiscal Document", filters, "name", "status", "fiscal_id")

		self.until(lambda: [row["status"] for row in payments()], ["Issued"])
		(payment,) = payments()
		self.open_tab("Sales Invoice", sale)
		told = self.page.locator(".fiscal-payment")
		for words in ("Installment 1", "50.00", "Issued"):
			expect(told).to_contain_text(words)
		told.scroll_into_view_if_needed()
		self.shot("payments-told")
		told.locator("a").click()
		self.form("Fiscal Document", payment["name"])
		expect(self.page.locator(".fiscal-view:visible code")).to_have_text(payment["fiscal_id"])
		self.assertIn(payment["name"], self.fetch("Download Fiscal PDF"))
		self.shot("payment-document")

	def test_4_the_global_invoice(self):
		self.connect(parameters={"walk_in_sales": "Global Invoice"})
		self.addCleanup(self.connect, parameters={"walk_in_sales": "One CFDI Each"})
		names = [self.sale(None, yesterday=True) for _number in range(2)]
		for name in names:
			self.assertEqual(self.value(self.sale_doctype, name, "fiscal_status"), "For Global Invoice")
		self.open_form("Fiscal Global Invoice")
		day = self.value(self.sale_doctype, names[0], "posting_date")
		self.set(company=COMPANY)
		self.set(periodicity="Day", day=day)
		self.save()
		with self.page.expect_response(re.compile("run_doc_method")):
			self.page.get_by_role("button", name="Collect Sales").click()
		self.settle()
		self.shot("global-collected")
		listed = self.page.evaluate("() => cur_frm.doc.sales.map(row => row.reference_name)")
		self.assertLessEqual(set(names), set(listed))
		self.submit()
		for name in names:
			self.becomes("In Global Invoice", name)
		self.page.reload()
		expect(self.page.locator(".fiscal-view .indicator-pill.green").first).to_contain_text("Issued")
		self.page.locator(".fiscal-view").scroll_into_view_if_needed()
		self.shot("global-issued")
		(entry,) = [
			entry for entry in self.sandbox.ledger("facturapi") if entry["external_id"].startswith("FGI-")
		]
		self.assertEqual(entry["status"], "valid")

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
