"""What we hang on the doctypes that have fiscal documents (sources.py): the same on all.

Only the check before submit, where the cashier can mend, and the checks before cancelling and deleting
throw. Nothing else may ever stop a sale or a POS Closing (invariant 8).
"""

from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import get_system_timezone, now_datetime

from fiscal_integration import (
	audit,
	cancellation,
	claims,
	connection,
	dispatch,
	numbering,
	sources,
)
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import MappingError
from fiscal_integration.fiscal.lifecycle import FOR_GLOBAL, NOT_REQUIRED
from fiscal_integration.fiscal.words import translated


def check_before_submit(doc, method=None):
	"""Decide whether the sale needs a fiscal document, and tell what has to be mended while it still can be.

	The document's name and first status are set here, so that they are saved with the invoice itself. The
	check is local, and silent when it fails itself.
	"""
	doc.fiscal_document = doc.fiscal_status = doc.fiscal_error = None
	try:
		if not sources.of(doc.doctype).in_scope(doc):
			return
		record = connection.record_for(doc.company)
		if not record:
			return
		doc.fiscal_document, doc.fiscal_status = frappe.generate_hash(length=10), lifecycle.QUEUED
		if doc.doctype == "Sales Invoice" and doc.get("is_consolidated"):
			# Made by a closing, even if it does not stand for what it should: nobody is there to mend it.
			return
		problems, without = _looked_at(doc, record)
		if without:
			doc.fiscal_document, (doc.fiscal_status, doc.fiscal_error) = None, without
	except Exception as error:
		_note(doc, "Fiscal check failed", error)
		return
	if problems:
		frappe.throw(
			"<br>".join(frappe.utils.escape_html(translated(problem.message, _)) for problem in problems),
			title=_("Not Ready for the Tax Authority"),
		)


def _looked_at(doc, record):
	"""What stops the sale; and what it shows where it is to have no document of its own."""
	try:
		invoice = sources.of(doc.doctype).to_invoice(doc, record.payment_code)
	except MappingError as error:
		return error.problems, None
	if any(entry.awaited for entry in invoice.settles):
		# What it settles is not issued yet, so that nothing can be checked.
		return [], None
	provider = record.provider_class(record.connection(secrets=False), None)
	without = without_document(provider, invoice)
	if without:
		return [], without
	invoice = numbering.placed(invoice, doc, provider)
	problems = provider.validate(invoice, now_datetime().replace(tzinfo=ZoneInfo(get_system_timezone())))
	for warning in provider.warnings(invoice):
		frappe.msgprint(
			frappe.utils.escape_html(translated(warning, _)),
			title=_("For the Tax Authority"),
			indicator="orange",
		)
	return [problem for problem in problems if problem.stops_sale], None


def without_document(provider, invoice) -> tuple[str, str] | None:
	"""The fiscal status of an invoice that is to have no document of its own, and why; None for all others."""
	reason = provider.not_needed(invoice)
	if not reason:
		return None
	return FOR_GLOBAL if provider.collects(invoice) else NOT_REQUIRED, translated(reason, _)


def create_fiscal_document(doc, method=None):
	"""The outbox row, in the invoice's own transaction; a job after its commit."""
	if not doc.get("fiscal_document"):
		return
	try:
		# One statement: when it fails, the database undoes that one alone, and the sale goes on.
		dispatch.create(doc)
	except Exception as error:
		_note(doc, "Fiscal document was not created", error)
		doc.db_set({"fiscal_document": None, "fiscal_status": None}, update_modified=False, notify=False)
		return
	try:
		for purpose in sources.of(doc.doctype).further(doc):
			dispatch.create(doc, purpose)
	except Exception as error:
		_note(doc, "Fiscal document of what was paid at once was not created", error)


def restore_projection(doc, method=None):
	"""ERPNext saved the whole invoice, perhaps with fiscal fields that it had read before we wrote them.

	A POS Closing does so in one long transaction, which sees our row as it was when it began. So the row is
	read again once that is committed; taking a lock on it instead might cost the closing a deadlock.
	"""
	try:
		row = dispatch.find(doc.doctype, doc.name)
		if row:
			dispatch.write_projection(row)
			dispatch.project_after_commit(row.name)
		for purpose in sources.of(doc.doctype).lacking(doc):
			name = dispatch.create(doc, purpose)
			if purpose == dispatch.PURPOSE:
				doc.fiscal_document = name
			dispatch.project_after_commit(name)
	except Exception as error:
		_note(doc, "Fiscal fields were not restored", error)


