"""Sales that Auto Repeat and Subscription make: issued once per period, whatever runs twice.

A second invoice of a period is not stopped, since Auto Repeat switches itself off when one fails: it is
submitted, and its fiscal document waits for a person instead of being sent.
"""

import frappe
from frappe.utils import get_datetime, getdate

from fiscal_integration import sources
from fiscal_integration.fiscal import lifecycle

MONTHLY = ("Monthly", "Quarterly", "Half-yearly", "Yearly")


def period_key(doc) -> tuple[str, ...]:
	"""What stands for the sale: who repeats it, since when there is one of that name, and the period.

	Empty for a sale that nobody repeats, and for returns and additions, of which there may be several.
	"""
	if not sources.of(doc.doctype).repeats or doc.get("is_return") or doc.get("is_debit_note"):
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


def reference_for(base: str) -> tuple[str, str]:
	"""The reference of a period's document, and the invoice that has it already (empty when none has).

	What was withdrawn before anything was issued has given the period free; its own reference it keeps.
	"""
	candidate, number = base, 1
	while True:
		other = frappe.db.get_value(
			"Fiscal Document", {"external_reference": candidate}, ["status", "reference_name"], as_dict=True
		)
		if not other:
			return candidate, ""
		if other.status != lifecycle.WITHDRAWN:
			return candidate, other.reference_name
		number += 1
		candidate = f"{base}.{number}"
