"""Which providers there are: those the configuration names, or what is found on this machine when it names none."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from farmgate.config import Config, ConfigError
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

__all__ = ["Entries", "find_entries", "is_open", "make_provider"]

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
    return custom_provider(name, kind, settings, config)


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


def custom_provider(name: str, kind: str, settings: ProviderSettings, config: Config) -> Provider:
    """A provider from outside."""
    try:
        make = find(kind, directory=config.source.parent if config.source else Path.cwd())
        if make is not None:
            return make(settings)
    except (CustomProviderError, CredentialError) as error:
        raise ConfigError(f"ai.providers.{name}: {error}") from error
    except Exception as error:
        # Its words may hold anything: only its kind and place are told.
        told = f"{kind} cannot be used: its code raised {type(error).__name__} at {place(error)}."
        raise ConfigError(f"ai.providers.{name}: {told}") from error
    known = ", ".join((LOCAL, *CODED, *ROWS, *entry_point_names()))
    raise ConfigError(
        f"ai.providers.{name}: there is no provider {kind!r}. Set `provider` to one of {known}; "
        "to module:Class for one of your own; or to openai, with a url, for a server that speaks OpenAI."
    )


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
