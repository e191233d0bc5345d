"""Invoice objects as Facturapi answers them: made from a request, stamped, and told to the outside."""

import copy
import hashlib
import json
import uuid
from datetime import datetime, timezone
from decimal import Decimal

from fiscal_integration.sandbox.facturapi import amounts, catalogs
from fiscal_integration.sandbox.facturapi.cfdi import ZONE, Document

ISSUER = {"tax_id": "EKU9003173C9", "legal_name": "SANDBOX SIN VALIDEZ FISCAL", "tax_system": "601"}
ORGANIZATION = "5a1b2c3d4e5f6a7b8c9d0e1f"
PLACE = {
	"street": "Avenida de la Prueba",
	"exterior": "1",
	"interior": "",
	"neighborhood": "Centro",
	"city": "Guadalajara",
	"municipality": "Guadalajara",
	"zip": "44100",
	"state": "Jalisco",
	"country": "MEX",
}
VERIFY = "https://verificacfdi.facturaelectronica.sat.gob.mx/default.aspx"


def new_id() -> str:
	return uuid.uuid4().hex[:24]


def public(entry: dict) -> dict:
	"""A copy for the outside, without what only the emulator knows."""
	return {name: copy.deepcopy(value) for name, value in entry.items() if not name.startswith("_")}


def iso(moment: datetime) -> str:
	return (
		moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
	)


def moment_of(text) -> datetime:
	"""A time that was sent: with its offset, or else in the issuer's zone."""
	moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
	return moment if moment.tzinfo else moment.replace(tzinfo=ZONE)


def plain_number(value):
	value = Decimal(value)
	return int(value) if value == value.to_integral_value() else float(value)


def floats(value):
	"""Decimals as JSON numbers, all the way down."""
	if isinstance(value, dict):
		return {name: floats(entry) for name, entry in value.items()}
	if isinstance(value, list | tuple):
		return [floats(entry) for entry in value]
	return plain_number(value) if isinstance(value, Decimal) else value


def json_text(data) -> str:
	"""A request as it is kept."""
	return json.dumps(floats(data))


def decimals(value):
	"""A request that was kept as JSON, with its numbers as Decimals again."""
	return json.loads(value, parse_float=Decimal, parse_int=Decimal)


def customer_of(customer: dict, identity: str) -> dict:
	"""The receiver as an invoice carries it. A foreign one has the generic foreign RFC."""
	address = customer.get("address") or {}
	country = address.get("country") or "MEX"
	return {
		"id": identity,
		"legal_name": customer.get("legal_name") or "",
		"tax_id": catalogs.FOREIGN if country != "MEX" else customer.get("tax_id") or "",
		"tax_system": customer.get("tax_system") or "",
		"address": {"country": country, "zip": address.get("zip") or ""},
	}


def item_of(item: dict) -> dict:
	"""A line with the defaults that Facturapi fills in, and the amount of each tax."""
	product = item["product"]
	concept = amounts.concept_of(item)
	taxes = [
		{
			"type": tax.kind,
			"rate": tax.rate,
			"factor": tax.factor,
			"withholding": tax.withheld,
			"base": tax.base,
			"amount": tax.amount or Decimal(0),
			**({"ieps_mode": sent.get("ieps_mode") or amounts.SUMMED} if tax.kind == "IEPS" else {}),
		}
		for tax, sent in zip(concept.taxes, amounts.taxes_of(product), strict=True)
	]
	return floats(
		{
			"quantity": concept.quantity,
			"discount": concept.discount,
			"product": {
				**({"id": product["id"]} if product.get("id") else {}),
				"description": product["description"],
				"product_key": product["product_key"],
				"unit_key": product.get("unit_key") or "H87",
				"unit_name": product.get("unit_name") or "Elemento",
				"price": product["price"],
				"tax_included": product.get("tax_included", True),
				"taxability": product.get("taxability") or "02",
				"taxes": taxes,
				"local_taxes": [
					{
						"factor": "Tasa",
						"withholding": False,
						**tax,
						"base": tax.get("base", concept.amount - concept.discount),
					}
					for tax in product.get("local_taxes") or ()
				],
				"sku": product.get("sku") or "",
			},
			"customs_keys": [],
			"third_party": None,
			"complement": None,
			"parts": [],
			"property_tax_account": item.get("property_tax_account") or [],
		}
	)


def related_of(data: dict) -> list[dict]:
	"""The OpenAPI names the list `documents`, the SDK's types a single `uuid`: both are told."""
	return [
		{**related, "uuid": (related.get("documents") or [None])[0]}
		for related in data.get("related_documents") or ()
	]


