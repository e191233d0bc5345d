"""HKA and FacturaFácil against their emulators over HTTP, and the rules of authorities/panama.md."""

import json
import random
import unittest
import urllib.request
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from zoneinfo import ZoneInfo

from fiscal_integration.fiscal.errors import ErrorClass
from fiscal_integration.fiscal.invoice import (
	Coordinates,
	DocumentKind,
	Export,
	Invoice,
	Line,
	LineTax,
	Party,
	Payment,
	PaymentKind,
	Reference,
	TaxCategory,
	Term,
)
from fiscal_integration.fiscal.money import MICRO, quantize
from fiscal_integration.fiscal.panama import cufe
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.remote import RemoteStatus, differences
from fiscal_integration.fiscal.xml import parse
from fiscal_integration.providers import soap
from fiscal_integration.providers.base import PRODUCTION, TEST, CancelRequest, CancelStatus, Connection, Held
from fiscal_integration.providers.facturafacil import FacturaFacil
from fiscal_integration.providers.hka import HKA, NAMESPACES, TEMPURI
from fiscal_integration.providers.http import HttpClient
from fiscal_integration.sandbox import Sandbox
from fiscal_integration.sandbox.reading import read_pdf

PANAMA = ZoneInfo("America/Panama")
NOW = datetime.now(PANAMA).replace(microsecond=0)
COMPANY = Party(
	"Distribuidora Chiriquí, S.A.", "155596713-2-2015", "PA", address="Avenida Central 12", city="David"
)
WALK_IN = Party("Cliente de contado", walk_in=True)
FOREIGNER = Party("Pacific Outfitters", "98-1234567", "US", country_name="United States")
GOVERNMENT = replace(COMPANY, name="Ministerio", tax_id="521-136-113133", kind="03")
PUBLISHED = "FE0120000155596713-2-2015-5900012019052800055000155650121566749040"
_numbers = iter(range(1, 10_000))


def line(net="100", quantity="1", rate="0.07", discount="0", isc="", **values):
	net, quantity, discount = Decimal(net), Decimal(quantity), Decimal(discount)
	taxes = [LineTax(TaxCategory.VAT, Decimal(rate), net, net * Decimal(rate), name="ITBMS")] if rate else []
	if isc:
		taxes.append(LineTax(TaxCategory.EXCISE, Decimal(isc), net, net * Decimal(isc), name="ISC"))
	return Line(
		"Café de altura",
		quantity,
		(net + discount) / quantity,
		net,
		discount,
		**{"taxes": tuple(taxes), "row": 1, "code": "CAFE", **values},
	)


def invoice(lines=None, **values):
	lines = tuple(lines or [line()])
	total = quantize(sum((entry.net + sum(tax.amount for tax in entry.taxes) for entry in lines), Decimal(0)))
	paid = values.pop("paid", PaymentKind.CASH)
	payments = (Payment(paid, total),) if paid else ()
	return Invoice(
		**{
			"doctype": "Sales Invoice",
			"name": "SINV-1",
			"kind": DocumentKind.INVOICE,
			"issued_at": NOW,
			"issuer": Party("Issuer", country="PA"),
			"receiver": COMPANY,
			"currency": "USD",
			"lines": lines,
			"total": total,
			"payments": payments,
			"on_credit": not payments,
			"coordinates": Coordinates("0000", "001", "", next(_numbers)),
			**values,
		}
	)


class Case(unittest.TestCase):
	provider_class = HKA

	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)

	def setUp(self):
		self.sandbox.reset()
		self.exchanges = []

	@property
	def key(self):
		return self.provider_class.key

	def connection(self, secret_key=None, url=None, live=False, environment=None, **parameters):
		given = {**self.sandbox.parameters(self.key, live), **parameters}
		secrets = {"secret_key": Secret(secret_key or self.sandbox.secret_key(self.key, live))}
		for parameter in self.provider_class.parameters:
			if parameter.secret and parameter.key in given:
				secrets[parameter.key] = Secret(given.pop(parameter.key))
		return Connection(
			self.key,
			environment or (PRODUCTION if live else TEST),
			url or self.sandbox.url(self.key),
			given,
			secrets,
		)

	def provider(self, **options):
		return self.provider_class(
			self.connection(**options), HttpClient(self.exchanges.append, loopback=True)
		)

	def send(self, document, provider=None, reference="SINV-1.ref"):
		provider = provider or self.provider()
		problems = provider.validate(document, NOW)
		self.assertEqual([str(problem) for problem in problems], [])
		payload = provider.build(document, reference, f"key-{document.coordinates.number}", NOW)
		return payload, provider.issue(payload.body)

	def issued(self, document, provider=None):
		payload, outcome = self.send(document, provider)
		self.assertIsNotNone(outcome.document, outcome.failure)
		self.assertEqual(differences(payload.expected, outcome.document, answered=True), [])
		return payload, outcome.document

	def documento(self, document):
		payload = HKA(self.connection(), None).build(document, "SINV-1.ref", "key", NOW)
		return json.loads(payload.body)["documento"]


