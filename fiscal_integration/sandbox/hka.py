"""The Factory HKA, Panama: SOAP and REST over one ledger (providers/hka.md).

Options: `folios` (how many are left, default 1000), `licence_until`, `token_seconds` (life of a REST token),
`inferred_paths` (whether REST has the paths that no public page names, default no), `pdf_path` ("Descarga" or
"DescargaPDF": which of the two REST paths gives the PDF).
"""

import base64
import json
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from lxml import etree

from fiscal_integration.sandbox import dgi_numbers
from fiscal_integration.sandbox.dgi import (
	ZONE,
	Dgi,
	Line,
	Refusal,
	Sent,
	amount,
	cafe,
	cents,
	close,
	other_environment,
)
from fiscal_integration.sandbox.kernel import Answer, Emulator

SERVICE = "/ws/obj/v1.0/Service.svc"
TEMPURI = "http://tempuri.org/"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_CONTRACT = "http://schemas.datacontract.org/2004/07/Services."
RESPONSE = _CONTRACT + "Response"
NAMESPACES = {
	"Enviar": _CONTRACT + "ObjComprobante.v1_0",
	"EstadoDocumento": _CONTRACT + "Model",
	"AnulacionDocumento": _CONTRACT + "Model",
	"DescargaXML": _CONTRACT + "Model",
	"DescargaPDF": _CONTRACT + "Model",
	"EnvioCorreo": _CONTRACT + "Model",
	"ConsultarRucDV": _CONTRACT + "ApiRest",
}
NAMES = {"Enviar": "issue", "EstadoDocumento": "get", "AnulacionDocumento": "cancel"}
REST = {
	"/api/Autenticacion": "token",
	"/api/Enviar": "Enviar",
	"/api/ConsultaRucDv": "ConsultarRucDV",
	"/api/Anulacion": "AnulacionDocumento",
	"/api/Descarga": "Descarga",
	"/api/DescargaPDF": "DescargaPDF",
	"/api/EstadoDocumento": "EstadoDocumento",
	"/api/FoliosRestantes": "FoliosRestantes",
}
INFERRED = ("/api/EstadoDocumento", "/api/FoliosRestantes")

# The members of each type in the order in which the service reads them; what comes later than its place is
# dropped without a word, as WCF does.
ORDER = {
	"documento": (
		"codigoSucursalEmisor tipoSucursal datosTransaccion listaItems totalesSubTotales pedidoComercialGlobal "
		"pedidoComercialItem infoLogistica infoEntrega usoPosterior"
	),
	"datosTransaccion": (
		"tipoEmision fechaInicioContingencia motivoContingencia tipoDocumento numeroDocumentoFiscal "
		"puntoFacturacionFiscal fechaEmision fechaSalida naturalezaOperacion tipoOperacion destinoOperacion "
		"formatoCAFE entregaCAFE envioContenedor procesoGeneracion tipoVenta informacionInteres cliente "
		"datosFacturaExportacion listaDocsFiscalReferenciados listaAutorizadosDescargaFEyEventos"
	),
	"cliente": (
		"tipoClienteFE tipoContribuyente numeroRUC digitoVerificadorRUC razonSocial direccion codigoUbicacion "
		"provincia distrito corregimiento tipoIdentificacion nroIdentificacionExtranjero paisExtranjero "
		"telefono1 telefono2 telefono3 correoElectronico1 correoElectronico2 correoElectronico3 pais paisOtro"
	),
	"datosFacturaExportacion": (
		"condicionesEntrega monedaOperExportacion monedaOperExportacionNonDef tipoDeCambio "
		"montoMonedaExtranjera puertoEmbarque"
	),
	"docFiscalReferenciado": (
		"fechaEmisionDocFiscalReferenciado cufeFEReferenciada nroFacturaPapel nroFacturaIF"
	),
	"item": (
		"descripcion codigo unidadMedida cantidad fechaFabricacion fechaCaducidad codigoCPBSAbrev codigoCPBS "
		"unidadMedidaCPBS infoItem precioUnitario precioUnitarioDescuento precioItem precioAcarreo precioSeguro "
		"valorTotal codigoGTIN cantGTINCom codigoGTINInv cantGTINComInv tasaITBMS valorITBMS tasaISC valorISC "
		"listaItemOTI vehiculo medicina"
	),
	"totalesSubTotales": (
		"totalPrecioNeto totalITBMS totalISC totalMontoGravado totalDescuento totalAcarreoCobrado "
		"valorSeguroCobrado totalFactura totalValorRecibido vuelto tiempoPago nroItems totalTodosItems "
		"totalOtrosGastos listaDescBonificacion listaFormaPago retencion listaPagoPlazo listaTotalOTI"
	),
	"formaPago": "formaPagoFact descFormaPago valorCuotaPagada",
	"pagoPlazo": "fechaVenceCuota valorCuota infoPagoCuota",
	"datosDocumento": (
		"codigoSucursalEmisor numeroDocumentoFiscal puntoFacturacionFiscal serialDispositivo tipoDocumento "
		"tipoEmision"
	),
	"descuentoBonificacion": "descDescuento montoDescuento",
	"retencion": "codigoRetencion montoRetencion",
}
LISTS = {
	"listaItems": "item",
	"listaDescBonificacion": "descuentoBonificacion",
	"listaFormaPago": "formaPago",
	"listaPagoPlazo": "pagoPlazo",
	"listaDocsFiscalReferenciados": "docFiscalReferenciado",
}
NOT_FOR_FOREIGNERS = (
	"tipoContribuyente",
	"numeroRUC",
	"digitoVerificadorRUC",
	"codigoUbicacion",
	"provincia",
	"distrito",
	"corregimiento",
)
TAXPAYERS = {
	"155596713-2-2015": ("2", "Distribuidora Chiriquí, S.A."),
	"8-442-445": ("1", "Persona de Prueba"),
}


