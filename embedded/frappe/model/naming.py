"""Names of new documents: autoname methods, series, field:, format:, hash, prompt."""

import re

import frappe
from frappe import _
from frappe.exceptions import refuse
from frappe.utils import cint, cstr, now_datetime


def set_new_name(doc):
	doc.run_method("before_naming")
	meta = doc.meta
	autoname = meta.autoname or ""
	if meta.issingle:
		doc.name = doc.doctype
		return
	if doc.get("amended_from"):
		doc.name = _amended_name(doc)
		return
	if autoname not in ("prompt", "Prompt") and not doc.flags.name_set:
		doc.name = None
	doc.run_method("autoname")
	if not doc.name and autoname:
		doc.name = _from_rule(doc, autoname)
	if not doc.name:
		doc.name = make_autoname("hash", doc.doctype)
	doc.name = validate_name(doc.doctype, doc.name)


def _from_rule(doc, rule):
	lowered = rule.lower()
	if lowered.startswith("field:"):
		value = cstr(doc.get(rule[6:])).strip()
		if not value:
			frappe.throw(_("{0} is required").format(doc.meta.get_label(rule[6:])))
		return value
	if lowered.startswith("naming_series:"):
		if not doc.get("naming_series"):
			doc.naming_series = (doc.meta.get_field("naming_series").options or "").strip().split("\n")[0]
		if not doc.naming_series:
			frappe.throw(_("Naming Series mandatory"))
		return make_autoname(doc.naming_series + ".#####", doc.doctype, doc)
	if lowered == "prompt":
		if not doc.name:
			frappe.throw(_("Please set the document name"))
		return doc.name
	if lowered.startswith("format:"):
		return _formatted(doc, rule[7:])
	if lowered in ("autoincrement", "uuid"):
		refuse(f"autoname {rule}")
	if lowered == "hash" or "#" in rule or rule.endswith("."):
		return make_autoname(rule, doc.doctype, doc)
	refuse(f"autoname {rule!r}")


def _formatted(doc, pattern):
	def replace(match):
		part = match.group(1)
		return parse_naming_series([part], doc.doctype, doc, prefix=match.string[: match.start()])

	return re.sub(r"\{(.+?)\}", replace, pattern)


def make_autoname(key="", doctype="", doc="", *, ignore_validate=False):
	"""A name by a series such as ``INV-.YYYY.-.#####``; ``hash`` for ten random characters."""
	if key == "hash":
		return frappe.generate_hash(length=10)
	if "#" not in key:
		key += ".#####"
	return parse_naming_series(key, doctype, doc)


def parse_naming_series(parts, doctype="", doc="", prefix=""):
	name, now = prefix if prefix else "", now_datetime()
	out, counted = "", False
	for part in parts.split(".") if isinstance(parts, str) else parts:
		if not part:
			continue
		if set(part) == {"#"}:
			if not counted:
				value, counted = getseries(name + out, len(part)), True
			else:
				value = ""
		elif part in ("YYYY", "YY", "MM", "DD"):
			value = now.strftime({"YYYY": "%Y", "YY": "%y", "MM": "%m", "DD": "%d"}[part])
		elif part.startswith("{") or (doc and doc.get(part) is not None):
			value = cstr(doc.get(part.strip("{}"))).strip()
		else:
			value = part
		out += value
	return out


def getseries(key, digits):
	"""The next number of a series, taken inside the transaction: rolled back with it."""
	frappe.db.lock()
	rows = frappe.db.sql("select current from `tabSeries` where name=%s", (key,))
	current = (rows[0][0] if rows else 0) + 1
	if rows:
		frappe.db.sql("update `tabSeries` set current=%s where name=%s", (current, key))
	else:
		frappe.db.sql("insert into `tabSeries` (name, current) values (%s, 1)", (key,))
	return str(current).zfill(digits)


def revert_series_if_last(key, name, doc=None):
	"""Give the number back when the document that took it last is deleted."""
	prefix = parse_naming_series(key.replace("#", ""), doc=doc)
	number = name[len(prefix) :]
	rows = frappe.db.sql("select current from `tabSeries` where name=%s", (prefix,))
	if rows and rows[0][0] == cint(number):
		frappe.db.sql("update `tabSeries` set current=current-1 where name=%s", (prefix,))


def validate_name(doctype, name):
	name = cstr(name).strip()
	if not name:
		frappe.throw(_("No Name Specified for {0}").format(doctype))
	if len(name) > 140:
		frappe.throw(_("Name is too long"), frappe.NameError)
	if name.startswith(f"New {doctype}"):
		frappe.throw(
			_("There were some errors setting the name, please contact the administrator"), frappe.NameError
		)
	if "<" in name or ">" in name:
		frappe.throw(_("Name cannot contain special characters like < or >"), frappe.NameError)
	return name


def _amended_name(doc):
	base, _sep, number = doc.amended_from.rpartition("-")
	if base and number.isdigit() and frappe.db.get_value(doc.doctype, doc.amended_from, "amended_from"):
		return f"{base}-{int(number) + 1}"
	return f"{doc.amended_from}-1"


def append_number_if_name_exists(doctype, value, fieldname="name", separator="-", filters=None):
	base, count = value, 0
	while frappe.db.exists(doctype, {**(filters or {}), fieldname: value}):
		count += 1
		value = f"{base}{separator}{count}"
	return value
