import unittest
from datetime import date
from decimal import Decimal

from fiscal_integration.fiscal.austria import rates, rksv

JUNE, JULY = date(2026, 6, 30), date(2026, 7, 1)


class TestRates(unittest.TestCase):
	def test_basic_foodstuffs_count_from_july_2026_on(self):
		heights = [{rate.fraction for rate in rates.in_force(day)} for day in (JUNE, JULY)]
		self.assertEqual(heights[0], {Decimal(text) for text in ("0.20", "0.10", "0.13", "0.19", "0")})
		self.assertEqual(heights[1] - heights[0], {Decimal("0.049")})

	def test_each_rate_is_there_once_and_has_a_field_of_the_rksv(self):
		for day in (JUNE, JULY):
			found = [rate.fraction for rate in rates.in_force(day)]
			self.assertEqual(len(found), len(set(found)))
		self.assertEqual({rate.field for rate in rates.RATES}, set(rksv.ORDER))
		self.assertEqual(rates.find(Decimal("0.0490")).field, rksv.SPECIAL)
		self.assertIsNone(rates.find(Decimal("0.07")))

	def test_notation(self):
		self.assertEqual(
			[rates.percent(Decimal(text)) for text in ("0.20", "0.049", "0")], ["20 %", "4,9 %", "0 %"]
		)


if __name__ == "__main__":
	unittest.main()
