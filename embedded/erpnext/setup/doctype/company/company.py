"""Company: gets the handful of accounts that sales post to."""

import frappe
from frappe.model.document import Document

# name, account type, root type, the company's field that names it
ACCOUNTS = (
	("Debtors", "Receivable", "Asset", "default_receivable_account"),
	("Cash", "Cash", "Asset", "default_cash_account"),
	("Bank", "Bank", "Asset", "default_bank_account"),
	("Sales", "Income Account", "Income", "default_income_account"),
	("Cost of Goods Sold", "Cost of Goods Sold", "Expense", "default_expense_account"),
	("Round Off", "Round Off", "Expense", "round_off_account"),
	("Write Off", "Expense Account", "Expense", "write_off_account"),
)


class Company(Document):
	def on_update(self):
		if self.default_receivable_account:
			return
		_insert(
			"Account",
			account_name="Duties and Taxes",
			company=self.name,
			is_group=1,
			account_type="Tax",
			root_type="Liability",
			account_currency=self.default_currency,
		)
		for name, kind, root, field in ACCOUNTS:
			account = _insert(
				"Account",
				account_name=name,
				company=self.name,
				account_type=kind,
				root_type=root,
				account_currency=self.default_currency,
			)
			self.db_set(field, account.name, update_modified=False)
		center = _insert("Cost Center", cost_center_name="Main", company=self.name)
		for field in ("cost_center", "round_off_cost_center"):
			self.db_set(field, center.name, update_modified=False)
		_insert("Warehouse", warehouse_name="Stores", company=self.name)
		if not frappe.db.get_default("company"):
			frappe.db.set_default("company", self.name)


def _insert(doctype, **values):
	return frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)
