import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from fiscal_integration.browser.desk import PATIENCE, URL, DeskCase, bench

TILL = "Caja 1"
BOOK = "LIBRO-01"
LATE = 6.5
"""Seconds of an answer that comes after the receipt has stopped waiting for it."""


class TestPos(DeskCase):
	"""ERPNext's Point of Sale from the item to the receipt, with answers in time and late."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		bench(
			"execute",
			"fiscal_integration.sample.connect",
			"--kwargs",
			repr({"url": cls.sandbox.url("facturapi"), "secret_key": cls.key}),
		)
		bench("execute", "fiscal_integration.sample.use_till")
		# The page opens on the till that was opened last, which other tests may have done with theirs.
		bench(
			"execute",
			"frappe.db.sql",
			"--args",
			repr(
				[
					"update `tabPOS Opening Entry` mine, (select max(period_start_date) latest from"
					" `tabPOS Opening Entry` where docstatus = 1) others"
					" set period_start_date = latest + interval 1 second"
					" where pos_profile = %s and status = 'Open' and docstatus = 1",
					[TILL],
				]
			),
		)
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
		self.page.goto(f"{URL}/app/point-of-sale")
		expect(self.page.locator(f'.item-wrapper[data-item-code="{BOOK}"]')).to_be_visible()
		self.page.wait_for_load_state("networkidle")

	def sell(self) -> str:
		"""One book, paid in cash. Returns the invoice's name when its summary is on the screen."""
		self.page.locator(f'.item-wrapper[data-item-code="{BOOK}"]').click()
		expect(self.page.locator(".cart-item-wrapper")).to_have_count(1)
		self.page.locator(".checkout-btn:visible").first.click()
		self.page.locator(".mode-of-payment", has_text="Cash").click()
		self.page.locator(".submit-order-btn").click()
		self.page.locator(".modal.show .btn-primary:visible").click()
		expect(self.page.locator(".past-order-summary .new-btn")).to_be_visible()
		return self.page.evaluate("() => cur_pos.order_summary.doc.name")

	def prints(self):
		return self.page.evaluate("() => window.prints")

	def check_qr(self, uuid):
		"""A program that knows nothing of us reads the code off the screen."""
		if not shutil.which("zbarimg"):
			return
		with tempfile.TemporaryDirectory() as folder:
			path = Path(folder, "screen.png")
			self.page.locator(".fiscal-summary img.fiscal-qr").screenshot(path=path)
			read = subprocess.run(
				["zbarimg", "-q", "--raw", str(path)], capture_output=True, text=True, check=False
			)
		self.assertIn(uuid, read.stdout)

	def test_1_status_id_and_qr_are_on_the_summary(self):
		self.page.wait_for_load_state("networkidle")
		self.price()
		self.prints_by_itself(0)
		self.open_till()
		name = self.sell()
		summary = self.page.locator(".fiscal-summary")
		expect(summary.locator(".indicator-pill")).to_have_text("Issued")
		(issued,) = [
			entry for entry in self.sandbox.ledger("facturapi") if entry["external_id"].startswith(f"{name}.")
		]
		expect(summary.locator("code")).to_have_text(issued["uuid"])
		self.check_qr(issued["uuid"])
		self.assertEqual(self.prints(), [])
		self.page.wait_for_timeout(500)
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
		name = self.sell()
		self.assertEqual(self.prints(), [])
		expect(self.page.locator(".fiscal-summary-section")).to_contain_text("The receipt waits")
		expect(self.page.locator(".fiscal-summary .indicator-pill")).to_have_text("Issued")
		self.until(lambda: len(self.prints()), 1)
		self.assertIn(f"name={name}", self.prints()[0])
		expect(self.page.locator(".fiscal-print-again")).to_have_count(0)

	def test_4_late_it_is_printed_without_and_again(self):
		self.page.locator(".past-order-summary .new-btn").click()
		self.sandbox.fault("facturapi", "slow", delay=LATE)
		name = self.sell()
		self.until(lambda: len(self.prints()), 2, seconds=6)
		self.assertIn(f"name={name}", self.prints()[1])
		self.assertNotEqual(self.value("POS Invoice", name, "fiscal_status"), "Issued")
		again = self.page.locator(".fiscal-print-again")
		expect(again).to_be_visible(timeout=PATIENCE)
		expect(self.page.locator(".fiscal-summary img.fiscal-qr")).to_be_visible()
		self.page.evaluate("() => $('.desk-alert').remove()")
		self.shot("pos-page-late")
		again.locator("button").click()
		self.assertEqual(len(self.prints()), 3)
		self.assertIn(f"name={name}", self.prints()[2])
		expect(again).to_have_count(0)

	def test_5_the_next_sale_waits_for_nothing_and_each_gets_its_own_receipt(self):
		self.page.locator(".past-order-summary .new-btn").click()
		self.sandbox.fault("facturapi", "slow", delay=LATE)
		first = self.sell()
		self.page.locator(".past-order-summary .new-btn").click()
		self.page.locator(f'.item-wrapper[data-item-code="{BOOK}"]').click()
		expect(self.page.locator(".cart-item-wrapper")).to_have_count(1)
		self.assertNotEqual(self.value("POS Invoice", first, "fiscal_status"), "Issued")
		self.until(lambda: len(self.prints()), 4, seconds=8)
		self.assertIn(f"name={first}", self.prints()[3])
		self.until(lambda: self.value("POS Invoice", first, "fiscal_status"), "Issued")
		self.assertEqual(len(self.prints()), 4)

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.prints_by_itself(0)
		self.no_secret_and_no_script_error()
