"""Sample companies with sales that look real: for the demo, for training and for the tests.

Works on a bench and on the embedded site alike. Everything it makes is made once and found again later.
"""

import base64
import importlib.util
import json
from contextlib import suppress
from dataclasses import dataclass

import frappe
from frappe.installer import update_site_config
from frappe.utils import add_days, add_to_date, get_datetime, getdate, now_datetime, nowdate


@dataclass(frozen=True)
class Shop:
	"""A sample company: where it is, what its tax is called, and who walks in."""

	company: str
	abbr: str
	country: str
	currency: str
	tax_id: str
	tax: str
	tax_rate: int
	profile: str
	walk_in: str
	untaxed: str
	other_taxes: tuple[tuple[str, int], ...] = ()

	def account(self, name: str) -> str:
		return f"{name} - {self.abbr}"

	def default(self, field: str):
		"""What the company has in its field `field`."""
		return frappe.get_cached_value("Company", self.company, field)


WALK_IN = "Público en General"
MEXICO = Shop(
	"Abarrotes La Esperanza",
	"ALE",
	"Mexico",
	"MXN",
	"EKU9003173C9",
	"IVA 16",
	16,
	"Caja 1",
	WALK_IN,
	"Sin IVA",
	(("IVA 0", 0), ("IEPS 8", 8), ("ISR Retenido", 10)),
)
PANAMA = Shop(
	"Mercadito del Istmo",
	"MDI",
	"Panama",
	"USD",
	"155596713-2-2015",
	"ITBMS 7",
	7,
	"Caja Panamá",
	"Cliente de Contado",
	"Sin ITBMS",
	(("ITBMS 10", 10), ("ITBMS 15", 15)),
)
AUSTRIA = Shop(
	"Kaffeehaus am Ring",
	"KAR",
	"Austria",
	"EUR",
	"ATU12345678",
	"USt 20",
	20,
	"Kassa 1",
	"Laufkundschaft",
	"Ohne USt",
	(("USt 10", 10), ("USt 13", 13), ("USt 19", 19)),
)
OPENING = "POS Opening Entry"
MAIL_ACCOUNT = "Fiscal Tests"
COMPANY, PROFILE = MEXICO.company, MEXICO.profile

ITEMS = {
	"CAFE-500": ("Café de altura, 500 g", 145.0, "50201706", ""),
	"AGUA-1L": ("Agua natural, 1 L", 18.5, "50202310", ""),
	"LIBRO-01": ("Guía de campo", 320.0, "55101509", "Exempt"),
	"SERV-INST": ("Instalación a domicilio", 850.0, "72101511", ""),
	"PAPEL-A4": ("Papel bond A4, resma", 6.75, "1411", ""),
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
	PANAMA.walk_in: {},
	AUSTRIA.walk_in: {},
	"Distribuidora Chiriquí, S.A.": {
		"tax_id": "155596713-2-2015",
		"address": ("Avenida Central, local 12", "David", "Panama"),
		"fiscal_location": "4-6-1",
	},
	"Ministerio de Prueba": {
		"tax_id": "521-136-113133",
		"fiscal_customer_type": "03 Government",
		"address": ("Vía España, edificio 7", "Panamá", "Panama"),
	},
	"Ana Lucía Batista": {"tax_id": "8-730-241"},
	"RUC Equivocado, S.A.": {"tax_id": "155-X"},
	"Pacific Outfitters Inc": {
		"tax_id": "981234567",
		"address": ("1 Harbor Drive", "San Diego", "United States"),
		"pincode": "92101",
	},
}


def set_up_site():
	"""The Mexican company, accounts, items, customers and a till, on a site that may call the sandbox. Commits."""
	if not frappe.conf.get("fiscal_allow_loopback"):
		update_site_config("fiscal_allow_loopback", 1)
		frappe.conf.fiscal_allow_loopback = 1
	if not frappe.db.exists("Company", MEXICO.company):
		_make_company(MEXICO)
	_ensure_masters()
	_ensure_taxes(MEXICO)
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
	if frappe.db.exists("DocType", "Selling Settings"):
		# What is given back on the receipt of another sale is a row with a negative rate.
		frappe.db.set_single_value("Selling Settings", "allow_negative_rates_for_items", 1)
	if frappe.db.exists("DocType", "Accounts Settings"):
		# One receivable account takes invoices in any currency, as small shops keep it.
		frappe.db.set_single_value(
			"Accounts Settings", "allow_multi_currency_invoices_against_single_party_account", 1
		)
	frappe.db.commit()


