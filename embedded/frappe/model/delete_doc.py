"""frappe.delete_doc."""

import frappe
from frappe import _


def delete_doc(
	doctype,
	name,
	force=False,
	ignore_doctypes=None,
	ignore_permissions=False,
	flags=None,
	ignore_on_trash=False,
	ignore_missing=True,
):
	"""Delete with permission, docstatus and link checks, and what hangs on the document with it."""
	names = name if isinstance(name, list | tuple) else [name]
	for one in names:
		if not frappe.db.exists(doctype, one):
			if not ignore_missing:
				raise frappe.DoesNotExistError(f"{doctype} {one}")
			return False
		doc = frappe.get_doc(doctype, one, for_update=True)
		doc.flags.update(flags or {})
		if ignore_permissions:
			doc.flags.ignore_permissions = True
		doc.check_permission("delete")
		if doc.docstatus.is_submitted():
			frappe.throw(
				_("{0} {1}: Submitted Record cannot be deleted. You must cancel it first.").format(
					_(doctype), one
				)
			)
		if not ignore_on_trash:
			doc.run_method("on_trash")
			doc.flags.in_delete = True
			doc.run_method("on_change")
		if not force and not doc.flags.ignore_links:
			check_if_doc_is_linked(doc)
			check_if_doc_is_dynamically_linked(doc)
		_remove(doc)
		doc.run_method("after_delete")
		frappe.clear_document_cache(doctype, doc.name)
	return True


def _remove(doc):
	for df in doc.meta.get_table_fields():
		frappe.db.delete(
			df.options, {"parent": doc.name, "parenttype": doc.doctype, "parentfield": df.fieldname}
		)
	if doc.meta.issingle:
		frappe.db.sql("delete from `tabSingles` where doctype=%s", (doc.doctype,))
	else:
		frappe.db.delete(doc.doctype, {"name": doc.name})
	frappe.db.sql("delete from `__Auth` where doctype=%s and name=%s", (doc.doctype, doc.name))
	if doc.doctype == "File":
		return
	for file in frappe.get_all("File", {"attached_to_doctype": doc.doctype, "attached_to_name": doc.name}):
		frappe.delete_doc("File", file.name, ignore_permissions=True, force=True)
	frappe.db.delete("Comment", {"reference_doctype": doc.doctype, "reference_name": doc.name})


def _ignored(doc, method):
	if method == "Cancel":
		return set(doc.get("ignore_linked_doctypes") or ())
	return set(frappe.get_hooks("ignore_links_on_delete"))


def check_if_doc_is_linked(doc, method="Delete"):
	"""LinkExistsError while another document links here (on cancel: a submitted one)."""
	_scan(doc, method, lambda meta: [(df, {}) for df in meta.get_link_fields() if df.options == doc.doctype])


def check_if_doc_is_dynamically_linked(doc, method="Delete"):
	_scan(
		doc, method, lambda meta: [(df, {df.options: doc.doctype}) for df in meta.get_dynamic_link_fields()]
	)


def _scan(doc, method, links):
	from frappe.model.meta import all_doctypes

	ignored = _ignored(doc, method)
	for doctype in all_doctypes():
		meta = frappe.get_meta(doctype)
		if meta.is_virtual or doctype in ignored or (meta.issingle and method == "Cancel"):
			continue
		for df, extra in links(meta):
			if not df.is_virtual and not (df.fieldname == "amended_from" and method == "Cancel"):
				_check_rows(
					doc, meta, {**extra, df.fieldname: doc.name}, method, ignored, dynamic=bool(extra)
				)


def _check_rows(doc, meta, filters, method, ignored, dynamic):
	if meta.issingle:
		values = frappe.db.get_singles_dict(meta.name)
		if all(values.get(k) == v for k, v in filters.items()):
			_complain(doc, meta.name, meta.name)
		return
	fields = ["name", "docstatus", *(["parent", "parenttype"] if meta.istable else [])]
	for row in frappe.get_all(meta.name, filters=filters, fields=fields):
		doctype, name = (row.parenttype, row.parent) if meta.istable else (meta.name, row.name)
		if (doctype, name) == (doc.doctype, doc.name) or doctype in ignored:
			continue
		if row.docstatus == 1 or (method == "Delete" and not (dynamic and row.docstatus == 2)):
			_complain(doc, doctype, name)


def _complain(doc, doctype, name):
	frappe.throw(
		_("Cannot delete or cancel because {0} {1} is linked with {2} {3}").format(
			_(doc.doctype), doc.name, _(doctype), name
		),
		frappe.LinkExistsError,
	)
