"""Tensors and the plain values a class works with, both ways."""

from __future__ import annotations

import pytest

from farmgate.core.errors import InvalidValue
from farmgate.engines.python.items import NoTensor, form_of, items_of, tensors_of
from farmgate.wire.triton.tensors import Datatype, Tensor, Value


def tensor(*data: Value, shape: tuple[int, ...], name: str = "x", datatype: Datatype = Datatype.FP32) -> Tensor:
    return Tensor(name=name, datatype=datatype, shape=shape, data=data)


LOOP: list[object] = []
LOOP.append(LOOP)


class Array:
    """What numpy's arrays have of a list."""

    def __init__(self, held: object) -> None:
        self._held = held

    def tolist(self) -> object:
        return self._held


def test_an_item_is_a_row() -> None:
    assert items_of([tensor(1.0, 2.0, shape=(2,))]) == [1.0, 2.0]
    assert items_of([tensor(1.0, 2.0, 3.0, 4.0, shape=(2, 2))]) == [[1.0, 2.0], [3.0, 4.0]]
    assert items_of([tensor(*map(float, range(4)), shape=(1, 2, 2))]) == [[[0.0, 1.0], [2.0, 3.0]]]


def test_of_several_tensors_an_item_has_the_rows_of_each() -> None:
    text = tensor("a", "b", shape=(2,), name="text", datatype=Datatype.BYTES)
    age = tensor(1, 2, 3, 4, shape=(2, 2), name="age", datatype=Datatype.INT64)
    assert items_of([text, age]) == [{"text": "a", "age": [1, 2]}, {"text": "b", "age": [3, 4]}]


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [tensor(1.0, shape=())],
        [tensor(shape=(0,))],
        [tensor(shape=(2, 0))],
        [tensor(1.0, shape=(1,)), tensor(1.0, 2.0, shape=(2,), name="y")],
    ],
)
def test_what_has_no_rows_is_refused(inputs: list[Tensor]) -> None:
    with pytest.raises(InvalidValue):
        items_of(inputs)


def test_what_differs_in_more_than_its_rows_is_not_computed_together() -> None:
    forms = {
        form_of([tensor(1.0, shape=(1,))]),
        form_of([tensor(1.0, 2.0, shape=(2,))]),
        form_of([tensor(1.0, shape=(1, 1))]),
        form_of([tensor("a", shape=(1,), datatype=Datatype.BYTES)]),
        form_of([tensor(1.0, shape=(1,), name="y")]),
    }
    assert len(forms) == 4


@pytest.mark.parametrize(
    ("results", "datatype", "shape", "data"),
    [
        (["a", "b"], "BYTES", (2,), ["a", "b"]),
        ([True, False], "BOOL", (2,), [True, False]),
        ([1, 2], "INT64", (2,), [1, 2]),
        ([1, 2.5], "FP64", (2,), [1, 2.5]),
        ([[1.0, 2.0], (3.0, 4.0)], "FP64", (2, 2), [1.0, 2.0, 3.0, 4.0]),
        ([Array([1, 2]), Array([3, 4])], "INT64", (2, 2), [1, 2, 3, 4]),
        ([[Array(1.5)]], "FP64", (1, 1), [1.5]),
    ],
)
def test_results_are_a_tensor_of_what_they_are(
    results: list[object], datatype: str, shape: tuple[int, ...], data: list[Value]
) -> None:
    (output,) = tensors_of(results)
    assert (output.name, output.datatype, output.shape, output.data) == ("output", datatype, shape, data)


def test_dicts_are_a_tensor_for_each_name() -> None:
    label, score = tensors_of([{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.2}])
    assert (label.name, label.datatype, label.data) == ("label", "BYTES", ["good", "bad"])
    assert (score.name, score.datatype, score.data) == ("score", "FP64", [0.9, 0.2])


@pytest.mark.parametrize(
    "results",
    [
        [[1, 2], [3]],
        [[1], 2],
        [1, [2]],
        ["a", 1],
        [None],
        [True, 1],
        [object()],
        [1 << 64],
        [{"a": 1}, {"b": 1}],
        [{"a": 1}, 1],
        [{"a": {"b": 1}}],
        [LOOP],
        ["half \ud800"],
        [{"half \ud800": 1}],
    ],
)
def test_what_makes_no_tensor_is_told_so(results: list[object]) -> None:
    with pytest.raises(NoTensor):
        tensors_of(results)
