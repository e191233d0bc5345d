"""The printed representation of a CFDI, of a sale, a payment or a global invoice: Jinja's `fiscal_cfdi(doc)`."""

import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import getdate

from fiscal_integration import audit, claims, connection, dispatch, payments
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.mexico import catalogs
from fiscal_integration.fiscal.mexico.totals import EXEMPT, QUOTA
from fiscal_integration.fiscal.money import ZERO, decimal, quantize
from fiscal_integration.printing.common import (
	SPANISH,
	Words,
	company_name,
	figure,
	kept_xml,
	local_time,
	percent,
	refused,
	sale_of,
	stamps_of,
	state_of,
	sum_of,
)
from fiscal_integration.providers.facturapi import PAYMENT_TYPE, concepts_of

ANSWERS = 20
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
OF_PAYMENT = replace(
	MEXICAN, sale_cancelled="PAGO CANCELADO", states={**SPANISH, lifecycle.WITHDRAWN: "retirado"}
)
OF_GLOBAL = replace(
	MEXICAN,
	sale_cancelled="FACTURA GLOBAL CANCELADA",
	states={**SPANISH, lifecycle.WITHDRAWN: "retirado, la factura global fue cancelada"},
)

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
_MONTHS = (
	"Enero Febrero Marzo Abril Mayo Junio Julio Agosto Septiembre Octubre Noviembre Diciembre Enero-Febrero "
	"Marzo-Abril Mayo-Junio Julio-Agosto Septiembre-Octubre Noviembre-Diciembre"
)
MONTHS = {f"{number:02d}": name for number, name in enumerate(_MONTHS.split(), 1)}
TAX_OBJECTS = {"01": "No objeto de impuesto", "02": "Sí objeto de impuesto"}
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
"""Catalogues of SAT as the OpenAPI of Facturapi prints them (authorities/mexico.md#catalogues)."""


def fiscal_cfdi(doc) -> dict:
	"""The printed representation of the document's CFDI, as text.

	`state` says what the paper is, `sale` what ERPNext has; the rest is there only where `state.valid`. With
	`is_payment` there is a `payment` in place of lines and totals.
	"""
	row = dispatch.find(doc.doctype, doc.name)
	words, plain = PAPERS.get(doc.doctype, (MEXICAN, sale_of))
	view = {"state": state_of(doc, row, words), "sale": plain(doc, figure)}
	if not view["state"]["valid"]:
		return view
	if row.provider != "facturapi":
		return refused(view, words, "imprima el PDF del proveedor")
	body = json.loads(row.payload, parse_float=Decimal, parse_int=Decimal)
	view.update(_cfdi_head(doc, row, body))
	view.update(_cfdi_payment(row, body) if view["is_payment"] else _cfdi_sale(row, body))
	return view


def _cfdi_head(doc, row, body: dict) -> dict:
	"""What every CFDI says: what it is, from whom and to whom, and its seals."""
	stamps, answer, original = stamps_of(row), _answer(row), _cfdi_attributes(row)
	told = parse_qs(urlsplit(row.qr_value or "").query)
	zone = _zone(doc, body)
	issuer, customer = answer.get("issuer_info") or {}, body["customer"]
	place = (answer.get("address") or issuer.get("address") or {}).get("zip")
	kind = body["type"]
	receiver_rfc = told.get("rr", [customer.get("tax_id", "")])[0]
	if "date" in body:
		issued_at = body["date"][:19]
	else:
		issued_at = original.get("Fecha") or (
			f"{local_time(row.issued_at, zone):%Y-%m-%dT%H:%M:%S}" if row.issued_at else ""
		)
	return {
		"type": f"{kind} - {CFDI_TYPES.get(kind, '')}",
		"is_credit_note": kind == "E",
		"is_payment": kind == PAYMENT_TYPE,
		"series": stamps.get("series", ""),
		"folio": stamps.get("folio_number", ""),
		"uuid": row.fiscal_id,
		"issued_at": issued_at,
		"stamped_at": _instant(stamps.get("stamp_date"), zone) or original.get("FechaTimbrado", ""),
		"place": original.get("LugarExpedicion") or place or "",
		"certificate": original.get("NoCertificado", ""),
		"sat_certificate": stamps.get("sat_certificate_number") or original.get("NoCertificadoSAT", ""),
		"pac": stamps.get("provider_rfc") or original.get("RfcProvCertif", ""),
		"seal": stamps.get("signature") or original.get("SelloCFD", ""),
		"sat_seal": stamps.get("sat_signature") or original.get("SelloSAT", ""),
		"complement": stamps.get("complement_string", ""),
		"issuer": {
			"name": original.get("Nombre") or issuer.get("legal_name") or company_name(doc.company),
			"rfc": original.get("Rfc") or issuer.get("tax_id") or told.get("re", [""])[0],
			"regime": _named(original.get("RegimenFiscal") or issuer.get("tax_system") or "", REGIME_NAMES),
		},
		"receiver": {
			"name": customer["legal_name"],
			"rfc": receiver_rfc,
			"foreign_id": customer.get("tax_id", "") if customer.get("tax_id") != receiver_rfc else "",
			"zip": customer["address"].get("zip", ""),
			"country": customer["address"].get("country", ""),
			"regime": _named(customer["tax_system"], REGIME_NAMES),
			# A payment has one use only, which Facturapi enters itself.
			"use": _named(body.get("use") or catalogs.PAYMENTS, USE_NAMES),
		},
		"relations": [
			(_named(entry["relationship"], RELATIONS), entry["documents"])
			for entry in body.get("related_documents") or []
		],
		"qr": row.qr_image,
	}


