"""Providers from outside: a dotted path in the configuration, or an entry point in `farmgate.providers`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings

__all__ = ["GROUP", "CustomProviderError", "entry_point_names", "find"]

GROUP = "farmgate.providers"
Make = Callable[[ProviderSettings], Provider]


class CustomProviderError(Exception):
    """A custom provider cannot be used."""


def entry_point_names() -> list[str]:
    """The providers that installed packages offer."""
    return sorted(point.name for point in entry_points(group=GROUP))


def find(kind: str, *, directory: Path) -> Make | None:
    """What makes a provider of that kind; None when no package offers one by that name.

    `kind` is `module:Class` (a module beside the configuration in `directory`, or an installed one) or the name of an
    entry point. The operator's own configuration names it: nothing a caller sends gets here.
    """
    if ":" in kind:
        return from_path(kind, directory)
    point = next((point for point in entry_points(group=GROUP) if point.name == kind), None)
    return None if point is None else from_point(point)


def from_point(point: EntryPoint) -> Make:
    try:
        make = point.load()
    except Exception as error:
        raise CustomProviderError(
            f"provider: {point.name}: the package that offers it cannot be used ({told(error)})"
        ) from error
    if not callable(make):
        raise CustomProviderError(f"provider: {point.name}: {point.value} is no class")
    return cast("Make", make)


def from_path(kind: str, directory: Path) -> Make:
    module_name, _, attribute = kind.partition(":")
    if not all(word.isidentifier() for word in (*module_name.split("."), attribute)):
        raise CustomProviderError(f"provider: {kind}: write it as module:Class")
    beside = str(directory)
    if beside not in sys.path:
        sys.path.insert(0, beside)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise CustomProviderError(
            f"provider: {kind}: there is no module {error.name!r} in {directory} or among the installed packages"
        ) from error
    except Exception as error:
        raise CustomProviderError(f"provider: {kind}: {module_name} cannot be imported ({told(error)})") from error
    make = getattr(module, attribute, None)
    if not callable(make):
        raise CustomProviderError(f"provider: {kind}: {module_name} has no class {attribute!r}")
    return cast("Make", make)


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
