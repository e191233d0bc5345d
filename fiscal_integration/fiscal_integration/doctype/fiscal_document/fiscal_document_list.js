// The dead letters as one list, and sending many again.
frappe.listview_settings["Fiscal Document"] = {
	add_fields: ["status"],

	onload(listview) {
		listview.page.add_inner_button(__("Needs Attention"), () =>
			listview.filter_area
				.clear(false)
				.then(() =>
					listview.filter_area.add([
						["Fiscal Document", "status", "in", ["Rejected", "Failed", "Needs Review"]],
					])
				)
		);
		if (!frappe.user.has_role(["Fiscal Manager", "System Manager"])) return;
		listview.page.add_actions_menu_item(__("Send Again"), () => {
			const names = listview.get_checked_items(true);
			frappe.confirm(
				__(
					"Send {0} fiscal documents? Rejected and failed ones get a new payload under the same key; what waits goes now; the others stay as they are.",
					[names.length]
				),
				async () => {
					const answer = await frappe.call({
						method: "fiscal_integration.api.send_bulk",
						args: { filters: { name: ["in", names] } },
						freeze: true,
					});
					const { batch, documents } = answer.message;
					if (!batch) {
						frappe.msgprint(__("None of them can be sent again."));
						return;
					}
					frappe.show_alert({
						message: `${__("{0} are on their way", [documents])}: ${frappe.utils.get_form_link(
							"Fiscal Batch",
							batch,
							true
						)}`,
						indicator: "blue",
					});
					listview.refresh();
				}
			);
		});
	},
};
