"""Routing, keys and invoices of the Facturapi emulator.

Where the public text leaves a gap (what a used idempotency key answers), both readings are offered as an option:
`idempotency="conflict"` (default) or `"replay"`. With `"none"` it issues whatever it is sent, so that a client that
sends twice is found out. Further options: `cancellation` (what a request to cancel becomes), and `substitute_lag`
(that many 404 on cancelling an invoice whose substitute was just stamped, as others have measured).
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from fiscal_integration.sandbox.facturapi import amounts, summaries
from fiscal_integration.sandbox.facturapi.entries import (
	ISSUER,
	PLACE,
	customer_of,
	decimals,
	entry_of,
	identity_of,
	iso,
	new_id,
	plain_number,
	public,
	stamp,
)
from fiscal_integration.sandbox.facturapi.files import FILES, Files
from fiscal_integration.sandbox.facturapi.listing import INVOICE_FILTERS, invoices_of, page_of
from fiscal_integration.sandbox.facturapi.receipts import Receipts
from fiscal_integration.sandbox.facturapi.refusal import Refusal, check_query, refuse
from fiscal_integration.sandbox.facturapi.resources import Resources, emails_of
from fiscal_integration.sandbox.facturapi.rules import InvoiceRules
from fiscal_integration.sandbox.kernel import Answer, Emulator
from fiscal_integration.sandbox.pdf import Page

RECOVERY_SECONDS = 600
"""First recovery of a 202: Facturapi tries after about 10, 20, 30, 40 and 50 minutes."""
ACCEPTANCE = timedelta(hours=72)
"""How long a receiver has to answer a cancellation; silence is acceptance, but for payment complements."""
WITHOUT_ACCEPTANCE = Decimal(1000)


class FacturapiEmulator(Resources, Receipts, Files, Emulator):
	key: ClassVar[str] = "facturapi"
	base: ClassVar[str] = "/v2"
	judge: ClassVar[Callable[[bytes], list[str]] | None] = None
	"""Asked of every XML that is made, where tests set it: what is wrong with it. Then nothing is issued."""

	def secret_key(self, live=False):
		return "sk_live_SandboxWithoutValidity00" if live else "sk_test_SandboxWithoutValidity00"

	def user_key(self):
		"""The key of an account: for organizations, not for invoices."""
		return "sk_user_SandboxWithoutValidity00"

	def clear(self):
		self.invoices: dict[str, dict] = {}
		self.keys: dict[tuple[bool, str], str] = {}
		self.recoveries: dict[str, tuple[datetime, str]] = {}
		self.folios: dict[tuple[bool, str], int] = {}
		self.clear_resources()
		self.clear_receipts()

	def dump(self):
		return {
			"invoices": self.invoices,
			"folios": [[*key, value] for key, value in self.folios.items()],
			"resources": self.resources,
			"receipts": self.receipts,
		}

	def load(self, state):
		self.invoices = state.get("invoices", {})
		self.folios = {(live, series): value for live, series, value in state.get("folios", [])}
		self.resources.update(state.get("resources", {}))
		self.receipts = state.get("receipts", {})
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
			return self._route(method, path, query, headers, body, fault)
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

	def _route(self, method, path, query, headers, body, fault):
		live = self._authenticate(headers, path)
		head, *parts = path.strip("/").split("/")
		with self.lock:
			self.settle()
			if head == "v2" and parts:
				call = f"_{parts[0]}"
				if parts == ["check"] and method == "GET":
					check_query(query, "")
					return Answer(200, {"ok": True})
				if parts[0] == "invoices":
					return self._invoices(method, parts[1:], query, body, live, fault)
				if hasattr(self, call) and parts[0] in self.routes:
					answer = getattr(self, call)(method, parts[1:], query, body, live)
					if answer is not None:
						return answer
		raise Refusal(404, "not_found", "Ruta no encontrada")

	routes: ClassVar[tuple[str, ...]] = (
		"customers",
		"products",
		"receipts",
		"organizations",
		"webhooks",
		"catalogs",
		"tools",
		"retentions",
	)

	def _authenticate(self, headers, path) -> bool:
		"""Bearer, or Basic with the key as user. Returns livemode; an account's key counts as live."""
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
			if credential == self.user_key() and path.startswith("/v2/organizations"):
				return True
			raise Refusal(401, "api_key_not_allowed", "Esta llave no puede usarse para facturar")
		for live in (False, True):
			if credential == self.secret_key(live):
				return live
		raise Refusal(401, "api_key_invalid", "La llave secreta no es válida")

	@staticmethod
	def json_of(body) -> dict:
		try:
			data = json.loads(body, parse_float=Decimal, parse_int=Decimal)
			if not isinstance(data, dict):
				raise ValueError
		except ValueError:
			raise Refusal(400, "invalid_json", "El cuerpo no es JSON válido") from None
		return data

	# -- the calls on invoices ---------------------------------------------------------------------------

	def _invoices(self, method, parts, query, body, live, fault):
		if not parts and method == "POST":
			check_query(query, "async")
			return self.create(self.json_of(body), live, query, fault)
		if not parts and method == "GET":
			check_query(query, INVOICE_FILTERS)
			return Answer(200, page_of(invoices_of(self.invoices.values(), query, live), query))
		if parts[0] == "preview" and parts[1:2] == ["pdf"] and method == "POST":
			check_query(query, "")
			return self._preview(self.json_of(body), live, as_url=len(parts) > 2)
		if parts[0] == "zip-requests":
			raise Refusal(
				402,
				"subscription_required",
				"Las solicitudes de ZIP piden una suscripción, que el sandbox no tiene",
			)
		entry = self._found(parts[0], live)
		call = (method, *parts[1:])
		if len(parts) == 1 and method == "DELETE":
			check_query(query, "motive substitution")
			return self._cancel(entry, query)
		check_query(query, {"payment-summary": "amount", "stamp": "async"}.get(parts[-1], ""))
		if call == ("GET",) or call == ("PUT", "status"):
			return Answer(200, public(entry))
		if call == ("PUT",):
			return self._edit(entry, self.json_of(body))
		if call == ("POST", "stamp"):
			return self._stamp_draft(entry, query)
		if call == ("POST", "copy"):
			return Answer(200, public(self._copy(entry)))
		if call == ("POST", "email"):
			if entry["status"] not in ("valid", "canceled"):
				raise Refusal(409, "invoice_not_stamped", "La factura no está timbrada")
			emails_of(self.json_of(body or b"{}"))
			return Answer(200, {"ok": True})
		if call == ("GET", "payment-summary"):
			return Answer(200, summaries.payment_summary(entry, query))
		if len(call) == 2 and method == "GET" and parts[1] in FILES:
			return self._file(entry, parts[1])
		if method == "GET" and parts[1:2] == ["cancellation_receipt"] and parts[-1] in ("xml", "pdf"):
			answer = self._acknowledgement(entry, parts[-1])
			return self.signed_url(entry, parts) if "download-url" in parts else answer
		if method == "GET" and len(parts) == 3 and parts[1] == "download-url" and parts[2] in FILES:
			self._file(entry, parts[2])
			return self.signed_url(entry, parts)
		raise Refusal(404, "not_found", "Ruta no encontrada")

	def _found(self, invoice_id, live):
		entry = self.invoices.get(invoice_id)
		if not entry or entry["livemode"] is not live:
			raise Refusal(404, "invoice_not_found", "No se encontró la factura")
		return entry

	# -- issuing -----------------------------------------------------------------------------------------

	def create(self, data, live, query, fault=None):
		key = str(data.get("idempotency_key") or "")
		known = self.invoices.get(self.keys.get((live, key), "")) if key else None
		if known and self.options.get("idempotency") != "none":
			if self.options.get("idempotency") == "replay":
				return Answer(200, public(known))
			raise Refusal(
				409, "idempotency_key_in_use", "La llave de idempotencia ya fue usada por otra solicitud"
			)
		entry = self._entry(data, live)
		pending = fault is not None and fault.kind == "pending"
		if data.get("status") == "draft":
			entry["status"] = "draft"
		else:
			self._issue(entry, query, fault if pending else None)
		self.invoices[entry["id"]] = entry
		if key:
			self.keys[(live, key)] = entry["id"]
		return Answer(202 if pending and entry["status"] == "pending" else 200, public(entry))

	def _issue(self, entry, query, fault=None):
		"""Stamp it now, or later where that was asked for or ordered."""
		if fault or query.get("async") == ["true"]:
			entry["status"] = "pending"
			options = fault.options if fault else {}
			after = float(options.get("after", RECOVERY_SECONDS if fault else 5))
			self.recoveries[entry["id"]] = (
				self.clock.now() + timedelta(seconds=after),
				options.get("outcome", "valid"),
			)
		else:
			self._stamp(entry)

	def _entry(self, data, live, draft=None):
		"""The entry of a request, once its customer and products are looked up and the rules agree."""
		draft = data.get("status") == "draft" if draft is None else draft
		if data.get("status") not in (None, "pending", "draft"):
			refuse("status", "invalid_value", "status debe ser pending o draft")
		place = {**PLACE, **self.resources["organization"]["legal"]["address"]}
		data = self.looked_up(data, live)
		zip_code = str((data.get("address") or {}).get("zip") or place["zip"])
		InvoiceRules(data, self.clock.now(), ISSUER, zip_code, self.invoices.values()).check(draft)
		series = data.get("series") or self.resources["organization"]["customization"]["default_series"].get(
			data.get("type") or "I", "F"
		)
		self.folios[(live, series)] = folio = self.folios.get((live, series), 0) + 1
		customer = data.get("customer") or {}
		identity = customer.get("id") or (self.keep_customer(customer, live) if customer else "")
		entry = entry_of(data, self.clock.now(), live, series, folio, customer_of(customer, identity), place)
		if entry["type"] == "P" and not draft:
			self._as_payment(entry, data)
		entry["is_ready_to_stamp"] = not draft or self._is_ready(data, zip_code)
		return entry

	def looked_up(self, data, live):
		"""The request with the customer and the products that it names by id put in."""
		data = dict(data)
		if isinstance(data.get("customer"), str):
			kept = self.resources["customers"].get(data["customer"])
			if not kept or kept["livemode"] is not live:
				raise Refusal(404, "customer_not_found", "El cliente no existe")
			data["customer"] = {
				name: kept[name]
				for name in ("legal_name", "tax_id", "tax_system", "email", "address")
				if kept.get(name)
			}
		items = []
		for item in data.get("items") or () if isinstance(data.get("items"), list) else ():
			if isinstance(item, dict) and isinstance(item.get("product"), str):
				kept = self.resources["products"].get(item["product"])
				if not kept or kept["livemode"] is not live:
					raise Refusal(404, "product_not_found", "El producto no existe")
				item = {**item, "product": decimals(kept["_request"]) | {"id": kept["id"]}}
			items.append(item)
		if items:
			data["items"] = items
		return data

	def _is_ready(self, data, zip_code):
		try:
			InvoiceRules(data, self.clock.now(), ISSUER, zip_code, self.invoices.values()).check()
		except Refusal:
			return False
		return True

	def _as_payment(self, entry, data):
		"""A payment's own total is zero, and its currency XXX; what was paid is in the complement."""
		paid = amounts.payments(data)
		entry.update(
			total_payment_amount=plain_number(sum((payment.amount for payment in paid), Decimal(0))),
			total_payment_amount_converted=plain_number(amounts.payment_totals(paid)["MontoTotalPagos"]),
			target_invoice_ids=[
				self._by_uuid(settled.source["uuid"])["id"] for payment in paid for settled in payment.settled
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
					ids = sale["received_payment_ids"]
					ids.append(entry["id"]) if sign > 0 else ids.remove(entry["id"])

	def _stamp(self, entry):
		stamp(entry, self.clock.now())
		wrong = self.judge(entry["_xml"].encode()) if self.judge else []
		if wrong:
			raise Refusal(500, "internal_error", f"El XML del sandbox no es válido: {wrong}")
		if entry["type"] == "P":
			self._count_payment(entry, 1)
		lag = int(self.options.get("substitute_lag") or 0)
		for related in entry["related_documents"] if lag else ():
			for other in self.invoices.values():
				if related["relationship"] == "04" and other["uuid"] in related["documents"]:
					other["_hidden"] = lag

	# -- drafts ------------------------------------------------------------------------------------------

	def _edit(self, entry, changes):
		"""PUT /invoices/{id}: a draft is laid anew from what it was and what changes."""
		if entry["status"] != "draft":
			raise Refusal(409, "invoice_not_draft", "Solo se puede editar un borrador")
		request = {**decimals(entry["_request"]), **changes, "status": "draft"}
		new = self._entry(request, entry["livemode"])
		new.update(id=entry["id"], created_at=entry["created_at"], status="draft")
		self.invoices[entry["id"]] = new
		return Answer(200, public(new))

	def _stamp_draft(self, entry, query):
		if entry["status"] != "draft":
			raise Refusal(409, "invoice_not_draft", "Solo se puede timbrar un borrador")
		request = {**decimals(entry["_request"]), "status": "pending"}
		if not request.get("date"):
			entry["date"] = iso(self.clock.now())
		new = self._entry(request, entry["livemode"])
		new.update(id=entry["id"], created_at=entry["created_at"], folio_number=entry["folio_number"])
		self.invoices[entry["id"]] = new
		self._issue(new, query)
		return Answer(200, public(new))

	def _copy(self, entry):
		request = decimals(entry["_request"])
		for name in ("folio_number", "date", "external_id", "idempotency_key"):
			request.pop(name, None)
		new = self._entry({**request, "status": "draft"}, entry["livemode"])
		new["status"] = "draft"
		self.invoices[new["id"]] = new
		return new

	def _preview(self, data, live, as_url):
		entry = self._entry({**data, "status": "draft"}, live)
		key = (live, entry["series"])
		self.folios[key] -= 1
		if as_url:
			return self.signed_url(entry, ["preview", "pdf"])
		return Answer(200, Page.of_invoice(entry), content_type=FILES["pdf"])

	# -- what happens by itself --------------------------------------------------------------------------

	def settle(self):
		"""What 202 promised, and what silence means, once the time has come."""
		for invoice_id, (due, outcome) in list(self.recoveries.items()):
			if due <= self.clock.now():
				del self.recoveries[invoice_id]
				entry = self.invoices[invoice_id]
				if outcome == "valid":
					self._stamp(entry)
				else:
					entry["status"] = "failed"
				self.tell("invoice.status_updated", entry)
		for entry in self.invoices.values():
			asked = (entry.get("cancellation") or {}).get("requested_at")
			if asked and entry["cancellation_status"] == "pending" and entry["type"] != "P":
				requested = datetime.fromisoformat(asked.replace("Z", "+00:00"))
				if self.clock.now() >= requested + ACCEPTANCE:
					self._settle_cancellation(entry, "accepted")
					self.tell("invoice.cancellation_status_updated", entry)

	def tell(self, kind, entry, what="invoice"):
		self.notify(
			{
				"id": new_id(),
				"created_at": iso(self.clock.now()),
				"livemode": entry["livemode"],
				"organization": entry["organization"],
				"type": kind,
				"data": {"type": what, "object": public(entry)},
			}
		)

	# -- cancelling --------------------------------------------------------------------------------------

	def answer_cancellation(self, invoice_id: str, outcome: str):
		"""The receiver answers a request to cancel: "accepted" or "rejected"."""
		with self.lock:
			entry = self.invoices[invoice_id]
			self._settle_cancellation(entry, outcome)
			self.tell("invoice.cancellation_status_updated", entry)

	def _cancel(self, entry, query):
		"""SAT's motives and the outcomes that a request to cancel has."""
		if entry["status"] == "draft":
			del self.invoices[entry["id"]]
			return Answer(200, public(entry))
		if entry.get("_hidden"):
			entry["_hidden"] -= 1
			raise Refusal(404, "invoice_not_found", "No se encontró la factura")
		motive = query.get("motive", [""])[0]
		if motive not in ("01", "02", "03", "04"):
			refuse(
				"motive",
				"required" if not motive else "invalid_value",
				"motive debe ser 01, 02, 03 o 04",
				"query",
			)
		substitution = query.get("substitution", [""])[0]
		if motive == "01" and not substitution:
			raise Refusal(400, "substitution_invoice_required", "El motivo 01 requiere substitution")
		substitute = self._substitute(entry, substitution) if motive == "01" else None
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
			# A payment complement needs acceptance whatever its amount, since 2026.
			outcome = "accepted" if free and entry["type"] != "P" else "pending"
		entry["cancellation"] = {
			"requested_at": iso(self.clock.now()),
			"motive": motive,
			"substitutionUUID": substitute["uuid"] if substitute else "",
		}
		self._settle_cancellation(entry, outcome)
		return Answer(200, public(entry))

	def _substitute(self, entry, substitution):
		"""Motive 01: the substitute is valid and names this one with relation 04."""
		found = next(
			(
				other
				for other in self.invoices.values()
				if substitution in (other["id"], other["uuid"]) and other["uuid"]
			),
			None,
		)
		if not found:
			raise Refusal(400, "substitution_invoice_not_found", "No se encontró la factura que sustituye")
		if found["status"] == "canceled":
			raise Refusal(400, "substitution_invoice_canceled", "La factura que sustituye está cancelada")
		if not any(
			related["relationship"] == "04" and entry["uuid"] in related["documents"]
			for related in found["related_documents"]
		):
			raise Refusal(
				400,
				"invoice_cancellation_not_allowed",
				"La factura que sustituye no relaciona a esta con la clave 04",
			)
		return found

	def _settle_cancellation(self, entry, outcome):
		entry["cancellation_status"] = outcome
		entry["cancellation"].update(status=outcome, last_checked=iso(self.clock.now()))
		if outcome == "accepted":
			entry["status"], entry["canceled_at"] = "canceled", iso(self.clock.now())
			if entry["type"] == "P":
				self._count_payment(entry, -1)

	def keep_customer(self, customer, live):
		"""A receiver who was told in full is kept as a customer; its id."""
		identity = identity_of(customer)
		if identity not in self.resources["customers"]:
			self.resources["customers"][identity] = self.customer_entry(customer, live, identity)
		return identity
