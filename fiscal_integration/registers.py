"""Setting up cash registers at the authority, step by step, and their archive (providers/fiskaly.md).

Each step looks at what is there before it does anything, and its ids are stored before they are used: so it may be
repeated after any failure, and goes on where it stopped.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import get_system_timezone, getdate, now_datetime
from frappe.utils.file_manager import save_file

from fiscal_integration import audit, connection
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.austria import rksv
from fiscal_integration.fiscal.errors import Failure
from fiscal_integration.fiscal.words import translated
from fiscal_integration.numbering import POINT
from fiscal_integration.providers.base import Account, Device

ARCHIVE = "Fiscal Archive"
SAFE_WITHIN_DAYS = 5
"""Days after a month's end within which it has to be saved and found right; then people are told."""


def status(record) -> dict:
	"""What the form shows: the states that were seen last, and the tills."""
	provider = record.provider_class
	if not provider or not provider.capabilities.registers:
		return {}
	missing = [key for key in record.secret_keys() if not record.stored_secret(key)]
	companies = [record.get("company")] if record.get("company") else frappe.get_all("Company", pluck="name")
	return {
		"organization": {
			"offered": provider.capabilities.organizations,
			"id": record.organization or "",
			"credentials": not missing,
			"details": _details(record.get("company") or (companies[0] if companies else "")),
		},
		"authority": record.authority_state or "",
		"unit": record.signature_unit_state or "",
		"ready": provider.ready_states,
		"tills": frappe.get_all(
			POINT,
			{"company": ("in", companies), "enabled": 1},
			["name", "pos_profile", "register_state", "register_serial", "training", "first_receipt_state"],
		),
	}


ORGANIZATION_FIELDS = ("name", "address", "postal_code", "city", "vat_id")


def _details(company: str) -> dict:
	"""What an organization of the company is made with, as far as ERPNext knows it."""
	address = frappe.db.get_value(
		"Dynamic Link", {"link_doctype": "Company", "link_name": company, "parenttype": "Address"}, "parent"
	)
	line, code, city = (
		frappe.db.get_value("Address", address, ["address_line1", "pincode", "city"])
		if address
		else ("", "", "")
	)
	vat_id = frappe.db.get_value("Company", company, "tax_id") if company else ""
	values = (company, line, code, city, vat_id)
	return {field: value or "" for field, value in zip(ORGANIZATION_FIELDS, values, strict=True)}


def organization(record, account: Account, details: dict) -> Device:
	"""Bring the company's organization and its credentials at the provider one step further: make it, then make and
	keep its key. The account's credentials are used and kept nowhere. Commits."""
	if not record.organization:
		missing = [field for field in ORGANIZATION_FIELDS[:-1] if not details.get(field)]
		if missing:
			frappe.throw(_("Name, address, postal code and city of the company have to be entered."))
		if not record.organization_reference:
			record.db_set("organization_reference", str(uuid.uuid4()), update_modified=False)
			frappe.db.commit()
		found = _call(
			record,
			lambda provider: provider.make_organization(account, record.organization_reference, details),
			(account.key, account.secret),
		)
		if not found.failure:
			record.db_set("organization", found.state, update_modified=False)
			frappe.db.commit()
		return found
	made = _call(
		record,
		lambda provider: provider.make_credentials(
			account, record.organization, record.organization_reference
		),
		(account.key, account.secret),
	)
	if isinstance(made, Device):
		return made
	record.keep_made(made.secrets)
	frappe.db.commit()
	return Device(record.organization, message=translated(made.message, _))


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
	"""Bring the cash register of a Fiscal Point of Sale one step further; of one that is ready, look what the authority
	says of its first receipt. Commits."""
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
	if not found.failure and found.state == record.provider_class.ready_states.get("register"):
		if not point.register_since:
			point.db_set("register_since", _today(), update_modified=False)
		look_at_first_receipt(point, record)
	return found


def look_at_first_receipt(point, record):
	"""Fetch and keep what the authority says of the receipt with which the cash register began. Commits."""
	told = _call(record, lambda provider: provider.first_receipt(point.register_id))
	if not told.failure:
		point.db_set("first_receipt_state", told.state, update_modified=False)
		frappe.db.commit()


def decommission(name: str) -> Device:
	"""End a cash register for good. Commits."""
	point = frappe.get_doc(POINT, name)
	record = _record(point.company)
	found = _call(record, lambda provider: provider.end_register(point.register_id))
	_keep(point, found)
	if found.state in record.provider_class.ready_states.get("ended", "").split():
		point.db_set("register_ended_on", _today(), update_modified=False)
		frappe.db.commit()
	return found


