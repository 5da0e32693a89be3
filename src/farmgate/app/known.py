"""What is known of models beside what their providers list: what the configuration states, and what is published."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

from farmgate.admin.prices import Beside
from farmgate.config import Config
from farmgate.config.schema import Model, Provider
from farmgate.config.schema import Rates as StatedRates
from farmgate.core.model import CHAT_CAPABILITIES, Capability, Facts
from farmgate.core.money import Price, Rates
from farmgate.providers.registry import CODED, LOCAL, ROWS, is_cloud

__all__ = ["known_beside"]

AT_OWN_ADDRESS = frozenset({"azure", "bedrock", "vertex"})
"""Clouds that everybody reaches at an address of their own."""


def known_beside(config: Config) -> Beside:
    """Pure: nothing is read or looked up."""
    kinds = {kind: kind for kind in (*ROWS, *CODED) if is_cloud(kind)}
    for name, entry in config.ai.providers.items():
        kinds.pop(name, None)
        kind = entry.provider or name
        if is_cloud(kind) and is_at_home(kind, entry):
            kinds[name] = kind
    names = {*config.ai.providers, LOCAL}
    stated = {addressed(key, names): facts_of(model) for key, model in config.ai.models.items()}
    here = [LOCAL, *(name for name, entry in config.ai.providers.items() if (entry.provider or name) == LOCAL)]
    parents = {
        (provider, f"{name}:{adapter}"): name
        for name, entry in config.models.items()
        for adapter in entry.adapters
        for provider in here
    }
    return Beside(stated=stated, kinds=kinds, parents=parents)


def is_at_home(kind: str, entry: Provider) -> bool:
    """Whether it is the provider itself that answers, and not another server that speaks like it."""
    if entry.url is None or kind in AT_OWN_ADDRESS:
        return True
    host, own = urlsplit(entry.url).hostname, urlsplit(ROWS[kind].url).hostname if kind in ROWS else None
    return own is not None and f".{host}".endswith(f".{own}")


def addressed(key: str, providers: set[str]) -> tuple[str | None, str]:
    """`openai/gpt-4o` is a model of the provider of that name where there is one, else a model that is called so."""
    head, slash, rest = key.partition("/")
    return (head, rest) if slash and rest and head in providers else (None, key)


def facts_of(stated: Model) -> Facts:
    """A list of capabilities is the whole of them: what it leaves out is lacking."""
    told = stated.capabilities
    has = frozenset(map(Capability, told or ()))
    return Facts(
        context_tokens=stated.context_tokens,
        max_output_tokens=stated.max_output_tokens,
        capabilities=has,
        lacks=frozenset() if told is None else frozenset(CHAT_CAPABILITIES) - has,
        price=price_of(stated.price) if stated.price else None,
    )


def price_of(stated: StatedRates) -> Price:
    rates = Rates(
        input_usd=as_written(stated.input),
        cached_input_usd=as_written(stated.cached_input),
        cache_write_usd=as_written(stated.cache_write),
        output_usd=as_written(stated.output),
    )
    return Price(rates=rates, source="configuration")


def as_written(amount: float | None) -> Decimal | None:
    """0.1 as the operator wrote it, not the nearest there is in binary."""
    return None if amount is None else Decimal(repr(amount))
