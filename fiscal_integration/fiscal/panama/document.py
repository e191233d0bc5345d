"""A Panamanian fiscal document by the rules of authorities/panama.md: what HKA, FacturaFácil and our own rFE
are all written from. It knows the codes and the arithmetic, and no provider's names for them.
"""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from zoneinfo import ZoneInfo

from fiscal_integration.fiscal.errors import Problem
from fiscal_integration.fiscal.invoice import (
	Coordinates,
	DocumentKind,
	Export,
	Invoice,
	Line,
	Party,
	PaymentKind,
	TaxCategory,
)
from fiscal_integration.fiscal.money import CENT, MICRO, ZERO, plain, quantize
from fiscal_integration.fiscal.panama import cufe, locations, ruc
from fiscal_integration.fiscal.words import say

ZONE = ZoneInfo("America/Panama")
COUNTRY = "PA"
CURRENCIES = ("PAB", "USD")

INTERNAL, IMPORT, EXPORT, CREDIT_NOTE, DEBIT_NOTE, GENERIC_CREDIT, GENERIC_DEBIT, FREE_ZONE, REIMBURSEMENT = (
	f"{number:02d}" for number in range(1, 10)
)
VARIANTS = ((EXPORT, "Export"), (FREE_ZONE, "Free Zone"), (REIMBURSEMENT, "Reimbursement"))
"""Kinds of invoices that a person chooses; the others show in the data."""

TAXPAYER, CONSUMER, GOVERNMENT, FOREIGNER = ("01", "02", "03", "04")
RECEIVER_KINDS = (
	(TAXPAYER, "Taxpayer"),
	(CONSUMER, "Final Consumer"),
	(GOVERNMENT, "Government"),
	(FOREIGNER, "Foreigner"),
)
PASSPORT, TAX_NUMBER, OTHER_ID = "01", "02", "99"

ITBMS_CODES = {Decimal(rate) / 100: code for rate, code in ((0, "00"), (7, "01"), (10, "02"), (15, "03"))}
ITBMS_RATES = {code: rate for rate, code in ITBMS_CODES.items()}

ISC_RATES = tuple(Decimal(rate) / 100 for rate in ("0", "3.5", "5", "6", "13.25", "32.5"))
"""The rates of ISC that the DGI's schema admits."""

STATE_ALL, STATE_HALF, ABROAD_ALL, PURCHASE_HALF, OTHER_RETENTION = "1", "2", "3", "4", "8"
"""Why ITBMS is withheld: by the State all or half of it, by a foreigner all, by a withholding agent half, other."""

DISCOUNT, RETENTION = "discount", "retention"
"""What a provider can tell of the whole document: a discount on its total, and the ITBMS that is withheld."""
TELLS = frozenset((DISCOUNT, RETENTION))
ROUNDING_DISCOUNT = "Ajuste por redondeo del precio unitario"

ON_CREDIT, CASH, OTHER_PAYMENT = "01", "02", "99"
PAYMENT_CODES = {
	PaymentKind.CREDIT: ON_CREDIT,
	PaymentKind.CASH: CASH,
	PaymentKind.CREDIT_CARD: "03",
	PaymentKind.DEBIT_CARD: "04",
	PaymentKind.LOYALTY: "05",
	PaymentKind.VOUCHER: "06",
	PaymentKind.GIFT_CARD: "07",
	PaymentKind.TRANSFER: "08",
	PaymentKind.CHEQUE: "09",
}
PAID_AT_ONCE, PAID_LATER, PAID_BOTH = "1", "2", "3"
LAST_NUMBER = 9_999_999_999
SHORTEST_PORT = 5
MAX_TERMS, MAX_PAYMENTS = 99, 10

_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+")


