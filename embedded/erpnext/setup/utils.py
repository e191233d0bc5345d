"""Exchange rates: 1 for the same currency, else the last Currency Exchange row; none is fetched."""

import frappe
from frappe.utils import flt, nowdate


def get_exchange_rate(from_currency, to_currency, transaction_date=None, args=None):
	if not (from_currency and to_currency):
		return
	if from_currency == to_currency:
		return 1
	rows = frappe.get_all(
		"Currency Exchange",
		{
			"from_currency": from_currency,
			"to_currency": to_currency,
			"date": ("<=", transaction_date or nowdate()),
		},
		["exchange_rate"],
		order_by="date desc",
		limit=1,
	)
	return flt(rows[0].exchange_rate) if rows else 0.0
