from frappe.model.document import Document


class FiscalPaymentCode(Document):
	"""How one Mode of Payment is told to the tax authority."""
