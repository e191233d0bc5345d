import json
import unittest
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from fiscal_integration.fiscal.errors import ErrorClass
from fiscal_integration.fiscal.invoice import (
	DocumentKind,
	Invoice,
	Line,
	LineTax,
	Party,
	Payment,
	PaymentKind,
	Period,
	Reference,
	TaxCategory,
	Treatment,
)
from fiscal_integration.fiscal.mexico.names import legal_name
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.remote import RemoteStatus
from fiscal_integration.fiscal.words import translated
from fiscal_integration.providers.base import PRODUCTION, TEST, Connection, Held
from fiscal_integration.providers.facturapi import Facturapi
from fiscal_integration.providers.http import AnswerLost, NotSent, Response

MEXICO = ZoneInfo("America/Mexico_City")
NOW = datetime(2026, 11, 20, 19, 30, tzinfo=MEXICO)


class Script:
	"""Plays prepared answers in place of the network and keeps what was asked."""

	def __init__(self, *answers):
		self.answers = list(answers)
		self.asked = []

	def request(self, operation, method, url, headers=None, body=b"", params=None):
		self.asked.append((operation, method, url, headers, body, params))
		answer = self.answers.pop(0)
		if isinstance(answer, Exception):
			raise answer
		status, content, *more = answer
		content = content if isinstance(content, bytes) else json.dumps(content).encode()
		return Response(status, more[0] if more else {}, content)


def provider(*answers, environment=TEST, key="sk_test_0123456789", **parameters):
	connection = Connection(
		"facturapi",
		environment,
		"https://www.facturapi.io/v2",
		{"issuing_postal_code": "44100", **parameters},
		{"secret_key": Secret(key)},
	)
	return Facturapi(connection, Script(*answers))


def vat(net, rate="0.16", **values):
	net = Decimal(net)
	return LineTax(TaxCategory.VAT, Decimal(rate), net, net * Decimal(rate), **values)


def line(net="100", quantity="1", price=None, taxes=None, **values):
	price = Decimal(price if price is not None else net)
	return Line(
		"Café de altura",
		Decimal(quantity),
		price,
		Decimal(net),
		unit="Nos",
		taxes=(vat(net),) if taxes is None else taxes,
		row=1,
		**values,
	)


def sale(*lines, total="116", **values):
	receiver = Party(
		"Papelería del Centro, S.A. de C.V.", "PCE950708QX2", "MX", "44100", regime="601", use="G03"
	)
	values = {
		"receiver": receiver,
		"payments": (Payment(PaymentKind.CASH, Decimal(total)),),
		"kind": DocumentKind.INVOICE,
		"currency": "MXN",
		"issued_at": NOW - timedelta(minutes=1),
		**values,
	}
	return Invoice(
		"POS Invoice",
		"ACC-PSINV-2026-00001",
		issuer=Party("Abarrotes", "EKU9003173C9", "MX"),
		lines=lines or (line(),),
		total=Decimal(total),
		**values,
	)


def answer(**values):
	return {
		"id": "5f7d8b1e9a3c4b0017a1b2c3",
		"status": "valid",
		"uuid": "39c85a3f-275b-4341-b259-e8971d9f8a94",
		"livemode": False,
		"type": "I",
		"total": 116,
		"currency": "MXN",
		"external_id": "ref",
		"date": "2026-11-21T01:29:00.000Z",
		"verification_url": "https://verificacfdi.facturaelectronica.sat.gob.mx/default.aspx?id=39c8",
		"customer": {"tax_id": "PCE950708QX2"},
		"stamp": {
			"date": "2026-11-21T01:29:10.000Z",
			"sat_cert_number": "30001000000500003456",
			"sat_signature": "abc==",
			"signature": "def==",
		},
		**values,
	}


def built(invoice, **parameters):
	one = provider(**parameters)
	problems = one.validate(invoice, NOW)
	assert not problems, problems
	payload = one.build(invoice, "ref", "key", NOW)
	return json.loads(payload.body), payload.expected


