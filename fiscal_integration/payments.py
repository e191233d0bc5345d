"""Payment Entry -> fiscal.Invoice: what a payment settles of sales on credit that have fiscal documents. What was
paid at the till of such a sale is a payment too, though there is no Payment Entry of it.

Installment and balance of each sale follow from the documents of its earlier payments, in the order in which
those were issued; so whoever freezes one holds a lock on the sale's Fiscal Document meanwhile.
"""

from dataclasses import replace
from datetime import datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import get_system_timezone, getdate, now_datetime

from fiscal_integration import connection, mapping
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import MappingError
from fiscal_integration.fiscal.invoice import DocumentKind, Invoice, Payment, Settlement
from fiscal_integration.fiscal.money import CENT, ZERO, decimal, quantize

DOCTYPE = "Payment Entry"
SETTLEMENT = "Fiscal Document Settlement"
DOCUMENT = "Fiscal Document"
GONE = (lifecycle.REJECTED, lifecycle.FAILED, lifecycle.WITHDRAWN)
"""A payment's document in one of these settles nothing (yet)."""
AT_THE_TILL = "Payment"
"""So the purposes begin of what was paid at once of a sale on credit."""
LATER = "Allocation"
"""So those of what a Payment Entry was allocated to when its document was on its way already."""
MENDABLE = (lifecycle.REJECTED, lifecycle.FAILED)
"""Sent again, a document is built anew, with everything that is allocated by then."""
EXCHANGE_DIGITS = Decimal(1).scaleb(-10)


def wants_document(doc) -> bool:
	"""Whether this Payment Entry settles a sale whose document says that it is paid later.

	Only where the company's provider has documents of payments. A sale that is not issued yet counts: when its
	document turns out to be of a sale paid at once, the payment's is withdrawn.
	"""
	if doc.payment_type != "Receive" or doc.party_type != "Customer":
		return False
	record = connection.record_for(doc.company)
	if not record or not record.provider_class.capabilities.payments:
		return False
	sales = _rows([name for names in _allocations(doc).values() for name in names[1]], lock=False)
	return any(_settled_later(row, record.provider_class) for row in sales.values())


def purposes_lacking(doc) -> list[str]:
	"""The purpose of the document that a Payment Entry has come to need since it was submitted: it was allocated to a
	sale when it had none, or to another sale when its document was on its way already. Empty when all is told, or will
	be by a document that is not built yet or has to be mended."""
	if not wants_document(doc):
		return []
	made = frappe.get_all(
		DOCUMENT,
		{"reference_doctype": doc.doctype, "reference_name": doc.name},
		["status", "payload"],
	)
	if not made:
		return [mapping.ISSUE]
	if any(row.status in MENDABLE or (not row.payload and row.status in lifecycle.DUE) for row in made):
		return []
	provider = connection.record_for(doc.company).provider_class
	company_currency = frappe.get_cached_value("Company", doc.company, "default_currency")
	lacking = any(_settlements(doc, provider, company_currency, lock=False, purpose=""))
	return [f"{LATER} {len(made) + 1}"] if lacking else []


def _told(sale, doc, purpose: str, lock: bool) -> Decimal:
	"""What other documents of a Payment Entry than that of this `purpose` tell of a sale (a Fiscal Document)."""
	return sum(
		(
			decimal(entry.amount)
			for entry, other in _payments_of(sale.name, lock)
			if (other.reference_doctype, other.reference_name) == (doc.doctype, doc.name)
			and other.purpose != purpose
		),
		ZERO,
	)


def to_invoice(
	doc, payment_code=lambda mode: "", lock: bool = False, purpose: str = mapping.ISSUE
) -> Invoice:
	"""`doc` as a fiscal.Invoice of the kind PAYMENT; `lock` holds the sales until the transaction's end. What its
	documents of another `purpose` tell is left out.

	Raises MappingError with what cannot be expressed.
	"""
	record = connection.record_for(doc.company)
	company_currency = frappe.get_cached_value("Company", doc.company, "default_currency")
	if not doc.mode_of_payment:
		raise MappingError([_("Choose the mode of payment: the authority is told how the invoice was paid.")])
	settles = tuple(_settlements(doc, record.provider_class, company_currency, lock, purpose))
	total = sum((entry.amount / entry.exchange_rate for entry in settles), ZERO)
	sale = next((entry for entry in settles if entry.document), None)
	paid_by = (
		frappe.get_doc(sale.doctype, sale.name)
		if sale
		else frappe._dict(customer=doc.party, company=doc.company)
	)
	return Invoice(
		doctype=doc.doctype,
		name=doc.name,
		kind=DocumentKind.PAYMENT,
		issued_at=paid_at(doc),
		issuer=mapping.issuer_of(doc.company),
		receiver=mapping.receiver_of(paid_by),
		currency=doc.paid_to_account_currency or company_currency,
		company_currency=company_currency,
		exchange_rate=mapping.national_rate(
			doc.company,
			doc.paid_to_account_currency or company_currency,
			decimal(doc.target_exchange_rate or 1),
			doc.posting_date,
		),
		lines=(),
		total=quantize(total),
		payments=(
			Payment(
				mapping.payment_kind(doc.mode_of_payment),
				quantize(total),
				payment_code(doc.mode_of_payment),
				doc.mode_of_payment,
			),
		),
		settles=settles,
		payment_reference=(doc.get("reference_no") or "").strip(),
	)


