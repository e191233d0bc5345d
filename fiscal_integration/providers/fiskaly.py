"""fiskaly SIGN AT v1: receipts of Austrian cash registers, signed as the RKSV wants (providers/fiskaly.md).

A receipt's UUID is the idempotency: it is made and stored before the call, and the same receipt goes under it again.
"""

import hashlib
import json
import uuid
from datetime import date, datetime, time, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from fiscal_integration.fiscal.austria import rates, rksv
from fiscal_integration.fiscal.errors import ErrorClass, Failure, Problem
from fiscal_integration.fiscal.invoice import DocumentKind, Invoice, PaymentKind, TaxCategory
from fiscal_integration.fiscal.money import CENT, ZERO, plain, quantize
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus
from fiscal_integration.fiscal.words import say
from fiscal_integration.providers.base import (
	PRODUCTION,
	SECRET_KEY,
	TEST,
	Account,
	Capabilities,
	Credentials,
	Device,
	Lookup,
	Outcome,
	Parameter,
	Payload,
	Ping,
	Provider,
)
from fiscal_integration.providers.http import Response

URL = "https://rksv.fiskaly.com/api/v1"
MANAGEMENT_URL = "https://dashboard.fiskaly.com/api/v0"
COUNTRY = "AUT"
KEY_NAME = "erp-{0}-{1}"
PAGE = 100
ENVIRONMENTS = {"TEST": TEST, "LIVE": PRODUCTION}
ZONE = ZoneInfo("Europe/Vienna")
STANDARD_V1, RAW = "standard_v1", "raw"
NORMAL, CANCELLATION, TRAINING = "NORMAL", "CANCELLATION", "TRAINING"
CASH, NON_CASH = "CASH", "NON_CASH"
OUTSIDE = (PaymentKind.TRANSFER, PaymentKind.CREDIT)
"""Payments that no cash register records: a bank transfer, and what is still owed."""
RAW_FIELDS = {
	rksv.STANDARD: "gross_amount_standard",
	rksv.REDUCED_1: "gross_amount_reduced_1",
	rksv.REDUCED_2: "gross_amount_reduced_2",
	rksv.SPECIAL: "gross_amount_special",
	rksv.NULL: "gross_amount_zero",
}
OWN_TYPES = (
	"INITIALIZATION",
	"DECOMMISSION",
	"MONTHLY_CLOSE",
	"YEARLY_CLOSE",
	"SIGNATURE_CREATION_UNIT_FAULT_CLEARANCE",
)
"""What fiskaly makes by itself: listed, archived, and never sent."""
RENEW_SECONDS = 60
TOKEN = "fiskaly"
WAIT_FOR_FON = 300.0
ABSENT = "not_found"
UNREADABLE = "The answer of fiskaly could not be read. Press the step again."


