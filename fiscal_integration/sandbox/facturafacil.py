"""FacturaFácil's REST interface (providers/facturafacil.md).

Options: `by_header_id` (whether the id of a request's header finds its document, default yes), `with_xml`
(whether the answer carries the XML, default yes), `with_image` (the QR image, default yes).
"""

import base64
import json
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from fiscal_integration.fiscal import qr
from fiscal_integration.sandbox.dgi import ZONE, Dgi, Line, Refusal, Sent, amount, cafe, other_environment
from fiscal_integration.sandbox.kernel import Answer, Emulator

COMPANY = "11111111-2222-4333-8444-555555555555"
BRANCHES = {"": ("0000", "001"), "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee": ("0001", "002")}
PATHS = {
	"/api/pac/reception_fe/detailed": "issue",
	"/api/pac/reception_fe/find_by_cufe_or_id": "get",
	"/api/pac/event/issue": "cancel",
}
PROCESSING_SECONDS = 60


class FacturaFacilEmulator(Emulator):
	key: ClassVar[str] = "facturafacil"

	def secret_key(self, live=False):
		return "ff_live_SandboxWithoutValidity" if live else "ff_qa_SandboxWithoutValidity"

	def parameters(self, live=False):
		return {"company_id": COMPANY, "point_code": "001"}

	def clear(self):
		self.dgi = Dgi(self.clock)
		self.pending: dict[str, tuple[datetime, str]] = {}

	def dump(self):
		return {"documents": self.dgi.documents}

	def load(self, state):
		self.dgi.documents = state.get("documents", {})

	def ledger(self):
		with self.lock:
			self.settle()
			return self.dgi.ledger()

	def operation(self, method, path):
		return PATHS.get(path.rstrip("/"), "pdf" if path.startswith("/media/") else "other")

	def ordered(self, fault):
		status = int(fault.options.get("status") or 500)
		if fault.options.get("code"):
			message = {"type": "R", "code": fault.options["code"], "message": "Falla ordenada"}
			return Answer(status, {"rejected": True, "messages": [message]} if status < 300 else message)
		return Answer(status, "<h1>Server Error</h1>", content_type="text/html")

	def spoil(self, kind, body):
		if kind == "no_uuid":
			return {**body, "cufe": None}
		if kind == "wrong_livemode" and body.get("cufe"):
			return {**body, "cufe": other_environment(body["cufe"])}
		if kind == "wrong_total" and body.get("xml"):
			return {**body, "xml": body["xml"].replace("<dVTot>", "<dVTot>1")}
		return body

	def serve(self, operation, method, path, query, headers, body, fault):
		given = {name.lower(): value for name, value in headers.items()}
		with self.lock:
			self.settle()
			if operation == "pdf" and method == "GET":
				return self._media(path)
			live = {self.secret_key(flag): flag for flag in (False, True)}.get(given.get("x-ff-api-key", ""))
			if live is None or given.get("x-ff-company") != COMPANY:
				return Answer(401, {"detail": "Credenciales de autenticación no válidas."})
			branch = BRANCHES.get(given.get("x-ff-branch", ""))
			if branch is None:
				return Answer(403, {"detail": "La sucursal no existe."})
			if operation == "issue" and method == "POST":
				return self._issue(body, branch, live, given.get("host", ""), fault)
			if operation == "get" and method == "GET":
				return self._find((query.get("cufe_or_id") or [""])[0])
			if operation == "cancel" and method == "POST":
				return self._event(body)
		return Answer(404, "<h1>Not Found</h1>", content_type="text/html")

	def _media(self, path):
		entry = self._by_id(path.rsplit("/", 1)[-1].removesuffix(".pdf"))
		if not entry:
			return Answer(404, "<h1>Not Found</h1>", content_type="text/html")
		return Answer(200, cafe(entry), content_type="application/pdf")

	def _by_id(self, name):
		for entry in self.dgi.documents.values():
			if name in (entry["cufe"], entry["uuid"]) or (
				name == entry["header_id"] and self.options.get("by_header_id", True)
			):
				return entry
		return None

	def _find(self, name):
		entry = self._by_id(name)
		if not entry:
			return Answer(404, {"detail": "Not found"})
		status = {"valid": 3, "cancelled": 50, "pending": 1, "failed": 10}[entry["status"]]
		return Answer(
			200,
			{
				"id": entry["uuid"],
				"cufe": entry["cufe"] if status in (3, 50) else None,
				"status": status,
				"status_display": {3: "Finalizado", 50: "Anulado", 1: "En proceso", 10: "Rechazado"}[status],
				"created_at": entry["received_at"],
				"updated_at": entry["received_at"],
				"xml_data": entry["xml"] if status in (3, 50) else None,
			},
		)

	def _issue(self, body, branch, live, host, fault):
		try:
			data = json.loads(body, parse_float=Decimal, parse_int=Decimal)
			sent = _sent(data, branch, "1" if live else "2", self.clock.now())
			entry = self.dgi.register(sent)
		except ValueError:
			return Answer(400, {"detail": "JSON parse error"})
		except Refusal as refusal:
			message = {
				"code": refusal.code if refusal.code != "rule" else "0500",
				"message": str(refusal),
				"type": "R",
				"field_name": refusal.where,
				"path": "",
			}
			return Answer(201, {"rejected": True, "cufe": None, "messages": [message]})
		entry["uuid"] = str(uuid.uuid4())
		entry["header_id"] = str(data["header"].get("id") or "")
		entry["pdf_url"] = f"http://{host}/{self.key}/media/{entry['uuid']}.pdf"
		answer = {
			"document_uuid": entry["uuid"],
			"did": str(len(self.dgi.documents)),
			"rejected": False,
			"messages": [],
		}
		if fault is not None and fault.kind == "pending":
			entry["status"] = "pending"
			after = float(fault.options.get("after", PROCESSING_SECONDS))
			self.pending[entry["cufe"]] = (
				self.clock.now() + timedelta(seconds=after),
				fault.options.get("outcome", "valid"),
			)
			return Answer(201, answer)
		image = (
			base64.b64encode(qr.png(entry["qr"])).decode() if self.options.get("with_image", True) else None
		)
		return Answer(
			201,
			{
				**answer,
				"cufe": entry["cufe"],
				"authorization_number": entry["protocol"],
				"process_date": entry["received_at"],
				"digest_value": entry["digest"],
				"qr_code_data": entry["qr"],
				"qr_image_b64": image,
				"pdf_url": entry["pdf_url"],
				"xml": entry["xml"] if self.options.get("with_xml", True) else None,
				"messages": [{"code": "0260", "message": "Autorizado el uso de la FE", "type": "N"}],
			},
		)

	def _event(self, body):
		try:
			data = json.loads(body)
		except ValueError:
			return Answer(400, {"detail": "JSON parse error"})
		entry = self.dgi.documents.get(data.get("cufe", ""))
		if not entry:
			return Answer(404, {"detail": "Not found"})
		if data.get("type") not in ("AN", "MF"):
			return Answer(400, {"type": ["Opción inválida"], "message": "type debe ser AN o MF"})
		code, text = self.dgi.cancel(entry, str(data.get("reason") or ""))
		return Answer(
			200,
			{
				"rejected": code not in ("0600", "0622"),
				"code": code,
				"message": text,
				"response": text,
				"auth_date": self.clock.now().astimezone(ZONE).isoformat(),
			},
		)

	def settle(self):
		for code, (due, outcome) in list(self.pending.items()):
			if due <= self.clock.now():
				del self.pending[code]
				self.dgi.documents[code]["status"] = outcome


