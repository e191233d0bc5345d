"""SAT's total of a CFDI, and lines shaped so that it is what the customer paid (authorities/mexico.md#total).

SAT rounds the sum of the lines, that of the discounts and that of each group of taxes to the currency's decimals
before it adds them. So the total of exact lines may lie cents from the invoice's. Moving a line's base by less than
half a cent, which its rounded figures hide, moves such a sum over or below the middle between two cents.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import product

from fiscal_integration.fiscal.money import MICRO, ZERO, quantize

DECIMALS = {
	**dict.fromkeys(
		"BIF BYR CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),
		0,
	),
	**dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
	"CLF": 4,
}
"""Decimals by c_Moneda, where they are not two."""

RATE, QUOTA, EXEMPT = "Tasa", "Cuota", "Exento"
TRIES = 4000
"""As many arrangements are looked at before the nearest one is taken."""
MOST_LINES = 3
"""As many lines of a kind move together."""


@dataclass(frozen=True)
class Tax:
	"""One tax of a concept as a CFDI has it. `kind` is IVA, IEPS or ISR, or the name of a local one.

	`over_excise`: its base includes the excise. `piece`: the base of one piece, where it is told by itself; of a
	quota, how many units of its measure one piece has.
	"""

	kind: str
	rate: Decimal
	factor: str = RATE
	withheld: bool = False
	over_excise: bool = False
	local: bool = False
	piece: Decimal | None = None

	@property
	def group(self) -> tuple:
		"""What SAT sums it with: transferred taxes by tax, factor and rate, withheld ones by tax."""
		if self.local or not self.withheld:
			return self.kind, self.factor, self.rate, self.withheld
		return (self.kind, "", ZERO, True)


@dataclass(frozen=True)
class Concept:
	"""A line as a CFDI has it: quantity, unit price and discount of six decimals at most."""

	quantity: Decimal
	price: Decimal
	discount: Decimal = ZERO
	taxes: tuple[Tax, ...] = ()

	@property
	def amount(self) -> Decimal:
		return quantize(self.quantity * self.price, MICRO)

	@property
	def base(self) -> Decimal:
		return self.amount - self.discount

	def taxed(self) -> list[tuple[Tax, Decimal, Decimal]]:
		"""Its taxes, each with base and amount. The amount of an exempt one is zero."""
		found, base = [], self.base
		excise = ZERO
		for tax in self.taxes:
			if tax.kind == "IEPS" and not tax.withheld and not tax.local:
				excise += quantize(self._base(tax, base) * tax.rate, MICRO)
		for tax in self.taxes:
			over = self._base(tax, base + excise if tax.over_excise else base)
			amount = ZERO if tax.factor == EXEMPT else quantize(over * tax.rate, MICRO)
			found.append((tax, over, amount))
		return found

	def _base(self, tax: Tax, base: Decimal) -> Decimal:
		return base if tax.piece is None else quantize(tax.piece * self.quantity, MICRO)


class Sums:
	"""The exact sums of concepts: amounts, discounts, and each group's taxes."""

	def __init__(self, concepts=(), decimals: int = 2):
		self.step = Decimal(1).scaleb(-decimals)
		self.amount = self.discount = ZERO
		self.groups: dict[tuple, Decimal] = {}
		for concept in concepts:
			self.add(concept)

	def add(self, concept: Concept, sign: int = 1):
		self.amount += sign * concept.amount
		self.discount += sign * concept.discount
		for tax, _base, amount in concept.taxed():
			if tax.factor != EXEMPT:
				self.groups[tax.group] = self.groups.get(tax.group, ZERO) + sign * amount

	def with_others(self, taken: list[Concept], given: list[Concept]) -> "Sums":
		"""These sums after `given` took the place of `taken`."""
		other = Sums()
		other.step, other.amount, other.discount = self.step, self.amount, self.discount
		other.groups = dict(self.groups)
		for concept in taken:
			other.add(concept, -1)
		for concept in given:
			other.add(concept)
		return other

	@property
	def reach(self) -> Decimal:
		"""How far rounding can have carried the total: half of the smallest unit for each sum. What is farther away is
		an error in the tax rows."""
		sums = 1 + bool(self.discount) + len(self.groups)
		return self.step * ((sums + 1) // 2)

	def total(self) -> Decimal:
		"""SAT's total: each sum rounded, then added."""
		taxes = sum(
			(
				-quantize(amount, self.step) if group[3] else quantize(amount, self.step)
				for group, amount in self.groups.items()
			),
			ZERO,
		)
		return quantize(self.amount, self.step) - quantize(self.discount, self.step) + taxes


def total(concepts, decimals: int = 2) -> Decimal:
	"""SAT's total of these concepts in a currency of so many decimals."""
	return Sums(concepts, decimals).total()


def shaped(concepts, target: Decimal, decimals: int = 2) -> tuple[tuple[Concept, ...], Decimal]:
	"""Concepts whose total by SAT's rule is `target`, and that total; the nearest that can be had otherwise.

	Each base moves by less than half of the currency's smallest unit. A line without discount gets one only where
	nothing else helps.
	"""
	concepts = tuple(concepts)
	sums = Sums(concepts, decimals)
	if sums.total() == target or abs(sums.total() - target) > sums.reach:
		return concepts, sums.total()
	return _Search(concepts, sums, target).run()


@dataclass(frozen=True)
class _Move:
	"""Concepts that took the place of others, by their position; the sums then; and what it cost."""

	changed: dict
	sums: Sums
	cost: Decimal


class _Search:
	def __init__(self, concepts, sums: Sums, target: Decimal):
		self.concepts, self.sums, self.target = concepts, sums, target
		self.limit = sums.step / 2 - MICRO
		self.kinds: dict[tuple, list[int]] = {}
		for index, concept in enumerate(concepts):
			self.kinds.setdefault((concept.taxes, bool(concept.discount)), []).append(index)
		for members in self.kinds.values():
			# A large line moves the least in proportion, and a small quantity the most exactly.
			members.sort(key=lambda index: (concepts[index].quantity > 1000, -concepts[index].base))
		self.tries = 0

	def run(self):
		start = _Move({}, self.sums, ZERO)
		nearest = start
		for new_discounts in (False, True):
			frontier = [start]
			for _depth in range(3):
				following = []
				for move in frontier:
					for found in self._from(move, new_discounts):
						following.append(found)
						nearest = min(nearest, found, key=self._rank)
				if self._gap(nearest) == 0:
					return self._result(nearest)
				# Whatever brings another sum near its next step counts, so that a few of each total go on.
				following.sort(key=self._rank)
				frontier = following[:40]
				if self.tries > TRIES:
					break
		return self._result(nearest)

	def _result(self, move: _Move):
		found = list(self.concepts)
		for index, concept in move.changed.items():
			found[index] = concept
		return tuple(found), move.sums.total()

	def _gap(self, move: _Move) -> Decimal:
		return abs(move.sums.total() - self.target)

	def _rank(self, move: _Move) -> tuple:
		"""The nearest total, of two as near the lower one, and then what moves least."""
		made = move.sums.total()
		return abs(made - self.target), made > self.target, move.cost

	def _from(self, move: _Move, new_discounts: bool) -> Iterator[_Move]:
		"""What one more kind of lines can do after `move`."""
		for (taxes, discounted), members in self.kinds.items():
			if any(index in move.changed for index in members[:MOST_LINES]):
				continue
			for amount, discount in self._steps(move.sums, taxes, discounted or new_discounts):
				self.tries += 1
				if self.tries > TRIES:
					return
				found = self._moved(move, members[:MOST_LINES], amount, discount)
				if found:
					yield found

	def _steps(self, sums: Sums, taxes, discounts: bool) -> set[tuple[Decimal, Decimal]]:
		"""Changes of the amount and of the discount of a kind of lines that carry some sum to its next step."""
		amounts = [ZERO, *self._to_next(sums.amount, Decimal(1), sums.step)]
		cuts = [ZERO, *(self._to_next(sums.discount, Decimal(1), sums.step) if discounts else ())]
		bases = [ZERO, *self._edges()]
		for group, slope in _slopes(taxes).items():
			if slope:
				bases += self._to_next(sums.groups.get(group, ZERO), slope, sums.step)
		found = set(product(amounts, cuts))
		for base in bases:
			found |= {(amount, amount - base) for amount in amounts} if discounts else {(base, ZERO)}
			found |= {(cut + base, cut) for cut in cuts}
		return {step for step in found if step != (ZERO, ZERO)}

	def _edges(self) -> tuple[Decimal, ...]:
		return (self.limit, -self.limit)

	@staticmethod
	def _to_next(value: Decimal, slope: Decimal, step: Decimal) -> list[Decimal]:
		"""How far a base has to go until `value`, which follows it by `slope`, is rounded one or two steps up or
		down."""
		rounded = quantize(value, step)
		found = []
		for steps in (1, 2):
			up = rounded + steps * step - step / 2 - value
			down = value - (rounded - steps * step + step / 2) + MICRO
			margin = MICRO if slope != 1 else ZERO
			for distance in (up + margin, -(down + margin)):
				wanted = distance / slope
				found.append(wanted.quantize(MICRO, rounding=ROUND_CEILING if wanted > 0 else ROUND_FLOOR))
		return found

	def _moved(self, move: _Move, members, amount: Decimal, discount: Decimal) -> _Move | None:
		base = abs(amount - discount)
		lines = int((base / self.limit).to_integral_value(ROUND_CEILING)) or 1
		if lines > len(members) or max(abs(amount), abs(discount)) > 2 * self.sums.step * lines:
			return None
		changed, cost = {}, ZERO
		left_amount, left_discount = amount, discount
		for number, index in enumerate(members[:lines]):
			rest = lines - number
			part = (
				quantize(left_amount / rest, MICRO) if rest > 1 else left_amount,
				quantize(left_discount / rest, MICRO) if rest > 1 else left_discount,
			)
			concept = self._line(self.concepts[index], *part)
			if concept is None:
				return None
			left_amount -= concept.amount - self.concepts[index].amount
			left_discount -= concept.discount - self.concepts[index].discount
			cost += abs(concept.base - self.concepts[index].base) + abs(part[1])
			changed[index] = concept
		taken = [self.concepts[index] for index in changed]
		return _Move(
			{**move.changed, **changed},
			move.sums.with_others(taken, list(changed.values())),
			move.cost + cost,
		)

	def _line(self, concept: Concept, amount: Decimal, discount: Decimal) -> Concept | None:
		"""The concept with these changes; None where it cannot have them."""
		price = concept.price
		if amount:
			wanted = (concept.amount + amount) / concept.quantity
			price = wanted.quantize(MICRO, rounding=ROUND_CEILING if amount > 0 else ROUND_FLOOR)
		found = replace(concept, price=price, discount=concept.discount + discount)
		if concept.discount and amount and discount:
			# What six decimals of the price add goes off again, so that the base is the wanted one.
			found = replace(found, discount=found.amount - concept.base - amount + discount)
		if found.price <= 0 or found.discount < 0 or found.base <= 0:
			return None
		return found if abs(found.base - concept.base) <= self.limit else None


def _slopes(taxes) -> dict[tuple, Decimal]:
	"""How much each group's sum grows with the base of a line that has these taxes."""
	excise = sum(
		(
			tax.rate
			for tax in taxes
			if tax.kind == "IEPS" and not tax.withheld and not tax.local and tax.piece is None
		),
		ZERO,
	)
	found: dict[tuple, Decimal] = {}
	for tax in taxes:
		if tax.factor == RATE and tax.piece is None:
			slope = tax.rate * (1 + excise if tax.over_excise else 1)
			found[tax.group] = found.get(tax.group, ZERO) + slope
	return found
