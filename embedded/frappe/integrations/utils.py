"""create_request_log, which commits: as in Frappe 15."""

import datetime
import json

import frappe


def create_request_log(
	data,
	integration_type=None,
	service_name=None,
	name=None,
	error=None,
	request_headers=None,
	output=None,
	**kwargs,
):
	if integration_type == "Remote":
		kwargs["is_remote_request"] = 1
	elif integration_type == "Subscription Notification":
		kwargs["request_description"] = integration_type
	if "reference_doctype" not in kwargs:
		data = json.loads(data) if isinstance(data, str) else data
		kwargs["reference_doctype"] = data.get("reference_doctype")
		kwargs["reference_docname"] = data.get("reference_docname")
	doc = frappe.get_doc(
		{
			"doctype": "Integration Request",
			"integration_request_service": service_name,
			"request_headers": get_json(request_headers),
			"data": get_json(data),
			"output": get_json(output),
			"error": get_json(error),
			**kwargs,
		}
	)
	if name:
		doc.flags._name = name
	doc.insert(ignore_permissions=True)
	frappe.db.commit()
	return doc


def get_json(obj):
	return obj if isinstance(obj, str) else frappe.as_json(obj, indent=1)


def json_handler(obj):
	if isinstance(obj, datetime.date | datetime.timedelta):
		return str(obj)


def __getattr__(name):
	from frappe.exceptions import refuse

	if name.startswith("__"):
		raise AttributeError(name)
	refuse(f"frappe.integrations.utils.{name}")
