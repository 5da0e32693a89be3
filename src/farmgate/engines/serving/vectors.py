"""OpenAI's embeddings before one model that makes vectors of texts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from farmgate.core.answer import Answer
from farmgate.core.errors import ModelNotCapable
from farmgate.core.event import Usage
from farmgate.core.request import Kind
from farmgate.core.words import Embed
from farmgate.engines.engine import Spec
from farmgate.engines.serving.app import Routes
from farmgate.engines.serving.exchange import Exchange, first
from farmgate.wire.openai.answers import encode_embeddings
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

__all__ = ["JSON", "LISTS", "Embeds", "VectorDoor", "Vectors"]

MOST = 1 << 40
# The gate has counted already, by limits that its operator sets.
JSON = JsonLimits(nodes=MOST)
LISTS = ListLimits(messages=MOST, tools=MOST, inputs=MOST)


@dataclass(frozen=True, slots=True)
class Vectors:
    """One for each text, and how many tokens all texts had together."""

    values: Sequence[Sequence[float]]
    tokens: int


Embeds: TypeAlias = Callable[[Sequence[str]], Awaitable[Vectors]]
"""Raises BadRequest, and ModelFailed."""


class VectorDoor:
    """What is asked for under /v1/embeddings. `embed` None: it makes none, and `instead` says what it does.

    `dimensions` are the gate's business, which cuts what comes.
    """

    def __init__(self, spec: Spec, embed: Embeds | None, *, instead: str = "") -> None:
        self._spec = spec
        self._embed = embed
        self._instead = instead

    def routes(self) -> Routes:
        return {"/v1/embeddings": {"POST": self._answer}}

    async def _answer(self, exchange: Exchange) -> None:
        if self._embed is None:
            raise ModelNotCapable(f"{self._spec.model} gives no embeddings: {self._instead}.", param="model")
        read = decode_request(await exchange.body(), Kind.EMBEDDING, json_limits=JSON, list_limits=LISTS)
        words = read.ask()
        assert isinstance(words, Embed)
        vectors = await first(self._embed(words.inputs), exchange)
        answer = Answer(
            vectors={at: tuple(vector) for at, vector in enumerate(vectors.values)},
            usage=Usage(prompt_tokens=vectors.tokens),
        )
        as_base64 = read.fields.get("encoding_format") == "base64"
        await exchange.answer(encode_embeddings(answer, model=read.model or self._spec.model, as_base64=as_base64))
