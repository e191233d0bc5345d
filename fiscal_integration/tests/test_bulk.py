"""Bulk from the lists: what is told before, what is put on its way, and that nothing is issued twice."""

import json
import os
import threading
import time
import unittest
from pathlib import Path
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, get_datetime, now_datetime

from fiscal_integration import api, bulk, connection, dispatch, drain, recurring, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.testing import FiscalTestCase

NOT_READY = "Sin Código Postal SA"
GOING = "On its way in bulk already."
HIDDEN = "Not found, or not yours to read."
COPY = "BULK-COPY-"
ROWS = int(os.environ.get("FISCAL_BULK_ROWS") or 0)


class BulkCase(FiscalTestCase):
	def setUp(self):
		super().setUp()
		self.set_others_aside()
		# What other tests left running is not this one's to sum up.
		frappe.db.set_value(drain.BATCH, {"status": ("!=", drain.FINISHED)}, "status", drain.FINISHED)
		frappe.db.commit()
		self.drains, self.jobs = [], []
		for name, calls in (("enqueue_drain", self.drains), ("enqueue_preparation", self.jobs)):
			queue = patch.object(drain, name, side_effect=lambda *args, calls=calls: calls.append(args))
			queue.start()
			self.addCleanup(queue.stop)

	def switch(self, on):
		frappe.db.set_single_value(connection.SETTINGS, "enabled", int(on))
		frappe.clear_document_cache(connection.SETTINGS, connection.SETTINGS)
		frappe.db.commit()

	def unrecorded(self, number=1, **values):
		"""Sales made while the app was off."""
		self.switch(False)
		docs = [self.sell(**values)[0] for _sale in range(number)]
		self.switch(True)
		return docs

	def in_state(self, status, **values):
		_, row = self.sell()
		frappe.db.set_value(dispatch.DOCTYPE, row.name, {"status": status, **values})
		frappe.db.commit()
		return row

	def documents_of(self, doc):
		frappe.db.rollback()
		return frappe.get_all(
			dispatch.DOCTYPE,
			{"reference_doctype": doc.doctype, "reference_name": doc.name},
			["name", "status", "external_reference", "batch", "bulk", "creation"],
		)

	def end(self, batch):
		"""Drain and sum up; the batch."""
		drain.drain(self.shop.company)
		drain.finish_batches()
		return frappe.get_doc(drain.BATCH, batch)

	def as_user(self, *roles, company=None):
		email = f"bulk-{frappe.scrub('-'.join((*roles, company or '')))}@example.com"
		if not frappe.db.exists("User", email):
			frappe.get_doc(
				{
					"doctype": "User",
					"email": email,
					"first_name": "Bulk",
					"send_welcome_email": 0,
					"roles": [{"role": role} for role in roles],
				}
			).insert(ignore_permissions=True)
			if company:
				frappe.get_doc(
					{"doctype": "User Permission", "user": email, "allow": "Company", "for_value": company}
				).insert(ignore_permissions=True)
			frappe.db.commit()
		frappe.set_user(email)
		return email


