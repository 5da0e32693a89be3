"""A class as a model: `predict` for tensors and `embed` for texts, each called with what several callers sent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import Executor

from farmgate.engines.engine import Batch
from farmgate.engines.python.code import Code
from farmgate.engines.python.items import NoTensor, form_of, items_of, plain, tensors_of
from farmgate.engines.serving.batching import Batcher
from farmgate.engines.serving.vectors import Vectors
from farmgate.wire.triton.tensors import Form, Tensor

__all__ = ["BYTES_PER_TOKEN", "Embedding", "Predicting"]

MOST = sys.float_info.max
BYTES_PER_TOKEN = 4
"""Code tells no tokens: what the gate takes where nobody tells."""


class Predicting:
    """Made in the event loop. The class says nothing of what it takes and gives: whatever comes is handed on."""

    platform = "python"
    inputs: Sequence[Form] = ()
    outputs: Sequence[Form] = ()

    def __init__(self, code: Code, *, batch: Batch, thread: Executor) -> None:
        self._code = code
        self._most = batch.most
        self._batcher = Batcher[list[object], list[object]](self._compute, batch=batch, thread=thread)

    async def infer(self, inputs: Sequence[Tensor], wanted: Sequence[str]) -> Sequence[Tensor]:
        items = items_of(inputs)
        form = form_of(inputs)
        # More than one batch takes are several.
        parts = [items[at : at + self._most] for at in range(0, len(items), self._most)]
        results = await asyncio.gather(*(self._batcher.ask(part, rows=len(part), key=form) for part in parts))
        try:
            return tensors_of([result for part in results for result in part])
        except NoTensor as error:
            raise self._code.failed(f"predict gave results that make no tensor: {error}") from error

    def _compute(self, payloads: Sequence[list[object]]) -> list[list[object]]:
        items = [item for payload in payloads for item in payload]
        results = listed(self._code, "predict", items)
        told, at = [], 0
        for payload in payloads:
            told.append(results[at : at + len(payload)])
            at += len(payload)
        return told


class Embedding:
    """Made in the event loop."""

    def __init__(self, code: Code, *, batch: Batch, thread: Executor) -> None:
        self._code = code
        self._batcher = Batcher[str, list[float]](self._compute, batch=batch, thread=thread)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = await asyncio.gather(*(self._batcher.ask(text, rows=1) for text in texts))
        return Vectors(vectors, sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN)

    def _compute(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vector(plain(each)) for each in listed(self._code, "embed", list(texts))]

    def _vector(self, values: object) -> list[float]:
        if not isinstance(values, list) or not values:
            raise self._code.failed(f"embed gave {type(values).__name__}, where a list of numbers should be")
        numbers = [plain(value) for value in values]
        if not all(map(is_finite, numbers)):
            raise self._code.failed("embed gave a vector with something in it that is no finite number")
        return [float(one) for one in numbers]  # type: ignore[arg-type] # they are numbers


def is_finite(value: object) -> bool:
    """Whether it is a number that JSON has, and no larger than a float can be."""
    return type(value) in (int, float) and -MOST <= value <= MOST  # type: ignore[operator] # looked at first


def listed(code: Code, method: str, items: list[object] | list[str]) -> list[object]:
    """What the method gives, which must be one result for each item. Raises ModelFailed."""
    results = plain(code.call(method, items))
    if not isinstance(results, list):
        raise code.failed(f"{method} gave {type(results).__name__}, where a list should be")
    if len(results) != len(items):
        raise code.failed(f"{method} gave {len(results)} results for {len(items)} inputs")
    return results
