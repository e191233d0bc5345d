"""Panama through HKA (SOAP and REST) and FacturaFácil: the same sales, the same promises."""

import json
import re
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, now_datetime

from fiscal_integration import (
	alerts,
	api,
	by_hand,
	cancellation,
	connection,
	dispatch,
	numbering,
	sample,
)
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
		by_hand.retry(row.name)
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
		"""An A/R reserve invoice is a Sales Invoice that does not update stock."""
		doc, _row = self.issue(doctype="Sales Invoice", customer=BUSINESS, paid=False, update_stock=0)
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


class FreeAndMany:
	"""What costs nothing keeps its rate, and a price of many decimals costs no cent more: with every provider."""

	shop = sample.PANAMA

	def setUp(self):
		super().setUp()
		if self.provider == "aludra":
			sample.certify(self.shop)
			frappe.db.commit()

	def issue(self, **values):
		doc, row = self.sell(customer=BUSINESS, doctype="Sales Invoice", paid=False, **values)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row

	def rates(self, row) -> list[str]:
		"""The ITBMS of each row as it was told: 01 is 7 %."""
		text = row.payload
		if text.startswith("<"):
			return re.findall(r"<dTasaITBMS>(..)</dTasaITBMS>", text)
		found = json.loads(text)
		if "documento" in found:
			return [item["tasaITBMS"] for item in found["documento"]["listaItems"]]
		if "request" in found:
			return [item["taxes"][0]["code"] for item in found["request"]["document"]["items"]]
		return [{7: "01", 0: "00"}[item["itbms_rate"]] for item in found["items"]]

	def test_a_free_row_is_not_exempt(self):
		doc, row = self.issue(items=[("CAFE-500", 2, 10.0), ("CAFE-500", 1, 0.0), ("LIBRO-01", 1, 0.0)])
		self.assertEqual(self.rates(row), ["01", "01", "00"])
		self.assertEqual(Decimal(str(row.total)), Decimal(str(doc.grand_total)))

	def test_a_row_discounted_by_all_of_its_price_is_not_exempt(self):
		gift = {
			"item_code": "CAFE-500",
			"qty": 2,
			"price_list_rate": 10.0,
			"discount_percentage": 100,
			"discount_amount": 10.0,
			"rate": 0,
		}
		_, row = self.issue(items=[("CAFE-500", 1, 10.0), gift])
		self.assertEqual(self.rates(row), ["01", "01"])

	def test_a_sale_discounted_by_all_of_its_price_is_not_exempt(self):
		_, row = self.issue(
			items=[("CAFE-500", 1, 10.0)],
			apply_discount_on="Grand Total",
			additional_discount_percentage=100,
		)
		self.assertEqual(self.rates(row), ["01"])
		self.assertEqual(Decimal(row.total), 0)

	def test_a_hundred_thousand_at_thirty_five_cents(self):
		values = {"items": [("CAFE-500", 100000, 0.35)], "taxes": "inclusive"}
		doc, row = self.issue(**values)
		self.assertEqual(doc.grand_total, 35000.0)
		self.assertEqual(Decimal(row.total), Decimal("35000.00"))
		(issued,) = self.issued_for(row)
		self.assertEqual(issued["total"], 35000.0)


class TestFreeAndManyHka(FreeAndMany, FiscalTestCase):
	provider = "hka"


class TestFreeAndManyAludra(FreeAndMany, FiscalTestCase):
	provider = "aludra"


class TestFreeAndManyFacturaFacil(FreeAndMany, FiscalTestCase):
	provider = "facturafacil"


class TestFreeAndManyConteo(FreeAndMany, FiscalTestCase):
	provider = "conteo"


