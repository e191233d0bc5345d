"""Facturapi, API v2: CFDI 4.0 for Mexico (providers/facturapi.md; also known as FacturaAPI)."""

import json
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fiscal_integration.fiscal.errors import ErrorClass, Failure, Problem
from fiscal_integration.fiscal.invoice import (
	DocumentKind,
	Invoice,
	Line,
	Party,
	Period,
	TaxCategory,
	Treatment,
)
from fiscal_integration.fiscal.mexico import catalogs, facets, regimes, rfc, totals
from fiscal_integration.fiscal.mexico.cfdi import (
	check_lines,
	check_receiver,
	is_foreign,
	is_walk_in,
)
from fiscal_integration.fiscal.mexico.facets import fit
from fiscal_integration.fiscal.mexico.names import legal_name
from fiscal_integration.fiscal.mexico.totals import Concept, Tax
from fiscal_integration.fiscal.money import CENT, MICRO, ZERO, decimal, number, quantize
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus
from fiscal_integration.fiscal.words import say
from fiscal_integration.providers.base import (
	PRODUCTION,
	SECRET_KEY,
	TEST,
	WEBHOOK_SECRET,
	Cancellation,
	CancelStatus,
	Capabilities,
	Download,
	Lookup,
	Motive,
	Outcome,
	Parameter,
	Payload,
	Ping,
	Provider,
	WebhookEvent,
)
from fiscal_integration.providers.http import Response

URL = "https://www.facturapi.io/v2"

PAYMENT_TYPE = "P"
PAID_LATER = "PPD"
TYPES = {DocumentKind.INVOICE: "I", DocumentKind.DEBIT_NOTE: "I", DocumentKind.CREDIT_NOTE: "E"}

TAX_TYPES = {TaxCategory.VAT: "IVA", TaxCategory.EXCISE: "IEPS", TaxCategory.INCOME: "ISR"}

STATUSES = {
	"valid": RemoteStatus.ISSUED,
	"pending": RemoteStatus.PENDING,
	"failed": RemoteStatus.FAILED,
	"canceled": RemoteStatus.CANCELLED,
}

GENERIC = "invalid_request"
FIELD_NAMES = {
	"customer.tax_id": say("Tax ID of the Customer"),
	"customer.legal_name": say("Legal Name"),
	"customer.tax_system": say("Tax Regime"),
	"customer.address.zip": say("Fiscal Postal Code"),
	"customer.email": say("E-mail of the Customer"),
	"payment_form": say("Mode of Payment"),
	"use": say("Use of the Document"),
	"date": say("Posting Date"),
}
"""What an error answer names, as the Desk does."""
# These mean that a document exists or is being made: it is fetched, not sent again (providers/facturapi.md#errors).
DUPLICATE_CODES = frozenset(
	("idempotency_key_in_use", "invoice_already_stamped", "stamping_in_progress", "conflict")
)
# The authority or the provider will not cancel this document (providers/facturapi.md#cancelling).
REFUSING_CODES = frozenset(
	(
		"invoice_not_cancelable",
		"invoice_not_cancelable_by_sat",
		"invoice_cancellation_not_allowed",
		"invoice_cancellation_failed",
	)
)
WITH_SUBSTITUTE = "01"
# Seconds between asking again about a document that Facturapi does not find though it gave us its id: seen right
# after its substitute was stamped (providers/facturapi.md#cancelling). A day and a half in all.
NOT_YET_WAITS = (30.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 21600.0, 43200.0, 43200.0)
# The product keys of fuel (authorities/mexico.md#cancelling).
FUEL = frozenset(("15101505", "15101514", "15101515"))
# An issue date may lie 72 hours back (authorities/mexico.md#dates); one hour is kept for delays and clocks.
OLDEST = timedelta(hours=71)
CLOCK_SKEW = timedelta(minutes=5)


EACH, GLOBAL = "One CFDI Each", "Global Invoice"
REGIME = "issuer_tax_regime"
TWO_MONTHS, REGIME_OF_TWO_MONTHS = "two_months", "621"
LARGEST_GLOBAL = 5000


