"""frappe.db on SQLite.

Reading runs in autocommit (each statement sees what is committed); the first write, or a ``for_update``,
begins the transaction with the one write lock there is, waits for it like InnoDB waits for a row lock, and
keeps it until commit or rollback. Row locks are thus coarser than on MariaDB, never weaker.
"""

import datetime
import decimal
import re
import sqlite3
import time
from collections import deque

import frappe
from frappe.exceptions import refuse
from frappe.query import Query, column

WRITES = re.compile(r"\s*(insert|update|delete|replace|create|alter|drop)\b", re.I)
LOCKS = re.compile(r"\s+for\s+update(\s+skip\s+locked|\s+nowait)?\s*;?\s*$", re.I)
SKIP_LOCKED_WAIT = 1.0


def _timedelta(raw: bytes):
	hours, minutes, seconds = raw.decode().split(":")
	return datetime.timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def _datetime(raw: bytes):
	value = raw.decode()
	return datetime.datetime.fromisoformat(value) if value else None


sqlite3.register_converter("datetime", _datetime)
sqlite3.register_converter("date", lambda raw: _datetime(raw).date() if raw else None)
sqlite3.register_converter("time", _timedelta)
sqlite3.register_converter("decimal", float)


def to_sql(value):
	"""A Python value as the column stores it."""
	if isinstance(value, bool):
		return int(value)
	if isinstance(value, datetime.datetime):
		return value.strftime("%Y-%m-%d %H:%M:%S.%f")
	if isinstance(value, datetime.date):
		return value.isoformat()
	if isinstance(value, datetime.time):
		return value.strftime("%H:%M:%S.%f")
	if isinstance(value, datetime.timedelta):
		seconds = value.total_seconds()
		return f"{int(seconds // 3600):02}:{int(seconds % 3600 // 60):02}:{seconds % 60:09.6f}"
	if isinstance(value, decimal.Decimal):
		return float(value)
	if value is None or isinstance(value, str | int | float | bytes):
		return value
	return str(value)


class CallbackManager:
	"""Functions to run, in order, when something has happened."""

	def __init__(self):
		self._functions = deque()

	def add(self, func):
		self._functions.append(func)

	__call__ = add

	def run(self):
		while self._functions:
			self._functions.popleft()()

	def reset(self):
		self._functions.clear()


