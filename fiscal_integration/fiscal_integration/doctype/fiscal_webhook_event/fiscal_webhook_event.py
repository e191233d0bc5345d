import frappe
from frappe.model.document import Document
from frappe.utils import add_to_date, now_datetime


class FiscalWebhookEvent(Document):
	"""The inbox of webhooks: one row an event, whatever its sender repeats (webhooks.py)."""

	@staticmethod
	def clear_old_logs(days=90):
		"""Frappe's log clearing. A sender gives up within hours, so no event comes again after that."""
		frappe.db.delete("Fiscal Webhook Event", {"creation": ("<", add_to_date(now_datetime(), days=-days))})
