"""What went wrong, in the five classes that decide what happens next.

See decisions/0003-errors-in-five-classes.md.

A provider maps its own codes onto these classes; nothing above it looks at a provider's codes.
"""

from dataclasses import dataclass, field
from enum import Enum


class ErrorClass(str, Enum):
	"""What kind of failure this is, and so what may be done about it."""

	CONFIGURATION = "Configuration"
	"""Credentials, environment, subscription: stops until an administrator mends it."""
	REJECTED = "Rejected"
	"""The document's data were refused: stops until a person corrects them."""
	TRANSIENT = "Transient"
	"""Certainly not issued: may be sent again, the same bytes under the same key."""
	UNKNOWN = "Unknown"
	"""May have been issued: the provider must be asked before anything is sent again."""
	DUPLICATE = "Duplicate"
	"""The provider says that it has this document: ask, compare, adopt."""


@dataclass(frozen=True)
class Problem:
	"""One thing that stands in the way, in words that say what to do (see words.say).

	`field` names the ERPNext field to mend where there is one, `code` is the provider's or our own. A problem
	that nobody at the till could mend does not stop the sale: the document then waits for a person.
	"""

	message: str
	code: str = ""
	field: str = ""
	stops_sale: bool = True

	def __str__(self):
		return self.message


@dataclass(frozen=True)
class Failure:
	"""A call that did not end in an issued document.

	`retry_after`: seconds that the provider asks us to wait. `waits`: the seconds before each further attempt
	where this code has its own, with a dead letter after the last; empty for those of its class. `down`: it
	says that the provider is not there at all, rather than anything of this document. `provider_id`: the
	document that a duplicate stands for, where the answer names it.
	"""

	error_class: ErrorClass
	message: str
	code: str = ""
	retry_after: float | None = None
	problems: tuple[Problem, ...] = field(default_factory=tuple)
	waits: tuple[float, ...] = ()
	down: bool = False
	provider_id: str = ""


@dataclass(frozen=True)
class ErrorRule:
	"""What one of a provider's codes means: its class, what a person should do, and waits of its own."""

	error_class: ErrorClass
	remedy: str
	waits: tuple[float, ...] = ()


class MappingError(Exception):
	"""An ERPNext document cannot be expressed as a fiscal document; carries every problem at once."""

	def __init__(self, problems):
		self.problems = tuple(
			problem if isinstance(problem, Problem) else Problem(problem) for problem in problems
		)
		super().__init__("\n".join(problem.message for problem in self.problems))
