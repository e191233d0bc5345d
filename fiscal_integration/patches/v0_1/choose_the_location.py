"""The customer's place is chosen from a catalogue: Frappe itself refuses this change of a custom field's type."""

import frappe


def execute():
	frappe.db.set_value(
		"Custom Field",
		{"dt": "Customer", "fieldname": "fiscal_location", "fieldtype": "Data"},
		"fieldtype",
		"Autocomplete",
	)
	frappe.clear_cache(doctype="Customer")
