"""The global invoice: one document for the walk-in sales of a period that have none of their own.

See authorities/mexico.md#general-public.

The sales are submitted as ever and marked as not in need of a document; a person collects those of a day, week or
month into a Fiscal Global Invoice, whose own document then stands for all of them.
"""

from calendar import monthrange
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import getdate

from fiscal_integration import connection, mapping
from fiscal_integration.claims import SALE, claim_of
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import MappingError
from fiscal_integration.fiscal.invoice import (
	DocumentKind,
	Invoice,
	Line,
	LineTax,
	Party,
	Payment,
	Period,
	TaxCategory,
)
from fiscal_integration.fiscal.money import MICRO, ZERO, decimal, quantize

FEW = 10
"""As many sales are named where some of many are not as they should be."""
PERIODS = {
	"Day": "day",
	"Week": "week",
	"Fortnight": "fortnight",
	"Month": "month",
	"Two Months": "two_months",
}


def period_of(periodicity: str, day: date) -> tuple[date, date]:
	"""First and last day of the period that `day` lies in."""
	if periodicity == "Week":
		start = day - timedelta(days=day.weekday())
		return start, start + timedelta(days=6)
	if periodicity == "Fortnight":
		end = monthrange(day.year, day.month)[1]
		return (
			(day.replace(day=1), day.replace(day=15))
			if day.day < 16
			else (day.replace(day=16), day.replace(day=end))
		)
	if periodicity == "Month":
		return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])
	if periodicity == "Two Months":
		first = day.month - (day.month + 1) % 2
		return date(day.year, first, 1), date(day.year, first + 1, monthrange(day.year, first + 1)[1])
	return day, day


def told_as(periodicity: str, end: date) -> Period:
	"""The period in the authority's words: months 01 to 12, and 13 to 18 for two at a time.

	See providers/facturapi.md#requests.
	"""
	months = 12 + (end.month + 1) // 2 if periodicity == "Two Months" else end.month
	return Period(PERIODS[periodicity], f"{months:02d}", end.year)


def open_sales(company: str, start: date, end: date) -> list[dict]:
	"""The sales and returns of these days that no document stands for, the oldest first.

	Only what the check at submit found to belong into a global invoice: `fiscal_status` says so.
	"""
	found = []
	for doctype in mapping.SALES:
		found += [
			{"reference_doctype": doctype, **row}
			for row in frappe.get_all(
				doctype,
				{
					"company": company,
					"docstatus": 1,
					"posting_date": ("between", [start, end]),
					"fiscal_status": lifecycle.FOR_GLOBAL,
				},
				["name as reference_name", "posting_date", "grand_total as total", "return_against"],
				order_by="posting_date asc, posting_time asc, name asc",
			)
		]
	claims = [claim_of(row) for row in found]
	taken = set(frappe.get_all(SALE, {"claim": ("in", claims)}, pluck="claim", order_by="")) if found else ()
	found = [row for row in found if claim_of(row) not in taken]
	sales = {claim_of(row) for row in found if not row["return_against"]}
	# A return of another period's sale is a credit note on that one's global invoice.
	return [
		row
		for row in found
		if not row["return_against"] or f"{row['reference_doctype']}:{row['return_against']}" in sales
	]


def unfit(doc, lock: bool = False) -> str | None:
	"""What is wrong with the sales of `doc` (Fiscal Global Invoice), since they were collected; None when nothing is.

	With `lock` the sales stay as they are until the transaction's end, and what others have just committed counts.
	"""
	wanted = {claim_of(row.as_dict()): row.reference_name for row in doc.sales}
	claims = frappe.db.get_values(
		SALE, {"claim": ("in", list(wanted))}, ["claim", "parent"], as_dict=True, for_update=lock
	)
	for row in claims:
		if row.parent != doc.name:
			return _("{0} is part of {1}. Collect the sales again.").format(wanted[row.claim], row.parent)
	for doctype in mapping.SALES:
		names = sorted(row.reference_name for row in doc.sales if row.reference_doctype == doctype)
		if not names:
			continue
		found = frappe.db.get_values(
			doctype,
			{"name": ("in", names)},
			["name", "docstatus", "fiscal_status"],
			as_dict=True,
			order_by="name asc",
			for_update=lock,
		)
		open_ones = {
			row.name for row in found if row.docstatus == 1 and row.fiscal_status == lifecycle.FOR_GLOBAL
		}
		own = frappe.db.get_values(
			"Fiscal Document",
			{"reference_doctype": doctype, "reference_name": ("in", names)},
			["reference_name"],
			as_dict=True,
			for_update=lock,
		)
		gone = sorted(set(names) - open_ones | {row.reference_name for row in own})
		if gone:
			return _(
				"These sales are cancelled, or have a document of their own: {0}. Collect the sales again."
			).format(", ".join(gone[:FEW]))
	return None


