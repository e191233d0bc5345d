"""What programs that know nothing of us read from a PDF: for tests."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

PROGRAMS = {"pdftoppm": "poppler-utils", "pdftotext": "poppler-utils", "zbarimg": "zbar-tools"}


def read_pdf(content: bytes) -> tuple[str, str]:
	"""Text and QR code of a PDF of one page. Raises SkipTest where the programs are not installed."""
	for program, package in PROGRAMS.items():
		if not shutil.which(program):
			raise unittest.SkipTest(f"{program} (Debian: {package}) is not installed")
	with tempfile.TemporaryDirectory() as folder:
		path = Path(folder, "x.pdf")
		path.write_bytes(content)
		text = _run("pdftotext", path, "-")
		_run("pdftoppm", "-r", "200", "-png", path, Path(folder, "x"))
		(image,) = Path(folder).glob("x*.png")
		return text, _run("zbarimg", "-q", "--raw", image).strip()


def _run(*command) -> str:
	return subprocess.run(command, capture_output=True, text=True, check=True).stdout