class HkaEmulator(Emulator):
	key: ClassVar[str] = "hka"
	base: ClassVar[str] = SERVICE

	def __init__(self, *arguments, **options):
		self.tokens: dict[str, tuple[datetime, bool]] = {}
		super().__init__(*arguments, **options)

	def secret_key(self, live=False):
		return "SandboxTokenPasswordProduccion" if live else "SandboxTokenPassword"

	def company_token(self, live=False):
		return "sandboxempresaproduccion_tfhka" if live else "sandboxempresa_tfhka"

	def parameters(self, live=False):
		return {"token_company": self.company_token(live)}

	def clear(self):
		self.dgi = Dgi(self.clock)
		self.tokens.clear()
		self.used = 0

	def dump(self):
		return {"documents": self.dgi.documents}

	def load(self, state):
		self.dgi.documents = state.get("documents", {})

	def ledger(self):
		with self.lock:
			return self.dgi.ledger()

	# -- one request -------------------------------------------------------------------------------------

	def operation(self, method, path):
		if path.startswith("/api/"):
			name = REST.get(path.rstrip("/"), "other")
			return NAMES.get(name, name)
		# A SOAP operation stands in its header; faults for "issue" are taken in `_soap`.
		return "soap"

	def take_fault(self, operation, text):
		if operation == "soap":
			for name in ("AnulacionDocumento", "EstadoDocumento", "Enviar"):
				if f":{name}" in text:
					operation = NAMES[name]
					break
		return super().take_fault(operation, text)

	def ordered(self, fault):
		status = int(fault.options.get("status") or 500)
		if fault.options.get("code"):
			# The service's own errors come with HTTP 200.
			return Answer(
				200,
				{
					"codigo": fault.options["code"],
					"resultado": "error",
					"mensaje": "Falla ordenada en el sandbox",
				},
			)
		return Answer(status, "<html><body>Server Error</body></html>", content_type="text/html")

	def _with_fault(self, operation, method, path, query, headers, body):
		answer = super()._with_fault(operation, method, path, query, headers, body)
		if operation == "soap" and isinstance(answer.body, dict):
			# An ordered error, which SOAP wants in its envelope.
			action = {name.lower(): value for name, value in headers.items()}.get("soapaction", "")
			answer.body = _response(action.strip('"').rsplit("/", 1)[-1], answer.body)
			answer.content_type = "text/xml; charset=utf-8"
		return answer

	def spoil(self, kind, body):
		if kind == "no_uuid":
			return {**body, "cufe": ""}
		if kind == "wrong_livemode" and body.get("cufe"):
			return {**body, "cufe": other_environment(body["cufe"])}
		return body

	def serve(self, operation, method, path, query, headers, body, fault):
		with self.lock:
			if path.startswith("/api/"):
				return self._rest(path.rstrip("/"), headers, body)
			if path.rstrip("/") != SERVICE or method != "POST":
				return Answer(404, "<html>Endpoint not found.</html>", content_type="text/html")
			return self._soap(body, headers, fault)

	# -- SOAP --------------------------------------------------------------------------------------------

	def _soap(self, body, headers, fault):
		try:
			root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
			call = root.find(f"{{{ENVELOPE}}}Body")[0]
		except (etree.XMLSyntaxError, TypeError, IndexError):
			return _fault("a:DeserializationFailed", "The request could not be read.")
		operation = etree.QName(call).localname
		action = {name.lower(): value for name, value in headers.items()}.get("soapaction", "").strip('"')
		if action != f"{TEMPURI}IService/{operation}" or etree.QName(call).namespace != TEMPURI:
			return _fault("a:ActionNotSupported", f"The message with Action '{action}' cannot be processed.")
		values = {}
		for child in call:
			if etree.QName(child).namespace == TEMPURI:
				values[etree.QName(child).localname] = _members(child, NAMESPACES.get(operation, ""))
		if operation == "Enviar" and not isinstance(values.get("documento"), dict):
			return _fault(
				"a:DeserializationFailed",
				"There was an error while trying to deserialize parameter http://tempuri.org/:documento.",
			)
		request = values.get("consultarRucDVRequest") or values
		live = self._company(request.get("tokenEmpresa"), request.get("tokenPassword"))
		if live is None:
			result = _error("101", "Token de emisor invalido.")
		else:
			result = self._perform(operation, {**values, **request}, live)
		if result is None:
			return _fault("a:ActionNotSupported", f"There is no operation {operation}.")
		if fault is not None and fault.kind not in ("slow", "lost_after_commit"):
			result = self.spoil(fault.kind, result)
		return Answer(200, _response(operation, result), content_type="text/xml; charset=utf-8")

	def _company(self, company, password):
		"""False for the test tokens, True for production's, None for others."""
		for live in (False, True):
			if (company, password) == (self.company_token(live), self.secret_key(live)):
				return live
		return None

	# -- REST --------------------------------------------------------------------------------------------

	def _rest(self, path, headers, body):
		if path not in REST or (path in INFERRED and not self.options.get("inferred_paths")):
			return Answer(404, "", content_type="text/plain")
		try:
			data = json.loads(body)
		except ValueError:
			return Answer(400, {"codigo": "400", "resultado": "error", "mensaje": "JSON inválido"})
		if path == "/api/Autenticacion":
			return self._authenticate(data)
		given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
		until, live = self.tokens.get(given.removeprefix("Bearer "), (None, False))
		if until is None:
			return Answer(401, {"codigo": "401", "mensaje": "No autorizado"})
		if until <= self.clock.now():
			return Answer(200, _error("212", "El token ha expirado."))
		if REST[path] in ("Descarga", "DescargaPDF"):
			return self._download(path, data)
		result = self._perform(REST[path], data, live)
		return Answer(200, result)

	def _authenticate(self, data):
		live = self._company(data.get("usuario"), data.get("clave"))
		if live is None:
			return Answer(200, {**_error("101", "Token de emisor invalido."), "token": None})
		token = f"eyJhbGciOiJIUzI1NiJ9.{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(16)}"
		until = self.clock.now() + timedelta(seconds=float(self.options.get("token_seconds", 3600)))
		self.tokens[token] = (until, live)
		return Answer(
			200,
			{
				"codigo": "200",
				"mensaje": "Autenticado",
				"token": token,
				"expiracion": until.isoformat().replace("+00:00", "Z"),
			},
		)

	def _download(self, path, data):
		wanted = "/api/DescargaPDF" if self.options.get("pdf_path") == "DescargaPDF" else "/api/Descarga"
		kind = data.get("tipoArchivo", "PDF")
		if path != wanted and kind == "PDF":
			return Answer(404, "", content_type="text/plain")
		entry = self.dgi.documents.get(data.get("cufe", ""))
		if not entry:
			return Answer(200, {"Codigo": "102", "Resultado": "Error", "Mensaje": "Documento no existe."})
		if path == "/api/DescargaPDF":
			return Answer(200, cafe(entry), content_type="application/pdf")
		content = cafe(entry) if kind == "PDF" else entry["xml"].encode()
		return Answer(
			200,
			{
				"Codigo": "200",
				"Resultado": "Procesado",
				"Mensaje": "Se retorna el archivo solicitado.",
				"Archivo": base64.b64encode(content).decode(),
			},
		)

	# -- the operations ----------------------------------------------------------------------------------

	def _perform(self, operation, values, live) -> dict | None:
		environment = "1" if live else "2"
		if operation == "Enviar":
			return self._send(values.get("documento"), environment)
		if operation == "FoliosRestantes":
			return self._folios()
		if operation == "ConsultarRucDV":
			return self._taxpayer(str(values.get("tipoRuc") or ""), str(values.get("ruc") or ""))
		where = values.get("datosDocumento")
		if not isinstance(where, dict):
			return _error("201", "Error al procesar solicitud.") if operation in NAMESPACES else None
		entry = self.dgi.find(
			environment,
			where.get("codigoSucursalEmisor", ""),
			where.get("puntoFacturacionFiscal", ""),
			where.get("numeroDocumentoFiscal", ""),
			where.get("tipoDocumento", ""),
		)
		serial = entry.get("serial") if entry else None
		if not entry or (serial and where.get("serialDispositivo") != serial):
			return _error("102", "Documento no existe.")
		if operation == "EstadoDocumento":
			return self._state(entry)
		if operation == "AnulacionDocumento":
			code, text = self.dgi.cancel(entry, str(values.get("motivoAnulacion") or ""))
			if code == "0600":
				return _ok(mensaje="Proceso de Anulación ejecutado con éxito.")
			return _error("201", f"{code} - {text}")
		if operation in ("DescargaXML", "DescargaPDF"):
			content = entry["xml"].encode() if operation == "DescargaXML" else cafe(entry)
			return _ok(
				mensaje="Se retorna el archivo solicitado.", documento=base64.b64encode(content).decode()
			)
		return None

	@staticmethod
	def _state(entry):
		def moment(text):
			return datetime.fromisoformat(text).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")

		cancelled = entry["status"] == "cancelled"
		return _ok(
			mensaje="Se retornan datos del documento.",
			cufe=entry["cufe"],
			fechaEmisionDocumento=moment(entry["issued_at"]),
			fechaRecepcionDocumento=moment(entry["received_at"]),
			estatusDocumento="Anulada" if cancelled else "Autorizada",
			mensajeDocumento="Documento anulado" if cancelled else "Autorizado el uso de la FE",
		)

	def _folios(self):
		total = int(self.options.get("folios", 1000))
		until = self.options.get("licence_until") or f"{self.clock.now().year + 1}-12-31"
		left = max(total - self.used, 0)
		return _ok(
			mensaje="Se retorna Licencia y Disponibilidad",
			licencia="SANDBOX",
			fechaLicencia=f"{self.clock.now().year}-01-01 / {until}",
			ciclo="1",
			fechaCiclo=f"{self.clock.now().year}-01-01 / {until}",
			foliosTotalesCiclo=str(total),
			foliosUtilizadosCiclo=str(self.used),
			foliosDisponibleCiclo=str(left),
			foliosTotales=str(total),
		)

	@staticmethod
	def _taxpayer(kind, number):
		known = TAXPAYERS.get(number)
		if not known or known[0] != kind:
			return _error("201", "0640 - CONTRIBUYENTE NO INSCRITO")
		return {
			"codigo": "200",
			"mensaje": "Consulta exitosa",
			"resultado": "Procesado",
			"infoRuc": {
				"tipoRuc": kind,
				"ruc": number,
				"dv": dgi_numbers.dv(number, int(kind)),
				"razonSocial": known[1],
				"afiliadoFE": "SI",
			},
		}

	def _send(self, documento, environment):
		try:
			if int(self.options.get("folios", 1000)) <= self.used:
				raise Refusal("No posee folios disponibles")
			sent = _sent(documento, environment)
			entry = self.dgi.register(sent)
		except Refusal as refusal:
			if refusal.code == "receiver":
				return _error("201", "Error al procesar solicitud.")
			return _error("201" if refusal.code != "rule" else "203", f"{refusal.code} - {refusal}")
		self.used += 1
		return _ok(
			mensaje="El documento se envió correctamente.",
			cufe=entry["cufe"],
			qr=entry["qr"],
			fechaRecepcionDGI=entry["received_at"],
			nroProtocoloAutorizacion=entry["protocol"],
			fechaLimite=None,
		)


