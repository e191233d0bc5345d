"""SAT's error matrices as checks of a finished XML: what a certifier looks at, read from the XML alone.

For tests only. CFDI40… are of the matrix of CFDI 4.0, CRP20… of the payment complement's. Amounts are compared with
what the XML's own lines give; limits of products are those of the filling guide: the last decimal of each factor may
have been rounded.
"""

from collections import defaultdict
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_UP, Decimal

from lxml import etree

from fiscal_integration.sandbox.facturapi import judges

CFDI = "{http://www.sat.gob.mx/cfd/4}"
PAGOS = "{http://www.sat.gob.mx/Pagos20}"
LOCAL = "{http://www.sat.gob.mx/implocal}"
TINY = Decimal("1e-12")


def _places(text: str) -> int:
	return len(text.partition(".")[2])


def _round(value: Decimal, places: int, how=ROUND_HALF_UP) -> Decimal:
	return value.quantize(Decimal(1).scaleb(-places), rounding=how)


def _within(product: str, left: str, right: str, places: int, exact_right: bool = False) -> bool:
	"""Whether `product` lies between the limits that the decimals of its factors give."""

	def bounds(text, exact=False):
		value = Decimal(text)
		half = Decimal(0) if exact else Decimal(1).scaleb(-_places(text)) / 2
		return value - half, value + (half - TINY if half else 0)

	(low_left, high_left), (low_right, high_right) = bounds(left), bounds(right, exact_right)
	places = max(places, _places(product))
	return (
		_round(low_left * low_right, places, ROUND_DOWN)
		<= Decimal(product)
		<= _round(high_left * high_right, places, ROUND_CEILING)
	)


