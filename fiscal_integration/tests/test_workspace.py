import json
import re
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, get_datetime, getdate, now_datetime

import fiscal_integration
from fiscal_integration import alerts, cards, certificates, connection, custom_fields, dispatch, sample
from fiscal_integration.connection import SETTINGS
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.providers.facturapi import Facturapi
from fiscal_integration.testing import FiscalTestCase, FrappeTestCase

MODULE = "Fiscal Integration"
FOLDER = Path(fiscal_integration.__file__).parent / "fiscal_integration"
SHIPPED = ("Workspace", "Number Card", "Dashboard Chart", "Module Onboarding", "Onboarding Step")
STANDARD_FIELDS = ("name", "creation", "modified", "owner", "docstatus")
TIMESPANS = ("today", "last 7 days", "last month")
PRESSED = ("Save", "Submit", "Skip", "Server URL", "Issued")
"""What the descriptions print in bold besides labels of the form that they are about."""


def shipped(doctype: str) -> dict[str, dict]:
	"""The records of this doctype that the app brings along, by name."""
	found = {}
	for path in (FOLDER / frappe.scrub(doctype)).glob("*/*.json"):
		record = json.loads(path.read_text())
		if (record["doctype"], path.stem) != (doctype, path.parent.name):
			raise AssertionError(f"Frappe would not import {path}")
		found[record["name"]] = record
	return found


def states(filters: list, field: str = "status") -> tuple:
	"""What a list of filters wants of `field`."""
	(wanted,) = [row[3] for row in filters if row[1] == field]
	return tuple(wanted) if isinstance(wanted, list) else (wanted,)


