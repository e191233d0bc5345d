"""Scheduler entry points (hooks.py)."""

from fiscal_integration import alerts, cancellation, drain, files, webhooks


def sweep():
	"""Every minute: queue what is due, apply webhooks that were not, begin the end-of-day batch at its time, keep XML files."""
	webhooks.sweep()
	drain.end_of_day()
	drain.sweep()
	cancellation.sweep()
	files.sweep()


def alert():
	"""Every hour: tell people of what needs them, and of certificates and documents that run out; mend what invoices show."""
	drain.repair_projections()
	alerts.dead_letters()
	alerts.expiries()
	alerts.supplies()
	alerts.outages()
	alerts.archives()
