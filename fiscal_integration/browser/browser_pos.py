import re
import unittest

from playwright.sync_api import expect

from fiscal_integration.browser.desk import PATIENCE, DeskCase, address, bench

TILL = "Caja 1"
BOOK = "LIBRO-01"
LATE = 600
"""Seconds, by the sandbox's clock, after which an answer comes for which no receipt waits."""


class TestPos(DeskCase):
	"""ERPNext's Point of Sale from the item to the receipt, with answers in time and late."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect()
		bench("fiscal_integration.sample.use_till")
		# What the printer would get.
		cls.context.add_init_script("window.prints = []; window.open = url => prints.push(url)")

	def price(self):
		self.page.evaluate(
			"""async ([item_code, price_list]) => {
				const found = await frappe.db.get_list("Item Price", {filters: {item_code, price_list}});
				if (!found.length) await frappe.db.insert(
					{doctype: "Item Price", item_code, price_list, price_list_rate: 320});
			}""",
			[BOOK, "Venta MXN"],
		)

	def prints_by_itself(self, wanted):
		self.page.evaluate(
			"([till, wanted]) => frappe.db.set_value('POS Profile', till, 'print_receipt_on_order_complete', wanted)",
			[TILL, wanted],
		)

	def open_till(self):
		self.page.goto(address("Point of Sale"))
		expect(self.page.locator(f'.item-wrapper[data-item-code="{BOOK}"]')).to_be_visible()
		self.settle()

	def sell_book(self) -> str:
		"""One book, paid in cash. Returns the invoice's name when its summary is on the screen."""
		self.page.locator(f'.item-wrapper[data-item-code="{BOOK}"]').click()
		expect(self.page.locator(".cart-item-wrapper")).to_have_count(1)
		self.page.locator(".checkout-btn:visible").first.click()
		self.page.locator(".mode-of-payment", has_text="Cash").click()
		self.page.locator(".submit-order-btn").click()
		self.confirm()
		expect(self.page.locator(".past-order-summary .new-btn")).to_be_visible()
		return self.page.evaluate("() => cur_pos.order_summary.doc.name")

	def prints(self):
		return self.page.evaluate("() => window.prints")

	def sell_late(self) -> str:
		"""The same, and the answer does not come before `answer` has it come."""
		self.sandbox.fault("facturapi", "pending", after=LATE)
		return self.sell_book()

	def answer(self, name):
		self.becomes("Pending", name)
		self.sandbox.advance(LATE + 1)
		bench("fiscal_integration.by_hand.ask_now", self.value(self.sale_doctype, name, "fiscal_document"))

	def test_1_status_id_and_qr_are_on_the_summary(self):
		self.settle()
		self.price()
		self.prints_by_itself(0)
		self.open_till()
		name = self.sell_book()
		summary = self.page.locator(".fiscal-summary")
		expect(summary.locator(".indicator-pill")).to_have_text("Issued")
		(issued,) = self.ledger_of(name)
		expect(summary.locator("code")).to_have_text(issued["uuid"])
		self.check_qr(issued["uuid"], ".fiscal-summary img.fiscal-qr")
		self.assertEqual(self.prints(), [])
		self.page.evaluate("() => $('.desk-alert').remove()")
		self.shot("pos-page-summary")
		type(self).invoice = name

	def test_2_an_order_of_the_past_shows_it_too(self):
		self.page.locator(".past-order-summary .new-btn").click()
		expect(self.page.locator(".customer-cart-container")).to_be_visible()
		# Each makes the list anew, which puts the summary away.
		for choose in (
			lambda: self.page.evaluate("() => cur_pos.toggle_recent_order()"),
			lambda: self.page.locator(".past-order-list .status-field select").select_option("Paid"),
			lambda: self.page.locator(".past-order-list .search-field input").fill(self.invoice),
		):
			with self.page.expect_response(re.compile("get_past_order_list")):
				choose()
		self.page.locator(".invoice-wrapper", has_text=self.invoice).first.click()
		summary = self.page.locator(".fiscal-summary")
		expect(summary.locator(".indicator-pill")).to_have_text("Issued")
		expect(summary.locator("img.fiscal-qr")).to_be_visible()

	def test_3_a_receipt_waits_for_its_document(self):
		self.prints_by_itself(1)
		self.open_till()
		self.sandbox.fault("facturapi", "slow", delay=2)
		name = self.sell_book()
		self.assertEqual(self.prints(), [])
		expect(self.page.locator(".fiscal-summary-section")).to_contain_text("The receipt waits")
		expect(self.page.locator(".fiscal-summary .indicator-pill")).to_have_text("Issued")
		self.until(lambda: len(self.prints()), 1)
		self.assertIn(f"name={name}", self.prints()[0])
		expect(self.page.locator(".fiscal-print-again")).to_have_count(0)

	def test_4_late_it_is_printed_without_and_again(self):
		self.page.locator(".past-order-summary .new-btn").click()
		name = self.sell_late()
		self.until(lambda: len(self.prints()), 2)
		self.assertIn(f"name={name}", self.prints()[1])
		self.assertNotEqual(self.value(self.sale_doctype, name, "fiscal_status"), "Issued")
		again = self.page.locator(".fiscal-print-again")
		expect(again).to_have_count(0)
		self.answer(name)
		# The page looks less often the longer it takes.
		expect(again).to_be_visible(timeout=2 * PATIENCE)
		expect(self.page.locator(".fiscal-summary img.fiscal-qr")).to_be_visible()
		self.page.evaluate("() => $('.desk-alert').remove()")
		self.shot("pos-page-late")
		again.locator("button").click()
		self.assertEqual(len(self.prints()), 3)
		self.assertIn(f"name={name}", self.prints()[2])
		expect(again).to_have_count(0)

	def test_5_the_next_sale_waits_for_nothing_and_each_gets_its_own_receipt(self):
		self.page.locator(".past-order-summary .new-btn").click()
		first = self.sell_late()
		self.page.locator(".past-order-summary .new-btn").click()
		self.page.locator(f'.item-wrapper[data-item-code="{BOOK}"]').click()
		expect(self.page.locator(".cart-item-wrapper")).to_have_count(1)
		self.assertNotEqual(self.value(self.sale_doctype, first, "fiscal_status"), "Issued")
		self.until(lambda: len(self.prints()), 4)
		self.assertIn(f"name={first}", self.prints()[3])
		self.answer(first)
		self.becomes("Issued", first)
		self.assertEqual(len(self.prints()), 4)

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.prints_by_itself(0)
		self.no_secret_and_no_script_error()


class TestPosOfPosInvoices(TestPos):
	"""The same where a setting of ERPNext 16 lets the till make POS Invoices, as it always does in 15."""

	mode = "POS Invoice"

	@classmethod
	def setUpClass(cls):
		if bench("fiscal_integration.sample.till_doctypes")[0] == cls.mode:
			raise unittest.SkipTest("TestPos tries it")
		super().setUpClass()
