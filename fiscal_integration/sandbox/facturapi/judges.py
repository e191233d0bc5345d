"""Judges that did not write the emulator: SAT's schemas, Original String and catalogues, as satcfdi ships them.

For tests only. Raises SkipTest where satcfdi is not installed.
"""

import functools
import unittest
from decimal import Decimal
from pathlib import Path

from lxml import etree

XSD = "http://www.w3.org/2001/XMLSchema"
FILES = (
	"4/cfdv40.xsd",
	"Pagos/Pagos20.xsd",
	"implocal/implocal.xsd",
	"TimbreFiscalDigital/TimbreFiscalDigitalv11.xsd",
)


def satcfdi():
	"""The package's reader of CFDI."""
	try:
		from satcfdi.cfdi import CFDI
	except ImportError:
		raise unittest.SkipTest("satcfdi (requirements-dev.txt) is not installed: nobody judges") from None
	return CFDI


def folder() -> Path:
	satcfdi()
	from satcfdi import transform

	return Path(transform.__file__).parent / "schemas" / "www.sat.gob.mx" / "sitio_internet" / "cfd"


@functools.cache
def schema() -> etree.XMLSchema:
	"""cfdv40, Pagos20, implocal and the stamp, as one schema."""
	imports = "".join(
		f'<xs:import namespace="{etree.parse(folder() / name).getroot().get("targetNamespace")}" '
		f'schemaLocation="{(folder() / name).as_uri()}"/>'
		for name in FILES
	)
	return etree.XMLSchema(etree.fromstring(f'<xs:schema xmlns:xs="{XSD}">{imports}</xs:schema>'))


def schema_errors(xml: bytes) -> list[str]:
	"""Where an XML is not what SAT's schemas say. An addenda is the parties' own matter, and not looked at."""
	document = etree.fromstring(xml)
	for node in document.findall("{http://www.sat.gob.mx/cfd/4}Addenda"):
		document.remove(node)
	validator = schema()
	return [] if validator.validate(document) else [str(entry) for entry in validator.error_log]


@functools.cache
def _transform() -> etree.XSLT:
	return etree.XSLT(etree.parse(folder() / "4" / "cadenaoriginal_4_0" / "cadenaoriginal_4_0.xslt"))


def original_string(xml: bytes) -> str:
	"""What SAT's own transformation says is sealed."""
	return str(_transform()(etree.fromstring(xml)))


@functools.cache
def facets(path: str) -> dict[str, str]:
	"""The facets of an attribute of a schema: "4/cfdv40.xsd Receptor/@Nombre"."""
	name, where = path.split()
	element, _, attribute = where.partition("/@")
	root = etree.parse(folder() / name)
	(node,) = root.xpath(
		f"(//xs:element[@name='{element}']/xs:complexType/xs:attribute[@name='{attribute}'])[last()]",
		namespaces={"xs": XSD},
	)
	return {
		etree.QName(facet).localname: facet.get("value")
		for facet in node.iterfind(f".//{{{XSD}}}restriction/*")
	}


@functools.cache
def enumeration(name: str) -> set[str]:
	"""The values of a catalogue in SAT's schema, such as c_FormaPago."""
	root = etree.parse(folder() / "catalogos" / "catCFDI.xsd")
	return set(root.xpath(f"//xs:simpleType[@name='{name}']//xs:enumeration/@value", namespaces={"xs": XSD}))


@functools.cache
def catalogue(name: str) -> dict:
	"""A catalogue of satcfdi, by key."""
	satcfdi()
	from satcfdi.catalogs import select_all

	return select_all(name)


def sum_of(cfdi) -> Decimal:
	"""What the parts of a CFDI, as satcfdi reads it, add up to."""
	taxes = cfdi.get("Impuestos") or {}
	local = (cfdi.get("Complemento") or {}).get("ImpuestosLocales") or {}
	return (
		cfdi["SubTotal"]
		- (cfdi.get("Descuento") or 0)
		+ (taxes.get("TotalImpuestosTrasladados") or 0)
		- (taxes.get("TotalImpuestosRetenidos") or 0)
		+ (local.get("TotaldeTraslados") or 0)
		- (local.get("TotaldeRetenciones") or 0)
	)
