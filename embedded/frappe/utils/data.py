"""Dates, numbers and strings, as frappe.utils.data gives them."""

import calendar
import datetime
import decimal
import json
import math
import os
import re
import secrets
import string
import urllib.parse
from html import escape as _escape
from zoneinfo import ZoneInfo

import frappe
from dateutil import parser
from dateutil.relativedelta import relativedelta
from frappe.exceptions import refuse

DATE_FORMAT = "%Y-%m-%d"
TIME_FORMAT = "%H:%M:%S.%f"
DATETIME_FORMAT = f"{DATE_FORMAT} {TIME_FORMAT}"

# Time ------------------------------------------------------------------------------------------------


def get_system_timezone():
	return (frappe.local.db and frappe.get_system_settings("time_zone")) or "Etc/UTC"


get_time_zone = get_system_timezone


def now_datetime():
	"""Now, naive, in the site's time zone."""
	return datetime.datetime.now(ZoneInfo(get_system_timezone())).replace(tzinfo=None)


def now():
	return now_datetime().strftime(DATETIME_FORMAT)


def nowdate():
	return now_datetime().strftime(DATE_FORMAT)


today = nowdate


def nowtime():
	return now_datetime().strftime(TIME_FORMAT)


def convert_utc_to_timezone(utc_timestamp, time_zone):
	if utc_timestamp.tzinfo is None:
		utc_timestamp = utc_timestamp.replace(tzinfo=datetime.timezone.utc)
	return utc_timestamp.astimezone(ZoneInfo(time_zone))


def convert_utc_to_system_timezone(utc_timestamp):
	return convert_utc_to_timezone(utc_timestamp, get_system_timezone())


def get_datetime_in_timezone(time_zone):
	return convert_utc_to_timezone(datetime.datetime.now(datetime.timezone.utc), time_zone)


def get_datetime(datetime_str=None):
	if datetime_str is None:
		return now_datetime()
	if isinstance(datetime_str, datetime.datetime | datetime.timedelta):
		return datetime_str
	if isinstance(datetime_str, list | tuple):
		return datetime.datetime(*datetime_str)
	if isinstance(datetime_str, datetime.date):
		return datetime.datetime.combine(datetime_str, datetime.time())
	if not datetime_str or str(datetime_str).startswith("0000-00-00"):
		return None
	return parser.parse(datetime_str)


def getdate(string_date=None):
	if not string_date:
		return now_datetime().date()
	if isinstance(string_date, datetime.datetime):
		return string_date.date()
	if isinstance(string_date, datetime.date):
		return string_date
	if str(string_date).startswith("0000-00-00"):
		return None
	try:
		return parser.parse(str(string_date)).date()
	except (ValueError, OverflowError):
		frappe.throw(
			f"{string_date} is not a valid date string.", title="Invalid Date", exc=frappe.ValidationError
		)


def get_time(time_str):
	if isinstance(time_str, datetime.datetime):
		return time_str.time()
	if isinstance(time_str, datetime.time):
		return time_str
	if isinstance(time_str, datetime.timedelta):
		return (datetime.datetime.min + time_str).time()
	return parser.parse(time_str).time()


def to_timedelta(time_str):
	if isinstance(time_str, datetime.timedelta) or time_str is None:
		return time_str
	t = get_time(time_str)
	return datetime.timedelta(hours=t.hour, minutes=t.minute, seconds=t.second, microseconds=t.microsecond)


def add_to_date(
	date,
	years=0,
	months=0,
	weeks=0,
	days=0,
	hours=0,
	minutes=0,
	seconds=0,
	as_string=False,
	as_datetime=False,
):
	"""Move a date or a datetime; a string comes back as a string, as Frappe does it."""
	if date is None:
		date = now_datetime()
	if hours:
		as_datetime = True
	if isinstance(date, str):
		as_string, timed = True, " " in date
		as_datetime = as_datetime or timed
		date = parser.parse(date)
	date = date + relativedelta(
		years=years, months=months, weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds
	)
	if as_string:
		return date.strftime(DATETIME_FORMAT if as_datetime else DATE_FORMAT)
	return date


