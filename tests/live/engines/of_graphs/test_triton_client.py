"""Triton's own client, as it comes: it says nothing of its bodies, and would rather send bytes than JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import pytest
from tests.journey.gate import KEY, RealGate

tritonclient = pytest.importorskip("tritonclient.http", reason="Triton's client is not installed: make engines")


@pytest.fixture(scope="module")
def client(gate: RealGate) -> Iterator[Any]:
    with tritonclient.InferenceServerClient(f"127.0.0.1:{gate.port}") as client:
        yield client


def key() -> dict[str, str]:
    """Made anew: the client writes headers of its own into it."""
    return {"authorization": f"Bearer {KEY}"}


def tensor(name: str, values: Any, *, binary: bool) -> Any:
    kind = {"f": "FP32", "O": "BYTES"}[values.dtype.kind]
    made = tritonclient.InferInput(name, values.shape, kind)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


ROWS = numpy.array([[1, 2], [4, 3], [0.5, 3]], dtype="float32")


def test_it_finds_the_server_and_its_models(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata(headers=key())["name"] == "farmgate"
    assert client.get_model_metadata("linear", headers=key())["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
    ]
    assert client.is_model_ready("linear", "1", headers=key())
    assert not client.is_model_ready("linear", "2", headers=key())
    assert {"linear", "encoder"} <= {one["name"] for one in client.get_model_repository_index(headers=key())}


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_go_in_and_out_as_bytes_and_as_json(client: Any, binary: bool) -> None:
    rows = ROWS if binary else ROWS[:2]
    outputs = [tritonclient.InferRequestedOutput(name, binary_data=binary) for name in ("label", "scores")]
    told = client.infer("linear", [tensor("x", rows, binary=binary)], outputs=outputs, headers=key())
    assert told.as_numpy("scores").tolist() == rows.tolist()
    assert told.as_numpy("label").tolist() == [1, 0, 1][: len(rows)]


def test_it_says_nothing_of_outputs_and_gets_all_as_bytes(client: Any) -> None:
    told = client.infer("linear", [tensor("x", ROWS[:2], binary=False)], headers=key())
    assert told.as_numpy("scores").tolist() == ROWS[:2].tolist()
    assert "binary_data_size" in told.get_output("label")["parameters"]


@pytest.mark.parametrize("binary", [True, False])
def test_texts_go_in_and_out(client: Any, binary: bool) -> None:
    texts = numpy.array(["a", "\u00e9"], dtype=object)
    told = client.infer("joined", [tensor("text", texts, binary=binary)], headers=key())
    assert [one.decode() for one in told.as_numpy("twice")] == ["aa", "\u00e9\u00e9"]


def test_errors_are_told_in_its_words(client: Any) -> None:
    asked = [tensor("x", ROWS, binary=True)]
    for model, version, headers, status, told in (
        ("linear", "9", key(), "404", "no version '9'"),
        ("nowhere", "", key(), "404", "There is no model 'nowhere'"),
        ("linear", "", {}, "401", "No valid API key"),
        ("joined", "", key(), "400", "joined takes text, not 'x'"),
    ):
        with pytest.raises(tritonclient.InferenceServerException) as refusal:
            client.infer(model, asked, model_version=version, headers=headers)
        assert refusal.value.status() == status
        assert told in refusal.value.message()
