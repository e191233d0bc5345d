"""ERPNext document -> fiscal.Invoice. The only place that knows ERPNext's fields.

Everything is Decimal. Net amounts of prices that include tax are taken back from the gross ones at six
decimals, because ERPNext's own are rounded to cents and no longer sum to what the customer paid.
"""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import get_datetime, get_system_timezone, getdate

from fiscal_integration import claims
from fiscal_integration.connection import country_code
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import MappingError, Problem
from fiscal_integration.fiscal.invoice import (
	DocumentKind,
	Export,
	Invoice,
	Line,
	LineTax,
	Party,
	Payment,
	PaymentKind,
	Reference,
	TaxCategory,
	Term,
	Treatment,
)
from fiscal_integration.fiscal.money import CENT, MICRO, ZERO, ceiling, decimal, quantize
from fiscal_integration.fiscal.text import first_email, plain_text

ISSUE = "Issue"
"""The purpose of the Fiscal Document that makes a sale or a payment valid."""
SALES = ("POS Invoice", "Sales Invoice")
HUNDRED = Decimal(100)
NATIONAL_CURRENCIES = {"MX": ("MXN",), "PA": ("PAB", "USD"), "AT": ("EUR",)}
"""What amounts are converted to for the authority, whatever currency the books are kept in."""
NO_DISCOUNT = Decimal("0.001")
"""A smaller difference between price and net is what six decimals of a unit price cannot express."""
LONGEST_TEXT, LONGEST_CODE = 1000, 100
PER_UNIT = "On Item Quantity"

# Custom field Account.fiscal_tax_type -> (category, withheld). "Charge" is no tax but a line of its own.
TAX_TYPES = {
	"VAT": (TaxCategory.VAT, False),
	"VAT Withheld": (TaxCategory.VAT, True),
	"Excise": (TaxCategory.EXCISE, False),
	"Income Tax Withheld": (TaxCategory.INCOME, True),
	"Local Tax": (TaxCategory.LOCAL, False),
	"Local Tax Withheld": (TaxCategory.LOCAL, True),
}
CHARGE = "Charge"

# By the names that people give accounts, when nobody said what the tax is.
TAX_NAMES = (
	("IEPS", "Excise"),
	("ISR", "Income Tax Withheld"),
	("RETEN", "VAT Withheld"),
	("WITHH", "VAT Withheld"),
)

PAYMENT_NAMES = (
	(("DEBIT", "DÉBITO", "DEBITO"), PaymentKind.DEBIT_CARD),
	(("CREDIT CARD", "TARJETA", "KREDITKARTE", "CARD"), PaymentKind.CREDIT_CARD),
	(("CHEQUE", "CHECK", "SCHECK"), PaymentKind.CHEQUE),
	(("GIFT", "REGALO"), PaymentKind.GIFT_CARD),
	(("VALE", "VOUCHER"), PaymentKind.VOUCHER),
	(("WALLET", "MONEDERO"), PaymentKind.E_WALLET),
	(("TRANSFER", "WIRE", "BANK DRAFT", "SPEI", "ÜBERWEISUNG"), PaymentKind.TRANSFER),
	(("CASH", "EFECTIVO", "BARGELD"), PaymentKind.CASH),
)
PAYMENT_TYPES = {"Cash": PaymentKind.CASH, "Bank": PaymentKind.TRANSFER}


