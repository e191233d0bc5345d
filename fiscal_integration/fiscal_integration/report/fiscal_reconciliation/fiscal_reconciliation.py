"""Where the invoices of a company and their fiscal documents do not agree: one row per finding."""

from collections.abc import Iterator

import frappe
from frappe import _
from frappe.utils import add_days, flt, getdate

from fiscal_integration import dispatch, mapping, proof
from fiscal_integration.fiscal import lifecycle

NOT_ISSUED = "Submitted, Not Issued"
CANCELLED_HERE = "Issued, Cancelled in ERPNext"
CANCELLED_THERE = "Cancelled at the Authority Only"
AMOUNTS = "Amounts Differ"
NUMBER = "Number Missing"
NO_DOCUMENT = "No Fiscal Document"
NO_GLOBAL = "In No Global Invoice"
KINDS = (NOT_ISSUED, CANCELLED_HERE, CANCELLED_THERE, AMOUNTS, NUMBER, NO_DOCUMENT, NO_GLOBAL)
LIMIT = 20000
"""Findings that are shown at most; the summary counts all."""
CENT = 0.005

CONDITIONS = {
	NO_DOCUMENT: """
		invoice.docstatus = 1 and not exists (
			select 1 from `tabFiscal Document` other where other.reference_doctype = %(doctype)s
			and other.reference_name = invoice.name and other.purpose = %(purpose)s
		) and coalesce(invoice.is_opening, 'No') != 'Yes'
		and coalesce(invoice.fiscal_status, '') not in %(without)s""",
	NO_GLOBAL: "invoice.docstatus = 1 and invoice.fiscal_status = %(for_global)s",
	NOT_ISSUED: "invoice.docstatus = 1 and document.status != %(issued)s",
	CANCELLED_HERE: """
		invoice.docstatus = 2 and document.status = %(issued)s
		and coalesce(document.cancellation_status, '') != %(cancelled)s""",
	CANCELLED_THERE: """
		invoice.docstatus = 1 and document.status = %(issued)s
		and document.cancellation_status = %(cancelled)s""",
	# Zero: the provider told no total.
	AMOUNTS: """
		document.status = %(issued)s and coalesce(document.cancellation_status, '') != %(cancelled)s
		and document.provider_total != 0
		and (abs(document.provider_total - document.total) > %(cent)s
			or abs(document.provider_total - abs(invoice.grand_total)) > %(cent)s)""",
}
"""What makes an invoice, and its Fiscal Document where it has one, a finding."""


def execute(filters=None):
	filters = frappe._dict(filters or {})
	if not (filters.company and filters.from_date and filters.to_date):
		frappe.throw(_("Choose a company and a period."))
	proof.require_company(filters.company)
	wanted = (filters.kind,) if filters.kind else KINDS
	counts = dict.fromkeys(wanted, 0)
	rows = []
	for kind, row in _findings(filters, wanted):
		counts[kind] += 1
		if len(rows) < LIMIT:
			rows.append({"kind": kind, "kind_label": _(kind), "company": filters.company, **row})
	message = None
	if sum(counts.values()) > LIMIT:
		message = _("Only the first {0} findings are shown: choose a shorter period or one kind.").format(
			LIMIT
		)
	return _columns(), rows, message, None, _summary(counts)


def _columns() -> list[dict]:
	return [
		{
			"fieldname": "kind_label",
			"label": _("Finding"),
			"fieldtype": "Data",
			"align": "left",
			"width": 200,
		},
		{"fieldname": "date", "label": _("Date"), "fieldtype": "Date", "width": 100},
		{
			"fieldname": "invoice",
			"label": _("Invoice"),
			"fieldtype": "Dynamic Link",
			"options": "reference_doctype",
			"width": 170,
		},
		{
			"fieldname": "fiscal_document",
			"label": _("Fiscal Document"),
			"fieldtype": "Link",
			"options": "Fiscal Document",
			"width": 110,
		},
		{"fieldname": "status", "label": _("Status"), "fieldtype": "Data", "align": "left", "width": 110},
		{
			"fieldname": "ours",
			"label": _("Ours"),
			"fieldtype": "Currency",
			"options": "currency",
			"width": 110,
		},
		{
			"fieldname": "theirs",
			"label": _("Provider's"),
			"fieldtype": "Currency",
			"options": "currency",
			"width": 110,
		},
		{
			"fieldname": "difference",
			"label": _("Difference"),
			"fieldtype": "Currency",
			"options": "currency",
			"width": 110,
		},
		{"fieldname": "detail", "label": _("Detail"), "fieldtype": "Data", "align": "left", "width": 240},
		{"fieldname": "todo", "label": _("What to Do"), "fieldtype": "Data", "align": "left", "width": 360},
	]


