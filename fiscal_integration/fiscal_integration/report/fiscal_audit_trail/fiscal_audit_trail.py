"""Everything that happened to the fiscal documents of one invoice or of a period, in order.

The exchanges, and what persons did, come from the chains of audit.py; who submitted and cancelled the invoice from
ERPNext's own records; what the provider sent by itself from the webhooks' inbox.
"""

import json
from collections import defaultdict

import frappe
from frappe import _
from frappe.utils import add_days, get_datetime, getdate

from fiscal_integration import audit, by_hand, dispatch, proof
from fiscal_integration.connection import SETTINGS

LIMIT = 5000
"""Events of a period that are shown at most; an invoice is always shown whole."""
SHORT, WHOLE = 2000, 30000
"""Characters of a request or an answer: on the screen and on paper, and in a file of a spreadsheet program, where a
cell holds 32,767."""


def execute(filters=None):
	filters = frappe._dict(filters or {})
	documents, events, cut = _collect(filters)
	for company in {document.company for document in documents.values()} | {filters.company or ""}:
		if company:
			proof.require_company(company)
	verdicts = (
		list(proof.verify_all([[dispatch.DOCTYPE, "name", "in", list(documents)]])) if documents else []
	)
	numbered = defaultdict(list)
	for event in events:
		if event["number"]:
			numbered[event["fiscal_document"]].append(event)
	for verdict in verdicts:
		_mark(events, numbered[verdict.chain], documents[verdict.chain], verdict)
	events.sort(key=lambda event: (event["time"], event["fiscal_document"] or "", event["number"] or 0))
	broken = [verdict for verdict in verdicts if not verdict.unbroken]
	return _columns(), events, _message(broken, cut), None, _summary(documents, events, broken)


def _columns() -> list[dict]:
	return [
		{"fieldname": "time", "label": _("Time"), "fieldtype": "Datetime", "width": 165},
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
		{"fieldname": "event", "label": _("Event"), "fieldtype": "Data", "align": "left", "width": 200},
		{"fieldname": "who", "label": _("Who"), "fieldtype": "Data", "align": "left", "width": 140},
		{"fieldname": "outcome", "label": _("Outcome"), "fieldtype": "Data", "align": "left", "width": 220},
		{
			"fieldname": "http_status",
			"label": _("HTTP Status"),
			"fieldtype": "Data",
			"align": "left",
			"width": 70,
		},
		{"fieldname": "request", "label": _("Request"), "fieldtype": "Data", "align": "left", "width": 220},
		{"fieldname": "answer", "label": _("Answer"), "fieldtype": "Data", "align": "left", "width": 220},
		{
			"fieldname": "exchange",
			"label": _("Exchange"),
			"fieldtype": "Link",
			"options": audit.REQUEST,
			"width": 110,
		},
		{
			"fieldname": "number",
			"label": _("Number in the Chain"),
			"fieldtype": "Data",
			"align": "left",
			"width": 70,
		},
		{"fieldname": "chain", "label": _("Chain"), "fieldtype": "Data", "align": "left", "width": 130},
		{"fieldname": "hash", "label": _("Hash"), "fieldtype": "Data", "align": "left", "width": 160},
	]


# -- what happened ---------------------------------------------------------------------------------------


def _collect(filters) -> tuple[dict, list[dict], bool]:
	"""The Fiscal Documents concerned by name, the events, and whether there were more than LIMIT."""
	chosen = _chosen(filters)
	if chosen is not None:
		exchanges = _exchanges({"fiscal_document": ("in", chosen)}) if chosen else []
		documents = _documents(chosen)
		span, cut = None, False
	else:
		if not (filters.company and filters.from_date and filters.to_date):
			frappe.throw(_("Choose an invoice, or a company and a period."))
		span = (get_datetime(getdate(filters.from_date)), get_datetime(add_days(getdate(filters.to_date), 1)))
		exchanges, cut = _of_period(filters.company, span)
		made = frappe.get_all(
			dispatch.DOCTYPE,
			[["company", "=", filters.company], ["creation", ">=", span[0]], ["creation", "<", span[1]]],
			pluck="name",
			order_by="creation asc",
			limit=LIMIT + 1,
		)
		cut = cut or len(made) > LIMIT
		documents = _documents(
			{*made[:LIMIT], *(row.fiscal_document for row in exchanges if row.fiscal_document)}
		)
	events = [_exchange(row, documents.get(row.fiscal_document), filters.company) for row in exchanges]
	by_document = defaultdict(list)
	for row in exchanges:
		by_document[row.fiscal_document].append(row)
	for document in documents.values():
		events += _of_document(document, by_document[document.name])
	events += _of_invoices(documents)
	events += _of_webhooks(documents)
	if span:
		events = [event for event in events if span[0] <= event["time"] < span[1]]
	return documents, events, cut


