frappe.ui.form.on("Fiscal Batch", {
	onload(frm) {
		if (fiscal_integration.bulk.listening) return;
		fiscal_integration.bulk.listening = true;
		// A drain tells that it has come further; how far is asked for.
		frappe.realtime.on("fiscal_batch_progress", ({ name }) => {
			if (cur_frm?.doctype === "Fiscal Batch" && cur_frm.docname === name) show(cur_frm);
		});
	},

	refresh(frm) {
		frm.disable_save();
		frm.get_field("progress_html").$wrapper.html(
			`<div class="fiscal-batch-bar"></div><div class="fiscal-batch-end mt-3"></div>`
		);
		const status = frm.doc.status;
		fiscal_integration.bulk.follow(
			frm.docname,
			frm.get_field("progress_html").$wrapper.find(".fiscal-batch-bar"),
			(seen) => summarise(frm, seen, status)
		);
	},
});

async function show(frm) {
	const { bulk } = fiscal_integration;
	const seen = await bulk.progress(frm.docname);
	if (seen.name !== frm.docname) return;
	frm.get_field("progress_html").$wrapper.find(".fiscal-batch-bar").html(bulk.progress_html(seen));
	summarise(frm, seen, frm.doc.status);
}

function summarise(frm, seen, status) {
	if (seen.name !== frm.docname) return;
	if (seen.status !== status) {
		frm.reload_doc();
		return;
	}
	frm.get_field("progress_html").$wrapper.find(".fiscal-batch-end").html(links(seen) + errors(seen) + left(seen));
}

function list_of(batch, filters) {
	const query = Object.entries({ batch, ...filters }).map(
		([field, value]) =>
			`${field}=${encodeURIComponent(Array.isArray(value) ? JSON.stringify(value) : value)}`
	);
	return `/app/fiscal-document?${query.join("&")}`;
}

function links(seen) {
	const { bulk } = fiscal_integration;
	const link = (label, number, filters, css) =>
		number
			? `<a class="mr-4 fiscal-batch-${css}" href="${list_of(seen.name, filters)}">${label} (${bulk.number(
					number
				)})</a>`
			: "";
	return `<p>
		${link(__("All Documents"), seen.total, {}, "all")}
		${link(__("Issued"), seen.issued, { status: "Issued" }, "issued")}
		${link(__("Needing a Person"), seen.failed, { status: ["in", bulk.DEAD] }, "failed")}
		${link(__("Still Waiting"), seen.waiting, { status: ["in", bulk.DUE] }, "waiting")}
	</p>`;
}

function errors(seen) {
	if (!seen.errors.length) return "";
	const { bulk } = fiscal_integration;
	const rows = seen.errors.map(([code, message, number]) => {
		const filters = { status: ["in", bulk.DEAD], error_code: code || ["is", "not set"] };
		return `<tr>
			<td><a href="${list_of(seen.name, filters)}">${frappe.utils.escape_html(
				code || __("Without a code")
			)}</a></td>
			<td>${frappe.utils.escape_html(message || "")}</td>
			<td class="text-right">${bulk.number(number)}</td>
		</tr>`;
	});
	return `<table class="table table-sm small fiscal-batch-errors">
		<thead><tr><th>${__("Error Code")}</th><th>${__("Such As")}</th>
		<th class="text-right">${__("Documents")}</th></tr></thead>
		<tbody>${rows.join("")}</tbody>
	</table>`;
}

function left(seen) {
	return fiscal_integration.bulk.left_html(seen.left);
}
