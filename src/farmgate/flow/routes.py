"""Names that operators give: each leads to one or more targets, and to other names when all of those fail. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Balance", "Route", "RouteTarget", "Sticky", "matching", "sorted_wildcards"]


class Balance(StrEnum):
    """How one of several targets is picked.

    LEAST_IN_FLIGHT keeps a slow one out of the way by itself: what it has not answered yet is still in flight.
    ENGINE_LOAD goes by what the engines themselves tell, which knows of the requests of other gates too.
    """

    LEAST_IN_FLIGHT = "leastInFlight"
    WEIGHTED = "weighted"
    LATENCY = "latency"
    COST = "cost"
    ENGINE_LOAD = "engineLoad"


class Sticky(StrEnum):
    """What stays with one target, so that its cache of prompts is used: nothing, one key's requests, or one session's.

    A session is what a body calls `prompt_cache_key`, `safety_identifier` or `user`; without it, the key.
    """

    OFF = "off"
    CALLER = "caller"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTarget:
    """One provider's model behind a name. `*` in `model` stands for what the name's own `*` matched.

    Of several, those with the lowest `priority` come first; `weight` is a share among equals. Targets with the same
    `quota` are cooled together when one of them is rate-limited.
    """

    provider: str
    model: str
    weight: float = 1.0
    priority: int = 0
    region: str | None = None
    quota: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a name leads to. `fallback`: names asked, in order and once each, when no target could answer."""

    targets: tuple[RouteTarget, ...]
    balance: Balance = Balance.LEAST_IN_FLIGHT
    sticky: Sticky = Sticky.OFF
    fallback: tuple[str, ...] = ()


def sorted_wildcards(routes: Mapping[str, Route]) -> tuple[tuple[str, str, Route], ...]:
    """The routes with a `*`, as what stands before it, what behind it, and the route; the most exact first."""
    parted = ((name.partition("*"), route) for name, route in routes.items())
    found = [(before, behind, route) for (before, star, behind), route in parted if star]
    return tuple(sorted(found, key=lambda one: (-len(one[0]) - len(one[1]), one[0], one[1])))


def matching(
    name: str, routes: Mapping[str, Route], wildcards: tuple[tuple[str, str, Route], ...]
) -> tuple[Route, str] | None:
    """The route of a name, and what its `*` stands for; None where the name has none."""
    exact = routes.get(name)
    if exact is not None and "*" not in name:
        return exact, ""
    for before, behind, route in wildcards:
        if len(name) > len(before) + len(behind) and name.startswith(before) and name.endswith(behind):
            return route, name[len(before) : len(name) - len(behind)]
    return None
