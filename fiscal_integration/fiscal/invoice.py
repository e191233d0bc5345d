"""A sale as every tax authority sees it: values only, no ERPNext and no provider.

All amounts are Decimals in the document's currency; lines and taxes are positive on credit notes too,
since `kind` says which way they count. Times carry their zone.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

from fiscal_integration.fiscal.money import ZERO


class DocumentKind(str, Enum):
	INVOICE = "Invoice"
	CREDIT_NOTE = "Credit Note"
	DEBIT_NOTE = "Debit Note"
	PAYMENT = "Payment"


class PaymentKind(str, Enum):
	"""How a payment was made; each provider has its own code for each."""

	CASH = "Cash"
	CREDIT_CARD = "Credit Card"
	DEBIT_CARD = "Debit Card"
	TRANSFER = "Transfer"
	CHEQUE = "Cheque"
	E_WALLET = "E-Wallet"
	VOUCHER = "Voucher"
	GIFT_CARD = "Gift Card"
	LOYALTY = "Loyalty"
	CREDIT = "Credit"
	OTHER = "Other"


class TaxCategory(str, Enum):
	VAT = "VAT"
	EXCISE = "Excise"
	INCOME = "Income Tax"
	LOCAL = "Local Tax"


class Treatment(str, Enum):
	"""How value-added tax regards a line."""

	TAXED = "Taxable"
	EXEMPT = "Exempt"
	OUTSIDE = "Not Subject"


@dataclass(frozen=True)
class Party:
	"""Issuer or receiver. `country` is ISO 3166 alpha-2 in capitals, empty when unknown.

	`walk_in`: nobody in particular, as a till sells to; `regime` and `use` are the receiver's tax regime
	and what the document is for, in the country's own codes. `kind` is what sort of receiver the provider is
	told (its own code, empty for its default), `taxpayer_type`, `dv` and `id_type` what belongs to the number;
	`location` is the authority's code of the place.
	"""

	name: str
	tax_id: str = ""
	country: str = ""
	postal_code: str = ""
	address: str = ""
	city: str = ""
	state: str = ""
	email: str = ""
	phone: str = ""
	regime: str = ""
	use: str = ""
	walk_in: bool = False
	kind: str = ""
	taxpayer_type: str = ""
	dv: str = ""
	id_type: str = ""
	location: str = ""
	country_name: str = ""


@dataclass(frozen=True)
class LineTax:
	"""One tax on one line. `rate` is a fraction (0.16); `base` and `amount` are exact to six decimals.

	`on_top_of_excise`: the base includes the line's excise, as "On Previous Row Total" makes it. `per_unit`: the
	tax is a quota, so that `rate` is the money for one unit sold and `base` the quantity.
	"""

	category: TaxCategory
	rate: Decimal
	base: Decimal
	amount: Decimal
	withheld: bool = False
	on_top_of_excise: bool = False
	name: str = ""
	per_unit: bool = False


@dataclass(frozen=True)
class Line:
	"""One row of the invoice. `unit_price` is before `discount` and without tax; `discount` is the whole
	line's; `net` = quantity x unit_price - discount, the taxable amount.

	A line that is given away, or discounted by all of its price, keeps the taxes of its goods with a base of zero:
	it is not exempt. See `nothing_to_tax`.
	"""

	description: str
	quantity: Decimal
	unit_price: Decimal
	net: Decimal
	discount: Decimal = ZERO
	code: str = ""
	unit: str = ""
	product_code: str = ""
	unit_code: str = ""
	treatment: Treatment = Treatment.TAXED
	taxes: tuple[LineTax, ...] = ()
	row: int = 0

	@property
	def nothing_to_tax(self) -> bool:
		"""Whether nothing is charged for it: it is free, or its discount takes all of its price."""
		return not self.net


@dataclass(frozen=True)
class Payment:
	"""What was handed over in one way. `code` is what the mapping table says, empty for the default."""

	kind: PaymentKind
	amount: Decimal
	code: str = ""
	mode: str = ""


@dataclass(frozen=True)
class Reference:
	"""The fiscal document that this one corrects; `fiscal_id` is empty when it has none.

	`awaited`: it has none yet, but is on its way, so that the correction waits for it. `total` is its total as it was
	stamped, where we hold it.
	"""

	doctype: str
	name: str
	fiscal_id: str = ""
	issued_at: datetime | None = None
	awaited: bool = False
	total: Decimal | None = None


@dataclass(frozen=True)
class Coordinates:
	"""Where a document stands in its issuer's own numbering: branch, point of sale, and the number there.

	`number` is 0 until one was taken, which happens when the request is made. `register` is the provider's id of
	the cash register, `training` says that the till only trains.
	"""

	branch: str
	point: str
	serial_device: str = ""
	number: int = 0
	register: str = ""
	training: bool = False


@dataclass(frozen=True)
class Term:
	"""A part of the total that falls due later."""

	due_date: date
	amount: Decimal


@dataclass(frozen=True)
class Export:
	"""A sale that leaves the country: the Incoterm, and the port or place that goes with it."""

	incoterm: str
	place: str = ""


@dataclass(frozen=True)
class Period:
	"""What a global invoice of walk-in sales is for, in the authority's words: "day", "month" ..., months, year."""

	periodicity: str
	months: str
	year: int


