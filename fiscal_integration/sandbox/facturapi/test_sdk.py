import json
import re
import subprocess
import unittest
from pathlib import Path

from fiscal_integration.sandbox import Sandbox
from fiscal_integration.sandbox.facturapi import sdk_types
from fiscal_integration.sandbox.facturapi.entries import OPTIONAL_OF_PAYMENT

TYPES = {
	"invoices.create": "Invoice",
	"invoices.retrieve": "Invoice",
	"invoices.updateStatus": "Invoice",
	"invoices.copyToDraft": "Invoice",
	"invoices.updateDraft": "Invoice",
	"invoices.stampDraft": "Invoice",
	"invoices.cancel": "Invoice",
	"invoices.paymentSummary": "PaymentSummary",
	"invoices.sendByEmail": "GenericResponse",
	"invoices.downloadPdfUrl": "SignedDownloadUrl",
	"invoices.previewPdfUrl": "SignedDownloadUrl",
	"invoices.downloadCancellationReceiptPdfUrl": "SignedDownloadUrl",
	"invoices.downloadCancellationReceiptXmlUrl": "SignedDownloadUrl",
	"payment": "Invoice",
	"credit note": "Invoice",
	"draft": "Invoice",
	"receipts.invoice": "Invoice",
	"receipts.toInvoice": "Invoice",
	"receipts.createGlobalInvoice": "Invoice",
	"receipts.create": "Receipt",
	"receipts.retrieve": "Receipt",
	"receipts.cancel": "Receipt",
	"receipts.downloadPdfUrl": "SignedDownloadUrl",
	"customers.create": "Customer",
	"customers.retrieve": "Customer",
	"customers.update": "Customer",
	"customers.validateTaxInfo": "TaxInfoValidation",
	"products.create": "Product",
	"products.update": "Product",
	"webhooks.create": "Webhook",
	"webhooks.retrieve": "Webhook",
	"organizations.me": "Organization",
	"organizations.retrieve": "Organization",
	"organizations.updateReceiptSettings": "Organization",
	"organizations.createSeriesGroup": "Series",
}
LISTS = {
	"invoices.list": "Invoice",
	"customers.list": "Customer",
	"products.list": "Product",
	"receipts.list": "Receipt",
	"webhooks.list": "Webhook",
	"organizations.list": "Organization",
}
FILES = {
	"invoices.downloadPdf": "%PDF-",
	"invoices.downloadXml": "<?xml",
	"invoices.downloadZip": "PK",
	"invoices.previewPdf": "%PDF-",
	"invoices.downloadCancellationReceiptPdf": "%PDF-",
	"invoices.downloadCancellationReceiptXml": "<?xml",
	"receipts.downloadPdf": "%PDF-",
	"receipts.previewToInvoicePdf": "%PDF-",
}

WITHOUT_VALUE = (
	".third_party",
	".complement",
	".pending_plan_update",
	*(f".data.0.{name}" for name in OPTIONAL_OF_PAYMENT),
)
"""Told as null: the types do not say what stands there where there is none."""
UNSTAMPED = ("Invoice.uuid", "Invoice.payment_form")
OF_PAYMENTS = ("Invoice.payment_form", "Invoice.payment_method")
"""A payment complement has them in its payments."""

CLASHES = (
	r"Organization\.customization\.has_logo is False, not string",
	r"Invoice\.complements\.\d+\.data\.\d+\.related_documents\.\d+\.folio_number is \d+, not string",
)
"""Where the types have a string, and the OpenAPI a boolean or an integer: the OpenAPI is followed."""


