"""What we add to the doctypes of Frappe and ERPNext: made on install and migrate, removed on uninstall.

The invoices' fields are a projection of the Fiscal Document: never copied (a POS Closing copies whole
invoices), writable after submit, and not searched for the truth.
"""

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields

ROLES = ("Fiscal Manager", "Fiscal User")
PROJECTED = {"read_only": 1, "no_copy": 1, "allow_on_submit": 1, "print_hide": 1, "translatable": 0}


def _invoice(after: str) -> list[dict]:
	return [
		{
			"fieldname": "fiscal_tab",
			"fieldtype": "Tab Break",
			"label": "Fiscal",
			"insert_after": after,
		},
		{
			"fieldname": "fiscal_status",
			"fieldtype": "Data",
			"label": "Fiscal Status",
			"in_standard_filter": 1,
			"in_list_view": 1,
			"search_index": 1,
			**PROJECTED,
		},
		{"fieldname": "fiscal_id", "fieldtype": "Data", "label": "Fiscal ID", "search_index": 1, **PROJECTED},
		{
			"fieldname": "fiscal_authorization",
			"fieldtype": "Data",
			"label": "Authorization Number",
			"depends_on": "fiscal_authorization",
			**PROJECTED,
		},
		{
			"fieldname": "fiscal_authorized_at",
			"fieldtype": "Datetime",
			"label": "Authorized At",
			"depends_on": "fiscal_authorized_at",
			**PROJECTED,
		},
		{
			"fieldname": "fiscal_cancellation",
			"fieldtype": "Data",
			"label": "Cancellation",
			"depends_on": "fiscal_cancellation",
			**PROJECTED,
		},
		{
			"fieldname": "fiscal_error",
			"fieldtype": "Small Text",
			"label": "Fiscal Error",
			"depends_on": "fiscal_error",
			**PROJECTED,
		},
		{
			"fieldname": "fiscal_document",
			"fieldtype": "Link",
			"label": "Fiscal Document",
			"options": "Fiscal Document",
			"ignore_user_permissions": 1,
			**PROJECTED,
		},
		{"fieldname": "fiscal_column", "fieldtype": "Column Break"},
		{"fieldname": "fiscal_qr_html", "fieldtype": "HTML", "label": "QR Code"},
		{
			"fieldname": "fiscal_qr_value",
			"fieldtype": "Small Text",
			"label": "Fiscal QR Value",
			**PROJECTED,
		},
		{
			"fieldname": "fiscal_qr_image",
			"fieldtype": "Long Text",
			"label": "Fiscal QR Image",
			"hidden": 1,
			**PROJECTED,
		},
		{
			"fieldname": "fiscal_data_section",
			"fieldtype": "Section Break",
			"label": "Fiscal Data",
			"hidden": 1,
			"description": "Who the fiscal document is for. Blank: as the customer's record says.",
		},
		{
			# Its choices are the provider's, and put there by the form.
			"fieldname": "fiscal_customer_type",
			"fieldtype": "Select",
			"label": "Customer Type",
			"print_hide": 1,
		},
		{"fieldname": "fiscal_customer_name", "fieldtype": "Data", "label": "Customer Name", "print_hide": 1},
		{
			"fieldname": "fiscal_customer_email",
			"fieldtype": "Data",
			"options": "Email",
			"label": "E-mail",
			"print_hide": 1,
		},
		{
			"fieldname": "fiscal_customer_address",
			"fieldtype": "Data",
			"label": "Address",
			"print_hide": 1,
		},
		{"fieldname": "fiscal_data_column", "fieldtype": "Column Break"},
		{
			"fieldname": "fiscal_customer_tax_id",
			"fieldtype": "Data",
			"label": "RUC or Foreign Number",
			"print_hide": 1,
		},
		{
			"fieldname": "fiscal_taxpayer_type",
			"fieldtype": "Select",
			"label": "Taxpayer Type",
			"options": "\n1 Natural\n2 Juridical",
			"description": "Blank: as the RUC's form shows.",
			"print_hide": 1,
		},
		{"fieldname": "fiscal_customer_dv", "fieldtype": "Data", "label": "DV", "print_hide": 1},
		{
			"fieldname": "fiscal_customer_location",
			"fieldtype": "Autocomplete",
			"label": "Location Code",
			"print_hide": 1,
		},
		{
			"fieldname": "fiscal_document_variant",
			"fieldtype": "Select",
			"label": "Kind of Document",
			"description": "Only for the kinds that the sale does not show by itself.",
			"print_hide": 1,
		},
		{"fieldname": "fiscal_input_section", "fieldtype": "Section Break", "label": "For the Tax Authority"},
		{
			"fieldname": "fiscal_document_use",
			"fieldtype": "Data",
			"label": "Use of the Document",
			"description": "Where it differs from the customer's, such as G01 in Mexico.",
			"no_copy": 0,
			"print_hide": 1,
		},
		{
			"fieldname": "fiscal_original_id",
			"fieldtype": "Data",
			"label": "Original Fiscal ID",
			"description": "Of the invoice that a return corrects, when that one was issued outside this system.",
			"depends_on": "eval:doc.is_return || doc.is_debit_note",
			"no_copy": 1,
			"print_hide": 1,
		},
		{
			"fieldname": "fiscal_substitutes",
			"fieldtype": "Link",
			"options": "Fiscal Document",
			"label": "Takes the Place Of",
			"description": "The fiscal document that was issued with errors. It is cancelled afterwards, with this one as its substitute.",
			"depends_on": "eval:!doc.is_return && !doc.is_debit_note",
			"hidden": 1,
			"ignore_user_permissions": 1,
			"no_copy": 1,
			"print_hide": 1,
		},
	]


