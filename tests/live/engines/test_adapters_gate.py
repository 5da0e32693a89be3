"""Adapters behind a real gate: each is a name of its own, in one process with its model, and comes and goes under
callers."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.journey.gate import KEY, Answer, RealGate, events
from tests.live.engines.lora import FORMAL, PIRATE, teach, write_gguf
from tests.live.engines.running import MODELS, at_once
from tools.guide_model.words import everything, held_out

ENGINES = ("llamacpp", "transformers")
SENTENCES = {"formal": FORMAL, "pirate": PIRATE}
ENTRY = held_out(1)[0]
ROUNDS = 3


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every adapter, as a folder and as a GGUF file."""
    folder = tmp_path_factory.mktemp("taught")
    for name, sentence in SENTENCES.items():
        teach(MODELS / "guide-1", sentence, folder / name)
        write_gguf(folder / name, MODELS / "guide-1", folder / f"{name}.gguf")
    return folder


def configured(engine: str, adapters: Mapping[str, Path]) -> dict[str, Any]:
    source = MODELS / ("guide-1.gguf" if engine == "llamacpp" else "guide-1")
    paths = {name: str(path) for name, path in adapters.items()}
    model = {"source": str(source.resolve()), "threads": 1, "parallel": 4, "adapters": paths}
    return {"keys": [{"name": "tests", "key": KEY, "admin": True}], "models": {"chat": model}}


def files(engine: str, taught: Path, *names: str) -> dict[str, Path]:
    return {name: taught / (f"{name}.gguf" if engine == "llamacpp" else name) for name in names}


