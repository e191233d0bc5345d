"""RFC, the Mexican taxpayer's id (authorities/mexico.md#rfc)."""

import re
from datetime import date

PUBLIC_GENERAL = "XAXX010101000"
FOREIGN = "XEXX010101000"

_FORM = re.compile(r"^([A-ZÑ&]{3,4})(\d{2})(\d{2})(\d{2})([A-Z\d]{2}[A\d])$")


def normalize(text: str | None) -> str:
	"""`text` as it is written on documents: capitals, without blanks and dashes."""
	return re.sub(r"[\s\-.]", "", text or "").upper()


def is_valid(text: str) -> bool:
	"""Whether `text` has the form of an RFC with a real date.

	The check digit is not looked at: real RFCs that SAT itself lists fail it (authorities/mexico.md#rfc).
	"""
	match = _FORM.match(text)
	if not match:
		return False
	year, month, day = (int(part) for part in match.groups()[1:4])
	# Two digits say no century; 2000 and 1900 differ only in whether 29 February exists, so ask both.
	return any(_is_date(century + year, month, day) for century in (1900, 2000))


def is_company(text: str) -> bool:
	"""Twelve characters are a legal entity, thirteen a person."""
	return len(text) == 12


def _is_date(year, month, day):
	try:
		date(year, month, day)
	except ValueError:
		return False
	return True
