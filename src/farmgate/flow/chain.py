"""The order of the stages, outermost first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farmgate.core.ports import Journal, Target
from farmgate.flow.admit import Admit, Pressure, Room
from farmgate.flow.attempt import Attempt
from farmgate.flow.health import Ward
from farmgate.flow.meter import Meter
from farmgate.flow.route import Catalog
from farmgate.flow.tries import Means, Pace
from farmgate.telemetry import Telemetry

__all__ = ["Chain", "chain"]


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
) -> Chain:
    """What a request walks through: admit, then route and attempt, then the meter of the provider that is asked."""
    metered = {name: Meter(target, journal=journal, telemetry=telemetry) for name, target in providers.items()}
    attempt = Attempt(metered, catalog, ward=ward, pace=pace)
    return Chain(Admit(attempt, room=room, telemetry=telemetry, pressure=pressure), attempt.means)
