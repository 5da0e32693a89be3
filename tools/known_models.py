"""The table of published models that travels with Farmgate, made from the data of the package genai-prices.

Only what is looked up travels: the names, the context and the rates per million tokens. A price that is not one per
token (by the request, the hour or the letter) is left out: unknown is better than wrong. Where a price depends on the
time of day, that of the part of the day which is told last stands: for every such model there is, the dearer one.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import genai_prices
from genai_prices import types
from genai_prices.data import providers

LICENCE = "MIT, Copyright (c) Pydantic Services Inc."
RATES = {"input_mtok": "i", "cache_read_mtok": "r", "cache_write_mtok": "w", "output_mtok": "o"}
NOT_PER_TOKEN = ("requests_kcount",)
Rule: TypeAlias = str | list[str]


def known_models(before: Path) -> str:
    """The text of the table. It is as of the day the package's version was first taken, which `before` remembers."""
    head = {"source": f"genai-prices {genai_prices.__version__}", "licence": LICENCE}
    lines = [f'"{name}": {json.dumps(value)},' for name, value in (head | {"as_of": day(before, head)}).items()]
    lines.append('"providers": {')
    lines += [",\n".join(map(provider_text, sorted(providers, key=lambda one: one.id)))]
    return "\n".join(["{", *lines, "}", "}"]) + "\n"


def day(before: Path, head: Mapping[str, object]) -> str:
    told = json.loads(before.read_text()) if before.exists() else {}
    return (
        str(told["as_of"])
        if told.get("source") == head["source"]
        else datetime.datetime.now(datetime.UTC).date().isoformat()
    )


def provider_text(provider: types.Provider) -> str:
    models = ",\n".join(compact(model_of(model)) for model in provider.models)
    fallback = compact(provider.fallback_model_providers or [])
    return f'{json.dumps(provider.id)}: {{"fallback": {fallback}, "models": [\n{models}\n]}}'


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def model_of(model: types.ModelInfo) -> dict[str, object]:
    """One model: `n` its names, `c` its context, `p` its prices, each from a day on."""
    told: dict[str, object] = {"n": rules_of(model.match)}
    if model.context_window:
        told["c"] = model.context_window
    prices = list(periods(model))
    if prices:
        told["p"] = prices
    return told


def rules_of(clause: types.MatchLogic) -> list[Rule]:
    """The names of a model, any of which it answers to; a list in it is rules that must all hold."""
    inner = clause.or_ if isinstance(clause, types.ClauseOr) else [clause]
    return [[rule_of(each) for each in one.and_] if isinstance(one, types.ClauseAnd) else rule_of(one) for one in inner]


def rule_of(clause: types.MatchLogic) -> str:
    """A sign for how to compare, and the text to compare with: `=`, `^` begins, `$` ends, `~` holds, `/` a pattern."""
    match clause:
        case types.ClauseEquals(equals=text):
            return f"={text.lower()}"
        case types.ClauseStartsWith(starts_with=text):
            return f"^{text.lower()}"
        case types.ClauseEndsWith(ends_with=text):
            return f"${text.lower()}"
        case types.ClauseContains(contains=text):
            return f"~{text.lower()}"
        case types.ClauseRegex(regex=text):
            return f"/{text}"
    raise ValueError(f"genai-prices compares names in a new way: {clause!r}")


def periods(model: types.ModelInfo) -> Iterable[dict[str, object]]:
    """The prices of a model, oldest first. Those of a time of day stand for the whole day."""
    if isinstance(model.prices, types.ModelPrice):
        yield from price_of(model.prices, "")
        return
    began = ""
    dated: dict[str, types.ModelPrice] = {}
    for one in model.prices:
        if isinstance(one.constraint, types.StartDateConstraint):
            began = one.constraint.start_date.isoformat()
        dated[began] = one.prices
    for since, price in sorted(dated.items()):
        yield from price_of(price, since)


def price_of(price: types.ModelPrice, since: str) -> Iterable[dict[str, object]]:
    """`i`, `r`, `w` and `o` as texts, `d` the day they begin, `a` other rates above a number of tokens."""
    told = {key: getattr(price, key) for key in (*RATES, *NOT_PER_TOKEN)}
    is_priced = told["input_mtok"] is not None or told["output_mtok"] is not None
    by_request = any(told[key] is not None for key in NOT_PER_TOKEN)
    found: dict[str, object] = {"d": since} if since else {}
    if not is_priced or by_request:
        # It ends what was known before: from that day on nobody can say what a token costs.
        yield from [found] if since else []
        return
    found |= rates(told, 0)
    starts = sorted({tier.start for value in told.values() if tiered(value) for tier in value.tiers})
    if starts:
        found["a"] = [[start, rates(told, start + 1)] for start in starts]
    yield found


def tiered(value: object) -> bool:
    return isinstance(value, types.TieredPrices)


def rates(told: Mapping[str, object], tokens: int) -> dict[str, str]:
    """The rates that hold for a prompt of so many tokens."""
    return {RATES[key]: text_of(value, tokens) for key, value in told.items() if key in RATES and value is not None}


def text_of(value: object, tokens: int) -> str:
    if isinstance(value, types.TieredPrices):
        value = next((tier.price for tier in reversed(value.tiers) if tokens > tier.start), value.base)
    assert isinstance(value, Decimal)
    return f"{value.normalize():f}"
