"""Azure against a server that answers with its recordings: both forms of its address, its key, its filter's frames."""

from __future__ import annotations

import asyncio
import json
from datetime import date

import pytest
from tests.fakes.clouds import FakeClouds
from tests.fakes.recordings import answered, recording, request_for, streamed
from tests.fakes.upstream import FakeUpstream, say, whole

from farmgate.core.answer import Answer, fold, gather
from farmgate.core.errors import (
    FarmError,
    ModelNotCapable,
    ModelNotFound,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
)
from farmgate.core.event import FinishReason, Usage
from farmgate.core.model import HealthStatus
from farmgate.core.request import Body, Dialect, Kind, Request
from farmgate.core.words import Chat, Embed, Message, Rerank, Role, Sampling
from farmgate.providers.azure import AzureProvider
from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

KEY = "canary-0123456789abcdef"
WITHIN_S = 10.0
CHAT = Chat(messages=(Message(role=Role.DEVELOPER, content="Be brief."), Message(role=Role.USER, content="hi")))
RAW = b'{"model":"my-gpt","messages":[{"role":"user","content":"hi"}],"top_k":5,"later_field":[1e0]}'
V1 = "/openai/v1/chat/completions"
DATED = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"


def provider_at(url: str, *, version: object = None, models: tuple[str, ...] = ()) -> AzureProvider:
    options: dict[str, object] = {} if version is None else {"apiVersion": version}
    return AzureProvider(ProviderSettings(name="azure", url=url, api_key=KEY, models=models, options=options))


def body_of(raw: bytes) -> Body:
    return decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())


async def answer_of(provider: AzureProvider, asked: Request) -> Answer:
    async with asyncio.timeout(WITHIN_S):
        answer = fold(await gather(await provider.send(asked)))
    await provider.close()
    return answer


async def failure_of(provider: AzureProvider, asked: Request) -> FarmError:
    with pytest.raises(FarmError) as failed:
        await answer_of(provider, asked)
    await provider.close()
    assert KEY not in f"{failed.value!r}{vars(failed.value)}"
    return failed.value


def test_it_is_a_provider() -> None:
    assert isinstance(provider_at("https://farm.openai.azure.com"), Provider)


@pytest.mark.parametrize(
    ("ending", "version", "path"),
    [
        ("", None, V1),
        ("/", None, V1),
        ("/openai/v1/", "v1", V1),
        ("/openai", "preview", f"{V1}?api-version=preview"),
        ("", "2024-10-21", DATED),
        ("/openai", date(2024, 10, 21), DATED),
        ("/openai/v1", "2025-04-01-preview", DATED.replace("2024-10-21", "2025-04-01-preview")),
        ("/api/projects/herd", None, f"/api/projects/herd{V1}"),
    ],
)
async def test_a_deployment_is_asked_in_the_form_its_api_has(ending: str, version: object, path: str) -> None:
    async with FakeUpstream(say(answered("azure/text.json"))) as fake:
        answer = await answer_of(provider_at(fake.url + ending, version=version), request_for(CHAT, model="my-gpt"))
    (asked,) = fake.asked
    assert asked.path == path
    assert asked.header("api-key") == KEY
    assert asked.header("authorization") is None
    assert answer.text == "A gate keeps the herd in."
    assert answer.usage == Usage(prompt_tokens=12, completion_tokens=9, cached_tokens=4)


async def test_without_a_key_a_managed_identity_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeClouds() as clouds:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{clouds.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "CANARY-of-the-app")
        async with FakeUpstream(say(answered("azure/text.json"))) as fake:
            options = {"credential": {"kind": "managed"}}
            provider = AzureProvider(ProviderSettings(name="azure", url=fake.url, options=options))
            for _ in range(2):
                await gather(await provider.send(request_for(CHAT, model="my-gpt")))
            await provider.close()
    assert [asked.header("authorization") for asked in fake.asked] == ["Bearer CANARY-1"] * 2
    assert fake.asked[0].header("api-key") is None


async def test_what_an_openai_caller_wrote_goes_out_and_comes_back_byte_for_byte() -> None:
    async with FakeUpstream(say(answered("azure/text.json"))) as fake:
        provider = provider_at(fake.url, version="2024-10-21")
        with await provider.send(request_for(body_of(RAW), model="my-gpt")) as reply:
            assert reply.event is not None
            assert (reply.event.raw, reply.event.dialect) == (recording("azure/text.json"), Dialect.OPENAI)
        await provider.close()
    assert fake.asked[0].body == RAW


async def test_words_of_another_dialect_are_written_as_openai_takes_them() -> None:
    words = Chat(messages=CHAT.messages, sampling=Sampling(max_tokens=5, top_k=3))
    async with FakeUpstream(say(answered("azure/text.json"))) as fake:
        provider = provider_at(fake.url)
        with await provider.send(request_for(words, model="my-gpt")) as reply:
            assert reply.dropped == ("top_k",)
        await provider.close()
    assert json.loads(fake.asked[0].body) == {
        "model": "my-gpt",
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_completion_tokens": 5,
    }


