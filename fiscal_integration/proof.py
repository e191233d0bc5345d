"""Whether the record of exchanges is as it was written: the chains of audit.py, walked from their first row.

A chain proves that nobody changed, removed or inserted a row without doing the rest over. Who writes to the
database with this program's knowledge can compute all hashes of a chain anew, and its head; that shows only
against heads that were written down elsewhere before (`heads`, `docs/audit.md`).
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import frappe
from frappe import _
from frappe.utils import add_days, getdate

from fiscal_integration import audit
from fiscal_integration.audit import REQUEST

DOCUMENT = "Fiscal Document"
CHANGED, REMOVED, INSERTED = "Changed", "Removed", "Inserted"
PAGE = 50
"""Fiscal Documents, or rows of a long chain, that are read at once: their requests and answers are in memory."""
FIELDS = ["name", "creation", "fiscal_hash", "request_description", *audit.HASHED]


@dataclass(frozen=True)
class Head:
	"""How many rows a chain has, and the hash of its last one."""

	count: int
	hash: str


@dataclass(frozen=True)
class Verdict:
	"""What became of one chain. `kind` is empty when it is unbroken; else the rest names the first row that is not
	as it was written: `request` its Integration Request (empty when it is gone), `number` its place, `time` when
	the exchange began."""

	chain: str
	head: Head
	invoice: str = ""
	kind: str = ""
	request: str = ""
	number: int = 0
	time: str = ""
	message: str = ""

	@property
	def unbroken(self) -> bool:
		return not self.kind


# -- one chain -------------------------------------------------------------------------------------------


def verify(document: str, kept: Head | None = None) -> Verdict:
	"""The verdict on the chain of one Fiscal Document. `kept` is its head as it was written down elsewhere.

	Raises frappe.DoesNotExistError when there is neither a document nor a record of that name.
	"""
	found = _documents([[DOCUMENT, "name", "=", document]])
	if not found:
		return verify_connection(document, kept)
	((_row, verdict),) = _verify_page(found, {document: kept} if kept else {})
	return verdict


def verify_connection(chain: str, kept: Head | None = None) -> Verdict:
	"""The verdict on a chain without a Fiscal Document: pings and other calls of one connection.

	Nothing outside keeps its head, so rows that were removed from its end do not show.
	"""
	names = frappe.get_all(
		REQUEST, {"fiscal_chain": chain}, pluck="name", order_by="fiscal_sequence asc, creation asc, name asc"
	)
	if not names and not kept:
		frappe.throw(_("There is no fiscal record of {0}.").format(chain), frappe.DoesNotExistError)
	return _judge(chain, _read(names), None, kept)


def _read(names: list[str]) -> Iterator:
	for start in range(0, len(names), PAGE):
		page = names[start : start + PAGE]
		rows = {row.name: row for row in frappe.get_all(REQUEST, {"name": ("in", page)}, FIELDS)}
		yield from (rows[name] for name in page if name in rows)


def _judge(chain: str, rows: Iterable, head: Head | None, kept: Head | None = None, invoice="") -> Verdict:
	"""Walk the rows of a chain, which come in the order of their numbers.

	`head` is what the Fiscal Document says, None where there is none; `kept` what was written down elsewhere.
	"""
	previous, expected = "", 1

	def verdict(kind="", message="", row=None, number=0):
		return Verdict(
			chain,
			Head(expected - 1, previous),
			invoice or (row.reference_docname if row else "") or "",
			kind,
			row.name if row else "",
			number or (row.fiscal_sequence if row else 0) or 0,
			(row.fiscal_started_at or str(row.creation)) if row else "",
			message,
		)

	for number, group in groupby(rows, key=lambda row: row.fiscal_sequence or 0):
		group = list(group)
		row = group[-1]
		if head is None and row.fiscal_document:
			return verdict(REMOVED, _("The Fiscal Document of this record is gone."), row)
		if number > expected:
			return verdict(REMOVED, _missing(expected, number - 1), number=expected)
		if number < expected:
			return verdict(INSERTED, _("A row without a number in the chain was inserted."), row)
		if head and number > head.count:
			message = _("Row {0} was inserted: the Fiscal Document counts only {1}.")
			return verdict(INSERTED, message.format(number, head.count), row)
		if len(group) > 1:
			fitting = [entry for entry in group if audit.digest(entry, previous) == entry.fiscal_hash]
			if len(fitting) == 1:
				row = next(entry for entry in group if entry is not fitting[0])
			message = _("Row {0} is there {1} times ({2}): one was inserted.")
			names = ", ".join(entry.name for entry in group)
			return verdict(INSERTED, message.format(number, len(group), names), row)
		if audit.digest(row, previous) != row.fiscal_hash:
			return verdict(CHANGED, _does_not_fit(number), row)
		if kept and number == kept.count and row.fiscal_hash != kept.hash:
			message = _("Row {0}, or one before it, is not the one whose hash was written down.")
			return verdict(CHANGED, message.format(number), row)
		previous, expected, last = row.fiscal_hash, expected + 1, row
	wanted = max(head.count if head else 0, kept.count if kept else 0)
	if wanted >= expected:
		return verdict(REMOVED, _missing(expected, wanted), number=expected)
	if head and head.hash != previous:
		message = _(
			"Row {0} was changed together with its hash: it is not the one that the Fiscal Document names."
		)
		return verdict(CHANGED, message.format(expected - 1), last if expected > 1 else None)
	return verdict()


def _missing(first: int, last: int) -> str:
	if first == last:
		return _("Row {0} was removed.").format(first)
	return _("Rows {0} to {1} were removed.").format(first, last)


def _does_not_fit(number: int) -> str:
	if number == 1:
		return _("Row 1 was changed: it does not fit its hash.")
	return _(
		"Row {0} was changed: it does not fit its hash. Or row {1} was, together with its own hash."
	).format(number, number - 1)


# -- many ------------------------------------------------------------------------------------------------


def verify_all(
	filters: list | None = None, kept: dict[str, Head] | None = None, limited: bool = False
) -> Iterator[Verdict]:
	"""The verdicts on the chains of the Fiscal Documents that `filters` select (see `period`); without filters, on all
	of the site, those of the connections included. `limited`: only what the user may read.

	Holds PAGE documents with their exchanges in memory at once, and what `kept` holds.
	"""
	kept = dict(kept or {})
	for page in _pages(filters or [], limited):
		for row, verdict in _verify_page(page, kept):
			kept.pop(row.name, None)
			yield verdict
	if filters or limited:
		return
	for chain in _other_chains():
		yield verify_connection(chain, kept.pop(chain, None))
	yield from _outside_of_all()
	for chain, head in kept.items():
		if head.count:
			yield Verdict(
				chain,
				head,
				kind=REMOVED,
				number=1,
				message=_("The whole record, whose head was written down, is gone."),
			)


def count(filters: list | None = None) -> int:
	"""How many Fiscal Documents `verify_all` looks at."""
	return frappe.db.count(DOCUMENT, filters or {})


def period(first=None, last=None, company: str | None = None) -> list:
	"""Filters for the Fiscal Documents made from `first` to `last`, both days included."""
	filters = []
	if first:
		filters.append([DOCUMENT, "creation", ">=", str(getdate(first))])
	if last:
		filters.append([DOCUMENT, "creation", "<", str(add_days(getdate(last), 1))])
	if company:
		filters.append([DOCUMENT, "company", "=", company])
	return filters


def _pages(filters: list, limited: bool) -> Iterator[list]:
	last = ""
	while page := _documents(filters, limited, last):
		yield page
		last = page[-1].name


def _documents(filters: list, limited: bool = False, after: str = "") -> list:
	read = frappe.get_list if limited else frappe.get_all
	return read(
		DOCUMENT,
		filters=[*filters, [DOCUMENT, "name", ">", after]],
		fields=["name", "reference_name", "exchange_count", "exchange_hash"],
		order_by="name asc",
		limit=PAGE,
	)


def _verify_page(documents: list, kept: dict[str, Head]) -> Iterator[tuple]:
	"""Each of these Fiscal Documents with its verdict."""
	names = [row.name for row in documents]
	chains: dict[str, list] = {}
	for row in frappe.get_all(
		REQUEST,
		{"fiscal_chain": ("in", names)},
		FIELDS,
		order_by="fiscal_sequence asc, creation asc, name asc",
	):
		chains.setdefault(row.fiscal_chain, []).append(row)
	strays = {row.fiscal_document: row for row in _strays(names)}
	for row in documents:
		head = Head(row.exchange_count or 0, row.exchange_hash or "")
		found = _judge(row.name, chains.pop(row.name, ()), head, kept.get(row.name), row.reference_name)
		stray = strays.get(row.name)
		if found.unbroken and stray:
			found = Verdict(
				row.name,
				head,
				row.reference_name,
				INSERTED,
				stray.name,
				stray.fiscal_sequence or 0,
				stray.fiscal_started_at or str(stray.creation),
				_("A row of this Fiscal Document that is not in its chain was inserted."),
			)
		yield row, found


def _strays(names: list[str]) -> list:
	return frappe.db.sql(
		"""
		select name, creation, fiscal_document, fiscal_sequence, fiscal_started_at from `tabIntegration Request`
		where fiscal_document in %(names)s and coalesce(fiscal_chain, '') != fiscal_document
		""",
		{"names": names},
		as_dict=True,
	)


def _other_chains() -> list[str]:
	"""The chains of the connections, and of Fiscal Documents that are gone."""
	return frappe.db.sql(
		"""
		select distinct request.fiscal_chain from `tabIntegration Request` request
		left join `tabFiscal Document` document on document.name = request.fiscal_chain
		where request.fiscal_chain > '' and document.name is null
		order by request.fiscal_chain
		""",
		pluck=True,
	)


def _outside_of_all() -> Iterator[Verdict]:
	"""Rows that say to be ours and are in no chain."""
	for row in frappe.get_all(
		REQUEST,
		{
			"fiscal_provider": ("is", "set"),
			"fiscal_chain": ("is", "not set"),
			"fiscal_document": ("is", "not set"),
		},
		["name", "creation"],
	):
		message = _("A row that is in no chain was inserted.")
		yield Verdict("", Head(0, ""), "", INSERTED, row.name, 0, str(row.creation), message)


def require_company(company: str):
	"""Throw unless the user may read Fiscal Documents of `company`.

	Frappe filters the rows of a report by its links, but only for who may read what they lead to.
	"""
	document = frappe.new_doc(DOCUMENT)
	document.company = company
	if not document.has_permission("read"):
		frappe.throw(
			_("You may not see the fiscal documents of {0}.").format(company), frappe.PermissionError
		)


# -- heads that are kept elsewhere, and the command ------------------------------------------------------


def read_heads(path: str) -> dict[str, Head]:
	"""What `tell` wrote to `path`: the heads by chain. Raises ValueError when the file is another."""
	with open(path, newline="", encoding="utf-8") as file:
		rows = csv.reader(file)
		if next(rows, None) != ["chain", "rows", "hash"]:
			raise ValueError(_("{0} holds no heads of chains.").format(path))
		return {chain: Head(int(number), head) for chain, number, head in rows}


def tell(
	say: Callable[[str], None],
	verdicts: Iterable[Verdict],
	write_heads: str | None = None,
) -> int:
	"""Say what became of the chains, and write their heads to the file `write_heads`. Returns how many are broken."""
	checked = rows = broken = 0
	file = open(write_heads, "w", newline="", encoding="utf-8") if write_heads else None
	try:
		writer = csv.writer(file) if file else None
		if writer:
			writer.writerow(["chain", "rows", "hash"])
		for verdict in verdicts:
			checked += 1
			rows += verdict.head.count
			if verdict.unbroken:
				if writer:
					writer.writerow([verdict.chain, verdict.head.count, verdict.head.hash])
				continue
			broken += 1
			say(in_words(verdict))
	finally:
		if file:
			file.close()
	if broken:
		say(_("{0} of {1} chains are broken.").format(broken, checked))
	else:
		say(_("Unbroken: {0} chains with {1} rows.").format(checked, rows))
	return broken


def in_words(verdict: Verdict) -> str:
	"""One line: which chain, and what is wrong with it."""
	subject = " / ".join(part for part in (verdict.invoice, verdict.chain) if part)
	if verdict.unbroken:
		return _("{0}: unbroken, {1} rows.").format(subject, verdict.head.count)
	where = ", ".join(part for part in (verdict.request, verdict.time) if part)
	return f"{subject}: {verdict.message}" + (f" ({where})" if where else "")
