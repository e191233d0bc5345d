"""What every emulator shares: clock, ledger, recorded requests, and faults to order."""

import threading
import time
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
	"""Base of the emulators. One lock each: what is issued is issued one at a time, as in a real ledger."""

	key: ClassVar[str]
	base: ClassVar[str] = ""
	"""Path behind /<key> that a client's server URL ends with."""

	def __init__(self, clock: Clock, sleep=time.sleep):
		self.clock = clock
		self.sleep = sleep
		self.lock = threading.RLock()
		self.faults: list[Fault] = []
		self.requests: deque[dict] = deque(maxlen=10_000)
		self.options: dict[str, Any] = {}
		self.clear()

	def clear(self):
		"""Forget what was issued."""

	def reset(self):
		with self.lock:
			self.faults.clear()
			self.requests.clear()
			self.options.clear()
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

	def ledger(self) -> list[dict]:
		"""What was really issued: one dict a document."""
		raise NotImplementedError

	def handle(self, method: str, path: str, query: dict, headers: dict, body: bytes) -> Answer:
		"""Answer one request. Raises Drop to close the connection instead."""
		raise NotImplementedError

	def dump(self) -> dict:
		"""What survives a restart."""
		return {}

	def load(self, state: dict):
		"""Take up what `dump` gave."""
