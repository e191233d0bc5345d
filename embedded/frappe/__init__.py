"""The part of Frappe 15 that a fiscal app needs, on SQLite. What is missing raises, naming itself."""

import copy
import csv
import functools
import importlib
import inspect
import json
import logging
import os
import secrets
from pathlib import Path

from frappe import exceptions as _exceptions
from frappe.exceptions import *  # noqa: F403
from frappe.exceptions import (
	DoesNotExistError,
	NotInEmbedded,
	PermissionError,
	ValidationError,
	refuse,
)
from werkzeug.local import Local, LocalProxy

globals().update({k: v for k, v in vars(_exceptions).items() if isinstance(v, type)})

__version__ = "15.0.0-embedded"
EMBEDDED = True
STANDARD_USERS = ("Guest", "Administrator")

local = Local()
whitelisted: dict = {}


def __getattr__(name: str):
	if name.startswith("__"):
		raise AttributeError(name)
	raise NotInEmbedded(f"the embedded site does not implement frappe.{name}; run this on a bench")


class _dict(dict):
	"""A dict whose keys read as attributes; a missing one is None."""

	__setattr__ = dict.__setitem__
	__delattr__ = dict.__delitem__

	def __getattr__(self, key):
		if key.startswith("__"):
			raise AttributeError(key)
		return self.get(key)

	def __getstate__(self):
		return self

	def __setstate__(self, state):
		self.update(state)

	def update(self, *args, **kwargs):
		super().update(*args, **kwargs)
		return self

	def copy(self):
		return _dict(self)


db = local("db")
conf = local("conf")
form = form_dict = local("form_dict")
request = local("request")
job = local("job")
response = local("response")
session = local("session")
user = local("user")
flags = local("flags")
error_log = local("error_log")
debug_log = local("debug_log")
message_log = local("message_log")
lang = local("lang")


# Site ------------------------------------------------------------------------------------------------


def init(site: str, sites_path: str | None = None, new_site: bool = False, force: bool = False) -> None:
	"""Bind a site to this thread of execution. Nothing is opened yet."""
	if getattr(local, "initialised", None) and not force:
		return
	sites_path = os.path.abspath(sites_path or os.environ.get("EMBEDDED_SITES_PATH") or ".")
	config = Path(sites_path, site, "site_config.json")
	if not config.exists() and not new_site:
		raise DoesNotExistError(f"no site {site!r} in {sites_path}")
	local.site, local.sites_path, local.site_path = site, sites_path, os.path.join(sites_path, site)
	local.conf = _dict(json.loads(config.read_text())) if config.exists() else _dict()
	local.error_log, local.message_log, local.debug_log, local.realtime_log = [], [], [], []
	local.flags = _dict(in_test=False, mute_messages=False)
	local.form_dict, local.response = _dict(), _dict(docs=[])
	local.lang, local.request, local.request_ip, local.job = "en", None, None, None
	local.session = _dict(user="Guest", sid=None, data=_dict())
	local.meta_cache, local.role_cache, local.document_cache = {}, {}, {}
	local.outbox, local.user, local.dev_server = [], None, False
	local.hooks_override, local.db = {}, None
	local.initialised = True


def connect(site: str | None = None, db_name: str | None = None, set_admin_as_user: bool = True) -> None:
	"""Open this thread's own database connection."""
	from frappe.database import Database

	if site or db_name:
		init(site or db_name)
	local.db = Database(os.path.join(local.site_path, "site.db"))
	if set_admin_as_user:
		set_user("Administrator")


def destroy() -> None:
	"""Close the connection and forget everything bound to this thread."""
	if getattr(local, "db", None):
		local.db.close()
	local.__release_local__()


def get_site_path(*joins):
	return os.path.join(local.site_path, *joins)


def get_module_path(module, *joins):
	return os.path.join(os.path.dirname(get_module(scrub_module(module)).__file__), *joins)


