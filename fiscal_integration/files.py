"""PDF and XML of an issued document: fetched once, on request, and kept as private files of the invoice.

The XML also without a request, where the settings say so: it is what the law calls the document, and what is printed
may need it. An issued Fiscal Document whose XML is still to come has a `next_attempt`.
"""

import time

import frappe
from frappe import _
from frappe.utils import add_to_date, get_datetime, now_datetime
from frappe.utils.file_manager import save_file

from fiscal_integration import audit, circuit, connection, dispatch, due
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.words import translated
from fiscal_integration.slots import Slots

ACKNOWLEDGEMENT = "acknowledgement"
KINDS = ("pdf", "xml", ACKNOWLEDGEMENT)
KEEP_SECONDS = 20
"""A job that keeps what is due gives its worker back after this, and queues itself again when something is left."""
LEAST_WAIT, LAST_TRY = 60, 3 * 86400
"""Seconds between two tries to fetch an XML, which grow with its age, and the age at which nobody tries any more."""
SUFFIXES = {"pdf": "fiscal.pdf", "xml": "fiscal.xml", ACKNOWLEDGEMENT: "fiscal-cancellation.xml"}


def offered(row) -> list[str]:
	"""The kinds of files that the row's provider offers; the receipt of a cancellation when there was one."""
	provider = connection.providers().get(row.provider)
	if not provider:
		return []
	settings = connection.for_company(row.company, secrets=False)
	if settings and settings.provider == row.provider:
		found = provider(settings, None).files()
	else:
		found = [kind for kind in ("pdf", "xml") if getattr(provider.capabilities, kind)]
	if provider.capabilities.acknowledges and row.cancellation_status == lifecycle.CANCELLED:
		found.append(ACKNOWLEDGEMENT)
	return found


class NotIssued(frappe.ValidationError):
	"""The invoice has no fiscal document yet, so that there is no file of it."""

	http_status_code = 409


def file_of(row, kind: str):
	"""The File with the PDF or XML of the Fiscal Document `row`; fetched from the provider the first time.

	Raises NotIssued, and frappe.ValidationError when the provider does not give it.
	"""
	if row.status != lifecycle.ISSUED:
		frappe.throw(
			_("{0} has no fiscal document yet: its status is {1}.").format(row.reference_name, _(row.status)),
			NotIssued,
		)
	url = row.get(kind)
	if url:
		kept = frappe.db.get_value("File", {"file_url": url, "attached_to_name": row.reference_name})
		if kept:
			return frappe.get_doc("File", kept)
	content = _fetch(row, kind)
	own = row.purpose == dispatch.PURPOSE
	name = file_name(row.reference_name if own else f"{row.reference_name}-{frappe.scrub(row.purpose)}", kind)
	file = save_file(
		name,
		content,
		row.reference_doctype,
		row.reference_name,
		is_private=1,
	)
	if file.file_name != name:
		# The disk already had a file of that name, so Frappe stored this one under another.
		file.db_set("file_name", name)
	frappe.db.set_value(dispatch.DOCTYPE, row.name, kind, file.file_url, update_modified=False)
	frappe.db.commit()
	return file


def file_name(invoice: str, kind: str) -> str:
	return f"{invoice.replace('/', '-')}-{SUFFIXES[kind]}"


def _fetch(row, kind) -> bytes:
	found = connection.for_company(row.company)
	if not found or (found.provider, found.environment) != (row.provider, row.environment):
		frappe.throw(
			_("{0} was issued through {1} ({2}), which is not the connection of {3} any more.").format(
				row.reference_name, row.provider, row.environment, row.company
			)
		)
	recorder = audit.Recorder(row.provider, found.secrets, row.name)
	provider = connection.open_provider(found, recorder)
	try:
		download = getattr(provider, kind)(dispatch.held(row))
	finally:
		recorder.keep(row)
	if download.failure:
		audit.log_failure(f"{row.reference_name}: {kind}", download.failure.message, recorder, row)
		frappe.db.commit()
		frappe.throw(
			recorder.redact(translated(download.failure.message, _)), title=_("No File From the Provider")
		)
	return download.content


# -- without being asked ---------------------------------------------------------------------------------


def sweep():
	"""Queue the fetching of the XML files that are due."""
	if due.xml_files(1):
		_enqueue_due()


def _enqueue_due(part: int = 0) -> bool:
	return dispatch.enqueue_job("fiscal_integration.files.keep_due", "long", f"fiscal-xml-{part}", part=part)


def keep_due(part: int = 0, seconds: float = KEEP_SECONDS):
	"""The job: fetch what is due, one after the other and each once. `part` alternates (see drain.enqueue_drain)."""
	deadline, tried = time.monotonic() + seconds, set()
	while names := [name for name in due.xml_files(20) if name not in tried]:
		for name in names:
			tried.add(name)
			keep(name)
			if time.monotonic() > deadline:
				_enqueue_due(1 - part)
				return


def keep(document: str):
	"""The job: fetch and keep the XML of an issued document that has none yet. Never raises (see dispatch.process)."""
	try:
		frappe.db.commit()
		row = frappe.get_doc(dispatch.DOCTYPE, document, for_update=True)
		ready = row.next_attempt and get_datetime(row.next_attempt) <= now_datetime()
		if row.status != lifecycle.ISSUED or not ready:
			frappe.db.rollback()
			return
		# Put off before it is tried, so that nobody else tries now, and soon nobody does if this fails.
		_set_next(document, _next_try(row))
		if row.xml or _keep(row):
			_set_next(document, None)
	except Exception as error:
		frappe.db.rollback()
		dispatch.log("XML could not be kept", document, error)


def _set_next(document, moment):
	frappe.db.set_value(dispatch.DOCTYPE, document, "next_attempt", moment, update_modified=False)
	frappe.db.commit()


def _keep(row) -> bool:
	record = connection.record_for(row.company)
	if not record or circuit.look(circuit.source_of(record)).open:
		return False
	found = record.connection(secrets=False)
	slots = Slots(found.source, found.max_concurrent)
	token = slots.take(False, dispatch.SLOT_WAIT_SECONDS)
	if not token:
		return False
	try:
		file_of(row, "xml")
		return True
	except frappe.ValidationError:
		# It was recorded; the next try may find it.
		frappe.db.rollback()
		frappe.clear_messages()
		return False
	finally:
		slots.give_back(token)


def _next_try(row):
	now = now_datetime()
	age = int((now - get_datetime(row.status_since)).total_seconds())
	return add_to_date(now, seconds=max(3 * age, LEAST_WAIT)) if age < LAST_TRY else None