def kind_of(doc) -> DocumentKind:
	return DocumentKind.PAYMENT


def amount_of(doc) -> tuple[str, Decimal]:
	"""Currency and amount of a payment, as the list of fiscal documents shows them until it is built."""
	return doc.paid_to_account_currency, decimal(doc.received_amount)


def paid_at(doc) -> datetime:
	"""Noon of the posting date, since ERPNext keeps no time of a payment; the present where that is still to come."""
	noon = datetime.combine(getdate(doc.posting_date), time(12))
	return min(noon, now_datetime().replace(microsecond=0)).replace(tzinfo=ZoneInfo(get_system_timezone()))


def _allocations(doc) -> dict[str, tuple[Decimal, list[str]]]:
	"""By Sales Invoice, how much of a Payment Entry is allocated to it, and the Fiscal Documents behind it."""
	found: dict[str, Decimal] = {}
	for row in doc.references:
		if row.reference_doctype == "Sales Invoice" and decimal(row.allocated_amount) > 0:
			found[row.reference_name] = found.get(row.reference_name, ZERO) + decimal(row.allocated_amount)
	return {name: (amount, _sales_of(name)) for name, amount in found.items()}


def _sales_of(invoice: str) -> list[str]:
	"""The Fiscal Documents (names) of the sales that a Sales Invoice stands for, the oldest first: its own, or those of
	the POS Invoices that it consolidates."""
	names = [("Sales Invoice", invoice)]
	if frappe.db.get_value("Sales Invoice", invoice, "is_consolidated"):
		names += [
			("POS Invoice", name)
			for name in frappe.get_all(
				"POS Invoice",
				{"consolidated_invoice": invoice, "docstatus": 1},
				pluck="name",
				order_by="posting_date asc, posting_time asc, name asc",
			)
		]
	found = [
		frappe.db.get_value(
			DOCUMENT,
			{
				"reference_doctype": doctype,
				"reference_name": name,
				"purpose": mapping.ISSUE,
				"kind": ("!=", "Credit Note"),
			},
		)
		for doctype, name in names
	]
	return [name for name in found if name]


def _rows(names, lock: bool) -> dict:
	"""These Fiscal Documents; with `lock` held until the transaction's end, and as others have just committed them."""
	if not names:
		return {}
	found = frappe.db.get_values(
		DOCUMENT,
		{"name": ("in", sorted(set(names)))},
		[
			"name",
			"reference_doctype",
			"reference_name",
			"status",
			"cancellation_status",
			"fiscal_id",
			"currency",
			"total",
			"provider_total",
			"payload",
			"provider",
			"purpose",
		],
		as_dict=True,
		order_by="name asc",
		for_update=lock,
	)
	return {row.name: row for row in found}


def _settled_later(row, provider) -> bool:
	"""Whether payments of this sale have documents: it says that it is paid later, or is not issued yet."""
	if row.cancellation_status == lifecycle.CANCELLED:
		return False
	if row.status != lifecycle.ISSUED:
		return row.status != lifecycle.WITHDRAWN
	return row.provider == provider.key and provider.paid_later(row.payload)


def _awaited(row) -> bool:
	"""Whether it is still open what becomes of a sale's document."""
	return row.status != lifecycle.ISSUED or row.cancellation_status in lifecycle.CANCELLING


