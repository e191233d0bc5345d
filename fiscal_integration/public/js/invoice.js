// The Fiscal tab of POS Invoice and Sales Invoice. Loaded once with each of the two forms.
frappe.provide("fiscal_integration.invoice");

fiscal_integration.invoice.show = async function (frm) {
	const field = frm.fields_dict.fiscal_qr_html;
	// The Point of Sale has a form too, which nobody sees.
	if (!field || frappe.get_route()[0] !== "Form") return;
	if (frm.fiscal_shown !== frm.docname) field.$wrapper.empty();
	if (!frm.doc.fiscal_document) return;
	await frappe.require("fiscal_view.bundle.js");
	const name = frm.docname;
	const view = await fiscal_integration.view.load(frm.doctype, name);
	if (frm.docname !== name || !view.name) return;
	fiscal_integration.invoice.draw(frm, view);
	fiscal_integration.view.follow(frm, view);
};

// Without reloading the form, since somebody may be entering something there.
fiscal_integration.invoice.draw = function (frm, view) {
	if (view.docstatus !== frm.doc.docstatus && !frm.is_dirty()) return frm.reload_doc();
	frm.fiscal_shown = frm.docname;
	frm.fields_dict.fiscal_qr_html.$wrapper.html(fiscal_integration.view.html(view));
	for (const [field, value] of Object.entries(view.fields)) {
		if (frm.doc[field] === value) continue;
		frm.doc[field] = value;
		frm.refresh_field(field);
	}
	fiscal_integration.view.buttons(frm, frm.doctype, frm.docname, view);
};

// What the message that refuses a cancellation offers instead.
fiscal_integration.invoice.make_credit_note = function ({ doctype, name }) {
	frappe.hide_msgprint(true);
	const module = doctype === "POS Invoice" ? "pos_invoice" : "sales_invoice";
	frappe.model.open_mapped_doc({
		method: `erpnext.accounts.doctype.${module}.${module}.make_sales_return`,
		source_name: name,
	});
};

fiscal_integration.invoice.ask_form = async function (frm) {
	await frappe.require("fiscal_data.bundle.js");
	await fiscal_integration.data.show(frm);
};

if (!fiscal_integration.invoice.hooked) {
	fiscal_integration.invoice.hooked = true;
	for (const doctype of ["POS Invoice", "Sales Invoice", "Payment Entry"]) {
		frappe.ui.form.on(doctype, {
			refresh(frm) {
				fiscal_integration.invoice.show(frm);
				fiscal_integration.invoice.ask_form(frm);
			},
			company: (frm) => fiscal_integration.invoice.ask_form(frm),
			customer: (frm) => frm.fiscal_form && fiscal_integration.data.show_customer(frm),
			fiscal_customer_type: (frm) => frm.fiscal_form && fiscal_integration.data.show_customer(frm),
			fiscal_customer_tax_id: (frm) => frm.fiscal_form && fiscal_integration.data.check(frm),
			fiscal_taxpayer_type: (frm) => frm.fiscal_form && fiscal_integration.data.check(frm),
			fiscal_customer_location: (frm) => frm.fiscal_form && fiscal_integration.data.show_place(frm),
		});
	}
}
