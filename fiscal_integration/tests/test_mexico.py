import json
from datetime import date
from unittest.mock import patch

import frappe
from frappe.utils import add_days, add_to_date, getdate, now_datetime, nowdate

from fiscal_integration import (
	api,
	bulk,
	cancellation,
	claims,
	connection,
	dispatch,
	files,
	global_invoices,
	mapping,
	payments,
	sample,
	webhooks,
)
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.mexico import totals
from fiscal_integration.fiscal.money import decimal
from fiscal_integration.fiscal_integration.report.fiscal_reconciliation import (
	fiscal_reconciliation as reconciliation,
)
from fiscal_integration.pdf_route import FiscalFile
from fiscal_integration.providers import facturapi
from fiscal_integration.sandbox.facturapi import FacturapiEmulator
from fiscal_integration.testing import FiscalTestCase

BUSINESS = "Papelería del Centro SA de CV"


class MexicoCase(FiscalTestCase):
	def setUp(self):
		super().setUp()
		self.allow(1)
		queue = patch.object(cancellation, "enqueue")
		queue.start()
		self.addCleanup(queue.stop)
		self.addCleanup(self.allow, 0)

	@property
	def emulator(self) -> FacturapiEmulator:
		return self.sandbox.emulators["facturapi"]

	def allow(self, value):
		frappe.db.rollback()
		frappe.db.set_single_value(connection.SETTINGS, "enable_cancellation", value)
		frappe.clear_document_cache(connection.SETTINGS, connection.SETTINGS)
		frappe.db.commit()

	def issued(self, **values):
		doc, row = self.sell(**values)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row

	def ask(self, row, motive="02", **values):
		api.cancel(row.name, motive=motive, **values)
		frappe.db.commit()
		return self.fresh(row)

	def step(self, row):
		cancellation.process(row.name)
		return self.fresh(row)

	def later(self, row):
		frappe.db.set_value(
			dispatch.DOCTYPE, row.name, "cancellation_next", add_to_date(now_datetime(), seconds=-1)
		)
		frappe.db.commit()

	def credit_sale(self, **values):
		return self.issued(doctype="Sales Invoice", customer=BUSINESS, paid=False, **values)

	def pay(self, *allocations, run=True, **values):
		doc = sample.payment(list(allocations), **values)
		frappe.db.commit()
		row = dispatch.find(doc.doctype, doc.name)
		return doc, self.run_job(row) if run and row else row

	def complement(self, row):
		(payment,) = json.loads(row.payload)["complements"][0]["data"]
		return payment