def get_app_path(app_name, *joins):
	module = get_module(app_name)
	return os.path.join(os.path.dirname(os.path.abspath(module.__file__)), *joins)


def get_app_source_path(app_name, *joins):
	return os.path.abspath(os.path.join(get_app_path(app_name), "..", *joins))


def get_file_items(path, raise_not_found=False, ignore_empty_lines=True):
	if not os.path.exists(path):
		return []
	lines = [line.strip() for line in Path(path).read_text().splitlines()]
	return [line for line in lines if line and not line.startswith("#")]


def get_file_json(path):
	return json.loads(Path(path).read_text())


def read_file(path, raise_not_found=False):
	if os.path.exists(path):
		return Path(path).read_text()
	if raise_not_found:
		raise OSError(f"{path} Not Found")


def get_installed_apps(**kwargs) -> list[str]:
	"""Apps of this site in install order, as stored in the site itself."""
	if not getattr(local, "db", None):
		return ["frappe"]
	return json.loads(local.db.get_global("installed_apps") or '["frappe"]')


def get_module_list(app):
	return get_file_items(get_app_path(app, "modules.txt"))


def get_module(modulename):
	return importlib.import_module(modulename)


def scrub(txt):
	return str(txt).replace(" ", "_").replace("-", "_").lower()


def unscrub(txt):
	return str(txt).replace("_", " ").replace("-", " ").title()


def scrub_module(module):
	for app in get_installed_apps():
		if module in get_module_list(app):
			return f"{app}.{scrub(module)}"
	raise ValidationError(f"Module {module} not found")


def get_attr(method_string):
	modulename, _sep, name = method_string.rpartition(".")
	return getattr(get_module(modulename), name)


def get_hooks(hook=None, default=None, app_name=None):
	"""hooks.py of all installed apps merged as Frappe does: values become lists, dicts are joined by key."""
	apps = [app_name] if app_name else get_installed_apps()
	merged = _dict()
	for app in apps:
		for key, value in vars(get_module(f"{app}.hooks")).items():
			if not key.startswith("_") and not inspect.ismodule(value) and not callable(value):
				_append_hook(merged, key, value)
	for key, value in getattr(local, "hooks_override", {}).items():
		merged[key] = value
	if hook:
		return merged.get(hook, ([] if default is None else default))
	return merged


def _append_hook(target, key, value):
	if isinstance(value, dict):
		bucket = target.setdefault(key, {})
		for inner, inner_value in value.items():
			_append_hook(bucket, inner, inner_value)
	else:
		target.setdefault(key, []).extend(value if isinstance(value, list | tuple) else [value])


def get_doc_hooks():
	found = {}
	for doctypes, handlers in get_hooks("doc_events", {}).items():
		for doctype in doctypes if isinstance(doctypes, tuple) else (doctypes,):
			for event, handler in handlers.items():
				found.setdefault(doctype, {}).setdefault(event, []).extend(handler)
	return found


def get_system_settings(key):
	return local.db.get_single_value("System Settings", key)


def get_site_config(*args, **kwargs):
	return local.conf


def logger(module=None, **kwargs):
	return logging.getLogger(module or "frappe")


def log(msg):
	local.debug_log.append(as_unicode(msg))


errprint = log


def setup_module_map(**kwargs):
	"""Nothing to do: modules are read from modules.txt whenever they are needed."""


# Users -----------------------------------------------------------------------------------------------


def set_user(username: str) -> None:
	local.session.user = username
	local.session.sid = username
	local.role_cache = {}


def get_user():
	refuse("frappe.get_user (UserPermissions); use frappe.session.user")


def get_roles(username=None) -> list[str]:
	from frappe.permissions import get_roles as roles

	return roles(username)


