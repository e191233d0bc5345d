"""Taking secrets out of what is about to be kept: by the name they stand under, and by their value.

Used at the one place where exchanges are recorded and where failures are logged (invariant 7). By value
covers what a provider echoes and what an exception quotes, in the encodings that HTTP puts a key into.
"""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

MASK = "[redacted]"

# What makes a name telling: a word anywhere in it, its ending, or the whole of it (without - _ and .).
_WORDS = ("secret", "password", "passwd", "passphrase", "token")
_ENDINGS = ("apikey", "privatekey")
_NAMES = {
	"authorization",
	"proxyauthorization",
	"cookie",
	"setcookie",
	"pwd",
	"clave",
	"pin",
	"fonuserpin",
	"p12",
	"pfx",
}
# A name that merely contains one of the words, with a value that is no secret.
_HARMLESS = {"access_token_expires_in", "access_token_expires_at", "token_type", "refresh_token_expires_in"}
# A name, its quotes (escaped when the text is JSON within JSON), and what parts it from its value. A name is
# looked at once, from its first character on: no text takes more than linear time.
_NAMED = re.compile(
	r"(?<![\w-])(?P<name>[\w-]{1,80})(?![\w-])(?P<quote>\\{0,7}[\"']?)\s{0,20}[:=]\s{0,20}", re.ASCII
)
_ELEMENT = re.compile(r"<(?:[\w.-]{1,80}:)?(?P<name>[\w.-]{1,80})(?:\s[^<>]{0,1000})?>", re.ASCII)
_OPENING = re.compile(r"\\{0,7}[\"']")
_SCHEME = re.compile(r"(?:Bearer|Basic)\s{1,20}", re.I)
_BARE = re.compile(r"[^\s,;\"'\\{}\[\]&<>]+")
_LITERAL = re.compile(r"(?:null|true|false|None|True|False)\b")
_KEY_SHAPE = re.compile(r"\bsk_(?:test|live|user)_[A-Za-z0-9_\-]{6,}")
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
SHORT = 4
"""Secrets shorter than this are known by their name only: their value would be found everywhere."""


def is_telling(name: str) -> bool:
	"""True when a value under this name is a secret."""
	if name.lower() in _HARMLESS:
		return False
	plain = re.sub(r"[-_.]", "", name.lower())
	return plain in _NAMES or plain.endswith(_ENDINGS) or any(word in plain for word in _WORDS)


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
	"""The forms in which `value` may stand in a request, an answer or a message, base64 aside (see `_cores`)."""
	raw = value.encode("utf-8", "surrogatepass")
	percent = {quote(value, safe="", errors="replace"), quote_plus(value, errors="replace")}
	escaped = json.dumps(value)[1:-1]
	unicode = "".join(f"\\u{unit:04x}" for unit in _units(value))
	forms = {
		value,
		value[::-1],
		repr(value)[1:-1],
		escaped,
		json.dumps(value, ensure_ascii=False)[1:-1],
		json.dumps(escaped)[1:-1],
		unicode,
		re.sub(r"[A-F]", lambda match: match[0].lower(), unicode),
		"".join(f"\\u{unit:04X}" for unit in _units(value)),
		html.escape(value),
		html.escape(value, quote=False),
		"".join(f"&#{ord(letter)};" for letter in value),
		"".join(f"&#x{ord(letter):x};" for letter in value),
		"".join(f"&#x{ord(letter):X};" for letter in value),
		value.replace("&", "&amp;")
		.replace("<", "&lt;")
		.replace(">", "&gt;")
		.replace('"', "&quot;")
		.replace("'", "&apos;"),
		raw.hex(),
		raw.hex().upper(),
		*percent,
		*(re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in percent),
		"".join(f"%{byte:02X}" for byte in raw),
		"".join(f"%{byte:02x}" for byte in raw),
	}
	forms |= {form.replace("/", "\\/") for form in (escaped, value)}
	return {form for form in forms if len(form) >= SHORT}


def _units(value: str) -> list[int]:
	"""The UTF-16 code units of `value`, as JSON's escapes count them."""
	raw = value.encode("utf-16-be", "surrogatepass")
	return [raw[i] << 8 | raw[i + 1] for i in range(0, len(raw), 2)]


def _cores(value: str) -> set[str]:
	"""The parts of base64 that stay the same whatever stands before and after `value`, such as a user name and a
	colon: one for each of the three ways in which its bytes can fall."""
	raw = value.encode("utf-8", "surrogatepass")
	found = set()
	for shift in range(3):
		text = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
		# The first characters also hold bits of what stands before, the last one of what stands behind.
		first = (0, 2, 3)[shift]
		last = len(text) if (shift + len(raw)) % 3 == 0 else len(text) - 1
		core = text[first:last]
		if len(core) >= 6:
			found |= {core, core.replace("+", "-").replace("/", "_")}
	return found