class BothTransports:
	"""What holds for HKA over SOAP and over REST."""

	def test_1_6_every_document_type(self):
		_, original = self.issued(invoice())
		reference = Reference("Sales Invoice", "SINV-1", original.fiscal_id, NOW)
		for document, kind in (
			(invoice(), "01"),
			(
				invoice(
					receiver=FOREIGNER,
					export=Export("FOB", "Balboa"),
					currency="EUR",
					exchange_rate=Decimal("1.1"),
				),
				"03",
			),
			(invoice(kind=DocumentKind.CREDIT_NOTE, reference=reference), "04"),
			(invoice(kind=DocumentKind.DEBIT_NOTE, reference=reference), "05"),
			(invoice(kind=DocumentKind.CREDIT_NOTE), "06"),
			(invoice(kind=DocumentKind.DEBIT_NOTE), "07"),
			(invoice(variant="08"), "08"),
			(invoice(variant="09"), "09"),
		):
			with self.subTest(kind):
				_, found = self.issued(document)
				self.assertEqual(cufe.parts(found.fiscal_id)["document"], kind)

	def test_1_6_every_receiver_kind(self):
		for receiver, kind in (
			(COMPANY, "01"),
			(WALK_IN, "02"),
			(Party("Ana", "8-442-445", "PA"), "02"),
			(GOVERNMENT, "03"),
			(FOREIGNER, "04"),
		):
			with self.subTest(kind):
				_, found = self.issued(invoice([line(product_code="1411")], receiver=receiver))
				entry = self.sandbox.emulators[self.key].dgi.documents[found.fiscal_id]
				self.assertEqual(entry["receiver"]["kind"], kind)

	def test_1_6_arithmetic_of_discounts_taxes_and_payments(self):
		_, found = self.issued(
			invoice(
				[
					line("269.73", "3", discount="30.27"),
					line("320", rate="0"),
					line("0.333333", "7.125", rate="0.10"),
					line("55.55", isc="0.05", rate="0.15"),
				],
				payments=(Payment(PaymentKind.CREDIT_CARD, Decimal("300.00")),),
				on_credit=True,
				terms=(Term(date(2026, 12, 1), Decimal("200")), Term(date(2027, 1, 1), Decimal("472.67"))),
			)
		)
		self.assertTrue(found.fiscal_id)

	def test_1_6_change_is_told(self):
		total = invoice().total
		self.issued(invoice(payments=(Payment(PaymentKind.CASH, total),), change=Decimal("13.00")))

	def test_1_4_a_document_is_found_by_its_coordinates_and_compared_by_its_xml(self):
		payload, found = self.issued(invoice())
		(again,) = self.provider().reconcile("SINV-1.ref", payload.provider_id).documents
		self.assertEqual(differences(payload.expected, again), [])
		self.assertEqual(again.external_reference, "SINV-1.ref")
		self.assertEqual(again.fiscal_id, found.fiscal_id)
		absent = self.provider().reconcile("x", "0000/001/0000099999/01/01/")
		self.assertEqual((absent.documents, absent.failure), ((), None))

	def test_1_4_pdf_and_xml(self):
		payload, found = self.issued(invoice())
		held = Held(payload.provider_id, found.fiscal_id)
		self.assertTrue(self.provider().pdf(held).content.startswith(b"%PDF"))
		self.assertIn(found.fiscal_id.encode(), self.provider().xml(held).content)
		missing = Held("0000/001/0000099999/01/01/", PUBLISHED)
		self.assertIsNotNone(self.provider().pdf(missing).failure)

	def test_1_4_the_ruc_register(self):
		found = self.provider().taxpayer("155596713-2-2015", "2")
		self.assertEqual((found.found, found.dv, found.name), (True, "59", "Distribuidora Chiriquí, S.A."))
		unknown = self.provider().taxpayer("521-136-113133", "2")
		self.assertEqual((unknown.found, unknown.failure), (False, None))

	def test_1_4_folios_left_and_until_when(self):
		self.sandbox.set_option("hka", folios=41, licence_until="2027-03-31")
		supply = self.provider().supply()
		self.assertEqual((supply.left, supply.until), (41, date(2027, 3, 31)))
		ping = self.provider().ping()
		self.assertEqual((ping.ok, dict(ping.details)["Folios left"]), (True, "41"))
		self.sandbox.set_option("hka", folios=0)
		self.assertFalse(self.provider().ping().ok)

	def test_1_7_bad_tokens_stop_until_an_administrator_mends_them(self):
		for options in ({"secret_key": "wrong"}, {"token_company": "wrong"}):
			provider = self.provider(**options)
			self.assertFalse(provider.ping().ok)
			_, outcome = self.send(invoice(), provider)
			self.assertEqual(outcome.failure.error_class, ErrorClass.CONFIGURATION)
		self.assertEqual(self.sandbox.ledger("hka"), [])

	def test_1_2_test_tokens_are_worth_nothing_in_production(self):
		_, found = self.issued(invoice(), self.provider(live=True))
		self.assertEqual(found.environment, PRODUCTION)
		payload, outcome = self.send(invoice(), self.provider(live=True, environment=TEST))
		self.assertTrue(differences(payload.expected, outcome.document, answered=True))

	def test_1_7_a_refusal_keeps_the_authoritys_words(self):
		self.sandbox.fault(self.key, "status", code="203", status=200)
		_, outcome = self.send(invoice())
		self.assertEqual(outcome.failure.error_class, ErrorClass.REJECTED)
		self.assertIn("Falla ordenada", outcome.failure.message)

	def test_4_3_a_duplicate_number_is_looked_up(self):
		document = invoice()
		self.issued(document)
		_, outcome = self.send(document)
		self.assertEqual((outcome.failure.error_class, outcome.failure.code), (ErrorClass.DUPLICATE, "1002"))
		self.assertEqual(len(self.sandbox.ledger("hka")), 1)

	def test_4_3_decided_by_code_and_never_by_words(self):
		self.sandbox.fault(self.key, "status", code="1602", status=200)
		_, outcome = self.send(invoice())
		self.assertEqual(outcome.failure.error_class, ErrorClass.REJECTED)

	def test_invariant_3_what_cannot_be_read_is_unknown(self):
		for kind in ("lost_after_commit", "malformed", "empty", "no_uuid", "status_after_commit"):
			with self.subTest(kind):
				self.sandbox.fault(self.key, kind)
				payload, outcome = self.send(invoice())
				self.assertEqual(outcome.failure.error_class, ErrorClass.UNKNOWN)
				(found,) = self.provider().reconcile("", payload.provider_id).documents
				self.assertEqual(differences(payload.expected, found), [])

	def test_5_6_anulacion_and_its_repetition(self):
		payload, found = self.issued(invoice())
		held = Held(payload.provider_id, found.fiscal_id, issued_at=NOW)
		for _time in range(2):
			answer = self.provider().cancel(held, CancelRequest("La venta no se realizó"))
			self.assertEqual((answer.status, answer.failure), (CancelStatus.CANCELLED, None))
		(after,) = self.provider().reconcile("", payload.provider_id).documents
		self.assertEqual(after.status, RemoteStatus.CANCELLED)

	def test_5_6_the_authority_refuses_after_its_time(self):
		payload, found = self.issued(invoice())
		self.sandbox.advance(183 * 3600)
		answer = self.provider().cancel(
			Held(payload.provider_id, found.fiscal_id), CancelRequest("La venta no se realizó")
		)
		self.assertEqual(answer.status, CancelStatus.REFUSED)
		self.assertIn("plazo", answer.message)

	def test_no_secret_in_what_is_frozen(self):
		payload = self.provider().build(invoice(), "r", "k", NOW)
		for secret in (self.sandbox.secret_key("hka"), self.sandbox.parameters("hka")["token_company"]):
			self.assertNotIn(secret, payload.body)

	def test_the_same_invoice_makes_the_same_bytes(self):
		document = invoice()
		first, second = (self.provider().build(document, "r", "k", NOW).body for _ in range(2))
		self.assertEqual(first, second)


