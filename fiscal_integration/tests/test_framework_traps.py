"""What Frappe does behind one's back (frappe.md#jobs), and that it costs no document."""

import threading
import time
import warnings
from contextlib import suppress
from unittest.mock import patch

import frappe
from frappe.utils import background_jobs, now_datetime, nowdate

from fiscal_integration import dispatch, drain, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.providers.facturapi import Facturapi
from fiscal_integration.testing import FiscalTestCase

CASHIER = "cashier@example.com"
CLOSED_BY = {"POS Invoice": "consolidated_invoice", "Sales Invoice": "pos_closing_entry"}
"""Where a closing leaves its mark on what a till made."""
runs = []


def process_then_deadlock(document):
	"""A job that fails in the way of a deadlock once all is done: Frappe rolls back and runs all of it again."""
	runs.append(document)
	dispatch.process(document)
	if len(runs) < 4:
		raise frappe.RetryBackgroundJobError("after the provider answered")


class TestFrameworkTraps(FiscalTestCase):
	def run_as_frappe_does(self, method, **kwargs):
		"""As a worker runs it: a connection of its own, which Frappe throws away before it runs it again."""
		site = frappe.local.site

		def work():
			# After the second run Frappe 15.50 stumbles over its own thrown-away connection.
			with suppress(RuntimeError):
				background_jobs.execute_job(site, method, None, "test", kwargs, user="Administrator")

		with patch.object(background_jobs.time, "sleep"):
			worker = threading.Thread(target=work)
			worker.start()
			worker.join(60)

	def test_a_job_that_frappe_runs_again_sends_nothing_twice(self):
		_, row = self.sell()
		runs.clear()
		self.run_as_frappe_does(f"{__name__}.process_then_deadlock", document=row.name)
		self.assertEqual(len(runs), 4)
		self.assertEqual(self.fresh(row).status, lifecycle.ISSUED)
		self.assertEqual(len(self.requests_to("/v2/invoices")), 1)

	def test_nor_when_nothing_could_be_stored_before_it_ran_again(self):
		_, row = self.sell()
		runs.clear()
		with patch.object(dispatch, "_apply", side_effect=frappe.QueryDeadlockError("always")):
			self.run_as_frappe_does(f"{__name__}.process_then_deadlock", document=row.name)
		self.assertEqual(self.fresh(row).status, lifecycle.SENDING)
		self.assertEqual(len(self.requests_to("/v2/invoices")), 1)

	def test_an_exchange_that_cannot_be_recorded_at_once_is_recorded_then(self):
		from fiscal_integration import audit

		_, row = self.sell()
		original, failures = audit._insert, [frappe.QueryDeadlockError("1"), frappe.QueryTimeoutError("2")]

		def insert(*args):
			answer = original(*args)
			if failures:
				raise failures.pop()
			return answer

		with patch.object(audit, "_insert", insert):
			row = self.run_job(row)
		self.assertEqual((row.status, row.exchange_count), (lifecycle.ISSUED, 1))
		self.assertEqual(frappe.db.count("Integration Request", {"fiscal_document": row.name}), 1)

	def test_a_job_that_runs_after_the_invoice_was_cancelled_sends_nothing(self):
		doc, row = self.sell()
		doc.cancel()
		frappe.db.commit()
		errors = frappe.db.count("Error Log")
		dispatch.process(row.name)
		self.assertEqual(self.sandbox.requests("facturapi"), [])
		self.assertEqual(frappe.db.count("Error Log"), errors)

	def test_cancelling_looks_at_the_row_as_it_is_and_not_as_the_transaction_began(self):
		"""A transaction of MariaDB reads what was there at its first look: by then a worker may be sending."""
		doc, row = self.sell()
		stale = frappe.get_doc(dispatch.DOCTYPE, row.name)
		self.assertTrue(dispatch.claim(row.name))
		with patch.object(dispatch, "find", return_value=stale), self.assertRaises(frappe.ValidationError):
			frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.rollback()
		self.assertEqual(self.fresh(row).status, lifecycle.SENDING)
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 1)

	def test_an_answer_for_a_row_that_went_another_way_is_told(self):
		_, row = self.sell()
		work = dispatch.begin(row.name)
		dispatch.call(work)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "status", lifecycle.WITHDRAWN)
		frappe.db.commit()
		dispatch.finish(work)
		self.assertEqual(self.fresh(row).status, lifecycle.WITHDRAWN)
		logged = frappe.get_all("Error Log", {"reference_name": row.reference_name}, pluck="method")
		self.assertTrue(any(work.documents[0].fiscal_id in title for title in logged), logged)

	def test_nor_one_that_had_claimed_it_while_it_was_cancelled(self):
		doc, row = self.sell()
		work = dispatch.begin(row.name)
		with self.assertRaises(frappe.ValidationError):
			frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.rollback()
		dispatch.call(work)
		dispatch.finish(work)
		self.assertEqual(self.fresh(row).status, lifecycle.ISSUED)

	def test_two_transactions_that_both_queue_it(self):
		"""Frappe looks for a job of the same id when it is asked, not when the job is queued."""
		_, row = self.sell()
		patch.stopall()
		try:
			background_jobs.get_redis_conn().ping()
		except Exception:
			self.skipTest("there is no queue here")
		with patch("frappe.utils.background_jobs.get_job", return_value=None):
			for _transaction in range(2):
				dispatch.enqueue(row.name)
		for _job in range(2):
			dispatch.process(row.name)
		self.assertEqual(len(self.requests_to("/v2/invoices")), 1)

	def test_nothing_of_ours_commits_within_an_event(self):
		"""15 would make half a submit permanent; from 16 on Frappe does nothing but warn."""
		with warnings.catch_warnings(record=True) as told:
			warnings.simplefilter("always")
			doc, row = self.sell()
			self.run_job(row)
			note = sample.credit_note(doc)
			other, _row = self.sell(doctype="Sales Invoice")
			other.cancel()
			self.connect(keep_xml=1)
			self.connect(keep_xml=0)
		frappe.db.commit()
		self.assertEqual([str(entry.message) for entry in told if "are disabled" in str(entry.message)], [])
		self.assertTrue(dispatch.find(note.doctype, note.name))

	def test_within_an_event_of_ours_nothing_is_committed(self):
		"""The same on every version: counted at the database."""
		doc = sample.invoice(submit=False)
		frappe.db.commit()
		with patch.object(frappe.db, "commit") as commit:
			doc.submit()
			doc.cancel()
		commit.assert_not_called()
		frappe.db.rollback()
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 0)

	def test_a_queue_that_is_full_or_gone_stops_no_sale(self):
		overloaded = getattr(frappe, "QueueOverloaded", frappe.ValidationError)
		self.set_others_aside()
		enqueue = dispatch.enqueue_job
		for error in (overloaded("too many jobs"), ConnectionError("Redis is down"), OSError("broken pipe")):
			with self.subTest(error):
				with (
					patch.object(dispatch, "enqueue", lambda name: enqueue("x.y", "short", name)),
					patch.object(dispatch, "_queue_answers", return_value=True),
					patch("frappe.enqueue", side_effect=error),
				):
					doc, row = self.sell()
				self.assertEqual((doc.docstatus, row.status), (1, lifecycle.QUEUED))
				self.queued.clear()
				drain.sweep()
				self.assertIn(row.name, self.queued)

	def test_a_job_that_runs_without_the_cashier(self):
		if not frappe.db.exists("User", CASHIER):
			frappe.get_doc(
				{
					"doctype": "User",
					"email": CASHIER,
					"first_name": "Cashier",
					"send_welcome_email": 0,
					"roles": [
						{"role": "Accounts User"},
						{"role": "Accounts Manager"},
						{"role": "Sales User"},
					],
				}
			).insert(ignore_permissions=True)
		frappe.set_user(CASHIER)
		try:
			_, row = self.sell(doctype="Sales Invoice", customer="Papelería del Centro SA de CV")
		finally:
			frappe.set_user("Administrator")
		self.assertEqual(row.requested_by, CASHIER)
		frappe.set_user("Guest")
		try:
			dispatch.process(row.name)
		finally:
			frappe.set_user("Administrator")
		self.assertEqual(self.fresh(row).status, lifecycle.ISSUED)

	def test_a_late_look_up_moves_nothing_backwards(self):
		_, row = self.sell()
		self.sandbox.fault("facturapi", "pending", after=3600)
		row = self.run_job(row)
		self.turn_time(row)
		slow = dispatch.begin(row.name)
		dispatch.call(slow)
		self.assertTrue(slow.documents)
		# Its lease ends meanwhile, another worker asks again, and by then it is issued.
		self.sandbox.advance(3601)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		dispatch.finish(slow)
		after = self.fresh(row)
		self.assertEqual((after.status, after.fiscal_id), (lifecycle.ISSUED, row.fiscal_id))
		self.assertEqual(after.exchange_count, 3, "its exchange is recorded all the same")

	def test_an_issued_row_is_never_taken_again(self):
		_, row = self.sell()
		row = self.run_job(row)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "next_attempt", "2020-01-01")
		frappe.db.commit()
		with patch.object(Facturapi, "issue") as issue:
			dispatch.process(row.name)
		issue.assert_not_called()


