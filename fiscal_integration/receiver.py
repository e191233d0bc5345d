"""Who a sale's fiscal document is for, as the forms ask it. What is asked is the provider's to say."""

import frappe
from frappe import _

from fiscal_integration import audit, connection, mapping
from fiscal_integration.fiscal.words import translated
from fiscal_integration.providers.base import Provider, Taxpayer


def _provider(company: str) -> type[Provider]:
	record = connection.record_for(company)
	if not record:
		frappe.throw(_("The integration is switched off for {0}.").format(company))
	return record.provider_class


def of_customer(customer: str, company: str) -> dict:
	"""Type, name, number, address, place and e-mail that a document for `customer` carries."""
	provider = _provider(company)
	doc = frappe._dict(doctype="Sales Invoice", company=company, customer=customer)
	party = mapping.receiver_of(doc)
	checked = provider.check_taxpayer(party.tax_id, party.taxpayer_type) if party.tax_id else Taxpayer()
	return {
		"kind": provider.receiver_kind(party),
		"name": party.name,
		"tax_id": party.tax_id,
		"dv": party.dv or checked.dv,
		"taxpayer_type": checked.taxpayer_type,
		"email": party.email,
		"address": ", ".join(part for part in (party.address, party.city) if part),
		"location": party.location,
	}


def check(company: str, tax_id: str, taxpayer_type: str = "") -> dict:
	"""The check digits and type of a taxpayer's number, or the message of what is wrong with it. Local."""
	return _told(_provider(company).check_taxpayer(mapping.squeeze(tax_id), taxpayer_type))


def look_up(company: str, tax_id: str, taxpayer_type: str = "") -> dict:
	"""What the provider's register says of a number. Commits the record of the call."""
	provider_class = _provider(company)
	if not provider_class.capabilities.taxpayers:
		frappe.throw(_("The provider of {0} offers no look-up of taxpayers.").format(company))
	checked = provider_class.check_taxpayer(mapping.squeeze(tax_id), taxpayer_type)
	if checked.failure:
		return _told(checked)
	found = connection.for_company(company)
	recorder = audit.Recorder(found.provider, found.secrets, found.source[1])
	provider = connection.open_provider(found, recorder)
	answer = provider.taxpayer(checked.tax_id, checked.taxpayer_type)
	recorder.keep()
	if answer.failure:
		audit.log_failure(f"Look-up of {tax_id}", answer.failure.message, recorder)
		frappe.db.commit()
	told = _told(answer)
	if not answer.found and not answer.failure:
		told["message"] = _("The authority knows no taxpayer {0}.").format(tax_id)
	return {key: recorder.redact(value) if isinstance(value, str) else value for key, value in told.items()}


def _told(answer: Taxpayer) -> dict:
	if answer.failure:
		return {"found": False, "message": translated(answer.failure.message, _)}
	return {
		"found": answer.found,
		"name": answer.name,
		"tax_id": answer.tax_id,
		"dv": answer.dv,
		"taxpayer_type": answer.taxpayer_type,
	}
