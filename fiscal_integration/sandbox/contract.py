"""Facturapi's official OpenAPI as a judge of what our client sends and our emulator answers.

For tests only: the document lies beside the project where the project is developed, and nowhere else.
"""

import functools
import json
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


CLOSED = (
	"InvoiceIngresoInput InvoiceEgresoInput InvoicePagoInput InvoiceIngresoEditInput InvoiceEgresoEditInput "
	"InvoicePagoEditInput LineItemInput LineItemEgresoInput LineItemProductInput LineItemProductEgresoInput "
	"CustomerCreateInput PaymentInput"
).split()
"""What we send: a field that the document does not have is a mistake there (error code `unknown_field`)."""


def _mended(document: dict) -> dict:
	"""The document without its defects (providers/facturapi.md#requests), and with what it says by discriminators said in JSON Schema.

	Defects: `related_documents` demands a field `related` that its own properties lack; the parts of an answered
	line are told as one object, where the official SDK's types have a list; the complements of an answered invoice
	are told as those of payroll only; the events of an answered webhook are told as a text, beside an example that is
	a list.
	"""

	# Anchors of the YAML make two places one: each gets its own here.
	document = json.loads(json.dumps(document))

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
	schemas = document["components"]["schemas"]
	parts = schemas["LineItem"]["properties"]["parts"]
	schemas["LineItem"]["properties"]["parts"] = {"type": "array", "items": parts}
	webhook = schemas["WebhookProperties"]["properties"]
	webhook["enabled_events"] = {"type": "array", "items": webhook["enabled_events"]}
	for part in schemas["InvoiceProperties"].get("allOf", [schemas["InvoiceProperties"]]):
		if "complements" in part.get("properties", {}):
			payroll = part["properties"]["complements"]["items"]
			payment = {"$ref": "#/components/schemas/PagoOrCustomComplementInput"}
			part["properties"]["complements"]["items"] = {"anyOf": [payment, payroll]}
	_resolve_discriminators(document)
	for name in CLOSED:
		schemas[name]["unevaluatedProperties"] = False
	return document


def _resolve_discriminators(document: dict):
	"""Turn every discriminator into conditions: a validator takes no notice of discriminators (JSON Schema)."""
	schemas = document["components"]["schemas"]
	created = schemas["InvoiceCreateInput"]
	variants = {}
	for variant in created.pop("oneOf"):
		pending = variant["discriminator"]["mapping"]["pending"].rpartition("/")[2]
		(kind,) = _enum_of(schemas, schemas[pending], "type")
		variants[kind] = _by(variant["discriminator"], default="pending")
	created["properties"] = {"type": {"enum": list(variants)}, "status": {"enum": ["pending", "draft"]}}
	# Without a type it is an invoice of income, as the document's default says.
	created["allOf"] = [
		{
			"if": {
				"properties": {"type": {"const": kind}},
				"required": [] if kind == "I" else ["type"],
			},
			"then": schema,
		}
		for kind, schema in variants.items()
	]
	for name in list(schemas):
		schema = schemas[name]
		if not isinstance(schema.get("discriminator"), dict) or "properties" not in schema:
			continue
		discriminator = schema.pop("discriminator")
		schemas[f"{name}Own"] = schema
		own, reference = f"#/components/schemas/{name}Own", f"#/components/schemas/{name}"
		targets = {key: target for key, target in discriminator["mapping"].items() if target != reference}
		for target in targets.values():
			_redirect(schemas[target.rpartition("/")[2]], reference, own)
		schemas[name] = {
			"allOf": [
				{"$ref": own},
				*(
					{
						"if": {
							"properties": {discriminator["propertyName"]: {"const": key}},
							"required": [discriminator["propertyName"]],
						},
						"then": {"$ref": target},
					}
					for key, target in targets.items()
				),
			]
		}
		# The payment complement's own list of values says "nomina", against the mapping beside it.
		schema["properties"][discriminator["propertyName"]]["enum"] = list(discriminator["mapping"])

	def walk(node):
		if isinstance(node, dict):
			if isinstance(node.get("discriminator"), dict):
				node.update(_by(node.pop("discriminator"), default="pending"))
			for value in list(node.values()):
				walk(value)
		elif isinstance(node, list):
			for value in node:
				walk(value)

	walk(document)


def _by(discriminator: dict, default: str) -> dict:
	"""A choice between two schemas: the default's, unless the property has the other's value."""
	mapping = discriminator["mapping"]
	((key, other),) = ((key, target) for key, target in mapping.items() if key != default)
	name = discriminator["propertyName"]
	return {
		"if": {"properties": {name: {"const": key}}, "required": [name]},
		"then": {"$ref": other},
		"else": {"$ref": mapping[default]},
	}


def _enum_of(schemas: dict, schema: dict, name: str) -> list:
	for part in (schema, *schema.get("allOf", ())):
		found = part.get("properties", {}).get(name, {}).get("enum")
		if found:
			return found
	raise LookupError(f"No values of {name} in the schema {schema.get('title')}")


def _redirect(node, old: str, new: str):
	if isinstance(node, dict):
		if node.get("$ref") == old:
			node["$ref"] = new
		for value in node.values():
			_redirect(value, old, new)
	elif isinstance(node, list):
		for value in node:
			_redirect(value, old, new)


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
	errors = list(validator.iter_errors(value))
	# Beside another error the validator cannot tell which properties are known.
	known = [error for error in errors if error.validator != "unevaluatedProperties"]
	return [text for error in known or errors for text in _reasons(error)]


def _reasons(error) -> list[str]:
	"""The reasons behind one error, of the variant that fits best where there are variants.

	A value that fits more than one variant is accepted: some answers and complements are told apart by nothing.
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
	return _errors(schema, _without_none(body)) if schema else []


def _without_none(body):
	"""The official SDK's types and the text have null for what a document has not; the schemas do not say so."""
	if isinstance(body, dict):
		return {name: _without_none(value) for name, value in body.items() if value is not None}
	if isinstance(body, list):
		return [_without_none(value) for value in body]
	return body
