import json

import frappe
from frappe.utils import now_datetime, nowdate

from fiscal_integration import dispatch, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.mapping import is_sale
from fiscal_integration.testing import FiscalTestCase


class TestPosClosing(FiscalTestCase):
	"""A real POS Closing: what it consolidates was issued before, and is never issued again."""

	def setUp(self):
		super().setUp()
		if not frappe.db.exists("DocType", "POS Closing Entry"):
			self.skipTest("POS Closing Entry is ERPNext's own: it needs a bench")
		# A till of its own, so that what other tests sold is not in its session. A user has one open at a time.
		for entry in frappe.get_all(
			"POS Opening Entry", filters={"status": "Open", "docstatus": 1}, pluck="name"
		):
			frappe.db.set_value("POS Opening Entry", entry, "status", "Closed")
		self.till = f"Caja {frappe.generate_hash(length=6)}"
		sample.ensure_till(self.till)
		sample.open_till(self.till)
		frappe.db.commit()
		self.addCleanup(self.reopen)

	def reopen(self):
		frappe.db.rollback()
		frappe.db.set_value("POS Opening Entry", {"pos_profile": self.till}, "status", "Closed")
		sample.open_till()
		frappe.db.commit()

	def close_till(self):
		from erpnext.accounts.doctype.pos_closing_entry.pos_closing_entry import (
			make_closing_entry_from_opening,
		)

		opening = frappe.get_doc(
			"POS Opening Entry",
			frappe.db.get_value(
				"POS Opening Entry", {"pos_profile": self.till, "status": "Open", "docstatus": 1}
			),
		)
		closing = make_closing_entry_from_opening(opening)
		closing.period_end_date = now_datetime()
		closing.posting_date = nowdate()
		for row in closing.payment_reconciliation:
			row.closing_amount = row.expected_amount
		closing.insert(ignore_permissions=True)
		closing.submit()
		frappe.db.commit()
		return closing

	def consolidated(self, doc):
		return frappe.db.get_value("POS Invoice", doc.name, "consolidated_invoice")

	def test_what_is_paid_after_the_closing_settles_the_sale_behind_it(self):
		frappe.db.set_value("POS Profile", self.till, "allow_partial_payment", 1)
		frappe.clear_document_cache("POS Profile", self.till)
		sale, row = self.sell(
			customer="Papelería del Centro SA de CV",
			pos_profile=self.till,
			items=[("CAFE-500", 1, 100.0)],
			paid=[("Cash", 50)],
		)
		at_once, _own = dispatch.find_all(sale.doctype, sale.name)
		row = self.run_job(row)
		self.assertEqual(json.loads(row.payload)["payment_method"], "PPD")
		self.assertEqual(self.run_job(at_once).status, lifecycle.ISSUED)
		self.close_till()
		merged = frappe.get_doc("Sales Invoice", self.consolidated(sale))
		self.assertEqual(merged.outstanding_amount, 66)
		payment = sample.payment([(merged, 66)])
		frappe.db.commit()
		paid = self.run_job(dispatch.find(payment.doctype, payment.name))
		self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
		(settled,) = json.loads(paid.payload)["complements"][0]["data"][0]["related_documents"]
		self.assertEqual(
			(settled["uuid"], settled["installment"], settled["last_balance"], settled["amount"]),
			(row.fiscal_id, 2, 66, 66),
		)

	def test_consolidation_is_not_issued_again_and_does_not_undo_what_was(self):
		issued_doc, row = self.sell(customer="Papelería del Centro SA de CV", pos_profile=self.till)
		issued = self.run_job(row)
		self.assertEqual(issued.status, lifecycle.ISSUED, issued.error_message)
		waiting_doc, waiting = self.sell(pos_profile=self.till)
		before = len(self.sandbox.ledger("facturapi"))
		closing = self.close_till()
		self.assertEqual(frappe.db.get_value("POS Closing Entry", closing.name, "status"), "Submitted")
		self.none_of_its_own(issued_doc, waiting_doc)
		self.assertEqual(len(self.sandbox.ledger("facturapi")), before)

		shown = frappe.db.get_value("POS Invoice", issued_doc.name, ["fiscal_id", "fiscal_status"])
		self.assertEqual(shown, (issued.fiscal_id, "Issued"))
		# What was still waiting while its till was closed is issued afterwards, once.
		waiting = self.run_job(waiting)
		self.assertEqual((waiting.status, len(self.issued_for(waiting))), (lifecycle.ISSUED, 1))

		# A return in the next session is a credit note of its own; its consolidation again is not.
		sample.open_till(self.till)
		note = sample.credit_note(issued_doc)
		frappe.db.commit()
		returned = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(returned.status, lifecycle.ISSUED, returned.error_message)
		self.close_till()
		self.none_of_its_own(note)

	def none_of_its_own(self, *docs):
		"""The Sales Invoices that stand for `docs` have no fiscal document and no fiscal fields."""
		consolidations = {self.consolidated(doc) for doc in docs}
		self.assertNotIn(None, consolidations)
		for name in consolidations:
			self.assertIsNone(dispatch.find("Sales Invoice", name), name)
			merged = frappe.get_doc("Sales Invoice", name)
			self.assertFalse(is_sale(merged))
			self.assertFalse(merged.fiscal_id or merged.fiscal_status or merged.fiscal_document)

	def test_a_flag_alone_is_no_consolidation(self):
		"""An invoice that only claims to be consolidated is a sale, and needs its document."""
		doc = sample.invoice(doctype="Sales Invoice", paid=False, submit=False)
		doc.is_consolidated = 1
		self.assertTrue(is_sale(doc))
		doc.items[0].pos_invoice = "NO-SUCH-INVOICE"
		self.assertTrue(is_sale(doc))
