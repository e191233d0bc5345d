"""What SAT asks of a CFDI 4.0, whoever stamps it: receiver and lines (authorities/mexico.md)."""

import re
from collections.abc import Callable
from decimal import Decimal

from fiscal_integration.fiscal.errors import Problem
from fiscal_integration.fiscal.invoice import Line, LineTax, Party, TaxCategory
from fiscal_integration.fiscal.mexico import catalogs, rates, regimes, rfc
from fiscal_integration.fiscal.money import plain, quantize
from fiscal_integration.fiscal.words import say


def check_receiver(receiver: Party, use: str) -> list[Problem]:
	"""What SAT would refuse of the receiver, with `use` as the CFDI use that will be told."""
	problems = []
	if is_walk_in(receiver):
		return problems
	if is_foreign(receiver):
		if receiver.country not in catalogs.ALPHA_3:
			problems.append(
				Problem(say("{0} is not a country code.", receiver.country), field="customer_address")
			)
		if not receiver.postal_code:
			problems.append(Problem("The customer's address has no postal code.", field="customer_address"))
		return problems
	if not rfc.is_valid(receiver.tax_id):
		problems.append(
			Problem(
				say(
					"{0} is not an RFC: three or four letters, a date as yymmdd and three more "
					"characters. Correct the customer's Tax ID, or clear it for a sale to the "
					"general public.",
					receiver.tax_id,
				),
				code="rfc",
				field="tax_id",
			)
		)
	if not re.fullmatch(r"[0-9]{5}", receiver.postal_code):
		problems.append(
			Problem(
				"The customer's fiscal postal code is missing or not five digits. Enter it on the customer "
				"or on the primary address, as SAT has it.",
				code="postal_code",
				field="customer_address",
			)
		)
	return problems + regimes.check(receiver.regime, use, receiver.tax_id)


def check_lines(
	lines: tuple[Line, ...], product_code: Callable[[Line], str], unit_code: Callable[[Line], str]
) -> list[Problem]:
	"""What SAT would refuse of the lines; the two functions give the codes that will be told."""
	problems = []
	if not lines:
		problems.append(Problem("The invoice has no items.", field="items"))
	for line in lines:
		where = say("Row {0} ({1})", line.row, line.description[:40])
		if not re.fullmatch(r"[0-9]{8}", product_code(line)):
			problems.append(
				Problem(
					say(
						"{0}: product key {1} is not eight digits. Correct it on the item or its group.",
						where,
						line.product_code,
					),
					code="product_key",
					field="items",
				)
			)
		if not re.fullmatch(r"[A-Z0-9]{1,3}", unit_code(line)):
			problems.append(
				Problem(
					say(
						"{0}: unit key {1} has no SAT form, such as H87. Correct it on the unit of measure.",
						where,
						line.unit_code,
					),
					code="unit_key",
					field="items",
				)
			)
		if line.quantity <= 0:
			problems.append(Problem(say("{0}: the quantity has to be above zero.", where), field="items"))
		if line.unit_price < 0 or line.net < 0:
			problems.append(
				Problem(
					say(
						"{0}: a CFDI takes no negative price. Use a discount, or a return for "
						"what comes back.",
						where,
					),
					field="items",
				)
			)
		problems += [problem for tax in line.taxes for problem in _check_rate(tax, where)]
		problems += _check_twice(line.taxes, where)
	return problems


def _check_twice(taxes: tuple[LineTax, ...], where: str) -> list[Problem]:
	"""A tax that stands twice on a line: SAT takes it once."""
	problems, seen = [], {}
	for tax in taxes:
		if tax.category is TaxCategory.LOCAL:
			continue
		key = (tax.category, tax.rate, tax.withheld, tax.per_unit)
		if key in seen:
			problems.append(
				Problem(
					say(
						"{0}: the tax rows {1} and {2} tell the same tax with the same rate, which SAT takes once on a "
						"line. Remove one of them, or correct what its account is (Fiscal Tax Type).",
						where,
						seen[key],
						tax.name,
					),
					code="tax_twice",
					field="taxes",
				)
			)
		seen[key] = tax.name
	return problems


def _check_rate(tax: LineTax, where: str) -> list[Problem]:
	"""Whether c_TasaOCuota has the rate of a tax."""
	percent = plain(tax.rate * 100)
	if tax.category is TaxCategory.LOCAL:
		if tax.rate == quantize(tax.rate, Decimal("0.0001")):
			return []
		message = say(
			"{0}: a local tax has two decimals of a percent at most, and {1} % has more. Correct the rate in the tax "
			"row {2}.",
			where,
			percent,
			tax.name,
		)
	elif tax.per_unit:
		if tax.rate <= rates.LARGEST_QUOTA:
			return []
		message = say(
			"{0}: SAT knows no quota of excise (IEPS) above {1} for a unit. Correct the rate in the tax row {2}.",
			where,
			plain(rates.LARGEST_QUOTA),
			tax.name,
		)
	elif tax.category is TaxCategory.VAT and not tax.withheld:
		if tax.rate in rates.VAT:
			return []
		message = say(
			"{0}: SAT knows no VAT (IVA) of {1} %, only 0, 8 (frontier) and 16. Correct the rate in the tax row {2}, "
			"or in the item's tax template.",
			where,
			percent,
			tax.name,
		)
	elif tax.category is TaxCategory.EXCISE:
		if tax.rate in rates.EXCISE:
			return []
		message = say(
			"{0}: SAT knows no excise (IEPS) of {1} %, only {2}. Correct the rate in the tax row {3}, or enter a "
			"quota as On Item Quantity.",
			where,
			percent,
			", ".join(plain(rate * 100) for rate in sorted(rates.EXCISE)),
			tax.name,
		)
	else:
		lowest, highest = rates.VAT_WITHHELD if tax.category is TaxCategory.VAT else rates.INCOME_WITHHELD
		if tax.withheld and lowest <= tax.rate <= highest:
			return []
		if not tax.withheld:
			message = say(
				"{0}: income tax (ISR) can only be withheld. Correct the tax row {1}.", where, tax.name
			)
		else:
			message = say(
				"{0}: {1} % cannot be withheld, SAT allows {2} % at most. Correct the rate in the tax row {3}.",
				where,
				percent,
				plain(highest * Decimal(100)),
				tax.name,
			)
	return [Problem(message, code="tax_rate", field="taxes")]


def is_foreign(party: Party) -> bool:
	return bool(party.country) and party.country != "MX"


def is_walk_in(party: Party) -> bool:
	"""The general public: nobody named, or named by the RFC that means nobody."""
	return party.walk_in or party.tax_id == rfc.PUBLIC_GENERAL
