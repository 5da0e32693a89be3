"""A model that ranks, in the real engine: its scores are those that torch computes of the same weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journey.gate import KEY, RealGate

MODELS = Path(__file__).parent.parent / "models"
CASES = json.loads((MODELS / "ranker.json").read_text())
CONFIG = {
    "keys": [{"name": "tests", "key": KEY, "admin": True}],
    "ai": {"providers": {"local": {"provider": "local"}}},
    "models": {"ranker": str(MODELS / "ranker.gguf")},
}
NEAR = 0.02
"""How far the engine's quicker functions are from torch's."""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    gate = RealGate(tmp_path_factory.mktemp("ranking"), config=CONFIG)
    (gate.home / "models").mkdir(parents=True)
    shutil.copy(MODELS / "guide-1.gguf", gate.home / "models")
    with gate.start():
        yield gate


@pytest.mark.parametrize("case", CASES)
def test_documents_are_ranked_best_first_with_the_scores_of_the_model(gate: RealGate, case: dict[str, object]) -> None:
    asked = {"model": "ranker", "query": case["query"], "documents": case["documents"]}
    answer = gate.call("POST", "/v1/rerank", asked)
    assert answer.status == 200, answer.body
    results = answer.json["results"]
    found = {result["index"]: result["relevance_score"] for result in results}
    assert [found[at] for at in range(3)] == pytest.approx(case["scores"], abs=NEAR)
    assert [result["index"] for result in results] == sorted(found, key=lambda at: -found[at])
    assert answer.json["usage"]["prompt_tokens"] > 0


def test_documents_may_be_objects_come_back_when_asked_for_and_be_fewer(gate: RealGate) -> None:
    case = CASES[0]
    documents = [{"text": text, "id": at} for at, text in enumerate(case["documents"])]
    asked = {"model": "ranker", "query": case["query"], "documents": documents, "top_n": 1, "return_documents": True}
    answer = gate.call("POST", "/v1/rerank", asked)
    (result,) = answer.json["results"]
    best = max(range(3), key=lambda at: case["scores"][at])
    assert result["index"] == best
    assert result["document"] == {"text": case["documents"][best]}


def test_a_field_that_changes_an_engines_answer_does_not_reach_it(gate: RealGate) -> None:
    case = CASES[0]
    asked = {"model": "ranker", "query": case["query"], "documents": case["documents"], "texts": ["of another form"]}
    answer = gate.call("POST", "/v1/rerank", asked)
    assert len(answer.json["results"]) == 3
    assert "texts" in answer.headers["x-farmgate-dropped"]


def test_a_document_that_is_too_long_is_told_by_its_field(gate: RealGate) -> None:
    answer = gate.call("POST", "/v1/rerank", {"model": "ranker", "query": "a", "documents": ["the cat " * 400]})
    assert answer.status == 400
    assert answer.json["error"]["code"] == "context_length_exceeded"
    assert answer.json["error"]["param"] == "documents"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": "ranker", "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/completions", {"model": "ranker", "prompt": "hi"}),
        ("/v1/embeddings", {"model": "ranker", "input": "hi"}),
        ("/v1/rerank", {"model": "guide-1", "query": "a", "documents": ["b"]}),
    ],
)
def test_what_a_models_files_say_it_cannot_is_refused_and_starts_nothing(
    gate: RealGate, path: str, body: dict[str, object]
) -> None:
    answer = gate.call("POST", path, body)
    assert answer.status == 404, answer.body
    assert answer.json["error"]["code"] == "model_not_capable"
    running = gate.call("GET", "/api/ai/processes").json["processes"]
    assert [one["purpose"] for one in running if one["state"] != "on_disk" and one["name"] == "ranker"] in (
        [],
        ["rerank"],
    )


def test_loading_it_starts_what_it_is_for(gate: RealGate) -> None:
    loaded = gate.call("POST", "/api/ai/models/ranker/load", {})
    assert loaded.status < 300, loaded.body

    def running() -> list[tuple[str, str]]:
        told = gate.call("GET", "/api/ai/processes").json["processes"]
        return [(one["purpose"], one["state"]) for one in told if one["name"] == "ranker"]

    assert gate.comes(lambda: running() == [("rerank", "ready")]), running()
