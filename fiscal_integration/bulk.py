"""Bulk re-generation from the lists: what would be sent and why the rest would not, and putting it on its way.

What is selected is looked at in chunks, by name only, so that tens of thousands of rows need little memory. The
invoices that have no Fiscal Document at all, because the app was installed later or was off, get theirs here, as
they would have at submit. All of it can be begun again at any point: a batch that was interrupted goes on.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass, field

import frappe
from frappe import _
from frappe.utils import add_to_date, get_datetime, now_datetime

from fiscal_integration import claims, connection, dispatch, drain, mapping, recurring, sources
from fiscal_integration.dispatch import DOCTYPE, PURPOSE
from fiscal_integration.drain import BATCH, FINISHED, PREPARING, RUNNING
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import MappingError
from fiscal_integration.fiscal.words import say, translated
from fiscal_integration.overrides.invoice import without_document
from fiscal_integration.providers.base import Provider

CHUNK = 200
FEW = 50
"""As many rows are put on their way within the request; more are left to a job."""
PREPARE_SECONDS = 20
"""A job gives its worker back after this, and queues itself again when something is left."""
LEASE_SECONDS = 120
"""A batch whose job has not been heard of for this long is taken up again by the sweep."""
LOOKED_AT = 200
"""As many invoices are mapped by a preview to see whether the law wants a document of them."""
TRIES = 3
SECOND_OF_PERIOD = "second_of_period"

INVOICE_FIELDS = (
	"name",
	"creation",
	"company",
	"docstatus",
	"posting_date",
	"currency",
	"grand_total",
	"is_opening",
	"is_return",
	"is_debit_note",
	"is_consolidated",
	"is_created_using_pos",
	"return_against",
	"pos_profile",
	"subscription",
	"from_date",
	"to_date",
	"auto_repeat",
	"fiscal_status",
	"fiscal_error",
)
"""What deciding about an invoice, and making its document, needs; without its rows, which are read where needed."""
DOCUMENT_FIELDS = (
	"name",
	"reference_name",
	"company",
	"status",
	"cancellation_status",
	"error_code",
	"batch",
	"bulk",
	"next_attempt",
	"lease_until",
)

WITH_PROVIDER = "With the provider: its answer decides."
STANDING = {
	lifecycle.SENDING: WITH_PROVIDER,
	lifecycle.PENDING: WITH_PROVIDER,
	lifecycle.UNKNOWN: WITH_PROVIDER,
	lifecycle.ISSUED: "Issued already.",
	lifecycle.NEEDS_REVIEW: "Needs review: a person compares and decides.",
	lifecycle.WITHDRAWN: "The invoice was cancelled before anything was issued.",
}
"""Why documents in these states stay as they are."""


# -- the two calls ---------------------------------------------------------------------------------------


def preview(doctype: str, names: list[str] | None = None, filters=None) -> dict:
	"""What `start` would do with these rows: how many would be sent, and why the others would not.

	`names`, or all rows that `filters` select and the user may read. `will` is the sum of `again` (refused or
	failed), `waiting` (sent at once) and `new` (invoices without a document, the oldest of which is of the day
	`oldest`). Of `new`, `unchecked` were not yet asked whether the law wants a document of them.
	"""
	selected = _select(doctype, names, filters)
	lot = _Lot(_Companies())
	for chunk in _chunks(selected):
		_sort(doctype, chunk, lot)
	unchecked = _look_for_not_needed(doctype, lot)
	days = [str(row.posting_date) for row in lot.missing]
	if names and (hidden := len(set(names)) - len(selected)):
		lot.reasons[say("Not found, or not yours to read.")] += hidden
	return {
		"selected": max(len(set(names or ())), len(selected)),
		"will": len(lot.again) + len(lot.waiting) + len(lot.missing),
		"again": len(lot.again),
		"waiting": len(lot.waiting),
		"new": len(lot.missing),
		"unchecked": unchecked,
		"oldest": min(days, default=None),
		"reasons": {translated(reason, _): number for reason, number in lot.reasons.most_common()},
	}


def start(doctype: str, names: list[str] | None = None, filters=None) -> dict:
	"""Put these rows on their way as a Fiscal Batch; `documents` is how many were when this returned.

	With more than a few rows the batch is Preparing, and a job on the long queue goes on. `batch` is None when
	nothing was to be sent. Commits.
	"""
	selected = _select(doctype, names, filters)
	if not selected:
		return {"batch": None, "documents": 0, "status": FINISHED}
	batch = frappe.new_doc(BATCH)
	batch.update(
		{
			"kind": "Bulk",
			"status": PREPARING,
			"started_at": now_datetime(),
			"requested_by": frappe.session.user,
			"selected_from": doctype,
			"selected": len(selected),
			"selection": json.dumps({"names": names, "filters": filters}, default=str),
		}
	)
	batch.insert(ignore_permissions=True)
	frappe.db.commit()
	if len(selected) > FEW:
		drain.enqueue_preparation(batch.name)
		return {"batch": batch.name, "documents": 0, "status": PREPARING}
	prepare(batch.name, last=True)
	status, total = frappe.db.get_value(BATCH, batch.name, ["status", "total"])
	if status == FINISHED and not total:
		frappe.delete_doc(BATCH, batch.name, ignore_permissions=True, force=True)
		frappe.db.commit()
		return {"batch": None, "documents": 0, "status": FINISHED}
	return {"batch": batch.name, "documents": total, "status": status}


# -- what is selected ------------------------------------------------------------------------------------


def _select(doctype, names, filters) -> list[str]:
	"""The names of the selected rows which the user may read, in the order of the sales."""
	if doctype not in (*mapping.SALES, DOCTYPE):
		frappe.throw(_("{0} has no fiscal document.").format(doctype), frappe.PermissionError)
	wanted = [["name", "in", names]] if names is not None else filters or []
	if names is not None and not names:
		return []
	order = ("creation",) if doctype == DOCTYPE else ("posting_date", "posting_time")
	found = frappe.get_list(
		doctype,
		fields=["name", *order],
		filters=wanted,
		order_by=", ".join(f"`tab{doctype}`.`{column}` asc" for column in (*order, "name")),
		# A filter on a child table finds an invoice once for each of its rows. (`distinct` would lose the order.)
		group_by=f"`tab{doctype}`.`name`",
		as_list=True,
		limit=0,
	)
	return [row[0] for row in found]


def _chunks(names):
	for begin in range(0, len(names), CHUNK):
		yield names[begin : begin + CHUNK]


class _Companies(dict):
	"""The connection's record of each company, None where nothing is issued; looked up once."""

	def __missing__(self, company):
		self[company] = connection.record_for(company) if company else None
		return self[company]


