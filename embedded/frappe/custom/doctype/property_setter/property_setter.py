"""Property Setter: one property of a doctype or field changed on this site."""

import frappe
from frappe.model.document import Document


class PropertySetter(Document):
	def autoname(self):
		self.name = f"{self.doc_type}-{self.field_name or 'main'}-{self.property}"

	def validate(self):
		frappe.db.delete("Property Setter", {"name": self.name}) if self.is_new() else None

	def on_update(self):
		frappe.clear_cache(doctype=self.doc_type)

	def on_trash(self):
		frappe.clear_cache(doctype=self.doc_type)


def make_property_setter(
	doctype,
	fieldname,
	property,
	value,
	property_type,
	for_doctype=False,
	validate_fields_for_doctype=True,
	is_system_generated=True,
):
	return frappe.get_doc(
		{
			"doctype": "Property Setter",
			"doctype_or_field": "DocType" if for_doctype else "DocField",
			"doc_type": doctype,
			"field_name": fieldname,
			"property": property,
			"value": str(value),
			"property_type": property_type,
			"is_system_generated": is_system_generated,
		}
	).insert(ignore_permissions=True)


def delete_property_setter(doc_type, property=None, field_name=None, row_name=None):
	filters = {"doc_type": doc_type, "property": property, "field_name": field_name}
	frappe.db.delete("Property Setter", {k: v for k, v in filters.items() if v})
	frappe.clear_cache(doctype=doc_type)
