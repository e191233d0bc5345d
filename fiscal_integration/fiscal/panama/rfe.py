"""The DGI's XML of a fiscal document, the rFE (panama.md 5.4): read what a provider hands out of it."""

from dataclasses import dataclass
from decimal import Decimal

from fiscal_integration.fiscal.money import decimal, quantize
from fiscal_integration.fiscal.xml import parse

NAMESPACE = "http://dgi-fep.mef.gob.pa"
REFERENCE_NOTE = "Ref. "
"""What the issuer's note (dInfEmFE) begins with when it tells our reference."""


@dataclass(frozen=True)
class Summary:
	"""What identifies an rFE: CUFE, type, receiver's RUC or foreign number, total, and our reference if noted."""

	cufe: str
	document_type: str
	receiver: str
	total: Decimal
	qr_value: str = ""
	reference: str = ""


def summary(content: bytes | str) -> Summary | None:
	"""The summary of the rFE in `content`, which may stand in a container (rContFe); None when there is none."""
	root = parse(content)
	if root is None:
		return None
	name = f"{{{NAMESPACE}}}rFE"
	document = root if root.tag == name else root.find(f".//{name}")
	if document is None:
		return None

	def text(path: str) -> str:
		found = document.find("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
		return (found.text or "").strip() if found is not None else ""

	try:
		total = quantize(decimal(text("gTot/dVTot") or None))
	except ValueError:
		return None
	if not text("dId") or not text("gTot/dVTot"):
		return None
	note = text("gDGen/dInfEmFE")
	return Summary(
		cufe=text("dId"),
		document_type=text("gDGen/iDoc"),
		receiver=text("gDGen/gDatRec/gRucRec/dRuc") or text("gDGen/gDatRec/gIdExt/dIdExt"),
		total=total,
		qr_value=text("gNoFirm/dQRCode"),
		reference=note.removeprefix(REFERENCE_NOTE) if note.startswith(REFERENCE_NOTE) else "",
	)
