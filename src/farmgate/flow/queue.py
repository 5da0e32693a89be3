"""May it start at this model? An engine answers so many requests at once; the gate bounds the line before it, which the
engine does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.flow.slots import Room, Slots
from farmgate.telemetry import Telemetry

__all__ = ["ModelQueues", "Queue"]

APART = {Kind.EMBEDDING: "embed", Kind.RERANK: "rerank"}
"""What has a process of its own, and so a line."""
FULL = "All {{in_flight}} places at {model} are taken and its line is full, or too slow: try again soon."


class ModelQueues:
    """The lines of every model, over all configurations: who waits does not lose its place to a new one."""

    def __init__(self) -> None:
        self._slots: dict[str, Slots] = {}

    def at(self, model: str, room: Room) -> Slots:
        """The places at one model; `room` is how many there are from now on."""
        slots = self._slots.get(model)
        if slots is None:
            slots = self._slots[model] = Slots(room, full=FULL.format(model=model.replace("{", "").replace("}", "")))
        elif slots.room != room:
            slots.resize(room)
        return slots

    def waiting(self) -> Mapping[str, int]:
        """How many wait, by model."""
        return {model: slots.waiting for model, slots in self._slots.items()}


class Queue:
    """A Target before a provider whose engines answer so many requests at once. `room_of`: the room at one model; None
    for one that nobody knows, which is refused further on."""

    def __init__(
        self, inner: Target, queues: ModelQueues, *, room_of: Callable[[str], Room | None], telemetry: Telemetry
    ) -> None:
        self._inner = inner
        self._queues = queues
        self._room_of = room_of
        self._telemetry = telemetry

    async def send(self, request: Request) -> Reply:
        model = request.model or ""
        room = self._room_of(model)
        if room is None:
            return await self._inner.send(request)
        model = room.line or model
        apart = APART.get(request.kind)
        slots = self._queues.at(model if apart is None else f"{model} ({apart})", room)
        if slots.in_flight < room.in_flight:
            slots.in_flight += 1
            waited_s = 0.0
        else:
            began = time.monotonic()
            await slots.take(request.principal.key_name, is_batch=request.is_batch)
            waited_s = time.monotonic() - began
        self._telemetry.let_in(model, waited_s=waited_s, batch=slots.in_flight)
        try:
            reply = await self._inner.send(request.later(waited_s) if waited_s else request)
        except BaseException:
            slots.give()
            raise
        reply.when_closed(lambda _: slots.give())
        return reply
