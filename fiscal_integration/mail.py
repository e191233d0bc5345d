"""The fiscal PDF and XML of an issued document by e-mail, from ERPNext, to the customer: on request, or by itself
where the company's settings or the customer's record say so.

What goes by itself goes once. A Fiscal Document that is issued gets a `notify_at`; a job fetches its files, and puts
the mail into Frappe's queue in the transaction that sets `notified_at`. No document ever waits for any of it.
"""

import time

import frappe
from frappe import _
from frappe.utils import add_to_date, escape_html, get_datetime, now_datetime

from fiscal_integration import alerts, audit, connection, dispatch, due, files, mapping
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import MappingError


def no_account() -> str:
	"""What keeps every mail from going out where Frappe has no account to send from, and the remedy."""
	return _(
		"This site has no outgoing e-mail account, so no e-mail leaves it. Open Email Account, enter the mail server "
		"and tick Enable Outgoing and Default Outgoing."
	)


def offered(row) -> bool:
	"""Whether there is something to send: the document is valid, and its provider gives files of it."""
	valid = row.status == lifecycle.ISSUED and row.cancellation_status != lifecycle.CANCELLED
	return valid and bool(files.offered(row))


def address_for(doctype: str, name: str) -> str:
	"""Where the document of an invoice or a payment should go: the address that it carries, or the customer's; empty
	without one, or where it is to no one customer."""
	row = dispatch.find(doctype, name)
	doc = frappe.get_doc(row.reference_doctype, row.reference_name) if row else frappe.get_doc(doctype, name)
	customer = doc.get("customer") or (doc.get("party") if doc.get("party_type") == "Customer" else None)
	if not customer:
		return ""
	if not doc.get("customer"):
		doc = frappe._dict(customer=customer, company=doc.company)
	try:
		return mapping.receiver_of(doc).email
	except MappingError:
		return ""


def send(row, recipients: str) -> list[str]:
	"""Send what the provider offers of the Fiscal Document `row` to the addresses in `recipients`, and return them.

	It is kept as a Communication of the invoice. Throws files.NotIssued, or what else stands in the way. Commits
	when a file has to be fetched first.
	"""
	if row.status != lifecycle.ISSUED:
		frappe.throw(
			_("{0} has no fiscal document yet: its status is {1}.").format(row.reference_name, _(row.status)),
			files.NotIssued,
		)
	if not offered(row):
		frappe.throw(
			_("The fiscal document of {0} is cancelled, or the provider gives no file of it.").format(
				row.reference_name
			)
		)
	wanted, wrong = alerts.recipients_of(recipients), alerts.wrong_recipients(recipients)
	if not wanted:
		frappe.throw(_("Enter an e-mail address."))
	if wrong:
		frappe.throw(_("This is no e-mail address: {0}").format(escape_html(", ".join(wrong))))
	attached = [files.file_of(row, kind) for kind in files.offered(row)]
	_queue(row, wanted, attached, frappe.db.get_value("User", frappe.session.user, "email"))
	return wanted


def _queue(row, recipients: list[str], attached: list, sender: str | None):
	"""Put the mail into Frappe's queue and on the invoice's record, in the current transaction."""
	invoice = frappe.get_doc(row.reference_doctype, row.reference_name)
	lang = invoice.get("language") or frappe.local.lang
	subject = _("{0}: fiscal document of {1}", lang).format(row.company, invoice.name)
	message = _text(row, invoice, lang, bool(attached))
	communication = frappe.get_doc(
		{
			"doctype": "Communication",
			"communication_type": "Communication",
			"communication_medium": "Email",
			"sent_or_received": "Sent",
			"subject": subject,
			"content": message + "<p>" + escape_html(", ".join(file.file_name for file in attached)) + "</p>",
			"sender": sender,
			"recipients": ", ".join(recipients),
			"reference_doctype": invoice.doctype,
			"reference_name": invoice.name,
			"has_attachment": int(bool(attached)),
		}
	).insert(ignore_permissions=True)
	frappe.sendmail(
		recipients=recipients,
		subject=subject,
		message=message,
		reference_doctype=invoice.doctype,
		reference_name=invoice.name,
		communication=communication.name,
		attachments=[{"fid": file.name} for file in attached],
		add_unsubscribe_link=0,
	)


def _text(row, invoice, lang: str, attached: bool) -> str:
	"""The mail's text in the customer's language, as HTML."""
	first = (
		_("Attached is the fiscal document of invoice {0}.", lang)
		if attached
		else _("The fiscal document of invoice {0} was issued.", lang)
	)
	lines = [
		first.format(escape_html(invoice.name)),
		_("Fiscal ID: {0}", lang).format(escape_html(row.fiscal_id)),
	]
	if (row.qr_value or "").startswith("https://"):
		link = f'<a href="{escape_html(row.qr_value)}">{escape_html(row.qr_value)}</a>'
		lines.append(_("Verify it at the tax authority: {0}", lang).format(link))
	lines.append(escape_html(row.company))
	return "".join(f"<p>{line}</p>" for line in lines)


# -- by itself -------------------------------------------------------------------------------------------

