"""Everything that can break does, while hundreds of sales are issued; then the provider's ledger and our
records have to agree: one document per invoice, none lost, none twice, every failure in front of a person.

	python -m chaos [--sales 200] [--workers 3] [--seed N]                 on an embedded site of its own
	python -m chaos --bench BENCH --site SITE [--sales 1000]               on a bench, with its Python

The seed makes the same orders of faults and kills, not the same interleaving.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from chaos.grounds import ROOT, Bench, Embedded, Ground

BUSINESS = "Papelería del Centro SA de CV"
PROVIDERS = ("facturapi", "conteo")
STORM_END_SECONDS = 20
ROUND_SECONDS = 25
ROUNDS = 40
CALM_AFTER_ROUND = 6
WARP_SECONDS = 2 * 3600
LATENCY = 0.15

FAULTS = (
	("lost_after_commit", {}),
	("lost_before_commit", {}),
	("status", {"status": 500}),
	("status", {"status": 503}),
	("status_after_commit", {"status": 502}),
	("status", {"status": 429, "retry_after": 1}),
	("malformed", {}),
	("malformed_before_commit", {}),
	("empty", {}),
	("no_uuid", {}),
	("slow", {"delay": 1.5}),
	("pending", {"after": 600}),
	("pending", {"after": 600, "outcome": "failed"}),
	("wrong_total", {}),
)


def main(arguments=None):
	options = parse(arguments)
	ground = Bench(options.bench, options.site) if options.bench else None
	if options.embedded or not options.bench:
		import embedded

		if not embedded.ACTIVE:
			sys.exit("A real Frappe is installed here: name the bench with --bench and --site.")
	if options.sell:
		ground = ground or Embedded(options.embedded)
		return sell(ground, options.sell, options.seed)
	with tempfile.TemporaryDirectory() as folder:
		ground = ground or Embedded.create(Path(folder))
		report = Chaos(ground, options.sales, options.workers, options.sellers, options.seed).run()
	print_report(report)
	return 1 if report["wrong"] else 0


def parse(arguments):
	parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__.split("\n\n")[0])
	parser.add_argument("--sales", type=int, default=200)
	parser.add_argument("--workers", type=int, default=3)
	parser.add_argument("--sellers", type=int, default=2)
	parser.add_argument("--seed", type=int, default=int(time.time()))
	parser.add_argument("--bench", help="path of a bench")
	parser.add_argument("--site", help="a site of that bench, made for trying")
	parser.add_argument("--embedded", help=argparse.SUPPRESS)
	parser.add_argument("--sell", type=int, help=argparse.SUPPRESS)
	options = parser.parse_args(arguments)
	if options.bench and not options.site:
		parser.error("--bench needs --site")
	return options


# -- a till ----------------------------------------------------------------------------------------------


def sell(ground: Ground, number: int, seed: int):
	"""Make `number` sales of all kinds, as a till does: what fails is rung up again."""
	ground.connect()
	import frappe

	from fiscal_integration import sample

	dice = random.Random(seed)
	made = 0
	while made < number:
		kind = dice.random()
		values = {}
		if kind < 0.3:
			values = {"shop": sample.PANAMA}
		elif kind < 0.45:
			values = {"doctype": "Sales Invoice", "customer": BUSINESS, "paid": False}
		elif kind < 0.6:
			values = {"doctype": "Sales Invoice", "customer": BUSINESS}
		items = [(dice.choice(("CAFE-500", "AGUA-1L")), dice.randint(1, 5), dice.randint(100, 99999) / 100)]
		try:
			doc = sample.invoice(items=items, **values)
			frappe.db.commit()
			made += 1
			if dice.random() < 0.04:
				with suppress(frappe.ValidationError):
					doc.reload()
					doc.cancel()
				frappe.db.commit()
		except Exception as error:
			print(f"till: {type(error).__name__}", file=sys.stderr)
			with suppress(Exception):
				frappe.destroy()
			time.sleep(0.2)
			ground.connect()
	frappe.destroy()


# -- the storm -------------------------------------------------------------------------------------------


class Chaos:
	def __init__(self, ground: Ground, sales: int, workers: int, sellers: int, seed: int):
		self.ground, self.sales, self.seed = ground, sales, seed
		self.dice = random.Random(seed)
		self.worker_count, self.seller_count = workers, sellers
		self.workers: list[subprocess.Popen] = []
		self.done = Counter()

	def run(self) -> dict:
		begun = time.monotonic()
		self.ground.connect()
		import frappe

		from fiscal_integration.sandbox import Sandbox

		self.frappe = frappe
		with Sandbox() as self.sandbox:
			self.prepare()
			started_at = frappe.utils.now_datetime()
			try:
				self.storm()
				self.calm()
			finally:
				for worker in self.workers:
					self.ground.kill(worker)
			report = self.judge(started_at)
		report["seconds"] = time.monotonic() - begun
		frappe.destroy()
		return report

	def prepare(self):
		"""Two companies on two providers; nothing else is due on this site."""
		from fiscal_integration import circuit, connection, sample
		from fiscal_integration.testing import FiscalTestCase

		sample.set_up_panama()
		sample.open_till()
		sample.open_till(shop=sample.PANAMA)
		FiscalTestCase.set_others_aside()
		sample.connect(self.sandbox.url("facturapi"), self.sandbox.secret_key("facturapi"))
		sample.connect_account(
			sample.PANAMA, "conteo", self.sandbox.url("conteo"), self.sandbox.secret_key("conteo")
		)
		for record in connection.enabled_records():
			circuit.succeeded(circuit.source_of(record))
		self.frappe.db.commit()
		for provider in PROVIDERS:
			# So that a kill finds requests in the air.
			self.sandbox.set_option(provider, latency=LATENCY)

	def storm(self):
		"""Sell, send, and break things until the tills are done and a while longer."""
		share = self.sales // self.seller_count
		counts = [share] * (self.seller_count - 1) + [self.sales - share * (self.seller_count - 1)]
		sellers = [
			subprocess.Popen(
				[
					sys.executable,
					"-m",
					"chaos",
					*self.ground.sell_command(),
					"--sell",
					str(count),
					"--seed",
					str(self.seed + index),
				],
				cwd=ROOT,
				env=self.ground.environment(),
				stderr=subprocess.DEVNULL,
			)
			for index, count in enumerate(counts)
		]
		self.man_the_workers()
		end = None
		while end is None or time.monotonic() < end:
			if end is None and all(seller.poll() is not None for seller in sellers):
				end = time.monotonic() + STORM_END_SECONDS * min(1, self.sales / 200)
			for _blow in range(self.dice.randint(1, 4)):
				self.harm()
			self.sweep()
			time.sleep(self.dice.uniform(*self.ground.pause))
		if any(seller.returncode for seller in sellers):
			raise SystemExit("A till gave up.")
		self.sandbox.resume()

	def harm(self):
		"""One thing that goes wrong."""
		roll = self.dice.random()
		if roll < 0.75:
			kind, options = self.dice.choice(FAULTS)
			operation = self.dice.choice(("issue", "issue", "issue", "list", "get"))
			if kind.startswith("pending"):
				operation = "issue"
			provider = self.dice.choice(PROVIDERS)
			self.sandbox.fault(provider, kind, times=self.dice.randint(1, 4), operation=operation, **options)
			self.done[kind] += 1
		elif roll < 0.83 and self.workers:
			self.ground.kill(self.workers.pop(self.dice.randrange(len(self.workers))))
			self.done["worker killed"] += 1
		elif roll < 0.86:
			with suppress(Exception):
				self.ground.flush_redis()
			self.done["Redis flushed"] += 1
		elif roll < 0.9:
			with suppress(Exception):
				self.done["database dropped"] += bool(self.ground.drop_database())
		elif roll < 0.95:
			self.sandbox.refuse()
			self.done["provider unreachable"] += 1
		else:
			self.sandbox.resume()
		self.man_the_workers()

	def man_the_workers(self):
		self.workers = [worker for worker in self.workers if worker.poll() is None]
		while len(self.workers) < self.worker_count:
			self.workers.append(self.ground.start_worker())

	def sweep(self):
		from fiscal_integration import tasks

		try:
			self.frappe.db.rollback()
			tasks.sweep()
			self.frappe.db.commit()
		except Exception:
			with suppress(Exception):
				self.frappe.destroy()
			self.ground.connect()

	# -- afterwards --------------------------------------------------------------------------------------

	def calm(self):
		"""Let time pass, with faults for some rounds more, until nothing is open."""
		for number in range(ROUNDS):
			for worker in self.workers:
				self.ground.kill(worker)
			self.workers.clear()
			# What a killed worker had in the air has reached its end before anybody asks about it.
			time.sleep(2)
			if number >= CALM_AFTER_ROUND:
				for emulator in self.sandbox.emulators.values():
					emulator.faults.clear()
			self.warp()
			with suppress(Exception):
				self.ground.flush_redis()
			if not self.open_rows():
				return
			self.man_the_workers()
			end = time.monotonic() + ROUND_SECONDS
			while time.monotonic() < end and self.due_rows():
				self.sweep()
				time.sleep(0.3)

	def warp(self):
		"""As if WARP_SECONDS had passed: every wait that is stored gets shorter, the provider's clock goes on."""
		db = self.frappe.db
		db.rollback()
		due = tuple(self.lifecycle().DUE)
		for name, wait in self.rows_waiting(due):
			changes = {
				field: self.frappe.utils.add_to_date(value, seconds=-WARP_SECONDS)
				for field, value in wait.items()
				if value
			}
			db.set_value("Fiscal Document", name, changes, update_modified=False)
		db.commit()
		self.sandbox.advance(WARP_SECONDS)

	def rows_waiting(self, due):
		from fiscal_integration.due import by

		fields = ("next_attempt", "lease_until", "sent_at")
		for row in self.frappe.get_all(
			"Fiscal Document",
			{"status": ("in", due), "next_attempt": by(self.horizon())},
			["name", *fields],
		):
			yield row.name, {field: row[field] for field in fields}

	def horizon(self):
		"""Beyond it lies what other tests left, which was set aside for this one."""
		return self.frappe.utils.add_to_date(self.frappe.utils.now_datetime(), days=7)

	@staticmethod
	def lifecycle():
		from fiscal_integration.fiscal import lifecycle

		return lifecycle

	def open_rows(self) -> int:
		from fiscal_integration.due import by

		self.frappe.db.rollback()
		return self.frappe.db.count(
			"Fiscal Document",
			{"status": ("in", self.lifecycle().DUE), "next_attempt": by(self.horizon())},
		)

	def due_rows(self) -> int:
		from fiscal_integration.due import by

		self.frappe.db.rollback()
		return self.frappe.db.count(
			"Fiscal Document",
			{"status": ("in", self.lifecycle().DUE), "next_attempt": by()},
		)

	# -- the verdict -------------------------------------------------------------------------------------

	def judge(self, started_at) -> dict:
		from fiscal_integration import audit

		frappe, lifecycle = self.frappe, self.lifecycle()
		frappe.db.rollback()
		wrong = []
		issued = {}
		for provider in PROVIDERS:
			for entry in self.sandbox.ledger(provider):
				if entry["status"] == "valid":
					issued.setdefault(entry["external_id"], []).append(entry)
		invoices = [
			(doctype, row)
			for doctype in ("POS Invoice", "Sales Invoice")
			for row in frappe.get_all(
				doctype,
				{"creation": (">=", started_at), "docstatus": (">", 0)},
				["name", "docstatus", "grand_total"],
			)
		]
		states, known = Counter(), set()
		for doctype, invoice in invoices:
			rows = frappe.get_all(
				"Fiscal Document",
				{"reference_doctype": doctype, "reference_name": invoice.name},
				pluck="name",
			)
			if invoice.docstatus == 2 and not rows:
				states["cancelled before it was sent"] += 1
				continue
			if len(rows) != 1:
				wrong.append(f"{invoice.name} has {len(rows)} Fiscal Documents")
				continue
			row = frappe.get_doc("Fiscal Document", rows[0])
			states[row.status] += 1
			known.add(row.external_reference)
			wrong += [
				f"{invoice.name} ({row.status}): {text}"
				for text in self.faults_of(row, invoice, issued.get(row.external_reference, []), lifecycle)
			]
			wrong += [f"{invoice.name}: {text}" for text in chain_faults(row, audit)]
		for reference in set(issued) - known:
			wrong.append(f"{reference} was issued and belongs to no invoice of ours")
		requests = [request for provider in PROVIDERS for request in self.sandbox.requests(provider)]
		return {
			"ground": self.ground.name,
			"seed": self.seed,
			"invoices": len(invoices),
			"states": dict(states),
			"ledger": sum(len(entries) for entries in issued.values()),
			"twice": sum(len(entries) > 1 for entries in issued.values()),
			"requests": len(requests),
			"harm": dict(self.done),
			"wrong": wrong,
		}

	def faults_of(self, row, invoice, entries, lifecycle):
		if len(entries) > 1:
			yield f"issued {len(entries)} times"
		if row.status in lifecycle.DUE:
			yield "still open"
		elif row.status == lifecycle.ISSUED:
			if not entries:
				yield "not in the provider's ledger"
			elif entries[0]["uuid"] != row.fiscal_id:
				yield f"holds {row.fiscal_id}, the ledger {entries[0]['uuid']}"
			elif abs(float(entries[0]["total"]) - float(invoice.grand_total)) > 0.011:
				yield f"ledger {entries[0]['total']}, invoice {invoice.grand_total}"
		elif row.status == lifecycle.NEEDS_REVIEW:
			if not row.error_message:
				yield "in front of a person without a reason"
		elif entries:
			yield "in the provider's ledger all the same"
		if row.status in lifecycle.DEAD_LETTERS:
			if not row.error_message:
				yield "failed without a reason"
			if not self.frappe.get_all("Error Log", {"reference_name": row.reference_name}, limit=1):
				yield "failed without an Error Log"
		if invoice.docstatus == 2 and row.status != lifecycle.WITHDRAWN:
			yield "its invoice is cancelled"
		shown = self.frappe.db.get_value(row.reference_doctype, row.reference_name, "fiscal_status")
		if shown != row.status:
			yield f"its invoice shows {shown}"


