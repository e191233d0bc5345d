// Who the fiscal document of a sale is for: the section of the invoice forms, and the dialog of the Point of Sale.
import "./place";

frappe.provide("fiscal_integration.data");

Object.assign(fiscal_integration.data, {
	FIELDS: {
		name: "fiscal_customer_name",
		tax_id: "fiscal_customer_tax_id",
		dv: "fiscal_customer_dv",
		address: "fiscal_customer_address",
		location: "fiscal_customer_location",
		email: "fiscal_customer_email",
	},
	forms: {},

	// What the provider of a company wants to know of a sale. Asked once a minute at most.
	async form_of(company, doctype) {
		if (!company) return {};
		const known = this.forms[company];
		if (known && Date.now() - known.at < 60000) return known.form;
		const answer = await frappe.call({
			method: "fiscal_integration.api.sale_form",
			args: { company, doctype },
		});
		this.forms[company] = { at: Date.now(), form: answer.message || {} };
		return this.forms[company].form;
	},

	async show(frm) {
		if (!frm.fields_dict.fiscal_data_section) return;
		const form = await this.form_of(frm.doc.company, frm.doctype);
		this.show_substitutes(frm, form);
		const asks = Boolean(form.receiver_kinds && form.receiver_kinds.length);
		frm.fiscal_form = asks ? form : null;
		frm.set_df_property("fiscal_data_section", "hidden", asks ? 0 : 1);
		if (!asks) return;
		const options = (entries) => [
			{ value: "", label: "" },
			...entries.map(({ code, label }) => ({ value: code, label })),
		];
		frm.set_df_property("fiscal_customer_type", "options", options(form.receiver_kinds));
		frm.set_df_property("fiscal_document_variant", "options", options(form.variants));
		frm.toggle_display("fiscal_document_variant", form.variants.length && !frm.doc.is_return);
		if (form.taxpayers && !frm.doc.docstatus) {
			frm.add_custom_button(__("Look Up RUC"), () => this.look_up(frm), __("Fiscal"));
		}
		await this.show_customer(frm);
	},

	// Where the provider can be told which document a sale takes the place of.
	show_substitutes(frm, form) {
		frm.set_df_property("fiscal_substitutes", "hidden", form.substitutes ? 0 : 1);
		frm.set_query("fiscal_substitutes", () => ({
			query: "fiscal_integration.api.search_documents",
			filters: { company: frm.doc.company, reference_doctype: frm.doctype },
		}));
	},

	asks(form, code, what) {
		const kind = (form.receiver_kinds || []).find((entry) => entry.code === code);
		return !kind || kind.asks.includes(what);
	},

	// What is sent when the fields are left blank stands in them as a hint.
	async show_customer(frm) {
		const form = frm.fiscal_form;
		if (!form || !frm.doc.customer) return;
		const customer = frm.doc.customer;
		const answer = await frappe.call({
			method: "fiscal_integration.api.customer_data",
			args: { customer, company: frm.doc.company },
		});
		if (frm.doc.customer !== customer) return;
		const data = answer.message || {};
		const chosen = frm.doc.fiscal_customer_type || data.kind;
		const label = (form.receiver_kinds.find((kind) => kind.code === data.kind) || {}).label || "";
		frm.set_df_property(
			"fiscal_customer_type",
			"description",
			label ? __("Blank: {0}", [label]) : ""
		);
		for (const [what, field] of Object.entries(this.FIELDS)) {
			frm.toggle_display(field, this.asks(form, chosen, what));
			frm.set_df_property(field, "placeholder", data[what] || "");
			// The control takes it over only when it is made.
			const { $input } = frm.fields_dict[field];
			if ($input) $input.attr("placeholder", data[what] || "");
		}
		frm.toggle_display("fiscal_taxpayer_type", this.asks(form, chosen, "dv"));
		await this.show_place(frm);
	},

	async show_place(frm) {
		const { place } = fiscal_integration;
		frm.set_query("fiscal_customer_location", place.query(() => frm.fields_dict.fiscal_customer_location));
		const { placeholder } = frm.fields_dict.fiscal_customer_location.df;
		const blank = placeholder ? __("Blank: {0}", [await place.name_of(placeholder)]) : "";
		await place.tell(frm, "fiscal_customer_location", blank);
	},

	async check(frm) {
		const tax_id = frm.doc.fiscal_customer_tax_id;
		if (!tax_id || frm.doc.fiscal_customer_type === "04") return;
		const answer = await frappe.call({
			method: "fiscal_integration.api.check_tax_id",
			args: {
				company: frm.doc.company,
				tax_id,
				taxpayer_type: frm.doc.fiscal_taxpayer_type || "",
			},
		});
		const found = answer.message;
		if (found.found) {
			frm.set_value("fiscal_customer_dv", found.dv);
			if (!found.dv) frappe.show_alert({ message: this.either(), indicator: "orange" }, 7);
		} else {
			frappe.show_alert({ message: frappe.utils.escape_html(found.message), indicator: "orange" }, 7);
		}
	},

	// A RUC with NT, whose digits depend on who has it.
	either: () => __("Persons and organizations have such a RUC: choose the Taxpayer Type, or enter the DV."),

	async look_up(frm) {
		const tax_id =
			frm.doc.fiscal_customer_tax_id ||
			(frm.fields_dict.fiscal_customer_tax_id.df || {}).placeholder ||
			"";
		const found = await this.ask_register(frm.doc.company, tax_id, frm.doc.fiscal_taxpayer_type);
		if (!found) return;
		await frm.set_value({
			fiscal_customer_tax_id: found.tax_id,
			fiscal_customer_name: found.name,
			fiscal_customer_dv: found.dv,
		});
		frappe.show_alert({
			message: __("{0}, DV {1}", [frappe.utils.escape_html(found.name), found.dv]),
			indicator: "green",
		});
	},

	async ask_register(company, tax_id, taxpayer_type) {
		if (!tax_id) {
			frappe.msgprint(__("Enter the RUC first."));
			return null;
		}
		const answer = await frappe.call({
			method: "fiscal_integration.api.look_up_taxpayer",
			args: { company, tax_id, taxpayer_type: taxpayer_type || "" },
			freeze: true,
			freeze_message: __("Asking the provider…"),
		});
		const found = answer.message;
		if (found.found) return found;
		frappe.msgprint({
			message: frappe.utils.escape_html(found.message),
			indicator: "orange",
			title: __("Not Found"),
		});
		return null;
	},

	// The same for a cashier, in a dialog over the Point of Sale.
	async dialog(frm) {
		const form = await this.form_of(frm.doc.company, frm.doctype);
		if (!form.receiver_kinds || !form.receiver_kinds.length) return;
		let data = {};
		if (frm.doc.customer) {
			const answer = await frappe.call({
				method: "fiscal_integration.api.customer_data",
				args: { customer: frm.doc.customer, company: frm.doc.company },
			});
			data = answer.message || {};
		}
		const dialog = new frappe.ui.Dialog({
			title: __("Fiscal Data"),
			fields: [
				{
					fieldname: "fiscal_customer_type",
					fieldtype: "Select",
					label: __("Customer Type"),
					options: form.receiver_kinds.map(({ code, label }) => ({ value: code, label })),
					default: frm.doc.fiscal_customer_type || data.kind,
					onchange: () => toggle(),
				},
				{
					fieldname: "fiscal_customer_name",
					fieldtype: "Data",
					label: __("Customer Name"),
					default: frm.doc.fiscal_customer_name || data.name,
				},
				{
					fieldname: "fiscal_customer_tax_id",
					fieldtype: "Data",
					label: __("RUC or Foreign Number"),
					default: frm.doc.fiscal_customer_tax_id || data.tax_id,
					onchange: () => check(),
				},
				{
					fieldname: "fiscal_customer_dv",
					fieldtype: "Data",
					label: __("DV"),
					default: frm.doc.fiscal_customer_dv || data.dv,
				},
				{ fieldtype: "Column Break" },
				{
					fieldname: "fiscal_taxpayer_type",
					fieldtype: "Select",
					label: __("Taxpayer Type"),
					options: ["", "1 Natural", "2 Juridical"].map((value) => ({ value, label: __(value) })),
					description: __("Blank: as the RUC's form shows."),
					default: frm.doc.fiscal_taxpayer_type,
					onchange: () => check(),
				},
				{
					fieldname: "fiscal_customer_address",
					fieldtype: "Data",
					label: __("Address"),
					default: frm.doc.fiscal_customer_address || data.address,
				},
				{
					fieldname: "fiscal_customer_location",
					fieldtype: "Autocomplete",
					label: __("Location Code"),
					description: __("Type the corregimiento, its district or its code, such as 8-8-7, and choose."),
					get_query: fiscal_integration.place.query(
						() => dialog.fields_dict.fiscal_customer_location
					),
					default: frm.doc.fiscal_customer_location || data.location,
				},
				{
					fieldname: "fiscal_customer_email",
					fieldtype: "Data",
					options: "Email",
					label: __("E-mail"),
					default: frm.doc.fiscal_customer_email || data.email,
				},
				...(form.taxpayers
					? [{ fieldname: "look_up", fieldtype: "Button", label: __("Look Up RUC"), click: () => look_up() }]
					: []),
			],
			primary_action_label: __("Take Over"),
			primary_action: async (values) => {
				for (const [field, value] of Object.entries(values)) {
					if (field !== "look_up") {
						await frappe.model.set_value(frm.doc.doctype, frm.doc.name, field, value);
					}
				}
				dialog.hide();
			},
		});
		const toggle = () => {
			const kind = dialog.get_value("fiscal_customer_type");
			for (const [what, field] of Object.entries(this.FIELDS)) {
				dialog.set_df_property(field, "hidden", this.asks(form, kind, what) ? 0 : 1);
			}
			dialog.set_df_property("fiscal_taxpayer_type", "hidden", this.asks(form, kind, "dv") ? 0 : 1);
		};
		const check = async () => {
			const tax_id = dialog.get_value("fiscal_customer_tax_id");
			if (!tax_id || dialog.get_value("fiscal_customer_type") === "04") return;
			const answer = await frappe.call({
				method: "fiscal_integration.api.check_tax_id",
				args: {
					company: frm.doc.company,
					tax_id,
					taxpayer_type: dialog.get_value("fiscal_taxpayer_type") || "",
				},
			});
			const found = answer.message;
			if (found.found) dialog.set_value("fiscal_customer_dv", found.dv);
			const told = found.found && !found.dv ? this.either() : found.message || "";
			dialog.set_df_property("fiscal_customer_tax_id", "description", frappe.utils.escape_html(told));
		};
		const look_up = async () => {
			const found = await this.ask_register(
				frm.doc.company,
				dialog.get_value("fiscal_customer_tax_id"),
				dialog.get_value("fiscal_taxpayer_type")
			);
			if (found) {
				dialog.set_values({
					fiscal_customer_name: found.name,
					fiscal_customer_tax_id: found.tax_id,
					fiscal_customer_dv: found.dv,
				});
			}
		};
		dialog.show();
		toggle();
	},
});
