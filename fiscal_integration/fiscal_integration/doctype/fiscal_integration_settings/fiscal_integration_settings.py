import frappe
from frappe import _

from fiscal_integration.alerts import wrong_recipients
from fiscal_integration.connection import ConnectionDocument


class FiscalIntegrationSettings(ConnectionDocument):
	"""The switches of the integration and its default connection (seeds 000 and 001)."""

	def validate(self):
		super().validate()
		wrong = wrong_recipients(self.alert_recipients)
		if wrong:
			frappe.throw(
				_("Alert Recipients: {0} is no e-mail address.").format(", ".join(wrong)),
				title=_("Alert Recipients"),
			)
