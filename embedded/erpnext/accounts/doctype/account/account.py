"""Account: named with the company's abbreviation behind."""

import frappe
from frappe.model.document import Document


class Account(Document):
	def autoname(self):
		self.name = f"{self.account_name} - {frappe.get_cached_value('Company', self.company, 'abbr')}"

	def validate(self):
		if not self.account_currency:
			self.account_currency = frappe.get_cached_value("Company", self.company, "default_currency")