def set_up_panama():
	"""The Panamanian company beside it, with its till. Commits."""
	set_up_shop(PANAMA)


def set_up_austria():
	"""The Austrian company beside it, with its till. Commits."""
	set_up_shop(AUSTRIA)


def set_up_shop(shop: Shop):
	"""Another company beside the Mexican one, with its till. Commits."""
	set_up_site()
	if not frappe.db.exists("Company", shop.company):
		_make_company(shop)
	_ensure_taxes(shop)
	ensure_till(shop=shop)
	frappe.db.commit()


def before_tests():
	"""Frappe's hook of that name: what the test suite finds on its site."""
	set_up_site()


def connect(url: str, secret_key: str, enabled: int = 1, **values):
	"""Point the settings at a sandbox. Commits."""
	from fiscal_integration.connection import SETTINGS

	settings = frappe.get_doc(SETTINGS)
	parameters = values.pop("parameters", {})
	_forget_secrets(settings, url, parameters)
	settings.update(
		{
			"enabled": enabled,
			"company": COMPANY,
			"provider": "facturapi",
			"environment": "Test",
			"server_url": url,
			"secret_key": secret_key,
			# A call more for each document, of which most tests are not about.
			"keep_xml": 0,
			**values,
		}
	)
	kept = {row.parameter: row.value for row in settings.parameters}
	kept.update({"issuing_postal_code": "44100", **parameters})
	settings.set("parameters", [{"parameter": key, "value": value} for key, value in kept.items()])
	settings.save(ignore_permissions=True)
	frappe.db.commit()
	return settings


def connect_account(
	shop: Shop, provider: str, url: str, secret_key: str, parameters: dict | None = None, **values
):
	"""Give a shop a connection of its own, to a sandbox. The settings' switch stays as it is. Commits."""
	from fiscal_integration.connection import ACCOUNT

	account = (
		frappe.get_doc(ACCOUNT, shop.company)
		if frappe.db.exists(ACCOUNT, shop.company)
		else frappe.new_doc(ACCOUNT)
	)
	_forget_secrets(account, url, parameters or {})
	account.update(
		{
			"company": shop.company,
			"enabled": 1,
			"provider": provider,
			"environment": "Test",
			"server_url": url,
			"secret_key": secret_key,
			**values,
		}
	)
	kept = {row.parameter: row.value for row in account.parameters} | (parameters or {})
	account.set("parameters", [{"parameter": key, "value": value} for key, value in kept.items()])
	account.save(ignore_permissions=True)
	frappe.db.commit()
	return account


def _forget_secrets(record, url: str, typed: dict):
	"""Those of another sandbox that are not given anew: a changed address demands all that are stored."""
	for key in record.secret_keys():
		if record.server_url != url and key not in typed and record.is_stored(key):
			record.clear_secret(key)


def till_doctypes() -> tuple[str, ...]:
	"""What the Point of Sale of this ERPNext can make, its own default first: from 16 on POS Settings choose."""
	field = frappe.get_meta("POS Settings").get_field("invoice_type")
	if not field:
		return ("POS Invoice",)
	return tuple(sorted(field.options.split("\n"), key=lambda option: option != field.default))


def till_doctype() -> str:
	"""What the Point of Sale makes."""
	if len(till_doctypes()) == 1:
		return till_doctypes()[0]
	return frappe.db.get_single_value("POS Settings", "invoice_type") or "POS Invoice"


def set_till_doctype(doctype: str):
	"""Let the Point of Sale make this doctype. ERPNext demands that no till is open meanwhile: all are closed. Commits."""
	if doctype == till_doctype():
		return
	close_tills()
	frappe.db.set_single_value("POS Settings", "invoice_type", doctype)
	frappe.db.commit()


