"""The reports Fiscal Audit Trail and Fiscal Reconciliation, against what really happened."""

import importlib.util
import json
import unittest
from io import BytesIO

import frappe
from frappe.utils import add_days, nowdate

from fiscal_integration import api, audit, cancellation, dispatch, numbering, sample
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal_integration.report.fiscal_audit_trail import fiscal_audit_trail as trail
from fiscal_integration.fiscal_integration.report.fiscal_reconciliation import (
	fiscal_reconciliation as reconciliation,
)
from fiscal_integration.testing import FiscalTestCase

CASHIER = "cashier-reports@example.com"
ON_BENCH = (
	bool(importlib.util.find_spec("frappe.desk.query_report"))
	if importlib.util.find_spec("frappe.desk")
	else False
)


def user(email: str, *roles: str) -> str:
	if not frappe.db.exists("User", email):
		doc = frappe.get_doc(
			{"doctype": "User", "email": email, "first_name": email.split("@")[0], "send_welcome_email": 0}
		).insert(ignore_permissions=True)
		doc.add_roles(*roles)
		frappe.db.commit()
	return email


class TestTrail(FiscalTestCase):
	def rows(self, **filters):
		columns, rows, message, _chart, summary = trail.execute(filters)
		self.columns, self.message = columns, message
		self.summary = {entry["label"]: entry["value"] for entry in summary}
		return rows

	def sequence(self):
		"""A sale that is refused, sent again by a manager, issued, and cancelled at the authority and here."""
		self.connect(enable_cancellation=1)
		self.addCleanup(self.connect, enable_cancellation=0)
		manager = user("manager-reports@example.com", "Fiscal Manager", "System Manager", "Accounts Manager")
		doc, row = self.sell()
		self.sandbox.fault(
			"facturapi", "status", status=400, code="invalid_request", message="No <b>good</b>"
		)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		frappe.set_user(manager)
		api.retry(row.name)
		frappe.db.commit()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		cancellation.request(row.name, "The sale did not take place", motive="02")
		frappe.db.commit()
		cancellation.process(row.name)
		row = self.fresh(row)
		self.assertEqual(row.cancellation_status, lifecycle.CANCELLED, row.cancellation_message)
		doc = frappe.get_doc(doc.doctype, doc.name)
		if doc.docstatus == 1:
			doc.cancel()
		frappe.db.commit()
		frappe.set_user("Administrator")
		return doc, row, manager

	def test_every_event_in_order_with_who(self):
		doc, row, manager = self.sequence()
		rows = self.rows(fiscal_document=row.name)
		requests = frappe.get_all(
			audit.REQUEST, {"fiscal_chain": row.name}, ["*"], order_by="fiscal_sequence asc"
		)
		told = [
			(entry["event"], entry["who"]) for entry in rows if entry["event"] != "Fiscal document: Issued"
		]
		self.assertEqual(told[0], ("Invoice submitted", "Administrator"))
		wanted = [
			("Sent to the provider", "Administrator"),
			("Queued again", manager),
			("Sent to the provider", manager),
			("Cancellation requested", manager),
			("Cancellation sent", manager),
		]
		self.assertEqual([entry for entry in told if entry in wanted], wanted)
		self.assertEqual([event for event, _who in told].count("Cancelled at the authority"), 1)
		self.assertIn(("Invoice cancelled in ERPNext", manager), told)
		times = [entry["time"] for entry in rows]
		self.assertEqual(times, sorted(times))
		shown = [entry for entry in rows if entry["exchange"]]
		self.assertEqual([entry["exchange"] for entry in shown], [request.name for request in requests])
		self.assertEqual([entry["hash"] for entry in shown], [request.fiscal_hash for request in requests])
		self.assertEqual({entry["chain"] for entry in shown}, {"holds"})
		refused, _again, issued, asked, _cancelled = shown[:5]
		self.assertEqual((refused["http_status"], refused["outcome"]), ("400", "Refused"))
		self.assertEqual(issued["outcome"], "Answered")
		self.assertIn(row.external_reference, issued["request"])
		self.assertIn(row.fiscal_id, issued["answer"])
		self.assertIn("02", asked["outcome"])
		self.assertNotIn("<", "".join(str(value) for entry in rows for value in entry.values()))
		self.assertEqual(self.summary["Broken Chains"], 0)
		self.assertEqual(self.summary["Events"], len(rows))
		by_invoice = self.rows(invoice=doc.name, reference_doctype=doc.doctype)
		self.assertEqual(by_invoice, rows)

	def test_a_period_holds_what_happened_in_it(self):
		_doc, row = self.sell()
		row = self.run_job(row)
		api.ping("Fiscal Integration Settings", "Fiscal Integration Settings")
		today = nowdate()
		rows = self.rows(company=sample.COMPANY, from_date=today, to_date=today)
		own = [entry for entry in rows if entry["fiscal_document"] == row.name]
		self.assertEqual(own, self.rows(fiscal_document=row.name))
		self.assertTrue([entry for entry in rows if entry["event"] == "Connection tested"])
		self.assertEqual({entry["company"] for entry in rows}, {sample.COMPANY})
		past = self.rows(company=sample.COMPANY, from_date="2001-01-01", to_date="2001-12-31")
		self.assertEqual(past, [])
		with self.assertRaises(frappe.ValidationError):
			self.rows(company=sample.COMPANY)

	def test_what_was_changed_and_removed_is_marked(self):
		_doc, row = self.sell()
		self.sandbox.fault("facturapi", "status", status=429)
		self.turn_time(self.run_job(row))
		row = self.run_job(row)
		first, second = frappe.get_all(
			audit.REQUEST, {"fiscal_chain": row.name}, ["name", "data"], order_by="fiscal_sequence asc"
		)
		frappe.db.sql("update `tabIntegration Request` set data = 'x' where name = %s", first.name)
		rows = self.rows(fiscal_document=row.name)
		marks = {entry["exchange"]: entry["chain"] for entry in rows if entry["exchange"]}
		self.assertIn("Row 1 was changed", marks[first.name])
		self.assertEqual(marks[second.name], "behind the break")
		self.assertIn(first.name, self.message)
		self.assertEqual(self.summary["Broken Chains"], 1)
		frappe.db.sql("delete from `tabIntegration Request` where name = %s", first.name)
		rows = self.rows(fiscal_document=row.name)
		(gone,) = [entry for entry in rows if entry["event"] == "Record removed"]
		self.assertEqual(gone["outcome"], "Row 1 was removed.")
		self.assertLess(
			rows.index(gone), [entry["exchange"] for entry in rows].index(second.name), "where it was"
		)
		frappe.db.rollback()

	def test_long_texts_are_shortened_and_whole_in_a_file(self):
		_doc, row = self.sell()
		row = self.run_job(row)
		frappe.db.sql(
			"update `tabIntegration Request` set output = %s where fiscal_chain = %s", ("y" * 9000, row.name)
		)
		(entry,) = [entry for entry in self.rows(fiscal_document=row.name) if entry["exchange"]]
		self.assertLess(len(entry["answer"]), 2100)
		self.assertIn("9000", entry["answer"])
		frappe.local.form_dict.file_format_type = "Excel"
		self.addCleanup(frappe.local.form_dict.pop, "file_format_type", None)
		(entry,) = [entry for entry in self.rows(fiscal_document=row.name) if entry["exchange"]]
		self.assertEqual(entry["answer"], "y" * 9000)
		frappe.db.rollback()