@dataclass
class _Lot:
	"""Selected rows by what becomes of them."""

	companies: _Companies
	again: list[str] = field(default_factory=list)
	waiting: list[str] = field(default_factory=list)
	missing: list = field(default_factory=list)
	reasons: Counter = field(default_factory=Counter)

	def leave(self, reason: str, *arguments):
		self.reasons[say(reason, *arguments)] += 1

	def leave_unconnected(self, company):
		self.leave("{0} is not connected to a fiscal provider, or switched off.", company)


def _sort(doctype, names, lot: _Lot, batch: str = ""):
	"""Put these rows into `lot`. What is in `batch` already is left out without a word."""
	now = now_datetime()
	if doctype == DOCTYPE:
		for row in frappe.get_all(DOCTYPE, {"name": ("in", names)}, DOCUMENT_FIELDS, order_by="", limit=0):
			_sort_document(row, lot, batch, now)
		return
	columns = set(frappe.get_meta(doctype).get_valid_columns())
	fields = [column for column in INVOICE_FIELDS if column in columns]
	invoices = {
		row.name: row
		for row in frappe.get_all(doctype, {"name": ("in", names)}, fields, order_by="", limit=0)
	}
	documents = {
		row.reference_name: row
		for row in frappe.get_all(
			DOCTYPE,
			{"reference_doctype": doctype, "reference_name": ("in", names), "purpose": PURPOSE},
			DOCUMENT_FIELDS,
			order_by="",
			limit=0,
		)
	}
	parts = _consolidated_parts([name for name, row in invoices.items() if row.get("is_consolidated")])
	for name in names:
		invoice, document = invoices.get(name), documents.get(name)
		if not invoice:
			continue
		if invoice.docstatus == 0:
			lot.leave("A draft: submit it first.")
		elif invoice.docstatus == 2:
			lot.leave("The invoice is cancelled.")
		elif document:
			_sort_document(document, lot, batch, now)
		else:
			_sort_missing(doctype, invoice, parts.get(name, ()), lot)


