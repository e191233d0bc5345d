"""make demo: the main job from beginning to end, without a bench.

A fresh embedded site, a real RQ worker in a process of its own, and the provider sandbox over HTTP: the
settings are entered and pinged, half a dozen sales are submitted, and what became of each is printed.
"""

import argparse
import html
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import embedded

if not embedded.ACTIVE:
	sys.exit(
		"This demo runs on the embedded site, but a real Frappe is installed here. Use a plain virtualenv."
	)

import frappe

from fiscal_integration import api, dispatch, sample
from fiscal_integration.connection import SETTINGS, providers
from fiscal_integration.fiscal import lifecycle, qr
from fiscal_integration.sandbox import Sandbox

STATE = Path(__file__).resolve().parent / ".state" / "demo"
PROVIDERS = ("facturapi", "conteo", "facturafacil", "hka", "aludra", "fiskaly")
PATIENCE = 90


@dataclass(frozen=True)
class Cast:
	"""Who buys in a country's demo, and whom the local check stops there."""

	business: str
	person: str
	wrong: tuple[str, str] = ()
	abroad: dict | None = None


CASTS = {
	sample.MEXICO: Cast(
		"Papelería del Centro SA de CV",
		"María Fernanda Ruiz Ortega",
		("Sin Código Postal SA", "customer without postal code"),
		{"currency": "USD", "conversion_rate": 18.2345},
	),
	sample.PANAMA: Cast(
		"Distribuidora Chiriquí, S.A.",
		"Ana Lucía Batista",
		("RUC Equivocado, S.A.", "customer with a wrong RUC"),
		{},
	),
	# On credit and abroad nothing passes a cash register.
	sample.AUSTRIA: Cast(sample.WALK_IN, sample.WALK_IN),
}
SHOPS = {"facturapi": sample.MEXICO, "fiskaly": sample.AUSTRIA}


def say(text=""):
	print(text, flush=True)


def main():
	parser = argparse.ArgumentParser(prog="make demo", description=__doc__.split("\n")[0])
	parser.add_argument("--provider", choices=PROVIDERS, default=PROVIDERS[0])
	provider = parser.parse_args().provider
	shutil.rmtree(STATE, ignore_errors=True)
	STATE.mkdir(parents=True)
	clock = time.monotonic()

	say("Starting: Redis, a fresh site, the provider sandbox, a worker …")
	redis = embedded.redis.start()
	site = embedded.site.create(
		STATE / "demo.localhost", config={"redis_queue": redis.url, "redis_cache": redis.url}
	)
	embedded.site.connect(site)
	frappe.set_user("Administrator")
	from embedded import worker

	process = worker.start(site)
	try:
		with Sandbox() as sandbox:
			walk(sandbox, provider)
	finally:
		process.terminate()
		process.wait(10)
		frappe.destroy()
		redis.stop()
	say(
		f"\nDone in {time.monotonic() - clock:.0f} s. Everything above was a sandbox: no document has fiscal validity."
	)


def walk(sandbox, provider):
	shop = SHOPS.get(provider, sample.PANAMA)
	if shop is sample.MEXICO:
		sample.set_up_site()
	else:
		sample.set_up_shop(shop)
	sample.connect(
		sandbox.url(provider),
		sandbox.secret_key(provider),
		company=shop.company,
		provider=provider,
		parameters=sandbox.parameters(provider),
	)
	say(f"Entered the settings of {shop.company}: provider {provider}, environment Test.")
	if providers()[provider].capabilities.signs:
		sample.certify(shop)
		say("Initialized a certificate (P12), worth nothing outside of the sandbox.")
	ping(expect=True)
	if providers()[provider].capabilities.registers:
		set_up_register(shop)
	say("Submitting sales:")
	sold, stopped = submit(sandbox, provider, shop)
	follow(sold)
	table(sold, stopped)
	agree(sandbox, provider, sold)


def set_up_register(shop):
	"""The steps that the settings and the Fiscal Point of Sale offer, one after another."""
	till = frappe.get_doc(
		{"doctype": "Fiscal Point of Sale", "company": shop.company, "pos_profile": shop.profile}
	).insert()
	frappe.db.commit()
	record = {"doctype": SETTINGS, "name": SETTINGS}
	for label, step in (
		(
			"FinanzOnline",
			lambda: api.set_up_authority(**record, participant="12345678", user="kassa01", pin="geheim1"),
		),
		("Signature creation unit", lambda: api.set_up_unit(**record, legal_entity=shop.tax_id)),
		("Signature creation unit", lambda: api.set_up_unit(**record)),
		*((f"Cash register {shop.profile}", lambda: api.set_up_till(till.name)) for _step in range(3)),
	):
		answer = step()
		say(f"  {label:<24} {answer['state'] or answer['message']}")


def ping(expect):
	deadline = time.monotonic() + 15
	while True:
		answer = api.ping(SETTINGS, SETTINGS)
		# The worker needs a moment to show up; the scheduler is this script.
		warnings = [text for text in answer["warnings"] if "scheduler" not in text]
		if (answer["ok"] and not warnings) or time.monotonic() > deadline:
			break
		time.sleep(0.3)
	mark = "✓" if answer["ok"] else "✗"
	details = ", ".join(f"{label} {value}" for label, value in answer["details"])
	say(f"Ping Server: {mark} {answer['message']} ({details})")
	for text in warnings:
		say(f"  ! {text}")
	if answer["ok"] is not expect:
		sys.exit("The sandbox did not answer as it should.")


