"""Reading XML that strangers wrote."""

from lxml import etree


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
