// Every call of Facturapi's official SDK against the emulator. Prints one JSON object: what each call answered,
// which methods the SDK has, and which were called. Arguments: folder of the package, base URL, keys.
import { createRequire } from "node:module";

const [folder, url, testKey, liveKey, userKey, year] = process.argv.slice(2);
const require = createRequire(`${folder}/node_modules/`);
const { default: Facturapi, FacturapiError } = require("facturapi");

const answers = {};
const errors = {};
const called = new Set();
const RESOURCES = [
	"customers", "products", "invoices", "organizations", "catalogs", "receipts", "retentions", "webhooks", "tools",
	"cartaPorteCatalogs", "comercioExteriorCatalogs",
];

function client(key) {
	const made = new Facturapi(key);
	made.BASE_URL = url;
	return made;
}
const test = client(testKey);
const live = client(liveKey);
const user = client(userKey);

async function told(value) {
	if (value && typeof value.arrayBuffer === "function") {
		return { bytes: Buffer.from(await value.arrayBuffer()).subarray(0, 5).toString("latin1") };
	}
	if (value && typeof value.on === "function") {
		const chunks = [];
		for await (const chunk of value) chunks.push(chunk);
		return { bytes: Buffer.concat(chunks).subarray(0, 5).toString("latin1") };
	}
	return value;
}

// Call one method; the answer is kept under its name.
async function call(from, resource, method, ...args) {
	called.add(`${resource}.${method}`);
	const answer = await told(await from[resource][method](...args));
	answers[`${resource}.${method}`] = answer;
	return answer;
}

// Call one method that has to be refused; how is kept.
async function refused(from, resource, method, ...args) {
	called.add(`${resource}.${method}`);
	try {
		await from[resource][method](...args);
	} catch (error) {
		if (!(error instanceof FacturapiError)) throw error;
		errors[`${resource}.${method}`] = {
			status: error.status, code: error.code, message: error.message, logId: error.logId, errors: error.errors,
		};
		return;
	}
	throw new Error(`${resource}.${method} was not refused`);
}

const { PaymentForm, PaymentMethod, InvoiceType, InvoiceUse, TaxSystem, TaxType, CancellationMotive } = Facturapi;
const customer = {
	legal_name: "ESCUELA KEMPER URGATE", tax_id: "EKU9003173C9", tax_system: TaxSystem.GENERAL_LEY_DE_PERSONAS_MORALES ?? "601",
	email: "compras@example.com", address: { zip: "44100" },
};
const product = {
	description: "Café", product_key: "50201706", unit_key: "KGM", unit_name: "Kilo", price: 116,
	taxes: [{ type: TaxType.IVA, rate: 0.16 }], sku: "CAFE",
};

// customers and products
const kept = await call(test, "customers", "create", customer);
await call(test, "customers", "list", { q: "kemper", page: 1, limit: 10 });
await call(test, "customers", "retrieve", kept.id);
await call(test, "customers", "update", kept.id, { phone: "3312345678" }, { createEditLink: true });
await call(test, "customers", "sendEditLinkByEmail", kept.id, { email: "compras@example.com" });
const liveCustomer = await live.customers.create(customer);
await call(live, "customers", "validateTaxInfo", liveCustomer.id);
const article = await call(test, "products", "create", product);
await call(test, "products", "list", { q: "caf" });
await call(test, "products", "retrieve", article.id);
await call(test, "products", "update", article.id, { price: 232 });

