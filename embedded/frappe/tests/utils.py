"""FrappeTestCase and its context managers."""

import contextlib
import datetime
import unittest
from unittest.mock import patch

import frappe


class FrappeTestCase(unittest.TestCase):
	"""Rolls back what a test class left uncommitted; starts it as Administrator."""

	TEST_SITE = "test_site"
	maxDiff = 10_000

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		frappe.flags.in_test = True
		frappe.db.commit()
		frappe.clear_messages()
		cls.addClassCleanup(_restore)

	def assertDocumentEqual(self, expected, actual):
		for key, value in (expected.as_dict() if hasattr(expected, "as_dict") else expected).items():
			self.assertEqual(value, actual.get(key), key)

	@contextlib.contextmanager
	def set_user(self, user):
		old = frappe.session.user
		frappe.set_user(user)
		try:
			yield
		finally:
			frappe.set_user(old)

	@contextlib.contextmanager
	def freeze_time(self, time_to_freeze, is_utc=False, *args, **kwargs):
		from freezegun import freeze_time

		moment = frappe.utils.get_datetime(time_to_freeze)
		if not is_utc:
			from zoneinfo import ZoneInfo

			zone = ZoneInfo(frappe.utils.get_system_timezone())
			moment = moment.replace(tzinfo=zone).astimezone(datetime.timezone.utc).replace(tzinfo=None)
		with freeze_time(moment, *args, **kwargs):
			yield

	@contextlib.contextmanager
	def assertQueryCount(self, count):
		frappe.exceptions.refuse("assertQueryCount")
		yield

	change_settings = staticmethod(lambda *args, **kwargs: change_settings(*args, **kwargs))
	patch_hooks = staticmethod(lambda overrides: patch_hooks(overrides))


IntegrationTestCase = FrappeTestCase


class MockedRequestTestCase(FrappeTestCase):
	def setUp(self):
		import responses

		self.responses = responses.RequestsMock()
		self.responses.start()
		self.addCleanup(self.responses.stop)
		self.addCleanup(self.responses.reset)


def _restore():
	frappe.db.rollback()
	frappe.set_user("Administrator")


@contextlib.contextmanager
def change_settings(doctype, settings_dict=None, /, commit=False, **settings):
	"""Change a single doctype for the length of a with block."""
	settings = {**(settings_dict or {}), **settings}
	doc = frappe.get_doc(doctype)
	before = {key: doc.get(key) for key in settings}
	_apply(doctype, settings, commit)
	try:
		yield doc
	finally:
		_apply(doctype, before, commit)


def _apply(doctype, values, commit):
	doc = frappe.get_doc(doctype)
	doc.update(values)
	doc.save(ignore_permissions=True)
	if commit:
		frappe.db.commit()


@contextlib.contextmanager
def patch_hooks(overridden_hooks):
	"""Replace hooks for the length of a with block."""
	old = dict(frappe.local.hooks_override)
	frappe.local.hooks_override.update(overridden_hooks)
	try:
		yield
	finally:
		frappe.local.hooks_override = old


@contextlib.contextmanager
def timeout(seconds=30):
	yield


__all__ = ["FrappeTestCase", "IntegrationTestCase", "change_settings", "patch", "patch_hooks", "timeout"]
