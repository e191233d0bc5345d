"""Many documents at once: the sweep, the drains that empty what is due, bulk and the end-of-day batch.

A drain keeps several requests of one company in the air from one worker: threads make the calls, which need
no database, and the main thread claims rows and writes the outcomes. Live sales go before bulk.
See decisions/0004-one-connection-many-requests.md.
"""

import json
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import frappe
from frappe import _
from frappe.utils import add_to_date, get_datetime, get_time, getdate, now_datetime

from fiscal_integration import alerts, by_hand, circuit, connection, dispatch, due, sources
from fiscal_integration.dispatch import DOCTYPE
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import ErrorClass

BATCH = "Fiscal Batch"
PREPARING, RUNNING, FINISHED = "Preparing", "Running", "Finished"
SWEEP_LIMIT = 500
SINGLE_JOBS = 20
"""As many due documents of a company are queued one by one; more are left to a drain."""
DRAIN_SECONDS = 20
"""A drain gives its worker back after this, and queues itself again when something is left."""
AHEAD = 3
"""Rows claimed beyond those in the air, so that a free slot need not wait for the database."""
READ_AHEAD = 50
"""Bulk rows that are read at once; each is looked at again when it is claimed."""
REPAIR_HOURS = 3
BATCH_LIMIT_SECONDS = 6 * 3600
BATCH_HORIZON_SECONDS = 900
"""A batch waits for what is tried again within this; what waits longer is told as still waiting."""
ERROR_GROUPS = 20
"""As many kinds of errors are shown of a batch, the most frequent ones."""
PUBLISH_SECONDS = 2
"""No more often than this does a drain tell an open batch how far it has come."""


# -- the sweep -------------------------------------------------------------------------------------------


def sweep():
	"""Queue everything that is due: what Redis lost, what waits for its next attempt, what a dead worker left."""
	by_company: dict[str, list] = {}
	for row in due.documents(SWEEP_LIMIT):
		by_company.setdefault(row.company, []).append(row)
	for company, rows in by_company.items():
		_sweep_company(company, rows)
	for name in frappe.get_all(
		DOCTYPE, filters={"projected": 0, "status": ("!=", lifecycle.QUEUED)}, limit=SWEEP_LIMIT, pluck="name"
	):
		dispatch.project(name)
	finish_batches()


def repair_projections():
	"""Show again what a save of the whole invoice has overwritten: the last resort behind
	overrides.invoice.restore_projection, should that have been lost with its process."""
	since = add_to_date(now_datetime(), hours=-REPAIR_HOURS)
	for doctype in sources.SOURCES:
		names = frappe.db.sql(
			f"""
			select document.name from `tab{doctype}` invoice
			join `tabFiscal Document` document
				on document.reference_doctype = %s and document.reference_name = invoice.name
					and document.purpose = %s
			where invoice.modified >= %s and document.projected = 1
				and document.status != coalesce(invoice.fiscal_status, '')
			limit {SWEEP_LIMIT}
			""",
			(doctype, dispatch.PURPOSE, since),
			pluck=True,
		)
		for name in names:
			dispatch.project(name)


def _sweep_company(company, rows):
	record = connection.record_for(company)
	if record and circuit.look(circuit.source_of(record)).open:
		# One job is enough to probe; when it finds somebody, the next sweep sends the others.
		if not circuit.blocks(record):
			dispatch.enqueue(rows[0].name)
		return
	live = [row.name for row in rows if not row.bulk]
	for name in live[:SINGLE_JOBS]:
		dispatch.enqueue(name)
	if len(live) > SINGLE_JOBS or len(live) < len(rows):
		enqueue_drain(company)


# -- drains ----------------------------------------------------------------------------------------------


def enqueue_drain(company: str, part: int = 0) -> bool:
	"""Queue a drain on the long queue, unless one waits there. False when that failed: the sweep repeats it.

	`part` alternates, because a running drain could not queue another one of its own name.
	"""
	return dispatch.enqueue_job(
		"fiscal_integration.drain.drain", "long", f"fiscal-drain-{company}-{part}", company=company, part=part
	)


