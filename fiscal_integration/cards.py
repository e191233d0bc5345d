"""The numbers of the workspace that Frappe's own cards cannot tell. None of them calls a provider.

Each returns what a Number Card of the type Custom shows and opens, or a dash where there is nothing to tell.
"""

import json

import frappe
from frappe.utils import add_to_date, now_datetime

from fiscal_integration import alerts, connection, custom_fields
from fiscal_integration.fiscal import lifecycle

NOTHING = "–"


def may_see_app() -> bool:
	"""True for users who find the app on the home screen and in the app switcher."""
	return bool({"System Manager", *custom_fields.ROLES}.intersection(frappe.get_roles()))


@frappe.whitelist()
def dead_letters() -> dict:
	"""How many documents have needed a person for as long as alerts wait before they tell."""
	_require_reader()
	before = add_to_date(now_datetime(), hours=-alerts.OLDER_THAN_HOURS).replace(microsecond=0)
	filters = {"status": ["in", list(lifecycle.DEAD_LETTERS)], "status_since": ["<=", str(before)]}
	# Counted here: 15 and 16 have no common way to let get_list, which looks at permissions, count.
	found = frappe.get_list(alerts.DOCTYPE, filters=filters, pluck="name", order_by="", limit=0)
	return _number(len(found), ["List", alerts.DOCTYPE, "List"], filters)


@frappe.whitelist()
def folios_left() -> dict | str:
	"""The least supply of the connections that have one, as the daily look found it (alerts.supplies)."""
	_require_reader()
	supplies = []
	for record in connection.enabled_records():
		left = json.loads(record.get("expiry_alerts") or "{}").get(alerts.SUPPLY_LEFT)
		if record.provider_class.capabilities.supply and left is not None:
			supplies.append((left, record))
	return _least(supplies)


@frappe.whitelist()
def certificate_days() -> dict | str:
	"""Days until the first certificate or the like ends; less than 0 when one has ended."""
	_require_reader()
	today = now_datetime().date()
	return _least([((day - today).days, record) for record, _label, day, _name in alerts.endings()])


def _require_reader():
	frappe.has_permission(alerts.DOCTYPE, "read", throw=True)


def _least(found) -> dict | str:
	"""The smallest of (number, record), which opens its record for whoever may read that."""
	if not found:
		return NOTHING
	number, record = min(found, key=lambda pair: pair[0])
	return _number(number, ["Form", record.doctype, record.name] if record.has_permission("read") else None)


def _number(value: int, route: list | None, filters: dict | None = None) -> dict:
	return {"value": value, "fieldtype": "Int", "route": route, "route_options": filters}