def invoice(
	items=(("CAFE-500", 1, 145.0),),
	customer: str = WALK_IN,
	doctype: str | None = None,
	taxes: str | list = "exclusive",
	paid: bool | list = True,
	submit: bool = True,
	shop: Shop = MEXICO,
	**values,
):
	"""An invoice of the sample company `shop`, submitted unless `submit` is false. Does not commit.

	Without a `doctype` it is made at the shop's till, as whatever the Point of Sale makes there. `items`: (item, quantity, rate) or dicts; `taxes`: "exclusive", "inclusive", "none" or tax rows;
	`paid`: whether in cash and in full, or a list of (mode of payment, amount).
	"""
	at_till = doctype in (None, "POS Invoice")
	doctype = doctype or till_doctype()
	doc = frappe.new_doc(doctype)
	doc.update(
		{
			"company": shop.company,
			"customer": shop.walk_in if customer == WALK_IN else customer,
			"currency": shop.currency,
			"conversion_rate": 1,
			"set_posting_time": 1,
			"posting_date": nowdate(),
			"posting_time": now_datetime().strftime("%H:%M:%S"),
			"due_date": nowdate(),
			"selling_price_list": "Standard Selling",
			"price_list_currency": shop.currency,
			"plc_conversion_rate": 1,
			"ignore_pricing_rule": 1,
			"update_stock": 0,
			"cost_center": shop.default("cost_center"),
			"debit_to": shop.default("default_receivable_account"),
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
			row.setdefault("item_tax_rate", json.dumps({shop.account(shop.tax): 0}))
			if frappe.db.exists("DocType", "Item Tax Template"):
				row.setdefault("item_tax_template", shop.account(shop.untaxed))
		name = ITEMS.get(row["item_code"], (row["item_code"],))[0]
		doc.append(
			"items",
			{
				"item_name": name,
				"description": name,
				"uom": _uom(row["item_code"]),
				"stock_uom": _uom(row["item_code"]),
				"conversion_factor": 1,
				"cost_center": shop.default("cost_center"),
				"income_account": shop.default("default_income_account"),
				**row,
			},
		)
	for row in _tax_rows(taxes, shop):
		doc.append("taxes", row)
	if at_till or paid:
		doc.is_pos = 1
		if at_till:
			doc.pos_profile = doc.pos_profile or shop.profile
			if doctype == "Sales Invoice":
				doc.is_created_using_pos = 1
		doc.set("payments", [])
		if isinstance(paid, list):
			for mode, amount in paid:
				doc.append(
					"payments",
					{
						"mode_of_payment": mode,
						"amount": amount,
						"account": shop.default("default_cash_account"),
					},
				)
		else:
			doc.append(
				"payments",
				{
					"mode_of_payment": "Cash",
					"amount": 0,
					"account": shop.default("default_cash_account"),
					"default": 1,
				},
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
	if original.get("is_created_using_pos"):
		# As the Point of Sale does with what it makes.
		doc.is_created_using_pos = 1
	doc.insert(ignore_permissions=True)
	if submit:
		doc.submit()
	return doc


def payment(
	allocations: list, mode: str = "Wire Transfer", shop: Shop = MEXICO, submit: bool = True, **values
):
	"""A Payment Entry that pays these (Sales Invoice, amount in the currency of the customer's account). Does not
	commit."""
	first = allocations[0][0]
	total = sum(amount for _invoice, amount in allocations)
	doc = frappe.new_doc("Payment Entry")
	doc.update(
		{
			"payment_type": "Receive",
			"company": shop.company,
			"posting_date": nowdate(),
			"mode_of_payment": mode,
			"party_type": "Customer",
			"party": first.customer,
			"paid_from": first.debit_to,
			"paid_to": shop.default("default_cash_account"),
			"paid_amount": total,
			"received_amount": total,
			"source_exchange_rate": 1,
			"target_exchange_rate": 1,
			"reference_no": "SPEI-0001",
			"reference_date": nowdate(),
			"cost_center": shop.default("cost_center"),
			**values,
		}
	)
	for invoice_doc, amount in allocations:
		doc.append(
			"references",
			{
				"reference_doctype": invoice_doc.doctype,
				"reference_name": invoice_doc.name,
				"allocated_amount": amount,
			},
		)
	doc.insert(ignore_permissions=True)
	if submit:
		doc.submit()
	return doc


def tax_row(account: str, rate: float, shop: Shop = MEXICO, **values) -> dict:
	return {
		"charge_type": "On Net Total",
		"account_head": shop.account(account),
		"description": account,
		"rate": rate,
		"cost_center": shop.default("cost_center"),
		**values,
	}


def _tax_rows(taxes, shop):
	if isinstance(taxes, list):
		return taxes
	if taxes == "none":
		return []
	return [tax_row(shop.tax, shop.tax_rate, shop, included_in_print_rate=int(taxes == "inclusive"))]


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


def _make_company(shop: Shop):
	wizard = "frappe.desk.page.setup_wizard.setup_wizard"
	with suppress(ModuleNotFoundError):
		if importlib.util.find_spec(wizard) and not frappe.get_all("Company", limit=1):
			from frappe.desk.page.setup_wizard.setup_wizard import setup_complete

			year = now_datetime().year
			setup_complete(
				{
					"currency": shop.currency,
					"full_name": "Sample User",
					"company_name": shop.company,
					"company_abbr": shop.abbr,
					"timezone": "America/Mexico_City",
					"industry": "Retail & Wholesale",
					"country": shop.country,
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
		shop.company,
		company_name=shop.company,
		abbr=shop.abbr,
		default_currency=shop.currency,
		country=shop.country,
		chart_of_accounts="Standard",
	)
	company.db_set("tax_id", shop.tax_id)


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
		_ensure("Mode of Payment", mode, mode_of_payment=mode, type=kind, enabled=1)
	for group in ("Products",):
		if not frappe.db.exists("Item Group", "All Item Groups"):
			_ensure("Item Group", "All Item Groups", item_group_name="All Item Groups", is_group=1)
		_ensure("Item Group", group, item_group_name=group, parent_item_group="All Item Groups")
	_ensure("Customer Group", "Individual", customer_group_name="Individual")
	for country in ("Mexico", "Panama", "Austria"):
		_ensure("Territory", country, territory_name=country)
	for currency in ("MXN", "USD", "EUR"):
		_ensure("Currency", currency, currency_name=currency, enabled=1)
		frappe.db.set_value("Currency", currency, "enabled", 1)


def _ensure_taxes(shop: Shop):
	"""The shop's tax accounts, its template for untaxed items, and where its modes of payment end."""
	parent = frappe.db.get_value(
		"Account", {"company": shop.company, "is_group": 1, "account_type": "Tax"}
	) or frappe.db.get_value("Account", {"company": shop.company, "is_group": 1, "root_type": "Liability"})
	for name, rate, kind in (
		(shop.tax, shop.tax_rate, "Tax"),
		*((name, rate, "Tax") for name, rate in shop.other_taxes),
		("Flete", 0, "Chargeable"),
	):
		_ensure(
			"Account",
			shop.account(name),
			account_name=name,
			company=shop.company,
			parent_account=parent,
			account_type=kind,
			tax_rate=rate,
		)
	if frappe.db.exists("DocType", "Item Tax Template") and not frappe.db.exists(
		"Item Tax Template", shop.account(shop.untaxed)
	):
		template = frappe.get_doc(
			{"doctype": "Item Tax Template", "title": shop.untaxed, "company": shop.company}
		)
		template.append("taxes", {"tax_type": shop.account(shop.tax), "tax_rate": 0})
		template.insert(ignore_permissions=True)
	for mode in ("Cash", "Credit Card", "Wire Transfer"):
		doc = frappe.get_doc("Mode of Payment", mode)
		if doc.meta.has_field("accounts") and not any(row.company == shop.company for row in doc.accounts):
			account = shop.default("default_cash_account")
			doc.append("accounts", {"company": shop.company, "default_account": account})
			doc.save(ignore_permissions=True)


def _ensure_customer(name, values):
	pincode = values.pop("pincode", "")
	street, city, country = values.pop("address", ("", "", ""))
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
				"address_line1": street,
				"city": city,
				"country": country,
				"pincode": pincode,
				"is_primary_address": 1,
				"links": [{"link_doctype": "Customer", "link_name": name}],
			}
		).insert(ignore_permissions=True)
		frappe.db.set_value("Customer", name, "customer_primary_address", address.name)


def ensure_till(name: str = "", shop: Shop = MEXICO):
	"""A POS Profile of the shop that takes cash and cards."""
	name = name or shop.profile
	prices = f"Venta {shop.currency}"
	_ensure("Price List", prices, price_list_name=prices, selling=1, currency=shop.currency, enabled=1)
	if frappe.db.exists("POS Profile", name):
		if frappe.get_meta("POS Profile").has_field("selling_price_list"):
			frappe.db.set_value("POS Profile", name, "selling_price_list", prices)
		return
	profile = frappe.new_doc("POS Profile")
	warehouse = {"company": shop.company, "is_group": 0}
	profile.update(
		{
			"name": name,
			"__newname": name,
			"company": shop.company,
			"currency": shop.currency,
			"selling_price_list": prices,
			"customer": shop.walk_in,
			"warehouse": frappe.db.get_value("Warehouse", warehouse)
			if profile.meta.has_field("warehouse")
			else None,
			"cost_center": shop.default("cost_center"),
			"write_off_account": shop.default("default_expense_account"),
			"write_off_cost_center": shop.default("cost_center"),
		}
	)
	if profile.meta.has_field("allow_partial_payment"):
		profile.allow_partial_payment = 1
	for index, mode in enumerate(("Cash", "Credit Card")):
		profile.append("payments", {"mode_of_payment": mode, "default": int(index == 0)})
	profile.insert(ignore_permissions=True)


def open_till(profile: str = "", shop: Shop = MEXICO):
	"""An open POS Opening Entry, which a sale at the till asks for on a bench: of whoever calls, or of a cashier of the
	till's own where that one has another till open, since nobody has two. Does not commit."""
	profile = profile or shop.profile
	if not frappe.db.exists("DocType", OPENING):
		return
	today = {"pos_profile": profile, "status": "Open", "docstatus": 1}
	for name in frappe.get_all(OPENING, today, pluck="name"):
		if getdate(frappe.db.get_value(OPENING, name, "period_start_date")) == getdate():
			return
		# One of yesterday takes no sales any more.
		frappe.db.set_value(OPENING, name, "status", "Closed")
	user = frappe.session.user
	if frappe.db.exists(OPENING, {"user": user, "status": "Open"}):
		user = f"{frappe.scrub(profile).encode('ascii', 'ignore').decode()}@example.com"
		_ensure("User", user, email=user, first_name=profile, send_welcome_email=0)
	entry = frappe.new_doc(OPENING)
	entry.update(
		{
			"company": shop.company,
			"pos_profile": profile,
			"user": user,
			# Sales carry whole seconds, so that one of this very second would lie before it.
			"period_start_date": max(
				add_to_date(now_datetime(), seconds=-60), get_datetime(f"{nowdate()} 00:00:00")
			),
			"posting_date": nowdate(),
		}
	)
	for mode in ("Cash", "Credit Card"):
		entry.append("balance_details", {"mode_of_payment": mode, "opening_amount": 0})
	entry.insert(ignore_permissions=True)
	entry.submit()


def close_tills():
	"""Close all tills without counting them. Does not commit."""
	if frappe.db.exists("DocType", OPENING):
		frappe.db.set_value(OPENING, {"status": "Open", "docstatus": 1}, "status", "Closed")


def draft(
	doctype: str | None = None,
	customer: str = WALK_IN,
	panama: bool = False,
	austria: bool = False,
	paid: bool | list = True,
	items: list | None = None,
	taxes: str | list = "exclusive",
	values: dict | None = None,
) -> str:
	"""A committed draft to submit by hand, in training and in the browser's tests. Returns its name.

	`items`, `taxes` and `values` are those of `invoice`; a row of `taxes` may be (account, rate, fields) too.
	"""
	shop = _open_shop(panama, austria)
	items = items or [("CAFE-500", 2, 145.0), ("LIBRO-01", 1, 320.0), ("AGUA-1L", 6, 18.5)]
	if isinstance(taxes, list):
		taxes = [row if isinstance(row, dict) else tax_row(*row[:2], shop, **dict(*row[2:])) for row in taxes]
	doc = invoice(
		items=items,
		doctype=doctype,
		customer=customer,
		submit=False,
		shop=shop,
		paid=paid,
		taxes=taxes,
		**(values or {}),
	)
	frappe.db.commit()
	return doc.name


def sale(
	doctype: str = "Sales Invoice",
	customer: str = WALK_IN,
	paid: bool | list = True,
	yesterday: bool = False,
	values: dict | None = None,
) -> str:
	"""One committed sale of the Mexican shop, as the browser's tests want it. Returns its name."""
	shop = _open_shop(False)
	dated = {"posting_date": add_days(nowdate(), -1), "posting_time": "09:30:00"} if yesterday else {}
	doc = invoice(doctype=doctype, customer=customer, shop=shop, paid=paid, **dated, **(values or {}))
	frappe.db.commit()
	return doc.name


def pay(sale: str, amount: float) -> str:
	"""A committed payment of a Sales Invoice. Returns its name."""
	doc = payment([(frappe.get_doc("Sales Invoice", sale), amount)])
	frappe.db.commit()
	return doc.name


def set_others_aside():
	"""What is still to be sent is not due for a month, so that a test meets its own documents only. Commits."""
	from fiscal_integration.dispatch import DOCTYPE
	from fiscal_integration.fiscal.lifecycle import DUE

	later = {"next_attempt": add_days(now_datetime(), 30), "device": None}
	frappe.db.set_value(DOCTYPE, {"status": ("in", DUE)}, later, update_modified=False)
	frappe.db.set_value("Fiscal Batch", {"status": ("!=", "Finished")}, "status", "Finished")
	frappe.db.commit()


def ensure_user(email: str, roles: list, password: str):
	"""A user with exactly these roles, to try what each may do. Commits."""
	user = _ensure("User", email, email=email, first_name=email.partition("@")[0], send_welcome_email=0)
	user.set("roles", [])
	user.flags.ignore_password_policy = True
	user.add_roles(*roles)
	user.new_password = password
	user.save(ignore_permissions=True)
	if frappe.db.exists("DocType", OPENING):
		# Whoever sells at a till has to see that it is open, which ERPNext lets few roles.
		from frappe.permissions import add_permission

		for role in {"Accounts User", "Accounts Manager"}.intersection(roles):
			add_permission(OPENING, role, 0)
	frappe.db.commit()


def restrict(user: str, company: str):
	"""Let a user see one company's documents only. Commits."""
	values = {"user": user, "allow": "Company", "for_value": company}
	if not frappe.db.exists("User Permission", values):
		frappe.get_doc({"doctype": "User Permission", **values}).insert(ignore_permissions=True)
	frappe.db.commit()


def sell(number: int = 1, panama: bool = False) -> list[str]:
	"""Committed sales to walk-in customers. Returns their names."""
	shop = _open_shop(panama)
	names = []
	for _sale in range(int(number)):
		names.append(invoice(shop=shop).name)
		frappe.db.commit()
	return names


def _open_shop(panama, austria=False) -> Shop:
	shop = AUSTRIA if austria else PANAMA if panama else MEXICO
	if shop is MEXICO:
		set_up_site()
	else:
		set_up_shop(shop)
	open_till(shop=shop)
	return shop


def certify(shop: Shop = PANAMA):
	"""Give the shop a certificate that is worth nothing. Commits."""
	from fiscal_integration import certificates
	from fiscal_integration.sandbox import p12

	doc = frappe.get_doc({"doctype": certificates.DOCTYPE, "company": shop.company}).insert(
		ignore_permissions=True
	)
	certificates.initialize(doc.name, base64.b64encode(p12.make(ruc=shop.tax_id)).decode(), p12.PASSWORD)


def make_mail_account(default_outgoing: int = 0):
	"""An account to send e-mail from, at a server that there is not. Does not commit."""
	values = {"email_account_name": MAIL_ACCOUNT, "email_id": "fiscal-tests@example.com"}
	server = {"enable_outgoing": 1, "no_smtp_authentication": 1, "smtp_server": "127.0.0.1"}
	doc = frappe.get_doc({"doctype": "Email Account", "name": MAIL_ACCOUNT, **values, **server})
	doc.default_outgoing = int(default_outgoing)
	# Frappe would try the server of one that is entered by hand.
	doc.db_insert()


def use_till(panama: bool = False):
	"""Let ERPNext's Point of Sale open on the shop's till for whoever calls. Commits."""
	shop = _open_shop(panama)
	profile = frappe.get_doc("POS Profile", shop.profile)
	if not any(row.user == frappe.session.user for row in profile.get("applicable_for_users") or []):
		profile.append("applicable_for_users", {"user": frappe.session.user, "default": 1})
		profile.save(ignore_permissions=True)
	# The page opens the till that its user has open, so whoever calls has this one and no other.
	opened = {"status": "Open", "docstatus": 1}
	for field, value in (("pos_profile", shop.profile), ("user", frappe.session.user)):
		frappe.db.set_value(OPENING, {**opened, field: value}, "status", "Closed")
	open_till(shop=shop)
	frappe.db.commit()