class TestPreview(BulkCase):
	def test_every_reason(self):
		rows = {
			"again": [self.in_state(lifecycle.REJECTED), self.in_state(lifecycle.FAILED)],
			"waiting": [self.sell()[1]],
			"going": [
				self.in_state(lifecycle.QUEUED, bulk=1, next_attempt=add_to_date(now_datetime(), seconds=-5))
			],
			"provider": [
				self.in_state(status) for status in (lifecycle.SENDING, lifecycle.PENDING, lifecycle.UNKNOWN)
			],
			"issued": [self.run_job(self.sell()[1])],
			"cancelled": [
				self.in_state(lifecycle.ISSUED, cancellation_status=lifecycle.CANCELLED, fiscal_id="X-1")
			],
			"review": [self.in_state(lifecycle.NEEDS_REVIEW)],
			"withdrawn": [self.in_state(lifecycle.WITHDRAWN)],
			"second": [self.in_state(lifecycle.REJECTED, error_code="second_of_period")],
		}
		reasons = {
			GOING: 1,
			"With the provider: its answer decides.": 3,
			"Issued already.": 1,
			"Cancelled at the authority.": 1,
			"Needs review: a person compares and decides.": 1,
			"The invoice was cancelled before anything was issued.": 1,
			"A second invoice of its period: decide about it on its own.": 1,
		}
		every = [row for lot in rows.values() for row in lot]
		of_documents = bulk.preview(dispatch.DOCTYPE, names=[row.name for row in every])
		self.assertEqual(of_documents["reasons"], reasons)
		self.assertEqual(
			[of_documents[key] for key in ("selected", "will", "again", "waiting", "new")], [12, 3, 2, 1, 0]
		)

		new, opening, outside = self.unrecorded(3)
		draft = sample.invoice(submit=False)
		cancelled = self.unrecorded()[0]
		frappe.get_doc(cancelled.doctype, cancelled.name).cancel()
		frappe.db.set_value(opening.doctype, opening.name, "is_opening", "Yes")
		told = {"fiscal_status": "Not Required", "fiscal_error": "Outside."}
		frappe.db.set_value(outside.doctype, outside.name, told)
		frappe.db.commit()
		invoices = [doc.name for doc in (new, opening, outside, draft, cancelled)]
		invoices += [row.reference_name for row in every]
		of_invoices = bulk.preview(self.sale_doctype, names=[*invoices, "not there"])
		self.assertEqual(
			of_invoices["reasons"],
			{
				**reasons,
				"An opening entry, not a sale.": 1,
				"It needs no document of its own: Outside.": 1,
				"A draft: submit it first.": 1,
				"The invoice is cancelled.": 1,
				HIDDEN: 1,
			},
		)
		self.assertEqual(
			[of_invoices[key] for key in ("selected", "will", "again", "waiting", "new", "unchecked")],
			[18, 4, 2, 1, 1, 0],
		)
		self.assertEqual(of_invoices["oldest"], str(new.posting_date))

	def test_a_company_that_is_not_connected(self):
		(doc,) = self.unrecorded()
		row = self.in_state(lifecycle.REJECTED)
		reason = f"{sample.COMPANY} is not connected to a fiscal provider, or switched off."
		self.switch(False)
		told = bulk.preview(self.sale_doctype, names=[doc.name, row.reference_name])
		self.assertEqual((told["will"], told["reasons"]), (0, {reason: 2}))
		self.assertIsNone(bulk.start(self.sale_doctype, names=[doc.name, row.reference_name])["batch"])
		self.assertEqual(self.documents_of(doc), [])

	def test_a_sales_invoice_that_stands_for_pos_invoices(self):
		self.where_tills_make("POS Invoice")
		sold, _ = self.sell()
		closing, only_says_so = self.unrecorded(2, doctype="Sales Invoice")
		for doc in (closing, only_says_so):
			frappe.db.set_value("Sales Invoice", doc.name, "is_consolidated", 1)
		frappe.db.set_value("Sales Invoice Item", closing.items[0].name, "pos_invoice", sold.name)
		frappe.db.commit()
		told = bulk.preview("Sales Invoice", names=[closing.name, only_says_so.name])
		reason = "Made by a POS Closing from POS Invoices, which have their own documents."
		self.assertEqual((told["new"], told["reasons"]), (1, {reason: 1}))

	def test_filters_select_as_the_list_does(self):
		docs = self.unrecorded(2) + self.unrecorded(items=[("LIBRO-01", 1, 320.0), ("LIBRO-01", 2, 320.0)])
		mine = [self.sale_doctype, "name", "in", [doc.name for doc in docs]]
		told = bulk.preview(self.sale_doctype, filters=[mine])
		self.assertEqual((told["new"], told["reasons"]), (3, {}))
		book = [f"{self.sale_doctype} Item", "item_code", "=", "LIBRO-01"]
		told = bulk.preview(self.sale_doctype, filters=[mine, book])
		self.assertEqual((told["selected"], told["new"]), (1, 1), "once, though two of its rows are found")
		without = [self.sale_doctype, "fiscal_document", "is", "not set"]
		issued = self.run_job(self.sell()[1])
		both = [self.sale_doctype, "name", "in", [docs[0].name, issued.reference_name]]
		self.assertEqual(bulk.preview(self.sale_doctype, filters=[both, without])["selected"], 1)
		self.assertEqual(bulk.preview(self.sale_doctype, names=[])["selected"], 0)

	def test_other_doctypes_are_refused(self):
		for call in (bulk.preview, bulk.start):
			with self.assertRaises(frappe.PermissionError):
				call("Customer", names=["x"])


