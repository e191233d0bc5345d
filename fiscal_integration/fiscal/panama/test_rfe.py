"""Signed documents of every kind, judged by a program that knows nothing of us, and by our own verifier."""

import os
import shutil
import subprocess
import tempfile
import unittest
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal as D
from pathlib import Path

from lxml import etree

from fiscal_integration.fiscal.certificate import open_p12
from fiscal_integration.fiscal.invoice import (
	DocumentKind,
	Export,
	LineTax,
	Party,
	Payment,
	PaymentKind,
	Reference,
	TaxCategory,
	Term,
)
from fiscal_integration.fiscal.panama import cufe, rfe, signature
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.providers.test_panama import (
	COMPANY,
	FOREIGNER,
	NOW,
	PUBLISHED,
	WALK_IN,
	invoice,
	line,
)
from fiscal_integration.sandbox import p12
from fiscal_integration.sandbox.aludra import schema_errors

CONTRACTS = os.environ.get("FISCAL_CONTRACTS") or Path(__file__).resolve().parents[4] / "shared" / "contracts"
RECONSTRUCTED = Path(CONTRACTS, "rfe_reconstructed.xsd")

ISSUER = rfe.Issuer(
	"Mercadito del Istmo, S.A.",
	"155596713-2-2015",
	2,
	"59",
	"+8.98237,-79.51987",
	"Avenida Balboa, local 5",
	"8-8-7",
	"BELLA VISTA",
	"PANAMA",
	"PANAMA",
	"234-5678",
)
REFERENCE = Reference("Sales Invoice", "S", PUBLISHED, NOW)
KINDS = {
	"01": invoice([line("269.73", "3", discount="30.27"), line("320", rate="0"), line("55.55", isc="0.05")]),
	"03": invoice(receiver=FOREIGNER, export=Export("FOB", "Balboa")),
	"04": invoice(kind=DocumentKind.CREDIT_NOTE, reference=REFERENCE),
	"05": invoice(kind=DocumentKind.DEBIT_NOTE, reference=REFERENCE),
	"06": invoice(kind=DocumentKind.CREDIT_NOTE),
	"07": invoice(kind=DocumentKind.DEBIT_NOTE),
	"08": invoice(variant="08"),
	"09": invoice(variant="09", paid=None),
}


LOCATED = replace(COMPANY, location="8-8-7")
MINISTRY = replace(
	COMPANY, name="Ministerio de Educación", tax_id="8-NT-1-13656", kind="03", location="8-8-14"
)
FREE = replace(line("0", "2", discount="50"), taxes=(LineTax(TaxCategory.VAT, D("0.07"), D(0), D(0)),))


def walked():
	"""Every kind of document with everything else that it can have: (name, invoice, emission)."""
	lines = {
		"plain": [line()],
		"discounted": [line("269.73", "3", discount="30.27"), line("320", rate="0"), line("0.01")],
		"ISC": [line("55.55", isc=rate) for rate in ("0.035", "0.05", "0.06", "0.1325", "0.325")],
		"free": [line(), FREE],
		"rounded": [
			replace(line("32710.280374", "100000"), unit_price=D("0.327103"), discount=D("0.019626"))
		],
	}
	receivers = {"no place": COMPANY, "placed": LOCATED, "walk-in": WALK_IN}
	ways = {
		"paid": {},
		"on credit": {"paid": None, "terms": (Term(NOW.date(), D("10")), Term(NOW.date(), D("20")))},
	}
	for kind, base in KINDS.items():
		for of_lines, rows in lines.items():
			for of_receiver, receiver in ({"foreigner": FOREIGNER} if kind == "03" else receivers).items():
				for way, values in ways.items():
					document = invoice(
						rows,
						kind=base.kind,
						variant=base.variant,
						reference=base.reference,
						export=base.export,
						receiver=receiver,
						**values,
					)
					if of_lines == "rounded":
						document = replace(document, total=D("35000.00"))
						if document.payments:
							document = replace(document, payments=(Payment(PaymentKind.CASH, D("35000.00")),))
					yield f"{kind}, {of_lines}, {of_receiver}, {way}", document, rfe.Emission("2")
	contingency = rfe.Emission("2", rfe.CONTINGENCY, NOW, "Sin conexión desde la mañana")
	for kind, base in KINDS.items():
		yield f"{kind}, contingency", base, contingency
		yield f"{kind}, production", base, rfe.Emission("1")
	yield "01, government", invoice([line(product_code="7210")], receiver=MINISTRY), rfe.Emission("2")
	for share, receiver in (("0.5", MINISTRY), ("1", MINISTRY), ("0.5", LOCATED), ("0.3", LOCATED)):
		for paid in (PaymentKind.CASH, None):
			yield f"01, retention {share}", retained(share, receiver, paid), rfe.Emission("2")
	yield (
		"03, euros",
		invoice(receiver=FOREIGNER, export=Export("FOB", "Balboa"), currency="EUR", exchange_rate=D("1.10")),
		rfe.Emission("2"),
	)
	yield "01, all free", invoice([FREE], paid=None), rfe.Emission("2")


