"""What people do to a Fiscal Document: send it again, take over what the provider holds, ask, put it to review.

Each is kept in the document's record with who did it. None of it calls the provider: a job does, after the commit.
"""

import frappe
from frappe import _
from frappe.utils import escape_html, get_datetime, now_datetime

from fiscal_integration import audit, dispatch
from fiscal_integration.fiscal import lifecycle

AFRESH = {
	"status": lifecycle.QUEUED,
	"payload": None,
	"payload_hash": None,
	"attempts": 0,
	"checks": 0,
	"lease_until": None,
	"alerted_on": None,
	"projected": 0,
	"released": 1,
}
"""What a row is set to when a person sends it again: the same document and key, a new payload."""

REVIEW = "send to review"
REVIEW_CODE = "Review of "
"""The error code of a row that a person sent to review begins so, and ends with the state that it was in."""


def retry(name: str):
	"""Queue a rejected, failed or reviewed document again, with a new payload. The same document and key."""
	row = frappe.get_doc(dispatch.DOCTYPE, name, for_update=True)
	if row.status not in lifecycle.RETRYABLE_BY_PERSON:
		frappe.throw(_("This document is {0}: there is nothing to send again.").format(_(row.status)))
	if reviewed_from(row) in lifecycle.OPEN:
		frappe.throw(_("Nobody knows whether the provider issued it. Ask the Provider first."))
	row.move_to(lifecycle.QUEUED)
	audit.note_act(row, audit.RETRY, error=row.error_message)
	row.update({**AFRESH, "next_attempt": now_datetime()})
	row.store()
	dispatch.enqueue_after_commit(row.name)


def take_over(name: str):
	"""Accept the provider's document, which a person compared with the invoice and found to be this sale."""
	row = frappe.get_doc(dispatch.DOCTYPE, name, for_update=True)
	if row.status != lifecycle.NEEDS_REVIEW or not row.fiscal_id or reviewed_from(row):
		frappe.throw(_("There is no document of the provider here to take over."))
	if dispatch.owner_of(row.fiscal_id, row.name):
		frappe.throw(
			_("{0} belongs to {1} already.").format(row.fiscal_id, dispatch.owner_of(row.fiscal_id, row.name))
		)
	audit.log_failure(
		f"{row.reference_name}: taken over by {frappe.session.user}", row.error_message or "", document=row
	)
	audit.note_act(row, audit.TAKE_OVER, fiscal_id=row.fiscal_id, differences=row.error_message)
	row.move_to(lifecycle.ISSUED)
	dispatch.clear_error(row)
	row.next_attempt = now_datetime() if dispatch.keeps_xml(row) else None
	row.projected = 0
	row.store()
	dispatch.project_after_commit(row.name)


def ask_now(name: str):
	"""Ask the provider about a Pending or Unknown document without waiting for its time."""
	row = frappe.get_doc(dispatch.DOCTYPE, name, for_update=True)
	if reviewed_from(row) in lifecycle.OPEN:
		row.move_to(reviewed_from(row))
		row.error_code = None
		row.projected = 0
	if row.status not in (lifecycle.PENDING, lifecycle.UNKNOWN, lifecycle.QUEUED):
		frappe.throw(_("This document is {0}: there is nothing to ask.").format(_(row.status)))
	audit.note_act(row, audit.ASK, status=row.status)
	row.next_attempt = now_datetime()
	row.released = 1
	row.store()
	dispatch.enqueue_after_commit(row.name)


def send_to_review(name: str, reason: str):
	"""Put a document before a person, who decides what becomes of it, for a reason.

	The class of its error stays: what is believed of a later answer depends on it.
	"""
	row = frappe.get_doc(dispatch.DOCTYPE, name, for_update=True)
	if row.status not in lifecycle.REVIEWABLE_BY_PERSON:
		frappe.throw(_("This document is {0}: there is nothing to review.").format(_(row.status)))
	if row.lease_until and get_datetime(row.lease_until) > now_datetime():
		frappe.throw(_("The provider is being asked about it right now. Try again in a moment."))
	reason = reason.strip()
	if not reason:
		frappe.throw(_("Say why it is to be reviewed."))
	said = _("Sent to review by {0}: {1}").format(frappe.session.user, reason)
	row.error_code = f"{REVIEW_CODE}{row.status}"
	row.error_message = f"{said}\n{row.error_message}" if row.error_message else said
	audit.note_act(row, REVIEW, status=row.status, reason=reason)
	row.move_to(lifecycle.NEEDS_REVIEW)
	row.next_attempt = None
	row.projected = 0
	row.store()
	frappe.get_doc(row.reference_doctype, row.reference_name).add_comment("Comment", escape_html(said))
	dispatch.project_after_commit(row.name)


def reviewed_from(row) -> str | None:
	"""The state in which a person sent the row to review; None for a row that came there by itself, or is elsewhere."""
	code = row.error_code or ""
	if row.status != lifecycle.NEEDS_REVIEW or not code.startswith(REVIEW_CODE):
		return None
	return code.removeprefix(REVIEW_CODE)
