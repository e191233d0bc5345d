"""QR images: what a phone reads off a receipt."""

import base64
import binascii
import io

import qrcode

MAGIC = {"data:image/png;base64": b"\x89PNG\r\n\x1a\n", "data:image/jpeg;base64": b"\xff\xd8\xff"}
"""The kinds of images that are taken from others, with the bytes that such a file begins with. An SVG may hold script."""

MASK = 2
"""One mask for all: to try each of the eight takes four fifths of the time, and every reader takes any."""


def png(text: str) -> bytes:
	"""`text` as a QR code in a PNG, with the quiet zone and error correction M that receipts are printed
	with. Raises ValueError when the text is empty or longer than a QR code holds."""
	code = _code(text)
	buffer = io.BytesIO()
	code.make_image().save(buffer, format="PNG")
	return buffer.getvalue()


def _code(text: str) -> qrcode.QRCode:
	if not text:
		raise ValueError("There is no text to make a QR code of")
	code = qrcode.QRCode(
		error_correction=qrcode.constants.ERROR_CORRECT_M, box_size=6, border=4, mask_pattern=MASK
	)
	code.add_data(text)
	try:
		code.make(fit=True)
	except qrcode.exceptions.DataOverflowError:
		raise ValueError("The text is too long for a QR code") from None
	return code


def data_uri(text: str) -> str:
	"""`png(text)` as a data URI for an `img` element."""
	return "data:image/png;base64," + base64.b64encode(png(text)).decode("ascii")


def taken(uri: str) -> str:
	"""The QR image that a provider sent, as a data URI; empty unless it is a PNG or JPEG in base64.

	It is written into pages and prints as the source of an image, so nothing else may be in it.
	"""
	kind, _comma, coded = uri.partition(",")
	coded = "".join(coded.split())
	try:
		image = base64.b64decode(coded, validate=True)
	except (binascii.Error, ValueError):
		return ""
	magic = MAGIC.get(kind.lower())
	return f"{kind.lower()},{coded}" if magic and image.startswith(magic) else ""


def matrix(text: str) -> list[list[bool]]:
	"""The modules of `text` as a QR code, quiet zone included: True is dark."""
	return _code(text).get_matrix()
