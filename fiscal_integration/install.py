"""What installing and migrating do besides the doctypes. Both may run again at any time."""

import frappe
from frappe import _
from frappe.permissions import add_permission, update_permission_property

from fiscal_integration import custom_fields

REQUEST = "Integration Request"


def before_install():
	if "erpnext" not in frappe.get_installed_apps():
		frappe.throw(_("Fiscal Integration needs ERPNext: install it on this site first."))


def after_install():
	_create_roles()
	custom_fields.create()
	_let_fiscal_roles_read_requests()


def after_migrate():
	after_install()


def _create_roles():
	for role in custom_fields.ROLES:
		if not frappe.db.exists("Role", role):
			frappe.get_doc({"doctype": "Role", "role_name": role, "desk_access": 1}).insert(
				ignore_permissions=True
			)


def _let_fiscal_roles_read_requests():
	for role in custom_fields.ROLES:
		if not frappe.db.exists("Custom DocPerm", {"parent": REQUEST, "role": role, "permlevel": 0}):
			add_permission(REQUEST, role, 0)
		for right in ("report", "export", "print"):
			update_permission_property(REQUEST, role, 0, right, 1, validate=False)
