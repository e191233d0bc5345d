"""Arbitrary interleavings of sales, workers, faults, time, webhooks and people, against the invariants of
decisions/invariants.md that a delivery can break: 1 to 6, and 10."""

import json
import os
import unittest
from dataclasses import replace
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, now_datetime

try:
	from hypothesis import HealthCheck, Phase, settings
	from hypothesis import strategies as st
	from hypothesis.stateful import (
		RuleBasedStateMachine,
		initialize,
		invariant,
		precondition,
		rule,
	)
except ImportError:  # a bench without its developers' packages
	raise unittest.SkipTest("hypothesis is not installed") from None

from fiscal_integration import by_hand, circuit, connection, dispatch, drain, sample, webhooks
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.providers.base import WebhookEvent
from fiscal_integration.providers.facturapi import Facturapi
from fiscal_integration.testing import FiscalTestCase

EXAMPLES = int(os.environ.get("FISCAL_EXAMPLES") or 7)
"""Histories that are tried; more of them with FISCAL_EXAMPLES=100 or so."""

SALES = 2
FAULTS = st.sampled_from(
	(
		("lost_after_commit", {}),
		("lost_before_commit", {}),
		("status", {"status": 500}),
		("status_after_commit", {"status": 502}),
		("status", {"status": 429, "retry_after": 2}),
		("status", {"status": 400, "code": "invalid_request"}),
		("status", {"status": 401}),
		("malformed", {}),
		("malformed_before_commit", {}),
		("empty", {}),
		("no_uuid", {}),
		("wrong_total", {}),
		("wrong_livemode", {}),
		("pending", {"after": 60}),
		("pending", {"after": 60, "outcome": "failed"}),
	)
)
INDEX = st.integers(0, SALES - 1)


class Killed(BaseException):
	"""SIGKILL, as far as Python can play it: nothing of ours catches it."""


