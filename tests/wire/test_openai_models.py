"""Lists of models: what each kind of server tells is read, what makes no sense is not, what we tell is read back."""

from __future__ import annotations

import json
from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.model import CHAT_CAPABILITIES, Capability, Facts, ModelInfo
from farmgate.core.money import Price, Rates
from farmgate.wire.openai.answers import encode_models
from farmgate.wire.openai.models import decode_models, encode_facts

TOOLS, VISION, AUDIO = Capability.TOOLS, Capability.VISION, Capability.AUDIO
FILES, STRUCTURED, REASONING = Capability.FILES, Capability.STRUCTURED, Capability.REASONING
DAY = "2026-11-25"


def read(entry: dict[str, object]) -> ModelInfo:
    (info,) = decode_models(json.dumps({"data": [{"id": "m", **entry}]}).encode(), provider="p", day=DAY)
    return info


def test_openrouter_tells_all_there_is() -> None:
    info = read(
        {
            "created": 1_750_000_000,
            "context_length": 1_048_576,
            "architecture": {"input_modalities": ["file", "image", "text"], "output_modalities": ["text"]},
            "pricing": {
                "prompt": "0.00000125",
                "completion": "0.00001",
                "request": "0",
                "input_cache_read": "0.00000031",
                "input_cache_write": "0.000001625",
            },
            "top_provider": {"context_length": 1_048_576, "max_completion_tokens": 65_536, "is_moderated": False},
            "supported_parameters": ["max_tokens", "tools", "tool_choice", "reasoning", "response_format"],
        }
    )
    assert (info.context_tokens, info.max_output_tokens, info.created_unix) == (1_048_576, 65_536, 1_750_000_000)
    assert info.capabilities == {VISION, FILES, TOOLS, STRUCTURED, REASONING}
    assert info.lacks == {AUDIO}
    rates = Rates(
        input_usd=Decimal("1.25"),
        cached_input_usd=Decimal("0.31"),
        cache_write_usd=Decimal("1.625"),
        output_usd=Decimal(10),
    )
    assert info.price == Price(rates=rates, source="list of p", as_of=DAY)


def test_a_text_model_of_openrouter_lacks_the_rest_but_documents_which_are_read_for_it() -> None:
    info = read({"architecture": {"input_modalities": ["text"]}, "supported_parameters": ["max_tokens"]})
    assert info.capabilities == frozenset()
    assert info.lacks == {VISION, AUDIO, TOOLS, STRUCTURED, REASONING}


def test_a_context_that_openrouter_shortens_prompts_for_is_no_limit() -> None:
    assert read({"context_length": 8192, "top_provider": {}}).context_tokens is None
    assert read({"context_length": 8192}).context_tokens == 8192


@pytest.mark.parametrize("price", ["0", "0.0", 0])
def test_what_is_free_by_the_token_costs_nothing(price: object) -> None:
    free = read({"pricing": {"prompt": price, "completion": price}}).price
    assert free is not None
    assert free.rates == Rates(input_usd=Decimal(0), output_usd=Decimal(0))


@pytest.mark.parametrize(
    "pricing",
    [
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "0.1"},
        {"prompt": "cheap", "completion": "NaN"},
        {"prompt": "1e999", "completion": "Infinity"},
        {"prompt": True, "completion": False},
        {"prompt": "0.000001", "completion": "0.000001", "request": "0.005"},
        {"input": 0, "output": 0, "hourly": 0},
        {"input": "much"},
        "free",
        None,
        [],
    ],
)
def test_a_price_that_depends_or_makes_no_sense_is_not_known(pricing: object) -> None:
    assert read({"pricing": pricing}).price is None


def test_mistral_tells_what_it_can_and_cannot() -> None:
    told = {"completion_chat": True, "function_calling": True, "vision": False, "fine_tuning": False, "audio": "?"}
    info = read({"max_context_length": 131_072, "capabilities": told})
    assert info.context_tokens == 131_072
    assert info.capabilities == {Capability.CHAT, TOOLS}
    assert info.lacks == {VISION}


def test_together_tells_prices_by_the_million_and_no_object_around_the_list() -> None:
    entry = {"id": "m", "type": "chat", "context_length": 131_072, "pricing": {"input": 0.88, "output": 0.9}}
    (info,) = decode_models(json.dumps([entry]).encode(), provider="p")
    assert info.context_tokens == 131_072
    assert info.price is not None
    assert info.price.rates == Rates(input_usd=Decimal("0.88"), output_usd=Decimal("0.9"))


