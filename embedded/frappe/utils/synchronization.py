"""A lock between processes of one machine."""

import contextlib
import fcntl
import os
import time


class LockTimeoutError(Exception):
	"""The lock was not free in time."""


@contextlib.contextmanager
def filelock(lock_name: str, *, timeout=30, is_global=False):
	import frappe

	folder = os.path.join(frappe.local.sites_path if is_global else frappe.local.site_path, "locks")
	os.makedirs(folder, exist_ok=True)
	with open(os.path.join(folder, f"{lock_name}.lock"), "w") as handle:
		deadline = time.monotonic() + timeout
		while True:
			try:
				fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
				break
			except OSError:
				if time.monotonic() >= deadline:
					raise LockTimeoutError(lock_name) from None
				time.sleep(0.05)
		yield
