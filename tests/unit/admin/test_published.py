"""The table that travels says what genai-prices says, model by model and call by call, and is read when it is asked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, types
from genai_prices.data import providers

from farmgate.admin.prices import cost_usd
from farmgate.admin.published import NAMES, among, find, price_on, published, table

TODAY = "2026-11-25"
PACKAGE = {provider.id: provider for provider in providers}
SHOWN = [(provider, model) for provider in providers for model in provider.models]
COUNTED = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"}


@dataclass(frozen=True)
class Tokens:
    """What a call used."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0


SMALL = Tokens(prompt_tokens=1_000, completion_tokens=500, cached_tokens=300, cache_write_tokens=200)
LARGE = Tokens(prompt_tokens=1_500_000, completion_tokens=9_000, cached_tokens=400_000, cache_write_tokens=100_000)


def theirs(provider: types.Provider, model: types.ModelInfo, used: Tokens, at: datetime) -> Decimal:
    price = model.get_prices(at)
    counted = types.ModelPrice(**{key: value for key, value in vars(price).items() if key in COUNTED})
    usage = Usage(
        input_tokens=used.prompt_tokens,
        output_tokens=used.completion_tokens,
        cache_read_tokens=used.cached_tokens,
        cache_write_tokens=used.cache_write_tokens,
    )
    return counted.calc_price(usage)["total_price"]


def is_by_day(model: types.ModelInfo) -> bool:
    """Whether its price is the same all day."""
    told = [] if isinstance(model.prices, types.ModelPrice) else model.prices
    return not any(isinstance(one.constraint, types.TimeOfDateConstraint) for one in told)


@pytest.mark.parametrize("at", [datetime(2024, 6, 1, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)])
def test_every_model_costs_what_the_package_says_to_the_last_digit(at: datetime) -> None:
    compared = 0
    for provider, model in SHOWN:
        if provider.find_model(model.id) is not model or not is_by_day(model):
            continue  # some ids are none of the names a model answers to
        told = among(table().providers[provider.id].models, model.id.lower())
        assert told is not None, (provider.id, model.id)
        price = price_on(told, at.date().isoformat())
        for used in (SMALL, LARGE):
            ours = cost_usd(used, price)
            if ours is None:
                continue
            compared += 1
            assert ours == theirs(provider, model, used, at), (provider.id, model.id)
    assert compared > 3500


def test_every_name_the_package_knows_means_the_same_model() -> None:
    for provider, model in SHOWN:
        if provider.id.startswith("huggingface_") or provider.id in NAMES:
            continue
        found = find(provider.id, model.id)
        meant = provider.find_model(model.id, all_providers=list(PACKAGE.values()))
        assert (found and found.c) == (meant and meant.context_window), (provider.id, model.id)


@pytest.mark.parametrize(
    ("kind", "model", "context_tokens"),
    [
        ("openai", "gpt-4o-mini", 128_000),
        ("openai", "GPT-4o-2024-08-06", 128_000),
        ("azure", "gpt-4.1", 1_000_000),
        ("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", 200_000),
        ("vertex", "claude-sonnet-4@20250514", 200_000),
        ("gemini", "gemini-2.5-pro", None),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:together", None),
    ],
)
def test_models_are_found_by_the_names_their_providers_give_them(
    kind: str, model: str, context_tokens: int | None
) -> None:
    facts = published(kind, model, day=TODAY)
    assert facts is not None
    assert facts.price is not None
    assert facts.price.source.startswith("genai-prices ")
    assert context_tokens is None or facts.context_tokens == context_tokens


@pytest.mark.parametrize(
    ("kind", "model"), [("openai", "gpt-nobody-knows"), ("nobody", "gpt-4o"), ("huggingface", "meta-llama/Llama-3.3")]
)
def test_what_is_not_published_is_not_known(kind: str, model: str) -> None:
    assert published(kind, model, day=TODAY) is None


def test_a_price_holds_from_its_day_on() -> None:
    price_of = {day: published("openai", "o3", day=day) for day in ("2025-06-09", "2025-06-10")}
    before, now = (facts.price.rates.input_usd if facts and facts.price else None for facts in price_of.values())
    assert (before, now) == (Decimal(10), Decimal(2))


def test_a_price_by_the_request_is_not_one_by_the_token() -> None:
    facts = published("perplexity", "sonar-pro", day=TODAY)
    assert facts is not None
    assert facts.price is None


def test_the_table_is_not_read_before_somebody_asks() -> None:
    code = (
        "import farmgate.__main__, farmgate.app, farmgate.app.house, farmgate.admin.published as p, sys;"
        "assert p.table.cache_info().currsize == 0; assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
