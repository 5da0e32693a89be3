"""Bedrock against a fake on loopback that serves recordings: what is signed and sent, believed and told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.asking import REGION, SECRET, answered, asking, hi, use_keys
from tests.fakes.recordings import recorded_events, recording
from tests.fakes.sigv4 import prove
from tests.fakes.upstream import (
    JSON,
    Exchange,
    FakeUpstream,
    Script,
    chunked,
    closed_port,
    drip,
    say,
    say_and_close,
    whole,
)

from farmgate.core.errors import (
    FarmError,
    ModelNotCapable,
    ModelNotFound,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamStreamTruncated,
)
from farmgate.core.event import FinishReason, Usage
from farmgate.core.model import HealthStatus
from farmgate.core.request import Kind
from farmgate.core.words import Complete, Embed, Sampling
from farmgate.providers.bedrock import BedrockProvider
from farmgate.providers.provider import Provider
from farmgate.providers.registry import key_variable, key_variables
from farmgate.providers.settings import ProviderSettings

CLAUDE = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
PATH = "/model/eu.anthropic.claude-sonnet-4-20250514-v1%3A0"
STREAM = b"content-type: application/vnd.amazon.eventstream\r\n"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_keys(monkeypatch, tmp_path)


def provider_at(
    url: str | None, *, api_key: str | None = None, models: tuple[str, ...] = (), **options: Any
) -> BedrockProvider:
    settings = ProviderSettings(
        name="aws", url=url, api_key=api_key, models=models, options={"region": REGION, **options}
    )
    return BedrockProvider(settings)


def streaming(name: str, *, end: bytes = b"0\r\n\r\n") -> bytes:
    return chunked(recorded_events(f"bedrock/{name}"), headers=STREAM, end=end)


# ------------------------------------------------------------------------------------------------ what is sent


def test_it_is_a_provider_at_its_region_s_address() -> None:
    assert isinstance(provider_at(None), Provider)
    assert provider_at(None)._amazon.upstream.address == f"bedrock-runtime.{REGION}.amazonaws.com"
    chinese = BedrockProvider(ProviderSettings(name="aws", options={"region": "cn-north-1"}))
    assert chinese._amazon.upstream.address == "bedrock-runtime.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_goes_out_signed_as_aws_wants_it(stream: bool) -> None:
    answer = streaming("stream.jsonl") if stream else whole(recording("bedrock/text.json"))
    async with FakeUpstream(say(answer)) as fake:
        provider = provider_at(fake.url)
        got = await answered(provider, asking(hi(sampling=Sampling(max_tokens=9)), model=CLAUDE, stream=stream))
        await provider.close()
    (asked,) = fake.asked
    assert asked.path == f"{PATH}/converse{'-stream' if stream else ''}"
    assert json.loads(asked.body) == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 9},
    }
    prove(asked, secret=SECRET, region=REGION, service="bedrock")
    assert asked.header("x-amz-security-token") == "CANARY-session"
    assert got.text == "The gate opens at dawn. Ça va ?"
    assert got.choices[0].finish is FinishReason.STOP


async def test_a_signature_is_of_this_body_alone() -> None:
    async with FakeUpstream(say(whole(recording("bedrock/text.json")))) as fake:
        provider = provider_at(fake.url)
        await answered(provider, asking(hi(), model=CLAUDE))
        await provider.close()
    (asked,) = fake.asked
    with pytest.raises(AssertionError):
        prove(
            type(asked)(**{**vars(asked), "body": asked.body + b" "}), secret=SECRET, region=REGION, service="bedrock"
        )


async def test_an_api_key_goes_out_as_a_bearer_token() -> None:
    async with FakeUpstream(say(whole(recording("bedrock/text.json")))) as fake:
        provider = provider_at(fake.url, api_key="CANARY-key")
        await answered(provider, asking(hi(), model=CLAUDE))
        await provider.close()
    assert fake.asked[0].header("authorization") == "Bearer CANARY-key"
    assert fake.asked[0].header("x-amz-date") is None


async def test_an_arn_of_the_configuration_is_one_step_of_the_path_and_no_other_is_asked_for() -> None:
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc"
    async with FakeUpstream(say(whole(recording("bedrock/text.json")))) as fake:
        provider = provider_at(fake.url, models=(arn,))
        await answered(provider, asking(hi(), model=arn))
        with pytest.raises(ModelNotFound):
            await answered(provider, asking(hi(), model=arn.replace("123456789012", "210987654321")))
        await provider.close()
    (asked,) = fake.asked
    assert asked.path.count("/") == 3
    prove(asked, secret=SECRET, region=REGION, service="bedrock")


async def test_what_was_dropped_is_told_with_the_reply() -> None:
    async with FakeUpstream(say(whole(recording("bedrock/text.json")))) as fake:
        provider = provider_at(fake.url, guardrail={"guardrailIdentifier": "g", "guardrailVersion": "1"})
        reply = await provider.send(asking(hi(sampling=Sampling(seed=1), user="u"), model=CLAUDE))
        reply.close()
        await provider.close()
    assert reply.dropped == ("seed", "user")
    assert json.loads(fake.asked[0].body)["guardrailConfig"] == {"guardrailIdentifier": "g", "guardrailVersion": "1"}


# ------------------------------------------------------------------------------------------------ what is believed


@pytest.mark.parametrize("script", [say(streaming("tools_stream.jsonl")), drip(streaming("tools_stream.jsonl"))])
async def test_a_stream_is_read_however_it_comes(script: Script) -> None:
    async with FakeUpstream(script) as fake:
        provider = provider_at(fake.url)
        got = await answered(provider, asking(hi(), model=CLAUDE, stream=True))
        await provider.close()
    assert [use.name for use in got.choices[0].tools.values()] == ["weather", "clock"]
    assert got.usage == Usage(prompt_tokens=413, completion_tokens=71)


async def test_a_connection_carries_the_next_request_after_a_whole_stream() -> None:
    async with FakeUpstream(say(streaming("stream.jsonl"))) as fake:
        provider = provider_at(fake.url)
        for _ in range(2):
            await answered(provider, asking(hi(), model=CLAUDE, stream=True))
        assert fake.connections == 1
        await provider.close()


async def failure_of(answer: bytes, *, stream: bool = False) -> FarmError:
    async with FakeUpstream(say_and_close(answer)) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(FarmError) as caught:
            await answered(provider, asking(hi(), model=CLAUDE, stream=stream))
        assert provider._amazon.upstream.in_use == 0
        await provider.close()
    error: BaseException | None = caught.value
    while error is not None:
        assert "CANARY" not in f"{error!r}{vars(error)}"
        error = error.__cause__ or error.__context__
    return caught.value


async def test_a_stream_without_its_end_is_told_as_cut_off() -> None:
    messages = recorded_events("bedrock/stream.jsonl")[:4]
    assert type(await failure_of(chunked(messages, headers=STREAM), stream=True)) is UpstreamStreamTruncated
    assert type(await failure_of(chunked(messages, headers=STREAM, end=b""), stream=True)) is UpstreamStreamTruncated


async def test_an_exception_in_the_stream_has_its_own_error() -> None:
    assert type(await failure_of(streaming("throttled_stream.jsonl"), stream=True)) is UpstreamRateLimited


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (403, "error_403.json", UpstreamRefusedKey),
        (429, "error_429.json", UpstreamRateLimited),
        (400, "error_model.json", ModelNotFound),
        (500, "error_429.json", UpstreamError),
    ],
)
async def test_a_refusal_is_told_in_our_words(status: int, name: str, kind: type[FarmError]) -> None:
    error = await failure_of(whole(recording(f"bedrock/{name}"), status=status))
    assert type(error) is kind
    assert "123456789012" not in error.message


async def test_another_type_of_answer_makes_no_sense() -> None:
    assert type(await failure_of(whole(b"<html>", headers=b"content-type: text/html\r\n"))) is UpstreamInvalidResponse


# ------------------------------------------------------------------------------------------------ embeddings


async def test_each_text_is_embedded_and_all_come_in_their_order() -> None:
    async def script(exchange: Exchange) -> None:
        text = json.loads(exchange.link.asked[-1].body)["inputText"]
        await exchange.send(whole({"embedding": [float(text)], "inputTextTokenCount": 2}))

    async with FakeUpstream(script) as fake:
        provider = provider_at(fake.url)
        words = Embed(inputs=tuple(map(str, range(20))), dimensions=256)
        got = await answered(provider, asking(words, kind=Kind.EMBEDDING, model="amazon.titan-embed-text-v2:0"))
        await provider.close()
    assert got.vectors == {at: (float(at),) for at in range(20)}
    assert got.usage == Usage(prompt_tokens=40)
    assert fake.connections <= 8
    for asked in fake.asked:
        assert asked.path == "/model/amazon.titan-embed-text-v2%3A0/invoke"
        prove(asked, secret=SECRET, region=REGION, service="bedrock")


async def test_cohere_s_tokens_stand_in_a_header() -> None:
    headers = JSON + b"x-amzn-bedrock-input-token-count: 6\r\n"
    async with FakeUpstream(say(whole(recording("bedrock/cohere_embed.json"), headers=headers))) as fake:
        provider = provider_at(fake.url)
        words = Embed(inputs=("a", "b"), extra={"input_type": "search_query"})
        got = await answered(provider, asking(words, kind=Kind.EMBEDDING, model="cohere.embed-english-v3"))
        with pytest.raises(UpstreamInvalidResponse):
            await answered(provider, asking(Embed(inputs=("a",)), kind=Kind.EMBEDDING, model="cohere.embed-v4:0"))
        await provider.close()
    assert got.vectors == {0: (0.5, -0.25), 1: (1.0, 0.0)}
    assert got.usage == Usage(prompt_tokens=6)
    assert json.loads(fake.asked[0].body)["input_type"] == "search_query"


async def test_what_it_has_no_api_for_is_a_model_that_is_not_capable() -> None:
    provider = provider_at("http://127.0.0.1:1")
    with pytest.raises(ModelNotCapable):
        await answered(provider, asking(Complete(prompt="a"), kind=Kind.COMPLETION, model=CLAUDE))
    with pytest.raises(ModelNotCapable):
        await answered(provider, asking(Embed(inputs=("a",)), kind=Kind.EMBEDDING, model=CLAUDE))
    await provider.close()


async def test_one_failed_embedding_fails_the_request_with_its_own_error() -> None:
    async with FakeUpstream(say(whole(recording("bedrock/error_429.json"), status=429))) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(UpstreamRateLimited):
            await answered(
                provider, asking(Embed(inputs=("a", "b", "c")), kind=Kind.EMBEDDING, model="amazon.titan-embed-text-v1")
            )
        assert provider._amazon.upstream.in_use == 0
        await provider.close()


# ------------------------------------------------------------------------------------------------ models and health


async def test_its_models_are_those_of_the_settings() -> None:
    provider = provider_at(None, models=(CLAUDE,))
    assert [model.name for model in await provider.models()] == [CLAUDE]
    await provider.close()


async def test_health_asks_what_costs_nothing() -> None:
    refused = whole({"message": "A conversation must start with a user message."}, status=400)
    async with FakeUpstream(say(refused)) as fake:
        provider = provider_at(fake.url, models=(CLAUDE,))
        health = await provider.health()
        await provider.close()
    assert (health.status, health.detail) == (HealthStatus.HEALTHY, None)
    assert json.loads(fake.asked[0].body) == {"messages": []}
    prove(fake.asked[0], secret=SECRET, region=REGION, service="bedrock")


@pytest.mark.parametrize(("status", "part"), [(403, "refuses"), (500, "HTTP 500"), (404, "HTTP 404")])
async def test_health_tells_what_is_wrong(status: int, part: str) -> None:
    async with FakeUpstream(say(whole(recording("bedrock/error_403.json"), status=status))) as fake:
        provider = provider_at(fake.url, models=(CLAUDE,))
        health = await provider.health()
        await provider.close()
    assert health.status is HealthStatus.UNHEALTHY
    assert part in (health.detail or "")


async def test_health_without_a_model_says_what_it_cannot_know() -> None:
    async with FakeUpstream(say(whole(b"{}", status=403))) as fake:
        provider = provider_at(fake.url)
        health = await provider.health()
        await provider.close()
    assert health.status is HealthStatus.HEALTHY
    assert "ai.providers.aws.models" in (health.detail or "")


async def test_health_without_credentials_or_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    away = provider_at(f"http://127.0.0.1:{closed_port()}", models=(CLAUDE,))
    assert (await away.health()).status is HealthStatus.UNHEALTHY
    await away.close()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    nobody = provider_at("http://127.0.0.1:1", models=(CLAUDE,))
    health = await nobody.health()
    await nobody.close()
    assert "no AWS credentials" in (health.detail or "")


# ------------------------------------------------------------------------------------------------ settings


def test_a_region_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    provider = BedrockProvider(ProviderSettings(name="aws"))
    assert provider._amazon.upstream.address == "bedrock-runtime.us-east-2.amazonaws.com"


def test_a_key_in_the_environment_alone_makes_no_provider_of_it() -> None:
    assert key_variable("bedrock") == "AWS_BEARER_TOKEN_BEDROCK"
    assert "bedrock" not in key_variables()
    assert "cohere" in key_variables()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "no AWS region is known"),
        ({"region": 5}, "options.region"),
        ({"region": REGION, "guardrail": "g"}, "options.guardrail"),
        ({"region": REGION, "thinking": "deeply"}, "options.thinking"),
        ({"region": REGION, "credential": {"key": "x"}}, "options.credential"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told_by_its_place(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ValueError, match=r"^ai\.providers\.aws: ") as caught:
        BedrockProvider(ProviderSettings(name="aws", options=options))
    assert part in str(caught.value)
