"""The embedding models on Bedrock: each maker's own body, for Titan one text a request and for Cohere many."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from farmgate.core.errors import ModelNotCapable, UpstreamInvalidResponse
from farmgate.core.words import Embed
from farmgate.wire.bedrock.usage import believable
from farmgate.wire.losses import Losses
from farmgate.wire.strictjson import encode

__all__ = ["Embedded", "Maker", "decode_embedding", "encode_embeddings", "maker_of"]

MOST_TEXTS = 96
KNOWN_TO_COHERE = ("input_type", "truncate")


class Maker(StrEnum):
    """Whose form a model takes, by what stands in its id."""

    TITAN_V1 = "titan-embed-text-v1"
    TITAN_IMAGE = "titan-embed-image"
    TITAN = "titan-embed"
    COHERE = "cohere.embed"


class Embedded(msgspec.Struct):
    """What one request gave: vectors in the order of its texts, and tokens where the body tells them."""

    vectors: list[tuple[float, ...]]
    tokens: int | None = None


def maker_of(model: str, *, provider: str) -> Maker:
    """Raises ModelNotCapable for a model whose form is not known here."""
    for maker in Maker:
        if maker in model:
            return maker
    raise ModelNotCapable(
        f"{provider} embeds with Amazon's Titan and Cohere's models: {model[:200]!r} is neither.", param="model"
    )


def encode_embeddings(words: Embed, maker: Maker, losses: Losses) -> tuple[bytes, ...]:
    """The bodies for `/invoke`, in the order of the texts."""
    losses.drop_if(words.user, "user")
    losses.leave(words.extra, known=KNOWN_TO_COHERE if maker is Maker.COHERE else ("normalize",))
    if maker is Maker.COHERE:
        return cohere_bodies(words)
    more: dict[str, object] = {}
    if words.dimensions is not None:
        match maker:
            case Maker.TITAN_V1:
                raise losses.refuse("dimensions", "Titan's first model has one size")
            case Maker.TITAN_IMAGE:
                more["embeddingConfig"] = {"outputEmbeddingLength": words.dimensions}
            case _:
                more["dimensions"] = words.dimensions
    if words.extra.get("normalize") is not None:
        more["normalize"] = words.extra["normalize"]
    return tuple(encode({"inputText": text} | more) for text in words.inputs)


def cohere_bodies(words: Embed) -> tuple[bytes, ...]:
    """Texts that are too long are refused, not cut, unless the caller says otherwise."""
    more: dict[str, object] = {
        "input_type": words.extra.get("input_type") or "search_document",
        "truncate": words.extra.get("truncate") or "NONE",
        "embedding_types": ["float"],
    }
    if words.dimensions is not None:
        more["output_dimension"] = words.dimensions
    texts = words.inputs
    return tuple(encode({"texts": texts[at : at + MOST_TEXTS]} | more) for at in range(0, len(texts), MOST_TEXTS))


class OfTitan(msgspec.Struct, rename="camel"):
    """Titan's answer."""

    embedding: tuple[float, ...]
    input_text_token_count: object = None


class OfCohere(msgspec.Struct):
    """Cohere's answer: its newer models tell vectors by their type."""

    embeddings: list[tuple[float, ...]] | Mapping[str, msgspec.Raw]


decode_titan = msgspec.json.Decoder(OfTitan).decode
decode_cohere = msgspec.json.Decoder(OfCohere).decode
decode_vectors = msgspec.json.Decoder(list[tuple[float, ...]]).decode


def decode_embedding(body: bytes, maker: Maker, *, provider: str) -> Embedded:
    """Raises UpstreamInvalidResponse for what is no embedding."""
    try:
        if maker is not Maker.COHERE:
            titan = decode_titan(body)
            embedded = Embedded([titan.embedding], believable(titan.input_text_token_count))
        else:
            told = decode_cohere(body).embeddings
            embedded = Embedded(told if isinstance(told, list) else decode_vectors(told["float"]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise UpstreamInvalidResponse(f"{provider} answered with something that is no embedding.") from error
    if not all(embedded.vectors):
        raise UpstreamInvalidResponse(f"{provider} gave an empty embedding.")
    return embedded
