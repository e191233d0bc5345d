"""The contract that every provider keeps (docs/providers.md).

A provider is one class in one module. It turns a `fiscal.Invoice` into its own request, sends it, and
tells the outcome in values; it never raises for a business answer, and it knows neither Frappe nor the
database. The core never asks which provider it has: what differs is declared here.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import ClassVar, Protocol

from fiscal_integration.fiscal.certificate import Signer
from fiscal_integration.fiscal.errors import ErrorClass, ErrorRule, Failure, Problem
from fiscal_integration.fiscal.invoice import Coordinates, Invoice, Party
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus
from fiscal_integration.fiscal.words import say
from fiscal_integration.providers.guard import guard
from fiscal_integration.providers.http import AnswerLost, HttpClient, NotAllowed, NotSent, Response

TEST = "Test"
PRODUCTION = "Production"
SECRET_KEY = "secret_key"
WEBHOOK_SECRET = "webhook_secret"


@dataclass(frozen=True)
class Parameter:
	"""One thing that a provider has to be told. The form draws exactly those that are declared.

	`options`: the choices of a select; empty for free text. A `secret` one is stored encrypted and never
	shown again; the one with the key "secret_key" is the form's own Secret Key field. `search`: the method of our API
	that offers what is typed for (such as "search_locations"); the form then lets choose and search. `address`: a URL
	to which secrets are sent, so that they have to be entered anew when it changes.
	"""

	key: str
	label: str
	required: bool = False
	secret: bool = False
	default: str = ""
	help: str = ""
	options: tuple[str, ...] = ()
	search: str = ""
	address: bool = False


@dataclass(frozen=True)
class Capabilities:
	"""What a provider can do. `absence_grace` is the seconds after sending from which "not found" is
	believed; `max_concurrent` is how many requests may be in the air at once, unless the settings say
	otherwise; `ordered`: documents of one device go one at a time, in the order of the sales; `numbered`: the
	issuer numbers its documents itself, per branch and point of sale; `taxpayers`: a taxpayer's number can be
	looked up; `supply`: documents are bought in advance, and run out; `signs`: documents are built and signed
	here with the company's certificate, so that they have their legal id before they are sent; `registers`: each
	till is a cash register of its own at the provider; `acknowledges`: there is a receipt of a cancellation;
	`organizations`: each company's organization and credentials can be made with an account above them;
	`payments`: payments of what was sold on credit have documents of their own; `substitutes`: a document can name
	the one whose place it takes."""

	cancel: bool = False
	pdf: bool = False
	xml: bool = False
	webhook: bool = False
	ordered: bool = False
	numbered: bool = False
	taxpayers: bool = False
	supply: bool = False
	signs: bool = False
	registers: bool = False
	organizations: bool = False
	acknowledges: bool = False
	payments: bool = False
	substitutes: bool = False
	max_concurrent: int = 4
	absence_grace: int = 0


@dataclass(frozen=True)
class Connection:
	"""Where and as whom to call: settings as values, secrets masked until they are revealed.

	`source` is the record that holds it, `max_concurrent` how many requests may be in the air at once; `signer` is
	the company's certificate, where the provider `signs` and one is initialized.
	"""

	provider: str
	environment: str
	server_url: str
	parameters: dict[str, str] = field(default_factory=dict)
	secrets: dict[str, Secret] = field(default_factory=dict)
	company: str = ""
	source: tuple[str, str] = ("", "")
	max_concurrent: int = 1
	signer: Signer | None = None

	def secret(self, key: str = SECRET_KEY) -> Secret:
		return self.secrets.get(key) or Secret("")


@dataclass(frozen=True)
class Payload:
	"""What will be sent, to the byte, and what it should come back as.

	`provider_id` is what the provider will know it by, where that is certain before it is sent; `fiscal_id` and
	`qr_value` are the document's own where it is signed here. `remarks` say where it differs from the invoice, for
	people to know.
	"""

	body: str
	expected: Expected
	provider_id: str = ""
	fiscal_id: str = ""
	qr_value: str = ""
	remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Held:
	"""What we hold of an issued document, by which a provider finds it again."""

	provider_id: str
	fiscal_id: str
	external_reference: str = ""
	issued_at: datetime | None = None
	stamps: dict[str, str] = field(default_factory=dict)
	payload: str = ""


@dataclass(frozen=True)
class Outcome:
	"""The result of an issuing call: a document, or the failure that says why there is none."""

	document: RemoteDocument | None = None
	failure: Failure | None = None


@dataclass(frozen=True)
class Lookup:
	"""What the provider holds for a reference. No documents and no failure means: it has none."""

	documents: tuple[RemoteDocument, ...] = ()
	failure: Failure | None = None


@dataclass(frozen=True)
class Download:
	"""A file from the provider, or the failure that says why there is none."""

	content: bytes = b""
	content_type: str = ""
	failure: Failure | None = None


class CancelStatus(str, Enum):
	CANCELLED = "Cancelled"
	PENDING = "Pending"
	REFUSED = "Refused"


@dataclass(frozen=True)
class Cancellation:
	"""What became of a request to cancel, or the failure that leaves it open. Neither status nor failure: no
	request is known."""

	status: CancelStatus | None = None
	message: str = ""
	failure: Failure | None = None


@dataclass(frozen=True)
class Motive:
	"""A reason to cancel by the authority's own code. `substitute`: it names the document that takes the place."""

	code: str
	label: str
	substitute: bool = False


