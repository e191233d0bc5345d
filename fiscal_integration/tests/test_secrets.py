"""Invariant 7: nobody's secret is anywhere but where it is encrypted."""

from unittest.mock import patch

import frappe

from fiscal_integration import api, connection, dispatch
from fiscal_integration.connection import SETTINGS
from fiscal_integration.fiscal.redaction import encodings
from fiscal_integration.providers.facturapi import Facturapi
from fiscal_integration.testing import FiscalTestCase


class TestSecrets(FiscalTestCase):
	def test_no_table_log_or_answer_holds_it_after_good_bad_and_crashing_calls(self):
		answers = []
		answers.append(api.ping(SETTINGS, SETTINGS))
		_, row = self.sell()
		row = self.run_job(row)
		answers.append(api.fiscal_view(row.reference_doctype, row.reference_name))
		answers.append(api.fetch_file(row.reference_doctype, row.reference_name, "pdf"))

		for fault, options in (
			("status", {"status": 401}),
			("status", {"status": 500}),
			("malformed", {}),
			("lost_after_commit", {}),
		):
			_, row = self.sell()
			self.sandbox.fault("facturapi", fault, **options)
			self.run_job(row)

		secret = self.secret_key

		def crash(provider, *_):
			key = provider.connection.secret().reveal()
			headers = {"Authorization": f"Bearer {key}"}
			raise RuntimeError(f"cannot send {headers}")

		for method, patched in (("issue", crash), ("ping", crash)):
			with patch.object(Facturapi, method, patched):
				_, row = self.sell()
				self.run_job(row)
				answers.append(api.ping(SETTINGS, SETTINGS))

		# What escapes the job of a defect would be logged by Frappe with the variables of every frame.
		with patch.object(dispatch, "claim", side_effect=RuntimeError(f"leak {secret}")):
			_, row = self.sell()
			self.run_job(row)

		self.connect(secret_key=secret)
		answers.append(frappe.get_doc(SETTINGS).as_dict())
		answers.append(frappe.as_json(frappe.get_doc(SETTINGS)))
		answers.append(repr(connection.for_company(row.company)))

		forms = encodings(secret)
		for answer in answers:
			for form in forms:
				self.assertNotIn(form, str(answer))
		found = self.tables_that_hold(forms)
		self.assertEqual(found, set())

		frappe.db.set_value(dispatch.DOCTYPE, row.name, "error_message", f"x {secret} x")
		self.assertEqual(self.tables_that_hold(forms), {dispatch.DOCTYPE}, "the search finds what is there")
		frappe.db.rollback()

	@staticmethod
	def tables_that_hold(forms) -> set:
		"""Every doctype whose table holds one of `forms` in any column, singles included."""
		found = set()
		tables = [
			(name, f"tab{name}")
			for name in frappe.get_all("DocType", filters={"issingle": 0, "is_virtual": 0}, pluck="name")
		]
		for name, table in [*tables, ("Singles", "tabSingles"), ("__Auth", "__Auth")]:
			try:
				rows = frappe.db.sql(f"select * from `{table}`")
			except Exception:
				continue
			text = str(rows)
			if any(form in text for form in forms):
				found.add(name)
		return found
