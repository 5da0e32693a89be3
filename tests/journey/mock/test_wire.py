"""What holds for every answer of the mock, in every dialect, over real sockets."""

from __future__ import annotations

import re
import zlib

import pytest
from tests.fakes.raw import Dial, Raw, ask

from farmgate.mock import Mock

WAYS = {
    "/v1/chat/completions": 9,
    "/v1/responses": 13,
    "/v1/messages": 11,
    "/api/chat": 6,
    "/api/generate": 6,
}
"""Frames of a stream with five pieces of text."""


def frames_of(raw: Raw) -> list[bytes]:
    return raw.body.splitlines() if "ndjson" in raw.headers["content-type"] else raw.frames


def nameless(frame: bytes) -> bytes:
    """Without what differs from call to call."""
    return re.sub(rb"0{6}\d{6}", b"ID", frame.replace(b"mock:rst=3", b"mock"))


@pytest.mark.parametrize(("path", "frames"), WAYS.items())
async def test_every_dialect_streams_and_breaks_at_a_frame(mock: Mock, dial: Dial, path: str, frames: int) -> None:
    whole, broken = await dial(), await dial()
    whole.send(ask("mock", path=path))
    broken.send(ask("mock:rst=3", path=path))
    proper = frames_of(await whole.whole())
    assert len(proper) == frames
    assert [nameless(one) for one in frames_of(await broken.ended())] == [nameless(one) for one in proper[:3]]
    assert broken.how == "rst"


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("fault", ["no-done", "no-finish", "error=3", "bad-json=1", "usage=missing", "usage=twice"])
async def test_a_lie_about_frames_changes_every_dialects_stream(mock: Mock, dial: Dial, path: str, fault: str) -> None:
    bodies = []
    for model in ("mock", f"mock:{fault}"):
        raw = await dial()
        raw.send(ask(model, path=path))
        assert (await raw.whole()).status == 200
        bodies.append([one.replace(model.encode(), b"mock") for one in frames_of(raw)])
        raw.leave()
    proper, lying = bodies
    assert proper != lying


