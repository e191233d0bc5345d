import hashlib
import hmac
import json
import unittest
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from fiscal_integration.fiscal.errors import ErrorClass
from fiscal_integration.fiscal.invoice import (
	DocumentKind,
	Invoice,
	Line,
	LineTax,
	Party,
	TaxCategory,
)
from fiscal_integration.fiscal.money import quantize
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.remote import RemoteStatus
from fiscal_integration.providers.base import PRODUCTION, TEST, Connection, Held
from fiscal_integration.providers.conteo import Conteo
from fiscal_integration.providers.http import HttpClient, Response
from fiscal_integration.sandbox import Sandbox, dgi_numbers
from fiscal_integration.sandbox.reading import read_pdf

NOW = datetime(2026, 11, 20, 19, 30, tzinfo=ZoneInfo("America/Panama"))
COMPANY = Party("Distribuidora del Istmo, S.A.", "155596713-2-2015", "PA")
WALK_IN = Party("Cliente de contado", walk_in=True)


def connection(url="https://api.conteo.me/v1", key="k", **parameters):
	secret = parameters.pop("webhook_secret", "whsec")
	return Connection(
		"conteo", TEST, url, parameters, {"secret_key": Secret(key), "webhook_secret": Secret(secret)}
	)


def line(net="100", quantity="1", rate="0.07", **values):
	net, quantity = Decimal(net), Decimal(quantity)
	taxes = (LineTax(TaxCategory.VAT, Decimal(rate), net, net * Decimal(rate), name="ITBMS"),) if rate else ()
	return Line("Café", quantity, net / quantity, net, **{"taxes": taxes, "row": 1, **values})


def invoice(lines=None, receiver=COMPANY, total=None, **values):
	lines = tuple(lines or [line()])
	if total is None:
		total = quantize(sum((entry.net for entry in lines), Decimal(0))) + quantize(
			sum((tax.amount for entry in lines for tax in entry.taxes), Decimal(0))
		)
	return Invoice(
		**{
			"doctype": "Sales Invoice",
			"name": "SINV-1",
			"kind": DocumentKind.INVOICE,
			"issued_at": NOW,
			"issuer": Party("Issuer", country="PA"),
			"receiver": receiver,
			"currency": "USD",
			"lines": lines,
			"total": Decimal(total),
			**values,
		}
	)


def built(document, **parameters):
	payload = Conteo(connection(**parameters), None).build(document, "SINV-1.ref", "key", NOW)
	return json.loads(payload.body), payload.expected


class TestBuild(unittest.TestCase):
	def test_the_seeds_example(self):
		body, expected = built(invoice([line("150", "3"), line("10", rate="0")]))
		self.assertEqual(body["receptor"], {"ruc": "155596713-2-2015", "nombre": COMPANY.name})
		self.assertEqual(
			body["items"],
			[
				{
					"descripcion": "Café",
					"cantidad": 3,
					"precio_unitario": 50,
					"itbms": 3.5,
					"itbms_rate": 7,
				},
				{"descripcion": "Café", "cantidad": 1, "precio_unitario": 10, "itbms": 0, "itbms_rate": 0},
			],
		)
		self.assertEqual((body["subtotal"], body["itbms"], body["total"]), (160, 10.5, 170.5))
		self.assertEqual(body["referencia_externa"], "SINV-1.ref")
		self.assertEqual(expected.total, Decimal("170.50"))

	def test_each_rate_and_both_ways_to_tell_it(self):
		lines = [line("100", rate=rate) for rate in ("0", "0.07", "0.10", "0.15")]
		body, _ = built(invoice(lines))
		self.assertEqual([item["itbms_rate"] for item in body["items"]], [0, 7, 10, 15])
		self.assertEqual(body["itbms"], 32)
		body, _ = built(invoice(lines), itbms_rate_form="Fraction")
		self.assertEqual([item["itbms_rate"] for item in body["items"]], [0, 0.07, 0.1, 0.15])

	def test_a_discount_is_in_the_price(self):
		body, _ = built(invoice([line("90", "3", discount=Decimal(10))]))
		self.assertEqual(body["items"][0]["precio_unitario"], 30)

	def test_walk_in_customers(self):
		body, _ = built(invoice(receiver=WALK_IN))
		self.assertEqual(body["receptor"], {"nombre": "CONSUMIDOR FINAL"})
		body, _ = built(invoice(receiver=WALK_IN), walk_in_ruc="8-1-1", walk_in_name="CONTADO")
		self.assertEqual(body["receptor"], {"ruc": "8-1-1", "nombre": "CONTADO"})

	def test_foreign_receivers_have_no_ruc(self):
		body, _ = built(invoice(receiver=Party("ACME", "98-1234567", "US")))
		self.assertEqual(body["receptor"], {"nombre": "ACME"})

	def test_the_same_invoice_makes_the_same_bytes(self):
		provider = Conteo(connection(), None)
		self.assertEqual(
			*(provider.build(invoice([line("33.33", "7")]), "r", "k", NOW).body for _ in range(2))
		)


