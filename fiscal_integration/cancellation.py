"""Cancelling an issued document at the authority: an axis of its own beside the issuing one (delivery.md).

A request is kept on the Fiscal Document and carried out by a job. While it is in the air the row says Unknown,
so that a worker that dies leaves what has to be looked up first; asking a second time does no harm, since the
authority answers that it is cancelled already (authorities/panama.md#cancelling).
"""

from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import add_to_date, get_datetime, get_system_timezone, now_datetime

from fiscal_integration import audit, connection, dispatch, due, files, payments
from fiscal_integration.dispatch import DOCTYPE
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import ErrorClass, Failure
from fiscal_integration.fiscal.lifecycle import (
	CANCEL_FAILED,
	CANCEL_PENDING,
	CANCEL_REFUSED,
	CANCEL_REQUESTED,
	CANCEL_UNKNOWN,
	CANCELLED,
)
from fiscal_integration.fiscal.words import say, translated
from fiscal_integration.providers.base import Cancellation, CancelRequest, CancelStatus
from fiscal_integration.slots import Slots

AFTERWARDS_TRIES = 8
"""As often the authority's receipt is asked for, and the ERPNext document cancelled, before a person has to."""
SWEEP_LIMIT = 200
OUTCOMES = {
	CancelStatus.CANCELLED: CANCELLED,
	CancelStatus.PENDING: CANCEL_PENDING,
	CancelStatus.REFUSED: CANCEL_REFUSED,
}


def offered(row) -> bool:
	"""Whether a cancellation may be asked for: the settings allow it, the provider can, and none is under way."""
	if row.status != lifecycle.ISSUED or row.cancellation_status in (*lifecycle.CANCELLING, CANCELLED):
		return False
	if not frappe.get_cached_doc(connection.SETTINGS).enable_cancellation:
		return False
	provider = connection.providers().get(row.provider)
	return bool(provider and provider.capabilities.cancel)


def request(name: str, reason: str = "", motive: str = "", substitute: str = "", cancel_source: bool = False):
	"""Keep the request to cancel a document, and send it after the commit. Throws what stands in the way.

	`motive` is one of the provider's codes, `substitute` the Fiscal Document that takes the place. With
	`cancel_source` the ERPNext document is cancelled too, as soon as the authority has agreed.
	"""
	row = frappe.get_doc(DOCTYPE, name, for_update=True)
	if not offered(row):
		frappe.throw(
			_(
				"{0} cannot be cancelled at the authority: it is not issued, a cancellation is under way, the "
				"provider cannot, or Enable Cancellation is off in the settings."
			).format(row.reference_name)
		)
	found = _connection(row)
	provider = connection.providers()[found.provider](found, None)
	now = now_datetime()
	asked = CancelRequest(
		(reason or "").strip(), (motive or "").strip(), _substitute(row, substitute) if substitute else ""
	)
	problems = provider.check_cancel(
		dispatch.held(row), asked, now.replace(tzinfo=ZoneInfo(get_system_timezone()))
	)
	if problems:
		frappe.throw("<br>".join(translated(problem.message, _) for problem in problems))
	_refuse_what_hangs_on_it(row)
	_move(row, CANCEL_REQUESTED)
	row.update(
		{
			"cancellation_reason": asked.reason,
			"cancellation_motive": asked.motive,
			"cancellation_substitute": substitute if asked.substitute else None,
			"cancel_source": int(bool(cancel_source) and row.purpose == dispatch.PURPOSE),
			"cancellation_message": None,
			"cancellation_requested_by": frappe.session.user,
			"cancellation_requested_at": now,
			"cancellation_attempts": 0,
			"cancellation_next": now,
		}
	)
	row.projected = 0
	audit.note_act(
		row, audit.ASK_CANCEL, reason=asked.reason, motive=asked.motive, substitute=asked.substitute
	)
	row.store()
	frappe.db.after_commit.add(lambda: enqueue(name))


def _refuse_what_hangs_on_it(row):
	"""A sale is cancelled after the documents of its payments, and those from the last to the first.

	See providers/facturapi.md#cancelling.
	"""
	first = payments.settling(row.name) + payments.last_payment_of_each(row)
	if first:
		frappe.throw(
			_("Cancel the fiscal documents of these payments first: {0}").format(", ".join(first)),
			title=_("Payments Hang on It"),
		)


