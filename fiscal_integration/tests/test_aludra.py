"""Seed 003 whole: certificates, documents signed here, offline sales, submission in order, retries."""

import base64
import json
from datetime import datetime, timedelta, timezone
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, now_datetime

from fiscal_integration import (
	alerts,
	api,
	audit,
	by_hand,
	certificates,
	connection,
	dispatch,
	drain,
	sample,
)
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.panama import cufe, signature
from fiscal_integration.fiscal.xml import parse
from fiscal_integration.sandbox import p12
from fiscal_integration.testing import FiscalTestCase

BUSINESS = "Distribuidora Chiriquí, S.A."


class AludraCase(FiscalTestCase):
	provider = "aludra"
	shop = sample.PANAMA

	def setUp(self):
		super().setUp()
		self.set_others_aside()
		for name in frappe.get_all(certificates.DOCTYPE, pluck="name"):
			frappe.db.delete(certificates.DOCTYPE, name)
		frappe.db.commit()
		self.initialize()

	def certificate(self):
		doc = frappe.get_doc({"doctype": certificates.DOCTYPE, "company": self.shop.company}).insert()
		frappe.db.commit()
		return doc

	def initialize(self, name=None, password=p12.PASSWORD, **options):
		"""Make a certificate, initialize it, and return the answer."""
		content = base64.b64encode(p12.make(**options)).decode()
		return api.initialize_certificate(name or self.certificate().name, content, password)

	def issue(self, **values):
		doc, row = self.sell(**values)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row

	def sent(self):
		return [
			json.loads(request["body"])["xFe"]
			for request in self.sandbox.requests("aludra")
			if request["path"] == "/mdl18/feRecepFEDGI"
		]


