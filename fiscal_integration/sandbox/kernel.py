"""What every emulator shares: clock, ledger, recorded requests, and faults to order."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

FAULTS = {
	"lost_after_commit": "The document is issued and the connection closed without an answer.",
	"lost_before_commit": "The connection is closed and nothing is issued.",
	"status": "Answered with the HTTP status `status` (and `code`, `retry_after`); nothing is issued.",
	"status_after_commit": "As status, but the document is issued.",
	"slow": "Answered after `delay` seconds.",
	"malformed": "Issued, but answered with 200 and garbage.",
	"malformed_before_commit": "Answered with 200 and garbage; nothing is issued.",
	"empty": "Issued, but answered with 200 and nothing.",
	"no_uuid": "Issued, but the answer lacks the legal id.",
	"pending": "202 first; becomes `outcome` (valid or failed) when the clock passes `after` seconds.",
	"wrong_livemode": "The answer claims the other environment.",
	"wrong_total": "The answer tells another total.",
	"refuse": "The next connections are refused until the sandbox resumes.",
}


class Clock:
	"""The sandbox's time: the machine's, plus what the tests turned it forward."""

	def __init__(self):
		self.offset = timedelta()

	def now(self) -> datetime:
		return datetime.now(timezone.utc) + self.offset

	def advance(self, seconds: float):
		self.offset += timedelta(seconds=seconds)


@dataclass
class Fault:
	"""One fault to order: it befalls the next `times` requests of `operation` ("*" for any)."""

	kind: str
	operation: str = "issue"
	times: int = 1
	match: str = ""
	options: dict[str, Any] = field(default_factory=dict)


class Drop(Exception):
	"""Close the connection without an answer."""


@dataclass
class Answer:
	status: int
	body: dict | list | bytes | str
	headers: dict = field(default_factory=dict)
	content_type: str = "application/json"


class Emulator:
	"""Base of the emulators. One lock each: what is issued is issued one at a time, as in a real ledger.

	Options that all have: `latency` (seconds before every answer), `webhook_url` and `webhook_secret`.
	`max_in_flight` is the largest number of issuing requests that were handled at once.
	"""

	key: ClassVar[str]
	base: ClassVar[str] = ""
	"""Path behind /<key> that a client's server URL ends with."""
	webhook_waits: ClassVar[tuple[int, ...]] = ()
	"""Minutes between the tries to deliver a webhook."""

	def __init__(self, clock: Clock, sleep=time.sleep):
		self.clock = clock
		self.sleep = sleep
		self.lock = threading.RLock()
		self.faults: list[Fault] = []
		self.requests: deque[dict] = deque(maxlen=10_000)
		self.options: dict[str, Any] = {}
		self.deliveries: list[dict] = []
		self.in_flight = self.max_in_flight = 0
		self.clear()

	def clear(self):
		"""Forget what was issued."""

	def reset(self):
		with self.lock:
			self.faults.clear()
			self.requests.clear()
			self.options.clear()
			self.deliveries.clear()
			self.max_in_flight = 0
			self.clear()

	def take_fault(self, operation: str, text: str) -> Fault | None:
		"""The fault that befalls this request, used up by one."""
		with self.lock:
			for fault in self.faults:
				if fault.operation in (operation, "*") and (not fault.match or fault.match in text):
					fault.times -= 1
					if fault.times <= 0:
						self.faults.remove(fault)
					return fault
		return None

	def secret_key(self, live: bool = False) -> str:
		raise NotImplementedError

	def parameters(self, live: bool = False) -> dict[str, str]:
		"""What else the settings have to say for this emulator, by parameter."""
		return {}

	def ledger(self) -> list[dict]:
		"""What was really issued: one dict a document."""
		raise NotImplementedError

	def operation(self, method: str, path: str) -> str:
		"""The name by which faults are ordered for this request; "issue" for what makes a document."""
		raise NotImplementedError

	def serve(self, operation, method, path, query, headers, body, fault) -> Answer:
		"""Answer one request as the provider does when nothing goes wrong."""
		raise NotImplementedError

	def ordered(self, fault: Fault) -> Answer:
		"""The error answer that a "status" fault asks for, in the provider's own shape."""
		raise NotImplementedError

	def spoil(self, kind: str, body: dict) -> dict:
		"""`body` as the faults no_uuid, wrong_livemode and wrong_total would have it."""
		return body

	def answer_headers(self) -> dict:
		return {}

	def handle(self, method: str, path: str, query: dict, headers: dict, body: bytes) -> Answer:
		"""Answer one request, with the fault that was ordered for it. Raises Drop to close the connection."""
		operation = self.operation(method, path)
		with self.lock:
			if operation == "issue":
				self.in_flight += 1
				self.max_in_flight = max(self.max_in_flight, self.in_flight)
		try:
			return self._with_fault(operation, method, path, query, headers, body)
		finally:
			with self.lock:
				if operation == "issue":
					self.in_flight -= 1

	def _with_fault(self, operation, method, path, query, headers, body) -> Answer:
		if self.options.get("latency"):
			self.sleep(float(self.options["latency"]))
		extra = self.answer_headers()
		fault = self.take_fault(operation, body.decode(errors="replace") + path)
		kind = fault.kind if fault else ""
		if kind == "slow":
			self.sleep(float(fault.options.get("delay", 1)))
		if kind == "lost_before_commit":
			raise Drop
		if kind == "malformed_before_commit":
			return Answer(200, "<html>garbage", extra)
		if kind != "status":
			answer = self.serve(operation, method, path, query, headers, body, fault)
		if kind == "lost_after_commit":
			raise Drop
		if kind in ("status", "status_after_commit"):
			answer = self.ordered(fault)
			if "retry_after" in fault.options:
				answer.headers = {**answer.headers, "Retry-After": fault.options["retry_after"]}
		elif kind == "malformed":
			answer = Answer(200, '{"id": "5f7d8b1e')
		elif kind == "empty":
			answer = Answer(200, b"")
		elif kind and isinstance(answer.body, dict) and answer.status < 300:
			answer.body = self.spoil(kind, answer.body)
		answer.headers = {**answer.headers, **extra}
		return answer

	# -- webhooks ----------------------------------------------------------------------------------------

	def signature(self, secret: str, body: bytes) -> tuple[str, str]:
		"""Name and value of the header that signs a webhook."""
		raise NotImplementedError

	def notify(self, event: dict):
		"""Tell the URL in the options of `event`, at once and again after each of webhook_waits."""
		if self.options.get("webhook_url"):
			self.deliver(event, self.options["webhook_url"])

	def deliver(self, event: dict, url: str, secret: str | None = None):
		"""Tell one URL, signed with `secret` or with the one in the options."""
		self.deliveries.append(
			{
				"url": url,
				"body": json.dumps(event, ensure_ascii=False),
				"attempts": [],
				"due": self.clock.now().timestamp(),
				**({"secret": secret} if secret else {}),
			}
		)

	def tick(self):
		"""What happens by itself as time passes: send the webhooks that are due. Never while it is locked."""
		with self.lock:
			self.settle()
			due = [
				entry
				for entry in self.deliveries
				if entry["due"] is not None and entry["due"] <= self.clock.now().timestamp()
			]
			for entry in due:
				tries = len(entry["attempts"])
				waits = self.webhook_waits
				entry["due"] = entry["due"] + waits[tries] * 60 if tries < len(waits) else None
				entry["attempts"].append(0)
		for entry in due:
			status = self._post(entry)
			entry["attempts"][-1] = status
			if 200 <= status < 300:
				entry["due"] = None

	def settle(self):
		"""Bring what is pending to its end once its time has come. Called with the lock held."""

	def _post(self, entry) -> int:
		body = entry["body"].encode()
		secret = entry.get("secret") or self.options.get("webhook_secret")
		name, value = self.signature(str(secret or ""), body)
		request = urllib.request.Request(
			entry["url"], body, {"Content-Type": "application/json", name: value}, method="POST"
		)
		try:
			with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
				request, timeout=10
			) as answer:
				return answer.status
		except urllib.error.HTTPError as error:
			return error.code
		except OSError:
			return 0

	def dump(self) -> dict:
		"""What survives a restart."""
		return {}

	def load(self, state: dict):
		"""Take up what `dump` gave."""
