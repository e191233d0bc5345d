"""RUC, the Panamanian taxpayer's number, and its verification digits, the DV.

See authorities/panama.md#ruc-and-dv.
"""

import re
from dataclasses import dataclass

NATURAL = 1
JURIDICAL = 2
LONGEST = 20

_PROVINCE = r"(?:1[0-3]|[1-9])"
_PERSON = re.compile(
	rf"(?P<province>{_PROVINCE})?-?(?P<letters>PE|AV|PI|NT|E|N)?-(?P<book>[0-9]{{1,4}})-(?P<page>[0-9]{{1,6}})"
)
_COMPANY = re.compile(r"(?P<roll>[1-9][0-9]{0,9})-(?P<image>[0-9]{1,4})-(?P<entry>[0-9]{1,6})")

# Which letters stand behind a province, and which stand alone.
_WITH_PROVINCE = ("AV", "PI", "NT")
_ALONE = ("PE", "E", "N")
_NT = "NT"
_LETTER_CODES = {"": "00", "AV": "15", "N": "40", "NT": "43", "E": "50", "PE": "75", "PI": "79"}
# With a book of four digits there is no room for the province: the DGI puts these in the place of both.
_LONG_BOOK_CODES = {"E": "665", "PE": "8275", "N": "924", "AV": "9595", "PI": "9595"}

# Two digits of an old number, as the DGI replaces them before it computes.
_OLD_PAIRS = {
	"00": "00",
	**{str(old): f"{new:02d}" for old, new in zip(range(10, 19), range(1, 10), strict=True)},
	**{str(old): f"{new:02d}" for old, new in zip(range(19, 23), range(1, 5), strict=True)},
	**{str(old): f"{new:02d}" for old, new in zip(range(23, 26), range(7, 10), strict=True)},
	**{str(old): f"{new:02d}" for old, new in zip(range(26, 34), range(2, 10), strict=True)},
	**{str(old): f"{new:02d}" for old, new in zip(range(34, 43), range(1, 10), strict=True)},
	**{str(old): f"{new:02d}" for old, new in zip(range(43, 50), range(1, 8), strict=True)},
}


@dataclass(frozen=True)
class Ruc:
	"""A RUC in one of the DGI's forms. `taxpayer_type` is 1 (natural) or 2 (juridical), as dTipoRuc has it.

	`either`: the form is used for persons and for organizations, which have different digits, and `taxpayer_type`
	is what its form shows first (8-NT-1-13656 is a ministry's).
	"""

	text: str
	taxpayer_type: int
	parts: tuple[str, ...]
	either: bool = False


def parse(text: str) -> Ruc | None:
	"""`text` as a RUC, or None when it has none of the forms.

	A number of three groups of digits is a person's when it begins with a province (1 to 13) and its book
	and page are as short as an identity card's; else a company's.
	"""
	if not text or len(text) > LONGEST:
		return None
	person = _PERSON.fullmatch(text)
	if person:
		province, letters = person["province"] or "", person["letters"] or ""
		hyphens = text.count("-")
		fits = {
			"": bool(province) and hyphens == 2,
			**{letter: bool(province) and hyphens in (2, 3) for letter in _WITH_PROVINCE},
		}.get(letters, False)
		alone = letters in _ALONE and not province and not text.startswith("-")
		if fits or alone:
			return Ruc(
				text, NATURAL, (province, letters, person["book"], person["page"]), either=letters == _NT
			)
	company = _COMPANY.fullmatch(text)
	if company:
		return Ruc(text, JURIDICAL, (company["roll"], company["image"], company["entry"]))
	return None


def is_valid(text: str) -> bool:
	return parse(text) is not None


def verification_digits(ruc: str, taxpayer_type: int) -> str:
	"""The two digits (DV) of `ruc`. Raises ValueError for what is no RUC of that type.

	The type has to be told: 8-442-445 can be a person's or an old company's, 8-NT-1-13656 a person's or a ministry's.
	"""
	juridical = int(taxpayer_type) == JURIDICAL
	digits = _juridical_digits(ruc) if juridical else _natural_digits(ruc)
	old = juridical and digits[3:5] == "00" and digits[5] < "5"
	found = parse(ruc)
	if old and not (found and found.either):
		digits = digits[:5] + _OLD_PAIRS.get(digits[5:7], digits[5:7]) + digits[7:]
	else:
		old = False
	first = _digit(digits, old)
	return first + _digit(digits + first, old)


def type_by_digits(ruc: str, dv: str) -> int:
	"""The taxpayer type that the digits `dv` fit, of a number that both have; 0 when they fit none or both."""
	found = parse(ruc)
	if not found or not found.either or not dv:
		return 0
	fitting = [kind for kind in (NATURAL, JURIDICAL) if verification_digits(ruc, kind) == dv.zfill(2)]
	return fitting[0] if len(fitting) == 1 else 0


def _natural_digits(ruc: str) -> str:
	found = parse(ruc)
	if not found or found.taxpayer_type != NATURAL:
		raise ValueError(f"{ruc} is no RUC of a natural person, such as 8-442-445")
	province, letters, book, page = found.parts
	# Six digits of a page count for E, N and NT; the DGI counts five of all others.
	page = page.zfill(5) if letters in ("E", "N", _NT) else page[:5].zfill(5)
	if len(book) == 4 and letters in _LONG_BOOK_CODES:
		code = _LONG_BOOK_CODES[letters]
		return f"5{code.ljust(4, '0') if len(page) == 6 else code}{book}{page}"
	return f"5{int(province or 0):02d}{_LETTER_CODES[letters]}{int(book):03d}{page}"


def _juridical_digits(ruc: str) -> str:
	found = parse(ruc)
	if found and found.either:
		# The same as a person's without the 5 in front, and never an old number.
		province, _letters, book, page = found.parts
		page = page if len(page) == 6 else page[:5].zfill(5)
		return f"{int(province):02d}43{int(book):03d}{page}".zfill(20)
	company = _COMPANY.fullmatch(ruc or "")
	if not company or len(ruc) > LONGEST:
		raise ValueError(f"{ruc} is no RUC of a company, such as 155596713-2-2015")
	return company["roll"].zfill(10) + company["image"].zfill(4) + company["entry"].zfill(6)


def _digit(digits: str, old: bool) -> str:
	total, weight, repeated = 0, 2, False
	for character in reversed(digits):
		total += int(character) * weight
		if old and weight == 11 and not repeated:
			repeated = True
		else:
			weight += 1
	remainder = total % 11
	return str(11 - remainder) if remainder > 1 else "0"
