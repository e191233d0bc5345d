"""Whatever a server answers, each call of each provider comes back with an outcome, never with an exception.

The emulators' own answers are taken, and each value in them is replaced by what no client expects.
"""

import json
import re
import unittest
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from fiscal_integration.fiscal.certificate import open_p12
from fiscal_integration.fiscal.invoice import (
	Coordinates,
	DocumentKind,
	Invoice,
	Line,
	LineTax,
	Party,
	TaxCategory,
)
from fiscal_integration.fiscal.redaction import Secret
from fiscal_integration.providers import load
from fiscal_integration.providers.base import (
	TEST,
	Cancellation,
	CancelRequest,
	Connection,
	Device,
	Download,
	Held,
	Lookup,
	Outcome,
	Ping,
	Supply,
	Taxpayer,
)
from fiscal_integration.providers.http import AnswerLost, HttpClient, Response
from fiscal_integration.sandbox import Sandbox, p12

COUNTRY = {"facturapi": "MX", "fiskaly": "AT"}
CURRENCY = {"MX": "MXN", "PA": "USD", "AT": "EUR"}
UNIT, REGISTER = "4ad9a5b0-7a55-4a33-9d0c-000000000000", "5ad9a5b0-7a55-4a33-9d0c-000000000000"
RATE = {"MX": "0.16", "PA": "0.07", "AT": "0.20"}
VALUES = (
	None,
	[],
	{},
	[[]],
	[{"x": 1}],
	True,
	-1,
	1e308,
	10**40,
	"",
	"\0",
	"\ud800",
	"x" * 10_000,
	"2026-99-99",
	"<x/>",
	"NaN",
)
BODIES = (
	b"", b"null", b"[]", b"{}", b"0", b'"x"', b"\xff\xfe", b"<html>", b"<a><!-- x --><b/></a>", b"{" * 50_000, b"<a>" * 50_000,
	b'{"status": "valid", "uuid": ["x"], "id": {"a": 1}}',
	b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
)  # fmt: skip


class Recording(HttpClient):
	"""Calls for real and keeps the answers."""

	def __init__(self):
		super().__init__(lambda exchange: None)
		self.answers = []

	def request(self, *arguments, **named):
		answer = super().request(*arguments, **named)
		self.answers.append(answer)
		return answer


class Replay:
	"""Gives the recorded answers again, one of them changed; the last one for ever."""

	def __init__(self, answers):
		self.answers, self.at = answers, 0

	def request(self, *_arguments, **_named):
		if not self.answers:
			raise AnswerLost("none")
		answer = self.answers[min(self.at, len(self.answers) - 1)]
		self.at += 1
		if self.at > 50:
			raise AssertionError("the provider asks for ever")
		return answer


