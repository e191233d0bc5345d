"""The DGI's side of every Panamanian emulator: the ledger of documents, their rules, XML and CAFE.

The rules are those of authorities/panama.md, computed here anew and not with the app's own code, so that both
readings are compared in every test.
"""

import base64
import csv
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from lxml import etree

from fiscal_integration.sandbox import dgi_numbers
from fiscal_integration.sandbox.pdf import Page

ZONE = ZoneInfo("America/Panama")
NAMESPACE = "http://dgi-fep.mef.gob.pa"
ISSUER = {"ruc": "155596713-2-2015", "dv": "59", "type": 2}
ISSUER_NAME = "FE generada en ambiente de pruebas - sin valor comercial ni fiscal"
QR_HOSTS = {
	"1": "https://dgi-fep.mef.gob.pa/Consultas/FacturasPorQR",
	"2": "https://dgi-fep-test.mef.gob.pa:40001/Consultas/FacturasPorQR",
}
QR_SECRET = b"the sandbox's own, as the DGI's is not known"
RATES = {"00": Decimal(0), "01": Decimal("0.07"), "02": Decimal("0.10"), "03": Decimal("0.15")}
ISC_RATES = tuple(Decimal(rate) for rate in ("0", "0.035", "0.05", "0.06", "0.1325", "0.325"))
RETENTIONS = ("1", "2", "3", "4", "7", "8")
PLACES = Path(__file__).parent.parent / "fiscal" / "panama" / "locations.csv"
PAYMENTS = {*(f"{number:02d}" for number in range(1, 11)), "99"}
HALF_CENT = Decimal("0.005")
CANCEL_HOURS = 182


class Refusal(Exception):
	"""The authority refuses the document.

	`code` is one of authorities/panama.md#result-codes, or the emulator's "rule".
	"""

	def __init__(self, message: str, code: str = "rule", where: str = ""):
		super().__init__(message)
		self.code, self.where = code, where


def amount(value, name: str) -> Decimal:
	try:
		found = Decimal(str(value))
	except InvalidOperation:
		raise Refusal(f"{name} no es un monto: {value!r}", "0100", name) from None
	if not found.is_finite():
		raise Refusal(f"{name} no es un monto", "0100", name)
	if -found.as_tuple().exponent > 6 or abs(found) >= 10**11:
		raise Refusal(f"{name} excede 11 enteros o 6 decimales", "0100", name)
	return found


def close(left: Decimal, right: Decimal, tolerance=HALF_CENT) -> bool:
	return abs(left - right) <= tolerance


def cents(value: Decimal) -> Decimal:
	return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


@dataclass
class Line:
	description: str
	quantity: Decimal
	price: Decimal
	discount: Decimal
	itbms_code: str
	itbms: Decimal
	isc: Decimal = Decimal(0)
	net: Decimal | None = None
	total: Decimal | None = None
	cpbs: str = ""
	isc_rate: Decimal | None = None

	def check(self, where: str):
		if not 2 <= len(self.description) <= 500:
			raise Refusal(f"{where}: la descripción debe tener de 2 a 500 caracteres", "0100", where)
		if self.quantity <= 0 or self.price < 0 or not 0 <= self.discount <= self.price:
			raise Refusal(f"{where}: cantidad, precio o descuento fuera de rango", "0100", where)
		if self.itbms_code not in RATES:
			raise Refusal(f"{where}: tasaITBMS {self.itbms_code!r} no existe", "0100", where)
		net = self.quantity * (self.price - self.discount)
		self.net = net if self.net is None else self.net
		if not close(self.net, net):
			raise Refusal(f"{where}: precioItem debe ser {net}", where=where)
		if not close(self.itbms, self.net * RATES[self.itbms_code]):
			raise Refusal(f"{where}: valorITBMS debe ser {self.net * RATES[self.itbms_code]}", where=where)
		if self.isc_rate is not None and (
			self.isc_rate not in ISC_RATES or not close(self.isc, self.net * self.isc_rate)
		):
			raise Refusal(
				f"{where}: tasaISC {self.isc_rate} no existe o valorISC no corresponde", "0100", where
			)
		total = self.net + self.itbms + self.isc
		self.total = total if self.total is None else self.total
		if not close(self.total, total):
			raise Refusal(f"{where}: valorTotal debe ser {total}", where=where)