class TestCancelling(MexicoCase):
	def test_a_small_sale_is_cancelled_at_once_with_its_receipt(self):
		doc, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.ask(row, "03")
		row = self.step(row)
		self.assertEqual((row.status, row.cancellation_status), ("Issued", "Cancelled"))
		(entry,) = self.sandbox.ledger("facturapi")
		self.assertEqual(entry["status"], "canceled")
		self.assertIn(row.fiscal_id, files.file_of(row, files.ACKNOWLEDGEMENT).get_content())
		self.assertIn(files.ACKNOWLEDGEMENT, api.fiscal_view(doc.doctype, doc.name)["downloads"])
		self.assertEqual(frappe.get_doc(doc.doctype, doc.name).docstatus, 1)
		frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.commit()

	def test_the_invoice_goes_with_it_where_that_was_asked_for(self):
		doc, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.ask(row, "03", cancel_source=1)
		self.step(row)
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 2)

	def test_what_follows_is_done_though_the_worker_dies(self):
		doc, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.ask(row, "03", cancel_source=1)
		with patch.object(cancellation, "_go_on_afterwards", side_effect=SystemExit):
			with self.assertRaises(SystemExit):
				cancellation.process(row.name)
		frappe.db.rollback()
		row = self.fresh(row)
		self.assertEqual((row.cancellation_status, row.acknowledgement), ("Cancelled", None))
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 1)
		cancellation.enqueue.reset_mock()
		cancellation.sweep()
		self.assertIn((row.name,), [call.args for call in cancellation.enqueue.call_args_list])
		row = self.step(row)
		self.assertTrue(row.acknowledgement)
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 2)
		self.assertIsNone(row.cancellation_next)
		cancellation.enqueue.reset_mock()
		cancellation.sweep()
		self.assertNotIn((row.name,), [call.args for call in cancellation.enqueue.call_args_list])
		requests = [entry["method"] for entry in self.sandbox.requests("facturapi")]
		self.assertEqual(requests.count("DELETE"), 1)

	def test_a_receipt_that_is_not_there_yet_is_asked_for_again(self):
		doc, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.sandbox.fault(
			"facturapi",
			"status",
			operation="cancellation_receipt",
			status=409,
			code="invoice_cancellation_receipt_unavailable",
		)
		self.ask(row, "03", cancel_source=1)
		row = self.step(row)
		self.assertIsNone(row.acknowledgement)
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 2)
		self.assertGreater(row.cancellation_next, now_datetime())
		self.later(row)
		row = self.step(row)
		self.assertTrue(row.acknowledgement)
		self.assertIsNone(row.cancellation_next)

	def test_a_receipt_that_never_comes_is_not_asked_for_for_ever(self):
		_, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.sandbox.fault("facturapi", "status", times=50, operation="cancellation_receipt", status=409)
		self.ask(row, "03")
		row = self.step(row)
		tries = 1
		while row.cancellation_next:
			self.later(row)
			row = self.step(row)
			tries += 1
		self.assertEqual(tries, cancellation.AFTERWARDS_TRIES)
		self.assertEqual(row.cancellation_status, "Cancelled")

	def test_a_receipt_that_cannot_be_stored_keeps_no_invoice_from_its_end(self):
		doc, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.ask(row, "03", cancel_source=1)
		with patch.object(files, "file_of", side_effect=OSError("disk full")):
			row = self.step(row)
			tries = 1
			while row.cancellation_next:
				self.later(row)
				row = self.step(row)
				tries += 1
		self.assertEqual(tries, cancellation.AFTERWARDS_TRIES)
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 2)

	def test_an_invoice_that_may_not_be_cancelled_is_told_and_not_tried_again(self):
		doc, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		row = self.ask(row, "03", cancel_source=1)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "cancellation_requested_by", "Guest")
		frappe.db.commit()
		row = self.step(row)
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 1)
		self.assertIn(doc.name, row.cancellation_message)
		self.assertIsNone(row.cancellation_next)

	def test_a_large_one_waits_for_the_receiver_and_the_webhook_brings_the_answer(self):
		for answer, state in (("accepted", "Cancelled"), ("rejected", "Refused")):
			with self.subTest(answer):
				_, row = self.issued(customer=BUSINESS, items=[("CAFE-500", 10, 500.0)])
				self.ask(row)
				row = self.step(row)
				self.assertEqual(row.cancellation_status, "Pending")
				self.assertIn("three business days", row.cancellation_message)
				self.assertGreater(row.cancellation_next, now_datetime())
				self.emulator.answer_cancellation(row.provider_id, answer)
				event = frappe.get_doc(
					{
						"doctype": webhooks.DOCTYPE,
						"event_id": f"facturapi:{frappe.generate_hash()}",
						"provider": "facturapi",
						"kind": "invoice.cancellation_status_updated",
						"provider_id": row.provider_id,
						"status": "Received",
						"next_try": now_datetime(),
					}
				).insert(ignore_permissions=True)
				webhooks.apply(event.name)
				row = self.fresh(row)
				self.assertEqual(row.cancellation_status, state)
				self.assertEqual(frappe.db.get_value(webhooks.DOCTYPE, event.name, "status"), "Applied")

	def test_silence_is_consent_and_the_schedule_finds_it(self):
		_, row = self.issued(customer=BUSINESS, items=[("CAFE-500", 10, 500.0)])
		self.ask(row)
		self.step(row)
		self.emulator.clock.advance(73 * 3600)
		self.later(row)
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")

	def test_a_request_whose_answer_was_lost_is_looked_up_and_not_repeated(self):
		_, row = self.issued(customer=BUSINESS, items=[("CAFE-500", 10, 500.0)])
		self.sandbox.fault("facturapi", "lost_after_commit", operation="cancel")
		self.ask(row)
		row = self.step(row)
		self.assertEqual(row.cancellation_status, "Unknown")
		self.later(row)
		self.assertEqual(self.step(row).cancellation_status, "Pending")
		cancels = [entry for entry in self.sandbox.requests("facturapi") if entry["method"] == "DELETE"]
		self.assertEqual(len(cancels), 1)

	def test_one_that_was_never_heard_is_sent_again(self):
		_, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.sandbox.fault("facturapi", "lost_before_commit", operation="cancel")
		self.ask(row)
		row = self.step(row)
		self.later(row)
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")

	def test_a_document_that_is_not_found_yet_is_asked_for_again(self):
		"""Seen right after its substitute was stamped: the same call is heard a little later."""
		_, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.sandbox.fault(
			"facturapi", "status", times=2, operation="cancel", status=404, code="invoice_not_found"
		)
		self.ask(row)
		for _time in range(2):
			row = self.step(row)
			self.assertEqual(row.cancellation_status, "Requested", row.cancellation_message)
			self.assertIn("does not find", row.cancellation_message)
			self.assertGreater(row.cancellation_next, now_datetime())
			self.later(row)
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")

	def test_one_that_is_never_found_is_no_refusal_and_not_asked_for_for_ever(self):
		_, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.sandbox.fault(
			"facturapi", "status", times=50, operation="*", status=404, code="invoice_not_found"
		)
		self.ask(row)
		tries = 0
		while (row := self.step(row)).cancellation_next:
			tries += 1
			self.assertEqual(row.cancellation_status, "Requested")
			self.later(row)
		self.assertEqual((row.cancellation_status, tries), ("Failed", len(facturapi.NOT_YET_WAITS)))
		self.assertIn("Look for it", row.cancellation_message)

	def test_motive_01_names_its_substitute(self):
		first, row = self.issued(doctype="Sales Invoice", customer=BUSINESS)
		with self.assertRaises(frappe.ValidationError):
			api.cancel(row.name, motive="01")
		frappe.db.rollback()
		_, stranger = self.issued(doctype="Sales Invoice", customer=BUSINESS)
		self.ask(row, "01", substitute=stranger.name)
		row = self.step(row)
		self.assertEqual(row.cancellation_status, "Refused")
		self.assertIn("04", row.cancellation_message)
		second, substitute = self.issued(
			doctype="Sales Invoice", customer=BUSINESS, fiscal_substitutes=row.name
		)
		self.assertEqual(
			json.loads(substitute.payload)["related_documents"],
			[{"relationship": "04", "documents": [row.fiscal_id]}],
		)
		self.emulator.options["cancellation"] = "accepted"
		self.ask(row, "01", substitute=substitute.name)
		row = self.step(row)
		self.assertEqual(row.cancellation_status, "Cancelled", row.cancellation_message)
		asked = [entry for entry in self.sandbox.requests("facturapi") if entry["method"] == "DELETE"][-1]
		self.assertEqual(asked["query"]["substitution"], [substitute.fiscal_id])
		self.assertNotEqual(first.name, second.name)

	def test_a_substitute_has_to_be_valid(self):
		_, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		_, gone = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.ask(gone)
		self.step(gone)
		for substitute in (gone.name, row.name, "nothing"):
			with self.subTest(substitute), self.assertRaises(frappe.ValidationError):
				api.cancel(row.name, motive="01", substitute=substitute)
			frappe.db.rollback()

	def test_nothing_is_made_anew_for_what_is_not_valid(self):
		_, gone = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.ask(gone)
		self.step(gone)
		_, queued = self.sell()
		for name in (gone.name, queued.name):
			with self.subTest(name), self.assertRaises(frappe.ValidationError) as caught:
				self.sell(doctype="Sales Invoice", customer=BUSINESS, fiscal_substitutes=name)
			self.assertIn("made anew", str(caught.exception))
			frappe.db.rollback()

	def test_an_unknown_motive_is_refused_here(self):
		_, row = self.issued()
		for motive in ("", "05", "2"):
			with self.subTest(motive), self.assertRaises(frappe.ValidationError):
				api.cancel(row.name, motive=motive)
			frappe.db.rollback()
		self.assertEqual(self.fresh(row).cancellation_status or "", "")

	def test_switched_off_nobody_may_ask(self):
		_, row = self.issued()
		self.allow(0)
		with self.assertRaises(frappe.ValidationError):
			api.cancel(row.name, motive="02")
		frappe.db.rollback()
		self.assertFalse(cancellation.offered(self.fresh(row)))

	def test_every_attempt_is_in_the_trail_with_motive_and_answer(self):
		_, row = self.issued(items=[("CAFE-500", 1, 100.0)])
		self.ask(row, "03")
		row = self.step(row)
		found = frappe.get_all(
			"Integration Request",
			{"fiscal_document": row.name, "fiscal_operation": "cancel"},
			["url", "output", "status"],
		)
		self.assertEqual(len(found), 1)
		self.assertIn("motive=03", found[0].url)
		self.assertIn("canceled", found[0].output)

	def test_the_form_asks_for_sats_motives(self):
		_, row = self.issued()
		form = api.cancel_form(row.name)
		self.assertEqual([entry["code"] for entry in form["motives"]], ["01", "02", "03", "04"])
		self.assertTrue(form["motives"][0]["substitute"])
		self.assertEqual(form["substitutes"]["company"], row.company)
		# The company of the sample has the RFC of a legal entity, whose annual return is due in March.
		self.assertIn(f"{row.issued_at.year + 1}-03-31", form["notes"][0])
		self.assertIn("silence is consent", form["notes"][1])
		_, other = self.issued()
		for text in (other.reference_name, other.fiscal_id[:13], other.name):
			found = api.search_documents(dispatch.DOCTYPE, text, "name", 0, 10, form["substitutes"])
			self.assertIn(
				(other.name, other.reference_name, other.fiscal_id), [tuple(entry) for entry in found]
			)
		self.assertFalse(
			api.search_documents(dispatch.DOCTYPE, row.reference_name, "name", 0, 10, form["substitutes"])
		)