def retained(share, receiver, paid):
	"""A sale of which the customer withholds this share of the ITBMS."""
	withheld = LineTax(
		TaxCategory.VAT, D("0.07") * D(share), D(100), D(7) * D(share), withheld=True, name="Ret."
	)
	row = line(product_code="7210")
	row = replace(row, taxes=(*row.taxes, withheld))
	document = invoice([row], receiver=receiver, paid=None)
	total = D(107) - withheld.amount
	return replace(
		document,
		total=total,
		payments=(Payment(paid, total),) if paid else (),
		on_credit=not paid,
	)


def built(document, emission=None, signer=None, sample_order=False):
	"""The whole text of a signed document, as it is frozen."""
	emission = emission or rfe.Emission("2")
	found = dgi.of(document)
	security = rfe.security_code("key")
	code = rfe.code_of(found, ISSUER, emission, security)
	root = rfe.element(rfe.tree(found, ISSUER, emission, security, code, "Ref. SINV-1"))
	signed = signature.sign(root, signer or SIGNER, sample_order)
	return rfe.text(rfe.with_qr(signed, rfe.qr_value(code, "2", signature.digest_value(signed))))


def read(text):
	return etree.fromstring(text.encode())


SIGNER = open_p12(p12.make(), p12.PASSWORD)


