"""Integration Request: one exchange with another system."""

import json

import frappe
from frappe.integrations.utils import json_handler
from frappe.model.document import Document


class IntegrationRequest(Document):
	def autoname(self):
		if self.flags._name:
			self.name = self.flags._name

	@staticmethod
	def clear_old_logs(days=30):
		frappe.db.delete(
			"Integration Request", {"modified": ("<", frappe.utils.add_to_date(None, days=-days))}
		)

	def update_status(self, params, status):
		self.data = json.dumps({**json.loads(self.data), **params})
		self.status = status
		self.save(ignore_permissions=True)
		frappe.db.commit()

	def handle_success(self, response):
		self._finish("Completed", "output", response)

	def handle_failure(self, response):
		self._finish("Failed", "error", response)

	def _finish(self, status, fieldname, response):
		if isinstance(response, str):
			response = json.loads(response)
		self.db_set("status", status)
		self.db_set(fieldname, json.dumps(response, default=json_handler))
