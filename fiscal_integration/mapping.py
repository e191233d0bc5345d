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
from frappe.utils import get_datetime, get_system_timezone, getdate, strip_html

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
from fiscal_integration.fiscal.money import CENT, MICRO, ZERO, decimal, quantize

ISSUE = "Issue"
"""The purpose of the Fiscal Document that makes a sale or a payment valid."""
SALES = ("POS Invoice", "Sales Invoice")
HUNDRED = Decimal(100)

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
		exchange_rate=decimal(doc.get("conversion_rate") or 1),
		lines=tuple(lines),
		total=quantize(sign * decimal(doc.grand_total)),
		rounding=quantize(sign * decimal(doc.get("rounding_adjustment"))),
		payments=tuple(_payments(doc, sign, payment_code)),
		change=quantize(sign * decimal(doc.get("change_amount"))),
		on_credit=quantize(sign * outstanding(doc)) >= CENT,
		due_date=getdate(doc.due_date) if doc.get("due_date") else None,
		goods_returned=bool(doc.get("is_return"))
		and (doc.doctype == "POS Invoice" or bool(doc.get("update_stock"))),
		reference=_reference(doc),
		terms=tuple(
			Term(getdate(row.due_date), quantize(sign * decimal(row.payment_amount)))
			for row in doc.get("payment_schedule") or []
			if row.due_date
		),
		export=_export(doc),
		variant=(doc.get("fiscal_document_variant") or "").strip(),
		substitutes=_substituted(doc),
		supplied_on=_supplied_on(doc),
	)


def is_sale(doc) -> bool:
	"""Whether this invoice is a sale of its own, which needs a fiscal document (design section 3).

	Never by `is_pos`: from v16 on the Point of Sale makes Sales Invoices.
	"""
	if doc.get("is_opening") == "Yes":
		return False
	if doc.doctype == "Sales Invoice" and doc.get("is_consolidated"):
		return not _consolidates(doc)
	return True


def _consolidates(doc) -> bool:
	"""Whether it really stands for POS Invoices, which have fiscal documents of their own, and not only says so."""
	if doc.get("is_created_using_pos") and doc.get("is_return"):
		return True
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
	return Party(name=name or company, tax_id=squeeze(tax_id), country=country_code(company))


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
		name=(doc.get("fiscal_customer_name") or "").strip()
		or customer.fiscal_legal_name
		or customer.customer_name
		or doc.customer,
		tax_id=tax_id,
		country=country,
		postal_code=(customer.fiscal_postal_code or address.pincode or "").strip(),
		address=address.address_line1 or "",
		city=address.city or "",
		state=address.state or "",
		email=doc.get("fiscal_customer_email")
		or doc.get("contact_email")
		or address.email_id
		or customer.email_id
		or "",
		phone=address.phone or "",
		regime=(customer.fiscal_tax_regime or "").strip()[:3],
		use=(doc.get("fiscal_document_use") or customer.fiscal_document_use or "").strip().split(" ")[0],
		walk_in=not tax_id and domestic,
		kind=(doc.get("fiscal_customer_type") or customer.fiscal_customer_type or "").strip()[:2],
		taxpayer_type=(
			doc.get("fiscal_taxpayer_type") or (customer.fiscal_taxpayer_type if own else "") or ""
		).strip()[:1],
		dv=(doc.get("fiscal_customer_dv") or (customer.fiscal_dv if own else "") or "").strip(),
		id_type=(customer.fiscal_id_type or "").strip()[:2],
		location=(customer.fiscal_location or "").strip(),
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
	return "".join((tax_id or "").split()).upper()


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
		["status", "fiscal_id", "issued_at"],
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
	)


