"""bench commands."""

import sys

import click
import frappe
from frappe.commands import get_site, pass_context


@click.command("fiscal-sandbox")
@click.option("--port", default=8770, show_default=True, help="Port on the loopback interface.")
@click.option("--state", default=None, help="File in which the sandbox keeps what it issued.")
def fiscal_sandbox(port, state):
	"""Serve local emulators of the fiscal providers, to train and to try."""
	from fiscal_integration.sandbox.__main__ import main

	main(["--port", str(port), *(["--state", state] if state else [])])


@click.command("fiscal-verify")
@click.option("--document", default=None, help="Only this Fiscal Document.")
@click.option("--from", "first", default=None, help="Only Fiscal Documents made from this day on.")
@click.option("--to", "last", default=None, help="Only Fiscal Documents made until this day.")
@click.option(
	"--write-heads", default=None, help="Write the heads of the chains to this file, to keep elsewhere."
)
@click.option("--against", default=None, help="Compare with heads that were written to this file before.")
@pass_context
def fiscal_verify(context, document, first, last, write_heads, against):
	"""Prove that the record of fiscal exchanges is as it was written. Exits with 1 when a chain is broken."""
	from fiscal_integration import proof

	frappe.init(get_site(context))
	frappe.connect()
	try:
		kept = proof.read_heads(against) if against else {}
		if document:
			verdicts, number = [proof.verify(document, kept.get(document))], 1
		else:
			filters = proof.period(first, last)
			verdicts, number = proof.verify_all(filters, kept), proof.count(filters)
		with click.progressbar(verdicts, length=number, label="Verifying", file=sys.stderr) as watched:
			broken = proof.tell(click.echo, watched, write_heads)
	finally:
		frappe.destroy()
	sys.exit(1 if broken else 0)


commands = [fiscal_sandbox, fiscal_verify]
