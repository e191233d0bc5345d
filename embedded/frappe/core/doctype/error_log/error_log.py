"""Error Log."""

from frappe.model.document import Document


class ErrorLog(Document):
	pass
