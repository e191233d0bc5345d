"""Every string that a user sees has a translation: the strings are collected from the source, so that a new one
without a translation fails here.
"""

import ast
import csv
import json
import re
import unittest
from collections.abc import Iterator
from pathlib import Path

import fiscal_integration
from fiscal_integration import custom_fields, providers
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.austria import rksv
from fiscal_integration.fiscal.invoice import DocumentKind, Treatment

APP = Path(fiscal_integration.__file__).parent
LANGUAGES = ("de", "es")

NO_INTERFACE = ("sandbox", "tests", "browser", "benchmarks", "patches")
"""Folders whose texts no user of the Desk or the Point of Sale sees."""
NO_INTERFACE_FILES = ("commands.py", "hooks.py", "sample.py", "testing.py")
AUTHORITYS = ("fiscal_print", "printing")
"""The folders of what is printed in the authority's language, whatever the reader's is."""

EXEMPT = {
	# Names of providers and authorities' things, the same in every language.
	"1. FinanzOnline",
	"Aludra",
	"CUFE",
	"Conteo",
	"DV",
	"Dcodres",
	"FacturaFácil",
	"Facturapi",
	"FinanzOnline",
	"PIN",
	"PDF",
	"QR",
	"RFC",
	"RUC",
	"The Factory HKA",
	"Token Empresa",
	"UUID",
	"XML",
	"fiskaly SIGN AT",
	# Values that providers want to be told so.
	"REST",
	"SOAP",
	"0.07",
	"raw",
	"standard_v1",
	"STANDARD",
	"REDUCED_1",
	"REDUCED_2",
	"SPECIAL",
	"ZERO",
	# An address that a message names.
	"/mdl18/feRecepFEDGI",
}
"""Strings that stay as they are, and need no translation."""

TRANSLATE = {"_", "_lt"}
SAY = {"say", "leave"}
"""Their first argument is a template, and literals among the others are translated too (words.py)."""
MESSAGES = {
	"AnswerLost",
	"Cancellation",
	"CertificateError",
	"Device",
	"ErrorRule",
	"Failure",
	"MappingError",
	"Motive",
	"NotAllowed",
	"NotSent",
	"Ping",
	"Problem",
	"State",
	"_unsupported",
}
"""What carries a message upwards, where `translated` or `_` meets it."""
NOT_SHOWN = {
	"BadCode",
	"BadSignature",
	"IllegalTransition",
	"Reaction",
	"TypeError",
	"ValueError",
	"_note",
	"_try_again",
	"error",
	"get_logger",
	"log",
	"log_failure",
	"sql",
	"warning",
}
"""What logs, or raises what only a defect raises; titles of the Error Log."""

_SENTENCE = re.compile(r"[A-Z{].*\s.*[.?!]", re.DOTALL)
_WORDS = re.compile(r"[^\W\d_]{2}")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_TAG = re.compile(r"</?[a-z][^>]*>")
_MARK = re.compile(r"\n|\*\*|`[^`]*`|https?://")
"""Of markdown, and addresses."""


