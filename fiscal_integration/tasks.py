"""Scheduler entry points (hooks.py)."""

from fiscal_integration import dispatch


def sweep():
	"""Every minute: queue what is due."""
	dispatch.sweep()
