"""User: login name is the e-mail address, password kept as a hash, API keys as pairs."""

import frappe
from frappe.model.document import Document


class User(Document):
	def autoname(self):
		self.name = self.email if self.name not in frappe.STANDARD_USERS else self.name
		self.name = self.name.strip().lower() if self.name not in frappe.STANDARD_USERS else self.name

	def validate(self):
		self.full_name = " ".join(filter(None, [self.first_name, self.last_name]))
		self.__dict__["_typed"] = self.new_password
		self.new_password = ""

	def on_update(self):
		from frappe.utils.password import update_password

		if typed := self.__dict__.pop("_typed", None):
			update_password(self.name, typed)
		frappe.local.role_cache = {}

	def add_roles(self, *roles):
		for role in roles:
			if role not in [r.role for r in self.roles]:
				self.append("roles", {"role": role})
		self.save(ignore_permissions=frappe.flags.in_install or None)

	def remove_roles(self, *roles):
		self.set("roles", [r for r in self.roles if r.role not in roles])
		self.save()

	def get_fullname(self):
		return self.full_name


def generate_keys(user):
	"""A fresh api_secret (and api_key where there is none)."""
	frappe.only_for("System Manager")
	doc = frappe.get_doc("User", user)
	secret = frappe.generate_hash(length=15)
	doc.api_key = doc.api_key or frappe.generate_hash(length=15)
	doc.api_secret = secret
	doc.save()
	return {"api_secret": secret}
