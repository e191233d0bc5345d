"""What print formats need of a sale's fiscal document: Jinja's `fiscal_receipt(doc)`."""

from fiscal_integration import connection, dispatch
from fiscal_integration.fiscal import lifecycle, qr
from fiscal_integration.fiscal.austria import rksv

TRAINING_LABEL, CANCELLATION_LABEL = "Trainingsbuchung", "Stornobuchung"
LABELS = {"TRAINING": TRAINING_LABEL, "CANCELLATION": CANCELLATION_LABEL}
"""What RKSV section 10 (3) wants on such receipts."""
RATES = {name: f"{rate * 100:.0f} %" for rate, name in rksv.RATES.items()}


def fiscal_receipt(doc) -> dict:
	"""Status, id, QR image and stamps of the invoice's fiscal document, and what an Austrian receipt has to tell.

	Empty for an invoice without one. While a cash register cannot be reached, `outage` holds the words that go on the
	slip in place of number and signature, and the QR code holds them too (austria.md 3.4).
	"""
	row = dispatch.find(doc.doctype, doc.name)
	if not row:
		return {}
	provider = connection.providers().get(row.provider) or _provider_of(row.company)
	stamps = {stamp.key: stamp.value for stamp in row.stamps}
	found = {
		"status": row.status,
		"fiscal_id": row.fiscal_id if dispatch.shows_qr(row) else "",
		"authorization": row.authorization_number or "",
		"authorized_at": row.authorized_at,
		"number": row.fiscal_number or "",
		"qr_image": row.qr_image if dispatch.shows_qr(row) else "",
		"stamps": stamps,
		"label": LABELS.get(stamps.get("receipt_type", ""), ""),
		"gross": [],
		"outage": "",
	}
	if not provider or not provider.capabilities.registers:
		return found
	if row.status == lifecycle.ISSUED:
		found["gross"] = [
			(RATES[name], stamps[f"gross_{name.lower()}"])
			for name in rksv.ORDER
			if stamps.get(f"gross_{name.lower()}")
		]
		found["outage"] = "" if stamps.get("signed") == "1" else rksv.OUTAGE
	else:
		found.update(
			{"fiscal_id": "", "number": "", "outage": rksv.OUTAGE, "qr_image": qr.data_uri(rksv.OUTAGE)}
		)
	return found


def _provider_of(company: str):
	record = connection.record_for(company)
	return record.provider_class if record else None