class TestNumbering(FiscalTestCase):
	provider = "hka"
	shop = sample.PANAMA

	def setUp(self):
		super().setUp()
		for name in frappe.get_all(numbering.POINT, {"company": self.shop.company}, pluck="name"):
			frappe.delete_doc(numbering.POINT, name, force=True)
		frappe.db.commit()

	def point(self, **values):
		doc = frappe.get_doc({"doctype": numbering.POINT, "company": self.shop.company, **values}).insert()
		frappe.db.commit()
		return doc

	def test_a_till_has_its_own_branch_point_and_sequence(self):
		_, default = self.sell()
		default = self.run_job(default)
		self.point(
			pos_profile=self.shop.profile, branch_code="0003", point_code="014", serial_device="0000000009"
		)
		_, row = self.sell()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		parts = cufe.parts(row.fiscal_id)
		self.assertEqual((parts["branch"], parts["point"]), ("0003", "014"))
		self.assertEqual((row.branch_code, row.point_code, row.serial_device), ("0003", "014", "0000000009"))
		self.assertEqual(row.provider_id, f"0003/014/{row.sequence_number}/01/01/0000000009")
		self.assertNotEqual(row.sequence, default.sequence)

	def test_without_one_the_settings_defaults_hold(self):
		self.point(pos_profile=self.shop.profile, point_code="021")
		_, row = self.sell()
		self.assertEqual(cufe.parts(self.run_job(row).fiscal_id)["branch"], "0000")
		_, row = self.sell(doctype="Sales Invoice", customer=BUSINESS, paid=False)
		self.assertEqual(cufe.parts(self.run_job(row).fiscal_id)["point"], "001")

	def test_a_point_for_what_comes_from_no_till(self):
		self.point(point_code="030")
		_, row = self.sell(doctype="Sales Invoice", customer=BUSINESS, paid=False)
		self.assertEqual(cufe.parts(self.run_job(row).fiscal_id)["point"], "030")
		_, row = self.sell()
		self.assertEqual(cufe.parts(self.run_job(row).fiscal_id)["point"], "001")

	def test_what_is_entered_wrong_is_told(self):
		for values in (
			{"point_code": "000"},
			{"branch_code": "1"},
			{"serial_device": "x"},
			{"pos_profile": sample.PROFILE},
		):
			with self.subTest(values), self.assertRaises(frappe.ValidationError):
				self.point(**{"pos_profile": self.shop.profile, **values})
			frappe.db.rollback()
		self.point(pos_profile=self.shop.profile)
		with self.assertRaises(frappe.DuplicateEntryError):
			self.point(pos_profile=self.shop.profile)

	def test_a_sequence_goes_on_where_another_system_ended_and_never_back(self):
		_, row = self.sell()
		row = self.run_job(row)
		sequence = frappe.get_doc(numbering.SEQUENCE, row.sequence)
		with self.assertRaises(frappe.ValidationError):
			sequence.update({"last_number": "0"})
			sequence.save()
		with self.assertRaises(frappe.PermissionError):
			frappe.delete_doc(numbering.SEQUENCE, sequence.name)
		frappe.db.rollback()
		onward = int(row.sequence_number) + 4000
		sequence = frappe.get_doc(numbering.SEQUENCE, row.sequence)
		sequence.last_number = str(onward)
		sequence.save()
		frappe.db.commit()
		_, row = self.sell()
		self.assertEqual(int(self.run_job(row).sequence_number), onward + 1)

	def test_the_last_number_of_all(self):
		_, row = self.sell()
		row = self.run_job(row)
		frappe.db.set_value(numbering.SEQUENCE, row.sequence, "last_number", "9999999999")
		frappe.db.commit()
		_, row = self.sell()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		self.assertIn("used up", row.error_message)
		self.assertEqual(row.payload, None)
		frappe.delete_doc(
			numbering.SEQUENCE,
			frappe.db.get_value(numbering.SEQUENCE, {"last_number": "9999999999"}),
			force=True,
			ignore_on_trash=True,
		)
		frappe.db.commit()

	def test_several_workers_take_no_number_twice_and_leave_no_gap(self):
		rows = [self.sell()[1] for _sale in range(12)]
		names = [row.name for row in rows]
		for worker in self.start_workers(names[::3], names[1::3], names[2::3]):
			worker.join(60)
		found = [self.fresh(row) for row in rows]
		for row in found:
			# What two workers locked at once waits its turn.
			if row.status != lifecycle.ISSUED:
				self.turn_time(row)
				self.run_job(row)
		numbers = sorted(int(self.fresh(row).sequence_number) for row in rows)
		self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(rows))))
		self.assertEqual({self.fresh(row).status for row in rows}, {lifecycle.ISSUED})

	def test_a_number_belongs_to_one_document_in_the_database(self):
		_, row = self.sell()
		row = self.run_job(row)
		_, other = self.sell()
		with self.assertRaises(Exception) as caught:
			frappe.db.set_value(
				dispatch.DOCTYPE,
				other.name,
				{"sequence": row.sequence, "sequence_number": row.sequence_number},
			)
		self.assertIn("uplicate" if frappe.db.db_type == "mariadb" else "UNIQUE", str(caught.exception))
		frappe.db.rollback()


