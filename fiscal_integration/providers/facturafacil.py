"""FacturaFácil, Panama: REST (providers/facturafacil.md).

What the public material leaves open is a parameter, or is handled either way; docs/panama.md lists it.
"""

import base64
import binascii
import json
import uuid
from urllib.parse import urlsplit

from fiscal_integration.fiscal.errors import ErrorClass, ErrorRule, Failure, Problem
from fiscal_integration.fiscal.invoice import Coordinates
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.panama import rfe
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus
from fiscal_integration.fiscal.words import say
from fiscal_integration.providers.base import (
	PRODUCTION,
	SECRET_KEY,
	TEST,
	Cancellation,
	CancelStatus,
	Capabilities,
	Download,
	Lookup,
	Outcome,
	Parameter,
	Payload,
	Ping,
)
from fiscal_integration.providers.http import Response, check_url, is_loopback
from fiscal_integration.providers.panama import (
	CANCEL_WINDOW,
	ENVIRONMENTS,
	PanamaProvider,
	cents,
	exact,
	facts_of,
	moment,
	noted,
	without_blanks,
)

HOSTS = ("facturafacil.com.pa",)
ISSUE = "/api/pac/reception_fe/detailed/"
FIND = "/api/pac/reception_fe/find_by_cufe_or_id/"
EVENT = "/api/pac/event/issue/"
ABSENT = "not_found"
PING_ID = "00000000-0000-4000-8000-000000000000"
PDF_URL, DIGEST, NOTICES = "pdf_url", "digest_value", "notices"
ITBMS, ISC = "01", "03"
ALREADY_CANCELLED = "0622"

STATUSES = {
	3: RemoteStatus.ISSUED,
	50: RemoteStatus.CANCELLED,
	10: RemoteStatus.FAILED,
	-100: RemoteStatus.FAILED,
}
"""Only 3 and 50 were seen live; 0, 1, 20 and what is new is still under way."""

DUPLICATE = ErrorRule(
	ErrorClass.DUPLICATE, "FacturaFácil has a document of this number: it is fetched and compared."
)


