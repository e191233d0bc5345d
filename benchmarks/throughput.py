"""How fast one worker empties a bulk, against what the connection allows; on a bench.

	cd BENCH/sites && ../env/bin/python PATH/benchmarks/throughput.py SITE [--documents 1000]

The ceiling is `concurrent / latency`: that many requests in the air, each answered by the sandbox after that
time. Copies one submitted sample invoice with SQL as often as asked, queues all copies as one bulk, and lets a
real RQ worker of its own drain them. A live sale is made in the middle. `--issued` puts that many issued rows
beside them first and shows how the sweep's queries find what is due. Takes its copies away afterwards.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request

import frappe

MARK = "THROUGHPUT-"
CHILDREN = {
	"POS Invoice Item": "POS Invoice",
	"Sales Invoice Payment": "POS Invoice",
	"Sales Taxes and Charges": "POS Invoice",
}


def main():
	parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
	parser.add_argument("site")
	parser.add_argument("--documents", type=int, default=1000)
	parser.add_argument("--latency", type=float, default=0.2, help="seconds for which the provider thinks")
	parser.add_argument("--concurrent", type=int, default=5)
	parser.add_argument("--issued", type=int, default=0, help="issued rows beside them")
	options = parser.parse_args()
	frappe.init(site=options.site)
	frappe.connect()
	frappe.set_user("Administrator")
	sandbox = subprocess.Popen(
		[sys.executable, "-m", "fiscal_integration.sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True
	)
	worker = None
	try:
		port = next(line.split(":")[-1].strip(" /\n") for line in sandbox.stdout if "What was issued" in line)
		template = prepare(port, options)
		clean_up()
		if options.issued:
			copy(template, options.issued, "Issued")
			explain(options.issued)
		copy(template, options.documents, "Rejected")
		worker = start_worker()
		run(port, worker, options)
	finally:
		frappe.db.rollback()
		for process in (worker, sandbox):
			if process:
				process.terminate()
		clean_up()
		frappe.db.set_single_value("Fiscal Integration Settings", "enabled", 0)
		frappe.db.commit()
		frappe.destroy()


def prepare(port, options):
	"""The sandbox as connection; one submitted invoice to copy."""
	from fiscal_integration import dispatch, sample

	sample.set_up_site()
	sample.open_till()
	sample.connect(
		f"http://127.0.0.1:{port}/facturapi/v2",
		"sk_test_SandboxWithoutValidity00",
		max_concurrent=options.concurrent,
	)
	control(port, "options/facturapi", {"latency": options.latency})
	doc = sample.invoice(items=[("CAFE-500", 1, 145.0)] * 3)
	frappe.db.commit()
	return dispatch.find(doc.doctype, doc.name)


def control(port, path, body=None):
	data = json.dumps(body).encode() if body is not None else None
	with urllib.request.urlopen(f"http://127.0.0.1:{port}/_control/{path}", data, timeout=30) as answer:
		return json.loads(answer.read())


def copy(template, number, status):
	"""`number` copies of the template's invoice and Fiscal Document, by SQL, with the rows in `status`."""
	tag = f"{MARK}{status}-"

	def insert(doctype, where, changes):
		columns = frappe.db.get_table_columns(doctype)
		values = [changes.get(column, f"source.`{column}`") for column in columns]
		frappe.db.sql(
			f"insert into `tab{doctype}` ({', '.join(f'`{column}`' for column in columns)}) "
			f"select {', '.join(values)} from `tab{doctype}` source, seq_1_to_{number} where {where}"
		)

	invoice = f"concat('{tag}', seq)"
	original = frappe.db.escape(template.reference_name)
	insert(
		"POS Invoice",
		f"source.name = {original}",
		{"name": invoice, "fiscal_document": f"concat('{tag}D', seq)"},
	)
	for child in CHILDREN:
		insert(
			child,
			f"source.parent = {original}",
			{"name": f"concat('{tag}', source.name, '-', seq)", "parent": invoice},
		)
	insert(
		"Fiscal Document",
		f"source.name = {frappe.db.escape(template.name)}",
		{
			"name": f"concat('{tag}D', seq)",
			"reference_name": invoice,
			"external_reference": f"concat('{tag}R', seq)",
			"idempotency_key": f"concat('{tag}K', seq)",
			"status": f"'{status}'",
			"error_class": "'Transient'",
			"next_attempt": "null",
			"projected": "1",
			"fiscal_id": f"concat('{tag}F', seq)" if status == "Issued" else "null",
		},
	)
	frappe.db.commit()


def clean_up():
	"""Take the copies away, with what was recorded of them."""
	frappe.db.delete("Integration Request", {"fiscal_document": ("like", f"{MARK}%")})
	for doctype, field in (
		("Fiscal Document Stamp", "parent"),
		*((child, "parent") for child in CHILDREN),
		("POS Invoice", "name"),
		("Fiscal Document", "name"),
	):
		frappe.db.delete(doctype, {field: ("like", f"{MARK}%")})
	frappe.db.commit()


