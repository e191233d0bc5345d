"""Item Tax Template: named with the company's abbreviation behind."""

import frappe
from frappe.model.document import Document


class ItemTaxTemplate(Document):
	def autoname(self):
		self.name = f"{self.title} - {frappe.get_cached_value('Company', self.company, 'abbr')}"
