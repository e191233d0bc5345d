"""The sandbox's HTTP server: routes to the emulators by the first part of the path."""

import contextlib
import html
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from fiscal_integration.sandbox.aludra import AludraEmulator
from fiscal_integration.sandbox.conteo import ConteoEmulator
from fiscal_integration.sandbox.facturafacil import FacturaFacilEmulator
from fiscal_integration.sandbox.facturapi import FacturapiEmulator
from fiscal_integration.sandbox.fiskaly import FiskalyEmulator
from fiscal_integration.sandbox.hka import HkaEmulator
from fiscal_integration.sandbox.kernel import FAULTS, Answer, Clock, Drop, Emulator, Fault

EMULATORS: tuple[type[Emulator], ...] = (
	FacturapiEmulator,
	ConteoEmulator,
	FacturaFacilEmulator,
	HkaEmulator,
	AludraEmulator,
	FiskalyEmulator,
)
NOTICE = "SANDBOX: nothing here has fiscal validity"
MAX_BODY = 10 * 1024 * 1024
TICK_SECONDS = 1


class Sandbox:
	"""All emulators behind one port of the loopback interface.

	`port` 0 takes a free one; `state_file` keeps what was issued over restarts. Use it as a context manager,
	or call start() and stop().
	"""

	def __init__(self, port: int = 0, state_file: str | None = None):
		self.clock = Clock()
		self._woken = threading.Event()
		self.emulators = {cls.key: cls(self.clock, self._sleep) for cls in EMULATORS}
		self.state_file = Path(state_file) if state_file else None
		self._load()
		self._server = None
		self.port = port

	def _sleep(self, seconds: float):
		self._woken.wait(seconds)

	# -- running -----------------------------------------------------------------------------------------

	def start(self):
		self._woken.clear()
		self._listen()
		threading.Thread(target=self._tick, daemon=True).start()
		return self

	def _tick(self):
		while not self._woken.wait(TICK_SECONDS):
			self.tick()

	def tick(self):
		"""Let what happens by itself happen: webhooks that are due."""
		for emulator in self.emulators.values():
			emulator.tick()

	def stop(self):
		self._woken.set()
		self._close()
		self._save()

	def __enter__(self):
		return self.start()

	def __exit__(self, *_):
		self.stop()

	def _listen(self):
		server = _Server(("127.0.0.1", self.port), _Handler)
		server.sandbox = self
		self.port = server.server_address[1]
		self._server = server
		threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

	def _close(self):
		server, self._server = self._server, None
		if server:
			server.shutdown()
			server.server_close()

	def refuse(self):
		"""Stop listening: connections are refused until `resume`."""
		self._close()

	def resume(self):
		if not self._server:
			self._listen()

	# -- what tests and demos ask ------------------------------------------------------------------------

	def url(self, provider: str) -> str:
		"""The server URL to enter in the settings."""
		return f"http://127.0.0.1:{self.port}/{provider}{self.emulators[provider].base}"

	def secret_key(self, provider: str, live: bool = False) -> str:
		return self.emulators[provider].secret_key(live)

	def parameters(self, provider: str, live: bool = False) -> dict[str, str]:
		"""The provider's other parameters that the sandbox wants, secrets included."""
		return self.emulators[provider].parameters(live)

	def ledger(self, provider: str) -> list[dict]:
		return self.emulators[provider].ledger()

	def requests(self, provider: str) -> list[dict]:
		return list(self.emulators[provider].requests)

	def set_option(self, provider: str, **options):
		self.emulators[provider].options.update(options)

	def fault(
		self, provider: str, kind: str, times: int = 1, operation: str = "issue", match: str = "", **options
	):
		"""Order a fault; see kernel.FAULTS. They befall requests in the order in which they were ordered."""
		if kind not in FAULTS:
			raise ValueError(f"{kind} is no fault. There are: {', '.join(FAULTS)}")
		if kind == "refuse":
			return self.refuse()
		emulator = self.emulators[provider]
		with emulator.lock:
			emulator.faults.append(Fault(kind, operation, times, match, options))

	def deliveries(self, provider: str) -> list[dict]:
		"""The webhooks of a provider: url, body, the HTTP status of each attempt (0: nobody answered)."""
		return list(self.emulators[provider].deliveries)

	def advance(self, seconds: float):
		self.clock.advance(seconds)
		self.tick()

	def reset(self):
		self.clock.offset *= 0
		for emulator in self.emulators.values():
			emulator.reset()
		self.resume()

	# -- over HTTP ---------------------------------------------------------------------------------------

	def control(self, method: str, path: str, query: dict, body: bytes) -> Answer:
		"""`/_control/…`, for other processes: ledger, requests, deliveries, stats, options, faults, clock, reset."""
		parts = path.strip("/").split("/")[1:]
		what, provider = (*parts, "", "")[:2]
		if what == "clock" and method == "POST":
			self.advance(float(json.loads(body)["seconds"]))
			return Answer(200, {"now": self.clock.now().isoformat()})
		if what == "reset" and method == "POST":
			self.reset()
			return Answer(200, {"ok": True})
		if provider in self.emulators:
			emulator = self.emulators[provider]
			if what == "ledger" and method == "GET":
				return Answer(200, emulator.ledger())
			if what == "requests" and method == "GET":
				return Answer(200, list(emulator.requests))
			if what == "deliveries" and method == "GET":
				return Answer(200, self.deliveries(provider))
			if what == "stats" and method == "GET":
				return Answer(
					200, {"max_in_flight": emulator.max_in_flight, "issued": len(emulator.ledger())}
				)
			if what == "options" and method == "POST":
				self.set_option(provider, **json.loads(body))
				return Answer(200, {"ok": True})
			if what == "faults" and method == "POST":
				try:
					self.fault(provider, **json.loads(body))
				except (TypeError, ValueError) as error:
					return Answer(400, {"ok": False, "message": str(error)})
				return Answer(200, {"ok": True})
			if what == "faults" and method == "GET":
				return Answer(200, [vars(fault) for fault in emulator.faults])
		return Answer(404, {"ok": False, "message": f"No control of the name {path}"})

	def page(self) -> Answer:
		"""What was issued, as a page for trainees."""
		rows = []
		for key, emulator in self.emulators.items():
			for entry in reversed(emulator.ledger()):
				cells = (
					key,
					*(
						entry.get(name)
						for name in ("external_id", "type", "total", "currency", "status", "uuid")
					),
				)
				rows.append(
					"<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"
				)
		body = (
			f"<!doctype html><meta charset=utf-8><title>Fiscal sandbox</title><h1>{NOTICE}</h1>"
			"<table border=1 cellpadding=4><tr><th>Provider<th>Reference<th>Type<th>Total<th>Currency<th>Status"
			f"<th>Fiscal id</tr>{''.join(rows)}</table>"
		)
		return Answer(200, body, content_type="text/html; charset=utf-8")

	def dispatch(self, method: str, target: str, headers: dict, body: bytes) -> Answer:
		parts = urlsplit(target)
		query = parse_qs(parts.query, keep_blank_values=True)
		if parts.path == "/":
			return self.page()
		if parts.path.startswith("/_control/"):
			return self.control(method, parts.path, query, body)
		key, _, rest = parts.path.lstrip("/").partition("/")
		emulator = self.emulators.get(key)
		if not emulator:
			return Answer(404, {"ok": False, "message": f"The sandbox has no provider {key}"})
		record = {
			"method": method,
			"path": "/" + rest,
			"query": query,
			"headers": headers,
			"body": body.decode(errors="replace"),
			"status": None,
		}
		emulator.requests.append(record)
		answer = emulator.handle(method, "/" + rest, query, headers, body)
		record["status"] = answer.status
		if method != "GET":
			self._save()
		return answer

	# -- state -------------------------------------------------------------------------------------------

	def _save(self):
		if self.state_file:
			state = {key: emulator.dump() for key, emulator in self.emulators.items()}
			new = self.state_file.with_suffix(".new")
			new.write_text(json.dumps(state))
			new.replace(self.state_file)

	def _load(self):
		if self.state_file and self.state_file.exists():
			for key, state in json.loads(self.state_file.read_text()).items():
				if key in self.emulators:
					self.emulators[key].load(state)


