import json
from unittest.mock import patch

import frappe
from frappe.utils.password import get_decrypted_password

from fiscal_integration import api, connection, health, sample
from fiscal_integration.connection import ACCOUNT, SETTINGS
from fiscal_integration.testing import FiscalTestCase

OTHER_KEY = "x7Wz6Vb1c2D3e4F5g6H7i8J9k0L1m2N3o4P5q6R7s8A="
ELSEWHERE = "https://elsewhere.example.com/api"
LIVE = "sk_live_SandboxWithoutValidity00"


class RecorderOfNothing:
	def __call__(self, exchange):
		pass

	def learn(self, secret):
		pass


class TestSettings(FiscalTestCase):
	def settings(self):
		return frappe.get_doc(SETTINGS)

	def stored(self):
		return get_decrypted_password(SETTINGS, SETTINGS, "secret_key", raise_exception=False)

	def refused(self, word, **values):
		doc = self.settings()
		parameters = values.pop("parameters", {})
		doc.update(values)
		for row in doc.parameters:
			row.value = parameters.get(row.parameter, row.value)
		with self.assertRaises(frappe.ValidationError) as caught:
			doc.save()
		frappe.db.rollback()
		self.assertIn(word, str(caught.exception))

	def test_a_blank_secret_keeps_the_stored_one(self):
		for blank in ("", None, "*" * 12):
			doc = self.settings()
			doc.secret_key = blank
			doc.save()
			self.assertEqual(self.stored(), self.secret_key)

	def test_the_secret_is_kept_encrypted_only(self):
		column = frappe.db.sql(
			"select value from `tabSingles` where doctype=%s and field='secret_key'", SETTINGS
		)
		self.assertEqual(set(column[0][0]), {"*"})
		kept = frappe.db.sql("select password from `__Auth` where doctype=%s", SETTINGS)
		self.assertNotIn(self.secret_key, str(kept))

	def test_its_mask_does_not_tell_its_length(self):
		for key in ("sk_test_short00", self.secret_key):
			doc = self.settings()
			doc.secret_key = key
			doc.save()
			self.assertEqual((doc.secret_key, self.stored()), ("*" * 12, key))

	def test_a_site_restored_without_its_encryption_key_takes_the_secret_anew(self):
		doc = self.settings()
		doc.secret_key = self.secret_key
		with patch("frappe.utils.password.get_encryption_key", return_value=OTHER_KEY):
			with self.assertRaisesRegex(frappe.ValidationError, "Encryption key is invalid"):
				self.settings().connection()
			doc.save()
			self.assertEqual(self.stored(), self.secret_key)
		frappe.db.rollback()

	def test_clearing_is_an_act_of_its_own(self):
		api.clear_secret(SETTINGS, SETTINGS, "secret_key")
		self.assertFalse(self.stored())
		self.assertIn("missing", api.ping(SETTINGS, SETTINGS)["message"])

	def test_production_demands_its_own_secret(self):
		self.refused("has to be entered", environment="Production", secret_key="")

	def test_secrets_do_not_follow_an_address(self):
		"""Every address of every provider: whoever changes it has to know each secret that is stored."""
		for key, provider in connection.providers().items():
			secrets = [entry.key for entry in provider.parameters if entry.secret]
			addresses = ["server_url", *(entry.key for entry in provider.parameters if entry.address)]
			typed = {secret: f"{secret}-0123456789" for secret in secrets}
			with (
				patch.object(connection, "country_code", return_value=next(iter(provider.countries))),
				patch.object(provider, "check_connection", return_value=[]),
			):
				self.enter(key, typed, server_url=self.sandbox.url(key))
				for address in addresses:
					for left_out in secrets:
						given = {name: value for name, value in typed.items() if name != left_out}
						with self.subTest(provider=key, address=address, left_out=left_out):
							with self.assertRaisesRegex(
								frappe.ValidationError, "not sent to a changed address"
							):
								self.enter(key, given, **{address: ELSEWHERE})
					# With all of them it is taken: it is not the address that is refused.
					doc = self.enter(key, typed, **{address: ELSEWHERE})
					self.assertIn(ELSEWHERE, doc.addresses().values())
			frappe.db.rollback()

	def enter(self, provider, secrets, **addresses):
		"""The settings, saved with these secrets typed and these addresses; all others are left as they are."""
		doc = self.settings()
		doc.update({"provider": provider, "secret_key": secrets.get("secret_key", "")})
		doc.server_url = addresses.pop("server_url", doc.server_url)
		kept = {row.parameter: row.value for row in doc.parameters} | secrets | addresses
		doc.set("parameters", [{"parameter": key, "value": value} for key, value in kept.items()])
		doc.save()
		return doc

	def test_nor_over_a_provider_that_was_taken_away_in_between(self):
		doc = self.settings()
		self.set_parameter(doc, "webhook_secret", "whsec-Sandbox-0123456789")
		doc.save()
		doc = self.settings()
		doc.update({"enabled": 0, "provider": ""})
		doc.save()
		doc = self.settings()
		doc.update({"provider": "facturapi", "server_url": "https://elsewhere.example.com", "secret_key": ""})
		with self.assertRaisesRegex(frappe.ValidationError, "has to be entered"):
			doc.save()
		doc = self.settings()
		doc.update({"provider": "facturapi", "secret_key": self.secret_key})
		doc.save()
		self.assertEqual(self.settings().stored_secret("webhook_secret"), "")
		frappe.db.rollback()

	def test_each_parameter_that_is_an_address_says_so(self):
		for key, provider in connection.providers().items():
			for entry in provider.parameters:
				looks = "url" in entry.key or "://" in entry.default or "://" in entry.help
				with self.subTest(provider=key, parameter=entry.key):
					self.assertEqual(entry.address, looks)

	def test_private_addresses_are_refused(self):
		for host in (
			"10.0.0.5",
			"169.254.169.254",
			"[::1]:8443",
			"[fe80::1]",
			"[::ffff:192.168.0.1]",
			"0.0.0.0",
		):
			with self.subTest(host=host), patch.dict(frappe.conf, {"fiscal_allow_loopback": 0}):
				word = "this machine" if "::1]:" in host else "private network"
				self.refused(word, server_url=f"https://{host}/v2", secret_key=self.secret_key)

	def test_the_sandbox_is_called_where_the_site_allows_it_and_never_in_production(self):
		with patch.dict(frappe.conf, {"fiscal_allow_loopback": 0}):
			self.refused("fiscal_allow_loopback", parameters={"series": "A"})
			# Also what was entered while it was allowed.
			self.assertIn("fiscal_allow_loopback", api.ping(SETTINGS, SETTINGS)["message"])
		self.refused("In Production", environment="Production", secret_key=LIVE)
		frappe.db.set_single_value(SETTINGS, "environment", "Production")
		frappe.clear_document_cache(SETTINGS, SETTINGS)
		connection.set_encrypted_password(SETTINGS, SETTINGS, LIVE, "secret_key")
		found = connection.for_company(sample.COMPANY)
		self.assertEqual(found.environment, "Production")
		answer = connection.open_provider(found, RecorderOfNothing()).ping()
		self.assertIn("this machine", answer.message)
		frappe.db.rollback()
		frappe.clear_document_cache(SETTINGS, SETTINGS)

	def test_tokens_are_kept_under_the_sites_key(self):
		found = connection.for_company(sample.COMPANY)
		first = connection.SharedTokens(found).prefix
		self.assertEqual(connection.SharedTokens(found).prefix, first)
		with patch.object(connection, "get_encryption_key", return_value=OTHER_KEY):
			self.assertNotEqual(connection.SharedTokens(found).prefix, first)

	@staticmethod
	def set_parameter(doc, key, value):
		next(row for row in doc.parameters if row.parameter == key).value = value

	def test_keys_of_the_wrong_environment_are_refused(self):
		self.refused("test key", environment="Production", secret_key=self.secret_key)
		self.refused("live key", secret_key=LIVE)

	def test_production_with_its_key(self):
		doc = self.settings()
		doc.update({"environment": "Production", "secret_key": LIVE, "server_url": ""})
		doc.save()
		self.assertEqual(self.stored(), LIVE)
		frappe.db.rollback()

	def test_server_url_is_filled_and_checked(self):
		doc = self.settings()
		doc.update({"server_url": "", "secret_key": self.secret_key})
		doc.save()
		self.assertEqual(doc.server_url, "https://www.facturapi.io/v2")
		frappe.db.rollback()
		self.refused("https://", server_url="http://example.com/v2")
		self.refused("web address", server_url="facturapi")

	def test_what_is_missing_or_wrong_is_named(self):
		self.refused("five digits", parameters={"issuing_postal_code": "4410"})
		self.refused("time zone", parameters={"time_zone": "Guadalajara"})
		self.refused("provider", provider="")
		self.refused("not a fiscal provider", provider="acme")

	def test_switched_off_may_be_unfinished_but_not_wrong(self):
		doc = self.settings()
		doc.enabled = 0
		for row in doc.parameters:
			if row.parameter == "issuing_postal_code":
				row.value = ""
		doc.save()
		frappe.db.rollback()
		self.refused("live key", enabled=0, secret_key=LIVE)

	def test_exactly_the_declared_parameters_are_kept(self):
		doc = self.settings()
		doc.append("parameters", {"parameter": "nonsense", "value": "1"})
		doc.save()
		declared = {parameter.key for parameter in doc.provider_class.parameters} - {"secret_key"}
		self.assertEqual({row.parameter for row in doc.parameters}, declared)

	def test_the_company_has_to_be_in_a_country_of_the_provider(self):
		with patch.object(connection, "country_code", return_value="DE"):
			self.refused("does not serve", company=sample.COMPANY)
			self.assertIsNone(connection.for_company(sample.COMPANY))
			described = api.describe_providers()
			self.assertFalse(described["available"])

	def test_other_companies_are_not_issued_for(self):
		self.assertIsNotNone(connection.for_company(sample.COMPANY))
		doc = self.settings()
		frappe.db.set_single_value(SETTINGS, "company", "Somebody Else")
		frappe.clear_document_cache(SETTINGS, SETTINGS)
		self.addCleanup(frappe.clear_document_cache, SETTINGS, SETTINGS)
		self.assertIsNone(connection.for_company(sample.COMPANY))
		frappe.db.rollback()
		self.assertEqual(doc.company, sample.COMPANY)

	def test_a_fiscal_account_goes_before_the_settings(self):
		account = frappe.get_doc(
			{
				"doctype": ACCOUNT,
				"company": sample.COMPANY,
				"enabled": 1,
				"provider": "facturapi",
				"environment": "Test",
				"secret_key": "sk_test_OwnAccount000000",
				"parameters": [{"parameter": "issuing_postal_code", "value": "64000"}],
			}
		).insert()
		found = connection.for_company(sample.COMPANY)
		self.assertEqual(found.secret().reveal(), "sk_test_OwnAccount000000")
		self.assertEqual(found.parameters["issuing_postal_code"], "64000")
		account.enabled = 0
		account.save()
		self.assertIsNone(connection.for_company(sample.COMPANY))
		frappe.db.rollback()
		frappe.clear_document_cache(ACCOUNT, sample.COMPANY)

	def test_no_form_of_the_connection_prints_its_secret(self):
		found = connection.for_company(sample.COMPANY)
		self.assertNotIn(self.secret_key, repr(found))
		self.assertNotIn(self.secret_key, str(found.secrets))


