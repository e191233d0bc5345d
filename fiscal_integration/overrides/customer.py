"""What a customer's record has to hold so that documents for it can be issued."""

import frappe
from frappe import _

from fiscal_integration.fiscal.panama import locations


def check_location(doc, method=None):
	"""Throw where the place was typed rather than chosen, once it changed."""
	code = (doc.get("fiscal_location") or "").strip()
	if code and not locations.find(code) and doc.has_value_changed("fiscal_location"):
		frappe.throw(
			_(
				"{0} is no location of the DGI's catalogue. Type the corregimiento in Location Code and choose one."
			).format(frappe.utils.escape_html(code)),
			title=_("Location Code"),
		)