class TestValidate(unittest.TestCase):
	def problems(self, document, **parameters):
		return Conteo(connection(**parameters), None).validate(document, NOW)

	def test_a_good_one_has_none(self):
		for receiver in (COMPANY, WALK_IN, Party("ACME", "98-1", "US"), Party("Ana", "8-730-241", "PA")):
			self.assertEqual(self.problems(invoice(receiver=receiver)), [])

	def test_a_wrong_ruc_never_gets_as_far_as_a_call(self):
		for wrong in ("", "123", "8-730", "J-8-567"):
			(problem,) = self.problems(invoice(receiver=Party("Ana", wrong, "PA")))
			self.assertEqual(
				(problem.code, problem.field, problem.stops_sale), ("INVALID_RUC", "tax_id", True)
			)

	def test_the_form_of_conteos_own_example_goes_out_with_a_warning(self):
		document = replace(invoice(), receiver=replace(COMPANY, tax_id="J-8-56789-1"))
		provider = Conteo(connection("https://x"), None)
		self.assertEqual(provider.validate(document, NOW), [])
		(warning,) = provider.warnings(document)
		self.assertIn("J-8-56789-1", warning)
		self.assertEqual(provider.warnings(invoice()), [])
		for number in ("J-8-567", "J8567891", "X-8-56789-1", "J-8-56789-1-2"):
			wrong = replace(document, receiver=replace(COMPANY, tax_id=number))
			self.assertEqual(len(provider.validate(wrong, NOW)), 1)

	def test_what_is_free_keeps_its_rate(self):
		tax = LineTax(TaxCategory.VAT, Decimal("0.07"), Decimal(0), Decimal(0))
		free = replace(invoice().lines[0], net=Decimal(0), discount=Decimal(100), taxes=(tax,))
		document = replace(invoice(), lines=(*invoice().lines, free))
		provider = Conteo(connection("https://x"), None)
		self.assertEqual(provider.validate(document, NOW), [])
		item = json.loads(provider.build(document, "r", "k", NOW).body)["items"][-1]
		self.assertEqual((item["precio_unitario"], item["itbms"], item["itbms_rate"]), (0, 0, 7))

	def test_what_conteo_cannot_express(self):
		excise = LineTax(TaxCategory.EXCISE, Decimal("0.05"), Decimal(100), Decimal(5), name="ISC")
		for document, text in (
			(invoice([line(taxes=(excise,))], total="105"), "no other tax"),
			(invoice([line(rate="0.16")]), "not 16"),
			(invoice(currency="EUR"), "EUR"),
			(invoice([line("1", rate="")], total="-1"), "negative"),
			(invoice([line()], total="107.02"), "more than a cent"),
		):
			with self.subTest(text):
				self.assertTrue(any(text in problem.message for problem in self.problems(document)))

	def test_a_cent_apart_is_conteos_own_total(self):
		document = invoice([line()], total="107.01")
		self.assertEqual(self.problems(document), [])
		self.assertEqual(built(document)[1].total, Decimal("107.00"))

	def test_a_return_does_not_stop_at_the_till(self):
		(problem,) = self.problems(invoice(kind=DocumentKind.CREDIT_NOTE))
		self.assertFalse(problem.stops_sale)

	def test_settings(self):
		wrong = Conteo.check_connection(connection(certificate_valid_until="31.3.2027", walk_in_ruc="x"))
		self.assertEqual({problem.field for problem in wrong}, {"certificate_valid_until", "walk_in_ruc"})
		good = connection(certificate_valid_until="2027-03-31")
		self.assertEqual(Conteo.check_connection(good), [])
		self.assertEqual(Conteo.expiries(good), [("Certificate", date(2027, 3, 31))])
		self.assertEqual(Conteo.expiries(connection()), [])
		self.assertTrue(Conteo.check_connection(connection(key="")))


