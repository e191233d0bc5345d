"""Rows of before `status_since` count from when they were last changed, or no alert would ever name them."""

import frappe


def execute():
	document = frappe.qb.DocType("Fiscal Document")
	frappe.qb.update(document).set(document.status_since, document.modified).where(
		document.status_since.isnull()
	).run()
