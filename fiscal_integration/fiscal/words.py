"""Sentences for people that can still be translated: below the line nobody knows the reader's language.

`say("{0} is missing.", label)` is the English sentence, a str like any other, and remembers its template.
Whoever shows it translates it with `translated(text, _)`.
"""

from collections.abc import Callable


class Words(str):
	"""An English sentence that remembers what it was made of."""

	template: str
	args: tuple

	def __new__(cls, template: str, args: tuple):
		words = super().__new__(cls, template.format(*args))
		words.template, words.args = template, args
		return words


def say(template: str, *args) -> Words:
	"""The sentence `template`, with {0}, {1} … filled by `args`, which may be sentences themselves."""
	return Words(template, args)


def translated(text: str, translate: Callable[[str], str]) -> str:
	"""`text` in the language of `translate`: by its template where it has one, as it is otherwise."""
	if isinstance(text, Words):
		args = [translated(arg, translate) if isinstance(arg, str) else arg for arg in text.args]
		return translate(text.template).format(*args)
	return translate(text) if text else text
