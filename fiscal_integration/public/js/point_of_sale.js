// ERPNext's Point of Sale: a button for the Fiscal Data, where the provider of the company asks for them.
frappe.require(["point-of-sale.bundle.js", "fiscal_data.bundle.js"], () => {
	const controller = erpnext.PointOfSale.Controller.prototype;
	if (controller.fiscal_wrapped) return;
	controller.fiscal_wrapped = true;
	const { prepare_menu } = controller;
	controller.prepare_menu = function (...args) {
		prepare_menu.apply(this, args);
		this.offer_fiscal_data();
	};
	controller.offer_fiscal_data = async function () {
		const company = this.company || (this.settings && this.settings.company);
		const form = await fiscal_integration.data.form_of(company, "POS Invoice");
		this.page.wrapper.find(".fiscal-data-btn").remove();
		if (!form.receiver_kinds || !form.receiver_kinds.length) return;
		this.page
			.add_button(__("Fiscal Data"), () => fiscal_integration.data.dialog(this.frm), {
				btn_class: "btn-default fiscal-data-btn",
			})
			.attr("title", __("Who the fiscal document is for"));
	};
});
