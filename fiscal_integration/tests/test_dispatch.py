import json
import socket
import time
from dataclasses import replace
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, get_datetime, now_datetime

from fiscal_integration import audit, by_hand, dispatch, sample, tasks
from fiscal_integration.fiscal import lifecycle, qr
from fiscal_integration.fiscal.remote import RemoteDocument, RemoteStatus
from fiscal_integration.fiscal_integration.doctype.fiscal_document import fiscal_document
from fiscal_integration.providers.facturapi import Facturapi
from fiscal_integration.testing import FiscalTestCase

BUSINESS = "Papelería del Centro SA de CV"


class TestIssuing(FiscalTestCase):
	def test_a_submitted_invoice_becomes_a_cfdi(self):
		doc, row = self.sell()
		self.assertEqual((row.status, self.queued), (lifecycle.QUEUED, [row.name]))
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		(issued,) = self.issued_for(row)
		self.assertEqual((row.fiscal_id, row.provider_id), (issued["uuid"], issued["id"]))
		self.assertTrue(row.authorization_number and row.authorized_at and row.qr_value)
		stamps = {stamp.key: stamp.value for stamp in row.stamps}
		self.assertTrue(stamps["sat_signature"] and stamps["verification_url"] == row.qr_value)
		shown = frappe.db.get_value(
			doc.doctype,
			doc.name,
			["fiscal_status", "fiscal_id", "fiscal_qr_value", "fiscal_document", "modified"],
			as_dict=True,
		)
		self.assertEqual((shown.fiscal_status, shown.fiscal_id), ("Issued", row.fiscal_id))
		self.assertEqual((shown.fiscal_qr_value, shown.fiscal_document), (row.qr_value, row.name))
		self.assertEqual(get_datetime(shown.modified), get_datetime(doc.modified))

	def test_rolling_back_the_sale_leaves_nothing(self):
		doc = sample.invoice()
		frappe.db.rollback()
		self.assertIsNone(dispatch.find(doc.doctype, doc.name))
		self.assertEqual(self.queued, [])

	def test_the_same_invoice_cannot_have_two(self):
		doc, _ = self.sell()
		doc.fiscal_document = None
		with self.assertRaises(frappe.UniqueValidationError):
			dispatch.create(doc)
		frappe.db.rollback()

	def test_a_job_that_runs_twice_sends_once(self):
		_, row = self.sell()
		self.run_job(row)
		self.turn_time(row)
		self.run_job(row)
		self.assertEqual(len(self.requests_to("/v2/invoices")), 1)

	def test_payload_is_frozen_and_committed_before_it_is_sent(self):
		_, row = self.sell()
		seen = {}

		def look(self_, body):
			frappe.db.rollback()
			kept = frappe.get_doc(dispatch.DOCTYPE, row.name)
			seen.update(status=kept.status, payload=kept.payload, attempts=kept.attempts, body=body)
			return original(self_, body)

		original = Facturapi.issue
		with patch.object(Facturapi, "issue", look):
			self.run_job(row)
		self.assertEqual((seen["status"], seen["attempts"]), (lifecycle.SENDING, 1))
		self.assertEqual(seen["payload"], seen["body"])

	def test_a_retry_sends_the_same_bytes_and_key(self):
		doc, row = self.sell()
		self.sandbox.fault("facturapi", "status", status=429, retry_after=1)
		row = self.run_job(row)
		self.assertEqual((row.status, row.error_class), (lifecycle.QUEUED, "Transient"))
		frappe.db.set_value("Customer", doc.customer, "fiscal_legal_name", "OTRO NOMBRE")
		self.addCleanup(frappe.db.set_value, "Customer", doc.customer, "fiscal_legal_name", None)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, row.attempts), (lifecycle.ISSUED, 2))
		first, second = (request["body"] for request in self.requests_to("/v2/invoices"))
		self.assertEqual(first, second)

	def test_many_workers_at_once_send_once(self):
		_, row = self.sell()
		self.sandbox.fault("facturapi", "slow", delay=0.3)
		workers = self.start_workers(*[[row.name]] * 6)
		for worker in workers:
			worker.join(30)
		row = self.fresh(row)
		self.assertEqual((row.status, row.attempts), (lifecycle.ISSUED, 1))
		self.assertEqual(len(self.requests_to("/v2/invoices")), 1)

	def test_no_pause_no_attempt(self):
		_, row = self.sell()
		self.sandbox.fault("facturapi", "status", status=429, retry_after=600)
		row = self.run_job(row)
		self.assertGreater(get_datetime(row.next_attempt), add_to_date(now_datetime(), seconds=590))
		self.run_job(row)
		self.assertEqual(len(self.requests_to("/v2/invoices")), 1)

	def test_attempts_end(self):
		_, row = self.sell()
		self.sandbox.fault("facturapi", "status", times=50, status=429)
		for _attempt in range(lifecycle.MAX_ATTEMPTS):
			self.turn_time(row)
			row = self.run_job(row)
		self.assertEqual((row.status, row.attempts), (lifecycle.FAILED, lifecycle.MAX_ATTEMPTS))

	def test_wrong_key_stops_and_tells(self):
		_, row = self.sell()
		self.connect(secret_key="sk_test_Wrong000000000000")
		self.addCleanup(self.connect)
		row = self.run_job(row)
		self.assertEqual((row.status, row.error_class), (lifecycle.FAILED, "Configuration"))
		self.assertIn("secret key", row.error_message)

	def test_refused_data_are_told_on_the_invoice(self):
		doc, row = self.sell(customer=BUSINESS)
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		error = frappe.db.get_value(doc.doctype, doc.name, "fiscal_error")
		self.assertIn("Falla ordenada", error)

	def test_send_again_after_a_refusal_builds_a_new_payload_under_the_same_key(self):
		_, row = self.sell(customer=BUSINESS)
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		row = self.run_job(row)
		key = row.idempotency_key
		by_hand.retry(row.name)
		frappe.db.commit()
		row = self.run_job(row)
		self.assertEqual((row.status, row.idempotency_key), (lifecycle.ISSUED, key))

	def test_the_mapping_table_says_how_a_sale_was_paid(self):
		self.connect(payment_codes=[{"mode_of_payment": "Credit Card", "code": "29"}])
		self.addCleanup(self.connect, payment_codes=[])
		_, row = self.sell(paid=[("Credit Card", 168.2)], disable_rounded_total=1)
		row = self.run_job(row)
		self.assertEqual(
			(row.status, json.loads(row.payload)["payment_form"]), (lifecycle.ISSUED, "29"), row.error_message
		)

	def test_switched_off_documents_wait(self):
		_, row = self.sell()
		self.connect(enabled=0)
		row = self.run_job(row)
		self.assertEqual((row.status, row.attempts), (lifecycle.QUEUED, 0))
		self.assertIn("switched off", row.error_message)
		self.connect()
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_unreachable_is_tried_again(self):
		_, row = self.sell()
		self.sandbox.refuse()
		row = self.run_job(row)
		self.assertEqual((row.status, row.error_code), (lifecycle.QUEUED, "unreachable"))
		self.sandbox.resume()
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_redis_down_at_submit_loses_nothing(self):
		with patch("frappe.enqueue", side_effect=ConnectionError("Redis is down")):
			with patch.object(dispatch, "enqueue", wraps=self.real_enqueue()):
				doc, row = self.sell()
		self.assertEqual((doc.docstatus, row.status), (1, lifecycle.QUEUED))
		tasks.sweep()
		self.assertIn(row.name, self.queued)

	@staticmethod
	def real_enqueue():
		def enqueue(name):
			try:
				frappe.enqueue("fiscal_integration.dispatch.process", document=name)
			except Exception:
				return False

		return enqueue

	def test_a_till_does_not_wait_for_a_redis_that_is_down(self):
		"""Frappe tries five times, a second apart, before it gives up."""
		patch.stopall()
		with socket.create_server(("127.0.0.1", 0)) as taken:
			port = taken.getsockname()[1]
		start = time.monotonic()
		with patch.dict(frappe.local.conf, {"redis_queue": f"redis://127.0.0.1:{port}"}):
			with patch("frappe.enqueue") as enqueue:
				self.assertFalse(dispatch.enqueue("x"))
		enqueue.assert_not_called()
		self.assertLess(time.monotonic() - start, 1)

	def test_enqueue_swallows_what_redis_throws(self):
		patch.stopall()
		for error in (ConnectionError("down"), frappe.ValidationError("QueueOverloaded")):
			with patch("frappe.enqueue", side_effect=error):
				self.assertFalse(dispatch.enqueue("x"))


