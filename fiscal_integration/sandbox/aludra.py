"""Aludra's interface, and behind it a DGI that looks at signed documents for real.

See providers/aludra.md and authorities/panama.md.

Checked are the schema (schemas/rfe.xsd), the CUFE against the fields, the signature, the certificate's time, the
arithmetic and duplicates, all in code of its own. Option `accepted_code`: 0260 (default) or 0920.
"""

import base64
import json
from datetime import datetime, timezone
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from cryptography.x509 import load_der_x509_certificate
from lxml import etree
from signxml import DigestAlgorithm, SignatureConfiguration, SignatureMethod, XMLVerifier
from signxml.exceptions import SignXMLException

from fiscal_integration.sandbox import dgi_numbers
from fiscal_integration.sandbox.dgi import (
	NAMESPACE,
	QR_HOSTS,
	ZONE,
	Dgi,
	Line,
	Refusal,
	Sent,
	amount,
	cafe,
	other_environment,
	qr_value,
)
from fiscal_integration.sandbox.kernel import Answer, Emulator

COMPANY = "SANDBOX-001"
SUBSCRIPTION = "sandbox-subscription"
PATHS = {
	"/mdl18/feRecepFEDGI": "issue",
	"/mdl18/feConsRucDV": "taxpayer",
	"/mdl18/generateFeCafe": "get",
	"/core/validateApiKey": "key",
}
TAXPAYERS = {"155596713-2-2015": "Distribuidora Chiriquí, S.A.", "8-442-445": "Persona de Prueba"}

DS = "http://www.w3.org/2000/09/xmldsig#"
SCHEMA = Path(__file__).parent / "schemas" / "rfe.xsd"


