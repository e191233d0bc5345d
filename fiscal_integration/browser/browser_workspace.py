import re
import time
from contextlib import suppress

from playwright.sync_api import TimeoutError, expect

from fiscal_integration.browser.desk import SETTINGS, URL, DeskCase, address

PAGE = "/app/fiscal-integration"
COMPANY = "Abarrotes La Esperanza"
DEAD_LETTERS = ["Rejected", "Failed", "Needs Review"]
MARKED = re.compile("update_onboarding_step")
WAITING = ["Queued", "Sending", "Pending", "Unknown"]


class TestWorkspace(DeskCase):
	"""A new administrator goes by the onboarding alone, and then by what the workspace shows."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.page.on("console", cls.listen)
		cls.call("run_doc_method", dt="Module Onboarding", dn="Fiscal Integration", method="reset_progress")
		# As after installing, whatever other tests entered.
		cls.call(
			"frappe.client.set_value",
			doctype=SETTINGS,
			name=SETTINGS,
			fieldname={"enabled": 0, "provider": "", "server_url": "", "company": "", "alert_recipients": ""},
		)
		cls.number = str(int(time.time()))

	@classmethod
	def listen(cls, message):
		# Without Frappe's socket server, which these tests do without, the page says so again and again.
		# Its charts complain of their own bars while they are drawn narrower than they end.
		ours = (
			"socket.io" not in message.text + message.location.get("url", "")
			# Frappe's own charts, in a box that is not laid out yet.
			and "attribute width: A negative value" not in message.text
		)
		if message.type == "error" and ours:
			cls.errors.append(f"fiscal workspace: {message.text} {message.location}")

	@classmethod
	def call(cls, path, /, **values):
		return cls.page.evaluate(
			"([method, values]) => frappe.xcall(method, values)",
			[path, values],
		)

	def count(self, **filters):
		return self.call("frappe.client.get_count", doctype="Fiscal Document", filters=filters)

	def open_workspace(self):
		self.page.goto(URL + PAGE)
		expect(self.page.locator(".number-widget-box .number")).to_have_count(6)

	def card(self, label):
		return self.page.locator(".number-widget-box", has=self.page.get_by_text(label, exact=True))

	def shown(self, label):
		return self.card(label).locator(".number").inner_text().strip()

	# -- the onboarding ------------------------------------------------------------------------------------

	@property
	def panel(self) -> bool:
		"""From 17 on the steps are a list in a panel of the sidebar; before, a box of the workspace opens one by one."""
		return self.page.evaluate("() => Boolean(frappe.ui.UserOnboarding)")

	def step(self, title):
		"""Go where a step leads. In the box it has to be the one that is open."""
		if self.panel:
			self.page.locator(".onb-panel .onb-step-left", has_text=title).click()
			return
		expect(self.page.locator(".onboarding-step.active")).to_contain_text(title)
		self.page.locator(".onboarding-step-footer .btn", has_text=title).click()

	def go_on(self):
		"""Save, and Continue in the message that brings back to the onboarding, where there is one."""
		self.page.keyboard.press("Control+s")
		if self.panel:
			self.page.wait_for_function("() => !cur_frm.is_new() && !cur_frm.is_dirty()")
		self.to_onboarding("Action Complete")

	def to_onboarding(self, title):
		if not self.panel:
			dialog = self.modal(title)
			with self.page.expect_response(MARKED):
				dialog.locator(".btn-primary:visible").first.click()
			# Frappe comes back by a longer address of the same page.
			expect(self.page).to_have_url(
				re.compile(r"/(app|desk)/(Workspaces/)?fiscal(-|%20)integration$", re.I)
			)
		self.reload()

	def reload(self):
		"""Frappe keeps what it did when a step's message closed, and would do it again when the next one does."""
		self.settle()
		self.page.goto(URL + PAGE)

	def look(self, title):
		"""A step that only opens a page, which Frappe marks as done at once; its message may have gone already."""
		with self.page.expect_response(MARKED):
			self.step(title)
		self.settle()
		with suppress(TimeoutError):
			self.page.wait_for_selector(".modal.show", timeout=500 if self.panel else 4000)
			self.close()

	def test_1_from_nothing_to_the_first_document(self):
		self.open_workspace()
		self.shot("workspace-onboarding")
		self.step("Connect to a Provider")
		self.connection_form(SETTINGS)
		self.set(company=COMPANY)
		self.page.select_option('[data-fieldname="provider"] select', "facturapi")
		self.settle()
		self.set(server_url=self.sandbox.url("facturapi"))
		self.page.fill('[data-fieldname="secret_key"] input', self.key)
		self.fill("issuing_postal_code", "44100")
		self.go_on()

		self.look("Ping Server")
		self.connection_form(SETTINGS)
		self.assertIn("Connection successful", self.ping())
		self.page.goto(URL + PAGE)

		self.step("Enable the Integration")
		self.connection_form(SETTINGS)
		self.page.locator('[data-fieldname="enabled"] input').first.check()
		self.go_on()

		self.look("Complete the Company")
		self.page.goto(address("Company", COMPANY))
		expect(self.page.locator('[data-fieldname="tax_id"] input').first).not_to_have_value("")
		self.page.goto(URL + PAGE)

		customer, item = f"Cliente {self.number}", f"NUEVO-{self.number}"
		self.step("Make a Customer")
		self.form("Customer")
		self.set(customer_name=customer, customer_group="Individual", territory="Mexico")
		self.go_on()
		self.step("Make an Item")
		self.form("Item")
		self.set(item_code=item, item_group="Products", is_stock_item=0)
		self.go_on()

		self.step("Submit the First Invoice")
		self.form("Sales Invoice")
		self.set(company=COMPANY, customer=customer)
		self.fill_invoice(item)
		self.page.keyboard.press("Control+s")
		if self.panel:
			self.page.wait_for_function("() => !cur_frm.is_new() && !cur_frm.is_dirty()")
			self.settle()
		else:
			self.modal("Document Saved")
			self.close()
		self.primary("Submit").click()
		self.confirm()
		self.page.wait_for_function("() => cur_frm.doc.docstatus === 1")
		self.to_onboarding("Action Complete")

		self.look("See Its Fiscal Document")
		row = self.page.locator(".list-row-container .list-row").first
		found = self.rows(
			"Fiscal Document", {"reference_doctype": "Sales Invoice"}, "name", "reference_name"
		)[0]
		self.becomes("Issued", found["name"], "Fiscal Document", "status")
		self.page.reload()
		expect(row).to_contain_text("Issued")
		(issued,) = self.ledger_of(found["reference_name"])
		self.assertEqual(self.value("Fiscal Document", found["name"], "fiscal_id"), issued["uuid"])

		self.page.goto(URL + PAGE)
		self.step("Say Who Is Told")
		self.connection_form(SETTINGS)
		self.set(alert_recipients="finance@example.com")
		self.go_on()

	def fill_invoice(self, item):
		"""The item, its price and the payment, as the step tells: each waits for what ERPNext fetches after the last."""
		for entry in (
			"cur_frm.set_value('is_pos', 1)",
			# The till's profile ticks it, and then ERPNext reloads the form where Frappe's onboarding would go on.
			"cur_frm.set_value('update_stock', 0)",
			"enter('items', 'item_code', item)",
			"enter('items', 'qty', 2)",
			"enter('items', 'rate', 250)",
			"enter('payments', 'mode_of_payment', 'Cash')",
			"enter('payments', 'amount', cur_frm.doc.grand_total)",
		):
			self.page.evaluate(
				f"""async (item) => {{
					const enter = (table, field, value) => {{
						const row = (cur_frm.doc[table] || [])[0] || cur_frm.add_child(table);
						return frappe.model.set_value(row.doctype, row.name, field, value);
					}};
					await {entry};
				}}""",
				item,
			)
			self.settle()
		self.assertEqual(self.page.evaluate("() => cur_frm.doc.grand_total"), 500)

	# -- what it shows --------------------------------------------------------------------------------------

	def test_2_the_numbers_are_those_of_the_database(self):
		self.open_workspace()
		expect(self.page.locator(".onboarding-widget-box:visible, .onb-panel")).to_have_count(0)
		issued = int(self.shown("Issued Today"))
		self.assertGreater(issued, 0)
		(name,) = self.sell()
		self.becomes("Issued", name)
		self.open_workspace()
		self.assertEqual(int(self.shown("Issued Today")), issued + 1)
		self.assertEqual(int(self.shown("Waiting")), self.count(status=["in", WAITING]))
		self.assertEqual(int(self.shown("Errors")), self.count(status=["in", DEAD_LETTERS[:2]]))

	def test_3_the_charts_are_drawn(self):
		for chart, part in (("Issued per Day", ".bar"), ("Errors by Code", "path")):
			widget = self.page.locator(".dashboard-widget-box", has_text=chart)
			expect(widget.locator(f"svg.frappe-chart {part}").first).to_be_attached()
		self.shot("workspace-page")

	def test_4_a_click_on_a_card_opens_what_it_counts(self):
		wanted = self.shown("Issued Today")
		self.card("Issued Today").locator(".number").click()
		expect(self.page).to_have_url(re.compile(r"/(app|desk)/fiscal-document\?.*today.*status=Issued"))
		count = self.page.locator(".list-count")
		expect(count).to_contain_text(" of ")
		# Of many rows Frappe shows an estimate first.
		if "+" in count.inner_text():
			count.click()
		expect(count).to_contain_text(re.compile(rf"of {int(wanted):,}|of {wanted}"))

	def test_9_nothing_failed_on_the_way(self):
		self.no_secret_and_no_script_error()
