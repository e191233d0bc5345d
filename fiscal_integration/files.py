"""PDF and XML of an issued document: fetched once on request, kept as private files of the invoice."""

import frappe
from frappe import _
from frappe.utils.file_manager import save_file

from fiscal_integration import audit, connection, dispatch
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.words import translated

ACKNOWLEDGEMENT = "acknowledgement"
KINDS = ("pdf", "xml", ACKNOWLEDGEMENT)
SUFFIXES = {"pdf": "fiscal.pdf", "xml": "fiscal.xml", ACKNOWLEDGEMENT: "fiscal-cancellation.xml"}


def offered(row) -> list[str]:
	"""The kinds of files that the row's provider offers; the receipt of a cancellation when there was one."""
	provider = connection.providers().get(row.provider)
	if not provider:
		return []
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
