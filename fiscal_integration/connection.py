"""Which connection issues for a company, and what Fiscal Integration Settings and Fiscal Account share.

The rest of the app sees `Connection` values; only this module knows in which record they are kept and how
their secrets are stored.
"""

import hashlib
import hmac
from contextlib import suppress
from dataclasses import replace

import frappe
from cryptography.fernet import Fernet
from frappe import _
from frappe.model.document import Document
from frappe.utils import now_datetime
from frappe.utils.background_jobs import get_redis_conn
from frappe.utils.password import (
	get_encryption_key,
	remove_encrypted_password,
	set_encrypted_password,
)

from fiscal_integration import certificates
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.fiscal.words import translated
from fiscal_integration.providers import load
from fiscal_integration.providers.base import PRODUCTION, SECRET_KEY, TEST, Connection, OwnTokens, Provider
from fiscal_integration.providers.http import HttpClient, check_host, check_url

SETTINGS = "Fiscal Integration Settings"
ACCOUNT = "Fiscal Account"
MASK = "*" * 12


def providers() -> dict[str, type[Provider]]:
	"""All provider classes by key, those of other apps (hook `fiscal_providers`) included."""
	return load(tuple(frappe.get_hooks("fiscal_providers") or ()))


def country_code(company: str) -> str:
	"""ISO 3166 alpha-2 of the company's country, in capitals; empty when it has none."""
	country = frappe.get_cached_value("Company", company, "country")
	return (frappe.get_cached_value("Country", country, "code") or "").upper() if country else ""


def providers_for_country(code: str) -> dict[str, type[Provider]]:
	return {key: provider for key, provider in providers().items() if code in provider.countries}


def record_for(company: str) -> Document | None:
	"""The enabled Settings or Fiscal Account whose connection issues for `company`; None when none does."""
	settings = frappe.get_cached_doc(SETTINGS)
	if not settings.enabled:
		return None
	if frappe.db.exists(ACCOUNT, company):
		record = frappe.get_cached_doc(ACCOUNT, company)
		if not record.enabled:
			return None
	else:
		record = settings
		if record.company and record.company != company:
			return None
	provider = providers().get(record.provider)
	return record if provider and country_code(company) in provider.countries else None


def enabled_records() -> list[Document]:
	"""Every record whose connection is in use: the settings and the accounts, while the integration is on."""
	settings = frappe.get_cached_doc(SETTINGS)
	if not settings.enabled:
		return []
	accounts = [
		frappe.get_cached_doc(ACCOUNT, name) for name in frappe.get_all(ACCOUNT, {"enabled": 1}, pluck="name")
	]
	return [record for record in (settings, *accounts) if record.provider_class]


def for_company(company: str, secrets: bool = True) -> Connection | None:
	"""The connection that issues for `company`, or None when it is not integrated.

	`secrets=False` leaves them out, for what never calls. Raises frappe.ValidationError when the site's
	encryption key does not fit the stored secrets.
	"""
	record = record_for(company)
	return record.connection(secrets, company) if record else None


def at(found: Connection, point: str | None) -> Connection:
	"""`found` as it signs at this Fiscal Point of Sale, which may have a certificate of its own."""
	if not point or not providers()[found.provider].capabilities.signs:
		return found
	return replace(found, signer=certificates.signer(found.company, point))


def open_provider(connection: Connection, recorder) -> Provider:
	"""The provider's object for `connection`; its exchanges go to `recorder` (see audit.Recorder)."""
	cls = providers()[connection.provider]
	client = HttpClient(recorder, cls.correlation_header, loopback=may_call_sandbox(connection.environment))
	return cls(connection, client, SharedTokens(connection, recorder.learn))


def may_call_sandbox(environment: str) -> bool:
	"""Whether this site may call the sandbox on its own machine: where site_config says so, and never in Production."""
	return environment != PRODUCTION and bool(frappe.conf.get("fiscal_allow_loopback"))


