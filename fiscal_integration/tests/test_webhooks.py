import hashlib
import hmac
import json
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, now_datetime
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from fiscal_integration import dispatch, webhooks
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.testing import FiscalTestCase

SECRET = "whsec_of_the_tests"


class TestWebhooks(FiscalTestCase):
	def setUp(self):
		super().setUp()
		self.connect(parameters={"webhook_secret": SECRET})
		self.applied = []
		self.queue = patch.object(webhooks, "enqueue", side_effect=self.applied.append)
		self.queue.start()
		self.addCleanup(self.queue.stop)
		self.addCleanup(setattr, frappe.local, "request", getattr(frappe.local, "request", None))

	def receive(self, body: bytes, signature=None, provider="facturapi", **environ):
		"""The HTTP status of a call as a provider makes it."""
		if signature is None:
			signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
		builder = EnvironBuilder(
			method="POST",
			path="/api/method/fiscal_integration.webhooks.receive",
			query_string={"provider": provider},
			data=body,
			content_type="application/json",
			headers={"Facturapi-Signature": signature},
		)
		frappe.local.request = Request({**builder.get_environ(), **environ})
		frappe.local.response = frappe._dict(docs=[])
		frappe.set_user("Guest")
		try:
			webhooks.receive()
			frappe.db.commit()
		finally:
			frappe.set_user("Administrator")
		return frappe.local.response.http_status_code

	def event(self, entry: dict, event_id=None, **values):
		body = {
			"id": event_id or frappe.generate_hash(length=24),
			"type": "invoice.status_updated",
			"livemode": False,
			"data": {"type": "invoice", "object": {**entry, **values}},
		}
		return json.dumps(body).encode()

	def stored(self, body: bytes):
		frappe.db.rollback()
		name = f"facturapi:{json.loads(body)['id']}"
		found = frappe.get_all(webhooks.DOCTYPE, {"event_id": name}, pluck="name")
		self.assertLessEqual(len(found), 1)
		return frappe.get_doc(webhooks.DOCTYPE, found[0]) if found else None

	def pending(self, **options):
		_, row = self.sell()
		self.sandbox.fault("facturapi", "pending", after=60, **options)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.PENDING)
		(entry,) = [
			entry
			for entry in self.sandbox.ledger("facturapi")
			if entry["external_id"] == row.external_reference
		]
		return row, entry

	def test_a_webhook_brings_a_pending_document_home(self):
		row, entry = self.pending()
		self.sandbox.advance(61)
		body = self.event(entry, status="valid")
		self.assertEqual(self.receive(body), 200)
		event = self.stored(body)
		self.assertEqual((event.status, self.applied), ("Received", [event.name]))
		self.assertEqual(
			self.fresh(row).status, lifecycle.PENDING, "applied in a job, not while the sender waits"
		)
		webhooks.apply(event.name)
		row = self.fresh(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		self.assertTrue(row.fiscal_id)
		self.assertEqual(self.stored(body).status, "Applied")

	def test_the_job_gets_the_event_through_the_queue(self):
		"""Some names of arguments Frappe's enqueue keeps for itself: `event` never reached the job."""
		row, entry = self.pending()
		self.sandbox.advance(61)
		self.queue.stop()
		self.addCleanup(self.queue.start)
		enqueue = frappe.enqueue

		def at_once(method, **arguments):
			arguments.pop("deduplicate", None)
			return enqueue(method, **arguments, now=True)

		with patch.object(frappe, "enqueue", at_once):
			self.assertEqual(self.receive(self.event(entry, status="valid")), 200)
		self.assertEqual(self.fresh(row).status, lifecycle.ISSUED)

	def test_the_truth_is_asked_for_and_never_read_from_the_event(self):
		row, entry = self.pending()
		body = self.event(entry, status="valid", uuid="00000000-FA15-4000-8000-000000000000")
		self.assertEqual(self.receive(body), 200)
		webhooks.apply(self.stored(body).name)
		row = self.fresh(row)
		self.assertEqual((row.status, row.fiscal_id or ""), (lifecycle.PENDING, ""))

	def test_without_a_valid_signature_nothing_is_kept_but_a_count(self):
		_row, entry = self.pending()
		body = self.event(entry, status="valid")
		good = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
		before, count = frappe.db.count(webhooks.DOCTYPE), webhooks.refused("facturapi")
		for signature in ("", "0" * 64, good.upper(), good + "0", "sha256=" + good, "é" * 64):
			with self.subTest(signature=signature):
				self.assertEqual(self.receive(body, signature), 401)
		changed = body.replace(b"valid", b"vaLid")
		self.assertEqual(self.receive(changed, good), 401)
		self.assertEqual(frappe.db.count(webhooks.DOCTYPE), before)
		self.assertEqual(webhooks.refused("facturapi"), count + 7)
		self.assertEqual(self.applied, [])

	def test_without_a_secret_in_the_settings_nobody_is_believed(self):
		settings = frappe.get_doc("Fiscal Integration Settings")
		settings.clear_secret("webhook_secret")
		frappe.db.commit()
		body = b'{"id": "x"}'
		for signature in ("", hmac.new(b"", body, hashlib.sha256).hexdigest()):
			self.assertEqual(self.receive(body, signature), 401)

	def test_unknown_providers_and_those_without_webhooks_are_not_found(self):
		for provider in ("", "nobody", "../facturapi"):
			self.assertEqual(self.receive(b"{}", "x", provider), 404)

	def test_long_bodies_are_refused_before_they_are_read(self):
		self.assertEqual(self.receive(b"x" * (webhooks.MAX_BYTES + 1)), 413)

	def test_a_long_body_in_chunks_is_refused_too(self):
		body = b"x" * (webhooks.MAX_BYTES + 1)
		environ = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
		self.assertEqual(self.receive(body, "0" * 64, **environ), 413)

	def test_one_address_calls_so_often_and_no_more(self):
		self.forget_calls()
		with patch.object(webhooks, "CALLS", 3):
			answers = [self.receive(b"{}", "0" * 64) for _call in range(4)]
		self.assertEqual(answers, [401, 401, 401, 429])

	def forget_calls(self):
		frappe.cache.delete(frappe.cache.make_key(f"fiscal_webhooks|calls|{frappe.local.request_ip or ''}"))

	def test_the_counter_of_refused_calls_expires(self):
		self.receive(b"{}", "0" * 64)
		left = frappe.cache.ttl(frappe.cache.make_key("fiscal_webhooks|refused|facturapi"))
		self.assertTrue(0 < left <= 3600, left)

	def test_ids_that_do_not_fit_are_hashed_and_stay_different(self):
		before = frappe.db.count(webhooks.DOCTYPE)
		for last in "ab":
			body = json.dumps(
				{
					"id": "e" * 200 + last,
					"type": "invoice.status_updated",
					"data": {"type": "invoice", "object": {"id": "i" * 200 + last}},
				}
			).encode()
			self.assertEqual([self.receive(body), self.receive(body)], [200, 200])
		self.assertEqual(frappe.db.count(webhooks.DOCTYPE), before + 2)

	def test_text_that_no_database_keeps_is_refused(self):
		before = frappe.db.count(webhooks.DOCTYPE)
		for hostile in (r"\ud800", r"\u0000"):
			body = b'{"id": "%s", "type": "invoice.status_updated", "data": {"type": "invoice", "object": {"id": "x"}}}'
			self.assertEqual(self.receive(body % hostile.encode()), 400)
		self.assertEqual(frappe.db.count(webhooks.DOCTYPE), before)

	def test_the_same_event_twice_is_one(self):
		row, entry = self.pending()
		self.sandbox.advance(61)
		body = self.event(entry)
		self.assertEqual([self.receive(body), self.receive(body)], [200, 200])
		event = self.stored(body)
		webhooks.apply(event.name)
		asked = len(self.sandbox.requests("facturapi"))
		webhooks.apply(event.name)
		self.assertEqual(len(self.sandbox.requests("facturapi")), asked)
		self.assertEqual(self.fresh(row).status, lifecycle.ISSUED)

	def test_a_late_event_moves_nothing_backwards(self):
		_, row = self.sell()
		row = self.run_job(row)
		(entry,) = self.issued_for(row)
		asked = len(self.sandbox.requests("facturapi"))
		body = self.event(entry, status="pending", uuid=None)
		self.receive(body)
		webhooks.apply(self.stored(body).name)
		after = self.fresh(row)
		self.assertEqual(
			(after.status, after.fiscal_id, after.modified), (row.status, row.fiscal_id, row.modified)
		)
		self.assertEqual(len(self.sandbox.requests("facturapi")), asked)
		self.assertEqual(self.stored(body).status, "Nothing to Do")

	def test_events_in_the_wrong_order_end_right(self):
		row, entry = self.pending()
		self.sandbox.advance(61)
		for status in ("valid", "pending"):
			body = self.event(entry, status=status)
			self.receive(body)
			webhooks.apply(self.stored(body).name)
		self.assertEqual(self.fresh(row).status, lifecycle.ISSUED)

	def test_an_event_of_a_stranger_is_kept_and_given_up(self):
		body = self.event({"id": "5f" * 12, "external_id": "somebody-elses"})
		self.assertEqual(self.receive(body), 200)
		event = self.stored(body)
		for _try in range(len(webhooks.WAITS) + 1):
			frappe.db.set_value(
				webhooks.DOCTYPE, event.name, "next_try", add_to_date(now_datetime(), seconds=-1)
			)
			frappe.db.commit()
			self.applied.clear()
			webhooks.sweep()
			self.assertIn(event.name, self.applied)
			webhooks.apply(event.name)
		self.assertEqual(self.stored(body).status, "No Document of Ours")
		webhooks.sweep()

	def test_an_event_that_overtakes_our_own_answer_is_applied_later(self):
		_, row = self.sell()
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "status", lifecycle.SENDING)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "provider", "facturapi")
		frappe.db.commit()
		body = self.event({"id": "77" * 12, "external_id": row.external_reference})
		self.receive(body)
		webhooks.apply(self.stored(body).name)
		event = self.stored(body)
		self.assertEqual((event.status, event.tries), ("Received", 1))
		self.assertEqual(self.fresh(row).status, lifecycle.SENDING)

	def test_a_lost_job_is_found_by_the_sweep(self):
		_row, entry = self.pending()
		self.sandbox.advance(61)
		body = self.event(entry)
		with patch.object(webhooks, "enqueue", return_value=False):
			self.receive(body)
		webhooks.sweep()
		self.assertIn(self.stored(body).name, self.applied)

	def test_what_is_no_event_of_an_invoice_is_kept_and_left(self):
		body = json.dumps(
			{"id": "evt_9", "type": "receipt.status_updated", "data": {"type": "receipt"}}
		).encode()
		self.assertEqual(self.receive(body), 200)
		digest = hashlib.sha256(body).hexdigest()
		found = frappe.get_all(webhooks.DOCTYPE, {"event_id": f"facturapi:{digest}"}, ["status"])
		self.assertEqual([row.status for row in found], ["Nothing to Do"])
		self.assertEqual(self.applied, [])

	def test_old_events_are_cleared(self):
		_row, entry = self.pending()
		body = self.event(entry)
		self.receive(body)
		event = self.stored(body)
		frappe.db.set_value(webhooks.DOCTYPE, event.name, "creation", "2020-01-01", update_modified=False)
		frappe.get_doc(webhooks.DOCTYPE, event.name).clear_old_logs(90)
		self.assertIsNone(self.stored_or_none(event.name))

	@staticmethod
	def stored_or_none(name):
		return frappe.db.exists(webhooks.DOCTYPE, name)
