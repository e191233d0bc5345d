from datetime import timedelta
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, now_datetime

from fiscal_integration import alerts, by_hand, connection, dispatch, tasks
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.providers.facturapi import Facturapi
from fiscal_integration.testing import FiscalTestCase


class AlertCase(FiscalTestCase):
	def setUp(self):
		super().setUp()
		self.connect(alert_recipients="finance@example.com, it@example.com")
		self.addCleanup(self.connect, alert_recipients="")
		frappe.db.set_value(
			dispatch.DOCTYPE, {"name": ("!=", "")}, "alerted_on", now_datetime().date(), update_modified=False
		)
		frappe.db.set_value(dispatch.DOCTYPE, {"status": lifecycle.ISSUED}, "notify_at", None)
		frappe.db.delete("Notification Log")
		frappe.db.commit()
		mail = patch("frappe.sendmail")
		self.mail = mail.start()
		self.addCleanup(mail.stop)

	def aged(self, hours, status=lifecycle.FAILED, **values):
		_, row = self.sell()
		since = add_to_date(now_datetime(), hours=-hours)
		frappe.db.set_value(
			dispatch.DOCTYPE,
			row.name,
			{
				"status": status,
				"status_since": since,
				"creation": since,
				"error_message": "<b>Why</b>",
				**values,
			},
			update_modified=False,
		)
		frappe.db.commit()
		return row

	def mails(self):
		return [call.kwargs for call in self.mail.call_args_list]

	def notifications(self):
		return frappe.get_all("Notification Log", fields=["subject", "for_user", "email_content"])


class TestDeadLetters(AlertCase):
	def test_what_is_older_than_two_hours_is_told_by_mail_and_bell(self):
		row, young = self.aged(3), self.aged(1)
		tasks.alert()
		(mail,) = self.mails()
		self.assertEqual(mail["recipients"], ["finance@example.com", "it@example.com"])
		self.assertIn(row.reference_name, mail["message"])
		self.assertNotIn(young.reference_name, mail["message"])
		self.assertIn("&lt;b&gt;Why", mail["message"], "what a provider said is text, not markup")
		self.assertTrue(self.notifications())
		self.assertIn("fiscal document: 1", self.notifications()[0].subject)

	def test_each_state_that_needs_a_person_and_what_is_stuck(self):
		rows = [
			self.aged(3, state)
			for state in (
				lifecycle.FAILED,
				lifecycle.REJECTED,
				lifecycle.NEEDS_REVIEW,
				lifecycle.QUEUED,
				lifecycle.UNKNOWN,
			)
		]
		fine = self.aged(3, lifecycle.ISSUED)
		alerts.dead_letters()
		message = self.mails()[0]["message"]
		for row in rows:
			self.assertIn(row.reference_name, message)
		self.assertNotIn(fine.reference_name, message)

	def test_once_per_document_and_day(self):
		first = self.aged(3)
		alerts.dead_letters()
		alerts.dead_letters()
		self.assertEqual(len(self.mails()), 1)
		second = self.aged(3)
		alerts.dead_letters()
		self.assertIn(second.reference_name, self.mails()[1]["message"])
		self.assertNotIn(first.reference_name, self.mails()[1]["message"])
		yesterday = now_datetime().date() - timedelta(days=1)
		frappe.db.set_value(dispatch.DOCTYPE, first.name, "alerted_on", yesterday)
		alerts.dead_letters()
		self.assertIn(first.reference_name, self.mails()[2]["message"])

	def test_one_that_is_sent_again_and_fails_again_is_told_again(self):
		row = self.aged(3)
		alerts.dead_letters()
		by_hand.retry(row.name)
		self.assertIsNone(self.fresh_alert(row))

	def fresh_alert(self, row):
		return frappe.db.get_value(dispatch.DOCTYPE, row.name, "alerted_on")

	def test_hundreds_are_one_message_that_says_how_many(self):
		rows = [self.aged(3) for _ in range(3)]
		with patch.object(alerts, "LISTED", 2):
			alerts.dead_letters()
		(mail,) = self.mails()
		self.assertEqual(sum(row.reference_name in mail["message"] for row in rows), 2)
		self.assertIn("And 1 more", mail["message"])

	def test_a_mail_server_that_fails_silences_nothing(self):
		self.aged(3)
		self.mail.side_effect = frappe.ValidationError("no Email Account")
		before = frappe.db.count("Error Log")
		alerts.dead_letters()
		self.assertTrue(self.notifications())
		self.assertGreater(frappe.db.count("Error Log"), before)

	def test_without_recipients_the_bell_rings_all_the_same(self):
		self.connect(alert_recipients="")
		self.aged(3)
		alerts.dead_letters()
		self.assertEqual(self.mails(), [])
		self.assertTrue(self.notifications())

	def test_nothing_to_tell_tells_nothing(self):
		alerts.dead_letters()
		self.assertEqual((self.mails(), self.notifications()), ([], []))

	def test_fiscal_managers_are_told_where_there_are_any(self):
		user = "manager@example.com"
		if not frappe.db.exists("User", user):
			frappe.get_doc(
				{
					"doctype": "User",
					"email": user,
					"first_name": "Manager",
					"send_welcome_email": 0,
					"roles": [{"role": "Fiscal Manager"}],
				}
			).insert(ignore_permissions=True)
		self.aged(3)
		alerts.dead_letters()
		self.assertIn(user, {row.for_user for row in self.notifications()})

	def test_addresses_that_are_none_are_refused_on_saving(self):
		with self.assertRaisesRegex(frappe.ValidationError, "not-an-address"):
			self.connect(alert_recipients="ok@example.com, not-an-address")


class TestExpiries(AlertCase):
	def setUp(self):
		super().setUp()
		frappe.db.set_single_value(connection.SETTINGS, "expiry_alerts", "")
		frappe.clear_document_cache(connection.SETTINGS, connection.SETTINGS)
		self.day = now_datetime().date() + timedelta(days=40)

	def told_when(self, days_left):
		"""The subjects that one certificate has brought so far, `days_left` before it ends."""
		today = now_datetime() + timedelta(days=40 - days_left)
		with patch.object(Facturapi, "expiries", classmethod(lambda cls, found: [("Certificate", self.day)])):
			with patch.object(alerts, "now_datetime", return_value=today):
				alerts.expiries()
				alerts.expiries()
		return len(self.mails())

	def test_thirty_and_seven_days_before_and_once_it_has_ended(self):
		told = [self.told_when(days) for days in (40, 31, 30, 29, 8, 7, 6, 0, -1, -2)]
		self.assertEqual(told, [0, 0, 1, 1, 1, 2, 2, 2, 3, 3])
		self.assertIn("has ended", self.mails()[-1]["subject"])

	def test_a_site_that_was_off_is_told_once_not_twice(self):
		self.assertEqual(self.told_when(5), 1)

	def test_a_renewed_one_begins_anew(self):
		self.told_when(5)
		self.day += timedelta(days=60)
		self.assertEqual(self.told_when(-20), 1, "forty days are left")
		self.assertEqual(self.told_when(-35), 2, "twenty-five days are left")
