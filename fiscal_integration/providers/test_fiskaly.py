"""fiskaly SIGN AT against its emulator over HTTP, and the traps of providers/fiskaly.md."""

import hashlib
import json
import unittest
import uuid
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import ClassVar

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fiscal_integration.fiscal.austria import rksv
from fiscal_integration.fiscal.errors import ErrorClass
from fiscal_integration.fiscal.invoice import (
	Coordinates,
	DocumentKind,
	Invoice,
	Line,
	LineTax,
	Party,
	Payment,
	PaymentKind,
	TaxCategory,
)
from fiscal_integration.fiscal.money import quantize
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.remote import differences
from fiscal_integration.providers.base import PRODUCTION, TEST, Account, Connection
from fiscal_integration.providers.fiskaly import RAW_FIELDS, Fiskaly, by_rate, cash_part, payments, share
from fiscal_integration.providers.http import HttpClient
from fiscal_integration.sandbox import Sandbox

NOW = datetime.now(timezone.utc)
KEYS = iter(range(1, 10_000))
FON = {"fon_participant_id": "12345678", "fon_user_id": "kassa01", "fon_user_pin": "geheim1"}


def line(net, rate="0.20", quantity="1"):
	net, rate, quantity = Decimal(net), Decimal(rate), Decimal(quantity)
	taxes = (LineTax(TaxCategory.VAT, rate, net, net * rate, name="USt"),)
	return Line("Melange", quantity, net / quantity, net, taxes=taxes, row=1)


def sale(lines=None, register="", paid=None, **values):
	lines = tuple(lines or [line("10")])
	total = quantize(sum(entry.net + sum(tax.amount for tax in entry.taxes) for entry in lines))
	return Invoice(
		**{
			"doctype": "POS Invoice",
			"name": "PSINV-1",
			"kind": DocumentKind.INVOICE,
			"issued_at": NOW,
			"issuer": Party("Café", country="AT"),
			"receiver": Party("Laufkundschaft", walk_in=True),
			"currency": "EUR",
			"lines": lines,
			"total": total,
			"payments": paid if paid is not None else (Payment(PaymentKind.CASH, total),),
			"coordinates": Coordinates("", "", register=register),
			**values,
		}
	)


class Case(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)

	def setUp(self):
		self.sandbox.reset()
		self.emulator = self.sandbox.emulators["fiskaly"]
		self.exchanges = []

	def provider(self, live=False, environment=None, secret=None, **parameters):
		connection = Connection(
			"fiskaly",
			environment or (PRODUCTION if live else TEST),
			self.sandbox.url("fiskaly"),
			parameters,
			{
				"secret_key": Secret(secret or self.sandbox.secret_key("fiskaly", live)),
				"api_key": Secret(self.sandbox.parameters("fiskaly", live)["api_key"]),
			},
		)
		return Fiskaly(connection, HttpClient(self.exchanges.append, loopback=True))

	def call(self, method, path, body=None):
		found = self.provider()._call("test", method, path, json.dumps(body) if body else "")
		return found

	def register(self) -> str:
		"""A cash register from nothing to INITIALIZED."""
		self.call("PUT", "/fon/auth", FON)
		unit, register = str(uuid.uuid4()), str(uuid.uuid4())
		if not self.emulator.units:
			self.call(
				"PUT", f"/signature-creation-unit/{unit}", {"legal_entity_id": {"vat_id": "ATU12345678"}}
			)
			self.call("PATCH", f"/signature-creation-unit/{unit}", {"state": "INITIALIZED"})
		self.call("PUT", f"/cash-register/{register}", {"description": "Kassa 1"})
		for state in ("REGISTERED", "INITIALIZED"):
			self.assertEqual(
				self.call("PATCH", f"/cash-register/{register}", {"state": state})["state"], state
			)
		return register

	def send(self, document, provider=None):
		provider = provider or self.provider()
		self.assertEqual([str(problem) for problem in provider.validate(document, NOW)], [])
		payload = provider.build(document, "PSINV-1.ref", f"key-{next(KEYS)}", NOW)
		return payload, provider.issue(payload.body)

	def signed(self, document, provider=None):
		payload, outcome = self.send(document, provider)
		self.assertIsNotNone(outcome.document, outcome.failure)
		self.assertEqual(differences(payload.expected, outcome.document, answered=True), [])
		return outcome.document

	def export(self, register):
		return self.call("GET", f"/cash-register/{register}/export")


