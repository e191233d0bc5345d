"""Facturapi's official OpenAPI as a judge of what our client sends and our emulator answers.

For tests only: the document lies beside the project where the project is developed, and nowhere else.
"""

import functools
import os
from pathlib import Path

PLACES = (
	os.environ.get("FISCAL_CONTRACTS", ""),
	str(Path(__file__).resolve().parents[3] / "shared" / "contracts"),
)
FILE = "facturapi_openapi_v2.yaml"


@functools.cache
def openapi() -> tuple[dict | None, str]:
	"""The parsed document, or None and the reason why there is none."""
	try:
		import openapi_schema_validator  # noqa: F401
		import yaml
	except ImportError as error:
		return None, f"{error.name} is not installed"
	path = next((Path(place, FILE) for place in PLACES if place and Path(place, FILE).is_file()), None)
	if not path:
		return None, f"{FILE} is not on this machine (FISCAL_CONTRACTS names its folder)"

	class Loader(yaml.SafeLoader):
		"""Without timestamps: the document's examples hold dates that are none."""

	Loader.yaml_implicit_resolvers = {
		first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:timestamp"]
		for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
	}
	return _mended(yaml.load(path.read_text(encoding="utf-8"), Loader)), ""


def _mended(document: dict) -> dict:
	"""The document without its known defects (providers/facturapi.md#requests).

	`related_documents` demands a field `related` that its own properties lack.
	"""

	def walk(node):
		if isinstance(node, dict):
			required = node.get("required")
			if (
				isinstance(required, list)
				and "related" in required
				and "related" not in node.get("properties", {})
			):
				node["required"] = [name for name in required if name != "related"]
			for value in node.values():
				walk(value)
		elif isinstance(node, list):
			for value in node:
				walk(value)

	walk(document)
	return document


def _resolve(document, node):
	while isinstance(node, dict) and "$ref" in node:
		target = document
		for part in node["$ref"].removeprefix("#/").split("/"):
			target = target[part.replace("~1", "/").replace("~0", "~")]
		node = target
	return node


def _operation(method: str, path: str) -> dict:
	document, _ = openapi()
	parts = path.strip("/").split("/")
	best, fewest = None, 99
	for template, item in document["paths"].items():
		candidate = template.strip("/").split("/")
		if len(candidate) != len(parts) or method.lower() not in item:
			continue
		if all(a.startswith("{") or a == b for a, b in zip(candidate, parts, strict=True)):
			variables = sum(a.startswith("{") for a in candidate)
			if variables < fewest:
				best, fewest = item[method.lower()], variables
	if best is None:
		raise LookupError(f"The OpenAPI has no {method} {path}")
	return best


def _errors(schema: dict, value) -> list[str]:
	from openapi_schema_validator import OAS30Validator, OAS31Validator

	document, _ = openapi()
	kind = OAS31Validator if str(document["openapi"]).startswith("3.1") else OAS30Validator
	validator = kind({**schema, "components": document["components"]})
	return [text for error in validator.iter_errors(value) for text in _reasons(error)]


def _reasons(error) -> list[str]:
	"""The reasons behind one error, of the variant that fits best where there are variants.

	A value that fits more than one variant is accepted: the document tells them apart by `type`, which its
	schemas leave open.
	"""
	if error.validator in ("oneOf", "anyOf"):
		variants: dict = {}
		for inner in error.context:
			variants.setdefault(inner.schema_path[0], []).append(inner)
		if not variants:
			return []
		return [text for inner in min(variants.values(), key=len) for text in _reasons(inner)]
	return [f"{'/'.join(str(part) for part in error.absolute_path)}: {error.message[:300]}"]


def request_errors(method: str, path: str, body) -> list[str]:
	"""Where a request body is not what the OpenAPI says; empty when it is."""
	document, _ = openapi()
	content = _resolve(document, _operation(method, path)["requestBody"])["content"]
	return _errors(content["application/json"]["schema"], body)


def response_errors(method: str, path: str, status: int, body) -> list[str]:
	"""Where an answer is not what the OpenAPI says.

	An error status that the operation does not list has to have the body of a 400, as the general text on
	errors says (providers/facturapi.md#errors); any other undocumented status is an error.
	"""
	document, _ = openapi()
	responses = _operation(method, path)["responses"]
	response = responses.get(str(status)) or responses.get(status)
	if response is None and status >= 400:
		response = responses.get("400")
	if response is None:
		return [f"status {status} is not documented for {method} {path}"]
	content = _resolve(document, response).get("content", {})
	schema = content.get("application/json", {}).get("schema")
	if isinstance(body, dict):
		# The text says that a pending or draft invoice has null for what it has not yet (1.4); schemas do not.
		body = {name: value for name, value in body.items() if value is not None}
	return _errors(schema, body) if schema else []
