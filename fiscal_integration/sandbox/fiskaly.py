"""fiskaly SIGN AT v1: states, receipts with real ES256 signatures, turnover counter and chain
(providers/fiskaly.md, authorities/austria.md). It makes receipts with code of its own, so that the app's
checks judge it, and not themselves.

Options: `token_seconds` (life of an access token, default 86400), `outage` (the trust service provider is down:
receipts come back unsigned; what comes after the outage begins with a signed zero receipt), `fon_fault` (a code such
as E_FON_SESSION_LIMIT for what asks FinanzOnline), `fon_validation` (what FinanzOnline says of a receipt,
ERROR_UNSPECIFIED in place of SUCCESS; blank for nothing yet).
"""

import base64
import hashlib
import json
import re
import secrets
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import ClassVar
from zoneinfo import ZoneInfo

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID

from fiscal_integration.sandbox.kernel import Answer, Emulator

ZONE = ZoneInfo("Europe/Vienna")
VERSION = "1.2.6"
SUITE = "R1-AT3"
FIELDS = {
	"STANDARD": "gross_amount_standard",
	"REDUCED_1": "gross_amount_reduced_1",
	"REDUCED_2": "gross_amount_reduced_2",
	"SPECIAL": "gross_amount_special",
	"ZERO": "gross_amount_zero",
}
AMOUNTS = ("STANDARD", "REDUCED_1", "REDUCED_2", "ZERO", "SPECIAL")
"""In the order of the machine-readable code."""
COUNTER_BYTES = 8
FAILED = b"Sicherheitseinrichtung ausgefallen"
JWS_HEAD = base64.urlsafe_b64encode(b'{"alg":"ES256"}').decode().rstrip("=")
CLEARANCE = "SIGNATURE_CREATION_UNIT_FAULT_CLEARANCE"
OWN_TYPES = (
	"INITIALIZATION",
	"DECOMMISSION",
	"MONTHLY_CLOSE",
	"YEARLY_CLOSE",
	CLEARANCE,
)
SCU_MOVES = {("CREATED", "INITIALIZED"), ("INITIALIZED", "DECOMMISSIONED"), ("CREATED", "DECOMMISSIONED")}
REGISTER_MOVES = {
	("CREATED", "REGISTERED"),
	("REGISTERED", "INITIALIZED"),
	("INITIALIZED", "OUTAGE"),
	("OUTAGE", "INITIALIZED"),
	("INITIALIZED", "DECOMMISSIONED"),
	("OUTAGE", "DECOMMISSIONED"),
	("INITIALIZED", "DEFECTIVE"),
	("OUTAGE", "DEFECTIVE"),
}
ACCOUNT = "00000000-0000-4000-8000-00000000000a"
"""The organization of the account, above the managed ones."""
ENDED = ("DECOMMISSIONED", "DEFECTIVE")


class Refusal(Exception):
	def __init__(self, status, code, message):
		super().__init__(message)
		error = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 409: "Conflict"}.get(
			status, "Error"
		)
		self.answer = Answer(
			status, {"status_code": status, "error": error, "code": code, "message": message}
		)


