"""Exact money: Decimal everywhere, and one rounding rule.

Half-up is the rule that the Mexican and Panamanian specifications compute with (authorities/mexico.md#total,
authorities/panama.md#amounts); a float never takes part in a sum.
"""

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

ZERO = Decimal(0)
CENT = Decimal("0.01")
MICRO = Decimal("0.000001")


def decimal(value) -> Decimal:
	"""`value` as an exact Decimal; floats through their shortest text, so 0.1 stays 0.1.

	Raises ValueError for what is no number, so that a missing amount is never read as zero by chance.
	"""
	if isinstance(value, Decimal):
		return value
	if value is None or value == "":
		return ZERO
	try:
		number = Decimal(str(value))
	except ArithmeticError:
		raise ValueError(f"{value!r} is not an amount") from None
	if not number.is_finite():
		raise ValueError(f"{value!r} is not an amount")
	return number


def quantize(value: Decimal, step: Decimal = CENT) -> Decimal:
	"""`value` rounded half up to `step` (0.01 by default)."""
	return value.quantize(step, rounding=ROUND_HALF_UP)


def ceiling(value: Decimal, step: Decimal = CENT) -> Decimal:
	"""`value` rounded up to `step` (0.01 by default)."""
	return value.quantize(step, rounding=ROUND_CEILING)


def plain(value: Decimal) -> str:
	"""The shortest plain notation: no exponent, no trailing zeros ("10", "8.62069")."""
	text = format(value, "f")
	if "." in text:
		text = text.rstrip("0").rstrip(".")
	return "0" if text in ("-0", "") else text


def number(value: Decimal) -> int | float:
	"""`value` as a JSON number, exact: raises ValueError when a float would change it."""
	if value == value.to_integral_value():
		return int(value)
	result = float(value)
	if Decimal(repr(result)) != value:
		raise ValueError(f"{plain(value)} has more digits than a JSON number carries")
	return result
