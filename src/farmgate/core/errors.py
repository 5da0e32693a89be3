"""Every way a request can fail, each with the status, type and code its caller sees.

    FarmError
    ├── BadRequest                 400  the caller can mend it
    │   ├── InvalidJson  InvalidUnicode  InvalidNumber  InvalidType  InvalidValue  DuplicateKey  JsonTooDeep
    │   ├── MissingParameter  InvalidMessages  TooManyItems  UnsupportedParameter  ContextLengthExceeded
    │   └── AmbiguousCredentials  NotSupported
    ├── InvalidApiKey              401
    ├── NotAnAdmin                 403
    ├── NotFound                   404  UnknownUrl  ModelNotFound  JobNotFound  ResponseNotFound
    │   └── PreviousResponseNotFound
    ├── MethodNotAllowed           405
    ├── RequestTimeout             408  the body did not come
    ├── IdempotencyInFlight        409  AnswerNotKept  ModelBusy
    ├── RequestTooLarge            413
    ├── UnsupportedMediaType       415  UnsupportedEncoding
    ├── ConfigInvalid              422  IdempotencyKeyReused
    ├── HeadersTooLarge            431
    ├── ClientGone                 499  nobody is listening any more
    ├── CallGivenUp                499  another call for the same request answered first
    ├── InternalError              500  our own bug
    ├── UpstreamError              502  what a provider did wrong
    │   ├── UpstreamUnreachable  UpstreamTlsError  UpstreamInvalidResponse  UpstreamStreamTruncated
    │   ├── UpstreamRefusedKey     502  our credential, not the caller's
    │   ├── UpstreamRateLimited    429  the provider's own limit
    │   ├── UpstreamRejected       4xx  the provider says the request is wrong
    │   └── UpstreamTimeout        504
    ├── Unavailable                503  Overloaded  ShuttingDown  EngineUnavailable  NoTargetLeft
    └── ModelTooLarge              507  no device here can hold it

The docstring of a class is its default message.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AmbiguousCredentials",
    "AnswerNotKept",
    "BadRequest",
    "CallGivenUp",
    "ClientGone",
    "ConfigInvalid",
    "ContextLengthExceeded",
    "DuplicateKey",
    "EngineUnavailable",
    "FarmError",
    "HeadersTooLarge",
    "IdempotencyInFlight",
    "IdempotencyKeyReused",
    "InternalError",
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
    "ModelTooLarge",
    "NoTargetLeft",
    "NotAnAdmin",
    "NotFound",
    "NotSupported",
    "Overloaded",
    "PreviousResponseNotFound",
    "RequestTimeout",
    "RequestTooLarge",
    "ResponseNotFound",
    "ShuttingDown",
    "TooManyItems",
    "Unavailable",
    "UnknownUrl",
    "UnsupportedEncoding",
    "UnsupportedMediaType",
    "UnsupportedParameter",
    "UpstreamError",
    "UpstreamInvalidResponse",
    "UpstreamRateLimited",
    "UpstreamRefusedKey",
    "UpstreamRejected",
    "UpstreamStreamTruncated",
    "UpstreamTimeout",
    "UpstreamTlsError",
    "UpstreamUnreachable",
    "let_go",
]


class FarmError(Exception):
    """Something went wrong."""

    status: int = 500
    type: str = "server_error"
    code: str = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, param: str | None = None, retry_after_s: float | None = None) -> None:
        """`message` replaces the class docstring; `param` names the offending field as the caller wrote it."""
        self.message = message or type(self).__doc__ or type(self).__name__
        self.param = param
        self.retry_after_s = retry_after_s
        self.request_id: str | None = None
        """Under which its caller and the log know it; set where it is told."""
        self.attempts = 0
        """How often a provider was asked before this was told; 0 where that is not known."""
        self.should_retry: bool | None = None
        """False: the gate has tried again itself, and a caller who does so at once would only multiply the calls."""
        super().__init__(self.message)


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


class CallGivenUp(FarmError):
    """Another target answered first."""

    status = 499
    code = "hedge_lost"


class InternalError(FarmError):
    """Farmgate made a mistake. The request id finds it in the log."""


class UpstreamError(FarmError):
    """The provider failed."""

    status = 502
    code = "upstream_error"
    retryable = True


class UpstreamUnreachable(UpstreamError):
    """The provider cannot be reached."""

    code = "upstream_unreachable"


class UpstreamTlsError(UpstreamError):
    """The provider's certificate was not accepted."""

    code = "upstream_tls_error"


class UpstreamInvalidResponse(UpstreamError):
    """The provider's answer makes no sense."""

    code = "upstream_invalid_response"


class UpstreamStreamTruncated(UpstreamError):
    """The provider's stream ended before the answer did: what came is not the whole answer."""

    code = "upstream_stream_truncated"


class UpstreamRefusedKey(UpstreamError):
    """The provider refused the credential Farmgate is configured with."""

    code = "upstream_auth_failed"
    retryable = False


class UpstreamTimeout(UpstreamError):
    """The provider did not answer in time."""

    status = 504
    code = "upstream_timeout"


class UpstreamRateLimited(UpstreamError):
    """The provider's rate limit is used up."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class UpstreamRejected(UpstreamError):
    """The provider says the request is wrong."""

    retryable = False

    def __init__(self, message: str, *, status: int, type_: str, code: str | None, param: str | None = None) -> None:
        """`status` is the provider's own 4xx; `type_`, `code` and `param` are relayed from its error object."""
        super().__init__(message, param=param)
        self.status = status
        self.type = type_
        self.code = code or "upstream_rejected"


class Unavailable(FarmError):
    """Farmgate cannot answer right now."""

    status = 503
    code = "unavailable"
    retryable = True


class Overloaded(Unavailable):
    """Farmgate is at its limit of requests in flight."""

    code = "overloaded"


class ShuttingDown(Unavailable):
    """Farmgate is shutting down."""

    code = "server_shutting_down"


class EngineUnavailable(Unavailable):
    """The local engine is not running."""

    code = "engine_unavailable"


class NoTargetLeft(Unavailable):
    """No target that could answer is well."""

    code = "no_target_left"


class ModelTooLarge(FarmError):
    """The model does not fit this machine, even with nothing else loaded."""

    status = 507
    code = "model_too_large"

    def __init__(self, message: str = "", *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.should_retry = False


def let_go(error: BaseException | None) -> None:
    """Forget where an error, and what led to it, was raised.

    Its frames keep alive what they were working for, which keeps the error: a circle that waits for the collector, with
    all of a request in it.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