def _sent(documento, environment) -> Sent:
	"""The object that a client gives as the DGI's document, with HKA's own rules (1.6)."""
	if not isinstance(documento, dict):
		raise Refusal("documento es requerido", "0100")
	general = documento.get("datosTransaccion") or {}
	totals = documento.get("totalesSubTotales") or {}
	client = general.get("cliente") or {}
	for name in (
		"tipoEmision tipoDocumento numeroDocumentoFiscal puntoFacturacionFiscal fechaEmision naturalezaOperacion "
		"tipoOperacion destinoOperacion formatoCAFE entregaCAFE envioContenedor procesoGeneracion"
	).split():
		if not general.get(name):
			raise Refusal(f"datosTransaccion.{name} es requerido", "0100", name)
	for holder, value in _every(documento):
		if value is None or value == "":
			raise Refusal(f"{holder} va sin valor: no debe enviarse", "0100", holder)
		if not isinstance(value, str):
			raise Refusal(f"{holder} debe ser texto", "0100", holder)
	kind = client.get("tipoClienteFE")
	if kind == "04" and any(client.get(name) for name in NOT_FOR_FOREIGNERS):
		raise Refusal("Error al procesar solicitud.", "receiver")
	abroad = general["destinoOperacion"] == "2"
	if (client.get("pais", "PA") == "PA") == abroad:
		raise Refusal("pais no corresponde a destinoOperacion", "0100", "pais")
	if general["tipoDocumento"] in ("04", "05", "06", "07") and general.get("tipoVenta"):
		raise Refusal("tipoVenta no se informa si no es venta", "0100", "tipoVenta")
	for name in ("telefono1", "telefono2", "telefono3"):
		parts = (client.get(name) or "999-9999").split("-")
		if not all(part.isdigit() for part in parts) or [len(part) for part in parts] not in ([3, 4], [4, 4]):
			raise Refusal(f"{name} debe ser 999-9999 o 9999-9999", "0100", name)
	lines = []
	for item in _listed(documento, "listaItems", "item"):
		lines.append(
			Line(
				description=item.get("descripcion", ""),
				quantity=amount(item.get("cantidad"), "cantidad"),
				price=amount(item.get("precioUnitario"), "precioUnitario"),
				discount=amount(item.get("precioUnitarioDescuento", "0"), "precioUnitarioDescuento"),
				itbms_code=item.get("tasaITBMS", ""),
				itbms=amount(item.get("valorITBMS"), "valorITBMS"),
				isc=amount(item.get("valorISC", "0"), "valorISC"),
				net=amount(item.get("precioItem"), "precioItem"),
				total=amount(item.get("valorTotal"), "valorTotal"),
				cpbs=item.get("codigoCPBS", ""),
				isc_rate=amount(item["tasaISC"], "tasaISC") if "tasaISC" in item else None,
			)
		)
		if item.get("codigoCPBSAbrev", "") != item.get("codigoCPBS", "")[:2]:
			raise Refusal(
				"codigoCPBSAbrev son los dos primeros dígitos de codigoCPBS", "0100", "codigoCPBSAbrev"
			)
	payments = [
		(part.get("formaPagoFact", ""), amount(part.get("valorCuotaPagada"), "valorCuotaPagada"))
		for part in _listed(totals, "listaFormaPago", "formaPago")
	]
	for part in _listed(totals, "listaFormaPago", "formaPago"):
		other = part.get("formaPagoFact") == "99"
		if other != bool(part.get("descFormaPago")) or (
			other and not 10 <= len(part["descFormaPago"]) <= 100
		):
			raise Refusal("descFormaPago va solo con 99, de 10 a 100 caracteres", "0100")
	_check_totals(totals, lines, payments)
	retention = totals.get("retencion") or {}
	references = _listed(general, "listaDocsFiscalReferenciados", "docFiscalReferenciado")
	try:
		issued_at = datetime.fromisoformat(general["fechaEmision"])
	except ValueError:
		raise Refusal("fechaEmision debe ser AAAA-MM-DDThh:mm:ss-05:00", "0100") from None
	if not general["fechaEmision"].endswith("-05:00"):
		raise Refusal("fechaEmision debe terminar en -05:00", "0100")
	export = general.get("datosFacturaExportacion") or {}
	if export and len(export.get("condicionesEntrega", "")) != 3:
		raise Refusal("condicionesEntrega es el INCOTERM", "0100")
	if 0 < len(export.get("puertoEmbarque", "12345")) < 5:
		raise Refusal("puertoEmbarque tiene de 5 a 50 caracteres", "0100", "puertoEmbarque")
	if export and export.get("monedaOperExportacion") != "USD":
		told = amount(export.get("montoMonedaExtranjera"), "montoMonedaExtranjera")
		rate = amount(export.get("tipoDeCambio"), "tipoDeCambio")
		if not close(told, rate * amount(totals["totalFactura"], "totalFactura"), Decimal("0.01")):
			raise Refusal("montoMonedaExtranjera = tipoDeCambio x totalFactura")
	return Sent(
		type=general["tipoDocumento"],
		branch=documento.get("codigoSucursalEmisor", ""),
		point=general["puntoFacturacionFiscal"],
		number=general["numeroDocumentoFiscal"],
		emission=general["tipoEmision"],
		issued_at=issued_at,
		environment=environment,
		receiver={
			"kind": kind,
			"name": client.get("razonSocial"),
			"ruc": client.get("numeroRUC"),
			"dv": client.get("digitoVerificadorRUC"),
			"taxpayer_type": client.get("tipoContribuyente"),
			"address": client.get("direccion"),
			"foreign_id": client.get("nroIdentificacionExtranjero"),
			"place": tuple(
				client.get(name) or ""
				for name in ("codigoUbicacion", "corregimiento", "distrito", "provincia")
			),
		},
		lines=lines,
		payments=payments,
		total=amount(totals.get("totalFactura"), "totalFactura"),
		discount=amount(totals.get("totalDescuento", "0"), "totalDescuento"),
		retention=(
			(
				retention.get("codigoRetencion", ""),
				amount(retention.get("montoRetencion"), "montoRetencion"),
			)
			if retention
			else None
		),
		referenced=references[0].get("cufeFEReferenciada", "") if references else "",
		export=bool(export) or (abroad and general["tipoDocumento"] == "03"),
		note=general.get("informacionInteres", ""),
	)