def _sort_document(row, lot, batch, now):
	if batch and row.batch == batch:
		return
	if row.status == lifecycle.ISSUED and row.cancellation_status == lifecycle.CANCELLED:
		lot.leave("Cancelled at the authority.")
	elif row.status in STANDING:
		lot.leave(STANDING[row.status])
	elif row.status == lifecycle.QUEUED and row.lease_until:
		lot.leave(WITH_PROVIDER)
	elif row.status == lifecycle.QUEUED and _is_going(row, now):
		lot.leave("On its way in bulk already.")
	elif row.error_code == SECOND_OF_PERIOD and row.status == lifecycle.REJECTED:
		lot.leave("A second invoice of its period: decide about it on its own.")
	elif not lot.companies[row.company]:
		lot.leave_unconnected(row.company)
	elif row.status == lifecycle.QUEUED:
		lot.waiting.append(row.name)
	else:
		lot.again.append(row.name)


def _is_going(row, now) -> bool:
	return bool(row.bulk and row.next_attempt and get_datetime(row.next_attempt) <= now)


def _sort_missing(doctype, row, parts, lot):
	if row.get("is_opening") == "Yes":
		lot.leave("An opening entry, not a sale.")
	elif row.get("is_consolidated") and not _stands_for_itself(doctype, row, parts):
		lot.leave("Made by a POS Closing from POS Invoices, which have their own documents.")
	elif row.fiscal_status == lifecycle.IN_GLOBAL:
		# Never a document of its own beside the one that stands for it already.
		lot.leave("Part of a global invoice already.")
	elif row.fiscal_status in lifecycle.WITHOUT and not _may_have_changed(doctype, row):
		lot.leave("It needs no document of its own: {0}", row.fiscal_error or "")
	elif not lot.companies[row.company]:
		lot.leave_unconnected(row.company)
	else:
		lot.missing.append(row)


def _may_have_changed(doctype, row) -> bool:
	"""A return that was to be taken off a global invoice is a credit note once its sale is in an issued one."""
	collected = row.is_return and row.fiscal_status == lifecycle.FOR_GLOBAL
	return bool(collected and not claims.holding(doctype, row.name))


def _stands_for_itself(doctype, row, parts) -> bool:
	invoice = _light(doctype, row)
	# A consolidated invoice is asked what its rows stand for.
	invoice.__dict__["items"] = parts
	return mapping.is_sale(invoice)


def _light(doctype, row):
	"""The invoice as a document without its child rows."""
	return frappe.get_doc({"doctype": doctype, **row})


def _consolidated_parts(names) -> dict[str, list]:
	"""Which POS Invoices the rows of these Sales Invoices stand for."""
	parts: dict[str, list] = {}
	if names:
		for row in frappe.get_all(
			"Sales Invoice Item",
			{"parent": ("in", names), "parenttype": "Sales Invoice"},
			["parent", "pos_invoice"],
			distinct=True,
			order_by="",
			limit=0,
		):
			parts.setdefault(row.parent, []).append(row)
	return parts


def _look_for_not_needed(doctype, lot) -> int:
	"""Take out of `lot` those of which the law wants no document; how many were too many to be looked at."""
	looked = unchecked = 0
	kept = []
	for row in lot.missing:
		record = lot.companies[row.company]
		if not _may_be_outside(record):
			kept.append(row)
		elif looked >= LOOKED_AT:
			unchecked += 1
			kept.append(row)
		else:
			looked += 1
			without = _without(doctype, row.name, record)
			if without:
				lot.leave("It needs no document of its own: {0}", without[1])
			else:
				kept.append(row)
	lot.missing = kept
	return unchecked


def _may_be_outside(record) -> bool:
	return record.provider_class.not_needed is not Provider.not_needed