def _chosen(filters) -> list[str] | None:
	"""The names of the Fiscal Documents that the filters name; None when they name a period."""
	if filters.fiscal_document:
		return [filters.fiscal_document]
	if filters.invoice:
		wanted = {"reference_name": filters.invoice}
		if filters.reference_doctype:
			wanted["reference_doctype"] = filters.reference_doctype
		return frappe.get_all(dispatch.DOCTYPE, wanted, pluck="name")
	return None


def _documents(names) -> dict:
	rows = frappe.get_all(
		dispatch.DOCTYPE,
		{"name": ("in", list(names) or [""])},
		[
			"name",
			"company",
			"reference_doctype",
			"reference_name",
			"creation",
			"requested_by",
			"status",
			"status_since",
			"error_message",
			"fiscal_id",
			"batch",
			"cancellation_status",
			"cancellation_reason",
			"cancellation_requested_by",
			"cancellation_requested_at",
			"cancellation_message",
			"cancelled_at",
		],
	)
	return {row.name: row for row in rows}


def _exchanges(filters, **options) -> list:
	return frappe.get_all(
		audit.REQUEST,
		filters,
		[*proof.FIELDS, "owner", "is_remote_request"],
		order_by="creation asc",
		**options,
	)


def _of_period(company: str, span) -> tuple[list, bool]:
	"""The exchanges of a company's documents, and of its connection, that were recorded in `span`."""
	# Frappe has an index on this one; nobody writes to such a row again.
	within = [["modified", ">=", span[0]], ["modified", "<", span[1]]]
	found = _exchanges([*within, ["fiscal_company", "=", company]], limit=LIMIT + 1)
	found += _exchanges([*within, ["fiscal_chain", "in", [SETTINGS, company]]], limit=LIMIT + 1)
	found.sort(key=lambda row: row.creation)
	return found[:LIMIT], len(found) > LIMIT


def _event(document, time, event: str, who: str | None = "", outcome: str | None = "", **values) -> dict:
	return {
		"time": get_datetime(time),
		"company": document.company if document else None,
		"reference_doctype": document.reference_doctype if document else None,
		"invoice": document.reference_name if document else None,
		"fiscal_document": document.name if document else None,
		"event": event,
		"who": who or "",
		"outcome": _shown(outcome),
		"http_status": "",
		"request": "",
		"answer": "",
		"exchange": None,
		"number": None,
		"chain": "",
		"hash": "",
		**values,
	}


def _exchange(row, document, company) -> dict:
	values = {"exchange": row.name, "number": row.fiscal_sequence, "hash": row.fiscal_hash}
	time = row.fiscal_started_at or row.creation
	if not row.is_remote_request:
		details = _details(row.data)
		who = details.pop("user", row.owner)
		told = "; ".join(f"{_(frappe.unscrub(key))}: {value}" for key, value in details.items() if value)
		event = _event(document, time, _operation(row.fiscal_operation), who, told, **values)
	else:
		described = row.request_description or ""
		batch = described.partition(": ")[2]
		event = _event(
			document,
			time,
			_operation(row.fiscal_operation) + (f" ({batch})" if batch else ""),
			row.owner,
			_answered(row),
			http_status=str(row.fiscal_http_status or ""),
			request=_shown(f"{row.url}\n{row.data or ''}"),
			answer=_shown(row.output or row.error),
			**values,
		)
	event["company"] = event["company"] or company
	return event


def _operation(operation: str) -> str:
	words = {
		"issue": _("Sent to the provider"),
		"reconcile": _("Provider asked about it"),
		"cancel": _("Cancellation sent"),
		"pdf": _("PDF fetched"),
		"xml": _("XML fetched"),
		"acknowledgement": _("Receipt of the cancellation fetched"),
		"ping": _("Connection tested"),
		"check": _("Connection tested"),
		"organization": _("Connection tested"),
		"list": _("Connection tested"),
		"token": _("Token fetched"),
		"setup": _("Set up at the authority"),
		"taxpayer": _("Taxpayer looked up"),
		audit.RETRY: _("Queued again"),
		audit.TAKE_OVER: _("Provider's document taken over"),
		audit.ASK: _("Told to ask the provider"),
		audit.ASK_CANCEL: _("Cancellation requested"),
		audit.NOTIFY: _("Sent to the customer by e-mail"),
		by_hand.REVIEW: _("Sent to review"),
	}
	return words.get(operation) or frappe.unscrub(operation or "")


def _answered(row) -> str:
	if not row.fiscal_http_status:
		return _("No answer: {0}").format(row.error or "")
	return _("Answered") if row.status == "Completed" else _("Refused")


def _details(data: str) -> dict:
	try:
		found = json.loads(data or "{}")
	except ValueError:
		# Somebody has been at it: the chain says so, and this is what is there now.
		return {"data": data}
	return found if isinstance(found, dict) else {"data": data}


