"""The XML of a CFDI 4.0, sealed: the Comprobante, the complements Pagos 2.0 and ImpuestosLocales 1.0, the stamp.

Written after Anexo 20 (cfdv40.xsd, Pagos20.xsd, implocal.xsd, TimbreFiscalDigitalv11.xsd and the rules of the
Original String). Attributes are set in the order of the Original String, so that the string is a walk of the tree.
"""

from datetime import datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from lxml import etree

from fiscal_integration.sandbox.facturapi import amounts, catalogs, seal

CFDI = "http://www.sat.gob.mx/cfd/4"
PAGOS = "http://www.sat.gob.mx/Pagos20"
LOCAL = "http://www.sat.gob.mx/implocal"
STAMP = "http://www.sat.gob.mx/TimbreFiscalDigital"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
BASE = "http://www.sat.gob.mx/sitio_internet/cfd"
SCHEMAS = {
	CFDI: f"{BASE}/4/cfdv40.xsd",
	PAGOS: f"{BASE}/Pagos/Pagos20.xsd",
	LOCAL: f"{BASE}/implocal/implocal.xsd",
	STAMP: f"{BASE}/TimbreFiscalDigital/TimbreFiscalDigitalv11.xsd",
}
PREFIXES = {"cfdi": CFDI, "pago20": PAGOS, "implocal": LOCAL, "tfd": STAMP}
ZONE = ZoneInfo("America/Mexico_City")
UNSEALED = ("Sello", "Certificado")
"""What is no part of the Original String."""


def local_time(moment: datetime) -> str:
	return moment.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M:%S")


def fixed(value: Decimal, decimals: int) -> str:
	return format(catalogs.rounded(Decimal(value), decimals), "f")


def short(value: Decimal, least: int = 0, most: int = 6) -> str:
	"""At most `most` decimals, without trailing zeros beyond `least` of them."""
	text = fixed(value, most)
	whole, _, fraction = text.partition(".")
	fraction = fraction.rstrip("0").ljust(least, "0")
	return f"{whole}.{fraction}" if fraction else whole


def child(parent, name, **attributes):
	"""A child element; attributes that are None or empty are left out."""
	prefix, _, local = name.rpartition(":")
	element = etree.SubElement(parent, etree.QName(PREFIXES[prefix or "cfdi"], local))
	return filled(element, attributes)


def filled(element, attributes):
	for name, value in attributes.items():
		if value not in (None, ""):
			element.set(name, " ".join(str(value).split()))
	return element


