import json
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import frappe

from fiscal_integration import mapping, sample
from fiscal_integration.fiscal.errors import MappingError
from fiscal_integration.fiscal.invoice import DocumentKind, PaymentKind, TaxCategory, Treatment
from fiscal_integration.fiscal.money import CENT, ZERO, decimal, quantize
from fiscal_integration.testing import FiscalTestCase

BUSINESS = "Papelería del Centro SA de CV"


class TestMapping(FiscalTestCase):
	"""Each case also holds what every mapping promises: see `mapped`."""

	def mapped(self, **values):
		"""A draft of the sample company, mapped; its lines and taxes sum to the invoice's total."""
		doc = sample.invoice(submit=False, **values)
		self.addCleanup(frappe.db.rollback)
		invoice = mapping.to_invoice(doc)
		for line in invoice.lines:
			self.assertEqual(
				quantize(line.unit_price * line.quantity - line.discount, Decimal("0.000001")), line.net
			)
		total = sum(
			(
				line.net + sum((-tax.amount if tax.withheld else tax.amount for tax in line.taxes), ZERO)
				for line in invoice.lines
			),
			ZERO,
		)
		self.assertLessEqual(abs(total - invoice.total), CENT, (total, invoice.total))
		self.assertEqual(invoice.total, quantize(abs(decimal(doc.grand_total))))
		return invoice

	def test_prices_without_tax(self):
		invoice = self.mapped(items=[("CAFE-500", 3, 145.0), ("AGUA-1L", 7, 18.5)])
		self.assertEqual([line.net for line in invoice.lines], [Decimal("435"), Decimal("129.5")])
		self.assertEqual(invoice.lines[0].taxes[0].amount, Decimal("69.6"))
		self.assertEqual(invoice.total, Decimal("654.82"))

	def test_prices_with_tax_keep_six_decimals(self):
		invoice = self.mapped(items=[("AGUA-1L", 1, 10.0)] * 40, taxes="inclusive")
		self.assertEqual(invoice.lines[0].net, Decimal("8.620690"))
		self.assertEqual(invoice.total, Decimal(400))

	def test_the_same_item_in_two_rows_and_at_two_prices(self):
		invoice = self.mapped(items=[("CAFE-500", 1, 145.0), ("CAFE-500", 2, 100.0)])
		self.assertEqual([line.taxes[0].amount for line in invoice.lines], [Decimal("23.2"), Decimal(32)])

	def test_row_discounts_are_shown(self):
		row = {
			"item_code": "CAFE-500",
			"qty": 2,
			"price_list_rate": 145.0,
			"discount_percentage": 10,
			"rate": 130.5,
		}
		(line,) = self.mapped(items=[row]).lines
		self.assertEqual((line.unit_price, line.discount, line.net), (145, 29, 261))

	def test_document_discounts(self):
		for taxes in ("exclusive", "inclusive"):
			for on in ("Net Total", "Grand Total"):
				with self.subTest(taxes=taxes, on=on):
					invoice = self.mapped(
						items=[("CAFE-500", 3, 145.0), ("AGUA-1L", 1, 18.5), ("SERV-INST", 1, 849.99)],
						taxes=taxes,
						apply_discount_on=on,
						discount_amount=77.77,
					)
					self.assertTrue(all(line.discount > 0 for line in invoice.lines))

	def test_several_taxes_excise_below_and_income_tax_withheld(self):
		taxes = [
			sample.tax_row("IEPS 8", 8),
			sample.tax_row("IVA 16", 16, charge_type="On Previous Row Total", row_id=1),
			sample.tax_row("ISR Retenido", -10),
		]
		(line,) = self.mapped(items=[("SERV-INST", 1, 100.0)], taxes=taxes).lines
		excise, vat, income = line.taxes
		self.assertEqual((excise.category, excise.amount), (TaxCategory.EXCISE, 8))
		self.assertEqual((vat.base, vat.amount, vat.on_top_of_excise), (108, Decimal("17.28"), True))
		self.assertEqual((income.category, income.amount, income.withheld), (TaxCategory.INCOME, 10, True))

	def test_inclusive_excise_and_value_added_tax(self):
		taxes = [
			sample.tax_row("IEPS 8", 8, included_in_print_rate=1),
			sample.tax_row(
				"IVA 16", 16, charge_type="On Previous Row Total", row_id=1, included_in_print_rate=1
			),
		]
		invoice = self.mapped(items=[("CAFE-500", 3, 100.0)], taxes=taxes)
		self.assertEqual(invoice.total, 300)
		exact = Decimal(300) / Decimal("1.2528")
		self.assertLess(abs(invoice.lines[0].net - exact), Decimal("0.000003"))

	def test_exempt_lines(self):
		taxed, exempt = self.mapped(items=[("CAFE-500", 1, 145.0), ("LIBRO-01", 1, 320.0)]).lines
		self.assertEqual((taxed.treatment, exempt.treatment), (Treatment.TAXED, Treatment.EXEMPT))
		self.assertEqual(sum(tax.amount for tax in exempt.taxes), 0)

	def test_tax_on_an_exempt_item_is_a_contradiction(self):
		row = {
			"item_code": "LIBRO-01",
			"qty": 1,
			"rate": 320.0,
			"item_tax_rate": "{}",
			"item_tax_template": None,
		}
		with self.assertRaises(MappingError) as caught:
			doc = sample.invoice(submit=False, items=[("CAFE-500", 1, 1.0)])
			doc.items[0].update(row)
			mapping.to_invoice(doc)
		self.assertIn("Exempt", str(caught.exception))

	def test_freight_is_a_line_and_taxed_where_the_tax_counts_it(self):
		taxes = [
			sample.tax_row("Flete", 0, charge_type="Actual", tax_amount=50),
			sample.tax_row("IVA 16", 16, charge_type="On Previous Row Total", row_id=1),
		]
		goods, freight = self.mapped(items=[("CAFE-500", 1, 100.0)], taxes=taxes).lines
		self.assertEqual((freight.net, freight.taxes[0].amount), (50, 8))
		self.assertEqual(goods.taxes[0].amount, 16)

	def test_what_cannot_be_told_per_line_is_refused_with_what_to_do(self):
		for values, word in (
			({"charge_type": "Actual", "tax_amount": 16}, "On Net Total"),
			({"charge_type": "On Item Quantity", "rate": 2}, "excise"),
		):
			row = sample.tax_row("IVA 16", values.pop("rate", 0), **values)
			doc = sample.invoice(submit=False, taxes=[row], items=[("CAFE-500", 1, 100.0)])
			with self.subTest(row=row), self.assertRaises(MappingError) as caught:
				mapping.to_invoice(doc)
			self.assertIn(word, str(caught.exception))

	def test_freight_is_taxed_at_the_rates_of_what_it_goes_with(self):
		"""ERPNext spreads it over the items; the share of an untaxed one is not taxed."""
		taxes = [
			sample.tax_row("Flete", 0, charge_type="Actual", tax_amount=50),
			sample.tax_row("IVA 16", 16, charge_type="On Previous Row Total", row_id=1),
		]
		lines = self.mapped(items=[("CAFE-500", 1, 100.0), ("LIBRO-01", 1, 300.0)], taxes=taxes).lines
		self.assertEqual(
			[(line.net, line.treatment, line.taxes[0].rate) for line in lines[2:]],
			[
				(Decimal("12.5"), Treatment.TAXED, Decimal("0.16")),
				(Decimal("37.5"), Treatment.EXEMPT, ZERO),
			],
		)

	def test_what_is_given_away_keeps_the_taxes_of_its_goods(self):
		free = {"item_code": "AGUA-1L", "qty": 2, "rate": 0, "price_list_rate": 0}
		cut = {
			"item_code": "CAFE-500",
			"qty": 1,
			"price_list_rate": 145.0,
			"discount_percentage": 100,
			"rate": 0,
		}
		for taxes in ("exclusive", "inclusive"):
			with self.subTest(taxes):
				paid, gift, off = self.mapped(items=[("CAFE-500", 1, 100.0), free, cut], taxes=taxes).lines
				self.assertFalse(paid.nothing_to_tax)
				for line in (gift, off):
					self.assertTrue(line.nothing_to_tax)
					((tax,),) = (line.taxes,)
					self.assertEqual(
						(tax.category, tax.rate, tax.base), (TaxCategory.VAT, Decimal("0.16"), 0)
					)
				self.assertEqual(off.unit_price, off.discount)

	def test_a_document_discounted_by_all_of_it(self):
		for taxes in ("exclusive", "inclusive"):
			with self.subTest(taxes):
				(line,) = self.mapped(
					items=[("CAFE-500", 1, 145.0)], taxes=taxes, additional_discount_percentage=100
				).lines
				self.assertTrue(line.nothing_to_tax and line.unit_price and line.taxes)

	def test_many_pieces_of_a_small_price_keep_the_sum(self):
		invoice = self.mapped(items=[("PAPEL-A4", 100_000, 0.35)], taxes="inclusive")
		(line,) = invoice.lines
		self.assertEqual((line.unit_price, line.net), (Decimal("0.301725"), Decimal("30172.413793")))
		self.assertEqual(invoice.total, 35000)

	def test_a_note_that_only_changes_a_price(self):
		doc = sample.invoice(doctype="Sales Invoice", submit=False, is_debit_note=1)
		doc.items[0].update({"qty": 0, "rate": 10, "price_list_rate": 10})
		doc.run_method("calculate_taxes_and_totals")
		(line,) = mapping.to_invoice(doc).lines
		self.assertEqual((line.quantity, line.unit_price, line.net), (1, 10, 10))
		frappe.db.rollback()

	def test_vat_withheld_as_a_share_of_the_vat(self):
		taxes = [
			sample.tax_row("IVA 16", 16),
			sample.tax_row(
				"IVA 0", -66.6667, charge_type="On Previous Row Amount", row_id=1, description="IVA Retenido"
			),
		]
		(line,) = self.mapped(items=[("SERV-INST", 1, 1000.0)], taxes=taxes).lines
		_vat, withheld = line.taxes
		self.assertEqual(
			(withheld.withheld, withheld.rate, withheld.base), (True, Decimal("0.106667"), Decimal(1000))
		)

	def test_excise_by_quota(self):
		taxes = [
			sample.tax_row("IEPS 8", 1.5, charge_type="On Item Quantity"),
			sample.tax_row("IVA 16", 16, charge_type="On Previous Row Total", row_id=1),
		]
		(line,) = self.mapped(items=[("AGUA-1L", 4, 10.0)], taxes=taxes).lines
		quota, vat = line.taxes
		self.assertEqual((quota.per_unit, quota.rate, quota.base, quota.amount), (True, Decimal("1.5"), 4, 6))
		self.assertEqual((vat.base, vat.on_top_of_excise), (46, True))

	def test_of_two_vat_rows_the_one_that_the_item_has(self):
		row = {
			"item_code": "CAFE-500",
			"qty": 1,
			"rate": 100.0,
			"item_tax_rate": json.dumps({sample.MEXICO.account("IVA 0"): 0}),
		}
		taxes = [sample.tax_row("IVA 16", 16), sample.tax_row("IVA 0", 0)]
		(line,) = self.mapped(items=[row], taxes=taxes).lines
		self.assertEqual([tax.rate for tax in line.taxes], [Decimal("0.16")])

	def test_texts_are_plain(self):
		row = {
			"item_code": "CAFE-500",
			"qty": 1,
			"rate": 100.0,
			"description": "<div><p>Café &amp; té</p><p>500\tg\x00</p></div>",
		}
		(line,) = self.mapped(items=[row]).lines
		self.assertEqual(line.description, "Café & té 500 g")

	def test_the_first_valid_address(self):
		frappe.db.set_value("Customer", BUSINESS, "email_id", "nadie, ana@example.com; luis@example.org")
		self.addCleanup(frappe.db.rollback)
		doc = frappe._dict(customer=BUSINESS, company=sample.COMPANY)
		self.assertEqual(mapping.receiver_of(doc).email, "ana@example.com")

	def test_foreign_currency(self):
		invoice = self.mapped(
			doctype="Sales Invoice",
			paid=False,
			customer="Pacific Outfitters Inc",
			currency="USD",
			conversion_rate=18.2345,
			items=[("SERV-INST", 1, 99.99)],
		)
		self.assertEqual((invoice.currency, invoice.exchange_rate), ("USD", Decimal("18.2345")))
		self.assertEqual((invoice.receiver.country, invoice.receiver.postal_code), ("US", "92101"))

	def test_books_in_another_currency_than_the_countrys(self):
		"""The authority wants pesos, whatever the books are kept in."""
		rate, company = mapping.national_rate, sample.COMPANY
		cached = frappe.get_cached_value

		def books_in_dollars(doctype, name, field, **more):
			if (doctype, field) == ("Company", "default_currency"):
				return "USD"
			return cached(doctype, name, field, **more)

		self.addCleanup(frappe.db.rollback)
		with patch.object(frappe, "get_cached_value", side_effect=books_in_dollars):
			self.assertEqual(rate(company, "USD", Decimal(1), "2026-03-10"), 0)
			for day, value in (("2026-03-01", 17.25), ("2026-03-09", 18.5), ("2026-03-11", 19)):
				frappe.get_doc(
					{
						"doctype": "Currency Exchange",
						"date": day,
						"from_currency": "USD",
						"to_currency": "MXN",
						"exchange_rate": value,
						"for_selling": 1,
						"for_buying": 1,
					}
				).insert(ignore_permissions=True)
			self.assertEqual(rate(company, "USD", Decimal(1), "2026-03-10"), Decimal("18.5"))
			self.assertEqual(rate(company, "MXN", Decimal("0.05"), "2026-03-10"), 1)
		self.assertEqual(rate(company, "USD", Decimal("18.2"), "2026-03-10"), Decimal("18.2"))

	def test_fractions_of_units(self):
		self.mapped(items=[(sample.BY_WEIGHT, 1.333, 10.55)] * 15)

	def test_change_leaves_in_cash(self):
		invoice = self.mapped(
			items=[("CAFE-500", 1, 100.0)], paid=[("Credit Card", 50.0), ("Cash", 100.0)], change_amount=34.0
		)
		paid = {payment.kind: payment.amount for payment in invoice.payments}
		self.assertEqual(paid, {PaymentKind.CREDIT_CARD: 50, PaymentKind.CASH: 66})
		self.assertFalse(invoice.on_credit)

	def test_credit(self):
		invoice = self.mapped(doctype="Sales Invoice", paid=False, customer=BUSINESS)
		self.assertTrue(invoice.on_credit)
		self.assertEqual(invoice.payments, ())

	def test_cash_rounding_is_not_the_documents_total(self):
		invoice = self.mapped(items=[("CAFE-500", 1, 100.4)], disable_rounded_total=0)
		self.assertEqual(invoice.total, Decimal("116.46"))

	def test_returns_are_positive(self):
		doc, _ = self.sell(customer=BUSINESS)
		note = sample.credit_note(doc, submit=False)
		invoice = mapping.to_invoice(note)
		self.assertEqual(invoice.kind, DocumentKind.CREDIT_NOTE)
		self.assertEqual((invoice.total, invoice.lines[0].quantity), (Decimal("168.20"), 1))
		self.assertTrue(invoice.goods_returned and invoice.reference.awaited)

	def test_posting_time_carries_the_sites_zone(self):
		doc = sample.invoice(submit=False)
		doc.posting_date, doc.posting_time = "2026-07-01", timedelta(hours=21, minutes=5)
		with patch.object(mapping, "get_system_timezone", return_value="America/Tijuana"):
			self.assertEqual(mapping.posted_at(doc).isoformat(), "2026-07-01T21:05:00-07:00")
		doc.posting_time = "09:30:15.123456"
		with patch.object(mapping, "get_system_timezone", return_value="Europe/Vienna"):
			self.assertEqual(mapping.posted_at(doc).isoformat(), "2026-07-01T09:30:15+02:00")

	def test_product_codes_come_from_the_item_then_its_groups(self):
		doc = sample.invoice(submit=False)
		self.assertEqual(mapping.to_invoice(doc).lines[0].product_code, "50201706")
		frappe.db.set_value("Item", "CAFE-500", "fiscal_product_code", None)
		frappe.db.set_value("Item Group", "All Item Groups", "fiscal_product_code", "50200000")
		for doctype, name in (
			("Item", "CAFE-500"),
			("Item Group", "All Item Groups"),
			("Item Group", "Products"),
		):
			frappe.clear_document_cache(doctype, name)
		self.addCleanup(frappe.clear_document_cache, "Item", "CAFE-500")
		self.addCleanup(frappe.clear_document_cache, "Item Group", "All Item Groups")
		self.addCleanup(frappe.db.rollback)
		self.assertEqual(mapping.to_invoice(doc).lines[0].product_code, "50200000")

	def test_modes_of_payment(self):
		for mode, kind in (
			("Tarjeta de Crédito", PaymentKind.CREDIT_CARD),
			("Tarjeta de Débito", PaymentKind.DEBIT_CARD),
			("Debit Card", PaymentKind.DEBIT_CARD),
			("Cheque", PaymentKind.CHEQUE),
			("Wire Transfer", PaymentKind.TRANSFER),
			("Efectivo", PaymentKind.CASH),
			("Cash", PaymentKind.CASH),
			("Vales de despensa", PaymentKind.VOUCHER),
		):
			self.assertEqual(mapping.payment_kind(mode), kind, mode)