class TestBuild(unittest.TestCase):
	def test_golden_invoice(self):
		body, expected = built(sale())
		self.assertEqual(
			body,
			{
				"type": "I",
				"customer": {
					"legal_name": "PAPELERÍA DEL CENTRO",
					"tax_id": "PCE950708QX2",
					"tax_system": "601",
					"address": {"zip": "44100"},
				},
				"items": [
					{
						"quantity": 1,
						"product": {
							"description": "Café de altura",
							"product_key": "01010101",
							"unit_key": "H87",
							"unit_name": "Nos",
							"price": 100,
							"tax_included": False,
							"taxability": "02",
							"taxes": [{"type": "IVA", "rate": 0.16, "factor": "Tasa", "withholding": False}],
						},
					}
				],
				"payment_form": "01",
				"payment_method": "PUE",
				"use": "G03",
				"currency": "MXN",
				"exchange": 1,
				"date": "2026-11-20T19:29:00-06:00",
				"external_id": "ref",
				"idempotency_key": "key",
			},
		)
		self.assertEqual(
			(expected.document_type, expected.total, expected.receiver), ("I", Decimal(116), "PCE950708QX2")
		)

	def test_the_same_invoice_makes_the_same_bytes(self):
		one = provider()
		self.assertEqual(one.build(sale(), "ref", "key", NOW).body, one.build(sale(), "ref", "key", NOW).body)

	def test_taxes_are_always_told_so_that_none_is_added_silently(self):
		"""Taxability 02 without taxes adds 16 % IVA; tax_included defaults to true (providers/facturapi.md#requests)."""
		for taxes in ((), (vat("100", "0"),)):
			body, _ = built(sale(line(taxes=taxes), total="100"))
			self.assertTrue(body["items"][0]["product"]["taxes"])
			self.assertIs(body["items"][0]["product"]["tax_included"], False)

	def test_zero_rated_exempt_and_not_subject_are_three_things(self):
		zero, _ = built(sale(line(taxes=(vat("100", "0"),)), total="100"))
		exempt, _ = built(sale(line(taxes=(), treatment=Treatment.EXEMPT), total="100"))
		outside, _ = built(sale(line(taxes=(), treatment=Treatment.OUTSIDE), total="100"))
		products = [body["items"][0]["product"] for body in (zero, exempt, outside)]
		self.assertEqual([product["taxability"] for product in products], ["02", "02", "01"])
		self.assertEqual(
			[product["taxes"] for product in products],
			[
				[{"type": "IVA", "rate": 0, "factor": "Tasa", "withholding": False}],
				[{"type": "IVA", "rate": 0, "factor": "Exento", "withholding": False}],
				[],
			],
		)

	def test_excise_below_value_added_tax(self):
		excise = LineTax(TaxCategory.EXCISE, Decimal("0.08"), Decimal(100), Decimal(8))
		above = vat("108", on_top_of_excise=True)
		body, expected = built(sale(line(taxes=(excise, above)), total="125.28"))
		modes = [tax.get("ieps_mode") for tax in body["items"][0]["product"]["taxes"]]
		self.assertEqual((modes, expected.total), (["sum_before_taxes", None], Decimal("125.28")))
		body, expected = built(sale(line(taxes=(excise, vat("100"))), total="124"))
		self.assertEqual(body["items"][0]["product"]["taxes"][0]["ieps_mode"], "break_down")

	def test_withheld_tax_lowers_the_total(self):
		withheld = LineTax(TaxCategory.INCOME, Decimal("0.1"), Decimal(100), Decimal(10), withheld=True)
		body, expected = built(sale(line(taxes=(vat("100"), withheld)), total="106"))
		self.assertEqual(expected.total, 106)
		self.assertTrue(body["items"][0]["product"]["taxes"][1]["withholding"])

	def test_walk_in_is_the_general_public(self):
		body, expected = built(sale(receiver=Party("Cliente", walk_in=True)))
		self.assertEqual(
			body["customer"],
			{
				"legal_name": "PUBLICO EN GENERAL",
				"tax_id": "XAXX010101000",
				"tax_system": "616",
				"address": {"zip": "44100"},
			},
		)
		self.assertEqual((body["use"], expected.receiver), ("S01", "XAXX010101000"))
		self.assertEqual(body["global"], {"periodicity": "day", "months": "11", "year": 2026})

	def test_foreign_receiver_keeps_its_own_id(self):
		"""providers/facturapi.md#requests: XEXX010101000 is put by Facturapi, never by us."""
		body, _ = built(
			sale(
				receiver=Party("Pacific Outfitters Inc", "981234567", "US", "92101"),
				currency="USD",
				exchange_rate=Decimal("18.2345678"),
			)
		)
		self.assertEqual(body["customer"]["address"], {"zip": "92101", "country": "USA"})
		self.assertEqual((body["customer"]["tax_id"], body["exchange"]), ("981234567", 18.234568))

	def test_credit_note(self):
		note = sale(
			kind=DocumentKind.CREDIT_NOTE,
			reference=Reference("POS Invoice", "X", "11111111-2222-4333-8444-555555555555"),
			goods_returned=True,
		)
		body, expected = built(note)
		self.assertEqual((body["type"], expected.document_type), ("E", "E"))
		self.assertEqual(
			body["related_documents"],
			[{"relationship": "03", "documents": ["11111111-2222-4333-8444-555555555555"]}],
		)
		body, _ = built(replace(note, goods_returned=False, payments=()))
		self.assertEqual((body["related_documents"][0]["relationship"], body["payment_form"]), ("01", "17"))

	def test_the_largest_payment_names_the_form_and_credit_is_ppd_99(self):
		payments = (
			Payment(PaymentKind.CASH, Decimal(16)),
			Payment(PaymentKind.OTHER, Decimal(100), code="04", mode="Terminal"),
		)
		self.assertEqual(built(sale(payments=payments))[0]["payment_form"], "04")
		body, _ = built(sale(payments=(), on_credit=True))
		self.assertEqual((body["payment_form"], body["payment_method"]), ("99", "PPD"))

	def test_evening_sales_keep_their_local_day(self):
		"""frappe.md#dates-and-zones: posted in another zone, told in the issuer's with its offset."""
		utc = datetime(2026, 11, 21, 1, 30, tzinfo=timezone.utc)
		body, _ = built(sale(issued_at=utc))
		self.assertEqual(body["date"], "2026-11-20T19:30:00-06:00")
		body, _ = built(sale(issued_at=utc), time_zone="America/Tijuana")
		self.assertEqual(body["date"], "2026-11-20T17:30:00-08:00")

	def test_what_lay_too_long_is_dated_today(self):
		"""authorities/mexico.md#dates: SAT takes no date older than 72 hours."""
		body, _ = built(sale(issued_at=NOW - timedelta(hours=80)))
		self.assertEqual(body["date"], NOW.isoformat())

	def test_six_decimals_and_the_total_that_facturapi_will_make(self):
		"""345.60 with tax is 297.93 without, at two decimals; six keep the sum (authorities/mexico.md#total)."""
		net = Decimal("297.931034")
		lines = [line(net=str(net), price=str(net), taxes=(vat(net),))] * 3
		_, expected = built(sale(*lines, total="1036.80"))
		self.assertEqual(expected.total, Decimal("1036.80"))

	def test_names_lose_the_type_of_company(self):
		for name, registered in (
			("Papelería del Centro, S.A. de C.V.", "PAPELERÍA DEL CENTRO"),
			("ESCUELA KEMPER URGATE SA DE CV", "ESCUELA KEMPER URGATE"),
			("Casa Sa", "CASA"),
			("Los Amigos S de RL de CV", "LOS AMIGOS"),
			("Tienda  Única", "TIENDA ÚNICA"),
			("SA", "SA"),
		):
			self.assertEqual(legal_name(name), registered)