class _Server(ThreadingHTTPServer):
	daemon_threads = True
	allow_reuse_address = True
	request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
	protocol_version = "HTTP/1.1"
	timeout = 30

	def _serve(self):
		length = int(self.headers.get("Content-Length") or 0)
		if length > MAX_BODY:
			self.close_connection = True
			return self._send(Answer(413, {"ok": False, "status": 413, "code": "payload_too_large"}))
		body = self.rfile.read(length)
		try:
			answer = self.server.sandbox.dispatch(self.command, self.path, dict(self.headers.items()), body)
		except Drop:
			self.close_connection = True
			with contextlib.suppress(OSError):
				self.connection.shutdown(socket.SHUT_RDWR)
			return
		self._send(answer)

	def _send(self, answer: Answer):
		content = answer.body
		if isinstance(content, dict | list):
			content = json.dumps(content, ensure_ascii=False)
		if isinstance(content, str):
			content = content.encode()
		with contextlib.suppress(BrokenPipeError, ConnectionResetError):
			self.send_response(answer.status)
			self.send_header("Content-Type", answer.content_type)
			self.send_header("Content-Length", str(len(content)))
			self.send_header("X-Fiscal-Sandbox", "1")
			for name, value in answer.headers.items():
				self.send_header(name, str(value))
			self.end_headers()
			self.wfile.write(content)

	do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

	def log_message(self, *_):
		pass
