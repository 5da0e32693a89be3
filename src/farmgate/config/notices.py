"""A setting that has no effect is said at start: what is not built yet, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.config.nodes import Node, nearest
from farmgate.config.schema import Ai, Provider, Root

__all__ = ["notices_of"]

NOT_BUILT = {
    "caching": ("caching", "answers are not cached"),
    "rate_limiting": ("rateLimiting", "callers are not limited"),
}
STARTABLE = ("ollama",)
PULLABLE = ("ollama", "local")


def notices_of(root: Root, tree: Node, left_out: Mapping[str, str]) -> list[str]:
    """Everything in the settings that will not do what it says."""
    return [*feature_notices(root.ai, tree), *provider_notices(root.ai, tree), *left_out_notices(left_out)]


def feature_notices(ai: Ai, tree: Node) -> list[str]:
    return [
        f"{nearest(tree, ('ai', 'features', name))[0].place}: ai.features.{name} is not built yet: {effect}"
        for attribute, (name, effect) in NOT_BUILT.items()
        if getattr(ai.features, attribute)
    ]


def provider_notices(ai: Ai, tree: Node) -> list[str]:
    found = []
    for name, provider in ai.providers.items():
        for setting, effect in without_effect(name, provider):
            place = nearest(tree, ("ai", "providers", name, setting))[0].place
            found.append(f"{place}: ai.providers.{name}.{setting} has no effect: {effect}")
    return found


def without_effect(name: str, provider: Provider) -> list[tuple[str, str]]:
    kind = provider.provider or name
    if not provider.enabled or ":" in kind:  # a provider of the user's own may use whatever it is given
        return []
    found = []
    if provider.device:
        found.append(("device", "choosing a device for models on this machine is not built yet"))
    if provider.auto_start and kind not in STARTABLE:
        found.append(("autoStart", "only Ollama can be started from here yet"))
    if provider.auto_pull and kind not in PULLABLE:
        found.append(("autoPull", "models can be pulled for ollama and local only"))
    return found


def left_out_notices(left_out: Mapping[str, str]) -> list[str]:
    return [f"{reason}; provider {name} is left out" for name, reason in left_out.items()]