def _substitute(row, name: str) -> str:
	"""The fiscal id of the document that takes the place: issued, valid, and of the same issuer."""
	other = frappe.db.get_value(
		DOCTYPE,
		name,
		["status", "cancellation_status", "company", "provider", "environment", "fiscal_id"],
		as_dict=True,
	)
	same = ("company", "provider", "environment")
	if (
		not other
		or other.status != lifecycle.ISSUED
		or other.cancellation_status == CANCELLED
		or any(other[field] != row.get(field) for field in same)
	):
		frappe.throw(_("{0} is no valid document of this company that could take the place.").format(name))
	return other.fiscal_id


def enqueue(name: str) -> bool:
	return dispatch.enqueue_job(
		"fiscal_integration.cancellation.process", "short", f"fiscal-cancel-{name}", document=name
	)


def sweep():
	"""Queue the cancellations that are due, and what is still to be done for those that went well."""
	for name in due.cancellations(SWEEP_LIMIT):
		enqueue(name)


def process(document: str):
	"""The job: take one cancellation a step further. Never raises (see dispatch.process)."""
	try:
		_process(document)
	except Exception as error:
		frappe.db.rollback()
		dispatch.log("Cancellation could not be processed", document, error)


def _process(name: str):
	frappe.db.commit()
	row = frappe.get_doc(DOCTYPE, name, for_update=True)
	now = now_datetime()
	waits = row.cancellation_next and get_datetime(row.cancellation_next) > now
	if row.cancellation_status == CANCELLED and row.cancellation_next and not waits:
		_go_on_afterwards(row, now)
		return
	if row.cancellation_status not in lifecycle.CANCELLING or waits:
		frappe.db.rollback()
		return
	before = row.cancellation_status
	if before == CANCEL_REQUESTED:
		_move(row, CANCEL_UNKNOWN)
	row.cancellation_attempts = (row.cancellation_attempts or 0) + 1
	row.cancellation_next = add_to_date(now, seconds=lifecycle.LEASE_SECONDS)
	try:
		found = _connection(row)
	except frappe.ValidationError as error:
		frappe.clear_messages()
		row.cancellation_status = before
		row.cancellation_message = str(error)
		row.store()
		frappe.db.commit()
		return
	row.store()
	frappe.db.commit()

	if row.cancellation_substitute:
		row.flags.substitute = frappe.db.get_value(DOCTYPE, row.cancellation_substitute, "fiscal_id")
	recorder = audit.Recorder(row.provider, found.secrets, row.name)
	provider = connection.open_provider(found, recorder)
	slots = Slots(found.source, found.max_concurrent)
	token = slots.take(True, dispatch.SLOT_WAIT_SECONDS)
	if token:
		try:
			answer = _ask(provider, dispatch.held(row), row, before)
		except Exception as error:
			# A defect in a provider says nothing about whether the request was processed.
			dispatch.log("Cancellation failed", name, error)
			answer = Cancellation(
				failure=Failure(ErrorClass.UNKNOWN, say("Internal error: {0}", type(error).__name__))
			)
		finally:
			slots.give_back(token)
	else:
		answer = Cancellation(failure=Failure(ErrorClass.TRANSIENT, "The connection is busy.", "busy"))
	recorder.keep(row)
	_apply(row, answer, before, recorder)
	dispatch.project(row.name)
	if answer.status is CancelStatus.CANCELLED:
		_process(row.name)


def _go_on_afterwards(row, now):
	"""Keep the authority's receipt, and cancel in ERPNext where that was asked for. Commits; nothing of it can
	undo what the authority did. What does not succeed, or dies with its worker, is taken up again by the sweep."""
	row.cancellation_attempts = (row.cancellation_attempts or 0) + 1
	last = row.cancellation_attempts >= AFTERWARDS_TRIES
	row.cancellation_next = None if last else add_to_date(now, seconds=lifecycle.LEASE_SECONDS)
	row.store()
	frappe.db.commit()
	done = _keep_acknowledgement(row)
	if row.cancel_source:
		done = _cancel_source(row, last) and done
	wait = int(lifecycle.ask_wait(lifecycle.PENDING, row.cancellation_attempts))
	following = None if done or last else add_to_date(now_datetime(), seconds=wait)
	frappe.db.set_value(DOCTYPE, row.name, "cancellation_next", following, update_modified=False)
	frappe.db.commit()
	dispatch.project(row.name)


def _keep_acknowledgement(row) -> bool:
	"""Whether the authority's receipt is here, or there is to be none."""
	if files.ACKNOWLEDGEMENT not in files.offered(row) or row.acknowledgement:
		return True
	try:
		files.file_of(row, files.ACKNOWLEDGEMENT)
		return True
	except Exception as error:
		frappe.db.rollback()
		frappe.clear_messages()
		if not isinstance(error, frappe.ValidationError):
			dispatch.log("The cancellation's receipt was not kept", row.reference_name, error)
		# Else it is not given out yet, and the exchange is recorded.
		return False