class TestCancellation(FiscalTestCase):
	provider = "hka"
	shop = sample.PANAMA
	REASON = "La venta no se realizó"

	def setUp(self):
		super().setUp()
		self.allow(1)
		queue = patch.object(cancellation, "enqueue")
		queue.start()
		self.addCleanup(queue.stop)
		self.addCleanup(self.allow, 0)

	def allow(self, value):
		frappe.db.rollback()
		frappe.db.set_single_value(connection.SETTINGS, "enable_cancellation", value)
		frappe.clear_document_cache(connection.SETTINGS, connection.SETTINGS)
		frappe.db.commit()

	def issued(self):
		doc, row = self.sell()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row

	def ask(self, row, reason=REASON):
		api.cancel(row.name, reason)
		frappe.db.commit()

	def step(self, row):
		cancellation.process(row.name)
		return self.fresh(row)

	def later(self, row):
		frappe.db.set_value(
			dispatch.DOCTYPE, row.name, "cancellation_next", add_to_date(now_datetime(), seconds=-1)
		)
		frappe.db.commit()

	def test_from_the_request_to_the_cancelled_invoice(self):
		doc, row = self.issued()
		self.ask(row)
		self.assertEqual(self.fresh(row).cancellation_status, "Requested")
		with self.assertRaises(frappe.ValidationError):
			frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.rollback()
		row = self.step(row)
		self.assertEqual((row.status, row.cancellation_status), ("Issued", "Cancelled"))
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "fiscal_cancellation"), "Cancelled")
		frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.commit()
		self.assertEqual(self.fresh(row).status, "Issued", "what was issued stays on record")
		self.assertEqual(self.sandbox.ledger("hka")[0]["status"], "cancelled")
		operations = frappe.get_all(
			"Integration Request", {"fiscal_document": row.name}, pluck="fiscal_operation"
		)
		self.assertIn("cancel", operations)

	def test_only_where_the_settings_allow_it(self):
		_, row = self.issued()
		self.allow(0)
		with self.assertRaises(frappe.ValidationError):
			self.ask(row)
		self.assertFalse(api.fiscal_view(row.reference_doctype, row.reference_name)["can_cancel"])

	def test_a_reason_of_fifteen_characters_within_the_window(self):
		_, row = self.issued()
		with self.assertRaisesRegex(frappe.ValidationError, "15"):
			self.ask(row, "Error")
		frappe.db.rollback()
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "issued_at", add_to_date(now_datetime(), hours=-183))
		with self.assertRaisesRegex(frappe.ValidationError, "182 hours"):
			self.ask(row)

	def test_an_answer_that_was_lost_is_looked_up_first(self):
		_, row = self.issued()
		self.ask(row)
		self.sandbox.fault("hka", "lost_after_commit", operation="cancel")
		row = self.step(row)
		self.assertEqual(row.cancellation_status, "Unknown")
		self.later(row)
		row = self.step(row)
		self.assertEqual(row.cancellation_status, "Cancelled")
		sent = [
			request for request in self.sandbox.requests("hka") if "AnulacionDocumento" in request["body"]
		]
		self.assertEqual(len(sent), 1)

	def test_0622_counts_as_done(self):
		_, row = self.issued()
		self.ask(row)
		(entry,) = self.sandbox.emulators["hka"].dgi.documents.values()
		entry["status"] = "cancelled"
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")

	def test_a_worker_that_dies_leaves_what_is_looked_up(self):
		_, row = self.issued()
		self.ask(row)
		with patch.object(cancellation, "_ask", side_effect=SystemExit), self.assertRaises(SystemExit):
			cancellation.process(row.name)
		row = self.fresh(row)
		self.assertEqual(row.cancellation_status, "Unknown")
		self.later(row)
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")

	def test_a_refusal_is_told_and_may_be_asked_for_again(self):
		_, row = self.issued()
		self.ask(row)
		self.sandbox.advance(200 * 3600)
		row = self.step(row)
		self.assertEqual(row.cancellation_status, "Refused")
		self.assertIn("plazo", row.cancellation_message)
		self.sandbox.reset()
		self.assertTrue(cancellation.offered(row))

	def test_the_provider_unreachable_is_asked_later(self):
		_, row = self.issued()
		self.ask(row)
		self.sandbox.refuse()
		row = self.step(row)
		self.assertEqual(row.cancellation_status, "Requested")
		self.sandbox.resume()
		self.later(row)
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")

	def test_the_sweep_finds_what_is_due(self):
		_, row = self.issued()
		self.ask(row)
		with patch.object(cancellation, "enqueue") as enqueue:
			cancellation.sweep()
		self.assertIn(row.name, [call.args[0] for call in enqueue.call_args_list])
		self.assertEqual(self.step(row).cancellation_status, "Cancelled")

	def test_a_cashier_may_not(self):
		_, row = self.issued()
		frappe.set_user("Guest")
		with self.assertRaises(frappe.PermissionError):
			api.cancel(row.name, self.REASON)


