// The fiscal status in the lists of invoices, as a coloured mark beside each row. ERPNext's own settings stay.
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
	};
	const pill = (status) =>
		`<span class="indicator-pill ${COLOURS[status] || "gray"} fiscal-status-pill ml-2">${__(
			"Fiscal"
		)}: ${__(status)}</span>`;

	for (const doctype of ["POS Invoice", "Sales Invoice"]) {
		const settings = (frappe.listview_settings[doctype] = frappe.listview_settings[doctype] || {});
		settings.add_fields = [...new Set([...(settings.add_fields || []), "fiscal_status"])];
		const { refresh } = settings;
		settings.refresh = function (listview) {
			if (refresh) refresh.call(this, listview);
			listview.$result.find(".fiscal-status-pill").remove();
			const rows = listview.$result.find(".list-row-container");
			(listview.data || []).forEach((doc, index) => {
				if (doc.fiscal_status) {
					$(rows[index]).find(".list-row .level-left .list-subject").append(pill(doc.fiscal_status));
				}
			});
		};
	}
}
