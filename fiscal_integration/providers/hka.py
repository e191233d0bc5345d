"""The Factory HKA, Panama: SOAP and REST (providers/hka.md).

HKA builds and signs the rFE itself; it is given the document as an object. What was frozen is that object as
JSON; the envelope of SOAP and the tokens are put around it when it is sent, always in the same way.
"""

import base64
import binascii
import json
import re
from datetime import date, datetime, timezone

from fiscal_integration.fiscal.errors import ErrorClass, ErrorRule, Failure, Problem
from fiscal_integration.fiscal.invoice import Coordinates
from fiscal_integration.fiscal.money import MICRO, ZERO, quantize
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.panama import rfe
from fiscal_integration.fiscal.remote import Expected, RemoteDocument, RemoteStatus
from fiscal_integration.fiscal.words import say
from fiscal_integration.fiscal.xml import parse
from fiscal_integration.providers import soap
from fiscal_integration.providers.base import (
	PRODUCTION,
	SECRET_KEY,
	TEST,
	Cancellation,
	CancelStatus,
	Capabilities,
	Download,
	Lookup,
	Outcome,
	Parameter,
	Payload,
	Ping,
	Supply,
	Taxpayer,
)
from fiscal_integration.providers.http import check_url
from fiscal_integration.providers.panama import (
	CANCEL_WINDOW,
	PanamaProvider,
	cents,
	exact,
	facts_of,
	moment,
	noted,
	number_of,
	without_blanks,
	written,
)

SOAP, REST = "SOAP", "REST"
SERVICE = "/ws/obj/v1.0/Service.svc"
REST_URLS = {
	"https://demoemision.thefactoryhka.com.pa" + SERVICE: "https://demointegracion.thefactoryhka.com.pa",
	"https://emision.thefactoryhka.com.pa" + SERVICE: "https://integracion.thefactoryhka.com.pa",
}
TEMPURI = "http://tempuri.org/"
_CONTRACT = "http://schemas.datacontract.org/2004/07/Services."
NAMESPACES = {
	"Enviar": _CONTRACT + "ObjComprobante.v1_0",
	"EstadoDocumento": _CONTRACT + "Model",
	"AnulacionDocumento": _CONTRACT + "Model",
	"DescargaXML": _CONTRACT + "Model",
	"DescargaPDF": _CONTRACT + "Model",
	"ConsultarRucDV": _CONTRACT + "ApiRest",
}
REST_PATHS = {
	"Enviar": "/api/Enviar",
	"AnulacionDocumento": "/api/Anulacion",
	"ConsultarRucDV": "/api/ConsultaRucDv",
	# Named in no public page; where they are not found, SOAP is asked instead.
	"EstadoDocumento": "/api/EstadoDocumento",
	"FoliosRestantes": "/api/FoliosRestantes",
}
OPERATIONS = {
	"Enviar": "issue",
	"EstadoDocumento": "reconcile",
	"AnulacionDocumento": "cancel",
	"DescargaPDF": "pdf",
	"DescargaXML": "xml",
	"FoliosRestantes": "ping",
	"ConsultarRucDV": "taxpayer",
}
LISTS = {
	"listaItems": "item",
	"listaDescBonificacion": "descuentoBonificacion",
	"listaFormaPago": "formaPago",
	"listaPagoPlazo": "pagoPlazo",
	"listaDocsFiscalReferenciados": "docFiscalReferenciado",
}
"""What SOAP wraps the entries of a list in; REST has plain arrays."""

OK, BAD_TOKEN, ABSENT, TOKEN_EXPIRED = "200", "101", "102", "212"
ALREADY_CANCELLED = "0622"
DUPLICATES = ("1002", "1513")
_DGI_CODE = re.compile(r"\b([0-9]{4})\b")
RENEW_SECONDS = 300
"""A token is renewed this long before its end."""
TOKEN_SECONDS = 3300
"""How long a token is used whose end is not told."""
NORMAL_EMISSION = "01"

STATUSES = {
	"autorizada": RemoteStatus.ISSUED,
	"anulada": RemoteStatus.CANCELLED,
	"cancelada": RemoteStatus.CANCELLED,
	"rechazada": RemoteStatus.FAILED,
}
CONFIGURATION = ErrorRule(
	ErrorClass.CONFIGURATION,
	"The Factory HKA does not accept the tokens. Enter those of this environment anew.",
)


