"""The list of models, as servers that speak OpenAI write it: an id for sure, and whatever else each likes to tell.

What is told, and by whom: `context_length` (OpenRouter, Together, Fireworks), `max_model_len` (vLLM, SGLang),
`context_window` (Groq), `max_context_length` (Mistral), `meta.n_ctx` (llama.cpp); prices per token as texts
(OpenRouter) or per million as numbers (Together); `architecture.input_modalities` (OpenRouter, llama.cpp);
`supported_parameters` (OpenRouter); `capabilities` (Mistral, and Farmgate itself); `supports_tools` and
`supports_image_input` (Fireworks). What is of another kind than it should be counts as not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.model import CHAT_CAPABILITIES, Capability, Facts, ModelInfo
from farmgate.core.money import Price, Rates

__all__ = ["decode_models", "encode_facts"]

MOST_TOKENS = 1 << 40
MOST_USD = Decimal(1_000_000)
MILLION = 1_000_000
SHORTENED_BELOW = 8192
CONTEXTS = ("context_length", "max_model_len", "context_window", "max_context_length")
MISTRAL = {
    "completion_chat": Capability.CHAT,
    "function_calling": Capability.TOOLS,
    "vision": Capability.VISION,
    "audio": Capability.AUDIO,
}
FLAGS = {"supports_tools": Capability.TOOLS, "supports_image_input": Capability.VISION}
MODALITIES = {Capability.VISION: "image", Capability.AUDIO: "audio", Capability.FILES: "file"}
PARAMETERS: Mapping[Capability, tuple[str, ...]] = {
    Capability.TOOLS: ("tools", "tool_choice"),
    Capability.STRUCTURED: ("structured_outputs", "response_format"),
    Capability.REASONING: ("reasoning", "include_reasoning"),
}
"""What a model takes that can do it, in OpenRouter's words."""


class ModelList(msgspec.Struct):
    """A provider's list of models."""

    data: list[dict[str, object]]


# Together lists its models without an object around them.
decode_list = msgspec.json.Decoder(ModelList | list[dict[str, object]]).decode


def decode_models(body: bytes, *, provider: str, day: str | None = None) -> tuple[ModelInfo, ...]:
    """What a provider lists, read on that day. Raises UpstreamInvalidResponse where it is no list of models."""
    try:
        listed = decode_list(body)
        entries = listed if isinstance(listed, list) else listed.data
        return tuple(model_of(entry, named(entry), provider, day) for entry in entries)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse(f"{provider} lists its models in a form we do not know.") from error


def named(entry: Mapping[str, object]) -> str:
    """Raises msgspec.ValidationError for an entry without an id."""
    return msgspec.convert(entry.get("id"), str)


def model_of(entry: Mapping[str, object], name: str, provider: str, day: str | None) -> ModelInfo:
    told = Abilities.of(entry)
    return ModelInfo(
        name=name,
        provider=provider,
        context_tokens=context_of(entry),
        max_output_tokens=tokens(entry.get("max_completion_tokens"))
        or tokens(within(entry, "top_provider").get("max_completion_tokens"))
        or tokens(entry.get("max_output_tokens")),
        capabilities=told.has,
        lacks=told.lacks,
        price=price_of(within(entry, "pricing"), provider, day),
        created_unix=whole_number(entry.get("created")) or 0,
    )


def within(entry: Mapping[str, object], key: str) -> Mapping[str, object]:
    inner = entry.get(key)
    return inner if isinstance(inner, dict) else {}


def texts(value: object) -> frozenset[str]:
    return frozenset(item for item in value if isinstance(item, str)) if isinstance(value, list) else frozenset()


def whole_number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 53 else None


def tokens(value: object) -> int | None:
    """A number of tokens; 0 stands for unknown in several lists."""
    return value if type(value) is int and 0 < value < MOST_TOKENS else None


