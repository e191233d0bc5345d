"""The DGI's XML of a fiscal document, the rFE: writes it for signing and reads it.

See authorities/panama.md#the-document.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from xml.sax.saxutils import escape

from lxml import etree

from fiscal_integration.fiscal.money import CENT, MICRO, decimal, quantize
from fiscal_integration.fiscal.panama import cufe
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.xml import clean, parse

NAMESPACE = "http://dgi-fep.mef.gob.pa"
REFERENCE_NOTE = "Ref. "
"""What the issuer's note (dInfEmFE) begins with when it tells our reference."""


@dataclass(frozen=True)
class Summary:
	"""What identifies an rFE: CUFE, type, receiver's RUC or foreign number, total, and our reference if noted."""

	cufe: str
	document_type: str
	receiver: str
	total: Decimal
	qr_value: str = ""
	reference: str = ""


def summary(content: bytes | str) -> Summary | None:
	"""The summary of the rFE in `content`, which may stand in a container (rContFe); None when there is none."""
	root = parse(content)
	if root is None:
		return None
	name = f"{{{NAMESPACE}}}rFE"
	document = root if root.tag == name else root.find(f".//{name}")
	if document is None:
		return None

	def text(path: str) -> str:
		found = document.find("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
		return (found.text or "").strip() if found is not None else ""

	try:
		total = quantize(decimal(text("gTot/dVTot") or None))
	except ValueError:
		return None
	if not text("dId") or not text("gTot/dVTot"):
		return None
	note = text("gDGen/dInfEmFE")
	return Summary(
		cufe=text("dId"),
		document_type=text("gDGen/iDoc"),
		receiver=text("gDGen/gDatRec/gRucRec/dRuc") or text("gDGen/gDatRec/gIdExt/dIdExt"),
		total=total,
		qr_value=text("gNoFirm/dQRCode"),
		reference=note.removeprefix(REFERENCE_NOTE) if note.startswith(REFERENCE_NOTE) else "",
	)


VERSION = "1.00"
TEST_ISSUER = "FE generada en ambiente de pruebas - sin valor comercial ni fiscal"
"""What the issuer has to be called in the test environment (5.4)."""
PRODUCTION_CODE, TEST_CODE = "1", "2"
QR_ADDRESSES = {
	PRODUCTION_CODE: "https://dgi-fep.mef.gob.pa/Consultas/FacturasPorQR",
	TEST_CODE: "https://dgi-fep-test.mef.gob.pa:40001/Consultas/FacturasPorQR",
}
NORMAL, CONTINGENCY, LATER, LATER_CONTINGENCY = "01", "02", "03", "04"
CONTINGENCIES = (CONTINGENCY, LATER_CONTINGENCY)
OWN_SYSTEM = "1"


@dataclass(frozen=True)
class Issuer:
	"""The taxpayer who issues, as gEmis has it. `location` is the code of the place, such as 8-8-7."""

	name: str
	ruc: str
	taxpayer_type: int
	dv: str
	coordinates: str
	address: str
	location: str
	corregimiento: str
	district: str
	province: str
	phone: str
	email: str = ""


@dataclass(frozen=True)
class Emission:
	"""How it is issued: environment (1 production, 2 test), kind of emission, and why under contingency."""

	environment: str
	kind: str = NORMAL
	since: datetime | None = None
	reason: str = ""


def security_code(key: str) -> str:
	"""dSeg: nine digits that nobody guesses, and the same whenever the same document is built."""
	return f"{int(hashlib.sha256(f'dSeg|{key}'.encode()).hexdigest(), 16) % 10**9:09d}"


def code_of(document: dgi.Document, issuer: Issuer, emission: Emission, security: str) -> str:
	"""The CUFE of a document; its date and dFechaEm come from the same value (5.1)."""
	place = document.coordinates
	return cufe.compose(
		document.type,
		issuer.taxpayer_type,
		issuer.ruc,
		issuer.dv,
		place.branch,
		document.issued_at.strftime("%Y%m%d"),
		str(place.number),
		place.point,
		emission.kind,
		int(emission.environment),
		security,
	)


def tree(
	document: dgi.Document, issuer: Issuer, emission: Emission, security: str, code: str, note: str = ""
) -> list[tuple]:
	"""The rFE without its signature: (name, text) or (name, list of the same), in the order of 5.4."""
	return [
		("dVerForm", VERSION),
		("dId", code),
		("gDGen", _general(document, issuer, emission, security, note)),
		*(("gItem", _item(index, item)) for index, item in enumerate(document.items, 1)),
		("gTot", _totals(document)),
	]


def element(entries: list[tuple]):
	"""The tree as an XML element, without what is blank."""
	return etree.fromstring(f'<rFE xmlns="{NAMESPACE}">{_written(entries)}</rFE>')


def with_qr(root, value: str):
	"""`root` with the address of its QR code, outside what is signed (5.3)."""
	holder = etree.SubElement(root, f"{{{NAMESPACE}}}gNoFirm")
	etree.SubElement(holder, f"{{{NAMESPACE}}}dQRCode").text = etree.CDATA(value)
	return root


def text(root) -> str:
	"""The document as it is kept, sent and handed out."""
	return '<?xml version="1.0" encoding="UTF-8"?>' + etree.tostring(root, encoding="unicode")


def qr_value(code: str, environment: str, digest: str) -> str:
	"""The address to look a document up at. The authority's token (jwt) is the PAC's to add."""
	return f"{QR_ADDRESSES[environment]}?chFE={code}&iAmb={environment}&digestValue={digest}"


def _written(entries) -> str:
	parts = []
	for name, value in entries:
		inner = _written(value) if isinstance(value, list) else escape(clean(value)) if value else ""
		if inner:
			parts.append(f"<{name}>{inner}</{name}>")
	return "".join(parts)


def _time(value: datetime) -> str:
	return value.astimezone(dgi.ZONE).replace(microsecond=0).isoformat()


def _exact(value: Decimal) -> str:
	text = format(value.quantize(MICRO), "f").rstrip("0")
	return text + "0" * (text.index(".") + 3 - len(text))


def _cents(value: Decimal) -> str:
	return str(value.quantize(CENT))


def _general(document, issuer, emission, security, note):
	receiver, place = document.receiver, document.coordinates
	contingent = emission.kind in CONTINGENCIES
	export, referenced = document.export, document.referenced
	rate = document.exchange_rate
	foreign = export and document.currency not in dgi.CURRENCIES
	return [
		("iAmb", emission.environment),
		("iTpEmis", emission.kind),
		("dFechaCont", _time(emission.since) if contingent and emission.since else ""),
		("dMotCont", emission.reason[:250] if contingent else ""),
		("iDoc", document.type),
		("dNroDF", f"{place.number:010d}"),
		("dPtoFacDF", place.point),
		("dSeg", security),
		("dFechaEm", _time(document.issued_at)),
		("iNatOp", "02" if document.type == dgi.EXPORT else "01"),
		("iTipoOp", "1"),
		("iDest", "2" if document.destination_abroad else "1"),
		("iFormCAFE", "2" if document.printed_on_tape else "3"),
		("iEntCAFE", "3" if receiver.email else "2"),
		("dEnvFE", "1"),
		("iProGen", OWN_SYSTEM),
		("iTipoTranVenta", "" if document.is_note else "1"),
		("dInfEmFE", note),
		(
			"gEmis",
			[
				(
					"gRucEmi",
					[("dTipoRuc", str(issuer.taxpayer_type)), ("dRuc", issuer.ruc), ("dDV", issuer.dv)],
				),
				("dNombEm", TEST_ISSUER if emission.environment == TEST_CODE else issuer.name),
				("dSucEm", place.branch),
				("dCoordEm", issuer.coordinates),
				("dDirecEm", issuer.address),
				(
					"gUbiEm",
					[
						("dCodUbi", issuer.location),
						("dCorreg", issuer.corregimiento),
						("dDistr", issuer.district),
						("dProv", issuer.province),
					],
				),
				("dTfnEm", issuer.phone),
				("dCorElectEmi", issuer.email),
			],
		),
		(
			"gDatRec",
			[
				("iTipoRec", receiver.kind),
				(
					"gRucRec",
					[
						("dTipoRuc", str(receiver.taxpayer_type)),
						("dRuc", receiver.ruc),
						("dDV", receiver.dv),
					]
					if receiver.ruc
					else [],
				),
				("dNombRec", receiver.name),
				("dDirecRec", receiver.address if len(receiver.address) >= 5 else ""),
				(
					"gUbiRec",
					[
						("dCodUbi", receiver.location),
						("dCorreg", receiver.corregimiento),
						("dDistr", receiver.district),
						("dProv", receiver.province),
					],
				),
				(
					"gIdExt",
					[("dIdExt", receiver.foreign_id), ("dPaisExt", receiver.foreign_country)]
					if receiver.foreign_id
					else [],
				),
				("dTfnRec", receiver.phone),
				("dCorElectRec", receiver.email),
				("cPaisRec", receiver.country),
			],
		),
		(
			"gFExp",
			[
				("cCondEntr", export.incoterm[:3]),
				("cMoneda", document.currency),
				("dCambio", _exact(quantize(1 / rate, MICRO)) if foreign else ""),
				("dVTotEst", _cents(quantize(document.totals.invoice / rate)) if foreign else ""),
				("dPuertoEmbarq", export.place[:50]),
			]
			if export
			else [],
		),
		(
			"gDFRef",
			[
				(
					"gRucEmDFRef",
					[
						("dTipoRuc", str(referenced.taxpayer_type)),
						("dRuc", referenced.ruc),
						("dDV", referenced.dv),
					],
				),
				("dNombEmRef", TEST_ISSUER if emission.environment == TEST_CODE else referenced.name),
				("dFechaDFRef", _time(referenced.issued_at)),
				("gDFRefNum", [("gDFRefFE", [("dCUFERef", referenced.cufe)])]),
			]
			if referenced
			else [],
		),
	]


def _item(index: int, item: dgi.Item):
	return [
		("dSecItem", f"{index:03d}"),
		("dDescProd", item.description),
		("dCodProd", item.code),
		("cUnidad", item.unit),
		("dCantCodInt", _exact(item.quantity)),
		("dCodCPBSabr", item.cpbs[:2]),
		("dCodCPBScmp", item.cpbs),
		("cUnidadCPBS", item.unit if item.cpbs else ""),
		(
			"gPrecios",
			[
				("dPrUnit", _exact(item.unit_price)),
				("dPrUnitDesc", _exact(item.unit_discount) if item.unit_discount else ""),
				("dPrItem", _exact(item.net)),
				("dValTotItem", _exact(item.total)),
			],
		),
		("gITBMSItem", [("dTasaITBMS", item.itbms_code), ("dValITBMS", _exact(item.itbms))]),
		(
			"gISCItem",
			[("dTasaISC", _exact(item.isc_rate)), ("dValISC", _exact(item.isc))] if item.isc_rate else [],
		),
	]


def _totals(document: dgi.Document):
	totals = document.totals
	return [
		("dTotNeto", _cents(totals.net)),
		("dTotITBMS", _cents(totals.itbms)),
		("dTotISC", _cents(totals.isc) if totals.isc else ""),
		("dTotGravado", _cents(totals.taxed)),
		("dTotDesc", _cents(totals.discount) if totals.discount else ""),
		("dVTot", _cents(totals.invoice)),
		("dTotRec", _cents(totals.received)),
		("dVuelto", _cents(totals.change) if totals.change > 0 else ""),
		("iPzPag", document.when_paid),
		("dNroItems", str(len(document.items))),
		("dVTotItems", _cents(totals.items)),
		(
			"gDescBonif",
			[("dDetalDesc", dgi.ROUNDING_DISCOUNT), ("dValDesc", _cents(totals.discount))]
			if totals.discount
			else [],
		),
		*(
			(
				"gFormaPago",
				[
					("iFormaPago", part.code),
					("dFormaPagoDesc", part.description),
					("dVlrCuota", _cents(part.amount)),
				],
			)
			for part in document.payments
		),
		(
			"gRetenc",
			[("cCodRetenc", document.retention.code), ("cValRetenc", _cents(document.retention.amount))]
			if document.retention
			else [],
		),
		*(
			(
				"gPagPlazo",
				[
					("dSecItem", str(index)),
					(
						"dFecItPlazo",
						_time(datetime(part.due.year, part.due.month, part.due.day, tzinfo=dgi.ZONE)),
					),
					("dValItPlazo", _cents(part.amount)),
				],
			)
			for index, part in enumerate(document.installments, 1)
		),
	]