def _settlements(doc, provider, company_currency, lock, purpose):
	"""What the payment settles, sale by sale: of several behind one reference the oldest first."""
	received = decimal(doc.received_amount) / decimal(doc.paid_amount) if decimal(doc.paid_amount) else ZERO
	allocations = _allocations(doc).values()
	rows = _rows([name for _amount, names in allocations for name in names], lock)
	for left, names in allocations:
		for row in (rows[name] for name in names if name in rows):
			if not _settled_later(row, provider):
				continue
			if _awaited(row):
				yield Settlement(row.reference_doctype, row.reference_name, awaited=True)
				continue
			sale = frappe.db.get_value(
				row.reference_doctype,
				row.reference_name,
				["currency", "conversion_rate", "party_account_currency"],
				as_dict=True,
			)
			# ERPNext allocates in the currency of the customer's account.
			account_currency = sale.party_account_currency or company_currency
			rate = Decimal(1) if account_currency == row.currency else decimal(sale.conversion_rate or 1)
			left -= _told(row, doc, purpose, lock) * rate
			if quantize(left / rate) < CENT:
				continue
			settled, payments, awaited = _earlier(row, (doc.doctype, doc.name, purpose), lock)
			if awaited:
				yield Settlement(*awaited, awaited=True)
				continue
			balance = mapping.stamped_total(row) - settled
			amount = min(quantize(left / rate), balance)
			if amount < CENT:
				continue
			left -= amount * rate
			share = amount * rate * received
			paid_currency = doc.paid_to_account_currency or company_currency
			rate_told = (
				Decimal(1) if paid_currency == row.currency else quantize(amount / share, EXCHANGE_DIGITS)
			)
			yield _settlement(row, amount, balance, payments, rate_told)


def _settlement(row, amount: Decimal, balance: Decimal, earlier: int, exchange_rate=Decimal(1)) -> Settlement:
	"""What a payment settles of the sale whose Fiscal Document is `row`, after so many `earlier` ones."""
	return Settlement(
		row.reference_doctype,
		row.reference_name,
		document=row.name,
		fiscal_id=row.fiscal_id,
		amount=amount,
		last_balance=quantize(balance),
		installment=earlier + 1,
		currency=row.currency,
		exchange_rate=exchange_rate,
		total=mapping.stamped_total(row),
		payload=row.payload or "",
	)


def _earlier(sale, own: tuple[str, str, str], lock: bool) -> tuple[Decimal, int, tuple[str, str] | None]:
	"""What earlier payments have settled of a `sale` (a Fiscal Document), how many they were, and which one is on its
	way. `own` is the payment (doctype, name, purpose) that asks."""
	settled, number, awaited = ZERO, 0, None
	for row, other in _payments_of(sale.name, lock):
		if (other.reference_doctype, other.reference_name, other.purpose) == own:
			continue
		if _awaited(other):
			awaited = (other.reference_doctype, other.reference_name)
		else:
			settled, number = settled + decimal(row.amount), number + 1
	if own[0] == DOCTYPE and not awaited and _at_the_till_under_way(sale):
		awaited = (sale.reference_doctype, sale.reference_name)
	return settled, number, awaited


def _at_the_till_under_way(sale) -> bool:
	"""Whether what was paid at the till has a document that is still to come: it goes first."""
	return bool(
		frappe.db.exists(
			DOCUMENT,
			{
				"reference_doctype": sale.reference_doctype,
				"reference_name": sale.reference_name,
				"purpose": ("!=", mapping.ISSUE),
				"status": ("in", lifecycle.DUE),
			},
		)
	)


def _payments_of(document: str, lock: bool) -> list:
	"""The settlements of a sale that are in force, or may come to be, each with its Fiscal Document.

	Read with a lock where what this transaction saw before may be older than what another has just written.
	"""
	settlements = frappe.db.get_values(
		SETTLEMENT,
		{"invoice_document": document},
		["parent", "amount", "installment"],
		as_dict=True,
		order_by="installment asc",
		for_update=lock,
	)
	others = _rows([row.parent for row in settlements], lock)
	return [
		(row, others[row.parent])
		for row in settlements
		if row.parent in others
		and others[row.parent].status not in GONE
		and others[row.parent].cancellation_status != lifecycle.CANCELLED
	]


def _called(row) -> str:
	"""How people know a payment: by its Payment Entry, or at the till by its Fiscal Document alone."""
	return row.reference_name if row.purpose == mapping.ISSUE else f"{row.reference_name} ({row.name})"


# -- at the till -----------------------------------------------------------------------------------------


def purposes_at_the_till(doc) -> list[str]:
	"""The purposes of the documents of what was paid at once of a sale on credit, one for each payment; empty for
	all other sales. Where the sale turns out not to be told as paid later, they are withdrawn."""
	if doc.get("is_return") or mapping.outstanding(doc) < CENT:
		return []
	record = connection.record_for(doc.company)
	if not record or not record.provider_class.capabilities.payments:
		return []
	return [f"{AT_THE_TILL} {number}" for number, _paid in enumerate(mapping.paid_at_once(doc), 1)]


