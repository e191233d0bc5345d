frappe.ui.form.on("Fiscal Point of Sale", {
	async refresh(frm) {
		if (frm.is_new() || !frm.doc.company) return;
		const answer = await frappe.call({
			method: "fiscal_integration.api.sale_form",
			args: { company: frm.doc.company, doctype: "POS Invoice" },
		});
		const form = answer.message || {};
		frm.set_df_property("register_section", "hidden", form.registers ? 0 : 1);
		if (!form.registers) return;
		const act = async (method, args) => {
			const done = await frappe.call({ method: `fiscal_integration.api.${method}`, args, freeze: true });
			if (done.message && done.message.ok === false) {
				frappe.msgprint({
					title: __("Not Done"),
					indicator: "red",
					message: frappe.utils.escape_html(done.message.message),
				});
			}
			await frm.reload_doc();
			return done.message;
		};
		const till = frm.docname;
		frm.add_custom_button(__("Next Step"), () => act("set_up_till", { till }), __("Cash Register"));
		if (!frm.doc.register_serial) return;
		frm.add_custom_button(
			__("Export Archive (DEP7)"),
			() =>
				frappe.prompt(
					[
						{
							fieldname: "start",
							fieldtype: "Date",
							label: __("From"),
							reqd: 1,
							default: frappe.datetime.quarter_start(),
						},
						{
							fieldname: "end",
							fieldtype: "Date",
							label: __("To"),
							reqd: 1,
							default: frappe.datetime.get_today(),
						},
					],
					async (values) => {
						const done = await act("export_archive", { till, ...values });
						if (!done) return;
						frappe.msgprint({
							title: done.safe ? __("Archive Saved") : __("Archive Saved, with Faults"),
							indicator: done.safe ? "green" : "red",
							message: `<p class="fiscal-archive">${frappe.utils.escape_html(
								done.result
							)}</p><a href="${encodeURI(done.url)}" target="_blank">${__("Open the File")}</a>`,
						});
					},
					__("Export Archive (DEP7)")
				),
			__("Cash Register")
		);
		frm.add_custom_button(
			__("Save Months Now"),
			() => act("archive_months", { till }),
			__("Cash Register")
		);
		frm.add_custom_button(
			__("Monthly and Yearly Receipts"),
			async () => {
				const done = await frappe.call({
					method: "fiscal_integration.api.register_closings",
					args: { till },
					freeze: true,
				});
				const escape = frappe.utils.escape_html;
				const rows = done.message.map(
					(entry) =>
						`<tr><td>${escape(entry.number)}</td><td>${escape(entry.type)}</td><td>${escape(
							entry.time
						)}</td><td>${entry.signed ? "✓" : __("not signed")}</td></tr>`
				);
				frappe.msgprint({
					title: __("Receipts Made by the Provider"),
					message: `<table class="table fiscal-closings">${rows.join("")}</table>`,
					wide: true,
				});
			},
			__("Cash Register")
		);
		frm.add_custom_button(
			__("Take Out of Use"),
			() =>
				frappe.prompt(
					[
						{
							fieldname: "warning",
							fieldtype: "HTML",
							options: `<p class="text-danger"><b>${__(
								"This cannot be undone. The cash register is reported to FinanzOnline as out of use and never signs again."
							)}</b></p>`,
						},
						{
							fieldname: "serial",
							fieldtype: "Data",
							label: __("Type its serial number to confirm"),
							reqd: 1,
						},
					],
					({ serial }) => act("decommission_till", { till, serial }),
					__("Take the Cash Register Out of Use"),
					__("Take Out of Use")
				),
			__("Cash Register")
		);
	},
});
