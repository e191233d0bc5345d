"""Whitelisted calls. Thin: who may, then the service that does it."""

from urllib.parse import quote

import frappe
from frappe import _
from frappe.utils import get_datetime, get_fullname, getdate, now_datetime

from fiscal_integration import (
	audit,
	bulk,
	by_hand,
	cancellation,
	certificates,
	circuit,
	connection,
	dispatch,
	files,
	health,
	mail,
	mapping,
	payments,
	proof,
	receiver,
	registers,
	sources,
	webhooks,
)
from fiscal_integration.fiscal import lifecycle, qr
from fiscal_integration.fiscal.panama import locations
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.words import translated
from fiscal_integration.providers.base import Account

MANAGE = ("System Manager", "Fiscal Manager")
OPERATE = (*MANAGE, "Fiscal User")


def _require(roles: tuple[str, ...]):
	"""Throw unless the user has one of `roles`. (frappe.only_for lets everybody through while tests run.)"""
	if not set(roles) & set(frappe.get_roles()):
		frappe.throw(
			_("This needs one of the roles {0}.").format(", ".join(_(role) for role in roles)),
			frappe.PermissionError,
		)


def _record(doctype: str, name: str, ptype: str):
	if doctype not in (connection.SETTINGS, connection.ACCOUNT):
		frappe.throw(_("{0} holds no fiscal connection.").format(doctype), frappe.PermissionError)
	doc = frappe.get_doc(doctype, name)
	doc.check_permission(ptype)
	return doc


@frappe.whitelist()
def describe_providers(company: str | None = None) -> dict:
	"""What the settings form draws: the providers with their declared parameters, and why there may be none.

	Without a company the providers of all companies' countries are told.
	"""
	_require(MANAGE)
	companies = [company] if company else frappe.get_all("Company", pluck="name")
	countries = {connection.country_code(name) for name in companies}
	described = {
		key: {
			"label": provider.label,
			"urls": provider.urls,
			"available": bool(countries & provider.countries),
			"parameters": [
				{
					"key": parameter.key,
					"label": _(parameter.label),
					"required": parameter.required,
					"secret": parameter.secret,
					"default": parameter.default,
					"help": _(parameter.help) if parameter.help else "",
					"options": list(parameter.options),
					"search": parameter.search,
				}
				for parameter in provider.parameters
			],
		}
		for key, provider in connection.providers().items()
	}
	return {"providers": described, "available": any(entry["available"] for entry in described.values())}


@frappe.whitelist(methods=["POST"])
def ping(doctype: str, name: str) -> dict:
	"""Call the provider with the saved settings, and look for what would keep documents from going out."""
	doc = _record(doctype, name, "write")
	result = {"ok": False, "message": "", "details": [], "warnings": []}
	exchanges = []
	if not doc.provider:
		result["message"] = _("Choose a provider and save the settings first.")
	else:
		try:
			found = doc.connection()
		except frappe.ValidationError:
			frappe.clear_messages()
			result["message"] = _(
				"The stored secrets cannot be read with this site's encryption key, as after a restore. "
				"Enter them again and save, or bring back the encryption_key of site_config.json."
			)
		else:
			problems = doc.provider_class.check_connection(found)
			if problems:
				result["message"] = " ".join(translated(problem.message, _) for problem in problems)
			else:
				recorder = audit.Recorder(doc.provider, found.secrets, doc.name)
				provider = connection.open_provider(found, recorder)
				try:
					answer = provider.ping()
					result.update(
						ok=answer.ok,
						message=recorder.redact(translated(answer.message, _)),
						details=[[_(label), recorder.redact(value)] for label, value in answer.details],
					)
					doc.fill_parameters(answer.found)
				except Exception as error:
					result["message"] = _("Internal error: {0}. See the Error Log.").format(
						type(error).__name__
					)
					audit.log_failure("Ping failed", str(error), recorder, error=error)
				recorder.keep()
				exchanges = recorder.exchanges
				if result["ok"]:
					circuit.succeeded(circuit.source_of(doc))
				if not result["ok"]:
					audit.log_failure(f"Ping: {provider.label}", result["message"], recorder)
	result["warnings"] = health.warnings(exchanges)
	doc.db_set(
		{
			"last_ping_at": now_datetime(),
			"last_ping_ok": int(result["ok"]),
			"last_ping_message": "\n".join([_summary(result), *result["warnings"]]),
		},
		update_modified=False,
	)
	frappe.db.commit()
	return result


