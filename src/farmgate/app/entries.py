"""Which providers there are: those the configuration names, or what is found on this machine when it names none."""

from __future__ import annotations

import contextlib
import importlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from farmgate.config import Config, ConfigError
from farmgate.config.errors import suggestion
from farmgate.config.schema import Provider as Entry
from farmgate.core.ports import Lender, Weights
from farmgate.providers.custom import CustomProviderError, entry_point_names, find
from farmgate.providers.discovery import Found, keys_found, servers_found
from farmgate.providers.local import LocalProvider
from farmgate.providers.openai import OpenAIProvider
from farmgate.providers.provider import Provider
from farmgate.providers.registry import CODED, LOCAL, ROWS, is_cloud, key_variable, key_variables
from farmgate.providers.settings import CredentialError, ProviderSettings
from farmgate.providers.transport import Timeouts

__all__ = [
    "Entries",
    "check_entries",
    "find_entries",
    "is_built_in",
    "is_open",
    "make_provider",
    "missing_key",
]

DEMO = "demo"
PREFERENCE = ("ollama", LOCAL)
"""Who answers when nobody said: what people run themselves before what costs money; the demo last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """The providers to make. `found` says which nobody configured."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    found: Mapping[str, Found] = field(default_factory=dict)
    default: str | None = None


async def find_entries(config: Config, *, has_models: bool, has_engine: bool) -> Entries:
    """`has_models`: weights lie on this machine; `has_engine`: something can run them.

    The embedded engine goes without saying; the demo answers only where nobody else can.
    """
    entries = {name: entry for name, entry in config.ai.providers.items() if entry.enabled}
    found: dict[str, Found] = {}
    if config.source is None:
        variables = {name: config.variable(name) for name in key_variables().values()}
        keys = keys_found({name: value for name, value in variables.items() if value})
        for one in (*await servers_found(), *keys):
            if one.name not in config.ai.providers:
                found[one.name] = one
                entries[one.name] = Entry(url=one.url)
    if LOCAL not in config.ai.providers and has_engine:
        entries[LOCAL] = Entry()
    usable = [name for name in entries if name != LOCAL or has_models]
    if not usable and DEMO not in config.ai.providers:
        entries[DEMO] = Entry()
        usable = [DEMO]
    routed = config.ai.routing.get(config.environment)
    return Entries(entries=entries, found=found, default=routed or preferred(usable))


def preferred(names: list[str]) -> str | None:
    """Who answers when nobody said who should."""
    for name in PREFERENCE:
        if name in names:
            return name
    return next((name for name in names if name != DEMO), names[0] if names else None)


def is_open(name: str, entry: Entry) -> bool:
    """Whether a provider may be asked for models it does not list: servers and clouds whose models nobody named."""
    kind = entry.provider or name
    return (kind in ROWS or is_cloud(kind)) and not entry.models


def check_entries(config: Config) -> tuple[str, ...]:
    """What will not work as it is written, a line each. Raises ConfigError for providers that there are not."""
    problems: list[str] = []
    notices: list[str] = []
    for name, entry in config.ai.providers.items():
        if not entry.enabled:
            continue
        kind = entry.provider or name
        try:
            if kind not in (LOCAL, *ROWS, *CODED):
                find_custom(name, kind, config)
        except ConfigError as error:
            problems += error.problems
        if variable := missing_key(name, entry, config):
            notices.append(f"{where(name, config)} has no apiKey, and {variable} is not set: it will refuse every call")
    if problems:
        raise ConfigError(*problems)
    return tuple(notices)


def missing_key(name: str, entry: Entry, config: Config) -> str | None:
    """The variable to set where a cloud is configured without a key; None where there is one, or none is needed."""
    variable = key_variables().get(entry.provider or name)
    if variable is None or entry.api_key or entry.url or entry.headers:
        return None
    return None if config.variable(variable) else variable


def where(name: str, config: Config) -> str:
    """A provider's entry, with its place where somebody wrote it."""
    place = config.provider_places.get(name)
    return f"{place}: ai.providers.{name}" if place else f"ai.providers.{name}"


def is_built_in(name: str, entry: Entry) -> bool:
    """Whether a provider is one of ours, rather than a user's own code."""
    kind = entry.provider or name
    return kind == LOCAL or kind in ROWS or kind in CODED


def make_provider(name: str, entry: Entry, config: Config, *, lender: Lender, weights: Weights) -> Provider:
    """The provider an entry asks for. Raises ConfigError when there is no such kind."""
    kind = entry.provider or name
    settings = settings_of(name, entry, config)
    if kind in ROWS:
        return OpenAIProvider(settings, ROWS[kind])
    if kind == LOCAL:
        return LocalProvider(settings, lender, weights)
    if kind in CODED:
        return coded_provider(kind, settings)
    make = find_custom(name, kind, config)
    with told_as_config(name, kind, config):
        return make(settings)


def coded_provider(kind: str, settings: ProviderSettings) -> Provider:
    """One of our own. Its module is imported here: most people need few of them."""
    module, _, name = CODED[kind].make.partition(":")
    make = cast("Callable[[ProviderSettings], Provider]", getattr(importlib.import_module(module), name))
    try:
        return make(settings)
    except CredentialError as error:
        raise ConfigError(f"ai.providers.{settings.name}: {error}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def find_custom(name: str, kind: str, config: Config) -> Callable[[ProviderSettings], Provider]:
    """What makes a provider from outside. Raises ConfigError when there is nothing of that name."""
    with told_as_config(name, kind, config):
        make = find(kind, directory=config.source.parent if config.source else Path.cwd())
    if make is not None:
        return make
    known = (LOCAL, *CODED, *ROWS, *entry_point_names())
    hint = suggestion(kind, known)
    raise ConfigError(
        f"{where(name, config)}: there is no provider {kind!r}{hint or '.'} "
        f"Set `provider` to one of {', '.join(known)}; to module:Class for one of your own; "
        "or to openai, with a url, for a server that speaks OpenAI."
    )


@contextlib.contextmanager
def told_as_config(name: str, kind: str, config: Config) -> Iterator[None]:
    """What a user's own code raises, as a ConfigError."""
    try:
        yield
    except (CustomProviderError, CredentialError) as error:
        raise ConfigError(f"{where(name, config)}: {error}") from error
    except Exception as error:
        # Its words may hold anything: only its kind and place are told.
        told = f"{kind} cannot be used: its code raised {type(error).__name__} at {place(error)}."
        raise ConfigError(f"{where(name, config)}: {told}") from error


def place(error: Exception) -> str:
    """Where in a user's file an exception comes from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def settings_of(name: str, entry: Entry, config: Config) -> ProviderSettings:
    """One entry of `ai.providers`, as its provider knows it."""
    variable = key_variable(entry.provider or name)
    key = entry.api_key.get_secret_value() if entry.api_key else None
    if key is None and variable is not None:
        key = config.variable(variable)
    limits = config.server.limits
    timeouts = entry.timeouts
    return ProviderSettings(
        name=name,
        url=entry.url,
        api_key=key,
        models=entry.models,
        default_model=entry.default_model,
        headers=entry.headers,
        timeouts=Timeouts(connect_s=timeouts.connect_s, first_byte_s=timeouts.first_byte_s, idle_s=timeouts.idle_s),
        answer_bytes=limits.answer_bytes,
        frame_bytes=limits.frame_bytes,
        options=entry.options,
    )
