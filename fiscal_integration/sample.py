"""A sample company with sales that look real: for the demo, for training and for the tests.

Works on a bench and on the embedded site alike. Everything it makes is made once and found again later.
"""

import importlib.util
import json
from contextlib import suppress

import frappe
from frappe.utils import add_to_date, now_datetime, nowdate

COMPANY = "Abarrotes La Esperanza"
ABBR = "ALE"
RFC = "EKU9003173C9"
PROFILE = "Caja 1"
UNTAXED = "Sin IVA"
WALK_IN = "Público en General"

ITEMS = {
	"CAFE-500": ("Café de altura, 500 g", 145.0, "50201706", ""),
	"AGUA-1L": ("Agua natural, 1 L", 18.5, "50202310", ""),
	"LIBRO-01": ("Guía de campo", 320.0, "55101509", "Exempt"),
	"SERV-INST": ("Instalación a domicilio", 850.0, "72101511", ""),
	"QUESO-KG": ("Queso Oaxaca, a granel", 189.9, "50131801", ""),
}
BY_WEIGHT = "QUESO-KG"
CUSTOMERS = {
	WALK_IN: {},
	"Papelería del Centro SA de CV": {
		"tax_id": "PCE950708QX2",
		"fiscal_tax_regime": "601",
		"fiscal_document_use": "G03",
		"fiscal_postal_code": "44100",
	},
	"María Fernanda Ruiz Ortega": {
		"tax_id": "RUOM851012AB3",
		"fiscal_tax_regime": "612",
		"fiscal_document_use": "G03",
		"fiscal_postal_code": "64000",
	},
	"Sin Código Postal SA": {"tax_id": "SCP010203AB9", "fiscal_tax_regime": "601"},
	"Pacific Outfitters Inc": {"tax_id": "981234567", "country": "United States", "pincode": "92101"},
}


def set_up_site():
	"""Company, accounts, items, customers and a till. Commits."""
	if not frappe.db.exists("Company", COMPANY):
		_make_company()
	_ensure_masters()
	_ensure_taxes()
	for code, (name, price, product_code, treatment) in ITEMS.items():
		_ensure(
			"Item",
			code,
			item_code=code,
			item_name=name,
			description=name,
			item_group=_item_group(),
			stock_uom=_uom(code),
			is_stock_item=0,
			standard_rate=price,
			fiscal_product_code=product_code,
			fiscal_tax_treatment=treatment,
		)
	for name, values in CUSTOMERS.items():
		_ensure_customer(name, dict(values))
	ensure_till()
	if frappe.db.exists("DocType", "Accounts Settings"):
		# One receivable account takes invoices in any currency, as small shops keep it.
		frappe.db.set_single_value(
			"Accounts Settings", "allow_multi_currency_invoices_against_single_party_account", 1
		)
	frappe.db.commit()


def before_tests():
	"""Frappe's hook of that name: what the test suite finds on its site."""
	set_up_site()


def connect(url: str, secret_key: str, enabled: int = 1, **values):
	"""Point the settings at a sandbox. Commits."""
	from fiscal_integration.connection import SETTINGS

	settings = frappe.get_doc(SETTINGS)
	parameters = values.pop("parameters", {})
	settings.update(
		{
			"enabled": enabled,
			"company": COMPANY,
			"provider": "facturapi",
			"environment": "Test",
			"server_url": url,
			"secret_key": secret_key,
			**values,
		}
	)
	kept = {row.parameter: row.value for row in settings.parameters}
	kept.update({"issuing_postal_code": "44100", **parameters})
	settings.set("parameters", [{"parameter": key, "value": value} for key, value in kept.items()])
	settings.save(ignore_permissions=True)
	frappe.db.commit()
	return settings


