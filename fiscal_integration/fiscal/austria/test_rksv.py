import base64
import unittest
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from fiscal_integration.fiscal.austria import rksv

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(key=KEY):
	name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ATU12345678")])
	now = datetime.now(timezone.utc)
	return (
		x509.CertificateBuilder()
		.subject_name(name)
		.issuer_name(name)
		.public_key(key.public_key())
		.serial_number(0x1A2B3C)
		.not_valid_before(now - timedelta(days=1))
		.not_valid_after(now + timedelta(days=9))
		.sign(key, hashes.SHA256())
	)


def signed(payload, key=KEY) -> bytes:
	head = rksv.compact(payload, b"").rpartition(".")[0]
	r, s = decode_dss_signature(key.sign(head.encode(), ec.ECDSA(hashes.SHA256())))
	return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def receipts(number=4, outage=()):
	"""A chain of receipts as the export has them; the first one is zero."""
	found, previous = [], ""
	for index in range(number):
		amounts = {rksv.STANDARD: Decimal(index * 12), rksv.SPECIAL: Decimal(index)}
		payload = rksv.compose(
			"R1-AT1",
			"KASSE-1",
			str(index + 1),
			datetime(2026, 11, 21, 10, index),
			amounts,
			bytes(8),
			"1a2b3c",
			rksv.chain_value(previous or "KASSE-1"),
		)
		signature = rksv.OUTAGE.encode() if index in outage else signed(payload)
		previous = rksv.compact(payload, signature)
		found.append(previous)
	return found


def export(compact):
	der = certificate().public_bytes(serialization.Encoding.DER)
	return {
		"Belege-Gruppe": [
			{
				"Signaturzertifikat": base64.b64encode(der).decode(),
				"Zertifizierungsstellen": [],
				"Belege-kompakt": compact,
			}
		]
	}


class TestCode(unittest.TestCase):
	def code(self, **changes):
		code = rksv.of_compact(receipts(3)[2])
		parts = code.text.split("_")
		for index, value in changes.items():
			parts[int(index[1:])] = value
		return "_".join(parts)

	def test_its_fourteen_parts(self):
		found = rksv.parse(self.code())
		self.assertEqual((found.suite, found.register, found.number), ("R1-AT1", "KASSE-1", "3"))
		self.assertEqual(found.time, datetime(2026, 11, 21, 10, 2))
		self.assertEqual((len(found.counter), len(found.chain), len(found.signature)), (8, 8, 64))
		self.assertEqual(found.total, Decimal("26.00"))

	def test_zero_stands_before_special(self):
		found = rksv.parse(self.code(_8="7,00", _9="1,90"))
		self.assertEqual(
			(found.amounts["ZERO"], found.amounts["SPECIAL"]), (Decimal("7.00"), Decimal("1.90"))
		)

	def test_negative_amounts_and_points(self):
		found = rksv.parse(self.code(_5="-24.50"))
		self.assertEqual(found.amounts["STANDARD"], Decimal("-24.50"))

	def test_marks_of_cancellation_training_and_outage(self):
		self.assertTrue(rksv.parse(self.code(_10="U1RP")).cancellation)
		self.assertTrue(rksv.parse(self.code(_10="VFJB")).training)
		outage = "U2ljaGVyaGVpdHNlaW5yaWNodHVuZyBhdXNnZWZhbGxlbg=="
		self.assertTrue(rksv.parse(self.code(_13=outage)).outage)
		plain = rksv.parse(self.code())
		self.assertFalse(plain.cancellation or plain.training or plain.outage)

	def test_what_is_none(self):
		for text in (
			"",
			None,
			"x",
			self.code()[1:],
			self.code() + "_x",
			self.code(_1="R2-AT1"),
			self.code(_2=""),
			self.code(_4="21.11.2026"),
			self.code(_5="12"),
			self.code(_6="1,234"),
			self.code(_10="AAAA"),
			self.code(_12="AAAA"),
			self.code(_13="AAAA"),
			self.code(_13="???"),
		):
			with self.subTest(text), self.assertRaises(rksv.BadCode):
				rksv.parse(text)


class TestExport(unittest.TestCase):
	def test_a_whole_chain(self):
		self.assertEqual(rksv.check_export(export(receipts())), [])

	def test_an_outage_in_the_middle_belongs_to_the_chain(self):
		self.assertEqual(rksv.check_export(export(receipts(5, outage=(2, 3)))), [])

	def test_the_newer_name_of_the_certificate(self):
		found = export(receipts())
		group = found["Belege-Gruppe"][0]
		group["Signatur- bzw. Siegelzertifikat"] = group.pop("Signaturzertifikat")
		self.assertEqual(rksv.check_export(found), [])

	def test_every_tampering_is_noticed(self):
		whole = receipts(5)
		other = ec.generate_private_key(ec.SECP256R1())
		payload = rksv.of_compact(whole[2]).payload
		for name, changed, words in (
			("removed", [*whole[:2], *whole[3:]], "chain is broken"),
			("swapped", [whole[0], whole[2], whole[1], *whole[3:]], "chain is broken"),
			("twice", [*whole[:3], whole[2], *whole[3:]], "twice"),
			("first gone", whole[1:], "first one"),
			(
				"other key",
				[*whole[:2], rksv.compact(payload, signed(payload, other)), *whole[3:]],
				"signature",
			),
			(
				"amount",
				[*whole[:2], rksv.compact(payload.replace("24,00", "2,00"), signed(payload)), *whole[3:]],
				"signature",
			),
			("unreadable", [*whole[:2], "x.y.z", *whole[3:]], "cannot be read"),
		):
			with self.subTest(name):
				self.assertTrue(any(words in text for text in rksv.check_export(export(changed))), name)

	def test_what_is_no_export(self):
		for found in ({}, {"Belege-Gruppe": []}, {"Belege-Gruppe": "x"}):
			self.assertTrue(rksv.check_export(found))


if __name__ == "__main__":
	unittest.main()
