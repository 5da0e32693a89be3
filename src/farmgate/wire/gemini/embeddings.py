"""Embeddings, in the three forms Google has: a batch at the Gemini API, predictions and single ones at Vertex AI."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from farmgate.core.errors import InvalidType, UpstreamInvalidResponse
from farmgate.core.event import Event, Usage, Vector
from farmgate.core.words import Embed
from farmgate.wire.counts import tokens
from farmgate.wire.fields import present
from farmgate.wire.gemini.errors import decode_told_error
from farmgate.wire.gemini.usage import decode_usage
from farmgate.wire.losses import Losses
from farmgate.wire.strictjson import encode
from farmgate.wire.upstream import proved

__all__ = [
    "decode_batch",
    "decode_one",
    "decode_predictions",
    "encode_batch",
    "encode_one",
    "encode_predictions",
    "task_of",
]

NONE = msgspec.Raw(b"")
NOTHING = (b"", b"null", b"{}")
T = TypeVar("T", bound="Answered")


class Values(msgspec.Struct):
    """One vector."""

    values: tuple[float, ...] = ()


class Answered(msgspec.Struct, rename="camel"):
    """What all answers have."""

    error: msgspec.Raw = NONE
    usage_metadata: msgspec.Raw = NONE


class Batch(Answered):
    """The answer of batchEmbedContents, in the order of the texts."""

    embeddings: list[Values] | None = None


class One(Answered):
    """The answer of embedContent."""

    embedding: Values | None = None


class Statistics(msgspec.Struct):
    """What one text cost."""

    token_count: float | None = None


class Predicted(Values):
    """One vector and what it cost."""

    statistics: Statistics | None = None


class Prediction(msgspec.Struct):
    """One text's answer."""

    embeddings: Predicted | None = None


class Predictions(Answered):
    """The answer of predict, in the order of the instances."""

    predictions: list[Prediction] | None = None


def task_of(words: Embed, losses: Losses) -> str | None:
    """What the vectors are for (`RETRIEVAL_QUERY`), where the caller says so in Google's own `task_type`."""
    losses.leave(words.extra, known=("task_type",))
    losses.drop_if(words.user, "user")
    task = words.extra.get("task_type")
    if task is not None and not isinstance(task, str):
        raise InvalidType("`task_type` must be a string.", param="task_type")
    return task


def encode_batch(words: Embed, *, model: str, task: str | None) -> bytes:
    """The body of batchEmbedContents; `model` with its `models/`."""
    more = present({"outputDimensionality": words.dimensions, "taskType": task})
    return encode({"requests": [{"model": model, **content_of(text), **more} for text in words.inputs]})


def encode_one(text: str, words: Embed, *, task: str | None) -> bytes:
    """The body of embedContent at Vertex AI. A text that is too long is refused, never cut in silence."""
    more = present({"outputDimensionality": words.dimensions, "taskType": task})
    return encode(content_of(text) | {"autoTruncate": False} | more)


def encode_predictions(texts: tuple[str, ...], words: Embed, *, task: str | None) -> bytes:
    """The body of predict. A text that is too long is refused, never cut in silence."""
    parameters = {"autoTruncate": False} | present({"outputDimensionality": words.dimensions})
    instances = [{"content": text} | present({"task_type": task}) for text in texts]
    return encode({"instances": instances, "parameters": parameters})


def content_of(text: str) -> dict[str, object]:
    return {"content": {"parts": [{"text": text}]}}


def decode_batch(body: bytes, *, inputs: int, provider: str) -> Event:
    """One vector per text, and the usage where it is told."""
    answer = decode(body, Batch, provider)
    vectors = [one.values for one in answer.embeddings or ()]
    return vectors_event(vectors, inputs, provider, decode_usage(bytes(answer.usage_metadata)))


def decode_one(body: bytes, *, provider: str) -> Event:
    """One vector."""
    answer = decode(body, One, provider)
    vectors = [answer.embedding.values] if answer.embedding else []
    return vectors_event(vectors, 1, provider, decode_usage(bytes(answer.usage_metadata)))


def decode_predictions(body: bytes, *, inputs: int, provider: str) -> Event:
    """One vector per text, and what they cost together."""
    answer = decode(body, Predictions, provider)
    told = [one.embeddings or Predicted() for one in answer.predictions or ()]
    counts = [one.statistics.token_count for one in told if one.statistics]
    cost = sum(tokens(int(count)) or 0 for count in counts if count is not None)
    usage = Usage(prompt_tokens=cost) if cost else None
    return vectors_event([one.values for one in told], inputs, provider, usage)


def vectors_event(vectors: list[tuple[float, ...]], inputs: int, provider: str, usage: Usage | None) -> Event:
    if len(vectors) != inputs or not all(vectors):
        raise UpstreamInvalidResponse(f"{provider} gave {len(vectors)} vectors for {inputs} inputs, or empty ones.")
    parts = tuple(Vector(values, index) for index, values in enumerate(vectors))
    return Event(parts if usage is None else (*parts, usage))


def decode(body: bytes, kind: type[T], provider: str) -> T:
    answer = proved(body, msgspec.json.Decoder(kind).decode, provider, "answered with something that is not an answer")
    if bytes(answer.error) not in NOTHING:
        raise decode_told_error(body, provider=provider)
    return answer