def has_permission(
	doctype=None,
	ptype="read",
	doc=None,
	user=None,
	throw=False,
	*,
	parent_doctype=None,
	debug=False,
	verbose=0,
):
	"""Whether the user may do this; with throw, PermissionError if not."""
	from frappe.permissions import has_permission as check

	if not doctype and doc:
		doctype = doc.doctype
	allowed = check(doctype, ptype, doc=doc, user=user, parent_doctype=parent_doctype)
	if throw and not allowed:
		_throw_not_permitted(doctype, ptype, doc)
	return bool(allowed)


def _throw_not_permitted(doctype, ptype, doc):
	name = doc if isinstance(doc, str) else getattr(doc, "name", "")
	throw(_("No permission for {0}").format(f"{_(doctype)} {name or ''}".strip()), PermissionError)


def only_for(roles, message=False):
	"""PermissionError unless the user has one of these roles; as in Frappe 15 not enforced under in_test."""
	roles = {roles} if isinstance(roles, str) else set(roles)
	if not (flags.in_test or session.user == "Administrator" or roles & set(get_roles())):
		throw(_("You do not have the role needed for this action"), PermissionError, _("Not Permitted"))


def whitelist(allow_guest=False, xss_safe=False, methods=None):
	"""Mark a function as callable over HTTP."""

	def innerfn(fn):
		whitelisted[_origin(fn)] = _dict(
			allow_guest=allow_guest, methods=list(methods or ["GET", "POST", "PUT", "DELETE"])
		)
		return fn

	return innerfn


def _origin(fn):
	fn = getattr(fn, "__func__", fn)
	return f"{fn.__module__}.{fn.__qualname__}"


def is_whitelisted(method):
	entry = whitelisted.get(_origin(method))
	if not entry or (session.user == "Guest" and not entry.allow_guest):
		throw(
			_("Function {0} is not whitelisted.").format(_origin(method)),
			PermissionError,
			"Method Not Allowed",
		)


def get_request_header(key, default=None):
	return local.request.headers.get(key, default) if local.request else default


# Messages --------------------------------------------------------------------------------------------


def _(msg: str, lang: str | None = None, context: str | None = None) -> str:
	"""Translate by the apps' translations/<lang>.csv; the text itself where there is none."""
	lang = lang or getattr(local, "lang", None) or "en"
	if lang == "en" or not msg:
		return msg
	table = _translations(lang, tuple(get_installed_apps()))
	return table.get(f"{msg}:{context}") or table.get(msg) or msg


@functools.lru_cache(maxsize=32)
def _translations(lang, apps):
	table = {}
	for app in apps:
		path = get_app_path(app, "translations", f"{lang}.csv")
		if os.path.exists(path):
			with open(path, encoding="utf-8", newline="") as handle:
				for row in csv.reader(handle):
					if len(row) > 1:
						table[row[0] + (f":{row[2]}" if len(row) > 2 and row[2] else "")] = row[1]
	return table


def _lt(msg, lang=None, context=None):
	return _(msg, lang, context)


def bold(text):
	return f"<strong>{text}</strong>"


def msgprint(
	msg,
	title=None,
	raise_exception=False,
	as_table=False,
	as_list=False,
	indicator=None,
	alert=False,
	primary_action=None,
	is_minimizable=False,
	wide=False,
	*,
	realtime=False,
):
	"""Collect a message for the user's screen and, when asked, raise it."""
	msg = safe_decode(msg)
	out = _dict(message=msg, title=title or _("Message"))
	if raise_exception:
		out.update(raise_exception=1, __frappe_exc_id=generate_hash())
	for key, value in {
		"as_table": as_table,
		"as_list": as_list,
		"indicator": indicator or ("red" if raise_exception else None),
		"alert": alert,
		"primary_action": primary_action,
		"is_minimizable": is_minimizable,
		"wide": wide,
	}.items():
		if value:
			out[key] = value
	if not flags.mute_messages:
		local.message_log.append(out)
	if raise_exception:
		is_class = inspect.isclass(raise_exception) and issubclass(raise_exception, Exception)
		raise (raise_exception if is_class else ValidationError)(msg)