def _cancel_source(row, last: bool) -> bool:
	"""Cancel the ERPNext document in the name of who asked for it. Whether there is nothing left to try: what
	forbids it is told on the row, what only failed is tried again unless it was the `last` time."""
	user = frappe.session.user
	try:
		frappe.set_user(row.cancellation_requested_by or user)
		doc = frappe.get_doc(row.reference_doctype, row.reference_name)
		if doc.docstatus == 1:
			doc.check_permission("cancel")
			doc.cancel()
		frappe.db.commit()
		return True
	except Exception as error:
		frappe.db.rollback()
		frappe.clear_messages()
		forbidden = isinstance(error, (frappe.ValidationError, frappe.PermissionError))
		if not (forbidden or last):
			dispatch.log("The cancelled document's source stands", row.reference_name, error)
			return False
		message = str(error) if forbidden else type(error).__name__
		frappe.db.set_value(
			DOCTYPE,
			row.name,
			"cancellation_message",
			_("{0} could not be cancelled: {1}").format(row.reference_name, message),
			update_modified=False,
		)
		frappe.db.set_value(DOCTYPE, row.name, "projected", 0, update_modified=False)
		dispatch.log("The cancelled document's source stands", row.reference_name, error)
		return True
	finally:
		frappe.set_user(user)


def _ask(provider, held, row, before) -> Cancellation:
	"""Cancel; but first look whether it is cancelled, where an earlier request may have been heard."""
	if before != CANCEL_REQUESTED:
		found = provider.cancellation(held)
		if found.failure or found.status:
			return found
		if before == CANCEL_PENDING:
			return Cancellation(CancelStatus.PENDING)
	return provider.cancel(
		held,
		CancelRequest(
			row.cancellation_reason or "", row.cancellation_motive or "", row.flags.substitute or ""
		),
	)


def _apply(held_row, answer: Cancellation, before: str, recorder):
	row = frappe.get_doc(DOCTYPE, held_row.name, for_update=True)
	if (row.cancellation_status, row.cancellation_attempts) != (
		held_row.cancellation_status,
		held_row.cancellation_attempts,
	):
		frappe.db.rollback()
		return
	now = now_datetime()
	tries = row.cancellation_attempts
	if answer.failure:
		failure = answer.failure
		row.cancellation_message = recorder.redact(translated(failure.message, _))
		if failure.error_class in (ErrorClass.CONFIGURATION, ErrorClass.REJECTED):
			_move(row, CANCEL_FAILED)
			row.cancellation_next = None
		else:
			seconds = lifecycle.ask_wait(lifecycle.UNKNOWN, tries, failure.retry_after)
			if failure.waits and before != CANCEL_PENDING:
				seconds = failure.waits[tries - 1] if tries <= len(failure.waits) else None
			row.cancellation_next = add_to_date(now, seconds=int(seconds) + 1) if seconds else None
			if not seconds:
				_move(row, CANCEL_FAILED)
				row.cancellation_message += " " + _(
					"It was asked for {0} times. Look for it at the provider, then ask for the cancellation again."
				).format(tries)
			elif failure.error_class is ErrorClass.TRANSIENT and before == CANCEL_REQUESTED:
				_move(row, CANCEL_REQUESTED)
		audit.log_failure(f"{row.reference_name}: cancellation", failure.message, recorder, row)
	else:
		state = OUTCOMES[answer.status]
		if row.cancellation_status != state:
			_move(row, state)
		row.cancellation_message = recorder.redact(translated(answer.message, _)) or None
		row.cancellation_next = None
		if state == CANCELLED:
			row.cancelled_at = row.cancellation_next = now
			row.cancellation_attempts = 0
		elif state == CANCEL_PENDING:
			row.cancellation_next = add_to_date(
				now, seconds=int(lifecycle.ask_wait(lifecycle.PENDING, tries))
			)
		else:
			audit.log_failure(f"{row.reference_name}: cancellation refused", answer.message, recorder, row)
	row.projected = 0
	row.store()
	frappe.db.commit()


def _move(row, state: str):
	row.cancellation_status = lifecycle.check_cancel(row.cancellation_status or "", state)


def _connection(row):
	found = connection.for_company(row.company)
	if not found or (found.provider, found.environment) != (row.provider, row.environment):
		frappe.throw(
			_("{0} was issued through {1} ({2}), which is not the connection of {3} any more.").format(
				row.reference_name, row.provider, row.environment, row.company
			)
		)
	return found
