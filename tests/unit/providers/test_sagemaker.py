"""SageMaker against a fake on loopback: what is signed and sent, and the container's answers in AWS's envelope."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.asking import REGION, SECRET, answered, asking, hi, use_keys
from tests.fakes.recordings import recorded_events, recording
from tests.fakes.sigv4 import prove
from tests.fakes.upstream import FakeUpstream, chunked, closed_port, drip, say, say_and_close, whole

from farmgate.core.answer import gather
from farmgate.core.errors import (
    FarmError,
    ModelNotCapable,
    ModelNotFound,
    UpstreamError,
    UpstreamRejected,
    UpstreamStreamTruncated,
)
from farmgate.core.event import FinishReason, Usage
from farmgate.core.model import HealthStatus
from farmgate.core.request import Dialect, Kind
from farmgate.core.words import Complete, Embed, Rerank, Sampling
from farmgate.providers.provider import Provider
from farmgate.providers.sagemaker import SageMakerProvider
from farmgate.providers.settings import ProviderSettings
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

STREAM = b"content-type: application/vnd.amazon.eventstream\r\n"
RAW = b'{"model":"farm","messages":[{"role":"user","content":"hi"}],"later_field":[1.50],"stream":true}'


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_keys(monkeypatch, tmp_path)


def provider_at(url: str | None, *, models: tuple[str, ...] = (), **options: Any) -> SageMakerProvider:
    settings = ProviderSettings(name="there", url=url, models=models, options={"region": REGION, **options})
    return SageMakerProvider(settings)


def streaming(name: str) -> bytes:
    return chunked(recorded_events(f"sagemaker/{name}"), headers=STREAM)


def test_it_is_a_provider_at_its_region_s_address() -> None:
    assert isinstance(provider_at(None), Provider)
    assert provider_at(None)._amazon.upstream.address == f"runtime.sagemaker.{REGION}.amazonaws.com"


async def test_words_go_out_as_openai_s_and_signed() -> None:
    async with FakeUpstream(say(whole(recording("sagemaker/text.json")))) as fake:
        provider = provider_at(fake.url)
        got = await answered(provider, asking(hi(sampling=Sampling(top_k=4)), model="farm"))
        await provider.close()
    (asked,) = fake.asked
    assert asked.path == "/endpoints/farm/invocations"
    assert json.loads(asked.body) == {"messages": [{"role": "user", "content": "hi"}], "top_k": 4}
    prove(asked, secret=SECRET, region=REGION, service="sagemaker")
    assert got.text == "The gate opens at dawn."
    assert got.usage == Usage(prompt_tokens=17, completion_tokens=7)


async def test_a_stream_comes_out_of_its_envelope_untouched() -> None:
    for script in (say(streaming("stream.jsonl")), drip(streaming("stream.jsonl"))):
        async with FakeUpstream(script) as fake:
            provider = provider_at(fake.url)
            body = decode_request(RAW, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
            events = await gather(await provider.send(asking(hi(), body=body, model="farm", stream=True, usage=False)))
            await provider.close()
        (asked,) = fake.asked
        assert asked.path == "/endpoints/farm/invocations-response-stream"
        told = json.loads(asked.body)
        assert (told["later_field"], told["stream_options"]) == ([1.5], {"include_usage": True})
        assert "model" not in told
        frames = b"".join(event.raw for event in events)
        assert frames.count(b"data: ") == 4  # The one with the usage was asked for by us.
        assert {event.dialect for event in events} == {Dialect.OPENAI}
        assert [event.usage for event in events if event.usage] == [Usage(prompt_tokens=17, completion_tokens=11)]


async def test_a_container_s_own_name_and_the_endpoint_s_parts_are_the_operator_s() -> None:
    async with FakeUpstream(say(whole(recording("sagemaker/text.json")))) as fake:
        provider = provider_at(
            fake.url, model="lmi", inference_component={"farm": "adapter-1"}, target_variant="primary"
        )
        await answered(provider, asking(hi(), model="farm"))
        await answered(provider, asking(hi(), model="other"))
        await provider.close()
    first, second = fake.asked
    assert json.loads(first.body)["model"] == "lmi"
    assert first.header("x-amzn-sagemaker-inference-component") == "adapter-1"
    assert first.header("x-amzn-sagemaker-target-variant") == "primary"
    assert second.header("x-amzn-sagemaker-inference-component") is None
    prove(first, secret=SECRET, region=REGION, service="sagemaker")


async def test_completions_and_embeddings_are_the_same_call() -> None:
    vectors = {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}}
    text = {"choices": [{"index": 0, "text": " upon", "finish_reason": "length"}]}
    async with FakeUpstream(say(whole(vectors)), say(whole(text))) as fake:
        provider = provider_at(fake.url)
        got = await answered(provider, asking(Embed(inputs=("a",)), kind=Kind.EMBEDDING, model="farm", stream=True))
        assert got.vectors == {0: (0.5,)}
        got = await answered(provider, asking(Complete(prompt="Once"), kind=Kind.COMPLETION, model="farm"))
        assert (got.text, got.choices[0].finish) == (" upon", FinishReason.LENGTH)
        with pytest.raises(ModelNotCapable):
            await answered(provider, asking(Rerank(query="a", documents=("b",)), kind=Kind.RERANK, model="farm"))
        await provider.close()
    assert {asked.path for asked in fake.asked} == {"/endpoints/farm/invocations"}


async def failure_of(answer: bytes, *, stream: bool = False) -> FarmError:
    async with FakeUpstream(say_and_close(answer)) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(FarmError) as caught:
            await answered(provider, asking(hi(), model="farm", stream=stream))
        assert provider._amazon.upstream.in_use == 0
        await provider.close()
    assert "CANARY" not in f"{caught.value!r}{vars(caught.value)}"
    assert "123456789012" not in caught.value.message
    return caught.value


async def test_the_container_s_error_is_told_as_its_own_and_sagemaker_s_as_sagemaker_s() -> None:
    error = await failure_of(whole(recording("sagemaker/error_424.json"), status=424))
    assert (type(error), error.status) == (UpstreamRejected, 400)
    assert "temperature must be non-negative" in error.message
    assert type(await failure_of(whole(recording("sagemaker/error_400.json"), status=400))) is ModelNotFound


async def test_a_stream_that_breaks_or_is_cut_off_is_not_an_answer() -> None:
    assert type(await failure_of(streaming("broken_stream.jsonl"), stream=True)) is UpstreamError
    cut = chunked(recorded_events("sagemaker/stream.jsonl")[:3], headers=STREAM)
    assert type(await failure_of(cut, stream=True)) is UpstreamStreamTruncated


async def test_health_invokes_nothing() -> None:
    async with FakeUpstream(say(whole(b"{}", status=404))) as fake:
        provider = provider_at(fake.url, models=("farm",))
        health = await provider.health()
        assert [model.name for model in await provider.models()] == ["farm"]
        await provider.close()
    assert (fake.asked[0].method, fake.asked[0].path) == ("GET", "/ping")
    assert health.status is HealthStatus.HEALTHY
    assert "only a request can tell" in (health.detail or "")
    away = provider_at(f"http://127.0.0.1:{closed_port()}")
    assert (await away.health()).status is HealthStatus.UNHEALTHY
    await away.close()


@pytest.mark.parametrize(
    "options", [{"inference_component": 5}, {"target_variant": {"farm": "a\r\nx: y"}}, {"model": ["m"]}, {"region": ""}]
)
def test_a_setting_that_makes_no_sense_is_told_by_its_place(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^ai\.providers\.there: options\."):
        provider_at(None, **options)


def test_a_key_is_refused_because_sagemaker_has_none() -> None:
    with pytest.raises(ValueError, match="no API keys"):
        SageMakerProvider(ProviderSettings(name="there", api_key="k", options={"region": REGION}))