def _check_totals(totals, lines, payments):
	def told(name, default=None):
		return amount(totals.get(name, default), name)

	net = sum((line.quantity * (line.price - line.discount) for line in lines), Decimal(0))
	taxes = sum((line.itbms + line.isc for line in lines), Decimal(0))
	received = sum((value for _code, value in payments), Decimal(0))
	for name, value in (
		("totalPrecioNeto", net),
		("totalITBMS", sum((line.itbms for line in lines), Decimal(0))),
		("totalISC", sum((line.isc for line in lines), Decimal(0))),
		("totalMontoGravado", taxes),
		("totalTodosItems", sum((line.total for line in lines), Decimal(0))),
		("totalFactura", told("totalTodosItems") - told("totalDescuento", "0")),
		("totalValorRecibido", received),
		("vuelto", received - told("totalFactura")),
	):
		# Sums of rounded parts may be off by a cent.
		if not close(told(name, "0"), cents(value), Decimal("0.01")):
			raise Refusal(f"{name} debe ser {cents(value)}", where=name)
	reasons = [
		amount(part.get("montoDescuento"), "montoDescuento")
		for part in _listed(totals, "listaDescBonificacion", "descuentoBonificacion")
	]
	if sum(reasons, Decimal(0)) != told("totalDescuento", "0"):
		raise Refusal("totalDescuento debe ser la suma de listaDescBonificacion", where="totalDescuento")
	if totals.get("nroItems") != str(len(lines)):
		raise Refusal(f"nroItems debe ser {len(lines)}", "0100")
	credit = [code for code, _value in payments if code == "01"]
	expected = "1" if not credit else "2" if len(payments) == 1 else "3"
	if totals.get("tiempoPago") != expected:
		raise Refusal(f"tiempoPago debe ser {expected}", "0100")
	terms = _listed(totals, "listaPagoPlazo", "pagoPlazo")
	if bool(terms) != bool(credit):
		raise Refusal("listaPagoPlazo va con la forma de pago 01", "0100")
	owed = sum((value for code, value in payments if code == "01"), Decimal(0))
	if terms and sum(amount(term.get("valorCuota"), "valorCuota") for term in terms) != owed:
		raise Refusal("Las cuotas no suman lo que se debe", "0100")