@dataclass(frozen=True)
class Receiver:
	"""Whom the document is for, with what its kind carries and nothing that it must not (1.6)."""

	kind: str
	name: str = ""
	taxpayer_type: int = 0
	ruc: str = ""
	dv: str = ""
	address: str = ""
	location: str = ""
	province: str = ""
	district: str = ""
	corregimiento: str = ""
	foreign_id_type: str = ""
	foreign_id: str = ""
	foreign_country: str = ""
	phone: str = ""
	email: str = ""
	country: str = COUNTRY


@dataclass(frozen=True)
class Item:
	"""One line. `net` = quantity x (unit_price - unit_discount); `total` = net + ITBMS + ISC; six decimals."""

	row: int
	description: str
	code: str
	unit: str
	quantity: Decimal
	unit_price: Decimal
	unit_discount: Decimal
	net: Decimal
	itbms_code: str
	itbms: Decimal
	isc_rate: Decimal
	isc: Decimal
	total: Decimal
	cpbs: str = ""


@dataclass(frozen=True)
class PaymentPart:
	"""What was paid in one form; `description` only where the form says nothing ("99")."""

	code: str
	amount: Decimal
	description: str = ""


@dataclass(frozen=True)
class Installment:
	due: date
	amount: Decimal


@dataclass(frozen=True)
class Referenced:
	"""The FE that a credit or debit note corrects, with the taxpayer who issued it."""

	cufe: str
	issued_at: datetime
	ruc: str
	taxpayer_type: int
	dv: str
	name: str


@dataclass(frozen=True)
class Retention:
	"""ITBMS that the customer withholds, and why (see STATE_ALL)."""

	code: str
	amount: Decimal


@dataclass(frozen=True)
class Totals:
	"""The sums as 1.6 has them, in cents. `taxed` is the sum of the taxes, not of their bases; `discount` is taken
	off the sum of the items, `invoice` is what is left."""

	net: Decimal
	itbms: Decimal
	isc: Decimal
	taxed: Decimal
	items: Decimal
	invoice: Decimal
	received: Decimal
	change: Decimal
	discount: Decimal = ZERO


@dataclass(frozen=True)
class Document:
	type: str
	issued_at: datetime
	coordinates: Coordinates
	receiver: Receiver
	items: tuple[Item, ...]
	payments: tuple[PaymentPart, ...]
	installments: tuple[Installment, ...]
	when_paid: str
	totals: Totals
	destination_abroad: bool = False
	export: Export | None = None
	currency: str = ""
	exchange_rate: Decimal = Decimal(1)
	referenced: Referenced | None = None
	printed_on_tape: bool = False
	retention: Retention | None = None

	@property
	def is_note(self) -> bool:
		return self.type in (CREDIT_NOTE, DEBIT_NOTE, GENERIC_CREDIT, GENERIC_DEBIT)


def of(invoice: Invoice, tells: frozenset[str] = TELLS) -> Document:
	"""`invoice` as a document; it has passed `problems` before. Amounts of export sales in another currency
	are turned into balboas. `tells`: what can be told of the whole document."""
	kind = type_of(invoice)
	rate = _exchange_rate(invoice)
	items = tuple(_item(line, rate) for line in _lines(invoice, tells))
	of_items = quantize(sum((item.total for item in items), ZERO))
	discount = _rounding_discount(invoice, of_items) if DISCOUNT in tells else ZERO
	factura = of_items - discount
	retention = _retention(invoice)
	payments, installments = _payments(invoice, factura, rate, retention.amount if retention else ZERO)
	received = sum((part.amount for part in payments), ZERO)
	itbms = quantize(sum((item.itbms for item in items), ZERO))
	isc = quantize(sum((item.isc for item in items), ZERO))
	codes = {part.code for part in payments}
	return Document(
		type=kind,
		issued_at=invoice.issued_at.astimezone(ZONE),
		coordinates=invoice.coordinates,
		receiver=receiver_of(invoice),
		items=items,
		payments=payments,
		installments=installments,
		when_paid=PAID_AT_ONCE
		if ON_CREDIT not in codes
		else PAID_LATER
		if codes == {ON_CREDIT}
		else PAID_BOTH,
		totals=Totals(
			net=quantize(sum((item.net for item in items), ZERO)),
			itbms=itbms,
			isc=isc,
			taxed=itbms + isc,
			items=of_items,
			invoice=factura,
			received=received,
			change=received - factura,
			discount=discount,
		),
		destination_abroad=kind == EXPORT,
		export=invoice.export if kind == EXPORT else None,
		currency=invoice.currency,
		exchange_rate=rate,
		referenced=_referenced(invoice),
		printed_on_tape=invoice.at_the_till,
		retention=retention,
	)


