"""Conteo, API v1, and the PDF from its G-Force Gateway: invoices for Panama (providers/conteo.md#api-v1).

What the public text leaves open is a parameter, or is handled either way; docs/conteo.md lists it.
"""

import base64
import binascii
import hashlib
import json
import re
from datetime import date
from decimal import Decimal
from urllib.parse import quote

from fiscal_integration.fiscal.errors import ErrorClass, ErrorRule, Failure, Problem
from fiscal_integration.fiscal.invoice import DocumentKind, Line, Party, TaxCategory
from fiscal_integration.fiscal.money import CENT, MICRO, ZERO, decimal, number, quantize
from fiscal_integration.fiscal.panama import cufe, ruc
from fiscal_integration.fiscal.panama.document import split
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus
from fiscal_integration.fiscal.words import say
from fiscal_integration.providers.base import (
	PRODUCTION,
	SECRET_KEY,
	TEST,
	WEBHOOK_SECRET,
	Capabilities,
	Download,
	Lookup,
	Outcome,
	Parameter,
	Payload,
	Ping,
	Provider,
	WebhookEvent,
)
from fiscal_integration.providers.http import Response, check_url

URL = "https://api.conteo.me/v1"
RATES = tuple(Decimal(rate) / 100 for rate in (0, 7, 10, 15))
PERCENT, FRACTION = "Percent", "Fraction"
CURRENCIES = ("PAB", "USD")
PING_ID = "ping-does-not-exist"
SIGNATURE_PREFIX = "sha256="
DOWNLOAD_PDF = "/DownloadPDF"
GATEWAY_BAD_TOKEN = "101"
GATEWAY_SECRETS = ("gateway_key", "gateway_token", "pac_password")
GATEWAY_NEEDS = ("gateway_key", "gateway_company", "gateway_token", "pac_user", "pac_password")

STATUSES = {
	"completed": RemoteStatus.ISSUED,
	"pending": RemoteStatus.PENDING,
	"failed": RemoteStatus.FAILED,
}
ENVIRONMENTS = {"1": PRODUCTION, "2": TEST}
UNAUTHORIZED = ErrorRule(
	ErrorClass.CONFIGURATION, "Conteo does not accept the API key. Enter the key of this environment anew."
)
ABSENT = "NOT_FOUND"
EXAMPLE_RUC = re.compile(r"J-[0-9]{1,2}-[0-9]{1,6}-[0-9]{1,2}")
"""The form of a customer's RUC in Conteo's public example (J-8-56789-1), which is none of the DGI's."""