class TestWhoMay(BulkCase):
	def test_only_managers(self):
		(doc,) = self.unrecorded()
		for roles in (("Accounts User",), ("Fiscal User", "Accounts Manager")):
			self.as_user(*roles)
			for call in (api.preview_bulk, api.start_bulk):
				with self.assertRaises(frappe.PermissionError):
					call(self.sale_doctype, names=[doc.name])
			frappe.set_user("Administrator")
		self.assertEqual(self.documents_of(doc), [])

	def test_a_manager_needs_to_read_the_invoices(self):
		(doc,) = self.unrecorded()
		self.as_user("Fiscal Manager")
		for call in (api.preview_bulk, api.start_bulk):
			with self.assertRaises(frappe.PermissionError):
				call(self.sale_doctype, names=[doc.name])

	def test_and_sees_no_other_company_by_it(self):
		sample.set_up_panama()
		(doc,) = self.unrecorded()
		row = self.in_state(lifecycle.REJECTED)
		self.as_user("Fiscal Manager", "Accounts Manager", company=sample.PANAMA.company)
		told = api.preview_bulk(self.sale_doctype, names=json.dumps([doc.name]))
		self.assertEqual((told["will"], told["reasons"]), (0, {HIDDEN: 1}))
		self.assertEqual(
			api.preview_bulk(self.sale_doctype, filters=[["name", "=", doc.name]])["selected"], 0
		)
		self.assertIsNone(api.start_bulk(self.sale_doctype, names=[doc.name])["batch"])
		self.assertIsNone(api.start_bulk(dispatch.DOCTYPE, names=[row.name])["batch"])
		frappe.set_user("Administrator")
		self.assertEqual(self.documents_of(doc), [])

	def test_a_job_selects_as_the_user_who_asked(self):
		sample.set_up_panama()
		(doc,) = self.unrecorded()
		email = self.as_user("Fiscal Manager", "Accounts Manager")
		with patch.object(bulk, "FEW", 0):
			batch = api.start_bulk(self.sale_doctype, names=[doc.name])["batch"]
		self.as_user("Fiscal Manager", "Accounts Manager", company=sample.PANAMA.company)
		other = frappe.session.user
		frappe.set_user("Administrator")
		# As if he had been confined to another company since.
		frappe.db.set_value(drain.BATCH, batch, "requested_by", other)
		frappe.db.commit()
		bulk.prepare(batch)
		self.assertEqual(frappe.session.user, "Administrator")
		self.assertEqual(self.documents_of(doc), [])
		frappe.db.set_value(drain.BATCH, batch, {"requested_by": email, "status": drain.PREPARING})
		frappe.db.commit()
		bulk.prepare(batch)
		(made,) = self.documents_of(doc)
		self.assertEqual(frappe.db.get_value(dispatch.DOCTYPE, made.name, "requested_by"), email)


