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