class TestCertificates(AludraCase):
	def active(self):
		return frappe.get_doc(certificates.DOCTYPE, certificates.active(self.shop.company).name)

	def test_its_facts_are_shown(self):
		doc = self.active()
		self.assertEqual((doc.status, doc.ruc), ("Active", p12.RUC))
		self.assertIn("CA PANAMA", doc.issuer)
		self.assertTrue(doc.serial and doc.subject and doc.valid_until > now_datetime())
		self.assertEqual(doc.initialized_by, frappe.session.user)

	def test_what_is_wrong_is_told_and_the_active_one_stays(self):
		before = self.active().name
		for code, options in (
			("wrong_password", {"password": "other"}),
			("expired", {"valid_from": _days(-9), "valid_until": _days(-2)}),
			("not_yet_valid", {"valid_from": _days(2)}),
			("wrong_usage", {"usage": "encrypt"}),
			("no_key", {"with_key": False}),
		):
			password = options.pop("password", None)
			content = base64.b64encode(p12.make(**options)).decode()
			answer = api.initialize_certificate(before, content, password or p12.PASSWORD)
			self.assertEqual((answer["ok"], answer["code"]), (False, code))
			self.assertEqual(self.active().name, before)
		answer = api.initialize_certificate(before, "%%%", "")
		self.assertFalse(answer["ok"])

	def test_renewal_keeps_the_history_and_forgets_the_old_key(self):
		old = self.active().name
		answer = self.initialize(old, bits=4096)
		self.assertTrue(answer["ok"])
		self.assertNotEqual(answer["name"], old)
		old = frappe.get_doc(certificates.DOCTYPE, old)
		self.assertEqual((old.status, old.superseded_by), ("Superseded", answer["name"]))
		self.assertTrue(old.serial)
		kept = frappe.db.sql(
			"select fieldname from `__Auth` where doctype = %s and name = %s",
			(certificates.DOCTYPE, old.name),
		)
		self.assertEqual(list(kept), [])
		self.assertEqual(certificates.signer(self.shop.company).facts.bits, 4096)

	def test_nothing_of_the_key_is_in_the_open(self):
		name = self.active().name
		raw = base64.b64encode(p12.make()).decode()
		rows = frappe.db.sql(
			"select password from `__Auth` where doctype = %s and name = %s", (certificates.DOCTYPE, name)
		)
		self.assertEqual(len(rows), 2)
		for (value,) in rows:
			self.assertNotIn(p12.PASSWORD, value)
			self.assertNotIn(raw[:60], value)
		text = frappe.as_json(frappe.get_doc(certificates.DOCTYPE, name).as_dict())
		self.assertNotIn(p12.PASSWORD, text)
		self.assertEqual(frappe.get_all("File", {"attached_to_doctype": certificates.DOCTYPE}), [])
		self.initialize(name, password="a very secret password")
		for error in frappe.get_all("Error Log", pluck="error"):
			self.assertNotIn("a very secret password", error or "")

	def test_an_encryption_key_that_does_not_fit_is_told_as_such(self):
		self.active()
		certificates._opened.clear()
		other = "x7Wz6Vb1c2D3e4F5g6H7i8J9k0L1m2N3o4P5q6R7s8A="
		with (
			patch("frappe.utils.password.get_encryption_key", return_value=other),
			self.assertRaisesRegex(frappe.ValidationError, "Encryption key is invalid"),
		):
			certificates.signer(self.shop.company)
		self.assertTrue(certificates.signer(self.shop.company))

	def test_nobody_writes_or_deletes_one_by_hand(self):
		doc = self.active()
		doc.status = "Superseded"
		with self.assertRaises(frappe.PermissionError):
			doc.save()
		with self.assertRaises(frappe.PermissionError):
			frappe.delete_doc(certificates.DOCTYPE, self.active().name)
		frappe.db.rollback()
		frappe.set_user("Guest")
		with self.assertRaises(frappe.PermissionError):
			api.initialize_certificate(doc.name, "", "")

	def test_alerts_at_thirty_and_seven_days_and_when_it_ended(self):
		name = self.active().name
		frappe.db.delete("Notification Log")
		for days, told in ((31, 0), (30, 1), (29, 1), (7, 2), (6, 2), (-1, 3)):
			frappe.db.set_value(
				certificates.DOCTYPE, name, "valid_until", add_to_date(now_datetime(), days=days, hours=0)
			)
			# The key of what was told holds the day, which does not move in life.
			with patch.object(alerts, "now_datetime", return_value=now_datetime()):
				alerts.expiries()
			frappe.db.set_value(certificates.DOCTYPE, name, "expiry_alerts", _same_day(name, days))
			subjects = [
				subject
				for subject in frappe.get_all("Notification Log", pluck="subject")
				if self.shop.company in subject
			]
			self.assertEqual(len(subjects), told * len(alerts._users()), (days, subjects))

	def test_a_point_of_sale_may_have_its_own_and_else_uses_the_companys(self):
		frappe.db.delete("Fiscal Point of Sale", {"company": self.shop.company})
		point = frappe.get_doc(
			{
				"doctype": "Fiscal Point of Sale",
				"company": self.shop.company,
				"pos_profile": self.shop.profile,
				"point_code": "002",
			}
		).insert()
		self.addCleanup(frappe.delete_doc, "Fiscal Point of Sale", point.name, force=True)
		companys = certificates.signer(self.shop.company).facts.fingerprint
		self.assertEqual(certificates.signer(self.shop.company, point.name).facts.fingerprint, companys)

		own = frappe.get_doc(
			{"doctype": certificates.DOCTYPE, "company": self.shop.company, "point_of_sale": point.name}
		).insert()
		self.assertTrue(self.initialize(own.name)["ok"])
		tills = certificates.signer(self.shop.company, point.name).facts.fingerprint
		self.assertNotEqual(tills, companys)
		self.assertEqual(certificates.signer(self.shop.company).facts.fingerprint, companys)

		def signed_by(row):
			return signature.verify(parse(row.payload)).fingerprint

		_, at_the_till = self.sell()
		_, without_till = self.sell(
			doctype="Sales Invoice", customer="Distribuidora Chiriquí, S.A.", paid=False
		)
		self.assertEqual(signed_by(self.run_job(at_the_till)), tills)
		self.assertEqual(signed_by(self.run_job(without_till)), companys)
		for row in (at_the_till, without_till):
			row.reload()
			self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)

		# Renewed, it stays that point's; the company's is left alone, and comes into use again when it is gone.
		answer = self.initialize(own.name)
		renewed = frappe.get_doc(certificates.DOCTYPE, answer["name"])
		self.assertEqual((renewed.point_of_sale, renewed.status), (point.name, "Active"))
		self.assertEqual(frappe.db.get_value(certificates.DOCTYPE, own.name, "status"), "Superseded")
		self.assertEqual(certificates.signer(self.shop.company).facts.fingerprint, companys)

	def test_a_point_of_another_company_is_refused(self):
		point = frappe.get_doc(
			{"doctype": "Fiscal Point of Sale", "company": self.shop.company, "point_code": "003"}
		).insert()
		self.addCleanup(frappe.delete_doc, "Fiscal Point of Sale", point.name, force=True)
		with self.assertRaises(frappe.ValidationError):
			frappe.get_doc(
				{"doctype": certificates.DOCTYPE, "company": sample.COMPANY, "point_of_sale": point.name}
			).insert()

	def test_several_companies_may_use_the_same_file(self):
		content = base64.b64encode(p12.make()).decode()
		other = frappe.get_doc({"doctype": certificates.DOCTYPE, "company": sample.COMPANY}).insert()
		self.assertTrue(api.initialize_certificate(other.name, content, p12.PASSWORD)["ok"])
		self.assertTrue(certificates.active(self.shop.company))


