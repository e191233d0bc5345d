"""CUFE, the unique code of a Panamanian electronic invoice: 66 characters (authorities/panama.md#cufe)."""

import re

LENGTH = 66
_FORM = re.compile(
	r"FE(?P<document>[0-9]{2})(?P<taxpayer_type>[12])(?P<ruc>[0-9A-Z-]{20})-(?P<dv>[0-9]{2})(?P<branch>[0-9]{4})"
	r"(?P<date>[0-9]{8})(?P<number>[0-9]{10})(?P<point>[0-9]{3})(?P<emission>[0-9]{2})(?P<environment>[12])"
	r"(?P<security>[0-9]{9})(?P<check>[0-9])"
)


def check_digit(text: str) -> str:
	"""The last character of a CUFE: Luhn's over the 63 characters between "FE" and itself.

	`text` is those 63 characters, or a CUFE with or without its check digit. Raises ValueError for any other
	length. What is no digit counts as the second digit of its decimal ASCII code ("-" is 45, so 5).
	"""
	if len(text) in (LENGTH, LENGTH - 1) and text.startswith("FE"):
		text = text[2 : LENGTH - 1]
	if len(text) != LENGTH - 3:
		raise ValueError(f"A check digit is made of {LENGTH - 3} characters, not of {len(text)}")
	total = 0
	for position, character in enumerate(reversed(text)):
		digit = int(character) if character in "0123456789" else int(f"{ord(character):02d}"[1])
		if position % 2 == 0:
			digit *= 2
			digit -= 9 if digit > 9 else 0
		total += digit
	return str(-total % 10)


def is_valid(cufe: str) -> bool:
	"""Whether `cufe` has the form of one and its check digit fits."""
	return bool(_FORM.fullmatch(cufe or "")) and check_digit(cufe) == cufe[-1]


def parts(cufe: str) -> dict[str, str]:
	"""The parts of a valid CUFE by name, as `compose` takes them; empty for what is none."""
	found = _FORM.fullmatch(cufe or "")
	return found.groupdict() if found and is_valid(cufe) else {}


def compose(
	document: str,
	taxpayer_type: int,
	ruc: str,
	dv: str,
	branch: str,
	date: str,
	number: str,
	point: str,
	emission: str,
	environment: int,
	security: str,
) -> str:
	"""A CUFE of its parts, padded as 5.1 says; `date` is YYYYMMDD. Raises ValueError when a part does not fit."""
	body = (
		f"FE{document:0>2}{taxpayer_type}{ruc:0>20}-{dv:0>2}{branch:0>4}{date}{number:0>10}{point:0>3}"
		f"{emission:0>2}{environment}{security:0>9}"
	)
	if len(body) != LENGTH - 1:
		raise ValueError(f"The parts of a CUFE make {len(body)} characters instead of {LENGTH - 1}: {body}")
	cufe = body + check_digit(body)
	if not is_valid(cufe):
		raise ValueError(f"{cufe} has not the form of a CUFE")
	return cufe