class TestImagesOfOthers(FiscalTestCase):
	def test_what_is_no_image_is_not_kept(self):
		"""The QR image is the source of an `img` in forms and prints; ours takes the place of one that is not taken."""
		_, row = self.sell()
		remote = RemoteDocument(
			RemoteStatus.ISSUED,
			fiscal_id="X",
			qr_value="https://example.com/verify",
			qr_image='data:image/png;base64,AAAA" onerror="alert(1)',
		)
		dispatch._result(row, remote)
		self.assertEqual(row.qr_image, qr.data_uri(remote.qr_value))
		dispatch._result(row, replace(remote, qr_value=""))
		self.assertIsNone(row.qr_image)


class TestTextsOfOthers(FiscalTestCase):
	"""The Desk shows texts that nobody can edit as they are, and our rows are written past Frappe's own cleaning."""

	hostile = "<img src=x onerror=alert(1)>"

	def test_every_text_of_the_row_and_of_its_invoice_is_harmless(self):
		doc, row = self.sell()
		row = self.run_job(row)
		texts = [
			field.fieldname
			for field in row.meta.get("fields")
			if field.fieldtype in ("Data", "Small Text", "Text")
		]
		self.assertEqual(sorted(texts), sorted(fiscal_document.TEXTS))
		self.addCleanup(frappe.db.rollback)
		for field in texts:
			row.set(field, self.hostile)
		row.set_stamps([("seal", self.hostile)])
		row.store()
		row.status, row.purpose = lifecycle.FAILED, dispatch.PURPOSE
		dispatch.write_projection(row)
		stored = frappe.get_doc(dispatch.DOCTYPE, row.name)
		for field in texts:
			self.assertEqual(stored.get(field), "‹img src=x onerror=alert(1)›", field)
		self.assertEqual([stamp.value for stamp in stored.stamps], ["‹img src=x onerror=alert(1)›"])
		shown = frappe.db.get_value(doc.doctype, doc.name, list(dispatch.projection(row)), as_dict=True)
		self.assertEqual([key for key, value in shown.items() if "<" in str(value)], [])
		self.assertIn("onerror", shown.fiscal_error)


