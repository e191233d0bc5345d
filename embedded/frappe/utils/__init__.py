"""frappe.utils."""

import frappe
from frappe.database import CallbackManager  # noqa: F401
from frappe.utils.data import *  # noqa: F403
from frappe.utils.data import _strftime  # noqa: F401
from frappe.utils.error import get_traceback  # noqa: F401


def get_fullname(user=None):
	user = user or frappe.session.user
	return frappe.db.get_value("User", user, "full_name") or user


def get_formatted_email(user, mail=None):
	return f"{get_fullname(user)} <{mail or user}>"


def is_cli():
	return not frappe.local.request


def call_hook_method(hook, *args, **kwargs):
	out = None
	for method in frappe.get_hooks(hook):
		out = out or frappe.get_attr(method)(*args, **kwargs)
	return out


def touch_file(path):
	with open(path, "a"):
		return path


def get_file_timestamp(fn):
	import os

	return str(os.stat(fn).st_mtime)


def create_batch(iterable, size):
	items = list(iterable)
	for start in range(0, len(items), size):
		yield items[start : start + size]