def _exchange_rate(invoice: Invoice) -> Decimal:
	return Decimal(1) if invoice.currency in CURRENCIES else invoice.exchange_rate


def type_of(invoice: Invoice) -> str:
	"""iDoc. A note without the CUFE of what it corrects is a generic one."""
	referenced = bool(invoice.reference and invoice.reference.fiscal_id)
	if invoice.kind is DocumentKind.CREDIT_NOTE:
		return CREDIT_NOTE if referenced else GENERIC_CREDIT
	if invoice.kind is DocumentKind.DEBIT_NOTE:
		return DEBIT_NOTE if referenced else GENERIC_DEBIT
	return invoice.variant or (EXPORT if invoice.export else INTERNAL)


# -- the receiver ----------------------------------------------------------------------------------------


def receiver_kind(party: Party) -> str:
	"""What is chosen, else what the data show: a company's RUC is a taxpayer's, an identity card a consumer's.

	A number that is no RUC, or may be an organization's, is a taxpayer's too, so that it is asked for and never
	becomes a final consumer's unseen.
	"""
	if party.kind:
		return party.kind
	if party.country and party.country != COUNTRY:
		return FOREIGNER
	if party.tax_id and not ruc.parse(party.tax_id):
		return TAXPAYER
	natural = not party.tax_id and party.taxpayer_type != str(ruc.JURIDICAL)
	return CONSUMER if natural or _taxpayer_type(party) == ruc.NATURAL else TAXPAYER


def _taxpayer_type(party: Party) -> int:
	"""1 natural, 2 juridical: as chosen, by the RUC's form, or by the DV where both have that form; 0 when nothing
	says it."""
	if party.taxpayer_type in ("1", "2"):
		return int(party.taxpayer_type)
	parsed = ruc.parse(party.tax_id)
	if not parsed:
		return 0
	if not parsed.either:
		return parsed.taxpayer_type
	return ruc.JURIDICAL if party.kind == GOVERNMENT else ruc.type_by_digits(party.tax_id, party.dv)


def receiver_of(invoice: Invoice) -> Receiver:
	party, kind = invoice.receiver, receiver_kind(invoice.receiver)
	abroad = type_of(invoice) == EXPORT
	country = party.country if abroad and party.country else COUNTRY
	common = {
		"kind": kind,
		"name": party.name[:200],
		"phone": phone(party.phone),
		"email": party.email if _EMAIL.fullmatch(party.email or "") and len(party.email) <= 100 else "",
		"country": country,
	}
	if kind == FOREIGNER:
		return Receiver(
			**common,
			address=_address(party),
			foreign_id_type=party.id_type or TAX_NUMBER,
			foreign_id=party.tax_id[:50],
			foreign_country=(party.country_name or party.country)[:50],
		)
	place = locations.find(party.location)
	where = {"address": _address(party)}
	if place:
		where.update(
			location=place.code,
			province=place.province,
			district=place.district,
			corregimiento=place.corregimiento,
		)
	if not party.tax_id:
		return Receiver(**common, **where)
	return Receiver(
		**common,
		**where,
		taxpayer_type=_taxpayer_type(party),
		ruc=party.tax_id,
		dv=ruc.verification_digits(party.tax_id, _taxpayer_type(party)),
	)


def _address(party: Party) -> str:
	return ", ".join(part for part in (party.address, party.city) if part)[:100]


