import frappe
from frappe import _
from frappe.model.document import Document

from fiscal_integration import connection, numbering
from fiscal_integration.fiscal.words import translated


class FiscalPointofSale(Document):
	"""Branch, point and device of one POS Profile, or of a company's invoices that come from no till."""

	def validate(self):
		for field in ("branch_code", "point_code", "serial_device"):
			self.set(field, (self.get(field) or "").strip())
		if (
			self.pos_profile
			and frappe.db.get_value("POS Profile", self.pos_profile, "company") != self.company
		):
			frappe.throw(_("POS Profile {0} belongs to another company.").format(self.pos_profile))
		others = {
			"company": self.company,
			"pos_profile": self.pos_profile or ("is", "not set"),
			"name": ("!=", self.name),
		}
		if frappe.db.exists(self.doctype, others):
			frappe.throw(
				_("{0} has a Fiscal Point of Sale already.").format(self.pos_profile or self.company),
				frappe.DuplicateEntryError,
			)
		record = connection.record_for(self.company)
		if not record:
			return
		provider = record.provider_class(record.connection(secrets=False), None)
		default = provider.coordinates()
		problems = provider.check_coordinates(numbering.merged(self, default)) if default else []
		if problems:
			frappe.throw("<br>".join(translated(problem.message, _) for problem in problems))
