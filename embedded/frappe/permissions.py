"""Who may do what: DocPerm of the JSON, if_owner, permission levels, hooks, plain User Permissions."""

import frappe
from frappe.exceptions import refuse
from frappe.model.meta import Meta
from frappe.utils import cint

RIGHTS = "select read write create delete submit cancel amend print email report import export share".split()


def get_roles(user=None) -> list[str]:
	user = user or frappe.session.user
	if user in frappe.local.role_cache:
		return frappe.local.role_cache[user]
	if user == "Guest":
		roles = ["Guest"]
	elif user == "Administrator":
		roles = [r for r in frappe.get_all("Role", pluck="name")]
	else:
		roles = frappe.get_all("Has Role", {"parent": user, "parenttype": "User"}, pluck="role")
		roles += ["All", "Guest", "Desk User"]
	frappe.local.role_cache[user] = roles
	return roles


def get_valid_perms(meta: Meta, user=None):
	roles = set(get_roles(user))
	custom = frappe.get_all("Custom DocPerm", {"parent": meta.name}, ["*"])
	return [p for p in custom or meta.permissions if p.role in roles]


def permlevels(meta, ptype):
	return {cint(p.permlevel) for p in get_valid_perms(meta) if p.get(ptype)}


def get_role_permissions(doctype_meta, user=None, is_owner=None, debug=False):
	perms = [p for p in get_valid_perms(doctype_meta, user) if not cint(p.permlevel)]
	return frappe._dict(
		{r: int(any(p.get(r) and (is_owner or not p.if_owner) for p in perms)) for r in RIGHTS}
	)


def has_permission(doctype, ptype="read", doc=None, user=None, *, parent_doctype=None, **kwargs):
	user = user or frappe.session.user
	if ptype not in RIGHTS:
		refuse(f"the permission type {ptype!r}")
	if user == "Administrator":
		return True
	meta = frappe.get_meta(doctype)
	if isinstance(doc, str | int):
		doc = frappe.get_doc(doctype, doc)
	if meta.istable:
		parent = doc.parenttype if doc is not None and doc.get("parenttype") else parent_doctype
		return bool(parent) and has_permission(
			parent, "write" if ptype in ("create", "delete") else ptype, user=user
		)
	if ptype in ("submit", "cancel", "amend") and not meta.is_submittable:
		return False
	is_owner = doc is None or (doc.get("owner") or user) == user
	if not get_role_permissions(meta, user, is_owner)[ptype]:
		shared = doc is not None and not doc.is_new() and ptype in ("read", "write", "submit", "share")
		return bool(shared and _shared(doctype, doc.name, ptype, user))
	if doc is None:
		return True
	return _user_permission(doc, meta, user) and _controller_allows(doc, ptype, user)


def _shared(doctype, name, ptype, user):
	filters = {"user": user, "share_doctype": doctype, "share_name": name, ptype: 1}
	return bool(frappe.get_all("DocShare", filters, limit=1))


def _controller_allows(doc, ptype, user):
	"""has_permission hooks may only deny: a falsy answer other than None does."""
	hooks = frappe.get_hooks("has_permission", {})
	for method in [*hooks.get(doc.doctype, []), *hooks.get("*", [])]:
		answer = frappe.call(method, doc=doc, ptype=ptype, user=user, debug=False)
		if answer is not None and not answer:
			return False
	return True


# User Permissions ------------------------------------------------------------------------------------


def get_user_permissions(user):
	rows = frappe.get_all(
		"User Permission", {"user": user}, ["allow", "for_value", "applicable_for", "hide_descendants"]
	)
	found = {}
	for row in rows:
		found.setdefault(row.allow, []).append(row)
	return found


def _restrictions(meta, user):
	"""(fieldname, allowed values) for every link this user is restricted in."""
	for allow, rows in get_user_permissions(user).items():
		values = [r.for_value for r in rows if r.applicable_for in (None, "", meta.name)]
		if not values:
			continue
		if meta.name == allow:
			yield "name", values
		for df in meta.get_link_fields():
			if df.options == allow and not df.ignore_user_permissions:
				yield df.fieldname, values


def _user_permission(doc, meta, user):
	for fieldname, values in _restrictions(meta, user):
		value = doc.get(fieldname)
		if value and value not in values:
			return False
	for row in doc.get_all_children():
		for fieldname, values in _restrictions(row.meta, user):
			if row.get(fieldname) and row.get(fieldname) not in values:
				return False
	return True


def match_conditions(doctype, meta, user=None, parent_doctype=None):
	"""SQL conditions a list must carry for this user; PermissionError when nothing may be read at all."""
	user = user or frappe.session.user
	conditions = []
	if user != "Administrator":
		if meta.istable:
			if not parent_doctype or not has_permission(parent_doctype, "read", user=user):
				raise frappe.PermissionError(doctype)
			return []
		if not get_role_permissions(meta, user)["read"]:
			escaped = frappe.db.escape(user, percent=False)
			if get_role_permissions(meta, user, is_owner=True)["read"]:
				conditions.append(f"`tab{doctype}`.`owner` = {escaped}")
			elif names := frappe.get_all(
				"DocShare", {"user": user, "share_doctype": doctype, "read": 1}, pluck="share_name"
			):
				listed = ", ".join(frappe.db.escape(n, percent=False) for n in names)
				return [f"`tab{doctype}`.`name` in ({listed})"]
			else:
				frappe.throw(
					frappe._("Insufficient Permission for {0}").format(frappe.bold(doctype)),
					frappe.PermissionError,
				)
		for fieldname, values in _restrictions(meta, user):
			listed = ", ".join(frappe.db.escape(v, percent=False) for v in values)
			column = f"`tab{doctype}`.`{fieldname}`"
			conditions.append(f"(ifnull({column}, '') = '' or {column} in ({listed}))")
	for method in frappe.get_hooks("permission_query_conditions", {}).get(doctype, []):
		if condition := frappe.call(frappe.get_attr(method), user, doctype=doctype):
			conditions.append(f"({condition})")
	return conditions


def add_user_permission(doctype, name, user, ignore_permissions=False, **kwargs):
	values = {"doctype": "User Permission", "user": user, "allow": doctype, "for_value": name, **kwargs}
	frappe.get_doc(values).insert(ignore_permissions=ignore_permissions)


def add_permission(doctype, role, permlevel=0, ptype=None):
	setup_custom_perms(doctype)
	values = {"doctype": "Custom DocPerm", "parent": doctype, "role": role, "permlevel": permlevel}
	if not frappe.db.exists("Custom DocPerm", {k: v for k, v in values.items() if k != "doctype"}):
		frappe.get_doc({**values, ptype or "read": 1}).insert(ignore_permissions=True)


def setup_custom_perms(parent):
	if frappe.db.exists("Custom DocPerm", {"parent": parent}):
		return
	for perm in frappe.get_meta(parent).permissions:
		values = {k: v for k, v in perm.items() if k in (*RIGHTS, "role", "permlevel", "if_owner")}
		frappe.get_doc({"doctype": "Custom DocPerm", "parent": parent, **values}).insert(
			ignore_permissions=True
		)


def update_permission_property(doctype, role, permlevel, ptype, value=None, validate=True, if_owner=0):
	setup_custom_perms(doctype)
	name = frappe.db.get_value("Custom DocPerm", {"parent": doctype, "role": role, "permlevel": permlevel})
	frappe.db.set_value("Custom DocPerm", name, ptype, value)
