"""Tables for doctypes: created from their fields, later columns and indexes added, none dropped."""

import frappe
from frappe.model import child_table_fields

COLUMN = {
	"Check": "int not null default 0",
	"Int": "int not null default 0",
	"Long Int": "bigint not null default 0",
	"Float": "decimal(21,9) not null default 0",
	"Currency": "decimal(21,9) not null default 0",
	"Percent": "decimal(21,9) not null default 0",
	"Rating": "decimal(3,2) not null default 0",
	"Duration": "decimal(21,9)",
	"Date": "date",
	"Datetime": "datetime(6)",
	"Time": "time(6)",
}
BASE = """create table if not exists `tabSingles` (doctype varchar(140), field varchar(140), value text);
create index if not exists `Singles:doctype` on `tabSingles` (doctype, field);
create table if not exists `tabSeries` (name varchar(140) primary key, current int not null default 0);
create table if not exists `__Auth` (doctype varchar(140), name varchar(255) collate nocase,
	fieldname varchar(140), password text, encrypted int not null default 0, primary key (doctype, name, fieldname));
create table if not exists `tabDefaultValue` (name varchar(140) primary key, creation datetime(6),
	modified datetime(6), parent varchar(140), defkey varchar(140), defvalue text);
create table if not exists `__global_search` (doctype varchar(100), name varchar(140))"""


def create_base_tables():
	for statement in BASE.split(";"):
		frappe.db.sql_ddl(statement)


def column_type(df):
	return COLUMN.get(df.fieldtype, "text collate nocase")


def sync_doctype(doctype: str):
	"""Bring the table of a doctype (and its unique and search indexes) up to its definition."""
	meta = frappe.get_meta(doctype, cached=False)
	if meta.is_virtual or meta.issingle:
		return
	if not frappe.db.table_exists(doctype, cached=False):
		columns = [
			"`name` varchar(140) collate nocase primary key",
			"`creation` datetime(6)",
			"`modified` datetime(6)",
			"`modified_by` varchar(140) collate nocase",
			"`owner` varchar(140) collate nocase",
			"`docstatus` int not null default 0",
			"`idx` int not null default 0",
		]
		if meta.istable:
			columns += [f"`{f}` varchar(140) collate nocase" for f in child_table_fields]
		columns += [f"`{df.fieldname}` {column_type(df)}" for df in meta.get_value_fields()]
		frappe.db.sql_ddl(f"create table `tab{doctype}` ({', '.join(columns)}) without rowid")
		if meta.istable:
			frappe.db.add_index(doctype, ["parent"])
		else:
			frappe.db.add_index(doctype, ["modified"])
	have = {c.lower() for c in frappe.db.get_table_columns(doctype)}
	for df in meta.get_value_fields():
		if df.fieldname.lower() not in have:
			frappe.db.sql_ddl(f"alter table `tab{doctype}` add column `{df.fieldname}` {column_type(df)}")
		if df.unique:
			frappe.db.add_unique(doctype, [df.fieldname], df.fieldname)
		elif df.search_index:
			frappe.db.add_index(doctype, [df.fieldname], f"{df.fieldname}_index")


def updatedb(doctype, meta=None):
	sync_doctype(doctype)


def run_doctype_update(doctype: str):
	"""The module-level on_doctype_update of a controller: where indexes over several columns are made."""
	import sys

	from frappe.model.meta import get_controller

	module = sys.modules[get_controller(doctype).__module__]
	if function := getattr(module, "on_doctype_update", None):
		function()


def drop_doctype(doctype: str):
	if frappe.db.table_exists(doctype, cached=False):
		frappe.db.sql_ddl(f"drop table `tab{doctype}`")
	frappe.db.sql("delete from `tabSingles` where doctype=%s", (doctype,))
	frappe.db.sql("delete from `__Auth` where doctype=%s", (doctype,))