def drain(company: str, part: int = 0, seconds: float = DRAIN_SECONDS) -> int:
	"""The job: take what is due of `company` further, as many at once as its connection allows.

	Returns how many were handled. Never raises, as `dispatch.process`.
	"""
	try:
		handled, left = _Drain(company, seconds).run()
		if left:
			enqueue_drain(company, 1 - part)
		else:
			finish_batches("Bulk")
		return handled
	except Exception as error:
		frappe.db.rollback()
		dispatch.log("Drain stopped", company, error)
		return 0


class _Drain:
	def __init__(self, company, seconds):
		self.company = company
		self.deadline = time.monotonic() + seconds
		self.skip: set[str] = set()
		self.busy_devices: set[str] = set()
		self.ahead: list = []
		self.handled = 0
		self.published: dict[str, float] = {}

	def run(self) -> tuple[int, bool]:
		"""How many were handled, and whether something is left."""
		record = connection.record_for(self.company)
		if not record or not circuit.allows(record):
			return 0, False
		limit = record.connection(secrets=False).max_concurrent
		flying = {}
		with ThreadPoolExecutor(max_workers=limit, thread_name_prefix="fiscal") as pool:
			while True:
				# Looked at again each time: it may open, or be switched off, while the drain runs.
				open_for_more = (
					time.monotonic() < self.deadline and not circuit.look(circuit.source_of(record)).open
				)
				for work in self._claim(limit + AHEAD - len(flying)) if open_for_more else ():
					flying[pool.submit(dispatch.call, work, live=not work.row.bulk)] = work
					if any(future.done() for future in flying):
						break
				if not flying:
					break
				done, _still = wait(flying, return_when=FIRST_COMPLETED)
				for future in done:
					work = flying.pop(future)
					self._finish(work)
		return self.handled, bool(self._due(1)) and not circuit.look(circuit.source_of(record)).open

	def _claim(self, room: int):
		"""Claimed rows, at most `room`: live ones before bulk, in the order in which they became due."""
		for row in self._due(room) if room > 0 else ():
			if row.device in self.busy_devices:
				continue
			work = self._begin(row.name)
			if not work:
				# Another worker has it, or it is not its turn.
				self.skip.add(row.name)
				continue
			if work.row.device:
				self.busy_devices.add(work.row.device)
			yield work

	def _begin(self, name):
		try:
			return dispatch.begin(name)
		except Exception as error:
			frappe.db.rollback()
			dispatch.log("Fiscal document could not be processed", name, error)
			return None

	def _finish(self, work):
		self.handled += 1
		try:
			dispatch.finish(work)
		except Exception as error:
			frappe.db.rollback()
			dispatch.log("Fiscal document could not be processed", work.row.name, error)
		self.busy_devices.discard(work.row.device)
		if work.row.batch and time.monotonic() - self.published.get(work.row.batch, 0) > PUBLISH_SECONDS:
			self.published[work.row.batch] = time.monotonic()
			publish_progress(work.row.batch)

	def _due(self, limit: int):
		"""The names and devices of what is due, at most `limit`: live rows first. Bulk is read ahead."""
		left_out = self.skip, self.busy_devices
		found = due.of_company(self.company, 0, limit, *left_out)
		if len(found) < limit:
			if len(self.ahead) < limit:
				self.ahead = due.of_company(self.company, 1, max(limit, READ_AHEAD), *left_out)
			room = limit - len(found)
			found += self.ahead[:room]
			self.ahead = self.ahead[room:]
		return found


# -- bulk ------------------------------------------------------------------------------------------------


