import unittest

from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import ErrorClass


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

	def test_what_follows_a_failure(self):
		self.assertEqual(lifecycle.after_failure(ErrorClass.TRANSIENT, 1), lifecycle.QUEUED)
		self.assertEqual(
			lifecycle.after_failure(ErrorClass.TRANSIENT, lifecycle.MAX_ATTEMPTS), lifecycle.FAILED
		)
		for error_class in (ErrorClass.UNKNOWN, ErrorClass.DUPLICATE):
			self.assertEqual(lifecycle.after_failure(error_class, 99), lifecycle.UNKNOWN)
		self.assertEqual(lifecycle.after_failure(ErrorClass.CONFIGURATION, 1), lifecycle.FAILED)
		self.assertEqual(lifecycle.after_failure(ErrorClass.REJECTED, 1), lifecycle.REJECTED)

	def test_waits_grow_and_the_provider_has_the_last_word(self):
		first, last = lifecycle.wait(lifecycle.QUEUED, 1), lifecycle.wait(lifecycle.QUEUED, 50)
		self.assertTrue(30 <= first <= 33, first)
		self.assertTrue(3600 <= last <= 3960, last)
		self.assertTrue(7 <= lifecycle.wait(lifecycle.QUEUED, 1, retry_after=7) <= 7.7)
		self.assertGreaterEqual(lifecycle.wait(lifecycle.QUEUED, 1, retry_after=0), 1)
		self.assertGreaterEqual(lifecycle.wait(lifecycle.UNKNOWN, 1, retry_after=90), 90)
