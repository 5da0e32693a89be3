"""The Ollama provider against a server that speaks like Ollama, and fails like it, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from itertools import pairwise

import pytest
from tests.fakes.ollama import FakeModel, FakeOllama, Fault

from farmgate.core.answer import Answer, fold, gather
from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotFound,
    Unavailable,
    UnsupportedParameter,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRejected,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from farmgate.core.event import FinishReason, Text
from farmgate.core.identity import ANONYMOUS
from farmgate.core.model import Capability, HealthStatus
from farmgate.core.ports import Progress
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import Ask, Chat, Complete, Embed, Message, Role
from farmgate.providers import ollama as module
from farmgate.providers.ollama import OllamaProvider
from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Timeouts

KINDS: Mapping[type, Kind] = {Chat: Kind.CHAT, Complete: Kind.COMPLETION, Embed: Kind.EMBEDDING}
HELLO = Chat(messages=(Message(role=Role.USER, content="hello"),))
SHORT = Timeouts(connect_s=1.0, first_byte_s=0.05, idle_s=0.05)
WITHIN_S = 5.0


def provider_at(
    url: str,
    *,
    models: tuple[str, ...] = (),
    default_model: str | None = None,
    options: Mapping[str, object] | None = None,
    timeouts: Timeouts | None = None,
    frame_bytes: int = 1 << 20,
) -> OllamaProvider:
    return OllamaProvider(
        ProviderSettings(
            name="ollama",
            url=url,
            models=models,
            default_model=default_model,
            options=options or {},
            timeouts=timeouts or Timeouts(),
            frame_bytes=frame_bytes,
        )
    )


def request(words: Ask = HELLO, *, model: str = "tiny", stream: bool = True) -> Request:
    return Request(
        id="r",
        kind=KINDS[type(words)],
        body=Typed(words),
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
        model=model,
        stream=stream,
    )


async def answer_of(provider: OllamaProvider, words: Ask = HELLO, *, model: str = "tiny") -> Answer:
    async with asyncio.timeout(WITHIN_S):
        return fold(await gather(await provider.send(request(words, model=model))))


def free_url() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def never_reported(progress: Progress) -> None:
    raise AssertionError(progress)


async def test_it_fills_the_seam() -> None:
    assert isinstance(provider_at("http://127.0.0.1:1"), Provider)


# --------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_is_answered(stream: bool) -> None:
    async with FakeOllama(thought="hm") as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request(stream=stream))
        assert (reply.provider, reply.model) == ("ollama", "tiny")
        answer = fold(await gather(reply))
        assert answer.text == "Hello there"
        assert answer.choices[0].reasoning == "hm"
        assert answer.choices[0].finish is FinishReason.STOP
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)
        await provider.close()


async def test_only_the_native_api_is_spoken() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(f"{fake.url}/v1")
        await answer_of(provider)
        await answer_of(provider, Complete(prompt="once"))
        await answer_of(provider, Embed(inputs=("a",)))
        assert [asked.path for asked in fake.asked] == ["/api/chat", "/api/generate", "/api/embed"]
        await provider.close()


async def test_localhost_is_an_address() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(f"http://localhost:{fake.port}/")
        assert (await answer_of(provider)).text == "Hello there"
        await provider.close()


async def test_a_completion_is_answered() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url)
        assert (await answer_of(provider, Complete(prompt="once"))).text == "Hello there"
        await provider.close()


async def test_texts_are_embedded() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url)
        answer = await answer_of(provider, Embed(inputs=("a", "bc"), dimensions=2))
        assert answer.vectors == {0: (0.125, 0.25), 1: (0.25, 0.375)}
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 6
        assert fake.last("/api/embed")["dimensions"] == 2
        await provider.close()


async def test_tools_are_called() -> None:
    call: dict[str, object] = {"function": {"name": "weather", "arguments": {"city": "Ulm"}}}
    async with FakeOllama(said=(), calls=(call,)) as fake:
        provider = provider_at(fake.url)
        choice = (await answer_of(provider)).choices[0]
        assert choice.finish is FinishReason.TOOL_CALLS
        assert (choice.tools[0].id, choice.tools[0].name) == ("call_0", "weather")
        assert choice.tools[0].arguments == '{"city": "Ulm"}'
        await provider.close()


async def test_an_answer_cut_by_its_length_says_so() -> None:
    async with FakeOllama(done_reason="length") as fake:
        provider = provider_at(fake.url)
        assert (await answer_of(provider)).choices[0].finish is FinishReason.LENGTH
        await provider.close()


async def test_the_pinned_context_goes_with_every_request() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url, options={"num_ctx": 8192, "keep_alive": "10m"})
        await answer_of(provider)
        await answer_of(provider, Complete(prompt="once"))
        await answer_of(provider, Embed(inputs=("a",)))
        await provider.load("tiny", lambda _: None)
        loads = [asked.body for asked in fake.asked if asked.path in ("/api/chat", "/api/generate", "/api/embed")]
        assert len(loads) == 4
        assert [body["options"] for body in loads] == [{"num_ctx": 8192}] * 4
        assert [body["keep_alive"] for body in loads] == ["10m"] * 4
        await provider.close()


@pytest.mark.parametrize("options", [{"num_ctx": "8k"}, {"num_ctx": 0}, {"num_ctx": True}, {"keep_alive": []}])
def test_an_option_that_makes_no_sense_is_refused_at_the_start(options: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match=r"ai\.providers\.ollama"):
        provider_at("http://127.0.0.1:1", options=options)


@pytest.mark.parametrize("fault", [Fault.REASON_ONLY, Fault.NO_COUNTS, Fault.NO_NEWLINE, Fault.CRLF])
async def test_an_odd_but_whole_answer_is_whole(fault: Fault) -> None:
    async with FakeOllama(faults={"/api/chat": fault}) as fake:
        provider = provider_at(fake.url)
        answer = await answer_of(provider)
        assert answer.text == "Hello there"
        assert answer.usage is not None
        await provider.close()


async def test_one_connection_carries_one_answer_after_the_other() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url)
        for _ in range(3):
            await answer_of(provider)
            await answer_of(provider, Embed(inputs=("a",)))
        with pytest.raises(ModelNotFound):
            await answer_of(provider, model="absent")
        await provider.models()
        assert fake.connections == 1
        await provider.close()


async def test_the_end_of_a_body_is_waited_for_so_that_its_connection_lives_on() -> None:
    async with FakeOllama(faults={"/api/chat": Fault.LATE_END}) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request())
        async with asyncio.timeout(WITHIN_S):
            while (event := await reply.next()) is not None and event.usage is None:
                pass
            fake.released.set()
            assert await reply.next() is None
        reply.close()
        await provider.models()
        assert fake.connections == 1
        await provider.close()


async def test_a_body_that_does_not_end_does_not_hold_a_whole_answer_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_S", 0.02)
    async with FakeOllama(faults={"/api/chat": Fault.LINGER}) as fake:
        provider = provider_at(fake.url)
        assert (await answer_of(provider)).text == "Hello there"
        async with asyncio.timeout(WITHIN_S):
            await fake.caller_left.wait()
        await provider.close()


# --------------------------------------------------------------------------------------------- failures


async def test_nobody_there_tells_how_to_start_ollama() -> None:
    provider = provider_at(free_url())
    with pytest.raises(UpstreamUnreachable, match=r"ollama serve.*ollama\.com"):
        await answer_of(provider)
    await provider.close()


@pytest.mark.parametrize("words", [HELLO, Complete(prompt="once"), Embed(inputs=("a",))])
async def test_a_missing_model_tells_how_to_get_it(words: Ask) -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url)
        with pytest.raises(ModelNotFound, match="farmgate pull absent"):
            await answer_of(provider, words, model="absent")
        await provider.close()


async def test_a_full_queue_is_worth_another_try() -> None:
    async with FakeOllama(refusals={"/api/chat": (503, "server busy, please try again")}) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(Unavailable, match="server busy") as caught:
            await answer_of(provider)
        assert caught.value.status == 503
        assert caught.value.retryable
        await provider.close()


async def test_a_request_ollama_calls_wrong_is_not_tried_again() -> None:
    async with FakeOllama(refusals={"/api/chat": (400, '"tiny" does not support thinking')}) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(UpstreamRejected, match="does not support thinking") as caught:
            await answer_of(provider)
        assert caught.value.status == 400
        assert not caught.value.retryable
        await provider.close()


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.HANG_UP, UpstreamError),
        (Fault.HTML, UpstreamInvalidResponse),
        (Fault.INVALID_JSON, UpstreamInvalidResponse),
    ],
)
async def test_an_answer_that_is_none(path: str, fault: Fault, error: type[FarmError]) -> None:
    words: dict[str, Ask] = {
        "/api/chat": HELLO,
        "/api/generate": Complete(prompt="once"),
        "/api/embed": Embed(inputs=("a",)),
    }
    async with FakeOllama(faults={path: fault}) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(error):
            await answer_of(provider, words[path])
        await provider.close()


@pytest.mark.parametrize(
    ("fault", "error", "match"),
    [
        (Fault.CUT, UpstreamStreamTruncated, "broke off"),
        (Fault.NO_DONE, UpstreamStreamTruncated, "ended before"),
        (Fault.ERROR_LINE, UpstreamError, "the runner has crashed"),
        (Fault.HUGE_LINE, UpstreamInvalidResponse, "larger than the limit"),
        (Fault.INVALID_JSON, UpstreamInvalidResponse, "not a piece of an answer"),
    ],
)
@pytest.mark.parametrize("words", [HELLO, Complete(prompt="once")])
async def test_a_stream_that_breaks_is_never_a_whole_answer(
    words: Ask, fault: Fault, error: type[FarmError], match: str
) -> None:
    path = "/api/chat" if isinstance(words, Chat) else "/api/generate"
    async with FakeOllama(faults={path: fault}) as fake:
        provider = provider_at(fake.url, frame_bytes=10_000)
        with pytest.raises(error, match=match):
            await answer_of(provider, words)
        await provider.close()


@pytest.mark.usefixtures("quick_sweeps")
async def test_silence_is_a_timeout_and_the_server_sees_that_nobody_waits() -> None:
    async with FakeOllama(faults={"/api/chat": Fault.SILENT}) as fake:
        provider = provider_at(fake.url, timeouts=SHORT)
        with pytest.raises(UpstreamTimeout):
            await answer_of(provider)
        async with asyncio.timeout(WITHIN_S):
            await fake.caller_left.wait()
        await provider.close()


@pytest.mark.usefixtures("quick_sweeps")
async def test_a_stream_that_stalls_is_a_timeout() -> None:
    async with FakeOllama(faults={"/api/chat": Fault.STALL}) as fake:
        provider = provider_at(fake.url, timeouts=SHORT)
        with pytest.raises(UpstreamTimeout):
            await answer_of(provider)
        await provider.close()


async def test_closing_a_reply_closes_the_socket() -> None:
    async with FakeOllama(faults={"/api/chat": Fault.STALL}) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request())
        event = await reply.next()
        assert event is not None
        assert event.parts[0] == Text("Hel")
        assert not fake.caller_left.is_set()
        reply.close()
        async with asyncio.timeout(WITHIN_S):
            await fake.caller_left.wait()
        await provider.close()


async def test_a_cancelled_request_closes_the_socket() -> None:
    async with FakeOllama(faults={"/api/chat": Fault.STALL}) as fake:
        provider = provider_at(fake.url)
        reading = asyncio.create_task(answer_of(provider))
        async with asyncio.timeout(WITHIN_S):
            await fake.began.wait()
            reading.cancel()
            await fake.caller_left.wait()
        assert reading.cancelled() or reading.cancelling()
        await asyncio.gather(reading, return_exceptions=True)
        await provider.close()


# --------------------------------------------------------------------------------------------- cloud models


@pytest.mark.parametrize("name", ["glm-4.6:cloud", "gpt-oss:120b-cloud"])
async def test_a_prompt_does_not_leave_the_machine_by_a_models_name(name: str) -> None:
    async with FakeOllama(installed={name: FakeModel()}) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(UnsupportedParameter, match="allow_cloud"):
            await answer_of(provider, model=name)
        with pytest.raises(UnsupportedParameter, match="allow_cloud"):
            await provider.load(name, never_reported)
        with pytest.raises(UnsupportedParameter, match="allow_cloud"):
            await provider.pull(name, never_reported)
        assert await provider.models() == ()
        assert [asked.path for asked in fake.asked] == ["/api/tags", "/api/ps"]
        await provider.close()


async def test_cloud_models_answer_where_they_are_allowed() -> None:
    name = "glm-4.6:cloud"
    async with FakeOllama(installed={name: FakeModel()}) as fake:
        provider = provider_at(fake.url, options={"allow_cloud": True})
        assert (await answer_of(provider, model=name)).text == "Hello there"
        assert [model.name for model in await provider.models()] == [name]
        await provider.close()


# --------------------------------------------------------------------------------------------- models


async def test_models_tell_size_and_whether_they_are_loaded() -> None:
    installed = {"tiny:latest": FakeModel(size=5), "big:7b": FakeModel(size=9)}
    async with FakeOllama(installed=installed, resident={"big:7b"}) as fake:
        provider = provider_at(fake.url)
        tiny, big = await provider.models()
        assert (tiny.name, tiny.provider, tiny.size_bytes, tiny.loaded) == ("tiny:latest", "ollama", 5, False)
        assert (big.name, big.size_bytes, big.loaded, big.window_tokens) == ("big:7b", 9, True, 4096)
        assert big.description == "fake 1K Q4_0"
        assert big.created_unix == 1767323045
        await provider.close()


async def test_models_tell_what_they_can_and_are_asked_once() -> None:
    installed = {"sees:1": FakeModel(capabilities=("completion", "vision")), "embeds:1": FakeModel(capabilities=())}
    async with FakeOllama(installed=installed) as fake:
        provider = provider_at(fake.url)
        assert {model.capabilities for model in await provider.models()} == {frozenset()}, (
            "listing does not wait for it"
        )
        for _ in range(2):
            await provider.learn()
            found = {model.name: model for model in await provider.models()}
            assert found["sees:1"].capabilities >= {Capability.VISION, Capability.CHAT}
            assert found["sees:1"].lacks == {Capability.TOOLS, Capability.REASONING}
            assert found["sees:1"].context_tokens == 8192
            assert found["embeds:1"].lacks == frozenset(), "an old Ollama does not say"
        assert [asked.path for asked in fake.asked].count("/api/show") == 2
        await provider.close()


async def test_no_request_has_more_context_than_num_ctx() -> None:
    installed = {"tiny:latest": FakeModel(context_length=8192)}
    async with FakeOllama(installed=installed) as fake:
        for num_ctx, context_tokens in ((2048, 2048), (65_536, 8192)):
            provider = provider_at(fake.url, options={"num_ctx": num_ctx})
            await provider.learn()
            (tiny,) = await provider.models()
            assert tiny.context_tokens == context_tokens
            await provider.close()


async def test_the_settings_models_come_first_and_latest_is_implied() -> None:
    installed = {"big:7b": FakeModel(), "tiny:latest": FakeModel(size=5)}
    async with FakeOllama(installed=installed, resident={"tiny:latest"}) as fake:
        provider = provider_at(fake.url, models=("Tiny", "absent", "tiny:latest"))
        tiny, absent, big = await provider.models()
        assert (tiny.name, tiny.size_bytes, tiny.loaded) == ("tiny:latest", 5, True)
        assert (absent.name, absent.size_bytes, absent.loaded) == ("absent", None, False)
        assert absent.description == "not there yet: `farmgate pull absent`"
        assert big.name == "big:7b"
        await provider.close()


async def test_models_are_listed_where_nobody_knows_what_is_loaded() -> None:
    async with FakeOllama(refusals={"/api/ps": (404, "no such route")}) as fake:
        provider = provider_at(fake.url)
        assert [(model.name, model.loaded) for model in await provider.models()] == [("tiny:latest", None)]
        await provider.close()


# --------------------------------------------------------------------------------------------- health


async def test_a_server_that_answers_is_healthy() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url, models=("tiny",), default_model="tiny")
        health = await provider.health()
        assert (health.name, health.status, health.models) == ("ollama", HealthStatus.HEALTHY, ("tiny",))
        assert health.detail is None
        assert {asked.path for asked in fake.asked} == {"/api/version", "/api/tags"}
        await provider.close()


async def test_health_tells_when_the_default_model_is_missing() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url, default_model="phi3")
        health = await provider.health()
        assert health.status is HealthStatus.HEALTHY
        assert "`farmgate pull phi3`" in (health.detail or "")
        await provider.close()


@pytest.mark.parametrize("fault", [Fault.HANG_UP, Fault.HTML, Fault.INVALID_JSON, Fault.SILENT])
async def test_health_never_raises_and_never_waits_for_long(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEALTH_S", 0.05)
    async with FakeOllama(faults={"/api/version": fault}) as fake:
        provider = provider_at(fake.url)
        async with asyncio.timeout(WITHIN_S):
            health = await provider.health()
        assert health.status is HealthStatus.UNHEALTHY
        assert health.detail
        await provider.close()


async def test_health_without_a_server_tells_how_to_start_it() -> None:
    provider = provider_at(free_url())
    health = await provider.health()
    assert health.status is HealthStatus.UNHEALTHY
    assert "ollama serve" in (health.detail or "")
    await provider.close()


# --------------------------------------------------------------------------------------------- load


async def test_a_missing_model_is_pulled_then_loaded() -> None:
    async with FakeOllama(installed={}, library={"tiny:latest": FakeModel()}) as fake:
        provider = provider_at(fake.url)
        told: list[Progress] = []
        await provider.load("tiny", told.append)
        assert "tiny:latest" in fake.resident
        pulled = [progress for progress in told if progress.total is not None]
        assert (pulled[-1].completed, pulled[-1].total) == (1000, 1000)
        assert [progress.status for progress in told[-2:]] == ["loading", "loaded"]
        assert all(one.completed <= two.completed for one, two in pairwise(pulled))
        await provider.close()


async def test_a_model_that_is_there_is_not_pulled_again() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url)
        await provider.load("tiny", lambda _: None)
        assert [asked.path for asked in fake.asked] == ["/api/show", "/api/generate"]
        assert fake.resident == {"tiny:latest"}
        await provider.close()


async def test_a_model_that_only_embeds_is_loaded_by_embedding_nothing() -> None:
    async with FakeOllama(installed={"vec:latest": FakeModel(capabilities=("embedding",))}) as fake:
        provider = provider_at(fake.url)
        await provider.load("vec", lambda _: None)
        assert fake.last("/api/embed")["input"] == []
        assert fake.resident == {"vec:latest"}
        await provider.close()


async def test_a_model_nobody_has_cannot_be_pulled() -> None:
    async with FakeOllama() as fake:
        provider = provider_at(fake.url)
        with pytest.raises(ModelNotFound, match="library"):
            await provider.load("absent", lambda _: None)
        await provider.close()


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.NO_DONE])
async def test_a_pull_that_breaks_off_is_told_and_loads_nothing(fault: Fault) -> None:
    library = {"new:latest": FakeModel()}
    async with FakeOllama(library=library, faults={"/api/pull": fault}) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(UpstreamStreamTruncated):
            await provider.load("new", lambda _: None)
        assert fake.resident == set()
        await provider.close()


async def test_cancelling_a_load_ends_the_pull() -> None:
    library = {"new:latest": FakeModel()}
    async with FakeOllama(library=library, faults={"/api/pull": Fault.STALL}) as fake:
        provider = provider_at(fake.url)
        loading = asyncio.create_task(provider.load("new", lambda _: None))
        async with asyncio.timeout(WITHIN_S):
            await fake.began.wait()
            loading.cancel()
            await fake.caller_left.wait()
        assert (await asyncio.gather(loading, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        await provider.close()


async def test_what_is_too_long_for_a_model_is_told_by_the_field_it_is_in() -> None:
    async with FakeOllama(refusals={"/api/embed": (400, "the input length exceeds the context length")}) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(ContextLengthExceeded) as caught:
            await answer_of(provider, Embed(inputs=("a",)))
        assert caught.value.param == "input"
        await provider.close()


ELSEWHERE = ["evil.example/x/y", "169.254.169.254/latest/meta", "http://127.0.0.1:1/x", "http://127.0.0.1", "a/b/c/d"]


@pytest.mark.parametrize("name", ELSEWHERE)
async def test_nobody_makes_ollama_fetch_an_address(name: str) -> None:
    async with FakeOllama(library={f"{name}:latest": FakeModel()}) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(UnsupportedParameter, match="registries"):
            await provider.load(name, lambda _: None)
        with pytest.raises(UnsupportedParameter, match="registries"):
            await provider.pull(name, never_reported)
        assert "/api/pull" not in [asked.path for asked in fake.asked]
        await provider.close()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hf.co/bartowski/tiny-gguf", {}),
        ("somebody/tiny", {}),
        ("models.example/team/tiny", {"registries": ["Models.example"]}),
    ],
)
async def test_models_come_from_the_registries_that_are_allowed(name: str, options: dict[str, object]) -> None:
    async with FakeOllama(library={f"{name}:latest": FakeModel()}) as fake:
        provider = provider_at(fake.url, options=options)
        await provider.load(name, lambda _: None)
        assert "/api/pull" in [asked.path for asked in fake.asked]
        await provider.close()


def test_registries_are_a_list_of_names() -> None:
    for wrong in ("one", [1], {"a": "b"}):
        with pytest.raises(ValueError, match="registries"):
            provider_at("http://127.0.0.1:1", options={"registries": wrong})
