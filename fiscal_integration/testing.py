"""What the tests of the app share: the sample company, a sandbox of their own, and turning time."""

import threading
import unittest
from contextlib import suppress
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, now_datetime
from frappe.utils.background_jobs import get_redis_conn

try:
	from frappe.tests import IntegrationTestCase as FrappeTestCase
except ImportError:  # before Frappe 16
	from frappe.tests.utils import FrappeTestCase

from fiscal_integration import circuit, connection, dispatch, sample
from fiscal_integration.connection import SETTINGS
from fiscal_integration.sandbox import Sandbox

MIGHTY = "Administrator"
MAIL_ACCOUNT = sample.MAIL_ACCOUNT


class FiscalTestCase(FrappeTestCase):
	"""A site with the sample company, connected to a sandbox. Jobs run when a test says so.

	With another `provider` the sample company of its country is beside it, with an account of its own. `mode` is the
	doctype that the Point of Sale makes, by default that of ERPNext's version; `sale_doctype` tells which that is.
	"""

	provider = "facturapi"
	shop = sample.MEXICO
	mode = ""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user(MIGHTY)
		sample.set_up_site()
		choices = sample.till_doctypes()
		if cls.mode and cls.mode not in choices:
			raise unittest.SkipTest(f"this ERPNext's Point of Sale makes no {cls.mode}")
		cls.sale_doctype = cls.mode or choices[0]
		sample.set_till_doctype(cls.sale_doctype)
		cls.addClassCleanup(sample.set_till_doctype, choices[0])
		sample.open_till()
		if cls.shop is not sample.MEXICO:
			sample.set_up_shop(cls.shop)
			sample.open_till(shop=cls.shop)
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)
		cls.addClassCleanup(cls.switch_off)
		cls.secret_key = cls.sandbox.secret_key("facturapi")
		frappe.db.commit()

	@staticmethod
	def switch_off():
		frappe.db.rollback()
		frappe.db.set_single_value(SETTINGS, "enabled", 0)
		frappe.clear_document_cache(SETTINGS, SETTINGS)
		frappe.db.commit()

	def setUp(self):
		super().setUp()
		frappe.set_user(MIGHTY)
		self.sandbox.reset()
		self.forget_tokens()
		self.connect()
		if self.shop is not sample.MEXICO:
			self.connect_account()
		self.close_circuits()
		# A worker that happens to serve this site must not take what a test is about to look at.
		self.queued = []
		queue = patch.object(dispatch, "enqueue", side_effect=self.queued.append)
		queue.start()
		self.addCleanup(queue.stop)
		self.addCleanup(frappe.set_user, MIGHTY)
		self.addCleanup(frappe.db.rollback)

	@staticmethod
	def close_circuits():
		"""What earlier tests saw of a provider is forgotten."""
		for record in connection.enabled_records():
			circuit.succeeded(circuit.source_of(record))

	@staticmethod
	def forget_tokens():
		"""A sandbox that was reset knows none of the tokens that it gave."""
		with suppress(Exception):
			redis = get_redis_conn()
			for key in redis.keys("fiscal_token|*"):
				redis.delete(key)

	def connect(self, **values):
		return sample.connect(
			self.sandbox.url("facturapi"), values.pop("secret_key", self.secret_key), **values
		)

	def connect_account(self, **values):
		key = values.pop("secret_key", self.sandbox.secret_key(self.provider))
		declared = connection.providers()[self.provider].parameters
		values["parameters"] = {
			# What another test entered does not stay.
			**{parameter.key: parameter.default for parameter in declared if not parameter.secret},
			**self.sandbox.parameters(self.provider),
			**values.get("parameters", {}),
		}
		return sample.connect_account(
			self.shop, self.provider, self.sandbox.url(self.provider), key, **values
		)

	def sell(self, **values):
		"""A committed, submitted invoice and its Fiscal Document (None when it has none)."""
		doc = sample.invoice(**{"shop": self.shop, **values})
		frappe.db.commit()
		return doc, dispatch.find(doc.doctype, doc.name)

	def have_mail_account(self, there: bool = True):
		"""Give the site an account to send e-mail from, or none, until the test ends. A new site has none, and Frappe
		refuses every mail then."""
		before = frappe.get_all("Email Account", {"default_outgoing": 1}, pluck="name")
		if not frappe.db.exists("Email Account", MAIL_ACCOUNT):
			sample.make_mail_account()
			self.addCleanup(frappe.db.commit)
			self.addCleanup(frappe.db.delete, "Email Account", {"name": MAIL_ACCOUNT})

		def choose(names):
			frappe.db.set_value("Email Account", {"default_outgoing": 1}, "default_outgoing", 0)
			frappe.db.set_value("Email Account", {"name": ("in", names)}, "default_outgoing", 1)
			frappe.db.commit()
			# Frappe remembers the account for as long as a request lasts.
			if hasattr(frappe.local, "outgoing_email_account"):
				del frappe.local.outgoing_email_account

		self.addCleanup(choose, before or ["none"])
		choose([MAIL_ACCOUNT] if there else ["none"])

	def where_tills_make(self, doctype: str):
		"""Skip a test that is about the other kind of till."""
		if self.sale_doctype != doctype:
			self.skipTest(f"the Point of Sale makes {self.sale_doctype}s here")

	def run_job(self, row):
		"""The row after its job ran."""
		dispatch.process(row.name)
		return self.fresh(row)

	def fresh(self, row):
		frappe.db.rollback()
		return frappe.get_doc(dispatch.DOCTYPE, row.name)

	@staticmethod
	def start_workers(*lots) -> list[threading.Thread]:
		"""Threads that process these lots of Fiscal Documents (by name) at once, each with its own connection."""
		site, path = frappe.local.site, frappe.local.sites_path
		start = threading.Barrier(len(lots))

		def work(names):
			frappe.init(site, sites_path=path)
			frappe.connect()
			try:
				start.wait(10)
				for name in names:
					dispatch.process(name)
			finally:
				frappe.destroy()

		workers = [threading.Thread(target=work, args=(names,)) for names in lots]
		for worker in workers:
			worker.start()
		return workers

	@staticmethod
	def set_others_aside():
		"""What other tests left to be sent is not due, and on no device, for this one."""
		sample.set_others_aside()

	def turn_time(self, row, seconds: float = 0):
		"""As if the row's waits were over, and it had last been sent `seconds` earlier."""
		row = self.fresh(row)
		values = {"next_attempt": add_to_date(now_datetime(), seconds=-1), "lease_until": None}
		if seconds and row.sent_at:
			values["sent_at"] = add_to_date(row.sent_at, seconds=-seconds)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, values, update_modified=False)
		frappe.db.commit()

	def issued_for(self, row) -> list[dict]:
		"""What the sandbox really issued for the row."""
		return [
			entry
			for entry in self.sandbox.ledger(self.provider)
			if entry["external_id"] == row.external_reference and entry["status"] == "valid"
		]

	def requests_to(self, operation_path: str, method="POST") -> list[dict]:
		return [
			request
			for request in self.sandbox.requests(self.provider)
			if request["method"] == method and request["path"] == operation_path
		]
