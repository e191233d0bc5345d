// What the lists of invoices show and do fiscally: a coloured mark beside each row, filters by state, and making
// many documents at once. ERPNext's own settings stay and are called first.
{
	const COLOURS = {
		Queued: "blue",
		Sending: "blue",
		Pending: "yellow",
		Unknown: "orange",
		Issued: "green",
		Rejected: "red",
		Failed: "red",
		"Needs Review": "red",
	};
	const FIELDS = ["fiscal_status", "fiscal_cancellation"];
	// Which filters each choice sets; those of another choice go.
	const CHOICES = () => [
		[__("Pending"), [["fiscal_status", "in", ["Queued", "Sending", "Pending", "Unknown"]]]],
		[
			__("Issued"),
			[
				["fiscal_status", "=", "Issued"],
				["fiscal_cancellation", "!=", "Cancelled"],
			],
		],
		[__("Error"), [["fiscal_status", "in", ["Rejected", "Failed", "Needs Review"]]]],
		[__("Cancelled"), [["fiscal_cancellation", "=", "Cancelled"]]],
		[__("Not Required"), [["fiscal_status", "=", "Not Required"]]],
		[
			__("Without Document"),
			[
				["docstatus", "=", 1],
				["fiscal_document", "is", "not set"],
				["fiscal_status", "!=", "Not Required"],
			],
		],
		[__("All"), []],
	];

	const pill = (doc) => {
		const status = doc.fiscal_cancellation === "Cancelled" ? "Cancelled" : doc.fiscal_status;
		return `<span class="indicator-pill ${COLOURS[status] || "gray"} fiscal-status-pill ml-2">${__(
			"Fiscal"
		)}: ${frappe.utils.escape_html(__(status))}</span>`;
	};

	const choose = async (listview, filters) => {
		for (const field of [...FIELDS, "fiscal_document", "docstatus"]) {
			await listview.filter_area.remove(field);
		}
		await listview.filter_area.add(filters.map((filter) => [listview.doctype, ...filter]));
	};

	const add_filters = (listview) => {
		for (const [label, filters] of CHOICES()) {
			listview.page.add_inner_button(label, () => choose(listview, filters), __("Fiscal"));
		}
	};

	const add_bulk = (listview) => {
		if (!frappe.user.has_role(["Fiscal Manager", "System Manager"])) return;
		// With its list script comes what the lists share.
		frappe.model.with_doctype("Fiscal Batch", () => {
			const { bulk } = fiscal_integration;
			const label = __("Generate Fiscal Documents");
			const generate = () => bulk.ask(listview, label, bulk.selection(listview));
			listview.page.add_menu_item(label, generate);
			listview.page.add_actions_menu_item(label, generate);
			bulk.watch(listview);
		});
	};

	for (const doctype of ["POS Invoice", "Sales Invoice"]) {
		const settings = (frappe.listview_settings[doctype] = frappe.listview_settings[doctype] || {});
		// This file is loaded with each of the two.
		if (settings.fiscal) continue;
		settings.fiscal = true;
		settings.add_fields = [...new Set([...(settings.add_fields || []), ...FIELDS])];
		const { onload, refresh } = settings;
		settings.onload = function (listview) {
			if (onload) onload.call(this, listview);
			add_filters(listview);
			add_bulk(listview);
		};
		settings.refresh = function (listview) {
			if (refresh) refresh.call(this, listview);
			listview.$result.find(".fiscal-status-pill").remove();
			// By the name in each row: Frappe 17 draws the header as a row too, so a row's position is not its
			// document's.
			const documents = Object.fromEntries((listview.data || []).map((doc) => [doc.name, doc]));
			listview.$result.find(".list-row .list-row-checkbox").each((_, box) => {
				const doc = documents[box.dataset.name];
				if (doc?.fiscal_status) $(box).closest(".list-subject").append(pill(doc));
			});
		};
	}
}