class TestValidate(unittest.TestCase):
	def codes(self, invoice, **parameters):
		return [problem.code or problem.field for problem in provider(**parameters).validate(invoice, NOW)]

	def receiver(self, **values):
		return sale(receiver=replace(sale().receiver, **values))

	def test_all_that_is_wrong_is_told_at_once(self):
		wrong = self.receiver(tax_id="PCE95", postal_code="441", regime="", use="X99")
		self.assertEqual(self.codes(wrong), ["rfc", "postal_code", "tax_system", "use"])

	def test_use_has_to_fit_the_regime(self):
		self.assertEqual(self.codes(self.receiver(use="D01")), ["use"])
		person = {"tax_id": "RUOM851012AB3", "regime": "605"}
		self.assertEqual(self.codes(self.receiver(use="D01", **person)), [])
		self.assertEqual(self.codes(self.receiver(use="G03", **person)), ["use"])

	def test_a_regime_that_is_over(self):
		for regime in ("609", "628", "629", "630", "999"):
			with self.subTest(regime):
				self.assertEqual(self.codes(self.receiver(regime=regime)), ["tax_system"])

	def test_a_regime_has_to_fit_the_kind_of_person(self):
		for tax_id, regime, codes in (
			("PCE950708QX2", "612", ["tax_system"]),
			("PCE950708QX2", "626", []),
			("RUOM851012AB3", "601", ["tax_system"]),
			("RUOM851012AB3", "626", []),
		):
			with self.subTest((tax_id, regime)):
				self.assertEqual(self.codes(self.receiver(tax_id=tax_id, regime=regime)), codes)

	def test_two_months_are_of_one_regime(self):
		"""SAT's CFDI40132: a global invoice of two months is for issuers of regime 621."""
		nobody = Party("Cliente", walk_in=True)
		for periodicity, regime, word in (
			("month", "601", ""),
			("two_months", "621", ""),
			("two_months", "601", "601"),
			("two_months", "", "Ping Server"),
		):
			with self.subTest((periodicity, regime)):
				months = "13" if periodicity == "two_months" else "01"
				invoice = sale(receiver=nobody, period=Period(periodicity, months, 2026))
				problems = provider(issuer_tax_regime=regime).validate(invoice, NOW)
				self.assertEqual([problem.code for problem in problems], ["two_months"] if word else [])
				for problem in problems:
					self.assertIn(word, problem.message)
					self.assertTrue(problem.stops_sale)

	def test_a_period_that_is_too_old(self):
		nobody = Party("Cliente", walk_in=True)
		for year, codes in ((2026, []), (2025, []), (2024, ["period_too_old"])):
			with self.subTest(year):
				self.assertEqual(self.codes(sale(receiver=nobody, period=Period("month", "12", year))), codes)

	def test_a_credit_note_for_somebody_without_obligations(self):
		note = {"kind": DocumentKind.CREDIT_NOTE, "reference": Reference("POS Invoice", "X", "U")}
		receiver = replace(sale().receiver, tax_id="RUOM851012AB3", regime="616", use="")
		body, _ = built(sale(receiver=receiver, **note))
		self.assertEqual(body["use"], "G02")
		self.assertEqual(built(sale(receiver=receiver))[0]["use"], "S01")

	def test_rates_that_sat_does_not_know(self):
		for taxes, codes in (
			((vat("100", "0.15"),), ["tax_rate"]),
			((vat("100", "0.10"),), ["tax_rate"]),
			((vat("100", "0.08"),), []),
			((vat("100"), vat("100", "0.106667", withheld=True)), []),
			((vat("100"), vat("100", "0.17", withheld=True)), ["tax_rate"]),
			((vat("100"), LineTax(TaxCategory.INCOME, Decimal("0.36"), 100, 36, True)), ["tax_rate"]),
			((vat("100"), LineTax(TaxCategory.INCOME, Decimal("0.1"), 100, 10, False)), ["tax_rate"]),
			((vat("100"), LineTax(TaxCategory.EXCISE, Decimal("0.12"), 100, 12)), ["tax_rate"]),
			((vat("100"), LineTax(TaxCategory.EXCISE, Decimal("0.32"), 100, 32)), []),
			(
				(vat("100"), LineTax(TaxCategory.EXCISE, Decimal("66.6"), 1, Decimal("66.6"), per_unit=True)),
				["tax_rate"],
			),
			(
				(vat("100"), LineTax(TaxCategory.LOCAL, Decimal("0.02505"), 100, Decimal("2.505"))),
				["tax_rate"],
			),
			((vat("100"), LineTax(TaxCategory.LOCAL, Decimal("0.025"), 100, Decimal("2.5"))), []),
			((vat("100"), vat("100")), ["tax_twice"]),
		):
			total = 100 + sum(-tax.amount if tax.withheld else tax.amount for tax in taxes)
			with self.subTest(taxes=taxes):
				self.assertEqual(self.codes(sale(line(taxes=taxes), total=str(total))), codes)

	def test_nothing_is_sold_on_credit_to_the_general_public(self):
		"""InformacionGlobal never goes with PPD (authorities/mexico.md#general-public)."""
		nobody = sale(receiver=Party("Cliente", walk_in=True), on_credit=True)
		self.assertEqual(self.codes(nobody), ["walk_in_on_credit"])
		one = provider(walk_in_sales="Global Invoice")
		self.assertFalse(one.collects(nobody))
		self.assertEqual(one.not_needed(nobody), "")
		self.assertTrue(one.collects(replace(nobody, on_credit=False)))

	def test_without_a_rate_to_pesos(self):
		dollars = sale(currency="USD", exchange_rate=Decimal(0))
		(problem,) = provider().validate(dollars, NOW)
		self.assertIn("Currency Exchange", problem.message)

	def test_lines(self):
		self.assertEqual(self.codes(sale(line(product_code="123"))), ["product_key"])
		self.assertEqual(self.codes(sale(line(unit_code="PIEZA"))), ["unit_key"])
		self.assertIn("items", self.codes(sale(line(quantity="0"))))
		self.assertIn("items", self.codes(sale(line(net="-1", price="-1"))))

	def test_what_is_free_is_left_out_and_noted(self):
		gift = replace(line(net="0", price="0", taxes=(vat("0"),)), row=2)
		off = replace(line(net="0", price="50", taxes=(vat("0"),), discount=Decimal(50)), row=3)
		invoice = sale(line(), gift, off)
		one = provider()
		self.assertEqual(one.validate(invoice, NOW), [])
		payload = one.build(invoice, "ref", "key", NOW)
		self.assertEqual(len(json.loads(payload.body)["items"]), 1)
		self.assertEqual([remark[:5] for remark in payload.remarks], ["Row 2", "Row 3"])
		self.assertEqual(one.not_needed(invoice), "")
		self.assertIn("Nothing is charged", one.not_needed(sale(gift, off, total="0")))

	def test_a_cent_that_cannot_be_reached_is_known_before(self):
		withheld = LineTax(
			TaxCategory.INCOME, Decimal("0.1"), Decimal("0.15"), Decimal("0.015"), withheld=True
		)
		invoice = sale(line(net="0.15", taxes=(vat("0.15"), withheld)), total="0.14")
		one = provider()
		self.assertEqual(one.validate(invoice, NOW), [])
		payload = one.build(invoice, "ref", "key", NOW)
		self.assertEqual(payload.expected.total, Decimal("0.15"))
		(remark,) = payload.remarks
		self.assertIn("0.15 MXN", remark)

	def test_the_lines_make_what_the_customer_paid(self):
		excise = LineTax(TaxCategory.EXCISE, Decimal("0.08"), Decimal("72.302041"), Decimal("5.784163"))
		above = vat("78.086204", on_top_of_excise=True)
		bottle = line(net="72.302041", price="10.328863", quantity="7", taxes=(excise, above))
		body, expected = built(sale(bottle, total="90.58"))
		self.assertEqual(expected.total, Decimal("90.58"))
		self.assertLess(abs(body["items"][0]["product"]["price"] * 7 - 72.302041), 0.005)

	def test_excise_by_quota(self):
		"""A base is that of one piece (providers/facturapi.md#requests)."""
		quota = LineTax(TaxCategory.EXCISE, Decimal("1.5"), Decimal(4), Decimal(6), per_unit=True)
		above = vat("46", on_top_of_excise=True)
		body, expected = built(
			sale(line(net="40", price="10", quantity="4", taxes=(quota, above)), total="53.36")
		)
		self.assertEqual(expected.total, Decimal("53.36"))
		self.assertEqual(
			body["items"][0]["product"]["taxes"],
			[
				{
					"type": "IEPS",
					"rate": 1.5,
					"factor": "Cuota",
					"withholding": False,
					"base": 1,
					"ieps_mode": "unit",
				},
				{"type": "IVA", "rate": 0.16, "factor": "Tasa", "withholding": False, "base": 11.5},
			],
		)

	def test_a_cent_is_rounding_and_more_is_not(self):
		self.assertEqual(self.codes(sale(total="116.01")), [])
		self.assertEqual(self.codes(sale(total="116.02")), ["total_differs"])

	def test_a_settled_sale_has_to_say_how(self):
		other = (Payment(PaymentKind.OTHER, Decimal(116), mode="Vales X"),)
		self.assertEqual(self.codes(sale(payments=other)), ["payments"])

	def test_the_future(self):
		self.assertEqual(self.codes(sale(issued_at=NOW + timedelta(hours=1))), ["posting_date"])
		self.assertEqual(self.codes(sale(issued_at=NOW + timedelta(minutes=2))), [])

	def test_a_credit_note_needs_its_original_or_waits_for_it(self):
		note = sale(kind=DocumentKind.CREDIT_NOTE)
		self.assertEqual(self.codes(note), ["reference_missing"])
		self.assertEqual(self.codes(replace(note, reference=Reference("S", "X", awaited=True))), [])


