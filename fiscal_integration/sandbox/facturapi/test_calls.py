import hashlib
import hmac
import json
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

from fiscal_integration.sandbox import contract
from fiscal_integration.sandbox.facturapi.test_cfdi import CUSTOMER, IVA, FacturapiTestCase, body, line
from fiscal_integration.sandbox.facturapi.test_rules import CREDIT

DOCUMENT, REASON = contract.openapi()
ORGANIZATION = "/organizations/5a1b2c3d4e5f6a7b8c9d0e1f"
PRODUCT = {"description": "Café", "product_key": "50201706", "unit_key": "H87", "price": 116, "sku": "C"}


class TestCalls(FacturapiTestCase):
	def test_a_draft_is_kept_changed_and_stamped(self):
		draft = self.issue({"status": "draft", "customer": CUSTOMER})
		path = f"/invoices/{draft['id']}"
		self.assertEqual((draft["status"], draft["uuid"], draft["is_ready_to_stamp"]), ("draft", None, False))
		self.assertEqual(self.sandbox.ledger("facturapi"), [])
		self.call("GET", path + "/pdf")
		self.assertEqual(self.call("GET", path + "/xml", 409)["code"], "invoice_not_stamped")
		self.assertEqual(self.call("POST", path + "/stamp", 400)["code"], "invalid_request")
		changed = self.call("PUT", path, json={"items": [line()], "payment_form": "01", "use": "G03"})
		self.assertEqual(
			(changed["id"], changed["total"], changed["is_ready_to_stamp"]), (draft["id"], 116, True)
		)
		stamped = self.call("POST", path + "/stamp")
		self.assertEqual(
			(stamped["id"], stamped["status"], bool(stamped["uuid"])), (draft["id"], "valid", True)
		)
		self.assertEqual(self.call("POST", path + "/stamp", 409)["code"], "invoice_not_draft")
		self.assertEqual(self.call("PUT", path, 409, json={})["code"], "invoice_not_draft")
		copy = self.call("POST", path + "/copy")
		self.assertEqual((copy["status"], copy["total"], copy["uuid"]), ("draft", 116, None))
		self.assertNotEqual(copy["id"], stamped["id"])
		self.call("DELETE", f"/invoices/{copy['id']}")
		self.call("GET", f"/invoices/{copy['id']}", 404)
		self.assertEqual(len(self.sandbox.ledger("facturapi")), 1)

	def test_a_draft_is_stamped_later_where_that_is_asked(self):
		draft = self.issue({**body(), "status": "draft"})
		path = f"/invoices/{draft['id']}"
		self.assertEqual(self.call("POST", path + "/stamp?async=true")["status"], "pending")
		self.sandbox.advance(6)
		self.assertEqual(self.call("GET", path)["status"], "valid")

	def test_nothing_that_was_asked_for_is_ignored(self):
		"""An unknown parameter, filter or field is refused in every call."""
		invoice = self.issue(body())
		path = f"/invoices/{invoice['id']}"
		for method, asked, name in (
			("GET", "/check?x=1", "x"),
			("GET", "/invoices?status=valid", "status"),
			("GET", "/invoices?idempotency_key=k", "idempotency_key"),
			("GET", f"{path}?x=1", "x"),
			("GET", f"{path}/xml?x=1", "x"),
			("PUT", f"{path}/status?x=1", "x"),
			("DELETE", f"{path}?motive=02&x=1", "x"),
			("GET", "/customers?x=1", "x"),
			("GET", "/products?x=1", "x"),
			("GET", "/receipts?x=1", "x"),
			("GET", "/webhooks?x=1", "x"),
			("GET", "/organizations/me?x=1", "x"),
			("GET", "/catalogs/products?x=1", "x"),
			("GET", "/tools/tax_id_validation?tax_id=A&x=1", "x"),
			("GET", "/invoices?limit=0", "limit"),
			("GET", "/invoices?limit=x", "limit"),
			("GET", "/invoices?page=31", "page"),
			("GET", "/invoices?type=X", "type"),
			("GET", "/invoices?payment_status=x", "payment_status"),
		):
			with self.subTest(asked):
				answer = self.call(method, asked, 400)
				self.assertEqual((answer["path"], answer["location"]), (name, "query"))
		for method, asked in (
			("POST", "/invoices?x=1"),
			("POST", "/customers?x=1"),
			("POST", "/receipts?x=1"),
		):
			with self.subTest(asked):
				self.assertEqual(self.call(method, asked, 400, json={})["path"], "x")
		for asked in ("/customers", "/products", "/receipts", "/webhooks", "/receipts/global-invoice"):
			with self.subTest(asked):
				answer = self.call("POST", asked, 400, json={"nonsense": 1})
				self.assertIn(
					("unknown_field", "nonsense"), [(e["code"], e["path"]) for e in answer["errors"]]
				)
		self.assertEqual(self.call("GET", path)["status"], "valid")

	def test_filters(self):
		cash = self.issue(body(external_id="a"))
		owed = self.issue(body(external_id="b", **CREDIT))
		note = self.issue(
			body(type="E", use="G02", related_documents=[{"relationship": "01", "documents": [cash["uuid"]]}])
		)
		self.call("DELETE", f"/invoices/{note['id']}?motive=02")
		for query, wanted in (
			("external_id=b", [owed]),
			(f"uuid={cash['uuid']}", [cash]),
			("type=E", [note]),
			("payment_method=PPD", [owed]),
			("payment_status=unpaid", [owed]),
			("payment_status=paid", [cash]),
			("cancellation_status=accepted", [note]),
			("cancellation_status=accepted&cancellation_status=none", [note, owed, cash]),
			(f"folio_number={owed['folio_number']}", [owed]),
			("series=Z", []),
			("issuer_type=receiving", []),
			(f"customer={cash['customer']['id']}", [note, owed, cash]),
			("q=kemper", [note, owed, cash]),
			("q=116", [note, owed, cash]),
			("q=11", []),
			("date[gte]=2120", []),
			("date[lte]=2120", [note, owed, cash]),
		):
			with self.subTest(query):
				found = self.call("GET", f"/invoices?{query}")
				self.assertEqual({entry["id"] for entry in found["data"]}, {entry["id"] for entry in wanted})

	def test_a_payment_summary_is_what_the_complement_tells(self):
		owed = self.issue(
			body(line(100, taxes=[IVA, {"type": "ISR", "rate": 0.1, "withholding": True}]), **CREDIT)
		)
		path = f"/invoices/{owed['id']}/payment-summary"
		found = self.call("GET", path, params={"amount": 53})
		self.assertEqual((found["installment"], found["last_balance"], found["amount"]), (1, 106, 53))
		self.assertEqual([tax["base"] for tax in found["taxes"]], [50, 50])
		self.issue(self.paid(owed, 53))
		found = self.call("GET", path, params={"amount": 53})
		self.assertEqual((found["installment"], found["last_balance"]), (2, 53))
		self.assertEqual(self.call("GET", path, 400, params={"amount": 54})["path"], "amount")
		self.call("GET", path, 400)
		cash = self.issue(body())
		self.call("GET", f"/invoices/{cash['id']}/payment-summary?amount=1", 409)

	def test_cancelling_right_after_the_substitute_can_be_too_early(self):
		"""Seen by others in Facturapi's test environment: 404 at first, later 200."""
		self.sandbox.set_option("facturapi", substitute_lag=1)
		first = self.issue(body())
		second = self.issue(body(related_documents=[{"relationship": "04", "documents": [first["uuid"]]}]))
		path = f"/invoices/{first['id']}?motive=01&substitution={second['id']}"
		self.assertEqual(self.call("DELETE", path, 404)["code"], "invoice_not_found")
		answer = self.call("DELETE", path)
		self.assertEqual(answer["cancellation"]["substitutionUUID"], second["uuid"])
		self.assertEqual(answer["status"], "canceled")
		# As a fault, for any call to cancel.
		self.sandbox.fault("facturapi", "status", operation="cancel", status=404, code="invoice_not_found")
		self.assertEqual(
			self.call("DELETE", f"/invoices/{second['id']}?motive=02", 404)["code"], "invoice_not_found"
		)
		self.call("DELETE", f"/invoices/{second['id']}?motive=02")

	def test_cancelling_a_payment_asks_the_receiver_and_silence_is_no_answer(self):
		owed = self.issue(body(**CREDIT))
		payment = self.issue(self.paid(owed, 116))
		self.assertEqual(
			self.call("DELETE", f"/invoices/{owed['id']}?motive=02", 409)["code"], "invoice_not_cancelable"
		)
		answer = self.call("DELETE", f"/invoices/{payment['id']}?motive=02")
		self.assertEqual(answer["cancellation_status"], "pending")
		self.sandbox.advance(80 * 3600)
		self.assertEqual(self.call("GET", f"/invoices/{payment['id']}")["cancellation_status"], "pending")
		self.emulator.answer_cancellation(payment["id"], "accepted")
		self.assertEqual(self.call("GET", f"/invoices/{owed['id']}")["amount_due"], 116)

	def test_receipts_become_invoices_once(self):
		ticket = {"items": [{"product": PRODUCT}], "payment_form": "01", "idempotency_key": "t"}
		receipt = self.call("POST", "/receipts", json=ticket)
		self.assertEqual(receipt["self_invoice_url"], f"https://factura.space/demo/{receipt['key']}")
		self.assertEqual(self.call("POST", "/receipts", 409, json=ticket)["code"], "idempotency_key_in_use")
		path = f"/receipts/{receipt['id']}"
		invoice = self.call("POST", path + "/invoice", json={"customer": CUSTOMER, "use": "G03"})
		self.assertEqual(invoice["total"], receipt["total"])
		found = self.call("GET", path)
		self.assertEqual((found["status"], found["invoice"]), ("invoiced_to_customer", invoice["id"]))
		for method, asked in (("POST", path + "/invoice"), ("DELETE", path)):
			self.assertEqual(
				self.call(method, asked, 409, json={"customer": CUSTOMER})["code"], "receipt_not_open"
			)
		others = [self.call("POST", "/receipts", json={**ticket, "idempotency_key": key}) for key in "ab"]
		keys = [entry["key"] for entry in others]
		told = {"keys": keys, "customer": CUSTOMER, "use": "G03"}
		self.assertEqual(
			self.call("POST", "/receipts/to-invoice", json={**told, "dry_run": True})["total"], 232
		)
		self.assertEqual(self.call("POST", "/receipts/to-invoice", json=told)["total"], 232)
		self.call("POST", "/receipts/to-invoice", 404, json={**told, "keys": ["none"]})
		self.call("POST", "/receipts", json={**ticket, "idempotency_key": "c"})
		whole = self.call("POST", "/receipts/global-invoice", json={"periodicity": "day"})
		self.assertEqual((whole["use"], whole["global"]["periodicity"], whole["total"]), ("S01", "day", 116))
		self.call("POST", "/receipts/global-invoice", 404, json={"periodicity": "day"})

	def test_a_customers_own_form(self):
		"""Every field is optional where the customer fills the form in."""
		customer = self.call("POST", "/customers?createEditLink=true", json={"email": "a@example.com"})
		self.assertTrue(customer["edit_link"].startswith("https://auto.facturapi.io/tax-info/"))
		self.call("POST", f"/customers/{customer['id']}/email-edit-link", json={"email": "a@example.com"})
		renewed = self.call("GET", f"/customers/{customer['id']}")
		self.assertNotEqual(renewed["edit_link"], customer["edit_link"])
		self.call("POST", "/customers", 400, json={"email": "a@example.com"})
		answer = self.call("POST", "/customers", 400, json={**CUSTOMER, "tax_system": "612"})
		self.assertEqual(answer["code"], "tax_system_not_allowed_for_tax_id")
		path = f"/customers/{customer['id']}/tax-info-validation"
		self.assertEqual(self.call("GET", path, 401)["code"], "live_api_key_required")
		held = self.call("POST", "/customers?createEditLink=true", live=True, json={"email": "a@example.com"})
		found = self.call("GET", f"/customers/{held['id']}/tax-info-validation", live=True)
		self.assertIs(found["is_valid"], False)
		self.assertIn("legal_name", [problem["path"] for problem in found["errors"]])

	def test_invoices_name_customers_and_products_by_id(self):
		customer = self.call("POST", "/customers", json=CUSTOMER)
		product = self.call("POST", "/products", json=PRODUCT)
		invoice = self.issue(body({"product": product["id"], "quantity": 2}, customer=customer["id"]))
		self.assertEqual((invoice["total"], invoice["customer"]["tax_id"]), (232, "EKU9003173C9"))
		self.assertEqual(invoice["items"][0]["product"]["id"], product["id"])
		for code, sent in (
			("customer_not_found", body(customer="5f7d8b1e9a3c4b0017a1b2c3")),
			("product_not_found", body({"product": "5f7d8b1e9a3c4b0017a1b2c3"})),
		):
			self.assertEqual(self.call("POST", "/invoices", 404, json=sent)["code"], code)
		self.call("POST", "/invoices", 404, live=True, json=body(customer=customer["id"]))

	def test_an_accounts_key_is_for_organizations_only(self):
		key = self.emulator.user_key()
		self.call("GET", ORGANIZATION, key=key)
		self.assertEqual(self.call("GET", "/invoices", 401, key=key)["code"], "api_key_not_allowed")
		self.assertEqual(self.call("GET", ORGANIZATION, 401)["code"], "live_api_key_required")
		self.assertEqual(
			self.call("GET", "/organizations/me")["certificate"]["serial_number"], "30001000000500009999"
		)

	def test_registered_webhooks_are_told_and_signed(self):
		received = []

		class Handler(BaseHTTPRequestHandler):
			def do_POST(self):
				content = self.rfile.read(int(self.headers["Content-Length"]))
				received.append((self.headers["Facturapi-Signature"], content))
				self.send_response(200)
				self.end_headers()

			def log_message(self, *_):
				pass

		server = HTTPServer(("127.0.0.1", 0), Handler)
		self.addCleanup(server.server_close)
		self.addCleanup(server.shutdown)
		threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
		sent = {
			"url": f"http://127.0.0.1:{server.server_address[1]}/",
			"enabled_events": ["invoice.status_updated"],
		}
		hook = self.call("POST", "/webhooks", 201, json=sent)
		self.assertEqual(self.call("POST", "/webhooks", 200, json=sent)["id"], hook["id"])
		invoice = self.call("POST", "/invoices?async=true", json=body())
		self.sandbox.advance(6)
		((signature, content),) = received
		self.assertEqual(signature, hmac.new(hook["secret"].encode(), content, hashlib.sha256).hexdigest())
		event = json.loads(content)
		self.assertEqual(
			(event["type"], event["data"]["object"]["id"]), ("invoice.status_updated", invoice["id"])
		)
		self.call("POST", "/webhooks/validate-signature", json={"secret": hook["secret"], "signature": signature, "payload": content.decode()})  # fmt: skip
		answer = self.call("POST", "/webhooks/validate-signature", 400, json={"secret": "no", "signature": signature, "payload": content.decode()})  # fmt: skip
		self.assertEqual(answer["code"], "webhook_signature_invalid")
		# A cancellation is another event, and a webhook that is switched off is told nothing.
		self.call("PUT", f"/webhooks/{hook['id']}", json={"status": "disabled"})
		self.call("POST", "/invoices?async=true", json=body())
		self.sandbox.advance(6)
		self.assertEqual(len(received), 1)
		self.call("DELETE", f"/webhooks/{hook['id']}")
		self.call("GET", f"/webhooks/{hook['id']}", 404)

	def test_what_the_sandbox_does_not_have_says_so(self):
		for method, path, status, word in (
			("GET", "/invoices/zip-requests", 402, "suscripción"),
			("POST", "/retentions", 404, "retenciones"),
			("GET", "/catalogs/cartaporte/3.1/trailer-types", 404, "catálogos"),
		):
			self.assertIn(word, self.call(method, path, status)["message"])
		answer = self.call("POST", "/invoices", 400, json=body(type="N"))
		self.assertIn("Este sandbox no emite CFDI de tipo N", answer["message"])

	def test_it_remembers_everything(self):
		customer = self.call("POST", "/customers", json=CUSTOMER)
		invoice = self.issue(body())
		receipt = self.call("POST", "/receipts", json={"items": [{"product": PRODUCT}], "payment_form": "01"})
		state = json.loads(json.dumps(self.emulator.dump()))
		self.emulator.clear()
		self.emulator.load(state)
		self.call("GET", f"/customers/{customer['id']}")
		self.call("GET", f"/receipts/{receipt['id']}")
		xml = self.call("GET", f"/invoices/{invoice['id']}/xml")
		self.assertIn(invoice["stamp"]["signature"].encode(), xml)


