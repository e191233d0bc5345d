"""SOAP 1.1 as WCF services speak it: an envelope from nested values, in the order in which they are given.

Small on purpose. A SOAP library would want the service's WSDL, which the vendor serves but nobody may ship;
and the request is kept to the byte before it is sent, so that we have to be the ones who write it.
"""

from lxml import etree

from fiscal_integration.fiscal.xml import clean

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
MAX_DEPTH = 50


class Fault(Exception):
	"""The service answered with a SOAP fault."""

	def __init__(self, code: str, text: str):
		self.code = code
		super().__init__(text)


def envelope(operation: str, namespace: str, values: dict, member_namespace: str = "") -> bytes:
	"""A request for `operation`. Nested dicts become elements of `member_namespace`, lists repeated ones;
	empty values are left out, since what does not apply must not be sent (providers/hka.md#soap)."""
	nsmap = {"soapenv": ENVELOPE, "tem": namespace}
	if member_namespace:
		nsmap["ser"] = member_namespace
	root = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap=nsmap)
	etree.SubElement(root, f"{{{ENVELOPE}}}Header")
	body = etree.SubElement(root, f"{{{ENVELOPE}}}Body")
	call = etree.SubElement(body, f"{{{namespace}}}{operation}")
	for name, value in values.items():
		_add(call, namespace, name, value, member_namespace)
	return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _add(parent, namespace, name, value, member_namespace):
	if isinstance(value, list):
		for entry in value:
			_add(parent, namespace, name, entry, member_namespace)
		return
	if value is None or value == "" or value == {}:
		return
	element = etree.SubElement(parent, f"{{{namespace}}}{name}")
	if isinstance(value, dict):
		for key, entry in value.items():
			_add(element, member_namespace, key, entry, member_namespace)
	else:
		element.text = clean(str(value))


def result(root, operation: str) -> dict | None:
	"""The members of the operation's result, by their local names; None when there is none. Raises Fault.

	`root` is the parsed answer (see fiscal.xml.parse). What is repeated becomes a list, what is nil an empty string.
	"""
	fault = root.find(f"{{{ENVELOPE}}}Body/{{{ENVELOPE}}}Fault")
	if fault is not None:
		raise Fault(fault.findtext("faultcode") or "", (fault.findtext("faultstring") or "").strip())
	body = root.find(f"{{{ENVELOPE}}}Body")
	if body is None:
		return None
	for element in body.iter():
		if etree.QName(element).localname == f"{operation}Result":
			found = read(element)
			return found if isinstance(found, dict) else {}
	return None


def read(element, depth: int = 0):
	"""An element as a dict of its members, or its text."""
	children = [child for child in element if isinstance(child.tag, str)]
	if not children or depth > MAX_DEPTH:
		return (element.text or "").strip()
	found: dict = {}
	for child in children:
		name, value = etree.QName(child).localname, read(child, depth + 1)
		if name in found:
			known = found[name] if isinstance(found[name], list) else [found[name]]
			found[name] = [*known, value]
		else:
			found[name] = value
	return found
