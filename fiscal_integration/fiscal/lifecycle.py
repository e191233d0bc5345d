"""The states of a fiscal document, as data: who may follow whom, and how long to wait.

Python, the list views and the documentation read this one table (delivery.md). The issuing axis and
the cancelling axis are separate: an Issued document stays Issued, whatever becomes of its cancellation.
"""

import random
from dataclasses import dataclass

from fiscal_integration.fiscal.errors import ErrorClass, Failure

QUEUED = "Queued"
SENDING = "Sending"
PENDING = "Pending"
UNKNOWN = "Unknown"
ISSUED = "Issued"
REJECTED = "Rejected"
FAILED = "Failed"
NEEDS_REVIEW = "Needs Review"
WITHDRAWN = "Withdrawn"


NOT_REQUIRED = "Not Required"
FOR_GLOBAL = "For Global Invoice"
IN_GLOBAL = "In Global Invoice"
WITHOUT = (NOT_REQUIRED, FOR_GLOBAL, IN_GLOBAL)
"""What an invoice shows that has no fiscal document of its own, and is to have none."""


@dataclass(frozen=True)
class State:
	"""One state: what it means to a person, and which states may follow it.

	`todo` is what a person has to do. `due`: the sweep looks at such rows when their next attempt is due, and
	they hold up what comes after them on an ordered device. `open`: the provider may hold a document that we
	have not seen. `colour` is the Desk's indicator.
	"""

	meaning: str
	todo: str
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
		"Nothing. If many stay here: Ping Server in the settings names the obstacle.",
		"blue",
		(SENDING, WITHDRAWN),
		due=True,
	),
	SENDING: State(
		"A worker is sending it right now.",
		"Nothing. After ten minutes without an answer it becomes Unknown by itself.",
		"blue",
		(QUEUED, PENDING, UNKNOWN, ISSUED, REJECTED, FAILED, NEEDS_REVIEW, WITHDRAWN),
		due=True,
		open=True,
	),
	PENDING: State(
		"The provider has it and will answer later; it is asked again by itself.",
		"Nothing; Ask the Provider asks at once.",
		"yellow",
		(PENDING, ISSUED, REJECTED, FAILED, NEEDS_REVIEW),
		due=True,
		open=True,
	),
	UNKNOWN: State(
		"No usable answer came. The provider is asked whether it was issued, and nothing is sent before.",
		"Nothing; Ask the Provider asks at once. Never make the sale a second time.",
		"orange",
		(UNKNOWN, QUEUED, PENDING, ISSUED, REJECTED, NEEDS_REVIEW),
		due=True,
		open=True,
	),
	ISSUED: State("The authority's id is here; the sale has its legal document.", "Nothing.", "green"),
	REJECTED: State(
		"The provider or the local check refused the data: correct them, then send again.",
		"Correct what the error names, then Send Again. The number and the key stay.",
		"red",
		(QUEUED, NEEDS_REVIEW, WITHDRAWN),
	),
	FAILED: State(
		"All attempts are used up, or the connection's settings are wrong: mend the cause, then send again.",
		"Mend the cause that the error names, then Send Again.",
		"red",
		(QUEUED, NEEDS_REVIEW, WITHDRAWN),
	),
	NEEDS_REVIEW: State(
		"The provider holds something that does not match this invoice, or somebody sent it to review: a person decides.",
		"Compare both sides. Take Over the provider's document if it is this sale; Send Again only if it is certainly another's.",
		"red",
		(QUEUED, PENDING, UNKNOWN, ISSUED, WITHDRAWN),
		open=True,
	),
	WITHDRAWN: State("The invoice was cancelled before anything was issued.", "Nothing.", "gray"),
}

DUE = tuple(name for name, state in STATES.items() if state.due)
OPEN = tuple(name for name, state in STATES.items() if state.open)
DEAD_LETTERS = (REJECTED, FAILED, NEEDS_REVIEW)
RETRYABLE_BY_PERSON = (REJECTED, FAILED, NEEDS_REVIEW)
REVIEWABLE_BY_PERSON = (PENDING, UNKNOWN, REJECTED, FAILED)
"""What a person may send to review. From there Pending and Unknown go back to where they were, to be asked about:
nothing is sent before their outcome is known."""


@dataclass(frozen=True)
class Reaction:
	"""What follows a failure of one class: the state, and the seconds before each further attempt.

	When the waits are used up the document becomes a dead letter. Without waits it is never sent again by
	itself.
	"""

	state: str
	meaning: str
	waits: tuple[float, ...] = ()


