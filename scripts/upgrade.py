"""A site's fiscal data before and after an upgrade of Frappe: makes them, writes them down, compares them, goes on.

	upgrade.py make SITE FILE PORT      # sells, and writes down what is there
	upgrade.py compare SITE FILE        # after the upgrade; exits with 1 on a difference
	upgrade.py continue SITE FILE PORT  # sends what waited, sells anew, writes it down
	upgrade.py fields SITE FILE         # custom fields and their place; compares if FILE is there

PORT is that of a running sandbox, whose ledger has to agree. scripts/upgrade_test.sh calls all of it, with the bench's
Python in the bench's folder `sites`.
"""

import hashlib
import json
import sys
import time
import urllib.request
from collections import Counter
from decimal import Decimal
from pathlib import Path

import frappe
from frappe.utils import add_days, now_datetime, nowdate
from frappe.utils.password import get_decrypted_password

# What an upgrade may change: Frappe's own bookkeeping.
IGNORED = {"modified", "modified_by", "idx", "_comments", "_assign", "_liked_by", "_user_tags", "_seen"}
INVOICES = ("POS Invoice", "Sales Invoice", "Payment Entry")
PANAMA = ("hka", "facturafacil", "conteo", "aludra")
BUSINESS = "Papelería del Centro SA de CV"
CLOSED_TILL = "Caja Cierre"
SETTLE_SECONDS = 300


def main():
	what, site, path, *port = sys.argv[1:]
	frappe.init(site=site)
	frappe.connect()
	frappe.set_user("Administrator")
	try:
		if what == "compare":
			return compare(path)
		if what == "fields":
			return compare_fields(Path(path))
		sandbox = Told(int(port[0]))
		differences = []
		try:
			(make if what == "make" else go_on)(sandbox)
			frappe.db.commit()
		except Exception:
			frappe.db.rollback()
			differences.append(frappe.get_traceback())
		differences += disagreements(sandbox)
		for line in differences:
			print(line)
		with open(path, "w") as file:
			json.dump(snapshot(), file, default=str)
		return 1 if differences else 0
	finally:
		frappe.destroy()


class Told:
	"""The sandbox in its own process: where it is, and what it says of itself."""

	def __init__(self, port: int):
		from fiscal_integration.sandbox import Sandbox

		here = Sandbox(port)
		self.port, self.providers = port, tuple(here.emulators)
		self.url, self.secret_key, self.parameters = here.url, here.secret_key, here.parameters

	def ledger(self, provider: str) -> list[dict]:
		return self._ask(f"ledger/{provider}")

	def fault(self, provider: str, **order):
		self._ask(f"faults/{provider}", json.dumps(order).encode())

	def _ask(self, path, body=None):
		with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_control/{path}", body) as answer:
			return json.load(answer)


# -- what is made ----------------------------------------------------------------------------------------


def make(sandbox: Told):
	"""Sales of three countries with six providers, in every state; a closed till; files, secrets, a register."""
	from fiscal_integration import cancellation, dispatch, files, registers, sample

	sample.set_up_site()
	connect_mexico(sandbox, enable_cancellation=1)
	sold = sample.sell(12)
	for name in sold[:8]:
		process("POS Invoice", name)
	for name, reason in ((sold[0], "The sale did not take place"), (sold[1], "Entered twice")):
		row = dispatch.find("POS Invoice", name)
		cancellation.request(row.name, reason, motive="02")
		frappe.db.commit()
		cancellation.process(row.name)
	note = sample.credit_note(frappe.get_doc("POS Invoice", sold[2]))
	frappe.db.commit()
	process("POS Invoice", note.name)
	for name, fault in zip(
		sold[8:],
		(
			{"kind": "lost_after_commit"},
			{"kind": "status", "status": 400, "code": "invalid_request"},
			{"kind": "pending", "after": 10**9, "outcome": "valid"},
			{"kind": "wrong_total"},
		),
		strict=True,
	):
		sandbox.fault("facturapi", **fault)
		process("POS Invoice", name)
	sale = sample.sale(customer=BUSINESS, paid=False)
	process("Sales Invoice", sale)
	process("Payment Entry", sample.pay(sale, 50))
	global_invoice(sandbox)
	closed_till()
	for name in frappe.get_all(
		dispatch.DOCTYPE, {"status": "Issued", "company": sample.COMPANY}, limit=3, pluck="name"
	):
		for kind in ("pdf", "xml"):
			files.file_of(frappe.get_doc(dispatch.DOCTYPE, name), kind)
		frappe.db.commit()

	sample.set_up_panama()
	sample.certify()
	for provider in PANAMA:
		sample.connect_account(
			sample.PANAMA,
			provider,
			sandbox.url(provider),
			sandbox.secret_key(provider),
			sandbox.parameters(provider),
		)
		for name in sample.sell(2, panama=True):
			process("POS Invoice", name)

	sample.set_up_austria()
	key = "fiskaly"
	sample.connect_account(
		sample.AUSTRIA, key, sandbox.url(key), sandbox.secret_key(key), sandbox.parameters(key)
	)
	record = {"doctype": "Fiscal Account", "name": sample.AUSTRIA.company}
	from fiscal_integration import api

	point = frappe.get_doc(
		{
			"doctype": "Fiscal Point of Sale",
			"company": sample.AUSTRIA.company,
			"pos_profile": sample.AUSTRIA.profile,
		}
	).insert()
	frappe.db.commit()
	steps = [
		api.set_up_authority(**record, participant="12345678", user="kassa01", pin="geheim1"),
		api.set_up_unit(**record, legal_entity=sample.AUSTRIA.tax_id),
		api.set_up_unit(**record),
		*(api.set_up_till(point.name) for _step in range(3)),
	]
	assert all(step["ok"] for step in steps), steps
	sell_in_austria(2)
	today = now_datetime().date()
	registers.export(point.name, today, today)
	frappe.db.commit()
	wait()
	print(states())


