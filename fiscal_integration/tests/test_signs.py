"""What is given back nets with what is sold: an amount has the sign of its row, in the mapping and in each provider's
document."""

import json
import unittest
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal

import frappe
from lxml import etree

try:
	from hypothesis import HealthCheck, given, settings
	from hypothesis import strategies as st
except ImportError:  # a bench without its developers' packages
	raise unittest.SkipTest("hypothesis is not installed") from None

from fiscal_integration import mapping
from fiscal_integration.fiscal.certificate import open_p12
from fiscal_integration.fiscal.invoice import (
	Coordinates,
	DocumentKind,
	Invoice,
	Line,
	LineTax,
	Party,
	Reference,
	TaxCategory,
)
from fiscal_integration.fiscal.money import ZERO, quantize
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.providers import load
from fiscal_integration.providers.base import TEST, Connection
from fiscal_integration.providers.fiskaly import Fiskaly, by_rate
from fiscal_integration.sandbox import Sandbox, p12
from fiscal_integration.testing import FiscalTestCase

NOW = datetime(2026, 11, 20, 17, tzinfo=timezone.utc)
CUFE = "FE0120000155596713-2-2015-5900012019052800055000155650121566749040"
UUID = "39c85a3f-275b-4341-b259-e8971d9f8a94"
CENTS = st.integers(1, 500_000).map(lambda cents: cents / 100)
MANY = settings(
	max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def tax(idx, name, rate, **values):
	return frappe._dict(
		{
			"idx": idx,
			"account_head": "",
			"description": name,
			"charge_type": "On Net Total",
			"rate": rate,
			"tax_amount": 1,
			**values,
		}
	)


TAXES = {
	"one": lambda inclusive: [tax(1, "USt 20", 20, included_in_print_rate=inclusive)],
	"withheld": lambda inclusive: [
		tax(1, "IVA 16", 16, included_in_print_rate=inclusive),
		tax(2, "ISR Retenido", -10),
		tax(3, "IVA retenido", -66.6667, charge_type="On Previous Row Amount", row_id=1),
	],
	"excise": lambda inclusive: [
		tax(1, "IEPS 8", 8, included_in_print_rate=inclusive),
		tax(2, "IVA 16", 16, charge_type="On Previous Row Total", row_id=1, included_in_print_rate=inclusive),
	],
}


@st.composite
def rows(draw):
	"""Item rows as ERPNext saves them, sold and given back in any mix."""
	found = []
	for index in range(draw(st.integers(1, 5))):
		quantity = draw(st.integers(1, 20_000)) / 1000 * draw(st.sampled_from((1, 1, -1)))
		listed = draw(CENTS)
		off = round(listed * draw(st.sampled_from((0, 0, 0.1, 0.5))), 2)
		rate = round(listed - off, 2)
		found.append(
			frappe._dict(
				idx=index + 1,
				item_name="Leergut" if quantity < 0 else "Melange",
				qty=quantity,
				price_list_rate=listed,
				discount_amount=off,
				rate=rate,
				amount=round(quantity * rate, 2),
				item_tax_rate="{}",
			)
		)
	return found


class Draft:
	"""As much of a document of ERPNext's as its lines are made of."""

	def __init__(self, items, taxes):
		self.items, self.taxes = items, taxes

	def get(self, field):
		return getattr(self, field, None)


def turned(items):
	return [frappe._dict({**row, "qty": -row.qty, "amount": -row.amount}) for row in items]


def amounts_of(lines):
	return [
		(line.quantity, line.discount, line.net, *((entry.base, entry.amount) for entry in line.taxes))
		for line in lines
	]


def negated(found):
	return [
		tuple(
			tuple(-value for value in entry) if isinstance(entry, tuple) else -entry for entry in line_amounts
		)
		for line_amounts in found
	]


class TestMapping(FiscalTestCase):
	@MANY
	@given(items=rows(), kind=st.sampled_from(list(TAXES)), inclusive=st.sampled_from((0, 1)))
	def test_turning_all_rows_turns_all_amounts(self, items, kind, inclusive):
		taxes = TAXES[kind](inclusive)
		one = mapping._Lines(Draft(items, taxes), Decimal(1)).build()
		other = mapping._Lines(Draft(turned(items), taxes), Decimal(1)).build()
		self.assertEqual(amounts_of(other), negated(amounts_of(one)))
		self.assertEqual([line.unit_price for line in other], [line.unit_price for line in one])
		for line in one:
			for entry in line.taxes:
				self.assertGreaterEqual(entry.amount * line.net, 0, "a tax has the sign of its row")
			self.assertEqual(
				quantize(line.unit_price * line.quantity - line.discount, Decimal("0.000001")), line.net
			)

	@MANY
	@given(items=rows(), kind=st.sampled_from(list(TAXES)), inclusive=st.sampled_from((0, 1)))
	def test_a_return_of_all_rows_has_the_amounts_of_the_sale(self, items, kind, inclusive):
		taxes = TAXES[kind](inclusive)
		sale = mapping._Lines(Draft(items, taxes), Decimal(1)).build()
		returned = mapping._Lines(Draft(turned(items), taxes), Decimal(-1)).build()
		self.assertEqual(returned, sale)


# -- documents -------------------------------------------------------------------------------------------

RATES = {
	"MX": ("0.16", "0.08", "0"),
	"PA": ("0.07", "0.10", "0.15", "0"),
	"AT": ("0.20", "0.10", "0.13", "0.19", "0"),
}
CURRENCIES = {"MX": "MXN", "PA": "USD", "AT": "EUR"}


@st.composite
def lots(draw):
	"""Amounts before tax, quantities, and which of a country's rates, of three lines or so."""
	return draw(
		st.lists(
			st.tuples(
				st.integers(1, 300_000).map(lambda cents: Decimal(cents) / 100),
				st.integers(1, 12).map(Decimal),
				st.integers(0, 4),
				st.sampled_from((1, 1, -1)),
			),
			min_size=1,
			max_size=5,
		)
	)


def invoice(country, lot, sign=1, mixed=False, **values):
	lines = []
	for index, (price, quantity, rate, side) in enumerate(lot):
		quantity *= sign * (side if mixed else 1)
		net = price * quantity
		fraction = Decimal(RATES[country][rate % len(RATES[country])])
		lines.append(
			Line(
				"Café de altura",
				quantity,
				price,
				net,
				code="CAFE",
				unit="Nos",
				taxes=(LineTax(TaxCategory.VAT, fraction, net, net * fraction, name="VAT"),),
				row=index + 1,
			)
		)
	total = quantize(sum((line.net + line.taxes[0].amount for line in lines), ZERO))
	return Invoice(
		**{
			"doctype": "POS Invoice",
			"name": "PSINV-1",
			"kind": DocumentKind.INVOICE,
			"issued_at": NOW,
			"issuer": Party("Issuer", "155596713-2-2015", country),
			"receiver": Party("Walk-In", country=country, walk_in=True),
			"currency": CURRENCIES[country],
			"lines": tuple(lines),
			"total": total,
			"coordinates": Coordinates("0000", "001", "", 5, register="5ad9a5b0-7a55-4a33-9d0c-000000000000"),
			**values,
		}
	)


def leaves(value, name=""):
	"""Every number in a request, with the name of its field."""
	if isinstance(value, dict):
		for key, entry in value.items():
			yield from leaves(entry, key)
	elif isinstance(value, list):
		for entry in value:
			yield from leaves(entry, name)
	elif not isinstance(value, bool):
		try:
			yield name, Decimal(str(value))
		except ArithmeticError:
			return


def signed_leaves(text):
	"""The numbers in the items and totals of a document that was signed here."""
	root = etree.fromstring(text.encode())
	for element in root.iter():
		name = etree.QName(element).localname
		above = {etree.QName(parent).localname for parent in element.iterancestors()}
		if len(element) == 0 and above & {"gItem", "gTot"}:
			yield from leaves(element.text or "", name)


NOT_AMOUNTS = {
	# What tells a note from a sale. Conteo has no notes of its own.
	"aludra": set(),
	"conteo": set(),
	"facturafacil": {"type"},
	"facturapi": {"payment_form", "relationship", "months", "year"},
	"hka": {"tipoDocumento", "naturalezaOperacion", "tipoVenta"},
}


class TestDocuments(unittest.TestCase):
	"""The six providers' requests for a sale and for the return of all of it."""

	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox()
		cls.signer = open_p12(p12.make(), p12.PASSWORD)

	def provider(self, key):
		cls = load(())[key]
		given_values = {"issuing_postal_code": "44100", **self.sandbox.parameters(key)}
		return cls(
			Connection(
				key,
				TEST,
				"https://example.com",
				{
					parameter.key: given_values.get(parameter.key, parameter.default)
					for parameter in cls.parameters
					if not parameter.secret
				},
				{parameter.key: Secret("x") for parameter in cls.parameters if parameter.secret},
				signer=self.signer,
			),
			None,
		)

	def numbers(self, key, document):
		payload = self.provider(key).build(document, "ref", "key", NOW)
		found = signed_leaves(payload.body) if key == "aludra" else leaves(json.loads(payload.body))
		return [entry for entry in found if entry[0] not in NOT_AMOUNTS[key]], payload.expected.total

	@MANY
	@given(lot=lots(), key=st.sampled_from(sorted(NOT_AMOUNTS)))
	def test_a_return_tells_the_amounts_of_its_sale(self, lot, key):
		"""Where a note of its own kind turns the sign, its amounts are those of the sale."""
		country = "MX" if key == "facturapi" else "PA"
		sale = invoice(country, lot)
		original = Reference("POS Invoice", "PSINV-0", UUID if country == "MX" else CUFE, NOW)
		note = replace(sale, kind=DocumentKind.CREDIT_NOTE, reference=original)
		one, total = self.numbers(key, sale)
		other, turned_total = self.numbers(key, note)
		self.assertEqual(total, turned_total)
		# The note may name its original besides; what the sale has must be there unchanged.
		self.assertEqual(Counter(one) - Counter(other), Counter())
		self.assertTrue(one)

	@MANY
	@given(lot=lots(), key=st.sampled_from(sorted(NOT_AMOUNTS)))
	def test_where_the_law_takes_no_negative_row_it_is_told_before(self, lot, key):
		document = invoice("MX" if key == "facturapi" else "PA", [*lot, (Decimal(1), Decimal(-1), 0, 1)])
		problems = self.provider(key).validate(document, NOW)
		self.assertTrue(any(str(len(lot) + 1) in str(problem) for problem in problems), problems)

	@MANY
	@given(lot=lots(), raw=st.booleans())
	def test_fiskaly_turns_every_amount(self, lot, raw):
		provider = self.provider("fiskaly")
		provider.connection.parameters["schema"] = "raw" if raw else "standard_v1"
		sale = invoice("AT", lot, mixed=True)
		for other in (
			invoice("AT", lot, sign=-1, mixed=True),
			replace(sale, kind=DocumentKind.CREDIT_NOTE),
		):
			one = json.loads(provider.build(sale, "ref", "key", NOW).body)
			two = json.loads(provider.build(other, "ref", "key", NOW).body)
			self.assertEqual(
				[(name, value if name == "price_per_unit" else -value) for name, value in leaves(one)],
				list(leaves(two)),
			)
			self.assertNotIn('"-0.00"', json.dumps(two))

	@MANY
	@given(lot=lots())
	def test_rows_net_within_their_rate_and_sum_to_the_total(self, lot):
		sale = invoice("AT", lot, mixed=True)
		found = by_rate(sale)
		self.assertEqual(sum(found.values()), sale.total)
		exact: dict = {}
		for line in sale.lines:
			rate = line.taxes[0].rate
			exact[rate] = exact.get(rate, ZERO) + line.net * (1 + rate)
		self.assertEqual(len(found), len(exact))
		for value, wanted in zip(found.values(), exact.values(), strict=True):
			self.assertLess(abs(value - wanted), Decimal("0.02"))
		self.assertEqual(Fiskaly.validate(self.provider("fiskaly"), sale, NOW), [])


if __name__ == "__main__":
	unittest.main()
