"""Sales that Auto Repeat and Subscription make: one per period, whatever runs twice (seed 004)."""

import frappe
from frappe import _
from frappe.utils import get_datetime, getdate

from fiscal_integration.fiscal import lifecycle

MONTHLY = ("Monthly", "Quarterly", "Half-yearly", "Yearly")


def period_key(doc) -> tuple[str, ...]:
	"""What stands for the sale: who repeats it, since when there is one of that name, and the period.

	Empty for a sale that nobody repeats, and for returns and additions, of which there may be several.
	"""
	if doc.get("is_return") or doc.get("is_debit_note"):
		return ()
	if doc.get("subscription"):
		start, end = (getdate(doc.get(field) or doc.posting_date) for field in ("from_date", "to_date"))
		period = f"{start}/{end}"
		return (doc.subscription, period, _created("Subscription", doc.subscription))
	if doc.get("auto_repeat"):
		repeat = frappe.get_doc("Auto Repeat", doc.auto_repeat)
		if (repeat.reference_doctype, repeat.reference_document) == (doc.doctype, doc.name):
			return ()
		return (repeat.name, _period(repeat, getdate(doc.posting_date)), str(get_datetime(repeat.creation)))
	return ()


def _created(doctype, name) -> str:
	return str(get_datetime(frappe.db.get_value(doctype, name, "creation") or "2000-01-01"))


def _period(repeat, day) -> str:
	if repeat.frequency in MONTHLY:
		return day.strftime("%Y-%m")
	if repeat.frequency == "Weekly" and len(repeat.get("repeat_on_days") or ()) < 2:
		year, week, _weekday = day.isocalendar()
		return f"{year}-W{week:02d}"
	return str(day)


def unused(reference: str) -> str:
	"""`reference`, or with a number behind it when what bore it was withdrawn before anything was issued.

	Throws when the period has its document, or is about to.
	"""
	candidate, number = reference, 1
	while True:
		other = frappe.db.get_value(
			"Fiscal Document", {"external_reference": candidate}, ["status", "reference_name"], as_dict=True
		)
		if not other:
			return candidate
		if other.status != lifecycle.WITHDRAWN:
			raise AlreadyInvoiced(
				_(
					"{0} is the invoice of this period already. Cancel it first, or leave this one out."
				).format(other.reference_name)
			)
		number += 1
		candidate = f"{reference}.{number}"


class AlreadyInvoiced(frappe.ValidationError):
	"""A second invoice of a period that has one: the one failure of ours that stops a sale, since it is none."""