class TestReceipts(Case):
	def test_a_receipt_of_every_rate(self):
		register = self.register()
		lines = [line("10"), line("20", "0.10"), line("30", "0.13"), line("40", "0.19"), line("50", "0")]
		for schema in ("standard_v1", "raw"):
			found = self.signed(sale(lines, register), self.provider(schema=schema))
			code = rksv.parse(found.qr_value)
			self.assertEqual(
				code.amounts,
				{
					"STANDARD": Decimal("12.00"),
					"REDUCED_1": Decimal("22.00"),
					"REDUCED_2": Decimal("33.90"),
					"SPECIAL": Decimal("47.60"),
					"ZERO": Decimal("50.00"),
				},
			)
			self.assertEqual(found.total, Decimal("165.50"))

	def test_what_is_free_changes_no_amount(self):
		"""A free row is on the receipt, at its own rate: an amount of zero is not one of another rate."""
		register = self.register()
		free = replace(line("0", "0.10"), unit_price=Decimal(5), discount=Decimal(5))
		for schema in ("standard_v1", "raw"):
			found = self.signed(sale([line("10"), free], register), self.provider(schema=schema))
			amounts = rksv.parse(found.qr_value).amounts
			self.assertEqual({name: value for name, value in amounts.items() if value}, {"STANDARD": 12})
			nothing = self.signed(sale([free], register, paid=()), self.provider(schema=schema))
			self.assertEqual(nothing.total, 0)
			self.assertFalse(any(rksv.parse(nothing.qr_value).amounts.values()))
		self.assertEqual(by_rate(sale([line("10"), free])), {Decimal("0.20"): 12, Decimal("0.10"): 0})

	def test_a_day_whose_chain_an_independent_check_accepts(self):
		register = self.register()
		self.signed(sale(register=register))
		self.signed(sale([line("7.35", "0.10", "3")], register))
		self.signed(sale(register=register, kind=DocumentKind.CREDIT_NOTE))
		training = sale(register=register)
		self.signed(replace(training, coordinates=replace(training.coordinates, training=True)))
		self.sandbox.set_option("fiskaly", outage=True)
		unsigned = self.signed(sale(register=register))
		self.assertIn(rksv.OUTAGE, dict(unsigned.stamps)["hints"])
		self.sandbox.set_option("fiskaly", outage=False)
		self.signed(sale(register=register))
		export = self.export(register)
		checked = rksv.check_export(export, counter_key=self.emulator.counter_key)
		self.assertEqual((checked.faults, checked.unverified), ((), 0))
		# All but the cancellation and the training, whose receipts do not tell it.
		self.assertEqual(checked.counters, checked.receipts - 2)
		codes = [rksv.of_compact(jws) for jws in export["Belege-Gruppe"][0]["Belege-kompakt"]]
		# The first and the one that ends the outage are fiskaly's own.
		self.assertEqual(len(codes), 8)
		self.assertEqual([code.total == 0 for code in codes], [True, *[False] * 5, True, False])
		self.assertEqual([code.cancellation for code in codes].count(True), 1)
		self.assertEqual([code.training for code in codes].count(True), 1)
		self.assertEqual([code.outage for code in codes].count(True), 1)

	def test_an_outage_ends_by_itself_with_a_signed_zero_receipt(self):
		register = self.register()
		self.sandbox.set_option("fiskaly", outage=True)
		for _sale in range(3):
			self.signed(sale(register=register))
		during = rksv.check_export(self.export(register))
		self.assertEqual(["ends in an outage" in fault for fault in during.faults], [True])
		self.sandbox.set_option("fiskaly", outage=False)
		self.sandbox.tick()
		self.assertEqual(rksv.check_export(self.export(register)).faults, ())
		(entry,) = [
			entry
			for entry in self.provider().closings(register)
			if entry["type"] == "SIGNATURE_CREATION_UNIT_FAULT_CLEARANCE"
		]
		self.assertTrue(entry["signed"])
		self.assertEqual(len(self.sandbox.ledger("fiskaly")), 3)

	def test_a_return_is_a_cancellation_with_negative_amounts(self):
		found = self.signed(sale(register=self.register(), kind=DocumentKind.CREDIT_NOTE))
		self.assertEqual((found.document_type, found.total), ("CANCELLATION", Decimal("-12.00")))
		self.assertTrue(rksv.parse(found.qr_value).cancellation)

	def test_training_leaves_the_turnover_counter_and_cancellation_does_not(self):
		register = self.register()
		self.signed(sale(register=register))
		training = sale(register=register)
		self.signed(replace(training, coordinates=replace(training.coordinates, training=True)))
		self.assertEqual(self.counter(self.signed(sale(register=register))), 2400)
		self.signed(sale(register=register, kind=DocumentKind.CREDIT_NOTE))
		self.assertEqual(self.counter(self.signed(sale(register=register))), 2400)

	def counter(self, document) -> int:
		"""The cents that a receipt's turnover counter holds (authorities/austria.md#the-machine-readable-code)."""
		code = rksv.parse(document.qr_value)
		start = hashlib.sha256((code.register + code.number).encode()).digest()[:16]
		decryptor = Cipher(algorithms.AES(self.emulator.counter_key), modes.CTR(start)).decryptor()
		return int.from_bytes(decryptor.update(code.counter), "big", signed=True)

	def test_the_same_receipt_goes_under_the_same_uuid(self):
		register, provider = self.register(), self.provider()
		document = sale(register=register)
		payload = provider.build(document, "r", "one key", NOW)
		again = provider.build(document, "r", "one key", NOW)
		self.assertEqual(payload.body, again.body)
		name = payload.provider_id.split("/")[1]
		self.assertEqual(uuid.UUID(name).version, 4)
		first, second = provider.issue(payload.body), provider.issue(payload.body)
		self.assertEqual(first.document, second.document)
		self.assertEqual(len(self.sandbox.ledger("fiskaly")), 1)

	def test_what_cannot_be_read_is_unknown_and_found_by_its_uuid(self):
		register = self.register()
		for kind in (
			"lost_after_commit",
			"malformed",
			"empty",
			"no_uuid",
			"status_after_commit",
			"wrong_total",
		):
			with self.subTest(kind):
				self.sandbox.fault("fiskaly", kind)
				payload, outcome = self.send(sale(register=register))
				self.assertEqual(outcome.failure.error_class, ErrorClass.UNKNOWN)
				(found,) = self.provider().reconcile("", payload.provider_id).documents
				self.assertEqual(differences(payload.expected, found), [])
		absent = self.provider().reconcile("", f"{register}/{uuid.uuid4()}")
		self.assertEqual((absent.documents, absent.failure), ((), None))

	def test_an_answer_that_contradicts_its_code_is_not_accepted(self):
		register = self.register()
		self.signed(sale(register=register))
		entry = self.emulator.receipts[register][-1]
		for changes in (
			{"receipt_number": "99"},
			{"cash_register_serial_number": "other"},
			{"qr_code_data": entry["qr_code_data"].replace("12,00", "13,00")},
			{"qr_code_data": "x"},
			{"schema": {}},
		):
			from fiscal_integration.providers.fiskaly import receipt_of

			self.assertIsNone(receipt_of({**entry, **changes}))


