"""What uninstalling takes away besides the doctypes. The recorded exchanges stay: they are evidence."""

import frappe

from fiscal_integration import custom_fields


def before_uninstall():
	for doctype in ("Fiscal Integration Settings", "Fiscal Account"):
		frappe.db.delete("__Auth", {"doctype": doctype})
	custom_fields.delete()
	frappe.db.delete("Custom DocPerm", {"role": ("in", custom_fields.ROLES)})
	if not frappe.db.exists(
		"Custom DocPerm", {"parent": "Integration Request", "role": ("!=", "System Manager")}
	):
		# Ours was the only change, so the standard permissions hold again.
		frappe.db.delete("Custom DocPerm", {"parent": "Integration Request"})
	for role in custom_fields.ROLES:
		frappe.db.delete("Has Role", {"role": role})
		frappe.delete_doc("Role", role, ignore_missing=True, force=True, ignore_permissions=True)
	if frappe.db.exists("DocType", "Onboarding Step"):
		# They belong to no module, so that Frappe would leave them behind.
		steps = frappe.get_all("Onboarding Step Map", {"parent": "Fiscal Integration"}, pluck="step")
		frappe.db.delete("Onboarding Step", {"name": ("in", steps or [""])})
	if frappe.db.exists("DocType", "Scheduled Job Type"):
		frappe.db.delete("Scheduled Job Type", {"method": ("like", "fiscal_integration.%")})
	frappe.clear_cache()
