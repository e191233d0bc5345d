"""What a CFDI adds up to, by SAT's published rules, from what was asked of Facturapi.

Written from the error matrix of CFDI 4.0 and the schema, not from any client:

* a line's Importe is quantity times unit price, its taxes are base times rate, both at six decimals (CFDI40167,
  40180, 40186: within the limits that these decimals give);
* SubTotal and Descuento are the lines' sums, rounded to the decimals of the currency (CFDI40107, 40108, 40112);
* each transferred group of tax, factor and rate has the sum of its bases and the sum of its amounts, each rounded
  (CFDI40215, 40218, 40220, 40221); each withheld tax the sum of its amounts, rounded (CFDI40208, 40210, 40211);
* TotalImpuestosTrasladados and TotalImpuestosRetenidos add the rounded ones (CFDI40202 to 40205);
* Total is SubTotal - Descuento + transferred - withheld, local taxes included (CFDI40119).
"""

from dataclasses import dataclass, field
from decimal import Decimal

from fiscal_integration.sandbox.facturapi.catalogs import CURRENCIES, rounded

ZERO = Decimal(0)
SUMMED, BESIDE, UNIT = "sum_before_taxes", "break_down", "unit"
DEFAULT = ({"type": "IVA", "rate": Decimal("0.16")},)
"""What Facturapi charges where nothing is said of a taxed product."""


@dataclass(frozen=True)
class Tax:
	"""One tax of one line. `amount` is None for what is exempt."""

	kind: str
	factor: str
	rate: Decimal
	withheld: bool
	base: Decimal
	amount: Decimal | None

	@property
	def group(self):
		return self.kind, self.factor, None if self.factor == "Exento" else self.rate


@dataclass(frozen=True)
class Concept:
	item: dict
	quantity: Decimal
	price: Decimal
	amount: Decimal
	discount: Decimal
	taxes: tuple[Tax, ...]
	local: tuple[tuple[dict, Decimal], ...]


@dataclass
class Sums:
	"""The CFDI's amounts in its currency; groups in the order of their first line."""

	concepts: list[Concept]
	decimals: int
	subtotal: Decimal = ZERO
	discount: Decimal = ZERO
	transferred: dict[tuple, tuple[Decimal, Decimal | None]] = field(default_factory=dict)
	withheld: dict[str, Decimal] = field(default_factory=dict)
	local: dict[tuple, Decimal] = field(default_factory=dict)
	total: Decimal = ZERO

	@property
	def total_transferred(self) -> Decimal | None:
		"""None where everything transferred is exempt: then there is no such attribute."""
		amounts = [amount for _, amount in self.transferred.values() if amount is not None]
		return sum(amounts, ZERO) if amounts else None

	@property
	def total_withheld(self) -> Decimal | None:
		return sum(self.withheld.values(), ZERO) if self.withheld else None

	def local_sum(self, withheld: bool) -> Decimal:
		return sum((amount for key, amount in self.local.items() if key[2] is withheld), ZERO)

	def bases(self) -> dict[tuple, Decimal]:
		"""The base of each tax, factor, rate and direction, as a payment complement tells it."""
		found: dict[tuple, Decimal] = {}
		for concept in self.concepts:
			for tax in concept.taxes:
				key = (*tax.group, tax.withheld)
				found[key] = found.get(key, ZERO) + tax.base
		return found


def taxes_of(product: dict) -> list[dict]:
	taxes = product.get("taxes")
	if taxes is None and str(product.get("taxability") or "02") == "02":
		taxes = DEFAULT
	return list(taxes or ())


def _charged(product, net: Decimal, quantity: Decimal, exact: bool):
	"""The taxes over a net amount: Tax entries, and local ones with their amounts.

	A base that was sent is that of one unit, and is multiplied by the quantity (measured by others in Facturapi's
	test environment).
	"""

	def micro(value):
		return value if exact else rounded(value, 6)

	taxes = taxes_of(product)
	bases = [micro(tax["base"] * quantity) if tax.get("base") is not None else net for tax in taxes]
	below = sum(
		(
			micro(base * tax["rate"])
			for tax, base in zip(taxes, bases, strict=True)
			if tax.get("type") == "IEPS"
			and not tax.get("withholding")
			and (tax.get("ieps_mode") or SUMMED) == SUMMED
		),
		ZERO,
	)
	found = []
	for tax, base in zip(taxes, bases, strict=True):
		kind, factor, withheld = (
			tax.get("type") or "IVA",
			tax.get("factor") or "Tasa",
			bool(tax.get("withholding")),
		)
		if kind == "IVA" and not withheld and tax.get("base") is None:
			base += below
		rate = tax.get("rate") or ZERO
		found.append(
			Tax(kind, factor, rate, withheld, base, None if factor == "Exento" else micro(base * rate))
		)
	local = tuple(
		(tax, micro((tax["base"] * quantity if tax.get("base") is not None else net) * tax["rate"]))
		for tax in product.get("local_taxes") or ()
	)
	return tuple(found), local


def _on_top(product, net: Decimal) -> Decimal:
	"""What the customer pays for one unit of that net price, with what is transferred."""
	taxes, local = _charged(product, net, Decimal(1), exact=True)
	return (
		net
		+ sum((tax.amount for tax in taxes if tax.amount is not None and not tax.withheld), ZERO)
		+ sum((amount for tax, amount in local if not tax.get("withholding")), ZERO)
	)


def net_price(product: dict) -> Decimal:
	"""The unit price without what is transferred, at six decimals."""
	price = product["price"]
	if product.get("tax_included", True):
		# What comes on top is a share of the price and quotas that do not depend on it.
		fixed = _on_top(product, ZERO)
		price = (price - fixed) / (_on_top(product, Decimal(1)) - fixed)
	return rounded(price, 6)


