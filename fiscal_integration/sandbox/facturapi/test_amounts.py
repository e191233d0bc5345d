import json
import random
import unittest
from decimal import Decimal

from fiscal_integration.sandbox.facturapi import catalogs, judges
from fiscal_integration.sandbox.facturapi.amounts import net_price, sums

IVA = {"type": "IVA", "rate": 0.16}
IEPS = {"type": "IEPS", "rate": 0.08}
ISR = {"type": "ISR", "rate": 0.1, "withholding": True}


def request(*items, **values):
	"""A request as the emulator reads it, with Decimals."""
	return json.loads(json.dumps({"items": items, **values}), parse_float=Decimal, parse_int=Decimal)


def item(price, quantity=1, discount=0, included=False, **product):
	return {
		"quantity": quantity,
		"discount": discount,
		"product": {
			"description": "x",
			"product_key": "01010101",
			"price": price,
			"tax_included": included,
			**product,
		},
	}


class TestAmounts(unittest.TestCase):
	def test_known_totals_of_sat(self):
		"""CFDI40119: each part is rounded before it is added."""
		for total, line in (
			("90.57", item(12.94, 7, included=True, taxes=[IEPS, IVA])),
			("47.15", item(18.82, 2, taxes=[IEPS, IVA])),
			("8.41", item(8.534483, discount=1.280172, taxes=[IVA])),
			("106.05", item(100.04, taxes=[IVA, ISR])),
			("345.60", item(345.6, included=True)),
			("116.00", item(100)),
			("100.00", item(100, taxability="01", taxes=[])),
			("100.00", item(100, taxes=[{"rate": 0, "factor": "Exento"}])),
			("125.28", item(100, taxes=[IVA, IEPS])),
			("124.00", item(100, taxes=[IVA, {**IEPS, "ieps_mode": "break_down"}])),
			("119.00", item(100, local_taxes=[{"type": "ISH", "rate": 0.03}])),
			("208.80", item(100, 2, discount=20)),
		):
			with self.subTest(line=line):
				self.assertEqual(sums(request(line)).total, Decimal(total))

	def test_a_price_that_includes_what_is_transferred(self):
		for price, line in (
			("297.931034", item(345.6, included=True)),
			("10.328863", item(12.94, included=True, taxes=[IEPS, IVA])),
			("100", item(124, included=True, taxes=[IVA, {**IEPS, "ieps_mode": "break_down"}])),
			("100", item(116, included=True, taxes=[IVA, ISR])),
			("100", item(119, included=True, local_taxes=[{"type": "ISH", "rate": 0.03}])),
			# A quota of 1.5 for each of 0.6 litres, and VAT on the price alone.
			(
				"100",
				item(
					116.9,
					included=True,
					taxes=[
						IVA,
						{"type": "IEPS", "factor": "Cuota", "rate": 1.5, "base": 0.6, "ieps_mode": "unit"},
					],
				),
			),
		):
			with self.subTest(line=line):
				(wanted,) = request(line)["items"]
				self.assertEqual(net_price(wanted["product"]), Decimal(price))

	def test_a_quota_is_multiplied_by_the_quantity(self):
		"""A base that was sent is that of one unit."""
		quota = {"type": "IEPS", "factor": "Cuota", "rate": 1.6451, "base": 0.6, "ieps_mode": "unit"}
		found = sums(request(item(10, 12, taxes=[quota, {**IVA, "base": 10.98706}])))
		self.assertEqual(
			found.transferred["IEPS", "Cuota", Decimal("1.6451")], (Decimal("7.20"), Decimal("11.84"))
		)
		self.assertEqual(
			found.transferred["IVA", "Tasa", Decimal("0.16")], (Decimal("131.84"), Decimal("21.10"))
		)
		self.assertEqual(found.total, Decimal("152.94"))

	def test_the_decimals_are_those_of_the_currency(self):
		"""CFDI40107, 40112, 40202, 40204."""
		for currency, total in (("JPY", "117"), ("MXN", "116.58"), ("KWD", "116.580"), ("CLF", "116.5800")):
			found = sums(request(item(100.5), currency=currency))
			self.assertEqual(str(found.total), total, currency)

	def test_withheld_taxes_have_one_sum_each(self):
		"""CFDI40208 and 40211: by tax, whatever the rates are."""
		found = sums(
			request(
				item(10.04, taxes=[IVA, {"type": "ISR", "rate": 0.1, "withholding": True}]),
				item(10.04, taxes=[IVA, {"type": "ISR", "rate": 0.0125, "withholding": True}]),
			)
		)
		self.assertEqual(found.withheld, {"ISR": Decimal("1.13")})

	def test_exempt_and_zero_are_groups_of_their_own(self):
		found = sums(
			request(item(10, taxes=[{"rate": 0}]), item(20, taxes=[{"rate": 0, "factor": "Exento"}]))
		)
		self.assertEqual(
			found.transferred,
			{("IVA", "Tasa", Decimal(0)): (10, 0), ("IVA", "Exento", None): (20, None)},
		)
		self.assertEqual(found.total_transferred, 0)
		self.assertIsNone(sums(request(item(20, taxes=[{"rate": 0, "factor": "Exento"}]))).total_transferred)

	def test_as_satcfdi_adds(self):
		"""Another library's own sum of 500 random invoices of one line.

		satcfdi rounds the taxes of each line to cents, so that it is a judge of single lines only; and it rounds
		half cents to even, so that those lie outside what it can judge.
		"""
		judges.satcfdi()
		from satcfdi.create.cfd import cfdi40

		dice = random.Random(13)
		judged = number = 0
		while judged < 500:
			number += 1
			taxes = [dice.choice((IVA, {**IVA, "rate": 0.08}, {**IVA, "rate": 0}))]
			if dice.random() < 0.5:
				taxes += [ISR, {"type": "IVA", "rate": 0.106667, "withholding": True}]
			data = request(item(dice.randint(1, 99999) / 100, dice.randint(1, 99), taxes=taxes))
			ours = sums(data)
			if any(tax.amount * 1000 % 10 == 5 for concept in ours.concepts for tax in concept.taxes):
				continue
			judged += 1
			theirs = cfdi40.Comprobante(
				emisor=cfdi40.Emisor(rfc="EKU9003173C9", nombre="X", regimen_fiscal="601"),
				receptor=cfdi40.Receptor(
					rfc="EKU9003173C9",
					nombre="X",
					uso_cfdi="G03",
					domicilio_fiscal_receptor="44100",
					regimen_fiscal_receptor="601",
				),
				lugar_expedicion="44100",
				conceptos=[
					cfdi40.Concepto(
						clave_prod_serv="01010101",
						cantidad=concept.quantity,
						clave_unidad="H87",
						descripcion="x",
						valor_unitario=concept.price,
						impuestos=cfdi40.Impuestos(
							traslados=[
								cfdi40.Traslado(
									impuesto=catalogs.TAXES[tax.kind],
									tipo_factor=tax.factor,
									tasa_o_cuota=tax.rate,
								)
								for tax in concept.taxes
								if not tax.withheld
							],
							retenciones=[
								cfdi40.Retencion(
									impuesto=catalogs.TAXES[tax.kind],
									tipo_factor=tax.factor,
									tasa_o_cuota=tax.rate,
								)
								for tax in concept.taxes
								if tax.withheld
							],
						),
					)
					for concept in ours.concepts
				],
			)
			self.assertEqual(theirs["Total"], ours.total, f"{number}: {data}")