class TestUncertainty(FiscalTestCase):
	def unknown(self, fault, **options):
		_, row = self.sell()
		self.sandbox.fault("facturapi", fault, **options)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN, (fault, row.status, row.error_message))
		return row

	def test_a_lost_answer_ends_issued_with_one_document(self):
		row = self.unknown("lost_after_commit")
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, row.attempts), (lifecycle.ISSUED, 1))
		(issued,) = self.issued_for(row)
		self.assertEqual(row.fiscal_id, issued["uuid"])
		self.assertEqual(len(self.requests_to("/v2/invoices")), 1)

	def test_every_answer_that_proves_nothing_is_asked_about(self):
		for fault, options in (
			("status_after_commit", {"status": 502}),
			("malformed", {}),
			("empty", {}),
			("no_uuid", {}),
		):
			with self.subTest(fault=fault):
				row = self.unknown(fault, **options)
				self.turn_time(row)
				row = self.run_job(row)
				self.assertEqual(row.status, lifecycle.ISSUED)
				self.assertEqual(len(self.issued_for(row)), 1)

	def test_absence_is_believed_only_after_the_grace_time(self):
		row = self.unknown("lost_before_commit")
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		self.turn_time(row, seconds=Facturapi.capabilities.absence_grace + 5)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.QUEUED)
		row = self.run_job(row)
		self.assertEqual((row.status, len(self.issued_for(row))), (lifecycle.ISSUED, 1))

	def test_a_question_without_an_answer_changes_nothing(self):
		row = self.unknown("lost_after_commit")
		self.sandbox.fault("facturapi", "status", operation="list", status=500)
		self.turn_time(row, seconds=99999)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_202_is_followed_up(self):
		"""providers/facturapi.md#answers."""
		_, row = self.sell()
		self.sandbox.fault("facturapi", "pending", after=600)
		row = self.run_job(row)
		self.assertEqual((row.status, row.fiscal_id or ""), (lifecycle.PENDING, ""))
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.PENDING)
		self.sandbox.advance(601)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, len(self.requests_to("/v2/invoices"))), (lifecycle.ISSUED, 1))

	def test_202_that_fails_may_be_sent_again_under_a_new_key(self):
		_, row = self.sell()
		self.sandbox.fault("facturapi", "pending", after=600, outcome="failed")
		row = self.run_job(row)
		key = row.idempotency_key
		self.sandbox.advance(601)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		by_hand.retry(row.name)
		frappe.db.commit()
		row = self.run_job(row)
		self.assertEqual((row.status, len(self.issued_for(row))), (lifecycle.ISSUED, 1))
		self.assertNotEqual(row.idempotency_key, key)

	def test_a_used_key_is_looked_up_and_adopted(self):
		row = self.unknown("lost_after_commit")
		frappe.db.set_value(dispatch.DOCTYPE, row.name, {"status": "Queued"})
		frappe.db.commit()
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, row.error_class), (lifecycle.UNKNOWN, "Duplicate"))
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, len(self.issued_for(row))), (lifecycle.ISSUED, 1))

	def test_a_provider_that_replays_is_issued_once_too(self):
		row = self.unknown("lost_after_commit")
		self.sandbox.set_option("facturapi", idempotency="replay")
		frappe.db.set_value(dispatch.DOCTYPE, row.name, {"status": "Queued"})
		frappe.db.commit()
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, len(self.issued_for(row))), (lifecycle.ISSUED, 1))

	def test_a_dead_worker_leaves_unknown_after_the_lease(self):
		_, row = self.sell()
		original = Facturapi.issue

		def die(self_, body):
			original(self_, body)
			raise SystemExit

		with patch.object(Facturapi, "issue", die), self.assertRaises(SystemExit):
			dispatch.process(row.name)
		row = self.fresh(row)
		self.assertEqual(row.status, lifecycle.SENDING)
		self.run_job(row)
		self.assertEqual(self.fresh(row).status, lifecycle.SENDING)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, len(self.requests_to("/v2/invoices"))), (lifecycle.ISSUED, 1))

	def test_what_differs_waits_for_a_person(self):
		for fault in ("wrong_total", "wrong_livemode"):
			with self.subTest(fault=fault):
				_, row = self.sell()
				self.sandbox.fault("facturapi", fault)
				row = self.run_job(row)
				self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)
				self.assertIn("ours", row.error_message)
				self.assertIn("theirs", row.error_message)

	def test_a_deadlock_after_the_answer_sends_nothing_twice(self):
		"""frappe.md#jobs: Frappe would run the whole job again, request included."""
		_, row = self.sell()
		original, failures = (
			dispatch._apply,
			[frappe.QueryDeadlockError("again"), frappe.QueryDeadlockError("again")],
		)

		def unlucky(*args):
			if failures:
				raise failures.pop()
			return original(*args)

		with patch.object(dispatch, "_apply", unlucky):
			row = self.run_job(row)
		self.assertEqual((row.status, len(self.requests_to("/v2/invoices"))), (lifecycle.ISSUED, 1))

	def test_an_outcome_that_cannot_be_stored_is_asked_about_later(self):
		_, row = self.sell()
		with patch.object(dispatch, "_apply", side_effect=frappe.QueryDeadlockError("always")):
			row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.SENDING)
		self.assertEqual(row.exchange_count, 1)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, len(self.issued_for(row))), (lifecycle.ISSUED, 1))

	def test_a_defect_in_a_provider_is_unknown_and_never_escapes(self):
		_, row = self.sell()
		with patch.object(Facturapi, "issue", side_effect=KeyError("oops")):
			row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)

	def test_somebody_elses_document_is_never_adopted(self):
		_, first = self.sell()
		first = self.run_job(first)
		_, second = self.sell()
		frappe.db.set_value(
			dispatch.DOCTYPE,
			second.name,
			{
				"status": "Pending",
				"provider_id": first.provider_id,
				"document_type": "I",
				"receiver_id": "XAXX010101000",
				"provider": "facturapi",
				"environment": "Test",
				"payload": "{}",
				"sent_at": now_datetime(),
			},
		)
		frappe.db.commit()
		self.turn_time(second)
		second = self.run_job(second)
		self.assertEqual(second.status, lifecycle.NEEDS_REVIEW)
		self.assertIn(first.reference_name, second.error_message)