def to_invoice(doc, payment_code=lambda mode: "", lock: bool = False) -> Invoice:
	"""`doc` (Fiscal Global Invoice) as a fiscal.Invoice: a line for each sale and kind of taxes, returns taken off."""
	wrong = unfit(doc, lock)
	if wrong:
		raise MappingError([wrong])
	groups: dict[str, dict] = {}
	paid: dict[tuple, Payment] = {}
	for row in doc.sales:
		sale = mapping.to_invoice(frappe.get_doc(row.reference_doctype, row.reference_name), payment_code)
		if sale.currency != doc.currency:
			raise MappingError(
				[
					_("{0} is in {1}, this global invoice in {2}: it needs a document of its own.").format(
						row.reference_name, sale.currency, doc.currency
					)
				]
			)
		sign = Decimal(-1) if sale.kind is DocumentKind.CREDIT_NOTE else Decimal(1)
		number = row.return_against or row.reference_name
		_add(groups.setdefault(number, {}), sale, sign)
		for payment in sale.payments:
			key = (payment.kind, payment.code)
			known = paid.get(key)
			amount = sign * payment.amount + (known.amount if known else ZERO)
			paid[key] = replace(payment, amount=amount)
	lines = [
		Line(
			description="Venta",
			quantity=Decimal(1),
			unit_price=line.net,
			net=line.net,
			code=number[:100],
			unit_code="ACT",
			unit="Actividad",
			product_code="01010101",
			treatment=line.treatment,
			taxes=line.taxes,
			row=index,
		)
		for index, (number, kinds) in enumerate(groups.items(), 1)
		for line in kinds.values()
		if line.net
	]
	if any(line.net < 0 for line in lines):
		raise MappingError(
			[_("More was returned of a sale than sold in this period. Collect the sales again.")]
		)
	company_currency = frappe.get_cached_value("Company", doc.company, "default_currency")
	currency = doc.currency or company_currency
	return Invoice(
		doctype=doc.doctype,
		name=doc.name,
		kind=DocumentKind.INVOICE,
		issued_at=mapping.posted_at(doc),
		issuer=mapping.issuer_of(doc.company),
		receiver=Party(_("General public"), walk_in=True, country=connection.country_code(doc.company)),
		currency=currency,
		company_currency=company_currency,
		exchange_rate=mapping.national_rate(doc.company, currency, Decimal(1), doc.to_date),
		lines=tuple(lines),
		total=quantize(decimal(doc.grand_total)),
		payments=tuple(payment for payment in paid.values() if payment.amount > 0),
		period=told_as(doc.periodicity, getdate(doc.to_date)),
	)


def _add(kinds: dict, sale: Invoice, sign: Decimal):
	"""Add a sale's lines to those of its number, by their taxes, so that they make the sale's total exactly."""
	lines = list(sale.lines)
	exact = sum((line.net + _taxes(line) for line in lines), ZERO)
	largest = max(range(len(lines)), key=lambda index: lines[index].net)
	line = lines[largest]
	factor = (line.net + _taxes(line)) / line.net if line.net else Decimal(1)
	# What rounding to cents made of the whole sale goes where it weighs least.
	lines[largest] = replace(line, net=line.net + (sale.total - exact) / factor)
	for line in lines:
		kind = str(
			[(tax.category, tax.rate, tax.withheld, tax.on_top_of_excise, tax.per_unit) for tax in line.taxes]
			+ [line.treatment]
		)
		known = kinds.get(kind)
		net = quantize(sign * line.net + (known.net if known else ZERO), MICRO)
		kinds[kind] = replace(line, net=net, taxes=_taxed(line, net, sign, known))


def _taxed(line: Line, net: Decimal, sign: Decimal, known: Line | None) -> tuple[LineTax, ...]:
	"""The taxes of `line` on `net`, after it joined those of `known`: a quota counts the units of both."""
	found, excise = [], ZERO
	for index, tax in enumerate(line.taxes):
		base = net + excise if tax.on_top_of_excise else net
		if tax.per_unit:
			base = sign * tax.base + (known.taxes[index].base if known else ZERO)
		amount = quantize(base * tax.rate, MICRO)
		if tax.category is TaxCategory.EXCISE:
			excise += amount
		found.append(replace(tax, base=quantize(base, MICRO), amount=amount))
	return tuple(found)


def _taxes(line: Line) -> Decimal:
	return sum((-tax.amount if tax.withheld else tax.amount for tax in line.taxes), ZERO)


def show_on_sales(row):
	"""Tell the sales of a global invoice what became of its Fiscal Document `row`."""
	issued = row.status == lifecycle.ISSUED and row.cancellation_status != lifecycle.CANCELLED
	values = {
		"fiscal_status": lifecycle.IN_GLOBAL if issued else lifecycle.FOR_GLOBAL,
		"fiscal_id": row.fiscal_id if issued else None,
		"fiscal_authorization": row.authorization_number if issued else None,
		"fiscal_authorized_at": row.authorized_at if issued else None,
	}
	for doctype in mapping.SALES:
		names = frappe.get_all(
			SALE, {"parent": row.reference_name, "reference_doctype": doctype}, pluck="reference_name"
		)
		if names:
			frappe.db.set_value(doctype, {"name": ("in", names)}, values, update_modified=False)