def changed(body: bytes):
	"""`body` with one value after another replaced, and bodies that have nothing to do with it."""
	yield from BODIES
	yield body[: len(body) // 2]
	try:
		whole = json.loads(body)
	except ValueError:
		yield from changed_xml(body)
		return
	for path in list(paths(whole)):
		for value in VALUES:
			copy = json.loads(body)
			*way, last = path
			place = copy
			for step in way:
				place = place[step]
			place[last] = value
			yield json.dumps(copy).encode()


def changed_xml(body: bytes):
	text = body.decode("utf-8", "replace")
	for match in list(re.finditer(r">([^<>]+)<", text))[:60]:
		for value in (
			"",
			"x" * 1000,
			"-1",
			"NaN",
			"2026-99-99",
			"<y/>",
			"<!-- c -->",
			"<![CDATA[z]]>",
			"&bad;",
		):
			yield (text[: match.start(1)] + value + text[match.end(1) :]).encode()


def paths(value, way=(), depth=0):
	if depth > 6:
		return
	entries = (
		value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
	)
	for key, entry in entries:
		yield (*way, key)
		yield from paths(entry, (*way, key), depth + 1)


class TestHostileAnswers(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.sandbox = Sandbox().start()
		cls.addClassCleanup(cls.sandbox.stop)
		cls.signer = open_p12(p12.make(), p12.PASSWORD)

	def provider(self, key, http):
		cls = load(())[key]
		values = {"issuing_postal_code": "44100", **self.sandbox.parameters(key)}
		secrets = {
			parameter.key: Secret(values.get(parameter.key, "x"))
			for parameter in cls.parameters
			if parameter.secret
		}
		secrets["secret_key"] = Secret(self.sandbox.secret_key(key))
		return cls(
			Connection(
				key,
				TEST,
				self.sandbox.url(key),
				{
					parameter.key: values.get(parameter.key, parameter.default)
					for parameter in cls.parameters
					if not parameter.secret
				},
				secrets,
				signer=self.signer,
			),
			http,
		)

	def set_up_register(self):
		provider = self.provider("fiskaly", HttpClient(lambda exchange: None, loopback=True))
		provider.authority(
			{"fon_participant_id": "12345678", "fon_user_id": "kassa01", "fon_user_pin": "geheim1"}
		)
		for _step in range(3):
			provider.advance_unit(UNIT, "ATU12345678", "Café")
		for _step in range(4):
			found = provider.advance_register(REGISTER, "Kassa 1")
		self.assertEqual(found.state, "INITIALIZED")

	def calls(self, key):
		"""Name, call and what it must return, for all that a provider can be asked."""
		now = datetime.now(timezone.utc)
		country = COUNTRY.get(key, "PA")
		net = Decimal(100)
		tax = LineTax(TaxCategory.VAT, Decimal(RATE[country]), net, net * Decimal(RATE[country]), name="VAT")
		invoice = Invoice(
			doctype="POS Invoice",
			name="PSINV-1",
			kind=DocumentKind.INVOICE,
			issued_at=now,
			issuer=Party("Issuer", "155596713-2-2015", country),
			receiver=Party("Walk-In", country=country, walk_in=True),
			currency=CURRENCY[country],
			lines=(Line("Café", Decimal(1), net, net, code="50201706", unit="H87", taxes=(tax,), row=1),),
			total=net + tax.amount,
			coordinates=Coordinates(
				"" if key == "facturafacil" else "0000", "001", "0000000007", 5, register=REGISTER
			),
		)
		if key == "fiskaly":
			self.set_up_register()
		payload = self.provider(key, None).build(invoice, f"ref-{key}", f"key-{key}", now)
		client = HttpClient(lambda exchange: None, loopback=True)
		outcome = self.provider(key, client).issue(payload.body)
		issued = outcome.document
		self.assertIsNotNone(issued, f"{key}: {outcome}")
		again = self.provider(key, None).build(
			replace(invoice, coordinates=replace(invoice.coordinates, number=6)),
			f"again-{key}",
			f"again-{key}",
			now,
		)
		held = Held(
			payload.provider_id or issued.provider_id,
			issued.fiscal_id,
			f"ref-{key}",
			now,
			dict(issued.stamps),
			payload.body,
		)
		request = CancelRequest("The customer did not want it after all", "02")
		reason = (Download, Lookup, Outcome, Cancellation, Ping, Supply, Taxpayer, Device, dict, list)
		today = date.today()
		yield "ping", lambda p: p.ping(), Ping
		yield "issue", lambda p: p.issue(again.body), Outcome
		yield "reconcile", lambda p: p.reconcile(f"ref-{key}", held.provider_id), Lookup
		yield "pdf", lambda p: p.pdf(held), Download
		yield "xml", lambda p: p.xml(held), Download
		yield "cancel", lambda p: p.cancel(held, request), Cancellation
		yield "cancellation", lambda p: p.cancellation(held), Cancellation
		yield "acknowledgement", lambda p: p.acknowledgement(held), Download
		yield "supply", lambda p: p.supply(), Supply
		yield "taxpayer", lambda p: p.taxpayer("155596713-2-2015", "2"), Taxpayer
		if self.provider(key, None).capabilities.registers:
			yield "authority", lambda p: p.authority(None), reason
			yield "advance_unit", lambda p: p.advance_unit(UNIT, "VAT ATU12345678", "x"), reason
			yield "advance_register", lambda p: p.advance_register(REGISTER, "x"), reason
			yield "archive", lambda p: p.archive(REGISTER, today - timedelta(days=30), today), object
			yield "closings", lambda p: p.closings(REGISTER), object

	def test_no_answer_makes_a_call_raise(self):
		for key in sorted(load(())):
			for name, call, result in self.calls(key):
				http = Recording()
				if not isinstance(call(self.provider(key, http)), result):
					self.fail(f"{key}.{name} returned something else")
				tried = 0
				for index, answer in enumerate(http.answers):
					for status in (answer.status, 200):
						for body in changed(answer.body):
							answers = list(http.answers)
							answers[index] = Response(status, answer.headers, body)
							tried += 1
							try:
								found = call(self.provider(key, Replay(answers)))
							except Exception as error:
								self.fail(f"{key}.{name}, HTTP {status}, {body[:300]!r}: {error!r}")
							self.assertIsInstance(found, result)
				with self.subTest(provider=key, call=name):
					self.assertTrue(tried or not http.answers)

	def test_webhooks(self):
		for key, cls in load(()).items():
			with self.subTest(provider=key):
				event = {"id": "e1", "type": "invoice.status_updated", "event": "invoice.completed", "invoice_id": "1",
					"created_at": "2026-11-25T10:00:00Z", "data": {"type": "invoice", "object": {"id": "1", "external_id": "x"}}}  # fmt: skip
				for body in changed(json.dumps(event).encode()):
					found = cls.parse_webhook(body)
					if found is not None:
						for value in vars(found).values():
							self.assertIsInstance(value, str | datetime | None)
