"""Certificates worth nothing, for tests, training and the demo: P12 files as a certification authority makes them."""

from datetime import datetime, timedelta, timezone
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12
from cryptography.x509.oid import NameOID

PASSWORD = "P12-of-the-sandbox-7"
RUC = "155596713-2-2015"


@lru_cache(maxsize=4)
def key_of(bits: int = 2048):
	return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate_of(
	key,
	valid_from: datetime | None = None,
	valid_until: datetime | None = None,
	ruc: str = RUC,
	usage: str = "sign",
	name: str = "EMPRESA DE PRUEBA, S.A.",
) -> x509.Certificate:
	"""A certificate with the subject of authorities/panama.md#signature. `usage`: "sign", "encrypt" or ""."""
	now = datetime.now(timezone.utc)
	subject = x509.Name(
		[
			x509.NameAttribute(NameOID.COUNTRY_NAME, "PA"),
			x509.NameAttribute(NameOID.ORGANIZATION_NAME, "FIRMA ELECTRONICA"),
			x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "FACTURA ELECTRONICA"),
			x509.NameAttribute(NameOID.COMMON_NAME, f"[F] {name} - {ruc} - 59 - PRUEBA"[:64]),
		]
	)
	issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA PANAMA CLASE 2 (SANDBOX)")])
	builder = (
		x509.CertificateBuilder()
		.subject_name(subject)
		.issuer_name(issuer)
		.public_key(key.public_key())
		.serial_number(x509.random_serial_number())
		.not_valid_before(valid_from or now - timedelta(days=1))
		.not_valid_after(valid_until or now + timedelta(days=365))
	)
	if usage:
		signs = usage == "sign"
		builder = builder.add_extension(
			x509.KeyUsage(signs, signs, not signs, not signs, False, False, False, False, False),
			critical=True,
		)
	return builder.sign(key, hashes.SHA256())


def make(
	password: str = PASSWORD, bits: int = 2048, chain: int = 0, with_key: bool = True, **options
) -> bytes:
	"""A P12 file. `options` as certificate_of has them."""
	key = key_of(bits)
	certificate = certificate_of(key, **options)
	others = [certificate_of(key_of(), name=f"CA {number}") for number in range(chain)]
	encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
	return pkcs12.serialize_key_and_certificates(
		b"sandbox",
		key if with_key else None,
		certificate if with_key else None,
		others if with_key else [certificate, *others],
		encryption,
	)
