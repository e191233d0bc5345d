"""Tells people what needs them: by e-mail to the recipients in the settings, and in Frappe's notifications.

Nothing here may fail silently, and nothing here may keep documents from going out: a mail that cannot be
sent is an Error Log, and the notification is there all the same.
"""

import json

import frappe
from frappe import _
from frappe.utils import (
	add_to_date,
	escape_html,
	format_datetime,
	get_datetime,
	get_url_to_form,
	getdate,
	now_datetime,
)
from frappe.utils import validate_email_address as valid_email

from fiscal_integration import audit, certificates, connection, due, registers
from fiscal_integration.fiscal import lifecycle

DOCTYPE = "Fiscal Document"
OLDER_THAN_HOURS = 2
LISTED = 50
"""Documents that one message names; of the others it tells the number."""
EXPIRY_DAYS = (30, 7)
OUTAGE_SECONDS = 48 * 3600
SUPPLY_LOOKED = "supply looked at"
SUPPLY_LEFT = "supply left"
"""How many documents were left then, for the workspace."""
LOW_SUPPLY = "low_supply"
"""The parameter by which a provider with a supply says below what it is low."""
EXPIRED = -1


def dead_letters():
	"""Tell of documents that need a person, or were not issued, for two hours: each once a day."""
	now = now_datetime()
	before = add_to_date(now, hours=-OLDER_THAN_HOURS)
	fields = [
		"reference_doctype",
		"reference_name",
		"status",
		"status_since",
		"creation",
		"error_message",
	]
	found = due.unsent_alerts(before, now.date(), fields)
	if not found:
		return
	names = [row.name for row in found]
	for start in range(0, len(names), 500):
		frappe.db.set_value(
			DOCTYPE,
			{"name": ("in", names[start : start + 500])},
			"alerted_on",
			now.date(),
			update_modified=False,
		)
	lines = [
		"{}: <b>{}</b>, {}. {}".format(
			_link(row.reference_doctype, row.reference_name),
			_(row.status),
			_("since {0}").format(format_datetime(row.status_since or row.creation)),
			escape_html(row.error_message or ""),
		)
		for row in found[:LISTED]
	]
	if len(found) > LISTED:
		lines.append(_("And {0} more: see the list of Fiscal Documents.").format(len(found) - LISTED))
	_tell(_("Sales without their fiscal document: {0}").format(len(found)), lines, DOCTYPE, found[0].name)
	frappe.db.commit()


def unsent_mails():
	"""Once a day, tell of documents that should have gone to their customers by e-mail for two hours, and did not."""
	now = now_datetime()
	found = due.unsent_mails(
		add_to_date(now, hours=-OLDER_THAN_HOURS),
		["company", "reference_doctype", "reference_name", "notification_error"],
	)
	for company in dict.fromkeys(row.company for row in found):
		record = connection.record_for(company)
		if not record:
			continue
		told = json.loads(record.get("expiry_alerts") or "{}")
		key = f"mail|{company}"
		if told.get(key) == str(now.date()):
			continue
		record.db_set("expiry_alerts", json.dumps({**told, key: str(now.date())}), update_modified=False)
		rows = [row for row in found if row.company == company]
		lines = [
			f"{_link(row.reference_doctype, row.reference_name)}: {escape_html(row.notification_error)}"
			for row in rows[:LISTED]
		]
		if len(rows) > LISTED:
			lines.append(_("And {0} more: see the list of Fiscal Documents.").format(len(rows) - LISTED))
		lines.append(_("They are issued and valid. Sending is tried again by itself for three days."))
		_tell(
			_("Documents of {0} that could not be sent to the customer: {1}").format(company, len(rows)),
			lines,
			DOCTYPE,
			rows[0].name,
		)
		frappe.db.commit()


def expiries():
	"""Tell of certificates and the like 30 and 7 days before they end, and when they have ended."""
	for record, label, day, name in endings():
		_tell_expiry(record, label, day, name)