def to_invoice(doc, payment_code=lambda mode: "", lock: bool = False) -> Invoice:
	"""`doc` (POS Invoice or Sales Invoice) as a fiscal.Invoice.

	`payment_code` gives the mapping table's code for a mode of payment; `lock` holds what the values depend on
	until the transaction's end. Raises MappingError with everything that cannot be expressed.
	"""
	sign = Decimal(-1) if doc.get("is_return") else Decimal(1)
	lines = _Lines(doc, sign).build()
	reference = _reference(doc)
	company_currency = frappe.get_cached_value("Company", doc.company, "default_currency")
	return Invoice(
		doctype=doc.doctype,
		name=doc.name,
		kind=kind_of(doc),
		issued_at=posted_at(doc),
		issuer=issuer_of(doc.company),
		receiver=receiver_of(doc),
		currency=doc.currency or company_currency,
		company_currency=company_currency,
		exchange_rate=national_rate(
			doc.company,
			doc.currency or company_currency,
			decimal(doc.get("conversion_rate") or 1),
			doc.posting_date,
		),
		lines=tuple(lines),
		total=_total(doc, quantize(sign * decimal(doc.grand_total)), reference),
		rounding=quantize(sign * decimal(doc.get("rounding_adjustment"))),
		payments=tuple(_payments(doc, sign, payment_code)),
		change=quantize(sign * decimal(doc.get("change_amount"))),
		on_credit=quantize(sign * outstanding(doc)) >= CENT,
		due_date=getdate(doc.due_date) if doc.get("due_date") else None,
		goods_returned=bool(doc.get("is_return")) and (at_the_till(doc) or bool(doc.get("update_stock"))),
		reference=reference,
		terms=tuple(
			Term(getdate(row.due_date), quantize(sign * decimal(row.payment_amount)))
			for row in doc.get("payment_schedule") or []
			if row.due_date
		),
		export=_export(doc),
		variant=(doc.get("fiscal_document_variant") or "").strip(),
		substitutes=_substituted(doc),
		supplied_on=_supplied_on(doc),
		at_the_till=at_the_till(doc),
	)


def national_rate(company: str, currency: str, to_company: Decimal, day) -> Decimal:
	"""Units of the currency of the company's country for one of `currency`; zero where nobody entered the rate.

	`to_company` is that to the company's own currency. Where the books are kept in another one than the country's,
	ERPNext's Currency Exchange says the rate of the last day up to `day`. Nothing is fetched: a till waits for this.
	"""
	own = frappe.get_cached_value("Company", company, "default_currency")
	national = NATIONAL_CURRENCIES.get(country_code(company), (own,))
	if currency in national:
		return Decimal(1)
	if own in national:
		return to_company
	for source, target in ((currency, national[0]), (national[0], currency)):
		found = frappe.get_all(
			"Currency Exchange",
			{"from_currency": source, "to_currency": target, "date": ("<=", getdate(day))},
			["exchange_rate"],
			order_by="date desc",
			limit=1,
		)
		rate = decimal(found[0].exchange_rate) if found else ZERO
		if rate > 0:
			return rate if source == currency else 1 / rate
	return ZERO


def at_the_till(doc) -> bool:
	"""Whether the Point of Sale made it: from ERPNext 16 on it makes Sales Invoices too."""
	return doc.doctype == "POS Invoice" or bool(doc.get("is_created_using_pos"))


def is_sale(doc) -> bool:
	"""Whether this invoice is a sale of its own, which needs a fiscal document (frappe.md#point-of-sale).

	Never by `is_pos`: from v16 on the Point of Sale makes Sales Invoices.
	"""
	if doc.get("is_opening") == "Yes":
		return False
	if doc.doctype == "Sales Invoice" and doc.get("is_consolidated"):
		return not _consolidates(doc)
	return True


def _consolidates(doc) -> bool:
	"""Whether it really stands for POS Invoices, which have fiscal documents of their own, and not only says so: made by
	a POS Closing, or (from ERPNext 16 on) together with the return of a POS Invoice where tills make Sales Invoices."""
	parts = {item.get("pos_invoice") for item in doc.items}
	if not parts or None in parts or "" in parts:
		return False
	return frappe.db.count("POS Invoice", {"name": ("in", list(parts)), "docstatus": 1}) == len(parts)


def amount_of(doc) -> tuple[str, Decimal]:
	"""Currency and total, as the list of fiscal documents shows them until it is built."""
	return doc.currency, abs(decimal(doc.grand_total))


def kind_of(doc) -> DocumentKind:
	if doc.get("is_return"):
		return DocumentKind.CREDIT_NOTE
	return DocumentKind.DEBIT_NOTE if doc.get("is_debit_note") else DocumentKind.INVOICE


def posted_at(doc) -> datetime:
	"""Posting date and time in the site's zone, which is the zone that ERPNext keeps them in."""
	moment = doc.get("posting_time") or time()
	if isinstance(moment, timedelta):
		moment = (datetime.min + moment).time()
	elif not isinstance(moment, time):
		moment = get_datetime(f"{getdate(doc.posting_date)} {moment}").time()
	local = datetime.combine(getdate(doc.posting_date), moment.replace(microsecond=0))
	return local.replace(tzinfo=ZoneInfo(get_system_timezone()))


