"""Answers that are errors, in Facturapi's documented body, and the checks of what a call may carry."""


class Refusal(Exception):
	"""An error answer: HTTP status, stable code, message in Spanish, and what is wrong field by field."""

	def __init__(self, status, code, message, errors=(), location="body"):
		super().__init__(message)
		self.status, self.code, self.message, self.errors = status, code, message, list(errors)
		self.location = location

	def body(self):
		body = {"ok": False, "status": self.status, "code": self.code, "message": self.message}
		if self.errors:
			body["errors"] = self.errors
			body["path"] = self.errors[0].get("path", "")
			body["location"] = self.location
		return body


def problem(path, code, message, source="facturapi", location="body") -> dict:
	return {"message": message, "code": code, "source": source, "location": location, "path": path}


def refuse(path, code, message, location="body", status=400):
	"""Refuse a request for one field."""
	raise Refusal(
		status, "invalid_request", message, [problem(path, code, message, location=location)], location
	)


def check_query(query: dict, allowed: str):
	"""Refuse a parameter that the call does not have: nothing that was asked for is ignored in silence."""
	for name in query:
		if name not in allowed.split():
			refuse(name, "unknown_field", f"El parámetro {name} no existe en esta llamada", "query")


def check_fields(data: dict, allowed: str, required: str = ""):
	"""Refuse a body with a field that is unknown, or without one that is required."""
	problems = [
		problem(name, "unknown_field", f"El campo {name} no existe")
		for name in data
		if name not in allowed.split()
	]
	problems += [
		problem(name, "required", f"{name} es requerido")
		for name in required.split()
		if data.get(name) in (None, "", [])
	]
	if problems:
		raise Refusal(400, "invalid_request", problems[0]["message"], problems)


def integer(query: dict, name: str, default: int, least: int, most: int) -> int:
	text = query.get(name, [str(default)])[0]
	if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
		refuse(name, "invalid_value", f"{name} debe estar entre {least} y {most}", "query")
	return int(text)
