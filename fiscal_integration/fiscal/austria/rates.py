"""Austria's rates of value-added tax as dated data, and the field of the RKSV that each belongs to.

A rate counts by the day of supply (authorities/austria.md#rates-of-value-added-tax).
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fiscal_integration.fiscal.austria.rksv import NULL, REDUCED_1, REDUCED_2, SPECIAL, STANDARD
from fiscal_integration.fiscal.money import plain

BASIC_FOOD = Decimal("0.049")
"""Basic foodstuffs of annex 3 of the UStG, a part of what was taxed at 10 %."""
BASIC_FOOD_SINCE = date(2026, 7, 1)


@dataclass(frozen=True)
class Rate:
	"""A rate as a fraction, its field of the RKSV, and the first and last day of its supplies (None: not limited)."""

	fraction: Decimal
	field: str
	since: date | None = None
	until: date | None = None

	def counts_on(self, day: date) -> bool:
		return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


RATES = (
	Rate(Decimal("0.20"), STANDARD),
	Rate(Decimal("0.10"), REDUCED_1),
	Rate(Decimal("0.13"), REDUCED_2),
	Rate(Decimal("0.19"), SPECIAL),
	Rate(BASIC_FOOD, SPECIAL, since=BASIC_FOOD_SINCE),
	Rate(Decimal(0), NULL),
)


def find(fraction: Decimal) -> Rate | None:
	"""The rate of this height, whether or not it counts today."""
	return next((rate for rate in RATES if rate.fraction == fraction), None)


def in_force(day: date) -> tuple[Rate, ...]:
	"""The rates of supplies of that day."""
	return tuple(rate for rate in RATES if rate.counts_on(day))


def percent(fraction: Decimal) -> str:
	"""A rate in the notation of Austria's papers: "20 %", "4,9 %"."""
	return f"{plain(fraction * 100).replace('.', ',')} %"
