"""What the integration adds to the submission of a POS Invoice: disabled and enabled in turn, on a bench.

	cd BENCH/sites && ../env/bin/python PATH/benchmarks/submit_overhead.py SITE [--pairs 60]

Measures `submit()` and the commit, as a till waits for them. The order within a pair alternates, so that a
drift of the machine falls on both. Leaves submitted sample invoices behind: use a site made for trying.
"""

import argparse
import statistics
import time

import frappe


def main():
	parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
	parser.add_argument("site")
	parser.add_argument("--pairs", type=int, default=60)
	parser.add_argument("--items", type=int, default=5, help="rows on each invoice")
	options = parser.parse_args()
	frappe.init(site=options.site)
	frappe.connect()
	frappe.set_user("Administrator")
	try:
		measure(options.pairs, options.items)
	finally:
		frappe.db.rollback()
		frappe.destroy()


def measure(pairs, items):
	from fiscal_integration import sample
	from fiscal_integration.connection import SETTINGS

	sample.set_up_site()
	sample.open_till()
	# Nothing is sent: a port that refuses, and no worker is needed to measure what the till waits for.
	sample.connect("http://127.0.0.1:9/v2", "sk_test_SandboxWithoutValidity00")

	def submit(enabled):
		frappe.db.set_single_value(SETTINGS, "enabled", enabled)
		frappe.clear_document_cache(SETTINGS, SETTINGS)
		doc = sample.invoice(
			items=[("CAFE-500", 1, 145.0)] * items, customer="Papelería del Centro SA de CV", submit=False
		)
		frappe.db.commit()
		start = time.perf_counter()
		doc.submit()
		frappe.db.commit()
		return 1000 * (time.perf_counter() - start)

	for enabled in (0, 1, 0, 1):
		submit(enabled)
	times = {0: [], 1: []}
	for pair in range(pairs):
		for enabled in ((0, 1), (1, 0))[pair % 2]:
			times[enabled].append(submit(enabled))
	frappe.db.set_single_value(SETTINGS, "enabled", 0)
	frappe.db.commit()

	off, on = statistics.median(times[0]), statistics.median(times[1])
	differences = [b - a for a, b in zip(times[0], times[1], strict=True)]
	print(f"{pairs} pairs, {items} rows each; milliseconds, median (quartiles)")
	for label, values in (("disabled", times[0]), ("enabled", times[1]), ("difference", differences)):
		first, middle, third = statistics.quantiles(values, n=4)
		print(f"  {label:<11}{middle:7.1f}  ({first:.1f} to {third:.1f})")
	print(f"  on the medians: {on - off:+.1f} ms, {100 * (on - off) / off:+.1f} %")


if __name__ == "__main__":
	main()
