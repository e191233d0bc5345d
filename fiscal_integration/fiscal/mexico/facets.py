"""What the schema of a CFDI lets into its attributes (authorities/mexico.md#facets)."""

from fiscal_integration.fiscal.text import plain_text

NAME, DESCRIPTION, CODE, UNIT, SERIES, OPERATION, FOREIGN_ID = 300, 1000, 100, 20, 25, 100, 40
"""The longest Nombre, Descripcion, NoIdentificacion, Unidad, Serie, NumOperacion and NumRegIdTrib."""


def fit(text: str, longest: int) -> str:
	"""`text` as an attribute takes it: plain, without the bar that separates attributes where SAT signs them."""
	return plain_text(text.replace("|", "/"), longest)
