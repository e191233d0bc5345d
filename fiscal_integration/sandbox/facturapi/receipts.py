"""E-receipts: tickets that a customer, or the shop, turns into a CFDI later."""

import uuid
from datetime import timedelta
from decimal import Decimal

from fiscal_integration.sandbox.facturapi import amounts, catalogs
from fiscal_integration.sandbox.facturapi.entries import (
	ORGANIZATION,
	decimals,
	floats,
	iso,
	item_of,
	json_text,
	moment_of,
	new_id,
	plain_number,
	public,
)
from fiscal_integration.sandbox.facturapi.listing import DATES, PAGE, dated, page_of
from fiscal_integration.sandbox.facturapi.refusal import Refusal, check_fields, check_query, refuse
from fiscal_integration.sandbox.facturapi.rules import InvoiceRules
from fiscal_integration.sandbox.kernel import Answer
from fiscal_integration.sandbox.pdf import Page

FIELDS = "items payment_form customer folio_number currency exchange branch date address external_id idempotency_key"
ISSUED = "customer use conditions folio_number series payment_form"
OPTIONS = "pdf_custom_section addenda namespaces pdf_options"
GLOBAL = "from to periodicity months date folio_number series payment_form receipts"


class Receipts:
	"""Part of FacturapiEmulator: /receipts."""

	def clear_receipts(self):
		self.receipts: dict[str, dict] = {}

	def _receipts(self, method, parts, query, body, live):
		if not parts and method == "GET":
			check_query(query, f"q customer payment_form invoice {DATES} {PAGE}")
			return Answer(200, page_of(self._listed(query, live), query))
		check_query(query, "")
		if not parts:
			return self._create_receipt(self.json_of(body), live) if method == "POST" else None
		if method == "POST" and parts == ["global-invoice"]:
			return self._global_invoice(self.json_of(body), live)
		if method == "POST" and parts[0] == "to-invoice":
			return self._to_invoice(self.json_of(body), live, parts[1:])
		entry = self.receipts.get(parts[0])
		if not entry or entry["livemode"] is not live:
			raise Refusal(404, "receipt_not_found", "No se encontró el recibo")
		call = (method, *parts[1:])
		if call == ("GET",):
			return Answer(200, public(entry))
		if call == ("PUT",):
			self._open(entry)
			data = self.json_of(body)
			check_fields(data, "customer", "customer")
			self.looked_up({"customer": data["customer"]}, live)
			entry["customer"] = floats(data["customer"])
			return Answer(200, public(entry))
		if call == ("DELETE",):
			self._open(entry)
			entry["status"] = "canceled"
			self.tell("receipt.status_updated", entry, "receipt")
			return Answer(200, public(entry))
		if call == ("GET", "pdf"):
			return self._receipt_pdf(entry)
		if call == ("GET", "download-url", "pdf"):
			return self.signed_url(entry, parts)
		if call == ("POST", "email"):
			from fiscal_integration.sandbox.facturapi.resources import emails_of

			emails_of(self.json_of(body or b"{}"))
			return Answer(200, {"ok": True})
		if call == ("POST", "invoice"):
			return self._invoice_receipt(entry, self.json_of(body))
		return None

	def _listed(self, query, live):
		found = [entry for entry in self.receipts.values() if entry["livemode"] is live]
		for name in ("payment_form", "invoice"):
			if name in query:
				found = [entry for entry in found if entry[name] == query[name][0]]
		if "customer" in query:
			found = [entry for entry in found if entry.get("customer") == query["customer"][0]]
		if "q" in query:
			text = query["q"][0].lower()
			found = [
				entry
				for entry in found
				if text in (entry["key"].lower(), str(entry["folio_number"]))
				or any(text in item["product"]["description"].lower() for item in entry["items"])
			]
		return dated(found, query)

	def _open(self, entry):
		if entry["status"] != "open":
			raise Refusal(409, "receipt_not_open", "El recibo ya no está abierto")

	def _create_receipt(self, data, live):
		check_fields(data, FIELDS, "items payment_form")
		key = data.get("idempotency_key")
		known = key and next(
			(
				entry
				for entry in self.receipts.values()
				if entry["idempotency_key"] == key and entry["livemode"] is live
			),
			None,
		)
		if known:
			raise Refusal(
				409, "idempotency_key_in_use", "La llave de idempotencia ya fue usada por otra solicitud"
			)
		data = self.looked_up(data, live)
		sold = {name: value for name, value in data.items() if name not in ("branch", "customer")}
		rules = InvoiceRules({**sold, "type": "E"}, self.clock.now(), {}, "", self.invoices.values())
		rules.check(draft=True)
		settings = self.resources["organization"]["receipts"]
		counter = "next_folio_number" if live else "next_folio_number_test"
		folio = int(data.get("folio_number") or settings[counter])
		settings[counter] = folio + 1
		total = sum(
			(
				concept.amount
				- concept.discount
				+ sum(
					(
						-tax.amount if tax.withheld else tax.amount
						for tax in concept.taxes
						if tax.amount is not None
					),
					Decimal(0),
				)
				+ sum(
					(-value if tax.get("withholding") else value for tax, value in concept.local), Decimal(0)
				)
				for concept in amounts.sums(data).concepts
			),
			Decimal(0),
		)
		now = self.clock.now()
		key = uuid.uuid4().hex[:10].upper()
		entry = {
			"id": new_id(),
			"created_at": iso(now),
			"date": iso(moment_of(data["date"]) if data.get("date") else now),
			"api_version": 2,
			"livemode": live,
			"organization": ORGANIZATION,
			"folio_number": folio,
			"external_id": data.get("external_id") or "",
			"idempotency_key": data.get("idempotency_key") or "",
			"branch": data.get("branch") or "",
			"payment_form": data["payment_form"],
			"items": [item_of(item) for item in data["items"]],
			"currency": data.get("currency") or "MXN",
			"exchange": plain_number(data.get("exchange") or Decimal(1)),
			"total": plain_number(total),
			"invoice": "",
			"expires_at": iso(now + timedelta(days=int(settings["duration_days"]))),
			"key": key,
			"status": "open",
			"self_invoice_url": f"https://factura.space/{self.resources['organization']['domain'] if live else 'demo'}/{key}",
			"_request": json_text(
				{name: data[name] for name in ("items", "currency", "exchange") if name in data}
			),
		}
		if data.get("customer"):
			entry["customer"] = floats(data["customer"])
		self.receipts[entry["id"]] = entry
		return Answer(200, public(entry))

	def _receipt_pdf(self, entry):
		page = Page()
		page.text("SANDBOX - SIN VALIDEZ FISCAL", 18)
		page.text(f"Recibo {entry['folio_number']}", 12)
		for item in entry["items"][:12]:
			page.text(f"{item['quantity']} x {item['product']['description'][:50]}", 9)
		page.text(f"Total {entry['total']} {entry['currency']}", 12)
		page.code(entry["self_invoice_url"])
		return Answer(200, page.render(), content_type="application/pdf")

	# -- invoices of receipts ----------------------------------------------------------------------------

	def _issue_for(self, receipts, data, live, status):
		"""Make one CFDI of some receipts' lines, and close them."""
		requests = [decimals(entry["_request"]) for entry in receipts]
		if len({entry["currency"] for entry in receipts}) > 1:
			refuse("receipts", "invalid_value", "Los recibos tienen monedas distintas")
		items = [item for request in requests for item in request["items"]]
		if len(items) > 5000:
			raise Refusal(400, "receipt_invoicing_too_many_items", "Una factura admite 5,000 conceptos")
		money = {name: requests[0][name] for name in ("currency", "exchange") if name in requests[0]}
		form = max(receipts, key=lambda entry: entry["total"])["payment_form"]
		answer = self.create({"items": items, "payment_form": form, **money, **data}, live, {})
		for entry in receipts:
			entry.update(status=status, invoice=answer.body["id"])
			self.tell("receipt.status_updated", entry, "receipt")
		return answer

	def _invoice_receipt(self, entry, data):
		check_fields(data, f"{ISSUED} {OPTIONS}")
		self._open(entry)
		customer = data.get("customer") or entry.get("customer")
		if not customer:
			refuse("customer", "required", "customer es requerido")
		return self._issue_for(
			[entry],
			{**data, "customer": customer, "use": data.get("use") or "G01"},
			entry["livemode"],
			"invoiced_to_customer",
		)

	def _to_invoice(self, data, live, parts):
		preview = bool(parts)
		check_fields(
			data, "keys customer use" if preview else "keys customer use dry_run payment_form", "keys"
		)
		found = [
			entry
			for entry in self.receipts.values()
			if entry["key"] in data["keys"] and entry["livemode"] is live
		]
		if len(found) != len(set(data["keys"])):
			raise Refusal(404, "receipt_keys_not_found", "No se encontró alguno de los recibos")
		for entry in found:
			self._open(entry)
		issued = {
			"customer": data.get("customer") or found[0].get("customer"),
			"use": data.get("use") or "G01",
			**({"payment_form": data["payment_form"]} if data.get("payment_form") else {}),
		}
		items = [item for entry in found for item in decimals(entry["_request"])["items"]]
		if preview:
			return self._preview({**issued, "items": items}, live, as_url=len(parts) > 1)
		if data.get("dry_run"):
			sums = amounts.sums({"items": items})
			return Answer(
				200,
				floats(
					{
						"subtotal": sums.subtotal,
						"discount": sums.discount,
						"taxes": (sums.total_transferred or 0) - (sums.total_withheld or 0),
						"total": sums.total,
						"receipts": len(found),
					}
				),
			)
		return self._issue_for(found, issued, live, "invoiced_to_customer")

	def _global_invoice(self, data, live):
		check_fields(data, GLOBAL, "periodicity")
		if data["periodicity"] not in catalogs.PERIODICITIES:
			raise Refusal(400, "invalid_global_invoice_period", "Periodicidad desconocida")
		found = [
			entry
			for entry in self.receipts.values()
			if entry["status"] == "open"
			and entry["livemode"] is live
			and (not data.get("receipts") or entry["id"] in data["receipts"])
			and str(data.get("from") or "") <= entry["date"] <= str(data.get("to") or "~")
		]
		if not found:
			raise Refusal(404, "receipt_not_found", "No hay recibos abiertos en el periodo")
		organization = self.resources["organization"]
		now = self.clock.now()
		first = moment_of(found[0]["date"])
		told = {
			name: data[name] for name in ("date", "folio_number", "series", "payment_form") if data.get(name)
		}
		answer = self._issue_for(
			found,
			{
				**told,
				"use": "S01",
				"customer": {
					"legal_name": catalogs.PUBLIC_NAME,
					"tax_id": catalogs.PUBLIC,
					"tax_system": "616",
					"address": {"zip": organization["legal"]["address"]["zip"]},
				},
				"global": {
					"periodicity": data["periodicity"],
					"months": data.get("months") or f"{first.month:02d}",
					"year": Decimal(min(first.year, now.year)),
				},
			},
			live,
			"invoiced_globally",
		)
		self.tell("invoice.global_invoice_created", self.invoices[answer.body["id"]])
		return answer