class TestClosingWhileSending(FiscalTestCase):
	def test_what_a_long_transaction_overwrote_is_shown_again(self):
		"""Even when the process died before it could: the hourly repair finds it."""
		doc, row = self.sell()
		row = self.run_job(row)
		frappe.db.set_value(doc.doctype, doc.name, {"fiscal_status": "Queued", "fiscal_id": None})
		frappe.db.commit()
		drain.repair_projections()
		shown = frappe.db.get_value(doc.doctype, doc.name, ["fiscal_status", "fiscal_id"])
		self.assertEqual(shown, ("Issued", row.fiscal_id))

	def test_a_dozen_invoices_are_closed_while_their_documents_are_on_the_way(self):
		if not frappe.db.exists("DocType", "POS Closing Entry"):
			self.skipTest("POS Closing Entry is ERPNext's own: it needs a bench")
		from erpnext.accounts.doctype.pos_closing_entry.pos_closing_entry import (
			make_closing_entry_from_opening,
		)

		sample.close_tills()
		till = f"Caja {frappe.generate_hash(length=6)}"
		sample.ensure_till(till)
		sample.open_till(till)
		rows = [self.sell(pos_profile=till)[1] for _ in range(12)]
		original = Facturapi.issue

		def issue(provider, body):
			time.sleep(0.15)
			return original(provider, body)

		names = [row.name for row in rows]
		with patch.object(Facturapi, "issue", issue):
			workers = self.start_workers(names[::2], names[1::2])
			opening = frappe.get_doc("POS Opening Entry", {"pos_profile": till, "docstatus": 1})
			closing = make_closing_entry_from_opening(opening)
			closing.period_end_date, closing.posting_date = now_datetime(), nowdate()
			for row in closing.payment_reconciliation:
				row.closing_amount = row.expected_amount
			closing.insert(ignore_permissions=True)
			closing.submit()
			frappe.db.commit()
			for worker in workers:
				worker.join(60)
		closing.reload()
		self.assertEqual(closing.status, "Submitted", closing.get("error_message"))
		for row in rows:
			row = self.fresh(row)
			self.assertEqual((row.status, len(self.issued_for(row))), (lifecycle.ISSUED, 1))
			shown = frappe.db.get_value(
				row.reference_doctype,
				row.reference_name,
				["fiscal_status", "fiscal_id", CLOSED_BY[row.reference_doctype]],
				as_dict=True,
			)
			self.assertEqual((shown.fiscal_status, shown.fiscal_id), ("Issued", row.fiscal_id))
			closed_by = shown[CLOSED_BY[row.reference_doctype]]
			self.assertTrue(closed_by)
			if row.reference_doctype == "POS Invoice":
				self.assertIsNone(dispatch.find("Sales Invoice", closed_by))
		sample.close_tills()
		sample.open_till()
		frappe.db.commit()


class TestDeletionOfACompanysTransactions(FiscalTestCase):
	def test_it_leaves_everything_of_ours(self):
		"""Whatever has a link to a company is deleted by Transaction Deletion Record, past all permissions, unless a hook
		names it."""
		kept = set(frappe.get_hooks("company_data_to_be_ignored"))
		ours = frappe.get_all("DocType", {"module": "Fiscal Integration"}, pluck="name")
		linked = {
			doctype
			for doctype in ours
			if any(field.options == "Company" for field in frappe.get_meta(doctype).get("fields"))
		}
		self.assertIn("Fiscal Document", linked)
		self.assertEqual(linked, kept & set(ours))

	def test_erpnext_reads_the_hook(self):
		if not frappe.db.exists("DocType", "Transaction Deletion Record"):
			self.skipTest("Transaction Deletion Record is ERPNext's own: it needs a bench")
		from erpnext.setup.doctype.transaction_deletion_record.transaction_deletion_record import (
			get_doctypes_to_be_ignored,
		)

		self.assertIn("Fiscal Document", get_doctypes_to_be_ignored())
