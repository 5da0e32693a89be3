"""`ps`, `top` and the commands that change which models a running Farmgate has in memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.unit.surfaces.cli.fake_server import FakeServer
from tests.unit.surfaces.cli.fakes import Shell

PROCESS = {
    "name": "guide",
    "version": "2",
    "purpose": "generate",
    "engine": "llama.cpp",
    "state": "ready",
    "answers": True,
    "memory": {"cpu": 71_000_000},
    "pid": 9,
    "inFlight": 3,
    "waiting": 1,
    "starts": 1,
    "ttlLeftS": 90.0,
    "pinned": False,
    "priority": 0,
    "failure": None,
    "loadS": 0.5,
    "tokensPerS": 12.4,
}
OLD = {**PROCESS, "version": "1", "answers": False, "inFlight": 0, "waiting": 0, "ttlLeftS": None, "purpose": "embed"}
GPU = {
    "name": "gpu0",
    "title": "A GPU",
    "memoryTotal": 8_000_000_000,
    "memoryUsed": 2_000_000_000,
    "utilisation": 0.42,
    "temperatureC": 61.2,
    "powerW": 180.4,
    "models": {"guide": 1_000_000_000},
}
HOST = {
    **GPU,
    "name": "cpu",
    "title": "memory",
    "utilisation": None,
    "temperatureC": None,
    "powerW": None,
    "models": {},
}


ASIDE = "guide (embed) local 1 ready, set aside cpu 71.0 MB 0 0 12 when room is needed"


def test_ps_tells_who_is_loaded_where_and_how_busy(shell: Shell, server: FakeServer) -> None:
    pinned = {**PROCESS, "name": "pinned", "pinned": True, "adapters": ["formal", "pirate"]}
    gone = {**PROCESS, "name": "gone", "state": "on_disk"}
    server.routes["/api/ai/processes"] = [(200, {"processes": [PROCESS, OLD, pinned, gone]})]
    server.models = [
        {"name": "guide", "provider": "local", "size": 9, "loaded": True},
        {"name": "llama3.1", "provider": "ollama", "size": 4_700_000_000, "loaded": True},
    ]
    ran = shell("ps")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["NAME", "PROVIDER", "VERSION", "STATE", "DEVICE", "MEMORY", "ANSWERING", "WAITING", "TOK/S", "LEAVES"],
        ["guide", "local", "2", "ready", "cpu", "71.0", "MB", "3", "1", "12", "in", "1", "min", "30", "s"],
        ASIDE.split(),
        ["pinned", "+formal", "+pirate", "local", "2", "ready", "cpu", "71.0", "MB", "3", "1", "12", "never"],
        ["llama3.1", "ollama", "-", "loaded", "-", "4.7", "GB", "-", "-", "-", "-"],
    ]
    records = [json.loads(line) for line in shell("ps", "--json").out.splitlines()]
    assert [(one["name"], one["provider"]) for one in records][-1] == ("llama3.1", "ollama")
    assert records[0] == {**PROCESS, "provider": "local"}


def test_ps_tells_what_engines_tell_of_themselves_where_one_does(shell: Shell, server: FakeServer) -> None:
    busy = {**PROCESS, "name": "busy", "engineLoad": {"running": 7.0, "waiting": 2.0, "cacheUsed": 0.5}}
    half = {**PROCESS, "name": "half", "engineLoad": {"running": 1.0, "waiting": None, "cacheUsed": None}}
    silent = {**PROCESS, "name": "silent", "engineLoad": None}
    server.routes["/api/ai/processes"] = [(200, {"processes": [busy, half, silent]})]
    server.models = [{"name": "llama3.1", "provider": "ollama", "size": 4_700_000_000, "loaded": True}]
    lines = [line.split() for line in shell("ps").out.splitlines()]
    assert [(line[0], line[-3:]) for line in lines] == [
        ("NAME", ["BATCH", "QUEUE", "CACHE"]),
        ("busy", ["7", "2", "50%"]),
        ("half", ["1", "-", "-"]),
        ("silent", ["-", "-", "-"]),
        ("llama3.1", ["-", "-", "-"]),
    ]
    server.routes["/api/ai/processes"] = [(200, {"processes": [silent]})]
    assert "BATCH" not in shell("ps").out
    server.routes["/api/ai/processes"] = [(200, {"processes": [busy]})]
    server.routes["/api/ai/gpus"] = [(200, {"devices": [GPU]})]
    assert shell("top", "--once").out.splitlines()[-2].split()[-3:] == ["7", "2", "50%"]


def test_ps_and_top_tell_what_is_wrong_with_one_that_is_not_well(shell: Shell, server: FakeServer) -> None:
    ill = {**PROCESS, "state": "failed", "failure": "exited with code 1 at its start (no such weights)"}
    server.routes["/api/ai/processes"] = [(200, {"processes": [PROCESS, ill]})]
    server.routes["/api/ai/gpus"] = [(200, {"devices": [GPU]})]
    said = "guide 2 exited with code 1 at its start (no such weights)"
    assert shell("ps").err.splitlines() == [said]
    assert shell("ps", "--json").err == ""
    assert shell("top", "--once").out.splitlines()[-1] == said


def test_ps_tells_why_one_is_not_there_that_did_not_come_up(shell: Shell, server: FakeServer) -> None:
    """Its pause is over and nobody asked again: it is no more than a file, and callers were told to look here."""
    ill = {**PROCESS, "state": "on_disk", "memory": {}, "pid": None, "failure": "exited with code 1 (no such weights)"}
    server.routes["/api/ai/processes"] = [(200, {"processes": [{**PROCESS, "state": "on_disk"}, ill]})]
    ran = shell("ps")
    assert ran.out.split()[10:] == ["guide", "local", "2", "on_disk", "-", "-", "3", "1", "12", "-"]
    assert ran.err.splitlines() == ["guide 2 exited with code 1 (no such weights)"]


def test_ps_with_an_ordinary_key_tells_what_it_may(shell: Shell, server: FakeServer) -> None:
    no = {"error": {"message": "no", "type": "permission_error", "code": "not_an_admin"}}
    server.routes["/api/ai/processes"] = [(403, no)]
    ran = shell("ps")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["NAME", "starter"]
    assert "FARM_KEY" in ran.err


def test_top_shows_devices_and_models(shell: Shell, server: FakeServer) -> None:
    server.routes["/api/ai/gpus"] = [(200, {"devices": [GPU, HOST]})]
    server.routes["/api/ai/processes"] = [(200, {"processes": [PROCESS]})]
    lines = [line.split() for line in shell("top", "--once").out.splitlines()]
    assert lines[1] == ["gpu0", "2.0", "GB", "of", "8.0", "GB", "1.0", "GB", "42%", "61", "°C", "180", "W", "A", "GPU"]
    assert lines[2] == ["cpu", "2.0", "GB", "of", "8.0", "GB", "0", "B", "-", "-", "-", "memory"]
    assert lines[5][:3] == ["guide", "local", "2"]
    told = json.loads(shell("top", "--json").out)
    assert (told["devices"], told["processes"]) == ([GPU, HOST], [PROCESS])
    server.routes["/api/ai/processes"] = [(200, {"processes": []})]
    server.models = []
    assert "no model is loaded" in shell("top").out, "where nothing can be drawn over, once"


@pytest.mark.parametrize("is_piped", [False, True])
def test_top_draws_over_what_it_drew_on_a_terminal_and_nowhere_else(
    shell: Shell, server: FakeServer, monkeypatch: pytest.MonkeyPatch, is_piped: bool
) -> None:
    server.routes["/api/ai/gpus"] = [(200, {"devices": [GPU]})]
    server.routes["/api/ai/processes"] = [(200, {"processes": [{**PROCESS, "name": "gu\x1bide"}]})]

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: not is_piped)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    out = shell("top").out
    assert out.startswith("DEVICE" if is_piped else "\x1b[2J\x1b[HDEVICE")
    assert is_piped or "\x1b" not in out[7:], "a name steers no terminal"


def job(status: str, *, ended: str | None = None, error: object = None) -> tuple[int, object]:
    progress = {"status": status, "completed": 0, "total": None}
    return 200, {"progress": progress, "endedAt": ended, "error": error}


@pytest.mark.parametrize(
    ("words", "verb", "asked", "said"),
    [
        (("swap", "guide", "--to", "2"), "reload", {"version": "2"}, "guide is version 2 until the next start"),
        (("swap", "guide"), "reload", {}, "guide was loaded anew"),
        (("rollback", "guide"), "rollback", {}, "guide is what it was before"),
        (("load", "guide"), "load", {}, "ask it: farmgate run guide"),
        (("unload", "guide"), "unload", {}, "guide has left memory"),
    ],
)
def test_a_change_is_watched_to_its_end(
    shell: Shell, server: FakeServer, words: tuple[str, ...], verb: str, asked: object, said: str
) -> None:
    server.routes[f"/api/ai/models/guide/{verb}"] = [(202, {"job": "j1", "message": ""})]
    server.routes["/api/ai/jobs/j1"] = [job("starting"), job("done now", ended="2026-01-01T00:00:00Z")]
    ran = shell(*words)
    assert ran.code == 0, ran.err
    assert server.asked == [asked]
    assert "guide: starting" in ran.err
    assert "guide: done now" in ran.err
    assert said in ran.err


@pytest.mark.parametrize(
    ("name", "version", "kept"),
    [
        ("chat", "2", "`version: 2` under models.chat keeps it"),
        ("local/chat", "2", "`version: 2` under models.chat keeps it"),
        ("chat", "starter", "add it to `versions` under models.chat to keep it"),
        ("plain", "starter", "`source: starter` under models.plain keeps it"),
        ("guide", "starter", "`source: starter` under models.guide keeps it"),
    ],
)
def test_a_swap_tells_what_to_write_so_that_it_lasts(
    shell: Shell, server: FakeServer, name: str, version: str, kept: str
) -> None:
    Path("farm.config.yaml").write_text("models: {chat: {versions: {1: ./a.gguf, 2: ./b.gguf}}, plain: ./c.gguf}\n")
    server.routes[f"/api/ai/models/{name}/reload"] = [(202, {"job": "j1", "message": ""})]
    server.routes["/api/ai/jobs/j1"] = [job("done now", ended="2026-01-01T00:00:00Z")]
    ran = shell("swap", name, "--to", version)
    assert ran.code == 0, ran.err
    assert f"{name} is version {version} until the next start: {kept}. Back: farmgate rollback {name}" in ran.err


def test_who_stops_watching_a_change_is_told_that_it_goes_on(
    shell: Shell, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    server.routes["/api/ai/models/guide/load"] = [(202, {"job": "j1", "message": ""})]
    server.routes["/api/ai/jobs/j1"] = [job("starting")]
    ran = shell("load", "guide")
    assert ran.code == 130
    assert "note: the running Farmgate goes on to load guide: farmgate ps" in ran.err


def test_nobody_is_sent_to_chat_with_a_model_that_does_not(shell: Shell, server: FakeServer) -> None:
    server.routes["/api/ai/models/ranker/load"] = [(202, {"job": "j1", "message": ""})]
    server.routes["/api/ai/jobs/j1"] = [job("done now", ended="2026-01-01T00:00:00Z")]
    server.models = [{"name": "ranker", "provider": "local", "capabilities": {"chat": False}}]
    ran = shell("load", "ranker")
    assert ran.code == 0, ran.err
    assert "ranker is loaded" in ran.err
    assert "farmgate run" not in ran.err


def test_a_change_that_fails_tells_why(shell: Shell, server: FakeServer) -> None:
    server.routes["/api/ai/models/a%20b/reload"] = [(202, {"job": "j1"})]
    error = {"message": "it exited with code 3", "type": "server_error", "param": None, "code": "engine_unavailable"}
    server.routes["/api/ai/jobs/j1"] = [job("starting"), job("starting", ended="2026-01-01T00:00:00Z", error=error)]
    ran = shell("swap", "a b", "--to", "2")
    assert ran.code == 6, "as if it had been asked"
    assert ran.err.endswith("error: it exited with code 3\n")


@pytest.mark.parametrize("answer", [[], {}, {"job": "j1"}])
def test_a_change_that_nobody_understands_is_an_error(shell: Shell, server: FakeServer, answer: object) -> None:
    server.routes["/api/ai/models/guide/unload"] = [(202, answer)]
    server.routes["/api/ai/jobs/j1"] = [(200, {})]
    ran = shell("unload", "guide")
    assert ran.code == 6
    assert "does not tell of a job as Farmgate does" in ran.err


def test_a_version_that_there_is_not_ends_as_a_model_that_there_is_not(shell: Shell, server: FakeServer) -> None:
    error = {"message": "a has no version '7'", "type": "bad", "param": "version", "code": "invalid_value"}
    server.routes["/api/ai/models/a/reload"] = [(400, {"error": error})]
    assert shell("swap", "a", "--to", "7").code == 5
