// Fields for a place: what is typed is looked for in the tax authority's catalogue, by name or by code.
frappe.provide("fiscal_integration.place");

const SEARCH = "fiscal_integration.api.search_locations";

const plain = (text) =>
	String(text || "")
		.normalize("NFD")
		.replace(/[\u0300-\u036f]/g, "")
		.toLowerCase();

Object.assign(fiscal_integration.place, {
	// What an Autocomplete field asks when somebody types. `control` returns the field.
	query(control, method = SEARCH) {
		return () => {
			const { awesomplete } = control() || {};
			// Frappe 15 and 16 look for what was typed in the code alone, and none of its versions does without the accents.
			if (awesomplete) {
				awesomplete.filter = (item, typed) => {
					const { value, label, description } = awesomplete.get_item(item.value) || item;
					const hay = plain(`${value} ${label} ${description || ""}`);
					return plain(typed)
						.split(/\s+/)
						.every((word) => hay.includes(word));
				};
			}
			return method;
		};
	},

	// The name of the chosen place below the field; below a blank one how to choose, or what holds then.
	async tell(frm, fieldname, blank) {
		const code = frm.doc[fieldname];
		let told = blank || __("Type the corregimiento, its district or its code, such as 8-8-7, and choose.");
		if (code) told = (await this.name_of(code)) || told;
		if (frm.doc[fieldname] === code) frm.set_df_property(fieldname, "description", told);
	},

	async name_of(code) {
		const answer = await frappe.call({ method: SEARCH, args: { txt: code } });
		const place = (answer.message || []).find((entry) => entry.value === code);
		return place ? frappe.utils.escape_html(place.description) : "";
	},
});
