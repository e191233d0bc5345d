"""Seed 004 whole: sales of a Panamanian company through Conteo, whatever becomes of the network."""

import hashlib
import hmac
import json
from unittest.mock import patch

import frappe
from frappe.utils import get_datetime, now_datetime

from fiscal_integration import alerts, api, by_hand, connection, dispatch, drain, mail, sample, webhooks
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.panama import cufe
from fiscal_integration.testing import FiscalTestCase

BUSINESS = "Distribuidora Chiriquí, S.A."


class ConteoCase(FiscalTestCase):
	provider = "conteo"
	shop = sample.PANAMA

	def order(self, kind, **options):
		self.sandbox.fault("conteo", kind, **options)


class TestConteoIssuing(ConteoCase):
	def test_a_sale_gets_its_cufe(self):
		doc, row = self.sell()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		(issued,) = self.issued_for(row)
		self.assertEqual((row.fiscal_id, row.provider_id), (issued["uuid"], issued["id"]))
		self.assertTrue(cufe.is_valid(row.fiscal_id) and row.authorization_number.startswith("SFEP-"))
		shown = frappe.db.get_value(
			doc.doctype, doc.name, ["fiscal_status", "fiscal_id", "fiscal_qr_value"], as_dict=True
		)
		self.assertEqual(
			(shown.fiscal_status, shown.fiscal_id, shown.fiscal_qr_value),
			("Issued", row.fiscal_id, row.qr_value),
		)
		self.assertEqual(float(row.provider_total), doc.grand_total)

	def test_what_conteo_is_told(self):
		_, row = self.sell(
			customer=BUSINESS,
			items=[("CAFE-500", 2, 10.25), ("LIBRO-01", 1, 32), ("QUESO-KG", 0.375, 18.99)],
			doctype="Sales Invoice",
		)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		body = json.loads(self.requests_to("/v1/invoices")[0]["body"])
		self.assertEqual(body["receptor"], {"ruc": "155596713-2-2015", "nombre": BUSINESS})
		self.assertEqual([item["itbms_rate"] for item in body["items"]], [7, 0, 7])
		self.assertEqual(body["referencia_externa"], row.external_reference)

	def test_the_form_of_conteos_own_example_is_sent_with_a_warning(self):
		frappe.clear_messages()
		_, row = self.sell(customer=BUSINESS, fiscal_customer_tax_id="J-8-56789-1")
		told = " ".join(str(message) for message in frappe.get_message_log())
		self.assertIn("J-8-56789-1", told)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		body = json.loads(self.requests_to("/v1/invoices")[0]["body"])
		self.assertEqual(body["receptor"]["ruc"], "J-8-56789-1")

	def test_prices_with_tax_included(self):
		doc, row = self.sell(
			items=[("CAFE-500", 3, 4.99), ("AGUA-1L", 7, 0.85)], taxes="inclusive", paid=True
		)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(float(row.provider_total), doc.grand_total)

	def test_a_wrong_ruc_stops_before_submit_and_before_any_call(self):
		with self.assertRaisesRegex(frappe.ValidationError, "no RUC"):
			self.sell(customer="RUC Equivocado, S.A.")
		frappe.db.rollback()
		self.assertEqual(self.sandbox.requests("conteo"), [])

	def test_a_return_is_taken_at_the_till_and_waits_for_a_person(self):
		doc, row = self.sell()
		self.run_job(row)
		note = sample.credit_note(frappe.get_doc(doc.doctype, doc.name))
		frappe.db.commit()
		row = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual((row.status, row.error_code), (lifecycle.REJECTED, "kind_not_supported"))
		self.assertEqual(len(self.requests_to("/v1/invoices")), 1)

	def test_mexican_sales_go_their_own_way(self):
		_, mexican = self.sell(shop=sample.MEXICO)
		_, row = self.sell()
		self.assertEqual(self.run_job(mexican).provider, "facturapi")
		self.assertEqual(self.run_job(row).provider, "conteo")

	def test_ping(self):
		self.assertTrue(api.ping(connection.ACCOUNT, self.shop.company)["ok"])
		self.connect_account(secret_key="wrong")
		answer = api.ping(connection.ACCOUNT, self.shop.company)
		self.assertIn("API key", answer["message"])


