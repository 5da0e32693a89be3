"""Where responses are kept: on disk only if the configuration says so, and there they outlive the gate."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.journey.bad import CONFIG, RESPOND, respond
from tests.journey.gate import RealGate

CANARY = "canary-word-of-a-prompt"


def files_with(directory: Path, text: str) -> list[str]:
    """Which files below a directory hold a text, by their names."""
    found = [path for path in directory.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
    return sorted(path.parent.parent.name for path in found)


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_a_conversation_on_disk_goes_on_after_the_gate_has_ended(tmp_path: Path, ends: str) -> None:
    config = CONFIG | {"responses": {"store": "disk"}}
    with RealGate(tmp_path, config=config).start() as gate:
        first = gate.call("POST", RESPOND, respond(input=CANARY)).json["id"]
        assert gate.comes(lambda: bool(files_with(gate.home, CANARY)))
        getattr(gate, ends)()
        assert CANARY not in gate.everything_said()
    assert files_with(gate.home, CANARY) == ["responses"]
    with RealGate(tmp_path).start() as gate:
        assert gate.call("GET", f"{RESPOND}/{first}").json["id"] == first
        second = gate.call("POST", RESPOND, respond(previous_response_id=first)).json["id"]
        told = gate.call("GET", f"{RESPOND}/{second}/input_items?order=asc").json["data"]
        assert told[0]["content"][0]["text"] == CANARY
        for name in (first, second):
            assert gate.call("DELETE", f"{RESPOND}/{name}").json == {"id": name, "object": "response", "deleted": True}
        assert files_with(gate.home, CANARY) == []
        gone = gate.call("POST", RESPOND, respond(previous_response_id=second))
        assert (gone.status, gone.error["code"]) == (404, "previous_response_not_found")


def test_nothing_is_written_down_unless_the_configuration_says_so(tmp_path: Path) -> None:
    with RealGate(tmp_path, config=CONFIG).start() as gate:
        first = gate.call("POST", RESPOND, respond(input=CANARY)).json["id"]
        assert gate.call("GET", f"{RESPOND}/{first}").status == 200
        with gate.stream(RESPOND, respond(input=CANARY, stream=True)) as stream:
            assert CANARY not in stream.read().decode()
        assert gate.stop() == 0
        assert CANARY not in gate.everything_said()
    assert files_with(gate.home, CANARY) == []


def test_nothing_is_kept_of_a_caller_who_says_so(tmp_path: Path) -> None:
    config = CONFIG | {"responses": {"store": "disk"}}
    with RealGate(tmp_path, config=config).start() as gate:
        for streams in (False, True):
            told = gate.call("POST", RESPOND, respond(input=CANARY, store=False, stream=streams))
            assert told.status == 200
        assert gate.stop() == 0
    assert files_with(gate.home, CANARY) == []
