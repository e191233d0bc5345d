"""The fiscal PDF and XML of an issued document by e-mail, from ERPNext, to the customer."""

import frappe
from frappe import _
from frappe.utils import escape_html

from fiscal_integration import alerts, dispatch, files, mapping
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import MappingError


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
	invoice = frappe.get_doc(row.reference_doctype, row.reference_name)
	lang = invoice.get("language") or frappe.local.lang
	subject = _("{0}: fiscal document of {1}", lang).format(row.company, invoice.name)
	message = _text(row, invoice, lang)
	communication = frappe.get_doc(
		{
			"doctype": "Communication",
			"communication_type": "Communication",
			"communication_medium": "Email",
			"sent_or_received": "Sent",
			"subject": subject,
			"content": message + "<p>" + escape_html(", ".join(file.file_name for file in attached)) + "</p>",
			"sender": frappe.db.get_value("User", frappe.session.user, "email"),
			"recipients": ", ".join(wanted),
			"reference_doctype": invoice.doctype,
			"reference_name": invoice.name,
			"has_attachment": 1,
		}
	).insert(ignore_permissions=True)
	frappe.sendmail(
		recipients=wanted,
		subject=subject,
		message=message,
		reference_doctype=invoice.doctype,
		reference_name=invoice.name,
		communication=communication.name,
		attachments=[{"fid": file.name} for file in attached],
		add_unsubscribe_link=0,
	)
	return wanted


def _text(row, invoice, lang: str) -> str:
	"""The mail's text in the customer's language, as HTML."""
	lines = [
		_("Attached is the fiscal document of invoice {0}.", lang).format(escape_html(invoice.name)),
		_("Fiscal ID: {0}", lang).format(escape_html(row.fiscal_id)),
	]
	if (row.qr_value or "").startswith("https://"):
		link = f'<a href="{escape_html(row.qr_value)}">{escape_html(row.qr_value)}</a>'
		lines.append(_("Verify it at the tax authority: {0}", lang).format(link))
	lines.append(escape_html(row.company))
	return "".join(f"<p>{line}</p>" for line in lines)
