"""A model in Farmgate's own words, both ways: what `GET /api/ai/models` and `farmgate ls --json` say of it.

Prices are US dollars per million tokens. `capabilities` has true and false for what is known, nothing for what is not.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec

from farmgate.core.model import Capability, Facts, ModelInfo
from farmgate.core.money import Price, Rates

__all__ = ["ToldModel", "ToldPrice", "ToldRates", "decode_models", "encode_facts", "encode_origin", "public"]


class ToldRates(msgspec.Struct, rename="camel", omit_defaults=True):
    """What is not known is not told."""

    input: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None
    output: float | None = None


class ToldStep(ToldRates, rename="camel", omit_defaults=True, kw_only=True):
    """Rates from a number of tokens on."""

    prompt_tokens: int = 0


class ToldPrice(ToldRates, rename="camel", omit_defaults=True, kw_only=True):
    """A price. `above`: other rates, for whole calls with a prompt of more tokens."""

    above: list[ToldStep] = []
    currency: str = ""
    source: str = ""
    as_of: str | None = None


class ToldModel(msgspec.Struct, rename="camel"):
    """An entry of the list."""

    name: str
    provider: str = ""
    size: int | None = None
    description: str | None = None
    loaded: bool | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: dict[str, bool] = {}
    price: ToldPrice | None = None
    parent: str | None = None
    source: str | None = None
    revision: str | None = None
    licence: str | None = None


def encode_facts(model: Facts) -> dict[str, object]:
    """What is known of a model, but its context."""
    told: dict[str, object] = {
        "maxOutputTokens": model.max_output_tokens,
        "capabilities": {str(one): one in model.capabilities for one in Capability if one in known(model)} or None,
        "price": msgspec.to_builtins(told_price(model.price)) if model.price else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def encode_origin(model: ModelInfo) -> dict[str, object]:
    """The model that an adapter is of; where a pulled model came from, as far as that is known."""
    told = {"parent": model.parent, "source": model.source, "revision": model.revision, "licence": model.licence}
    return {name: value for name, value in told.items() if value is not None}


def public(model: ModelInfo) -> ModelInfo:
    """The same as callers may know it: an address or a path is the business of whoever runs the machine."""
    is_hub = model.source is not None and model.source.startswith("hf:")
    return model if is_hub else replace(model, source=None)


def known(model: Facts) -> frozenset[Capability]:
    return model.capabilities | model.lacks


def told_price(price: Price) -> ToldPrice:
    return ToldPrice(
        **amounts(price.rates),
        above=[ToldStep(prompt_tokens=tokens, **amounts(rates)) for tokens, rates in price.above],
        currency="USD",
        source=price.source,
        as_of=price.as_of,
    )


def amounts(rates: Rates) -> dict[str, float | None]:
    return {
        "input": number(rates.input_usd),
        "cached_input": number(rates.cached_input_usd),
        "cache_write": number(rates.cache_write_usd),
        "output": number(rates.output_usd),
    }


def number(amount: Decimal | None) -> float | None:
    """JSON has no decimals; fifteen digits are exact enough to be shown."""
    return None if amount is None else float(amount)


def decode_models(told: object) -> list[ModelInfo]:
    """The list, as another Farmgate of any version told it. Raises msgspec.ValidationError where it is none."""
    return [model_of(entry) for entry in msgspec.convert(told, list[ToldModel])]


def model_of(entry: ToldModel) -> ModelInfo:
    said = {Capability(name): can for name, can in entry.capabilities.items() if name in list(Capability)}
    has = frozenset(one for one, can in said.items() if can)
    return ModelInfo(
        name=entry.name,
        provider=entry.provider,
        size_bytes=entry.size,
        description=entry.description,
        loaded=entry.loaded,
        context_tokens=entry.context_tokens,
        max_output_tokens=entry.max_output_tokens,
        capabilities=has,
        lacks=frozenset(said) - has,
        price=price_of(entry.price) if entry.price else None,
        parent=entry.parent,
        source=entry.source,
        revision=entry.revision,
        licence=entry.licence,
    )


def price_of(told: ToldPrice) -> Price:
    above = tuple((step.prompt_tokens, rates_of(step)) for step in told.above)
    return Price(rates=rates_of(told), above=above, source=told.source, as_of=told.as_of)


def rates_of(told: ToldRates) -> Rates:
    def exact(amount: float | None) -> Decimal | None:
        return None if amount is None else Decimal(repr(amount))

    return Rates(
        input_usd=exact(told.input),
        cached_input_usd=exact(told.cached_input),
        cache_write_usd=exact(told.cache_write),
        output_usd=exact(told.output),
    )