class TestRfe(unittest.TestCase):
	def test_the_order_and_forms_of_every_kind(self):
		for kind, document in KINDS.items():
			with self.subTest(kind):
				root = read(built(document))
				self.assertEqual(schema_errors(root), [])
				summary = rfe.summary(etree.tostring(root))
				self.assertEqual((summary.document_type, summary.reference), (kind, "SINV-1"))
				self.assertEqual(summary.total, dgi.of(document).totals.invoice)

	def test_every_kind_with_everything_it_can_have_is_valid_by_our_schema(self):
		tried = 0
		for name, document, emission in walked():
			with self.subTest(name):
				self.assertEqual([str(problem) for problem in dgi.problems(document)], [])
				self.assertEqual(schema_errors(read(built(document, emission))), [])
				tried += 1
		self.assertGreater(tried, 240)

	@unittest.skipUnless(RECONSTRUCTED.exists(), "../shared/contracts/rfe_reconstructed.xsd is not there")
	def test_every_kind_with_everything_it_can_have_is_valid_by_the_reconstructed_schema(self):
		judge = etree.XMLSchema(etree.parse(RECONSTRUCTED))
		for name, document, emission in walked():
			with self.subTest(name):
				judge.validate(read(built(document, emission)))
				self.assertEqual([error.message for error in judge.error_log], [])

	def test_the_schema_refuses_what_the_authority_refuses(self):
		good = built(invoice(receiver=LOCATED, kind=DocumentKind.CREDIT_NOTE, reference=REFERENCE))
		self.assertEqual(schema_errors(read(good)), [])
		for before, after in (
			("<dNombEmRef>", "<dNombEmRefX>"),
			(
				"<dCorreg>BELLA VISTA</dCorreg><dDistr>PANAMA</dDistr><dProv>PANAMA</dProv></gUbiRec>",
				"</gUbiRec>",
			),
			("<dTasaITBMS>01<", "<dTasaITBMS>04<"),
			("<dVTot>107.00<", "<dVTot>107.0<"),
			("-05:00</dFechaEm>", "-04:00</dFechaEm>"),
			("<dNroDF>", "<dNroDF>1"),
			("<iTpEmis>01<", "<iTpEmis>05<"),
			("</gItem>", "<gISCItem><dTasaISC>0.07</dTasaISC><dValISC>7.00</dValISC></gISCItem></gItem>"),
		):
			with self.subTest(after):
				changed = good.replace(before, after)
				if after == "<dNombEmRefX>":
					changed = changed.replace("</dNombEmRef>", "</dNombEmRefX>")
				self.assertNotEqual(changed, good)
				self.assertNotEqual(schema_errors(read(changed)), [])

	def test_a_note_names_the_issuer_of_what_it_corrects(self):
		root = read(built(KINDS["04"]))
		found = root.find(f"{{{rfe.NAMESPACE}}}gDGen/{{{rfe.NAMESPACE}}}gDFRef")
		self.assertEqual(
			[etree.QName(part).localname for part in found],
			["gRucEmDFRef", "dNombEmRef", "dFechaDFRef", "gDFRefNum"],
		)
		self.assertEqual([part.text for part in found[0]], ["2", "155596713-2-2015", "59"])

	def test_prices_of_six_decimals_never_cost_the_customer_a_cent(self):
		# 100,000 x 0.35 with ITBMS included: the items make 35,000.02.
		rows = [replace(line("32710.280374", "100000"), unit_price=D("0.327103"), discount=D("0.019626"))]
		document = replace(invoice(rows, paid=None), total=D("35000.00"))
		totals = dgi.of(document).totals
		self.assertEqual(
			(totals.items, totals.discount, totals.invoice), (D("35000.02"), D("0.02"), D("35000.00"))
		)
		self.assertEqual(dgi.problems(document), [])
		# Where no discount can be told on the total, the pieces have two prices.
		self.assertEqual(dgi.problems(document, frozenset()), [])
		told = dgi.of(document, frozenset())
		self.assertEqual((told.totals.invoice, told.totals.discount), (D("35000.00"), D(0)))
		self.assertEqual(sum(item.quantity for item in told.items), 100000)
		self.assertEqual({item.unit_price for item in told.items}, {D("0.327102"), D("0.327103")})

	def test_what_is_free_keeps_its_rate(self):
		items = dgi.of(invoice([line(), FREE])).items
		self.assertEqual([(item.itbms_code, item.itbms) for item in items][1], ("01", D(0)))

	def test_a_retention_is_told_beside_the_whole_total(self):
		# As HKA's published sample: 107.00 received, 7.00 of it withheld.
		for share, receiver, code in (
			("1", MINISTRY, "1"),
			("0.5", MINISTRY, "2"),
			("0.5", COMPANY, "4"),
			("0.3", COMPANY, "8"),
		):
			for paid in (PaymentKind.CASH, None):
				found = dgi.of(retained(share, receiver, paid))
				self.assertEqual(found.retention, dgi.Retention(code, D(7) * D(share)))
				self.assertEqual((found.totals.invoice, found.totals.received), (D("107.00"), D("107.00")))

	def test_the_cufe_is_made_of_the_fields(self):
		for kind, document in KINDS.items():
			root = read(built(document))
			code = root.findtext(f"{{{rfe.NAMESPACE}}}dId")
			parts = cufe.parts(code)
			self.assertEqual(parts["document"], kind)
			moment = root.findtext(f"{{{rfe.NAMESPACE}}}gDGen/{{{rfe.NAMESPACE}}}dFechaEm")
			self.assertEqual(moment[:10].replace("-", ""), parts["date"])
			self.assertTrue(moment.endswith("-05:00"))

	def test_a_sale_late_in_the_day_elsewhere_has_panamas_date(self):
		late = replace(KINDS["01"], issued_at=datetime(2026, 11, 21, 3, 30, tzinfo=timezone.utc))
		root = read(built(late))
		code = root.findtext(f"{{{rfe.NAMESPACE}}}dId")
		self.assertEqual(cufe.parts(code)["date"], "20261120")
		self.assertIn("2026-11-20T22:30:00-05:00", etree.tostring(root).decode())

	def test_the_test_environments_issuer_has_no_name(self):
		self.assertIn(rfe.TEST_ISSUER, built(KINDS["01"]))

	def test_contingency_tells_since_when_and_why(self):
		emission = rfe.Emission("2", rfe.CONTINGENCY, NOW, "Sin conexión desde la mañana")
		root = read(built(KINDS["01"], emission))
		self.assertEqual(schema_errors(root), [])
		general = root.find(f"{{{rfe.NAMESPACE}}}gDGen")
		self.assertEqual(general.findtext(f"{{{rfe.NAMESPACE}}}iTpEmis"), "02")
		self.assertTrue(general.findtext(f"{{{rfe.NAMESPACE}}}dFechaCont"))
		self.assertEqual(cufe.parts(root.findtext(f"{{{rfe.NAMESPACE}}}dId"))["emission"], "02")
		self.assertNotIn("dFechaCont", built(KINDS["01"]))

	def test_the_same_document_makes_the_same_bytes(self):
		self.assertEqual(built(KINDS["01"]), built(KINDS["01"]))

	def test_hostile_text_stays_text(self):
		hostile = Party('<gTot/> & "S.A." ]]>\x0b\x00', "155596713-2-2015", "PA", address="Calle <1> & 2")
		root = read(built(replace(KINDS["01"], receiver=hostile)))
		self.assertEqual(schema_errors(root), [])
		self.assertEqual(signature.verify(root).serial, SIGNER.facts.serial)

	def test_what_is_no_rfe_has_no_summary(self):
		for text in ("", "x", "<a/>", "<!DOCTYPE a><a/>", f'<rFE xmlns="{rfe.NAMESPACE}"/>'):
			self.assertIsNone(rfe.summary(text))


