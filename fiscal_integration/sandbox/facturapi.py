"""Facturapi API v2, as providers/facturapi.md and the official OpenAPI describe it.

Where the public text leaves a gap (what a used idempotency key answers, 1.6), both readings are offered as
an option: `idempotency="conflict"` (default) or `"replay"`. With `"none"` it issues whatever it is sent, so that
a client that sends twice is found out.
"""

import base64
import hashlib
import hmac
import io
import json
import uuid
import zipfile
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar
from xml.sax.saxutils import quoteattr as attribute

from fiscal_integration.fiscal.mexico import rfc
from fiscal_integration.fiscal.money import plain, quantize
from fiscal_integration.sandbox.facturapi_rules import InvoiceRules, Refusal, totals
from fiscal_integration.sandbox.kernel import Answer, Emulator
from fiscal_integration.sandbox.pdf import Page

ISSUER = {"tax_id": "EKU9003173C9", "legal_name": "SANDBOX SIN VALIDEZ FISCAL", "tax_system": "601"}
RECOVERY_SECONDS = 600
"""First recovery of a 202 (1.6: about 10, 20, 30, 40 and 50 minutes)."""
ACCEPTANCE = timedelta(hours=72)
"""How long a receiver has to answer a cancellation; silence is acceptance (2.3)."""
WITHOUT_ACCEPTANCE = Decimal(1000)


