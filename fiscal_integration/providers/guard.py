"""An answer that cannot be read is an outcome, not an exception.

A provider's methods read what a server sent. A value of another type than documented, a number that no column holds, or
a defect in our own reading must not end in an exception: the row would stay in Sending, and a form would show a
traceback. So each method that calls is wrapped, and its outcome is checked before anybody stores it.
"""

import functools
import traceback
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path

from fiscal_integration.fiscal.errors import ErrorClass, Failure
from fiscal_integration.fiscal.words import say

LONGEST_ID = 140
LARGEST_AMOUNT = Decimal(10) ** 12
_IDS = {
	"provider_id",
	"fiscal_id",
	"external_reference",
	"authorization_number",
	"number",
	"serial",
	"tax_id",
	"dv",
}


def guard(method: Callable, outcome: Callable[[Failure], object], changes: bool) -> Callable:
	"""`method` so that it always returns: what it raises becomes `outcome` of a Failure.

	`changes`: the call makes or cancels something, so that an answer which cannot be read leaves it unknown.
	"""

	@functools.wraps(method)
	def guarded(self, *arguments, **named):
		try:
			found = method(self, *arguments, **named)
			check(found)
			return found
		except NotImplementedError:
			raise
		except Exception as error:
			where = traceback.extract_tb(error.__traceback__)[-1]
			place = f"{type(error).__name__}, {Path(where.filename).name} {where.lineno}"
			return outcome(
				Failure(
					ErrorClass.UNKNOWN if changes else ErrorClass.TRANSIENT,
					say("The answer of {0} could not be understood ({1}).", self.label, place),
					"unreadable",
				)
			)

	return guarded


def check(found):
	"""Raise ValueError when an outcome holds what a field cannot take: another type, an id or amount that is too large."""
	if isinstance(found, tuple):
		for entry in found:
			check(entry)
	elif isinstance(found, Decimal):
		if not found.is_finite() or abs(found) >= LARGEST_AMOUNT:
			raise ValueError("an amount beyond all invoices")
	elif is_dataclass(found) and not isinstance(found, type):
		for field in fields(found):
			value = getattr(found, field.name)
			if field.type in (str, "str") and not isinstance(value, str):
				raise ValueError(f"{field.name} is no text")
			if field.name in _IDS and len(value) > LONGEST_ID:
				raise ValueError(f"{field.name} is too long")
			check(value)
	elif isinstance(found, str):
		if "\0" in found or any("\ud800" <= letter <= "\udfff" for letter in found):
			raise ValueError("text that no database keeps")
