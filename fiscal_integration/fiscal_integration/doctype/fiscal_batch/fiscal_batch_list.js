// What the lists and the form of a batch share: asking before, and showing how far it has come.
frappe.provide("fiscal_integration.bulk");

Object.assign(fiscal_integration.bulk, {
	// Seconds between two looks at a batch that runs.
	LOOK: 4,
	DEAD: ["Rejected", "Failed", "Needs Review"],
	DUE: ["Queued", "Sending", "Pending", "Unknown"],

	number: (value) => format_number(value, null, 0),

	// The selected rows, or all that the list's filters match.
	selection(listview) {
		const names = listview.get_checked_items(true);
		return names.length ? { names } : { filters: listview.get_filters_for_args() };
	},

	// Tell what would be sent and why not the rest; send it when the user says so.
	async ask(listview, title, selection) {
		const args = { doctype: listview.doctype, ...selection };
		const { message: seen } = await frappe.call({
			method: "fiscal_integration.api.preview_bulk",
			args,
			freeze: true,
			freeze_message: __("Counting..."),
		});
		const dialog = new frappe.ui.Dialog({
			title,
			fields: [{ fieldtype: "HTML", fieldname: "preview" }],
			primary_action_label: seen.will ? __("Send {0}", [this.number(seen.will)]) : __("Close"),
			primary_action: async () => {
				dialog.hide();
				if (seen.will) await this.start(listview, args, seen.will);
			},
		});
		dialog.fields_dict.preview.$wrapper.html(this.preview_html(seen, Boolean(selection.names)));
		dialog.show();
	},

	async start(listview, args, expected) {
		const { message } = await frappe.call({
			method: "fiscal_integration.api.start_bulk",
			args,
			freeze: true,
		});
		if (!message.batch) {
			frappe.msgprint(__("Nothing was to be sent."));
			return;
		}
		const link = frappe.utils.get_form_link("Fiscal Batch", message.batch, true);
		const number = this.number(message.status === "Preparing" ? expected : message.documents);
		frappe.show_alert({
			message: `${__("{0} are on their way", [number])}: ${link}`,
			indicator: "blue",
		});
		listview.clear_checked_items();
		this.watch(listview);
	},

	preview_html(seen, ticked) {
		const bold = (value) => `<b>${this.number(value)}</b>`;
		const selected = ticked
			? __("{0} selected", [bold(seen.selected)])
			: __("{0} match the filters of this list", [bold(seen.selected)]);
		const lines = [
			seen.new && __("{0} have no fiscal document and get one.", [bold(seen.new)]),
			seen.oldest &&
				__("The oldest of these sales is of {0}.", [frappe.datetime.str_to_user(seen.oldest)]),
			seen.unchecked &&
				__(
					"{0} of these are looked at one by one when they are made: no document is made where the law requires none.",
					[bold(seen.unchecked)]
				),
			seen.again &&
				__(
					"{0} were refused or failed, and go again with a new payload under the same key.",
					[bold(seen.again)]
				),
			seen.waiting && __("{0} wait, and go at once.", [bold(seen.waiting)]),
		].filter(Boolean);
		return `<div class="fiscal-bulk-preview">
			<p>${selected}. ${__("{0} will be sent.", [bold(seen.will)])}</p>
			<ul>${lines.map((line) => `<li>${line}</li>`).join("")}</ul>
			${this.left_html(Object.entries(seen.reasons))}
		</div>`;
	},

	left_html(left) {
		if (!left.length) return "";
		const rows = left.map(
			([reason, number]) =>
				`<tr><td>${frappe.utils.escape_html(reason)}</td>
				<td class="text-right">${this.number(number)}</td></tr>`
		);
		return `<p class="mb-1">${__("These stay as they are")}:</p>
			<table class="table table-sm small fiscal-bulk-left"><tbody>${rows.join("")}</tbody></table>`;
	},

	progress: (name) =>
		frappe.xcall("run_doc_method", { dt: "Fiscal Batch", dn: name, method: "progress" }),

	progress_html(seen) {
		const part = (number) => (seen.total ? (100 * number) / seen.total : 0);
		const bar = (number, colour) =>
			`<div class="progress-bar bg-${colour}" style="width: ${part(number)}%"></div>`;
		const words = [
			__("{0} of {1} issued", [this.number(seen.issued), this.number(seen.total)]),
			seen.failed && __("{0} need a person", [this.number(seen.failed)]),
			seen.waiting && __("{0} waiting", [this.number(seen.waiting)]),
			seen.gone && __("{0} withdrawn, or sent with a later batch", [this.number(seen.gone)]),
		].filter(Boolean);
		const head =
			seen.status === "Preparing"
				? __("Preparing: {0} rows are looked through", [this.number(seen.selected)])
				: `${__(seen.status)}: ${seen.percent} %`;
		return `<div class="fiscal-progress" data-status="${seen.status}">
			<div class="mb-1"><b>${head}</b></div>
			<div class="progress mb-1" style="height: 10px">
				${bar(seen.issued, "success")}${bar(seen.failed, "danger")}
			</div>
			<div class="small text-muted">${words.join(" · ")}</div>
		</div>`;
	},

	// The batches of this user that are not at their end, above the list; found again after a reload.
	async watch(listview) {
		const running = await frappe.db.get_list("Fiscal Batch", {
			filters: {
				kind: "Bulk",
				status: ["in", ["Preparing", "Running"]],
				requested_by: frappe.session.user,
			},
			order_by: "creation desc",
			limit: 3,
		});
		const $list = listview.$frappe_list;
		$list.parent().find(".fiscal-bulk-strip").remove();
		for (const { name } of running) {
			const $strip = $(
				`<div class="fiscal-bulk-strip p-3 border-bottom"><div class="fiscal-bulk-bar"></div></div>`
			).insertBefore($list);
			$strip.append(
				`<a class="small" href="${frappe.utils.get_form_link("Fiscal Batch", name)}">${__(
					"Fiscal Batch"
				)} ${name}</a>`
			);
			this.follow(name, $strip.find(".fiscal-bulk-bar"), (seen) => {
				if (seen.status === "Finished") listview.refresh();
			});
		}
	},

	// Show the batch in `$place` until it is finished or the place is gone.
	async follow(name, $place, then) {
		// A page that is left open is not at its end, and is looked at again when it is shown.
		if (!$place.is(":visible") || document.hidden) {
			if ($.contains(document, $place[0])) this.again(name, $place, then);
			return;
		}
		const seen = await this.progress(name).catch(() => null);
		if (!$.contains(document, $place[0])) return;
		if (seen) {
			$place.html(this.progress_html(seen));
			then && then(seen);
		}
		if (!seen || seen.status !== "Finished") this.again(name, $place, then);
	},

	again(name, $place, then) {
		setTimeout(() => this.follow(name, $place, then), this.LOOK * 1000);
	},
});
