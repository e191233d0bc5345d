from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, get_datetime, now_datetime

from fiscal_integration import api, by_hand, dispatch, files
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.pdf_route import FiscalFile
from fiscal_integration.testing import FiscalTestCase


class TestFiles(FiscalTestCase):
	def get(self, path):
		renderer = FiscalFile(path)
		self.assertTrue(renderer.can_render(), path)
		return renderer.render()

	@staticmethod
	def path(doc) -> str:
		return f"{doc.doctype.lower().replace(' ', '-')}/{doc.name}"

	def test_pdf_and_xml_are_fetched_once_and_kept_privately(self):
		doc, row = self.sell()
		row = self.run_job(row)
		for kind in ("pdf", "xml"):
			url = api.fetch_file(doc.doctype, doc.name, kind)
			self.assertEqual(api.fetch_file(doc.doctype, doc.name, kind), url)
			self.assertEqual(url, f"/{self.path(doc)}/fiscal/{kind}")
			kept = self.fresh(row).get(kind)
			file = frappe.get_doc("File", {"file_url": kept, "attached_to_name": doc.name})
			self.assertEqual((file.is_private, file.file_name), (1, f"{doc.name}-fiscal.{kind}"))
			asked = [
				request
				for request in self.sandbox.requests("facturapi")
				if request["path"].endswith(f"/{kind}")
			]
			self.assertEqual(len(asked), 1)

	def test_the_route(self):
		doc, row = self.sell()
		path = f"{self.path(doc)}/fiscal/pdf"
		answer = self.get(path)
		self.assertEqual(answer.status_code, 409)
		self.assertIn("Queued", answer.get_data(as_text=True))
		self.run_job(row)
		answer = self.get(path)
		self.assertEqual((answer.status_code, answer.mimetype), (200, "application/pdf"))
		self.assertTrue(answer.get_data().startswith(b"%PDF"))
		self.assertIn(f"{doc.name}-fiscal.pdf", answer.headers["Content-Disposition"])
		self.assertEqual(self.get(f"{self.path(doc)}/fiscal/xml").mimetype, "application/xml")

	def test_who_may_not_read_is_told_nothing(self):
		doc, row = self.sell()
		self.run_job(row)
		self.assertEqual(self.get("pos-invoice/NO-SUCH/fiscal/pdf").status_code, 404)
		frappe.set_user("Guest")
		self.assertEqual(self.get(f"{self.path(doc)}/fiscal/pdf").status_code, 404)

	def test_other_paths_are_not_ours(self):
		for path in ("", "sales-invoice/X", "customer/X/fiscal/pdf", "sales-invoice/X/fiscal/exe"):
			self.assertFalse(FiscalFile(path).can_render(), path)

	def test_a_provider_that_gives_no_file(self):
		doc, row = self.sell()
		self.run_job(row)
		self.sandbox.fault("facturapi", "status", operation="pdf", status=500)
		self.assertEqual(self.get(f"{self.path(doc)}/fiscal/pdf").status_code, 502)
		row = dispatch.find(doc.doctype, doc.name)
		self.assertEqual((row.status, row.pdf or ""), ("Issued", ""))


