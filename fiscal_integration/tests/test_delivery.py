"""Many documents, ordered devices, providers that are down: who is sent when, and how many at once."""

import threading
import time
from dataclasses import replace
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, get_datetime, now_datetime

from fiscal_integration import circuit, connection, dispatch, drain, sample, tasks
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import ErrorClass, Failure
from fiscal_integration.providers.base import Outcome
from fiscal_integration.providers.facturapi import Facturapi
from fiscal_integration.testing import FiscalTestCase


class DeliveryCase(FiscalTestCase):
	def setUp(self):
		super().setUp()
		self.set_others_aside()
		self.drains = []
		queue = patch.object(drain, "enqueue_drain", side_effect=lambda *args: self.drains.append(args))
		queue.start()
		self.addCleanup(queue.stop)

	def sell_many(self, number, **values):
		return [self.sell(**values)[1] for _ in range(number)]

	def statuses(self, rows):
		frappe.db.rollback()
		return [frappe.db.get_value(dispatch.DOCTYPE, row.name, "status") for row in rows]


class TestWaits(DeliveryCase):
	def wait_of(self, row):
		return (get_datetime(row.next_attempt) - now_datetime()).total_seconds()

	def fail_with(self, row, **values):
		failure = Failure(ErrorClass.TRANSIENT, "Not now", **values)
		with patch.object(Facturapi, "issue", return_value=Outcome(failure=failure)):
			self.turn_time(row)
			return self.run_job(row)

	def test_a_code_with_waits_of_its_own_ends_as_a_dead_letter(self):
		_, row = self.sell()
		for seconds in (30, 120, 600):
			row = self.fail_with(row, waits=(30, 120, 600))
			self.assertEqual(row.status, lifecycle.QUEUED)
			self.assertTrue(seconds - 1 <= self.wait_of(row) <= seconds * 1.1 + 2, self.wait_of(row))
		row = self.fail_with(row, waits=(30, 120, 600))
		self.assertEqual((row.status, row.attempts, row.next_attempt), (lifecycle.FAILED, 4, None))

	def test_what_is_held_back_is_not_due(self):
		held, due = self.sell_many(2)
		frappe.db.set_value(dispatch.DOCTYPE, held.name, "next_attempt", None)
		frappe.db.commit()
		self.queued.clear()
		drain.sweep()
		self.assertEqual(self.queued, [due.name])
		self.assertEqual(drain.drain(sample.COMPANY), 1)
		self.assertEqual(self.statuses([held, due]), [lifecycle.QUEUED, lifecycle.ISSUED])

	def test_a_dead_letter_is_left_alone_by_the_sweep(self):
		_, row = self.sell()
		for _attempt in range(4):
			row = self.fail_with(row, waits=(30, 120, 600))
		self.queued.clear()
		drain.sweep()
		self.assertNotIn(row.name, self.queued)

	def test_what_a_person_has_to_mend_is_never_repeated(self):
		for error_class, state in (
			(ErrorClass.REJECTED, lifecycle.REJECTED),
			(ErrorClass.CONFIGURATION, lifecycle.FAILED),
		):
			_, row = self.sell()
			outcome = Outcome(failure=Failure(error_class, "No"))
			with patch.object(Facturapi, "issue", return_value=outcome):
				row = self.run_job(row)
			self.queued.clear()
			drain.sweep()
			self.assertEqual((row.status, row.next_attempt), (state, None))
			self.assertNotIn(row.name, self.queued)

	def test_a_duplicate_that_names_the_document_is_fetched_by_its_id(self):
		_, row = self.sell()
		self.sandbox.fault("facturapi", "lost_after_commit")
		row = self.run_job(row)
		(issued,) = self.issued_for(row)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "status", lifecycle.QUEUED)
		frappe.db.commit()
		failure = Failure(ErrorClass.DUPLICATE, "It exists", provider_id=issued["id"])
		with patch.object(Facturapi, "issue", return_value=Outcome(failure=failure)):
			self.turn_time(row)
			row = self.run_job(row)
		self.assertEqual((row.status, row.provider_id), (lifecycle.UNKNOWN, issued["id"]))
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual((row.status, row.fiscal_id), (lifecycle.ISSUED, issued["uuid"]))
		self.assertTrue(self.requests_to(f"/v2/invoices/{issued['id']}", "GET"))

	def test_a_duplicate_that_cannot_be_shown_waits_for_a_person(self):
		_, row = self.sell()
		failure = Failure(ErrorClass.DUPLICATE, "It exists")
		with patch.object(Facturapi, "issue", return_value=Outcome(failure=failure)):
			row = self.run_job(row)
		self.turn_time(row, 4000)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)
		self.assertEqual(self.sandbox.ledger("facturapi"), [])

	def test_since_when_a_state_holds_is_kept(self):
		_, row = self.sell()
		self.assertTrue(row.status_since)
		frappe.db.set_value(dispatch.DOCTYPE, row.name, "status_since", "2026-01-01")
		frappe.db.commit()
		row = self.run_job(row)
		self.assertLess(abs((get_datetime(row.status_since) - now_datetime()).total_seconds()), 60)


