"""What people typed, as a document can carry it: plain text, and one e-mail address."""

import html
import re

_BLOCKS = "p div br li ul ol tr table h[1-6] hr blockquote section article pre td th".replace(" ", "|")
_BLOCK = re.compile(rf"</?(?:{_BLOCKS})\b[^>]*>", re.IGNORECASE)
_HIDDEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# C0 and C1 controls, lone surrogates, and what XML 1.0 cannot carry; then what is invisible or turns the direction.
_CONTROL = re.compile(
	"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]|[\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]"
)
_EMAIL = re.compile(
	r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
	r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
LONGEST_EMAIL = 254


def plain_text(text: str | None, limit: int = 0) -> str:
	"""`text` on one line: markup removed, with a blank between blocks; entities decoded; no control characters.

	At most `limit` characters, where one is given. What a Text Editor field holds is HTML, and what a Data field
	holds may be.
	"""
	text = str(text or "")
	if "<" in text:
		text = _TAG.sub("", _BLOCK.sub(" ", _HIDDEN.sub(" ", text)))
	if "&" in text:
		text = html.unescape(text)
	text = " ".join(_CONTROL.sub(" ", text).split())
	return text[:limit].rstrip() if limit else text


def first_email(text: str | None) -> str:
	"""The first valid address of a field that may hold several; empty when there is none."""
	for part in re.split(r"[\s,;<>]+", str(text or "")):
		if len(part) <= LONGEST_EMAIL and _EMAIL.fullmatch(part):
			return part
	return ""


_QUOTES = str.maketrans("<>", "‹›")


def harmless(value):
	"""`value` with ‹ and › in place of < and >, so that no page takes what others wrote for markup; no text stays as it
	is."""
	return value.translate(_QUOTES) if isinstance(value, str) else value
