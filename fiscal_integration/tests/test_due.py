"""Each query for what is due finds what Python would pick, in a table with rows of every kind."""

import ast
import itertools
from datetime import datetime, timedelta
from pathlib import Path

import frappe
from frappe.utils import get_datetime, now_datetime

from fiscal_integration import due, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.testing import FiscalTestCase

APP = Path(due.__file__).resolve().parent
COMPANY, OTHER = "Due A", "Due B"
BATCH = "due-batch"
EVER_AGO = datetime(1900, 1, 1)


def past(moment, now) -> bool:
	return moment is not None and get_datetime(moment) <= now


class TestDue(FiscalTestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.addClassCleanup(frappe.db.commit)
		cls.addClassCleanup(frappe.db.delete, due.DOCUMENT, {"purpose": "Due"})
		cls.addClassCleanup(frappe.db.delete, due.EVENT, {"provider": "due"})
		sample.set_others_aside()
		frappe.db.set_value(due.EVENT, {"status": "Received"}, "status", "Failed")
		frappe.db.set_value(
			due.DOCUMENT, {"status": lifecycle.ISSUED}, "next_attempt", None, update_modified=False
		)
		cls.now = now_datetime().replace(microsecond=0)
		cls.moments = (
			None,
			datetime(1999, 12, 31),
			cls.now - timedelta(seconds=1),
			cls.now + timedelta(minutes=10),
			cls.now + timedelta(days=40),
		)
		cls.write_documents()
		cls.write_events()
		frappe.db.commit()

	@classmethod
	def write_documents(cls):
		cancelling = ("", *lifecycle.CANCEL_STATES)
		places = itertools.cycle(
			itertools.product((COMPANY, OTHER), (0, 1), (None, "till-1", "till-2"), (None, BATCH))
		)
		days = itertools.cycle((None, cls.now.date(), cls.now.date() - timedelta(days=1)))
		ages = itertools.cycle((timedelta(hours=5), timedelta(0), timedelta(hours=1)))
		rows = []
		kinds = itertools.product(lifecycle.STATES, cls.moments, cancelling, cls.moments)
		for number, (status, next_attempt, cancellation, cancellation_next) in enumerate(kinds):
			company, bulk, device, batch = next(places)
			created = cls.now - next(ages) - timedelta(microseconds=number)
			name = f"due-{number:04}"
			rows.append(
				{
					"name": name,
					"creation": created,
					"modified": created,
					"reference_doctype": "Sales Invoice",
					"reference_name": name,
					"purpose": "Due",
					"company": company,
					"status": status,
					"status_since": None if number % 7 == 0 else created,
					"next_attempt": next_attempt,
					"cancellation_status": cancellation,
					"cancellation_next": cancellation_next,
					"bulk": bulk,
					"device": device,
					"batch": batch,
					"alerted_on": next(days),
					"projected": 1,
				}
			)
		frappe.db.bulk_insert(due.DOCUMENT, list(rows[0]), [tuple(row.values()) for row in rows])
		cls.documents = [frappe._dict(row) for row in rows]

	@classmethod
	def write_events(cls):
		rows = [
			{
				"name": f"due-{number}",
				"creation": cls.now - timedelta(seconds=number),
				"modified": cls.now,
				"provider": "due",
				"event_id": f"due:{number}",
				"status": status,
				"next_try": moment,
			}
			for number, (status, moment) in enumerate(
				itertools.product(("Received", "Applied", "Failed"), cls.moments)
			)
		]
		frappe.db.bulk_insert(due.EVENT, list(rows[0]), [tuple(row.values()) for row in rows])
		cls.events = [frappe._dict(row) for row in rows]

	def picked(self, *conditions, rows=None) -> list[str]:
		"""The names that Python picks."""
		return sorted(
			row.name for row in rows or self.documents if all(condition(row) for condition in conditions)
		)

	def assert_found(self, found, expected):
		names = [row if isinstance(row, str) else row.name for row in found]
		self.assertTrue(expected, "the table has rows for this query")
		self.assertEqual(sorted(names), expected)

	def waiting(self, row):
		return row.status in lifecycle.DUE and past(row.next_attempt, self.now)

	def test_every_kind_of_row_is_there(self):
		self.assertEqual(len(self.documents), 9 * 5 * 8 * 5)
		for field in ("next_attempt", "cancellation_next"):
			self.assertEqual({row[field] for row in self.documents}, set(self.moments))

	def test_documents(self):
		self.assert_found(due.documents(5000), self.picked(self.waiting))
		first = [row.name for row in due.documents(20)]
		self.assertEqual({self.by_name(name).next_attempt for name in first}, {self.moments[1]})

	def by_name(self, name):
		return next(row for row in self.documents if row.name == name)

	def test_of_company(self):
		for bulk in (0, 1):
			expected = self.picked(
				self.waiting, lambda row, bulk=bulk: (row.company, row.bulk) == (COMPANY, bulk)
			)
			self.assert_found(due.of_company(COMPANY, bulk, 5000), expected)
			self.assert_found(due.of_company(COMPANY, bulk, 5000, expected[:3]), expected[3:])
			elsewhere = [name for name in expected if self.by_name(name).device != "till-1"]
			self.assert_found(due.of_company(COMPANY, bulk, 5000, (), {"till-1"}), elsewhere)
			self.assertTrue(any(self.by_name(name).device is None for name in elsewhere))
		ordered = [row.next_attempt for row in due.of_company(COMPANY, 0, 30)]
		self.assertEqual(ordered, sorted(ordered))

	def test_next_of_device(self):
		waiting = [
			row
			for row in self.documents
			if row.device == "till-1" and row.status == lifecycle.QUEUED and past(row.next_attempt, self.now)
		]
		oldest = min(waiting, key=lambda row: (row.creation, row.name))
		self.assertEqual(due.next_of_device("till-1"), oldest.name)
		self.assertIsNone(due.next_of_device("no such till"))

	def test_in_batch(self):
		for until in (datetime(1999, 1, 1), self.now, self.now + timedelta(minutes=15)):
			expected = self.picked(
				lambda row: row.batch == BATCH and row.status in lifecycle.DUE,
				lambda row, until=until: past(row.next_attempt, until),
			)
			found = due.in_batch(BATCH, until)
			self.assertEqual(bool(found), bool(expected))
			self.assertTrue(not found or found in expected)
		dated = {"batch": BATCH, "next_attempt": due.by(self.now + timedelta(days=99))}
		frappe.db.set_value(due.DOCUMENT, dated, "batch", "another", update_modified=False)
		self.assertTrue(frappe.db.exists(due.DOCUMENT, {"batch": BATCH, "status": ("in", lifecycle.DUE)}))
		self.assertIsNone(due.in_batch(BATCH, self.now), "what is held back keeps no batch open")
		frappe.db.rollback()

	def test_xml_files(self):
		expected = self.picked(
			lambda row: row.status == lifecycle.ISSUED and past(row.next_attempt, self.now)
		)
		self.assert_found(due.xml_files(5000), expected)

	def test_notifications(self):
		# Their date stands on the issued rows only; here it is that of their next attempt.
		frappe.db.sql("update `tabFiscal Document` set notify_at = next_attempt where purpose = 'Due'")
		expected = self.picked(
			lambda row: row.status == lifecycle.ISSUED and past(row.next_attempt, self.now)
		)
		self.assert_found([name for name in due.notifications(5000) if name.startswith("due-")], expected)
		frappe.db.rollback()

	def test_unsent_mails(self):
		frappe.db.sql(
			"update `tabFiscal Document` set notify_at = next_attempt, "
			"notification_error = case substr(name, 8, 1) when '1' then 'no account' when '2' then '' end "
			"where purpose = 'Due'"
		)
		before = self.now - timedelta(hours=2)
		expected = self.picked(
			lambda row: row.status == lifecycle.ISSUED and row.next_attempt is not None,
			lambda row: past(row.status_since, before) and row.name.endswith("1"),
		)
		found = due.unsent_mails(before, ["status"])
		self.assert_found([row for row in found if row.name.startswith("due-")], expected)
		frappe.db.rollback()

	def test_cancellations(self):
		wanted = (*lifecycle.CANCELLING, lifecycle.CANCELLED)
		expected = self.picked(
			lambda row: row.cancellation_status in wanted and past(row.cancellation_next, self.now)
		)
		found = [name for name in due.cancellations(5000) if name.startswith("due-")]
		self.assert_found(found, expected)

	def test_webhook_events(self):
		expected = self.picked(
			lambda row: row.status == "Received" and past(row.next_try, self.now), rows=self.events
		)
		self.assert_found(due.webhook_events(5000), expected)

	def test_unsent_alerts(self):
		before, today = self.now - timedelta(hours=2), self.now.date()

		def old(row):
			if row.status in lifecycle.DEAD_LETTERS:
				return past(row.status_since, before)
			return row.status in lifecycle.DUE and past(row.creation, before)

		expected = self.picked(old, lambda row: row.alerted_on is None or row.alerted_on < today)
		found = due.unsent_alerts(before, today, ["status"])
		self.assert_found([row for row in found if row.name.startswith("due-")], expected)


class TestWhereDueIsAsked(FiscalTestCase):
	NEVER_EMPTY = frozenset({"creation", "modified", "status_since"})
	"""What is written on every row: by Frappe itself, and with every status (dispatch.new_row, move_to)."""

	def test_each_query_is_tried_above(self):
		tree = ast.parse((APP / "due.py").read_text())
		queries = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} - {"by"}
		tried = {name.removeprefix("test_") for name in dir(TestDue) if name.startswith("test_")}
		self.assertLessEqual(queries, tried)

	def test_no_date_that_may_be_empty_is_compared_elsewhere(self):
		"""Walks all filters of the app: before and until are asked in due.py only."""
		dates = set()
		for path in APP.rglob("doctype/*/*.json"):
			for field in frappe.parse_json(path.read_text()).get("fields", []):
				if field["fieldtype"] in ("Date", "Datetime"):
					dates.add(field["fieldname"])
		self.assertIn("next_attempt", dates)
		found, seen = [], 0
		for path in APP.rglob("*.py"):
			if path.name.startswith("test_") or path.name == "due.py":
				continue
			for node in ast.walk(ast.parse(path.read_text())):
				for field, operator in self.filters(node):
					seen += 1
					if operator in ("<", "<=") and field in dates - self.NEVER_EMPTY:
						found.append(f"{path.relative_to(APP)}:{node.lineno} {field} {operator}")
		self.assertGreater(seen, 20)
		self.assertEqual(found, [])

	@staticmethod
	def filters(node):
		"""The (field, operator) of the filters in a dict or a list."""

		def text(part):
			return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else None

		if isinstance(node, ast.Dict):
			for key, value in zip(node.keys, node.values, strict=True):
				if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == 2 and key and text(key):
					yield text(key), text(value.elts[0])
		elif isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) in (3, 4):
			yield text(node.elts[-3]), text(node.elts[-2])