class Facturapi(Provider):
	"""POST /invoices makes and stamps a CFDI. Test and live share one host; the key decides (1.1)."""

	key = "facturapi"
	label = "Facturapi"
	countries = frozenset(("MX",))
	urls = {TEST: URL, PRODUCTION: URL}
	# 202 recovery lasts 50 minutes (1.6), so an absent document is believed absent only after an hour.
	capabilities = Capabilities(
		cancel=True,
		pdf=True,
		xml=True,
		webhook=True,
		acknowledges=True,
		payments=True,
		substitutes=True,
		max_concurrent=4,
		absence_grace=3900,
	)
	cancel_motives = (
		Motive(WITH_SUBSTITUTE, "Issued with errors; another document takes its place", substitute=True),
		Motive("02", "Issued with errors; nothing takes its place"),
		Motive("03", "The sale did not take place"),
		Motive("04", "A sale to a named customer that is part of a global invoice"),
	)
	correlation_header = "X-Facturapi-Log-Id"
	parameters = (
		Parameter(
			SECRET_KEY,
			"Secret Key",
			required=True,
			secret=True,
			help="sk_test_… for Test, sk_live_… for Production. Facturapi shows it under Integration, API Keys.",
		),
		Parameter(
			"issuing_postal_code",
			"Postal Code of the Place of Issue",
			help="Five digits, the same as at Facturapi: walk-in sales carry it. Blank takes Facturapi's at the next Ping.",
		),
		Parameter(
			REGIME,
			"Tax Regime of the Issuer",
			help="Three digits, the same as at Facturapi: it decides about global invoices of two months. Blank takes "
			"Facturapi's at the next Ping.",
		),
		Parameter(
			"time_zone",
			"Time Zone of the Issuer",
			default="America/Mexico_City",
			help="Issue dates are told in this zone. Name it as in America/Tijuana.",
		),
		Parameter(
			"default_product_code",
			"Default Product Key (ClaveProdServ)",
			default="01010101",
			help="For items and item groups without one. 01010101 says: not in the catalogue.",
		),
		Parameter(
			"default_unit_code",
			"Default Unit Key (ClaveUnidad)",
			default="H87",
			help="For units of measure without one. H87 is a piece.",
		),
		Parameter("default_use", "Default CFDI Use", default="G03", help="For customers without one."),
		Parameter(
			"default_payment_form",
			"Payment Form of Settled Invoices",
			default="03",
			help="For invoices that are paid but do not say how, such as by an advance. 03 is a transfer.",
		),
		Parameter(
			"credit_note_payment_form",
			"Payment Form of Credit Notes",
			default="17",
			help="For credit notes without a refund, which lower what is owed. 17 is compensation.",
		),
		Parameter(
			"untaxed_lines",
			"Lines Without Value-Added Tax",
			default=Treatment.EXEMPT.value,
			options=(Treatment.EXEMPT.value, Treatment.OUTSIDE.value),
			help="How to declare them when neither a tax row nor the item says.",
		),
		Parameter(
			"walk_in_sales",
			"Walk-In Sales",
			default=EACH,
			options=(EACH, GLOBAL),
			help="One CFDI for each sale, or one for all of a period: collect them in a Fiscal Global Invoice.",
		),
		Parameter("series", "Series", help="Folio series of the documents; Facturapi's own when blank."),
		Parameter(
			WEBHOOK_SECRET,
			"Webhook Secret",
			secret=True,
			help="Facturapi shows it when the webhook is made. Without it no webhook is accepted.",
		),
	)
	webhook_header = "Facturapi-Signature"

	# -- settings ----------------------------------------------------------------------------------------

	@classmethod
	def check_connection(cls, connection):
		problems = super().check_connection(connection)
		secret = connection.secret().reveal()
		if secret.startswith("sk_user_"):
			problems.append(
				Problem(
					"This is an account key (sk_user_), which cannot issue. Enter the organization's key.",
					field=SECRET_KEY,
				)
			)
		elif secret and environment_of(secret) != connection.environment:
			if secret.startswith(("sk_test_", "sk_live_")):
				message = (
					"This is a test key (sk_test_), but the environment is Production. Enter the live key."
					if connection.environment == PRODUCTION
					else "This is a live key (sk_live_), but the environment is Test: it would issue real invoices."
				)
			else:
				message = "A Facturapi secret key begins with sk_test_ or sk_live_."
			problems.append(Problem(message, field=SECRET_KEY))
		zip_code = connection.parameters.get("issuing_postal_code", "")
		if zip_code and not re.fullmatch(r"\d{5}", zip_code):
			problems.append(
				Problem(
					"The postal code of the place of issue has to be five digits.",
					field="issuing_postal_code",
				)
			)
		for key, pattern, example in (
			("default_product_code", r"\d{8}", "eight digits, such as 01010101"),
			("default_unit_code", r"[A-Z0-9]{2,3}", "two or three characters, such as H87"),
		):
			value = connection.parameters.get(key, "")
			if value and not re.fullmatch(pattern, value):
				label = next(parameter.label for parameter in cls.parameters if parameter.key == key)
				problems.append(Problem(say("{0} has to be {1}.", label, example), field=key))
		for key in ("default_payment_form", "credit_note_payment_form"):
			value = connection.parameters.get(key, "")
			if value and value not in catalogs.PAYMENT_FORMS:
				problems.append(
					Problem(say("{0} is not in SAT's catalogue of payment forms.", value), field=key)
				)
		series = connection.parameters.get("series", "")
		if series != fit(series, facets.SERIES):
			problems.append(
				Problem(
					say("The series has {0} characters at most, and no bar (|).", facets.SERIES),
					field="series",
				)
			)
		regime = connection.parameters.get(REGIME, "")
		if regime and regime not in regimes.IN_FORCE:
			problems.append(
				Problem(
					say("{0} is not in SAT's catalogue of tax regimes in force.", regime),
					field=REGIME,
				)
			)
		use = connection.parameters.get("default_use", "")
		if use and use not in regimes.USES:
			problems.append(
				Problem(say("{0} is not in SAT's catalogue of CFDI uses.", use), field="default_use")
			)
		try:
			ZoneInfo(connection.parameters.get("time_zone") or "America/Mexico_City")
		except (ZoneInfoNotFoundError, ValueError, OSError):
			problems.append(
				Problem(
					"The time zone is not known. Name it as in America/Mexico_City.",
					field="time_zone",
				)
			)
		return problems

	def ping(self):
		answer = self._get("check", "/check")
		if isinstance(answer, Failure):
			return Ping(False, answer.message)
		if not (answer.json() or {}).get("ok"):
			return Ping(False, "The server answers, but not as Facturapi does: check the server URL.")
		details, place, regime = [], "", ""
		organization = self._get("organization", "/organizations/me")
		if isinstance(organization, Response) and isinstance(organization.json(), dict):
			legal = organization.json().get("legal") or {}
			place = str((legal.get("address") or {}).get("zip") or "")
			place = place if re.fullmatch(r"[0-9]{5}", place) else ""
			regime = str(legal.get("tax_system") or "")
			regime = regime if re.fullmatch(r"[0-9]{3}", regime) else ""
			details = [
				(label, str(value))
				for label, value in (
					("Issuer", legal.get("legal_name")),
					("RFC", legal.get("tax_id")),
					("Postal Code", place),
					("Tax Regime", regime),
				)
				if value
			]
		own = self.parameter("issuing_postal_code")
		if place and own and own != place:
			return Ping(
				False,
				say(
					"The postal code of the place of issue is {0} here and {1} at Facturapi: SAT would refuse every sale "
					"to the general public (CFDI40149). Correct it, or clear it here to take Facturapi's.",
					own,
					place,
				),
				tuple(details),
			)
		own = self.parameter(REGIME)
		if regime and own and own != regime:
			return Ping(
				False,
				say(
					"The tax regime of the issuer is {0} here and {1} at Facturapi. Correct it, or clear it here to take "
					"Facturapi's.",
					own,
					regime,
				),
				tuple(details),
			)
		newest = self._get("list", "/invoices", params={"limit": 1})
		if isinstance(newest, Failure):
			return Ping(False, newest.message, tuple(details))
		for found in (newest.json() or {}).get("data") or []:
			if environment_of_answer(found) != self.connection.environment:
				return Ping(
					False,
					say(
						"Wrong environment: the key belongs to {0}, the settings say {1}.",
						environment_of_answer(found),
						self.connection.environment,
					),
					tuple(details),
				)
		found = {"issuing_postal_code": place, REGIME: regime}
		found = {key: value for key, value in found.items() if value}
		return Ping(True, "Connection successful", tuple(details), found)

	# -- before sending ----------------------------------------------------------------------------------

	def not_needed(self, invoice):
		if invoice.lines and not told_lines(invoice):
			return "Nothing is charged, and SAT takes no CFDI of nothing."
		return "It goes into the global invoice of its period." if self.collects(invoice) else ""

	def collects(self, invoice):
		"""Walk-in sales, where the settings say so, and returns of those that are in no global invoice yet
		(authorities/mexico.md#general-public).

		One on credit is no sale to the general public: `validate` says what to do. One in another currency than the
		others has a document of its own.
		"""
		collected = self.parameter("walk_in_sales") == GLOBAL and is_walk_in(invoice.receiver)
		if not collected or invoice.period or invoice.kind is DocumentKind.PAYMENT:
			return False
		if self._on_credit(invoice) or invoice.currency != (invoice.company_currency or invoice.currency):
			return False
		original = invoice.reference
		return not (
			invoice.kind is DocumentKind.CREDIT_NOTE and original and (original.fiscal_id or original.awaited)
		)

	def validate(self, invoice, now):
		if invoice.kind is DocumentKind.PAYMENT:
			return self._check_payment(invoice, now)
		problems = [
			*check_receiver(invoice.receiver, self._use(invoice)),
			*check_lines(told_lines(invoice), self._product_code, self._unit_code),
		]
		if is_walk_in(invoice.receiver) and not self.parameter("issuing_postal_code"):
			problems.append(no_place())
		if is_walk_in(invoice.receiver) and self._on_credit(invoice):
			problems.append(
				Problem(
					"A part of this sale is not paid, and SAT takes no sale on credit to the general public. Take the "
					"full payment, write off what is missing (Write Off Amount), or choose a customer with an RFC.",
					code="walk_in_on_credit",
					field="payments",
				)
			)
		if invoice.period and invoice.period.periodicity == TWO_MONTHS:
			problems += self._check_two_months()
		if (
			invoice.period
			and invoice.period.year < now.astimezone(ZoneInfo(self.parameter("time_zone"))).year - 1
		):
			problems.append(
				Problem(
					say(
						"SAT takes a global invoice of this year or of the last one only, and this period lies in {0} "
						"(CFDI40136). Ask your accountant how to tell these sales.",
						invoice.period.year,
					),
					code="period_too_old",
					field="day",
				)
			)
		if len(told_lines(invoice)) > LARGEST_GLOBAL:
			problems.append(
				Problem(
					say("A CFDI takes {0} lines at most. Choose a shorter period.", LARGEST_GLOBAL),
					field="items",
				)
			)
		if invoice.issued_at > now + CLOCK_SKEW:
			problems.append(
				Problem(
					"The posting date and time lie in the future; SAT accepts no such CFDI.",
					field="posting_date",
				)
			)
		if invoice.total < 0 or (invoice.total == 0 and invoice.kind is DocumentKind.CREDIT_NOTE):
			problems.append(Problem("The total has to be positive.", field="grand_total"))
		if not re.fullmatch(r"[A-Z]{3}", invoice.currency):
			problems.append(Problem(say("{0} is not a currency code.", invoice.currency), field="currency"))
		if invoice.currency != "MXN" and invoice.exchange_rate <= 0:
			problems.append(no_rate(invoice, "conversion_rate"))
		form, method = self._payment(invoice)
		if form not in catalogs.PAYMENT_FORMS:
			problems.append(
				Problem(
					say(
						"{0} is not in SAT's catalogue of payment forms. Correct the mapping of modes "
						"of payment in the fiscal settings.",
						form,
					),
					field="payments",
				)
			)
		elif form == "99" and method == "PUE":
			modes = ", ".join(payment.mode for payment in invoice.payments) or "-"
			problems.append(
				Problem(
					say(
						"SAT wants to know how a settled invoice was paid. Map the mode of payment "
						"{0} to a payment form in the fiscal settings.",
						modes,
					),
					field="payments",
				)
			)
		original = invoice.reference
		if invoice.kind is DocumentKind.CREDIT_NOTE and not (
			original and (original.fiscal_id or original.awaited)
		):
			problems.append(
				Problem(
					"A credit note has to name the UUID of the invoice that it corrects. Issue that one first, "
					"or enter its UUID as Original Fiscal ID.",
					code="reference_missing",
					field="return_against",
				)
			)
		if not problems:
			_concepts, expected = self._concepts(invoice)
			if abs(expected - invoice.total) > CENT:
				problems.append(
					Problem(
						say(
							"Facturapi would total {0} {1}, this invoice {2}: more than a cent apart. "
							"Check the tax rows and the rounding of the item rates.",
							expected,
							invoice.currency,
							invoice.total,
						),
						code="total_differs",
						field="grand_total",
					)
				)
		return problems

	def _check_two_months(self) -> list[Problem]:
		"""Who may issue a global CFDI of two months (authorities/mexico.md#total)."""
		regime = self.parameter(REGIME)
		if regime == REGIME_OF_TWO_MONTHS:
			return []
		if regime:
			message = say(
				"SAT takes a global invoice of two months only from an issuer of tax regime {0}, and yours is {1} "
				"(CFDI40132). Choose Month or a shorter period.",
				REGIME_OF_TWO_MONTHS,
				regime,
			)
		else:
			message = say(
				"SAT takes a global invoice of two months only from an issuer of tax regime {0} (CFDI40132), and yours "
				"is not known. Choose Month or a shorter period; or press Ping Server in the fiscal settings, which "
				"takes the regime from Facturapi.",
				REGIME_OF_TWO_MONTHS,
			)
		return [Problem(message, code="two_months", field="periodicity")]

	def build(self, invoice, reference, idempotency_key, now):
		if invoice.kind is DocumentKind.PAYMENT:
			return self._build_payment(invoice, reference, idempotency_key)
		form, method = self._payment(invoice)
		kind = TYPES[invoice.kind]
		concepts, total = self._concepts(invoice)
		zone = ZoneInfo(self.parameter("time_zone"))
		dated = invoice.issued_at if now - invoice.issued_at < OLDEST else now
		body = {
			"type": kind,
			"customer": self._customer(invoice.receiver),
			"items": [
				self._item(line, concept) for line, concept in zip(told_lines(invoice), concepts, strict=True)
			],
			"payment_form": form,
			"payment_method": method,
			"use": self._use(invoice),
			"currency": invoice.currency,
			"exchange": number(quantize(invoice.exchange_rate, MICRO)) if invoice.currency != "MXN" else 1,
			"date": dated.astimezone(zone).isoformat(timespec="seconds"),
			"external_id": reference,
			"idempotency_key": idempotency_key,
		}
		if self.parameter("series"):
			body["series"] = self.parameter("series")
		if kind == "E":
			relationship = "03" if invoice.goods_returned else "01"
			body["related_documents"] = [
				{"relationship": relationship, "documents": [invoice.reference.fiscal_id]}
			]
			del body["payment_method"]
		elif invoice.kind is DocumentKind.DEBIT_NOTE and invoice.reference and invoice.reference.fiscal_id:
			body["related_documents"] = [{"relationship": "02", "documents": [invoice.reference.fiscal_id]}]
		elif invoice.substitutes:
			body["related_documents"] = [{"relationship": "04", "documents": [invoice.substitutes]}]
		if is_walk_in(invoice.receiver) and kind == "I":
			local = dated.astimezone(zone)
			period = invoice.period or Period("day", f"{local.month:02d}", local.year)
			body["global"] = {
				"periodicity": period.periodicity,
				"months": period.months,
				"year": period.year,
			}
		return Payload(
			json.dumps(body, ensure_ascii=False, separators=(",", ":")),
			Expected(
				document_type=kind,
				total=total,
				currency=invoice.currency,
				receiver=self._receiver_id(invoice.receiver),
				environment=self.connection.environment,
			),
			remarks=(*self._left_out(invoice), *self._apart(invoice, total)),
		)

	@staticmethod
	def _left_out(invoice) -> list[str]:
		return [
			say(
				"Row {0} ({1}) costs nothing and is left out of the CFDI: SAT takes no line of zero.",
				line.row,
				line.description[:40],
			)
			for line in invoice.lines
			if line.nothing_to_tax
		]

	@staticmethod
	def _apart(invoice, total: Decimal) -> list[str]:
		if total == invoice.total:
			return []
		return [
			say(
				"SAT rounds each sum of a CFDI by itself, which makes {0} {1} of this invoice of {2}.",
				total,
				invoice.currency,
				invoice.total,
			)
		]

	# -- payments of sales on credit (1.3, type P) ---------------------------------------------------------

	@classmethod
	def paid_later(cls, payload):
		try:
			return json.loads(payload or "{}").get("payment_method") == PAID_LATER
		except ValueError:
			return False

	def _check_payment(self, invoice, now):
		problems = list(check_receiver(invoice.receiver, catalogs.PAYMENTS))
		if is_walk_in(invoice.receiver) and not self.parameter("issuing_postal_code"):
			problems.append(no_place())
		form = self._payment(invoice)[0]
		if form not in catalogs.PAYMENT_FORMS or form == "99":
			problems.append(
				Problem(
					say(
						"SAT wants to know how it was paid. Map the mode of payment {0} to a payment form in the "
						"fiscal settings.",
						invoice.payments[0].mode,
					),
					field="mode_of_payment",
				)
			)
		if invoice.issued_at > now + CLOCK_SKEW:
			problems.append(Problem("A payment of the future cannot be told to SAT.", field="posting_date"))
		if invoice.currency != "MXN" and invoice.exchange_rate <= 0:
			problems.append(no_rate(invoice, "target_exchange_rate"))
		return problems

	def _build_payment(self, invoice, reference, idempotency_key):
		zone = ZoneInfo(self.parameter("time_zone"))
		payment = {
			"payment_form": self._payment(invoice)[0],
			"date": invoice.issued_at.astimezone(zone).isoformat(timespec="seconds"),
			"currency": invoice.currency,
			"exchange": number(quantize(invoice.exchange_rate, MICRO)) if invoice.currency != "MXN" else 1,
			"related_documents": [self._settled(entry, invoice.currency) for entry in invoice.settles],
		}
		if operation := fit(invoice.payment_reference, facets.OPERATION):
			payment["numOperacion"] = operation
		body = {
			"type": PAYMENT_TYPE,
			"customer": self._customer(invoice.receiver),
			"complements": [{"type": "pago", "data": [payment]}],
			"external_id": reference,
			"idempotency_key": idempotency_key,
		}
		if self.parameter("series"):
			body["series"] = self.parameter("series")
		return Payload(
			json.dumps(body, ensure_ascii=False, separators=(",", ":")),
			Expected(
				document_type=PAYMENT_TYPE,
				total=invoice.total,
				currency=invoice.currency,
				receiver=self._receiver_id(invoice.receiver),
				environment=self.connection.environment,
			),
		)

	@staticmethod
	def _settled(entry, currency: str) -> dict:
		"""One sale with the part of its taxes that this payment stands for: bases of six decimals, never zero."""
		share = entry.amount / entry.total
		settled = {
			"uuid": entry.fiscal_id,
			"amount": number(entry.amount),
			"installment": entry.installment,
			"last_balance": number(entry.last_balance),
			"currency": entry.currency,
			"taxes": [
				{**tax, "base": number(max(quantize(base * share, MICRO), MICRO))}
				for base, tax in taxes_of(json.loads(entry.payload))
			],
		}
		if entry.currency != currency:
			settled["exchange"] = number(entry.exchange_rate)
		return settled

	def _customer(self, party: Party) -> dict:
		if is_walk_in(party):
			return {
				"legal_name": catalogs.PUBLIC_GENERAL_NAME,
				"tax_id": rfc.PUBLIC_GENERAL,
				"tax_system": catalogs.WITHOUT_OBLIGATIONS,
				"address": {"zip": self.parameter("issuing_postal_code")},
			}
		customer = {
			"legal_name": legal_name(fit(party.name, facets.NAME), not rfc.is_company(party.tax_id)),
			"tax_id": party.tax_id,
			"tax_system": party.regime,
			"address": {"zip": party.postal_code},
		}
		if is_foreign(party):
			# Facturapi puts XEXX010101000 itself; it wants the real foreign id, or none (1.3).
			customer["legal_name"] = fit(party.name, facets.NAME)
			customer["tax_id"] = fit(party.tax_id, facets.FOREIGN_ID)
			customer["tax_system"] = catalogs.WITHOUT_OBLIGATIONS
			customer["address"]["country"] = catalogs.ALPHA_3[party.country]
			if not party.tax_id:
				del customer["tax_id"]
		if party.email:
			customer["email"] = party.email
		return customer

	@staticmethod
	def _receiver_id(party: Party) -> str:
		if is_walk_in(party):
			return rfc.PUBLIC_GENERAL
		# What a foreign receiver's id comes back as is not documented, so it is not compared.
		return "" if is_foreign(party) else party.tax_id

	def _concepts(self, invoice: Invoice) -> tuple[tuple[Concept, ...], Decimal]:
		"""The lines that are told, shaped so that SAT's total is the invoice's where that can be had; and that total."""
		concepts = [
			Concept(
				quantize(line.quantity, MICRO),
				quantize(line.unit_price, MICRO),
				quantize(line.discount, MICRO),
				self._taxes(line),
			)
			for line in told_lines(invoice)
		]
		return totals.shaped(concepts, invoice.total, totals.DECIMALS.get(invoice.currency, 2))

	def _taxes(self, line: Line) -> tuple[Tax, ...]:
		"""The taxes of a line as a CFDI has them."""
		treatment = self._treatment(line)
		quota = any(tax.per_unit for tax in line.taxes)
		found = [Tax("IVA", ZERO, totals.EXEMPT)] if treatment is Treatment.EXEMPT else []
		for tax in line.taxes:
			if tax.category is TaxCategory.LOCAL:
				name = fit(tax.name, facets.CODE) or "Local"
				found.append(Tax(name, tax.rate, withheld=tax.withheld, local=True))
				continue
			transferred_vat = tax.category is TaxCategory.VAT and not tax.withheld
			if treatment is Treatment.OUTSIDE or (transferred_vat and treatment is Treatment.EXEMPT):
				continue
			piece = None
			if tax.per_unit:
				# One unit for each piece of a sale; all units of it where a global invoice tells it as one piece.
				piece = quantize(tax.base / line.quantity, MICRO)
			elif quota and tax.on_top_of_excise:
				piece = quantize(tax.base / line.quantity, MICRO)
			found.append(
				Tax(
					TAX_TYPES[tax.category],
					quantize(tax.rate, MICRO),
					totals.QUOTA if tax.per_unit else totals.RATE,
					tax.withheld,
					tax.on_top_of_excise and piece is None,
					piece=piece,
				)
			)
		return tuple(found)

	def _item(self, line: Line, concept: Concept) -> dict:
		product = {
			"description": fit(line.description, facets.DESCRIPTION) or fit(line.code, facets.CODE) or "-",
			"product_key": self._product_code(line),
			"unit_key": self._unit_code(line),
			"unit_name": fit(line.unit, facets.UNIT) or "Elemento",
			"price": number(concept.price),
			"tax_included": False,
			"taxability": "01" if self._treatment(line) is Treatment.OUTSIDE else "02",
			"taxes": [_tax_entry(tax, concept) for tax in concept.taxes if not tax.local],
		}
		item = {"quantity": number(concept.quantity), "product": product}
		if concept.discount:
			item["discount"] = number(concept.discount)
		if code := fit(line.code, facets.CODE):
			product["sku"] = code
		local = [tax for tax in concept.taxes if tax.local]
		if local:
			product["local_taxes"] = [
				{"type": tax.kind, "rate": number(tax.rate), "withholding": tax.withheld} for tax in local
			]
		return item

	def _treatment(self, line: Line) -> Treatment:
		"""A line that carries value-added tax is taxed, at 0 % too; else the item or the setting says."""
		if line.treatment is not Treatment.TAXED:
			return line.treatment
		if any(tax.category is TaxCategory.VAT and not tax.withheld for tax in line.taxes):
			return Treatment.TAXED
		return Treatment(self.parameter("untaxed_lines"))

	def _product_code(self, line: Line) -> str:
		return line.product_code or self.parameter("default_product_code")

	def _unit_code(self, line: Line) -> str:
		return line.unit_code or self.parameter("default_unit_code")

	def _use(self, invoice: Invoice) -> str:
		receiver = invoice.receiver
		if is_walk_in(receiver) or is_foreign(receiver):
			return catalogs.NO_FISCAL_EFFECT
		if invoice.kind is DocumentKind.CREDIT_NOTE and not receiver.use:
			return "G02"
		if receiver.regime == catalogs.WITHOUT_OBLIGATIONS and receiver.use != "G02":
			return catalogs.NO_FISCAL_EFFECT
		return receiver.use or self.parameter("default_use")

	def _payment(self, invoice: Invoice) -> tuple[str, str]:
		"""Payment form and method. Of several forms the one with the largest amount is named."""
		if self._on_credit(invoice):
			return "99", PAID_LATER
		if invoice.payments:
			largest = max(invoice.payments, key=lambda payment: payment.amount)
			return largest.code or catalogs.PAYMENT_FORM_OF_KIND[largest.kind], "PUE"
		if invoice.kind is DocumentKind.CREDIT_NOTE:
			return self.parameter("credit_note_payment_form"), "PUE"
		return self.parameter("default_payment_form"), "PUE"

	@staticmethod
	def _on_credit(invoice: Invoice) -> bool:
		return invoice.on_credit and invoice.kind is not DocumentKind.CREDIT_NOTE

	# -- calls -------------------------------------------------------------------------------------------

	def issue(self, body):
		answer = self.call(
			"issue",
			"POST",
			"/invoices",
			headers={**self._authorization(), "Content-Type": "application/json"},
			body=body,
		)
		if isinstance(answer, Failure):
			return Outcome(failure=answer)
		if not 200 <= answer.status < 300:
			return Outcome(failure=failure_of(answer, issuing=True))
		document = remote(answer.json())
		if not document:
			return Outcome(
				failure=Failure(
					ErrorClass.UNKNOWN,
					"The provider answered that it succeeded, but without a document that can be read.",
					"unreadable_answer",
				)
			)
		return Outcome(document=document)

	def reconcile(self, reference, provider_id=""):
		if provider_id:
			answer = self._get("reconcile", f"/invoices/{provider_id}")
		else:
			answer = self._get("reconcile", "/invoices", params={"external_id": reference})
		if isinstance(answer, Failure):
			if provider_id and answer.code == "invoice_not_found":
				return Lookup()
			return Lookup(failure=answer)
		body = answer.json() or {}
		found = [body] if provider_id else body.get("data")
		if not isinstance(found, list):
			return Lookup(failure=unreadable())
		documents = tuple(remote(entry) for entry in found if (entry or {}).get("status") != "draft")
		if not all(documents):
			return Lookup(failure=unreadable())
		if not provider_id:
			# The filter is documented as exact; a server that ignored it would show other people's invoices.
			documents = tuple(entry for entry in documents if entry.external_reference == reference)
		return Lookup(documents)

	@classmethod
	def parse_webhook(cls, body):
		"""An event of providers/facturapi.md#webhooks; only those of invoices lead to a document of ours."""
		try:
			event = json.loads(body)
			subject = event["data"]["object"]
			if event["data"]["type"] != "invoice" or not event["id"] or not subject["id"]:
				return None
			return WebhookEvent(
				str(event["id"]),
				str(event["type"]),
				str(subject["id"]),
				str(subject.get("external_id") or ""),
			)
		except (ValueError, KeyError, TypeError, AttributeError):
			return None

	def check_cancel(self, held, request, now):
		"""SAT's motives (2.3): 01 names the document that takes the place, which has to be there already."""
		motive = next((entry for entry in self.cancel_motives if entry.code == request.motive), None)
		if not motive:
			return [Problem("Choose one of SAT's motives, 01 to 04.", field="motive")]
		if motive.substitute and not request.substitute:
			return [
				Problem(
					"Motive 01 names the invoice that takes the place: issue that one first, with this one as the "
					"invoice whose place it takes.",
					field="substitute",
				)
			]
		if motive.substitute and request.substitute == held.fiscal_id:
			return [Problem("A document cannot take its own place.", field="substitute")]
		return []

	def cancel(self, held, request):
		params = {"motive": request.motive}
		if request.motive == WITH_SUBSTITUTE:
			params["substitution"] = request.substitute
		answer = self.call(
			"cancel",
			"DELETE",
			f"/invoices/{held.provider_id}",
			headers={**self._authorization(), "Accept": "application/json"},
			params=params,
		)
		if isinstance(answer, Failure):
			return Cancellation(failure=answer)
		if not 200 <= answer.status < 300:
			failure = not_yet(answer) or failure_of(answer, issuing=True)
			if failure.code in REFUSING_CODES:
				return Cancellation(CancelStatus.REFUSED, failure.message)
			return Cancellation(failure=failure)
		return cancellation_of(answer.json(), held)

	def cancellation(self, held):
		"""PUT /status has SAT asked anew (1.7)."""
		answer = self.call(
			"cancel_status",
			"PUT",
			f"/invoices/{held.provider_id}/status",
			headers={**self._authorization(), "Accept": "application/json"},
		)
		if isinstance(answer, Failure):
			return Cancellation(failure=answer)
		if answer.status != 200:
			return Cancellation(failure=not_yet(answer) or failure_of(answer, issuing=False))
		return cancellation_of(answer.json(), held, asked_anew=True)

	def cancel_notes(self, held, issuer):
		year = None
		if held.issued_at:
			year = held.issued_at.astimezone(ZoneInfo(self.parameter("time_zone"))).year + 1
		notes = []
		if year and rfc.is_company(issuer.tax_id):
			notes.append(
				say("SAT takes the cancellation until {0}, later only with a fine.", f"{year}-03-31")
			)
		elif year:
			notes.append(
				say("SAT takes the cancellation until {0}, later only with a fine.", f"{year}-04-30")
			)
		if needs_consent(held.payload):
			notes.append(
				"The receiver has to agree expressly, since this is fuel or a payment: silence is no consent."
			)
		else:
			notes.append("The receiver has three business days to agree; silence is consent.")
		return notes

	def acknowledgement(self, held):
		return self._download(held.provider_id, "cancellation_receipt/xml", "application/xml", b"<")

	def pdf(self, held):
		return self._download(held.provider_id, "pdf", "application/pdf", b"%PDF")

	def xml(self, held):
		return self._download(held.provider_id, "xml", "application/xml", b"<")

	def _download(self, provider_id, kind, content_type, magic):
		answer = self._get(kind.partition("/")[0], f"/invoices/{provider_id}/{kind}", accept="*/*")
		if isinstance(answer, Failure):
			return Download(failure=answer)
		if not answer.body.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(magic):
			return Download(failure=unreadable())
		return Download(answer.body, content_type)

	def _get(self, operation, path, accept="application/json", **request) -> Response | Failure:
		answer = self.call(
			operation, "GET", path, headers={**self._authorization(), "Accept": accept}, **request
		)
		if isinstance(answer, Failure) or answer.status == 200:
			return answer
		return failure_of(answer, issuing=False)

	def _authorization(self):
		return {"Authorization": f"Bearer {self.connection.secret().reveal()}"}