def _paid(doc, purpose: str, payment_code=lambda mode: "") -> Payment:
	return mapping.paid_at_once(doc, payment_code)[int(purpose.removeprefix(AT_THE_TILL)) - 1]


def till_amount(doc, purpose: str) -> tuple[str, Decimal]:
	return doc.currency, _paid(doc, purpose).amount


def till_to_invoice(doc, payment_code=lambda mode: "", lock: bool = False, *, purpose: str) -> Invoice:
	"""One of the payments of a sale on credit as a fiscal.Invoice of the kind PAYMENT (see to_invoice)."""
	record = connection.record_for(doc.company)
	company_currency = frappe.get_cached_value("Company", doc.company, "default_currency")
	paid = _paid(doc, purpose, payment_code)
	name = frappe.db.get_value(
		DOCUMENT, {"reference_doctype": doc.doctype, "reference_name": doc.name, "purpose": mapping.ISSUE}
	)
	settles = ()
	for row in _rows([name] if name else [], lock).values():
		if not _settled_later(row, record.provider_class):
			continue
		settled, number, awaited = _earlier(row, (doc.doctype, doc.name, purpose), lock)
		balance = mapping.stamped_total(row) - settled
		amount = min(paid.amount, balance)
		if _awaited(row) or awaited:
			settles = (Settlement(doc.doctype, doc.name, awaited=True),)
		elif amount >= CENT:
			settles = (_settlement(row, amount, balance, number),)
	total = quantize(sum((entry.amount for entry in settles), ZERO))
	return Invoice(
		doctype=doc.doctype,
		name=doc.name,
		kind=DocumentKind.PAYMENT,
		issued_at=mapping.posted_at(doc),
		issuer=mapping.issuer_of(doc.company),
		receiver=mapping.receiver_of(doc),
		currency=doc.currency or company_currency,
		company_currency=company_currency,
		exchange_rate=mapping.national_rate(
			doc.company,
			doc.currency or company_currency,
			decimal(doc.get("conversion_rate") or 1),
			doc.posting_date,
		),
		lines=(),
		total=total,
		payments=(replace(paid, amount=total),),
		settles=settles,
	)


# -- what is kept ----------------------------------------------------------------------------------------


def told_of(row) -> list[dict]:
	"""The documents of the payments of a sale (its Fiscal Document `row`) that are in force or to come, in their
	order, and those at the till that were refused, since nothing else shows them: `payment` is how people know it."""
	if row.purpose != mapping.ISSUE:
		return []
	installments = {other.name: (entry, other) for entry, other in _payments_of(row.name, lock=False)}
	till = {
		"reference_doctype": row.reference_doctype,
		"reference_name": row.reference_name,
		"purpose": ("!=", mapping.ISSUE),
		"status": ("!=", lifecycle.WITHDRAWN),
	}
	coming = frappe.get_all(DOCUMENT, till, pluck="name", order_by="purpose asc")
	found = list(installments.values())
	found += [
		(None, other)
		for name, other in _rows(coming, lock=False).items()
		if name not in installments and other.cancellation_status != lifecycle.CANCELLED
	]
	return [
		{
			"document": other.name,
			"payment": _called(other),
			"status": other.status,
			"installment": entry.installment if entry else None,
			"amount": entry.amount if entry else other.total,
			"currency": row.currency,
		}
		for entry, other in found
	]


def write_settlements(row, invoice: Invoice):
	"""Keep on the payment's Fiscal Document what it settles; what an earlier request of it said is replaced."""
	frappe.db.delete(SETTLEMENT, {"parent": row.name, "parenttype": DOCUMENT})
	row.set("settlements", [])
	for entry in invoice.settles:
		row.append(
			"settlements",
			{
				"invoice_document": entry.document,
				"fiscal_id": entry.fiscal_id,
				"installment": entry.installment,
				"amount": str(entry.amount),
				"last_balance": str(entry.last_balance),
				"currency": entry.currency,
			},
		).db_insert()


def settling(document: str) -> list[str]:
	"""The payments (their Payment Entries' names) whose documents settle a sale and are in force, or on their way.

	Locks what it reads until the transaction's end.
	"""
	return [_called(other) for _row, other in _payments_of(document, lock=True)]


def last_payment_of_each(row) -> list[str]:
	"""The later payments of the sales that `row` (a payment's document) settles: they go first, since their
	balances build on this one. Locks what it reads until the transaction's end."""
	return [
		_called(other)
		for entry in frappe.get_all(
			SETTLEMENT, {"parent": row.name}, ["invoice_document", "installment"], order_by="idx asc"
		)
		for later, other in _payments_of(entry.invoice_document, lock=True)
		if later.installment > entry.installment
	]
