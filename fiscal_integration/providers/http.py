"""The one way out: every request of every provider goes through `HttpClient`.

Time limits, TLS, no redirects, size limits, and one recorded exchange per request. It tells apart what
was certainly not sent from what may have been processed, which is what decides between sending again and
asking first (invariant 3). Connections are made to public addresses only, because a name that somebody entered may
lead into the network of this machine; see docs/security.md#addresses.
"""

import http.client
import ipaddress
import json
import math
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from urllib3.util.connection import allowed_gai_family

from fiscal_integration.fiscal.words import say

CONNECT_SECONDS = 5
READ_SECONDS = 30
TOTAL_SECONDS = 120
MAX_BYTES = 20 * 1024 * 1024
LONGEST_WAIT = 86400.0
"""Seconds for which a provider may put us off; a longer wait would hide a document that never leaves."""
SANDBOX_HEADER = "X-Fiscal-Sandbox"
"""Every answer of our emulators carries it."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNKEEPABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


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
			parsed = json.loads(self.body, parse_constant=_no_number)
			# What no database column holds: NUL, and halves of surrogate pairs.
			if _UNKEEPABLE.search(self.body):
				parsed = _keepable(parsed)
		except (ValueError, RecursionError):
			return None
		return parsed if isinstance(parsed, dict) else None

	@property
	def retry_after(self) -> float | None:
		"""Seconds that the provider asks us to wait, a day at most; None when it does not say so intelligibly.

		`Retry-After` is a number of seconds, or a date, which is compared with the answer's own `Date`.
		"""
		asked = self.headers.get("retry-after", "")
		try:
			seconds = float(asked)
		except ValueError:
			try:
				sent = self.headers.get("date")
				now = parsedate_to_datetime(sent) if sent else datetime.now(timezone.utc)
				seconds = (parsedate_to_datetime(asked) - now).total_seconds()
			except (ValueError, TypeError, IndexError, OverflowError):
				return None
		if math.isnan(seconds):
			return None
		return min(max(0.0, seconds), LONGEST_WAIT)


def _no_number(name):
	raise ValueError(f"{name} is no number of JSON")


def _keepable(value):
	if isinstance(value, str):
		return value.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
	if isinstance(value, list):
		return [_keepable(entry) for entry in value]
	if isinstance(value, dict):
		return {_keepable(key): _keepable(entry) for key, entry in value.items()}
	return value


def is_loopback(url: str) -> bool:
	host = urlsplit(url).hostname or ""
	if host == "localhost" or host.endswith(".localhost"):
		return True
	try:
		return ipaddress.ip_address(host).is_loopback
	except ValueError:
		return False


def refusal(address: str, loopback: bool = False) -> str:
	"""Why nothing is sent to this IP address; empty when it is a public one.

	Loopback is allowed with `loopback` only. An IPv6 address that carries an IPv4 one (RFC 4291, 6052, 3056) is
	judged by that one.
	"""
	found = ipaddress.ip_address(address.partition("%")[0])
	if found.version == 6:
		if found in _NAT64:
			found = ipaddress.ip_address(int(found) & 0xFFFFFFFF)
		else:
			found = found.ipv4_mapped or found.sixtofour or found
	if found.is_loopback:
		if loopback:
			return ""
		return say(
			"{0} is this machine itself, where only the sandbox is. To try that with the environment Test, set "
			"fiscal_allow_loopback to 1 in the site's site_config.json.",
			address,
		)
	if found.is_global and not found.is_multicast and not found.is_reserved:
		return ""
	return say("{0} is an address inside a private network. Enter the provider's public server URL.", address)


def check_host(url: str, loopback: bool = False) -> str:
	"""The `refusal` of a URL whose host shows by itself where it leads: an IP address or localhost. Resolves nothing."""
	host = urlsplit(url).hostname or ""
	if is_loopback(url):
		return "" if loopback else refusal("127.0.0.1")
	try:
		return refusal(host, loopback)
	except ValueError:
		return ""


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


class Deadline:
	"""Closes a request's connection after so many seconds, whatever it is doing.

	The time limits of sockets start anew with each byte: a server that sends one now and then would hold a request
	for hours, longer than the lease of its document.
	"""

	def __init__(self, seconds: float):
		self.passed = False
		self._sockets: list[socket.socket] = []
		self._timer = threading.Timer(seconds, self._close)
		self._timer.daemon = True

	def __enter__(self):
		self._timer.start()
		return self

	def __exit__(self, *_error):
		self._timer.cancel()

	def watch(self, connected: socket.socket):
		self._sockets.append(connected)
		if self.passed:
			self._close()

	def _close(self):
		self.passed = True
		for connected in self._sockets:
			try:
				# Of the plain socket: TLS would wait for the other side's goodbye.
				socket.socket.shutdown(connected, socket.SHUT_RDWR)
			except OSError:
				pass


def _addresses(host: str, port: int) -> list[str]:
	"""The IP addresses of a host, in the order in which they should be tried. Raises OSError when it has none."""
	try:
		found = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
	except UnicodeError:
		raise OSError("no name that could be looked up") from None
	return list(dict.fromkeys(entry[4][0] for entry in found))


def _checked(addresses: list[str], loopback: bool) -> list[str]:
	"""The addresses, when nothing is to be said against any of them. Raises NotAllowed."""
	for address in addresses:
		if wrong := refusal(address, loopback):
			raise NotAllowed(wrong)
	return addresses


class _WatchedAdapter(requests.adapters.HTTPAdapter):
	"""Makes connections to allowed addresses, which a Deadline may close. Never tries a request again."""

	def __init__(self, deadline: Deadline, loopback: bool):
		self.deadline = deadline
		self.loopback = loopback
		super().__init__(max_retries=0)

	def get_connection(self, *args, **kwargs):
		return self._watched(super().get_connection(*args, **kwargs))

	def get_connection_with_tls_context(self, *args, **kwargs):
		return self._watched(super().get_connection_with_tls_context(*args, **kwargs))

	def _watched(self, pool):
		deadline, loopback = self.deadline, self.loopback

		class Watched(pool.ConnectionCls):
			def _new_conn(self):
				"""A connection to an address that was checked. The name is looked up once: a second look-up could
				find another address (DNS rebinding). TLS still expects the name."""
				if self.proxy:
					return super()._new_conn()
				name, lost = self._dns_host, None
				try:
					found = _addresses(name.strip("[]"), self.port)
				except OSError as error:
					raise urllib3.exceptions.NewConnectionError(self, f"no address: {error}") from None
				for address in _checked(found, loopback):
					self._dns_host = address
					try:
						return super()._new_conn()
					except urllib3.exceptions.HTTPError as error:
						lost = error
					finally:
						self._dns_host = name
				raise lost or urllib3.exceptions.NewConnectionError(self, "no address")

			def connect(self):
				super().connect()
				deadline.watch(self.sock)

		pool.ConnectionCls = Watched
		return pool


class HttpClient:
	"""Makes requests and hands each exchange to `record`.

	`record` is called exactly once per request, also when it fails, before anything is raised. With `loopback` the
	sandbox on this machine may be called; without it, what answers as a sandbox is refused wherever it is.
	"""

	def __init__(
		self,
		record: Callable[[Exchange], None],
		correlation_header: str = "",
		read_seconds: float = READ_SECONDS,
		total_seconds: float = TOTAL_SECONDS,
		loopback: bool = False,
	):
		self.record = record
		self.correlation_header = correlation_header.lower()
		self.read_seconds = read_seconds
		self.total_seconds = total_seconds
		self.loopback = loopback

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
			with Deadline(self.total_seconds) as deadline:
				return self._send(prepared, exchange, deadline)
		except (NotSent, AnswerLost) as error:
			exchange.error = str(error)
			raise
		finally:
			exchange.duration = time.monotonic() - clock
			self.record(exchange)

	def _send(self, prepared, exchange, deadline) -> Response:
		wrong = check_url(prepared.url.split("?")[0]) or check_host(prepared.url, self.loopback)
		if wrong:
			raise NotAllowed(wrong)
		# A session of its own, because a pooled connection that the server closed meanwhile fails after the
		# request was written, and then nobody can say whether it was processed.
		with requests.Session() as session:
			for scheme in ("https://", "http://"):
				session.mount(scheme, _WatchedAdapter(deadline, self.loopback))
			# Proxies and CA bundles come from the environment as everywhere; .netrc must not replace our keys.
			settings = session.merge_environment_settings(prepared.url, {}, True, None, None)
			settings["verify"] = settings.get("verify") or True
			if is_loopback(prepared.url):
				settings["proxies"] = {}
			elif requests.utils.select_proxy(prepared.url, settings["proxies"]):
				self._check_behind_proxy(prepared.url)
			try:
				answer = session.send(
					prepared,
					timeout=(CONNECT_SECONDS, self.read_seconds),
					allow_redirects=False,
					stream=True,
					**{name: value for name, value in settings.items() if name != "stream"},
				)
				if SANDBOX_HEADER in answer.headers and not self.loopback:
					raise NotAllowed(
						"This is a sandbox: what it issues has no fiscal validity. Enter the provider's own server URL."
					)
				body = self._read(answer)
				if deadline.passed:
					# A body without a length looks whole when its connection is closed.
					raise AnswerLost(self._too_late())
			except requests.exceptions.RequestException as error:
				raise (AnswerLost(self._too_late()) if deadline.passed else _classify(error)) from None
			except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
				if deadline.passed:
					raise AnswerLost(self._too_late()) from None
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

	def _check_behind_proxy(self, url: str):
		"""A proxy looks up the name itself; what it would not find here may be known to it alone."""
		parts = urlsplit(url)
		try:
			found = _addresses(parts.hostname, parts.port or 443)
		except OSError:
			return
		_checked(found, self.loopback)

	def _too_late(self) -> str:
		return say("The answer was not complete after {0:g} s", self.total_seconds)

	def _read(self, answer) -> bytes:
		chunks, size = [], 0
		for chunk in answer.iter_content(65536):
			size += len(chunk)
			if size > MAX_BYTES:
				raise AnswerLost(say("The answer is longer than {0} bytes", MAX_BYTES))
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