def invoice(
	items=(("CAFE-500", 1, 145.0),),
	customer: str = WALK_IN,
	doctype: str = "POS Invoice",
	taxes: str | list = "exclusive",
	paid: bool | list = True,
	submit: bool = True,
	**values,
):
	"""An invoice of the sample company, submitted unless `submit` is false. Does not commit.

	`items`: (item, quantity, rate) or dicts; `taxes`: "exclusive", "inclusive", "none" or tax rows;
	`paid`: whether in cash and in full, or a list of (mode of payment, amount).
	"""
	doc = frappe.new_doc(doctype)
	doc.update(
		{
			"company": COMPANY,
			"customer": customer,
			"currency": "MXN",
			"conversion_rate": 1,
			"set_posting_time": 1,
			"posting_date": nowdate(),
			"posting_time": now_datetime().strftime("%H:%M:%S"),
			"due_date": nowdate(),
			"selling_price_list": "Standard Selling",
			"price_list_currency": "MXN",
			"plc_conversion_rate": 1,
			"ignore_pricing_rule": 1,
			"update_stock": 0,
			"cost_center": _default("cost_center"),
			"debit_to": _default("default_receivable_account"),
			"disable_rounded_total": 1,
		}
	)
	doc.update(values)
	for row in items:
		row = (
			dict(row) if isinstance(row, dict) else dict(zip(("item_code", "qty", "rate"), row, strict=True))
		)
		row.setdefault("price_list_rate", row.get("rate"))
		if ITEMS.get(row["item_code"], ("",) * 4)[3]:
			row.setdefault("item_tax_rate", json.dumps({f"IVA 16 - {ABBR}": 0}))
			if frappe.db.exists("DocType", "Item Tax Template"):
				row.setdefault("item_tax_template", f"{UNTAXED} - {ABBR}")
		name = ITEMS.get(row["item_code"], (row["item_code"],))[0]
		doc.append(
			"items",
			{
				"item_name": name,
				"description": name,
				"uom": _uom(row["item_code"]),
				"stock_uom": _uom(row["item_code"]),
				"conversion_factor": 1,
				"cost_center": _default("cost_center"),
				"income_account": _default("default_income_account"),
				**row,
			},
		)
	for row in _tax_rows(taxes):
		doc.append("taxes", row)
	if doctype == "POS Invoice" or paid:
		doc.is_pos = 1
		if doctype == "POS Invoice":
			doc.pos_profile = doc.pos_profile or PROFILE
		doc.set("payments", [])
		if isinstance(paid, list):
			for mode, amount in paid:
				doc.append(
					"payments", {"mode_of_payment": mode, "amount": amount, "account": _cash_account()}
				)
		else:
			doc.append(
				"payments", {"mode_of_payment": "Cash", "amount": 0, "account": _cash_account(), "default": 1}
			)
			doc.run_method("set_missing_values")
			doc.run_method("calculate_taxes_and_totals")
			doc.payments[0].amount = (doc.rounded_total or doc.grand_total) if paid else 0
			doc.set("payments", doc.payments[:1])
	doc.insert(ignore_permissions=True)
	if submit:
		doc.submit()
	return doc


def credit_note(original, submit: bool = True, **values):
	"""A return of everything on `original`, refunded in cash when that was paid. Does not commit."""
	from erpnext.controllers.sales_and_purchase_return import make_return_doc

	doc = make_return_doc(original.doctype, original.name)
	doc.update({"set_posting_time": 1, "posting_time": now_datetime().strftime("%H:%M:%S"), **values})
	doc.insert(ignore_permissions=True)
	if submit:
		doc.submit()
	return doc


def tax_row(account: str, rate: float, **values) -> dict:
	return {
		"charge_type": "On Net Total",
		"account_head": f"{account} - {ABBR}",
		"description": account,
		"rate": rate,
		"cost_center": _default("cost_center"),
		**values,
	}


def _tax_rows(taxes):
	if isinstance(taxes, list):
		return taxes
	if taxes == "none":
		return []
	return [tax_row("IVA 16", 16, included_in_print_rate=int(taxes == "inclusive"))]


def _default(field):
	return frappe.get_cached_value("Company", COMPANY, field)


def _cash_account():
	return _default("default_cash_account")


def _uom(item_code):
	return "Kg" if item_code == BY_WEIGHT else "Nos"


def _item_group():
	return "Products" if frappe.db.exists("Item Group", "Products") else "All Item Groups"


def _ensure(doctype, name, **values):
	if frappe.db.exists(doctype, name):
		return frappe.get_doc(doctype, name)
	meta = frappe.get_meta(doctype)
	known = {key: value for key, value in values.items() if meta.has_field(key)}
	return frappe.get_doc({"doctype": doctype, "name": name, **known}).insert(ignore_permissions=True)


def _make_company():
	wizard = "frappe.desk.page.setup_wizard.setup_wizard"
	with suppress(ModuleNotFoundError):
		if importlib.util.find_spec(wizard) and not frappe.get_all("Company", limit=1):
			from frappe.desk.page.setup_wizard.setup_wizard import setup_complete

			year = now_datetime().year
			setup_complete(
				{
					"currency": "MXN",
					"full_name": "Sample User",
					"company_name": COMPANY,
					"company_abbr": ABBR,
					"timezone": "America/Mexico_City",
					"industry": "Retail & Wholesale",
					"country": "Mexico",
					"fy_start_date": f"{year}-01-01",
					"fy_end_date": f"{year}-12-31",
					"language": "english",
					"company_tagline": "Sample",
					"email": "sample@example.com",
					"password": frappe.generate_hash(length=20),
					"chart_of_accounts": "Standard",
				}
			)
			frappe.clear_cache()
	company = _ensure(
		"Company",
		COMPANY,
		company_name=COMPANY,
		abbr=ABBR,
		default_currency="MXN",
		country="Mexico",
		chart_of_accounts="Standard",
	)
	company.db_set("tax_id", RFC)


