"""Aludra's interface, and behind it a DGI that looks at signed documents for real.

See providers/aludra.md and authorities/panama.md.

Checked are the order of the elements, the CUFE against the fields, the signature, the certificate's time, the
arithmetic and duplicates. Option `accepted_code`: 0260 (default) or 0920.
"""

import base64
import json
import re
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from lxml import etree

from fiscal_integration.fiscal.panama import cufe, ruc, signature
from fiscal_integration.fiscal.xml import parse
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

# The order of 5.4. What is in brackets there may be missing, and is written with a question mark.
ORDER = {
	"rFE": "dVerForm dId gDGen gItem+ gTot Signature gNoFirm?",
	"gDGen": (
		"iAmb iTpEmis dFechaCont? dMotCont? iDoc dNroDF dPtoFacDF dSeg dFechaEm dFechaSalida? iNatOp iTipoOp iDest "
		"iFormCAFE iEntCAFE dEnvFE iProGen iTipoTranVenta? iTipoSuc? dInfEmFE? gEmis gDatRec gFExp? gDFRef* gAutXML*"
	),
	"gEmis": "gRucEmi dNombEm dSucEm dCoordEm dDirecEm gUbiEm dTfnEm+ dCorElectEmi*",
	"gRucEmi": "dTipoRuc dRuc dDV",
	"gUbiEm": "dCodUbi dCorreg dDistr dProv",
	"gDatRec": ("iTipoRec gRucRec? dNombRec? dDirecRec? gUbiRec? gIdExt? dTfnRec* dCorElectRec* cPaisRec"),
	"gRucRec": "dTipoRuc dRuc dDV?",
	"gIdExt": "dIdExt dPaisExt?",
	"gDFRef": "dFechaDFRef gDFRefNum",
	"gDFRefFE": "dCUFERef",
	"gItem": (
		"dSecItem dDescProd dCodProd? cUnidad? dCantCodInt dFechaFab? dFechaCad? dCodCPBSabr? dCodCPBScmp? "
		"cUnidadCPBS? dInfEmFE? gPrecios gCodItem? gITBMSItem gISCItem? gOTIItem*"
	),
	"gPrecios": "dPrUnit dPrUnitDesc? dPrItem dPrAcarItem? dPrSegItem? dValTotItem",
	"gITBMSItem": "dTasaITBMS dValITBMS",
	"gISCItem": "dTasaISC dValISC",
	"gTot": (
		"dTotNeto dTotITBMS dTotISC? dTotGravado dTotDesc? dTotAcar? dTotSeg? dVTot dTotRec dVuelto? iPzPag "
		"dNroItems dVTotItems gDescBonif* gFormaPago+ gRetenc? gPagPlazo* gOTITotal*"
	),
	"gFormaPago": "iFormaPago dFormaPagoDesc? dVlrCuota",
	"gPagPlazo": "dSecItem dFecItPlazo dValItPlazo dInfPagPlazo?",
}
FORMS = {
	"dVerForm": r"1\.00",
	"iAmb": r"[12]",
	"iTpEmis": r"0[1-4]",
	"iDoc": r"0[1-9]|10",
	"dNroDF": r"[0-9]{10}",
	"dPtoFacDF": r"(?!000)[0-9]{3}",
	"dSeg": r"[0-9]{9}",
	"dFechaEm": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-05:00",
	"dSucEm": r"[0-9A-Za-z]{4}",
	"dCoordEm": r"[+-]\d{1,2}\.\d{4,6},[+-]\d{1,3}\.\d{4,6}",
	"dCodUbi": r"\d{1,2}-\d{1,2}-\d{1,3}",
	"dTfnEm": r"\d{3,4}-\d{4}",
	"dTfnRec": r"\d{3,4}-\d{4}",
	"cPaisRec": r"[A-Z]{2}",
}


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
			"issuer_province": "Panamá",
			"issuer_district": "Panamá",
			"issuer_corregimiento": "Bella Vista",
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
				"dDV": ruc.verification_digits(number, int(kind)),
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
		root = parse(text)
		if root is None or etree.QName(root) != f"{{{NAMESPACE}}}rFE":
			return _schema("Fallo de schema XML: xFe no contiene rFE")
		wrong = _out_of_order(root)
		if wrong:
			return _schema(f"Fallo de schema XML: {wrong}")
		try:
			facts = signature.verify(root)
		except signature.BadSignature as error:
			return Answer(200, _answer("0101", f"Firma inválida: {error}"))
		now = self.clock.now()
		if not facts.valid_from <= now <= facts.valid_until:
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
		digest = signature.digest_value(root)
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


def _out_of_order(element) -> str:
	"""What breaks the order or the form of an element, in the words of a schema; empty when nothing does."""
	name = etree.QName(element).localname
	children = [child for child in element if isinstance(child.tag, str)]
	if name == "Signature":
		return ""
	if name in ORDER:
		pattern = "".join(
			f"(?:{part.rstrip('?*+')} ){part[-1] if part[-1] in '?*+' else ''}"
			for part in ORDER[name].split()
		)
		found = "".join(f"{etree.QName(child).localname} " for child in children)
		if not re.fullmatch(pattern, found):
			return f"The element '{name}' has invalid content: {found.strip()}"
	if not children:
		text = element.text or ""
		if not text.strip():
			return f"The element '{name}' is empty"
		if name in FORMS and not re.fullmatch(FORMS[name], text):
			return f"Pattern constraint failed: {name} {text!r}"
	for child in children:
		wrong = _out_of_order(child)
		if wrong:
			return wrong
	return ""


def _sent(root, environment) -> Sent:
	def text(path, start=root):
		found = start.find("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
		return (found.text or "") if found is not None else ""

	general = root.find(f"{{{NAMESPACE}}}gDGen")
	code = text("dId")
	parts = cufe.parts(code)
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
		},
		lines=lines,
		payments=[
			(text("iFormaPago", part), amount(text("dVlrCuota", part), "dVlrCuota"))
			for part in totals.iter(f"{{{NAMESPACE}}}gFormaPago")
		],
		total=amount(text("dVTot", totals), "dVTot"),
		referenced=text("gDFRef/gDFRefNum/gDFRefFE/dCUFERef", general),
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
	if text("dNroItems", totals) != str(len(lines)):
		raise Refusal("dNroItems no corresponde", "0100")