@pytest.mark.parametrize("path", [*WAYS, "/v1/embeddings", "/v1/messages/count_tokens", "/api/embed"])
async def test_every_dialect_refuses_in_its_own_form(mock: Mock, dial: Dial, path: str) -> None:
    raw = await dial()
    raw.send(ask("mock:status=401", path=path))
    await raw.whole()
    assert raw.status == 401
    match path.split("/")[1:3]:
        case ["api", _]:
            assert raw.json == {"error": "The mock was asked to fail with 401."}
        case [_, "messages"]:
            assert raw.json["type"] == "error"
            assert raw.json["error"]["type"] == "authentication_error"
        case _:
            assert raw.json["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("how", ["missing", "null", "negative", "huge", "twice", "text"])
async def test_each_lie_about_usage_is_another(mock: Mock, dial: Dial, how: str) -> None:
    raw = await dial()
    raw.send(ask(f"mock:usage={how}"))
    await raw.whole()
    told = [event["usage"] for event in raw.events if event.get("usage") or event["choices"] == []]
    figures = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    expected = {
        "missing": [],
        "null": [None],
        "negative": [{name: -value for name, value in figures.items()}],
        "huge": [dict.fromkeys(figures, 10**18)],
        "twice": [figures, figures],
        "text": [dict.fromkeys(figures, "many")],
    }
    assert told == expected[how]


@pytest.mark.parametrize("how", ["null", "list", "object", "empty"])
async def test_a_body_may_be_anything(mock: Mock, dial: Dial, how: str) -> None:
    raw = await dial()
    raw.send(ask(f"mock:body={how}", stream=False))
    await raw.whole()
    assert raw.body == {"null": b"null", "list": b"[]", "object": b"{}", "empty": b""}[how]


async def test_a_stream_may_come_where_a_whole_answer_was_asked_and_the_other_way_round(mock: Mock, dial: Dial) -> None:
    stream, whole = await dial(), await dial()
    stream.send(ask("mock:kind=stream", stream=False))
    whole.send(ask("mock:kind=whole", stream=True))
    assert (await stream.whole()).headers["content-type"] == "text/event-stream"
    assert (await whole.whole()).json["choices"][0]["message"]["content"].startswith("mock-0 ")


async def test_the_body_is_less_than_its_length_where_an_answer_comes_whole(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(ask("mock:fin=1", stream=False))
    await raw.ended()
    assert (raw.how, len(raw.payload)) == ("fin", int(raw.headers["content-length"]) // 2)


async def test_a_limit_is_told_as_anthropic_does(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(ask("mock:reset=30s,retry-after=date:5", path="/v1/messages"))
    await raw.whole()
    assert raw.headers["anthropic-ratelimit-tokens-remaining"] == "0"
    assert raw.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")
    assert raw.headers["retry-after"].endswith(" GMT")


async def test_milliseconds_have_their_own_header(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(ask("mock:retry-after=ms:250"))
    assert (await raw.whole()).headers["retry-after-ms"] == "250"


async def test_a_caller_who_reads_nothing_holds_an_endless_answer_up(mock: Mock, dial: Dial) -> None:
    slow = await dial()
    slow.pause()
    slow.send(ask("mock:endless,size=60000"))
    await mock.saw(1)
    quick = await dial()
    quick.send(ask("mock:frames=1000"))
    await quick.whole()
    (call, _) = mock.calls
    assert call.ended == "open"
    assert call.sent_bytes < 64 << 20
    slow.leave()
    assert (await mock.settled())[0].ended == "left"


async def test_a_compressed_stream_can_be_read_as_it_comes(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(ask("mock:gzip,stall=1"))
    await raw.until(lambda raw: bool(raw.chunks) and b"\n\n" in zlib.decompressobj(31).decompress(raw.body))
    assert zlib.decompressobj(31).decompress(raw.body).startswith(b'data: {"id"')


async def test_nobody_waits_for_a_bomb_inside_a_bomb(mock: Mock, dial: Dial) -> None:
    bomb = await dial()
    bomb.send(ask("mock:bomb=1000g,gzip=2"))
    await bomb.until(lambda raw: b"\r\n\r\n" in raw.data)
    other = await dial()
    other.send(ask("mock"))
    assert (await other.whole()).status == 200
    bomb.leave()
    assert (await mock.settled())[0].ended == "left"


async def test_a_name_nobody_understands_is_told_what_was_meant(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(ask("mock:stal=1"))
    await raw.whole()
    assert raw.status == 400
    assert 'Did you mean "stall"?' in raw.json["error"]["message"]


async def test_what_is_no_request_of_a_model_is_told_so(mock: Mock, dial: Dial) -> None:
    nowhere, unreadable = await dial(), await dial()
    nowhere.send(ask("mock", path="/v2/nothing"))
    assert "POST /v1/chat/completions" in (await nowhere.whole()).json["error"]["message"]
    unreadable.send(b"POST /v1/messages HTTP/1.1\r\ncontent-length: 1\r\n\r\n[")
    assert (await unreadable.whole()).json["error"]["message"] == "The body is no JSON object."
    assert (nowhere.status, unreadable.status) == (404, 400)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * (300 << 10), 431),
    ],
)
async def test_bytes_that_are_no_request_are_refused_and_the_connection_closed(
    mock: Mock, dial: Dial, data: bytes, status: int
) -> None:
    raw = await dial()
    raw.send(data)
    await raw.ended()
    assert (raw.status, raw.headers["connection"]) == (status, "close")


async def test_requests_on_one_connection_are_answered_one_after_the_other(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(ask("mock:frames=1") + ask("mock:frames=1") + ask("mock:status=503"))
    await raw.until(lambda raw: b"HTTP/1.1 503" in raw.data)
    assert raw.data.count(b"data: [DONE]") == 2
    assert {call.connection for call in mock.calls} == {1}


async def test_stopping_ends_what_is_under_way() -> None:
    mock = Mock()
    await mock.start()
    raw = await Raw.open(mock.port)
    raw.send(ask("mock:hang"))
    await mock.saw(1)
    await mock.stop()
    assert (await raw.ended()).how == "rst"
    assert [call.ended for call in mock.calls] == ["stopped"]