class TestOfficialSdk(unittest.TestCase):
	"""Facturapi's own SDK makes all its calls, and what comes back has the fields of its types."""

	@classmethod
	def setUpClass(cls):
		folder = sdk_types.package()
		with Sandbox() as sandbox:
			emulator = sandbox.emulators["facturapi"]
			keys = [emulator.secret_key(), emulator.secret_key(True), emulator.user_key()]
			script = Path(__file__).with_name("sdk_calls.mjs")
			run = subprocess.run(
				["node", str(script), str(folder), sandbox.url("facturapi"), *keys],
				capture_output=True,
				text=True,
				timeout=120,
				check=False,
			)
		if run.returncode:
			raise AssertionError(f"The SDK's calls ended with an error:\n{run.stderr[-3000:]}")
		told = json.loads(run.stdout)
		cls.answers, cls.errors = told["answers"], told["errors"]
		cls.called, cls.methods = set(told["called"]), set(told["methods"])

	def test_every_method_was_called(self):
		self.assertGreater(len(self.methods), 100)
		self.assertEqual(self.methods - self.called, set())

	def differences(self, kind, answer):
		excused = []
		if answer.get("status") == "draft":
			excused += UNSTAMPED
		if answer.get("type") == "P":
			excused += OF_PAYMENTS
		return [
			text
			for text in sdk_types.differences(kind, answer)
			if not (
				text.endswith(" is null")
				and text.removesuffix(" is null").endswith((*WITHOUT_VALUE, *excused))
			)
			and not any(re.fullmatch(pattern, text) for pattern in CLASHES)
		]

	def test_answers_have_the_fields_of_the_types(self):
		for name, kind in TYPES.items():
			with self.subTest(name):
				self.assertEqual(self.differences(kind, self.answers[name]), [])
		for name, kind in LISTS.items():
			with self.subTest(name):
				found = self.answers[name]
				self.assertEqual(found["total_results"], len(found["data"]))
				self.assertTrue(found["data"])
				for entry in found["data"]:
					self.assertEqual(self.differences(kind, entry), [])

	def test_the_types_are_read(self):
		"""The reader of the types finds what is wrong, so that finding nothing means something."""
		good = self.answers["invoices.create"]
		for change, text in (
			({"uuid": 5}, "Invoice.uuid is 5, not string"),
			({"total": "580"}, "Invoice.total is '580', not number"),
			({"livemode": None}, "Invoice.livemode is null"),
			({"items": {}}, "Invoice.items is no list"),
			({"customer": {**good["customer"], "tax_id": None}}, "Invoice.customer.tax_id is null"),
			({"stamp": {**good["stamp"], "date": 1}}, "Invoice.stamp.date is 1, not string"),
		):
			self.assertIn(text, self.differences("Invoice", {**good, **change}))
		missing = {name: value for name, value in good.items() if name != "issuer_info"}
		self.assertIn("Invoice.issuer_info is missing", self.differences("Invoice", missing))

	def test_files_are_files(self):
		for name, start in FILES.items():
			with self.subTest(name):
				self.assertEqual(self.answers[name]["bytes"][: len(start)], start)

	def test_what_the_calls_did(self):
		answers = self.answers
		self.assertEqual(answers["invoices.create"]["total"], 580)
		self.assertEqual(answers["invoices.list"]["data"][0]["id"], answers["invoices.create"]["id"])
		self.assertEqual(answers["invoices.copyToDraft"]["status"], "draft")
		self.assertEqual(answers["invoices.updateDraft"]["conditions"], "30 días")
		self.assertEqual(answers["invoices.stampDraft"]["status"], "valid")
		self.assertEqual(answers["invoices.cancel"]["status"], "canceled")
		self.assertEqual(answers["invoices.paymentSummary"]["last_balance"], 580)
		self.assertEqual(answers["payment"]["total_payment_amount"], 100)
		self.assertTrue(answers["customers.update"]["edit_link"].startswith("https://"))
		self.assertEqual(answers["customers.validateTaxInfo"], {"is_valid": True, "errors": []})
		self.assertEqual(answers["receipts.invoice"]["total"], 116)
		self.assertEqual(answers["receipts.createGlobalInvoice"]["customer"]["tax_id"], "XAXX010101000")
		self.assertEqual(answers["receipts.cancel"]["status"], "canceled")
		self.assertEqual(answers["webhooks.update"]["status"], "disabled")
		self.assertEqual(answers["webhooks.validateSignature"]["type"], "invoice.status_updated")
		self.assertEqual(answers["organizations.updateReceiptSettings"]["receipts"]["duration_days"], 3)
		self.assertEqual(answers["organizations.checkDomainIsAvailable"], {"available": True})
		self.assertTrue(answers["organizations.getTestApiKey"].startswith("sk_test_"))

	def test_errors_are_read_by_the_sdk(self):
		"""Status, stable code, message, details and correlation id, as its FacturapiError has them."""
		for name, error in self.errors.items():
			with self.subTest(name):
				self.assertGreaterEqual(error["status"], 400)
				self.assertLess(error["status"], 500)
				self.assertTrue(error["code"] and error["message"] and error["logId"], error)
		wrong = self.errors["wrong use"]
		self.assertEqual((wrong["status"], wrong["code"]), (400, "invalid_request"))
		self.assertEqual([entry["code"] for entry in wrong["errors"]], ["CFDI40160"])
