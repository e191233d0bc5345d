"""Documents, transactions, queries, secrets, installing: as Frappe does them."""

import datetime
import threading
import unittest

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields
from frappe.tests.utils import patch_hooks
from frappe.utils.password import get_decrypted_password

import embedded
from embedded.tests import make_site


class SiteCase(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.outer = (
			(frappe.local.site, frappe.local.sites_path) if getattr(frappe.local, "db", None) else None
		)
		cls.path = make_site()
		embedded.site.connect(cls.path)
		frappe.flags.in_test = True

	@classmethod
	def tearDownClass(cls):
		frappe.destroy()
		if cls.outer:
			embedded.site.connect("/".join(reversed(cls.outer)))
			frappe.flags.in_test = True

	def tearDown(self):
		frappe.db.rollback()
		frappe.set_user("Administrator")
		frappe.local.message_log = []

	def ticket(self, title="a", **values):
		return frappe.get_doc({"doctype": "Till Ticket", "title": title, **values})


class TestDocuments(SiteCase):
	def test_order_of_events(self):
		import shop

		shop.CALLS.clear()
		doc = self.ticket().insert()
		self.assertEqual(
			doc.steps,
			"before_insert before_validate validate before_save after_insert on_update on_change".split(),
		)
		doc.steps.clear()
		doc.submit()
		self.assertEqual(
			doc.steps, "before_validate validate before_submit on_update on_submit on_change".split()
		)
		self.assertEqual(shop.CALLS, ["validate", "validate", "on_submit"])

	def test_hook_exception_stops(self):
		with self.assertRaisesRegex(frappe.ValidationError, "stopped by a hook"):
			self.ticket("stop").insert()

	def test_children_and_types(self):
		doc = self.ticket(
			rows=[{"item": "x", "qty": 2}, {"item": "y"}], at="13:05:00", amount="1,234.5"
		).insert()
		doc = frappe.get_doc("Till Ticket", doc.name)
		self.assertEqual(
			[(r.item, r.qty, r.idx, r.parentfield) for r in doc.rows],
			[("x", 2.0, 1, "rows"), ("y", 0.0, 2, "rows")],
		)
		self.assertEqual(doc.at, datetime.timedelta(hours=13, minutes=5))
		self.assertIsInstance(doc.creation, datetime.datetime)
		self.assertEqual((doc.day, doc.amount), (datetime.date.today(), 1234.5))
		kept = doc.rows[1].name
		doc.remove(doc.rows[0])
		doc.save()
		self.assertEqual([(r.name, r.idx) for r in doc.reload().rows], [(kept, 1)])

	def test_name_by_format(self):
		first, second = self.ticket("1").insert(), self.ticket("2").insert()
		self.assertRegex(first.name, r"^T-\d{4}-\d{3}$")
		self.assertEqual(int(second.name[-3:]), int(first.name[-3:]) + 1)

	def test_checks(self):
		for values, exception in (
			({"title": None}, frappe.MandatoryError),
			({"kind": "Gift"}, frappe.ValidationError),
			({"customer": "nobody"}, frappe.LinkValidationError),
			({"title": "x" * 141}, frappe.CharacterLengthExceededError),
			({"rows": [{"qty": 1}]}, frappe.MandatoryError),
		):
			with self.subTest(values=values), self.assertRaises(exception):
				self.ticket(**{"title": "a", **values}).insert()

	def test_unique(self):
		self.ticket("1", code="A").insert()
		with self.assertRaises(frappe.UniqueValidationError):
			self.ticket("2", code="a").insert()
		with self.assertRaises(frappe.UniqueValidationError):
			self.ticket("1").insert()
		self.ticket("3", code="").insert()
		self.ticket("4", code="").insert()
		with self.assertRaises(frappe.DuplicateEntryError):
			frappe.get_doc({"doctype": "Role", "role_name": "Guest"}).insert()

	def test_timestamp_mismatch(self):
		doc = self.ticket().insert()
		stale = frappe.get_doc("Till Ticket", doc.name)
		doc.save()
		with self.assertRaises(frappe.TimestampMismatchError):
			stale.save()

	def test_docstatus(self):
		doc = self.ticket().insert()
		with self.assertRaises(frappe.DocstatusTransitionError):
			doc.cancel()
		doc = doc.reload().submit()
		doc.note = "allowed"
		doc.save()
		doc.amount = 5
		with self.assertRaises(frappe.UpdateAfterSubmitError):
			doc.save()
		doc.reload()
		with self.assertRaises(frappe.ValidationError):
			doc.delete()
		doc.cancel()
		with self.assertRaises(frappe.ValidationError):
			doc.save()
		copy = frappe.copy_doc(doc, ignore_no_copy=False)
		copy.docstatus, copy.amended_from, copy.kind = 0, doc.name, "Refund"
		self.assertEqual((copy.insert().name, copy.note), (f"{doc.name}-1", None))

	def test_linked_is_kept(self):
		customer = frappe.get_doc(
			{"doctype": "Customer", "customer_name": "C", "customer_type": "Company"}
		).insert()
		ticket = self.ticket(customer=customer.name).insert()
		with self.assertRaises(frappe.LinkExistsError):
			customer.delete()
		ticket.delete()
		customer.delete()
		self.assertFalse(frappe.db.exists("Customer", customer.name))

	def test_db_set(self):
		doc = self.ticket().insert()
		before = frappe.db.get_value("Till Ticket", doc.name, "modified")
		doc.db_set("note", "n", update_modified=False)
		row = frappe.db.get_value("Till Ticket", doc.name, ["note", "modified"], as_dict=True)
		self.assertEqual((row.note, row.modified), ("n", before))

	def test_single(self):
		doc = frappe.get_doc("Till Settings")
		self.assertEqual(doc.limit, 7)
		doc.update({"enabled": 1, "rows": [{"item": "r"}]})
		doc.save()
		self.assertIs(frappe.db.get_single_value("Till Settings", "enabled"), 1)
		self.assertEqual(frappe.get_single("Till Settings").rows[0].item, "r")
		self.assertEqual(frappe.db.get_value("Till Settings", None, "enabled"), "1")


class TestSecrets(SiteCase):
	def test_stored_masked_removed(self):
		doc = self.ticket(pin="s3cret").insert()
		self.assertEqual(doc.pin, "******")
		self.assertEqual(frappe.db.get_value("Till Ticket", doc.name, "pin"), "******")
		raw = frappe.db.sql("select password from `__Auth` where name=%s", doc.name)[0][0]
		self.assertNotIn("s3cret", raw)
		doc = frappe.get_doc("Till Ticket", doc.name)
		self.assertEqual(doc.get_password("pin"), "s3cret")
		doc.save()
		self.assertEqual(get_decrypted_password("Till Ticket", doc.name, "pin"), "s3cret")
		doc.pin = "typed"
		self.assertEqual(doc.get_password("pin"), "typed")
		doc.pin = ""
		doc.save()
		self.assertIsNone(doc.get_password("pin", raise_exception=False))
		with self.assertRaises(frappe.AuthenticationError):
			doc.get_password("pin")

	def test_wrong_key(self):
		from cryptography.fernet import Fernet

		doc = self.ticket(pin="s3cret").insert()
		right, frappe.local.conf.encryption_key = (
			frappe.local.conf.encryption_key,
			Fernet.generate_key().decode(),
		)
		try:
			with self.assertRaisesRegex(frappe.ValidationError, "Encryption key is invalid"):
				doc.get_password("pin")
		finally:
			frappe.local.conf.encryption_key = right

	def test_error_log_holds_variables(self):
		try:
			visible, token = "seen-value", "hidden-value"  # noqa: F841
			raise RuntimeError("x")
		except RuntimeError:
			log = frappe.log_error("title")
		self.assertIn("seen-value", log.error)
		self.assertNotIn("token = 'hidden-value'", log.error)
		self.assertEqual(frappe.log_error("t", "message").error, "message")
		with self.assertRaises(frappe.CharacterLengthExceededError):
			frappe.log_error("x" * 141, "message")
		with self.assertRaises(TypeError):
			frappe.log_error(message="no title")


class TestTransactions(SiteCase):
	def test_callbacks(self):
		seen = []
		frappe.db.after_commit.add(lambda: seen.append("dropped"))
		frappe.db.after_rollback.add(lambda: seen.append("rolled back"))
		frappe.db.rollback()
		frappe.db.before_commit.add(lambda: seen.append("before"))
		frappe.db.after_commit.add(lambda: seen.append("after"))
		frappe.db.after_rollback.add(lambda: seen.append("never"))
		frappe.db.commit()
		frappe.db.rollback()
		self.assertEqual(seen, ["rolled back", "before", "after"])

	def test_rollback_and_savepoint(self):
		self.ticket("gone").insert()
		frappe.db.rollback()
		self.assertFalse(frappe.db.exists("Till Ticket", {"title": "gone"}))
		self.ticket("outer").insert()
		frappe.db.savepoint("here")
		self.ticket("inner").insert()
		frappe.db.rollback(save_point="here")
		self.assertEqual(frappe.get_all("Till Ticket", pluck="title"), ["outer"])

	def test_realtime_after_commit(self):
		frappe.local.realtime_log.clear()
		frappe.publish_realtime("done", {"a": 1}, after_commit=True)
		self.assertEqual(frappe.local.realtime_log, [])
		frappe.db.commit()
		self.assertEqual(frappe.local.realtime_log[0].event, "done")

	def test_for_update_waits_for_the_other(self):
		name = self.ticket("counted", amount=0).insert().name
		frappe.db.commit()

		def add():
			embedded.site.connect(self.path)
			for _ in range(20):
				amount = frappe.db.get_value("Till Ticket", name, "amount", for_update=True)
				frappe.db.set_value("Till Ticket", name, "amount", amount + 1)
				frappe.db.commit()
			frappe.destroy()

		threads = [threading.Thread(target=add) for _ in range(4)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		self.assertEqual(frappe.db.get_value("Till Ticket", name, "amount"), 80)
		frappe.delete_doc("Till Ticket", name)
		frappe.db.commit()

	def test_locked(self):
		results = {}
		self.ticket("lock").insert()

		def other():
			embedded.site.connect(self.path)
			results["skipped"] = frappe.db.get_values("Till Ticket", {}, for_update=True, skip_locked=True)
			try:
				frappe.db.get_value("Till Ticket", {}, for_update=True, wait=False)
			except frappe.QueryTimeoutError:
				results["refused"] = True
			frappe.destroy()

		thread = threading.Thread(target=other)
		thread.start()
		thread.join()
		self.assertEqual(results, {"skipped": [], "refused": True})

	def test_request_log_commits(self):
		from frappe.integrations.utils import create_request_log

		log = create_request_log({"a": 1}, service_name="S", reference_doctype=None, status="Queued")
		frappe.db.rollback()
		self.assertTrue(frappe.db.exists("Integration Request", log.name))
		log.handle_success({"ok": 1})
		self.assertEqual(log.reload().status, "Completed")
		log.delete()
		frappe.db.commit()


class TestQueries(SiteCase):
	def setUp(self):
		for index, kind in enumerate(("Sale", "Sale", "Refund")):
			note = "n" if index else None
			self.ticket(
				f"t{index}", kind=kind, amount=index, note=note, rows=[{"item": f"i{index}"}]
			).insert()

	def titles(self, filters=None, **kwargs):
		return sorted(frappe.get_all("Till Ticket", filters=filters, pluck="title", **kwargs))

	def test_filters(self):
		for filters, expected in (
			({"kind": "Sale"}, ["t0", "t1"]),
			({"kind": ("!=", "Sale")}, ["t2"]),
			([["amount", ">=", 1]], ["t1", "t2"]),
			([["Till Ticket", "title", "in", ["t0", "t2"]]], ["t0", "t2"]),
			({"title": ["not in", ["t0"]]}, ["t1", "t2"]),
			({"title": ["like", "%1"]}, ["t1"]),
			({"amount": ["between", [1, 2]]}, ["t1", "t2"]),
			({"note": ["is", "set"]}, ["t1", "t2"]),
			({"note": ["is", "not set"]}, ["t0"]),
			({"note": ("!=", "n")}, ["t0"]),
			([["Till Row", "item", "=", "i1"]], ["t1"]),
		):
			with self.subTest(filters=filters):
				self.assertEqual(self.titles(filters), expected)
		self.assertEqual(self.titles(or_filters={"title": "t0", "amount": 2}), ["t0", "t2"])

	def test_null_is_not_unequal_in_db(self):
		self.assertEqual(frappe.db.count("Till Ticket", {"note": ("!=", "n")}), 0)
		self.assertEqual(frappe.db.count("Till Ticket", {"note": None}), 1)

	def test_an_empty_date_is_before_every_other_in_lists_and_nowhere_in_the_database(self):
		"""As Frappe 16 does, which takes `ignore_ifnull` and heeds it no more."""
		frappe.db.set_value("Till Ticket", {"title": "t0"}, {"day": "2026-01-01"})
		frappe.db.set_value("Till Ticket", {"title": "t1"}, {"day": None})
		frappe.db.set_value("Till Ticket", {"title": "t2"}, {"day": "2026-03-01"})
		for value, listed, counted in (
			(("<=", "2026-02-01"), ["t0", "t1"], 1),
			(("<", "2026-01-01"), ["t1"], 0),
			((">", "2026-01-01"), ["t2"], 1),
			(("!=", "2026-01-01"), ["t1", "t2"], 1),
			(("between", ["1900-01-01", "2026-02-01"]), ["t0"], 1),
			(("in", ["2026-01-01", None]), ["t0"], 1),
			(("not in", ["2026-01-01"]), ["t1", "t2"], 1),
			(("is", "set"), ["t0", "t2"], 2),
			(("is", "not set"), ["t1"], 1),
			(None, ["t1"], 1),
			(("!=", None), ["t0", "t2"], 2),
		):
			with self.subTest(filter=value):
				self.assertEqual(self.titles({"day": value}), listed)
				self.assertEqual(self.titles({"day": value}, ignore_ifnull=True), listed)
				self.assertEqual(frappe.db.count("Till Ticket", {"day": value}), counted)

	def test_sql_in_strings_is_refused(self):
		for wanted in (
			{"fields": ["count(name) as number"]},
			{"fields": ["concat(title)"]},
			{"order_by": "`title` asc"},
			{"order_by": "length(title)"},
			{"filters": [["Till Ticket", "kind", "=", "Sale", False]]},
		):
			with self.subTest(wanted=wanted), self.assertRaises(frappe.ValidationError):
				frappe.get_all("Till Ticket", **wanted)
		rows = frappe.get_all("Till Ticket", fields=["title"], order_by="`tabTill Ticket`.`title` desc")
		self.assertEqual([row.title for row in rows], ["t2", "t1", "t0"])

	def test_shape(self):
		rows = frappe.get_all("Till Ticket", fields=["kind"], group_by="kind", order_by="kind asc")
		self.assertEqual(rows, [{"kind": "Refund"}, {"kind": "Sale"}])
		self.assertEqual(
			frappe.get_all("Till Ticket", as_list=True, limit=1, order_by="title", fields=["title"]),
			(("t0",),),
		)
		self.assertEqual(self.titles(order_by="title", limit_start=1, limit_page_length=1), ["t1"])
		self.assertEqual(
			frappe.db.get_value("Till Ticket", {"title": "t1"}, ["title", "amount"]), ("t1", 1.0)
		)
		self.assertIsNone(frappe.db.get_value("Till Ticket", "none", ["title", "amount"]))
		sql = "select title from `tabTill Ticket` where title in %(t)s and title like '%%0'"
		self.assertEqual(frappe.db.sql(sql, {"t": ["t0", "t1"]}, pluck=True), ["t0"])

	def test_permissions(self):
		user = frappe.get_doc({"doctype": "User", "email": "clerk@x.co", "first_name": "C"}).insert()
		self.ticket("hidden").insert()
		frappe.set_user(user.name)
		with self.assertRaises(frappe.PermissionError):
			frappe.get_list("Till Ticket", limit=0)
		frappe.set_user("Administrator")
		user.add_roles("Clerk")
		frappe.set_user(user.name)
		self.assertEqual(sorted(frappe.get_list("Till Ticket", pluck="title", limit=0)), ["t0", "t1", "t2"])
		hidden = frappe.get_doc("Till Ticket", {"title": "hidden"})
		self.assertFalse(hidden.has_permission("read"))
		doc = self.ticket("mine").insert()
		with self.assertRaises(frappe.PermissionError):
			doc.submit()
		with self.assertRaises(frappe.PermissionError):
			frappe.delete_doc("Till Ticket", doc.name)
		self.assertTrue(frappe.has_permission("Till Ticket", "write"))

	def test_user_permission(self):
		for name in ("One", "Two"):
			frappe.get_doc(
				{
					"doctype": "Company",
					"company_name": name,
					"abbr": name,
					"default_currency": "MXN",
					"country": "Mexico",
				}
			).insert()
		user = frappe.get_doc(
			{"doctype": "User", "email": "c2@x.co", "first_name": "C", "roles": [{"role": "Clerk"}]}
		).insert()
		frappe.get_doc(
			{"doctype": "User Permission", "user": user.name, "allow": "Company", "for_value": "One"}
		).insert()
		self.ticket("one", company="One").insert()
		two = self.ticket("two", company="Two").insert()
		frappe.set_user(user.name)
		self.assertNotIn("two", frappe.get_list("Till Ticket", pluck="title", limit=0))
		self.assertIn("one", frappe.get_list("Till Ticket", pluck="title", limit=0))
		self.assertFalse(two.has_permission("read"))


class TestRefusals(SiteCase):
	def test_unknown_is_refused(self):
		for attempt in (
			lambda: frappe.qb,
			lambda: frappe.db.bulk_update,
			lambda: frappe.get_all("Till Ticket", {"title": ("descendants of", "x")}),
			lambda: frappe.get_all("Till Ticket", fields=[{"COUNT": "name"}]),
			lambda: frappe.get_list("Till Ticket"),
			lambda: frappe.get_all("Till Ticket", with_childnames=True),
			lambda: frappe.has_permission("Till Ticket", "fly", user="x@y.z"),
			lambda: frappe.enqueue_doc,
			lambda: frappe.db.sql("commit"),
			lambda: frappe.cache.zadd,
		):
			with self.assertRaises(NotImplementedError):
				attempt()

	def test_hasattr_still_works(self):
		self.assertFalse(hasattr(frappe, "qb"))


class TestApps(SiteCase):
	def test_custom_fields(self):
		create_custom_fields(
			{
				("Customer", "Till Ticket"): [
					{"fieldname": "fx", "label": "Fx", "fieldtype": "Data", "unique": 1}
				]
			}
		)
		self.assertTrue(frappe.get_meta("Customer").get_field("fx").is_custom_field)
		self.ticket("c", fx="1").insert()
		with self.assertRaises(frappe.UniqueValidationError):
			self.ticket("d", fx="1").insert()
		frappe.db.rollback()
		frappe.db.delete("Custom Field", {"fieldname": "fx"})
		frappe.clear_cache()
		self.assertFalse(frappe.get_meta("Customer").has_field("fx"))
		frappe.db.commit()

	def test_patches_run_once(self):
		from frappe.installer import migrate

		self.assertIsNone(frappe.db.get_global("patched"))
		frappe.db.delete("Patch Log", {"patch": ("like", "shop%")})
		migrate()
		migrate()
		self.assertEqual(frappe.db.get_global("patched"), "1")

	def test_uninstall(self):
		path = make_site()
		embedded.site.uninstall_app(path, "shop")
		embedded.site.connect(path)
		self.assertNotIn("shop", frappe.get_installed_apps())
		self.assertFalse(frappe.db.table_exists("Till Ticket"))
		embedded.site.install_app(path, "shop")
		embedded.site.connect(self.path)

	def test_patch_hooks_and_scheduler(self):
		from frappe.utils.scheduler import run_scheduler_events

		self.assertEqual(run_scheduler_events("hourly"), ["shop.sweep"])
		self.assertEqual(run_scheduler_events("*/5 * * * *"), ["shop.sweep"])
		with patch_hooks({"scheduler_events": {}}):
			self.assertEqual(run_scheduler_events("hourly"), [])

	def test_files(self):
		from frappe.utils.file_manager import save_file

		ticket = self.ticket("f").insert()
		file = save_file("a.pdf", b"%PDF\xff", "Till Ticket", ticket.name, is_private=1)
		other = save_file("a.pdf", b"other\xff", "Till Ticket", ticket.name, is_private=1)
		self.assertEqual(file.file_url, "/private/files/a.pdf")
		self.assertNotEqual(other.file_url, file.file_url)
		self.assertEqual(file.get_content(), b"%PDF\xff")
		path = file.path
		frappe.db.rollback()
		import os

		self.assertFalse(os.path.exists(path))


class TestErpnext(SiteCase):
	def test_return_and_status(self):
		frappe.get_doc(
			{
				"doctype": "Company",
				"company_name": "Co",
				"abbr": "Co",
				"default_currency": "MXN",
				"country": "Mexico",
			}
		).insert()
		frappe.get_doc({"doctype": "Customer", "customer_name": "C", "customer_type": "Company"}).insert()
		frappe.get_doc(
			{"doctype": "Item", "item_code": "I", "item_group": "Products", "stock_uom": "Nos"}
		).insert()
		invoice = frappe.get_doc(
			{
				"doctype": "POS Invoice",
				"customer": "C",
				"company": "Co",
				"currency": "MXN",
				"items": [{"item_code": "I", "qty": 2, "rate": 10}],
				"payments": [{"mode_of_payment": "Cash", "amount": 25}],
			}
		).insert()
		self.assertEqual((invoice.grand_total, invoice.change_amount, invoice.customer_name), (20, 5, "C"))
		self.assertEqual(invoice.payments[0].type, "Cash")
		invoice.submit()
		self.assertEqual(invoice.status, "Paid")
		from erpnext.controllers.sales_and_purchase_return import make_return_doc

		back = make_return_doc("POS Invoice", invoice.name).insert().submit()
		self.assertEqual((back.grand_total, back.status, back.paid_amount), (-20, "Return", -20))
		self.assertEqual(invoice.reload().status, "Credit Note Issued")


class TestMoments(SiteCase):
	def test_stored_as_mariadb_would(self):
		doc = self.ticket("m", day="2026-01-31", at="9:05").insert()
		self.assertEqual(doc.reload().at, datetime.timedelta(hours=9, minutes=5))
		self.assertEqual(doc.day, datetime.date(2026, 1, 31))
		frappe.db.set_value("Till Ticket", doc.name, "creation", "2026-01-31 10:00:00")
		self.assertEqual(doc.reload().creation, datetime.datetime(2026, 1, 31, 10))
		with self.assertRaises(frappe.db.OperationalError):
			frappe.db.set_value("Till Ticket", doc.name, "creation", "2026-01-31T10:00:00+02:00")