class TestSignature(unittest.TestCase):
	def xmlsec1(self, root) -> bool:
		if not shutil.which("xmlsec1"):
			self.skipTest("xmlsec1 (Debian: xmlsec1) is not installed")
		with tempfile.TemporaryDirectory() as folder:
			path = Path(folder, "x.xml")
			path.write_bytes(etree.tostring(root))
			certificate = Path(folder, "c.pem")
			from cryptography.hazmat.primitives.serialization import Encoding

			certificate.write_bytes(SIGNER.certificate.public_bytes(Encoding.PEM))
			done = subprocess.run(
				["xmlsec1", "--verify", "--pubkey-cert-pem", certificate, path],
				capture_output=True,
				text=True,
				check=False,
			)
		return done.returncode == 0

	def test_others_and_we_accept_every_kind(self):
		for kind, document, emission in walked():
			with self.subTest(kind):
				root = read(built(document, emission))
				self.assertEqual(signature.verify(root).fingerprint, SIGNER.facts.fingerprint)
				self.assertTrue(self.xmlsec1(signature.signed_part(root)))

	def test_others_and_we_reject_every_change_of_content(self):
		original = read(built(KINDS["01"]))
		signed = [
			element
			for element in signature.signed_part(original).iter()
			if isinstance(element.tag, str) and not len(element) and signature.DS not in element.tag
		]
		self.assertGreater(len(signed), 60)
		for index in range(0, len(signed), 7):
			root = signature.signed_part(original)
			elements = [
				element
				for element in root.iter()
				if isinstance(element.tag, str) and not len(element) and signature.DS not in element.tag
			]
			elements[index].text = (elements[index].text or "") + "1"
			with self.subTest(elements[index].tag):
				with self.assertRaises(signature.BadSignature):
					signature.verify(root)
				self.assertFalse(self.xmlsec1(root))

	def test_added_removed_and_foreign_elements(self):
		for change in ("add", "remove", "second signature", "no signature", "other key"):
			root = read(built(KINDS["01"]))
			if change == "add":
				etree.SubElement(root, f"{{{rfe.NAMESPACE}}}gItem")
			elif change == "remove":
				root.remove(root.find(f"{{{rfe.NAMESPACE}}}gItem"))
			elif change == "second signature":
				root.append(root.find(f"{{{signature.DS}}}Signature").__copy__())
			elif change == "no signature":
				root.remove(root.find(f"{{{signature.DS}}}Signature"))
			else:
				other = open_p12(p12.make(bits=4096), p12.PASSWORD)
				node = next(root.iter(f"{{{signature.DS}}}X509Certificate"))
				node.text = next(
					read(built(KINDS["01"], signer=other)).iter(f"{{{signature.DS}}}X509Certificate")
				).text
			with self.subTest(change), self.assertRaises(signature.BadSignature):
				signature.verify(root)

	def test_the_qr_stands_outside_of_what_is_signed(self):
		root = read(built(KINDS["01"]))
		self.assertEqual([etree.QName(child).localname for child in root][-2:], ["Signature", "gNoFirm"])
		root[-1][0].text = "https://dgi-fep-test.mef.gob.pa:40001/other"
		self.assertTrue(signature.verify(root))

	def test_only_the_authoritys_gnofirm_is_outside(self):
		root = read(built(KINDS["01"]))
		etree.SubElement(root, "{urn:somebody-else}gNoFirm").text = "added"
		with self.assertRaises(signature.BadSignature):
			signature.verify(root)
		self.assertFalse(self.xmlsec1(signature.signed_part(root)))

	def test_5_5_algorithms_and_both_orders_of_the_transforms(self):
		exclusive, enveloped = "http://www.w3.org/2001/10/xml-exc-c14n#", f"{signature.DS}enveloped-signature"
		for sample_order, order in ((False, [enveloped, exclusive]), (True, [exclusive, enveloped])):
			root = read(built(KINDS["01"], sample_order=sample_order))

			def algorithms(name, root=root):
				return [node.get("Algorithm") for node in root.iter(f"{{{signature.DS}}}{name}")]

			self.assertEqual(algorithms("Transform"), order)
			self.assertEqual(
				algorithms("CanonicalizationMethod"), ["http://www.w3.org/TR/2001/REC-xml-c14n-20010315"]
			)
			self.assertEqual(
				algorithms("SignatureMethod"), ["http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"]
			)
			self.assertEqual(algorithms("DigestMethod"), ["http://www.w3.org/2001/04/xmlenc#sha256"])
			data = next(root.iter(f"{{{signature.DS}}}X509Data"))
			self.assertEqual(
				[etree.QName(child).localname for child in data], ["X509SubjectName", "X509Certificate"]
			)
			self.assertTrue(signature.verify(root))

	def test_both_orders_sign_the_same_digest(self):
		first, second = (read(built(KINDS["01"], sample_order=order)) for order in (False, True))
		self.assertEqual(signature.digest_value(first), signature.digest_value(second))


if __name__ == "__main__":
	unittest.main()
