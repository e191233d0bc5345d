import base64
import re
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from playwright.sync_api import expect

from fiscal_integration.browser.browser_panama import COMPANY, TILL, PanamaCase
from fiscal_integration.browser.desk import URL, address, bench
from fiscal_integration.sandbox import p12


class TestAludra(PanamaCase):
	"""From the P12 file to sales without a connection that are submitted later."""

	provider = "aludra"
	secrets = (p12.PASSWORD,)

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		bench("frappe.db.delete", "Fiscal Certificate")
		# Here all that wait are sent, which what other tests left behind is not to be.
		waiting = {"status": "Queued"}
		bench("frappe.db.set_value", "Fiscal Document", waiting, "status", "Withdrawn", update_modified=False)
		cls.folder = tempfile.TemporaryDirectory()
		cls.addClassCleanup(cls.folder.cleanup)
		cls.file = Path(cls.folder.name, "certificate.p12")
		cls.file.write_bytes(p12.make())

	def initialize(self, path, password):
		self.page.locator(".fiscal-p12").set_input_files(path)
		self.page.locator('.modal.show [data-fieldname="password"] input').fill(password)
		with self.page.expect_response(re.compile("initialize_certificate")):
			self.page.locator(".modal.show .btn-primary:visible", has_text="Initialize").click()

	def test_1_a_certificate_is_initialized(self):
		self.open_form("Fiscal Certificate")
		self.set(company=COMPANY)
		self.save()
		self.page.wait_for_url(re.compile("fiscal-certificate/CERT"))
		self.page.get_by_role("button", name="Initialize").first.click()
		self.modal()
		self.initialize(self.file, "wrong")
		expect(self.page.locator(".fiscal-certificate-error")).to_contain_text("password does not match")
		self.shot("certificate-wrong-password")
		other = Path(self.folder.name, "x.p12")
		other.write_bytes(b"no P12")
		self.initialize(other, p12.PASSWORD)
		expect(self.page.locator(".fiscal-certificate-error")).to_contain_text("damaged or no P12")
		self.initialize(self.file, p12.PASSWORD)
		expect(self.page.locator(".fiscal-certificate .indicator-pill.green")).to_contain_text("days left")
		expect(self.page.locator('[data-fieldname="ruc"]').first).to_contain_text(p12.RUC)
		self.shot("certificate")

	def test_2_the_settings(self):
		self.enter_connection()
		self.assertIn("✓ Connection successful", self.ping())

	def test_3_a_sale_goes_at_once(self):
		name = self.issue()
		type(self).invoice = name
		code = self.value(self.sale_doctype, name, "fiscal_id")
		self.open_tab(self.sale_doctype, name)
		self.check_qr(code)
		self.check_pdf(code)

	def test_4_sales_without_a_connection(self):
		self.sandbox.refuse()
		names = []
		for _sale in range(2):
			name = self.draft()
			self.submit(self.sale_doctype, name)
			self.until(lambda name=name: bool(self.value(self.sale_doctype, name, "fiscal_id")), True)
			names.append(name)
		type(self).offline = names
		self.open_tab(self.sale_doctype, names[0])
		expect(self.page.locator(".fiscal-view")).to_contain_text("not yet submitted")
		self.check_qr(self.value(self.sale_doctype, names[0], "fiscal_id"))
		self.shot("aludra-offline")

	def test_5_and_later_they_are_submitted_as_they_were_signed(self):
		codes = [self.value(self.sale_doctype, name, "fiscal_id") for name in self.offline]
		self.sandbox.resume()
		self.open_settings()
		self.assertIn("✓ Connection successful", self.ping())
		self.page.goto(address("Fiscal Document"))
		self.settle()
		self.page.get_by_role("button", name="Pending", exact=True).click()
		for name in self.offline:
			expect(self.page.locator(".list-row-container", has_text=name).first).to_be_visible()
		self.shot("aludra-pending")
		self.menu("Send All Pending")
		expect(self.modal()).to_contain_text("2 will be sent")
		self.confirm()
		for name in self.offline:
			self.becomes("Issued", name)
		self.assertEqual([self.value(self.sale_doctype, name, "fiscal_id") for name in self.offline], codes)
		ledger = [entry["uuid"] for entry in self.sandbox.ledger("aludra")]
		self.assertEqual([code for code in ledger if code in codes], codes, "in the order of the sales")

	def test_5_till_with_a_certificate_of_its_own(self):
		own = Path(self.folder.name, "till.p12")
		own.write_bytes(p12.make(name="CAJA DE PRUEBA"))
		self.open_form("Fiscal Point of Sale")
		self.set(company=COMPANY)
		self.set(pos_profile=TILL, point_code="002")
		self.save()
		till = self.page.evaluate("() => cur_frm.doc.name")
		self.addCleanup(bench, "frappe.db.delete", "Fiscal Certificate", {"point_of_sale": till})
		self.addCleanup(bench, "frappe.db.delete", "Fiscal Point of Sale", {"name": till})
		self.open_form("Fiscal Certificate")
		self.set(company=COMPANY)
		self.set(point_of_sale=till)
		self.save()
		self.page.wait_for_url(re.compile("fiscal-certificate/CERT"))
		self.page.get_by_role("button", name="Initialize").first.click()
		self.modal()
		self.initialize(own, p12.PASSWORD)
		expect(self.page.locator('[data-fieldname="common_name"]').first).to_contain_text("CAJA DE PRUEBA")
		self.shot("certificate-of-a-till")
		signed = pkcs12.load_key_and_certificates(own.read_bytes(), p12.PASSWORD.encode())[1]
		name = self.issue()
		self.open_tab(self.sale_doctype, name)
		xml = self.context.request.get(URL + self.fetch("Download Fiscal XML")).text()
		der = base64.b64encode(signed.public_bytes(Encoding.DER)).decode()
		self.assertIn(der, "".join(xml.split()))

	def test_6_automatic_submission_off(self):
		self.open_settings()
		self.page.locator(
			'[data-fieldname="parameters_html"] [data-fieldname="automatic_submission"] select'
		).select_option("No")
		self.save()
		name = self.draft()
		self.submit(self.sale_doctype, name)
		self.until(lambda: bool(self.value(self.sale_doctype, name, "fiscal_id")), True)
		self.assertEqual(self.value(self.sale_doctype, name, "fiscal_status"), "Queued")
		self.open_tab(self.sale_doctype, name)
		self.press("Ask the Provider")
		self.becomes("Issued", name)

	def test_9_no_answer_ever_held_the_secret_and_no_script_failed(self):
		self.no_secret_and_no_script_error()
