"""Sales Invoice without ledger and stock. One made at a till is refused where tills make POS Invoices."""

import frappe
from erpnext.controllers.accounts_controller import AccountsController
from frappe import _


class SalesInvoice(AccountsController):
	def validate(self):
		if self.is_created_using_pos:
			if not self.pos_profile:
				frappe.throw(_("POS Profile is mandatory to mark this invoice as POS Transaction."))
			mode = frappe.db.get_single_value("POS Settings", "invoice_type")
			if mode != "Sales Invoice" and not self.is_return:
				frappe.throw(_("Transactions using Sales Invoice in POS are disabled."))
		super().validate()
