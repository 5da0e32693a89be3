"""Triton against a fake on loopback that serves recordings: what is sent where, what is believed, what is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fakes.asking import answered, asking, hi
from tests.fakes.recordings import recording
from tests.fakes.upstream import (
    CHUNKED,
    END,
    EVENTS,
    OK,
    FakeUpstream,
    chunk,
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
    UpstreamRejected,
    UpstreamStreamTruncated,
)
from farmgate.core.event import FinishReason, Usage
from farmgate.core.model import Capability, HealthStatus
from farmgate.core.ports import Progress
from farmgate.core.request import Kind
from farmgate.core.words import Complete, Embed, Rerank, Sampling
from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.triton import TritonProvider

ONCE = Complete(prompt="Once", sampling=Sampling(max_tokens=9))


def provider_at(url: str | None, *, models: tuple[str, ...] = (), **options: Any) -> TritonProvider:
    return TritonProvider(ProviderSettings(name="tri", url=url, models=models, options=options))


def completing(*, model: str = "farm", stream: bool = False) -> Any:
    return asking(ONCE, kind=Kind.COMPLETION, model=model, stream=stream)


def streaming(name: str, *, end: bytes = END) -> bytes:
    return OK + EVENTS + CHUNKED + b"\r\n" + chunk(recording(f"triton/{name}")) + end


def test_it_is_a_provider_that_chats_where_a_template_is_named() -> None:
    assert isinstance(provider_at("http://127.0.0.1:1"), Provider)
    assert Capability.CHAT not in provider_at("http://127.0.0.1:1").capabilities
    assert Capability.CHAT in provider_at("http://127.0.0.1:1", template="llama3").capabilities


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("farm", "/v2/models/farm"),
        ("farm@2", "/v2/models/farm/versions/2"),
        ("a/b c", "/v2/models/a%2Fb%20c"),
        ("a@b@3", "/v2/models/a%40b/versions/3"),
        ("@3", "/v2/models/%403"),
    ],
)
async def test_a_version_is_a_step_of_the_path(model: str, path: str) -> None:
    async with FakeUpstream(say(whole(recording("triton/text.json")))) as fake:
        provider = provider_at(f"{fake.url}/v2")
        got = await answered(provider, completing(model=model))
        await provider.close()
    assert fake.asked[0].path == f"{path}/generate"
    assert (got.text, got.usage) == ("The gate opens at dawn. Ça va ?", Usage(prompt_tokens=9, completion_tokens=7))


async def test_a_stream_is_read_however_it_comes_and_its_connection_kept() -> None:
    for script in (say(streaming("stream.sse")), drip(streaming("stream.sse"))):
        async with FakeUpstream(script) as fake:
            provider = provider_at(fake.url)
            for _ in range(2):
                got = await answered(provider, completing(stream=True))
                assert (got.text, got.choices[0].finish) == ("The gate opens at dawn. Ça va ?", FinishReason.LENGTH)
            assert fake.connections == 1
            await provider.close()
        assert fake.asked[0].path == "/v2/models/farm/generate_stream"
        assert json.loads(fake.asked[0].body)["stream"] is True


async def test_a_chat_is_text_where_a_template_is_named_and_refused_where_none_is() -> None:
    async with FakeUpstream(say(streaming("stream_trtllm.sse"))) as fake:
        provider = provider_at(fake.url, backend="trtllm", template="chatml", max_tokens=77)
        got = await answered(provider, asking(hi(), model="ensemble", stream=True))
        await provider.close()
    told = json.loads(fake.asked[0].body)
    assert told["text_input"] == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert (told["max_tokens"], told["stop_words"]) == (77, ["<|im_end|>"])
    assert (got.text, got.choices[0].finish) == ("The gate opens at dawn.", FinishReason.STOP)
    plain = provider_at("http://127.0.0.1:1")
    with pytest.raises(ModelNotCapable, match=r"options\.template of ai\.providers\.tri"):
        await answered(plain, asking(hi(), model="ensemble"))
    await plain.close()


async def failure_of(answer: bytes, *, stream: bool = False) -> FarmError:
    async with FakeUpstream(say_and_close(answer)) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(FarmError) as caught:
            await answered(provider, completing(stream=stream, model="nothing"))
        assert provider._upstream.in_use == 0
        await provider.close()
    return caught.value


async def test_a_stream_that_breaks_or_is_cut_off_is_not_an_answer() -> None:
    assert type(await failure_of(streaming("broken_stream.sse"), stream=True)) is UpstreamError
    assert type(await failure_of(streaming("stream_trtllm.sse", end=b""), stream=True)) is UpstreamStreamTruncated
    assert type(await failure_of(streaming("stream.sse", end=b"")[:-200], stream=True)) is UpstreamStreamTruncated


async def test_a_refusal_is_told_in_our_words() -> None:
    error = await failure_of(whole(recording("triton/error_404.json"), status=404))
    assert (type(error), "'nothing'" in error.message) == (ModelNotFound, True)
    error = await failure_of(whole(recording("triton/error_400.json"), status=400))
    assert (type(error), "max_tokens" in error.message) == (UpstreamRejected, True)


async def test_texts_are_embedded_through_infer() -> None:
    async with FakeUpstream(say(whole(recording("triton/infer.json")))) as fake:
        provider = provider_at(fake.url, embedding={"input": "TEXT", "output": "embedding", "batched": False})
        got = await answered(
            provider, asking(Embed(inputs=("a", "b")), kind=Kind.EMBEDDING, model="embedder@1", stream=True)
        )
        with pytest.raises(ModelNotCapable):
            await answered(provider, asking(Rerank(query="a", documents=("b",)), kind=Kind.RERANK))
        await provider.close()
    (asked,) = fake.asked
    assert asked.path == "/v2/models/embedder/versions/1/infer"
    assert json.loads(asked.body)["inputs"][0] | {"data": None} == {
        "name": "TEXT",
        "shape": [2],
        "datatype": "BYTES",
        "data": None,
    }
    assert got.vectors == {0: (0.5, -0.25), 1: (1.0, 0.0)}


async def test_models_are_those_of_the_repository_with_their_versions() -> None:
    async with FakeUpstream(say(whole(recording("triton/index.json")))) as fake:
        provider = provider_at(fake.url)
        models = await provider.models()
        await provider.close()
    assert (fake.asked[0].method, fake.asked[0].path) == ("POST", "/v2/repository/index")
    assert [(model.name, model.loaded) for model in models] == [
        ("farm", True),
        ("farm@1", True),
        ("farm@2", False),
        ("embedder", True),
        ("embedder@1", True),
    ]
    assert models[0].description == "unloaded"


async def test_a_server_without_a_list_has_the_models_of_the_settings() -> None:
    async with FakeUpstream(say(whole(b'{"error":"Not Found"}', status=404))) as fake:
        provider = provider_at(fake.url)
        assert await provider.models() == ()
        await provider.close()
        named = provider_at(fake.url, models=("farm",))
        assert [model.name for model in await named.models()] == ["farm"]
        await named.close()


async def test_a_model_is_loaded_by_its_name() -> None:
    async with FakeUpstream(say(whole(b"")), say(whole(b'{"error":"failed to load \'farm\'"}', status=400))) as fake:
        provider = provider_at(fake.url)
        told: list[Progress] = []
        await provider.load("farm@2", told.append)
        assert [one.status for one in told] == ["loading", "loaded"]
        with pytest.raises(UpstreamRejected):
            await provider.load("farm", told.append)
        await provider.close()
    assert fake.asked[0].path == "/v2/repository/models/farm/load"


async def test_health_is_whether_it_is_ready() -> None:
    async with FakeUpstream(say(whole(b"")), say(whole(b"", status=400))) as fake:
        provider = provider_at(fake.url, models=("farm",))
        ready = await provider.health()
        unready = await provider.health()
        await provider.close()
    assert fake.asked[0].path == "/v2/health/ready"
    assert ready.status is HealthStatus.HEALTHY
    assert "options.template" in (ready.detail or "")
    assert (unready.status, "is not loaded" in (unready.detail or "")) == (HealthStatus.UNHEALTHY, True)
    away = provider_at(f"http://127.0.0.1:{closed_port()}")
    assert (await away.health()).status is HealthStatus.UNHEALTHY
    await away.close()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"backend": "onnx"}, "options.backend"),
        ({"template": "poem"}, "options.template"),
        ({"max_tokens": True}, "options.max_tokens"),
        ({"embedding": "x"}, "options.embedding"),
        ({"embedding": {"inputs": "x"}}, "options.embedding"),
        ({"embedding": {"input": 5}}, "options.embedding"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told_by_its_place(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ValueError, match=r"^ai\.providers\.tri: ") as caught:
        provider_at("http://127.0.0.1:1", **options)
    assert part in str(caught.value)


def test_an_address_has_to_be_named() -> None:
    with pytest.raises(ValueError, match="set url"):
        provider_at(None)
