"""Secrets: Fernet with the site's encryption_key in __Auth; login passwords as salted hashes beside them."""

import hashlib
import hmac
import secrets

import frappe
from cryptography.fernet import Fernet, InvalidToken
from frappe import _
from frappe.utils import cstr, encode

WHERE = "where doctype=%s and name=%s and fieldname=%s"


def get_decrypted_password(doctype, name, fieldname="password", raise_exception=True):
	rows = frappe.db.sql(
		f"select password from `__Auth` {WHERE} and encrypted=1", (doctype, name, fieldname), pluck=True
	)
	if rows and rows[0]:
		try:
			return decrypt(rows[0], key=f"{doctype}.{name}.{fieldname}")
		except frappe.ValidationError:
			# From 16 on a key that does not fit is no error to whoever wants none.
			if raise_exception:
				raise
			return None
	if raise_exception:
		frappe.throw(
			_("Password not found for {0} {1} {2}").format(doctype, name, fieldname),
			frappe.AuthenticationError,
		)


def set_encrypted_password(doctype, name, pwd, fieldname="password"):
	_store(doctype, name, fieldname, encrypt(pwd), 1)


def remove_encrypted_password(doctype, name, fieldname="password"):
	frappe.db.sql(f"delete from `__Auth` {WHERE}", (doctype, name, fieldname))


def delete_all_passwords_for(doctype, name):
	frappe.db.sql("delete from `__Auth` where doctype=%s and name=%s", (doctype, name))


def rename_password(doctype, old_name, new_name):
	frappe.db.sql("update `__Auth` set name=%s where doctype=%s and name=%s", (new_name, doctype, old_name))


def _store(doctype, name, fieldname, value, encrypted):
	frappe.db.sql(
		"insert or replace into `__Auth` (doctype, name, fieldname, password, encrypted) values (%s,%s,%s,%s,%s)",
		(doctype, name, fieldname, value, encrypted),
	)


def encrypt(txt, encryption_key=None):
	try:
		cipher = Fernet(encode(encryption_key or get_encryption_key()))
	except Exception:
		frappe.throw(_("Encryption key is in invalid format!"))
	return cstr(cipher.encrypt(encode(txt)))


def decrypt(txt, encryption_key=None, key=None):
	try:
		return cstr(Fernet(encode(encryption_key or get_encryption_key())).decrypt(encode(txt)))
	except InvalidToken:
		frappe.throw(
			(_("Failed to decrypt key {0}").format(key) + "<br><br>" if key else "")
			+ _("Encryption key is invalid! Please check site_config.json")
		)


def get_encryption_key():
	if "encryption_key" not in frappe.local.conf:
		from frappe.installer import update_site_config

		update_site_config("encryption_key", Fernet.generate_key().decode())
	return frappe.local.conf.encryption_key


def update_password(user, pwd, doctype="User", fieldname="password", logout_all_sessions=False):
	salt = secrets.token_hex(8)
	_store(doctype, user, fieldname, f"{salt}${_hash(salt, pwd)}", 0)


def check_password(user, pwd, doctype="User", fieldname="password", delete_tracker_cache=True):
	rows = frappe.db.sql(
		f"select name, password from `__Auth` {WHERE} and encrypted=0", (doctype, user, fieldname)
	)
	salt, _sep, digest = rows[0][1].partition("$") if rows else ("", "", "")
	if not rows or not hmac.compare_digest(digest, _hash(salt, pwd)):
		raise frappe.AuthenticationError(_("Incorrect User or Password"))
	return rows[0][0]


def _hash(salt, pwd):
	return hashlib.pbkdf2_hmac("sha256", encode(pwd), encode(salt), 20_000).hex()