def check_before_cancel(doc, method=None):
	"""Throws while a fiscal document exists, or may exist, at the provider."""
	rows = dispatch.find_all(doc.doctype, doc.name)
	for row in rows:
		_refuse_cancel(doc, row)
	if rows:
		return
	parent = claims.holding(doc.doctype, doc.name, lock=True)
	if parent:
		frappe.throw(
			_(
				"{0} is part of the global invoice {1} and cannot be cancelled. Make a return (credit note) against it "
				"instead."
			).format(doc.name, parent),
			title=_("In a Global Invoice"),
		)


def _refuse_cancel(doc, row):
	if row.status == lifecycle.ISSUED and row.cancellation_status != lifecycle.CANCELLED:
		if not sources.of(doc.doctype).returnable:
			frappe.throw(
				_(
					"{0} has the fiscal document {1}, which has to be cancelled first: Fiscal > Cancel Fiscal Document. "
					"There you may have it cancelled here too, as soon as the authority has agreed."
				).format(doc.name, row.fiscal_id),
				title=_("Fiscal Document Issued"),
			)
		message = _(
			"{0} has the fiscal document {1} and cannot be cancelled. Make a return (credit note) against it "
			"instead."
		).format(doc.name, row.fiscal_id)
		if cancellation.offered(row):
			message += " " + _(
				"If the sale did not take place, have the fiscal document cancelled first: Fiscal > Cancel Fiscal "
				"Document."
			)
		offer = None
		if not doc.get("is_return"):
			offer = {
				"label": _("Make a Credit Note"),
				"client_action": "fiscal_integration.invoice.make_credit_note",
				"args": {"doctype": doc.doctype, "name": doc.name},
			}
		frappe.throw(message, title=_("Fiscal Document Issued"), primary_action=offer)
	if row.status == lifecycle.QUEUED and row.fiscal_id:
		frappe.throw(
			_(
				"{0} is signed and has its fiscal id {1}, which the customer may hold. It will be submitted; make a "
				"return (credit note) against it instead."
			).format(doc.name, row.fiscal_id),
			title=_("Fiscal Document Signed"),
		)
	if row.status in lifecycle.OPEN:
		frappe.throw(
			_(
				"{0} is with the fiscal provider ({1}), and may have been issued. Wait for the answer, or use "
				"Ask the Provider on its fiscal document."
			).format(doc.name, _(row.status)),
			title=_("Fiscal Document Under Way"),
		)


def withdraw_fiscal_document(doc, method=None):
	"""Nothing was issued: a row that was never sent goes, one that was stays as Withdrawn."""
	for found in dispatch.find_all(doc.doctype, doc.name):
		_withdraw(doc, frappe.get_doc(dispatch.DOCTYPE, found.name, for_update=True))


def _withdraw(doc, row):
	# The locked row is as it is now; what the check before read may be as it was when this transaction began,
	# and a worker may have taken the document since.
	_refuse_cancel(doc, row)
	if row.status == lifecycle.ISSUED:
		# The authority has cancelled it; the row stays as it is.
		return
	if _never_sent(row) and not row.sequence_number:
		frappe.delete_doc(dispatch.DOCTYPE, row.name, ignore_permissions=True, force=True)
		if row.purpose == dispatch.PURPOSE:
			doc.db_set({"fiscal_document": None, "fiscal_status": None}, update_modified=False, notify=False)
		return
	row.move_to(lifecycle.WITHDRAWN)
	row.next_attempt = None
	row.store()
	dispatch.write_projection(row)


def check_before_delete(doc, method=None):
	"""An invoice whose fiscal document was sent stays, as the evidence of what it was for."""
	for row in dispatch.find_all(doc.doctype, doc.name):
		if not _never_sent(row):
			frappe.throw(
				_("{0} cannot be deleted: its fiscal document {1} has to be kept.").format(
					doc.name, row.name
				),
				title=_("Fiscal Document"),
			)
		frappe.delete_doc(dispatch.DOCTYPE, row.name, ignore_permissions=True, force=True)


def _never_sent(row) -> bool:
	"""Nothing is recorded of it: a retry sets the attempts back to none, but never the record."""
	return row.status == lifecycle.QUEUED and not row.attempts and not row.exchange_count


def _note(doc, title, error):
	"""A failure of ours is told to the administrator, never to the till.

	A deadlock is not ours to swallow: the database has undone the whole sale, which must not go on in halves.
	"""
	if isinstance(error, frappe.QueryDeadlockError):
		raise error
	try:
		audit.log_failure(f"{title}: {doc.name}", str(error), error=error)
	except Exception:
		frappe.logger("fiscal_integration").error(f"{title}: {doc.name}: {type(error).__name__}")
