import frappe
from frappe import _
from frappe.model.document import Document


class FiscalCertificate(Document):
	"""One certificate of a company, or of one of its points of sale. What was initialized stays as history; its key lives in certificates.py."""

	def validate(self):
		before = self.get_doc_before_save()
		if before and before.status != self.status and not self.flags.by_service:
			frappe.throw(_("Use Initialize to put a certificate to use."), frappe.PermissionError)
		if self.is_new():
			self.status = "Not Initialized"
		if (
			self.point_of_sale
			and frappe.db.get_value("Fiscal Point of Sale", self.point_of_sale, "company") != self.company
		):
			frappe.throw(_("This Fiscal Point of Sale belongs to another company."))

	def on_trash(self):
		if self.status != "Not Initialized":
			frappe.throw(_("The certificate is kept: documents were signed with it."), frappe.PermissionError)
