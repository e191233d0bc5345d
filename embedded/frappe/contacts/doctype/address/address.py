"""Address, linked to its owner by rows of Dynamic Link."""

import frappe
from frappe.model.document import Document


class Address(Document):
	def autoname(self):
		if not self.address_title and self.links:
			self.address_title = self.links[0].link_name
		base = f"{(self.address_title or '').strip()}-{self.address_type}"
		from frappe.model.naming import append_number_if_name_exists

		self.name = append_number_if_name_exists("Address", base)


def get_default_address(doctype, name, sort_key="is_primary_address"):
	"""The address of a party, its preferred one first."""
	parents = frappe.get_all(
		"Dynamic Link",
		{"parenttype": "Address", "link_doctype": doctype, "link_name": name},
		pluck="parent",
	)
	rows = frappe.get_all(
		"Address",
		{"name": ("in", parents), "disabled": 0},
		["name"],
		order_by=f"{sort_key} desc, creation asc",
	)
	return rows[0].name if rows else None