def environment_of(secret: str) -> str:
	"""The environment that a key belongs to by its prefix, empty when it has none (1.1)."""
	return {"sk_test_": TEST, "sk_live_": PRODUCTION}.get(secret[:8], "")


def environment_of_answer(body: dict) -> str:
	return {True: PRODUCTION, False: TEST}.get(body.get("livemode"), "")


def unreadable() -> Failure:
	return Failure(
		ErrorClass.TRANSIENT,
		"The provider's answer could not be read: it is not what the API promises.",
		"unreadable",
	)


def remote(body) -> RemoteDocument | None:
	"""An Invoice object (1.4) as a RemoteDocument; None when it lacks what it must have.

	A "valid" one without UUID is such a case: 2xx is not yet stamped (1.6).
	"""
	if not isinstance(body, dict) or not body.get("id"):
		return None
	status = STATUSES.get(body.get("status"))
	if status is None or (status is RemoteStatus.ISSUED and not body.get("uuid")):
		return None
	stamp = body.get("stamp") or {}
	stamps = {
		"sat_certificate_number": stamp.get("sat_cert_number"),
		"sat_signature": stamp.get("sat_signature"),
		"signature": stamp.get("signature"),
		"stamp_date": stamp.get("date"),
		"complement_string": stamp.get("complement_string"),
		"provider_rfc": stamp.get("rfc_provider_cert"),
		"series": body.get("series"),
		"folio_number": body.get("folio_number"),
		"verification_url": body.get("verification_url"),
	}
	try:
		# A payment's own total is zero by law; what it is about is in the complement.
		paid = body.get("type") == PAYMENT_TYPE
		told = body.get("total_payment_amount") if paid else body.get("total")
		total = decimal(told) if told is not None else None
		currency = (body["complements"][0]["data"][0] if paid else body).get("currency") or ""
	except (ValueError, KeyError, IndexError, TypeError, AttributeError):
		return None
	return RemoteDocument(
		status=status,
		provider_id=str(body["id"]),
		fiscal_id=body.get("uuid") or "",
		external_reference=body.get("external_id") or "",
		document_type=body.get("type") or "",
		total=quantize(total) if total is not None else None,
		currency=currency,
		receiver=(body.get("customer") or {}).get("tax_id") or "",
		environment=environment_of_answer(body),
		authorization_number=stamp.get("sat_cert_number") or "",
		authorized_at=instant(stamp.get("date")),
		issued_at=instant(body.get("date")),
		qr_value=body.get("verification_url") or "",
		stamps=tuple((key, str(value)) for key, value in stamps.items() if value not in (None, "")),
	)