def _without(doctype, name, record) -> tuple[str, str] | None:
	"""What an invoice shows that is to have no document. What cannot be told here is left to the sending."""
	try:
		invoice = mapping.to_invoice(frappe.get_doc(doctype, name), record.payment_code)
		return without_document(record.provider_class(record.connection(secrets=False), None), invoice)
	except MappingError:
		return None


# -- putting it on its way -------------------------------------------------------------------------------


def prepare(batch: str, part: int = 0, seconds: float = PREPARE_SECONDS, last: bool = False):
	"""The job: put on its way what the batch selects, for as long as `seconds`, then queue itself again.

	As the user who asked for it, whoever runs it. Never raises, as `dispatch.process`; with `last`, which is for
	a request, it does, and goes on to the end.
	"""
	user = frappe.session.user
	try:
		row = _take_up(batch)
		if not row:
			return
		if row.requested_by != user:
			frappe.set_user(row.requested_by)
		deadline = float("inf") if last else time.monotonic() + seconds
		if not _Preparation(row).run(deadline):
			drain.enqueue_preparation(batch, 1 - part)
	except Exception as error:
		frappe.db.rollback()
		if last:
			raise
		dispatch.log("Bulk could not be prepared", batch, error)
	finally:
		if frappe.session.user != user:
			frappe.set_user(user)


def _take_up(batch):
	"""Claim the batch for this job, or None when it is prepared, or another job is at it. Commits."""
	fields = ["name", "status", "requested_by", "selected_from", "selection", "lease_until"]
	row = frappe.db.get_value(BATCH, batch, fields, as_dict=True, for_update=True)
	busy = row and row.lease_until and get_datetime(row.lease_until) > now_datetime()
	if not row or row.status != PREPARING or busy:
		frappe.db.rollback()
		return None
	_hold(batch)
	frappe.db.commit()
	return row


def _hold(batch, **values):
	lease = add_to_date(now_datetime(), seconds=LEASE_SECONDS)
	frappe.db.set_value(BATCH, batch, {"lease_until": lease, **values}, update_modified=False)


