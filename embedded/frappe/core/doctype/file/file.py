"""File: content on disk under private/files or public/files, a row that knows to whom it belongs."""

import hashlib
import os

import frappe
from frappe.model.document import Document


class File(Document):
	@property
	def path(self):
		base = self.file_url.rsplit("/", 1)[-1]
		return frappe.utils.get_files_path(base, is_private=bool(self.is_private))

	def before_insert(self):
		content = self.__dict__.pop("content", None)
		if self.is_folder or (content is None and self.file_url):
			return
		if content is None:
			frappe.throw("File content or file_url is needed", frappe.MandatoryError)
		content = content.encode() if isinstance(content, str) else content
		self.content_hash = hashlib.md5(content, usedforsecurity=False).hexdigest()
		self.file_size = len(content)
		self.file_name = os.path.basename(self.file_name or "file")
		name = self._free_name(content)
		self.file_url = f"/{'private/' if self.is_private else ''}files/{name}"
		if not os.path.exists(self.path):
			os.makedirs(os.path.dirname(self.path), exist_ok=True)
			with open(self.path, "wb") as handle:
				handle.write(content)
			path = self.path
			frappe.db.after_rollback.add(lambda: os.path.exists(path) and os.remove(path))

	def _free_name(self, content):
		"""The name asked for; with the end of the content's hash when another file has it."""
		path = frappe.utils.get_files_path(self.file_name, is_private=bool(self.is_private))
		if not os.path.exists(path):
			return self.file_name
		with open(path, "rb") as handle:
			if handle.read() == content:
				return self.file_name
		stem, extension = os.path.splitext(self.file_name)
		return f"{stem}{self.content_hash[-6:]}{extension}"

	def get_content(self, encodings=None):
		with open(self.path, "rb") as handle:
			content = handle.read()
		self.__dict__["_content"] = content
		try:
			return content.decode()
		except UnicodeDecodeError:
			return content

	def get_full_path(self):
		return self.path

	def on_trash(self):
		others = frappe.get_all("File", {"file_url": self.file_url, "name": ("!=", self.name)}, limit=1)
		if not others and self.file_url and os.path.exists(self.path):
			path = self.path
			frappe.db.after_commit.add(lambda: os.path.exists(path) and os.remove(path))

	def has_permission(self, permtype="read", *, debug=False, user=None):
		"""Files follow the document they are attached to."""
		user = user or frappe.session.user
		if (
			self.flags.ignore_permissions
			or user == "Administrator"
			or self.owner == user
			or not self.is_private
		):
			return True
		if not self.attached_to_doctype:
			return super().has_permission(permtype, user=user)
		ptype = "read" if permtype == "read" else "write"
		return frappe.has_permission(self.attached_to_doctype, ptype, self.attached_to_name, user=user)