class TestScope(FiscalTestCase):
	def test_sales_invoice_on_credit_is_ppd(self):
		_, row = self.sell(doctype="Sales Invoice", paid=False, customer=BUSINESS)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		payload = json.loads(row.payload)
		self.assertEqual((payload["payment_method"], payload["payment_form"]), ("PPD", "99"))

	def test_a_return_is_an_egreso_that_names_its_original(self):
		doc, row = self.sell(customer=BUSINESS)
		original = self.run_job(row)
		note = sample.credit_note(doc)
		frappe.db.commit()
		row = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(
			(row.status, row.kind, row.corrects), (lifecycle.ISSUED, "Credit Note", original.name)
		)
		payload = json.loads(row.payload)
		self.assertEqual(payload["type"], "E")
		self.assertEqual(payload["related_documents"][0]["documents"], [original.fiscal_id])

	def test_a_return_waits_for_its_original(self):
		doc, original = self.sell(customer=BUSINESS)
		note = sample.credit_note(doc)
		frappe.db.commit()
		row = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual((row.status, row.attempts), (lifecycle.QUEUED, 0))
		self.assertIn(doc.name, row.error_message)
		self.run_job(original)
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_a_debit_note_names_what_it_adds_to(self):
		doc, row = self.sell(doctype="Sales Invoice", paid=False, customer=BUSINESS)
		original = self.run_job(row)
		_, row = self.sell(
			doctype="Sales Invoice", paid=False, customer=BUSINESS, is_debit_note=1, return_against=doc.name
		)
		row = self.run_job(row)
		payload = json.loads(row.payload)
		self.assertEqual((row.status, payload["type"]), (lifecycle.ISSUED, "I"))
		self.assertEqual(
			payload["related_documents"], [{"relationship": "02", "documents": [original.fiscal_id]}]
		)

	def test_opening_entries_are_none_of_it(self):
		doc = sample.invoice(doctype="Sales Invoice", paid=False, customer=BUSINESS, submit=False)
		doc.is_opening = "Yes"
		from fiscal_integration.mapping import is_sale

		self.assertFalse(is_sale(doc))

	def test_disabled_makes_nothing(self):
		self.connect(enabled=0)
		self.addCleanup(self.connect)
		_, row = self.sell()
		self.assertIsNone(row)

	def test_other_countries_are_never_touched(self):
		from fiscal_integration import connection

		with patch.object(connection, "country_code", return_value="DE"):
			doc = sample.invoice()
			self.assertIsNone(dispatch.find(doc.doctype, doc.name))

	def test_what_is_not_ready_is_stopped_before_submit_with_every_reason(self):
		with self.assertRaises(frappe.ValidationError) as caught:
			sample.invoice(customer="Sin Código Postal SA")
		self.assertIn("postal code", str(caught.exception))
		frappe.db.rollback()

	def test_a_defect_of_the_check_stops_no_sale(self):
		with patch.object(Facturapi, "validate", side_effect=RuntimeError("oops")):
			doc = sample.invoice()
		self.assertEqual(doc.docstatus, 1)
		frappe.db.rollback()

	def test_a_defect_of_the_outbox_stops_no_sale_but_a_deadlock_does(self):
		with patch.object(dispatch, "create", side_effect=RuntimeError("oops")):
			self.assertEqual(sample.invoice().docstatus, 1)
		frappe.db.rollback()
		with patch.object(dispatch, "create", side_effect=frappe.QueryDeadlockError("gone")):
			with self.assertRaises(frappe.QueryDeadlockError):
				sample.invoice()
		frappe.db.rollback()


