frappe.ui.form.on("Fiscal Certificate", {
	setup(frm) {
		frm.set_query("point_of_sale", () => ({ filters: { company: frm.doc.company || "" } }));
	},

	refresh(frm) {
		const wrapper = frm.fields_dict.status_html.$wrapper.empty();
		if (frm.is_new()) return;
		const left = frm.doc.valid_until
			? frappe.datetime.get_day_diff(frm.doc.valid_until, frappe.datetime.now_datetime())
			: null;
		const [colour, text] = {
			Active:
				left < 0
					? ["red", __("Expired")]
					: left <= 30
					? ["orange", __("Active, {0} days left", [left])]
					: ["green", __("Active, {0} days left", [left])],
			Superseded: ["gray", __("Superseded")],
		}[frm.doc.status] || ["orange", __("Not Initialized")];
		frm.page.set_indicator(text, colour);
		wrapper.html(
			`<div class="fiscal-certificate mb-3"><span class="indicator-pill ${colour}">${text}</span></div>`
		);
		frm.disable_save();
		if (frm.doc.status !== "Superseded") {
			const label = frm.doc.status === "Active" ? __("Renew") : __("Initialize");
			frm.add_custom_button(label, () => configure(frm)).addClass("btn-primary");
		}
	},
});

function configure(frm) {
	const dialog = new frappe.ui.Dialog({
		title: __("Digital Certificate of {0}", [frm.doc.company]),
		fields: [
			{
				fieldname: "file",
				fieldtype: "HTML",
				options: `<div class="form-group"><label class="control-label reqd">${__(
					"P12 File"
				)}</label><input type="file" accept=".p12,.pfx" class="fiscal-p12 form-control"></div>`,
			},
			{ fieldname: "password", fieldtype: "Password", label: __("Password of the File"), no_strength: 1 },
			{ fieldname: "answer", fieldtype: "HTML" },
		],
		primary_action_label: __("Initialize"),
		async primary_action(values) {
			const [file] = dialog.$wrapper.find(".fiscal-p12")[0].files;
			const show = (message) =>
				dialog.fields_dict.answer.$wrapper.html(
					`<p class="fiscal-certificate-error text-danger">${frappe.utils.escape_html(message)}</p>`
				);
			if (!file) return show(__("Choose the P12 file first."));
			const content = await new Promise((resolve, reject) => {
				const reader = new FileReader();
				reader.onload = () => resolve(reader.result.split(",")[1] || "");
				reader.onerror = reject;
				reader.readAsDataURL(file);
			});
			const answer = await frappe.call({
				method: "fiscal_integration.api.initialize_certificate",
				args: { certificate: frm.docname, content, password: values.password || "" },
				freeze: true,
			});
			if (!answer.message.ok) return show(answer.message.message);
			dialog.hide();
			frappe.show_alert({ message: __("The certificate is loaded"), indicator: "green" });
			if (answer.message.name === frm.docname) return frm.reload_doc();
			frappe.set_route("Form", "Fiscal Certificate", answer.message.name);
		},
	});
	dialog.show();
}
