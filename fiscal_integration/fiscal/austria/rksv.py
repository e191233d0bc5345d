"""The machine-readable code of an Austrian receipt, its chain, and the export DEP7 (austria.md section 4)."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from fiscal_integration.fiscal.money import ZERO

STANDARD, REDUCED_1, REDUCED_2, NULL, SPECIAL = ("STANDARD", "REDUCED_1", "REDUCED_2", "ZERO", "SPECIAL")
ORDER = (STANDARD, REDUCED_1, REDUCED_2, NULL, SPECIAL)
"""The order of the amounts in the code: ZERO before SPECIAL, unlike fiskaly's."""
FIELDS = {
	STANDARD: "Satz-Normal",
	REDUCED_1: "Satz-Ermäßigt-1",
	REDUCED_2: "Satz-Ermäßigt-2",
	NULL: "Satz-Null",
	SPECIAL: "Satz-Besonders",
}
"""The regulation's own names of the amounts. They tell no rate: 19 and 4.9 % share one."""
OUTAGE = "Sicherheitseinrichtung ausgefallen"
CANCELLATION_MARK, TRAINING_MARK = "STO", "TRA"
PARTS = 14
CHAIN_BYTES, SIGNATURE_BYTES, MIN_COUNTER_BYTES = 8, 64, 5
JWS_HEADER = "eyJhbGciOiJFUzI1NiJ9"
CERTIFICATE_KEYS = ("Signaturzertifikat", "Signatur- bzw. Siegelzertifikat")

_SUITE = re.compile(r"R1-AT[0-9]{1,3}")
_AMOUNT = re.compile(r"-?[0-9]+[,.][0-9]{2}")


class BadCode(ValueError):
	"""The text is no code of a receipt; says which part is wrong."""


@dataclass(frozen=True)
class Code:
	"""The fields of a receipt's code. `time` is Vienna's, without a zone; `counter`, `chain` and `signature` are bytes.

	`certificate` is the certificate's serial number in hexadecimal, or what stands for it in a closed system.
	"""

	suite: str
	register: str
	number: str
	time: datetime
	amounts: dict[str, Decimal]
	counter: bytes
	certificate: str
	chain: bytes
	signature: bytes
	text: str

	@property
	def cancellation(self) -> bool:
		return self.counter == CANCELLATION_MARK.encode()

	@property
	def training(self) -> bool:
		return self.counter == TRAINING_MARK.encode()

	@property
	def outage(self) -> bool:
		"""Whether the signature device was out of order: the receipt is valid, and never signed again."""
		return self.signature == OUTAGE.encode()

	@property
	def total(self) -> Decimal:
		return sum(self.amounts.values(), ZERO)

	@property
	def payload(self) -> str:
		"""What is signed: everything but the signature."""
		return self.text.rsplit("_", 1)[0]


def parse(text: str) -> Code:
	"""The fields of a code as it stands in the QR. Raises BadCode."""
	parts = (text or "").split("_")
	if len(parts) != PARTS or parts[0]:
		raise BadCode(f"A receipt's code has {PARTS} parts, the first of them blank; this has {len(parts)}")
	_blank, suite, register, number, time, *rest = parts
	amounts, (counter, certificate, chain, signature) = rest[:5], rest[5:]
	if not _SUITE.fullmatch(suite):
		raise BadCode(f"{suite!r} is no suite of the RKSV, such as R1-AT1")
	if not register or not number or not certificate:
		raise BadCode("Cash register, receipt number and certificate must not be blank")
	try:
		moment = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S")
	except ValueError:
		raise BadCode(f"{time!r} is no time such as 2026-11-21T10:15:00") from None
	for amount in amounts:
		if not _AMOUNT.fullmatch(amount):
			raise BadCode(f"{amount!r} is no amount such as 12,00")
	found = Code(
		suite=suite,
		register=register,
		number=number,
		time=moment,
		amounts={
			name: Decimal(amount.replace(",", ".")) for name, amount in zip(ORDER, amounts, strict=True)
		},
		counter=_decoded(counter, "turnover counter"),
		certificate=certificate,
		chain=_decoded(chain, "chain"),
		signature=_decoded(signature, "signature"),
		text=text,
	)
	if len(found.counter) < MIN_COUNTER_BYTES and not (found.cancellation or found.training):
		raise BadCode(
			f"The turnover counter has {len(found.counter)} bytes, not {MIN_COUNTER_BYTES} at least"
		)
	if len(found.chain) != CHAIN_BYTES:
		raise BadCode(f"The chain has {len(found.chain)} bytes, not {CHAIN_BYTES}")
	if len(found.signature) != SIGNATURE_BYTES and not found.outage:
		raise BadCode(f"The signature has {len(found.signature)} bytes, not {SIGNATURE_BYTES}")
	return found