class TestRecords(FrappeTestCase):
	"""The shipped records name only what exists: a renamed state, field or list makes this fail."""

	def setUp(self):
		self.workspace = shipped("Workspace")[MODULE]

	def test_the_home_screen_of_16_and_later(self):
		app = Path(fiscal_integration.__file__).parent
		icon = json.loads((app / "desktop_icon/fiscal_integration.json").read_text())
		sidebar = json.loads((app / "workspace_sidebar/fiscal_integration.json").read_text())
		(screen,) = frappe.get_hooks("add_to_apps_screen", app_name="fiscal_integration")
		self.assertEqual((icon["label"], sidebar["title"]), (MODULE, self.workspace["name"]))
		self.assertEqual((icon["link"], icon["logo_url"]), (screen["route"], screen["logo"]))
		logo = app / "public" / screen["logo"].removeprefix("/assets/fiscal_integration/")
		self.assertTrue(logo.is_file())
		links = [row for row in sidebar["items"] if row["type"] == "Link"]
		for row in links:
			if row["link_type"] == "DocType":
				self.check_doctype(row["link_to"])
		# The sidebar leads wherever the workspace's cards do; a print format is made in its own list.
		wanted = {row["link_to"] for row in self.workspace["links"] if row["type"] == "Link"}
		self.assertEqual(wanted - {"Print Format"}, {row["link_to"] for row in links} - {MODULE})

	def test_who_sees_the_app(self):
		self.assertTrue(cards.may_see_app())
		sample.ensure_user("app-cashier@example.com", ["Sales User"], "a password of its own")
		frappe.set_user("app-cashier@example.com")
		self.addCleanup(frappe.set_user, "Administrator")
		self.assertFalse(cards.may_see_app())

	def on_a_bench(self):
		if not frappe.db.exists("DocType", "Workspace"):
			self.skipTest("the embedded site has no Desk")

	def check_doctype(self, doctype):
		if frappe.db.exists("DocType", doctype):
			return frappe.get_meta(doctype)
		self.assertFalse(frappe.db.exists("DocType", "Workspace"), f"there is no {doctype}")
		self.assertNotIn("Fiscal", doctype)
		return None

	def check_filters(self, filters, doctype):
		for row in filters:
			# A fifth element, which Frappe's own editor wrote before 16, is refused from then on.
			self.assertEqual(len(row), 4, row)
			parent, field, operator, value = row
			self.assertEqual(parent, doctype)
			meta = self.check_doctype(doctype)
			if not meta or field in STANDARD_FIELDS:
				continue
			found = meta.get_field(field)
			self.assertTrue(found, f"{doctype} has no field {field}")
			if operator == "Timespan":
				self.assertIn(value, TIMESPANS)
			elif found.fieldtype == "Select":
				for choice in value if isinstance(value, list) else [value]:
					self.assertIn(choice, found.options.split("\n"))

	def test_cards(self):
		found = shipped("Number Card")
		self.assertEqual(len(found), 6)
		for card in found.values():
			self.check_filters(json.loads(card["filters_json"]), card["document_type"])
			self.assertEqual((card["module"], card["is_standard"], card["is_public"]), (MODULE, 1, 1))
			if card["type"] == "Custom":
				frappe.is_whitelisted(frappe.get_attr(card["method"]))
		wanted = {name: json.loads(card["filters_json"]) for name, card in found.items()}
		self.assertEqual(states(wanted["Fiscal Waiting"]), lifecycle.DUE)
		self.assertEqual(states(wanted["Fiscal Issued Today"]), (lifecycle.ISSUED,))
		self.assertEqual(
			{*states(wanted["Fiscal Errors"])}, {*lifecycle.DEAD_LETTERS} - {lifecycle.NEEDS_REVIEW}
		)

	def test_charts(self):
		for chart in shipped("Dashboard Chart").values():
			meta = self.check_doctype(chart["document_type"])
			self.check_filters(json.loads(chart["filters_json"]), chart["document_type"])
			self.assertTrue(meta.get_field(chart.get("based_on") or chart["group_by_based_on"]))
			self.assertEqual(self.roles(chart), {"System Manager", *custom_fields.ROLES})
		errors = json.loads(shipped("Dashboard Chart")["Fiscal Errors by Code"]["filters_json"])
		self.assertEqual(states(errors), lifecycle.DEAD_LETTERS)

	@staticmethod
	def roles(record):
		return {row["role"] for row in record["roles"]}

	def test_every_block_of_the_page_has_its_record_and_the_other_way_round(self):
		self.assertEqual(self.roles(self.workspace), {"System Manager", *custom_fields.ROLES})
		blocks = json.loads(self.workspace["content"])
		for kind, rows, key, doctype, link in (
			("number_card", "number_cards", "number_card_name", "Number Card", "number_card_name"),
			("chart", "charts", "chart_name", "Dashboard Chart", "chart_name"),
			("shortcut", "shortcuts", "shortcut_name", None, None),
		):
			shown = [block["data"][key] for block in blocks if block["type"] == kind]
			self.assertEqual(shown, [row["label"] for row in self.workspace[rows]])
			if doctype:
				self.assertEqual({row[link] for row in self.workspace[rows]}, {*shipped(doctype)})
		groups = [block["data"]["card_name"] for block in blocks if block["type"] == "card"]
		breaks = [row["label"] for row in self.workspace["links"] if row["type"] == "Card Break"]
		self.assertEqual(groups, breaks)
		(onboarding,) = [block["data"] for block in blocks if block["type"] == "onboarding"]
		self.assertIn(onboarding["onboarding_name"], shipped("Module Onboarding"))

	def test_shortcuts_and_links_lead_somewhere(self):
		reports = shipped("Report")
		for row in self.workspace["shortcuts"] + self.workspace["links"]:
			if row["type"] == "Card Break":
				continue
			if "Report" in (row["type"], row.get("link_type")):
				self.assertIn(row["link_to"], reports)
			else:
				self.check_doctype(row["link_to"])
				self.check_filters(json.loads(row.get("stats_filter") or "[]"), row["link_to"])
		filters = {
			row["label"]: json.loads(row["stats_filter"])
			for row in self.workspace["shortcuts"]
			if "stats_filter" in row
		}
		self.assertEqual(states(filters["Needs Attention"]), lifecycle.DEAD_LETTERS)
		self.assertEqual(states(filters["Under Way"]), lifecycle.DUE)
		self.assertEqual(
			{*states(filters["Cancellations Open"], "cancellation_status")},
			{name for name, state in lifecycle.CANCEL_STATES.items() if state.due},
		)

	def test_onboarding_speaks_of_what_is_there(self):
		(onboarding,) = shipped("Module Onboarding").values()
		steps = shipped("Onboarding Step")
		self.assertEqual([*sorted(row["step"] for row in onboarding["steps"])], sorted(steps))
		for step in steps.values():
			self.assertTrue(step["description"].startswith(f"# {step['title']}\n\n"))
			if step["action"] == "Go to Page":
				self.check_page(step["path"])
				continue
			meta = self.check_doctype(step["reference_document"])
			if step["action"] == "Update Settings":
				self.assertTrue(meta.issingle and meta.get_field(step["field"]))
			if not meta or (not frappe.db.exists("DocType", "Workspace") and not meta.issingle):
				continue
			labels = {field.label for field in meta.fields}
			for word in re.findall(r"\*\*(.+?)\*\*", step["description"]):
				self.assertTrue(word in labels or word in PRESSED, f"{meta.name} shows no {word}")

	def check_page(self, path):
		if path.startswith("List/"):
			self.check_doctype(path.removeprefix("List/"))
		else:
			self.assertEqual(path, SETTINGS.lower().replace(" ", "-"))

	def test_migrating_imports_them_all(self):
		self.on_a_bench()
		for doctype in SHIPPED:
			for name, record in shipped(doctype).items():
				# Later where the site was used: Frappe saves the onboarding when its last step is done.
				self.assertGreaterEqual(
					frappe.db.get_value(doctype, name, "modified"), get_datetime(record["modified"]), name
				)

	def test_they_can_be_saved(self):
		"""Importing asks for nothing, but Frappe saves the onboarding when its last step is done."""
		self.on_a_bench()
		for doctype in SHIPPED:
			needed = [field.fieldname for field in frappe.get_meta(doctype).fields if field.reqd]
			for name, record in shipped(doctype).items():
				for field in needed:
					self.assertTrue(record.get(field), f"{name} has no {field}")

	def test_uninstalling_removes_them_all(self):
		"""Frappe deletes what links to the module; what does not is in uninstall.py."""
		self.on_a_bench()
		for doctype in SHIPPED:
			of_module = any(field.options == "Module Def" for field in frappe.get_meta(doctype).fields)
			self.assertEqual(of_module, doctype != "Onboarding Step")