@dataclass(frozen=True)
class CancelRequest:
	"""Why a document is to be cancelled: in a person's words, or by one of the provider's `cancel_motives`.

	`substitute` is the fiscal id of the document that takes its place.
	"""

	reason: str = ""
	motive: str = ""
	substitute: str = ""


@dataclass(frozen=True)
class Supply:
	"""How many documents may still be issued, and until when; None where it is not told."""

	left: int | None = None
	until: date | None = None
	failure: Failure | None = None


@dataclass(frozen=True)
class Taxpayer:
	"""What the authority's register says of a number. Not `found` and no failure: nobody has it."""

	found: bool = False
	tax_id: str = ""
	name: str = ""
	dv: str = ""
	taxpayer_type: str = ""
	failure: Failure | None = None


@dataclass(frozen=True)
class Device:
	"""Something that is set up at the authority, in the provider's word for its state; or why it is not."""

	state: str = ""
	serial: str = ""
	message: str = ""
	failure: Failure | None = None


@dataclass(frozen=True)
class Account:
	"""The credentials of the provider's customer, who may make organizations and keys. Never kept."""

	key: Secret
	secret: Secret


@dataclass(frozen=True)
class Credentials:
	"""Credentials that a provider has just made, by parameter; or why there are none.

	`message`: what a person should know of it besides.
	"""

	secrets: dict[str, Secret] = field(default_factory=dict)
	message: str = ""
	failure: Failure | None = None


@dataclass(frozen=True)
class ReceiverKind:
	"""A sort of receiver that the provider has to be told, with its code, and what is asked of such a one:
	of "name", "tax_id", "dv", "address", "location", "email"."""

	code: str
	label: str
	asks: tuple[str, ...] = ()


class Tokens(Protocol):
	"""Where short-lived access tokens are kept between calls, for all workers."""

	def get(self, name: str) -> str:
		"""The token, or an empty string."""

	def put(self, name: str, token: str, seconds: float):
		"""Keep the token that long."""

	def drop(self, name: str):
		"""Forget it."""


class OwnTokens:
	"""Tokens of one provider object alone."""

	def __init__(self):
		self.kept: dict[str, tuple[str, float]] = {}

	def get(self, name):
		token, until = self.kept.get(name, ("", 0.0))
		return token if time.monotonic() < until else ""

	def put(self, name, token, seconds):
		self.kept[name] = (token, time.monotonic() + seconds)

	def drop(self, name):
		self.kept.pop(name, None)


@dataclass(frozen=True)
class WebhookEvent:
	"""A provider's notice that something became of a document. It says where to look, and is never believed.

	`event_id` is the same for the same event sent again.
	"""

	event_id: str
	kind: str
	provider_id: str = ""
	external_reference: str = ""


@dataclass(frozen=True)
class Ping:
	"""Whether a document could be issued now, in one plain sentence, with what else the provider told.

	`found` are values for parameters that the provider knows; a blank one takes its value.
	"""

	ok: bool
	message: str
	details: tuple[tuple[str, str], ...] = ()
	found: dict[str, str] = field(default_factory=dict)


