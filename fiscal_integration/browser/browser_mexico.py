import re

from playwright.sync_api import expect

from fiscal_integration.browser.desk import URL, DeskCase, bench

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
		bench(
			"execute",
			"fiscal_integration.sample.connect",
			"--kwargs",
			repr(
				{
					"url": cls.sandbox.url("facturapi"),
					"secret_key": cls.key,
					"enable_cancellation": 1,
					**values,
				}
			),
		)

	def status(self, doctype, name, field="fiscal_status"):
		return self.value(doctype, name, field)

	def sell(self, doctype="Sales Invoice", **values):
		name = bench(
			"execute",
			"fiscal_integration.sample.sale",
			"--kwargs",
			repr({"doctype": doctype, **values}),
		)
		return name

	def issued(self, doctype="Sales Invoice", **values):
		name = self.sell(doctype, **values)
		self.until(lambda: self.status(doctype, name), "Issued")
		return name

	def open_tab(self, doctype, name):
		self.page.goto(f"{URL}/app/{doctype.lower().replace(' ', '-')}/{name}")
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(800)
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		self.page.wait_for_selector(".fiscal-view:visible")
		self.page.wait_for_timeout(500)

	def press(self, label):
		self.page.locator(".inner-group-button", has_text="Fiscal").first.locator("button").first.click()
		self.page.get_by_text(label, exact=True).first.click()
		self.page.wait_for_timeout(700)

	def ask(self, motive, substitute=None, with_source=False):
		self.press("Cancel Fiscal Document")
		dialog = self.page.locator(".modal.show")
		dialog.locator('[data-fieldname="motive"] select').select_option(motive)
		if substitute:
			field = dialog.locator('[data-fieldname="substitute"] input')
			field.fill(substitute)
			self.page.locator(".awesomplete [role=option]:visible", has_text=substitute).first.click()
		box = dialog.locator('input[type="checkbox"][data-fieldname="cancel_source"]')
		box.set_checked(with_source)
		self.page.wait_for_timeout(300)
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
		self.until(lambda: self.status("Sales Invoice", wrong, "fiscal_cancellation"), "Cancelled")
		self.open_tab("Sales Invoice", wrong)
		expect(self.page.locator(".fiscal-cancellation")).to_contain_text("Cancelled")
		self.shot("cancelled")
		self.press("Cancel Sales Invoice")
		self.page.locator(".modal.show .btn-primary:visible").click()
		self.until(lambda: self.value("Sales Invoice", wrong, "docstatus"), 2)

	def test_2_the_receiver_is_waited_for(self):
		self.sandbox.set_option("facturapi", cancellation="pending")
		name = self.issued(customer=BUSINESS)
		self.open_tab("Sales Invoice", name)
		self.ask("02", with_source=True)
		self.until(lambda: self.status("Sales Invoice", name, "fiscal_cancellation"), "Pending")
		self.open_tab("Sales Invoice", name)
		expect(self.page.locator(".fiscal-cancellation")).to_contain_text("three business days")
		self.shot("cancel-pending")

	def test_3_a_payment_becomes_a_complement(self):
		self.sandbox.set_option("facturapi", cancellation="accepted")
		sale = self.issued(customer=BUSINESS, paid=False)
		payment = bench(
			"execute", "fiscal_integration.sample.pay", "--kwargs", repr({"sale": sale, "amount": 100})
		)
		self.until(lambda: self.status("Payment Entry", payment), "Issued")
		self.open_tab("Payment Entry", payment)
		expect(self.page.locator(".fiscal-view .indicator-pill.green").first).to_contain_text("Issued")
		self.page.wait_for_timeout(500)
		self.shot("complement")
		self.page.locator(".page-actions .btn-secondary:visible", has_text="Cancel").click()
		self.page.locator(".modal.show .btn-primary:visible").click()
		message = self.page.locator(".modal.show", has_text="cancelled first")
		expect(message).to_be_visible()
		self.shot("complement-first")
		self.open_tab("Payment Entry", payment)
		self.ask("02", with_source=True)
		self.until(lambda: self.value("Payment Entry", payment, "docstatus"), 2)

	def test_4_the_global_invoice(self):
		self.connect(parameters={"walk_in_sales": "Global Invoice"})
		self.addCleanup(self.connect, parameters={"walk_in_sales": "One CFDI Each"})
		names = [self.sell("POS Invoice", yesterday=True) for _number in range(2)]
		for name in names:
			self.assertEqual(self.status("POS Invoice", name), "For Global Invoice")
		self.page.goto(f"{URL}/app/fiscal-global-invoice/new")
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(500)
		day = self.value("POS Invoice", names[0], "posting_date")
		self.set(company=COMPANY)
		self.set(periodicity="Day", day=day)
		self.save()
		self.page.wait_for_timeout(500)
		with self.page.expect_response(re.compile("run_doc_method")):
			self.page.get_by_role("button", name="Collect Sales").click()
		self.page.wait_for_timeout(800)
		self.shot("global-collected")
		listed = self.page.evaluate("() => cur_frm.doc.sales.map(row => row.reference_name)")
		self.assertLessEqual(set(names), set(listed))
		self.page.locator(".page-actions .primary-action:visible", has_text="Submit").click()
		self.page.locator(".modal.show .btn-primary:visible").click()
		for name in names:
			self.until(lambda name=name: self.status("POS Invoice", name), "In Global Invoice")
		self.page.reload()
		expect(self.page.locator(".fiscal-view .indicator-pill.green").first).to_contain_text("Issued")
		self.page.locator(".fiscal-view").scroll_into_view_if_needed()
		self.page.wait_for_timeout(600)
		self.shot("global-issued")
		(entry,) = [
			entry for entry in self.sandbox.ledger("facturapi") if entry["external_id"].startswith("FGI-")
		]
		self.assertEqual(entry["status"], "valid")

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