class TestErrors(unittest.TestCase):
	def failure(self, status, body, issuing=True, **headers):
		content = body if isinstance(body, bytes) else json.dumps(body).encode()
		return Conteo.failure_of(Response(status, headers, content), issuing)

	def test_the_whole_table_whatever_the_http_status(self):
		table = {
			"INVALID_RUC": ErrorClass.REJECTED,
			"INVALID_PAYLOAD": ErrorClass.REJECTED,
			"DUPLICATE_DOCUMENT": ErrorClass.DUPLICATE,
			"SFEP_UNAVAILABLE": ErrorClass.TRANSIENT,
			"CERTIFICATE_EXPIRED": ErrorClass.CONFIGURATION,
			"RATE_LIMITED": ErrorClass.TRANSIENT,
			"TIMEOUT": ErrorClass.UNKNOWN,
		}
		for code, error_class in table.items():
			for status in (400, 403, 409, 422, 429, 500, 503):
				with self.subTest(code=code, status=status):
					failure = self.failure(status, {"code": code, "message": "porque sí"})
					self.assertEqual((failure.error_class, failure.code), (error_class, code))
					self.assertIn("porque sí", failure.message)

	def test_waits(self):
		self.assertEqual(self.failure(503, {"code": "SFEP_UNAVAILABLE"}).waits, (30, 120, 600))
		self.assertEqual(self.failure(429, {"code": "RATE_LIMITED"}).retry_after, 1)
		self.assertEqual(self.failure(429, {}).code, "RATE_LIMITED")
		self.assertEqual(self.failure(429, {}, **{"retry-after": "17"}).retry_after, 17)
		self.assertEqual(self.failure(429, {}, **{"retry-after": "0"}).retry_after, 1)

	def test_a_duplicate_names_the_document_where_it_does(self):
		named = self.failure(409, {"code": "DUPLICATE_DOCUMENT", "invoice_id": "FE001-00001"})
		self.assertEqual(named.provider_id, "FE001-00001")
		self.assertEqual(self.failure(409, {"code": "DUPLICATE_DOCUMENT"}).provider_id, "")

	def test_without_a_code_the_status_decides(self):
		for status, issuing, error_class in (
			(401, True, ErrorClass.CONFIGURATION),
			(403, False, ErrorClass.CONFIGURATION),
			(404, True, ErrorClass.CONFIGURATION),
			(301, True, ErrorClass.CONFIGURATION),
			(500, True, ErrorClass.UNKNOWN),
			(502, False, ErrorClass.TRANSIENT),
			(418, True, ErrorClass.REJECTED),
		):
			for body in (b"", b"<html>", b"[]", b'{"code": null}'):
				failure = self.failure(status, body, issuing)
				self.assertEqual(failure.error_class, error_class, (status, body))
		self.assertTrue(self.failure(500, b"").down)
		self.assertFalse(self.failure(503, {"code": "SFEP_UNAVAILABLE"}).down)