def endings():
	"""What ends some day, as (record, label, day, whose). Asks no provider."""
	for record in connection.enabled_records():
		name = f"{record.provider_class.label}, {record.get('company') or record.name}"
		for label, day in record.provider_class.expiries(record.connection(secrets=False)):
			yield record, label, getdate(day), name
	for row in frappe.get_all(certificates.DOCTYPE, {"status": certificates.ACTIVE}, pluck="name"):
		certificate = frappe.get_doc(certificates.DOCTYPE, row)
		point = certificate.point_of_sale and frappe.db.get_value(
			"Fiscal Point of Sale", certificate.point_of_sale, "pos_profile"
		)
		whose = f"{certificate.company}, {point}" if point else certificate.company
		yield certificate, "Certificate", getdate(certificate.valid_until), whose


def _tell_expiry(record, label: str, day, name: str):
	"""Each level once; `record` remembers which were told."""
	told = json.loads(record.get("expiry_alerts") or "{}")
	days = (getdate(day) - now_datetime().date()).days
	level = EXPIRED if days < 0 else min((limit for limit in EXPIRY_DAYS if days <= limit), default=None)
	key = f"{label}|{day}"
	if level is None or (key in told and told[key] <= level):
		return
	told[key] = level
	record.db_set("expiry_alerts", json.dumps(told), update_modified=False)
	subject = (
		_("{0} has ended: {1}. Nothing is issued until it is renewed").format(_(label), name)
		if days < 0
		else _("{0} ends in {1} days: {2}").format(_(label), days, name)
	)
	_tell(subject, [_("Valid until {0}.").format(day)], record.doctype, record.name)
	frappe.db.commit()


def outages():
	"""Once a day, tell of cash registers that have signed nothing for longer than two days: the taxpayer has to report
	that to the authority within a week (authorities/austria.md#outage)."""
	now = now_datetime()
	for record in connection.enabled_records():
		if not record.provider_class.capabilities.registers:
			continue
		companies = (
			[record.get("company")] if record.get("company") else frappe.get_all("Company", pluck="name")
		)
		for company in companies:
			since = frappe.db.get_value(
				DOCTYPE,
				{"company": company, "status": ("in", lifecycle.DUE), "attempts": (">", 0)},
				"creation",
				order_by="creation asc",
			)
			told = json.loads(record.get("expiry_alerts") or "{}")
			key = f"outage|{company}"
			if (
				not since
				or (now - get_datetime(since)).total_seconds() < OUTAGE_SECONDS
				or told.get(key) == str(now.date())
			):
				continue
			told[key] = str(now.date())
			record.db_set("expiry_alerts", json.dumps(told), update_modified=False)
			_tell(
				_("The cash registers of {0} have been out of order for more than 48 hours").format(company),
				[
					_("The oldest sale without a signature is of {0}.").format(since),
					_(
						"An outage longer than 48 hours has to be reported to FinanzOnline within one week. The sales "
						"are signed by themselves once the provider can be reached."
					),
				],
				record.doctype,
				record.name,
			)
			frappe.db.commit()


def archives():
	"""Once a day, tell of months of a cash register that are over for five days and not safe yet."""
	today = str(now_datetime().date())
	for name, company, label, start, end, why in registers.overdue_months():
		record = connection.record_for(company)
		if not record:
			continue
		told = json.loads(record.get("expiry_alerts") or "{}")
		key = f"archive|{name}"
		if told.get(key) == today:
			continue
		record.db_set("expiry_alerts", json.dumps({**told, key: today}), update_modified=False)
		_tell(
			_("The receipts of {0} from {1} to {2} are not safe").format(label, start, end),
			[
				escape_html(why or _("They were not saved yet.")),
				_(
					"They have to be kept for seven years, and the provider deletes them after three months. Open the "
					"Fiscal Point of Sale, mend what it names, and press Save Months Now."
				),
			],
			registers.POINT,
			name,
		)
		frappe.db.commit()


