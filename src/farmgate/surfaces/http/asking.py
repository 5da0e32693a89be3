"""What every dialect's endpoint does: read the ask, send it on its way, write the answer whole or piece by piece."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from farmgate.core.answer import gather
from farmgate.core.errors import FarmError, MissingParameter, UnsupportedParameter
from farmgate.core.event import Event
from farmgate.core.identity import Principal
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Body, Kind, Request
from farmgate.surfaces.http.exchange import JSON, SSE, Exchange
from farmgate.surfaces.http.once import IDEMPOTENCY_KEY, claim_once
from farmgate.surfaces.http.priority import is_batch
from farmgate.surfaces.http.told import served_by
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

__all__ = ["Asking", "StreamWriter", "SurfaceCodec", "rename"]


NAMED = frozenset(
    {Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDING, Kind.RERANK, Kind.SPEECH, Kind.TRANSCRIPTION, Kind.INFER}
)
"""Kinds whose callers must name a model."""


class StreamWriter(Protocol):
    """Writes one stream for a caller."""

    def write(self, event: Event) -> bytes:
        """What an event says, as this dialect's frames; its own bytes where it came in this dialect."""

    def end(self) -> bytes:
        """What follows the last event of a whole answer."""


class Decode(Protocol):
    """Reads a body, or raises the BadRequest of the first field that is wrong."""

    def __call__(self, body: bytes, kind: Kind, *, json_limits: JsonLimits, list_limits: ListLimits) -> Body: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceCodec:
    """How one dialect is spoken with callers. `error` writes a body, `error_frame` the last frame of a stream.

    `hear`: gives a body what the headers of its request say, where this dialect says something there.
    """

    decode: Decode
    writer: Callable[[Request, Reply], StreamWriter]
    whole: Callable[[Request, Reply, list[Event]], bytes]
    error: Callable[[FarmError], bytes]
    error_frame: Callable[[FarmError], bytes]
    stream_type: bytes = SSE
    """Empty: that of the provider's answer."""
    body_type: bytes = JSON
    hear: Callable[[Body, Exchange], None] | None = None


def rename(error: FarmError, body: Body) -> None:
    """Call the field an error names as the caller does, in its words too: some dialects' errors have no other place."""
    if error.param is not None:
        own = body.own_name(error.param)
        error.message = error.message.replace(f"`{error.param}`", f"`{own}`")
        error.param = own


class Asking:
    """Asks in one dialect. `streaming`: whether streams are answered at all (`ai.features.streaming`)."""

    __slots__ = ("_codec", "_streaming", "_target")

    def __init__(self, target: Target, codec: SurfaceCodec, *, streaming: bool = True) -> None:
        self._target = target
        self._codec = codec
        self._streaming = streaming

    def ask(self, exchange: Exchange, kind: Kind) -> Awaitable[None]:
        """Answer one exchange."""
        codec = self._codec
        return exchange.run(lambda: self.answer(exchange, kind), shape=codec.error, frame=codec.error_frame)

    async def answer(self, exchange: Exchange, kind: Kind) -> None:
        """The same, within the exchange's `run`."""
        codec = self._codec
        principal = exchange.principal()
        limits = exchange.desk.limits
        raw = await exchange.body(codec.body_type)
        if exchange.header(IDEMPOTENCY_KEY) is not None:
            claim_once(exchange, principal, raw)
        body = codec.decode(raw, kind, json_limits=limits.json, list_limits=limits.lists)
        if codec.hear is not None:
            codec.hear(body, exchange)
        await self.send(exchange, principal, body, kind)

    async def send(self, exchange: Exchange, principal: Principal, body: Body, kind: Kind) -> None:
        """Send on its way what was asked, and write the answer."""
        codec = self._codec
        model = exchange.model or body.model
        if not model and kind in NAMED:
            raise MissingParameter("`model` is required.", param="model")
        if body.stream and not self._streaming:
            raise UnsupportedParameter("Streaming is switched off here (ai.features.streaming).", param="stream")
        request = Request(
            id=exchange.id,
            kind=kind,
            body=body,
            principal=principal,
            deadline=exchange.deadline,
            started=exchange.started,
            asked_id=exchange.asked_id.decode() if exchange.asked_id else None,
            model=model,
            stream=body.stream,
            want_usage=body.want_usage,
            is_batch=is_batch(exchange),
        )
        if body.stream and codec.stream_type is SSE:
            exchange.keep_alive()
        try:
            with await self._target.send(request) as reply:
                if body.stream:
                    writer = codec.writer(request, reply)
                    kind_sent = codec.stream_type or reply.content_type.encode()
                    await exchange.stream(reply, writer.write, writer.end, kind=kind_sent)
                    return
                events = [reply.event] if reply.event is not None else await gather(reply)
            told = codec.whole(request, reply, events)
        except FarmError as error:
            rename(error, body)
            raise
        await exchange.answer(200, told, served_by(reply, exchange.started), kind=reply.content_type.encode())