def context_of(entry: Mapping[str, object]) -> int | None:
    found = next(filter(None, (tokens(entry.get(key)) for key in CONTEXTS)), None)
    if found is not None and "top_provider" in entry and found <= SHORTENED_BELOW:
        # OpenRouter shortens prompts for small contexts by itself, so that nothing is too long for them.
        return None
    return found or tokens(within(entry, "meta").get("n_ctx"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a list says that a model can, and that it cannot."""

    has: frozenset[Capability]
    lacks: frozenset[Capability]

    @classmethod
    def of(cls, entry: Mapping[str, object]) -> Abilities:
        said = dict(said_of(entry))
        has = frozenset(one for one, can in said.items() if can)
        return cls(has=has, lacks=frozenset(said) - has)


def said_of(entry: Mapping[str, object]) -> Iterator[tuple[Capability, bool]]:
    """Each capability that something is said of. Where it is told in so many words, nothing else is concluded."""
    told = within(entry, "capabilities")
    plain = [
        (one, can)
        for name, one in (MISTRAL | {str(one): one for one in CHAT_CAPABILITIES}).items()
        if isinstance(can := told.get(name), bool)
    ]
    yield from plain or concluded_of(entry)


def concluded_of(entry: Mapping[str, object]) -> Iterator[tuple[Capability, bool]]:
    takes = texts(within(entry, "architecture").get("input_modalities"))
    knows = texts(entry.get("supported_parameters"))
    if "text" in takes:
        yield Capability.VISION, "image" in takes
        if knows:
            yield Capability.AUDIO, "audio" in takes
        if "file" in takes:
            # Where it is not named, OpenRouter reads documents for the model.
            yield Capability.FILES, True
    if knows:
        for capability, names in PARAMETERS.items():
            yield capability, any(name in knows for name in names)
    for flag, capability in FLAGS.items():
        if isinstance(can := entry.get(flag), bool):
            yield capability, can


def price_of(pricing: Mapping[str, object], provider: str, day: str | None) -> Price | None:
    """Per token in texts, or per million in numbers. A price of nothing is only believed where it is per token:
    Together writes it for what it does not sell by the token. What costs something by the request too has no price.
    """
    by_token = Rates(
        input_usd=usd(pricing.get("prompt"), per=MILLION),
        cached_input_usd=usd(pricing.get("input_cache_read"), per=MILLION),
        cache_write_usd=usd(pricing.get("input_cache_write"), per=MILLION),
        output_usd=usd(pricing.get("completion"), per=MILLION),
    )
    by_million = Rates(
        input_usd=usd(pricing.get("input")),
        cached_input_usd=usd(pricing.get("cached_input")),
        output_usd=usd(pricing.get("output")),
    )
    source = f"list of {provider}"
    if by_token.input_usd is not None and by_token.output_usd is not None:
        return None if usd(pricing.get("request")) else Price(rates=by_token, source=source, as_of=day)
    if by_million.input_usd or by_million.output_usd:
        return Price(rates=by_million, source=source, as_of=day)
    return None


def usd(value: object, *, per: int = 1) -> Decimal | None:
    """Dollars, times `per`. Negative ones say that it depends."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        amount = Decimal(str(value)[:40]) * per
    except InvalidOperation:
        return None
    return amount.normalize() if amount.is_finite() and 0 <= amount <= MOST_USD else None


# ------------------------------------------------------------------------------------------------- what we list


def encode_facts(model: Facts) -> dict[str, object]:
    """What is known of a model beyond OpenAI's fields, in OpenRouter's words.

    `capabilities` says what those cannot: what is not in it is not known.
    """
    told: dict[str, object] = {}
    if model.context_tokens is not None:
        told["context_length"] = model.context_tokens
    if model.max_output_tokens is not None:
        told["max_output_tokens"] = model.max_output_tokens
    if model.price is not None:
        told["pricing"] = encode_rates(model.price.rates)
    return told | encode_abilities(model)


def encode_rates(rates: Rates) -> dict[str, str]:
    """Dollars per token, as texts; only what is known."""
    amounts = {
        "prompt": rates.input_usd,
        "completion": rates.output_usd,
        "input_cache_read": rates.cached_input_usd,
        "input_cache_write": rates.cache_write_usd,
    }
    return {name: f"{(amount / MILLION).normalize():f}" for name, amount in amounts.items() if amount is not None}


def encode_abilities(model: Facts) -> dict[str, object]:
    """Modalities and parameters where it is known whether the model sees, and whether it calls tools."""
    has, lacks = model.capabilities, model.lacks
    known = has | lacks
    told: dict[str, object] = {}
    if Capability.VISION in known:
        takes = ["text", *(word for one, word in MODALITIES.items() if one in has)]
        told["architecture"] = {"input_modalities": takes, "output_modalities": ["text"]}
    if Capability.TOOLS in known:
        told["supported_parameters"] = [name for one, names in PARAMETERS.items() if one in has for name in names]
    abilities = {str(one): one in has for one in CHAT_CAPABILITIES if one in known}
    return told | ({"capabilities": abilities} if abilities else {})
