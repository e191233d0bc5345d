frappe.ui.form.on("Fiscal Global Invoice", {
	async refresh(frm) {
		if (!frm.is_new() && frm.doc.docstatus === 0) {
			frm.add_custom_button(__("Collect Sales"), async () => {
				await frm.call({ doc: frm.doc, method: "collect", freeze: true, freeze_message: __("Collecting…") });
				frm.refresh();
				frappe.show_alert({ message: __("{0} sales", [frm.doc.sales.length]), indicator: "blue" });
			});
			frm.set_intro(
				frm.doc.sales.length
					? __("Look through the sales, then submit: one fiscal document is issued for all of them.")
					: __("Collect the sales of the period, then submit.")
			);
		} else {
			frm.set_intro("");
		}
		if (!frm.doc.fiscal_document) return;
		await frappe.require("fiscal_view.bundle.js");
		fiscal_integration.view.follow(frm);
		const name = frm.docname;
		const view = await fiscal_integration.view.load(frm.doctype, name);
		if (frm.docname !== name || !view.name) return;
		frm.fields_dict.fiscal_qr_html.$wrapper.html(fiscal_integration.view.html(view));
		fiscal_integration.view.buttons(frm, frm.doctype, name, view);
	},
});
