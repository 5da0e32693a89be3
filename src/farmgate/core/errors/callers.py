"""What whoever asked can mend, or has done."""

from __future__ import annotations

from farmgate.core.errors.error import FarmError

__all__ = [
    "AmbiguousCredentials",
    "AnswerNotKept",
    "BadRequest",
    "ClientGone",
    "ConfigInvalid",
    "ContextLengthExceeded",
    "DuplicateKey",
    "HeadersTooLarge",
    "IdempotencyInFlight",
    "IdempotencyKeyReused",
    "InvalidApiKey",
    "InvalidJson",
    "InvalidMessages",
    "InvalidNumber",
    "InvalidType",
    "InvalidUnicode",
    "InvalidValue",
    "JobNotFound",
    "JsonTooDeep",
    "MethodNotAllowed",
    "MissingParameter",
    "ModelBusy",
    "ModelNotCapable",
    "ModelNotFound",
    "NotAnAdmin",
    "NotFound",
    "NotSupported",
    "PreviousResponseNotFound",
    "RequestTimeout",
    "RequestTooLarge",
    "ResponseNotFound",
    "TooManyItems",
    "UnknownUrl",
    "UnsupportedEncoding",
    "UnsupportedMediaType",
    "UnsupportedParameter",
]


class BadRequest(FarmError):
    """The request is not valid."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class InvalidJson(BadRequest):
    """The body is not valid JSON."""

    code = "invalid_json"


class InvalidUnicode(BadRequest):
    """The body holds text that is not valid Unicode: use UTF-8 without lone surrogates or NUL characters."""

    code = "invalid_unicode"


class InvalidNumber(BadRequest):
    """The body holds a number that is not finite or has too many digits."""

    code = "invalid_number"


class InvalidType(BadRequest):
    """A field has the wrong type."""

    code = "invalid_type"


class InvalidValue(BadRequest):
    """A field has a value out of range."""

    code = "invalid_value"


class DuplicateKey(BadRequest):
    """An object in the body names the same key twice."""

    code = "duplicate_key"


class JsonTooDeep(BadRequest):
    """The body is nested too deeply or holds too many values."""

    code = "json_too_deep"


class MissingParameter(BadRequest):
    """A required field is missing."""

    code = "missing_required_parameter"


class InvalidMessages(BadRequest):
    """The messages are not a valid conversation."""

    code = "invalid_messages"


class TooManyItems(BadRequest):
    """A list in the body holds too many items."""

    code = "too_many_items"


class UnsupportedParameter(BadRequest):
    """This model or provider cannot do what a field asks for."""

    code = "unsupported_parameter"


class ContextLengthExceeded(BadRequest):
    """The prompt is longer than the model's context."""

    code = "context_length_exceeded"


class AmbiguousCredentials(BadRequest):
    """Two credentials were sent: send one key, in one header."""

    code = "ambiguous_credentials"


class NotSupported(BadRequest):
    """This provider cannot do that."""

    code = "not_supported"


class InvalidApiKey(FarmError):
    """No valid API key: send `Authorization: Bearer KEY` or `x-api-key: KEY`."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class NotAnAdmin(FarmError):
    """This API key is not an admin's: use one that has `admin: true` under `keys` in the configuration."""

    status = 403
    type = "permission_error"
    code = "not_an_admin"


class NotFound(FarmError):
    """There is nothing by that name."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class UnknownUrl(NotFound):
    """There is nothing at this address."""

    code = "unknown_url"


class ModelNotFound(NotFound):
    """There is no model by that name."""

    code = "model_not_found"


class ModelNotCapable(NotFound):
    """That model cannot give this kind of answer."""

    code = "model_not_capable"


class JobNotFound(NotFound):
    """There is no job by that id."""


class ResponseNotFound(NotFound):
    """There is no response by that id, or it is kept no longer."""


class PreviousResponseNotFound(NotFound):
    """The response to go on from is not kept here: send the whole conversation as `input`."""

    code = "previous_response_not_found"


class MethodNotAllowed(FarmError):
    """This address does not answer that method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, message: str = "", *, allow: str = "") -> None:
        """`allow`: the methods it does answer, for the header of that name."""
        super().__init__(message)
        self.allow = allow


class RequestTimeout(FarmError):
    """The rest of the request did not arrive in time."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class IdempotencyInFlight(FarmError):
    """A request with this Idempotency-Key is being answered: ask again in a moment for its answer."""

    status = 409
    type = "invalid_request_error"
    code = "idempotency_in_flight"


class AnswerNotKept(FarmError):
    """A request with this Idempotency-Key was answered, by a stream or something large that is not kept: use a new key
    to ask again."""

    status = 409
    type = "invalid_request_error"
    code = "idempotent_answer_not_kept"

    def __init__(self) -> None:
        super().__init__(" ".join((type(self).__doc__ or "").split()))
        self.should_retry = False


class ModelBusy(FarmError):
    """The model is being changed already: wait until that is over."""

    status = 409
    type = "invalid_request_error"
    code = "model_busy"


class IdempotencyKeyReused(FarmError):
    """This Idempotency-Key was used for a request that is not the same: use a new key for each request."""

    status = 422
    type = "invalid_request_error"
    code = "idempotency_key_reused"


class RequestTooLarge(FarmError):
    """The request body is too large."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class UnsupportedMediaType(FarmError):
    """Send the body as `Content-Type: application/json`."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class UnsupportedEncoding(FarmError):
    """Send the body without Content-Encoding."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_encoding"


class ConfigInvalid(FarmError):
    """The configuration cannot be used; the one from before stays in use."""

    status = 422
    type = "invalid_request_error"
    code = "config_invalid"


class HeadersTooLarge(FarmError):
    """The request headers are too large or too many."""

    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"


class ClientGone(FarmError):
    """The client closed the connection."""

    status = 499
    code = "client_gone"