@dataclass
class Sent:
	"""A document as the DGI sees it, whichever provider it came through."""

	type: str
	branch: str
	point: str
	number: str
	emission: str
	issued_at: datetime
	environment: str
	receiver: dict
	lines: list[Line]
	payments: list[tuple[str, Decimal]]
	total: Decimal
	referenced: str = ""
	export: bool = False
	note: str = ""
	code: str = ""
	discount: Decimal = Decimal(0)
	retention: tuple[str, Decimal] | None = None
	referenced_issuer: str = ""
	extra: dict = field(default_factory=dict)


class Dgi:
	"""The ledger of one emulator."""

	def __init__(self, clock):
		self.clock = clock
		self.documents: dict[str, dict] = {}

	# -- issuing -----------------------------------------------------------------------------------------

	def register(self, sent: Sent) -> dict:
		"""Take a document, or raise Refusal; returns its entry in the ledger."""
		self._check(sent)
		coordinates = (sent.environment, sent.branch, sent.point, sent.number)
		for entry in self.documents.values():
			if tuple(entry["coordinates"]) == coordinates:
				if entry["type"] == sent.type:
					raise Refusal("Documento duplicado", "1002")
				raise Refusal("Número del documento fiscal duplicado", "1513")
		moment = sent.issued_at.astimezone(ZONE)
		code = sent.code or dgi_numbers.cufe(
			document=sent.type,
			taxpayer_type=ISSUER["type"],
			ruc=ISSUER["ruc"],
			dv=ISSUER["dv"],
			branch=sent.branch,
			date=moment.strftime("%Y%m%d"),
			number=sent.number,
			point=sent.point,
			emission=sent.emission,
			environment=sent.environment,
			security=secrets.randbelow(10**9),
		)
		now = self.clock.now().astimezone(ZONE).replace(microsecond=0)
		entry = {
			"cufe": code,
			"reference": sent.note.removeprefix("Ref. "),
			"type": sent.type,
			"coordinates": list(coordinates),
			"status": "valid",
			"total": str(cents(sent.total)),
			"issued_at": moment.isoformat(),
			"received_at": now.isoformat(),
			"protocol": f"{now.year}0000{len(self.documents) + 1:012d}",
			"receiver": sent.receiver,
			"receiver_id": sent.receiver.get("ruc") or sent.receiver.get("foreign_id") or "",
			"lines": [[line.description, str(line.quantity), str(line.total)] for line in sent.lines],
			"referenced": sent.referenced,
			**sent.extra,
		}
		xml = self._xml(sent, entry)
		entry["digest"] = base64.b64encode(hashlib.sha256(xml.encode()).digest()).decode()
		entry["qr"] = qr_value(code, sent.environment, entry["digest"])
		entry["xml"] = xml.replace(
			"</rFE>", f"<gNoFirm><dQRCode>{_escaped(entry['qr'])}</dQRCode></gNoFirm></rFE>"
		)
		self.documents[code] = entry
		return entry

	def _check(self, sent: Sent):
		if sent.type not in {f"{number:02d}" for number in range(1, 11)}:
			raise Refusal(f"Tipo de documento {sent.type!r} no existe", "0100", "tipoDocumento")
		if not (sent.number.isdigit() and len(sent.number) <= 10 and int(sent.number)):
			raise Refusal("El número del documento debe ir de 0000000001 a 9999999999", "0100", "numero")
		sent.number = sent.number.zfill(10)
		if not (sent.point.isdigit() and len(sent.point) == 3 and int(sent.point)):
			raise Refusal("El punto de facturación va de 001 a 999", "0100", "punto")
		if not (sent.branch.isalnum() and len(sent.branch) == 4):
			raise Refusal("El código de sucursal tiene 4 caracteres", "0100", "sucursal")
		if sent.issued_at - self.clock.now() > timedelta(minutes=10):
			raise Refusal("La fecha de emisión está en el futuro", "0100", "fechaEmision")
		self._check_receiver(sent)
		self._check_reference(sent)
		if not sent.lines or len(sent.lines) > 1000:
			raise Refusal("Debe haber al menos un ítem", "0100", "items")
		for index, line in enumerate(sent.lines, 1):
			line.check(f"ítem {index}")
			if sent.receiver["kind"] == "03" and not line.cpbs:
				raise Refusal(f"ítem {index}: falta el código CPBS para gobierno", "2007")
		total = sum((line.total for line in sent.lines), Decimal(0))
		if not 0 <= sent.discount <= total:
			raise Refusal("El descuento excede el total", where="descuento")
		total -= sent.discount
		if not close(total, sent.total, Decimal("0.01") if sent.discount else HALF_CENT):
			raise Refusal(f"El total debe ser {cents(total)}, no {sent.total}", where="total")
		if not 1 <= len(sent.payments) <= 10:
			raise Refusal("De una a diez formas de pago", "0100", "pagos")
		for code, value in sent.payments:
			if code not in PAYMENTS or value < 0 or (not value and sent.total):
				raise Refusal(f"Forma de pago {code!r} inválida", "0100", "pagos")
		if sum(value for _code, value in sent.payments) < cents(sent.total):
			raise Refusal("Lo recibido es menos que el total", where="pagos")
		if sent.retention:
			itbms = sum((line.itbms for line in sent.lines), Decimal(0))
			if sent.retention[0] not in RETENTIONS or not 0 < sent.retention[1] <= cents(itbms):
				raise Refusal("La retención no tiene un código válido o excede el ITBMS", "0100", "retención")

	@staticmethod
	def _check_receiver(sent: Sent):
		who = sent.receiver
		kind = who.get("kind")
		if kind not in ("01", "02", "03", "04"):
			raise Refusal(f"Tipo de receptor {kind!r} no existe", "0100", "receptor")
		if sent.type == "03" and kind != "04":
			raise Refusal("La exportación va a un receptor extranjero (04)", "1620", "receptor")
		Dgi._check_place(who)
		if kind == "04":
			if not who.get("foreign_id"):
				raise Refusal("Un extranjero necesita su identificación", "0100", "receptor")
			return
		number = who.get("ruc") or ""
		if kind in ("01", "03"):
			if not number or not who.get("dv"):
				raise Refusal("El receptor necesita RUC y DV", "1601", "receptor")
			if not 2 <= len(who.get("name") or "") <= 200:
				raise Refusal("El receptor necesita su razón social", "0100", "receptor")
			if not 5 <= len(who.get("address") or "") <= 100:
				raise Refusal("El receptor necesita su dirección", "0100", "receptor")
		if not number:
			return
		if not dgi_numbers.ruc_types(number):
			raise Refusal("Regla de formación del RUC inválida", "1601", "receptor")
		digits = dgi_numbers.dv(number, int(who.get("taxpayer_type") or 0))
		if not digits:
			raise Refusal("El RUC no es del tipo de contribuyente", "1601", "receptor")
		if who.get("dv") and who["dv"] != digits:
			raise Refusal(f"DV inválido para {number}", "1601", "receptor")
		if kind == "02" and str(who.get("taxpayer_type")) == "2":
			raise Refusal("Un RUC jurídico no puede ser consumidor final", "1601", "receptor")

	@staticmethod
	def _check_place(who: dict):
		place = who.get("place") or ()
		if not any(place):
			return
		if not all(place):
			raise Refusal(
				"La ubicación va con código, corregimiento, distrito y provincia", "0100", "ubicación"
			)
		if places().get(place[0]) != tuple(place[1:]):
			raise Refusal(
				f"La ubicación {place[0]} no existe o sus nombres no corresponden", "1607", "ubicación"
			)

	def _check_reference(self, sent: Sent):
		if sent.type in ("04", "05"):
			parts = dgi_numbers.cufe_parts(sent.referenced)
			if not parts:
				raise Refusal("La nota debe referir un CUFE de 66 caracteres", "0100", "referencia")
			if sent.referenced_issuer and parts["ruc"].lstrip("0") != sent.referenced_issuer:
				raise Refusal("El CUFE referido es de otro emisor", where="referencia")
			original = self.documents.get(sent.referenced)
			if original and original["status"] == "cancelled":
				raise Refusal("La factura referida está anulada", where="referencia")
		elif sent.referenced:
			raise Refusal("Este tipo de documento no lleva referencia", "0100", "referencia")
		if (sent.type == "03") != sent.export:
			raise Refusal("Los datos de exportación no corresponden al tipo", "0100", "exportación")

	# -- afterwards --------------------------------------------------------------------------------------

	def cancel(self, entry: dict, reason: str) -> tuple[str, str]:
		"""Code and text of an anulación: 0600 done, 0622 done before, else refused."""
		if entry["status"] == "cancelled":
			return "0622", "Ya existe un evento de anulación para esta FE"
		if not 15 <= len(reason) <= 1000:
			return "0100", "El motivo debe tener de 15 a 1000 caracteres"
		age = self.clock.now() - datetime.fromisoformat(entry["issued_at"])
		if age > timedelta(hours=CANCEL_HOURS):
			return "rule", "Fuera del plazo para anular; emita una nota de crédito"
		entry["status"], entry["reason"] = "cancelled", reason
		return "0600", "Evento registrado con éxito"

	def find(self, environment, branch, point, number, kind="") -> dict | None:
		wanted = (environment, branch, point, str(number).zfill(10))
		for entry in self.documents.values():
			if tuple(entry["coordinates"]) == wanted and kind in ("", entry["type"]):
				return entry
		return None

	def ledger(self) -> list[dict]:
		return [
			{
				"id": entry["cufe"],
				"external_id": entry["reference"],
				"type": entry["type"],
				"status": entry["status"],
				"uuid": entry["cufe"],
				"total": float(entry["total"]),
				"currency": "USD",
				"number": entry["coordinates"][3],
				"receiver": entry["receiver_id"],
				"referenced": entry["referenced"],
			}
			for entry in self.documents.values()
		]

	def _xml(self, sent: Sent, entry: dict) -> str:
		"""The rFE without its signature, in the order of 5.4, as far as a receiver reads it."""
		who = sent.receiver
		root = etree.Element("rFE", nsmap={None: NAMESPACE})

		def add(parent, name, text=None):
			element = etree.SubElement(parent, name)
			element.text = text
			return element

		add(root, "dVerForm", "1.00")
		add(root, "dId", entry["cufe"])
		general = add(root, "gDGen")
		for name, text in (
			("iAmb", sent.environment),
			("iTpEmis", sent.emission),
			("iDoc", sent.type),
			("dNroDF", sent.number),
			("dPtoFacDF", sent.point),
			("dFechaEm", entry["issued_at"]),
		):
			add(general, name, text)
		if sent.note:
			add(general, "dInfEmFE", sent.note)
		issuer = add(general, "gEmis")
		number = add(issuer, "gRucEmi")
		add(number, "dTipoRuc", str(ISSUER["type"]))
		add(number, "dRuc", ISSUER["ruc"])
		add(number, "dDV", ISSUER["dv"])
		add(issuer, "dNombEm", ISSUER_NAME)
		add(issuer, "dSucEm", sent.branch)
		receiver = add(general, "gDatRec")
		add(receiver, "iTipoRec", who["kind"])
		if who.get("ruc"):
			number = add(receiver, "gRucRec")
			add(number, "dTipoRuc", str(who.get("taxpayer_type")))
			add(number, "dRuc", who["ruc"])
			if who.get("dv"):
				add(number, "dDV", who["dv"])
		if who.get("name"):
			add(receiver, "dNombRec", who["name"])
		if who.get("foreign_id"):
			foreign = add(receiver, "gIdExt")
			add(foreign, "dIdExt", who["foreign_id"])
		for index, line in enumerate(sent.lines, 1):
			item = add(root, "gItem")
			add(item, "dSecItem", f"{index:03d}")
			add(item, "dDescProd", line.description)
			add(item, "dCantCodInt", str(line.quantity))
			prices = add(item, "gPrecios")
			add(prices, "dPrUnit", str(line.price))
			add(prices, "dPrItem", str(line.net))
			add(prices, "dValTotItem", str(line.total))
			taxes = add(item, "gITBMSItem")
			add(taxes, "dTasaITBMS", line.itbms_code)
			add(taxes, "dValITBMS", str(line.itbms))
		totals = add(root, "gTot")
		add(totals, "dTotNeto", str(cents(sum(line.net for line in sent.lines))))
		add(totals, "dTotITBMS", str(cents(sum(line.itbms for line in sent.lines))))
		add(totals, "dVTot", entry["total"])
		return etree.tostring(root, encoding="unicode")