class TestStart(BulkCase):
	def test_invoices_without_a_document_get_theirs(self):
		docs = self.unrecorded(2) + self.unrecorded(doctype="Sales Invoice")
		pos, other, sales = docs
		answer = bulk.start(self.sale_doctype, names=[other.name, pos.name])
		self.assertEqual((answer["documents"], answer["status"]), (2, drain.RUNNING))
		self.assertEqual(self.drains[0], (sample.COMPANY,))
		self.assertEqual(self.queued, [], "nothing goes to the queue of the tills")
		made = [self.documents_of(doc)[0] for doc in (pos, other)]
		for doc, row in zip((pos, other), made, strict=True):
			self.assertEqual(
				(row.status, row.batch, row.bulk, row.external_reference),
				(lifecycle.QUEUED, answer["batch"], 1, dispatch.external_reference(doc)),
			)
			shown = frappe.db.get_value(self.sale_doctype, doc.name, ["fiscal_document", "fiscal_status"])
			self.assertEqual(tuple(shown), (row.name, lifecycle.QUEUED))
		self.assertLess(made[0].creation, made[1].creation, "in the order of the sales")
		summed = self.end(answer["batch"])
		self.assertEqual(
			(summed.status, summed.total, summed.issued, summed.failed), (drain.FINISHED, 2, 2, 0)
		)
		self.assertEqual(frappe.db.get_value(self.sale_doctype, pos.name, "fiscal_status"), lifecycle.ISSUED)
		answer = bulk.start("Sales Invoice", names=[sales.name])
		self.assertEqual(self.end(answer["batch"]).issued, 1)
		for doc in docs:
			(row,) = self.documents_of(doc)
			self.assertEqual(len(self.issued_for(row)), 1)

	def test_all_kinds_at_once_and_twice(self):
		new = self.unrecorded()[0]
		rejected, failed = self.in_state(lifecycle.REJECTED, error_code="X"), self.in_state(lifecycle.FAILED)
		waiting, issued = self.sell()[1], self.run_job(self.sell()[1])
		review = self.in_state(lifecycle.NEEDS_REVIEW)
		names = [new.name, *(row.reference_name for row in (rejected, failed, waiting, issued, review))]
		first = bulk.start(self.sale_doctype, names=names)
		self.assertEqual(first["documents"], 4)
		self.assertIsNone(bulk.start(self.sale_doctype, names=names)["batch"], "all are on their way")
		self.assertEqual(bulk.preview(self.sale_doctype, names=names)["reasons"][GOING], 4)
		summed = self.end(first["batch"])
		self.assertEqual((summed.total, summed.issued), (4, 4))
		self.assertIsNone(bulk.start(self.sale_doctype, names=names)["batch"])
		self.assertIsNone(bulk.start(dispatch.DOCTYPE, names=[rejected.name])["batch"])
		drain.drain(sample.COMPANY)
		for row in (rejected, failed, waiting):
			self.assertEqual(len(self.issued_for(row)), 1)
		self.assertEqual(self.fresh(review).status, lifecycle.NEEDS_REVIEW)
		left = dict(map(tuple, drain.progress(first["batch"])["left"]))
		self.assertEqual(left["Issued already."], 1)
		self.assertEqual(left["Needs review: a person compares and decides."], 1)

	def test_a_document_that_came_a_moment_before_is_the_only_one(self):
		first, second = self.unrecorded(2)
		insert = bulk._Preparation._insert

		def too_late(preparation, invoice):
			if invoice.name == first.name:
				dispatch.create(frappe.get_doc(self.sale_doctype, first.name))
			insert(preparation, invoice)

		frappe.clear_messages()
		with patch.object(bulk._Preparation, "_insert", too_late):
			answer = bulk.start(self.sale_doctype, names=[first.name, second.name])
		self.assertEqual(answer["documents"], 1)
		self.assertEqual([len(self.documents_of(doc)) for doc in (first, second)], [1, 1])
		self.assertEqual(drain.progress(answer["batch"])["left"], [[GOING, 1]])
		self.assertEqual(frappe.get_message_log(), [], "Frappe's own words for it are not for the user")

	def test_fiscal_documents_by_filter(self):
		rejected, issued = self.in_state(lifecycle.REJECTED), self.run_job(self.sell()[1])
		mine = [dispatch.DOCTYPE, "name", "in", [rejected.name, issued.name]]
		answer = bulk.start(dispatch.DOCTYPE, filters=[mine])
		self.assertEqual(answer["documents"], 1)
		self.assertEqual(self.end(answer["batch"]).issued, 1)

	def test_what_cannot_be_expressed_is_refused_and_says_why(self):
		good = self.unrecorded()[0]
		(bad,) = self.unrecorded(customer=NOT_READY)
		batch = bulk.start(self.sale_doctype, names=[good.name, bad.name])["batch"]
		summed = self.end(batch)
		self.assertEqual((summed.issued, summed.failed), (1, 1))
		shown = frappe.db.get_value(
			self.sale_doctype, bad.name, ["fiscal_status", "fiscal_error"], as_dict=True
		)
		self.assertEqual(shown.fiscal_status, lifecycle.REJECTED)
		self.assertIn("postal code", shown.fiscal_error)
		((code, message, number),) = drain.progress(batch)["errors"]
		self.assertTrue(code)
		self.assertIn("postal code", message)
		self.assertEqual(number, 1)
		self.assertIn(f"{code}: 1", summed.summary)
		self.assertEqual(len(self.documents_of(bad)), 1)

	def test_progress_is_counted_while_it_runs(self):
		docs = self.unrecorded(3)
		batch = bulk.start(self.sale_doctype, names=[doc.name for doc in docs])["batch"]
		seen = drain.progress(batch)
		self.assertEqual(
			[seen[key] for key in ("status", "total", "waiting", "percent")], [drain.RUNNING, 3, 3, 0]
		)
		dispatch.process(self.documents_of(docs[0])[0].name)
		seen = frappe.get_doc(drain.BATCH, batch).progress()
		self.assertEqual([seen[key] for key in ("issued", "waiting", "percent")], [1, 2, 33])
		# A cashier cancels one that was not sent yet.
		frappe.get_doc(docs[1].doctype, docs[1].name).cancel()
		frappe.db.commit()
		self.assertEqual(drain.progress(batch)["gone"], 1)
		summed = self.end(batch)
		self.assertEqual((summed.total, summed.issued), (3, 2))
		self.assertIn("Withdrawn, or sent with a later batch: 1", summed.summary)

	def test_a_second_invoice_of_a_period_is_put_before_a_person(self):
		key = frappe.generate_hash(length=8)
		docs = self.unrecorded(2, doctype="Sales Invoice")
		period = (key, "2026-11", "2026-01-01 00:00:00")
		with patch.object(recurring, "period_key", return_value=period):
			batch = bulk.start("Sales Invoice", names=[doc.name for doc in docs])["batch"]
		self.assertEqual(self.queued, [])
		summed = self.end(batch)
		self.assertEqual((summed.total, summed.issued, summed.failed), (2, 1, 1))
		rejected = [row for doc in docs for row in self.documents_of(doc) if row.status == lifecycle.REJECTED]
		self.assertEqual(len(rejected), 1)
		# It is not issued by selecting it with many others.
		self.assertEqual(bulk.preview(dispatch.DOCTYPE, names=[rejected[0].name])["will"], 0)


