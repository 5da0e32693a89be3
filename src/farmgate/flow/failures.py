"""What a failed call means: whether to ask again, or somebody else; and what is told when nobody answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from farmgate.core.errors import (
    ContextLengthExceeded,
    EngineUnavailable,
    FarmError,
    ModelFailed,
    ModelNotCapable,
    ModelNotFound,
    ModelTooLarge,
    NoTargetLeft,
    NotSupported,
    UnsupportedParameter,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamTlsError,
)
from farmgate.flow.balance import Seen

__all__ = ["another_may", "is_passing", "nobody_answered", "nobody_to_ask"]

NEXT_MAY_DO = (
    UnsupportedParameter,
    ModelNotCapable,
    ModelNotFound,
    ModelTooLarge,
    ModelFailed,
    NotSupported,
    ContextLengthExceeded,
)
"""What one model cannot and another may: no failure, and no reason to ask this one again."""


def is_passing(error: FarmError) -> bool:
    """Whether the same target may do better in a moment. Another 30 s of silence would help nobody; an engine of this
    machine that went away is started again."""
    if isinstance(error, UpstreamTimeout | UpstreamTlsError):
        return False
    if isinstance(error, EngineUnavailable):
        return error.retry_after_s is not None
    return isinstance(error, UpstreamError) and error.retryable


def another_may(error: FarmError) -> bool:
    """Whether another target could do better: it is well, can more, or accepts its own credential."""
    return error.retryable or isinstance(error, NEXT_MAY_DO) or error.code == "upstream_auth_failed"


def nobody_to_ask(resting: Sequence[Seen], now: float) -> FarmError:
    """Nobody was asked: the limits of all are used up."""
    soonest_s = min(one.health.back_in_s(now) for one in resting)
    names = ", ".join(one.candidate.key for one in resting)
    return UpstreamRateLimited(f"The rate limit of {names} is used up.", retry_after_s=soonest_s)


def nobody_answered(
    failed: Mapping[str, FarmError], everybody: Sequence[Seen], left_out: Sequence[Seen], now: float
) -> FarmError:
    """One error for those of all targets, of which there is one at least.

    `failed`: the last failure of each, by its key. `left_out`: those of `everybody` that were not asked, because they
    rest.
    """
    errors = list(failed.values())
    if (len(errors) == 1 and not left_out) or all(isinstance(error, NEXT_MAY_DO) for error in errors):
        return errors[0]
    soonest_s = min(one.health.back_in_s(now) for one in everybody)
    told = [f"{name}: {error.message}" for name, error in failed.items()]
    told += [f"{one.candidate.key} rests for now." for one in left_out]
    are_limited = all(isinstance(error, UpstreamRateLimited) for error in errors)
    if are_limited and all(one.health.is_cooling(now) for one in left_out):
        return UpstreamRateLimited(" ".join(("Every target is at its rate limit.", *told)), retry_after_s=soonest_s)
    error = NoTargetLeft(" ".join(("No target answered.", *told)), retry_after_s=max(soonest_s, 1.0))
    error.should_retry = False
    return error
