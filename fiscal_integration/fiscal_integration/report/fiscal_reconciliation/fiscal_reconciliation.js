frappe.query_reports["Fiscal Reconciliation"] = {
	filters: [
		{
			fieldname: "company",
			label: __("Company"),
			fieldtype: "Link",
			options: "Company",
			default: frappe.defaults.get_user_default("Company"),
			reqd: 1,
		},
		{
			fieldname: "from_date",
			label: __("From"),
			fieldtype: "Date",
			default: frappe.datetime.month_start(),
			reqd: 1,
		},
		{
			fieldname: "to_date",
			label: __("To"),
			fieldtype: "Date",
			default: frappe.datetime.get_today(),
			reqd: 1,
		},
		{
			fieldname: "kind",
			label: __("Finding"),
			fieldtype: "Select",
			options: [
				{ value: "", label: "" },
				{ value: "Submitted, Not Issued", label: __("Submitted, Not Issued") },
				{ value: "Issued, Cancelled in ERPNext", label: __("Issued, Cancelled in ERPNext") },
				{ value: "Cancelled at the Authority Only", label: __("Cancelled at the Authority Only") },
				{ value: "Amounts Differ", label: __("Amounts Differ") },
				{ value: "Number Missing", label: __("Number Missing") },
				{ value: "No Fiscal Document", label: __("No Fiscal Document") },
			],
		},
	],

	get_datatable_options: (options) => ({ ...options, checkboxColumn: true }),

	onload(report) {
		if (!frappe.user.has_role(["System Manager", "Fiscal Manager"])) return;
		report.page.add_inner_button(__("Generate"), () =>
			frappe.query_reports["Fiscal Reconciliation"].generate(report)
		);
	},

	// Of the ticked rows, or of all that are shown when none is.
	generate(report) {
		const ticked = report.datatable ? report.datatable.rowmanager.getCheckedRows() : [];
		const rows = (ticked.length ? ticked.map((index) => report.data[index]) : report.data || []).filter(
			(row) => row && row.generate
		);
		if (!rows.length) {
			frappe.msgprint(__("There is no invoice without a Fiscal Document here."));
			return;
		}
		const by_doctype = {};
		for (const row of rows) (by_doctype[row.reference_doctype] ||= []).push(row.invoice);
		frappe.confirm(
			__("Make the Fiscal Documents of {0} invoices, and send them to the provider?", [rows.length]),
			async () => {
				const batches = [];
				for (const [doctype, names] of Object.entries(by_doctype)) {
					const answer = await frappe.call({
						method: "fiscal_integration.api.start_bulk",
						args: { doctype, names },
						freeze: true,
					});
					if (answer.message && answer.message.batch) batches.push(answer.message.batch);
				}
				const links = batches.map((batch) => frappe.utils.get_form_link("Fiscal Batch", batch, true));
				frappe.msgprint({
					title: __("Generate"),
					message: batches.length
						? __("They are on their way: {0}", [links.join(", ")])
						: __("None of them needs a Fiscal Document."),
					indicator: batches.length ? "blue" : "orange",
				});
				report.refresh();
			}
		);
	},
};
