import base64
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from fiscal_integration.fiscal import qr

URL = (
	"https://verificacfdi.facturaelectronica.sat.gob.mx/default.aspx?id=39c85a3f-275b-4341-b259-e8971d9f8a94"
	"&re=EKU9003173C9&rr=XAXX010101000&tt=345.600000&fe=bWApPw=="
)


class TestQr(unittest.TestCase):
	@unittest.skipUnless(shutil.which("zbarimg"), "zbarimg (Debian: zbar-tools) is not installed")
	def test_another_program_reads_the_same_text(self):
		with tempfile.TemporaryDirectory() as folder:
			path = Path(folder, "qr.png")
			path.write_bytes(qr.png(URL))
			read = subprocess.run(
				["zbarimg", "-q", "--raw", path], capture_output=True, text=True, check=True
			)
		self.assertEqual(read.stdout.strip(), URL)

	def test_data_uri_is_a_png(self):
		head, _, body = qr.data_uri(URL).partition(",")
		self.assertEqual(head, "data:image/png;base64")
		self.assertTrue(base64.b64decode(body).startswith(b"\x89PNG"))

	def test_nothing_and_too_much_are_refused(self):
		for text in ("", "x" * 5000):
			with self.subTest(length=len(text)), self.assertRaises(ValueError):
				qr.png(text)


class TestTaken(unittest.TestCase):
	"""What is taken of a provider's image: it is written into pages."""

	png = base64.b64encode(qr.png(URL)).decode()
	jpeg = base64.b64encode(b"\xff\xd8\xff\xe0 a picture").decode()

	def test_images(self):
		self.assertEqual(qr.taken(f"data:image/png;base64,{self.png}"), f"data:image/png;base64,{self.png}")
		wrapped = f"data:image/PNG;base64,\n{self.png[:76]}\r\n{self.png[76:]}\n"
		self.assertEqual(qr.taken(wrapped), f"data:image/png;base64,{self.png}")
		self.assertEqual(
			qr.taken(f"data:image/jpeg;base64,{self.jpeg}"), f"data:image/jpeg;base64,{self.jpeg}"
		)

	def test_whatever_else(self):
		svg = base64.b64encode(b"<svg onload='alert(1)'/>").decode()
		page = base64.b64encode(b"<script>alert(1)</script>").decode()
		for uri in (
			"",
			self.png,
			"data:image/png;base64,",
			f"data:image/svg+xml;base64,{svg}",
			f"data:image/png;base64,{svg}",
			f"data:text/html;base64,{page}",
			f"data:image/jpeg;base64,{self.png}",
			f'data:image/png;base64,{self.png}" onerror="alert(1)',
			f'data:image/png" onerror="alert(1);base64,{self.png}',
			f"data:image/png;charset=utf-8;base64,{self.png}",
			"data:image/png;base64,ñandú",
			"javascript:alert(1)",
			"https://example.com/qr.png",
		):
			with self.subTest(uri[:60]):
				self.assertEqual(qr.taken(uri), "")