def _days(number):
	return datetime.now(timezone.utc) + timedelta(days=number)


def _same_day(name, days):
	"""What was told, as if it had been told of the day that the test moves to next."""
	told = json.loads(frappe.db.get_value(certificates.DOCTYPE, name, "expiry_alerts") or "{}")
	if not told:
		return None
	level = min(told.values())
	return json.dumps(
		{
			f"Certificate|{add_to_date(now_datetime(), days=other).date()}": level
			for other in (31, 30, 29, 7, 6, -1)
		}
	)


class TestIssuing(AludraCase):
	def test_a_sale_is_signed_here_and_accepted(self):
		doc, row = self.issue(customer=BUSINESS)
		root = parse(row.payload)
		self.assertEqual(
			signature.verify(root).fingerprint, certificates.signer(self.shop.company).facts.fingerprint
		)
		self.assertEqual(root.findtext("{*}dId"), row.fiscal_id)
		self.assertTrue(cufe.is_valid(row.fiscal_id))
		self.assertEqual(self.sent(), [row.payload])
		self.assertTrue(row.authorization_number)
		self.assertIn("&jwt=", row.qr_value, "the authority's own address replaces ours")
		self.assertEqual(frappe.db.get_value(doc.doctype, doc.name, "fiscal_id"), row.fiscal_id)

	def test_0920_is_accepted_too_and_no_code_is_pending(self):
		self.sandbox.set_option("aludra", accepted_code="0920")
		self.issue()
		_, row = self.sell()
		self.sandbox.fault("aludra", "pending")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.PENDING)
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_everything_else_is_an_error_with_its_text(self):
		_, row = self.sell()
		self.sandbox.fault("aludra", "status", status=200, code="1601")
		row = self.run_job(row)
		self.assertEqual((row.status, row.error_code), (lifecycle.REJECTED, "1601"))
		self.assertIn("Falla ordenada", row.error_message)
		self.assertFalse(frappe.db.get_value(row.reference_doctype, row.reference_name, "fiscal_id"))
		by_hand.retry(row.name)
		frappe.db.commit()
		number = row.sequence_number
		row = self.run_job(row)
		self.assertEqual((row.status, row.sequence_number), (lifecycle.ISSUED, number))

	def test_a_lost_answer_is_looked_up_by_our_own_cufe(self):
		_, row = self.sell()
		self.sandbox.fault("aludra", "lost_after_commit")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(len(self.sent()), 1)
		self.assertTrue(row.qr_value)

	def test_what_never_arrived_goes_again_byte_for_byte(self):
		_, row = self.sell()
		self.sandbox.fault("aludra", "lost_before_commit")
		row = self.run_job(row)
		self.turn_time(row, seconds=400)
		row = self.run_job(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		first, second = self.sent()
		self.assertEqual(first, second)

	def test_another_cufe_than_ours_is_not_adopted(self):
		_, row = self.sell()
		self.sandbox.fault("aludra", "wrong_livemode")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)

	def test_pdf_and_xml(self):
		_, row = self.issue()
		found = connection.for_company(self.shop.company)
		provider = connection.open_provider(found, audit.Recorder(row.provider, found.secrets, row.name))
		self.assertTrue(provider.pdf(dispatch.held(row)).content.startswith(b"%PDF"))
		self.assertEqual(provider.xml(dispatch.held(row)).content.decode(), row.payload)

	def test_a_credit_note(self):
		doc, row = self.issue(customer=BUSINESS)
		note = sample.credit_note(doc)
		frappe.db.commit()
		found = self.run_job(dispatch.find(note.doctype, note.name))
		self.assertEqual(found.status, lifecycle.ISSUED, found.error_message)
		self.assertIn(row.fiscal_id, found.payload)

	def test_ping_and_the_register(self):
		account = frappe.get_doc(connection.ACCOUNT, self.shop.company)
		answer = api.ping(account.doctype, account.name)
		self.assertTrue(answer["ok"], answer["message"])
		self.assertIn("Certificate until", [label for label, _value in answer["details"]])
		found = api.look_up_taxpayer(self.shop.company, "155596713-2-2015")
		self.assertEqual((found["found"], found["dv"]), (True, "59"))
		self.assertIn("no taxpayer", api.look_up_taxpayer(self.shop.company, "45400-2-299934")["message"])


