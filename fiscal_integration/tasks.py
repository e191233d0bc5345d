"""Scheduler entry points (hooks.py)."""

from fiscal_integration import alerts, drain, webhooks


def sweep():
	"""Every minute: queue what is due, apply webhooks that were not, begin the end-of-day batch at its time."""
	webhooks.sweep()
	drain.end_of_day()
	drain.sweep()


def alert():
	"""Every hour: tell people of what needs them, and of certificates that end; mend what invoices show."""
	drain.repair_projections()
	alerts.dead_letters()
	alerts.expiries()