def _keep(point, found: Device):
	if not found.failure:
		point.db_set({"register_state": found.state, "register_serial": found.serial}, update_modified=False)
		frappe.db.commit()


# -- the archive -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Archived:
	"""An archive that was saved, and what its check said in words. `safe`: nothing is wrong with it."""

	file: object
	check: rksv.Check
	safe: bool
	result: str


def export(name: str, start: date, end: date) -> Archived:
	"""The archive of a cash register from `start` to `end`, both included, checked and saved as a private File.

	Commits. Raises frappe.ValidationError where the provider gives none.
	"""
	point = frappe.get_doc(POINT, name)
	found = _archive(point, start, end)
	if isinstance(found, Device):
		frappe.throw(found.message)
	return found


def _archive(point, start: date, end: date, reach: date | None = None) -> Archived | Device:
	"""An archive as `export` gives it, or why there is none.

	An outage that lasts over `end` is followed to the receipt that ends it, up to the day `reach`.
	"""
	record = _record(point.company)

	def fetched(until):
		return _call(record, lambda provider: provider.archive(point.register_id, start, until))

	found = fetched(end)
	if isinstance(found, Device):
		return found
	before = None if rksv.begins_register(found) else _receipts_before(point, start)
	check = rksv.check_export(found, before=before)
	if check.in_outage and reach and reach > end:
		further = fetched(reach)
		if not isinstance(further, Device):
			found, check = further, rksv.check_export(further, before=before)
	if not any(rksv.compact_receipts(found)):
		# A month in which nothing was signed.
		check = rksv.Check(joined=True)
	faults = [translated(fault, _) for fault in check.faults]
	if missing := sorted(_signed_numbers(point, start, end) - check.numbers):
		faults.append(
			_("{0} receipts that were signed are not in it, such as number {1}.").format(
				len(missing), missing[0]
			)
		)
	file = _saved(point, start, end, json.dumps(found, ensure_ascii=False, indent=1))
	return Archived(file, check, not faults, _in_words(check, faults))


def _in_words(check: rksv.Check, faults: list[str]) -> str:
	words = [
		_("{0} receipts, {1} signatures checked.").format(check.receipts, check.verified),
		*(faults or [_("No fault was found.")]),
	]
	if check.unverified:
		words.append(
			_("{0} signatures could not be checked: the archive holds no certificate for them.").format(
				check.unverified
			)
		)
	if not check.joined:
		words.append(_("Its beginning could not be checked: there is no archive of the time before."))
	return " ".join(words)


def _saved(point, start, end, content: str):
	"""The File that holds `content`; the one that is there already where nothing changed."""
	title = f"DEP7-{point.register_serial or point.name}-{start}-{end}"
	for name in frappe.get_all(
		"File",
		{"attached_to_doctype": POINT, "attached_to_name": point.name, "file_name": ("like", f"{title}%")},
		pluck="name",
	):
		file = frappe.get_doc("File", name)
		if _text(file) == content:
			return file
	file = save_file(f"{title}.json", content, POINT, point.name, is_private=1)
	frappe.db.commit()
	return file


def _text(file) -> str:
	content = file.get_content()
	return content.decode() if isinstance(content, bytes) else content


def _receipts_before(point, start: date) -> list[str]:
	"""The receipts of the two archives before that day, which the next one has to continue."""
	found = []
	rows = [row for row in point.archives if row.file and getdate(row.start) < start]
	for row in sorted(rows, key=lambda row: getdate(row.start))[-2:]:
		name = frappe.db.get_value("File", {"file_url": row.file, "attached_to_name": point.name})
		if name:
			found += rksv.compact_receipts(json.loads(_text(frappe.get_doc("File", name))))
	return found


def _signed_numbers(point, start: date, end: date) -> set[str]:
	"""The receipt numbers of our own documents that were signed on these days in Vienna."""
	zone = ZoneInfo(get_system_timezone())
	first, last = (
		datetime.combine(day, moment, rksv.VIENNA).astimezone(zone).replace(tzinfo=None)
		for day, moment in ((start, time.min), (end, time.max))
	)
	return set(
		frappe.get_all(
			"Fiscal Document",
			{
				"status": lifecycle.ISSUED,
				"provider_id": ("like", f"{point.register_id}/%"),
				"authorized_at": ("between", (first, last)),
			},
			pluck="authorization_number",
		)
	)


def archive_months():
	"""Save and check each month that is over, of every cash register, until it is safe. Daily; commits.

	The RKSV wants the receipts kept for seven years, and fiskaly keeps them for three months.
	"""
	for name in frappe.get_all(POINT, {"register_serial": ("is", "set")}, pluck="name"):
		try:
			archive_till(name)
		except Exception as error:
			# Each register for itself: what is wrong with one keeps no other from being saved.
			frappe.db.rollback()
			frappe.clear_messages()
			audit.log_failure(f"Archive of {name} failed", str(error), error=error)
			frappe.db.commit()


