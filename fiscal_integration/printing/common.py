"""What the print formats of all countries share: the state of a document, the bare sale, and text.

`fiscal_receipt` and `fiscal_qr` are for people's own formats.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import get_datetime, get_system_timezone, getdate, strip_html

from fiscal_integration import connection, dispatch
from fiscal_integration.fiscal import lifecycle, qr
from fiscal_integration.fiscal.austria import rksv
from fiscal_integration.fiscal.money import ZERO, decimal, plain, quantize
from fiscal_integration.fiscal.xml import parse
from fiscal_integration.providers.base import TEST

TRAINING_LABEL, CANCELLATION_LABEL = "Trainingsbuchung", "Stornobuchung"
LABELS = {"TRAINING": TRAINING_LABEL, "CANCELLATION": CANCELLATION_LABEL}
"""What RKSV section 10 (3) wants on such receipts."""
SLIPS = (*lifecycle.DUE, lifecycle.FAILED)
"""States of a sale at a cash register that cannot be reached: its slip tells the outage
(providers/fiskaly.md#repeats-and-failures)."""


# -- for people's own formats ----------------------------------------------------------------------------


def fiscal_receipt(doc) -> dict:
	"""Status, id, QR image and stamps of the invoice's fiscal document, and what an Austrian receipt has to tell.

	Empty for an invoice without one. `valid` says whether the paper may pass for a fiscal document. While a cash
	register cannot be reached, `outage` holds the words that go on the slip in place of number and signature, and
	the QR code holds them too (providers/fiskaly.md#repeats-and-failures).
	"""
	row = dispatch.find(doc.doctype, doc.name)
	return receipt_of(row) if row else {}


def fiscal_qr(doc) -> str:
	"""The QR image as a data URI for an `img` element; blank while the sale has none."""
	return fiscal_receipt(doc).get("qr_image") or ""


def receipt_of(row) -> dict:
	"""What `fiscal_receipt` tells of the Fiscal Document `row`."""
	provider = connection.providers().get(row.provider) or _provider_of(row.company)
	stamps = stamps_of(row)
	shown = dispatch.shows_qr(row)
	found = {
		"status": row.status,
		"valid": shown,
		"cancelled": row.cancellation_status == lifecycle.CANCELLED,
		"test": row.environment == TEST,
		"fiscal_id": row.fiscal_id if shown else "",
		"authorization": row.authorization_number or "",
		"authorized_at": row.authorized_at,
		"number": row.fiscal_number or "",
		"qr_image": row.qr_image if shown else "",
		"qr_value": row.qr_value if shown else "",
		"stamps": stamps,
		"label": LABELS.get(stamps.get("receipt_type", ""), ""),
		"gross": [],
		"outage": "",
	}
	if not provider or not provider.capabilities.registers:
		return found
	if row.status == lifecycle.ISSUED:
		found["gross"] = [
			(label, str(amount)) for label, amount in provider.gross_by_rate(row.payload, stamps)
		]
		found["outage"] = "" if stamps.get("signed") == "1" else rksv.OUTAGE
	else:
		found.update({"fiscal_id": "", "number": "", "valid": row.status in SLIPS})
		if found["valid"]:
			found.update(
				{"outage": rksv.OUTAGE, "qr_value": rksv.OUTAGE, "qr_image": qr.data_uri(rksv.OUTAGE)}
			)
	return found


def _provider_of(company: str):
	record = connection.record_for(company)
	return record.provider_class if record else None


def stamps_of(row) -> dict:
	return {stamp.key: stamp.value for stamp in row.stamps}


# -- what it is, before anything else --------------------------------------------------------------------


@dataclass(frozen=True)
class Words:
	"""What a paper says of itself in one country, in its authority's language.

	`nothing` heads what is no fiscal document, and `states` says why; `pending` goes on what was signed here and is
	not yet with the authority; `other` is the reason of a document that is none of this country's.
	"""

	country: str
	nothing: str
	cancelled: str
	cancelling: str
	sale_cancelled: str
	test: str
	pending: str
	none: str
	draft: str
	other: str
	states: dict


SPANISH = {
	lifecycle.QUEUED: "pendiente de envío",
	lifecycle.SENDING: "en envío",
	lifecycle.PENDING: "en espera de respuesta",
	lifecycle.UNKNOWN: "por confirmar con el proveedor",
	lifecycle.REJECTED: "rechazado",
	lifecycle.FAILED: "no se pudo emitir",
	lifecycle.NEEDS_REVIEW: "en revisión",
	lifecycle.WITHDRAWN: "retirado, la venta fue cancelada",
}


def state_of(doc, row, words: Words, plain_valid: bool = False) -> dict:
	"""Whether the paper may pass for a fiscal document (`valid`), and what else has to stand at its head.

	`plain_valid`: so may that of a document which has, and needs, no fiscal one.
	"""
	found = {"valid": False, "heading": "", "reason": "", "cancelled": "", "test": "", "notes": []}
	if int(doc.docstatus or 0) == 2:
		found["cancelled"] = words.sale_cancelled
	if not row:
		found["valid"] = plain_valid
		found["reason"] = words.none if doc.docstatus else words.draft
	else:
		provider = connection.providers().get(row.provider) or _provider_of(row.company)
		receipt = receipt_of(row)
		if provider and words.country not in provider.countries:
			found["reason"] = words.other
		else:
			found["valid"] = receipt["valid"]
			found["reason"] = words.states.get(row.status, row.status)
		if receipt["test"]:
			found["test"] = words.test
		if receipt["cancelled"]:
			when = f" {local_time(row.cancelled_at):%d/%m/%Y}" if row.cancelled_at else ""
			found["cancelled"] = f"{words.cancelled}{when}"
		elif row.cancellation_status in lifecycle.CANCELLING and words.cancelling:
			found["notes"].append(words.cancelling)
		if row.status != lifecycle.ISSUED and found["valid"] and words.pending:
			found["notes"].append(words.pending)
	if not found["valid"]:
		found["heading"] = words.nothing
	return found


def refused(view: dict, words: Words, reason: str) -> dict:
	"""A document that was issued, but that we cannot print as the authority wants it."""
	view["state"].update({"valid": False, "heading": words.nothing, "reason": reason})
	return view


def sale_of(doc, money) -> dict:
	"""The sale as ERPNext has it: what a paper shows that is no fiscal document, and what Austria's receipt lists."""
	return {
		"company": doc.company,
		"address": lines_of(doc.get("company_address_display")),
		"number": doc.name,
		"date": f"{getdate(doc.posting_date):%d/%m/%Y}",
		"customer": doc.get("customer_name") or doc.customer,
		"lines": [
			{
				"code": item.get("item_code") or "",
				"description": strip_html(item.get("item_name") or item.get("description") or ""),
				"quantity": money(decimal(item.qty), 0, 6),
				"unit": item.get("uom") or "",
				"price": money(decimal(item.rate)),
				"amount": money(decimal(item.amount)),
			}
			for item in doc.get("items") or []
		],
		"taxes": [
			(strip_html(tax.get("description") or tax.account_head or ""), money(decimal(tax.tax_amount)))
			for tax in doc.get("taxes") or []
			if tax.tax_amount and not tax.get("included_in_print_rate")
		],
		"payments": [
			(payment.mode_of_payment, money(decimal(payment.amount)))
			for payment in doc.get("payments") or []
			if payment.amount
		],
		"discount": money(-decimal(doc.get("discount_amount"))) if doc.get("discount_amount") else "",
		"total": money(decimal(doc.grand_total)),
		"currency": doc.currency,
	}


# -- text ------------------------------------------------------------------------------------------------


def figure(value: Decimal, least: int = 2, most: int = 2) -> str:
	"""An amount with thousands commas, `least` to `most` decimals."""
	text = f"{value:,.{most}f}"
	if most > least:
		whole, _, decimals = text.partition(".")
		decimals = decimals.rstrip("0").ljust(least, "0")
		text = f"{whole}.{decimals}" if decimals else whole
	return text


def sum_of(amounts, always: bool = False) -> str:
	total = quantize(sum(amounts, ZERO))
	return figure(total) if total or always else ""


def percent(rate: Decimal) -> str:
	return f"{plain(rate * 100)} %"


def local_time(moment, zone=None) -> datetime:
	"""A time as Frappe keeps it, with its zone; in `zone` where one is given."""
	moment = get_datetime(moment).replace(tzinfo=ZoneInfo(get_system_timezone()))
	return moment.astimezone(zone) if zone else moment


def company_name(company: str) -> str:
	return frappe.get_cached_value("Company", company, "company_name") or company


def lines_of(markup: str | None) -> list[str]:
	"""The lines of an address that ERPNext keeps as HTML."""
	lines = re.split(r"<br\s*/?>|\n", markup or "")
	return [line for line in (strip_html(line).strip() for line in lines) if line]


def kept_xml(row):
	"""The root of the XML that was fetched from the provider and kept; None where there is none."""
	name = row.get("xml") and frappe.db.get_value(
		"File", {"file_url": row.xml, "attached_to_name": row.reference_name}
	)
	return parse(frappe.get_doc("File", name).get_content()) if name else None
