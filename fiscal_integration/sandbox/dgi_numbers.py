"""CUFE and RUC as the sandbox's tax authority reckons them: written for it alone, so that it judges the app's own.

docs/authorities/panama.md has the rules: "CUFE" and "RUC and DV".
"""

WIDTHS = (
	("document", 2),
	("taxpayer_type", 1),
	("ruc", 20),
	("hyphen", 1),
	("dv", 2),
	("branch", 4),
	("date", 8),
	("number", 10),
	("point", 3),
	("emission", 2),
	("environment", 1),
	("security", 9),
)
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def check_digit(cufe: str) -> str:
	"""The digit that closes a CUFE of which all but that is given, "FE" included."""
	body = cufe[2:65]
	values = [int(mark) if mark.isdigit() else int(str(ord(mark))[1]) for mark in body]
	total = sum(DOUBLED[value] if (len(values) - place) % 2 else value for place, value in enumerate(values))
	return str((10 - total % 10) % 10)


def cufe(**parts) -> str:
	"""A CUFE of its parts (see WIDTHS), each filled from the left with zeros."""
	parts["hyphen"] = "-"
	code = "FE" + "".join(str(parts[name]).rjust(width, "0") for name, width in WIDTHS)
	return code + check_digit(code)


def cufe_parts(code: str) -> dict[str, str]:
	"""The parts of a CUFE; empty when its length, its figures or its check digit are wrong."""
	if len(code) != 66 or not code.startswith("FE") or check_digit(code) != code[65]:
		return {}
	found, place = {}, 2
	for name, width in WIDTHS:
		found[name] = code[place : place + width]
		place += width
	figures = (text for name, text in found.items() if name not in ("ruc", "hyphen", "branch"))
	return found if found["hyphen"] == "-" and all(text.isdigit() for text in figures) else {}


def ruc_types(number: str) -> set[int]:
	"""The taxpayer types (1 natural, 2 juridical) that a RUC of this form can have; empty when it is none."""
	if not number or len(number) > 20 or number != number.strip():
		return set()
	fields = number.split("-")
	head, tail = fields[0], fields[1:]
	if len(fields) == 4 and tail[0] in ("NT", "AV", "PI"):
		head, tail = head + tail[0], tail[1:]
	if len(tail) != 2 or not all(field.isascii() and field.isdigit() for field in tail):
		return set()
	letters = head.lstrip("0123456789")
	province = head[: len(head) - len(letters)]
	if letters in ("E", "N", "PE"):
		return {1} if not province else set()
	if letters in ("AV", "PI", "NT"):
		if not _is_province(province):
			return set()
		return {1, 2} if letters == "NT" else {1}
	if letters or not province or province.startswith("0"):
		return set()
	types = {2} if len(province) <= 10 and len(tail[0]) <= 4 and len(tail[1]) <= 6 else set()
	return types | {1} if _is_province(province) and len(tail[0]) <= 4 and len(tail[1]) <= 6 else types


def dv(number: str, taxpayer_type: int) -> str:
	"""The two digits of a RUC of this type; empty when it cannot be of it."""
	if taxpayer_type not in ruc_types(number):
		return ""
	fields = number.split("-")
	if len(fields) == 4:
		fields = [fields[0] + fields[1], *fields[2:]]
	head, middle, last = fields
	letters = head.lstrip("0123456789")
	province = head[: len(head) - len(letters)].rjust(2, "0")
	old = False
	if taxpayer_type == 2 and letters == "NT":
		base = province + "43" + middle.rjust(3, "0") + (last if len(last) == 6 else last[:5].rjust(5, "0"))
	elif taxpayer_type == 2:
		base = head.rjust(10, "0") + middle.rjust(4, "0") + last.rjust(6, "0")
		old = base[3:5] == "00" and base[5] in "01234"
		if old:
			base = base[:5] + _renumbered(base[5:7]) + base[7:]
	else:
		whole_page = letters in ("E", "N", "NT") and len(last) == 6
		page = last if whole_page else last[:5].rjust(5, "0")
		if len(middle) == 4 and letters and letters != "NT":
			lead = {"E": "665", "PE": "8275", "N": "924"}.get(letters, "9595")
			base = "5" + (lead + "0" if whole_page and len(lead) == 3 else lead) + middle + page
		else:
			mark = {"": "00", "E": "50", "PE": "75", "N": "40", "AV": "15", "PI": "79", "NT": "43"}[letters]
			base = "5" + province + mark + middle.rjust(3, "0") + page
	base = base.rjust(20, "0")
	first = _modulus(base, old)
	return first + _modulus(base + first, old)


def _is_province(text: str) -> bool:
	return text.isdigit() and not text.startswith("0") and 1 <= int(text) <= 13


def _renumbered(pair: str) -> str:
	"""The DGI's cross reference for the pairs 00 to 49 of numbers from before its renumbering."""
	value = int(pair)
	for first, last, less in (
		(10, 18, 9),
		(19, 22, 18),
		(23, 25, 16),
		(26, 33, 24),
		(34, 42, 33),
		(43, 49, 42),
	):
		if first <= value <= last:
			return str(value - less).rjust(2, "0")
	return pair


def _modulus(digits: str, old: bool) -> str:
	weights = list(range(2, 30))
	if old:
		weights.insert(weights.index(11), 11)
	rest = sum(int(digit) * weight for digit, weight in zip(reversed(digits), weights, strict=False)) % 11
	return "0" if rest < 2 else str(11 - rest)
