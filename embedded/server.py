"""The site over HTTP, as Frappe 15 answers it: RPC, resources, login, page renderers, private files."""

import base64
import contextlib
import contextvars
import json
import mimetypes
import os
import secrets
import sys
import threading
from pathlib import Path

import frappe
from frappe import _
from frappe.utils import get_traceback, json_handler
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

UNSAFE = ("POST", "PUT", "DELETE", "PATCH")


class Application:
	"""WSGI application of one site. Sessions live in the site's database."""

	def __init__(self, path):
		self.path = Path(path).resolve()

	def __call__(self, environ, start_response):
		# A context of its own: a test client calling from a bound thread keeps its site.
		return contextvars.Context().run(self.handle, environ, start_response)

	def handle(self, environ, start_response):
		request = Request(environ)
		frappe.init(self.path.name, sites_path=str(self.path.parent), force=True)
		try:
			response = self.respond(request)
			return response(environ, start_response)
		finally:
			frappe.destroy()

	def respond(self, request) -> Response:
		frappe.local.request, frappe.local.request_ip = request, request.remote_addr or "127.0.0.1"
		frappe.connect(set_admin_as_user=False)
		done = False
		try:
			_read_form(request)
			_authenticate(request)
			response = self.dispatch(request)
			done = True
		except HTTPException as e:
			response = e.get_response()
		except Exception as e:
			response = _failed(e)
		if done and request.method in UNSAFE:
			frappe.db.commit()
		else:
			frappe.db.rollback()
		for key, value in (frappe.local.flags.cookies or {}).items():
			response.set_cookie(key, value, httponly=True, samesite="Lax")
		return response

	def dispatch(self, request) -> Response:
		path = request.path
		if path.startswith("/api/method/"):
			return call_method(path[len("/api/method/") :].split("/")[0])
		if path.startswith("/api/resource/"):
			return resource(request, path[len("/api/resource/") :].strip("/"))
		if path.startswith("/api"):
			raise frappe.DoesNotExistError
		if path.startswith("/private/files/"):
			return private_file(path)
		if request.method not in ("GET", "HEAD", "POST"):
			raise NotFound
		return page(path.strip("/ "))


def _read_form(request):
	raw = request.get_data(as_text=True)
	if raw and request.is_json:
		args = json.loads(raw)
		args = args if isinstance(args, dict) else {"data": args}
	else:
		args = {**request.args.to_dict(), **request.form.to_dict()}
	args.pop("_", None)
	frappe.local.form_dict = frappe._dict(args)


# Who is it -------------------------------------------------------------------------------------------


def _authenticate(request):
	if sid := request.cookies.get("sid"):
		user = frappe.db.get_default(f"sid:{sid}", "__session")
		if user:
			frappe.set_user(user)
			frappe.session.sid = sid
	header = request.headers.get("Authorization", "").split(" ")
	if len(header) != 2:
		return
	kind, value = header[0].lower(), header[1]
	with contextlib.suppress(ValueError):
		if kind == "basic":
			value = base64.b64decode(value).decode()
		if kind in ("basic", "token"):
			key, secret = value.split(":")
			_check_key(key, secret)
	if frappe.session.user in ("", "Guest"):
		raise frappe.AuthenticationError


def _check_key(key, secret):
	user = frappe.db.get_value("User", {"api_key": key, "enabled": 1}) if key else None
	stored = frappe.get_doc("User", user).get_password("api_secret", raise_exception=False) if user else None
	if not stored or not secrets.compare_digest(stored, secret):
		raise frappe.AuthenticationError
	frappe.set_user(user)


def _login():
	from frappe.utils.password import check_password

	form = frappe.local.form_dict
	user = check_password(form.get("usr") or "", form.get("pwd") or "")
	sid = secrets.token_hex(28)
	frappe.set_user(user)
	frappe.db.set_default(f"sid:{sid}", user, "__session")
	frappe.local.flags.cookies = {"sid": sid, "user_id": user}
	frappe.db.commit()
	frappe.local.response.update(
		message="Logged In", home_page="/app", full_name=frappe.utils.get_fullname(user)
	)


def _logout():
	frappe.db.sql("delete from `tabDefaultValue` where defkey=%s", (f"sid:{frappe.session.sid}",))
	frappe.db.commit()
	frappe.local.flags.cookies = {"sid": "", "user_id": "Guest"}


# /api ------------------------------------------------------------------------------------------------


def call_method(name) -> Response:
	if name == "login":
		_login()
		return build_response()
	if name == "logout":
		_logout()
		return build_response()
	for hook in reversed(frappe.get_hooks("override_whitelisted_methods", {}).get(name, [])):
		name = hook
		break
	if name in OWN:
		method = OWN[name]
	else:
		try:
			method = frappe.get_attr(name)
		except Exception as e:
			frappe.throw(_("Failed to get method for command {0} with {1}").format(name, e))
		frappe.is_whitelisted(method)
		if frappe.local.request.method not in frappe.whitelisted[frappe._origin(method)].methods:
			frappe.throw(_("Not permitted"), frappe.PermissionError)
	data = frappe.call(method, **frappe.local.form_dict)
	if isinstance(data, Response):
		return data
	if data is not None:
		frappe.local.response["message"] = data
	return build_response()


