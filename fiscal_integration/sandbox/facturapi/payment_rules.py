"""What Facturapi and SAT refuse of a payment complement (error matrix of the complement 2.0, codes CRP20…)."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

from fiscal_integration.sandbox.facturapi import amounts, catalogs
from fiscal_integration.sandbox.facturapi.cfdi import ZONE

ZERO = Decimal(0)
PAYMENT = frozenset(
	"payment_form related_documents currency exchange date numOperacion rfcEmisorCtaOrd nomBancoOrdExt "
	"ctaOrdenante rfcEmisorCtaBen ctaBeneficiario tipoCadPago certPago cadPago selloPago".split()
)
SETTLED = frozenset(
	"uuid amount taxes taxability installment last_balance currency exchange folio_number series".split()
)
TAX = frozenset("base type rate factor withholding".split())
BANKED = ("02", "03", "04", "05", "06", "28", "29")
ACCOUNTS = {
	"rfcEmisorCtaOrd": "CRP20221",
	"ctaOrdenante": "CRP20224",
	"rfcEmisorCtaBen": "CRP20227",
	"ctaBeneficiario": "CRP20228",
}
CHAIN = ("certPago", "cadPago", "selloPago")


class PaymentRules:
	"""The part of InvoiceRules that looks at payments: expects `data`, `now`, `known`, `error` and `sat`."""

	def payments(self, complements):
		before = len(self.errors)
		for number, complement in enumerate(complements):
			path = f"complements.{number}."
			if complement.get("type") != "pago" or not isinstance(complement.get("data"), list):
				self.error(
					f"{path}type", "invalid_value", "El complemento debe ser pago, con una lista en data"
				)
				continue
			for index, payment in enumerate(complement["data"]):
				self._payment(payment, f"{path}data.{index}.")
		if complements and len(self.errors) == before:
			for number, entry in enumerate(amounts.payments(self.data)):
				if entry.amount <= 0:
					self.sat(f"complements.0.data.{number}", "CRP20218", "El monto debe ser mayor que cero")

	def _payment(self, payment, path):
		self._unknown(payment, PAYMENT, path)
		form = payment.get("payment_form")
		if form not in catalogs.PAYMENT_FORMS or form == "99":
			self.sat(f"{path}payment_form", "CRP20212", "La forma de pago debe ser la real, no 99")
		currency, exchange = payment.get("currency") or "MXN", payment.get("exchange", Decimal(1))
		if currency not in catalogs.CURRENCIES or currency == "XXX":
			self.sat(f"{path}currency", "CRP20213", "La moneda del pago no está en el catálogo")
			currency = "MXN"
		if not isinstance(exchange, Decimal) or exchange <= 0 or exchange != catalogs.rounded(exchange, 6):
			self.error(f"{path}exchange", "invalid_value", "El tipo de cambio no es válido")
		elif currency == "MXN" and exchange != 1:
			self.sat(f"{path}exchange", "CRP20215", "Con MXN el tipo de cambio debe ser 1")
		elif currency != "MXN" and "exchange" not in payment:
			self.sat(f"{path}exchange", "CRP20214", "Con otra moneda que MXN exchange es requerido")
		for name in ("numOperacion", "nomBancoOrdExt"):
			self._text(payment, name, path)
		for name, code in ACCOUNTS.items():
			if payment.get(name) and form not in BANKED:
				self.sat(path + name, code, f"{name} no debe existir con esta forma de pago")
		for name in ("ctaOrdenante", "ctaBeneficiario"):
			if payment.get(name) and not re.fullmatch("[A-Z0-9_]{10,50}", str(payment[name])):
				self.error(path + name, "invalid_format", f"{name} tiene de 10 a 50 caracteres, A-Z, 0-9 y _")
		if payment.get("tipoCadPago") and form != "03":
			self.sat(f"{path}tipoCadPago", "CRP20229", "tipoCadPago solo existe en transferencias")
		for name in CHAIN:
			if bool(payment.get(name)) is not bool(payment.get("tipoCadPago")):
				self.sat(path + name, "CRP20230", f"{name} va junto con tipoCadPago")
		self._paid_on(payment.get("date"), f"{path}date")
		related = payment.get("related_documents")
		if not related:
			self.error(f"{path}related_documents", "required", "related_documents es requerido")
		balances: dict[str, tuple[Decimal, int]] = {}
		for index, entry in enumerate(related or []):
			self._settled(entry, currency, balances, f"{path}related_documents.{index}.")

	def _paid_on(self, given, path):
		if not given:
			return
		try:
			date = datetime.fromisoformat(str(given).replace("Z", "+00:00"))
		except ValueError:
			return self.error(path, "invalid_date", "La fecha de pago debe ser ISO 8601")
		if not date.tzinfo:
			date = date.replace(tzinfo=ZONE)
		if date > self.now + timedelta(minutes=5):
			self.error(path, "too_large", "La fecha de pago no puede ser futura")

	def _settled(self, entry, currency, balances, path):
		self._unknown(entry, SETTLED, path)
		for name in ("uuid", "amount", "taxes", "installment", "last_balance"):
			if entry.get(name) is None:
				return self.error(path + name, "required", f"{name} es requerido")
		for name in ("amount", "installment", "last_balance"):
			if not isinstance(entry[name], Decimal):
				return self.error(path + name, "invalid_type", f"{name} debe ser un número")
		own = entry.get("currency") or "MXN"
		if own != currency and not (isinstance(entry.get("exchange"), Decimal) and entry["exchange"] > 0):
			self.sat(f"{path}exchange", "CRP20237", "exchange es requerido entre monedas distintas")
			entry["exchange"] = Decimal(1)
		elif own == currency and entry.get("exchange", 1) != 1:
			self.sat(f"{path}exchange", "CRP20238", "exchange debe ser 1 en la misma moneda")
		sale = self.known.get(entry["uuid"])
		if not sale or sale["status"] != "valid" or sale["payment_method"] != "PPD":
			return self.error(f"{path}uuid", "not_found", "No es un ingreso vigente con método PPD")
		if sale["currency"] != own:
			self.error(f"{path}currency", "invalid_value", "La moneda no es la del documento relacionado")
		customer = self.data.get("customer")
		if isinstance(customer, dict) and (customer.get("address") or {}).get("country", "MEX") == "MEX":
			if sale["customer"]["tax_id"] != customer.get("tax_id", sale["customer"]["tax_id"]):
				self.error(f"{path}uuid", "not_allowed", "El documento es de otro receptor")
		self._balance(entry, sale, own, balances, path)
		self._taxes_of(entry, sale, path)

	def _balance(self, entry, sale, currency, balances, path):
		due, paid = balances.get(
			entry["uuid"], (Decimal(str(sale["amount_due"])), len(sale.get("received_payment_ids") or []))
		)
		places = catalogs.CURRENCIES.get(currency, 2)
		if entry["last_balance"] != due:
			self.error(f"{path}last_balance", "invalid_value", f"El saldo anterior es {due}")
		if entry["installment"] != paid + 1:
			self.error(f"{path}installment", "invalid_value", f"La parcialidad es {paid + 1}")
		if entry["amount"] <= 0:
			self.sat(f"{path}amount", "CRP20241", "El importe pagado debe ser mayor que cero")
		if entry["amount"] > due:
			self.error(
				f"{path}amount",
				"amount_exceeds_related_document_balance",
				"El importe excede el saldo del documento relacionado",
			)
		for name, code in (("amount", "CRP20242"), ("last_balance", "CRP20240")):
			if entry[name] != catalogs.rounded(entry[name], places):
				self.sat(path + name, code, f"{name} admite {places} decimales en {currency}")
		balances[entry["uuid"]] = (due - entry["amount"], paid + 1)

	def _taxes_of(self, entry, sale, path):
		"""Its taxes are the sale's, each on the part of its base that the payment is of the total."""
		taxability = entry.get("taxability") or ("02" if entry["taxes"] else "01")
		if taxability == "02" and not entry["taxes"]:
			self.sat(f"{path}taxes", "CRP20246", "Con taxability 02 los impuestos son requeridos")
		if taxability in ("01", "03", "04", "05") and entry["taxes"]:
			self.sat(f"{path}taxes", "CRP20247", f"taxability {taxability} no admite impuestos")
		given: dict[tuple, Decimal] = {}
		for index, tax in enumerate(entry["taxes"]):
			where = f"{path}taxes.{index}."
			self._unknown(tax, TAX, where)
			kind, factor = tax.get("type") or "IVA", tax.get("factor") or "Tasa"
			withheld, rate, base = bool(tax.get("withholding")), tax.get("rate"), tax.get("base")
			if not isinstance(base, Decimal) or base < Decimal("0.000001"):
				self.sat(
					f"{where}base",
					"CRP20249" if withheld else "CRP20255",
					"La base debe ser mayor que cero",
				)
				tax["base"] = base = ZERO
			elif base != catalogs.rounded(base, 6):
				self.error(f"{where}base", "invalid_format", "base admite 6 decimales")
			if not isinstance(rate, Decimal) or not catalogs.has_rate(kind, factor, rate, withheld):
				code = "CRP20253" if withheld else "CRP20260"
				self.sat(f"{where}rate", code, "La tasa no está en el catálogo c_TasaOCuota")
				continue
			key = (kind, factor, None if factor == "Exento" else rate, withheld)
			if key in given:
				self.error(where[:-1], "invalid_value", "El impuesto está dos veces en el documento")
			given[key] = base
		share = entry["amount"] / Decimal(str(sale["total"]))
		wanted = {
			(kind, factor, None if rate is None else Decimal(rate), withheld): Decimal(base) * share
			for kind, factor, rate, withheld, base in sale["_bases"]
		}
		if set(given) != set(wanted):
			self.error(f"{path}taxes", "invalid_value", "Los impuestos no son los del documento relacionado")
		for key, base in wanted.items():
			if key in given and abs(given[key] - base) > Decimal("0.01"):
				self.error(f"{path}taxes", "invalid_value", f"La base de {key[0]} no es proporcional: {base}")
