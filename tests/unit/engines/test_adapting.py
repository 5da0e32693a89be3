"""The adapters of one process become those that are wanted, and nobody who uses one is disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.engines.adapting import FakeTaking, Orders
from tests.unit.engines.fakes import FakeEngine, FakeTime, until

from farmgate.core.errors import EngineUnavailable, ModelNotFound
from farmgate.core.ports import Lease, Purpose
from farmgate.engines.adapters import Adapter
from farmgate.engines.adapting import AGAIN_S, Adaptation
from farmgate.engines.engine import Spec
from farmgate.engines.leases import Address, Leases
from farmgate.engines.surroundings import unasked

ADDRESS = Address(url="http://127.0.0.1:1", key="k")
A, B = Adapter("a", Path("/a")), Adapter("b", Path("/b"))
BROKEN = Adapter("bad", Path("/broken"))


class Bench:
    """One process that takes adapters, `started` when it is wanted."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.orders = Orders()
        self.leases = Leases(self.time.clock)
        self.engine = FakeEngine()
        self.made: list[Adaptation] = []

    def adaptation(self, *adapters: Adapter, taking: FakeTaking | None = None) -> Adaptation:
        made = Adaptation(
            taking or FakeTaking(),
            model="m",
            path=Path("/m"),
            adapters=adapters,
            clock=self.time.clock,
            carry_out=self.orders,
        )
        self.made.append(made)
        return made

    async def start(self, adaptation: Adaptation) -> tuple[Adapter, ...]:
        """A process of it comes up; which adapters its command had."""
        spec = Spec(model="m", path=Path("/m"), purpose=Purpose.GENERATE, context_tokens=64, parallel=1, threads=1)
        adaptation.engine(self.engine).launch(spec, key="k", environment={})
        await adaptation.warm(unasked)(spec, ADDRESS)
        return self.engine.specs[-1].adapters

    async def take(self, adaptation: Adaptation, name: str | None) -> Lease:
        return await adaptation.take(self.leases.take(ADDRESS), name)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    for made in bench.made:
        await made.close()


async def test_a_process_has_its_adapters_before_anybody_is_let_in(bench: Bench) -> None:
    adaptation = bench.adaptation(A, B)
    assert await bench.start(adaptation) == (), "it is given them while it runs"
    assert bench.orders.done == ["/add m:a", "/add m:b"]
    assert adaptation.names == ("a", "b")


async def test_one_that_is_told_at_its_start_is_told_by_its_command(bench: Bench) -> None:
    adaptation = bench.adaptation(A, B, taking=FakeTaking(is_told_at_start=True))
    assert await bench.start(adaptation) == (A, B)
    assert bench.orders.done == []
    plain, adapted = await bench.take(adaptation, None), await bench.take(adaptation, "b")
    assert plain.fields == {"given": ["a", "b"], "wants": None}
    assert adapted.fields == {"given": ["a", "b"], "wants": "b"}
    assert (adapted.url, adapted.key) == (ADDRESS.url, ADDRESS.key)


async def test_adapters_come_and_go_while_it_runs(bench: Bench) -> None:
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    adaptation.want((B,), is_running=True)
    assert (await bench.take(adaptation, "b")).fields == {}, "who asks at once waits for it"
    await until(lambda: adaptation.names == ("b",))
    assert bench.orders.done == ["/add m:a", "/add m:b", "/remove m:a"]


async def test_one_that_is_used_goes_after_its_last_answer_and_nobody_new_gets_it(bench: Bench) -> None:
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    lease = await bench.take(adaptation, "a")
    adaptation.want((B,), is_running=True)
    await until(lambda: "b" in adaptation.names)
    assert "/remove m:a" not in bench.orders.done
    with pytest.raises(ModelNotFound):
        await bench.take(adaptation, "a")
    lease.release(answered=True)
    lease.release()
    await until(lambda: adaptation.names == ("b",))
    assert bench.leases.in_flight == 0


async def test_one_that_is_wanted_again_before_it_went_stays(bench: Bench) -> None:
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    lease = await bench.take(adaptation, "a")
    adaptation.want((), is_running=True)
    adaptation.want((A,), is_running=True)
    (await bench.take(adaptation, "a")).release()
    lease.release()
    await until(lambda: adaptation._levelling is None)
    assert bench.orders.done == ["/add m:a"]


