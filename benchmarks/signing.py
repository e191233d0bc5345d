"""Building and signing a document of 20 lines, against the bare RSA-2048 signature of the same machine.

	python benchmarks/signing.py [--rounds 200]

Both are measured in one run, in turns; `openssl speed` runs before and after. Prints medians and what the rest is.
"""

import argparse
import cProfile
import pstats
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from fiscal_integration.fiscal.certificate import open_p12
from fiscal_integration.fiscal.panama import document as dgi
from fiscal_integration.fiscal.panama import rfe, signature
from fiscal_integration.fiscal.panama.test_rfe import ISSUER
from fiscal_integration.providers.test_panama import invoice, line
from fiscal_integration.sandbox import p12


def openssl() -> float:
	"""Milliseconds of one RSA-2048 signature by `openssl speed`; 0 where it is not installed."""
	if not shutil.which("openssl"):
		return 0
	done = subprocess.run(
		["openssl", "speed", "-seconds", "2", "rsa2048"], capture_output=True, text=True, check=False
	)
	found = re.search(r"rsa\s+2048 bits\s+([\d.]+)s", done.stdout)
	return 1000 * float(found[1]) if found else 0


def main():
	parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
	parser.add_argument("--rounds", type=int, default=200)
	rounds = parser.parse_args().rounds
	key = p12.key_of()
	signer = open_p12(p12.make(), p12.PASSWORD)
	lines = [replace(line(f"{10 + row}.37", "3", discount="1.11"), row=row) for row in range(1, 21)]
	sale = invoice(lines)
	emission = rfe.Emission("2")

	def build():
		document = dgi.of(sale)
		security = rfe.security_code("key")
		code = rfe.code_of(document, ISSUER, emission, security)
		return rfe.element(rfe.tree(document, ISSUER, emission, security, code, "Ref. x")), code

	def whole():
		root, code = build()
		signed = signature.sign(root, signer)
		return rfe.text(rfe.with_qr(signed, rfe.qr_value(code, "2", signature.digest_value(signed))))

	def bare():
		return key.sign(b"x" * 300, padding.PKCS1v15(), hashes.SHA256())

	before = openssl()
	times = {name: [] for name in ("bare", "build", "whole")}
	for _round in range(rounds):
		for name, work in (("bare", bare), ("build", build), ("whole", whole)):
			start = time.perf_counter()
			work()
			times[name].append(1000 * (time.perf_counter() - start))
	after = openssl()
	found = {name: statistics.median(values) for name, values in times.items()}
	print(f"bare RSA-2048 signature   {found['bare']:.3f} ms here, openssl {before:.3f} and {after:.3f} ms")
	print(f"build                     {found['build']:.3f} ms")
	print(
		f"build + sign, 20 lines    {found['whole']:.3f} ms, {found['whole'] / found['bare']:.1f} times the bare one"
	)
	profile = cProfile.Profile()
	profile.enable()
	for _round in range(50):
		whole()
	profile.disable()
	pstats.Stats(profile).sort_stats("tottime").print_stats(12)


if __name__ == "__main__":
	main()
