"""Ollama's embeddings."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Event, Usage, Vector
from farmgate.wire.counts import tokens
from farmgate.wire.ollama.errors import decode_error_line
from farmgate.wire.ollama.stream import NONE, NOTHING
from farmgate.wire.upstream import proved

__all__ = ["decode_embeddings"]


class Embedded(msgspec.Struct):
    """The answer of /api/embed, in the order of the inputs."""

    embeddings: list[tuple[float, ...]] | None = None
    prompt_eval_count: int | None = None
    error: msgspec.Raw = NONE


decode = msgspec.json.Decoder(Embedded).decode


def decode_embeddings(body: bytes, *, inputs: int, provider: str, model: str = "") -> Event:
    """One vector per input, and the usage. Raises UpstreamInvalidResponse for anything else, or the error in it."""
    answer = proved(body, decode, provider, "answered with something that is not an answer")
    if bytes(answer.error) not in NOTHING:
        raise decode_error_line(body, provider=provider, model=model)
    vectors = answer.embeddings or []
    if len(vectors) != inputs or not all(vectors):
        raise UpstreamInvalidResponse(f"{provider} gave {len(vectors)} vectors for {inputs} inputs, or empty ones.")
    usage = Usage(prompt_tokens=tokens(answer.prompt_eval_count) or 0)
    return Event((*(Vector(values, index) for index, values in enumerate(vectors)), usage))