class Module:
	"""The strings for users in one Python module.

	Those in calls that translate or carry messages, through conditions and the names that stand for them; and
	every whole sentence besides, wherever it stands: it is for people.
	"""

	def __init__(self, source: str):
		tree = ast.parse(source)
		self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
		self.bindings: dict[str, list[ast.AST]] = {}
		self.found: set[str] = set()
		for bind in (self._bind, self._bind_loop):
			for node in ast.walk(tree):
				bind(node)
		for value in self.bindings.get("label", ()):
			self.found.update(self._texts(value))
		for value in self.bindings.get("stamps", ()):
			if isinstance(value, ast.Dict):
				self.found.update(unscrubbed(key) for key in self._texts(ast.Tuple(value.keys)))
		for node in ast.walk(tree):
			if isinstance(node, ast.Call):
				self._call(node)
			elif isinstance(node, ast.Constant) and isinstance(node.value, str):
				self._sentence(node)

	def _bind(self, node):
		if isinstance(node, ast.Assign):
			for target in node.targets:
				self._bind_target(target, node.value)
		elif isinstance(node, ast.AnnAssign) and node.value:
			self._bind_target(node.target, node.value)

	def _bind_loop(self, node):
		if not isinstance(node, ast.For | ast.comprehension):
			return
		over = self.bindings.get(node.iter.id, ()) if isinstance(node.iter, ast.Name) else (node.iter,)
		for found in list(over):
			if isinstance(found, ast.Tuple | ast.List):
				for element in found.elts:
					self._bind_target(node.target, element)

	def _bind_target(self, target, value):
		if isinstance(target, ast.Name):
			self.bindings.setdefault(target.id, []).append(value)
		elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple | ast.List):
			for part, element in zip(target.elts, value.elts, strict=False):
				self._bind_target(part, element)

	def _texts(self, node, seen=()) -> Iterator[str]:
		"""The literals that `node` may be."""
		if isinstance(node, ast.Constant):
			if isinstance(node.value, str):
				yield node.value
		elif isinstance(node, ast.IfExp):
			yield from self._texts(node.body, seen)
			yield from self._texts(node.orelse, seen)
		elif isinstance(node, ast.BoolOp):
			for value in node.values:
				yield from self._texts(value, seen)
		elif isinstance(node, ast.Tuple | ast.List):
			for value in node.elts:
				yield from self._texts(value, seen)
		elif isinstance(node, ast.Dict):
			for value in node.values:
				yield from self._texts(value, seen)
		elif isinstance(node, ast.Subscript):
			yield from self._texts(node.value, seen)
		elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
			yield from self._texts(node.func.value, seen)
		elif isinstance(node, ast.Name) and node.id not in seen:
			for value in self.bindings.get(node.id, ()):
				yield from self._texts(value, (*seen, node.id))

	def _call(self, node):
		name = _name(node.func)
		arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
		if name in TRANSLATE and node.args:
			self.found.update(self._texts(node.args[0]))
		elif name in SAY and node.args:
			self.found.update(self._texts(node.args[0]))
			for argument in node.args[1:]:
				self.found.update(self._texts(argument))
		elif name in MESSAGES:
			for argument in arguments:
				self.found.update(text for text in self._texts(argument) if " " in text)
		elif name == "append" and _name(node.func.value) == "details" and isinstance(node.args[0], ast.Tuple):
			self.found.update(self._texts(node.args[0].elts[0]))
		elif name == "note_act":
			# The keys of what is noted are shown as words (fiscal_audit_trail.py).
			self.found.update(unscrubbed(keyword.arg) for keyword in node.keywords if keyword.arg)

	def _sentence(self, node):
		if not _SENTENCE.fullmatch(node.value) or node.value.count(" ") < 2:
			return
		above = self.parents[node]
		while isinstance(
			above, ast.IfExp | ast.BoolOp | ast.Tuple | ast.List | ast.Dict | ast.keyword | ast.BinOp
		):
			above = self.parents[above]
		if isinstance(above, ast.Expr | ast.JoinedStr):
			return
		if isinstance(above, ast.Call) and _name(above.func) in NOT_SHOWN:
			return
		self.found.add(node.value)


def _name(function) -> str:
	return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def unscrubbed(key: str) -> str:
	"""As frappe.unscrub shows a key, in Python and in JS."""
	return key.replace("_", " ").replace("-", " ").title()


_JS_STRING = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"
_JS_ARGUMENT = re.compile(rf"(?P<string>{_JS_STRING})|.", re.DOTALL)
_JS_CODE = re.compile(
	r"//[^\n]*|/\*.*?\*/"  # comments
	r"|(?:(?<=[(,=:!&|?{};\n\t])|(?<=[(,=:!&|?{};] ))/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/"  # regular expressions
	r"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
	r"|(?<![\w$.])(?P<call>__)\(|.",
	re.DOTALL,
)
_JS_TEMPLATE = re.compile(r"\\.|\$\{|.", re.DOTALL)


