"""get_controller, where frappe keeps it."""

from frappe.model.meta import get_controller  # noqa: F401