class Delivery(RuleBasedStateMachine):
	case: FiscalTestCase

	def __init__(self):
		super().__init__()
		frappe.db.rollback()
		self.sandbox = self.case.sandbox
		self.sandbox.reset()
		# A provider that would issue everything it is sent: only our own care keeps it from being twice.
		self.sandbox.set_option("facturapi", idempotency="none")
		self.case.set_others_aside()
		self.case.connect()
		self.case.close_circuits()
		self.sales, self.held, self.ends = [], [], {}
		self.payloads: dict[str, int] = {}
		self.seen = 0

	def row(self, index):
		"""The sale at `index` with its row as the database has it; None when there is none."""
		frappe.db.rollback()
		if index >= len(self.sales):
			return None
		doc = self.sales[index]
		return dispatch.find(doc.doctype, doc.name)

	def allow_payload(self, row):
		"""A person, or a failed stamping, may change what is sent; nothing else may."""
		self.payloads[row.external_reference] = self.payloads.get(row.external_reference, 1) + 1

	# -- what happens ------------------------------------------------------------------------------------

	@initialize(on_credit=st.booleans())
	def open_the_shop(self, on_credit):
		"""Few sales, so that much befalls each."""
		for _sale in range(SALES):
			self.sell(on_credit)

	def sell(self, on_credit):
		values = (
			{"doctype": "Sales Invoice", "customer": "Papelería del Centro SA de CV", "paid": False}
			if on_credit
			else {}
		)
		self.sales.append(sample.invoice(**values))
		frappe.db.commit()

	@rule(index=INDEX)
	def cancel(self, index):
		row = self.row(index)
		if not row or (row.status == lifecycle.QUEUED and not row.attempts):
			# Nothing would be left of the sale; test_dispatch does that.
			return
		doc = frappe.get_doc(row.reference_doctype, row.reference_name)
		may = row.status not in lifecycle.OPEN and row.status != lifecycle.ISSUED
		try:
			doc.cancel()
			frappe.db.commit()
			assert may, row.status
		except frappe.ValidationError:
			frappe.db.rollback()
			assert not may or doc.docstatus == 2, row.status

	@rule(index=INDEX)
	def work(self, index):
		row = self.row(index)
		if row:
			before = row.status
			posts = self.posts()
			dispatch.process(row.name)
			if before in (lifecycle.UNKNOWN, lifecycle.PENDING, lifecycle.SENDING) and not row.device:
				assert self.posts() == posts, f"sent again out of {before}"

	@rule(index=INDEX, fault=FAULTS)
	def work_with_a_fault(self, index, fault):
		kind, options = fault
		self.sandbox.fault("facturapi", kind, operation="*", **options)
		self.work(index)

	@rule(index=INDEX, seconds=st.sampled_from((70, 700, 5000)))
	def work_later(self, index, seconds):
		self.time_passes(seconds)
		self.work(index)

	@rule(index=INDEX, seconds=st.sampled_from((700, 5000)))
	def work_twice_later(self, index, seconds):
		self.work_later(index, seconds)
		self.work_later(index, seconds)

	@rule(index=INDEX, after=st.booleans())
	def a_worker_is_killed(self, index, after):
		row = self.row(index)
		if not row:
			return
		original = Facturapi.issue

		def issue(provider, body):
			if after:
				original(provider, body)
			raise Killed

		with patch.object(Facturapi, "issue", issue):
			try:
				dispatch.process(row.name)
			except Killed:
				frappe.db.rollback()

	@rule(index=INDEX)
	def a_slow_worker_begins(self, index):
		row = self.row(index)
		if row:
			work = dispatch.begin(row.name)
			if work:
				self.held.append(work)

	@precondition(lambda self: self.held)
	@rule(index=INDEX)
	def a_slow_worker_ends(self, index):
		work = self.held.pop(index % len(self.held))
		frappe.db.rollback()
		dispatch.call(work)
		dispatch.finish(work)

	def time_passes(self, seconds):
		if seconds >= lifecycle.LEASE_SECONDS / 2:
			# A lease is longer than any request may take: whoever is still at it is dead by then.
			self.held.clear()
		self.pass_time(seconds)

	def pass_time(self, seconds):
		frappe.db.rollback()
		for doc in self.sales:
			row = dispatch.find(doc.doctype, doc.name)
			if row and row.status in lifecycle.DUE:
				changes = {
					field: add_to_date(row.get(field), seconds=-seconds)
					for field in ("next_attempt", "lease_until", "sent_at")
					if row.get(field)
				}
				frappe.db.set_value(dispatch.DOCTYPE, row.name, changes, update_modified=False)
		frappe.db.commit()
		source = circuit.source_of(frappe.get_doc(connection.SETTINGS))
		seen = circuit.look(source)
		if seen.open:
			circuit._store(source, replace(seen, until=add_to_date(seen.until, seconds=-seconds)))
		self.sandbox.advance(seconds)

	@rule()
	def drain(self):
		frappe.db.rollback()
		drain.drain(sample.COMPANY)

	@rule(index=INDEX, event=st.sampled_from(("mine", "nobody", "again")))
	def a_webhook(self, index, event):
		row = self.row(index)
		if not row:
			return
		reference = "nobody" if event == "nobody" else row.external_reference
		event_id = row.name if event == "again" else frappe.generate_hash(length=12)
		webhooks._store("facturapi", WebhookEvent(event_id, "invoice.status_updated", "", reference), b"{}")
		frappe.db.commit()
		name = frappe.db.get_value(webhooks.DOCTYPE, {"event_id": f"facturapi:{event_id}"})
		webhooks.apply(name)

	@rule(index=INDEX)
	def a_person_sends_it_again(self, index):
		row = self.row(index)
		if not row:
			return
		if row.status == lifecycle.NEEDS_REVIEW:
			# There something was issued: who sends it again all the same makes a second one knowingly.
			return
		try:
			by_hand.retry(row.name)
			frappe.db.commit()
			assert row.status in lifecycle.RETRYABLE_BY_PERSON
			self.allow_payload(row)
		except frappe.ValidationError:
			frappe.db.rollback()
			assert row.status not in lifecycle.RETRYABLE_BY_PERSON

	@rule(index=INDEX)
	def a_person_asks(self, index):
		row = self.row(index)
		if row:
			try:
				by_hand.ask_now(row.name)
				frappe.db.commit()
			except frappe.ValidationError:
				frappe.db.rollback()

	@rule(enabled=st.booleans())
	def the_switch(self, enabled):
		self.case.connect(enabled=int(enabled))
		if not enabled:
			for index in range(len(self.sales)):
				self.work(index)
			self.case.connect()

	# -- what holds --------------------------------------------------------------------------------------

	def posts(self):
		return len(self.case.requests_to("/v2/invoices"))

	@invariant()
	def one_row_per_sale(self):
		"""1: exactly one, committed with it; cancelling leaves none that could be sent."""
		frappe.db.rollback()
		for doc in self.sales:
			rows = frappe.get_all(
				dispatch.DOCTYPE,
				{"reference_doctype": doc.doctype, "reference_name": doc.name},
				["status"],
			)
			if frappe.db.get_value(doc.doctype, doc.name, "docstatus") == 1:
				assert len(rows) == 1, rows
			else:
				assert all(row.status == lifecycle.WITHDRAWN for row in rows), rows

	@invariant()
	def what_was_sent_was_frozen(self):
		"""2: a retry sends the same bytes and the same key."""
		sent = {}
		for request in self.case.requests_to("/v2/invoices"):
			reference = json.loads(request["body"])["external_id"]
			sent.setdefault(reference, set()).add(request["body"])
		for reference, bodies in sent.items():
			assert len(bodies) <= self.payloads.get(reference, 1), reference

	@invariant()
	def never_twice(self):
		"""3: at most one valid document for each sale that a person did not send anew."""
		valid = {}
		for entry in self.sandbox.ledger("facturapi"):
			if entry["status"] == "valid":
				valid[entry["external_id"]] = valid.get(entry["external_id"], 0) + 1
		assert all(number == 1 for number in valid.values()), valid

	@invariant()
	def issued_means_issued(self):
		"""4 and 5: the id, the total and the environment are those of the provider's document."""
		ledger = {entry["external_id"]: entry for entry in self.sandbox.ledger("facturapi")}
		for index in range(len(self.sales)):
			row = self.row(index)
			if row and row.status == lifecycle.ISSUED:
				entry = ledger.get(row.external_reference)
				assert entry and entry["uuid"] == row.fiscal_id, (row.name, entry)
				assert float(entry["total"]) == float(row.provider_total) == float(row.total)

	@invariant()
	def ends_stay(self):
		"""6: what has ended stays as it ended."""
		for index in range(len(self.sales)):
			row = self.row(index)
			if row and lifecycle.STATES[row.status].terminal:
				end = (row.status, row.fiscal_id)
				assert self.ends.setdefault(row.name, end) == end

	@invariant()
	def in_order_on_an_ordered_device(self):
		"""10: when something is sent, nothing older of its device is still to come."""
		if not self.ordered:
			return
		posts = self.case.requests_to("/v2/invoices")
		fresh, self.seen = posts[self.seen :], len(posts)
		for request in fresh[-1:]:
			reference = json.loads(request["body"])["external_id"]
			sent = frappe.get_all(
				dispatch.DOCTYPE, {"external_reference": reference}, ["creation", "device"]
			)[0]
			older = frappe.get_all(
				dispatch.DOCTYPE,
				{
					"device": sent.device,
					"status": ("in", lifecycle.DUE),
					"creation": ("<", sent.creation),
				},
				pluck="name",
			)
			assert not older, "an older sale of the till waits"

	ordered = False

	def teardown(self):
		"""Left alone for long enough, without faults, everything comes to an end."""
		self.held.clear()
		self.case.connect()
		for emulator in self.sandbox.emulators.values():
			emulator.faults.clear()
		for _round in range(14):
			self.pass_time(8000)
			for index in range(len(self.sales)):
				row = self.row(index)
				if row:
					dispatch.process(row.name)
		self.case.posted += self.posts()
		for index in range(len(self.sales)):
			row = self.row(index)
			assert not row or row.status not in lifecycle.DUE, (row.status, row.error_message)
		self.one_row_per_sale()
		self.never_twice()
		self.issued_means_issued()


