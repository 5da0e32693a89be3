"""The demo: no model, no weights, no network, always the same answer to the same words. It says so in every answer."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Mapping

from farmgate.core.errors import InvalidValue, UnsupportedParameter
from farmgate.core.event import Event, Finish, FinishReason, Part, Text, ToolDelta, Usage, Vector
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Ask, Chat, Complete, Content, Embed, Message, Rerank, TextPart, ToolUse
from farmgate.providers.demo_losses import account
from farmgate.providers.demo_tools import call_for, check_tools, formed, results_of
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
HEARD = "This is Farmgate's demo, not a language model. The tool said: {results}"
MOST_HEARD = 2000


class DemoProvider(ProviderBase):
    """Options: `chunkDelayMs` between two words of a stream, `text` to say instead of the usual.

    Tools and JSON have rules of their own, which no option changes: see docs/providers.md.
    """

    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETION,
            Capability.EMBEDDING,
            Capability.TOOLS,
            Capability.STRUCTURED,
        }
    )

    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self._delay_s = number(settings.options, "chunkDelayMs") / 1000
        self._text = settings.options.get("text")

    async def send(self, request: Request) -> Reply:
        words = request.body.ask()
        losses = Losses(self.name)
        losses.leave(words.extra)
        if isinstance(words, Rerank):
            raise UnsupportedParameter("The demo does not rank documents.", param="model")
        account(words, losses)
        if isinstance(words, Embed):
            reply = Reply.whole(embeddings(words), provider=self.name, model=MODEL)
            reply.dropped = losses.dropped
            return reply
        if words.sampling.count != 1:
            raise UnsupportedParameter("The demo gives one answer to a request: leave `n` out.", param="n")
        if isinstance(words, Chat):
            check_tools(words, losses)
        said = asked(words)
        call = call_for(words, said) if isinstance(words, Chat) else None
        parts = self._call(call, said) if call else self._say(self._text_for(words, said), said, words)
        reply = Reply.stream(parts, provider=self.name, model=MODEL)
        reply.dropped = losses.dropped
        return reply

    def _text_for(self, words: Chat | Complete, said: str) -> str:
        text = str(self._text) if self._text else INTRO.format(count=counted(said), quote=quoted(said))
        if not isinstance(words, Chat):
            return text
        if results := results_of(words):
            text = heard(results)
        return formed(words.response_format, said, text) if words.response_format else text

    async def _say(self, text: str, said: str, words: Chat | Complete) -> AsyncIterator[Part]:
        text, stop = until(text, words.sampling.stop)
        pieces, most = pieces_of(text), words.sampling.max_tokens
        cut = pieces[:most] if most else pieces
        for piece in cut:
            yield Text(piece)
            await self._wait()
        is_cut = len(cut) < len(pieces)
        yield Finish(FinishReason.LENGTH if is_cut else FinishReason.STOP, stop=None if is_cut else stop)
        yield Usage(prompt_tokens=len(said.split()), completion_tokens=len(cut))

    async def _call(self, call: ToolUse, said: str) -> AsyncIterator[Part]:
        yield ToolDelta(index=0, id=call.id, name=call.name)
        pieces = pieces_of(call.arguments)
        for piece in pieces:
            yield ToolDelta(index=0, arguments=piece)
            await self._wait()
        yield Finish(FinishReason.TOOL_CALLS)
        yield Usage(prompt_tokens=len(said.split()), completion_tokens=len(pieces))

    async def _wait(self) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)

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


def until(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """What comes before the first of the stop sequences, and which that was."""
    found = min(((text.index(stop), stop) for stop in stops if stop and stop in text), default=None)
    return (text, None) if found is None else (text[: found[0]], found[1])


def pieces_of(text: str) -> list[str]:
    """The words, each with the space behind it."""
    *words, last = text.split(" ")
    return [*(word + " " for word in words), last]


def heard(results: tuple[Message, ...]) -> str:
    """What tools said, in an answer."""
    return HEARD.format(results=" ".join(plain(result.content) for result in results)[:MOST_HEARD])


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
