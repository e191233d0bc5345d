"""Custom Field: a column added to another doctype of this site."""

import frappe
from frappe.model.document import Document


class CustomField(Document):
	def autoname(self):
		self.fieldname = self.fieldname or frappe.scrub((self.label or "").strip())
		self.name = f"{self.dt}-{self.fieldname}"

	def validate(self):
		if (
			not self.flags.ignore_validate
			and frappe.get_meta(self.dt).get_field(self.fieldname)
			and self.is_new()
		):
			frappe.throw(f"A field with the name {self.fieldname} already exists in {self.dt}")

	def on_update(self):
		frappe.clear_cache(doctype=self.dt)
		if not self.flags.ignore_validate or not frappe.flags.in_create_custom_fields:
			frappe.db.updatedb(self.dt)

	def on_trash(self):
		frappe.clear_cache(doctype=self.dt)


def create_custom_fields(custom_fields, ignore_validate=False, update=True):
	"""Create or update fields from {doctype or tuple of doctypes: [field, ...]}; columns follow at once."""
	touched = []
	frappe.flags.in_create_custom_fields = True
	try:
		for doctypes, fields in custom_fields.items():
			for doctype in (doctypes,) if isinstance(doctypes, str) else doctypes:
				for values in [fields] if isinstance(fields, dict) else fields:
					_create(doctype, dict(values), ignore_validate, update)
				touched.append(doctype)
	finally:
		frappe.flags.in_create_custom_fields = False
	for doctype in touched:
		frappe.clear_cache(doctype=doctype)
		frappe.db.updatedb(doctype)


def _create(doctype, values, ignore_validate, update):
	name = frappe.db.get_value("Custom Field", {"dt": doctype, "fieldname": values["fieldname"]})
	if name:
		if update:
			doc = frappe.get_doc("Custom Field", name)
			doc.flags.ignore_validate = ignore_validate
			doc.update(values)
			doc.save(ignore_permissions=True)
		return
	create_custom_field(doctype, values, ignore_validate)


def create_custom_field(doctype, df, ignore_validate=False, is_system_generated=True):
	df = frappe._dict(df)
	df.fieldname = df.fieldname or frappe.scrub(df.label)
	if frappe.db.get_value("Custom Field", {"dt": doctype, "fieldname": df.fieldname}):
		return
	doc = frappe.get_doc(
		{
			"doctype": "Custom Field",
			"dt": doctype,
			"permlevel": 0,
			"fieldtype": "Data",
			"is_system_generated": is_system_generated,
			**df,
		}
	)
	doc.flags.ignore_validate = ignore_validate
	return doc.insert(ignore_permissions=True)
