"""Seed 002 whole: from nothing to INITIALIZED, a day of sales with an outage, the archive, the printed receipt."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import ClassVar
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, get_datetime, getdate, now_datetime

from fiscal_integration import (
	alerts,
	api,
	by_hand,
	connection,
	dispatch,
	printing,
	registers,
	sample,
)
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.austria import rksv
from fiscal_integration.numbering import POINT
from fiscal_integration.overrides.invoice import check_before_submit
from fiscal_integration.testing import FiscalTestCase


class AustriaCase(FiscalTestCase):
	provider = "fiskaly"
	shop = sample.AUSTRIA

	def setUp(self):
		super().setUp()
		self.set_others_aside()
		for name in frappe.get_all(POINT, {"company": self.shop.company}, pluck="name"):
			frappe.delete_doc(POINT, name, force=True)
		frappe.db.set_value(
			connection.ACCOUNT,
			self.shop.company,
			{
				"authority_state": None,
				"signature_unit": None,
				"signature_unit_state": None,
				"expiry_alerts": None,
			},
		)
		frappe.clear_document_cache(connection.ACCOUNT, self.shop.company)
		self.till = frappe.get_doc(
			{"doctype": POINT, "company": self.shop.company, "pos_profile": self.shop.profile}
		).insert()
		frappe.db.commit()
		self.emulator = self.sandbox.emulators["fiskaly"]

	def record(self):
		return {"doctype": connection.ACCOUNT, "name": self.shop.company}

	def set_up(self):
		"""All steps, as the form takes them."""
		steps = [
			api.set_up_authority(**self.record(), participant="12345678", user="kassa01", pin="geheim1"),
			api.set_up_unit(**self.record(), legal_entity="ATU12345678"),
			api.set_up_unit(**self.record()),
			*(api.set_up_till(self.till.name) for _step in range(3)),
		]
		self.assertTrue(all(step["ok"] for step in steps), steps)
		self.till.reload()
		return [step["state"] for step in steps]

	def issue(self, **values):
		doc, row = self.sell(**values)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row

	def stamps(self, row):
		return {stamp.key: stamp.value for stamp in row.stamps}


class TestSetUp(AustriaCase):
	def test_from_nothing_to_initialized(self):
		self.assertEqual(
			self.set_up(),
			["AUTHENTICATED", "CREATED", "INITIALIZED", "CREATED", "REGISTERED", "INITIALIZED"],
		)
		status = api.setup_status(**self.record())
		self.assertEqual((status["authority"], status["unit"]), ("AUTHENTICATED", "INITIALIZED"))
		self.assertEqual(self.till.register_state, "INITIALIZED")
		self.assertTrue(self.till.register_serial)

	def test_each_step_may_be_repeated_and_goes_on_after_a_failure(self):
		api.set_up_authority(**self.record(), participant="12345678", user="kassa01", pin="geheim1")
		for fault in ("lost_after_commit", "lost_before_commit", "status"):
			self.sandbox.fault("fiskaly", fault, operation="unit")
			answer = api.set_up_unit(**self.record(), legal_entity="ATU12345678")
			self.assertFalse(answer["ok"])
			self.assertTrue(answer["message"])
		while api.set_up_unit(**self.record(), legal_entity="ATU12345678")["state"] != "INITIALIZED":
			pass
		self.assertEqual(len(self.emulator.units), 1, "its id was stored before it was used")
		self.sandbox.fault("fiskaly", "lost_after_commit", times=2, operation="register")
		for _step in range(8):
			answer = api.set_up_till(self.till.name)
		self.assertEqual(answer["state"], "INITIALIZED")
		self.assertEqual(len(self.emulator.registers), 1)

	def test_finanzonline_refuses(self):
		self.sandbox.set_option("fiskaly", fon_fault="E_FON_SESSION_LIMIT")
		answer = api.set_up_authority(**self.record(), participant="12345678", user="kassa01", pin="geheim1")
		self.assertFalse(answer["ok"])
		self.assertEqual(api.setup_status(**self.record())["authority"], "")

	def test_the_pin_is_kept_nowhere(self):
		api.set_up_authority(**self.record(), participant="12345678", user="kassa01", pin="sehr-geheim-77")
		for request in frappe.get_all(
			"Integration Request",
			{"fiscal_provider": "fiskaly"},
			["data", "output"],
			limit=20,
			order_by="creation desc",
		):
			self.assertNotIn("sehr-geheim-77", f"{request.data}{request.output}")

	def test_taking_out_of_use_wants_its_serial_number(self):
		self.set_up()
		with self.assertRaises(frappe.ValidationError):
			api.decommission_till(self.till.name, "wrong")
		answer = api.decommission_till(self.till.name, self.till.register_serial)
		self.assertEqual(answer["state"], "DECOMMISSIONED")
		_, row = self.sell()
		row = self.run_job(row)
		self.assertEqual((row.status, row.error_class), (lifecycle.FAILED, "Configuration"))

	def test_a_till_without_a_register_loses_no_sale(self):
		_, row = self.sell()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		self.assertIn("set it up", row.error_message)


class TestSales(AustriaCase):
	def setUp(self):
		super().setUp()
		self.set_up()

	def test_a_sale_comes_back_signed(self):
		doc, row = self.issue(items=[("CAFE-500", 2, 4.2)])
		code = rksv.parse(row.qr_value)
		self.assertEqual(float(code.total), doc.grand_total)
		stamps = self.stamps(row)
		self.assertEqual(row.fiscal_id, f"{stamps['cash_register_serial_number']}-{stamps['receipt_number']}")
		self.assertEqual(stamps["gross_standard"], "10.08")
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "fiscal_id"), row.fiscal_id)

	def test_a_return_is_a_cancellation(self):
		doc, _row = self.issue()
		note = sample.credit_note(doc)
		frappe.db.commit()
		row = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(row.document_type, "CANCELLATION")
		self.assertEqual(float(rksv.parse(row.qr_value).total), note.grand_total)
		self.assertEqual(printing.fiscal_receipt(note)["label"], "Stornobuchung")

	def test_what_is_given_back_nets_within_its_rate(self):
		"""A deposit in the sale, at the same rate and at another, and the return of the whole."""
		if frappe.db.exists("DocType", "Selling Settings"):
			frappe.db.set_single_value("Selling Settings", "allow_negative_rates_for_items", 1)
		for back, wanted in (
			(("AGUA-1L", 4, -0.25), {"STANDARD": Decimal("22.80")}),
			(("LIBRO-01", 4, -0.25), {"STANDARD": Decimal("24.00"), "ZERO": Decimal("-1.00")}),
		):
			with self.subTest(wanted):
				doc, row = self.issue(items=[("CAFE-500", 2, 10.0), back])
				amounts = {rate: value for rate, value in rksv.parse(row.qr_value).amounts.items() if value}
				self.assertEqual(amounts, wanted)
				self.assertEqual(float(sum(wanted.values())), doc.grand_total)
				note = sample.credit_note(doc)
				frappe.db.commit()
				row = self.run_job(dispatch.find(note.doctype, note.name))
				self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
				amounts = {rate: -value for rate, value in rksv.parse(row.qr_value).amounts.items() if value}
				self.assertEqual(amounts, wanted)

	def test_basic_foodstuffs_are_told_by_the_day_of_supply(self):
		"""4.9 % in July; a return of June's sale keeps 10 %, whenever it is made."""

		def taxes(rate):
			return [sample.tax_row(self.shop.tax, rate, shop=self.shop)]

		bread = [("CAFE-500", 2, 1.7)]
		doc, row = self.issue(items=bread, taxes=taxes(4.9), posting_date="2026-07-01")
		self.assertEqual(rksv.parse(row.qr_value).amounts["SPECIAL"], Decimal("3.57"))
		self.assertEqual(printing.fiscal_receipt(doc)["gross"], [("4,9 %", "3.57")])
		self.assertEqual(printing.fiscal_rksv(doc)["by_rate"], [("4,9 %", "3,40", "0,17", "3,57")])
		with self.assertRaises(frappe.ValidationError) as caught:
			self.sell(items=bread, taxes=taxes(4.9), posting_date="2026-06-30")
		self.assertIn("2026-07-01", str(caught.exception))
		frappe.db.rollback()
		june, row = self.issue(items=bread, taxes=taxes(10), posting_date="2026-06-30")
		note = sample.credit_note(june, posting_date="2026-07-15", set_posting_time=1)
		frappe.db.commit()
		row = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(printing.fiscal_receipt(note)["gross"], [("10 %", "-3.74")])
		june, _row = self.issue(items=bread, taxes=taxes(10), posting_date="2026-06-30")
		wrong = sample.credit_note(june, submit=False, posting_date="2026-07-15", set_posting_time=1)
		wrong.taxes[0].rate = 4.9
		# From 16 on ERPNext keeps the rate on the row of a return too, where it goes before the tax's own.
		wrong.items[0].item_tax_rate = "{}"
		with self.assertRaises(frappe.ValidationError) as caught:
			check_before_submit(wrong)
		self.assertIn("2026-07-01", str(caught.exception))

	def test_a_training_till(self):
		self.till.training = 1
		self.till.save()
		frappe.db.commit()
		doc, row = self.issue()
		self.assertTrue(rksv.parse(row.qr_value).training)
		self.assertEqual(printing.fiscal_receipt(doc)["label"], "Trainingsbuchung")

	def test_a_bank_transfer_is_outside_of_the_rksv_and_says_so(self):
		doc, row = self.sell(doctype="Sales Invoice", paid=False)
		self.assertIsNone(row)
		doc.reload()
		self.assertEqual(doc.fiscal_status, "Not Required")
		self.assertIn("RKSV", doc.fiscal_error)

	def test_what_is_paid_with_both_is_split(self):
		_, row = self.issue(
			items=[("CAFE-500", 1, 100.0)],
			paid=[("Cash", 50.0), ("Credit Card", 30.0), ("Wire Transfer", 40.0)],
		)
		self.assertEqual(rksv.parse(row.qr_value).total, Decimal("80.00"))

	def test_an_outage_of_the_trust_service_is_valid_and_never_signed_again(self):
		self.sandbox.set_option("fiskaly", outage=True)
		doc, row = self.issue()
		self.assertEqual(self.stamps(row)["signed"], "0")
		self.assertEqual(printing.fiscal_receipt(doc)["outage"], rksv.OUTAGE)
		with self.assertRaises(frappe.ValidationError):
			by_hand.retry(row.name)
		self.assertTrue(rksv.parse(row.qr_value).outage)

	def test_a_day_with_an_outage_is_replayed_in_the_order_of_the_sales(self):
		before = self.issue()[1]
		self.sandbox.refuse()
		sold = [self.sell(items=[("CAFE-500", 1, 10.0 + number)]) for number in range(3)]
		for _doc, row in sold:
			dispatch.process(row.name)
		slip = printing.fiscal_receipt(sold[0][0])
		self.assertEqual((slip["outage"], slip["fiscal_id"]), (rksv.OUTAGE, ""))
		self.assertTrue(slip["qr_image"])
		payloads = [self.fresh(row).payload for _doc, row in sold][:1]
		self.sandbox.resume()
		self.close_circuits()
		for _doc, row in sold:
			self.turn_time(row)
		for _round in range(3):
			for _doc, row in reversed(sold):
				dispatch.process(row.name)
		rows = [self.fresh(row) for _doc, row in sold]
		self.assertEqual({row.status for row in rows}, {lifecycle.ISSUED})
		numbers = [int(row.authorization_number) for row in (before, *rows)]
		self.assertEqual(numbers, sorted(numbers))
		self.assertEqual([rows[0].payload], payloads)
		found = registers.export(self.till.name, date(2026, 1, 1), date(2030, 1, 1))
		self.assertTrue(found.safe, found.result)
		export = json.loads(found.file.get_content())
		self.assertEqual(rksv.check_export(export).faults, ())
		self.assertEqual(len(export["Belege-Gruppe"][0]["Belege-kompakt"]), 5)

	def test_a_lost_answer_is_found_by_its_uuid(self):
		_, row = self.sell()
		self.sandbox.fault("fiskaly", "lost_after_commit")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.assertEqual(len(self.sandbox.ledger("fiskaly")), 1)

	def test_what_fiskaly_made_itself_is_listed(self):
		found = api.register_closings(self.till.name)
		self.assertEqual([entry["type"] for entry in found], ["INITIALIZATION"])

	def test_an_outage_of_two_days_is_told_with_the_duty_to_report(self):
		self.sandbox.refuse()
		_, row = self.sell()
		self.run_job(row)
		# What an earlier run of this on the same site has left is not of today.
		old = {"creation": ("<", add_to_date(now_datetime(), hours=-40)), "status": ("in", lifecycle.DUE)}
		frappe.db.set_value(dispatch.DOCTYPE, old, "creation", now_datetime(), update_modified=False)
		frappe.db.delete("Notification Log")
		alerts.outages()
		self.assertEqual(frappe.db.count("Notification Log"), 0)
		frappe.db.set_value(
			dispatch.DOCTYPE,
			row.name,
			"creation",
			add_to_date(now_datetime(), hours=-49),
			update_modified=False,
		)
		alerts.outages()
		alerts.outages()
		told = frappe.get_all("Notification Log", pluck="email_content")
		self.assertEqual(len(told), len(alerts._users()))
		self.assertIn("FinanzOnline", told[0])
		# What other tests look for is not to find this one.
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "creation", now_datetime(), update_modified=False)
		frappe.db.commit()


