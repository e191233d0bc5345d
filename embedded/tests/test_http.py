"""Status codes, shapes and transactions of the HTTP side."""

import json

import frappe
from werkzeug.test import Client

import embedded
from embedded.server import Application, Server
from embedded.tests.test_site import SiteCase


class TestHTTP(SiteCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		import shop

		cls.shop = shop
		user = frappe.get_doc(
			{
				"doctype": "User",
				"email": "boss@x.co",
				"first_name": "B",
				"new_password": "pw",
				"roles": [{"role": "System Manager"}],
			}
		).insert()
		user.update({"api_key": "k", "api_secret": "s"})
		user.save()
		frappe.get_doc({"doctype": "Till Ticket", "title": "http", "pin": "top-secret"}).insert()
		frappe.db.commit()
		cls.name = frappe.db.get_value("Till Ticket", {"title": "http"})
		cls.application = Application(cls.path)
		cls.key = {"Authorization": "token k:s"}

	def call(self, path, method="GET", key=True, **kwargs):
		client = Client(self.application)
		return client.open(path, method=method, headers=self.key if key else {}, **kwargs)

	def test_methods(self):
		self.assertEqual(self.call("/api/method/shop.add?a=1&b=2").json, {"message": 3})
		self.assertEqual(
			self.call("/api/method/shop.add", "POST", json={"a": 1, "b": 5}).json, {"message": 6}
		)
		for path, key, code, kind in (
			("shop.add?a=1&b=2", False, 403, "PermissionError"),
			("shop.hidden", True, 403, "PermissionError"),
			("shop.hook", True, 403, "PermissionError"),
			("shop.nothing", True, 417, "ValidationError"),
			("shop.get_that_writes?fail=validation", True, 417, "ValidationError"),
			("shop.get_that_writes?fail=1", True, 500, "ZeroDivisionError"),
		):
			with self.subTest(path=path):
				answer = self.call(f"/api/method/{path}", key=key)
				self.assertEqual((answer.status_code, answer.json["exc_type"]), (code, kind))
		answer = self.call("/api/method/shop.get_that_writes?fail=validation")
		message = json.loads(json.loads(answer.json["_server_messages"])[0])
		self.assertEqual((message["message"], message["title"]), ("no good", "Stop"))
		self.assertIn("Traceback", json.loads(answer.json["exc"])[0])

	def test_wrong_key(self):
		client = Client(self.application)
		answer = client.get("/api/method/ping", headers={"Authorization": "token k:wrong"})
		self.assertEqual((answer.status_code, answer.json["exc_type"]), (401, "AuthenticationError"))

	def test_transactions(self):
		def count():
			return frappe.db.count("ToDo", {"description": "from a request"})

		for method, fail, added in (
			("GET", "", 0),
			("POST", "", 1),
			("POST", "validation", 0),
			("POST", "1", 0),
		):
			before = count()
			self.call(f"/api/method/shop.get_that_writes?fail={fail}", method)
			self.assertEqual(count() - before, added, (method, fail))

	def test_raw_body_of_a_guest(self):
		answer = self.call(
			"/api/method/shop.hook", "POST", key=False, data='{"id": 1}', content_type="application/json"
		)
		self.assertEqual(answer.json, {"message": "stored"})
		self.assertTrue(frappe.db.exists("ToDo", {"description": '{"id": 1}'}))

	def test_resources(self):
		listed = self.call('/api/resource/Till Ticket?fields=["title"]&filters=[["title","=","http"]]')
		self.assertEqual(listed.json, {"data": [{"title": "http"}]})
		one = self.call(f"/api/resource/Till Ticket/{self.name}").json["data"]
		self.assertEqual(one["pin"], "*" * 10)
		self.assertNotIn("top-secret", self.call(f"/api/resource/Till Ticket/{self.name}").text)
		made = self.call("/api/resource/Till Ticket", "POST", json={"title": "new"}).json["data"]
		path = f"/api/resource/Till Ticket/{made['name']}"
		self.assertEqual(self.call(path, "PUT", json={"note": "x"}).json["data"]["note"], "x")
		said = self.call(path, "POST", data={"run_method": "shout", "word": "ho"})
		self.assertEqual(said.json["data"], "new ho")
		self.assertEqual(self.call(path, "DELETE").status_code, 202)
		self.assertEqual(self.call(path).status_code, 404)
		self.assertEqual(
			self.call("/api/resource/Role", "POST", json={"role_name": "Guest"}).status_code, 409
		)
		self.assertEqual(self.call("/api/resource/Till Ticket", "POST", json={}).status_code, 417)
		self.assertEqual(self.call("/api/resource/Till Ticket", key=False).status_code, 403)

	def test_doc_method(self):
		answer = self.call(
			"/api/method/run_doc_method",
			"POST",
			json={"dt": "Till Ticket", "dn": self.name, "method": "shout"},
		)
		self.assertEqual(answer.json["message"], "http hey")

	def test_download_and_pages(self):
		answer = self.call("/api/method/shop.download")
		self.assertEqual(answer.data, b"<a/>")
		self.assertIn("a.xml", answer.headers["Content-Disposition"])
		self.assertEqual(self.call("/ticket/1").text, "page ticket/1")
		self.assertEqual(self.call("/ticket/secret").status_code, 403)
		self.assertEqual(self.call("/nowhere").status_code, 404)

	def test_login_over_a_real_socket(self):
		import requests

		with Server(self.path) as server:
			web = requests.Session()
			bad = web.post(
				f"{server.url}/api/method/login", data={"usr": "boss@x.co", "pwd": "no"}, timeout=10
			)
			self.assertEqual(bad.status_code, 401)
			good = web.post(
				f"{server.url}/api/method/login", data={"usr": "boss@x.co", "pwd": "pw"}, timeout=10
			)
			self.assertEqual(good.json()["message"], "Logged In")
			who = web.get(f"{server.url}/api/method/frappe.auth.get_logged_user", timeout=10)
			self.assertEqual(who.json()["message"], "boss@x.co")
		self.assertEqual(frappe.session.user, "Administrator")


class TestClient(SiteCase):
	def test_outer_site_stays_bound(self):
		Client(Application(self.path)).get("/api/method/ping")
		self.assertEqual(frappe.local.site, "shop.localhost")
		self.assertTrue(embedded.ACTIVE)
