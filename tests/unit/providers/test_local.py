"""Local models: every request holds a lease for exactly as long as it runs, and a dead engine is told as one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.care import Still
from tests.fakes.upstream import (
    CHUNKED,
    EVENTS,
    OK,
    FakeUpstream,
    Script,
    chunk,
    chunked,
    closed_port,
    event,
    say,
    say_and_close,
    say_and_reset,
    say_and_stall,
    whole,
)

from farmgate.core.answer import fold, gather
from farmgate.core.errors import (
    EngineLost,
    EngineUnavailable,
    FarmError,
    InvalidValue,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamError,
    UpstreamRejected,
    UpstreamStreamTruncated,
    UpstreamTimeout,
)
from farmgate.core.event import Event
from farmgate.core.identity import ANONYMOUS
from farmgate.core.model import HealthStatus, ModelInfo
from farmgate.core.ports import Places, Progress, Purpose, Report
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import Ask, Chat, Complete, Embed, Message, Role, Tool, ToolChoice, ToolMode
from farmgate.providers import local as module
from farmgate.providers.local import LocalProvider
from farmgate.providers.provider import CountsTokens, Provider
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Timeouts
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits, encode

WITHIN_S = 10.0
SAID = {"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]}
VECTORS = {"data": [{"index": 0, "embedding": [1.0]}]}
ASKS: dict[Kind, Ask] = {
    Kind.CHAT: Chat(messages=(Message(role=Role.USER, content="hi"),)),
    Kind.COMPLETION: Complete(prompt="Once"),
    Kind.EMBEDDING: Embed(inputs=("a",)),
}


def piece(delta: dict[str, object], finish: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


ROLE = piece({"role": "assistant", "content": ""})
FRAMES = [ROLE, piece({"content": "Hel"}), piece({"content": "lo"}), piece({}, "stop"), event(b"[DONE]")]
START = OK + EVENTS + CHUNKED + b"\r\n"


@dataclass
class FakeLease:
    """A lease that counts how often it was released."""

    url: str
    key: str
    released: int = 0
    answered: list[bool] = field(default_factory=list)
    fields: Mapping[str, object] = field(default_factory=dict)

    def release(self, *, answered: bool = False) -> None:
        self.answered.append(answered)
        self.released += 1


@dataclass
class FakeLender(Still):
    """Lends the addresses it is given, one after the other; the last for ever."""

    urls: list[str]
    key: str = "engine-key"
    refuses: FarmError | None = None
    waits: bool = False
    is_closed: bool = False
    fields: Mapping[str, object] = field(default_factory=dict)
    leases: list[FakeLease] = field(default_factory=list)
    asked: list[tuple[str, Purpose]] = field(default_factory=list)

    async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> FakeLease:
        self.asked.append((model, purpose))
        if self.refuses is not None:
            raise self.refuses
        if self.waits:
            await asyncio.Event().wait()
        url = self.urls.pop(0) if len(self.urls) > 1 else self.urls[0]
        self.leases.append(FakeLease(url, self.key, fields=self.fields))
        return self.leases[-1]

    async def load(self, model: str, report: Report) -> None:
        report(Progress(status=model))

    def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo(name="m", provider="local"),)

    def state(self) -> tuple[HealthStatus, str | None]:
        return HealthStatus.LOADING, "one moment"

    async def close(self) -> None:
        self.is_closed = True

    @property
    def all_released_once(self) -> bool:
        return [lease.released for lease in self.leases] == [1] * len(self.leases)


@dataclass
class FakeWeights:
    """One model is there; another can be had."""

    pulled: list[str] = field(default_factory=list)

    def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo(name="m", provider="local"),)

    def path(self, model: str) -> Path | None:
        return None

    async def pull(self, model: str, report: Report) -> Path:
        if model == "nowhere":
            raise ModelNotFound
        self.pulled.append(model)
        report(Progress(status="pulled"))
        return Path(model)

    def remove(self, model: str) -> bool:
        return False


def provider_of(lender: FakeLender, weights: FakeWeights | None = None) -> LocalProvider:
    timeouts = Timeouts(connect_s=1.0, first_byte_s=0.05, idle_s=0.05)
    return LocalProvider(ProviderSettings(name="local", timeouts=timeouts), lender, weights or FakeWeights())


def request(kind: Kind = Kind.CHAT, *, stream: bool = False) -> Request:
    return Request(
        id="r",
        kind=kind,
        body=Typed(ASKS[kind]),
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
        model="m",
        stream=stream,
    )


async def read_then_poured(reply: Reply) -> list[Event]:
    """What the gate does: look until something was said, pour the rest."""
    got: list[Event] = []
    with reply:
        while True:
            seen = await reply.next()
            if seen is None:
                return got
            got.append(seen)
            if seen.bears_content:
                break
        await reply.pour(got.append)
    return got


Take = Callable[[Reply], Awaitable[list[Event]]]
both_ways = pytest.mark.parametrize("take", [gather, read_then_poured], ids=["read", "poured"])


@pytest.mark.parametrize(
    ("kind", "path", "purpose"),
    [
        (Kind.CHAT, "/v1/chat/completions", Purpose.GENERATE),
        (Kind.COMPLETION, "/v1/completions", Purpose.GENERATE),
        (Kind.EMBEDDING, "/v1/embeddings", Purpose.EMBED),
    ],
)
async def test_the_engine_is_asked_in_openais_words_with_its_own_key(kind: Kind, path: str, purpose: Purpose) -> None:
    answer = VECTORS if kind is Kind.EMBEDDING else SAID
    async with FakeUpstream(say(whole(answer))) as fake:
        lender = FakeLender([fake.url])
        provider = provider_of(lender)
        assert isinstance(provider, Provider)
        await gather(await provider.send(request(kind)))
        await provider.close()
    assert (fake.asked[0].method, fake.asked[0].path) == ("POST", path)
    assert fake.asked[0].header("authorization") == "Bearer engine-key"
    assert lender.asked == [("m", purpose)]
    assert lender.all_released_once


async def test_an_engine_without_a_key_is_sent_none() -> None:
    async with FakeUpstream(say(whole(SAID))) as fake:
        provider = provider_of(FakeLender([fake.url], key=""))
        await gather(await provider.send(request()))
        await provider.close()
    assert fake.asked[0].header("authorization") is None


@both_ways
async def test_a_lease_lasts_as_long_as_its_stream(take: Take) -> None:
    async with FakeUpstream(say(chunked(FRAMES))) as fake:
        lender = FakeLender([fake.url])
        provider = provider_of(lender)
        for _ in range(2):
            reply = await provider.send(request(stream=True))
            assert lender.leases[-1].released == 0
            assert fold(await take(reply)).text == "Hello"
            reply.close()
        assert lender.all_released_once
        assert fake.connections == 1
        await provider.close()


@both_ways
async def test_answers_name_the_model_and_no_folder_of_this_machine(take: Take) -> None:
    """Some servers name what they were started with."""
    chunks = [event({"model": "/srv/models/m"} | json.loads(frame[6:])) for frame in FRAMES[:-1]]
    async with FakeUpstream(say(chunked([*chunks, FRAMES[-1]])), say(whole({"model": "/srv/models/m"} | SAID))) as fake:
        provider = provider_of(FakeLender([fake.url]))
        for stream in (True, False):
            reply = await provider.send(request(stream=stream))
            raw = b"".join(one.raw for one in await (take if stream else gather)(reply))
            assert b"/srv" not in raw
            assert b'"model": "m"' in raw or b'"model":"m"' in raw
        await provider.close()


async def test_a_whole_answers_lease_ends_when_it_is_closed() -> None:
    async with FakeUpstream(say(whole(SAID))) as fake:
        lender = FakeLender([fake.url])
        provider = provider_of(lender)
        reply = await provider.send(request())
        assert reply.event is not None
        reply.close()
        reply.close()
        assert lender.all_released_once
        await provider.close()


async def test_a_model_that_is_not_lent_is_not_asked() -> None:
    lender = FakeLender([], refuses=ModelNotFound())
    with pytest.raises(ModelNotFound):
        await provider_of(lender).send(request())


async def test_cancelled_while_it_waits_for_an_engine() -> None:
    lender = FakeLender([], waits=True)
    sending = asyncio.create_task(provider_of(lender).send(request()))
    while not lender.asked:
        await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not lender.leases


@both_ways
@pytest.mark.parametrize("turns", [*range(10), 30])
@pytest.mark.parametrize(
    "script", [say_and_stall(), say_and_stall(START + chunk(ROLE)), say_and_stall(chunked(FRAMES[:2], end=b""))]
)
async def test_cancelled_anywhere_the_lease_ends_and_the_engine_sees_it(take: Take, script: Script, turns: int) -> None:
    async def work(provider: LocalProvider) -> None:
        await take(await provider.send(request(stream=True)))

    async with FakeUpstream(script) as fake:
        lender = FakeLender([fake.url])
        working = asyncio.create_task(work(provider_of(lender)))
        for _ in range(turns):
            await asyncio.sleep(0)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert lender.all_released_once
        await fake.until_all_left()


async def test_an_engine_that_ended_before_it_was_asked_is_asked_for_anew() -> None:
    async with FakeUpstream(say(whole(SAID))) as fake:
        dead = f"http://127.0.0.1:{closed_port()}"
        lender = FakeLender([dead, dead, fake.url])
        provider = provider_of(lender)
        with await provider.send(request()) as reply:
            assert fold(await gather(reply)).text == "Hello"
        assert len(lender.asked) == 3
        assert len(fake.asked) == 1
        assert lender.all_released_once
        await provider.close()


async def test_how_long_a_start_took_is_not_taken_from_who_finds_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, passed_s = asyncio.get_running_loop(), [0.0]
    time = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + passed_s[0])

    class Slow(FakeLender):
        async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> FakeLease:
            passed_s[0] += module.NOTICED_S if not self.asked else 0.0
            return await super().lease(model, purpose=purpose)

    async with FakeUpstream(say(whole(SAID))) as fake:
        provider = provider_of(Slow([f"http://127.0.0.1:{closed_port()}", fake.url]))
        with await provider.send(request()) as reply:
            assert fold(await gather(reply)).text == "Hello"
        await provider.close()


async def test_an_engine_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOTICED_S", 0.0)
    lender = FakeLender([f"http://127.0.0.1:{closed_port()}"])
    with pytest.raises(EngineUnavailable) as failed:
        await provider_of(lender).send(request())
    assert (failed.value.status, failed.value.retry_after_s) == (503, 1.0)
    assert lender.all_released_once


BEFORE_CONTENT = {
    "no answer": say_and_close(),
    "reset": say_and_reset(),
    "half a head": say_and_close(OK),
    "a head": say_and_close(START),
    "only who speaks": say_and_close(START + chunk(ROLE)),
}


@both_ways
@pytest.mark.parametrize("name", BEFORE_CONTENT)
async def test_an_engine_that_dies_before_it_has_said_anything_is_unavailable(take: Take, name: str) -> None:
    async with FakeUpstream(BEFORE_CONTENT[name]) as fake:
        lender = FakeLender([fake.url])
        with pytest.raises(EngineLost) as failed:
            await take(await provider_of(lender).send(request(stream=True)))
        assert failed.value.retry_after_s == 1.0
        assert lender.all_released_once


@both_ways
@pytest.mark.parametrize("count", [2, 3])
async def test_an_engine_that_dies_later_has_cut_its_answer(take: Take, count: int) -> None:
    async with FakeUpstream(say_and_close(chunked(FRAMES[:count], end=b""))) as fake:
        lender = FakeLender([fake.url])
        with pytest.raises(UpstreamStreamTruncated):
            await take(await provider_of(lender).send(request(stream=True)))
        assert lender.all_released_once


@both_ways
@pytest.mark.parametrize("count", [0, 1, 2])
async def test_an_answer_that_ends_too_early_on_a_living_engine_is_truncated(take: Take, count: int) -> None:
    async with FakeUpstream(say(chunked(FRAMES[:count]))) as fake:
        lender = FakeLender([fake.url])
        provider = provider_of(lender)
        with pytest.raises(UpstreamStreamTruncated):
            await take(await provider.send(request(stream=True)))
        assert lender.all_released_once
        await provider.close()


async def test_half_a_whole_answer_means_that_the_engine_is_gone() -> None:
    async with FakeUpstream(say_and_close(whole(SAID)[:-1])) as fake:
        lender = FakeLender([fake.url])
        with pytest.raises(EngineLost):
            await provider_of(lender).send(request())
        assert lender.all_released_once


@pytest.mark.parametrize(("status", "kind"), [(400, UpstreamRejected), (500, UpstreamError)])
async def test_what_a_living_engine_says_is_told(status: int, kind: type[FarmError]) -> None:
    async with FakeUpstream(say(whole({"error": {"message": "too long for me"}}, status=status))) as fake:
        lender = FakeLender([fake.url])
        provider = provider_of(lender)
        with pytest.raises(kind, match="too long for me") as failed:
            await provider.send(request())
        assert not isinstance(failed.value, EngineUnavailable)
        assert lender.all_released_once
        await provider.close()


@pytest.mark.usefixtures("quick_sweeps")
async def test_an_engine_that_hangs_is_a_timeout() -> None:
    async with FakeUpstream(say_and_stall()) as fake:
        lender = FakeLender([fake.url])
        with pytest.raises(UpstreamTimeout):
            async with asyncio.timeout(WITHIN_S):
                await provider_of(lender).send(request())
        assert lender.all_released_once
        await fake.until_all_left()


async def test_two_engines_in_turn_keep_their_connections() -> None:
    async with FakeUpstream(say(whole(SAID))) as one, FakeUpstream(say(whole(SAID))) as other:
        provider = provider_of(FakeLender([one.url, other.url] * 4))
        for _ in range(8):
            (await provider.send(request())).close()
        assert (one.connections, other.connections) == (1, 1)
        await provider.close()
        await one.until_all_left()
        await other.until_all_left()


async def test_addresses_that_are_no_more_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADDRESSES_KEPT", 2)
    async with FakeUpstream(say(whole(SAID)), say_and_stall()) as first, FakeUpstream(say(whole(SAID))) as then:
        provider = provider_of(FakeLender([first.url, *(f"{then.url}/{number}" for number in range(4))]))
        for _ in range(5):
            (await provider.send(request())).close()
        await first.until_all_left()
        assert len(provider._upstreams) == 2
        await provider.close()


async def test_an_address_in_use_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADDRESSES_KEPT", 2)
    async with FakeUpstream(say(START + chunk(ROLE))) as first, FakeUpstream(say(whole(SAID))) as then:
        provider = provider_of(FakeLender([first.url, *(f"{then.url}/{number}" for number in range(3))]))
        reply = await provider.send(request(stream=True))
        for _ in range(3):
            (await provider.send(request())).close()
        assert await reply.next() is not None
        assert first.still_open == 1
        reply.close()
        await first.until_all_left()
        await provider.close()


async def test_loading_gets_the_weights_that_are_not_there() -> None:
    weights = FakeWeights()
    provider = provider_of(FakeLender([]), weights)
    said: list[Progress] = []
    await provider.load("m", said.append)
    await provider.load("another", said.append)
    assert weights.pulled == ["another"]
    assert [progress.status for progress in said] == ["m", "pulled", "another"]
    with pytest.raises(ModelNotFound):
        await provider.load("nowhere", said.append)


async def test_a_name_that_is_nearly_one_is_told_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLender, "models", lambda _: (ModelInfo(name="somewhere", provider="local"),))
    with pytest.raises(ModelNotFound, match="no model 'nowhere' on this machine: did you mean 'somewhere'"):
        await provider_of(FakeLender([]), FakeWeights()).load("nowhere", print)


async def test_a_model_that_is_configured_and_not_there_is_told_so_when_it_is_to_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = Places(model="nowhere", parallel=1, queue=1, patience_s=1.0)
    monkeypatch.setattr(FakeLender, "places", lambda *_: places)
    with pytest.raises(ModelNotFound, match="nowhere is configured, and its files are not there"):
        await provider_of(FakeLender([]), FakeWeights()).load("nowhere", print)


async def test_the_rest_is_the_lenders_business() -> None:
    lender = FakeLender([])
    provider = provider_of(lender)
    assert [model.name for model in await provider.models()] == ["m"]
    health = await provider.health()
    assert (health.name, health.status, health.models) == ("local", HealthStatus.LOADING, ("m",))
    assert health.detail == "one moment"
    await provider.close()
    assert not lender.is_closed  # Engines outlive a configuration.


async def test_tokens_are_counted_by_the_engine_behind_its_template() -> None:
    async with FakeUpstream(say(whole({"prompt": "<hi>"})), say(whole({"tokens": [1, 2, 3]}))) as fake:
        lender = FakeLender([fake.url])
        there = provider_of(lender)
        assert isinstance(there, CountsTokens)
        assert await there.count_tokens(request()) == 3
        await there.close()
    assert lender.all_released_once
    assert lender.asked == [("m", Purpose.GENERATE)]
    first, second = fake.asked
    assert (first.path, second.path) == ("/apply-template", "/tokenize")
    assert first.header("authorization") == second.header("authorization") == "Bearer engine-key"
    assert json.loads(first.body) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert json.loads(second.body) == {"content": "<hi>", "add_special": True, "parse_special": True}


@pytest.mark.parametrize("answer", [whole({"error": {"message": "no"}}, status=500), whole({}), whole(b"x")])
async def test_what_the_engine_cannot_count_is_counted_by_nobody(answer: bytes) -> None:
    async with FakeUpstream(say(answer), say(whole({"prompt": "<hi>"})), say(answer)) as fake:
        lender = FakeLender([fake.url])
        there = provider_of(lender)
        assert await there.count_tokens(request()) is None
        assert await there.count_tokens(request()) is None
        await there.close()
    assert lender.all_released_once


TOOLS = (Tool(name="f"),)
OFFERS: list[tuple[Chat, bool]] = [
    (Chat(messages=(), tools=TOOLS), True),
    (Chat(messages=(), tools=TOOLS, tool_choice=ToolChoice(mode=ToolMode.REQUIRED)), True),
    (Chat(messages=(), tools=TOOLS, tool_choice=ToolChoice(mode=ToolMode.NONE)), False),
    (Chat(messages=()), False),
]


@pytest.mark.parametrize(("words", "offers"), OFFERS)
async def test_tools_are_offered_only_to_a_model_whose_template_shows_them(words: Chat, offers: bool) -> None:
    unable = say(whole({"chat_template_caps": {"supports_tools": False}}))
    async with FakeUpstream(unable if offers else say(whole(SAID)), say(whole(SAID))) as fake:
        lender = FakeLender([fake.url])
        there = provider_of(lender)
        asked = request().to(provider="local", model="m")
        asked.body = Typed(words)
        if offers:
            for _ in range(2):
                with pytest.raises(UnsupportedParameter) as caught:
                    await there.send(asked)
                assert caught.value.param == "tools"
        else:
            (await there.send(asked)).close()
        await there.close()
    assert [told.path for told in fake.asked] == (["/props"] if offers else ["/v1/chat/completions"])
    assert lender.all_released_once


@pytest.mark.parametrize(
    "props", [whole({"chat_template_caps": {"supports_tools": True}}), whole({}), whole(b"x"), whole({}, status=404)]
)
async def test_an_engine_that_does_not_say_is_offered_tools(props: bytes) -> None:
    raw = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"function":{"name":"f"}}]}'
    body = decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    async with FakeUpstream(say(props), say(whole(SAID))) as fake:
        there = provider_of(FakeLender([fake.url]))
        asked = request().to(provider="local", model="m")
        asked.body = body
        for _ in range(2):
            (await there.send(asked)).close()
        await there.close()
    assert [told.path for told in fake.asked] == ["/props", "/v1/chat/completions", "/v1/chat/completions"]
    assert fake.asked[0].header("authorization") == "Bearer engine-key"


TWO = {
    "data": [{"index": 0, "embedding": [3.0, 4.0, 12.0]}, {"index": 1, "embedding": [0.0, 0.0, 1.0]}],
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}


def embedding(raw: bytes | None = None, dimensions: int | None = None) -> Request:
    asked = request(Kind.EMBEDDING)
    asked.body = (
        Typed(Embed(inputs=("a", "b"), dimensions=dimensions))
        if raw is None
        else decode_request(raw, Kind.EMBEDDING, json_limits=JsonLimits(), list_limits=ListLimits())
    )
    return asked


@pytest.mark.parametrize("raw", [None, b'{"model":"m","input":[[1],[2]],"dimensions":2.0}'], ids=["words", "bytes"])
async def test_vectors_are_cut_to_the_dimensions_asked_for_and_have_length_1_again(raw: bytes | None) -> None:
    async with FakeUpstream(say(whole(TWO))) as fake:
        lender = FakeLender([fake.url])
        provider = provider_of(lender)
        answer = fold(await gather(await provider.send(embedding(raw, dimensions=2))))
        assert answer.vectors == {0: (0.6, 0.8), 1: (0.0, 0.0)}
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 2
        await provider.close()
    assert lender.all_released_once


async def test_whole_vectors_are_the_engines_own_bytes() -> None:
    async with FakeUpstream(say(whole(TWO))) as fake:
        provider = provider_of(FakeLender([fake.url]))
        (event_,) = await gather(await provider.send(embedding(b'{"model":"m","input":"a"}')))
        assert event_.raw == json.dumps(TWO).encode()
        await provider.close()


async def test_more_dimensions_than_there_are_is_the_callers_mistake() -> None:
    async with FakeUpstream(say(whole(TWO))) as fake:
        lender = FakeLender([fake.url])
        provider = provider_of(lender)
        with pytest.raises(InvalidValue, match="at most 3") as caught:
            await provider.send(embedding(dimensions=4))
        assert caught.value.param == "dimensions"
        await provider.close()
    assert lender.all_released_once


async def test_only_we_tell_an_engine_of_an_adapter() -> None:
    raw = encode({"model": "m:formal", "messages": [{"role": "user", "content": "hi"}], "lora": [1], "lora_path": "x"})
    asked = copy(request())
    asked.model = "m:formal"
    asked.body = decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    ours = {"lora": [{"id": 0, "scale": 1.0}]}
    for fields in (ours, {}):
        async with FakeUpstream(say(whole(SAID))) as fake:
            lender = FakeLender([fake.url], fields=fields)
            provider = provider_of(lender)
            reply = await provider.send(asked)
            assert set(reply.dropped) == {"lora", "lora_path"}
            await gather(reply)
            await provider.close()
        sent = json.loads(fake.asked[0].body)
        assert sent == {"model": "m:formal", "messages": [{"role": "user", "content": "hi"}], **fields}
        assert lender.asked == [("m:formal", Purpose.GENERATE)]


async def test_a_body_that_says_nothing_of_adapters_goes_out_as_it_came() -> None:
    raw = b'{"model":  "m", "messages": [{"role": "user", "content": "hi"}]}'
    asked = copy(request())
    asked.body = decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    async with FakeUpstream(say(whole(SAID))) as fake:
        provider = provider_of(FakeLender([fake.url]))
        reply = await provider.send(asked)
        assert reply.dropped == ()
        await gather(reply)
        await provider.close()
    assert fake.asked[0].body == raw