class Database:
	db_type = "sqlite"
	InternalError = sqlite3.InternalError
	OperationalError = sqlite3.OperationalError
	ProgrammingError = sqlite3.ProgrammingError
	DataError = sqlite3.DataError
	IntegrityError = sqlite3.IntegrityError

	def __init__(self, path: str):
		self.path = path
		self.before_commit, self.after_commit = CallbackManager(), CallbackManager()
		self.before_rollback, self.after_rollback = CallbackManager(), CallbackManager()
		self.value_cache, self._conn, self._tables = {}, None, None
		self._local = frappe.local

	def __getattr__(self, name):
		if name.startswith("__"):
			raise AttributeError(name)
		refuse(f"frappe.db.{name}")

	# Transactions ------------------------------------------------------------------------------------

	@property
	def conn(self):
		if self._conn is None:
			self._conn = sqlite3.connect(
				self.path, isolation_level=None, detect_types=sqlite3.PARSE_DECLTYPES, check_same_thread=False
			)
			self._conn.execute("pragma journal_mode=wal")
			self._conn.execute("pragma synchronous=normal")
			self._wait(float(frappe.local.conf.get("lock_timeout") or 20))
			self._conn.create_function("concat", -1, lambda *a: "".join(str(v) for v in a))
			self._conn.create_function("now", 0, lambda: to_sql(frappe.utils.now_datetime()))
			self._conn.create_function("regexp", 2, lambda p, v: v is not None and bool(re.search(p, str(v))))
		return self._conn

	def connect(self):
		return self.conn

	def close(self):
		if self._conn is not None:
			self._conn.close()
			self._conn = None

	def _wait(self, seconds: float):
		self._conn.execute(f"pragma busy_timeout={int(seconds * 1000)}")

	@property
	def in_transaction(self) -> bool:
		return self.conn.in_transaction

	def begin(self, *, read_only=False):
		if read_only:
			refuse("read-only transactions")

	def lock(self, wait: bool = True, skip_locked: bool = False) -> bool:
		"""Take the write lock. False when it is taken and skip_locked was asked for."""
		if self.conn.in_transaction:
			return True
		timeout = float(frappe.local.conf.get("lock_timeout") or 20)
		self._wait(0 if not wait else SKIP_LOCKED_WAIT if skip_locked else timeout)
		try:
			self._execute("begin immediate")
		except frappe.QueryTimeoutError:
			if skip_locked:
				return False
			raise
		finally:
			self._wait(timeout)
		return True

	def commit(self):
		self.before_rollback.reset()
		self.after_rollback.reset()
		self.before_commit.run()
		if self.conn.in_transaction:
			self._execute("commit")
		self.after_commit.run()

	def rollback(self, *, save_point=None):
		if save_point:
			self._execute(f"rollback to savepoint {save_point}")
			return
		self.before_commit.reset()
		self.after_commit.reset()
		self.before_rollback.run()
		if self.conn.in_transaction:
			self._execute("rollback")
		self.value_cache.clear()
		frappe.local.document_cache, frappe.local.meta_cache, frappe.local.role_cache = {}, {}, {}
		self._tables = None
		self.after_rollback.run()

	def savepoint(self, save_point):
		self.lock()
		self._execute(f"savepoint {save_point}")

	def release_savepoint(self, save_point):
		self._execute(f"release savepoint {save_point}")

	# Statements --------------------------------------------------------------------------------------

	def _execute(self, query, values=()):
		try:
			return self.conn.execute(query, values)
		except sqlite3.OperationalError as e:
			if "locked" in str(e) or "busy" in str(e):
				raise frappe.QueryTimeoutError(e) from e
			raise

	def sql(
		self,
		query,
		values=(),
		*,
		as_dict=0,
		as_list=0,
		debug=0,
		ignore_ddl=0,
		auto_commit=0,
		update=None,
		explain=False,
		run=True,
		pluck=False,
		as_iterator=False,
	):
		"""Run a statement written for MariaDB (%s, %(name)s, backticks) as far as SQLite understands it."""
		if ignore_ddl or update or explain or as_iterator or not run:
			refuse("this keyword argument of frappe.db.sql")
		query = str(query)
		if re.match(r"\s*(commit|rollback|start transaction|begin)\b", query, re.I):
			refuse("transaction control through frappe.db.sql; use frappe.db.commit() and rollback()")
		query, params = self._translate(query, values)
		if lock := LOCKS.search(query):
			query, how = query[: lock.start()], (lock.group(1) or "").strip().lower()
			if not self.lock(wait=how != "nowait", skip_locked=how.startswith("skip")):
				return [] if as_dict or as_list or pluck else ()
		elif WRITES.match(query):
			self.lock()
		cursor = self._execute(query, params)
		if cursor.description is None:
			return ()
		rows = cursor.fetchall()
		if pluck:
			return [row[0] for row in rows]
		if as_dict:
			names = [c[0] for c in cursor.description]
			return [frappe._dict(zip(names, row, strict=True)) for row in rows]
		return [list(row) for row in rows] if as_list else tuple(rows)

	@staticmethod
	def _translate(query, values):
		if values is None or values == ():
			return query, ()
		if isinstance(values, dict):
			params = []

			def named(match):
				return spread(values[match.group(1)], params)

			query = re.sub(r"%\((\w+)\)s", lambda m: named(m), query)
			return query.replace("%%", "%"), params
		values = list(values) if isinstance(values, list | tuple) else [values]
		params, position = [], iter(values)
		query = re.sub(
			r"%s|%%", lambda m: "%" if m.group() == "%%" else spread(next(position), params), query
		)
		return query, params

	def sql_ddl(self, query, debug=False):
		"""DDL ends the transaction before it, as it does on MariaDB."""
		self.commit()
		self.lock()
		self._execute(query)
		self._tables = None
		self.commit()

	def sql_list(self, query, values=(), debug=False, **kwargs):
		return self.sql(query, values, pluck=True)

	def multisql(self, sql_dict, values=(), **kwargs):
		return self.sql(sql_dict.get("sqlite") or sql_dict.get("mariadb"), values, **kwargs)

	def escape(self, s, percent=True):
		s = str(s).replace("'", "''")
		return "'" + (s.replace("%", "%%") if percent else s) + "'"

	# Reading -----------------------------------------------------------------------------------------

	def get_value(
		self,
		doctype,
		filters=None,
		fieldname="name",
		ignore=None,
		as_dict=False,
		debug=False,
		order_by="KEEP_DEFAULT_ORDERING",
		cache=False,
		for_update=False,
		*,
		run=True,
		pluck=False,
		distinct=False,
		skip_locked=False,
		wait=True,
	):
		rows = self.get_values(
			doctype,
			filters,
			fieldname,
			ignore,
			as_dict,
			order_by=order_by,
			for_update=for_update,
			pluck=pluck,
			distinct=distinct,
			limit=1,
			skip_locked=skip_locked,
			wait=wait,
		)
		if not rows:
			return None
		row = rows[0]
		return row if as_dict or pluck or len(row) > 1 else row[0]

	def get_values(
		self,
		doctype,
		filters=None,
		fieldname="name",
		ignore=None,
		as_dict=False,
		debug=False,
		order_by="KEEP_DEFAULT_ORDERING",
		update=None,
		cache=False,
		for_update=False,
		*,
		run=True,
		pluck=False,
		distinct=False,
		limit=None,
		skip_locked=False,
		wait=True,
	):
		if ignore or update or not run:
			refuse("this keyword argument of frappe.db.get_values")
		fields = [fieldname] if isinstance(fieldname, str) else list(fieldname)
		if filters is None or (frappe.get_meta(doctype).issingle and filters == doctype):
			if for_update:
				self.lock(wait, skip_locked)
			values = self.get_singles_dict(doctype)
			if fields == ["*"]:
				return [values] if as_dict else [list(values.values())]
			values = frappe._dict((f, values.get(f)) for f in fields)
			if not any(v is not None for v in values.values()):
				return (
					[] if not as_dict else ([values] if any(v is not None for v in values.values()) else [])
				)
			return [values] if as_dict else [list(values.values())]
		if for_update and not self.lock(wait, skip_locked):
			return []
		query = Query(doctype, fields, filters, strict=True, distinct=distinct)
		if order_by:
			query.order(None if order_by == "KEEP_DEFAULT_ORDERING" else order_by)
		query.limit = limit
		rows = query.run(as_dict=as_dict)
		if pluck:
			return [next(iter(r.values())) if as_dict else r[0] for r in rows]
		return rows if as_dict else tuple(rows)

	def get_all(self, *args, **kwargs):
		return frappe.get_all(*args, **kwargs)

	def get_list(self, *args, **kwargs):
		return frappe.get_list(*args, **kwargs)

	def get_singles_dict(self, doctype, debug=False, *, for_update=False, cast=False):
		if for_update:
			self.lock()
		rows = self.sql("select `field`, `value` from `tabSingles` where `doctype` = %s", (doctype,))
		values = frappe._dict(rows)
		if cast:
			for df in frappe.get_meta(doctype).fields:
				if df.fieldname in values:
					values[df.fieldname] = frappe.utils.cast(df.fieldtype, values[df.fieldname])
		return values

	def get_single_value(self, doctype, fieldname, cache=True):
		df = frappe.get_meta(doctype).get_field(fieldname)
		if not df:
			frappe.throw(f"Field {fieldname} does not exist on {doctype}", self.InvalidColumnName)
		rows = self.sql(
			"select `value` from `tabSingles` where `doctype`=%s and `field`=%s", (doctype, fieldname)
		)
		return frappe.utils.cast(df.fieldtype, rows[0][0] if rows else None)

	@property
	def InvalidColumnName(self):
		return frappe.InvalidColumnName

	def exists(self, dt, dn=None, cache=False):
		if isinstance(dt, dict):
			dt = dt.copy()
			dn, dt = dt, dt.pop("doctype")
		elif dt != "DocType" and isinstance(dn, str) and dt == dn and frappe.get_meta(dt).issingle:
			return dn
		if dt == "DocType" and isinstance(dn, str):
			from frappe.model.meta import find_doctype

			return dn if find_doctype(dn) else None
		if not dn:
			return None
		return self.get_value(dt, dn, "name", order_by=None)

	def count(self, dt, filters=None, debug=False, cache=False, distinct=True):
		return Query(dt, [], filters, strict=True).count()

	def table_exists(self, doctype, cached=True):
		return f"tab{doctype}" in self.get_tables(cached)

	has_table = table_exists

	def get_tables(self, cached=True):
		if self._tables is None or not cached:
			self._tables = self.sql("select name from sqlite_master where type='table'", pluck=True)
		return self._tables

	def get_table_columns(self, doctype):
		return [row[1] for row in self._execute(f"pragma table_info(`tab{doctype}`)").fetchall()]

	def has_column(self, doctype, column):
		return column in self.get_table_columns(doctype)

	def has_index(self, table_name, index_name):
		return bool(
			self.sql(
				"select 1 from sqlite_master where type='index' and tbl_name=%s and name=%s",
				(table_name, index_name),
			)
		)

	def get_creation_count(self, doctype, minutes):
		since = frappe.utils.add_to_date(None, minutes=-minutes)
		return self.count(doctype, {"creation": (">=", since)})

	# Writing -----------------------------------------------------------------------------------------

	def insert_row(self, doctype, row: dict):
		if doctype != "DefaultValue":
			meta = frappe.get_meta(doctype)
			row = {k: column(meta, k, v) for k, v in row.items()}
		names = ", ".join(f"`{k}`" for k in row)
		marks = ", ".join("?" for _ in row)
		self.lock()
		return self._execute(
			f"insert into `tab{doctype}` ({names}) values ({marks})", [to_sql(v) for v in row.values()]
		)

	def update_row(self, doctype, name, row: dict):
		self.lock()
		meta = frappe.get_meta(doctype)
		row = {k: column(meta, k, v) for k, v in row.items()}
		pairs = ", ".join(f"`{k}` = ?" for k in row)
		return self._execute(
			f"update `tab{doctype}` set {pairs} where `name` = ?", [*(to_sql(v) for v in row.values()), name]
		)

	def set_value(
		self,
		dt,
		dn,
		field,
		val=None,
		modified=None,
		modified_by=None,
		update_modified=True,
		debug=False,
		for_update=True,
	):
		"""Write columns directly: no controller, no hooks, no checks."""
		values = dict(field) if isinstance(field, dict) else {field: val}
		if update_modified:
			values.update(
				modified=modified or frappe.utils.now(), modified_by=modified_by or frappe.session.user
			)
		if dn is None or (dt == dn and frappe.get_meta(dt).issingle):
			for key, value in values.items():
				self.sql("delete from `tabSingles` where `field`=%s and `doctype`=%s", (key, dt))
				self.sql(
					"insert into `tabSingles` (doctype, field, value) values (%s,%s,%s)",
					(dt, key, _text(value)),
				)
			frappe.clear_document_cache(dt, dt)
			return
		clause, params = Query(dt, ["name"], dn, strict=True).where(qualified=False)
		self.lock()
		meta = frappe.get_meta(dt)
		values = {k: column(meta, k, v) for k, v in values.items()}
		pairs = ", ".join(f"`{k}` = ?" for k in values)
		try:
			self._execute(
				f"update `tab{dt}` set {pairs}{clause}", [*(to_sql(v) for v in values.values()), *params]
			)
		finally:
			frappe.clear_document_cache(dt, dn if isinstance(dn, str) else None)

	def set_single_value(self, doctype, fieldname, value=None, *args, **kwargs):
		return self.set_value(doctype, doctype, fieldname, value, *args, **kwargs)

	def delete(self, doctype, filters=None, debug=False, **kwargs):
		if kwargs:
			refuse(f"frappe.db.delete({', '.join(kwargs)})")
		if doctype.startswith("__"):
			clause = " and ".join(f"`{k}`=%s" for k in filters or {})
			self.sql(
				f"delete from `{doctype}`" + (f" where {clause}" if clause else ""),
				tuple((filters or {}).values()),
			)
			return
		clause, params = Query(doctype, ["name"], filters, strict=True).where(qualified=False)
		self.lock()
		self._execute(f"delete from `tab{doctype}`{clause}", params)
		frappe.clear_document_cache(doctype)

	def truncate(self, doctype):
		self.delete(doctype)

	def bulk_insert(self, doctype, fields, values, ignore_duplicates=False, *, chunk_size=10_000):
		for row in values:
			try:
				self.insert_row(doctype, dict(zip(fields, row, strict=True)))
			except sqlite3.IntegrityError:
				if not ignore_duplicates:
					raise

	def add_index(self, doctype, fields, index_name=None):
		name = index_name or "index_" + "_".join(re.sub(r"\(.*\)", "", f) for f in fields)
		self._index("index", doctype, fields, name)

	def add_unique(self, doctype, fields, constraint_name=None):
		fields = [fields] if isinstance(fields, str) else fields
		self._index("unique index", doctype, fields, constraint_name or "unique_" + "_".join(fields))

	def _index(self, kind, doctype, fields, name):
		columns = ", ".join("`" + re.sub(r"\(.*\)", "", f) + "`" for f in fields)
		self.sql_ddl(f"create {kind} if not exists `{doctype}:{name}` on `tab{doctype}` ({columns})")

	def updatedb(self, doctype, meta=None):
		from frappe.model.schema import sync_doctype

		sync_doctype(doctype)

	def get_global(self, key, user="__global"):
		return self.get_default(key, user)

	def set_global(self, key, val, user="__global"):
		self.set_default(key, val, user)

	def get_default(self, key, parent="__default"):
		rows = self.sql(
			"select defvalue from `tabDefaultValue` where parent=%s and defkey=%s order by creation",
			(parent, key),
		)
		return rows[0][0] if rows else None

	def set_default(self, key, val, parent="__default", parenttype=None):
		self.sql("delete from `tabDefaultValue` where parent=%s and defkey=%s", (parent, key))
		now = frappe.utils.now()
		self.insert_row(
			"DefaultValue",
			{
				"name": frappe.generate_hash(length=10),
				"creation": now,
				"modified": now,
				"parent": parent,
				"defkey": key,
				"defvalue": val,
			},
		)

	# What kind of error was that ---------------------------------------------------------------------

	@staticmethod
	def is_duplicate_entry(e):
		return isinstance(e, sqlite3.IntegrityError) and "UNIQUE" in str(e)

	@staticmethod
	def is_primary_key_violation(e):
		return isinstance(e, sqlite3.IntegrityError) and bool(re.search(r"UNIQUE.*\.name$", str(e)))

	@classmethod
	def is_unique_key_violation(cls, e):
		return cls.is_duplicate_entry(e) and not cls.is_primary_key_violation(e)

	@staticmethod
	def is_deadlocked(e):
		return isinstance(e, frappe.QueryDeadlockError)

	@staticmethod
	def is_timedout(e):
		return isinstance(e, frappe.QueryTimeoutError)

	@staticmethod
	def is_missing_column(e):
		return "no such column" in str(e)

	@staticmethod
	def is_table_missing(e):
		return "no such table" in str(e)

	is_missing_table = is_table_missing

	def estimate_count(self, doctype):
		return self.count(doctype)

	def sleep(self, seconds):
		time.sleep(seconds)


def spread(value, params: list) -> str:
	"""The placeholder(s) of one parameter; a list becomes a parenthesised one."""
	if isinstance(value, list | tuple | set | frozenset):
		params.extend(to_sql(v) for v in value)
		return "(" + ", ".join("?" for _ in value) + ")"
	params.append(to_sql(value))
	return "?"


def _text(value):
	value = to_sql(value)
	return value if value is None else str(value)