class TestConnection(unittest.TestCase):
	def fields(self, **values):
		return [problem.field for problem in Facturapi.check_connection(provider(**values).connection)]

	def test_keys_have_to_fit_the_environment(self):
		"""providers/facturapi.md#keys-and-environments: the key decides whether invoices are real."""
		self.assertEqual(self.fields(), [])
		self.assertEqual(self.fields(environment=PRODUCTION, key="sk_live_0123456789"), [])
		for environment, key in (
			(PRODUCTION, "sk_test_0123456789"),
			(TEST, "sk_live_0123456789"),
			(TEST, "sk_user_0123456789"),
			(TEST, "0123456789"),
			(TEST, ""),
		):
			with self.subTest(key=key):
				self.assertEqual(self.fields(environment=environment, key=key), ["secret_key"])

	def test_parameters(self):
		for key, value in (
			("issuing_postal_code", "4410"),
			("issuer_tax_regime", "629"),
			("time_zone", "Mexico"),
			("default_product_code", "1"),
			("default_unit_code", "pieza"),
			("default_use", "Z9"),
			("default_payment_form", "77"),
			("untaxed_lines", "Maybe"),
		):
			with self.subTest(key=key):
				self.assertEqual(self.fields(**{key: value}), [key])


class TestIssue(unittest.TestCase):
	def issue(self, *answers):
		return provider(*answers).issue("{}")

	def test_valid_with_uuid_is_issued(self):
		document = self.issue((200, answer())).document
		self.assertEqual(document.status, RemoteStatus.ISSUED)
		self.assertEqual(document.fiscal_id, "39c85a3f-275b-4341-b259-e8971d9f8a94")
		self.assertEqual(document.authorization_number, "30001000000500003456")
		self.assertEqual(document.authorized_at, datetime(2026, 11, 21, 1, 29, 10, tzinfo=timezone.utc))
		self.assertEqual(
			(document.environment, document.total, dict(document.stamps)["sat_signature"]),
			(TEST, Decimal("116.00"), "abc=="),
		)

	def test_202_is_pending(self):
		"""providers/facturapi.md#answers: 2xx is not yet stamped."""
		for status in (202, 200):
			outcome = self.issue((status, answer(status="pending", uuid=None, stamp=None)))
			self.assertEqual(outcome.document.status, RemoteStatus.PENDING)

	def test_success_that_cannot_be_read_is_unknown(self):
		"""Invariant 3: a 2xx that cannot be parsed or that lacks the legal id."""
		for content in (b"", b"<html>", b"[]", answer(uuid=None), answer(id=None), answer(status="new"), {}):
			outcome = self.issue((200, content))
			self.assertEqual(outcome.failure.error_class, ErrorClass.UNKNOWN, content)

	def test_classes_of_errors(self):
		"""providers/facturapi.md#errors."""
		for status, body, expected in (
			(401, {"code": "api_key_invalid"}, ErrorClass.CONFIGURATION),
			(402, {"code": "subscription_required"}, ErrorClass.CONFIGURATION),
			(403, {"code": "forbidden"}, ErrorClass.CONFIGURATION),
			(404, b"nginx", ErrorClass.CONFIGURATION),
			(302, b"", ErrorClass.CONFIGURATION),
			(400, {"code": "invalid_request", "message": "x"}, ErrorClass.REJECTED),
			(400, {"message": "no code", "ok": False}, ErrorClass.REJECTED),
			(404, {"code": "customer_not_found"}, ErrorClass.REJECTED),
			(413, b"", ErrorClass.REJECTED),
			(429, {"code": "rate_limit_exceeded"}, ErrorClass.TRANSIENT),
			(400, {"code": "invoice_stamping_service_unavailable"}, ErrorClass.TRANSIENT),
			(409, {"code": "idempotency_key_in_use"}, ErrorClass.DUPLICATE),
			(400, {"code": "idempotency_key_in_use"}, ErrorClass.DUPLICATE),
			(409, {"code": "stamping_in_progress"}, ErrorClass.DUPLICATE),
			(408, b"", ErrorClass.UNKNOWN),
			(500, b"oops", ErrorClass.UNKNOWN),
			(503, {"code": "invoice_stamping_service_unavailable"}, ErrorClass.UNKNOWN),
		):
			with self.subTest(status=status, body=body):
				self.assertEqual(self.issue((status, body)).failure.error_class, expected)

	def test_every_reason_reaches_the_person(self):
		body = {
			"code": "invalid_request",
			"message": "Datos inválidos",
			"errors": [{"message": "El RFC no existe", "code": "CFDI40143", "path": "customer.tax_id"}],
		}
		failure = self.issue((400, body)).failure
		self.assertEqual(failure.message, "Datos inválidos\nTax ID of the Customer: El RFC no existe")
		self.assertEqual(failure.code, "CFDI40143")
		# Said once where Facturapi says it twice, and in the reader's language where that is ours to choose.
		body["message"] = "El RFC no existe"
		failure = self.issue((400, body)).failure
		words = {"Tax ID of the Customer": "RFC del cliente"}
		self.assertEqual(
			translated(failure.message, lambda text: words.get(text, text)),
			"RFC del cliente: El RFC no existe",
		)
		body["errors"] = [{"message": "Falta", "path": "items[2].product.product_key"}, {"message": "y más"}]
		self.assertEqual(self.issue((400, body)).failure.message, "El RFC no existe\nRow 3: Falta\ny más")

	def test_retry_after(self):
		failure = self.issue((429, {}, {"retry-after": "17"})).failure
		self.assertEqual(failure.retry_after, 17)

	def test_not_sent_and_lost(self):
		self.assertEqual(self.issue(NotSent("x")).failure.error_class, ErrorClass.TRANSIENT)
		self.assertEqual(self.issue(AnswerLost("x")).failure.error_class, ErrorClass.UNKNOWN)


