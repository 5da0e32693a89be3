"""Vectors that a class makes are lists of finite numbers, or the class's fault."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farmgate.core.errors import ModelFailed
from farmgate.engines.engine import Batch
from farmgate.engines.python.code import Code
from farmgate.engines.python.model import Embedding

THREAD = ThreadPoolExecutor(1)


class Gives:
    """One vector for each text."""

    def __init__(self, vector: object) -> None:
        self._vector = vector

    def embed(self, texts: list[str]) -> list[object]:
        return [self._vector for _ in texts]


def embedding(vector: object) -> Embedding:
    return Embedding(Code(Gives(vector), model="m", path=Path(__file__)), batch=Batch(most=1), thread=THREAD)


async def test_a_vector_is_of_numbers() -> None:
    assert (await embedding((1, 2.5, -3)).embed(["x"])).values == [[1.0, 2.5, -3.0]]


@pytest.mark.parametrize("vector", [None, "abc", [], [None], [True], ["1"], [float("nan")], [float("-inf")], [10**400]])
async def test_what_is_no_vector_is_the_class_s_fault(vector: object) -> None:
    with pytest.raises(ModelFailed, match="embed gave"):
        await embedding(vector).embed(["x"])
