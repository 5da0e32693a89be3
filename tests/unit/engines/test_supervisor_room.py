"""A process has room before it starts, and has answered before it is ready."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.engines.fakes import FakeTime, becomes, until
from tests.unit.engines.supervising import Booked, Make, engine_of

from farmgate.core.errors import EngineUnavailable, ModelTooLarge
from farmgate.engines.engine import Spec
from farmgate.engines.leases import Address
from farmgate.engines.process import EngineDied
from farmgate.engines.states import State


async def test_it_has_its_room_as_long_as_its_process_lives(make: Make) -> None:
    room = Booked()
    supervisor = make("serves", room=room)
    (await supervisor.lease()).release()
    assert room.told == ["came", "settled True"]
    assert engine_of(supervisor).launched[0].environment == {"CUDA_VISIBLE_DEVICES": "1"}
    await supervisor.stop()
    assert room.told == ["came", "settled True", "left"]


async def test_a_crash_gives_the_room_back_before_the_pause(make: Make) -> None:
    room = Booked()
    supervisor = make("exits", room=room)
    with pytest.raises(EngineUnavailable):
        await supervisor.lease()
    assert room.told == ["came", "left"]


async def test_where_there_is_no_room_everybody_who_waits_is_told_at_once(make: Make) -> None:
    supervisor = make("serves", room=Booked(ModelTooLarge("it needs 9 MiB")))
    told = await asyncio.gather(*(supervisor.lease() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in told] == ["it needs 9 MiB"] * 3
    assert len({id(error) for error in told}) == 3
    assert supervisor.state is State.ON_DISK
    assert supervisor.failure is None, "nothing crashed"
    with pytest.raises(ModelTooLarge):
        await supervisor.lease()
    assert supervisor.starts == 0


async def test_it_is_ready_once_it_has_answered(make: Make) -> None:
    asked: list[str] = []
    go = asyncio.Event()

    async def warm(spec: Spec, address: Address) -> None:
        asked.append(f"{spec.model} at {address.url}")
        await go.wait()

    supervisor = make("serves", warm=warm)
    asking = asyncio.create_task(supervisor.lease())
    await becomes(supervisor, State.WARMING)
    await until(lambda: bool(asked))
    assert not asking.done()
    go.set()
    (await asking).release()
    assert asked == ["tiny at http://127.0.0.1:1"]


async def test_one_that_comes_up_and_does_not_answer_has_failed(make: Make) -> None:
    async def warm(spec: Spec, address: Address) -> None:
        raise EngineDied("came up and answered nothing")

    supervisor = make("serves", warm=warm)
    with pytest.raises(EngineUnavailable, match="came up and answered nothing"):
        await supervisor.lease()


async def test_one_that_hangs_when_it_is_first_asked_is_killed_in_time(make: Make, time: FakeTime) -> None:
    async def warm(spec: Spec, address: Address) -> None:
        await asyncio.Event().wait()

    supervisor = make("serves", warm=warm)
    asking = asyncio.create_task(supervisor.lease())
    await becomes(supervisor, State.WARMING)
    time.advance(180.0)
    with pytest.raises(EngineUnavailable, match="was not ready within 180 s"):
        await asking
