"""A company's name as SAT registers it: without the type of company (authorities/mexico.md#names)."""

import re
import unicodedata

_WITH_VARIABLE_CAPITAL = (
	# Stock companies, those that promote investment or are listed, and simplified ones.
	"SA",
	"SAB",
	"SAPI",
	"SAPIB",
	"SAS",
	# Limited liability; of public interest; micro-industrial and artisanal.
	"SDERL",
	"SRL",
	"SDERLDEIP",
	"SDERLMI",
	"SDERLDEMI",
	"SDEIPDERL",
	"SDERLART",
	"SMI",
	# Partnerships and limited partnerships.
	"SC",
	"SENC",
	"SENCS",
	"SENCPORA",
	"SENCPORACCIONES",
	"SENNC",
	"SNC",
	# Cooperatives, with limited or supplemented liability, for production, consumption, and savings and loans.
	"SCL",
	"SCS",
	"SCDERL",
	"SCDERS",
	"SCDEPDERL",
	"SCDEPDERS",
	"SCDECDERL",
	"SCDECDERS",
	"SCDEBYSDERL",
	"SCDEPDEBYSDERL",
	"SCDEAPDERL",
	"SCAPDERL",
	"SCDEAP",
	"SCAP",
	# Rural production, social solidarity, rural associations of collective interest.
	"SPR",
	"SDEPRDERL",
	"SDEPRDERI",
	"SDEPRDERS",
	"SPRDERL",
	"SPRDERI",
	"SPRDERS",
	"SPRRL",
	"SPRRI",
	"SSS",
	"SDESS",
	"SSSDERL",
	"SSSDERI",
	"ARIC",
	"ARICDERL",
	"ARICDERI",
	"UER",
	"UDEEDERL",
	"SOCIEDADANONIMA",
	"SOCIEDADANONIMABURSATIL",
	"SOCIEDADANONIMAPROMOTORADEINVERSION",
	"SOCIEDADANONIMAPROMOTORADEINVERSIONBURSATIL",
	"SOCIEDADPORACCIONESSIMPLIFICADA",
	"SOCIEDADDERESPONSABILIDADLIMITADA",
	"SOCIEDADDERESPONSABILIDADLIMITADAMICROINDUSTRIAL",
	"SOCIEDADCIVIL",
	"SOCIEDADENCOMANDITASIMPLE",
	"SOCIEDADENCOMANDITAPORACCIONES",
	"SOCIEDADENNOMBRECOLECTIVO",
	"SOCIEDADCOOPERATIVA",
	"SOCIEDADCOOPERATIVALIMITADA",
	"SOCIEDADCOOPERATIVADERESPONSABILIDADLIMITADA",
	"SOCIEDADDEPRODUCCIONRURAL",
	"SOCIEDADDEPRODUCCIONRURALDERESPONSABILIDADLIMITADA",
	"SOCIEDADDEPRODUCCIONRURALDERESPONSABILIDADILIMITADA",
	"SOCIEDADDESOLIDARIDADSOCIAL",
)
_OTHERS = (
	# Associations and foundations.
	"AC",
	"AENP",
	"ASOCIACIONCIVIL",
	"IAP",
	"IASP",
	"IBP",
	"ABP",
	"AP",
	"AR",
	"INSTITUCIONDEASISTENCIAPRIVADA",
	"INSTITUCIONDEBENEFICENCIAPRIVADA",
	"ASOCIACIONDEBENEFICENCIAPRIVADA",
	"ASOCIACIONRELIGIOSA",
	# What financial companies add.
	"ER",
	"ENR",
	"SOFOM",
	"SOFOMER",
	"SOFOMENR",
	"ENTIDADREGULADA",
	"ENTIDADNOREGULADA",
	"SOCIEDADFINANCIERADEOBJETOMULTIPLE",
	"SOCIEDADFINANCIERADEOBJETOMULTIPLEENR",
	"SOCIEDADFINANCIERADEOBJETOMULTIPLEER",
	"SOCIEDADFINANCIERADEOBJETOMULTIPLEENTIDADREGULADA",
	"SOCIEDADFINANCIERADEOBJETOMULTIPLEENTIDADNOREGULADA",
	"SOFIPO",
	"SFP",
	"IBM",
	"IBD",
)
_VARIABLE = ("", "DECV", "CV", "DECAPITALVARIABLE")
TYPES = frozenset(kind + capital for kind in _WITH_VARIABLE_CAPITAL for capital in _VARIABLE) | frozenset(
	_OTHERS
)
"""Types of company without dots, blanks and accents."""
_ONLY_AFTER_A_TYPE = frozenset(
	("AP", "AR", "ER", "ENR", "IBM", "IBD", "SFP", "SOFOM", "SMI", "UER", "ARIC", "SOFIPO")
)
"""Letters that are words of names too: taken off only where more of a type, or a comma, stands before them."""
_LONGEST = 12
"""More words than the longest type has."""


def legal_name(name: str, natural_person: bool = False) -> str:
	"""The name as SAT registers it: in capitals; that of a company without its type."""
	words = re.sub(r"\s+", " ", name).strip().upper().replace(",", " , ").split()
	if natural_person:
		return _joined(words)
	while words:
		shorter = _without_type(words)
		if len(shorter) == len(words) or not _joined(shorter):
			break
		words = shorter
	return _joined(words)


def _joined(words) -> str:
	return re.sub(r" +,", ",", " ".join(words)).strip(" ,")


def _without_type(words: list[str]) -> list[str]:
	"""`words` without the longest type of company at their end."""
	for start in range(max(1, len(words) - _LONGEST), len(words)):
		tail = _plain("".join(words[start:]))
		if tail not in TYPES:
			continue
		marked = words[start] == "," or words[start - 1] == "," or "." in "".join(words[start:])
		if tail in _ONLY_AFTER_A_TYPE and not marked and len(_without_type(words[:start])) == start:
			continue
		return words[:start]
	return words


def _plain(text: str) -> str:
	"""Letters only, without accents."""
	text = "".join(part for part in unicodedata.normalize("NFD", text) if not unicodedata.combining(part))
	return re.sub(r"[^A-Z]", "", text)
