"""Queue -> claim -> send -> apply. The only place that decides when a provider is called.

One row is handled in short transactions with the network in between: claim it and freeze the payload
(commit), call the provider (no lock held), record the exchanges (commit), apply the outcome (commit),
show it on the invoice (commit). Whatever dies in between leaves a row that the sweep finds.
"""

import hashlib
import socket
from datetime import timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import add_to_date, get_datetime, get_system_timezone, now_datetime

from fiscal_integration import audit, connection, mapping
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import ErrorClass, Failure, MappingError, Problem
from fiscal_integration.fiscal.money import decimal, quantize
from fiscal_integration.fiscal.redaction import redact
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus, differences
from fiscal_integration.fiscal.words import say, translated

DOCTYPE = "Fiscal Document"
PURPOSE = "Issue"
HOLD_SECONDS = 600
"""How long a document waits before it is looked at again while its connection is switched off, or while
the document that it corrects is on its way."""
APPLY_TRIES = 3
QUEUE_PROBE_SECONDS = 0.25
SWEEP_LIMIT = 500


# -- into the queue --------------------------------------------------------------------------------------


def create(doc) -> str:
	"""Insert the Fiscal Document of a submitted invoice in its transaction, and send it after the commit.

	The row is written as it is: it holds nothing that a person entered and Frappe would have to validate, and
	the till waits for it. Raises frappe.UniqueValidationError when the invoice has one.
	"""
	row = frappe.new_doc(DOCTYPE)
	reference = external_reference(doc)
	row.update(
		{
			"name": doc.get("fiscal_document") or frappe.generate_hash(length=10),
			"reference_doctype": doc.doctype,
			"reference_name": doc.name,
			"purpose": PURPOSE,
			"company": doc.company,
			"kind": mapping.kind_of(doc).value,
			"status": lifecycle.QUEUED,
			"external_reference": reference,
			"idempotency_key": hashlib.sha256(reference.encode()).hexdigest()[:40],
			"currency": doc.currency,
			"total": abs(doc.grand_total),
			"next_attempt": now_datetime(),
			"requested_by": frappe.session.user,
			"corrects": _corrected(doc),
		}
	)
	row.set_user_and_timestamp()
	row.db_insert()
	enqueue_after_commit(row.name)
	return row.name


def external_reference(doc) -> str:
	"""Our name for the document at the provider: readable, and the same whenever it is made again.

	The creation time is part of it because ERPNext gives the name of a deleted invoice to the next one.
	"""
	digest = hashlib.sha256(
		"|".join((doc.company, doc.doctype, doc.name, str(get_datetime(doc.creation)), PURPOSE)).encode()
	)
	return f"{doc.name[:80]}.{digest.hexdigest()[:16]}"


def _corrected(doc):
	if not doc.get("return_against"):
		return None
	return frappe.db.get_value(
		DOCTYPE,
		{"reference_doctype": doc.doctype, "reference_name": doc.return_against, "purpose": PURPOSE},
	)


def enqueue_after_commit(name: str):
	"""Queue the job once the sale is committed. Nothing that goes wrong here may reach the cashier.

	`frappe.enqueue(enqueue_after_commit=True)` is not enough: with `deduplicate` it asks Redis at once, v16
	refuses when the queue is long, and what its callback raises comes out of the commit (frappe.md 4.1).
	"""
	frappe.db.after_commit.add(lambda: enqueue(name))


def enqueue(name: str) -> bool:
	"""Queue the job for one Fiscal Document. False when that failed: the sweep sends it later."""
	if not _queue_answers():
		return False
	try:
		frappe.enqueue(
			"fiscal_integration.dispatch.process",
			queue="short",
			job_id=f"fiscal-{name}",
			deduplicate=True,
			document=name,
		)
		return True
	except Exception as error:
		frappe.logger("fiscal_integration").warning(f"{name} was not queued: {type(error).__name__}")
		return False


def _queue_answers() -> bool:
	"""Whether something listens where the queue is. A till must not wait while Frappe tries five times for
	four seconds to reach a Redis that is down."""
	url = urlsplit(frappe.conf.redis_queue or "")
	if not url.hostname:
		return True
	try:
		socket.create_connection((url.hostname, url.port or 6379), QUEUE_PROBE_SECONDS).close()
		return True
	except OSError:
		return False


