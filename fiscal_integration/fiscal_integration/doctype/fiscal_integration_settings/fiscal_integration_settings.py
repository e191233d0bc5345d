from fiscal_integration.connection import ConnectionDocument


class FiscalIntegrationSettings(ConnectionDocument):
	"""The switches of the integration and its default connection (seeds 000 and 001)."""