def _of_document(document, exchanges) -> list[dict]:
	"""What the Fiscal Document itself says: its sale, its bulk, its cancellation and its state."""
	events = [_event(document, document.creation, _("Invoice submitted"), document.requested_by)]
	if document.batch:
		batch = frappe.db.get_value(
			"Fiscal Batch", document.batch, ["requested_by", "started_at"], as_dict=True
		)
		if batch:
			events.append(
				_event(
					document,
					batch.started_at,
					_("Put into the bulk {0}").format(document.batch),
					batch.requested_by,
				)
			)
	noted = any(row.fiscal_operation == audit.ASK_CANCEL for row in exchanges)
	if document.cancellation_requested_at and not noted:
		# From before what persons do was entered in the chain.
		events.append(
			_event(
				document,
				document.cancellation_requested_at,
				_operation(audit.ASK_CANCEL),
				document.cancellation_requested_by,
				document.cancellation_reason,
			)
		)
	if document.status_since and document.status != "Queued":
		outcome = document.fiscal_id if document.status == "Issued" else document.error_message
		events.append(
			_event(
				document,
				document.status_since,
				_("Fiscal document: {0}").format(_(document.status)),
				"",
				outcome,
			)
		)
	if document.cancelled_at:
		events.append(
			_event(
				document,
				document.cancelled_at,
				_("Cancelled at the authority"),
				"",
				document.cancellation_message,
			)
		)
	return events


def _of_invoices(documents: dict) -> list[dict]:
	"""The invoices that were cancelled in ERPNext: by whom and when, from their versions."""
	events = []
	by_doctype: dict[str, dict] = {}
	for document in documents.values():
		by_doctype.setdefault(document.reference_doctype, {})[document.reference_name] = document
	for doctype, invoices in by_doctype.items():
		cancelled = frappe.get_all(
			doctype, {"name": ("in", list(invoices)), "docstatus": 2}, ["name", "modified", "modified_by"]
		)
		versions = _cancelling_versions(doctype, [row.name for row in cancelled])
		for row in cancelled:
			who, when = versions.get(row.name) or (row.modified_by, row.modified)
			events.append(_event(invoices[row.name], when, _("Invoice cancelled in ERPNext"), who))
	return events


def _cancelling_versions(doctype: str, names: list[str]) -> dict:
	if not names or not frappe.db.table_exists("Version"):
		return {}
	found = {}
	for version in frappe.get_all(
		"Version",
		{"ref_doctype": doctype, "docname": ("in", names)},
		["docname", "owner", "creation", "data"],
		order_by="creation asc",
	):
		changed = _details(version.data).get("changed") or []
		if any(entry[0] == "docstatus" and str(entry[2]) == "2" for entry in changed):
			found[version.docname] = (version.owner, version.creation)
	return found


def _of_webhooks(documents: dict) -> list[dict]:
	if not documents:
		return []
	return [
		_event(
			documents[row.fiscal_document],
			row.creation,
			_("Provider reported by itself"),
			row.provider,
			" ".join(part for part in (f"{row.kind}: {_(row.status)}.", row.note) if part),
		)
		for row in frappe.get_all(
			"Fiscal Webhook Event",
			{"fiscal_document": ("in", list(documents))},
			["fiscal_document", "creation", "provider", "kind", "status", "note"],
		)
	]


def _shown(text: str | None) -> str:
	"""A text of others for the screen, for paper and for a spreadsheet, none of which may take it for HTML: the
	first two would run it, and the last drops the names of all XML elements."""
	text = (text or "").replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}")
	text = text.replace(">", "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}")
	most = WHOLE if frappe.form_dict.get("file_format_type") else SHORT
	if len(text) <= most:
		return text
	return text[:most] + " … " + _("({0} characters; whole in the exchange)").format(len(text))


# -- what the chains say ---------------------------------------------------------------------------------


def _mark(events: list[dict], own: list[dict], document, verdict):
	"""Write what the chain of `document` says onto `own`, its numbered events; what was removed becomes another of
	`events`."""
	for event in own:
		if verdict.unbroken or event["number"] < verdict.number:
			event["chain"] = _("holds")
		elif event["number"] == verdict.number and verdict.kind != proof.REMOVED:
			event["chain"] = verdict.message
		else:
			event["chain"] = _("behind the break")
	if verdict.kind == proof.REMOVED:
		behind = [event["time"] for event in own if event["number"] >= verdict.number]
		before = [event["time"] for event in own if event["number"] < verdict.number]
		time = min(behind) if behind else max(before, default=document.creation)
		events.append(
			_event(
				document,
				time,
				_("Record removed"),
				outcome=verdict.message,
				number=verdict.number,
				chain=verdict.message,
			)
		)


def _message(broken: list, cut: bool) -> str | None:
	lines = [frappe.utils.escape_html(proof.in_words(verdict)) for verdict in broken[:20]]
	if cut:
		lines.append(_("Only the first {0} events are shown: choose a shorter period.").format(LIMIT))
	return "<br>".join(lines) or None


def _summary(documents: dict, events: list, broken: list) -> list[dict]:
	return [
		{"label": _("Fiscal Documents"), "value": len(documents), "datatype": "Int"},
		{"label": _("Events"), "value": len(events), "datatype": "Int"},
		{
			"label": _("Broken Chains"),
			"value": len(broken),
			"datatype": "Int",
			"indicator": "Red" if broken else "Green",
		},
	]
