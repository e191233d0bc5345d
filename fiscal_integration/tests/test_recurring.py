"""Invoices that Auto Repeat and Subscription make are issued once per period, whatever runs twice."""

import datetime
from unittest.mock import patch

import frappe
from frappe.utils import add_days, get_first_day, get_last_day, getdate, nowdate

from fiscal_integration import by_hand, dispatch, drain, recurring, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.testing import FiscalTestCase


class RecurringCase(FiscalTestCase):
	def recurring_sale(self, key="AR-1", day="2026-11", **values):
		"""A sale of which recurring says that it is `key`'s of the period `day`."""
		with patch.object(recurring, "period_key", return_value=(key, day, "2026-01-01 00:00:00")):
			return self.sell(doctype="Sales Invoice", **values)

	def setUp(self):
		super().setUp()
		self.key = frappe.generate_hash(length=8)


class TestOncePerPeriod(RecurringCase):
	def test_the_reference_is_the_periods_and_stays(self):
		_, row = self.recurring_sale(self.key)
		self.assertTrue(row.external_reference.startswith(f"{self.key}-2026-11."))
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		_, other = self.recurring_sale(self.key, "2026-12")
		self.assertNotEqual(other.external_reference, row.external_reference)
		self.assertEqual(self.run_job(other).status, lifecycle.ISSUED)

	def test_a_second_one_of_the_period_is_put_before_a_person(self):
		first_doc, first = self.recurring_sale(self.key)
		doc, second = self.recurring_sale(self.key)
		self.assertEqual((doc.docstatus, second.status), (1, lifecycle.REJECTED))
		self.assertIn(first_doc.name, second.error_message)
		shown = frappe.db.get_value(doc.doctype, doc.name, ["fiscal_status", "fiscal_error"], as_dict=True)
		self.assertEqual(shown.fiscal_status, lifecycle.REJECTED)
		self.assertIn(first_doc.name, shown.fiscal_error)
		self.assertNotIn(second.name, self.queued)
		self.run_job(first)
		self.run_job(second)
		drain.sweep()
		self.assertEqual(len(self.requests_to("/v2/invoices")), 1)

	def test_a_person_may_send_it_after_all_or_cancel_it(self):
		self.recurring_sale(self.key)
		_, second = self.recurring_sale(self.key)
		doc, third = self.recurring_sale(self.key)
		by_hand.retry(second.name)
		frappe.db.commit()
		self.assertEqual(self.run_job(second).status, lifecycle.ISSUED)
		frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.commit()
		self.assertEqual(self.fresh(third).status, lifecycle.WITHDRAWN)

	def test_a_withdrawn_one_gives_the_period_free(self):
		doc, row = self.recurring_sale(self.key)
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		self.assertEqual(self.run_job(row).status, lifecycle.REJECTED)
		frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.commit()
		_, again = self.recurring_sale(self.key)
		self.assertEqual(self.run_job(again).status, lifecycle.ISSUED)
		self.assertTrue(again.external_reference.endswith(".2"))
		_, third = self.recurring_sale(self.key)
		self.assertEqual(third.status, lifecycle.REJECTED)

	def test_one_that_was_never_sent_and_cancelled_leaves_nothing_in_the_way(self):
		doc, _row = self.recurring_sale(self.key)
		frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.commit()
		_, again = self.recurring_sale(self.key)
		self.assertEqual(again.status, lifecycle.QUEUED)

	def test_two_jobs_that_do_not_see_each_other(self):
		"""The database tells the second one; its own snapshot may not."""
		first_doc, first = self.recurring_sale(self.key)
		with patch.object(recurring, "reference_for", side_effect=lambda base: (base, "")):
			doc, second = self.recurring_sale(self.key)
		self.assertEqual((first.status, second.status), (lifecycle.QUEUED, lifecycle.REJECTED))
		self.assertIn(first_doc.name, second.error_message)
		self.assertEqual(doc.docstatus, 1)

	def test_returns_and_additions_are_not_the_periods_invoice(self):
		for flag in ("is_return", "is_debit_note"):
			doc = frappe._dict({"doctype": "Sales Invoice", "subscription": "S", flag: 1})
			self.assertEqual(recurring.period_key(doc), ())
		self.assertEqual(recurring.period_key(frappe._dict(doctype="Sales Invoice")), ())


