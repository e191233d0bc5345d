"""Queue -> claim -> send -> apply. The only place that decides when a provider is called.

One row is handled in short transactions with the network in between: claim it and freeze the payload
(commit), call the provider (no lock held), record the exchanges (commit), apply the outcome (commit),
show it on the invoice (commit). Whatever dies in between leaves a row that the sweep finds (drain.py).
"""

import hashlib
import socket
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import add_to_date, get_datetime, get_system_timezone, now_datetime

from fiscal_integration import (
	audit,
	circuit,
	connection,
	due,
	mapping,
	numbering,
	payments,
	recurring,
	sources,
)
from fiscal_integration.fiscal import lifecycle, qr
from fiscal_integration.fiscal.errors import ErrorClass, Failure, MappingError, Problem
from fiscal_integration.fiscal.invoice import DocumentKind
from fiscal_integration.fiscal.money import decimal, quantize
from fiscal_integration.fiscal.redaction import redact
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus, differences
from fiscal_integration.fiscal.words import say, translated
from fiscal_integration.providers.base import Held, Provider
from fiscal_integration.slots import Slots

DOCTYPE = "Fiscal Document"
PURPOSE = mapping.ISSUE
HOLD_SECONDS = 600
"""How long a document waits before it is looked at again while its connection is switched off, or while
the document that it corrects is on its way."""
AWAIT_SECONDS = 30
YOUNG_SECONDS = 3600
"""For so long after its making, a document looks every AWAIT_SECONDS for the one that it waits for."""
APPLY_TRIES = 3
PROJECT_TRIES = 5
JOB_ID_SECONDS = 300
QUEUE_PROBE_SECONDS = 0.25
SLOT_WAIT_SECONDS = 10
"""How long a claimed row waits for one of its connection's slots; then it is queued again for BUSY_SECONDS."""
BUSY_SECONDS = 2
DEVICE_WINDOW = 20
"""More sales than can be committed on one device at the same moment."""


# -- into the queue --------------------------------------------------------------------------------------


def create(doc, purpose: str = PURPOSE) -> str:
	"""Insert the Fiscal Document of a submitted invoice in its transaction, and send it after the commit.

	The row is written as it is: it holds nothing that a person entered and Frappe would have to validate, and
	the till waits for it. Raises frappe.UniqueValidationError when the invoice has one.
	"""
	base = recurring.period_key(doc) if purpose == PURPOSE else ()
	if base:
		reference, other = recurring.reference_for(external_reference(doc, base))
		if not other:
			row = new_row(doc, reference)
			try:
				return _insert(row)
			except frappe.UniqueValidationError:
				# Two jobs make the same period's invoice at the same moment; this one's snapshot may be too old
				# to see the other.
				other = frappe.db.get_value(DOCTYPE, {"external_reference": reference}, "reference_name")
		return insert_second_of_period(doc, other or _("Another one"))
	return _insert(new_row(doc, external_reference(doc, purpose=purpose), purpose))


def new_row(doc, reference: str, purpose: str = PURPOSE):
	row = frappe.new_doc(DOCTYPE)
	now = now_datetime()
	source = sources.of(doc.doctype, purpose)
	currency, total = source.amount_of(doc)
	row.update(
		{
			"name": (source.projected and doc.get("fiscal_document")) or frappe.generate_hash(length=10),
			"reference_doctype": doc.doctype,
			"reference_name": doc.name,
			"purpose": purpose,
			"company": doc.company,
			"kind": source.kind_of(doc).value,
			"status": lifecycle.QUEUED,
			"status_since": now,
			"device": _device(doc),
			"external_reference": reference,
			"idempotency_key": hashlib.sha256(reference.encode()).hexdigest()[:40],
			"currency": currency,
			"total": str(total),
			"next_attempt": now,
			"requested_by": frappe.session.user,
			"corrects": _corrected(doc),
		}
	)
	return row


def _insert(row) -> str:
	row.set_user_and_timestamp()
	row.db_insert()
	if row.status == lifecycle.QUEUED:
		enqueue_after_commit(row.name)
	return row.name


