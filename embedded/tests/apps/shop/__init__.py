"""A fake app for the tests of the embedded site."""

import time

import frappe

CALLS = []


def record(doc, method, *args):
	if doc.doctype == "Till Ticket":
		CALLS.append(method)


def stop_b(doc, method):
	if doc.title == "stop":
		frappe.throw("stopped by a hook")


def own_only(user, doctype=None):
	return "" if user == "Administrator" else "`tabTill Ticket`.`title` != 'hidden'"


def may(doc, ptype, user):
	return False if doc.title == "hidden" and user != "Administrator" else None


def write_note(text, seconds=0):
	time.sleep(seconds)
	frappe.get_doc({"doctype": "ToDo", "description": f"{text} by {frappe.session.user}"}).insert(
		ignore_permissions=True
	)


def fail_with_secret(text):
	visible, password = text, "hidden-pw"  # noqa: F841
	frappe.get_doc({"doctype": "ToDo", "description": "must vanish"}).insert(ignore_permissions=True)
	raise RuntimeError("boom")


def retry_twice():
	CALLS.append(frappe.session.user)
	if len(CALLS) < 3:
		raise frappe.RetryBackgroundJobError


@frappe.whitelist()
def add(a, b):
	return int(a) + int(b)


@frappe.whitelist(allow_guest=True, methods=["POST"])
def hook():
	frappe.get_doc({"doctype": "ToDo", "description": frappe.request.get_data(as_text=True)}).insert(
		ignore_permissions=True
	)
	return "stored"


@frappe.whitelist(allow_guest=True)
def get_that_writes(fail=None):
	frappe.get_doc({"doctype": "ToDo", "description": "from a request"}).insert(ignore_permissions=True)
	if fail == "validation":
		frappe.throw("no good", title="Stop")
	if fail:
		raise ZeroDivisionError("oops")


@frappe.whitelist()
def download():
	frappe.local.response.update(filename="a.xml", filecontent=b"<a/>", type="download")


def hidden():
	return "not whitelisted"


class Page:
	def __init__(self, path, http_status_code=None):
		self.path = path

	def can_render(self):
		return self.path.startswith("ticket/")

	def render(self):
		from werkzeug.wrappers import Response

		if self.path == "ticket/secret":
			raise frappe.PermissionError("no")
		return Response(f"page {self.path}")


def sweep():
	write_note("swept")
