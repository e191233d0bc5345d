"""What the embedded site promises, with a small fake app (tests/apps/shop) on a site of its own."""

import sys
import tempfile
from pathlib import Path

import embedded

APPS = Path(__file__).parent / "apps"


def make_site(**config) -> str:
	"""A fresh site with the framework, the stand-in ERPNext and the fake app."""
	if str(APPS) not in sys.path:
		sys.path.insert(0, str(APPS))
	folder = tempfile.mkdtemp(prefix="embedded-")
	return embedded.site.create(
		Path(folder) / "shop.localhost", apps=["frappe", "erpnext", "shop"], config=config
	)
