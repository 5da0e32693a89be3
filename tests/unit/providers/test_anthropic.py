"""The Anthropic provider against recordings: what is sent, what is believed, what is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import (
    EVENTS,
    JSON,
    FakeUpstream,
    chunked,
    closed_port,
    drip,
    say,
    say_and_close,
    say_and_stall,
    whole,
)

from farmgate.core.answer import fold, gather
from farmgate.core.errors import (
    FarmError,
    ModelNotFound,
    Unavailable,
    UnsupportedParameter,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
    UpstreamUnreachable,
)
from farmgate.core.event import FinishReason, Usage
from farmgate.core.identity import ANONYMOUS
from farmgate.core.model import Capability, HealthStatus
from farmgate.core.request import Body, Kind, Request, Typed
from farmgate.core.words import Chat, Complete, Message, Role, Sampling, Tool
from farmgate.providers import anthropic as module
from farmgate.providers.anthropic import AnthropicProvider
from farmgate.providers.provider import CountsTokens, Provider
from farmgate.providers.registry import CODED, is_cloud, key_variable
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Timeouts
from farmgate.wire.anthropic.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

KEY = "sk-ant-canary-0123456789"
RECORDINGS = Path(__file__).parents[2] / "recordings" / "anthropic"
RAW = b'{ "model":"claude","max_tokens":9,"messages":[{"role":"user","content":"h\\u00e9"}],"later":[1e0] }'
HI = Chat(messages=(Message(role=Role.USER, content="hi"),))


def recorded(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def body_of(raw: bytes = RAW) -> Body:
    return decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())


def request(
    body: Body | None = None, *, kind: Kind = Kind.CHAT, model: str = "claude", stream: bool = False
) -> Request:
    return Request(
        id="r",
        kind=kind,
        body=body or Typed(HI),
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
        model=model,
        stream=stream,
    )


def provider_at(url: str, **more: Any) -> AnthropicProvider:
    return AnthropicProvider(ProviderSettings(name="there", **({"url": url, "api_key": KEY} | more)))


async def test_it_is_a_provider_that_counts_and_is_found_by_its_key() -> None:
    there = AnthropicProvider(ProviderSettings(name="anthropic"))
    assert isinstance(there, Provider)
    assert isinstance(there, CountsTokens)
    assert {Capability.CHAT, Capability.TOOLS, Capability.VISION} <= there.capabilities
    assert there._upstream.address == "api.anthropic.com"
    assert CODED["anthropic"].make == f"{module.__name__}:AnthropicProvider"
    assert key_variable("anthropic") == "ANTHROPIC_API_KEY"
    assert is_cloud("anthropic")


# ----------------------------------------------------------------------------------------- what is sent


async def test_a_body_of_its_dialect_goes_out_byte_for_byte_and_its_answer_comes_back_so() -> None:
    async with FakeUpstream(say(whole(recorded("text.json")))) as fake:
        there = provider_at(fake.url)
        with await there.send(request(body_of())) as reply:
            (event,) = await gather(reply)
        await there.close()
    (asked,) = fake.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/messages", RAW)
    assert asked.header("x-api-key") == KEY
    assert asked.header("anthropic-version") == "2023-06-01"
    assert asked.header("anthropic-beta") is None
    assert asked.header("authorization") is None
    assert event.raw == recorded("text.json")
    assert event.usage == Usage(prompt_tokens=12, completion_tokens=9)


async def test_words_of_another_dialect_are_translated_and_what_is_lost_is_announced() -> None:
    words = Chat(
        messages=(Message(role=Role.SYSTEM, content="s"), *HI.messages),
        sampling=Sampling(stop=("END",), seed=5),
        tools=(Tool(name="f"),),
        user="u",
    )
    async with FakeUpstream(say(whole(recorded("tools.json")))) as fake:
        there = provider_at(fake.url + "/v1/", options={"maxTokens": 77})
        with await there.send(request(Typed(words))) as reply:
            answer = fold(await gather(reply))
        await there.close()
    assert json.loads(fake.asked[0].body) == {
        "model": "claude",
        "max_tokens": 77,
        "system": "s",
        "messages": [{"role": "user", "content": "hi"}],
        "stop_sequences": ["END"],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "metadata": {"user_id": "u"},
    }
    assert fake.asked[0].path == "/v1/messages"
    assert reply.dropped == ("seed",)
    choice = answer.choices[0]
    assert choice.finish is FinishReason.TOOL_CALLS
    assert json.loads(choice.tools[0].arguments) == {"port": "Brest", "day": "2026-03-01"}


async def test_version_and_beta_features_of_the_caller_are_handed_on_beside_the_configured_ones() -> None:
    body = decode_request(RAW, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    body.hear(version=b"2027-01-01", betas=b"b-1,c-2")
    async with FakeUpstream(say(whole(recorded("text.json")))) as fake:
        there = provider_at(fake.url, headers={"Anthropic-Beta": "a-0, b-1", "x-team": "t"})
        for asked in (request(body), request()):
            (await there.send(asked)).close()
        await there.close()
    first, second = fake.asked
    assert (first.header("anthropic-version"), first.header("anthropic-beta")) == ("2027-01-01", "a-0,b-1,c-2")
    assert (second.header("anthropic-version"), second.header("anthropic-beta")) == ("2023-06-01", "a-0,b-1")
    assert first.header("x-team") == "t"


@pytest.mark.parametrize("limit", [0, -1, "9", True, 1.5])
def test_a_limit_that_makes_no_sense_is_told(limit: object) -> None:
    with pytest.raises(ValueError, match="maxTokens"):
        provider_at("http://127.0.0.1:1", options={"maxTokens": limit})


async def test_only_chats_are_answered() -> None:
    with pytest.raises(UnsupportedParameter):
        await provider_at("http://127.0.0.1:1").send(request(Typed(Complete(prompt="a")), kind=Kind.COMPLETION))


# ----------------------------------------------------------------------------------------- streams


async def test_a_stream_is_asked_for_relayed_and_its_connection_kept() -> None:
    raw = recorded("tools_stream.sse")
    body = body_of(RAW.replace(b'"later"', b'"stream":true,"later"'))
    async with FakeUpstream(say(chunked([raw])), drip(chunked([raw]))) as fake:
        there = provider_at(fake.url)
        for asked in (request(body, stream=True), request(stream=True)):
            with await there.send(asked) as reply:
                events = await gather(reply)
            assert b"".join(event.raw for event in events) == raw
            assert fold(events).choices[0].finish is FinishReason.TOOL_CALLS
            assert fold(events).usage == Usage(prompt_tokens=12, completion_tokens=41)
        await there.close()
    assert fake.connections == 1
    assert json.loads(fake.asked[1].body)["stream"] is True


async def test_a_stream_that_ends_early_is_never_whole() -> None:
    raw = recorded("stream.sse")
    cut = raw[: raw.index(b"event: message_stop")]
    async with FakeUpstream(say(chunked([cut])), say_and_close(chunked([cut], end=b""))) as fake:
        there = provider_at(fake.url)
        for _ in range(2):
            with await there.send(request(stream=True)) as reply, pytest.raises(UpstreamStreamTruncated):
                await gather(reply)
        await there.close()


async def test_an_error_within_a_stream_is_told_behind_what_was_said() -> None:
    async with FakeUpstream(say(chunked([recorded("error_stream.sse")]))) as fake:
        there = provider_at(fake.url)
        with await there.send(request(stream=True)) as reply:
            event = await reply.next()
            assert event is not None
            assert fold([event]).text == "The harb"
            with pytest.raises(Unavailable):
                await reply.next()
        await there.close()


async def test_a_whole_answer_to_a_stream_is_an_answer() -> None:
    async with FakeUpstream(say(whole(recorded("text.json")))) as fake:
        there = provider_at(fake.url)
        with await there.send(request(stream=True)) as reply:
            assert not reply.streams
            assert fold(await gather(reply)).text.startswith("The harbour")
        await there.close()


# ----------------------------------------------------------------------------------------- errors

ERRORS: list[tuple[str, int, type[FarmError]]] = [
    ("error_400", 400, UpstreamRejected),
    ("error_401", 401, UpstreamRefusedKey),
    ("error_404", 404, ModelNotFound),
    ("error_429", 429, UpstreamRateLimited),
    ("error_529", 529, Unavailable),
]


@pytest.mark.parametrize(("name", "status", "kind"), ERRORS)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_refused_has_its_meaning(name: str, status: int, kind: type[FarmError], stream: bool) -> None:
    answer = whole(recorded(f"{name}.json"), status=status, headers=JSON + b"retry-after: 7\r\n")
    async with FakeUpstream(say(answer)) as fake:
        there = provider_at(fake.url)
        with pytest.raises(kind) as caught:
            await there.send(request(stream=stream))
        with pytest.raises(kind):
            await there.count_tokens(request())
        await there.close()
    assert caught.value.retry_after_s == 7
    assert KEY not in caught.value.message


@pytest.mark.parametrize(
    "answer",
    [whole(b"{}"), whole(b"null"), whole(b"<p>", headers=b"content-type: text/html\r\n"), whole(b"", headers=EVENTS)],
)
async def test_nonsense_is_the_providers_fault(answer: bytes) -> None:
    async with FakeUpstream(say(answer)) as fake:
        there = provider_at(fake.url)
        with pytest.raises(UpstreamInvalidResponse):
            await there.send(request())
        await there.close()


async def test_nobody_there_is_told_without_the_key() -> None:
    there = provider_at(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(UpstreamUnreachable) as caught:
        await there.send(request())
    assert KEY not in caught.value.message
    assert KEY not in repr(there._settings)


# ----------------------------------------------------------------------------------------- counting, models, health


async def test_tokens_are_counted_there_with_what_is_said_only() -> None:
    async with FakeUpstream(say(whole(recorded("count.json")))) as fake:
        there = provider_at(fake.url)
        assert await there.count_tokens(request(body_of())) == 2095
        await there.close()
    (asked,) = fake.asked
    assert asked.path == "/v1/messages/count_tokens"
    assert asked.header("anthropic-version") == "2023-06-01"
    assert set(json.loads(asked.body)) == {"model", "messages", "later"}


async def test_models_are_listed_page_by_page_or_as_configured() -> None:
    async with FakeUpstream(say(whole(recorded("models_1.json"))), say(whole(recorded("models_2.json")))) as fake:
        there = provider_at(fake.url)
        found = await there.models()
        await there.close()
    assert [model.name for model in found] == [
        "claude-opus-5",
        "claude-sonnet-4-5-20250929",
        "claude-haiku-4-5-20251001",
    ]
    assert found[0].context_tokens == 1_000_000
    assert [asked.path for asked in fake.asked] == [
        "/v1/models?limit=1000",
        "/v1/models?limit=1000&after_id=claude-sonnet-4-5-20250929",
    ]
    configured = await provider_at("http://127.0.0.1:1", models=("a",)).models()
    assert [model.name for model in configured] == ["a"]


async def test_a_list_without_end_or_with_a_strange_cursor_ends() -> None:
    same = {"data": [{"id": "a"}], "has_more": True, "last_id": "a"}
    strange = {"data": [], "has_more": True, "last_id": "a b\r\n"}
    async with FakeUpstream(say(whole(same)), say(whole(same)), say(whole(strange))) as fake:
        there = provider_at(fake.url)
        assert [model.name for model in await there.models()] == ["a"]
        with pytest.raises(UpstreamInvalidResponse):
            await there.models()
        await there.close()


async def test_health_is_its_list_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEALTH_S", 0.05)
    listed = say(whole(recorded("models_2.json")))
    refused = say(whole(recorded("error_401.json"), status=401))
    async with FakeUpstream(listed, refused, say_and_stall()) as fake:
        there = provider_at(fake.url, timeouts=Timeouts(first_byte_s=30.0))
        first, second, third = [await there.health() for _ in range(3)]
        await there.close()
    assert (first.status, first.models) == (HealthStatus.HEALTHY, ("claude-haiku-4-5-20251001",))
    assert second.status is HealthStatus.UNHEALTHY
    assert "refused the API key" in (second.detail or "")
    assert third.status is HealthStatus.UNHEALTHY
    assert "did not list its models" in (third.detail or "")