class TestWebhook(unittest.TestCase):
	BODY = b'{"event": "invoice.completed", "data": {"invoice_id": "FE001-00142", "cufe": "FE01"}}'

	def test_signature(self):
		digest = hmac.new(b"whsec", self.BODY, hashlib.sha256).hexdigest()
		found = connection()
		self.assertTrue(Conteo.verify_webhook(found, f"sha256={digest}", self.BODY))
		for wrong in ("", digest, "sha256=", f"sha256={digest[:-1]}", f"SHA256={digest}", f"sha512={digest}"):
			self.assertFalse(Conteo.verify_webhook(found, wrong, self.BODY), wrong)
		self.assertFalse(Conteo.verify_webhook(found, f"sha256={digest}", self.BODY + b" "))
		empty = hmac.new(b"", self.BODY, hashlib.sha256).hexdigest()
		self.assertFalse(Conteo.verify_webhook(connection(webhook_secret=""), f"sha256={empty}", self.BODY))

	def test_what_it_is_about(self):
		event = Conteo.parse_webhook(self.BODY)
		self.assertEqual((event.kind, event.provider_id), ("invoice.completed", "FE001-00142"))
		self.assertEqual(event.event_id, Conteo.parse_webhook(self.BODY).event_id)
		for body in (
			b"",
			b"[]",
			b"{}",
			b'{"event": "x", "data": null}',
			b"\xff",
			b'{"event": "", "data": {"invoice_id": 1}}',
		):
			self.assertIsNone(Conteo.parse_webhook(body))


def _parts(code):
	return {name: text for name, text in dgi_numbers.cufe_parts(code).items() if name != "hyphen"}