def _zone(doc, body: dict):
	"""The issuer's zone as the request has it. A payment's tells only the day of the payment, on which another
	summer time may have held than when it was told: there the settings come first."""
	if "date" in body:
		return datetime.fromisoformat(body["date"]).tzinfo
	found = connection.for_company(doc.company, secrets=False)
	name = found.parameters.get("time_zone") if found else ""
	return ZoneInfo(name) if name else datetime.fromisoformat(_paid(body)["date"]).tzinfo


# -- sales and global invoices ---------------------------------------------------------------------------


def _cfdi_sale(row, body: dict) -> dict:
	lines = [_cfdi_line(item) for item in body["items"]]
	method = body.get("payment_method") or "PUE"
	currency, over = body["currency"], body.get("global")
	return {
		"lines": lines,
		"subtotal": figure(quantize(sum((line["gross"] for line in lines), ZERO))),
		"discount": sum_of(line["cut"] for line in lines),
		"taxes": _cfdi_taxes(lines),
		"total": figure(decimal(row.provider_total or row.total)),
		"currency": currency,
		"exchange": figure(decimal(body["exchange"]), 2, 6) if currency != "MXN" else "",
		"payment_form": _named(body["payment_form"], catalogs.PAYMENT_FORMS),
		"payment_method": _named(method, PAYMENT_METHODS),
		"global": {
			"periodicity": PERIODS.get(over["periodicity"], over["periodicity"]),
			"months": _named(over["months"], MONTHS),
			"year": str(over["year"]),
		}
		if over
		else {},
	}


def _cfdi_line(item: dict) -> dict:
	"""One concept with its taxes, as they were told."""
	product = item["product"]
	quantity, price, cut = item["quantity"], product["price"], item.get("discount", ZERO)
	(concept,) = concepts_of({"items": [item]})
	entries = [*product["taxes"], *product.get("local_taxes", [])]
	taxes = [
		{
			"name": _tax_name(entry),
			"withheld": tax.withheld,
			"exempt": tax.factor == EXEMPT,
			"amount": amount,
		}
		for entry, (tax, _base, amount) in zip(entries, concept.taxed(), strict=True)
	]
	gross = concept.amount
	return {
		"key": product["product_key"],
		"unit_key": product["unit_key"],
		"unit": product.get("unit_name", ""),
		"code": product.get("sku", ""),
		"description": product["description"],
		"object": TAX_OBJECTS["01"] if product["taxability"] == "01" else "",
		"quantity": figure(quantity, 0, 6),
		"price": figure(price, 2, 6),
		"discount": figure(cut) if cut else "",
		"amount": figure(quantize(gross)),
		"gross": gross,
		"cut": cut,
		"taxes": taxes,
		"told": [(tax["name"], "" if tax["exempt"] else figure(quantize(tax["amount"]))) for tax in taxes],
	}


def _cfdi_taxes(lines) -> list[tuple[str, str]]:
	"""Each tax of the document with its sum; what is withheld is negative."""
	sums: dict[str, Decimal] = {}
	for line in lines:
		for tax in line["taxes"]:
			if not tax["exempt"]:
				amount = -tax["amount"] if tax["withheld"] else tax["amount"]
				sums[tax["name"]] = sums.get(tax["name"], ZERO) + amount
	return [(name, figure(quantize(amount))) for name, amount in sums.items()]


def _tax_name(tax: dict) -> str:
	rate = {EXEMPT: "Exento", QUOTA: f"cuota {figure(tax['rate'], 2, 6)}"}.get(tax.get("factor"))
	name = f"{tax['type']} {rate or percent(tax['rate'])}"
	return f"Ret. {name}" if tax["withholding"] else name


