"""Whoever leaves, at whatever point of an answer, leaves nothing behind: no connection, slot, record or descriptor."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journey.gate import KEY, RealGate, Wire, data_of, events, request
from tests.journey.upstream import PIECES, Upstream

CHAT = "/v1/chat/completions"
FARM = "/api/ai/chat"
SOON_S = 2.0
ROUNDS = 50


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    up = {"provider": "openai", "url": upstream.url, "apiKey": "sk-CANARY-of-the-upstream"}
    config = {
        "server": {"limits": {"requestTimeoutS": 3}},
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {
            "providers": {"up": up, "demo": {"options": {"text": "word " * 100, "chunkDelayMs": 100}}},
            "routing": {"production": "up"},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate
        assert gate.stop() == 0
        said = gate.everything_said()
        assert "Traceback" not in said
        assert "request_failed" not in said
        assert "never retrieved" not in said


def ask(model: str, *, stream: bool = True) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}


def outcomes(gate: RealGate) -> dict[str, float]:
    """Finished calls by how they ended."""
    names = ("ok", "error", "cancelled")
    return {
        name: gate.metric(f'farmgate_requests_total{{model="other",outcome="{name}",provider="up"}}') for name in names
    }


# ------------------------------------------------------------------------------------------------ the client leaves

LEAVING = {
    "before the answer, not streaming": (CHAT, ask("wait-0", stream=False), 0),
    "before the first frame": (CHAT, ask("wait-0"), 0),
    "before the first content": (CHAT, ask("wait-1"), 0),
    "in the middle": (CHAT, ask("wait-3"), 3),
    "after the finish": (CHAT, ask("wait-5"), 5),
    "own API, not streaming": (FARM, ask("wait-0", stream=False), 0),
    "own API, before the first content": (FARM, ask("wait-1"), 0),
    "own API, in the middle": (FARM, ask("wait-3"), 1),
}


@pytest.mark.parametrize("moment", LEAVING)
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_a_client_that_leaves_cancels_the_upstream_at_once(
    gate: RealGate, upstream: Upstream, moment: str, reset: bool
) -> None:
    path, body, frames = LEAVING[moment]
    before = outcomes(gate)["cancelled"]
    number = len(upstream.seen) + 1
    wire = gate.wire()
    wire.send(request("POST", path, body))
    seen = upstream.last(number)
    if frames:
        assert wire.head().status == 200
        text = b""
        while text.count(b"data: ") < frames:
            text += wire.chunk()
    assert gate.metric("farmgate_requests_in_flight") == 1
    wire.reset() if reset else wire.close()
    assert seen.left.wait(SOON_S), "the upstream was left waiting"
    assert upstream.has_connections(0, SOON_S)
    assert gate.is_idle()
    assert outcomes(gate)["cancelled"] == before + 1


def test_a_client_that_leaves_within_its_own_body_asks_nobody(gate: RealGate, upstream: Upstream) -> None:
    number = len(upstream.seen)
    for cut in (1, 20):
        with gate.wire() as wire:
            wire.send(request("POST", CHAT, ask("say"))[:-cut])
    assert gate.call("POST", CHAT, ask("say")).status == 200
    assert len(upstream.seen) == number + 1


def recorded(gate: RealGate) -> tuple[int, int, int]:
    """The calls of this key on record: all, those that were left, and those without an end."""
    lines = [line for line in gate.calls() if (line["provider"], line["key"]) == ("up", "tests")]
    calls, cancelled, lost = (sum(line[name] for line in lines) for name in ("calls", "cancelled", "lost"))
    return calls, cancelled, lost


def test_rounds_of_leaving_leave_nothing_open(gate: RealGate, upstream: Upstream) -> None:
    def leave(rounds: int) -> None:
        for number in range(rounds):
            wires: list[Wire] = []
            first = len(upstream.seen)
            for path, body, _ in LEAVING.values():
                wires.append(gate.wire())
                wires[-1].send(request("POST", path, body))
            upstream.saw(first + len(wires))
            for wire in wires:
                wire.reset() if number % 2 else wire.close()
        assert gate.is_idle()

    leave(2)
    assert upstream.has_connections(0)
    calls, cancelled, _ = recorded(gate)
    files, memory = gate.descriptors(), gate.memory_mib()
    leave(ROUNDS)
    left = ROUNDS * len(LEAVING)
    assert recorded(gate) == (calls + left, cancelled + left, 0)
    assert upstream.has_connections(0)
    assert gate.comes(lambda: gate.metric("farmgate_requests_in_flight") == 0 and gate.descriptors() <= files)
    assert gate.memory_mib() < memory + 16


def test_a_provider_without_a_socket_is_cancelled_too(gate: RealGate) -> None:
    with gate.stream(CHAT, ask("demo")) as response:
        next(data_of(response))
        assert gate.metric("farmgate_requests_in_flight") == 1
    assert gate.is_idle(SOON_S)


# ------------------------------------------------------------------------------------------- the client is slow


def test_a_slow_reader_pauses_the_upstream_and_is_cut_off_in_the_end(gate: RealGate, upstream: Upstream) -> None:
    assert gate.call("POST", CHAT, ask("say")).status == 200  # what is opened once, is open
    assert gate.is_idle()
    memory, files = gate.memory_mib(), gate.descriptors()
    number = len(upstream.seen) + 1
    with gate.wire(receive_bytes=4096) as wire:
        began = time.monotonic()
        wire.send(request("POST", CHAT, ask("flood")))
        seen = upstream.last(number)
        assert seen.is_paused.wait(10), "the upstream could write on and on"
        assert seen.sent_bytes < 24 << 20  # what the kernel holds of it
        assert gate.memory_mib() < memory + 4
        # Its time is over: nothing waits on for somebody who does not read.
        assert seen.left.wait(10)
        assert time.monotonic() - began < 10
        assert gate.is_idle()
        assert gate.comes(lambda: gate.descriptors() <= files)


def test_a_reader_that_pauses_gets_everything_when_it_goes_on(gate: RealGate, upstream: Upstream) -> None:
    number = len(upstream.seen) + 1
    with gate.wire(receive_bytes=4096) as wire:
        wire.send(request("POST", CHAT, ask("flood")))
        seen = upstream.last(number)
        assert seen.is_paused.wait(10)
        paused_at = seen.sent_bytes
        wire.head()
        got = 0
        while got < paused_at:
            got += len(wire.chunk())
    assert seen.left.wait(SOON_S)
    assert gate.is_idle()


# ------------------------------------------------------------------------------------------- the upstream leaves

TRUNCATED = "upstream_stream_truncated"


def text_of(told: list[str]) -> str:
    """The text in the frames of either API."""
    chunks = [json.loads(data) for data in told]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    return "".join(chunk.get("content", "") for chunk in chunks) + "".join(
        choice["delta"].get("content", "") for choice in choices
    )


@pytest.mark.parametrize("act", ["die", "end"])
@pytest.mark.parametrize("frames", range(8))
@pytest.mark.parametrize("path", [CHAT, FARM])
def test_an_upstream_that_dies_between_frames(
    gate: RealGate, upstream: Upstream, path: str, act: str, frames: int
) -> None:
    """Before content a true status, after it an error frame and no [DONE]: never a silent end."""
    said = "".join(PIECES[: max(0, frames - 1)])
    answer = gate.call("POST", path, ask(f"{act}-{frames}"))
    if frames < 2:
        assert (answer.status, answer.error["code"]) == (502, TRUNCATED)
    else:
        told = events(answer.body)
        is_whole = told[-1] == "[DONE]"
        assert answer.status == 200
        assert text_of(told[:-1]) == said
        # An answer that has told why it ended is whole; where the socket is cut behind that, either may be said.
        assert not is_whole if frames < 5 else is_whole or (act == "die" and frames < 7)
        if not is_whole:
            assert json.loads(told[-1])["error"]["code"] == TRUNCATED
            assert "[DONE]" not in told
    assert gate.metric("farmgate_requests_in_flight") == 0


def test_an_upstream_that_dies_without_streaming_is_502(gate: RealGate) -> None:
    answer = gate.call("POST", CHAT, ask("die-0", stream=False))
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")


def test_an_error_frame_of_the_upstream_ends_the_stream(gate: RealGate, upstream: Upstream) -> None:
    number = len(upstream.seen) + 1
    with gate.stream(CHAT, ask("fail-3")) as response:
        told = data_of(response)
        first = next(told)
        upstream.last(number).go.set()
        rest = list(told)
    assert "choices" in json.loads(first)
    assert json.loads(rest[-1])["error"]["code"] == "upstream_error"
    assert "[DONE]" not in rest


def test_whole_answers_share_one_connection(gate: RealGate, upstream: Upstream) -> None:
    assert upstream.has_connections(1)
    with gate.wire() as wire:
        for stream in (True, False) * 10:
            wire.ask("POST", CHAT, ask("say", stream=stream))
            assert wire.answer().status == 200
    assert upstream.has_connections(1)


def test_an_answer_that_takes_too_long_is_504_or_an_error_frame(gate: RealGate, upstream: Upstream) -> None:
    number = len(upstream.seen)
    before = outcomes(gate)
    with gate.wire() as whole, gate.wire() as streamed:
        whole.ask("POST", CHAT, ask("wait-0", stream=False))
        streamed.ask("POST", CHAT, ask("wait-3"))
        answer = whole.answer()
        assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")
        assert json.loads(events(streamed.answer().body)[-1])["error"]["code"] == "upstream_timeout"
    assert all(seen.left.wait(SOON_S) for seen in upstream.saw(number + 2)[number:])
    assert gate.is_idle()
    assert outcomes(gate) == before | {"error": before["error"] + 2}


# ------------------------------------------------------------------------------------------------ the gate leaves


def test_a_drain_waits_for_streams_and_a_second_signal_ends_them_with_an_error_frame(tmp_path: Path) -> None:
    demo = {"options": {"text": "word " * 600, "chunkDelayMs": 100}}
    config = {"keys": [{"name": "tests", "key": KEY}], "ai": {"providers": {"demo": demo}}}
    with RealGate(tmp_path, config=config).start() as gate, gate.stream(CHAT, ask("demo")) as response:
        told = data_of(response)
        next(told)
        gate.process.terminate()
        with contextlib.suppress(ConnectionError):
            assert not gate.comes(lambda: gate.call("GET", "/health/live").status != 200, 5)
        next(told)
        gate.process.terminate()
        rest = list(told)
        assert json.loads(rest[-1])["error"]["code"] == "server_shutting_down"
        assert "[DONE]" not in rest
        assert gate.process.wait(10) == 0


@pytest.mark.parametrize("signals", [1, 2], ids=["its time is over", "a second signal"])
def test_what_is_in_flight_when_the_gate_ends_is_told_so_and_not_that_its_provider_failed(
    tmp_path: Path, upstream: Upstream, signals: int
) -> None:
    up = {"provider": "openai", "url": upstream.url, "apiKey": "sk-CANARY-of-the-upstream"}
    config = {
        "server": {"drain": {"timeoutS": 1 if signals == 1 else 60}},
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {"providers": {"up": up}},
    }
    number = len(upstream.seen)
    with RealGate(tmp_path, config=config).start() as gate, gate.wire() as whole, gate.wire() as streamed:
        whole.ask("POST", CHAT, ask("wait-0", stream=False))
        streamed.ask("POST", CHAT, ask("wait-3"))
        upstream.saw(number + 2)
        assert streamed.head().status == 200
        for _ in range(signals):
            gate.process.terminate()
            with contextlib.suppress(ConnectionError):
                assert gate.comes(lambda: gate.call("GET", "/health/live").status != 200, 5)
        answer = whole.answer()
        assert (answer.status, answer.error["code"]) == (503, "server_shutting_down")
        told = events(b"".join(iter(streamed.chunk, b"")))
        assert json.loads(told[-1])["error"]["code"] == "server_shutting_down"
        assert gate.process.wait(10) == 0
        assert all(seen.left.wait(SOON_S) for seen in upstream.saw(number + 2)[number:])
        assert "Traceback" not in gate.everything_said()
        assert [(line["errors"], line["cancelled"], line["lost"]) for line in gate.calls()] == [(1, 0, 0)] * 2