class AludraEmulator(Emulator):
	key: ClassVar[str] = "aludra"

	def secret_key(self, live=False):
		return "aludra-live-sandbox-without-validity" if live else "aludra-qa-sandbox-without-validity"

	def parameters(self, live=False):
		return {
			"company_code": COMPANY,
			"subscription_key": SUBSCRIPTION,
			"issuer_address": "Avenida Balboa, local 5",
			"issuer_location": "8-8-7",
			"issuer_coordinates": "+8.98237,-79.51987",
			"issuer_phone": "234-5678",
		}

	def clear(self):
		self.dgi = Dgi(self.clock)

	def dump(self):
		return {"documents": self.dgi.documents}

	def load(self, state):
		self.dgi.documents = state.get("documents", {})

	def ledger(self):
		with self.lock:
			return self.dgi.ledger()

	def operation(self, method, path):
		return PATHS.get(path.rstrip("/"), "other")

	def ordered(self, fault):
		if fault.options.get("code"):
			return Answer(200, _answer(fault.options["code"], "Falla ordenada en el sandbox"))
		return Answer(int(fault.options.get("status") or 500), {"message": "Falla ordenada en el sandbox"})

	def spoil(self, kind, body):
		protocol = ((body.get("Data") or [{}])[0].get("xProtFe") or [{}])[0].get("rProtFe")
		if kind == "no_uuid" and protocol:
			protocol.pop("dCufe", None)
			protocol["gInfProt"].pop("dCUFE", None)
		if kind == "wrong_livemode" and protocol:
			other = other_environment(protocol["dCufe"])
			protocol["dCufe"] = protocol["gInfProt"]["dCUFE"] = other
		return body

	def serve(self, operation, method, path, query, headers, body, fault):
		given = {name.lower(): value for name, value in headers.items()}
		with self.lock:
			live = {self.secret_key(flag): flag for flag in (False, True)}.get(given.get("api-key", ""))
			if live is None or given.get("ocp-apim-subscription-key") != SUBSCRIPTION:
				return Answer(401, {"statusCode": 401, "message": "Access denied due to invalid key."})
			try:
				data = json.loads(body)
			except ValueError:
				return Answer(400, {"message": "Invalid JSON"})
			if operation == "issue":
				return self._issue(data, live, fault)
			if operation == "taxpayer":
				return self._taxpayer(data)
			if operation == "get":
				return self._cafe(data)
			if operation == "key":
				return Answer(200, {"Status": {"Code": "200", "Message": "Accepted"}})
		return Answer(404, "")

	@staticmethod
	def _taxpayer(data):
		if data.get("gCompanyCode") != COMPANY:
			return Answer(200, {"Status": {"Code": "A401", "Message": "gCompanyCode inválido"}})
		number, kind = str(data.get("dRuc") or ""), str(data.get("dTipoRuc") or "")
		if number not in TAXPAYERS:
			told = {"gResProc": {"dCodRes": "0640", "dMsgRes": "CONTRIBUYENTE NO INSCRITO"}}
		else:
			told = {
				"dDV": dgi_numbers.dv(number, int(kind)),
				"dNomb": TAXPAYERS[number],
				"gResProc": {"dCodRes": "0680", "dMsgRes": "Contribuyente encontrado"},
			}
		return Answer(200, {"Status": {"Code": "200", "Message": "Accepted"}, "Data": [{"gResRucDV": told}]})

	def _cafe(self, data):
		entry = self.dgi.documents.get(str(data.get("dCufe") or ""))
		if data.get("gCompanyCode") != COMPANY or not entry:
			return Answer(200, _answer("0100", "No existe el documento"))
		content = base64.b64encode(cafe(entry)).decode()
		return Answer(200, {"Status": {"Code": "200", "Message": "Accepted"}, "Data": [{"pdf": content}]})

	# -- a signed document -------------------------------------------------------------------------------

	def _issue(self, data, live, fault):
		if (data.get("gExtra") or {}).get("gCompanyCode") != COMPANY:
			return Answer(200, {"Status": {"Code": "A401", "Message": "gCompanyCode inválido"}})
		text = str(data.get("xFe") or "")
		try:
			root = etree.fromstring(
				text.encode(), etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=False)
			)
		except etree.XMLSyntaxError as error:
			return _schema(f"Fallo de schema XML: {error}")
		wrong = schema_errors(root)
		if wrong:
			return _schema(f"Fallo de schema XML: {wrong[0]}")
		try:
			certificate = _signed_by(root)
		except (SignXMLException, ValueError) as error:
			return Answer(200, _answer("0101", f"Firma inválida: {error}"))
		now = self.clock.now()
		begins, ends = (
			getattr(certificate, f"{name}_utc").astimezone(timezone.utc)
			for name in ("not_valid_before", "not_valid_after")
		)
		if not begins <= now <= ends:
			return Answer(200, _answer("0102", "El certificado no está vigente"))
		try:
			sent = _sent(root, "1" if live else "2")
			if fault is not None and fault.kind == "pending":
				# Taken, and not yet judged: an answer without a code.
				self.dgi.register(sent)
				return Answer(
					200, {"Status": {"Code": "200", "Message": "Accepted"}, "Data": [{"LoteFE": []}]}
				)
			entry = self.dgi.register(sent)
		except Refusal as refusal:
			code = refusal.code if refusal.code != "rule" else "1500"
			return Answer(200, _answer(code, str(refusal)))
		digest = next(root.iter(f"{{{DS}}}DigestValue")).text
		entry["xml"] = text
		entry["qr"] = qr_value(entry["cufe"], entry["coordinates"][0], digest)
		code = str(self.options.get("accepted_code", "0260"))
		result = {"dCodRes": code, "dMsgRes": "Autorizado el uso de la FE"}
		protocol = {
			"dVerForm": "1.00",
			"dCufe": entry["cufe"],
			"gInfProt": {
				"dId": entry["cufe"],
				"iAmb": entry["coordinates"][0],
				"dVerApl": "sandbox",
				"dCUFE": entry["cufe"],
				"dFecProc": entry["received_at"],
				"dProtAut": entry["protocol"],
				"dDigVal": digest,
				"gResProc": [result],
			},
		}
		return Answer(
			200,
			{
				"Status": {"Code": "200", "Message": "Accepted"},
				"Data": [
					{
						"LoteFE": [{"Xml": text}],
						"gResProc": result,
						"xProtFe": [{"rProtFe": protocol}],
						"urlCufe": entry["qr"],
						"urlCufeAlternative": f"{QR_HOSTS[entry['coordinates'][0]]}?chFE={entry['cufe']}",
						"sendFail": False,
					}
				],
			},
		)


