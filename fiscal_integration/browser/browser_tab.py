import re

from playwright.sync_api import expect

from fiscal_integration.browser.desk import URL, DeskCase, bench

ACCOUNT = "Fiscal Browser Tests"
ADDRESS = "compras@example.com"
PAID_LATER = "OC-4471"


class TestTab(DeskCase):
	"""The Fiscal tab of an invoice, from a late answer to the e-mail. No socketio runs here, so that it looks itself."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=URL)
		cls.connect()

	def offered(self):
		return self.page.evaluate("() => cur_frm.fiscal_buttons")

	def test_1_it_follows_without_touching_what_is_being_entered(self):
		self.sandbox.fault("facturapi", "pending", after=600)
		(name,) = self.sell()
		type(self).invoice = name
		self.becomes("Pending", name)
		self.open_tab(self.sale_doctype, name)
		pill = self.page.locator(".fiscal-view .indicator-pill").first
		expect(pill).to_have_text("Pending")
		expect(self.page.locator(".fiscal-next")).to_contain_text("asked again at")
		expect(self.page.locator(".fiscal-copy")).to_have_count(0)
		self.shot("fiscal-tab-pending")
		self.page.evaluate("value => cur_frm.set_value('po_no', value)", PAID_LATER)
		self.sandbox.advance(601)
		self.press("Ask the Provider")
		expect(pill).to_have_text("Issued")
		expect(self.page.locator(".fiscal-view img.fiscal-qr")).to_be_visible()
		self.assertEqual(
			self.page.evaluate(
				"() => [cur_frm.doc.po_no, Boolean(cur_frm.is_dirty()), cur_frm.doc.fiscal_status]"
			),
			[PAID_LATER, True, "Issued"],
		)
		self.assertNotIn("Ask the Provider", self.offered())
		self.assertIn("Download Fiscal PDF", self.offered())

	def test_2_the_id_is_copied(self):
		self.open_tab(self.sale_doctype, self.invoice)
		self.page.locator(".fiscal-copy").click()
		expect(self.page.locator(".desk-alert", has_text="Copied")).to_be_visible()
		self.assertEqual(
			self.page.evaluate("() => navigator.clipboard.readText()"),
			self.value(self.sale_doctype, self.invoice, "fiscal_id"),
		)

	def test_3_the_attempts_are_a_timeline_with_links(self):
		attempts = self.page.locator(".fiscal-attempt")
		expect(attempts).to_have_count(3)
		for index, words in enumerate(
			("Asked whether it was issued", "Asked by hand", "Sent to the provider")
		):
			expect(attempts.nth(index)).to_contain_text(words)
			expect(attempts.nth(index)).to_contain_text("Administrator")
		expect(attempts.nth(0)).to_contain_text("answered (HTTP 200)")
		expect(attempts.nth(2)).to_contain_text(re.compile(r"answered \(HTTP 202\) · \d+\.\d\d s"))
		self.page.locator(".desk-alert").first.wait_for(state="detached")
		self.page.set_viewport_size({"width": 1280, "height": 1150})
		self.shot("fiscal-tab")
		self.page.set_viewport_size({"width": 1280, "height": 900})
		attempts.nth(2).locator("a").click()
		self.page.wait_for_url(re.compile("integration-request/"))
		expect(
			self.page.locator('[data-fieldname="fiscal_operation"] .like-disabled-input').first
		).to_have_text("issue")

	def test_4_the_customer_gets_it_by_mail(self):
		# Frappe tries the server of an account that is entered by hand, and nothing is sent here.
		columns = {
			"name": ACCOUNT,
			"email_account_name": ACCOUNT,
			"email_id": "caja@example.com",
			"enable_outgoing": 1,
			"default_outgoing": 1,
			"no_smtp_authentication": 1,
			"smtp_server": "127.0.0.1",
		}
		names = ", ".join(columns)
		bench(
			"frappe.db.sql",
			f"replace into `tabEmail Account` ({names}) values ({', '.join(['%s'] * len(columns))})",
			list(columns.values()),
		)
		self.addCleanup(bench, "frappe.db.delete", "Email Account", {"name": ACCOUNT})
		self.open_tab(self.sale_doctype, self.invoice)
		self.press("Send by E-mail")
		self.modal().locator('[data-fieldname="recipients"] input').fill(ADDRESS)
		self.shot("fiscal-tab-mail")
		self.confirm()
		expect(self.page.locator(".desk-alert", has_text=f"On its way to {ADDRESS}")).to_be_visible()
		about = {"reference_doctype": self.sale_doctype, "reference_name": self.invoice}
		(kept,) = self.rows("Communication", about, "recipients", "sent_or_received", "content")
		self.assertEqual((kept["recipients"], kept["sent_or_received"]), (ADDRESS, "Sent"))
		(queued,) = self.rows("Email Queue", about, "attachments")
		self.assertEqual(queued["attachments"].count("fid"), 2)
		expect(self.page.locator(".timeline-item", has_text="fiscal document of").first).to_be_visible()
		for kind in ("pdf", "xml"):
			self.assertIn(f"{self.invoice}-fiscal.{kind}", kept["content"])

	def test_5_an_operator_puts_it_before_a_manager(self):
		self.sandbox.fault("facturapi", "lost_after_commit")
		(name,) = self.sell()
		self.becomes("Unknown", name)
		self.open_tab(self.sale_doctype, name)
		expect(self.page.locator(".fiscal-attempt").first).to_contain_text("no answer")
		self.press("Send to Review")
		self.modal().locator('[data-fieldname="reason"] textarea').fill("El cliente ya tiene otra")
		self.confirm()
		pill = self.page.locator(".fiscal-view .indicator-pill").first
		expect(pill).to_have_text("Needs Review")
		expect(self.page.locator(".fiscal-todo")).to_contain_text("Ask the Provider")
		expect(self.page.locator(".fiscal-error")).to_contain_text("El cliente ya tiene otra")
		self.assertIn("Ask the Provider", self.offered())
		self.assertFalse({"Send Again", "Take Over", "Send to Review"} & set(self.offered()))
		(comment,) = self.rows("Comment", {"reference_name": name, "comment_type": "Comment"}, "content")
		self.assertIn("El cliente ya tiene otra", comment["content"])
		self.page.locator(".modal.show").wait_for(state="detached")
		expect(self.page.locator(".timeline-item", has_text="El cliente ya tiene otra")).to_be_visible()
		self.shot("fiscal-tab-review")
		self.press("Ask the Provider")
		expect(pill).to_have_text("Issued")
		self.assertEqual(len(self.ledger_of(name)), 1)

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
