"""A site's fiscal data before and after an upgrade of Frappe: makes them, writes them down, compares them.

	cd BENCH/sites && ../env/bin/python PATH/scripts/upgrade.py make SITE FILE      # sells, and writes down what is there
	cd BENCH/sites && ../env/bin/python PATH/scripts/upgrade.py compare SITE FILE   # after the upgrade; exits with 1 on a difference

scripts/upgrade_test.sh does it all with two benches.
"""

import json
import subprocess
import sys

import frappe

# What an upgrade may change: Frappe's own bookkeeping.
IGNORED = {"modified", "modified_by", "idx", "_comments", "_assign", "_liked_by", "_user_tags", "_seen"}
KEY = "sk_test_SandboxWithoutValidity00"
INVOICES = ("POS Invoice", "Sales Invoice", "Payment Entry")


def main():
	what, site, path = sys.argv[1:]
	frappe.init(site=site)
	frappe.connect()
	frappe.set_user("Administrator")
	try:
		if what == "make":
			make()
			with open(path, "w") as file:
				json.dump(snapshot(), file, default=str)
			return 0
		return compare(path)
	finally:
		frappe.destroy()


def make():
	"""Sales of three countries: issued, refused, cancelled, waiting; a payment, a certificate, secrets."""
	from fiscal_integration import dispatch, sample

	sandbox = subprocess.Popen(
		[sys.executable, "-m", "fiscal_integration.sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True
	)
	try:
		port = next(line.split(":")[-1].strip(" /\n") for line in sandbox.stdout if "What was issued" in line)
		url = f"http://127.0.0.1:{port}"
		sample.set_up_site()
		sample.connect(f"{url}/facturapi/v2", KEY, keep_xml=1)
		for name in sample.sell(20):
			dispatch.process(dispatch.find("POS Invoice", name).name)
		sale = sample.sale(customer="Papelería del Centro SA de CV", paid=False)
		dispatch.process(dispatch.find("Sales Invoice", sale).name)
		payment = sample.pay(sale, 50)
		dispatch.process(dispatch.find("Payment Entry", payment).name)
		sample.set_up_panama()
		sample.certify()
		sample.sell(3)  # wait
	finally:
		sandbox.terminate()
	frappe.db.commit()


def snapshot() -> dict:
	"""Every row of the app's doctypes, its exchanges, its fields on invoices, and whether secrets open."""
	found = {}
	for doctype in doctypes():
		if frappe.get_meta(doctype).issingle:
			rows = frappe.db.sql(
				"select field, value from tabSingles where doctype = %s", doctype, as_dict=True
			)
			found[doctype] = {row.field: row.value for row in rows if row.field not in IGNORED}
		else:
			found[doctype] = {row.name: cleaned(row) for row in table(doctype)}
	found["Integration Request"] = {
		row.name: cleaned(row) for row in table("Integration Request") if row.get("fiscal_chain")
	}
	for doctype in INVOICES:
		columns = [c for c in frappe.db.get_table_columns(doctype) if c.startswith("fiscal_")]
		found[f"{doctype} fields"] = sorted(columns)
		found[doctype] = {
			row.name: {c: text(row[c]) for c in ["docstatus", *columns]} for row in table(doctype)
		}
	found["Custom Field"] = {
		name: {} for name in frappe.get_all("Custom Field", {"module": "Fiscal Integration"}, pluck="name")
	}
	found["secret"] = frappe.get_doc("Fiscal Integration Settings").get_password("secret_key")
	return found


def doctypes() -> list[str]:
	return sorted(frappe.get_all("DocType", {"module": "Fiscal Integration", "is_virtual": 0}, pluck="name"))


def table(doctype) -> list:
	return frappe.db.sql(f"select * from `tab{doctype}` order by name", as_dict=True)


def cleaned(row) -> dict:
	return {key: text(value) for key, value in row.items() if key not in IGNORED}


def text(value):
	return None if value is None else str(value)


def compare(path) -> int:
	"""1 and a line for each difference when something that was there is gone or changed; new columns are none."""
	with open(path) as file:
		before = json.load(file)
	after = json.loads(json.dumps(snapshot(), default=str))
	differences = list(differ(before, after, ""))
	for line in differences[:50]:
		print(line)
	number = sum(len(rows) for rows in before.values() if isinstance(rows, dict))
	print(f"{number} records compared, {len(differences)} differences")
	return 1 if differences else 0


def differ(before, after, where):
	if isinstance(before, dict) and isinstance(after, dict):
		for key, value in before.items():
			if key not in after:
				yield f"{where}/{key} is gone"
			else:
				yield from differ(value, after[key], f"{where}/{key}")
	elif before != after:
		yield f"{where}: {before!r} became {after!r}"


if __name__ == "__main__":
	sys.exit(main())
