"""Tensors on their way to an engine of this machine: the caller's bytes there, the engine's back, its errors told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from tests.fakes.care import Still
from tests.fakes.upstream import FakeUpstream, chunked, event, say, whole
from tests.unit.providers.test_local import FakeLease, FakeWeights

from farmgate.app.inferring import Inferring
from farmgate.core.errors import (
    EngineUnavailable,
    FarmError,
    ModelFailed,
    ModelNotCapable,
    ModelNotFound,
    UpstreamInvalidResponse,
    UpstreamRejected,
)
from farmgate.core.identity import ANONYMOUS
from farmgate.core.model import Facts, HealthStatus, ModelInfo, Served
from farmgate.core.ports import Purpose, Report
from farmgate.core.request import Kind, Request
from farmgate.flow.route import ProviderView, View
from farmgate.providers.local import LocalProvider
from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings
from farmgate.testing import FakeTarget
from farmgate.wire.openai.errors import encode_error
from farmgate.wire.triton.bodies import InferBody, Inferred

WITHIN_S = 10.0
ASKED = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.50]}]}'
TOLD = b'{"model_name":"m","outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[3.0]}]}'


@dataclass
class FakeLender(Still):
    """Lends one address. Serves `m` with tensors, `text` without; of `gone` the engine is not installed."""

    url: str
    leases: list[FakeLease] = field(default_factory=list)
    purposes: list[Purpose] = field(default_factory=list)

    async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> FakeLease:
        self.purposes.append(purpose)
        self.leases.append(FakeLease(self.url, "engine-key"))
        return self.leases[-1]

    async def load(self, model: str, report: Report) -> None:
        raise AssertionError

    def served(self, model: str) -> Served:
        if model == "gone":
            raise EngineUnavailable
        if model not in ("m", "text"):
            raise ModelNotFound
        return Served(name=model, version="2", engine="python", infers=model == "m", is_ready=False)

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(ModelInfo(name=name, provider="local") for name in ("gone", "m", "text"))

    def state(self) -> tuple[HealthStatus, str | None]:
        return HealthStatus.HEALTHY, None

    async def close(self) -> None:
        raise AssertionError


def provider_of(lender: FakeLender) -> LocalProvider:
    return LocalProvider(ProviderSettings(name="local"), lender, FakeWeights())


def asking(body: InferBody) -> Request:
    return Request(
        id="r",
        kind=Kind.INFER,
        body=body,
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
        model="m",
    )


async def answered(provider: LocalProvider, *, version: str | None = None) -> bytes:
    request = asking(InferBody(raw=ASKED, version=version))
    async with asyncio.timeout(WITHIN_S):
        with await provider.send(request) as reply:
            assert reply.event is not None
            return reply.event.raw


async def test_the_caller_s_bytes_go_to_the_engine_and_its_own_come_back() -> None:
    async with FakeUpstream(say(whole(TOLD))) as fake:
        lender = FakeLender(fake.url)
        provider = provider_of(lender)
        assert await answered(provider) == TOLD
        assert await answered(provider, version="2") == TOLD
        await provider.close()
    first, second = fake.asked
    assert (first.method, first.path, first.body) == ("POST", "/v2/models/m/infer", ASKED)
    assert second.path == "/v2/models/m/versions/2/infer"
    assert first.header("authorization") == "Bearer engine-key"
    assert lender.purposes == [Purpose.INFER, Purpose.INFER]
    assert [lease.released for lease in lender.leases] == [1, 1]


@pytest.mark.parametrize(
    ("status", "error", "seen", "code"),
    [
        (502, ModelFailed("predict raised KeyError."), ModelFailed, "model_failed"),
        (404, ModelNotCapable("m takes no tensors."), UpstreamRejected, "model_not_capable"),
        (404, ModelNotFound("It is '3'."), UpstreamRejected, "model_not_found"),
    ],
)
async def test_what_the_engine_says_is_wrong_is_told(
    status: int, error: FarmError, seen: type[FarmError], code: str
) -> None:
    async with FakeUpstream(say(whole(encode_error(error), status=status))) as fake:
        lender = FakeLender(fake.url)
        provider = provider_of(lender)
        with pytest.raises(FarmError) as failure:
            await answered(provider)
        await provider.close()
    assert type(failure.value) is seen
    assert (failure.value.status, failure.value.code) == (status, code)
    assert error.message in failure.value.message
    assert lender.leases[0].released == 1


async def test_bytes_behind_the_json_go_with_their_header_both_ways() -> None:
    told = b'{"outputs":[]}\xff\xff'
    headers = b"content-type: application/octet-stream\r\ninference-header-content-length: 14\r\n"
    async with FakeUpstream(say(whole(told, headers=headers))) as fake:
        provider = provider_of(FakeLender(fake.url))
        request = asking(InferBody(raw=ASKED + b"\0", json_bytes=len(ASKED)))
        with await provider.send(request) as reply:
            assert isinstance(reply.event, Inferred)
            assert (reply.event.raw, reply.event.json_bytes) == (told, 14)
            assert reply.content_type == "application/octet-stream"
        await provider.close()
    (sent,) = fake.asked
    assert sent.body == ASKED + b"\0"
    assert sent.header("inference-header-content-length") == str(len(ASKED))
    assert sent.header("content-type") == "application/octet-stream"
    assert sent.header("authorization") == "Bearer engine-key"


@pytest.mark.parametrize("length", [b"x", b"99"])
async def test_an_answer_that_does_not_say_where_its_json_ends_is_none(length: bytes) -> None:
    headers = b"content-type: application/json\r\ninference-header-content-length: " + length + b"\r\n"
    async with FakeUpstream(say(whole(TOLD, headers=headers))) as fake:
        provider = provider_of(FakeLender(fake.url))
        with pytest.raises(UpstreamInvalidResponse, match="where the JSON of its answer ends"):
            await answered(provider)
        await provider.close()


@pytest.mark.parametrize("answer", [whole(b"[]"), whole(b"no"), chunked([event({"x": 1})])])
async def test_an_answer_that_is_none_is_the_engine_s_fault(answer: bytes) -> None:
    async with FakeUpstream(say(answer)) as fake:
        provider = provider_of(FakeLender(fake.url))
        with pytest.raises(UpstreamInvalidResponse):
            await answered(provider)
        await provider.close()


async def test_a_version_that_does_not_answer_starts_nothing() -> None:
    lender = FakeLender("http://127.0.0.1:1")
    provider = provider_of(lender)
    with pytest.raises(ModelNotFound, match="no version '1' of m that answers: '2' does"):
        await answered(provider, version="1")
    with pytest.raises(ModelNotFound):
        await provider.describe("m", "1", deadline=0.0)
    assert lender.leases == []


class FakeCatalog:
    """Knows `late` after it was asked to look again."""

    def __init__(self) -> None:
        self.names = frozenset({"m", "text"})

    def view(self) -> View:
        here = ProviderView(models=self.names, kinds=frozenset({"chat", "infer"}))
        other = ProviderView(models=frozenset({"far"}), kinds=frozenset({"chat", "infer"}))
        return View(providers={"local": here, "far": other}, default_provider="local")

    def published(self, provider: str, model: str) -> Facts:
        return Facts()

    async def refresh(self) -> None:
        self.names |= {"gone"}


class Elsewhere(FakeTarget):
    """A provider that is not this machine's."""


