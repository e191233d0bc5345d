"""Every exchange becomes an Integration Request, every failure an Error Log too, and neither holds a secret.

The rows are committed at once, in a transaction of their own, before the outcome is applied: so they are
there even when what follows rolls back (invariant 9). The rows of one Fiscal Document, and those of the
pings of one connection, form a chain: each carries a number and a hash over itself and its predecessor. What
persons do to a Fiscal Document stands in the same chain.
"""

import hashlib
import json
import traceback

import frappe
from frappe.utils import get_system_timezone, now_datetime

from fiscal_integration.fiscal.redaction import Secret, redact, redact_headers
from fiscal_integration.providers.http import Exchange

REQUEST = "Integration Request"
TITLE_LENGTH = 140
NO_PROVIDER = "-"
"""Stands for the provider of a document that was never sent: what has none is not taken for ours."""
RETRY, TAKE_OVER, ASK, ASK_CANCEL = "retry", "take over", "ask", "request cancellation"
NOTIFY = "send to the customer"
"""What persons do, as operations in the chain."""

# What the hash covers, in this order. Never shorten it: old rows could not be verified any more.
HASHED = (
	"fiscal_chain",
	"fiscal_sequence",
	"fiscal_provider",
	"fiscal_operation",
	"fiscal_document",
	"reference_doctype",
	"reference_docname",
	"url",
	"request_headers",
	"data",
	"output",
	"error",
	"status",
	"fiscal_http_status",
	"request_id",
	"fiscal_started_at",
)


class Recorder:
	"""Collects the exchanges of one piece of work, without the database, so that it serves any thread."""

	def __init__(self, provider: str, secrets: dict[str, Secret], chain: str):
		self.provider = provider
		self.secrets = [secret for secret in secrets.values() if secret]
		self.chain = chain
		self.exchanges: list[Exchange] = []
		self.kept = 0

	def learn(self, secret: str):
		"""Take `secret` out of whatever is recorded from now on: a token, a PIN, what was made from them."""
		if secret and secret not in (known.reveal() for known in self.secrets):
			self.secrets.append(Secret(secret))

	def __call__(self, exchange: Exchange):
		self.exchanges.append(exchange)

	def redact(self, text: str) -> str:
		return redact(text, self.secrets)

	def keep(self, document=None):
		"""Write what was not yet written, and commit. `document` is the Fiscal Document it belongs to.

		Commits the current transaction: call it only where nothing half-done is open.
		"""
		for exchange in self.exchanges[self.kept :]:
			_insert(self, exchange, document)
		frappe.db.commit()
		self.kept = len(self.exchanges)


def note_act(document, operation: str, **details):
	"""Enter what a person did to the Fiscal Document `document` in its chain, where nobody can edit it.

	In the current transaction, so that both are there or neither. Call it with the row locked.
	"""
	_append(
		document.name,
		document,
		{
			"integration_request_service": document.provider or NO_PROVIDER,
			"request_description": operation,
			"status": "Completed",
			"data": _json({"user": frappe.session.user, **details}),
			"fiscal_provider": document.provider or NO_PROVIDER,
			"fiscal_operation": operation,
			"fiscal_started_at": _local(None),
		},
	)


def _insert(recorder: Recorder, exchange: Exchange, document):
	_append(
		recorder.chain,
		document,
		{
			"integration_request_service": recorder.provider,
			"is_remote_request": 1,
			"request_description": _description(exchange.operation, document),
			"status": "Completed" if exchange.ok else "Failed",
			"url": _unmarked(recorder.redact(f"{exchange.method} {exchange.url}")),
			"request_headers": _json(redact_headers(exchange.request_headers, recorder.secrets)),
			"data": recorder.redact(_text(exchange.request_body)),
			"output": recorder.redact(_answer(exchange, recorder)),
			"error": recorder.redact(exchange.error),
			"request_id": _unmarked(recorder.redact(exchange.correlation_id))[:TITLE_LENGTH],
			"fiscal_provider": recorder.provider,
			"fiscal_operation": exchange.operation,
			"fiscal_http_status": exchange.status,
			"fiscal_duration": round(exchange.duration, 3),
			"fiscal_started_at": _local(exchange.started_at),
		},
	)


