"""The Gemini API against a server that answers with its recordings: what is sent, and what is told."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.fakes.recordings import ID, answered, recording, request_for, streamed
from tests.fakes.upstream import CHUNKED, EVENTS, OK, FakeUpstream, chunk, say, say_and_close, say_and_stall, whole

from farmgate.core.answer import Answer, fold, gather
from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotCapable,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamStreamTruncated,
)
from farmgate.core.event import Usage
from farmgate.core.model import HealthStatus
from farmgate.core.request import Kind, Request
from farmgate.core.words import Ask, Chat, Complete, Embed, Message, Role, Sampling, Tool, ToolChoice, ToolMode
from farmgate.providers.gemini import GeminiProvider
from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Timeouts
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

KEY = "AIza-canary-0123456789"
WITHIN_S = 10.0
MODEL = "gemini-2.5-flash"
CHAT = Chat(messages=(Message(role=Role.USER, content="What is a gate for?"),))
TOOLS = Chat(
    messages=CHAT.messages,
    tools=(Tool(name="get_weather", parameters={"type": "object"}),),
    tool_choice=ToolChoice(mode=ToolMode.REQUIRED),
)


def provider_at(url: str, *, models: tuple[str, ...] = (), options: dict[str, object] | None = None) -> GeminiProvider:
    settings = ProviderSettings(
        name="google",
        url=f"{url}/v1beta",
        api_key=KEY,
        models=models,
        options=options or {},
        timeouts=Timeouts(connect_s=1.0, first_byte_s=5.0, idle_s=0.2),
    )
    return GeminiProvider(settings)


async def answer_of(provider: GeminiProvider, asked: Request) -> Answer:
    async with asyncio.timeout(WITHIN_S):
        answer = fold(await gather(await provider.send(asked)))
    await provider.close()
    return answer


async def failure_of(
    provider: GeminiProvider, words: Ask = CHAT, *, kind: Kind = Kind.CHAT, stream: bool = False
) -> FarmError:
    """What it is told as; nothing of it may tell the key."""
    with pytest.raises(FarmError) as failed:
        await answer_of(provider, request_for(words, kind=kind, model=MODEL, stream=stream))
    error: BaseException | None = failed.value
    while error is not None:
        assert KEY not in f"{error!r}{error}{vars(error)}"
        error = error.__cause__ or error.__context__
    return failed.value


def test_it_is_a_provider() -> None:
    assert isinstance(provider_at("http://127.0.0.1:1"), Provider)


async def test_a_chat_goes_out_in_googles_form_with_the_key_in_its_header() -> None:
    async with FakeUpstream(say(answered("gemini/text.json"))) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(CHAT, model=MODEL))
    (asked,) = fake.asked
    assert (asked.method, asked.path) == ("POST", "/v1beta/models/gemini-2.5-flash:generateContent")
    assert asked.header("x-goog-api-key") == KEY
    assert asked.header("authorization") is None
    assert json.loads(asked.body) == {"contents": [{"role": "user", "parts": [{"text": "What is a gate for?"}]}]}
    assert answer.text == "A gate keeps the herd in and the fox out."
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=12)


async def test_a_stream_is_asked_for_as_server_sent_events() -> None:
    async with FakeUpstream(say(streamed("gemini/stream.sse"))) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(CHAT, model=f"models/{MODEL}", stream=True))
    assert fake.asked[0].path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert answer.text == "A gate keeps the herd in, and the 🦊 out."
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=12)


@pytest.mark.usefixtures("quick_sweeps")
async def test_a_stream_that_is_over_does_not_wait_for_the_connection() -> None:
    start = OK + EVENTS + CHUNKED + b"\r\n"
    async with FakeUpstream(say_and_stall(start, chunk(recording("gemini/stream.sse")))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request_for(CHAT, model=MODEL, stream=True))
        async with asyncio.timeout(WITHIN_S), reply:
            await reply.pour(lambda _: None)
        await provider.close()


@pytest.mark.parametrize(
    ("name", "stream"), [("gemini/parallel_tools.json", False), ("gemini/parallel_tools_stream.sse", True)]
)
async def test_tools_go_out_and_their_calls_come_back(name: str, stream: bool) -> None:
    script = say(streamed(name) if stream else answered(name))
    async with FakeUpstream(script) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(TOOLS, model=MODEL, stream=stream))
    sent = json.loads(fake.asked[0].body)
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    calls = answer.choices[0].tools
    assert [(calls[at].name, json.loads(calls[at].arguments)) for at in range(3)] == [
        ("get_weather", {"city": "Bern"}),
        ("get_weather", {"city": "Basel"}),
        ("get_time", {}),
    ]
    assert calls[0].id == f"call_{ID}_0_0"


async def test_a_stream_of_two_answers_ends_with_the_second() -> None:
    words = Chat(messages=CHAT.messages, sampling=Sampling(count=2))
    async with FakeUpstream(say(streamed("gemini/candidates_stream.sse"))) as fake:
        answer = await answer_of(provider_at(fake.url), request_for(words, model=MODEL, stream=True))
    assert {at: choice.text for at, choice in answer.choices.items()} == {0: "Red.", 1: "Russet and"}


async def test_what_an_openai_caller_says_beyond_gemini_is_announced() -> None:
    raw = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"user":"u","store":true,"seed":3}'
    body = decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    async with FakeUpstream(say(answered("gemini/text.json"))) as fake:
        provider = provider_at(fake.url)
        with await provider.send(request_for(body, model=MODEL)) as reply:
            assert reply.dropped == ("store", "user")
        await provider.close()
    assert json.loads(fake.asked[0].body)["generationConfig"] == {"seed": 3}


async def test_what_cannot_be_said_is_refused_before_anything_is_sent() -> None:
    words = Chat(messages=CHAT.messages, extra={"logit_bias": {"1": 2}})
    async with FakeUpstream(say(whole())) as fake:
        error = await failure_of(provider_at(fake.url), words)
        assert (type(error), error.param) == (UnsupportedParameter, "logit_bias")
        assert isinstance(
            await failure_of(provider_at(fake.url), Complete(prompt="a"), kind=Kind.COMPLETION), ModelNotCapable
        )
        assert fake.connections == 0


async def test_the_operators_safety_settings_go_with_every_chat() -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    async with FakeUpstream(say(answered("gemini/text.json"))) as fake:
        await answer_of(provider_at(fake.url, options={"safetySettings": safety}), request_for(CHAT, model=MODEL))
    assert json.loads(fake.asked[0].body)["safetySettings"] == safety
    for wrong in ("none", [1], {"a": 1}):
        with pytest.raises(ValueError, match="safetySettings"):
            provider_at("http://127.0.0.1:1", options={"safetySettings": wrong})


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "gemini/error_400_key.json", UpstreamRefusedKey),
        (400, "gemini/error_400_long.json", ContextLengthExceeded),
        (404, "gemini/error_404.json", ModelNotFound),
        (429, "gemini/error_429.json", UpstreamRateLimited),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_told_as_what_they_are(status: int, name: str, kind: type[FarmError], stream: bool) -> None:
    async with FakeUpstream(say(answered(name, status=status))) as fake:
        assert type(await failure_of(provider_at(fake.url), stream=stream)) is kind


async def test_a_limit_says_when_to_come_back() -> None:
    async with FakeUpstream(say(answered("gemini/error_429.json", status=429))) as fake:
        assert (await failure_of(provider_at(fake.url))).retry_after_s == 34.0


async def test_a_stream_that_breaks_off_is_not_an_answer() -> None:
    first = recording("gemini/stream.sse").split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    cut = OK + EVENTS + CHUNKED + b"\r\n" + chunk(first)
    async with FakeUpstream(say_and_close(cut)) as fake:
        assert isinstance(await failure_of(provider_at(fake.url), stream=True), UpstreamStreamTruncated)
    async with FakeUpstream(say(cut + b"0\r\n\r\n")) as fake:
        assert isinstance(await failure_of(provider_at(fake.url), stream=True), UpstreamStreamTruncated)


async def test_something_else_at_that_address_is_told() -> None:
    async with FakeUpstream(say(whole(b"<html>", headers=b"content-type: text/html\r\n"))) as fake:
        assert isinstance(await failure_of(provider_at(fake.url)), UpstreamInvalidResponse)


# ------------------------------------------------------------------------------------------------ embeddings


async def test_texts_are_embedded_in_one_batch() -> None:
    words = Embed(inputs=("a", "b"), dimensions=3, user="u", extra={"task_type": "RETRIEVAL_QUERY"})
    async with FakeUpstream(say(answered("gemini/embeddings.json"))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request_for(words, kind=Kind.EMBEDDING, model="gemini-embedding-001"))
        assert reply.dropped == ("user",)
        answer = fold(await gather(reply))
        await provider.close()
    (asked,) = fake.asked
    assert asked.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    more = {"outputDimensionality": 3, "taskType": "RETRIEVAL_QUERY"}
    named = {"model": "models/gemini-embedding-001"} | more
    assert json.loads(asked.body) == {"requests": [named | {"content": {"parts": [{"text": text}]}} for text in "ab"]}
    assert answer.vectors == {0: (0.25, -0.5, 0.125), 1: (0.0, 1.0, -0.75)}


async def test_more_texts_than_a_batch_takes_are_several_batches_in_order() -> None:
    def batch(first: int, count: int) -> bytes:
        cost = {"usageMetadata": {"promptTokenCount": count}}
        return whole({"embeddings": [{"values": [float(first + at)]} for at in range(count)]} | cost)

    texts = tuple(str(at) for at in range(150))
    async with FakeUpstream(*[say(batch(0, 100)), say(batch(100, 50))]) as fake:
        provider = provider_at(fake.url)
        answer = fold(await gather(await provider.send(request_for(Embed(inputs=texts), kind=Kind.EMBEDDING))))
        await provider.close()
    sizes = [len(json.loads(asked.body)["requests"]) for asked in fake.asked]
    assert sorted(sizes) == [50, 100]
    assert answer.usage == Usage(prompt_tokens=150)
    assert len(answer.vectors) == 150


async def test_a_batch_that_fails_fails_the_whole() -> None:
    async with FakeUpstream(say(answered("gemini/error_429.json", status=429))) as fake:
        texts = Embed(inputs=("a",) * 350)
        assert isinstance(await failure_of(provider_at(fake.url), texts, kind=Kind.EMBEDDING), UpstreamRateLimited)


# ------------------------------------------------------------------------------------------------ models, health


async def test_tokens_are_counted_before_anything_is_answered() -> None:
    words = Chat(messages=(Message(role=Role.SYSTEM, content="Be brief."), *CHAT.messages), tools=TOOLS.tools)
    async with FakeUpstream(say(answered("gemini/count_tokens.json"))) as fake:
        provider = provider_at(fake.url)
        assert await provider.count_tokens(request_for(words, model=MODEL)) == 31
        await provider.close()
    assert fake.asked[0].path == "/v1beta/models/gemini-2.5-flash:countTokens"
    sent = json.loads(fake.asked[0].body)["generateContentRequest"]
    assert sent["model"] == "models/gemini-2.5-flash"
    assert sent.keys() == {"model", "contents", "systemInstruction", "tools"}


@pytest.mark.parametrize("body", [b"{}", b'{"totalTokens":-1}', b'{"totalTokens":"x"}', b"x"])
async def test_a_count_that_is_none_is_the_providers_fault(body: bytes) -> None:
    async with FakeUpstream(say(whole(body))) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(UpstreamInvalidResponse):
            await provider.count_tokens(request_for(CHAT, model=MODEL))
        await provider.close()


async def test_models_are_listed_page_by_page() -> None:
    async with FakeUpstream(say(answered("gemini/models.json")), say(answered("gemini/models_2.json"))) as fake:
        provider = provider_at(fake.url)
        models = await provider.models()
        await provider.close()
    assert [asked.path for asked in fake.asked] == [
        "/v1beta/models?pageSize=1000",
        "/v1beta/models?pageSize=1000&pageToken=Ch9tb2RlbHMv%2B%2F%3D",
    ]
    assert [model.name for model in models] == ["gemini-2.5-flash", "gemini-embedding-001", "gemini-3-pro-preview"]
    assert models[0].context_tokens == 1048576


async def test_models_of_the_settings_are_those_that_are_offered() -> None:
    async with FakeUpstream(say(answered("gemini/models_2.json"))) as fake:
        provider = provider_at(fake.url, models=("gemini-3-pro-preview", "gemini-later"))
        models = await provider.models()
        await provider.close()
    assert [(model.name, model.context_tokens) for model in models] == [
        ("gemini-3-pro-preview", 1048576),
        ("gemini-later", None),
    ]


async def test_pages_without_end_are_not_followed_for_ever() -> None:
    async with FakeUpstream(say(answered("gemini/models.json"))) as fake:
        provider = provider_at(fake.url)
        await provider.models()
        await provider.close()
    assert len(fake.asked) == 20


async def test_it_is_well_when_it_lists_its_models() -> None:
    async with FakeUpstream(say(answered("gemini/models_2.json"))) as fake:
        provider = provider_at(fake.url)
        health = await provider.health()
        await provider.close()
    assert (health.status, health.models) == (HealthStatus.HEALTHY, ("gemini-3-pro-preview",))
    async with FakeUpstream(say(answered("gemini/error_400_key.json", status=400))) as fake:
        provider = provider_at(fake.url)
        health = await provider.health()
        await provider.close()
    assert health.status is HealthStatus.UNHEALTHY
    assert "ai.providers.google" in (health.detail or "")