def chain_faults(row, audit):
	"""What is wrong with the recorded exchanges of one document."""
	import frappe

	previous = ""
	requests = frappe.get_all(
		audit.REQUEST, {"fiscal_document": row.name}, pluck="name", order_by="fiscal_sequence asc"
	)
	for number, name in enumerate(requests, 1):
		request = frappe.get_doc(audit.REQUEST, name)
		if request.fiscal_sequence != number:
			yield f"exchange {number} is missing"
		if audit.digest(request, previous) != request.fiscal_hash:
			yield f"exchange {number} does not fit its hash"
		previous = request.fiscal_hash
	if len(requests) != (row.exchange_count or 0):
		yield f"{row.exchange_count} exchanges counted, {len(requests)} found"


def print_report(report):
	print(f"Chaos on the {report['ground']}, seed {report['seed']}, {report['seconds']:.0f} s")
	print(
		f"  {report['invoices']} invoices: "
		+ ", ".join(f"{n} {s}" for s, n in sorted(report["states"].items()))
	)
	print(
		f"  {report['requests']} requests, {report['ledger']} documents in the ledgers, {report['twice']} twice"
	)
	print("  harm: " + ", ".join(f"{n} {what}" for what, n in sorted(report["harm"].items())))
	for text in report["wrong"][:50]:
		print(f"  WRONG: {text}")
	print(
		"  Ledger and records agree."
		if not report["wrong"]
		else f"  {len(report['wrong'])} things are wrong."
	)
	if os.environ.get("CHAOS_REPORT"):
		Path(os.environ["CHAOS_REPORT"]).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
	sys.exit(main())
