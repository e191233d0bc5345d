// The customer's place is chosen from the tax authority's catalogue.
frappe.ui.form.on("Customer", {
	refresh: (frm) => show_place(frm),
	fiscal_location: (frm) => show_place(frm),
});

async function show_place(frm) {
	if (!frm.fields_dict.fiscal_location) return;
	await frappe.require("fiscal_data.bundle.js");
	const { place } = fiscal_integration;
	frm.set_query("fiscal_location", place.query(() => frm.fields_dict.fiscal_location));
	await place.tell(frm, "fiscal_location");
}
