"""Documents: values, children, and the life cycle from insert to trash."""

import datetime
import json
import sqlite3

import frappe
from frappe import _
from frappe.exceptions import refuse
from frappe.model import child_table_fields, default_fields, table_fields
from frappe.model.docstatus import DocStatus
from frappe.model.meta import get_controller
from frappe.utils import cast, cint, cstr, flt, now, strip_html, validate_email_address

FLOATS = ("Float", "Currency", "Percent")
VARCHAR = ("Data", "Link", "Dynamic Link", "Select", "Read Only", "Phone", "Autocomplete", "Color", "Icon")


def get_doc(*args, **kwargs):
	"""A document loaded by name (``for_update`` locks) or made from a dict."""
	if not args and not kwargs:
		raise ValueError("First non keyword argument must be a string or dict")
	if args and isinstance(args[0], Document):
		return args[0]
	if args and isinstance(args[0], str):
		unknown = set(kwargs) - {"for_update"}
		if unknown:
			refuse(f"get_doc({', '.join(unknown)})")
		return get_controller(args[0])(*args, **kwargs)
	data = dict(args[0]) if args else kwargs
	if not data.get("doctype"):
		raise ValueError('"doctype" is a required key')
	return get_controller(data["doctype"])(data)


class Document:
	"""What all controllers inherit from."""

	_reserved = frozenset(("doctype", "meta", "flags", "parent_doc", "_meta", "_doc_before_save"))

	def __init__(self, *args, **kwargs):
		self.doctype, self.name = None, None
		self.flags = frappe._dict()
		if args and isinstance(args[0], str):
			self.doctype = args[0]
			self.name = args[0] if len(args) == 1 else args[1]
			self.flags.for_update = kwargs.get("for_update")
			self.load_from_db()
			return
		self._init_values(dict(args[0]) if args else kwargs)

	def _init_values(self, values):
		if values.get("doctype"):
			self.__dict__["doctype"] = values["doctype"]
		self.update(values)
		self._init_columns()

	def _init_columns(self):
		for key in (*default_fields, *self.meta.get_valid_columns()):
			if key != "docstatus":
				self.__dict__.setdefault(key, None)
		self.__dict__["idx"] = self.__dict__.get("idx") or 0
		for df in self.meta.get_table_fields():
			self.__dict__.setdefault(df.fieldname, [])

	def __repr__(self):
		return f"<{type(self).__name__}: {self.name or 'unsaved'}>"

	__str__ = __repr__

	def __getstate__(self):
		return {
			k: v for k, v in self.__dict__.items() if k not in ("_meta", "parent_doc", "_doc_before_save")
		}

	def __deepcopy__(self, memo):
		return get_doc(json.loads(frappe.as_json(self.as_dict())))

	@property
	def meta(self):
		return frappe.get_meta(self.doctype)

	@property
	def docstatus(self):
		return DocStatus(cint(self.__dict__.get("docstatus")))

	@docstatus.setter
	def docstatus(self, value):
		self.__dict__["docstatus"] = DocStatus(cint(value))

	# Values ------------------------------------------------------------------------------------------

	def get(self, key, filters=None, limit=None, default=None):
		if isinstance(filters, dict):
			rows = [r for r in self.__dict__.get(key) or [] if all(r.get(k) == v for k, v in filters.items())]
			return rows[:limit] if limit else rows
		value = self.__dict__.get(key, filters if filters is not None else default)
		if key == "docstatus":
			return self.docstatus
		return value[:limit] if limit and isinstance(value, list) else value

	def set(self, key, value, as_value=False):
		if key in self._reserved:
			return
		df = self.meta.get_field(key)
		if df and df.fieldtype in table_fields and not as_value:
			self.__dict__[key] = []
			self.extend(key, value or [])
		elif key == "docstatus":
			self.docstatus = value
		else:
			self.__dict__[key] = value

	def __setattr__(self, key, value):
		if (
			key not in ("docstatus", "meta", "doctype")
			and self.__dict__.get("doctype")
			and isinstance(value, list)
		):
			df = self.meta.get_field(key)
			if df and df.fieldtype in table_fields and any(not isinstance(v, Document) for v in value):
				return self.set(key, value)
		object.__setattr__(self, key, value)

	def update(self, d):
		d = d.as_dict() if isinstance(d, Document) else d
		if "name" in d:
			self.__dict__["name"] = d["name"]
		for key, value in d.items():
			self.set(key, value)
		return self

	def update_if_missing(self, d):
		for key, value in d.items():
			if value is not None and self.get(key) is None:
				self.set(key, value)

	def append(self, key, value=None, position=-1):
		"""A new child row from a dict or Document."""
		df = self.meta.get_field(key)
		if not df or df.fieldtype not in table_fields:
			raise ValueError(f"{key} is not a table field of {self.doctype}")
		if isinstance(value, Document):
			row = value
		else:
			values = {k: v for k, v in dict(value or {}).items() if k != "doctype"}
			is_new = "name" not in values or not values.get("name")
			row = get_controller(df.options)({**values, "doctype": df.options})
			if is_new:
				row.__dict__["__islocal"] = 1
		rows = self.__dict__.setdefault(key, [])
		if rows is None:
			rows = self.__dict__[key] = []
		rows.insert(len(rows) if position == -1 else position, row)
		row.__dict__.update(
			parent=self.name, parenttype=self.doctype, parentfield=key, idx=row.idx or len(rows)
		)
		object.__setattr__(row, "parent_doc", self)
		return row

	def extend(self, key, value):
		for row in value:
			self.append(key, row)

	def remove(self, doc):
		rows = self.__dict__[doc.parentfield]
		rows.remove(doc)
		for idx, row in enumerate(rows, 1):
			row.idx = idx

	def get_all_children(self, parenttype=None):
		return [
			row
			for df in self.meta.get_table_fields()
			if not parenttype or df.options == parenttype
			for row in self.get(df.fieldname) or []
		]

	def delete_key(self, key):
		self.__dict__.pop(key, None)

	def get_valid_dict(
		self, sanitize=True, convert_dates_to_str=False, ignore_nulls=False, ignore_virtual=False
	):
		"""The columns of the row, cast as the database wants them."""
		out = frappe._dict()
		for key in self.meta.get_valid_columns():
			value, df = self.get(key), self.meta.get_field(key)
			if isinstance(value, list):
				frappe.throw(_("Value for {0} cannot be a list").format(_(df.label)))
			if df:
				if df.fieldtype == "Check":
					value = 1 if cint(value) else 0
				elif df.fieldtype in ("Int", "Long Int"):
					value = cint(value)
				elif df.fieldtype == "JSON" and isinstance(value, dict):
					value = json.dumps(value, separators=(",", ":"))
				elif df.fieldtype in FLOATS:
					value = flt(value)
				elif df.fieldtype in ("Date", "Datetime", "Time") and value == "":
					value = None
				elif df.unique and cstr(value).strip() == "":
					value = None
			elif key in ("idx", "docstatus"):
				value = cint(value)
			if convert_dates_to_str and isinstance(value, datetime.date | datetime.time | datetime.timedelta):
				value = str(value)
			if not (ignore_nulls and value is None):
				out[key] = value
		return out

	def as_dict(
		self,
		no_nulls=False,
		no_default_fields=False,
		convert_dates_to_str=False,
		no_child_table_fields=False,
		no_private_properties=False,
	):
		out = self.get_valid_dict(convert_dates_to_str=convert_dates_to_str, ignore_nulls=no_nulls)
		out["doctype"] = self.doctype
		for df in self.meta.get_table_fields():
			out[df.fieldname] = [
				row.as_dict(no_nulls, no_default_fields, convert_dates_to_str, no_child_table_fields)
				for row in self.get(df.fieldname) or []
			]
		drop = (default_fields if no_default_fields else ()) + (
			child_table_fields if no_child_table_fields else ()
		)
		for key in drop:
			out.pop(key, None)
		for key in ("__islocal", "__onload", "__run_link_triggers", "__unsaved"):
			if self.__dict__.get(key) and not no_private_properties:
				out[key] = self.__dict__[key]
		return out

	def as_json(self):
		return frappe.as_json(self.as_dict())

	def cast(self, value, df):
		return cast(df.fieldtype, value)

	def get_value(self, fieldname):
		df = self.meta.get_field(fieldname)
		return self.cast(self.get(fieldname), df) if df else self.get(fieldname)

	def get_formatted(self, fieldname, doc=None, currency=None, **kwargs):
		df = self.meta.get_field(fieldname)
		if df and df.fieldtype in FLOATS:
			return frappe.utils.fmt_money(self.get(fieldname), currency=currency or self.get("currency"))
		return cstr(self.get(fieldname))

	def precision(self, fieldname, parentfield=None):
		meta = self.meta
		if parentfield:
			name = parentfield if isinstance(parentfield, str) else parentfield.parentfield
			meta = frappe.get_meta(meta.get_field(name).options)
		df = meta.get_field(fieldname)
		if df and df.precision:
			return cint(df.precision)
		if df and df.fieldtype == "Currency":
			return cint(frappe.get_system_settings("currency_precision")) or 2
		return cint(frappe.get_system_settings("float_precision")) or 3

	def round_floats_in(self, doc, fieldnames=None, do_not_round_fields=None):
		fields = fieldnames or [f.fieldname for f in doc.meta.fields if f.fieldtype in FLOATS]
		for fieldname in fields:
			if fieldname not in (do_not_round_fields or ()):
				doc.set(fieldname, flt(doc.get(fieldname), doc.precision(fieldname)))

	def get_onload(self, key=None):
		onload = self.__dict__.get("__onload", frappe._dict())
		return onload if key is None else onload.get(key)

	def set_onload(self, key, value):
		self.__dict__.setdefault("__onload", frappe._dict())[key] = value

	def get_title(self):
		return self.get(self.meta.get_title_field()) or self.name

	def get_url(self):
		return frappe.utils.get_absolute_url(self.doctype, self.name)

	# Loading -----------------------------------------------------------------------------------------

	def load_from_db(self):
		if self.meta.issingle:
			values = frappe.db.get_singles_dict(self.doctype, for_update=self.flags.for_update)
			if not values:
				values = frappe.new_doc(self.doctype, as_dict=True)
				values.pop("__islocal", None)
			values["name"] = self.doctype
			self._init_values(values)
			self._fix_numeric_types()
		else:
			row = frappe.db.get_value(
				self.doctype, self.name, "*", as_dict=True, for_update=self.flags.for_update, order_by=None
			)
			if not row:
				frappe.throw(
					_("{0} {1} not found").format(_(self.doctype), self.name), frappe.DoesNotExistError
				)
			for key in [k for k in self.__dict__ if k.startswith("__")]:
				del self.__dict__[key]
			self._init_values(row)
		for df in self.meta.get_table_fields():
			self.__dict__[df.fieldname] = []
			rows = frappe.db.get_values(
				df.options,
				{"parent": self.name, "parenttype": self.doctype, "parentfield": df.fieldname},
				"*",
				as_dict=True,
				order_by="idx asc",
			)
			for row in rows:
				self.append(df.fieldname, row)
		if "__onload" in self.__dict__:
			del self.__dict__["__onload"]
		return self

	def reload(self):
		self.load_from_db()
		return self

	def _fix_numeric_types(self):
		for df in self.meta.fields:
			value = self.get(df.fieldname)
			if df.fieldtype == "Check" or (value is not None and df.fieldtype == "Int"):
				self.set(df.fieldname, cint(value))
			elif value is not None and df.fieldtype in FLOATS:
				self.set(df.fieldname, flt(value))

	def set_defaults(self):
		"""Defaults of the fields into what is still None. As in Frappe a number without one stays None."""
		for df in self.meta.get_value_fields():
			if self.get(df.fieldname) is not None:
				continue
			value = None
			if df.default not in (None, ""):
				value = {"__user": frappe.session.user, "Today": frappe.utils.nowdate()}.get(
					df.default, df.default
				)
				if cstr(value).startswith(":"):
					value = frappe.db.get_default(frappe.scrub(value[1:]))
				elif cstr(value).lower() == "now" and df.fieldtype in ("Datetime", "Time"):
					value = now() if df.fieldtype == "Datetime" else frappe.utils.nowtime()
			elif df.fieldtype == "Select" and df.options:
				value = df.options.split("\n", 1)[0]
			if df.fieldtype == "Check" or (value is not None and df.fieldtype == "Int"):
				value = cint(value)
			elif value is not None and df.fieldtype in FLOATS:
				value = flt(value)
			if value is not None:
				self.set(df.fieldname, value)
		for row in self.get_all_children():
			row.set_defaults()

	def is_new(self):
		return bool(self.get("__islocal"))

	def get_doc_before_save(self):
		return getattr(self, "_doc_before_save", None)

	def has_value_changed(self, fieldname):
		previous = self.get_doc_before_save()
		if not previous:
			return True
		old, new = previous.get(fieldname), self.get(fieldname)
		if isinstance(old, datetime.datetime):
			new = frappe.utils.get_datetime(new)
		elif isinstance(old, datetime.date):
			new = frappe.utils.getdate(new)
		elif isinstance(old, datetime.timedelta):
			new = frappe.utils.to_timedelta(new)
		return old != new

	# Saving ------------------------------------------------------------------------------------------

	def insert(
		self,
		ignore_permissions=None,
		ignore_links=None,
		ignore_if_duplicate=False,
		ignore_mandatory=None,
		set_name=None,
		set_child_names=True,
	):
		self._set_flags(ignore_permissions, ignore_links=ignore_links, ignore_mandatory=ignore_mandatory)
		self.__dict__["__islocal"] = True
		self.set_defaults()
		self._touch()
		self.check_if_latest()
		self._validate_links()
		self.check_permission("create")
		self.run_method("before_insert")
		if set_name:
			self.name = set_name
		elif not (self.name and self.flags.name_set):
			from frappe.model.naming import set_new_name

			set_new_name(self)
		self.set_parent_in_children()
		self.validate_higher_perm_levels()
		self.flags.in_insert = True
		self.run_before_save_methods()
		self._validate()
		self.set_docstatus()
		if self.meta.issingle:
			self._update_single()
		else:
			self.db_insert(ignore_if_duplicate)
		for row in self.get_all_children():
			row.db_insert()
		self.run_method("after_insert")
		self.run_post_save_methods()
		self.flags.in_insert = False
		return self

	def save(self, ignore_permissions=None, ignore_version=None):
		self._set_flags(ignore_permissions, ignore_version=ignore_version)
		if self.get("__islocal") or not self.get("name"):
			return self.insert()
		self.check_permission("write")
		self._touch()
		self.check_if_latest()
		self.set_parent_in_children()
		self.validate_higher_perm_levels()
		self._validate_links()
		self.run_before_save_methods()
		if self._action != "cancel":
			self._validate()
		if self._action == "update_after_submit":
			self.validate_update_after_submit()
		self.set_docstatus()
		saving = frappe.flags.setdefault("currently_saving", [])
		saving.append((self.doctype, self.name))
		try:
			if self.meta.issingle:
				self._update_single()
			else:
				self.db_update()
			self._update_children()
			self.run_post_save_methods()
		finally:
			if (self.doctype, self.name) in saving:
				saving.remove((self.doctype, self.name))
		return self

	_save = save

	def _set_flags(self, ignore_permissions, **others):
		if ignore_permissions is not None:
			self.flags.ignore_permissions = ignore_permissions
		self.flags.update({k: v for k, v in others.items() if v is not None})

	def submit(self):
		self.docstatus = 1
		return self.save()

	def cancel(self):
		self.docstatus = 2
		return self.save()

	def discard(self):
		refuse("Document.discard")

	def delete(self, ignore_permissions=False, force=False, *, delete_permanently=False):
		return frappe.delete_doc(
			self.doctype, self.name, ignore_permissions=ignore_permissions, flags=self.flags, force=force
		)

	def rename(self, *args, **kwargs):
		refuse("Document.rename")

	def lock(self, timeout=None):
		refuse("Document.lock (a weak form lock); use get_doc(..., for_update=True)")

	def _touch(self):
		self._original_modified = self.modified
		self.modified, self.modified_by = now(), frappe.session.user
		if self.is_new() and not frappe.flags.in_install:
			self.creation, self.owner = self.modified, frappe.session.user
		self.creation, self.owner = self.creation or self.modified, self.owner or self.modified_by
		for row in self.get_all_children():
			row.modified, row.modified_by = self.modified, self.modified_by
			row.creation, row.owner = row.creation or self.creation, row.owner or self.owner
		self.set_docstatus()

	def set_docstatus(self):
		self.docstatus = cint(self.docstatus)
		for row in self.get_all_children():
			row.docstatus = self.docstatus

	def set_parent_in_children(self):
		for df in self.meta.get_table_fields():
			for idx, row in enumerate(self.get(df.fieldname) or [], 1):
				row.__dict__.update(
					parent=self.name, parenttype=self.doctype, parentfield=df.fieldname, idx=row.idx or idx
				)
				if not row.name:
					row.name = frappe.generate_hash(length=10)

	def load_doc_before_save(self, *, raise_exception=False):
		self._doc_before_save = None
		if self.is_new():
			return
		try:
			self._doc_before_save = frappe.get_doc(self.doctype, self.name, for_update=True)
		except frappe.DoesNotExistError:
			if raise_exception:
				raise
			frappe.clear_last_message()

	def check_if_latest(self):
		"""Refuse to overwrite what someone else saved since; decide which transition this save is."""
		self.load_doc_before_save(raise_exception=True)
		self._action, previous = "save", self._doc_before_save
		if not previous:
			self.check_docstatus_transition(0)
			return
		if cstr(previous.modified) != cstr(self._original_modified):
			frappe.msgprint(
				_("Error: Document has been modified after you have opened it")
				+ f" ({previous.modified}, {self.modified}). "
				+ _("Please refresh to get the latest document."),
				raise_exception=frappe.TimestampMismatchError,
			)
		if not self.meta.issingle:
			self.check_docstatus_transition(previous.docstatus)

	def check_docstatus_transition(self, stored):
		step = (int(stored), int(self.docstatus))
		action = {(0, 0): "save", (0, 1): "submit", (1, 1): "update_after_submit", (1, 2): "cancel"}.get(step)
		if stored == 2:
			raise frappe.ValidationError(_("Cannot edit cancelled document"))
		if action is None:
			raise frappe.DocstatusTransitionError(f"Cannot change docstatus from {step[0]} to {step[1]}")
		self._action = action
		if action == "submit" and not self.meta.is_submittable:
			raise frappe.DocstatusTransitionError(f"{self.doctype} is not submittable")
		if action != "save":
			self.check_permission("cancel" if action == "cancel" else "submit")

	def run_before_save_methods(self):
		if self._action in ("save", "submit"):
			self.run_method("before_validate")
		if self.flags.ignore_validate:
			return
		if self._action in ("save", "submit"):
			self.run_method("validate")
		self.run_method("before_" + self._action)
		self._set_title()

	def _set_title(self):
		df = self.meta.get_field("title") if self.meta.title_field == "title" else None
		template = df and (df.options or (self.is_new() and not self.title and df.default))
		if template:
			self.title = template.format(**{k: "" if v is None else v for k, v in self.as_dict().items()})

	def run_post_save_methods(self):
		if self._action in ("save", "submit"):
			self.run_method("on_update")
		if self._action != "save":
			self.run_method("on_" + self._action)
		if self._action == "cancel" and not self.flags.ignore_links:
			from frappe.model.delete_doc import check_if_doc_is_dynamically_linked, check_if_doc_is_linked

			check_if_doc_is_linked(self, method="Cancel")
			check_if_doc_is_dynamically_linked(self, method="Cancel")
		self.clear_cache()
		if self.flags.get("notify_update", True):
			self.notify_update()
		self.run_method("on_change")

	def run_method(self, method, *args, **kwargs):
		"""The controller's method, then the hooks of doc_events for this doctype and for all."""
		own = getattr(self, method, None)
		result = own(*args, **kwargs) if callable(own) else None
		if (
			not hasattr(frappe.local, "doc_events")
			or frappe.local.doc_events[0] is not frappe.local.meta_cache
		):
			frappe.local.doc_events = (frappe.local.meta_cache, frappe.get_doc_hooks())
		hooks = frappe.local.doc_events[1]
		if frappe.local.hooks_override:
			hooks = frappe.get_doc_hooks()
		for handler in hooks.get(self.doctype, {}).get(method, []) + hooks.get("*", {}).get(method, []):
			returned = frappe.get_attr(handler)(self, method, *args, **kwargs)
			if isinstance(returned, dict):
				result = {**(result or {}), **returned}
			else:
				result = returned or result
		return result

	def run_trigger(self, method, *args, **kwargs):
		return self.run_method(method, *args, **kwargs)

	def run_notifications(self, method):
		"""Notification documents do not exist here."""

	def clear_cache(self):
		frappe.clear_document_cache(self.doctype, self.name)

	def notify_update(self):
		frappe.publish_realtime(
			"doc_update",
			{"modified": self.modified, "doctype": self.doctype, "name": self.name},
			doctype=self.doctype,
			docname=self.name,
			after_commit=True,
		)

	def queue_action(self, *args, **kwargs):
		refuse("Document.queue_action")

	def add_comment(self, comment_type="Comment", text=None, comment_email=None, comment_by=None):
		return frappe.get_doc(
			{
				"doctype": "Comment",
				"comment_type": comment_type,
				"comment_email": comment_email or frappe.session.user,
				"comment_by": comment_by,
				"reference_doctype": self.doctype,
				"reference_name": self.name,
				"content": text or comment_type,
			}
		).insert(ignore_permissions=True)

	# Database ----------------------------------------------------------------------------------------

	def db_insert(self, ignore_if_duplicate=False):
		if not self.name:
			self.name = frappe.generate_hash(length=10)
		try:
			frappe.db.insert_row(self.doctype, self.get_valid_dict())
		except sqlite3.IntegrityError as e:
			# MariaDB looks at the primary key first, SQLite at any index.
			taken = frappe.db.is_duplicate_entry(e) and frappe.db.exists(self.doctype, self.name)
			if taken or frappe.db.is_primary_key_violation(e):
				if ignore_if_duplicate:
					return
				frappe.msgprint(
					_("{0} {1} already exists").format(_(self.doctype), self.name), indicator="red"
				)
				raise frappe.DuplicateEntryError(self.doctype, self.name, e) from e
			self._raise_unique(e)
		self.__dict__.pop("__islocal", None)

	def db_update(self):
		row = self.get_valid_dict()
		row.pop("name")
		try:
			frappe.db.update_row(self.doctype, self.name, row)
		except sqlite3.IntegrityError as e:
			self._raise_unique(e)

	def _raise_unique(self, e):
		if not frappe.db.is_unique_key_violation(e):
			raise e
		columns = str(e).split("failed:")[-1].split(",")
		label = ", ".join(self.meta.get_label(c.strip().rpartition(".")[2].strip("`")) for c in columns)
		frappe.msgprint(_("{0} must be unique").format(label))
		raise frappe.UniqueValidationError(self.doctype, self.name, e) from e

	def _update_children(self):
		for df in self.meta.get_table_fields():
			rows = self.get(df.fieldname) or []
			filters = {"parent": self.name, "parenttype": self.doctype, "parentfield": df.fieldname}
			stored = set(frappe.db.get_values(df.options, filters, "name", pluck=True))
			gone = stored - {r.name for r in rows}
			if gone:
				frappe.db.delete(df.options, {"name": ("in", list(gone))})
			for row in rows:
				if row.name in stored:
					row.db_update()
				else:
					row.db_insert()

	def _update_single(self):
		frappe.db.sql("delete from `tabSingles` where doctype=%s", (self.doctype,))
		for key, value in self.get_valid_dict(convert_dates_to_str=True).items():
			frappe.db.sql(
				"insert into `tabSingles` (doctype, field, value) values (%s, %s, %s)",
				(self.doctype, key, None if value is None else str(value)),
			)
		self.__dict__.pop("__islocal", None)

	def db_set(self, fieldname, value=None, update_modified=True, notify=False, commit=False):
		"""Write columns now, without validation; on_change hooks run."""
		values = fieldname if isinstance(fieldname, dict) else {fieldname: value}
		self.update(values)
		if update_modified and (self.doctype, self.name) not in (frappe.flags.currently_saving or ()):
			self.modified, self.modified_by = now(), frappe.session.user
		if not self.get_doc_before_save():
			self.load_doc_before_save()
		self.run_method("before_change")
		if self.name is None:
			return
		frappe.db.set_value(
			self.doctype,
			self.name,
			{k: self.get_valid_dict().get(k, v) for k, v in values.items()},
			modified=self.modified,
			modified_by=self.modified_by,
			update_modified=update_modified,
		)
		self.run_method("on_change")
		if notify:
			self.notify_update()
		if commit:
			frappe.db.commit()

	def db_get(self, fieldname):
		return frappe.db.get_value(self.doctype, self.name, fieldname)

	get_db_value = db_get

	# Checks ------------------------------------------------------------------------------------------

	def check_permission(self, permtype="read", permlevel=None):
		if not self.has_permission(permtype):
			frappe._throw_not_permitted(self.doctype, permtype, self)

	def has_permission(self, permtype="read", *, debug=False, user=None):
		if self.flags.ignore_permissions:
			return True
		return frappe.has_permission(self.doctype, permtype, self, user=user)

	def raise_no_permission_to(self, perm_type):
		frappe.throw(_("No permission to {0} {1}").format(perm_type, self.doctype), frappe.PermissionError)

	def is_whitelisted(self, method_name):
		frappe.is_whitelisted(getattr(self, method_name, None))

	def validate_higher_perm_levels(self):
		"""Put fields of a permission level the user may not write back to what they were."""
		if self.flags.ignore_permissions or frappe.flags.in_install or frappe.session.user == "Administrator":
			return
		from frappe.permissions import permlevels

		allowed = permlevels(self.meta, "write")
		for df in self.meta.fields:
			if cint(df.permlevel) and cint(df.permlevel) not in allowed:
				before = self.get_doc_before_save()
				if df.fieldtype in table_fields:
					self.set(df.fieldname, before.get(df.fieldname) if before else [])
				else:
					self.set(df.fieldname, before.get(df.fieldname) if before else df.default)

	def apply_fieldlevel_read_permissions(self):
		from frappe.permissions import permlevels

		allowed = permlevels(self.meta, "read") if frappe.session.user != "Administrator" else None
		for df in self.meta.fields:
			if allowed is not None and cint(df.permlevel) and cint(df.permlevel) not in allowed:
				self.delete_key(df.fieldname)

	def _validate(self):
		self._validate_mandatory()
		for doc in (self, *self.get_all_children()):
			doc._validate_values()
		for row in self.get_all_children():
			row._save_passwords()
		self._validate_set_only_once()
		self._save_passwords()

	def _validate_mandatory(self):
		if self.flags.ignore_mandatory:
			return
		missing = [(doc, df) for doc in (self, *self.get_all_children()) for df in doc._missing()]
		for doc, df in missing:
			where = f"{_('Row')} #{doc.idx}: " if doc.get("parentfield") else ""
			frappe.msgprint(
				_("Error: Value missing for {0}: {1}").format(
					_(self.doctype), where + _(df.label or df.fieldname)
				)
			)
		if missing:
			raise frappe.MandatoryError(
				f"[{self.doctype}, {self.name}]: {', '.join(df.fieldname for _d, df in missing)}"
			)

	def _missing(self):
		for df in self.meta.fields:
			if df.reqd and not df.is_virtual:
				value = self.get(df.fieldname)
				if value in (None, []) or not strip_html(cstr(value)).strip():
					yield df

	def _validate_values(self):
		for df in self.meta.get_value_fields():
			value = self.get(df.fieldname)
			if df.non_negative and flt(value) < 0:
				frappe.throw(
					_("Value cannot be negative for {0}").format(_(df.label)), frappe.NonNegativeError
				)
			if value in (None, ""):
				continue
			if df.fieldtype == "Select" and df.fieldname != "naming_series":
				options = [o.strip() for o in (df.options or "").split("\n")]
				if any(options):
					value = cstr(value).strip()
					self.set(df.fieldname, value)
					if value not in options:
						where = f"{_('Row')} #{self.idx}: " if self.get("parentfield") else ""
						frappe.throw(
							_('{0} {1} cannot be "{2}". It should be one of "{3}"')
							.format(where, _(df.label), value, '", "'.join(o for o in options if o))
							.strip()
						)
			if df.fieldtype in VARCHAR:
				limit = cint(df.length) or 140
				if len(cstr(value)) > limit:
					frappe.throw(
						_("'{0}' ({1}) will get truncated, as max characters allowed is {2}").format(
							_(df.label), value, limit
						),
						frappe.CharacterLengthExceededError,
						title=_("Value too big"),
					)
			if df.fieldtype == "Data" and df.options == "Email":
				for email in cstr(value).split(","):
					validate_email_address(email.strip(), throw=True)

	def _validate_set_only_once(self):
		before = self.get_doc_before_save()
		for df in self.meta.get_set_only_once_fields() if before else ():
			if (
				df.fieldtype not in table_fields
				and before.get(df.fieldname)
				and self.has_value_changed(df.fieldname)
			):
				frappe.throw(
					_("Value cannot be changed for {0}").format(_(df.label)), frappe.CannotChangeConstantError
				)

	def _validate_links(self):
		if self.flags.ignore_links or self._action == "cancel":
			return
		invalid, cancelled = [], []
		for doc in (self, *self.get_all_children()):
			doc._check_links(invalid, cancelled, self.meta.is_submittable)
		if invalid:
			frappe.throw(_("Could not find {0}").format(", ".join(invalid)), frappe.LinkValidationError)
		if cancelled:
			frappe.throw(
				_("Cannot link cancelled document: {0}").format(", ".join(cancelled)),
				frappe.CancelledLinkError,
			)

	def _check_links(self, invalid, cancelled, submittable):
		for df in self.meta.get_link_fields() + self.meta.get_dynamic_link_fields():
			name = self.get(df.fieldname)
			if not name:
				continue
			doctype = df.options if df.fieldtype == "Link" else self.get(df.options)
			if not doctype:
				frappe.throw(_("{0} must be set first").format(self.meta.get_label(df.options)))
			where = f"{_('Row')} #{self.idx}: " if self.get("parentfield") else ""
			shown = f"{where}{_(df.label)}: {name}"
			if doctype == "DocType":
				if not frappe.db.exists("DocType", name):
					invalid.append(shown)
				continue
			meta = frappe.get_meta(doctype)
			if meta.issingle or meta.is_virtual:
				continue
			fetch = [
				f
				for f in self.meta.fields
				if (f.fetch_from or "").partition(".")[0] == df.fieldname
				and not (f.fetch_if_empty and self.get(f.fieldname))
			]
			columns = ["name", *(f.fetch_from.partition(".")[2] for f in fetch)]
			if meta.is_submittable:
				columns.append("docstatus")
			values = frappe.db.get_value(doctype, name, columns, as_dict=True)
			if not values:
				invalid.append(shown)
				continue
			self.set(df.fieldname, values.name)
			for f in fetch:
				if self.is_new() or not self.docstatus.is_submitted() or f.allow_on_submit:
					self.set(f.fieldname, values[f.fetch_from.partition(".")[2]])
			if submittable and values.docstatus == 2 and df.fieldname != "amended_from":
				cancelled.append(shown)

	def validate_update_after_submit(self):
		if self.flags.ignore_validate_update_after_submit:
			return
		self._changed_after_submit(self._doc_before_save)
		stored = {r.name: r for r in self._doc_before_save.get_all_children()}
		for row in self.get_all_children():
			if row.name in stored:
				row._changed_after_submit(stored[row.name])

	def _changed_after_submit(self, before):
		for df in self.meta.fields:
			new, old = self.get(df.fieldname), before.get(df.fieldname)
			if df.allow_on_submit or not (new or old):
				continue
			if df.fieldtype in table_fields:
				new, old = len(new or ()), len(old or ())
			else:
				new, old = self.get_value(df.fieldname), before.get_value(df.fieldname)
			if new != old and not (df.fieldtype in FLOATS and abs(flt(new) - flt(old)) < 1e-9):
				frappe.throw(
					_("{0} Not allowed to change {1} after submission from {2} to {3}").format(
						f"Row #{self.idx}:" if self.get("parent") else "", frappe.bold(_(df.label)), old, new
					),
					frappe.UpdateAfterSubmitError,
					title=_("Cannot Update After Submit"),
				)

	# Passwords ---------------------------------------------------------------------------------------

	def _save_passwords(self):
		"""Secrets go to __Auth, the column keeps asterisks; a blank field removes the stored secret."""
		from frappe.utils.password import remove_encrypted_password, set_encrypted_password

		ignored = self.flags.ignore_save_passwords
		if ignored is True:
			return
		for fieldname in self.meta.get_password_fields():
			value = self.get(fieldname)
			if ignored and fieldname in ignored:
				continue
			if not value:
				remove_encrypted_password(self.doctype, self.name, fieldname)
			elif not self.is_dummy_password(value):
				set_encrypted_password(self.doctype, self.name, value, fieldname)
				self.set(fieldname, "*" * len(value))

	def get_password(self, fieldname="password", raise_exception=True):
		from frappe.utils.password import get_decrypted_password

		value = self.get(fieldname)
		if value and not self.is_dummy_password(value):
			return value
		return get_decrypted_password(self.doctype, self.name, fieldname, raise_exception=raise_exception)

	def is_dummy_password(self, pwd):
		return set(pwd) == {"*"}

	# Odds and ends that ERPNext's callers use --------------------------------------------------------

	def set_user_and_timestamp(self):
		self._touch()

	def validate_value(self, fieldname, condition, val2, doc=None, raise_exception=None):
		refuse("Document.validate_value")

	def get_signature(self):
		return f"{self.doctype}:{self.name}"


BaseDocument = Document
