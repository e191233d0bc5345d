import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import flt, getdate, now_datetime, nowdate

from fiscal_integration import claims, global_invoices


class FiscalGlobalInvoice(Document):
	"""The walk-in sales of a period, for which one fiscal document is issued."""

	def validate(self):
		self.currency = frappe.get_cached_value("Company", self.company, "default_currency")
		start, end = global_invoices.period_of(self.periodicity, getdate(self.day))
		if (self.from_date and getdate(self.from_date), self.to_date and getdate(self.to_date)) != (
			start,
			end,
		):
			self.from_date, self.to_date = start, end
			self.set("sales", [])
		self.sales_count = len(self.sales)
		self.grand_total = flt(sum(flt(row.total) for row in self.sales), 2)

	@frappe.whitelist()
	def collect(self):
		"""List the sales of the period for which no document stands yet. Saves."""
		self.check_permission("write")
		if self.docstatus:
			frappe.throw(_("It is submitted: its sales stay as they are."))
		self.validate()
		self.set("sales", [])
		for row in global_invoices.open_sales(self.company, self.from_date, self.to_date):
			self.append("sales", row)
		self.save()
		return len(self.sales)

	def before_submit(self):
		if not self.sales:
			frappe.throw(_("Collect the sales of the period first: there are none here."))
		if getdate(self.to_date) >= getdate(nowdate()):
			frappe.throw(_("The period is not over yet: sales of {0} may still come.").format(self.to_date))
		unfit = global_invoices.unfit(self, lock=True)
		if unfit:
			frappe.throw(unfit)
		now = now_datetime()
		self.posting_date, self.posting_time = now.date(), now.strftime("%H:%M:%S")

	def on_submit(self):
		# Unique over all in force. The sales are locked since before_submit, so that nobody else claims them now.
		for row in self.sales:
			row.db_set("claim", claims.claim_of(row.as_dict()), update_modified=False)

	def on_cancel(self):
		for row in self.sales:
			row.db_set("claim", None, update_modified=False)
