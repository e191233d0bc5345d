"""The app itself on a fresh site: installing, migrating, uninstalling, and one sale through a real worker."""

import tempfile
import time
import unittest
from pathlib import Path

import frappe

import embedded


class TestApp(unittest.TestCase):
	def setUp(self):
		if getattr(frappe.local, "db", None):
			outer = f"{frappe.local.sites_path}/{frappe.local.site}"
			self.addCleanup(self.go_back, outer)
		folder = tempfile.TemporaryDirectory()
		self.addCleanup(folder.cleanup)
		self.addCleanup(frappe.destroy)
		self.folder = Path(folder.name)

	@staticmethod
	def go_back(outer):
		embedded.site.connect(outer)
		frappe.flags.in_test = True

	def site(self, **config):
		path = embedded.site.create(self.folder / "app.localhost", config=config)
		embedded.site.connect(path)
		return path

	def traces(self):
		"""What the app has put on the site."""
		found = {f"Role {role}" for role in frappe.get_all("Role", pluck="name") if role.startswith("Fiscal")}
		found |= {
			f"Field {name}" for name in frappe.get_all("Custom Field", pluck="name") if "fiscal_" in name
		}
		found |= {
			f"DocType {name}"
			for name in frappe.get_all("DocType", filters={"module": "Fiscal Integration"}, pluck="name")
		}
		return found

	def test_install_migrate_uninstall_install(self):
		path = self.site()
		installed = self.traces()
		self.assertIn("Role Fiscal Manager", installed)
		self.assertIn("DocType Fiscal Document", installed)
		self.assertIn("Field POS Invoice-fiscal_id", installed)
		for step, expected in (
			(lambda: embedded.site.migrate(path), installed),
			(lambda: embedded.site.uninstall_app(path, "fiscal_integration"), set()),
			(lambda: embedded.site.install_app(path, "fiscal_integration"), installed),
		):
			frappe.destroy()
			step()
			embedded.site.connect(path)
			self.assertEqual(self.traces(), expected)

	def test_a_sale_through_redis_and_a_worker_process(self):
		from embedded import worker
		from fiscal_integration import dispatch, sample
		from fiscal_integration.sandbox import Sandbox

		redis = embedded.redis.start()
		self.addCleanup(redis.stop)
		path = self.site(redis_queue=redis.url, redis_cache=redis.url)
		with Sandbox() as sandbox:
			sample.set_up_site()
			sample.connect(sandbox.url("facturapi"), sandbox.secret_key("facturapi"))
			doc = sample.invoice()
			frappe.db.commit()
			process = worker.start(path, burst=True)
			process.wait(60)
			deadline = time.monotonic() + 10
			while time.monotonic() < deadline:
				frappe.db.rollback()
				row = dispatch.find(doc.doctype, doc.name)
				if row.status == "Issued":
					break
				time.sleep(0.1)
			self.assertEqual(row.status, "Issued", row.error_message)
			(issued,) = sandbox.ledger("facturapi")
			self.assertEqual(issued["uuid"], row.fiscal_id)
