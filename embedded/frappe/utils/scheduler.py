"""Scheduler state, and running what hooks.py schedules for an event."""

import frappe


def is_scheduler_inactive(verbose=True):
	return bool(frappe.local.conf.get("pause_scheduler")) or is_scheduler_disabled(verbose)


def is_scheduler_disabled(verbose=True):
	return not frappe.db.get_single_value("System Settings", "enable_scheduler") or bool(
		frappe.local.conf.get("disable_scheduler")
	)


def toggle_scheduler(enable):
	frappe.db.set_single_value("System Settings", "enable_scheduler", int(enable))


def enable_scheduler():
	toggle_scheduler(True)


def disable_scheduler():
	toggle_scheduler(False)


def scheduled_methods(event: str) -> list[str]:
	"""Methods of an event such as ``hourly`` or of one cron expression."""
	events = frappe.get_hooks("scheduler_events", {})
	return list(events.get(event) or events.get("cron", {}).get(event) or [])


def run_scheduler_events(event: str) -> list[str]:
	"""Run every method of an event now, each in its own transaction, as scheduled jobs do."""
	ran = []
	for method in scheduled_methods(event):
		try:
			frappe.get_attr(method)()
			frappe.db.commit()
		except Exception:
			frappe.db.rollback()
			frappe.log_error(f"{method} failed" if len(method) < 130 else "Scheduled job failed")
			frappe.db.commit()
		ran.append(method)
	return ran


def enqueue_events(site=None, events=None):
	"""Queue every scheduled method (there is no clock here that knows which are due)."""
	hooks = frappe.get_hooks("scheduler_events", {})
	names = [n for n in hooks if n != "cron"] + list(hooks.get("cron", {}))
	methods = [m for name in names if not events or name in events for m in scheduled_methods(name)]
	for method in methods:
		frappe.enqueue(
			method,
			queue="long" if "long" in method else "default",
			job_id=f"scheduled::{method}",
			deduplicate=True,
		)
	return methods
