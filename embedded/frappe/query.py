"""Filters, fields and permissions of get_list / get_all / get_value, as one SELECT."""

import json
import re

import frappe
from frappe.exceptions import refuse

NUMBERS = ("Check", "Int", "Float", "Currency", "Percent", "Rating", "Duration", "Long Int")
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "not in", "like", "not like", "between", "is")
STANDARD = ("name", "owner", "creation", "modified", "modified_by", "docstatus", "idx")
CHILD = ("parent", "parentfield", "parenttype")
MOMENTS = ("Date", "Datetime")
FALLBACKS = {"Date": "0001-01-01", "Datetime": "0001-01-01", "Time": "00:00:00", **dict.fromkeys(NUMBERS, 0)}
"""What 16 reads NULL as, by the type of the field; "" for the others."""
PLAIN = re.compile(r"^`?(?:tab([^`]+)`\.`?)?(\w+)`?(?:\s+as\s+[`'\"]?(\w+)[`'\"]?)?$", re.I)
FUNCTION = re.compile(r"^\s*[a-z_]\w*\s*\(", re.I)
ORDER = re.compile(r"^(?:`tab([^`]+)`\.(?=`?\w))?(?:(?<=\.)`(\w+)`|(\w+))(?:\s+(asc|desc))?$", re.I)
"""A plain name, or `tabX`.`name`: 16 refuses a name alone in backticks."""


def column(meta, fieldname, value):
	"""A value as the column's type wants it: numbers never NULL, dates never empty text."""
	df = meta.get_field(fieldname)
	if fieldname in ("docstatus", "idx") or (df and df.fieldtype in ("Check", "Int")):
		return frappe.utils.cint(value)
	if df and df.fieldtype in NUMBERS:
		return round(frappe.utils.flt(value), 9)
	kind = df.fieldtype if df else "Datetime" if fieldname in ("creation", "modified") else None
	if kind in ("Date", "Datetime", "Time"):
		return moment(kind, value)
	return value


def moment(kind, value):
	"""A date or time as stored; what MariaDB would refuse (a zone's offset, nonsense) is refused."""
	if value in (None, ""):
		return None
	try:
		parsed = frappe.utils.cast(kind, value)
	except (ValueError, TypeError, frappe.ValidationError):
		parsed = None
	if parsed is None or getattr(parsed, "tzinfo", None):
		raise frappe.db.OperationalError(1292, f"Incorrect {kind.lower()} value: '{value}'")
	return parsed


