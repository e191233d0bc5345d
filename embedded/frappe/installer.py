"""Installing, migrating and uninstalling apps on a site, in Frappe's order of hooks."""

import json

import frappe
from frappe.model.meta import app_doctypes
from frappe.model.schema import create_base_tables, drop_doctype, run_doctype_update, sync_doctype


def update_site_config(key, value, validate=True, site_config_path=None):
	path = site_config_path or frappe.get_site_path("site_config.json")
	with open(path) as handle:
		config = json.load(handle)
	if value in ("None", None):
		config.pop(key, None)
	else:
		config[key] = value
	with open(path, "w") as handle:
		json.dump(config, handle, indent=1, sort_keys=True)
	if getattr(frappe.local, "conf", None) is not None:
		frappe.local.conf = frappe._dict(config)


def run_hooks(names, app):
	for name in names.split():
		for method in frappe.get_hooks(name, app_name=app):
			frappe.get_attr(method)()


def bootstrap():
	"""Tables and records of the framework itself."""
	frappe.flags.in_install = "frappe"
	create_base_tables()
	set_installed_apps(["frappe"])
	sync_app("frappe")
	for role in ("Administrator", "System Manager", "Guest", "All", "Desk User"):
		add_role(role)
	for user in ("Administrator", "Guest"):
		doc = frappe.get_doc(
			{"doctype": "User", "email": f"{user.lower()}@example.com", "first_name": user, "name": user}
		)
		doc.flags.name_set = True
		doc.insert(ignore_permissions=True, set_name=user)
	frappe.new_doc("System Settings").insert(ignore_permissions=True)
	frappe.db.commit()
	frappe.flags.in_install = None


def add_role(name):
	if not frappe.db.exists("Role", name):
		frappe.get_doc({"doctype": "Role", "role_name": name}).insert(ignore_permissions=True)


def set_installed_apps(apps):
	frappe.db.set_global("installed_apps", json.dumps(apps))
	frappe.db.commit()
	frappe.clear_cache()


def sync_app(app):
	"""The schema of every doctype of an app, and the roles its permissions name."""

	doctypes = app_doctypes(app)
	for doctype in doctypes:
		sync_doctype(doctype)
		_record(doctype)
	for definition in doctypes.values():
		for perm in definition.get("permissions", []):
			add_role(perm["role"])
	for doctype in doctypes:
		run_doctype_update(doctype)
	if frappe.get_hooks("fixtures", app_name=app):
		frappe.exceptions.refuse("fixtures in hooks.py")
	frappe.db.commit()


def _record(doctype):
	"""A row in tabDocType, for those who list doctypes."""
	meta, now = frappe.get_meta(doctype), frappe.utils.now()
	flags = {
		f: int(bool(meta.get(f))) for f in ("issingle", "istable", "is_submittable", "is_virtual", "custom")
	}
	row = {
		"name": doctype,
		"module": meta.module,
		"creation": now,
		"modified": now,
		"owner": "Administrator",
		**flags,
	}
	frappe.db.sql("delete from `tabDocType` where name=%s", (doctype,))
	frappe.db.insert_row("DocType", row)


def install_app(name, verbose=False, set_as_patched=True, force=False):
	apps = frappe.get_installed_apps()
	if name in apps:
		return
	for required in frappe.get_hooks("required_apps", app_name=name):
		required = required.rpartition("/")[2]
		if required not in apps:
			install_app(required)
	apps = frappe.get_installed_apps()
	frappe.flags.in_install = name
	run_hooks("before_install", name)
	set_installed_apps([*apps, name])
	sync_app(name)
	for patch in patches(name):
		log_patch(patch)
	run_hooks("after_install after_sync", name)
	for other in apps:
		for method in frappe.get_hooks("after_app_install", app_name=other):
			frappe.get_attr(method)(name)
	frappe.db.commit()
	frappe.clear_cache()
	frappe.flags.in_install = None


def patches(app, section=None):
	"""Lines of patches.txt, of one section or all."""
	current, found = "pre_model_sync", []
	for line in frappe.get_file_items(frappe.get_app_path(app, "patches.txt")):
		if line.startswith("["):
			current = line.strip("[]")
		elif section in (None, current):
			found.append(line)
	return found


def log_patch(patch):
	if not frappe.db.exists("Patch Log", {"patch": patch}):
		frappe.get_doc({"doctype": "Patch Log", "patch": patch}).insert(ignore_permissions=True)


def migrate():
	"""Patches before the schema, schema, patches after it, after_migrate hooks. New apps' doctypes follow."""
	frappe.flags.in_migrate = True
	frappe.clear_cache()
	apps = frappe.get_installed_apps()
	for app in apps:
		run_hooks("before_migrate", app)
	for section in ("pre_model_sync", "post_model_sync"):
		for app in apps:
			for patch in patches(app, section):
				_run_patch(patch)
		if section == "pre_model_sync":
			for app in apps:
				sync_app(app)
	for app in apps:
		run_hooks("after_migrate", app)
	frappe.db.commit()
	frappe.clear_cache()
	frappe.flags.in_migrate = False


def _run_patch(patch):
	if frappe.db.exists("Patch Log", {"patch": patch}):
		return
	frappe.flags.in_patch = True
	try:
		if patch.startswith(("execute:", "finally:")):
			exec(patch.partition(":")[2], {"frappe": frappe})
		else:
			frappe.get_attr(patch.split()[0] + ".execute")()
		log_patch(patch)
		frappe.db.commit()
	except Exception:
		frappe.db.rollback()
		raise
	finally:
		frappe.flags.in_patch = False


def remove_app(app_name, dry_run=False, yes=True, no_backup=True, force=False):
	"""Uninstall: hooks, then the app's doctypes with their data, then what is marked as its modules'."""
	frappe.flags.in_uninstall = True
	run_hooks("before_uninstall", app_name)
	modules = frappe.get_module_list(app_name)
	doctypes = app_doctypes(app_name)
	for doctype in doctypes:
		drop_doctype(doctype)
		frappe.db.sql("delete from `tabDocType` where name=%s", (doctype,))
		frappe.db.delete("Custom Field", {"dt": doctype})
	for kind in ("Custom Field", "Property Setter"):
		frappe.db.delete(kind, {"module": ("in", modules)})
	set_installed_apps([a for a in frappe.get_installed_apps() if a != app_name])
	run_hooks("after_uninstall", app_name)
	frappe.db.commit()
	frappe.clear_cache()
	frappe.flags.in_uninstall = False


uninstall_app = remove_app
__all__ = ["install_app", "migrate", "remove_app", "uninstall_app", "update_site_config"]