class TestPayments(MexicoCase):
	def test_a_sale_on_credit_is_ppd_and_its_payment_a_complement(self):
		sale, row = self.credit_sale(items=[("CAFE-500", 1, 297.93)])
		request = json.loads(row.payload)
		self.assertEqual((request["payment_method"], request["payment_form"]), ("PPD", "99"))
		doc, paid = self.pay((sale, sale.grand_total))
		self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
		payment = self.complement(paid)
		self.assertEqual((payment["payment_form"], payment["numOperacion"]), ("03", "SPEI-0001"))
		(settled,) = payment["related_documents"]
		self.assertEqual((settled["uuid"], settled["installment"]), (row.fiscal_id, 1))
		self.assertEqual((settled["amount"], settled["last_balance"]), (345.6, 345.6))
		self.assertEqual(
			settled["taxes"],
			[{"type": "IVA", "rate": 0.16, "factor": "Tasa", "withholding": False, "base": 297.93}],
		)
		shown = frappe.db.get_value(
			doc.doctype, doc.name, ["fiscal_status", "fiscal_id", "fiscal_document"], as_dict=True
		)
		self.assertEqual((shown.fiscal_status, shown.fiscal_id), ("Issued", paid.fiscal_id))
		self.assertEqual(api.fiscal_view(doc.doctype, doc.name)["fiscal_id"], paid.fiscal_id)

	def test_partial_payments_count_installments_and_balances(self):
		"""The official example: 345.60, of which 100 are paid after another payment.

		See providers/facturapi.md#requests.
		"""
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 297.93)])
		balances = []
		for amount in (100, 100, 145.6):
			_, paid = self.pay((sale, amount))
			self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
			(settled,) = self.complement(paid)["related_documents"]
			balances.append((settled["installment"], settled["last_balance"], settled["taxes"][0]["base"]))
		self.assertEqual(balances, [(1, 345.6, 86.206597), (2, 245.6, 86.206597), (3, 145.6, 125.516806)])

	def test_one_payment_of_several_sales(self):
		sales = [self.credit_sale(items=[("CAFE-500", number, 100.0)]) for number in (1, 2)]
		_, paid = self.pay(*((sale, sale.grand_total) for sale, _row in sales))
		self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
		related = self.complement(paid)["related_documents"]
		self.assertEqual([entry["uuid"] for entry in related], [row.fiscal_id for _sale, row in sales])
		self.assertEqual(float(paid.provider_total), 348.0)

	def test_taxes_of_all_kinds_are_shared_out(self):
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0), ("LIBRO-01", 1, 200.0)])
		_, paid = self.pay((sale, sale.grand_total / 2))
		taxes = self.complement(paid)["related_documents"][0]["taxes"]
		self.assertEqual(
			{(tax["rate"], tax["factor"]): tax["base"] for tax in taxes},
			{(0.16, "Tasa"): 50, (0, "Exento"): 100},
		)

	def test_a_sale_in_dollars_paid_in_pesos(self):
		sale, row = self.credit_sale(
			items=[("CAFE-500", 1, 100.0)], currency="USD", conversion_rate=20, price_list_currency="MXN"
		)
		rate = 1 if (sale.party_account_currency or "MXN") == "USD" else 20
		# The stand-in keeps what is outstanding in the sale's currency.
		allocated = min(sale.outstanding_amount, sale.grand_total * rate)
		_, paid = self.pay((sale, allocated))
		if allocated < sale.grand_total * rate:
			self.assertEqual(
				self.complement(paid)["related_documents"][0]["amount"], round(allocated / 20, 2)
			)
			return
		self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
		payment = self.complement(paid)
		(settled,) = payment["related_documents"]
		self.assertEqual((payment["currency"], settled["currency"]), ("MXN", "USD"))
		self.assertEqual((settled["amount"], settled["exchange"]), (116, 0.05))
		self.assertEqual(float(paid.provider_total), 2320.0)
		self.assertEqual(row.currency, "USD")

	def test_a_sale_that_was_paid_at_once_needs_none(self):
		sale, _row = self.issued(doctype="Sales Invoice", customer=BUSINESS)
		self.assertFalse(
			payments.wants_document(
				frappe._dict(
					payment_type="Receive",
					party_type="Customer",
					company=sale.company,
					references=[
						frappe._dict(
							reference_doctype="Sales Invoice", reference_name=sale.name, allocated_amount=1
						)
					],
				)
			)
		)

	def test_a_payment_waits_for_its_sale(self):
		sale, row = self.sell(doctype="Sales Invoice", customer=BUSINESS, paid=False)
		# The request is made before the money comes, and lost on the way.
		self.sandbox.fault("facturapi", "lost_after_commit")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		_, paid = self.pay((sale, sale.grand_total))
		self.assertEqual(paid.status, lifecycle.QUEUED)
		self.assertIn(sale.name, paid.error_message)
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.turn_time(paid)
		self.assertEqual(self.run_job(paid).status, lifecycle.ISSUED)

	def test_one_for_a_sale_that_went_out_as_paid_is_withdrawn(self):
		sale, row = self.sell(doctype="Sales Invoice", customer=BUSINESS, paid=False)
		_, paid = self.pay((sale, sale.grand_total), run=False)
		self.assertTrue(paid)
		# Only now it is built, and nothing is outstanding any more.
		self.assertEqual(json.loads(self.run_job(row).payload)["payment_method"], "PUE")
		self.assertEqual(self.run_job(paid).status, lifecycle.WITHDRAWN)

	def test_the_second_payment_waits_while_the_first_is_on_its_way(self):
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		self.sandbox.fault("facturapi", "lost_after_commit")
		payment, first = self.pay((sale, 50))
		self.assertEqual(first.status, lifecycle.UNKNOWN)
		_, second = self.pay((sale, 66))
		self.assertEqual(second.status, lifecycle.QUEUED)
		self.assertIn(payment.name, second.error_message)
		self.turn_time(first)
		self.run_job(first)
		self.turn_time(second)
		second = self.run_job(second)
		self.assertEqual(second.status, lifecycle.ISSUED, second.error_message)
		self.assertEqual(self.complement(second)["related_documents"][0]["installment"], 2)

	def test_two_payments_at_once_get_different_installments(self):
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		rows = [self.pay((sale, amount), run=False)[1] for amount in (50, 66)]
		for worker in self.start_workers(*([row.name] for row in rows)):
			worker.join()
		for row in rows:
			self.turn_time(row)
			if self.fresh(row).status in lifecycle.DUE:
				self.run_job(row)
		found = [self.fresh(row) for row in rows]
		self.assertEqual([row.status for row in found], ["Issued", "Issued"])
		self.assertEqual(
			sorted(self.complement(row)["related_documents"][0]["installment"] for row in found), [1, 2]
		)

	def test_without_a_mode_of_payment_it_is_refused_before_submit(self):
		sale, _row = self.credit_sale()
		with self.assertRaises(frappe.ValidationError) as caught:
			sample.payment([(sale, 10)], mode=None)
		self.assertIn("mode of payment", str(caught.exception))
		frappe.db.rollback()

	def test_the_complement_is_cancelled_before_its_payment_and_before_its_sale(self):
		sale, row = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		first_doc, first = self.pay((sale, 50))
		_, second = self.pay((sale, 66))
		with self.assertRaises(frappe.ValidationError) as caught:
			frappe.get_doc(first_doc.doctype, first_doc.name).cancel()
		self.assertIn("cancelled first", str(caught.exception))
		frappe.db.rollback()
		for blocked in (row, first):
			with self.assertRaises(frappe.ValidationError):
				api.cancel(blocked.name, motive="02")
			frappe.db.rollback()
		self.emulator.options["cancellation"] = "accepted"
		for paid in (second, first):
			self.ask(paid, "02", cancel_source=1)
			paid = self.step(paid)
			self.assertEqual(paid.cancellation_status, "Cancelled", paid.cancellation_message)
			self.assertEqual(frappe.db.get_value("Payment Entry", paid.reference_name, "docstatus"), 2)
		self.ask(row, "02")
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")

	def test_after_a_cancelled_payment_the_next_one_takes_its_number(self):
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		_, first = self.pay((sale, 50))
		self.emulator.options["cancellation"] = "accepted"
		self.ask(first, "02", cancel_source=1)
		self.step(first)
		_, second = self.pay((sale, 116))
		(settled,) = self.complement(second)["related_documents"]
		self.assertEqual((settled["installment"], settled["last_balance"]), (1, 116))
		self.assertEqual(second.status, lifecycle.ISSUED, second.error_message)

	def test_a_payment_at_a_provider_without_complements_has_none(self):
		shop = sample.PANAMA
		sample.set_up_panama()
		key, parameters = self.sandbox.secret_key("hka"), self.sandbox.parameters("hka")
		sample.connect_account(shop, "hka", self.sandbox.url("hka"), key, parameters)
		self.addCleanup(frappe.db.commit)
		self.addCleanup(
			frappe.db.set_value, connection.ACCOUNT, shop.company, "enabled", 0, update_modified=False
		)
		sale, row = self.sell(shop=shop, doctype="Sales Invoice", paid=[("Cash", 10)])
		self.assertGreater(sale.outstanding_amount, 0)
		self.assertEqual([row.name], [entry.name for entry in dispatch.find_all(sale.doctype, sale.name)])
		doc = sample.payment([(sale, 5)], shop=shop)
		frappe.db.commit()
		self.assertEqual(dispatch.find_all(doc.doctype, doc.name), [])

	def test_a_payment_of_a_refused_sale_waits_until_it_is_mended(self):
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		sale, row = self.sell(doctype="Sales Invoice", customer=BUSINESS, paid=False)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		_, paid = self.pay((sale, 50))
		self.assertEqual(paid.status, lifecycle.QUEUED)
		self.assertIn(sale.name, paid.error_message)
		api.retry(row.name)
		frappe.db.commit()
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.turn_time(paid)
		self.assertEqual(self.run_job(paid).status, lifecycle.ISSUED)

	def test_it_waits_while_its_sale_may_be_cancelled(self):
		for answer, state in (("rejected", lifecycle.ISSUED), ("accepted", lifecycle.WITHDRAWN)):
			with self.subTest(answer):
				self.emulator.options["cancellation"] = ""
				sale, row = self.credit_sale(items=[("CAFE-500", 10, 500.0)])
				self.ask(row)
				self.assertEqual(self.step(row).cancellation_status, "Pending")
				_, paid = self.pay((sale, 100))
				self.assertEqual(paid.status, lifecycle.QUEUED)
				self.assertIn(sale.name, paid.error_message)
				self.emulator.answer_cancellation(row.provider_id, answer)
				self.later(row)
				self.step(row)
				self.turn_time(paid)
				self.assertEqual(self.run_job(paid).status, state)

	def test_an_advance_that_is_allocated_later_gets_its_document_then(self):
		sale, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		doc = sample.payment([(sale, 116)], submit=False)
		doc.set("references", [])
		doc.submit()
		frappe.db.commit()
		self.assertIsNone(dispatch.find(doc.doctype, doc.name))
		self.allocate(doc, sale, 116)
		doc.flags.ignore_validate_update_after_submit = True
		doc.save()
		frappe.db.commit()
		row = dispatch.find(doc.doctype, doc.name)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.assertEqual(
			frappe.db.get_value(doc.doctype, doc.name, ["fiscal_document", "fiscal_status"]),
			(row.name, lifecycle.ISSUED),
		)

	def test_what_is_allocated_when_the_document_is_out_gets_one_of_its_own(self):
		first, _row = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		second, other = self.credit_sale(items=[("CAFE-500", 1, 100.0)])
		doc, paid = self.pay((first, 116), paid_amount=232, received_amount=232)
		self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
		for _time in ("allocated", "saved again"):
			doc.reload()
			if len(doc.references) < 2:
				self.allocate(doc, second, 84)
			doc.flags.ignore_validate_update_after_submit = True
			doc.save()
			frappe.db.commit()
			rows = dispatch.find_all(doc.doctype, doc.name)
			self.assertEqual([row.purpose for row in rows], ["Issue", "Allocation 2"])
		later = self.run_job(rows[1])
		self.assertEqual(later.status, lifecycle.ISSUED, later.error_message)
		(settled,) = self.complement(later)["related_documents"]
		self.assertEqual(
			(settled["uuid"], settled["installment"], settled["last_balance"], settled["amount"]),
			(other.fiscal_id, 1, 116, 84),
		)
		shown = frappe.db.get_value(doc.doctype, doc.name, ["fiscal_document", "fiscal_id"])
		self.assertEqual(shown, (paid.name, paid.fiscal_id))
		# And more of it to the same sale.
		doc.reload()
		self.allocate(doc, second, 32)
		doc.flags.ignore_validate_update_after_submit = True
		doc.save()
		frappe.db.commit()
		(rest,) = [row for row in dispatch.find_all(doc.doctype, doc.name) if row.purpose == "Allocation 3"]
		rest = self.run_job(rest)
		(settled,) = self.complement(rest)["related_documents"]
		self.assertEqual(
			(settled["installment"], settled["last_balance"], settled["amount"]),
			(2, 32, 32),
			rest.error_message,
		)
		# The payment goes when all are cancelled.
		self.emulator.options["cancellation"] = "accepted"
		for row in (rest, later):
			self.ask(row, cancel_source=1)
			self.assertEqual(self.step(row).cancellation_status, "Cancelled")
			self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 1)
		self.ask(paid, cancel_source=1)
		self.step(paid)
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 2)

	def allocate(self, doc, sale, amount):
		"""As Payment Reconciliation does, on a submitted Payment Entry."""
		doc.append(
			"references",
			{
				"reference_doctype": sale.doctype,
				"reference_name": sale.name,
				"total_amount": 116,
				"outstanding_amount": 116,
				"allocated_amount": amount,
				"exchange_rate": 1,
			},
		)


