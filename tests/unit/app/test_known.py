"""What the configuration says of models is meant for whom it says; what is published, for those who really serve it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from farmgate.app.known import known_beside
from farmgate.config import Config, load
from farmgate.core.model import CHAT_CAPABILITIES, Capability

NOON = 1_790_000_000.0


def config_of(tmp_path: Path, text: str) -> Config:
    (tmp_path / "farm.config.yaml").write_text(text)
    return load(cwd=tmp_path, environ={"HOME": str(tmp_path)})


def test_a_model_is_stated_for_one_provider_or_for_any(tmp_path: Path) -> None:
    text = """
    ai:
      providers: {ollama: {}, openrouter: {apiKey: k0123456789}}
      models:
        ollama/qwen3: {contextTokens: 10}
        openai/gpt-4o: {contextTokens: 20}
        qwen3: {maxOutputTokens: 30, price: {input: 0.1, cached_input: 0}}
    """
    beside = known_beside(config_of(tmp_path, text))
    ollama, other = beside.said("ollama", "qwen3:latest"), beside.said("openrouter", "qwen3")
    assert (ollama.context_tokens, ollama.max_output_tokens) == (10, 30)
    assert (other.context_tokens, other.max_output_tokens) == (None, 30)
    assert beside.said("openrouter", "openai/gpt-4o").context_tokens == 20, "no provider is called openai here"
    price = other.price
    assert price is not None
    assert price.source == "configuration"
    assert (price.rates.input_usd, price.rates.cached_input_usd) == (Decimal("0.1"), Decimal(0))
    assert price.rates.output_usd is None, "what is not stated is not known"


def test_a_list_of_capabilities_is_all_a_model_can(tmp_path: Path) -> None:
    text = "ai: {providers: {ollama: {}}, models: {a: {capabilities: [tools]}, b: {capabilities: []}, c: {}}}"
    beside = known_beside(config_of(tmp_path, text))
    assert beside.said("ollama", "a").capabilities == {Capability.TOOLS}
    assert beside.said("ollama", "a").lacks == {*CHAT_CAPABILITIES} - {Capability.TOOLS}
    assert beside.said("ollama", "b").lacks == {*CHAT_CAPABILITIES}
    assert beside.said("ollama", "c").lacks == frozenset()


@pytest.mark.parametrize(
    ("entries", "name", "is_priced"),
    [
        ("openai: {apiKey: k0123456789}", "openai", True),
        ("mine: {provider: openai, apiKey: k0123456789}", "mine", True),
        ('mine: {provider: openai, url: "https://API.openai.com/v1/", apiKey: k0123456789}', "mine", True),
        ('openai: {url: "http://127.0.0.1:9/v1", apiKey: k0123456789}', "openai", False),
        ('mine: {provider: openai, url: "https://vllm.example/v1"}', "mine", False),
        ("ollama: {}", "openai", True),
        ("ollama: {}", "ollama", False),
    ],
)
def test_only_the_provider_itself_has_the_published_prices(
    tmp_path: Path, entries: str, name: str, is_priced: bool
) -> None:
    beside = known_beside(config_of(tmp_path, f"ai: {{providers: {{{entries}}}}}"))
    assert (beside.price(name, "gpt-4o", NOON) is not None) is is_priced


def test_what_is_said_of_a_model_holds_for_its_adapters(tmp_path: Path) -> None:
    text = """
    ai:
      providers: {mine: {provider: local}, ollama: {}}
      models:
        chat: {contextTokens: 10, price: {input: 1, output: 2}}
        "local/chat:formal": {price: {input: 3, output: 4}}
    models:
      chat: {source: ./chat.gguf, adapters: {formal: ./f.gguf, pirate: ./p.gguf}}
    """
    beside = known_beside(config_of(tmp_path, text))
    for provider in ("local", "mine"):
        pirate = beside.said(provider, "chat:pirate")
        assert pirate.context_tokens == 10
        assert pirate.price is not None
        assert pirate.price.rates.output_usd == Decimal(2)
    formal = beside.price("local", "chat:formal", NOON)
    assert formal is not None
    assert formal.rates.output_usd == Decimal(4), "what is said of it itself goes before"
    assert beside.said("local", "chat:formal").context_tokens == 10
    assert beside.said("ollama", "chat:formal").price is None, "there it is another model"
    assert beside.said("local", "chat:none").price is None