def release(company: str):
	"""Let what was built and held back, or waited for a certificate, go by itself from now on. No commit."""
	frappe.db.set_value(
		"Fiscal Document",
		{"company": company, "status": lifecycle.QUEUED, "attempts": 0},
		"next_attempt",
		now_datetime(),
		update_modified=False,
	)


class SharedTokens:
	"""Access tokens for all workers: in the queue's Redis, encrypted with the site's key (see base.Tokens).

	Bound to the credentials they were given for, so that new ones never meet an old token. Made where the site
	is bound; used from any thread. Without Redis they are the object's own.
	"""

	def __init__(self, connection: Connection, learn=lambda token: None):
		"""`learn` is called with each token, so that it is taken out of what is recorded."""
		self.learn = learn
		held = "|".join(
			(
				frappe.local.site,
				connection.provider,
				connection.environment,
				connection.server_url,
				*(f"{key}={secret.reveal()}" for key, secret in sorted(connection.secrets.items())),
			)
		)
		# Under the site's key: a plain hash would let whoever reads Redis try passwords.
		digest = hmac.new(get_encryption_key().encode(), held.encode(), hashlib.sha256).hexdigest()
		self.prefix = f"fiscal_token|{digest}"
		self.own = OwnTokens()
		self.cipher = Fernet(get_encryption_key())
		try:
			self.redis = get_redis_conn()
		except Exception:
			self.redis = None

	def get(self, name: str) -> str:
		token = self.own.get(name)
		if not token:
			try:
				kept = self.redis.get(f"{self.prefix}|{name}") if self.redis is not None else None
				token = self.cipher.decrypt(kept).decode() if kept else ""
			except Exception:
				token = ""
		self.learn(token)
		return token

	def put(self, name: str, token: str, seconds: float):
		self.learn(token)
		self.own.put(name, token, seconds)
		with suppress(Exception):
			if self.redis is not None:
				self.redis.set(
					f"{self.prefix}|{name}", self.cipher.encrypt(token.encode()), ex=max(int(seconds), 1)
				)

	def drop(self, name: str):
		self.own.drop(name)
		with suppress(Exception):
			if self.redis is not None:
				self.redis.delete(f"{self.prefix}|{name}")