class Fiskaly(Provider):
	"""PUT /cash-register/{id}/receipt/{uuid} signs one receipt."""

	key = "fiskaly"
	label = "fiskaly SIGN AT"
	countries = frozenset(("AT",))
	# One address; the key decides between TEST and LIVE, and every answer says which it was.
	urls = {TEST: URL, PRODUCTION: URL}
	capabilities = Capabilities(
		ordered=True, registers=True, organizations=True, max_concurrent=4, absence_grace=30
	)
	correlation_header = "x-request-id"
	ready_states = {
		"authority": "AUTHENTICATED",
		"unit": "INITIALIZED",
		"register": "INITIALIZED",
		"first_receipt": "SUCCESS",
		"ended": "DECOMMISSIONED DEFECTIVE",
	}
	parameters = (
		Parameter(SECRET_KEY, "API Secret", required=True, secret=True),
		Parameter("api_key", "API Key", required=True, secret=True, help="Of the managed organization."),
		Parameter(
			"schema",
			"Receipts As",
			default=STANDARD_V1,
			options=(STANDARD_V1, RAW),
			help="standard_v1 with the items and payments, raw with the amounts per rate alone.",
		),
		Parameter(
			"basic_food_field",
			"4.9 % Goes Into",
			default=rksv.SPECIAL,
			options=rksv.ORDER,
			help="The amount that takes sales of basic foodstuffs. Change it only when fiskaly says so.",
		),
	)

	def __init__(self, *arguments, **options):
		super().__init__(*arguments, **options)
		self._account: tuple[str, str] | None = None

	# -- settings ----------------------------------------------------------------------------------------

	def ping(self):
		token = self._token(fresh=True)
		if isinstance(token, Failure):
			return Ping(False, token.message)
		fon = self._call("ping", "GET", "/fon/auth")
		if isinstance(fon, Failure):
			return Ping(False, fon.message)
		return Ping(
			True,
			"Connection successful",
			(("FinanzOnline", str(fon.get("authentication_status") or "UNAUTHENTICATED")),),
		)

	# -- organization and key, by the Management API -------------------------------------------------------

	def make_organization(self, account, reference, details):
		found = self._manage(account, "GET", "/organizations", pages=True)
		if isinstance(found, Failure):
			return Device(failure=found)
		ours = next(
			(entry for entry in found if (entry.get("metadata") or {}).get("reference") == reference), None
		)
		if ours is None:
			above = self._account_token(account)
			if isinstance(above, Failure):
				return Device(failure=above)
			body = {
				"name": details["name"][:100],
				"address_line1": details["address"],
				"zip": details["postal_code"],
				"town": details["city"],
				"country_code": COUNTRY,
				"managed_by_organization_id": above[1],
				"metadata": {"reference": reference},
			}
			if details.get("vat_id"):
				body["vat_id"] = details["vat_id"]
			ours = self._manage(account, "POST", "/organizations", body)
			if isinstance(ours, Failure):
				return Device(failure=ours)
		name = str(ours.get("_id") or "")
		if not name:
			return Device(failure=Failure(ErrorClass.TRANSIENT, UNREADABLE, "unreadable"))
		wanted = next(key for key, value in ENVIRONMENTS.items() if value == self.connection.environment)
		if wanted not in (ours.get("_envs") or []):
			enabled = self._manage(account, "POST", f"/organizations/{name}/enable-env", {"env": wanted})
			if isinstance(enabled, Failure):
				return Device(failure=enabled)
		return Device(name)

	def make_credentials(self, account, organization, reference):
		path = f"/organizations/{organization}/api-keys"
		found = self._manage(account, "GET", path, pages=True)
		if isinstance(found, Failure):
			return Credentials(failure=found)
		stem = KEY_NAME.format(reference[:8], "")
		lost = sorted(
			str(entry.get("name"))
			for entry in found
			if str(entry.get("name") or "").startswith(stem) and entry.get("status") != "disabled"
		)
		number = sum(str(entry.get("name") or "").startswith(stem) for entry in found) + 1
		made = self._manage(account, "POST", path, {"name": f"{stem}{number}", "status": "enabled"})
		if isinstance(made, Failure):
			return Credentials(failure=made)
		key, secret = str(made.get("key") or ""), str(made.get("secret") or "")
		if not key or not secret:
			return Credentials(failure=Failure(ErrorClass.TRANSIENT, UNREADABLE, "unreadable"))
		message = (
			say("Disable these keys in fiskaly's Dashboard, nobody has their secrets: {0}.", ", ".join(lost))
			if lost
			else ""
		)
		return Credentials({"api_key": Secret(key), SECRET_KEY: Secret(secret)}, message)

	@property
	def _management_url(self) -> str:
		"""fiskaly's own; of any other server, such as the sandbox, beside the API that signs."""
		if self.connection.server_url == URL:
			return MANAGEMENT_URL
		return f"{self.connection.server_url.rsplit('/', 1)[0]}/v0"

	def _account_token(self, account: Account) -> tuple[str, str] | Failure:
		"""An access token of the account, and the id of its organization. Kept nowhere but here."""
		if self._account is None:
			answer = self.call(
				"token",
				"POST",
				f"{self._management_url}/auth",
				headers={"Content-Type": "application/json"},
				body=json.dumps({"api_key": account.key.reveal(), "api_secret": account.secret.reveal()}),
			)
			if isinstance(answer, Failure):
				return answer
			found = answer.json() or {}
			claims = found.get("access_token_claims") or {}
			if answer.status != 200 or not found.get("access_token") or not claims.get("organization_id"):
				return failure_of(answer, issuing=False)
			wrong = self._other_environment({"_env": claims.get("env")})
			if wrong:
				return wrong
			self._account = (str(found["access_token"]), str(claims["organization_id"]))
		return self._account

	def _manage(
		self, account: Account, method: str, path: str, body: dict | None = None, pages: bool = False
	) -> dict | list[dict] | Failure:
		"""An answer of the Management API; with `pages` all entries of a list."""
		token = self._account_token(account)
		if isinstance(token, Failure):
			return token
		headers = {"Authorization": f"Bearer {token[0]}", "Content-Type": "application/json"}
		entries: list[dict] = []
		while True:
			query = f"?limit={PAGE}&offset={len(entries)}" if pages else ""
			answer = self.call(
				"setup",
				method,
				f"{self._management_url}{path}{query}",
				headers=headers,
				body=json.dumps(body) if body is not None else "",
			)
			if isinstance(answer, Failure):
				return answer
			found = answer.json()
			if not 200 <= answer.status < 300 or found is None:
				return failure_of(answer, issuing=False)
			if not pages:
				return found
			page = found.get("data") or []
			entries += page
			if len(page) < PAGE:
				return entries

	# -- set-up ------------------------------------------------------------------------------------------

	def authority(self, credentials):
		if credentials is None:
			found = self._call("setup", "GET", "/fon/auth")
		else:
			found = self._call("setup", "PUT", "/fon/auth", json.dumps(credentials))
		if isinstance(found, Failure):
			return Device(failure=found)
		return Device(str(found.get("authentication_status") or "UNAUTHENTICATED"))

	def advance_unit(self, unit, legal_entity, name):
		path = f"/signature-creation-unit/{unit}"
		found = self._call("setup", "GET", path)
		if isinstance(found, Failure) and found.code == ABSENT:
			kind = (
				"vat_id" if legal_entity.startswith("ATU") else "gln" if len(legal_entity) == 13 else "tax_id"
			)
			body = {"legal_entity_id": {kind: legal_entity}, "legal_entity_name": name[:255]}
			return self._device(self._call("setup", "PUT", path, json.dumps(body)))
		if not isinstance(found, Failure) and found.get("state") == "CREATED":
			found = self._call("setup", "PATCH", path, json.dumps({"state": "INITIALIZED"}))
		return self._device(found)

	def advance_register(self, register, description):
		path = f"/cash-register/{register}"
		found = self._call("setup", "GET", path)
		if isinstance(found, Failure) and found.code == ABSENT:
			return self._device(
				self._call("setup", "PUT", path, json.dumps({"description": description[:100]}))
			)
		following = {"CREATED": "REGISTERED", "REGISTERED": "INITIALIZED", "OUTAGE": "INITIALIZED"}
		if not isinstance(found, Failure) and found.get("state") in following:
			found = self._call("setup", "PATCH", path, json.dumps({"state": following[found["state"]]}))
		return self._device(found)

	def end_register(self, register):
		return self._device(
			self._call(
				"setup", "PATCH", f"/cash-register/{register}", json.dumps({"state": "DECOMMISSIONED"})
			)
		)

	@staticmethod
	def _device(found) -> Device:
		if isinstance(found, Failure):
			return Device(failure=found)
		return Device(str(found.get("state") or ""), str(found.get("serial_number") or ""))

	def first_receipt(self, register):
		path = f"/cash-register/{register}"
		found = self._call("setup", "GET", path)
		if isinstance(found, Failure):
			return Device(failure=found)
		receipt = str(found.get("initialization_receipt_id") or "")
		if not receipt:
			return Device()
		path = f"{path}/receipt/{receipt}"
		found = self._call("setup", "GET", path)
		if isinstance(found, Failure):
			return Device(failure=found)
		told = found.get("fon_validations") or []
		if not told:
			found = self._call("setup", "POST", f"{path}/validation")
			if isinstance(found, Failure):
				return Device(failure=found)
			told = [found]
		return Device(str(told[-1].get("validation_result") or ""))

	def archive(self, register, start, end):
		"""DEP7: all receipts of these days in Vienna, compact and signed."""
		first = int(datetime.combine(start, time.min, ZONE).timestamp())
		last = int(datetime.combine(end, time.max, ZONE).timestamp())
		return self._call(
			"export",
			"GET",
			f"/cash-register/{register}/export?start_time_signature={first}&end_time_signature={last}",
		)

	def closings(self, register):
		query = "&".join(f"receipt_types={kind}" for kind in OWN_TYPES)
		found = self._call(
			"list",
			"GET",
			f"/cash-register/{register}/receipt?order_by=receipt_number&order=DESC&limit=100&offset=0&{query}",
		)
		if isinstance(found, Failure):
			return found
		return [
			{
				"type": str(entry.get("receipt_type") or ""),
				"number": str(entry.get("receipt_number") or ""),
				"time": datetime.fromtimestamp(int(entry.get("time_signature") or 0), ZONE).isoformat(),
				"signed": bool(entry.get("signed")),
			}
			for entry in found.get("data") or []
		]

	# -- before sending ----------------------------------------------------------------------------------

	def not_needed(self, invoice):
		if invoice.payments and all(payment.kind in OUTSIDE for payment in invoice.payments):
			return "Paid by bank transfer: outside of the RKSV, no receipt is signed."
		if not invoice.payments and invoice.on_credit:
			return "Nothing was paid in cash or by card: outside of the RKSV, no receipt is signed."
		return ""

	def validate(self, invoice, now):
		problems: list[Problem | None] = []
		if not invoice.coordinates or not invoice.coordinates.register:
			problems.append(
				Problem(
					"This till has no cash register at fiskaly: open its Fiscal Point of Sale and set it up.",
					code="no_register",
					stops_sale=False,
				)
			)
		if invoice.currency != "EUR":
			problems.append(
				Problem(say("A receipt has to be in EUR, not in {0}.", invoice.currency), field="currency")
			)
		for line in invoice.lines:
			problems += [self._wrong_rate(line, tax, supplied_on(invoice)) for tax in line.taxes]
			if len([tax for tax in line.taxes if tax.rate]) > 1:
				problems.append(Problem(say("Row {0} has VAT twice.", line.row), field="taxes"))
		problems = [problem for problem in problems if problem]
		if not problems and abs(sum(by_rate(invoice).values(), ZERO) - invoice.total) > CENT:
			problems.append(
				Problem(
					"The rows with their tax do not make the total. Check the tax rows and item rates.",
					code="total_differs",
					field="grand_total",
				)
			)
		return problems

	@staticmethod
	def _wrong_rate(line, tax, day) -> Problem | None:
		rate = rates.find(tax.rate)
		if rate and rate.counts_on(day) and tax.category is TaxCategory.VAT and not tax.withheld:
			return None
		if rate and rate.since and day < rate.since:
			text = say(
				"Row {0}: {1} counts for supplies from {2} on, and this one is of {3}. Choose the rate of that day.",
				line.row,
				rates.percent(tax.rate),
				rate.since.isoformat(),
				day.isoformat(),
			)
		else:
			text = say(
				"Row {0}: {1} % {2} is none of Austria's rates of {3}: {4}. Correct the tax of the row.",
				line.row,
				plain(tax.rate * 100),
				tax.name,
				day.isoformat(),
				", ".join(rates.percent(entry.fraction) for entry in rates.in_force(day)),
			)
		return Problem(text, field="taxes")

	def build(self, invoice, reference, idempotency_key, now):
		sign = Decimal(-1) if invoice.kind is DocumentKind.CREDIT_NOTE else Decimal(1)
		kind = NORMAL
		if invoice.coordinates.training:
			kind = TRAINING
		elif invoice.kind is DocumentKind.CREDIT_NOTE:
			kind = CANCELLATION
		taxed = {rate: sign * amount for rate, amount in share(by_rate(invoice), cash_part(invoice)).items()}
		amounts = self._fields(taxed)
		total = sum(amounts.values(), ZERO)
		if self.parameter("schema") == RAW:
			schema = {RAW: {field: _cents(amounts.get(rate, ZERO)) for rate, field in RAW_FIELDS.items()}}
		else:
			schema = {STANDARD_V1: self._standard(invoice, amounts, total, sign)}
		body = {"receipt_type": kind, "schema": schema, "metadata": {"reference": reference[:40]}}
		receipt = str(uuid.UUID(bytes=hashlib.sha256(idempotency_key.encode()).digest()[:16], version=4))
		register = invoice.coordinates.register
		frozen = {
			"register": register,
			"receipt": receipt,
			"amounts": {rate: _cents(amount) for rate, amount in amounts.items()},
			"rates": {plain(rate): _cents(amount) for rate, amount in taxed.items()},
			"request": body,
		}
		return Payload(
			json.dumps(frozen, ensure_ascii=False, separators=(",", ":")),
			Expected(
				document_type=kind,
				total=total,
				currency="",
				receiver="",
				environment=self.connection.environment,
				number=f"{register}/{receipt}",
			),
			provider_id=f"{register}/{receipt}",
		)

	def _fields(self, taxed: dict[Decimal, Decimal]) -> dict[str, Decimal]:
		"""The amounts by rate as fiskaly takes them: by field of the RKSV, which several rates may share."""
		found: dict[str, Decimal] = {}
		for fraction, amount in taxed.items():
			rate = rates.find(fraction)
			name = rate.field if rate else rksv.NULL
			if fraction == rates.BASIC_FOOD:
				name = self.parameter("basic_food_field")
			found[name] = found.get(name, ZERO) + amount
		return found

	@classmethod
	def gross_by_rate(cls, payload, stamps):
		"""From the request, since a field of the RKSV does not tell its rate; by the fields' names where the signed
		amounts are others than those that we asked for."""
		signed = {
			name: Decimal(stamps[f"gross_{name.lower()}"])
			for name in rksv.ORDER
			if stamps.get(f"gross_{name.lower()}")
		}
		frozen = json.loads(payload or "{}")
		ours = {name: Decimal(amount) for name, amount in (frozen.get("amounts") or {}).items()}
		if "rates" in frozen and {name: amount for name, amount in ours.items() if amount} == signed:
			return [
				(rates.percent(Decimal(rate)), Decimal(amount))
				for rate, amount in frozen["rates"].items()
				if Decimal(amount)
			]
		return [(rksv.FIELDS[name], amount) for name, amount in signed.items()]

	def _standard(self, invoice, amounts, total, sign) -> dict:
		paid = payments(invoice)
		return {
			"amounts_per_vat_rate": [
				{"vat_rate": rate, "amount": _cents(amount)} for rate, amount in amounts.items()
			]
			or [{"vat_rate": rksv.NULL, "amount": "0.00"}],
			"amounts_per_payment_type": [
				{"payment_type": name, "amount": _cents(sign * amount)}
				for name, amount in paid.items()
				if amount
			]
			or [{"payment_type": CASH, "amount": "0.00"}],
			"line_items": [
				{
					"quantity": f"{sign * line.quantity:.3f}",
					"text": line.description[:255],
					"price_per_unit": _cents(_gross(line) / line.quantity if line.quantity else ZERO),
				}
				for line in invoice.lines
			],
		}

	# -- calls -------------------------------------------------------------------------------------------

	def issue(self, body):
		frozen = json.loads(body)
		found = self._call(
			"issue",
			"PUT",
			f"/cash-register/{frozen['register']}/receipt/{frozen['receipt']}",
			json.dumps(frozen["request"], ensure_ascii=False, separators=(",", ":")),
			issuing=True,
		)
		if isinstance(found, Failure):
			return Outcome(failure=found)
		document = receipt_of(found)
		if not document:
			return Outcome(
				failure=Failure(
					ErrorClass.UNKNOWN,
					"fiskaly answered that it succeeded, but without a receipt that can be read.",
					"unreadable_answer",
				)
			)
		wrong = _other_amounts(found, frozen["amounts"])
		if wrong:
			return Outcome(failure=Failure(ErrorClass.UNKNOWN, wrong, "other_amounts"))
		return Outcome(document=document)

	def reconcile(self, reference, provider_id=""):
		register, _, receipt = provider_id.partition("/")
		found = self._call("reconcile", "GET", f"/cash-register/{register}/receipt/{receipt}")
		if isinstance(found, Failure):
			return Lookup() if found.code == ABSENT else Lookup(failure=found)
		document = receipt_of(found)
		if not document:
			return Lookup(
				failure=Failure(ErrorClass.TRANSIENT, "The receipt could not be read.", "unreadable")
			)
		return Lookup((document,))

	def _call(
		self, operation: str, method: str, path: str, body: str = "", issuing: bool = False
	) -> dict | Failure:
		"""An answer's object, with the access token renewed once when it ended."""
		for fresh in (False, True):
			token = self._token(fresh)
			if isinstance(token, Failure):
				return token
			headers = {"Authorization": f"Bearer {token}"}
			if body:
				headers["Content-Type"] = "application/json"
			answer = self.call(operation, method, path, headers=headers, body=body)
			if isinstance(answer, Failure):
				return answer
			if answer.status != 401:
				break
		found = answer.json()
		if 200 <= answer.status < 300 and found is not None:
			if "Belege-Gruppe" in found:
				# The export is the law's own format, and tells no environment; the token has told it.
				return found
			return self._other_environment(found) or found
		return failure_of(answer, issuing)

	def _token(self, fresh: bool = False) -> str | Failure:
		token = "" if fresh else self.tokens.get(TOKEN)
		if token:
			return token
		self.tokens.drop(TOKEN)
		answer = self.call(
			"token",
			"POST",
			"/auth",
			headers={"Content-Type": "application/json"},
			body=json.dumps(
				{
					"api_key": self.connection.secret("api_key").reveal(),
					"api_secret": self.connection.secret().reveal(),
				}
			),
		)
		if isinstance(answer, Failure):
			# Nothing of the receipt was sent yet.
			return Failure(ErrorClass.TRANSIENT, answer.message, answer.code, down=answer.down)
		found = answer.json() or {}
		token = str(found.get("access_token") or "")
		if answer.status != 200 or not token:
			failure = failure_of(answer, issuing=False)
			return failure
		claims = found.get("access_token_claims") or {}
		wrong = self._other_environment({"_env": claims.get("env")})
		if wrong:
			return wrong
		seconds = float(found.get("access_token_expires_in") or 0) - RENEW_SECONDS
		if seconds > 0:
			self.tokens.put(TOKEN, token, seconds)
		return token

	def _other_environment(self, found: dict) -> Failure | None:
		told = ENVIRONMENTS.get(str(found.get("_env") or ""))
		if told == self.connection.environment:
			return None
		return Failure(
			ErrorClass.CONFIGURATION,
			say(
				"The API key belongs to {0}, the settings say {1}. Nothing more is sent until they agree.",
				told or say("an unknown environment"),
				self.connection.environment,
			),
			"other_environment",
		)


