from frappe.model.document import Document


class FiscalArchive(Document):
	"""A month of a cash register: where its receipts are saved, and what their check said."""
