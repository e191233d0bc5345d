import base64
import json
import pickle
import traceback
import unittest
from urllib.parse import quote

from fiscal_integration.fiscal.redaction import MASK, Secret, redact, redact_headers

KEY = 'sk_test_Ab/9+z"=%Q7'


class TestSecret(unittest.TestCase):
	def test_it_shows_nothing_by_accident(self):
		secret = Secret(KEY)
		self.assertEqual(secret.reveal(), KEY)
		for text in (
			repr(secret),
			str(secret),
			f"{secret}",
			f"{secret!r:>40}",
			f"{secret}",
			repr([secret]),
		):
			self.assertNotIn(KEY, text)
		with self.assertRaises(TypeError):
			pickle.dumps(secret)
		with self.assertRaises(TypeError):
			json.dumps(secret)
		self.assertFalse(Secret(""))


class TestRedact(unittest.TestCase):
	def test_by_value_in_every_encoding_that_http_uses(self):
		for form in (
			KEY,
			quote(KEY, safe=""),
			json.dumps(KEY),
			base64.b64encode(KEY.encode()).decode(),
			base64.b64encode(f"{KEY}:".encode()).decode(),
			repr(KEY),
		):
			with self.subTest(form=form):
				cleaned = redact(f"before {form} after", [Secret(KEY)])
				self.assertIn(MASK, cleaned)
				self.assertNotIn(form.strip("\"'"), cleaned)
				self.assertTrue(cleaned.startswith("before ") and cleaned.endswith(" after"))

	def test_by_name_in_json_forms_xml_and_messages(self):
		for text in (
			'{"api_key": "abcdef123", "x": 1}',
			"{'password': 'abcdef123'}",
			"token=abcdef123&next=1",
			"Authorization: Bearer abcdef123",
			"<tem:tokenPassword>abcdef123</tem:tokenPassword>",
			'{"access_token":"abcdef123"}',
			'{"nested": {"client_secret": "abcdef123"}}',
		):
			with self.subTest(text=text):
				self.assertNotIn("abcdef123", redact(text))

	def test_a_key_is_known_by_its_shape(self):
		self.assertNotIn("sk_live_zzz999yyy", redact("the key sk_live_zzz999yyy was refused"))

	def test_what_is_no_secret_stays(self):
		text = '{"idempotency_key": "abc", "product_key": "50201706", "access_token_expires_in": 86400}'
		self.assertEqual(redact(text), text)
		self.assertEqual(redact(""), "")

	def test_headers(self):
		cleaned = redact_headers(
			{"Authorization": "Bearer x", "X-Api-Key": "y", "X-Echo": f"is {KEY}", "Date": "today"},
			[Secret(KEY)],
		)
		self.assertEqual(cleaned["Authorization"], MASK)
		self.assertEqual(cleaned["X-Api-Key"], MASK)
		self.assertNotIn(KEY, cleaned["X-Echo"])
		self.assertEqual(cleaned["Date"], "today")

	def test_tracebacks(self):
		try:
			raise ValueError(f"cannot use {KEY}")
		except ValueError:
			text = traceback.format_exc()
		self.assertNotIn(KEY, redact(text, [KEY]))
