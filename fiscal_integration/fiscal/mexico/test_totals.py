import random
import unittest
from decimal import ROUND_HALF_UP, Decimal

from fiscal_integration.fiscal.mexico import totals
from fiscal_integration.fiscal.mexico.totals import Concept, Tax, shaped, total

try:
	from satcfdi.catalogs import select_all
except ImportError:  # a bench without its developers' packages
	select_all = None

VAT = Tax("IVA", Decimal("0.16"))
EXCISE = Tax("IEPS", Decimal("0.08"))
VAT_OVER_EXCISE = Tax("IVA", Decimal("0.16"), over_excise=True)
INCOME = Tax("ISR", Decimal("0.1"), withheld=True)
HALF = Decimal("0.005")


def concept(quantity, price, *taxes, discount="0"):
	return Concept(Decimal(quantity), Decimal(price), Decimal(discount), taxes)


def judged(concepts, places="0.01") -> Decimal:
	"""SAT's rule once more, in whole millionths and from the text of the validations, without a line of ours."""

	def cents(millionths, unit=int(Decimal(places) * 10**6)):
		return (abs(millionths) + unit // 2) // unit * unit * (1 if millionths >= 0 else -1)

	def product(left, right):
		return int((left * right * 10**6).to_integral_value(ROUND_HALF_UP))

	subtotal = discounts = 0
	transferred, withheld = {}, {}
	for line in concepts:
		amount, cut = product(line.quantity, line.price), product(Decimal(1), line.discount)
		subtotal, discounts = subtotal + amount, discounts + cut
		net = Decimal(amount - cut) / 10**6
		excise = Decimal(sum(product(net, tax.rate) for tax in line.taxes if tax.kind == "IEPS")) / 10**6
		for tax in line.taxes:
			if tax.factor == "Exento":
				continue
			value = product(net + excise if tax.over_excise else net, tax.rate)
			if tax.withheld:
				withheld[tax.kind] = withheld.get(tax.kind, 0) + value
			else:
				key = tax.kind, tax.factor, tax.rate
				transferred[key] = transferred.get(key, 0) + value
	made = cents(subtotal) - cents(discounts)
	made += sum(map(cents, transferred.values())) - sum(map(cents, withheld.values()))
	return Decimal(made) / 10**6


class TestTotal(unittest.TestCase):
	def test_known_values(self):
		for concepts, value in (
			([concept(7, "10.328863", EXCISE, VAT_OVER_EXCISE)], "90.57"),
			([concept(2, "18.82", EXCISE, VAT_OVER_EXCISE)], "47.15"),
			([concept(1, "8.534483", VAT, discount="1.280172")], "8.41"),
			([concept(1, "100.04", VAT, INCOME)], "106.05"),
		):
			with self.subTest(value):
				self.assertEqual(total(concepts), Decimal(value))
				self.assertEqual(judged(concepts), Decimal(value))

	def test_each_group_is_rounded_by_itself(self):
		"""Withheld taxes are one group for each tax, whatever their rates."""
		exempt = Tax("IVA", Decimal(0), totals.EXEMPT)
		concepts = [
			concept(1, "1.04", VAT),
			concept(1, "1.04", Tax("IVA", Decimal("0.08"))),
			concept(1, "1.04", exempt),
			concept(1, "0.04", VAT, Tax("ISR", Decimal("0.1"), withheld=True)),
			concept(1, "0.04", VAT, Tax("ISR", Decimal("0.0125"), withheld=True)),
		]
		self.assertEqual(total(concepts), judged(concepts))

	def test_a_quota_is_by_quantity(self):
		litre = Tax("IEPS", Decimal("1.6451"), totals.QUOTA, piece=Decimal("0.6"))
		self.assertEqual(total([concept(10, "5", litre, VAT_OVER_EXCISE)]), Decimal("69.45"))

	def test_currencies_without_cents(self):
		self.assertEqual(total([concept(3, "33.4", VAT)], 0), 116)

	@unittest.skipUnless(select_all, "satcfdi is not installed")
	def test_decimals_of_currencies_are_sats(self):
		unused = {"XDR", "XSU", "XTS", "XUA", "XXX", "XAG", "XAU", "XPD", "XPT", "XBA", "XBB", "XBC", "XBD"}
		judge = {
			code: value[1]
			for code, value in select_all("C756_c_Moneda").items()
			if value[1] != 2 and code not in unused
		}
		self.assertEqual(totals.DECIMALS, judge)


class TestShaped(unittest.TestCase):
	def holds(self, before, target, decimals=2):
		"""What `shaped` promises, judged by the rule written anew."""
		after, made = shaped(before, target, decimals)
		self.assertEqual(made, judged(after, str(Decimal(1).scaleb(-decimals))))
		for old, new in zip(before, after, strict=True):
			self.assertLess(abs(new.base - old.base), Decimal(1).scaleb(-decimals) / 2)
			self.assertEqual((new.quantity, new.taxes), (old.quantity, old.taxes))
			self.assertTrue(new.price > 0 and new.discount >= 0 and new.base > 0)
			self.assertEqual(new.price, round(new.price, 6))
			self.assertEqual(new.discount, round(new.discount, 6))
		return after, made

	def test_what_the_customer_paid(self):
		for concepts, paid in (
			([concept(7, "10.328863", EXCISE, VAT_OVER_EXCISE)], "90.58"),
			([concept(1, "8.534483", VAT, discount="1.280172")], "8.42"),
			([concept(1, "100.04", VAT, INCOME)], "106.04"),
			([concept(2, "18.82", EXCISE, VAT_OVER_EXCISE)], "47.16"),
			([concept(2, "18.82", EXCISE, VAT_OVER_EXCISE)], "47.14"),
		):
			with self.subTest(paid):
				self.assertEqual(self.holds(concepts, Decimal(paid))[1], Decimal(paid))

	def test_what_fits_already_stays_as_it_is(self):
		concepts = (concept(1, "100", VAT),)
		self.assertIs(shaped(concepts, Decimal(116))[0], concepts)

	def test_what_is_no_rounding_stays_as_it_is(self):
		concepts = (concept(1, "100", VAT),)
		for target in ("116.02", "117"):
			self.assertEqual(shaped(concepts, Decimal(target)), (concepts, Decimal(116)))

	def test_at_random(self):
		"""Any lines, and a target a cent away: at most two in a hundred are not met."""
		chance = random.Random(20260301)
		rates = [Decimal(rate) for rate in ("0", "0.08", "0.16")]
		missed = 0
		for _try in range(300):
			lines = []
			for _line in range(chance.randint(1, 6)):
				taxes = [Tax("IVA", chance.choice(rates))]
				if chance.random() < 0.3:
					taxes = [EXCISE, Tax("IVA", chance.choice(rates), over_excise=True)]
				if chance.random() < 0.2:
					taxes.append(INCOME)
				price = Decimal(chance.randint(200_000, 400_000_000)).scaleb(-6)
				quantity = Decimal(chance.choice(("1", "2", "7", "12", "1.333", "0.125")))
				cut = price * quantity / 10 if chance.random() < 0.3 else Decimal(0)
				lines.append(concept(quantity, price, *taxes, discount=round(cut, 6)))
			target = total(lines) + Decimal(chance.choice((-1, 1))).scaleb(-2)
			missed += self.holds(lines, target)[1] != target
		self.assertLessEqual(missed, 6)
