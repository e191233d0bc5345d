"""Payment Entry without ledger: it lowers what is outstanding on the invoices it names."""

import frappe
from erpnext import get_company_currency
from frappe import _
from frappe.model.document import Document
from frappe.utils import flt, nowdate


class PaymentEntry(Document):
	def validate(self):
		company_currency = get_company_currency(self.company)
		self.posting_date = self.posting_date or nowdate()
		for side in ("paid_from", "paid_to"):
			account = self.get(side)
			self.set(
				f"{side}_account_currency",
				frappe.get_cached_value("Account", account, "account_currency") or company_currency,
			)
		self.source_exchange_rate = flt(self.source_exchange_rate) or 1.0
		self.target_exchange_rate = flt(self.target_exchange_rate) or 1.0
		for row in self.references:
			invoice = frappe.get_doc(row.reference_doctype, row.reference_name)
			row.total_amount, row.outstanding_amount = invoice.grand_total, invoice.outstanding_amount
			if self.is_new() and flt(row.allocated_amount) > flt(invoice.outstanding_amount) + 0.005:
				frappe.throw(
					_("Row {0}: Allocated Amount cannot be greater than outstanding amount.").format(row.idx)
				)
		self.total_allocated_amount = sum(flt(row.allocated_amount) for row in self.references)
		self.unallocated_amount = flt(self.paid_amount) - self.total_allocated_amount

	def on_submit(self):
		self._move_outstanding(-1)

	def on_cancel(self):
		self._move_outstanding(1)

	def _move_outstanding(self, sign):
		for row in self.references:
			outstanding = frappe.db.get_value(row.reference_doctype, row.reference_name, "outstanding_amount")
			frappe.db.set_value(
				row.reference_doctype,
				row.reference_name,
				"outstanding_amount",
				flt(outstanding) + sign * flt(row.allocated_amount),
			)
