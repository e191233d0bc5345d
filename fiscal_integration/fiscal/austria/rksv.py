"""The machine-readable code of an Austrian receipt, its chain, and the export DEP7 (authorities/austria.md)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fiscal_integration.fiscal.money import ZERO
from fiscal_integration.fiscal.words import say

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
CLOSED_SUITE = "R1-AT0"
VIENNA = ZoneInfo("Europe/Vienna")
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


def is_signed(jws: str, key: ec.EllipticCurvePublicKey) -> bool:
	"""Whether the signature of a compact receipt was made with the private key to `key` (ES256)."""
	head, _, tail = jws.rpartition(".")
	try:
		raw = _url_decoded(tail)
		if len(raw) != SIGNATURE_BYTES:
			return False
		half = SIGNATURE_BYTES // 2
		signature = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
		key.verify(signature, head.encode(), ec.ECDSA(hashes.SHA256()))
	except (InvalidSignature, binascii.Error, ValueError):
		return False
	return True


@dataclass(frozen=True)
class Check:
	"""What became of the check of an export: one sentence for each fault, and how much could be looked at.

	`verified` signatures were right, for `unverified` ones the export holds no certificate; `counters` counters of
	turnover were deciphered; `joined` says whether the link to what was before was there to be checked. `numbers` are
	those of the receipts. `in_outage`: it ends in an outage, whose signed zero receipt may come in the next export.
	"""

	faults: tuple[str, ...] = ()
	receipts: int = 0
	verified: int = 0
	unverified: int = 0
	counters: int = 0
	joined: bool = False
	numbers: frozenset[str] = frozenset()
	in_outage: bool = False


def check_export(
	export: dict,
	keys: dict[str, ec.EllipticCurvePublicKey] | None = None,
	counter_key: bytes = b"",
	before: Iterable[str] | None = None,
) -> Check:
	"""Whether a DEP7 export is what a cash register may have made (authorities/austria.md#the-export).

	`keys` are public keys by what receipts name them by (serial number or company and key), for groups without a
	certificate. With `counter_key` (AES-256) the counters of turnover are added up anew. `before` are the compact
	receipts of earlier exports, one of which this export has to continue; empty where nobody has them, None where
	it begins with the cash register itself.
	"""
	groups = export.get("Belege-Gruppe")
	if not isinstance(groups, list) or not groups:
		return Check((say("The export has no Belege-Gruppe."),))
	walk = _Walk({name.lower(): key for name, key in (keys or {}).items()}, counter_key, before)
	for group in groups:
		certificate = walk.certificate_of(group)
		for jws in group.get("Belege-kompakt") or []:
			walk.receipt(jws, certificate)
	return walk.end()


class _Walk:
	"""A walk along the chain of receipts, one after the other."""

	def __init__(self, keys, counter_key: bytes, before: Iterable[str] | None):
		self.keys, self.counter_key = keys, counter_key
		self.before = None if before is None else {chain_value(jws): jws for jws in before}
		self.faults: list[str] = []
		self.previous = ""
		self.codes = 0
		self.verified = self.unverified = self.counters = 0
		self.registers: set[str] = set()
		self.numbers: set[str] = set()
		self.closed: set[bool] = set()
		self.moment: datetime | None = None
		# The turnover in cents so far; None until a counter of an export that begins in the middle tells it.
		self.turnover: int | None = 0 if before is None else None
		self.outage = False
		self.signed_since = 0

	def fault(self, template: str, *args):
		self.faults.append(say(template, *args))

	def certificate_of(self, group: dict) -> x509.Certificate | None:
		text = next((group[key] for key in CERTIFICATE_KEYS if group.get(key)), "")
		if not text:
			return None
		try:
			return x509.load_der_x509_certificate(base64.b64decode("".join(text.split())))
		except (ValueError, binascii.Error):
			self.fault("A group's certificate cannot be read.")
			return None

	def receipt(self, jws: str, certificate: x509.Certificate | None):
		try:
			code = of_compact(jws)
		except BadCode:
			self.fault("The receipt at position {0} cannot be read.", self.codes + 1)
			self.previous, self.codes = jws, self.codes + 1
			return
		if not self.codes:
			self._begin(code)
		elif code.chain != chain_value(self.previous):
			self.fault("Receipt {0}: the chain is broken before it.", code.number)
		if code.number in self.numbers:
			self.fault("Receipt {0}: the number is there twice.", code.number)
		self._time(code)
		self._signature(code, jws, certificate)
		self._turnover(code)
		self._outage(code)
		self.registers.add(code.register)
		self.numbers.add(code.number)
		self.closed.add(code.suite == CLOSED_SUITE)
		self.previous, self.codes = jws, self.codes + 1

	def _begin(self, code: Code):
		if self.before is None:
			if code.outage or any(code.amounts.values()):
				self.fault("Receipt {0}: the first one has to be a signed zero receipt.", code.number)
			if code.chain != chain_value(code.register):
				self.fault("Receipt {0}: the chain is broken before it.", code.number)
		elif self.before:
			earlier = self.before.get(code.chain)
			if earlier is None:
				self.fault("Receipt {0}: it does not continue the archive before it.", code.number)
			else:
				found = of_compact(earlier)
				self.outage, self.registers = found.outage, {found.register}

	def _time(self, code: Code):
		"""In order; where the clocks are set back an hour comes twice."""
		moments = [code.time.replace(tzinfo=VIENNA, fold=fold).astimezone(timezone.utc) for fold in (0, 1)]
		later = [moment for moment in moments if self.moment is None or moment >= self.moment]
		if not later:
			self.fault("Receipt {0}: it is older than the one before.", code.number)
		self.moment = min(later or moments)

	def _signature(self, code: Code, jws: str, certificate: x509.Certificate | None):
		if code.outage:
			return
		key = self.keys.get(code.certificate.lower())
		if certificate is not None:
			if _serial(code.certificate) == certificate.serial_number:
				key = certificate.public_key()
			elif key is None and code.suite != CLOSED_SUITE:
				self.fault("Receipt {0}: it names another certificate than its group has.", code.number)
				return
			else:
				key = key or certificate.public_key()
		if key is None:
			self.unverified += 1
		elif is_signed(jws, key):
			self.verified += 1
		else:
			self.fault("Receipt {0}: the signature does not fit.", code.number)

	def _turnover(self, code: Code):
		"""Training does not count; a cancellation counts, and its receipt does not tell the counter."""
		if not self.counter_key or code.training:
			return
		if self.turnover is not None:
			self.turnover += int(100 * code.total)
		if code.cancellation:
			return
		told = counter_of(code, self.counter_key)
		self.counters += 1
		if self.turnover is not None and told != self.turnover:
			self.fault(
				"Receipt {0}: its turnover counter says {1}, the receipts sum to {2}.",
				code.number,
				f"{Decimal(told) / 100:.2f}",
				f"{Decimal(self.turnover) / 100:.2f}",
			)
		self.turnover = told

	def _outage(self, code: Code):
		"""An outage ends with a signed zero receipt, the first or second one that is signed again."""
		if code.outage:
			self.outage, self.signed_since = True, 0
			return
		if not self.outage:
			return
		self.signed_since += 1
		if not any(code.amounts.values()) and not code.training and not code.cancellation:
			self.outage = False
		elif self.signed_since == 2:
			self.outage = False
			self.fault("Receipt {0}: the signed zero receipt that ends the outage is missing.", code.number)

	def end(self) -> Check:
		if self.outage:
			self.fault("The export ends in an outage: the signed zero receipt that ends it is missing.")
		if len(self.registers) > 1:
			self.fault("The export mixes cash registers: {0}.", ", ".join(sorted(self.registers)))
		if len(self.closed) > 1:
			self.fault("The export mixes open and closed systems.")
		return Check(
			tuple(self.faults),
			self.codes,
			self.verified,
			self.unverified,
			self.counters,
			self.before is None or bool(self.before),
			frozenset(self.numbers),
			self.outage,
		)


def begins_register(export: dict) -> bool:
	"""Whether the export's first receipt is the first one of its cash register."""
	try:
		code = of_compact(next(compact_receipts(export)))
	except (StopIteration, BadCode):
		return False
	return code.chain == chain_value(code.register)


def compact_receipts(export: dict) -> Iterator[str]:
	"""The compact receipts of an export, in their order."""
	for group in export.get("Belege-Gruppe") or []:
		yield from group.get("Belege-kompakt") or []


def counter_of(code: Code, counter_key: bytes) -> int:
	"""The turnover in cents that a receipt's counter holds."""
	start = hashlib.sha256(f"{code.register}{code.number}".encode()).digest()[:16]
	cipher = Cipher(algorithms.AES(counter_key), modes.CTR(start)).decryptor()
	return int.from_bytes(cipher.update(code.counter) + cipher.finalize(), "big", signed=True)


def _serial(text: str) -> int | None:
	try:
		return int(text, 16)
	except ValueError:
		return None


def _url_encoded(value: bytes) -> str:
	return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _url_decoded(text: str) -> bytes:
	return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