class TestKeeping(FiscalTestCase):
	def setUp(self):
		super().setUp()
		self.connect(keep_xml=1)
		self.addCleanup(self.connect)
		# What other tests left to be kept is none of this one's.
		frappe.db.set_value(dispatch.DOCTYPE, {"status": lifecycle.ISSUED}, "next_attempt", None)
		frappe.db.commit()
		jobs = patch.object(dispatch, "enqueue_job")
		self.jobs = jobs.start()
		self.addCleanup(jobs.stop)

	def issued(self):
		doc, row = self.sell()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		return doc, row

	def asked(self):
		return len([entry for entry in self.sandbox.requests("facturapi") if entry["path"].endswith("/xml")])

	def make_due(self, row, **values):
		values["next_attempt"] = add_to_date(now_datetime(), seconds=-1)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, values, update_modified=False)
		frappe.db.commit()

	def test_it_is_fetched_as_soon_as_it_is_issued(self):
		_, row = self.issued()
		(job,) = [
			call for call in self.jobs.call_args_list if call.args[0] == "fiscal_integration.files.keep"
		]
		self.assertEqual((job.args[1], job.kwargs), ("default", {"document": row.name}))
		files.keep(row.name)
		row = self.fresh(row)
		self.assertTrue(row.xml)
		self.assertIsNone(row.next_attempt)
		self.assertEqual((row.status, self.asked()), ("Issued", 1))
		self.assertIn(row.fiscal_id, files.file_of(row, "xml").get_content())
		files.keep(row.name)
		self.assertEqual(self.asked(), 1)
		operations = frappe.get_all(
			"Integration Request", {"fiscal_document": row.name}, pluck="fiscal_operation"
		)
		self.assertEqual(sorted(operations), ["issue", "xml"])

	def test_what_the_provider_does_not_give_is_asked_for_again_later(self):
		_, row = self.issued()
		self.sandbox.fault("facturapi", "status", operation="xml", status=500)
		files.keep(row.name)
		row = self.fresh(row)
		self.assertIsNone(row.xml)
		self.assertGreater(get_datetime(row.next_attempt), now_datetime())
		files.keep(row.name)
		self.assertEqual(self.asked(), 1)
		self.make_due(row)
		self.jobs.reset_mock()
		files.sweep()
		self.assertEqual(self.jobs.call_args.args[0], "fiscal_integration.files.keep_due")
		files.keep_due()
		self.assertTrue(self.fresh(row).xml)

	def test_what_never_comes_is_given_up(self):
		_, row = self.issued()
		self.sandbox.fault("facturapi", "status", operation="xml", status=404)
		self.make_due(row, status_since=add_to_date(now_datetime(), seconds=-files.LAST_TRY - 1))
		files.keep_due()
		row = self.fresh(row)
		self.assertEqual((row.status, row.xml, row.next_attempt), ("Issued", None, None))

	def test_a_defect_of_ours_is_not_tried_without_end(self):
		_, row = self.issued()
		self.make_due(row)
		with patch.object(files, "file_of", side_effect=RuntimeError("disk full")) as tried:
			files.keep_due()
		self.assertEqual(tried.call_count, 1)
		self.assertGreater(get_datetime(self.fresh(row).next_attempt), now_datetime())

	def test_what_cannot_even_be_read_is_tried_once_in_a_run(self):
		_, row = self.issued()
		self.make_due(row)
		with patch.object(files, "_set_next", side_effect=frappe.QueryTimeoutError) as tried:
			files.keep_due()
		self.assertEqual(tried.call_count, 1)

	def test_while_the_provider_is_down_nothing_is_asked(self):
		_, row = self.issued()
		with patch("fiscal_integration.circuit.look") as look:
			look.return_value.open = True
			files.keep(row.name)
		self.assertEqual(self.asked(), 0)
		self.assertTrue(self.fresh(row).next_attempt)

	def test_off_nothing_is_due(self):
		self.connect()
		_, row = self.issued()
		self.assertIsNone(row.next_attempt)
		self.assertEqual(self.jobs.call_args_list, [])

	def test_what_a_person_took_over_is_kept_too(self):
		self.sandbox.fault("facturapi", "wrong_total")
		_, row = self.sell()
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)
		by_hand.take_over(row.name)
		frappe.db.commit()
		self.assertTrue(self.fresh(row).next_attempt)

	def test_in_bulk_it_is_left_to_the_sweep(self):
		_, row = self.sell()
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "bulk", 1)
		frappe.db.commit()
		row = self.run_job(row)
		self.assertTrue(row.next_attempt)
		self.assertEqual(self.jobs.call_args_list, [])
