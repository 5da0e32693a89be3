"""A token is fetched once for many, renewed before it ends, and served until its end whatever goes wrong."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

from farmgate.core.errors import FarmError, ShuttingDown, UpstreamRefusedKey, UpstreamTimeout
from farmgate.core.ports import Clock
from farmgate.telemetry import log

__all__ = ["Held", "Keeper", "Later", "Timer", "renew_in_s", "retry_in_s"]

LEAD_S = 240.0
"""How long before its end a token is renewed. Metadata servers hand out the old one until some five minutes before."""
SOONEST_S = 15.0
SKEW_S = 10.0
"""A token that has no longer to live is not sent: it would end on the way."""
WAIT_S = 30.0
"""How long a request waits for a token, if its own time is not over before."""
COOL_S = 2.0
"""How long a failure answers for the next request too, where no token is left."""
RETRY_S = (5.0, 10.0, 20.0, 40.0, 60.0)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Generic[Value]):
    """What was fetched, and until when it is good. `renew_unix`: when its issuer would have it renewed, if sooner."""

    value: Value = field(repr=False)
    expires_unix: float = math.inf
    renew_unix: float = math.inf

    def is_good(self, now_unix: float) -> bool:
        return now_unix < self.expires_unix - SKEW_S


class Timer(Protocol):
    """What comes later, unless it is cancelled."""

    def cancel(self) -> None: ...


Later: TypeAlias = Callable[[float, Callable[[], object]], Timer]
"""Calls back after so many seconds; an event loop's `call_later`."""


def renew_in_s(held: Held[Value], now_unix: float) -> float:
    """Seconds until a token should be renewed: ahead of its end by four minutes, or by a quarter of what is left."""
    left_s = held.expires_unix - now_unix
    return max(SOONEST_S, min(held.renew_unix - now_unix, left_s - min(LEAD_S, left_s / 4)))


def retry_in_s(failures: int) -> float:
    """Seconds until the next try after so many failures in a row."""
    return RETRY_S[min(failures, len(RETRY_S)) - 1]


class Keeper(Generic[Value]):
    """One token and the task that renews it. Close it: that ends the task."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Held[Value]]],
        *,
        name: str,
        explain: Callable[[Exception], FarmError],
        clock: Clock = time.time,
        later: Later | None = None,
    ) -> None:
        """`explain` tells what a failed fetch means, in words a caller may see. `clock` gives the time of day."""
        self._fetch = fetch
        self._name = name
        self._explain = explain
        self._clock = clock
        self._later = later
        self._held: Held[Value] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._failure: FarmError | None = None
        self._failures = 0
        self._cool_until_unix = -math.inf
        self._is_closed = False

    async def get(self, deadline: float | None = None) -> Value:
        """The token. Waits only where none is good. Raises FarmError."""
        held = self._held
        if held is None or not held.is_good(self._clock()):
            held = await self._waited(deadline)
        return held.value

    async def _waited(self, deadline: float | None) -> Held[Value]:
        # A clock that was put back does not make a failure last.
        is_fresh = 0 < self._cool_until_unix - self._clock() <= COOL_S
        if self._failure is None or not is_fresh:
            renewing = self._begin()
            patience_s = WAIT_S if deadline is None else min(WAIT_S, deadline - asyncio.get_running_loop().time())
            # Not a wait_for: who stops waiting does not stop the fetch, others wait for it too.
            await asyncio.wait({renewing}, timeout=max(0.0, patience_s))
            if not renewing.done():
                raise UpstreamTimeout(f"{self._name} was not asked: its credentials were not there in time.")
        if self._held is not None and self._held.is_good(self._clock()):
            return self._held
        if self._failure is None:
            raise ShuttingDown
        # One of its own for each who waits: an error collects the places it was raised at.
        raise type(self._failure)(self._failure.message)

    def _begin(self) -> asyncio.Task[None]:
        if self._is_closed:
            raise ShuttingDown
        if self._renewing is None or self._renewing.done():
            self._cancel_timer()
            self._renewing = asyncio.create_task(self._renew())
        return self._renewing

    async def _renew(self) -> None:
        try:
            held = await self._fetch()
            if not held.is_good(self._clock()):
                raise UpstreamRefusedKey(
                    f"{self._name} was given credentials that are over already: is this machine's clock right?"
                )
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits
            self._failed(self._meaning(error))
        else:
            if self._failures:
                log.info("credential_renewed", provider=self._name, failures=self._failures)
            self._held, self._failure, self._failures = held, None, 0
            self._plan(renew_in_s(held, self._clock()))

    def _meaning(self, error: Exception) -> FarmError:
        match error:
            case FarmError():
                return error
            case ImportError():
                return UpstreamRefusedKey(f"{self._name}: a library its credentials need is broken: install it anew.")
            case _:
                return self._explain(error)

    def _failed(self, failure: FarmError) -> None:
        now = self._clock()
        self._failure, self._failures = failure, self._failures + 1
        self._cool_until_unix = now + COOL_S
        left_s = self._held.expires_unix - now if self._held is not None else 0.0
        # Where nothing is left to serve, whoever waits is told instead.
        if left_s > SKEW_S:
            good_for_s = round(left_s) if left_s < math.inf else "unlimited"
            log.warning("credential_not_renewed", provider=self._name, reason=failure.message, good_for_s=good_for_s)
            self._plan(retry_in_s(self._failures))

    def _plan(self, seconds: float) -> None:
        if not self._is_closed and seconds < math.inf:
            later = self._later or asyncio.get_running_loop().call_later
            self._timer = later(seconds, self._begin)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def close(self) -> None:
        """End the task and forget the token. A fetch that runs in a thread ends by itself and is not waited for."""
        self._is_closed = True
        self._cancel_timer()
        self._held = self._failure = None
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
