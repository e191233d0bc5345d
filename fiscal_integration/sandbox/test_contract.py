import json
import unittest
from dataclasses import replace
from decimal import Decimal

import requests

from fiscal_integration.fiscal.invoice import (
	DocumentKind,
	LineTax,
	Party,
	Reference,
	TaxCategory,
	Treatment,
)
from fiscal_integration.providers import test_facturapi as client
from fiscal_integration.sandbox import Sandbox, contract

DOCUMENT, REASON = contract.openapi()


@unittest.skipIf(DOCUMENT is None, REASON)
class TestContract(unittest.TestCase):
	"""Facturapi's own document judges both ends: what our client sends, what our emulator answers."""

	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)
		cls.url = cls.sandbox.url("facturapi")
		cls.headers = {
			"Authorization": "Bearer " + cls.sandbox.secret_key("facturapi"),
			"Content-Type": "application/json",
		}

	def setUp(self):
		self.sandbox.reset()

	def call(self, method, path, expected, documented=None, **request):
		"""One call whose answer has to be as documented (`documented` is the path with its id filled in)."""
		answer = requests.request(
			method, self.url + path, headers=request.pop("headers", self.headers), timeout=10, **request
		)
		self.assertEqual(answer.status_code, expected, answer.text[:500])
		body = answer.json()
		self.assertEqual(contract.response_errors(method, documented or path, expected, body), [], path)
		return body

	def payloads(self):
		"""The requests of our client, by what is special about them."""
		excise = LineTax(TaxCategory.EXCISE, Decimal("0.08"), Decimal(100), Decimal(8))
		withheld = LineTax(TaxCategory.INCOME, Decimal("0.1"), Decimal(100), Decimal(10), withheld=True)
		over = client.vat("108", on_top_of_excise=True)
		yield "invoice", client.sale()
		yield "walk-in", client.sale(receiver=Party("Cliente", walk_in=True))
		yield (
			"foreign",
			client.sale(
				receiver=Party("Pacific Outfitters Inc", "981234567", "US", "92101"),
				currency="USD",
				exchange_rate=Decimal("18.2345"),
			),
		)
		yield (
			"credit note",
			client.sale(
				kind=DocumentKind.CREDIT_NOTE,
				reference=Reference("POS Invoice", "X", "11111111-2222-4333-8444-555555555555"),
			),
		)
		yield "on credit", client.sale(payments=(), on_credit=True)
		yield "excise below", client.sale(client.line(taxes=(excise, over)), total="125.28")
		yield "excise beside", client.sale(client.line(taxes=(excise, client.vat("100"))), total="124")
		yield "withheld", client.sale(client.line(taxes=(client.vat("100"), withheld)), total="106")
		yield "exempt", client.sale(client.line(taxes=(), treatment=Treatment.EXEMPT), total="100")
		yield "not subject", client.sale(client.line(taxes=(), treatment=Treatment.OUTSIDE), total="100")
		yield "zero-rated", client.sale(client.line(taxes=(client.vat("100", "0"),)), total="100")
		yield (
			"discount",
			client.sale(client.line(net="90", price="100", discount=Decimal(10)), total="104.40"),
		)

	def test_our_requests_are_as_documented_and_total_as_we_expect(self):
		for number, (name, invoice) in enumerate(self.payloads()):
			with self.subTest(name):
				one = client.provider()
				# A CFDI is neither of the future nor older than 72 hours.
				invoice = replace(invoice, issued_at=self.sandbox.clock.now())
				payload = one.build(invoice, f"ref-{number}", f"key-{number}", self.sandbox.clock.now())
				body = json.loads(payload.body)
				self.assertEqual(contract.request_errors("POST", "/invoices", body), [])
				answer = self.call("POST", "/invoices", 200, data=payload.body.encode())
				self.assertEqual(Decimal(str(answer["total"])), payload.expected.total)
				self.assertEqual(answer["type"], payload.expected.document_type)

	def body(self, key="k", **values):
		now = self.sandbox.clock.now()
		payload = client.provider().build(client.sale(issued_at=now), "ref", key, now)
		return {**json.loads(payload.body), **values}

	def test_answers_are_as_documented(self):
		self.call("GET", "/check", 200)
		self.call("GET", "/organizations/me", 200)
		invoice = self.call("POST", "/invoices", 200, json=self.body())
		self.call("GET", "/invoices", 200)
		path = f"/invoices/{invoice['id']}"
		self.call("GET", path, 200)
		self.call("PUT", path + "/status", 200)
		self.call("DELETE", path + "?motive=02", 200, documented=path)
		self.call("DELETE", path + "?motive=02", 409, documented=path)

	def test_errors_are_as_documented(self):
		self.call("POST", "/invoices", 400, json=self.body(use="X"))
		self.call("POST", "/invoices", 401, json=self.body(), headers={"Authorization": "Bearer sk_test_no"})
		self.call("GET", "/invoices/5f7d8b1e9a3c4b0017a1b2c3", 404)
		self.sandbox.fault("facturapi", "status", status=429, retry_after=2)
		self.call("POST", "/invoices", 429, json=self.body())
		self.sandbox.fault("facturapi", "status", status=500)
		self.call("POST", "/invoices", 500, json=self.body())

	def test_202_is_as_documented(self):
		self.sandbox.fault("facturapi", "pending")
		invoice = self.call("POST", "/invoices", 202, json=self.body())
		self.assertEqual((invoice["status"], invoice["uuid"]), ("pending", None))