def failure_of(answer: Response, issuing: bool) -> Failure:
	"""The failure of an error answer (providers/fiskaly.md#errors)."""
	body = answer.json() or {}
	code = str(body.get("code") or "")
	message = str(body.get("message") or "").strip()
	if answer.status == 404 and code:
		return Failure(ErrorClass.REJECTED, message or "fiskaly has no such receipt.", ABSENT)
	if "TIMEOUT" in code or "PROCESSING" in code or code == "E_FON_SESSION_LIMIT":
		# FinanzOnline allows few sessions: minutes, not seconds.
		return Failure(
			ErrorClass.UNKNOWN if issuing else ErrorClass.TRANSIENT,
			message or "FinanzOnline is busy.",
			code,
			WAIT_FOR_FON,
		)
	if answer.status == 409:
		return Failure(ErrorClass.DUPLICATE, message or "fiskaly has another receipt of this id.", code)
	if "NOT_INITIALIZED" in code or "DEACTIVATED" in code:
		return Failure(
			ErrorClass.CONFIGURATION,
			say(
				"The cash register or signature creation unit is not ready: finish its set-up. ({0})", message
			),
			code,
		)
	return Fiskaly.by_status(answer, issuing, message, code)


# -- amounts ---------------------------------------------------------------------------------------------