class TestCancelling(FiscalTestCase):
	def test_an_issued_invoice_cannot_be_cancelled(self):
		doc, row = self.sell()
		self.run_job(row)
		doc.reload()
		with self.assertRaises(frappe.ValidationError) as caught:
			doc.cancel()
		self.assertIn("credit note", str(caught.exception))
		frappe.db.rollback()

	def test_nor_one_whose_outcome_is_open(self):
		doc, row = self.sell()
		self.sandbox.fault("facturapi", "lost_after_commit")
		self.run_job(row)
		doc.reload()
		with self.assertRaises(frappe.ValidationError):
			doc.cancel()
		frappe.db.rollback()

	def test_cancelling_before_anything_was_sent_leaves_nothing(self):
		doc, row = self.sell(doctype="Sales Invoice", paid=False, customer=BUSINESS)
		doc.reload()
		doc.cancel()
		frappe.db.commit()
		self.assertIsNone(dispatch.find(doc.doctype, doc.name))
		dispatch.process(row.name)
		self.assertEqual(self.requests_to("/v2/invoices"), [])

	def test_a_refused_one_is_withdrawn_and_never_sent_again(self):
		doc, row = self.sell(doctype="Sales Invoice", paid=False, customer=BUSINESS)
		self.sandbox.fault("facturapi", "status", status=400)
		self.run_job(row)
		doc.reload()
		doc.cancel()
		frappe.db.commit()
		row = self.fresh(row)
		self.assertEqual(row.status, lifecycle.WITHDRAWN)
		with self.assertRaises(frappe.ValidationError):
			by_hand.retry(row.name)
		frappe.db.rollback()

	def test_saving_the_whole_invoice_does_not_undo_the_projection(self):
		doc, row = self.sell()
		stale = frappe.get_doc(doc.doctype, doc.name)
		row = self.run_job(row)
		stale.save(ignore_permissions=True)
		frappe.db.commit()
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "fiscal_id"), row.fiscal_id)

	def test_a_projection_that_failed_is_repeated_by_the_sweep(self):
		doc, row = self.sell()
		with patch.object(dispatch, "write_projection", side_effect=RuntimeError("locked")):
			row = self.run_job(row)
		self.assertEqual((row.status, row.projected), (lifecycle.ISSUED, 0))
		self.assertNotEqual(frappe.db.get_value(doc.doctype, doc.name, "fiscal_status"), "Issued")
		tasks.sweep()
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "fiscal_status"), "Issued")
		self.assertEqual(self.fresh(row).projected, 1)

	def test_rows_are_not_written_by_hand(self):
		_, row = self.sell()
		row.status = "Issued"
		with self.assertRaises(frappe.PermissionError):
			row.save(ignore_permissions=True)
		frappe.db.rollback()
		self.run_job(row)
		with self.assertRaises(frappe.PermissionError):
			frappe.delete_doc(dispatch.DOCTYPE, row.name, ignore_permissions=True, force=True)
		frappe.db.rollback()


