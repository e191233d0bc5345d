"""GET /invoices/{id}/payment-summary: what the next payment complement of an invoice has to tell."""

from decimal import Decimal

from fiscal_integration.sandbox.facturapi import catalogs
from fiscal_integration.sandbox.facturapi.entries import floats
from fiscal_integration.sandbox.facturapi.refusal import Refusal, refuse


def payment_summary(entry: dict, query: dict) -> dict:
	"""Installment, balance, and the taxes in proportion to the amount. Refuses more than what is due."""
	try:
		amount = Decimal(query.get("amount", [""])[0])
	except ArithmeticError:
		refuse("amount", "required", "amount es requerido", "query")
	if entry["status"] != "valid" or entry["payment_method"] != "PPD":
		raise Refusal(409, "conflict", "Solo un ingreso vigente con método PPD tiene pagos por registrar")
	due, total = Decimal(str(entry["amount_due"])), Decimal(str(entry["total"]))
	if not amount.is_finite() or amount <= 0:
		refuse("amount", "too_small", "amount debe ser mayor que 0", "query")
	if amount > due:
		refuse("amount", "amount_exceeds_related_document_balance", f"El saldo es {due}", "query")
	return floats(
		{
			"uuid": entry["uuid"],
			"folio_number": entry["folio_number"],
			"series": entry["series"],
			"installment": len(entry["received_payment_ids"]) + 1,
			"last_balance": due,
			"total": total,
			"currency": entry["currency"],
			"amount": amount,
			"taxes": [
				{
					"base": catalogs.rounded(Decimal(base) * amount / total, 6),
					"rate": Decimal(rate or 0),
					"type": kind,
					"factor": factor,
					"withholding": withheld,
				}
				for kind, factor, rate, withheld, base in entry["_bases"]
			],
		}
	)
