"""RQ workers for a site's queues: in this process, or as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import redis
from rq import Queue, SimpleWorker, Worker

ROOT = Path(__file__).resolve().parent.parent


def run(path, queues=("short", "default", "long"), burst=False, fork=True, logging_level="INFO"):
	"""Work until told to stop; with burst until the queues are empty. Forks per job unless told not to."""
	import frappe
	from frappe.utils.background_jobs import generate_qname

	from embedded import sites

	sites.connect(path)
	url = frappe.local.conf.get("redis_queue")
	frappe.destroy()
	if not url:
		raise SystemExit("redis_queue is not set in site_config.json")
	connection = redis.Redis.from_url(url)
	names = [Queue(generate_qname(q), connection=connection) for q in queues]
	worker = (Worker if fork else SimpleWorker)(names, connection=connection)
	return worker.work(burst=burst, logging_level=logging_level)


def start(path, queues=("short", "default", "long"), burst=False, quiet=True) -> subprocess.Popen:
	"""A worker process of its own; end it with terminate() and wait()."""
	command = [sys.executable, "-m", "embedded", "worker", "--site", str(path), "--queue", ",".join(queues)]
	if burst:
		command.append("--burst")
	paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
	environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
	output = subprocess.DEVNULL if quiet else None
	return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=output, stderr=output)
