import hashlib
import hmac
import json
import threading
import unittest
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

from fiscal_integration.fiscal.panama import cufe
from fiscal_integration.sandbox import Sandbox

ITEM = {"descripcion": "Café", "cantidad": 2, "precio_unitario": 50, "itbms": 3.5, "itbms_rate": 7}
INVOICE = {
	"receptor": {"ruc": "8-730-241", "nombre": "Ana"},
	"items": [ITEM],
	"subtotal": 100,
	"itbms": 7,
	"total": 107,
	"referencia_externa": "R-1",
}


class Listener:
	"""Somebody who takes webhooks, and answers as the test says."""

	def __init__(self):
		self.status, self.received = 200, []
		outer = self

		class Handler(BaseHTTPRequestHandler):
			def do_POST(self):
				body = self.rfile.read(int(self.headers["Content-Length"]))
				outer.received.append((self.headers["x-conteo-signature"], body))
				self.send_response(outer.status)
				self.end_headers()

			def log_message(self, *_):
				pass

		self.server = HTTPServer(("127.0.0.1", 0), Handler)
		self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
		threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

	def stop(self):
		self.server.shutdown()
		self.server.server_close()


class ConteoCase(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)

	def setUp(self):
		self.sandbox.reset()

	def call(self, path, body=None, key=None):
		key = key or self.sandbox.secret_key("conteo")
		data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
		request = urllib.request.Request(
			self.sandbox.url("conteo") + path, data, {"Authorization": f"Bearer {key}"}
		)
		try:
			with urllib.request.urlopen(request, timeout=5) as answer:
				return answer.status, json.loads(answer.read())
		except urllib.error.HTTPError as error:
			return error.code, json.loads(error.read())


class TestConteoEmulator(ConteoCase):
	def refused(self, code, **changes):
		status, body = self.call("/invoices", {**INVOICE, **changes})
		self.assertEqual(body.get("code"), code, body)
		self.assertGreaterEqual(status, 400)
		self.assertEqual(self.sandbox.ledger("conteo"), [])

	def test_an_invoice(self):
		status, body = self.call("/invoices", INVOICE)
		self.assertEqual((status, body["status"], body["total"]), (201, "completed", 107))
		self.assertTrue(cufe.is_valid(body["cufe"]))
		self.assertEqual(self.call(f"/invoices/{body['invoice_id']}"), (200, body))
		self.assertEqual(self.call("/invoices/R-1"), (200, body))

	def test_it_refuses_what_conteo_would(self):
		self.refused("INVALID_RUC", receptor={"ruc": "123", "nombre": "Ana"})
		self.refused("INVALID_PAYLOAD", receptor={"ruc": "8-730-241"})
		self.refused("INVALID_PAYLOAD", referencia_externa="")
		self.refused("INVALID_PAYLOAD", items=[])
		self.refused("INVALID_PAYLOAD", items=[{**ITEM, "itbms_rate": 16}])
		self.refused("INVALID_PAYLOAD", items=[{**ITEM, "cantidad": "2"}])
		self.refused("INVALID_PAYLOAD", items=[{**ITEM, "itbms": 7}])
		self.refused("INVALID_PAYLOAD", subtotal=99)
		self.refused("INVALID_PAYLOAD", itbms=7.01)
		self.refused("INVALID_PAYLOAD", total=107.01)
		for body in (b"", b"[]", b"garbage"):
			self.assertEqual(self.call("/invoices", body)[1]["code"], "INVALID_PAYLOAD")
		self.assertEqual(self.call("/invoices", INVOICE, key="wrong")[0], 401)
		self.assertEqual(self.call("/nothing")[0], 404)

	def test_one_invoice_a_reference(self):
		_, first = self.call("/invoices", INVOICE)
		status, body = self.call("/invoices", INVOICE)
		self.assertEqual(
			(status, body["code"], body["invoice_id"]), (409, "DUPLICATE_DOCUMENT", first["invoice_id"])
		)
		self.sandbox.set_option("conteo", duplicate_names_id=False, by_reference=False)
		self.assertNotIn("invoice_id", self.call("/invoices", INVOICE)[1])
		self.assertEqual(self.call("/invoices/R-1")[0], 404)

	def test_a_failed_one_frees_its_reference(self):
		self.sandbox.fault("conteo", "pending", after=5, outcome="failed")
		self.call("/invoices", INVOICE)
		self.sandbox.advance(6)
		self.assertEqual(self.call("/invoices", INVOICE)[1]["status"], "completed")

	def test_every_code_can_be_ordered(self):
		for code, status in (
			("INVALID_RUC", 422),
			("INVALID_PAYLOAD", 400),
			("SFEP_UNAVAILABLE", 503),
			("CERTIFICATE_EXPIRED", 403),
			("RATE_LIMITED", 429),
			("TIMEOUT", 504),
		):
			self.sandbox.fault("conteo", "status", code=code)
			self.assertEqual(self.call("/invoices", INVOICE)[0], status)
		self.assertEqual(self.sandbox.ledger("conteo"), [])

	def test_most_at_once_is_counted(self):
		self.sandbox.set_option("conteo", latency=0.2)
		calls = [
			threading.Thread(
				target=self.call, args=("/invoices", {**INVOICE, "referencia_externa": f"R-{n}"})
			)
			for n in range(3)
		]
		for call in calls:
			call.start()
		for call in calls:
			call.join()
		self.assertEqual(self.sandbox.emulators["conteo"].max_in_flight, 3)


