import importlib.util
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
				self.judge_xml(answer)

	def judge_xml(self, invoice):
		"""What SAT's schema and error matrix say of the CFDI that came of our request."""
		if not importlib.util.find_spec("satcfdi"):
			return
		from fiscal_integration.sandbox.facturapi import judges, matrix

		xml = requests.get(
			f"{self.url}/invoices/{invoice['id']}/xml", headers=self.headers, timeout=10
		).content
		self.assertEqual(judges.schema_errors(xml), [])
		self.assertEqual(matrix.errors(xml), [])

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

	def test_it_refuses_what_the_document_does_not_have_in_requests(self):
		"""A judge that accepts everything judges nothing."""
		sale = self.body()
		note = {**sale, "type": "E"}
		del note["payment_method"]
		payment = {
			"type": "P",
			"customer": sale["customer"],
			"complements": [
				{
					"type": "pago",
					"data": [
						{
							"payment_form": "03",
							"related_documents": [
								{"uuid": "x", "amount": 1, "taxes": [], "installment": 1, "last_balance": 1}
							],
						}
					],
				}
			],
		}

		def without(body, name):
			return {key: value for key, value in body.items() if key != name}

		def item(**values):
			return [{**sale["items"][0], "product": {**sale["items"][0]["product"], **values}}]

		for body in (sale, without(sale, "type"), note, payment, {"status": "draft"}):
			self.assertEqual(contract.request_errors("POST", "/invoices", body), [])
		for reason, body in (
			("nonsense", {"nonsense": 1}),
			("nonsense beside", {**sale, "nonsense": 1}),
			("nonsense in a payment", {**payment, "items": []}),
			("nonsense in a line", {**sale, "items": [{**sale["items"][0], "nonsense": 1}]}),
			("nonsense in a product", {**sale, "items": item(nonsense=1)}),
			("type of a field", {**sale, "use": 3}),
			("type of a field of a line", {**sale, "items": item(price="1")}),
			("type of the body", [sale]),
			("required, I", without(sale, "use")),
			("required, I by default", without(without(sale, "type"), "use")),
			("required, E", without(note, "payment_form")),
			("required, P", without(payment, "complements")),
			("required of a line", {**sale, "items": [{"quantity": 1}]}),
			("required of the customer", {**sale, "customer": {"legal_name": "X"}}),
			("required of a payment", {**payment, "complements": [{"type": "pago", "data": [{}]}]}),
			("enum of type", {**sale, "type": "X"}),
			("enum of status", {**sale, "status": "valid"}),
			("enum of a field", {**sale, "payment_method": "XXX"}),
			("enum that a note does not have", {**note, "payment_method": "PPD"}),
			("enum of taxability", {**sale, "items": item(taxability="09")}),
			("enum of a tax", {**sale, "items": item(taxes=[{"type": "VAT", "rate": 0.16}])}),
			(
				"enum of ieps_mode",
				{**sale, "items": item(taxes=[{"type": "IEPS", "rate": 0, "ieps_mode": "x"}])},
			),
			("enum of a complement", {**payment, "complements": [{"type": "x"}]}),
		):
			with self.subTest(reason):
				self.assertNotEqual(contract.request_errors("POST", "/invoices", body), [])

	def test_it_refuses_what_the_document_does_not_have_in_answers(self):
		invoice = self.call("POST", "/invoices", 200, json=self.body("judged"))
		draft = self.call("POST", "/invoices", 200, json={"status": "draft"})
		for good in (invoice, draft):
			for reason, change in (
				("required", {"id": None}),
				("required", {"livemode": None}),
				("type", {"total": "116"}),
				("type", {"id": 5}),
				("type", {"items": {}}),
				("type deep within", {"items": [{"product": {"price": "x"}}]}),
				("enum deep within", {"complements": [{"type": "x", "data": []}]}),
				("enum", {"status": "done"}),
				("enum", {"cancellation_status": "perhaps"}),
				("enum", {"type": "X"}),
			):
				with self.subTest(reason, change=change, status=good["status"]):
					body = {**good, **change}
					self.assertNotEqual(contract.response_errors("POST", "/invoices", 200, body), [])
		self.assertNotEqual(contract.response_errors("POST", "/invoices", 200, {"nonsense": 1}), [])
		self.assertNotEqual(contract.response_errors("POST", "/invoices", 201, invoice), [])
		error = self.call("POST", "/invoices", 400, json=self.body("judged-2", use="X"))
		for change in ({"code": None}, {"ok": "no"}, {"errors": [{"message": "x"}]}, {"location": "moon"}):
			with self.subTest("error", change=change):
				self.assertNotEqual(
					contract.response_errors("POST", "/invoices", 400, {**error, **change}), []
				)

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
