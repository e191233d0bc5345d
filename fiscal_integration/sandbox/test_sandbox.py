import base64
import concurrent.futures
import contextlib
import socket
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import requests

from fiscal_integration.sandbox import Sandbox
from fiscal_integration.sandbox.kernel import FAULTS
from fiscal_integration.sandbox.reading import read_pdf

PROVIDER = "facturapi"


class SandboxTestCase(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)
		cls.url = cls.sandbox.url(PROVIDER)

	def setUp(self):
		self.sandbox.reset()

	def call(self, method, path, live=False, **request):
		headers = request.pop(
			"headers", {"Authorization": "Bearer " + self.sandbox.secret_key(PROVIDER, live)}
		)
		return requests.request(method, self.url + path, headers=headers, timeout=10, **request)

	def create(self, key="k", live=False, **values):
		return self.call("POST", "/invoices", live=live, json=body(key, **values))


def body(key="k", **values):
	return {
		"customer": {
			"legal_name": "ESCUELA KEMPER URGATE",
			"tax_id": "EKU9003173C9",
			"tax_system": "601",
			"address": {"zip": "44100"},
		},
		"items": [{"product": product()}],
		"payment_form": "01",
		"use": "G03",
		"external_id": f"ref-{key}",
		"idempotency_key": key,
		**values,
	}


def product(**values):
	return {"description": "Café", "product_key": "50201706", "price": 100, "tax_included": False, **values}


class TestFaults(SandboxTestCase):
	def issued(self):
		return len(self.sandbox.ledger(PROVIDER))

	def test_connections_that_break_tell_nothing_and_the_ledger_tells_the_truth(self):
		for kind, issued in (("lost_before_commit", 0), ("lost_after_commit", 1)):
			with self.subTest(kind):
				self.sandbox.reset()
				self.sandbox.fault(PROVIDER, kind)
				with self.assertRaises(requests.ConnectionError):
					self.create()
				self.assertEqual(self.issued(), issued)

	def test_answers_that_mislead(self):
		for kind, issued, check in (
			("malformed", 1, lambda answer: answer.status_code == 200 and not is_json(answer)),
			("malformed_before_commit", 0, lambda answer: answer.status_code == 200 and not is_json(answer)),
			("empty", 1, lambda answer: answer.status_code == 200 and answer.content == b""),
			("no_uuid", 1, lambda answer: answer.json()["uuid"] is None),
			("wrong_livemode", 1, lambda answer: answer.json()["livemode"] is True),
			("wrong_total", 1, lambda answer: answer.json()["total"] == 117),
		):
			with self.subTest(kind):
				self.sandbox.reset()
				self.sandbox.fault(PROVIDER, kind)
				self.assertTrue(check(self.create()))
				self.assertEqual(self.issued(), issued)
				self.assertEqual(self.create("next").status_code, 200)

	def test_status_before_and_after(self):
		for kind, issued in (("status", 0), ("status_after_commit", 1)):
			self.sandbox.reset()
			self.sandbox.fault(PROVIDER, kind, status=503, code="internal_error")
			self.assertEqual(self.create().status_code, 503)
			self.assertEqual(self.issued(), issued)
		self.sandbox.fault(PROVIDER, "status", status=429, retry_after=7)
		self.assertEqual(self.create("x").headers["Retry-After"], "7")

	def test_slow_and_refused(self):
		self.sandbox.fault(PROVIDER, "slow", operation="check", delay=0.3)
		self.assertGreater(self.call("GET", "/check").elapsed.total_seconds(), 0.3)
		self.sandbox.fault(PROVIDER, "refuse")
		with self.assertRaises(requests.ConnectionError):
			self.call("GET", "/check")
		self.sandbox.resume()
		self.assertEqual(self.call("GET", "/check").status_code, 200)

	def test_they_befall_who_was_meant_and_are_used_up(self):
		self.sandbox.fault(PROVIDER, "status", match="ref-b", times=2)
		self.assertEqual([self.create(key).status_code for key in ("a", "b", "b", "b")], [200, 500, 500, 200])
		with self.assertRaises(ValueError):
			self.sandbox.fault(PROVIDER, "no such fault")
		self.assertTrue(all(FAULTS.values()))

	def test_202_ends_as_ordered_when_the_clock_says(self):
		for outcome in ("valid", "failed"):
			with self.subTest(outcome):
				self.sandbox.reset()
				self.sandbox.fault(PROVIDER, "pending", after=600, outcome=outcome)
				answer = self.create()
				self.assertEqual((answer.status_code, answer.json()["status"]), (202, "pending"))
				path = f"/invoices/{answer.json()['id']}"
				self.assertEqual(self.call("GET", path).json()["status"], "pending")
				self.sandbox.advance(601)
				found = self.call("GET", path).json()
				self.assertEqual((found["status"], bool(found["uuid"])), (outcome, outcome == "valid"))


