"""POS Invoice: paid at the till, consolidated into a Sales Invoice later. Refused where tills make Sales Invoices."""

import frappe
from erpnext.controllers.accounts_controller import AccountsController
from frappe import _
from frappe.utils import flt


class POSInvoice(AccountsController):
	def validate(self):
		if not self.is_pos:
			frappe.throw(_("POS Invoice must have the field {0} checked.").format("is_pos"))
		if (
			frappe.db.get_single_value("POS Settings", "invoice_type") == "Sales Invoice"
			and not self.is_return
		):
			frappe.throw(_("Sales Invoice mode is activated in POS. Please create Sales Invoice instead."))
		super().validate()
		if not self.payments:
			frappe.throw(_("At least one mode of payment is required for POS invoice."))

	def before_submit(self):
		if self.is_return or not flt(self.rounded_total or self.grand_total):
			return
		if not flt(self.paid_amount):
			frappe.throw(_("Please set an amount paid"))

	def before_cancel(self):
		if (
			self.consolidated_invoice
			and frappe.db.get_value("Sales Invoice", self.consolidated_invoice, "docstatus") == 1
		):
			frappe.throw(
				_("You cannot cancel this invoice: it is consolidated in {0}").format(
					self.consolidated_invoice
				)
			)