def told_lines(invoice: Invoice) -> tuple[Line, ...]:
	"""The lines that a CFDI can tell: SAT wants a price and a base above zero."""
	return tuple(line for line in invoice.lines if not line.nothing_to_tax)


def no_place() -> Problem:
	return Problem(
		"The postal code of the place of issue is not known. Press Ping Server in the fiscal settings, which takes it "
		"from Facturapi, and send the document again.",
		code="place_of_issue",
		field="issuing_postal_code",
		stops_sale=False,
	)


def no_rate(invoice: Invoice, field: str) -> Problem:
	return Problem(
		say(
			"There is no exchange rate from {0} to MXN. Enter it in the Currency Exchange list, for {1} or an "
			"earlier day.",
			invoice.currency,
			invoice.issued_at.date().isoformat(),
		),
		code="exchange_rate",
		field=field,
	)


def _tax_entry(tax: Tax, concept: Concept) -> dict:
	entry = {
		"type": tax.kind,
		"rate": number(tax.rate),
		"factor": tax.factor,
		"withholding": tax.withheld,
	}
	if tax.piece is not None:
		# Facturapi multiplies a base by the quantity (providers/facturapi.md#requests).
		entry["base"] = number(tax.piece)
	if tax.kind == "IEPS":
		below = any(other.over_excise for other in concept.taxes)
		entry["ieps_mode"] = (
			"unit" if tax.factor == totals.QUOTA else "sum_before_taxes" if below else "break_down"
		)
	return entry


