"""When new requests are refused because the process comes to its limits."""

from __future__ import annotations

import os
from collections import deque

import pytest

from farmgate.app.pressure import LAGS, Reading, Watch, read_process, strain
from farmgate.core.errors import Overloaded
from farmgate.core.event import Finish, Text
from farmgate.core.words import Complete
from farmgate.flow.admit import Admit, Pressure
from farmgate.flow.slots import Room
from farmgate.telemetry import Telemetry
from farmgate.testing import FakeTarget, request_of

CALM = deque([0.0] * LAGS, maxlen=LAGS)


@pytest.mark.parametrize(
    ("reading", "lacks"),
    [
        (Reading(), None),
        (Reading(files=80, files_limit=100), None),
        (Reading(files=81, files_limit=100), "file descriptors"),
        (Reading(files=81), None),
        (Reading(memory=85, memory_limit=100), None),
        (Reading(memory=86, memory_limit=100), "memory"),
        (Reading(memory=86, memory_limit=0), None),
    ],
)
def test_what_is_nearly_used_up_is_told(reading: Reading, lacks: str | None) -> None:
    assert strain(reading, CALM) == lacks


def test_only_late_looks_in_a_row_are_a_lack_of_processor_time() -> None:
    late = [0.5] * LAGS
    assert strain(Reading(), deque(late)) == "processor time"
    assert strain(Reading(), deque(late[1:])) is None
    assert strain(Reading(), deque([*late[1:], 0.1])) is None


async def test_new_requests_are_refused_while_it_lasts_and_those_in_flight_go_on() -> None:
    pressure, reading = Pressure(), Reading(files=99, files_limit=100)
    target = FakeTarget(Text("a"), Finish())
    gate = Admit(target, room=Room(), telemetry=Telemetry(), pressure=pressure, draw=lambda: 0.5)
    watch = Watch(pressure, read=lambda: reading)
    earlier = await gate.send(request_of(Complete(prompt="hello")))
    watch.look(0.0)
    with pytest.raises(Overloaded, match="file descriptors") as caught:
        await gate.send(request_of(Complete(prompt="hello")))
    assert caught.value.retry_after_s == 3.0
    assert [event.parts async for event in earlier] == [(Text("a"),), (Finish(),)]
    earlier.close()
    reading = Reading(files=1, files_limit=100)
    watch.look(0.0)
    (await gate.send(request_of(Complete(prompt="hello")))).close()
    assert (target.calls, gate.in_flight) == (2, 0)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="only Linux tells")
def test_this_process_can_be_read() -> None:
    reading = read_process()
    assert reading.files is not None
    assert reading.files > 2
    assert reading.memory is not None
    assert reading.memory > 1 << 20