def issuer_of(company: str) -> Party:
	name, tax_id = frappe.get_cached_value("Company", company, ["company_name", "tax_id"])
	return Party(name=plain_text(name or company), tax_id=squeeze(tax_id), country=country_code(company))


CUSTOMER_FIELDS = (
	"customer_name",
	"tax_id",
	"customer_primary_address",
	"email_id",
	"fiscal_legal_name",
	"fiscal_postal_code",
	"fiscal_tax_regime",
	"fiscal_document_use",
	"fiscal_customer_type",
	"fiscal_taxpayer_type",
	"fiscal_dv",
	"fiscal_id_type",
	"fiscal_location",
)


def receiver_of(doc) -> Party:
	"""The customer; what the invoice's own Fiscal Data say goes before it."""
	customer = frappe.db.get_value("Customer", doc.customer, list(CUSTOMER_FIELDS), as_dict=True)
	if not customer:
		raise MappingError([_("Customer {0} does not exist any more.").format(doc.customer)])
	address = frappe._dict()
	name = doc.get("customer_address") or customer.customer_primary_address
	if name:
		address = (
			frappe.db.get_value(
				"Address",
				name,
				["address_line1", "city", "state", "country", "pincode", "email_id", "phone"],
				as_dict=True,
			)
			or address
		)
	country = ""
	if address.country:
		country = (frappe.get_cached_value("Country", address.country, "code") or "").upper()
	typed = squeeze(doc.get("fiscal_customer_tax_id"))
	tax_id = typed or squeeze(customer.tax_id or doc.get("tax_id"))
	# What belongs to the customer's own number says nothing of another one.
	own = not typed or typed == squeeze(customer.tax_id)
	domestic = not country or country == country_code(doc.company)
	return Party(
		name=plain_text(doc.get("fiscal_customer_name"))
		or plain_text(customer.fiscal_legal_name)
		or plain_text(customer.customer_name)
		or plain_text(doc.customer),
		tax_id=tax_id,
		country=country,
		postal_code=plain_text(customer.fiscal_postal_code or address.pincode),
		address=plain_text(doc.get("fiscal_customer_address") or address.address_line1),
		# One that was typed for the sale is whole.
		city="" if doc.get("fiscal_customer_address") else plain_text(address.city),
		state=plain_text(address.state),
		email=first_email(doc.get("fiscal_customer_email"))
		or first_email(doc.get("contact_email"))
		or first_email(address.email_id)
		or first_email(customer.email_id),
		phone=plain_text(address.phone),
		regime=(customer.fiscal_tax_regime or "").strip()[:3],
		use=(doc.get("fiscal_document_use") or customer.fiscal_document_use or "").strip().split(" ")[0],
		walk_in=not tax_id and domestic,
		kind=(doc.get("fiscal_customer_type") or customer.fiscal_customer_type or "").strip()[:2],
		taxpayer_type=(
			doc.get("fiscal_taxpayer_type") or (customer.fiscal_taxpayer_type if own else "") or ""
		).strip()[:1],
		dv=(doc.get("fiscal_customer_dv") or (customer.fiscal_dv if own else "") or "").strip(),
		id_type=(customer.fiscal_id_type or "").strip()[:2],
		location=(
			doc.get("fiscal_customer_location") or (customer.fiscal_location if own else "") or ""
		).strip(),
		country_name=address.country or "",
	)


def _export(doc) -> Export | None:
	"""A sale with an Incoterm to an address abroad."""
	if not doc.get("incoterm"):
		return None
	address = doc.get("shipping_address_name") or doc.get("customer_address")
	country = frappe.get_cached_value("Address", address, "country") if address else ""
	code = (frappe.get_cached_value("Country", country, "code") or "").upper() if country else ""
	if not code or code == country_code(doc.company):
		return None
	return Export(doc.incoterm, doc.get("named_place") or "")


def squeeze(tax_id: str | None) -> str:
	return "".join(plain_text(tax_id).split()).upper()