def add_days(date, days):
	return add_to_date(date, days=cint(days))


def add_months(date, months):
	return add_to_date(date, months=cint(months))


def add_years(date, years):
	return add_to_date(date, years=cint(years))


def date_diff(string_ed_date, string_st_date):
	return (getdate(string_ed_date) - getdate(string_st_date)).days


days_diff = date_diff


def time_diff(string_ed_date, string_st_date):
	return get_datetime(string_ed_date) - get_datetime(string_st_date)


def time_diff_in_seconds(string_ed_date, string_st_date):
	return time_diff(string_ed_date, string_st_date).total_seconds()


def time_diff_in_hours(string_ed_date, string_st_date):
	return round(time_diff_in_seconds(string_ed_date, string_st_date) / 3600, 6)


def get_first_day(dt, d_years=0, d_months=0, as_str=False):
	first = getdate(dt).replace(day=1) + relativedelta(years=d_years, months=d_months)
	return first.strftime(DATE_FORMAT) if as_str else first


def get_last_day(dt):
	dt = getdate(dt)
	return dt.replace(day=calendar.monthrange(dt.year, dt.month)[1])


def get_timestamp(date):
	return datetime.datetime.combine(getdate(date), datetime.time()).timestamp()


def format_date(string_date=None, format_string=None, parse_day_first=False):
	if not string_date:
		return ""
	pattern = format_string or frappe.get_system_settings("date_format") or "yyyy-mm-dd"
	return getdate(string_date).strftime(_strftime(pattern))


formatdate = format_date


def format_time(time_string=None, format_string=None):
	return get_time(time_string).strftime(_strftime(format_string or "HH:mm:ss")) if time_string else ""


def format_datetime(datetime_string, format_string=None):
	if not datetime_string:
		return ""
	pattern = format_string or f"{frappe.get_system_settings('date_format') or 'yyyy-mm-dd'} HH:mm:ss"
	return get_datetime(datetime_string).strftime(_strftime(pattern))