async def test_other_files_under_the_same_name_take_the_place_of_the_first(bench: Bench) -> None:
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    lease = await bench.take(adaptation, "a")
    adaptation.want((Adapter("a", Path("/other")),), is_running=True)
    asking = asyncio.create_task(bench.take(adaptation, "a"))
    await asyncio.sleep(0)
    assert not asking.done(), "nobody gets the one that goes"
    lease.release()
    (await asking).release()
    assert bench.orders.done == ["/add m:a", "/remove m:a", "/add m:a"]


async def test_one_that_fails_is_told_and_the_others_are_there(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.orders.fails["m:a"] = "answered HTTP 400: no such layer"
    adaptation = bench.adaptation(BROKEN, A, B)
    await bench.start(adaptation)
    assert adaptation.names == ("b",)
    told = caplog.text
    assert "adapter_left_out" in told
    assert "/broken is broken" in told
    assert "the engine answered HTTP 400: no such layer" in told
    with pytest.raises(EngineUnavailable, match="m:a could not be loaded") as refused:
        await bench.take(adaptation, "a")
    assert refused.value.retry_after_s == AGAIN_S
    assert bench.leases.in_flight == 0


async def test_one_that_failed_is_tried_again_for_who_asks_later(bench: Bench) -> None:
    bench.orders.fails["m:a"] = "was busy"
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    bench.time.advance(AGAIN_S)
    with pytest.raises(EngineUnavailable):
        await bench.take(adaptation, "a")
    del bench.orders.fails["m:a"]
    with pytest.raises(EngineUnavailable):
        await bench.take(adaptation, "a")
    bench.time.advance(AGAIN_S)
    (await bench.take(adaptation, "a")).release()


async def test_one_that_failed_at_a_start_is_not_tried_where_only_a_start_could_mend_it(bench: Bench) -> None:
    taking = FakeTaking(is_told_at_start=True, adapts_while_it_runs=False)
    adaptation = bench.adaptation(BROKEN, A, taking=taking)
    assert await bench.start(adaptation) == (A,)
    bench.time.advance(AGAIN_S)
    with pytest.raises(EngineUnavailable):
        await bench.take(adaptation, "bad")
    assert bench.orders.done == []


async def test_a_removal_that_fails_is_told_and_nobody_gets_the_adapter(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    bench.orders.fails["m:a"] = "broke the connection"
    adaptation.want((), is_running=True)
    await until(lambda: adaptation.names == ())
    await until(lambda: "adapter_not_removed" in caplog.text)
    with pytest.raises(ModelNotFound):
        await bench.take(adaptation, "a")


async def test_the_next_process_has_what_is_wanted_then(bench: Bench) -> None:
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    adaptation.want((B,), is_running=False)
    await bench.start(adaptation)
    assert (bench.orders.done, adaptation.names) == (["/add m:a", "/add m:b"], ("b",))


async def test_who_asks_while_a_process_is_started_again_waits_for_the_next(bench: Bench) -> None:
    bench.orders.fails["m:a"] = "was killed"
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    del bench.orders.fails["m:a"]
    await bench.start(adaptation)
    (await bench.take(adaptation, "a")).release()


async def test_what_only_some_engines_have_is_seen_through(bench: Bench) -> None:
    adapted = bench.adaptation(A).engine(bench.engine)
    assert (adapted.name, adapted.runs_on, adapted.purposes) == ("fake", bench.engine.runs_on, bench.engine.purposes)
    assert adapted.missing() is None
    assert adapted.address(b"no address") is None
    assert adapted.complaint("no complaint") is None
    assert adapted.launched is bench.engine.launched  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = adapted.nothing_of_this_name  # type: ignore[attr-defined]


async def test_what_is_wanted_anew_is_tried_anew(bench: Bench) -> None:
    bench.orders.fails["m:a"] = "was busy"
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    del bench.orders.fails["m:a"]
    adaptation.want((A, B), is_running=True)
    (await bench.take(adaptation, "a")).release()


async def test_a_process_that_is_gone_is_asked_for_nothing(bench: Bench) -> None:
    adaptation = bench.adaptation(A)
    await bench.start(adaptation)
    adaptation.want((B,), is_running=False)
    await asyncio.sleep(0)
    assert adaptation._levelling is None
    assert bench.orders.done == ["/add m:a"]
