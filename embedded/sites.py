"""Sites of the embedded framework: a directory with site_config.json, site.db and files/."""

import json
import os
from pathlib import Path

from cryptography.fernet import Fernet

APPS = ("frappe", "erpnext", "fiscal_integration")


def create(path, apps=APPS, config=None, admin_password="admin") -> str:
	"""Make a fresh site at `path` with these apps; returns the path. The thread stays unbound."""
	import frappe
	from frappe.installer import bootstrap, install_app
	from frappe.utils.password import update_password

	path = Path(path).resolve()
	path.mkdir(parents=True, exist_ok=True)
	if (path / "site.db").exists():
		raise FileExistsError(f"there is a site in {path} already")
	settings = {
		"db_name": path.name,
		"db_type": "sqlite",
		"encryption_key": Fernet.generate_key().decode(),
		"developer_mode": 1,
		"fiscal_allow_loopback": 1,
		**(config or {}),
	}
	(path / "site_config.json").write_text(json.dumps(settings, indent=1))
	for folder in ("private/files", "public/files", "locks", "logs"):
		(path / folder).mkdir(parents=True, exist_ok=True)
	connect(path)
	try:
		bootstrap()
		update_password("Administrator", admin_password)
		for app in apps:
			install_app(app)
		frappe.db.commit()
	finally:
		frappe.destroy()
	return str(path)


def connect(path, user="Administrator"):
	"""Bind this thread to a site and open its database."""
	import frappe

	path = Path(path).resolve()
	os.environ["EMBEDDED_SITES_PATH"] = str(path.parent)
	frappe.init(path.name, sites_path=str(path.parent), force=True)
	frappe.connect()
	frappe.set_user(user)


def disconnect():
	import frappe

	frappe.destroy()


def update_config(path, **settings):
	"""Change site_config.json; None removes a key. Bound threads see it after they connect again."""
	file = Path(path) / "site_config.json"
	config = {**json.loads(file.read_text()), **settings}
	file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}, indent=1))


def _bound(path, action):
	import frappe

	connect(path)
	try:
		action()
		frappe.db.commit()
	finally:
		frappe.destroy()


def migrate(path):
	from frappe.installer import migrate as run

	_bound(path, run)


def install_app(path, app):
	from frappe.installer import install_app as run

	_bound(path, lambda: run(app))


def uninstall_app(path, app):
	from frappe.installer import remove_app as run

	_bound(path, lambda: run(app))
