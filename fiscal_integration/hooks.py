app_name = "fiscal_integration"
app_title = "Fiscal Integration"
app_publisher = "Fiscal Integration contributors"
app_description = "Government-valid fiscal documents for ERPNext's POS and Sales Invoices"
app_email = "fiscal-integration@example.com"
app_license = "mit"

app_logo_url = "/assets/fiscal_integration/images/fiscal-integration.svg"
app_home = "/app/fiscal-integration"
# The home screen of Frappe 16 and later, and the app switcher of 15.
add_to_apps_screen = [
	{
		"name": app_name,
		"logo": app_logo_url,
		"title": app_title,
		"route": app_home,
		"has_permission": "fiscal_integration.cards.may_see_app",
	}
]

required_apps = ["frappe/erpnext"]

before_install = "fiscal_integration.install.before_install"
after_install = "fiscal_integration.install.after_install"
after_migrate = "fiscal_integration.install.after_migrate"
before_uninstall = "fiscal_integration.uninstall.before_uninstall"

_invoice = {
	"before_submit": "fiscal_integration.overrides.invoice.check_before_submit",
	"on_submit": "fiscal_integration.overrides.invoice.create_fiscal_document",
	"on_update_after_submit": "fiscal_integration.overrides.invoice.restore_projection",
	"before_cancel": "fiscal_integration.overrides.invoice.check_before_cancel",
	"on_cancel": "fiscal_integration.overrides.invoice.withdraw_fiscal_document",
	"on_trash": "fiscal_integration.overrides.invoice.check_before_delete",
}

doc_events = {
	"POS Invoice": _invoice,
	"Sales Invoice": _invoice,
	"Payment Entry": _invoice,
	"Fiscal Global Invoice": _invoice,
	"Customer": {"validate": "fiscal_integration.overrides.customer.check_location"},
	"Integration Request": {
		"validate": "fiscal_integration.overrides.integration_request.refuse_edit",
		"on_trash": "fiscal_integration.overrides.integration_request.refuse_delete",
	},
}

override_doctype_class = {
	"Integration Request": "fiscal_integration.overrides.integration_request.FiscalIntegrationRequest",
}

permission_query_conditions = {
	"Integration Request": "fiscal_integration.overrides.integration_request.query_conditions",
}

has_permission = {
	"Integration Request": "fiscal_integration.overrides.integration_request.has_permission",
}

doctype_js = {
	"Customer": "public/js/customer.js",
	"POS Invoice": "public/js/invoice.js",
	"Sales Invoice": "public/js/invoice.js",
	"Payment Entry": "public/js/invoice.js",
}

doctype_list_js = {
	"POS Invoice": "public/js/invoice_list.js",
	"Sales Invoice": "public/js/invoice_list.js",
}

page_js = {"point-of-sale": "public/js/point_of_sale.js"}

scheduler_events = {
	"cron": {"* * * * *": ["fiscal_integration.tasks.sweep"]},
	"hourly": ["fiscal_integration.tasks.alert"],
	"daily_long": ["fiscal_integration.registers.archive_months"],
}

default_log_clearing_doctypes = {"Fiscal Webhook Event": 90}

# What ERPNext's Transaction Deletion Record leaves when it deletes a company's invoices: the record of what was issued,
# and the keys, tills and numbers without which the next document would be a wrong one.
company_data_to_be_ignored = [
	"Fiscal Account",
	"Fiscal Certificate",
	"Fiscal Document",
	"Fiscal Global Invoice",
	"Fiscal Integration Settings",
	"Fiscal Point of Sale",
	"Fiscal Sequence",
]

before_tests = "fiscal_integration.sample.before_tests"

jinja = {
	"methods": [
		f"fiscal_integration.printing.{name}"
		for name in ("fiscal_receipt", "fiscal_qr", "fiscal_cfdi", "fiscal_cafe", "fiscal_rksv")
	]
}

page_renderer = ["fiscal_integration.pdf_route.FiscalFile"]
