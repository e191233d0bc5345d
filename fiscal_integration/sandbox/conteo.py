"""Conteo's API v1, as providers/conteo.md#api-v1 describes it.

Where the public text leaves a gap, both readings are offered as options: `duplicate_names_id` (whether
DUPLICATE_DOCUMENT tells the invoice_id, default yes), `by_reference` (whether GET /invoices/{…} finds an
invoice by its referencia_externa too, default yes), `rate_form` ("percent" or "fraction").

Beside it stands the G-Force Gateway with the one call that gives PDFs, under /conteo/gateway.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from fiscal_integration.fiscal.money import CENT, ZERO, quantize
from fiscal_integration.sandbox import dgi_numbers
from fiscal_integration.sandbox.kernel import Answer, Emulator
from fiscal_integration.sandbox.pdf import Page

ISSUER = {"ruc": "155596713-2-2015", "dv": "59"}
RATES = tuple(Decimal(rate) for rate in (0, 7, 10, 15))
HTTP_STATUS = {
	"INVALID_RUC": 422,
	"INVALID_PAYLOAD": 400,
	"DUPLICATE_DOCUMENT": 409,
	"SFEP_UNAVAILABLE": 503,
	"CERTIFICATE_EXPIRED": 403,
	"RATE_LIMITED": 429,
	"UNAUTHORIZED": 401,
	"NOT_FOUND": 404,
	"TIMEOUT": 504,
}
PROCESSING_SECONDS = 60
GATEWAY = {
	"GF_Company": "GF-SANDBOX",
	"GF_Token": "gf-token-sandbox-without-validity",
	"Id_Pac": "EBI",
	"Enterprise": "",
	"Company": "pac-user-sandbox",
	"Token": "pac-password-sandbox-without-validity",
}
GATEWAY_KEY = "gateway-jwt-sandbox-without-validity"


class Refusal(Exception):
	def __init__(self, code, message, **more):
		super().__init__(message)
		self.answer = Answer(HTTP_STATUS.get(code, 400), {"code": code, "message": message, **more})


class ConteoEmulator(Emulator):
	key: ClassVar[str] = "conteo"
	base: ClassVar[str] = "/v1"
	webhook_waits = (1, 5, 30, 120)

	def secret_key(self, live=False):
		return "conteo_live_SandboxWithoutValidity" if live else "conteo_test_SandboxWithoutValidity"

	def parameters(self, live=False):
		return {
			"gateway_key": GATEWAY_KEY,
			"gateway_company": GATEWAY["GF_Company"],
			"gateway_token": GATEWAY["GF_Token"],
			"pac_user": GATEWAY["Company"],
			"pac_password": GATEWAY["Token"],
		}

	def clear(self):
		self.invoices: dict[str, dict] = {}
		self.references: dict[str, str] = {}
		self.pending: dict[str, tuple[datetime, str]] = {}

	def dump(self):
		return {"invoices": self.invoices}

	def load(self, state):
		self.invoices = state.get("invoices", {})
		self.references = {
			entry["referencia_externa"]: key
			for key, entry in self.invoices.items()
			if entry["status"] != "failed"
		}

	def ledger(self):
		with self.lock:
			self.settle()
			return [
				{
					"id": entry["invoice_id"],
					"external_id": entry["referencia_externa"],
					"type": "invoice",
					"status": {"completed": "valid"}.get(entry["status"], entry["status"]),
					"uuid": entry["cufe"],
					"total": entry["total"],
					"currency": "USD",
				}
				for entry in self.invoices.values()
			]

	# -- one request -------------------------------------------------------------------------------------

	def operation(self, method, path):
		if path.rstrip("/") == "/gateway/DownloadPDF":
			return "pdf"
		parts = path.strip("/").split("/")[1:]
		if parts[:1] != ["invoices"]:
			return "other"
		return "issue" if method == "POST" and len(parts) == 1 else "get"

	def ordered(self, fault):
		code = fault.options.get("code")
		status = int(fault.options.get("status") or HTTP_STATUS.get(code, 500))
		code = code or {known: name for name, known in HTTP_STATUS.items()}.get(status, "INTERNAL_ERROR")
		return Answer(status, {"code": code, "message": "Falla ordenada en el sandbox"})

	def spoil(self, kind, body):
		if kind == "no_uuid":
			return {**body, "cufe": None}
		if kind == "wrong_livemode" and body.get("cufe"):
			# The environment is the last character but ten.
			other = body["cufe"][:55] + {"1": "2", "2": "1"}[body["cufe"][55]] + body["cufe"][56:65]
			return {**body, "cufe": other + dgi_numbers.check_digit(other)}
		if kind == "wrong_total" and "total" in body:
			return {**body, "total": float(body["total"]) + 1}
		return body

	def signature(self, secret, body):
		digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
		return "x-conteo-signature", f"sha256={digest}"

	def serve(self, operation, method, path, query, headers, body, fault):
		try:
			with self.lock:
				self.settle()
				if operation == "pdf" and method == "POST":
					return self._gateway(headers, body)
				live = self._authenticate(headers)
				if operation == "issue":
					return self._issue(body, live, fault)
				if operation == "get" and method == "GET":
					return self._get(unquote(path.strip("/").split("/")[-1]))
			raise Refusal("NOT_FOUND", "Ruta no encontrada")
		except Refusal as refusal:
			return refusal.answer

	def _gateway(self, headers, body):
		"""DownloadPDF: credentials in header and body, the document by its coordinates, the file as base64."""
		given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
		if given != f"Bearer {GATEWAY_KEY}":
			return Answer(401, {"message": "Unauthorized"})
		try:
			data = json.loads(body)
			where = data["documentData"]
			wanted = [
				where[name]
				for name in (
					"typeDocument",
					"codeBranchIssuer",
					"numberDocumentFiscal",
					"pointBillingFiscal",
					"typeEmission",
				)
			]
		except (ValueError, KeyError, TypeError):
			return Answer(400, {"code": "201", "result": "error", "message": "Error al procesar solicitud."})
		if any(str(data.get(name) or "") != value for name, value in GATEWAY.items()):
			return Answer(200, {"code": "101", "result": "error", "message": "Token de emisor invalido."})
		for entry in self.invoices.values():
			parts = dgi_numbers.cufe_parts(entry["cufe"] or "")
			names = ("document", "branch", "number", "point", "emission")
			if [parts.get(name) for name in names] == wanted and parts["environment"] == data.get(
				"environment"
			):
				page = Page()
				page.text("SANDBOX - SIN VALIDEZ FISCAL", 18)
				page.text(f"Comprobante Auxiliar de Factura Electrónica {entry['invoice_id']}", 12)
				page.text(f"Total B/. {entry['total']}", 12)
				page.text(entry["cufe"], 8)
				page.code(entry["qr"], 230)
				return Answer(
					200,
					{
						"code": "200",
						"result": "procesado",
						"message": "Se retorna el archivo solicitado.",
						"document": base64.b64encode(page.render()).decode(),
					},
				)
		return Answer(200, {"code": "102", "result": "error", "message": "Documento no existe."})

	def _authenticate(self, headers) -> bool:
		given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
		for live in (False, True):
			if given == f"Bearer {self.secret_key(live)}":
				return live
		raise Refusal("UNAUTHORIZED", "La llave de API no es válida")

	def _get(self, name):
		entry = self.invoices.get(name)
		if not entry and self.options.get("by_reference", True):
			entry = self.invoices.get(self.references.get(name, ""))
		if not entry:
			raise Refusal("NOT_FOUND", "La factura no existe")
		return Answer(200, public(entry))

	# -- issuing -----------------------------------------------------------------------------------------

	def _issue(self, body, live, fault):
		try:
			data = json.loads(body, parse_float=Decimal, parse_int=Decimal)
		except ValueError:
			data = None
		self._check(data)
		reference = data["referencia_externa"]
		if reference in self.references:
			known = {"invoice_id": self.references[reference]}
			raise Refusal(
				"DUPLICATE_DOCUMENT",
				"Ya hay un documento con esta referencia",
				**(known if self.options.get("duplicate_names_id", True) else {}),
			)
		number = len(self.invoices) + 1
		entry = {
			"invoice_id": f"FE001-{number:05d}",
			"number": number,
			"live": live,
			"referencia_externa": reference,
			"total": number_of(data["total"]),
			"status": "pending",
			"authorization_number": None,
			"cufe": None,
			"qr": None,
			"receptor_ruc": data["receptor"].get("ruc"),
		}
		self.invoices[entry["invoice_id"]] = entry
		self.references[reference] = entry["invoice_id"]
		if fault is not None and fault.kind == "pending":
			after = float(fault.options.get("after", PROCESSING_SECONDS))
			self.pending[entry["invoice_id"]] = (
				self.clock.now() + timedelta(seconds=after),
				fault.options.get("outcome", "completed"),
			)
		else:
			self._complete(entry)
		return Answer(201, public(entry))

	def _check(self, data):
		if not isinstance(data, dict):
			raise Refusal("INVALID_PAYLOAD", "El cuerpo no es un objeto JSON")
		reference, receiver, items = (data.get(name) for name in ("referencia_externa", "receptor", "items"))
		if not isinstance(reference, str) or not reference:
			raise Refusal("INVALID_PAYLOAD", "referencia_externa es requerida")
		if not isinstance(receiver, dict) or not isinstance(receiver.get("nombre"), str):
			raise Refusal("INVALID_PAYLOAD", "receptor.nombre es requerido")
		if not isinstance(items, list) or not items:
			raise Refusal("INVALID_PAYLOAD", "items es requerido")
		if "ruc" in receiver and not _is_ruc(receiver["ruc"]):
			raise Refusal("INVALID_RUC", "El RUC del receptor no tiene formato válido")
		subtotal = tax = ZERO
		for item in items:
			base, rate = self._line(item)
			subtotal += base
			tax += base * rate
		for name, value in (
			("subtotal", subtotal),
			("itbms", tax),
			("total", quantize(subtotal) + quantize(tax)),
		):
			if not isinstance(data.get(name), Decimal) or data[name] != quantize(value):
				raise Refusal("INVALID_PAYLOAD", f"{name} debe ser {quantize(value)}")

	def _line(self, item) -> tuple[Decimal, Decimal]:
		"""Base and rate of one item."""
		if not isinstance(item, dict) or not item.get("descripcion"):
			raise Refusal("INVALID_PAYLOAD", "items[].descripcion es requerida")
		for name in ("cantidad", "precio_unitario", "itbms", "itbms_rate"):
			if not isinstance(item.get(name), Decimal) or item[name] < 0:
				raise Refusal("INVALID_PAYLOAD", f"items[].{name} debe ser un número")
		rate = item["itbms_rate"] / (1 if self.options.get("rate_form") == "fraction" else 100)
		if rate * 100 not in RATES:
			raise Refusal("INVALID_PAYLOAD", "items[].itbms_rate debe ser 0, 7, 10 o 15 %")
		if abs(item["itbms"] - item["precio_unitario"] * rate) > CENT / 2:
			raise Refusal("INVALID_PAYLOAD", "items[].itbms no corresponde a la tasa")
		return item["cantidad"] * item["precio_unitario"], rate

	def _complete(self, entry):
		entry["status"] = "completed"
		moment = self.clock.now().astimezone(ZoneInfo("America/Panama"))
		entry["authorization_number"] = f"SFEP-{moment.year}-{secrets.token_hex(5).upper()}"
		entry["cufe"] = dgi_numbers.cufe(
			document="01",
			taxpayer_type=2,
			ruc=ISSUER["ruc"],
			dv=ISSUER["dv"],
			branch="0000",
			date=moment.strftime("%Y%m%d"),
			number=entry["number"],
			point="001",
			emission="01",
			environment=1 if entry["live"] else 2,
			security=secrets.randbelow(10**9),
		)
		entry["qr"] = (
			"https://dgi-fep-test.mef.gob.pa:40001/Consultas/FacturasPorQR"
			f"?chFE={entry['cufe']}&iAmb={1 if entry['live'] else 2}"
		)

	def settle(self):
		for key, (due, outcome) in list(self.pending.items()):
			if due > self.clock.now():
				continue
			del self.pending[key]
			entry = self.invoices[key]
			if outcome == "failed":
				entry["status"] = "failed"
				# A reference stands for an invoice; where there is none, it is free again.
				self.references.pop(entry["referencia_externa"], None)
			else:
				self._complete(entry)
			event = {name: entry[name] for name in ("invoice_id", "authorization_number", "cufe", "total")}
			self.notify(
				{
					"event": f"invoice.{entry['status']}",
					"data": {**event, "receptor_ruc": entry["receptor_ruc"]},
				}
			)


def _is_ruc(number) -> bool:
	"""A RUC of the DGI, or of the form that Conteo's public example of a customer has (J-8-56789-1)."""
	return isinstance(number, str) and bool(
		dgi_numbers.ruc_types(number) or re.fullmatch(r"J-[0-9]{1,2}-[0-9]{1,6}-[0-9]{1,2}", number)
	)


def public(entry: dict) -> dict:
	names = ("invoice_id", "authorization_number", "cufe", "qr", "total", "status", "referencia_externa")
	return {name: entry[name] for name in names}


def number_of(value: Decimal):
	return int(value) if value == value.to_integral_value() else float(value)
