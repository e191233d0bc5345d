"""Where the chaos takes place: an embedded site, or a real bench. The app's code is the same on both."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Ground:
	"""A site with its Redis and its workers, and the ways to harm them."""

	name = ""
	pause = (0.05, 0.3)
	"""Seconds between the blows: a worker of a bench takes longer to come back."""
	worker_command: tuple[str, ...] = ()
	cwd = ROOT

	def connect(self):
		raise NotImplementedError

	def sell_command(self) -> list[str]:
		"""How a seller's process is told which ground it stands on."""
		raise NotImplementedError

	def redis_urls(self) -> list[str]:
		import frappe

		return list({url for key in ("redis_queue", "redis_cache") if (url := frappe.local.conf.get(key))})

	def flush_redis(self):
		import redis

		for url in self.redis_urls():
			redis.Redis.from_url(url).flushall()

	def drop_database(self):
		"""Break the database under whoever uses it now. Returns False where nothing was there to break."""
		raise NotImplementedError

	def start_worker(self) -> subprocess.Popen:
		return subprocess.Popen(
			self.worker_command,
			cwd=self.cwd,
			env=self.environment(),
			stdout=subprocess.DEVNULL,
			stderr=subprocess.DEVNULL,
			start_new_session=True,
		)

	def environment(self) -> dict:
		return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}

	@staticmethod
	def kill(worker: subprocess.Popen):
		"""The worker and the job it forked, without a chance to tidy up."""
		with suppress(ProcessLookupError):
			os.killpg(worker.pid, signal.SIGKILL)
		worker.wait(10)


class Embedded(Ground):
	name = "embedded site"

	def __init__(self, path: str):
		self.path = path
		self.worker_command = (sys.executable, "-m", "embedded", "worker", "--site", path)

	@classmethod
	def create(cls, folder: Path):
		import embedded

		redis = embedded.redis.start()
		path = embedded.site.create(
			folder / "chaos.localhost",
			config={"redis_queue": redis.url, "redis_cache": redis.url, "lock_timeout": 3},
		)
		ground = cls(path)
		ground.redis = redis
		return ground

	def connect(self):
		import embedded

		embedded.site.connect(self.path)

	def sell_command(self):
		return ["--embedded", self.path]

	def drop_database(self):
		"""SQLite has no connection to lose: it is locked for longer than anybody waits."""
		import sqlite3

		connection = sqlite3.connect(os.path.join(self.path, "site.db"), timeout=1, isolation_level=None)
		try:
			connection.execute("begin immediate")
			time.sleep(3.5)
			connection.execute("rollback")
		except sqlite3.OperationalError:
			return False
		finally:
			connection.close()
		return True


class Bench(Ground):
	name = "bench"
	pause = (0.8, 2.0)

	def __init__(self, path: str, site: str):
		self.path, self.site = Path(path), site
		self.cwd = self.path / "sites"
		self.worker_command = (
			sys.executable,
			"-m",
			"frappe.utils.bench_helper",
			"frappe",
			"worker",
			"--queue",
			"short,default,long",
		)

	def connect(self):
		import frappe

		os.chdir(self.cwd)
		frappe.init(site=self.site)
		frappe.connect()
		frappe.set_user("Administrator")

	def sell_command(self):
		return ["--bench", str(self.path), "--site", self.site]

	def drop_database(self):
		"""KILL every connection of the site but this one."""
		import frappe

		frappe.db.rollback()
		(own,) = frappe.db.sql("select connection_id()", pluck=True)
		others = [row.Id for row in frappe.db.sql("show processlist", as_dict=True) if row.Id != own]
		for number in others:
			with suppress(Exception):
				frappe.db.sql(f"kill {int(number)}")
		return bool(others)
