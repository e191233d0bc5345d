"""Whitelisted calls. Thin: who may, then the service that does it."""

from urllib.parse import quote

import frappe
from frappe import _
from frappe.utils import getdate, now_datetime

from fiscal_integration import (
	audit,
	cancellation,
	certificates,
	circuit,
	connection,
	dispatch,
	drain,
	files,
	health,
	receiver,
	registers,
	webhooks,
)
from fiscal_integration.fiscal import lifecycle, qr
from fiscal_integration.fiscal.words import translated

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
	issued = row.status == lifecycle.ISSUED
	shown = dispatch.shows_qr(row)
	state = lifecycle.STATES[row.status]
	return {
		"name": row.name,
		"status": row.status,
		"colour": state.colour,
		"meaning": _("Pending, not yet submitted: built, signed and numbered here.")
		if row.status == lifecycle.QUEUED and row.fiscal_id
		else _(state.meaning),
		"todo": _(state.todo),
		"fiscal_id": row.fiscal_id,
		"qr_value": row.qr_value if shown else None,
		"qr_image": qr_image(row) if shown else None,
		"authorized_at": row.authorized_at,
		"attempts": row.attempts,
		"next_attempt": row.next_attempt if state.due else None,
		"error": row.error_message,
		"can_retry": operator and row.status in lifecycle.RETRYABLE_BY_PERSON,
		"can_take_over": bool(set(frappe.get_roles()) & set(MANAGE))
		and row.status == lifecycle.NEEDS_REVIEW
		and bool(row.fiscal_id),
		"can_ask": operator and row.status in (lifecycle.PENDING, lifecycle.UNKNOWN, lifecycle.QUEUED),
		"downloads": files.offered(row) if issued else [],
		"can_cancel": bool(set(frappe.get_roles()) & set(MANAGE)) and cancellation.offered(row),
		"cancellation": _cancellation(row),
		"authorization": row.authorization_number,
		"stamps": [[stamp.key, stamp.value] for stamp in row.stamps if len(stamp.value or "") <= 140]
		if shown
		else [],
		"fiscal_number": row.fiscal_number,
		"needs_attention": row.status in lifecycle.DEAD_LETTERS,
		"provider_down": _down_since(row.company) if state.due else None,
		"can_open": operator,
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
def cancel(document: str, reason: str):
	"""Ask the authority to cancel an issued document, for a reason. For managers, where the settings allow it."""
	_operable(document)
	_require(MANAGE)
	cancellation.request(document, reason)


@frappe.whitelist()
def sale_form(company: str, doctype: str) -> dict:
	"""What the form of a sale of `company` has to ask for its fiscal document: nothing for most providers."""
	if doctype not in ("POS Invoice", "Sales Invoice") or not frappe.has_permission(doctype, "read"):
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
	if not any(frappe.has_permission(doctype, "create") for doctype in ("POS Invoice", "Sales Invoice")):
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
def export_archive(till: str, start: str, end: str) -> str:
	"""The address of the archive of a cash register over these days."""
	_require(OPERATE)
	return registers.export(till, getdate(start), getdate(end)).file_url


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
	dispatch.retry(document)


@frappe.whitelist(methods=["POST"])
def take_over(document: str):
	"""Accept the provider's document of a row that needs review, after comparing it with the invoice."""
	_operable(document)
	_require(MANAGE)
	dispatch.take_over(document)


@frappe.whitelist(methods=["POST"])
def send_bulk(filters: dict | str | None = None) -> dict:
	"""Send again, or at once, all Fiscal Documents that `filters` select and that may be. For managers."""
	_require(MANAGE)
	batch = drain.queue_bulk(frappe.parse_json(filters) or {})
	return {"batch": batch, "documents": frappe.db.get_value(drain.BATCH, batch, "total") if batch else 0}


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
	dispatch.ask_now(document)


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
	if doctype not in ("POS Invoice", "Sales Invoice"):
		frappe.throw(_("{0} has no fiscal document.").format(doctype), frappe.PermissionError)
	frappe.has_permission(doctype, "read", doc=name, throw=True)
