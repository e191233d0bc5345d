"""Rows of before `status_since` count from when they were last changed, or no alert would ever name them."""

import frappe


def execute():
	frappe.db.sql("update `tabFiscal Document` set status_since = modified where status_since is null")
