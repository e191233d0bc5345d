"""Signed documents of every kind, judged by a program that knows nothing of us, and by our own verifier."""

import shutil
import subprocess
import tempfile
import unittest
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from lxml import etree

from fiscal_integration.fiscal.certificate import open_p12
from fiscal_integration.fiscal.invoice import DocumentKind, Export, Party, Reference
from fiscal_integration.fiscal.panama import cufe, rfe, signature
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.providers.test_panama import FOREIGNER, NOW, PUBLISHED, invoice, line
from fiscal_integration.sandbox import p12
from fiscal_integration.sandbox.aludra import _out_of_order

ISSUER = rfe.Issuer(
	"Mercadito del Istmo, S.A.",
	"155596713-2-2015",
	2,
	"59",
	"+8.98237,-79.51987",
	"Avenida Balboa, local 5",
	"8-8-7",
	"Bella Vista",
	"Panamá",
	"Panamá",
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
				self.assertEqual(_out_of_order(root), "")
				summary = rfe.summary(etree.tostring(root))
				self.assertEqual((summary.document_type, summary.reference), (kind, "SINV-1"))
				self.assertEqual(summary.total, dgi.of(document).totals.invoice)

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
		self.assertEqual(_out_of_order(root), "")
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
		self.assertEqual(_out_of_order(root), "")
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
		for kind, document in KINDS.items():
			with self.subTest(kind):
				root = read(built(document))
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
