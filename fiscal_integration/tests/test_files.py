import frappe

from fiscal_integration import api, dispatch
from fiscal_integration.pdf_route import FiscalFile
from fiscal_integration.testing import FiscalTestCase


class TestFiles(FiscalTestCase):
	def get(self, path):
		renderer = FiscalFile(path)
		self.assertTrue(renderer.can_render(), path)
		return renderer.render()

	def test_pdf_and_xml_are_fetched_once_and_kept_privately(self):
		doc, row = self.sell()
		row = self.run_job(row)
		for kind in ("pdf", "xml"):
			url = api.fetch_file(doc.doctype, doc.name, kind)
			self.assertEqual(api.fetch_file(doc.doctype, doc.name, kind), url)
			self.assertEqual(url, f"/pos-invoice/{doc.name}/fiscal/{kind}")
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
		path = f"pos-invoice/{doc.name}/fiscal/pdf"
		answer = self.get(path)
		self.assertEqual(answer.status_code, 409)
		self.assertIn("Queued", answer.get_data(as_text=True))
		self.run_job(row)
		answer = self.get(path)
		self.assertEqual((answer.status_code, answer.mimetype), (200, "application/pdf"))
		self.assertTrue(answer.get_data().startswith(b"%PDF"))
		self.assertIn(f"{doc.name}-fiscal.pdf", answer.headers["Content-Disposition"])
		self.assertEqual(self.get(f"pos-invoice/{doc.name}/fiscal/xml").mimetype, "application/xml")

	def test_who_may_not_read_is_told_nothing(self):
		doc, row = self.sell()
		self.run_job(row)
		self.assertEqual(self.get("pos-invoice/NO-SUCH/fiscal/pdf").status_code, 404)
		frappe.set_user("Guest")
		self.assertEqual(self.get(f"pos-invoice/{doc.name}/fiscal/pdf").status_code, 404)

	def test_other_paths_are_not_ours(self):
		for path in ("", "sales-invoice/X", "customer/X/fiscal/pdf", "sales-invoice/X/fiscal/exe"):
			self.assertFalse(FiscalFile(path).can_render(), path)

	def test_a_provider_that_gives_no_file(self):
		doc, row = self.sell()
		self.run_job(row)
		self.sandbox.fault("facturapi", "status", operation="pdf", status=500)
		self.assertEqual(self.get(f"pos-invoice/{doc.name}/fiscal/pdf").status_code, 502)
		row = dispatch.find(doc.doctype, doc.name)
		self.assertEqual((row.status, row.pdf or ""), ("Issued", ""))
