frappe.ui.form.on("Fiscal Account", {
	async setup() {
		await frappe.require("connection_form.bundle.js");
	},
	async refresh(frm) {
		await frappe.require("connection_form.bundle.js");
		await fiscal_integration.connection.handlers.refresh(frm);
	},
	company: (frm) => fiscal_integration.connection.handlers.company(frm),
	provider: (frm) => fiscal_integration.connection.handlers.provider(frm),
	environment: (frm) => fiscal_integration.connection.handlers.environment(frm),
	ping_server: (frm) => fiscal_integration.connection.handlers.ping_server(frm),
});
