"""The issuer's own numbers: one sequence per branch and point of sale, gapless, never twice.

See authorities/panama.md#numbers.

A number is taken when the request is made, in the transaction that puts both on the Fiscal Document, under a
lock on the sequence. The document keeps it however often it is rejected and sent again.
"""

from dataclasses import replace

import frappe
from frappe import _

from fiscal_integration.fiscal.errors import MappingError
from fiscal_integration.fiscal.invoice import Coordinates, Invoice
from fiscal_integration.fiscal.panama.document import LAST_NUMBER

POINT = "Fiscal Point of Sale"
SEQUENCE = "Fiscal Sequence"


def placed(invoice: Invoice, doc, provider) -> Invoice:
	"""`invoice` with the branch and point, or the cash register, that `doc` stands at, where the provider wants it."""
	can = provider.capabilities
	default = provider.coordinates() if can.numbered else Coordinates("", "") if can.registers else None
	if default is None:
		return invoice
	point = _point(doc, ["branch_code", "point_code", "serial_device", "register_id", "training"])
	return replace(invoice, coordinates=merged(point, default) if point else default)


def point_of(doc) -> str | None:
	"""The Fiscal Point of Sale at which `doc` was sold; None where there is none."""
	point = _point(doc, ["name"])
	return point.name if point else None


def _point(doc, fields: list[str]):
	return frappe.db.get_value(
		POINT,
		{"company": doc.company, "pos_profile": doc.get("pos_profile") or ("is", "not set"), "enabled": 1},
		fields,
		as_dict=True,
	)


def merged(point, default: Coordinates) -> Coordinates:
	"""What a Fiscal Point of Sale says, and the settings' where it is blank."""
	return Coordinates(
		point.branch_code or default.branch,
		point.point_code or default.point,
		point.serial_device or default.serial_device,
		register=point.register_id or "",
		training=bool(point.training),
	)


def number(row, coordinates: Coordinates, environment: str) -> Coordinates:
	"""`coordinates` with the number of the Fiscal Document `row`: the one it has, else the sequence's next.

	Locks the sequence until the transaction ends. Raises MappingError when it is used up.
	"""
	sequence = _sequence(row.company, environment, coordinates)
	if row.sequence == sequence.name and row.sequence_number:
		return replace(coordinates, number=int(row.sequence_number))
	following = int(sequence.last_number or 0) + 1
	if following > LAST_NUMBER:
		raise MappingError(
			[_("The numbers of point of sale {0} are used up. Use another one.").format(coordinates.point)]
		)
	frappe.db.set_value(SEQUENCE, sequence.name, "last_number", str(following))
	row.update(
		{
			"sequence": sequence.name,
			"sequence_number": f"{following:010d}",
			"branch_code": coordinates.branch,
			"point_code": coordinates.point,
			"serial_device": coordinates.serial_device,
		}
	)
	return replace(coordinates, number=following)


def _sequence(company: str, environment: str, coordinates: Coordinates):
	"""The sequence's row, locked; made when it is the first document of its point."""
	key = {
		"company": company,
		"environment": environment,
		"branch_code": coordinates.branch,
		"point_code": coordinates.point,
	}
	found = _locked(key)
	if not found:
		try:
			frappe.get_doc({"doctype": SEQUENCE, **key}).insert(ignore_permissions=True)
		except (frappe.UniqueValidationError, frappe.DuplicateEntryError):
			# Another worker made it at the same moment.
			frappe.clear_last_message()
		found = _locked(key)
	return found


def _locked(key: dict):
	return frappe.db.get_value(SEQUENCE, key, ["name", "last_number"], as_dict=True, for_update=True)
