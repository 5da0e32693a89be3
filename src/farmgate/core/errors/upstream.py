"""What whoever was to answer did wrong."""

from __future__ import annotations

from farmgate.core.errors.error import FarmError

__all__ = [
    "ModelFailed",
    "UpstreamError",
    "UpstreamInvalidResponse",
    "UpstreamRateLimited",
    "UpstreamRefusedKey",
    "UpstreamRejected",
    "UpstreamStreamTruncated",
    "UpstreamTimeout",
    "UpstreamTlsError",
    "UpstreamUnreachable",
]


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


class ModelFailed(UpstreamError):
    """The model's own code failed. What it raised, and where, is in its engine's log."""

    # What raised for this input raises again: another model may do better, the same one will not.
    code = "model_failed"
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