class TestHkaSoap(BothTransports, Case):
	def test_1_3_tokens_are_elements_and_the_namespaces_differ_per_operation(self):
		self.send(invoice())
		request = self.sandbox.requests("hka")[-1]
		root = parse(request["body"])
		call = root.find(f"{{{soap.ENVELOPE}}}Body")[0]
		self.assertEqual(call.tag, f"{{{TEMPURI}}}Enviar")
		self.assertEqual(
			[child.tag.split("}")[1] for child in call], ["tokenEmpresa", "tokenPassword", "documento"]
		)
		self.assertTrue(all(child.tag.startswith(f"{{{NAMESPACES['Enviar']}}}") for child in call[2]))
		self.assertEqual(request["headers"]["SOAPAction"], '"http://tempuri.org/IService/Enviar"')

	def test_1_3_members_out_of_order_are_dropped_by_the_service(self):
		documento = self.documento(invoice())
		transaction = documento["datosTransaccion"]
		documento["datosTransaccion"] = {"cliente": transaction.pop("cliente"), **transaction}
		outcome = self.provider().issue(json.dumps({"documento": documento}))
		self.assertEqual(outcome.failure.error_class, ErrorClass.REJECTED)

	def test_1_3_blank_members_are_not_sent(self):
		self.send(invoice(receiver=WALK_IN))
		root = parse(self.sandbox.requests("hka")[-1]["body"])
		self.assertEqual(
			[element.tag for element in root.iter() if not len(element) and not element.text],
			[f"{{{soap.ENVELOPE}}}Header"],
		)

	def test_1_3_a_fault_is_unknown_for_what_issues(self):
		outcome = self.provider().issue(json.dumps({"documento": {}}))
		self.assertEqual((outcome.failure.error_class, outcome.failure.code), (ErrorClass.UNKNOWN, "fault"))

	def test_1_4_a_serial_device_belongs_to_the_coordinates(self):
		document = invoice(coordinates=Coordinates("0000", "001", "0000000007", next(_numbers)))
		payload, found = self.issued(document)
		self.sandbox.emulators["hka"].dgi.documents[found.fiscal_id]["serial"] = "0000000007"
		self.assertTrue(self.provider().pdf(Held(payload.provider_id, found.fiscal_id)).content)
		other = payload.provider_id.replace("0000000007", "")
		self.assertTrue(self.provider().pdf(Held(other, found.fiscal_id)).failure)

	def test_an_answer_with_a_document_type_is_not_read(self):
		self.assertIsNone(parse('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'))


class TestHkaRest(BothTransports, Case):
	def connection(self, **options):
		return super().connection(**{"transport": "REST", **options})

	def logins(self):
		return [entry for entry in self.sandbox.requests("hka") if entry["path"] == "/api/Autenticacion"]

	def test_1_2_a_token_serves_until_shortly_before_its_end(self):
		provider = self.provider()
		for _sale in range(3):
			self.issued(invoice(), provider)
		self.assertEqual(len(self.logins()), 1)

	def test_1_2_an_expired_token_is_renewed_once(self):
		provider = self.provider()
		self.issued(invoice(), provider)
		self.sandbox.advance(4000)
		self.issued(replace(invoice(), issued_at=NOW), provider)
		self.assertEqual(len(self.logins()), 2)
		self.sandbox.emulators["hka"].tokens.clear()
		self.issued(invoice(), provider)
		self.assertEqual(len(self.logins()), 3)

	def test_1_2_a_token_that_never_works_is_not_asked_for_again_and_again(self):
		self.sandbox.set_option("hka", token_seconds=-1)
		_, outcome = self.send(invoice())
		self.assertEqual(outcome.failure.error_class, ErrorClass.CONFIGURATION)
		self.assertEqual(len(self.logins()), 2)

	def test_1_5_paths_that_no_page_names_fall_back_to_soap(self):
		payload, _ = self.issued(invoice())
		for inferred in (False, True):
			self.sandbox.set_option("hka", inferred_paths=inferred)
			self.assertEqual(len(self.provider().reconcile("", payload.provider_id).documents), 1)
			self.assertTrue(self.provider().ping().ok)

	def test_1_5_both_paths_of_the_pdf(self):
		payload, found = self.issued(invoice())
		for path in ("Descarga", "DescargaPDF"):
			self.sandbox.set_option("hka", pdf_path=path)
			download = self.provider().pdf(Held(payload.provider_id, found.fiscal_id))
			self.assertTrue(download.content.startswith(b"%PDF"), download.failure)

	def test_1_5_lists_are_plain_arrays(self):
		self.send(invoice())
		sent = json.loads(self.sandbox.requests("hka")[-1]["body"])["documento"]
		self.assertIsInstance(sent["listaItems"], list)
		self.assertIsInstance(sent["totalesSubTotales"]["listaFormaPago"], list)