class TestPaidAtTheTill(MexicoCase):
	"""What is paid at once of a sale on credit, at the till or on a Sales Invoice."""

	def setUp(self):
		super().setUp()
		if frappe.get_meta("POS Profile").has_field("allow_partial_payment"):
			frappe.db.set_value("POS Profile", sample.MEXICO.profile, "allow_partial_payment", 1)
			frappe.clear_document_cache("POS Profile", sample.MEXICO.profile)
			frappe.db.commit()

	def sell_partly(self, doctype=None, paid=(("Cash", 50),), **values):
		"""A sale of 116 and its Fiscal Documents: its own, and those of what was paid."""
		sale, row = self.sell(
			doctype=doctype, customer=BUSINESS, items=[("CAFE-500", 1, 100.0)], paid=list(paid), **values
		)
		*payments_made, own = dispatch.find_all(sale.doctype, sale.name)
		self.assertEqual(own.name, row.name)
		return sale, row, sorted(payments_made, key=lambda entry: entry.purpose)

	def settled(self, row):
		payment = self.complement(row)
		(entry,) = payment["related_documents"]
		return payment["payment_form"], entry["installment"], entry["last_balance"], entry["amount"]

	def test_it_is_told_in_a_complement_as_soon_as_the_sale_is_issued(self):
		for doctype in (None, "Sales Invoice"):
			with self.subTest(doctype):
				sale, row, (paid,) = self.sell_partly(doctype)
				self.assertEqual((paid.kind, float(paid.total), paid.currency), ("Payment", 50, "MXN"))
				self.assertNotEqual(paid.external_reference, row.external_reference)
				paid = self.run_job(paid)
				self.assertEqual(paid.status, lifecycle.QUEUED)
				self.assertIn(sale.name, paid.error_message)
				(told,) = api.fiscal_view(sale.doctype, sale.name)["payments"]
				self.assertEqual((told["document"], told["installment"]), (paid.name, None))
				row = self.run_job(row)
				self.assertEqual(json.loads(row.payload)["payment_method"], "PPD")
				self.turn_time(paid)
				paid = self.run_job(paid)
				self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
				self.assertEqual(self.settled(paid), ("01", 1, 116, 50))
				(tax,) = self.complement(paid)["related_documents"][0]["taxes"]
				self.assertEqual((tax["base"], tax["rate"]), (43.103448, 0.16))
				# The sale shows its own document, not this one.
				shown = frappe.db.get_value(sale.doctype, sale.name, ["fiscal_document", "fiscal_id"])
				self.assertEqual(shown, (row.name, row.fiscal_id))
				self.assertTrue(dispatch.is_projected(paid))
				self.assertEqual(api.fiscal_view(dispatch.DOCTYPE, paid.name)["fiscal_id"], paid.fiscal_id)
				path = api.fetch_file(dispatch.DOCTYPE, paid.name, "xml")
				self.assertIn(paid.fiscal_id, FiscalFile(path).render().get_data(as_text=True))

	def test_what_comes_later_counts_on(self):
		sale, row, (paid,) = self.sell_partly("Sales Invoice")
		self.run_job(row)
		_, later = self.pay((sale, 66))
		self.assertEqual(later.status, lifecycle.QUEUED)
		self.assertIn(sale.name, later.error_message)
		self.run_job(paid)
		self.turn_time(later)
		later = self.run_job(later)
		self.assertEqual(later.status, lifecycle.ISSUED, later.error_message)
		self.assertEqual(self.settled(later), ("03", 2, 66, 66))
		self.assertEqual(
			[
				(entry["document"], entry["status"], entry["installment"], float(entry["amount"]))
				for entry in api.fiscal_view(sale.doctype, sale.name)["payments"]
			],
			[(paid.name, "Issued", 1, 50), (later.name, "Issued", 2, 66)],
		)

	def test_of_several_modes_each_has_its_own(self):
		_, row, paid = self.sell_partly("Sales Invoice", [("Cash", 50), ("Wire Transfer", 16)])
		self.run_job(row)
		found = [self.run_job(entry) for entry in paid]
		self.assertEqual([entry.status for entry in found], ["Issued", "Issued"])
		self.assertEqual([self.settled(entry) for entry in found], [("01", 1, 116, 50), ("03", 2, 66, 16)])

	def test_it_can_be_mailed_like_the_complement_of_a_payment_entry(self):
		sale, row, (paid,) = self.sell_partly("Sales Invoice")
		self.run_job(row)
		self.run_job(paid)
		frappe.db.set_value("Customer", BUSINESS, "email_id", "compras@example.com")
		frappe.db.commit()
		payment, _later = self.pay((sale, 66))
		for doctype, name in ((dispatch.DOCTYPE, paid.name), (payment.doctype, payment.name)):
			with self.subTest(doctype):
				self.assertEqual(api.mail_address(doctype, name), "compras@example.com")

	def test_a_sale_that_is_paid_in_full_has_none(self):
		sale, row = self.issued(customer=BUSINESS, items=[("CAFE-500", 1, 100.0)])
		self.assertEqual([entry.name for entry in dispatch.find_all(sale.doctype, sale.name)], [row.name])

	def test_loyalty_points_pay_too(self):
		"""Whether ERPNext counts them in the paid amount of a POS Invoice depends on its version."""
		for counted in (100, 116):
			sale = frappe._dict(
				doctype="POS Invoice",
				grand_total=116,
				paid_amount=counted,
				loyalty_amount=16,
				payments=[frappe._dict(amount=120)],
				change_amount=20,
			)
			self.assertEqual(mapping.outstanding(sale), 0)
		sale.update(loyalty_amount=160, conversion_rate=20)
		self.assertEqual(mapping.outstanding(sale), 8)

	def test_one_that_is_refused_is_shown_on_the_sale(self):
		sale, row, (paid,) = self.sell_partly("Sales Invoice")
		self.run_job(row)
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		self.assertEqual(self.run_job(paid).status, lifecycle.REJECTED)
		(told,) = api.fiscal_view(sale.doctype, sale.name)["payments"]
		self.assertEqual((told["document"], told["status"]), (paid.name, "Rejected"))

	def test_before_anything_was_sent_both_go_with_the_sale(self):
		sale, _row, _paid = self.sell_partly("Sales Invoice")
		frappe.get_doc(sale.doctype, sale.name).cancel()
		frappe.db.commit()
		self.assertEqual(dispatch.find_all(sale.doctype, sale.name), [])

	def test_it_is_cancelled_before_its_sale_which_stays(self):
		self.emulator.options["cancellation"] = "accepted"
		sale, row, (paid,) = self.sell_partly("Sales Invoice")
		self.run_job(row)
		paid = self.run_job(paid)
		with self.assertRaises(frappe.ValidationError) as caught:
			api.cancel(row.name, motive="02")
		self.assertIn(paid.name, str(caught.exception))
		frappe.db.rollback()
		self.assertFalse(api.cancel_form(paid.name)["cancel_source"])
		self.ask(paid, cancel_source=1)
		self.assertEqual(self.step(paid).cancellation_status, "Cancelled")
		self.assertEqual(frappe.db.get_value(sale.doctype, sale.name, "docstatus"), 1)
		with self.assertRaises(frappe.ValidationError):
			frappe.get_doc(sale.doctype, sale.name).cancel()
		frappe.db.rollback()
		self.ask(row, cancel_source=1)
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")
		self.assertEqual(frappe.db.get_value(sale.doctype, sale.name, "docstatus"), 2)

	def test_its_sale_goes_out_though_it_cannot_be_kept(self):
		create = dispatch.create

		def fails(doc, purpose=dispatch.PURPOSE):
			if purpose != dispatch.PURPOSE:
				raise ValueError("no")
			return create(doc, purpose)

		with patch.object(dispatch, "create", side_effect=fails):
			sale, row = self.sell(
				doctype="Sales Invoice",
				customer=BUSINESS,
				items=[("CAFE-500", 1, 100.0)],
				paid=[("Cash", 50)],
			)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.assertTrue(frappe.db.exists("Error Log", {"method": ("like", f"%{sale.name}%")}))

	def test_generate_makes_both(self):
		self.connect(enabled=0)
		sale, row = self.sell(
			doctype="Sales Invoice", customer=BUSINESS, items=[("CAFE-500", 1, 100.0)], paid=[("Cash", 50)]
		)
		self.assertIsNone(row)
		self.connect()
		batch = bulk.start(sale.doctype, [sale.name])
		self.assertEqual(batch["documents"], 2)
		paid, own = dispatch.find_all(sale.doctype, sale.name)
		self.assertEqual((paid.purpose, own.purpose), ("Payment 1", "Issue"))
		self.assertEqual(self.run_job(own).status, lifecycle.ISSUED)
		self.assertEqual(self.run_job(paid).status, lifecycle.ISSUED)


