// How a fiscal document is shown: on the Fiscal tab of an invoice and on its own form.
frappe.provide("fiscal_integration.view");

Object.assign(fiscal_integration.view, {
	async load(doctype, name) {
		const answer = await frappe.call({
			method: "fiscal_integration.api.fiscal_view",
			args: { doctype, name },
		});
		return answer.message || {};
	},

	html(view) {
		const escape = frappe.utils.escape_html;
		const lines = [
			`<span class="indicator-pill ${view.colour}">${__(view.status)}</span>`,
			`<p class="text-muted">${escape(view.meaning)}</p>`,
		];
		if (view.needs_attention) {
			lines.push(`<p class="fiscal-todo"><b>${escape(view.todo)}</b></p>`);
		}
		if (view.qr_image) lines.push(this.qr(view.qr_image));
		if (view.qr_value && /^https:\/\//.test(view.qr_value)) {
			lines.push(
				`<p><a target="_blank" rel="noopener" href="${escape(view.qr_value)}">${__(
					"Verify at the tax authority"
				)}</a></p>`
			);
		}
		if (view.error) {
			const text = escape(view.error).replace(/\n/g, "<br>");
			lines.push(`<p class="text-danger fiscal-error">${text}</p>`);
		}
		if (view.provider_down) {
			lines.push(
				`<p class="text-warning fiscal-down">${__("The provider is down since {0}. It is tried again by itself.", [
					frappe.datetime.str_to_user(view.provider_down),
				])}</p>`
			);
		}
		if (view.fiscal_number) {
			lines.push(`<p class="text-muted">${__("Number: {0}", [escape(view.fiscal_number)])}</p>`);
		}
		if (view.stamps && view.stamps.length) {
			const rows = view.stamps.map(
				([key, value]) => `<tr><td>${escape(__(frappe.unscrub(key)))}</td><td>${escape(value)}</td></tr>`
			);
			lines.push(`<table class="fiscal-stamps text-muted small">${rows.join("")}</table>`);
		}
		if (view.cancellation) {
			const { status, colour, meaning, todo, message } = view.cancellation;
			lines.push(
				`<p class="fiscal-cancellation"><span class="indicator-pill ${colour}">${__("Cancellation")}: ${__(
					status
				)}</span><br>${escape(meaning)} <b>${escape(todo)}</b>${
					message ? `<br><span class="text-muted">${escape(message)}</span>` : ""
				}</p>`
			);
		}
		if (view.next_attempt) {
			lines.push(
				`<p class="text-muted">${__("Next step: {0}", [
					frappe.datetime.str_to_user(view.next_attempt),
				])}</p>`
			);
		}
		return `<div class="fiscal-view">${lines.join("")}</div>`;
	},

	// As large as its modules need to be read off a screen: a long address makes many of them.
	qr(image) {
		return `<img class="fiscal-qr" alt="${__("QR Code")}" src="${encodeURI(image)}"
			style="image-rendering: pixelated"
			onload="this.style.width = Math.min(Math.max(this.naturalWidth / 2, 160), 400) + 'px'">`;
	},

	buttons(frm, doctype, name, view) {
		const group = __("Fiscal");
		const act = (method, args, message) => async () => {
			await frappe.call({ method: `fiscal_integration.api.${method}`, args, freeze: true });
			frappe.show_alert({ message, indicator: "blue" });
			frm.reload_doc();
		};
		const labels = { pdf: __("Download Fiscal PDF"), xml: __("Download Fiscal XML") };
		for (const kind of view.downloads) {
			frm.add_custom_button(
				labels[kind],
				async () => {
					const answer = await frappe.call({
						method: "fiscal_integration.api.fetch_file",
						args: { doctype, name, kind },
						freeze: true,
						freeze_message: __("Fetching the file…"),
					});
					window.open(answer.message);
				},
				group
			);
		}
		if (view.can_retry) {
			frm.add_custom_button(
				__("Send Again"),
				() => {
					const send = act("retry", { document: view.name }, __("Queued again"));
					if (view.status !== "Needs Review") return send();
					frappe.confirm(
						__(
							"The provider holds something for this invoice. Sending again may issue it twice. Are you sure that what it holds is not this sale?"
						),
						send
					);
				},
				group
			);
		}
		if (view.can_cancel) {
			frm.add_custom_button(
				__("Cancel Fiscal Document"),
				() =>
					frappe.prompt(
						[
							{
								fieldname: "explanation",
								fieldtype: "HTML",
								options: `<p>${__(
									"Only for a sale that did not take place. It cannot be undone, and the invoice can be cancelled afterwards."
								)}</p>`,
							},
							{
								fieldname: "reason",
								fieldtype: "Small Text",
								label: __("Reason for the Authority"),
								reqd: 1,
							},
						],
						async ({ reason }) => {
							await act("cancel", { document: view.name, reason }, __("The cancellation was requested"))();
						},
						__("Cancel Fiscal Document {0}", [view.fiscal_id]),
						__("Ask the Authority")
					),
				group
			);
		}
		if (view.can_take_over) {
			frm.add_custom_button(
				__("Take Over"),
				() =>
					frappe.confirm(
						__(
							"Take over the provider's document {0} although it differs from the invoice? Do so only when you compared both and it is this sale.",
							[view.fiscal_id]
						),
						act("take_over", { document: view.name }, __("Taken over"))
					),
				group
			);
		}
		if (view.can_ask) {
			frm.add_custom_button(
				__("Ask the Provider"),
				act("ask_provider", { document: view.name }, __("The provider is being asked")),
				group
			);
		}
	},

	follow(frm) {
		if (frm.fiscal_following) return;
		frm.fiscal_following = true;
		frappe.realtime.on("fiscal_document_update", (update) => {
			if (update.doctype === frm.doctype && update.name === frm.docname && !frm.is_dirty()) {
				frm.reload_doc();
			}
		});
	},
});