class TestFiscalData(FiscalTestCase):
	provider = "hka"
	shop = sample.PANAMA

	def test_the_forms_ask_what_the_provider_wants_to_know(self):
		form = api.sale_form(self.shop.company, self.sale_doctype)
		self.assertEqual([kind["code"] for kind in form["receiver_kinds"]], ["01", "02", "03", "04"])
		self.assertTrue(form["taxpayers"])
		self.assertEqual(api.sale_form(sample.COMPANY, self.sale_doctype)["receiver_kinds"], [])
		self.switch_off()
		self.assertEqual(api.sale_form(self.shop.company, self.sale_doctype), {})

	def test_it_is_filled_from_the_customer_with_the_dv(self):
		data = api.customer_data(BUSINESS, self.shop.company)
		self.assertEqual(
			(data["kind"], data["tax_id"], data["dv"], data["taxpayer_type"]),
			("01", "155596713-2-2015", "59", "2"),
		)

	def test_the_dv_is_computed_and_checked(self):
		found = api.check_tax_id(self.shop.company, "8-442-445")
		self.assertEqual((found["found"], len(found["dv"]), found["taxpayer_type"]), (True, 2, "1"))
		self.assertFalse(api.check_tax_id(self.shop.company, "nope")["found"])

	def test_the_register_is_asked(self):
		found = api.look_up_taxpayer(self.shop.company, "155596713-2-2015")
		self.assertEqual((found["found"], found["dv"]), (True, "59"))
		self.assertIn("no taxpayer", api.look_up_taxpayer(self.shop.company, "45400-2-299934")["message"])
		self.sandbox.refuse()
		self.assertIn(
			"cannot be reached", api.look_up_taxpayer(self.shop.company, "45400-2-299934")["message"]
		)

	def test_what_the_sale_says_goes_before_the_customers_record(self):
		_, row = self.sell(
			fiscal_customer_type="01",
			fiscal_customer_name="Cliente Ocasional, S.A.",
			fiscal_customer_tax_id="45400-2-299934",
			fiscal_customer_dv="09",
			fiscal_customer_email="compras@example.com",
			customer=BUSINESS,
		)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(row.receiver_id, "45400-2-299934")
		client = json.loads(row.payload)["documento"]["datosTransaccion"]["cliente"]
		self.assertEqual(
			(client["razonSocial"], client["digitoVerificadorRUC"], client["correoElectronico1"]),
			("Cliente Ocasional, S.A.", "09", "compras@example.com"),
		)

	def test_what_is_wrong_is_told_before_the_sale(self):
		with self.assertRaisesRegex(frappe.ValidationError, "DV"):
			self.sell(customer=BUSINESS, fiscal_customer_dv="11")

	def test_the_place_is_chosen_from_the_catalogue(self):
		found = api.search_locations("bella vista panama")
		self.assertEqual(
			(found[0]["value"], found[0]["description"]), ("8-8-7", "BELLA VISTA, PANAMA, PANAMA")
		)
		customer = frappe.get_doc("Customer", BUSINESS)
		customer.fiscal_location = "8-8-14"
		customer.save()
		customer = frappe.get_doc("Customer", BUSINESS)
		customer.fiscal_location = "Bella Vista"
		with self.assertRaisesRegex(frappe.ValidationError, "catalogue"):
			customer.save()
		frappe.db.rollback()
		frappe.set_user("Guest")
		with self.assertRaises(frappe.PermissionError):
			api.search_locations("bella")

	def test_a_walk_in_who_wants_a_taxpayers_invoice_needs_no_record(self):
		said = {
			"fiscal_customer_type": "01",
			"fiscal_customer_name": "Comité de Agua",
			"fiscal_customer_tax_id": "8-NT-1-13656",
			"fiscal_taxpayer_type": "2 Juridical",
		}
		with self.assertRaisesRegex(frappe.ValidationError, "address"):
			self.sell(**said)
		frappe.db.rollback()
		place = {"fiscal_customer_address": "Calle Central", "fiscal_customer_location": "2-3-1"}
		_, row = self.sell(**said, **place)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		client = json.loads(row.payload)["documento"]["datosTransaccion"]["cliente"]
		self.assertEqual(
			[client[key] for key in ("direccion", "codigoUbicacion", "corregimiento", "provincia")],
			["Calle Central", "2-3-1", "LA PINTADA", "COCLE"],
		)

	def test_the_place_of_the_customers_record_is_not_that_of_another_taxpayer(self):
		_, row = self.sell(
			customer=BUSINESS, fiscal_customer_type="01", fiscal_customer_tax_id="45400-2-299934"
		)
		client = json.loads(self.run_job(row).payload)["documento"]["datosTransaccion"]["cliente"]
		self.assertNotIn("codigoUbicacion", client)
		_, row = self.sell(customer=BUSINESS)
		client = json.loads(self.run_job(row).payload)["documento"]["datosTransaccion"]["cliente"]
		self.assertEqual(client["codigoUbicacion"], "4-6-1")

	def test_a_return_carries_the_same_receiver(self):
		doc, row = self.sell(
			customer=BUSINESS, fiscal_customer_tax_id="45400-2-299934", fiscal_customer_type="01"
		)
		self.run_job(row)
		note = sample.credit_note(doc)
		self.assertEqual(note.fiscal_customer_tax_id, "45400-2-299934")