class FacturaFacil(PanamaProvider):
	"""POST /api/pac/reception_fe/detailed/ issues at once; the answer carries CUFE, QR image and PDF address."""

	key = "facturafacil"
	label = "FacturaFácil"
	urls = {
		TEST: "https://backend-qa-api.facturafacil.com.pa",
		PRODUCTION: "https://backend-api.facturafacil.com.pa",
	}
	capabilities = Capabilities(
		cancel=True, pdf=True, xml=True, numbered=True, max_concurrent=4, absence_grace=300
	)
	parameters = (
		Parameter(SECRET_KEY, "API Key", required=True, secret=True),
		Parameter("company_id", "Company ID", required=True, help="A UUID that FacturaFácil gives."),
		Parameter("branch_id", "Branch ID", help="A UUID, if the company has several branches."),
		Parameter(
			"point_code", "POS Code", required=True, help="As registered with FacturaFácil, such as 001."
		),
		Parameter(
			"pdf_hosts",
			"Further Hosts of PDFs",
			help="PDFs are fetched from FacturaFácil's own hosts only; name others here, separated by commas.",
		),
		CANCEL_WINDOW,
	)
	errors = {"1002": DUPLICATE, "1513": DUPLICATE}
	# Its public examples show a place for neither.
	tells = frozenset()

	# -- settings ----------------------------------------------------------------------------------------

	@classmethod
	def check_connection(cls, connection):
		problems = super().check_connection(connection)
		for key, label in (("company_id", "Company ID"), ("branch_id", "Branch ID")):
			value = connection.parameters.get(key, "")
			if value and not _is_uuid(value):
				problems.append(Problem(say("{0} has to be a UUID, not {1}.", label, value), field=key))
		return problems

	@classmethod
	def check_coordinates(cls, coordinates):
		if coordinates.branch and not _is_uuid(coordinates.branch):
			return [
				Problem(
					say(
						"With FacturaFácil the branch is its Branch ID, a UUID, not {0}.",
						coordinates.branch,
					)
				)
			]
		return []

	def coordinates(self):
		return Coordinates(self.parameter("branch_id"), self.parameter("point_code"))

	def ping(self):
		"""No call without side effects is documented; asking for what cannot exist tells good keys from bad."""
		found = self._find(PING_ID, "ping")
		if isinstance(found, Failure) and found.code != ABSENT:
			return Ping(False, found.message)
		return Ping(True, "Connection successful")

	# -- before sending ----------------------------------------------------------------------------------

	def build(self, invoice, reference, idempotency_key, now):
		document = dgi.of(invoice, self.tells)
		receiver = document.receiver
		number = f"{document.coordinates.number:010d}"
		body = {
			"header": {
				"id": _id_of(idempotency_key),
				"environment": next(
					code for code, name in ENVIRONMENTS.items() if name == self.connection.environment
				),
			},
			"document": {
				"fd_number": number,
				"type": document.type,
				"receptor": _receptor(receiver),
				"items": [_item(line, item) for line, item in enumerate(document.items, 1)],
				"payments": [
					{"type": part.code, "amount": cents(part.amount), "description": part.description}
					for part in document.payments
				],
				"total": cents(document.totals.invoice),
				"referred": {
					"fd_number": document.referenced.cufe,
					"fd_date": document.referenced.issued_at.date().isoformat(),
				}
				if document.referenced
				else {},
				"info": noted(reference),
				"dest_country": receiver.country if document.destination_abroad else "",
			},
		}
		return Payload(
			json.dumps(
				{"branch": document.coordinates.branch, "request": without_blanks(body)},
				ensure_ascii=False,
				separators=(",", ":"),
			),
			Expected(
				document_type=document.type,
				total=document.totals.invoice,
				currency="",
				receiver=receiver.ruc or receiver.foreign_id,
				environment=self.connection.environment,
				number=number,
			),
			provider_id=body["header"]["id"],
		)

	# -- calls -------------------------------------------------------------------------------------------

	def issue(self, body):
		frozen = json.loads(body)
		answer = self.call(
			"issue",
			"POST",
			ISSUE,
			headers={**self._headers(frozen["branch"]), "Content-Type": "application/json"},
			body=json.dumps(frozen["request"], ensure_ascii=False, separators=(",", ":")),
		)
		if isinstance(answer, Failure):
			return Outcome(failure=answer)
		result = answer.json()
		if not 200 <= answer.status < 300:
			return Outcome(failure=self.failure_of(answer, issuing=True))
		if result is not None and (result.get("rejected") or _rejections(result)):
			return Outcome(failure=self._rejection(result))
		document = _result(result or {})
		if not document:
			return Outcome(
				failure=Failure(
					ErrorClass.UNKNOWN,
					"FacturaFácil answered that it succeeded, but without a CUFE that can be read.",
					"no_cufe",
				)
			)
		return Outcome(document=document)

	def reconcile(self, reference, provider_id=""):
		"""By the id that we gave in the header, or FacturaFácil's own. Whether the former is found is not told in
		public; if not, the same number sent again makes no second document but code 1513."""
		found = self._find(provider_id, "reconcile")
		if isinstance(found, Failure):
			return Lookup() if found.code == ABSENT else Lookup(failure=found)
		try:
			status = STATUSES.get(int(found.get("status")), RemoteStatus.PENDING)
		except (TypeError, ValueError):
			status = RemoteStatus.PENDING
		code = str(found.get("cufe") or "")
		message = str(found.get("status_display") or "")
		if status is RemoteStatus.FAILED:
			return Lookup((RemoteDocument(status=status, message=message),))
		if not code:
			return Lookup((RemoteDocument(RemoteStatus.PENDING, provider_id=provider_id, message=message),))
		summary = rfe.summary(str(found.get("xml_data") or ""))
		return Lookup(
			(
				RemoteDocument(
					status=status,
					provider_id=str(found.get("id") or provider_id),
					fiscal_id=code,
					**_facts(code),
					external_reference=summary.reference if summary else "",
					total=summary.total if summary else None,
					receiver=summary.receiver if summary else "",
					qr_value=summary.qr_value if summary else "",
					issued_at=moment(found.get("created_at")),
					message=message,
				),
			)
		)

	def cancel(self, held, request):
		answer = self.call(
			"cancel",
			"POST",
			EVENT,
			headers={**self._headers(), "Content-Type": "application/json"},
			body=json.dumps({"type": "AN", "cufe": held.fiscal_id, "reason": request.reason.strip()}),
		)
		if isinstance(answer, Failure):
			return Cancellation(failure=answer)
		found = answer.json() or {}
		code = str(found.get("code") or "")
		message = str(found.get("message") or found.get("response") or "")
		if code == ALREADY_CANCELLED:
			return Cancellation(CancelStatus.CANCELLED, message)
		if not 200 <= answer.status < 300:
			failure = self.failure_of(answer, issuing=True)
			if failure.error_class is ErrorClass.REJECTED:
				return Cancellation(CancelStatus.REFUSED, failure.message)
			return Cancellation(failure=failure)
		if "rejected" not in found:
			return Cancellation(
				failure=Failure(ErrorClass.UNKNOWN, "The answer could not be read.", "unreadable_answer")
			)
		return Cancellation(CancelStatus.REFUSED if found["rejected"] else CancelStatus.CANCELLED, message)

	def pdf(self, held):
		"""By the address that came with the document, from the provider's own hosts only."""
		address = held.stamps.get(PDF_URL, "")
		if not address:
			return Download(
				failure=Failure(ErrorClass.REJECTED, "FacturaFácil gave no address of a PDF.", "no_pdf_url")
			)
		wrong = check_url(address.split("?")[0]) or ("" if self._may_fetch(address) else "foreign host")
		if wrong:
			host = urlsplit(address).hostname or address
			return Download(
				failure=Failure(
					ErrorClass.CONFIGURATION,
					say(
						"The PDF is at {0}, which is no host of FacturaFácil's. If you trust it, name it in "
						"Further Hosts of PDFs.",
						host,
					),
					"foreign_host",
				)
			)
		# Its key belongs to FacturaFácil's interface and goes nowhere else, not even with an address of its own.
		answer = self.call("pdf", "GET", address, headers={"Accept": "application/pdf"})
		return _file(answer, b"%PDF", "application/pdf")

	def xml(self, held):
		found = self._find(held.provider_id or held.fiscal_id, "xml")
		if isinstance(found, Failure) and found.code == ABSENT:
			found = self._find(held.fiscal_id, "xml")
		if isinstance(found, Failure):
			return Download(failure=found)
		content = str(found.get("xml_data") or "").encode()
		if not content.lstrip().startswith(b"<"):
			return Download(failure=Failure(ErrorClass.TRANSIENT, "The provider gave no XML.", "bad_file"))
		return Download(content, "application/xml")

	def _may_fetch(self, address: str) -> bool:
		parts, own = urlsplit(address), urlsplit(self.connection.server_url)
		host = (parts.hostname or "").lower()
		if is_loopback(address):
			# The sandbox: the very server that the settings name.
			return (host, parts.port) == (own.hostname, own.port)
		further = [name.strip().lower() for name in self.parameter("pdf_hosts").split(",") if name.strip()]
		return host in (own.hostname, *further) or any(
			host == name or host.endswith(f".{name}") for name in HOSTS
		)

	def _find(self, name: str, operation: str) -> dict | Failure:
		answer = self.call(operation, "GET", FIND, headers=self._headers(), params={"cufe_or_id": name})
		if isinstance(answer, Failure):
			return answer
		found = answer.json()
		if answer.status == 200 and found is not None:
			return found
		if answer.status == 404 and found is not None and "detail" in found:
			return Failure(ErrorClass.REJECTED, "FacturaFácil has no such document.", ABSENT)
		return self.failure_of(answer, issuing=False)

	def _headers(self, branch: str | None = None) -> dict:
		branch = self.parameter("branch_id") if branch is None else branch
		return {
			"X-FF-Company": self.parameter("company_id"),
			"X-FF-API-Key": self.connection.secret().reveal(),
			**({"X-FF-Branch": branch} if branch else {}),
		}

	# -- what an answer means ----------------------------------------------------------------------------

	def _rejection(self, result: dict) -> Failure:
		refused = _rejections(result) or [{}]
		for entry in refused:
			rule = self.errors.get(str(entry.get("code") or ""))
			if rule:
				return Failure(rule.error_class, say(rule.remedy), str(entry["code"]))
		texts = [
			" ".join(str(part) for part in (entry.get("message"), entry.get("field_name")) if part)
			for entry in refused
		]
		return Failure(
			ErrorClass.REJECTED,
			"\n".join(text for text in texts if text)
			or "FacturaFácil rejected the document and says no more.",
			str(refused[0].get("code") or "rejected"),
		)

	@classmethod
	def failure_of(cls, answer: Response, issuing: bool) -> Failure:
		body = answer.json() or {}
		code = str(body.get("code") or "")
		message = str(body.get("message") or body.get("detail") or "").strip()
		rule = cls.errors.get(code)
		if rule:
			return Failure(
				rule.error_class,
				say("{0} ({1})", say(rule.remedy), message) if message else say(rule.remedy),
				code,
			)
		if 400 <= answer.status < 500 and not message and body:
			# Django's way: one list of complaints for each field.
			message = json.dumps(body, ensure_ascii=False)[:1000]
		return cls.by_status(answer, issuing, message, code)


