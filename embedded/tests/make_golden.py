"""Golden totals from a real ERPNext: run inside a bench's sites folder, in its Python environment.

	python make_golden.py SITE > golden_totals.json

Nothing is saved on that site: invoices are calculated in memory for a company that exists only here.
"""

import json
import random
import sys
from unittest.mock import patch

HEAD = (
	"total net_total base_net_total total_taxes_and_charges base_total_taxes_and_charges grand_total "
	"base_grand_total rounded_total rounding_adjustment discount_amount base_discount_amount"
).split()
ITEM = "rate amount net_rate net_amount base_net_amount distributed_discount_amount discount_amount".split()
TAX = "tax_amount tax_amount_after_discount_amount total base_tax_amount_after_discount_amount".split()
KINDS = (
	"On Net Total",
	"On Net Total",
	"On Previous Row Amount",
	"On Previous Row Total",
	"On Item Quantity",
)


def cases(count=60):
	"""Invoices with nasty amounts: the same list every time."""
	dice = random.Random(15)
	for number in range(count):
		foreign, sign = dice.random() < 0.25, -1 if dice.random() < 0.2 else 1
		items = []
		for index in range(dice.randint(1, 5)):
			price = round(dice.uniform(0.05, 900), 2)
			row = {
				"item_code": f"I{dice.randint(0, index)}",
				"qty": sign * dice.choice([1, 2, 3, 0.333, 7, 12.5]),
			}
			row.update(price_list_rate=price, rate=price)
			if dice.random() < 0.3:
				row.update(rate=round(price * dice.uniform(0.5, 0.99), 2))
			if dice.random() < 0.3:
				row["item_tax_rate"] = json.dumps({"T1": dice.choice([0, 8, 5.5])})
			items.append(row)
		taxes = []
		for index in range(dice.randint(0, 3)):
			kind = "On Net Total" if index == 0 else dice.choice(KINDS)
			tax = {
				"charge_type": kind,
				"account_head": f"T{index + 1}",
				"rate": dice.choice([16, 8, 7, 19.5, 2]),
			}
			if kind.startswith("On Previous"):
				tax["row_id"] = str(dice.randint(1, index))
			if kind == "On Item Quantity":
				tax["rate"] = 0.37
			taxes.append(tax)
		if taxes and dice.random() < 0.5:
			for tax in taxes:
				tax["included_in_print_rate"] = 1
		if dice.random() < 0.25:
			taxes.append({"charge_type": "Actual", "account_head": "TA", "tax_amount": sign * 33.33})
		doc = {
			"currency": "EUR" if foreign else "USD",
			"conversion_rate": 1.08765 if foreign else 1,
			"is_return": int(sign < 0),
			"disable_rounded_total": int(dice.random() < 0.5),
			"apply_discount_on": dice.choice(["Grand Total", "Net Total"]),
			"items": items,
			"taxes": taxes,
		}
		if number % 3 == 0:
			if dice.random() < 0.5:
				doc["additional_discount_percentage"] = dice.choice([10, 3.3, 12.5])
			else:
				doc["discount_amount"] = sign * 0.04
		yield doc


def main(site):
	import erpnext.controllers.taxes_and_totals as totals
	import frappe

	frappe.init(site=site)
	frappe.connect()
	golden = []
	company = patch("erpnext.get_company_currency", lambda company: "USD")
	accounts = patch.object(totals, "get_round_off_applicable_accounts", lambda *args: None)
	templates = patch.object(totals.calculate_taxes_and_totals, "update_item_tax_map", lambda self: None)
	breakup = patch.object(totals.calculate_taxes_and_totals, "set_item_wise_tax_breakup", lambda self: None)
	advance = patch.object(totals.calculate_taxes_and_totals, "calculate_total_advance", lambda self: None)
	rate = patch.object(totals, "validate_conversion_rate", lambda *args: None)
	with company, accounts, templates, breakup, advance, rate:
		for case in cases():
			doc = frappe.new_doc("Sales Invoice")
			doc.update({"company": "X", **{k: v for k, v in case.items() if k not in ("items", "taxes")}})
			for row in case["items"]:
				doc.append("items", row)
			for row in case["taxes"]:
				doc.append("taxes", row)
			for row in doc.items + doc.taxes:
				row._fix_numeric_types()
			totals.calculate_taxes_and_totals(doc)
			golden.append({"doc": case, "expected": outcome(doc)})
	print(json.dumps(golden, separators=(",", ":")))


def outcome(doc):
	def pick(row, names):
		return {name: round(float(row.get(name) or 0), 6) for name in names}

	return {
		**pick(doc, HEAD),
		"items": [pick(row, ITEM) for row in doc.items],
		"taxes": [
			{**pick(row, TAX), "detail": json.loads(row.item_wise_tax_detail or "{}")} for row in doc.taxes
		],
	}


if __name__ == "__main__":
	main(sys.argv[1])
