"""ERPNext 15's documented totals: net amounts, taxes, document discount, rounding, payments.

Item amounts and tax amounts are rounded to the currency's precision (2); taxes are summed unrounded over the
items and rounded per tax row. A document discount is apportioned over the items and everything is computed
again from the smaller net amounts.
"""

import json

import frappe
from frappe import _
from frappe.utils import cint, flt, round_based_on_smallest_currency_fraction

TAX_ZEROES = ("total", "tax_amount_after_discount_amount")
CENT = 2


def calculate(doc):
	"""All totals of a sales document, in place."""
	Totals(doc).run()


class Totals:
	def __init__(self, doc):
		self.doc, self.items, self.taxes = doc, doc.items, doc.taxes
		self.discounted, self.difference, self.before_discount = False, 0.0, None
		self.consolidated = bool(doc.get("is_consolidated"))

	def run(self):
		if not self.items:
			return
		self._pass()
		self._discount()
		self._payments()

	def _pass(self):
		self._rows()
		self._reset_taxes()
		self._take_taxes_out_of_prices()
		self._net_total()
		self._taxes()
		self._inclusive_difference()
		self._grand_total()

	# Items -------------------------------------------------------------------------------------------

	def _rows(self):
		if self.discounted or self.consolidated:
			return
		for row in self.items:
			self.doc.round_floats_in(row)
			self._price(row)
			row.net_rate = row.rate
			if not row.qty and self.doc.is_return:
				row.amount = flt(-row.rate, CENT)
			elif not row.qty and self.doc.is_debit_note:
				row.amount = flt(row.rate, CENT)
			else:
				row.amount = flt(row.rate * row.qty, CENT)
			row.net_amount = row.amount
			row.stock_qty = flt(row.qty * (row.conversion_factor or 1))
			self._base(row, "price_list_rate", "rate", "net_rate", "amount", "net_amount")

	def _price(self, row):
		"""Rate, discount and margin agree with each other: a higher rate is a margin, a lower one a discount."""
		listed = row.price_list_rate
		if row.discount_percentage == 100:
			row.rate = 0.0
		elif listed and not row.rate:
			row.rate = flt(listed * (1 - row.discount_percentage / 100), CENT)
		if not listed:
			row.rate_with_margin = row.base_rate_with_margin = 0.0
			return
		with_margin = 0.0
		if row.rate > listed:
			row.margin_type, row.margin_rate_or_amount = "Amount", flt(row.rate - listed, CENT)
			row.rate_with_margin = row.rate
		elif row.margin_type and row.margin_rate_or_amount:
			margin = row.margin_rate_or_amount
			with_margin = listed + (margin if row.margin_type == "Amount" else listed * margin / 100)
		row.rate_with_margin = with_margin
		row.base_rate_with_margin = with_margin * flt(self.doc.conversion_rate)
		if with_margin > 0:
			row.rate = flt(with_margin * (1 - row.discount_percentage / 100), CENT)
			if row.discount_amount and not row.discount_percentage:
				row.rate = with_margin - row.discount_amount
			else:
				row.discount_amount = with_margin - row.rate
		else:
			row.discount_amount = listed - row.rate

	def _base(self, doc, *fields):
		rate = flt(self.doc.conversion_rate)
		for field in fields:
			doc.set("base_" + field, flt(flt(doc.get(field), doc.precision(field)) * rate, CENT))

	# Taxes -------------------------------------------------------------------------------------------

	def _keeps_tax_amounts(self):
		return self.discounted and self.doc.apply_discount_on == "Grand Total"

	def _reset_taxes(self):
		for row in self.taxes:
			if not self.discounted:
				self._check_tax(row)
			if not (self.consolidated or row.dont_recompute_tax):
				row.item_wise_tax_detail = {}
			for field in TAX_ZEROES:
				row.set(field, 0.0)
			if row.charge_type != "Actual" and not self._keeps_tax_amounts():
				row.tax_amount = 0.0
			self.doc.round_floats_in(row)

	def _check_tax(self, row):
		if row.charge_type in ("Actual", "On Net Total") and row.row_id:
			row.row_id = None
		if row.charge_type.startswith("On Previous Row"):
			if row.idx == 1:
				frappe.throw(_("Cannot select charge type as '{0}' for first row").format(row.charge_type))
			if not row.row_id:
				frappe.throw(
					_("Please specify a valid Row ID for row {0} in table {1}").format(row.idx, "Taxes")
				)
			if cint(row.row_id) >= row.idx:
				frappe.throw(_("Cannot refer row number greater than or equal to current row number"))
		if row.charge_type == "Actual":
			row.rate = 0.0
			if cint(row.included_in_print_rate):
				frappe.throw(
					_("Charge of type 'Actual' in row {0} cannot be included in Item Rate").format(row.idx)
				)

	@staticmethod
	def _rates(item):
		return json.loads(item.item_tax_rate) if item.item_tax_rate else {}

	@staticmethod
	def _rate(tax, rates):
		return flt(rates[tax.account_head], 3) if tax.account_head in rates else tax.rate

	def _take_taxes_out_of_prices(self):
		"""Net amounts of prices that contain taxes: amount / (1 + the fractions of all inclusive taxes)."""
		if not any(cint(t.included_in_print_rate) for t in self.taxes):
			return
		for item in self.items:
			rates, own, cumulated, per_qty, total = self._rates(item), [], [], 0.0, 0.0
			for tax in self.taxes:
				fraction = 0.0
				if cint(tax.included_in_print_rate):
					rate = self._rate(tax, rates)
					if tax.charge_type == "On Net Total":
						fraction = rate / 100
					elif tax.charge_type == "On Previous Row Amount":
						fraction = rate / 100 * own[cint(tax.row_id) - 1]
					elif tax.charge_type == "On Previous Row Total":
						fraction = rate / 100 * cumulated[cint(tax.row_id) - 1]
					elif tax.charge_type == "On Item Quantity":
						per_qty += rate * item.qty
				own.append(fraction)
				cumulated.append((cumulated[-1] if cumulated else 1.0) + fraction)
				total += fraction
			if not self.discounted and item.qty and (total or per_qty):
				item.net_amount = flt((item.amount - per_qty) / (1 + total), CENT)
				item.net_rate = flt(item.net_amount / item.qty, CENT)
				self._base(item, "net_rate", "net_amount")

	def _net_total(self):
		doc = self.doc
		doc.total_qty = sum(i.qty for i in self.items)
		for total, field in (
			("total", "amount"),
			("base_total", "base_amount"),
			("net_total", "net_amount"),
			("base_net_total", "base_net_amount"),
		):
			doc.set(total, flt(sum(flt(i.get(field)) for i in self.items), CENT))

	def _taxes(self):
		if not self.taxes:
			return
		left = {t.idx: flt(t.tax_amount, CENT) for t in self.taxes if t.charge_type == "Actual"}
		for number, item in enumerate(self.items):
			rates, amounts, running = self._rates(item), [], []
			for tax in self.taxes:
				amount = self._amount(item, tax, rates, amounts, running)
				if tax.charge_type == "Actual":
					left[tax.idx] -= amount
					if number == len(self.items) - 1:
						amount += left[tax.idx]
				elif not self._keeps_tax_amounts():
					tax.tax_amount += amount
				tax.tax_amount_after_discount_amount += amount
				amounts.append(amount)
				running.append((running[-1] if running else item.net_amount) + amount)
		self._cumulate_for_discount()
		for number, tax in enumerate(self.taxes):
			tax.tax_amount = flt(tax.tax_amount, CENT)
			tax.tax_amount_after_discount_amount = flt(tax.tax_amount_after_discount_amount, CENT)
			self._base(tax, "tax_amount", "tax_amount_after_discount_amount")
			self._cumulate(number, tax)
			self._base(tax, "total")
			if not (self.consolidated or tax.dont_recompute_tax):
				tax.item_wise_tax_detail = json.dumps(tax.item_wise_tax_detail, separators=(",", ":"))

	def _amount(self, item, tax, rates, amounts, running):
		rate, amount = self._rate(tax, rates), 0.0
		if tax.charge_type == "Actual":
			net = self.doc.net_total
			amount = item.net_amount * flt(tax.tax_amount, CENT) / net if net else 0.0
		elif tax.charge_type == "On Net Total":
			amount = rate / 100.0 * item.net_amount
		elif tax.charge_type == "On Previous Row Amount":
			amount = rate / 100.0 * amounts[cint(tax.row_id) - 1]
		elif tax.charge_type == "On Previous Row Total":
			amount = rate / 100.0 * running[cint(tax.row_id) - 1]
		elif tax.charge_type == "On Item Quantity":
			amount = rate * item.qty
		if not (self.consolidated or tax.dont_recompute_tax):
			key = item.item_code or item.item_name
			before = tax.item_wise_tax_detail.get(key, [0, 0.0])[1]
			tax.item_wise_tax_detail[key] = [rate, flt(amount * flt(self.doc.conversion_rate) + before)]
		return amount

	def _cumulate(self, number, tax):
		before = self.taxes[number - 1].total if number else self.doc.net_total
		tax.total = flt(before + tax.tax_amount_after_discount_amount, CENT)

	def _cumulate_for_discount(self):
		"""With a discount on the grand total the unrounded running totals decide what is distributed."""
		doc = self.doc
		if doc.apply_discount_on != "Grand Total":
			return
		if not (self.discounted or doc.discount_amount or doc.additional_discount_percentage):
			return
		for number, tax in enumerate(self.taxes):
			if self.discounted:
				tax.tax_amount_after_discount_amount = flt(tax.tax_amount_after_discount_amount, CENT)
			self._cumulate(number, tax)
		if self.discounted:
			self.difference = flt(self.before_discount - doc.discount_amount - self.taxes[-1].total, CENT)
		else:
			self.before_discount = self.taxes[-1].total

	def _inclusive_difference(self):
		"""Cents that rounding put between the prices the customer sees and the sum of net and taxes."""
		if not any(cint(t.included_in_print_rate) for t in self.taxes):
			return
		extra = sum(t.tax_amount_after_discount_amount for t in self.taxes if not t.included_in_print_rate)
		difference = self.doc.total + extra - flt(self.taxes[-1].total, CENT)
		if self.discounted and self.doc.discount_amount:
			difference -= flt(self.doc.discount_amount)
		difference = flt(difference, CENT)
		self.difference = difference if difference and abs(difference) <= 0.05 else 0.0

	def _grand_total(self):
		doc = self.doc
		if self.taxes:
			doc.grand_total = flt(self.taxes[-1].total) + self.difference
			doc.total_taxes_and_charges = flt(doc.grand_total - doc.net_total - self.difference, CENT)
		else:
			doc.grand_total, doc.total_taxes_and_charges = flt(doc.net_total), 0.0
		self._base(doc, "total_taxes_and_charges")
		if doc.total_taxes_and_charges:
			doc.base_grand_total = flt(doc.grand_total * flt(doc.conversion_rate), CENT)
		else:
			doc.base_grand_total = doc.base_net_total
		doc.round_floats_in(doc, ["grand_total", "base_grand_total"])
		self._round()

	def _round(self):
		doc = self.doc
		if self.consolidated and doc.rounding_adjustment:
			return
		if doc.is_rounded_total_disabled():
			for field in (
				"rounded_total",
				"base_rounded_total",
				"rounding_adjustment",
				"base_rounding_adjustment",
			):
				doc.set(field, 0.0)
			return
		doc.rounded_total = round_based_on_smallest_currency_fraction(doc.grand_total, doc.currency, CENT)
		doc.rounding_adjustment = flt(doc.rounded_total - doc.grand_total, CENT)
		self._base(doc, "rounding_adjustment", "rounded_total")

	# Document discount -------------------------------------------------------------------------------

	def _discount(self):
		doc = self.doc
		if doc.additional_discount_percentage:
			of = doc.get(frappe.scrub(doc.apply_discount_on))
			doc.discount_amount = flt(flt(of) * doc.additional_discount_percentage / 100, CENT)
		discount = flt(doc.discount_amount)
		if (doc.grand_total >= 0 and discount > doc.grand_total) or (
			doc.grand_total < 0 and discount < doc.grand_total
		):
			frappe.throw(
				_(
					"Additional Discount Amount ({0}) cannot exceed the total before such discount ({1})"
				).format(discount, doc.grand_total),
				title=_("Invalid Discount Amount"),
			)
		if not discount:
			doc.base_discount_amount = 0.0
			return
		if not doc.apply_discount_on:
			frappe.throw(_("Please select Apply Discount On"))
		if doc.is_cash_or_non_trade_discount:
			frappe.exceptions.refuse("cash or non trade discounts")
		doc.base_discount_amount = flt(discount * flt(doc.conversion_rate), CENT)
		over = self._discounted_total()
		if not over:
			return
		exact = rounded_sum = 0.0
		for item in self.items:
			share = discount * item.net_amount / over
			exact += item.net_amount - share
			item.net_amount = flt(item.net_amount - share, CENT)
			item.distributed_discount_amount = flt(share, CENT)
			rounded_sum += item.net_amount
			if rest := flt(exact - rounded_sum, CENT):
				item.net_amount = flt(item.net_amount + rest, CENT)
				item.distributed_discount_amount = flt(share + rest, CENT)
				rounded_sum += rest
			item.net_rate = flt(item.net_amount / item.qty, CENT) if item.qty else 0.0
			self._base(item, "net_rate", "net_amount")
		self.discounted = True
		self._pass()

	def _discounted_total(self):
		"""What the discount is spread over: the net total, or the grand total without fixed charges."""
		doc = self.doc
		if doc.apply_discount_on == "Net Total" or not self.taxes:
			return doc.net_total
		fixed, running = {}, 0.0
		for tax in self.taxes:
			if tax.charge_type in ("Actual", "On Item Quantity"):
				amount = tax.tax_amount
			elif tax.row_id and int(tax.row_id) in fixed:
				of_amount = tax.charge_type == "On Previous Row Amount"
				amount = fixed[int(tax.row_id)][0 if of_amount else 1] * tax.rate / 100
			else:
				continue
			running += amount
			fixed[int(tax.idx)] = (amount, running)
		before = doc.grand_total if self.before_discount is None else self.before_discount
		return before - running

	# Payments ----------------------------------------------------------------------------------------

	def _payments(self):
		doc = self.doc
		if doc.docstatus.is_cancelled():
			return
		total = doc.rounded_total or doc.grand_total
		base_total = doc.base_rounded_total or doc.base_grand_total
		if doc.is_pos:
			for row in doc.payments:
				row.base_amount = flt(row.amount) * flt(doc.conversion_rate)
			doc.paid_amount = flt(sum(flt(p.amount) for p in doc.payments), CENT)
			doc.base_paid_amount = flt(sum(flt(p.base_amount) for p in doc.payments), CENT)
		elif doc.doctype == "Sales Invoice":
			if not doc.is_return:
				doc.set("payments", [])
			doc.paid_amount = doc.base_paid_amount = 0.0
		cash = any(p.type == "Cash" or _mode_type(p.mode_of_payment) == "Cash" for p in doc.payments)
		doc.change_amount = doc.base_change_amount = 0.0
		if doc.paid_amount > total and not doc.is_return and (cash or doc.doctype == "POS Invoice"):
			doc.change_amount = flt(doc.paid_amount - total, CENT)
			doc.base_change_amount = flt(doc.base_paid_amount - base_total, CENT)
		if doc.doctype == "POS Invoice":
			# ERPNext keeps none of a POS Invoice.
			return
		if doc.is_return and doc.return_against and not doc.update_outstanding_for_self and not doc.is_pos:
			doc.outstanding_amount = 0.0
			return
		self._base(doc, "write_off_amount")
		same = doc.party_account_currency in (None, "", doc.currency)
		if same:
			due = flt(total - flt(doc.total_advance) - flt(doc.write_off_amount), CENT)
		else:
			due = flt(flt(base_total, CENT) - flt(doc.total_advance) - flt(doc.base_write_off_amount), CENT)
		paid, change = (
			(doc.paid_amount, doc.change_amount) if same else (doc.base_paid_amount, doc.base_change_amount)
		)
		doc.outstanding_amount = flt(due - flt(paid) + flt(change), CENT)


def _mode_type(mode):
	return frappe.get_cached_value("Mode of Payment", mode, "type") if mode else None
