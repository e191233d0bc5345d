import hashlib
import hmac
import json
import uuid

import requests
from playwright.sync_api import expect

from fiscal_integration.browser.desk import SETTINGS, URL, DeskCase, address, bench

COMPANY = "Mercadito del Istmo"
WEBHOOK_SECRET = "whsec_browser_0123456789"
HOOK = f"{URL}/api/method/fiscal_integration.webhooks.receive"


class TestDelivery(DeskCase):
	"""Panama through Conteo, a provider that goes down, and what people do about what failed."""

	provider = "conteo"
	secrets = (WEBHOOK_SECRET,)

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		bench("fiscal_integration.sample.set_up_panama")
		cls.sandbox.set_option("conteo", webhook_url=f"{HOOK}?provider=conteo", webhook_secret=WEBHOOK_SECRET)

	@classmethod
	def sell(cls, number=1):
		return super().sell(number, panama=True)

	def open_account(self, name=COMPANY):
		self.page.goto(address("Fiscal Account", name))
		self.connection_form("Fiscal Account", None if name == "new" else name)

	def test_1_the_account(self):
		bench("frappe.db.set_single_value", SETTINGS, "enabled", 0)
		self.open_settings()
		self.set(
			company="Abarrotes La Esperanza",
			provider="facturapi",
			environment="Test",
			server_url=self.sandbox.url("facturapi"),
			secret_key=self.sandbox.secret_key("facturapi"),
			enabled=1,
		)
		self.fill("issuing_postal_code", "44100")
		self.save()
		# Other tests on this site may have made it already.
		bench("frappe.delete_doc_if_exists", "Fiscal Account", COMPANY)
		self.open_account("new")
		self.set(company=COMPANY)
		self.set(provider="conteo")
		self.set(server_url=self.sandbox.url("conteo"), secret_key=self.key)
		self.fill("webhook_secret", WEBHOOK_SECRET)
		gateway = self.sandbox.url("conteo").replace("/v1", "/gateway")
		for key, value in {"gateway_url": gateway, **self.sandbox.parameters("conteo")}.items():
			self.fill(key, value)
		self.save()
		self.open_account()
		expect(self.page.locator(".fiscal-webhook code")).to_contain_text("webhooks.receive?provider=conteo")
		self.assertIn("Connection successful", self.ping())
		self.shot("conteo-account")

	def test_1_the_form_of_a_ruc_that_is_conteos_own(self):
		"""Its public example of a customer, which is none of the DGI's: sent, with a warning."""
		name = self.draft(
			"Sales Invoice",
			customer="Distribuidora Chiriquí, S.A.",
			values={"fiscal_customer_tax_id": "J-8-56789-1"},
			panama=True,
		)
		self.submit("Sales Invoice", name)
		self.assertIn("J-8-56789-1", self.dialog())
		self.becomes("Issued", name, "Sales Invoice")
		self.open_tab("Sales Invoice", name)
		answer = self.context.request.get(URL + self.fetch("Download Fiscal PDF"))
		self.assertTrue(answer.body().startswith(b"%PDF"), "the CAFE of the G-Force Gateway")

	def test_2_a_pending_sale_is_brought_home_by_a_webhook(self):
		self.sandbox.fault("conteo", "pending", after=90)
		(name,) = self.sell()
		self.becomes("Pending", name)
		self.sandbox.advance(91)
		self.until(lambda: self.sandbox.deliveries("conteo")[-1]["attempts"], [200])
		self.becomes("Issued", name)
		(issued,) = self.ledger_of(name)
		self.assertEqual(self.value(self.sale_doctype, name, "fiscal_id"), issued["uuid"])

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
		return self.rows("Fiscal Webhook Event", {})

	def test_4_a_provider_that_is_down_is_told_and_nothing_is_lost(self):
		self.sandbox.refuse()
		names = self.sell(6)
		self.until(self.is_down, True)
		self.open_account()
		expect(self.page.locator(".fiscal-down")).to_contain_text("The provider is down since")
		expect(self.page.locator(".fiscal-counts")).to_contain_text("wait")
		self.shot("provider-down")
		self.open_tab(self.sale_doctype, names[-1])
		expect(self.page.locator(".fiscal-view .fiscal-down")).to_contain_text("is down since")
		self.sandbox.resume()
		self.open_account()
		self.assertIn("Connection successful", self.ping())
		self.open_account()
		expect(self.page.locator(".fiscal-down")).to_have_count(0)
		# What waits for its next attempt goes now, as the end-of-day batch or a manager would have it.
		self.page.goto(f"{address('Fiscal Document')}?reference_name={json.dumps(['in', names])}")
		self.send_again(names)
		for name in names:
			self.becomes("Issued", name)

	def is_down(self):
		answer = self.context.request.get(
			f"{URL}/api/method/fiscal_integration.api.connection_status",
			params={"doctype": "Fiscal Account", "name": COMPANY},
		)
		return bool(answer.json()["message"]["down"])

	def send_again(self, names):
		"""Tick the rows of these invoices in the list, and choose Send Again."""
		self.page.wait_for_selector(".list-row-container .list-row-checkbox")
		self.settle()
		self.tick(names)
		self.act("Send Again")
		self.confirm(f"{len(names)} selected")
		expect(self.page.locator(".desk-alert", has_text="on their way")).to_be_visible()

	def test_5_dead_letters_are_one_list_and_go_again_together(self):
		self.sandbox.fault("conteo", "status", times=3, code="INVALID_PAYLOAD")
		names = self.sell(3)
		for name in names:
			self.becomes("Rejected", name)
		self.page.goto(address("Fiscal Document"))
		self.settle()
		self.page.get_by_role("button", name="Needs Attention").click()
		self.settle()
		for name in names:
			expect(self.page.locator(".list-row-container", has_text=name).first).to_be_visible()
		self.shot("needs-attention")
		self.send_again(names)
		for name in names:
			self.becomes("Issued", name)
		sent = self.rows("Fiscal Document", {"reference_name": ["in", names]}, "batch")
		(name,) = {row["batch"] for row in sent}
		bench("fiscal_integration.drain.finish_batches")
		(batch,) = self.rows("Fiscal Batch", {"name": name}, "status", "issued", "total")
		self.assertEqual((batch["status"], batch["issued"], batch["total"]), ("Finished", 3, 3))
		self.open_form("Fiscal Batch", name)
		self.shot("batch")

	def test_6_a_person_compares_and_takes_over(self):
		self.sandbox.fault("conteo", "wrong_total")
		(name,) = self.sell()
		self.becomes("Needs Review", name)
		self.open_form("Fiscal Document", self.value(self.sale_doctype, name, "fiscal_document"))
		expect(self.page.locator(".fiscal-error")).to_contain_text("ours")
		expect(self.page.locator(".fiscal-todo")).to_contain_text("Compare both sides")
		self.shot("needs-review")
		self.press("Take Over")
		self.confirm()
		self.becomes("Issued", name)

	def test_7_what_was_not_mended_rings_the_bell(self):
		self.sandbox.fault("conteo", "status", code="CERTIFICATE_EXPIRED")
		(name,) = self.sell()
		self.becomes("Failed", name)
		row = self.value(self.sale_doctype, name, "fiscal_document")
		bench("frappe.db.set_value", "Fiscal Document", row, "status_since", "2026-01-01 00:00:00")
		bench("fiscal_integration.tasks.alert")
		self.open_form("Fiscal Document", row)
		# Frappe 15 has the bell in the bar at the top, later versions in the sidebar.
		self.page.locator(
			".sidebar-notification:visible, .dropdown-notifications .notifications-icon:visible"
		).first.click()
		expect(self.page.locator(".notifications-list")).to_contain_text("without their fiscal document")
		self.shot("bell")

	def test_9_no_answer_ever_held_a_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
