import unittest
from decimal import Decimal

from fiscal_integration.fiscal.money import MICRO, decimal, plain, quantize


class TestMoney(unittest.TestCase):
	def test_floats_come_in_by_their_shortest_text(self):
		self.assertEqual(decimal(0.1) + decimal(0.2), Decimal("0.3"))
		self.assertEqual(decimal(None), 0)
		self.assertEqual(decimal(""), 0)

	def test_what_is_no_amount_is_refused(self):
		for value in ("abc", float("nan"), float("inf"), "1,50"):
			with self.subTest(value=value), self.assertRaises(ValueError):
				decimal(value)

	def test_halves_go_up_on_both_sides_of_zero(self):
		self.assertEqual(quantize(Decimal("0.005")), Decimal("0.01"))
		self.assertEqual(quantize(Decimal("-0.005")), Decimal("-0.01"))
		self.assertEqual(quantize(Decimal("1.0000005"), MICRO), Decimal("1.000001"))

	def test_plain_has_no_exponent_and_no_zeros_behind(self):
		self.assertEqual(plain(Decimal("1E+3")), "1000")
		self.assertEqual(plain(Decimal("8.620690")), "8.62069")
		self.assertEqual(plain(Decimal("-0.00")), "0")