def queue_bulk(filters: dict, kind: str = "Bulk") -> str | None:
	"""Send again what `filters` (of Fiscal Document) select and a person may send again; what waits goes now.

	A `status` among the filters keeps it to rows in that state. One statement for each kind of row, however many
	there are. Returns the name of the Fiscal Batch, or None when nothing was selected. Commits nothing; the
	drains start after the commit.
	"""
	batch = frappe.new_doc(BATCH)
	batch.update(
		{"kind": kind, "status": RUNNING, "started_at": now_datetime(), "requested_by": frappe.session.user}
	)
	batch.insert(ignore_permissions=True)
	filters = dict(filters)
	wanted = filters.pop("status", None)
	if wanted in (None, lifecycle.QUEUED):
		send_now(filters, batch.name)
	if kind == "End of Day":
		# Only what may go well by itself this time: the rest waits for a person.
		filters["error_class"] = ("in", (ErrorClass.TRANSIENT.value, ErrorClass.UNKNOWN.value))
	for status in (lifecycle.FAILED,) if kind == "End of Day" else (lifecycle.REJECTED, lifecycle.FAILED):
		if wanted in (None, status):
			send_again({**filters, "status": status}, batch.name)
	total = frappe.db.count(DOCTYPE, {"batch": batch.name})
	if not total:
		frappe.delete_doc(BATCH, batch.name, ignore_permissions=True, force=True)
		return None
	batch.db_set("total", total, update_modified=False)
	companies = frappe.get_all(DOCTYPE, {"batch": batch.name}, pluck="company", distinct=True, order_by="")
	for company in companies:
		frappe.db.after_commit.add(lambda company=company: enqueue_drain(company))
	return batch.name


def send_now(filters: dict, batch: str):
	"""What waits among these rows goes at once, with `batch`. One statement, no commit."""
	waiting = {**filters, "status": lifecycle.QUEUED, "lease_until": None}
	frappe.db.set_value(DOCTYPE, waiting, _on_its_way(batch), update_modified=False)


def send_again(filters: dict, batch: str):
	"""What was refused or failed among these rows goes again, with `batch`. One statement, no commit."""
	dead = {"status": ("in", (lifecycle.REJECTED, lifecycle.FAILED)), **filters}
	values = {**by_hand.AFRESH, **_on_its_way(batch), "status_since": now_datetime()}
	frappe.db.set_value(DOCTYPE, dead, values, update_modified=False)


def _on_its_way(batch) -> dict:
	return {"batch": batch, "bulk": 1, "next_attempt": now_datetime(), "released": 1}


def enqueue_preparation(batch: str, part: int = 0) -> bool:
	"""Queue the job that looks through what a batch selects (bulk.py). `part` as in `enqueue_drain`."""
	return dispatch.enqueue_job(
		"fiscal_integration.bulk.prepare", "long", f"fiscal-bulk-{batch}-{part}", batch=batch, part=part
	)


def progress(batch: str) -> dict:
	"""How far a batch has come: counted now, and as it was summed up once it is Finished."""
	row = frappe.db.get_value(
		BATCH,
		batch,
		["name", "status", "total", "issued", "waiting", "failed", "selected", "details"],
		as_dict=True,
	)
	details = json.loads(row.pop("details") or "{}")
	row["left"] = [
		[_(template).format(*arguments), number] for template, arguments, number in details.get("left", [])
	]
	if row.status == FINISHED:
		row["errors"] = details.get("errors", [])
	else:
		row.update(_counted(batch))
		row["errors"] = _errors(batch)
	gone = max((row.total or 0) - row.issued - row.waiting - row.failed, 0)
	row["gone"] = gone
	row["percent"] = int(100 * (row.total - row.waiting) / row.total) if row.total else 0
	return row


def _counted(batch) -> dict:
	counts = _by_status(batch)
	return {
		"issued": counts.get(lifecycle.ISSUED, 0),
		"waiting": sum(counts.get(status, 0) for status in lifecycle.DUE),
		"failed": sum(counts.get(status, 0) for status in lifecycle.DEAD_LETTERS),
	}