def supplied_on(invoice: Invoice) -> date:
	"""The day whose tax rates count."""
	return invoice.supplied_on or invoice.issued_at.astimezone(ZONE).date()


def by_rate(invoice: Invoice) -> dict[Decimal, Decimal]:
	"""Gross amounts of the whole invoice by rate (a fraction), which sum to its total to the cent.

	What is given back in it, such as a deposit, nets within its rate, so that an amount may be negative.
	"""
	exact: dict[Decimal, Decimal] = {}
	for line in invoice.lines:
		rate = max((tax.rate for tax in line.taxes), default=ZERO)
		exact[rate] = exact.get(rate, ZERO) + _gross(line)
	total = sum(exact.values(), ZERO)
	wanted = invoice.total if abs(total - invoice.total) <= CENT else quantize(total)
	return _rounded(exact, wanted)


def share(whole: dict[Decimal, Decimal], part: Decimal) -> dict[Decimal, Decimal]:
	"""`part` of the whole, spread over the rates as the whole is, to the cent."""
	total = sum(whole.values(), ZERO)
	if part == total:
		# Also of a sale that what is given back makes zero: its rates are not.
		return whole
	if not total:
		return dict.fromkeys(whole, ZERO)
	return _rounded({rate: amount * part / total for rate, amount in whole.items()}, part)


