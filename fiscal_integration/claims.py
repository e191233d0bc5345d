"""Which global invoice a walk-in sale is part of: while one is in force, it claims its sales for itself alone."""

import frappe

DOCTYPE = "Fiscal Global Invoice"
SALE = "Fiscal Global Invoice Sale"


def claim_of(row) -> str:
	"""What is unique over all global invoices in force."""
	return f"{row['reference_doctype']}:{row['reference_name']}"


def holding(doctype: str, name: str, lock: bool = False) -> str | None:
	"""The global invoice in force that a sale is part of; with `lock` as others have just committed it."""
	claim = claim_of({"reference_doctype": doctype, "reference_name": name})
	return frappe.db.get_value(SALE, {"claim": claim}, "parent", for_update=lock)


def fiscal_id_of(doctype: str, name: str) -> str:
	"""The fiscal id that a sale has through its global invoice; empty when it is in none that is issued."""
	parent = holding(doctype, name)
	found = parent and frappe.db.get_value(
		"Fiscal Document", {"reference_doctype": DOCTYPE, "reference_name": parent}, "fiscal_id"
	)
	return found or ""
