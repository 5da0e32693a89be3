"""Whatever happens to models, in whatever order: everybody is answered, the books are right, and nothing is left over.

A hundred orders are drawn by lot. Each is the same in every run but for the order of sets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engines.adapting import FakeTaking
from tests.unit.engines.chance import Lot, LotEngine, LotProcess
from tests.unit.engines.fake_nvml import Card, FakeNvml
from tests.unit.engines.fakes import gguf, ignore

from farmgate.core.errors import EngineUnavailable, FarmError, ShuttingDown
from farmgate.core.ports import Lease, Purpose
from farmgate.engines import lifecycle, machine
from farmgate.engines.adapters import Adapter
from farmgate.engines.adapting import Adaptation
from farmgate.engines.declared import Declared, Question
from farmgate.engines.devices import Devices
from farmgate.engines.hours import parse_hours
from farmgate.engines.lifecycle import Engines
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.states import State
from farmgate.engines.surroundings import Keep
from farmgate.engines.versions import Options

MIB = 2**20
VERSIONS = {"1": "one", "2": "two"}
ENGINES = {"m": "vllm", "n": "llamacpp", "o": "sglang"}
STEPS, LONGEST_S = 60, 4000.0


class House:
    """Models under everything that can be done to them."""

    def __init__(self, folder: Path, lot: Lot) -> None:
        self.lot = lot
        self.card, self.host_free = Card(total=1000 * MIB, free=1000 * MIB), 1000 * MIB
        self.now = datetime(2026, 11, 30, 7, 58)  # noqa: DTZ001 - the machine's own clock
        self.under_way: dict[asyncio.Task[None], str] = {}
        self.leases: list[tuple[Lease, LotProcess, str]] = []
        self.told: list[FarmError] = []
        takings = {
            "vllm": FakeTaking(),
            "llamacpp": FakeTaking(is_told_at_start=True, adapts_while_it_runs=False),
            "sglang": FakeTaking(is_told_at_start=True),
        }
        self.engines = Engines(
            ModelStore(folder, sources=()),
            log_directory=folder / "logs",
            engines={name: LotEngine(name, lot, taking) for name, taking in takings.items()},
            options=Options(threads=1, context_tokens=64, parallel=1),
            devices=Devices(FakeNvml([self.card]), host=lambda: (1000 * MIB, self.host_free)),
            warm=lot.warm,
            clock=lot.time.clock,
            wall=lambda: self.now,
            sleep=lot.time.sleep,
        )

    def declared(self, name: str) -> Declared:
        draw = self.lot.random
        return Declared(
            name=name,
            versions=draw.choice([VERSIONS, VERSIONS, VERSIONS, {"1": "two"}, {"1": "nowhere.gguf"}]),
            version="1",
            engine=ENGINES[name],
            adapters=tuple(Adapter(one, Path(f"/{one}{draw.choice('12')}")) for one in "ab" if draw.random() < 0.4),
            parallel=draw.choice([1, 1, 2]),
            memory_bytes=draw.choice([200, 400, 500]) * MIB,
            keep=Keep(ttl_s=draw.choice([None, 5.0, 0.0]), pinned=draw.random() < 0.1, priority=draw.choice([0, 0, 1])),
            kept_s=draw.choice([600.0, 5.0]),
            question=draw.choice([None, None, Question(ask="Who?", expect="me")]),
            prewarm=draw.random() < 0.1,
            hours=draw.choice([(), (), (parse_hours("08:00-08:05"),)]),
            sleeps=name != "n",
        )

    def declare(self) -> None:
        before = self.engines.declared
        names = [name for name in ENGINES if self.lot.random.random() < 0.9]
        same = {name for name in names if name in before and self.lot.random.random() < 0.4}
        self.engines.declare({name: before[name] if name in same else self.declared(name) for name in names})

    def begin(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        async def do() -> None:
            try:
                await work()
            except FarmError as error:
                self.told.append(error)

        self.under_way[asyncio.create_task(do())] = what

    async def ask(self, model: str, purpose: Purpose = Purpose.GENERATE) -> None:
        lease = await self.engines.lease(model, purpose=purpose)
        process = self.lot.process(lease.url)
        name, _, adapter = model.partition(":")
        assert process.model == name
        if not process.over.is_set() and not process.is_ending:
            states = [one.state for one in self.engines.supervisors() if one.pid == process.pid]
            # Who waits for an adapter is at the process already.
            assert states == [State.READY] or (adapter and states == [State.DRAINING])
            assert not process.sleeps
            assert not adapter or adapter in process.adapters
        process.uses[adapter] = process.uses.get(adapter, 0) + 1
        self.leases.append((lease, process, adapter))

    def give_back(self, most: int) -> None:
        for lease, process, adapter in self.leases[:most]:
            process.uses[adapter] -= 1
            lease.release(answered=self.lot.random.random() < 0.7)
        del self.leases[:most]

    def step(self) -> None:
        draw, engines = self.lot.random, self.engines
        name = draw.choice(["m", "n", "o", "one"])
        asked = f"{name}:{draw.choice('ab')}" if draw.random() < 0.3 else name
        purpose = Purpose.EMBED if draw.random() < 0.2 else Purpose.GENERATE
        version = draw.choice([None, "1", "2", "two"])
        change: dict[str, Callable[[], object]] = {
            "ask": lambda: self.begin(f"ask {asked}", lambda: self.ask(asked, purpose)),
            "swap": lambda: self.begin(f"swap {name} {version}", lambda: engines.swap(name, version, ignore)),
            "rollback": lambda: self.begin(f"rollback {name}", lambda: engines.rollback(name, ignore)),
            "unload": lambda: self.begin(f"unload {name}", lambda: engines.unload(name)),
            "load": lambda: self.begin(f"load {asked}", lambda: engines.load(asked, ignore)),
            "give back": lambda: self.give_back(draw.randint(1, 4)),
            "give up": lambda: draw.choice([*self.under_way]).cancel() if self.under_way else None,
            "kill": lambda: draw.choice([*self.lot.alive.values()]).die() if self.lot.alive else None,
            "wait": lambda: self.lot.time.advance(draw.choice([0.25, 0.5, 1.0, 2.0, 5.0, 60.0, 600.0])),
            "declare": self.declare,
            "memory": lambda: setattr(self, "host_free", draw.choice([1000, 700, 200]) * MIB),
            "card": lambda: setattr(self.card, "free", draw.choice([1000, 1000, 600, 300]) * MIB),
            "clock": lambda: setattr(self, "now", self.now + timedelta(minutes=draw.choice([1, 2, 5]))),
        }
        weights = [14, 6, 3, 4, 2, 10, 4, 5, 8, 3, 1, 1, 1]
        change[draw.choices([*change], weights)[0]]()

    async def settle(self) -> None:
        """Everybody lets go, and time passes until nothing is under way."""
        until = self.lot.time.now + LONGEST_S
        while self.lot.time.now < until:
            for _ in range(60):
                await asyncio.sleep(0)
                self.give_back(len(self.leases))
            for task in [one for one in self.under_way if one.done()]:
                del self.under_way[task]
                assert task.cancelled() or task.exception() is None, task.exception()
            if not self.under_way and self.is_settled:
                return
            self.lot.time.advance(0.5 if self.lot.random.random() < 0.5 else 20.0)
        raise AssertionError(f"for ever: {[*self.under_way.values()]} {self.engines.states()}")

    @property
    def is_settled(self) -> bool:
        settled = {State.ON_DISK, State.READY, State.ASLEEP}
        every = (*self.engines._deployments.values(), *self.engines._leaving)
        is_changing = any(one.is_changing or one._retired or one._leaving for one in every)
        is_at_rest = all(one.state in settled for one in self.engines.supervisors())
        return is_at_rest and not is_changing and not self.engines._leaving and not self.engines._tasks

    def check(self) -> None:
        assert not any(isinstance(error, ShuttingDown) for error in self.told)
        processes = self.engines.supervisors()
        running = [one for one in processes if one.pid is not None]
        assert {one.pid for one in running} == self.lot.alive.keys()
        assert all(one.state in {State.READY, State.ASLEEP} for one in running)
        assert not any(one.leases.in_flight or one.leases.expected or one._drains for one in processes)
        holdings = self.engines._machine._rooms.ledger.holdings
        assert len(holdings) == len(running)
        assert all(self.engines._machine.held(one.spec) for one in running)
        for device in ("gpu0", "cpu"):
            assert sum(one.bytes.get(device, 0) for one in holdings.values()) <= 900 * MIB
        for deployment in self.engines._deployments.values():
            assert deployment.previous is not deployment.current
            assert all(one._lends for one in deployment.current.supervisors.values())

    async def answer_everybody(self) -> None:
        """Nothing goes wrong any more, and there is room: every model answers."""
        self.lot.is_kind = True
        self.card.free = self.host_free = 1000 * MIB
        small = Declared(name="", versions=VERSIONS, version="1", memory_bytes=200 * MIB)
        self.engines.declare({name: replace(small, name=name, engine=ENGINES[name]) for name in self.engines.declared})
        await self.settle()
        # Pauses after crashes are over.
        self.lot.time.advance(100.0)
        self.told.clear()
        for name in self.engines.declared:
            self.begin(f"ask {name}", partial(self.ask, name))
            await self.settle()
        assert self.told == []
        self.check()

    async def close(self) -> None:
        assert not any(isinstance(error, ShuttingDown) for error in self.told)
        closing = asyncio.create_task(self.engines.close())
        for _ in range(self.lot.random.randint(0, 5)):
            self.step()
            await self.lot.turns(3)
        for _ in range(40):
            for _ in range(40):
                await asyncio.sleep(0)
            self.give_back(len(self.leases))
            self.lot.time.advance(2.0)
        assert closing.done()
        assert [what for task, what in self.under_way.items() if not task.done()] == []
        assert self.lot.alive == {}
        assert self.engines._machine._rooms.ledger.holdings == {}


@pytest.mark.parametrize("seed", range(100))
async def test_in_any_order(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lot = Lot(seed)

    async def soon(work: Any) -> Any:
        await lot.turns(2)
        return work()

    async def check_answer(lease: Lease, **_: object) -> None:
        await lot.turns(4)
        if lot.goes_wrong(0.2):
            raise EngineUnavailable("it answered 'x'")

    monkeypatch.setattr("farmgate.engines.supervisor.EngineProcess.start", lot.start)
    monkeypatch.setattr(lifecycle, "Adaptation", partial(Adaptation, carry_out=lot.carry_out))
    monkeypatch.setattr(lifecycle, "check_answer", check_answer)
    monkeypatch.setattr(machine, "in_daemon_thread", soon)
    for name in ("one", "two"):
        (tmp_path / f"{name}.gguf").write_bytes(gguf())
    before = asyncio.all_tasks()
    house = House(tmp_path, lot)
    house.declare()
    hours = asyncio.create_task(house.engines.keep_hours())
    for _ in range(STEPS):
        house.step()
        await lot.turns(lot.random.choice([0, 2, 8, 30]))
    if seed % 2:
        await house.settle()
        house.check()
        await house.answer_everybody()
    hours.cancel()
    await house.close()
    assert asyncio.all_tasks() == before
    assert "engine_supervision_failed" not in caplog.text