class FiskalyEmulator(Emulator):
	key: ClassVar[str] = "fiskaly"
	base: ClassVar[str] = "/api/v1"

	def __init__(self, *arguments, **options):
		self.signing_key = ec.generate_private_key(ec.SECP256R1())
		self.counter_key = secrets.token_bytes(32)
		self.certificate = self._certificate()
		self.tokens: dict[str, tuple[datetime, bool]] = {}
		super().__init__(*arguments, **options)

	def _certificate(self):
		name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SANDBOX ATU12345678")])
		now = datetime.now(timezone.utc)
		return (
			x509.CertificateBuilder()
			.subject_name(name)
			.issuer_name(name)
			.public_key(self.signing_key.public_key())
			.serial_number(x509.random_serial_number() >> 100)
			.not_valid_before(now - timedelta(days=1))
			.not_valid_after(now + timedelta(days=900))
			.sign(self.signing_key, hashes.SHA256())
		)

	def secret_key(self, live=False):
		return "fiskaly-live-secret-sandbox" if live else "fiskaly-test-secret-sandbox"

	def api_key(self, live=False):
		return "live_sandbox_at_key" if live else "test_sandbox_at_key"

	def account(self, live=False) -> tuple[str, str]:
		"""Key and secret of the account above the managed organizations."""
		name = "live" if live else "test"
		return f"{name}_sandbox_account_key", f"fiskaly-{name}-account-secret-sandbox"

	def parameters(self, live=False):
		return {"api_key": self.api_key(live)}

	def clear(self):
		self.organizations: dict[str, dict] = {}
		self.keys: dict[str, list[dict]] = {}
		self.account_tokens: dict[str, tuple[datetime, bool]] = {}
		self.fon: dict | None = None
		self.units: dict[str, dict] = {}
		self.registers: dict[str, dict] = {}
		self.receipts: dict[str, list[dict]] = {}
		self.digests: dict[str, str] = {}
		self.validations: dict[str, list[dict]] = {}
		self.tokens.clear()

	def ledger(self):
		with self.lock:
			return [
				{
					"id": receipt["_id"],
					"external_id": (receipt.get("metadata") or {}).get("reference", ""),
					"type": receipt["receipt_type"],
					"status": "valid",
					"uuid": f"{receipt['cash_register_serial_number']}-{receipt['receipt_number']}",
					"total": float(sum(Decimal(value) for value in receipt["schema"]["raw"].values())),
					"currency": "EUR",
					"signed": receipt["signed"],
					"register": receipt["cash_register_id"],
				}
				for receipts in self.receipts.values()
				for receipt in receipts
				if receipt["receipt_type"] not in OWN_TYPES
			]

	# -- one request -------------------------------------------------------------------------------------

	def operation(self, method, path):
		parts = path.strip("/").split("/")[2:]
		if path.strip("/").split("/")[1:2] == ["v0"]:
			return {"auth": "account", "api-keys": "key"}.get(parts[-1], "organization")
		if parts[:1] == ["auth"]:
			return "token"
		if parts[:1] == ["fon"]:
			return "fon"
		if parts[:1] == ["signature-creation-unit"]:
			return "unit"
		if parts[2:3] == ["receipt"]:
			if parts[4:] == ["validation"]:
				return "validation"
			return "issue" if method == "PUT" else "get" if len(parts) == 4 else "list"
		if parts[2:3] == ["export"]:
			return "export"
		return "register" if parts[:1] == ["cash-register"] else "other"

	def ordered(self, fault):
		status = int(fault.options.get("status") or 500)
		code = fault.options.get("code") or {429: "E_TOO_MANY_REQUESTS"}.get(
			status, "E_INTERNAL_SERVER_ERROR"
		)
		return Answer(
			status,
			{"status_code": status, "error": "Error", "code": code, "message": "Fehler aus der Sandbox"},
		)

	def spoil(self, kind, body):
		if kind == "no_uuid":
			return {key: value for key, value in body.items() if key != "receipt_number"}
		if kind == "wrong_livemode" and "_env" in body:
			return {**body, "_env": "LIVE" if body["_env"] == "TEST" else "TEST"}
		if kind == "wrong_total" and "schema" in body:
			raw = {**body["schema"]["raw"]}
			raw["gross_amount_standard"] = f"{Decimal(raw['gross_amount_standard']) + 1:.2f}"
			return {**body, "schema": {**body["schema"], "raw": raw}}
		return body

	def serve(self, operation, method, path, query, headers, body, fault):
		parts = path.strip("/").split("/")[2:]
		try:
			data = json.loads(body) if body else {}
		except ValueError:
			data = None
		try:
			with self.lock:
				if data is None or not isinstance(data, dict):
					raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "body should be object")
				if operation in ("account", "organization", "key"):
					return self._management(method, parts, data, query, headers)
				if operation == "token":
					return self._authenticate(data)
				live = self._who(headers)
				if operation == "fon":
					return self._fon(method, data, live)
				if operation == "unit":
					return self._unit(method, parts, data, live)
				if operation == "register":
					return self._register(method, parts, data, live)
				if operation in ("issue", "get", "list", "validation"):
					return self._receipt(method, parts, data, query, live)
				if operation == "export" and method == "GET":
					return self._export(parts[1], query)
			raise Refusal(404, "E_NOT_FOUND", "no such route")
		except Refusal as refusal:
			return refusal.answer

	# -- the Management API ------------------------------------------------------------------------------

	def _management(self, method, parts, data, query, headers):
		if method == "POST" and parts == ["auth"]:
			return self._account_login(data)
		given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
		until, live = self.account_tokens.get(given.removeprefix("Bearer "), (None, False))
		if until is None or until <= self.clock.now():
			raise Refusal(401, "E_UNAUTHORIZED", "The access token is invalid or expired")
		if parts == ["organizations"]:
			if method == "GET":
				return self._page(list(self.organizations.values()), query)
			if method == "POST":
				return self._make_organization(data)
		organization = self.organizations.get(parts[1]) if len(parts) == 3 else None
		if not organization:
			raise Refusal(404, "E_NOT_FOUND", "no such organization")
		if method == "POST" and parts[2] == "enable-env":
			if data.get("env") not in ("TEST", "LIVE"):
				raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "body.env should be TEST or LIVE")
			if data["env"] not in organization["_envs"]:
				organization["_envs"].append(data["env"])
			return Answer(200, organization)
		if parts[2] == "api-keys":
			keys = self.keys[organization["_id"]]
			if method == "GET":
				return self._page(
					[{name: key[name] for name in key if name != "secret"} for key in keys], query
				)
			if method == "POST":
				return self._make_key(organization, keys, data, live)
		raise Refusal(404, "E_NOT_FOUND", "no such route")

	def _account_login(self, data):
		for live in (False, True):
			if (data.get("api_key"), data.get("api_secret")) == self.account(live):
				token = secrets.token_urlsafe(32)
				self.account_tokens[token] = (self.clock.now() + timedelta(days=1), live)
				claims = {"env": "LIVE" if live else "TEST", "organization_id": ACCOUNT}
				return Answer(
					200,
					{"access_token": token, "access_token_claims": claims, "access_token_expires_in": 86400},
				)
		raise Refusal(401, "E_UNAUTHORIZED", "Invalid API key or secret")

	@staticmethod
	def _page(entries, query):
		offset, limit = int((query.get("offset") or ["0"])[0]), int((query.get("limit") or ["100"])[0])
		return Answer(200, {"data": entries[offset : offset + limit], "count": len(entries)})

	def _make_organization(self, data):
		required = ("name", "address_line1", "zip", "town", "country_code", "managed_by_organization_id")
		optional = (
			"display_name",
			"vat_id",
			"tax_number",
			"economy_id",
			"state",
			"address_line2",
			"metadata",
		)
		for name in required:
			if not isinstance(data.get(name), str) or not data[name]:
				raise Refusal(
					400, "E_FAILED_SCHEMA_VALIDATION", f"body should have required property '{name}'"
				)
		if unknown := sorted(set(data) - {*required, *optional}):
			raise Refusal(
				400, "E_FAILED_SCHEMA_VALIDATION", f"body should not have additional properties: {unknown[0]}"
			)
		if len(data["name"]) < 3 or not re.fullmatch("[A-Z]{3}", data["country_code"]):
			raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "body.name or body.country_code is wrong")
		if data["managed_by_organization_id"] != ACCOUNT:
			raise Refusal(403, "E_ACCESS_DENIED", "not your organization")
		name = str(uuid.uuid4())
		self.organizations[name] = {"_id": name, "_type": "ORGANIZATION", "_envs": [], **data}
		self.keys[name] = []
		return Answer(200, self.organizations[name])

	def _make_key(self, organization, keys, data, live):
		env = "LIVE" if live else "TEST"
		if not re.fullmatch(r"[a-z0-9\-]{3,30}", str(data.get("name") or "")):
			raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", 'body.name should match "^[a-z0-9\\-]{3,30}$"')
		if data.get("status") not in ("enabled", "disabled"):
			raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "body.status should be enabled or disabled")
		if env not in organization["_envs"]:
			raise Refusal(400, "E_ENV_NOT_ENABLED", f"{env} is not enabled for the organization")
		if any(key["name"] == data["name"] for key in keys):
			raise Refusal(409, "E_CONFLICT", "there is a key of this name")
		key = {
			"_id": str(uuid.uuid4()),
			"_type": "API_KEY",
			"_env": env,
			"name": data["name"],
			"status": data["status"],
			"key": f"{env.lower()}_{secrets.token_hex(12)}",
			"secret": secrets.token_urlsafe(32),
		}
		keys.append(key)
		# The secret is told this once.
		return Answer(200, key)

	def _known(self, data) -> bool | None:
		"""Whether the credentials are LIVE's; None where nobody has them."""
		given = (data.get("api_key"), data.get("api_secret"))
		for live in (False, True):
			if given == (self.api_key(live), self.secret_key(live)):
				return live
		for keys in self.keys.values():
			for key in keys:
				if given == (key["key"], key["secret"]) and key["status"] == "enabled":
					return key["_env"] == "LIVE"
		return None

	def _authenticate(self, data):
		live = self._known(data)
		if live is None:
			raise Refusal(401, "E_UNAUTHORIZED", "Invalid API key or secret")
		token = secrets.token_urlsafe(32)
		seconds = float(self.options.get("token_seconds", 86400))
		self.tokens[token] = (self.clock.now() + timedelta(seconds=seconds), live)
		return Answer(
			200,
			{
				"access_token": token,
				"access_token_claims": {
					"env": "LIVE" if live else "TEST",
					"organization_id": "00000000-0000-4000-8000-000000000000",
				},
				"access_token_expires_in": int(seconds),
				"access_token_expires_at": int(self.clock.now().timestamp() + seconds),
				"refresh_token": secrets.token_urlsafe(32),
				"refresh_token_expires_in": int(2 * seconds),
				"_env": "LIVE" if live else "TEST",
				"_version": VERSION,
			},
		)

	def _who(self, headers) -> bool:
		given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
		until, live = self.tokens.get(given.removeprefix("Bearer "), (None, False))
		if until is None or until <= self.clock.now():
			raise Refusal(401, "E_UNAUTHORIZED", "The access token is invalid or expired")
		return live

	def _env(self, live, kind="") -> dict:
		return {"_env": "LIVE" if live else "TEST", "_version": VERSION, **({"_type": kind} if kind else {})}

	def _ask_fon(self):
		if self.options.get("fon_fault"):
			raise Refusal(400, str(self.options["fon_fault"]), "FinanzOnline nimmt die Anfrage nicht an")
		if not self.fon or self.fon["authentication_status"] != "AUTHENTICATED":
			raise Refusal(400, "E_FON_AUTHENTICATION", "Not authenticated with FinanzOnline")

	def _fon(self, method, data, live):
		if method == "GET":
			return Answer(
				200, {**(self.fon or {"authentication_status": "UNAUTHENTICATED"}), **self._env(live)}
			)
		for name, least, most in (
			("fon_participant_id", 8, 12),
			("fon_user_id", 5, 12),
			("fon_user_pin", 5, 128),
		):
			if not least <= len(str(data.get(name) or "")) <= most:
				raise Refusal(
					400, "E_FAILED_SCHEMA_VALIDATION", f"body.{name} should have {least} to {most} characters"
				)
		if self.options.get("fon_fault"):
			raise Refusal(400, str(self.options["fon_fault"]), "FinanzOnline nimmt die Anfrage nicht an")
		self.fon = {
			"fon_participant_id": data["fon_participant_id"],
			"fon_user_id": data["fon_user_id"],
			"authentication_status": "AUTHENTICATED",
			"time_authentication": self._now(),
		}
		return Answer(200, {**self.fon, **self._env(live)})

	def _now(self) -> int:
		return int(self.clock.now().timestamp())

	# -- signature creation unit and cash registers --------------------------------------------------------

	def _unit(self, method, parts, data, live):
		if len(parts) == 1:
			entries = list(self.units.values())
			return Answer(
				200,
				{"data": entries, "count": len(entries), **self._env(live, "SIGNATURE_CREATION_UNIT_LIST")},
			)
		name = _uuid4(parts[1])
		unit = self.units.get(name)
		if method == "GET":
			if not unit:
				raise Refusal(404, "E_NOT_FOUND", "no such signature creation unit")
			return Answer(200, unit)
		if method == "PUT":
			if unit:
				raise Refusal(409, "E_RESOURCE_ALREADY_EXISTS", "the signature creation unit exists")
			ids = data.get("legal_entity_id") or {}
			if len([key for key in ("vat_id", "tax_id", "gln") if ids.get(key)]) != 1:
				raise Refusal(
					400, "E_FAILED_SCHEMA_VALIDATION", "body.legal_entity_id should match exactly one"
				)
			if ids.get("vat_id") and not re.fullmatch(r"ATU\d{8}", ids["vat_id"]):
				raise Refusal(
					400,
					"E_FAILED_SCHEMA_VALIDATION",
					'body.legal_entity_id.vat_id should match "^ATU\\d{8}$"',
				)
			if any(other["state"] not in ENDED for other in self.units.values()):
				raise Refusal(
					400, "E_SCU_LIMIT_REACHED", "Limit of 1 active signature creation units reached."
				)
			self.units[name] = {
				"_id": name,
				**self._env(live, "SIGNATURE_CREATION_UNIT"),
				"state": "CREATED",
				"legal_entity_id": ids,
				"legal_entity_name": data.get("legal_entity_name") or "",
				"certificate_serial_number": f"{self.certificate.serial_number:x}",
				"time_creation": self._now(),
			}
			return Answer(200, self.units[name])
		if method == "PATCH" and unit:
			state = data.get("state")
			if (unit["state"], state) not in SCU_MOVES:
				raise Refusal(422, "E_INVALID_STATE_TRANSITION", f"{unit['state']} cannot become {state}")
			if state == "DECOMMISSIONED" and any(
				register["state"] not in ENDED for register in self.registers.values()
			):
				raise Refusal(422, "E_INVALID_STATE_TRANSITION", "there are active cash registers")
			self._ask_fon()
			unit["state"] = state
			unit[{"INITIALIZED": "time_initialization"}.get(state, "time_decommission")] = self._now()
			return Answer(200, unit)
		raise Refusal(404, "E_NOT_FOUND", "no such signature creation unit")

	def _register(self, method, parts, data, live):
		if len(parts) == 1:
			entries = list(self.registers.values())
			return Answer(
				200, {"data": entries, "count": len(entries), **self._env(live, "CASH_REGISTER_LIST")}
			)
		name = _uuid4(parts[1])
		register = self.registers.get(name)
		if method == "GET" and register:
			return Answer(200, register)
		if method == "PUT":
			if register:
				raise Refusal(409, "E_RESOURCE_ALREADY_EXISTS", "the cash register exists")
			self.registers[name] = {
				"_id": name,
				**self._env(live, "CASH_REGISTER"),
				"state": "CREATED",
				"serial_number": secrets.token_hex(8),
				"description": data.get("description") or "",
				"time_creation": self._now(),
			}
			self.receipts[name] = []
			return Answer(200, self.registers[name])
		if method == "PATCH" and register:
			state = data.get("state")
			if (register["state"], state) not in REGISTER_MOVES:
				raise Refusal(422, "E_INVALID_STATE_TRANSITION", f"{register['state']} cannot become {state}")
			unit = self._active_unit()
			self._ask_fon()
			if state == "INITIALIZED" and register["state"] == "REGISTERED":
				start = self._sign(register, unit, "INITIALIZATION", {}, str(uuid.uuid4()), live, {})
				register["initialization_receipt_id"] = start["_id"]
				self._validate(start)
			if state == "DECOMMISSIONED":
				end = self._sign(register, unit, "DECOMMISSION", {}, str(uuid.uuid4()), live, {})
				register["decommission_receipt_id"] = end["_id"]
			register["state"] = state
			register[
				{
					"REGISTERED": "time_registration",
					"INITIALIZED": "time_initialization",
					"DECOMMISSIONED": "time_decommission",
					"OUTAGE": "time_outage",
				}.get(state, "time_defect")
			] = self._now()
			return Answer(200, register)
		raise Refusal(404, "E_NOT_FOUND", "no such cash register")

	def _active_unit(self):
		for unit in self.units.values():
			if unit["state"] == "INITIALIZED":
				return unit
		raise Refusal(422, "E_SCU_NOT_INITIALIZED", "no signature creation unit is initialized")

	# -- receipts ----------------------------------------------------------------------------------------

	def _receipt(self, method, parts, data, query, live):
		register = self.registers.get(_uuid4(parts[1]))
		if not register:
			raise Refusal(404, "E_NOT_FOUND", "no such cash register")
		receipts = self.receipts[register["_id"]]
		if len(parts) == 3:
			wanted = {
				value for key, values in query.items() if key.startswith("receipt_types") for value in values
			}
			found = [entry for entry in receipts if not wanted or entry["receipt_type"] in wanted]
			if (query.get("order") or ["ASC"])[0] == "DESC":
				found = found[::-1]
			offset, limit = int((query.get("offset") or ["0"])[0]), int((query.get("limit") or ["100"])[0])
			page = [self._validated(entry) for entry in found[offset : offset + limit]]
			return Answer(200, {"data": page, "count": len(found), **self._env(live, "RECEIPT_LIST")})
		name = _uuid4(parts[3])
		known = next((entry for entry in receipts if entry["_id"] == name), None)
		if method == "GET" or parts[4:] == ["validation"]:
			if not known:
				raise Refusal(404, "E_NOT_FOUND", "no such receipt")
			if method == "POST" and parts[4:] == ["validation"]:
				return Answer(200, {**self._validate(known), **self._env(live)})
			if method == "GET" and len(parts) == 4:
				return Answer(200, self._validated(known))
		if method != "PUT":
			raise Refusal(404, "E_NOT_FOUND", "no such route")
		digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
		if known:
			if self.digests[name] != digest:
				raise Refusal(409, "E_CONFLICT", "another receipt has this id")
			return Answer(200, known)
		if register["state"] != "INITIALIZED":
			code = (
				"E_CASH_REGISTER_DEACTIVATED"
				if register["state"] in ENDED
				else "E_CASH_REGISTER_NOT_INITIALIZED"
			)
			raise Refusal(422, code, f"the cash register is {register['state']}")
		kind = data.get("receipt_type")
		if kind not in ("NORMAL", "CANCELLATION", "TRAINING"):
			raise Refusal(
				400, "E_FAILED_SCHEMA_VALIDATION", "body.receipt_type should be equal to one of the values"
			)
		raw = _raw_of(data.get("schema") or {})
		receipt = self._sign(
			register, self._active_unit(), kind, raw, name, live, data.get("metadata") or {}, data["schema"]
		)
		self.digests[name] = digest
		return Answer(200, receipt)

	def _validated(self, entry):
		"""A receipt with what FinanzOnline said of it: of the first one by itself, of others when they were asked for."""
		return {**entry, "fon_validations": self.validations.get(entry["_id"], [])}

	def _validate(self, receipt) -> dict:
		self._ask_fon()
		found = {
			"validation_result": str(self.options.get("fon_validation", "SUCCESS")),
			"time_validation": self._now(),
		}
		if found["validation_result"]:
			self.validations.setdefault(receipt["_id"], []).append(found)
		return found

	def settle(self):
		for register in self.registers.values():
			self._clear(register)

	def _clear(self, register):
		"""Once its unit signs again, a signed zero receipt ends a register's outage by itself."""
		receipts = self.receipts[register["_id"]]
		unit = next((unit for unit in self.units.values() if unit["state"] == "INITIALIZED"), None)
		if unit and receipts and not receipts[-1]["signed"] and not self.options.get("outage"):
			live = register["_env"] == "LIVE"
			self._sign(register, unit, CLEARANCE, {}, str(uuid.uuid4()), live, {}, clears=True)

	def _sign(self, register, unit, kind, raw, name, live, metadata, schema=None, clears=False) -> dict:
		if not clears:
			self._clear(register)
		receipts = self.receipts[register["_id"]]
		serial, number = register["serial_number"], str(len(receipts) + 1)
		moment = self.clock.now()
		turnover = sum(raw.values(), Decimal(0))
		for entry in receipts:
			if entry["receipt_type"] != "TRAINING":
				turnover += sum(Decimal(value) for value in entry["schema"]["raw"].values())
		if kind in ("CANCELLATION", "TRAINING"):
			counter = {"CANCELLATION": b"STO", "TRAINING": b"TRA"}[kind]
		else:
			counter = self._encrypted(serial + number, int(turnover * 100))
		previous = receipts[-1]["_jws"] if receipts else serial
		fields = [
			"",
			SUITE,
			serial,
			number,
			moment.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M:%S"),
			*(f"{raw.get(rate, Decimal(0)):.2f}".replace(".", ",") for rate in AMOUNTS),
			_base64(counter),
			unit["certificate_serial_number"],
			_base64(hashlib.sha256(previous.encode()).digest()[:8]),
		]
		payload = "_".join(fields)
		signed = not self.options.get("outage")
		head = f"{JWS_HEAD}.{_base64url(payload.encode())}"
		signature = self._signature(head) if signed else FAILED
		receipt = {
			"_id": name,
			**self._env(live, "RECEIPT"),
			"receipt_type": kind,
			"receipt_number": number,
			"time_signature": int(moment.timestamp()),
			"cash_register_serial_number": serial,
			"cash_register_id": register["_id"],
			"signature_creation_unit_id": unit["_id"],
			"qr_code_data": f"{payload}_{_base64(signature)}",
			"signed": signed,
			"schema": {
				**(schema or {}),
				"raw": {field: f"{raw.get(rate, Decimal(0)):.2f}" for rate, field in FIELDS.items()},
			},
			"hints": [] if signed else [FAILED.decode()],
			"metadata": metadata,
			"_jws": f"{head}.{_base64url(signature)}",
		}
		receipts.append(receipt)
		return receipt

	def _signature(self, head: str) -> bytes:
		r, s = decode_dss_signature(self.signing_key.sign(head.encode(), ec.ECDSA(hashes.SHA256())))
		return r.to_bytes(32, "big") + s.to_bytes(32, "big")

	def _encrypted(self, base: str, cents: int) -> bytes:
		"""The turnover counter: AES-256 in counter mode over the cents, as the RKSV has it."""
		start = hashlib.sha256(base.encode()).digest()[:16]
		block = cents.to_bytes(COUNTER_BYTES, "big", signed=True) + bytes(16 - COUNTER_BYTES)
		encryptor = Cipher(algorithms.AES(self.counter_key), modes.CTR(start)).encryptor()
		return (encryptor.update(block) + encryptor.finalize())[:COUNTER_BYTES]

	def _export(self, name, query):
		register = self.registers.get(_uuid4(name))
		if not register:
			raise Refusal(404, "E_NOT_FOUND", "no such cash register")
		start = int((query.get("start_time_signature") or ["0"])[0])
		end = int((query.get("end_time_signature") or [str(2**40)])[0])
		der = self.certificate.public_bytes(serialization.Encoding.DER)
		return Answer(
			200,
			{
				"Belege-Gruppe": [
					{
						"Signaturzertifikat": base64.b64encode(der).decode(),
						"Zertifizierungsstellen": [],
						"Belege-kompakt": [
							entry["_jws"]
							for entry in self.receipts[register["_id"]]
							if start <= entry["time_signature"] <= end
						],
					}
				]
			},
		)


