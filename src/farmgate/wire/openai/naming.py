"""What an answer calls its model: the name it was asked by. Servers say what they call it themselves: a folder of their
machine, or the model that an adapter belongs to.
"""

from __future__ import annotations

import msgspec

from farmgate.core.event import Event
from farmgate.wire.openai.answers import Whole
from farmgate.wire.openai.stream import NONE, Frames, StreamReader

__all__ = ["NamingReader", "name_whole"]


class Named(msgspec.Struct):
    """The model of a chunk or an answer, as it is written there."""

    model: msgspec.Raw = NONE


decode_named = msgspec.json.Decoder(Named).decode


class NamingReader:
    """What `reader` reads, whose frames name `model` whatever they named before."""

    def __init__(self, reader: StreamReader, model: str) -> None:
        self._reader = reader
        self._model = model
        self._is_known = False
        self._renames: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def is_done(self) -> bool:
        return self._reader.is_done

    def feed(self, data: bytes) -> Event | None:
        event = self._reader.feed(data)
        if isinstance(event, Frames) and event.payloads:
            if not self._is_known:
                # The reader has looked into the first frame, so that it is an object.
                self._is_known, self._renames = True, renames(name_in(event.payloads[0]), self._model)
            for theirs, ours in self._renames:
                event.raw = event.raw.replace(theirs, ours)
        return event

    def end(self) -> Event | None:
        return self._reader.end()


def name_whole(whole: Whole, model: str) -> Whole:
    """The same answer, which names `model`."""
    for theirs, ours in renames(name_in(whole.raw), model):
        whole.raw = whole.raw.replace(theirs, ours)
    return whole


def name_in(body: bytes) -> bytes:
    """What an object names its model, in JSON; empty where it does not."""
    return bytes(decode_named(body).model)


def renames(named: bytes, model: str) -> tuple[tuple[bytes, bytes], ...]:
    """What takes the place of what where an answer that names `named`, in JSON, is to name `model`.

    None of it can stand in a text: there its quotes would be escaped.
    """
    wanted = msgspec.json.encode(model)
    if not named or named == wanted:
        return ()
    return tuple((key + named, key + wanted) for key in (b'"model":', b'"model": '))
