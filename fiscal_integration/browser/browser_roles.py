import json

import requests

from fiscal_integration.browser.desk import PASSWORD, SETTINGS, URL, SiteCase, bench, slug

USERS = {
	"cashier": ["Accounts User"],
	"user": ["Accounts User", "Fiscal User"],
	"manager": ["Accounts Manager", "Fiscal Manager"],
	"administrator": ["System Manager", "Accounts Manager"],
}
SECRET = "Caja-Fuerte-7421"
REFUSED = (403, 404, 417)


class TestRoles(SiteCase):
	"""Who may do what, asked over HTTP as each of them. No browser is needed for it."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.connect(enable_cancellation=1)
		cls.sessions = {}
		for name, roles in USERS.items():
			email = f"{name}@roles.example.com"
			cls.ensure_user(email, roles, SECRET)
			cls.sessions[name] = cls.log_in(email, SECRET)
		cls.root = cls.log_in("Administrator", PASSWORD)

	@staticmethod
	def log_in(user, password):
		session = requests.Session()
		answer = session.post(f"{URL}/api/method/login", data={"usr": user, "pwd": password}, timeout=60)
		assert answer.status_code == 200, answer.text
		return session

	def ask(self, who, method, path, **data):
		session = self.root if who == "root" else self.sessions[who]
		return session.request(method, URL + path, timeout=60, **data)

	def do(self, who, method, **arguments):
		return self.ask(who, "POST", f"/api/method/fiscal_integration.api.{method}", data=arguments)

	def read(self, who, doctype, name=""):
		return self.ask(who, "GET", f"/api/resource/{doctype}/{name}".rstrip("/")).status_code

	def value(self, doctype, name, field):
		return self.ask("root", "GET", f"/api/resource/{doctype}/{name}").json()["data"].get(field)

	def sold(self, who="cashier", **values):
		"""A sale that `who` submits. Returns its name when it is issued or refused."""
		name = self.draft(**values)
		doc = self.ask("root", "GET", f"/api/resource/{self.sale_doctype}/{name}").json()["data"]
		answer = self.ask(who, "POST", "/api/method/frappe.client.submit", data={"doc": json.dumps(doc)})
		self.assertEqual(answer.status_code, 200, answer.text[-600:])
		return name

	def settled(self, name, status="Issued"):
		self.becomes(status, name)
		return self.value(self.sale_doctype, name, "fiscal_document")

	def test_1_the_cashier_sells_and_sees_the_qr_and_nothing_else(self):
		name = self.sold()
		row = self.settled(name)
		view = self.ask(
			"cashier",
			"GET",
			f"/api/method/fiscal_integration.api.fiscal_view?doctype={self.sale_doctype}&name={name}",
		).json()["message"]
		self.assertTrue(view["qr_image"].startswith("data:image/png"))
		self.assertFalse(view["can_retry"] or view["can_cancel"] or view["can_open"])
		self.assertEqual(
			self.ask("cashier", "GET", f"/{slug(self.sale_doctype)}/{name}/fiscal/pdf").status_code, 200
		)
		for doctype, document in (
			(SETTINGS, SETTINGS),
			("Fiscal Account", ""),
			("Fiscal Document", ""),
			("Fiscal Document", row),
			("Fiscal Batch", ""),
			("Fiscal Certificate", ""),
			("Fiscal Webhook Event", ""),
			("Fiscal Global Invoice", ""),
			("Integration Request", ""),
			("Error Log", ""),
		):
			with self.subTest(doctype, name=document):
				self.assertEqual(self.read("cashier", doctype, document), 403)
		for method, arguments in (
			("ping", {"doctype": SETTINGS, "name": SETTINGS}),
			("clear_secret", {"doctype": SETTINGS, "name": SETTINGS, "key": "secret_key"}),
			("retry", {"document": row}),
			("ask_provider", {"document": row}),
			("take_over", {"document": row}),
			("cancel", {"document": row, "motive": "02"}),
			("cancel_form", {"document": row}),
			("initialize_certificate", {"certificate": "x", "content": ""}),
			("set_up_unit", {"doctype": SETTINGS, "name": SETTINGS}),
		):
			with self.subTest(method):
				self.assertEqual(self.do("cashier", method, **arguments).status_code, 403)

	def test_2_the_cashier_sees_nothing_of_another_companys_sale(self):
		bench("fiscal_integration.sample.set_up_panama")
		other = self.draft(panama=True)
		bench(
			"fiscal_integration.sample.restrict",
			user="cashier@roles.example.com",
			company="Abarrotes La Esperanza",
		)
		path = f"/api/method/fiscal_integration.api.fiscal_view?doctype={self.sale_doctype}&name={other}"
		self.assertEqual(self.ask("cashier", "GET", path).status_code, 403)
		self.assertEqual(
			self.ask("cashier", "GET", f"/{slug(self.sale_doctype)}/{other}/fiscal/pdf").status_code, 404
		)
		self.assertEqual(
			self.do("cashier", "fetch_file", doctype=self.sale_doctype, name=other, kind="pdf").status_code,
			403,
		)

	def test_3_the_fiscal_user_retries_and_reads_but_does_not_configure(self):
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		name = self.sold("user")
		row = self.settled(name, "Rejected")
		self.assertEqual(self.read("user", "Fiscal Document", row), 200)
		self.assertEqual(self.read("user", "Integration Request"), 200)
		self.assertEqual(self.read("user", SETTINGS, SETTINGS), 403)
		self.assertEqual(self.do("user", "retry", document=row).status_code, 200)
		self.settled(name)
		for method, arguments in (
			("cancel", {"document": row, "motive": "02"}),
			("take_over", {"document": row}),
			("ping", {"doctype": SETTINGS, "name": SETTINGS}),
		):
			with self.subTest(method):
				self.assertEqual(self.do("user", method, **arguments).status_code, 403)

	def test_4_the_fiscal_manager_configures_cancels_and_sends_in_bulk(self):
		name = self.sold("manager")
		row = self.settled(name)
		self.assertEqual(self.read("manager", SETTINGS, SETTINGS), 200)
		shown = self.ask("manager", "GET", f"/api/resource/{SETTINGS}/{SETTINGS}").json()["data"]
		self.assertNotIn(self.key, json.dumps(shown))
		changed = self.ask(
			"manager", "PUT", f"/api/resource/{SETTINGS}/{SETTINGS}", data=json.dumps({"max_concurrent": 4})
		)
		self.assertEqual(changed.status_code, 200, changed.text[-600:])
		answer = self.do("manager", "ping", doctype=SETTINGS, name=SETTINGS)
		self.assertTrue(answer.json()["message"]["ok"], answer.text)
		self.sandbox.set_option("facturapi", cancellation="accepted")
		self.assertEqual(self.do("manager", "cancel", document=row, motive="03").status_code, 200)
		self.becomes("Cancelled", name, field="fiscal_cancellation")

	def test_5_nobody_writes_a_fiscal_document_or_an_exchange_by_hand(self):
		name = self.sold()
		row = self.settled(name)
		exchange = self.ask(
			"root",
			"GET",
			f'/api/resource/Integration Request?filters=[["fiscal_document","=","{row}"]]',
		).json()["data"][0]["name"]
		for who in (*USERS, "root"):
			for doctype, document, values in (
				("Fiscal Document", row, {"fiscal_id": "forged"}),
				("Integration Request", exchange, {"output": "forged"}),
			):
				with self.subTest(who, doctype=doctype):
					path = f"/api/resource/{doctype}/{document}"
					self.assertIn(self.ask(who, "PUT", path, data=json.dumps(values)).status_code, REFUSED)
					self.assertIn(self.ask(who, "DELETE", path).status_code, REFUSED)
					self.assertIn(
						self.ask(
							who,
							"POST",
							"/api/method/frappe.client.set_value",
							data={"doctype": doctype, "name": document, "fieldname": json.dumps(values)},
						).status_code,
						REFUSED,
					)
			with self.subTest(who):
				made = {"reference_doctype": self.sale_doctype, "reference_name": name, "status": "Issued"}
				self.assertIn(
					self.ask(who, "POST", "/api/resource/Fiscal Document", data=json.dumps(made)).status_code,
					REFUSED,
				)
		self.assertNotEqual(self.value("Fiscal Document", row, "fiscal_id"), "forged")
		self.assertNotEqual(self.value("Integration Request", exchange, "output"), "forged")

	def test_6_guests_get_nothing(self):
		name = self.sold()
		for path in (
			f"/api/method/fiscal_integration.api.fiscal_view?doctype={self.sale_doctype}&name={name}",
			"/api/method/fiscal_integration.api.describe_providers",
			f"/api/resource/{SETTINGS}/{SETTINGS}",
			"/api/resource/Fiscal Document",
		):
			with self.subTest(path):
				self.assertEqual(requests.get(URL + path, timeout=60).status_code, 403)
