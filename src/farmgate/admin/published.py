"""What is publicly known of models: a table that travels with Farmgate, read when it is first asked.

`tools/known_models.py` makes it from the package genai-prices, which is maintained by others; ADRs/0011 says why the
package itself is not installed. Nothing is ever fetched.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias

import msgspec

from farmgate.core.model import Facts
from farmgate.core.money import Price, Rates

__all__ = ["published"]

NAMES = {"gemini": "google", "vertex": "google", "bedrock": "aws", "xai": "x-ai", "moonshot": "moonshotai"}
"""Providers the table calls otherwise than we do."""
ROUTER = "huggingface"
REMEMBERED = 4096
Rule: TypeAlias = str | list[str]


class ToldRates(msgspec.Struct):
    """US dollars per million tokens: input, read from the cache, written to it, output."""

    i: Decimal | None = None
    r: Decimal | None = None
    w: Decimal | None = None
    o: Decimal | None = None

    @property
    def rates(self) -> Rates:
        return Rates(input_usd=self.i, cached_input_usd=self.r, cache_write_usd=self.w, output_usd=self.o)


class ToldPrice(ToldRates):
    """Rates from day `d` on; `a`: those for prompts above so many tokens. Without any, the price is not known."""

    d: str = ""
    a: list[tuple[int, ToldRates]] = []


class ToldModel(msgspec.Struct):
    """One model: its names, its context in tokens, its prices in the order of their days."""

    n: list[Rule]
    c: int | None = None
    p: list[ToldPrice] = []


class ToldProvider(msgspec.Struct):
    """One provider's models; `fallback`: providers whose models it also has."""

    fallback: list[str]
    models: list[ToldModel]


class Table(msgspec.Struct):
    """All of it."""

    source: str
    as_of: str
    providers: dict[str, ToldProvider]


def published(kind: str, model: str, *, day: str) -> Facts | None:
    """What is known of a model that a provider of this kind serves, with its price on that day (`2026-11-25`)."""
    told = find(kind, model)
    if told is None:
        return None
    return Facts(context_tokens=told.c, price=price_on(told, day))


def price_on(told: ToldModel, day: str) -> Price | None:
    """The price that held on a day; before the first day that is known, the first one."""
    held = next((one for one in reversed(told.p) if one.d <= day), told.p[0] if told.p else None)
    if held is None or (held.i is None and held.o is None):
        return None
    above = tuple((tokens, other.rates) for tokens, other in held.a)
    return Price(rates=held.rates, above=above, source=table().source, as_of=table().as_of)


@lru_cache(maxsize=REMEMBERED)
def find(kind: str, model: str) -> ToldModel | None:
    """A model by the name its provider calls it; callers may ask for any name, so only the latest are remembered."""
    name = model.lower()
    if kind == ROUTER:
        # Its prices are those of whom it asks, which it is told behind a colon.
        name, _, asked = name.rpartition(":")
        kind = f"{ROUTER}_{asked}"
    providers = table().providers
    provider = providers.get(NAMES.get(kind, kind))
    if provider is None:
        return None
    known = (provider, *(providers[other] for other in provider.fallback if other in providers))
    return next(filter(None, (among(one.models, name) for one in known)), None)


def among(models: list[ToldModel], name: str) -> ToldModel | None:
    """The first model that answers to a name."""
    return next((model for model in models if any(answers(rule, name) for rule in model.n)), None)


def answers(rule: Rule, name: str) -> bool:
    """Whether a name is meant by a rule, or by each of several."""
    return is_meant(rule, name) if isinstance(rule, str) else all(is_meant(one, name) for one in rule)


def is_meant(rule: str, name: str) -> bool:
    """A rule is a sign for how to compare, and the text to compare with."""
    sign, text = rule[0], rule[1:]
    match sign:
        case "=":
            return name == text
        case "^":
            return name.startswith(text)
        case "$":
            return name.endswith(text)
        case "~":
            return text in name
        case _:
            return re.search(text, name) is not None


@cache
def table() -> Table:
    """The whole table: a few milliseconds, once."""
    return msgspec.json.decode(Path(__file__).with_name("models.json").read_bytes(), type=Table)
