"""Which models leave a device so that another fits: the whole set at once, decided without touching any of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

__all__ = ["Tenant", "choose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A loaded model. `held`: bytes on each device, by the device's name, that others have when it leaves. `used_at`:
    when it last answered, in seconds.

    `priority`: the higher, the longer it stays. `pinned` never leaves for another. `rest`: bytes that it keeps where it
    does not leave whole, but sleeps; `asleep`: it does.
    """

    name: str
    held: Mapping[str, int]
    priority: int = 0
    used_at: float = 0.0
    in_flight: int = 0
    pinned: bool = False
    rest: Mapping[str, int] = field(default_factory=dict)
    asleep: bool = False

    @property
    def worth(self) -> tuple[bool, int, bool, float]:
        """Who is worth less leaves first: one that sleeps anyhow. Among equals an idle one does: a busy one has to be
        drained before."""
        return (not self.asleep, self.priority, self.in_flight > 0, self.used_at)

    def whole(self) -> Tenant:
        """As it is when it leaves and keeps nothing."""
        held = {device: self.held.get(device, 0) + self.rest.get(device, 0) for device in (*self.held, *self.rest)}
        return replace(self, held=held, rest={})


def choose(tenants: Iterable[Tenant], lacking: Mapping[str, int], *, priority: int = 0) -> tuple[Tenant, ...] | None:
    """Who leaves, worth the least first, so that on each device so many bytes more are free; None: not possible.

    Nobody is in the set without need, and nobody who is worth more than all that could leave instead of them. None is
    of a higher `priority` than that of the model that comes.
    """
    lacking = {device: count for device, count in lacking.items() if count > 0}
    candidates = sorted(
        (one for one in tenants if not one.pinned and one.priority <= priority and helps(one, lacking)),
        key=lambda one: one.worth,
    )
    chosen: list[Tenant] = []
    for one in candidates:
        if suffices(chosen, lacking):
            break
        chosen.append(one)
    if not suffices(chosen, lacking):
        return None
    # The last made it enough; with it, some of those before may stay.
    for one in reversed(chosen[:-1]):
        rest = [other for other in chosen if other is not one]
        if suffices(rest, lacking):
            chosen = rest
    return tuple(chosen)


def helps(tenant: Tenant, lacking: Mapping[str, int]) -> bool:
    return any(tenant.held.get(device, 0) > 0 for device in lacking)


def suffices(leaving: Sequence[Tenant], lacking: Mapping[str, int]) -> bool:
    return all(sum(one.held.get(device, 0) for one in leaving) >= count for device, count in lacking.items())
