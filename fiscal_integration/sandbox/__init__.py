"""Local emulators of the fiscal providers, for training, demos and tests. Nothing here has fiscal validity.

A sandbox listens on the loopback interface only, keeps a ledger of what it really issued, and can be told
to fail in the ways that networks and providers fail.
"""

from fiscal_integration.sandbox.server import Sandbox

__all__ = ["Sandbox"]
