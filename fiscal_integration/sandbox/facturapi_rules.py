"""What Facturapi and SAT check of an invoice, and how they total it.

See providers/facturapi.md and authorities/mexico.md.
"""

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from fiscal_integration.fiscal.mexico import catalogs, rfc
from fiscal_integration.fiscal.money import MICRO, ZERO, quantize

FIELDS = {
	"I": frozenset(
		"type customer items payment_form payment_method use currency exchange conditions export "
		"related_documents global complements folio_number series date address status external_id "
		"idempotency_key pdf_custom_section addenda namespaces pdf_options".split()
	),
	"E": frozenset(
		"type customer items payment_form payment_method use currency exchange conditions export "
		"related_documents complements folio_number series date address status external_id idempotency_key "
		"pdf_custom_section addenda namespaces pdf_options".split()
	),
	"P": frozenset(
		"type customer complements folio_number series date address status external_id idempotency_key "
		"related_documents pdf_custom_section addenda namespaces pdf_options".split()
	),
}
ITEM = frozenset(
	"quantity discount product parts customs_keys complement third_party property_tax_account".split()
)
PRODUCT = frozenset(
	"description product_key unit_key price tax_included taxability taxes local_taxes unit_name sku".split()
)
TAX = frozenset("type rate factor withholding base ieps_mode".split())


PAYMENT = frozenset(
	"payment_form related_documents currency exchange date numOperacion rfcEmisorCtaOrd nomBancoOrdExt "
	"ctaOrdenante rfcEmisorCtaBen ctaBeneficiario tipoCadPago certPago cadPago selloPago".split()
)
SETTLED = frozenset(
	"uuid amount taxes taxability installment last_balance currency exchange folio_number series".split()
)


class Refusal(Exception):
	"""An answer that is an error, in the documented body."""

	def __init__(self, status, code, message, errors=()):
		super().__init__(message)
		self.status, self.code, self.message, self.errors = status, code, message, list(errors)

	def body(self):
		body = {"ok": False, "status": self.status, "code": self.code, "message": self.message}
		if self.errors:
			body["errors"] = self.errors
			body["path"] = self.errors[0].get("path", "")
			body["location"] = "body"
		return body