def _summary(result: dict) -> str:
	details = "; ".join(f"{label}: {value}" for label, value in result["details"])
	return f"{result['message']} ({details})" if details else result["message"]


@frappe.whitelist(methods=["POST"])
def clear_secret(doctype: str, name: str, key: str):
	"""Forget one stored secret: leaving its field blank keeps it."""
	doc = _record(doctype, name, "write")
	if key not in doc.secret_keys():
		frappe.throw(_("{0} is not a secret of this provider.").format(key))
	doc.clear_secret(key)


@frappe.whitelist()
def fiscal_view(doctype: str, name: str) -> dict:
	"""What the Fiscal tab of an invoice shows to whoever may read the invoice."""
	_readable_invoice(doctype, name)
	row = dispatch.find(doctype, name)
	if not row:
		return {}
	operator = bool(set(frappe.get_roles()) & set(OPERATE))
	manager = bool(set(frappe.get_roles()) & set(MANAGE))
	issued = row.status == lifecycle.ISSUED
	reviewed = by_hand.reviewed_from(row)
	shown = dispatch.shows_qr(row)
	valid = shown and row.cancellation_status != lifecycle.CANCELLED
	state = lifecycle.STATES[row.status]
	return {
		"name": row.name,
		"status": row.status,
		"colour": state.colour,
		"meaning": _("Pending, not yet submitted: built, signed and numbered here.")
		if row.status == lifecycle.QUEUED and row.fiscal_id
		else _("Somebody sent it to review: a person decides.")
		if reviewed
		else _(state.meaning),
		"todo": _review_todo(reviewed) if reviewed else _(state.todo),
		"fiscal_id": row.fiscal_id,
		"qr_value": row.qr_value if valid else None,
		"qr_image": qr_image(row) if valid else None,
		# Under the names that other systems' interfaces have for them.
		"qrCode": row.qr_value if valid else None,
		"qrImageBase64": qr_image(row) if valid else None,
		"mailed": {"at": row.notified_at, "to": row.notified_to, "error": row.notification_error}
		if row.notified_at or row.notification_error
		else None,
		"authorized_at": row.authorized_at,
		"attempts": row.attempts,
		"next_attempt": row.next_attempt if state.due else None,
		"next_due": bool(row.next_attempt) and get_datetime(row.next_attempt) <= now_datetime(),
		"error": row.error_message,
		"can_retry": (manager if row.status == lifecycle.NEEDS_REVIEW else operator)
		and row.status in lifecycle.RETRYABLE_BY_PERSON
		and reviewed not in lifecycle.OPEN,
		"can_take_over": manager
		and row.status == lifecycle.NEEDS_REVIEW
		and bool(row.fiscal_id)
		and not reviewed,
		"can_ask": operator
		and (
			row.status in (lifecycle.PENDING, lifecycle.UNKNOWN, lifecycle.QUEUED)
			or reviewed in lifecycle.OPEN
		),
		"can_review": operator and row.status in lifecycle.REVIEWABLE_BY_PERSON,
		"can_mail": mail.offered(row) and bool(frappe.has_permission(doctype, "email", doc=name)),
		"downloads": files.offered(row) if issued else [],
		"can_cancel": bool(set(frappe.get_roles()) & set(MANAGE)) and cancellation.offered(row),
		"cancellation": _cancellation(row),
		"authorization": row.authorization_number,
		"stamps": [[stamp.key, stamp.value] for stamp in row.stamps if len(stamp.value or "") <= 140]
		if shown
		else [],
		"fiscal_number": row.fiscal_number,
		"payments": [
			{**entry, "colour": lifecycle.STATES[entry["status"]].colour} for entry in payments.told_of(row)
		],
		"needs_attention": row.status in lifecycle.DEAD_LETTERS,
		"provider_down": _down_since(row.company) if state.due else None,
		"can_open": operator,
		"reviewed": bool(reviewed),
		"docstatus": frappe.db.get_value(doctype, name, "docstatus"),
		"goes_on": state.due or row.cancellation_status in lifecycle.CANCELLING,
		"fields": {key: value for key, value in dispatch.projection(row).items() if key != "fiscal_qr_image"},
		**_timeline(row),
	}


def _review_todo(reviewed: str) -> str:
	if reviewed in lifecycle.OPEN:
		return _(
			"Read why. Ask the Provider puts it back to where it was; nothing is sent before it is known."
		)
	return _("Read why, and mend it. A manager sends it again.")


TIMELINE_LENGTH = 50