@dataclass(frozen=True)
class Settlement:
	"""What a payment settles of one sale on credit. `amount`, `last_balance` (before it) and the sale's `total`
	are in the sale's `currency`, of which `exchange_rate` units are one of the payment's.

	`payload` is the request by which the sale's document was issued; `awaited`: that one, or the one of an earlier
	payment, is on its way, so that this one waits.
	"""

	doctype: str
	name: str
	document: str = ""
	fiscal_id: str = ""
	amount: Decimal = ZERO
	last_balance: Decimal = ZERO
	installment: int = 1
	currency: str = ""
	exchange_rate: Decimal = Decimal(1)
	total: Decimal = ZERO
	payload: str = ""
	awaited: bool = False


@dataclass(frozen=True)
class Invoice:
	"""A submitted sale, ready for any provider.

	`total` is what the customer owes by the document (before cash rounding, which is `rounding`);
	`change` is what was handed back; `on_credit` says that something remains to be paid.
	`exchange_rate` is units of the currency of the company's country for one of the document's, whatever currency
	the books are kept in; zero where it is not known.
	`issued_at` is the posting time with its zone's offset; `terms` is what is due later, and when. `variant` is
	the provider's own code for a document that its data do not show to be one (see Provider.variants);
	`substitutes` the fiscal id of the document whose place this one takes. A PAYMENT has no lines: it `settles`
	sales, and `payment_reference` is what the bank calls it. `period`: it stands for the walk-in sales of that.
	`supplied_on` is the day whose tax rates count: of a return or an adjustment, the day of the original.
	`at_the_till`: it was made at a point of sale, where receipts are printed on a roll of paper.
	"""

	doctype: str
	name: str
	kind: DocumentKind
	issued_at: datetime
	issuer: Party
	receiver: Party
	currency: str
	lines: tuple[Line, ...]
	total: Decimal
	exchange_rate: Decimal = Decimal(1)
	company_currency: str = ""
	payments: tuple[Payment, ...] = ()
	on_credit: bool = False
	rounding: Decimal = ZERO
	change: Decimal = ZERO
	due_date: date | None = None
	goods_returned: bool = False
	reference: Reference | None = None
	terms: tuple[Term, ...] = ()
	export: Export | None = None
	variant: str = ""
	coordinates: Coordinates | None = None
	substitutes: str = ""
	settles: tuple[Settlement, ...] = ()
	payment_reference: str = ""
	period: Period | None = None
	supplied_on: date | None = None
	at_the_till: bool = False
