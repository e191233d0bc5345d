// The Fiscal tab of POS Invoice and Sales Invoice. Loaded once with each of the two forms.
frappe.provide("fiscal_integration.invoice");

fiscal_integration.invoice.show = async function (frm) {
	const field = frm.fields_dict.fiscal_qr_html;
	if (!field) return;
	field.$wrapper.empty();
	if (!frm.doc.fiscal_document) return;
	await frappe.require("fiscal_view.bundle.js");
	fiscal_integration.view.follow(frm);
	const name = frm.docname;
	const view = await fiscal_integration.view.load(frm.doctype, name);
	if (frm.docname !== name || !view.name) return;
	field.$wrapper.html(fiscal_integration.view.html(view));
	fiscal_integration.view.buttons(frm, frm.doctype, name, view);
};

if (!fiscal_integration.invoice.hooked) {
	fiscal_integration.invoice.hooked = true;
	for (const doctype of ["POS Invoice", "Sales Invoice"]) {
		frappe.ui.form.on(doctype, { refresh: (frm) => fiscal_integration.invoice.show(frm) });
	}
}
