"""Aludra, Panama: documents built, numbered and signed here, and handed over as signed XML.

See providers/aludra.md and authorities/panama.md.

No public text tells the route for XML that the client signed: route and order of the transforms are parameters.
"""

import base64
import binascii
import json
import re
from datetime import datetime

from fiscal_integration.fiscal.certificate import CertificateError, check_time
from fiscal_integration.fiscal.errors import ErrorClass, ErrorRule, Failure, Problem
from fiscal_integration.fiscal.invoice import Coordinates, Party
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.panama import locations, rfe, ruc, signature
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus
from fiscal_integration.fiscal.words import say
from fiscal_integration.providers.base import (
	PRODUCTION,
	SECRET_KEY,
	TEST,
	Capabilities,
	Download,
	Lookup,
	Outcome,
	Parameter,
	Payload,
	Ping,
	Taxpayer,
)
from fiscal_integration.providers.http import Response
from fiscal_integration.providers.panama import (
	ENVIRONMENTS,
	PanamaProvider,
	facts_of,
	moment,
	noted,
	number_of,
)

RECEIVE, TAXPAYER, CAFE = "/mdl18/feRecepFEDGI", "/mdl18/feConsRucDV", "/mdl18/generateFeCafe"
ACCEPTED = ("0260", "0920")
DUPLICATES = ("1002", "1513")
FOUND, UNKNOWN_TAXPAYER = "0680", "0640"
YES, NO = "Yes", "No"
STANDARD_ORDER, SAMPLE_ORDER = "Enveloped, Canonical", "Canonical, Enveloped"
NORMAL, CONTINGENCY = "01 Normal", "02 Contingency"