def _answer(code, message) -> dict:
	result = {"dCodRes": code, "dMsgRes": message}
	return {"Status": {"Code": "200", "Message": "Accepted"}, "Data": [{"gResProc": result}]}


def _schema(message) -> Answer:
	return Answer(
		200,
		{"Status": {"Code": "A400", "Message": {"dCodRes": "0100", "dMsgRes": message}}, "Errors": [message]},
	)


@lru_cache(maxsize=1)
def _rules() -> etree.XMLSchema:
	return etree.XMLSchema(etree.parse(SCHEMA))


def schema_errors(root) -> list[str]:
	"""What the schema finds wrong with a document, each in one line; empty when it is valid."""
	rules = _rules()
	if rules.validate(root):
		return []
	return [f"línea {error.line}: {error.message}" for error in rules.error_log]


def _signed_by(root):
	"""The certificate of the one signature that covers all of the document but the DGI's gNoFirm. Raises ValueError
	or SignXMLException."""
	signatures = list(root.iter(f"{{{DS}}}Signature"))
	if len(signatures) != 1:
		raise ValueError("debe haber una firma")
	text = signatures[0].findtext(f".//{{{DS}}}X509Certificate") or ""
	certificate = load_der_x509_certificate(base64.b64decode("".join(text.split())))
	content = etree.fromstring(etree.tostring(root))
	for outside in content.findall(f"{{{NAMESPACE}}}gNoFirm"):
		content.remove(outside)
	covered = XMLVerifier().verify(
		content,
		x509_cert=certificate,
		expect_config=SignatureConfiguration(
			expect_references=1,
			signature_methods=frozenset((SignatureMethod.RSA_SHA256,)),
			digest_algorithms=frozenset((DigestAlgorithm.SHA256,)),
		),
	)
	if covered.signed_xml is None or covered.signed_xml.tag != root.tag:
		raise ValueError("la firma no cubre el documento")
	return certificate


