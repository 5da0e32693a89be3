"""Ollama's API on a running gate, in front of an Ollama and of a provider that is none."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.ollama import FakeModel, FakeOllama
from tests.journey.gate import KEY, Answer, RealGate

BOSS = "key-of-an-admin-0123456789"
HI = [{"role": "user", "content": "hi"}]


class Beside:
    """A fake Ollama on a loop of its own, in a thread."""

    def __init__(self) -> None:
        self.fake = FakeOllama(installed={"llama3.1:latest": FakeModel()}, library={"phi3:latest": FakeModel()})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> FakeOllama:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.fake.start(), self._loop).result(10)
        return self.fake

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.fake.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOllama]:
    with Beside() as fake:
        yield fake


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, fake: FakeOllama) -> Iterator[RealGate]:
    config = {
        "keys": [{"name": "tests", "key": KEY}, {"name": "boss", "key": BOSS, "admin": True}],
        "ai": {"providers": {"ollama": {"url": fake.url}, "demo": {}}, "routing": {"production": "ollama"}},
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate


def lines_of(answer: Answer) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


def test_unknown_fields_reach_an_ollama_and_its_lines_come_back(gate: RealGate, fake: FakeOllama) -> None:
    asked = {"model": "llama3.1", "messages": HI, "x_new": 1, "options": {"mirostat": 1, "num_ctx": 9}}
    answer = gate.call("POST", "/api/chat", asked)
    told = fake.last("/api/chat")
    assert (told["x_new"], told["options"], told["model"]) == (1, {"mirostat": 1}, "llama3.1:latest")
    assert answer.headers["x-farmgate-dropped"] == "options.num_ctx"
    *pieces, last = lines_of(answer)
    assert pieces
    assert last["done"] is True
    whole = gate.call("POST", "/api/generate", {"model": "llama3.1", "prompt": "hi", "stream": False})
    assert fake.last("/api/generate")["prompt"] == "hi"
    assert whole.json["response"]


def test_a_model_is_pulled_with_progress_and_is_then_there(gate: RealGate) -> None:
    lines = lines_of(gate.call("POST", "/api/pull", {"model": "ollama/phi3"}))
    assert lines[-1] == {"status": "success"}
    names = [model["name"] for model in gate.call("GET", "/api/tags").json["models"]]
    assert any(name.startswith("phi3") for name in names)
    answer = gate.call("POST", "/api/pull", {"name": "ollama/phi3", "stream": False})
    assert answer.json == {"status": "success"}


def test_a_model_that_cannot_be_had_ends_the_pull_with_an_error(gate: RealGate) -> None:
    *_, last = lines_of(gate.call("POST", "/api/pull", {"model": "no-such-model"}))
    assert "no-such-model" in last["error"]
    refused = gate.call("POST", "/api/pull", {"model": "no-such-model", "stream": False})
    assert (refused.status, list(refused.json)) == (404, ["error"])
    refused = gate.call("POST", "/api/pull", {"model": "x" * 10_000})
    assert (refused.status, len(refused.body) < 200) == (404, True)


def test_the_demo_answers_an_ollama_client(gate: RealGate) -> None:
    *pieces, last = lines_of(gate.call("POST", "/api/chat", {"model": "demo", "messages": HI}))
    assert "".join(piece["message"]["content"] for piece in pieces).startswith("This is Farmgate's demo")
    assert last["done_reason"] == "stop"


def test_somebody_is_there(gate: RealGate) -> None:
    with gate.wire() as wire:
        wire.ask("HEAD", "/")
        assert wire.answer(has_body=False).status == 200
    assert gate.call("GET", "/api/version").json["version"]


BAD = [
    ("POST", "/api/chat", {"model": "nobody", "messages": HI}, 404),
    ("POST", "/api/chat", {"messages": HI}, 400),
    ("POST", "/api/chat", {"model": "demo", "messages": [{"role": "king"}]}, 400),
    ("POST", "/api/chat", b'{"model":"demo","model":"demo"}', 400),
    ("POST", "/api/chat", b"\xff", 400),
    ("POST", "/api/chat", b"", 400),
    ("POST", "/api/chat", b"[" * 100_000, 400),
    ("POST", "/api/generate", {"model": "demo", "prompt": "x", "context": [1]}, 400),
    ("POST", "/api/pull", {"model": "demo/anything"}, 400),
    ("POST", "/api/pull", {}, 400),
    ("POST", "/api/show", {}, 400),
    ("POST", "/api/show", {"model": 5}, 400),
    ("POST", "/api/show", {"model": "nobody"}, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_told_as_ollama_tells_it(
    gate: RealGate, method: str, path: str, body: object, status: int
) -> None:
    answer = gate.call(method, path, body)
    assert (answer.status, list(answer.json)) == (status, ["error"]), answer.body
    assert isinstance(answer.json["error"], str)


def test_farmgates_own_api_stays_where_it_was(gate: RealGate) -> None:
    assert gate.call("GET", "/api/ai/health").status == 200
    assert gate.call("GET", "/api/chat").status == 405


def test_a_model_leaves_where_an_admin_lets_it_go(gate: RealGate, fake: FakeOllama) -> None:
    def is_there() -> bool:
        return "llama3.1:latest" in [one["name"] for one in gate.call("GET", "/api/ps").json["models"]]

    assert gate.call("POST", "/api/generate", {"model": "llama3.1"}).json["done_reason"] == "load"
    assert is_there()
    asked = {"model": "llama3.1", "keep_alive": 0}
    answer = gate.call("POST", "/api/generate", asked)
    assert answer.headers["x-farmgate-dropped"] == "keep_alive", "others use it too"
    assert is_there()
    answer = gate.call("POST", "/api/generate", asked, {"authorization": f"Bearer {BOSS}"})
    assert answer.json["done_reason"] == "unload"
    assert "x-farmgate-dropped" not in answer.headers
    deadline = time.monotonic() + 30
    while is_there():
        assert time.monotonic() < deadline, "a job of the gate, which goes on behind the answer"