class TestProperties(FiscalTestCase):
	def run_machine(self, ordered):
		machine = type("Machine", (Delivery,), {"case": self, "ordered": ordered})
		capabilities = replace(Facturapi.capabilities, ordered=ordered)
		with patch.object(Facturapi, "capabilities", capabilities), patch.object(drain, "enqueue_drain"):
			machine.TestCase.settings = settings(
				max_examples=EXAMPLES,
				stateful_step_count=25,
				# No shrinking: every step is a dozen transactions, and the printed steps are few as it is.
				phases=(Phase.generate,),
				deadline=None,
				database=None,
				suppress_health_check=list(HealthCheck),
			)
			self.posted = 0
			machine.TestCase().runTest()
		self.assertGreater(self.posted, EXAMPLES, "the machine did next to nothing")

	def test_any_interleaving_keeps_the_invariants(self):
		self.run_machine(ordered=False)

	def test_any_interleaving_on_an_ordered_device_too(self):
		self.run_machine(ordered=True)

	def test_the_machine_notices_a_second_sending(self):
		"""The checks themselves: a dispatch that sends Unknown rows again is found out."""
		_, row = self.sell()
		self.sandbox.fault("facturapi", "lost_after_commit")
		row = self.run_job(row)
		frappe.db.set_value(
			dispatch.DOCTYPE,
			row.name,
			{"status": lifecycle.QUEUED, "next_attempt": now_datetime(), "idempotency_key": "other"},
		)
		frappe.db.commit()
		machine = Delivery.__new__(Delivery)
		machine.case, machine.sandbox = self, self.sandbox
		payload = json.loads(row.payload)
		self.sandbox.emulators["facturapi"].keys.clear()
		frappe.db.set_value(
			dispatch.DOCTYPE, row.name, "payload", json.dumps({**payload, "idempotency_key": "other"})
		)
		frappe.db.commit()
		dispatch.process(row.name)
		with self.assertRaises(AssertionError):
			machine.never_twice()
