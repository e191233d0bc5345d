"""Customer: named by its name, numbered when that is taken."""

import frappe
from frappe.model.document import Document


class Customer(Document):
	def autoname(self):
		from frappe.model.naming import append_number_if_name_exists

		self.name = append_number_if_name_exists("Customer", self.customer_name, separator=" - ")

	def validate(self):
		self.tax_id = (self.tax_id or "").strip() or None
		if self.customer_primary_address:
			self.primary_address = frappe.db.get_value(
				"Address", self.customer_primary_address, "address_line1"
			)
