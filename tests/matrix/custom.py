"""A provider as somebody outside would write one: it is given words and says the parts it was told to."""

from __future__ import annotations

import json
from dataclasses import asdict

from tests.matrix.facts import Told

from farmgate.core.errors import FarmError, UpstreamRateLimited, UpstreamRejected, UpstreamStreamTruncated
from farmgate.core.event import Finish, FinishReason, Part, Reasoning, Text, ToolDelta, Usage
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Ask
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.testing import FakeTarget, Step
from farmgate.wire.losses import Losses

__all__ = ["Custom", "error_of", "parts_before_end", "parts_of"]


class Custom(ProviderBase):
    """`steps` are what it answers next, or `refuses` what it raises; `asked` is what it was last asked."""

    capabilities = frozenset(Capability)

    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self.steps: tuple[Step, ...] = ()
        self.refuses: FarmError | None = None
        self.asked: Ask | None = None

    async def send(self, request: Request) -> Reply:
        self.asked = request.body.ask()
        losses = Losses(self.name)
        losses.leave(self.asked.extra)
        reply = await FakeTarget(*self.steps, refuses=self.refuses, provider=self.name).send(request)
        reply.dropped = losses.dropped
        return reply

    async def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo(name="polly", provider=self.name),)

    async def health(self) -> Health:
        return Health(name=self.name, status=HealthStatus.HEALTHY)

    def seen(self) -> object:
        """What it was asked, as JSON would show it."""
        return None if self.asked is None else json.loads(json.dumps(asdict(self.asked), default=dict))


def parts_of(told: Told) -> tuple[Part, ...]:
    """Parts that say it, texts and arguments in pieces."""
    parts: list[Part] = [Reasoning(piece) for piece in halves(told.reasoning)]
    parts += [Text(piece) for piece in halves(told.text)]
    for at, call in enumerate(told.calls):
        parts.append(ToolDelta(index=at, id=call.id, name=call.name))
        parts += [ToolDelta(index=at, arguments=piece) for piece in halves(json.dumps(call.arguments))]
    parts.append(Finish(FinishReason(told.finish)))
    if told.tokens is not None:
        usage = Usage(
            prompt_tokens=told.tokens.prompt,
            completion_tokens=told.tokens.completion,
            cached_tokens=told.tokens.cached,
            reasoning_tokens=told.tokens.reasoning,
        )
        parts.append(usage)
    return tuple(parts)


def parts_before_end(told: Told) -> int:
    """How many parts there are before the one that ends the answer."""
    return sum(not isinstance(part, Finish | Usage) for part in parts_of(told))


def halves(text: str) -> tuple[str, ...]:
    return (text[: len(text) // 2], text[len(text) // 2 :]) if text else ()


def error_of(status: int, message: str) -> FarmError:
    if status == 429:
        return UpstreamRateLimited(message, retry_after_s=7.0)
    if status == 200:
        return UpstreamStreamTruncated(message)
    return UpstreamRejected(message, status=status, type_="invalid_request_error", code=None)