def compose(
	suite: str,
	register: str,
	number: str,
	time: datetime,
	amounts: dict[str, Decimal],
	counter: bytes,
	certificate: str,
	chain: bytes,
) -> str:
	"""The code without its signature, which is what is signed."""
	written = [f"{amounts.get(name, ZERO):.2f}".replace(".", ",") for name in ORDER]
	return "_".join(
		(
			"",
			suite,
			register,
			number,
			f"{time:%Y-%m-%dT%H:%M:%S}",
			*written,
			base64.b64encode(counter).decode(),
			certificate,
			base64.b64encode(chain).decode(),
		)
	)


def chain_value(previous: str) -> bytes:
	"""What a receipt carries of the one before: of its JWS, or for the first of the cash register's id."""
	return hashlib.sha256(previous.encode()).digest()[:CHAIN_BYTES]


def _decoded(text: str, what: str) -> bytes:
	try:
		return base64.b64decode(text, validate=True)
	except (binascii.Error, ValueError):
		raise BadCode(f"The {what} is not in base64") from None


# -- compact receipts and the export ----------------------------------------------------------------------


def compact(payload: str, signature: bytes) -> str:
	"""The receipt as a JWS, as the export has it and the chain is made of it."""
	return f"{JWS_HEADER}.{_url_encoded(payload.encode())}.{_url_encoded(signature)}"


def of_compact(jws: str) -> Code:
	"""The fields of a compact receipt. Raises BadCode."""
	parts = jws.split(".")
	if len(parts) != 3:
		raise BadCode("A compact receipt has three parts")
	try:
		payload = _url_decoded(parts[1]).decode()
		signature = _url_decoded(parts[2])
	except (binascii.Error, ValueError):
		raise BadCode("A compact receipt is in base64url") from None
	return parse(f"{payload}_{base64.b64encode(signature).decode()}")


def is_signed(jws: str, certificate: x509.Certificate) -> bool:
	"""Whether the signature of a compact receipt is the certificate's."""
	head, _, tail = jws.rpartition(".")
	try:
		raw = _url_decoded(tail)
		if len(raw) != SIGNATURE_BYTES:
			return False
		half = SIGNATURE_BYTES // 2
		signature = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
		certificate.public_key().verify(signature, head.encode(), ec.ECDSA(hashes.SHA256()))
	except (InvalidSignature, binascii.Error, ValueError):
		return False
	return True


def check_export(export: dict) -> list[str]:
	"""What is wrong with a DEP7 export, one sentence each; empty when nothing is.

	Looked at are: one cash register, numbers that are unique, times in order, the chain from the first receipt
	on, which has to be signed and zero, and every signature by the certificate of its group.
	"""
	groups = export.get("Belege-Gruppe")
	if not isinstance(groups, list) or not groups:
		return ["The export has no Belege-Gruppe."]
	found, previous, registers, numbers, last = [], "", set(), set(), None
	for group in groups:
		try:
			certificate = _certificate(group)
		except (KeyError, ValueError, binascii.Error):
			certificate = None
			found.append("A group has no certificate that can be read.")
		for jws in group.get("Belege-kompakt") or []:
			try:
				code = of_compact(jws)
			except BadCode as error:
				found.append(f"A receipt cannot be read: {error}.")
				previous = jws
				continue
			where = f"Receipt {code.number}"
			if not previous and (code.outage or code.total):
				found.append(f"{where}: the first one has to be a signed zero receipt.")
			if code.chain != chain_value(previous or code.register):
				found.append(f"{where}: the chain is broken before it.")
			if code.number in numbers:
				found.append(f"{where}: the number is there twice.")
			if last and code.time < last:
				found.append(f"{where}: it is older than the one before.")
			if not code.outage and certificate is not None and not is_signed(jws, certificate):
				found.append(f"{where}: the signature does not fit.")
			registers.add(code.register)
			numbers.add(code.number)
			last, previous = code.time, jws
	if len(registers) > 1:
		found.append(f"The export mixes cash registers: {', '.join(sorted(registers))}.")
	return found


def _certificate(group: dict) -> x509.Certificate:
	text = next(group[key] for key in CERTIFICATE_KEYS if group.get(key))
	return x509.load_der_x509_certificate(base64.b64decode("".join(text.split())))


def _url_encoded(value: bytes) -> str:
	return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _url_decoded(text: str) -> bytes:
	return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
