"""The order of the stages, outermost first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from farmgate.core.ports import Journal, Target
from farmgate.flow.admit import Admit, Pressure
from farmgate.flow.attempt import Attempt
from farmgate.flow.health import Ward
from farmgate.flow.meter import Meter
from farmgate.flow.queue import ModelQueues, Queue
from farmgate.flow.route import Catalog
from farmgate.flow.slots import Room
from farmgate.flow.tries import Means, Pace
from farmgate.telemetry import Telemetry

__all__ = ["Chain", "RoomOf", "chain"]

RoomOf: TypeAlias = Callable[[str], Room | None]
"""The room at one model of a provider; None where its engine bounds nothing that the gate would have to."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Where requests begin, and what their targets are asked with."""

    target: Admit
    means: Means


def chain(
    providers: Mapping[str, Target],
    *,
    catalog: Catalog,
    journal: Journal,
    telemetry: Telemetry,
    room: Room,
    ward: Ward,
    pace: Pace,
    pressure: Pressure | None = None,
    queues: ModelQueues | None = None,
    rooms: Mapping[str, RoomOf] = MappingProxyType({}),
) -> Chain:
    """What a request walks through: admit, then route and attempt, then the provider that is asked, behind its queue
    where `rooms` has one for it, and its meter."""
    asked: dict[str, Target] = {}
    for name, target in providers.items():
        meter = Meter(target, journal=journal, telemetry=telemetry)
        room_of = rooms.get(name)
        queue = queues or ModelQueues()
        asked[name] = Queue(meter, queue, room_of=room_of, telemetry=telemetry) if room_of is not None else meter
    attempt = Attempt(asked, catalog, ward=ward, pace=pace)
    return Chain(Admit(attempt, room=room, telemetry=telemetry, pressure=pressure), attempt.means)
