import base64
import json
import os
import unittest
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from fiscal_integration.fiscal.austria import rksv

SAMPLES = sorted(
	Path(
		os.environ.get("FISCAL_RKSV_SAMPLES") or Path(__file__).parents[4] / "shared" / "contracts" / "rksv"
	).rglob("dep-export.json")
)
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


def receipts(number=4, outage=(), zero=(), times=None):
	"""A chain of receipts as the export has them; the first one is zero."""
	found, previous = [], ""
	for index in range(number):
		amounts = {rksv.STANDARD: Decimal(index * 12), rksv.SPECIAL: Decimal(index)}
		if index in zero:
			amounts = {}
		payload = rksv.compose(
			"R1-AT1",
			"KASSE-1",
			str(index + 1),
			times[index] if times else datetime(2026, 11, 21, 10, index),
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
	def check(self, compact, **options):
		return rksv.check_export(export(compact), **options)

	def test_a_whole_chain(self):
		found = self.check(receipts())
		self.assertEqual((found.faults, found.receipts, found.verified, found.unverified), ((), 4, 4, 0))

	def test_an_outage_belongs_to_the_chain_and_ends_with_a_signed_zero_receipt(self):
		for zero in (4, 5):
			self.assertEqual(self.check(receipts(7, outage=(2, 3), zero=(zero,))).faults, ())
		for zero in ((), (6,)):
			(fault,) = self.check(receipts(8, outage=(2, 3), zero=zero)).faults
			self.assertIn("signed zero receipt that ends the outage", fault)
		(fault,) = self.check(receipts(4, outage=(3,))).faults
		self.assertIn("ends in an outage", fault)

	def test_the_newer_name_of_the_certificate(self):
		found = export(receipts())
		group = found["Belege-Gruppe"][0]
		group["Signatur- bzw. Siegelzertifikat"] = group.pop("Signaturzertifikat")
		self.assertEqual(rksv.check_export(found).verified, 4)

	def test_without_a_certificate_it_says_what_it_could_not_check(self):
		found = export(receipts())
		for blank in ("", None):
			found["Belege-Gruppe"][0]["Signaturzertifikat"] = blank
			checked = rksv.check_export(found)
			self.assertEqual((checked.faults, checked.verified, checked.unverified), ((), 0, 4))
		found["Belege-Gruppe"][0]["Signaturzertifikat"] = "AAAA"
		self.assertIn("certificate", rksv.check_export(found).faults[0])

	def test_months_continue_each_other(self):
		whole = receipts(9, outage=(3, 4), zero=(5,))
		for cut in range(1, 9):
			first, second = whole[:cut], whole[cut:]
			begun = self.check(first)
			self.assertEqual([fault for fault in begun.faults if "ends in an outage" not in fault], [])
			self.assertEqual(self.check(second, before=first).faults, ())
			self.assertEqual(begun.in_outage, cut in (4, 5))
			self.assertEqual(len(begun.numbers), cut)
		self.assertIn("does not continue", self.check(whole[5:], before=whole[:3]).faults[0])
		# Whose earlier archives nobody has any more.
		found = self.check(whole[5:], before=())
		self.assertEqual((found.faults, found.joined), ((), False))
		self.assertEqual(
			[rksv.begins_register(export(lot)) for lot in (whole, whole[5:], [])], [True, False, False]
		)
		# The zero receipt that ends an outage may be missing across two archives too.
		without = receipts(9, outage=(3,))
		(fault,) = self.check(without[4:], before=without[:4]).faults
		self.assertIn("signed zero receipt that ends the outage", fault)

	def test_an_hour_that_comes_twice_is_in_order(self):
		def at(*times):
			return receipts(len(times), times=[datetime(2026, 10, 25, *time) for time in times])

		self.assertEqual(self.check(at((1, 50), (2, 50), (2, 10), (3, 0))).faults, ())
		self.assertIn("older", self.check(at((1, 50), (2, 50), (2, 10), (2, 5))).faults[0])
		self.assertIn("older", self.check(at((1, 50), (1, 10), (2, 0))).faults[0])

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
			("another certificate", [whole[0].replace(*reencoded(whole[0], "1a2b3c", "1a2b3d"))], "another"),
		):
			with self.subTest(name):
				self.assertTrue(any(words in text for text in self.check(changed).faults), name)

	def test_what_is_no_export(self):
		for found in ({}, {"Belege-Gruppe": []}, {"Belege-Gruppe": "x"}):
			self.assertTrue(rksv.check_export(found).faults)


