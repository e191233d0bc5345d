import csv
import unittest
from pathlib import Path

from fiscal_integration.providers import load
from fiscal_integration.providers.base import PRODUCTION, TEST, Provider
from fiscal_integration.providers.http import check_url
from fiscal_integration.sandbox.server import EMULATORS

MATRIX = Path(__file__).resolve().parents[2] / "docs" / "provider-matrix.csv"


class TestRegistry(unittest.TestCase):
	"""What every provider has to have, whichever it is."""

	def test_each_is_complete(self):
		for key, provider in load().items():
			with self.subTest(key):
				self.assertTrue(issubclass(provider, Provider) and provider.key == key and provider.label)
				self.assertTrue(provider.countries and all(len(code) == 2 for code in provider.countries))
				for environment in (TEST, PRODUCTION):
					self.assertEqual(check_url(provider.urls[environment]), "")
				keys = [parameter.key for parameter in provider.parameters]
				self.assertEqual(len(keys), len(set(keys)))
				for method in ("ping", "validate", "build", "issue", "reconcile"):
					self.assertIsNot(getattr(provider, method), getattr(Provider, method), method)
				for name in ("pdf", "xml"):
					offers = getattr(provider, name) is not getattr(Provider, name)
					self.assertEqual(offers, getattr(provider.capabilities, name), name)

	def test_each_has_an_emulator(self):
		self.assertEqual(set(load()), {emulator.key for emulator in EMULATORS})

	def test_another_apps_provider_joins_and_cannot_take_a_name(self):
		path = f"{__name__}.Stranger"
		self.assertIs(load((path,))["stranger"], Stranger)
		with self.assertRaises(ValueError):
			load((f"{__name__}.Usurper",))

	@unittest.skipUnless(MATRIX.is_file(), "docs/ is not installed with the app")
	def test_the_matrix_in_the_docs_is_true(self):
		with MATRIX.open(encoding="utf-8") as file:
			rows = {row["key"]: row for row in csv.DictReader(file)}
		self.assertEqual(set(rows), set(load()))
		for key, provider in load().items():
			can, row = provider.capabilities, rows[key]
			for name in ("pdf", "xml", "cancel", "webhook", "ordered"):
				self.assertEqual(row[name] == "yes", getattr(can, name), (key, name))
			self.assertEqual(int(row["max concurrent"]), can.max_concurrent)
			seconds = can.absence_grace
			span = f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"
			self.assertEqual(row["believed absent after"], span)


class Stranger(Provider):
	key = "stranger"


class Usurper(Provider):
	key = "facturapi"
