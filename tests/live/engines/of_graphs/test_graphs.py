"""Graphs behind a real gate: tensors in and out, rows of several callers at once, texts to vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pytest
from tests.journey.gate import Answer, RealGate

T = TypeVar("T")


def tensor(data: Sequence[object], *shape: int, name: str = "x", datatype: str = "FP32") -> dict[str, object]:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


def infer(gate: RealGate, model: str, *inputs: dict[str, object], **more: object) -> Answer:
    return gate.call("POST", f"/v2/models/{model}/infer", {"inputs": inputs, **more})


def outputs(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    return {output["name"]: (output["datatype"], output["shape"], output["data"]) for output in answer.json["outputs"]}


def at_once(asks: Sequence[Callable[[], T]]) -> list[T]:
    with ThreadPoolExecutor(len(asks)) as pool:
        return [doing.result() for doing in [pool.submit(ask) for ask in asks]]


def test_a_classifier_gives_scores_and_labels(gate: RealGate) -> None:
    told = outputs(infer(gate, "linear", tensor([1, 2, 4, 3], 2, 2)))
    assert told == {"scores": ("FP32", [2, 2], [1, 2, 4, 3]), "label": ("INT64", [2], [1, 0])}
    only = outputs(infer(gate, "linear", tensor([[1, 2]], 1, 2), outputs=[{"name": "label"}]))
    assert only == {"label": ("INT64", [1], [1])}


def test_it_tells_what_it_takes_and_gives(gate: RealGate) -> None:
    assert gate.call("GET", "/v2/models/linear").json == {
        "name": "linear",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
        ],
    }


def test_each_caller_gets_the_rows_that_are_theirs(gate: RealGate) -> None:
    wanted = [[float(at), float(7 - at)] * (1 + at % 3) for at in range(8)]
    asks = [partial(infer, gate, "linear", tensor(rows, len(rows) // 2, 2)) for rows in wanted]
    assert [outputs(answer)["scores"][2] for answer in at_once(asks)] == wanted


def test_a_graph_that_gives_other_rows_than_it_takes_is_asked_one_by_one(gate: RealGate) -> None:
    asks = [partial(infer, gate, "liar", tensor([number], 1, 1)) for number in (1.0, 2.0, 4.0, 8.0)]
    assert [outputs(answer)["first"][2] for answer in at_once(asks)] == [[1.0], [2.0], [4.0], [8.0]]
    assert [outputs(answer)["first"][2] for answer in at_once(asks)] == [[1.0], [2.0], [4.0], [8.0]]
    log = next((gate.home / "log").glob("engine-liar*.log")).read_text()
    assert log.count("batches are off") == 1


def test_a_graph_of_one_size_takes_that_size(gate: RealGate) -> None:
    assert outputs(infer(gate, "fixed", tensor([1, 2], 1, 2)))["y"] == ("FP32", [1, 2], [2, 4])
    answer = infer(gate, "fixed", tensor([1, 2, 3, 4], 2, 2))
    assert answer.status == 400
    assert "`inputs[0].shape` must be like [1, 2]" in answer.json["error"]


def test_texts_go_in_and_out(gate: RealGate) -> None:
    told = outputs(infer(gate, "joined", tensor(["a", "\u00e9"], name="text", datatype="BYTES")))
    assert told["twice"] == ("BYTES", [2], ["aa", "\u00e9\u00e9"])


@pytest.mark.parametrize(
    ("model", "inputs", "told"),
    [
        ("linear", [tensor([1, 2], 1, 2, datatype="FP64")], "`inputs[0].datatype` must be FP32"),
        ("linear", [tensor([1, 2, 3], 1, 3)], "must be like [-1, 2]"),
        ("linear", [tensor([1, 2], 2)], "must be like [-1, 2]"),
        ("linear", [tensor([1, 2], 1, 2, name="y")], "linear takes x, not 'y'"),
        ("linear", [], "`inputs` must hold x too"),
        ("linear", [tensor([1e39, 0], 1, 2)], "too large for FP32"),
        ("cells", [tensor([7], name="number", datatype="INT64")], "The graph cannot be asked that"),
    ],
)
def test_what_it_cannot_be_asked_is_the_caller_s_mistake(
    gate: RealGate, model: str, inputs: list[dict[str, object]], told: str
) -> None:
    answer = infer(gate, model, *inputs)
    assert (answer.status, told in answer.json["error"]) == (400, True), answer.body
    wanted = infer(gate, "linear", tensor([1, 2], 1, 2), outputs=[{"name": "z"}])
    assert "There is no output 'z': there is scores, label" in wanted.json["error"]


@pytest.mark.parametrize(
    ("model", "told"), [("broken", "could not load the graph"), ("lists", "none of its outputs is a tensor")]
)
def test_what_is_no_graph_is_told(gate: RealGate, model: str, told: str) -> None:
    answer = infer(gate, model, tensor([1, 2], 1, 2))
    assert (answer.status, told in answer.json["error"]) == (503, True), answer.body


# ------------------------------------------------------------------------------------------------------------- vectors


def vectors(gate: RealGate, *texts: str, model: str = "encoder") -> Answer:
    return gate.call("POST", "/v1/embeddings", {"model": model, "input": list(texts)})


def test_a_text_is_the_mean_of_its_tokens_and_as_long_as_1(gate: RealGate) -> None:
    answer = vectors(gate, "good", "good day", "bad").json
    good, day, bad = (one["embedding"] for one in answer["data"])
    assert good == pytest.approx([0.6, 0.8], abs=1e-6)
    assert day == pytest.approx([0.5**0.5, 0.5**0.5], abs=1e-6)
    assert bad == pytest.approx([-0.6, -0.8], abs=1e-6)
    assert answer["usage"]["prompt_tokens"] == 4


def test_a_text_has_one_vector_whoever_it_is_computed_with(gate: RealGate) -> None:
    texts = ["good", "good day bad good", "day bad", "bad"] * 8
    alone = [vectors(gate, text).json["data"][0]["embedding"] for text in texts[:4]] * 8
    answers = at_once([partial(vectors, gate, text) for text in texts])
    together = [answer.json["data"][0]["embedding"] for answer in answers]
    assert together == [pytest.approx(vector, abs=1e-6) for vector in alone]


def test_what_is_too_long_is_refused_and_not_cut(gate: RealGate) -> None:
    answer = vectors(gate, "good", "good bad good bad good")
    assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert "`input[1]` has 5 tokens, and the context is 4" in answer.error["message"]
    assert vectors(gate, "").status == 400


def test_the_same_graph_takes_its_tokens_too(gate: RealGate) -> None:
    ids = tensor([1, 3], 1, 2, name="input_ids", datatype="INT64")
    mask = tensor([1, 1], 1, 2, name="attention_mask", datatype="INT64")
    assert outputs(infer(gate, "encoder", ids, mask))["last_hidden_state"] == ("FP32", [1, 2, 2], [3, 4, 4, 3])


@pytest.mark.parametrize("model", ["linear", "logits"])
def test_what_is_no_encoder_gives_no_vectors(gate: RealGate, model: str) -> None:
    answer = vectors(gate, "good", model=model)
    assert (answer.status, answer.error["code"]) == (404, "model_not_capable")
    assert "no encoder of texts" in answer.error["message"]


def test_a_graph_does_not_chat(gate: RealGate) -> None:
    body = {"model": "linear", "messages": [{"role": "user", "content": "hi"}]}
    assert gate.call("POST", "/v1/chat/completions", body).status == 404