class TestManyRows(BulkCase):
	"""What a job does, in small."""

	def setUp(self):
		super().setUp()
		for name, value in (("FEW", 1), ("CHUNK", 2)):
			size = patch.object(bulk, name, value)
			size.start()
			self.addCleanup(size.stop)

	def start(self, docs):
		answer = bulk.start(self.sale_doctype, names=[doc.name for doc in docs])
		self.assertEqual((answer["status"], answer["documents"]), (drain.PREPARING, 0))
		self.assertEqual(self.jobs.pop(), (answer["batch"],))
		return answer["batch"]

	def one_each(self, docs):
		self.assertEqual([len(self.documents_of(doc)) for doc in docs], [1] * len(docs))

	def test_it_gives_its_worker_back_and_goes_on(self):
		docs = self.unrecorded(5)
		batch = self.start(docs)
		bulk.prepare(batch, seconds=0)
		self.assertEqual(drain.progress(batch)["status"], drain.PREPARING)
		self.assertEqual((drain.progress(batch)["total"], self.jobs.pop()), (2, (batch, 1)))
		# What is on its way is sent while the rest is prepared, and does not end the batch.
		self.assertEqual(drain.drain(sample.COMPANY), 2)
		drain.finish_batches()
		self.assertEqual(self.jobs.pop(), (batch,))
		bulk.prepare(batch, 1, seconds=0)
		bulk.prepare(batch, 0, seconds=0)
		self.assertEqual(drain.progress(batch)["status"], drain.RUNNING)
		self.one_each(docs)
		summed = self.end(batch)
		self.assertEqual((summed.total, summed.issued, summed.selected), (5, 5, 5))

	def test_a_worker_that_is_killed_half_way(self):
		docs = self.unrecorded(5)
		batch = self.start(docs)
		step = bulk._Preparation._step
		done = []

		def killed(preparation, chunk):
			if done:
				raise SystemExit
			done.append(step(preparation, chunk))

		with patch.object(bulk._Preparation, "_step", killed), self.assertRaises(SystemExit):
			bulk.prepare(batch)
		frappe.db.rollback()
		drain.finish_batches()
		self.assertEqual(self.jobs, [], "it may still be at it")
		bulk.prepare(batch)
		self.assertEqual(frappe.db.get_value(drain.BATCH, batch, "total"), 2)
		frappe.db.set_value(drain.BATCH, batch, "lease_until", add_to_date(now_datetime(), seconds=-1))
		frappe.db.commit()
		drain.finish_batches()
		self.assertEqual(self.jobs.pop(), (batch,))
		bulk.prepare(batch)
		self.one_each(docs)
		self.assertEqual(self.end(batch).issued, 5)

	def test_what_is_refused_while_it_prepares_is_not_sent_again(self):
		docs = self.unrecorded(2, customer=NOT_READY) + self.unrecorded(2)
		batch = self.start(docs)
		bulk.prepare(batch, seconds=0)
		drain.drain(sample.COMPANY)
		bulk.prepare(batch, 1)
		statuses = [self.documents_of(doc)[0].status for doc in docs]
		self.assertEqual(statuses, [lifecycle.REJECTED] * 2 + [lifecycle.QUEUED] * 2)
		summed = self.end(batch)
		self.assertEqual((summed.total, summed.issued, summed.failed), (4, 2, 2))

	def test_nothing_to_send_ends_at_once(self):
		rows = [self.run_job(self.sell()[1]) for _sale in range(2)]
		answer = bulk.start(self.sale_doctype, names=[row.reference_name for row in rows])
		bulk.prepare(answer["batch"])
		summed = frappe.get_doc(drain.BATCH, answer["batch"])
		self.assertEqual(
			(summed.status, summed.total, summed.summary), (drain.FINISHED, 0, "Nothing was to be sent.")
		)
		self.assertEqual(drain.progress(answer["batch"])["left"], [["Issued already.", 2]])

	def test_a_defect_does_not_escape_the_job(self):
		docs = self.unrecorded(2)
		batch = self.start(docs)
		with patch.object(bulk, "_sort", side_effect=KeyError("a defect")):
			bulk.prepare(batch)
		self.assertEqual(drain.progress(batch)["status"], drain.PREPARING)
		self.assertTrue(
			frappe.get_all("Error Log", {"method": ("like", f"Bulk could not be prepared: {batch}%")})
		)

	def test_two_bulks_and_the_sweep_at_once(self):
		docs = self.unrecorded(8)
		names = [doc.name for doc in docs]
		site, path = frappe.local.site, frappe.local.sites_path
		errors, ready = [], threading.Barrier(3)

		def work(call):
			frappe.init(site, sites_path=path)
			frappe.connect()
			try:
				ready.wait(10)
				call()
			except Exception as error:
				errors.append(error)
			finally:
				frappe.destroy()

		def send():
			for _round in range(6):
				drain.sweep()
				drain.drain(sample.COMPANY)

		calls = (
			lambda: bulk.prepare(bulk.start(self.sale_doctype, names=names)["batch"]),
			lambda: bulk.prepare(bulk.start(self.sale_doctype, names=names[::-1])["batch"]),
			send,
		)
		workers = [threading.Thread(target=work, args=(call,)) for call in calls]
		for worker in workers:
			worker.start()
		for worker in workers:
			worker.join(120)
		self.assertEqual(errors, [])
		self.one_each(docs)
		# One that ran into the other is taken up again by the sweep.
		for batch in frappe.get_all(drain.BATCH, {"status": drain.PREPARING}, pluck="name"):
			bulk.prepare(batch)
		drain.drain(sample.COMPANY)
		for doc in docs:
			(row,) = self.documents_of(doc)
			self.assertEqual((row.status, len(self.issued_for(row))), (lifecycle.ISSUED, 1))


