"""Vertex AI against a server that answers with its recordings: addresses, identities, three publishers' dialects."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.fakes.clouds import FakeClouds
from tests.fakes.recordings import answered, recording, request_for, streamed
from tests.fakes.upstream import FakeUpstream, say, whole

from farmgate.core.answer import Answer, fold, gather
from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotCapable,
    ModelNotFound,
    Unavailable,
    UpstreamRateLimited,
    UpstreamRefusedKey,
)
from farmgate.core.event import Usage
from farmgate.core.model import HealthStatus
from farmgate.core.request import Dialect, Kind, Request
from farmgate.core.words import Chat, Complete, Embed, Message, Role, Sampling
from farmgate.providers.provider import CountsTokens, Provider
from farmgate.providers.settings import CredentialError, ProviderSettings
from farmgate.providers.vertex import VertexProvider, address_of, publisher_of
from farmgate.wire.anthropic.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

KEY = "AIza-canary-0123456789"
WITHIN_S = 10.0
MODEL = "gemini-2.5-flash"
CLAUDE = "claude-sonnet-4-5@20250929"
OPEN = "meta/llama-3.3-70b-instruct-maas"
PLACE = "/v1/projects/farm-project/locations/europe-west1"
GOOGLES = f"{PLACE}/publishers/google/models"
ANTHROPICS = f"{PLACE}/publishers/anthropic/models"
CHAT = Chat(messages=(Message(role=Role.USER, content="hi"),))
RAW = b'{ "model":"m", "max_tokens": 5, "messages":[{"role":"user","content":"hi"}] }'


def provider_at(url: str, *, models: tuple[str, ...] = (), **options: object) -> VertexProvider:
    known: dict[str, object] = {"project": "farm-project", "location": "europe-west1"}
    settings = ProviderSettings(name="vertex", url=url, api_key=KEY, models=models, options=known | options)
    return VertexProvider(settings)


async def answer_of(provider: VertexProvider, asked: Request) -> Answer:
    async with asyncio.timeout(WITHIN_S):
        answer = fold(await gather(await provider.send(asked)))
    await provider.close()
    return answer


async def failure_of(provider: VertexProvider, asked: Request) -> FarmError:
    with pytest.raises(FarmError) as failed:
        await answer_of(provider, asked)
    await provider.close()
    assert KEY not in f"{failed.value!r}{vars(failed.value)}"
    return failed.value


def test_it_is_a_provider_that_counts() -> None:
    provider = provider_at("http://127.0.0.1:1")
    assert isinstance(provider, Provider)
    assert isinstance(provider, CountsTokens)


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("global", "https://aiplatform.googleapis.com"),
        ("us", "https://aiplatform.us.rep.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ("europe-west1", "https://europe-west1-aiplatform.googleapis.com"),
    ],
)
def test_each_location_has_its_address(location: str, address: str) -> None:
    assert address_of(location) == address


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("gemini-2.5-flash", ("google", "gemini-2.5-flash")),
        ("claude-opus-4-5", ("anthropic", "claude-opus-4-5")),
        ("meta/llama", ("meta", "llama")),
        ("publishers/google/models/gemini-3", ("google", "gemini-3")),
    ],
)
def test_a_name_tells_its_publisher(model: str, told: tuple[str, str]) -> None:
    assert publisher_of(model) == told


# ------------------------------------------------------------------------------------------------ Gemini


async def test_a_chat_goes_to_the_project_and_its_location() -> None:
    words = Chat(messages=CHAT.messages, extra={"metadata": {"team": "herd"}})
    async with FakeUpstream(say(answered("vertex/text.json"))) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(words, model=MODEL))
    (asked,) = fake.asked
    assert asked.path == f"{GOOGLES}/gemini-2.5-flash:generateContent"
    assert asked.header("x-goog-api-key") == KEY
    assert json.loads(asked.body) == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "labels": {"team": "herd"},
    }
    assert (answer.text, answer.usage) == (
        "A gate keeps the herd in.",
        Usage(prompt_tokens=7, completion_tokens=8),
    )


async def test_a_stream_is_read_to_its_end() -> None:
    async with FakeUpstream(say(streamed("vertex/stream.sse"))) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(CHAT, model=MODEL, stream=True))
    assert fake.asked[0].path == f"{GOOGLES}/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert answer.text == "A gate keeps the herd in."


async def test_express_mode_has_a_key_and_no_project() -> None:
    async with FakeUpstream(say(answered("vertex/text.json"))) as fake:
        await answer_of(provider_at(fake.url, project=None), request_for(CHAT, model=MODEL))
    assert fake.asked[0].path == "/v1/publishers/google/models/gemini-2.5-flash:generateContent"


async def test_without_a_key_an_identity_of_google_cloud_is_used(tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        (tmp_path / "subject").write_text("CANARY-subject")
        federation = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{clouds.url}/google/sts",
            "credential_source": {"file": str(tmp_path / "subject")},
        }
        (tmp_path / "federation.json").write_text(json.dumps(federation))
        async with FakeUpstream(say(answered("vertex/text.json"))) as fake:
            options = {"project": "farm-project", "credential": {"file": str(tmp_path / "federation.json")}}
            provider = VertexProvider(ProviderSettings(name="vertex", url=fake.url, options=options))
            for _ in range(2):
                await gather(await provider.send(request_for(CHAT, model=MODEL)))
            await provider.close()
        assert [asked.header("authorization") for asked in fake.asked] == ["Bearer CANARY-1"] * 2
    assert fake.asked[0].path.startswith("/v1/projects/farm-project/locations/global/")
    assert fake.asked[0].header("x-goog-api-key") is None


async def test_an_identity_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    options = {"project": "p", "credential": {"file": str(tmp_path / "nowhere.json")}}
    provider = VertexProvider(ProviderSettings(name="vertex", url="http://127.0.0.1:1", options=options))
    error = await failure_of(provider, request_for(CHAT, model=MODEL))
    assert isinstance(error, UpstreamRefusedKey)
    assert "options.credential.file" in error.message


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "vertex/error_400_long.json", ContextLengthExceeded),
        (403, "vertex/error_403.json", UpstreamRefusedKey),
        (404, "vertex/error_404.json", ModelNotFound),
        (429, "vertex/error_429.json", UpstreamRateLimited),
    ],
)
@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_googles_errors_are_told_whoevers_model_it_is(
    status: int, name: str, kind: type[FarmError], model: str
) -> None:
    async with FakeUpstream(say(answered(name, status=status))) as fake:
        assert type(await failure_of(provider_at(fake.url), request_for(CHAT, model=model))) is kind


# ------------------------------------------------------------------------------------------------ Claude


async def test_claude_is_asked_in_messages_its_name_in_the_address() -> None:
    words = Chat(messages=CHAT.messages, sampling=Sampling(max_tokens=7))
    async with FakeUpstream(say(answered("vertex/claude.json"))) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(words, model=CLAUDE))
    assert fake.asked[0].path == f"{ANTHROPICS}/claude-sonnet-4-5%4020250929:rawPredict"
    assert json.loads(fake.asked[0].body) == {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 7,
        "anthropic_version": "vertex-2023-10-16",
    }
    assert (answer.text, answer.usage) == (
        "A gate keeps the herd in.",
        Usage(prompt_tokens=12, completion_tokens=9),
    )


async def test_a_messages_caller_gets_claudes_bytes_and_its_beta_features() -> None:
    body = decode_request(RAW, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    body.hear(version=b"2023-06-01", betas=b"context-1m-2025-08-07")
    async with FakeUpstream(say(answered("vertex/claude.json"))) as fake:
        provider = provider_at(fake.url)
        with await provider.send(request_for(body, model=f"anthropic/{CLAUDE}")) as reply:
            assert reply.event is not None
            assert (reply.event.raw, reply.event.dialect) == (recording("vertex/claude.json"), Dialect.ANTHROPIC)
        await provider.close()
    assert fake.asked[0].header("anthropic-beta") == "context-1m-2025-08-07"
    sent = json.loads(RAW) | {"anthropic_version": "vertex-2023-10-16"}
    del sent["model"]
    assert json.loads(fake.asked[0].body) == sent


async def test_claude_streams() -> None:
    async with FakeUpstream(say(streamed("vertex/claude_stream.sse"))) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(CHAT, model=CLAUDE, stream=True))
    assert fake.asked[0].path.endswith(":streamRawPredict")
    assert json.loads(fake.asked[0].body)["stream"] is True
    assert (answer.text, answer.usage) == (
        "A gate keeps the herd in.",
        Usage(prompt_tokens=12, completion_tokens=9),
    )


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "vertex/claude_error_400.json", ContextLengthExceeded),
        (529, "vertex/claude_error_529.json", Unavailable),
    ],
)
async def test_anthropics_own_errors_pass_through_google(status: int, name: str, kind: type[FarmError]) -> None:
    async with FakeUpstream(say(answered(name, status=status))) as fake:
        assert type(await failure_of(provider_at(fake.url), request_for(CHAT, model=CLAUDE))) is kind


# ------------------------------------------------------------------------------------------------ open models


async def test_an_open_model_is_asked_in_openais_dialect() -> None:
    async with FakeUpstream(say(answered("vertex/open_model.json"))) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(CHAT, model=OPEN))
    assert fake.asked[0].path == f"{PLACE}/endpoints/openapi/chat/completions"
    assert json.loads(fake.asked[0].body)["model"] == OPEN
    assert answer.text == "A gate keeps the herd in."


@pytest.mark.parametrize(
    ("kind", "model"), [(Kind.COMPLETION, MODEL), (Kind.EMBEDDING, CLAUDE), (Kind.EMBEDDING, OPEN)]
)
async def test_what_there_is_no_api_for_is_said(kind: Kind, model: str) -> None:
    words = Complete(prompt="a") if kind is Kind.COMPLETION else Embed(inputs=("a",))
    error = await failure_of(provider_at("http://127.0.0.1:1"), request_for(words, kind=kind, model=model))
    assert isinstance(error, ModelNotCapable)


@pytest.mark.parametrize(
    "model", ["projects/other/locations/us/publishers/google/models/m", "meta/llama/x", "google/a/b"]
)
async def test_no_name_is_a_resource_of_another_project(model: str) -> None:
    provider = provider_at("http://127.0.0.1:1")
    assert isinstance(await failure_of(provider, request_for(CHAT, model=model)), ModelNotFound)
    with pytest.raises(ModelNotFound):
        await provider.count_tokens(request_for(CHAT, model=model))


# ------------------------------------------------------------------------------------------------ embeddings


async def test_texts_are_predicted_together() -> None:
    words = Embed(inputs=("a", "b"), dimensions=2, extra={"task_type": "CLUSTERING"})
    async with FakeUpstream(say(answered("vertex/predictions.json"))) as fake:
        asked = request_for(words, kind=Kind.EMBEDDING, model="text-embedding-005")
        answer = await answer_of(provider_at(fake.url), asked)
    assert fake.asked[0].path == f"{GOOGLES}/text-embedding-005:predict"
    assert json.loads(fake.asked[0].body) == {
        "instances": [{"content": "a", "task_type": "CLUSTERING"}, {"content": "b", "task_type": "CLUSTERING"}],
        "parameters": {"autoTruncate": False, "outputDimensionality": 2},
    }
    assert (answer.vectors, answer.usage) == ({0: (0.5, -0.25), 1: (0.125, 1.0)}, Usage(prompt_tokens=10))


@pytest.mark.parametrize(
    ("model", "verb", "body"),
    [
        (
            "gemini-embedding-001",
            "predict",
            {"predictions": [{"embeddings": {"values": [1.0], "statistics": {"token_count": 2}}}]},
        ),
        (
            "gemini-embedding-2",
            "embedContent",
            {"embedding": {"values": [1.0]}, "usageMetadata": {"promptTokenCount": 2}},
        ),
    ],
)
async def test_models_that_take_one_text_are_asked_for_each(model: str, verb: str, body: object) -> None:
    async with FakeUpstream(say(whole(body))) as fake:
        words = Embed(inputs=("a", "b", "c"))
        answer = await answer_of(provider_at(fake.url), request_for(words, kind=Kind.EMBEDDING, model=model))
    assert {asked.path for asked in fake.asked} == {f"{GOOGLES}/{model}:{verb}"}
    assert len(fake.asked) == 3
    assert (len(answer.vectors), answer.usage) == (3, Usage(prompt_tokens=6))


# ------------------------------------------------------------------------------------------------ counting, health


async def test_tokens_are_counted_by_whoever_made_the_model() -> None:
    async with FakeUpstream(
        say(answered("gemini/count_tokens.json")), say(answered("vertex/claude_count.json"))
    ) as fake:
        provider = provider_at(fake.url)
        assert await provider.count_tokens(request_for(CHAT, model=MODEL)) == 31
        assert await provider.count_tokens(request_for(CHAT, model=CLAUDE)) == 14
        assert await provider.count_tokens(request_for(CHAT, model=OPEN)) is None
        await provider.close()
    googles, anthropics = fake.asked
    assert googles.path == f"{GOOGLES}/gemini-2.5-flash:countTokens"
    assert json.loads(googles.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert anthropics.path == f"{ANTHROPICS}/count-tokens:rawPredict"
    counted = json.loads(anthropics.body)
    assert (counted["model"], counted["anthropic_version"]) == (CLAUDE, "vertex-2023-10-16")


async def test_it_is_well_when_it_may_count_the_tokens_of_its_model() -> None:
    async with FakeUpstream(say(answered("vertex/count_tokens.json"))) as fake:
        provider = provider_at(fake.url, models=(CLAUDE, MODEL))
        health = await provider.health()
        await provider.close()
    assert (health.status, health.models) == (HealthStatus.HEALTHY, (CLAUDE, MODEL))
    assert fake.asked[0].path == f"{GOOGLES}/{MODEL}:countTokens"
    async with FakeUpstream(say(answered("vertex/error_403.json", status=403))) as fake:
        provider = provider_at(fake.url, models=(MODEL,))
        health = await provider.health()
        await provider.close()
    assert health.status is HealthStatus.UNHEALTHY
    assert [model.name for model in await provider.models()] == [MODEL]


@pytest.mark.parametrize("location", ["", "Europe", "x/y", "a.b", 7])
def test_a_location_that_is_none_is_refused(location: object) -> None:
    with pytest.raises(ValueError, match="location"):
        provider_at("http://127.0.0.1:1", location=location)


def test_a_credential_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(CredentialError):
        VertexProvider(ProviderSettings(name="vertex", options={"credential": {"fiel": "x"}}))