def phone(text: str) -> str:
	"""A telephone number as the DGI writes it (999-9999, 9999-9999), or nothing when it is none of Panama's."""
	digits = re.sub(r"^(?:\+|00)?507(?=[0-9]{7,8}$)", "", re.sub(r"[\s().-]", "", text or ""))
	return f"{digits[:-4]}-{digits[-4:]}" if re.fullmatch(r"[0-9]{7,8}", digits) else ""


# -- lines and payments ----------------------------------------------------------------------------------


def _lines(invoice: Invoice, tells: frozenset[str]) -> tuple[Line, ...]:
	"""The lines as they are told: those whose price has too few decimals in two parts, where no discount can be told
	on the total."""
	if DISCOUNT in tells:
		return invoice.lines
	rate = _exchange_rate(invoice)
	if quantize(sum((_item(line, rate).total for line in invoice.lines), ZERO)) == _wanted(invoice):
		return invoice.lines
	return tuple(part for line in invoice.lines for part in split(line))


def split(line: Line) -> tuple[Line, ...]:
	"""`line`, or the same pieces at two prices a millionth apart, where one price of six decimals cannot make its amount
	(100,000 pieces at 0.35 with ITBMS included)."""
	pieces = line.quantity
	if pieces != pieces.to_integral_value() or pieces < 2 or line.net <= 0:
		return (line,)
	price = line.net / pieces
	if abs(quantize(price, MICRO) * pieces - line.net) < CENT / 20:
		return (line,)
	low = price.quantize(MICRO, rounding=ROUND_FLOOR)
	dearer = ((line.net - low * pieces) / MICRO).to_integral_value()
	parts = ((pieces - dearer, low), (dearer, low + MICRO))
	return tuple(
		replace(
			line,
			quantity=quantity,
			unit_price=unit_price,
			discount=ZERO,
			net=quantity * unit_price,
			taxes=tuple(
				replace(
					tax, base=quantity * unit_price, amount=quantize(quantity * unit_price * tax.rate, MICRO)
				)
				for tax in line.taxes
			),
		)
		for quantity, unit_price in parts
		if quantity
	)


def _item(line: Line, exchange_rate: Decimal) -> Item:
	# The price is rounded up and its discount down, so that six decimals never make less than was charged: what they
	# make more is told as a discount on the total (see _rounding_discount).
	discount = line.discount / line.quantity if line.quantity else ZERO
	unit_price = (line.unit_price * exchange_rate).quantize(MICRO, rounding=ROUND_CEILING)
	unit_discount = (discount * exchange_rate).quantize(MICRO, rounding=ROUND_FLOOR)
	net = quantize(line.quantity * (unit_price - unit_discount), MICRO)
	isc_rate = sum((tax.rate for tax in line.taxes if tax.category is TaxCategory.EXCISE), ZERO)
	isc = quantize(net * isc_rate, MICRO)
	rate = max((tax.rate for tax in _itbms(line)), default=ZERO)
	itbms = quantize(net * rate, MICRO)
	return Item(
		row=line.row,
		description=line.description[:500],
		code=line.code[:20],
		unit=line.unit_code or "und",
		quantity=line.quantity,
		unit_price=unit_price,
		unit_discount=unit_discount,
		net=net,
		itbms_code=ITBMS_CODES.get(rate, ""),
		itbms=itbms,
		isc_rate=isc_rate,
		isc=isc,
		total=net + itbms + isc,
		cpbs=line.product_code if re.fullmatch(r"[0-9]{4}", line.product_code or "") else "",
	)


def _itbms(line: Line) -> list:
	return [tax for tax in line.taxes if tax.category is TaxCategory.VAT and not tax.withheld]


def _withheld(invoice: Invoice) -> Decimal:
	"""The ITBMS that the customer withholds, in the document's currency."""
	return sum(
		(
			tax.amount
			for line in invoice.lines
			for tax in line.taxes
			if tax.withheld and tax.category is TaxCategory.VAT
		),
		ZERO,
	)


