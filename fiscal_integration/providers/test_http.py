import contextlib
import socket
import threading
import time
import unittest
from pathlib import Path
from unittest.mock import patch

from fiscal_integration.providers.http import (
	AnswerLost,
	HttpClient,
	NotAllowed,
	NotSent,
	Response,
	check_url,
	refusal,
)


@contextlib.contextmanager
def server(answer: bytes, count=None, pause=0.0):
	"""A server that reads one request a connection and sends `answer`, byte by byte with `pause` seconds between."""
	listener = socket.create_server(("127.0.0.1", 0))
	listener.settimeout(5)

	def serve():
		with contextlib.suppress(OSError):
			while True:
				connection, _ = listener.accept()
				with connection:
					connection.recv(65536)
					if count is not None:
						count.append(1)
					if answer is None:
						threading.Event().wait(1.5)
					elif pause:
						for byte in answer:
							connection.sendall(bytes([byte]))
							time.sleep(pause)
					else:
						connection.sendall(answer)

	thread = threading.Thread(target=serve, daemon=True)
	thread.start()
	try:
		yield f"http://127.0.0.1:{listener.getsockname()[1]}"
	finally:
		listener.close()


def http(body: bytes, status="200 OK", headers="") -> bytes:
	return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class TestHttpClient(unittest.TestCase):
	def setUp(self):
		self.exchanges = []
		self.client = HttpClient(
			self.exchanges.append, "X-Log-Id", loopback=True, read_seconds=0.5, total_seconds=3
		)

	def post(self, url, **request):
		return self.client.request("issue", "POST", url, body="{}", **request)

	def test_an_answer(self):
		with server(http(b'{"ok": true}', headers="X-Log-Id: 77\r\nRetry-After: 3\r\n")) as url:
			answer = self.post(url)
		self.assertEqual((answer.status, answer.json(), answer.retry_after), (200, {"ok": True}, 3.0))
		(exchange,) = self.exchanges
		self.assertEqual(
			(exchange.status, exchange.correlation_id, exchange.request_body), (200, "77", b"{}")
		)
		self.assertGreater(exchange.duration, 0)

	def test_refused_connection_was_not_sent(self):
		with socket.create_server(("127.0.0.1", 0)) as taken:
			port = taken.getsockname()[1]
		with self.assertRaises(NotSent):
			self.post(f"http://127.0.0.1:{port}/")
		self.assertEqual(len(self.exchanges), 1)
		self.assertTrue(self.exchanges[0].error)

	def test_unknown_host_was_not_sent(self):
		with self.assertRaises(NotSent):
			self.post("https://no-such-host.invalid/")

	def test_no_answer_in_time_may_have_been_processed(self):
		with server(None) as url, self.assertRaises(AnswerLost):
			self.post(url)

	def test_closed_without_an_answer_may_have_been_processed_and_is_not_sent_again(self):
		count = []
		with server(b"", count) as url, self.assertRaises(AnswerLost):
			self.post(url)
		self.assertEqual(len(count), 1)

	def test_half_an_answer_is_none(self):
		with server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") as url, self.assertRaises(AnswerLost):
			self.post(url)

	def test_garbage_instead_of_http(self):
		with server(b"\x00\x01\x02\r\n\r\n") as url, self.assertRaises(AnswerLost):
			self.post(url)

	def test_a_server_that_dribbles_is_cut_off_in_time(self):
		"""Each byte starts the socket's own time limit anew; the whole request has one that nothing extends."""
		body = b"x" * 2000
		for name, answer in (
			("headers", b"HTTP/1.1 200 OK\r\nX-Long: " + body),
			("body", http(body)),
			("body without a length", b"HTTP/1.1 200 OK\r\n\r\n" + body),
			("chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 400),
		):
			client = HttpClient(self.exchanges.append, loopback=True, read_seconds=0.5, total_seconds=0.6)
			with self.subTest(name), server(answer, pause=0.05) as url:
				started = time.monotonic()
				with self.assertRaises(AnswerLost):
					client.request("issue", "POST", url, body="{}")
				self.assertLess(time.monotonic() - started, 2)
				self.assertIn("0.6 s", self.exchanges[-1].error)

	def test_how_long_to_wait(self):
		for asked, seconds in (
			("3", 3.0), ("0.5", 0.5), ("-4", 0.0), ("1e9", 86400.0), ("inf", 86400.0), ("nan", None), ("soon", None),
			("", None), ("Wed, 25 Nov 2026 10:00:30 GMT", 30.0), ("Wed, 25 Nov 2026 09:00:00 GMT", 0.0),
			("Fri, 25 Dec 2026 10:00:00 GMT", 86400.0), ("Wed, 99 Nov 2026 10:00:00 GMT", None),
		):  # fmt: skip
			with self.subTest(asked=asked):
				headers = {"date": "Wed, 25 Nov 2026 10:00:00 GMT", "retry-after": asked}
				self.assertEqual(Response(429, headers, b"").retry_after, seconds)

	def test_hostile_json_is_no_answer_or_a_harmless_one(self):
		for body in (
			b"[" * 200_000, b'{"a":' * 200_000, b'{"total": NaN}', b'{"total": -Infinity}', b'{"n": ' + b"9" * 5000 + b"}",
			b'{"a": "\xff"}', b"\x00",
		):  # fmt: skip
			with self.subTest(body=body[:20]):
				answer = Response(200, {}, body).json()
				self.assertTrue(answer is None or all(isinstance(value, int) for value in answer.values()))
		answer = Response(200, {}, rb'{"id": "a\u0000b\ud800c", "\ud800": ["\ud83d\ude00"]}').json()
		self.assertEqual(answer, {"id": "ab\ufffdc", "\ufffd": ["😀"]})

	def test_redirects_are_not_followed(self):
		count = []
		with server(http(b"", "302 Found", "Location: /elsewhere\r\n"), count) as url:
			self.assertEqual(self.post(url).status, 302)
		self.assertEqual(len(count), 1)

	def test_text_that_is_no_json_object(self):
		for body in (b"<html>", b"[1]", b"", b"\xff"):
			with self.subTest(body=body), server(http(body)) as url:
				self.assertIsNone(self.post(url).json())

	def test_secrets_cross_no_network_in_the_open(self):
		for url in (
			"http://example.com/v2",
			"ftp://x/",
			"https://user:pass@host/",
			"x",
			"https://h/?key=1",
			"",
		):
			with self.subTest(url=url):
				self.assertTrue(check_url(url))
		for url in ("https://www.facturapi.io/v2", "http://127.0.0.1:8770/v2", "http://localhost:1/"):
			self.assertEqual(check_url(url), "")
		with self.assertRaises(NotAllowed):
			self.post("http://example.com/v2")


# By RFC 6890, 4291, 6052, 3056, 6598; the last of each kind carries an IPv4 address inside an IPv6 one.
INSIDE = """10.0.0.1 172.16.5.4 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 192.0.2.1 198.18.0.1 224.0.0.1 240.0.0.1
255.255.255.255 :: fe80::1 fe80::1%eth0 fc00::1 fd12:3456::1 ff02::1 2001:db8::1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
64:ff9b::10.0.0.1 64:ff9b:1::1 2002:a00:1::1 2001:0:a00:1::1""".split()
OWN_CONNECTIONS = ("providers/http.py", "dispatch.py")
"""Where a connection may be made: the one way out, and the look whether the queue's Redis is there."""
LOOPBACK = "127.0.0.1 127.8.9.10 ::1 ::ffff:127.0.0.1 64:ff9b::127.0.0.1".split()
PUBLIC = "8.8.8.8 104.16.0.1 2606:4700::1111 64:ff9b::8.8.8.8 ::ffff:8.8.8.8".split()


class TestAddresses(unittest.TestCase):
	"""Where a name may lead, by whatever a look-up answers."""

	def ask(self, url, loopback, *answers):
		"""The result of a request whose host is found at `answers`, one look-up after the other."""
		asked = iter(answers)
		real = socket.getaddrinfo

		def look_up(host, port, *rest, **named):
			if host.replace(".", "").isdigit() or ":" in host:
				return real(host, port, *rest, **named)
			found = next(asked)
			return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, 1, 6, "", (ip, port)) for ip in found]

		client = HttpClient(lambda exchange: None, loopback=loopback, read_seconds=1, total_seconds=3)
		with patch.object(socket, "getaddrinfo", look_up):
			return client.request("look", "GET", url)

	def test_addresses_of_all_kinds(self):
		for address in INSIDE:
			with self.subTest(address=address):
				self.assertTrue(refusal(address) and refusal(address, loopback=True))
		for address in LOOPBACK:
			with self.subTest(address=address):
				self.assertTrue(refusal(address))
				self.assertEqual(refusal(address, loopback=True), "")
		for address in PUBLIC:
			with self.subTest(address=address):
				self.assertEqual(refusal(address), "")

	def test_a_name_that_leads_inside_is_refused_before_anything_is_connected(self):
		connects = []
		with patch.object(socket.socket, "connect", lambda _self, address: connects.append(address)):
			for address in (*INSIDE, *LOOPBACK):
				for found in ([address], ["8.8.8.8", address]):
					with self.subTest(found=found), self.assertRaises(NotAllowed):
						self.ask("https://provider.example.com/pdf", False, found)
		self.assertEqual(connects, [])

	def test_the_address_that_was_checked_is_the_one_that_is_connected_to(self):
		"""A name server that answers a public address first and an inner one next time (DNS rebinding)."""
		tried = []

		def connect(_self, address):
			tried.append(address[0])
			raise ConnectionRefusedError

		with patch.object(socket.socket, "connect", connect), self.assertRaises(NotSent) as caught:
			self.ask("https://provider.example.com/", False, ["8.8.8.8", "8.8.4.4"], ["127.0.0.1"])
		self.assertNotIsInstance(caught.exception, NotAllowed)
		self.assertEqual(tried, ["8.8.8.8", "8.8.4.4"])

	def test_an_allowed_name_reaches_its_server_by_the_second_address_too(self):
		seen = []
		with server(http(b'{"ok": true}'), count=seen) as url:
			port = url.rpartition(":")[2]
			answer = self.ask(f"http://sandbox.localhost:{port}/", True, ["127.0.0.9", "127.0.0.1"])
		self.assertEqual((answer.status, len(seen)), (200, 1))

	def test_numbers_that_are_addresses_in_disguise(self):
		client = HttpClient(lambda exchange: None)
		for host in (
			"2130706433",
			"0x7f000001",
			"0177.0.0.1",
			"127.1",
			"0",
			"localhost",
			"a.localhost",
			"[::1]",
		):
			with self.subTest(host=host), self.assertRaises(NotSent):
				client.request("look", "GET", f"https://{host}/")
			with self.subTest(host=host), patch.object(socket.socket, "connect") as connect:
				with self.assertRaises(NotSent):
					client.request("look", "GET", f"https://{host}/")
				connect.assert_not_called()

	def test_a_proxy_is_not_asked_for_an_inner_address(self):
		with server(http(b"{}")) as proxy, patch.dict("os.environ", {"HTTPS_PROXY": proxy, "NO_PROXY": ""}):
			for url in ("https://10.0.0.1/", "https://inner.example.com/"):
				with self.subTest(url=url), self.assertRaises(NotAllowed):
					self.ask(url, False, ["192.168.0.7"])
			# What only the proxy can look up is its business.
			with patch.object(socket, "getaddrinfo", side_effect=socket.gaierror):
				with self.assertRaises(NotSent) as caught:
					HttpClient(lambda exchange: None).request("look", "GET", "https://outside.example.com/")
			self.assertNotIsInstance(caught.exception, NotAllowed)

	def test_what_answers_as_a_sandbox_is_refused_where_none_is_allowed(self):
		answer = http(b'{"ok": true}', headers="X-Fiscal-Sandbox: 1\r\n")
		with server(answer) as url:
			self.assertEqual(
				HttpClient(lambda exchange: None, loopback=True).request("a", "GET", url).status, 200
			)
			client = HttpClient(lambda exchange: None)
			with patch("fiscal_integration.providers.http.refusal", return_value=""):
				with patch("fiscal_integration.providers.http.check_host", return_value=""):
					with self.assertRaisesRegex(NotAllowed, "sandbox"):
						client.request("a", "GET", url)

	def test_nothing_else_in_the_app_makes_connections(self):
		root = Path(__file__).resolve().parents[1]
		others = []
		for path in root.rglob("*.py"):
			name = path.relative_to(root).as_posix()
			if (
				name.startswith(("sandbox/", "browser/", "testing"))
				or "/test_" in name
				or name in OWN_CONNECTIONS
			):
				continue
			for line in path.read_text().splitlines():
				words = line.split()
				if words[:1] in (["import"], ["from"]) and words[1].split(".")[0] in (
					"requests",
					"urllib3",
					"httpx",
					"socket",
					"http",
					"ftplib",
					"smtplib",
				):
					others.append((name, line))
				if "urllib.request" in line or "make_get_request" in line or "make_post_request" in line:
					others.append((name, line))
		self.assertEqual(others, [])