def concepts_of(request: dict) -> list[Concept]:
	"""The concepts of an issued sale, from the request that made it: its taxes in their order, local ones last."""
	found = []
	for item in request.get("items") or ():
		entries = item["product"].get("taxes") or ()
		summed = any(tax.get("ieps_mode") == "sum_before_taxes" for tax in entries)
		found.append(
			Concept(
				decimal(item.get("quantity", 1)),
				decimal(item["product"]["price"]),
				decimal(item.get("discount", 0)),
				tuple(
					Tax(
						tax["type"],
						decimal(tax["rate"]),
						tax["factor"],
						tax["withholding"],
						summed
						and tax["type"] == "IVA"
						and not tax["withholding"]
						and tax.get("base") is None,
						piece=decimal(tax["base"]) if tax.get("base") is not None else None,
					)
					for tax in entries
				)
				+ tuple(
					Tax(tax["type"], decimal(tax["rate"]), withheld=tax["withholding"], local=True)
					for tax in item["product"].get("local_taxes") or ()
				),
			)
		)
	return found


def taxes_of(request: dict) -> list[tuple[Decimal, dict]]:
	"""The taxes of an issued sale from the request that made it: the base of each tax, factor and rate, and the tax.

	Local taxes have no place in a payment complement.
	"""
	bases: dict[tuple, Decimal] = {}
	for concept in concepts_of(request):
		for tax, base, _amount in concept.taxed():
			if tax.local:
				continue
			kind = (tax.kind, tax.factor, tax.rate, tax.withheld)
			bases[kind] = bases.get(kind, ZERO) + base
	return [
		(base, {"type": kind, "rate": number(rate), "factor": factor, "withholding": withheld})
		for (kind, factor, rate, withheld), base in bases.items()
	]


