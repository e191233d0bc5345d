from fiscal_integration.connection import ConnectionDocument


class FiscalAccount(ConnectionDocument):
	"""A connection of its own for one company, in place of the one in the settings."""