def archive_till(name: str):
	"""The same for the cash register of one Fiscal Point of Sale. Raises what is wrong."""
	point = frappe.get_doc(POINT, name)
	record = connection.record_for(point.company)
	if not record or not record.provider_class.capabilities.registers:
		return
	ready = record.provider_class.ready_states
	if point.register_state == ready.get("register") and point.first_receipt_state != ready.get(
		"first_receipt"
	):
		look_at_first_receipt(point, record)
	for start, end in unsafe_months(point):
		point.reload()
		found = _archive(point, start, end, reach=_today() - timedelta(days=1))
		values = {"start": start, "end": end, "saved_at": now_datetime()}
		if isinstance(found, Device):
			values.update({"safe": 0, "result": found.message})
		else:
			told = {"safe": int(found.safe), "receipts": found.check.receipts, "result": found.result}
			values.update({**told, "file": found.file.file_url})
		row = next((row for row in point.archives if getdate(row.start) == start), None)
		if row:
			row.db_set(values, update_modified=False)
		else:
			row = frappe.new_doc(ARCHIVE, parent_doc=point, parentfield="archives")
			row.update({**values, "idx": len(point.archives) + 1})
			row.insert(ignore_permissions=True)
		if values["safe"] and not [month for month in unsafe_months(point) if month[0] < start]:
			point.db_set("archived_until", end, update_modified=False)
		frappe.db.commit()


def unsafe_months(point) -> list[tuple[date, date]]:
	"""First and last day of each month that is over, and whose receipts are not saved and found right."""
	safe = {
		getdate(start)
		for start in frappe.get_all(
			ARCHIVE, {"parent": point.name, "parenttype": POINT, "safe": 1}, pluck="start"
		)
	}
	if point.archived_until:
		since = getdate(point.archived_until) + timedelta(days=1)
	else:
		since = getdate(point.register_since or point.creation)
	until = _today()
	if point.register_ended_on:
		until = min(until, _next_month(getdate(point.register_ended_on)))
	found, start = [], since.replace(day=1)
	while (following := _next_month(start)) <= until:
		if start not in safe:
			found.append((start, following - timedelta(days=1)))
		start = following
	return found


def _next_month(day: date) -> date:
	"""The first day of the month after that of `day`."""
	return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def overdue_months() -> list[tuple]:
	"""Each Fiscal Point of Sale that has months which should be safe and are not: with its name, company, label, the
	first and last day of the oldest of them, and why."""
	found = []
	for name in frappe.get_all(POINT, {"register_serial": ("is", "set")}, pluck="name"):
		point = frappe.get_doc(POINT, name)
		late = [month for month in unsafe_months(point) if (_today() - month[1]).days > SAFE_WITHIN_DAYS]
		if late:
			start, end = late[0]
			why = next((row.result for row in point.archives if getdate(row.start) == start), "")
			found.append((point.name, point.company, point.pos_profile or point.name, start, end, why))
	return found


def _today() -> date:
	"""The day in Vienna, by which receipts belong to months."""
	return now_datetime().replace(tzinfo=ZoneInfo(get_system_timezone())).astimezone(rksv.VIENNA).date()


def closings(name: str) -> list[dict]:
	"""The receipts that the provider makes by itself, such as the monthly and yearly ones."""
	point = frappe.get_doc(POINT, name)
	found = _call(_record(point.company), lambda provider: provider.closings(point.register_id))
	if isinstance(found, Device):
		frappe.throw(found.message)
	return found


def _record(company: str):
	record = connection.record_for(company)
	if not record or not record.provider_class.capabilities.registers:
		frappe.throw(_("The provider of {0} has no cash registers.").format(company))
	return record


def _call(record, action, secrets=()):
	"""What `action` makes of the provider; a Device with its failure when there is one. Records the exchanges, without
	`secrets` and those that the answer holds."""
	found = record.connection()
	recorder = audit.Recorder(found.provider, found.secrets, record.name)
	recorder.secrets += secrets
	provider = connection.open_provider(found, recorder)
	answer = action(provider)
	recorder.secrets += getattr(answer, "secrets", {}).values()
	recorder.keep()
	failure = answer if isinstance(answer, Failure) else getattr(answer, "failure", None)
	if failure:
		message = recorder.redact(translated(failure.message, _))
		audit.log_failure(f"Set-up: {provider.label}", message, recorder)
		frappe.db.commit()
		return Device(failure=failure, message=message)
	return answer