class ReconciliationCase(FiscalTestCase):
	def findings(self, kind="", company=None, **filters):
		filters = {
			"company": company or self.shop.company,
			"from_date": add_days(nowdate(), -1),
			"to_date": add_days(nowdate(), 1),
			"kind": kind,
			**filters,
		}
		_columns, rows, self.message, _chart, summary = reconciliation.execute(filters)
		self.summary = {entry["label"]: entry["value"] for entry in summary}
		return rows

	def found(self, doc, **filters):
		return [row for row in self.findings(**filters) if row["invoice"] == doc.name]

	def issue(self, **values):
		doc, row = self.sell(**values)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		return doc, row


class TestReconciliation(ReconciliationCase):
	def test_what_agrees_is_no_finding(self):
		for doctype in (None, "Sales Invoice"):
			doc, _row = self.issue(doctype=doctype)
			self.assertEqual(self.found(doc), [])
			note = sample.credit_note(doc)
			frappe.db.commit()
			self.run_job(dispatch.find(note.doctype, note.name))
			self.assertEqual(self.found(note), [])

	def test_submitted_but_not_issued(self):
		doc, row = self.sell()
		self.sandbox.fault(
			"facturapi", "status", status=400, code="invalid_request", message="No <i>good</i>"
		)
		row = self.run_job(row)
		(finding,) = self.found(doc)
		self.assertEqual(
			(finding["kind"], finding["status"]), (reconciliation.NOT_ISSUED, lifecycle.REJECTED)
		)
		self.assertEqual(finding["fiscal_document"], row.name)
		self.assertEqual(finding["todo"], lifecycle.STATES[lifecycle.REJECTED].todo)
		self.assertNotIn("<", finding["detail"])
		self.assertEqual(self.found(doc, kind=reconciliation.NOT_ISSUED), [finding])
		self.assertEqual(self.found(doc, kind=reconciliation.AMOUNTS), [])
		self.assertEqual(self.found(doc, from_date="2001-01-01", to_date="2001-12-31"), [])

	def test_issued_but_cancelled_in_erpnext(self):
		doc, row = self.issue()
		# Past the app, which refuses it.
		frappe.db.set_value(doc.doctype, doc.name, "docstatus", 2, update_modified=False)
		(finding,) = self.found(doc)
		self.assertEqual((finding["kind"], finding["detail"]), (reconciliation.CANCELLED_HERE, row.fiscal_id))
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "cancellation_status", lifecycle.CANCELLED)
		self.assertEqual(self.found(doc), [])
		frappe.db.rollback()

	def test_issued_and_the_invoice_is_gone(self):
		doc, row = self.issue()
		frappe.db.sql(f"delete from `tab{doc.doctype}` where name = %s", doc.name)
		(finding,) = self.found(doc)
		self.assertEqual(finding["kind"], reconciliation.CANCELLED_HERE)
		self.assertIn(row.fiscal_id, finding["detail"])
		frappe.db.rollback()

	def test_cancelled_at_the_authority_only(self):
		self.connect(enable_cancellation=1)
		self.addCleanup(self.connect, enable_cancellation=0)
		doc, row = self.issue()
		cancellation.request(row.name, "The sale did not take place", motive="02")
		frappe.db.commit()
		cancellation.process(row.name)
		self.assertEqual(self.fresh(row).cancellation_status, lifecycle.CANCELLED)
		(finding,) = self.found(doc)
		self.assertEqual(finding["kind"], reconciliation.CANCELLED_THERE)
		frappe.get_doc(doc.doctype, doc.name).cancel()
		frappe.db.commit()
		self.assertEqual(self.found(doc), [])

	def test_amounts_that_differ(self):
		doc, row = self.issue()
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "provider_total", row.provider_total + 1.5)
		(finding,) = self.found(doc)
		self.assertEqual((finding["kind"], finding["difference"]), (reconciliation.AMOUNTS, 1.5))
		self.assertEqual((finding["ours"], finding["theirs"]), (doc.grand_total, doc.grand_total + 1.5))
		frappe.db.rollback()
		frappe.db.set_value(doc.doctype, doc.name, "grand_total", doc.grand_total + 0.01)
		(finding,) = self.found(doc)
		self.assertEqual((finding["kind"], finding["difference"]), (reconciliation.AMOUNTS, -0.01))
		frappe.db.rollback()
		# Zero: the provider told none.
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "provider_total", 0)
		self.assertEqual(self.found(doc), [])
		frappe.db.rollback()

	def test_in_scope_without_a_fiscal_document(self):
		self.switch_off()
		found = sample.invoice(), sample.invoice(doctype="Sales Invoice")
		opening = sample.invoice(doctype="Sales Invoice")
		draft = sample.invoice(submit=False)
		frappe.db.set_value("Sales Invoice", opening.name, "is_opening", "Yes")
		outside = sample.invoice()
		frappe.db.set_value(outside.doctype, outside.name, "fiscal_status", "Not Required")
		frappe.db.commit()
		self.connect()
		for doc in found:
			(finding,) = self.found(doc)
			self.assertEqual(
				(finding["kind"], finding["reference_doctype"], finding["ours"]),
				(reconciliation.NO_DOCUMENT, doc.doctype, doc.grand_total),
			)
		for doc in (opening, draft, outside):
			self.assertEqual(self.found(doc), [])

	def test_a_consolidation_of_pos_invoices_needs_none(self):
		self.where_tills_make("POS Invoice")
		self.switch_off()
		part, whole = sample.invoice(), sample.invoice(doctype="Sales Invoice")
		frappe.db.set_value("Sales Invoice", whole.name, "is_consolidated", 1)
		item = whole.items[0].name
		self.assertEqual(len(self.found(whole)), 1, "it only says so")
		frappe.db.set_value("Sales Invoice Item", item, "pos_invoice", part.name)
		self.assertEqual(self.found(whole), [])
		frappe.db.rollback()

	def test_the_summary_counts_each_kind_and_what_is_not_shown(self):
		self.switch_off()
		for _sale in range(3):
			sample.invoice()
		frappe.db.commit()
		rows = self.findings()
		self.assertEqual(list(self.summary), list(reconciliation.KINDS))
		for kind in reconciliation.KINDS:
			self.assertEqual(self.summary[kind], len([row for row in rows if row["kind"] == kind]))
		was, reconciliation.LIMIT = reconciliation.LIMIT, 2
		self.addCleanup(setattr, reconciliation, "LIMIT", was)
		self.assertEqual(len(self.findings(kind=reconciliation.NO_DOCUMENT)), 2)
		self.assertGreaterEqual(self.summary[reconciliation.NO_DOCUMENT], 3)
		self.assertTrue(self.message)

	def test_generate_makes_the_missing_ones(self):
		self.switch_off()
		doc = sample.invoice()
		frappe.db.commit()
		self.connect()
		self.assertEqual(len(self.found(doc)), 1)
		answer = api.start_bulk(doc.doctype, json.dumps([doc.name]))
		self.assertTrue(answer["batch"])
		row = self.run_job(dispatch.find(doc.doctype, doc.name))
		self.assertEqual(row.status, lifecycle.ISSUED, row.error_message)
		self.assertEqual(self.found(doc), [])


