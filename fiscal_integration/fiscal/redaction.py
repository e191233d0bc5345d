"""Taking secrets out of what is about to be kept: by the name they stand under, and by their value.

Used at the one place where exchanges are recorded and where failures are logged (invariant 7). By value
covers what a provider echoes and what an exception quotes, in the encodings that HTTP puts a key into.
"""

import base64
import json
import re
from urllib.parse import quote, quote_plus

MASK = "[redacted]"

_NAME = (
	r"authorization|proxy-authorization|cookie|set-cookie|x-api-key|[\w-]*api[_-]?key|[\w-]*secret[\w-]*|"
	r"[\w-]*password|passwd|pwd|[\w-]*token[\w-]*|clave|fon_user_pin|private[_-]?key"
)
# A name that merely contains one of the words, with a value that is no secret.
_HARMLESS = {"access_token_expires_in", "access_token_expires_at", "token_type", "refresh_token_expires_in"}
_HEADER = re.compile(rf"^({_NAME})$", re.I)
_PAIR = re.compile(
	rf"""(?P<open>["']?)(?P<name>\b(?:{_NAME}))(?P=open)(?P<mid>\s*[:=]\s*)"""
	r"""(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>(?:Bearer|Basic)\s+[^\s,;"'}&]+|[^\s,;"'}&<]+))""",
	re.I,
)
_ELEMENT = re.compile(rf"<(?P<tag>(?:\w+:)?(?:{_NAME}))(?P<attrs>(?:\s[^>]*)?)>[^<]*</(?P=tag)>", re.I)
_KEY_SHAPE = re.compile(r"\bsk_(?:test|live|user)_[A-Za-z0-9_\-]{6,}")


class Secret:
	"""A secret in memory. Printing, formatting, comparing or pickling it by accident shows nothing."""

	__slots__ = ("__value",)

	def __init__(self, value: str):
		self.__value = value

	def reveal(self) -> str:
		return self.__value

	def __bool__(self):
		return bool(self.__value)

	def __repr__(self):
		return "Secret(***)" if self.__value else "Secret()"

	__str__ = __repr__

	def __format__(self, spec):
		return format(repr(self), spec)

	def __reduce__(self):
		raise TypeError("A Secret does not leave its process")


def encodings(value: str) -> set[str]:
	"""The forms in which `value` may stand in a request, an answer or a message."""
	raw = value.encode()
	forms = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], value[::-1]}
	for plain in (raw, raw + b":", b":" + raw):
		encoded = base64.b64encode(plain).decode()
		forms |= {encoded, encoded.rstrip("=")}
	forms.add(repr(value)[1:-1])
	return {form for form in forms if len(form) >= 4}


def redact(text: str, secrets=()) -> str:
	"""`text` without the secrets: neither under a telling name nor by value, in any encoding."""
	if not text:
		return text
	values = set()
	for secret in secrets:
		value = secret.reveal() if isinstance(secret, Secret) else secret
		if value and len(value) >= 4:
			values |= encodings(value)
	for value in sorted(values, key=len, reverse=True):
		text = text.replace(value, MASK)
	text = _PAIR.sub(_mask_pair, text)
	text = _ELEMENT.sub(lambda match: f"<{match['tag']}{match['attrs']}>{MASK}</{match['tag']}>", text)
	return _KEY_SHAPE.sub(MASK, text)


def _mask_pair(match):
	if match["name"].lower() in _HARMLESS:
		return match[0]
	quoted = '"' if match["double"] is not None else "'" if match["single"] is not None else ""
	if match["bare"] and match["bare"] in ("null", "true", "false", "None"):
		return match[0]
	return f"{match['open']}{match['name']}{match['open']}{match['mid']}{quoted}{MASK}{quoted}"


def redact_headers(headers: dict, secrets=()) -> dict:
	"""`headers` with the telling ones masked whole and the rest redacted by value."""
	return {
		name: MASK if _HEADER.match(name) else redact(str(value), secrets)
		for name, value in dict(headers).items()
	}