def sweep():
	"""Queue everything that is due: what Redis lost, what waits for its next attempt, what a dead worker left."""
	now = now_datetime()
	due = frappe.get_all(
		DOCTYPE,
		filters={"status": ("in", lifecycle.DUE), "next_attempt": ("<=", now)},
		order_by="next_attempt asc",
		limit=SWEEP_LIMIT,
		pluck="name",
	)
	for name in due:
		enqueue(name)
	for name in frappe.get_all(
		DOCTYPE, filters={"projected": 0, "status": ("!=", lifecycle.QUEUED)}, limit=SWEEP_LIMIT, pluck="name"
	):
		project(name)


# -- one document ----------------------------------------------------------------------------------------


def process(document: str):
	"""The job: take one Fiscal Document one step further. Never raises.

	What escaped a job would be logged by Frappe with every variable of every frame, secrets included, and a
	deadlock would make Frappe run the whole job again, request included (frappe.md 4.1, 4.3).
	"""
	try:
		_process(document)
	except Exception as error:
		frappe.db.rollback()
		_log("Fiscal document could not be processed", document, error)


def _process(name: str):
	row = claim(name)
	if not row:
		return
	found = connection.for_company(row.company)
	recorder = audit.Recorder(row.provider, found.secrets, row.name)
	provider = connection.open_provider(found, recorder)
	try:
		if row.status == lifecycle.SENDING:
			outcome = provider.issue(row.payload)
			documents, failure = ((outcome.document,) if outcome.document else ()), outcome.failure
		else:
			lookup = provider.reconcile(row.external_reference, row.provider_id or "")
			documents, failure = lookup.documents, lookup.failure
	except Exception as error:
		# A defect in a provider says nothing about whether the request was processed.
		documents, failure = (
			(),
			Failure(ErrorClass.UNKNOWN, _("Internal error: {0}").format(type(error).__name__)),
		)
		recorder.keep(row)
		audit.log_failure(f"{provider.label}: internal error", str(error), recorder, row, error)
		frappe.db.commit()
	recorder.keep(row)
	_apply_safely(row, documents, failure, recorder, provider)


def claim(name: str):
	"""Take the row for this worker, or return None when it is not due or not ours to take.

	Commits: afterwards the row is Sending with its payload frozen, or leased for a lookup.
	"""
	frappe.db.commit()
	row = frappe.get_doc(DOCTYPE, name, for_update=True)
	now = now_datetime()
	leased = row.lease_until and get_datetime(row.lease_until) > now
	waits = row.next_attempt and get_datetime(row.next_attempt) > now
	if row.status not in lifecycle.DUE or leased or waits:
		frappe.db.rollback()
		return None
	try:
		ready = _prepare(row, now)
	except MappingError as error:
		_to_rejected(row, error.problems)
		ready = False
	except Exception as error:
		frappe.db.rollback()
		_log("Fiscal document could not be prepared", name, error)
		row = frappe.get_doc(DOCTYPE, name, for_update=True)
		ready = _stumble(row, now, error)
	if not ready:
		row.projected = 0
	row.store()
	frappe.db.commit()
	if ready:
		return row
	project(row.name)
	return None


def _prepare(row, now) -> bool:
	"""Bring a due row to where a call may be made. False when none is to be made now."""
	if row.status == lifecycle.SENDING:
		# The lease ran out: a worker died while sending, and nobody knows how far it came.
		row.move_to(lifecycle.UNKNOWN)
		_note(row, Failure(ErrorClass.UNKNOWN, _("The worker stopped while it was sending."), "worker_died"))
	found = connection.for_company(row.company)
	if not found:
		return _hold(row, now, _("The integration is switched off for {0}.").format(row.company))
	if row.payload and (row.provider, row.environment) != (found.provider, found.environment):
		if row.status != lifecycle.QUEUED:
			return _hold(
				row,
				now,
				_("It was sent through {0} ({1}). Switch back to that connection to ask about it.").format(
					row.provider, row.environment
				),
			)
		row.payload = None
	row.lease_until = add_to_date(now, seconds=lifecycle.LEASE_SECONDS)
	if row.status != lifecycle.QUEUED:
		row.checks = (row.checks or 0) + 1
		row.next_attempt = row.lease_until
		return True

	invoice = frappe.get_doc(row.reference_doctype, row.reference_name)
	row.move_to(lifecycle.SENDING)
	if invoice.docstatus == 2:
		row.lease_until = None
		row.move_to(lifecycle.WITHDRAWN)
		return False
	if not row.payload and not _freeze(row, invoice, found, now):
		return False
	row.attempts = (row.attempts or 0) + 1
	row.sent_at = now
	row.next_attempt = row.lease_until
	return True


