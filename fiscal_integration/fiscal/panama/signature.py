"""The DGI's signature of an rFE: an enveloped XMLDSig, RSA-SHA256 (authorities/panama.md#signature).

The standard wants the enveloped-signature transform before canonicalization, and verifiers such as xmlsec1 read
no other order; the one real document that is known has them the other way round. Both make the same digest. The
standard's order is the default.
"""

import base64

from cryptography.x509 import load_der_x509_certificate
from lxml import etree
from signxml import (
	CanonicalizationMethod,
	DigestAlgorithm,
	SignatureConfiguration,
	SignatureMethod,
	SignatureReference,
	XMLSigner,
	XMLVerifier,
)
from signxml.exceptions import SignXMLException

from fiscal_integration.fiscal.certificate import Facts, Signer, facts_of

DS = "http://www.w3.org/2000/09/xmldsig#"
NOT_SIGNED = "{http://dgi-fep.mef.gob.pa}gNoFirm"
"""What the DGI keeps outside the signature; an element of that name in another namespace belongs to the content."""


class BadSignature(Exception):
	"""The document is not signed, or not as it was signed."""


class _Signer(XMLSigner):
	"""signxml's signer, with one canonicalization for the document and another for SignedInfo.

	See authorities/panama.md#signature.
	"""

	def __init__(self, sample_order: bool = False):
		super().__init__(
			signature_algorithm=SignatureMethod.RSA_SHA256,
			digest_algorithm=DigestAlgorithm.SHA256,
			c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_0,
		)
		# With a prefix: libxml2 canonicalizes a part of a document wrongly when its default namespace changes.
		self.namespaces = {"ds": DS}
		self.sample_order = sample_order

	def _unpack(self, data, references):
		sig_root, doc_root, inputs, _references = super()._unpack(data, None)
		whole = SignatureReference(
			URI="", c14n_method=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
		)
		return sig_root, doc_root, inputs, [whole]

	def _build_sig(self, sig_root, *arguments, **options):
		signed_info, value = super()._build_sig(sig_root, *arguments, **options)
		if self.sample_order:
			(transforms,) = signed_info.iter("{*}Transforms")
			transforms[:] = list(reversed(transforms))
		return signed_info, value


def sign(root, signer: Signer, sample_order: bool = False):
	"""`root` with its signature as the last child; also tells the subject, as the DGI's sample does."""
	signed = signer.sign_xml(_Signer(sample_order), root)
	(data,) = signed.iter(f"{{{DS}}}X509Data")
	name = etree.Element(f"{{{DS}}}X509SubjectName")
	name.text = signer.facts.subject
	data.insert(0, name)
	return signed


def digest_value(root) -> str:
	"""The DigestValue of a signed document."""
	return next(root.iter(f"{{{DS}}}DigestValue")).text


def signed_part(root):
	"""A copy of the document without what is not signed, to be verified."""
	copy = etree.fromstring(etree.tostring(root))
	for child in list(copy):
		if child.tag == NOT_SIGNED:
			copy.remove(child)
	return copy


def verify(root) -> Facts:
	"""Whose signature it is. Raises BadSignature when it is none or does not fit.

	The certificate is taken from the document: whether its issuer is trusted is the caller's to judge.
	"""
	found = list(root.iter(f"{{{DS}}}X509Certificate"))
	if len(list(root.iter(f"{{{DS}}}Signature"))) != 1 or not found:
		raise BadSignature("The document has not one signature with its certificate.")
	try:
		certificate = load_der_x509_certificate(base64.b64decode("".join((found[0].text or "").split())))
		result = XMLVerifier().verify(
			signed_part(root),
			x509_cert=certificate,
			expect_config=SignatureConfiguration(
				expect_references=1,
				signature_methods=frozenset((SignatureMethod.RSA_SHA256,)),
				digest_algorithms=frozenset((DigestAlgorithm.SHA256,)),
			),
		)
	except (SignXMLException, ValueError, KeyError) as error:
		raise BadSignature(str(error) or type(error).__name__) from None
	if result.signed_xml is None or result.signed_xml.tag != root.tag:
		raise BadSignature("The signature does not cover the document.")
	return facts_of(certificate)
