import frappe


def execute():
	frappe.db.set_global("patched", int(frappe.db.get_global("patched") or 0) + 1)