@pytest.mark.parametrize(("name", "usage"), [("azure/stream.sse", True), ("azure/async_filter_stream.sse", False)])
async def test_a_stream_with_the_filters_frames_is_whole_and_untouched(name: str, usage: bool) -> None:
    async with FakeUpstream(say(streamed(name))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request_for(body_of(RAW[:-1] + b',"stream":true}'), model="my-gpt", stream=True))
        async with asyncio.timeout(WITHIN_S):
            events = await gather(reply)
        await provider.close()
    answer = fold(events)
    assert (answer.text, answer.choices[0].finish) == ("A gate keeps the herd in.", FinishReason.STOP)
    assert (answer.usage is not None) is usage
    sent = recording(name).removesuffix(b"data: [DONE]\n\n")
    assert b"".join(event.raw for event in events) == sent
    assert json.loads(fake.asked[0].body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_of_a_tool_comes_whole_and_in_pieces(stream: bool) -> None:
    told = streamed("azure/tools_stream.sse") if stream else answered("azure/tools.json")
    async with FakeUpstream(say(told)) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(CHAT, model="my-gpt", stream=stream))
    call = answer.choices[0].tools[0]
    assert (call.id, call.name, call.arguments) == ("call_5tKz9", "get_weather", '{"city":"Bern"}')
    assert answer.choices[0].finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("version", "path"),
    [
        (None, "/openai/v1/embeddings"),
        ("2024-10-21", "/openai/deployments/my-gpt/embeddings?api-version=2024-10-21"),
    ],
)
async def test_texts_are_embedded(version: str | None, path: str) -> None:
    words = Embed(inputs=("a", "b"))
    async with FakeUpstream(say(answered("azure/embeddings.json"))) as fake:
        asked = request_for(words, kind=Kind.EMBEDDING, model="my-gpt")
        answer = await answer_of(provider_at(fake.url, version=version), asked)
    assert fake.asked[0].path == path
    assert (answer.vectors, answer.usage) == ({0: (0.5, -0.25), 1: (0.125, 1.0)}, Usage(prompt_tokens=10))


@pytest.mark.parametrize("name", ["..", ".", "a/../b", "a b", "a?x=1", "", "-a", "ü", "a" * 65])
async def test_a_name_no_deployment_can_have_leads_nowhere(name: str) -> None:
    async with FakeUpstream(say(whole())) as fake:
        error = await failure_of(provider_at(fake.url, version="2024-10-21"), request_for(CHAT, model=name))
        assert isinstance(error, ModelNotFound)
        assert fake.connections == 0


async def test_what_it_has_no_api_for_is_said() -> None:
    words = Rerank(query="a", documents=("b",))
    error = await failure_of(provider_at("http://127.0.0.1:1"), request_for(words, kind=Kind.RERANK, model="m"))
    assert isinstance(error, ModelNotCapable)


@pytest.mark.parametrize(
    ("status", "name", "kind", "code"),
    [
        (400, "azure/error_400_filter.json", UpstreamRejected, "content_filter"),
        (400, "azure/error_400_version.json", UpstreamRejected, "BadRequest"),
        (401, "azure/error_401.json", UpstreamRefusedKey, "upstream_auth_failed"),
        (404, "azure/error_404.json", UpstreamRejected, "DeploymentNotFound"),
        (429, "azure/error_429.json", UpstreamRateLimited, "rate_limit_exceeded"),
    ],
)
async def test_errors_are_told_as_what_they_are(status: int, name: str, kind: type[FarmError], code: str) -> None:
    async with FakeUpstream(say(answered(name, status=status, headers=b"retry-after: 26\r\n"))) as fake:
        error = await failure_of(provider_at(fake.url), request_for(CHAT, model="my-gpt"))
    assert (type(error), error.code, error.retry_after_s) == (kind, code, 26.0)


@pytest.mark.parametrize(
    ("version", "path"),
    [(None, "/openai/v1/models"), ("2024-10-21", "/openai/models?api-version=2024-10-21")],
)
async def test_it_is_well_when_it_takes_the_key(version: str | None, path: str) -> None:
    async with FakeUpstream(say(answered("azure/models.json"))) as fake:
        provider = provider_at(fake.url, version=version, models=("my-gpt",))
        health = await provider.health()
        await provider.close()
    assert (health.status, health.models, health.detail) == (HealthStatus.HEALTHY, ("my-gpt",), None)
    assert fake.asked[0].path == path
    async with FakeUpstream(say(answered("azure/error_401.json", status=401))) as fake:
        provider = provider_at(fake.url, version=version)
        health = await provider.health()
        await provider.close()
    assert health.status is HealthStatus.UNHEALTHY


async def test_its_models_are_the_deployments_of_the_settings() -> None:
    provider = provider_at("http://127.0.0.1:1", models=("a", "b"))
    assert [model.name for model in await provider.models()] == ["a", "b"]
    await provider.close()


@pytest.mark.parametrize("version", ["2024", "v2", "2024-10-21&x=1", 7])
def test_a_version_that_is_none_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match="apiVersion"):
        provider_at("https://farm.openai.azure.com", version=version)


def test_an_address_has_to_be_there() -> None:
    with pytest.raises(ValueError, match=r"https://NAME\.openai\.azure\.com"):
        AzureProvider(ProviderSettings(name="azure", api_key=KEY))
