"""KServe's v2 inference, for models that embed: texts in one tensor, vectors in another.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Event, Vector
from farmgate.core.words import Embed
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.strictjson import encode
from farmgate.wire.triton.errors import error_of
from farmgate.wire.upstream import proved

__all__ = ["Listed", "Tensors", "decode_index", "decode_infer", "encode_infer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensors:
    """What a model calls its tensors. `is_batched`: Triton batches it, so each text is a row of its own."""

    input: str = "text_input"
    output: str = "embedding"
    is_batched: bool = True


def encode_infer(words: Embed, tensors: Tensors, *, provider: str) -> Outgoing:
    """The body for `/infer`, all texts in one."""
    losses = Losses(provider)
    if words.dimensions is not None:
        raise losses.refuse("dimensions", "its models have one size")
    losses.drop_if(words.user, "user")
    losses.leave(words.extra)
    count = len(words.inputs)
    asked = {
        "name": tensors.input,
        "shape": [count, 1] if tensors.is_batched else [count],
        "datatype": "BYTES",
        "data": words.inputs,
    }
    return Outgoing(body=encode({"inputs": [asked], "outputs": [{"name": tensors.output}]}), dropped=losses.dropped)


class Tensor(msgspec.Struct):
    """An output. `data` is flat, or nested as its shape is."""

    name: str
    data: list[object] | None = None


class Inferred(msgspec.Struct):
    """An answer of `/infer`."""

    outputs: list[Tensor] | None = None
    error: str | None = None


class Listed(msgspec.Struct):
    """One version of a model in the repository; `state` is left out by servers that know none."""

    name: str
    version: str | None = None
    state: str | None = None
    reason: str | None = None


decode_inferred = msgspec.json.Decoder(Inferred).decode
decode_listed = msgspec.json.Decoder(list[Listed]).decode


def decode_infer(body: bytes, tensors: Tensors, *, texts: int, provider: str, model: str = "") -> Event:
    """One vector a text. Raises UpstreamInvalidResponse for anything else, or the error in it."""
    answer = proved(body, decode_inferred, provider, "answered with something that is not an answer")
    if answer.error is not None:
        raise error_of(500, answer.error, provider=provider, model=model)
    found = [tensor for tensor in answer.outputs or () if tensor.name == tensors.output]
    values = flat(found[0].data or []) if found else []
    if not values or len(values) % texts:
        raise UpstreamInvalidResponse(
            f"{provider} gave no vector for each text in the tensor {tensors.output!r}: is it named rightly?"
        )
    size = len(values) // texts
    return Event(tuple(Vector(tuple(values[at * size : (at + 1) * size]), at) for at in range(texts)))


def flat(data: list[object]) -> list[float]:
    """The numbers of a tensor in their order; none where something in it is no number."""
    values: list[float] = []
    left: list[object] = [data]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left.extend(reversed(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            values.append(float(value))
        else:
            return []
    return values


def decode_index(body: bytes, *, provider: str) -> list[Listed]:
    """The models in the repository. Raises UpstreamInvalidResponse."""
    return proved(body, decode_listed, provider, "lists its models in a form we do not know")