class TestMissingNumbers(ReconciliationCase):
	provider = "hka"
	shop = sample.PANAMA

	def gaps(self, sequence):
		place = f"({sequence.branch_code}/{sequence.point_code}, {sequence.environment})"
		return [
			(row["detail"].partition(" (")[0], row["fiscal_document"])
			for row in self.findings(kind=reconciliation.NUMBER)
			if row["detail"].endswith(place)
		]

	def test_a_number_that_was_taken_out(self):
		rows = [self.issue()[1] for _sale in range(4)]
		sequence = frappe.get_doc(numbering.SEQUENCE, rows[0].sequence)
		before = self.gaps(sequence)
		for row in rows[1:3]:
			frappe.db.sql("delete from `tabFiscal Document` where name = %s", row.name)
		numbers = f"{rows[1].sequence_number} - {rows[2].sequence_number}"
		self.assertEqual(self.gaps(sequence), [*before, (numbers, rows[3].name)])
		frappe.db.sql("delete from `tabFiscal Document` where name = %s", rows[3].name)
		numbers = f"{rows[1].sequence_number} - {rows[3].sequence_number}"
		self.assertEqual(self.gaps(sequence), [*before, (numbers, None)])
		frappe.db.rollback()
		self.assertEqual(self.gaps(sequence), before)