def _stumble(row, now, error) -> bool:
	"""Something of ours failed before anything was sent: try again for a while, then ask for a person."""
	row.checks = (row.checks or 0) + 1
	message = str(error) if isinstance(error, frappe.ValidationError) else type(error).__name__
	_hold(row, now, redact(_("Could not be prepared: {0}").format(message)))
	if row.status == lifecycle.QUEUED and row.checks >= lifecycle.MAX_ATTEMPTS:
		row.move_to(lifecycle.SENDING)
		row.move_to(lifecycle.FAILED)
		row.error_class = ErrorClass.CONFIGURATION.value
	return False


def _freeze(row, invoice, found, now) -> bool:
	"""Map and build, and put the request on the row to the byte (invariant 2)."""
	record = connection.record_for(row.company)
	mapped = mapping.to_invoice(invoice, record.payment_code)
	if mapped.reference and mapped.reference.awaited:
		row.move_to(lifecycle.QUEUED)
		return _hold(row, now, _("Waits for the fiscal document of {0}.").format(mapped.reference.name), 30)
	provider = connection.providers()[found.provider](found, None)
	moment = now.replace(tzinfo=ZoneInfo(get_system_timezone()))
	problems = provider.validate(mapped, moment)
	if problems:
		raise MappingError(problems)
	payload = provider.build(mapped, row.external_reference, row.idempotency_key, moment)
	row.update(
		{
			"provider": found.provider,
			"environment": found.environment,
			"payload": payload.body,
			"payload_hash": hashlib.sha256(payload.body.encode()).hexdigest(),
			"document_type": payload.expected.document_type,
			"receiver_id": payload.expected.receiver,
			"currency": payload.expected.currency,
			"total": str(payload.expected.total),
		}
	)
	return True


def _hold(row, now, message, seconds=HOLD_SECONDS) -> bool:
	row.lease_until = None
	row.error_message = message
	row.next_attempt = add_to_date(now, seconds=seconds)
	return False


def _to_rejected(row, problems: tuple[Problem, ...]):
	row.lease_until = None
	row.move_to(lifecycle.REJECTED)
	code = next((problem.code for problem in problems if problem.code), "local_check")
	message = "\n".join(translated(problem.message, _) for problem in problems)
	_note(row, Failure(ErrorClass.REJECTED, message, code))
	audit.log_failure(f"{row.reference_name}: not sent", message, document=row)


# -- what came back --------------------------------------------------------------------------------------


def _apply_safely(row, documents, failure, recorder, provider):
	"""Apply, again when the database asked for it. The provider is not called again, whatever happens."""
	for attempt in range(APPLY_TRIES):
		try:
			if _apply(row, documents, failure, recorder, provider):
				project(row.name)
			return
		except Exception as error:
			frappe.db.rollback()
			if attempt == APPLY_TRIES - 1:
				# The row stays claimed; when its lease ends it is asked about, never sent again blind.
				_log("Outcome could not be stored", row.name, error)


def _apply(held, documents, failure, recorder, provider) -> bool:
	"""Write the outcome on the row, if the row is still as this worker left it."""
	row = frappe.get_doc(DOCTYPE, held.name, for_update=True)
	if (row.status, row.attempts, row.checks) != (held.status, held.attempts, held.checks):
		frappe.db.rollback()
		return False
	now = now_datetime()
	row.lease_until = None
	row.projected = 0
	if failure:
		_apply_failure(row, failure, now)
		audit.log_failure(
			f"{row.reference_name}: {provider.label} {failure.code}", failure.message, recorder, row
		)
	elif not documents:
		_apply_absence(row, provider.capabilities.absence_grace, now)
	elif len(documents) > 1:
		ids = ", ".join(entry.fiscal_id or entry.provider_id for entry in documents)
		_to_review(
			row, _("The provider holds {0} documents for this invoice: {1}").format(len(documents), ids)
		)
	else:
		_apply_document(row, documents[0], now)
	_redact(row, recorder)
	row.store()
	frappe.db.commit()
	return True