def _retention(invoice: Invoice) -> Retention | None:
	withheld = _withheld(invoice)
	if not withheld:
		return None
	itbms = sum((tax.amount for line in invoice.lines for tax in _itbms(line)), ZERO)
	share = quantize(withheld / itbms) if itbms else ZERO
	kind = receiver_kind(invoice.receiver)
	code = OTHER_RETENTION
	if kind == GOVERNMENT and share in (Decimal(1), Decimal("0.5")):
		code = STATE_ALL if share == 1 else STATE_HALF
	elif kind == FOREIGNER and share == 1:
		code = ABROAD_ALL
	elif share == Decimal("0.5"):
		code = PURCHASE_HALF
	return Retention(code, quantize(withheld * _exchange_rate(invoice)))


def _wanted(invoice: Invoice) -> Decimal:
	"""What the document has to total, in balboas: what is owed, and what is withheld of it."""
	return quantize((invoice.total + _withheld(invoice)) * _exchange_rate(invoice))


def _rounding_discount(invoice: Invoice, of_items: Decimal) -> Decimal:
	"""What the items make more than the sale, because their prices have six decimals; 0 when that is not why."""
	over = of_items - _wanted(invoice)
	rounding = sum((line.quantity * MICRO * 2 for line in invoice.lines), ZERO)
	return over if ZERO < over <= max(rounding, CENT) else ZERO


def _payments(invoice: Invoice, factura: Decimal, rate: Decimal, withheld: Decimal = ZERO):
	"""The forms of payment, which sum to the total and the change, and what is due later.

	What is withheld is told within the form in which most was paid, as HKA's sample of a retention does.
	"""
	parts: dict[tuple[str, str], Decimal] = {}
	for payment in invoice.payments:
		code = payment.code or PAYMENT_CODES.get(payment.kind, OTHER_PAYMENT)
		text = f"Forma de pago: {payment.mode}"[:100] if code == OTHER_PAYMENT else ""
		parts[code, text] = parts.get((code, text), ZERO) + quantize(payment.amount * rate)
	if withheld and parts and not invoice.on_credit:
		parts[max(parts, key=parts.get)] += withheld
	rest = factura - sum(parts.values(), ZERO)
	if rest > CENT and (invoice.on_credit or not parts):
		parts[ON_CREDIT, ""] = parts.get((ON_CREDIT, ""), ZERO) + rest
	elif rest and parts:
		# Cash rounding and written-off cents: what was received is what the document says.
		largest = max(parts, key=parts.get)
		parts[largest] += rest
	change = quantize(invoice.change * rate)
	if change > 0 and parts:
		cash = next((key for key in parts if key[0] == CASH), max(parts, key=parts.get))
		parts[cash] += change
	owed = parts.get((ON_CREDIT, ""), ZERO)
	if not factura:
		# Free of charge: a form of payment has to be told, of nothing.
		return (PaymentPart(CASH, ZERO),), ()
	return (
		tuple(PaymentPart(code, amount, text) for (code, text), amount in parts.items() if amount > 0),
		_installments(invoice, owed, rate) if owed > 0 else (),
	)


def _installments(invoice: Invoice, owed: Decimal, rate: Decimal) -> tuple[Installment, ...]:
	"""When what is `owed` falls due; the last one takes what rounding leaves."""
	terms = [(term.due_date, quantize(term.amount * rate)) for term in invoice.terms if term.amount > 0]
	if not terms:
		return (Installment(invoice.due_date or invoice.issued_at.date(), owed),)
	left, found = owed, []
	# What was paid at once settles the earliest.
	skipped = max(sum(amount for _due, amount in terms) - owed, ZERO)
	for due, amount in terms:
		settled = min(skipped, amount)
		skipped -= settled
		part = min(amount - settled, left)
		if part > 0:
			found.append([due, part])
			left -= part
	if left > 0 and found:
		found[-1][1] += left
	return tuple(Installment(due, amount) for due, amount in found)


