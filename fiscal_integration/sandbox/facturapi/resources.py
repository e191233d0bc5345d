"""Customers, products, webhooks, catalogues and tools: what surrounds invoices."""

import copy
import hmac
import json
import re
import secrets
from datetime import timedelta

from fiscal_integration.sandbox.facturapi import catalogs
from fiscal_integration.sandbox.facturapi.entries import ORGANIZATION, PLACE, floats, iso, new_id, public
from fiscal_integration.sandbox.facturapi.listing import DATES, PAGE, dated, page_of
from fiscal_integration.sandbox.facturapi.organizations import Organizations, organization
from fiscal_integration.sandbox.facturapi.refusal import Refusal, check_fields, check_query, integer, refuse
from fiscal_integration.sandbox.facturapi.rules import EMAIL, InvoiceRules
from fiscal_integration.sandbox.kernel import Answer

EDIT_LINK_DAYS = 7
CUSTOMER = "legal_name tax_id tax_system email phone default_invoice_use address external_id curp"
PRODUCT = "description product_key unit_key price tax_included taxability taxes local_taxes unit_name sku"
EVENTS = (
	"invoice.global_invoice_created invoice.status_updated invoice.cancellation_status_updated "
	"invoice.created_from_dashboard receipt.self_invoice_complete receipt.status_updated "
	"receipt.cancellation_status_updated customer.edit_link_completed *"
).split()


def emails_of(data: dict, required=False) -> list[str]:
	"""The addresses of a call that sends mail: one, or a list of at most ten."""
	check_fields(data, "email", "email" if required else "")
	given = data.get("email") or []
	given = [given] if isinstance(given, str) else given
	if len(given) > 10:
		refuse("email", "too_large", "Se admiten 10 correos")
	for address in given:
		if not (isinstance(address, str) and EMAIL.fullmatch(address)):
			refuse("email", "invalid_format", f"{address} no es un correo válido")
	return given


