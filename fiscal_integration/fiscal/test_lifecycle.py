import unittest
from pathlib import Path
from unittest.mock import patch

from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import ErrorClass, Failure
from fiscal_integration.providers import load


class TestLifecycle(unittest.TestCase):
	def test_the_table_names_only_its_own_states(self):
		for name, state in lifecycle.STATES.items():
			with self.subTest(state=name):
				self.assertLessEqual(set(state.followers), set(lifecycle.STATES))
				self.assertTrue(state.meaning)

	def test_every_pair_is_allowed_or_raises_as_the_table_says(self):
		for name, state in lifecycle.STATES.items():
			for other in lifecycle.STATES:
				with self.subTest(pair=(name, other)):
					if other in state.followers:
						self.assertEqual(lifecycle.check(name, other), other)
					else:
						with self.assertRaises(lifecycle.IllegalTransition):
							lifecycle.check(name, other)

	def test_issued_and_withdrawn_are_final(self):
		final = {name for name, state in lifecycle.STATES.items() if state.terminal}
		self.assertEqual(final, {lifecycle.ISSUED, lifecycle.WITHDRAWN})

	def test_unknown_is_never_followed_by_sending(self):
		self.assertNotIn(lifecycle.SENDING, lifecycle.STATES[lifecycle.UNKNOWN].followers)

	def test_every_state_leads_to_an_end(self):
		reached = {lifecycle.ISSUED, lifecycle.WITHDRAWN}
		while True:
			more = {
				name for name, state in lifecycle.STATES.items() if set(state.followers) & reached
			} | reached
			if more == reached:
				break
			reached = more
		self.assertEqual(reached, set(lifecycle.STATES))

	def test_what_follows_each_class(self):
		table = (
			(ErrorClass.CONFIGURATION, lifecycle.FAILED, False),
			(ErrorClass.REJECTED, lifecycle.REJECTED, False),
			(ErrorClass.TRANSIENT, lifecycle.QUEUED, True),
			(ErrorClass.UNKNOWN, lifecycle.UNKNOWN, True),
			(ErrorClass.DUPLICATE, lifecycle.UNKNOWN, True),
		)
		self.assertEqual({row[0] for row in table}, set(ErrorClass))
		for error_class, state, goes_on in table:
			with self.subTest(error_class=error_class):
				found, seconds = lifecycle.after_failure(Failure(error_class, "x"), 1)
				self.assertEqual((found, seconds is not None), (state, goes_on))
				self.assertIn(found, lifecycle.STATES[lifecycle.SENDING].followers)

	def waits(self, failure):
		"""The seconds before each attempt until the dead letter, jitter taken out."""
		found = []
		for attempts in range(1, 50):
			with patch("random.random", return_value=0):
				state, seconds = lifecycle.after_failure(failure, attempts)
			if state == lifecycle.FAILED:
				self.assertIsNone(seconds)
				return found
			found.append(seconds)

	def test_waits_grow_until_the_dead_letter(self):
		self.assertEqual(
			self.waits(Failure(ErrorClass.TRANSIENT, "x")), [30, 120, 600, 1800, 3600, 3600, 3600]
		)
		self.assertEqual(self.waits(Failure(ErrorClass.TRANSIENT, "x", waits=(30, 120, 600))), [30, 120, 600])

	def test_what_the_provider_asks_for_wins_but_is_a_second_at_least(self):
		self.assertEqual(set(self.waits(Failure(ErrorClass.TRANSIENT, "x", retry_after=7))), {7})
		self.assertEqual(set(self.waits(Failure(ErrorClass.TRANSIENT, "x", retry_after=0))), {1})
		self.assertGreaterEqual(
			lifecycle.after_failure(Failure(ErrorClass.UNKNOWN, "x", retry_after=90), 1)[1], 90
		)

	def test_uncertain_ones_are_never_given_up(self):
		for attempts in (1, 50, 5000):
			self.assertEqual(
				lifecycle.after_failure(Failure(ErrorClass.UNKNOWN, "x"), attempts)[0], lifecycle.UNKNOWN
			)

	def test_asking_gets_rarer_and_is_hourly_at_least(self):
		for state in (lifecycle.PENDING, lifecycle.UNKNOWN):
			with patch("random.random", return_value=0):
				waits = [lifecycle.ask_wait(state, tries) for tries in range(1, 40)]
			self.assertEqual((waits, waits[-1]), (sorted(waits), 3600))

	def test_jitter_spreads_by_a_tenth_at_most(self):
		seconds = [lifecycle.jittered(100) for _ in range(200)]
		self.assertTrue(all(100 <= value <= 110 for value in seconds))
		self.assertGreater(len(set(seconds)), 100)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "delivery.md"


@unittest.skipUnless(PAGE.is_file(), "docs/ is not installed with the app")
class TestPage(unittest.TestCase):
	"""The tables in the docs are those of the program."""

	def test_states(self):
		page = PAGE.read_text(encoding="utf-8")
		for name, state in lifecycle.STATES.items():
			followers = ", ".join(state.followers) or "nothing: it is final"
			self.assertIn(f"| **{name}** | {state.meaning} | {state.todo} | {followers} |", page)

	def test_cancellation(self):
		page = PAGE.read_text(encoding="utf-8")
		for name, state in lifecycle.CANCEL_STATES.items():
			if name:
				self.assertIn(f"| **{name}** | {state.meaning} | {state.todo} |", page)
			self.assertLessEqual(set(state.followers), set(lifecycle.CANCEL_STATES))

	def test_reactions_and_waits(self):
		page = PAGE.read_text(encoding="utf-8")
		for error_class, reaction in lifecycle.REACTIONS.items():
			waits = ", ".join(map(span, reaction.waits))
			self.assertIn(
				f"| {error_class.value} | {reaction.state} | {reaction.meaning} | "
				f"{waits + ', then Failed' if waits else '-'} |",
				page,
			)
		for state, waits in lifecycle.ASK_WAITS.items():
			self.assertIn(f"| {state} | {', '.join(map(span, waits))}, and so on |", page)

	def test_the_codes_of_providers(self):
		page = "\n".join(path.read_text(encoding="utf-8") for path in PAGE.parent.glob("*.md"))
		for provider in load().values():
			for code, rule in provider.errors.items():
				waits = ", ".join(map(span, rule.waits)) or "-"
				self.assertIn(f"| `{code}` | {rule.error_class.value} | {rule.remedy} | {waits} |", page)


def span(seconds):
	if seconds < 60:
		return f"{seconds:g} s"
	return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"