SODA = (("CAFE-500", 7, 12.94),)
"""With excise of 8 % and VAT of 16 % in the price: 90.58, of which SAT makes 90.57 where lines are not shaped."""


def soda_taxes():
	over = {"charge_type": "On Previous Row Total", "row_id": 1}
	return [
		sample.tax_row("IEPS 8", 8, included_in_print_rate=1),
		sample.tax_row("IVA 16", 16, included_in_print_rate=1, **over),
	]


def as_they_are():
	"""Lines are not shaped: what SAT makes of them is expected."""
	return patch.object(
		totals, "shaped", lambda concepts, _target, decimals=2: (concepts, totals.total(concepts, decimals))
	)


def as_nobody_expects():
	"""Lines are not shaped, and the invoice's own total is expected."""
	return patch.object(totals, "shaped", lambda concepts, target, decimals=2: (concepts, target))


class TestACentApart(MexicoCase):
	"""Everything that follows an invoice counts from the stamped total. The sandbox judges each balance by its ledger."""

	def known_before(self, **values):
		with as_they_are():
			return self.sold(**values)

	def taken_over(self, **values):
		with as_nobody_expects():
			doc, row = self.sold(lifecycle.NEEDS_REVIEW, **values)
		api.take_over(row.name)
		frappe.db.commit()
		return doc, self.fresh(row)

	def sold(self, status=lifecycle.ISSUED, **values):
		values = {"doctype": "Sales Invoice", "customer": BUSINESS, "paid": False, **values}
		doc, row = self.sell(items=list(SODA), taxes=soda_taxes(), **values)
		row = self.run_job(row)
		self.assertEqual(row.status, status, row.error_message)
		self.assertEqual(decimal(doc.grand_total), decimal("90.58"))
		self.assertEqual(decimal(row.provider_total), decimal("90.57"))
		return doc, row

	@property
	def ways(self):
		return (self.known_before, self.taken_over)

	def paid(self, row):
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		(entry,) = self.complement(row)["related_documents"]
		return entry["installment"], entry["last_balance"], entry["amount"]

	def test_it_is_shown(self):
		with as_they_are():
			_doc, row = self.sell(items=list(SODA), taxes=soda_taxes(), customer=BUSINESS)
			row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertIn("90.57", row.remarks)
		self.assertIn("90.58", row.remarks)

	def test_a_payment_of_all_of_it(self):
		for way in self.ways:
			with self.subTest(way.__name__):
				doc, _row = way()
				_, paid = self.pay((doc, 90.58))
				self.assertEqual(self.paid(paid), (1, 90.57, 90.57))

	def test_payments_of_parts(self):
		for way in self.ways:
			with self.subTest(way.__name__):
				doc, _row = way()
				_, first = self.pay((doc, 50))
				self.assertEqual(self.paid(first), (1, 90.57, 50))
				_, second = self.pay((doc, 40.58))
				self.assertEqual(self.paid(second), (2, 40.57, 40.57))

	def test_what_was_paid_at_once(self):
		for way in self.ways:
			with self.subTest(way.__name__):
				doc, own = way(paid=[("Cash", 50)])
				(at_once,) = (row for row in dispatch.find_all(doc.doctype, doc.name) if row.name != own.name)
				self.turn_time(at_once)
				self.assertEqual(self.paid(self.run_job(at_once)), (1, 90.57, 50))
				_, rest = self.pay((doc, 40.58))
				self.assertEqual(self.paid(rest), (2, 40.57, 40.57))

	def test_a_credit_note_of_all_of_it(self):
		for way in self.ways:
			for paid in (False, True):
				with self.subTest((way.__name__, paid)):
					doc, row = way(paid=paid)
					note = sample.credit_note(doc)
					frappe.db.commit()
					note = self.run_job(dispatch.find(note.doctype, note.name))
					self.assertEqual(note.status, lifecycle.ISSUED, note.error_message)
					self.assertEqual(decimal(note.provider_total), decimal("90.57"))
					request = json.loads(note.payload)
					self.assertEqual(request["related_documents"][0]["documents"], [row.fiscal_id])

	def test_a_substitute(self):
		"""It has a total of its own, from which its payments count; what it substitutes is cancelled."""
		for way in self.ways:
			with self.subTest(way.__name__):
				_, row = way()
				second, substitute = way(fiscal_substitutes=row.name)
				self.emulator.options["cancellation"] = "accepted"
				self.ask(row, "01", substitute=substitute.name)
				row = self.step(row)
				self.assertEqual(row.cancellation_status, "Cancelled", row.cancellation_message)
				_, paid = self.pay((second, 90.58))
				self.assertEqual(self.paid(paid), (1, 90.57, 90.57))
				(entry,) = self.complement(paid)["related_documents"]
				self.assertEqual(entry["uuid"], substitute.fiscal_id)