def redact(text: str, secrets=()) -> str:
	"""`text` without the secrets: neither under a telling name nor by value, in any encoding. Linear in its length."""
	if not text:
		return text
	values, cores = set(), set()
	for secret in secrets:
		value = secret.reveal() if isinstance(secret, Secret) else secret
		if value and len(value) >= SHORT:
			values |= encodings(value)
			cores |= _cores(value)
	for value in sorted(values, key=len, reverse=True):
		text = text.replace(value, MASK)
	for core in cores:
		text = _without_base64(text, core)
	return _KEY_SHAPE.sub(MASK, _without_named(_without_elements(text)))


def _without_base64(text: str, core: str) -> str:
	"""`text` with every run of base64 masked that holds `core`."""
	parts, done = [], 0
	found = text.find(core)
	while found >= 0:
		first, last = found, found + len(core)
		while first > done and text[first - 1] in _BASE64:
			first -= 1
		while last < len(text) and text[last] in _BASE64:
			last += 1
		parts += [text[done:first], MASK]
		done = last
		found = text.find(core, done)
	return "".join([*parts, text[done:]])


def _without_elements(text: str) -> str:
	"""`text` with the content of XML elements masked that have a telling name and hold text only."""
	parts, done, no_end = [], 0, False
	for match in _ELEMENT.finditer(text):
		if match.start() < done or match[0].endswith("/>") or not is_telling(match["name"]):
			continue
		first = match.end()
		last = text.find("<", first)
		while last >= 0 and text.startswith("<![CDATA[", last) and not no_end:
			end = text.find("]]>", last)
			no_end = end < 0
			last = text.find("<", end) if end >= 0 else len(text)
		if last < 0:
			last = len(text)
		if not text[first:last].strip() or (last < len(text) and not text.startswith("</", last)):
			continue  # empty, or with elements of its own, which are looked at themselves
		parts += [text[done:first], MASK]
		done = last
	return "".join([*parts, text[done:]])


def _without_named(text: str) -> str:
	"""`text` with the values masked that stand behind a telling name, as JSON, Python and forms write them."""
	parts, done, at = [], 0, 0
	while match := _NAMED.search(text, at):
		at = match.end()
		if not is_telling(match["name"]):
			continue
		opened = _OPENING.match(text, at)
		if opened:
			first, last = opened.end(), _end_of_string(text, opened.end(), opened[0])
		elif text[at : at + 1] in ("{", "["):
			# The values inside are masked one by one, so that the text keeps its shape.
			last = _end_of_nested(text, at)
			parts += [text[done:at], _masked_leaves(text[at:last])]
			done = at = last
			continue
		else:
			scheme = _SCHEME.match(text, at)
			first = at
			bare = _BARE.match(text, scheme.end() if scheme else at)
			if not bare or _LITERAL.fullmatch(bare[0]):
				continue
			last = bare.end()
		parts += [text[done:first], MASK]
		done = at = last
	return "".join([*parts, text[done:]])


def _end_of_string(text: str, at: int, quote: str) -> int:
	"""Where the string ends that was opened with `quote` (backslashes and a quotation mark); the text's end if nowhere."""
	mark, depth = quote[-1], len(quote) - 1
	while (at := text.find(mark, at)) >= 0:
		slashes = 0
		while at - slashes > 0 and text[at - slashes - 1] == "\\" and slashes <= depth + 1:
			slashes += 1
		# As many backslashes as at the opening close it. More belong to a mark inside of it.
		if slashes == depth:
			return at - slashes
		at += 1
	return len(text)


def _end_of_nested(text: str, at: int) -> int:
	"""Behind the bracket that closes the one at `at`; the text's end if none does."""
	depth = 0
	for match in re.compile(r"[{}\[\]]").finditer(text, at):
		depth += 1 if match[0] in "{[" else -1
		if not depth:
			return match.end()
	return len(text)


def _masked_leaves(text: str) -> str:
	"""JSON or Python text with every string and number masked that is no key."""
	leaf = re.compile(r"""(?P<quote>\\*["'])(?P<text>[^"'\\]*)(?P=quote)(?P<colon>\s{0,20}:)?|-?\d[\w.+-]*""")
	return leaf.sub(
		lambda match: match[0] if match["colon"] else f"{match['quote'] or ''}{MASK}{match['quote'] or ''}",
		text,
	)


def redact_headers(headers: dict, secrets=()) -> dict:
	"""`headers` with the telling ones masked whole and the rest redacted by value."""
	return {
		name: MASK if is_telling(name) else redact(str(value), secrets)
		for name, value in dict(headers).items()
	}
