"""Setting up cash registers at the authority, step by step, and their archive (seed 002, austria.md 3.2).

Each step looks at what is there before it does anything, and its ids are stored before they are used: so it may be
repeated after any failure, and goes on where it stopped.
"""

import json
import uuid
from datetime import date, timedelta

import frappe
from frappe import _
from frappe.utils import getdate, now_datetime
from frappe.utils.file_manager import save_file

from fiscal_integration import audit, connection
from fiscal_integration.fiscal.errors import Failure
from fiscal_integration.fiscal.words import translated
from fiscal_integration.numbering import POINT
from fiscal_integration.providers.base import Device


def status(record) -> dict:
	"""What the form shows: the states that were seen last, and the tills."""
	provider = record.provider_class
	if not provider or not provider.capabilities.registers:
		return {}
	companies = [record.get("company")] if record.get("company") else frappe.get_all("Company", pluck="name")
	return {
		"authority": record.authority_state or "",
		"unit": record.signature_unit_state or "",
		"ready": provider.ready_states,
		"tills": frappe.get_all(
			POINT,
			{"company": ("in", companies), "enabled": 1},
			["name", "pos_profile", "register_state", "register_serial", "training"],
		),
	}


def authority(record, credentials: dict | None = None) -> Device:
	"""Enter the credentials at the authority, or look whether that was done. Commits."""
	found = _call(record, lambda provider: provider.authority(credentials))
	if not found.failure:
		record.db_set("authority_state", found.state, update_modified=False)
		frappe.db.commit()
	return found


def unit(record, legal_entity: str) -> Device:
	"""Bring the signature creation unit one step further. Commits."""
	if not record.signature_unit:
		record.db_set("signature_unit", str(uuid.uuid4()), update_modified=False)
		frappe.db.commit()
	found = _call(
		record,
		lambda provider: provider.advance_unit(record.signature_unit, legal_entity, record.company or ""),
	)
	if not found.failure:
		record.db_set("signature_unit_state", found.state, update_modified=False)
		frappe.db.commit()
	return found


def till(name: str) -> Device:
	"""Bring the cash register of a Fiscal Point of Sale one step further. Commits."""
	point = frappe.get_doc(POINT, name)
	record = _record(point.company)
	if not point.register_id:
		point.db_set("register_id", str(uuid.uuid4()), update_modified=False)
		frappe.db.commit()
	found = _call(
		record,
		lambda provider: provider.advance_register(point.register_id, point.pos_profile or point.company),
	)
	_keep(point, found)
	return found


def decommission(name: str) -> Device:
	"""End a cash register for good. Commits."""
	point = frappe.get_doc(POINT, name)
	found = _call(_record(point.company), lambda provider: provider.end_register(point.register_id))
	_keep(point, found)
	return found


def _keep(point, found: Device):
	if not found.failure:
		point.db_set({"register_state": found.state, "register_serial": found.serial}, update_modified=False)
		frappe.db.commit()


def export(name: str, start: date, end: date):
	"""The archive of a cash register from `start` to `end`, both included, as a private File. Commits."""
	point = frappe.get_doc(POINT, name)
	found = _call(
		_record(point.company),
		lambda provider: provider.archive(point.register_id, start, end),
	)
	if isinstance(found, Device):
		frappe.throw(found.message)
	content = json.dumps(found, ensure_ascii=False, indent=1)
	file = save_file(
		f"DEP7-{point.register_serial or point.name}-{start}-{end}.json",
		content,
		POINT,
		point.name,
		is_private=1,
	)
	frappe.db.commit()
	return file


def closings(name: str) -> list[dict]:
	"""The receipts that the provider makes by itself, such as the monthly and yearly ones."""
	point = frappe.get_doc(POINT, name)
	found = _call(_record(point.company), lambda provider: provider.closings(point.register_id))
	if isinstance(found, Device):
		frappe.throw(found.message)
	return found


def archive_quarter():
	"""Save the quarter that has ended of every cash register, once (the RKSV wants it kept for seven years)."""
	today = getdate(now_datetime())
	begin = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
	last = begin - timedelta(days=1)
	first = date(last.year, 3 * ((last.month - 1) // 3) + 1, 1)
	for point in frappe.get_all(
		POINT, {"register_state": ("is", "set")}, ["name", "company", "archived_until"]
	):
		if not connection.record_for(point.company) or (
			point.archived_until and getdate(point.archived_until) >= last
		):
			continue
		try:
			export(point.name, first, last)
			frappe.db.set_value(POINT, point.name, "archived_until", last, update_modified=False)
		except frappe.ValidationError as error:
			frappe.clear_messages()
			audit.log_failure(f"Archive of {point.name} failed", str(error))
		frappe.db.commit()


def _record(company: str):
	record = connection.record_for(company)
	if not record or not record.provider_class.capabilities.registers:
		frappe.throw(_("The provider of {0} has no cash registers.").format(company))
	return record


def _call(record, action):
	"""What `action` makes of the provider; a Device with its failure when there is one. Records the exchanges."""
	found = record.connection()
	recorder = audit.Recorder(found.provider, found.secrets, record.name)
	provider = connection.open_provider(found, recorder)
	answer = action(provider)
	recorder.keep()
	failure = answer if isinstance(answer, Failure) else getattr(answer, "failure", None)
	if failure:
		message = recorder.redact(translated(failure.message, _))
		audit.log_failure(f"Set-up: {provider.label}", message, recorder)
		frappe.db.commit()
		return Device(failure=failure, message=message)
	return answer