def _timeline(row) -> dict:
	"""The newest exchanges of a document, and what people did to it, newest first; their records' names are for
	those who may read them."""
	found = frappe.get_all(
		audit.REQUEST,
		{"fiscal_document": row.name},
		[
			"name",
			"owner",
			"status",
			"is_remote_request",
			"fiscal_operation",
			"fiscal_http_status",
			"fiscal_duration",
			"fiscal_started_at",
		],
		order_by="fiscal_sequence desc",
		limit=TIMELINE_LENGTH,
	)
	linked = bool(found) and bool(frappe.has_permission(audit.REQUEST, "read", doc=found[0].name))
	return {
		"timeline": [
			{
				"name": entry.name if linked else None,
				"at": (entry.fiscal_started_at or "")[:19],
				"operation": entry.fiscal_operation,
				"exchange": bool(entry.is_remote_request),
				"ok": entry.status == "Completed",
				"http_status": entry.fiscal_http_status,
				"seconds": entry.fiscal_duration,
				"who": get_fullname(entry.owner),
			}
			for entry in found
		],
		"timeline_total": max(row.exchange_count or 0, len(found)),
	}


def _cancellation(row) -> dict | None:
	if not row.cancellation_status:
		return None
	state = lifecycle.CANCEL_STATES[row.cancellation_status]
	return {
		"status": row.cancellation_status,
		"colour": state.colour,
		"meaning": _(state.meaning),
		"todo": _(state.todo),
		"message": row.cancellation_message,
		"next": row.cancellation_next if state.due else None,
	}


@frappe.whitelist(methods=["POST"])
def cancel(
	document: str, reason: str = "", motive: str = "", substitute: str = "", cancel_source: int | str = 0
):
	"""Ask the authority to cancel an issued document. For managers, where the settings allow it.

	`reason` in words, or one of the provider's motives with the Fiscal Document that takes the place where it
	wants one; with `cancel_source` the ERPNext document is cancelled too when the authority has agreed.
	"""
	row = _operable(document)
	_require(MANAGE)
	if frappe.utils.cint(cancel_source):
		frappe.has_permission(row.reference_doctype, "cancel", doc=row.reference_name, throw=True)
	cancellation.request(document, reason, motive, substitute, bool(frappe.utils.cint(cancel_source)))


@frappe.whitelist()
def cancel_form(document: str) -> dict:
	"""What has to be entered to cancel: a motive of the provider's list, or a reason in words."""
	row = _operable(document)
	_require(MANAGE)
	provider = connection.providers()[row.provider]
	found = connection.for_company(row.company, secrets=False)
	notes = []
	if found and found.provider == row.provider:
		notes = provider(found, None).cancel_notes(dispatch.held(row), mapping.issuer_of(row.company))
	return {
		"notes": [translated(note, _) for note in notes],
		"motives": [
			{
				"code": motive.code,
				"label": f"{motive.code} {_(motive.label)}",
				"substitute": motive.substitute,
			}
			for motive in provider.cancel_motives
		],
		"substitutes": {
			"company": row.company,
			"provider": row.provider,
			"environment": row.environment,
			"reference_doctype": row.reference_doctype,
			"name": ("!=", row.name),
		},
		"cancel_source": row.purpose == dispatch.PURPOSE
		and bool(frappe.has_permission(row.reference_doctype, "cancel", doc=row.reference_name)),
	}


@frappe.whitelist()
def search_documents(
	doctype: str,
	txt: str,
	searchfield: str,
	start: int | str,
	page_len: int | str,
	filters: dict | None = None,
) -> list:
	"""What a Link field offers of issued documents that are still valid: found by the invoice's name or the fiscal
	id, since Frappe's own search passes over a Dynamic Link. From Frappe 16 on the field asks with the row's own name
	whether what was chosen may stand."""
	return frappe.get_list(
		dispatch.DOCTYPE,
		filters={
			**(filters or {}),
			"status": lifecycle.ISSUED,
			"cancellation_status": ("not in", [lifecycle.CANCELLED]),
		},
		or_filters={"name": txt, "reference_name": ("like", f"%{txt}%"), "fiscal_id": ("like", f"%{txt}%")},
		fields=["name", "reference_name", "fiscal_id"],
		order_by="creation desc",
		limit_start=frappe.utils.cint(start),
		limit=frappe.utils.cint(page_len),
		as_list=True,
	)