class TestBasicFoodstuffs(Case):
	"""4.9 % from 1 July 2026 on, by the day of supply."""

	JUNE, JULY = date(2026, 6, 30), date(2026, 7, 1)

	def problems(self, document):
		return [str(problem) for problem in self.provider().validate(document, NOW)]

	def test_they_share_the_field_with_19_percent_and_are_told_apart_on_paper(self):
		lines = [line("100", "0.049"), line("10", "0.19"), line("5", "0.20")]
		for schema in ("standard_v1", "raw"):
			provider = self.provider(schema=schema)
			document = sale(lines, self.register())
			payload, outcome = self.send(document, provider)
			found = outcome.document
			self.assertEqual(rksv.parse(found.qr_value).amounts["SPECIAL"], Decimal("116.80"))
			self.assertEqual(
				provider.gross_by_rate(payload.body, dict(found.stamps)),
				[("4,9 %", Decimal("104.90")), ("19 %", Decimal("11.90")), ("20 %", Decimal("6.00"))],
			)

	def test_the_settings_may_put_them_elsewhere(self):
		for field in rksv.ORDER:
			provider = self.provider(basic_food_field=field)
			payload, outcome = self.send(sale([line("100", "0.049")], self.register()), provider)
			amounts = rksv.parse(outcome.document.qr_value).amounts
			self.assertEqual({name for name, amount in amounts.items() if amount}, {field})
			self.assertEqual(
				provider.gross_by_rate(payload.body, dict(outcome.document.stamps)),
				[("4,9 %", Decimal("104.90"))],
			)

	def test_a_return_keeps_the_rate_of_the_day_of_its_sale(self):
		for rate, day, wrong in (
			("0.10", self.JUNE, ""),
			("0.10", self.JULY, ""),
			("0.049", self.JULY, ""),
			("0.049", self.JUNE, "counts for supplies from 2026-07-01 on, and this one is of 2026-06-30"),
		):
			for kind in (DocumentKind.INVOICE, DocumentKind.CREDIT_NOTE):
				with self.subTest(rate=rate, day=day, kind=kind):
					found = self.problems(sale([line("10", rate)], "x", supplied_on=day, kind=kind))
					self.assertEqual(bool(found), bool(wrong))
					self.assertIn(wrong, "".join(found))

	def test_amounts_that_are_not_what_we_sent_have_no_rate(self):
		payload, outcome = self.send(sale([line("100", "0.049")], self.register()))
		stamps = {**dict(outcome.document.stamps), "gross_special": "11.90"}
		self.assertEqual(Fiskaly.gross_by_rate(payload.body, stamps), [("Satz-Besonders", Decimal("11.90"))])
		self.assertEqual(Fiskaly.gross_by_rate(None, stamps), [("Satz-Besonders", Decimal("11.90"))])