class TestPing(FiscalTestCase):
	def ping(self):
		result = api.ping(SETTINGS, SETTINGS)
		json.dumps(result)
		self.assertNotIn(self.secret_key, str(result))
		return result

	def test_good(self):
		result = self.ping()
		self.assertEqual((result["ok"], result["message"]), (True, "Connection successful"))
		self.assertIn(["RFC", "EKU9003173C9"], result["details"])
		doc = frappe.get_doc(SETTINGS)
		self.assertTrue(doc.last_ping_ok and doc.last_ping_at)
		self.assertRegex(
			doc.last_ping_message,
			r"^Connection successful \(.*RFC: EKU9003173C9; Postal Code: 44100; Tax Regime: 601\)",
		)

	def test_a_blank_postal_code_takes_the_providers(self):
		self.connect(parameters={"issuing_postal_code": ""})
		self.addCleanup(self.connect)
		place = next(value for label, value in self.ping()["details"] if label == "Postal Code")
		kept = {row.parameter: row.value for row in frappe.get_doc(SETTINGS).parameters}
		self.assertEqual(kept["issuing_postal_code"], place)
		self.connect(parameters={"issuing_postal_code": "01000"})
		result = self.ping()
		self.assertFalse(result["ok"])
		self.assertIn("CFDI40149", result["message"])

	def test_it_is_logged_like_any_call(self):
		before = frappe.db.count("Integration Request", {"fiscal_chain": SETTINGS})
		self.ping()
		kept = frappe.get_all(
			"Integration Request",
			filters={"fiscal_chain": SETTINGS},
			fields=["fiscal_operation", "fiscal_sequence", "request_headers"],
			order_by="fiscal_sequence asc",
		)
		self.assertGreater(len(kept), before)
		self.assertEqual([row.fiscal_sequence for row in kept], list(range(1, len(kept) + 1)))
		self.assertIn("[redacted]", kept[-1].request_headers)

	def test_reasons_in_plain_words(self):
		self.connect(secret_key="sk_test_Wrong000000000000")
		self.assertIn("does not accept the secret key", self.ping()["message"])
		self.connect()
		self.sandbox.refuse()
		result = self.ping()
		self.assertFalse(result["ok"])
		self.assertIn("cannot be reached", result["message"])
		self.sandbox.resume()
		self.sandbox.fault("facturapi", "status", operation="check", status=502)
		self.assertIn("fault (HTTP 502)", self.ping()["message"])

	def test_an_encryption_key_that_does_not_fit(self):
		with patch("frappe.utils.password.get_encryption_key", return_value=OTHER_KEY):
			result = self.ping()
		self.assertFalse(result["ok"])
		self.assertIn("encryption key", result["message"])

	def test_what_would_keep_documents_from_going_out(self):
		with patch.object(health, "get_workers", side_effect=ConnectionError):
			self.assertIn("Redis", "".join(self.ping()["warnings"]))
		with patch.object(health, "get_workers", return_value=[]):
			self.assertIn("No worker", "".join(self.ping()["warnings"]))
		with patch.object(health, "is_scheduler_inactive", return_value=True):
			self.assertIn("scheduler is off", "".join(self.ping()["warnings"]))
		with patch.object(health, "_clock_difference", return_value=-400.0):
			self.assertIn("-400 seconds", "".join(self.ping()["warnings"]))

	def test_the_clock_is_compared_with_the_answers_date(self):
		recorder = []
		from fiscal_integration.providers.http import HttpClient

		client = HttpClient(recorder.append, loopback=True)
		client.request("check", "GET", self.sandbox.url("facturapi") + "/check")
		self.assertLess(abs(health._clock_difference(recorder)), 5)


