"""What print formats need of a sale's fiscal document: Jinja's `fiscal_receipt(doc)` and `fiscal_qr(doc)` for
people's own formats; `fiscal_cfdi`, `fiscal_cafe` and `fiscal_rksv` for ours, one for each country.

They read what was issued: the frozen request, the stamps, the provider's recorded answer, and the XML where it is
kept. What none of them holds is left out. What they return is text, formatted and in the authority's language;
print formats only place it.
"""

from fiscal_integration.printing.austria import fiscal_rksv
from fiscal_integration.printing.common import fiscal_qr, fiscal_receipt
from fiscal_integration.printing.mexico import fiscal_cfdi
from fiscal_integration.printing.panama import fiscal_cafe

__all__ = ["fiscal_cafe", "fiscal_cfdi", "fiscal_qr", "fiscal_receipt", "fiscal_rksv"]
