"""An Austrian receipt or invoice: Jinja's `fiscal_rksv(doc)`."""

from decimal import Decimal

import frappe
from frappe.utils import getdate

from fiscal_integration import dispatch, mapping
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.austria import rates, rksv
from fiscal_integration.fiscal.errors import MappingError
from fiscal_integration.fiscal.lifecycle import NOT_REQUIRED
from fiscal_integration.fiscal.money import decimal, quantize
from fiscal_integration.printing.common import Words, figure, lines_of, receipt_of, sale_of, state_of
from fiscal_integration.providers.fiskaly import ZONE, by_rate

AUSTRIAN = Words(
	"AT",
	"KEIN GÜLTIGER BELEG",
	"STORNIERT",
	"",
	"STORNIERT",
	"TESTBETRIEB: KEIN GÜLTIGER BELEG",
	"",
	"ohne Registrierkassenbeleg",
	"Entwurf",
	"der Beleg wird mit einem anderen Format gedruckt",
	{
		lifecycle.REJECTED: "abgelehnt",
		lifecycle.NEEDS_REVIEW: "in Prüfung",
		lifecycle.WITHDRAWN: "Verkauf storniert",
	},
)


def fiscal_rksv(doc) -> dict:
	"""An Austrian receipt or invoice, as text: what the BAO wants from the sale, what the RKSV wants from its
	signature (authorities/austria.md#what-a-cash-register-records). `fiscal` is `fiscal_receipt(doc)`, empty where no
	cash register has to sign."""
	row = dispatch.find(doc.doctype, doc.name)
	state = state_of(doc, row, AUSTRIAN, _outside_of_rksv(doc))
	sale = sale_of(doc, _german)
	fiscal = receipt_of(row) if row and state["valid"] else {}
	signed_at = ""
	if fiscal.get("stamps", {}).get("receipt_number"):
		signed_at = f"{rksv.parse(row.qr_value).time:%d.%m.%Y %H:%M:%S}"
	return {
		"state": state,
		"sale": sale,
		"fiscal": fiscal,
		"title": "Stornorechnung" if doc.get("is_return") else "Rechnung",
		"corrects": doc.get("return_against") or "",
		"posted_at": f"{mapping.posted_at(doc).astimezone(ZONE):%d.%m.%Y %H:%M:%S}",
		"date": f"{getdate(doc.posting_date):%d.%m.%Y}",
		"due": f"{getdate(doc.due_date):%d.%m.%Y}" if doc.get("due_date") and not doc.get("is_pos") else "",
		"uid": frappe.get_cached_value("Company", doc.company, "tax_id") or "",
		"customer_address": lines_of(doc.get("address_display")),
		"customer_uid": doc.get("tax_id") or "",
		"by_rate": _austrian_rates(doc),
		"gross": [(rate, _german(decimal(amount))) for rate, amount in fiscal.get("gross", [])],
		"signed_at": signed_at,
	}


def _austrian_rates(doc) -> list[tuple[str, str, str, str]]:
	"""Rate, net, tax and gross of the whole sale, which sum to its total; none where its taxes cannot be told."""
	try:
		invoice = mapping.to_invoice(doc)
	except MappingError:
		return []
	sign = -1 if doc.get("is_return") else 1
	found = []
	for rate, gross in by_rate(invoice).items():
		net = quantize(gross / (1 + rate))
		found.append((rates.percent(rate), *(_german(sign * amount) for amount in (net, gross - net, gross))))
	return found


def _outside_of_rksv(doc) -> bool:
	"""An Austrian invoice that no cash register has to sign, such as one to be paid by bank transfer."""
	return doc.docstatus == 1 and (doc.get("fiscal_status") == NOT_REQUIRED or not doc.get("is_pos"))


def _german(value: Decimal, least: int = 2, most: int = 2) -> str:
	return figure(value, least, most).translate(str.maketrans(",.", ".,"))