def connect_mexico(sandbox, **values):
	from fiscal_integration import sample

	return sample.connect(
		sandbox.url("facturapi"), sandbox.secret_key("facturapi"), **{"keep_xml": 1, **values}
	)


def process(doctype, name):
	from fiscal_integration import dispatch

	for row in dispatch.find_all(doctype, name):
		dispatch.process(row.name)


def settle():
	"""Take further what is queued, or unknown to us until the provider is asked, each when it is due, until nothing is
	left or SETTLE_SECONDS are over."""
	from fiscal_integration import dispatch

	moving = {"status": ("in", ("Queued", "Sending", "Unknown"))}
	until = time.monotonic() + SETTLE_SECONDS
	while left := frappe.get_all(dispatch.DOCTYPE, moving, ["name", "status", "error_message"]):
		assert time.monotonic() < until, left
		for row in left:
			dispatch.process(row.name)
		frappe.db.commit()
		time.sleep(1)


def global_invoice(sandbox):
	"""Walk-in sales of yesterday in one CFDI."""
	from fiscal_integration import sample

	connect_mexico(sandbox, parameters={"walk_in_sales": "Global Invoice"})
	day = add_days(nowdate(), -1)
	for _sale in range(3):
		sample.invoice(doctype="Sales Invoice", paid=True, posting_date=day, posting_time="09:30:00")
	doc = frappe.get_doc(
		{"doctype": "Fiscal Global Invoice", "company": sample.COMPANY, "periodicity": "Day", "day": day}
	).insert()
	doc.collect()
	doc.submit()
	frappe.db.commit()
	process(doc.doctype, doc.name)
	connect_mexico(sandbox, parameters={"walk_in_sales": "One CFDI Each"})


def closed_till(number=4):
	"""A session with some sales, closed: ERPNext consolidates them."""
	from erpnext.accounts.doctype.pos_closing_entry.pos_closing_entry import make_closing_entry_from_opening

	from fiscal_integration import sample

	sample.close_tills()
	sample.ensure_till(CLOSED_TILL)
	sample.open_till(CLOSED_TILL)
	frappe.db.commit()
	for _sale in range(number):
		doc = sample.invoice(customer=BUSINESS, pos_profile=CLOSED_TILL)
		frappe.db.commit()
		process(doc.doctype, doc.name)
	opened = {"pos_profile": CLOSED_TILL, "status": "Open", "docstatus": 1}
	closing = make_closing_entry_from_opening(frappe.get_doc(sample.OPENING, opened))
	closing.period_end_date = now_datetime()
	closing.posting_date = nowdate()
	for row in closing.payment_reconciliation:
		row.closing_amount = row.expected_amount
	closing.insert(ignore_permissions=True)
	closing.submit()
	frappe.db.commit()
	assert frappe.db.get_value(closing.doctype, closing.name, "status") == "Submitted"
	sample.close_tills()
	frappe.db.commit()


def sell_in_austria(number):
	from fiscal_integration import sample

	sample.close_tills()
	sample.open_till(shop=sample.AUSTRIA)
	frappe.db.commit()
	for _sale in range(number):
		doc = sample.invoice(items=[("CAFE-500", 2, 4.2)], shop=sample.AUSTRIA)
		frappe.db.commit()
		process(doc.doctype, doc.name)


def wait():
	"""Sales that the next version of Frappe finds Queued."""
	from fiscal_integration import sample

	sample.close_tills()
	sample.open_till()
	frappe.db.commit()
	for _sale in range(3):
		sample.invoice()
		frappe.db.commit()
	sample.close_tills()
	frappe.db.commit()