def _strftime(pattern):
	parts = {"yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "mm": "%m", "dd": "%d"}
	parts.update({"HH": "%H", "ss": "%S"})
	date, _sep, time = pattern.partition("HH")
	if _sep:
		return _strftime(date) + "%H" + time.replace("mm", "%M").replace("ss", "%S")
	return re.sub("|".join(sorted(parts, key=len, reverse=True)), lambda m: parts[m.group()], pattern)


def pretty_date(iso_datetime):
	if not iso_datetime:
		return ""
	seconds = int((now_datetime() - get_datetime(iso_datetime)).total_seconds())
	for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
		if seconds >= size:
			count = seconds // size
			return f"{count} {unit}{'s' if count > 1 else ''} ago"
	return "just now"


def format_timedelta(o):
	return str(o)


def format_duration(seconds, hide_days=False):
	seconds, parts = cint(seconds), []
	for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
		if seconds >= size and not (hide_days and unit == "d"):
			parts.append(f"{seconds // size}{unit}")
			seconds %= size
	return " ".join(parts)


# Numbers ---------------------------------------------------------------------------------------------


def cint(s, default=0):
	try:
		return int(float(s))
	except (TypeError, ValueError, OverflowError):
		return default


def flt(s, precision=None, rounding_method=None):
	"""A float from anything (thousands' commas allowed); rounded when precision is given; 0.0 on nonsense."""
	try:
		number = float(s.replace(",", "") if isinstance(s, str) else s)
	except (TypeError, ValueError):
		return 0.0
	return number if precision is None else rounded(number, precision, rounding_method)


def rounded(num, precision=0, rounding_method=None):
	"""Round by System Settings' rounding method; new sites use Banker's Rounding."""
	precision = cint(precision)
	if not rounding_method:
		rounding_method = (
			frappe.local.db and frappe.get_system_settings("rounding_method")
			if getattr(frappe.local, "initialised", False)
			else None
		)
	rounding_method = rounding_method or "Banker's Rounding"
	if rounding_method == "Banker's Rounding (legacy)":
		refuse("Banker's Rounding (legacy)")
	if rounding_method not in ("Banker's Rounding", "Commercial Rounding"):
		raise frappe.ValidationError(f"Unknown Rounding Method: {rounding_method}")
	scale = 10**precision
	scaled = round(num * scale, 12)
	if not scaled or math.isnan(scaled) or math.isinf(scaled):
		return 0.0 if not scaled else scaled
	epsilon = 2.0 ** (math.log2(abs(scaled)) - 52)
	if rounding_method == "Commercial Rounding":
		return math.copysign(math.floor(abs(scaled) + 0.5 + epsilon), scaled) / scale
	below = math.floor(scaled)
	if abs(scaled - below - 0.5) < epsilon:
		return (below if below % 2 == 0 else below + 1) / scale
	return round(scaled) / scale


def round_based_on_smallest_currency_fraction(value, currency, precision=2):
	smallest = flt(frappe.db.get_value("Currency", currency, "smallest_currency_fraction_value"))
	if not smallest:
		return rounded(value)
	scale = 10**precision
	remainder = flt((value * scale) % (smallest * scale) / scale, precision)
	if remainder > smallest / 2:
		value += smallest - remainder
	else:
		value -= remainder
	return rounded(value, precision)


def fmt_money(amount, precision=None, currency=None, format=None):
	amount = flt(amount, 2 if precision is None else precision)
	text = f"{amount:,.{2 if precision is None else precision}f}"
	return f"{currency} {text}" if currency else text


def money_in_words(*args, **kwargs):
	refuse("money_in_words")


def is_invalid_number(value):
	return False


def ceil(s):
	return math.ceil(flt(s))


def floor(s):
	return math.floor(flt(s))


# Strings and structures ------------------------------------------------------------------------------


def cstr(s, encoding="utf-8"):
	return frappe.as_unicode(s, encoding)


def sbool(x):
	return {"true": True, "1": True, "false": False, "0": False}.get(str(x).lower(), x)


def cast(fieldtype, value=None):
	"""A value as its field type holds it; empty numbers are zero, empty dates the first of all days."""
	if fieldtype in ("Currency", "Float", "Percent"):
		return flt(value)
	if fieldtype in ("Int", "Check"):
		return cint(sbool(value))
	if fieldtype in ("Date", "Datetime", "Time"):
		if not value:
			first = datetime.datetime(1, 1, 1)
			return {"Date": first.date(), "Datetime": first, "Time": datetime.timedelta()}[fieldtype]
		return {"Date": getdate, "Datetime": get_datetime, "Time": to_timedelta}[fieldtype](value)
	if fieldtype in (
		"Data",
		"Text",
		"Small Text",
		"Long Text",
		"Text Editor",
		"Select",
		"Link",
		"Dynamic Link",
	):
		return cstr(value)
	return value


def cast_fieldtype(fieldtype, value, show_warning=True):
	return cast(fieldtype, value)


def random_string(length):
	return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def escape_html(text):
	return _escape(text, quote=True).replace("&#x27;", "&apos;") if isinstance(text, str) else text


def strip_html(text):
	return re.sub(r"<[^>]*>", "", str(text))


strip_html_tags = strip_html


def is_html(text):
	return bool(isinstance(text, str) and re.search(r"<[a-zA-Z/][^>]*>", text))


def strip(val, chars=None):
	return (val or "").replace("\ufeff", "").replace("\u200b", "").strip(chars)


def unique(seq):
	return list(dict.fromkeys(seq))


def comma_sep(some_list, pattern, add_quotes=True):
	items = [str(s) for s in some_list or []]
	if add_quotes and len(items) > 1:
		items = [f"'{s}'" for s in items]
	if len(items) < 2:
		return "".join(items)
	return pattern.format(", ".join(items[:-1]), items[-1])


def comma_and(some_list, add_quotes=True):
	return comma_sep(some_list, frappe._("{0} and {1}"), add_quotes)


def comma_or(some_list, add_quotes=True):
	return comma_sep(some_list, frappe._("{0} or {1}"), add_quotes)


def encode(obj, encoding="utf-8"):
	return obj.encode(encoding) if isinstance(obj, str) else obj


def validate_email_address(email_str, throw=False):
	email = (email_str or "").strip()
	valid = bool(re.fullmatch(r"[^@\s,<>]+@[^@\s,<>]+\.[^@\s,<>.]+", email))
	if not valid and throw and email:
		frappe.throw(
			frappe._("{0} is not a valid Email Address").format(email), frappe.InvalidEmailAddressError
		)
	return email if valid else ""


def validate_url(txt, throw=False, valid_schemes=None):
	url = urllib.parse.urlparse(txt or "")
	schemes = [valid_schemes] if isinstance(valid_schemes, str) else valid_schemes
	valid = bool(url.scheme and url.netloc) and (not schemes or url.scheme in schemes)
	if not valid and throw:
		frappe.throw(frappe._("'{0}' is not a valid URL").format(frappe.bold(txt)))
	return valid


def split_emails(txt):
	return [e.strip() for e in re.split(r"[,\n]", cstr(txt)) if e.strip()]


def json_handler(obj):
	if isinstance(obj, datetime.date | datetime.timedelta | datetime.time):
		return str(obj)
	if isinstance(obj, decimal.Decimal):
		return float(obj)
	if isinstance(obj, set | frozenset):
		return list(obj)
	if hasattr(obj, "as_dict"):
		return obj.as_dict()
	if isinstance(obj, bytes):
		return obj.decode()
	if isinstance(obj, Exception | type):
		return str(obj)
	raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")


def orjson_dumps(obj, **kwargs):
	return json.dumps(obj, default=json_handler)


def parse_json(val):
	return frappe.parse_json(val)


def parse_val(v):
	return (
		cint(v) if isinstance(v, bool) else str(v) if isinstance(v, datetime.date | datetime.timedelta) else v
	)


# Addresses -------------------------------------------------------------------------------------------


def get_site_base_path():
	return frappe.local.site_path


def get_site_path(*path):
	return frappe.get_site_path(*path)


def get_files_path(*path, is_private=False):
	return frappe.get_site_path("private" if is_private else "public", "files", *path)


def get_bench_path():
	return os.path.dirname(frappe.local.sites_path)


def get_host_name():
	return get_url().split("//", 1)[-1]


def get_url(uri=None, full_address=False):
	"""The site's own address: host_name of the site config, the request's host, or the site's name."""
	base = frappe.local.conf.get("host_name") or frappe.local.conf.get("hostname")
	if not base and frappe.local.request:
		base = frappe.local.request.host_url
	if not base:
		base = f"http://{frappe.local.site}"
	if not base.startswith(("http://", "https://")):
		base = "http://" + base
	return (
		urllib.parse.urljoin(base.rstrip("/") + "/", (uri or "").lstrip("/")).rstrip("/")
		if uri
		else base.rstrip("/")
	)


def slug(name):
	return name.lower().replace(" ", "-")


def get_absolute_url(doctype, name):
	return f"/app/{slug(doctype)}/{urllib.parse.quote(cstr(name))}"


def get_url_to_form(doctype, name):
	return get_url(get_absolute_url(doctype, name))


def get_url_to_list(doctype):
	return get_url(f"/app/{slug(doctype)}")


def get_url_to_report(name, report_type=None, doctype=None):
	return get_url(f"/app/query-report/{urllib.parse.quote(name)}")


def get_link_to_form(doctype, name=None, label=None):
	name = name or doctype
	return f'<a href="{get_url_to_form(doctype, name)}">{label or name}</a>'


def get_request_session(max_retries=5):
	refuse("get_request_session")


def evaluate_filters(doc, filters):
	refuse("evaluate_filters")
