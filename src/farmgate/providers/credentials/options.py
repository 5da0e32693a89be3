"""What `options.credential` of a provider says, checked, and whether the library it takes is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from farmgate.providers.credentials.credential import CredentialError
from farmgate.providers.settings import ProviderSettings

__all__ = ["credential_options", "need", "text_option"]


def credential_options(settings: ProviderSettings, *known: str) -> Mapping[str, str]:
    """The texts in `options.credential`. Raises CredentialError on a name that is not known and on an empty text."""
    given = settings.options.get("credential", {})
    names = ", ".join(known)
    if not isinstance(given, Mapping):
        raise CredentialError(f"options.credential holds {names}: write {{{known[0]}: ...}}.")
    checked: dict[str, str] = {}
    for name, value in given.items():
        if name not in known:
            raise CredentialError(f"options.credential has no {name!r}: it has {names}.")
        if not isinstance(value, str) or not value:
            raise CredentialError(f"options.credential.{name} has to be a text.")
        checked[str(name)] = value
    return checked


def text_option(settings: ProviderSettings, name: str) -> str | None:
    """One of `options` that is a text. Raises CredentialError if it is anything else."""
    value = settings.options.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise CredentialError(f"options.{name} has to be a text.")


def need(module: str, *, extra: str, purpose: str) -> None:
    """Raises CredentialError, with the command to run, if a library is not installed. Does not import it: that takes
    a third of a second, and happens in the thread that fetches the first token."""
    try:
        is_there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        library = module.replace(".", "-")
        raise CredentialError(
            f"{purpose} without an apiKey needs {library}, which is not installed: pip install 'farmgate[{extra}]'."
        )