def _apply_failure(row, failure: Failure, now):
	_note(row, failure)
	if row.status == lifecycle.SENDING:
		state = lifecycle.after_failure(failure.error_class, row.attempts)
		row.move_to(state)
		if state in (lifecycle.QUEUED, lifecycle.UNKNOWN):
			tries = row.attempts if state == lifecycle.QUEUED else 1
			_wait(row, state, tries, failure.retry_after, now)
	else:
		# The question was not answered, which says nothing about the document.
		_wait(row, row.status, row.checks, failure.retry_after, now)


def _apply_absence(row, grace: int, now):
	"""The provider has nothing under our reference. Believed only after the grace time (invariant 3)."""
	believed = get_datetime(row.sent_at) + timedelta(seconds=grace)
	if now < believed:
		_wait(row, row.status, row.checks, None, now)
		row.next_attempt = min(get_datetime(row.next_attempt), believed)
		return
	if row.status == lifecycle.PENDING:
		_to_review(row, _("The provider had accepted the document, and now does not know it."))
		return
	row.move_to(lifecycle.QUEUED)
	if row.attempts >= lifecycle.MAX_ATTEMPTS:
		row.move_to(lifecycle.SENDING)
		row.move_to(lifecycle.FAILED)
	else:
		row.next_attempt = now


def _apply_document(row, remote: RemoteDocument, now):
	expected = Expected(
		document_type=row.document_type or "",
		total=quantize(decimal(row.total)),
		currency=row.currency or "",
		receiver=row.receiver_id or "",
		environment=row.environment or "",
	)
	row.provider_id = remote.provider_id
	if remote.status is RemoteStatus.PENDING:
		row.move_to(lifecycle.PENDING)
		_clear_error(row)
		row.error_message = remote.message or _("The provider has it and will answer later.")
		_wait(row, lifecycle.PENDING, row.checks or 1, None, now)
		return
	if remote.status is RemoteStatus.FAILED:
		# It is certain that nothing was issued under this key, so the next try may and must have another.
		row.idempotency_key = hashlib.sha256(f"{row.idempotency_key}|failed".encode()).hexdigest()[:40]
		row.provider_id = None
		row.move_to(lifecycle.REJECTED)
		message = remote.message or _(
			"The authority did not stamp the document. Check the data and send it again."
		)
		_note(row, Failure(ErrorClass.REJECTED, message, "stamping_failed"))
		return
	if remote.status is RemoteStatus.CANCELLED:
		_result(row, remote)
		_to_review(row, _("The provider holds this document as cancelled."))
		return
	wrong = differences(expected, remote)
	if remote.external_reference and remote.external_reference != row.external_reference:
		wrong.append(
			say("{0}: ours {1}, theirs {2}", "reference", row.external_reference, remote.external_reference)
		)
	taken = frappe.db.get_value(
		DOCTYPE, {"fiscal_id": remote.fiscal_id, "name": ("!=", row.name)}, "reference_name"
	)
	if taken:
		wrong.append(_("it belongs to {0} already").format(taken))
	_result(row, remote)
	if wrong:
		_to_review(
			row,
			_("The provider's document differs from this invoice: {0}").format(
				"; ".join(translated(text, _) for text in wrong)
			),
		)
		return
	row.move_to(lifecycle.ISSUED)
	_clear_error(row)
	row.next_attempt = None


def _result(row, remote: RemoteDocument):
	row.update(
		{
			"fiscal_id": remote.fiscal_id,
			"provider_id": remote.provider_id,
			"authorization_number": remote.authorization_number,
			"authorized_at": _local(remote.authorized_at),
			"issued_at": _local(remote.issued_at),
			"provider_total": str(remote.total) if remote.total is not None else None,
			"qr_value": remote.qr_value,
			"qr_image": remote.qr_image,
		}
	)
	row.set("stamps", [])
	for key, value in remote.stamps:
		row.append("stamps", {"key": key, "value": value})