def _plain_global(doc, money) -> dict:
	"""A global invoice as ERPNext has it: see `sale_of`."""
	return {
		"label": "Factura global",
		"company": doc.company,
		"number": doc.name,
		"date": f"{getdate(doc.posting_date or doc.to_date):%d/%m/%Y}",
		"customer": catalogs.PUBLIC_GENERAL_NAME,
		"lines": [_plain_line(sale.reference_name, sale.total, money) for sale in doc.sales],
		"taxes": [],
		"discount": "",
		"total": money(decimal(doc.grand_total)),
		"currency": doc.currency,
	}


def _plain_line(description: str, amount, money) -> dict:
	return {"description": description, "quantity": "", "price": "", "amount": money(decimal(amount))}


# -- payments --------------------------------------------------------------------------------------------


def _paid(body: dict) -> dict:
	"""The payment in the request of a payment complement, which is always one."""
	return body["complements"][0]["data"][0]


def _cfdi_payment(row, body: dict) -> dict:
	payment = _paid(body)
	currency, exchange = payment["currency"], payment["exchange"]
	amount = decimal(row.provider_total or row.total)
	sales = {entry.fiscal_id: entry.invoice_document for entry in row.settlements}
	return {
		"payment": {
			"date": payment["date"][:19],
			"form": _named(payment["payment_form"], catalogs.PAYMENT_FORMS),
			"operation": payment.get("numOperacion", ""),
			"currency": currency,
			"exchange": figure(exchange, 0, 6),
			"amount": figure(amount),
			"in_pesos": figure(quantize(amount * exchange)) if currency != "MXN" else "",
			"settled": [
				_cfdi_settled(entry, sales.get(entry["uuid"])) for entry in payment["related_documents"]
			],
			"taxes": _payment_taxes(payment["related_documents"]),
		}
	}


def _cfdi_settled(entry: dict, sale: str | None) -> dict:
	"""One sale of those that a payment settles. Series and folio are those of its own document."""
	stamps = stamps_of(frappe.get_doc(dispatch.DOCTYPE, sale)) if sale else {}
	return {
		"uuid": entry["uuid"],
		"series": stamps.get("series", ""),
		"folio": stamps.get("folio_number", ""),
		"currency": entry["currency"],
		"equivalence": figure(_equivalence(entry), 0, 10),
		"installment": str(entry["installment"]),
		"before": figure(entry["last_balance"]),
		"amount": figure(entry["amount"]),
		"after": figure(entry["last_balance"] - entry["amount"]),
		# Facturapi derives it from the taxes in this way (providers/facturapi.md#requests).
		"object": _named("02" if entry["taxes"] else "01", TAX_OBJECTS),
		"taxes": [
			(
				_tax_name(tax),
				figure(tax["base"]),
				"" if tax["factor"] == "Exento" else figure(quantize(tax["base"] * tax["rate"])),
			)
			for tax in entry["taxes"]
		],
	}


def _equivalence(entry: dict) -> Decimal:
	"""Units of the sale's currency for one of the payment's."""
	return entry.get("exchange", Decimal(1))


def _payment_taxes(settled) -> list[tuple[str, str, str]]:
	"""Each tax of the payment with its base and amount, in the payment's currency. What is exempt has no amount."""
	sums: dict[tuple[str, bool], list[Decimal]] = {}
	for entry in settled:
		for tax in entry["taxes"]:
			base = tax["base"] / _equivalence(entry)
			found = sums.setdefault((_tax_name(tax), tax["factor"] == "Exento"), [ZERO, ZERO])
			found[0] += base
			found[1] += base * tax["rate"]
	return [
		(name, figure(quantize(base)), "" if exempt else figure(quantize(amount)))
		for (name, exempt), (base, amount) in sums.items()
	]


def _plain_payment(doc, money) -> dict:
	"""A payment as ERPNext has it: see `sale_of`."""
	return {
		"label": "Pago",
		"company": doc.company,
		"number": doc.name,
		"date": f"{getdate(doc.posting_date):%d/%m/%Y}",
		"customer": doc.get("party_name") or doc.get("party") or "",
		"lines": [
			_plain_line(reference.reference_name, reference.allocated_amount, money)
			for reference in doc.references
		],
		"taxes": [],
		"discount": "",
		"total": money(decimal(doc.paid_amount)),
		"currency": doc.get("paid_from_account_currency") or "",
	}


PAPERS = {
	payments.DOCTYPE: (OF_PAYMENT, _plain_payment),
	claims.DOCTYPE: (OF_GLOBAL, _plain_global),
}
"""What they say of themselves and what is shown of those without a CFDI, where they are not sales."""


# -- where it comes from ---------------------------------------------------------------------------------


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
	root = kept_xml(row)
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


def _named(code: str, names: dict) -> str:
	"""A code of a catalogue with what it means."""
	return f"{code} - {names[code]}" if names.get(code) else str(code)