@unittest.skipIf(DOCUMENT is None, REASON)
class TestAnswersAreAsDocumented(FacturapiTestCase):
	"""Facturapi's OpenAPI judges the answer of every call that both have."""

	def judged(self, method, path, status=200, documented=None, **request):
		answer = self.call(method, path, status, **request)
		if not isinstance(answer, bytes):
			documented = documented or path.partition("?")[0]
			self.assertEqual(contract.response_errors(method, documented, status, answer), [], path)
		return answer

	def test_all(self):
		customer = self.judged("POST", "/customers", json=CUSTOMER)
		self.judged("GET", "/customers")
		path = f"/customers/{customer['id']}"
		self.judged("GET", path)
		self.judged("PUT", path + "?createEditLink=true", json={"phone": "33"})
		self.judged("POST", path + "/email-edit-link", json={"email": "a@example.com"})
		product = self.judged("POST", "/products", json=PRODUCT)
		self.judged("GET", "/products")
		self.judged("PUT", f"/products/{product['id']}", json={"price": 5})
		self.judged("DELETE", f"/products/{product['id']}")
		sale = self.judged("POST", "/invoices", json=body())
		path = f"/invoices/{sale['id']}"
		copy = self.judged("POST", path + "/copy")
		self.judged("PUT", f"/invoices/{copy['id']}", json={"conditions": "x"})
		self.judged("POST", f"/invoices/{copy['id']}/stamp")
		self.judged("POST", path + "/email", json={})
		owed = self.judged("POST", "/invoices", json=body(**CREDIT))
		payment = self.paid(owed, 50)
		self.assertEqual(contract.request_errors("POST", "/invoices", payment), [])
		self.judged("POST", "/invoices", json=payment)
		self.judged("POST", "/invoices", json={"status": "draft"})
		self.judged("GET", "/invoices")
		self.judged("DELETE", path + "?motive=02")
		receipt = self.judged(
			"POST", "/receipts", json={"items": [{"product": PRODUCT}], "payment_form": "01"}
		)
		self.judged("GET", "/receipts")
		self.judged("GET", f"/receipts/{receipt['id']}")
		self.judged("PUT", f"/receipts/{receipt['id']}", json={"customer": customer["id"]})
		self.judged("POST", f"/receipts/{receipt['id']}/invoice", json={"use": "G03"})
		self.judged("POST", "/receipts", json={"items": [{"product": PRODUCT}], "payment_form": "01"})
		self.judged("POST", "/receipts/global-invoice", json={"periodicity": "day"})
		hook = {"url": "http://127.0.0.1:9/", "enabled_events": ["*"]}
		made = self.judged("POST", "/webhooks", 201, json=hook)
		self.judged("POST", "/webhooks", 200, json=hook)
		self.judged("GET", "/webhooks")
		self.judged("PUT", f"/webhooks/{made['id']}", json={"status": "disabled"})
		self.judged("DELETE", f"/webhooks/{made['id']}")
		self.judged("GET", "/catalogs/products?q=caf")
		self.judged("GET", "/catalogs/units?q=pieza")
		self.judged("GET", "/tools/tax_id_validation?tax_id=EFO010101EF0")
		self.judged("GET", "/organizations/me")
		live = {"live": True}
		self.judged("GET", "/organizations", **live)
		self.judged("GET", ORGANIZATION, **live)
		self.judged("GET", "/organizations/domain-check?domain=tienda-1", **live)
		for part, sent in (
			("receipts", {"periodicity": "week"}),
			("self-invoice", {"allowed_cfdi_uses": ["G03"]}),
			("domain", {"domain": "tienda-1"}),
			("customization", {"color": "FF0000"}),
		):
			self.judged("PUT", f"{ORGANIZATION}/{part}", json=sent, **live)
		self.judged("GET", f"{ORGANIZATION}/series-group", **live)
		self.judged("POST", f"{ORGANIZATION}/series-group", json={"series": "B"}, **live)
		self.judged(
			"PUT", f"{ORGANIZATION}/series-group/default-series", json={"type": "I", "series": "B"}, **live
		)
		self.assertEqual(self.issue(body())["series"], "B")
