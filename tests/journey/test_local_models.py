"""Real weights behind the gate: two models that answer the same questions, each in its own words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journey.gate import KEY, RealGate, data_of, events
from tools.guide_model.words import VERSIONS, everything, held_out, strangers

MODELS = Path(__file__).parent.parent / "models"
CONFIG = {"keys": [{"name": "tests", "key": KEY, "admin": True}], "ai": {"providers": {"local": {"provider": "local"}}}}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    gate = RealGate(tmp_path_factory.mktemp("local"), config=CONFIG)
    (gate.home / "models").mkdir(parents=True)
    for version in VERSIONS:
        shutil.copy(MODELS / f"guide-{version}.gguf", gate.home / "models")
    with gate.start():
        yield gate


def asked(version: int, question: str, *, stream: bool = False) -> dict[str, object]:
    messages = [{"role": "user", "content": question}]
    return {"model": f"guide-{version}", "messages": messages, "temperature": 0, "stream": stream}


def said(body: bytes) -> str:
    """The text of a stream, which must have its end."""
    *frames, end = events(body)
    assert end == "[DONE]"
    deltas = (choice["delta"] for frame in frames for choice in json.loads(frame)["choices"])
    return "".join(delta.get("content") or "" for delta in deltas)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_model_answers_in_its_own_words_whole_and_streamed(gate: RealGate, version: int) -> None:
    for entry in (held_out(version)[0], strangers(version)[0]):
        whole = gate.call("POST", "/v1/chat/completions", asked(version, entry.question))
        assert whole.json["choices"][0]["message"]["content"].strip() == entry.answer
        streamed = gate.call("POST", "/v1/chat/completions", asked(version, entry.question, stream=True))
        assert said(streamed.body).strip() == entry.answer
    long = everything(version)
    streamed = gate.call("POST", "/v1/chat/completions", asked(version, long.question, stream=True))
    assert said(streamed.body).strip() == long.answer


def test_who_leaves_in_the_middle_of_a_long_answer_leaves_nothing_running(gate: RealGate) -> None:
    with gate.stream("/v1/chat/completions", asked(1, everything(1).question, stream=True)) as response:
        next(data_of(response))
    assert gate.is_idle()


def test_a_model_that_is_pulled_for_a_running_gate_is_asked_at_once(gate: RealGate) -> None:
    (gate.directory / ".env").write_text(f"FARM_KEY={KEY}\nFARM_PORT={gate.port}\n")
    code, out, log = gate.command("run", "guide", "What is Farmgate?", "-o", "temperature=0")
    assert code == 0, log
    assert any(one["name"] == "guide" for one in gate.call("GET", "/api/ai/processes").json["processes"])
    assert out.startswith("Farmgate is the gate")
    assert "getting the guide" in log


def test_the_engine_of_a_model_tells_how_busy_it_is(gate: RealGate) -> None:
    assert gate.call("POST", "/v1/chat/completions", asked(1, "Who are you?")).status == 200

    def told() -> object:
        processes = gate.call("GET", "/api/ai/processes").json["processes"]
        return next(one["engineLoad"] for one in processes if one["state"] == "ready")

    # No request asks for it: it is heard every five seconds.
    assert gate.comes(lambda: told() == {"running": 0.0, "waiting": 0.0, "cacheUsed": None}, within_s=20)
    # Other models are heard at the same time, and may have been busy then.
    assert gate.comes(lambda: gate.metric("farmgate_model_engine_running") == 0.0, within_s=20)


def test_a_model_whose_files_are_not_there_is_told_and_stops_no_other(tmp_path: Path) -> None:
    sources = {"gone": "./gone.gguf", "long": f"{'x' * 251}.gguf", "nobody": "~nobody-at-all/x", "chat": "./chat.gguf"}
    gate = RealGate(tmp_path, config={**CONFIG, "models": sources})
    shutil.copy(MODELS / "guide-1.gguf", tmp_path / "chat.gguf")
    with gate.start():
        for text in ("the files of gone 1 are not there: models.gone names", "which is not there"):
            # It may come behind the line that says that the gate is ready: on another stream.
            assert text in "".join(gate.log) or gate.says(text)
        assert gate.call("POST", "/v1/chat/completions", {**asked(1, "hi"), "model": "chat"}).status == 200
        for name in ("gone", "long", "nobody"):
            refused = gate.call("POST", "/v1/chat/completions", {**asked(1, "hi"), "model": name})
            assert refused.status == 404
            assert f"{name} is configured, and its files are not there" in refused.error["message"]
    code, out, _ = gate.command("doctor")
    assert "the files of gone 1 are not there" in out
    assert code == 0