class TestHkaWhole(Case):
	"""What HKA takes beyond its plain sale, over SOAP and judged by the emulator."""

	def test_a_place_is_told_whole(self):
		located = invoice(receiver=replace(COMPANY, location="8-8-7"))
		self.issued(located)
		client = self.documento(located)["datosTransaccion"]["cliente"]
		self.assertEqual(
			[client[name] for name in ("codigoUbicacion", "corregimiento", "distrito", "provincia")],
			["8-8-7", "BELLA VISTA", "PANAMA", "PANAMA"],
		)

	def test_the_emulator_refuses_half_a_place(self):
		located = self.documento(invoice(receiver=replace(COMPANY, location="8-8-7")))
		for spoil in ({"provincia": ""}, {"corregimiento": "ANCON"}, {"codigoUbicacion": "8-8-99"}):
			client = {**located["datosTransaccion"]["cliente"], **spoil}
			client = {key: value for key, value in client.items() if value}
			changed = {**located, "datosTransaccion": {**located["datosTransaccion"], "cliente": client}}
			self.assertIn(
				"ubicación", self.provider().issue(json.dumps({"documento": changed})).failure.message
			)

	def test_government_rows_carry_both_codes(self):
		document = invoice([line(product_code="7210")], receiver=GOVERNMENT)
		self.issued(document)
		item = self.documento(document)["listaItems"][0]
		self.assertEqual((item["codigoCPBSAbrev"], item["codigoCPBS"]), ("72", "7210"))

	def test_what_six_decimals_make_more_is_a_discount(self):
		rows = [
			replace(
				line("32710.280374", "100000"),
				unit_price=Decimal("0.327103"),
				discount=Decimal("0.019626"),
			)
		]
		document = replace(
			invoice(rows),
			total=Decimal("35000.00"),
			payments=(Payment(PaymentKind.CASH, Decimal("35000.00")),),
		)
		self.issued(document)
		totals = self.documento(document)["totalesSubTotales"]
		self.assertEqual(
			(totals["totalTodosItems"], totals["totalDescuento"], totals["totalFactura"]),
			("35000.02", "0.02", "35000.00"),
		)

	def test_a_retention(self):
		row = line()
		withheld = LineTax(TaxCategory.VAT, Decimal("0.035"), row.net, Decimal("3.50"), withheld=True)
		document = replace(
			invoice([replace(row, taxes=(*row.taxes, withheld))], paid=None), total=Decimal("103.50")
		)
		self.issued(document)
		totals = self.documento(document)["totalesSubTotales"]
		self.assertEqual(totals["retencion"], {"codigoRetencion": "4", "montoRetencion": "3.50"})
		self.assertEqual(totals["totalFactura"], "107.00")

	def test_free_rows_and_free_sales_keep_their_rate(self):
		tax = LineTax(TaxCategory.VAT, Decimal("0.07"), Decimal(0), Decimal(0), name="ITBMS")
		free = replace(line("0", "2", discount="50"), taxes=(tax,))
		for rows in ([line(), free], [free]):
			document = invoice(rows, paid=None)
			self.issued(document)
			item = self.documento(document)["listaItems"][-1]
			self.assertEqual(
				(
					item["tasaITBMS"],
					item["precioItem"],
					item["precioUnitario"],
					item["precioUnitarioDescuento"],
				),
				("01", "0.00", "25.00", "25.00"),
			)


