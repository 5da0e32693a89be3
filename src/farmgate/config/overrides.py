"""Environment variables and command line flags that override files, as Nodes like any other settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from farmgate.config.environment import Environment, Variable
from farmgate.config.errors import ConfigError, quoted, suggestion
from farmgate.config.nodes import Node, Path, from_plain, merged, strings_are_sound

__all__ = ["CREATED_BY_VARIABLE", "Overrides", "from_flags", "from_variables"]

PLACES: Mapping[str, tuple[str, ...]] = {
    "FARM_HOST": ("server", "host"),
    "FARM_PORT": ("server", "port"),
    "AI_DEFAULT_MODEL": ("ai", "defaultModel"),
    "OLLAMA_URL": ("ai", "providers", "ollama", "url"),
    "OPENAI_API_KEY": ("ai", "providers", "openai", "apiKey"),
    "HUGGINGFACE_TOKEN": ("ai", "providers", "huggingface", "apiKey"),
}
CREATED_BY_VARIABLE = {path[2]: name for name, path in PLACES.items() if path[1] == "providers"}
BUILT_IN = (*CREATED_BY_VARIABLE, "local", "demo")
RATE = re.compile(r"[1-9][0-9]{0,8}(/(s|second|m|min|minute|h|hour|d|day))?")
PROVIDER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What variables say: settings, and notices about variables that say nothing (yet)."""

    settings: Node
    notices: tuple[str, ...]


def from_variables(environment: Environment, name: str, providers: Collection[str]) -> Overrides:
    """Settings for the environment called `name`; `providers` are those the files name. An empty variable counts
    as not set, and is said."""
    settings, notices = Node({}, "environment"), []
    for variable_name in (*PLACES, "AI_PROVIDER", "AI_FALLBACK_PROVIDER", "AI_RATE_LIMIT"):
        variable = environment.get(variable_name)
        if variable is None:
            continue
        variable = Variable(variable.value.strip(), variable.where)
        if not variable.value:
            notices.append(f"{variable.where}: {variable_name} is empty: taken as not set")
        elif path := PLACES.get(variable_name):
            settings = merged(settings, nested(path, variable))
        elif variable_name == "AI_PROVIDER":
            known = {*providers, *at_providers(settings)}
            settings = merged(settings, routed(variable, name, known))
        else:
            notices.append(not_built(variable_name, variable, {*providers, *at_providers(settings)}))
    return Overrides(settings, tuple(notices))


def at_providers(settings: Node) -> Collection[str]:
    ai = settings.mapping.get("ai", settings)
    return ai.mapping["providers"].mapping if "providers" in ai.mapping else ()


def nested(path: Path, variable: Variable) -> Node:
    node = Node(variable.value, variable.where, variable.where, literal=True)
    for step in reversed(path):
        node = Node({str(step): node}, variable.where, variable.where, literal=True)
    return node


def routed(variable: Variable, environment: str, known: Collection[str]) -> Node:
    """AI_PROVIDER as a route, and an entry for the provider where no file has one."""
    route = nested(("ai", "routing", environment), variable)
    if variable.value in known:
        return route
    check_provider(variable, "AI_PROVIDER", {*known, *BUILT_IN})
    entry = Node({}, variable.where, variable.where)
    providers = Node({variable.value: entry}, variable.where)
    return merged(route, Node({"ai": Node({"providers": providers}, variable.where)}, variable.where))


def check_provider(variable: Variable, name: str, known: Collection[str]) -> None:
    if variable.value in known:
        return
    hint = suggestion(variable.value, known)
    if hint or not PROVIDER_NAME.fullmatch(variable.value):
        raise ConfigError(f"{variable.where}: {name} names no provider: {quoted(variable.value)}{hint}")


def not_built(name: str, variable: Variable, known: Collection[str]) -> str:
    if name == "AI_FALLBACK_PROVIDER":
        if variable.value not in {*known, *BUILT_IN}:
            hint = suggestion(variable.value, {*known, *BUILT_IN})
            raise ConfigError(
                f"{variable.where}: AI_FALLBACK_PROVIDER names {quoted(variable.value)}, "
                f"which is not in ai.providers{hint}"
            )
        return (
            f"{variable.where}: AI_FALLBACK_PROVIDER has no effect: falling back to another provider is not built yet"
        )
    if not RATE.fullmatch(variable.value):
        raise ConfigError(
            f"{variable.where}: AI_RATE_LIMIT must be a number of requests, such as 60 or 60/minute, "
            f"not {quoted(variable.value)}"
        )
    return f"{variable.where}: AI_RATE_LIMIT has no effect: rate limits are not built yet"


def from_flags(overrides: Mapping[str, object]) -> Node:
    """Flags by dotted path. A flag that is None was not given."""
    tree: dict[str, object] = {}
    for dotted, value in overrides.items():
        if value is None:
            continue
        *folders, last = dotted.split(".")
        here = tree
        for folder in folders:
            inner = here.setdefault(folder, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"command line: {quoted(dotted)} is inside a setting that has a value already")
            here = inner
        here[last] = value
    node = from_plain(tree, lambda path: ("command line", "command line"), literal=True)
    strings_are_sound(node)
    return node