def insert_second_of_period(doc, other: str) -> str:
	"""A recurring sale whose period has its document: not sent, but put before a person."""
	row = new_row(doc, external_reference(doc))
	row.update({"status": lifecycle.REJECTED, "next_attempt": None})
	message = _(
		"{0} is the invoice of this period already. Cancel this one; or, if it is a sale of its own, send it."
	).format(other)
	_note(row, Failure(ErrorClass.REJECTED, message, "second_of_period"))
	_insert(row)
	write_projection(row)
	audit.log_failure(f"{doc.name}: not sent", message, document=row)
	return row.name


def external_reference(doc, period: tuple[str, ...] = (), purpose: str = PURPOSE) -> str:
	"""Our name for the document at the provider: readable, and the same whenever it is made again.

	That of a recurring sale names who repeats it and the `period`. The creation time is part of all because
	ERPNext gives the name of what was deleted to the next one.
	"""
	parts = period or (doc.name, str(get_datetime(doc.creation)))
	digest = hashlib.sha256("|".join((doc.company, doc.doctype, *parts, purpose)).encode()).hexdigest()
	return f"{'-'.join(parts[: len(parts) - 1])[:80]}.{digest[:16]}"


def _device(doc) -> str | None:
	"""What keeps this sale in line with others: the till of a provider that wants them in order, else nothing."""
	record = connection.record_for(doc.company)
	if not record or not record.provider_class.capabilities.ordered:
		return None
	return f"{doc.company}|{doc.get('pos_profile') or ''}"[:140]


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
	refuses when the queue is long, and what its callback raises comes out of the commit (frappe.md#jobs).
	"""
	frappe.db.after_commit.add(lambda: enqueue(name))


def enqueue(name: str) -> bool:
	"""Queue the job for one Fiscal Document. False when that failed: the sweep sends it later."""
	return enqueue_job("fiscal_integration.dispatch.process", "short", f"fiscal-{name}", document=name)


def enqueue_job(method: str, queue: str, job_id: str, **arguments) -> bool:
	"""Queue a job of ours unless one of that id waits. False when the queue cannot be reached or is full.

	A job whose worker was killed counts as running for as long as it may take, so the id changes with the time.
	"""
	if not _queue_answers():
		return False
	job_id = f"{job_id}-{int(time.time() // JOB_ID_SECONDS)}"
	try:
		frappe.enqueue(method, queue=queue, job_id=job_id, deduplicate=True, **arguments)
		return True
	except Exception as error:
		frappe.logger("fiscal_integration").warning(f"{job_id} was not queued: {type(error).__name__}")
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


# -- one document ----------------------------------------------------------------------------------------


@dataclass
class Work:
	"""One claimed row on its way: what a call needs, so that it can be made without the database."""

	row: object
	provider: Provider
	recorder: audit.Recorder
	slots: Slots
	documents: tuple[RemoteDocument, ...] = ()
	failure: Failure | None = None
	error: Exception | None = None
	sent: bool = field(default=False)


def process(document: str):
	"""The job: take one Fiscal Document one step further. Never raises.

	What escaped a job would be logged by Frappe with every variable of every frame, secrets included, and a
	deadlock would make Frappe run the whole job again, request included (frappe.md#jobs).
	"""
	try:
		work = begin(document)
		if work:
			call(work)
			finish(work)
			if work.row.device:
				_enqueue_next(work.row.device)
	except Exception as error:
		frappe.db.rollback()
		log("Fiscal document could not be processed", document, error)


def begin(name: str) -> Work | None:
	"""Claim the row for a call, or None when none is to be made now. Commits.

	On an ordered device it is the device's next in line that is claimed, whichever row was asked for.
	"""
	frappe.db.commit()
	head = frappe.db.get_value(DOCTYPE, name, ["company", "device", "status"], as_dict=True)
	if not head or head.status not in lifecycle.DUE:
		return None
	record = connection.record_for(head.company)
	if record and record.provider_class.capabilities.signs:
		_build_ahead(name)
	if record and not circuit.allows(record):
		return None
	row = claim(name, head.device)
	if not row:
		return None
	found = row.flags.connection
	recorder = audit.Recorder(row.provider, found.secrets, row.name)
	return Work(
		row, connection.open_provider(found, recorder), recorder, Slots(found.source, found.max_concurrent)
	)


def _build_ahead(name: str):
	"""Build, sign and number a document as soon as its sale is there, whatever keeps it from being sent: the sale
	has its legal id at once. What cannot be built is left to `claim`, which says why. Commits."""
	frappe.db.commit()
	row = frappe.get_doc(DOCTYPE, name, for_update=True)
	found = connection.for_company(row.company)
	invoice = frappe.get_doc(row.reference_doctype, row.reference_name)
	if row.status != lifecycle.QUEUED or row.payload or not found or invoice.docstatus != 1:
		frappe.db.rollback()
		return
	try:
		built = _freeze(row, invoice, found, now_datetime())
	except MappingError:
		built = False
	if not built:
		frappe.db.rollback()
		return
	row.projected = 0
	row.store()
	frappe.db.commit()
	project(name)


def call(work: Work, live: bool = True):
	"""Make the call of a claimed row, when a slot of its connection is free. Needs no database, so that it
	may run in any thread; never raises."""
	token = None
	try:
		token = work.slots.take(live, SLOT_WAIT_SECONDS)
		if not token:
			work.failure = Failure(
				ErrorClass.TRANSIENT, "The connection is busy with other documents.", "busy", BUSY_SECONDS
			)
			return
		work.sent = True
		if work.row.status == lifecycle.SENDING:
			outcome = work.provider.issue(work.row.payload)
			work.documents = (outcome.document,) if outcome.document else ()
			work.failure = outcome.failure
		else:
			lookup = work.provider.reconcile(work.row.external_reference, work.row.provider_id or "")
			work.documents, work.failure = lookup.documents, lookup.failure
	except Exception as error:
		# A defect in a provider says nothing about whether the request was processed.
		work.error = error
		work.failure = Failure(ErrorClass.UNKNOWN, say("Internal error: {0}", type(error).__name__))
	finally:
		work.slots.give_back(token)


def finish(work: Work):
	"""Record what was exchanged, then apply what came of it, each again when the database asks for it.

	Commits. The provider is not called again, whatever happens.
	"""
	_try_again(lambda: work.recorder.keep(work.row), "Exchange could not be recorded", work.row.name)
	if work.error:
		audit.log_failure(
			f"{work.provider.label}: internal error", str(work.error), work.recorder, work.row, work.error
		)
		frappe.db.commit()
	elif work.sent:
		source = circuit.source_of_connection(work.provider.connection)
		if work.failure and work.failure.down:
			circuit.failed(source, work.recorder.redact(translated(work.failure.message, _)))
		else:
			circuit.succeeded(source)
	# Where it cannot be stored the row stays claimed; when its lease ends the provider is asked about it.
	if _try_again(lambda: _apply(work), "Outcome could not be stored", work.row.name):
		project(work.row.name)


def _try_again(step, title: str, name: str):
	"""What `step` returns; None, and an Error Log, when it failed APPLY_TRIES times."""
	for attempt in range(APPLY_TRIES):
		try:
			return step()
		except Exception as error:
			frappe.db.rollback()
			if attempt == APPLY_TRIES - 1:
				log(title, name, error)


def claim(name: str, device: str | None = None):
	"""Take the row for this worker, or return None when it is not due or not ours to take.

	Of a device, its next in line is taken. Commits: afterwards the row is Sending with its payload frozen, or
	leased for a lookup.
	"""
	frappe.db.commit()
	if device:
		name = _next_of(device)
		if not name:
			frappe.db.rollback()
			return None
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
		log("Fiscal document could not be prepared", name, error)
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


def _next_of(device: str) -> str | None:
	"""The device's oldest row that is not at an end, locked; None while another is being sent (invariant 10).

	Rows are locked by name only: a lock on the range would keep tills from inserting. The rows behind the
	oldest are locked too, because a sale that was begun earlier may be committed later, and another worker may
	just be claiming what was the oldest until then.
	"""
	filters = {"device": device, "status": ("in", lifecycle.DUE)}
	names = frappe.get_all(
		DOCTYPE, filters, pluck="name", order_by="creation asc, name asc", limit=DEVICE_WINDOW
	)
	names += frappe.get_all(DOCTYPE, {"device": device, "status": lifecycle.SENDING}, pluck="name")
	rows = frappe.db.get_values(
		DOCTYPE,
		{"name": ("in", sorted(set(names)))},
		["name", "status", "creation", "lease_until"],
		as_dict=True,
		order_by="name asc",
		for_update=True,
	)
	rows = sorted(
		(row for row in rows if row.status in lifecycle.DUE), key=lambda row: (row.creation, row.name)
	)
	if not rows or any(row.status == lifecycle.SENDING for row in rows[1:]):
		return None
	return rows[0].name


def _enqueue_next(device: str):
	"""The sale behind the one that was handled goes at once, rather than with the next sweep."""
	if name := due.next_of_device(device):
		enqueue(name)


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
	row.flags.connection = found
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
	provider = connection.providers()[found.provider](found, None)
	if provider.holds_back and not row.released:
		_put_off(row, now, None)
		row.next_attempt = None
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
	mapped = sources.of(invoice.doctype, row.purpose).to_invoice(invoice, record.payment_code, lock=True)
	awaited = [entry for entry in (mapped.reference, *mapped.settles) if entry and entry.awaited]
	if awaited:
		young = now < get_datetime(row.creation) + timedelta(seconds=YOUNG_SECONDS)
		message = _("Waits for the fiscal document of {0}.").format(awaited[0].name)
		return _put_off(row, now, message, AWAIT_SECONDS if young else HOLD_SECONDS)
	if mapped.kind is DocumentKind.PAYMENT and not mapped.settles:
		# Its sale was issued as paid already, or cancelled since.
		row.lease_until = row.next_attempt = None
		row.move_to(lifecycle.WITHDRAWN)
		row.error_message = _("No document is needed: what it pays was not issued as a sale on credit.")
		return False
	provider = connection.providers()[found.provider](connection.at(found, numbering.point_of(invoice)), None)
	moment = now.replace(tzinfo=ZoneInfo(get_system_timezone()))
	if obstacle := provider.obstacle(moment):
		return _put_off(row, now, translated(obstacle, _))
	mapped = numbering.placed(mapped, invoice, provider)
	problems = provider.validate(mapped, moment)
	if problems:
		raise MappingError(problems)
	if provider.capabilities.numbered:
		taken = numbering.number(row, mapped.coordinates, found.environment)
		mapped = replace(mapped, coordinates=taken)
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
			"fiscal_number": payload.expected.number,
			"provider_id": payload.provider_id or None,
			"remarks": "\n".join(translated(remark, _) for remark in payload.remarks) or None,
		}
	)
	if mapped.settles:
		payments.write_settlements(row, mapped)
	if payload.fiscal_id:
		row.update(
			{
				"fiscal_id": payload.fiscal_id,
				"qr_value": payload.qr_value,
				"qr_image": _rendered(payload.qr_value),
				"issued_at": _local(mapped.issued_at),
			}
		)
	return True


def _put_off(row, now, message, seconds=HOLD_SECONDS) -> bool:
	if row.status == lifecycle.SENDING:
		row.move_to(lifecycle.QUEUED)
	return _hold(row, now, message, seconds)


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


def _apply(work: Work) -> bool:
	"""Write the outcome on the row, if the row is still as this worker left it."""
	held, failure = work.row, work.failure
	row = frappe.get_doc(DOCTYPE, held.name, for_update=True)
	if (row.status, row.attempts, row.checks) != (held.status, held.attempts, held.checks):
		frappe.db.rollback()
		_tell_of_late_answer(work, row)
		return False
	now = now_datetime()
	row.lease_until = None
	row.projected = 0
	if failure:
		_apply_failure(row, failure, now, work.sent)
		if work.sent:
			audit.log_failure(
				f"{row.reference_name}: {work.provider.label} {failure.code}",
				failure.message,
				work.recorder,
				row,
			)
	elif not work.documents:
		_apply_absence(row, work.provider.capabilities.absence_grace, now)
	elif len(work.documents) > 1:
		ids = ", ".join(entry.fiscal_id or entry.provider_id for entry in work.documents)
		_to_review(
			row, _("The provider holds {0} documents for this invoice: {1}").format(len(work.documents), ids)
		)
	else:
		_apply_document(row, work.documents[0], now, answered=held.status == lifecycle.SENDING)
	row.error_message = work.recorder.redact(row.error_message or "") or None
	row.error_code = work.recorder.redact(row.error_code or "") or None
	row.store()
	frappe.db.commit()
	if row.status == lifecycle.ISSUED and row.next_attempt and not row.bulk:
		# At once, since what is printed at the till may need it. What goes in bulk is left to the sweep.
		enqueue_job("fiscal_integration.files.keep", "default", f"fiscal-xml-{row.name}", document=row.name)
	return True


def _tell_of_late_answer(work: Work, row):
	"""An answer that found its row in another's hands. The exchange is recorded; that a document came with it
	which the row does not hold must not go unseen."""
	unknown = [entry.fiscal_id for entry in work.documents if entry.fiscal_id not in ("", row.fiscal_id)]
	if unknown and row.status not in lifecycle.DUE:
		audit.log_failure(
			f"{row.reference_name}: {row.status}, but the provider issued {', '.join(unknown)}",
			_("The answer came when the document was {0} already.").format(_(row.status)),
			work.recorder,
			row,
		)
		frappe.db.commit()


def _apply_failure(row, failure: Failure, now, sent: bool):
	if not sent:
		# Nothing was asked of the provider, so it does not count as an attempt.
		if row.status == lifecycle.SENDING:
			row.attempts -= 1
			row.move_to(lifecycle.QUEUED)
		_due_in(row, failure.retry_after, now)
	elif row.status == lifecycle.SENDING:
		_note(row, failure)
		row.provider_id = failure.provider_id or row.provider_id
		state, seconds = lifecycle.after_failure(failure, row.attempts)
		row.move_to(state)
		_due_in(row, seconds, now)
	else:
		# The question was not answered, which says nothing about the document.
		row.error_message = translated(failure.message, _)
		_due_in(row, lifecycle.ask_wait(row.status, row.checks, failure.retry_after), now)


def _apply_absence(row, grace: int, now):
	"""The provider has nothing under our reference. Believed only after the grace time (invariant 3)."""
	believed = get_datetime(row.sent_at) + timedelta(seconds=grace)
	if now < believed:
		_due_in(row, lifecycle.ask_wait(row.status, row.checks), now)
		row.next_attempt = min(row.next_attempt, believed)
		return
	if row.status == lifecycle.PENDING:
		_to_review(row, _("The provider had accepted the document, and now does not know it."))
		return
	if row.error_class == ErrorClass.DUPLICATE.value:
		_to_review(row, _("The provider says that it has this document, but does not show it."))
		return
	row.move_to(lifecycle.QUEUED)
	if row.attempts >= lifecycle.MAX_ATTEMPTS:
		row.move_to(lifecycle.SENDING)
		row.move_to(lifecycle.FAILED)
		row.next_attempt = None
	else:
		row.next_attempt = now


def _apply_document(row, remote: RemoteDocument, now, answered: bool):
	expected = Expected(
		document_type=row.document_type or "",
		total=quantize(decimal(row.total)),
		currency=row.currency or "",
		receiver=row.receiver_id or "",
		environment=row.environment or "",
		number=row.fiscal_number or "",
		fiscal_id=(row.fiscal_id or "") if _signed_here(row) else "",
	)
	# Some answer without an id of their own: then it stays the one by which we know it.
	row.provider_id = remote.provider_id or row.provider_id
	if remote.status is RemoteStatus.PENDING:
		row.move_to(lifecycle.PENDING)
		clear_error(row)
		row.error_message = remote.message or _("The provider has it and will answer later.")
		_due_in(row, lifecycle.ask_wait(lifecycle.PENDING, row.checks or 1), now)
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
		row.next_attempt = None
		audit.log_failure(f"{row.reference_name}: not issued", message, document=row)
		return
	if remote.status is RemoteStatus.CANCELLED:
		_result(row, remote)
		_to_review(row, _("The provider holds this document as cancelled."))
		return
	wrong = differences(expected, remote, answered)
	if remote.external_reference and remote.external_reference != row.external_reference:
		wrong.append(
			say("{0}: ours {1}, theirs {2}", "reference", row.external_reference, remote.external_reference)
		)
	taken = owner_of(remote.fiscal_id, row.name)
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
	clear_error(row)
	row.next_attempt = now if keeps_xml(row) else None


def keeps_xml(row) -> bool:
	"""Whether the XML of a document is fetched and kept without being asked for; `next_attempt` says when (files.py)."""
	provider = connection.providers().get(row.provider)
	wanted = frappe.get_cached_doc(connection.SETTINGS).keep_xml
	return bool(wanted and provider and provider.capabilities.xml)


def _signed_here(row) -> bool:
	provider = connection.providers().get(row.provider)
	return bool(provider and provider.capabilities.signs)


def owner_of(fiscal_id: str, name: str) -> str | None:
	"""The invoice of another row that holds this fiscal id."""
	return frappe.db.get_value(DOCTYPE, {"fiscal_id": fiscal_id, "name": ("!=", name)}, "reference_name")


def _result(row, remote: RemoteDocument):
	own = _signed_here(row) and remote.fiscal_id == row.fiscal_id
	qr_value = remote.qr_value or (row.qr_value if own else "")
	row.update(
		{
			"fiscal_id": remote.fiscal_id,
			"authorization_number": remote.authorization_number,
			"authorized_at": _local(remote.authorized_at),
			"issued_at": _local(remote.issued_at) or (row.issued_at if own else None),
			"provider_total": str(remote.total) if remote.total is not None else None,
			"qr_value": qr_value,
			"qr_image": qr.taken(remote.qr_image) or _rendered(qr_value),
		}
	)
	row.set_stamps(remote.stamps)


def _rendered(qr_value: str) -> str | None:
	"""The QR image of a document whose provider sends none."""
	try:
		return qr.data_uri(qr_value) if qr_value else None
	except ValueError:
		return None


def _to_review(row, message):
	row.move_to(lifecycle.NEEDS_REVIEW)
	_note(row, Failure(ErrorClass.UNKNOWN, message, "needs_review"))
	row.next_attempt = None
	audit.log_failure(f"{row.reference_name}: needs review", message, document=row)


def _note(row, failure: Failure):
	row.error_class = failure.error_class.value
	row.error_code = failure.code[:140]
	row.error_message = translated(failure.message, _)


def clear_error(row):
	row.error_class = row.error_code = row.error_message = None


def _due_in(row, seconds: float | None, now):
	"""When the row is looked at again; None: not by itself."""
	row.next_attempt = add_to_date(now, seconds=int(seconds) + 1) if seconds is not None else None


def _local(moment):
	"""An instant as Frappe keeps it: in the site's zone, without saying so."""
	return moment.astimezone(ZoneInfo(get_system_timezone())).replace(tzinfo=None) if moment else None


def log(title: str, name: str, error: Exception):
	"""Log a failure of our own; when even that fails, the site's log file has to do."""
	try:
		audit.log_failure(f"{title}: {name}", str(error), error=error)
		frappe.db.commit()
	except Exception:
		frappe.db.rollback()
		frappe.logger("fiscal_integration").error(f"{title}: {name}: {type(error).__name__}")


# -- onto the invoice ------------------------------------------------------------------------------------


def project(name: str):
	"""Show the row on its invoice, in a transaction of its own. The sweep repeats it when it fails.

	Without a lock on the row, which a cancellation takes in the other order: so what was shown may be old by
	then, and is shown again until it is not.
	"""
	try:
		row = None
		for _try in range(PROJECT_TRIES):
			frappe.db.commit()
			if row is None or not _is_as_shown(row):
				row = frappe.get_doc(DOCTYPE, name)
			if row.projected and is_projected(row):
				return
			_show(row)
			row.projected = 1
	except Exception as error:
		frappe.db.rollback()
		log("Invoice could not be updated", name, error)


def _is_as_shown(row) -> bool:
	modified, projected = frappe.db.get_value(DOCTYPE, row.name, ["modified", "projected"])
	return bool(projected) and get_datetime(modified) == get_datetime(row.modified)


def _show(row):
	write_projection(row)
	unchanged = {"name": row.name, "modified": row.modified}
	frappe.db.set_value(DOCTYPE, unchanged, "projected", 1, update_modified=False)
	row.notify_update()
	for doctype, document in ((row.reference_doctype, row.reference_name), (DOCTYPE, row.name)):
		frappe.publish_realtime(
			"fiscal_document_update",
			{"doctype": doctype, "name": document, "status": row.status},
			doctype=doctype,
			docname=document,
			after_commit=True,
		)
	frappe.db.commit()


def is_projected(row) -> bool:
	"""Whether the invoice shows the row as it is."""
	if not sources.of(row.reference_doctype, row.purpose).projected:
		return True
	wanted = projection(row)
	shown = frappe.db.get_value(row.reference_doctype, row.reference_name, list(wanted), as_dict=True)
	return not shown or all((shown[field] or None) == (value or None) for field, value in wanted.items())


def project_after_commit(name: str):
	frappe.db.after_commit.add(lambda: project(name))


def write_projection(row):
	"""The invoice's fiscal fields as `row` has them. No commit, no change of `modified`."""
	source = sources.of(row.reference_doctype, row.purpose)
	if source.projected:
		frappe.db.set_value(row.reference_doctype, row.reference_name, projection(row), update_modified=False)
	if source.shown:
		source.shown(row)


def projection(row) -> dict:
	shown = shows_qr(row)
	return {
		"fiscal_document": row.name,
		"fiscal_status": row.status,
		# What was signed here and refused, or never sent, is nobody's legal id.
		"fiscal_id": row.fiscal_id if shown or row.status == lifecycle.NEEDS_REVIEW else None,
		"fiscal_authorization": row.authorization_number,
		"fiscal_authorized_at": row.authorized_at,
		"fiscal_qr_value": row.qr_value if shown else None,
		"fiscal_qr_image": row.qr_image if shown else None,
		"fiscal_cancellation": row.cancellation_status,
		"fiscal_error": row.error_message if row.status in lifecycle.DEAD_LETTERS else None,
	}


def held(row) -> Held:
	"""What we hold of the row's document, for the provider to find it again."""
	issued_at = row.issued_at or row.authorized_at
	return Held(
		provider_id=row.provider_id or "",
		fiscal_id=row.fiscal_id or "",
		external_reference=row.external_reference,
		issued_at=get_datetime(issued_at).replace(tzinfo=ZoneInfo(get_system_timezone()))
		if issued_at
		else None,
		stamps={stamp.key: stamp.value for stamp in row.stamps},
		payload=row.payload or "",
	)


def shows_qr(row) -> bool:
	"""Whether the QR code is the sale's: it is issued, or signed here and on its way."""
	return row.status == lifecycle.ISSUED or bool(row.fiscal_id and row.status in lifecycle.DUE)


def find(doctype: str, name: str):
	"""The Fiscal Document of an invoice, or None. (One of a Fiscal Document is that itself.)"""
	found = (
		name
		if doctype == DOCTYPE
		else frappe.db.get_value(
			DOCTYPE, {"reference_doctype": doctype, "reference_name": name, "purpose": PURPOSE}
		)
	)
	return frappe.get_doc(DOCTYPE, found) if found else None


def find_all(doctype: str, name: str) -> list:
	"""All Fiscal Documents of an invoice, those of payments at the till before its own."""
	return [
		frappe.get_doc(DOCTYPE, found)
		for found in frappe.get_all(
			DOCTYPE,
			{"reference_doctype": doctype, "reference_name": name},
			pluck="name",
			order_by="purpose desc",
		)
	]