def _rounded(exact: dict[Decimal, Decimal], total: Decimal) -> dict[Decimal, Decimal]:
	"""Each amount in cents, and their sum `total`: those that rounding moved farthest take what it leaves.

	Turning all signs turns all results.
	"""
	cents = {rate: quantize(amount) for rate, amount in exact.items()}
	left = total - sum(cents.values(), ZERO)
	step = CENT.copy_sign(left)
	by_rest = sorted(exact, key=lambda rate: ((exact[rate] - cents[rate]) * step, rate), reverse=True)
	for index in range(int(abs(left) / CENT)):
		cents[by_rest[index % len(by_rest)]] += step
	return cents


def cash_part(invoice: Invoice) -> Decimal:
	"""What was paid in cash or by card: at most the total, all of it where nobody says how it was paid.

	Of a sale in which more is given back than sold all of it counts: ERPNext takes no negative payments.
	"""
	outside = sum((payment.amount for payment in invoice.payments if payment.kind in OUTSIDE), ZERO)
	inside = sum((payment.amount for payment in invoice.payments if payment.kind not in OUTSIDE), ZERO)
	if invoice.total > 0 and (invoice.on_credit or outside):
		return min(inside, invoice.total)
	return invoice.total


def payments(invoice: Invoice) -> dict[str, Decimal]:
	"""The part of the cash register by CASH and NON_CASH, which sum to it."""
	total = cash_part(invoice)
	cash = sum((payment.amount for payment in invoice.payments if payment.kind is PaymentKind.CASH), ZERO)
	cards = sum(
		(
			payment.amount
			for payment in invoice.payments
			if payment.kind is not PaymentKind.CASH and payment.kind not in OUTSIDE
		),
		ZERO,
	)
	if total <= 0 or (not cash and not cards):
		return {CASH: total, NON_CASH: ZERO}
	cards = min(cards, total) if cash else total
	return {CASH: total - cards, NON_CASH: cards}


