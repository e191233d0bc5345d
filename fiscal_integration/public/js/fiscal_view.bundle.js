// How a fiscal document is shown: on the Fiscal tab of an invoice and on its own form.
frappe.provide("fiscal_integration.view");

Object.assign(fiscal_integration.view, {
	// Seconds between two looks while something goes on by itself; the last one repeats.
	WAITS: [2, 3, 5, 10, 20, 30],
	// From Frappe 16 on this file may run twice in one page.
	watchers: fiscal_integration.view.watchers || new Set(),

	async load(doctype, name) {
		const answer = await frappe.call({
			method: "fiscal_integration.api.fiscal_view",
			args: { doctype, name },
		});
		return this.with_places(doctype, name, answer.message || {});
	},

	// Where what was refused can be mended: the document, and the customer that it is for.
	async with_places(doctype, name, view) {
		if (!view.needs_attention) return view;
		const field = { "POS Invoice": "customer", "Sales Invoice": "customer", "Payment Entry": "party" }[doctype];
		const found = field ? await frappe.db.get_value(doctype, name, field) : {};
		const customer = (found.message || {})[field];
		return { ...view, places: [[doctype, name], ...(customer ? [["Customer", customer]] : [])] };
	},

	html(view) {
		const escape = frappe.utils.escape_html;
		const lines = [this.headline(view), this.id(view)];
		if (view.needs_attention) {
			const places = (view.places || [])
				.filter(([doctype]) => !cur_frm || cur_frm.doctype !== doctype)
				.map(([doctype, name]) => {
					const route = frappe.utils.get_form_link(doctype, name);
					return `${__(doctype)}: <a href="${route}" style="text-decoration: underline">${escape(name)}</a>`;
				});
			lines.push(
				`<p class="fiscal-todo"><b>${escape(view.todo)}</b><br>
					<span class="fiscal-places">${places.join(" · ")}</span></p>`
			);
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
			const colour = view.needs_attention ? "text-danger" : "text-muted";
			lines.push(`<p class="${colour} fiscal-error">${text}</p>`);
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
				([key, value]) => `<tr style="vertical-align: top"><td class="pr-3">${escape(__(frappe.unscrub(key)))}</td>
					<td style="overflow-wrap: anywhere">${escape(value)}</td></tr>`
			);
			lines.push(`<table class="fiscal-stamps text-muted small">${rows.join("")}</table>`);
		}
		if (view.mailed) {
			const told = view.mailed.at
				? __("Sent to {0} at {1}.", [escape(view.mailed.to), frappe.datetime.str_to_user(view.mailed.at)])
				: __("Not sent to the customer: {0}", [escape(view.mailed.error)]);
			lines.push(`<p class="text-muted fiscal-mailed">${told}</p>`);
		}
		if (view.cancellation && !this.cancelled(view)) lines.push(this.cancellation(view));
		const next = this.next(view);
		if (next) lines.push(`<p class="text-muted fiscal-next">${next}</p>`);
		lines.push(this.payments(view), this.timeline(view));
		return `<div class="fiscal-view">${lines.join("")}</div>`;
	},

	cancelled(view) {
		return Boolean(view.cancellation && view.cancellation.status === "Cancelled");
	},

	// What is cancelled was issued too, but is no legal document any more.
	headline(view) {
		if (this.cancelled(view)) return this.cancellation(view);
		return `<span class="indicator-pill whitespace-nowrap ${view.colour}">${__(view.status)}</span>
			<p class="text-muted mt-2 mb-1">${frappe.utils.escape_html(view.meaning)}</p>`;
	},

	cancellation(view) {
		const escape = frappe.utils.escape_html;
		const { status, colour, meaning, todo, message } = view.cancellation;
		// Once the document is cancelled here too, nothing is left to do.
		const left = status === "Cancelled" && view.docstatus === 2 ? "" : todo;
		return `<p class="fiscal-cancellation"><span class="indicator-pill ${colour}">${__("Cancellation")}: ${__(
			status
		)}</span><br>${escape(meaning)} <b>${escape(left)}</b>${
			message ? `<br><span class="text-muted">${escape(message)}</span>` : ""
		}</p>`;
	},

	// The little that a till has room for (ROOM in point_of_sale.js).
	summary(view) {
		const escape = frappe.utils.escape_html;
		const next = this.next(view);
		return `<div class="fiscal-summary d-flex justify-content-between" style="gap: 15px">
			<div style="min-width: 0">
				<div class="small">${this.headline(view)}</div>
				${view.needs_attention && view.error ? `<p class="text-danger small mb-1">${escape(view.error)}</p>` : ""}
				${next ? `<p class="text-muted small mb-1">${next}</p>` : ""}
				${this.id(view)}
			</div>
			${view.qr_image ? `<div style="flex: none">${this.qr(view.qr_image, 200)}</div>` : ""}
		</div>`;
	},

	// Of a document that is not the sale's yet, or was refused, there is no id to hand out.
	id(view) {
		if (!view.fields.fiscal_id) return "";
		const id = frappe.utils.escape_html(view.fields.fiscal_id);
		return `<p class="fiscal-id-line"><code style="overflow-wrap: anywhere">${id}</code>
			<button type="button" class="btn btn-xs btn-default fiscal-copy" data-text="${id}"
				title="${__("Copy the fiscal id")}" aria-label="${__("Copy the fiscal id")}">
				${frappe.utils.icon("duplicate", "xs")}
			</button></p>`;
	},

	// What happens next by itself, and when.
	next(view) {
		if (!view.next_attempt) return "";
		if (view.next_due) return __("It is its turn as soon as a worker is free.");
		const when = `<b>${frappe.datetime.str_to_user(view.next_attempt)}</b>`;
		if (view.status === "Queued") return __("It is sent at {0}.", [when]);
		if (view.status === "Sending") return __("If no answer has come by {0}, the provider is asked.", [when]);
		return __("The provider is asked again at {0}.", [when]);
	},

	// What was paid of a sale on credit, as far as the authority is told.
	payments(view) {
		if (!(view.payments || []).length) return "";
		const rows = view.payments.map((entry) => {
			const title = view.can_open
				? frappe.utils.get_form_link("Fiscal Document", entry.document, true, entry.payment)
				: frappe.utils.escape_html(entry.payment);
			const more = [
				entry.installment ? __("Installment {0}", [entry.installment]) : "",
				format_currency(entry.amount, entry.currency),
				__(entry.status),
			];
			return `<li class="fiscal-payment mb-2"><span class="indicator ${entry.colour}">${title}</span>
				<div class="text-muted small" style="padding-left: 14px">${more.filter(Boolean).join(" · ")}</div></li>`;
		});
		return `<div class="fiscal-payments mt-4"><h6 class="text-muted">${__("Payments Told to the Authority")}</h6>
			<ul class="list-unstyled">${rows.join("")}</ul></div>`;
	},

	// What was exchanged and what people did, the newest first.
	timeline(view) {
		if (!view.timeline.length) return "";
		const escape = frappe.utils.escape_html;
		const rows = view.timeline.map((entry) => {
			const [colour, outcome] = this.outcome(entry);
			const what = escape(this.operation(entry.operation));
			const title = entry.name
				? `<a href="/app/integration-request/${encodeURIComponent(entry.name)}">${what}</a>`
				: what;
			const more = [
				frappe.datetime.str_to_user(entry.at),
				outcome,
				entry.exchange ? __("{0} s", [format_number(entry.seconds || 0, null, 2)]) : "",
				escape(entry.who),
			];
			return `<li class="fiscal-attempt mb-2"><span class="indicator ${colour}">${title}</span>
				<div class="text-muted small" style="padding-left: 14px">${more.filter(Boolean).join(" · ")}</div></li>`;
		});
		const left = view.timeline_total - view.timeline.length;
		if (left > 0) rows.push(`<li class="text-muted small">${__("And {0} earlier ones.", [left])}</li>`);
		return `<div class="fiscal-timeline mt-4"><h6 class="text-muted">${__("What Happened")}</h6>
			<ul class="list-unstyled">${rows.join("")}</ul></div>`;
	},

	operation(key) {
		const words = {
			issue: __("Sent to the provider"),
			reconcile: __("Asked whether it was issued"),
			cancel: __("Cancellation asked for"),
			pdf: __("PDF fetched"),
			xml: __("XML fetched"),
			token: __("Logged in at the provider"),
			retry: __("Sent again by hand"),
			"take over": __("Taken over by hand"),
			ask: __("Asked by hand"),
			"request cancellation": __("Cancellation requested by hand"),
			"send to review": __("Sent to review"),
		};
		return words[key] || frappe.unscrub(key || "");
	},

	// Colour and words of what came of an exchange. What people did needs none.
	outcome(entry) {
		if (!entry.exchange) return ["blue", ""];
		if (entry.ok) return ["green", __("answered (HTTP {0})", [entry.http_status])];
		if (!entry.http_status) return ["orange", __("no answer")];
		if (entry.http_status >= 500) {
			return ["orange", __("error at the provider (HTTP {0})", [entry.http_status])];
		}
		return ["red", __("refused (HTTP {0})", [entry.http_status])];
	},


	// As large as its modules need to be read off a screen: a long address makes many of them.
	qr(image, most = 400) {
		return `<img class="fiscal-qr" alt="${__("QR Code")}" src="${encodeURI(image)}"
			style="image-rendering: pixelated"
			onload="this.style.width = Math.min(Math.max(this.naturalWidth / 2, 160), ${most}) + 'px'">`;
	},

	// Ours under Fiscal, those of the state before taken away.
	buttons(frm, doctype, name, view) {
		this.remove_buttons(frm);
		const others = new Set(Object.keys(frm.custom_buttons));
		this.add_buttons(frm, doctype, name, view);
		frm.fiscal_buttons = Object.keys(frm.custom_buttons).filter((label) => !others.has(label));
	},

	remove_buttons(frm) {
		const group = __("Fiscal");
		for (const label of frm.fiscal_buttons || []) {
			frm.remove_custom_button(label, group);
			delete frm.custom_buttons[label];
			// The same once more, in the menu of small screens.
			frm.page.menu
				.find(".user-action")
				.filter((_, item) => $(item).find(".menu-item-label").text() === `${group} > ${label}`)
				.remove();
		}
		frm.fiscal_buttons = [];
	},

	add_buttons(frm, doctype, name, view) {
		const group = __("Fiscal");
		const act = (method, args, message) => async () => {
			await frappe.call({ method: `fiscal_integration.api.${method}`, args, freeze: true });
			frappe.show_alert({ message, indicator: "blue" });
			this.show_again(frm);
		};
		const labels = { pdf: __("Download Fiscal PDF"), xml: __("Download Fiscal XML"), acknowledgement: __("Download Cancellation Receipt") };
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
					if (view.status !== "Needs Review" || view.reviewed) return send();
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
				() => this.ask_to_cancel(frm, view, act),
				group
			);
		}
		if (view.cancellation && view.cancellation.status === "Cancelled" && frm.doctype !== "Fiscal Document") {
			if (frm.doc.docstatus === 1 && frm.perm[0].cancel) {
				frm.add_custom_button(__("Cancel {0}", [__(frm.doctype)]), () => frm.savecancel(), group);
			}
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
		if (view.can_mail) {
			frm.add_custom_button(__("Send by E-mail"), () => this.ask_for_address(frm, doctype, name), group);
		}
		if (view.can_review) {
			frm.add_custom_button(__("Send to Review"), () => this.ask_for_reason(view, act), group);
		}
		if (view.can_ask) {
			frm.add_custom_button(
				__("Ask the Provider"),
				act("ask_provider", { document: view.name }, __("The provider is being asked")),
				group
			);
		}
	},

	// Why a document is to be cancelled: a motive of the authority's list, or words.
	async ask_to_cancel(frm, view, act) {
		const answer = await frappe.call({
			method: "fiscal_integration.api.cancel_form",
			args: { document: view.name },
		});
		const { motives, notes, substitutes, cancel_source } = answer.message;
		const told = [__("The authority decides, and it cannot be undone."), ...notes];
		const with_substitute = motives.filter((motive) => motive.substitute).map((motive) => motive.code);
		frappe.prompt(
			[
				{
					fieldname: "explanation",
					fieldtype: "HTML",
					options: told.map((text) => `<p>${frappe.utils.escape_html(text)}</p>`).join(""),
				},
				{
					fieldname: "motive",
					fieldtype: "Select",
					label: __("Motive"),
					options: motives.map(({ code, label }) => ({ value: code, label })),
					reqd: motives.length ? 1 : 0,
					hidden: motives.length ? 0 : 1,
				},
				{
					fieldname: "substitute",
					fieldtype: "Link",
					options: "Fiscal Document",
					label: __("Document That Takes Its Place"),
					description: __("Issued already, and naming this one as the document whose place it takes."),
					get_query: () => ({
						query: "fiscal_integration.api.search_documents",
						filters: substitutes,
					}),
					depends_on: `eval:${JSON.stringify(with_substitute)}.includes(doc.motive)`,
					mandatory_depends_on: `eval:${JSON.stringify(with_substitute)}.includes(doc.motive)`,
				},
				{
					fieldname: "reason",
					fieldtype: "Small Text",
					label: motives.length ? __("Note") : __("Reason for the Authority"),
					reqd: motives.length ? 0 : 1,
				},
				{
					fieldname: "cancel_source",
					fieldtype: "Check",
					label: __("Cancel the document in ERPNext too, as soon as the authority has agreed"),
					// A payment goes with its complement; of a sale a person decides when the authority has agreed.
					default: (frm.doc.reference_doctype || frm.doctype) === "Payment Entry" ? 1 : 0,
					hidden: cancel_source ? 0 : 1,
				},
			],
			(values) => act("cancel", { document: view.name, ...values }, __("The cancellation was requested"))(),
			__("Cancel Fiscal Document {0}", [view.fiscal_id]),
			__("Ask the Authority")
		);
	},

	async ask_for_address(frm, doctype, name) {
		const proposed = await frappe.xcall("fiscal_integration.api.mail_address", { doctype, name });
		frappe.prompt(
			[
				{
					fieldname: "recipients",
					fieldtype: "Data",
					label: __("To"),
					description: __("Several addresses with commas between them."),
					default: proposed,
					reqd: 1,
				},
			],
			async ({ recipients }) => {
				const answer = await frappe.call({
					method: "fiscal_integration.api.send_mail",
					args: { doctype, name, recipients },
					freeze: true,
					freeze_message: __("Fetching the files…"),
				});
				this.show_activity(frm);
				frappe.show_alert({
					message: __("On its way to {0}", [frappe.utils.escape_html(answer.message.join(", "))]),
					indicator: "green",
				});
			},
			__("E-mail the Fiscal Document of {0}", [name]),
			__("Send")
		);
	},

	ask_for_reason(view, act) {
		frappe.prompt(
			[
				{
					fieldname: "explanation",
					fieldtype: "HTML",
					options: `<p>${__("It goes no further by itself until a person decides.")}</p>`,
				},
				{ fieldname: "reason", fieldtype: "Small Text", label: __("Why"), reqd: 1 },
			],
			({ reason }) => act("send_to_review", { document: view.name, reason }, __("Sent to review"))(),
			__("Send to Review"),
			__("Send to Review")
		);
	},

	// -- live ----------------------------------------------------------------------------------------------

	// The form as it is now. What somebody is entering in an invoice stays.
	show_again(frm) {
		if (frm.doctype === "Fiscal Document") return frm.reload_doc();
		this.show_activity(frm);
		return fiscal_integration.invoice.show(frm);
	},

	// Comments and mails that were just added.
	async show_activity(frm) {
		const { doctype, docname: name } = frm;
		const answer = await frappe.call({ method: "frappe.desk.form.load.get_docinfo", args: { doctype, name } });
		frappe.model.sync_docinfo(answer);
		if (frm.docname === name && frm.timeline) frm.timeline.refresh();
	},

	// Keep what the form shows up to date for as long as it is looked at.
	follow(frm, view) {
		const { doctype, docname, doc } = frm;
		const own = doctype === "Fiscal Document";
		if (frm.fiscal_watch) frm.fiscal_watch.stop();
		frm.fiscal_watch = this.watch({
			doctype: own ? doc.reference_doctype : doctype,
			name: own ? doc.reference_name : docname,
			view,
			alive: () => cur_frm === frm && frm.docname === docname && frm.$wrapper.is(":visible"),
			changed: (now) => (own ? frm.reload_doc() : fiscal_integration.invoice.draw(frm, now)),
		});
	},

	// Call `changed` with the new view of an invoice whenever it changes, until `alive` denies or stop() is called:
	// when realtime tells so, and by looking now and then while something goes on by itself, since realtime may not
	// run. Without the `view` that is known already, the first one only is what others are compared with.
	watch({ doctype, name, view, alive, changed, waits = this.WAITS }) {
		const realtime = frappe.realtime;
		const room = `${doctype}:${name}`;
		const joined = Boolean(realtime.open_docs && realtime.open_docs.has(room));
		let known = view;
		let tries = 0;
		let timer = null;
		let looking = false;
		const watcher = { doctype, name, stopped: false };

		const wait = () => {
			if (watcher.stopped || (known && !known.goes_on)) return;
			let seconds = waits[Math.min(tries++, waits.length - 1)];
			const told = realtime.socket && realtime.socket.connected && realtime.open_docs.has(room);
			if (told && waits === this.WAITS) seconds = waits[waits.length - 1];
			timer = setTimeout(watcher.look, seconds * 1000);
		};
		watcher.look = async () => {
			clearTimeout(timer);
			if (watcher.stopped || looking) return;
			if (!alive()) return watcher.stop();
			if (document.hidden) return wait();
			looking = true;
			const now = await this.ask(doctype, name);
			looking = false;
			if (watcher.stopped) return;
			if (!alive()) return watcher.stop();
			const differs = now && known !== undefined && JSON.stringify(now) !== JSON.stringify(known);
			known = now || known;
			if (differs) changed(now);
			wait();
		};
		watcher.stop = () => {
			watcher.stopped = true;
			clearTimeout(timer);
			this.watchers.delete(watcher);
			if (!joined && realtime.socket) realtime.doc_unsubscribe(doctype, name);
		};
		this.listen();
		if (!joined && realtime.socket) realtime.doc_subscribe(doctype, name);
		this.watchers.add(watcher);
		wait();
		return watcher;
	},

	listen() {
		if (this.listening) return;
		this.listening = true;
		frappe.realtime.on("fiscal_document_update", (update) => {
			for (const watcher of this.watchers) {
				if (watcher.doctype === update.doctype && watcher.name === update.name) watcher.look();
			}
		});
	},

	// The view without a word to the user when it cannot be had just now: it is asked for again.
	async ask(doctype, name) {
		const args = new URLSearchParams({ doctype, name });
		try {
			const answer = await fetch(`/api/method/fiscal_integration.api.fiscal_view?${args}`, {
				headers: { Accept: "application/json", "X-Frappe-CSRF-Token": frappe.csrf_token },
			});
			return answer.ok ? await this.with_places(doctype, name, (await answer.json()).message) : null;
		} catch (error) {
			return null;
		}
	},
});

$(document)
	.off("click.fiscal")
	.on("click.fiscal", ".fiscal-copy", (event) => {
		frappe.utils.copy_to_clipboard(event.currentTarget.dataset.text);
	});