class CardCase(FiscalTestCase):
	def number(self, name) -> int:
		"""What the card shows."""
		card = shipped("Number Card")[name]
		filters = json.loads(card["filters_json"])
		if frappe.db.exists("DocType", "Number Card"):
			from frappe.desk.doctype.number_card.number_card import get_result

			return int(get_result(frappe.get_doc("Number Card", name), filters))
		# The embedded site knows no time spans.
		today = now_datetime().date()
		filters = [[*row[:2], "between", [today, today]] if row[2] == "Timespan" else row for row in filters]
		return len(frappe.get_list(card["document_type"], filters=filters, limit=0))

	def age(self, row, **ago):
		since = add_to_date(now_datetime(), **{unit: -number for unit, number in ago.items()})
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "status_since", since, update_modified=False)
		frappe.db.commit()

	def as_user(self, *roles):
		email = f"{frappe.scrub('-'.join(roles))}@example.com"
		if not frappe.db.exists("User", email):
			frappe.get_doc(
				{
					"doctype": "User",
					"email": email,
					"first_name": "Test",
					"send_welcome_email": 0,
					"roles": [{"role": role} for role in roles],
				}
			).insert(ignore_permissions=True)
			frappe.db.commit()
		frappe.set_user(email)


class TestCards(CardCase):
	def rejected(self):
		_, row = self.sell()
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.REJECTED)
		return row

	def test_a_sale_waits_and_then_counts_as_issued_today(self):
		waiting, issued = self.number("Fiscal Waiting"), self.number("Fiscal Issued Today")
		_, row = self.sell()
		self.assertEqual(self.number("Fiscal Waiting"), waiting + 1)
		self.assertEqual(self.number("Fiscal Issued Today"), issued)
		self.run_job(row)
		self.assertEqual(self.number("Fiscal Waiting"), waiting)
		self.assertEqual(self.number("Fiscal Issued Today"), issued + 1)
		self.age(row, days=1)
		self.assertEqual(self.number("Fiscal Issued Today"), issued)

	def test_a_rejected_one_is_an_error_and_after_two_hours_a_dead_letter(self):
		errors, dead = self.number("Fiscal Errors"), cards.dead_letters()["value"]
		row = self.rejected()
		self.assertEqual(self.number("Fiscal Errors"), errors + 1)
		self.age(row, hours=1)
		self.assertEqual(cards.dead_letters()["value"], dead)
		self.age(row, hours=3)
		card = cards.dead_letters()
		self.assertEqual(card["value"], dead + 1)
		listed = frappe.get_list(dispatch.DOCTYPE, filters=card["route_options"], pluck="name", limit=0)
		self.assertIn(row.name, listed)
		self.assertEqual(len(listed), card["value"])

	def test_one_to_review_is_a_dead_letter_but_no_error(self):
		row = self.rejected()
		errors, dead = self.number("Fiscal Errors"), cards.dead_letters()["value"]
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "status", lifecycle.NEEDS_REVIEW)
		self.age(row, hours=3)
		self.assertEqual(self.number("Fiscal Errors"), errors - 1)
		self.assertEqual(cards.dead_letters()["value"], dead + 1)

	def test_the_certificate_that_ends_first(self):
		day = now_datetime().date() - timedelta(days=4000)
		with patch.object(Facturapi, "expiries", classmethod(lambda cls, found: [("Certificate", day)])):
			card = cards.certificate_days()
		self.assertEqual((card["value"], card["route"]), (-4000, ["Form", SETTINGS, SETTINGS]))

	def test_a_certificate_of_ours_counts(self):
		sample.set_up_shop(sample.PANAMA)
		sample.certify()
		days = [
			(getdate(day) - now_datetime().date()).days
			for day in frappe.get_all(
				certificates.DOCTYPE, {"status": certificates.ACTIVE}, pluck="valid_until"
			)
		]
		card = cards.certificate_days()
		self.assertEqual(card["value"], min(days))
		self.assertEqual(card["route"][:2], ["Form", certificates.DOCTYPE])

	def test_nothing_that_ends_is_a_dash(self):
		with patch.object(alerts, "endings", return_value=iter(())):
			self.assertEqual(cards.certificate_days(), cards.NOTHING)

	def test_who_may_not_read_fiscal_documents_is_refused(self):
		self.as_user("Accounts User")
		for call in (cards.dead_letters, cards.folios_left, cards.certificate_days):
			with self.assertRaises(frappe.PermissionError):
				call()

	def test_a_fiscal_user_is_not_sent_to_the_settings(self):
		self.as_user("Fiscal User")
		self.assertGreaterEqual(cards.dead_letters()["value"], 0)
		day = now_datetime().date() - timedelta(days=4000)
		with patch.object(Facturapi, "expiries", classmethod(lambda cls, found: [("Certificate", day)])):
			card = cards.certificate_days()
		self.assertEqual((card["value"], card["route"]), (-4000, None))