class ConnectionDocument(Document):
	"""What Settings and Fiscal Account have in common: one connection, its secrets and its ping."""

	def validate(self):
		self.validate_provider()
		self.fill_server_url()
		self.demand_secrets_of_new_environment()
		self.keep_secrets()
		self.check_connection()
		self.check_hosts()

	@property
	def provider_class(self) -> type[Provider] | None:
		return providers().get(self.provider) if self.provider else None

	def validate_provider(self):
		if self.provider and not self.provider_class:
			frappe.throw(_("{0} is not a fiscal provider that is installed.").format(self.provider))
		company = self.get("company")
		if company and self.provider:
			code = country_code(company)
			if code not in self.provider_class.countries:
				frappe.throw(
					_("{0} does not serve the country of {1}. Choose another provider or company.").format(
						self.provider_class.label, company
					)
				)

	def fill_server_url(self):
		"""A blank URL, or the default of what was chosen before, becomes the default of what is chosen now."""
		if not self.provider:
			return
		defaults = {url for provider in providers().values() for url in provider.urls.values()}
		before = self.get_doc_before_save()
		changed = not before or (before.provider, before.environment) != (self.provider, self.environment)
		if not self.server_url or (changed and self.server_url in defaults):
			self.server_url = self.provider_class.urls[self.environment or TEST]
		self.server_url = self.server_url.strip().rstrip("/")
		wrong = check_url(self.server_url)
		if wrong:
			frappe.throw(translated(wrong, _), title=_("Server URL"))

	def addresses(self) -> dict[str, str]:
		"""Every address that may receive a secret, by its label."""
		if not self.provider_class:
			return {}
		values = {row.parameter: (row.value or "").strip() for row in self.parameters}
		return {
			"Server URL": (self.server_url or "").strip().rstrip("/"),
			**{
				parameter.label: (values.get(parameter.key) or parameter.default).rstrip("/")
				for parameter in self.provider_class.parameters
				if parameter.address
			},
		}

	def check_hosts(self):
		"""No address may lead into our own networks, as far as it shows; HttpClient sees what a name hides."""
		loopback = may_call_sandbox(self.environment or TEST)
		for label, url in self.addresses().items():
			wrong = check_host(url, loopback)
			if wrong and self.environment == PRODUCTION and not check_host(url, loopback=True):
				wrong = (
					"In Production nothing is sent to this machine, where only a sandbox is. Enter the provider's "
					"own server URL."
				)
			if wrong:
				frappe.throw(translated(wrong, _), title=_(label))

	def secret_keys(self) -> list[str]:
		provider = self.provider_class
		return [parameter.key for parameter in provider.parameters if parameter.secret] if provider else []

	def typed_secrets(self) -> dict[str, str]:
		"""The secrets entered in this save, by parameter."""
		typed = {row.parameter: row.value for row in self.parameters if row.parameter in self.secret_keys()}
		typed[SECRET_KEY] = self.secret_key
		return {key: value.strip() for key, value in typed.items() if value and not _is_mask(value)}

	def demand_secrets_of_new_environment(self):
		"""Credentials are never used with another provider, environment or address by leaving them in place.

		Otherwise whoever may write the address, but not read the secrets, would have them sent to a server of his own.
		What is stored is demanded also where the provider could do without it (`clear_secret` forgets it); another
		provider's is forgotten.
		"""
		before = self.get_doc_before_save()
		self._forgets = bool(before and self.provider and before.provider != self.provider)
		if not before or not self.provider:
			return
		was, is_now = ((doc.provider, doc.environment, doc.addresses()) for doc in (before, self))
		if was == is_now:
			return
		typed = self.typed_secrets()
		missing = [
			parameter.label
			for parameter in self.provider_class.parameters
			if parameter.secret
			and parameter.key not in typed
			and (
				(before.provider and parameter.required)
				or (self.is_stored(parameter.key) and (parameter.required or not self._forgets))
			)
		]
		if not missing:
			return
		labels = ", ".join(_(label) for label in missing)
		if was[:2] != is_now[:2]:
			text = _(
				"{0} of {1} has to be entered: credentials of one environment are not valid in another."
			).format(labels, _(self.environment))
		else:
			text = _("{0} has to be entered anew: secrets are not sent to a changed address.").format(labels)
		frappe.throw(text, title=_("Credentials Needed"))

	def is_stored(self, key: str) -> bool:
		"""Whether a secret is stored, also one that the site's encryption key no longer opens."""
		return bool(
			frappe.db.sql(
				"select 1 from `__Auth` where doctype = %s and name = %s and fieldname = %s and password != ''",
				(self.doctype, self.name, _field(key)),
			)
		)

	def keep_secrets(self):
		"""Blank keeps the stored secret, and neither this record nor a child row ever holds one.

		See frappe.md#passwords.
		"""
		typed = self.typed_secrets()
		self._pending_secrets = {**getattr(self, "_pending_secrets", {}), **typed}
		stored = {
			key: key in typed or bool(self.stored_secret(key)) for key in {SECRET_KEY, *self.secret_keys()}
		}
		# A mask of one length for all: Frappe's own would tell the secret's in every version of this record.
		self.secret_key = MASK if stored[SECRET_KEY] else ""
		values = {row.parameter: row.value for row in self.parameters}
		self.set("parameters", [])
		if not self.provider_class:
			return
		for parameter in self.provider_class.parameters:
			if parameter.key == SECRET_KEY:
				continue
			if parameter.secret:
				value = MASK if stored[parameter.key] else ""
			else:
				value = (values.get(parameter.key) or "").strip() or parameter.default
			self.append("parameters", {"parameter": parameter.key, "value": value})

	def on_update(self):
		if self.enabled and self.provider_class and self.provider_class.capabilities.signs:
			provider = self.provider_class(self.connection(secrets=False), None)
			if not provider.holds_back:
				# What was built and held back until now goes by itself.
				for company in (
					[self.company] if self.get("company") else frappe.get_all("Company", pluck="name")
				):
					release(company)
		if getattr(self, "_forgets", False):
			frappe.db.delete("__Auth", {"doctype": self.doctype, "name": self.name})
			self._forgets = False
		for key, value in getattr(self, "_pending_secrets", {}).items():
			set_encrypted_password(self.doctype, self.name, value, _field(key))
		self._pending_secrets = {}

	def stored_secret(self, key: str = SECRET_KEY) -> str:
		if (self.is_new() and not self.meta.issingle) or getattr(self, "_forgets", False):
			return ""
		try:
			return certificates.read_secret(self.doctype, self.name, _field(key))
		except frappe.ValidationError:
			# The site's encryption key is another one now. What the provider can do without may be missing.
			if self._is_required(key):
				raise
			frappe.clear_last_message()
			return ""

	def _is_required(self, key: str) -> bool:
		provider = self.provider_class
		return not provider or any(
			parameter.required for parameter in provider.parameters if parameter.key == key
		)

	def keep_made(self, secrets: dict[str, Secret]):
		"""Keep credentials that the provider has just made, as if a person had typed them. No commit."""
		for key, secret in secrets.items():
			set_encrypted_password(self.doctype, self.name, secret.reveal(), _field(key))
			if key == SECRET_KEY:
				self.db_set("secret_key", MASK, update_modified=False)
			for row in self.parameters:
				if row.parameter == key:
					row.db_set("value", MASK, update_modified=False)
		frappe.clear_document_cache(self.doctype, self.name)

	def clear_secret(self, key: str):
		"""Forget a stored secret: the one way to remove it."""
		remove_encrypted_password(self.doctype, self.name, _field(key))
		if key == SECRET_KEY:
			self.db_set("secret_key", "", update_modified=False)
		for row in self.parameters:
			if row.parameter == key:
				row.db_set("value", "", update_modified=False)
		frappe.clear_document_cache(self.doctype, self.name)

	def fill_parameters(self, found: dict[str, str]):
		"""Keep what the provider knows of parameters that are blank. No commit."""
		for row in self.parameters:
			if row.parameter in found and not row.value and row.parameter not in self.secret_keys():
				row.db_set("value", found[row.parameter], update_modified=False)
				frappe.clear_document_cache(self.doctype, self.name)

	def check_connection(self):
		"""An enabled connection has to be complete; a secret that shows its environment has to fit it."""
		if not self.provider:
			if self.enabled:
				frappe.throw(_("Choose a provider before enabling the integration."))
			return
		problems = self.provider_class.check_connection(self.connection())
		if not self.enabled:
			# An unfinished form may be saved, a wrong value may not.
			given = {*self._pending_secrets, *(row.parameter for row in self.parameters if row.value)}
			problems = [problem for problem in problems if problem.field in given]
		if problems:
			frappe.throw(
				"<br>".join(translated(problem.message, _) for problem in problems), title=_("Connection")
			)

	def connection(self, secrets: bool = True, company: str = "") -> Connection:
		"""This record as a Connection for `company`. Secrets just typed go before the stored ones."""
		company = company or self.get("company") or ""
		found = {}
		if secrets:
			pending = getattr(self, "_pending_secrets", {})
			for key in self.secret_keys():
				found[key] = Secret(pending.get(key) or self.stored_secret(key))
		declared = set(self.secret_keys())
		return Connection(
			provider=self.provider,
			environment=self.environment or TEST,
			server_url=self.server_url,
			parameters={
				row.parameter: row.value or "" for row in self.parameters if row.parameter not in declared
			},
			secrets=found,
			company=company,
			source=(self.doctype, self.name),
			max_concurrent=self.get("max_concurrent") or self.provider_class.capabilities.max_concurrent,
			signer=certificates.signer(company)
			if secrets and company and self.provider_class.capabilities.signs
			else None,
		)

	def payment_code(self, mode: str) -> str:
		return next((row.code for row in self.payment_codes if row.mode_of_payment == mode), "")


def _field(key: str) -> str:
	return key if key == SECRET_KEY else f"parameter_{key}"


def _is_mask(value: str) -> bool:
	return set(value) == {"*"}
