"""The DGI's catalogue of places: province, district and corregimiento, with the code that documents carry (8-8-7).

`locations.csv` holds the catalogue of the Ficha Técnica de la Factura Electrónica para PAC, without its entries for
"invalid"; docs/authorities/panama.md says how it was compiled and compared.
"""

import csv
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Location:
	"""One corregimiento, in the DGI's own spelling."""

	code: str
	province: str
	district: str
	corregimiento: str

	@property
	def label(self) -> str:
		return f"{self.corregimiento}, {self.district}, {self.province}"


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Location]:
	"""All places by their code."""
	with Path(__file__).with_name("locations.csv").open(encoding="utf-8", newline="") as file:
		return {row["code"]: Location(**row) for row in csv.DictReader(file)}


def find(code: str) -> Location | None:
	"""The place with this code; None when the catalogue has none."""
	return catalogue().get((code or "").strip())


def search(text: str, limit: int = 20) -> list[Location]:
	"""The places whose code or names hold every word of `text`, whatever its accents and case; those whose
	corregimiento or code begins with it come first."""
	words = _plain(text).split()
	found = [place for place in catalogue().values() if all(word in _searched(place) for word in words)]
	start = _plain(text)
	found.sort(
		key=lambda place: not (place.code.startswith(start) or _plain(place.corregimiento).startswith(start))
	)
	return found[:limit]


@cache
def _searched(place: Location) -> str:
	return _plain(f"{place.code} {place.label}")


def _plain(text: str) -> str:
	letters = unicodedata.normalize("NFD", text or "")
	return "".join(letter for letter in letters if not unicodedata.combining(letter)).lower().strip()
