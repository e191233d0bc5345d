"""Tax regimes and CFDI uses: SAT's catalogues c_RegimenFiscal and c_UsoCFDI (authorities/mexico.md#catalogues)."""

from fiscal_integration.fiscal.errors import Problem
from fiscal_integration.fiscal.mexico import rfc
from fiscal_integration.fiscal.words import say

COMPANIES = frozenset("601 603 610 620 622 623 624 626".split())
PERSONS = frozenset("605 606 607 608 610 611 612 614 615 616 621 625 626".split())
IN_FORCE = COMPANIES | PERSONS
ENDED = frozenset("609 628 629 630".split())
"""In the catalogue, and not in force any more."""

_BUSINESS = frozenset("601 603 606 612 620 621 622 623 624 625 626".split())
_NATURAL = frozenset("605 606 607 608 611 612 614 615 625".split())
USES = {
	**{use: _BUSINESS for use in "G01 G03 I01 I02 I03 I04 I05 I06 I07 I08".split()},
	"G02": _BUSINESS | {"616"},
	**{use: _NATURAL for use in "D01 D02 D03 D04 D05 D06 D07 D08 D09 D10".split()},
	"S01": IN_FORCE,
	"CP01": IN_FORCE,
	"CN01": frozenset({"605"}),
}
"""The regimes of receivers by the use that is told."""
FOR_PERSONS = frozenset(use for use in USES if use.startswith("D")) | {"CN01"}


def check(regime: str, use: str, tax_id: str) -> list[Problem]:
	"""What SAT would refuse of a receiver's regime and of the use of the CFDI."""
	problems = []
	if regime in ENDED:
		problems.append(
			Problem(
				say(
					"The customer's tax regime {0} is not in force any more. Ask for a recent Constancia de "
					"Situación Fiscal, and enter its regime on the customer.",
					regime,
				),
				code="tax_system",
				field="fiscal_tax_regime",
			)
		)
	elif regime not in IN_FORCE:
		problems.append(
			Problem(
				say(
					"The customer's tax regime {0} is not in SAT's catalogue. Enter the three "
					"digits of the Constancia de Situación Fiscal on the customer.",
					regime or say("(none)"),
				),
				code="tax_system",
				field="fiscal_tax_regime",
			)
		)
	elif rfc.is_valid(tax_id) and regime not in (COMPANIES if rfc.is_company(tax_id) else PERSONS):
		problems.append(
			Problem(
				say(
					"{0} is the RFC of a company, and tax regime {1} is for natural persons only. Correct the "
					"regime, or the Tax ID, on the customer.",
					tax_id,
					regime,
				)
				if rfc.is_company(tax_id)
				else say(
					"{0} is the RFC of a natural person, and tax regime {1} is for companies only. Correct the "
					"regime, or the Tax ID, on the customer.",
					tax_id,
					regime,
				),
				code="tax_system",
				field="fiscal_tax_regime",
			)
		)
	if use not in USES:
		problems.append(
			Problem(
				say("CFDI use {0} is not in SAT's catalogue.", use),
				code="use",
				field="fiscal_document_use",
			)
		)
	elif regime in IN_FORCE and (regime not in USES[use] or (use in FOR_PERSONS and rfc.is_company(tax_id))):
		problems.append(
			Problem(
				say(
					"SAT does not allow CFDI use {0} for tax regime {1}. Choose another use on "
					"the customer, such as S01.",
					use,
					regime,
				),
				code="use",
				field="fiscal_document_use",
			)
		)
	return problems
