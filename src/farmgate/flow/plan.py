"""Every target that may answer a request, in the order of the configuration. Pure; worked out once for each name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from farmgate.core.errors import FarmError, ModelNotCapable, ModelNotFound
from farmgate.core.model import LONGEST_NAME
from farmgate.core.request import Kind
from farmgate.flow.route import Candidate, View, at, in_order, names_provider, not_in_use, resolve, shown
from farmgate.flow.routes import Balance, Route, RouteTarget, Sticky

__all__ = ["Plan", "Skipped", "plan"]

MOST_REMEMBERED = 4096
"""Callers make names up where a provider has more models than it lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A target that cannot be asked for this, and why. `provider` None: no provider is known for the name."""

    provider: str | None = None
    model: str
    reason: str
    tier: int = 0

    @property
    def name(self) -> str:
        return self.model if self.provider is None else f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who may answer to a name: at least one, tier by tier. `is_route`: an operator gave the name."""

    candidates: tuple[Candidate, ...]
    balance: Balance = Balance.LEAST_IN_FLIGHT
    sticky: Sticky = Sticky.OFF
    skipped: tuple[Skipped, ...] = ()
    is_route: bool = False

    @property
    def first(self) -> Candidate:
        """The one to ask where only one is."""
        return self.candidates[0]


def plan(model: str | None, provider: str | None, view: View, kind: Kind = Kind.CHAT) -> Plan:
    """Who may answer to this name. Raises as `resolve` does.

    A route's targets, then the names it falls back to. A name that is no route means one provider's model, and the
    model of that very name at the other providers that list it, unless it says which provider.
    """
    key = (model, provider, kind)
    known = view.remembered.get(key)
    if known is not None:
        return cast("Plan", known)
    if model is not None and len(model) > LONGEST_NAME:
        # A name is kept: in the journal, in metrics, by caches.
        raise ModelNotFound(f"There is no model with a name of more than {LONGEST_NAME} characters.", param="model")
    made = worked_out(model, provider, view, kind)
    if len(view.remembered) >= MOST_REMEMBERED:
        view.remembered.clear()
    view.remembered[key] = made
    return made


def worked_out(model: str | None, provider: str | None, view: View, kind: Kind) -> Plan:
    name = model or "default"
    routed = view.routed(name) if provider is None else None
    if routed is not None:
        return plan_of(name, *routed, view=view, kind=kind)
    first = resolve(model, provider, view, kind)
    if provider is not None or names_provider(model, first):
        return Plan(candidates=(first,))
    return Plan(candidates=(first, *elsewhere(first, view, kind)))


def elsewhere(first: Candidate, view: View, kind: Kind) -> list[Candidate]:
    """The same model at other providers, each to be asked only when those before it fail."""
    found: list[Candidate] = []
    for name, known in in_order(view):
        own = known.listed(first.model) if name != first.provider and known.can(kind) else None
        if own is not None:
            found.append(replace(view.candidate(name, own), priority=len(found) + 1))
    return found


def plan_of(name: str, route: Route, matched: str, *, view: View, kind: Kind) -> Plan:
    """A route's targets, and those of the names it falls back to."""
    skipped: list[Skipped] = []
    refused: list[FarmError] = []
    found: dict[str, Candidate] = {}

    def take(target: RouteTarget, stands_for: str, tier: int) -> None:
        try:
            candidate = candidate_of(target, stands_for, view, kind)
        except FarmError as error:
            refused.append(error)
            skipped.append(Skipped(provider=target.provider, model=target.model, reason=error.message, tier=tier))
            return
        found.setdefault(candidate.key, replace(candidate, tier=tier))

    for target in route.targets:
        take(target, matched, 0)
    for tier, other in enumerate(route.fallback, 1):
        routed = view.routed(other)
        if routed is not None:
            for target in routed[0].targets:
                take(target, routed[1], tier)
            continue
        try:
            candidate = resolve(other, None, view, kind)
            found.setdefault(candidate.key, replace(candidate, tier=tier))
        except FarmError as error:
            refused.append(error)
            skipped.append(Skipped(model=other, reason=error.message, tier=tier))
    if not found:
        told = f"No target of {shown(name)} can be used: {refused[0].message}"
        raise type(refused[0])(told, param="model")
    return Plan(
        candidates=tuple(found.values()),
        balance=route.balance,
        sticky=route.sticky,
        skipped=tuple(skipped),
        is_route=True,
    )


def candidate_of(target: RouteTarget, matched: str, view: View, kind: Kind) -> Candidate:
    """A route's target as it can be asked. Raises ModelNotFound or ModelNotCapable."""
    known = view.providers.get(target.provider)
    if known is None:
        raise ModelNotFound(f"{target.provider} is not in use.{not_in_use(view)}", param="model")
    if not known.can(kind):
        raise ModelNotCapable(f"{target.provider} gives no {kind} answers.", param="model")
    candidate = at(target.provider, view, target.model.replace("*", matched))
    return replace(candidate, weight=target.weight, priority=target.priority, region=target.region, quota=target.quota)
