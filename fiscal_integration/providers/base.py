"""The contract that every provider keeps (design section 6).

A provider is one class in one module. It turns a `fiscal.Invoice` into its own request, sends it, and
tells the outcome in values; it never raises for a business answer, and it knows neither Frappe nor the
database. The core never asks which provider it has: what differs is declared here.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar

from fiscal_integration.fiscal.errors import ErrorClass, ErrorRule, Failure, Problem
from fiscal_integration.fiscal.invoice import Invoice
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.remote import Expected, RemoteDocument
from fiscal_integration.fiscal.words import say
from fiscal_integration.providers.http import AnswerLost, HttpClient, NotAllowed, NotSent, Response

TEST = "Test"
PRODUCTION = "Production"
SECRET_KEY = "secret_key"
WEBHOOK_SECRET = "webhook_secret"


@dataclass(frozen=True)
class Parameter:
	"""One thing that a provider has to be told. The form draws exactly those that are declared.

	`options`: the choices of a select; empty for free text. A `secret` one is stored encrypted and never
	shown again; the one with the key "secret_key" is the form's own Secret Key field.
	"""

	key: str
	label: str
	required: bool = False
	secret: bool = False
	default: str = ""
	help: str = ""
	options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Capabilities:
	"""What a provider can do. `absence_grace` is the seconds after sending from which "not found" is
	believed; `max_concurrent` is how many requests may be in the air at once, unless the settings say
	otherwise; `ordered`: documents of one device go one at a time, in the order of the sales."""

	cancel: bool = False
	pdf: bool = False
	xml: bool = False
	webhook: bool = False
	ordered: bool = False
	max_concurrent: int = 4
	absence_grace: int = 0


@dataclass(frozen=True)
class Connection:
	"""Where and as whom to call: settings as values, secrets masked until they are revealed.

	`source` is the record that holds it, `max_concurrent` how many requests may be in the air at once.
	"""

	provider: str
	environment: str
	server_url: str
	parameters: dict[str, str] = field(default_factory=dict)
	secrets: dict[str, Secret] = field(default_factory=dict)
	company: str = ""
	source: tuple[str, str] = ("", "")
	max_concurrent: int = 1

	def secret(self, key: str = SECRET_KEY) -> Secret:
		return self.secrets.get(key) or Secret("")


@dataclass(frozen=True)
class Payload:
	"""What will be sent, to the byte, and what it should come back as."""

	body: str
	expected: Expected


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
	"""Whether a document could be issued now, in one plain sentence, with what else the provider told."""

	ok: bool
	message: str
	details: tuple[tuple[str, str], ...] = ()


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

	def __init__(self, connection: Connection, http: HttpClient):
		self.connection = connection
		self.http = http

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

	def validate(self, invoice: Invoice, now: datetime) -> list[Problem]:
		"""Everything that is wrong with `invoice` for this provider, locally and cheaply."""
		raise NotImplementedError

	def build(self, invoice: Invoice, reference: str, idempotency_key: str, now: datetime) -> Payload:
		"""The request for `invoice`. Pure: the same arguments make the same bytes."""
		raise NotImplementedError

	def issue(self, body: str) -> Outcome:
		"""Send a built payload, once."""
		raise NotImplementedError

	def reconcile(self, reference: str, provider_id: str = "") -> Lookup:
		"""Ask for the document under our `reference`, or by the provider's own id when it is known."""
		raise NotImplementedError

	def pdf(self, provider_id: str) -> Download:
		return self._unsupported("a PDF")

	def xml(self, provider_id: str) -> Download:
		return self._unsupported("an XML file")

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

	def call(self, operation: str, method: str, path: str, **request) -> Response | Failure:
		"""One request to the server URL: the answer, or the failure of not having one."""
		url = self.connection.server_url.rstrip("/") + path
		try:
			return self.http.request(operation, method, url, **request)
		except NotAllowed as error:
			return Failure(ErrorClass.CONFIGURATION, error.args[0], "not_allowed")
		except NotSent as error:
			return Failure(ErrorClass.TRANSIENT, error.args[0], "unreachable", down=True)
		except AnswerLost as error:
			return Failure(ErrorClass.UNKNOWN, error.args[0], "answer_lost", down=True)
