"""What the configuration knows of a plan beyond routing: whose keys there are, and who has none."""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.app.entries import Entries, missing_key
from farmgate.config import Config
from farmgate.config.errors import suggestion
from farmgate.core.errors import InvalidValue
from farmgate.core.identity import ANONYMOUS
from farmgate.flow.explain import Question
from farmgate.flow.route import shown

__all__ = ["doubts_of", "known_caller"]


def known_caller(question: Question, config: Config) -> None:
    """Raises InvalidValue for a caller that has no key here: its stickiness would be told, and be nobody's."""
    names = [key.name for key in config.keys]
    if question.caller not in (*names, ANONYMOUS.key_name):
        hint = suggestion(question.caller[:100], names)
        raise InvalidValue(f"There is no key called {shown(question.caller)}{hint or '.'}", param="key")


def doubts_of(entries: Entries, config: Config) -> Mapping[str, str]:
    """Providers that will refuse every call, with the reason."""
    missing = {name: missing_key(name, entry, config) for name, entry in entries.entries.items()}
    return {name: f"it has no key: set {variable}" for name, variable in missing.items() if variable}