def explain(issued):
	"""What the sweeps and the drain ask, as they ask it."""
	from unittest.mock import patch

	from fiscal_integration import cancellation, dispatch, drain, files, sample

	frappe.db.sql("analyze table `tabFiscal Document`")
	print(f"With {issued} issued rows, MariaDB finds what is due by:")
	for label, look in (
		("sweep", drain.sweep),
		("drain", lambda: drain._Drain(sample.COMPANY, 1)._due(8)),
		("device", lambda: dispatch._next_of("x")),
		("cancellation", cancellation.sweep),
		("xml", files.sweep),
	):
		asked, sql = [], frappe.db.sql

		def listening(query, *values, sql=sql, asked=asked, **options):
			asked.append((query, values[:1]))
			return sql(query, *values, **options)

		with patch.object(frappe.db, "sql", listening), patch.object(dispatch, "enqueue_job"):
			look()
		frappe.db.rollback()
		for query, values in asked:
			if not str(query).lower().startswith("select") or "`tabFiscal Document`" not in str(query):
				continue
			plans = frappe.db.sql(f"explain {query}", *values, as_dict=True)
			if all(plan.key in ("PRIMARY", None) and (plan.rows or 0) < 2 for plan in plans):
				# One row by its name, or none that could be.
				continue
			times = []
			for _ in range(7):
				start = time.perf_counter()
				frappe.db.sql(query, *values)
				times.append(1000 * (time.perf_counter() - start))
			plan = "; ".join(f"{plan.type} {plan.key}, {plan.rows} rows looked at" for plan in plans)
			print(f"  {label:<13}{plan}, {statistics.median(times):.1f} ms")


def start_worker():
	command = [
		sys.executable,
		"-m",
		"frappe.utils.bench_helper",
		"frappe",
		"worker",
		"--queue",
		"short,default,long",
	]
	return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def family(pid):
	"""The worker's process and its children: RQ forks for every job."""
	found = [pid]
	for entry in os.listdir("/proc"):
		if entry.isdigit():
			try:
				with open(f"/proc/{entry}/stat") as file:
					if int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
						found.append(int(entry))
			except (OSError, IndexError):
				continue
	return found


def rss(pid):
	"""Resident memory of one process in MB."""
	try:
		with open(f"/proc/{pid}/statm") as file:
			return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
	except OSError:
		return 0.0


def run(port, worker, options):
	from fiscal_integration import dispatch, drain, sample

	frappe.db.commit()
	start = time.perf_counter()
	batch = drain.queue_bulk({"name": ("like", f"{MARK}Rejected-%")})
	frappe.db.commit()
	print(f"{options.documents} documents queued in {time.perf_counter() - start:.2f} s")

	def issued():
		frappe.db.rollback()
		return frappe.db.count(dispatch.DOCTYPE, {"batch": batch, "status": "Issued"})

	while not issued():
		time.sleep(0.05)
	first, begun = issued(), time.perf_counter()
	memory, done, live = {}, first, None
	while done < options.documents:
		time.sleep(0.25)
		done = issued()
		for pid in family(worker.pid):
			memory.setdefault(pid, []).append(rss(pid))
		if live is None and done > options.documents / 2:
			live = sell_live(dispatch, sample)
		if time.perf_counter() - begun > 60 + 10 * options.documents * options.latency / options.concurrent:
			raise SystemExit(f"Only {done} were issued.")
	seconds = time.perf_counter() - begun
	rate, ceiling = (options.documents - first) / seconds, options.concurrent / options.latency
	print(
		f"{rate:.1f} documents a second by one worker, {100 * rate / ceiling:.0f} % of the ceiling of {ceiling:.0f}"
	)
	stats = control(port, "stats/facturapi")
	print(f"{stats['max_in_flight']} requests at once at most; {stats['issued']} documents in the ledger")
	print(f"a live sale in the middle was issued after {live:.2f} s")
	growth = [max(values) - values[min(3, len(values) - 1)] for values in memory.values()]
	peak = max(max(values) for values in memory.values())
	print(
		f"memory: {len(memory)} processes, {peak:.0f} MB at most, {max(growth):.0f} MB growth within one at most"
	)


def sell_live(dispatch, sample):
	"""Seconds from the sale's commit until it is issued."""
	doc = sample.invoice()
	frappe.db.commit()
	start = time.perf_counter()
	while True:
		frappe.db.rollback()
		row = dispatch.find(doc.doctype, doc.name)
		if row.status == "Issued":
			return time.perf_counter() - start
		if time.perf_counter() - start > 60:
			raise SystemExit(f"The live sale is {row.status} after a minute.")
		time.sleep(0.05)


if __name__ == "__main__":
	main()
