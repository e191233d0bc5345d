// The dead letters as one list, and sending many again.
frappe.listview_settings["Fiscal Document"] = {
	add_fields: ["status"],

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
		const send = async (filters) => {
			const answer = await frappe.call({
				method: "fiscal_integration.api.send_bulk",
				args: { filters },
				freeze: true,
			});
			const { batch, documents } = answer.message;
			if (!batch) {
				frappe.msgprint(__("None of them can be sent again."));
				return;
			}
			const link = frappe.utils.get_form_link("Fiscal Batch", batch, true);
			frappe.show_alert({
				message: `${__("{0} are on their way", [documents])}: ${link}`,
				indicator: "blue",
			});
			listview.refresh();
		};
		listview.page.add_menu_item(__("Send All Pending"), () =>
			frappe.confirm(
				__("Submit every fiscal document that is built or queued and not yet submitted?"),
				() => send({ status: "Queued" })
			)
		);
		listview.page.add_actions_menu_item(__("Send Again"), () => {
			const names = listview.get_checked_items(true);
			frappe.confirm(
				__(
					"Send {0} fiscal documents? Rejected and failed ones get a new payload under the same key; what waits goes now; the others stay as they are.",
					[names.length]
				),
				() => send({ name: ["in", names] })
			);
		});
	},
};
