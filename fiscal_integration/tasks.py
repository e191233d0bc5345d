"""Scheduler entry points (hooks.py)."""

from collections.abc import Callable

import frappe

from fiscal_integration import alerts, cancellation, dispatch, drain, files, mail, webhooks


def sweep():
	"""Every minute: queue what is due, apply webhooks that were not, begin the end-of-day batch at its time, keep XML files,
	send documents to customers."""
	each(webhooks.sweep, drain.end_of_day, drain.sweep, cancellation.sweep, files.sweep, mail.sweep)


def alert():
	"""Every hour: tell people of what needs them, and of certificates and documents that run out; mend what invoices show."""
	each(
		drain.repair_projections,
		alerts.dead_letters,
		alerts.unsent_mails,
		alerts.expiries,
		alerts.supplies,
		alerts.outages,
		alerts.archives,
	)


def each(*tasks: Callable):
	"""Run the tasks one after another. One that raises is logged and does not keep the others from running."""
	for task in tasks:
		try:
			task()
		except Exception as error:
			frappe.db.rollback()
			dispatch.log("Scheduled task failed", f"{task.__module__}.{task.__qualname__}", error)
