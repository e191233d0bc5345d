"""Error Log, tracebacks with the frames' variables included: what Frappe would show, tests can search."""

import linecache
import sys
import traceback

import frappe

BLOCKED = ("password", "passwd", "secret", "token", "key", "pwd")
HIDDEN = "********"


def log_error(title=None, message=None, reference_doctype=None, reference_name=None, *, defer_insert=False):
	"""Insert an Error Log in the current transaction. Without message it holds every frame's locals.

	As in 15.50 a title over 140 characters is not cut: the insert fails.
	"""
	text = None
	if message:
		if "\n" in title:
			text, title = title, message
		else:
			text = message
	title = title or "Error"
	text = frappe.as_unicode(text or get_traceback(with_context=True))
	if not getattr(frappe.local, "db", None):
		print(f"Failed to log error in db: {title}")
		return
	doc = frappe.get_doc(
		{
			"doctype": "Error Log",
			"error": text,
			"method": title,
			"reference_doctype": reference_doctype,
			"reference_name": reference_name,
		}
	)
	if defer_insert:
		# Frappe parks it in Redis for the scheduler; here it waits for the end of the transaction.
		return _insert_apart(doc)
	return doc.insert(ignore_permissions=True)


def _insert_apart(doc):
	"""Insert on a connection of its own, so that a rollback of the caller does not undo it."""
	from frappe.database import Database

	if frappe.db.in_transaction:
		frappe.db.after_rollback.add(lambda: _insert_and_commit(doc))
		frappe.db.after_commit.add(lambda: _insert_and_commit(doc))
		return
	outer, frappe.local.db = frappe.local.db, Database(frappe.db.path)
	try:
		_insert_and_commit(doc)
	finally:
		frappe.local.db.close()
		frappe.local.db = outer


def _insert_and_commit(doc):
	if not doc.creation:
		doc.insert(ignore_permissions=True)
		frappe.db.commit()


def get_traceback(with_context=False):
	exc_type, exc, tb = sys.exc_info()
	if exc is None:
		return ""
	if with_context:
		return "\n".join(_with_variables(exc))
	return "".join(traceback.format_exception(exc_type, exc, tb))


def _with_variables(exc, seen=()):
	parent = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
	if parent is not None and parent not in seen:
		yield from _with_variables(parent, (*seen, exc))
		yield "\nThe above exception was the direct cause of the following exception:\n"
	yield "Traceback with variables (most recent call last):"
	for frame, lineno in traceback.walk_tb(exc.__traceback__):
		code = frame.f_code
		yield f'  File "{code.co_filename}", line {lineno}, in {code.co_name}'
		yield f"    {linecache.getline(code.co_filename, lineno).strip()}"
		for name, value in frame.f_locals.items():
			yield f"      {name} = {_shown(name, value)}"
	yield f"{type(exc).__module__}.{type(exc).__qualname__}: {exc}"


def _shown(name, value):
	if name in BLOCKED:
		return HIDDEN
	try:
		if isinstance(value, dict):
			value = {k: HIDDEN if k in BLOCKED else v for k, v in value.items()}
			text = str(value)
		else:
			text = repr(value)
	except Exception as e:
		text = f"<unprintable: {type(e).__name__}>"
	return text if len(text) <= 1000 else text[:1000] + "..."