class Aludra(PanamaProvider):
	"""POST /mdl18/feRecepFEDGI takes a document on to the DGI."""

	key = "aludra"
	label = "Aludra"
	urls = {TEST: "https://qa-apim.aludra.cloud", PRODUCTION: "https://apim.aludra.cloud"}
	capabilities = Capabilities(
		pdf=True,
		xml=True,
		ordered=True,
		numbered=True,
		taxpayers=True,
		signs=True,
		max_concurrent=4,
		absence_grace=300,
	)
	parameters = (
		Parameter(SECRET_KEY, "API Key", required=True, secret=True, help="Integration key for Aludra."),
		Parameter("company_code", "Company Code", required=True, help="Your identifier with Aludra."),
		Parameter("subscription_key", "Subscription Key", secret=True, help="If Aludra gave one, as for QA."),
		Parameter(
			"automatic_submission",
			"Automatic Submission",
			default=YES,
			options=(YES, NO),
			help="No: sales are signed and numbered at once, and submitted when somebody says so.",
		),
		Parameter("branch_code", "Branch Code", default="0000", help="Four digits; 0000 is the head office."),
		Parameter("point_code", "POS", default="001", help="Point of sale, 001 to 999."),
		Parameter("issuer_address", "Issuer's Address", required=True),
		Parameter(
			"issuer_location",
			"Issuer's Location Code",
			required=True,
			help="Type the corregimiento, its district or its code, such as 8-8-7.",
			search="search_locations",
		),
		Parameter("issuer_coordinates", "Issuer's Coordinates", required=True, help="As +8.98237,-79.51987."),
		Parameter("issuer_phone", "Issuer's Phone", required=True, help="999-9999 or 9999-9999."),
		Parameter("issuer_email", "Issuer's E-Mail"),
		Parameter(
			"emission",
			"Kind of Emission",
			default=NORMAL,
			options=(NORMAL, CONTINGENCY),
			help="Contingency while nothing can be submitted for long: say since when, and why.",
		),
		Parameter("contingency_since", "Contingency Since", help="As 2026-11-21 14:30."),
		Parameter("contingency_reason", "Reason of the Contingency", help="15 to 250 characters."),
		Parameter(
			"signed_route",
			"Route for Signed Documents",
			default=RECEIVE,
			help="Not published for documents that the client signed; ask Aludra.",
		),
		Parameter(
			"transforms",
			"Order of the Signature's Transforms",
			default=STANDARD_ORDER,
			options=(STANDARD_ORDER, SAMPLE_ORDER),
			help="The standard's, or that of the one published document. Both sign the same content.",
		),
	)
	errors = {
		code: ErrorRule(
			ErrorClass.DUPLICATE, "The DGI has a document of this number: it is looked up by our own CUFE."
		)
		for code in DUPLICATES
	}

	# -- settings ----------------------------------------------------------------------------------------

	@classmethod
	def check_connection(cls, connection):
		problems = super().check_connection(connection)
		given = connection.parameters
		problems += [
			Problem(problem.message, field="branch_code")
			for problem in cls.check_coordinates(_coordinates(given))
		]
		for key, pattern, sample in (
			(
				"issuer_coordinates",
				r"[+-][0-9]{1,2}\.[0-9]{4,6},[+-][0-9]{1,3}\.[0-9]{4,6}",
				"+8.98237,-79.51987",
			),
			("issuer_phone", r"[0-9]{3,4}-[0-9]{4}", "234-5678"),
			("signed_route", r"/[\w/.-]+", RECEIVE),
		):
			value = given.get(key, "")
			if value and not re.fullmatch(pattern, value):
				label = next(parameter.label for parameter in cls.parameters if parameter.key == key)
				problems.append(Problem(say("{0} has to look like {1}.", label, sample), field=key))
		place = given.get("issuer_location", "")
		if place and not locations.find(place):
			problems.append(
				Problem(
					say(
						"{0} is no location of the DGI's catalogue. Choose the issuer's corregimiento.", place
					),
					field="issuer_location",
				)
			)
		if given.get("emission") == CONTINGENCY:
			if not moment(given.get("contingency_since", "")):
				problems.append(
					Problem(
						"Say since when the contingency lasts, as 2026-11-21 14:30.",
						field="contingency_since",
					)
				)
			if not 15 <= len(given.get("contingency_reason", "")) <= 250:
				problems.append(
					Problem(
						"The reason of the contingency has 15 to 250 characters.", field="contingency_reason"
					)
				)
		return problems

	@classmethod
	def check_coordinates(cls, coordinates):
		return dgi.coordinates_problems(coordinates)

	def coordinates(self):
		return _coordinates(self.connection.parameters)

	@property
	def holds_back(self):
		return self.parameter("automatic_submission") == NO

	def obstacle(self, now):
		signer = self.connection.signer
		if signer is None:
			return say(
				"No certificate is initialized for {0}. Make a Fiscal Certificate and choose Initialize.",
				self.connection.company,
			)
		try:
			check_time(signer.facts, now)
		except CertificateError as error:
			return str(error)
		return ""

	def ping(self):
		"""Ask for a taxpayer who does not exist: no side effect, and it needs both keys."""
		found = self._post("ping", TAXPAYER, {"dRuc": "0-0-0", "dTipoRuc": "2"})
		if isinstance(found, Failure) and found.error_class is not ErrorClass.REJECTED:
			return Ping(False, found.message)
		signer = self.connection.signer
		if signer is None:
			return Ping(False, self.obstacle(datetime.now(dgi.ZONE)))
		try:
			check_time(signer.facts, datetime.now(dgi.ZONE))
		except CertificateError as error:
			return Ping(False, str(error))
		return Ping(
			True,
			"Connection successful",
			(("Certificate until", signer.facts.valid_until.date().isoformat()),),
		)

	# -- before sending ----------------------------------------------------------------------------------

	def validate(self, invoice, now):
		problems = super().validate(invoice, now)
		if not ruc.is_valid(invoice.issuer.tax_id):
			# Nobody at a till can mend it, so that the sale goes on and its document waits.
			problems.append(
				Problem(
					say(
						"{0} is no RUC: correct the company's Tax ID.",
						invoice.issuer.tax_id or say("A blank"),
					),
					code="issuer_ruc",
					stops_sale=False,
				)
			)
		return problems

	def build(self, invoice, reference, idempotency_key, now):
		document = dgi.of(invoice)
		issuer, emission = self._issuer(invoice.issuer), self._emission()
		security = rfe.security_code(idempotency_key)
		code = rfe.code_of(document, issuer, emission, security)
		root = rfe.element(rfe.tree(document, issuer, emission, security, code, noted(reference)))
		signed = signature.sign(
			root, self.connection.signer, sample_order=self.parameter("transforms") == SAMPLE_ORDER
		)
		qr_value = rfe.qr_value(code, emission.environment, signature.digest_value(signed))
		receiver = document.receiver
		return Payload(
			rfe.text(rfe.with_qr(signed, qr_value)),
			Expected(
				document_type=document.type,
				total=document.totals.invoice,
				currency="",
				receiver=receiver.ruc or receiver.foreign_id,
				environment=self.connection.environment,
				number=number_of(document.coordinates),
				fiscal_id=code,
			),
			provider_id=code,
			fiscal_id=code,
			qr_value=qr_value,
		)

	def _issuer(self, party: Party) -> rfe.Issuer:
		kind = ruc.parse(party.tax_id).taxpayer_type
		place = locations.find(self.parameter("issuer_location"))
		return rfe.Issuer(
			name=party.name,
			ruc=party.tax_id,
			taxpayer_type=kind,
			dv=ruc.verification_digits(party.tax_id, kind),
			coordinates=self.parameter("issuer_coordinates"),
			address=self.parameter("issuer_address"),
			location=place.code,
			corregimiento=place.corregimiento,
			district=place.district,
			province=place.province,
			phone=self.parameter("issuer_phone"),
			email=self.parameter("issuer_email"),
		)

	def _emission(self) -> rfe.Emission:
		environment = next(code for code, name in ENVIRONMENTS.items() if name == self.connection.environment)
		if self.parameter("emission") != CONTINGENCY:
			return rfe.Emission(environment)
		return rfe.Emission(
			environment,
			rfe.CONTINGENCY,
			moment(self.parameter("contingency_since")),
			self.parameter("contingency_reason"),
		)

	# -- calls -------------------------------------------------------------------------------------------

	def issue(self, body):
		found = self._post(
			"issue",
			self.parameter("signed_route"),
			{"dVerForm": rfe.VERSION, "xFe": body},
			issuing=True,
		)
		if isinstance(found, Failure):
			return Outcome(failure=found)
		code, message = _result(found)
		ours = rfe.summary(body)
		if not code:
			# Seed 003: what has no code yet is pending.
			return Outcome(
				document=RemoteDocument(
					RemoteStatus.PENDING, provider_id=ours.cufe, message=message or "Aludra has it."
				)
			)
		if code not in ACCEPTED:
			rule = self.errors.get(code)
			return Outcome(
				failure=Failure(
					rule.error_class if rule else ErrorClass.REJECTED,
					say("{0} ({1})", say(rule.remedy), message)
					if rule
					else message or say("Aludra refuses the document (code {0}).", code),
					code,
				)
			)
		protocol = _dig(found, "Data", "xProtFe", "rProtFe") or {}
		told = _dig(protocol, "gInfProt") or {}
		fiscal_id = str(told.get("dCUFE") or protocol.get("dCufe") or "")
		if not fiscal_id:
			return Outcome(
				failure=Failure(
					ErrorClass.UNKNOWN, "Aludra answered that it succeeded, but without a CUFE.", "no_cufe"
				)
			)
		return Outcome(
			document=RemoteDocument(
				status=RemoteStatus.ISSUED,
				provider_id=fiscal_id,
				fiscal_id=fiscal_id,
				**facts_of(fiscal_id),
				authorization_number=str(told.get("dProtAut") or ""),
				authorized_at=moment(told.get("dFecProc")),
				qr_value=str(_dig(found, "Data", "urlCufe") or ""),
				stamps=(("dCodRes", code),),
			)
		)

	def reconcile(self, reference, provider_id=""):
		"""No route for a document's state is published. Its CAFE is made of the authorised document, and its CUFE is
		one that only we could make: where there is a CAFE for it, it is ours."""
		answer = self._cafe("reconcile", provider_id)
		if isinstance(answer, Failure):
			return Lookup() if answer.error_class is ErrorClass.REJECTED else Lookup(failure=answer)
		return Lookup(
			(
				RemoteDocument(
					status=RemoteStatus.ISSUED,
					provider_id=provider_id,
					fiscal_id=provider_id,
					**facts_of(provider_id),
				),
			)
		)

	def pdf(self, held):
		answer = self._cafe("pdf", held.fiscal_id)
		if isinstance(answer, Failure):
			return Download(failure=answer)
		return Download(answer, "application/pdf")

	def xml(self, held):
		"""What we signed, to the byte."""
		return Download(held.payload.encode(), "application/xml")

	def taxpayer(self, tax_id, taxpayer_type):
		found = self._post("taxpayer", TAXPAYER, {"dRuc": tax_id, "dTipoRuc": taxpayer_type})
		if isinstance(found, Failure):
			return Taxpayer() if found.code == UNKNOWN_TAXPAYER else Taxpayer(failure=found)
		told = _dig(found, "Data", "gResRucDV") or {}
		code = str(_dig(told, "gResProc", "dCodRes") or "")
		if code != FOUND:
			return Taxpayer()
		return Taxpayer(
			True, tax_id, str(told.get("dNomb") or ""), str(told.get("dDV") or "").zfill(2), taxpayer_type
		)

	def _cafe(self, operation: str, code: str) -> bytes | Failure:
		answer = self._send(operation, CAFE, {"gCompanyCode": self.parameter("company_code"), "dCufe": code})
		if isinstance(answer, Failure):
			return answer
		if answer.status == 200:
			content = _pdf_in(answer)
			if content:
				return content
			found_code, message = _result(answer.json() or {})
			if found_code:
				return Failure(ErrorClass.REJECTED, message or "Aludra has no such document.", found_code)
		return self._failure(answer, issuing=False)

	def _post(self, operation: str, path: str, body: dict, issuing: bool = False) -> dict | Failure:
		company = {"gCompanyCode": self.parameter("company_code")}
		if path == TAXPAYER:
			body = {**body, **company}
		else:
			body = {**body, "gExtra": {**company, "isValidationsOn": True, "isTestingOn": False}}
		answer = self._send(operation, path, body)
		if isinstance(answer, Failure):
			return answer
		found = answer.json()
		if answer.status == 200 and found is not None and isinstance(found.get("Status"), dict):
			code = str(found["Status"].get("Code") or "")
			if code == "200":
				return found
			message = found["Status"].get("Message")
			if isinstance(message, dict):
				code, message = str(message.get("dCodRes") or code), message.get("dMsgRes")
			rule = self.errors.get(code)
			return Failure(
				rule.error_class if rule else ErrorClass.REJECTED,
				str(message or "") or say("Aludra refuses the request (code {0}).", code),
				code,
			)
		return self._failure(answer, issuing)

	def _send(self, operation, path, body) -> Response | Failure:
		subscription = self.connection.secret("subscription_key").reveal()
		return self.call(
			operation,
			"POST",
			path,
			headers={
				"Content-Type": "application/json",
				"api-key": self.connection.secret().reveal(),
				**({"Ocp-Apim-Subscription-Key": subscription} if subscription else {}),
			},
			body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
		)

	@classmethod
	def _failure(cls, answer: Response, issuing: bool) -> Failure:
		body = answer.json() or {}
		message = body.get("message") or _dig(body, "Status", "Message")
		if isinstance(message, dict):
			message = message.get("dMsgRes")
		return cls.by_status(answer, issuing, str(message or ""))


