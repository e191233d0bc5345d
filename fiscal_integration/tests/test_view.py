"""What the Fiscal tab tells whom, the e-mail to the customer, and Send to Review."""

from unittest.mock import patch

import frappe

from fiscal_integration import api, audit, by_hand, dispatch, drain, files
from fiscal_integration.fiscal import lifecycle
from fiscal_integration.fiscal.errors import ErrorClass
from fiscal_integration.testing import FiscalTestCase

CASHIER, OPERATOR, MANAGER = "Accounts User", "Fiscal User", "Fiscal Manager"
ADDRESS = "compras@example.com"


class ViewCase(FiscalTestCase):
	def as_user(self, *roles):
		email = f"view-{frappe.scrub('-'.join(roles) or 'nobody')}@example.com"
		if not frappe.db.exists("User", email):
			frappe.get_doc(
				{
					"doctype": "User",
					"email": email,
					"first_name": "View",
					"send_welcome_email": 0,
					"roles": [{"role": role} for role in roles],
				}
			).insert(ignore_permissions=True)
			frappe.db.commit()
		frappe.set_user(email)
		return email

	def view(self, row):
		return api.fiscal_view(row.reference_doctype, row.reference_name)

	def issued(self, **values):
		_, row = self.sell(**values)
		return self.run_job(row)

	def faulty(self, kind, **options):
		_, row = self.sell()
		self.sandbox.fault("facturapi", kind, **options)
		return self.run_job(row)