def go_on(sandbox: Told):
	"""What waited is sent once; the till sells, gives back and closes as before, and old sales can be cancelled."""
	from fiscal_integration import cancellation, dispatch, drain, sample

	waiting = frappe.get_all(
		dispatch.DOCTYPE,
		{
			"status": ("in", ("Queued", "Unknown")),
			"company": sample.COMPANY,
			"reference_doctype": "POS Invoice",
		},
		["name", "reference_name", "status"],
		order_by="name",
	)
	counted = Counter(row.status for row in waiting)
	assert counted["Queued"] >= 3, waiting
	assert sample.till_doctype() == "POS Invoice", sample.till_doctype()
	frappe.db.commit()
	drain.drain(sample.COMPANY)
	settle()
	names = [row.name for row in waiting]
	left = frappe.get_all(dispatch.DOCTYPE, {"name": ("in", names), "status": ("!=", "Issued")}, pluck="name")
	assert not left, left
	old = [row for row in waiting if row.status == "Queued"]
	sample.close_tills()
	sample.open_till()
	frappe.db.commit()
	for name in sample.sell(3):
		process("POS Invoice", name)
	note = sample.credit_note(frappe.get_doc("POS Invoice", old[0].reference_name))
	frappe.db.commit()
	process("POS Invoice", note.name)
	settle()
	cancellation.request(old[1].name, "The sale did not take place", motive="02")
	frappe.db.commit()
	cancellation.process(old[1].name)
	assert frappe.db.get_value(dispatch.DOCTYPE, old[1].name, "cancellation_status") == "Cancelled"
	closed_till(3)
	for name in sample.sell(1, panama=True):
		process("POS Invoice", name)
	sell_in_austria(2)
	settle()
	wait()
	print(f"of {dict(counted)} before, all are Issued; now", states())


def states() -> str:
	counts = Counter(frappe.get_all("Fiscal Document", pluck="status"))
	return ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))


def disagreements(sandbox: Told):
	"""Where our records and the sandbox's ledger differ: number for each document, and sum of each provider."""
	rows = frappe.get_all(
		"Fiscal Document",
		[
			"name",
			"provider",
			"status",
			"external_reference",
			"provider_total",
			"total",
			"fiscal_id",
			"cancellation_status",
		],
	)
	compared = 0
	for provider in sandbox.providers:
		entries = sandbox.ledger(provider)
		held = Counter(entry["external_id"] for entry in entries)
		totals = {entry["external_id"]: Decimal(str(entry["total"])) for entry in entries}
		ours = [row for row in rows if row.provider == provider and row.status == "Issued"]
		for row in ours:
			compared += 1
			if held[row.external_reference] != 1:
				yield f"{row.name} of {provider}: the ledger has it {held[row.external_reference]} times"
				continue
			# Zero: the provider told no total.
			total = Decimal(str(row.provider_total or row.total))
			if abs(totals[row.external_reference]) != abs(total):
				yield f"{row.name} of {provider}: {total}, the ledger {totals[row.external_reference]}"
		known = {row.external_reference for row in rows}
		for reference in set(held) - known:
			yield f"{reference} of {provider} is in the ledger only"
	print(f"{compared} issued documents compared with the sandbox's ledger")


# -- what is compared ------------------------------------------------------------------------------------


def snapshot() -> dict:
	"""Every row of the app's doctypes, its exchanges, errors and files, its fields on invoices, and its secrets."""
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
	found["Error Log"] = {row.name: cleaned(row) for row in table("Error Log")}
	found["File"] = {
		row.name: {**cleaned(row), "content": hashlib.sha256(content(row.name)).hexdigest()}
		for row in table("File")
		if (row.attached_to_doctype or "") in (*INVOICES, *found)
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
	found["secrets"] = {
		f"{row.doctype}/{row.name}/{row.fieldname}": get_decrypted_password(
			row.doctype, row.name, row.fieldname
		)
		for row in frappe.db.sql(
			"select doctype, name, fieldname from `__Auth` where doctype like 'Fiscal %%' and encrypted = 1",
			as_dict=True,
		)
	}
	return found


def content(name) -> bytes:
	found = frappe.get_doc("File", name).get_content()
	return found.encode() if isinstance(found, str) else found


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
	kinds = {kind: len(rows) for kind, rows in before.items() if isinstance(rows, dict) and rows}
	print(", ".join(f"{kind} {number}" for kind, number in kinds.items()))
	print(f"{sum(kinds.values())} records compared, {len(differences)} differences")
	return 1 if differences else 0


def compare_fields(path: Path) -> int:
	"""Our custom fields with all that a form makes of them, and the whole order of the forms: written to `path`, or
	compared with what another site wrote there."""
	frappe.clear_cache()
	names = frappe.get_all("Custom Field", {"module": "Fiscal Integration"}, ["name", "dt"])
	# Empty is NULL on a migrated site and '' on a fresh one, or the other way round: to Frappe the same.
	found = {
		row.name: {
			key: value or None for key, value in cleaned(row).items() if key not in ("creation", "owner")
		}
		for row in table("Custom Field")
		if row.module == "Fiscal Integration"
	}
	for doctype in sorted({row.dt for row in names}):
		found[doctype] = {"order": [field.fieldname for field in frappe.get_meta(doctype).fields]}
	if not path.exists():
		path.write_text(json.dumps(found))
		return 0
	fresh = json.loads(path.read_text())
	differences = [
		*differ(fresh, found, "fresh"),
		*(f"{name} is not on a fresh site" for name in found if name not in fresh),
	]
	for line in differences[:50]:
		print(line)
	print(f"{len(found)} custom fields and forms compared with a fresh site, {len(differences)} differences")
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