class TestHkaRules(Case):
	"""The emulator refuses each breach of authorities/panama.md#amounts; the builder keeps them all."""

	def refused(self, change) -> str:
		documento = self.documento(invoice())
		change(documento)
		outcome = self.provider().issue(json.dumps({"documento": documento}))
		self.assertIsNone(outcome.document)
		self.assertEqual(outcome.failure.error_class, ErrorClass.REJECTED)
		self.assertEqual(self.sandbox.ledger("hka"), [])
		return outcome.failure.message

	def test_1_6_each_sum_has_to_fit(self):
		for holder, name in (
			("listaItems", "precioItem"),
			("listaItems", "valorITBMS"),
			("listaItems", "valorTotal"),
			("totalesSubTotales", "totalPrecioNeto"),
			("totalesSubTotales", "totalITBMS"),
			("totalesSubTotales", "totalMontoGravado"),
			("totalesSubTotales", "totalFactura"),
			("totalesSubTotales", "totalValorRecibido"),
			("totalesSubTotales", "totalTodosItems"),
			("totalesSubTotales", "nroItems"),
			("totalesSubTotales", "tiempoPago"),
		):
			with self.subTest(name):

				def change(documento, holder=holder, name=name):
					part = documento[holder]
					part = part[0] if isinstance(part, list) else part
					part[name] = "2" if name == "tiempoPago" else str(Decimal(part[name]) + Decimal("1.00"))

				self.refused(change)

	def test_1_6_the_monto_gravado_is_the_taxes_and_not_their_base(self):
		totals = self.documento(invoice())["totalesSubTotales"]
		self.assertEqual((totals["totalPrecioNeto"], totals["totalMontoGravado"]), ("100.00", "7.00"))

	def test_1_6_a_foreigner_carries_nothing_of_a_taxpayer(self):
		client = self.documento(invoice(receiver=FOREIGNER))["datosTransaccion"]["cliente"]
		for name in ("tipoContribuyente", "numeroRUC", "digitoVerificadorRUC", "codigoUbicacion"):
			self.assertNotIn(name, client)
		self.assertEqual(client["nroIdentificacionExtranjero"], "98-1234567")

		def change(documento):
			documento["datosTransaccion"]["cliente"] = {
				"tipoClienteFE": "04",
				"numeroRUC": "8-442-445",
				"tipoIdentificacion": "01",
				"nroIdentificacionExtranjero": "A1",
				"pais": "PA",
			}

		self.assertIn("Error al procesar solicitud.", self.refused(change))

	def test_1_6_a_taxpayer_needs_ruc_dv_name_and_address(self):
		for name in ("numeroRUC", "digitoVerificadorRUC", "razonSocial", "direccion"):
			with self.subTest(name):
				self.refused(lambda documento, name=name: documento["datosTransaccion"]["cliente"].pop(name))

	def test_5_2_a_wrong_dv_is_refused(self):
		self.refused(
			lambda documento: documento["datosTransaccion"]["cliente"].update(digitoVerificadorRUC="58")
		)

	def test_1_6_a_company_is_no_final_consumer(self):
		self.refused(lambda documento: documento["datosTransaccion"]["cliente"].update(tipoClienteFE="02"))

	def test_1_6_no_tipo_venta_on_notes(self):
		documento = self.documento(invoice(kind=DocumentKind.CREDIT_NOTE))
		self.assertNotIn("tipoVenta", documento["datosTransaccion"])

	def test_1_6_the_country_fits_the_destination(self):
		self.refused(lambda documento: documento["datosTransaccion"].update(destinoOperacion="2"))

	def test_1_6_point_000_and_number_0_do_not_exist(self):
		self.refused(lambda documento: documento["datosTransaccion"].update(puntoFacturacionFiscal="000"))
		self.refused(
			lambda documento: documento["datosTransaccion"].update(numeroDocumentoFiscal="0000000000")
		)

	def test_1_6_other_payments_are_described(self):
		for payment in self.documento(invoice(paid=PaymentKind.OTHER))["totalesSubTotales"]["listaFormaPago"]:
			self.assertTrue(10 <= len(payment["descFormaPago"]) <= 100)

		def change(documento):
			documento["totalesSubTotales"]["listaFormaPago"][0]["formaPagoFact"] = "99"

		self.refused(change)

	def test_1_6_a_rate_that_does_not_exist(self):
		self.refused(lambda documento: documento["listaItems"][0].update(tasaITBMS="04"))

	def test_5_6_a_note_on_an_fe_needs_its_cufe(self):
		self.refused(lambda documento: documento["datosTransaccion"].update(tipoDocumento="04", tipoVenta=""))

	def test_1_6_export_amounts(self):
		document = invoice(
			receiver=FOREIGNER, export=Export("FOB", "Balboa"), currency="EUR", exchange_rate=Decimal("1.25")
		)
		transaction = self.documento(document)["datosTransaccion"]
		export = transaction["datosFacturaExportacion"]
		self.assertEqual((export["tipoDeCambio"], export["montoMonedaExtranjera"]), ("0.80", "107.00"))
		self.assertEqual(
			(
				transaction["naturalezaOperacion"],
				transaction["destinoOperacion"],
				transaction["cliente"]["pais"],
			),
			("02", "2", "US"),
		)


