"""What the configuration says of routes, in routing's own words."""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.config import Config
from farmgate.config.schema import Target
from farmgate.flow.routes import Balance, Route, RouteTarget, Sticky
from farmgate.flow.tries import Pace

__all__ = ["pace_of", "routes_of"]


def routes_of(config: Config) -> Mapping[str, Route]:
    return {
        name: Route(
            targets=tuple(map(target_of, route.targets)),
            balance=Balance(route.balance),
            sticky=Sticky(route.sticky),
            fallback=route.fallback,
        )
        for name, route in config.ai.routes.items()
    }


def target_of(entry: Target) -> RouteTarget:
    provider, _, model = entry.target.partition("/")
    return RouteTarget(
        provider=provider,
        model=model,
        weight=entry.weight,
        priority=entry.priority,
        region=entry.region,
        quota=entry.quota,
    )


def pace_of(config: Config) -> Pace:
    told = config.ai.attempts
    return Pace(retries=told.retries, calls=told.calls, first_content_s=told.first_content_s, hedge=told.hedge)