class TestReconcile(unittest.TestCase):
	def test_by_reference_only_what_carries_it(self):
		found = {"data": [answer(), answer(external_id="other"), answer(status="draft", uuid=None)]}
		lookup = provider((200, found)).reconcile("ref")
		self.assertEqual([entry.external_reference for entry in lookup.documents], ["ref"])

	def test_none(self):
		lookup = provider((200, {"data": []})).reconcile("ref")
		self.assertEqual((lookup.documents, lookup.failure), ((), None))
		lookup = provider((404, {"code": "invoice_not_found"})).reconcile("ref", "id")
		self.assertEqual((lookup.documents, lookup.failure), ((), None))

	def test_no_answer_is_not_absence(self):
		for reply in ((500, b""), (200, b""), (200, {"data": None}), (401, {}), (404, b""), AnswerLost("x")):
			with self.subTest(reply=reply):
				self.assertTrue(provider(reply).reconcile("ref").failure)


class TestPing(unittest.TestCase):
	ok = (200, {"ok": True})
	me = (200, {"legal": {"legal_name": "ABARROTES", "tax_id": "EKU9003173C9"}})

	def test_good(self):
		one = provider(self.ok, self.me, (200, {"data": [answer()]}))
		ping = one.ping()
		self.assertTrue(ping.ok)
		self.assertEqual(ping.message, "Connection successful")
		self.assertIn(("RFC", "EKU9003173C9"), ping.details)
		self.assertEqual({asked[1] for asked in one.http.asked}, {"GET"})

	def test_bad_in_plain_words(self):
		for answers, words in (
			([(401, {})], "does not accept the secret key"),
			([NotSent("The server cannot be reached")], "cannot be reached"),
			([(200, b"<html>")], "check the server URL"),
			([self.ok, self.me, (200, {"data": [answer(livemode=True)]})], "Wrong environment"),
		):
			with self.subTest(words=words):
				ping = provider(*answers).ping()
				self.assertFalse(ping.ok)
				self.assertIn(words, ping.message)

	def test_the_place_of_issue_is_the_organizations(self):
		"""SAT refuses every sale to the general public whose postal code is not that of the issuer (CFDI40149)."""
		me = (200, {"legal": {"tax_id": "EKU9003173C9", "address": {"zip": "44100"}}})
		newest = (200, {"data": []})
		self.assertTrue(provider(self.ok, me, newest).ping().ok)
		ping = provider(self.ok, me, issuing_postal_code="64000").ping()
		self.assertFalse(ping.ok)
		for word in ("64000", "44100", "CFDI40149"):
			self.assertIn(word, ping.message)
		ping = provider(self.ok, me, newest, issuing_postal_code="").ping()
		self.assertEqual((ping.ok, ping.found), (True, {"issuing_postal_code": "44100"}))

	def test_the_regime_of_the_issuer_is_the_organizations(self):
		me = (200, {"legal": {"tax_id": "EKU9003173C9", "tax_system": "621"}})
		newest = (200, {"data": []})
		self.assertEqual(provider(self.ok, me, newest).ping().found, {"issuer_tax_regime": "621"})
		ping = provider(self.ok, me, issuer_tax_regime="601").ping()
		self.assertFalse(ping.ok)
		for word in ("601", "621"):
			self.assertIn(word, ping.message)

	def test_without_one_walk_in_sales_wait_for_a_person_and_not_the_till(self):
		nobody = sale(receiver=Party("Cliente", walk_in=True))
		(problem,) = provider(issuing_postal_code="").validate(nobody, NOW)
		self.assertFalse(problem.stops_sale)
		self.assertIn("Ping Server", problem.message)


