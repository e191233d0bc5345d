"""Where providers tell us that something became of a document: /api/method/fiscal_integration.webhooks.receive

A webhook only says where to look. It is stored, answered at once, and applied in a job that asks the provider
(decisions/0003-errors-in-five-classes.md): whatever comes twice, late, in the wrong order or from a stranger changes
nothing wrongly.
"""

import hashlib
from dataclasses import replace

import frappe
from frappe import _
from frappe.utils import add_to_date, get_url, now_datetime

from fiscal_integration import cancellation, connection, dispatch, due
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.providers import guard
from fiscal_integration.providers.base import WebhookEvent

DOCTYPE = "Fiscal Webhook Event"
MAX_BYTES = 256 * 1024
CALLS = 600
"""Calls a minute that one address may make."""
PERIODS = {"calls": 60, "refused": 3600}
"""Seconds after which each counter begins anew."""
SWEEP_LIMIT = 200
WAITS = (30, 120, 600, 3600)
"""Seconds between the tries to find the document of an event: our own answer may be stored after it."""


@frappe.whitelist(allow_guest=True, methods=["POST"])
def receive():
	"""Store a provider's event.

	401 without a valid signature, 413 when it is too long, 404 for no provider, 429 for an address that calls too often,
	400 for an event with text that no database keeps.
	"""
	request = frappe.request
	if _count("calls", frappe.local.request_ip or "") > CALLS:
		return _answer(429, "too many calls")
	if (request.content_length or 0) > MAX_BYTES:
		return _answer(413, "too long")
	body = request.get_data(cache=True)
	# Sent in chunks it has no length of its own to look at.
	if len(body) > MAX_BYTES:
		return _answer(413, "too long")
	# Frappe puts a JSON body in the place of the query's arguments, so they are read from the request.
	key = request.args.get("provider", "")
	provider = connection.providers().get(key)
	if not provider or not provider.capabilities.webhook:
		return _answer(404, "no such provider")
	signature = request.headers.get(provider.webhook_header, "")
	# All of them, so that the time tells nothing of which one fits.
	if not any([provider.verify_webhook(record.connection(), signature, body) for record in _records(key)]):
		_count("refused", key)
		return _answer(401, "signature does not match")
	event = provider.parse_webhook(body) or WebhookEvent(hashlib.sha256(body).hexdigest(), "")
	event = replace(
		event, **{name: _short(getattr(event, name)) for name in ("provider_id", "external_reference")}
	)
	try:
		guard.check(event)
	except ValueError:
		return _answer(400, "not readable")
	_store(key, event, body)
	return _answer(200, "received")


def _answer(status: int, message: str):
	frappe.local.response.http_status_code = status
	frappe.local.response.message = message


def _records(key: str):
	return [record for record in connection.enabled_records() if record.provider == key]


def _short(value: str) -> str:
	"""`value`, or a hash where it is longer than its column: cut off, two would become one."""
	if len(value) <= 140:
		return value
	return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()


def _store(key: str, event: WebhookEvent, body: bytes):
	"""One row an event: the same one again finds its row."""
	row = frappe.new_doc(DOCTYPE)
	row.update(
		{
			"event_id": _short(f"{key}:{event.event_id}"),
			"provider": key,
			"kind": event.kind[:140] or "-",
			"provider_id": event.provider_id,
			"external_reference": event.external_reference,
			"status": "Received" if event.kind else "Nothing to Do",
			"note": "" if event.kind else _("It concerns no document."),
			"next_try": now_datetime(),
			"payload": body.decode(errors="replace"),
		}
	)
	try:
		row.insert(ignore_permissions=True)
	except (frappe.UniqueValidationError, frappe.DuplicateEntryError):
		frappe.db.rollback()
		frappe.clear_messages()
		return
	if row.status == "Received":
		frappe.db.after_commit.add(lambda: enqueue(row.name))


def enqueue(name: str) -> bool:
	return dispatch.enqueue_job(
		"fiscal_integration.webhooks.apply", "short", f"fiscal-webhook-{name}", webhook=name
	)


def sweep():
	"""Queue the events that were not applied: Redis was down, or their document was not known yet."""
	for name in due.webhook_events(SWEEP_LIMIT):
		enqueue(name)


def apply(webhook: str):
	"""The job: have the provider asked about the document of an event. Never raises."""
	try:
		for document in _take(webhook):
			dispatch.process(document)
			cancellation.process(document)
	except Exception as error:
		frappe.db.rollback()
		dispatch.log("Webhook could not be applied", webhook, error)


def _take(name: str) -> list[str]:
	"""Settle the event; returns the documents that are to be asked about. Commits."""
	frappe.db.commit()
	event = frappe.get_doc(DOCTYPE, name, for_update=True)
	if event.status != "Received":
		frappe.db.rollback()
		return []
	found = _documents_of(event)
	issuing = [row.name for row in found if row.status in (lifecycle.PENDING, lifecycle.UNKNOWN)]
	cancelling = [row.name for row in found if row.cancellation_status == lifecycle.CANCEL_PENDING]
	asked = issuing + cancelling
	if asked or any(row.status != lifecycle.SENDING for row in found):
		event.fiscal_document = asked[0] if asked else found[0].name
		event.status = "Applied" if asked else "Nothing to Do"
		event.note = "" if asked else _("The document was {0}.").format(_(found[0].status))
	else:
		# It may have overtaken the answer that names it.
		event.tries = (event.tries or 0) + 1
		if event.tries <= len(WAITS):
			event.next_try = add_to_date(now_datetime(), seconds=WAITS[event.tries - 1])
		else:
			event.status = "Failed" if found else "No Document of Ours"
	event.save(ignore_permissions=True)
	# An ask that is under way keeps its lease: what it brings back is as new as this event.
	for documents, field in ((issuing, "next_attempt"), (cancelling, "cancellation_next")):
		for document in documents:
			frappe.db.set_value(dispatch.DOCTYPE, document, field, now_datetime(), update_modified=False)
	frappe.db.commit()
	return asked


def _documents_of(event) -> list:
	"""The rows it may be about: several where two accounts number alike. Asking about one too many is harmless,
	since what it brings back is compared."""
	for field in ("provider_id", "external_reference"):
		if event.get(field):
			found = frappe.get_all(
				dispatch.DOCTYPE,
				{field: event.get(field), "provider": event.provider},
				["name", "status", "cancellation_status"],
				order_by="creation desc",
				limit=10,
			)
			if found:
				return found
	return []


def url(provider: str) -> str:
	"""The address to enter at the provider."""
	return get_url(f"/api/method/fiscal_integration.webhooks.receive?provider={provider}")


def refused(provider: str) -> int:
	"""How many calls without a valid signature came in the last hour or so: the one thing kept of them."""
	try:
		return int(frappe.cache.get(frappe.cache.make_key(f"fiscal_webhooks|refused|{provider}")) or 0)
	except Exception:
		return 0


def _count(what: str, of: str) -> int:
	"""Count one more of `what` (see PERIODS). Returns the number of this period; 0 when Redis is down."""
	try:
		key = frappe.cache.make_key(f"fiscal_webhooks|{what}|{of}")
		number = frappe.cache.incrby(key, 1)
		if number == 1:
			frappe.cache.expire(key, PERIODS[what])
		return number
	except Exception:
		return 0