class InvoiceRules:
	"""Collects everything that is wrong with a request, as the API does."""

	def __init__(self, data: dict, now: datetime, existing=()):
		self.data, self.now = data, now
		self.known = {entry["uuid"]: entry for entry in existing if entry.get("uuid")}
		self.errors: list[dict] = []

	def error(self, path, code, message, source="facturapi"):
		self.errors.append(
			{"message": message, "code": code, "source": source, "location": "body", "path": path}
		)

	def check(self):
		data = self.data
		kind = data.get("type", "I")
		if kind not in FIELDS:
			raise Refusal(400, "invalid_request", "type debe ser I, E o P en este sandbox")
		self._unknown(data, FIELDS[kind], "")
		required = {
			"I": ("customer", "items", "payment_form", "use"),
			"E": ("customer", "items", "payment_form"),
			"P": ("customer", "complements"),
		}[kind]
		if data.get("status") != "draft":
			for name in required:
				if data.get(name) in (None, "", []):
					self.error(name, "required", f"{name} es requerido")
		if isinstance(data.get("customer"), dict):
			self._customer(data["customer"], kind)
		elif data.get("customer"):
			self.error("customer", "not_found", "El cliente no existe")
		if kind == "P":
			self._payments(data.get("complements") or [])
		else:
			self._items(data.get("items"))
			self._money(kind)
		self._date()
		self._references()
		if len(str(data.get("external_id") or "")) > 100:
			self.error("external_id", "too_large", "external_id admite 100 caracteres")
		if self.errors:
			raise Refusal(400, "invalid_request", self.errors[0]["message"], self.errors)

	def _unknown(self, value, allowed, path):
		for name in value:
			if name not in allowed:
				self.error(f"{path}{name}", "unknown_field", f"El campo {name} no existe")

	def _customer(self, customer, kind):
		address = customer.get("address") or {}
		foreign = (address.get("country") or "MEX") != "MEX"
		for name in ("legal_name", "tax_system"):
			if not customer.get(name):
				self.error(f"customer.{name}", "required", f"customer.{name} es requerido")
		if not address.get("zip"):
			self.error("customer.address.zip", "required", "El código postal es requerido")
		elif not foreign and not re.fullmatch(r"\d{5}", str(address["zip"])):
			self.error("customer.address.zip", "invalid_format", "El código postal debe tener 5 dígitos")
		tax_id = str(customer.get("tax_id") or "")
		if foreign:
			if tax_id == rfc.FOREIGN:
				self.error(
					"customer.tax_id", "not_allowed", "No envíe XEXX010101000: use el id fiscal extranjero"
				)
			return
		if not rfc.is_valid(tax_id):
			self.error("customer.tax_id", "invalid_format", "El RFC no tiene un formato válido")
		if tax_id == "EFO010101EF0":
			self.error(
				"customer.tax_id", "CFDI40143", "El RFC no está en la lista de inscritos del SAT", "sat"
			)
		regime = str(customer.get("tax_system") or "")
		if regime and regime not in catalogs.REGIMES:
			self.error("customer.tax_system", "not_found", "El régimen fiscal no está en el catálogo")
		name = str(customer.get("legal_name") or "")
		if re.search(catalogs.CORPORATE_SUFFIX, name.upper()):
			self.error(
				"customer.legal_name", "CFDI40145", "El nombre no coincide con el registrado en el SAT", "sat"
			)
		use = self.data.get("use")
		if use and regime in catalogs.REGIMES:
			if use not in catalogs.USES:
				self.error("use", "not_found", "El uso de CFDI no está en el catálogo")
			elif regime not in catalogs.USES[use]:
				self.error("use", "CFDI40161", "El uso no corresponde con el régimen del receptor", "sat")
		if tax_id == rfc.PUBLIC_GENERAL:
			if regime != catalogs.WITHOUT_OBLIGATIONS:
				self.error("customer.tax_system", "CFDI40158", "El régimen debe ser 616", "sat")
			if name == catalogs.PUBLIC_GENERAL_NAME and kind == "I" and not self.data.get("global"):
				self.error("global", "CFDI40130", "Debe existir la información global", "sat")
		if self.data.get("global"):
			self._global(self.data["global"], use)

	def _global(self, info, use):
		if info.get("periodicity") not in ("day", "week", "fortnight", "month", "two_months"):
			self.error("global.periodicity", "invalid_value", "Periodicidad desconocida")
		if not re.fullmatch(r"0[1-9]|1[0-8]", str(info.get("months") or "")):
			self.error("global.months", "invalid_value", "months va de 01 a 18")
		if not info.get("year"):
			self.error("global.year", "required", "year es requerido")
		if use != "S01":
			self.error("use", "not_allowed", "La factura global debe usar S01")

	def _items(self, items):
		if items is None:
			return
		if not isinstance(items, list) or len(items) > 5000:
			return self.error("items", "invalid_type", "items debe ser una lista de hasta 5,000")
		for index, item in enumerate(items):
			path = f"items.{index}."
			self._unknown(item, ITEM, path)
			product = item.get("product")
			if not isinstance(product, dict):
				self.error(f"{path}product", "required", "product es requerido")
				continue
			self._product(product, f"{path}product.")
			quantity = item.get("quantity", Decimal(1))
			if not isinstance(quantity, Decimal) or quantity <= 0:
				self.error(f"{path}quantity", "too_small", "quantity debe ser mayor que 0")
			elif isinstance(product.get("price"), Decimal):
				discount = item.get("discount", ZERO)
				if not isinstance(discount, Decimal) or discount < 0:
					self.error(f"{path}discount", "too_small", "discount no puede ser negativo")
				elif discount > product["price"] * quantity:
					self.error(f"{path}discount", "too_large", "discount no puede exceder el importe")

	def _product(self, product, path):
		self._unknown(product, PRODUCT, path)
		for name in ("description", "product_key", "price"):
			if product.get(name) in (None, ""):
				self.error(path + name, "required", f"{name} es requerido")
		if product.get("product_key") and not re.fullmatch(r"\d{8}", str(product["product_key"])):
			self.error(f"{path}product_key", "not_found", "La clave de producto no está en el catálogo")
		if product.get("unit_key") and not re.fullmatch(r"[A-Z0-9]{1,3}", str(product["unit_key"])):
			self.error(f"{path}unit_key", "not_found", "La clave de unidad no está en el catálogo")
		price = product.get("price")
		if isinstance(price, Decimal):
			if price < 0:
				self.error(f"{path}price", "too_small", "price no puede ser negativo")
			if price != quantize(price, MICRO):
				self.error(f"{path}price", "invalid_format", "price admite 6 decimales")
		taxability = str(product.get("taxability") or "02")
		if not re.fullmatch(r"0[1-8]", taxability):
			self.error(f"{path}taxability", "invalid_value", "taxability va de 01 a 08")
		taxes = product.get("taxes")
		if taxability in ("01", "03", "04", "05", "06", "08") and taxes:
			self.error(f"{path}taxes", "not_allowed", f"taxability {taxability} no admite impuestos")
		for index, tax in enumerate(taxes or []):
			where = f"{path}taxes.{index}."
			self._unknown(tax, TAX, where)
			if tax.get("type", "IVA") not in ("IVA", "ISR", "IEPS"):
				self.error(f"{where}type", "invalid_value", "type debe ser IVA, ISR o IEPS")
			if tax.get("factor", "Tasa") not in ("Tasa", "Cuota", "Exento"):
				self.error(f"{where}factor", "invalid_value", "factor debe ser Tasa, Cuota o Exento")
			if not isinstance(tax.get("rate"), Decimal) or not 0 <= tax["rate"] <= 10:
				self.error(f"{where}rate", "invalid_value", "rate es requerido, como fracción")

	def _money(self, kind):
		data = self.data
		form, method = data.get("payment_form"), data.get("payment_method") or "PUE"
		if form and form not in catalogs.PAYMENT_FORMS:
			self.error("payment_form", "not_found", "La forma de pago no está en el catálogo")
		if method not in ("PUE", "PPD"):
			self.error("payment_method", "invalid_value", "payment_method debe ser PUE o PPD")
		if kind == "E" and method != "PUE":
			self.error("payment_method", "not_allowed", "Un egreso solo admite PUE")
		if method == "PPD" and form and form != "99":
			self.error("payment_form", "CFDI40125", "Con PPD la forma de pago debe ser 99", "sat")
		if method == "PUE" and form == "99":
			self.error("payment_form", "CFDI40124", "Con PUE la forma de pago no puede ser 99", "sat")
		currency, exchange = data.get("currency") or "MXN", data.get("exchange", Decimal(1))
		if not re.fullmatch(r"[A-Z]{3}", str(currency)):
			self.error("currency", "invalid_format", "currency debe ser ISO 4217")
		if not isinstance(exchange, Decimal) or exchange <= 0:
			self.error("exchange", "exchange_rate_too_small", "exchange debe ser mayor que 0")
		elif currency == "MXN" and exchange != 1:
			self.error("exchange", "CFDI40113", "Con MXN el tipo de cambio debe ser 1", "sat")
		if data.get("export") and not re.fullmatch("0[1-4]", str(data["export"])):
			self.error("export", "invalid_value", "export va de 01 a 04")

	def _payments(self, complements):
		"""PaymentInput of 1.3: each related document with its balance, installment and taxes."""
		for number, complement in enumerate(complements):
			if complement.get("type") != "pago":
				self.error(f"complements.{number}.type", "invalid_value", "El complemento debe ser pago")
				continue
			for index, payment in enumerate(complement.get("data") or []):
				self._payment(payment, f"complements.{number}.data.{index}.")

	def _payment(self, payment, path):
		self._unknown(payment, PAYMENT, path)
		if payment.get("payment_form") not in catalogs.PAYMENT_FORMS or payment["payment_form"] == "99":
			self.error(f"{path}payment_form", "CRP20201", "La forma de pago no es válida", "sat")
		currency, exchange = payment.get("currency") or "MXN", payment.get("exchange", Decimal(1))
		if not isinstance(exchange, Decimal) or exchange <= 0 or (currency == "MXN" and exchange != 1):
			self.error(f"{path}exchange", "invalid_value", "El tipo de cambio no es válido")
		if payment.get("date") and datetime.fromisoformat(str(payment["date"])) > self.now + timedelta(
			minutes=5
		):
			self.error(f"{path}date", "too_large", "La fecha de pago no puede ser futura")
		related = payment.get("related_documents")
		if not related:
			self.error(f"{path}related_documents", "required", "related_documents es requerido")
		balances: dict[str, tuple[Decimal, int]] = {}
		for index, entry in enumerate(related or []):
			self._settled(entry, currency, balances, f"{path}related_documents.{index}.")

	def _settled(self, entry, currency, balances, path):
		self._unknown(entry, SETTLED, path)
		for name in ("uuid", "amount", "taxes", "installment", "last_balance"):
			if entry.get(name) is None:
				self.error(path + name, "required", f"{name} es requerido")
				return
		own = entry.get("currency") or "MXN"
		if own != currency and not entry.get("exchange"):
			self.error(f"{path}exchange", "required", "exchange es requerido entre monedas distintas")
		sale = self.known.get(entry["uuid"])
		if not sale or sale["status"] != "valid" or sale["payment_method"] != "PPD":
			self.error(f"{path}uuid", "not_found", "No es un ingreso vigente con método PPD")
			return
		if sale["currency"] != own:
			self.error(f"{path}currency", "CRP20235", "La moneda no es la del documento relacionado", "sat")
		if sale["customer"]["tax_id"] != self.data["customer"].get("tax_id", sale["customer"]["tax_id"]):
			self.error(f"{path}uuid", "not_allowed", "El documento es de otro receptor")
		due, paid = balances.get(
			entry["uuid"], (Decimal(str(sale["amount_due"])), len(sale.get("received_payment_ids") or []))
		)
		if entry["last_balance"] != due:
			self.error(f"{path}last_balance", "invalid_value", f"El saldo anterior es {due}")
		if entry["installment"] != paid + 1:
			self.error(f"{path}installment", "invalid_value", f"La parcialidad es {paid + 1}")
		if entry["amount"] <= 0 or entry["amount"] > due:
			self.error(
				f"{path}amount",
				"amount_exceeds_related_document_balance",
				"El importe excede el saldo del documento relacionado",
			)
		balances[entry["uuid"]] = (due - entry["amount"], paid + 1)
		share = entry["amount"] / Decimal(str(sale["total"]))
		wanted = {}
		for item in sale["items"]:
			product = item["product"]
			net = Decimal(str(product["price"])) * Decimal(str(item.get("quantity", 1)))
			net -= Decimal(str(item.get("discount", 0)))
			for tax in product.get("taxes") or ():
				kind = (tax["type"], Decimal(str(tax["rate"])), tax.get("withholding", False))
				wanted[kind] = wanted.get(kind, ZERO) + net * share
		given = {
			(tax["type"], tax["rate"], tax.get("withholding", False)): tax.get("base", ZERO)
			for tax in entry["taxes"]
		}
		if set(given) != set(wanted):
			self.error(f"{path}taxes", "CRP20240", "Los impuestos no son los del documento", "sat")
		for kind, base in wanted.items():
			# The base of a tax over an excise is larger, by what the excise is.
			if kind in given and not base - Decimal("0.01") <= given[kind] <= base * 2 + Decimal("0.01"):
				self.error(f"{path}taxes", "CRP20241", "La base no es proporcional al pago", "sat")

	def _date(self):
		given = self.data.get("date")
		if not given:
			return
		try:
			date = datetime.fromisoformat(str(given).replace("Z", "+00:00"))
		except ValueError:
			return self.error("date", "invalid_format", "date debe ser ISO 8601")
		if not date.tzinfo:
			date = date.replace(tzinfo=timezone(timedelta(hours=-6)))
		if date > self.now + timedelta(minutes=5):
			self.error("date", "too_large", "La fecha no puede ser futura")
		if date < self.now - timedelta(hours=72):
			self.error("date", "too_small", "La fecha no puede tener más de 72 horas")

	def _references(self):
		known = self.known
		for index, related in enumerate(self.data.get("related_documents") or []):
			path = f"related_documents.{index}."
			if not re.fullmatch("0[1-9]", str(related.get("relationship") or "")):
				self.error(f"{path}relationship", "invalid_value", "relationship va de 01 a 09")
			documents = related.get("documents")
			if not documents:
				self.error(f"{path}documents", "required", "documents es requerido")
			for document in documents or []:
				if not re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", str(document)):
					self.error(f"{path}documents", "invalid_format", "Cada documento debe ser un UUID")
				elif document in known and known[document]["status"] == "canceled":
					self.error(f"{path}documents", "not_allowed", "El documento relacionado está cancelado")