def run_doc_method(method, docs=None, dt=None, dn=None, arg=None, args=None):
	"""The form's way to call a whitelisted method of a document."""
	if not args and arg:
		args = arg
	doc = (
		frappe.get_doc(json.loads(docs) if isinstance(docs, str) else docs)
		if docs
		else frappe.get_doc(dt, dn)
	)
	doc._original_modified = doc.modified
	doc.check_permission("read")
	if not hasattr(doc, method):
		frappe.throw(_("Method not found"), frappe.DoesNotExistError)
	doc.is_whitelisted(method)
	args = json.loads(args) if isinstance(args, str) else args or {}
	result = doc.run_method(method, **args) if isinstance(args, dict) else doc.run_method(method, args)
	if docs:
		doc.apply_fieldlevel_read_permissions()
		frappe.local.response.docs.append(doc)
	return result


def _get(doctype, name=None, filters=None, parent=None):
	if filters and not name:
		name = frappe.db.get_value(doctype, frappe.parse_json(filters))
	doc = frappe.get_doc(doctype, name or doctype)
	doc.check_permission("read")
	doc.apply_fieldlevel_read_permissions()
	return doc.as_dict()


def _save(doc):
	data = frappe.parse_json(doc)
	doc = frappe.get_doc(data)
	return doc.save().as_dict() if data.get("name") else doc.insert().as_dict()


def _post_only(function):
	def wrapped(**kwargs):
		if frappe.local.request.method not in UNSAFE:
			frappe.throw(_("Not permitted"), frappe.PermissionError)
		if frappe.session.user == "Guest":
			frappe.throw(_("Not permitted"), frappe.PermissionError)
		return frappe.call(function, **kwargs)

	return wrapped


OWN = {
	"ping": lambda: "pong",
	"frappe.ping": lambda: "pong",
	"frappe.auth.get_logged_user": lambda: frappe.session.user,
	"frappe.client.get": _get,
	"frappe.client.insert": _post_only(lambda doc: frappe.get_doc(frappe.parse_json(doc)).insert().as_dict()),
	"frappe.client.save": _post_only(_save),
	"frappe.client.submit": _post_only(lambda doc: frappe.get_doc(frappe.parse_json(doc)).submit().as_dict()),
	"frappe.client.cancel": _post_only(
		lambda doctype, name: frappe.get_doc(doctype, name).cancel().as_dict()
	),
	"frappe.client.delete": _post_only(
		lambda doctype, name: frappe.delete_doc(doctype, name, ignore_missing=False)
	),
	"run_doc_method": _post_only(run_doc_method),
}


def resource(request, rest) -> Response:
	doctype, _sep, name = rest.partition("/")
	form, method = frappe.local.form_dict, request.method
	if not frappe.db.exists("DocType", doctype):
		raise frappe.DoesNotExistError(doctype)
	if not name and method == "GET":
		kwargs = {k: v for k, v in form.items() if k in LIST_ARGS}
		kwargs["limit_page_length"] = form.limit or form.limit_page_length or 20
		kwargs.pop("limit", None)
		for key in ("fields", "filters", "or_filters"):
			if isinstance(kwargs.get(key), str):
				kwargs[key] = json.loads(kwargs[key])
		data = frappe.get_list(doctype, **kwargs)
	elif not name and method == "POST":
		values = _body(form)
		values.pop("doctype", None)
		data = frappe.get_doc({"doctype": doctype, **values}).insert()
	elif name and method == "GET":
		data = frappe.get_doc(doctype, name)
		if not data.has_permission("read"):
			raise frappe.PermissionError
		data.apply_fieldlevel_read_permissions()
	elif name and method == "PUT":
		data = frappe.get_doc(doctype, name, for_update=True)
		values = _body(form)
		values.pop("flags", None)
		data.update(values)
		data.save()
	elif name and method == "DELETE":
		frappe.delete_doc(doctype, name, ignore_missing=False)
		frappe.local.response.http_status_code, data = 202, "ok"
	elif name and method == "POST":
		doc = frappe.get_doc(doctype, name)
		called = form.pop("run_method", None) or frappe.exceptions.refuse(
			"POST on a document without run_method"
		)
		doc.is_whitelisted(called)
		if not doc.has_permission("write"):
			frappe.throw(_("Not permitted"), frappe.PermissionError)
		data = doc.run_method(called, **form)
	else:
		raise NotFound
	frappe.local.response["data"] = data
	return build_response()


LIST_ARGS = (
	"fields",
	"filters",
	"or_filters",
	"group_by",
	"order_by",
	"limit_start",
	"limit_page_length",
	"start",
	"pluck",
	"as_list",
)


