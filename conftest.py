"""One fresh site for the whole pytest session: a real Frappe's when it is importable and bound, else embedded."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import embedded


@pytest.fixture(scope="session")
def embedded_site(tmp_path_factory):
	"""A site in a temporary directory with every app; its path."""
	import frappe

	path = embedded.site.create(tmp_path_factory.mktemp("sites") / "test.localhost")
	embedded.site.connect(path)
	frappe.flags.in_test = True
	for app in frappe.get_installed_apps():
		for method in frappe.get_hooks("before_tests", app_name=app):
			frappe.get_attr(method)()
	frappe.db.commit()
	yield path
	frappe.destroy()


@pytest.fixture(scope="class", autouse=True)
def _frappe_site(request):
	"""Bind the site to test classes that ask for Frappe; roll back what a class leaves uncommitted."""
	module = sys.modules.get("frappe")
	if not (embedded.ACTIVE and module and _needs_site(request)):
		yield
		return
	import frappe

	path = request.getfixturevalue("embedded_site")
	if not getattr(frappe.local, "db", None) or frappe.local.site != os.path.basename(path):
		embedded.site.connect(path)
	frappe.flags.in_test = True
	frappe.set_user("Administrator")
	yield
	if getattr(frappe.local, "db", None):
		frappe.db.rollback()
		frappe.set_user("Administrator")


@pytest.fixture(scope="session", autouse=True)
def _judged_cfdi():
	"""Every CFDI that any test makes is judged by SAT's schema and error matrix, where satcfdi is installed."""
	if importlib.util.find_spec("satcfdi"):
		from fiscal_integration.sandbox.facturapi import FacturapiEmulator, judges, matrix

		FacturapiEmulator.judge = staticmethod(lambda xml: judges.schema_errors(xml) or matrix.errors(xml))
	yield


def _needs_site(request) -> bool:
	"""Below the line nothing imports frappe: those modules run without a site."""
	return hasattr(request.module, "frappe") or hasattr(request.module, "FrappeTestCase")
