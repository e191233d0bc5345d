"""Saving content as a File document."""

import base64

import frappe


def save_file(fname, content, dt, dn, folder=None, decode=False, is_private=0, df=None):
	if decode:
		content = base64.b64decode(
			content.split(b",")[-1] if isinstance(content, bytes) else content.split(",")[-1]
		)
	return frappe.get_doc(
		{
			"doctype": "File",
			"file_name": fname,
			"attached_to_doctype": dt,
			"attached_to_name": dn,
			"attached_to_field": df,
			"folder": folder,
			"content": content,
			"is_private": is_private,
		}
	).insert(ignore_permissions=True)


def get_file(fname):
	name = frappe.db.get_value("File", {"file_url": fname}) or fname
	doc = frappe.get_doc("File", name)
	return [doc.file_name, doc.get_content()]
