import unittest

from fiscal_integration.fiscal.words import say, translated

SPANISH = {
	"{0}: the quantity is {1:g}.": "{0}: la cantidad es {1:g}.",
	"Row {0}": "Fila {0}",
	"Secret Key": "Llave secreta",
	"{0} is missing.": "Falta: {0}.",
}


class TestWords(unittest.TestCase):
	def test_english_is_a_str_like_any_other(self):
		text = say("{0}: the quantity is {1:g}.", say("Row {0}", 3), 2.5)
		self.assertEqual(text, "Row 3: the quantity is 2.5.")
		self.assertEqual("\n".join([text]), "Row 3: the quantity is 2.5.")

	def test_translated_by_template_and_all_the_way_down(self):
		def spanish(text):
			return SPANISH.get(text, text)

		text = say("{0}: the quantity is {1:g}.", say("Row {0}", 3), 2.5)
		self.assertEqual(translated(text, spanish), "Fila 3: la cantidad es 2.5.")
		self.assertEqual(translated(say("{0} is missing.", "Secret Key"), spanish), "Falta: Llave secreta.")
		self.assertEqual(translated("{not} a template", spanish), "{not} a template")
		self.assertEqual(translated("", spanish), "")
