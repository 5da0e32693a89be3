"""What the mock was asked, and how each call ended. Bounded: the newest calls are kept, all are counted."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from farmgate.mock.asks import Ask
from farmgate.mock.reading import Request

__all__ = ["OF_INTEREST", "Call", "Calls", "begin"]

MOST_MODELS = 1000
OTHERS = "(others)"
SECRET = ("authorization", "x-api-key", "api-key")
OF_INTEREST = (
    "accept",
    "accept-encoding",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "host",
    "idempotency-key",
    "traceparent",
    "user-agent",
    "x-request-id",
    "x-stainless-retry-count",
)


@dataclass(slots=True, kw_only=True)
class Call:
    """One request. Times: `at` in seconds since 1970, `took_s` from the request's last byte to its end.

    `ended`: `open`; `answered`; `left`: the caller went, with `sent_bytes` of the body written; `stopped` with the
    mock; or the name of the fault that ended it.
    """

    number: int
    at: float
    method: str
    path: str
    endpoint: str
    model: str
    stream: bool
    headers: Mapping[str, str]
    body_bytes: int
    body_sha256: str
    connection: int
    began: float
    status: int | None = None
    ended: str = "open"
    sent_bytes: int = 0
    sent_frames: int = 0
    took_s: float | None = None

    def told(self) -> dict[str, object]:
        """For JSON."""
        told = asdict(self)
        del told["began"]
        return told | {"took_s": None if self.took_s is None else round(self.took_s, 6)}


def begin(request: Request, ask: Ask, *, number: int, connection: int) -> Call:
    """A call that has just been read."""
    return Call(
        number=number,
        at=time.time(),
        began=time.monotonic(),
        method=request.method,
        path=request.path,
        endpoint=ask.endpoint.value,
        model=ask.model,
        stream=ask.stream,
        headers=dict(shown(request.headers)),
        body_bytes=len(request.body),
        body_sha256=hashlib.sha256(request.body).hexdigest(),
        connection=connection,
    )


def shown(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers that tests ask about. A key is told by the beginning of its hash: enough to tell two apart."""
    told = {name: headers[name] for name in OF_INTEREST if name in headers}
    for name in SECRET:
        if name in headers:
            scheme, found, key = headers[name].rpartition(" ")
            told[name] = f"{scheme}{found}sha256:{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    return told


@dataclass(slots=True)
class Calls:
    """`ended` is told of every call that is over."""

    most: int = 10_000
    told: Callable[[Call], None] = lambda call: None
    total: int = 0
    open: int = 0
    by_end: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_model: Counter[str] = field(default_factory=Counter)
    kept: deque[Call] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, call: Call) -> None:
        self.total += 1
        self.open += 1
        known = call.model in self.by_model or len(self.by_model) < MOST_MODELS
        self.by_model[call.model if known else OTHERS] += 1
        self.kept.append(call)
        if len(self.kept) > self.most:
            self.kept.popleft()
        self._change()

    def end(self, call: Call, how: str) -> None:
        """Once for each call; what comes later is not heard."""
        if call.ended != "open":
            return
        call.ended = how
        call.took_s = time.monotonic() - call.began
        self.open -= 1
        self.by_end[how] += 1
        self.by_status[str(call.status)] += 1
        self.told(call)
        self._change()

    def forget(self) -> int:
        """Everything but what is open, and the numbers, which go on. How many calls that were."""
        count = len(self.kept)
        self.kept.clear()
        for counter in (self.by_end, self.by_status, self.by_model):
            counter.clear()
        self.total = 0
        return count

    def counts(self) -> dict[str, object]:
        return {
            "total": self.total,
            "open": self.open,
            "by_end": self.by_end,
            "by_status": self.by_status,
            "by_model": self.by_model,
        }

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds that depends on calls."""
        while not is_so():
            self.changed.clear()
            await self.changed.wait()

    def _change(self) -> None:
        self.changed.set()
