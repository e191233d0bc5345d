from frappe.model.document import Document


class FiscalDocumentSettlement(Document):
	"""What a payment's fiscal document settles of one sale on credit."""
