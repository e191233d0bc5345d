"""What the chain of exchanges shows when somebody has been at the rows with SQL."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest
from datetime import UTC, datetime

import frappe

from fiscal_integration import api, audit, dispatch, proof
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.proof import CHANGED, INSERTED, REMOVED, Head
from fiscal_integration.providers.http import Exchange
from fiscal_integration.testing import FiscalTestCase

REQUEST = "`tabIntegration Request`"


class ChainCase(FiscalTestCase):
	def chain_of(self, exchanges: int):
		"""An issued sale whose chain has `exchanges` rows: the first ones are answers of "not now"."""
		_, row = self.sell()
		for _attempt in range(exchanges - 1):
			self.sandbox.fault("facturapi", "status", status=429)
			self.turn_time(self.run_job(row))
		row = self.run_job(row)
		self.assertEqual((row.status, row.exchange_count), (lifecycle.ISSUED, exchanges))
		self.assertTrue(proof.verify(row.name).unbroken)
		self.addCleanup(self.forget, row)
		return row

	def forget(self, row):
		"""A broken chain must not stay for the tests that look at all."""
		frappe.db.rollback()
		frappe.db.sql(f"delete from {REQUEST} where fiscal_chain = %s", row.name)
		frappe.db.set_value(
			dispatch.DOCTYPE, row.name, {"exchange_count": 0, "exchange_hash": None}, update_modified=False
		)
		frappe.db.commit()

	def rows(self, row):
		return frappe.get_all(
			audit.REQUEST, {"fiscal_chain": row.name}, ["*"], order_by="fiscal_sequence asc, creation asc"
		)

	def sql(self, statement, *values):
		frappe.db.sql(statement.format(REQUEST), values)
		frappe.db.commit()

	def assert_broken(self, row, kind, number, request=None):
		verdict = proof.verify(row.name)
		self.assertEqual((verdict.kind, verdict.number), (kind, number), verdict.message)
		if request is not None:
			self.assertEqual(verdict.request, request)
		in_all = [entry for entry in proof.verify_all() if entry.chain == row.name]
		self.assertEqual(in_all, [verdict])
		return verdict

	def copy_of(self, request, **values):
		"""Put another row like `request` into the table."""
		values = {**request, "name": frappe.generate_hash(length=10), **values}
		columns = ", ".join(f"`{column}`" for column in values)
		self.sql(f"insert into {{}} ({columns}) values ({', '.join(['%s'] * len(values))})", *values.values())
		return values["name"]


class TestChanged(ChainCase):
	def test_each_field_under_the_hash(self):
		row = self.chain_of(1)
		(request,) = self.rows(row)
		self.assertGreater(len(audit.HASHED), 10)
		for field in audit.HASHED:
			if field in ("fiscal_chain", "fiscal_sequence"):
				continue
			was = request[field]
			with self.subTest(field):
				self.sql(
					f"update {{}} set {field} = %s where name = %s",
					500 if field == "fiscal_http_status" else f"{was}x",
					request.name,
				)
				verdict = self.assert_broken(row, CHANGED, 1)
				self.assertEqual(verdict.time[:5], request.fiscal_started_at[:5])
			self.sql(f"update {{}} set {field} = %s where name = %s", was, request.name)
		self.assertTrue(proof.verify(row.name).unbroken)

	def test_first_middle_and_last(self):
		row = self.chain_of(3)
		for number, request in enumerate(self.rows(row), 1):
			self.sql("update {} set output = concat(output, ' ') where name = %s", request.name)
			verdict = self.assert_broken(row, CHANGED, number, request.name)
			self.assertEqual(verdict.time, request.fiscal_started_at)
			self.sql("update {} set output = %s where name = %s", request.output, request.name)

	def test_with_its_own_hash_it_shows_at_the_next(self):
		row = self.chain_of(3)
		first, second, _third = self.rows(row)
		second.output += "x"
		self.sql(
			"update {} set output = %s, fiscal_hash = %s where name = %s",
			second.output,
			audit.digest(second, first.fiscal_hash),
			second.name,
		)
		verdict = self.assert_broken(row, CHANGED, 3)
		self.assertIn("row 2", verdict.message)

	def test_the_last_with_its_own_hash_shows_at_the_head(self):
		row = self.chain_of(2)
		first, last = self.rows(row)
		last.output += "x"
		self.sql(
			"update {} set output = %s, fiscal_hash = %s where name = %s",
			last.output,
			audit.digest(last, first.fiscal_hash),
			last.name,
		)
		verdict = self.assert_broken(row, CHANGED, 2, last.name)
		self.assertIn("Fiscal Document", verdict.message)

	def test_swapped(self):
		row = self.chain_of(3)
		_first, second, third = self.rows(row)
		self.sql("update {} set fiscal_sequence = 3 where name = %s", second.name)
		self.sql("update {} set fiscal_sequence = 2 where name = %s", third.name)
		self.assert_broken(row, CHANGED, 2, third.name)

	def test_the_bulk_that_a_row_names_is_under_the_hash(self):
		batch = frappe.get_doc(
			{
				"doctype": "Fiscal Batch",
				"kind": "Bulk",
				"status": "Finished",
				"requested_by": "Administrator",
				"started_at": frappe.utils.now_datetime(),
			}
		).insert(ignore_permissions=True)
		_, row = self.sell()
		frappe.db.set_value(dispatch.DOCTYPE, row.name, {"batch": batch.name, "bulk": 1})
		frappe.db.commit()
		row = self.run_job(row)
		self.addCleanup(self.forget, row)
		(request,) = self.rows(row)
		self.assertEqual(request.request_description, f"issue: {batch.name}, Administrator")
		self.assertTrue(proof.verify(row.name).unbroken)
		for other in (f"issue: {batch.name}, Guest", "issue", None):
			self.sql("update {} set request_description = %s where name = %s", other, request.name)
			self.assert_broken(row, CHANGED, 1, request.name)


class TestRemoved(ChainCase):
	def test_first_middle_and_last(self):
		for number in (1, 2, 3):
			with self.subTest(number):
				row = self.chain_of(3)
				self.sql("delete from {} where name = %s", self.rows(row)[number - 1].name)
				self.assert_broken(row, REMOVED, number, "")

	def test_all(self):
		row = self.chain_of(2)
		self.sql("delete from {} where fiscal_chain = %s", row.name)
		verdict = self.assert_broken(row, REMOVED, 1, "")
		self.assertIn("1 to 2", verdict.message)

	def test_and_the_others_given_new_numbers(self):
		row = self.chain_of(3)
		_first, second, third = self.rows(row)
		self.sql("delete from {} where name = %s", second.name)
		self.sql("update {} set fiscal_sequence = 2 where name = %s", third.name)
		self.assert_broken(row, CHANGED, 2, third.name)

	def test_the_fiscal_document(self):
		row = self.chain_of(1)
		(request,) = self.rows(row)
		frappe.db.sql("delete from `tabFiscal Document` where name = %s", row.name)
		frappe.db.set_value(row.reference_doctype, row.reference_name, "fiscal_document", None)
		frappe.db.commit()
		verdict = self.assert_broken(row, REMOVED, 1, request.name)
		self.assertIn("Fiscal Document", verdict.message)


class TestInserted(ChainCase):
	def test_behind_the_last(self):
		row = self.chain_of(2)
		last = self.rows(row)[-1]
		new = {**last, "fiscal_sequence": 3}
		name = self.copy_of(last, fiscal_sequence=3, fiscal_hash=audit.digest(new, last.fiscal_hash))
		self.assert_broken(row, INSERTED, 3, name)

	def test_a_second_of_one_number(self):
		row = self.chain_of(3)
		second = self.rows(row)[1]
		name = self.copy_of(second, output="another", creation="2020-01-01")
		verdict = self.assert_broken(row, INSERTED, 2, name)
		self.assertIn(second.name, verdict.message)

	def test_in_between_with_new_numbers_for_the_rest(self):
		row = self.chain_of(2)
		first, second = self.rows(row)
		self.sql("update {} set fiscal_sequence = 3 where name = %s", second.name)
		new = {**first, "fiscal_sequence": 2, "output": "HTTP 200"}
		self.copy_of(
			first,
			fiscal_sequence=2,
			output="HTTP 200",
			fiscal_hash=audit.digest(new, first.fiscal_hash),
		)
		self.assert_broken(row, INSERTED, 3, second.name)

	def test_without_a_number(self):
		row = self.chain_of(1)
		name = self.copy_of(self.rows(row)[0], fiscal_sequence=0)
		verdict = proof.verify(row.name)
		self.assertEqual((verdict.kind, verdict.request), (INSERTED, name))

	def test_beside_the_chain(self):
		row = self.chain_of(1)
		name = self.copy_of(self.rows(row)[0], fiscal_chain="elsewhere")
		verdict = proof.verify(row.name)
		self.sql("delete from {} where name = %s", name)
		self.assertEqual((verdict.kind, verdict.request), (INSERTED, name))
		self.assertTrue(proof.verify(row.name).unbroken)

	def test_in_no_chain_at_all(self):
		row = self.chain_of(1)
		name = self.copy_of(self.rows(row)[0], fiscal_chain=None, fiscal_document=None, fiscal_sequence=0)
		found = [verdict for verdict in proof.verify_all() if verdict.request == name]
		self.sql("delete from {} where name = %s", name)
		self.assertEqual([verdict.kind for verdict in found], [INSERTED])


class TestHeads(ChainCase):
	"""Who computes everything anew is found out by heads that were kept elsewhere."""

	def forge(self, row):
		"""Change the first row and make everything behind it fit, the Fiscal Document too."""
		previous = ""
		for request in self.rows(row):
			if request.fiscal_sequence == 1:
				request.output = "HTTP 500"
			request.fiscal_hash = audit.digest(request, previous)
			self.sql(
				"update {} set output = %s, fiscal_hash = %s where name = %s",
				request.output,
				request.fiscal_hash,
				request.name,
			)
			previous = request.fiscal_hash
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "exchange_hash", previous, update_modified=False)
		frappe.db.commit()

	def test_the_whole_chain_done_over_fits_itself_but_not_what_was_written_down(self):
		row = self.chain_of(3)
		kept = Head(row.exchange_count, row.exchange_hash)
		self.forge(row)
		self.assertTrue(proof.verify(row.name).unbroken, "as docs/audit.md says")
		verdict = proof.verify(row.name, kept)
		self.assertEqual((verdict.kind, verdict.number), (CHANGED, 3))

	def test_what_was_added_since_they_were_written_does_no_harm(self):
		row = self.chain_of(3)
		second = self.rows(row)[1]
		self.assertTrue(proof.verify(row.name, Head(2, second.fiscal_hash)).unbroken)
		self.assertEqual(proof.verify(row.name, Head(2, "0" * 64)).number, 2)

	def test_written_and_read_back(self):
		row = self.chain_of(2)
		path = os.path.join(tempfile.mkdtemp(), "heads.csv")
		said = []
		filters = [["Fiscal Document", "name", "=", row.name]]
		self.assertEqual(proof.tell(said.append, proof.verify_all(filters), path), 0)
		self.assertEqual(said, ["Unbroken: 1 chains with 2 rows."])
		kept = proof.read_heads(path)
		self.assertEqual(kept, {row.name: Head(2, row.exchange_hash)})
		self.forge(row)
		self.assertEqual(proof.tell(said.append, proof.verify_all(filters, kept)), 1)
		self.assertIn(row.reference_name, said[1])
		self.assertEqual(said[2], "1 of 1 chains are broken.")
		with open(path, "w") as file:
			file.write("name,hash\n")
		with self.assertRaises(ValueError):
			proof.read_heads(path)

	def test_a_record_that_is_gone_altogether(self):
		found = [
			verdict for verdict in proof.verify_all(kept={"gone": Head(2, "x")}) if verdict.chain == "gone"
		]
		self.assertEqual([verdict.kind for verdict in found], [REMOVED])


class TestConnections(ChainCase):
	def setUp(self):
		super().setUp()
		self.chain = "Fiscal Integration Settings"
		frappe.db.sql(f"delete from {REQUEST} where fiscal_chain = %s", self.chain)
		frappe.db.commit()
		for _ping in range(2):
			self.assertTrue(api.ping(self.chain, self.chain)["ok"])
		self.addCleanup(self.sql, "delete from {} where fiscal_chain = %s", self.chain)
		self.requests = self.rows(frappe._dict(name=self.chain))

	def test_the_pings_have_a_chain_too(self):
		self.assertGreater(len(self.requests), 3)
		verdict = proof.verify(self.chain)
		self.assertEqual((verdict.kind, verdict.head.count), ("", len(self.requests)))
		self.assertIn(verdict, list(proof.verify_all()))
		self.sql("update {} set url = 'x' where name = %s", self.requests[1].name)
		verdict = proof.verify(self.chain)
		self.assertEqual((verdict.kind, verdict.request), (CHANGED, self.requests[1].name))

	def test_longer_than_a_page(self):
		was, proof.PAGE = proof.PAGE, 2
		self.addCleanup(setattr, proof, "PAGE", was)
		self.assertEqual(proof.verify(self.chain).head.count, len(self.requests))

	def test_what_is_taken_from_the_end_shows_against_written_heads_only(self):
		last = self.requests[-1]
		self.sql("delete from {} where name = %s", last.name)
		self.assertTrue(proof.verify(self.chain).unbroken, "as docs/audit.md says")
		kept = Head(len(self.requests), last.fiscal_hash)
		self.assertEqual(proof.verify(self.chain, kept).kind, REMOVED)

	def test_a_name_without_a_record(self):
		with self.assertRaises(frappe.DoesNotExistError):
			proof.verify("nothing-of-that-name")


class TestPersons(ChainCase):
	"""What persons do is in the chain, with their name."""

	def acts(self, row):
		return [
			(request.fiscal_operation, frappe.parse_json(request.data))
			for request in self.rows(row)
			if not request.is_remote_request
		]

	def test_sent_again_and_asked(self):
		_, row = self.sell()
		self.addCleanup(self.forget, row)
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request", message="No")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		error = row.error_message
		api.retry(row.name)
		frappe.db.commit()
		self.sandbox.fault("facturapi", "lost_after_commit")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.UNKNOWN)
		api.ask_provider(row.name)
		frappe.db.commit()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(
			self.acts(row),
			[
				(audit.RETRY, {"user": "Administrator", "error": error}),
				(audit.ASK, {"user": "Administrator", "status": lifecycle.UNKNOWN}),
			],
		)
		verdict = proof.verify(row.name)
		self.assertEqual((verdict.kind, verdict.head.count), ("", row.exchange_count))
		(request,) = [entry for entry in self.rows(row) if entry.fiscal_operation == audit.RETRY]
		data = request.data.replace("Administrator", "Guest")
		self.sql("update {} set data = %s where name = %s", data, request.name)
		self.assert_broken(row, CHANGED, request.fiscal_sequence, request.name)

	def test_what_is_not_done_leaves_no_entry(self):
		row = self.chain_of(1)
		with self.assertRaises(frappe.ValidationError):
			api.retry(row.name)
		frappe.db.rollback()
		self.assertEqual(self.acts(row), [])

	def test_a_document_that_was_never_sent(self):
		_, row = self.sell()
		self.addCleanup(self.forget, row)
		api.ask_provider(row.name)
		frappe.db.commit()
		(request,) = self.rows(row)
		self.assertEqual(request.fiscal_provider, audit.NO_PROVIDER)
		self.assertTrue(proof.verify(row.name).unbroken)
		self.assertEqual(self.run_job(row).exchange_count, 2)
		self.assertTrue(proof.verify(row.name).unbroken)


class TestWhatAnAnswerHolds(ChainCase):
	def test_marks_that_frappe_would_clean_away(self):
		row = self.chain_of(1)
		recorder = audit.Recorder("facturapi", {"secret_key": Secret("sk")}, row.name)
		recorder(
			Exchange(
				operation="reconcile",
				method="GET",
				url="https://example.com/<b onclick=x>",
				request_headers={},
				request_body=b"<script>alert(1)</script>",
				started_at=datetime.now(UTC),
				status=200,
				response_body="<a href=javascript:x>ü \N{GRINNING FACE}</a>\r\n\t ".encode(),
				correlation_id="<i onload=x>1</i>",
			)
		)
		recorder.keep(row)
		verdict = proof.verify(row.name)
		self.assertEqual((verdict.kind, verdict.head.count), ("", 2), verdict.message)


class TestDoor(ChainCase):
	def test_the_button_says_what_the_chain_says(self):
		row = self.chain_of(2)
		self.assertEqual(api.verify_record(row.name)["unbroken"], True)
		request = self.rows(row)[0]
		self.sql("update {} set data = 'x' where name = %s", request.name)
		answer = api.verify_record(row.name)
		self.assertEqual(
			(answer["unbroken"], answer["broken"][0]["request"], answer["broken"][0]["number"]),
			(False, request.name, 1),
		)

	def test_of_a_period(self):
		row = self.chain_of(1)
		today = frappe.utils.nowdate()
		answer = api.verify_record(company=row.company, from_date=today, to_date=today)
		self.assertTrue(answer["unbroken"])
		self.assertGreater(answer["chains"], 0)
		self.sql("delete from {} where fiscal_chain = %s", row.name)
		answer = api.verify_record(company=row.company, from_date=today, to_date=today)
		self.assertEqual([entry["chain"] for entry in answer["broken"]], [row.name])

	def test_a_cashier_may_not(self):
		row = self.chain_of(1)
		user = "cashier-proof@example.com"
		if not frappe.db.exists("User", user):
			frappe.get_doc(
				{"doctype": "User", "email": user, "first_name": "Till", "send_welcome_email": 0}
			).insert(ignore_permissions=True)
		frappe.set_user(user)
		with self.assertRaises(frappe.PermissionError):
			api.verify_record(row.name)
		with self.assertRaises(frappe.PermissionError):
			api.verify_record(company=row.company)


@unittest.skipUnless(importlib.util.find_spec("frappe.commands"), "a command of bench needs a bench")
class TestCommand(ChainCase):
	def command(self, *arguments):
		done = subprocess.run(
			[
				sys.executable,
				"-m",
				"frappe.utils.bench_helper",
				"frappe",
				"--site",
				frappe.local.site,
				"fiscal-verify",
				*arguments,
			],
			cwd=os.path.abspath(frappe.local.sites_path),
			capture_output=True,
			text=True,
			check=False,
		)
		return done.returncode, done.stdout.strip(), done.stderr

	def test_it_names_what_is_broken_and_exits_with_one(self):
		row = self.chain_of(2)
		heads = os.path.join(tempfile.mkdtemp(), "heads.csv")
		code, said, error = self.command("--document", row.name, "--write-heads", heads)
		self.assertEqual((code, said), (0, "Unbroken: 1 chains with 2 rows."), error)
		self.sql("update {} set data = 'x' where name = %s", self.rows(row)[1].name)
		code, said, error = self.command("--document", row.name)
		self.assertEqual(code, 1, error)
		self.assertIn(self.rows(row)[1].name, said)
		today = frappe.utils.nowdate()
		code, said, error = self.command("--from", today, "--to", today, "--against", heads)
		self.assertEqual(code, 1, error)
		self.assertIn(row.name, said)
		self.assertEqual(self.command("--from", "2001-01-01", "--to", "2001-01-02")[0], 0)
		self.assertNotEqual(self.command("--document", "nothing-of-that-name")[0], 0)
