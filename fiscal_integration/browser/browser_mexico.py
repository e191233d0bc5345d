import json
import re

from playwright.sync_api import expect

from fiscal_integration.browser.desk import SETTINGS, DeskCase, bench

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


BEFORE = "On Previous Row Total"
INCLUDED = {"included_in_print_rate": 1}
IEPS_AND_VAT = [["IEPS 8", 8], ["IVA 16", 16, {"charge_type": BEFORE, "row_id": 1}]]


class TestKinds(DeskCase):
	"""Kinds of sales that SAT has a rule of its own for: each is submitted in Desk, and the sandbox, which judges by SAT's
	matrix and schemas, issues it with the total that the customer paid; or the form says what to change."""

	issued = (
		(
			"excise and VAT included",
			{
				"items": [["CAFE-500", 7, 12.94]],
				"taxes": [
					["IEPS 8", 8, INCLUDED],
					["IVA 16", 16, {"charge_type": BEFORE, "row_id": 1, **INCLUDED}],
				],
			},
		),
		("excise and VAT added", {"items": [["CAFE-500", 2, 18.82]], "taxes": IEPS_AND_VAT}),
		(
			"a discount on VAT included",
			{
				"items": [["CAFE-500", 1, 9.9]],
				"taxes": "inclusive",
				"values": {"apply_discount_on": "Grand Total", "additional_discount_percentage": 15},
			},
		),
		(
			"income tax withheld",
			{
				"customer": BUSINESS,
				"items": [["SERV-INST", 1, 100.04]],
				"taxes": [["IVA 16", 16], ["ISR Retenido", -10]],
			},
		),
		(
			"two thirds of the VAT withheld",
			{
				"customer": BUSINESS,
				"items": [["SERV-INST", 1, 1000]],
				"taxes": [
					["IVA 16", 16],
					[
						"IVA 0",
						-66.6667,
						{"charge_type": "On Previous Row Amount", "row_id": 1, "description": "IVA Retenido"},
					],
				],
			},
		),
		("a hundred thousand at 0.35", {"items": [["AGUA-1L", 100000, 0.35]], "taxes": "inclusive"}),
		(
			"freight before the VAT",
			{
				"items": [["CAFE-500", 1, 100]],
				"taxes": [
					["Flete", 0, {"charge_type": "Actual", "tax_amount": 50}],
					["IVA 16", 16, {"charge_type": BEFORE, "row_id": 1}],
				],
			},
		),
		(
			"excise by quota",
			{
				"items": [["AGUA-1L", 4, 10]],
				"taxes": [
					["IEPS 8", 1.5, {"charge_type": "On Item Quantity"}],
					["IVA 16", 16, {"charge_type": BEFORE, "row_id": 1}],
				],
			},
		),
		(
			"a free row beside a paid one",
			{
				"items": [
					["CAFE-500", 1, 100],
					{"item_code": "AGUA-1L", "qty": 2, "rate": 0, "price_list_rate": 0},
				]
			},
		),
		(
			"markup and a bar in the description",
			{
				"items": [
					{
						"item_code": "CAFE-500",
						"qty": 1,
						"rate": 145,
						"description": "<p>Caf\u00e9 &amp; t\u00e9</p><p>uno | dos</p>",
					}
				]
			},
		),
		(
			"dollars",
			{
				"doctype": "Sales Invoice",
				"customer": BUSINESS,
				"paid": False,
				"items": [["SERV-INST", 1, 85]],
				"values": {"currency": "USD", "conversion_rate": 18.5, "price_list_currency": "MXN"},
			},
		),
	)
	stopped = (
		(
			"VAT of 15 %",
			{"items": [["CAFE-500", 1, 100]], "taxes": [["IVA 16", 15]]},
			"0, 8 (frontier) and 16",
		),
		(
			"a walk-in sale that is 0.30 short",
			{"doctype": "Sales Invoice", "items": [["CAFE-500", 1, 100]], "paid": [["Cash", 115.7]]},
			"Write Off Amount",
		),
	)

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect()

	def test_1_what_is_issued(self):
		for kind, values in self.issued:
			with self.subTest(kind):
				doctype = values.get("doctype") or self.sale_doctype
				name = self.draft(**{"doctype": doctype, **values})
				wanted = self.value(doctype, name, "grand_total")
				self.submit(doctype, name)
				self.becomes("Issued", name, doctype)
				(entry,) = self.ledger_of(name)
				self.assertAlmostEqual(float(entry["total"]), wanted, 2)
				self.assertEqual(self.value(doctype, name, "fiscal_id"), entry["uuid"])

	def test_2_what_is_stopped(self):
		for kind, values, told in self.stopped:
			with self.subTest(kind):
				doctype = values.get("doctype") or self.sale_doctype
				name = self.draft(**{"doctype": doctype, **values})
				self.submit(doctype, name)
				self.assertIn(told, self.dialog())
				self.shot(f"stopped-{kind.split()[-1]}")
				self.assertEqual(self.value(doctype, name, "docstatus"), 0)
				self.assertEqual(self.ledger_of(name), [])

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()


class TestMail(DeskCase):
	"""A document that is issued goes to the customer's address with its files, once, and the record says so."""

	recipient = "compras@cliente.example"

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect()
		bench("frappe.db.delete", "Email Account", {"name": "Fiscal Tests"})
		bench("frappe.db.set_value", "Email Account", {"default_outgoing": 1}, "default_outgoing", 0)

	def test_1_without_an_account_to_send_from_ping_says_what_is_missing(self):
		self.open_settings()
		self.set(notify_customers=1)
		self.save()
		self.addClassCleanup(bench, "frappe.db.set_single_value", SETTINGS, "notify_customers", 0)
		self.open_settings()
		self.assertIn("Connection successful", self.ping())
		expect(self.page.locator(".form-page:visible").first).to_contain_text("no outgoing e-mail account")
		self.shot("mail-missing-account")

	def test_2_the_customer_gets_both_files_once(self):
		bench("fiscal_integration.sample.make_mail_account", default_outgoing=1)
		self.addClassCleanup(bench, "frappe.db.delete", "Email Account", {"name": "Fiscal Tests"})
		name = self.draft(
			"Sales Invoice", customer=BUSINESS, values={"fiscal_customer_email": self.recipient}
		)
		self.submit("Sales Invoice", name)
		self.becomes("Issued", name, "Sales Invoice")
		for _again in range(2):
			bench("fiscal_integration.mail.send_due")
		sent = {"reference_doctype": "Sales Invoice", "reference_name": name}
		self.until(lambda: len(self.rows("Email Queue", sent)), 1)
		(mail,) = self.rows("Email Queue", sent, "name", "attachments")
		self.assertEqual(len(json.loads(mail["attachments"])), 2)
		self.open_form("Email Queue", mail["name"])
		expect(self.page.locator(".form-page:visible").first).to_contain_text(self.recipient)
		self.shot("mail-queued")

	def test_3_the_audit_trail_tells_of_it(self):
		name = self.rows("Sales Invoice", {"fiscal_customer_email": self.recipient})[0]["name"]
		self.open_report("Fiscal Audit Trail", reference_doctype="Sales Invoice", invoice=name)
		told = self.page.evaluate("() => frappe.query_report.data.map((row) => row.event)")
		self.assertEqual(told.count("Sent to the customer by e-mail"), 1, told)
		self.shot("mail-trail")

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