class Query:
	"""One SELECT on a doctype; `strict` is frappe.db's reading of NULL, otherwise that of get_all in Frappe 16."""

	def __init__(self, doctype, fields, filters=None, or_filters=None, strict=False, distinct=False):
		self.doctype, self.strict, self.distinct = doctype, strict, distinct
		self.meta = frappe.get_meta(doctype)
		if self.meta.issingle:
			refuse(f"queries on the single doctype {doctype}")
		if self.meta.is_virtual:
			refuse(f"queries on the virtual doctype {doctype}")
		self.joins, self.params, self.extra = [], [], []
		self.limit = self.offset = self.group_by = None
		self.order_by = ""
		self.filters = list(self.normalise(filters))
		self.or_filters = list(self.normalise(or_filters))
		self.columns = [self.select(f) for f in fields]

	# Parts -------------------------------------------------------------------------------------------

	def normalise(self, filters):
		if filters is None or filters == "" or filters == {} or filters == []:
			return
		if isinstance(filters, str) and filters.startswith(("{", "[")) and not self.strict:
			filters = json.loads(filters)
		if isinstance(filters, str | int):
			yield self.doctype, "name", "=", str(filters)
			return
		if isinstance(filters, dict):
			for key, value in filters.items():
				if isinstance(value, list | tuple):
					if len(value) != 2 or not isinstance(value[0], str):
						raise frappe.ValidationError(f"invalid filter {key}: {value!r}")
					yield self.doctype, key, value[0].lower(), value[1]
				else:
					yield self.doctype, key, "=", value
			return
		if all(isinstance(f, str | int) for f in filters):
			if self.strict:
				yield self.doctype, "name", "in", filters
				return
			filters = [filters]
		if not isinstance(filters, dict) and len(filters) == 1 and len(filters[0]) > 4:
			frappe.throw(f"Invalid simple filter format: {filters[0]}", frappe.ValidationError)
		for entry in filters:
			if isinstance(entry, dict):
				yield from self.normalise(entry)
				continue
			entry = list(entry)
			if len(entry) == 2:
				yield self.doctype, entry[0], "=", entry[1]
			elif len(entry) == 3:
				yield self.doctype, entry[0], entry[1].lower(), entry[2]
			elif len(entry) in (4, 5):
				yield entry[0], entry[1], entry[2].lower(), entry[3]
			else:
				raise frappe.ValidationError(f"invalid filter {entry!r}")

	def table(self, doctype):
		"""The table to take a column from; joins a child table when a filter names it."""
		if doctype != self.doctype and doctype not in self.joins:
			if not frappe.get_meta(doctype).istable:
				refuse(f"joining {doctype} in a query on {self.doctype}")
			self.joins.append(doctype)
		return f"`tab{doctype}`"

	def check(self, doctype, fieldname):
		meta = frappe.get_meta(doctype)
		known = STANDARD + CHILD if meta.istable else STANDARD
		if fieldname not in known and fieldname not in meta.get_valid_columns():
			raise frappe.db.OperationalError(1054, f"Unknown column '{fieldname}' in {doctype}")

	def select(self, field):
		if not isinstance(field, str):
			refuse(f"the field expression {field!r}")
		field = field.strip()
		if field == "*":
			return f"`tab{self.doctype}`.*"
		if FUNCTION.match(field):
			# Dicts of functions, which 16 takes instead, are unknown to 15: use frappe.db.sql.
			frappe.throw(
				f"SQL functions are not allowed as strings in SELECT: {field}.", frappe.ValidationError
			)
		if not (match := PLAIN.match(field)):
			refuse(f"the field expression {field!r}")
		doctype, name, alias = match.groups()
		doctype = doctype or self.doctype
		self.check(doctype, name)
		return f"{self.table(doctype)}.`{name}`" + (f" as `{alias}`" if alias else "")

	def condition(self, doctype, fieldname, operator, value, qualified=True):
		"""One filter, as Frappe 16 reads it (`Engine._build_criterion_for_simple_filter`)."""
		if operator not in OPERATORS:
			refuse(f"the filter operator {operator!r}")
		self.check(doctype, fieldname)
		from frappe.database import spread, to_sql

		name = f"{self.table(doctype)}.`{fieldname}`" if qualified else f"`{fieldname}`"
		kind = self.kind(doctype, fieldname)
		fallback = FALLBACKS.get(kind, "")
		if operator == "is":
			if value not in ("set", "not set"):
				refuse(f"the filter is {value!r}")
			empty = "0" if kind in NUMBERS else "''"
			if kind in MOMENTS and not qualified:
				# 16 compares with an empty text, which MariaDB takes in a SELECT and refuses in what writes.
				raise frappe.db.OperationalError(1292, "Truncated incorrect datetime value: ''")
			return f"{name} != {empty}" if value == "set" else f"({name} is null or {name} = {empty})"
		if operator in ("in", "not in"):
			if isinstance(value, str):
				value = value.split(",")
			value = list(value or ("",))
			nullable = operator == "not in" or any(v is None or v == "" for v in value)
			if nullable and self.wraps(fieldname, kind):
				name = f"ifnull({name}, {frappe.db.escape(fallback)})"
			return f"{name} {operator} {spread(value, self.params)}"
		if operator == "between":
			if self.wraps(fieldname, kind) and kind not in MOMENTS:
				name = f"ifnull({name}, {frappe.db.escape(fallback)})"
			return self._between(name, kind, value)
		if isinstance(value, list | tuple | dict | set):
			refuse(f"the filter value {value!r} for {operator}")
		if value is None:
			if operator != "!=":
				return f"{name} is null"
			self.params.append(fallback)
			return f"{name} != ?"
		typed = moment(kind, value) if kind in MOMENTS else value
		if kind in NUMBERS and operator not in ("like", "not like"):
			typed = frappe.utils.flt(value)
		self.params.append(to_sql(typed))
		if self.wraps(fieldname, kind) and not (
			operator == "like" or (operator == "=" and value) or (operator in (">", ">=") and kind in MOMENTS)
		):
			name = f"ifnull({name}, {frappe.db.escape(fallback)})"
		return f"{name} {operator} ?"

	def kind(self, doctype, fieldname) -> str:
		"""The type of a field, those that every doctype has included."""
		df = frappe.get_meta(doctype).get_field(fieldname)
		if df:
			return df.fieldtype
		return {"creation": "Datetime", "modified": "Datetime", "docstatus": "Int", "idx": "Int"}.get(
			fieldname, "Data"
		)

	def wraps(self, fieldname, kind) -> bool:
		"""Whether NULL is read as the type's least value: in get_all and get_list, of what may be NULL."""
		return not self.strict and fieldname not in ("name", "creation", "modified") and kind not in NUMBERS

	def _between(self, name, kind, value):
		from frappe.database import to_sql

		low, high = value
		if kind == "Datetime":
			low, high = frappe.utils.get_datetime(low), frappe.utils.get_datetime(high)
			if len(str(value[1])) <= 10:
				high = high.replace(hour=23, minute=59, second=59, microsecond=999999)
		elif kind == "Date":
			low, high = frappe.utils.getdate(low), frappe.utils.getdate(high)
		self.params += [to_sql(low), to_sql(high)]
		return f"{name} between ? and ?"

	def where(self, qualified=True):
		self.params = []
		clauses = [self.condition(*f, qualified=qualified) for f in self.filters]
		if self.or_filters:
			clauses.append(
				"(" + " or ".join(self.condition(*f, qualified=qualified) for f in self.or_filters) + ")"
			)
		clauses += self.extra
		return (" where " + " and ".join(clauses) if clauses else ""), self.params

	def order(self, order_by):
		if order_by is None:
			field, direction = self.meta.sort_field or "modified", self.meta.sort_order or "desc"
			order_by = f"{field.split(',')[0].split()[0]} {direction.split(',')[0].split()[-1]}"
		parts = []
		for part in order_by.split(","):
			if not (match := ORDER.match(part.strip())):
				frappe.throw(f"Order By has invalid notation: {part}", frappe.ValidationError)
			doctype, quoted, plain, direction = match.groups()
			name = quoted or plain
			aliased = any(f" as `{name}`" in c for c in self.columns)
			prefix = "" if aliased else f"{self.table(doctype or self.doctype)}."
			parts.append(f"{prefix}`{name}` {direction or 'asc'}")
		self.order_by = " order by " + ", ".join(parts)

	def joined(self) -> str:
		return "".join(
			f" left join `tab{j}` on `tab{j}`.parent = `tab{self.doctype}`.name"
			f" and `tab{j}`.parenttype = {frappe.db.escape(self.doctype, percent=False)}"
			for j in self.joins
		)

	def count(self) -> int:
		clause, params = self.where()
		sql = f"select count(*) from `tab{self.doctype}`{self.joined()}{clause}"
		return frappe.db._execute(sql, params).fetchone()[0]

	def run(self, as_dict=True):
		clause, params = self.where()
		joins = self.joined()
		group = ""
		if self.group_by:
			group = " group by " + ", ".join(self.select(g) for g in self.group_by.split(","))
		distinct = "distinct " if self.distinct else ""
		limit = f" limit {int(self.limit)}" if self.limit else ""
		if self.offset:
			limit = (limit or " limit -1") + f" offset {int(self.offset)}"
		sql = f"select {distinct}{', '.join(self.columns)} from `tab{self.doctype}`{joins}{clause}{group}{self.order_by}{limit}"
		cursor = frappe.db._execute(sql, params)
		rows = cursor.fetchall()
		if not as_dict:
			return [tuple(r) for r in rows]
		names = [re.sub(r"^.*`\.`|`", "", d[0]) for d in cursor.description]
		return [frappe._dict(zip(names, row, strict=True)) for row in rows]