def _listed(holder: dict, name: str, member: str) -> list[dict]:
	"""A list, as REST has it or wrapped as SOAP has it."""
	found = holder.get(name) or []
	if isinstance(found, dict):
		found = found.get(member) or []
		found = found if isinstance(found, list) else [found]
	return [entry for entry in found if isinstance(entry, dict)]


def _every(value, path="documento"):
	if isinstance(value, dict):
		for key, entry in value.items():
			yield from _every(entry, f"{path}.{key}")
	elif isinstance(value, list):
		for entry in value:
			yield from _every(entry, path)
	else:
		yield path, value


def _members(element, namespace, kind=None):
	"""An element's members: only those of the operation's namespace, and in the order of their type."""
	children = [child for child in element if isinstance(child.tag, str)]
	if not children:
		return element.text or ""
	order = ORDER.get(kind or etree.QName(element).localname, "").split()
	found, place = {}, -1
	for child in children:
		name = etree.QName(child)
		if name.namespace != namespace:
			continue
		if order:
			if name.localname not in order or order.index(name.localname) < place:
				continue
			place = order.index(name.localname)
		value = _members(child, namespace)
		if name.localname in found:
			known = found[name.localname]
			found[name.localname] = [*known, value] if isinstance(known, list) else [known, value]
		else:
			found[name.localname] = value
	return found


