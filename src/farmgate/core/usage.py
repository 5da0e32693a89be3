"""One upstream call, as the journal keeps it: who asked whom for what, what it used, how it ended. Never its text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Call", "Outcome"]


class Outcome(StrEnum):
    """How a call ended. LOST: the gate died before it could write down the end."""

    OPEN = "open"
    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"

    # Enum's own hash is a Python function, and outcomes are keys on the hot path.
    __hash__ = str.__hash__


@dataclass(slots=True, kw_only=True)
class Call:
    """One call. Filled in while it runs by the stage that meters it, and by nobody else.

    `asked_id`: the caller's own name for the request. Times: `began_unix` in seconds, the others in milliseconds from
    there. `estimated`: the provider told no tokens.
    """

    id: str
    key_name: str
    kind: str
    provider: str
    model: str
    stream: bool
    began_unix: float
    asked_id: str | None = None
    outcome: Outcome = Outcome.OPEN
    code: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
    first_token_ms: float | None = None
    duration_ms: float | None = None
