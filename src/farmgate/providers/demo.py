"""The demo: no model, no weights, no network, always the same answer. It says so in every answer."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Mapping

from farmgate.core.errors import InvalidValue, UnsupportedParameter
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Event, Finish, FinishReason, Part, Reply, Text, Usage, Vector
from farmgate.core.request import Request
from farmgate.core.words import (
    Ask,
    Chat,
    Complete,
    Content,
    Embed,
    FormatKind,
    Rerank,
    Sampling,
    TextPart,
    ThinkingPart,
    ToolMode,
)
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.wire.losses import Losses

__all__ = ["DemoProvider"]

MODEL = "demo"
DIMENSIONS = 64
MOST_DIMENSIONS = 2048
INTRO = (
    "This is Farmgate's demo, not a language model: every part of the gate works, but nobody thinks here. "
    "You wrote {count}{quote}. "
    "For real answers run `farmgate pull starter` (needs `pip install 'farmgate[local]'`), start Ollama, "
    "or set OPENAI_API_KEY; `farmgate doctor` says what is missing."
)


class DemoProvider(ProviderBase):
    """Options: `chunkDelayMs` between two words of a stream, `text` to say instead of the usual."""

    capabilities = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.EMBEDDING})

    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self._delay_s = number(settings.options, "chunkDelayMs") / 1000
        self._text = settings.options.get("text")

    async def send(self, request: Request) -> Reply:
        words = request.body.ask()
        losses = Losses(self.name)
        account(words, losses)
        if isinstance(words, Rerank):
            raise UnsupportedParameter("The demo does not rank documents.", param="model")
        if isinstance(words, Embed):
            return Reply.whole(embeddings(words), provider=self.name, model=MODEL)
        if words.sampling.count != 1:
            raise UnsupportedParameter("The demo gives one answer to a request: leave `n` out.", param="n")
        said = asked(words)
        text = str(self._text) if self._text else INTRO.format(count=counted(said), quote=quoted(said))
        reply = Reply.stream(self._say(text, said, words.sampling), provider=self.name, model=MODEL)
        reply.dropped = losses.dropped
        return reply

    async def _say(self, text: str, said: str, sampling: Sampling) -> AsyncIterator[Part]:
        text, stop = until(text, sampling.stop)
        most = sampling.max_tokens
        pieces = text.split(" ")
        pieces = [*(piece + " " for piece in pieces[:-1]), pieces[-1]]
        cut = pieces[:most] if most else pieces
        for piece in cut:
            yield Text(piece)
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
        is_cut = len(cut) < len(pieces)
        yield Finish(FinishReason.LENGTH if is_cut else FinishReason.STOP, stop=None if is_cut else stop)
        yield Usage(prompt_tokens=len(said.split()), completion_tokens=len(cut))

    async def models(self) -> tuple[ModelInfo, ...]:
        return (
            ModelInfo(name=MODEL, provider=self.name, size_bytes=0, description="No model: canned words.", loaded=True),
        )

    async def health(self) -> Health:
        return Health(
            name=self.name,
            status=HealthStatus.HEALTHY,
            models=(MODEL,),
            detail="Built in; this is no language model.",
        )


def number(options: Mapping[str, object], name: str) -> float:
    """A number among the options; 0 when it is not there."""
    value = options.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0


def account(words: Ask, losses: Losses) -> None:
    """Announce what changes nothing in an answer that is always the same. Raises UnsupportedParameter for what would
    make a caller read something else than text."""
    losses.leave(words.extra)
    if isinstance(words, Rerank):
        return
    losses.drop_if(words.user, "user")
    if isinstance(words, Embed):
        return
    sampling = words.sampling
    for name in ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty"):
        if getattr(sampling, name) is not None:
            losses.drop(name)
    if sampling.top_logprobs is not None:
        losses.drop("logprobs")
    if isinstance(words, Chat):
        account_chat(words, losses)


def account_chat(words: Chat, losses: Losses) -> None:
    losses.drop_if(words.tools, "tools")
    if words.tool_choice is not None and words.tool_choice.mode in (ToolMode.REQUIRED, ToolMode.NAMED):
        raise losses.refuse("tool_choice", "it calls no tools")
    if words.response_format is not None and words.response_format.kind is not FormatKind.TEXT:
        raise losses.refuse("response_format", "it says its own text, which is no JSON")
    if words.thinking is not None and words.thinking.is_enabled is not False:
        losses.drop("reasoning_effort")
    for at, message in enumerate(words.messages):
        if not isinstance(message.content, str):
            for number, part in enumerate(message.content or ()):
                if not isinstance(part, TextPart | ThinkingPart):
                    losses.drop(f"{message.place or f'messages[{at}]'}.content[{number}]")


def until(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """What comes before the first of the stop sequences, and which that was."""
    found = min(((text.index(stop), stop) for stop in stops if stop and stop in text), default=None)
    return (text, None) if found is None else (text[: found[0]], found[1])


def asked(words: Ask) -> str:
    """The last thing said by the caller."""
    match words:
        case Chat():
            return plain(words.messages[-1].content) if words.messages else ""
        case Complete():
            return words.prompt
        case Embed():
            return " ".join(words.inputs)
        case Rerank():
            return words.query


def plain(content: Content) -> str:
    """The text in a message."""
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(part.text for part in content if isinstance(part, TextPart))


def counted(text: str) -> str:
    count = len(text.split())
    return f"{count} word{'' if count == 1 else 's'}"


def quoted(text: str) -> str:
    """The beginning of what was said, for the answer."""
    start = " ".join(text.split()[:8])
    return f', beginning with "{start}"' if start else ""


def embeddings(words: Embed) -> Event:
    """Vectors made from a hash: equal texts have equal vectors, and that is all they mean."""
    size = words.dimensions or DIMENSIONS
    if not 0 < size <= MOST_DIMENSIONS:
        raise InvalidValue(f"`dimensions` must be between 1 and {MOST_DIMENSIONS} here.", param="dimensions")
    vectors = tuple(Vector(vector(text, size), index) for index, text in enumerate(words.inputs))
    count = sum(len(text.split()) for text in words.inputs)
    return Event((*vectors, Usage(prompt_tokens=count)))


def vector(text: str, size: int) -> tuple[float, ...]:
    """A vector of length 1."""
    digest = hashlib.shake_256(text.encode(errors="surrogatepass")).digest(4 * size)
    raw = [value / 2**31 - 1 for value in struct.unpack(f"<{size}I", digest)]
    norm = sum(value * value for value in raw) ** 0.5 or 1.0
    return tuple(value / norm for value in raw)