class TestDocument(unittest.TestCase):
	"""The local checks: what a cashier or clerk can mend before anything is sent."""

	def problems(self, **values):
		return [str(problem) for problem in dgi.problems(invoice(**values))]

	def test_what_is_in_order(self):
		for values in ({}, {"receiver": WALK_IN}, {"receiver": FOREIGNER}, {"paid": None}):
			self.assertEqual(self.problems(**values), [])

	def test_1_6_receivers(self):
		for receiver, words in (
			(replace(COMPANY, tax_id="155-X", kind="01"), "no RUC"),
			(replace(COMPANY, dv="58"), "DV of 155596713-2-2015 is 59"),
			(replace(COMPANY, address="", city=""), "address"),
			(replace(COMPANY, kind="02"), "company's RUC"),
			(replace(COMPANY, location="Bella Vista"), "catalogue"),
			(replace(COMPANY, location="8-8-99"), "catalogue"),
			(replace(COMPANY, kind="07"), "no customer type"),
			(replace(FOREIGNER, tax_id=""), "passport"),
			(replace(WALK_IN, kind="04", tax_id="A1"), "country other than Panama"),
			(GOVERNMENT, "CPBS"),
		):
			with self.subTest(words):
				self.assertTrue(any(words in text for text in self.problems(receiver=receiver)))

	def test_no_company_becomes_a_final_consumer_unseen(self):
		for receiver, kind in (
			(replace(COMPANY, tax_id="155-X"), dgi.TAXPAYER),
			(replace(COMPANY, tax_id="J-8-56789-1"), dgi.TAXPAYER),
			(replace(COMPANY, tax_id="8-NT-1-13656"), dgi.TAXPAYER),
			(replace(WALK_IN, taxpayer_type="2"), dgi.TAXPAYER),
			(replace(COMPANY, tax_id="8-442-445"), dgi.CONSUMER),
			(WALK_IN, dgi.CONSUMER),
		):
			with self.subTest(receiver.tax_id):
				self.assertEqual(dgi.receiver_kind(receiver), kind)
				if kind == dgi.TAXPAYER:
					self.assertTrue(self.problems(receiver=receiver))
		consumer = replace(WALK_IN, taxpayer_type="2", kind=dgi.CONSUMER)
		self.assertTrue(any("no RUC" in text for text in self.problems(receiver=consumer)))

	def test_a_number_of_both_kinds_is_asked_about(self):
		entity = replace(COMPANY, tax_id="8-NT-1-13656")
		self.assertIn("Taxpayer Type", self.problems(receiver=entity)[0])
		self.assertIn("02 or 43", self.problems(receiver=entity)[0])
		for receiver, kind, dv in (
			(replace(entity, taxpayer_type="2"), 2, "43"),
			(replace(entity, dv="43"), 2, "43"),
			(replace(entity, dv="02"), 1, "02"),
			(replace(entity, kind="03"), 2, "43"),
		):
			document = invoice([line(product_code="7210")], receiver=receiver)
			self.assertEqual(dgi.problems(document), [])
			found = dgi.receiver_of(document)
			self.assertEqual((found.taxpayer_type, found.dv), (kind, dv))

	def test_isc_has_the_schemas_rates(self):
		for rate in ("0.035", "0.05", "0.06", "0.1325", "0.325"):
			self.assertEqual(self.problems(lines=[line(isc=rate)]), [])
		for rate in ("0.07", "0.1", "0.0351"):
			self.assertIn("13.25", self.problems(lines=[line(isc=rate)])[0])

	def test_exports_go_to_foreigners_through_ports_of_five_letters(self):
		abroad = {"receiver": FOREIGNER, "export": Export("FOB", "Balboa")}
		self.assertEqual(self.problems(**abroad), [])
		self.assertEqual(self.problems(**{**abroad, "export": Export("FOB", "")}), [])
		self.assertIn("too short", self.problems(**{**abroad, "export": Export("FOB", "PTY")})[0])
		company = replace(FOREIGNER, kind="01", tax_id=COMPANY.tax_id, address="Calle 50, 12")
		self.assertIn("Foreigner", self.problems(**{**abroad, "receiver": company})[0])

	def test_a_note_corrects_an_invoice_of_ones_own(self):
		values = {
			"kind": DocumentKind.CREDIT_NOTE,
			"reference": Reference("Sales Invoice", "S", PUBLISHED, NOW),
		}
		own = Party("Own", COMPANY.tax_id, "PA")
		self.assertEqual(self.problems(issuer=own, **values), [])
		other = replace(own, tax_id="521-136-113133")
		self.assertIn("another taxpayer", self.problems(issuer=other, **values)[0])

	def test_1_6_lines(self):
		for entry, words in (
			(line(rate="0.08"), "0, 7, 10 or 15"),
			(line(quantity="-1", net="-100"), "positive"),
			(replace(line(), description="x"), "two letters"),
		):
			self.assertTrue(any(words in text for text in self.problems(lines=[entry])), words)

	def test_currencies_only_abroad(self):
		self.assertTrue(any("PAB or USD" in text for text in self.problems(currency="EUR")))

	def test_5_6_a_note_names_a_real_cufe(self):
		reference = Reference("Sales Invoice", "S", "FE-not-one", NOW)
		found = self.problems(kind=DocumentKind.CREDIT_NOTE, reference=reference)
		self.assertTrue(any("no CUFE" in text for text in found))

	def test_5_6_the_date_of_an_invoice_issued_elsewhere_is_in_its_cufe(self):
		reference = Reference("Sales Invoice", "S", PUBLISHED)
		found = dgi.of(invoice(kind=DocumentKind.CREDIT_NOTE, reference=reference)).referenced
		self.assertEqual(found.issued_at.date(), date(2019, 5, 28))

	def test_1_6_payments_sum_to_the_total_and_the_change(self):
		total = invoice().total
		for values in (
			{
				"payments": (
					Payment(PaymentKind.CASH, Decimal("50")),
					Payment(PaymentKind.DEBIT_CARD, total - 50),
				)
			},
			{"payments": (Payment(PaymentKind.CASH, total),), "change": Decimal("3.00")},
			{"payments": (Payment(PaymentKind.CASH, total + Decimal("0.02")),), "rounding": Decimal("0.02")},
			{"payments": (Payment(PaymentKind.CASH, Decimal("50")),), "on_credit": True},
			{"payments": (), "on_credit": True},
		):
			found = dgi.of(invoice(**values)).totals
			self.assertEqual(found.received - found.change, found.invoice)
			self.assertEqual(found.change, values.get("change", 0))

	def test_1_6_the_time_of_payment(self):
		half = Payment(PaymentKind.CASH, Decimal("50"))
		self.assertEqual(dgi.of(invoice()).when_paid, "1")
		self.assertEqual(dgi.of(invoice(paid=None)).when_paid, "2")
		self.assertEqual(dgi.of(invoice(payments=(half,), on_credit=True)).when_paid, "3")

	def test_1_6_installments_make_what_is_owed(self):
		terms = (Term(date(2026, 12, 1), Decimal("53.50")), Term(date(2027, 1, 1), Decimal("53.50")))
		found = dgi.of(
			invoice(payments=(Payment(PaymentKind.CASH, Decimal("60")),), on_credit=True, terms=terms)
		).installments
		self.assertEqual([(part.due, part.amount) for part in found], [(date(2027, 1, 1), Decimal("47.00"))])

	def test_1_6_phones(self):
		for text, wanted in (
			("+507 6123-4567", "6123-4567"),
			("2345678", "234-5678"),
			("507-234-5678", "234-5678"),
			("+1 619 555 0100", ""),
			("", ""),
		):
			self.assertEqual(dgi.phone(text), wanted)

	def test_1_4_coordinates(self):
		for branch, point, serial in (
			("000", "001", ""),
			("0000", "000", ""),
			("0000", "1", ""),
			("0000", "001", "x"),
		):
			self.assertTrue(dgi.coordinates_problems(Coordinates(branch, point, serial)))
		self.assertEqual(dgi.coordinates_problems(Coordinates("0000", "001", "0000000001")), [])


