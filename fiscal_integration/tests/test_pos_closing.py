"""Closing a till, in both ways that ERPNext has: POS Invoices are consolidated into Sales Invoices, or (from 16 on,
where the till makes Sales Invoices) nothing is. One sale has exactly one fiscal document in both."""

import json
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime, nowdate

from fiscal_integration import api, dispatch, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.mapping import is_sale
from fiscal_integration.testing import FiscalTestCase

MERGE = "erpnext.accounts.doctype.pos_invoice_merge_log.pos_invoice_merge_log"
BUSINESS = "Papelería del Centro SA de CV"


class ClosingCase(FiscalTestCase):
	def setUp(self):
		super().setUp()
		if not frappe.db.exists("DocType", "POS Closing Entry"):
			self.skipTest("POS Closing Entry is ERPNext's own: it needs a bench")
		# A till of its own, so that what other tests sold is not in its session. A user has one open at a time.
		self.till = f"Caja {frappe.generate_hash(length=6)}"
		sample.ensure_till(self.till)
		self.open_till()
		# While Frappe's tests run, ERPNext lets a closing without POS Invoices consolidate all that are on the site.
		others = patch(f"{MERGE}.get_all_unconsolidated_invoices", return_value=[])
		others.start()
		self.addCleanup(others.stop)
		self.addCleanup(self.reopen)

	def open_till(self):
		sample.close_tills()
		sample.open_till(self.till)
		frappe.db.commit()

	def reopen(self):
		frappe.db.rollback()
		sample.close_tills()
		sample.open_till()
		frappe.db.commit()

	def close_till(self):
		from erpnext.accounts.doctype.pos_closing_entry.pos_closing_entry import (
			make_closing_entry_from_opening,
		)

		opened = {"pos_profile": self.till, "status": "Open", "docstatus": 1}
		closing = make_closing_entry_from_opening(frappe.get_doc(sample.OPENING, opened))
		closing.period_end_date = now_datetime()
		closing.posting_date = nowdate()
		for row in closing.payment_reconciliation:
			row.closing_amount = row.expected_amount
		closing.insert(ignore_permissions=True)
		closing.submit()
		frappe.db.commit()
		self.assertEqual(frappe.db.get_value(closing.doctype, closing.name, "status"), "Submitted")
		return closing

	def sell_here(self, **values):
		return self.sell(customer=BUSINESS, pos_profile=self.till, **values)

	def issue(self, row):
		row = self.run_job(row)
		self.assertEqual((row.status, len(self.issued_for(row))), (lifecycle.ISSUED, 1), row.error_message)
		return row

	def give_back(self, doc):
		note = sample.credit_note(doc)
		frappe.db.commit()
		return note, self.issue(dispatch.find(note.doctype, note.name))

	def consolidated(self, doc):
		return frappe.db.get_value("POS Invoice", doc.name, "consolidated_invoice")

	def none_of_its_own(self, *docs):
		"""The Sales Invoices that stand for `docs` have no fiscal document and no fiscal fields."""
		consolidations = {self.consolidated(doc) for doc in docs}
		self.assertNotIn(None, consolidations)
		for name in consolidations:
			self.assertIsNone(dispatch.find("Sales Invoice", name), name)
			merged = frappe.get_doc("Sales Invoice", name)
			self.assertFalse(is_sale(merged))
			self.assertFalse(merged.fiscal_id or merged.fiscal_status or merged.fiscal_document)


class TestPosClosing(ClosingCase):
	"""What a closing consolidates was issued before, and is never issued again."""

	mode = "POS Invoice"

	def test_what_is_paid_after_the_closing_settles_the_sale_behind_it(self):
		sale, row = self.sell_here(items=[("CAFE-500", 1, 100.0)], paid=[("Cash", 50)])
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
		issued_doc, row = self.sell_here()
		issued = self.issue(row)
		waiting_doc, waiting = self.sell(pos_profile=self.till)
		before = len(self.sandbox.ledger("facturapi"))
		self.close_till()
		self.none_of_its_own(issued_doc, waiting_doc)
		self.assertEqual(len(self.sandbox.ledger("facturapi")), before)

		shown = frappe.db.get_value("POS Invoice", issued_doc.name, ["fiscal_id", "fiscal_status"])
		self.assertEqual(shown, (issued.fiscal_id, "Issued"))
		# What was still waiting while its till was closed is issued afterwards, once.
		waiting = self.run_job(waiting)
		self.assertEqual((waiting.status, len(self.issued_for(waiting))), (lifecycle.ISSUED, 1))

		# A return in the next session is a credit note of its own; its consolidation again is not.
		self.open_till()
		note, _returned = self.give_back(issued_doc)
		self.close_till()
		self.none_of_its_own(note)

	def test_a_flag_alone_is_no_consolidation(self):
		"""An invoice that only claims to be consolidated is a sale, and needs its document."""
		doc = sample.invoice(doctype="Sales Invoice", paid=False, submit=False)
		doc.is_consolidated = 1
		self.assertTrue(is_sale(doc))
		doc.items[0].pos_invoice = "NO-SUCH-INVOICE"
		self.assertTrue(is_sale(doc))


