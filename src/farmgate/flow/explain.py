"""A plan can be asked for without sending: who would be asked now and why, who rests, and who cannot be asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Kind
from farmgate.flow.attempt import cost_of
from farmgate.flow.balance import Seen, affinity, arrange
from farmgate.flow.health import State, Ward
from farmgate.flow.plan import Plan, Skipped, plan
from farmgate.flow.reasons import Ground, placed, rested
from farmgate.flow.route import Candidate, Catalog, View
from farmgate.flow.routes import Balance, Sticky

__all__ = ["Explained", "Explanation", "Question", "explain"]

EVEN = 0.5
"""Chance is left out: what it would decide is told as chance, and the same question has the same answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a request would say. `caller` is the name of its key and `session` what it says of its session: both matter
    where a name is sticky."""

    model: str | None = None
    provider: str | None = None
    kind: Kind = Kind.CHAT
    caller: str = ANONYMOUS.key_name
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One target as it is now, and why it stands where it does. `cost_usd` is what a million tokens in and a million
    out cost together; `is_last_resort`: it rests, and would be asked all the same because nobody else is left.
    """

    candidate: Candidate
    state: State
    in_flight: int
    first_token_s: float | None
    cooling_s: float
    back_in_s: float
    last_failure: str | None
    cost_usd: float | None
    why: str
    is_last_resort: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would happen to a request that came now. `route`: the name in the configuration that leads there, where one
    does; `calls`: how many targets one request asks at most, tries again included.
    """

    model: str
    kind: Kind
    route: str | None
    balance: Balance
    sticky: Sticky
    order: tuple[Explained, ...]
    resting: tuple[Explained, ...]
    skipped: tuple[Skipped, ...]
    falls_back: bool
    calls: int


def explain(
    question: Question,
    catalog: Catalog,
    ward: Ward,
    *,
    now: float,
    calls: int,
    left_out: Mapping[str, str] | None = None,
    doubts: Mapping[str, str] | None = None,
) -> Explanation:
    """What would happen now, by what is known now: nobody is asked, and nothing changes. Raises as `plan` does.

    `left_out`: why providers that are configured are not in use; `doubts`: what is wrong with some that are.
    """
    view = catalog.view()
    made = plan(question.model, question.provider, view, question.kind)
    name = question.model or "default"
    kept = affinity(made.sticky, question.caller, question.session)
    order = arrange(
        [Seen(one, ward.glance(one.key, one.quota), cost_of(one, catalog)) for one in made.candidates],
        now=now,
        draw=lambda: EVEN,
        balance=made.balance,
        affinity=kept,
        region=view.region,
    )
    ground = Ground(name=name, made=made, order=order, view=view, now=now, is_kept=kept is not None)
    return Explanation(
        model=name,
        kind=question.kind,
        route=route_of(name, view) if made.is_route else None,
        balance=made.balance,
        sticky=made.sticky,
        order=in_order(ground, doubts or {}, calls),
        resting=at_rest(ground),
        skipped=told_of(made, left_out or {}),
        falls_back=view.falls_back,
        calls=calls,
    )


def route_of(name: str, view: View) -> str | None:
    """The name in the configuration, which may hold a `*`."""
    routed = view.routed(name)
    return next((one for one, route in view.routes.items() if routed and route is routed[0]), None)


def in_order(ground: Ground, doubts: Mapping[str, str], calls: int) -> tuple[Explained, ...]:
    def why(place: int, one: Seen) -> str:
        far = f"beyond the {calls} call{'' if calls == 1 else 's'} of one request" if place >= calls else ""
        return "; ".join(filter(None, (placed(one, ground), far, doubts.get(one.candidate.provider))))

    return tuple(explained(one, ground.now, why(place, one)) for place, one in enumerate(ground.order.askable))


def at_rest(ground: Ground) -> tuple[Explained, ...]:
    resting, now = ground.order.resting, ground.now
    last = [] if ground.order.askable else last_resorts(ground)
    return tuple(
        explained(one, now, rested(one, ground, is_last_resort=one in last), is_last_resort=one in last)
        for one in resting
    )


def last_resorts(ground: Ground) -> list[Seen]:
    """Who is asked where all rest: those whose providers did not say when they want to be asked again; behind the first
    of them those whose limit may be used up neither."""
    resting = ground.order.resting if ground.view.falls_back else ground.order.resting[:1]
    willing = [one for one in resting if ground.now >= one.health.quota.told_until]
    return willing[:1] + [one for one in willing[1:] if not one.health.is_cooling(ground.now)]


def explained(one: Seen, now: float, why: str, *, is_last_resort: bool = False) -> Explained:
    health = one.health
    return Explained(
        candidate=one.candidate,
        state=health.state(now),
        in_flight=health.in_flight,
        first_token_s=health.first_token_s,
        cooling_s=max(0.0, health.quota.cooled_until - now),
        back_in_s=health.back_in_s(now),
        last_failure=health.last_failure,
        cost_usd=one.cost_usd,
        why=why,
        is_last_resort=is_last_resort,
    )


def told_of(made: Plan, left_out: Mapping[str, str]) -> tuple[Skipped, ...]:
    """Those that cannot be asked; with the exact reason where the configuration has one."""
    return tuple(
        Skipped(
            provider=one.provider, model=one.model, reason=left_out.get(one.provider or "", one.reason), tier=one.tier
        )
        for one in made.skipped
    )