class Document:
	"""One CFDI of an entry of the emulator. `data` is the request that made it, with Decimals."""

	def __init__(self, entry: dict, data: dict, issuer: dict, stamped_at: datetime):
		self.entry, self.data, self.issuer, self.stamped_at = entry, data, issuer, stamped_at
		self.csd = seal.issuer(issuer["tax_id"], issuer["legal_name"])
		self.is_payment = entry["type"] == "P"
		self.sums = None if self.is_payment else amounts.sums(data)
		namespaces = {"cfdi": CFDI, "xsi": XSI}
		if self.is_payment:
			namespaces["pago20"] = PAGOS
		elif self.sums.local:
			namespaces["implocal"] = LOCAL
		for space in data.get("namespaces") or ():
			namespaces.setdefault(space["prefix"], space["uri"])
		self.root = etree.Element(etree.QName(CFDI, "Comprobante"), nsmap=namespaces)

	def seal(self) -> dict:
		"""Build and seal it. Returns what goes into the entry's stamp; `content` has the XML then."""
		self._comprobante()
		self.root.set("Sello", self.csd.sign(original_string(self.root)))
		self.root.set("Certificado", self.csd.encoded)
		complement = self.root.find(f"{{{CFDI}}}Complemento")
		if complement is None:
			complement = child(self.root, "Complemento")
		stamp = self._stamp(complement)
		if self.data.get("addenda"):
			self._addenda(self.data["addenda"])
		self.root.set(
			etree.QName(XSI, "schemaLocation"),
			" ".join(f"{space} {SCHEMAS[space]}" for space in SCHEMAS if space in self.root.nsmap.values()),
		)
		body = etree.tostring(self.root, encoding="unicode")
		self.content = (
			f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- SANDBOX: SIN VALIDEZ FISCAL -->\n{body}\n'
		)
		return stamp

	# -- the Comprobante ---------------------------------------------------------------------------------

	def _comprobante(self):
		entry, sums = self.entry, self.sums
		issued = datetime.fromisoformat(entry["date"].replace("Z", "+00:00"))
		head = {
			"Version": "4.0",
			"Serie": entry["series"],
			"Folio": str(entry["folio_number"]),
			"Fecha": local_time(issued),
		}
		if self.is_payment:
			head |= {
				"NoCertificado": self.csd.number,
				"SubTotal": "0",
				"Moneda": "XXX",
				"Total": "0",
				"TipoDeComprobante": "P",
			}
		else:
			places = sums.decimals
			discounted = any(concept.discount for concept in sums.concepts)
			head |= {
				"FormaPago": entry["payment_form"],
				"NoCertificado": self.csd.number,
				"CondicionesDePago": self.data.get("conditions"),
				"SubTotal": fixed(sums.subtotal, places),
				"Descuento": fixed(sums.discount, places) if discounted else None,
				"Moneda": entry["currency"],
				"TipoCambio": "1" if entry["currency"] == "MXN" else short(Decimal(str(entry["exchange"]))),
				"Total": fixed(sums.total, places),
				"TipoDeComprobante": entry["type"],
			}
		head["Exportacion"] = entry["export"]
		head["MetodoPago"] = None if self.is_payment else entry["payment_method"]
		head["LugarExpedicion"] = entry["address"]["zip"]
		filled(self.root, head)
		self._parties()
		lines = child(self.root, "Conceptos")
		if self.is_payment:
			child(
				lines,
				"Concepto",
				ClaveProdServ="84111506",
				Cantidad="1",
				ClaveUnidad="ACT",
				Descripcion="Pago",
				ValorUnitario="0",
				Importe="0",
				ObjetoImp="01",
			)
			self._payments(child(self.root, "Complemento"))
			return
		for concept in sums.concepts:
			self._concept(lines, concept)
		self._taxes()
		if sums.local:
			self._local_taxes(child(self.root, "Complemento"))

	def _parties(self):
		entry, data = self.entry, self.data
		if data.get("global"):
			period = data["global"]
			node = child(
				self.root,
				"InformacionGlobal",
				Periodicidad=catalogs.PERIODICITIES[period["periodicity"]],
				Meses=period["months"],
			)
			node.set("Año", str(int(period["year"])))
		for related in data.get("related_documents") or ():
			node = child(self.root, "CfdiRelacionados", TipoRelacion=related["relationship"])
			for document in related["documents"]:
				child(node, "CfdiRelacionado", UUID=document)
		child(
			self.root,
			"Emisor",
			Rfc=self.issuer["tax_id"],
			Nombre=self.issuer["legal_name"],
			RegimenFiscal=self.issuer["tax_system"],
		)
		receiver = entry["customer"]
		foreign = receiver["address"]["country"] != "MEX"
		child(
			self.root,
			"Receptor",
			Rfc=catalogs.FOREIGN if foreign else receiver["tax_id"],
			Nombre=receiver["legal_name"],
			DomicilioFiscalReceptor=entry["address"]["zip"] if foreign else receiver["address"]["zip"],
			RegimenFiscalReceptor=receiver["tax_system"],
			UsoCFDI=entry["use"],
		)

	def _concept(self, lines, concept):
		product = concept.item["product"]
		# A discount has no more decimals than the amount (CFDI40168).
		places = max(
			2, *(-value.normalize().as_tuple().exponent for value in (concept.amount, concept.discount))
		)
		node = child(
			lines,
			"Concepto",
			ClaveProdServ=product["product_key"],
			NoIdentificacion=product.get("sku"),
			Cantidad=short(concept.quantity),
			ClaveUnidad=product.get("unit_key") or "H87",
			Unidad=product.get("unit_name") or "Elemento",
			Descripcion=product["description"],
			ValorUnitario=short(concept.price, least=2),
			Importe=fixed(concept.amount, places),
			Descuento=fixed(concept.discount, places) if concept.discount else None,
			ObjetoImp=product.get("taxability") or "02",
		)
		if concept.taxes:
			taxes = child(node, "Impuestos")
			for withheld, group, name in (
				(False, "Traslados", "Traslado"),
				(True, "Retenciones", "Retencion"),
			):
				found = [tax for tax in concept.taxes if tax.withheld is withheld]
				if found:
					parent = child(taxes, group)
					for tax in found:
						child(parent, name, Base=short(tax.base, least=2), **self._rated(tax))
		for number in concept.item.get("property_tax_account") or ():
			child(node, "CuentaPredial", Numero=number)

	@staticmethod
	def _rated(tax, suffix=""):
		exempt = tax.amount is None
		return {
			f"Impuesto{suffix}": catalogs.TAXES[tax.kind],
			f"TipoFactor{suffix}": tax.factor,
			f"TasaOCuota{suffix}": None if exempt else fixed(tax.rate, 6),
			f"Importe{suffix}": None if exempt else short(tax.amount, least=2),
		}

	def _taxes(self):
		sums, places = self.sums, self.sums.decimals
		if not sums.withheld and not sums.transferred:
			return
		node = child(self.root, "Impuestos")
		if sums.withheld:
			node.set("TotalImpuestosRetenidos", fixed(sums.total_withheld, places))
			parent = child(node, "Retenciones")
			for kind, amount in sums.withheld.items():
				child(parent, "Retencion", Impuesto=catalogs.TAXES[kind], Importe=fixed(amount, places))
		if sums.transferred:
			if sums.total_transferred is not None:
				node.set("TotalImpuestosTrasladados", fixed(sums.total_transferred, places))
			parent = child(node, "Traslados")
			for (kind, factor, rate), (base, amount) in sums.transferred.items():
				child(
					parent,
					"Traslado",
					Base=fixed(base, places),
					Impuesto=catalogs.TAXES[kind],
					TipoFactor=factor,
					TasaOCuota=None if amount is None else fixed(rate, 6),
					Importe=None if amount is None else fixed(amount, places),
				)

	def _local_taxes(self, complement):
		node = child(
			complement,
			"implocal:ImpuestosLocales",
			version="1.0",
			TotaldeRetenciones=fixed(self.sums.local_sum(True), 2),
			TotaldeTraslados=fixed(self.sums.local_sum(False), 2),
		)
		for withheld, element, name, rate in (
			(True, "RetencionesLocales", "ImpLocRetenido", "TasadeRetencion"),
			(False, "TrasladosLocales", "ImpLocTrasladado", "TasadeTraslado"),
		):
			for (title, share, direction), amount in self.sums.local.items():
				if direction is withheld:
					child(
						node,
						f"implocal:{element}",
						**{name: title, rate: fixed(share * 100, 2), "Importe": fixed(amount, 2)},
					)

	# -- the payment complement --------------------------------------------------------------------------

	def _payments(self, complement):
		entries = amounts.payments(self.data)
		node = child(complement, "pago20:Pagos", Version="2.0")
		totals = amounts.payment_totals(entries)
		order = [f"TotalRetenciones{kind}" for kind in ("IVA", "ISR", "IEPS")]
		for rate in ("16", "8", "0"):
			order += [f"TotalTrasladosBaseIVA{rate}", f"TotalTrasladosImpuestoIVA{rate}"]
		order += ["TotalTrasladosBaseIVAExento", "MontoTotalPagos"]
		child(node, "pago20:Totales", **{name: fixed(totals[name], 2) for name in order if name in totals})
		for entry in entries:
			self._payment(node, entry)

	def _payment(self, node, entry):
		source = entry.source
		places = catalogs.CURRENCIES[entry.currency]
		paid = source.get("date") or self.entry["date"]
		moment = datetime.fromisoformat(str(paid).replace("Z", "+00:00"))
		if not moment.tzinfo:
			moment = moment.replace(tzinfo=ZONE)
		element = child(
			node,
			"pago20:Pago",
			FechaPago=local_time(moment),
			FormaDePagoP=source["payment_form"],
			MonedaP=entry.currency,
			TipoCambioP="1" if entry.currency == "MXN" else short(entry.exchange),
			Monto=fixed(entry.amount, places),
			NumOperacion=source.get("numOperacion"),
			RfcEmisorCtaOrd=source.get("rfcEmisorCtaOrd"),
			NomBancoOrdExt=source.get("nomBancoOrdExt"),
			CtaOrdenante=source.get("ctaOrdenante"),
			RfcEmisorCtaBen=source.get("rfcEmisorCtaBen"),
			CtaBeneficiario=source.get("ctaBeneficiario"),
			TipoCadPago=source.get("tipoCadPago"),
			CertPago=source.get("certPago"),
			CadPago=source.get("cadPago"),
			SelloPago=source.get("selloPago"),
		)
		for settled in entry.settled:
			self._settled(element, settled, entry.currency)
		transferred, withheld = entry.groups()
		if not transferred and not withheld:
			return
		taxes = child(element, "pago20:ImpuestosP")
		if withheld:
			parent = child(taxes, "pago20:RetencionesP")
			for kind, amount in withheld.items():
				child(
					parent,
					"pago20:RetencionP",
					ImpuestoP=catalogs.TAXES[kind],
					ImporteP=short(amount, least=2),
				)
		if transferred:
			parent = child(taxes, "pago20:TrasladosP")
			for (kind, factor, rate), (base, amount) in transferred.items():
				child(
					parent,
					"pago20:TrasladoP",
					BaseP=short(base, least=2),
					ImpuestoP=catalogs.TAXES[kind],
					TipoFactorP=factor,
					TasaOCuotaP=None if amount is None else fixed(rate, 6),
					ImporteP=None if amount is None else short(amount, least=2),
				)

	def _settled(self, element, settled, currency):
		source = settled.source
		own = source.get("currency") or "MXN"
		places = catalogs.CURRENCIES[own]
		node = child(
			element,
			"pago20:DoctoRelacionado",
			IdDocumento=source["uuid"],
			Serie=source.get("series"),
			Folio=None if source.get("folio_number") is None else str(source["folio_number"]),
			MonedaDR=own,
			EquivalenciaDR="1" if own == currency else short(settled.equivalence, most=10),
			NumParcialidad=str(int(source["installment"])),
			ImpSaldoAnt=fixed(source["last_balance"], places),
			ImpPagado=fixed(source["amount"], places),
			ImpSaldoInsoluto=fixed(source["last_balance"] - source["amount"], places),
			ObjetoImpDR=source.get("taxability") or ("02" if settled.taxes else "01"),
		)
		if not settled.taxes:
			return
		taxes = child(node, "pago20:ImpuestosDR")
		for withheld, group, name in (
			(True, "RetencionesDR", "RetencionDR"),
			(False, "TrasladosDR", "TrasladoDR"),
		):
			found = [tax for tax in settled.taxes if tax.withheld is withheld]
			if found:
				parent = child(taxes, f"pago20:{group}")
				for tax in found:
					child(parent, f"pago20:{name}", BaseDR=short(tax.base, least=2), **self._rated(tax, "DR"))

	# -- stamp and addenda -------------------------------------------------------------------------------

	def _stamp(self, complement) -> dict:
		certifier = seal.certifier()
		node = etree.SubElement(complement, etree.QName(STAMP, "TimbreFiscalDigital"), nsmap={"tfd": STAMP})
		filled(
			node,
			{
				"Version": "1.1",
				"UUID": self.entry["uuid"],
				"FechaTimbrado": local_time(self.stamped_at),
				"RfcProvCertif": "SPR190613I52",
				"SelloCFD": self.root.get("Sello"),
				"NoCertificadoSAT": certifier.number,
			},
		)
		text = "||" + "|".join(node.attrib.values()) + "||"
		node.set("SelloSAT", certifier.sign(text))
		return {
			"signature": self.root.get("Sello"),
			"date": self.stamped_at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
			"sat_cert_number": certifier.number,
			"sat_signature": node.get("SelloSAT"),
			"complement_string": text,
			"rfc_provider_cert": "SPR190613I52",
		}

	def _addenda(self, text):
		spaces = " ".join(
			f'xmlns:{space["prefix"]}="{space["uri"]}"' for space in self.data.get("namespaces") or ()
		)
		parser = etree.XMLParser(resolve_entities=False, no_network=True)
		for node in etree.fromstring(f"<a {spaces}>{text}</a>".encode(), parser):
			parent = self.root.find(f"{{{CFDI}}}Addenda")
			(child(self.root, "Addenda") if parent is None else parent).append(node)


def original_string(root) -> str:
	"""The Cadena Original of a Comprobante without stamp."""
	values: list[str] = []

	def add(element, leave=()):
		values.extend(value for name, value in element.attrib.items() if name not in (*UNSEALED, *leave))

	def walk(element):
		if element.tag == f"{{{CFDI}}}Impuestos" and element.getparent().tag == f"{{{CFDI}}}Comprobante":
			# Its own totals follow the lines that they add.
			for group, total in (
				("Retenciones", "TotalImpuestosRetenidos"),
				("Traslados", "TotalImpuestosTrasladados"),
			):
				for part in element.iterfind(f"{{{CFDI}}}{group}"):
					walk(part)
				if element.get(total):
					values.append(element.get(total))
			return
		add(element)
		for part in element:
			walk(part)

	walk(root)
	return "||" + "|".join(values) + "||"
