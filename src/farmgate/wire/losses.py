"""What a provider's dialect cannot be told of a request: refused by name where it would change the answer, else
dropped and announced. Nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from farmgate.core.errors import UnsupportedParameter

__all__ = ["Losses", "Outgoing"]

CHANGES_ANSWER: Mapping[str, tuple[object, ...]] = {
    "audio": (),
    "best_of": (1,),
    "container": (),
    "context": ([],),
    "echo": (False,),
    "function_call": ("auto", "none"),
    "functions": ([],),
    "grammar": ("",),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "inference_geo": (),
    "logit_bias": ({},),
    "mcp_servers": ([],),
    "modalities": (["text"],),
    "raw": (False,),
    "structured_outputs": (),
    "template": ("",),
    "web_search_options": (),
}
"""Fields that change the answer, each with the values that ask for nothing. Any other is a hint."""
IDLE_HINTS: Mapping[str, object] = {
    "service_tier": "auto",
    "speed": "standard",
    "truncation": "disabled",
    "verbosity": "medium",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A body as it goes to a provider, and the names of what it could not be told."""

    body: bytes
    dropped: tuple[str, ...] = ()
    content_type: bytes = b"application/json"


@dataclass(slots=True)
class Losses:
    """What is lost while one request is written for `provider`. Names are in our words, which are OpenAI's."""

    provider: str
    names: list[str] = field(default_factory=list)

    def drop(self, name: str) -> None:
        """Announce that a field goes no further. Only for what leaves the answer what it is."""
        if name not in self.names:
            self.names.append(name)

    def drop_if(self, value: object, name: str) -> None:
        """`drop`, if the field was said at all."""
        if value is not None and value is not False and value not in ("", (), [], {}):
            self.drop(name)

    def refuse(self, name: str, why: str = "") -> UnsupportedParameter:
        """The error to raise for a field without which the answer would be another one."""
        return UnsupportedParameter(f"{self.provider} cannot be told `{name}`: {why or 'leave it out'}.", param=name)

    def leave(self, extra: Mapping[str, object], *, known: Collection[str] = ()) -> None:
        """Account for the fields there is no word for, but those that are `known` here.

        Raises UnsupportedParameter for one that would change the answer.
        """
        for name, value in extra.items():
            if name in known or value is None:
                continue
            idle = CHANGES_ANSWER.get(name)
            if idle is None:
                self.drop_if(None if IDLE_HINTS.get(name) == value else value, name)
            elif not any(same(value, nothing) for nothing in idle):
                raise self.refuse(name)

    @property
    def dropped(self) -> tuple[str, ...]:
        return tuple(self.names)


def same(value: object, other: object) -> bool:
    """Equality in JSON's sense: false is not 0."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)