def qr_value(code: str, environment: str, digest: str) -> str:
	"""The address in a QR code, with its token as 5.3 has it."""

	def part(value: bytes) -> str:
		return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

	head = part(json.dumps({"alg": "HS256", "typ": "JWT"}, separators=(",", ":")).encode())
	claims = part(
		json.dumps({"chFE": code, "iAmb": environment, "digestValue": digest}, separators=(",", ":")).encode()
	)
	mark = part(hmac.new(QR_SECRET, f"{head}.{claims}".encode(), hashlib.sha256).digest())
	return f"{QR_HOSTS[environment]}?chFE={code}&iAmb={environment}&digestValue={digest}&jwt={head}.{claims}.{mark}"


def other_environment(code: str) -> str:
	"""A CUFE as the other environment would have it."""
	other = code[:55] + {"1": "2", "2": "1"}[code[55]] + code[56:65]
	return other + dgi_numbers.check_digit(other)


@lru_cache(maxsize=1)
def places() -> dict[str, tuple[str, str, str]]:
	"""Corregimiento, district and province by the code of the place."""
	with PLACES.open(encoding="utf-8", newline="") as file:
		return {
			code: (township, district, province) for code, province, district, township in csv.reader(file)
		}


def _escaped(text: str) -> str:
	return text.replace("&", "&amp;").replace("<", "&lt;")


def cafe(entry: dict) -> bytes:
	"""The CAFE, the printed form of a document, as a PDF with its QR code."""
	page = Page()
	page.text("SANDBOX - SIN VALIDEZ FISCAL", 18)
	page.text("Comprobante Auxiliar de Factura Electrónica", 12)
	_environment, branch, point, number = entry["coordinates"]
	page.text(f"Tipo {entry['type']}   {branch}-{point}-{number}   {entry['issued_at']}")
	page.text(f"RUC {ISSUER['ruc']} DV {ISSUER['dv']}")
	who = entry["receiver"]
	page.text(f"Receptor {who.get('name') or 'CONSUMIDOR FINAL'} {entry['receiver_id']}")
	for description, quantity, total in entry["lines"][:12]:
		page.text(f"{quantity} x {description[:50]}  {total}", 9)
	page.text(f"Total B/. {entry['total']}", 12)
	page.text(f"Protocolo de autorización {entry['protocol']}", 9)
	page.text("CUFE", 9)
	page.text(entry["cufe"], 8)
	page.code(entry["qr"], 230)
	return page.render()