class Script:
	"""The strings for users in one JavaScript file: the literals in the first argument of each `__(…)`, also of
	those within template strings. `markup` are the texts of template strings that no `__(…)` is in."""

	def __init__(self, source: str):
		self.found: set[str] = set()
		self.markup: list[str] = []
		self._scan(source)

	def _scan(self, source: str):
		# Where we are: "{" in code between braces, "$" in what a template string fills in, "`" in its own text.
		inside, texts, position = [], [], 0
		while position < len(source):
			in_text = bool(inside) and inside[-1] == "`"
			token = (_JS_TEMPLATE if in_text else _JS_CODE).match(source, position)
			position = token.end()
			if token[0] == "`":
				if in_text:
					inside.pop()
					self.markup.append(texts.pop())
				else:
					inside.append("`")
					texts.append("")
			elif in_text:
				if token[0] == "${":
					inside.append("$")
				else:
					texts[-1] += token[0]
			elif token[0] == "{":
				inside.append("{")
			elif token[0] == "}":
				inside.pop()
			elif token["call"]:
				self.found.update(_first_argument(source, token.end()))
		assert not inside, "The scanner lost its way"


def _first_argument(source: str, position: int) -> Iterator[str]:
	depth = 0
	for token in _JS_ARGUMENT.finditer(source, position):
		if token["string"]:
			if not depth:
				assert "${" not in token[0], f"A translated string is made at run time: {token[0]}"
				yield _unquoted(token[0])
		elif token[0] in "([{":
			depth += 1
		elif token[0] in ")]}":
			if not depth:
				return
			depth -= 1
		elif token[0] == "," and not depth:
			return
		else:
			assert token[0] != "+" or depth, f"A translated string is put together: {source[position:][:80]}"


def _unquoted(literal: str) -> str:
	escapes = {"n": "\n", "t": "\t"}
	return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[1]), literal[1:-1], flags=re.DOTALL)


def _of_template(source: str) -> Iterator[str]:
	"""Those of an HTML file: of `__(…)` or `_(…)` in its tags."""
	for call in re.finditer(r"(?<![\w$.])__?\(", source):
		yield from _first_argument(source, call.end())


def collected() -> set[str]:
	"""All strings of the app that users see."""
	found = set()
	for path in _files("*.py"):
		if path.name not in (*NO_INTERFACE_FILES, "custom_fields.py"):
			found |= Module(path.read_text()).found
	for path in _files("*.js"):
		found |= Script(path.read_text()).found
	for path in _files("*.html"):
		found |= set(_of_template(path.read_text()))
	for path in _files("*.json"):
		found |= set(_of_record(json.loads(path.read_text())))
	for fields in custom_fields.FIELDS.values():
		found |= set(_of_fields(fields))
	found |= set(_of_providers()) | set(_of_values())
	return {text for text in found if text and _WORDS.search(text) and text not in EXEMPT}


def _files(pattern: str) -> Iterator[Path]:
	for path in sorted(APP.rglob(pattern)):
		parts = path.relative_to(APP).parts
		if not {*NO_INTERFACE, *AUTHORITYS, "node_modules", "dist"} & set(parts) and not path.name.startswith(
			"test_"
		):
			yield path


RECORD_TEXTS = {
	"DocType": ("name", "description"),
	"Module Onboarding": ("title", "subtitle", "success_message"),
	"Onboarding Step": (
		"title",
		"description",
		"action_label",
		"callback_title",
		"callback_message",
		"report_description",
	),
	"Number Card": ("label",),
	"Dashboard Chart": ("chart_name",),
	"Report": ("report_name",),
	"Workspace": ("title", "label"),
	"Workspace Sidebar": ("title",),
	"Desktop Icon": ("label",),
	"Form Tour": (),
	"Print Format": (),
}
"""The texts of each sort of record that the app brings. A print format is chosen by its name."""


