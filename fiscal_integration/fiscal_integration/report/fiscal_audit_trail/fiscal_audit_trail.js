frappe.query_reports["Fiscal Audit Trail"] = {
	filters: [
		{
			fieldname: "company",
			label: __("Company"),
			fieldtype: "Link",
			options: "Company",
			default: frappe.defaults.get_user_default("Company"),
		},
		{
			fieldname: "from_date",
			label: __("From"),
			fieldtype: "Date",
			default: frappe.datetime.month_start(),
		},
		{
			fieldname: "to_date",
			label: __("To"),
			fieldtype: "Date",
			default: frappe.datetime.get_today(),
		},
		{
			fieldname: "reference_doctype",
			label: __("Kind of Invoice"),
			fieldtype: "Select",
			options: ["", "POS Invoice", "Sales Invoice", "Payment Entry"],
			on_change: () => frappe.query_report.set_filter_value("invoice", ""),
		},
		{
			fieldname: "invoice",
			label: __("Invoice"),
			fieldtype: "Dynamic Link",
			get_options: () => frappe.query_report.get_filter_value("reference_doctype"),
			depends_on: "eval:doc.reference_doctype",
		},
		{
			fieldname: "fiscal_document",
			label: __("Fiscal Document"),
			fieldtype: "Link",
			options: "Fiscal Document",
		},
	],

	onload(report) {
		// Frappe offers it with the right to print Fiscal Documents only; it holds no more than the export.
		if (!frappe.model.can_print("Fiscal Document")) {
			report.page.add_menu_item(__("PDF"), () =>
				frappe.ui.get_print_settings(
					true,
					(settings) => report.pdf_report(settings),
					report.report_doc.letter_head
				)
			);
		}
		report.page.add_inner_button(__("Verify Record"), async () => {
			const { fiscal_document, invoice, reference_doctype, company, from_date, to_date } =
				report.get_filter_values();
			const answer = await frappe.call({
				method: "fiscal_integration.api.verify_record",
				type: "GET",
				args: {
					document: fiscal_document,
					invoice,
					doctype: reference_doctype,
					company,
					from_date,
					to_date,
				},
				freeze: true,
				freeze_message: __("Verifying…"),
			});
			const { unbroken, title, message } = answer.message;
			frappe.msgprint({ title, message, indicator: unbroken ? "green" : "red" });
		});
	},

	formatter(value, row, column, data, default_formatter) {
		if (!data) return default_formatter(value, row, column, data);
		if (column.fieldname === "chain" && value) {
			const colour = value === __("holds") ? "green" : "red";
			return `<span class="indicator-pill ${colour}">${frappe.utils.escape_html(value)}</span>`;
		}
		return default_formatter(value, row, column, data);
	},
};