class TestNotRequired(BulkCase):
	"""Sales of which the law wants no receipt: the till's own rules hold in bulk too."""

	provider = "fiskaly"
	shop = sample.AUSTRIA

	def sold_both_ways(self):
		(cash,) = self.unrecorded(items=[("CAFE-500", 1, 100.0)])
		(transfer,) = self.unrecorded(items=[("CAFE-500", 1, 100.0)], paid=[("Wire Transfer", 120.0)])
		return cash, transfer

	def test_they_are_counted_apart_and_get_no_document(self):
		cash, transfer = self.sold_both_ways()
		names = [cash.name, transfer.name]
		reason = "It needs no document of its own: Paid by bank transfer: outside of the RKSV, no receipt is signed."
		told = bulk.preview(self.sale_doctype, names=names)
		self.assertEqual((told["new"], told["unchecked"], told["reasons"]), (1, 0, {reason: 1}))
		with patch.object(bulk, "LOOKED_AT", 0):
			told = bulk.preview(self.sale_doctype, names=names)
		self.assertEqual((told["new"], told["unchecked"], told["reasons"]), (2, 2, {}))
		answer = bulk.start(self.sale_doctype, names=names)
		self.assertEqual(answer["documents"], 1)
		self.assertEqual((len(self.documents_of(cash)), self.documents_of(transfer)), (1, []))
		shown = frappe.db.get_value(self.sale_doctype, transfer.name, ["fiscal_status", "fiscal_error"])
		self.assertEqual(shown[0], "Not Required")
		self.assertIn("bank transfer", shown[1])
		self.assertEqual(bulk.preview(self.sale_doctype, names=names)["reasons"][reason], 1)

	def test_the_documents_of_a_till_are_in_the_order_of_the_sales(self):
		docs = self.unrecorded(3)
		for index, doc in enumerate(docs):
			at = {"posting_date": "2026-01-02", "posting_time": f"0{3 - index}:00:00"}
			frappe.db.set_value(self.sale_doctype, doc.name, at)
		frappe.db.commit()
		bulk.start(self.sale_doctype, names=[doc.name for doc in docs])
		made = [get_datetime(self.documents_of(doc)[0].creation) for doc in docs]
		self.assertEqual(made, sorted(made, reverse=True))


