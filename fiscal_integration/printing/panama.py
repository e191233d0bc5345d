"""The CAFE of an electronic invoice: Jinja's `fiscal_cafe(doc)`."""

import json
from datetime import datetime
from decimal import Decimal

from fiscal_integration import dispatch
from fiscal_integration.fiscal.money import MICRO, ZERO, decimal, quantize
from fiscal_integration.fiscal.panama import cufe, rfe
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.xml import parse
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
	state_of,
	sum_of,
)
from fiscal_integration.providers.base import TEST

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
	view = {"state": state_of(doc, row, PANAMANIAN), "sale": sale_of(doc, figure)}
	if not view["state"]["valid"]:
		return view
	root = _rfe_of(row)
	reader = _from_rfe if root is not None else CAFE_READERS.get(row.provider)
	if not reader:
		return refused(view, PANAMANIAN, "imprima el PDF del proveedor")
	found = reader(
		root if root is not None else json.loads(row.payload, parse_float=Decimal, parse_int=Decimal)
	)
	code = cufe.parts(row.fiscal_id)
	lines = found["lines"]
	environment = code.get("environment") or (
		rfe.TEST_CODE if row.environment == TEST else rfe.PRODUCTION_CODE
	)
	issued_at = found.get("issued_at") or (
		local_time(row.issued_at, dgi.ZONE).isoformat() if row.issued_at else ""
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
			"authorized_at": f"{local_time(row.authorized_at, dgi.ZONE):%d/%m/%Y %H:%M:%S}"
			if row.authorized_at
			else "",
			"contingency": _contingency(found, code),
			"issuer": {
				"name": company_name(doc.company),
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
			"net": sum_of((line["net"] for line in lines), always=True),
			"itbms": sum_of((line["itbms"] for line in lines), always=True),
			"isc": sum_of(line["isc"] for line in lines),
			"total": figure(total),
			"currency": "B/." if doc.currency in dgi.CURRENCIES or found.get("in_balboas") else doc.currency,
			"payments": [
				(text or DGI_PAYMENTS.get(kind, kind), figure(amount))
				for kind, text, amount in found["payments"]
			],
			"change": figure(received - total) if received > total else "",
			"terms": [(_dgi_day(due), figure(amount)) for due, amount in found.get("terms", [])],
			"referenced": found.get("referenced") or {},
			"consult": _consultation(environment),
			"qr": row.qr_image,
		}
	)
	if view["referenced"]:
		view["referenced"]["date"] = _dgi_day(view["referenced"].get("date", ""))
	return view


def _consultation(environment: str) -> str:
	"""Where anybody looks a document up by its CUFE (authorities/panama.md#qr)."""
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
		"quantity": figure(line["quantity"], 0, 6),
		"price": figure(line["price"], 2, 6),
		"discount": figure(line["discount"], 2, 6) if line["discount"] else "",
		"net": figure(quantize(line["net"])),
		"rate": percent(line["rate"]),
		"itbms": figure(quantize(line["itbms"])),
		"isc": figure(quantize(line["isc"])) if line["isc"] else "",
		"total": figure(quantize(line["net"] + line["itbms"] + line["isc"])),
	}


def _by_rate(lines) -> list[tuple[str, str, str]]:
	"""ITBMS by rate: the rate, its base and its amount. 0 % is what is exempt.

	See authorities/panama.md#the-document.
	"""
	sums: dict[Decimal, list[Decimal]] = {}
	for line in lines:
		entry = sums.setdefault(line["rate"], [ZERO, ZERO])
		entry[0] += line["net"]
		entry[1] += line["itbms"]
	return [
		(percent(rate) if rate else "Exento", figure(quantize(base)), figure(quantize(amount)))
		for rate, (base, amount) in sorted(sums.items())
	]


def _rfe_of(row):
	"""The rFE that was signed here, or that is kept from the provider; None where we hold none."""
	signed = (row.payload or "").lstrip().startswith("<")
	root = parse(row.payload) if signed else kept_xml(row)
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