@unittest.skipUnless(ON_BENCH, "Frappe's own reports, with their roles and exports, need a bench")
class TestAsFrappeRunsThem(FiscalTestCase):
	REPORTS = ("Fiscal Audit Trail", "Fiscal Reconciliation")

	def filters(self):
		return {"company": sample.COMPANY, "from_date": nowdate(), "to_date": nowdate()}

	def test_a_cashier_is_refused(self):
		from frappe.desk import query_report

		frappe.set_user(user(CASHIER, "Accounts User"))
		for name in self.REPORTS:
			with self.assertRaises(frappe.PermissionError):
				query_report.run(name, self.filters())

	def test_a_fiscal_user_reads_and_sees_only_own_companies(self):
		from frappe.desk import query_report

		_doc, row = self.sell()
		self.run_job(row)
		email = user("clerk-reports@example.com", "Fiscal User")
		frappe.set_user(email)
		for name in self.REPORTS:
			self.assertTrue(query_report.run(name, self.filters())["columns"])
		seen = query_report.run("Fiscal Audit Trail", self.filters())["result"]
		self.assertIn(row.name, {entry["fiscal_document"] for entry in seen})
		frappe.set_user("Administrator")
		sample.set_up_panama()
		permission = frappe.get_doc(
			{
				"doctype": "User Permission",
				"user": email,
				"allow": "Company",
				"for_value": sample.PANAMA.company,
				"apply_to_all_doctypes": 1,
			}
		).insert(ignore_permissions=True)
		frappe.set_user(email)
		for name in self.REPORTS:
			with self.assertRaises(frappe.PermissionError):
				query_report.run(name, self.filters())
			self.assertEqual(
				query_report.run(name, {**self.filters(), "company": sample.PANAMA.company})["status"], None
			)
		with self.assertRaises(frappe.PermissionError):
			query_report.run("Fiscal Audit Trail", {"fiscal_document": row.name})
		frappe.set_user("Administrator")
		permission.delete()
		frappe.db.commit()

	def test_the_spreadsheet_holds_request_and_answer(self):
		import openpyxl
		from frappe.desk import query_report

		_doc, row = self.sell()
		row = self.run_job(row)
		frappe.local.form_dict = frappe._dict(
			report_name="Fiscal Audit Trail",
			file_format_type="Excel",
			filters=json.dumps({"fiscal_document": row.name}),
			visible_idx="[]",
			custom_columns="[]",
		)
		self.addCleanup(frappe.local.form_dict.clear)
		query_report.export_query()
		sheet = openpyxl.load_workbook(BytesIO(frappe.response["filecontent"])).active
		lines = ["|".join(str(cell.value or "") for cell in line) for line in sheet.iter_rows()]
		sent = [line for line in lines if "Sent to the provider" in line]
		self.assertEqual(len(sent), 1)
		self.assertIn(row.external_reference, sent[0])
		self.assertIn(row.fiscal_id, sent[0])
		self.assertIn(row.exchange_hash, sent[0])
