import unittest

from fiscal_integration.fiscal.panama import ruc

# authorities/panama.md#ruc-and-dv: pairs that were published and recompute.
PUBLISHED = {
	"155596713-2-2015": "59",
	"521-136-113133": "02",
	"45400-2-299934": "09",
	"2679372-1-844914": "73",
	"637793-1-457490": "00",
}
INVENTED = {"155718881-2-2018": "62", "155660055-2-2018": "77"}


class TestRuc(unittest.TestCase):
	def test_every_form_of_the_fact_sheet(self):
		for text, taxpayer_type in {
			"8-442-445": ruc.NATURAL,
			"13-1-2": ruc.NATURAL,
			"8-730-241": ruc.NATURAL,
			"PE-3824-523": ruc.NATURAL,
			"E-8-98765": ruc.NATURAL,
			"N-19-1234": ruc.NATURAL,
			"1AV-12-345": ruc.NATURAL,
			"1-AV-12-345": ruc.NATURAL,
			"4PI-7-890": ruc.NATURAL,
			"4-PI-7-890": ruc.NATURAL,
			"8-NT-1-12345": ruc.NATURAL,
			"521-136-113133": ruc.JURIDICAL,
			"155596713-2-2015": ruc.JURIDICAL,
		}.items():
			with self.subTest(text):
				self.assertEqual(ruc.parse(text).taxpayer_type, taxpayer_type)

	def test_what_is_none(self):
		for text in (
			"",
			"8-442",
			"8442445",
			"0-442-445",
			"AV-12-345",
			"8-PE-12-345",
			"J-8-56789-1",
			"8-442-445 ",
			"8-442-445\n",
			"8--442-445",
			"-442-445",
			"8-442-445-DV59",
			"155596713-2-2015-59",
			"8-442-44555555555555555",
			"pe-3824-523",
			"８-442-445",
		):
			with self.subTest(text):
				self.assertFalse(ruc.is_valid(text))

	def test_verification_digits_of_the_published_pairs(self):
		for text, digits in PUBLISHED.items():
			with self.subTest(text):
				self.assertEqual(ruc.verification_digits(text, ruc.JURIDICAL), digits)

	def test_invented_pairs_do_not_fit(self):
		for text, digits in INVENTED.items():
			self.assertNotEqual(ruc.verification_digits(text, ruc.JURIDICAL), digits)

	def test_every_natural_form_has_two_digits_and_hyphens_do_not_matter(self):
		for text in ("8-442-445", "PE-3824-523", "E-8-98765", "N-19-1234", "8-NT-1-12345"):
			self.assertRegex(ruc.verification_digits(text, ruc.NATURAL), r"^\d\d$")
		self.assertEqual(
			ruc.verification_digits("1AV-12-345", ruc.NATURAL),
			ruc.verification_digits("1-AV-12-345", ruc.NATURAL),
		)

	def test_what_is_no_ruc_has_no_digits(self):
		for text, taxpayer_type in (("x", 1), ("", 2), ("155596713-2-2015", 1), ("PE-1-2", 2)):
			with self.assertRaises(ValueError):
				ruc.verification_digits(text, taxpayer_type)