def totals(data: dict) -> tuple[Decimal, Decimal, Decimal]:
	"""Subtotal, taxes and total as Facturapi makes them: six decimals within, two in the total (1.13)."""
	subtotal = taxes = ZERO
	for item in data.get("items") or []:
		product = item["product"]
		rates = product.get("taxes")
		if rates is None and str(product.get("taxability") or "02") == "02":
			rates = [{"type": "IVA", "rate": Decimal("0.16")}]
		rates = rates or []
		local = product.get("local_taxes") or []
		price = product["price"]
		if product.get("tax_included", True):
			transferred = sum(
				(
					tax["rate"]
					for tax in [*rates, *local]
					if not tax.get("withholding") and tax.get("factor") != "Exento"
				),
				ZERO,
			)
			price = quantize(price / (1 + transferred), MICRO)
		base = quantize(price * item.get("quantity", Decimal(1)) - item.get("discount", ZERO), MICRO)
		subtotal += base
		below = sum(
			(
				quantize(base * tax["rate"], MICRO)
				for tax in rates
				if tax.get("type") == "IEPS"
				and not tax.get("withholding")
				and (tax.get("ieps_mode") or "sum_before_taxes") == "sum_before_taxes"
			),
			ZERO,
		)
		for tax in [*rates, *local]:
			if tax.get("factor") == "Exento":
				continue
			over = base + below if tax.get("type", "IVA") == "IVA" and not tax.get("withholding") else base
			amount = quantize(over * tax["rate"], MICRO)
			taxes += -amount if tax.get("withholding") else amount
	return subtotal, taxes, quantize(subtotal + taxes)
