"""What every endpoint shares: who may ask, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field

from farmgate.flow.repeat import Repeats
from farmgate.surfaces.http.auth import Doorman
from farmgate.telemetry import Telemetry
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

__all__ = ["Desk", "HttpLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a caller may send, and for how long a request may take."""

    body_bytes: int = 20 << 20
    headers: int = 100
    body_timeout_s: float = 60.0
    request_timeout_s: float = 600.0
    keep_alive_s: float = 15.0
    json: JsonLimits = field(default_factory=JsonLimits)
    lists: ListLimits = field(default_factory=ListLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Handed to each exchange."""

    doorman: Doorman
    limits: HttpLimits
    telemetry: Telemetry
    repeats: Repeats = field(default_factory=Repeats)