def _base64(value: bytes) -> str:
	return base64.b64encode(value).decode()


def _base64url(value: bytes) -> str:
	return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _uuid4(text: str) -> str:
	try:
		if uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text:
			return text
	except ValueError:
		pass
	raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "params should be a UUID v4")


def _amount(text, decimals=2) -> Decimal:
	try:
		found = Decimal(str(text))
		if not isinstance(text, str) or not re.fullmatch(rf"-?\d+\.\d{{2,{decimals}}}", text):
			raise InvalidOperation
		return found
	except InvalidOperation:
		raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", f"{text!r} should match pattern 0.00") from None


def _raw_of(schema: dict) -> dict[str, Decimal]:
	"""The gross amounts by rate of a receipt's schema, checked."""
	if len(schema) != 1:
		raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "body.schema should match exactly one schema")
	if "raw" in schema:
		return {rate: _amount(schema["raw"].get(field, "0.00")) for rate, field in FIELDS.items()}
	body = schema.get("standard_v1")
	if not isinstance(body, dict):
		raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "body.schema should have standard_v1 or raw")
	found: dict[str, Decimal] = {}
	for entry in body.get("amounts_per_vat_rate") or []:
		if entry.get("vat_rate") not in FIELDS or entry["vat_rate"] in found:
			raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "vat_rate should be equal to one of the values")
		found[entry["vat_rate"]] = _amount(entry.get("amount"))
	paid = sum(
		(_amount(entry.get("amount"), 26) for entry in body.get("amounts_per_payment_type") or []), Decimal(0)
	)
	for entry in body.get("amounts_per_payment_type") or []:
		if entry.get("payment_type") not in ("CASH", "NON_CASH"):
			raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "payment_type should be CASH or NON_CASH")
	if not found or paid != sum(found.values()):
		raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "amounts per payment type and per VAT rate differ")
	for entry in body.get("line_items") or []:
		if not entry.get("text"):
			raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "line_items.text is required")
		_amount(entry.get("price_per_unit"), 5)
	if not body.get("line_items"):
		raise Refusal(400, "E_FAILED_SCHEMA_VALIDATION", "line_items should not be empty")
	return found
