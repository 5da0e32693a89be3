"""Stand-ins for what a request meets on its way, for our tests and for people who write providers and stages.

target = FakeTarget(Text("he"), UpstreamStreamTruncated())
with pytest.raises(UpstreamStreamTruncated):
    await gather(await target.send(request_of(Complete(prompt="hello"))))
assert target.calls == 1 and target.all_closed
"""

from __future__ import annotations

import asyncio
import time
from typing import TypeAlias

from farmgate.core.errors import UpstreamStreamTruncated
from farmgate.core.event import Event, Finish, Part, Vector
from farmgate.core.identity import ANONYMOUS, Principal
from farmgate.core.ids import new_id
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.usage import Call, Outcome
from farmgate.core.words import Ask, Chat, Complete, Embed

__all__ = ["FakeClock", "FakeJournal", "FakeTarget", "Step", "request_of"]

Step: TypeAlias = Part | Event | BaseException | asyncio.Event
"""What a script does next: say something, break, or wait until a test sets the asyncio.Event."""

KINDS = {Chat: Kind.CHAT, Complete: Kind.COMPLETION, Embed: Kind.EMBEDDING}


class FakeTarget:
    """A Target that answers every request by the same script.

    Like a provider's, an answer without a Finish or a Vector was cut off: UpstreamStreamTruncated after the last step.
    """

    def __init__(
        self,
        *steps: Step,
        refuses: BaseException | None = None,
        whole: Event | None = None,
        provider: str = "fake",
        model: str | None = None,
    ) -> None:
        """`refuses` is raised by `send`; `whole` is an answer in one piece, instead of steps.

        `model` is the one that answers; the one that was asked for, unless given.
        """
        self.steps = steps
        self._refuses = refuses
        self._whole = whole
        self._provider = provider
        self._model = model
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.closed = 0
        """How many upstreams were freed; a reply that is closed twice counts once."""
        self.events_taken = 0
        """How many events were read, of all replies together."""

    @property
    def calls(self) -> int:
        return len(self.requests)

    @property
    def all_closed(self) -> bool:
        """Whether every reply was closed by whoever held it."""
        return all(reply.is_closed for reply in self.replies)

    async def send(self, request: Request) -> Reply:
        self.requests.append(request)
        if self._refuses is not None:
            raise self._refuses
        model = self._model or request.model or ""
        if self._whole is not None:
            reply = Reply.whole(self._whole, provider=self._provider, model=model)
            reply.when_closed(lambda _: self._freed())
        else:
            reply = Reply(Script(self).next, provider=self._provider, model=model, close=self._freed)
        self.replies.append(reply)
        return reply

    def _freed(self) -> None:
        self.closed += 1


class Script:
    """One answer of a FakeTarget under way."""

    def __init__(self, target: FakeTarget) -> None:
        self._target = target
        self._left = iter(target.steps)
        self._is_complete = False

    async def next(self) -> Event | None:
        for step in self._left:
            if isinstance(step, asyncio.Event):
                await step.wait()
                continue
            if isinstance(step, BaseException):
                raise step
            event = step if isinstance(step, Event) else Event((step,))
            self._is_complete = self._is_complete or any(isinstance(part, Finish | Vector) for part in event.parts)
            self._target.events_taken += 1
            return event
        if not self._is_complete:
            raise UpstreamStreamTruncated
        return None


class FakeClock:
    """A Clock that stands still until it is told to go on."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self._now_s = now_s

    def __call__(self) -> float:
        return self._now_s

    def advance(self, seconds: float) -> None:
        assert seconds >= 0, "a clock never goes back"
        self._now_s += seconds


class FakeJournal:
    """A Journal that remembers what it was told, in order: `("began", call)` and `("ended", call)`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Call]] = []

    def began(self, call: Call) -> None:
        self.told.append(("began", call))

    def ended(self, call: Call) -> None:
        self.told.append(("ended", call))

    @property
    def outcomes(self) -> list[Outcome]:
        """How each call ended; one that ended twice is there twice."""
        return [call.outcome for what, call in self.told if what == "ended"]


def request_of(
    words: Ask,
    *,
    model: str | None = "fake-model",
    provider: str | None = "fake",
    stream: bool = False,
    who: Principal = ANONYMOUS,
) -> Request:
    """A request for these words that has a minute's time. It is addressed to a provider's model, unless told None."""
    now = time.monotonic()
    return Request(
        id=new_id(),
        kind=KINDS[type(words)],
        body=Typed(words),
        principal=who,
        deadline=now + 60.0,
        started=now,
        model=model,
        provider=provider,
        stream=stream,
    )