def throw(
	msg,
	exc=ValidationError,
	title=None,
	is_minimizable=False,
	wide=False,
	as_list=False,
	primary_action=None,
):
	msgprint(
		msg,
		raise_exception=exc,
		title=title,
		indicator="red",
		is_minimizable=is_minimizable,
		wide=wide,
		as_list=as_list,
		primary_action=primary_action,
	)


def clear_messages():
	local.message_log = []


def clear_last_message():
	local.message_log = local.message_log[:-1]


def get_message_log():
	return list(local.message_log)


def log_error(title=None, message=None, reference_doctype=None, reference_name=None, *, defer_insert=False):
	from frappe.utils.error import log_error as write

	return write(title, message, reference_doctype, reference_name, defer_insert=defer_insert)


def get_traceback(with_context: bool = False) -> str:
	from frappe.utils.error import get_traceback as text

	return text(with_context)


def publish_realtime(
	event=None,
	message=None,
	room=None,
	user=None,
	doctype=None,
	docname=None,
	task_id=None,
	after_commit=False,
):
	"""Record the event in frappe.local.realtime_log; with after_commit only once the commit has happened."""
	entry = _dict(
		event=event,
		message=copy.deepcopy(message) if isinstance(message, dict | list) else message,
		room=room,
		user=user,
		doctype=doctype,
		docname=docname,
		task_id=task_id,
	)
	log_ = local.realtime_log
	if after_commit:
		local.db.after_commit.add(lambda: log_.append(entry))
	else:
		log_.append(entry)


def publish_progress(percent, title=None, doctype=None, docname=None, description=None, task_id=None):
	publish_realtime(
		"progress",
		{
			"percent": percent,
			"title": title,
			"doctype": doctype,
			"docname": docname,
			"description": description,
		},
		user=None if doctype and docname else session.user,
		doctype=doctype,
		docname=docname,
		task_id=task_id,
	)


def sendmail(recipients=None, sender="", subject="No Subject", message="No Message", **kwargs):
	"""Record the mail in frappe.local.outbox and as an Email Queue row; nothing is sent.

	Throws OutgoingEmailError without a default outgoing account, as Frappe does (EmailAccount.find_outgoing).
	"""
	from frappe.email.doctype.email_account.email_account import EmailAccount

	if not EmailAccount.find_default_outgoing():
		throw(
			_("Please setup default Email Account from Settings > Email Account"),
			_exceptions.OutgoingEmailError,
		)
	mail = _dict(recipients=recipients, sender=sender, subject=subject, message=message, **kwargs)
	local.outbox.append(mail)
	recipients = [recipients] if isinstance(recipients, str) else list(recipients or [])
	row = {"doctype": "Email Queue", "status": "Not Sent", "message": f"Subject: {subject}\n\n{message}"}
	get_doc({**row, "recipients": [{"recipient": r} for r in recipients]}).insert(ignore_permissions=True)


# Documents -------------------------------------------------------------------------------------------


def get_meta(doctype, cached=True):
	from frappe.model.meta import get_meta as meta

	return meta(doctype, cached)


def is_table(doctype):
	return bool(get_meta(doctype).istable)


def get_doc(*args, **kwargs):
	from frappe.model.document import get_doc as fetch

	return fetch(*args, **kwargs)


def get_single(doctype):
	return get_doc(doctype, doctype)


def get_last_doc(doctype, filters=None, order_by="creation desc", *, for_update=False):
	names = get_all(doctype, filters=filters, limit_page_length=1, order_by=order_by, pluck="name")
	if not names:
		raise DoesNotExistError
	return get_doc(doctype, names[0], for_update=for_update)


def new_doc(doctype, *, parent_doc=None, parentfield=None, as_dict=False, **kwargs):
	"""A document with the defaults of its fields, not saved."""
	doc = get_doc({"doctype": doctype, "__islocal": 1})
	doc.set_defaults()
	if parent_doc:
		doc.update({"parent": parent_doc.name, "parenttype": parent_doc.doctype, "parentfield": parentfield})
	doc.update(kwargs)
	return doc.as_dict() if as_dict else doc