class TestPeriods(FiscalTestCase):
	def period(self, frequency, day, days=()):
		repeat = frappe._dict(frequency=frequency, repeat_on_days=list(days))
		return recurring._period(repeat, getdate(day))

	def test_what_counts_as_one_period(self):
		for frequency in recurring.MONTHLY:
			self.assertEqual(self.period(frequency, "2026-11-01"), self.period(frequency, "2026-11-30"))
			self.assertNotEqual(self.period(frequency, "2026-11-30"), self.period(frequency, "2026-12-01"))
		self.assertEqual(self.period("Weekly", "2026-11-16"), self.period("Weekly", "2026-11-22"))
		self.assertNotEqual(self.period("Weekly", "2026-11-22"), self.period("Weekly", "2026-11-23"))
		self.assertEqual(self.period("Weekly", "2027-01-01"), "2026-W53")
		self.assertEqual(self.period("Daily", "2026-11-16"), "2026-11-16")
		twice = ("Monday", "Thursday")
		self.assertNotEqual(
			self.period("Weekly", "2026-11-16", twice), self.period("Weekly", "2026-11-19", twice)
		)


class TestErpnextsOwn(RecurringCase):
	"""The real Auto Repeat and Subscription, where there is a bench."""

	def setUp(self):
		super().setUp()
		if not frappe.db.exists("DocType", "Auto Repeat"):
			self.skipTest("Auto Repeat and Subscription are on a bench only")

	def test_auto_repeat_that_runs_twice(self):
		doc, original = self.sell(doctype="Sales Invoice", customer="Papelería del Centro SA de CV")
		repeat = frappe.get_doc(
			{
				"doctype": "Auto Repeat",
				"reference_doctype": doc.doctype,
				"reference_document": doc.name,
				"frequency": "Monthly",
				"start_date": nowdate(),
				"submit_on_creation": 1,
			}
		)
		# Not every version offers it for this doctype by itself.
		with patch.object(frappe.get_meta(doc.doctype), "allow_auto_repeat", 1, create=True):
			repeat.insert(ignore_permissions=True)
		frappe.db.set_value("Auto Repeat", repeat.name, "next_schedule_date", nowdate())
		repeat.reload()
		frappe.db.commit()
		made = [repeat.make_new_document() for _run in range(2)]
		frappe.db.commit()
		rows = [dispatch.find(doc.doctype, entry.name) for entry in made]
		self.assertEqual([row.status for row in rows], [lifecycle.QUEUED, lifecycle.REJECTED])
		for row in (original, *rows):
			self.run_job(row)
		self.assertEqual(
			[self.fresh(row).status for row in (original, *rows)],
			[lifecycle.ISSUED, lifecycle.ISSUED, lifecycle.REJECTED],
		)
		repeat.reload()
		self.assertFalse(repeat.disabled)

	def test_a_subscription_that_runs_twice(self):
		plan = frappe.get_doc(
			{
				"doctype": "Subscription Plan",
				"plan_name": f"Plan {self.key}",
				"item": "SERV-INST",
				"currency": "MXN",
				"price_determination": "Fixed Rate",
				"cost": 500,
				"billing_interval": "Month",
				"billing_interval_count": 1,
			}
		).insert(ignore_permissions=True)
		start = get_first_day(nowdate())
		subscription = frappe.get_doc(
			{
				"doctype": "Subscription",
				"party_type": "Customer",
				"party": "Papelería del Centro SA de CV",
				"company": sample.COMPANY,
				"start_date": start,
				"generate_invoice_at": "Beginning of the current subscription period",
				"submit_invoice": 1,
				"plans": [{"plan": plan.name, "qty": 1}],
			}
		).insert(ignore_permissions=True)
		frappe.db.commit()
		made = [
			subscription.create_invoice(from_date=start, to_date=get_last_day(start)) for _run in range(2)
		]
		frappe.db.commit()
		rows = [dispatch.find("Sales Invoice", entry.name) for entry in made]
		self.assertEqual([row.status for row in rows], [lifecycle.QUEUED, lifecycle.REJECTED])
		later = subscription.create_invoice(
			from_date=add_days(get_last_day(start), 1), to_date=add_days(get_last_day(start), 30)
		)
		frappe.db.commit()
		self.assertEqual(dispatch.find("Sales Invoice", later.name).status, lifecycle.QUEUED)
		self.assertIsInstance(getdate(made[0].from_date), datetime.date)
