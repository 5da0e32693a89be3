"""The table of providers: addresses that are addresses, keys that are told apart, quirks that name real fields."""

from __future__ import annotations

import importlib
from urllib.parse import urlsplit

import pytest
from tests.fakes.recordings import request_for
from tests.fakes.upstream import FakeUpstream, say, whole

from farmgate.core.answer import gather
from farmgate.core.model import Capability, HealthStatus
from farmgate.core.words import Chat, Message, Role, Sampling
from farmgate.providers.openai import OpenAIProvider
from farmgate.providers.registry import CODED, ROWS, Row, key_variable, key_variables
from farmgate.providers.settings import ProviderSettings
from farmgate.wire.losses import Losses
from farmgate.wire.openai.writing import encode_words

EVERYTHING = Chat(
    messages=(Message(role=Role.USER, content="hi", name="ann"),),
    sampling=Sampling(
        temperature=1.0,
        top_p=1.0,
        top_k=1,
        max_tokens=1,
        stop=("a",),
        seed=1,
        presence_penalty=1.0,
        frequency_penalty=1.0,
        count=2,
        top_logprobs=1,
    ),
    user="u",
)
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("name", ROWS)
def test_an_address_is_encrypted_in_the_cloud_and_on_loopback_here(name: str) -> None:
    row = ROWS[name]
    parts = urlsplit(row.url)
    assert not row.url.endswith("/")
    assert parts.query == ""
    if row.is_local:
        assert (parts.scheme, parts.hostname) == ("http", "127.0.0.1")
        assert parts.port != 8000, "Farmgate's own"
    else:
        assert (parts.scheme, parts.port) == ("https", None)
        assert row.key_variable


def test_no_two_clouds_share_a_key() -> None:
    variables = [row.key_variable for row in ROWS.values() if row.key_variable]
    variables += [one.key_variable for one in CODED.values() if one.key_variable]
    assert len(set(variables)) == len(variables)


def test_a_key_alone_offers_only_who_needs_nothing_else() -> None:
    offered = key_variables()
    assert offered["gemini"] == "GEMINI_API_KEY"
    assert "vertex" not in offered
    assert "azure" not in offered
    assert key_variable("azure") == "AZURE_OPENAI_API_KEY"


@pytest.mark.parametrize("name", CODED)
def test_each_module_has_its_class(name: str) -> None:
    module, _, kind = CODED[name].make.partition(":")
    made = getattr(importlib.import_module(module), kind)
    assert Capability.CHAT in made.capabilities


@pytest.mark.parametrize("name", ROWS)
def test_a_quirk_names_a_field_that_is_written(name: str) -> None:
    quirks = ROWS[name].quirks
    fields = encode_words(EVERYTHING, Losses(name))
    assert quirks.unknown <= fields.keys()
    assert quirks.renamed.keys() <= fields.keys()
    assert not quirks.unknown & quirks.renamed.keys()


@pytest.mark.parametrize(
    ("name", "dropped"),
    [
        ("openai", ()),
        ("mistral", ("top_k", "user", "logprobs", "top_logprobs", "messages[0].name")),
        ("groq", ("top_k", "logprobs", "top_logprobs", "messages[0].name")),
        ("cerebras", ("top_k", "presence_penalty", "frequency_penalty")),
        ("minimax", ("presence_penalty", "frequency_penalty")),
        ("vllm", ()),
    ],
)
async def test_what_a_provider_does_not_take_is_announced(name: str, dropped: tuple[str, ...]) -> None:
    async with FakeUpstream(say(whole(ANSWER))) as fake:
        provider = OpenAIProvider(ProviderSettings(name=name, url=fake.url), ROWS[name])
        reply = await provider.send(request_for(EVERYTHING))
        assert reply.dropped == dropped
        await gather(reply)
        await provider.close()


@pytest.mark.parametrize(
    ("url", "is_its_own"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("http://127.0.0.1:9000/v1", False),
        ("https://notopenai.com/v1", False),
        ("https://openai.com.example.org/v1", False),
    ],
)
def test_what_speaks_openai_at_another_address_has_none_of_openais_quirks(url: str | None, is_its_own: bool) -> None:
    row = ROWS["openai"]
    assert (row.quirks_at(url) == row.quirks) is is_its_own
    assert ROWS["mistral"].quirks_at("https://proxy.example.org") == ROWS["mistral"].quirks


async def test_a_provider_without_a_list_is_well_when_it_says_so() -> None:
    async with FakeUpstream(say(whole({"error": "no such page"}, status=404))) as fake:
        settings = ProviderSettings(name="p", url=fake.url, models=("sonar",))
        for row, status in ((Row(url="", lists_models=False), "healthy"), (Row(url=""), "unhealthy")):
            provider = OpenAIProvider(settings, row)
            assert (await provider.health()).status is HealthStatus(status)
            await provider.close()