def concept_of(item: dict) -> Concept:
	product = item["product"]
	quantity = item.get("quantity", Decimal(1))
	price = net_price(product)
	amount = rounded(price * quantity, 6)
	discount = rounded(item.get("discount") or ZERO, 6)
	return Concept(
		item, quantity, price, amount, discount, *_charged(product, amount - discount, quantity, exact=False)
	)


def sums(data: dict) -> Sums:
	"""The amounts of an invoice (I or E) from its request, whose numbers are Decimals."""
	decimals = CURRENCIES.get(data.get("currency") or "MXN", 2)
	result = Sums([concept_of(item) for item in data.get("items") or ()], decimals)
	result.subtotal = rounded(sum((entry.amount for entry in result.concepts), ZERO), decimals)
	result.discount = rounded(sum((entry.discount for entry in result.concepts), ZERO), decimals)
	for concept in result.concepts:
		for tax in concept.taxes:
			if tax.withheld:
				result.withheld[tax.kind] = result.withheld.get(tax.kind, ZERO) + tax.amount
			else:
				base, amount = result.transferred.get(tax.group, (ZERO, None if tax.amount is None else ZERO))
				result.transferred[tax.group] = (
					base + tax.base,
					None if amount is None else amount + tax.amount,
				)
		for tax, amount in concept.local:
			key = (str(tax["type"]), tax["rate"], bool(tax.get("withholding")))
			result.local[key] = result.local.get(key, ZERO) + amount
	result.transferred = {
		group: (rounded(base, decimals), None if amount is None else rounded(amount, decimals))
		for group, (base, amount) in result.transferred.items()
	}
	result.withheld = {kind: rounded(amount, decimals) for kind, amount in result.withheld.items()}
	# The complement of local taxes has two decimals at most.
	result.local = {key: rounded(amount, min(2, decimals)) for key, amount in result.local.items()}
	result.total = rounded(
		result.subtotal
		- result.discount
		+ (result.total_transferred or ZERO)
		- (result.total_withheld or ZERO)
		+ result.local_sum(False)
		- result.local_sum(True),
		decimals,
	)
	return result


# -- payments ----------------------------------------------------------------------------------------------


@dataclass
class Settled:
	"""What one payment settles of one invoice, in that invoice's currency."""

	source: dict
	equivalence: Decimal
	taxes: tuple[Tax, ...]

	@property
	def share(self) -> Decimal:
		"""The amount in the payment's currency."""
		return self.source["amount"] / self.equivalence


@dataclass
class Payment:
	"""One Pago of the complement: its amount, and its taxes in its own currency."""

	source: dict
	currency: str
	exchange: Decimal
	settled: list[Settled]

	@property
	def amount(self) -> Decimal:
		return rounded(sum((entry.share for entry in self.settled), ZERO), CURRENCIES.get(self.currency, 2))

	def groups(self):
		"""Transferred by tax, factor and rate (CRP20268, 20271, 20274); withheld by tax (CRP20263, 20265)."""
		transferred: dict[tuple, list] = {}
		withheld: dict[str, Decimal] = {}
		for entry in self.settled:
			for tax in entry.taxes:
				if tax.withheld:
					withheld[tax.kind] = withheld.get(tax.kind, ZERO) + tax.amount / entry.equivalence
					continue
				sums = transferred.setdefault(tax.group, [ZERO, None if tax.amount is None else ZERO])
				sums[0] += tax.base / entry.equivalence
				if tax.amount is not None:
					sums[1] += tax.amount / entry.equivalence
		return (
			{
				group: (rounded(base, 6), None if amount is None else rounded(amount, 6))
				for group, (base, amount) in transferred.items()
			},
			{kind: rounded(amount, 6) for kind, amount in withheld.items()},
		)


def payments(data: dict) -> list[Payment]:
	found = []
	for complement in data.get("complements") or ():
		for source in complement.get("data") or ():
			currency = source.get("currency") or "MXN"
			entry = Payment(source, currency, source.get("exchange", Decimal(1)), [])
			for related in source["related_documents"]:
				same = (related.get("currency") or "MXN") == currency
				taxes = tuple(
					Tax(
						tax.get("type") or "IVA",
						tax.get("factor") or "Tasa",
						tax.get("rate") or ZERO,
						bool(tax.get("withholding")),
						tax["base"],
						None
						if tax.get("factor") == "Exento"
						else rounded(tax["base"] * (tax.get("rate") or ZERO), 6),
					)
					for tax in related.get("taxes") or ()
				)
				entry.settled.append(Settled(related, Decimal(1) if same else related["exchange"], taxes))
			found.append(entry)
	return found


def payment_totals(entries: list[Payment]) -> dict[str, Decimal]:
	"""The Totales of the complement, in pesos and centavos (CRP20201 to 20211)."""
	totals: dict[str, Decimal] = {}

	def add(name, value):
		totals[name] = totals.get(name, ZERO) + value

	for entry in entries:
		transferred, withheld = entry.groups()
		for kind, amount in withheld.items():
			add(f"TotalRetenciones{kind}", amount * entry.exchange)
		for (kind, factor, rate), (base, amount) in transferred.items():
			if kind != "IVA":
				continue
			name = "Exento" if factor == "Exento" else str(int(rate * 100))
			add(f"TotalTrasladosBaseIVA{name}", base * entry.exchange)
			if amount is not None:
				add(f"TotalTrasladosImpuestoIVA{name}", amount * entry.exchange)
		add("MontoTotalPagos", entry.amount * entry.exchange)
	return {name: rounded(value, 2) for name, value in totals.items()}
