"""The masters that ERPNext's setup leaves on a new site, as many as sales need."""

import frappe

COUNTRIES = {
	"Mexico": "mx",
	"Panama": "pa",
	"Austria": "at",
	"Germany": "de",
	"Spain": "es",
	"United States": "us",
	"Colombia": "co",
	"Canada": "ca",
	"France": "fr",
	"India": "in",
	"Switzerland": "ch",
	"United Kingdom": "gb",
	"Costa Rica": "cr",
}
CURRENCIES = ("MXN", "USD", "PAB", "EUR", "GBP", "CAD", "COP", "CHF", "CRC")
FRACTIONS = {"USD": 0.01, "EUR": 0.01, "CHF": 0.05}
MODES = {
	"Cash": "Cash",
	"Credit Card": "Bank",
	"Wire Transfer": "Bank",
	"Bank Draft": "Bank",
	"Cheque": "Bank",
}


def create():
	for name, code in COUNTRIES.items():
		_make("Country", country_name=name, code=code)
	for name in CURRENCIES:
		_make("Currency", currency_name=name, enabled=1, smallest_currency_fraction_value=FRACTIONS.get(name))
	for name in ("Nos", "Unit", "Kg", "Gram", "Litre", "Hour", "Box", "Pair", "Set", "Meter"):
		_make("UOM", uom_name=name, enabled=1)
	for name, kind in MODES.items():
		_make("Mode of Payment", mode_of_payment=name, type=kind, enabled=1)
	_make("Item Group", item_group_name="All Item Groups", is_group=1)
	for name in ("Products", "Services", "Consumable"):
		_make("Item Group", item_group_name=name, parent_item_group="All Item Groups")
	_make("Customer Group", customer_group_name="All Customer Groups", is_group=1)
	for name in ("Individual", "Commercial"):
		_make("Customer Group", customer_group_name=name, parent_customer_group="All Customer Groups")
	_make("Territory", territory_name="All Territories", is_group=1)
	_make("Territory", territory_name="Rest Of The World", parent_territory="All Territories")
	_make("Price List", price_list_name="Standard Selling", selling=1, enabled=1, currency="USD")


def _make(doctype, **values):
	frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True, ignore_if_duplicate=True)
