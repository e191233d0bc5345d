from frappe.model.document import Document


class FiscalGlobalInvoiceSale(Document):
	"""One sale, or return, of a global invoice. `claim` is unique among those in force."""
