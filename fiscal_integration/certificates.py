"""The certificates that sign for companies: stored encrypted, initialized, renewed, and lent to providers.

A Fiscal Point of Sale may have one of its own; all others sign with the company's.

File and password are kept in Frappe's encrypted store under the Fiscal Certificate; those of a superseded one are
forgotten, and its facts stay.
"""

import base64
import binascii
from datetime import timezone
from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import get_system_timezone, now_datetime
from frappe.utils.password import get_decrypted_password, remove_encrypted_password, set_encrypted_password

from fiscal_integration import audit
from fiscal_integration.fiscal.certificate import CertificateError, Signer, open_p12
from fiscal_integration.fiscal.panama import ruc
from fiscal_integration.fiscal.words import translated

DOCTYPE = "Fiscal Certificate"
ACTIVE, SUPERSEDED, NEW = "Active", "Superseded", "Not Initialized"
FILE, PASSWORD = "p12_file", "p12_password"
_opened: dict[tuple, Signer] = {}


def initialize(name: str, content: str, password: str) -> dict:
	"""Put a P12 (base64) to use as the certificate `name`; of an active one, as its successor.

	Returns {"ok", "message", "name"}. What is wrong with the file is an answer, not an exception, so that neither
	file nor password can end in a log. Commits.
	"""
	row = frappe.get_doc(DOCTYPE, name, for_update=True)
	if row.status == SUPERSEDED:
		frappe.throw(_("This certificate was superseded. Renew the active one of {0}.").format(row.company))
	now = now_datetime()
	try:
		raw = base64.b64decode(content or "", validate=True)
		signer = open_p12(raw, password or "", now.replace(tzinfo=ZoneInfo(get_system_timezone())))
	except (binascii.Error, CertificateError) as error:
		message = (
			translated(str(error), _)
			if isinstance(error, CertificateError)
			else _("The file did not arrive whole. Choose it again.")
		)
		audit.log_failure(f"Certificate of {row.company}", message)
		frappe.db.commit()
		return {"ok": False, "code": getattr(error, "code", "corrupt"), "message": message, "name": name}
	if row.status == ACTIVE:
		successor = {"doctype": DOCTYPE, "company": row.company, "point_of_sale": row.point_of_sale}
		row = frappe.get_doc(successor).insert(ignore_permissions=True)
	facts = signer.facts
	row.update(
		{
			"status": ACTIVE,
			"subject": facts.subject,
			"common_name": facts.common_name,
			"ruc": ruc_of(signer),
			"issuer": facts.issuer[:140],
			"serial": facts.serial[:140],
			"fingerprint": facts.fingerprint,
			"valid_from": _local(facts.valid_from),
			"valid_until": _local(facts.valid_until),
			"initialized_by": frappe.session.user,
			"initialized_at": now,
		}
	)
	row.flags.by_service = True
	row.save(ignore_permissions=True)
	set_encrypted_password(DOCTYPE, row.name, base64.b64encode(raw).decode(), FILE)
	set_encrypted_password(DOCTYPE, row.name, password or "", PASSWORD)
	for other in frappe.get_all(
		DOCTYPE, {**_of(row.company, row.point_of_sale), "name": ("!=", row.name)}, pluck="name"
	):
		_supersede(other, row.name, now)
	frappe.db.commit()
	return {"ok": True, "message": _("The certificate is loaded"), "name": row.name}


def _supersede(name: str, successor: str, now):
	frappe.db.set_value(
		DOCTYPE, name, {"status": SUPERSEDED, "superseded_by": successor, "superseded_at": now}
	)
	for field in (FILE, PASSWORD):
		remove_encrypted_password(DOCTYPE, name, field)


def _of(company: str, point: str | None) -> dict:
	"""The filters of the active certificates of exactly this point, or of the company."""
	return {"company": company, "status": ACTIVE, "point_of_sale": point or ("is", "not set")}


def active(company: str, point: str | None = None):
	"""The row of the active certificate that signs at this Fiscal Point of Sale: its own, else the company's; None
	where neither has one."""
	for own in dict.fromkeys((point or None, None)):
		found = frappe.get_all(
			DOCTYPE,
			_of(company, own),
			["name", "valid_until", "initialized_at", "company"],
			order_by="initialized_at desc",
			limit=1,
		)
		if found:
			return found[0]
	return None


def signer(company: str, point: str | None = None) -> Signer | None:
	"""Who signs for a company at this Fiscal Point of Sale (see `active`), also when the certificate has ended; None
	where none is initialized or it cannot be opened."""
	row = active(company, point)
	if not row:
		return None
	key = (frappe.local.site, row.name, str(row.initialized_at))
	if key not in _opened:
		content, password = (read_secret(DOCTYPE, row.name, field) for field in (FILE, PASSWORD))
		try:
			_opened[key] = open_p12(base64.b64decode(content), password)
		except (CertificateError, binascii.Error) as error:
			audit.log_failure(f"Certificate of {company} could not be opened", str(error), error=error)
			return None
	return _opened[key]


def read_secret(doctype: str, name: str, field: str) -> str:
	"""What Frappe's encrypted store holds; empty where nothing is stored.

	Raises frappe.ValidationError when the site's encryption key does not fit: `get_decrypted_password` without
	`raise_exception` takes that for nothing stored, from Frappe 16 on.
	"""
	stored = frappe.db.sql(
		"select 1 from `__Auth` where doctype = %s and name = %s and fieldname = %s and encrypted = 1 and password != ''",
		(doctype, name, field),
	)
	return get_decrypted_password(doctype, name, field) if stored else ""


def ruc_of(signer: Signer) -> str:
	"""The RUC that the certificate tells: in its name, between hyphens with blanks, or in an attribute."""
	parts = [part.strip() for part in signer.facts.common_name.split(" - ")]
	values = [str(attribute.value).strip() for attribute in signer.certificate.subject]
	return next((text for text in (*parts, *values) if ruc.is_valid(text)), "")


def _local(moment):
	return (
		moment.replace(tzinfo=moment.tzinfo or timezone.utc)
		.astimezone(ZoneInfo(get_system_timezone()))
		.replace(tzinfo=None)
	)
