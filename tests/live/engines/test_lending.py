"""The gate lends this engine as it lends llama.cpp: started when asked for and after a crash, gone in the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.live.engines.running import MODELS
from tools.guide_model.words import held_out

from farmgate.core.answer import fold, gather
from farmgate.core.errors import EngineUnavailable, UnsupportedParameter, UpstreamRejected
from farmgate.core.event import FinishReason
from farmgate.core.identity import ANONYMOUS
from farmgate.core.model import ModelInfo
from farmgate.core.ports import Report
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import Ask, Chat, Complete, Embed, Message, Role, Sampling, Tool
from farmgate.engines.lifecycle import Engines
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.transformers import Transformers
from farmgate.engines.versions import Options
from farmgate.providers.local import LocalProvider
from farmgate.providers.settings import ProviderSettings

GREEDY = Sampling(temperature=0.0)


class Folders:
    """Each checkpoint of the tests by the name of its folder; and one that is none."""

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(ModelInfo(name=name, provider="local") for name in ("guide-1", "guide-2"))

    def known(self, model: str) -> Path | None:
        return MODELS / model if (MODELS / model).exists() else None

    def source(self, text: str) -> Path | None:
        return self.known(text)

    def context_tokens(self, path: Path) -> int | None:
        return None

    def path(self, model: str) -> Path | None:
        return self.known(model)

    async def pull(self, model: str, report: Report) -> Path:
        raise AssertionError("nothing is pulled here")

    def remove(self, model: str) -> bool:
        return False


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncIterator[Engines]:
    engines = Engines(
        Folders(),
        log_directory=tmp_path / "logs",
        engines={"transformers": Transformers(), "llamacpp": Transformers()},
        options=Options(threads=1, context_tokens=1024, parallel=4),
        environment=dict(os.environ),
    )
    yield engines
    await engines.close()


def request(ask: Ask, kind: Kind = Kind.CHAT, *, model: str = "guide-1", stream: bool = False) -> Request:
    return Request(
        id="r",
        kind=kind,
        body=Typed(ask),
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
        model=model,
        stream=stream,
    )


def chat(question: str, *, tools: tuple[Tool, ...] = ()) -> Chat:
    return Chat(messages=(Message(role=Role.USER, content=question),), sampling=GREEDY, tools=tools)


async def becomes(supervisor: Supervisor, state: State) -> None:
    async with asyncio.timeout(60):
        while supervisor.state is not state:
            await supervisor._changed.wait()


async def test_the_gate_s_own_provider_is_answered_in_all_it_asks(engines: Engines) -> None:
    provider = LocalProvider(ProviderSettings(name="local"), engines, Folders())
    for version in (1, 2):
        entry = held_out(version)[0]
        for stream in (False, True):
            asked = request(chat(entry.question), model=f"guide-{version}", stream=stream)
            answer = fold(await gather(await provider.send(asked)))
            assert answer.text.strip() == entry.answer
            assert answer.choices[0].finish is FinishReason.STOP
            if not stream:  # There it is told of the event, not in its words.
                assert answer.usage is not None
                assert answer.usage.completion_tokens > 0
                assert await provider.count_tokens(asked) == answer.usage.prompt_tokens
    complete = Complete(prompt="How do I", sampling=Sampling(temperature=0.0, max_tokens=5))
    cut = fold(await gather(await provider.send(request(complete, Kind.COMPLETION))))
    assert cut.choices[0].finish is FinishReason.LENGTH
    with pytest.raises(UnsupportedParameter):
        await provider.send(request(chat("x", tools=(Tool(name="f"),))))
    vectors = fold(await gather(await provider.send(request(Embed(inputs=("a", "b"), dimensions=8), Kind.EMBEDDING))))
    assert [len(vector) for vector in vectors.vectors.values()] == [8, 8]
    with pytest.raises(UpstreamRejected, match="at most 128"):
        await provider.send(request(Embed(inputs=("a",), dimensions=1000), Kind.EMBEDDING))
    await provider.close()


async def test_it_comes_back_after_it_is_killed_and_is_gone_when_the_gate_is_done(engines: Engines) -> None:
    (await engines.lease("guide-1")).release()
    (supervisor,) = engines.supervisors()
    first = supervisor.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await becomes(supervisor, State.FAILED)
    # It had come up before: who asks meanwhile waits for it.
    (await engines.lease("guide-1")).release()
    second = supervisor.pid
    assert second not in (None, first)
    await engines.close()
    assert not Path(f"/proc/{first}").exists()
    assert not Path(f"/proc/{second}").exists()


async def test_what_cannot_be_loaded_is_a_failed_start_that_says_why(engines: Engines, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"exited with code 1 at its start \(transformers could not load"):
        await engines.lease("guide-1.gguf")