def _body(form):
	data = form.get("data")
	return frappe._dict(json.loads(data) if isinstance(data, str) else data if data is not None else form)


# Files and pages -------------------------------------------------------------------------------------


def private_file(path) -> Response:
	names = frappe.get_all("File", {"file_url": path}, pluck="name")
	for name in names:
		doc = frappe.get_doc("File", name)
		if doc.has_permission("read") and os.path.exists(doc.path):
			kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
			return Response(Path(doc.path).read_bytes(), mimetype=kind)
	raise frappe.PermissionError if names else NotFound


def page(path) -> Response:
	"""What a page_renderer hook of an app says it can render, else 404."""
	for dotted in frappe.get_hooks("page_renderer"):
		renderer = frappe.get_attr(dotted)(path, 200)
		if renderer.can_render():
			try:
				return renderer.render()
			except frappe.PermissionError as e:
				return _html("Not Permitted", str(e), 403)
			except frappe.PageDoesNotExistError as e:
				return _html("Not Found", str(e), 404)
			except frappe.Redirect as e:
				return Response(
					status=e.http_status_code, headers={"Location": frappe.local.flags.redirect_location}
				)
			except Exception as e:
				status = getattr(e, "http_status_code", 500)
				return _html("Server Error", str(e), status if status != 417 else 500)
	return _html("Not Found", "The page you are looking for does not exist", 404)


def _html(title, text, status) -> Response:
	escape = frappe.utils.escape_html
	body = f"<!doctype html><title>{escape(title)}</title><h1>{escape(title)}</h1><p>{escape(text)}</p>"
	return Response(body, status=status, mimetype="text/html")


# Answers ---------------------------------------------------------------------------------------------


def build_response() -> Response:
	out = frappe.local.response
	kind = out.get("type") or "json"
	if kind == "json":
		return _json(out)
	if kind in ("download", "binary", "pdf"):
		name = out["filename"]
		guessed = "application/pdf" if kind == "pdf" else mimetypes.guess_type(name)[0]
		response = Response(
			out["filecontent"], mimetype=out.get("content_type") or guessed or "application/unknown"
		)
		how = out.get("display_content_as") or ("inline" if kind == "pdf" else "attachment")
		response.headers.add("Content-Disposition", how, filename=name)
	elif kind == "redirect":
		response = Response(status=302, headers={"Location": out["location"]})
	elif kind == "page":
		response = _html(out.get("title", ""), out.get("html", ""), 200)
	else:
		frappe.exceptions.refuse(f"response type {kind!r}")
	if out.get("http_status_code"):
		response.status_code = out.http_status_code
	return response


def _json(out, status=200) -> Response:
	status = out.pop("http_status_code", None) or status
	if not out.get("docs"):
		out.pop("docs", None)
	if frappe.local.message_log:
		out["_server_messages"] = json.dumps(
			[json.dumps(m, default=json_handler) for m in frappe.local.message_log]
		)
	if frappe.local.debug_log:
		out["_debug_messages"] = json.dumps(frappe.local.debug_log)
	body = json.dumps(out, default=json_handler, separators=(",", ":"))
	return Response(body, status=status, mimetype="application/json")


def _failed(e) -> Response:
	"""The error as JSON; the traceback with it where System Settings allow that, as a new site does."""
	status = getattr(e, "http_status_code", 500)
	api = frappe.local.request.path.startswith("/api/")
	if status >= 500:
		print(get_traceback(), file=sys.stderr)
		frappe.db.rollback()
		if not isinstance(e, frappe.AuthenticationError | frappe.CSRFTokenError | frappe.SecurityException):
			with contextlib.suppress(Exception):
				frappe.log_error(title=str(e)[:140], defer_insert=True)
	if not api:
		return _html(type(e).__name__, str(e), status)
	out = frappe._dict(exc_type=type(e).__name__)
	if (
		frappe.get_system_settings("allow_error_traceback")
		and not frappe.local.flags.disable_traceback
		and status != 404
	):
		text = get_traceback()
		out["exception"] = text.strip().splitlines()[-1]
		out["exc"] = json.dumps([text])
	return _json(out, status)


# Running ---------------------------------------------------------------------------------------------


class Server:
	"""The site on a loopback port in a thread of this process; with block or stop() ends it."""

	def __init__(self, path, host="127.0.0.1", port=0, threaded=True):
		self.httpd = make_server(host, port, Application(path), threaded=threaded)
		self.port = self.httpd.server_port
		self.url = f"http://{host}:{self.port}"
		self.thread = threading.Thread(target=self.httpd.serve_forever, daemon=True)

	def start(self):
		self.thread.start()
		return self

	def stop(self):
		self.httpd.shutdown()
		self.httpd.server_close()
		self.thread.join(5)

	def __enter__(self):
		return self.start()

	def __exit__(self, *exc):
		self.stop()


def start(path, host="127.0.0.1", port=0) -> Server:
	return Server(path, host, port).start()
