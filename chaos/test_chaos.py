"""The short form of `make chaos`: fewer sales, the same harm, the same verdict."""

import subprocess
import sys
import unittest

import embedded
from chaos.grounds import ROOT


@unittest.skipUnless(embedded.ACTIVE, "python -m chaos --bench is for a real bench")
class TestChaos(unittest.TestCase):
	def test_ledger_and_records_agree_after_a_short_storm(self):
		# A process of its own, as it takes its site down with it.
		done = subprocess.run(
			[sys.executable, "-m", "chaos", "--sales", "25", "--seed", "7"],
			cwd=ROOT,
			capture_output=True,
			text=True,
			timeout=300,
		)
		self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
		self.assertIn("25 invoices", done.stdout)


if __name__ == "__main__":
	unittest.main()