class TestClosingOfSalesInvoices(ClosingCase):
	"""What the till makes is the sale itself; the closing only notes that it was counted."""

	mode = "Sales Invoice"

	def assert_one_each(self, *docs):
		for doc in docs:
			documents = dispatch.find_all(doc.doctype, doc.name)
			self.assertEqual(len(documents), 1, doc.name)
			shown = frappe.db.get_value(doc.doctype, doc.name, ["fiscal_document", "fiscal_id"])
			self.assertEqual(shown, (documents[0].name, documents[0].fiscal_id))
			self.assertEqual(len(self.issued_for(documents[0])), 1)

	def test_each_sale_has_its_document_before_and_after(self):
		issued_doc, row = self.sell_here()
		self.assertEqual((issued_doc.doctype, issued_doc.is_created_using_pos), ("Sales Invoice", 1))
		self.issue(row)
		waiting_doc, waiting = self.sell(pos_profile=self.till)
		same_day, _note = self.give_back(issued_doc)
		count = frappe.db.count("Sales Invoice")
		closing = self.close_till()
		self.assertEqual(frappe.db.count("Sales Invoice"), count, "nothing was consolidated")
		for doc in (issued_doc, waiting_doc, same_day):
			counted = frappe.db.get_value("Sales Invoice", doc.name, "pos_closing_entry")
			self.assertEqual(counted, closing.name)
		self.issue(waiting)
		self.open_till()
		later, _note = self.give_back(waiting_doc)
		self.close_till()
		self.assert_one_each(issued_doc, waiting_doc, same_day, later)

	def test_what_is_paid_after_the_closing_settles_the_sale(self):
		sale, row = self.sell_here(items=[("CAFE-500", 1, 100.0)], paid=[("Cash", 50)])
		at_once, _own = dispatch.find_all(sale.doctype, sale.name)
		row = self.issue(row)
		self.assertEqual(json.loads(row.payload)["payment_method"], "PPD")
		self.assertEqual(self.run_job(at_once).status, lifecycle.ISSUED)
		self.close_till()
		sale.reload()
		self.assertEqual(sale.outstanding_amount, 66)
		payment = sample.payment([(sale, 66)])
		frappe.db.commit()
		paid = self.run_job(dispatch.find(payment.doctype, payment.name))
		self.assertEqual(paid.status, lifecycle.ISSUED, paid.error_message)
		(settled,) = json.loads(paid.payload)["complements"][0]["data"][0]["related_documents"]
		self.assertEqual(
			(settled["uuid"], settled["installment"], settled["last_balance"], settled["amount"]),
			(row.fiscal_id, 2, 66, 66),
		)

	def test_the_return_of_an_old_pos_invoice_is_one_credit_note(self):
		"""ERPNext makes a consolidated Sales Invoice together with it, which is no sale of its own."""
		self.addCleanup(sample.set_till_doctype, self.mode)
		sample.set_till_doctype("POS Invoice")
		self.open_till()
		sold, row = self.sell_here()
		self.issue(row)
		self.close_till()
		sample.set_till_doctype("Sales Invoice")
		self.open_till()
		before = len(self.sandbox.ledger("facturapi"))
		note, returned = self.give_back(sold)
		self.assertEqual((note.doctype, note.is_return, returned.kind), ("POS Invoice", 1, "Credit Note"))
		self.none_of_its_own(note)
		self.assertEqual(len(self.sandbox.ledger("facturapi")), before + 1)
		self.close_till()
		self.none_of_its_own(note)


class TestPoints(ClosingCase):
	"""Loyalty points, which ERPNext keeps apart from the payments."""

	def setUp(self):
		super().setUp()
		self.customer = f"Con puntos {frappe.generate_hash(length=6)}"
		program = f"Puntos {sample.MEXICO.abbr}"
		if not frappe.db.exists("Loyalty Program", program):
			frappe.get_doc(
				{
					"doctype": "Loyalty Program",
					"loyalty_program_name": program,
					"loyalty_program_type": "Single Tier Program",
					"company": sample.COMPANY,
					"from_date": "2020-01-01",
					"conversion_factor": 1,
					"expense_account": sample.MEXICO.default("default_expense_account"),
					"cost_center": sample.MEXICO.default("cost_center"),
					"collection_rules": [{"tier_name": "Todos", "collection_factor": 10, "min_spent": 0}],
				}
			).insert(ignore_permissions=True)
		frappe.get_doc(
			{
				"doctype": "Customer",
				"customer_name": self.customer,
				"customer_type": "Company",
				"customer_group": "Individual",
				"territory": "Mexico",
				"loyalty_program": program,
				"tax_id": "PCE950708QX2",
				"fiscal_tax_regime": "601",
				"fiscal_document_use": "G03",
				"fiscal_postal_code": "44100",
			}
		).insert(ignore_permissions=True)
		frappe.db.commit()
		self.program = program

	def test_what_is_paid_in_points_is_paid(self):
		first, row = self.sell(
			customer=self.customer,
			pos_profile=self.till,
			loyalty_program=self.program,
			items=[("CAFE-500", 1, 500.0)],
		)
		self.issue(row)
		self.assertEqual(first.grand_total, 580)
		sale = sample.invoice(
			customer=self.customer,
			pos_profile=self.till,
			loyalty_program=self.program,
			items=[("CAFE-500", 1, 100.0)],
			submit=False,
		)
		sale.update({"redeem_loyalty_points": 1, "loyalty_points": 16})
		sale.payments[0].amount = 100
		sale.save()
		self.assertEqual(sale.loyalty_amount, 16)
		sale.submit()
		frappe.db.commit()
		row = self.issue(dispatch.find(sale.doctype, sale.name))
		sent = json.loads(row.payload)
		self.assertEqual(sent["payment_method"], "PUE")
		self.assertEqual(float(row.total), 116)
		self.assertEqual(len(dispatch.find_all(sale.doctype, sale.name)), 1)
		self.assertEqual(api.fiscal_view(sale.doctype, sale.name)["fiscal_id"], row.fiscal_id)
		self.close_till()


class TestPointsAtTheOtherTill(TestPoints):
	@classmethod
	def setUpClass(cls):
		cls.mode = sample.till_doctypes()[-1]
		super().setUpClass()
