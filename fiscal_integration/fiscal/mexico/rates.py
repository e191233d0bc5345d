"""SAT's catalogue c_TasaOCuota: the rates that a tax may have (authorities/mexico.md#catalogues)."""

from decimal import Decimal

VAT = frozenset(Decimal(rate) for rate in ("0", "0.08", "0.16"))
VAT_WITHHELD = (Decimal(0), Decimal("0.16"))
INCOME_WITHHELD = (Decimal(0), Decimal("0.35"))
EXCISE = frozenset(
	Decimal(rate) for rate in "0 0.03 0.06 0.07 0.08 0.09 0.25 0.265 0.3 0.304 0.32 0.5 0.53 1.6".split()
) | {Decimal(2)}
"""By rate. 200 % and 32 % are those of tobacco since 2026."""
LARGEST_QUOTA = Decimal("66.5062")
"""The largest excise by quota, in pesos for a unit of measure."""
