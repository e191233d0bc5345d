import frappe
from frappe import _
from frappe.model.document import Document

from fiscal_integration.fiscal.panama.document import LAST_NUMBER


class FiscalSequence(Document):
	"""The issuer's numbers of one branch and point of sale in one environment.

	See authorities/panama.md#numbers.

	`last_number` is the last one that was given to a document; it only grows.
	"""

	def validate(self):
		text = (self.last_number or "0").strip()
		if not text.isdigit() or int(text) > LAST_NUMBER:
			frappe.throw(_("The last number has to be a whole number of up to ten digits."))
		self.last_number = str(int(text))
		before = self.get_doc_before_save()
		if before and int(self.last_number) < int(before.last_number or 0):
			frappe.throw(
				_(
					"The last number was {0} already. Numbers are never used twice, so it cannot go back."
				).format(before.last_number)
			)

	def on_trash(self):
		if int(self.last_number or 0):
			frappe.throw(
				_("This sequence was used: without it the numbers would begin anew."), frappe.PermissionError
			)


def on_doctype_update():
	frappe.db.add_unique(
		"Fiscal Sequence", ["company", "environment", "branch_code", "point_code"], "fiscal_point"
	)
