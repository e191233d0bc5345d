"""The smallest PDF that carries text and a QR code: what a sandbox hands out as a fiscal document."""

import zlib

from fiscal_integration.fiscal import qr

WIDTH, HEIGHT = 420, 595


class Page:
	"""One page: lines of text from the top, one QR code, and the notice that it is worth nothing."""

	def __init__(self):
		self.content: list[str] = []
		self.y = HEIGHT - 40

	def text(self, line: str, size: int = 10):
		escaped = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
		self.content.append(f"BT /F1 {size} Tf 30 {self.y} Td ({escaped}) Tj ET")
		self.y -= size + 5

	def code(self, value: str, side: float = 150):
		"""The QR code as filled squares, so that no image format is needed."""
		matrix = qr.matrix(value)
		cell = side / len(matrix)
		self.y -= 4
		for row, cells in enumerate(matrix):
			for column, dark in enumerate(cells):
				if dark:
					x, y = 30 + column * cell, self.y - (row + 1) * cell
					self.content.append(f"{x:.2f} {y:.2f} {cell + 0.05:.2f} {cell + 0.05:.2f} re f")
		self.y -= int(side) + 20

	def render(self) -> bytes:
		stream = zlib.compress("\n".join(self.content).encode("cp1252", "replace"))
		objects = [
			b"<< /Type /Catalog /Pages 2 0 R >>",
			b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
			(
				f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] /Contents 4 0 R "
				"/Resources << /Font << /F1 5 0 R >> >> >>"
			).encode(),
			b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
			b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
		]
		out, offsets = b"%PDF-1.4\n", []
		for number, body in enumerate(objects, 1):
			offsets.append(len(out))
			out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
		xref = len(out)
		out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
		out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
		return out + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
			len(objects) + 1,
			xref,
		)

	@classmethod
	def of_invoice(cls, entry: dict) -> bytes:
		page = cls()
		page.text("SANDBOX - SIN VALIDEZ FISCAL", 18)
		page.text(f"CFDI 4.0 tipo {entry['type']}   {entry['series']} {entry['folio_number']}", 12)
		page.text(f"UUID {entry['uuid']}")
		page.text(f"Receptor {entry['customer']['legal_name']} ({entry['customer']['tax_id']})")
		for item in entry["items"][:12]:
			page.text(
				f"{item.get('quantity', 1)} x {item['product']['description'][:50]}  {item['product']['price']}",
				9,
			)
		page.text(f"Total {entry['total']} {entry['currency']}", 12)
		if entry["verification_url"]:
			page.code(entry["verification_url"])
		return page.render()