class TestTotals(unittest.TestCase):
	"""Random sales with ITBMS included total what the customer paid, whatever six decimals of a price can express."""

	RATES = tuple(map(Decimal, ("0", "0.07", "0.07", "0.10", "0.15")))

	def sale(self, chance):
		rows, total = [], Decimal(0)
		for row in range(1, chance.randint(1, 6) + 1):
			rate = chance.choice(self.RATES)
			quantity = chance.choice(
				(
					Decimal(chance.randint(1, 12)),
					Decimal(chance.randint(1, 20000)) / 1000,
					Decimal(chance.randint(1000, 200000)),
				)
			)
			price = Decimal(chance.randint(1, 200000 if quantity < 100 else 500)) / 100
			amount = quantize(price * quantity)
			paid = amount - quantize(
				amount * chance.choice((Decimal(0), Decimal(0), Decimal("0.15"), Decimal(1)))
			)
			net = quantize(paid / (1 + rate), MICRO)
			unit_price = quantize(amount / (1 + rate) / quantity, MICRO)
			if unit_price * quantity < net:
				unit_price = (net / quantity).quantize(MICRO, rounding=ROUND_CEILING)
			discount = quantize(unit_price * quantity - net, MICRO)
			tax = LineTax(TaxCategory.VAT, rate, net, net * rate, name="ITBMS")
			rows.append(Line("Artículo", quantity, unit_price, net, discount, "A", taxes=(tax,), row=row))
			total += paid
		return replace(invoice(rows, receiver=WALK_IN, paid=None), total=total)

	def test_what_is_told_is_what_was_charged(self):
		chance = random.Random(2026)
		exact = {dgi.TELLS: 0, frozenset(): 0}
		for _time in range(300):
			document = self.sale(chance)
			for tells in exact:
				with self.subTest(total=document.total, tells=sorted(tells)):
					self.assertEqual([str(problem) for problem in dgi.problems(document, tells)], [])
					told = dgi.of(document, tells)
					self.assertLessEqual(abs(told.totals.invoice - document.total), Decimal("0.01"))
					exact[tells] += told.totals.invoice == document.total
		self.assertEqual(exact[dgi.TELLS], 300)
		self.assertGreaterEqual(exact[frozenset()], 297)


class TestCancelWindow(Case):
	def check(self, reason="La venta no se realizó", hours=1, **parameters):
		held = Held("x", PUBLISHED, issued_at=NOW - timedelta(hours=hours))
		return [
			problem.code or problem.field
			for problem in self.provider(**parameters).check_cancel(held, CancelRequest(reason), NOW)
		]

	def test_5_6_the_reason_has_fifteen_characters(self):
		self.assertEqual(self.check("Error"), ["reason"])
		self.assertEqual(self.check("x" * 15), [])

	def test_5_6_within_182_hours_or_what_the_settings_say(self):
		self.assertEqual(self.check(hours=183), ["window_over"])
		self.assertEqual(self.check(hours=181), [])
		self.assertEqual(self.check(hours=25, cancel_window_hours="24"), ["window_over"])