class TestArchive(AustriaCase):
	"""Each month is saved and checked once it is over; what is not safe is tried again, and told."""

	def setUp(self):
		super().setUp()
		self.set_up()

	def month_later(self, months=1, days=0):
		"""The first of the month after so many, and so many days; the sandbox's clock goes along."""
		first = getdate(now_datetime()).replace(day=1)
		later = get_datetime(add_to_date(first, months=months, days=days)) + timedelta(hours=3)
		patch.object(registers, "now_datetime", return_value=later).start()
		self.addCleanup(patch.stopall)
		self.sandbox.clock.offset = later - now_datetime()
		self.emulator.tokens.clear()
		self.forget_tokens()

	def archived(self):
		registers.archive_months()
		self.till.reload()
		return self.till.archives

	def test_a_month_is_safe_as_soon_as_it_is_over(self):
		self.issue()
		self.assertEqual(list(self.archived()), [], "this month is not over")
		self.month_later()
		(row,) = self.archived()
		self.assertEqual((row.safe, row.receipts), (1, 2), row.result)
		self.assertIn("No fault was found", row.result)
		self.assertEqual(getdate(self.till.archived_until), getdate(row.end))
		file = frappe.get_doc("File", {"file_url": row.file})
		self.assertTrue(file.is_private)
		self.assertEqual(rksv.check_export(json.loads(file.get_content())).faults, ())
		self.sandbox.emulators["fiskaly"].requests.clear()
		self.assertEqual(len(self.archived()), 1)
		self.assertEqual(self.requests_to_export(), 0, "what is safe is not fetched again")

	def requests_to_export(self):
		return sum("/export" in request["path"] for request in self.sandbox.requests("fiskaly"))

	def test_each_month_continues_the_one_before(self):
		self.issue()
		self.month_later()
		self.archived()
		self.issue()
		self.month_later(months=2)
		first, second = self.archived()
		self.assertEqual((second.safe, second.receipts), (1, 1), second.result)
		self.assertNotIn("beginning", second.result)
		# Had the first one been changed, the second one shows it.
		file = frappe.get_doc("File", {"file_url": first.file})
		export = json.loads(file.get_content())
		export["Belege-Gruppe"][0]["Belege-kompakt"].pop()
		with patch.object(registers, "_text", return_value=json.dumps(export)):
			found = registers.export(self.till.name, getdate(second.start), getdate(second.end))
		self.assertFalse(found.safe)
		self.assertIn("does not continue", found.result)

	def test_what_could_not_be_fetched_is_tried_daily_and_told_after_five_days(self):
		self.issue()
		self.month_later()
		self.sandbox.fault("fiskaly", "status", operation="export", times=9)
		(row,) = self.archived()
		self.assertEqual((row.safe, row.file), (0, None))
		self.assertIn("HTTP 500", row.result)
		self.assertIsNone(self.till.archived_until)
		frappe.db.delete("Notification Log")
		self.month_later(days=4)
		alerts.archives()
		self.assertEqual(frappe.db.count("Notification Log"), 0)
		self.month_later(days=5)
		self.archived()
		alerts.archives()
		alerts.archives()
		told = frappe.get_all("Notification Log", ["email_content", "document_name"])
		self.assertEqual(len(told), len(alerts._users()), "once a day")
		self.assertIn("three months", told[0].email_content)
		self.assertEqual(told[0].document_name, self.till.name)
		self.assertFalse(api.archive_months(self.till.name)["ok"])
		self.emulator.faults.clear()
		self.assertTrue(api.archive_months(self.till.name)["ok"])
		self.till.reload()
		(row,) = self.till.archives
		self.assertEqual(row.safe, 1, row.result)
		self.assertEqual(registers.overdue_months(), [])

	def test_what_is_manipulated_or_lacks_a_signed_receipt_is_not_safe(self):
		_, row = self.issue()
		self.month_later()
		receipts = self.emulator.receipts[self.till.register_id]
		taken = receipts.pop()
		(row,) = self.archived()
		self.assertEqual(row.safe, 0)
		self.assertIn("number 2", row.result)
		receipts.append({**taken, "_jws": taken["_jws"][:-8] + "AAAAAAAA"})
		(row,) = self.archived()
		self.assertEqual(row.safe, 0)
		self.assertIn("signature does not fit", row.result)
		self.assertTrue(row.file, "what was given is kept all the same")
		receipts[-1] = taken
		(row,) = self.archived()
		self.assertEqual((row.safe, row.receipts), (1, 2), row.result)

	def test_an_outage_over_the_end_of_a_month_is_followed_to_its_end(self):
		self.sandbox.set_option("fiskaly", outage=True)
		self.issue()
		self.month_later()
		(row,) = self.archived()
		self.assertEqual(row.safe, 0)
		self.assertIn("ends in an outage", row.result)
		self.sandbox.set_option("fiskaly", outage=False)
		self.sandbox.tick()
		self.month_later(days=2)
		(row,) = self.archived()
		self.assertEqual((row.safe, row.receipts), (1, 3), row.result)
		self.month_later(months=2)
		_first, second = self.archived()
		self.assertEqual(second.safe, 1, second.result)

	def test_a_register_out_of_use_is_archived_to_its_end(self):
		api.decommission_till(self.till.name, self.till.register_serial)
		self.month_later(months=4)
		self.assertEqual([row.safe for row in self.archived()], [1])

	def test_finanzonlines_word_on_the_first_receipt_is_fetched_and_kept(self):
		self.assertEqual(self.till.first_receipt_state, "SUCCESS")
		status = api.setup_status(**self.record())
		self.assertEqual(status["tills"][0]["first_receipt_state"], "SUCCESS")
		start = self.emulator.receipts[self.till.register_id][0]["_id"]
		for kept, asked, wanted in (
			("ERROR_UNSPECIFIED", "SUCCESS", "ERROR_UNSPECIFIED"),
			("", "SUCCESS", "SUCCESS"),
		):
			self.emulator.validations[start] = [{"validation_result": kept}] if kept else []
			self.sandbox.set_option("fiskaly", fon_validation=asked)
			api.set_up_till(self.till.name)
			self.till.reload()
			self.assertEqual(self.till.first_receipt_state, wanted)

	def test_what_is_exported_by_hand_says_what_its_check_found(self):
		self.issue()
		told = api.export_archive(self.till.name, "2026-01-01", "2030-01-01")
		self.assertEqual((told["safe"], told["url"][:9]), (True, "/private/"))
		self.assertIn("2 receipts, 2 signatures checked. No fault was found.", told["result"])


