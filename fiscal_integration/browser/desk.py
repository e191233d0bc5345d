"""What the browser's tests share: a logged-in Desk, a sandbox, and ways to drive forms."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import TimeoutError, expect, sync_playwright

from fiscal_integration.sandbox import Sandbox

URL = os.environ.get("FISCAL_SITE_URL", "")
SITE = os.environ.get("FISCAL_SITE", "")
BENCH = os.environ.get("FISCAL_BENCH_PATH", "")
SHOTS = os.environ.get("FISCAL_SHOTS", "")
PASSWORD = os.environ.get("FISCAL_ADMIN_PASSWORD", "admin")
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)
WRONG_KEY = "sk_test_Wrong000000000000"
SETTINGS = "Fiscal Integration Settings"


# What `bench execute` does, again and again in one process: starting Frappe takes longer than most of the calls.
EXECUTE = """
import json, os, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import frappe
for line in sys.stdin:
	ask = json.loads(line)
	frappe.init(sys.argv[1], sites_path=".")
	frappe.connect()
	try:
		try:
			method = frappe.get_attr(ask["method"])
		except Exception:
			method = eval(ask["method"])
		found = method(*ask["arguments"], **ask["named"])
		frappe.db.commit()
		answer = {"found": found}
	except Exception:
		answer = {"error": traceback.format_exc()}
	finally:
		frappe.destroy()
	print(json.dumps(answer, default=str), file=answers, flush=True)
"""
_processes = []


def bench(method: str, *arguments, **named):
	"""Call a function on the site as `bench execute` does: what it returned, as JSON has it."""
	if not _processes or _processes[0].poll() is not None:
		_processes[:] = [
			subprocess.Popen(
				[f"{BENCH}/env/bin/python", "-c", EXECUTE, SITE],
				cwd=f"{BENCH}/sites",
				stdin=subprocess.PIPE,
				stdout=subprocess.PIPE,
				text=True,
			)
		]
	ask = {"method": method, "arguments": arguments, "named": named}
	_processes[0].stdin.write(json.dumps(ask) + "\n")
	_processes[0].stdin.flush()
	answer = json.loads(_processes[0].stdout.readline() or '{"error": "the process ended"}')
	if "error" in answer:
		raise AssertionError(f"{method}: {answer['error'][-2000:]}")
	return answer["found"]


def slug(doctype: str) -> str:
	return doctype.lower().replace(" ", "-")


def address(doctype: str, name: str = "") -> str:
	"""The address of a document's form, or of a list. (From Frappe 16 on /app leads to /desk.)"""
	return f"{URL}/app/{slug(doctype)}/{name}".rstrip("/")


@unittest.skipUnless(URL and SITE and BENCH, "needs a bench: make bench-test runs it")
class SiteCase(unittest.TestCase):
	"""A site with the sample companies, and a sandbox. What earlier tests left there is not due."""

	provider = "facturapi"
	mode = ""
	"""What the Point of Sale makes; by default what it makes in this version of ERPNext (see `sale_doctype`)."""

	@classmethod
	def setUpClass(cls):
		choices = bench("fiscal_integration.sample.till_doctypes")
		if cls.mode and cls.mode not in choices:
			raise unittest.SkipTest(f"this ERPNext's Point of Sale makes no {cls.mode}")
		cls.sale_doctype = cls.mode or choices[0]
		bench("fiscal_integration.sample.set_till_doctype", cls.sale_doctype)
		bench("fiscal_integration.sample.set_up_site")
		bench("fiscal_integration.sample.set_others_aside")
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)
		cls.key = cls.sandbox.secret_key(cls.provider)

	@classmethod
	def connect(cls, **values):
		"""Point the settings at this sandbox; `values` are fields of theirs, and `parameters`."""
		values = {"url": cls.sandbox.url("facturapi"), "secret_key": cls.key, **values}
		bench("fiscal_integration.sample.connect", **values)

	@staticmethod
	def sell(number=1, **values) -> list[str]:
		"""Sales at the till to walk-in customers, submitted."""
		return bench("fiscal_integration.sample.sell", number=number, **values)

	@staticmethod
	def sale(doctype="Sales Invoice", **values) -> str:
		"""A submitted sale as `values` want it."""
		return bench("fiscal_integration.sample.sale", doctype=doctype, **values)

	@staticmethod
	def draft(doctype=None, **values) -> str:
		"""A draft as `values` want it; without a `doctype`, of the till."""
		return bench("fiscal_integration.sample.draft", doctype=doctype, **values)

	@staticmethod
	def ensure_user(email, roles, password):
		bench("fiscal_integration.sample.ensure_user", email=email, roles=roles, password=password)

	def until(self, look, wanted, seconds=60):
		"""Wait until `look()` is `wanted`."""
		ends = time.monotonic() + seconds
		while (found := look()) != wanted and time.monotonic() < ends:
			time.sleep(0.3)
		self.assertEqual(found, wanted)

	def becomes(self, wanted, name, doctype=None, field="fiscal_status"):
		"""Wait until a field of a document is `wanted`: the fiscal status of a sale at the till, unless others are named."""
		self.until(lambda: self.value(doctype or self.sale_doctype, name, field), wanted)

	def ledger_of(self, name) -> list[dict]:
		"""What the sandbox has issued for an invoice."""
		ledger = self.sandbox.ledger(self.provider)
		return [entry for entry in ledger if (entry["external_id"] or "").startswith(f"{name}.")]


