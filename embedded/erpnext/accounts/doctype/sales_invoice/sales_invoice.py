"""Sales Invoice without ledger and stock."""

from erpnext.controllers.accounts_controller import AccountsController


class SalesInvoice(AccountsController):
	pass