def _ok(**values) -> dict:
	return {"codigo": "200", "resultado": "procesado", **values}


def _error(code, message) -> dict:
	return {"codigo": code, "resultado": "error", "mensaje": message}


def _response(operation, result) -> bytes:
	nsmap = {"s": ENVELOPE}
	root = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap=nsmap)
	body = etree.SubElement(root, f"{{{ENVELOPE}}}Body")
	outer = etree.SubElement(body, f"{{{TEMPURI}}}{operation}Response", nsmap={None: TEMPURI})
	inner = etree.SubElement(outer, f"{{{TEMPURI}}}{operation}Result", nsmap={"a": RESPONSE})

	def add(parent, values):
		for name, value in sorted(values.items()):
			element = etree.SubElement(parent, f"{{{RESPONSE}}}{name}")
			if isinstance(value, dict):
				add(element, value)
			elif value is None:
				element.set("{http://www.w3.org/2001/XMLSchema-instance}nil", "true")
			else:
				element.text = str(value)

	add(inner, result)
	return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _fault(code, text) -> Answer:
	root = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap={"s": ENVELOPE})
	body = etree.SubElement(root, f"{{{ENVELOPE}}}Body")
	fault = etree.SubElement(body, f"{{{ENVELOPE}}}Fault")
	etree.SubElement(fault, "faultcode").text = code
	etree.SubElement(fault, "faultstring").text = text
	return Answer(500, etree.tostring(root), content_type="text/xml; charset=utf-8")