class TestConteoErrors(ConteoCase):
	def failed(self, code, **options):
		_, row = self.sell()
		self.order("status", code=code, **options)
		return self.run_job(row)

	def test_sfep_unavailable_waits_and_ends_as_a_dead_letter(self):
		row = self.failed("SFEP_UNAVAILABLE")
		for seconds in (30, 120, 600):
			self.assertEqual((row.status, row.error_code), (lifecycle.QUEUED, "SFEP_UNAVAILABLE"))
			wait = (get_datetime(row.next_attempt) - now_datetime()).total_seconds()
			self.assertTrue(seconds - 1 <= wait <= seconds * 1.1 + 2, wait)
			self.order("status", code="SFEP_UNAVAILABLE")
			self.turn_time(row)
			row = self.run_job(row)
		self.assertEqual((row.status, row.attempts), (lifecycle.FAILED, 4))
		bodies = {request["body"] for request in self.requests_to("/v1/invoices")}
		self.assertEqual(len(bodies), 1)

	def test_rate_limited(self):
		for options, least in (({}, 1), ({"retry_after": 20}, 20)):
			row = self.failed("RATE_LIMITED", **options)
			wait = (get_datetime(row.next_attempt) - now_datetime()).total_seconds()
			self.assertEqual(row.status, lifecycle.QUEUED)
			self.assertTrue(least - 0.1 <= wait <= least * 1.1 + 1, wait)

	def test_what_never_repeats_by_itself(self):
		for code, state in (
			("INVALID_RUC", lifecycle.REJECTED),
			("INVALID_PAYLOAD", lifecycle.REJECTED),
			("CERTIFICATE_EXPIRED", lifecycle.FAILED),
			("UNAUTHORIZED", lifecycle.FAILED),
		):
			with self.subTest(code):
				row = self.failed(code)
				self.assertEqual((row.status, row.error_code, row.next_attempt), (state, code, None))
				self.queued.clear()
				drain.sweep()
				self.assertNotIn(row.name, self.queued)

	def test_timeout_is_asked_about_first(self):
		row = self.failed("TIMEOUT")
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN, "absence is not believed at once")
		self.turn_time(row, 400)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.QUEUED)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.assertEqual(len(self.issued_for(row)), 1)

	def test_an_expired_certificate_goes_on_once_it_is_renewed(self):
		row = self.failed("CERTIFICATE_EXPIRED")
		self.assertIn("Renew it", row.error_message)
		by_hand.retry(row.name)
		frappe.db.commit()
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_certificates_are_told_before_they_end(self):
		until = now_datetime().date().replace(year=now_datetime().year + 1)
		self.connect_account(parameters={"certificate_valid_until": str(until)}, expiry_alerts="")
		with (
			patch.object(alerts, "now_datetime", return_value=get_datetime(f"{until} 08:00:00")),
			patch("frappe.sendmail"),
		):
			alerts.expiries()
		told = frappe.get_all("Notification Log", {"document_name": self.shop.company}, ["subject"])
		self.assertTrue(any("Certificate" in row.subject for row in told), told)

	def readings(self):
		"""The ways in which Conteo may answer a reference that it has, as far as the public text goes."""
		return (
			({}, lifecycle.ISSUED),
			({"by_reference": False}, lifecycle.ISSUED),
			({"by_reference": False, "duplicate_names_id": False}, lifecycle.NEEDS_REVIEW),
		)

	def test_a_lost_answer_ends_with_one_invoice_whichever_way_conteo_answers(self):
		for options, end in self.readings():
			with self.subTest(options):
				self.sandbox.reset()
				self.sandbox.set_option("conteo", **options)
				_, row = self.sell()
				self.order("lost_after_commit")
				row = self.run_job(row)
				self.assertEqual(row.status, lifecycle.UNKNOWN)
				for _step in range(4):
					self.turn_time(row, 400)
					row = self.run_job(row)
				self.assertEqual(row.status, end, row.error_message)
				self.assertEqual(len(self.issued_for(row)), 1)

	def test_a_duplicate_that_is_another_sale_is_never_adopted(self):
		_, row = self.sell()
		self.order("wrong_total", operation="get")
		self.order("lost_after_commit")
		row = self.run_job(row)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)
		self.assertIn("total", row.error_message)

	def test_a_person_may_take_it_over_after_comparing(self):
		self.test_a_duplicate_that_is_another_sale_is_never_adopted()
		row = frappe.get_last_doc(dispatch.DOCTYPE, {"status": lifecycle.NEEDS_REVIEW})
		api.take_over(row.name)
		frappe.db.commit()
		row = self.fresh(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		self.assertEqual(
			frappe.db.get_value(row.reference_doctype, row.reference_name, "fiscal_id"), row.fiscal_id
		)


class TestConteoPending(ConteoCase):
	SECRET = "whsec_conteo"

	def setUp(self):
		super().setUp()
		self.connect_account(parameters={"webhook_secret": self.SECRET})
		# The sandbox numbers alike in every run, and an event that came before is no new one.
		frappe.db.delete(webhooks.DOCTYPE)
		queue = patch.object(webhooks, "enqueue")
		queue.start()
		self.addCleanup(queue.stop)

	def pending(self, **options):
		_, row = self.sell()
		self.order("pending", after=90, **options)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.PENDING)
		return row

	def deliver(self):
		"""Hand over what the emulator would post, as it signs it."""
		from werkzeug.test import EnvironBuilder
		from werkzeug.wrappers import Request

		self.sandbox.set_option("conteo", webhook_url="http://127.0.0.1:9/", webhook_secret=self.SECRET)
		self.sandbox.advance(91)
		body = self.sandbox.deliveries("conteo")[-1]["body"].encode()
		signature = "sha256=" + hmac.new(self.SECRET.encode(), body, hashlib.sha256).hexdigest()
		builder = EnvironBuilder(
			method="POST",
			query_string={"provider": "conteo"},
			data=body,
			content_type="application/json",
			headers={"x-conteo-signature": signature},
		)
		before = getattr(frappe.local, "request", None)
		frappe.local.request = Request(builder.get_environ())
		frappe.local.response = frappe._dict(docs=[])
		try:
			webhooks.receive()
			frappe.db.commit()
		finally:
			frappe.local.request = before
		self.assertEqual(frappe.local.response.http_status_code, 200)
		return frappe.get_last_doc(webhooks.DOCTYPE)

	def test_the_webhook_brings_it_home(self):
		row = self.pending()
		event = self.deliver()
		webhooks.apply(event.name)
		row = self.fresh(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		self.assertEqual(row.fiscal_id, self.issued_for(row)[0]["uuid"])

	def test_what_a_webhook_brings_home_goes_to_the_customer_once(self):
		self.have_mail_account()
		account = connection.record_for(self.shop.company)
		account.db_set("notify_customers", 1)
		frappe.clear_document_cache(account.doctype, account.name)
		self.addCleanup(account.db_set, "notify_customers", 0)
		_, row = self.sell(fiscal_customer_email="compras@cliente.example")
		self.order("pending", after=90)
		row = self.run_job(row)
		self.assertEqual((row.status, row.notify_at), (lifecycle.PENDING, None))
		event = self.deliver()
		webhooks.apply(event.name)
		webhooks.apply(event.name)
		row = self.fresh(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		frappe.db.delete("Email Queue Recipient")
		mail.send_due()
		mail.send_due()
		self.assertEqual(self.fresh(row).notified_to, "compras@cliente.example")
		sent = frappe.get_all("Email Queue Recipient", pluck="recipient")
		self.assertEqual(sent, ["compras@cliente.example"])

	def test_without_a_webhook_it_is_asked_for(self):
		row = self.pending()
		self.sandbox.advance(91)
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_failed_may_be_sent_again(self):
		row = self.pending(outcome="failed")
		webhooks.apply(self.deliver().name)
		row = self.fresh(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		by_hand.retry(row.name)
		frappe.db.commit()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		self.assertEqual(len(self.issued_for(row)), 1)
