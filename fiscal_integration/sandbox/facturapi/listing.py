"""Lists: pages, and the filters that GET /invoices has."""

from fiscal_integration.sandbox.facturapi.entries import public
from fiscal_integration.sandbox.facturapi.refusal import integer, refuse

PAGE = "page limit"
DATES = "date[gte] date[gt] date[lte] date[lt]"
INVOICE_FILTERS = (
	f"q customer type payment_method folio_number series external_id issuer_type cancellation_status uuid "
	f"payment_status {DATES} {PAGE}"
)
BOUNDS = {
	"gte": lambda date, bound: date >= bound,
	"gt": lambda date, bound: date > bound,
	"lte": lambda date, bound: date <= bound,
	"lt": lambda date, bound: date < bound,
}
CHOICES = {
	"type": "I E P N T",
	"payment_method": "PUE PPD",
	"issuer_type": "issuing receiving",
	"payment_status": "paid unpaid",
	"cancellation_status": "none verifying pending accepted rejected expired",
}


def page_of(found: list[dict], query: dict) -> dict:
	"""One page of what was found, newest first. At most 30 pages of 100 can be had."""
	page, limit = integer(query, "page", 1, 1, 30), integer(query, "limit", 100, 1, 100)
	found = sorted(found, key=lambda entry: entry.get("created_at", ""), reverse=True)
	return {
		"page": page,
		"total_pages": -(-len(found) // limit),
		"total_results": len(found),
		"data": [public(entry) for entry in found[(page - 1) * limit : page * limit]],
	}


def dated(found, query):
	"""Those whose date is within the bounds of the query."""
	for name, keep in BOUNDS.items():
		bound = query.get(f"date[{name}]")
		if bound:
			found = [entry for entry in found if keep(entry["date"], bound[0])]
	return found


def invoices_of(entries, query: dict, live: bool) -> list[dict]:
	for name, allowed in CHOICES.items():
		for value in query.get(name, ()):
			if value not in allowed.split():
				refuse(name, "invalid_value", f"{name} debe ser uno de {allowed}", "query")
	found = [entry for entry in entries if entry["livemode"] is live]
	for name in ("external_id", "uuid", "type", "series", "payment_method"):
		if name in query:
			found = [entry for entry in found if entry.get(name) == query[name][0]]
	if "folio_number" in query:
		found = [entry for entry in found if str(entry["folio_number"]) == query["folio_number"][0]]
	if "customer" in query:
		found = [entry for entry in found if entry["customer"]["id"] == query["customer"][0]]
	if "cancellation_status" in query:
		found = [entry for entry in found if entry["cancellation_status"] in query["cancellation_status"]]
	if query.get("issuer_type") == ["receiving"]:
		found = []
	if "payment_status" in query:
		paid = query["payment_status"] == ["paid"]
		found = [entry for entry in found if entry["type"] == "I" and (not entry["amount_due"]) is paid]
	if "q" in query:
		found = [entry for entry in found if _speaks_of(entry, query["q"][0])]
	return dated(found, query)


def _speaks_of(entry, text):
	"""Part of a description or of a name; id, UUID, RFC, folio or total in full."""
	part = text.lower()
	names = [entry["customer"]["legal_name"], *(item["product"]["description"] for item in entry["items"])]
	exact = (entry["id"], entry["uuid"], entry["customer"]["tax_id"], entry["folio_number"], entry["total"])
	return any(part in name.lower() for name in names) or text in [str(value) for value in exact]
