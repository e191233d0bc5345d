"""Reading XML that strangers wrote, and writing what people entered."""

import re

from lxml import etree

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def parse(content: bytes | str):
	"""The root of an XML document; None when it is none, or carries a document type declaration.

	Entities are not resolved and nothing is fetched.
	"""
	if isinstance(content, str):
		content = content.encode()
	parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
	try:
		root = etree.fromstring(content, parser)
	except (etree.XMLSyntaxError, ValueError):
		return None
	return None if root.getroottree().docinfo.doctype else root


def clean(text: str) -> str:
	"""`text` without the characters that XML cannot hold, such as those of a barcode reader gone astray."""
	return _NOT_XML.sub("", text)
