"""GET /<document-type>/<name>/fiscal/pdf: the fiscal PDF, to who may read the invoice."""

import re
from urllib.parse import unquote

import frappe
from frappe import _
from werkzeug.wrappers import Response

from fiscal_integration import dispatch, files, sources

DOCTYPES = {
	frappe.scrub(doctype).replace("_", "-"): doctype for doctype in (*sources.SOURCES, dispatch.DOCTYPE)
}
ROUTE = re.compile(
	rf"^/?(?P<doctype>{'|'.join(DOCTYPES)})/(?P<name>.+)/fiscal/(?P<kind>{'|'.join(files.KINDS)})/?$"
)
TYPES = {"pdf": "application/pdf", "xml": "application/xml", files.ACKNOWLEDGEMENT: "application/xml"}


class FiscalFile:
	"""A page renderer (Frappe's hook of that name)."""

	def __init__(self, path, http_status_code=None):
		self.match = ROUTE.match(path or "")

	def can_render(self):
		return bool(self.match)

	def render(self):
		doctype, name = DOCTYPES[self.match["doctype"]], unquote(self.match["name"])
		# Who may not read the invoice is not told whether it exists.
		if not frappe.db.exists(doctype, name) or not frappe.has_permission(doctype, "read", doc=name):
			return _answer(404, _("There is no {0} {1} that you may read.").format(_(doctype), name))
		row = dispatch.find(doctype, name)
		if not row:
			return _answer(409, _("{0} has no fiscal document.").format(name))
		try:
			file = files.file_of(row, self.match["kind"])
		except files.NotIssued as error:
			frappe.clear_messages()
			return _answer(409, str(error))
		except frappe.ValidationError as error:
			frappe.clear_messages()
			return _answer(502, str(error))
		response = Response(file.get_content(), mimetype=TYPES[self.match["kind"]])
		response.headers.set(
			"Content-Disposition", "attachment", filename=files.file_name(name, self.match["kind"])
		)
		response.headers["Cache-Control"] = "private, no-store"
		return response


def _answer(status, message):
	return Response(message, status=status, mimetype="text/plain")
