"""What can be downloaded of an invoice: XML, PDF, both zipped, and the receipt of its cancellation."""

import io
import uuid
import zipfile
from datetime import timedelta
from xml.sax.saxutils import quoteattr as attribute

from fiscal_integration.sandbox.facturapi.entries import ISSUER, iso
from fiscal_integration.sandbox.facturapi.refusal import Refusal
from fiscal_integration.sandbox.kernel import Answer
from fiscal_integration.sandbox.pdf import Page

FILES = {"pdf": "application/pdf", "xml": "application/xml", "zip": "application/zip"}


class Files:
	"""Part of FacturapiEmulator."""

	def _acknowledgement(self, entry, kind):
		if entry["status"] != "canceled":
			raise Refusal(
				409, "invoice_cancellation_receipt_unavailable", "El acuse todavía no está disponible"
			)
		if kind == "pdf":
			page = Page()
			page.text("SANDBOX - SIN VALIDEZ FISCAL", 18)
			page.text(f"Acuse de cancelacion {entry['canceled_at']}", 12)
			page.text(f"UUID {entry['uuid']}  EstatusUUID 201")
			return Answer(200, page.render(), content_type=FILES["pdf"])
		return Answer(
			200,
			(
				'<?xml version="1.0" encoding="UTF-8"?>\n<!-- SANDBOX: SIN VALIDEZ FISCAL -->\n'
				f'<Acuse xmlns="http://cancelacfd.sat.gob.mx" Fecha={attribute(entry["canceled_at"])} '
				f"RfcEmisor={attribute(ISSUER['tax_id'])}><Folios><UUID>{entry['uuid']}</UUID>"
				"<EstatusUUID>201</EstatusUUID></Folios></Acuse>\n"
			).encode(),
			content_type=FILES["xml"],
		)

	def _file(self, entry, kind):
		if entry["status"] == "draft" and kind == "pdf":
			return Answer(200, Page.of_invoice(entry), content_type=FILES["pdf"])
		if entry["status"] not in ("valid", "canceled"):
			raise Refusal(409, "invoice_not_stamped", "La factura no está timbrada")
		if kind == "xml":
			return Answer(200, entry["_xml"].encode(), content_type=FILES["xml"])
		pdf = Page.of_invoice(entry)
		if kind == "pdf":
			return Answer(200, pdf, content_type=FILES["pdf"])
		buffer = io.BytesIO()
		with zipfile.ZipFile(buffer, "w") as archive:
			archive.writestr(f"{entry['uuid']}.xml", entry["_xml"])
			archive.writestr(f"{entry['uuid']}.pdf", pdf)
		return Answer(200, buffer.getvalue(), content_type=FILES["zip"])

	def signed_url(self, entry, parts):
		"""A link that downloads the file: told with the documented fields, though nothing is behind it here."""
		kind = parts[-1] if parts[-1] in FILES else "pdf"
		return Answer(
			200,
			{
				"url": f"https://files.sandbox.invalid/{entry['id']}.{kind}?signature={uuid.uuid4().hex}",
				"expires_at": iso(self.clock.now() + timedelta(minutes=15)),
				"content_type": FILES[kind],
				"filename": f"{entry.get('uuid') or entry['id']}.{kind}",
			},
		)