def _by_status(batch) -> dict[str, int]:
	return dict(
		frappe.db.sql(
			"select status, count(*) from `tabFiscal Document` where batch = %s group by status", (batch,)
		)
	)


def _errors(batch) -> list[list]:
	"""[code, message of one of them, how many] of what needs a person, the most frequent first."""
	return [
		list(row)
		for row in frappe.db.sql(
			f"""
			select coalesce(error_code, ''), min(error_message), count(*) from `tabFiscal Document`
			where batch = %s and status in %s
			group by coalesce(error_code, '') order by count(*) desc, coalesce(error_code, '')
			limit {ERROR_GROUPS}
			""",
			(batch, lifecycle.DEAD_LETTERS),
		)
	]


def publish_progress(batch: str):
	"""Tell the open form of a batch that it has come further; the form asks how far."""
	frappe.publish_realtime("fiscal_batch_progress", {"name": batch}, doctype=BATCH, docname=batch)


def finish_batches(kind: str | None = None):
	"""Sum up the batches (of `kind`) of which nothing is due any more. Called by the sweep, and for bulk by the
	drain that ends it. What was not prepared to its end, because its worker died, is prepared further."""
	filters = {"status": ("in", (PREPARING, RUNNING)), **({"kind": kind} if kind else {})}
	fields = ["name", "kind", "status", "started_at", "total", "details", "lease_until"]
	for batch in frappe.get_all(BATCH, filters, fields):
		now = now_datetime()
		in_time = (now - get_datetime(batch.started_at)).total_seconds() < BATCH_LIMIT_SECONDS
		if batch.status == PREPARING and in_time:
			if not batch.lease_until or get_datetime(batch.lease_until) < now:
				enqueue_preparation(batch.name)
			continue
		soon = add_to_date(now, seconds=BATCH_HORIZON_SECONDS)
		if in_time and due.in_batch(batch.name, soon):
			continue
		_sum_up(batch)


def _sum_up(batch):
	counts = _by_status(batch.name)
	gone = (batch.total or 0) - sum(counts.values())
	lines = [f"{_(status)}: {counts[status]}" for status in lifecycle.STATES if counts.get(status)]
	if gone > 0:
		lines.append(_("Withdrawn, or sent with a later batch: {0}").format(gone))
	errors = _errors(batch.name)
	if errors:
		lines.append(_("Errors by code:"))
		lines += [f"{code or '-'}: {number}" for code, _message, number in errors]
	values = _counted(batch.name)
	frappe.db.set_value(
		BATCH,
		batch.name,
		{
			"status": FINISHED,
			"finished_at": now_datetime(),
			"lease_until": None,
			"summary": "\n".join(lines),
			"details": json.dumps({**json.loads(batch.details or "{}"), "errors": errors}),
			**values,
		},
	)
	frappe.db.commit()
	publish_progress(batch.name)
	if batch.kind == "End of Day" or values["failed"]:
		alerts.batch_ended(batch.name, urgent=bool(values["failed"]))


# -- the end of the day ----------------------------------------------------------------------------------


def end_of_day(force: bool = False) -> str | None:
	"""Once a day, at its time or as soon after as the scheduler runs: send all that is not yet issued.

	Returns the batch's name; None when it is off, not yet time, done for today, or nothing is left to send.
	"""
	settings = frappe.get_cached_doc(connection.SETTINGS)
	now = now_datetime()
	if not force:
		if not (settings.enabled and settings.batch_enabled) or not settings.batch_time:
			return None
		done_today = settings.last_batch_on and getdate(settings.last_batch_on) == now.date()
		if done_today or now.time() < get_time(settings.batch_time):
			return None
	frappe.db.set_single_value(connection.SETTINGS, "last_batch_on", now.date(), update_modified=False)
	batch = queue_bulk({}, kind="End of Day")
	frappe.db.commit()
	return batch