class TestOffline(AludraCase):
	def connect_account(self, **values):
		values["parameters"] = {
			"automatic_submission": "Yes",
			"emission": "01 Normal",
			**values.get("parameters", {}),
		}
		return super().connect_account(**values)

	def shown(self, doc):
		return frappe.db.get_value(
			doc.doctype, doc.name, ["fiscal_status", "fiscal_id", "fiscal_qr_image"], as_dict=True
		)

	def test_without_a_connection_the_sale_has_its_cufe_and_goes_later_in_order(self):
		self.sandbox.refuse()
		sold = [self.sell() for _sale in range(3)]
		for _doc, row in sold:
			dispatch.process(row.name)
		rows = [self.fresh(row) for _doc, row in sold]
		self.assertEqual({row.status for row in rows}, {lifecycle.QUEUED})
		for (doc, _row), row in zip(sold, rows, strict=True):
			self.assertTrue(cufe.is_valid(row.fiscal_id))
			shown = self.shown(doc)
			self.assertEqual((shown.fiscal_status, shown.fiscal_id), ("Queued", row.fiscal_id))
			self.assertTrue(shown.fiscal_qr_image.startswith("data:image/png"))
			view = api.fiscal_view(doc.doctype, doc.name)
			self.assertIn("not yet submitted", view["meaning"])
			self.assertTrue(view["qr_image"])
		numbers = [int(row.sequence_number) for row in rows]
		self.assertEqual(numbers, sorted(numbers))
		self.sandbox.resume()
		self.close_circuits()
		for row in reversed(rows):
			self.turn_time(row)
		for _round in range(3):
			for row in reversed(rows):
				dispatch.process(row.name)
		after = [self.fresh(row) for row in rows]
		self.assertEqual({row.status for row in after}, {lifecycle.ISSUED})
		self.assertEqual([row.payload for row in rows], [row.payload for row in after], "byte for byte")
		self.assertEqual(self.sent(), [row.payload for row in rows], "in the order of the sales")

	def test_with_automatic_submission_off_it_waits_for_a_person(self):
		self.connect_account(parameters={"automatic_submission": "No"})
		doc, row = self.sell()
		row = self.run_job(row)
		self.assertEqual((row.status, row.next_attempt), (lifecycle.QUEUED, None))
		self.assertTrue(row.fiscal_id)
		self.assertEqual(self.sent(), [])
		dispatch.process(row.name)
		self.assertEqual(self.sent(), [])
		api.ask_provider(row.name)
		frappe.db.commit()
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)
		self.assertEqual(self.shown(doc).fiscal_status, "Issued")

	def test_all_pending_at_once(self):
		self.connect_account(parameters={"automatic_submission": "No"})
		rows = [self.sell()[1] for _sale in range(3)]
		for row in rows:
			dispatch.process(row.name)
		with patch.object(drain, "enqueue_drain"):
			drain.queue_bulk({"status": lifecycle.QUEUED, "company": self.shop.company})
			frappe.db.commit()
		drain.drain(self.shop.company)
		self.assertEqual({self.fresh(row).status for row in rows}, {lifecycle.ISSUED})
		ours = [self.fresh(row).payload for row in rows]
		# Other tests may have left some that wait for a person.
		self.assertEqual([text for text in self.sent() if text in ours], ours)

	def test_switched_on_again_they_go_by_themselves(self):
		self.connect_account(parameters={"automatic_submission": "No"})
		_, row = self.sell()
		row = self.run_job(row)
		self.connect_account(parameters={"automatic_submission": "Yes"})
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_a_signed_sale_is_not_cancelled_and_its_number_not_lost(self):
		self.connect_account(parameters={"automatic_submission": "No"})
		doc, row = self.sell()
		self.run_job(row)
		with self.assertRaisesRegex(frappe.ValidationError, "credit note"):
			frappe.get_doc(doc.doctype, doc.name).cancel()

	def test_an_expired_certificate_holds_documents_visibly_until_it_is_renewed(self):
		name = certificates.active(self.shop.company).name
		# As it stands in the store some day later.
		expired = base64.b64encode(p12.make(valid_from=_days(-9), valid_until=_days(-1))).decode()
		certificates.set_encrypted_password(certificates.DOCTYPE, name, expired, certificates.FILE)
		certificates._opened.clear()
		frappe.db.commit()
		doc, row = self.sell()
		row = self.run_job(row)
		self.assertEqual((row.status, row.payload, row.sequence_number), (lifecycle.QUEUED, None, None))
		self.assertIn("Renew it", row.error_message)
		self.assertIn("Renew it", api.fiscal_view(doc.doctype, doc.name)["error"])
		self.assertFalse(api.ping(connection.ACCOUNT, self.shop.company)["ok"])
		self.assertTrue(self.initialize(name)["ok"])
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_without_a_certificate_it_waits_too(self):
		frappe.db.delete(certificates.DOCTYPE)
		frappe.db.commit()
		_, row = self.sell()
		row = self.run_job(row)
		self.assertIn("Initialize", row.error_message)
		self.initialize()
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_contingency_is_told_where_the_emission_asks_for_it(self):
		self.connect_account(
			parameters={
				"emission": "02 Contingency",
				"contingency_since": "2026-11-20 08:00",
				"contingency_reason": "Sin conexión a Internet en el local",
			}
		)
		_, row = self.issue()
		self.assertEqual(cufe.parts(row.fiscal_id)["emission"], "02")
		self.assertIn("<dFechaCont>2026-11-20T08:00:00-05:00</dFechaCont>", row.payload)
		with self.assertRaises(frappe.ValidationError):
			self.connect_account(parameters={"emission": "02 Contingency", "contingency_reason": "corto"})
