"""A checkpoint from a folder behind a real gate, offline: loaded, asked, streamed, embedded, swapped, unloaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.journey.gate import RealGate, events
from tools.guide_model.words import VERSIONS, everything, held_out

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    versions = {str(version): str(MODELS / f"guide-{version}") for version in VERSIONS}
    gate = RealGate(tmp_path_factory.mktemp("gate"), config={"models": {"guide": {"versions": versions, "threads": 1}}})
    with gate.start():
        yield gate


def done(gate: RealGate, verb: str, body: object = None) -> None:
    begun = gate.call("POST", f"/api/ai/models/guide/{verb}", body)
    assert begun.status == 202, begun.body
    states = events(gate.call("GET", f"/api/ai/jobs/{begun.json['job']}/stream").body)
    assert states[-1] == "[DONE]"
    assert json.loads(states[-2])["error"] is None, states[-2]


def said(gate: RealGate, version: int) -> str:
    entry = held_out(version)[0]
    asked = {"model": "guide", "messages": [{"role": "user", "content": entry.question}], "temperature": 0}
    answer = gate.call("POST", "/v1/chat/completions", asked)
    assert answer.status == 200, answer.body
    return str(answer.json["choices"][0]["message"]["content"])


def processes(gate: RealGate) -> list[dict[str, Any]]:
    return list(gate.call("GET", "/api/ai/processes").json["processes"])


def test_a_checkpoint_lives_its_whole_life(gate: RealGate) -> None:
    # As the default model it is warmed at the start already: loading it waits for that one process.
    done(gate, "load")
    (process,) = processes(gate)
    assert (process["engine"], process["state"], process["answers"]) == ("transformers", "ready", True)
    assert gate.children() == [process["pid"]], "and nothing else runs"

    assert said(gate, 1) == held_out(1)[0].answer
    messages = [{"role": "user", "content": everything(1).question}]
    told = gate.call("POST", "/api/ai/chat", {"model": "guide", "messages": messages, "temperature": 0})
    assert told.json["response"] == everything(1).answer
    streamed = gate.call(
        "POST", "/v1/chat/completions", {"model": "guide", "messages": messages, "temperature": 0, "stream": True}
    )
    *frames, end = events(streamed.body)
    pieces = [choice["delta"].get("content") or "" for frame in frames for choice in json.loads(frame)["choices"]]
    assert "".join(pieces) == everything(1).answer
    assert len([piece for piece in pieces if piece]) > 20, "word by word"
    told_load = {"running": 0.0, "waiting": 0.0, "cacheUsed": None}
    assert gate.comes(lambda: processes(gate)[0]["engineLoad"] == told_load, within_s=20), "it is heard on that"
    assert end == "[DONE]"

    vectors = gate.call("POST", "/v1/embeddings", {"model": "guide", "input": ["a gateway", "a gateway", "a cow"]})
    first, same, other = (one["embedding"] for one in vectors.json["data"])
    assert first == pytest.approx(same)
    assert first != pytest.approx(other)
    assert gate.call("POST", "/api/ai/embed", {"model": "guide", "input": "a cow"}).json["embeddings"]

    done(gate, "reload", {"version": "2"})
    assert said(gate, 2) == held_out(2)[0].answer
    done(gate, "rollback")
    assert said(gate, 1) == held_out(1)[0].answer

    done(gate, "unload")
    assert gate.children() == []
    assert all(not one["models"] for one in gate.call("GET", "/api/ai/gpus").json["devices"])
