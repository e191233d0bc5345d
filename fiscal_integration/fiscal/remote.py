"""What a provider holds, and whether it is what we meant to issue."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum

from fiscal_integration.fiscal.words import say


class RemoteStatus(str, Enum):
	ISSUED = "issued"
	PENDING = "pending"
	FAILED = "failed"
	CANCELLED = "cancelled"


@dataclass(frozen=True)
class Expected:
	"""What the sent payload should come back as; kept on the Fiscal Document with the payload.

	`total` is what the provider's own arithmetic makes of the payload, in `currency`; `number` is the issuer's
	own, where it numbers its documents, and `fiscal_id` the legal id that was made here, where it was.
	"""

	document_type: str
	total: Decimal
	currency: str
	receiver: str
	environment: str
	number: str = ""
	fiscal_id: str = ""


@dataclass(frozen=True)
class RemoteDocument:
	"""A document as the provider tells it. Empty strings are "not told" and are never matched against.

	`fiscal_id` is the legal id (UUID, CUFE, receipt number); `stamps` is whatever else came back.
	"""

	status: RemoteStatus
	provider_id: str = ""
	fiscal_id: str = ""
	external_reference: str = ""
	document_type: str = ""
	total: Decimal | None = None
	currency: str = ""
	receiver: str = ""
	environment: str = ""
	number: str = ""
	authorization_number: str = ""
	authorized_at: datetime | None = None
	issued_at: datetime | None = None
	qr_value: str = ""
	qr_image: str = ""
	message: str = ""
	stamps: tuple[tuple[str, str], ...] = field(default_factory=tuple)


def differences(expected: Expected, remote: RemoteDocument, answered: bool = False) -> list[str]:
	"""Where `remote` is not what was meant, in words with both sides; empty when it matches.

	A total that the provider does not tell cannot be compared, and so counts as a difference (invariants 4 and
	5). Only where it `answered` the very request, with an id made of our own number in it, may total and
	receiver go without saying: they were in that request; and so where the legal id is the one that we made.
	"""
	same = answered and bool(expected.number) and remote.number == expected.number
	same = same or (bool(expected.fiscal_id) and remote.fiscal_id == expected.fiscal_id)
	found = []
	if remote.total is None:
		if not same:
			found.append(say("total: ours {0}, the provider tells none", expected.total))
	elif remote.total != expected.total:
		found.append(say("total: ours {0}, theirs {1}", expected.total, remote.total))
	for label, ours, theirs in (
		("document type", expected.document_type, remote.document_type),
		("currency", expected.currency, remote.currency),
		("receiver", expected.receiver, remote.receiver),
		("environment", expected.environment, remote.environment),
		("number", expected.number, remote.number),
		("fiscal id", expected.fiscal_id, remote.fiscal_id),
	):
		if ours and ours != theirs and not (same and label == "receiver" and not theirs):
			found.append(say("{0}: ours {1}, theirs {2}", label, ours, theirs or "not told"))
	return found