class TestBeforeSubmit(MexicoCase):
	"""What SAT would refuse is told while it can be mended, through ERPNext."""

	def refused(self, **values):
		with self.assertRaises(frappe.ValidationError) as caught:
			self.sell(**values)
		frappe.db.rollback()
		return str(caught.exception)

	def test_a_walk_in_sale_that_is_short_by_thirty_centavos(self):
		"""PPD never goes to the general public, nor does a global invoice hold what is not paid."""
		values = {"doctype": "Sales Invoice", "items": [("CAFE-500", 1, 100.0)], "paid": [("Cash", 115.7)]}
		self.assertIn("Write Off Amount", self.refused(**values))
		self.connect(parameters={"walk_in_sales": "Global Invoice"})
		self.addCleanup(self.connect, parameters={"walk_in_sales": "One CFDI Each"})
		self.assertIn("Write Off Amount", self.refused(**values))

	def test_the_same_sale_to_a_named_customer(self):
		_, row = self.issued(
			doctype="Sales Invoice", customer=BUSINESS, items=[("CAFE-500", 1, 100.0)], paid=[("Cash", 115.7)]
		)
		request = json.loads(row.payload)
		self.assertEqual((request["payment_method"], request["payment_form"]), ("PPD", "99"))
		self.assertNotIn("global", request)

	def test_rates_of_vat(self):
		for rate in (10, 15):
			told = self.refused(items=[("CAFE-500", 1, 100.0)], taxes=[sample.tax_row("IVA 16", rate)])
			self.assertIn(f"{rate} %", told)
			self.assertIn("0, 8 (frontier) and 16", told)


class TestUnusualTaxes(MexicoCase):
	"""The sandbox judges by SAT's matrix and by its schemas."""

	def quota(self):
		return [
			sample.tax_row("IEPS 8", 1.5, charge_type="On Item Quantity"),
			sample.tax_row("IVA 16", 16, charge_type="On Previous Row Total", row_id=1),
		]

	def test_a_payment_of_what_has_a_quota(self):
		sale, row = self.credit_sale(items=[("AGUA-1L", 4, 10.0)], taxes=self.quota())
		self.assertEqual(decimal(row.provider_total), decimal("53.36"))
		_, paid = self.pay((sale, 26.68))
		self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
		taxes = self.complement(paid)["related_documents"][0]["taxes"]
		self.assertEqual(
			{(tax["type"], tax["factor"], tax["rate"]): tax["base"] for tax in taxes},
			{("IEPS", "Cuota", 1.5): 2, ("IVA", "Tasa", 0.16): 23},
		)

	def test_a_payment_of_what_is_exempt_and_of_what_has_a_rate_of_zero(self):
		zero = {
			"item_code": "CAFE-500",
			"qty": 1,
			"rate": 60.0,
			"item_tax_rate": json.dumps({sample.MEXICO.account("IVA 16"): 0}),
			"item_tax_template": sample.MEXICO.account(sample.MEXICO.untaxed),
		}
		sale, _row = self.credit_sale(items=[("AGUA-1L", 1, 0.86), ("LIBRO-01", 1, 40.0), zero])
		_, paid = self.pay((sale, 50))
		self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
		taxes = self.complement(paid)["related_documents"][0]["taxes"]
		self.assertEqual(
			{(tax["factor"], tax["rate"]) for tax in taxes}, {("Tasa", 0.16), ("Tasa", 0), ("Exento", 0)}
		)
		self.assertTrue(all(tax["base"] > 0 for tax in taxes))


class TestWhatIsFree(MexicoCase):
	"""SAT wants a price and a base above zero. What is given away is left out and remarked on, never told as exempt."""

	gifts = (
		{"item_code": "AGUA-1L", "qty": 2, "rate": 0, "price_list_rate": 0},
		{
			"item_code": "CAFE-500",
			"qty": 1,
			"price_list_rate": 145.0,
			"discount_percentage": 100,
			"discount_amount": 145.0,
			"rate": 0,
		},
	)

	def test_rows(self):
		for taxes in ("exclusive", "inclusive"):
			with self.subTest(taxes):
				doc, row = self.issued(items=[("CAFE-500", 1, 100.0), *map(dict, self.gifts)], taxes=taxes)
				(item,) = json.loads(row.payload)["items"]
				self.assertEqual([tax["factor"] for tax in item["product"]["taxes"]], ["Tasa"])
				self.assertEqual(decimal(row.provider_total), decimal(doc.grand_total))
				self.assertEqual(
					[remark[:5] for remark in row.remarks.splitlines()], ["Row 2", "Row 3"], row.remarks
				)

	def test_whole_sales(self):
		for values in (
			{"items": [dict(gift) for gift in self.gifts]},
			{
				"items": [("CAFE-500", 1, 100.0)],
				"apply_discount_on": "Grand Total",
				"additional_discount_percentage": 100,
			},
		):
			doc, row = self.sell(doctype="Sales Invoice", paid=False, **values)
			self.assertIsNone(row)
			self.assertEqual(doc.fiscal_status, lifecycle.NOT_REQUIRED)
			self.assertIn("Nothing is charged", doc.fiscal_error)