def not_yet(answer: Response) -> Failure | None:
	"""What it means that a document of which we hold the id is not found; None for all other answers."""
	code = str((answer.json() or {}).get("code") or "")
	if answer.status != 404 or code != "invoice_not_found":
		return None
	return Failure(
		ErrorClass.TRANSIENT,
		"Facturapi does not find this document at the moment, though it was issued there.",
		"not_yet",
		waits=NOT_YET_WAITS,
	)


def needs_consent(payload: str) -> bool:
	"""Whether silence is no consent to a cancellation: of payment complements, and of fuel."""
	try:
		request = json.loads(payload or "{}")
		return request.get("type") == PAYMENT_TYPE or any(
			item["product"]["product_key"] in FUEL for item in request.get("items") or ()
		)
	except (ValueError, KeyError, TypeError, AttributeError):
		return False


def cancellation_of(body, held, asked_anew: bool = False) -> Cancellation:
	"""What an Invoice object says of its cancellation (1.5).

	A receiver who let the time pass has agreed by silence (2.3), so that "expired" is believed to be a refusal
	only when SAT was `asked_anew` and the document is still valid.
	"""
	if not isinstance(body, dict) or body.get("uuid") not in (None, held.fiscal_id):
		return Cancellation(
			failure=Failure(ErrorClass.UNKNOWN, "The answer could not be read.", "unreadable_answer")
		)
	if body.get("status") == "canceled":
		return Cancellation(CancelStatus.CANCELLED)
	state = body.get("cancellation_status") or "none"
	if state in ("pending", "verifying") or (state == "expired" and not asked_anew):
		if state == "verifying":
			message = "SAT examines the request."
		elif needs_consent(held.payload):
			message = (
				"The receiver has to agree expressly, since this is fuel or a payment: silence is no consent."
			)
		else:
			message = "The receiver has three business days to agree; silence is consent."
		return Cancellation(CancelStatus.PENDING, message)
	if state == "rejected":
		return Cancellation(CancelStatus.REFUSED, "The receiver did not agree: the document stays valid.")
	if state == "expired":
		return Cancellation(
			CancelStatus.REFUSED,
			"The time of the request is over and the document is still valid: ask again.",
		)
	return Cancellation()