def _sent(data, branch, environment, now) -> Sent:
	header, document = data.get("header") or {}, data.get("document") or {}
	if header.get("environment") != environment:
		raise Refusal("El ambiente no corresponde a las credenciales", "0100", "header.environment")
	who = document.get("receptor") or {}
	lines = []
	for index, item in enumerate(document.get("items") or [], 1):
		if item.get("line") != index:
			raise Refusal(f"items[{index}].line debe ser {index}", "0100", "line")
		taxes = {tax.get("type"): tax for tax in item.get("taxes") or []}
		itbms = taxes.get("01") or {}
		lines.append(
			Line(
				description=item.get("description", ""),
				quantity=amount(item.get("quantity"), "quantity"),
				price=amount(item.get("price"), "price"),
				discount=amount(item.get("discount", 0), "discount"),
				itbms_code=itbms.get("code", ""),
				itbms=amount(itbms.get("amount"), "taxes.amount"),
				isc=amount((taxes.get("03") or {}).get("amount", 0), "taxes.amount"),
				cpbs=item.get("gns", ""),
			)
		)
	total = sum((_total(line) for line in lines), Decimal(0))
	referred = document.get("referred") or {}
	return Sent(
		type=document.get("type", ""),
		branch=branch[0],
		point=branch[1],
		number=str(document.get("fd_number", "")),
		emission="01",
		# The interface takes no time of issue: it is the moment of the call.
		issued_at=now.astimezone(ZONE).replace(microsecond=0),
		environment=environment,
		receiver={
			"kind": who.get("type"),
			"name": who.get("name"),
			"ruc": who.get("ruc") if who.get("type") != "04" else None,
			"foreign_id": who.get("ruc") if who.get("type") == "04" else None,
			"dv": who.get("dv"),
			"taxpayer_type": who.get("ruc_type"),
			"address": who.get("address"),
		},
		lines=lines,
		payments=[
			(part.get("type", ""), amount(part.get("amount"), "payments.amount"))
			for part in document.get("payments") or []
		],
		total=amount(document["total"], "total") if "total" in document else total,
		referenced=referred.get("fd_number", ""),
		export=document.get("type") == "03" and bool(document.get("dest_country")),
		note=document.get("info", ""),
	)


def _total(line: Line) -> Decimal:
	return line.quantity * (line.price - line.discount) + line.itbms + line.isc