def _to_review(row, message):
	row.move_to(lifecycle.NEEDS_REVIEW)
	_note(row, Failure(ErrorClass.UNKNOWN, message, "needs_review"))
	row.next_attempt = None
	audit.log_failure(f"{row.reference_name}: needs review", message, document=row)


def _note(row, failure: Failure):
	row.error_class = failure.error_class.value
	row.error_code = failure.code[:140]
	row.error_message = translated(failure.message, _)


def _clear_error(row):
	row.error_class = row.error_code = row.error_message = None


def _wait(row, state, tries, retry_after, now):
	row.next_attempt = add_to_date(now, seconds=int(lifecycle.wait(state, tries, retry_after)) + 1)


def _redact(row, recorder):
	row.error_message = recorder.redact(row.error_message or "") or None


def _local(moment):
	"""An instant as Frappe keeps it: in the site's zone, without saying so."""
	return moment.astimezone(ZoneInfo(get_system_timezone())).replace(tzinfo=None) if moment else None


def _log(title: str, name: str, error: Exception):
	"""Log a failure of our own; when even that fails, the site's log file has to do."""
	try:
		audit.log_failure(f"{title}: {name}", str(error), error=error)
		frappe.db.commit()
	except Exception:
		frappe.db.rollback()
		frappe.logger("fiscal_integration").error(f"{title}: {name}: {type(error).__name__}")


# -- onto the invoice ------------------------------------------------------------------------------------


def project(name: str):
	"""Show the row on its invoice, in a transaction of its own. The sweep repeats it when it fails."""
	try:
		row = frappe.get_doc(DOCTYPE, name)
		write_projection(row)
		# Not when another worker has moved it on meanwhile: what it has now is not what was shown.
		unchanged = {"name": name, "modified": row.modified}
		frappe.db.set_value(DOCTYPE, unchanged, "projected", 1, update_modified=False)
		for doctype, document in ((row.reference_doctype, row.reference_name), (DOCTYPE, name)):
			frappe.publish_realtime(
				"fiscal_document_update",
				{"doctype": doctype, "name": document, "status": row.status},
				doctype=doctype,
				docname=document,
				after_commit=True,
			)
		frappe.db.commit()
	except Exception as error:
		frappe.db.rollback()
		_log("Invoice could not be updated", name, error)


def write_projection(row):
	"""The invoice's fiscal fields as `row` has them. No commit, no change of `modified`."""
	frappe.db.set_value(row.reference_doctype, row.reference_name, projection(row), update_modified=False)


def projection(row) -> dict:
	return {
		"fiscal_document": row.name,
		"fiscal_status": row.status,
		"fiscal_id": row.fiscal_id,
		"fiscal_qr_value": row.qr_value if row.status == lifecycle.ISSUED else None,
		"fiscal_error": row.error_message if row.status in lifecycle.DEAD_LETTERS else None,
	}


def find(doctype: str, name: str):
	"""The Fiscal Document of an invoice, or None."""
	found = frappe.db.get_value(
		DOCTYPE, {"reference_doctype": doctype, "reference_name": name, "purpose": PURPOSE}
	)
	return frappe.get_doc(DOCTYPE, found) if found else None


# -- by hand ---------------------------------------------------------------------------------------------


def retry(name: str):
	"""Queue a rejected, failed or reviewed document again, with a new payload. The same document and key."""
	row = frappe.get_doc(DOCTYPE, name, for_update=True)
	if row.status not in lifecycle.RETRYABLE_BY_PERSON:
		frappe.throw(_("This document is {0}: there is nothing to send again.").format(_(row.status)))
	row.move_to(lifecycle.QUEUED)
	row.update(
		{"payload": None, "payload_hash": None, "attempts": 0, "checks": 0, "next_attempt": now_datetime()}
	)
	row.projected = 0
	row.store()
	enqueue_after_commit(row.name)


def ask_now(name: str):
	"""Ask the provider about a Pending or Unknown document without waiting for its time."""
	row = frappe.get_doc(DOCTYPE, name, for_update=True)
	if row.status not in (lifecycle.PENDING, lifecycle.UNKNOWN, lifecycle.QUEUED):
		frappe.throw(_("This document is {0}: there is nothing to ask.").format(_(row.status)))
	row.next_attempt = now_datetime()
	row.store()
	enqueue_after_commit(row.name)