def get_cached_doc(*args, **kwargs):
	"""Like get_doc; kept until the document changes or the connection ends. Do not modify it."""
	doctype, name = args[0], (args[1] if len(args) > 1 else args[0])
	if not isinstance(doctype, str) or not isinstance(name, str):
		return get_doc(*args, **kwargs)
	key = (doctype, name)
	if key not in local.document_cache:
		local.document_cache[key] = get_doc(doctype, name)
	return local.document_cache[key]


def get_cached_value(doctype, name, fieldname="name", as_dict=False):
	try:
		doc = get_cached_doc(doctype, name)
	except DoesNotExistError:
		clear_last_message()
		return None
	if isinstance(fieldname, str):
		if as_dict:
			throw("Cannot make dict for single fieldname")
		return doc.get(fieldname)
	values = [doc.get(f) for f in fieldname]
	return _dict(zip(fieldname, values, strict=True)) if as_dict else values


def clear_document_cache(doctype, name=None):
	for key in list(local.document_cache):
		if key[0] == doctype and (name is None or key[1] == str(name)):
			del local.document_cache[key]


def clear_cache(user=None, doctype=None):
	local.document_cache, local.meta_cache, local.role_cache = {}, {}, {}
	_translations.cache_clear()


def get_value(*args, **kwargs):
	return local.db.get_value(*args, **kwargs)


def set_value(doctype, docname, fieldname, value=None):
	doc = get_doc(doctype, docname)
	doc.update(fieldname if isinstance(fieldname, dict) else {fieldname: value})
	return doc.save()


def delete_doc(
	doctype=None,
	name=None,
	force=False,
	ignore_doctypes=None,
	for_reload=False,
	ignore_permissions=False,
	flags=None,
	ignore_on_trash=False,
	ignore_missing=True,
	delete_permanently=False,
):
	from frappe.model.delete_doc import delete_doc as delete

	return delete(
		doctype, name, force, ignore_doctypes, ignore_permissions, flags, ignore_on_trash, ignore_missing
	)


def delete_doc_if_exists(doctype, name, force=False):
	delete_doc(doctype, name, force=force, ignore_missing=True)


def copy_doc(doc, ignore_no_copy=True):
	"""A new unsaved document: what is no_copy, the name, the docstatus and the owner are left behind.

	As in Frappe the flag reads backwards: with ignore_no_copy=True no_copy fields ARE copied, False drops
	them; the form's Duplicate and mapped documents drop them.
	"""
	data = copy.deepcopy(doc if isinstance(doc, dict) else doc.as_dict())
	drop = ["name", "owner", "creation", "modified", "modified_by"]
	if not flags.in_test:  # Frappe keeps it in tests
		drop.append("docstatus")

	def clean(row, extra):
		for key in drop + extra:
			row.pop(key, None)
		row["__islocal"] = 1
		if not ignore_no_copy:
			for df in get_meta(row["doctype"]).fields:
				if df.no_copy:
					row.pop(df.fieldname, None)

	clean(data, ["amended_from", "amendment_date"])
	for value in list(data.values()):
		for row in value if isinstance(value, list) else []:
			if isinstance(row, dict) and row.get("doctype"):
				clean(row, ["parent"])
	return get_doc(data)


def get_list(doctype, *args, **kwargs):
	"""Rows the current user may read."""
	from frappe.query import get_list as fetch

	return fetch(doctype, *args, **kwargs)


def get_all(doctype, *args, **kwargs):
	"""Rows regardless of permission; all of them unless limited."""
	kwargs["ignore_permissions"] = True
	if not kwargs.keys() & {"limit", "limit_page_length", "page_length"}:
		kwargs["limit_page_length"] = 0
	return get_list(doctype, *args, **kwargs)


