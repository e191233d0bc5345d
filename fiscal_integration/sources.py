"""The doctypes that have fiscal documents, and what is different about each. A new one is an entry here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from fiscal_integration import claims, global_invoices, mapping, payments


@dataclass(frozen=True)
class Source:
	"""How documents of one doctype become fiscal ones.

	`to_invoice` makes the fiscal.Invoice (see mapping.to_invoice), `kind_of` and `amount_of` (currency, total) tell
	of it beforehand, and `in_scope` whether there is to be one at all. `returnable`: what is wrong with an issued
	one is corrected by a return; else its fiscal document has to be cancelled. `repeats`: Auto Repeat and Subscription
	make them, once per period. `further` names the purposes of other fiscal documents that are made together with it,
	`lacking` those that it has come to need since it was submitted. `projected`: the ERPNext document shows the state
	of this one; `shown` is called with the Fiscal Document whenever that changes.
	"""

	to_invoice: Callable
	kind_of: Callable = mapping.kind_of
	amount_of: Callable = mapping.amount_of
	in_scope: Callable = lambda doc: True
	returnable: bool = False
	repeats: bool = False
	further: Callable = lambda doc: ()
	lacking: Callable = lambda doc: ()
	projected: bool = True
	shown: Callable | None = None


_SALE = Source(
	mapping.to_invoice,
	in_scope=mapping.is_sale,
	returnable=True,
	repeats=True,
	further=payments.purposes_at_the_till,
)
SOURCES = {
	**dict.fromkeys(mapping.SALES, _SALE),
	payments.DOCTYPE: Source(
		payments.to_invoice,
		payments.kind_of,
		payments.amount_of,
		payments.wants_document,
		lacking=payments.purposes_lacking,
	),
	claims.DOCTYPE: Source(global_invoices.to_invoice, shown=global_invoices.show_on_sales),
}


def of(doctype: str, purpose: str = mapping.ISSUE) -> Source:
	"""What is different about the fiscal documents that documents of `doctype` have for a `purpose`."""
	if purpose == mapping.ISSUE:
		return SOURCES[doctype]
	if doctype == payments.DOCTYPE:
		return replace(
			SOURCES[doctype], to_invoice=partial(payments.to_invoice, purpose=purpose), projected=False
		)
	return Source(
		partial(payments.till_to_invoice, purpose=purpose),
		payments.kind_of,
		partial(payments.till_amount, purpose=purpose),
		projected=False,
	)