ALWAYS, NEVER = "Always", "Never"
SEND_SECONDS = 20
"""A job that sends what is due gives its worker back after this, and queues itself again when something is left."""
LEAST_WAIT, LAST_TRY = 60, 3 * 86400
"""Seconds between two tries, which grow with the document's age, and the age at which nobody tries any more."""


def mark(row):
	"""Have the document that was just issued sent to its customer, where that is wanted. Never raises; the caller
	stores the row."""
	try:
		if not row.notified_at and wanted(row):
			row.notify_at = now_datetime()
	except Exception as error:
		audit.log_failure(f"{row.reference_name}: not sent to the customer", str(error), error=error)


def wanted(row) -> bool:
	"""Whether the customer of a document gets it by itself: as their own record says, else the company's settings."""
	customer = _customer(row)
	if not customer:
		return False
	choice = frappe.db.get_value("Customer", customer, "fiscal_notification")
	if choice in (ALWAYS, NEVER):
		return choice == ALWAYS
	record = connection.record_for(row.company)
	return bool(record and record.get("notify_customers"))


def _customer(row) -> str | None:
	meta = frappe.get_meta(row.reference_doctype)
	if meta.has_field("customer"):
		return frappe.db.get_value(row.reference_doctype, row.reference_name, "customer")
	if not meta.has_field("party"):
		return None
	kind, party = frappe.db.get_value(row.reference_doctype, row.reference_name, ["party_type", "party"])
	return party if kind == "Customer" else None


def sweep():
	"""Queue the sending of what is due."""
	if due.notifications(1):
		_enqueue_due()


def _enqueue_due(part: int = 0) -> bool:
	return dispatch.enqueue_job("fiscal_integration.mail.send_due", "long", f"fiscal-mail-{part}", part=part)


def send_due(part: int = 0, seconds: float = SEND_SECONDS):
	"""The job: send what is due, one after the other and each once. `part` alternates (see drain.enqueue_drain)."""
	deadline, tried = time.monotonic() + seconds, set()
	while names := [name for name in due.notifications(20) if name not in tried]:
		for name in names:
			tried.add(name)
			notify(name)
			if time.monotonic() > deadline:
				_enqueue_due(1 - part)
				return


def notify(document: str):
	"""Send one issued document to its customer, unless that was done. Never raises (see dispatch.process)."""
	try:
		frappe.db.commit()
		row = frappe.get_doc(dispatch.DOCTYPE, document, for_update=True)
		ready = row.notify_at and get_datetime(row.notify_at) <= now_datetime()
		if row.status != lifecycle.ISSUED or row.notified_at or not ready:
			frappe.db.rollback()
			return
		reason = _cannot(row)
		if reason:
			_set(row, notify_at=None, notification_error=reason)
			return
		# Put off before it is tried, so that nobody else tries now, and soon nobody does if this fails.
		_set(row, notify_at=_next_try(row))
		attached = [files.file_of(row, kind) for kind in files.offered(row)]
		_send_once(document, attached)
	except frappe.OutgoingEmailError:
		_failed(document, no_account())
	except frappe.ValidationError as error:
		_failed(document, str(error))
	except Exception as error:
		_failed(document, type(error).__name__)
		dispatch.log("Document could not be sent to the customer", document, error)


def _cannot(row) -> str:
	"""Why nothing is sent; empty when it is."""
	if row.cancellation_status == lifecycle.CANCELLED:
		return _("It was cancelled before it was sent.")
	if not alerts.recipients_of(_address(row)) or alerts.wrong_recipients(_address(row)):
		return _("The customer has no e-mail address.")
	return ""


def _address(row) -> str:
	return address_for(dispatch.DOCTYPE, row.name)


def _send_once(document: str, attached: list):
	"""Queue the mail and note that it is, both or neither."""
	row = frappe.get_doc(dispatch.DOCTYPE, document, for_update=True)
	if row.notified_at:
		frappe.db.rollback()
		return
	recipients = alerts.recipients_of(_address(row))
	_queue(row, recipients, attached, None)
	audit.note_act(
		row,
		audit.NOTIFY,
		recipients=", ".join(recipients),
		files=", ".join(file.file_name for file in attached),
	)
	_set(
		row,
		notify_at=None,
		notified_at=now_datetime(),
		notified_to=", ".join(recipients),
		notification_error=None,
	)


def _failed(document: str, message: str):
	"""Keep why it did not go; it is tried again until it is too old."""
	frappe.db.rollback()
	frappe.clear_messages()
	frappe.db.set_value(
		dispatch.DOCTYPE, document, "notification_error", message[:500], update_modified=False
	)
	frappe.db.commit()


def _set(row, **values):
	frappe.db.set_value(dispatch.DOCTYPE, row.name, values, update_modified=False)
	frappe.clear_document_cache(dispatch.DOCTYPE, row.name)
	frappe.db.commit()


def _next_try(row):
	now = now_datetime()
	age = int((now - get_datetime(row.status_since)).total_seconds())
	return add_to_date(now, seconds=max(3 * age, LEAST_WAIT)) if age < LAST_TRY else None
