"""Where a provider's OpenAI differs from OpenAI's own. Told only to bodies we write from the words of another dialect:
what a caller wrote in OpenAI's dialect goes out as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from farmgate.core.request import Kind
from farmgate.core.words import Role
from farmgate.wire.losses import Losses

__all__ = ["PLAIN", "Quirks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """`unknown`: fields it refuses or does not heed, which are dropped and announced; `unknown_in_messages`: the same
    for fields of a message; `refused`: fields it would pass over in silence though the answer depends on them;
    `renamed`: its own names for fields of a chat; `has_developer`: it knows that role."""

    unknown: frozenset[str] = frozenset()
    unknown_in_messages: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    has_developer: bool = False

    def apply(self, fields: Mapping[str, object], losses: Losses, *, kind: Kind) -> dict[str, object]:
        """The fields as this provider takes them. Raises UnsupportedParameter."""
        told: dict[str, object] = {}
        for name, value in fields.items():
            if name in self.refused:
                raise losses.refuse(name)
            if name in self.unknown:
                losses.drop(name)
            else:
                told[self.renamed.get(name, name) if kind is Kind.CHAT else name] = value
        messages = told.get("messages")
        if isinstance(messages, list):
            told["messages"] = [
                self._message(message, f"messages[{at}]", losses) for at, message in enumerate(messages)
            ]
        return told

    def _message(self, message: Mapping[str, object], where: str, losses: Losses) -> dict[str, object]:
        told = dict(message)
        for name in self.unknown_in_messages & told.keys():
            losses.drop(f"{where}.{name}")
            del told[name]
        if told["role"] == Role.DEVELOPER and not self.has_developer:
            told["role"] = Role.SYSTEM
        return told


PLAIN = Quirks()
