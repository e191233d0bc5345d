"""A provider that is plainly down is probed, not hammered: one circuit breaker per connection.

Kept in the cache, since it says only what was seen lately: whoever loses it sees it again soon.
"""

from dataclasses import dataclass
from datetime import datetime

import frappe
from frappe.utils import add_to_date, get_datetime, now_datetime

from fiscal_integration import audit, connection
from fiscal_integration.fiscal.words import translated

THRESHOLD = 5
"""Calls in a row that found no provider, until the circuit opens."""
PAUSES = (15, 30, 60, 120, 300)
"""Seconds between the probes; the last one repeats."""
PROBE_SECONDS = 150
FORGOTTEN_AFTER = 7 * 86400


@dataclass(frozen=True)
class Circuit:
	"""What was seen of a connection: `failures` in a row, and while it is open since when and until when."""

	failures: int = 0
	openings: int = 0
	since: datetime | None = None
	until: datetime | None = None
	message: str = ""

	@property
	def open(self) -> bool:
		return self.until is not None


def look(source: tuple[str, str, str]) -> Circuit:
	"""The circuit of the connection `source` (doctype, name, server URL): what was seen of one server says nothing
	about the next, which the settings name from now on."""
	return frappe.cache.get_value(_key(source), expires=True) or Circuit()


def failed(source, message: str):
	"""A call found nobody there. Opens the circuit at the THRESHOLD."""
	seen = look(source)
	if seen.open:
		return
	failures = seen.failures + 1
	if failures < THRESHOLD:
		_store(source, Circuit(failures, seen.openings, seen.since, None, message))
	else:
		_open(source, seen, message)


def succeeded(source):
	"""Somebody answered, whatever the answer was."""
	if look(source) != Circuit():
		frappe.cache.delete_value(_key(source))


def allows(record) -> bool:
	"""Whether the connection kept in `record` may be used now. Probes it when it is time for that, which
	calls the provider: nothing may be locked."""
	seen = look(source_of(record))
	if not seen.open:
		return True
	if not _due(seen):
		return False
	key = frappe.cache.make_key(_key(source_of(record)) + "|probe")
	if not frappe.cache.set(key, 1, nx=True, ex=PROBE_SECONDS):
		return False
	return _probe(record.connection(), seen)


def blocks(record) -> bool:
	"""Whether it is not yet time to probe a connection that is down. Never calls."""
	seen = look(source_of(record))
	return seen.open and not _due(seen)


def source_of(record) -> tuple[str, str, str]:
	"""What `record`, the settings or a Fiscal Account, connects to."""
	return (record.doctype, record.name, record.server_url or "")


def source_of_connection(found) -> tuple[str, str, str]:
	"""The same, of the Connection that was made from the record."""
	return (*found.source, found.server_url)


def _due(seen) -> bool:
	return now_datetime() >= get_datetime(seen.until)


def _probe(found, seen) -> bool:
	recorder = audit.Recorder(found.provider, found.secrets, found.source[1])
	source, message = source_of_connection(found), ""
	try:
		message = translated(connection.open_provider(found, recorder).ping().message, str)
	except Exception as error:
		message = type(error).__name__
	recorder.keep()
	frappe.cache.delete_value(_key(source) + "|probe")
	if any(0 < exchange.status < 500 for exchange in recorder.exchanges):
		# It answers; whether it issues too will be seen by the next document, and one failure is enough then.
		_store(source, Circuit(THRESHOLD - 1, seen.openings, seen.since, None, seen.message))
		return True
	_open(source, seen, recorder.redact(message))
	return False


def _open(source, seen, message):
	now = now_datetime()
	pause = PAUSES[min(seen.openings, len(PAUSES) - 1)]
	_store(
		source,
		Circuit(THRESHOLD, seen.openings + 1, seen.since or now, add_to_date(now, seconds=pause), message),
	)


def _store(source, circuit: Circuit):
	frappe.cache.set_value(_key(source), circuit, expires_in_sec=FORGOTTEN_AFTER)


def _key(source) -> str:
	return "fiscal_circuit|" + "|".join(source)
