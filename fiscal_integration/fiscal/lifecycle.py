"""The states of a fiscal document, as data: who may follow whom, and how long to wait.

Python, the list views and the documentation read this one table (design section 5). The issuing axis and
the cancelling axis are separate: an Issued document stays Issued, whatever becomes of its cancellation.
"""

import random
from dataclasses import dataclass

from fiscal_integration.fiscal.errors import ErrorClass

QUEUED = "Queued"
SENDING = "Sending"
PENDING = "Pending"
UNKNOWN = "Unknown"
ISSUED = "Issued"
REJECTED = "Rejected"
FAILED = "Failed"
NEEDS_REVIEW = "Needs Review"
WITHDRAWN = "Withdrawn"


@dataclass(frozen=True)
class State:
	"""One state: what it means to a person, and which states may follow it.

	`due`: the sweep looks at such rows when their next attempt is due. `open`: the provider may hold a
	document that we have not seen. `colour` is the Desk's indicator.
	"""

	meaning: str
	colour: str
	followers: tuple[str, ...] = ()
	due: bool = False
	open: bool = False

	@property
	def terminal(self) -> bool:
		return not self.followers


STATES: dict[str, State] = {
	QUEUED: State(
		"Waits to be sent; goes by itself.",
		"blue",
		(SENDING, WITHDRAWN),
		due=True,
	),
	SENDING: State(
		"A worker is sending it right now.",
		"blue",
		(QUEUED, PENDING, UNKNOWN, ISSUED, REJECTED, FAILED, NEEDS_REVIEW, WITHDRAWN),
		due=True,
		open=True,
	),
	PENDING: State(
		"The provider has it and will answer later; it is asked again by itself.",
		"yellow",
		(PENDING, ISSUED, REJECTED, FAILED, NEEDS_REVIEW),
		due=True,
		open=True,
	),
	UNKNOWN: State(
		"No usable answer came. The provider is asked whether it was issued, and nothing is sent before.",
		"orange",
		(UNKNOWN, QUEUED, PENDING, ISSUED, REJECTED, NEEDS_REVIEW),
		due=True,
		open=True,
	),
	ISSUED: State("The authority's id is here; the sale has its legal document.", "green"),
	REJECTED: State(
		"The provider or the local check refused the data: correct them, then send again.",
		"red",
		(QUEUED, WITHDRAWN),
	),
	FAILED: State(
		"All attempts are used up, or the connection's settings are wrong: mend the cause, then send again.",
		"red",
		(QUEUED, WITHDRAWN),
	),
	NEEDS_REVIEW: State(
		"The provider holds something that does not match this invoice: a person compares and decides.",
		"red",
		(QUEUED, ISSUED, WITHDRAWN),
		open=True,
	),
	WITHDRAWN: State("The invoice was cancelled before anything was issued.", "gray"),
}

DUE = tuple(name for name, state in STATES.items() if state.due)
OPEN = tuple(name for name, state in STATES.items() if state.open)
DEAD_LETTERS = (REJECTED, FAILED, NEEDS_REVIEW)
RETRYABLE_BY_PERSON = (REJECTED, FAILED, NEEDS_REVIEW)

AFTER_FAILURE = {
	ErrorClass.CONFIGURATION: FAILED,
	ErrorClass.REJECTED: REJECTED,
	ErrorClass.TRANSIENT: QUEUED,
	ErrorClass.UNKNOWN: UNKNOWN,
	ErrorClass.DUPLICATE: UNKNOWN,
}

# Seconds before the next attempt, by how many were made; the last one repeats.
RETRY_WAITS = (30, 120, 600, 1800, 3600)
POLL_WAITS = (60, 300, 600, 600, 600, 600, 1800, 3600)
RECONCILE_WAITS = (5, 30, 120, 600, 1800, 3600)
MAX_ATTEMPTS = 8

LEASE_SECONDS = 600
"""How long a row may be Sending before its worker counts as dead. Longer than any provider's total time
limit, since a lease that ends while its request is under way would let two workers look at one row."""


class IllegalTransition(Exception):
	"""A state was about to be followed by one that may not follow it: a defect, never a user's error."""


def check(current: str, following: str) -> str:
	"""`following`, if it may follow `current`; raises IllegalTransition otherwise."""
	if following not in STATES[current].followers:
		raise IllegalTransition(f"{current} -> {following}")
	return following


def after_failure(error_class: ErrorClass, attempts: int) -> str:
	"""The state after a failed attempt, when `attempts` have been made."""
	if error_class is ErrorClass.TRANSIENT and attempts >= MAX_ATTEMPTS:
		return FAILED
	return AFTER_FAILURE[error_class]


def wait(state: str, tries: int, retry_after: float | None = None) -> float:
	"""Seconds until a row in `state` is due again after `tries` tries.

	What the provider asked for wins as the least; up to a tenth of jitter keeps rows that failed together
	from coming back together.
	"""
	waits = {QUEUED: RETRY_WAITS, PENDING: POLL_WAITS, UNKNOWN: RECONCILE_WAITS}[state]
	seconds = float(waits[min(max(tries, 1), len(waits)) - 1])
	if retry_after is not None:
		seconds = max(float(retry_after), 1.0) if state == QUEUED else max(seconds, float(retry_after))
	return seconds * (1 + random.random() / 10)
