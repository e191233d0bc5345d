import frappe
from frappe.model.document import Document

from fiscal_integration import drain


class FiscalBatch(Document):
	"""Fiscal Documents that were put on their way together; see drain.py and bulk.py for who fills it."""

	@frappe.whitelist()
	def progress(self) -> dict:
		"""How far it has come, for whoever may read it."""
		return drain.progress(self.name)