class DeskCase(SiteCase):
	"""A person's Desk in Chromium. The tests of a class build on each other, in the order of their names."""

	secrets: tuple[str, ...] = ()
	"""What no answer of the site may ever hold."""
	user, password = "Administrator", PASSWORD
	roles: tuple[str, ...] = ()
	"""Those of the user, who is made with them; an Administrator has none."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.playwright = sync_playwright().start()
		cls.addClassCleanup(cls.playwright.stop)
		browser = cls.playwright.chromium.launch(
			executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
		)
		cls.addClassCleanup(browser.close)
		cls.context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
		cls.page = cls.context.new_page()
		cls.page.set_default_timeout(PATIENCE)
		cls.answers, cls.errors = [], []
		# Playwright remembers a method on the class it belongs to, where a subclass would find its parent's.
		cls.page.on("response", lambda response: cls.keep(response))
		cls.page.on("pageerror", lambda error: cls.errors.append(str(error)))
		if cls.roles:
			cls.ensure_user(cls.user, cls.roles, cls.password)
		cls.log_in(cls.user, cls.password)

	@classmethod
	def keep(cls, response):
		"""Every answer of the site, to look for the secret in."""
		kind = response.headers.get("content-type", "")
		if "json" in kind or "html" in kind:
			try:
				cls.answers.append(response.text())
			except Exception:
				# A redirect or an answer that navigation threw away has no body to look at.
				return

	@classmethod
	def log_in(cls, user, password):
		"""As somebody; who was logged in before is not any more."""
		cls.context.clear_cookies()
		cls.page.goto(f"{URL}/login")
		cls.page.fill("#login_email", user)
		cls.page.fill("#login_password", password)
		cls.page.click(".btn-login:visible")
		cls.page.wait_for_url(re.compile("/(app|desk)"))

	# -- waiting -----------------------------------------------------------------------------------------

	def settle(self):
		"""Wait until the page has asked the site for nothing for half a second: Frappe's forms go on changing after
		they are drawn, and Playwright's own "networkidle" is once for each load of a page."""
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_function("() => window.frappe && window.$")
		self.page.evaluate("() => { window.busy_at = Date.now(); }")
		self.page.wait_for_function(
			"""() => {
				if ($.active) window.busy_at = Date.now();
				return Date.now() - window.busy_at > 500;
			}""",
			polling=50,
		)

	def form(self, doctype, name=None):
		"""Wait for the form of a document, or of a new one: the address changes before the form does."""
		self.page.wait_for_function(
			"""([doctype, name]) => window.cur_frm && cur_frm.doctype === doctype && cur_frm.doc
				&& (name ? cur_frm.doc.name === name : cur_frm.is_new()) && cur_frm.$wrapper.is(":visible")""",
			arg=[doctype, name],
		)
		self.settle()

	def modal(self, text=None):
		"""The dialog on top once it has faded in: before that it can be neither hidden nor photographed."""
		dialog = self.page.locator(".modal.show", has_text=text).last
		expect(dialog).to_be_visible()
		self.page.wait_for_function(
			"""() => $(".modal.show").get().every((modal) => {
				const shown = $(modal).data("bs.modal");
				return !shown || !shown._isTransitioning;
			})"""
		)
		return dialog

	def shot(self, name):
		if SHOTS:
			# What fades in or out has done so.
			self.page.wait_for_timeout(600)
			self.page.screenshot(path=f"{SHOTS}/{name}.png")

	# -- forms -------------------------------------------------------------------------------------------

	def open_form(self, doctype, name=None):
		"""The form of a document, or of a new one."""
		self.page.goto(address(doctype, name or "new"))
		self.form(doctype, name)

	def open_tab(self, doctype, name):
		"""The Fiscal tab of an invoice that has a fiscal document."""
		self.open_form(doctype, name)
		self.page.wait_for_selector(".fiscal-view", state="attached")
		self.page.get_by_role("tab", name="Fiscal", exact=True).click()
		expect(self.page.locator(".fiscal-view")).to_be_visible()

	def open_settings(self):
		self.page.goto(address(SETTINGS))
		self.connection_form(SETTINGS)

	def connection_form(self, doctype, name=None):
		"""Wait for the form of a connection, with what it draws itself."""
		self.form(doctype, SETTINGS if doctype == SETTINGS else name)
		self.page.wait_for_selector(".fiscal-status:visible")
		self.settle()

	def open_report(self, name, **filters):
		query = "&".join(f"{key}={value}" for key, value in filters.items())
		self.page.goto(f"{URL}/app/query-report/{name}?{query}")
		self.report(**filters)

	def report(self, **filters):
		"""Wait for what a report shows with these filters: what is drawn first may be without them."""
		self.page.wait_for_function(
			"""wanted => window.frappe && frappe.query_report && (frappe.query_report.data || []).length
				&& Object.entries(wanted).every(([key, value]) =>
					frappe.query_report.get_filter_value(key) === value
					&& frappe.query_report.data.every((row) => !(key in row) || row[key] === value))""",
			arg=filters,
		)
		self.page.wait_for_selector(".dt-scrollable .dt-row")
		self.settle()

	def press(self, label, group="Fiscal"):
		"""One of the buttons of a group, which are put there anew whenever the form is drawn."""
		shown = self.page.locator(
			f'.inner-group-button[data-label="{group.replace(" ", "%20")}"]:visible'
		).first
		entry = shown.locator(".dropdown-menu").get_by_text(label, exact=True).first
		for _attempt in range(3):
			if not entry.is_visible():
				shown.locator("button").first.click()
			with suppress(TimeoutError):
				return entry.click(timeout=PATIENCE / 3)
		raise AssertionError(f"{label} is not offered under {group}.")

	def menu(self, label):
		"""An entry of the page's menu."""
		self.page.locator(".menu-btn-group:visible button").first.click()
		entries = self.page.locator(".menu-btn-group:visible .dropdown-menu li:visible")
		entries.get_by_text(label, exact=True).first.click()

	def tick(self, names):
		"""Tick the rows of these documents in the list."""
		for name in names:
			row = self.page.locator(".list-row-container", has_text=name).first
			row.locator(".list-row-checkbox").first.check()

	def act(self, label):
		"""An entry of the list's Actions, which are there once rows are ticked."""
		self.page.locator(".actions-btn-group button:visible").first.click()
		self.page.locator(".actions-btn-group .dropdown-menu").get_by_text(label, exact=True).first.click()

	def confirm(self, text=None):
		"""Yes, or whatever the dialog's button says."""
		self.modal(text).locator(".btn-primary:visible").first.click()

	def close(self):
		"""Whatever dialog is open; what is still fading in cannot be hidden yet."""

		def left():
			self.page.evaluate("() => $('.modal.show').modal('hide')")
			return self.page.locator(".modal.show").count()

		self.until(left, 0)

	def dialog(self) -> str:
		"""What the message on the screen says, which is closed."""
		self.modal()
		text = self.page.locator(".modal.show .msgprint, .modal.show .modal-body").first.inner_text()
		self.close()
		return text

	def save(self):
		# Frappe never answers a save that has nothing to do or that a question of its own stops.
		self.page.evaluate(
			"""async () => {
				const pause = time => new Promise(done => setTimeout(done, time));
				if (document.activeElement) document.activeElement.blur();
				await pause(100);
				const saved = cur_frm.save().catch(() => null);
				await Promise.race([saved, pause(1500)]);
				for (let left = 120; left && cur_frm.is_dirty() && !$(".modal.show").length; left--)
					await Promise.race([saved, pause(100)]);
			}"""
		)
		self.settle()

	def primary(self, label):
		return self.page.locator(".page-actions .primary-action:visible", has_text=label)

	def submit(self, doctype=None, name=None) -> str:
		"""Press Submit, and Yes, on the form of a document, or on the one that is open. Returns its name.

		ERPNext's forms fill in fields when they open, some of them late, and ask to be saved first.
		"""
		if name:
			self.open_form(doctype, name)
		for _attempt in range(5):
			if self.primary("Save").count():
				self.save()
			with suppress(TimeoutError):
				self.primary("Submit").click(timeout=PATIENCE / 3)
				break
		self.confirm()
		return self.page.evaluate("() => cur_frm.doc.name")

	def cancel(self):
		"""Press Cancel on the form that is open, and Yes."""
		self.page.locator(".page-actions .btn-secondary:visible", has_text="Cancel").click()
		self.confirm()

	def set(self, **values):
		self.page.evaluate("values => cur_frm.set_value(values)", values)
		self.settle()

	def fill(self, key, value):
		"""Enter something, and leave the field."""
		field = self.page.locator(f'[data-fieldname="{key}"] input:visible').first
		field.fill(value)
		field.press("Tab")

	def parameter(self, key):
		return self.page.locator(f'[data-fieldname="parameters_html"] [data-fieldname="{key}"] input')

	def parameters(self) -> list[str]:
		"""Those that the form of the connection draws."""
		return self.page.eval_on_selector_all(
			'[data-fieldname="parameters_html"] .frappe-control',
			"controls => controls.map(control => control.dataset.fieldname)",
		)

	def ping(self) -> str:
		with self.page.expect_response(re.compile("fiscal_integration.api.ping")):
			self.page.click('button[data-fieldname="ping_server"]')
		self.settle()
		return self.page.locator(".fiscal-ping-result").inner_text()

	# -- looking -----------------------------------------------------------------------------------------

	def value(self, doctype, name, field):
		answer = self.context.request.get(f"{URL}/api/resource/{doctype}/{name}")
		return answer.json().get("data", {}).get(field)

	def rows(self, doctype, filters, *fields) -> list[dict]:
		"""What the site tells this user of a doctype, the newest first."""
		asked = {
			"filters": json.dumps(filters),
			"fields": json.dumps(fields or ["name"]),
			"order_by": "creation desc",
			"limit_page_length": "0",
		}
		return self.context.request.get(f"{URL}/api/resource/{doctype}", params=asked).json()["data"]

	def check_qr(self, code, shown="img.fiscal-qr"):
		"""A program that knows nothing of us reads the code off the screen."""
		if not shutil.which("zbarimg"):
			return
		with tempfile.TemporaryDirectory() as folder:
			path = str(Path(folder, "screen.png"))
			self.page.locator(shown).screenshot(path=path)
			read = subprocess.run(
				["zbarimg", "-q", "--raw", path], capture_output=True, text=True, check=False
			)
		self.assertIn(code, read.stdout)

	def fetch(self, label) -> str:
		"""Press a button that fetches a file of an invoice. Returns its address on the site."""
		with self.page.expect_response(re.compile("fiscal_integration.api.fetch_file")) as answer:
			self.press(label)
		return answer.value.json()["message"]

	def no_secret_and_no_script_error(self):
		self.assertGreater(len(self.answers), 20)
		for answer in self.answers:
			for secret in (*self.secrets, self.key):
				self.assertNotIn(secret, answer)
		self.assertEqual([error for error in self.errors if "fiscal" in error.lower()], [])
