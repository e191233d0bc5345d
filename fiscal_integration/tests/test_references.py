"""Each page of docs/ that the code names exists, with the heading; no reference leads out of the repository."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CODE = ("fiscal_integration", "embedded", "chaos", "benchmarks", "demo.py")
PAGE = re.compile(
	r"(?<![\w/.-])((?:(?:docs|authorities|providers|decisions)/)*[a-z0-9-]+\.md)(?!\w)(?:#([a-z0-9-]+))?"
)
INVARIANT = re.compile(r"\binvariant (\d+)")
# A sheet by number ("panama.md 5.6", "section 3 of …"): the sheets are not in the repository.
OUTSIDE = re.compile(r"\.md (?:section )?\d|\bseed 00\d|\bdesign \d")


def sources():
	for name in CODE:
		path = ROOT / name
		for file in [path] if path.is_file() else sorted(path.rglob("*")):
			if file.suffix in (".py", ".js", ".html") and file != Path(__file__).resolve():
				yield file


def anchors(page: Path) -> set[str]:
	"""Anchors of a page's headings, as GitHub forms them."""
	headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
	return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@unittest.skipUnless(DOCS.is_dir(), "docs/ is not beside the package here")
class TestReferences(unittest.TestCase):
	def test_pages_and_headings_exist(self):
		found = 0
		for file in sources():
			for name, anchor in PAGE.findall(file.read_text()):
				page = next((p for p in (DOCS / name, ROOT / name) if p.is_file()), None)
				with self.subTest(file=str(file.relative_to(ROOT)), page=name, anchor=anchor):
					self.assertIsNotNone(page)
					if anchor:
						self.assertIn(anchor, anchors(page))
				found += 1
		self.assertGreater(found, 60)

	def test_invariants_exist(self):
		numbers = re.findall(r"^(\d+)\. ", (DOCS / "decisions/invariants.md").read_text(), re.MULTILINE)
		for file in sources():
			for number in INVARIANT.findall(file.read_text()):
				self.assertIn(number, numbers, file)

	def test_no_reference_leads_outside(self):
		for file in sources():
			self.assertNotRegex(file.read_text(), OUTSIDE, file)

	def test_links_between_pages_exist(self):
		for page in DOCS.rglob("*.md"):
			for target in re.findall(r"\]\(([^)#:]+\.(?:md|png|csv))", page.read_text()):
				with self.subTest(page=str(page.relative_to(DOCS)), target=target):
					self.assertTrue((page.parent / target).is_file())
