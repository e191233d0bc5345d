// The customer's place is chosen from the tax authority's catalogue.
frappe.ui.form.on("Customer", {
	setup(frm) {
		frm.set_query("fiscal_location", () => "fiscal_integration.api.search_locations");
	},

	refresh: (frm) => show_place(frm),
	fiscal_location: (frm) => show_place(frm),
});

async function show_place(frm) {
	const field = frm.fields_dict.fiscal_location;
	const code = frm.doc.fiscal_location;
	if (!field) return;
	let told = __("Type the corregimiento, its district or its code, such as 8-8-7, and choose.");
	if (code) {
		const answer = await frappe.call({ method: "fiscal_integration.api.search_locations", args: { txt: code } });
		const place = (answer.message || []).find((entry) => entry.value === code);
		if (place) told = frappe.utils.escape_html(place.description);
	}
	if (frm.doc.fiscal_location === code) frm.set_df_property("fiscal_location", "description", told);
}