class TestTimeline(ViewCase):
	def test_a_cashier_sees_status_qr_and_what_happened_but_no_links(self):
		row = self.issued()
		self.as_user(CASHIER)
		view = self.view(row)
		self.assertEqual((view["status"], view["colour"]), (lifecycle.ISSUED, "green"))
		self.assertTrue(view["qr_image"].startswith("data:image/png;base64,"))
		self.assertEqual(view["fiscal_id"], row.fiscal_id)
		self.assertEqual([entry["operation"] for entry in view["timeline"]], ["issue"])
		self.assertEqual([entry["name"] for entry in view["timeline"]], [None])
		offered = [key for key in view if key.startswith("can_") and view[key]]
		self.assertEqual(offered, ["can_mail"])

	def test_operators_get_links_to_what_they_may_read(self):
		row = self.faulty("lost_after_commit")
		self.turn_time(row)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.ISSUED)
		self.as_user(CASHIER, OPERATOR)
		asked, lost = self.view(row)["timeline"]
		self.assertEqual((asked["operation"], asked["ok"], asked["http_status"]), ("reconcile", True, 200))
		self.assertEqual((lost["operation"], lost["ok"], lost["http_status"]), ("issue", False, 0))
		for entry in (asked, lost):
			self.assertRegex(entry["at"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
			self.assertTrue(entry["exchange"] and entry["who"])
			self.assertEqual(
				frappe.db.get_value(audit.REQUEST, entry["name"], "fiscal_operation"), entry["operation"]
			)

	def test_a_long_history_is_cut_and_counted(self):
		row = self.faulty("pending", after=10_000)
		for _again in range(3):
			self.turn_time(row)
			row = self.run_job(row)
		with patch.object(api, "TIMELINE_LENGTH", 2):
			view = self.view(row)
		self.assertEqual((len(view["timeline"]), view["timeline_total"]), (2, 4))

	def test_it_says_whether_it_goes_on_by_itself_and_what_the_form_shows(self):
		_, row = self.sell()
		self.assertTrue(self.view(row)["goes_on"])
		row = self.run_job(row)
		view = self.view(row)
		self.assertFalse(view["goes_on"])
		self.assertEqual(view["fields"]["fiscal_id"], row.fiscal_id)
		shown = frappe.db.get_value(
			row.reference_doctype, row.reference_name, list(view["fields"]), as_dict=True
		)
		self.assertEqual(dict(shown), view["fields"])

	def test_each_document_shows_its_own_exchanges_only(self):
		row = self.issued()
		other = self.issued()
		names = {entry["name"] for entry in self.view(row)["timeline"]}
		self.assertFalse(names & {entry["name"] for entry in self.view(other)["timeline"]})


class TestMail(ViewCase):
	def setUp(self):
		super().setUp()
		mail = patch("frappe.sendmail")
		self.mail = mail.start()
		self.addCleanup(mail.stop)

	def send(self, row, recipients=ADDRESS):
		return api.send_mail(row.reference_doctype, row.reference_name, recipients)

	def communications(self, row):
		return frappe.get_all(
			"Communication",
			{"reference_doctype": row.reference_doctype, "reference_name": row.reference_name},
			["recipients", "subject", "content"],
		)

	def test_both_files_go_to_the_customer_and_it_is_on_record(self):
		row = self.issued()
		self.as_user(CASHIER)
		self.assertTrue(self.view(row)["can_mail"])
		self.assertEqual(self.send(row, f"{ADDRESS}; archivo@example.com"), [ADDRESS, "archivo@example.com"])
		(call,) = self.mail.call_args_list
		self.assertEqual(call.kwargs["recipients"], [ADDRESS, "archivo@example.com"])
		self.assertIn(row.fiscal_id, call.kwargs["message"])
		contents = [
			frappe.get_doc("File", entry["fid"]).get_content() for entry in call.kwargs["attachments"]
		]
		pdf, xml = (content if isinstance(content, bytes) else content.encode() for content in contents)
		self.assertTrue(pdf.startswith(b"%PDF"))
		self.assertIn(row.fiscal_id.encode(), xml)
		(kept,) = self.communications(row)
		self.assertEqual(kept.recipients, f"{ADDRESS}, archivo@example.com")
		self.assertIn(f"{row.reference_name}-fiscal.pdf", kept.content)

	def test_the_address_proposed_is_the_invoices(self):
		doc, _ = self.sell(fiscal_customer_email=ADDRESS)
		self.assertEqual(api.mail_address(doc.doctype, doc.name), ADDRESS)
		doc, _ = self.sell()
		self.assertEqual(api.mail_address(doc.doctype, doc.name), "")

	def test_nothing_that_is_not_issued_is_ever_sent(self):
		_, queued = self.sell()
		rejected = self.faulty("status", status=400, code="invalid_request")
		self.assertEqual(rejected.status, lifecycle.REJECTED)
		for row in (queued, rejected):
			self.assertFalse(self.view(row)["can_mail"])
			with self.assertRaises(files.NotIssued):
				self.send(row)
		cancelled = self.issued()
		frappe.db.set_value(
			dispatch.DOCTYPE,
			cancelled.name,
			"cancellation_status",
			lifecycle.CANCELLED,
			update_modified=False,
		)
		self.assertFalse(self.view(cancelled)["can_mail"])
		with self.assertRaises(frappe.ValidationError):
			self.send(cancelled)
		self.mail.assert_not_called()
		self.assertEqual([self.communications(row) for row in (queued, rejected, cancelled)], [[], [], []])

	def test_addresses_are_looked_at_first(self):
		row = self.issued()
		for wrong in ("", " ; ", "nobody", f"{ADDRESS}, @example.com"):
			with self.assertRaises(frappe.ValidationError):
				self.send(row, wrong)
		self.mail.assert_not_called()
		pdf = f"/v2/invoices/{row.provider_id}/pdf"
		self.assertEqual(self.requests_to(pdf, "GET"), [])
		self.send(row)
		self.assertEqual(len(self.requests_to(pdf, "GET")), 1)

	def test_who_may_not_read_or_mail_the_invoice_may_not(self):
		row = self.issued()
		for roles in ((), (OPERATOR,)):
			self.as_user(*roles)
			for call in (
				lambda: self.send(row),
				lambda: api.mail_address(row.reference_doctype, row.reference_name),
			):
				with self.assertRaises(frappe.PermissionError):
					call()
		self.as_user(CASHIER)
		allowed = frappe.has_permission

		def has_permission(doctype, ptype="read", *args, **kwargs):
			if ptype == "email":
				if kwargs.get("throw"):
					raise frappe.PermissionError
				return False
			return allowed(doctype, ptype, *args, **kwargs)

		with patch.object(frappe, "has_permission", has_permission):
			self.assertFalse(self.view(row)["can_mail"])
			with self.assertRaises(frappe.PermissionError):
				self.send(row)
		self.mail.assert_not_called()


class TestReview(ViewCase):
	def review(self, row, reason="El cliente dice que ya la tiene"):
		api.send_to_review(row.name, reason)
		frappe.db.commit()
		return self.fresh(row)

	def comments(self, row):
		return frappe.get_all(
			"Comment",
			{
				"reference_doctype": row.reference_doctype,
				"reference_name": row.reference_name,
				"comment_type": "Comment",
			},
			pluck="content",
		)

	def in_state(self, state):
		faults = {
			lifecycle.UNKNOWN: ("lost_before_commit", {}),
			lifecycle.PENDING: ("pending", {"after": 10_000}),
			lifecycle.REJECTED: ("status", {"status": 400, "code": "invalid_request"}),
			lifecycle.FAILED: ("status", {"status": 401}),
		}
		kind, options = faults[state]
		row = self.faulty(kind, **options)
		self.assertEqual(row.status, state)
		return row

	def test_each_state_that_may_is_put_before_a_manager_with_the_reason(self):
		self.assertEqual(
			set(lifecycle.REVIEWABLE_BY_PERSON),
			{
				name
				for name, state in lifecycle.STATES.items()
				if lifecycle.NEEDS_REVIEW in state.followers and name != lifecycle.SENDING
			},
		)
		for state in lifecycle.REVIEWABLE_BY_PERSON:
			with self.subTest(state=state):
				frappe.set_user("Administrator")
				row = self.in_state(state)
				error, error_class = row.error_message, row.error_class
				user = self.as_user(CASHIER, OPERATOR)
				self.assertTrue(self.view(row)["can_review"])
				row = self.review(row, "Ver <b>esto</b>")
				self.assertEqual((row.status, row.next_attempt), (lifecycle.NEEDS_REVIEW, None))
				self.assertEqual(row.error_class, error_class)
				self.assertIn(user, row.error_message)
				self.assertIn(error, row.error_message, "what went wrong stays to be read")
				(comment,) = self.comments(row)
				self.assertIn("Ver &lt;b&gt;esto", comment)
				view = self.view(row)
				self.assertEqual(view["timeline"][0]["operation"], by_hand.REVIEW)
				self.assertFalse(view["timeline"][0]["exchange"])
				self.assertFalse(view["can_review"] or view["can_retry"] or view["can_take_over"])
				self.assertEqual(view["can_ask"], state in lifecycle.OPEN)
				shown = frappe.db.get_value(row.reference_doctype, row.reference_name, "fiscal_error")
				self.assertIn("Ver ‹b›esto‹/b›", shown)

	def test_what_may_be_issued_is_only_asked_about_never_sent_or_taken_over(self):
		for state in (lifecycle.UNKNOWN, lifecycle.PENDING):
			with self.subTest(state=state):
				row = self.review(self.in_state(state))
				posts = len(self.requests_to("/v2/invoices"))
				self.assertGreater(posts, 0)
				# As if it had been signed here, so that it has an id that nobody confirmed.
				frappe.db.set_value(dispatch.DOCTYPE, row.name, "fiscal_id", row.name, update_modified=False)
				frappe.db.commit()
				for act in (api.retry, api.take_over):
					with self.assertRaises(frappe.ValidationError):
						act(row.name)
					frappe.db.rollback()
				drain.queue_bulk({"name": row.name})
				self.turn_time(row)
				row = self.run_job(row)
				self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)
				self.assertEqual(len(self.requests_to("/v2/invoices")), posts)
				api.ask_provider(row.name)
				frappe.db.commit()
				self.assertEqual(self.fresh(row).status, state)

	def test_asked_again_it_is_found_and_issued(self):
		row = self.review(self.faulty("lost_after_commit"))
		api.ask_provider(row.name)
		frappe.db.commit()
		row = self.run_job(row)
		self.assertEqual((row.status, row.error_message), (lifecycle.ISSUED, None))
		self.assertEqual(len(self.issued_for(row)), 1)

	def test_a_duplicate_that_is_not_shown_is_not_sent_after_a_review(self):
		row = self.in_state(lifecycle.UNKNOWN)
		frappe.db.set_value(
			dispatch.DOCTYPE, row.name, "error_class", ErrorClass.DUPLICATE.value, update_modified=False
		)
		frappe.db.commit()
		row = self.review(self.fresh(row))
		api.ask_provider(row.name)
		frappe.db.commit()
		self.turn_time(row, seconds=100_000)
		row = self.run_job(row)
		self.assertEqual(row.status, lifecycle.NEEDS_REVIEW)
		self.assertEqual(self.issued_for(row), [])

	def test_what_was_refused_is_sent_again_by_a_manager_only(self):
		row = self.review(self.in_state(lifecycle.REJECTED))
		self.as_user(CASHIER, OPERATOR)
		with self.assertRaises(frappe.PermissionError):
			api.retry(row.name)
		self.as_user(CASHIER, MANAGER)
		self.assertTrue(self.view(row)["can_retry"])
		api.retry(row.name)
		frappe.db.commit()
		frappe.set_user("Administrator")
		self.assertEqual(self.run_job(row).status, lifecycle.ISSUED)

	def test_what_it_is_not_for(self):
		_, queued = self.sell()
		for row in (queued, self.issued(), self.review(self.in_state(lifecycle.FAILED))):
			with self.assertRaises(frappe.ValidationError):
				api.send_to_review(row.name, "Por si acaso")
			frappe.db.rollback()
		row = self.in_state(lifecycle.UNKNOWN)
		for reason in ("", "  "):
			with self.assertRaises(frappe.ValidationError):
				api.send_to_review(row.name, reason)
			frappe.db.rollback()
		self.turn_time(row)
		work = dispatch.begin(row.name)
		self.assertTrue(work)
		with self.assertRaises(frappe.ValidationError):
			api.send_to_review(row.name, "Mientras se pregunta")
		frappe.db.rollback()
		self.as_user(CASHIER)
		with self.assertRaises(frappe.PermissionError):
			api.send_to_review(row.name, "No soy operador")
		self.assertEqual(self.comments(row), [])
