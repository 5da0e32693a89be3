"""`farmgate route`: who would be asked for a model now, in which order and why. Nothing is sent to a provider."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmgate.core.errors import UpstreamRateLimited
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Kind
from farmgate.flow.explain import Explanation, Question
from farmgate.surfaces.cli.exits import Exit, WrongUse
from farmgate.surfaces.cli.remote import RemoteGate, find
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.words import UNKNOWN, duration, path_text

if TYPE_CHECKING:
    from farmgate.config import Config
    from farmgate.surfaces.http.route_models import RouteAnswer, RouteTarget

__all__ = ["Wish", "route"]

HEAD = ("#", "TARGET", "STATE", "IN FLIGHT", "FIRST TOKEN", "PER MILLION", "WHY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line says."""

    model: str
    provider: str | None = None
    kind: str = Kind.CHAT
    key: str | None = None
    explain: bool = False


def route(session: Session, wish: Wish) -> Exit:
    """By the health a running gate knows; where none runs, as it would be right after a start. Raises FarmError,
    UpstreamRateLimited if nobody would be asked now.
    """
    if wish.kind not in list(Kind):
        raise WrongUse(f"--kind takes {', '.join(Kind)}, not {wish.kind!r}.", param="--kind")
    config = session.load()
    running = find(config)
    told = planned(session, config, wish) if running is None else running.route(asked(wish))
    if session.out.json:
        session.out.record(json.loads(told.json_bytes()))
    elif wish.explain:
        show(session, told, is_live=running is not None)
    else:
        for one in would_be_asked(told):
            session.out.data(f"{one.provider}/{one.model}")
    if not would_be_asked(told):
        raise nobody(told)
    return Exit.OK


def asked(wish: Wish) -> dict[str, str]:
    """The question as it is sent."""
    said = {"model": wish.model, "provider": wish.provider, "kind": wish.kind, "key": wish.key}
    return {name: value for name, value in said.items() if value is not None}


def planned(session: Session, config: Config, wish: Wish) -> RouteAnswer:
    """What a gate would do that has just been started."""
    from farmgate.surfaces.http.route_models import RouteAnswer

    question = Question(
        model=wish.model, provider=wish.provider, kind=Kind(wish.kind), caller=wish.key or ANONYMOUS.key_name
    )

    async def explained() -> Explanation:
        async with session.house.open(config) as gate:
            return gate.explain(question)

    url = RemoteGate(config.server.host, config.server.port).url
    source = path_text(config.source) if config.source is not None else "what is found here"
    session.out.say(
        f"note: no Farmgate is running at {url}: planned from {source}, nothing is known of anybody's health"
    )
    return RouteAnswer.of(asyncio.run(explained()))


def would_be_asked(told: RouteAnswer) -> tuple[RouteTarget, ...]:
    return told.order or tuple(one for one in told.resting if one.last_resort)


def nobody(told: RouteAnswer) -> UpstreamRateLimited:
    """Every target has said when it wants to be asked again."""
    soonest_s = min((one.back_in_s for one in told.resting), default=0.0)
    names = ", ".join(f"{one.provider}/{one.model}" for one in told.resting)
    return UpstreamRateLimited(
        f"nobody would be asked for {told.model} now, the first in {duration(soonest_s)}: {names} rest",
        retry_after_s=soonest_s,
    )


# ---------------------------------------------------------------------------------------------------- for people


def show(session: Session, told: RouteAnswer, *, is_live: bool) -> None:
    rows = [row(str(place), one, is_live=is_live) for place, one in enumerate(told.order, 1)]
    rows += [row(UNKNOWN, one, is_live=is_live) for one in told.resting]
    for one in told.skipped:
        name = one.model if one.provider is None else f"{one.provider}/{one.model}"
        rows.append((UNKNOWN, name, "skipped", UNKNOWN, UNKNOWN, UNKNOWN, one.reason))
    session.out.say(headline(told))
    shown = [
        at
        for at, title in enumerate(HEAD)
        if title in ("#", "TARGET", "WHY") or any(row[at] != UNKNOWN for row in rows)
    ]
    session.out.table([HEAD[at] for at in shown], [[row[at] for at in shown] for row in rows])


def row(place: str, one: RouteTarget, *, is_live: bool) -> tuple[str, ...]:
    first_ms, price = one.first_token_ms, one.price_per_million
    return (
        place,
        f"{one.provider}/{one.model}",
        state(one) if is_live else UNKNOWN,
        str(one.in_flight) if is_live else UNKNOWN,
        UNKNOWN if first_ms is None else f"{first_ms:.0f} ms",
        UNKNOWN if price is None else f"${price:g}",
        one.why,
    )


def state(one: RouteTarget) -> str:
    """What people want to know first: a target whose limit is used up is no well one."""
    return "limited" if one.state == "closed" and one.cooling_for_s else {"closed": "well"}.get(one.state, one.state)


def headline(told: RouteAnswer) -> str:
    via = f" (route {told.route})" if told.route not in (None, told.model) else ""
    words = [f"balance {told.balance}"] if told.route is not None else []
    words += [f"sticky by {told.sticky}"] if told.sticky != "off" else []
    words.append(f"at most {told.calls} call{'' if told.calls == 1 else 's'}")
    words += [] if told.fallback else ["no other is asked when one fails"]
    return f"{told.model}{via}, {told.kind}: {', '.join(words)}"