def supplies():
	"""Once a day, tell of documents bought in advance that run out, and of licences that end."""
	today = now_datetime().date()
	for record in connection.enabled_records():
		provider_class = record.provider_class
		if not provider_class.capabilities.supply:
			continue
		told = json.loads(record.get("expiry_alerts") or "{}")
		if told.get(SUPPLY_LOOKED) == str(today):
			continue
		try:
			found = record.connection()
			recorder = audit.Recorder(record.provider, found.secrets, record.name)
			provider = connection.open_provider(found, recorder)
			supply = provider.supply()
			recorder.keep()
		except Exception as error:
			frappe.db.rollback()
			audit.log_failure(f"Supply could not be asked for: {record.name}", str(error), error=error)
			frappe.db.commit()
			continue
		if supply.failure:
			audit.log_failure(
				f"Supply could not be asked for: {record.name}", supply.failure.message, recorder
			)
			frappe.db.commit()
			continue
		told[SUPPLY_LOOKED] = str(today)
		if supply.left is not None:
			told[SUPPLY_LEFT] = supply.left
		record.db_set("expiry_alerts", json.dumps(told), update_modified=False)
		name = f"{provider_class.label}, {record.get('company') or record.name}"
		low = int(provider.parameter(LOW_SUPPLY) or 0)
		if supply.left is not None and supply.left < low:
			_tell(
				_("{0} documents are left: {1}").format(supply.left, name),
				[_("Buy more from the provider. Without them nothing is issued.")],
				record.doctype,
				record.name,
			)
		if supply.until and (supply.until - today).days in (*EXPIRY_DAYS, *range(-7, 1)):
			_tell(
				_("The licence ends on {0}: {1}").format(supply.until, name),
				[_("Renew it with the provider. Without it nothing is issued.")],
				record.doctype,
				record.name,
			)
		frappe.db.commit()


def batch_ended(name: str, urgent: bool):
	"""The summary of a batch: to the notifications always, by e-mail only when documents failed."""
	batch = frappe.get_doc("Fiscal Batch", name)
	subject = _("{0} batch: {1} of {2} issued").format(_(batch.kind), batch.issued, batch.total)
	if batch.failed:
		subject += ", " + _("{0} need a person").format(batch.failed)
	lines = escape_html(batch.summary or "").split("\n")
	for row in frappe.get_all(
		DOCTYPE,
		{"batch": name, "status": ("in", lifecycle.DEAD_LETTERS)},
		["reference_doctype", "reference_name", "error_message"],
		limit=LISTED,
	):
		lines.append(
			f"{_link(row.reference_doctype, row.reference_name)}: {escape_html(row.error_message or '')}"
		)
	_tell(subject, lines, batch.doctype, batch.name, mail=urgent)
	frappe.db.commit()


def _tell(subject: str, lines: list[str], doctype: str, name: str, mail: bool = True):
	message = "<br>".join(lines)
	for user in _users():
		try:
			frappe.get_doc(
				{
					"doctype": "Notification Log",
					"type": "Alert",
					"for_user": user,
					"subject": subject,
					"email_content": message,
					"document_type": doctype,
					"document_name": name,
				}
			).insert(ignore_permissions=True)
		except Exception as error:
			audit.log_failure(f"Alert was not shown to {user}", subject, error=error)
	recipients = recipients_of(frappe.get_cached_doc(connection.SETTINGS).alert_recipients)
	if mail and recipients:
		try:
			frappe.sendmail(
				recipients=recipients,
				subject=subject,
				message=message,
				reference_doctype=doctype,
				reference_name=name,
			)
		except Exception as error:
			audit.log_failure(
				"Alert e-mail could not be sent. Is there an outgoing Email Account?", subject, error=error
			)


def recipients_of(text: str | None) -> list[str]:
	"""The addresses in a settings field: separated by commas, semicolons or lines, without doubles."""
	parts = (text or "").replace(";", ",").replace("\n", ",").split(",")
	return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def wrong_recipients(text: str | None) -> list[str]:
	return [address for address in recipients_of(text) if not valid_email(address)]


def _users() -> list[str]:
	"""Fiscal Managers; where nobody is one, System Managers, so that nothing goes unseen."""
	for role in ("Fiscal Manager", "System Manager"):
		users = frappe.get_all(
			"Has Role", {"role": role, "parenttype": "User"}, pluck="parent", distinct=True
		)
		enabled = frappe.get_all("User", {"name": ("in", users), "enabled": 1}, pluck="name") if users else []
		if enabled := [user for user in enabled if user != "Guest"]:
			return enabled
	return ["Administrator"]


def _link(doctype, name) -> str:
	return f'<a href="{escape_html(get_url_to_form(doctype, name))}">{escape_html(name)}</a>'