class TestWebhooks(ConteoCase):
	def setUp(self):
		super().setUp()
		self.listener = Listener()
		self.addCleanup(self.listener.stop)
		self.sandbox.set_option("conteo", webhook_url=self.listener.url, webhook_secret="whsec")

	def finish_a_pending_one(self):
		self.sandbox.fault("conteo", "pending", after=10)
		self.call("/invoices", INVOICE)
		self.assertEqual(self.listener.received, [])
		self.sandbox.advance(11)

	def test_it_is_signed_over_the_raw_body(self):
		self.finish_a_pending_one()
		((signature, body),) = self.listener.received
		self.assertEqual(signature, "sha256=" + hmac.new(b"whsec", body, hashlib.sha256).hexdigest())
		event = json.loads(body)
		self.assertEqual((event["event"], event["data"]["total"]), ("invoice.completed", 107))
		self.assertTrue(cufe.is_valid(event["data"]["cufe"]))

	def test_it_is_repeated_after_1_5_30_and_120_minutes_and_then_given_up(self):
		self.listener.status = 500
		self.finish_a_pending_one()
		counts = []
		for minutes in (0.9, 0.2, 4.8, 0.3, 29.7, 0.3, 119.6, 0.4, 1000):
			self.sandbox.advance(minutes * 60)
			counts.append(len(self.listener.received))
		self.assertEqual(counts, [1, 2, 2, 3, 3, 4, 4, 5, 5])
		self.assertEqual(self.sandbox.deliveries("conteo")[0]["attempts"], [500] * 5)

	def test_once_taken_it_is_not_repeated(self):
		self.listener.status = 500
		self.finish_a_pending_one()
		self.listener.status = 200
		self.sandbox.advance(61)
		self.sandbox.advance(100_000)
		self.assertEqual(self.sandbox.deliveries("conteo")[0]["attempts"], [500, 200])
		self.assertEqual(*(body for _, body in self.listener.received))

	def test_nobody_there_is_repeated_too(self):
		self.sandbox.set_option("conteo", webhook_url="http://127.0.0.1:9/")
		self.finish_a_pending_one()
		self.assertEqual(self.sandbox.deliveries("conteo")[0]["attempts"], [0])

	def test_over_http(self):
		self.finish_a_pending_one()
		base = f"http://127.0.0.1:{self.sandbox.port}/_control"
		with urllib.request.urlopen(f"{base}/deliveries/conteo") as answer:
			self.assertEqual(len(json.loads(answer.read())), 1)
		with urllib.request.urlopen(f"{base}/stats/conteo") as answer:
			self.assertEqual(json.loads(answer.read())["issued"], 1)
		request = urllib.request.Request(f"{base}/options/conteo", b'{"latency": 0.5}')
		urllib.request.urlopen(request).close()
		self.assertEqual(self.sandbox.emulators["conteo"].options["latency"], 0.5)


class TestFacturapiWebhooks(unittest.TestCase):
	def test_a_settled_202_is_told(self):
		listener = Listener()
		self.addCleanup(listener.stop)
		with Sandbox() as sandbox:
			sandbox.set_option("facturapi", webhook_url=listener.url, webhook_secret="whsec")
			emulator = sandbox.emulators["facturapi"]
			emulator.notify({"id": "evt", "type": "invoice.status_updated"})
			sandbox.tick()
			(delivery,) = sandbox.deliveries("facturapi")
			self.assertEqual(delivery["attempts"], [200])
			name, value = emulator.signature("whsec", delivery["body"].encode())
			self.assertEqual((name, len(value)), ("Facturapi-Signature", 64))