def _summary(counts: dict) -> list[dict]:
	return [
		{"label": _(kind), "value": number, "datatype": "Int", "indicator": "Red" if number else "Green"}
		for kind, number in counts.items()
	]


def _findings(filters, wanted) -> Iterator[tuple[str, dict]]:
	for doctype in mapping.SALES:
		for kind in wanted:
			if kind in CONDITIONS:
				yield from _of_invoices(doctype, filters, kind)
		if CANCELLED_HERE in wanted:
			yield from _without_invoice(doctype, filters)
	if NUMBER in wanted:
		yield from _missing_numbers(filters)


# -- invoices against their Fiscal Documents -------------------------------------------------------------


def _of_invoices(doctype: str, filters, kind: str) -> Iterator[tuple[str, dict]]:
	"""The period's invoices of one kind of finding, each with its Fiscal Document by the unique index on what that
	refers to. One query for each kind: what has no document is then told from that index alone."""
	consolidated = "invoice.is_consolidated" if doctype == "Sales Invoice" else "0"
	collected = "null"
	if kind == NO_GLOBAL:
		collected = f"""(select sale.name from `tab{doctype}` sale
			where sale.name = invoice.return_against and sale.fiscal_status = %(in_global)s)"""
	join, columns = "", "null as fiscal_document, null as status, null as fiscal_id, null as provider_total"
	if kind not in (NO_DOCUMENT, NO_GLOBAL):
		join = """join `tabFiscal Document` document on document.reference_doctype = %(doctype)s
			and document.reference_name = invoice.name and document.purpose = %(purpose)s"""
		columns = """document.name as fiscal_document, document.status, document.error_message,
			document.fiscal_id, document.total, document.provider_total"""
	rows = frappe.db.sql(
		f"""
		select invoice.name, invoice.posting_date, {collected} as sale_collected, invoice.grand_total, invoice.currency,
			{consolidated} as consolidated, {columns}
		from `tab{doctype}` invoice {join}
		where invoice.company = %(company)s and invoice.docstatus in (1, 2)
			and invoice.posting_date >= %(first)s and invoice.posting_date <= %(last)s and {CONDITIONS[kind]}
		order by invoice.posting_date, invoice.name
		""",
		{
			"doctype": doctype,
			"purpose": dispatch.PURPOSE,
			"company": filters.company,
			"first": str(getdate(filters.from_date)),
			"last": str(getdate(filters.to_date)),
			"issued": lifecycle.ISSUED,
			"cancelled": lifecycle.CANCELLED,
			"without": lifecycle.WITHOUT,
			"for_global": lifecycle.FOR_GLOBAL,
			"in_global": lifecycle.IN_GLOBAL,
			"cent": CENT,
		},
		as_dict=True,
	)
	for row in rows:
		if (
			kind == NO_DOCUMENT
			and row.consolidated
			and not mapping.is_sale(frappe.get_doc(doctype, row.name))
		):
			continue
		yield kind, _finding(kind, doctype, row)


def _finding(kind: str, doctype: str, row) -> dict:
	ours = abs(flt(row.grand_total))
	theirs = flt(row.provider_total) or None
	detail, todo = row.fiscal_id or "", ""
	if kind == NOT_ISSUED:
		detail, todo = row.error_message or "", _(lifecycle.STATES[row.status].todo)
	elif kind == CANCELLED_HERE:
		todo = _(
			"It is valid at the authority: have it cancelled there, or make the sale and its credit note anew."
		)
	elif kind == CANCELLED_THERE:
		todo = _("The authority has cancelled it: cancel the invoice in ERPNext too.")
	elif kind == AMOUNTS:
		todo = _("Compare both documents. Correct the difference by a credit or debit note.")
		if abs(flt(row.total) - ours) > CENT:
			detail = _("Sent: {0}").format(f"{flt(row.total):.2f}")
	elif kind == NO_GLOBAL:
		todo = _("Collect it into the Fiscal Global Invoice of its period, and issue that.")
		if row.sale_collected:
			todo = _(
				"The sale that it returns is in an issued global invoice: Generate makes the credit note."
			)
	elif kind == NO_DOCUMENT:
		todo = _("Generate makes it now, with the date of the invoice as the provider allows.")
	return {
		"reference_doctype": doctype,
		"invoice": row.name,
		"date": row.posting_date,
		"fiscal_document": row.fiscal_document,
		"status": _(row.status) if row.status else "",
		"currency": row.currency,
		"ours": ours,
		"theirs": theirs,
		"difference": flt(theirs - ours, 6) if theirs is not None else None,
		"detail": _unmarked(detail),
		"todo": todo,
		"generate": int(kind == NO_DOCUMENT or bool(row.get("sale_collected"))),
	}


