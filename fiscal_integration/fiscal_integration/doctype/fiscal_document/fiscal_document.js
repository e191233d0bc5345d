frappe.ui.form.on("Fiscal Document", {
	async refresh(frm) {
		frm.disable_save();
		if (frm.is_new()) return;
		frm.add_custom_button(__("Verify Record"), async () => {
			const answer = await frappe.call({
				method: "fiscal_integration.api.verify_record",
				type: "GET",
				args: { document: frm.doc.name },
				freeze: true,
			});
			const { unbroken, title, message } = answer.message;
			frappe.msgprint({ title, message, indicator: unbroken ? "green" : "red" });
		});
		frm.add_custom_button(__("Audit Trail"), () =>
			frappe.set_route("query-report", "Fiscal Audit Trail", { fiscal_document: frm.doc.name })
		);
		await frappe.require("fiscal_view.bundle.js");
		fiscal_integration.view.follow(frm);
		// What was paid at the till has no document of ERPNext's that shows it.
		const { reference_doctype, reference_name, purpose, name: document } = frm.doc;
		const [doctype, name] =
			purpose === "Issue" ? [reference_doctype, reference_name] : ["Fiscal Document", document];
		const view = await fiscal_integration.view.load(doctype, name);
		if (!view.name) return;
		const { qr_image, qr_value, ...status } = view;
		frm.fields_dict.status_html.$wrapper.html(fiscal_integration.view.html(status));
		frm.fields_dict.qr_html.$wrapper.html(qr_image ? fiscal_integration.view.qr(qr_image) : "");
		fiscal_integration.view.buttons(frm, doctype, name, view);
	},
});