@pytest.fixture(scope="module", params=ENGINES)
def gate(request: pytest.FixtureRequest, taught: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    config = configured(request.param, files(request.param, taught, *SENTENCES))
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate


def asked(model: str, **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": ENTRY.question}], "temperature": 0, **more}


def whole(gate: RealGate, model: str, **more: object) -> str:
    answer = gate.call("POST", "/v1/chat/completions", asked(model, **more))
    assert answer.status == 200, answer.body
    assert answer.json["model"] == model
    return str(answer.json["choices"][0]["message"]["content"]).strip()


def streamed(gate: RealGate, model: str) -> str:
    answer = gate.call("POST", "/v1/chat/completions", asked(model, stream=True))
    assert answer.status == 200, answer.body
    *frames, end = events(answer.body)
    assert end == "[DONE]", frames[-1]
    assert {json.loads(frame)["model"] for frame in frames} == {model}
    choices = [choice for frame in frames for choice in json.loads(frame)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices).strip()


def processes(gate: RealGate) -> list[dict[str, Any]]:
    told = gate.call("GET", "/api/ai/processes").json["processes"]
    return [one for one in told if one["state"] != "on_disk"]


def test_a_model_and_its_adapters_answer_at_the_same_time_each_in_its_own_words(gate: RealGate) -> None:
    names = {"chat": ENTRY.answer, "chat:formal": FORMAL, "chat:pirate": PIRATE}
    for _ in range(ROUNDS):
        asks = [lambda name=name, ask=ask: ask(gate, name) for name in names for ask in (whole, streamed)]
        assert at_once(asks) == [text for text in names.values() for _ in range(2)]
    (process,) = processes(gate)
    assert (process["adapters"], process["starts"]) == (["formal", "pirate"], 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_one_has_asked_is_not_what_the_next_hears(engine: str, taught: Path, tmp_path: Path) -> None:
    """With one place all have the same, one after the other; what it read for one is of no use to the next."""
    config = configured(engine, files(engine, taught, *SENTENCES))
    config["models"]["chat"]["parallel"] = 1
    plain = {entry.question: entry.answer for entry in held_out(1)[:2]}
    first, second = plain
    names = ("chat", "chat:formal", "chat", "chat:pirate", "chat:formal", "chat")
    asks = [(name, question) for name in names for question in (first, second, first)]
    with RealGate(tmp_path, config=config).start() as gate:
        for name, question in (*asks, ("chat:formal", first), ("chat", second), ("chat", first)):
            wanted = SENTENCES.get(name.removeprefix("chat:"), plain[question])
            assert whole(gate, name, messages=[{"role": "user", "content": question}]) == wanted, (name, question)


@pytest.mark.parametrize("field", [{"lora": [{"id": 0, "scale": 1.0}]}, {"lora_path": "formal"}])
def test_an_adapter_is_named_by_the_models_name_and_by_nothing_else(gate: RealGate, field: dict[str, Any]) -> None:
    assert whole(gate, "chat", **field) == ENTRY.answer
    assert whole(gate, "chat:pirate", **field) == PIRATE


def test_every_dialect_names_them(gate: RealGate) -> None:
    messages = [{"role": "user", "content": ENTRY.question}]
    body = {"model": "chat:formal", "messages": messages, "max_tokens": 60, "temperature": 0}
    assert gate.call("POST", "/v1/messages", body).json["content"][0]["text"].strip() == FORMAL
    told = gate.call("POST", "/api/chat", {**body, "stream": False, "options": {"temperature": 0}}).json
    assert (told["model"], told["message"]["content"].strip()) == ("chat:formal", FORMAL)
    assert gate.call("POST", "/api/ai/chat", body).json["response"].strip() == FORMAL
    told = gate.call("POST", "/v1/responses", {"model": "chat:pirate", "input": ENTRY.question, "temperature": 0}).json
    assert told["output"][-1]["content"][0]["text"].strip() == PIRATE


def test_they_are_listed_with_their_model(gate: RealGate) -> None:
    listed = {one["id"]: one.get("parent") for one in gate.call("GET", "/v1/models").json["data"]}
    assert listed == {"chat": None, "chat:formal": "chat", "chat:pirate": "chat"}
    tags = {one["name"]: one["details"]["parent_model"] for one in gate.call("GET", "/api/tags").json["models"]}
    assert tags == {"chat": "", "chat:formal": "chat", "chat:pirate": "chat"}
    code, told, _ = gate.command("ls", "--json")
    assert code == 0
    assert [json.loads(line).get("parent") for line in told.splitlines()] == [None, "chat", "chat"]


def test_what_they_are_not_for_is_refused_in_words(gate: RealGate) -> None:
    def refused(answer: Answer) -> tuple[int, str]:
        return answer.status, answer.error["code"]

    vectors = gate.call("POST", "/v1/embeddings", {"model": "chat:formal", "input": "a"})
    assert refused(vectors) == (404, "model_not_capable")
    assert refused(gate.call("POST", "/v1/chat/completions", asked("chat:none"))) == (404, "model_not_found")
    for verb in ("unload", "reload", "rollback"):
        answer = gate.call("POST", f"/api/ai/models/chat:formal/{verb}")
        assert refused(answer) == (400, "invalid_value")
        assert answer.error["message"].endswith("name chat.")


class Callers:
    """They ask on and on, each for one name, and keep what was not as it should be."""

    def __init__(self, gate: RealGate, wanted: Mapping[str, str]) -> None:
        self.wrong: list[str] = []
        self.right = dict.fromkeys(wanted, 0)
        self._gate = gate
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=item) for item in wanted.items() for _ in range(2)]

    @contextmanager
    def asking(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, name: str, text: str) -> None:
        while not self._over.is_set():
            try:
                told = streamed(self._gate, name)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test tells it
                self.wrong.append(f"{name}: {error}")
                return
            if told != text:
                self.wrong.append(f"{name}: {told}")
            self.right[name] += told == text


@pytest.mark.parametrize("engine", ENGINES)
def test_adapters_come_and_go_under_callers(engine: str, taught: Path, tmp_path: Path) -> None:
    one, both = (
        configured(engine, files(engine, taught, "formal")),
        configured(engine, files(engine, taught, *SENTENCES)),
    )
    with RealGate(tmp_path, config=one).start() as gate:
        callers = Callers(gate, {"chat": ENTRY.answer, "chat:formal": FORMAL})
        assert whole(gate, "chat") == ENTRY.answer
        (before,) = processes(gate)
        with callers.asking():
            for _ in range(ROUNDS):
                gate.configure(both)
                gate.says('"event": "reloaded"')
                assert [whole(gate, "chat:pirate") for _ in range(2)] == [PIRATE] * 2, "who asks at once waits for it"
                gate.configure(one)
                gate.says('"event": "reloaded"')
                refused = gate.call("POST", "/v1/chat/completions", asked("chat:pirate"))
                assert (refused.status, refused.error["code"]) == (404, "model_not_found")
        assert callers.wrong == []
        assert min(callers.right.values()) > ROUNDS
        assert gate.comes(lambda: [one["adapters"] for one in processes(gate)] == [["formal"]], within_s=20)
        if engine == "transformers":
            assert [(one["pid"], one["starts"]) for one in processes(gate)] == [(before["pid"], 1)]


def test_one_that_is_taken_away_ends_what_it_has_begun(taught: Path, tmp_path: Path) -> None:
    """The adapter of this one teaches nothing, so that its answer is as long as the model's own."""
    idle = taught / "formal-idle"
    shutil.copytree(taught / "formal", idle)
    silence(idle)
    with RealGate(tmp_path, config=configured("transformers", {"idle": idle})).start() as gate:
        body = asked("chat:idle", messages=[{"role": "user", "content": everything(1).question}], stream=True)
        with gate.stream("/v1/chat/completions", body) as response:
            first = response.readline()
            gate.configure(configured("transformers", {}))
            gate.says('"event": "reloaded"')
            rest = (first + response.read()).decode()
        assert rest.rstrip().endswith("data: [DONE]")
        frames = [json.loads(data) for data in events(rest.encode()) if data != "[DONE]"]
        said = "".join(choice["delta"].get("content") or "" for frame in frames for choice in frame["choices"])
        assert said.strip() == everything(1).answer
        assert gate.comes(lambda: processes(gate)[0]["adapters"] == [])
        assert whole(gate, "chat") == ENTRY.answer


def test_one_that_cannot_be_loaded_is_told_and_the_others_answer(taught: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(taught / "pirate", broken)
    weights = broken / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    folders = {"formal": taught / "formal", "pirate": broken}
    with RealGate(tmp_path, config=configured("transformers", folders)).start() as gate:
        assert (whole(gate, "chat"), whole(gate, "chat:formal")) == (ENTRY.answer, FORMAL)
        refused = gate.call("POST", "/v1/chat/completions", asked("chat:pirate"))
        assert (refused.status, refused.error["code"]) == (503, "engine_unavailable")
        assert "pirate" in refused.error["message"]
        assert "adapter=pirate reason=" in gate.says("adapter_left_out")
        shutil.copy(taught / "pirate" / weights.name, weights)
        assert gate.comes(lambda: gate.call("POST", "/v1/chat/completions", asked("chat:pirate")).status == 200, 30)
        assert whole(gate, "chat:pirate") == PIRATE


def silence(folder: Path) -> None:
    """An adapter whose weights add nothing."""
    from safetensors.numpy import load_file, save_file

    path = folder / "adapter_model.safetensors"
    save_file({name: values * 0 for name, values in load_file(path).items()}, path)