def _sent(root, environment) -> Sent:
	def text(path, start=root):
		found = start.find("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
		return (found.text or "") if found is not None else ""

	general = root.find(f"{{{NAMESPACE}}}gDGen")
	code = text("dId")
	parts = dgi_numbers.cufe_parts(code)
	if not parts:
		raise Refusal("El CUFE no es válido", "0105")
	issued_at = datetime.fromisoformat(text("dFechaEm", general))
	for part, value in (
		("document", text("iDoc", general)),
		("ruc", text("gEmis/gRucEmi/dRuc", general).rjust(20, "0")),
		("dv", text("gEmis/gRucEmi/dDV", general)),
		("taxpayer_type", text("gEmis/gRucEmi/dTipoRuc", general)),
		("branch", text("gEmis/dSucEm", general)),
		("date", issued_at.astimezone(ZONE).strftime("%Y%m%d")),
		("number", text("dNroDF", general)),
		("point", text("dPtoFacDF", general)),
		("emission", text("iTpEmis", general)),
		("environment", text("iAmb", general)),
		("security", text("dSeg", general)),
	):
		if parts[part] != value:
			raise Refusal(f"El CUFE no corresponde al documento: {part}", "0105")
	if parts["environment"] != environment:
		raise Refusal("El ambiente no corresponde a las credenciales", "0106")
	if (environment == "2") != text("gEmis/dNombEm", general).startswith(
		"FE generada en ambiente de pruebas"
	):
		raise Refusal("El nombre del emisor no corresponde al ambiente", "0107")
	contingent = text("iTpEmis", general) in ("02", "04")
	if contingent != bool(text("dFechaCont", general)) or contingent != bool(text("dMotCont", general)):
		raise Refusal("Los datos de contingencia no corresponden al tipo de emisión", "0100")
	if contingent and not 15 <= len(text("dMotCont", general)) <= 250:
		raise Refusal("dMotCont debe tener de 15 a 250 caracteres", "0100")
	lines = [
		Line(
			description=text("dDescProd", item),
			quantity=amount(text("dCantCodInt", item), "dCantCodInt"),
			price=amount(text("gPrecios/dPrUnit", item), "dPrUnit"),
			discount=amount(text("gPrecios/dPrUnitDesc", item) or "0", "dPrUnitDesc"),
			itbms_code=text("gITBMSItem/dTasaITBMS", item),
			itbms=amount(text("gITBMSItem/dValITBMS", item), "dValITBMS"),
			isc=amount(text("gISCItem/dValISC", item) or "0", "dValISC"),
			net=amount(text("gPrecios/dPrItem", item), "dPrItem"),
			total=amount(text("gPrecios/dValTotItem", item), "dValTotItem"),
			cpbs=text("dCodCPBScmp", item),
			isc_rate=amount(text("gISCItem/dTasaISC", item), "dTasaISC")
			if text("gISCItem/dTasaISC", item)
			else None,
		)
		for item in root.iter(f"{{{NAMESPACE}}}gItem")
	]
	totals = root.find(f"{{{NAMESPACE}}}gTot")
	_check_totals(totals, lines, text)
	return Sent(
		code=code,
		type=parts["document"],
		branch=parts["branch"],
		point=parts["point"],
		number=parts["number"],
		emission=parts["emission"],
		issued_at=issued_at,
		environment=environment,
		receiver={
			"kind": text("gDatRec/iTipoRec", general),
			"name": text("gDatRec/dNombRec", general),
			"ruc": text("gDatRec/gRucRec/dRuc", general),
			"dv": text("gDatRec/gRucRec/dDV", general),
			"taxpayer_type": text("gDatRec/gRucRec/dTipoRuc", general),
			"address": text("gDatRec/dDirecRec", general),
			"foreign_id": text("gDatRec/gIdExt/dIdExt", general),
			"place": tuple(
				text(f"gDatRec/gUbiRec/{name}", general) for name in ("dCodUbi", "dCorreg", "dDistr", "dProv")
			),
		},
		lines=lines,
		payments=[
			(text("iFormaPago", part), amount(text("dVlrCuota", part), "dVlrCuota"))
			for part in totals.iter(f"{{{NAMESPACE}}}gFormaPago")
		],
		total=amount(text("dVTot", totals), "dVTot"),
		discount=amount(text("dTotDesc", totals) or "0", "dTotDesc"),
		retention=(
			(text("gRetenc/cCodRetenc", totals), amount(text("gRetenc/cValRetenc", totals), "cValRetenc"))
			if text("gRetenc/cCodRetenc", totals)
			else None
		),
		referenced=text("gDFRef/gDFRefNum/gDFRefFE/dCUFERef", general),
		referenced_issuer=text("gDFRef/gRucEmDFRef/dRuc", general),
		export=general.find(f"{{{NAMESPACE}}}gFExp") is not None,
		note=text("dInfEmFE", general),
	)


def _check_totals(totals, lines, text):
	def told(name):
		return amount(text(name, totals) or "0", name)

	zero = Decimal(0)
	net = sum((line.quantity * (line.price - line.discount) for line in lines), zero)
	itbms = sum((line.itbms for line in lines), zero)
	isc = sum((line.isc for line in lines), zero)
	for name, value in (
		("dTotNeto", net),
		("dTotITBMS", itbms),
		("dTotISC", isc),
		("dTotGravado", itbms + isc),
		("dVTotItems", net + itbms + isc),
		("dVTot", told("dVTotItems") - told("dTotDesc")),
		("dVuelto", told("dTotRec") - told("dVTot")),
	):
		if abs(told(name) - value) > Decimal("0.011"):
			raise Refusal(f"{name} debe ser {value:.2f}", where=name)
	reasons = [
		amount(text("dValDesc", part), "dValDesc") for part in totals.iter(f"{{{NAMESPACE}}}gDescBonif")
	]
	if sum(reasons, zero) != told("dTotDesc"):
		raise Refusal("dTotDesc debe ser la suma de gDescBonif", where="dTotDesc")
	if text("dNroItems", totals) != str(len(lines)):
		raise Refusal("dNroItems no corresponde", "0100")