def _payments(doc, sign, payment_code):
	"""What was paid, by mode, less the change, which always leaves in cash."""
	change = sign * decimal(doc.get("change_amount"))
	found = []
	for row in doc.get("payments") or []:
		amount = sign * decimal(row.amount)
		if amount:
			kind = payment_kind(row.mode_of_payment)
			found.append([kind, amount, payment_code(row.mode_of_payment), row.mode_of_payment])
	if change > 0 and found:
		cash = next((entry for entry in found if entry[0] is PaymentKind.CASH), found[-1])
		cash[1] -= change
	if points := abs(_points(doc)):
		found.append([PaymentKind.LOYALTY, points, "", _("Loyalty Points")])
	return [
		Payment(kind, quantize(amount), code, mode)
		for kind, amount, code, mode in found
		if quantize(amount) > 0
	]


def outstanding(doc) -> Decimal:
	"""What of a sale is still to be paid; of a POS Invoice, of which ERPNext keeps none, as it was when it was made."""
	if doc.doctype != "POS Invoice":
		return decimal(doc.get("outstanding_amount"))
	due = decimal(doc.get("rounded_total")) or decimal(doc.grand_total)
	# Not by its paid_amount, which may or may not count the points.
	paid = sum((decimal(row.amount) for row in doc.get("payments") or ()), _points(doc))
	return due - paid + decimal(doc.get("change_amount")) - decimal(doc.get("write_off_amount"))


def _points(doc) -> Decimal:
	"""What was paid in loyalty points, in the document's currency; ERPNext keeps it in the company's."""
	return decimal(doc.get("loyalty_amount")) / decimal(doc.get("conversion_rate") or 1)


def paid_at_once(doc, payment_code=lambda mode: "") -> list[Payment]:
	"""What was paid of a sale when it was made, in the order of its rows."""
	return _payments(doc, Decimal(1), payment_code)


def payment_kind(mode: str) -> PaymentKind:
	"""What a mode of payment is, by its name and then by its type."""
	name = (mode or "").upper()
	for words, kind in PAYMENT_NAMES:
		if any(word in name for word in words):
			return kind
	return PAYMENT_TYPES.get(frappe.get_cached_value("Mode of Payment", mode, "type"), PaymentKind.OTHER)


def _supplied_on(doc) -> date:
	"""The day whose tax rates count: of a return or an adjustment, that of the sale that it corrects."""
	original = doc.get("return_against")
	day = frappe.db.get_value(doc.doctype, original, "posting_date") if original else None
	return getdate(day or doc.posting_date)


def _substituted(doc) -> str:
	"""The fiscal id of the document that this sale is made anew for."""
	if not doc.get("fiscal_substitutes"):
		return ""
	found = frappe.db.get_value(
		"Fiscal Document",
		doc.fiscal_substitutes,
		["status", "cancellation_status", "company", "fiscal_id"],
		as_dict=True,
	)
	if (
		not found
		or found.status != lifecycle.ISSUED
		or found.cancellation_status == lifecycle.CANCELLED
		or found.company != doc.company
	):
		raise MappingError(
			[
				_("{0} is no valid fiscal document of {1}, so that nothing can be made anew for it.").format(
					doc.fiscal_substitutes, doc.company
				)
			]
		)
	return found.fiscal_id


def _reference(doc) -> Reference | None:
	original = doc.get("return_against")
	typed = (doc.get("fiscal_original_id") or "").strip()
	if not original:
		return Reference(doc.doctype, "", typed) if typed else None
	found = frappe.db.get_value(
		"Fiscal Document",
		{"reference_doctype": doc.doctype, "reference_name": original, "purpose": ISSUE},
		["status", "fiscal_id", "issued_at", "provider_total", "total"],
		as_dict=True,
	)
	if not found:
		return Reference(doc.doctype, original, typed or claims.fiscal_id_of(doc.doctype, original))
	issued_at = get_datetime(found.issued_at) if found.issued_at else None
	return Reference(
		doc.doctype,
		original,
		found.fiscal_id or typed,
		issued_at.replace(tzinfo=ZoneInfo(get_system_timezone())) if issued_at else None,
		awaited=not found.fiscal_id and not typed and found.status in lifecycle.DUE,
		total=stamped_total(found) if found.fiscal_id else None,
	)