def _referenced(invoice: Invoice) -> Referenced | None:
	code = invoice.reference.fiscal_id if invoice.reference else ""
	if not code:
		return None
	parts = cufe.parts(code)
	issued_at = invoice.reference.issued_at
	if issued_at is None:
		issued_at = datetime.strptime(parts["date"], "%Y%m%d").replace(tzinfo=ZONE)
	return Referenced(
		code,
		issued_at.astimezone(ZONE),
		ruc=parts["ruc"].lstrip("0"),
		taxpayer_type=int(parts["taxpayer_type"]),
		dv=parts["dv"],
		name=invoice.issuer.name,
	)


# -- what is wrong ---------------------------------------------------------------------------------------


def problems(invoice: Invoice, tells: frozenset[str] = TELLS) -> list[Problem]:
	"""Everything that the DGI would refuse, in words that say what to do; empty when `of` may be called."""
	found = [*_receiver_problems(invoice), *_line_problems(invoice, tells), *_reference_problems(invoice)]
	kind = type_of(invoice)
	if invoice.total < 0:
		found.append(Problem("The total must not be negative.", field="grand_total"))
	if invoice.variant and invoice.variant not in dict(VARIANTS):
		found.append(
			Problem(
				say("{0} is no kind of document in Panama.", invoice.variant), field="fiscal_document_variant"
			)
		)
	if kind == EXPORT:
		if not invoice.export or not invoice.export.incoterm:
			found.append(Problem("An export invoice needs an Incoterm.", field="incoterm"))
		if invoice.receiver.country in ("", COUNTRY):
			found.append(
				Problem("An export invoice needs a customer's address abroad.", field="customer_address")
			)
		elif receiver_kind(invoice.receiver) != FOREIGNER:
			found.append(
				Problem(
					"An export goes to a foreigner: choose the customer type Foreigner.",
					code="export_receiver",
					field="fiscal_customer_type",
				)
			)
		port = (invoice.export.place if invoice.export else "").strip()
		if port and len(port) < SHORTEST_PORT:
			found.append(
				Problem(
					say(
						"{0} is too short for the port of shipment: Named Place has {1} letters at least.",
						port,
						SHORTEST_PORT,
					),
					field="named_place",
				)
			)
	elif invoice.currency not in CURRENCIES:
		found.append(
			Problem(
				say(
					"An invoice within Panama has to be in PAB or USD, not in {0}. Only exports may be in others.",
					invoice.currency,
				),
				field="currency",
			)
		)
	if invoice.currency not in CURRENCIES and invoice.exchange_rate <= 0:
		found.append(Problem("The exchange rate has to be above zero.", field="conversion_rate"))
	if len(invoice.payments) > MAX_PAYMENTS:
		found.append(Problem(say("At most {0} payments can be told.", MAX_PAYMENTS), field="payments"))
	if len(invoice.terms) > MAX_TERMS:
		found.append(
			Problem(say("At most {0} installments can be told.", MAX_TERMS), field="payment_schedule")
		)
	for payment in invoice.payments:
		if payment.code and not re.fullmatch(r"0[1-9]|10|99", payment.code):
			found.append(
				Problem(
					say(
						"{0}: {1} is no form of payment. Use 01 to 09 or 99 in the settings' table.",
						payment.mode,
						payment.code,
					),
					field="payments",
				)
			)
	if not found:
		found += _total_problems(invoice, tells)
	return found


def _total_problems(invoice: Invoice, tells: frozenset[str]) -> list[Problem]:
	rate = _exchange_rate(invoice)
	computed = quantize(sum((_item(line, rate).total for line in _lines(invoice, tells)), ZERO))
	wanted = _wanted(invoice)
	if DISCOUNT in tells:
		computed -= _rounding_discount(invoice, computed)
	# Converted amounts are rounded line by line, which is not what was invoiced to the cent.
	tolerance = CENT if rate == 1 else CENT * max(len(invoice.lines), 1)
	if abs(computed - wanted) <= tolerance:
		return []
	return [
		Problem(
			say(
				"The lines make {0}, this invoice says {1}: more than a cent apart. "
				"Check the tax rows and the rounding of the item rates.",
				computed,
				wanted,
			),
			code="total_differs",
			field="grand_total",
		)
	]


