"""What cannot be done here, or not now."""

from __future__ import annotations

from farmgate.core.errors.error import FarmError

__all__ = [
    "CallGivenUp",
    "EngineLost",
    "EngineUnavailable",
    "InternalError",
    "ModelTooLarge",
    "NoTargetLeft",
    "Overloaded",
    "ShuttingDown",
    "Unavailable",
]


class CallGivenUp(FarmError):
    """Another target answered first."""

    status = 499
    code = "hedge_lost"


class InternalError(FarmError):
    """Farmgate made a mistake. The request id finds it in the log."""


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


class EngineLost(EngineUnavailable):
    """The local engine ended while it was at this request, which may be what ended it: one more is asked, no third."""


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