def stamped_total(row) -> Decimal:
	"""The total of an issued Fiscal Document as the authority has it, from which all that follows is counted: what
	the provider answered, which may be a cent from what was invoiced; what was sent where it tells none."""
	told = row.provider_total
	return quantize(decimal(row.total if told in (None, "") or not decimal(told) else told))


def _total(doc, total: Decimal, reference: Reference | None) -> Decimal:
	"""What the document is to total: of a return of all that is left, what was stamped and is not returned yet."""
	if not doc.get("is_return") or not reference or not reference.name or not reference.fiscal_id:
		return total
	stamped, sold, sales = _corrected(reference)
	if stamped is None or stamped == sold:
		return total
	others = []
	for doctype, names in sales.items():
		filters = {"return_against": ("in", names), "docstatus": 1, "name": ("!=", doc.name or "")}
		others += [(doctype, row) for row in frappe.get_all(doctype, filters, ["name", "grand_total"])]
	parent = claims.holding(reference.doctype, reference.name) if reference.total is None else None
	# What was taken off in the global invoice itself is no correction of it.
	others = [(kind, row) for kind, row in others if not parent or claims.holding(kind, row.name) != parent]
	if sold != total + sum((quantize(abs(decimal(row.grand_total))) for _kind, row in others), ZERO):
		return total
	left = stamped
	for kind, other in others:
		row = frappe.db.get_value(
			"Fiscal Document",
			{"reference_doctype": kind, "reference_name": other.name, "purpose": ISSUE},
			["provider_total", "total"],
			as_dict=True,
		)
		left -= stamped_total(row) if row else quantize(abs(decimal(other.grand_total)))
	return left if left > 0 and abs(left - total) <= CENT * (len(others) + 1) else total


def _corrected(reference: Reference) -> tuple[Decimal | None, Decimal, dict[str, list[str]]]:
	"""Of the document that a return corrects: what was stamped, what was sold, and the sales by doctype. A global invoice
	stands for several."""
	if reference.total is not None:
		sold = frappe.db.get_value(reference.doctype, reference.name, "grand_total")
		return reference.total, quantize(decimal(sold)), {reference.doctype: [reference.name]}
	parent = claims.holding(reference.doctype, reference.name)
	row = parent and frappe.db.get_value(
		"Fiscal Document",
		{"reference_doctype": claims.DOCTYPE, "reference_name": parent, "purpose": ISSUE},
		["provider_total", "total"],
		as_dict=True,
	)
	if not row:
		return None, ZERO, {}
	sold, sales = ZERO, {}
	for part in frappe.get_all(
		claims.SALE, {"parent": parent}, ["reference_doctype", "reference_name", "total"]
	):
		sold += quantize(decimal(part.total))
		sales.setdefault(part.reference_doctype, []).append(part.reference_name)
	return stamped_total(row), sold, sales


class _Tax:
	"""One tax row of the document, read once."""

	def __init__(self, row):
		self.idx = row.idx
		self.account = row.account_head
		self.name = plain_text(row.description, LONGEST_TEXT) or row.account_head or ""
		self.charge_type = row.charge_type
		self.rate = decimal(row.rate)
		self.amount = decimal(row.get("tax_amount_after_discount_amount") or row.tax_amount)
		self.included = bool(row.get("included_in_print_rate"))
		self.previous = int(row.row_id) if row.get("row_id") else 0
		self.type = self._type()
		self.category, self.withheld = TAX_TYPES.get(self.type, (TaxCategory.VAT, False))

	def _type(self) -> str:
		declared = frappe.get_cached_value("Account", self.account, "fiscal_tax_type") if self.account else ""
		if declared:
			return declared
		if self.charge_type == "Actual":
			kind = frappe.get_cached_value("Account", self.account, "account_type") if self.account else ""
			return "VAT" if kind == "Tax" else CHARGE
		text = f"{self.account} {self.name}".upper()
		for word, kind in TAX_NAMES:
			if word in text:
				return kind
		return "VAT Withheld" if self.rate < 0 else "VAT"