def _coordinates(parameters: dict) -> Coordinates:
	return Coordinates(parameters.get("branch_code") or "0000", parameters.get("point_code") or "001")


def _dig(found, *names):
	"""The value behind these names; of a list the first entry."""
	for name in names:
		found = found.get(name) if isinstance(found, dict) else None
		if isinstance(found, list):
			found = found[0] if found else None
	return found


def _result(found: dict) -> tuple[str, str]:
	"""dCodRes and dMsgRes of an answer; the protocol's before the envelope's."""
	for path in (
		("Data", "xProtFe", "rProtFe", "gInfProt", "gResProc"),
		("Data", "gResProc"),
		("Status", "Message"),
	):
		told = _dig(found, *path)
		if isinstance(told, dict) and told.get("dCodRes"):
			return str(told["dCodRes"]), str(told.get("dMsgRes") or "")
	return "", ""


def _pdf_in(answer: Response) -> bytes:
	"""The PDF of an answer: as it is, or in base64 wherever it stands; how it comes is not published."""
	if answer.body.startswith(b"%PDF"):
		return answer.body
	found = re.search(rb'"(JVBERi[A-Za-z0-9+/=\\]+)"', answer.body)
	if not found:
		return b""
	try:
		return base64.b64decode(found[1].replace(b"\\/", b"/"), validate=True)
	except binascii.Error:
		return b""
