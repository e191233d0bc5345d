import copy
import pickle
import shutil
import subprocess
import tempfile
import unittest
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from fiscal_integration.fiscal.certificate import CertificateError, open_p12
from fiscal_integration.sandbox import p12

NOW = datetime.now(timezone.utc)


class TestP12(unittest.TestCase):
	def refused(self, content, password=p12.PASSWORD) -> str:
		with self.assertRaises(CertificateError) as caught:
			open_p12(content, password, NOW)
		self.assertGreater(len(str(caught.exception).split(". ")), 1, "what is wrong, and the remedy")
		self.assertNotIn(password or "?", str(caught.exception))
		return caught.exception.code

	def test_what_is_in_a_good_one(self):
		facts = open_p12(p12.make(chain=2), p12.PASSWORD, NOW).facts
		self.assertIn(p12.RUC, facts.common_name)
		self.assertEqual((facts.bits, facts.chain), (2048, 2))
		self.assertIn("CA PANAMA", facts.issuer)
		self.assertTrue(facts.valid_from < NOW < facts.valid_until)
		self.assertEqual(len(facts.fingerprint), 64)

	def test_each_failure_of_the_seeds_table_and_more(self):
		whole = p12.make()
		for code, content, password in (
			("wrong_password", whole, "wrong"),
			("wrong_password", whole, ""),
			("corrupt", b"", "x"),
			("corrupt", b"-----BEGIN CERTIFICATE-----", "x"),
			("corrupt", whole[:-20], p12.PASSWORD),
			("corrupt", whole + b"x", p12.PASSWORD),
			("corrupt", b"\x30" * 5000, "x"),
			("corrupt", b"\x30\x82" + bytes(300_000), "x"),
			("no_key", p12.make(with_key=False), p12.PASSWORD),
			("not_yet_valid", p12.make(valid_from=NOW + timedelta(days=2)), p12.PASSWORD),
			(
				"expired",
				p12.make(valid_from=NOW - timedelta(days=9), valid_until=NOW - timedelta(days=2)),
				p12.PASSWORD,
			),
			("wrong_usage", p12.make(usage="encrypt"), p12.PASSWORD),
			("weak_key", p12.make(bits=1024), p12.PASSWORD),
			("no_certificate", self.elliptic(), p12.PASSWORD),
		):
			with self.subTest(code, size=len(content)):
				self.assertEqual(self.refused(content, password), code)

	def elliptic(self):
		key = ec.generate_private_key(ec.SECP256R1())
		certificate = p12.certificate_of(p12.key_of())
		return pkcs12.serialize_key_and_certificates(
			b"x", key, None, [certificate], BestAvailableEncryption(p12.PASSWORD.encode())
		)

	def test_sizes_usages_and_no_password(self):
		for options in ({"bits": 4096}, {"usage": ""}, {"password": ""}, {"chain": 3}):
			with self.subTest(options):
				self.assertTrue(open_p12(p12.make(**options), options.get("password", p12.PASSWORD), NOW))

	@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
	def test_files_of_other_programs_old_and_new(self):
		with tempfile.TemporaryDirectory() as folder:
			key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
			key.write_bytes(
				p12.key_of().private_bytes(
					serialization.Encoding.PEM,
					serialization.PrivateFormat.PKCS8,
					serialization.NoEncryption(),
				)
			)
			certificate.write_bytes(p12.certificate_of(p12.key_of()).public_bytes(serialization.Encoding.PEM))
			for options in (
				("-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES"),
				("-legacy", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"),
				("-certpbe", "AES-256-CBC", "-keypbe", "AES-256-CBC", "-macalg", "sha256"),
				("-certpbe", "AES-128-CBC", "-keypbe", "AES-128-CBC"),
			):
				with self.subTest(options):
					path = Path(folder, "x.p12")
					made = subprocess.run(
						[
							*("openssl", "pkcs12", "-export", "-inkey", key, "-in", certificate),
							*("-out", path, "-passout", "pass:ñandú 7", *options),
						],
						capture_output=True,
						text=True,
						check=False,
					)
					if made.returncode:
						self.skipTest(made.stderr)
					self.assertTrue(open_p12(path.read_bytes(), "ñandú 7", NOW))
					self.assertEqual(self.refused(path.read_bytes(), "nandu 7"), "wrong_password")

	def test_the_key_does_not_leave(self):
		signer = open_p12(p12.make(), p12.PASSWORD, NOW)
		self.assertNotIn("PRIVATE", repr(signer) + str(signer) + str(vars(signer).keys()).upper())
		for way in (pickle.dumps, copy.copy, copy.deepcopy):
			with self.assertRaises(TypeError):
				way(signer)
		self.assertFalse([name for name in dir(signer) if not name.startswith("_") and "key" in name])


if __name__ == "__main__":
	unittest.main()