def _receiver_problems(invoice: Invoice) -> list[Problem]:
	party, kind = invoice.receiver, receiver_kind(invoice.receiver)
	if kind not in dict(RECEIVER_KINDS):
		return [
			Problem(say("{0} is no customer type. Use 01, 02, 03 or 04.", kind), field="fiscal_customer_type")
		]
	if kind == FOREIGNER:
		found = []
		if not party.tax_id:
			found.append(
				Problem("A foreign customer needs a passport or tax number: fill in Tax ID.", field="tax_id")
			)
		if not party.country or party.country == COUNTRY:
			found.append(
				Problem(
					"A foreign customer needs an address with a country other than Panama.",
					field="customer_address",
				)
			)
		return found
	if kind == CONSUMER and not party.tax_id and party.taxpayer_type != str(ruc.JURIDICAL):
		return _location_problems(party)
	found = _ruc_problems(party, kind)
	if kind in (TAXPAYER, GOVERNMENT):
		if len(party.name) < 2:
			found.append(Problem("The customer's name has to have two letters at least.", field="customer"))
		if len(_address(party)) < 5:
			found.append(
				Problem(
					"A taxpayer's or an authority's invoice needs the customer's address, five letters at least.",
					field="customer_address",
				)
			)
	found += _location_problems(party)
	if kind == GOVERNMENT:
		for line in invoice.lines:
			if not re.fullmatch(r"[0-9]{4}", line.product_code or ""):
				found.append(
					Problem(
						say(
							"Row {0}: an invoice to the government needs a CPBS code of four digits. "
							"Enter it as Fiscal Product Code of the item.",
							line.row,
						),
						field="items",
					)
				)
	return found


def _location_problems(party: Party) -> list[Problem]:
	if not party.location or locations.find(party.location):
		return []
	return [
		Problem(
			say(
				"{0} is no location of the DGI's catalogue. Choose the customer's corregimiento in Location Code, "
				"or leave it blank.",
				party.location,
			),
			field="fiscal_location",
		)
	]


def _ruc_problems(party: Party, kind: str) -> list[Problem]:
	parsed = ruc.parse(party.tax_id)
	if not parsed:
		return [
			Problem(
				say(
					"{0} is no RUC. The customer's Tax ID has to look like 8-442-445, PE-12-345, 8-NT-1-13656 or "
					"155596713-2-2015.",
					party.tax_id or say("A blank"),
				),
				code="invalid_ruc",
				field="tax_id",
			)
		]
	if not _taxpayer_type(party):
		return [
			Problem(
				say(
					"{0} may be a person's or an organization's: choose the customer's Taxpayer Type, or enter "
					"its DV, {1} or {2}.",
					party.tax_id,
					ruc.verification_digits(party.tax_id, ruc.NATURAL),
					ruc.verification_digits(party.tax_id, ruc.JURIDICAL),
				),
				code="taxpayer_type",
				field="fiscal_taxpayer_type",
			)
		]
	try:
		digits = ruc.verification_digits(party.tax_id, _taxpayer_type(party))
	except ValueError:
		return [
			Problem(
				say("{0} is not the RUC of a taxpayer of type {1}.", party.tax_id, _taxpayer_type(party)),
				code="invalid_ruc",
				field="tax_id",
			)
		]
	found = []
	if party.dv and party.dv.zfill(2) != digits:
		found.append(
			Problem(
				say("The DV of {0} is {1}, not {2}.", party.tax_id, digits, party.dv),
				code="invalid_dv",
				field="fiscal_customer_dv",
			)
		)
	if kind == CONSUMER and _taxpayer_type(party) == ruc.JURIDICAL:
		found.append(
			Problem(
				say("{0} is a company's RUC: choose the customer type Taxpayer.", party.tax_id),
				code="company_as_consumer",
				field="fiscal_customer_type",
			)
		)
	return found


