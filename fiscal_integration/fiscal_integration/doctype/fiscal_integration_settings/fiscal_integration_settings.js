// Both connection forms share their behaviour, and an event may come before it is loaded. The braces keep
// the name from meeting the other form's in one browser session.
{
	const on = (event) => async (frm) => {
		await frappe.require("connection_form.bundle.js");
		await fiscal_integration.connection.handlers[event](frm);
	};

	frappe.ui.form.on("Fiscal Integration Settings", {
		refresh: on("refresh"),
		company: on("company"),
		provider: on("provider"),
		environment: on("environment"),
		ping_server: on("ping_server"),
	});
}
