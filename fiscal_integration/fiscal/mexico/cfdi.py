"""What SAT asks of a CFDI 4.0, whoever stamps it: receiver and lines (authorities/mexico.md)."""

import re
from collections.abc import Callable

from fiscal_integration.fiscal.errors import Problem
from fiscal_integration.fiscal.invoice import Line, LineTax, Party, TaxCategory
from fiscal_integration.fiscal.mexico import catalogs, rfc
from fiscal_integration.fiscal.words import say


def check_receiver(receiver: Party, use: str) -> list[Problem]:
	"""What SAT would refuse of the receiver, with `use` as the CFDI use that will be told.

	See authorities/mexico.md#catalogues.
	"""
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
	if not re.fullmatch(r"\d{5}", receiver.postal_code):
		problems.append(
			Problem(
				"The customer's fiscal postal code is missing or not five digits. Enter it on the customer "
				"or on the primary address, as SAT has it.",
				code="postal_code",
				field="customer_address",
			)
		)
	if receiver.regime not in catalogs.REGIMES:
		problems.append(
			Problem(
				say(
					"The customer's tax regime {0} is not in SAT's catalogue. Enter the three "
					"digits of the Constancia de Situación Fiscal on the customer.",
					receiver.regime or "(none)",
				),
				code="tax_system",
				field="fiscal_tax_regime",
			)
		)
	if use not in catalogs.USES:
		problems.append(
			Problem(
				say("CFDI use {0} is not in SAT's catalogue.", use),
				code="use",
				field="fiscal_document_use",
			)
		)
	elif receiver.regime in catalogs.REGIMES and receiver.regime not in catalogs.USES[use]:
		problems.append(
			Problem(
				say(
					"SAT does not allow CFDI use {0} for tax regime {1}. Choose another use on "
					"the customer, such as S01.",
					use,
					receiver.regime,
				),
				code="use",
				field="fiscal_document_use",
			)
		)
	return problems


def check_lines(
	lines: tuple[Line, ...], product_code: Callable[[Line], str], unit_code: Callable[[Line], str]
) -> list[Problem]:
	"""What SAT would refuse of the lines; the two functions give the codes that will be told."""
	problems = []
	if not lines:
		problems.append(Problem("The invoice has no items.", field="items"))
	for line in lines:
		where = say("Row {0} ({1})", line.row, line.description[:40])
		if not re.fullmatch(r"\d{8}", product_code(line)):
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
	return problems


def is_foreign(party: Party) -> bool:
	return bool(party.country) and party.country != "MX"


def is_walk_in(party: Party) -> bool:
	"""The general public: nobody named, or named by the RFC that means nobody (2.2, 2.6)."""
	return party.walk_in or party.tax_id == rfc.PUBLIC_GENERAL


def is_excise(tax: LineTax) -> bool:
	return tax.category is TaxCategory.EXCISE and not tax.withheld


def legal_name(name: str) -> str:
	"""The name as SAT registers it: capitals, without the type of company (1.3)."""
	name = re.sub(r"\s+", " ", name).strip().upper()
	return re.sub(catalogs.CORPORATE_SUFFIX, "", name).strip() or name
