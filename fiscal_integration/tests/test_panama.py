"""Panama through HKA (SOAP and REST) and FacturaFácil: the same sales, the same promises."""

from decimal import Decimal

import frappe

from fiscal_integration import dispatch, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.panama import cufe
from fiscal_integration.testing import FiscalTestCase

BUSINESS = "Distribuidora Chiriquí, S.A."


class PanamaSales:
	"""What holds for each of them."""

	shop = sample.PANAMA

	def issue(self, **values):
		doc, row = self.sell(**values)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row

	def entry(self, row) -> dict:
		(found,) = [entry for entry in self.sandbox.ledger(self.provider) if entry["uuid"] == row.fiscal_id]
		return found

	def test_a_walk_in_sale_comes_back_with_everything(self):
		doc, row = self.issue()
		doc.reload()
		self.assertTrue(cufe.is_valid(doc.fiscal_id))
		self.assertEqual(self.entry(row)["total"], float(doc.grand_total))
		self.assertEqual(self.entry(row)["external_id"], row.external_reference)
		self.assertTrue(doc.fiscal_authorization and doc.fiscal_authorized_at)
		self.assertTrue(doc.fiscal_qr_value.startswith("https://dgi-fep-test.mef.gob.pa"))
		self.assertTrue(doc.fiscal_qr_image.startswith("data:image/png;base64,"))
		self.assertEqual(cufe.parts(doc.fiscal_id)["document"], "01")

	def test_numbers_are_gapless_and_kept_by_what_is_rejected(self):
		_, first = self.issue()
		_, row = self.sell(customer=BUSINESS)
		self.sandbox.fault(self.provider, "status", status=200, code="201")
		refused = self.run_job(row)
		self.assertEqual(refused.status, lifecycle.REJECTED)
		_, third = self.issue()
		dispatch.retry(row.name)
		frappe.db.commit()
		second = self.run_job(row)
		self.assertEqual(second.status, lifecycle.ISSUED, second.error_message)
		numbers = [int(entry.sequence_number) for entry in (first, second, third)]
		self.assertEqual(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2])
		self.assertEqual(refused.sequence_number, second.sequence_number)

	def test_a_lost_answer_is_looked_up_and_compared(self):
		_, row = self.sell(customer=BUSINESS)
		self.sandbox.fault(self.provider, "lost_after_commit")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(len(self.sandbox.ledger(self.provider)), 1)
		self.assertTrue(row.qr_value)

	def test_what_was_never_there_is_sent_again_under_its_number(self):
		_, row = self.sell()
		self.sandbox.fault(self.provider, "lost_before_commit")
		row = self.run_job(row)
		number, payload = row.sequence_number, row.payload
		self.turn_time(row, seconds=400)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.QUEUED)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual((row.sequence_number, row.payload), (number, payload))

	def test_a_total_that_differs_at_the_provider_is_not_adopted(self):
		_, row = self.sell(customer=BUSINESS)
		self.sandbox.fault(self.provider, "lost_after_commit")
		row = self.run_job(row)
		(entry,) = self.sandbox.emulators[self.provider].dgi.documents.values()
		entry["xml"] = entry["xml"].replace("<dVTot>", "<dVTot>9")
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)
		self.assertIn("total", row.error_message)

	def test_a_credit_note_names_the_cufe_of_what_it_corrects(self):
		doc, row = self.issue(customer=BUSINESS)
		note = sample.credit_note(doc)
		frappe.db.commit()
		found = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(found.status, lifecycle.ISSUED, found.error_message)
		self.assertEqual(cufe.parts(found.fiscal_id)["document"], "04")
		self.assertEqual(self.entry(found)["referenced"], row.fiscal_id)

	def test_one_against_an_invoice_without_fiscal_document_is_generic(self):
		self.switch_off()
		doc = sample.invoice(shop=self.shop, customer=BUSINESS)
		frappe.db.commit()
		self.connect()
		note = sample.credit_note(doc)
		frappe.db.commit()
		found = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(found.status, lifecycle.ISSUED, found.error_message)
		self.assertEqual(cufe.parts(found.fiscal_id)["document"], "06")

	def test_every_kind_of_receiver(self):
		for customer, kind in (
			(sample.WALK_IN, "02"),
			(BUSINESS, "01"),
			("Ana Lucía Batista", "02"),
			("Pacific Outfitters Inc", "04"),
			("Ministerio de Prueba", "03"),
		):
			with self.subTest(customer):
				_, row = self.issue(customer=customer, items=[("PAPEL-A4", 4, 6.75)])
				self.assertEqual(
					self.sandbox.emulators[self.provider].dgi.documents[row.fiscal_id]["receiver"]["kind"],
					kind,
				)

	def test_taxes_discounts_and_mixed_payments(self):
		_, row = self.issue(
			customer=BUSINESS,
			items=[
				{
					"item_code": "CAFE-500",
					"qty": 3,
					"rate": 130.5,
					"price_list_rate": 145.0,
					"discount_amount": 14.5,
				},
				("LIBRO-01", 1, 320.0),
				("QUESO-KG", 1.355, 189.9),
			],
			paid=[("Cash", 500.0), ("Credit Card", 519.47)],
		)
		self.assertEqual(
			Decimal(str(self.entry(row)["total"])), Decimal(str(row.total)).quantize(Decimal("0.01"))
		)

	def test_on_credit_with_terms(self):
		_, row = self.issue(doctype="Sales Invoice", customer=BUSINESS, paid=False)
		self.assertIn('"01"', row.payload)

	def test_a_reserve_invoice_is_issued_like_any_other(self):
		"""An A/R reserve invoice is a Sales Invoice that does not update stock (seed 000)."""
		doc, _row = self.issue(doctype="Sales Invoice", customer=BUSINESS, update_stock=0)
		self.assertFalse(doc.update_stock)

	def test_an_issued_invoice_cannot_be_cancelled(self):
		doc, _row = self.issue()
		with self.assertRaisesRegex(frappe.ValidationError, "credit note"):
			frappe.get_doc(doc.doctype, doc.name).cancel()


class TestHkaSoap(PanamaSales, FiscalTestCase):
	provider = "hka"


class TestHkaRest(PanamaSales, FiscalTestCase):
	provider = "hka"

	def connect_account(self, **values):
		values["parameters"] = {"transport": "REST", **values.get("parameters", {})}
		return super().connect_account(**values)


class TestFacturaFacil(PanamaSales, FiscalTestCase):
	provider = "facturafacil"