def get_list(
	doctype,
	fields=None,
	filters=None,
	or_filters=None,
	docstatus=None,
	group_by=None,
	order_by="KEEP_DEFAULT_ORDERING",
	limit_start=None,
	limit_page_length=None,
	as_list=False,
	ignore_permissions=False,
	pluck=None,
	distinct=False,
	parent_doctype=None,
	limit=None,
	start=None,
	page_length=None,
	ignore_ifnull=False,
	user=None,
	as_dict=None,
	debug=False,
	ignore_ddl=False,
	**kwargs,
):
	"""frappe.get_list: permission applied unless ignore_permissions."""
	if kwargs or docstatus:
		refuse(f"get_list({', '.join(kwargs) or 'docstatus'})")
	meta = frappe.get_meta(doctype)
	given_as_filters = isinstance(fields, dict) or (
		isinstance(fields, list) and fields and isinstance(fields[0], list)
	)
	filters_are_fields = (
		fields and isinstance(filters, list) and len(filters) > 1 and isinstance(filters[0], str)
	)
	if given_as_filters or filters_are_fields:
		fields, filters = filters, fields
	if isinstance(fields, str):
		fields = (
			json.loads(fields) if fields.startswith("[") else ["*"] if fields == "*" else fields.split(",")
		)
	if pluck and not fields:
		fields = [pluck]
	# `ignore_ifnull` is taken and changes nothing, as in 16.
	query = Query(doctype, fields or ["name"], filters, or_filters, distinct=distinct)
	if not ignore_permissions:
		from frappe.permissions import match_conditions

		query.extra = match_conditions(doctype, meta, user, parent_doctype)
	query.group_by = group_by
	if order_by:
		query.order(None if order_by == "KEEP_DEFAULT_ORDERING" else order_by)
	query.limit = next((v for v in (limit_page_length, limit, page_length) if v is not None), None)
	if query.limit is None:
		refuse("get_list without a limit, which 15 takes as 20 and 16 as none; say which,")
	query.limit = int(query.limit)
	query.offset = int(limit_start or start or 0)
	rows = query.run(as_dict=not as_list)
	if pluck:
		return [r[pluck] if isinstance(r, dict) else r[0] for r in rows]
	return tuple(rows) if as_list else rows
