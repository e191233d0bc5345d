"""An account from which the site sends; without one Frappe refuses every mail."""

import frappe
from frappe.model.document import Document


class EmailAccount(Document):
	@classmethod
	def find_default_outgoing(cls):
		name = frappe.db.get_value("Email Account", {"enable_outgoing": 1, "default_outgoing": 1})
		return frappe.get_doc("Email Account", name) if name else None
