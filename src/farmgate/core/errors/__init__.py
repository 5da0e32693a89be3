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
    │   ├── ModelFailed            502  a model's own code raised
    │   ├── UpstreamRateLimited    429  the provider's own limit
    │   ├── UpstreamRejected       4xx  the provider says the request is wrong
    │   └── UpstreamTimeout        504
    ├── Unavailable                503  Overloaded  ShuttingDown  EngineUnavailable (EngineLost)  NoTargetLeft
    └── ModelTooLarge              507  no device here can hold it

The docstring of a class is its default message. `callers`, `upstream` and `gate` are whose doing it is.
"""

from __future__ import annotations

from farmgate.core.errors.callers import (
    AmbiguousCredentials,
    AnswerNotKept,
    BadRequest,
    ClientGone,
    ConfigInvalid,
    ContextLengthExceeded,
    DuplicateKey,
    HeadersTooLarge,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidApiKey,
    InvalidJson,
    InvalidMessages,
    InvalidNumber,
    InvalidType,
    InvalidUnicode,
    InvalidValue,
    JobNotFound,
    JsonTooDeep,
    MethodNotAllowed,
    MissingParameter,
    ModelBusy,
    ModelNotCapable,
    ModelNotFound,
    NotAnAdmin,
    NotFound,
    NotSupported,
    PreviousResponseNotFound,
    RequestTimeout,
    RequestTooLarge,
    ResponseNotFound,
    TooManyItems,
    UnknownUrl,
    UnsupportedEncoding,
    UnsupportedMediaType,
    UnsupportedParameter,
)
from farmgate.core.errors.error import FarmError, let_go
from farmgate.core.errors.gate import (
    CallGivenUp,
    EngineLost,
    EngineUnavailable,
    InternalError,
    ModelTooLarge,
    NoTargetLeft,
    Overloaded,
    ShuttingDown,
    Unavailable,
)
from farmgate.core.errors.upstream import (
    ModelFailed,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)

__all__ = [
    "AmbiguousCredentials",
    "AnswerNotKept",
    "BadRequest",
    "CallGivenUp",
    "ClientGone",
    "ConfigInvalid",
    "ContextLengthExceeded",
    "DuplicateKey",
    "EngineLost",
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
    "ModelFailed",
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