@pytest.mark.parametrize(
    ("entry", "context_tokens", "max_output_tokens"),
    [
        ({"max_model_len": 32_768}, 32_768, None),
        ({"context_window": 131_072, "max_completion_tokens": 32_768}, 131_072, 32_768),
        ({"meta": {"n_ctx": 8192, "n_ctx_train": 262_144}}, 8192, None),
        ({"meta": {"n_ctx": 0, "n_ctx_train": 262_144}}, None, None),
        ({"meta": {"n_ctx_train": 262_144}}, None, None),
        ({"context_length": 0}, None, None),
        ({"context_length": "131072"}, None, None),
        ({"context_length": True}, None, None),
        ({"context_length": -5, "max_model_len": 1 << 60}, None, None),
        ({}, None, None),
    ],
)
def test_engines_tell_their_context(
    entry: dict[str, object], context_tokens: int | None, max_output_tokens: int | None
) -> None:
    info = read(entry)
    assert (info.context_tokens, info.max_output_tokens) == (context_tokens, max_output_tokens)


def test_fireworks_and_llamacpp_tell_what_goes_in() -> None:
    fireworks = read({"supports_tools": True, "supports_image_input": False, "supports_chat": True})
    assert fireworks.capabilities == {TOOLS}
    assert fireworks.lacks == {VISION}
    llamacpp = read({"architecture": {"input_modalities": ["text"]}})
    assert not llamacpp.capabilities
    assert llamacpp.lacks == {VISION}


def test_a_bare_name_tells_nothing() -> None:
    assert read({"object": "model", "owned_by": "somebody"}) == ModelInfo(name="m", provider="p")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[5]", b'{"data": {}}', b'{"data": [{}]}', b'{"data": [{"id": 5}]}', b"\xff"]
)
def test_what_is_no_list_of_models_is_the_providers_fault(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_models(body, provider="p")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(
    ["id", "created", "context_length", "meta", "pricing", "architecture", "supported_parameters", "capabilities"]
)
INNER = st.dictionaries(
    st.sampled_from(["prompt", "completion", "input", "request", "n_ctx", "input_modalities", "vision", "tools"]), JSON
)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.dictionaries(KEYS, JSON | INNER, max_size=8), max_size=3))
def test_any_json_is_a_list_of_models_or_the_providers_fault(entries: list[dict[str, object]]) -> None:
    try:
        told = decode_models(json.dumps({"data": entries}).encode(), provider="p")
    except UpstreamInvalidResponse:
        return
    assert len(told) == len(entries)
    json.dumps([encode_facts(info) for info in told])


# ------------------------------------------------------------------------------------------------- what we list


AMOUNTS = st.none() | st.decimals(min_value=0, max_value=1000, places=9)
CAN = st.dictionaries(st.sampled_from(CHAT_CAPABILITIES), st.booleans())


@settings(derandomize=True, deadline=None)
@given(CAN, st.none() | st.integers(1, 1 << 30), st.none() | st.integers(1, 1 << 30), AMOUNTS, AMOUNTS)
def test_what_one_farmgate_lists_another_reads(
    can: dict[Capability, bool],
    context: int | None,
    output: int | None,
    asked: Decimal | None,
    answered: Decimal | None,
) -> None:
    has = frozenset(one for one, is_there in can.items() if is_there)
    price = None
    if asked is not None and answered is not None:
        price = Price(rates=Rates(input_usd=asked, output_usd=answered), source="list of p")
    info = ModelInfo(
        name="m",
        provider="p",
        context_tokens=context,
        max_output_tokens=output,
        capabilities=has,
        lacks=frozenset(can) - has,
        price=price,
    )
    (back,) = decode_models(json.dumps(encode_models([("m", info)])).encode(), provider="p")
    for field in fields(Facts):
        assert getattr(back, field.name) == getattr(info, field.name), field.name


def test_a_model_is_told_in_openrouters_words() -> None:
    rates = Rates(input_usd=Decimal("0.15"), output_usd=Decimal("0.6"), cached_input_usd=Decimal("0.075"))
    facts = Facts(
        context_tokens=128_000,
        max_output_tokens=16_384,
        capabilities=frozenset({TOOLS, VISION}),
        lacks=frozenset({AUDIO}),
        price=Price(rates=rates),
    )
    assert encode_facts(facts) == {
        "context_length": 128_000,
        "max_output_tokens": 16_384,
        "pricing": {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.000000075"},
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "supported_parameters": ["tools", "tool_choice"],
        "capabilities": {"tools": True, "vision": True, "audio": False},
    }


def test_of_what_is_not_known_nothing_is_told() -> None:
    assert encode_facts(Facts()) == {}
    assert encode_facts(Facts(capabilities=frozenset({Capability.CHAT}))) == {}