class TestWhoMay(FiscalTestCase):
	def as_user(self, *roles):
		email = f"{frappe.scrub('-'.join(roles) or 'nobody')}@example.com"
		if not frappe.db.exists("User", email):
			frappe.get_doc(
				{
					"doctype": "User",
					"email": email,
					"first_name": "Test",
					"send_welcome_email": 0,
					"roles": [{"role": role} for role in roles],
				}
			).insert(ignore_permissions=True)
			frappe.db.commit()
		frappe.set_user(email)

	def test_a_cashier_sees_the_result_and_nothing_else(self):
		doc, row = self.sell()
		self.run_job(row)
		self.as_user("Accounts User")
		view = api.fiscal_view(doc.doctype, doc.name)
		self.assertTrue(view["qr_image"].startswith("data:image/png;base64,"))
		self.assertFalse(view["can_retry"] or view["can_open"])
		for call in (
			lambda: api.ping(SETTINGS, SETTINGS),
			lambda: api.describe_providers(),
			lambda: api.clear_secret(SETTINGS, SETTINGS, "secret_key"),
			lambda: api.retry(row.name),
			lambda: api.ask_provider(row.name),
		):
			with self.assertRaises(frappe.PermissionError):
				call()
		self.assertFalse(frappe.has_permission("Fiscal Document", "read"))
		self.assertFalse(frappe.has_permission(SETTINGS, "read"))

	def test_fiscal_user_reads_our_requests_only(self):
		_, row = self.sell()
		self.run_job(row)
		frappe.get_doc(
			{"doctype": "Integration Request", "integration_request_service": "somebody's payments"}
		).insert(ignore_permissions=True)
		self.as_user("Fiscal User")
		found = frappe.get_list("Integration Request", fields=["name", "fiscal_provider"], limit=500)
		self.assertTrue(found)
		self.assertTrue(all(entry.fiscal_provider for entry in found))
		self.assertTrue(frappe.has_permission("Fiscal Document", "read"))
		for ptype in ("write", "create", "delete"):
			self.assertFalse(frappe.has_permission("Fiscal Document", ptype), ptype)
			self.assertFalse(frappe.has_permission("Integration Request", ptype), ptype)
		frappe.set_user("Administrator")
		frappe.db.rollback()

	def test_who_may_not_read_the_invoice_sees_nothing_of_it(self):
		doc, _ = self.sell()
		self.as_user()
		for call in (
			lambda: api.fiscal_view(doc.doctype, doc.name),
			lambda: api.fetch_file(doc.doctype, doc.name, "pdf"),
			lambda: api.fiscal_view("User", "Administrator"),
		):
			with self.assertRaises(frappe.PermissionError):
				call()
