"""DocType definitions: the apps' JSON files, the stand-ins' text specs, and Custom Fields on top."""

import functools
import glob
import importlib
import importlib.util
import json
import os

import frappe
from frappe.model import child_table_fields, default_fields, no_value_fields, table_fields


class DocField(frappe._dict):
	"""A field of a doctype."""

	def as_dict(self):
		return frappe._dict(self)


class Meta(frappe._dict):
	"""A doctype's definition with the questions that Frappe's Meta answers."""

	def __init__(self, definition: dict):
		super().__init__({k: v for k, v in definition.items() if k not in ("fields", "permissions")})
		rows = [DocField(f) for f in definition.get("fields", [])]
		for idx, row in enumerate(rows, 1):
			row.setdefault("idx", idx)
			row.parent = self.name
		self["fields"] = rows
		self["permissions"] = [frappe._dict(p) for p in definition.get("permissions", [])]
		self["doctype"] = "DocType"

	def get(self, key, default=None, limit=None):
		if isinstance(default, dict):
			found = [f for f in self[key] if all(_match(f.get(k), v) for k, v in default.items())]
			return found[:limit] if limit else found
		return super().get(key, default)

	@property
	def _by_name(self):
		if self.get("_index") is None or len(self._index) != len(self.fields):
			self["_index"] = {f.fieldname: f for f in self.fields}
		return self._index

	def get_field(self, fieldname):
		return self._by_name.get(fieldname)

	def has_field(self, fieldname):
		return fieldname in self._by_name

	def get_valid_columns(self):
		"""Columns of the table: standard ones, then fields that hold a value."""
		standard = [f for f in default_fields if f != "doctype"]
		if self.istable:
			standard += child_table_fields
		return standard + [f.fieldname for f in self.get_value_fields()]

	def get_value_fields(self):
		return [f for f in self.fields if f.fieldtype not in no_value_fields and not f.is_virtual]

	def get_valid_fields(self):
		return [
			f.fieldname
			for f in self.fields
			if f.fieldtype not in no_value_fields or f.fieldtype in table_fields
		]

	def get_table_fields(self):
		return [f for f in self.fields if f.fieldtype in table_fields]

	def get_link_fields(self):
		return [f for f in self.fields if f.fieldtype == "Link" and f.options != "[Select]"]

	def get_dynamic_link_fields(self):
		return [f for f in self.fields if f.fieldtype == "Dynamic Link"]

	def get_select_fields(self):
		return [f for f in self.fields if f.fieldtype == "Select"]

	def get_password_fields(self):
		return [f.fieldname for f in self.fields if f.fieldtype == "Password"]

	def get_set_only_once_fields(self):
		return [f for f in self.fields if f.set_only_once]

	def get_custom_fields(self):
		return [f for f in self.fields if f.is_custom_field]

	def get_label(self, fieldname):
		df = self.get_field(fieldname)
		return (df.label if df else None) or fieldname.replace("_", " ").title()

	def get_options(self, fieldname):
		return self.get_field(fieldname).options

	def get_title_field(self):
		return self.title_field or ("title" if self.has_field("title") else "name")

	def get_search_fields(self):
		return [f.strip() for f in (self.search_fields or "name").split(",")]

	@property
	def is_submittable_(self):
		return bool(self.is_submittable)


def _match(value, wanted):
	if isinstance(wanted, list | tuple):
		operator, operand = wanted
		return (
			value in operand
			if operator == "in"
			else value != operand
			if operator == "!="
			else value == operand
		)
	return value == wanted


def get_meta(doctype, cached=True) -> Meta:
	"""The definition with this site's Custom Fields and property setters applied."""
	if not isinstance(doctype, str):
		doctype = doctype.name if doctype.doctype == "DocType" else doctype.doctype
	cache = frappe.local.meta_cache
	if not cached or doctype not in cache:
		definition = find_doctype(doctype)
		if not definition:
			frappe.throw(frappe._("DocType {0} not found").format(doctype), frappe.DoesNotExistError)
		cache[doctype] = customise(Meta(definition))
	return cache[doctype]


def customise(meta: Meta) -> Meta:
	if not frappe.local.db or frappe.flags.in_install == "frappe":
		return meta
	rows = frappe.db.sql(
		"select * from `tabCustom Field` where dt=%s order by idx, creation", meta.name, as_dict=1
	)
	for row in rows:
		field = DocField({k: v for k, v in row.items() if k not in ("name", "dt", "owner", "docstatus")})
		field.update(is_custom_field=1, parent=meta.name)
		if meta.get_field(field.fieldname):
			continue
		names = [f.fieldname for f in meta.fields]
		at = names.index(field.insert_after) + 1 if field.insert_after in names else len(names)
		meta.fields.insert(at, field)
	for setter in frappe.db.sql("select * from `tabProperty Setter` where doc_type=%s", meta.name, as_dict=1):
		target = meta.get_field(setter.field_name) if setter.field_name else meta
		if target is not None:
			number = setter.property_type in ("Check", "Int")
			target[setter.property] = frappe.utils.cint(setter.value) if number else setter.value
	return meta


# Finding definitions ---------------------------------------------------------------------------------


def find_doctype(doctype: str) -> dict | None:
	apps = frappe.get_installed_apps()
	for app in apps if "frappe" in apps else ["frappe", *apps]:
		definition = app_doctypes(app).get(doctype)
		if definition:
			return definition
	return None


def app_doctypes(app: str) -> dict[str, dict]:
	"""Every doctype an app defines, read from its JSON files or its `doctypes` text."""
	root = os.path.dirname(os.path.abspath(importlib.import_module(app).__file__))
	files = tuple(sorted(glob.glob(os.path.join(root, "*", "doctype", "*", "*.json"))))
	stamp = tuple(os.stat(f).st_mtime_ns for f in files)
	return _load(app, files, stamp)


@functools.lru_cache(maxsize=32)
def _load(app, files, stamp):
	found = {}
	if importlib.util.find_spec(f"{app}.embedded_doctypes"):
		from frappe.model.spec import parse

		found.update(parse(importlib.import_module(f"{app}.embedded_doctypes").DOCTYPES))
	for path in files:
		with open(path, encoding="utf-8") as handle:
			definition = json.load(handle)
		if isinstance(definition, dict) and definition.get("doctype") == "DocType":
			found[definition["name"]] = definition
	return found


def doctype_name_from_scrubbed(scrubbed):
	for app in frappe.get_installed_apps():
		for name in app_doctypes(app):
			if frappe.scrub(name) == frappe.scrub(scrubbed):
				return name
	raise frappe.DoesNotExistError(scrubbed)


def all_doctypes():
	found = {}
	for app in frappe.get_installed_apps():
		found.update(app_doctypes(app))
	return found


def get_controller(doctype):
	"""The class of a doctype's documents: override_doctype_class wins, else its module, else Document."""
	from frappe.model.document import Document

	if override := frappe.get_hooks("override_doctype_class", {}).get(doctype):
		return frappe.get_attr(override[-1])
	if not find_doctype(doctype):
		raise ImportError(doctype)
	scrubbed = frappe.scrub(doctype)
	module = f"{frappe.scrub_module(get_meta(doctype).module)}.doctype.{scrubbed}.{scrubbed}"
	try:
		spec = importlib.util.find_spec(module)
	except ModuleNotFoundError:
		spec = None
	if spec is None:
		return Document
	return getattr(importlib.import_module(module), doctype.replace(" ", "").replace("-", ""))
