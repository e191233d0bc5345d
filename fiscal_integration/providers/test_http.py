import contextlib
import socket
import threading
import time
import unittest

from fiscal_integration.providers.http import AnswerLost, HttpClient, NotAllowed, NotSent, Response, check_url


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
		self.client = HttpClient(self.exchanges.append, "X-Log-Id", read_seconds=0.5, total_seconds=3)

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
			client = HttpClient(self.exchanges.append, read_seconds=0.5, total_seconds=0.6)
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
