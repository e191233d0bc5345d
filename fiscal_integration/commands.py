"""bench commands."""

import click


@click.command("fiscal-sandbox")
@click.option("--port", default=8770, show_default=True, help="Port on the loopback interface.")
@click.option("--state", default=None, help="File in which the sandbox keeps what it issued.")
def fiscal_sandbox(port, state):
	"""Serve local emulators of the fiscal providers, to train and to try."""
	from fiscal_integration.sandbox.__main__ import main

	main(["--port", str(port), *(["--state", state] if state else [])])


commands = [fiscal_sandbox]