class TestCancelling(unittest.TestCase):
	held = Held("5f7d8b1e9a3c4b0017a1b2c3", answer()["uuid"], issued_at=NOW)

	def test_not_found_is_not_yet(self):
		from fiscal_integration.providers.base import CancelRequest

		absent = (404, {"ok": False, "status": 404, "code": "invoice_not_found", "message": "No existe"})
		for ask in (
			lambda one: one.cancel(self.held, CancelRequest(motive="02")),
			lambda one: one.cancellation(self.held),
		):
			found = ask(provider(absent))
			self.assertEqual((found.status, found.failure.error_class), (None, ErrorClass.TRANSIENT))
			self.assertTrue(found.failure.waits)
		wrong = provider((404, b"<html>nginx</html>")).cancel(self.held, CancelRequest(motive="02"))
		self.assertEqual(wrong.failure.error_class, ErrorClass.CONFIGURATION)

	def test_until_when_and_with_whose_consent(self):
		one = provider()
		company, person = Party("A", "EKU9003173C9"), Party("B", "RUOM851012AB3")
		for issuer, day in ((company, "2027-03-31"), (person, "2027-04-30")):
			self.assertIn(day, one.cancel_notes(self.held, issuer)[0])
		# The evening of New Year's Eve there, which is January in UTC.
		late = replace(self.held, issued_at=datetime(2027, 1, 1, 2, tzinfo=timezone.utc))
		self.assertIn("2027-03-31", one.cancel_notes(late, company)[0])
		fuel = {"type": "I", "items": [{"product": {"product_key": "15101514"}}]}
		for payload, words in (
			({"type": "P"}, "silence is no consent"),
			(fuel, "silence is no consent"),
			({"type": "I", "items": []}, "silence is consent"),
		):
			held = replace(self.held, payload=json.dumps(payload))
			self.assertIn(words, one.cancel_notes(held, company)[1])
			pending = {**answer(), "cancellation_status": "pending"}
			self.assertIn(words, provider((200, pending)).cancellation(held).message)


class TestFiles(unittest.TestCase):
	def test_pdf_and_xml(self):
		self.assertEqual(provider((200, b"%PDF-1.4 x")).pdf(Held("id", "")).content, b"%PDF-1.4 x")
		self.assertEqual(provider((200, b"<?xml?>")).xml(Held("id", "")).content, b"<?xml?>")

	def test_what_is_no_file_is_refused(self):
		for reply in ((200, b"<html>"), (404, {"code": "invoice_not_found"}), AnswerLost("x")):
			with self.subTest(reply=reply):
				self.assertTrue(provider(reply).pdf(Held("id", "")).failure)
