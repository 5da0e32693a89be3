"""The configured limits, in the words of those who keep to them."""

from __future__ import annotations

from farmgate.config.schema import Limits
from farmgate.core.ports import Places
from farmgate.flow.slots import Room
from farmgate.surfaces.http.desk import HttpLimits
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

__all__ = ["http_limits", "room_at", "room_of"]


def room_of(limits: Limits) -> Room:
    """How many requests there is room for."""
    return Room(in_flight=limits.in_flight, waiting=limits.queue, patience_s=limits.queue_timeout_s)


def room_at(places: Places | None) -> Room | None:
    """The same in routing's own words."""
    if places is None:
        return None
    return Room(in_flight=places.parallel, waiting=places.queue, patience_s=places.patience_s, line=places.model)


def http_limits(limits: Limits) -> HttpLimits:
    """The configured limits, as the surfaces know them."""
    return HttpLimits(
        body_bytes=limits.body_bytes,
        headers=limits.headers,
        # The whole includes the body: one timer serves both, and the shorter time is looked at first.
        body_timeout_s=min(limits.body_timeout_s, limits.request_timeout_s),
        request_timeout_s=limits.request_timeout_s,
        keep_alive_s=limits.keep_alive_s,
        json=JsonLimits(depth=limits.json_depth, nodes=limits.json_nodes),
        lists=ListLimits(messages=limits.messages, tools=limits.tools, inputs=limits.embed_inputs),
    )