def submit(sandbox, provider, shop):
	"""The sales, each committed before the next, as tills do. Returns them and what the local check stopped."""
	sold, stopped, cast = [], [], CASTS[shop]

	def sell(label, fault=None, **values):
		doc = sample.invoice(submit=False, shop=shop, **values)
		if fault:
			sandbox.fault(provider, fault, match=doc.name)
		start = time.monotonic()
		doc.submit()
		frappe.db.commit()
		say(f"  {doc.name:<24} {label:<34} submitted in {1000 * (time.monotonic() - start):4.0f} ms")
		sold.append((label, doc))
		return doc

	sell("walk-in, cash")
	original = sell(
		"mixed tax: taxed and exempt rows",
		customer=cast.business,
		items=[("CAFE-500", 3, 145.0), ("LIBRO-01", 1, 320.0), ("AGUA-1L", 7, 18.5)],
	)
	sell(
		"prices with tax, cash and card",
		customer=cast.person,
		taxes="inclusive",
		paid=[("Cash", 100.0), ("Credit Card", 190.0)],
		items=[("CAFE-500", 2, 145.0)],
	)
	if cast.abroad is not None:
		sell(
			"foreign customer, on credit",
			doctype="Sales Invoice",
			paid=False,
			customer="Pacific Outfitters Inc",
			**cast.abroad,
			items=[("SERV-INST", 2, 49.99)],
		)
	sell(
		"its answer gets lost",
		fault="lost_after_commit",
		customer=cast.business,
		items=[("QUESO-KG", 1.355, 189.9)],
	)
	if provider != "conteo":
		start = time.monotonic()
		note = sample.credit_note(original)
		frappe.db.commit()
		took = 1000 * (time.monotonic() - start)
		say(f"  {note.name:<24} {'return of ' + original.name:<34} submitted in {took:4.0f} ms")
		sold.append((f"return of {original.name}", note))
	if not cast.wrong:
		return sold, stopped
	customer, label = cast.wrong
	try:
		sample.invoice(customer=customer, shop=shop, paid=False, doctype="Sales Invoice")
	except frappe.ValidationError as error:
		frappe.db.rollback()
		stopped.append((label, html.unescape(str(error))))
		say(f"  {'(not submitted)':<24} {'stopped by the local check':<34} nothing was sent")
	return sold, stopped


def follow(sold):
	"""Wait until every document has its end, with the scheduler's sweep in between, as on a site."""
	from frappe.utils.scheduler import run_scheduler_events

	say("\nWaiting for the worker:")
	last, deadline = "", time.monotonic() + PATIENCE
	while time.monotonic() < deadline:
		frappe.db.rollback()
		rows = [dispatch.find(doc.doctype, doc.name) for _, doc in sold]
		counts = {}
		for row in rows:
			counts[row.status] = counts.get(row.status, 0) + 1
		text = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
		if text != last:
			say(f"  {text}")
			last = text
		if all(row.status not in lifecycle.DUE for row in rows):
			return
		run_scheduler_events("* * * * *")
		time.sleep(1)
	say("  Not all of them came to an end in time; the table says where they stand.")


def table(sold, stopped):
	(STATE / "qr").mkdir()
	say(
		f"\n{'Invoice':<22} {'What':<32} {'Status':<9} {'Fiscal ID':<67} {'Total':>9} {'':<4} Attempts + lookups"
	)
	for label, doc in sold:
		row = dispatch.find(doc.doctype, doc.name)
		say(
			f"{doc.name:<22} {label[:31]:<32} {row.status:<9} {row.fiscal_id or '-':<67} "
			f"{row.total:>9.2f} {row.currency:<4} {row.attempts} + {row.checks or 0}"
		)
		if row.qr_value:
			(STATE / "qr" / f"{doc.name}.png").write_bytes(qr.png(row.qr_value))
	for label, reason in stopped:
		say(f"{'(draft)':<22} {label:<32} {'Stopped':<9} {reason}")
	requests = frappe.db.count("Integration Request", {"fiscal_provider": ("is", "set")})
	errors = frappe.db.count("Error Log")
	where = STATE.relative_to(Path.cwd()) if STATE.is_relative_to(Path.cwd()) else STATE
	say(f"\nQR codes   {where}/qr/*.png")
	first = next(doc for _, doc in sold)
	if "pdf" in api.fiscal_view(first.doctype, first.name)["downloads"]:
		api.fetch_file(first.doctype, first.name, "pdf")
		pdf = frappe.get_doc("File", {"attached_to_name": first.name})
		(STATE / pdf.file_name).write_bytes(pdf.get_content())
		say(f"Fiscal PDF {where}/{pdf.file_name}")
	say(
		f"Log        {requests} Integration Requests and {errors} Error Logs in {where}/demo.localhost/site.db"
	)


def agree(sandbox, provider, sold):
	"""What the provider really issued against what we show: the point of it all."""
	issued = [entry for entry in sandbox.ledger(provider) if entry["status"] == "valid"]
	ours = {dispatch.find(doc.doctype, doc.name).fiscal_id for _, doc in sold} - {None}
	theirs = {entry["uuid"] for entry in issued}
	if len(issued) != len(sold) or ours != theirs:
		say(
			f"\n✗ The ledger has {len(issued)} documents for {len(sold)} sales, {len(ours & theirs)} in common."
		)
		sys.exit(1)
	say(
		f"\n✓ The provider's ledger agrees: {len(issued)} sales, {len(issued)} documents, none lost and none twice."
	)


if __name__ == "__main__":
	main()