async def test_models_are_shown_by_the_names_that_callers_have() -> None:
    lender = FakeLender("http://127.0.0.1:1")
    elsewhere: Provider = Elsewhere()  # type: ignore[assignment] # nobody asks it anything
    inferring = Inferring(FakeCatalog(), {"local": provider_of(lender), "far": elsewhere}, lender)
    assert (await inferring.served("local/m", "2")).name == "local/m"
    assert [one.name for one in inferring.all()] == ["m"]
    for name, version, error in (
        ("m", "1", ModelNotFound),
        ("text", None, ModelNotCapable),
        ("far", None, ModelNotCapable),
        ("gone", None, EngineUnavailable),
        ("nowhere", None, ModelNotFound),
    ):
        with pytest.raises(error):
            await inferring.served(name, version)
    assert lender.leases == []


async def test_what_a_model_takes_is_asked_of_its_engine() -> None:
    told = b'{"name":"m"}'
    async with FakeUpstream(say(whole(told)), say(whole(encode_error(ModelNotFound()), status=404))) as fake:
        lender = FakeLender(fake.url)
        provider = provider_of(lender)
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        assert await provider.describe("m", "2", deadline=deadline) == told
        with pytest.raises(UpstreamRejected):
            await provider.describe("m", None, deadline=deadline)
        await provider.close()
    assert [one.path for one in fake.asked] == ["/v2/models/m/versions/2", "/v2/models/m"]
    assert [lease.released for lease in lender.leases] == [1, 1]
    assert json.loads(told)["name"] == "m"
