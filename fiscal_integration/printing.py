"""What print formats need of a sale's fiscal document: Jinja's `fiscal_receipt(doc)` and `fiscal_qr(doc)` for
people's own formats; `fiscal_cfdi`, `fiscal_cafe` and `fiscal_rksv` for ours, one for each country.

They read what was issued: the frozen request, the stamps, the provider's recorded answer, and the XML where it is
kept. What none of them holds is left out. What they return is text, formatted and in the authority's language;
print formats only place it.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import get_datetime, get_system_timezone, getdate, strip_html

from fiscal_integration import audit, cancellation, connection, dispatch, mapping
from fiscal_integration.fiscal import lifecycle, qr
from fiscal_integration.fiscal.austria import rksv
from fiscal_integration.fiscal.errors import MappingError
from fiscal_integration.fiscal.lifecycle import NOT_REQUIRED
from fiscal_integration.fiscal.mexico import catalogs
from fiscal_integration.fiscal.money import MICRO, ZERO, decimal, plain, quantize
from fiscal_integration.fiscal.panama import cufe, rfe
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.xml import parse
from fiscal_integration.providers.base import TEST
from fiscal_integration.providers.fiskaly import ZONE, buckets

TRAINING_LABEL, CANCELLATION_LABEL = "Trainingsbuchung", "Stornobuchung"
LABELS = {"TRAINING": TRAINING_LABEL, "CANCELLATION": CANCELLATION_LABEL}
"""What RKSV section 10 (3) wants on such receipts."""
RATES = {name: f"{rate * 100:.0f} %" for rate, name in rksv.RATES.items()}
FRACTIONS = {name: rate for rate, name in rksv.RATES.items()}
SLIPS = (*lifecycle.DUE, lifecycle.FAILED)
"""States of a sale at a cash register that cannot be reached: its slip tells the outage (austria.md 3.4)."""
ANSWERS = 20


# -- for people's own formats ----------------------------------------------------------------------------


def fiscal_receipt(doc) -> dict:
	"""Status, id, QR image and stamps of the invoice's fiscal document, and what an Austrian receipt has to tell.

	Empty for an invoice without one. `valid` says whether the paper may pass for a fiscal document. While a cash
	register cannot be reached, `outage` holds the words that go on the slip in place of number and signature, and
	the QR code holds them too (austria.md 3.4).
	"""
	row = dispatch.find(doc.doctype, doc.name)
	return _receipt(row) if row else {}


def fiscal_qr(doc) -> str:
	"""The QR image as a data URI for an `img` element; blank while the sale has none."""
	return fiscal_receipt(doc).get("qr_image") or ""


def _receipt(row) -> dict:
	provider = connection.providers().get(row.provider) or _provider_of(row.company)
	stamps = _stamps(row)
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
			(RATES[name], stamps[f"gross_{name.lower()}"])
			for name in rksv.ORDER
			if stamps.get(f"gross_{name.lower()}")
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


def _stamps(row) -> dict:
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
MEXICAN = Words(
	"MX",
	"ESTE DOCUMENTO NO ES UN CFDI",
	"CFDI CANCELADO",
	"Cancelación solicitada",
	"VENTA CANCELADA",
	"PRUEBA: SIN VALIDEZ FISCAL",
	"",
	"sin comprobante fiscal",
	"borrador",
	"el comprobante se imprime con otro formato",
	SPANISH,
)
PANAMANIAN = Words(
	"PA",
	"ESTE DOCUMENTO NO ES UNA FACTURA FISCAL",
	"FACTURA ANULADA",
	"Anulación solicitada",
	"VENTA CANCELADA",
	"AMBIENTE DE PRUEBAS: SIN VALOR COMERCIAL NI FISCAL",
	"FIRMADA, PENDIENTE DE ENVÍO A LA DGI",
	"sin factura electrónica",
	"borrador",
	"la factura se imprime con otro formato",
	SPANISH,
)
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


def _state(doc, row, words: Words) -> dict:
	"""Whether the paper may pass for a fiscal document (`valid`), and what else has to stand at its head."""
	found = {"valid": False, "heading": "", "reason": "", "cancelled": "", "test": "", "notes": []}
	if int(doc.docstatus or 0) == 2:
		found["cancelled"] = words.sale_cancelled
	if not row:
		found["valid"] = words is AUSTRIAN and _outside_of_rksv(doc)
		found["reason"] = words.none if doc.docstatus else words.draft
	else:
		provider = connection.providers().get(row.provider) or _provider_of(row.company)
		receipt = _receipt(row)
		if provider and words.country not in provider.countries:
			found["reason"] = words.other
		else:
			found["valid"] = receipt["valid"]
			found["reason"] = words.states.get(row.status, row.status)
		if receipt["test"]:
			found["test"] = words.test
		if receipt["cancelled"]:
			when = f" {_local(row.cancelled_at):%d/%m/%Y}" if row.cancelled_at else ""
			found["cancelled"] = f"{words.cancelled}{when}"
		elif row.cancellation_status in cancellation.OPEN and words.cancelling:
			found["notes"].append(words.cancelling)
		if row.status != lifecycle.ISSUED and found["valid"] and words.pending:
			found["notes"].append(words.pending)
	if not found["valid"]:
		found["heading"] = words.nothing
	return found


def _outside_of_rksv(doc) -> bool:
	"""An Austrian invoice that no cash register has to sign, such as one to be paid by bank transfer."""
	return doc.docstatus == 1 and (doc.get("fiscal_status") == NOT_REQUIRED or not doc.get("is_pos"))


def _refuse(view: dict, words: Words, reason: str) -> dict:
	"""A document that was issued, but that we cannot print as the authority wants it."""
	view["state"].update({"valid": False, "heading": words.nothing, "reason": reason})
	return view


def _sale(doc, money) -> dict:
	"""The sale as ERPNext has it: what a paper shows that is no fiscal document, and what Austria's receipt lists."""
	return {
		"company": doc.company,
		"address": _lines_of(doc.get("company_address_display")),
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


# -- Mexico ----------------------------------------------------------------------------------------------

CFDI_TYPES = {"I": "Ingreso", "E": "Egreso", "T": "Traslado", "N": "Nómina", "P": "Pago"}
PAYMENT_METHODS = {"PUE": "Pago en una sola exhibición", "PPD": "Pago en parcialidades o diferido"}
RELATIONS = {
	"01": "Nota de crédito de los documentos relacionados",
	"02": "Nota de débito de los documentos relacionados",
	"03": "Devolución de mercancía sobre facturas o traslados previos",
	"04": "Sustitución de los CFDI previos",
	"05": "Traslados de mercancías facturados previamente",
	"06": "Factura generada por los traslados previos",
	"07": "CFDI por aplicación de anticipo",
	"08": "Factura generada por pagos en parcialidades",
	"09": "Factura generada por pagos diferidos",
}
PERIODS = {
	"day": "Diaria",
	"week": "Semanal",
	"fortnight": "Quincenal",
	"month": "Mensual",
	"two_months": "Bimestral",
}
REGIME_NAMES = {
	"601": "General de Ley Personas Morales",
	"603": "Personas Morales con Fines no Lucrativos",
	"605": "Sueldos y Salarios e Ingresos Asimilados a Salarios",
	"606": "Arrendamiento",
	"607": "Régimen de Enajenación o Adquisición de Bienes",
	"608": "Demás ingresos",
	"609": "Consolidación",
	"610": "Residentes en el Extranjero sin Establecimiento Permanente en México",
	"611": "Ingresos por Dividendos (socios y accionistas)",
	"612": "Personas Físicas con Actividades Empresariales y Profesionales",
	"614": "Ingresos por intereses",
	"615": "Régimen de los ingresos por obtención de premios",
	"616": "Sin obligaciones fiscales",
	"620": "Sociedades Cooperativas de Producción que optan por diferir sus ingresos",
	"621": "Incorporación Fiscal",
	"622": "Actividades Agrícolas, Ganaderas, Silvícolas y Pesqueras",
	"623": "Opcional para Grupos de Sociedades",
	"624": "Coordinados",
	"625": "Régimen de las Actividades Empresariales con ingresos a través de Plataformas Tecnológicas",
	"626": "Régimen Simplificado de Confianza",
	"628": "Hidrocarburos",
	"629": "De los Regímenes Fiscales Preferentes y de las Empresas Multinacionales",
	"630": "Enajenación de acciones en bolsa de valores",
}
USE_NAMES = {
	"G01": "Adquisición de mercancías",
	"G02": "Devoluciones, descuentos o bonificaciones",
	"G03": "Gastos en general",
	"I01": "Construcciones",
	"I02": "Mobiliario y equipo de oficina por inversiones",
	"I03": "Equipo de transporte",
	"I04": "Equipo de cómputo y accesorios",
	"I05": "Dados, troqueles, moldes, matrices y herramental",
	"I06": "Comunicaciones telefónicas",
	"I07": "Comunicaciones satelitales",
	"I08": "Otra maquinaria y equipo",
	"D01": "Honorarios médicos, dentales y gastos hospitalarios",
	"D02": "Gastos médicos por incapacidad o discapacidad",
	"D03": "Gastos funerales",
	"D04": "Donativos",
	"D05": "Intereses reales efectivamente pagados por créditos hipotecarios (casa habitación)",
	"D06": "Aportaciones voluntarias al SAR",
	"D07": "Primas por seguros de gastos médicos",
	"D08": "Gastos de transportación escolar obligatoria",
	"D09": "Depósitos en cuentas para el ahorro, primas que tengan como base planes de pensiones",
	"D10": "Pagos por servicios educativos (colegiaturas)",
	"S01": "Sin efectos fiscales",
	"CP01": "Pagos",
	"CN01": "Nómina",
}
"""Catalogues of SAT as the OpenAPI of Facturapi prints them (mexico.md 2.1)."""


def fiscal_cfdi(doc) -> dict:
	"""The printed representation of the invoice's CFDI, as text.

	`state` says what the paper is, `sale` what ERPNext has; the rest is there only where `state.valid`.
	"""
	row = dispatch.find(doc.doctype, doc.name)
	view = {"state": _state(doc, row, MEXICAN), "sale": _sale(doc, _money)}
	if not view["state"]["valid"]:
		return view
	if row.provider != "facturapi":
		return _refuse(view, MEXICAN, "imprima el PDF del proveedor")
	body = json.loads(row.payload, parse_float=Decimal, parse_int=Decimal)
	stamps, answer, original = _stamps(row), _answer(row), _cfdi_attributes(row)
	told = parse_qs(urlsplit(row.qr_value or "").query)
	zone = datetime.fromisoformat(body["date"]).tzinfo
	issuer, customer = answer.get("issuer_info") or {}, body["customer"]
	place = (answer.get("address") or issuer.get("address") or {}).get("zip")
	lines = [_cfdi_line(item) for item in body["items"]]
	kind, method = body["type"], body.get("payment_method") or "PUE"
	receiver_rfc = told.get("rr", [customer.get("tax_id", "")])[0]
	currency, over = body["currency"], body.get("global")
	view.update(
		{
			"type": f"{kind} - {CFDI_TYPES.get(kind, '')}",
			"is_credit_note": kind == "E",
			"series": stamps.get("series", ""),
			"folio": stamps.get("folio_number", ""),
			"uuid": row.fiscal_id,
			"issued_at": body["date"][:19],
			"stamped_at": _instant(stamps.get("stamp_date"), zone) or original.get("FechaTimbrado", ""),
			"place": original.get("LugarExpedicion") or place or "",
			"certificate": original.get("NoCertificado", ""),
			"sat_certificate": stamps.get("sat_certificate_number") or original.get("NoCertificadoSAT", ""),
			"pac": stamps.get("provider_rfc") or original.get("RfcProvCertif", ""),
			"seal": stamps.get("signature") or original.get("SelloCFD", ""),
			"sat_seal": stamps.get("sat_signature") or original.get("SelloSAT", ""),
			"complement": stamps.get("complement_string", ""),
			"issuer": {
				"name": original.get("Nombre") or issuer.get("legal_name") or _company_name(doc.company),
				"rfc": original.get("Rfc") or issuer.get("tax_id") or told.get("re", [""])[0],
				"regime": _named(
					original.get("RegimenFiscal") or issuer.get("tax_system") or "", REGIME_NAMES
				),
			},
			"receiver": {
				"name": customer["legal_name"],
				"rfc": receiver_rfc,
				"foreign_id": customer.get("tax_id", "") if customer.get("tax_id") != receiver_rfc else "",
				"zip": customer["address"].get("zip", ""),
				"country": customer["address"].get("country", ""),
				"regime": _named(customer["tax_system"], REGIME_NAMES),
				"use": _named(body["use"], USE_NAMES),
			},
			"lines": lines,
			"subtotal": _money(quantize(sum((line["gross"] for line in lines), ZERO))),
			"discount": _sum_of(line["cut"] for line in lines),
			"taxes": _cfdi_taxes(lines),
			"total": _money(decimal(row.provider_total or row.total)),
			"currency": currency,
			"exchange": _money(decimal(body["exchange"]), 2, 6) if currency != "MXN" else "",
			"payment_form": _named(body["payment_form"], catalogs.PAYMENT_FORMS),
			"payment_method": _named(method, PAYMENT_METHODS),
			"relations": [
				(_named(entry["relationship"], RELATIONS), entry["documents"])
				for entry in body.get("related_documents") or []
			],
			"global": f"{PERIODS.get(over['periodicity'], over['periodicity'])}, {over['months']}/{over['year']}"
			if over
			else "",
			"qr": row.qr_image,
		}
	)
	return view


def _cfdi_line(item: dict) -> dict:
	"""One concept with its taxes, by the arithmetic that Facturapi says it uses (mexico.md 1.13)."""
	product = item["product"]
	quantity, price, cut = item["quantity"], product["price"], item.get("discount", ZERO)
	gross = quantize(price * quantity, MICRO)
	base = quantize(price * quantity - cut, MICRO)
	excise = sum(
		(
			quantize(base * tax["rate"], MICRO)
			for tax in product["taxes"]
			if tax["type"] == "IEPS" and tax.get("ieps_mode") == "sum_before_taxes" and not tax["withholding"]
		),
		ZERO,
	)
	taxes = []
	for tax in [*product["taxes"], *product.get("local_taxes", [])]:
		exempt = tax.get("factor") == "Exento"
		over = base + excise if tax["type"] == "IVA" and not tax["withholding"] else base
		name = f"{tax['type']} {'Exento' if exempt else _percent(tax['rate'])}"
		taxes.append(
			{
				"name": f"Ret. {name}" if tax["withholding"] else name,
				"withheld": tax["withholding"],
				"exempt": exempt,
				"amount": ZERO if exempt else quantize(over * tax["rate"], MICRO),
			}
		)
	return {
		"key": product["product_key"],
		"unit_key": product["unit_key"],
		"unit": product.get("unit_name", ""),
		"code": product.get("sku", ""),
		"description": product["description"],
		"object": {"01": "No objeto de impuesto"}.get(product["taxability"], ""),
		"quantity": _money(quantity, 0, 6),
		"price": _money(price, 2, 6),
		"discount": _money(cut) if cut else "",
		"amount": _money(quantize(gross)),
		"gross": gross,
		"cut": cut,
		"taxes": taxes,
		"told": [(tax["name"], "" if tax["exempt"] else _money(quantize(tax["amount"]))) for tax in taxes],
	}


def _cfdi_taxes(lines) -> list[tuple[str, str]]:
	"""Each tax of the document with its sum; what is withheld is negative."""
	sums: dict[str, Decimal] = {}
	for line in lines:
		for tax in line["taxes"]:
			if not tax["exempt"]:
				amount = -tax["amount"] if tax["withheld"] else tax["amount"]
				sums[tax["name"]] = sums.get(tax["name"], ZERO) + amount
	return [(name, _money(quantize(amount))) for name, amount in sums.items()]


def _answer(row) -> dict:
	"""The provider's own object of this document, from the recorded exchanges; empty where none shows it."""
	outputs = frappe.get_all(
		audit.REQUEST,
		{"fiscal_document": row.name, "status": "Completed"},
		pluck="output",
		order_by="fiscal_sequence desc",
		limit=ANSWERS,
	)
	for output in outputs:
		try:
			body = json.loads((output or "").partition("\n\n")[2])
		except ValueError:
			continue
		entries = body.get("data") if isinstance(body, dict) else None
		for entry in entries if isinstance(entries, list) else [body]:
			if isinstance(entry, dict) and entry.get("uuid") == row.fiscal_id:
				return entry
	return {}


def _cfdi_attributes(row) -> dict:
	"""What the kept XML tells beyond the request: place of issue, certificates, seals and the issuer."""
	root = _kept_xml(row)
	found = {}
	for element in root.iter() if root is not None else ():
		name = str(element.tag).rpartition("}")[2]
		if name in ("Comprobante", "Emisor", "TimbreFiscalDigital"):
			found.update(element.attrib)
	return found


def _instant(text, zone) -> str:
	"""An answer's time, which is UTC, in the issuer's zone and written as a CFDI writes it."""
	try:
		moment = datetime.fromisoformat(str(text or "").replace("Z", "+00:00"))
	except ValueError:
		return ""
	return f"{moment.astimezone(zone):%Y-%m-%dT%H:%M:%S}"


# -- Panama ----------------------------------------------------------------------------------------------

DGI_TYPES = {
	dgi.INTERNAL: "Factura de Operación Interna",
	dgi.IMPORT: "Factura de Importación",
	dgi.EXPORT: "Factura de Exportación",
	dgi.CREDIT_NOTE: "Nota de Crédito referente a Factura Electrónica",
	dgi.DEBIT_NOTE: "Nota de Débito referente a Factura Electrónica",
	dgi.GENERIC_CREDIT: "Nota de Crédito Genérica",
	dgi.GENERIC_DEBIT: "Nota de Débito Genérica",
	dgi.FREE_ZONE: "Factura de Zona Franca",
	dgi.REIMBURSEMENT: "Factura de Reembolso",
}
RECEIVERS = {
	dgi.TAXPAYER: "Contribuyente",
	dgi.CONSUMER: "Consumidor final",
	dgi.GOVERNMENT: "Gobierno",
	dgi.FOREIGNER: "Extranjero",
}
DGI_PAYMENTS = {
	"01": "Crédito",
	"02": "Efectivo",
	"03": "Tarjeta de crédito",
	"04": "Tarjeta de débito",
	"05": "Tarjeta de fidelización",
	"06": "Vale",
	"07": "Tarjeta de regalo",
	"08": "Transferencia o depósito",
	"09": "Cheque",
	"10": "Punto de venta",
	"99": "Otro",
}


def fiscal_cafe(doc) -> dict:
	"""The CAFE of the invoice's electronic invoice, as text: see `fiscal_cfdi`."""
	row = dispatch.find(doc.doctype, doc.name)
	view = {"state": _state(doc, row, PANAMANIAN), "sale": _sale(doc, _money)}
	if not view["state"]["valid"]:
		return view
	root = _rfe_of(row)
	reader = _from_rfe if root is not None else CAFE_READERS.get(row.provider)
	if not reader:
		return _refuse(view, PANAMANIAN, "imprima el PDF del proveedor")
	found = reader(
		root if root is not None else json.loads(row.payload, parse_float=Decimal, parse_int=Decimal)
	)
	code = cufe.parts(row.fiscal_id)
	lines = found["lines"]
	environment = code.get("environment") or (
		rfe.TEST_CODE if row.environment == TEST else rfe.PRODUCTION_CODE
	)
	issued_at = found.get("issued_at") or (
		_local(row.issued_at, dgi.ZONE).isoformat() if row.issued_at else ""
	)
	receiver = found["receiver"]
	received = sum((amount for _code, _text, amount in found["payments"]), ZERO)
	total = decimal(row.provider_total or row.total)
	view.update(
		{
			"type": DGI_TYPES.get(found.get("type") or code.get("document") or dgi.INTERNAL, ""),
			"cufe": row.fiscal_id,
			"number": code.get("number") or row.fiscal_number or "",
			"branch": code.get("branch", ""),
			"point": code.get("point", ""),
			"issued_at": _dgi_time(issued_at),
			"protocol": row.authorization_number or "",
			"authorized_at": f"{_local(row.authorized_at, dgi.ZONE):%d/%m/%Y %H:%M:%S}"
			if row.authorized_at
			else "",
			"contingency": _contingency(found, code),
			"issuer": {
				"name": _company_name(doc.company),
				"ruc": code.get("ruc", "").lstrip("0"),
				"dv": code.get("dv", ""),
				"address": view["sale"]["address"],
				"phone": "",
				"email": "",
				**found.get("issuer", {}),
			},
			"receiver": {
				**dict.fromkeys(("name", "ruc", "dv", "address", "foreign_id", "country"), ""),
				**receiver,
				"kind": RECEIVERS.get(receiver.get("kind", ""), ""),
			},
			"lines": [_cafe_line(line) for line in lines],
			"by_rate": _by_rate(lines),
			"net": _sum_of((line["net"] for line in lines), always=True),
			"itbms": _sum_of((line["itbms"] for line in lines), always=True),
			"isc": _sum_of(line["isc"] for line in lines),
			"total": _money(total),
			"currency": "B/." if doc.currency in dgi.CURRENCIES or found.get("in_balboas") else doc.currency,
			"payments": [
				(text or DGI_PAYMENTS.get(kind, kind), _money(amount))
				for kind, text, amount in found["payments"]
			],
			"change": _money(received - total) if received > total else "",
			"terms": [(_dgi_day(due), _money(amount)) for due, amount in found.get("terms", [])],
			"referenced": found.get("referenced") or {},
			"consult": _consultation(environment),
			"qr": row.qr_image,
		}
	)
	if view["referenced"]:
		view["referenced"]["date"] = _dgi_day(view["referenced"].get("date", ""))
	return view


def _consultation(environment: str) -> str:
	"""Where anybody looks a document up by its CUFE (panama.md 5.3)."""
	return rfe.QR_ADDRESSES[environment].replace("FacturasPorQR", "FacturasPorCUFE")


def _contingency(found: dict, code: dict) -> str:
	if (found.get("emission") or code.get("emission")) not in rfe.CONTINGENCIES:
		return ""
	since, reason = found.get("contingency", ("", ""))
	told = f" desde {_dgi_time(since)}" if since else ""
	return f"Emitida en contingencia{told}{f': {reason}' if reason else ''}"


def _cafe_line(line: dict) -> dict:
	return {
		"description": line["description"],
		"code": line["code"],
		"unit": line["unit"],
		"quantity": _money(line["quantity"], 0, 6),
		"price": _money(line["price"], 2, 6),
		"discount": _money(line["discount"], 2, 6) if line["discount"] else "",
		"net": _money(quantize(line["net"])),
		"rate": _percent(line["rate"]),
		"itbms": _money(quantize(line["itbms"])),
		"isc": _money(quantize(line["isc"])) if line["isc"] else "",
		"total": _money(quantize(line["net"] + line["itbms"] + line["isc"])),
	}


def _by_rate(lines) -> list[tuple[str, str, str]]:
	"""ITBMS by rate: the rate, its base and its amount. 0 % is what is exempt (panama.md 5.4)."""
	sums: dict[Decimal, list[Decimal]] = {}
	for line in lines:
		entry = sums.setdefault(line["rate"], [ZERO, ZERO])
		entry[0] += line["net"]
		entry[1] += line["itbms"]
	return [
		(_percent(rate) if rate else "Exento", _money(quantize(base)), _money(quantize(amount)))
		for rate, (base, amount) in sorted(sums.items())
	]


def _rfe_of(row):
	"""The rFE that was signed here, or that is kept from the provider; None where we hold none."""
	signed = (row.payload or "").lstrip().startswith("<")
	root = parse(row.payload) if signed else _kept_xml(row)
	if root is None or root.tag == _dgi("rFE"):
		return root
	return root.find(f".//{_dgi('rFE')}")


def _dgi(name: str) -> str:
	return f"{{{rfe.NAMESPACE}}}{name}"


def _at(element, path: str) -> str:
	"""The text at `path` below an element of an rFE; blank where there is none."""
	found = element.find("/".join(_dgi(part) for part in path.split("/")))
	return (found.text or "").strip() if found is not None else ""


def _from_rfe(root) -> dict:
	def of(path):
		return _at(root, path)

	return {
		"type": of("gDGen/iDoc"),
		"issued_at": of("gDGen/dFechaEm"),
		"emission": of("gDGen/iTpEmis"),
		"contingency": (of("gDGen/dFechaCont"), of("gDGen/dMotCont")),
		"in_balboas": True,
		"issuer": {
			"name": of("gDGen/gEmis/dNombEm"),
			"ruc": of("gDGen/gEmis/gRucEmi/dRuc"),
			"dv": of("gDGen/gEmis/gRucEmi/dDV"),
			"address": [
				part
				for part in (
					of("gDGen/gEmis/dDirecEm"),
					", ".join(
						part
						for part in (
							of("gDGen/gEmis/gUbiEm/dCorreg"),
							of("gDGen/gEmis/gUbiEm/dDistr"),
							of("gDGen/gEmis/gUbiEm/dProv"),
						)
						if part
					),
				)
				if part
			],
			"phone": of("gDGen/gEmis/dTfnEm"),
			"email": of("gDGen/gEmis/dCorElectEmi"),
		},
		"receiver": {
			"kind": of("gDGen/gDatRec/iTipoRec"),
			"name": of("gDGen/gDatRec/dNombRec"),
			"ruc": of("gDGen/gDatRec/gRucRec/dRuc"),
			"dv": of("gDGen/gDatRec/gRucRec/dDV"),
			"address": of("gDGen/gDatRec/dDirecRec"),
			"foreign_id": of("gDGen/gDatRec/gIdExt/dIdExt"),
			"country": of("gDGen/gDatRec/gIdExt/dPaisExt"),
		},
		"lines": [
			{
				"description": _at(item, "dDescProd"),
				"code": _at(item, "dCodProd"),
				"unit": _at(item, "cUnidad"),
				"quantity": decimal(_at(item, "dCantCodInt")),
				"price": decimal(_at(item, "gPrecios/dPrUnit")),
				"discount": decimal(_at(item, "gPrecios/dPrUnitDesc")),
				"net": decimal(_at(item, "gPrecios/dPrItem")),
				"rate": dgi.ITBMS_RATES.get(_at(item, "gITBMSItem/dTasaITBMS"), ZERO),
				"itbms": decimal(_at(item, "gITBMSItem/dValITBMS")),
				"isc": decimal(_at(item, "gISCItem/dValISC")),
			}
			for item in root.findall(_dgi("gItem"))
		],
		"payments": [
			(_at(part, "iFormaPago"), _at(part, "dFormaPagoDesc"), decimal(_at(part, "dVlrCuota")))
			for part in root.findall(f"{_dgi('gTot')}/{_dgi('gFormaPago')}")
		],
		"terms": [
			(_at(part, "dFecItPlazo"), decimal(_at(part, "dValItPlazo")))
			for part in root.findall(f"{_dgi('gTot')}/{_dgi('gPagPlazo')}")
		],
		"referenced": {
			"cufe": of("gDGen/gDFRef/gDFRefNum/gDFRefFE/dCUFERef"),
			"date": of("gDGen/gDFRef/dFechaDFRef"),
		}
		if of("gDGen/gDFRef/gDFRefNum/gDFRefFE/dCUFERef")
		else {},
	}


def _from_hka(body: dict) -> dict:
	document = body["documento"]
	transaction, totals = document["datosTransaccion"], document["totalesSubTotales"]
	client = transaction["cliente"]
	referenced = (transaction.get("listaDocsFiscalReferenciados") or [{}])[0]
	return {
		"type": transaction["tipoDocumento"],
		"issued_at": transaction["fechaEmision"],
		"emission": transaction["tipoEmision"],
		"contingency": (
			transaction.get("fechaInicioContingencia", ""),
			transaction.get("motivoContingencia", ""),
		),
		"in_balboas": True,
		"receiver": {
			"kind": client["tipoClienteFE"],
			"name": client.get("razonSocial", ""),
			"ruc": client.get("numeroRUC", ""),
			"dv": client.get("digitoVerificadorRUC", ""),
			"address": client.get("direccion", ""),
			"foreign_id": client.get("nroIdentificacionExtranjero", ""),
			"country": client.get("paisExtranjero", ""),
		},
		"lines": [
			{
				"description": item["descripcion"],
				"code": item.get("codigo", ""),
				"unit": item.get("unidadMedida", ""),
				"quantity": decimal(item["cantidad"]),
				"price": decimal(item["precioUnitario"]),
				"discount": decimal(item.get("precioUnitarioDescuento")),
				"net": decimal(item["precioItem"]),
				"rate": dgi.ITBMS_RATES.get(item["tasaITBMS"], ZERO),
				"itbms": decimal(item["valorITBMS"]),
				"isc": decimal(item.get("valorISC")),
			}
			for item in document["listaItems"]
		],
		"payments": [
			(part["formaPagoFact"], part.get("descFormaPago", ""), decimal(part["valorCuotaPagada"]))
			for part in totals.get("listaFormaPago", [])
		],
		"terms": [
			(part["fechaVenceCuota"], decimal(part["valorCuota"]))
			for part in totals.get("listaPagoPlazo", [])
		],
		"referenced": {
			"cufe": referenced["cufeFEReferenciada"],
			"date": referenced["fechaEmisionDocFiscalReferenciado"],
		}
		if referenced.get("cufeFEReferenciada")
		else {},
	}


def _from_facturafacil(body: dict) -> dict:
	document = body["request"]["document"]
	receptor, referred = document["receptor"], document.get("referred") or {}
	foreign = receptor["type"] == dgi.FOREIGNER
	return {
		"type": document["type"],
		"in_balboas": True,
		"receiver": {
			"kind": receptor["type"],
			"name": receptor.get("name", ""),
			"ruc": "" if foreign else receptor.get("ruc", ""),
			"dv": receptor.get("dv", ""),
			"address": receptor.get("address", ""),
			"foreign_id": receptor.get("ruc", "") if foreign else "",
			"country": receptor.get("country", "") if foreign else "",
		},
		"lines": [_facturafacil_line(item) for item in document["items"]],
		"payments": [
			(part["type"], part.get("description", ""), decimal(part["amount"]))
			for part in document.get("payments", [])
		],
		"referenced": {"cufe": referred["fd_number"], "date": referred["fd_date"]} if referred else {},
	}


def _facturafacil_line(item: dict) -> dict:
	quantity, price = decimal(item["quantity"]), decimal(item["price"])
	discount = decimal(item.get("discount"))
	taxes = {tax["type"]: tax for tax in item["taxes"]}
	itbms = taxes.get("01") or {}
	return {
		"description": item["description"],
		"code": item.get("internal_code", ""),
		"unit": item.get("mu", ""),
		"quantity": quantity,
		"price": price,
		"discount": discount,
		"net": quantize(quantity * (price - discount), MICRO),
		"rate": dgi.ITBMS_RATES.get(itbms.get("code"), ZERO),
		"itbms": decimal(itbms.get("amount")),
		"isc": decimal((taxes.get("03") or {}).get("amount")),
	}


def _from_conteo(body: dict) -> dict:
	"""Conteo is told neither a kind of receiver nor how the sale was paid."""
	lines = []
	for item in body["items"]:
		# As 7 or as 0.07 (its parameter ITBMS Rates As); no rate is 1 % or less.
		rate = item["itbms_rate"] / 100 if item["itbms_rate"] > 1 else item["itbms_rate"]
		net = quantize(item["cantidad"] * item["precio_unitario"], MICRO)
		lines.append(
			{
				"description": item["descripcion"],
				"code": "",
				"unit": "",
				"quantity": item["cantidad"],
				"price": item["precio_unitario"],
				"discount": ZERO,
				"net": net,
				"rate": rate,
				"itbms": quantize(net * rate, MICRO),
				"isc": ZERO,
			}
		)
	receptor = body["receptor"]
	return {
		"receiver": {"name": receptor.get("nombre", ""), "ruc": receptor.get("ruc", "")},
		"lines": lines,
		"payments": [],
	}


CAFE_READERS = {"hka": _from_hka, "facturafacil": _from_facturafacil, "conteo": _from_conteo}


def _dgi_time(text: str) -> str:
	try:
		return f"{datetime.fromisoformat(text):%d/%m/%Y %H:%M:%S}"
	except ValueError:
		return text


def _dgi_day(text: str) -> str:
	return _dgi_time(text)[:10]


# -- Austria ---------------------------------------------------------------------------------------------


def fiscal_rksv(doc) -> dict:
	"""An Austrian receipt or invoice, as text: what the BAO wants from the sale, what the RKSV wants from its
	signature (austria.md 3.3). `fiscal` is `fiscal_receipt(doc)`, empty where no cash register has to sign."""
	row = dispatch.find(doc.doctype, doc.name)
	state = _state(doc, row, AUSTRIAN)
	sale = _sale(doc, _german)
	fiscal = _receipt(row) if row and state["valid"] else {}
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
		"customer_address": _lines_of(doc.get("address_display")),
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
	for name, gross in buckets(invoice).items():
		net = quantize(gross / (1 + FRACTIONS[name]))
		found.append((RATES[name], *(_german(sign * amount) for amount in (net, gross - net, gross))))
	return found


# -- text ------------------------------------------------------------------------------------------------


def _money(value: Decimal, least: int = 2, most: int = 2) -> str:
	"""An amount with thousands commas, `least` to `most` decimals."""
	text = f"{value:,.{most}f}"
	if most > least:
		whole, _, decimals = text.partition(".")
		decimals = decimals.rstrip("0").ljust(least, "0")
		text = f"{whole}.{decimals}" if decimals else whole
	return text


def _german(value: Decimal, least: int = 2, most: int = 2) -> str:
	return _money(value, least, most).translate(str.maketrans(",.", ".,"))


def _sum_of(amounts, always: bool = False) -> str:
	total = quantize(sum(amounts, ZERO))
	return _money(total) if total or always else ""


def _percent(rate: Decimal) -> str:
	return f"{plain(rate * 100)} %"


def _named(code: str, names: dict) -> str:
	"""A code of a catalogue with what it means."""
	return f"{code} - {names[code]}" if names.get(code) else str(code)


def _local(moment, zone=None) -> datetime:
	"""A time as Frappe keeps it, with its zone; in `zone` where one is given."""
	moment = get_datetime(moment).replace(tzinfo=ZoneInfo(get_system_timezone()))
	return moment.astimezone(zone) if zone else moment


def _company_name(company: str) -> str:
	return frappe.get_cached_value("Company", company, "company_name") or company


def _lines_of(markup: str | None) -> list[str]:
	"""The lines of an address that ERPNext keeps as HTML."""
	lines = re.split(r"<br\s*/?>|\n", markup or "")
	return [line for line in (strip_html(line).strip() for line in lines) if line]


def _kept_xml(row):
	"""The root of the XML that was fetched from the provider and kept; None where there is none."""
	name = row.get("xml") and frappe.db.get_value(
		"File", {"file_url": row.xml, "attached_to_name": row.reference_name}
	)
	return parse(frappe.get_doc("File", name).get_content()) if name else None