class TestDevices(DeliveryCase):
	def setUp(self):
		super().setUp()
		ordered = patch.object(Facturapi, "capabilities", replace(Facturapi.capabilities, ordered=True))
		ordered.start()
		self.addCleanup(ordered.stop)

	def sent_references(self):
		return [
			request["body"].split('"external_id":"')[1].split('"')[0]
			for request in self.requests_to("/v2/invoices")
		]

	def test_whichever_job_runs_the_oldest_sale_of_the_till_goes(self):
		rows = self.sell_many(4)
		self.assertEqual({row.device for row in rows}, {f"{sample.COMPANY}|{sample.PROFILE}"})
		for _row in rows:
			dispatch.process(rows[-1].name)
		self.assertEqual(self.sent_references(), [row.external_reference for row in rows])

	def test_the_next_sale_is_queued_when_one_is_done(self):
		first, second = self.sell_many(2)
		self.queued.clear()
		dispatch.process(first.name)
		self.assertEqual(self.queued, [second.name])

	def test_what_waits_holds_up_what_comes_after_it(self):
		first, second = self.sell_many(2)
		self.sandbox.fault("facturapi", "status", status=429, retry_after=600)
		dispatch.process(first.name)
		dispatch.process(second.name)
		self.assertEqual(self.statuses((first, second)), [lifecycle.QUEUED, lifecycle.QUEUED])
		self.assertEqual(len(self.sent_references()), 1)
		self.turn_time(first)
		dispatch.process(second.name)
		dispatch.process(second.name)
		self.assertEqual(self.statuses((first, second)), [lifecycle.ISSUED, lifecycle.ISSUED])

	def test_a_refused_one_does_not(self):
		first, second = self.sell_many(2)
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		dispatch.process(first.name)
		dispatch.process(second.name)
		self.assertEqual(self.statuses((first, second)), [lifecycle.REJECTED, lifecycle.ISSUED])

	def test_another_till_does_not_wait(self):
		sample.ensure_till("Caja 2")
		sample.open_till("Caja 2")
		_, first = self.sell()
		_, other = self.sell(pos_profile="Caja 2")
		self.sandbox.fault("facturapi", "status", status=429, retry_after=600)
		dispatch.process(first.name)
		dispatch.process(other.name)
		self.assertEqual(self.statuses((first, other)), [lifecycle.QUEUED, lifecycle.ISSUED])

	def test_two_workers_never_have_two_of_one_till_in_the_air(self):
		rows = self.sell_many(6)
		in_air, most = 0, 0
		lock, original = threading.Lock(), Facturapi.issue

		def issue(provider, body):
			nonlocal in_air, most
			with lock:
				in_air += 1
				most = max(most, in_air)
			time.sleep(0.05)
			try:
				return original(provider, body)
			finally:
				with lock:
					in_air -= 1

		names = [row.name for row in rows] * 10
		with patch.object(Facturapi, "issue", issue):
			for worker in self.start_workers(*[names] * 4):
				worker.join(60)
		self.assertEqual(most, 1)
		self.assertEqual(set(self.statuses(rows)), {lifecycle.ISSUED})
		self.assertEqual(self.sent_references(), [row.external_reference for row in rows])

	def test_a_drain_keeps_the_order_too(self):
		rows = self.sell_many(5)
		self.assertEqual(drain.drain(sample.COMPANY), 5)
		self.assertEqual(self.sent_references(), [row.external_reference for row in rows])