class Conteo(Provider):
	"""POST /invoices makes an invoice and hands it to the SFEP; what takes long comes back as pending."""

	key = "conteo"
	label = "Conteo"
	countries = frozenset(("PA",))
	# No address of its own is told for tests: the key decides.
	urls = {TEST: URL, PRODUCTION: URL}
	capabilities = Capabilities(webhook=True, pdf=True, max_concurrent=4, absence_grace=300)
	webhook_header = "x-conteo-signature"
	parameters = (
		Parameter(SECRET_KEY, "API Key", required=True, secret=True, help="Conteo shows it in its portal."),
		Parameter(
			WEBHOOK_SECRET,
			"Webhook Secret",
			secret=True,
			help="What Conteo signs its webhooks with. Without it no webhook is accepted.",
		),
		Parameter(
			"certificate_valid_until",
			"Certificate Valid Until",
			help="The day on which the issuer's certificate at Conteo ends, as 2027-03-31. You are told before.",
		),
		Parameter(
			"itbms_rate_form",
			"ITBMS Rates As",
			default=PERCENT,
			options=(PERCENT, FRACTION),
			help="How itbms_rate tells 7 %: as 7 or as 0.07. Conteo's public pages do not say.",
		),
		Parameter("walk_in_name", "Name of Walk-In Customers", default="CONSUMIDOR FINAL"),
		Parameter(
			"walk_in_ruc",
			"RUC of Walk-In Customers",
			help="Blank: none is sent. Only if Conteo asks for one.",
		),
		Parameter(
			"gateway_url",
			"G-Force Gateway",
			help="The PDF (CAFE) comes from there. Of tests: https://gateway-eb-develop.gforceint.com/api/v1/"
			"GFGatewayEB. Blank: no PDF is offered.",
			address=True,
		),
		Parameter("gateway_key", "Gateway: Bearer Token", secret=True, help="G-Force gives it."),
		Parameter("gateway_company", "Gateway: GF_Company", help="G-Force gives it."),
		Parameter("gateway_token", "Gateway: GF_Token", secret=True, help="G-Force gives it."),
		Parameter("gateway_enterprise", "Gateway: Enterprise"),
		Parameter("pac", "Gateway: Id_Pac", default="EBI"),
		Parameter("pac_user", "Gateway: PAC User", help="Company, in the gateway's words."),
		Parameter(
			"pac_password", "Gateway: PAC Password", secret=True, help="Token, in the gateway's words."
		),
	)
	errors = {
		"INVALID_RUC": ErrorRule(
			ErrorClass.REJECTED, "Correct the customer's Tax ID: its form is wrong, or nobody has this RUC."
		),
		"INVALID_PAYLOAD": ErrorRule(
			ErrorClass.REJECTED, "A field is missing or of the wrong type: correct what the message names."
		),
		"DUPLICATE_DOCUMENT": ErrorRule(
			ErrorClass.DUPLICATE, "Conteo has an invoice under this reference: it is fetched and compared."
		),
		"SFEP_UNAVAILABLE": ErrorRule(
			ErrorClass.TRANSIENT,
			"The tax authority's system is down. It is tried three times more, then it waits for you.",
			(30, 120, 600),
		),
		"CERTIFICATE_EXPIRED": ErrorRule(
			ErrorClass.CONFIGURATION,
			"The issuer's certificate has ended. Renew it at Conteo, then send the documents again.",
		),
		"RATE_LIMITED": ErrorRule(ErrorClass.TRANSIENT, "Too many calls a second: it is tried again."),
		"TIMEOUT": ErrorRule(ErrorClass.UNKNOWN, "No answer in time: Conteo is asked whether it was issued."),
		"UNAUTHORIZED": UNAUTHORIZED,
	}

	# -- settings ----------------------------------------------------------------------------------------

	@classmethod
	def check_connection(cls, connection):
		problems = super().check_connection(connection)
		until = connection.parameters.get("certificate_valid_until", "")
		if until and not _day(until):
			problems.append(
				Problem(
					"Certificate Valid Until has to be a date such as 2027-03-31.",
					field="certificate_valid_until",
				)
			)
		problems += cls._gateway_problems(connection)
		number = connection.parameters.get("walk_in_ruc", "")
		if number and not ruc.is_valid(number):
			problems.append(Problem(say("{0} is no RUC.", number), field="walk_in_ruc"))
		return problems

	@classmethod
	def _gateway_problems(cls, connection) -> list[Problem]:
		"""What the gateway for PDFs needs, once its address is entered."""
		url = connection.parameters.get("gateway_url", "")
		if not url:
			return []
		if wrong := check_url(url):
			return [Problem(wrong, field="gateway_url")]
		labels = {parameter.key: parameter.label for parameter in cls.parameters}
		return [
			Problem(say("{0} is missing.", labels[key]), field=key)
			for key in GATEWAY_NEEDS
			if not (connection.secret(key) if key in GATEWAY_SECRETS else connection.parameters.get(key))
		]

	@classmethod
	def expiries(cls, connection):
		until = _day(connection.parameters.get("certificate_valid_until", ""))
		return [("Certificate", until)] if until else []

	def ping(self):
		answer = self._get("ping", PING_ID)
		if isinstance(answer, Response) or answer.code == ABSENT:
			return Ping(True, "Connection successful")
		return Ping(False, answer.message)

	# -- before sending ----------------------------------------------------------------------------------

	def validate(self, invoice, now):
		problems = []
		if invoice.kind is not DocumentKind.INVOICE:
			problems.append(
				Problem(
					"Conteo's interface takes invoices only. Make this credit or debit note in Conteo's portal.",
					code="kind_not_supported",
					stops_sale=False,
				)
			)
		if invoice.currency not in CURRENCIES:
			problems.append(
				Problem(
					say("Conteo takes invoices in PAB or USD only, not in {0}.", invoice.currency),
					field="currency",
				)
			)
		if invoice.total < 0:
			problems.append(Problem("The total must not be negative.", field="grand_total"))
		problems += self._receiver_problems(invoice.receiver)
		for line in invoice.lines:
			problems += self._line_problems(line)
		if not problems:
			_, _, total = self._totals(invoice.lines)
			if abs(total - invoice.total) > CENT:
				problems.append(
					Problem(
						say(
							"Conteo would total {0} {1}, this invoice {2}: more than a cent apart. "
							"Check the tax rows and the rounding of the item rates.",
							total,
							invoice.currency,
							invoice.total,
						),
						code="total_differs",
						field="grand_total",
					)
				)
		return problems

	@staticmethod
	def _receiver_problems(receiver: Party) -> list[Problem]:
		if receiver.walk_in or is_foreign(receiver):
			return []
		if not ruc.is_valid(receiver.tax_id) and not EXAMPLE_RUC.fullmatch(receiver.tax_id):
			return [
				Problem(
					say(
						"{0} is no RUC. The customer's Tax ID has to look like 8-442-445, PE-12-345, 8-NT-1-13656 or "
						"155596713-2-2015.",
						receiver.tax_id or say("A blank"),
					),
					code="INVALID_RUC",
					field="tax_id",
				)
			]
		return []

	def warnings(self, invoice):
		number = invoice.receiver.tax_id
		if is_foreign(invoice.receiver) or not EXAMPLE_RUC.fullmatch(number or ""):
			return []
		return [
			say(
				"{0} has none of the DGI's forms of a RUC. It is sent as it is, since Conteo's own example has this "
				"form; Conteo may refuse it.",
				number,
			)
		]

	@staticmethod
	def _line_problems(line: Line) -> list[Problem]:
		problems = []
		for tax in line.taxes:
			if tax.category is not TaxCategory.VAT or tax.withheld:
				problems.append(
					Problem(
						say(
							"Row {0}: Conteo takes no other tax than ITBMS, but there is {1}.",
							line.row,
							tax.name,
						),
						field="taxes",
					)
				)
			elif tax.rate not in RATES:
				problems.append(
					Problem(
						say("Row {0}: ITBMS is 0, 7, 10 or 15 %, not {1} %.", line.row, tax.rate * 100),
						field="taxes",
					)
				)
		if len([tax for tax in line.taxes if tax.rate]) > 1:
			problems.append(Problem(say("Row {0} has ITBMS twice.", line.row), field="taxes"))
		if line.quantity <= 0 or line.net < 0:
			problems.append(
				Problem(say("Row {0}: quantity and amount have to be positive.", line.row), field="items")
			)
		return problems

	def build(self, invoice, reference, idempotency_key, now):
		subtotal, tax, total = self._totals(invoice.lines)
		body = {
			"receptor": self._receiver(invoice.receiver),
			"items": [self._item(line) for line in _told(invoice.lines)],
			"subtotal": number(subtotal),
			"itbms": number(tax),
			"total": number(total),
			"referencia_externa": reference,
		}
		# The answer tells neither type, nor currency, nor receiver; the environment is in the CUFE (iAmb).
		return Payload(
			json.dumps(body, ensure_ascii=False, separators=(",", ":")),
			Expected(
				document_type="",
				total=total,
				currency="",
				receiver="",
				environment=self.connection.environment,
			),
		)

	def _receiver(self, party: Party) -> dict:
		if party.walk_in:
			found = {"ruc": self.parameter("walk_in_ruc"), "nombre": self.parameter("walk_in_name")}
		else:
			found = {"ruc": "" if is_foreign(party) else party.tax_id, "nombre": party.name}
		return {name: value for name, value in found.items() if value}

	def _item(self, line: Line) -> dict:
		price, rate = _price(line), _rate(line)
		return {
			"descripcion": line.description[:1000],
			"cantidad": number(line.quantity),
			"precio_unitario": number(price),
			"itbms": number(quantize(price * rate)),
			"itbms_rate": number(rate if self.parameter("itbms_rate_form") == FRACTION else rate * 100),
		}

	@staticmethod
	def _totals(lines) -> tuple[Decimal, Decimal, Decimal]:
		"""Subtotal, ITBMS and total as Conteo's example computes them: each rounded once, the total of both."""
		lines = _told(lines)
		subtotal = quantize(sum((line.quantity * _price(line) for line in lines), ZERO))
		tax = quantize(sum((line.quantity * _price(line) * _rate(line) for line in lines), ZERO))
		return subtotal, tax, subtotal + tax

	# -- calls -------------------------------------------------------------------------------------------

	def issue(self, body):
		answer = self.call(
			"issue",
			"POST",
			"/invoices",
			headers={**self._authorization(), "Content-Type": "application/json"},
			body=body,
		)
		if isinstance(answer, Failure):
			return Outcome(failure=answer)
		if not 200 <= answer.status < 300:
			return Outcome(failure=self.failure_of(answer, issuing=True))
		document = remote(answer.json())
		if not document:
			return Outcome(
				failure=Failure(
					ErrorClass.UNKNOWN,
					"The provider answered that it succeeded, but without a document that can be read.",
					"unreadable_answer",
				)
			)
		return Outcome(document=document)

	def reconcile(self, reference, provider_id=""):
		"""By Conteo's id, or by our reference in its place. Whether the latter is found is not told in public;
		if not, the same reference sent again makes no second invoice but DUPLICATE_DOCUMENT."""
		answer = self._get("reconcile", provider_id or reference)
		if isinstance(answer, Failure):
			return Lookup() if answer.code == ABSENT else Lookup(failure=answer)
		document = remote(answer.json())
		if not document:
			return Lookup(
				failure=Failure(
					ErrorClass.TRANSIENT,
					"The provider's answer could not be read: it is not what the API promises.",
					"unreadable",
				)
			)
		return Lookup((document,))

	def files(self):
		return super().files() if self.parameter("gateway_url") else []

	def pdf(self, held):
		"""The CAFE by the document's coordinates, which its CUFE tells, from the gateway: base64 in `document`.

		Which names the gateway gives the coordinates there is not published; those of its SendDocument are sent.
		"""
		url, parts = self.parameter("gateway_url").rstrip("/"), cufe.parts(held.fiscal_id)
		if not url or not parts:
			return Download(
				failure=Failure(
					ErrorClass.CONFIGURATION,
					"Conteo's PDF comes from the G-Force Gateway: enter its address and credentials in the settings.",
					"no_gateway",
				)
			)
		answer = self.call(
			"pdf",
			"POST",
			url + DOWNLOAD_PDF,
			headers={
				"Content-Type": "application/json",
				"Authorization": f"Bearer {self.connection.secret('gateway_key').reveal()}",
			},
			body=json.dumps(
				{
					"GF_Company": self.parameter("gateway_company"),
					"GF_Token": self.connection.secret("gateway_token").reveal(),
					"Id_Pac": self.parameter("pac"),
					"Enterprise": self.parameter("gateway_enterprise"),
					"Company": self.parameter("pac_user"),
					"Token": self.connection.secret("pac_password").reveal(),
					"environment": parts["environment"],
					"documentData": {
						"codeBranchIssuer": parts["branch"],
						"numberDocumentFiscal": parts["number"],
						"pointBillingFiscal": parts["point"],
						"typeDocument": parts["document"],
						"typeEmission": parts["emission"],
					},
					"cufe": held.fiscal_id,
				},
				separators=(",", ":"),
			),
		)
		if isinstance(answer, Failure):
			return Download(failure=answer)
		found = answer.json() or {}
		try:
			content = base64.b64decode(str(found.get("document") or ""), validate=True)
		except (binascii.Error, ValueError):
			content = b""
		if answer.status == 200 and content.startswith(b"%PDF"):
			return Download(content, "application/pdf")
		return Download(failure=self._gateway_failure(answer, found))

	@classmethod
	def _gateway_failure(cls, answer: Response, found: dict) -> Failure:
		code, message = str(found.get("code") or ""), str(found.get("message") or "").strip()
		if code == GATEWAY_BAD_TOKEN or answer.status in (401, 403):
			text = say(
				"The G-Force Gateway does not accept the credentials. Enter those of this environment anew."
			)
			return Failure(
				ErrorClass.CONFIGURATION,
				say("{0} ({1})", text, message) if message else text,
				code or str(answer.status),
			)
		if code and code != "200" and answer.status < 500:
			return Failure(ErrorClass.REJECTED, message or "The G-Force Gateway has no such document.", code)
		return Failure(
			ErrorClass.TRANSIENT,
			say("The provider did not give the file (HTTP {0}).", answer.status),
			str(answer.status),
			down=answer.status >= 500,
		)

	@classmethod
	def verify_webhook(cls, connection, signature, body):
		if not signature.startswith(SIGNATURE_PREFIX):
			return False
		return super().verify_webhook(connection, signature[len(SIGNATURE_PREFIX) :], body)

	@classmethod
	def parse_webhook(cls, body):
		"""An event carries no id of its own: the same body is the same event."""
		try:
			event = json.loads(body)
			invoice = event["data"]["invoice_id"]
			if not invoice or not event["event"]:
				return None
			return WebhookEvent(hashlib.sha256(body).hexdigest(), str(event["event"]), str(invoice))
		except (ValueError, KeyError, TypeError):
			return None

	def _get(self, operation, name) -> Response | Failure:
		answer = self.call(
			operation, "GET", f"/invoices/{quote(name, safe='')}", headers=self._authorization()
		)
		if isinstance(answer, Failure) or answer.status == 200:
			return answer
		if answer.status == 404 and (answer.json() or {}).get("code"):
			# Conteo itself says so, under whichever code; a 404 of something else on the way has none.
			return Failure(ErrorClass.REJECTED, "Conteo has no such invoice.", ABSENT)
		return self.failure_of(answer, issuing=False)

	def _authorization(self):
		return {"Authorization": f"Bearer {self.connection.secret().reveal()}"}

	@classmethod
	def failure_of(cls, answer: Response, issuing: bool) -> Failure:
		"""The failure of an error answer: by its code, and where that says nothing by its HTTP status.

		Which status goes with which code is not told in public.
		"""
		body = answer.json() or {}
		code = str(body.get("code") or "")
		message = str(body.get("message") or "").strip()
		if not code and answer.status == 429:
			code = "RATE_LIMITED"
		rule = cls.errors.get(code)
		if rule is None and answer.status in (401, 403):
			rule = UNAUTHORIZED
		if rule:
			retry_after = answer.retry_after
			if code == "RATE_LIMITED":
				retry_after = max(retry_after or 0, 1.0)
			return Failure(
				rule.error_class,
				say("{0} ({1})", say(rule.remedy), message) if message else say(rule.remedy),
				code or str(answer.status),
				retry_after,
				waits=rule.waits,
				provider_id=str(body.get("invoice_id") or ""),
			)
		if answer.status >= 500 or answer.status == 408:
			return Failure(
				ErrorClass.UNKNOWN if issuing else ErrorClass.TRANSIENT,
				say("Conteo has a fault (HTTP {0}). {1}", answer.status, message or say("It says no more.")),
				code or str(answer.status),
				answer.retry_after,
				down=True,
			)
		if 300 <= answer.status < 400 or (answer.status in (404, 405) and not code):
			return Failure(
				ErrorClass.CONFIGURATION,
				"Nothing is found at this address: correct the server URL.",
				code or str(answer.status),
			)
		return Failure(
			ErrorClass.REJECTED,
			message or say("Conteo refuses the request (HTTP {0}).", answer.status),
			code or str(answer.status),
		)