@frappe.whitelist()
def search_locations(txt: str = "", **_more) -> list[dict]:
	"""What a field for a place offers: the corregimientos of the DGI's catalogue that fit the typed text or code."""
	if not (frappe.has_permission("Customer", "read") or set(MANAGE) & set(frappe.get_roles())):
		frappe.throw(_("This needs permission to read customers."), frappe.PermissionError)
	return [
		{"value": place.code, "label": place.code, "description": place.label}
		for place in locations.search(txt or "")
	]


@frappe.whitelist()
def sale_form(company: str, doctype: str) -> dict:
	"""What the form of a sale of `company` has to ask for its fiscal document: nothing for most providers."""
	if doctype not in mapping.SALES or not frappe.has_permission(doctype, "read"):
		frappe.throw(_("{0} has no fiscal document.").format(doctype), frappe.PermissionError)
	record = connection.record_for(company)
	if not record:
		return {}
	provider = record.provider_class
	return {
		"provider": provider.label,
		"receiver_kinds": [
			{"code": kind.code, "label": f"{kind.code} {_(kind.label)}", "asks": list(kind.asks)}
			for kind in provider.receiver_kinds
		],
		"variants": [{"code": code, "label": f"{code} {_(label)}"} for code, label in provider.variants],
		"taxpayers": provider.capabilities.taxpayers,
		"registers": provider.capabilities.registers,
		"substitutes": provider.capabilities.substitutes,
	}


@frappe.whitelist()
def customer_data(customer: str, company: str) -> dict:
	"""What the Fiscal Data section shows of a customer: what is sent when it is left as it is."""
	if not frappe.has_permission("Customer", "read", doc=customer):
		frappe.throw(_("You may not read this customer."), frappe.PermissionError)
	return receiver.of_customer(customer, company)


@frappe.whitelist()
def check_tax_id(company: str, tax_id: str, taxpayer_type: str = "") -> dict:
	"""The digits that belong to a taxpayer's number, or what is wrong with it. Local."""
	return receiver.check(company, tax_id, taxpayer_type)


@frappe.whitelist(methods=["POST"])
def look_up_taxpayer(company: str, tax_id: str, taxpayer_type: str = "") -> dict:
	"""Ask the provider's register for a taxpayer's number. For whoever may make sales."""
	if not any(frappe.has_permission(doctype, "create") for doctype in mapping.SALES):
		frappe.throw(_("You may not make sales."), frappe.PermissionError)
	return receiver.look_up(company, tax_id, taxpayer_type)


@frappe.whitelist(methods=["POST"])
def initialize_certificate(certificate: str, content: str, password: str = "") -> dict:
	"""Put a P12 file (base64) and its password to use. For managers."""
	_require(MANAGE)
	answer = certificates.initialize(certificate, content, password)
	if answer["ok"]:
		# What waited for a certificate goes now.
		connection.release(frappe.db.get_value(certificates.DOCTYPE, answer["name"], "company"))
		frappe.db.commit()
	return answer


@frappe.whitelist()
def setup_status(doctype: str, name: str) -> dict:
	"""How far the set-up at the authority has come, where the provider has cash registers."""
	return registers.status(_record(doctype, name, "read"))


@frappe.whitelist(methods=["POST"])
def set_up_organization(
	doctype: str,
	name: str,
	account_key: str = "",
	account_secret: str = "",
	company_name: str = "",
	address: str = "",
	postal_code: str = "",
	city: str = "",
	vat_id: str = "",
) -> dict:
	"""Make the company's organization at the provider, and then its key, with the account's credentials, which are not
	kept. What was made before is found again."""
	record = _record(doctype, name, "write")
	if not account_key or not account_secret:
		frappe.throw(_("Enter key and secret of your account at the provider."))
	details = {
		"name": company_name.strip(),
		"address": address.strip(),
		"postal_code": postal_code.strip(),
		"city": city.strip(),
		"vat_id": vat_id.strip(),
	}
	account = Account(Secret(account_key.strip()), Secret(account_secret.strip()))
	return _told(registers.organization(record, account, details))


@frappe.whitelist(methods=["POST"])
def set_up_authority(doctype: str, name: str, participant: str = "", user: str = "", pin: str = "") -> dict:
	"""Enter the credentials of the authority's web service, or look whether they are known (all blank)."""
	record = _record(doctype, name, "write")
	credentials = None
	if participant or user or pin:
		credentials = {"fon_participant_id": participant, "fon_user_id": user, "fon_user_pin": pin}
	return _told(registers.authority(record, credentials))