class TestDrain(DeliveryCase):
	def test_it_sends_everything_that_is_due(self):
		rows = self.sell_many(7)
		self.assertEqual(drain.drain(sample.COMPANY), 7)
		self.assertEqual(set(self.statuses(rows)), {lifecycle.ISSUED})
		self.assertEqual(len(self.requests_to("/v2/invoices")), 7)
		self.assertEqual(self.drains, [])

	def most_at_once(self, rows, limit):
		in_air, most = 0, 0
		lock, original = threading.Lock(), Facturapi.issue

		def issue(provider, body):
			nonlocal in_air, most
			with lock:
				in_air += 1
				most = max(most, in_air)
			time.sleep(0.1)
			with lock:
				in_air -= 1
			return original(provider, body)

		self.connect(max_concurrent=limit)
		self.addCleanup(self.connect, max_concurrent=0)
		with patch.object(Facturapi, "issue", issue):
			drain.drain(sample.COMPANY)
		self.assertEqual(set(self.statuses(rows)), {lifecycle.ISSUED})
		return most

	def test_as_many_at_once_as_the_settings_allow(self):
		self.assertEqual(self.most_at_once(self.sell_many(8), 3), 3)

	def test_as_many_as_the_provider_bears_when_the_settings_say_nothing(self):
		most = self.most_at_once(self.sell_many(10), 0)
		self.assertTrue(1 < most <= Facturapi.capabilities.max_concurrent, most)

	def test_live_sales_go_before_bulk(self):
		bulk = self.sell_many(3)
		for row in bulk:
			frappe.db.set_value(dispatch.DOCTYPE, row.name, "bulk", 1)
		frappe.db.commit()
		_, live = self.sell()
		self.connect(max_concurrent=1)
		self.addCleanup(self.connect, max_concurrent=0)
		drain.drain(sample.COMPANY)
		first = self.requests_to("/v2/invoices")[0]
		self.assertIn(live.external_reference, first["body"])
		self.assertEqual(set(self.statuses([*bulk, live])), {lifecycle.ISSUED})

	def test_it_gives_its_worker_back_in_time_and_goes_on(self):
		rows = self.sell_many(3)
		self.assertEqual(drain.drain(sample.COMPANY, seconds=0), 0)
		self.assertEqual(self.drains, [(sample.COMPANY, 1)])
		drain.drain(sample.COMPANY, 1)
		self.assertEqual(set(self.statuses(rows)), {lifecycle.ISSUED})

	def test_one_document_that_breaks_keeps_none_of_the_others(self):
		rows = self.sell_many(3)
		original = Facturapi.issue

		def issue(provider, body):
			if rows[1].external_reference in body:
				raise KeyError("defect")
			return original(provider, body)

		with patch.object(Facturapi, "issue", issue):
			drain.drain(sample.COMPANY)
		self.assertEqual(self.statuses(rows), [lifecycle.ISSUED, lifecycle.UNKNOWN, lifecycle.ISSUED])

	def test_every_exchange_is_recorded_on_its_own_document(self):
		rows = self.sell_many(5)
		drain.drain(sample.COMPANY)
		for row in rows:
			(request,) = frappe.get_all(
				"Integration Request", {"fiscal_document": row.name}, ["data", "fiscal_sequence"]
			)
			self.assertIn(row.external_reference, request.data)

	def test_the_sweep_sends_few_one_by_one_and_many_by_a_drain(self):
		rows = self.sell_many(2)
		self.queued.clear()
		drain.sweep()
		self.assertEqual((set(self.queued), self.drains), ({row.name for row in rows}, []))
		with patch.object(drain, "SINGLE_JOBS", 1):
			drain.sweep()
		self.assertEqual(self.drains, [(sample.COMPANY,)])