class TestFacturaFacil(Case):
	provider_class = FacturaFacil

	def test_2_every_document_type(self):
		_, original = self.issued(invoice())
		reference = Reference("Sales Invoice", "SINV-1", original.fiscal_id, NOW)
		for document, kind in (
			(invoice(receiver=FOREIGNER, export=Export("FOB", "Balboa")), "03"),
			(invoice(kind=DocumentKind.CREDIT_NOTE, reference=reference), "04"),
			(invoice(kind=DocumentKind.DEBIT_NOTE, reference=reference), "05"),
			(invoice(kind=DocumentKind.CREDIT_NOTE), "06"),
			(invoice(kind=DocumentKind.DEBIT_NOTE), "07"),
			(invoice(variant="08"), "08"),
			(invoice(variant="09"), "09"),
		):
			with self.subTest(kind):
				_, found = self.issued(document)
				self.assertEqual(found.document_type, kind)

	def test_2_the_answer_of_a_good_document(self):
		payload, found = self.issued(invoice())
		self.assertEqual(found.total, payload.expected.total)
		self.assertEqual(found.external_reference, "SINV-1.ref")
		self.assertTrue(found.qr_image.startswith("data:image/png;base64,"))
		stamps = dict(found.stamps)
		self.assertIn("0260", stamps["notices"])
		self.assertTrue(stamps["pdf_url"].endswith(".pdf"))

	def test_2_headers_tell_company_key_and_branch(self):
		branch = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
		document = invoice(coordinates=Coordinates(branch, "002", "", next(_numbers)))
		_, found = self.issued(document, self.provider(branch_id=branch))
		headers = self.sandbox.requests("facturafacil")[-1]["headers"]
		self.assertEqual(headers["X-FF-Branch"], branch)
		self.assertEqual(cufe.parts(found.fiscal_id)["branch"], "0001")

	def document(self, **values):
		return invoice(**{"coordinates": Coordinates("", "001", "", next(_numbers)), **values})

	def issued(self, document, provider=None):
		if document.coordinates.branch == "0000":
			document = replace(document, coordinates=replace(document.coordinates, branch=""))
		return super().issued(document, provider)

	def send(self, document, provider=None, reference="SINV-1.ref"):
		if document.coordinates.branch == "0000":
			document = replace(document, coordinates=replace(document.coordinates, branch=""))
		return super().send(document, provider, reference)

	def test_2_a_rejection_is_a_2xx_with_rejected(self):
		document = invoice()
		self.issued(document)
		_, outcome = self.send(document)
		self.assertEqual((outcome.failure.error_class, outcome.failure.code), (ErrorClass.DUPLICATE, "1002"))
		other = replace(invoice(variant="08"), coordinates=document.coordinates)
		_, outcome = self.send(other)
		self.assertEqual((outcome.failure.error_class, outcome.failure.code), (ErrorClass.DUPLICATE, "1513"))

	def test_2_credentials(self):
		self.assertTrue(self.provider().ping().ok)
		for options in ({"secret_key": "wrong"}, {"company_id": "22222222-2222-4333-8444-555555555555"}):
			self.assertFalse(self.provider(**options).ping().ok)
			_, outcome = self.send(invoice(), self.provider(**options))
			self.assertEqual(outcome.failure.error_class, ErrorClass.CONFIGURATION)

	def test_2_found_by_the_id_that_we_gave_or_not_at_all(self):
		payload, _ = self.issued(invoice())
		(found,) = self.provider().reconcile("", payload.provider_id).documents
		self.assertEqual(differences(payload.expected, found), [])
		self.sandbox.set_option("facturafacil", by_header_id=False)
		absent = self.provider().reconcile("", payload.provider_id)
		self.assertEqual((absent.documents, absent.failure), ((), None))

	def test_2_states_of_a_document(self):
		for outcome, status in (("valid", RemoteStatus.ISSUED), ("failed", RemoteStatus.FAILED)):
			self.sandbox.fault("facturafacil", "pending", after=60, outcome=outcome)
			payload, answer = self.send(invoice())
			self.assertEqual(answer.failure.error_class, ErrorClass.UNKNOWN)
			(found,) = self.provider().reconcile("", payload.provider_id).documents
			self.assertEqual(found.status, RemoteStatus.PENDING)
			self.sandbox.advance(61)
			(found,) = self.provider().reconcile("", payload.provider_id).documents
			self.assertEqual(found.status, status)

	def test_2_the_pdf_is_followed_on_the_providers_hosts_only(self):
		_, found = self.issued(invoice())
		held = Held(found.provider_id, found.fiscal_id, stamps=dict(found.stamps))
		self.assertTrue(self.provider().pdf(held).content.startswith(b"%PDF"))
		sent = self.sandbox.requests("facturafacil")[-1]["headers"]
		self.assertFalse([name for name in sent if name.lower().startswith("x-ff")])
		count = len(self.exchanges)
		for address in (
			"https://evil.example/facturafacil.com.pa.pdf",
			"https://evilfacturafacil.com.pa/x.pdf",
			"https://facturafacil.com.pa@evil.example/x.pdf",
			"http://127.0.0.1:9/x.pdf",
			"file:///etc/passwd",
			"https://169.254.169.254/latest",
		):
			with self.subTest(address):
				download = self.provider().pdf(Held("x", PUBLISHED, stamps={"pdf_url": address}))
				self.assertEqual(download.failure.code, "foreign_host")
		self.assertEqual(len(self.exchanges), count)

	def test_2_hosts_that_an_administrator_trusts(self):
		provider = self.provider(pdf_hosts="files.example.com")
		self.assertTrue(provider._may_fetch("https://files.example.com/a.pdf"))
		self.assertTrue(provider._may_fetch("https://cdn.facturafacil.com.pa/a.pdf"))
		self.assertFalse(provider._may_fetch("https://other.example.com/a.pdf"))

	def test_5_6_anulacion_and_its_repetition(self):
		_, found = self.issued(invoice())
		held = Held(found.provider_id, found.fiscal_id)
		for _time in range(2):
			self.assertEqual(
				self.provider().cancel(held, CancelRequest("La venta no se realizó")).status,
				CancelStatus.CANCELLED,
			)
		self.assertEqual(
			self.provider().cancel(held, CancelRequest("corto")).status,
			CancelStatus.CANCELLED,
			"it is cancelled whatever is said now",
		)
		(after,) = self.provider().reconcile("", found.provider_id).documents
		self.assertEqual(after.status, RemoteStatus.CANCELLED)

	def test_2_the_xml(self):
		_, found = self.issued(invoice())
		content = self.provider().xml(Held(found.provider_id, found.fiscal_id)).content
		self.assertIn(found.fiscal_id.encode(), content)

	def test_what_cannot_be_read_is_unknown(self):
		for kind in ("lost_after_commit", "malformed", "empty", "no_uuid", "status_after_commit"):
			with self.subTest(kind):
				self.sandbox.fault("facturafacil", kind)
				_, outcome = self.send(invoice())
				self.assertEqual(outcome.failure.error_class, ErrorClass.UNKNOWN)

	def test_ids_have_to_be_uuids(self):
		problems = FacturaFacil.check_connection(self.connection(company_id="12", branch_id="3"))
		self.assertEqual({problem.field for problem in problems}, {"company_id", "branch_id"})


class TestCafe(Case):
	def test_5_3_the_qr_is_an_address_with_a_token(self):
		_, found = self.issued(invoice())
		self.assertTrue(
			found.qr_value.startswith("https://dgi-fep-test.mef.gob.pa:40001/Consultas/FacturasPorQR?chFE=FE")
		)
		self.assertIn("&jwt=", found.qr_value)

	def test_text_and_qr_of_the_cafe_are_read_by_others(self):
		for provider_class, branch in ((HKA, "0000"), (FacturaFacil, "")):
			type(self).provider_class = provider_class
			self.addCleanup(setattr, type(self), "provider_class", HKA)
			document = invoice(coordinates=Coordinates(branch, "001", "", next(_numbers)))
			payload, found = self.issued(document)
			held = Held(found.provider_id or payload.provider_id, found.fiscal_id, stamps=dict(found.stamps))
			text, code = read_pdf(self.provider().pdf(held).content)
			self.assertIn(found.fiscal_id, text)
			self.assertEqual(code, found.qr_value)

	def test_the_trainees_page_lists_it(self):
		self.issued(invoice())
		with urllib.request.urlopen(f"http://127.0.0.1:{self.sandbox.port}/") as answer:
			self.assertIn(b"hka", answer.read())


if __name__ == "__main__":
	unittest.main()
