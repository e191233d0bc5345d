// The fiscal status in the lists of invoices, as a coloured indicator. ERPNext's own settings stay.
{
	const COLOURS = {
		Queued: "blue",
		Sending: "blue",
		Pending: "yellow",
		Unknown: "orange",
		Issued: "green",
		Rejected: "red",
		Failed: "red",
		"Needs Review": "red",
		Withdrawn: "gray",
	};
	for (const doctype of ["POS Invoice", "Sales Invoice"]) {
		const settings = (frappe.listview_settings[doctype] = frappe.listview_settings[doctype] || {});
		settings.formatters = Object.assign({}, settings.formatters, {
			fiscal_status(value) {
				if (!value) return "";
				return `<span class="indicator-pill ${COLOURS[value] || "gray"} fiscal-status-pill">${__(
					value
				)}</span>`;
			},
		});
	}
}