class TestSlots(DeliveryCase):
	def slots(self, limit=2):
		from fiscal_integration.slots import Slots

		slots = Slots(("Test", frappe.generate_hash(length=8)), limit)
		if slots.redis is None:
			self.skipTest("there is no Redis here")
		try:
			slots.redis.ping()
		except Exception:
			self.skipTest("Redis does not answer here")
		return slots

	def test_no_more_than_the_limit(self):
		slots = self.slots()
		first, second = slots.take(False, 0), slots.take(False, 0)
		self.assertTrue(first and second)
		self.assertIsNone(slots.take(False, 0))
		slots.give_back(first)
		self.assertTrue(slots.take(False, 0))
		self.assertEqual(slots.in_the_air(), 2)

	def test_bulk_lets_a_waiting_sale_go_first(self):
		slots = self.slots(1)
		token = slots.take(False, 0)
		self.assertIsNone(slots.take(True, 0))
		slots.give_back(token)
		self.assertIsNone(slots.take(False, 0))
		self.assertTrue(slots.take(True, 0))

	def test_a_dead_workers_slot_comes_free(self):
		slots = self.slots(1)
		with patch("fiscal_integration.slots.LEASE_SECONDS", 0.05):
			self.assertTrue(slots.take(False, 0))
		self.assertIsNone(slots.take(False, 0))
		time.sleep(0.1)
		self.assertTrue(slots.take(False, 0))

	def test_an_emptied_redis_stops_nothing(self):
		slots = self.slots(1)
		token = slots.take(False, 0)
		slots.redis.delete(*slots.keys)
		self.assertTrue(slots.take(False, 0))
		slots.give_back(token)

	def test_without_redis_there_is_no_limit(self):
		from fiscal_integration.slots import Slots

		with patch("fiscal_integration.slots.get_redis_conn", side_effect=ConnectionError):
			slots = Slots(("Test", "none"), 1)
		self.assertTrue(slots.take(False, 0) and slots.take(False, 0))
		slots.give_back("x")

	def test_a_busy_connection_costs_no_attempt(self):
		_, row = self.sell()
		with (
			patch("fiscal_integration.slots.Slots.take", return_value=None),
			patch.object(Facturapi, "issue") as issue,
		):
			row = self.run_job(row)
		issue.assert_not_called()
		self.assertEqual((row.status, row.attempts), (lifecycle.QUEUED, 0))
		self.assertTrue(row.payload)
		self.turn_time(row)
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)


