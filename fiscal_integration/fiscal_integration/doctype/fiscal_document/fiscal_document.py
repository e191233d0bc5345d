import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import now_datetime

from fiscal_integration import mail
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.text import harmless


class FiscalDocument(Document):
	"""One fiscal document of one invoice (decisions/0001-outbox.md): the outbox row, and afterwards the truth.

	States move through `move_to` only; the invoice's fiscal fields are a projection of this row.
	"""

	def validate(self):
		frappe.throw(
			_("A fiscal document is written by the system only. Use its buttons to send it again or to ask."),
			frappe.PermissionError,
		)

	def on_trash(self):
		if self.status != lifecycle.QUEUED or self.attempts or self.exchange_count:
			frappe.throw(
				_("The fiscal document of {0} is kept: it was sent.").format(self.reference_name),
				frappe.PermissionError,
			)

	def move_to(self, state: str):
		"""Change the state. Raises lifecycle.IllegalTransition when `state` may not follow."""
		self.status = lifecycle.check(self.status, state)
		self.status_since = now_datetime()
		if state == lifecycle.ISSUED:
			mail.mark(self)

	def set_stamps(self, pairs):
		"""Replace the stamps by these pairs of key and value."""
		self.set("stamps", [])
		for key, value in pairs:
			self.append("stamps", {"key": key, "value": value})
		self.flags.stamps_changed = True

	def store(self):
		"""Write what the service changed.

		Without what `save` does for what people enter (reading it anew, looking up every link, versions): every
		sale passes here several times, and the row is locked by its caller. Frappe's own cleaning of texts is left out
		with it, so ours takes its place: providers and people wrote some of them, and the Desk shows them as they are.
		"""
		for field in TEXTS:
			setattr(self, field, harmless(getattr(self, field, None)))
		for stamp in self.stamps:
			stamp.value = harmless(stamp.value)
		self.set_user_and_timestamp()
		self.db_update()
		if self.flags.stamps_changed:
			frappe.db.delete(STAMP, {"parent": self.name, "parenttype": self.doctype})
			for stamp in self.stamps:
				stamp.db_insert()
			self.flags.stamps_changed = False
		frappe.clear_document_cache(self.doctype, self.name)


STAMP = "Fiscal Document Stamp"
TEXTS = (
	"purpose",
	"kind",
	"provider",
	"environment",
	"fiscal_id",
	"authorization_number",
	"provider_id",
	"remarks",
	"qr_value",
	"pdf",
	"xml",
	"acknowledgement",
	"fiscal_number",
	"branch_code",
	"point_code",
	"serial_device",
	"sequence_number",
	"cancellation_motive",
	"cancellation_reason",
	"cancellation_message",
	"error_class",
	"error_code",
	"error_message",
	"device",
	"exchange_hash",
	"external_reference",
	"idempotency_key",
	"document_type",
	"receiver_id",
	"payload_hash",
	"notified_to",
	"notification_error",
)
"""All fields of plain text; the payload is what was sent, byte for byte, and is shown as code."""


def on_doctype_update():
	frappe.db.add_unique("Fiscal Document", ["reference_doctype", "reference_name", "purpose"])
	frappe.db.add_unique("Fiscal Document", ["sequence", "sequence_number"], "fiscal_sequence_number")
	for name, fields in INDEXES.items():
		frappe.db.add_index("Fiscal Document", fields, name)


INDEXES = {
	"fiscal_due": ["status", "next_attempt"],
	"fiscal_lane": ["company", "status", "bulk", "next_attempt"],
	"fiscal_device": ["device", "status", "creation"],
	"fiscal_projected": ["projected", "status"],
	"fiscal_batch": ["batch", "status"],
	"fiscal_since": ["status", "status_since"],
	"fiscal_cancelling": ["cancellation_status", "cancellation_next"],
}
"""What the sweep, the drains, the devices, the batches and the alerts look rows up by."""
