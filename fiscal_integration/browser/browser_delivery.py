import hashlib
import hmac
import json
import uuid

import requests
from playwright.sync_api import expect

from fiscal_integration.browser.desk import URL, DeskCase, bench

COMPANY = "Mercadito del Istmo"
WEBHOOK_SECRET = "whsec_browser_0123456789"
HOOK = f"{URL}/api/method/fiscal_integration.webhooks.receive"


class TestDelivery(DeskCase):
	"""Panama through Conteo, a provider that goes down, and what people do about what failed."""

	secrets = (WEBHOOK_SECRET,)

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.key = cls.sandbox.secret_key("conteo")
		bench("execute", "fiscal_integration.sample.set_up_panama")
		cls.sandbox.set_option("conteo", webhook_url=f"{HOOK}?provider=conteo", webhook_secret=WEBHOOK_SECRET)

	def sell(self, number=1):
		output = bench(
			"execute",
			"fiscal_integration.sample.sell",
			"--kwargs",
			repr({"number": number, "panama": True}),
		)
		return json.loads(output)

	def status(self, name):
		return self.value("POS Invoice", name, "fiscal_status")

	def open_account(self):
		self.page.goto(f"{URL}/app/fiscal-account/{COMPANY}")
		self.page.wait_for_selector(".fiscal-status")
		self.page.wait_for_load_state("networkidle")

	def open_document(self, name):
		self.page.goto(f"{URL}/app/fiscal-document/{self.value('POS Invoice', name, 'fiscal_document')}")
		self.page.wait_for_selector(".fiscal-view")
		self.page.wait_for_load_state("networkidle")

	def press(self, label):
		"""One of the buttons under Fiscal, and Yes when it asks."""
		self.page.locator(".inner-group-button", has_text="Fiscal").first.locator("button").first.click()
		self.page.get_by_text(label, exact=True).first.click()
		self.page.wait_for_timeout(700)
		yes = self.page.locator(".modal.show .btn-primary:visible")
		if yes.count():
			yes.click()
		self.page.wait_for_load_state("networkidle")

	def test_1_the_account(self):
		bench(
			"execute",
			"frappe.db.set_single_value",
			"--args",
			json.dumps(["Fiscal Integration Settings", "enabled", 0]),
		)
		self.open_settings()
		self.set(
			company="Abarrotes La Esperanza",
			provider="facturapi",
			environment="Test",
			server_url=self.sandbox.url("facturapi"),
			secret_key=self.sandbox.secret_key("facturapi"),
			enabled=1,
		)
		self.parameter("issuing_postal_code").fill("44100")
		self.parameter("issuing_postal_code").press("Tab")
		self.save()
		# Other tests on this site may have made it already.
		bench("execute", "frappe.delete_doc_if_exists", "--args", repr(["Fiscal Account", COMPANY]))
		self.page.goto(f"{URL}/app/fiscal-account/new")
		self.page.wait_for_selector(".fiscal-status")
		self.page.wait_for_load_state("networkidle")
		self.set(company=COMPANY)
		self.set(provider="conteo")
		self.set(server_url=self.sandbox.url("conteo"), secret_key=self.key)
		self.parameter("webhook_secret").fill(WEBHOOK_SECRET)
		self.parameter("webhook_secret").press("Tab")
		self.save()
		self.open_account()
		expect(self.page.locator(".fiscal-webhook code")).to_contain_text("webhooks.receive?provider=conteo")
		self.assertIn("Connection successful", self.ping())
		self.shot("conteo-account")

	def test_2_a_pending_sale_is_brought_home_by_a_webhook(self):
		self.sandbox.fault("conteo", "pending", after=90)
		(name,) = self.sell()
		self.until(lambda: self.status(name), "Pending")
		self.sandbox.advance(91)
		self.until(lambda: self.sandbox.deliveries("conteo")[-1]["attempts"], [200])
		self.until(lambda: self.status(name), "Issued")
		(issued,) = [
			entry for entry in self.sandbox.ledger("conteo") if entry["external_id"].startswith(name + ".")
		]
		self.assertEqual(self.value("POS Invoice", name, "fiscal_id"), issued["uuid"])

	def test_3_webhooks_of_others_are_refused(self):
		# The same body would be the same event as one of an earlier run.
		invoice = f"FE-{uuid.uuid4()}"
		body = json.dumps({"event": "invoice.completed", "data": {"invoice_id": invoice}}).encode()
		good = "sha256=" + hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
		kind = {"Content-Type": "application/json"}

		def post(body, signature, provider="conteo"):
			headers = {**kind, "x-conteo-signature": signature}
			return requests.post(HOOK, body, params={"provider": provider}, headers=headers, timeout=30)

		count = len(self.events())
		self.assertEqual(post(body, "sha256=" + "0" * 64).status_code, 401)
		self.assertEqual(post(body, "").status_code, 401)
		self.assertEqual(post(body + b" ", good).status_code, 401)
		self.assertEqual(post(body, good, "nobody").status_code, 404)
		self.assertEqual(post(b'{"x": "' + b"x" * 300_000 + b'"}', good).status_code, 413)
		self.assertGreaterEqual(post(b"{garbage", good).status_code, 400)
		self.assertGreaterEqual(
			requests.get(HOOK, params={"provider": "conteo"}, timeout=30).status_code, 400
		)
		self.assertEqual(len(self.events()), count)
		self.assertEqual([post(body, good).status_code for _twice in range(2)], [200, 200])
		self.assertEqual(len(self.events()), count + 1)
		self.open_account()
		expect(self.page.locator(".fiscal-webhook")).to_contain_text("signature: 3")

	def events(self):
		answer = self.context.request.get(
			f"{URL}/api/resource/Fiscal Webhook Event", params={"limit_page_length": "500"}
		)
		return answer.json()["data"]

	def test_4_a_provider_that_is_down_is_told_and_nothing_is_lost(self):
		self.sandbox.refuse()
		names = self.sell(6)
		self.until(self.is_down, True)
		self.open_account()
		expect(self.page.locator(".fiscal-down")).to_contain_text("The provider is down since")
		expect(self.page.locator(".fiscal-counts")).to_contain_text("wait")
		self.shot("provider-down")
		self.page.goto(f"{URL}/app/pos-invoice/{names[-1]}")
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		expect(self.page.locator(".fiscal-view .fiscal-down")).to_contain_text("is down since")
		self.sandbox.resume()
		self.open_account()
		self.assertIn("Connection successful", self.ping())
		self.open_account()
		expect(self.page.locator(".fiscal-down")).to_have_count(0)
		# What waits for its next attempt goes now, as the end-of-day batch or a manager would have it.
		self.page.goto(f"{URL}/app/fiscal-document?status=Queued&company={COMPANY}")
		self.send_again(names)
		for name in names:
			self.until(lambda name=name: self.status(name), "Issued")

	def is_down(self):
		answer = self.context.request.get(
			f"{URL}/api/method/fiscal_integration.api.connection_status",
			params={"doctype": "Fiscal Account", "name": COMPANY},
		)
		return bool(answer.json()["message"]["down"])

	def send_again(self, names):
		"""Tick the rows of these invoices in the list, and choose Send Again."""
		self.page.wait_for_selector(".list-row-container .list-row-checkbox")
		self.page.wait_for_load_state("networkidle")
		for name in names:
			row = self.page.locator(".list-row-container", has_text=name).first
			if row.count():
				row.locator(".list-row-checkbox").first.check()
		self.page.locator(".actions-btn-group button:visible").first.click()
		self.page.locator(".actions-btn-group .dropdown-menu").get_by_text("Send Again").first.click()
		self.page.wait_for_timeout(700)
		self.page.locator(".modal.show .btn-primary:visible").click()
		expect(self.page.locator("#alert-container, .desk-alert").first).to_contain_text("on their way")

	def test_5_dead_letters_are_one_list_and_go_again_together(self):
		self.sandbox.fault("conteo", "status", times=3, code="INVALID_PAYLOAD")
		names = self.sell(3)
		for name in names:
			self.until(lambda name=name: self.status(name), "Rejected")
		self.page.goto(f"{URL}/app/fiscal-document")
		self.page.get_by_role("button", name="Needs Attention").click()
		self.page.wait_for_load_state("networkidle")
		for name in names:
			expect(self.page.locator(".list-row-container", has_text=name).first).to_be_visible()
		self.shot("needs-attention")
		self.send_again(names)
		for name in names:
			self.until(lambda name=name: self.status(name), "Issued")
		bench("execute", "fiscal_integration.drain.finish_batches")
		batch = self.context.request.get(
			f"{URL}/api/resource/Fiscal Batch",
			params={"fields": '["name", "status", "issued", "total"]', "order_by": "creation desc"},
		).json()["data"][0]
		self.assertEqual((batch["status"], batch["issued"], batch["total"]), ("Finished", 3, 3))
		self.page.goto(f"{URL}/app/fiscal-batch/{batch['name']}")
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(500)
		self.shot("batch")

	def test_6_a_person_compares_and_takes_over(self):
		self.sandbox.fault("conteo", "wrong_total")
		(name,) = self.sell()
		self.until(lambda: self.status(name), "Needs Review")
		self.open_document(name)
		expect(self.page.locator(".fiscal-error")).to_contain_text("ours")
		expect(self.page.locator(".fiscal-todo")).to_contain_text("Compare both sides")
		self.shot("needs-review")
		self.press("Take Over")
		self.until(lambda: self.status(name), "Issued")

	def test_7_what_was_not_mended_rings_the_bell(self):
		self.sandbox.fault("conteo", "status", code="CERTIFICATE_EXPIRED")
		(name,) = self.sell()
		self.until(lambda: self.status(name), "Failed")
		row = self.value("POS Invoice", name, "fiscal_document")
		bench(
			"execute",
			"frappe.db.set_value",
			"--args",
			json.dumps(["Fiscal Document", row, "status_since", "2026-01-01 00:00:00"]),
		)
		bench("execute", "fiscal_integration.tasks.alert")
		self.page.goto(f"{URL}/app/fiscal-document/{row}")
		self.page.wait_for_load_state("networkidle")
		self.page.locator(".dropdown-notifications > a, .dropdown-notifications .nav-link").first.click()
		expect(self.page.locator(".notifications-list")).to_contain_text("without their fiscal document")
		self.page.wait_for_timeout(500)
		self.shot("bell")

	def test_9_no_answer_ever_held_a_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
