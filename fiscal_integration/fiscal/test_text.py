import unittest

from fiscal_integration.fiscal.text import first_email, plain_text


class TestPlainText(unittest.TestCase):
	def test_blocks_are_separated_and_entities_decoded(self):
		for text, plain in (
			("<div><p>Café &amp; té</p><p>500&nbsp;g</p></div>", "Café & té 500 g"),
			("Uno<br>dos<br/>tres", "Uno dos tres"),
			("<ul><li>a</li><li>b</li></ul>", "a b"),
			("un<b>ido</b>", "unido"),
			("<style>p {color: red}</style><p>x</p><!-- no -->", "x"),
			("tab\there\x00\x07\nline\u2028end", "tab here line end"),
			("5 < 6 > 4", "5 < 6 > 4"),
			("&lt;b&gt;", "<b>"),
			(None, ""),
			("  ", ""),
		):
			with self.subTest(text):
				self.assertEqual(plain_text(text), plain)

	def test_limit(self):
		self.assertEqual(plain_text("abcd efgh", 5), "abcd")


class TestEmail(unittest.TestCase):
	def test_the_first_valid_one(self):
		for text, address in (
			("ana@example.com", "ana@example.com"),
			("no, ana@example.com; luis@example.org", "ana@example.com"),
			("Ana <ana@example.com>", "ana@example.com"),
			("ana@example", ""),
			("ana @example.com", ""),
			("a..b@example.com", ""),
			("ana@-example.com", ""),
			("á@example.com", ""),
			(None, ""),
		):
			with self.subTest(text):
				self.assertEqual(first_email(text), address)
