from frappe.model.document import Document


class FiscalBatch(Document):
	"""Fiscal Documents that were put on their way together; see drain.py for who fills it."""
