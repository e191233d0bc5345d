"""Warehouse: named with the company's abbreviation behind."""

import frappe
from frappe.model.document import Document


class Warehouse(Document):
	def autoname(self):
		self.name = f"{self.warehouse_name} - {frappe.get_cached_value('Company', self.company, 'abbr')}"
