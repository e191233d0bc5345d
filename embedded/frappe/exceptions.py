"""Exception classes with the HTTP status Frappe answers them with."""


class NotInEmbedded(NotImplementedError, AttributeError):
	"""Something of Frappe that the embedded site does not have. Says so instead of guessing."""


def refuse(what: str):
	raise NotInEmbedded(f"the embedded site does not implement {what}; run this on a bench")


def _make(parent: type, names: str, code: int | None = None):
	for name in names.split():
		body = {"__module__": __name__}
		if code:
			body["http_status_code"] = code
		globals()[name] = type(name, (parent,), body)


class ValidationError(Exception):
	http_status_code = 417


_make(Exception, "AuthenticationError SessionExpired", 401)
_make(Exception, "PermissionError", 403)
_make(Exception, "NameError", 409)
_make(Exception, "SessionStopped", 503)
_make(Exception, "UnsupportedMediaType", 415)
_make(Exception, "CSRFTokenError", 400)
_make(Exception, "TooManyRequestsError", 429)
_make(Exception, "OutgoingEmailError", 501)
_make(Exception, "RetryBackgroundJobError SecurityException QueryTimeoutError QueryDeadlockError")
_make(ValidationError, "DoesNotExistError PageDoesNotExistError", 404)
_make(ValidationError, "InReadOnlyMode", 503)
_make(ValidationError, "RateLimitExceededError", 429)
_make(
	ValidationError,
	"DataError InvalidStatusError MandatoryError NonNegativeError InvalidSignatureError "
	"CannotChangeConstantError CharacterLengthExceededError UpdateAfterSubmitError LinkValidationError "
	"DocstatusTransitionError TimestampMismatchError EmptyTableError LinkExistsError "
	"InvalidEmailAddressError InvalidNameError InvalidPhoneNumberError TemplateNotFoundError "
	"UniqueValidationError AppNotInstalledError ImplicitCommitError DocumentLockedError InvalidColumnName "
	"IncompatibleApp InvalidDates DataTooLongException MappingMismatchError QueueOverloaded",
)
_make(globals()["NameError"], "DuplicateEntryError")
_make(globals()["LinkValidationError"], "CancelledLinkError")
_make(globals()["CSRFTokenError"], "InvalidAuthorizationToken InvalidAuthorizationHeader")


class Redirect(Exception):
	def __init__(self, http_status_code: int = 301):
		super().__init__(http_status_code)
		self.http_status_code = http_status_code