def _append(chain: str, document, values: dict):
	"""Add a row to the end of `chain`, and move the head that the Fiscal Document keeps, `document` included."""
	sequence, previous = _last(chain, document)
	request = frappe.new_doc(REQUEST)
	request.update({**values, "fiscal_chain": chain, "fiscal_sequence": sequence + 1})
	if document:
		request.update(
			{
				"fiscal_document": document.name,
				"fiscal_company": document.company,
				"reference_doctype": document.reference_doctype,
				"reference_docname": document.reference_name,
			}
		)
	request.fiscal_hash = digest(request, previous)
	request.flags.ignore_links = True
	request.insert(ignore_permissions=True)
	if document:
		head = {"exchange_count": sequence + 1, "exchange_hash": request.fiscal_hash}
		frappe.db.set_value("Fiscal Document", document.name, head, update_modified=False)
		# Whoever stores the whole row afterwards must not put the old head back.
		document.update(head)


def _description(operation: str, document) -> str:
	"""The operation, and whose bulk the document goes with."""
	batch = document.get("batch") if document and document.get("bulk") else None
	if not batch:
		return operation
	user = frappe.get_cached_value("Fiscal Batch", batch, "requested_by")
	return f"{operation}: {batch}, {user}"[:TITLE_LENGTH]


def _unmarked(text: str) -> str:
	"""Without what Frappe would clean away as HTML after the hash was taken."""
	return text.replace("<", "%3C").replace(">", "%3E")


def _last(chain: str, document) -> tuple[int, str]:
	"""Number and hash of the chain's last row. The lock keeps two writers from taking one number."""
	if document:
		found = frappe.db.get_value(
			"Fiscal Document", document.name, ["exchange_count", "exchange_hash"], for_update=True
		)
		return (found[0] or 0, found[1] or "") if found else (0, "")
	found = frappe.db.get_value(
		REQUEST,
		{"fiscal_chain": chain},
		["fiscal_sequence", "fiscal_hash"],
		order_by="fiscal_sequence desc",
		for_update=True,
	)
	return found or (0, "")


def digest(request, previous: str) -> str:
	"""The hash of one recorded exchange after `previous`: SHA-256 over a canonical form of its fields."""
	content = [_canonical(request.get(field)) for field in HASHED]
	described = request.get("request_description")
	if described and described != request.get("fiscal_operation"):
		# Only where it says more than the operation, since older hashes do not cover it.
		content.append(described)
	return hashlib.sha256(_json([previous, *content]).encode()).hexdigest()


def _canonical(value) -> str:
	return "" if value in (None, 0, "0") else str(value)


def log_failure(title: str, message: str, recorder=None, document=None, error: BaseException | None = None):
	"""An Error Log with a traceback that shows no variables, committed by the caller.

	Frappe's own traceback prints the locals of every frame, and masks only the plainest names.
	"""
	if error is not None:
		trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
	else:
		trace = "".join(traceback.format_stack(limit=8)[:-1])
	text = f"{message}\n\n{trace}"
	if recorder:
		text, title = recorder.redact(text), recorder.redact(title)
	else:
		text, title = redact(text), redact(title)
	reference = (document.reference_doctype, document.reference_name) if document else (None, None)
	frappe.log_error(
		title=title.replace("\n", " ")[:TITLE_LENGTH],
		message=text,
		reference_doctype=reference[0],
		reference_name=reference[1],
	)


def _answer(exchange: Exchange, recorder: Recorder) -> str:
	if not exchange.status:
		return ""
	headers = redact_headers(exchange.response_headers, recorder.secrets)
	lines = [f"HTTP {exchange.status}", *(f"{name}: {value}" for name, value in headers.items())]
	return "\n".join(lines) + "\n\n" + _text(exchange.response_body)


def _text(body: bytes | str) -> str:
	"""A body as text; what is none is told by size and hash, since the file itself is kept elsewhere."""
	if isinstance(body, str):
		return body
	try:
		text = body.decode()
	except UnicodeDecodeError:
		text = "\x00"
	if "\x00" in text or text.startswith("%PDF"):
		return f"[{len(body)} bytes, SHA-256 {hashlib.sha256(body).hexdigest()}]"
	return text


def _json(value) -> str:
	return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _local(moment) -> str:
	"""An instant in the site's zone, as Frappe keeps its times."""
	from zoneinfo import ZoneInfo

	local = moment.astimezone(ZoneInfo(get_system_timezone())) if moment else now_datetime()
	return local.strftime("%Y-%m-%d %H:%M:%S.%f")
