from frappe.model.document import Document


class FiscalProviderParameter(Document):
	"""One declared parameter of a provider and its value; a secret's value is only ever its mask."""