@unittest.skipUnless(ROWS, "slow: FISCAL_BULK_ROWS=10000 on a bench, as docs/bulk.md tells")
class TestTensOfThousands(BulkCase):
	"""Time and memory over so many invoices without a document; prints what it measured."""

	def setUp(self):
		super().setUp()
		self.clean_up()
		self.addCleanup(self.clean_up)
		(doc,) = self.unrecorded()
		columns = frappe.db.get_table_columns(self.sale_doctype)
		values = [f"concat('{COPY}', lpad(seq, 6, '0'))" if c == "name" else f"`{c}`" for c in columns]
		frappe.db.sql(
			f"insert into `tab{self.sale_doctype}` ({', '.join(f'`{c}`' for c in columns)}) "
			f"select {', '.join(values)} from `tab{self.sale_doctype}` source, seq_1_to_{ROWS} where source.name = %s",
			(doc.name,),
		)
		frappe.db.commit()

	def clean_up(self):
		frappe.db.rollback()
		frappe.db.delete(dispatch.DOCTYPE, {"reference_name": ("like", f"{COPY}%")})
		frappe.db.delete(self.sale_doctype, {"name": ("like", f"{COPY}%")})
		frappe.db.commit()

	def measured(self, label, call):
		before, start = self.memory(), time.perf_counter()
		answer = call()
		seconds, grown = time.perf_counter() - start, self.memory() - before
		print(f"{label}: {seconds:.2f} s, {grown:+.1f} MB")
		return answer, seconds, grown

	@staticmethod
	def memory() -> float:
		"""Resident memory of this process in MB."""
		pages = int(Path("/proc/self/statm").read_text().split()[1])
		return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

	def test_preview_start_and_preparation(self):
		filters = [
			[self.sale_doctype, "name", "like", f"{COPY}%"],
			[self.sale_doctype, "fiscal_document", "is", "not set"],
		]
		print(f"\n{ROWS} invoices without a document")
		seen, seconds, grown = self.measured(
			"preview", lambda: bulk.preview(self.sale_doctype, filters=filters)
		)
		self.assertEqual(seen["new"], ROWS)
		self.assertLess(seconds, ROWS / 1000)
		answer, seconds, _grown = self.measured(
			"start", lambda: bulk.start(self.sale_doctype, filters=filters)
		)
		self.assertLess(seconds, 2)
		total = 0
		while drain.progress(answer["batch"])["status"] == drain.PREPARING:
			_none, seconds, more = self.measured("  one job", lambda: bulk.prepare(answer["batch"]))
			self.assertLess(seconds, bulk.PREPARE_SECONDS + 5)
			total += seconds
			grown += more
		print(f"all of the preparation: {total:.1f} s")
		self.assertEqual(drain.progress(answer["batch"])["total"], ROWS)
		self.assertLess(grown, 50)
		made = frappe.db.count(dispatch.DOCTYPE, {"reference_name": ("like", f"{COPY}%")})
		self.assertEqual(made, ROWS)
		seen, _seconds, _grown = self.measured(
			"preview of all going", lambda: bulk.preview(self.sale_doctype, filters=filters[:1])
		)
		# Workers of the site, if any, are sending them already.
		self.assertEqual((seen["will"], sum(seen["reasons"].values())), (0, ROWS))
