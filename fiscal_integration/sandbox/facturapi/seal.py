"""Certificates and seals worth nothing, of the form that SAT's have: a CSD of the issuer, one of the certifier."""

import base64
import functools
from datetime import datetime, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

ISSUER_NUMBER, CERTIFIER_NUMBER = "30001000000500009999", "30001000000500008888"
UNIQUE_IDENTIFIER = ObjectIdentifier("2.5.4.45")
VALID_FROM = datetime(2024, 1, 1, tzinfo=timezone.utc)
VALID_UNTIL = datetime(2032, 1, 1, tzinfo=timezone.utc)
"""SAT's CSD are valid for four years; this one is long enough for a clock that tests turn forward."""


class Csd:
	"""A key with its certificate, whose serial number is twenty digits written as ASCII, as SAT's are."""

	def __init__(self, number: str, tax_id: str, name: str):
		self.number = number
		self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
		subject = x509.Name(
			[
				x509.NameAttribute(NameOID.COMMON_NAME, name[:64]),
				x509.NameAttribute(NameOID.ORGANIZATION_NAME, name[:64]),
				x509.NameAttribute(UNIQUE_IDENTIFIER, f"{tax_id} / XEXX010101HNEXXXA4"),
				x509.NameAttribute(NameOID.SERIAL_NUMBER, " / XEXX010101HNEXXXA4"),
			]
		)
		issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AC SANDBOX SIN VALIDEZ FISCAL")])
		self.certificate = (
			x509.CertificateBuilder()
			.subject_name(subject)
			.issuer_name(issuer)
			.public_key(self.key.public_key())
			.serial_number(int.from_bytes(number.encode(), "big"))
			.not_valid_before(VALID_FROM)
			.not_valid_after(VALID_UNTIL)
			.sign(self.key, hashes.SHA256())
		)

	@property
	def encoded(self) -> str:
		return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()

	def sign(self, text: str) -> str:
		return base64.b64encode(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


@functools.cache
def issuer(tax_id: str, name: str) -> Csd:
	return Csd(ISSUER_NUMBER, tax_id, name)


@functools.cache
def certifier() -> Csd:
	return Csd(CERTIFIER_NUMBER, "SPR190613I52", "CERTIFICADOR SANDBOX")
