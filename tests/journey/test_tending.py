"""Engines of one's own are probed while nobody asks for them, and heard where a route goes by their load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.upstream import Exchange, FakeUpstream, whole
from tests.journey.gate import KEY, Answer, RealGate

from farmgate.mock import Mock

CHAT = "/v1/chat/completions"
FAILS_FIVE_TIMES = [{"match": {"model": "m"}, "times": 5, "do": "status=500"}]


@asynccontextmanager
async def running(path: Path, ai: dict[str, object]) -> AsyncIterator[RealGate]:
    config = {"keys": [{"name": "tests", "key": KEY, "admin": True}], "ai": ai}
    gate = await asyncio.to_thread(RealGate(path, config=config).start)
    try:
        yield gate
    finally:
        await asyncio.to_thread(gate.__exit__, None, None, None)
    assert "Traceback" not in gate.everything_said()


def ask(gate: RealGate, model: str) -> Answer:
    return gate.call("POST", CHAT, {"model": model, "messages": [{"role": "user", "content": "hello"}]})


def standing(gate: RealGate, model: str) -> Answer:
    return gate.call("POST", "/api/admin/route", {"model": model})


async def comes(gate: RealGate, is_true: Callable[[], bool]) -> bool:
    return await asyncio.to_thread(gate.comes, is_true, 20.0)


async def test_an_engine_that_failed_is_well_again_before_anybody_asks_for_it(tmp_path: Path) -> None:
    async with Mock(script=FAILS_FIVE_TIMES) as engine, Mock(script=FAILS_FIVE_TIMES) as cloud:
        providers = {
            "own": {"provider": "vllm", "url": f"{engine.url}/v1"},
            "cloud": {"provider": "openai", "url": f"{cloud.url}/v1", "apiKey": "none-for-the-mock"},
        }
        async with running(tmp_path, {"providers": providers, "attempts": {"retries": 0}}) as gate:
            for provider in providers:
                for _ in range(5):
                    assert (await asyncio.to_thread(ask, gate, f"{provider}/m")).status == 502
                (resting,) = (await asyncio.to_thread(standing, gate, f"{provider}/m")).json["resting"]
                assert resting["state"] == "open"
            assert await comes(gate, lambda: bool(standing(gate, "own/m").json["order"]) and is_closed(gate, "own/m"))
            assert not is_closed_now(await asyncio.to_thread(standing, gate, "cloud/m"))
            lines = await asyncio.to_thread(gate.calls)
    probes = [call for call in engine.calls if call.status == 200 and call.endpoint == "chat"]
    assert len(probes) == 2
    assert len([call for call in cloud.calls if call.endpoint == "chat"]) == 5
    (probed,) = [line for line in lines if line["key"] == "probe"]
    assert (probed["provider"], probed["calls"]) == ("own", 2)


def is_closed(gate: RealGate, model: str) -> bool:
    return is_closed_now(standing(gate, model))


def is_closed_now(told: Answer) -> bool:
    return any(one["state"] == "closed" for one in told.json["order"])


async def test_the_engine_that_says_it_is_less_busy_is_asked(tmp_path: Path) -> None:
    waiting = {"a": 7, "b": 0}

    def engine(name: str) -> FakeUpstream:
        async def answer(exchange: Exchange) -> None:
            if exchange.link.asked[-1].path == "/metrics":
                text = f'vllm:num_requests_waiting{{model_name="m"}} {waiting[name]}\n'.encode()
                await exchange.send(whole(text, headers=b"content-type: text/plain\r\n"))
                return
            await exchange.send(whole({"object": "list", "data": [{"id": "m", "object": "model"}]}))

        return FakeUpstream(answer)

    async with engine("a") as a, engine("b") as b:
        ai: dict[str, object] = {
            "providers": {
                "a": {"provider": "vllm", "url": f"{a.url}/v1"},
                "b": {"provider": "vllm", "url": f"{b.url}/v1"},
            },
            "routes": {"both": {"targets": ["a/m", "b/m"], "balance": "engineLoad"}},
        }

        def first() -> str:
            (one, _) = standing(gate, "both").json["order"]
            return f"{one['provider']}: {one['why']}"

        async with running(tmp_path, ai) as gate:
            # Only who was asked before is known by its health.
            for model in ("a/m", "b/m"):
                await asyncio.to_thread(ask, gate, model)
            assert await comes(gate, lambda: first().startswith("b: the least busy engine: 0 waiting"))
            waiting["a"], waiting["b"] = 0, 3
            assert await comes(gate, lambda: first().startswith("a: the least busy engine: 0 waiting"))
