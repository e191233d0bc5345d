"""What is due: every query for it stands here, and finds the same rows on Frappe 15, 16 and 17.

A row whose date is empty is never due: it is held back, or nothing is left to do for it. Frappe compares an empty
date as if it lay in the year 1, so that "<=" finds it first of all; from 16 on not even `ignore_ifnull` prevents
that. `between` leaves empty dates out in every version (docs/frappe-versions.md).
"""

from datetime import date, datetime

import frappe
from frappe.utils import now_datetime

from fiscal_integration.fiscal import lifecycle

DOCUMENT = "Fiscal Document"
EVENT = "Fiscal Webhook Event"
LONG_AGO, EVER = datetime(1900, 1, 1), datetime(2999, 12, 31)


def by(moment: datetime | date | None = None) -> tuple:
	"""The filter that a date has come by `moment`, by default now; an empty one never has."""
	return ("between", (LONG_AGO, moment or now_datetime()))


def documents(limit: int) -> list:
	"""The Fiscal Documents of all companies that are to be sent or asked about (name, company, bulk)."""
	return frappe.get_all(
		DOCUMENT,
		filters={"status": ("in", lifecycle.DUE), "next_attempt": by()},
		fields=["name", "company", "bulk"],
		order_by="next_attempt asc",
		limit=limit,
	)


def of_company(company: str, bulk: int, limit: int, skip=(), busy_devices=()) -> list:
	"""Those of one company, live or `bulk`, without the names in `skip` and the devices in `busy_devices`
	(name, device, next_attempt). One query for each state: over all of them at once the database would sort
	everything that is due."""
	found = []
	for status in lifecycle.DUE:
		found += frappe.get_all(
			DOCUMENT,
			filters={
				"company": company,
				"status": status,
				"bulk": bulk,
				"next_attempt": by(),
				**({"name": ("not in", list(skip))} if skip else {}),
				**({"device": ("not in", list(busy_devices))} if busy_devices else {}),
			},
			fields=["name", "device", "next_attempt"],
			order_by="next_attempt asc",
			limit=limit,
		)
	return sorted(found, key=lambda row: row.next_attempt)[:limit]


def next_of_device(device: str) -> str | None:
	"""The oldest Fiscal Document that waits on a device, if it is due."""
	names = frappe.get_all(
		DOCUMENT,
		{"device": device, "status": lifecycle.QUEUED, "next_attempt": by()},
		pluck="name",
		order_by="creation asc, name asc",
		limit=1,
	)
	return names[0] if names else None


def in_batch(batch: str, until: datetime) -> str | None:
	"""A Fiscal Document of a batch that is due by `until`."""
	return frappe.db.exists(
		DOCUMENT, {"batch": batch, "status": ("in", lifecycle.DUE), "next_attempt": by(until)}
	)


def xml_files(limit: int) -> list[str]:
	"""The issued Fiscal Documents whose XML is to be fetched."""
	return frappe.get_all(
		DOCUMENT,
		{"status": lifecycle.ISSUED, "next_attempt": by()},
		pluck="name",
		order_by="next_attempt asc",
		limit=limit,
	)


def notifications(limit: int) -> list[str]:
	"""The issued Fiscal Documents that are to be sent to their customers by e-mail."""
	return frappe.get_all(
		DOCUMENT,
		{"status": lifecycle.ISSUED, "notify_at": by()},
		pluck="name",
		order_by="notify_at asc",
		limit=limit,
	)


def unsent_mails(before: datetime, fields: list[str]) -> list:
	"""The Fiscal Documents that were issued before `before`, whose mail to the customer failed and is to be tried again;
	the oldest first."""
	return frappe.get_all(
		DOCUMENT,
		{
			"status": lifecycle.ISSUED,
			"status_since": by(before),
			"notify_at": by(EVER),
			"notification_error": ("is", "set"),
		},
		["name", *fields],
		order_by="status_since asc",
		limit=0,
	)


def cancellations(limit: int) -> list[str]:
	"""The Fiscal Documents whose cancellation goes on, or is followed by something still to do."""
	return frappe.get_all(
		DOCUMENT,
		{
			"cancellation_status": ("in", (*lifecycle.CANCELLING, lifecycle.CANCELLED)),
			"cancellation_next": by(),
		},
		pluck="name",
		order_by="cancellation_next asc",
		limit=limit,
	)


def webhook_events(limit: int) -> list[str]:
	"""The webhook events that were not applied yet and are to be tried again."""
	return frappe.get_all(
		EVENT, {"status": "Received", "next_try": by()}, pluck="name", order_by="creation asc", limit=limit
	)


def unsent_alerts(before: datetime, today: date, fields: list[str]) -> list:
	"""The Fiscal Documents that have needed a person, or have not been issued, since before `before`, and that nobody
	was told of on the day `today`; the oldest first."""
	found = {}
	for filters in (
		{"status": ("in", lifecycle.DEAD_LETTERS), "status_since": by(before)},
		{"status": ("in", lifecycle.DUE), "creation": by(before)},
	):
		# Two queries, since whether an empty date is before today depends on the version of Frappe.
		for told in ({"alerted_on": ("is", "not set")}, {"alerted_on": ("<", today)}):
			for row in frappe.get_all(
				DOCUMENT, {**filters, **told}, ["name", *fields], order_by="creation asc", limit=0
			):
				found[row.name] = row
	return list(found.values())