def is_foreign(party: Party) -> bool:
	return bool(party.country) and party.country != "PA"


def _day(text: str) -> date | None:
	try:
		return date.fromisoformat(text)
	except ValueError:
		return None


def _rate(line: Line) -> Decimal:
	return max((tax.rate for tax in line.taxes), default=ZERO)


def _told(lines) -> list[Line]:
	"""The lines as they are told: see fiscal.panama.document.split."""
	return [part for line in lines for part in split(line)]


def _price(line: Line) -> Decimal:
	"""The net price of one unit, after discounts: Conteo's invoice has no place for them."""
	return quantize(line.net / line.quantity, MICRO) if line.quantity else ZERO


def remote(body) -> RemoteDocument | None:
	"""An invoice of Conteo's; None when it lacks what it must have, such as the CUFE of a completed one."""
	if not isinstance(body, dict) or not body.get("invoice_id"):
		return None
	status = STATUSES.get(body.get("status"))
	if status is None or (status is RemoteStatus.ISSUED and not body.get("cufe")):
		return None
	try:
		total = quantize(decimal(body["total"])) if body.get("total") is not None else None
	except ValueError:
		return None
	qr = str(body.get("qr") or "")
	image = qr if qr.startswith("data:image/") else ""
	return RemoteDocument(
		status=status,
		provider_id=str(body["invoice_id"]),
		fiscal_id=str(body.get("cufe") or ""),
		external_reference=str(body.get("referencia_externa") or ""),
		total=total,
		environment=ENVIRONMENTS.get(cufe.parts(str(body.get("cufe") or "")).get("environment"), ""),
		authorization_number=str(body.get("authorization_number") or ""),
		qr_value="" if image else qr,
		qr_image=image,
		message=str(body.get("message") or ""),
	)
