"""The one way out: every request of every provider goes through `HttpClient`.

Time limits, TLS, no redirects, size limits, and one recorded exchange per request. It tells apart what
was certainly not sent from what may have been processed, which is what decides between sending again and
asking first (invariant 3).
"""

import ipaddress
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from fiscal_integration.fiscal.words import say

CONNECT_SECONDS = 5
READ_SECONDS = 30
TOTAL_SECONDS = 120
MAX_BYTES = 20 * 1024 * 1024


class NotSent(Exception):
	"""The request did not reach the provider: nothing can have been issued."""


class NotAllowed(NotSent):
	"""The request was not made at all: the address is not one that secrets may be sent to."""


class AnswerLost(Exception):
	"""The request may have been processed, but no whole answer came."""


@dataclass
class Exchange:
	"""One request and what came of it, as it happened. Redacted when it is recorded, not here.

	`status` is 0 when no answer came; `error` then says why. `duration` is in seconds.
	"""

	operation: str
	method: str
	url: str
	request_headers: dict
	request_body: bytes
	started_at: datetime
	status: int = 0
	response_headers: dict = field(default_factory=dict)
	response_body: bytes = b""
	duration: float = 0.0
	error: str = ""
	correlation_id: str = ""

	@property
	def ok(self) -> bool:
		return 200 <= self.status < 300


@dataclass(frozen=True)
class Response:
	status: int
	headers: dict
	body: bytes

	def json(self) -> dict | None:
		"""The body as a JSON object, or None when it is none: garbage is an answer too."""
		try:
			parsed = json.loads(self.body)
		except ValueError:
			return None
		return parsed if isinstance(parsed, dict) else None

	@property
	def retry_after(self) -> float | None:
		"""Seconds that the provider asks us to wait (`Retry-After` as seconds; a date is not believed)."""
		try:
			return max(0.0, float(self.headers.get("retry-after", "")))
		except ValueError:
			return None


def is_loopback(url: str) -> bool:
	host = urlsplit(url).hostname or ""
	if host == "localhost" or host.endswith(".localhost"):
		return True
	try:
		return ipaddress.ip_address(host).is_loopback
	except ValueError:
		return False


def check_url(url: str) -> str:
	"""What is wrong with `url` as a server address, empty when nothing is: HTTPS, save on this machine."""
	parts = urlsplit(url)
	if parts.scheme not in ("http", "https") or not parts.hostname:
		return say("{0!r} is not a web address. It has to look like https://host/path.", url)
	if parts.username or parts.password:
		return "The server URL must not carry a user name or a password."
	if parts.query or parts.fragment:
		return "The server URL must not carry a query (?) or a fragment (#)."
	if parts.scheme == "http" and not is_loopback(url):
		return "The server URL has to begin with https://, or your key would cross the network in the open."
	return ""


class HttpClient:
	"""Makes requests and hands each exchange to `record`.

	`record` is called exactly once per request, also when it fails, before anything is raised.
	"""

	def __init__(
		self,
		record: Callable[[Exchange], None],
		correlation_header: str = "",
		read_seconds: float = READ_SECONDS,
		total_seconds: float = TOTAL_SECONDS,
	):
		self.record = record
		self.correlation_header = correlation_header.lower()
		self.read_seconds = read_seconds
		self.total_seconds = total_seconds

	def request(
		self,
		operation: str,
		method: str,
		url: str,
		headers: dict | None = None,
		body: str | bytes = b"",
		params: dict | None = None,
	) -> Response:
		"""Send one request, never twice.

		Raises NotSent when it certainly was not processed and AnswerLost when it may have been.
		"""
		prepared = requests.Request(
			method,
			url,
			headers={"User-Agent": "fiscal_integration", "Accept": "application/json", **(headers or {})},
			data=body.encode() if isinstance(body, str) else body or None,
			params=params,
		).prepare()
		exchange = Exchange(
			operation=operation,
			method=method,
			url=prepared.url,
			request_headers=dict(prepared.headers),
			request_body=prepared.body or b"",
			started_at=datetime.now(timezone.utc),
		)
		clock = time.monotonic()
		try:
			return self._send(prepared, exchange, clock)
		except (NotSent, AnswerLost) as error:
			exchange.error = str(error)
			raise
		finally:
			exchange.duration = time.monotonic() - clock
			self.record(exchange)

	def _send(self, prepared, exchange, clock) -> Response:
		wrong = check_url(prepared.url.split("?")[0])
		if wrong:
			raise NotAllowed(wrong)
		# A session of its own, because a pooled connection that the server closed meanwhile fails after the
		# request was written, and then nobody can say whether it was processed.
		with requests.Session() as session:
			session.mount("https://", requests.adapters.HTTPAdapter(max_retries=0))
			session.mount("http://", requests.adapters.HTTPAdapter(max_retries=0))
			# Proxies and CA bundles come from the environment as everywhere; .netrc must not replace our keys.
			settings = session.merge_environment_settings(prepared.url, {}, True, None, None)
			settings["verify"] = settings.get("verify") or True
			if is_loopback(prepared.url):
				settings["proxies"] = {}
			try:
				answer = session.send(
					prepared,
					timeout=(CONNECT_SECONDS, self.read_seconds),
					allow_redirects=False,
					stream=True,
					**{name: value for name, value in settings.items() if name != "stream"},
				)
				body = self._read(answer, clock)
			except requests.exceptions.RequestException as error:
				raise _classify(error) from None
			except (urllib3.exceptions.HTTPError, OSError) as error:
				raise AnswerLost(
					say("The connection broke while the answer was read ({0})", _name(error))
				) from None
		exchange.status = answer.status_code
		exchange.response_headers = dict(answer.headers)
		exchange.response_body = body
		if self.correlation_header:
			exchange.correlation_id = answer.headers.get(self.correlation_header, "")
		return Response(
			answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body
		)

	def _read(self, answer, clock) -> bytes:
		chunks, size = [], 0
		for chunk in answer.iter_content(65536):
			size += len(chunk)
			if size > MAX_BYTES:
				raise AnswerLost(say("The answer is longer than {0} bytes", MAX_BYTES))
			if time.monotonic() - clock > self.total_seconds:
				raise AnswerLost(say("The answer was not complete after {0:g} s", self.total_seconds))
			chunks.append(chunk)
		return b"".join(chunks)


def _classify(error) -> Exception:
	"""NotSent only for what happens before the first byte of the request is written."""
	if isinstance(error, requests.exceptions.SSLError):
		return NotSent(say("No secure connection could be made ({0}): check the server URL", _name(error)))
	if isinstance(error, requests.exceptions.ProxyError):
		return NotSent(say("The proxy could not be reached ({0})", _name(error)))
	if isinstance(error, requests.exceptions.ConnectTimeout):
		return NotSent(say("No connection within {0} s", CONNECT_SECONDS))
	if isinstance(error, requests.exceptions.ConnectionError):
		cause = error.args[0] if error.args else None
		reason = getattr(cause, "reason", cause)
		if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
			return NotSent(say("The server cannot be reached ({0})", _name(reason)))
		return AnswerLost(say("The connection broke before the answer came ({0})", _name(reason or error)))
	if isinstance(error, requests.exceptions.ReadTimeout):
		return AnswerLost("No answer came in time")
	if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
		return NotAllowed("The server URL is not valid")
	return AnswerLost(say("The answer could not be read ({0})", _name(error)))


def _name(error) -> str:
	return type(error).__name__
