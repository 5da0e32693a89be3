"""OpenAI's whole answers: read from a provider, written for a caller."""

from __future__ import annotations

import base64
import struct

import msgspec

from farmgate.core.answer import Answer, Choice
from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Event, FinishReason, Part, Usage, Vector
from farmgate.core.model import ModelInfo
from farmgate.core.request import Kind
from farmgate.wire.openai.errors import decode_told_error, is_flat_error
from farmgate.wire.openai.models import encode_facts
from farmgate.wire.openai.proofs import encode_proof
from farmgate.wire.openai.stream import EMPTY, NONE, OPENAI, encode_logprobs
from farmgate.wire.openai.usage import decode_usage, encode_usage
from farmgate.wire.openai.words import answer_parts
from farmgate.wire.upstream import proved

__all__ = ["Whole", "decode_whole", "encode_answer", "encode_embeddings", "encode_model", "encode_models"]


EMBEDDING = Kind.EMBEDDING


class WholeHead(msgspec.Struct):
    """What must be known of a whole answer to relay it."""

    choices: msgspec.Raw = NONE
    data: msgspec.Raw = NONE
    usage: msgspec.Raw = NONE
    error: msgspec.Raw = NONE


decode_head = msgspec.json.Decoder(WholeHead).decode


class Whole(Event):
    """A whole answer as it came from an OpenAI-compatible provider; the words are decoded on demand."""

    __slots__ = ("kind",)

    def __init__(self, raw: bytes, *, kind: Kind, usage: Usage | None) -> None:
        self.raw = raw
        self.kind = kind
        self.dialect = OPENAI
        self.bears_content = True
        self.usage = usage

    @property
    def parts(self) -> tuple[Part, ...]:
        words = vectors(self.raw) if self.kind is Kind.EMBEDDING else answer_parts(self.raw)
        return (*words, self.usage) if self.usage else tuple(words)


def decode_whole(body: bytes, *, kind: Kind, provider: str) -> Whole:
    """A provider's 200 answer. Raises UpstreamInvalidResponse for anything that is not one, or the error in it."""
    head = proved(body, decode_head, provider, "answered with something that is not an answer")
    if head.error is not NONE and bytes(head.error) not in EMPTY:
        raise decode_told_error(body, provider=provider)
    usage = None if head.usage is NONE else decode_usage(bytes(head.usage))
    said = bytes(head.data if kind is EMBEDDING else head.choices)
    # A list without items is an answer only where the provider says what it cost.
    if not said and is_flat_error(body):
        raise decode_told_error(body, provider=provider)
    if said[:1] != b"[" or (usage is None and said[1:].lstrip()[:1] == b"]"):
        raise UpstreamInvalidResponse(f"{provider} answered without an answer in it.")
    return Whole(body, kind=kind, usage=usage)


class Item(msgspec.Struct):
    """One embedding: numbers, or base64 of little-endian 32-bit floats."""

    embedding: list[float] | str
    index: int | None = None


class Items(msgspec.Struct):
    """The embeddings of an answer."""

    data: list[Item]


decode_items = msgspec.json.Decoder(Items).decode


def vectors(body: bytes) -> list[Part]:
    """The embeddings in a whole answer."""
    try:
        return [vector_of(item, at) for at, item in enumerate(decode_items(body).data)]
    except (msgspec.DecodeError, RecursionError, ValueError, struct.error) as error:
        raise UpstreamInvalidResponse("The provider's embeddings are not of the form they should be.") from error


def vector_of(item: Item, at: int) -> Vector:
    """One embedding, numbered by its place where it has no index."""
    told = item.embedding
    if isinstance(told, str):
        packed = base64.b64decode(told, validate=True)
        values: tuple[float, ...] = struct.unpack(f"<{len(packed) // 4}f", packed)
    else:
        values = tuple(told)
    return Vector(values, at if item.index is None else item.index)


def encode_answer(
    answer: Answer, *, id: str, kind: Kind, model: str, created_unix: int, dropped: tuple[str, ...] = ()
) -> dict[str, object]:
    """A chat completion or completion object. `dropped`: what of the request the provider could not be told."""
    is_chat = kind is Kind.CHAT
    choices = [
        (chat_choice if is_chat else text_choice)(index, choice) for index, choice in sorted(answer.choices.items())
    ]
    told: dict[str, object] = {
        "id": id,
        "object": "chat.completion" if is_chat else "text_completion",
        "created": created_unix,
        "model": model,
        "choices": choices,
    }
    if answer.usage is not None:
        told["usage"] = encode_usage(answer.usage, dropped=dropped)
    return told


def chat_choice(index: int, choice: Choice) -> dict[str, object]:
    """One choice of a chat completion."""
    message: dict[str, object] = {"role": "assistant", "content": choice.text, "refusal": choice.refusal or None}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.annotations:
        message["annotations"] = choice.annotations
    if choice.tools or choice.refusals:
        message["content"] = choice.text or None
    if choice.tools:
        message["tool_calls"] = [
            {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}
            | encode_proof(use.signature)
            for _, use in sorted(choice.tools.items())
        ]
    return {
        "index": index,
        "message": message,
        "logprobs": encode_logprobs(choice.logprobs) if choice.logprobs else None,
        "finish_reason": choice.finish or FinishReason.STOP,
    }


def text_choice(index: int, choice: Choice) -> dict[str, object]:
    """One choice of a completion. A refusal is text too: there is no other place for it."""
    return {
        "index": index,
        "text": choice.text + choice.refusal,
        "logprobs": None,
        "finish_reason": choice.finish or FinishReason.STOP,
    }


def encode_embeddings(answer: Answer, *, model: str, as_base64: bool) -> dict[str, object]:
    """A list of embeddings; base64 is of little-endian 32-bit floats."""

    def told(values: tuple[float, ...]) -> object:
        if not as_base64:
            return values
        try:
            return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
        except OverflowError as error:
            raise UpstreamInvalidResponse("An embedding holds a number too large for 32 bits.") from error

    usage = answer.usage or Usage(estimated=True)
    return {
        "object": "list",
        "model": model,
        "data": [
            {"object": "embedding", "index": index, "embedding": told(values)}
            for index, values in sorted(answer.vectors.items())
        ],
        "usage": {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens},
    }


def encode_model(model: ModelInfo, *, id: str) -> dict[str, object]:
    """One entry of the list of models: OpenAI's four fields, then what else is known."""
    told: dict[str, object] = {
        "id": id,
        "object": "model",
        "created": model.created_unix,
        "owned_by": model.provider,
        "provider": model.provider,
    }
    if model.parent is not None:
        told["parent"] = model.parent
    told |= encode_facts(model)
    if model.loaded is not None:
        told["status"] = "loaded" if model.loaded else "available"
    return told


def encode_models(models: list[tuple[str, ModelInfo]]) -> dict[str, object]:
    """The list of models, each under the id it is called by."""
    return {"object": "list", "data": [encode_model(model, id=name) for name, model in models]}
