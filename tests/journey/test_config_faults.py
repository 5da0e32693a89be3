"""Whatever happens to its configuration, a gate under load fails no request and keeps the last good one."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.journey.gate import KEY, Answer, RealGate, data_of
from tests.journey.upstream import Upstream

CHAT = "/v1/chat/completions"
ORDINARY_KEY = "ordinary-key-of-the-tests-0123"
ADMIN = "/api/admin/config"
RELOAD = "/api/admin/config/reload"
SECRET = "secret-of-the-upstream-0123456789"


def config(text: str, **more: Any) -> dict[str, Any]:
    return {
        "keys": [{"name": "boss", "key": KEY, "admin": True}, {"name": "joe", "key": ORDINARY_KEY}],
        "ai": {
            "providers": {
                "demo": {"options": {"text": text}},
                "slow": {"provider": "demo", "options": {"text": "word " * 30, "chunkDelayMs": 100}},
                "far": {"provider": "openai", "url": "http://127.0.0.1:9/v1", "apiKey": SECRET, "models": ["m"]},
            },
            "routing": {"production": "demo"},
        },
        **more,
    }


def ask(model: str, *, stream: bool = False) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}


def said(gate: RealGate) -> str:
    answer = gate.call("POST", CHAT, ask("demo/demo"))
    assert answer.status == 200, answer.body
    return str(answer.json["choices"][0]["message"]["content"])


def admin(gate: RealGate, method: str, path: str, body: object = None) -> Answer:
    return gate.call(method, path, body)


def last_reload(gate: RealGate) -> dict[str, Any]:
    told: dict[str, Any] = admin(gate, "GET", ADMIN).json.get("lastReload", {})
    return told


class Load:
    """Requests from several callers, a hundred in a second each, on connections that are kept."""

    def __init__(self, gate: RealGate, callers: int = 3) -> None:
        self._gate = gate
        self._over = threading.Event()
        self._told = threading.Condition()
        self.answered: list[str] = []
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)
        assert self.failures == []
        assert len(self.answered) > 20

    def hears(self, text: str) -> bool:
        """Wait until one of the callers is answered so."""
        with self._told:
            return self._told.wait_for(lambda: text in self.answered, 10)

    def _ask(self) -> None:
        try:
            with self._gate.wire() as wire:
                while not self._over.wait(0.01):
                    wire.ask("POST", CHAT, ask("demo/demo"))
                    answer = wire.answer()
                    if answer.status != 200:
                        self.failures.append(f"{answer.status} {answer.body!r}")
                    else:
                        with self._told:
                            self.answered.append(answer.json["choices"][0]["message"]["content"])
                            self._told.notify_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failed request
            self.failures.append(repr(error))


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[RealGate]:
    with RealGate(tmp_path, config=config("first")).start() as gate:
        yield gate
        assert gate.stop() == 0
        assert SECRET not in gate.everything_said()


def write_whole(data: bytes) -> Callable[[RealGate], None]:
    def write(gate: RealGate) -> None:
        draft = gate.config_file.with_suffix(".new")
        draft.write_bytes(data)
        draft.replace(gate.config_file)

    return write


def write_in_place(data: bytes) -> Callable[[RealGate], object]:
    return lambda gate: gate.config_file.write_bytes(data)


def put_a_directory(gate: RealGate) -> None:
    gate.config_file.unlink()
    gate.config_file.mkdir()


def unknown_key() -> bytes:
    return json.dumps({**config("wrong"), "sever": {}}).encode()


def missing_secret() -> bytes:
    wrong = config("wrong")
    wrong["keys"][0]["key"] = "${NOT_SET_ANYWHERE}"
    return json.dumps(wrong).encode()


FAULTS: dict[str, Callable[[RealGate], object]] = {
    "garbage": write_whole(b"\xff\xfe\x00garbage"),
    "empty": write_whole(b""),
    "emptied in place": write_in_place(b""),
    "blank": write_whole(b"  \n\n"),
    "unknown key": write_whole(unknown_key()),
    "missing secret": write_whole(missing_secret()),
    "no such provider": write_whole(json.dumps(config("wrong", ai={"providers": {"x": {"provider": "no"}}})).encode()),
    "50 MB": write_whole(b'{"log": "' + b"x" * (50 << 20) + b'"}'),
    "NUL bytes": write_whole(json.dumps(config("wrong")).encode() + b"\0\0"),
    "half": write_in_place(json.dumps(config("wrong")).encode()[:200]),
    "gone": lambda gate: gate.config_file.unlink(),
    "a directory": put_a_directory,
    "open to all": write_whole(json.dumps({"server": {"host": "0.0.0.0"}}).encode()),
}


FOUND_AGAIN = ("garbage", "emptied in place", "gone", "a directory")
"""After these the watch finds the good file by itself too; after the others somebody asks for it, which is quicker."""


def mend(gate: RealGate, text: str) -> None:
    if gate.config_file.is_dir():
        gate.config_file.rmdir()
    gate.configure(config(text))


def test_no_fault_of_the_file_costs_a_request_or_the_last_good_configuration(gate: RealGate) -> None:
    generation = gate.call("GET", "/health/ready").headers["x-farmgate-config"]
    with Load(gate) as load:
        for at, (name, spoil) in enumerate(FAULTS.items()):
            spoil(gate)
            # The watch finds it by itself.
            gate.says("not_reloaded")
            assert gate.comes(lambda: last_reload(gate).get("outcome") == "failed", 10), name
            problems = last_reload(gate)["problems"]
            assert problems, name
            assert gate.metric("farmgate_config_last_reload_success ") == 0, name
            refused = admin(gate, "POST", RELOAD)
            assert (refused.status, refused.json["error"]["code"]) == (422, "config_invalid"), name
            assert refused.json["problems"] == problems, name
            ready = gate.call("GET", "/health/ready")
            assert ready.headers["x-farmgate-config"] == ready.json["config"] == generation
            mend(gate, f"mended {at}")
            if name in FOUND_AGAIN:
                gate.says("config_reloaded")
            else:
                assert admin(gate, "POST", RELOAD).status == 200, name
            assert gate.comes(lambda at=at: said(gate) == f"mended {at}", 10), name  # type: ignore[misc]
            assert gate.metric("farmgate_config_last_reload_success ") == 1
            generation = admin(gate, "GET", ADMIN).json["generation"]
    assert {text.partition(" ")[0] for text in load.answered} == {"first", "mended"}


def test_a_file_that_is_truncated_and_then_written_never_leads_through_the_defaults(gate: RealGate) -> None:
    with Load(gate) as load:
        for at in range(6):
            whole = json.dumps(config(f"text {at}"), indent=1).encode()
            with gate.config_file.open("wb", buffering=0) as file:
                for start in range(0, len(whole), 200):
                    file.write(whole[start : start + 200])
                    os.fsync(file.fileno())
            assert gate.comes(lambda at=at: said(gate) == f"text {at}", 10)  # type: ignore[misc]
            assert gate.call("GET", "/v1/models", headers={"authorization": "Bearer nobody"}).status == 401
        assert load.hears("text 5")


def test_a_storm_of_changes_signals_and_requests_fails_nothing_and_ends_where_it_should(gate: RealGate) -> None:
    with Load(gate) as load, gate.stream(CHAT, ask("slow/demo", stream=True)) as response:
        told = data_of(response)
        next(told)
        with ThreadPoolExecutor(8) as pool:
            reloads = []
            for at in range(100):
                gate.configure(config(f"text {at}"))
                gate.process.send_signal(signal.SIGHUP)
                reloads.append(pool.submit(admin, gate, "POST", RELOAD))
            assert {reload.result().status for reload in reloads} == {200}
        assert admin(gate, "POST", RELOAD).status == 200
        assert said(gate) == "text 99"
        rest = list(told)
        assert rest[-1] == "[DONE]"
        assert len(rest) > 25
        assert load.hears("text 99")
    assert gate.is_idle()
    # Gates that were left are let go, and nothing of them stays open.
    assert gate.comes(lambda: gate.descriptors() < 60, 10)
    builds = gate.metric("farmgate_config_reloads_total")
    assert builds < 220


def test_a_stream_keeps_the_provider_it_began_with_and_then_that_provider_is_closed(gate: RealGate) -> None:
    def with_upstream(url: str, text: str) -> dict[str, Any]:
        wanted = config(text)
        wanted["ai"]["providers"]["far"] |= {"url": url, "models": ["fail-2"]}
        return wanted

    with Upstream() as upstream:
        gate.configure(with_upstream(upstream.url, "with"))
        assert admin(gate, "POST", RELOAD).status == 200
        with gate.stream(CHAT, ask("far/fail-2", stream=True)) as response:
            told = data_of(response)
            next(told)
            seen = upstream.last(1)
            # Away with it, several times over: the stream is still that of the first.
            for at in range(5):
                gate.configure(with_upstream("http://127.0.0.1:9/v1", f"without {at}"))
                assert admin(gate, "POST", RELOAD).status == 200
            gate.says("config_reloaded")
            assert upstream.connections == 1
            seen.go.set()
            assert "the GPU is on fire" in list(told)[-1]
        assert upstream.has_connections(0, 10)


def test_a_feature_is_switched_while_the_gate_runs_and_over_reloads(gate: RealGate) -> None:
    features = "/api/admin/features"
    for body, status in (({"streaming": False}, 400), ({"streaming": None}, 200)):
        assert admin(gate, "PATCH", features, body).status == 200
        gate.configure(config(f"text {status}", log={"level": "info"}))
        assert admin(gate, "POST", RELOAD).status == 200
        for _ in range(2):
            assert gate.call("POST", CHAT, ask("demo/demo", stream=True)).status == status
    assert admin(gate, "GET", features).json["streaming"]["overridden"] is False
    changed = config("text", ai={**config("text")["ai"], "features": {"streaming": False, "caching": True}})
    gate.configure(changed)
    assert any("not built yet" in warning for warning in admin(gate, "POST", RELOAD).json["warnings"])
    told = admin(gate, "GET", features).json
    assert told["streaming"]["value"] is False
    assert told["streaming"]["origin"].startswith("farm.config.json:1:")
    assert gate.call("POST", CHAT, ask("demo/demo", stream=True)).status == 400


def test_only_an_admin_may(gate: RealGate) -> None:
    for method, path in (("GET", ADMIN), ("POST", RELOAD), ("GET", "/api/admin/features")):
        assert gate.call(method, path, headers={"authorization": "Bearer nobody-0123456789abc"}).status == 401
        refused = gate.call(method, path, headers={"authorization": f"Bearer {ORDINARY_KEY}"})
        assert (refused.status, refused.error["code"]) == (403, "not_an_admin")


def test_the_command_tells_what_changed_and_ends_with_its_reason(tmp_path: Path) -> None:
    gate = RealGate(tmp_path, config=config("first"))

    def reload(key: str, *arguments: str) -> tuple[int, str, str]:
        (tmp_path / ".env").write_text(f"FARM_KEY={key}\nFARM_PORT={gate.port or 1}\n")
        return gate.command("reload", "--env", "production", *arguments)

    assert reload(KEY)[0] == 6
    with gate.start():
        gate.configure(config("second", journal={"enabled": False}))
        code, out, err = reload(KEY)
        assert code == 0, err
        assert "generation" in err
        # The watch may have been quicker: then nothing is left to tell.
        assert out in ("", "ai.providers.demo.options.text: first → second\njournal.enabled: true → false\n")
        assert admin(gate, "GET", ADMIN).json["needsRestart"] == ["journal.enabled"]
        assert said(gate) == "second"
        code, out, err = reload(KEY, "--json")
        assert (code, json.loads(out)["unchanged"]) == (0, True)
        assert reload("wrong-key-0123456789")[0] == 4
        code, _, err = reload(ORDINARY_KEY)
        assert (code, "admin: true" in err) == (4, True)
        gate.config_file.write_text("{")
        code, _, err = reload(KEY)
        assert code == 3
        assert "farm.config.json:1" in err
        started = time.monotonic()
        assert gate.stop() == 0
        assert time.monotonic() - started < 10