class TestFolios(CardCase):
	provider = "hka"
	shop = sample.PANAMA

	def setUp(self):
		super().setUp()
		for account in frappe.get_all(connection.ACCOUNT, pluck="name"):
			frappe.db.set_value(connection.ACCOUNT, account, "expiry_alerts", None)
			frappe.clear_document_cache(connection.ACCOUNT, account)
		frappe.db.commit()

	def test_what_the_daily_look_found_and_nobody_is_asked_again(self):
		self.assertEqual(cards.folios_left(), cards.NOTHING)
		self.sandbox.set_option("hka", folios=412)
		alerts.supplies()
		asked = len(self.sandbox.requests("hka"))
		self.assertGreater(asked, 0)
		card = cards.folios_left()
		self.assertEqual(
			(card["value"], card["route"]), (412, ["Form", connection.ACCOUNT, self.shop.company])
		)
		self.assertEqual(len(self.sandbox.requests("hka")), asked)

	def test_none_left_is_a_number_too(self):
		self.sandbox.set_option("hka", folios=0)
		alerts.supplies()
		self.assertEqual(cards.folios_left()["value"], 0)

	def test_a_provider_without_a_supply_tells_nothing_of_one(self):
		self.sandbox.set_option("hka", folios=412)
		alerts.supplies()
		frappe.db.set_value(connection.ACCOUNT, self.shop.company, "provider", "conteo")
		frappe.clear_document_cache(connection.ACCOUNT, self.shop.company)
		self.assertEqual(cards.folios_left(), cards.NOTHING)
