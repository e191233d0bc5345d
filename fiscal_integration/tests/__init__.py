"""Tests of the modules at the app's root, in a folder because Frappe's runner passes over test files there.

All other tests sit beside what they test.
"""
