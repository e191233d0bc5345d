// What the forms of Fiscal Integration Settings and Fiscal Account have in common: the provider's
// declared parameters, the status badge, and Ping Server.
import "./place";

frappe.provide("fiscal_integration.connection");

Object.assign(fiscal_integration.connection, {
	async load(frm) {
		if (frm.fiscal_providers) return;
		const answer = await frappe.call({
			method: "fiscal_integration.api.describe_providers",
			args: { company: frm.doc.company || null },
		});
		frm.fiscal_providers = answer.message;
	},

	async refresh(frm) {
		await this.load(frm);
		this.show_status(frm);
		this.offer_providers(frm);
		this.draw_parameters(frm);
		this.show_ping(frm);
		if (!frm.is_new()) await this.show_delivery(frm);
		if (!frm.is_new()) await this.show_setup(frm);
	},

	// The steps from credentials to cash registers, each with its state; any of them may be repeated.
	async show_setup(frm) {
		const answer = await frappe.call({
			method: "fiscal_integration.api.setup_status",
			args: { doctype: frm.doctype, name: frm.docname },
		});
		const setup = answer.message || {};
		frm.toggle_display("setup_section", Boolean(setup.ready));
		frm.set_df_property("setup_section", "hidden", setup.ready ? 0 : 1);
		if (!setup.ready) return;
		const escape = frappe.utils.escape_html;
		const pill = (state, ready) =>
			`<span class="indicator-pill ${state === ready ? "green" : state ? "orange" : "gray"}">${escape(
				state || __("Not begun")
			)}</span>`;
		const step = (key, title, help, state, ready, name) =>
			`<div class="fiscal-step mb-3" data-step="${key}" data-name="${escape(name || "")}">
				<b>${title}</b> ${pill(state, ready)}
				<button class="btn btn-xs btn-default fiscal-next ml-2">${
					state === ready ? __("Look Again") : __("Next Step")
				}</button><div class="text-muted small">${help}</div></div>`;
		const tills = setup.tills.map((till) =>
			step(
				"till",
				__("Cash register {0}", [escape(till.pos_profile || __("without till"))]),
				[
					till.register_serial ? __("Serial number {0}", [escape(till.register_serial)]) : "",
					till.first_receipt_state
						? __("Initial receipt at FinanzOnline: {0}", [escape(till.first_receipt_state)])
						: "",
				]
					.filter(Boolean)
					.join(" · "),
				till.register_state,
				setup.ready.register,
				till.name
			)
		);
		const above = setup.organization;
		const wrapper = frm.fields_dict.setup_html.$wrapper.html(
			[
				above.offered && (above.id || !above.credentials)
					? step(
							"organization",
							__("0. Organization and key"),
							__(
								"Optional: with the key of your own account at the provider, the company's organization is made there, and then its key, which is stored here. Who has a key enters it above."
							),
							above.id && above.credentials ? "READY" : above.id ? "ORGANIZATION" : "",
							"READY"
					  )
					: "",
				step(
					"authority",
					__("1. FinanzOnline"),
					__(
						"The credentials of the Cash Register Webservice User that the taxpayer made in FinanzOnline: not those with which one logs in there. Once per taxpayer; they are handed on and not kept."
					),
					setup.authority,
					setup.ready.authority
				),
				step(
					"unit",
					__("2. Signature creation unit"),
					__("One for the company: created, then initialized, which registers it with FinanzOnline."),
					setup.unit,
					setup.ready.unit
				),
				`<p><b>${__("3. Cash registers")}</b> ${__(
					"One for each till, by its Fiscal Point of Sale: created, registered, initialized."
				)} <a href="/app/fiscal-point-of-sale/new">${__("Add a till")}</a></p>`,
				...tills,
			].join("")
		);
		wrapper.find(".fiscal-next").on("click", (event) => {
			const { step: key, name } = $(event.currentTarget).closest(".fiscal-step")[0].dataset;
			this.next_step(frm, key, name, setup);
			return false;
		});
	},

	async next_step(frm, key, name, setup) {
		const go = async (method, args) => {
			const answer = await frappe.call({
				method: `fiscal_integration.api.${method}`,
				args,
				freeze: true,
				freeze_message: __("Asking the provider…"),
			});
			if (!answer.message.ok) {
				frappe.msgprint({
					title: __("Not Done"),
					indicator: "red",
					message: frappe.utils.escape_html(answer.message.message),
				});
			}
			if (answer.message.ok && answer.message.message) {
				frappe.msgprint(frappe.utils.escape_html(answer.message.message));
			}
			if (key === "organization") await frm.reload_doc();
			await this.show_setup(frm);
		};
		const record = { doctype: frm.doctype, name: frm.docname };
		if (key === "till") return go("set_up_till", { till: name });
		if (key === "organization") {
			const { id, credentials, details } = setup.organization;
			if (id && credentials) return this.show_setup(frm);
			const account = [
				{ fieldname: "account_key", fieldtype: "Data", label: __("API Key of Your Account"), reqd: 1 },
				{
					fieldname: "account_secret",
					fieldtype: "Password",
					label: __("API Secret of Your Account"),
					reqd: 1,
					no_strength: 1,
					description: __("Used for this step only, and not kept."),
				},
			];
			const field = (fieldname, label, value, reqd) => ({
				fieldname,
				fieldtype: "Data",
				label,
				default: value,
				reqd,
			});
			const company = [
				field("company_name", __("Company"), details.name, 1),
				field("address", __("Address"), details.address, 1),
				field("postal_code", __("Postal Code"), details.postal_code, 1),
				field("city", __("City"), details.city, 1),
				field("vat_id", __("VAT ID"), details.vat_id, 0),
			];
			return frappe.prompt(
				id ? account : [...account, ...company],
				(values) => go("set_up_organization", { ...record, ...values }),
				id ? __("Make the Key") : __("Make the Organization")
			);
		}
		if (key === "unit") {
			if (setup.unit) return go("set_up_unit", record);
			return frappe.prompt(
				{
					fieldname: "legal_entity",
					fieldtype: "Data",
					label: __("VAT ID, Tax Number or GLN of the Company"),
					reqd: 1,
					description: __("As ATU12345678."),
				},
				(values) => go("set_up_unit", { ...record, ...values }),
				__("Signature Creation Unit")
			);
		}
		if (setup.authority === setup.ready.authority) return go("set_up_authority", record);
		frappe.prompt(
			[
				{ fieldname: "participant", fieldtype: "Data", label: __("Participant ID"), reqd: 1 },
				{ fieldname: "user", fieldtype: "Data", label: __("User ID"), reqd: 1 },
				{ fieldname: "pin", fieldtype: "Password", label: __("PIN"), reqd: 1, no_strength: 1 },
			],
			(values) => go("set_up_authority", { ...record, ...values }),
			__("Cash Register Webservice User")
		);
	},

	// How the connection fares: whether the provider is down, what waits, and where webhooks go.
	async show_delivery(frm) {
		const answer = await frappe.call({
			method: "fiscal_integration.api.connection_status",
			args: { doctype: frm.doctype, name: frm.docname },
		});
		const status = answer.message || {};
		const escape = frappe.utils.escape_html;
		const when = (moment) => frappe.datetime.str_to_user(moment);
		const lines = [];
		if (status.down) {
			lines.push(
				`<div class="fiscal-down alert alert-warning"><b>${__(
					"The provider is down since {0}.",
					[when(status.down.since)]
				)}</b> ${escape(status.down.message)}<br>${__(
					"Nothing is lost and no attempt is used up. It is probed again at {0}; Ping Server probes it now.",
					[when(status.down.until)]
				)}</div>`
			);
		}
		if (status.waiting || status.dead_letters) {
			lines.push(
				`<div class="fiscal-counts text-muted">${__("{0} documents wait, {1} need attention.", [
					status.waiting,
					status.dead_letters,
				])} <a href="#" class="fiscal-list">${__("Show them")}</a></div>`
			);
		}
		const field = frm.fields_dict.status_html.$wrapper;
		field.find(".fiscal-delivery").remove();
		field.append(`<div class="fiscal-delivery mb-3">${lines.join("")}</div>`);
		field.find(".fiscal-list").on("click", () => {
			frappe.set_route("List", "Fiscal Document", {
				status: ["in", ["Queued", "Sending", "Pending", "Unknown", "Rejected", "Failed", "Needs Review"]],
			});
			return false;
		});
		const webhook = status.webhook;
		frm.fields_dict.webhook_html.$wrapper.html(
			webhook
				? `<div class="fiscal-webhook mb-3"><label class="control-label">${__(
						"Address for Webhooks"
				  )}</label><div><code>${escape(webhook.url)}</code></div><p class="help-box small text-muted">${__(
						"Enter it at the provider. Refused for lack of a valid signature: {0}.",
						[webhook.refused]
				  )}</p></div>`
				: ""
		);
	},

	async company_changed(frm) {
		delete frm.fiscal_providers;
		await this.refresh(frm);
	},

	show_status(frm) {
		const available = frm.fiscal_providers.available;
		const [colour, text] = !available
			? ["orange", __("Not Available")]
			: frm.doc.enabled
			? ["green", __("Enabled")]
			: ["gray", __("Disabled")];
		frm.page.set_indicator(text, colour);
		if (!frm.fields_dict.status_html) return;
		const explanation = available
			? ""
			: `<p class="text-muted">${__(
					"No provider serves the country of your companies. Their invoices are never touched."
			  )}</p>`;
		frm.fields_dict.status_html.$wrapper.html(
			`<div class="fiscal-status mb-3"><span class="indicator-pill ${colour}">${text}</span>${explanation}</div>`
		);
	},

	offer_providers(frm) {
		const options = Object.entries(frm.fiscal_providers.providers)
			.filter(([key, entry]) => entry.available || key === frm.doc.provider)
			.map(([value, entry]) => ({ value, label: entry.label }));
		frm.set_df_property("provider", "options", [{ value: "", label: "" }, ...options]);
		const secret = this.declared(frm).find((parameter) => parameter.key === "secret_key");
		frm.toggle_display("secret_key", Boolean(secret));
		if (secret) frm.set_df_property("secret_key", "description", secret.help);
	},

	declared(frm) {
		const provider = frm.fiscal_providers.providers[frm.doc.provider];
		return provider ? provider.parameters : [];
	},

	row(frm, key) {
		return (frm.doc.parameters || []).find((row) => row.parameter === key);
	},

	draw_parameters(frm) {
		const wrapper = frm.fields_dict.parameters_html.$wrapper.empty();
		const parameters = this.declared(frm).filter((parameter) => parameter.key !== "secret_key");
		frm.toggle_display("parameters_section", parameters.length > 0);
		if (!parameters.length) return;
		const half = Math.ceil(parameters.length / 2);
		const fields = parameters.map((parameter) => ({
			fieldname: parameter.key,
			fieldtype: parameter.secret
				? "Password"
				: parameter.search
				? "Autocomplete"
				: parameter.options.length
				? "Select"
				: "Data",
			get_query: parameter.search
				? fiscal_integration.place.query(
						() => frm.fiscal_fields.fields_dict[parameter.key],
						`fiscal_integration.api.${parameter.search}`
				  )
				: undefined,
			label: parameter.label,
			options: parameter.options.length ? ["", ...parameter.options].join("\n") : undefined,
			reqd: parameter.required,
			description: parameter.help,
			placeholder: parameter.default,
			onchange: () => this.store(frm, parameter.key),
		}));
		fields.splice(half, 0, { fieldtype: "Column Break" });
		frm.fiscal_fields = new frappe.ui.FieldGroup({ fields, body: wrapper[0], no_submit_on_enter: true });
		frm.fiscal_drawing = true;
		frm.fiscal_fields.make();
		const values = {};
		for (const parameter of parameters) {
			const row = this.row(frm, parameter.key);
			values[parameter.key] = row ? row.value : parameter.default;
		}
		frm.fiscal_fields.set_values(values).then(() => (frm.fiscal_drawing = false));
	},

	store(frm, key) {
		if (frm.fiscal_drawing) return;
		const value = frm.fiscal_fields.get_value(key) || "";
		const row = this.row(frm, key);
		if ((row ? row.value || "" : "") === value) return;
		if (row) {
			frappe.model.set_value(row.doctype, row.name, "value", value);
		} else {
			frm.add_child("parameters", { parameter: key, value });
			frm.dirty();
		}
	},

	async choice_changed(frm) {
		await this.load(frm);
		const entry = frm.fiscal_providers.providers[frm.doc.provider];
		const defaults = Object.values(frm.fiscal_providers.providers).flatMap((other) =>
			Object.values(other.urls)
		);
		if (entry && (!frm.doc.server_url || defaults.includes(frm.doc.server_url))) {
			frm.set_value("server_url", entry.urls[frm.doc.environment || "Test"]);
		}
		this.offer_providers(frm);
		this.draw_parameters(frm);
	},

	show_ping(frm) {
		const field = frm.fields_dict.last_ping_html.$wrapper.empty();
		if (!frm.doc.last_ping_at) return;
		this.draw_ping(field, {
			ok: frm.doc.last_ping_ok,
			message: (frm.doc.last_ping_message || "").split("\n")[0],
			warnings: (frm.doc.last_ping_message || "").split("\n").slice(1),
			details: [],
		});
	},

	draw_ping(wrapper, result) {
		const escape = frappe.utils.escape_html;
		const heading = result.ok
			? escape(result.message)
			: `${__("Connection failed")}: ${escape(result.message)}`;
		const details = result.details
			.map(([label, value]) => `<div class="text-muted">${escape(label)}: ${escape(value)}</div>`)
			.join("");
		const warnings = result.warnings
			.map(
				(text) =>
					`<div class="fiscal-warning"><span class="indicator orange"></span>${escape(text)}</div>`
			)
			.join("");
		wrapper.html(`<div class="fiscal-ping mb-4">
			<div class="fiscal-ping-result text-${result.ok ? "success" : "danger"}">
				<b>${result.ok ? "✓" : "✗"} ${heading}</b>
			</div>${details}${warnings}</div>`);
	},

	async ping(frm) {
		if (frm.is_dirty()) await frm.save();
		const answer = await frappe.call({
			method: "fiscal_integration.api.ping",
			args: { doctype: frm.doctype, name: frm.docname },
			freeze: true,
			freeze_message: __("Asking the provider…"),
		});
		await frm.reload_doc();
		this.draw_ping(frm.fields_dict.last_ping_html.$wrapper, answer.message);
	},

	clear_secrets(frm) {
		const secrets = this.declared(frm).filter((parameter) => parameter.secret);
		frappe.prompt(
			{
				fieldname: "key",
				fieldtype: "Select",
				label: __("Secret"),
				reqd: 1,
				options: secrets.map(({ key, label }) => ({ value: key, label })),
			},
			async ({ key }) => {
				await frappe.call({
					method: "fiscal_integration.api.clear_secret",
					args: { doctype: frm.doctype, name: frm.docname, key },
				});
				await frm.reload_doc();
			},
			__("Forget a Stored Secret"),
			__("Forget")
		);
	},
});

const handlers = {
	async refresh(frm) {
		await fiscal_integration.connection.refresh(frm);
		if (!frm.is_new() && frm.doc.provider) {
			frm.add_custom_button(__("Forget a Secret"), () =>
				fiscal_integration.connection.clear_secrets(frm)
			);
		}
	},
	company: (frm) => fiscal_integration.connection.company_changed(frm),
	provider: (frm) => fiscal_integration.connection.choice_changed(frm),
	environment: (frm) => fiscal_integration.connection.choice_changed(frm),
	ping_server: (frm) => fiscal_integration.connection.ping(frm),
};

fiscal_integration.connection.handlers = handlers;