def _without_invoice(doctype: str, filters) -> Iterator[tuple[str, dict]]:
	"""Issued documents whose invoice was deleted behind our back."""
	# By two indexes alone, so that the documents themselves are read only where something is amiss.
	orphans = frappe.db.sql(
		f"""
		select document.reference_name from `tabFiscal Document` document
		left join `tab{doctype}` invoice on invoice.name = document.reference_name
		where document.reference_doctype = %(doctype)s and invoice.name is null
		""",
		{"doctype": doctype},
		pluck=True,
	)
	rows = (
		frappe.get_all(
			dispatch.DOCTYPE,
			[
				["reference_doctype", "=", doctype],
				["reference_name", "in", orphans],
				["company", "=", filters.company],
				["status", "=", lifecycle.ISSUED],
				["cancellation_status", "!=", lifecycle.CANCELLED],
				["creation", ">=", str(getdate(filters.from_date))],
				["creation", "<", str(add_days(getdate(filters.to_date), 1))],
			],
			["name", "reference_name", "creation", "fiscal_id", "status", "currency", "provider_total"],
			order_by="creation asc",
		)
		if orphans
		else []
	)
	for row in rows:
		yield (
			CANCELLED_HERE,
			{
				"reference_doctype": doctype,
				"invoice": row.reference_name,
				"date": getdate(row.creation),
				"fiscal_document": row.name,
				"status": _(row.status),
				"currency": row.currency,
				"theirs": flt(row.provider_total) or None,
				"detail": _("The invoice {0} is gone. {1}").format(row.reference_name, row.fiscal_id or ""),
				"todo": _("It is valid at the authority. Bring the invoice back from a backup."),
			},
		)


# -- numbers ---------------------------------------------------------------------------------------------


def _missing_numbers(filters) -> Iterator[tuple[str, dict]]:
	"""The gaps in each sequence; each is of the day on which the number behind it was taken."""
	first, last = getdate(filters.from_date), getdate(filters.to_date)
	for sequence in frappe.get_all(
		"Fiscal Sequence",
		{"company": filters.company},
		["name", "environment", "branch_code", "point_code", "last_number", "modified"],
		order_by="environment asc, branch_code asc, point_code asc",
	):
		for begin, end, behind in _gaps(sequence):
			row = frappe._dict()
			if behind:
				row = frappe.db.get_value(
					dispatch.DOCTYPE,
					{"sequence": sequence.name, "sequence_number": behind},
					["name", "reference_doctype", "reference_name", "status", "creation"],
					as_dict=True,
				)
			day = getdate(row.creation or sequence.modified)
			if not first <= day <= last:
				continue
			numbers = f"{begin:010d}" if begin == end else f"{begin:010d} - {end:010d}"
			place = f"{sequence.branch_code}/{sequence.point_code}, {_(sequence.environment)}"
			if begin == 1:
				todo = _(
					"If the sequence was begun at a later number by hand, nothing. Else look for who removed it."
				)
			else:
				todo = _(
					"Nobody took it, or its Fiscal Document was removed: report or void it as the authority asks."
				)
			yield (
				NUMBER,
				{
					"reference_doctype": row.reference_doctype,
					"invoice": row.reference_name,
					"fiscal_document": row.name,
					"status": _(row.status) if row.status else "",
					"date": day,
					"detail": f"{numbers} ({place})",
					"todo": todo,
				},
			)


def _gaps(sequence) -> Iterator[tuple[int, int, str | None]]:
	"""First and last missing number of each gap, and the number behind it as it is stored (None: at the end)."""
	expected = 1
	for number in frappe.get_all(
		dispatch.DOCTYPE,
		{"sequence": sequence.name, "sequence_number": ("is", "set")},
		pluck="sequence_number",
		order_by="sequence_number asc",
	):
		if int(number) > expected:
			yield expected, int(number) - 1, number
		expected = int(number) + 1
	if int(sequence.last_number or 0) >= expected:
		yield expected, int(sequence.last_number), None


def _unmarked(text: str) -> str:
	"""A provider's text for the screen and for paper, where it must not be taken for HTML."""
	return text.replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}").replace(
		">", "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
	)