class TestSupply(FiscalTestCase):
	provider = "hka"
	shop = sample.PANAMA

	def setUp(self):
		super().setUp()
		frappe.db.set_value(connection.ACCOUNT, self.shop.company, "expiry_alerts", None)
		frappe.clear_document_cache(connection.ACCOUNT, self.shop.company)
		frappe.db.delete("Notification Log")
		frappe.db.commit()

	def told(self):
		return frappe.get_all("Notification Log", pluck="subject")

	def test_folios_running_low_are_told_once_a_day(self):
		self.sandbox.set_option("hka", folios=99)
		alerts.supplies()
		alerts.supplies()
		self.assertEqual(
			len([subject for subject in self.told() if "99 documents are left" in subject]),
			len(alerts._users()),
		)

	def test_enough_folios_are_not_told(self):
		self.sandbox.set_option("hka", folios=101)
		alerts.supplies()
		self.assertFalse([subject for subject in self.told() if "are left" in subject])

	def test_a_licence_that_ends(self):
		until = add_to_date(now_datetime(), days=7).date()
		self.sandbox.set_option("hka", licence_until=str(until))
		alerts.supplies()
		self.assertTrue([subject for subject in self.told() if str(until) in subject])

	def test_a_provider_that_does_not_answer_is_asked_again(self):
		self.sandbox.refuse()
		alerts.supplies()
		self.sandbox.resume()
		self.sandbox.set_option("hka", folios=5)
		alerts.supplies()
		self.assertTrue([subject for subject in self.told() if "5 documents are left" in subject])


class TestTokens(FiscalTestCase):
	provider = "hka"
	shop = sample.PANAMA

	def connect_account(self, **values):
		values["parameters"] = {"transport": "REST", **values.get("parameters", {})}
		return super().connect_account(**values)

	def logins(self):
		return [entry for entry in self.sandbox.requests("hka") if entry["path"] == "/api/Autenticacion"]

	def test_all_workers_share_one_and_redis_does_not_hold_it_in_the_open(self):
		redis = connection.SharedTokens(connection.for_company(self.shop.company)).redis
		try:
			redis.ping()
		except Exception:
			self.skipTest("there is no Redis here")
		for _sale in range(3):
			_, row = self.sell()
			self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.assertEqual(len(self.logins()), 1)
		(token,) = self.sandbox.emulators["hka"].tokens
		for key in redis.keys("fiscal_token|*"):
			self.assertNotIn(token.encode(), redis.get(key) or b"")

	def test_no_token_in_any_record(self):
		_, row = self.sell()
		self.run_job(row)
		tokens = list(self.sandbox.emulators["hka"].tokens)
		self.assertTrue(tokens)
		secrets = [*tokens, self.sandbox.secret_key("hka"), self.sandbox.parameters("hka")["token_company"]]
		for request in frappe.get_all("Integration Request", {"fiscal_document": row.name}, pluck="name"):
			text = frappe.as_json(frappe.get_doc("Integration Request", request).as_dict())
			for secret in secrets:
				self.assertNotIn(secret, text)
