"""Answers call the model what the caller called it, and keep every other byte."""

from __future__ import annotations

import json

import pytest

from farmgate.core.request import Kind
from farmgate.wire.openai.answers import decode_whole
from farmgate.wire.openai.naming import NamingReader, name_whole
from farmgate.wire.openai.stream import StreamReader

MODEL = "chat:pirate"
SAID = 'He said "model":"/srv/m" and \\"model\\": \\"/srv/m\\".'


def chunk(model: str | None, delta: dict[str, object], finish: str | None = None, *, spaced: bool = False) -> bytes:
    told = {"model": model} if model is not None else {}
    body = told | {"choices": [{"finish_reason": finish, "index": 0, "delta": delta}]}
    return b"data: " + json.dumps(body, separators=None if spaced else (",", ":")).encode() + b"\n\n"


def frames(model: str | None, *, spaced: bool = False) -> bytes:
    say: list[dict[str, object]] = [{"role": "assistant", "content": ""}, {"content": "Ahoy"}, {"content": SAID}]
    return b"".join([*(chunk(model, delta, spaced=spaced) for delta in say), chunk(model, {}, "stop", spaced=spaced)])


def read(stream: bytes, size: int) -> bytes:
    reader = NamingReader(StreamReader(provider="local", show_usage=True, one_choice=True), MODEL)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    events = [reader.feed(piece) for piece in (*pieces, b"data: [DONE]\n\n")]
    assert reader.is_done
    assert reader.end() is None
    return b"".join(event.raw for event in events if event is not None)


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("theirs", ["chat", "/srv/models/a b", "ü", MODEL, "", "m.+*"])
def test_every_frame_of_a_stream_does(theirs: str, spaced: bool, size: int) -> None:
    assert read(frames(theirs, spaced=spaced), size) == frames(MODEL, spaced=spaced)


@pytest.mark.parametrize("size", [1, 10_000])
def test_frames_that_name_none_stay_as_they_are(size: int) -> None:
    assert read(frames(None), size) == frames(None)


@pytest.mark.parametrize("body", ['{"model":%s,"choices":[{"index":0}]}', '{"choices": [{"index": 0}], "model": %s}'])
def test_a_whole_answer_does(body: str) -> None:
    whole = decode_whole((body % '"/srv/m"').encode(), kind=Kind.CHAT, provider="local")
    assert name_whole(whole, MODEL).raw == (body % json.dumps(MODEL)).encode()


@pytest.mark.parametrize("body", ['{"choices":[{"index":0,"message":{"content":"\\"model\\":\\"x\\""}}]}'])
def test_a_whole_answer_that_names_none_stays_as_it_is(body: str) -> None:
    assert name_whole(decode_whole(body.encode(), kind=Kind.CHAT, provider="local"), MODEL).raw == body.encode()