def errors(xml: bytes) -> list[str]:
	"""The codes, each with what is wrong, of an XML that fits the schema."""
	root = etree.fromstring(xml)
	found: list[str] = []

	def check(right: bool, code: str, says: str):
		if not right:
			found.append(f"{code} {says}")

	kind, currency = root.get("TipoDeComprobante"), root.get("Moneda")
	_, places = judges.catalogue("C756_c_Moneda")[currency]
	if kind == "P":
		_payment_envelope(root, check)
		for complement in root.iter(f"{PAGOS}Pagos"):
			_complement(complement, check)
		return found

	def number(element, name):
		return Decimal(element.get(name) or 0)

	concepts = root.findall(f"{CFDI}Conceptos/{CFDI}Concepto")
	amounts = sum((number(concept, "Importe") for concept in concepts), Decimal(0))
	discounts = sum((number(concept, "Descuento") for concept in concepts), Decimal(0))
	check(_places(root.get("SubTotal")) <= places, "CFDI40107", "decimals of SubTotal")
	check(number(root, "SubTotal") == _round(amounts, places), "CFDI40108", "SubTotal")
	check(number(root, "Descuento") <= number(root, "SubTotal"), "CFDI40110", "Descuento")
	check(_places(root.get("Descuento") or "") <= places, "CFDI40112", "decimals of Descuento")
	check(number(root, "Descuento") == _round(discounts, places), "CFDI40111", "Descuento")
	rate = root.get("TipoCambio")
	check(rate in (None, "1") if currency == "MXN" else bool(rate), "CFDI40114", "TipoCambio")
	check((root.get("MetodoPago") != "PPD") or root.get("FormaPago") == "99", "CFDI40105", "FormaPago of PPD")
	_parties(root, check)

	transferred: dict[tuple, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
	withheld: dict[str, Decimal] = defaultdict(Decimal)
	for concept in concepts:
		_concept(concept, places, check, transferred, withheld)

	node = root.find(f"{CFDI}Impuestos")
	lines = [] if node is None else node.findall(f"{CFDI}Traslados/{CFDI}Traslado")
	sums = [] if node is None else node.findall(f"{CFDI}Retenciones/{CFDI}Retencion")
	total_transferred = None if node is None else node.get("TotalImpuestosTrasladados")
	total_withheld = None if node is None else node.get("TotalImpuestosRetenidos")
	check(sorted(entry.get("Impuesto") for entry in sums) == sorted(withheld), "CFDI40208", "withheld taxes")
	for entry in sums:
		amount = _round(withheld[entry.get("Impuesto")], places)
		check(number(entry, "Importe") == amount, "CFDI40211", f"withheld {entry.get('Impuesto')}")
		check(_places(entry.get("Importe")) <= places, "CFDI40210", "decimals of a withheld tax")
	keys = [(entry.get("Impuesto"), entry.get("TipoFactor"), entry.get("TasaOCuota")) for entry in lines]
	check(sorted(map(str, keys)) == sorted(map(str, transferred)), "CFDI40218", "transferred groups")
	for key, entry in zip(keys, lines, strict=True):
		base, amount = transferred[key]
		check(number(entry, "Base") == _round(base, places), "CFDI40215", f"base of {key}")
		check(number(entry, "Importe") == _round(amount, places), "CFDI40221", f"amount of {key}")
		check(_places(entry.get("Base")) <= places, "CFDI40214", "decimals of a base")
		check(_places(entry.get("Importe") or "") <= places, "CFDI40220", "decimals of a tax")
	check(
		Decimal(total_transferred or 0) == sum((number(entry, "Importe") for entry in lines), Decimal(0)),
		"CFDI40205",
		"TotalImpuestosTrasladados",
	)
	check(
		(total_transferred is None) == all(key[1] == "Exento" for key in keys),
		"CFDI40212",
		"whether there is a total",
	)
	check(
		Decimal(total_withheld or 0) == sum((number(entry, "Importe") for entry in sums), Decimal(0)),
		"CFDI40203",
		"TotalImpuestosRetenidos",
	)
	check((total_withheld is None) == (not sums), "CFDI40206", "whether there is a total")
	check(_places(total_transferred or "") <= places, "CFDI40204", "decimals of a total")
	check(_places(total_withheld or "") <= places, "CFDI40202", "decimals of a total")
	local = sum(
		(
			number(entry, "TotaldeTraslados") - number(entry, "TotaldeRetenciones")
			for entry in root.iter(f"{LOCAL}ImpuestosLocales")
		),
		Decimal(0),
	)
	total = (
		number(root, "SubTotal")
		- number(root, "Descuento")
		+ Decimal(total_transferred or 0)
		- Decimal(total_withheld or 0)
		+ local
	)
	check(number(root, "Total") == total, "CFDI40119", f"Total {root.get('Total')}, not {total}")
	return found


def _parties(root, check):
	receiver, period = root.find(f"{CFDI}Receptor"), root.find(f"{CFDI}InformacionGlobal")
	public = receiver.get("Rfc") == "XAXX010101000"
	if public or receiver.get("Rfc") == "XEXX010101000":
		check(
			receiver.get("DomicilioFiscalReceptor") == root.get("LugarExpedicion"), "CFDI40149", "postal code"
		)
		check(receiver.get("RegimenFiscalReceptor") == "616", "CFDI40158", "regime of a generic RFC")
	if public and receiver.get("Nombre") == "PUBLICO EN GENERAL" and root.get("TipoDeComprobante") == "I":
		check(period is not None, "CFDI40130", "InformacionGlobal")
	if period is not None:
		check(root.get("MetodoPago") == "PUE", "CFDI40124", "a global CFDI is PUE")


def _concept(concept, places, check, transferred, withheld):
	check(Decimal(concept.get("ValorUnitario")) > 0, "CFDI40166", "ValorUnitario")
	check(
		_within(concept.get("Importe"), concept.get("Cantidad"), concept.get("ValorUnitario"), places),
		"CFDI40167",
		f"Importe {dict(concept.attrib)}",
	)
	discount = concept.get("Descuento")
	if discount:
		check(_places(discount) <= _places(concept.get("Importe")), "CFDI40168", "decimals of a discount")
		check(Decimal(discount) <= Decimal(concept.get("Importe")), "CFDI40169", "discount")
	taxes = concept.find(f"{CFDI}Impuestos")
	subject = concept.get("ObjetoImp")
	if subject == "02":
		check(taxes is not None, "CFDI40171", "no taxes")
	if subject in ("01", "03"):
		check(taxes is None, "CFDI40172", "taxes")
	for tax in () if taxes is None else taxes.iter(f"{CFDI}Traslado"):
		check(Decimal(tax.get("Base")) > 0, "CFDI40174", "base")
		exempt = tax.get("TipoFactor") == "Exento"
		has = (tax.get("TasaOCuota") is None, tax.get("Importe") is None)
		check(has == (exempt, exempt), "CFDI40177" if exempt else "CFDI40178", "rate and amount")
		key = (tax.get("Impuesto"), tax.get("TipoFactor"), tax.get("TasaOCuota"))
		transferred[key][0] += Decimal(tax.get("Base"))
		if not exempt:
			transferred[key][1] += Decimal(tax.get("Importe"))
			check(
				_within(tax.get("Importe"), tax.get("Base"), tax.get("TasaOCuota"), places, exact_right=True),
				"CFDI40180",
				f"tax {dict(tax.attrib)}",
			)
	for tax in () if taxes is None else taxes.iter(f"{CFDI}Retencion"):
		check(Decimal(tax.get("Base")) > 0, "CFDI40181", "base")
		check(tax.get("TipoFactor") != "Exento", "CFDI40184", "exempt and withheld")
		withheld[tax.get("Impuesto")] += Decimal(tax.get("Importe"))
		check(
			_within(tax.get("Importe"), tax.get("Base"), tax.get("TasaOCuota"), places, exact_right=True),
			"CFDI40186",
			f"tax {dict(tax.attrib)}",
		)


def _payment_envelope(root, check):
	for name, value, code in (
		("Exportacion", "01", "CRP20102"),
		("SubTotal", "0", "CRP20103"),
		("Moneda", "XXX", "CRP20104"),
		("FormaPago", None, "CRP20105"),
		("MetodoPago", None, "CRP20106"),
		("CondicionesDePago", None, "CRP20107"),
		("Descuento", None, "CRP20108"),
		("TipoCambio", None, "CRP20109"),
		("Total", "0", "CRP20110"),
	):
		check(root.get(name) == value, code, name)
	concepts = root.findall(f"{CFDI}Conceptos/{CFDI}Concepto")
	check(len(concepts) == 1, "CRP20111", "concepts")
	check(
		dict(concepts[0].attrib)
		== {
			"ClaveProdServ": "84111506",
			"Cantidad": "1",
			"ClaveUnidad": "ACT",
			"Descripcion": "Pago",
			"ValorUnitario": "0",
			"Importe": "0",
			"ObjetoImp": "01",
		},
		"CRP20113",
		"the concept of a payment",
	)
	check(len(concepts[0]) == 0, "CRP20112", "below the concept")
	check(root.find(f"{CFDI}Impuestos") is None, "CFDI40201", "taxes of a payment")
	check(root.find(f"{CFDI}Receptor").get("UsoCFDI") == "CP01", "CFDI40161", "use of a payment")


def _complement(node, check):
	totals: dict[str, Decimal] = defaultdict(Decimal)
	names = {"001": "ISR", "002": "IVA", "003": "IEPS"}
	for payment in node.iter(f"{PAGOS}Pago"):
		rate = Decimal(payment.get("TipoCambioP"))
		check(payment.get("FormaDePagoP") != "99", "CRP20212", "form of payment")
		check(payment.get("MonedaP") != "MXN" or rate == 1, "CRP20215", "TipoCambioP")
		_, places = judges.catalogue("C756_c_Moneda")[payment.get("MonedaP")]
		check(Decimal(payment.get("Monto")) > 0, "CRP20218", "Monto")
		check(_places(payment.get("Monto")) <= places, "CRP20219", "decimals of Monto")
		totals["MontoTotalPagos"] += Decimal(payment.get("Monto")) * rate
		paid = Decimal(0)
		bases: dict[tuple, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
		withheld: dict[str, Decimal] = defaultdict(Decimal)
		for document in payment.iter(f"{PAGOS}DoctoRelacionado"):
			paid += _document(document, payment.get("MonedaP"), check, bases, withheld)
		# Between currencies the amount may be off by what the equivalence's decimals are worth.
		check(paid <= Decimal(payment.get("Monto")) + Decimal(1).scaleb(-places), "CRP20217", "Monto")
		for entry in payment.iter(f"{PAGOS}RetencionP"):
			kind = entry.get("ImpuestoP")
			check(
				abs(withheld.pop(kind, Decimal(-1)) - Decimal(entry.get("ImporteP"))) < Decimal("1e-6"),
				"CRP20265",
				kind,
			)
			totals[f"TotalRetenciones{names[kind]}"] += Decimal(entry.get("ImporteP")) * rate
		for entry in payment.iter(f"{PAGOS}TrasladoP"):
			key = (entry.get("ImpuestoP"), entry.get("TipoFactorP"), entry.get("TasaOCuotaP"))
			base, amount = bases.pop(key, (Decimal(-1), Decimal(-1)))
			check(abs(base - Decimal(entry.get("BaseP"))) < Decimal("1e-6"), "CRP20268", str(key))
			check(abs(amount - Decimal(entry.get("ImporteP") or 0)) < Decimal("1e-6"), "CRP20274", str(key))
			if key[0] == "002":
				name = "Exento" if key[2] is None else str(int(Decimal(key[2]) * 100))
				totals[f"TotalTrasladosBaseIVA{name}"] += Decimal(entry.get("BaseP")) * rate
				if key[2] is not None:
					totals[f"TotalTrasladosImpuestoIVA{name}"] += Decimal(entry.get("ImporteP")) * rate
		check(not bases and not withheld, "CRP20271", "taxes of the payment")
	told = node.find(f"{PAGOS}Totales").attrib
	check(set(told) == set(totals), "CRP20264", f"{sorted(told)}, not {sorted(totals)}")
	for name, value in totals.items():
		check(
			Decimal(told.get(name, -1)) == _round(value, 2),
			"CRP20201 to 20211",
			f"{name} {told.get(name)}: {value}",
		)


def _document(document, currency, check, bases, withheld) -> Decimal:
	own = document.get("MonedaDR")
	_, places = judges.catalogue("C756_c_Moneda")[own]
	before, paid, after = (
		Decimal(document.get(name)) for name in ("ImpSaldoAnt", "ImpPagado", "ImpSaldoInsoluto")
	)
	equivalence = Decimal(document.get("EquivalenciaDR"))
	check(own != currency or document.get("EquivalenciaDR") == "1", "CRP20238", "EquivalenciaDR")
	check(before > 0, "CRP20239", "ImpSaldoAnt")
	check(paid > 0, "CRP20241", "ImpPagado")
	check(after >= 0 and after == before - paid, "CRP20244", "ImpSaldoInsoluto")
	for name, code in (
		("ImpSaldoAnt", "CRP20240"),
		("ImpPagado", "CRP20242"),
		("ImpSaldoInsoluto", "CRP20243"),
	):
		check(_places(document.get(name)) <= places, code, f"decimals of {name}")
	taxes = document.find(f"{PAGOS}ImpuestosDR")
	check((taxes is not None) == (document.get("ObjetoImpDR") == "02"), "CRP20246", "taxes of the document")
	for tag, code in (("RetencionDR", "CRP20249"), ("TrasladoDR", "CRP20255")):
		for tax in () if taxes is None else taxes.iter(f"{PAGOS}{tag}"):
			base, amount = Decimal(tax.get("BaseDR")), Decimal(tax.get("ImporteDR") or 0)
			check(base > 0, code, "BaseDR")
			rate = tax.get("TasaOCuotaDR")
			if rate is not None:
				check(
					_within(tax.get("ImporteDR"), tax.get("BaseDR"), rate, places, exact_right=True),
					"CRP20254" if tag == "RetencionDR" else "CRP20261",
					f"{dict(tax.attrib)}",
				)
			if tag == "RetencionDR":
				withheld[tax.get("ImpuestoDR")] += amount / equivalence
			else:
				key = (tax.get("ImpuestoDR"), tax.get("TipoFactorDR"), rate)
				bases[key][0] += base / equivalence
				bases[key][1] += amount / equivalence
	return paid / equivalence
