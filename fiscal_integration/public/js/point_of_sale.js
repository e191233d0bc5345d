// ERPNext's Point of Sale: a button for the Fiscal Data, where the provider of the company asks for them, and
// the fiscal document on the summary of an order. What ERPNext does there is kept, and ours put around it.
frappe.provide("erpnext.PointOfSale");

(() => {
	const ready = frappe.require(["fiscal_data.bundle.js", "fiscal_view.bundle.js"]);

	// Ours are put around a class when ERPNext's bundle defines it, however often that is: in Frappe 16 and later
	// a bundle that two parts of a page ask for at once runs twice, and each run defines the classes anew.
	const around = (name, change) => {
		let current;
		const set = (defined) => {
			current = defined;
			if (!defined || defined.prototype.fiscal_wrapped) return;
			defined.prototype.fiscal_wrapped = true;
			change(defined.prototype);
		};
		set(erpnext.PointOfSale[name]);
		Object.defineProperty(erpnext.PointOfSale, name, {
			configurable: true,
			enumerable: true,
			get: () => current,
			set,
		});
	};

	around("Controller", (controller) => {
		const { prepare_menu } = controller;
		controller.prepare_menu = function (...args) {
			prepare_menu.apply(this, args);
			this.offer_fiscal_data();
		};
		controller.offer_fiscal_data = async function () {
			await ready;
			const company = this.company || (this.settings && this.settings.company);
			// From ERPNext 16 on a setting chooses what the till makes.
			const doctype = (this.settings && this.settings.frm_doctype) || "POS Invoice";
			const form = await fiscal_integration.data.form_of(company, doctype);
			this.page.wrapper.find(".fiscal-data-btn").remove();
			if (!form.receiver_kinds || !form.receiver_kinds.length) return;
			this.page
				.add_button(__("Fiscal Data"), () => fiscal_integration.data.dialog(this.frm), {
					btn_class: "btn-default fiscal-data-btn",
				})
				.attr("title", __("Who the fiscal document is for"));
		};
	});

	// Seconds between two looks after a payment: most answers are there within one or two.
	const WAITS = [0.5, 1, 1, 1, 1, 2, 3, 5, 10, 20, 30];
	// Pixels for the summary from the start, QR code and a line about the receipt included: the buttons below must not
	// move under the cashier's finger when the answer comes.
	const ROOM = 255;
	// How long a receipt that prints by itself waits for its fiscal document.
	const PRINT_WAIT = 5;

	around("PastOrderSummary", (summary) => {
		const { load_summary_of } = summary;
		summary.load_summary_of = async function (doc, after_submission = false, ...more) {
			const prints = after_submission && doc.fiscal_document && this.print_receipt_on_order_complete;
			if (prints) this.print_receipt_on_order_complete = 0;
			try {
				await load_summary_of.call(this, doc, after_submission, ...more);
			} finally {
				if (prints) this.print_receipt_on_order_complete = prints;
			}
			this.show_fiscal_document(doc, Boolean(prints));
		};

		// Status, id and QR code of the order's fiscal document, live for as long as the order is shown. Where the
		// receipt prints by itself it is printed once, when the document has come or its time is over, whatever is on
		// the screen then.
		summary.show_fiscal_document = async function (doc, prints) {
			this.$summary_container.find(".fiscal-summary-section").remove();
			if (!doc.fiscal_document) return;
			const $section = $(
				`<div class="fiscal-summary-section"><div class="label">${__("Fiscal Document")}</div>
					<div class="summary-container p-3" style="min-height: ${ROOM}px"></div></div>`
			).insertAfter(this.$upper_section);
			const $box = $section.find(".summary-container");
			const receipt = { due: prints, without: false };
			let seen = null;

			const shown = () => this.doc === doc && $section.is(":visible");
			const print = () => {
				clearTimeout(receipt.timer);
				receipt.due = false;
				receipt.without = !(seen && seen.qr_image);
				// The next order may be on the screen by now.
				Object.assign(Object.create(this), { doc }).print_receipt();
				draw();
			};
			const draw = () => {
				if (!seen || !seen.name) return;
				$box.html(fiscal_integration.view.summary(seen));
				if (receipt.due) {
					$box.append(`<p class="text-muted small mb-0">${__("The receipt waits a few seconds for it.")}</p>`);
				} else if (receipt.without && seen.qr_image) {
					const $again = $(`<p class="fiscal-print-again text-warning small mb-0">
						${__("The receipt was printed before the fiscal document was there.")}
						<button type="button" class="btn btn-xs btn-default">${__("Print Again")}</button></p>`);
					$again.appendTo($box).find("button").on("click", print);
				}
			};
			const changed = (view) => {
				seen = view || seen;
				if (receipt.due && seen && (seen.qr_image || !seen.goes_on)) return print();
				draw();
			};
			if (prints) receipt.timer = setTimeout(print, PRINT_WAIT * 1000);
			await ready;
			changed(await fiscal_integration.view.ask(doc.doctype, doc.name));
			fiscal_integration.view.watch({
				doctype: doc.doctype,
				name: doc.name,
				view: seen,
				waits: WAITS,
				alive: () => receipt.due || shown(),
				changed,
			});
		};
	});
})();
