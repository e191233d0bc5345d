"""What Sales Invoice and POS Invoice have in common."""

import json

import frappe
from erpnext import get_company_currency
from erpnext.setup.utils import get_exchange_rate
from erpnext.totals import calculate
from frappe import _
from frappe.model.document import Document
from frappe.utils import cint, flt, getdate, nowdate, nowtime


class AccountsController(Document):
	def before_validate(self):
		self.set_missing_values()

	def validate(self):
		if not cint(self.set_posting_time):
			self.posting_date, self.posting_time = nowdate(), nowtime()
		self._validate_return()
		self.calculate_taxes_and_totals()
		self.set_status()

	def set_missing_values(self, for_validate=False):
		"""Defaults from company, customer and items where nothing is entered."""
		company = frappe.get_cached_doc("Company", self.company)
		self.currency = self.currency or company.default_currency
		if self.currency == company.default_currency:
			self.conversion_rate = 1.0
		elif not flt(self.conversion_rate):
			self.conversion_rate = get_exchange_rate(
				self.currency, company.default_currency, self.posting_date
			)
			if not self.conversion_rate:
				frappe.throw(_("Conversion rate cannot be 0 or 1"))
		self.selling_price_list = self.selling_price_list or "Standard Selling"
		self.price_list_currency = self.price_list_currency or self.currency
		self.plc_conversion_rate = flt(self.plc_conversion_rate) or 1.0
		self.debit_to = self.debit_to or company.default_receivable_account
		self.party_account_currency = frappe.get_cached_value("Account", self.debit_to, "account_currency")
		self.due_date = self.due_date or self.posting_date
		self._set_customer()
		for row in self.items:
			self._set_item(row, company)
		for row in self.taxes:
			row.description = row.description or (row.account_head or "").rpartition(" - ")[0]

	def _set_customer(self):
		if not self.customer:
			return
		customer = frappe.get_cached_doc("Customer", self.customer)
		self.customer_name = self.customer_name or customer.customer_name
		self.tax_id = self.tax_id or customer.tax_id
		self.customer_group = self.customer_group or customer.customer_group
		self.territory = self.territory or customer.territory
		self.contact_email = self.contact_email or customer.email_id
		if not self.customer_address:
			from frappe.contacts.doctype.address.address import get_default_address

			self.customer_address = customer.customer_primary_address or get_default_address(
				"Customer", self.customer
			)

	def _set_item(self, row, company):
		if row.item_code:
			item = frappe.get_cached_doc("Item", row.item_code)
			for field in ("item_name", "description", "item_group", "stock_uom"):
				row.set(field, row.get(field) or item.get(field))
			if not row.item_tax_template and item.taxes and row.is_new():
				row.item_tax_template = item.taxes[0].item_tax_template
		if row.item_tax_template:
			template = frappe.get_cached_doc("Item Tax Template", row.item_tax_template)
			row.item_tax_rate = json.dumps({t.tax_type: t.tax_rate for t in template.taxes})
		else:
			row.item_tax_rate = "{}"
		row.uom = row.uom or row.stock_uom
		row.conversion_factor = flt(row.conversion_factor) or 1.0
		row.income_account = row.income_account or company.default_income_account
		row.cost_center = row.cost_center or self.cost_center or company.cost_center

	def _validate_return(self):
		if not self.is_return:
			return
		for row in self.items:
			if flt(row.qty) > 0:
				frappe.throw(_("Row # {0}: quantity must be negative in a return").format(row.idx))
		if self.return_against:
			stored = frappe.db.get_value(
				self.doctype, self.return_against, ["docstatus", "company"], as_dict=True
			)
			if not stored or stored.docstatus != 1:
				frappe.throw(_("Return against {0} must be submitted").format(self.return_against))

	def calculate_taxes_and_totals(self):
		calculate(self)

	def is_rounded_total_disabled(self):
		return bool(cint(self.disable_rounded_total))

	@property
	def company_currency(self):
		return get_company_currency(self.company)

	def set_status(self, update=False, status=None, update_modified=True):
		self.status = status or self._status()
		if update:
			self.db_set("status", self.status, update_modified=update_modified)

	def _status(self):
		if self.docstatus.is_cancelled():
			return "Cancelled"
		if self.docstatus.is_draft():
			return "Draft"
		if self.get("consolidated_invoice"):
			return "Consolidated"
		if self.is_return:
			return "Return"
		if frappe.db.exists(self.doctype, {"is_return": 1, "return_against": self.name, "docstatus": 1}):
			return "Credit Note Issued"
		if flt(self.outstanding_amount) <= 0:
			return "Paid"
		if self.due_date and getdate(self.due_date) < getdate():
			return "Overdue"
		total = flt(self.rounded_total) or flt(self.grand_total)
		return (
			"Partly Paid"
			if flt(self.outstanding_amount) < total and self.doctype == "Sales Invoice"
			else "Unpaid"
		)

	def on_submit(self):
		self.set_status(update=True)
		if self.is_return and self.return_against:
			original = frappe.get_doc(self.doctype, self.return_against)
			original.set_status(update=True)

	def on_cancel(self):
		self.set_status(update=True)