class _Preparation:
	"""One run over what a batch selects, from the beginning: what it put on its way before is passed by."""

	def __init__(self, row):
		self.batch, self.doctype = row.name, row.selected_from
		self.selection = json.loads(row.selection)
		self.companies = _Companies()
		self.reasons = Counter()
		self.woken: set[str] = set()

	def run(self, deadline: float) -> bool:
		"""Whether the end was reached. What only passes by what is done already is never cut short."""
		names = _select(self.doctype, self.selection["names"], self.selection["filters"])
		late = False
		for chunk in _chunks(names):
			if late:
				self._release()
				return False
			worked = self._step(chunk)
			late = worked and time.monotonic() > deadline
		self._end()
		return True

	def _step(self, chunk) -> bool:
		"""Put one chunk on its way. Whether anything of it was. Commits."""
		for attempt in range(TRIES):
			try:
				lot = self._put(chunk)
				frappe.db.commit()
				break
			except (frappe.QueryDeadlockError, frappe.QueryTimeoutError):
				# Another bulk has the same rows, or a closing holds an invoice: all of the chunk is undone.
				frappe.db.rollback()
				if attempt == TRIES - 1:
					raise
		self.reasons.update(lot.reasons)
		if not (lot.missing or lot.waiting or lot.again):
			return False
		self._show([row.name for row in lot.missing])
		for company in {*self._companies_of(lot)} - self.woken:
			self.woken.add(company)
			drain.enqueue_drain(company)
		return True

	def _put(self, chunk) -> _Lot:
		lot = _Lot(self.companies)
		_sort(self.doctype, chunk, lot, self.batch)
		if lot.waiting:
			drain.send_now({"name": ("in", lot.waiting)}, self.batch)
		if lot.again:
			drain.send_again({"name": ("in", lot.again)}, self.batch)
		lot.missing = [row for row in lot.missing if self._make(row, lot)]
		_hold(self.batch, total=frappe.db.count(DOCTYPE, {"batch": self.batch}))
		return lot

	def _make(self, row, lot) -> bool:
		"""Insert the Fiscal Document of an invoice that has none. False when it stays without."""
		record = lot.companies[row.company]
		if row.fiscal_status == lifecycle.FOR_GLOBAL:
			# Held, so that nobody collects it meanwhile; and claimed it must not be.
			frappe.db.get_value(self.doctype, row.name, "name", for_update=True)
			if claims.holding(self.doctype, row.name, lock=True):
				lot.leave("Part of a global invoice already.")
				return False
		if _may_be_outside(record):
			without = _without(self.doctype, row.name, record)
			if without:
				noted = dict(zip(("fiscal_status", "fiscal_error"), without, strict=True))
				frappe.db.set_value(self.doctype, row.name, noted, update_modified=False)
				lot.leave("It needs no document of its own: {0}", without[1])
				return False
		try:
			self._insert(_light(self.doctype, row))
		except frappe.UniqueValidationError:
			# Another bulk was faster by a moment. Frappe has a message of its own for that.
			frappe.clear_last_message()
			lot.leave("On its way in bulk already.")
			return False
		return True

	def _insert(self, invoice):
		"""As `dispatch.create`, but with the batch, and without a job of its own on the tills' queue."""
		values = {"batch": self.batch, "bulk": 1, "released": 1}
		reference = dispatch.external_reference(invoice)
		if base := recurring.period_key(invoice):
			reference, other = recurring.reference_for(dispatch.external_reference(invoice, base))
			if other:
				name = dispatch.insert_second_of_period(invoice, other)
				frappe.db.set_value(DOCTYPE, name, values, update_modified=False)
				return
		self._queue(dispatch.new_row(invoice, reference), values)
		if self.companies[invoice.company].provider_class.capabilities.payments:
			# What was paid at the till stands in the rows that the selection does not read.
			invoice = frappe.get_doc(invoice.doctype, invoice.name)
			for purpose in sources.of(invoice.doctype).further(invoice):
				reference = dispatch.external_reference(invoice, purpose=purpose)
				self._queue(dispatch.new_row(invoice, reference, purpose), values)

	@staticmethod
	def _queue(document, values):
		document.update(values)
		document.set_user_and_timestamp()
		document.db_insert()

	def _companies_of(self, lot):
		yield from (row.company for row in lot.missing)
		names = [*lot.waiting, *lot.again]
		if names:
			yield from frappe.get_all(
				DOCTYPE, {"name": ("in", names)}, pluck="company", distinct=True, order_by=""
			)

	def _show(self, names):
		"""The state of the new documents on their invoices, in a transaction of its own: a closing may hold one of
		them for long, and what is not shown now is shown when the document is issued or refused."""
		if names:
			column = "(select {} from `tabFiscal Document` where reference_doctype = %s and reference_name = `tab{}`.name and purpose = %s)"
			own = (self.doctype, PURPOSE)
			try:
				frappe.db.sql(
					f"""
					update `tab{self.doctype}`
					set fiscal_document = {column.format("name", self.doctype)},
						fiscal_status = {column.format("status", self.doctype)}
					where name in %s
					""",
					(*own, *own, tuple(names)),
				)
				frappe.db.commit()
			except Exception as error:
				frappe.db.rollback()
				dispatch.log("Invoices do not yet show their documents", self.batch, error)
		drain.publish_progress(self.batch)

	def _release(self):
		frappe.db.set_value(BATCH, self.batch, "lease_until", None, update_modified=False)
		frappe.db.commit()
		self._wake()

	def _end(self):
		total = frappe.db.count(DOCTYPE, {"batch": self.batch})
		left = [[reason.template, list(reason.args), number] for reason, number in self.reasons.most_common()]
		values = {
			"status": RUNNING if total else FINISHED,
			"total": total,
			"lease_until": None,
			"details": json.dumps({"left": left}),
		}
		if not total:
			values.update({"finished_at": now_datetime(), "summary": _("Nothing was to be sent.")})
		frappe.db.set_value(BATCH, self.batch, values, update_modified=False)
		frappe.db.commit()
		drain.publish_progress(self.batch)
		self._wake()

	def _wake(self):
		"""What was put on its way while a drain of the company ended is not left to the next sweep."""
		for company in self.woken:
			drain.enqueue_drain(company)