def _gross(line) -> Decimal:
	return line.net + sum((tax.amount for tax in line.taxes), ZERO)


def _cents(value: Decimal) -> str:
	# Plus zero, so that no amount is written as -0.00.
	return str(quantize(value) + ZERO)


# -- receipts --------------------------------------------------------------------------------------------


def receipt_of(found: dict) -> RemoteDocument | None:
	"""A receipt of fiskaly's; None without a number, a code that can be read, or where both tell other amounts."""
	number, serial = (
		str(found.get("receipt_number") or ""),
		str(found.get("cash_register_serial_number") or ""),
	)
	raw = (found.get("schema") or {}).get(RAW)
	if not number or not serial or not isinstance(raw, dict):
		return None
	try:
		code = rksv.parse(str(found.get("qr_code_data") or ""))
		amounts = {rate: Decimal(str(raw.get(field) or "0")) for rate, field in RAW_FIELDS.items()}
		signed_at = datetime.fromtimestamp(int(found.get("time_signature")), timezone.utc)
	except (rksv.BadCode, ArithmeticError, TypeError, ValueError):
		return None
	if code.amounts != amounts or code.number != number or code.register != serial:
		return None
	hints = [str(hint) for hint in found.get("hints") or []]
	signed = bool(found.get("signed"))
	if not signed and rksv.OUTAGE not in hints:
		hints.append(rksv.OUTAGE)
	stamps = {
		"receipt_number": number,
		"cash_register_serial_number": serial,
		"receipt_type": str(found.get("receipt_type") or ""),
		"signed": "1" if signed else "0",
		"hints": "; ".join(hints),
		**{f"gross_{rate.lower()}": _cents(amount) for rate, amount in amounts.items() if amount},
	}
	return RemoteDocument(
		status=RemoteStatus.ISSUED,
		provider_id=f"{found.get('cash_register_id')}/{found.get('_id')}",
		fiscal_id=f"{serial}-{number}",
		document_type=str(found.get("receipt_type") or ""),
		total=sum(amounts.values(), ZERO),
		environment=ENVIRONMENTS.get(str(found.get("_env") or ""), ""),
		number=f"{found.get('cash_register_id')}/{found.get('_id')}",
		authorization_number=number,
		authorized_at=signed_at,
		issued_at=signed_at,
		qr_value=code.text,
		stamps=tuple((key, value) for key, value in stamps.items() if value),
	)


def _other_amounts(found: dict, ours: dict[str, str]) -> str:
	raw = (found.get("schema") or {}).get(RAW) or {}
	for rate, field in RAW_FIELDS.items():
		if Decimal(str(raw.get(field) or "0")) != Decimal(ours.get(rate, "0.00")):
			return say(
				"fiskaly signed other amounts than ours: {0} {1}, ours {2}.",
				rate,
				raw.get(field),
				ours.get(rate),
			)
	return ""
