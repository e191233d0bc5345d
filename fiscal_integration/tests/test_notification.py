"""Issued documents go to their customers by e-mail: where it is wanted, once, on record, and in nobody's way."""

import threading
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, now_datetime

from fiscal_integration import (
	alerts,
	api,
	by_hand,
	connection,
	dispatch,
	files,
	health,
	mail,
	sample,
	tasks,
)
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal_integration.report.fiscal_audit_trail import fiscal_audit_trail
from fiscal_integration.testing import FiscalTestCase

ADDRESS = "compras@cliente.example"


class Notified(FiscalTestCase):
	"""With the company's setting on, and a sale that carries an address."""

	customer = None

	def setUp(self):
		super().setUp()
		self.set_others_aside()
		self.have_mail_account()
		self.record = connection.record_for(self.shop.company)
		self.switch(1)
		self.addCleanup(self.switch, 0)
		frappe.db.set_value(dispatch.DOCTYPE, {"status": lifecycle.ISSUED}, "notify_at", None)
		frappe.db.delete("Email Queue")
		frappe.db.delete("Email Queue Recipient")
		frappe.db.commit()

	def switch(self, on):
		frappe.db.set_value(self.record.doctype, self.record.name, "notify_customers", on)
		frappe.clear_document_cache(self.record.doctype, self.record.name)
		frappe.db.commit()

	def issued(self, **values):
		values = {"fiscal_customer_email": ADDRESS, **values}
		if self.customer:
			values.setdefault("customer", self.customer)
		_, row = self.sell(**values)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return row

	def swept(self, row):
		mail.send_due()
		return self.fresh(row)

	def mailed(self) -> list[str]:
		"""The recipients of the mails in Frappe's queue."""
		return frappe.get_all("Email Queue Recipient", pluck="recipient")

	def of_record(self, row):
		return frappe.get_all(
			"Communication",
			{"reference_doctype": row.reference_doctype, "reference_name": row.reference_name},
			["recipients", "content"],
		)


class EveryProvider:
	"""What holds of each; to be mixed in."""

	kinds = ("pdf", "xml")

	def test_a_document_that_is_issued_goes_to_its_customer_with_its_files(self):
		row = self.issued()
		self.assertTrue(row.notify_at)
		with patch("frappe.sendmail", side_effect=frappe.sendmail) as sendmail:
			row = self.swept(row)
		self.assertEqual((row.notified_to, row.notify_at, row.notification_error), (ADDRESS, None, None))
		self.assertEqual(self.mailed(), [ADDRESS])
		(call,) = sendmail.call_args_list
		sent = [frappe.get_doc("File", entry["fid"]) for entry in call.kwargs["attachments"]]
		self.assertEqual(
			[file.file_name for file in sent],
			[files.file_name(row.reference_name, kind) for kind in self.kinds],
		)
		self.assertIn(row.fiscal_id, call.kwargs["message"])
		(kept,) = self.of_record(row)
		self.assertEqual(kept.recipients, ADDRESS)