def instant(text) -> datetime | None:
	"""An answer's time, always UTC (1.10)."""
	if not text:
		return None
	try:
		parsed = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
	except ValueError:
		return None
	return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def _in_words(message: str, problems: tuple[Problem, ...]) -> str:
	"""What Facturapi says, with the fields that it names as people know them; once, where it says it twice."""
	lines = [
		say("{0}: {1}", _label(problem.field), problem.message) if problem.field else problem.message
		for problem in problems
		if problem.message
	]
	if message and message not in [problem.message for problem in problems]:
		lines.insert(0, message)
	return say("\n".join(f"{{{number}}}" for number in range(len(lines))), *lines)


def _label(path: str) -> str:
	"""A field of the request as people know it; one of a line with its number."""
	if row := re.match(r"items?[.\[](\d+)\]?[.]?", path):
		return say("Row {0}", int(row[1]) + 1)
	return FIELD_NAMES.get(path, path)


def failure_of(answer: Response, issuing: bool) -> Failure:
	"""The class of an error answer (1.8). Bodies may lack the code, or be no JSON at all."""
	body = answer.json() or {}
	code = str(body.get("code") or answer.status)
	message = str(body.get("message") or "").strip()
	problems = tuple(
		Problem(str(entry.get("message") or ""), str(entry.get("code") or ""), str(entry.get("path") or ""))
		for entry in body.get("errors") or ()
		if isinstance(entry, dict)
	)
	if code == GENERIC and problems and problems[0].code:
		code = problems[0].code
	text = _in_words(message, problems)

	if answer.status == 401:
		return Failure(
			ErrorClass.CONFIGURATION,
			"Facturapi does not accept the secret key. Enter the key of this environment anew.",
			code,
			problems=problems,
		)
	if answer.status in (402, 403):
		said = text or "no reason given"
		return Failure(
			ErrorClass.CONFIGURATION,
			say("Facturapi refuses this account: {0}", said),
			code,
			problems=problems,
		)
	if answer.status == 429:
		return Failure(
			ErrorClass.TRANSIENT,
			"Facturapi asks to slow down.",
			code,
			answer.retry_after if answer.retry_after is not None else 1.0,
		)
	if 300 <= answer.status < 400:
		return Failure(
			ErrorClass.CONFIGURATION, "The server redirects elsewhere: correct the server URL.", code
		)
	if answer.status >= 500 or answer.status == 408:
		return Failure(
			ErrorClass.UNKNOWN if issuing else ErrorClass.TRANSIENT,
			say("Facturapi has a fault (HTTP {0}). {1}", answer.status, text or say("It says no more.")),
			code,
			answer.retry_after,
			down=True,
		)
	if code in DUPLICATE_CODES or answer.status == 409:
		return Failure(ErrorClass.DUPLICATE, text or "Facturapi says that it has this document.", code)
	if code.endswith("_service_unavailable"):
		return Failure(ErrorClass.TRANSIENT, text or "A service behind Facturapi is down.", code)
	if answer.status in (404, 405) and not body.get("code"):
		return Failure(
			ErrorClass.CONFIGURATION, "Nothing is found at this address: correct the server URL.", code
		)
	return Failure(
		ErrorClass.REJECTED,
		text or say("Facturapi refuses the request (HTTP {0}).", answer.status),
		code,
		problems=problems,
	)