class Resources(Organizations):
	"""Part of FacturapiEmulator: one method for each head of the paths, None where there is no such call."""

	def clear_resources(self):
		self.resources = {"customers": {}, "products": {}, "webhooks": {}, "organization": organization()}

	def _kept(self, kind, identity, live, code):
		entry = self.resources[kind].get(identity)
		if not entry or entry["livemode"] is not live:
			raise Refusal(404, code, "No se encontró el recurso")
		return entry

	def _of(self, kind, live):
		return [entry for entry in self.resources[kind].values() if entry["livemode"] is live]

	# -- customers ---------------------------------------------------------------------------------------

	def customer_entry(self, data, live, identity=None):
		address = data.get("address") or {}
		return {
			"id": identity or new_id(),
			"created_at": iso(self.clock.now()),
			"livemode": live,
			"organization": ORGANIZATION,
			"legal_name": data.get("legal_name") or "",
			"tax_id": data.get("tax_id") or "",
			"tax_system": data.get("tax_system") or "",
			"email": data.get("email") or "",
			"phone": data.get("phone") or "",
			"curp": data.get("curp") or "",
			"external_id": data.get("external_id") or "",
			"default_invoice_use": data.get("default_invoice_use") or "G03",
			"address": {**dict.fromkeys(PLACE, ""), "country": "MEX", **address},
			"sat_validated_at": iso(self.clock.now()),
			"date": iso(self.clock.now()),
		}

	def _check_customer(self, data, by_form):
		check_fields(data, CUSTOMER, "" if by_form else "legal_name tax_system address")
		if by_form:
			return
		rules = InvoiceRules(
			{"type": "I", "use": None}, self.clock.now(), {}, (data.get("address") or {}).get("zip") or "", ()
		)
		rules._customer({name: value for name, value in data.items() if name != "curp"}, "E", draft=False)
		if rules.errors:
			# One problem of the tax data is the root code itself, as documented.
			first = rules.errors[0]
			known = len(rules.errors) == 1 and first["code"].startswith(("tax_", "legal_"))
			code = first["code"] if known else "invalid_request"
			raise Refusal(400, code, first["message"], rules.errors)

	def _edit_link(self, entry):
		entry["edit_link"] = f"https://auto.facturapi.io/tax-info/{secrets.token_hex(8).upper()}"
		entry["edit_link_expires_at"] = iso(self.clock.now() + timedelta(days=EDIT_LINK_DAYS))

	def _customers(self, method, parts, query, body, live):
		if method == "POST" and not parts:
			check_query(query, "createEditLink")
			linked = query.get("createEditLink") == ["true"]
			data = self.json_of(body)
			self._check_customer(data, linked)
			entry = self.customer_entry(floats(data), live)
			if linked:
				self._edit_link(entry)
			self.resources["customers"][entry["id"]] = entry
			return Answer(200, public(entry))
		if method == "GET" and not parts:
			check_query(query, f"q {DATES} {PAGE}")
			text = query.get("q", [""])[0].lower()
			found = [
				entry
				for entry in dated(self._of("customers", live), query)
				if any(text in entry[name].lower() for name in ("legal_name", "tax_id", "email"))
			]
			return Answer(200, page_of(found, query))
		if not parts:
			return None
		entry = self._kept("customers", parts[0], live, "customer_not_found")
		if method == "GET" and len(parts) == 1:
			check_query(query, "")
			return Answer(200, public(entry))
		if method == "PUT" and len(parts) == 1:
			check_query(query, "createEditLink")
			linked = query.get("createEditLink") == ["true"]
			changes = self.json_of(body)
			held = {name: entry[name] for name in CUSTOMER.split() if entry.get(name)}
			held["address"] = {name: value for name, value in entry["address"].items() if value}
			merged = {**held, **changes, "address": {**held["address"], **(changes.get("address") or {})}}
			self._check_customer(merged, linked)
			new = self.customer_entry(floats(merged), live, entry["id"])
			entry.update({**new, "created_at": entry["created_at"], "date": entry["date"]})
			if linked:
				self._edit_link(entry)
			return Answer(200, public(entry))
		if method == "DELETE" and len(parts) == 1:
			return Answer(200, public(self.resources["customers"].pop(parts[0])))
		if method == "POST" and parts[1:] == ["email-edit-link"]:
			emails_of(self.json_of(body), required=True)
			self._edit_link(entry)
			return Answer(200, {"ok": True})
		if method == "GET" and parts[1:] == ["tax-info-validation"]:
			return self._validate_tax_info(entry, live)
		return None

	def _validate_tax_info(self, entry, live):
		if not live:
			raise Refusal(401, "live_api_key_required", "Esta llamada pide una llave live")
		problems = []
		try:
			held = {name: entry[name] for name in ("legal_name", "tax_id", "tax_system") if entry[name]}
			self._check_customer({**held, "address": {"zip": entry["address"]["zip"]}}, False)
		except Refusal as refusal:
			problems = [
				{"path": each["path"].removeprefix("customer."), "message": each["message"]}
				for each in refusal.errors
			]
		return Answer(200, {"is_valid": not problems, "errors": problems})

	# -- products ----------------------------------------------------------------------------------------

	def _product_entry(self, data, live, identity=None):
		check_fields(data, PRODUCT, "description product_key price")
		rules = InvoiceRules({"type": "I"}, self.clock.now(), {}, "", ())
		rules._product(data, "")
		if rules.errors:
			raise Refusal(400, "invalid_request", rules.errors[0]["message"], rules.errors)
		told = floats(data)
		return {
			"id": identity or new_id(),
			"created_at": iso(self.clock.now()),
			"livemode": live,
			"organization": ORGANIZATION,
			"unit_key": "H87",
			"unit_name": "Elemento",
			"tax_included": True,
			"taxability": "02",
			"local_taxes": [],
			"sku": "",
			**told,
			"taxes": [
				{"type": "IVA", "factor": "Tasa", "withholding": False, "amount": 0, **tax}
				for tax in told.get("taxes")
				or ([] if told.get("taxability", "02") != "02" else [{"rate": 0.16}])
			],
			"_request": json.dumps(told),
		}

	def _products(self, method, parts, query, body, live):
		kept = self.resources["products"]
		if method == "POST" and not parts:
			check_query(query, "")
			entry = self._product_entry(self.json_of(body), live)
			kept[entry["id"]] = entry
			return Answer(200, public(entry))
		if method == "GET" and not parts:
			check_query(query, f"q sku {PAGE}")
			text, sku = query.get("q", [""])[0].lower(), query.get("sku", [None])[0]
			found = [
				entry
				for entry in self._of("products", live)
				if text in f"{entry['description']} {entry['sku']}".lower() and sku in (None, entry["sku"])
			]
			return Answer(200, page_of(found, query))
		if len(parts) != 1:
			return None
		check_query(query, "")
		entry = self._kept("products", parts[0], live, "product_not_found")
		if method == "PUT":
			request = json.loads(entry["_request"])
			data = self.json_of(json.dumps({**request, **floats(self.json_of(body))}))
			kept[parts[0]] = entry = self._product_entry(data, live, parts[0])
		elif method == "DELETE":
			kept.pop(parts[0])
		elif method != "GET":
			return None
		return Answer(200, public(entry))

	# -- webhooks ----------------------------------------------------------------------------------------

	def _webhooks(self, method, parts, query, body, live):
		kept = self.resources["webhooks"]
		check_query(query, PAGE if method == "GET" and not parts else "")
		if method == "POST" and parts == ["validate-signature"]:
			return self._validate_signature(self.json_of(body))
		if method == "POST" and not parts:
			data = self._webhook_data(body, "url enabled_events")
			known = next((entry for entry in self._of("webhooks", live) if entry["url"] == data["url"]), None)
			if known:
				return Answer(200, public(known))
			entry = {
				"id": new_id(),
				"created_at": iso(self.clock.now()),
				"organization": ORGANIZATION,
				"livemode": live,
				"description": "",
				"status": "enabled",
				"secret": secrets.token_hex(16),
				**data,
			}
			kept[entry["id"]] = entry
			return Answer(201, public(entry))
		if method == "GET" and not parts:
			return Answer(200, page_of(self._of("webhooks", live), query))
		if len(parts) != 1:
			return None
		entry = self._kept("webhooks", parts[0], live, "webhook_not_found")
		if method == "PUT":
			entry.update(self._webhook_data(body, ""))
		elif method == "DELETE":
			kept.pop(parts[0])
		elif method != "GET":
			return None
		return Answer(200, public(entry))

	def _webhook_data(self, body, required):
		data = floats(self.json_of(body))
		check_fields(data, "url enabled_events description status", required)
		for event in data.get("enabled_events") or ():
			if event not in EVENTS:
				refuse("enabled_events", "invalid_value", f"El evento {event} no existe")
		if data.get("status", "enabled") not in ("enabled", "disabled"):
			refuse("status", "invalid_value", "status debe ser enabled o disabled")
		if "url" in data and not re.match("https?://", str(data["url"])):
			refuse("url", "invalid_format", "url debe ser una dirección http o https")
		return data

	def _validate_signature(self, data):
		check_fields(data, "secret signature payload", "secret signature payload")
		payload = data["payload"] if isinstance(data["payload"], str) else json.dumps(floats(data["payload"]))
		if not hmac.compare_digest(
			self.signature(str(data["secret"]), payload.encode())[1], str(data["signature"])
		):
			raise Refusal(400, "webhook_signature_invalid", "La firma no corresponde con el contenido")
		return Answer(200, json.loads(payload))

	def notify(self, event):
		"""Tell the URL of the options, and every webhook that was registered for the event."""
		super().notify(event)
		for entry in self.resources["webhooks"].values():
			wanted = entry["enabled_events"]
			if (
				entry["status"] == "enabled"
				and entry["livemode"] is event["livemode"]
				and ("*" in wanted or event["type"] in wanted)
			):
				self.deliver(event, entry["url"], entry["secret"])

	# -- catalogues and tools ----------------------------------------------------------------------------

	def _catalogs(self, method, parts, query, body, live):
		if method != "GET" or parts not in (["products"], ["units"]):
			raise Refusal(404, "not_found", "Este sandbox solo tiene los catálogos de productos y unidades")
		check_query(query, f"q {PAGE}")
		text = query.get("q", [""])[0].lower()
		entries, _ = catalogs.large(parts[0])
		found = [
			{"key": key, "description": name, "score": 1}
			for key, name in entries.items()
			if text in name.lower() or text == key.lower()
		]
		page, limit = integer(query, "page", 1, 1, 30), integer(query, "limit", 50, 1, 100)
		return Answer(
			200,
			{
				"page": page,
				"total_pages": -(-len(found) // limit),
				"total_results": len(found),
				"data": copy.deepcopy(found[(page - 1) * limit : page * limit]),
			},
		)

	def _tools(self, method, parts, query, body, live):
		if method != "GET" or parts != ["tax_id_validation"]:
			return None
		check_query(query, "tax_id")
		tax_id = query.get("tax_id", [""])[0]
		if not tax_id:
			refuse("tax_id", "required", "tax_id es requerido", "query")
		listed = tax_id == "EFO010101EF0"
		return Answer(
			200,
			{
				"efos": {
					"is_valid": not listed,
					"data": {
						"mensaje": "" if listed else "No se encontraron coincidencias",
						"fechaLista": "01/01/2026",
						"detalles": [
							{
								"rfc": tax_id,
								"razonSocial": "EMPRESA LISTADA SANDBOX",
								"situacionContribuyente": "Definitivo",
							}
						]
						if listed
						else [],
					},
				}
			},
		)

	def _retentions(self, method, parts, query, body, live):
		raise Refusal(404, "not_found", "Este sandbox no emite CFDI de retenciones: Facturapi sí lo hace.")