# What each method that calls returns of a failure, and whether it makes or cancels something (see guard).
OUTCOMES: dict[str, tuple] = {
	"ping": (lambda failure: Ping(False, failure.message), False),
	"issue": (lambda failure: Outcome(failure=failure), True),
	"reconcile": (lambda failure: Lookup(failure=failure), False),
	"cancel": (lambda failure: Cancellation(failure=failure), True),
	"cancellation": (lambda failure: Cancellation(failure=failure), False),
	"supply": (lambda failure: Supply(failure=failure), False),
	"taxpayer": (lambda failure: Taxpayer(failure=failure), False),
	**dict.fromkeys(("pdf", "xml", "acknowledgement"), (lambda failure: Download(failure=failure), False)),
	**dict.fromkeys(
		("authority", "advance_unit", "advance_register", "end_register"),
		(lambda failure: Device(failure=failure), False),
	),
	**dict.fromkeys(("archive", "closings"), (lambda failure: failure, False)),
}


class Provider:
	"""Base of all providers. Instances live for one piece of work and may be used from one thread."""

	key: ClassVar[str]
	label: ClassVar[str]
	countries: ClassVar[frozenset[str]]
	"""ISO 3166 alpha-2 codes of the countries whose companies it serves."""
	parameters: ClassVar[tuple[Parameter, ...]] = ()
	urls: ClassVar[dict[str, str]]
	"""Server URL per environment."""
	capabilities: ClassVar[Capabilities] = Capabilities()
	correlation_header: ClassVar[str] = ""
	errors: ClassVar[dict[str, ErrorRule]] = {}
	"""The provider's own error codes, where it publishes a table of them."""
	webhook_header: ClassVar[str] = ""
	"""The header that carries a webhook's signature."""
	receiver_kinds: ClassVar[tuple[ReceiverKind, ...]] = ()
	"""Where a sale has to say what sort of receiver it has: what the Fiscal Data section offers."""
	ready_states: ClassVar[dict[str, str]] = {}
	"""The states in which "authority", "unit", "register" and "first_receipt" are ready, and those in which a register
	has "ended" (with blanks between them), where the provider has cash registers."""
	cancel_motives: ClassVar[tuple[Motive, ...]] = ()
	"""The codes one of which a request to cancel has to name, where the authority wants one."""
	variants: ClassVar[tuple[tuple[str, str], ...]] = ()
	"""Code and label of the kinds of invoices that a person chooses, since the data do not show them."""

	def __init_subclass__(cls, **values):
		super().__init_subclass__(**values)
		for name, (outcome, changes) in OUTCOMES.items():
			if name in cls.__dict__:
				setattr(cls, name, guard(cls.__dict__[name], outcome, changes))

	def __init__(self, connection: Connection, http: HttpClient, tokens: Tokens | None = None):
		self.connection = connection
		self.http = http
		self.tokens = tokens or OwnTokens()

	def parameter(self, key: str) -> str:
		"""The value of a declared parameter, its default when blank."""
		declared = next(parameter for parameter in self.parameters if parameter.key == key)
		return self.connection.parameters.get(key) or declared.default

	@classmethod
	def check_connection(cls, connection: Connection) -> list[Problem]:
		"""What is wrong with the settings, as far as can be seen without calling: required parameters.

		Providers add what their credentials show of themselves.
		"""
		problems = []
		for parameter in cls.parameters:
			if parameter.secret:
				value = connection.secret(parameter.key)
			else:
				value = connection.parameters.get(parameter.key) or parameter.default
			if parameter.required and not value:
				problems.append(Problem(say("{0} is missing.", parameter.label), field=parameter.key))
			elif parameter.options and value and value not in parameter.options:
				problems.append(
					Problem(
						say("{0} has to be one of: {1}.", parameter.label, ", ".join(parameter.options)),
						field=parameter.key,
					)
				)
		return problems

	def ping(self) -> Ping:
		"""Call the provider without side effects."""
		raise NotImplementedError

	def not_needed(self, invoice: Invoice) -> str:
		"""Why the law wants no document of this invoice, in one sentence; empty when it does."""
		return ""

	def collects(self, invoice: Invoice) -> bool:
		"""Whether that is so because a global invoice of its period will stand for it."""
		return False

	def validate(self, invoice: Invoice, now: datetime) -> list[Problem]:
		"""Everything that is wrong with `invoice` for this provider, locally and cheaply."""
		raise NotImplementedError

	def warnings(self, invoice: Invoice) -> list[str]:
		"""What a person should know of `invoice` before it is sent, though it stops nothing."""
		return []

	def build(self, invoice: Invoice, reference: str, idempotency_key: str, now: datetime) -> Payload:
		"""The request for `invoice`. Pure: the same arguments make the same bytes."""
		raise NotImplementedError

	def obstacle(self, now: datetime) -> str:
		"""Why no document can be built at the moment, such as a certificate that ended; it waits for that."""
		return ""

	@property
	def holds_back(self) -> bool:
		"""Whether documents are built, and only sent when a person says so."""
		return False

	def issue(self, body: str) -> Outcome:
		"""Send a built payload, once."""
		raise NotImplementedError

	def reconcile(self, reference: str, provider_id: str = "") -> Lookup:
		"""Ask for the document under our `reference`, or by the provider's own id when it is known."""
		raise NotImplementedError

	def files(self) -> list[str]:
		"""The kinds of files of a document, "pdf" and "xml", that are to be had with these settings."""
		return [kind for kind in ("pdf", "xml") if getattr(self.capabilities, kind)]

	def pdf(self, held: Held) -> Download:
		return self._unsupported("a PDF")

	def xml(self, held: Held) -> Download:
		return self._unsupported("an XML file")

	def coordinates(self) -> Coordinates | None:
		"""Branch and point of sale of the settings, where documents are numbered (`numbered`)."""
		return None

	@classmethod
	def check_coordinates(cls, coordinates: Coordinates) -> list[Problem]:
		"""What is wrong with a branch or point of sale that somebody entered."""
		return []

	def check_cancel(self, held: Held, request: CancelRequest, now: datetime) -> list[Problem]:
		"""What stands in the way of asking to cancel, locally."""
		return []

	def cancel_notes(self, held: Held, issuer: Party) -> list[str]:
		"""What a person should know who asks to cancel a document, such as until when the authority takes it."""
		return []

	def cancel(self, held: Held, request: CancelRequest) -> Cancellation:
		"""Ask the authority to cancel, once."""
		return Cancellation(failure=self._unsupported("cancellation").failure)

	def cancellation(self, held: Held) -> Cancellation:
		"""What became of an earlier request to cancel, without asking for it anew."""
		found = self.reconcile(held.external_reference, held.provider_id)
		if found.failure:
			return Cancellation(failure=found.failure)
		if any(
			entry.status is RemoteStatus.CANCELLED and entry.fiscal_id in ("", held.fiscal_id)
			for entry in found.documents
		):
			return Cancellation(CancelStatus.CANCELLED, "The provider holds it as cancelled.")
		return Cancellation()

	def acknowledgement(self, held: Held) -> Download:
		"""The authority's receipt of a cancellation (XML)."""
		return self._unsupported("a cancellation receipt")

	def make_organization(self, account: Account, reference: str, details: dict) -> Device:
		"""The organization of our `reference`, made where there is none yet; its id is the state.

		`details`: name, address, postal_code, city, country (alpha-2), vat_id of the company.
		"""
		return Device(failure=self._unsupported("an organization").failure)

	def make_credentials(self, account: Account, organization: str, reference: str) -> Credentials:
		"""New credentials of that organization, by parameter."""
		return Credentials(failure=self._unsupported("an organization").failure)

	def authority(self, credentials: dict | None) -> Device:
		"""Enter the taxpayer's credentials at the authority, or look whether that was done (None)."""
		return Device(failure=self._unsupported("a set-up").failure)

	def advance_unit(self, unit: str, legal_entity: str, name: str) -> Device:
		"""Bring the signature unit one step towards use; what was done before is left as it is."""
		return Device(failure=self._unsupported("a set-up").failure)

	def advance_register(self, register: str, description: str) -> Device:
		"""The same for one cash register."""
		return Device(failure=self._unsupported("a set-up").failure)

	def end_register(self, register: str) -> Device:
		"""Take a cash register out of use, for good."""
		return Device(failure=self._unsupported("a set-up").failure)

	def first_receipt(self, register: str) -> Device:
		"""What the authority says of the receipt with which a cash register began, as the state; blank while it has
		said nothing. Asks for its check where that was not done."""
		return Device(failure=self._unsupported("a set-up").failure)

	def archive(self, register: str, start: date, end: date) -> dict | Failure:
		"""The record of a cash register over these days, as the law wants it kept."""
		return self._unsupported("an archive").failure

	def closings(self, register: str) -> list[dict] | Failure:
		"""The receipts that the provider made by itself: type, number, time, signed."""
		return self._unsupported("closings").failure

	@classmethod
	def gross_by_rate(cls, payload: str, stamps: dict) -> list[tuple[str, Decimal]]:
		"""What a cash register's receipt tells of each tax rate: its label and the gross amount that was signed.

		`payload` is the request that made it, `stamps` what came back.
		"""
		return []

	def supply(self) -> Supply:
		return Supply(failure=self._unsupported("a supply of documents").failure)

	@classmethod
	def paid_later(cls, payload: str) -> bool:
		"""Whether the document that `payload` made is one of a sale on credit, whose payments have documents too."""
		return False

	@classmethod
	def receiver_kind(cls, party: Party) -> str:
		"""The code of the receiver kind that `party` goes out as, where nobody chose one."""
		return party.kind

	@classmethod
	def check_taxpayer(cls, tax_id: str, taxpayer_type: str = "") -> Taxpayer:
		"""A taxpayer's number by its form alone: with its check digits and type, or the failure that says what
		is wrong with it."""
		return Taxpayer(True, tax_id, taxpayer_type=taxpayer_type)

	def taxpayer(self, tax_id: str, taxpayer_type: str) -> Taxpayer:
		return Taxpayer(failure=self._unsupported("a register of taxpayers").failure)

	@classmethod
	def expiries(cls, connection: Connection) -> list[tuple[str, date]]:
		"""What of this connection ends some day, such as the issuer's certificate, and when."""
		return []

	@classmethod
	def verify_webhook(cls, connection: Connection, signature: str, body: bytes) -> bool:
		"""Whether `signature` is the hexadecimal HMAC-SHA256 of the raw `body` under the webhook secret."""
		secret = connection.secret(WEBHOOK_SECRET).reveal()
		if not secret or not signature:
			return False
		expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
		return hmac.compare_digest(expected.encode(), signature.encode())

	@classmethod
	def parse_webhook(cls, body: bytes) -> WebhookEvent | None:
		"""What a verified webhook is about; None when it cannot be read or concerns no document."""
		return None

	def _unsupported(self, what: str) -> Download:
		return Download(
			failure=Failure(
				ErrorClass.CONFIGURATION, say("{0} does not offer {1}.", self.label, what), "unsupported"
			)
		)

	@classmethod
	def by_status(cls, answer: Response, issuing: bool, message: str = "", code: str = "") -> Failure:
		"""What an answer's HTTP status means, where nothing that the provider says decides it.

		`message` and `code` are the provider's, if it gave any. Of what `issuing` sent nobody knows whether it was
		processed after a 5xx, or a 2xx that cannot be used (invariant 3).
		"""
		status = answer.status
		code = code or str(status)
		if status in (401, 403):
			text = say(
				"{0} does not accept the credentials. Enter those of this environment anew.", cls.label
			)
			return Failure(
				ErrorClass.CONFIGURATION, say("{0} ({1})", text, message) if message else text, code
			)
		if status == 429:
			return Failure(
				ErrorClass.TRANSIENT, "Too many calls: it is tried again.", code, answer.retry_after
			)
		if status >= 500 or status == 408 or 200 <= status < 300:
			return Failure(
				ErrorClass.UNKNOWN if issuing else ErrorClass.TRANSIENT,
				say("The answer of {0} could not be used (HTTP {1}). {2}", cls.label, status, message),
				code,
				answer.retry_after,
				down=status >= 500,
			)
		if 300 <= status < 400 or (status in (404, 405) and not message):
			return Failure(
				ErrorClass.CONFIGURATION,
				"Nothing is found at this address: correct the server URL.",
				code,
			)
		return Failure(
			ErrorClass.REJECTED,
			message or say("{0} refuses the request (HTTP {1}).", cls.label, status),
			code,
		)

	def call(self, operation: str, method: str, path: str, **request) -> Response | Failure:
		"""One request to the server URL, or to the address that `path` is: the answer, or the failure of not
		having one."""
		url = path
		if not path.startswith(("https://", "http://")):
			# Without the slash a path could change the host: https://server + @elsewhere.
			slash = "/" if path and path[0] not in "/?" else ""
			url = self.connection.server_url.rstrip("/") + slash + path
		try:
			return self.http.request(operation, method, url, **request)
		except NotAllowed as error:
			return Failure(ErrorClass.CONFIGURATION, error.args[0], "not_allowed")
		except NotSent as error:
			return Failure(ErrorClass.TRANSIENT, error.args[0], "unreachable", down=True)
		except AnswerLost as error:
			return Failure(ErrorClass.UNKNOWN, error.args[0], "answer_lost", down=True)