class TestAgainstTheSandbox(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)

	def setUp(self):
		self.sandbox.reset()
		self.exchanges = []
		self.provider = self.connect(self.sandbox.secret_key("conteo"))

	def connect(self, key):
		client = HttpClient(self.exchanges.append, loopback=True, read_seconds=2)
		return Conteo(connection(self.sandbox.url("conteo"), key), client)

	def issue(self, document=None, reference="SINV-1.ref"):
		return self.provider.issue(self.provider.build(document or invoice(), reference, "k", NOW).body)

	def test_issued(self):
		document = self.issue().document
		(entry,) = self.sandbox.ledger("conteo")
		self.assertEqual((document.status, document.fiscal_id), (RemoteStatus.ISSUED, entry["uuid"]))
		self.assertEqual(document.total, Decimal("107.00"))
		self.assertTrue(document.authorization_number.startswith("SFEP-") and document.qr_value)
		self.assertEqual(self.provider.reconcile("", document.provider_id).documents, (document,))
		self.assertEqual(self.provider.reconcile("SINV-1.ref").documents, (document,))

	def gateway(self, **changed):
		"""Conteo with the address of the gateway beside the sandbox's API."""
		url = self.sandbox.url("conteo")
		given = {
			**self.sandbox.parameters("conteo"),
			"gateway_url": url.removesuffix("/v1") + "/gateway",
			**changed,
		}
		secrets = {key: Secret(given.pop(key)) for key in ("gateway_key", "gateway_token", "pac_password")}
		base = connection(url, self.sandbox.secret_key("conteo"))
		return Conteo(
			replace(base, parameters={**base.parameters, **given}, secrets={**base.secrets, **secrets}),
			HttpClient(self.exchanges.append, loopback=True, read_seconds=2),
		)

	def test_the_pdf_comes_from_the_gateway(self):
		document = self.issue().document
		held = Held(document.provider_id, document.fiscal_id)
		provider = self.gateway()
		self.assertEqual(provider.files(), ["pdf"])
		self.assertEqual(Conteo.check_connection(provider.connection), [])
		found = provider.pdf(held)
		self.assertEqual((found.failure, found.content_type), (None, "application/pdf"))
		text, code = read_pdf(found.content)
		self.assertIn(document.fiscal_id, text.replace("\n", ""))
		self.assertEqual(code, document.qr_value)

	def test_without_gateway_there_is_no_pdf_and_it_says_what_to_enter(self):
		self.assertEqual(self.provider.files(), [])
		failure = self.provider.pdf(Held("x", self.issue().document.fiscal_id)).failure
		self.assertEqual((failure.error_class, failure.code), (ErrorClass.CONFIGURATION, "no_gateway"))

	def test_what_the_gateway_refuses(self):
		held = Held("x", self.issue().document.fiscal_id)
		for changed, error_class in (
			({"gateway_key": "other"}, ErrorClass.CONFIGURATION),
			({"pac_password": "other"}, ErrorClass.CONFIGURATION),
			({"gateway_company": "other"}, ErrorClass.CONFIGURATION),
		):
			failure = self.gateway(**changed).pdf(held).failure
			self.assertEqual(failure.error_class, error_class, changed)
		other = dgi_numbers.cufe(**{**_parts(held.fiscal_id), "number": 999})
		self.assertEqual(self.gateway().pdf(Held("x", other)).failure.error_class, ErrorClass.REJECTED)
		self.sandbox.fault("conteo", "status", operation="pdf", status=503)
		failure = self.gateway().pdf(held).failure
		self.assertEqual((failure.error_class, failure.down), (ErrorClass.TRANSIENT, True))
		for secret in ("gf-token", "pac-password", "gateway-jwt"):
			self.assertNotIn(secret, failure.message)

	def test_an_address_without_credentials_is_told_in_the_settings(self):
		provider = self.gateway(pac_user="", gateway_token="")
		fields = [problem.field for problem in Conteo.check_connection(provider.connection)]
		self.assertEqual(fields, ["gateway_token", "pac_user"])

	def test_the_cufe_tells_the_environment(self):
		self.assertEqual(self.issue().document.environment, TEST)
		self.sandbox.fault("conteo", "wrong_livemode")
		self.assertEqual(self.issue(reference="2").document.environment, PRODUCTION)

	def test_what_is_not_there_is_absent(self):
		lookup = self.provider.reconcile("nobody")
		self.assertEqual((lookup.documents, lookup.failure), ((), None))

	def test_ping(self):
		self.assertEqual(self.provider.ping().message, "Connection successful")
		self.assertFalse(self.connect("wrong").ping().ok)
		self.sandbox.refuse()
		self.assertFalse(self.provider.ping().ok)

	def test_the_same_reference_is_a_duplicate(self):
		first = self.issue().document
		failure = self.issue().failure
		self.assertEqual(
			(failure.error_class, failure.provider_id), (ErrorClass.DUPLICATE, first.provider_id)
		)
		self.assertEqual(len(self.sandbox.ledger("conteo")), 1)

	def test_pending_then_done_or_failed(self):
		for outcome, status in (("completed", RemoteStatus.ISSUED), ("failed", RemoteStatus.FAILED)):
			self.sandbox.fault("conteo", "pending", after=60, outcome=outcome)
			document = self.issue(reference=outcome).document
			self.assertEqual(document.status, RemoteStatus.PENDING)
			self.sandbox.advance(61)
			(found,) = self.provider.reconcile(outcome, document.provider_id).documents
			self.assertEqual(found.status, status)

	def test_answers_that_prove_nothing_are_unknown(self):
		for index, (fault, options) in enumerate(
			(
				("lost_after_commit", {}),
				("lost_before_commit", {}),
				("malformed", {}),
				("empty", {}),
				("no_uuid", {}),
				("status_after_commit", {"status": 502}),
				("slow", {"delay": 3}),
			)
		):
			with self.subTest(fault):
				self.sandbox.fault("conteo", fault, **options)
				failure = self.issue(reference=f"{index}").failure
				self.assertEqual(failure.error_class, ErrorClass.UNKNOWN)

	def test_the_key_is_in_no_failure(self):
		self.sandbox.fault("conteo", "status", status=401)
		self.assertNotIn(self.sandbox.secret_key("conteo"), str(self.issue().failure))