def _of_record(record: dict) -> Iterator[str]:
	if "doctype" not in record:
		return
	for key in RECORD_TEXTS[record["doctype"]]:
		yield record.get(key) or ""
	yield from _of_fields(record.get("fields", []))
	yield from (rule["role"] for rule in record.get("permissions", []) if rule["role"].startswith("Fiscal"))
	if record["doctype"] == "Workspace":
		for table in ("charts", "links", "number_cards", "quick_lists", "shortcuts"):
			for row in record.get(table, []):
				yield row.get("label") or ""
				yield row.get("format") or ""
		for block in json.loads(record.get("content") or "[]"):
			yield _TAG.sub("", block["data"].get("text") or "")
	if record["doctype"] == "Workspace Sidebar":
		yield from (row["label"] for row in record["items"])
	if record["doctype"] == "Form Tour":
		for step in record.get("steps", []):
			yield step.get("title") or ""
			yield step.get("description") or ""


def _of_fields(fields: list[dict]) -> Iterator[str]:
	for field in fields:
		yield field.get("label") or ""
		yield field.get("description") or ""
		if field["fieldtype"] == "Select":
			yield from (field.get("options") or "").split("\n")


def _of_providers() -> Iterator[str]:
	for provider in providers.load().values():
		for parameter in provider.parameters:
			yield from (parameter.label, parameter.help, *parameter.options)
		for motive in provider.cancel_motives:
			yield motive.label
		for kind in provider.receiver_kinds:
			yield kind.label
		for _code, label in provider.variants:
			yield label
		for rule in provider.errors.values():
			yield rule.remedy


def _of_values() -> Iterator[str]:
	for states in (lifecycle.STATES, lifecycle.CANCEL_STATES):
		for name, state in states.items():
			yield from (name, state.meaning, state.todo)
	yield from (entry.value for entry in (*DocumentKind, *Treatment))
	yield from (unscrubbed(f"gross_{rate}") for rate in rksv.ORDER)
	yield "Fiscal Integration"


SAME = {
	"de": {
		"01 Normal",
		"Canonical, Enveloped",
		"Details",
		"Enveloped, Canonical",
		"Export",
		"Hash",
		"Name",
		"Parameter",
		"Ping",
		"Status",
		"Test",
		"{0}, DV {1}",
	},
	"es": {
		"01 Normal",
		"1 Natural",
		"Error",
		"Fiscal",
		"Hash",
		"No",
		"Total",
		"{0}, DV {1}",
	},
}
"""Translations that are the same word as the English one."""


def rows_of(language: str) -> list[list[str]]:
	with open(APP / "translations" / f"{language}.csv", encoding="utf-8", newline="") as file:
		return list(csv.reader(file))


