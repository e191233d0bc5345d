"""Integration Requests that are ours stay as they were written, and the fiscal roles may read them."""

import frappe
from frappe import _
from frappe.integrations.doctype.integration_request.integration_request import IntegrationRequest
from frappe.utils import add_to_date, now_datetime

FISCAL_ROLES = ("Fiscal Manager", "Fiscal User")


class FiscalIntegrationRequest(IntegrationRequest):
	@staticmethod
	def clear_old_logs(days=30):
		"""Frappe's log clearing, less the fiscal exchanges: those are evidence."""
		frappe.db.delete(
			"Integration Request",
			{
				"modified": ("<", add_to_date(now_datetime(), days=-days)),
				"fiscal_provider": ("is", "not set"),
			},
		)


def refuse_edit(doc, method=None):
	if not doc.is_new() and (doc.get("fiscal_provider") or _is_ours(doc.name)):
		frappe.throw(_("The record of a fiscal exchange cannot be changed."), frappe.PermissionError)


def refuse_delete(doc, method=None):
	if doc.get("fiscal_provider"):
		frappe.throw(_("The record of a fiscal exchange cannot be deleted."), frappe.PermissionError)


def _is_ours(name):
	return bool(frappe.db.get_value("Integration Request", name, "fiscal_provider"))


def query_conditions(user=None):
	"""Who reads through a fiscal role sees fiscal exchanges only."""
	return "" if _reads_all(user) else "ifnull(`tabIntegration Request`.fiscal_provider, '') != ''"


def has_permission(doc, ptype="read", user=None, debug=False):
	if _reads_all(user):
		return True
	return ptype in ("read", "print", "report", "export", "select") and bool(doc.get("fiscal_provider"))


def _reads_all(user):
	return "System Manager" in frappe.get_roles(user or frappe.session.user)
