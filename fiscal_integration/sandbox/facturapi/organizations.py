"""The one organization of the emulator, and the calls on its settings."""

import copy
import re

from fiscal_integration.sandbox.facturapi import seal
from fiscal_integration.sandbox.facturapi.entries import (
	ISSUER,
	ORGANIZATION,
	PLACE,
	floats,
	iso,
	new_id,
	public,
)
from fiscal_integration.sandbox.facturapi.listing import DATES, PAGE, page_of
from fiscal_integration.sandbox.facturapi.refusal import Refusal, check_fields, check_query, refuse
from fiscal_integration.sandbox.kernel import Answer

CREATED = "2026-01-01T00:00:00.000Z"
DOMAIN = re.compile("[a-z][a-z0-9-_]{2,48}[a-z0-9]")
PUT = {
	"legal": (
		"name legal_name tax_system website support_email phone address",
		"name legal_name tax_system address",
	),
	"customization": ("color next_folio_number next_folio_number_test pdf_extra", ""),
	"receipts": (
		"periodicity duration_days next_folio_number next_folio_number_test invoicing_period",
		"",
	),
	"self-invoice": ("allowed_cfdi_uses apply_resico_isr support_email", ""),
	"domain": ("domain", "domain"),
}
"""Settings of an organization: the fields of each, and those that are required."""


def organization() -> dict:
	certificate = {
		"has_certificate": True,
		"updated_at": CREATED,
		"expires_at": iso(seal.VALID_UNTIL),
		"serial_number": seal.ISSUER_NUMBER,
	}
	return {
		"id": ORGANIZATION,
		"created_at": CREATED,
		"date": CREATED,
		"livemode": True,
		"plan": "sandbox",
		"add_ons": [],
		"is_production_ready": False,
		"pending_steps": [{"type": "manifiesto", "description": "Firmar el manifiesto"}],
		"logo_url": None,
		"domain": "demo",
		"custom_domain": None,
		"timezone": "America/Mexico_City",
		"legal": {
			"name": ISSUER["legal_name"],
			"legal_name": ISSUER["legal_name"],
			"tax_id": ISSUER["tax_id"],
			"tax_system": ISSUER["tax_system"],
			"address": dict(PLACE),
			"phone": "",
			"website": "",
			"support_email": "",
			"curp": "",
		},
		"customization": {
			"color": "1A71B9",
			"has_logo": False,
			"next_folio_number": 1,
			"next_folio_number_test": 1,
			"pdf_extra": {
				"codes": True,
				"address_codes": True,
				"product_key": True,
				"round_unit_price": False,
				"tax_breakdown": True,
				"ieps_breakdown": True,
				"render_carta_porte": False,
				"repeat_signature": False,
			},
			"default_series": {"I": "F", "E": "F", "P": "F", "N": "F", "T": "F"},
		},
		"certificate": certificate,
		"fiel": {"has_certificate": False, "updated_at": None, "expires_at": None, "serial_number": None},
		"receipts": {
			"periodicity": "month",
			"invoicing_period": "month",
			"duration_days": 7,
			"next_folio_number": 1,
			"next_folio_number_test": 1,
		},
		"self_invoice": {
			"allowed_cfdi_uses": ["G01", "G03"],
			"apply_resico_isr": False,
			"support_email": "",
			"support_email_verified": False,
		},
		"pending_plan_update": None,
		"_series": [{"series": "F", "next_folio": 1, "next_folio_test": 1}],
	}


def told(entry: dict) -> dict:
	"""An Organization as it is answered."""
	return {name: value for name, value in public(entry).items() if name not in ("date", "livemode")}


class Organizations:
	"""Part of FacturapiEmulator: /organizations."""

	def _organizations(self, method, parts, query, body, live):
		own = self.resources["organization"]
		if method == "GET" and parts == ["me"]:
			check_query(query, "")
			return Answer(200, told(own))
		if not live:
			raise Refusal(401, "live_api_key_required", "Esta llamada pide una llave live o de usuario")
		if method == "GET" and parts == ["domain-check"]:
			check_query(query, "domain")
			domain = query.get("domain", [""])[0]
			if not DOMAIN.fullmatch(domain):
				refuse("domain", "invalid_format", "El dominio no tiene un formato válido", "query")
			return Answer(200, {"available": domain not in ("demo", own["domain"])})
		if not parts:
			if method == "GET":
				check_query(query, f"q {DATES} {PAGE}")
				page = page_of([own], query)
				return Answer(200, {**page, "data": [told(entry) for entry in page["data"]]})
			raise Refusal(403, "feature_not_available", "El sandbox tiene una sola organización")
		check_query(query, "")
		if parts[0] != ORGANIZATION:
			raise Refusal(404, "not_found", "No se encontró la organización")
		if method == "GET" and len(parts) == 1:
			return Answer(200, told(own))
		if method == "PUT" and len(parts) == 2 and parts[1] in PUT:
			return self._set(own, parts[1], self.json_of(body))
		if parts[1:2] == ["apikeys"]:
			return self._api_keys(method, parts[2:])
		if parts[1:2] == ["series-group"]:
			return self._series_group(method, parts[2:], body, own)
		raise Refusal(403, "feature_not_available", "El sandbox no tiene esta parte de las organizaciones")

	def _set(self, own, part, data):
		check_fields(data, *PUT[part])
		data = floats(data)
		if part == "domain":
			if not DOMAIN.fullmatch(str(data["domain"])):
				refuse("domain", "invalid_format", "El dominio no tiene un formato válido")
			own["domain"] = data["domain"]
		else:
			held = own[part.replace("-", "_")]
			for name, value in data.items():
				held[name] = {**held[name], **value} if isinstance(held.get(name), dict) else value
		return Answer(200, told(own))

	def _api_keys(self, method, parts):
		if method in ("GET", "PUT") and parts == ["test"]:
			return Answer(200, f'"{self.secret_key()}"')
		if parts == ["live"]:
			if method == "PUT":
				return Answer(200, f'"{self.secret_key(True)}"')
			if method == "GET":
				return Answer(
					200, [{"id": new_id(), "first_12": self.secret_key(True)[:12], "created_at": CREATED}]
				)
		if method == "DELETE" and len(parts) == 2:
			raise Refusal(403, "forbidden", "La llave del sandbox no se puede borrar")
		return None

	def _series_group(self, method, parts, body, own):
		kept = own["_series"]
		if method == "GET" and not parts:
			return Answer(200, {"data": copy.deepcopy(kept)})
		if method == "POST" and not parts:
			data = floats(self.json_of(body))
			check_fields(data, "series next_folio next_folio_test", "series")
			if any(entry["series"] == data["series"] for entry in kept):
				raise Refusal(409, "conflict", "La serie ya existe")
			entry = {"next_folio": 1, "next_folio_test": 1, **data}
			kept.append(entry)
			return Answer(200, dict(entry))
		if method == "PUT" and parts == ["default-series"]:
			data = self.json_of(body)
			check_fields(data, "type series", "type series")
			own["customization"]["default_series"][str(data["type"])] = str(data["series"])
			return Answer(200, {"ok": True, **told(own)})
		entry = next((entry for entry in kept if [entry["series"]] == parts), None)
		if not entry:
			raise Refusal(404, "not_found", "La serie no existe")
		if method == "PUT":
			data = floats(self.json_of(body))
			check_fields(data, "next_folio next_folio_test")
			entry.update(data)
		elif method == "DELETE":
			kept.remove(entry)
		else:
			return None
		return Answer(200, dict(entry))
