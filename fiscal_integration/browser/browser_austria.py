import json
import re
import unittest
from urllib.parse import quote

from playwright.sync_api import expect

from fiscal_integration.browser.browser_panama import PanamaCase
from fiscal_integration.browser.desk import SETTINGS, URL, bench
from fiscal_integration.fiscal.austria import rksv
from fiscal_integration.sandbox.reading import read_pdf

PIN = "geheime-pin-4711"
TILL = "Kassa 1"


class TestAustria(PanamaCase):
	"""fiskaly: from nothing to INITIALIZED, a day of sales with an outage, the archive, the printed receipt."""

	provider = "fiskaly"
	company = "Kaffeehaus am Ring"
	country = "austria"
	secrets = (PIN,)

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		for field in ("authority_state", "signature_unit", "signature_unit_state"):
			bench("frappe.db.set_single_value", SETTINGS, field, "")

	def next_step(self, key, **values):
		"""Press a step's button, fill in what it asks, and return the state that it shows then."""
		step = self.page.locator(f'.fiscal-step[data-step="{key}"]').first
		step.locator(".fiscal-next").click()
		if values:
			dialog = self.modal()
			for field, value in values.items():
				dialog.locator(f'[data-fieldname="{field}"] input').fill(value)
			self.confirm()
		self.settle()
		return self.page.locator(f'.fiscal-step[data-step="{key}"] .indicator-pill').first.inner_text()

	def stamps(self, name):
		row = self.value(self.sale_doctype, name, "fiscal_document")
		found = self.context.request.get(f"{URL}/api/resource/Fiscal Document/{row}").json()["data"]
		return {stamp["key"]: stamp["value"] for stamp in found["stamps"]}

	def test_1_settings_and_a_till(self):
		self.enter_connection()
		self.assertIn("✓ Connection successful", self.ping())
		self.open_form("Fiscal Point of Sale")
		self.set(company=self.company)
		self.set(pos_profile=TILL)
		self.save()
		type(self).till = self.page.evaluate("() => cur_frm.doc.name")

	def test_2_from_nothing_to_initialized(self):
		self.open_settings()
		expect(self.page.locator(".fiscal-step").first).to_be_visible()
		self.page.locator(".fiscal-step").first.scroll_into_view_if_needed()
		self.shot("austria-setup-nothing")
		self.assertEqual(
			self.next_step("authority", participant="12345678", user="kassa01", pin=PIN), "AUTHENTICATED"
		)
		self.assertEqual(self.next_step("unit", legal_entity="ATU12345678"), "CREATED")
		self.assertEqual(self.next_step("unit"), "INITIALIZED")
		self.assertEqual(
			[self.next_step("till") for _step in range(3)], ["CREATED", "REGISTERED", "INITIALIZED"]
		)
		till = self.page.locator('.fiscal-step[data-step="till"]').first
		expect(till).to_contain_text("Initial receipt at FinanzOnline: SUCCESS")
		self.shot("austria-setup-done")

	def test_3_a_sale(self):
		name = self.issue()
		type(self).invoice = name
		self.open_tab(self.sale_doctype, name)
		expect(self.page.locator(".fiscal-stamps")).to_contain_text(self.stamps(name)["receipt_number"])
		self.shot("austria-invoice")

	def test_3_a_sale_at_every_rate(self):
		"""The code's amounts by rate are what the customer paid, deposits that came back taken off within their rate."""
		bread = {"items": [["CAFE-500", 2, 1.7]], "taxes": [["USt 20", 4.9]]}
		kinds = (
			("bread", bread, {rksv.SPECIAL: 3.57}),
			("10 %", {"items": [["CAFE-500", 1, 10]], "taxes": [["USt 10", 10]]}, {rksv.REDUCED_1: 11}),
			("13 %", {"items": [["CAFE-500", 1, 10]], "taxes": [["USt 13", 13]]}, {rksv.REDUCED_2: 11.3}),
			("19 %", {"items": [["CAFE-500", 1, 10]], "taxes": [["USt 19", 19]]}, {rksv.SPECIAL: 11.9}),
			(
				"two rates",
				{"items": [["CAFE-500", 1, 10], ["LIBRO-01", 1, 5]]},
				{rksv.STANDARD: 12, rksv.NULL: 5},
			),
			(
				"a deposit that came back",
				{"items": [["CAFE-500", 2, 10], ["AGUA-1L", 4, -0.25]]},
				{rksv.STANDARD: 22.8},
			),
		)
		type(self).kinds = len(kinds)
		for kind, values, wanted in kinds:
			with self.subTest(kind):
				name = self.issue(**values)
				found = rksv.parse(self.value(self.sale_doctype, name, "fiscal_qr_value")).amounts
				self.assertEqual({rate: float(amount) for rate, amount in found.items() if amount}, wanted)

	def test_4_the_printed_receipt(self):
		self.page.goto(
			f"{URL}/printview?doctype={quote(self.sale_doctype)}&name={self.invoice}&format=RKSV%20Receipt&no_letterhead=1"
		)
		self.page.wait_for_load_state("networkidle")
		self.shot("austria-receipt")
		try:
			text, code = read_pdf(self.page.pdf(width="80mm", height="297mm", print_background=True))
		except unittest.SkipTest:
			return
		stamps = self.stamps(self.invoice)
		for wanted in (
			stamps["cash_register_serial_number"],
			f"Belegnummer {stamps['receipt_number']}",
			"brutto 20 %",
			self.company,
			"ATU12345678",
			self.invoice,
		):
			self.assertIn(wanted, text)
		found = rksv.parse(code)
		self.assertEqual(found.number, stamps["receipt_number"])
		self.assertEqual(found.register, stamps["cash_register_serial_number"])

	def test_5_a_return(self):
		note = self.give_back(self.sale_doctype, self.invoice)
		self.becomes("Issued", note)
		self.assertEqual(self.stamps(note)["receipt_type"], "CANCELLATION")

	def test_5_training_and_mixed_payments(self):
		name = self.issue(paid=[["Cash", 300.0], ["Credit Card", 501.2]])
		stamps = self.stamps(name)
		self.assertEqual(stamps["receipt_type"], "NORMAL")
		self.assertIn("gross_zero", stamps)
		self.train(1)
		training = self.issue()
		self.assertEqual(self.stamps(training)["receipt_type"], "TRAINING")
		self.page.goto(
			f"{URL}/printview?doctype={quote(self.sale_doctype)}&name={training}&format=RKSV%20Receipt&no_letterhead=1"
		)
		expect(self.page.locator(".print-format")).to_contain_text("Trainingsbuchung")
		self.train(0)

	def train(self, value):
		self.open_form("Fiscal Point of Sale", self.till)
		self.set(training=value)
		self.save()

	def test_6_an_outage_in_the_middle_of_the_day(self):
		self.sandbox.refuse()
		name = self.draft()
		self.submit(self.sale_doctype, name)
		self.until(lambda: bool(self.value(self.sale_doctype, name, "fiscal_document")), True)
		row = self.value(self.sale_doctype, name, "fiscal_document")
		self.until(lambda: bool(self.value("Fiscal Document", row, "attempts")), True)
		self.page.goto(
			f"{URL}/printview?doctype={quote(self.sale_doctype)}&name={name}&format=RKSV%20Receipt&no_letterhead=1"
		)
		self.page.wait_for_load_state("networkidle")
		expect(self.page.locator(".print-format")).to_contain_text(rksv.OUTAGE)
		self.assertNotIn("Belegnummer", self.page.locator(".print-format").inner_text())
		self.shot("austria-slip")
		self.sandbox.resume()
		self.open_settings()
		self.assertIn("✓ Connection successful", self.ping())
		self.open_tab(self.sale_doctype, name)
		self.press("Ask the Provider")
		self.becomes("Issued", name)

	def test_7_the_archive_and_its_chain(self):
		self.open_form("Fiscal Point of Sale", self.till)
		self.press("Export Archive (DEP7)", group="Cash Register")
		with self.page.expect_response(re.compile("export_archive")) as info:
			self.confirm()
		url = info.value.json()["message"]["url"]
		expect(self.page.locator(".fiscal-archive")).to_contain_text("No fault was found.")
		self.shot("austria-archive")
		self.close()
		export = json.loads(self.context.request.get(URL + url).text())
		self.assertEqual(rksv.check_export(export).faults, ())
		# The first one is the zero receipt of the set-up.
		self.assertEqual(len(export["Belege-Gruppe"][0]["Belege-kompakt"]), 6 + self.kinds)

	def test_8_what_fiskaly_makes_itself_and_the_end(self):
		self.open_form("Fiscal Point of Sale", self.till)
		self.press("Monthly and Yearly Receipts", group="Cash Register")
		expect(self.page.locator(".fiscal-closings")).to_contain_text("INITIALIZATION")
		self.close()
		self.press("Take Out of Use", group="Cash Register")
		expect(self.modal()).to_contain_text("cannot be undone")
		self.shot("austria-decommission")
		serial = self.value("Fiscal Point of Sale", self.till, "register_serial")
		self.page.locator('.modal.show [data-fieldname="serial"] input').fill(serial)
		self.confirm()
		self.becomes("DECOMMISSIONED", self.till, "Fiscal Point of Sale", "register_state")

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
