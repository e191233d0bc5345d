"""What the browser's tests share: a logged-in Desk, a sandbox, and ways to drive forms."""

import json
import os
import re
import shutil
import subprocess
import unittest

from playwright.sync_api import expect, sync_playwright

from fiscal_integration.sandbox import Sandbox

URL = os.environ.get("FISCAL_SITE_URL", "")
SITE = os.environ.get("FISCAL_SITE", "")
BENCH = os.environ.get("FISCAL_BENCH_PATH", "")
SHOTS = os.environ.get("FISCAL_SHOTS", "")
PASSWORD = os.environ.get("FISCAL_ADMIN_PASSWORD", "admin")
PATIENCE = 30_000
expect.set_options(timeout=15_000)
WRONG_KEY = "sk_test_Wrong000000000000"
SETTINGS = "/app/fiscal-integration-settings"


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
		found = method(*eval(ask["args"]), **eval(ask["kwargs"]))
		frappe.db.commit()
		answer = {"found": found if isinstance(found, str) else json.dumps(found, default=str)}
	except Exception:
		answer = {"error": traceback.format_exc()}
	finally:
		frappe.destroy()
	print(json.dumps(answer), file=answers, flush=True)
"""
_processes = []


def bench(command: str, method: str, *options) -> str:
	"""`bench execute` on the site: what the method returned, as text or as JSON."""
	assert command == "execute"
	given = dict(zip(options[::2], options[1::2], strict=True))
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
	ask = {"method": method, "args": given.get("--args", "()"), "kwargs": given.get("--kwargs", "{}")}
	_processes[0].stdin.write(json.dumps(ask) + "\n")
	_processes[0].stdin.flush()
	answer = json.loads(_processes[0].stdout.readline() or '{"error": "the process ended"}')
	if "error" in answer:
		raise AssertionError(f"{method}: {answer['error'][-2000:]}")
	return answer["found"]


@unittest.skipUnless(URL and SITE and BENCH, "needs a bench: make bench-test runs it")
class DeskCase(unittest.TestCase):
	"""Administrator's Desk in Chromium. The tests of a class build on each other, in the order of their names."""

	secrets: tuple[str, ...] = ()
	"""What no answer of the site may ever hold."""

	@classmethod
	def setUpClass(cls):
		bench("execute", "fiscal_integration.sample.set_up_site")
		bench("execute", "fiscal_integration.sample.set_others_aside")
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)
		cls.key = cls.sandbox.secret_key("facturapi")
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
		cls.page.on("response", cls.keep)
		cls.page.on("pageerror", lambda error: cls.errors.append(str(error)))
		cls.log_in()

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
	def log_in(cls):
		cls.page.goto(f"{URL}/login")
		cls.page.fill("#login_email", "Administrator")
		cls.page.fill("#login_password", PASSWORD)
		cls.page.click(".btn-login:visible")
		cls.page.wait_for_url(re.compile("/app"))

	def shot(self, name):
		if SHOTS:
			self.page.screenshot(path=f"{SHOTS}/{name}.png")

	def open_settings(self):
		self.page.goto(URL + SETTINGS)
		self.page.wait_for_selector(".fiscal-status")
		self.page.wait_for_load_state("networkidle")

	def save(self):
		# Frappe never answers a save that has nothing to do or that a question of its own stops.
		self.page.evaluate(
			"""async () => {
				const pause = time => new Promise(done => setTimeout(done, time));
				if (document.activeElement) document.activeElement.blur();
				await pause(100);
				const saved = cur_frm.save().catch(() => null);
				await Promise.race([saved, pause(1500)]);
				if (cur_frm.is_dirty()) await Promise.race([saved, pause(12000)]);
			}"""
		)
		self.page.wait_for_load_state("networkidle")

	def set(self, **values):
		self.page.evaluate("values => cur_frm.set_value(values)", values)
		self.page.wait_for_load_state("networkidle")

	def parameter(self, key):
		return self.page.locator(f'[data-fieldname="parameters_html"] [data-fieldname="{key}"] input')

	def dialog(self) -> str:
		message = self.page.locator(".modal.show .msgprint, .modal.show .modal-body").first
		expect(message).to_be_visible()
		text = message.inner_text()
		# Bootstrap ignores a wish to hide what is still fading in.
		self.page.wait_for_timeout(600)
		self.page.evaluate("() => $('.modal.show').modal('hide')")
		expect(self.page.locator(".modal.show")).to_have_count(0)
		return text

	def submit(self, name):
		"""Press Submit on a POS Invoice's form, and Yes.

		ERPNext's form fills in fields when it opens, and so asks to be saved first.
		"""
		self.page.goto(f"{URL}/app/pos-invoice/{name}")
		self.page.wait_for_selector(".page-actions .primary-action:visible")
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(1000)
		save = self.page.locator(".page-actions .primary-action:visible", has_text="Save")
		if save.count():
			save.click()
		self.page.locator(".page-actions .primary-action:visible", has_text="Submit").click()
		self.page.locator(".modal.show .btn-primary:visible").click()

	def until(self, look, wanted, seconds=30):
		"""Wait until `look()` is `wanted`."""
		found = None
		for _attempt in range(seconds * 2):
			found = look()
			if found == wanted:
				return
			self.page.wait_for_timeout(500)
		self.assertEqual(found, wanted)

	def value(self, doctype, name, field):
		answer = self.context.request.get(f"{URL}/api/resource/{doctype}/{name}")
		return answer.json().get("data", {}).get(field)

	def no_secret_and_no_script_error(self):
		self.assertGreater(len(self.answers), 20)
		for answer in self.answers:
			for secret in (*self.secrets, self.key):
				self.assertNotIn(secret, answer)
		self.assertEqual([error for error in self.errors if "fiscal" in error.lower()], [])

	def ping(self) -> str:
		with self.page.expect_response(re.compile("fiscal_integration.api.ping")):
			self.page.click('button[data-fieldname="ping_server"]')
		self.page.wait_for_load_state("networkidle")
		self.page.wait_for_timeout(700)
		return self.page.locator(".fiscal-ping-result").inner_text()
