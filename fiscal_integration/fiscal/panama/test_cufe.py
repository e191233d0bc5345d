import unittest

from fiscal_integration.fiscal.panama import cufe

# authorities/panama.md#cufe
PUBLISHED = (
	"FE01200000045400-2-299934-0900002022050500000000389990117686690628",
	"FE0120000155596713-2-2015-5900012019052800055000155650121566749040",
	"FE011000008-PE-3824-00523-2800012017071500000151340010117450183432",
	"FE0920000025046169-3-2021-4000002026091700000000010010121650905584",
)


class TestCufe(unittest.TestCase):
	def test_published_ones(self):
		for code in PUBLISHED:
			with self.subTest(code):
				self.assertTrue(cufe.is_valid(code))
				self.assertEqual(cufe.check_digit(code), code[-1])
				self.assertEqual(cufe.check_digit(code[2:65]), code[-1])

	def test_every_single_changed_digit_is_noticed(self):
		for code in PUBLISHED:
			for position in range(2, 66):
				if not code[position].isdigit():
					continue
				other = str((int(code[position]) + 1) % 10)
				self.assertFalse(cufe.is_valid(code[:position] + other + code[position + 1 :]), position)

	def test_what_is_no_cufe(self):
		for text in ("", "FE", PUBLISHED[0][:-1], PUBLISHED[0] + "0", PUBLISHED[0].lower(), None):
			self.assertFalse(cufe.is_valid(text))
		with self.assertRaises(ValueError):
			cufe.check_digit("123")

	def test_composed_as_published(self):
		self.assertEqual(
			cufe.compose(
				"01", 2, "45400-2-299934", "09", "0000", "20220505", "38", "999", "01", 1, "768669062"
			),
			PUBLISHED[0],
		)

	def test_parts_that_do_not_fit(self):
		with self.assertRaises(ValueError):
			cufe.compose("01", 2, "x" * 21, "09", "0", "20220505", "38", "999", "01", 1, "1")