class TestAudit(FiscalTestCase):
	def requests_of(self, row):
		return frappe.get_all(
			"Integration Request",
			filters={"fiscal_document": row.name},
			fields=["*"],
			order_by="fiscal_sequence asc",
		)

	def test_every_exchange_is_kept_with_what_was_sent_and_answered(self):
		doc, row = self.sell()
		self.sandbox.fault("facturapi", "lost_after_commit")
		row = self.run_job(row)
		self.turn_time(row)
		row = self.run_job(row)
		lost, found = self.requests_of(row)
		self.assertEqual((lost.status, found.status), ("Failed", "Completed"))
		self.assertEqual(lost.data, row.payload)
		self.assertTrue(lost.error)
		self.assertIn(row.fiscal_id, found.output)
		self.assertEqual((found.reference_doctype, found.reference_docname), (doc.doctype, doc.name))
		self.assertTrue(found.request_id and found.fiscal_duration >= 0 and found.url.startswith("GET "))
		self.assertEqual((lost.fiscal_sequence, found.fiscal_sequence), (1, 2))
		self.assertEqual(lost.fiscal_hash, audit.digest(lost, ""))
		self.assertEqual(found.fiscal_hash, audit.digest(found, lost.fiscal_hash))
		self.assertEqual((row.exchange_count, row.exchange_hash), (2, found.fiscal_hash))

	def test_failures_are_an_error_log_too(self):
		doc, row = self.sell()
		self.sandbox.fault("facturapi", "status", status=400)
		self.run_job(row)
		(log,) = frappe.get_all(
			"Error Log", filters={"reference_name": doc.name}, fields=["method", "error", "reference_doctype"]
		)
		self.assertEqual(log.reference_doctype, doc.doctype)
		self.assertIn("Falla ordenada", log.error)
		self.assertIn("File ", log.error)

	def test_they_survive_a_rollback_of_what_follows(self):
		_, row = self.sell()
		with patch.object(dispatch, "_apply", side_effect=RuntimeError("oops")):
			self.run_job(row)
		self.assertEqual(len(self.requests_of(row)), 1)

	def test_they_cannot_be_edited_or_deleted_nor_are_they_cleared(self):
		from frappe.model.base_document import get_controller

		_, row = self.sell()
		self.run_job(row)
		(kept,) = self.requests_of(row)
		request = frappe.get_doc("Integration Request", kept.name)
		request.output = "nothing happened"
		with self.assertRaises(frappe.PermissionError):
			request.save(ignore_permissions=True)
		with self.assertRaises(frappe.PermissionError):
			frappe.delete_doc("Integration Request", kept.name, ignore_permissions=True, force=True)
		other = frappe.get_doc({"doctype": "Integration Request", "integration_request_service": "other"})
		other.insert(ignore_permissions=True)
		for name in (kept.name, other.name):
			frappe.db.set_value(
				"Integration Request",
				name,
				"modified",
				add_to_date(now_datetime(), days=-400),
				update_modified=False,
			)
		get_controller("Integration Request").clear_old_logs(days=90)
		self.assertTrue(frappe.db.exists("Integration Request", kept.name))
		self.assertFalse(frappe.db.exists("Integration Request", other.name))
		frappe.db.rollback()