@frappe.whitelist(methods=["POST"])
def set_up_unit(doctype: str, name: str, legal_entity: str = "") -> dict:
	"""Bring the signature creation unit one step further."""
	return _told(registers.unit(_record(doctype, name, "write"), legal_entity.strip().upper()))


@frappe.whitelist(methods=["POST"])
def set_up_till(till: str) -> dict:
	"""Bring the cash register of a Fiscal Point of Sale one step further."""
	_require(MANAGE)
	return _told(registers.till(till))


@frappe.whitelist(methods=["POST"])
def decommission_till(till: str, serial: str) -> dict:
	"""Take a cash register out of use for good; its serial number has to be typed."""
	_require(MANAGE)
	if serial != frappe.db.get_value("Fiscal Point of Sale", till, "register_serial"):
		frappe.throw(_("Type the serial number of the cash register that is to be taken out of use."))
	return _told(registers.decommission(till))


@frappe.whitelist(methods=["POST"])
def export_archive(till: str, start: str, end: str) -> dict:
	"""The address of the archive of a cash register over these days, and what its check said."""
	_require(OPERATE)
	found = registers.export(till, getdate(start), getdate(end))
	return {"url": found.file.file_url, "safe": found.safe, "result": found.result}


@frappe.whitelist(methods=["POST"])
def archive_months(till: str) -> dict:
	"""Save and check the months of a cash register that are over and not safe yet."""
	_require(OPERATE)
	registers.archive_till(till)
	months = registers.unsafe_months(frappe.get_doc("Fiscal Point of Sale", till))
	return {
		"ok": not months,
		"message": _("{0} months are not safe yet.").format(len(months)) if months else "",
	}


@frappe.whitelist()
def register_closings(till: str) -> list:
	"""The receipts that the provider made by itself."""
	_require(OPERATE)
	return registers.closings(till)


def _told(device) -> dict:
	return {
		"ok": not device.failure,
		"state": device.state,
		"serial": device.serial,
		"message": device.message,
	}


def _down_since(company: str):
	record = connection.record_for(company)
	return circuit.look(circuit.source_of(record)).since if record else None


def qr_image(row) -> str | None:
	"""The QR code as a data URI: the provider's own, else made from its value."""
	return row.qr_image or (qr.data_uri(row.qr_value) if row.qr_value else None)


@frappe.whitelist(methods=["POST"])
def retry(document: str):
	"""Send a rejected or failed document again after its cause was mended."""
	row = _operable(document)
	if row.status == lifecycle.NEEDS_REVIEW:
		# The provider holds something: only who answers for it may decide that it is not this sale.
		_require(MANAGE)
	by_hand.retry(document)


@frappe.whitelist(methods=["POST"])
def take_over(document: str):
	"""Accept the provider's document of a row that needs review, after comparing it with the invoice."""
	_operable(document)
	_require(MANAGE)
	by_hand.take_over(document)


@frappe.whitelist()
def connection_status(doctype: str, name: str) -> dict:
	"""What the connection's form shows of how it fares: circuit, webhooks, what waits and what needs a person."""
	doc = _record(doctype, name, "read")
	provider = doc.provider_class
	if not provider:
		return {}
	seen = circuit.look(circuit.source_of(doc))
	return {
		"down": {
			"since": seen.since,
			"until": seen.until,
			"message": seen.message,
		}
		if seen.open
		else None,
		"webhook": {"url": webhooks.url(provider.key), "refused": webhooks.refused(provider.key)}
		if provider.capabilities.webhook
		else None,
		"waiting": frappe.db.count(dispatch.DOCTYPE, {"status": ("in", lifecycle.DUE)}),
		"dead_letters": frappe.db.count(dispatch.DOCTYPE, {"status": ("in", lifecycle.DEAD_LETTERS)}),
	}


@frappe.whitelist(methods=["POST"])
def ask_provider(document: str):
	"""Ask the provider now about a document whose outcome is open."""
	_operable(document)
	by_hand.ask_now(document)


@frappe.whitelist(methods=["POST"])
def fetch_file(doctype: str, name: str, kind: str) -> str:
	"""The address of the fiscal PDF or XML of an invoice, fetched from the provider when it is not here yet.

	It is that of the route, which names the file as users expect whatever it is called on the disk.
	"""
	_readable_invoice(doctype, name)
	if kind not in files.KINDS:
		frappe.throw(_("There is no fiscal file of the kind {0}.").format(kind))
	row = dispatch.find(doctype, name)
	if not row:
		frappe.throw(_("{0} has no fiscal document.").format(name), frappe.DoesNotExistError)
	files.file_of(row, kind)
	return f"/{frappe.scrub(doctype).replace('_', '-')}/{quote(name, safe='')}/fiscal/{kind}"