PAYMENT_HIDES = ("fiscal_data_section", "fiscal_input_section")
"""Where the part of the fiscal tab begins that a Payment Entry has no use for."""


def _payment(after: str) -> list[dict]:
	fields = _invoice(after)
	first = next(index for index, field in enumerate(fields) if field["fieldname"] in PAYMENT_HIDES)
	return fields[:first]


FIELDS = {
	"POS Invoice": _invoice("against_income_account"),
	"Sales Invoice": _invoice("against_income_account"),
	"Payment Entry": _payment("title"),
	"Customer": [
		{
			"fieldname": "fiscal_section",
			"fieldtype": "Section Break",
			"label": "Fiscal Data",
			"insert_after": "tax_withholding_category",
			"collapsible": 1,
		},
		{
			"fieldname": "fiscal_legal_name",
			"fieldtype": "Data",
			"label": "Legal Name",
			"description": "As the tax authority has it, where it differs from the customer's name.",
		},
		{"fieldname": "fiscal_postal_code", "fieldtype": "Data", "label": "Fiscal Postal Code"},
		{
			"fieldname": "fiscal_notification",
			"fieldtype": "Select",
			"label": "Fiscal Documents by E-Mail",
			"options": "\nAlways\nNever",
			"description": "When a document is issued, with PDF and XML. Blank: as the company's settings say.",
		},
		{"fieldname": "fiscal_customer_column", "fieldtype": "Column Break"},
		{
			"fieldname": "fiscal_tax_regime",
			"fieldtype": "Data",
			"label": "Tax Regime",
			"description": "Mexico: three digits, such as 601 or 612.",
		},
		{
			"fieldname": "fiscal_document_use",
			"fieldtype": "Data",
			"label": "Use of the Document",
			"description": "Mexico: CFDI use, such as G03.",
		},
		{
			"fieldname": "fiscal_panama_section",
			"fieldtype": "Section Break",
			"label": "Fiscal Data, Panama",
			"collapsible": 1,
		},
		{
			"fieldname": "fiscal_customer_type",
			"fieldtype": "Select",
			"label": "Customer Type",
			"options": "\n01 Taxpayer\n02 Final Consumer\n03 Government\n04 Foreigner",
			"description": "Blank: by the country and the RUC.",
		},
		{
			"fieldname": "fiscal_taxpayer_type",
			"fieldtype": "Select",
			"label": "Taxpayer Type",
			"options": "\n1 Natural\n2 Juridical",
			"description": "Blank: as the RUC's form shows.",
		},
		{
			"fieldname": "fiscal_dv",
			"fieldtype": "Data",
			"label": "DV",
			"description": "The RUC's two digits; computed, and compared where they are entered.",
		},
		{"fieldname": "fiscal_panama_column", "fieldtype": "Column Break"},
		{
			"fieldname": "fiscal_id_type",
			"fieldtype": "Select",
			"label": "Foreign Identification",
			"options": "\n01 Passport\n02 Tax Number\n99 Other",
		},
		{
			"fieldname": "fiscal_location",
			"fieldtype": "Autocomplete",
			"label": "Location Code",
			"description": "Type the corregimiento, its district or its code, such as 8-8-7, and choose.",
		},
	],
	"Item": [
		{
			"fieldname": "fiscal_section",
			"fieldtype": "Section Break",
			"label": "Fiscal Data",
			"insert_after": "taxes",
			"collapsible": 1,
		},
		{
			"fieldname": "fiscal_product_code",
			"fieldtype": "Data",
			"label": "Fiscal Product Code",
			"description": "Mexico: ClaveProdServ, eight digits. Blank: the item group's, then the default.",
		},
		{"fieldname": "fiscal_item_column", "fieldtype": "Column Break"},
		{
			"fieldname": "fiscal_tax_treatment",
			"fieldtype": "Select",
			"label": "Value-Added Tax",
			"options": "\nExempt\nNot Subject",
			"description": "Where no tax is charged: why. Blank: taxed as the invoice says.",
		},
	],
	"Item Group": [
		{
			"fieldname": "fiscal_product_code",
			"fieldtype": "Data",
			"label": "Fiscal Product Code",
			"insert_after": "taxes",
		},
	],
	"UOM": [
		{
			"fieldname": "fiscal_unit_code",
			"fieldtype": "Data",
			"label": "Fiscal Unit Code",
			"description": "Mexico: ClaveUnidad, such as H87 for a piece.",
			"insert_after": "must_be_whole_number",
		},
	],
	"Account": [
		{
			"fieldname": "fiscal_tax_type",
			"fieldtype": "Select",
			"label": "Fiscal Tax Type",
			"options": (
				"\nVAT\nVAT Withheld\nExcise\nIncome Tax Withheld\nLocal Tax\nLocal Tax Withheld\nCharge"
			),
			"insert_after": "tax_rate",
			"description": "What a tax row on this account is to the authority. Blank: by its name, VAT otherwise.",
		},
	],
	"Integration Request": [
		{
			"fieldname": "fiscal_section",
			"fieldtype": "Section Break",
			"label": "Fiscal Exchange",
			"insert_after": "reference_docname",
			"depends_on": "fiscal_provider",
		},
		*(
			{
				"fieldname": fieldname,
				"fieldtype": fieldtype,
				"label": label,
				"read_only": 1,
				"no_copy": 1,
				**options,
			}
			for fieldname, fieldtype, label, options in (
				(
					"fiscal_document",
					"Link",
					"Fiscal Document",
					{"options": "Fiscal Document", "search_index": 1, "in_standard_filter": 1},
				),
				("fiscal_operation", "Data", "Operation", {"in_list_view": 1}),
				("fiscal_provider", "Data", "Fiscal Provider", {"in_standard_filter": 1, "search_index": 1}),
				("fiscal_company", "Link", "Company", {"options": "Company"}),
				("fiscal_http_status", "Int", "HTTP Status", {}),
				("fiscal_duration", "Float", "Seconds", {"precision": "3"}),
				("fiscal_column", "Column Break", None, {}),
				("fiscal_started_at", "Data", "Started At", {}),
				("fiscal_chain", "Data", "Chain", {"search_index": 1}),
				("fiscal_sequence", "Int", "Number in the Chain", {}),
				("fiscal_hash", "Data", "Hash", {}),
			)
		),
	],
}


def _fields() -> dict[str, list[dict]]:
	"""`FIELDS` with each field placed after the one above it, and marked as ours."""
	complete = {}
	for doctype, fields in FIELDS.items():
		previous, complete[doctype] = "", []
		for field in fields:
			complete[doctype].append(
				{"insert_after": previous, "module": "Fiscal Integration", **field}
				if previous
				else {"module": "Fiscal Integration", **field}
			)
			previous = field["fieldname"]
	return complete


def create():
	create_custom_fields(_fields(), ignore_validate=True, update=True)


def delete():
	for doctype, fields in FIELDS.items():
		frappe.db.delete(
			"Custom Field", {"dt": doctype, "fieldname": ("in", [field["fieldname"] for field in fields])}
		)
		frappe.clear_cache(doctype=doctype)
