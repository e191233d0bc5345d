"""A small stand-in for a Frappe site, so that the unmodified app runs where no bench is.

Importing this package makes ``import frappe`` and ``import erpnext`` resolve to the subsets beside this
file, unless a real Frappe is importable. ``embedded.site`` creates sites, ``embedded.server`` serves them,
``embedded.redis`` finds and starts a Redis, ``python -m embedded`` is the command line.
"""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def activate() -> bool:
	"""Put the stand-ins on sys.path when no real Frappe is there; tell whether they are in use."""
	spec = importlib.util.find_spec("frappe")
	if spec is None:
		sys.path.append(str(HERE))
		importlib.invalidate_caches()
		return True
	return bool(spec.origin) and Path(spec.origin).resolve().is_relative_to(HERE)


ACTIVE = activate()

if ACTIVE:
	# Named otherwise on disk: `redis` and `site` on sys.path would hide the packages of the same name.
	from embedded import redis_server as redis
	from embedded import sites as site

	sys.modules["embedded.redis"] = redis
	sys.modules["embedded.site"] = site