def is_json(answer):
	with contextlib.suppress(ValueError):
		answer.json()
		return True
	return False


class TestWhoAndWhere(SandboxTestCase):
	def test_keys(self):
		key = self.sandbox.secret_key(PROVIDER)
		basic = base64.b64encode(f"{key}:".encode()).decode()
		for header, status, code in (
			(f"Bearer {key}", 200, None),
			(f"Basic {basic}", 200, None),
			("Bearer sk_test_other", 401, "api_key_invalid"),
			("Bearer sk_user_x", 401, "api_key_not_allowed"),
			("", 401, "missing_credentials"),
		):
			answer = self.call("GET", "/check", headers={"Authorization": header})
			self.assertEqual((answer.status_code, answer.json().get("code")), (status, code))

	def test_test_and_live_do_not_see_each_other(self):
		invoice = self.create(live=True).json()
		self.assertTrue(invoice["livemode"])
		self.assertEqual(self.call("GET", f"/invoices/{invoice['id']}").status_code, 404)
		self.assertEqual(self.call("GET", "/invoices").json()["total_results"], 0)
		self.assertEqual(self.create().status_code, 200)

	def test_every_answer_says_what_it_is(self):
		for path in ("/check", "/nothing"):
			answer = self.call("GET", path)
			self.assertEqual(answer.headers["X-Fiscal-Sandbox"], "1")
			self.assertTrue(answer.headers.get("X-Facturapi-Log-Id"))
		page = requests.get(f"http://127.0.0.1:{self.sandbox.port}/", timeout=10)
		self.assertIn("nothing here has fiscal validity", page.text)

	def test_loopback_only(self):
		self.assertEqual(self.sandbox._server.server_address[0], "127.0.0.1")
		outside = next(
			(
				entry[4][0]
				for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
				if not entry[4][0].startswith("127.")
			),
			None,
		)
		if outside:
			with self.assertRaises(OSError):
				socket.create_connection((outside, self.sandbox.port), 1).close()

	def test_control_from_another_process(self):
		control = f"http://127.0.0.1:{self.sandbox.port}/_control"
		order = {"kind": "status", "status": 500}
		self.assertEqual(
			requests.post(f"{control}/faults/{PROVIDER}", json=order, timeout=5).status_code, 200
		)
		self.assertEqual(
			requests.post(f"{control}/faults/{PROVIDER}", json={"kind": "x"}, timeout=5).status_code, 400
		)
		self.assertEqual(self.create().status_code, 500)
		self.create("b")
		(entry,) = requests.get(f"{control}/ledger/{PROVIDER}", timeout=5).json()
		self.assertEqual(entry["external_id"], "ref-b")
		self.assertEqual(len(requests.get(f"{control}/requests/{PROVIDER}", timeout=5).json()), 2)
		requests.post(f"{control}/clock", json={"seconds": 3600}, timeout=5)
		self.assertEqual(self.sandbox.clock.offset.total_seconds(), 3600)
		requests.post(f"{control}/reset", timeout=5)
		self.assertEqual(self.sandbox.ledger(PROVIDER), [])

	def test_it_remembers_over_restarts(self):
		with tempfile.TemporaryDirectory() as folder:
			state = str(Path(folder, "state.json"))
			for expected in (200, 409):
				with Sandbox(state_file=state) as sandbox:
					answer = requests.post(
						sandbox.url(PROVIDER) + "/invoices",
						json=body(),
						headers={"Authorization": "Bearer " + sandbox.secret_key(PROVIDER)},
						timeout=5,
					)
					self.assertEqual(answer.status_code, expected)
					self.assertEqual(len(sandbox.ledger(PROVIDER)), 1)

	def test_command_line(self):
		command = [sys.executable, "-m", "fiscal_integration.sandbox", "--port"]
		with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True) as process:
			text = ""
			while "Stop with" not in text:
				line = process.stdout.readline()
				self.assertTrue(line, text)
				text += line
			process.terminate()
		self.assertIn("/facturapi/v2", text)
		self.assertIn("sk_test_", text)
		taken = subprocess.run(
			[*command, str(self.sandbox.port)], capture_output=True, text=True, timeout=20, check=False
		)
		self.assertEqual(taken.returncode, 1)
		self.assertIn("--port", taken.stderr)


