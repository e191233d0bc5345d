// The dead letters as one list, and sending many again.
frappe.listview_settings["Fiscal Document"] = {
	add_fields: ["status", "error_message"],
	hide_name_column: true,

	formatters: {
		// What has no id says why.
		fiscal_id(value, _df, doc) {
			const why = ["Rejected", "Failed", "Needs Review"].includes(doc.status) && doc.error_message;
			return why
				? `<span class="text-danger fiscal-why">${frappe.utils.escape_html(why.split("\n")[0])}</span>`
				: frappe.utils.escape_html(value || "");
		},
	},

	onload(listview) {
		const show = (statuses) =>
			listview.filter_area
				.clear(false)
				.then(() => listview.filter_area.add([["Fiscal Document", "status", "in", statuses]]));
		listview.page.add_inner_button(__("Needs Attention"), () =>
			show(["Rejected", "Failed", "Needs Review"])
		);
		listview.page.add_inner_button(__("Pending"), () =>
			show(["Queued", "Sending", "Pending", "Unknown"])
		);
		if (!frappe.user.has_role(["Fiscal Manager", "System Manager"])) return;
		frappe.model.with_doctype("Fiscal Batch", () => {
			const { bulk } = fiscal_integration;
			const again = () => bulk.ask(listview, __("Send Again"), bulk.selection(listview));
			listview.page.add_menu_item(__("Send Again"), again);
			listview.page.add_actions_menu_item(__("Send Again"), again);
			listview.page.add_menu_item(__("Send All Pending"), () =>
				bulk.ask(listview, __("Send All Pending"), {
					filters: [["Fiscal Document", "status", "=", "Queued"]],
				})
			);
			bulk.watch(listview);
		});
	},
};