class TestMoney(MexicoCase):
	def test_a_hundred_thousand_at_thirty_five_centavos(self):
		doc, row = self.issued(items=[("AGUA-1L", 100_000, 0.35)], taxes="inclusive")
		self.assertEqual((doc.grand_total, decimal(row.provider_total)), (35000, 35000))
		(item,) = json.loads(row.payload)["items"]
		self.assertEqual(item["product"]["price"], 0.301725)
		self.assertGreater(item["discount"], 0)

	def test_freight_is_taxed_as_the_rows_after_it_say(self):
		taxes = [
			sample.tax_row("Flete", 0, charge_type="Actual", tax_amount=50),
			sample.tax_row("IVA 16", 16, charge_type="On Previous Row Total", row_id=1),
		]
		doc, row = self.issued(items=[("CAFE-500", 1, 100.0)], taxes=taxes)
		self.assertEqual((doc.grand_total, decimal(row.provider_total)), (174, 174))
		_goods, freight = json.loads(row.payload)["items"]
		(tax,) = freight["product"]["taxes"]
		self.assertEqual((tax["factor"], tax["rate"]), ("Tasa", 0.16))

	def test_two_thirds_of_the_vat_are_withheld(self):
		taxes = [
			sample.tax_row("IVA 16", 16),
			sample.tax_row(
				"IVA 0", -66.6667, charge_type="On Previous Row Amount", row_id=1, description="IVA Retenido"
			),
		]
		doc, row = self.issued(customer=BUSINESS, items=[("SERV-INST", 1, 1000.0)], taxes=taxes)
		self.assertEqual(decimal(row.provider_total), decimal(doc.grand_total))
		(item,) = json.loads(row.payload)["items"]
		(withheld,) = (tax for tax in item["product"]["taxes"] if tax["withholding"])
		self.assertEqual((withheld["type"], withheld["rate"]), ("IVA", 0.106667))

	def test_a_company_with_books_in_dollars(self):
		"""The rate that is told is that to pesos, not that to the books."""
		sale = sample.invoice(
			doctype="Sales Invoice",
			customer=BUSINESS,
			paid=False,
			submit=False,
			currency="USD",
			conversion_rate=20,
			price_list_currency="MXN",
		)
		own = frappe.get_cached_value

		def books_in_dollars(doctype, name, field, **more):
			if (doctype, field) == ("Company", "default_currency"):
				return "USD"
			return own(doctype, name, field, **more)

		self.addCleanup(frappe.db.rollback)
		frappe.get_doc(
			{
				"doctype": "Currency Exchange",
				"date": nowdate(),
				"from_currency": "USD",
				"to_currency": "MXN",
				"exchange_rate": 18.5,
				"for_selling": 1,
				"for_buying": 1,
			}
		).insert(ignore_permissions=True)
		with patch.object(frappe, "get_cached_value", side_effect=books_in_dollars):
			invoice = mapping.to_invoice(sale)
		found = connection.record_for(sample.MEXICO.company).connection()
		payload = facturapi.Facturapi(found, None).build(invoice, "ref", "key", invoice.issued_at)
		request = json.loads(payload.body)
		self.assertEqual((request["currency"], request["exchange"]), ("USD", 18.5))


class GlobalCase(MexicoCase):
	def setUp(self):
		super().setUp()
		self.connect(parameters={"walk_in_sales": "Global Invoice"})
		self.addCleanup(self.connect, parameters={"walk_in_sales": "One CFDI Each"})
		self.day = getdate(add_days(nowdate(), -1))
		# What other tests left of that day is none of this one's.
		for doctype in ("POS Invoice", "Sales Invoice"):
			frappe.db.set_value(
				doctype,
				{"fiscal_status": lifecycle.FOR_GLOBAL},
				"fiscal_status",
				None,
				update_modified=False,
			)
		frappe.db.commit()

	def walk_in(self, **values):
		doc, row = self.sell(posting_date=self.day, posting_time="09:30:00", **values)
		self.assertIsNone(row)
		self.assertEqual(doc.fiscal_status, lifecycle.FOR_GLOBAL)
		return doc

	def collected(self, submit=True):
		doc = frappe.get_doc(
			{
				"doctype": claims.DOCTYPE,
				"company": sample.MEXICO.company,
				"periodicity": "Day",
				"day": self.day,
			}
		).insert()
		doc.collect()
		if submit:
			doc.submit()
		frappe.db.commit()
		return doc