REACTIONS: dict[ErrorClass, Reaction] = {
	ErrorClass.CONFIGURATION: Reaction(
		FAILED, "The settings have to be mended; nothing is repeated by itself."
	),
	ErrorClass.REJECTED: Reaction(REJECTED, "The data have to be corrected; nothing is repeated by itself."),
	ErrorClass.TRANSIENT: Reaction(
		QUEUED,
		"Certainly not issued: sent again, the same bytes under the same key.",
		(30, 120, 600, 1800, 3600, 3600, 3600),
	),
	ErrorClass.UNKNOWN: Reaction(UNKNOWN, "May have been issued: the provider is asked first."),
	ErrorClass.DUPLICATE: Reaction(UNKNOWN, "The provider has it: fetched, compared and adopted."),
}

ASK_WAITS: dict[str, tuple[float, ...]] = {
	PENDING: (60, 300, 600, 600, 600, 600, 1800, 3600),
	UNKNOWN: (5, 30, 120, 600, 1800, 3600),
}
"""Seconds before the provider is asked again; the last one repeats, so that each is asked hourly at least."""

MAX_ATTEMPTS = len(REACTIONS[ErrorClass.TRANSIENT].waits) + 1
JITTER = 0.1

LEASE_SECONDS = 600
"""How long a row may be Sending before its worker counts as dead. Longer than any provider's total time
limit, since a lease that ends while its request is under way would let two workers look at one row."""

CANCEL_REQUESTED = "Requested"
CANCEL_UNKNOWN = "Unknown"
CANCEL_PENDING = "Pending"
CANCELLED = "Cancelled"
CANCEL_REFUSED = "Refused"
CANCEL_FAILED = "Failed"

CANCEL_STATES: dict[str, State] = {
	"": State("Nobody asked for a cancellation.", "Nothing.", "gray", (CANCEL_REQUESTED,)),
	CANCEL_REQUESTED: State(
		"Waits to be sent to the authority; goes by itself.", "Nothing.", "blue", (CANCEL_UNKNOWN,), due=True
	),
	CANCEL_UNKNOWN: State(
		"It is being sent, or no usable answer came: it is looked up before it is asked again.",
		"Nothing.",
		"orange",
		(CANCEL_REQUESTED, CANCEL_PENDING, CANCELLED, CANCEL_REFUSED, CANCEL_FAILED),
		due=True,
		open=True,
	),
	CANCEL_PENDING: State(
		"The authority or the receiver has still to agree; it is asked again by itself.",
		"Nothing.",
		"yellow",
		(CANCELLED, CANCEL_REFUSED, CANCEL_FAILED),
		due=True,
		open=True,
	),
	CANCELLED: State(
		"The authority has cancelled the document.", "Cancel the invoice in ERPNext too.", "gray"
	),
	CANCEL_REFUSED: State(
		"The authority refused: the document stays valid.",
		"Read the answer. Make a credit note, or ask again when the cause is mended.",
		"red",
		(CANCEL_REQUESTED,),
	),
	CANCEL_FAILED: State(
		"It could not be asked for, because of the settings or the request.",
		"Mend the cause that the answer names, then ask again.",
		"red",
		(CANCEL_REQUESTED,),
	),
}
"""The cancelling axis of an Issued document."""

CANCELLING = tuple(name for name, state in CANCEL_STATES.items() if state.due)
"""Asked of the authority and not answered yet."""


class IllegalTransition(Exception):
	"""A state was about to be followed by one that may not follow it: a defect, never a user's error."""


def check(current: str, following: str) -> str:
	"""`following`, if it may follow `current`; raises IllegalTransition otherwise."""
	if following not in STATES[current].followers:
		raise IllegalTransition(f"{current} -> {following}")
	return following


def check_cancel(current: str, following: str) -> str:
	"""The same for the cancelling axis."""
	if following not in CANCEL_STATES[current].followers:
		raise IllegalTransition(f"cancellation {current or 'none'} -> {following}")
	return following


def after_failure(failure: Failure, attempts: int) -> tuple[str, float | None]:
	"""The state after a failed attempt when `attempts` have been made, and the seconds to wait in it.

	None for the seconds: it does not go on by itself. What the provider asked for wins over the table, and
	codes with waits of their own over their class.
	"""
	reaction = REACTIONS[failure.error_class]
	if reaction.state == UNKNOWN:
		return UNKNOWN, ask_wait(UNKNOWN, 1, failure.retry_after)
	if not reaction.waits:
		return reaction.state, None
	waits = failure.waits or reaction.waits
	if attempts > len(waits):
		return FAILED, None
	seconds = waits[max(attempts, 1) - 1] if failure.retry_after is None else max(failure.retry_after, 1.0)
	return reaction.state, jittered(seconds)


def ask_wait(state: str, tries: int, retry_after: float | None = None) -> float:
	"""Seconds until the provider is asked again about a row in `state` (Pending, Unknown) after `tries`."""
	waits = ASK_WAITS[state]
	return jittered(max(waits[min(max(tries, 1), len(waits)) - 1], retry_after or 0))


def jittered(seconds: float) -> float:
	"""Up to a tenth more: what failed together should not come back together."""
	return seconds * (1 + random.random() * JITTER)
