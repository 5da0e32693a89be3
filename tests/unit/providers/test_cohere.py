"""Cohere against a fake on loopback that serves recordings: what is sent, what is believed, what is told."""

from __future__ import annotations

import json

import pytest
from tests.fakes.asking import answered, asking, hi
from tests.fakes.recordings import recording
from tests.fakes.upstream import (
    CHUNKED,
    END,
    EVENTS,
    OK,
    Exchange,
    FakeUpstream,
    chunk,
    closed_port,
    drip,
    say,
    say_and_close,
    whole,
)

from farmgate.core.answer import gather
from farmgate.core.errors import (
    FarmError,
    ModelNotCapable,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamStreamTruncated,
)
from farmgate.core.event import Ranked, Usage
from farmgate.core.model import Capability, HealthStatus
from farmgate.core.request import Kind
from farmgate.core.words import Complete, Embed, Rerank, Sampling
from farmgate.providers.cohere import CohereProvider
from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings

KEY = "co-canary"


def provider_at(url: str | None, *, models: tuple[str, ...] = (), **options: object) -> CohereProvider:
    return CohereProvider(ProviderSettings(name="co", url=url, api_key=KEY, models=models, options=options))


def streaming(name: str, *, end: bytes = END) -> bytes:
    return OK + EVENTS + CHUNKED + b"\r\n" + chunk(recording(f"cohere/{name}")) + end


def test_it_is_a_provider_at_its_address() -> None:
    provider = provider_at(None)
    assert isinstance(provider, Provider)
    assert provider._upstream.address == "api.cohere.com"
    assert {Capability.CHAT, Capability.EMBEDDING, Capability.RERANK} <= provider.capabilities


async def test_a_chat_goes_out_and_its_answer_comes_back() -> None:
    async with FakeUpstream(say(whole(recording("cohere/tools.json")))) as fake:
        provider = provider_at(f"{fake.url}/v2")
        got = await answered(provider, asking(hi(sampling=Sampling(top_p=0.5)), model="command-a"))
        await provider.close()
    (asked,) = fake.asked
    assert (asked.path, asked.header("authorization")) == ("/v2/chat", f"Bearer {KEY}")
    assert json.loads(asked.body) == {
        "model": "command-a",
        "stream": False,
        "messages": [{"role": "user", "content": "hi"}],
        "p": 0.5,
    }
    assert got.text == "I will look."
    assert got.usage == Usage(prompt_tokens=913, completion_tokens=61)


async def test_a_stream_is_read_however_it_comes_and_its_connection_kept() -> None:
    for script in (say(streaming("stream.sse")), drip(streaming("stream.sse"))):
        async with FakeUpstream(script) as fake:
            provider = provider_at(fake.url)
            for _ in range(2):
                got = await answered(provider, asking(hi(), stream=True))
                assert got.text == "The gate opens at dawn. Ça va ?"
            assert fake.connections == 1
            await provider.close()
        assert json.loads(fake.asked[0].body)["stream"] is True


async def test_what_was_dropped_is_told_with_the_reply() -> None:
    async with FakeUpstream(say(whole(recording("cohere/text.json")))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(asking(hi(user="u")))
        await gather(reply)
        await provider.close()
    assert reply.dropped == ("user",)


async def failure_of(answer: bytes, *, stream: bool = False) -> FarmError:
    async with FakeUpstream(say_and_close(answer)) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(FarmError) as caught:
            await answered(provider, asking(hi(), stream=stream))
        assert provider._upstream.in_use == 0
        await provider.close()
    assert KEY not in f"{caught.value!r}{vars(caught.value)}"
    return caught.value


async def test_a_stream_that_breaks_or_is_cut_off_is_not_an_answer() -> None:
    assert type(await failure_of(streaming("broken_stream.sse"), stream=True)) is UpstreamError
    half = recording("cohere/stream.sse")[:-200]
    for end in (END, b""):
        cut = OK + EVENTS + CHUNKED + b"\r\n" + chunk(half) + end
        assert type(await failure_of(cut, stream=True)) is UpstreamStreamTruncated


async def test_a_refusal_is_told_in_our_words() -> None:
    assert type(await failure_of(whole(recording("cohere/error_401.json"), status=401))) is UpstreamRefusedKey
    limited = whole(
        recording("cohere/error_429.json"), status=429, headers=b"content-type: application/json\r\nretry-after: 7\r\n"
    )
    error = await failure_of(limited)
    assert (type(error), error.retry_after_s) == (UpstreamRateLimited, 7.0)


async def test_many_texts_are_embedded_in_several_requests_and_come_in_their_order() -> None:
    async def script(exchange: Exchange) -> None:
        texts = json.loads(exchange.link.asked[-1].body)["texts"]
        vectors = [[float(text)] for text in texts]
        meta = {"billed_units": {"input_tokens": len(texts)}}
        await exchange.send(whole({"id": "e", "embeddings": {"float": vectors}, "texts": texts, "meta": meta}))

    async with FakeUpstream(script) as fake:
        provider = provider_at(fake.url, input_type="clustering")
        words = Embed(inputs=tuple(map(str, range(200))))
        got = await answered(provider, asking(words, kind=Kind.EMBEDDING, model="embed-v4.0", stream=True))
        await provider.close()
    assert got.vectors == {at: (float(at),) for at in range(200)}
    assert got.usage == Usage(prompt_tokens=200)
    assert [asked.path for asked in fake.asked] == ["/v2/embed"] * 3
    assert {json.loads(asked.body)["input_type"] for asked in fake.asked} == {"clustering"}


async def test_documents_are_ranked() -> None:
    async with FakeUpstream(say(whole(recording("cohere/rerank.json")))) as fake:
        provider = provider_at(fake.url)
        words = Rerank(query="when?", documents=("a", "b", "c"), most=2)
        got = await answered(provider, asking(words, kind=Kind.RERANK, model="rerank-v3.5"))
        await provider.close()
    assert got.ranking == [Ranked(2, 0.98), Ranked(0, 0.31)]
    assert fake.asked[0].path == "/v2/rerank"


async def test_what_it_has_no_api_for_is_a_model_that_is_not_capable() -> None:
    provider = provider_at(None)
    with pytest.raises(ModelNotCapable):
        await answered(provider, asking(Complete(prompt="a"), kind=Kind.COMPLETION))
    await provider.close()


async def test_models_and_health_are_its_list() -> None:
    async with FakeUpstream(say(whole(recording("cohere/models.json")))) as fake:
        provider = provider_at(fake.url)
        models = await provider.models()
        health = await provider.health()
        await provider.close()
    assert (models[0].name, models[0].context_tokens) == ("command-a-03-2025", 288_000)
    assert (health.status, health.models) == (HealthStatus.HEALTHY, ("command-a-03-2025", "embed-v4.0"))
    assert fake.asked[0].path == "/v1/models?page_size=1000"


async def test_health_tells_what_is_wrong() -> None:
    async with FakeUpstream(say(whole(recording("cohere/error_401.json"), status=401))) as fake:
        provider = provider_at(fake.url, models=("m",))
        assert [model.name for model in await provider.models()] == ["m"]
        health = await provider.health()
        await provider.close()
    assert health.status is HealthStatus.UNHEALTHY
    assert "apiKey" in (health.detail or "")
    away = provider_at(f"http://127.0.0.1:{closed_port()}")
    assert (await away.health()).status is HealthStatus.UNHEALTHY
    await away.close()


def test_a_setting_that_makes_no_sense_is_told_by_its_place() -> None:
    with pytest.raises(ValueError, match=r"ai\.providers\.co: options\.input_type"):
        provider_at(None, input_type="novels")