class TestCircuit(DeliveryCase):
	def setUp(self):
		super().setUp()
		self.source = circuit.source_of(connection.record_for(sample.COMPANY))

	def take_down(self):
		rows = self.sell_many(circuit.THRESHOLD + 2)
		self.sandbox.refuse()
		for row in rows:
			dispatch.process(row.name)
		return rows

	def turn_circuit(self):
		"""As if the pause were over."""
		seen = circuit.look(self.source)
		circuit._store(self.source, replace(seen, until=add_to_date(now_datetime(), seconds=-1)))

	def test_it_opens_and_leaves_the_rest_alone(self):
		rows = self.take_down()
		seen = circuit.look(self.source)
		self.assertTrue(seen.open and seen.since and seen.message)
		attempts = [self.fresh(row).attempts for row in rows]
		self.assertEqual(attempts, [1] * circuit.THRESHOLD + [0, 0])

	def test_what_was_seen_of_another_server_says_nothing_of_this_one(self):
		rows = self.take_down()
		self.sandbox.resume()
		# The administrator has seen that the URL is wrong; calls to the old one are still failing.
		self.connect(server_url=self.sandbox.url("facturapi").replace("127.0.0.1", "localhost"))
		circuit.failed(self.source, "nobody there")
		for row in rows:
			self.turn_time(row)
			dispatch.process(row.name)
		self.assertEqual(set(self.statuses(rows)), {lifecycle.ISSUED})

	def test_refusals_do_not_open_it(self):
		rows = self.sell_many(circuit.THRESHOLD + 1)
		self.sandbox.fault("facturapi", "status", times=20, status=400, code="invalid_request")
		for row in rows:
			dispatch.process(row.name)
		self.assertFalse(circuit.look(self.source).open)
		self.assertEqual(set(self.statuses(rows)), {lifecycle.REJECTED})

	def test_an_answer_in_between_begins_the_count_anew(self):
		rows = self.sell_many(circuit.THRESHOLD + 1)
		for index, row in enumerate(rows):
			if index != 2:
				self.sandbox.fault("facturapi", "lost_before_commit")
			dispatch.process(row.name)
		self.assertFalse(circuit.look(self.source).open)

	def test_while_it_is_open_nothing_is_called_or_queued(self):
		self.take_down()
		self.sandbox.resume()
		self.queued.clear()
		drain.sweep()
		self.assertEqual((self.queued, self.drains), ([], []))
		self.assertEqual(drain.drain(sample.COMPANY), 0)
		self.assertEqual(self.sandbox.requests("facturapi"), [])

	def test_after_the_pause_one_is_queued_and_it_is_probed_without_a_document(self):
		rows = self.take_down()
		self.turn_circuit()
		for row in rows:
			self.turn_time(row)
		self.queued.clear()
		drain.sweep()
		self.assertEqual(len(self.queued), 1)
		until = circuit.look(self.source).until
		dispatch.process(self.queued[0])
		seen = circuit.look(self.source)
		self.assertTrue(seen.open)
		self.assertGreater(seen.until, until)
		self.assertGreater(seen.openings, 1)

	def test_when_somebody_answers_everything_goes(self):
		rows = self.take_down()
		self.sandbox.resume()
		self.turn_circuit()
		for row in rows:
			self.turn_time(row)
			dispatch.process(row.name)
		self.assertEqual(set(self.statuses(rows)), {lifecycle.ISSUED})
		self.assertEqual(circuit.look(self.source), circuit.Circuit())
		paths = [request["path"] for request in self.sandbox.requests("facturapi")]
		self.assertEqual(paths[0], "/v2/check")

	def test_the_probe_is_recorded_and_one_at_a_time(self):
		self.take_down()
		self.turn_circuit()
		settings = connection.record_for(sample.COMPANY)
		before = frappe.db.count("Integration Request", {"fiscal_chain": connection.SETTINGS})
		key = frappe.cache.make_key(circuit._key(self.source) + "|probe")
		frappe.cache.set(key, 1, ex=60)
		self.assertFalse(circuit.allows(settings))
		frappe.cache.delete(key)
		self.assertFalse(circuit.allows(settings))
		after = frappe.db.count("Integration Request", {"fiscal_chain": connection.SETTINGS})
		self.assertEqual(after, before + 1)

	def test_a_lost_cache_forgets_it_harmlessly(self):
		rows = self.take_down()
		frappe.cache.delete_value(circuit._key(self.source))
		self.sandbox.resume()
		for row in rows:
			self.turn_time(row)
			dispatch.process(row.name)
		self.assertEqual(set(self.statuses(rows)), {lifecycle.ISSUED})