class TestTranslations(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.strings = collected()

	def each(self, look):
		"""`look` at each language and its rows."""
		for language in LANGUAGES:
			with self.subTest(language=language):
				look(language, rows_of(language))

	def test_every_string_is_translated(self):
		def look(_language, rows):
			translated = {row[0] for row in rows if row[1].strip()}
			self.assertEqual(sorted(self.strings - translated), [])

		self.each(look)

	def test_nothing_is_translated_that_is_not_there_any_more(self):
		def look(_language, rows):
			self.assertEqual(sorted({row[0] for row in rows} - self.strings), [])

		self.each(look)

	def test_rows_are_a_source_and_its_translation_each_once_and_sorted(self):
		def look(_language, rows):
			# Frappe looks for a text without the blanks around it.
			self.assertEqual(
				[row for row in rows if len(row) != 2 or row != [part.strip() for part in row]], []
			)
			sources = [row[0] for row in rows]
			self.assertEqual(sources, sorted(set(sources)))

		self.each(look)

	def test_placeholders_tags_and_marks_are_kept(self):
		def look(_language, rows):
			for kept in (_PLACEHOLDER, _TAG, _MARK):
				differing = [
					source
					for source, translation in rows
					if sorted(kept.findall(source)) != sorted(kept.findall(translation))
				]
				self.assertEqual(differing, [])

		self.each(look)

	def test_a_translation_differs_from_its_source(self):
		def look(language, rows):
			same = {source for source, translation in rows if source == translation}
			self.assertEqual(sorted(same - SAME[language]), [])
			self.assertEqual(sorted(SAME[language] - same), [])

		self.each(look)

	def test_what_is_exempt_is_still_there(self):
		self.assertFalse(EXEMPT & self.strings)
		sources = "\n".join(
			path.read_text() for pattern in ("*.py", "*.js", "*.json") for path in _files(pattern)
		)
		made = {"Dcodres"}
		self.assertEqual(sorted(word for word in EXEMPT - made if word not in sources), [])

	def test_markup_in_scripts_has_no_words_of_its_own(self):
		for path in _files("*.js"):
			for markup in Script(path.read_text()).markup:
				words = re.findall(r"[^\W\d_]{3,}", re.sub(r"<[^>]*>", "", markup)) if "<" in markup else []
				with self.subTest(file=path.name):
					self.assertEqual(words, [])


class TestCollecting(unittest.TestCase):
	"""That a new string cannot slip through."""

	def test_python(self):
		source = """
			LABELS = {"a": "One Label"}
			PLACES = (("x", "two places"),)
			def work(row, broken, kind):
				"A docstring. It is not shown."
				_("Calls {0}").format(row)
				_("Yes, it is" if broken else "No, it is not")
				_(LABELS[kind])
				frappe.throw(_(row.status))
				for key, label in (("n", "any number"),):
					say("{0} differs.", label)
				say("Blank: {0}", row or "nothing told")
				for key, place in PLACES:
					say(place)
				Problem("No rows here", code="no_rows")
				Failure(CLASS, message or "gave no reason", "a_code")
				note_act(row, document_name=1)
				details.append(("Folios left", 3))
				remedy = "A whole sentence is for people."
				log_failure("The log is not for people.", "x")
				sql("select name from there where a = 1")
		"""
		source = "\n".join(line[3:] for line in source.splitlines())
		self.assertEqual(
			Module(source).found,
			{
				"A whole sentence is for people.",
				"Blank: {0}",
				"Calls {0}",
				"Document Name",
				"Folios left",
				"No rows here",
				"No, it is not",
				"One Label",
				"Yes, it is",
				"any number",
				"gave no reason",
				"nothing told",
				"two places",
				"{0} differs.",
			},
		)

	def test_javascript(self):
		source = r"""
			// __("In a comment")
			const url = "https://example.com"; frm.set_intro(__("After an address"));
			const html = `<b>${__("In {0} markup", [__(row.status), "no"])}</b> ${rows.map((row) => `<i>${__(
				'Nested, "quoted"'
			)}</i>`).join("")} words`;
			__(open ? "One side" : "Other side", ["not this"]);
			const pattern = /^https:\/\/["'`{/]/.test(url) ? value / 2 : "a/b";
			__("After a pattern"); other.__("Not ours"); __("It's \"escaped\"");
		"""
		script = Script(source)
		self.assertEqual(
			script.found,
			{
				"After a pattern",
				"After an address",
				"In {0} markup",
				'Nested, "quoted"',
				"One side",
				"Other side",
				'It\'s "escaped"',
			},
		)
		self.assertIn(" words", "".join(script.markup))
		for wrong in ('__("Put " + "together")', "__(`Made of ${parts}`)"):
			with self.assertRaises(AssertionError):
				Script(wrong)

	def test_records(self):
		record = {
			"doctype": "DocType",
			"name": "A Thing",
			"fields": [
				{
					"fieldtype": "Select",
					"label": "Kind",
					"options": "\nBig\nSmall",
					"description": "How big.",
				},
				{"fieldtype": "Link", "label": "Other", "options": "Another Thing"},
			],
			"permissions": [{"role": "Fiscal Clerk"}, {"role": "System Manager"}],
		}
		self.assertEqual(
			set(_of_record(record)) - {""},
			{"A Thing", "Kind", "Big", "Small", "How big.", "Other", "Fiscal Clerk"},
		)
