"""Which providers are left: one whose variables are not set is left out, unless it is the one that must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from farmgate.config.interpolate import Missing, Why
from farmgate.config.nodes import Node, at

__all__ = ["Settled", "provider_names", "settle"]

PROVIDERS = ("ai", "providers")
OFF = ("false", "no", "off", "0", "n", "f")


@dataclass(frozen=True, slots=True)
class Settled:
    """The tree without the providers left out, those with their reasons, and what cannot be forgiven."""

    tree: Node
    left_out: Mapping[str, str]
    problems: tuple[str, ...]


def settle(tree: Node, missing: Sequence[Missing], environment: str) -> Settled:
    """Decide for each text that could not be completed whether its value is used in `environment`."""
    route = at(tree, ("ai", "routing", environment))
    routed = str(route.value) if route else None
    by_provider: dict[str, list[Missing]] = {}
    problems: list[str] = []
    for lost in [*missing, *empty_keys(tree)]:
        owner = str(lost.path[2]) if lost.path[:2] == PROVIDERS and len(lost.path) > 3 else None
        if lost.why is Why.WRONG or owner is None:
            problems.append(lost.problem)
        elif is_enabled(tree, owner):
            by_provider.setdefault(owner, []).append(lost)
    left = {name for name in provider_names(tree) if is_enabled(tree, name)} - by_provider.keys()
    # Without a route the one that answers is one of those left; when none is, nobody could answer.
    used = {routed} if routed else (set() if left else set(by_provider))
    problems += [lost.problem for name in by_provider if name in used for lost in by_provider[name]]
    left_out = {name: by_provider[name][0].problem for name in by_provider if name not in used}
    return Settled(without(tree, left_out), left_out, tuple(problems))


def provider_names(tree: Node) -> tuple[str, ...]:
    entries = at(tree, PROVIDERS)
    return tuple(entries.mapping) if entries else ()


def is_enabled(tree: Node, name: str) -> bool:
    enabled = at(tree, (*PROVIDERS, name, "enabled"))
    return enabled is None or str(enabled.value).strip().lower() not in OFF


def empty_keys(tree: Node) -> list[Missing]:
    """An empty key is a key that is not there: sending it would only move the failure to the first request."""
    found = []
    for name in provider_names(tree):
        path = (*PROVIDERS, name, "apiKey")
        if (node := at(tree, path)) and node.value == "":
            why = f"{node.place}: ai.providers.{name}.apiKey is empty: give it a value, or remove it"
            found.append(Missing(path, Why.UNSET, f"{why} ({node.via})" if node.via else why))
    return found


def without(tree: Node, left_out: Mapping[str, str]) -> Node:
    """The tree without the providers left out and without empty keys."""
    ai, entries = at(tree, ("ai",)), at(tree, PROVIDERS)
    if ai is None or entries is None:
        return tree
    kept = {}
    for name, entry in entries.mapping.items():
        if name not in left_out:
            settings = {key: node for key, node in entry.mapping.items() if key != "apiKey" or node.value != ""}
            kept[name] = replace(entry, value=settings)
    new_ai = replace(ai, value={**ai.mapping, "providers": replace(entries, value=kept)})
    return replace(tree, value={**tree.mapping, "ai": new_ai})
