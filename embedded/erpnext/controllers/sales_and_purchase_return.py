"""Credit notes made from a submitted invoice."""

import frappe
from frappe import _
from frappe.utils import flt


def make_return_doc(doctype, source_name, target_doc=None, return_against_rejected_qty=False):
	"""An unsaved return of everything on the source: quantities, discount and payments negative."""
	source = frappe.get_doc(doctype, source_name)
	if not source.docstatus.is_submitted():
		frappe.throw(_("Return against {0} must be submitted").format(source_name))
	doc = frappe.copy_doc(source, ignore_no_copy=False)
	doc.docstatus = 0
	doc.set_defaults()
	doc.update(
		{
			"is_return": 1,
			"return_against": source_name,
			"set_posting_time": 1,
			"discount_amount": -flt(source.discount_amount),
			"ignore_pricing_rule": 1,
			"update_outstanding_for_self": 1,
			"due_date": None,
		}
	)
	if doctype == "Sales Invoice":
		doc.naming_series = "ACC-SINV-RET-.YYYY.-"
	own = "pos_invoice_item" if doctype == "POS Invoice" else "sales_invoice_item"
	for row, original in zip(doc.items, source.items, strict=True):
		row.qty = -original.qty
		row.stock_qty = -flt(original.stock_qty)
		row.set(own, original.name)
	for row in doc.taxes:
		if row.charge_type == "Actual":
			row.tax_amount = -row.tax_amount
	paid_total = source.rounded_total or source.grand_total
	doc.set("payments", [])
	if source.is_pos:
		for row in source.payments:
			amount = -flt(row.amount)
			if row.default or len(source.payments) == 1:
				amount += flt(source.change_amount)
			doc.append(
				"payments",
				{
					"mode_of_payment": row.mode_of_payment,
					"type": row.type,
					"amount": amount,
					"base_amount": flt(amount * source.conversion_rate),
					"account": row.account,
					"default": row.default,
				},
			)
		doc.paid_amount = -flt(paid_total)
	doc.run_method("calculate_taxes_and_totals")
	return doc
