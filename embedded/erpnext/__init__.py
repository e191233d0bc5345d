"""A stand-in for the part of ERPNext 15 that a fiscal app touches: sales documents and their totals."""

import frappe

__version__ = "15.0.0-embedded"


def get_default_company(user=None):
	return frappe.db.get_default("company") or frappe.db.get_value(
		"Company", {}, "name", order_by="creation asc"
	)


def get_company_currency(company):
	return frappe.get_cached_value("Company", company, "default_currency")


def get_default_currency():
	company = get_default_company()
	return get_company_currency(company) if company else None


def get_region(company=None):
	company = company or get_default_company()
	return frappe.get_cached_value("Company", company, "country") if company else None


def get_default_cost_center(company):
	return frappe.get_cached_value("Company", company, "cost_center")


def __getattr__(name):
	if name.startswith("__"):
		raise AttributeError(name)
	frappe.exceptions.refuse(f"erpnext.{name}")
