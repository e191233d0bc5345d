import base64
import html
import json
import pickle
import re
import time
import traceback
import unittest
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from fiscal_integration.fiscal.redaction import MASK, Secret, redact, redact_headers

SLOWER = 4
"""A machine that runs other things besides may take so much longer; what is not linear takes minutes."""
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

	def test_by_value_in_every_form_that_a_text_can_give_it(self):
		"""Also inside another text: as a user's password in base64, in JSON within JSON, in XML."""
		units = [f"{ord(letter):04x}" for letter in KEY]
		for form in (
			base64.b64encode(f"someone:{KEY}".encode()).decode(),
			base64.b64encode(f"x{KEY}".encode()).decode(),
			base64.b64encode(f"xy{KEY}z".encode()).decode().rstrip("="),
			base64.urlsafe_b64encode(f"someone:{KEY}&".encode()).decode(),
			re.sub("%..", lambda match: match[0].lower(), quote(KEY, safe="")),
			"".join(f"%{ord(letter):02x}" for letter in KEY),
			KEY.encode().hex(),
			KEY.encode().hex().upper(),
			html.escape(KEY),
			"".join(f"&#x{ord(letter):X};" for letter in KEY),
			"".join(f"&#{ord(letter)};" for letter in KEY),
			"".join(f"\\u{unit}" for unit in units),
			"".join(f"\\u{unit.upper()}" for unit in units),
			json.dumps(json.dumps(KEY)),
			KEY.replace("/", "\\/").replace('"', '\\"'),
			f"<![CDATA[{KEY}]]>",
		):
			with self.subTest(form=form):
				cleaned = redact(f"before {form} after", [Secret(KEY)])
				self.assertIn(MASK, cleaned)
				self.assertNotIn(form[4:-4], cleaned)
				self.assertTrue(cleaned.startswith("before ") and cleaned.endswith(" after"))

	@settings(max_examples=200, deadline=None)
	@given(
		st.text(min_size=8, max_size=40),
		st.sampled_from(
			[str, html.escape, lambda s: json.dumps(s)[1:-1], lambda s: json.dumps(json.dumps(s))]
		),
		st.binary(max_size=7),
		st.binary(max_size=7),
	)
	def test_any_secret_anywhere(self, secret, form, before, behind):
		raw = secret.encode("utf-8", "surrogatepass")
		self.assertNotIn(form(secret), redact(f"«{form(secret)}»", [secret]).replace(MASK, ""))
		for encode in (base64.b64encode, base64.urlsafe_b64encode):
			cleaned = redact(f"«{encode(before + raw + behind).decode()}»", [secret])
			self.assertEqual(cleaned, f"«{MASK}»")

	def test_by_name_whatever_holds_the_value(self):
		for text, cleaned in (
			(
				'{"token": {"value": "abc", "n": 17}, "x": 1}',
				f'{{"token": {{"value": "{MASK}", "n": {MASK}}}, "x": 1}}',
			),
			('{"secrets": ["abc", "def"], "x": [1]}', f'{{"secrets": ["{MASK}", "{MASK}"], "x": [1]}}'),
			('"{\\"api_key\\": \\"abc\\", \\"x\\": 1}"', f'"{{\\"api_key\\": \\"{MASK}\\", \\"x\\": 1}}"'),
			("<a:clave><![CDATA[abc]]></a:clave>", f"<a:clave>{MASK}</a:clave>"),
			("<pin>123</pin>", f"<pin>{MASK}</pin>"),
			("<token><name>abc</name></token>", "<token><name>abc</name></token>"),
			("fon_user_pin=123&x=1", f"fon_user_pin={MASK}&x=1"),
			('{"password": "a\\"b", "x": 1}', f'{{"password": "{MASK}", "x": 1}}'),
			('{"password": "cut off', f'{{"password": "{MASK}'),
		):
			with self.subTest(text=text):
				self.assertEqual(redact(text), cleaned)

	def test_no_text_takes_long(self):
		"""512 KB of anything in half a second; the shapes are those on which patterns go back and forth."""
		size = 512 * 1024
		for piece in (
			"a-", "a-a_api", "token", "token ", "token=", "token:", '"token":"', "<token>", "<token ", "<a:token><![CDATA[",
			"\\", '\\"', "{[", '{"token":{', "token={", "secret   ", "AAAA", "&#x41;", "%41", "sk_test_", "Bearer ", "token: Bearer ",
		):  # fmt: skip
			text = (piece * (size // len(piece) + 1))[:size]
			with self.subTest(piece=piece):
				started = time.perf_counter()
				redact(text, [Secret(KEY), Secret("another secret of some length")])
				self.assertLess(time.perf_counter() - started, 0.5 * SLOWER)

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