def _is_uuid(text: str) -> bool:
	try:
		return str(uuid.UUID(text)) == text.lower()
	except ValueError:
		return False


def _id_of(idempotency_key: str) -> str:
	"""The id that we give the request: a UUID of its key, the same whenever it is made again."""
	return str(uuid.uuid5(uuid.NAMESPACE_OID, idempotency_key))


def _receptor(receiver: dgi.Receiver) -> dict:
	return {
		"type": receiver.kind,
		"name": receiver.name,
		"ruc_type": str(receiver.taxpayer_type or ""),
		"ruc": receiver.ruc or receiver.foreign_id,
		"dv": receiver.dv,
		"address": receiver.address,
		"location": receiver.location,
		"email": receiver.email,
		"country": receiver.country,
	}


def _item(line: int, item: dgi.Item) -> dict:
	taxes = [
		{
			"type": ITBMS,
			"code": item.itbms_code,
			"amount": exact(item.itbms),
			"rate": cents(dgi.ITBMS_RATES[item.itbms_code]),
		}
	]
	if item.isc_rate:
		taxes.append({"type": ISC, "amount": exact(item.isc), "rate": exact(item.isc_rate)})
	return {
		"line": line,
		"price": exact(item.unit_price),
		"quantity": exact(item.quantity),
		"description": item.description,
		"mu": item.unit,
		"gns": item.cpbs,
		"internal_code": item.code,
		"discount": exact(item.unit_discount) if item.unit_discount else "",
		"taxes": taxes,
	}


