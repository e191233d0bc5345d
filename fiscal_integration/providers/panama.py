"""What the Panamanian providers have in common: the DGI's rules before sending, and reading its CUFE after."""

from datetime import datetime, timedelta
from decimal import Decimal

from fiscal_integration.fiscal.errors import ErrorClass, Failure, Problem
from fiscal_integration.fiscal.invoice import Coordinates, Invoice
from fiscal_integration.fiscal.money import CENT, MICRO, plain
from fiscal_integration.fiscal.panama import cufe, rfe, ruc
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.words import say
from fiscal_integration.providers.base import (
	PRODUCTION,
	TEST,
	CancelRequest,
	Held,
	Parameter,
	Provider,
	ReceiverKind,
	Taxpayer,
)

ENVIRONMENTS = {"1": PRODUCTION, "2": TEST}
SHORTEST_REASON, LONGEST_REASON = 15, 500
CANCEL_HOURS = 182

CANCEL_WINDOW = Parameter(
	"cancel_window_hours",
	"Hours Within Which an Invoice May Be Cancelled",
	default=str(CANCEL_HOURS),
	help="Anulación, for sales that did not take place. Later only a credit note helps.",
)


class PanamaProvider(Provider):
	"""Base of the providers that hand documents to the DGI."""

	countries = frozenset((dgi.COUNTRY,))
	variants = dgi.VARIANTS
	receiver_kinds = tuple(
		ReceiverKind(code, label, asks)
		for (code, label), asks in zip(
			dgi.RECEIVER_KINDS,
			(
				("name", "tax_id", "dv", "address", "location", "email"),
				("name", "tax_id", "email"),
				("name", "tax_id", "dv", "address", "location", "email"),
				("name", "tax_id", "email"),
			),
			strict=True,
		)
	)

	@classmethod
	def check_connection(cls, connection):
		problems = super().check_connection(connection)
		hours = connection.parameters.get(CANCEL_WINDOW.key) or CANCEL_WINDOW.default
		if not hours.isdigit():
			problems.append(
				Problem(say("{0} has to be a number of hours.", CANCEL_WINDOW.label), field=CANCEL_WINDOW.key)
			)
		return problems

	tells = dgi.TELLS
	"""What of the whole document the provider's interface has a place for (see dgi.TELLS)."""

	def validate(self, invoice: Invoice, now: datetime):
		return dgi.problems(invoice, self.tells)

	@classmethod
	def receiver_kind(cls, party):
		return dgi.receiver_kind(party)

	@classmethod
	def check_taxpayer(cls, tax_id, taxpayer_type=""):
		parsed = ruc.parse(tax_id)
		kind = taxpayer_type[:1] if taxpayer_type[:1] in ("1", "2") else ""
		if parsed and parsed.either and not kind:
			# Two digits fit, one for each: neither is shown until somebody says which it is.
			return Taxpayer(True, tax_id)
		kind = kind or (str(parsed.taxpayer_type) if parsed else "")
		try:
			return Taxpayer(
				True,
				tax_id,
				dv=ruc.verification_digits(tax_id, int(kind or ruc.NATURAL)),
				taxpayer_type=kind or str(ruc.NATURAL),
			)
		except ValueError:
			return Taxpayer(
				failure=Failure(
					ErrorClass.REJECTED,
					say(
						"{0} is no RUC. It has to look like 8-442-445, PE-12-345, 8-NT-1-13656 or "
						"155596713-2-2015.",
						tax_id,
					),
					"invalid_ruc",
				)
			)

	def check_cancel(self, held: Held, request: CancelRequest, now: datetime):
		"""Checks reason and time window (authorities/panama.md#cancelling: no official wording was found)."""
		found = []
		length = len(request.reason.strip())
		if not SHORTEST_REASON <= length <= LONGEST_REASON:
			found.append(
				Problem(
					say(
						"The reason has to have {0} to {1} characters, not {2}.",
						SHORTEST_REASON,
						LONGEST_REASON,
						length,
					),
					field="reason",
				)
			)
		hours = int(self.parameter(CANCEL_WINDOW.key))
		if held.issued_at and now - held.issued_at > timedelta(hours=hours):
			found.append(
				Problem(
					say(
						"It was issued more than {0} hours ago and cannot be cancelled any more. "
						"Make a credit note against it.",
						hours,
					),
					code="window_over",
				)
			)
		return found


def number_of(coordinates: Coordinates) -> str:
	"""Branch, point and number as they stand in a CUFE."""
	return f"{coordinates.branch:0>4}-{coordinates.point:0>3}-{coordinates.number:010d}"


def noted(reference: str) -> str:
	"""Our reference as a note on the document, where it has no place of its own (see rfe.Summary)."""
	return f"{rfe.REFERENCE_NOTE}{reference}"


def facts_of(code: str) -> dict:
	"""What a CUFE tells of its document, as RemoteDocument has it; empty for what is no CUFE."""
	parts = cufe.parts(code)
	if not parts:
		return {}
	return {
		"document_type": parts["document"],
		"environment": ENVIRONMENTS[parts["environment"]],
		"number": f"{parts['branch']}-{parts['point']}-{parts['number']}",
	}


def moment(text: str) -> datetime | None:
	"""A time in an answer, Panama's where it does not say its zone; None when it is none."""
	try:
		found = datetime.fromisoformat(str(text or "").strip().replace("Z", "+00:00").replace(" ", "T", 1))
	except ValueError:
		return None
	return found if found.tzinfo else found.replace(tzinfo=dgi.ZONE)


def written(value: datetime) -> str:
	"""A time as the DGI writes it: 2026-11-21T10:15:00-05:00."""
	return value.astimezone(dgi.ZONE).replace(microsecond=0).isoformat()


def exact(value: Decimal) -> str:
	"""An amount with two to six decimals."""
	text = plain(value.quantize(MICRO))
	whole, _, decimals = text.partition(".")
	return f"{whole}.{decimals:0<2}"


def cents(value: Decimal) -> str:
	return str(value.quantize(CENT))


def without_blanks(value):
	"""A request without what does not apply: neither provider wants to see it."""
	if isinstance(value, dict):
		kept = {key: without_blanks(entry) for key, entry in value.items()}
		return {key: entry for key, entry in kept.items() if entry not in ("", {}, [])}
	return [without_blanks(entry) for entry in value] if isinstance(value, list) else value
