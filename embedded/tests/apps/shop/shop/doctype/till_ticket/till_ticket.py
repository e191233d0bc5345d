import frappe
from frappe.model.document import Document


class TillTicket(Document):
	def before_insert(self):
		self.steps = ["before_insert"]

	def before_validate(self):
		self._step("before_validate")

	def validate(self):
		self._step("validate")

	def before_save(self):
		self._step("before_save")

	def on_update(self):
		self._step("on_update")

	def after_insert(self):
		self._step("after_insert")

	def before_submit(self):
		self._step("before_submit")

	def on_submit(self):
		self._step("on_submit")

	def on_change(self):
		self._step("on_change")

	def _step(self, name):
		self.__dict__.setdefault("steps", []).append(name)

	@frappe.whitelist()
	def shout(self, word="hey"):
		return f"{self.title} {word}"


def on_doctype_update():
	frappe.db.add_unique("Till Ticket", ["title", "kind"], "unique_title_kind")