OPTIONAL_OF_PAYMENT = (
	"numOperacion rfcEmisorCtaOrd nomBancoOrdExt ctaOrdenante rfcEmisorCtaBen ctaBeneficiario tipoCadPago certPago "
	"cadPago selloPago"
).split()


def complements_of(data: dict, now: datetime) -> list[dict]:
	"""Payment complements with what Facturapi fills in where it was not sent."""
	filled = []
	for complement in data.get("complements") or ():
		payments = [
			{
				"date": iso(now),
				"currency": "MXN",
				"exchange": 1,
				**dict.fromkeys(OPTIONAL_OF_PAYMENT),
				**payment,
				"related_documents": [
					{
						"currency": "MXN",
						"exchange": 1,
						"folio_number": 0,
						"series": "",
						"taxability": "02" if related["taxes"] else "01",
						**related,
						"taxes": [
							{"factor": "Tasa", "withholding": False, **tax} for tax in related["taxes"]
						],
					}
					for related in payment["related_documents"]
				],
			}
			for payment in complement["data"]
		]
		filled.append({**complement, "data": payments})
	return floats(filled)


def entry_of(
	data: dict, now: datetime, live: bool, series: str, folio: int, customer: dict, place: dict
) -> dict:
	"""An Invoice that is not stamped yet. `customer` as customer_of makes it."""
	kind = data.get("type") or "I"
	entry = {
		"id": new_id(),
		"created_at": iso(now),
		"livemode": live,
		"organization": ORGANIZATION,
		"issuer_type": "issuing",
		"type": kind,
		"status": "pending",
		"cancellation_status": "none",
		"canceled_at": None,
		"cancellation": None,
		"verification_url": None,
		"verification_carta_porte": None,
		"uuid": None,
		"date": iso(moment_of(data["date"]) if data.get("date") else now),
		"address": {**place, **{name: value for name, value in (data.get("address") or {}).items() if value}},
		"folio_number": int(data.get("folio_number") or folio),
		"series": series,
		"total": 0,
		"amount_due": 0,
		"currency": data.get("currency") or "MXN",
		"exchange": plain_number(data.get("exchange") or Decimal(1)),
		"use": data.get("use") or "G01",
		"payment_form": data.get("payment_form"),
		"payment_method": data.get("payment_method") or "PUE",
		"conditions": data.get("conditions"),
		"customer": customer,
		"issuer_info": {"id": ORGANIZATION, **ISSUER, "address": {"zip": place["zip"], "country": "MEX"}},
		"items": [],
		"related_documents": floats(related_of(data)),
		"complements": complements_of(data, now),
		"received_payment_ids": [],
		"target_invoice_ids": [],
		"external_id": data.get("external_id"),
		"idempotency_key": data.get("idempotency_key"),
		"is_ready_to_stamp": True,
		"cfdi_version": 4,
		"export": data.get("export") or "01",
		"global": floats(data.get("global")),
		"addenda": data.get("addenda"),
		"namespaces": data.get("namespaces") or [],
		"pdf_custom_section": data.get("pdf_custom_section"),
		"stamp": None,
		"_request": json_text(data),
	}
	if kind == "P":
		entry.update(use="CP01", currency="XXX", payment_method=None)
	else:
		sums = amounts.sums(data)
		entry["items"] = [item_of(item) for item in data.get("items") or ()]
		entry["total"] = plain_number(sums.total)
		if entry["payment_method"] == "PPD":
			entry["amount_due"] = entry["total"]
		entry["_bases"] = [
			[kind, factor, None if rate is None else str(rate), withheld, str(base)]
			for (kind, factor, rate, withheld), base in sums.bases().items()
		]
	return entry


def stamp(entry: dict, now: datetime):
	"""Give it what the tax authority gives: a UUID and seals, all recognisably made up."""
	entry["status"] = "valid"
	entry["uuid"] = str(uuid.uuid4()).upper()
	document = Document(entry, decimals(entry["_request"]), ISSUER, now)
	entry["stamp"] = document.seal()
	entry["_xml"] = document.content
	entry["verification_url"] = (
		f"{VERIFY}?id={entry['uuid']}&re={ISSUER['tax_id']}&rr={entry['customer']['tax_id']}"
		f"&tt={Decimal(str(entry['total'])):.6f}&fe={entry['stamp']['signature'][-8:]}"
	)


def identity_of(customer: dict) -> str:
	return hashlib.sha256(json.dumps(floats(customer), sort_keys=True).encode()).hexdigest()[:24]