def _rejections(result: dict) -> list[dict]:
	messages = result.get("messages")
	return [
		entry
		for entry in (messages if isinstance(messages, list) else [])
		if isinstance(entry, dict) and entry.get("type") == "R"
	]


def _facts(code: str) -> dict:
	"""Of the number the last part only: branch and point are FacturaFácil's own, behind its Branch ID."""
	found = facts_of(code)
	return {**found, "number": found["number"].split("-")[-1]} if found else {}


def _result(result: dict) -> RemoteDocument | None:
	"""A DocumentResult; None without a CUFE."""
	code = str(result.get("cufe") or "")
	if not code:
		return None
	summary = rfe.summary(str(result.get("xml") or ""))
	notices = [
		f"{entry.get('code')}: {entry.get('message')}"
		for entry in result.get("messages") or []
		if isinstance(entry, dict) and entry.get("type") == "N"
	]
	stamps = {
		PDF_URL: str(result.get("pdf_url") or ""),
		DIGEST: str(result.get("digest_value") or ""),
		NOTICES: "; ".join(notices),
	}
	return RemoteDocument(
		status=RemoteStatus.ISSUED,
		provider_id=str(result.get("document_uuid") or ""),
		fiscal_id=code,
		**_facts(code),
		external_reference=summary.reference if summary else "",
		total=summary.total if summary else None,
		receiver=summary.receiver if summary else "",
		authorization_number=str(result.get("authorization_number") or ""),
		authorized_at=moment(result.get("process_date")),
		# The interface takes no time of issue: it is the moment of the call.
		issued_at=moment(result.get("process_date")),
		qr_value=str(result.get("qr_code_data") or ""),
		qr_image=_image(result.get("qr_image_b64")),
		stamps=tuple((key, value) for key, value in stamps.items() if value),
	)


def _image(text) -> str:
	"""The provider's QR image as a data URI, as it came; nothing when it is no PNG."""
	text = str(text or "")
	if text.startswith("data:image/"):
		return text
	try:
		return (
			f"data:image/png;base64,{text}"
			if base64.b64decode(text, validate=True).startswith(b"\x89PNG")
			else ""
		)
	except (binascii.Error, ValueError):
		return ""


def _file(answer: Response | Failure, magic: bytes, content_type: str) -> Download:
	if isinstance(answer, Failure):
		return Download(failure=answer)
	if answer.status != 200 or not answer.body.startswith(magic):
		return Download(
			failure=Failure(
				ErrorClass.TRANSIENT,
				say("The provider did not give the file (HTTP {0}).", answer.status),
				str(answer.status),
			)
		)
	return Download(answer.body, content_type)