class _Lines:
	"""The rows of a document with their taxes, exact to six decimals."""

	def __init__(self, doc, sign):
		self.doc = doc
		self.sign = sign
		self.taxes = [_Tax(row) for row in doc.get("taxes") or []]
		self.problems: list[Problem] = []

	def build(self) -> list[Line]:
		self._refuse_what_cannot_be_told()
		rows = [_Row(row, self) for row in self.doc.items]
		self._apply_document_discount(rows)
		lines = [row.line() for row in rows]
		for tax in self.taxes:
			if tax.type == CHARGE and tax.amount:
				lines += self._charge(tax, rows)
		if self.problems:
			raise MappingError(self.problems)
		return lines

	def _refuse_what_cannot_be_told(self):
		for tax in self.taxes:
			where = _("Tax row {0} ({1})").format(tax.idx, tax.name)
			if tax.type == CHARGE:
				if tax.charge_type != "Actual":
					self._problem(
						_("{0}: a charge that is no tax has to be of type Actual.").format(where), "taxes"
					)
				elif self.sign * tax.amount < 0:
					self._problem(
						_("{0}: a negative charge cannot be told to the authority. Use a discount.").format(
							where
						),
						"taxes",
					)
			elif tax.charge_type == "Actual" and tax.amount:
				self._problem(
					_(
						"{0}: a tax as a fixed amount cannot be told per line. Use On Net Total with its rate, "
						"or mark the account as a charge."
					).format(where),
					"taxes",
				)
			elif tax.charge_type == PER_UNIT and tax.category is not TaxCategory.EXCISE:
				self._problem(
					_(
						"{0}: only excise can be a tax per quantity. Use On Net Total with its rate, or say on the account "
						"that it is excise (Fiscal Tax Type)."
					).format(where),
					"taxes",
				)
		if self.problems:
			raise MappingError(self.problems)

	def _problem(self, message, field):
		self.problems.append(Problem(message, field=field))

	def _apply_document_discount(self, rows):
		"""Each row's share of the discount on the document, as ERPNext spread it."""
		if not decimal(self.doc.get("discount_amount")):
			for row in rows:
				row.net = row.before
			return
		included = any(tax.included for tax in self.taxes)
		if included and all(tax.type != CHARGE and tax.charge_type != PER_UNIT for tax in self.taxes):
			# ERPNext makes such a document's total exactly, and rounds the rows; so the total leads.
			whole = sum(
				(
					row.before
					+ sum(
						-tax.amount if tax.withheld else tax.amount
						for tax in self.line_taxes(row.before, row.quantity, row.rates)
					)
					for row in rows
				),
				ZERO,
			)
			if whole:
				share = self.sign * decimal(self.doc.grand_total) / whole
				for row in rows:
					row.net = row.before * share
				return
		for row in rows:
			row.net = self.sign * decimal(row.item.net_amount)

	def _charge(self, charge: _Tax, rows) -> list[Line]:
		"""Freight and the like: a line of its own, taxed by the rows that count it in their base.

		ERPNext spreads it over the items, so that each share is taxed at the rates of its items: a line for each
		sort of rates.
		"""
		amount = quantize(self.sign * charge.amount, MICRO)
		shares: dict[tuple, list] = {}
		for row in rows:
			taxes = self.line_taxes(amount, ZERO, row.rates, charge)
			vat = [tax.rate for tax in taxes if tax.category is TaxCategory.VAT and not tax.withheld]
			untaxed = bool(vat) and not any(vat)
			treatment = row.treatment if untaxed else Treatment.TAXED
			sort = (
				treatment,
				*((tax.category, tax.rate, tax.withheld, tax.on_top_of_excise) for tax in taxes),
			)
			share = shares.setdefault(sort, [ZERO, row.rates, treatment])
			share[0] += row.net
		whole = sum((net for net, _rates, _treatment in shares.values()), ZERO)
		if not whole:
			# ERPNext taxes no share of it either, but what is charged is told.
			shares = dict([next(iter(shares.items()))])
		lines, left = [], amount
		for number, (net, rates, treatment) in enumerate(shares.values(), 1):
			part = left if number == len(shares) else quantize(amount * net / whole, MICRO)
			left -= part
			if part:
				lines.append(
					Line(
						description=charge.name,
						quantity=Decimal(1),
						unit_price=part,
						net=part,
						treatment=treatment,
						taxes=self.line_taxes(part, ZERO, rates, charge),
						row=charge.idx,
					)
				)
		return lines

	def line_taxes(
		self, net: Decimal, quantity: Decimal, rates: dict, charge: _Tax | None = None
	) -> tuple[LineTax, ...]:
		"""The taxes on a line whose taxable amount is `net`. `rates` are the item's own, by account.

		Which taxes a line has does not depend on its amount: a free line has those of its goods.
		"""
		item = charge is None
		amounts: dict[int, Decimal] = {}
		found, running = [], {0: net if item else ZERO}
		total = running[0]
		applies: dict[int, bool] = {}
		in_total = {0: item}
		told: dict[int, tuple[Decimal, Decimal]] = {}
		excise_rows = set()
		for position, tax in enumerate(self.taxes):
			before = in_total[self.taxes[position - 1].idx if position else 0]
			if tax is charge:
				total += net
				amounts[tax.idx] = net
				running[tax.idx] = total
				applies[tax.idx] = in_total[tax.idx] = True
				continue
			base, present = ZERO, False
			if tax.charge_type == "On Net Total":
				base, present = (net, True) if item else (ZERO, False)
			elif tax.charge_type == "On Previous Row Amount":
				base, present = amounts.get(tax.previous, ZERO), applies.get(tax.previous, False)
			elif tax.charge_type == "On Previous Row Total":
				base, present = running.get(tax.previous, ZERO), in_total.get(tax.previous, False)
			elif tax.charge_type == PER_UNIT:
				base, present = (quantity, True) if item else (ZERO, False)
			present = present and tax.type != CHARGE
			rate = rates.get(tax.account, tax.rate) if present else ZERO
			per_unit = tax.charge_type == PER_UNIT
			if not per_unit:
				rate /= HUNDRED
			if tax.withheld and tax.charge_type == "On Previous Row Amount" and tax.previous in told:
				# Two thirds of the VAT, say: the authority wants the rate on what the VAT is computed on.
				base, share_of = told[tax.previous]
				rate = quantize(rate * share_of, MICRO)
			amount = quantize(base * rate, MICRO)
			amounts[tax.idx] = amount
			total += amount
			running[tax.idx] = total
			applies[tax.idx], in_total[tax.idx] = present, before or present
			if not present:
				continue
			told[tax.idx] = (base, rate)
			if tax.category is TaxCategory.EXCISE:
				excise_rows.add(tax.idx)
			if not rate and (tax.category is not TaxCategory.VAT or tax.withheld):
				continue
			over_excise = tax.charge_type == "On Previous Row Total" and any(
				idx <= tax.previous for idx in excise_rows
			)
			found.append(
				LineTax(
					category=tax.category,
					rate=quantize(abs(rate), MICRO).normalize() + ZERO,
					base=quantize(base, MICRO),
					# A withheld tax has a negative rate. The amount has the sign of its base, which is
					# negative for what is given back, such as a deposit.
					amount=-amount if rate < 0 else amount,
					withheld=tax.withheld,
					on_top_of_excise=over_excise and tax.category is not TaxCategory.EXCISE,
					name=tax.name,
					per_unit=per_unit,
				)
			)
		return _one_vat(found)

	def included(self, rates: dict) -> tuple[Decimal, Decimal]:
		"""Tax that is included in the price: per unit of net price, and per unit sold."""
		fractions: dict[int, Decimal] = {}
		running, total = {0: Decimal(1)}, Decimal(1)
		included = per_unit = ZERO
		for tax in self.taxes:
			rate = rates.get(tax.account, tax.rate) or ZERO
			fraction = ZERO
			if tax.included and tax.charge_type == PER_UNIT:
				per_unit += rate
			elif tax.included:
				base = {
					"On Net Total": Decimal(1),
					"On Previous Row Amount": fractions.get(tax.previous, ZERO),
					"On Previous Row Total": running.get(tax.previous, Decimal(1)),
				}.get(tax.charge_type, ZERO)
				fraction = base * rate / HUNDRED
			fractions[tax.idx] = fraction
			total += fraction
			running[tax.idx] = total
			included += fraction
		return included, per_unit