class TestOrganization(AustriaCase):
	"""Seed 002's first steps from Desk: a managed organization and its API key, with the account's own key."""

	DETAILS: ClassVar = {
		"company_name": "Kaffeehaus am Ring",
		"address": "Ring 1",
		"postal_code": "1010",
		"city": "Wien",
		"vat_id": "ATU12345678",
	}

	def setUp(self):
		super().setUp()
		self.account = frappe.get_doc(connection.ACCOUNT, self.shop.company)
		for key in self.account.secret_keys():
			self.account.clear_secret(key)
		self.account.db_set({"organization": None, "organization_reference": None, "enabled": 0})
		frappe.db.commit()
		self.addCleanup(self.connect_account)
		self.key, self.secret = self.emulator.account()

	def step(self, **values):
		given = {"account_key": self.key, "account_secret": self.secret, **self.DETAILS, **values}
		return api.set_up_organization(**self.record(), **given)

	def test_organization_then_key_then_the_rest_of_the_set_up(self):
		status = api.setup_status(**self.record())["organization"]
		self.assertEqual((status["offered"], status["id"], status["credentials"]), (True, "", False))
		made = self.step()
		self.assertTrue(made["ok"], made["message"])
		(organization,) = self.emulator.organizations.values()
		self.assertEqual(organization["_id"], made["state"])
		self.assertEqual((organization["_envs"], organization["country_code"]), (["TEST"], "AUT"))
		made = self.step()
		self.assertEqual((made["ok"], made["message"]), (True, ""))
		status = api.setup_status(**self.record())["organization"]
		self.assertEqual((status["id"], status["credentials"]), (organization["_id"], True))
		(key,) = self.emulator.keys[organization["_id"]]
		account = frappe.get_doc(connection.ACCOUNT, self.shop.company)
		self.assertEqual(account.stored_secret(), key["secret"])
		self.assertEqual(account.stored_secret("api_key"), key["key"])
		account.enabled = 1
		account.save()
		frappe.db.commit()
		self.set_up()
		self.issue()

	def test_neither_the_accounts_nor_the_new_secrets_are_in_any_record(self):
		frappe.db.delete("Integration Request", {"fiscal_provider": "fiskaly"})
		frappe.db.delete("Error Log")
		self.step()
		self.sandbox.fault("fiskaly", "status", operation="key", status=500)
		self.assertFalse(self.step()["ok"])
		self.step()
		(key,) = self.emulator.keys[next(iter(self.emulator.organizations))]
		held = [
			*frappe.get_all(
				"Integration Request",
				{"fiscal_provider": "fiskaly"},
				["url", "request_headers", "data", "output", "error"],
			),
			*frappe.get_all("Error Log", fields=["method", "error"]),
			*frappe.get_all("Version", {"docname": self.shop.company}, ["data"]),
			frappe.get_doc(connection.ACCOUNT, self.shop.company).as_dict(),
			*frappe.get_all("Fiscal Provider Parameter", fields=["value"]),
		]
		text = str(held)
		self.assertIn("api-keys", text, "the exchanges are there")
		for secret in (self.key, self.secret, key["key"], key["secret"], *self.emulator.account_tokens):
			self.assertNotIn(secret, text)

	def test_each_step_goes_on_after_a_failure_and_makes_nothing_twice(self):
		for fault in ("lost_before_commit", "status", "lost_after_commit", "malformed"):
			self.sandbox.fault("fiskaly", fault, operation="organization", match="address_line1")
			answer = self.step()
			self.assertFalse(answer["ok"], fault)
			self.assertTrue(answer["message"])
			self.assertFalse(frappe.db.get_value(connection.ACCOUNT, self.shop.company, "organization"))
			if fault == "lost_after_commit":
				break
		self.assertTrue(self.step()["ok"])
		self.assertEqual(len(self.emulator.organizations), 1, "found by our reference")
		organization = next(iter(self.emulator.organizations))
		self.sandbox.fault("fiskaly", "lost_after_commit", operation="key", match="enabled")
		self.assertFalse(self.step()["ok"])
		made = self.step()
		self.assertTrue(made["ok"])
		# A secret is told once: a new key is made, and the lost one named.
		lost, key = self.emulator.keys[organization]
		self.assertIn(lost["name"], made["message"])
		self.assertNotEqual(lost["name"], key["name"])
		self.assertEqual(frappe.get_doc(connection.ACCOUNT, self.shop.company).stored_secret(), key["secret"])

	def test_what_is_wrong_is_told(self):
		for values, words in (
			({"account_secret": "wrong"}, "does not accept the credentials"),
			(
				dict(zip(("account_key", "account_secret"), self.emulator.account(live=True), strict=True)),
				"belongs to",
			),
		):
			answer = self.step(**values)
			self.assertFalse(answer["ok"])
			self.assertIn(words, answer["message"])
		for values in ({"account_key": ""}, {"city": ""}):
			with self.assertRaises(frappe.ValidationError):
				self.step(**values)
		self.assertEqual(self.emulator.organizations, {})