class TestGlobalInvoice(GlobalCase):
	def shown(self, sale):
		return frappe.db.get_value(sale.doctype, sale.name, ["fiscal_status", "fiscal_id"])

	def test_the_walk_in_sales_of_a_day_become_one_document(self):
		sales = [
			self.walk_in(items=[("CAFE-500", 3, 33.33), ("LIBRO-01", 1, 120.5)], taxes="inclusive"),
			self.walk_in(items=[("AGUA-1L", 7, 18.57)]),
			self.walk_in(doctype="Sales Invoice", items=[("CAFE-500", 1, 10.0)], paid=True),
		]
		_, named = self.issued(customer=BUSINESS, posting_date=self.day, posting_time="10:00:00")
		doc = self.collected()
		self.assertEqual({row.reference_name for row in doc.sales}, {sale.name for sale in sales})
		row = self.run_job(dispatch.find(doc.doctype, doc.name))
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(decimal(row.provider_total), sum(decimal(sale.grand_total) for sale in sales))
		request = json.loads(row.payload)
		self.assertEqual(
			request["global"],
			{"periodicity": "day", "months": f"{self.day.month:02d}", "year": self.day.year},
		)
		self.assertEqual((request["use"], request["customer"]["tax_id"]), ("S01", "XAXX010101000"))
		self.assertEqual({item["product"]["sku"] for item in request["items"]}, {sale.name for sale in sales})
		for sale in sales:
			self.assertEqual(self.shown(sale), ("In Global Invoice", row.fiscal_id))
		self.assertEqual(api.mail_address(doc.doctype, doc.name), "")
		self.assertEqual(named.status, lifecycle.ISSUED)
		self.assertEqual(len(self.collected(submit=False).sales), 0)
		# Not even when the settings change: two documents for one sale are an offence.
		self.connect(parameters={"walk_in_sales": "One CFDI Each"})
		for sale in sales:
			told = bulk.start(sale.doctype, [sale.name])
			self.assertIsNone(told["batch"])
			self.assertIsNone(dispatch.find(sale.doctype, sale.name))

	def test_what_came_back_the_same_day_is_taken_off(self):
		kept, returned = self.walk_in(), self.walk_in()
		note = sample.credit_note(returned, posting_date=self.day, posting_time="11:00:00")
		frappe.db.commit()
		self.assertEqual(note.fiscal_status, lifecycle.FOR_GLOBAL)
		doc = self.collected()
		row = self.run_job(dispatch.find(doc.doctype, doc.name))
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(decimal(row.provider_total), decimal(kept.grand_total))
		self.assertEqual({item["product"]["sku"] for item in json.loads(row.payload)["items"]}, {kept.name})

	def test_a_later_return_is_a_credit_note_on_the_global_invoice(self):
		sale = self.walk_in()
		doc = self.collected()
		row = self.run_job(dispatch.find(doc.doctype, doc.name))
		note = sample.credit_note(sale)
		frappe.db.commit()
		correction = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(correction.status, lifecycle.ISSUED, correction.error_message)
		self.assertEqual(json.loads(correction.payload)["related_documents"][0]["documents"], [row.fiscal_id])

	def test_excise_by_quota_and_below_vat(self):
		quota = [
			sample.tax_row("IEPS 8", 1.5, charge_type="On Item Quantity"),
			sample.tax_row("IVA 16", 16, charge_type="On Previous Row Total", row_id=1),
		]
		sales = [
			self.walk_in(items=[("AGUA-1L", 4, 10.0), ("AGUA-1L", 3, 7.77)], taxes=quota),
			self.walk_in(items=list(SODA), taxes=soda_taxes()),
		]
		returned = self.walk_in(items=[("AGUA-1L", 2, 10.0)], taxes=quota)
		sample.credit_note(returned, posting_date=self.day, posting_time="11:00:00")
		frappe.db.commit()
		doc = self.collected()
		row = self.run_job(dispatch.find(doc.doctype, doc.name))
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(decimal(row.provider_total), sum(decimal(sale.grand_total) for sale in sales))
		first = json.loads(row.payload)["items"][0]
		self.assertEqual(first["quantity"], 1)
		(units,) = (tax["base"] for tax in first["product"]["taxes"] if tax["factor"] == "Cuota")
		self.assertEqual(units, 7)

	def test_one_that_is_a_cent_apart_and_what_comes_back_of_it(self):
		for way, status in ((as_they_are, lifecycle.ISSUED), (as_nobody_expects, lifecycle.NEEDS_REVIEW)):
			with self.subTest(way.__name__):
				sale = self.walk_in(items=list(SODA), taxes=soda_taxes())
				doc = self.collected()
				with way():
					row = self.run_job(dispatch.find(doc.doctype, doc.name))
				self.assertEqual(row.status, status, row.error_message)
				if status == lifecycle.NEEDS_REVIEW:
					api.take_over(row.name)
					frappe.db.commit()
				self.assertEqual(decimal(row.provider_total), decimal("90.57"))
				self.assertEqual(self.shown(sale), ("In Global Invoice", row.fiscal_id))
				note = sample.credit_note(sale)
				frappe.db.commit()
				note = self.run_job(dispatch.find(note.doctype, note.name))
				self.assertEqual(note.status, lifecycle.ISSUED, note.error_message)
				self.assertEqual(decimal(note.provider_total), decimal("90.57"))

	def test_two_months_are_of_one_regime(self):
		self.day = getdate("2026-02-18")
		self.walk_in()
		for regime, words in (("", "Ping Server"), ("601", "Choose Month")):
			self.connect(parameters={"walk_in_sales": "Global Invoice", "issuer_tax_regime": regime})
			doc = frappe.get_doc(
				{
					"doctype": claims.DOCTYPE,
					"company": sample.MEXICO.company,
					"periodicity": "Two Months",
					"day": self.day,
				}
			).insert()
			doc.collect()
			with self.subTest(regime), self.assertRaises(frappe.ValidationError) as caught:
				doc.submit()
			self.assertIn(words, str(caught.exception))
			self.assertIn("621", str(caught.exception))
			frappe.db.rollback()

	def test_a_sale_is_in_one_global_invoice_only(self):
		sale = self.walk_in()
		second = self.collected(submit=False)
		first = self.collected()
		self.assertEqual(claims.holding(sale.doctype, sale.name), first.name)
		with self.assertRaises((frappe.ValidationError, frappe.UniqueValidationError)):
			second.reload()
			second.submit()
		frappe.db.rollback()
		with self.assertRaises(frappe.ValidationError) as caught:
			frappe.get_doc(sale.doctype, sale.name).cancel()
		self.assertIn(first.name, str(caught.exception))
		frappe.db.rollback()
		first.reload()
		first.cancel()
		frappe.db.commit()
		self.assertEqual(len(self.collected(submit=False).sales), 1)

	def test_when_it_is_cancelled_its_sales_are_open_again(self):
		sale = self.walk_in()
		doc = self.collected()
		row = self.run_job(dispatch.find(doc.doctype, doc.name))
		with self.assertRaises(frappe.ValidationError) as caught:
			frappe.get_doc(doc.doctype, doc.name).cancel()
		self.assertIn("cancelled first", str(caught.exception))
		frappe.db.rollback()
		self.ask(row, "02", cancel_source=1)
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")
		self.assertEqual(self.shown(sale), ("For Global Invoice", None))
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "docstatus"), 2)
		self.assertEqual(len(self.collected(submit=False).sales), 1)

	def test_a_sale_that_was_cancelled_meanwhile_is_named(self):
		kept, gone = self.walk_in(), self.walk_in()
		doc = self.collected(submit=False)
		frappe.get_doc(gone.doctype, gone.name).cancel()
		frappe.db.commit()
		with self.assertRaises(frappe.ValidationError) as caught:
			doc.submit()
		self.assertIn(gone.name, str(caught.exception))
		self.assertNotIn(kept.name, str(caught.exception))
		frappe.db.rollback()
		doc.reload()
		doc.collect()
		self.assertEqual([row.reference_name for row in doc.sales], [kept.name])

	def test_nothing_is_sent_for_a_sale_that_is_none_any_more(self):
		sale = self.walk_in()
		doc = self.collected()
		# Behind our back, since a collected sale cannot be cancelled.
		frappe.db.set_value(sale.doctype, sale.name, "docstatus", 2)
		frappe.db.commit()
		row = self.run_job(dispatch.find(doc.doctype, doc.name))
		self.assertEqual(row.status, lifecycle.REJECTED)
		self.assertIn(sale.name, row.error_message)
		self.assertEqual(self.sandbox.ledger("facturapi"), [])

	def test_what_is_submitted_was_not_cancelled_by_another_in_between(self):
		sale = self.walk_in()
		self.collected()
		seen = patch.object(claims, "holding", wraps=claims.holding)
		with seen as holding, self.assertRaises(frappe.ValidationError):
			frappe.get_doc(sale.doctype, sale.name).cancel()
		holding.assert_called_with(sale.doctype, sale.name, lock=True)
		frappe.db.rollback()

	def test_the_return_of_another_periods_sale_becomes_its_credit_note(self):
		sold, self.day = self.day, getdate(add_days(self.day, -1))
		sale = self.walk_in()
		self.day = sold
		note = sample.credit_note(sale, posting_date=self.day, posting_time="11:00:00")
		frappe.db.commit()
		self.assertEqual(note.fiscal_status, lifecycle.FOR_GLOBAL)
		other = self.walk_in()
		self.assertEqual([row.reference_name for row in self.collected(submit=False).sales], [other.name])
		# While its sale is in none, there is nothing that it could correct.
		self.assertIsNone(bulk.start(note.doctype, [note.name])["batch"])
		self.day = getdate(add_days(sold, -1))
		doc = self.collected()
		row = self.run_job(dispatch.find(doc.doctype, doc.name))
		self.assertEqual([entry.reference_name for entry in doc.sales], [sale.name])
		filters = {"company": sample.MEXICO.company, "from_date": self.day, "to_date": nowdate()}
		found = reconciliation.execute(frappe._dict(filters, kind=reconciliation.NO_GLOBAL))[1]
		(finding,) = [entry for entry in found if entry["invoice"] == note.name]
		self.assertTrue(finding["generate"])
		self.assertIn("credit note", finding["todo"])
		self.assertEqual(bulk.preview(note.doctype, [note.name])["will"], 1)
		self.assertTrue(bulk.start(note.doctype, [note.name])["batch"])
		correction = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(correction.status, lifecycle.ISSUED, correction.error_message)
		self.assertEqual(json.loads(correction.payload)["related_documents"][0]["documents"], [row.fiscal_id])

	def test_a_return_in_a_global_invoice_gets_no_credit_note_of_its_own(self):
		sale = self.walk_in()
		note = sample.credit_note(sale, posting_date=self.day, posting_time="11:00:00")
		self.walk_in()
		frappe.db.commit()
		self.collected()
		for _time in ("while it is on its way", "once more"):
			self.assertEqual(bulk.preview(note.doctype, [note.name])["will"], 0)
			self.assertIsNone(bulk.start(note.doctype, [note.name])["batch"])
		self.assertIsNone(dispatch.find(note.doctype, note.name))

	def test_a_period_that_is_not_over_waits(self):
		self.day = getdate(nowdate())
		self.sell()
		with self.assertRaises(frappe.ValidationError) as caught:
			self.collected()
		self.assertIn("not over", str(caught.exception))
		frappe.db.rollback()

	def test_periods(self):
		day = date(2026, 2, 18)
		for periodicity, start, end, months in (
			("Day", date(2026, 2, 18), date(2026, 2, 18), "02"),
			("Week", date(2026, 2, 16), date(2026, 2, 22), "02"),
			("Fortnight", date(2026, 2, 16), date(2026, 2, 28), "02"),
			("Month", date(2026, 2, 1), date(2026, 2, 28), "02"),
			("Two Months", date(2026, 1, 1), date(2026, 2, 28), "13"),
		):
			with self.subTest(periodicity):
				self.assertEqual(global_invoices.period_of(periodicity, day), (start, end))
				self.assertEqual(global_invoices.told_as(periodicity, end).months, months)
		self.assertEqual(global_invoices.period_of("Two Months", date(2026, 12, 3))[0], date(2026, 11, 1))
		self.assertEqual(global_invoices.told_as("Two Months", date(2026, 12, 31)).months, "18")