// invoices
const sale = {
	customer: kept.id, items: [{ quantity: 2, product: article.id }, { product }], payment_form: PaymentForm.EFECTIVO,
	use: InvoiceUse.GASTOS_EN_GENERAL, external_id: "sdk-1", idempotency_key: "sdk-1",
};
const invoice = await call(test, "invoices", "create", sale);
await call(test, "invoices", "list", { external_id: "sdk-1", type: "I", date: { gte: "2020-01-01" } });
await call(test, "invoices", "retrieve", invoice.id);
await call(test, "invoices", "updateStatus", invoice.id);
await call(test, "invoices", "sendByEmail", invoice.id, { email: ["a@example.com", "b@example.com"] });
for (const kind of ["Pdf", "Xml", "Zip"]) {
	await call(test, "invoices", `download${kind}`, invoice.id);
	await call(test, "invoices", `download${kind}Url`, invoice.id);
}
await call(test, "invoices", "previewPdf", { ...sale, idempotency_key: undefined });
await call(test, "invoices", "previewPdfUrl", { ...sale, idempotency_key: undefined });
const draft = await call(test, "invoices", "copyToDraft", invoice.id);
await call(test, "invoices", "updateDraft", draft.id, { conditions: "30 días" });
await call(test, "invoices", "stampDraft", draft.id, { async: false });
const owed = await test.invoices.create({
	...sale, idempotency_key: "sdk-2", payment_form: PaymentForm.POR_DEFINIR, payment_method: PaymentMethod.PAGO_EN_PARCIALIDADES_DIFERIDO,
});
const summary = await call(test, "invoices", "paymentSummary", owed.id, { amount: 100 });
const { total, ...related } = summary;
answers["payment"] = await test.invoices.create({
	type: InvoiceType.PAGO, customer: kept.id,
	complements: [{ type: "pago", data: [{ payment_form: PaymentForm.TRANSFERENCIA_ELECTRONICA_DE_FONDOS, related_documents: [related] }] }],
});
answers["credit note"] = await test.invoices.create({
	type: InvoiceType.EGRESO, customer: kept.id, payment_form: PaymentForm.EFECTIVO, items: [{ product }],
	related_documents: [{ relationship: "01", documents: [invoice.uuid] }],
});
answers["draft"] = await test.invoices.create({ status: "draft" });
await call(test, "invoices", "cancel", invoice.id, { motive: CancellationMotive.ERRORES_SIN_RELACION ?? "02" });
for (const kind of ["Pdf", "Xml"]) {
	await call(test, "invoices", `downloadCancellationReceipt${kind}`, invoice.id);
	await call(test, "invoices", `downloadCancellationReceipt${kind}Url`, invoice.id);
}
await refused(test, "invoices", "createZipRequest", { year: 2026, month: 1, issuer_type: "issuing" });
await refused(test, "invoices", "listZipRequests");
for (const method of ["retrieveZipRequest", "downloadZipRequest", "downloadZipRequestUrl"]) {
	await refused(test, "invoices", method, invoice.id);
}
try {
	await test.invoices.create({ ...sale, use: "X", idempotency_key: "sdk-3" });
} catch (error) {
	errors["wrong use"] = { status: error.status, code: error.code, message: error.message, logId: error.logId, errors: error.errors };
}

// receipts
const ticket = { items: [{ product }], payment_form: PaymentForm.EFECTIVO, branch: "Centro" };
const receipt = await call(test, "receipts", "create", ticket);
await call(test, "receipts", "list", { q: receipt.key });
await call(test, "receipts", "retrieve", receipt.id);
await call(test, "receipts", "downloadPdf", receipt.id);
await call(test, "receipts", "downloadPdfUrl", receipt.id);
await call(test, "receipts", "sendByEmail", receipt.id, { email: "a@example.com" });
await call(test, "receipts", "invoice", receipt.id, { customer: kept.id, use: "G03" });
const second = await test.receipts.create(ticket);
const keys = [second.key];
await call(test, "receipts", "previewToInvoicePdf", { keys, customer: kept.id });
await call(test, "receipts", "previewToInvoicePdfUrl", { keys, customer: kept.id });
await call(test, "receipts", "toInvoice", { keys, customer: kept.id, use: "G03" });
await test.receipts.create(ticket);
await call(test, "receipts", "createGlobalInvoice", { periodicity: "day" });
await call(test, "receipts", "cancel", (await test.receipts.create(ticket)).id);

