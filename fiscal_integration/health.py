"""What would keep documents from going out although the provider answers; told by Ping."""

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import frappe
from frappe import _
from frappe.email.doctype.email_account.email_account import EmailAccount
from frappe.utils.background_jobs import get_workers
from frappe.utils.scheduler import is_scheduler_inactive

from fiscal_integration import connection, mail

CLOCK_TOLERANCE = 120
"""Seconds that this machine's clock may differ from the provider's before it is told."""


def warnings(exchanges=()) -> list[str]:
	"""One sentence per obstacle, each with its remedy."""
	found = []
	try:
		workers = get_workers()
	except Exception:
		found.append(
			_(
				"The queue (Redis) cannot be reached: invoices are kept, and sent once it runs again. Start Redis."
			)
		)
	else:
		listening = {queue for worker in workers for queue in worker.queue_names()}
		if not any(name.endswith("short") for name in listening):
			found.append(
				_("No worker serves the short queue: nothing is sent. Start the workers (bench worker).")
			)
	if is_scheduler_inactive():
		found.append(
			_(
				"The scheduler is off: what fails once is not tried again. "
				"Run bench --site {0} enable-scheduler, and look for pause_scheduler and maintenance_mode."
			).format(frappe.local.site)
		)
	if _mail_is_wanted() and not EmailAccount.find_default_outgoing():
		found.append(mail.no_account())
	difference = _clock_difference(exchanges)
	if difference is not None and abs(difference) > CLOCK_TOLERANCE:
		found.append(
			_(
				"This machine's clock is {0} seconds off the provider's: documents would carry a wrong time. "
				"Set the clock (NTP)."
			).format(round(difference))
		)
	return found


def _mail_is_wanted() -> bool:
	"""Whether alerts or documents are to be sent by e-mail."""
	settings = frappe.get_cached_doc(connection.SETTINGS)
	return bool(
		settings.alert_recipients
		or settings.notify_customers
		or frappe.db.exists(connection.ACCOUNT, {"enabled": 1, "notify_customers": 1})
		or frappe.db.exists("Customer", {"fiscal_notification": mail.ALWAYS})
	)


def _clock_difference(exchanges) -> float | None:
	"""Seconds that our clock is ahead of the Date header of the last answer; None when there is none."""
	for exchange in reversed(exchanges):
		date = {name.lower(): value for name, value in exchange.response_headers.items()}.get("date")
		if date:
			try:
				theirs = parsedate_to_datetime(date)
			except (TypeError, ValueError):
				return None
			ours = exchange.started_at or datetime.now(timezone.utc)
			return (ours - theirs).total_seconds() + exchange.duration
	return None