class FacturapiEmulator(Emulator):
	key: ClassVar[str] = "facturapi"
	base: ClassVar[str] = "/v2"

	def secret_key(self, live=False):
		return "sk_live_SandboxWithoutValidity00" if live else "sk_test_SandboxWithoutValidity00"

	def clear(self):
		self.invoices: dict[str, dict] = {}
		self.keys: dict[tuple[bool, str], str] = {}
		self.recoveries: dict[str, tuple[datetime, str]] = {}
		self.folios: dict[tuple[bool, str], int] = {}

	def dump(self):
		return {"invoices": self.invoices, "folios": [[*key, value] for key, value in self.folios.items()]}

	def load(self, state):
		self.invoices = state.get("invoices", {})
		self.folios = {(live, series): value for live, series, value in state.get("folios", [])}
		self.keys = {
			(entry["livemode"], entry["idempotency_key"]): entry["id"]
			for entry in self.invoices.values()
			if entry.get("idempotency_key")
		}

	def ledger(self):
		"""Documents that were stamped, or are being stamped."""
		with self.lock:
			self.settle()
			return [
				{
					"id": entry["id"],
					"external_id": entry.get("external_id"),
					"idempotency_key": entry.get("idempotency_key"),
					"type": entry["type"],
					"status": entry["status"],
					"uuid": entry["uuid"],
					"total": entry.get("total_payment_amount", entry["total"]),
					"currency": entry["currency"],
					"livemode": entry["livemode"],
					"customer": entry["customer"]["tax_id"],
				}
				for entry in self.invoices.values()
				if entry["status"] != "draft"
			]

	# -- one request -------------------------------------------------------------------------------------

	def answer_headers(self):
		return {"X-Facturapi-Log-Id": uuid.uuid4().hex}

	def serve(self, operation, method, path, query, headers, body, fault):
		try:
			return self._route(operation, method, path, query, headers, body, fault)
		except Refusal as refusal:
			return Answer(refusal.status, refusal.body())

	def ordered(self, fault):
		status = int(fault.options.get("status", 500))
		code = fault.options.get("code") or {429: "rate_limit_exceeded", 401: "api_key_invalid"}.get(
			status, "internal_error"
		)
		return Answer(status, Refusal(status, code, "Falla ordenada en el sandbox").body())

	def spoil(self, kind, body):
		if isinstance(body.get("data"), list):
			return {**body, "data": [self.spoil(kind, entry) for entry in body["data"]]}
		if kind == "no_uuid":
			return {**body, "uuid": None}
		if kind == "wrong_livemode":
			return {**body, "livemode": not body.get("livemode")}
		if kind == "wrong_total" and "total" in body:
			return {**body, "total": float(body["total"]) + 1}
		return body

	def signature(self, secret, body):
		return "Facturapi-Signature", hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

	def operation(self, method, path):
		parts = path.strip("/").split("/")[1:]
		head = parts[0] if parts else ""
		if head != "invoices":
			return {"organizations": "organization"}.get(head, head)
		if method == "POST":
			return "issue" if len(parts) == 1 else parts[-1]
		if method == "DELETE":
			return "cancel"
		if method == "PUT":
			return parts[-1] if len(parts) > 2 else "edit"
		if len(parts) > 3:
			return parts[2]
		return "list" if len(parts) == 1 else "get" if len(parts) == 2 else parts[2]

	def _route(self, operation, method, path, query, headers, body, fault):
		live = self._authenticate(headers)
		parts = path.strip("/").split("/")
		if parts[0] != "v2":
			raise Refusal(404, "not_found", "Ruta no encontrada")
		parts = parts[1:]
		with self.lock:
			self.settle()
			if parts == ["check"]:
				return Answer(200, {"ok": True})
			if parts == ["organizations", "me"]:
				return Answer(200, self._organization())
			if parts and parts[0] == "invoices":
				return self._invoices(operation, method, parts[1:], query, body, live, fault)
		raise Refusal(404, "not_found", "Ruta no encontrada")

	def _authenticate(self, headers) -> bool:
		"""Bearer, or Basic with the key as user (1.1). Returns livemode."""
		given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
		scheme, _, credential = given.partition(" ")
		if scheme.lower() == "basic":
			try:
				credential = base64.b64decode(credential).decode().partition(":")[0]
			except ValueError:
				credential = ""
		if not credential:
			raise Refusal(401, "missing_credentials", "Falta la llave secreta")
		if credential.startswith("sk_user_"):
			raise Refusal(401, "api_key_not_allowed", "Esta llave no puede usarse para facturar")
		for live in (False, True):
			if credential == self.secret_key(live):
				return live
		raise Refusal(401, "api_key_invalid", "La llave secreta no es válida")

	def _organization(self):
		return {
			"id": "5a1b2c3d4e5f6a7b8c9d0e1f",
			"created_at": "2026-01-01T00:00:00.000Z",
			"is_production_ready": False,
			"pending_steps": [],
			"timezone": "America/Mexico_City",
			"legal": {
				"name": ISSUER["legal_name"],
				"legal_name": ISSUER["legal_name"],
				"tax_id": ISSUER["tax_id"],
				"tax_system": ISSUER["tax_system"],
				"address": {"zip": "44100", "country": "MEX"},
			},
		}

	def _invoices(self, operation, method, parts, query, body, live, fault):
		if not parts and method == "POST":
			return self._create(body, live, query, fault)
		if not parts and method == "GET":
			return Answer(200, self._list(query, live))
		entry = self.invoices.get(parts[0]) if parts else None
		if not entry or entry["livemode"] is not live:
			raise Refusal(404, "invoice_not_found", "No se encontró la factura")
		if method == "GET" and len(parts) == 1:
			return Answer(200, public(entry))
		if method == "PUT" and parts[1:] == ["status"]:
			return Answer(200, public(entry))
		if method == "DELETE" and len(parts) == 1:
			return self._cancel(entry, query)
		if method == "GET" and len(parts) == 2 and parts[1] in ("pdf", "xml", "zip"):
			return self._file(entry, parts[1])
		if method == "GET" and parts[1:] == ["cancellation_receipt", "xml"]:
			return self._acknowledgement(entry)
		raise Refusal(404, "not_found", "Ruta no encontrada")

	# -- issuing -----------------------------------------------------------------------------------------

	def _create(self, body, live, query, fault):
		try:
			data = json.loads(body, parse_float=Decimal, parse_int=Decimal)
			if not isinstance(data, dict):
				raise ValueError
		except ValueError:
			raise Refusal(400, "invalid_json", "El cuerpo no es JSON válido") from None
		key = str(data.get("idempotency_key") or "")
		known = self.invoices.get(self.keys.get((live, key), "")) if key else None
		if known and self.options.get("idempotency") != "none":
			if self.options.get("idempotency") == "replay":
				return Answer(200, public(known))
			raise Refusal(
				409, "idempotency_key_in_use", "La llave de idempotencia ya fue usada por otra solicitud"
			)
		InvoiceRules(data, self.clock.now(), self.invoices.values()).check()
		entry = self._entry(data, live)
		pending = fault is not None and fault.kind == "pending"
		if data.get("status") == "draft":
			entry["status"] = "draft"
		elif pending or query.get("async") == ["true"]:
			entry["status"] = "pending"
			options = fault.options if fault else {}
			after = float(options.get("after", RECOVERY_SECONDS if pending else 5))
			self.recoveries[entry["id"]] = (
				self.clock.now() + timedelta(seconds=after),
				options.get("outcome", "valid"),
			)
		else:
			self._stamp(entry)
		self.invoices[entry["id"]] = entry
		if key:
			self.keys[(live, key)] = entry["id"]
		return Answer(202 if pending else 200, public(entry))

	def _entry(self, data, live):
		now = self.clock.now()
		series = data.get("series") or "F"
		self.folios[(live, series)] = folio = self.folios.get((live, series), 0) + 1
		_, _, total = totals(data)
		customer = data["customer"]
		address = customer.get("address") or {}
		country = address.get("country") or "MEX"
		entry = {
			"id": uuid.uuid4().hex[:24],
			"created_at": iso(now),
			"livemode": live,
			"organization": "5a1b2c3d4e5f6a7b8c9d0e1f",
			"issuer_type": "issuing",
			"type": data.get("type") or "I",
			"status": "pending",
			"cancellation_status": "none",
			"verification_url": None,
			"uuid": None,
			"date": iso(
				datetime.fromisoformat(str(data["date"]).replace("Z", "+00:00")) if data.get("date") else now
			),
			"folio_number": int(data.get("folio_number") or folio),
			"series": series,
			"total": plain_number(total),
			"amount_due": plain_number(total) if data.get("payment_method") == "PPD" else 0,
			"currency": data.get("currency") or "MXN",
			"exchange": plain_number(data.get("exchange") or Decimal(1)),
			"use": data.get("use") or "G01",
			"payment_form": data.get("payment_form"),
			"payment_method": data.get("payment_method") or "PUE",
			"customer": {
				"id": hashlib.sha256(str(customer).encode()).hexdigest()[:24],
				"legal_name": customer["legal_name"],
				"tax_id": rfc.FOREIGN if country != "MEX" else customer["tax_id"],
				"tax_system": customer["tax_system"],
				"address": {"country": country, "zip": address.get("zip")},
			},
			"issuer_info": {**ISSUER, "address": {"zip": "44100"}},
			"items": floats(data.get("items") or []),
			"related_documents": floats(data.get("related_documents") or []),
			"external_id": data.get("external_id"),
			"idempotency_key": data.get("idempotency_key"),
			"is_ready_to_stamp": True,
			"cfdi_version": 4,
			"export": data.get("export") or "01",
			"stamp": None,
		}
		if data.get("global"):
			entry["global"] = floats(data["global"])
		if entry["type"] == "P":
			self._as_payment(entry, data)
		return entry

	def _as_payment(self, entry, data):
		"""A payment's own total is zero, and its currency XXX; what was paid is in the complement."""
		payments = [payment for complement in data["complements"] for payment in complement["data"]]
		paid = sum(
			(
				related["amount"] / related.get("exchange", Decimal(1))
				for payment in payments
				for related in payment["related_documents"]
			),
			Decimal(0),
		)
		entry.update(
			total=0,
			amount_due=0,
			currency="XXX",
			use="CP01",
			payment_method=None,
			complements=floats(data["complements"]),
			total_payment_amount=plain_number(quantize(paid)),
			target_invoice_ids=[
				self._by_uuid(related["uuid"])["id"]
				for payment in payments
				for related in payment["related_documents"]
			],
		)

	def _by_uuid(self, code):
		return next(entry for entry in self.invoices.values() if entry["uuid"] == code)

	def _count_payment(self, entry, sign):
		"""Move the balances of the sales that a payment settles."""
		for complement in entry["complements"]:
			for payment in complement["data"]:
				for related in payment["related_documents"]:
					sale = self._by_uuid(related["uuid"])
					due = Decimal(str(sale["amount_due"])) - sign * Decimal(str(related["amount"]))
					sale["amount_due"] = plain_number(due)
					ids = sale.setdefault("received_payment_ids", [])
					ids.append(entry["id"]) if sign > 0 else ids.remove(entry["id"])

	def _stamp(self, entry):
		"""Give it what the tax authority gives: a UUID and seals, all recognisably made up."""
		entry["status"] = "valid"
		entry["uuid"] = str(uuid.uuid4()).upper()
		if entry["type"] == "P":
			self._count_payment(entry, 1)
		seal = base64.b64encode(hashlib.sha512(entry["uuid"].encode()).digest()).decode()
		entry["stamp"] = {
			"signature": seal,
			"date": iso(self.clock.now()),
			"sat_cert_number": "00000000000000000000",
			"sat_signature": base64.b64encode(hashlib.sha512(seal.encode()).digest()).decode(),
			"complement_string": f"||1.1|{entry['uuid']}|{iso(self.clock.now())}|SANDBOX||",
			"rfc_provider_cert": "SPR190613I52",
		}
		entry["verification_url"] = (
			"https://verificacfdi.facturaelectronica.sat.gob.mx/default.aspx"
			f"?id={entry['uuid']}&re={ISSUER['tax_id']}&rr={entry['customer']['tax_id']}"
			f"&tt={Decimal(str(entry['total'])):.6f}&fe={seal[-8:]}"
		)

	def settle(self):
		"""What 202 promised, once its time has come (1.6)."""
		for invoice_id, (due, outcome) in list(self.recoveries.items()):
			if due <= self.clock.now():
				del self.recoveries[invoice_id]
				entry = self.invoices[invoice_id]
				if outcome == "valid":
					self._stamp(entry)
				else:
					entry["status"] = "failed"
				self._tell("invoice.status_updated", entry)
		for entry in self.invoices.values():
			asked = entry.get("cancellation", {}).get("requested_at")
			if asked and entry["cancellation_status"] == "pending":
				requested = datetime.fromisoformat(asked.replace("Z", "+00:00"))
				if self.clock.now() >= requested + ACCEPTANCE:
					self._settle_cancellation(entry, "accepted")
					self._tell("invoice.cancellation_status_updated", entry)

	def _tell(self, kind, entry):
		self.notify(
			{
				"id": uuid.uuid4().hex[:24],
				"created_at": iso(self.clock.now()),
				"livemode": entry["livemode"],
				"organization": entry["organization"],
				"type": kind,
				"data": {"type": "invoice", "object": public(entry)},
			}
		)

	def answer_cancellation(self, invoice_id: str, outcome: str):
		"""The receiver answers a request to cancel: "accepted" or "rejected"."""
		with self.lock:
			entry = self.invoices[invoice_id]
			self._settle_cancellation(entry, outcome)
			self._tell("invoice.cancellation_status_updated", entry)

	# -- what was issued ---------------------------------------------------------------------------------

	def _list(self, query, live):
		found = [entry for entry in self.invoices.values() if entry["livemode"] is live]
		for name in ("external_id", "uuid", "type", "series", "payment_method"):
			if name in query:
				found = [entry for entry in found if entry.get(name) == query[name][0]]
		if "folio_number" in query:
			found = [entry for entry in found if str(entry["folio_number"]) == query["folio_number"][0]]
		if "customer" in query:
			found = [entry for entry in found if entry["customer"]["id"] == query["customer"][0]]
		for name, keep in (
			("gte", lambda date, bound: date >= bound),
			("gt", lambda date, bound: date > bound),
			("lte", lambda date, bound: date <= bound),
			("lt", lambda date, bound: date < bound),
		):
			bound = query.get(f"date[{name}]")
			if bound:
				found = [entry for entry in found if keep(entry["date"], bound[0])]
		if "q" in query:
			text = query["q"][0].lower()
			found = [entry for entry in found if text in json.dumps(entry, ensure_ascii=False).lower()]
		page, limit = int(query.get("page", ["1"])[0]), int(query.get("limit", ["100"])[0])
		if not 1 <= limit <= 100 or page < 1:
			raise Refusal(400, "invalid_request", "limit debe estar entre 1 y 100")
		found.sort(key=lambda entry: entry["created_at"], reverse=True)
		return {
			"page": page,
			"total_pages": -(-len(found) // limit),
			"total_results": len(found),
			"data": [public(entry) for entry in found[(page - 1) * limit : page * limit]],
		}

	def _cancel(self, entry, query):
		"""Motives and outcomes of 1.7 and 2.3."""
		if entry["status"] == "draft":
			del self.invoices[entry["id"]]
			return Answer(200, public(entry))
		motive = query.get("motive", [""])[0]
		if motive not in ("01", "02", "03", "04"):
			raise Refusal(400, "invalid_request", "motive debe ser 01, 02, 03 o 04")
		substitution = query.get("substitution", [""])[0]
		if motive == "01" and not substitution:
			raise Refusal(400, "substitution_invoice_required", "El motivo 01 requiere substitution")
		if motive == "01":
			self._check_substitute(entry, substitution)
		if entry.get("received_payment_ids"):
			raise Refusal(
				409, "invoice_not_cancelable", "Cancele primero los complementos de pago de la factura"
			)
		if entry["status"] != "valid" or entry["cancellation_status"] in ("pending", "verifying"):
			raise Refusal(
				409, "invoice_cancellation_in_progress", "La factura no está vigente o ya se cancela"
			)
		outcome = self.options.get("cancellation")
		if not outcome:
			free = Decimal(str(entry["total"])) <= WITHOUT_ACCEPTANCE or entry["type"] == "E"
			outcome = "accepted" if free else "pending"
		entry["cancellation"] = {"requested_at": iso(self.clock.now()), "motive": motive}
		self._settle_cancellation(entry, outcome)
		return Answer(200, public(entry))

	def _check_substitute(self, entry, substitution):
		"""Motive 01: the substitute is valid and names this one with relation 04 (2.3)."""
		found = [
			other
			for other in self.invoices.values()
			if substitution in (other["id"], other["uuid"]) and other["uuid"]
		]
		if not found:
			raise Refusal(400, "substitution_invoice_not_found", "No se encontró la factura que sustituye")
		if found[0]["status"] == "canceled":
			raise Refusal(400, "substitution_invoice_canceled", "La factura que sustituye está cancelada")
		if not any(
			related["relationship"] == "04" and entry["uuid"] in related["documents"]
			for related in found[0]["related_documents"]
		):
			raise Refusal(
				400,
				"invoice_cancellation_not_allowed",
				"La factura que sustituye no relaciona a esta con la clave 04",
			)

	def _acknowledgement(self, entry):
		if entry["status"] != "canceled":
			raise Refusal(
				409, "invoice_cancellation_receipt_unavailable", "El acuse todavía no está disponible"
			)
		return Answer(
			200,
			(
				'<?xml version="1.0" encoding="UTF-8"?>\n<!-- SANDBOX: SIN VALIDEZ FISCAL -->\n'
				f'<Acuse xmlns="http://cancelacfd.sat.gob.mx" Fecha={attribute(entry["canceled_at"])} '
				f"RfcEmisor={attribute(ISSUER['tax_id'])}><Folios><UUID>{entry['uuid']}</UUID>"
				"<EstatusUUID>201</EstatusUUID></Folios></Acuse>\n"
			).encode(),
			content_type="application/xml",
		)

	def _settle_cancellation(self, entry, outcome):
		entry["cancellation_status"] = outcome
		entry["cancellation"].update(status=outcome, last_checked=iso(self.clock.now()))
		if outcome == "accepted":
			entry["status"], entry["canceled_at"] = "canceled", iso(self.clock.now())
			if entry["type"] == "P":
				self._count_payment(entry, -1)

	def _file(self, entry, kind):
		if entry["status"] not in ("valid", "canceled"):
			raise Refusal(409, "invoice_not_stamped", "La factura no está timbrada")
		xml = cfdi(entry).encode()
		if kind == "xml":
			return Answer(200, xml, content_type="application/xml")
		pdf = Page.of_invoice(entry)
		if kind == "pdf":
			return Answer(200, pdf, content_type="application/pdf")
		buffer = io.BytesIO()
		with zipfile.ZipFile(buffer, "w") as archive:
			archive.writestr(f"{entry['uuid']}.xml", xml)
			archive.writestr(f"{entry['uuid']}.pdf", pdf)
		return Answer(200, buffer.getvalue(), content_type="application/zip")


def public(entry: dict) -> dict:
	return json.loads(json.dumps(entry))


def iso(moment: datetime) -> str:
	return (
		moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
	)


def plain_number(value):
	value = Decimal(value)
	return int(value) if value == value.to_integral_value() else float(value)


def floats(value):
	"""Decimals as JSON numbers, all the way down."""
	if isinstance(value, dict):
		return {name: floats(entry) for name, entry in value.items()}
	if isinstance(value, list):
		return [floats(entry) for entry in value]
	return plain_number(value) if isinstance(value, Decimal) else value


def cfdi(entry: dict) -> str:
	"""An XML of the shape of a CFDI 4.0, which says that it is none."""
	concepts = "".join(
		"<cfdi:Concepto Descripcion={} ClaveProdServ={} Cantidad={} ValorUnitario={}/>".format(
			*(
				attribute(str(value))
				for value in (
					item["product"]["description"],
					item["product"]["product_key"],
					item.get("quantity", 1),
					plain(Decimal(str(item["product"]["price"]))),
				)
			)
		)
		for item in entry["items"]
	)
	return (
		'<?xml version="1.0" encoding="UTF-8"?>\n<!-- SANDBOX: SIN VALIDEZ FISCAL -->\n'
		'<cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/4" '
		'xmlns:tfd="http://www.sat.gob.mx/TimbreFiscalDigital" Version="4.0" '
		f"Serie={attribute(entry['series'])} Folio={attribute(str(entry['folio_number']))} "
		f"Total={attribute(str(entry['total']))} Moneda={attribute(entry['currency'])} "
		f"TipoDeComprobante={attribute(entry['type'])}>"
		f"<cfdi:Emisor Rfc={attribute(ISSUER['tax_id'])} Nombre={attribute(ISSUER['legal_name'])}/>"
		f"<cfdi:Receptor Rfc={attribute(entry['customer']['tax_id'])} "
		f"Nombre={attribute(entry['customer']['legal_name'])} UsoCFDI={attribute(entry['use'])}/>"
		f"<cfdi:Conceptos>{concepts}</cfdi:Conceptos><cfdi:Complemento>"
		f'<tfd:TimbreFiscalDigital Version="1.1" UUID={attribute(entry["uuid"])} '
		f"FechaTimbrado={attribute(entry['stamp']['date'])} SelloSAT={attribute(entry['stamp']['sat_signature'])}/>"
		"</cfdi:Complemento></cfdi:Comprobante>\n"
	)