class TestEnvironment(Case):
	def test_the_key_tells_where_it_belongs(self):
		self.assertTrue(self.provider().ping().ok)
		self.assertTrue(self.provider(live=True).ping().ok)
		for live, environment in ((True, TEST), (False, PRODUCTION)):
			ping = self.provider(live=live, environment=environment).ping()
			self.assertFalse(ping.ok)
			self.assertIn("belongs to", ping.message)

	def test_every_answer_is_looked_at(self):
		register = self.register()
		self.sandbox.fault("fiskaly", "wrong_livemode")
		_, outcome = self.send(sale(register=register))
		self.assertEqual(
			(outcome.failure.error_class, outcome.failure.code),
			(ErrorClass.CONFIGURATION, "other_environment"),
		)

	def test_bad_credentials_and_an_expired_token(self):
		self.assertFalse(self.provider(secret="wrong").ping().ok)
		register, provider = self.register(), self.provider()
		self.signed(sale(register=register), provider)
		self.emulator.tokens.clear()
		self.signed(sale(register=register), provider)

	def test_a_token_of_ten_minutes_is_renewed_before_its_end(self):
		self.sandbox.set_option("fiskaly", token_seconds=600)
		provider = self.provider()
		provider.ping()
		kept = provider.tokens.kept["fiskaly"]
		self.assertTrue(kept[0])


class TestManagement(Case):
	DETAILS: ClassVar = {
		"name": "Café",
		"address": "Ring 1",
		"postal_code": "1010",
		"city": "Wien",
		"vat_id": "",
	}

	def account(self, live=False):
		return Account(*(Secret(part) for part in self.emulator.account(live)))

	def make(self, reference, **details):
		return self.provider().make_organization(self.account(), reference, {**self.DETAILS, **details})

	def test_its_own_organization_is_found_among_many(self):
		made = [self.make(f"reference-{number}").state for number in range(205)]
		self.assertEqual(len(set(made)), 205)
		self.assertEqual(self.make("reference-3").state, made[3])
		self.assertEqual(self.make("reference-204").state, made[204])
		self.assertEqual(len(self.emulator.organizations), 205)

	def test_the_new_credentials_sign_in_the_environment_of_the_account(self):
		for live in (False, True):
			provider = self.provider(live)
			organization = provider.make_organization(
				self.account(live), f"reference-{live}", self.DETAILS
			).state
			made = provider.make_credentials(self.account(live), organization, f"reference-{live}")
			connection = replace(provider.connection, secrets=made.secrets)
			self.assertTrue(Fiskaly(connection, HttpClient(self.exchanges.append, loopback=True)).ping().ok)

	def test_an_organization_without_its_environment_gets_it(self):
		organization = self.make("reference").state
		self.emulator.organizations[organization]["_envs"].clear()
		self.assertEqual(self.make("reference").state, organization)
		self.assertEqual(self.emulator.organizations[organization]["_envs"], ["TEST"])

	def test_what_fiskaly_refuses_is_told(self):
		refused = self.make("reference", name="X")
		self.assertEqual(refused.failure.error_class, ErrorClass.REJECTED)
		self.assertIn("body.name", refused.failure.message)

	def test_fiskalys_own_address(self):
		connection = Connection("fiskaly", TEST, "https://rksv.fiskaly.com/api/v1")
		self.assertEqual(Fiskaly(connection, None)._management_url, "https://dashboard.fiskaly.com/api/v0")


