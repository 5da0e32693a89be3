"""What one model answers under /v2 and to whoever wants vectors, or why it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.engines.serving.asgi import KEY, asked, told

from farmgate.core.ports import Purpose
from farmgate.engines.engine import Spec
from farmgate.engines.serving.app import App
from farmgate.engines.serving.tensors import TensorDoor
from farmgate.engines.serving.vectors import VectorDoor, Vectors
from farmgate.wire.triton.tensors import Datatype, Form, Tensor

SPEC = Spec(model="m", version="2", path=Path("m"), purpose=Purpose.INFER, context_tokens=1, parallel=1, threads=1)
INPUT = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}


class Twice:
    """Doubles what it gets, and counts it."""

    platform = "test"
    inputs = (Form(name="x", datatype=Datatype.FP32, shape=(-1,)),)
    outputs = ()

    async def infer(self, inputs: Sequence[Tensor], wanted: Sequence[str]) -> Sequence[Tensor]:
        (asked,) = inputs
        doubled = [2 * float(value) for value in asked.data]
        return [
            Tensor(name="y", datatype=Datatype.FP32, shape=asked.shape, data=doubled),
            Tensor(name="count", datatype=Datatype.INT64, shape=(1,), data=[len(doubled)]),
        ]


async def embed(texts: Sequence[str]) -> Vectors:
    return Vectors([[float(len(text))] for text in texts], 7)


APP = App(
    {
        **TensorDoor(SPEC, Twice(), platform="test").routes(),
        **VectorDoor(SPEC, embed).routes(),
    },
    key=KEY,
)
NEITHER = App(
    {
        **TensorDoor(SPEC, None, platform="test", instead="it has chat").routes(),
        **VectorDoor(SPEC, None, instead="it has chat").routes(),
    },
    key=KEY,
)


def body(**more: object) -> tuple[bytes]:
    return (json.dumps({"inputs": [INPUT], **more}).encode(),)


@pytest.mark.parametrize("path", ["/v2/models/m/infer", "/v2/models/m/versions/2/infer"])
async def test_tensors_go_in_and_out(path: str) -> None:
    status, answer = told(await asked(APP, path, method="POST", body=body(id="7")))
    assert (status, answer["model_version"], answer["id"]) == (200, "2", "7")
    assert [output["data"] for output in answer["outputs"]] == [[2.0, 4.0], [2]]


async def test_outputs_are_given_in_the_order_that_is_wanted() -> None:
    wanted = [{"name": "count"}, {"name": "y"}]
    _, answer = told(await asked(APP, "/v2/models/m/infer", method="POST", body=body(outputs=wanted)))
    assert [output["name"] for output in answer["outputs"]] == ["count", "y"]


@pytest.mark.parametrize(
    ("path", "method", "status", "message"),
    [
        ("/v2/models/m/versions/1/infer", "POST", 404, "There is no version '1' of m here: it is '2'."),
        ("/v2/models/m/versions/1", "GET", 404, "There is no version '1' of m here: it is '2'."),
        ("/v2/models/m/ready", "GET", 404, "There is nothing at this address."),
        ("/v2/models/m/ready", "POST", 404, "There is nothing at this address."),
        ("/v2/models/", "POST", 404, "There is nothing at this address."),
    ],
)
async def test_another_version_is_not_this_one(path: str, method: str, status: int, message: str) -> None:
    seen, answer = told(await asked(APP, path, method=method, body=body()))
    assert (seen, answer["error"]["message"]) == (status, message)


async def test_it_tells_what_it_takes_and_that_it_is_there() -> None:
    assert told(await asked(APP, "/v2/health/ready", method="POST"))[1] == {"ready": True}
    _, answer = told(await asked(APP, "/v2/models/m"))
    assert answer["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1]}]
    assert told(await asked(NEITHER, "/v2/models/m"))[1]["inputs"] == []


async def test_texts_become_vectors() -> None:
    asks = json.dumps({"input": ["a", "abc"], "model": "m", "dimensions": 1}).encode()
    _, answer = told(await asked(APP, "/v1/embeddings", method="POST", body=(asks,)))
    assert [one["embedding"] for one in answer["data"]] == [[1.0], [3.0]]
    assert answer["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


@pytest.mark.parametrize("path", ["/v2/models/m/infer", "/v1/embeddings"])
async def test_what_it_is_not_for_it_says_with_what_it_is(path: str) -> None:
    status, answer = told(await asked(NEITHER, path, method="POST", body=body()))
    assert (status, answer["error"]["code"]) == (404, "model_not_capable")
    assert answer["error"]["message"].endswith(": it has chat.")