// organizations
const own = await call(test, "organizations", "me");
await call(user, "organizations", "list");
await call(user, "organizations", "retrieve", own.id);
await call(user, "organizations", "updateLegal", own.id, {
	name: own.legal.name, legal_name: own.legal.legal_name, tax_system: "601", address: { zip: "44100" },
});
await call(user, "organizations", "updateCustomization", own.id, { color: "FF0000", pdf_extra: { codes: false } });
await call(user, "organizations", "updateReceiptSettings", own.id, { periodicity: "week", duration_days: 3 });
await call(user, "organizations", "updateSelfInvoiceSettings", own.id, { allowed_cfdi_uses: ["G03"], apply_resico_isr: false });
await call(user, "organizations", "updateDomain", own.id, { domain: "mi-tienda" });
await call(user, "organizations", "checkDomainIsAvailable", { domain: "otra-tienda" });
await call(user, "organizations", "getTestApiKey", own.id);
await call(user, "organizations", "renewTestApiKey", own.id);
await call(user, "organizations", "listLiveApiKeys", own.id);
await call(user, "organizations", "renewLiveApiKey", own.id);
await call(user, "organizations", "listSeriesGroup", own.id);
await call(user, "organizations", "createSeriesGroup", own.id, { series: "B", next_folio: 5, next_folio_test: 6 });
await call(user, "organizations", "updateSeriesGroup", own.id, "B", { next_folio: 9 });
await call(user, "organizations", "updateDefaultSeries", own.id, { type: "E", series: "B" });
await call(user, "organizations", "deleteSeriesGroup", own.id, "B");
const blob = new Blob(["x"]);
await refused(user, "organizations", "uploadLogo", own.id, blob);
await refused(user, "organizations", "uploadCertificate", own.id, blob, blob, "x");
await refused(user, "organizations", "create", { name: "x" });
for (const [method, ...more] of [
	["deleteCertificate"], ["del"], ["deleteLiveApiKey", "x"], ["listTeamAccess"], ["retrieveTeamAccess", "x"],
	["updateTeamAccessRole", "x", "y"], ["removeTeamAccess", "x"], ["listSentTeamInvites"],
	["inviteUserToTeam", { email: "a@example.com" }], ["cancelTeamInvite", "x"], ["listReceivedTeamInvites"],
	["respondTeamInvite", { accept: true }], ["listTeamRoles"], ["listTeamRoleTemplates"], ["listTeamRoleOperations"],
	["retrieveTeamRole", "x"], ["createTeamRole", { name: "x" }], ["updateTeamRole", "x", {}], ["deleteTeamRole", "x"],
]) {
	await refused(user, "organizations", method, own.id, ...more);
}

// webhooks, catalogues, tools
const hook = await call(test, "webhooks", "create", { url: "http://127.0.0.1:9/hook", enabled_events: ["*"] });
await call(test, "webhooks", "list", {});
await call(test, "webhooks", "retrieve", hook.id);
await call(test, "webhooks", "update", hook.id, { status: "disabled" });
const { createHmac } = await import("node:crypto");
const payload = JSON.stringify({ id: "e", type: "invoice.status_updated" });
await call(test, "webhooks", "validateSignature", {
	secret: hook.secret, payload, signature: createHmac("sha256", hook.secret).update(payload).digest("hex"),
});
await call(test, "webhooks", "del", hook.id);
await call(test, "catalogs", "searchProducts", { q: "café" });
await call(test, "catalogs", "searchUnits", { q: "pieza" });
await call(test, "tools", "validateTaxId", "EKU9003173C9");
await call(test, "products", "del", article.id);
await call(test, "customers", "del", kept.id);

// what this sandbox does not have, and says so
for (const resource of ["retentions", "cartaPorteCatalogs", "comercioExteriorCatalogs"]) {
	for (const method of Object.getOwnPropertyNames(Object.getPrototypeOf(test[resource]))) {
		if (method !== "constructor") await refused(test, resource, method, "x", {});
	}
}

const methods = RESOURCES.flatMap((resource) =>
	Object.getOwnPropertyNames(Object.getPrototypeOf(test[resource]))
		.filter((name) => name !== "constructor")
		.map((name) => `${resource}.${name}`),
);
console.log(JSON.stringify({ answers, errors, called: [...called], methods, year }));