class HKA(PanamaProvider):
	"""Documents through The Factory HKA's service, over SOAP or REST."""

	key = "hka"
	label = "The Factory HKA"
	urls = dict(zip((TEST, PRODUCTION), REST_URLS, strict=True))
	capabilities = Capabilities(
		cancel=True,
		pdf=True,
		xml=True,
		numbered=True,
		taxpayers=True,
		supply=True,
		max_concurrent=4,
		absence_grace=300,
	)
	parameters = (
		Parameter(
			SECRET_KEY, "Token Password", required=True, secret=True, help="HKA gives it with the other."
		),
		Parameter("token_company", "Token Empresa", required=True, secret=True),
		Parameter(
			"transport",
			"Interface",
			default=SOAP,
			options=(SOAP, REST),
			help="Both issue the same documents. SOAP is the one that HKA documents in full.",
		),
		Parameter(
			"branch_code", "Branch Code", default="0000", help="Four characters; 0000 is the head office."
		),
		Parameter("point_code", "POS", default="001", help="Point of sale, 001 to 999."),
		Parameter("serial_device", "Serial Device", help="Only if HKA issued one."),
		Parameter(
			"rest_url",
			"REST Address",
			help="Blank: HKA's own of the environment. The server URL is that of the SOAP service.",
			address=True,
		),
		Parameter(
			"low_supply", "Alert When Fewer Folios Are Left Than", default="100", help="Looked at every day."
		),
		CANCEL_WINDOW,
	)
	errors = {
		BAD_TOKEN: CONFIGURATION,
		"201": ErrorRule(
			ErrorClass.REJECTED,
			"HKA could not process the data. Check the customer's type, RUC, DV and address.",
		),
		**{
			code: ErrorRule(
				ErrorClass.DUPLICATE, "There is a document of this number: it is fetched and compared."
			)
			for code in DUPLICATES
		},
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
		wrong = check_url(given["rest_url"]) if given.get("rest_url") else ""
		if wrong:
			problems.append(Problem(wrong, field="rest_url"))
		if not (given.get("low_supply") or "0").isdigit():
			problems.append(Problem("The number of folios has to be a whole number.", field="low_supply"))
		return problems

	@classmethod
	def check_coordinates(cls, coordinates):
		return dgi.coordinates_problems(coordinates)

	def coordinates(self):
		return _coordinates(self.connection.parameters)

	def ping(self):
		found = self._call("FoliosRestantes", {})
		if isinstance(found, Failure):
			return Ping(False, found.message)
		supply = _supply(found)
		details = []
		if supply.left is not None:
			details.append(("Folios left", str(supply.left)))
		if supply.until:
			details.append(("Licence until", supply.until.isoformat()))
		if supply.left == 0:
			return Ping(False, "No folios are left: buy some from The Factory HKA.", tuple(details))
		return Ping(True, "Connection successful", tuple(details))

	def supply(self):
		found = self._call("FoliosRestantes", {})
		return Supply(failure=found) if isinstance(found, Failure) else _supply(found)

	# -- before sending ----------------------------------------------------------------------------------

	def build(self, invoice, reference, idempotency_key, now):
		document = dgi.of(invoice)
		coordinates = document.coordinates
		body = {
			"codigoSucursalEmisor": coordinates.branch,
			"datosTransaccion": _transaction(document, reference),
			"listaItems": [_item(item) for item in document.items],
			"totalesSubTotales": _totals(document),
		}
		receiver = document.receiver
		return Payload(
			json.dumps({"documento": without_blanks(body)}, ensure_ascii=False, separators=(",", ":")),
			Expected(
				document_type=document.type,
				total=document.totals.invoice,
				currency="",
				receiver=receiver.ruc or receiver.foreign_id,
				environment=self.connection.environment,
				number=number_of(coordinates),
			),
			provider_id="/".join(
				(
					coordinates.branch,
					coordinates.point,
					f"{coordinates.number:010d}",
					document.type,
					NORMAL_EMISSION,
					coordinates.serial_device,
				)
			),
		)

	# -- calls -------------------------------------------------------------------------------------------

	def issue(self, body):
		documento = json.loads(body)["documento"]
		found = self._call("Enviar", {"documento": documento}, issuing=True, body=body)
		if isinstance(found, Failure):
			return Outcome(failure=found)
		code = _text(found, "cufe")
		if not code:
			return Outcome(
				failure=Failure(
					ErrorClass.UNKNOWN,
					"HKA answered that it succeeded, but without a CUFE.",
					"no_cufe",
				)
			)
		transaction = documento["datosTransaccion"]
		limit = _text(found, "fechaLimite")
		return Outcome(
			document=RemoteDocument(
				status=RemoteStatus.ISSUED,
				fiscal_id=code,
				**facts_of(code),
				authorization_number=_text(found, "nroProtocoloAutorizacion"),
				authorized_at=moment(_text(found, "fechaRecepcionDGI")),
				issued_at=moment(transaction["fechaEmision"]),
				qr_value=_text(found, "qr"),
				stamps=(("fechaLimite", limit),) if limit else (),
			)
		)

	def reconcile(self, reference, provider_id=""):
		found = self._call("EstadoDocumento", {"datosDocumento": _by_coordinates(provider_id)})
		if isinstance(found, Failure):
			return Lookup() if found.code == ABSENT else Lookup(failure=found)
		code = _text(found, "cufe")
		state = _text(found, "estatusDocumento")
		status = STATUSES.get(state.lower(), RemoteStatus.PENDING)
		if status is RemoteStatus.FAILED or not code:
			status = RemoteStatus.FAILED if status is RemoteStatus.FAILED else RemoteStatus.PENDING
			return Lookup((RemoteDocument(status=status, message=_text(found, "mensajeDocumento") or state),))
		# The status tells neither receiver nor total; the document itself does.
		file = self._file("xml", provider_id, code)
		if file.failure:
			return Lookup(failure=file.failure)
		summary = rfe.summary(file.content)
		if not summary:
			return Lookup(
				failure=Failure(
					ErrorClass.TRANSIENT,
					"The XML of the document could not be read, so that it cannot be compared.",
					"unreadable",
				)
			)
		return Lookup(
			(
				RemoteDocument(
					status=status,
					provider_id=provider_id,
					fiscal_id=code,
					**facts_of(code),
					external_reference=summary.reference,
					total=summary.total,
					receiver=summary.receiver,
					qr_value=summary.qr_value,
					issued_at=moment(_text(found, "fechaEmisionDocumento")),
					authorized_at=moment(_text(found, "fechaRecepcionDocumento")),
					message=_text(found, "mensajeDocumento"),
				),
			)
		)

	def cancel(self, held, request):
		found = self._call(
			"AnulacionDocumento",
			{"motivoAnulacion": request.reason.strip(), "datosDocumento": _by_coordinates(held.provider_id)},
			issuing=True,
		)
		if not isinstance(found, Failure):
			return Cancellation(CancelStatus.CANCELLED, _text(found, "mensaje"))
		if found.code == ALREADY_CANCELLED:
			return Cancellation(CancelStatus.CANCELLED, found.message)
		if found.error_class is ErrorClass.REJECTED:
			return Cancellation(CancelStatus.REFUSED, found.message)
		return Cancellation(failure=found)

	def pdf(self, held):
		return self._file("pdf", held.provider_id, held.fiscal_id)

	def xml(self, held):
		return self._file("xml", held.provider_id, held.fiscal_id)

	def taxpayer(self, tax_id, taxpayer_type):
		found = self._call("ConsultarRucDV", {"tipoRuc": taxpayer_type, "ruc": tax_id})
		if isinstance(found, Failure):
			if found.error_class is ErrorClass.REJECTED:
				return Taxpayer()
			return Taxpayer(failure=found)
		info = found.get("infoRuc")
		if not isinstance(info, dict) or not _text(info, "dv"):
			return Taxpayer()
		return Taxpayer(
			True,
			_text(info, "ruc") or tax_id,
			_text(info, "razonSocial"),
			_text(info, "dv").zfill(2),
			_text(info, "tipoRuc") or taxpayer_type,
		)

	def _file(self, kind: str, provider_id: str, code: str) -> Download:
		"""PDF or XML: over SOAP by the document's coordinates, over REST by its CUFE."""
		operation = f"Descarga{kind.upper()}"
		if self.parameter("transport") == REST:
			found = self._rest(operation, "/api/Descarga", {"cufe": code, "tipoArchivo": kind.upper()})
			if isinstance(found, Failure) and found.code == "not_found" and kind == "pdf":
				# Another public client names this path for the same thing.
				found = self._rest(operation, "/api/DescargaPDF", {"cufe": code}, raw=True)
				if isinstance(found, bytes):
					return _file(found, kind)
		else:
			found = self._soap(operation, {"datosDocumento": _by_coordinates(provider_id)})
		if isinstance(found, Failure):
			return Download(failure=found)
		try:
			content = base64.b64decode(_text(found, "archivo") or _text(found, "documento"), validate=True)
		except (binascii.Error, ValueError):
			content = b""
		return _file(content, kind)

	# -- the two transports ------------------------------------------------------------------------------

	def _call(self, operation: str, values: dict, issuing: bool = False, body: str = "") -> dict | Failure:
		"""The answer's members when it says 200, else the failure. `body` is the frozen JSON of `values`."""
		if self.parameter("transport") == REST:
			found = self._rest(operation, REST_PATHS[operation], body or values, issuing=issuing)
			missing = isinstance(found, Failure) and found.code == "not_found"
			if not missing or operation not in ("EstadoDocumento", "FoliosRestantes"):
				return found
		return self._soap(operation, values, issuing)

	def _soap(self, operation: str, values: dict, issuing: bool = False) -> dict | Failure:
		tokens = {
			"tokenEmpresa": self.connection.secret("token_company").reveal(),
			"tokenPassword": self.connection.secret().reveal(),
		}
		if operation == "ConsultarRucDV":
			values = {"consultarRucDVRequest": {**tokens, **values}}
		else:
			values = {**tokens, **_wrapped(values)}
		answer = self.call(
			OPERATIONS[operation],
			"POST",
			"",
			headers={
				"Content-Type": "text/xml; charset=utf-8",
				"Accept": "text/xml",
				"SOAPAction": f'"{TEMPURI}IService/{operation}"',
			},
			body=soap.envelope(operation, TEMPURI, values, NAMESPACES.get(operation, "")),
		)
		if isinstance(answer, Failure):
			return answer
		root = parse(answer.body)
		if root is None:
			return self.by_status(answer, issuing)
		try:
			found = soap.result(root, operation)
		except soap.Fault as fault:
			return Failure(
				ErrorClass.UNKNOWN if issuing else ErrorClass.TRANSIENT,
				say("HKA's service has a fault: {0}", str(fault)[:300] or fault.code),
				"fault",
				down=not issuing,
			)
		if found is None:
			return self.by_status(answer, issuing)
		return self._judged(found, issuing)

	def _rest(self, operation, path, values: dict | str, issuing=False, raw=False) -> dict | bytes | Failure:
		"""POST with the access token, which is renewed once when the service says that it ended."""
		for fresh in (False, True):
			token = self._token(fresh)
			if isinstance(token, Failure):
				return token
			answer = self.call(
				OPERATIONS[operation],
				"POST",
				self._rest_base() + path,
				headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
				body=values if isinstance(values, str) else json.dumps(values, ensure_ascii=False),
			)
			if isinstance(answer, Failure):
				return answer
			if raw and answer.status == 200 and not answer.json():
				return answer.body
			found = _camel(answer.json() or {})
			if answer.status != 401 and _text(found, "codigo") != TOKEN_EXPIRED:
				break
		if answer.status in (404, 405) and not _text(found, "codigo"):
			return Failure(
				ErrorClass.CONFIGURATION,
				"Nothing is found at this address: correct the REST address.",
				"not_found",
			)
		if not _text(found, "codigo"):
			return self.by_status(answer, issuing)
		return self._judged(found, issuing)

	def _token(self, fresh: bool) -> str | Failure:
		token = "" if fresh else self.tokens.get(self.key)
		if token:
			return token
		self.tokens.drop(self.key)
		answer = self.call(
			"token",
			"POST",
			self._rest_base() + "/api/Autenticacion",
			headers={"Content-Type": "application/json"},
			body=json.dumps(
				{
					"usuario": self.connection.secret("token_company").reveal(),
					"clave": self.connection.secret().reveal(),
				}
			),
		)
		if isinstance(answer, Failure):
			# Nothing of the document was sent yet.
			return Failure(ErrorClass.TRANSIENT, answer.message, answer.code, down=answer.down)
		found = _camel(answer.json() or {})
		token = _text(found, "token")
		if answer.status == 200 and token:
			ends = moment(_text(found, "expiracion"))
			left = (ends - datetime.now(timezone.utc)).total_seconds() if ends else TOKEN_SECONDS
			if left > RENEW_SECONDS:
				self.tokens.put(self.key, token, left - RENEW_SECONDS)
			return token
		if answer.status in (400, 401, 403) or _text(found, "codigo"):
			return self._failure(CONFIGURATION, _text(found, "codigo") or str(answer.status), found)
		failure = self.by_status(answer, issuing=False)
		return Failure(ErrorClass.TRANSIENT, failure.message, failure.code, down=failure.down)

	def _rest_base(self) -> str:
		given = self.parameter("rest_url")
		if given:
			return given.rstrip("/")
		url = self.connection.server_url.rstrip("/")
		return REST_URLS.get(url) or url.removesuffix(SERVICE)

	# -- what an answer means ----------------------------------------------------------------------------

	def _judged(self, found: dict, issuing: bool) -> dict | Failure:
		code = _text(found, "codigo")
		if code == OK and _text(found, "resultado").lower() != "error":
			return found
		if code in (TOKEN_EXPIRED,):
			return self._failure(CONFIGURATION, code, found)
		rule = self.errors.get(code)
		if not rule or code == "201":
			# The authority's own code, where HKA passes it on in its text.
			for told in _DGI_CODE.findall(_text(found, "mensaje")):
				if told in self.errors or told == ALREADY_CANCELLED:
					code, rule = told, self.errors.get(told)
					break
		if rule:
			return self._failure(rule, code, found)
		return Failure(
			ErrorClass.REJECTED,
			_text(found, "mensaje") or say("HKA refuses the request (code {0}).", code),
			code,
		)

	@staticmethod
	def _failure(rule: ErrorRule, code: str, found: dict) -> Failure:
		message = _text(found, "mensaje")
		return Failure(
			rule.error_class,
			say("{0} ({1})", say(rule.remedy), message) if message else say(rule.remedy),
			code,
			waits=rule.waits,
		)


# -- the request -----------------------------------------------------------------------------------------


def _coordinates(parameters: dict) -> Coordinates:
	return Coordinates(
		parameters.get("branch_code") or "0000",
		parameters.get("point_code") or "001",
		parameters.get("serial_device") or "",
	)


def _by_coordinates(provider_id: str) -> dict:
	"""datosDocumento, in the order of the manual's sample, which is the alphabet's."""
	branch, point, number, kind, emission, serial = (provider_id.split("/") + [""] * 6)[:6]
	return {
		"codigoSucursalEmisor": branch,
		"numeroDocumentoFiscal": number,
		"puntoFacturacionFiscal": point,
		"serialDispositivo": serial,
		"tipoDocumento": kind,
		"tipoEmision": emission,
	}


def _transaction(document: dgi.Document, reference: str) -> dict:
	"""datosTransaccion, in the order of authorities/panama.md#amounts."""
	export, referenced = document.export, document.referenced
	rate = ZERO if document.currency in dgi.CURRENCIES else quantize(1 / document.exchange_rate, MICRO)
	return {
		"tipoEmision": NORMAL_EMISSION,
		"tipoDocumento": document.type,
		"numeroDocumentoFiscal": f"{document.coordinates.number:010d}",
		"puntoFacturacionFiscal": document.coordinates.point,
		"fechaEmision": written(document.issued_at),
		"naturalezaOperacion": "02" if document.type == dgi.EXPORT else "01",
		"tipoOperacion": "1",
		"destinoOperacion": "2" if document.destination_abroad else "1",
		"formatoCAFE": "2" if document.printed_on_tape else "3",
		"entregaCAFE": "3" if document.receiver.email else "2",
		"envioContenedor": "1",
		"procesoGeneracion": "1",
		"tipoVenta": "" if document.is_note else "1",
		"informacionInteres": noted(reference),
		"cliente": _client(document.receiver),
		"datosFacturaExportacion": {
			"condicionesEntrega": export.incoterm[:3],
			"monedaOperExportacion": document.currency,
			# Units of the foreign currency for one balboa: the amount abroad is rate x total (1.6).
			"tipoDeCambio": exact(rate) if rate else "",
			"montoMonedaExtranjera": cents(quantize(rate * document.totals.invoice)) if rate else "",
			"puertoEmbarque": export.place[:50],
		}
		if export
		else {},
		"listaDocsFiscalReferenciados": [
			{
				"fechaEmisionDocFiscalReferenciado": written(referenced.issued_at),
				"cufeFEReferenciada": referenced.cufe,
			}
		]
		if referenced
		else [],
	}


def _client(receiver: dgi.Receiver) -> dict:
	return {
		"tipoClienteFE": receiver.kind,
		"tipoContribuyente": str(receiver.taxpayer_type or ""),
		"numeroRUC": receiver.ruc,
		"digitoVerificadorRUC": receiver.dv,
		"razonSocial": receiver.name,
		"direccion": receiver.address if len(receiver.address) >= 5 else "",
		"codigoUbicacion": receiver.location,
		"provincia": receiver.province,
		"distrito": receiver.district,
		"corregimiento": receiver.corregimiento,
		"tipoIdentificacion": receiver.foreign_id_type,
		"nroIdentificacionExtranjero": receiver.foreign_id,
		"paisExtranjero": receiver.foreign_country,
		"telefono1": receiver.phone,
		"correoElectronico1": receiver.email,
		"pais": receiver.country,
	}


def _item(item: dgi.Item) -> dict:
	return {
		"descripcion": item.description,
		"codigo": item.code,
		"unidadMedida": item.unit,
		"cantidad": exact(item.quantity),
		"codigoCPBSAbrev": item.cpbs[:2],
		"codigoCPBS": item.cpbs,
		"unidadMedidaCPBS": item.unit if item.cpbs else "",
		"precioUnitario": exact(item.unit_price),
		"precioUnitarioDescuento": exact(item.unit_discount) if item.unit_discount else "",
		"precioItem": exact(item.net),
		"valorTotal": exact(item.total),
		"tasaITBMS": item.itbms_code,
		"valorITBMS": exact(item.itbms),
		"tasaISC": exact(item.isc_rate) if item.isc_rate else "",
		"valorISC": exact(item.isc) if item.isc_rate else "",
	}


def _totals(document: dgi.Document) -> dict:
	totals = document.totals
	return {
		"totalPrecioNeto": cents(totals.net),
		"totalITBMS": cents(totals.itbms),
		"totalISC": cents(totals.isc) if totals.isc else "",
		"totalMontoGravado": cents(totals.taxed),
		"totalDescuento": cents(totals.discount) if totals.discount else "",
		"totalFactura": cents(totals.invoice),
		"totalValorRecibido": cents(totals.received),
		"vuelto": cents(totals.change) if totals.change > 0 else "",
		"tiempoPago": document.when_paid,
		"nroItems": str(len(document.items)),
		"totalTodosItems": cents(totals.items),
		"listaDescBonificacion": [
			{"descDescuento": dgi.ROUNDING_DISCOUNT, "montoDescuento": cents(totals.discount)}
		]
		if totals.discount
		else [],
		"listaFormaPago": [
			{
				"formaPagoFact": part.code,
				"descFormaPago": part.description,
				"valorCuotaPagada": cents(part.amount),
			}
			for part in document.payments
		],
		"retencion": {
			"codigoRetencion": document.retention.code,
			"montoRetencion": cents(document.retention.amount),
		}
		if document.retention
		else {},
		"listaPagoPlazo": [
			{"fechaVenceCuota": _midnight(part.due), "valorCuota": cents(part.amount)}
			for part in document.installments
		],
	}


def _midnight(day: date) -> str:
	return written(datetime(day.year, day.month, day.day, tzinfo=dgi.ZONE))


def _wrapped(value):
	"""The same for SOAP: each entry of a list in an element of its own."""
	if isinstance(value, dict):
		return {
			key: {LISTS[key]: [_wrapped(part) for part in entry]} if key in LISTS else _wrapped(entry)
			for key, entry in value.items()
		}
	return value


# -- the answer ------------------------------------------------------------------------------------------


def _camel(value):
	"""Members with a small first letter, as all but one of the paths have them."""
	if not isinstance(value, dict):
		return value
	return {key[:1].lower() + key[1:]: _camel(entry) for key, entry in value.items()}


def _text(found: dict, name: str) -> str:
	value = found.get(name)
	return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _supply(found: dict) -> Supply:
	left = None
	for name in ("foliosDisponibleCiclo", "foliosDisponiblesCiclo", "foliosTotalesDisponibles"):
		if _text(found, name).lstrip("-").isdigit():
			left = max(int(_text(found, name)), 0)
			break
	days = re.findall(r"\d{4}-\d{2}-\d{2}", _text(found, "fechaLicencia"))
	try:
		until = date.fromisoformat(days[-1]) if days else None
	except ValueError:
		until = None
	return Supply(left, until)


def _file(content: bytes, kind: str) -> Download:
	if not content.startswith({"pdf": b"%PDF", "xml": b"<"}[kind]):
		return Download(
			failure=Failure(ErrorClass.TRANSIENT, "The provider's file is not what it should be.", "bad_file")
		)
	return Download(content, {"pdf": "application/pdf", "xml": "application/xml"}[kind])