def _operable(document: str):
	_require(OPERATE)
	row = frappe.get_doc(dispatch.DOCTYPE, document)
	row.check_permission("read")
	return row


def _readable_invoice(doctype: str, name: str):
	if doctype not in (*sources.SOURCES, dispatch.DOCTYPE):
		frappe.throw(_("{0} has no fiscal document.").format(doctype), frappe.PermissionError)
	frappe.has_permission(doctype, "read", doc=name, throw=True)


@frappe.whitelist()
def mail_address(doctype: str, name: str) -> str:
	"""Where the fiscal document of an invoice should be sent, as a proposal."""
	_readable_invoice(doctype, name)
	frappe.has_permission(doctype, "email", doc=name, throw=True)
	return mail.address_for(doctype, name)


@frappe.whitelist(methods=["POST"])
def send_mail(doctype: str, name: str, recipients: str) -> list[str]:
	"""E-mail the fiscal PDF and XML of an invoice. For whoever may read the invoice and send mails of it."""
	_readable_invoice(doctype, name)
	frappe.has_permission(doctype, "email", doc=name, throw=True)
	row = dispatch.find(doctype, name)
	if not row:
		frappe.throw(_("{0} has no fiscal document.").format(name), frappe.DoesNotExistError)
	return mail.send(row, recipients)


@frappe.whitelist(methods=["POST"])
def send_to_review(document: str, reason: str):
	"""Put a document before a manager, for a reason. It goes no further by itself."""
	_operable(document)
	by_hand.send_to_review(document, reason)


# -- proof -----------------------------------------------------------------------------------------------

MOST_BROKEN = 20


@frappe.whitelist()
def verify_record(
	document: str | None = None,
	invoice: str | None = None,
	doctype: str | None = None,
	company: str | None = None,
	from_date: str | None = None,
	to_date: str | None = None,
) -> dict:
	"""Whether the record of one Fiscal Document, of one invoice, or of what a company made in a period is unbroken.

	`broken` tells the first row of each chain that is not as it was written, for MOST_BROKEN chains at most;
	`title` and `message` say the same in words, as HTML.
	"""
	_require(OPERATE)
	documents = [document] if document else []
	if invoice and not document:
		wanted = {"reference_name": invoice, **({"reference_doctype": doctype} if doctype else {})}
		documents = frappe.get_all(dispatch.DOCTYPE, wanted, pluck="name")
	if document or invoice:
		verdicts = [proof.verify(_operable(name).name) for name in documents]
	else:
		verdicts = proof.verify_all(proof.period(from_date, to_date, company), limited=True)
	chains = rows = 0
	broken = []
	for verdict in verdicts:
		chains += 1
		rows += verdict.head.count
		if not verdict.unbroken:
			broken.append(verdict)
	if broken:
		title = _("{0} of {1} chains are broken.").format(len(broken), chains)
		lines = [frappe.utils.escape_html(proof.in_words(verdict)) for verdict in broken[:MOST_BROKEN]]
	else:
		title = _("Unbroken")
		lines = [
			_("{0} rows in {1} chains are as they were written.").format(rows, chains),
		]
	return {
		"unbroken": not broken,
		"chains": chains,
		"rows": rows,
		"broken": [
			{"chain": entry.chain, "kind": entry.kind, "request": entry.request, "number": entry.number}
			for entry in broken[:MOST_BROKEN]
		],
		"title": title,
		"message": "<br>".join(lines),
	}


@frappe.whitelist(methods=["GET", "POST"])
def preview_bulk(
	doctype: str, names: list | str | None = None, filters: list | dict | str | None = None
) -> dict:
	"""How many of these rows `start_bulk` would send, and why not the others. For managers."""
	_require(MANAGE)
	return bulk.preview(doctype, frappe.parse_json(names), frappe.parse_json(filters))


@frappe.whitelist(methods=["POST"])
def start_bulk(
	doctype: str, names: list | str | None = None, filters: list | dict | str | None = None
) -> dict:
	"""Put these rows, by name or all that `filters` select, on their way as a Fiscal Batch. For managers."""
	_require(MANAGE)
	return bulk.start(doctype, frappe.parse_json(names), frappe.parse_json(filters))