def _ensure_masters():
	for uom in ("Nos", "Kg"):
		_ensure("UOM", uom, uom_name=uom)
	_ensure(
		"Price List",
		"Standard Selling",
		price_list_name="Standard Selling",
		selling=1,
		currency="MXN",
		enabled=1,
	)
	for mode, kind in (("Cash", "Cash"), ("Credit Card", "Bank"), ("Wire Transfer", "Bank")):
		doc = _ensure("Mode of Payment", mode, mode_of_payment=mode, type=kind, enabled=1)
		if doc.meta.has_field("accounts") and not any(row.company == COMPANY for row in doc.accounts):
			doc.append("accounts", {"company": COMPANY, "default_account": _cash_account()})
			doc.save(ignore_permissions=True)
	for group in ("Products",):
		if not frappe.db.exists("Item Group", "All Item Groups"):
			_ensure("Item Group", "All Item Groups", item_group_name="All Item Groups", is_group=1)
		_ensure("Item Group", group, item_group_name=group, parent_item_group="All Item Groups")
	_ensure("Customer Group", "Individual", customer_group_name="Individual")
	_ensure("Territory", "Mexico", territory_name="Mexico")
	for currency in ("MXN", "USD"):
		_ensure("Currency", currency, currency_name=currency, enabled=1)
		frappe.db.set_value("Currency", currency, "enabled", 1)


def _ensure_taxes():
	parent = frappe.db.get_value(
		"Account", {"company": COMPANY, "is_group": 1, "account_type": "Tax"}
	) or frappe.db.get_value("Account", {"company": COMPANY, "is_group": 1, "root_type": "Liability"})
	for name, rate, kind in (
		("IVA 16", 16, "Tax"),
		("IVA 0", 0, "Tax"),
		("IEPS 8", 8, "Tax"),
		("ISR Retenido", 10, "Tax"),
		("Flete", 0, "Chargeable"),
	):
		_ensure(
			"Account",
			f"{name} - {ABBR}",
			account_name=name,
			company=COMPANY,
			parent_account=parent,
			account_type=kind,
			tax_rate=rate,
		)
	if frappe.db.exists("DocType", "Item Tax Template") and not frappe.db.exists(
		"Item Tax Template", f"{UNTAXED} - {ABBR}"
	):
		template = frappe.get_doc({"doctype": "Item Tax Template", "title": UNTAXED, "company": COMPANY})
		template.append("taxes", {"tax_type": f"IVA 16 - {ABBR}", "tax_rate": 0})
		template.insert(ignore_permissions=True)


def _ensure_customer(name, values):
	country, pincode = values.pop("country", ""), values.pop("pincode", "")
	customer = _ensure(
		"Customer",
		name,
		customer_name=name,
		customer_type="Company",
		customer_group="Individual",
		territory="Mexico",
		**values,
	)
	if country and not customer.customer_primary_address:
		address = frappe.get_doc(
			{
				"doctype": "Address",
				"address_title": name,
				"address_type": "Billing",
				"address_line1": "1 Harbor Drive",
				"city": "San Diego",
				"country": country,
				"pincode": pincode,
				"is_primary_address": 1,
				"links": [{"link_doctype": "Customer", "link_name": name}],
			}
		).insert(ignore_permissions=True)
		frappe.db.set_value("Customer", name, "customer_primary_address", address.name)


def ensure_till(name: str = PROFILE):
	"""A POS Profile of the sample company that takes cash and cards."""
	if frappe.db.exists("POS Profile", name):
		return
	profile = frappe.new_doc("POS Profile")
	profile.update(
		{
			"name": name,
			"__newname": name,
			"company": COMPANY,
			"currency": "MXN",
			"selling_price_list": "Standard Selling",
			"customer": WALK_IN,
			"warehouse": frappe.db.get_value("Warehouse", {"company": COMPANY, "is_group": 0})
			if profile.meta.has_field("warehouse")
			else None,
			"cost_center": _default("cost_center"),
			"write_off_account": _default("default_expense_account"),
			"write_off_cost_center": _default("cost_center"),
		}
	)
	for index, mode in enumerate(("Cash", "Credit Card")):
		profile.append("payments", {"mode_of_payment": mode, "default": int(index == 0)})
	profile.insert(ignore_permissions=True)


def open_till(profile: str = PROFILE):
	"""An open POS Opening Entry, which a POS Invoice asks for on a bench. Does not commit."""
	if not frappe.db.exists("DocType", "POS Opening Entry"):
		return
	if frappe.db.exists("POS Opening Entry", {"pos_profile": profile, "status": "Open", "docstatus": 1}):
		return
	entry = frappe.new_doc("POS Opening Entry")
	entry.update(
		{
			"company": COMPANY,
			"pos_profile": profile,
			"user": frappe.session.user,
			# Sales carry whole seconds, so that one of this very second would lie before it.
			"period_start_date": add_to_date(now_datetime(), seconds=-60),
			"posting_date": nowdate(),
		}
	)
	for mode in ("Cash", "Credit Card"):
		entry.append("balance_details", {"mode_of_payment": mode, "opening_amount": 0})
	entry.insert(ignore_permissions=True)
	entry.submit()


def draft(doctype: str = "POS Invoice", customer: str = WALK_IN) -> str:
	"""A committed draft to submit by hand, in training and in the browser's tests. Returns its name."""
	set_up_site()
	open_till()
	items = [("CAFE-500", 2, 145.0), ("LIBRO-01", 1, 320.0), ("AGUA-1L", 6, 18.5)]
	doc = invoice(items=items, doctype=doctype, customer=customer, submit=False)
	frappe.db.commit()
	return doc.name
