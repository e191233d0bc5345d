"""Tests that drive the real Desk in a real browser; `make bench-test` runs them (scripts/bench_test.sh).

Their files are named browser_*.py, so that neither Frappe's nor pytest's own search takes them for unit tests.
"""