class TestBatch(DeliveryCase):
	def failed_one(self, error_class="Transient"):
		_, row = self.sell()
		frappe.db.set_value(
			dispatch.DOCTYPE,
			row.name,
			{"status": lifecycle.FAILED, "error_class": error_class, "attempts": 8, "next_attempt": None},
		)
		return row

	def test_bulk_takes_what_was_refused_and_what_waits(self):
		waiting = self.sell()[1]
		failed, configuration = self.failed_one(), self.failed_one("Configuration")
		issued = self.run_job(self.sell()[1])
		names = [row.name for row in (waiting, failed, configuration, issued)]
		batch = drain.queue_bulk({"name": ("in", names)})
		frappe.db.commit()
		self.assertEqual(self.drains, [(sample.COMPANY,)])
		self.assertEqual(frappe.db.get_value(drain.BATCH, batch, "total"), 3)
		drain.drain(sample.COMPANY)
		self.assertEqual(set(self.statuses((waiting, failed, configuration))), {lifecycle.ISSUED})
		drain.finish_batches()
		summed = frappe.get_doc(drain.BATCH, batch)
		self.assertEqual((summed.status, summed.issued, summed.failed), ("Finished", 3, 0))

	def test_nothing_selected_makes_no_batch(self):
		issued = self.run_job(self.sell()[1])
		self.assertIsNone(drain.queue_bulk({"name": issued.name}))
		self.assertEqual(self.drains, [])

	def end_of_day(self, **values):
		self.connect(batch_enabled=1, **values)
		self.addCleanup(self.connect, batch_enabled=0)
		frappe.db.set_single_value(connection.SETTINGS, "last_batch_on", None)
		frappe.clear_document_cache(connection.SETTINGS, connection.SETTINGS)
		return drain.end_of_day()

	def test_the_end_of_the_day_sends_what_is_not_yet_issued(self):
		waiting = self.sell()[1]
		frappe.db.set_value(dispatch.DOCTYPE, waiting.name, "next_attempt", add_to_date(None, hours=1))
		failed, rejected = self.failed_one(), self.failed_one("Rejected")
		frappe.db.set_value(dispatch.DOCTYPE, rejected.name, "status", lifecycle.REJECTED)
		frappe.db.commit()
		batch = self.end_of_day(batch_time="00:00:00")
		self.assertTrue(batch)
		drain.drain(sample.COMPANY)
		self.assertEqual(
			self.statuses((waiting, failed, rejected)),
			[lifecycle.ISSUED, lifecycle.ISSUED, lifecycle.REJECTED],
		)
		self.assertIsNone(drain.end_of_day(), "once a day")

	def test_it_is_off_by_default_and_waits_for_its_time(self):
		self.sell()
		self.assertFalse(frappe.get_meta(connection.SETTINGS).get_field("batch_enabled").default == "1")
		self.assertIsNone(drain.end_of_day())
		self.assertIsNone(self.end_of_day(batch_time="23:59:59"))

	def test_a_batch_with_failures_is_told_at_once(self):
		_, row = self.sell()
		self.connect(alert_recipients="finance@example.com")
		self.addCleanup(self.connect, alert_recipients="")
		batch = drain.queue_bulk({"name": row.name}, kind="End of Day")
		frappe.db.commit()
		self.sandbox.fault("facturapi", "status", status=400, code="invalid_request")
		drain.drain(sample.COMPANY)
		with patch("frappe.sendmail") as mail:
			drain.finish_batches()
		self.assertEqual(mail.call_args.kwargs["recipients"], ["finance@example.com"])
		self.assertIn(row.reference_name, mail.call_args.kwargs["message"])
		told = frappe.get_all("Notification Log", {"document_name": batch}, ["subject", "for_user"])
		self.assertTrue(told and "1 need a person" in told[0].subject, told)

	def test_a_batch_waits_for_what_is_tried_again_soon(self):
		_, row = self.sell()
		batch = drain.queue_bulk({"name": row.name})
		frappe.db.commit()
		self.sandbox.fault("facturapi", "status", status=429, retry_after=30)
		drain.drain(sample.COMPANY)
		drain.finish_batches()
		self.assertEqual(frappe.db.get_value(drain.BATCH, batch, "status"), "Running")
		self.turn_time(row)
		drain.drain(sample.COMPANY)
		drain.finish_batches()
		self.assertEqual(frappe.db.get_value(drain.BATCH, batch, "status"), "Finished")


class TestTasks(FiscalTestCase):
	def test_one_task_that_raises_does_not_keep_the_others(self):
		"""Neither in the sweep of each minute nor in the hourly one, whichever it is."""
		for entry in (tasks.sweep, tasks.alert):
			with patch.object(tasks, "each") as each:
				entry()
			names = [task.__qualname__ for task in each.call_args.args]
			for broken in range(len(names)):
				ran = []

				def task(index, broken=broken, ran=ran, names=names):
					def run():
						ran.append(index)
						if index == broken:
							raise RuntimeError("the database is gone")

					run.__qualname__ = names[index]
					return run

				logged = frappe.db.count("Error Log")
				tasks.each(*(task(index) for index in range(len(names))))
				self.assertEqual(ran, list(range(len(names))))
				self.assertEqual(frappe.db.count("Error Log"), logged + 1)
