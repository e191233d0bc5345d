"""What depends on what the Point of Sale makes, once more with the choice that is not ERPNext's default."""

import unittest

import frappe

from fiscal_integration import dispatch, mapping, sample
from fiscal_integration.testing import FiscalTestCase
from fiscal_integration.tests import (
	test_austria,
	test_bulk,
	test_dispatch,
	test_mexico,
	test_panama,
	test_printing,
	test_reports,
	test_view,
)


class OtherTill:
	@classmethod
	def setUpClass(cls):
		choices = sample.till_doctypes()
		if len(choices) < 2:
			raise unittest.SkipTest("before ERPNext 16 the Point of Sale makes POS Invoices only")
		cls.mode = choices[1]
		super().setUpClass()


class TestTheOtherTill(OtherTill, FiscalTestCase):
	def test_a_sale_at_the_till_is_what_the_settings_say(self):
		doc, row = self.sell()
		self.assertEqual(doc.doctype, sample.till_doctypes()[1])
		self.assertEqual(sample.till_doctype(), doc.doctype)
		self.assertEqual(row.reference_doctype, doc.doctype)
		self.assertEqual(len(dispatch.find_all(doc.doctype, doc.name)), 1)

	def test_erpnext_refuses_the_other_kind(self):
		values = sample.invoice(submit=False).as_dict(no_nulls=True)
		other = sample.till_doctypes()[0]
		for key in ("name", "naming_series"):
			del values[key]
		with self.assertRaises(frappe.ValidationError):
			frappe.get_doc({**values, "doctype": other, "is_created_using_pos": 1}).insert()
		frappe.db.rollback()

	def test_a_receipt_of_a_till_is_one_whatever_the_till_makes(self):
		"""Of the CAFE, which tells the DGI what it is printed on, and of a return, whose goods come back."""
		doc = sample.invoice()
		at_till = mapping.to_invoice(doc)
		self.assertTrue(at_till.at_the_till)
		self.assertFalse(mapping.to_invoice(sample.invoice(doctype="Sales Invoice")).at_the_till)
		self.assertTrue(mapping.to_invoice(sample.credit_note(doc)).goods_returned)


class TestSetUpAustriaOtherTill(OtherTill, test_austria.TestSetUp):
	pass


class TestSalesAustriaOtherTill(OtherTill, test_austria.TestSales):
	pass


class TestPreviewBulkOtherTill(OtherTill, test_bulk.TestPreview):
	pass


class TestStartBulkOtherTill(OtherTill, test_bulk.TestStart):
	pass


class TestNotRequiredBulkOtherTill(OtherTill, test_bulk.TestNotRequired):
	pass


class TestIssuingDispatchOtherTill(OtherTill, test_dispatch.TestIssuing):
	pass


class TestScopeDispatchOtherTill(OtherTill, test_dispatch.TestScope):
	pass


class TestCancellingDispatchOtherTill(OtherTill, test_dispatch.TestCancelling):
	pass


class TestPaidAtTheTillOtherTill(OtherTill, test_mexico.TestPaidAtTheTill):
	pass


class TestGlobalInvoiceOtherTill(OtherTill, test_mexico.TestGlobalInvoice):
	pass


class TestHkaRestOtherTill(OtherTill, test_panama.TestHkaRest):
	pass


class TestNumberingPanamaOtherTill(OtherTill, test_panama.TestNumbering):
	pass


class TestFiscalDataPanamaOtherTill(OtherTill, test_panama.TestFiscalData):
	pass


class TestCFDIOtherTill(OtherTill, test_printing.TestCFDI):
	pass


class TestCafeHkaOtherTill(OtherTill, test_printing.TestCafeHka):
	pass


class TestRKSVOtherTill(OtherTill, test_printing.TestRKSV):
	pass


class TestReconciliationOtherTill(OtherTill, test_reports.TestReconciliation):
	pass


class TestTimelineViewOtherTill(OtherTill, test_view.TestTimeline):
	pass
