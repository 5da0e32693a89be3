"""A Farmgate that already runs is asked over HTTP: found quickly, streamed, hung up on, and its errors understood."""

from __future__ import annotations

import json
import os
import signal

import pytest
from tests.unit.surfaces.cli.fake_server import HELLO, KEY, FakeServer, Handler, frame
from tests.unit.surfaces.cli.fakes import FakeHouse, Shell

from farmgate.surfaces.cli.answer import Asker
from farmgate.surfaces.cli.remote import RemoteGate, reachable_host


def test_run_asks_the_gate_that_runs(shell: Shell, server: FakeServer, house: FakeHouse) -> None:
    ran = shell("run", "anything", "hi", "-o", "temperature=0.5", "-s", "brief")
    assert (ran.code, ran.out) == (0, "Hello\n")
    assert ran.err.startswith("starter · 2 tok")
    assert house.opened == []
    (asked,) = server.asked
    assert asked["model"] == "anything"
    assert asked["temperature"] == 0.5
    assert asked["messages"] == [{"role": "system", "content": "brief"}, {"role": "user", "content": "hi"}]
    assert asked["stream_options"] == {"include_usage": True}


def test_run_may_ask_for_a_whole_answer(shell: Shell, server: FakeServer) -> None:
    ran = shell("run", "anything", "hi", "--no-stream")
    assert (ran.code, ran.out) == (0, "Hello\n")
    assert not server.asked[0].get("stream")


def test_a_file_is_never_sent_to_the_gate_that_runs(shell: Shell, server: FakeServer, house: FakeHouse) -> None:
    assert shell("run", "./m.gguf", "hi").code == 0
    assert server.asked == []
    assert len(house.opened) == 1


def test_a_stream_that_is_cut_is_an_error(shell: Shell, server: FakeServer) -> None:
    server.frames = HELLO[:1]
    ran = shell("run", "anything", "hi")
    assert (ran.code, ran.out) == (6, "Hel\n")
    assert "not the whole answer" in ran.err


def test_an_error_in_a_stream_is_an_error(shell: Shell, server: FakeServer) -> None:
    server.frames = (HELLO[0], frame({"error": {"message": "the engine crashed", "type": "server_error"}}))
    ran = shell("run", "anything", "hi")
    assert ran.code == 6
    assert "the engine crashed" in ran.err


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (404, "model_not_found", 5),
        (429, "rate_limit_exceeded", 7),
        (503, "overloaded", 7),
        (503, "engine_unavailable", 6),
        (502, "upstream_auth_failed", 4),
        (400, "invalid_value", 1),
    ],
)
def test_a_refusal_is_told_as_it_came(shell: Shell, server: FakeServer, status: int, code: str, exit_code: int) -> None:
    server.refusal = (status, {"error": {"message": "told so", "type": "t", "param": None, "code": code}})
    ran = shell("run", "anything", "hi", "--json")
    assert ran.code == exit_code
    error = json.loads(ran.err)["error"]
    assert (error["message"], error["code"]) == ("told so", code)


def test_nonsense_instead_of_an_error_object_is_still_an_error(shell: Shell, server: FakeServer) -> None:
    server.refusal = (500, ["?"])
    ran = shell("run", "anything", "hi")
    assert ran.code == 1
    assert "answered HTTP 500" in ran.err


def test_the_key_is_taken_from_farm_key(shell: Shell, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = KEY
    ran = shell("ps")
    assert ran.code == 4
    assert "FARM_KEY" in ran.err
    monkeypatch.setenv("FARM_KEY", KEY)
    assert shell("ps").code == 0


def test_ps_lists_what_is_loaded(shell: Shell, server: FakeServer) -> None:
    server.models = [{"name": "starter", "provider": "ollama", "size": 98_362_432, "loaded": True}]
    assert [line.split()[0] for line in shell("ps").out.splitlines()] == ["NAME", "starter"]
    server.models = []
    assert shell("ps").err == "no model is loaded\n"
    server.models = {"data": []}
    assert shell("ps").code == 6


def test_ps_without_a_gate_says_how_to_start_one(shell: Shell) -> None:
    ran = shell("ps")
    assert ran.code == 6
    assert ran.err.startswith("error: no Farmgate is running at http://127.0.0.1:")
    assert ran.err.endswith(": farmgate dev\n")


def test_ls_asks_the_gate_that_runs_and_does_without_its_key(shell: Shell, server: FakeServer) -> None:
    assert [line.split()[-1] for line in shell("ls").out.splitlines()[1:]] == ["loaded", "-"]
    server.key = KEY
    ran = shell("ls")
    assert [line.split()[-1] for line in ran.out.splitlines()[1:]] == ["ready"]
    assert "FARM_KEY" in ran.err


@pytest.fixture
def ctrl_c(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody presses Ctrl-C at the first piece of an answer that hangs."""
    show = Asker._piece

    def then_stop(self: Asker, kind: str, text: str) -> None:
        show(self, kind, text)
        if server.hangs:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Asker, "_piece", then_stop)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_hangs_up(shell: Shell, server: FakeServer) -> None:
    server.frames, server.hangs = HELLO[:1], True
    ran = shell("run", "anything", "hi")
    assert (ran.code, ran.out) == (130, "Hel\n")
    assert ran.err.endswith("stopped\n")
    assert server.left.wait(5)
    assert server.hung_up == [True]


@pytest.mark.usefixtures("ctrl_c")
def test_in_a_conversation_ctrl_c_stops_only_the_answer(
    shell: Shell, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.frames, server.hangs = HELLO[:1], True
    lines = iter(("one", "two"))

    def read(prompt: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        if line == "two":
            server.frames, server.hangs = HELLO, False
        return line

    monkeypatch.setattr("farmgate.surfaces.cli.run.line_reader", lambda: read)
    ran = shell("run", "anything", is_terminal=True)
    assert (ran.code, ran.out) == (0, "Hel\nHello\n")
    said = [message["content"] for message in server.asked[-1]["messages"]]
    assert said == ["one", "Hel", "two"]


def test_what_listens_everywhere_is_called_on_loopback() -> None:
    assert [reachable_host(host) for host in ("0.0.0.0", "::", "[::1]", "box")] == ["127.0.0.1", "::1", "::1", "box"]
    assert RemoteGate("::", 8000).url == "http://[::1]:8000"


def test_another_server_is_no_farmgate(shell: Shell, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Handler) -> None:
        self._tell(200, "hello")

    monkeypatch.setattr(Handler, "do_GET", nothing)
    assert not RemoteGate("127.0.0.1", server.port).is_alive()


def test_a_starter_the_running_gate_does_not_have_is_got_first(
    shell: Shell, server: FakeServer, house: FakeHouse
) -> None:
    server.models = []
    ran = shell("run", "starter", "hi")
    assert (ran.code, ran.out) == (0, "Hello\n")
    assert house.store.pulls == ["starter"]


def test_route_asks_the_gate_that_runs_and_tells_what_it_cannot_read(shell: Shell, server: FakeServer) -> None:
    ran = shell("route", "fast", "--key", "joe")
    assert ran.code == 6
    assert "does not tell of a plan as Farmgate does" in ran.err
    assert server.asked == [{"model": "fast", "kind": "chat", "key": "joe"}]


def test_a_provider_the_gate_does_not_have_is_not_found(shell: Shell, server: FakeServer) -> None:
    error = {"message": "There is no provider 'x'.", "type": "t", "param": "provider", "code": "invalid_value"}
    server.refusal = (400, {"error": error})
    ran = shell("route", "fast", "--provider", "x")
    assert (ran.code, ran.err) == (5, "error: There is no provider 'x'.\n")
