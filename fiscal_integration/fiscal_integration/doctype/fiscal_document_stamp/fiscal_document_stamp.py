from frappe.model.document import Document


class FiscalDocumentStamp(Document):
	"""Something else that the provider returned with the document, as it came."""
