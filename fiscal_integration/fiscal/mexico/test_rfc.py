import unittest

from fiscal_integration.fiscal.mexico import rfc


class TestRfc(unittest.TestCase):
	def test_forms(self):
		"""authorities/mexico.md#rfc: form and a real date; the check digit is advisory only."""
		for text in (
			"EKU9003173C9",
			"XAXX010101000",
			"XEXX010101000",
			"NOR170627727",
			"RUOM851012AB3",
			"Ñ&A000229AA0",
		):
			self.assertTrue(rfc.is_valid(text), text)
		for text in (
			"",
			"EKU9013173C9",
			"EKU900231AAA",
			"EKU9003173CX",
			"EK9003173C9",
			"eku9003173c9",
			"ABC991301AA1",
		):
			self.assertFalse(rfc.is_valid(text), text)

	def test_written_by_people(self):
		self.assertEqual(rfc.normalize(" eku-900317 3c9 "), "EKU9003173C9")
		self.assertEqual(rfc.normalize(None), "")

	def test_company_or_person(self):
		self.assertTrue(rfc.is_company("EKU9003173C9"))
		self.assertFalse(rfc.is_company("RUOM851012AB3"))
