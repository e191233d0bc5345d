frappe.ui.form.on("Fiscal Document", {
	async refresh(frm) {
		frm.disable_save();
		if (frm.is_new()) return;
		await frappe.require("fiscal_view.bundle.js");
		fiscal_integration.view.follow(frm);
		const { reference_doctype, reference_name } = frm.doc;
		const view = await fiscal_integration.view.load(reference_doctype, reference_name);
		if (!view.name) return;
		const { qr_image, qr_value, ...status } = view;
		frm.fields_dict.status_html.$wrapper.html(fiscal_integration.view.html(status));
		frm.fields_dict.qr_html.$wrapper.html(qr_image ? fiscal_integration.view.qr(qr_image) : "");
		fiscal_integration.view.buttons(frm, reference_doctype, reference_name, view);
	},
});