class _Tax:
	"""One tax row of the document, read once."""

	def __init__(self, row):
		self.idx = row.idx
		self.account = row.account_head
		self.name = (row.description and strip_html(row.description)) or row.account_head or ""
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
		lines += [self._charge(tax) for tax in self.taxes if tax.type == CHARGE and tax.amount]
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
			elif tax.charge_type == "On Item Quantity":
				self._problem(
					_("{0}: a tax per quantity is not supported. Use On Net Total with its rate.").format(
						where
					),
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
		inclusive = [tax for tax in self.taxes if tax.included]
		gross = sum((row.gross for row in rows), ZERO)
		if inclusive and all(tax.included for tax in self.taxes) and gross:
			# ERPNext makes such a document's total exactly, and rounds the rows; so the total leads.
			share = self.sign * decimal(self.doc.grand_total) / gross
			for row in rows:
				row.net = row.before * share
			return
		for row in rows:
			row.net = self.sign * decimal(row.item.net_amount)

	def _charge(self, tax: _Tax) -> Line:
		"""Freight and the like: a line of its own, taxed by the rows that count it in their base."""
		amount = quantize(self.sign * tax.amount, MICRO)
		taxes = self.line_taxes(amount, {}, charge=tax)
		return Line(
			description=tax.name,
			quantity=Decimal(1),
			unit_price=amount,
			net=amount,
			unit="",
			taxes=taxes,
			row=tax.idx,
		)

	def line_taxes(self, net: Decimal, rates: dict, charge: _Tax | None = None) -> tuple[LineTax, ...]:
		"""The taxes on a line whose taxable amount is `net`. `rates` are the item's own, by account."""
		amounts: dict[int, Decimal] = {}
		found, running = [], {0: net if charge is None else ZERO}
		total = running[0]
		excise_rows = set()
		for tax in self.taxes:
			if tax is charge:
				total += net
				amounts[tax.idx] = net
				running[tax.idx] = total
				continue
			base = ZERO
			if tax.charge_type == "On Net Total":
				base = net if charge is None else ZERO
			elif tax.charge_type == "On Previous Row Amount":
				base = amounts.get(tax.previous, ZERO)
			elif tax.charge_type == "On Previous Row Total":
				base = running.get(tax.previous, ZERO)
			present = (
				tax.type != CHARGE
				and bool(base)
				and (tax.account not in rates or rates[tax.account] is not None)
			)
			rate = (rates.get(tax.account, tax.rate) if present else ZERO) / HUNDRED
			amount = quantize(base * rate, MICRO)
			amounts[tax.idx] = amount
			total += amount
			running[tax.idx] = total
			if not present:
				continue
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
					rate=abs(rate),
					base=quantize(base, MICRO),
					# A withheld tax has a negative rate. The amount has the sign of its base, which is
					# negative for what is given back, such as a deposit.
					amount=-amount if rate < 0 else amount,
					withheld=tax.withheld,
					on_top_of_excise=over_excise and tax.category is not TaxCategory.EXCISE,
					name=tax.name,
				)
			)
		return tuple(found)

	def inclusive_fraction(self, rates: dict) -> Decimal:
		"""Tax that is included in the price, per unit of net price."""
		fractions: dict[int, Decimal] = {}
		running, total = {0: Decimal(1)}, Decimal(1)
		included = ZERO
		for tax in self.taxes:
			rate = rates.get(tax.account, tax.rate) or ZERO
			fraction = ZERO
			if tax.included:
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
		return included


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
		self.quantity = sign * decimal(item.qty)
		self.gross = sign * decimal(item.amount)
		self.without_tax = 1 + lines.inclusive_fraction(self.rates)
		self.before = self.gross / self.without_tax
		self.net = self.before

	def line(self) -> Line:
		item = self.item
		net = quantize(self.net, MICRO)
		price = self._list_price()
		if price is None and self.quantity:
			price = quantize(self.before / self.quantity, MICRO)
		price = price if price is not None else ZERO
		discount = quantize(price * self.quantity - net, MICRO)
		if (-discount if price * self.quantity < 0 else discount) <= Decimal("0.001"):
			# No discount, only what six decimals of a unit price cannot express. On a negative row a discount is
			# negative too.
			discount = ZERO
			net = quantize(price * self.quantity, MICRO)
		# ERPNext gives rate 0 to what is exempt by template; the item says which kind of untaxed it is.
		treatment = Treatment(item_value(item, "fiscal_tax_treatment") or Treatment.TAXED)
		taxes = self.lines.line_taxes(net, self.rates)
		if treatment is not Treatment.TAXED and any(
			tax.amount and tax.category is TaxCategory.VAT and not tax.withheld for tax in taxes
		):
			self.lines._problem(
				_("Row {0}: item {1} is marked {2}, but the invoice charges value-added tax on it.").format(
					item.idx, item.item_code or item.item_name, _(treatment.value)
				),
				"items",
			)
		return Line(
			description=strip_html(item.get("description") or "").strip() or item.item_name or item.item_code,
			quantity=self.quantity,
			unit_price=price,
			discount=discount,
			net=net,
			code=item.item_code or "",
			unit=item.get("uom") or item.get("stock_uom") or "",
			product_code=item_value(item, "fiscal_product_code") or _group_value(item, "fiscal_product_code"),
			unit_code=(
				frappe.get_cached_value("UOM", item.uom, "fiscal_unit_code") if item.get("uom") else ""
			)
			or "",
			treatment=treatment,
			taxes=taxes,
			row=item.idx,
		)

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
