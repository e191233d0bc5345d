"""SAT's total of random Mexican invoices, against ours and against ERPNext's.

	python benchmarks/mexico_totals.py [--invoices 500] [--seed 13] [--site SITE]

Draws invoices as shops make them (prices with and without tax, excise, withheld taxes, the frontier's rate, discounts on
rows and on documents, three currencies, quantities of three decimals), lets ERPNext total them, maps and builds them, and
adds the request up by SAT's rule. Without --site it runs on an embedded site in a temporary folder; with it, in
BENCH/sites, on that site. Nothing is submitted or kept.

The sum here is written from SAT's validations, in whole millionths, and shares nothing with the app. PyPI's satcfdi judges
the invoices of which it makes the same rounding steps: it rounds each line to cents, so lines of whole cents with one line
for each tax.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MICRO = 10**6
CENT = 10**4


def main():
	parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
	parser.add_argument("--invoices", type=int, default=500)
	parser.add_argument("--seed", type=int, default=13)
	parser.add_argument("--site")
	parser.add_argument("--show", action="store_true", help="print each invoice that is a cent apart")
	options = parser.parse_args()
	with tempfile.TemporaryDirectory() as folder:
		open_site(options.site, folder)
		counts = measure(options.invoices, options.seed, options.show)
	report(counts, options.invoices)


def open_site(name, folder):
	if name:
		import frappe

		frappe.init(site=name)
		frappe.connect()
	else:
		import embedded

		path = embedded.site.create(Path(folder) / "benchmark.localhost")
		embedded.site.connect(path)
		import frappe
	frappe.set_user("Administrator")
	from fiscal_integration import sample

	sample.set_up_site()


def measure(number, seed, show=False) -> Counter:
	import frappe

	from fiscal_integration import mapping
	from fiscal_integration.fiscal.mexico import totals

	chance, counts = random.Random(seed), Counter()
	now = datetime.now(timezone.utc)
	one = provider()
	shaped = totals.shaped
	slowest = 0.0
	for index in range(number):
		doc = draw(chance)
		try:
			invoice = mapping.to_invoice(doc)
			problems = one.validate(invoice, now)
			start = time.perf_counter()
			payload = one.build(invoice, "ref", "key", now)
			slowest = max(slowest, time.perf_counter() - start)
			totals.shaped = lambda concepts, _target, decimals: (concepts, totals.total(concepts, decimals))
			plain = one.build(invoice, "ref", "key", now)
		finally:
			totals.shaped = shaped
			frappe.db.rollback()
		made = sat_total(json.loads(payload.body))
		wanted = to_micro(Decimal(str(doc.grand_total)))
		counts["stopped"] += bool(problems)
		counts["ours"] += made == to_micro(payload.expected.total)
		counts["erpnext"] += made == wanted
		counts["a cent"] += abs(made - wanted) == CENT
		counts["unshaped"] += sat_total(json.loads(plain.body)) == wanted
		counts.update(kinds_of(doc, json.loads(payload.body)))
		counts["told"] += made == wanted or bool(payload.remarks)
		judged = by_satcfdi(json.loads(payload.body))
		if judged is not None:
			counts["satcfdi"] += 1
			counts["satcfdi agrees"] += judged == payload.expected.total
		if show and (made != wanted or problems):
			print(index, doc.grand_total, made / MICRO, [str(problem) for problem in problems])
	counts["slowest"] = round(slowest * 1000)
	return counts


def kinds_of(doc, body) -> set[str]:
	"""What an invoice has, so that the report shows what was really drawn."""
	taxes = [tax for item in body["items"] for tax in item["product"]["taxes"]]
	found = {body["currency"], "inclusive" if doc.taxes[0].included_in_print_rate else "exclusive"}
	for name, has in (
		("IEPS", any(tax["type"] == "IEPS" for tax in taxes)),
		("withheld", any(tax["withholding"] for tax in taxes)),
		("8 %", any(tax["type"] == "IVA" and tax["rate"] == 0.08 for tax in taxes)),
		("0 %", any(tax["type"] == "IVA" and tax["rate"] == 0 for tax in taxes)),
		("row discount", any(row.discount_amount for row in doc.items)),
		("document discount", doc.discount_amount),
		("three decimals", any(row.qty % 1 for row in doc.items)),
	):
		if has:
			found.add(name)
	return {f"kind {name}" for name in found}


def provider():
	from fiscal_integration.providers.base import TEST, Connection
	from fiscal_integration.providers.facturapi import Facturapi

	parameters = {"issuing_postal_code": "44100"}
	return Facturapi(Connection("facturapi", TEST, "http://127.0.0.1:9", parameters), None)


def draw(chance):
	"""A draft of a random invoice, totalled by ERPNext."""
	from fiscal_integration import sample

	inclusive = int(chance.random() < 0.5)
	frontier = chance.random() < 0.15
	rate = 8 if frontier else 16
	taxes = []
	if chance.random() < 0.25:
		taxes.append(sample.tax_row("IEPS 8", chance.choice((8, 6, 26.5)), included_in_print_rate=inclusive))
	if taxes and chance.random() < 0.7:
		over = {"charge_type": "On Previous Row Total", "row_id": 1}
		taxes.append(sample.tax_row("IVA 16", rate, included_in_print_rate=inclusive, **over))
	else:
		taxes.append(sample.tax_row("IVA 16", rate, included_in_print_rate=inclusive))
	if chance.random() < 0.2:
		taxes.append(sample.tax_row("ISR Retenido", -chance.choice((10, 1.25))))
		if not inclusive and chance.random() < 0.5:
			taxes.append(sample.tax_row("IVA 0", -10.6667, description="IVA Retenido"))
	currency = chance.choices(("MXN", "USD", "EUR"), (8, 1, 1))[0]
	items = []
	for _row in range(chance.randint(1, 8)):
		code = chance.choice(("CAFE-500", "AGUA-1L", "SERV-INST", sample.BY_WEIGHT))
		quantity = chance.randint(1, 12)
		if code == sample.BY_WEIGHT:
			quantity = chance.randint(50, 9000) / 1000
		price = chance.randint(50, 90_000) / 100
		row = {"item_code": code, "qty": quantity, "rate": price, "price_list_rate": price}
		if chance.random() < 0.25:
			row["discount_percentage"] = chance.choice((5, 10, 12.5, 15, 33.333))
			row["rate"] = round(price * (1 - row["discount_percentage"] / 100), 2)
		if chance.random() < 0.15:
			row["item_tax_rate"] = json.dumps({sample.MEXICO.account("IVA 16"): 0})
			row["item_tax_template"] = sample.MEXICO.account(sample.MEXICO.untaxed)
		items.append(row)
	values = {}
	if chance.random() < 0.3:
		values["apply_discount_on"] = chance.choice(("Net Total", "Grand Total"))
		if chance.random() < 0.5:
			values["additional_discount_percentage"] = chance.choice((5, 10, 7.5))
		else:
			values["discount_amount"] = chance.randint(1, 45) / 100
	return sample.invoice(
		doctype="Sales Invoice",
		customer="Papelería del Centro SA de CV",
		items=items,
		taxes=taxes,
		currency=currency,
		conversion_rate=1 if currency == "MXN" else 18.2345,
		paid=False,
		submit=False,
		**values,
	)


# -- SAT's rule ------------------------------------------------------------------------------------------


def to_micro(value: Decimal) -> int:
	return int((value * MICRO).to_integral_value(ROUND_HALF_UP))


def cents(millionths: int) -> int:
	"""A sum of millionths rounded half up to whole cents."""
	whole, rest = divmod(millionths, CENT)
	return (whole + (rest * 2 >= CENT)) * CENT


def sat_total(body: dict) -> int:
	"""Total in millionths: SubTotal - Descuento + each transferred group - each withheld tax, all rounded."""
	exact = json.loads(json.dumps(body), parse_float=Decimal, parse_int=Decimal)
	subtotal = discounts = 0
	transferred, withheld = Counter(), Counter()
	for item in exact["items"]:
		amount = to_micro(item["product"]["price"] * item["quantity"])
		cut = to_micro(item.get("discount", Decimal(0)))
		subtotal, discounts = subtotal + amount, discounts + cut
		net = Decimal(amount - cut) / MICRO
		taxes = item["product"]["taxes"]
		below = sum(
			to_micro(net * tax["rate"]) for tax in taxes if tax.get("ieps_mode") == "sum_before_taxes"
		)
		for tax in taxes:
			if tax["factor"] == "Exento":
				continue
			over = net + Decimal(below) / MICRO if tax["type"] == "IVA" and not tax["withholding"] else net
			value = to_micro(over * tax["rate"])
			if tax["withholding"]:
				withheld[tax["type"]] += value
			else:
				transferred[tax["type"], tax["factor"], tax["rate"]] += value
	total = cents(subtotal) - cents(discounts)
	return total + sum(map(cents, transferred.values())) - sum(map(cents, withheld.values()))


def by_satcfdi(body: dict) -> Decimal | None:
	"""satcfdi's total; None where it is not installed, or rounds in other places than SAT's rule."""
	try:
		from satcfdi.create.cfd import cfdi40
	except ImportError:
		return None
	exact = json.loads(json.dumps(body), parse_float=Decimal, parse_int=Decimal)
	seen, concepts = Counter(), []
	for item in exact["items"]:
		amount, cut = item["product"]["price"] * item["quantity"], item.get("discount", Decimal(0))
		if amount != round(amount, 2) or cut != round(cut, 2):
			return None
		net, taxes = amount - cut, item["product"]["taxes"]
		below = sum(net * tax["rate"] for tax in taxes if tax.get("ieps_mode") == "sum_before_taxes")
		kinds = {"Traslados": [], "Retenciones": []}
		for tax in taxes:
			kind = "Retenciones" if tax["withholding"] else "Traslados"
			seen[(tax["type"], kind) if tax["withholding"] else (tax["type"], kind, tax["rate"])] += 1
			base = net + below if tax["type"] == "IVA" and not tax["withholding"] else net
			kinds[kind].append(
				{
					"Impuesto": {"IVA": "002", "IEPS": "003", "ISR": "001"}[tax["type"]],
					"TipoFactor": tax["factor"],
					"TasaOCuota": tax["rate"],
					"Base": base,
				}
			)
		concepts.append(
			{
				"ClaveProdServ": item["product"]["product_key"],
				"Cantidad": item["quantity"],
				"ClaveUnidad": item["product"]["unit_key"],
				"Descripcion": item["product"]["description"],
				"ValorUnitario": item["product"]["price"],
				"Descuento": cut or None,
				"Impuestos": {kind: entries for kind, entries in kinds.items() if entries},
			}
		)
	if any(number > 1 for number in seen.values()):
		return None
	receiver = cfdi40.Receptor("PCE950708QX2", "PAPELERIA DEL CENTRO", "44100", "601", "G03")
	issuer = cfdi40.Emisor("EKU9003173C9", "ABARROTES", "601")
	made = cfdi40.Comprobante(issuer, "44100", receiver, concepts, moneda=body["currency"])
	return Decimal(made["Total"])


def report(counts, number):
	print(f"{number} random invoices; each sum is SAT's, of the request that would be sent")
	for label, key in (
		("equal to the total that we expect", "ours"),
		("equal to ERPNext's grand total", "erpnext"),
		("the same with lines as they are, not shaped", "unshaped"),
		("a cent from ERPNext's", "a cent"),
		("apart without a word about it", "silent"),
		("stopped before they are sent", "stopped"),
	):
		value = number - counts["told"] if key == "silent" else counts[key]
		print(f"  {value:5d}  {label}")
	print(f"  {counts['satcfdi agrees']:5d}  of {counts['satcfdi']} that satcfdi can judge have its total")
	drawn = sorted((key[5:], value) for key, value in counts.items() if key.startswith("kind "))
	print("  of these: " + ", ".join(f"{name} {value}" for name, value in drawn))
	print(f"  slowest build: {counts['slowest']} ms")


if __name__ == "__main__":
	main()