def make_property_setter(
	args, ignore_validate=False, validate_fields_for_doctype=True, is_system_generated=True
):
	from frappe.custom.doctype.property_setter.property_setter import make_property_setter as make

	args = _dict(args)
	return make(
		args.doctype or args.doc_type,
		args.fieldname or args.field_name,
		args.property,
		args.value,
		args.property_type,
	)


def reload_doc(module, dt=None, dn=None, force=False, reset_permissions=False):
	"""In patches: take a doctype's JSON into the schema before migrate gets there. Others need nothing."""
	if scrub(dt or "") == "doctype":
		from frappe.model.meta import doctype_name_from_scrubbed
		from frappe.model.schema import sync_doctype

		clear_cache()
		sync_doctype(doctype_name_from_scrubbed(dn))


def reload_doctype(doctype, force=False, reset_permissions=False):
	from frappe.model.schema import sync_doctype

	clear_cache()
	sync_doctype(doctype)


# Calls, jobs, odds and ends --------------------------------------------------------------------------


def call(fn, *args, **kwargs):
	"""Call with those keyword arguments that the function takes."""
	if isinstance(fn, str):
		fn = get_attr(fn)
	return fn(*args, **get_newargs(fn, kwargs))


def get_newargs(fn, kwargs):
	parameters = inspect.signature(fn).parameters.values()
	kwargs = {k: v for k, v in kwargs.items() if k not in ("cmd", "data_source")}
	if any(p.kind is p.VAR_KEYWORD for p in parameters):
		return kwargs
	return {k: v for k, v in kwargs.items() if k in {p.name for p in parameters}}


def enqueue(*args, **kwargs):
	from frappe.utils.background_jobs import enqueue as push

	return push(*args, **kwargs)


def generate_hash(txt=None, length=56):
	return secrets.token_hex(length // 2 + 1)[: length or 56]


def as_unicode(text, encoding="utf-8"):
	return text if isinstance(text, str) else "" if text is None else str(safe_decode(text, encoding))


def safe_decode(param, encoding="utf-8", fallback_map=None):
	return param.decode(encoding, "replace") if isinstance(param, bytes) else param


def safe_encode(param, encoding="utf-8"):
	return param.encode(encoding) if isinstance(param, str) else param


def as_json(obj, indent=1, separators=None, ensure_ascii=True):
	from frappe.utils import json_handler

	return json.dumps(
		obj,
		indent=indent,
		sort_keys=True,
		default=json_handler,
		separators=separators or (",", ": "),
		ensure_ascii=ensure_ascii,
	)


def parse_json(val):
	if isinstance(val, str):
		val = json.loads(val)
	return _dict(val) if isinstance(val, dict) else val


def render_template(template, context=None, is_path=None, safe_render=True):
	import jinja2

	if is_path or template.endswith(".html"):
		app, _sep, rest = template.partition("/")
		template = Path(get_app_path(app, rest)).read_text()
	environment = jinja2.Environment(autoescape=False)
	environment.globals.update(frappe=importlib.import_module("frappe"), _=_)
	return environment.from_string(template).render(context or {})


def respond_as_web_page(title, html, success=None, http_status_code=None, **kwargs):
	local.response.update(type="page", title=title, html=html, http_status_code=http_status_code or 200)


def get_test_records(doctype):
	refuse("frappe.get_test_records")


@functools.lru_cache(maxsize=8)
def _redis_cache(url, prefix):
	from frappe.utils.cache import RedisWrapper

	return RedisWrapper.from_url(url).bind(prefix)


@functools.lru_cache(maxsize=8)
def _local_cache(site_path):
	from frappe.utils.cache import LocalCache

	return LocalCache()


def _cache():
	if url := local.conf.get("redis_cache"):
		return _redis_cache(url, local.conf.get("db_name") or local.site)
	return _local_cache(local.site_path)


cache = LocalProxy(_cache)