def _line_problems(invoice: Invoice, tells: frozenset[str]) -> list[Problem]:
	found = []
	for line in invoice.lines:
		vat = _itbms(line)
		excise = [tax for tax in line.taxes if tax.category is TaxCategory.EXCISE]
		for tax in line.taxes:
			if tax.withheld and tax.category is TaxCategory.VAT:
				if RETENTION not in tells:
					found.append(
						Problem(
							say(
								"Row {0}: this provider has no place for ITBMS that is withheld ({1}). Take the row "
								"off the invoice and book the retention with the payment.",
								line.row,
								tax.name,
							),
							field="taxes",
						)
					)
			elif tax.withheld or tax.category not in (TaxCategory.VAT, TaxCategory.EXCISE):
				found.append(
					Problem(
						say("Row {0}: {1} is neither ITBMS nor ISC and cannot be told.", line.row, tax.name),
						field="taxes",
					)
				)
		for tax in excise:
			if tax.rate not in ISC_RATES:
				found.append(
					Problem(
						say(
							"Row {0}: ISC is 0, 3.5, 5, 6, 13.25 or 32.5 %, not {1} %.",
							line.row,
							plain(tax.rate * 100),
						),
						field="taxes",
					)
				)
		for tax in vat:
			if tax.rate not in ITBMS_CODES:
				found.append(
					Problem(
						say(
							"Row {0}: ITBMS is 0, 7, 10 or 15 %, not {1} %.", line.row, plain(tax.rate * 100)
						),
						field="taxes",
					)
				)
			if tax.on_top_of_excise and tax.rate:
				found.append(
					Problem(
						say(
							"Row {0}: ITBMS is computed on the price without ISC. Use On Net Total.", line.row
						),
						field="taxes",
					)
				)
		if len([tax for tax in vat if tax.rate]) > 1 or len(excise) > 1:
			found.append(Problem(say("Row {0} has the same tax twice.", line.row), field="taxes"))
		if line.quantity <= 0 or line.net < 0:
			found.append(
				Problem(say("Row {0}: quantity and amount have to be positive.", line.row), field="items")
			)
		if len(line.description) < 2:
			found.append(
				Problem(say("Row {0}: the description needs two letters at least.", line.row), field="items")
			)
	return found


def _reference_problems(invoice: Invoice) -> list[Problem]:
	code = invoice.reference.fiscal_id if invoice.reference else ""
	if code and not cufe.is_valid(code):
		return [
			Problem(
				say("{0} is no CUFE: a note has to name the one of the invoice that it corrects.", code),
				field="fiscal_original_id",
			)
		]
	own = invoice.issuer.tax_id
	if code and ruc.parse(own) and cufe.parts(code)["ruc"].lstrip("0") != own:
		return [
			Problem(
				say(
					"{0} was issued by another taxpayer: a note corrects an invoice of your own. Correct Original "
					"Fiscal ID.",
					code,
				),
				field="fiscal_original_id",
			)
		]
	return []


def coordinates_problems(coordinates: Coordinates) -> list[Problem]:
	"""What is wrong with branch, point or device as HKA and the CUFE have them (1.4)."""
	found = []
	if not re.fullmatch(r"[0-9A-Za-z]{4}", coordinates.branch):
		found.append(
			Problem(say("{0} is no branch code: it has four characters, such as 0000.", coordinates.branch))
		)
	if not re.fullmatch(r"[0-9]{3}", coordinates.point) or coordinates.point == "000":
		found.append(
			Problem(say("{0} is no point of sale: it is a number from 001 to 999.", coordinates.point or "0"))
		)
	if coordinates.serial_device and not re.fullmatch(r"[0-9]{1,10}", coordinates.serial_device):
		found.append(
			Problem(say("{0} is no serial device: it has up to ten digits.", coordinates.serial_device))
		)
	return found
