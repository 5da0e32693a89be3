"""Cohere's whole answers: a chat, vectors, a ranking."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Event, Part, Ranked, Reasoning, Text, ToolDelta
from farmgate.wire.cohere.words import ToldCitation, ToldUsage, annotations_of, count_of, finish_of, usage_of
from farmgate.wire.upstream import proved

__all__ = ["Listed", "decode_chat", "decode_embeddings", "decode_models", "decode_ranking"]

Form = TypeVar("Form")


class Piece(msgspec.Struct):
    """Text, or a thought."""

    text: str | None = None
    thinking: str | None = None


class Function(msgspec.Struct):
    """What is called; `arguments` is JSON as text."""

    name: str = ""
    arguments: str | None = None


class Call(msgspec.Struct):
    """A tool call."""

    id: str | None = None
    function: Function | None = None


class ToldMessage(msgspec.Struct):
    """The assistant's turn. `tool_plan` is what it says before it calls tools."""

    content: list[Piece] | None = None
    tool_plan: str | None = None
    tool_calls: list[Call] | None = None
    citations: list[ToldCitation] | None = None


class Whole(msgspec.Struct):
    """An answer of /v2/chat."""

    message: ToldMessage
    finish_reason: str
    usage: ToldUsage | None = None


class Vectors(msgspec.Struct, rename={"floats": "float"}):
    """Vectors by their type."""

    floats: list[tuple[float, ...]]


class Units(msgspec.Struct):
    """What is billed."""

    input_tokens: object = None


class Meta(msgspec.Struct):
    """What stands beside an answer."""

    billed_units: Units | None = None


class Embedded(msgspec.Struct):
    """An answer of /v2/embed."""

    embeddings: Vectors
    meta: Meta | None = None


class Result(msgspec.Struct):
    """How well a document answers."""

    index: int
    relevance_score: float


class Ranking(msgspec.Struct):
    """An answer of /v2/rerank, the best first."""

    results: list[Result]


class Listed(msgspec.Struct):
    """One model of /v1/models. `context_length` is a number with a point there."""

    name: str
    endpoints: list[str] | None = None
    context_length: object = None

    @property
    def context_tokens(self) -> int | None:
        return count_of(self.context_length) or None


class Models(msgspec.Struct):
    """The list of models."""

    models: list[Listed]


def decoded(body: bytes, form: type[Form], *, provider: str) -> Form:
    return proved(body, msgspec.json.Decoder(form).decode, provider, "answered with something that is not an answer")


def decode_chat(body: bytes, *, provider: str) -> Event:
    """A 200 answer. Raises UpstreamInvalidResponse for anything that is not one, FarmError for a broken one."""
    answer = decoded(body, Whole, provider=provider)
    message = answer.message
    parts: list[Part] = [Text(message.tool_plan)] if message.tool_plan else []
    for piece in message.content or ():
        if piece.thinking:
            parts.append(Reasoning(piece.thinking))
        if piece.text:
            parts.append(Text(piece.text))
    for citation in message.citations or ():
        parts += annotations_of(citation)
    for at, call in enumerate(message.tool_calls or ()):
        function = call.function or Function()
        arguments = function.arguments or "{}"
        parts.append(ToolDelta(index=at, id=call.id or f"call_{at}", name=function.name, arguments=arguments))
    parts.append(finish_of(answer.finish_reason, "", provider=provider))
    usage = usage_of(answer.usage)
    return Event((*parts, usage) if usage else tuple(parts))


def decode_embeddings(body: bytes, *, texts: int, provider: str) -> tuple[list[tuple[float, ...]], int | None]:
    """The vectors in the order of the texts, and the tokens billed. Raises UpstreamInvalidResponse."""
    answer = decoded(body, Embedded, provider=provider)
    vectors = answer.embeddings.floats
    if len(vectors) != texts or not all(vectors):
        raise UpstreamInvalidResponse(f"{provider} gave {len(vectors)} vectors for {texts} texts, or empty ones.")
    units = answer.meta.billed_units if answer.meta else None
    return vectors, count_of(units.input_tokens) if units else None


def decode_ranking(body: bytes, *, documents: int, provider: str) -> Event:
    """The documents' places and scores, in Cohere's order. Raises UpstreamInvalidResponse."""
    results = decoded(body, Ranking, provider=provider).results
    places = {result.index for result in results}
    if len(places) != len(results) or not all(0 <= place < documents for place in places):
        raise UpstreamInvalidResponse(f"{provider} ranked documents that were not sent, or one twice.")
    return Event(tuple(Ranked(result.index, result.relevance_score) for result in results))


def decode_models(body: bytes, *, provider: str) -> list[Listed]:
    """The models of an account. Raises UpstreamInvalidResponse."""
    return decoded(body, Models, provider=provider).models
