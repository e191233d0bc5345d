"""Facturapi's official SDK for Node as a judge: its package, and the fields that its types promise.

For tests only.
"""

import functools
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

VERSION = "5.1.0"
PRIMITIVE = {"string": str, "number": (int, float), "boolean": bool, "Date": str}


@functools.cache
def package() -> Path:
	"""The folder into which the SDK was installed. Raises SkipTest where it cannot be."""
	for program in ("node", "npm"):
		if not shutil.which(program):
			raise unittest.SkipTest(f"{program} is not installed: the official SDK cannot run")
	folder = Path(tempfile.gettempdir()) / f"facturapi-sdk-{VERSION}"
	if not (folder / "node_modules" / "facturapi" / "package.json").exists():
		command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
		try:
			subprocess.run(
				[*command, f"facturapi@{VERSION}"], check=True, capture_output=True, text=True, timeout=180
			)
		except (subprocess.SubprocessError, OSError) as error:
			reason = getattr(error, "stderr", "") or error
			raise unittest.SkipTest(f"npm cannot install the official SDK: {str(reason)[-300:]}") from None
	return folder


@functools.cache
def interfaces() -> dict[str, str]:
	"""The bodies of the interfaces that the SDK declares."""
	found = {}
	for path in (package() / "node_modules" / "facturapi" / "dist" / "types").glob("*.d.ts"):
		text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
		for match in re.finditer(r"export interface (\w+)(?:<[^>]*>)? \{", text):
			found[match[1]] = _block(text, match.end())
	return found


def _block(text: str, start: int) -> str:
	depth, end = 1, start
	while depth:
		depth += {"{": 1, "}": -1}.get(text[end], 0)
		end += 1
	return text[start : end - 1]


def fields(body: str) -> dict[str, tuple[str, bool]]:
	"""The fields of an interface's body: type, and whether it may be absent or null."""
	found, position, field = {}, 0, re.compile(r"\s*(\w+)(\??):\s*")
	while match := field.match(body, position):
		position, depth = match.end(), 0
		while body[position] != ";" or depth:
			depth += {"{": 1, "[": 1, "(": 1, "}": -1, "]": -1, ")": -1}.get(body[position], 0)
			position += 1
		kind = body[match.end() : position].strip()
		position += 1
		nullable = bool(match[2]) or kind.endswith("| null")
		found[match[1]] = kind.removesuffix("| null").strip(), nullable
	return found


def differences(name: str, value, path: str = "") -> list[str]:
	"""Where a value is not what the SDK's type of that name promises."""
	return _compared(interfaces()[name], value, path or name)


def _compared(body: str, value, path: str) -> list[str]:
	if not isinstance(value, dict):
		return [f"{path} is {type(value).__name__}, not an object"]
	problems = []
	for field, (kind, optional) in fields(body).items():
		where = f"{path}.{field}"
		if value.get(field) is None:
			problems += [] if optional else [f"{where} is {'null' if field in value else 'missing'}"]
		else:
			problems += _typed(kind, value[field], where)
	return problems


def _typed(kind: str, value, where: str) -> list[str]:
	variants = [part.strip() for part in kind.split("|")]
	if len(variants) > 1 and "(" not in kind and "{" not in kind:
		alike = [variant for variant in variants if variant.endswith("[]") is isinstance(value, list)]
		return min((_typed(variant, value, where) for variant in alike or variants), key=len)
	if kind.endswith("[]") or re.fullmatch(r"\[\w+\]", kind):
		if not isinstance(value, list):
			return [f"{where} is no list"]
		inner = re.sub(r"^\(|\)$", "", kind[:-2]) if kind.endswith("[]") else kind[1:-1]
		return [
			text for number, each in enumerate(value) for text in _typed(inner, each, f"{where}.{number}")
		]
	if kind.startswith("{"):
		return _compared(kind[1:-1], value, where)
	if kind in interfaces():
		return _compared(interfaces()[kind], value, where)
	allowed = PRIMITIVE.get(kind)
	if allowed and (not isinstance(value, allowed) or (allowed is not bool and isinstance(value, bool))):
		return [f"{where} is {value!r}, not {kind}"]
	return []
