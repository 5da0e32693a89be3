"""What was used, summed from the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from farmgate.core.usage import Call, Outcome

__all__ = ["Line", "summarise"]


@dataclass(slots=True, kw_only=True)
class Line:
    """The calls of one key to one model. `estimated_calls` had no tokens told by the provider."""

    key_name: str
    provider: str
    model: str
    calls: int = 0
    errors: int = 0
    cancelled: int = 0
    lost: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_calls: int = 0


def summarise(calls: Iterable[Call], *, since_unix: float = 0.0) -> list[Line]:
    """One line per key, provider and model, most tokens first."""
    lines: dict[tuple[str, str, str], Line] = {}
    for call in calls:
        if call.began_unix < since_unix:
            continue
        key = (call.key_name, call.provider, call.model)
        line = lines.setdefault(key, Line(key_name=key[0], provider=key[1], model=key[2]))
        line.calls += 1
        line.errors += call.outcome is Outcome.ERROR
        line.cancelled += call.outcome is Outcome.CANCELLED
        line.lost += call.outcome is Outcome.LOST
        line.prompt_tokens += call.prompt_tokens
        line.completion_tokens += call.completion_tokens
        line.estimated_calls += call.estimated
    return sorted(lines.values(), key=lambda line: line.prompt_tokens + line.completion_tokens, reverse=True)