class TestFacturapi(EveryProvider, Notified):
	def test_it_is_off_by_default(self):
		field = frappe.get_meta(self.record.doctype).get_field("notify_customers")
		self.assertEqual(str(field.default), "0")
		self.switch(0)
		row = self.issued()
		self.assertIsNone(row.notify_at)
		self.swept(row)
		self.assertEqual(self.mailed(), [])

	def test_the_customers_own_record_goes_before_the_setting(self):
		customer = self.sell(submit=False)[0].customer
		self.addCleanup(self.choose, customer, "")
		for choice, setting, told in (
			("Never", 1, False),
			("Always", 0, True),
			("Always", 1, True),
			("Never", 0, False),
			("", 0, False),
			("", 1, True),
		):
			with self.subTest(choice=choice, setting=setting):
				self.choose(customer, choice)
				self.switch(setting)
				frappe.db.delete("Email Queue Recipient")
				self.swept(self.issued())
				self.assertEqual(self.mailed(), [ADDRESS] if told else [])

	def choose(self, customer, choice):
		frappe.db.set_value("Customer", customer, "fiscal_notification", choice)
		frappe.db.commit()

	def test_once_whatever_happens_afterwards(self):
		row = self.issued()
		self.swept(row)
		for _again in range(3):
			tasks.sweep()
			mail.send_due()
			mail.notify(row.name)
			dispatch.process(row.name)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "notify_at", now_datetime())
		frappe.db.commit()
		self.swept(row)
		self.assertEqual(self.mailed(), [ADDRESS])
		self.assertEqual(len(self.of_record(row)), 1)

	def test_several_workers_at_once_send_one_mail(self):
		row = self.issued()
		site, path = frappe.local.site, frappe.local.sites_path
		start = threading.Barrier(4)

		def work():
			frappe.init(site, sites_path=path)
			frappe.connect()
			try:
				start.wait(10)
				mail.notify(row.name)
			finally:
				frappe.destroy()

		workers = [threading.Thread(target=work) for _number in range(4)]
		for worker in workers:
			worker.start()
		for worker in workers:
			worker.join(60)
		self.assertTrue(self.fresh(row).notified_at)
		self.assertEqual(self.mailed(), [ADDRESS])

	def test_who_comes_late_finds_it_done(self):
		row = self.issued()
		self.swept(row)
		mail._send_once(row.name, [])
		self.assertEqual((self.mailed(), len(self.of_record(row))), ([ADDRESS], 1))

	def test_found_by_asking_it_goes_too(self):
		self.sandbox.fault("facturapi", "lost_after_commit")
		_, row = self.sell(fiscal_customer_email=ADDRESS)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "next_attempt", now_datetime())
		frappe.db.commit()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.swept(row)
		self.assertEqual(self.mailed(), [ADDRESS])

	def test_taken_over_by_a_person_it_goes_too(self):
		self.sandbox.fault("facturapi", "wrong_total")
		_, row = self.sell(fiscal_customer_email=ADDRESS)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)
		self.assertIsNone(row.notify_at)
		by_hand.take_over(row.name)
		frappe.db.commit()
		self.swept(row)
		self.assertEqual(self.mailed(), [ADDRESS])

	def test_a_refused_document_goes_to_nobody(self):
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		_, row = self.sell(fiscal_customer_email=ADDRESS)
		row = self.run_job(row)
		self.assertEqual((row.status, row.notify_at), (lifecycle.REJECTED, None))
		self.swept(row)
		self.assertEqual(self.mailed(), [])

	def test_without_an_address_it_says_so_and_is_left(self):
		row = self.swept(self.issued(fiscal_customer_email=None))
		self.assertIsNone(row.notify_at)
		self.assertIn("no e-mail address", row.notification_error)
		self.assertEqual(self.mailed(), [])

	def test_cancelled_before_it_was_sent(self):
		row = self.issued()
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "cancellation_status", lifecycle.CANCELLED)
		frappe.db.commit()
		row = self.swept(row)
		self.assertIsNone(row.notify_at)
		self.assertEqual(self.mailed(), [])

	def test_a_mail_server_that_fails_is_tried_again_and_holds_nothing_up(self):
		row = self.issued()
		with patch("frappe.sendmail", side_effect=frappe.OutgoingEmailError("Set up an account")):
			row = self.swept(row)
		self.assertEqual((row.status, row.notified_at), (lifecycle.ISSUED, None))
		self.assertTrue(row.notification_error)
		self.assertGreater(row.notify_at, now_datetime())
		self.assertEqual(self.of_record(row), [])
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "notify_at", now_datetime())
		frappe.db.commit()
		self.swept(row)
		self.assertEqual(self.mailed(), [ADDRESS])

	def test_without_an_account_to_send_from_the_document_is_issued_and_it_is_told(self):
		self.have_mail_account(False)
		row = self.swept(self.issued())
		self.assertEqual((row.status, row.notified_at, self.mailed()), (lifecycle.ISSUED, None, []))
		self.assertIn("Default Outgoing", row.notification_error)
		self.assertGreater(row.notify_at, now_datetime())
		self.assertEqual(self.of_record(row), [])
		self.assertIn("Default Outgoing", "".join(health.warnings()))
		alerts.unsent_mails()
		self.assertEqual(self.bells(row), [], "it is told when it is two hours old")
		self.age(row, 3 * 3600)
		alerts.unsent_mails()
		alerts.unsent_mails()
		(told,) = self.bells(row)
		self.assertIn("Default Outgoing", told.email_content)
		self.assertIn(row.reference_name, told.email_content)

		self.have_mail_account()
		self.assertNotIn("Default Outgoing", "".join(health.warnings()))
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "notify_at", now_datetime())
		frappe.db.commit()
		self.assertEqual(self.swept(row).notified_to, ADDRESS)
		self.assertEqual(self.mailed(), [ADDRESS])

	def test_nobody_is_told_of_a_missing_account_where_no_mail_is_wanted(self):
		self.have_mail_account(False)
		self.switch(0)
		self.assertNotIn("Default Outgoing", "".join(health.warnings()))

	def age(self, row, seconds):
		old = add_to_date(now_datetime(), seconds=-seconds)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "status_since", old, update_modified=False)
		frappe.db.commit()

	def bells(self, row):
		"""What the first of those who are told was told of documents that did not go out."""
		return frappe.get_all(
			"Notification Log",
			{"document_name": row.name, "for_user": alerts._users()[0]},
			["subject", "email_content"],
		)

	def test_a_file_that_does_not_come_is_waited_for(self):
		row = self.issued()
		self.sandbox.fault("facturapi", "status", operation="pdf", status=503)
		row = self.swept(row)
		self.assertEqual((row.notified_at, self.mailed()), (None, []))
		self.assertTrue(row.notification_error)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "notify_at", now_datetime())
		frappe.db.commit()
		self.assertTrue(self.swept(row).notified_at)

	def test_three_days_later_nobody_tries_any_more(self):
		row = self.issued()
		self.age(row, mail.LAST_TRY + 10)
		with patch("frappe.sendmail", side_effect=frappe.OutgoingEmailError("Set up an account")):
			row = self.swept(row)
		self.assertEqual((row.notify_at, row.notified_at), (None, None))
		self.assertTrue(row.notification_error)

	def test_no_fault_of_it_stops_a_document(self):
		with patch.object(mail, "wanted", side_effect=RuntimeError("broken")):
			row = self.issued()
		self.assertIsNone(row.notify_at)

	def test_the_audit_trail_shows_it_in_the_chain(self):
		row = self.swept(self.issued())
		_columns, events, *_rest = fiscal_audit_trail.execute({"fiscal_document": row.name})
		(event,) = [event for event in events if event["event"] == "Sent to the customer by e-mail"]
		self.assertIn(ADDRESS, event["outcome"])
		self.assertTrue(event["number"] and event["hash"])

	def test_the_fiscal_tab_shows_it_and_the_qr_code_under_other_systems_names(self):
		row = self.swept(self.issued())
		view = api.fiscal_view(row.reference_doctype, row.reference_name)
		self.assertEqual(view["mailed"]["to"], ADDRESS)
		self.assertEqual((view["qrCode"], view["qrImageBase64"]), (view["qr_value"], view["qr_image"]))
		self.assertTrue(view["qrImageBase64"].startswith("data:image/png;base64,"))


class TestHka(EveryProvider, Notified):
	provider = "hka"
	shop = sample.PANAMA
	customer = "Distribuidora Chiriquí, S.A."


class TestFacturaFacil(EveryProvider, Notified):
	provider = "facturafacil"
	shop = sample.PANAMA
	customer = "Distribuidora Chiriquí, S.A."


class TestConteo(EveryProvider, Notified):
	provider = "conteo"
	shop = sample.PANAMA
	customer = "Distribuidora Chiriquí, S.A."
	kinds = ()


class TestConteoWithItsGateway(EveryProvider, Notified):
	provider = "conteo"
	shop = sample.PANAMA
	customer = "Distribuidora Chiriquí, S.A."
	kinds = ("pdf",)

	def connect_account(self, **values):
		url = self.sandbox.url("conteo").removesuffix("/v1") + "/gateway"
		return super().connect_account(parameters={"gateway_url": url}, **values)


class TestAludra(EveryProvider, Notified):
	provider = "aludra"
	shop = sample.PANAMA
	customer = "Distribuidora Chiriquí, S.A."

	def setUp(self):
		super().setUp()
		sample.certify(self.shop)
		frappe.db.commit()