def _one_vat(taxes: list[LineTax]) -> tuple[LineTax, ...]:
	"""Without the zero rates of those VAT rows that an item's template switches off in favour of another one."""
	vat = [tax for tax in taxes if tax.category is TaxCategory.VAT and not tax.withheld]
	kept = [tax for tax in vat if tax.rate] or vat[:1]
	return tuple(tax for tax in taxes if tax not in vat or tax in kept)


class _Row:
	"""One item row: its price before and after discounts, without tax."""

	def __init__(self, item, lines: _Lines):
		self.item = item
		self.lines = lines
		self.rates = {
			account: decimal(rate)
			for account, rate in (json.loads(item.get("item_tax_rate") or "{}")).items()
		}
		sign = lines.sign
		# A note that only changes a price has quantity 0 in ERPNext, and the change as its amount.
		self.quantity = quantize(sign * decimal(item.qty), MICRO) or Decimal(1)
		self.gross = sign * decimal(item.amount)
		fraction, per_unit = lines.included(self.rates)
		self.without_tax = 1 + fraction
		self.before = (self.gross - per_unit * sign * decimal(item.qty)) / self.without_tax
		self.net = self.before
		# ERPNext gives rate 0 to what is exempt by template; the item says which kind of untaxed it is.
		self.treatment = Treatment(item_value(item, "fiscal_tax_treatment") or Treatment.TAXED)

	def line(self) -> Line:
		item = self.item
		price, discount, net = self._split()
		taxes = self.lines.line_taxes(net, self.quantity, self.rates)
		if self.treatment is not Treatment.TAXED and any(
			tax.amount and tax.category is TaxCategory.VAT and not tax.withheld for tax in taxes
		):
			self.lines._problem(
				_("Row {0}: item {1} is marked {2}, but the invoice charges value-added tax on it.").format(
					item.idx, item.item_code or item.item_name, _(self.treatment.value)
				),
				"items",
			)
		return Line(
			description=plain_text(item.get("description"), LONGEST_TEXT)
			or plain_text(item.item_name, LONGEST_TEXT)
			or plain_text(item.item_code),
			quantity=self.quantity,
			unit_price=price,
			discount=discount,
			net=net,
			code=plain_text(item.item_code, LONGEST_CODE),
			unit=plain_text(item.get("uom") or item.get("stock_uom")),
			product_code=item_value(item, "fiscal_product_code") or _group_value(item, "fiscal_product_code"),
			unit_code=(
				frappe.get_cached_value("UOM", item.uom, "fiscal_unit_code") if item.get("uom") else ""
			)
			or "",
			treatment=self.treatment,
			taxes=taxes,
			row=item.idx,
		)

	def _split(self) -> tuple[Decimal, Decimal, Decimal]:
		"""Unit price, discount and net, which add up at six decimals. A negative row has a negative discount."""
		net = quantize(self.net, MICRO)
		price = self._list_price()
		if price is None:
			price = quantize(self.before / self.quantity, MICRO)
		rest = price * self.quantity - net
		if abs(rest) <= NO_DISCOUNT:
			return price, ZERO, quantize(price * self.quantity, MICRO)
		sign = -1 if (net or price * self.quantity) < 0 else 1
		if rest * sign < 0:
			# 100,000 pieces at 0.30172413: the price is rounded up, and the rest told as a discount.
			price = ceiling(abs(net / self.quantity), MICRO).copy_sign(net / self.quantity)
			rest = price * self.quantity - net
		discount = quantize(rest, MICRO)
		return price, discount, quantize(price * self.quantity - discount, MICRO)

	def _list_price(self) -> Decimal | None:
		"""The price before the row's own discount, where the row has one that adds up."""
		item = self.item
		listed, off = decimal(item.get("price_list_rate")), decimal(item.get("discount_amount"))
		if listed <= 0 or off <= 0 or abs(listed - off - decimal(item.rate)) > CENT / 2:
			return None
		return quantize(listed / self.without_tax, MICRO)


def item_value(item, field: str) -> str:
	if not item.get("item_code"):
		return ""
	return frappe.get_cached_value("Item", item.item_code, field) or ""


def _group_value(item, field: str) -> str:
	"""The nearest item group, upwards, that says it."""
	group = item_value(item, "item_group") or item.get("item_group")
	seen = set()
	while group and group not in seen:
		seen.add(group)
		value, parent = frappe.get_cached_value("Item Group", group, [field, "parent_item_group"])
		if value:
			return value
		group = parent
	return ""
