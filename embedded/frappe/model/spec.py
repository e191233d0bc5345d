"""DocTypes written as lines of text instead of JSON files; the same dict comes out.

A header ``Name | Module | key=value | flag`` is followed by indented fields
``fieldname[,fieldname] Fieldtype(options) flag key=value``; Select options are separated by commas.
Roles: ``perm=Role:rwcdsxa; Role:r`` (read write create delete submit cancel amend; read also prints).
"""

import re

FIELD = re.compile(r"^(\S+) ((?:[A-Z][A-Za-z]*)(?: [A-Z][A-Za-z]*)*)(?:\(([^)]*)\))?(.*)$")
FLAG = re.compile(r"([a-z_]+)(?:=(?:'([^']*)'|(\S+)))?")
RIGHTS = dict(r="read", w="write", c="create", d="delete", s="submit", x="cancel", a="amend")
ALL = "System Manager:rwcd"


def parse(text: str) -> dict[str, dict]:
	"""Doctype definitions by name."""
	found, current = {}, None
	for line in text.splitlines():
		if not line.strip() or line.strip().startswith("#"):
			continue
		if not line.startswith(("\t", " ")):
			current = _header(line)
			found[current["name"]] = current
		else:
			current["fields"] += _fields(line.strip())
	return found


def _header(line):
	name, module, *options = (part.strip() for part in line.split("|"))
	doctype = {"doctype": "DocType", "name": name, "module": module, "fields": [], "permissions": []}
	perms = ALL
	for option in options:
		key, _sep, value = option.partition("=")
		if key == "perm":
			perms = value
		else:
			doctype[key] = value or 1
	if not doctype.get("istable"):
		doctype["permissions"] = [_permission(p) for p in perms.split(";") if p.strip()]
	return doctype


def _permission(text):
	role, _sep, letters = text.strip().partition(":")
	row = {"role": role, "permlevel": 0, **{RIGHTS[letter]: 1 for letter in letters if letter in RIGHTS}}
	if "r" in letters:
		row.update({key: 1 for key in ("print", "email", "report", "export", "share")})
	return row


def _fields(line):
	match = FIELD.match(line)
	if not match:
		raise ValueError(f"field line not understood: {line}")
	names, fieldtype, options, flags = match.groups()
	for name in names.split(","):
		field = {"fieldname": name, "fieldtype": fieldtype, "label": name.replace("_", " ").title()}
		if options is not None:
			field["options"] = "\n".join(options.split(",")) if fieldtype == "Select" else options
		for key, quoted, bare in FLAG.findall(flags):
			field[key] = quoted or bare or 1
		yield field