class TestSetUpRules(Case):
	def test_states_that_may_not_follow(self):
		register = self.register()
		for state in ("CREATED", "REGISTERED", "INITIALIZED"):
			found = self.call("PATCH", f"/cash-register/{register}", {"state": state})
			self.assertEqual(found.error_class, ErrorClass.REJECTED)

	def test_one_signature_creation_unit(self):
		self.register()
		found = self.call(
			"PUT",
			f"/signature-creation-unit/{uuid.uuid4()}",
			{"legal_entity_id": {"vat_id": "ATU12345678"}},
		)
		self.assertEqual(found.code, "E_SCU_LIMIT_REACHED")

	def test_only_uuids_of_version_4(self):
		found = self.call(
			"PUT", f"/cash-register/{uuid.uuid5(uuid.NAMESPACE_DNS, 'x')}", {"description": "x"}
		)
		self.assertEqual(found.code, "E_FAILED_SCHEMA_VALIDATION")

	def test_finanzonline_is_busy_for_minutes(self):
		self.sandbox.set_option("fiskaly", fon_fault="E_FON_SESSION_LIMIT")
		found = self.call("PUT", "/fon/auth", FON)
		self.assertEqual((found.error_class, found.retry_after), (ErrorClass.TRANSIENT, 300.0))

	def test_a_register_that_is_not_ready(self):
		_, outcome = self.send(sale(register=self.register()))
		register = str(uuid.uuid4())
		self.call("PUT", f"/cash-register/{register}", {"description": "Kassa 2"})
		_, outcome = self.send(sale(register=register))
		self.assertEqual(outcome.failure.error_class, ErrorClass.CONFIGURATION)


class TestAmounts(unittest.TestCase):
	def test_mixed_payments_are_split_to_the_cent(self):
		lines = [line("10"), line("20", "0.10"), line("33.33", "0.13")]
		document = sale(
			lines,
			paid=(
				Payment(PaymentKind.CASH, Decimal("20.01")),
				Payment(PaymentKind.CREDIT_CARD, Decimal("10.00")),
				Payment(PaymentKind.TRANSFER, Decimal("41.65")),
			),
		)
		part = cash_part(document)
		self.assertEqual(part, Decimal("30.01"))
		self.assertEqual(sum(share(by_rate(document), part).values()), part)
		self.assertEqual(payments(document), {"CASH": Decimal("20.01"), "NON_CASH": Decimal("10.00")})

	def test_sums_are_exact_whatever_is_rounded(self):
		for prices in (("3.33", "3.33", "3.34"), ("0.005", "0.015", "0.025"), ("99.999", "0.001", "0.01")):
			for part in ("0.01", "1.00", "5.55"):
				document = sale(
					[line(price, rate) for price, rate in zip(prices, ("0.20", "0.10", "0.13"), strict=True)]
				)
				self.assertEqual(sum(by_rate(document).values()), document.total)
				wanted = min(Decimal(part), document.total)
				self.assertEqual(sum(share(by_rate(document), wanted).values()), wanted)

	def test_what_is_outside_of_the_rksv_says_so(self):
		provider = Fiskaly(Connection("fiskaly", TEST, "https://x"), None)
		total = sale().total
		self.assertTrue(provider.not_needed(sale(paid=(Payment(PaymentKind.TRANSFER, total),))))
		self.assertTrue(provider.not_needed(sale(paid=(), on_credit=True)))
		self.assertFalse(provider.not_needed(sale()))
		self.assertFalse(provider.not_needed(sale(paid=(Payment(PaymentKind.CREDIT_CARD, total),))))

	def test_the_raw_fields_are_fiskalys(self):
		self.assertEqual(set(RAW_FIELDS), set(rksv.ORDER))

	def test_what_is_wrong_is_told_before(self):
		provider = Fiskaly(Connection("fiskaly", TEST, "https://x"), None)
		for document, words in (
			(sale(), "no cash register"),
			(sale(register="x", currency="USD"), "EUR"),
			(sale([line("10", "0.07")], "x"), "none of Austria's rates"),
		):
			self.assertTrue(any(words in str(problem) for problem in provider.validate(document, NOW)), words)


if __name__ == "__main__":
	unittest.main()
