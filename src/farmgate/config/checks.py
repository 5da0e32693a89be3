"""What must hold between settings: routes name providers, models are in their lists, an open door has a key."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping

from farmgate.config.environment import ENVIRONMENTS
from farmgate.config.errors import quoted, suggestion
from farmgate.config.nodes import Node, Path, nearest
from farmgate.config.overrides import CREATED_BY_VARIABLE
from farmgate.config.schema import Ai, LocalModel, Provider, Route, Server

__all__ = [
    "adapter_problems",
    "bind_problem",
    "default_model_problems",
    "is_loopback",
    "route_problems",
    "routing_problems",
]

BUILT_IN = ("local", "demo")
"""Providers that are there without being written."""


def place_of(tree: Node, path: Path) -> str:
    return nearest(tree, path)[0].place


def routing_problems(
    ai: Ai, tree: Node, *, environment: str, left_out: Collection[str], has_overlay: Callable[[str], bool]
) -> list[str]:
    """Routes to providers that are unknown or disabled. A route of another environment is left alone where that
    environment's overlay or a variable may still bring the provider."""
    problems = []
    for name in ENVIRONMENTS:
        target = ai.routing.get(name)
        if target is None or target in left_out:
            continue
        if name != environment and (has_overlay(name) or target in CREATED_BY_VARIABLE):
            continue
        place = place_of(tree, ("ai", "routing", name))
        if target not in ai.providers:
            hint = suggestion(target, ai.providers) or f": add `{target}: {{}}` there"
            problems.append(f"{place}: ai.routing.{name} names {quoted(target)}, which is not in ai.providers{hint}")
        elif not ai.providers[target].enabled:
            problems.append(
                f"{place}: ai.routing.{name} names {quoted(target)}, which is disabled: "
                "enable it, or route to another provider"
            )
    return problems


def route_problems(ai: Ai, tree: Node, left_out: Collection[str]) -> list[str]:
    """Routes whose targets are of providers that are not there, and names that fall back to themselves."""
    problems = []
    for name, route in ai.routes.items():
        where: Path = ("ai", "routes", name)
        place = place_of(tree, where)
        if name.count("*") > 1:
            problems.append(f"{place}: the name {quoted(name)} in ai.routes holds more than one `*`")
        for target in route.targets:
            provider, _, model = target.target.partition("/")
            if provider not in ai.providers and provider not in (*left_out, *CREATED_BY_VARIABLE, *BUILT_IN):
                hint = suggestion(provider, ai.providers) or f": add `{provider}: {{}}` there"
                told = f"{quoted(target.target)} is of {quoted(provider)}, which is not in ai.providers{hint}"
                problems.append(f"{place}: ai.routes.{name}: {told}")
            if "*" in model and "*" not in name:
                problems.append(f"{place}: ai.routes.{name}: {quoted(target.target)} has a `*` and the name has none")
        if circle := circle_from(name, ai.routes):
            problems.append(f"{place}: ai.routes.{name} falls back to itself: {' -> '.join(circle)}")
    return problems


def circle_from(name: str, routes: Mapping[str, Route]) -> list[str] | None:
    """The way from a name over its fallbacks back to it."""
    ways = [[name]]
    seen = set()
    while ways:
        way = ways.pop()
        for other in routes[way[-1]].fallback:
            if other == name:
                return [*way, other]
            if other in routes and other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return None


def default_model_problems(ai: Ai, tree: Node, environment: str) -> list[str]:
    """Default models that their provider's list of models does not have."""
    problems = []
    for name, provider in ai.providers.items():
        if provider.default_model and not offers(provider, provider.default_model):
            where: Path = ("ai", "providers", name, "defaultModel")
            problems.append(not_offered(place_of(tree, where), where, provider.default_model, name, provider))
    if ai.default_model:
        where = ("ai", "defaultModel")
        name, model = addressed(ai.default_model, ai.providers, ai.routing.get(environment))
        if name in ai.providers and not offers(ai.providers[name], model):
            problems.append(not_offered(place_of(tree, where), where, model, name, ai.providers[name]))
    return problems


def addressed(model: str, providers: Mapping[str, Provider], routed: str | None) -> tuple[str, str]:
    """`ollama/llama3.1` names its provider; names with a slash of their own do not."""
    prefix, slash, rest = model.partition("/")
    return (prefix, rest) if slash and prefix in providers else (routed or "", model)


def offers(provider: Provider, model: str) -> bool:
    """An empty list offers everything. `llama3.1` and `llama3.1:latest` are one model."""
    return not provider.models or model.removesuffix(":latest") in {m.removesuffix(":latest") for m in provider.models}


def not_offered(place: str, path: Path, model: str, name: str, provider: Provider) -> str:
    hint = suggestion(model, provider.models) or ": add it there"
    return f"{place}: {'.'.join(map(str, path))} {quoted(model)} is not in ai.providers.{name}.models{hint}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. Unknown names count as reachable from outside."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def adapter_problems(models: Mapping[str, LocalModel], tree: Node) -> list[str]:
    """Names that would mean both a model of its own and another's adapter."""
    problems = []
    for name, entry in models.items():
        for adapter in entry.adapters:
            if f"{name}:{adapter}" in models:
                place = place_of(tree, ("models", name, "adapters", adapter))
                problems.append(
                    f"{place}: models.{name}.adapters names {quoted(adapter)}, and there is a model "
                    f"{quoted(f'{name}:{adapter}')}: call one of them otherwise"
                )
    return problems


def bind_problem(server: Server, tree: Node, *, has_keys: bool) -> str | None:
    """Fail closed: without a key, whoever reaches the port could spend the owner's money."""
    if has_keys or is_loopback(server.host):
        return None
    return (
        f"{place_of(tree, ('server', 'host'))}: Farmgate refuses to start on {quoted(server.host)} without an API key: "
        "everyone who reaches that address could use your models and provider accounts. "
        "Add a key under `keys` or in `keyFile`, or listen on 127.0.0.1"
    )
