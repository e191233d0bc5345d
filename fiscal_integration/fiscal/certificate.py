"""Certificates that sign for a taxpayer: a PKCS#12 file is opened, looked at, and used to sign.

The private key stays inside `Signer`: nothing gives it away, and it cannot be printed, copied or pickled.
"""

from dataclasses import dataclass
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from fiscal_integration.fiscal.words import say

MAX_BYTES = 256 * 1024
MIN_BITS = 2048


class CertificateError(Exception):
	"""A certificate cannot be used. `code` names why, the message says what to do about it."""

	def __init__(self, code: str, message: str):
		self.code = code
		super().__init__(message)


@dataclass(frozen=True)
class Facts:
	"""What may be known of a certificate. Times are in UTC; `serial` is hexadecimal."""

	subject: str
	common_name: str
	issuer: str
	serial: str
	valid_from: datetime
	valid_until: datetime
	bits: int
	fingerprint: str
	chain: int


class Signer:
	"""A certificate with its key. Use `open_p12` to get one."""

	def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate, facts: Facts):
		self.__key = key
		self.certificate = certificate
		self.facts = facts

	def sign_xml(self, signer, root):
		"""What `signer` (signxml) makes of `root` with the key."""
		return signer.sign(root, key=self.__key, cert=[self.certificate])

	def __repr__(self):
		return f"Signer({self.facts.serial})"

	def __reduce__(self):
		raise TypeError("A Signer does not leave its process")

	__copy__ = __deepcopy__ = __reduce__


def open_p12(content: bytes, password: str, now: datetime | None = None) -> Signer:
	"""The signer in a PKCS#12 file. Raises CertificateError, also when it is not valid at `now` (none: whenever)."""
	key, certificate, others = _load(content, password)
	if key is None:
		raise CertificateError(
			"no_key",
			"The file holds no private key. Export the certificate again together with its private key.",
		)
	if certificate is None:
		raise CertificateError(
			"no_certificate", "The file holds no certificate that belongs to its key. Obtain a new P12."
		)
	if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < MIN_BITS:
		raise CertificateError(
			"weak_key", say("The key has to be RSA with {0} bits at least. Obtain a new P12.", MIN_BITS)
		)
	facts = facts_of(certificate, len(others or ()))
	_check_usage(certificate)
	if now is not None:
		check_time(facts, now)
	return Signer(key, certificate, facts)


def _load(content, password):
	if len(content) > MAX_BYTES or not _is_p12(content):
		raise CertificateError(
			"corrupt", "The file is damaged or no P12. Choose the file again, or obtain a new P12."
		)
	try:
		return pkcs12.load_key_and_certificates(content, password.encode() or None)
	except UnsupportedAlgorithm:
		raise CertificateError(
			"unsupported",
			"The file is encrypted in a way that is not supported here. Export it again with AES-256.",
		) from None
	except (ValueError, TypeError):
		# Its frame is whole, so that it is the password; what is damaged inside shows in the same way.
		raise CertificateError(
			"wrong_password",
			"The password does not match the P12. Check the password; if it is right, the file is damaged.",
		) from None


def _is_p12(content: bytes) -> bool:
	"""Whether it is one DER sequence from beginning to end that begins with the version 3."""
	if len(content) < 8 or content[0] != 0x30:
		return False
	if content[1] == 0x80:
		return content[2:5] == b"\x02\x01\x03" and content.endswith(b"\x00\x00")
	if content[1] < 0x80:
		length, start = content[1], 2
	else:
		size = content[1] & 0x7F
		if size > 4:
			return False
		length, start = int.from_bytes(content[2 : 2 + size], "big"), 2 + size
	return len(content) == start + length and content[start : start + 3] == b"\x02\x01\x03"


def _check_usage(certificate: x509.Certificate):
	try:
		usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
	except x509.ExtensionNotFound:
		return
	if not (usage.digital_signature or usage.content_commitment):
		raise CertificateError(
			"wrong_usage",
			"This certificate may not sign documents (its key usage). Obtain one for electronic signatures.",
		)


def check_time(facts: Facts, now: datetime):
	"""Raise CertificateError where the certificate is not valid yet, or no more."""
	if now < facts.valid_from:
		raise CertificateError(
			"not_yet_valid",
			say(
				"The certificate is valid from {0:%Y-%m-%d} on. Wait until then, and check this machine's clock.",
				facts.valid_from,
			),
		)
	if now > facts.valid_until:
		raise CertificateError(
			"expired",
			say(
				"The certificate ended on {0:%Y-%m-%d}. Renew it with the certification authority.",
				facts.valid_until,
			),
		)


def facts_of(certificate: x509.Certificate, chain: int = 0) -> Facts:
	common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
	issuer = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
	return Facts(
		subject=certificate.subject.rfc4514_string(),
		common_name=str(common[0].value) if common else "",
		issuer=str(issuer[0].value) if issuer else certificate.issuer.rfc4514_string(),
		serial=f"{certificate.serial_number:x}",
		valid_from=_utc(certificate, "not_valid_before"),
		valid_until=_utc(certificate, "not_valid_after"),
		bits=certificate.public_key().key_size,
		fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
		chain=chain,
	)


def _utc(certificate, name) -> datetime:
	return getattr(certificate, f"{name}_utc").astimezone(timezone.utc)