def reencoded(jws, old, new):
	"""The part of a compact receipt that holds `old`, and the same with `new`."""
	part = jws.split(".")[1]
	text = base64.urlsafe_b64decode(part + "==").decode()
	assert old in text, text
	return part, base64.urlsafe_b64encode(text.replace(old, new).encode()).rstrip(b"=").decode()


def with_payload(jws, payload):
	head, _, tail = jws.split(".")
	return f"{head}.{base64.urlsafe_b64encode(payload.encode()).rstrip(b'=').decode()}.{tail}"


def with_outage(jws):
	head, payload, _ = jws.split(".")
	return f"{head}.{payload}.{base64.urlsafe_b64encode(rksv.OUTAGE.encode()).rstrip(b'=').decode()}"


@unittest.skipUnless(
	SAMPLES, "the ministry's sample exports are not here: name their folder in FISCAL_RKSV_SAMPLES"
)
class TestMinistrysSamples(unittest.TestCase):
	"""What the ministry's own sample code exports, with the instructions that it was made from.

	All sets below the folder are taken: one with another system or length of the counter in each.
	"""

	def sets(self):
		for path in SAMPLES:
			container = json.loads((path.parent / "cryptographicMaterialContainer.json").read_text())
			keys = {}
			for name, entry in container["certificateOrPublicKeyMap"].items():
				der = base64.b64decode(entry["signatureCertificateOrPublicKey"])
				keys[name] = (
					x509.load_der_x509_certificate(der).public_key()
					if entry["signatureDeviceType"] == "CERTIFICATE"
					else serialization.load_der_public_key(der)
				)
			counter_key = base64.b64decode(container["base64AESKey"])
			with self.subTest(str(path.parent)):
				yield path, json.loads(path.read_text()), keys, counter_key

	def compact(self, export):
		return list(rksv.compact_receipts(export))

	def test_they_have_no_fault_and_everything_in_them_was_looked_at(self):
		for path, found, keys, counter_key in self.sets():
			instructions = json.loads(next(path.parent.glob("TESTSUITE*.json")).read_text())
			steps = instructions["cashBoxInstructionList"]
			checked = rksv.check_export(found, keys, counter_key)
			self.assertEqual(checked.faults, ())
			self.assertEqual(checked.receipts, len(steps))
			self.assertEqual(checked.verified, sum(not step["signatureDeviceDamaged"] for step in steps))
			hidden = ("STORNO_BELEG", "TRAINING_BELEG")
			self.assertEqual(checked.counters, sum(step["typeOfReceipt"] not in hidden for step in steps))

	def test_each_receipt_is_read_as_it_was_ordered(self):
		names = dict(
			zip(rksv.ORDER, ("Normal", "Ermaessigt1", "Ermaessigt2", "Null", "Besonders"), strict=True)
		)
		for path, found, _keys, _counter_key in self.sets():
			steps = json.loads(next(path.parent.glob("TESTSUITE*.json")).read_text())[
				"cashBoxInstructionList"
			]
			codes = [rksv.of_compact(jws) for jws in self.compact(found)]
			for code, step in zip(codes, steps, strict=True):
				self.assertEqual(code.number, step["receiptIdentifier"])
				self.assertEqual(code.time, datetime.fromisoformat(step["dateToUse"]))
				self.assertEqual(code.outage, step["signatureDeviceDamaged"])
				self.assertEqual(code.cancellation, step["typeOfReceipt"] == "STORNO_BELEG")
				self.assertEqual(code.training, step["typeOfReceipt"] == "TRAINING_BELEG")
				for rate, name in names.items():
					self.assertEqual(
						code.amounts[rate], Decimal(str(step["simplifiedReceipt"][f"taxSet{name}"]))
					)
			codes_as_printed = json.loads((path.parent / "qr-code-rep.json").read_text())
			self.assertEqual([code.text for code in codes], codes_as_printed)
			for code in codes:
				composed = rksv.compose(
					code.suite,
					code.register,
					code.number,
					code.time,
					code.amounts,
					code.counter,
					code.certificate,
					code.chain,
				)
				self.assertEqual(composed, code.payload)

	def test_without_keys_they_are_read_and_the_gap_is_told(self):
		for _path, found, _keys, _counter_key in self.sets():
			checked = rksv.check_export(found)
			self.assertEqual((checked.faults, checked.verified, checked.counters), ((), 0, 0))
			self.assertGreater(checked.unverified, 0)

	def test_months_of_them_continue_each_other(self):
		for _path, found, keys, counter_key in self.sets():
			whole = self.compact(found)
			for cut in range(5, len(whole), 7):
				rest = {"Belege-Gruppe": [{"Belege-kompakt": whole[cut:]}]}
				self.assertEqual(rksv.check_export(rest, keys, counter_key, before=whole[:cut]).faults, ())

	def test_every_manipulation_of_every_receipt_is_found(self):
		"""Removed, repeated, swapped, another amount, another time, marked as outage, and both; the last one too."""
		tried = 0
		for _path, found, keys, counter_key in self.sets():
			whole = self.compact(found)
			for index, jws in enumerate(whole):
				code = rksv.of_compact(jws)
				parts = code.payload.split("_")
				parts[5] = "1234,56"
				richer = with_payload(jws, "_".join(parts))
				later = with_payload(
					jws, code.payload.replace(f"{code.time:%Y-%m}", f"{code.time.year + 1}-01")
				)
				lots = {
					"twice": [*whole[: index + 1], *whole[index:]],
					"amount": [*whole[:index], richer, *whole[index + 1 :]],
					"time": [*whole[:index], later, *whole[index + 1 :]],
				}
				if not code.outage:
					marked = with_outage(jws)
					lots["outage"] = [*whole[:index], marked, *whole[index + 1 :]]
					lots["outage, amount"] = [*whole[:index], with_outage(richer), *whole[index + 1 :]]
				if index < len(whole) - 1:
					lots["removed"] = [*whole[:index], *whole[index + 1 :]]
					lots["swapped"] = [*whole[:index], whole[index + 1], jws, *whole[index + 2 :]]
				for name, compact in lots.items():
					checked = rksv.check_export(
						{"Belege-Gruppe": [{"Belege-kompakt": compact}]}, keys, counter_key
					)
					tried += 1
					self.assertTrue(checked.faults, f"{name} {code.number} was not found")
		self.assertGreater(tried, 300)

	def test_an_outage_that_is_made_up_at_the_end_is_found(self):
		"""Who has no key of the signature can only mark receipts as an outage, and chain them anew."""
		for _path, found, keys, _counter_key in self.sets():
			whole = self.compact(found)
			for index in range(1, len(whole)):
				compact = list(whole[:index])
				for jws in whole[index:]:
					parts = rksv.of_compact(jws).payload.split("_")
					parts[5] = "0,01"
					parts[12] = base64.b64encode(rksv.chain_value(compact[-1])).decode()
					compact.append(with_outage(with_payload(jws, "_".join(parts))))
				checked = rksv.check_export({"Belege-Gruppe": [{"Belege-kompakt": compact}]}, keys)
				self.assertTrue(any("ends in an outage" in fault for fault in checked.faults))


if __name__ == "__main__":
	unittest.main()