class TestInvoices(SandboxTestCase):
	def test_a_used_key_in_both_readings(self):
		first = self.create().json()
		answer = self.create()
		self.assertEqual((answer.status_code, answer.json()["code"]), (409, "idempotency_key_in_use"))
		self.sandbox.set_option(PROVIDER, idempotency="replay")
		self.assertEqual(self.create().json()["uuid"], first["uuid"])
		self.assertEqual(len(self.sandbox.ledger(PROVIDER)), 1)

	def test_twenty_at_once_make_one(self):
		with concurrent.futures.ThreadPoolExecutor(20) as pool:
			statuses = list(pool.map(lambda _: self.create().status_code, range(20)))
		self.assertEqual(sorted(statuses), [200] + [409] * 19)
		self.assertEqual(len(self.sandbox.ledger(PROVIDER)), 1)

	def test_a_refused_one_does_not_use_up_its_key(self):
		self.assertEqual(self.create(use="X").status_code, 400)
		self.assertEqual(self.create().status_code, 200)

	def test_list(self):
		for key in "abcde":
			self.create(key)
		found = self.call("GET", "/invoices", params={"external_id": "ref-c"}).json()
		self.assertEqual([entry["external_id"] for entry in found["data"]], ["ref-c"])
		page = self.call("GET", "/invoices", params={"limit": 2, "page": 3}).json()
		self.assertEqual((page["total_pages"], page["total_results"], len(page["data"])), (3, 5, 1))
		self.assertEqual(self.call("GET", "/invoices", params={"limit": 101}).status_code, 400)
		self.assertEqual(self.call("GET", "/invoices", params={"external_id": "no"}).json()["data"], [])

	def test_cancelling(self):
		"""authorities/mexico.md#cancelling."""
		small, large = (
			self.create("s").json(),
			self.create("l", items=[{"product": product(price=5000)}]).json(),
		)
		self.assertEqual(self.call("DELETE", f"/invoices/{small['id']}").status_code, 400)
		answer = self.call("DELETE", f"/invoices/{small['id']}?motive=01")
		self.assertEqual(answer.json()["code"], "substitution_invoice_required")
		answer = self.call("DELETE", f"/invoices/{small['id']}?motive=02").json()
		self.assertEqual((answer["status"], answer["cancellation_status"]), ("canceled", "accepted"))
		answer = self.call("DELETE", f"/invoices/{large['id']}?motive=02").json()
		self.assertEqual((answer["status"], answer["cancellation_status"]), ("valid", "pending"))
		self.assertEqual(self.call("DELETE", f"/invoices/{large['id']}?motive=02").status_code, 409)
		self.sandbox.advance(72 * 3600 + 1)
		answer = self.call("GET", f"/invoices/{large['id']}").json()
		self.assertEqual((answer["status"], answer["cancellation_status"]), ("canceled", "accepted"))

	def test_files(self):
		invoice = self.create().json()
		xml = self.call("GET", f"/invoices/{invoice['id']}/xml").content
		self.assertIn(b"SIN VALIDEZ FISCAL", xml)
		self.assertIn(invoice["uuid"], ElementTree.tostring(ElementTree.fromstring(xml), "unicode"))
		self.assertTrue(self.call("GET", f"/invoices/{invoice['id']}/zip").content.startswith(b"PK"))
		pdf = self.call("GET", f"/invoices/{invoice['id']}/pdf").content
		self.assertTrue(pdf.startswith(b"%PDF"))
		text, code = read_pdf(pdf)
		self.assertIn("SIN VALIDEZ FISCAL", text)
		self.assertEqual(code, invoice["verification_url"])
