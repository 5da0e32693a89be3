"""Tensors as the plain values that `predict` gets, one for each row, and what it gives as tensors again."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import cast

from farmgate.core.errors import InvalidValue
from farmgate.wire.triton.tensors import MOST_DIMENSIONS, Datatype, Tensor, Value

__all__ = ["NoTensor", "form_of", "is_unicode", "items_of", "plain", "tensors_of"]

OUTPUT = "output"
INT64 = (-(1 << 63), (1 << 63) - 1)


class NoTensor(Exception):
    """Results that make no tensor; the text says why."""


def items_of(inputs: Sequence[Tensor]) -> list[object]:
    """One item for each row along the first dimension: a value, or lists as deep as the other dimensions.

    Of several tensors an item is a dict, by their names. Raises InvalidValue.
    """
    if not inputs:
        raise InvalidValue("`inputs` must hold a tensor.", param="inputs")
    for at, tensor in enumerate(inputs):
        if not tensor.shape or 0 in tensor.shape:
            raise InvalidValue(
                f"`inputs[{at}].shape` must begin with how many inputs there are, and hold no 0.",
                param=f"inputs[{at}].shape",
            )
        if tensor.shape[0] != inputs[0].shape[0]:
            raise InvalidValue(
                f"`inputs[{at}]` has {tensor.shape[0]} rows, and `inputs[0]` {inputs[0].shape[0]}.",
                param=f"inputs[{at}].shape",
            )
    columns = {tensor.name: nested(tensor.data, tensor.shape) for tensor in inputs}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def form_of(inputs: Sequence[Tensor]) -> Hashable:
    """What inputs must have in common to be computed together: all but how many there are."""
    return tuple((tensor.name, tensor.datatype, tensor.shape[1:]) for tensor in inputs)


def nested(values: Sequence[Value], shape: Sequence[int]) -> list[object]:
    if len(shape) == 1:
        return list(values)
    step = math.prod(shape[1:])
    return [nested(values[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


def plain(value: object) -> object:
    """The same in Python's own types: arrays of whatever library say what they hold by `tolist`."""
    told = getattr(value, "tolist", None)
    if callable(told):
        return told()
    return list(value) if isinstance(value, tuple) else value


def tensors_of(results: Sequence[object]) -> list[Tensor]:
    """One tensor `output`, or of dicts one for each name in them. Raises NoTensor."""
    rows = [plain(result) for result in results]
    if not any(isinstance(row, dict) for row in rows):
        return [tensor_of(OUTPUT, rows)]
    first = cast("dict[object, object]", rows[0])
    if not all(isinstance(row, dict) and row.keys() == first.keys() for row in rows):
        raise NoTensor("some results are dicts, with other names than the first")
    return [tensor_of(str(name), [plain(cast("dict[object, object]", row)[name]) for row in rows]) for name in first]


def tensor_of(name: str, rows: list[object]) -> Tensor:
    if not is_unicode(name):
        raise NoTensor(f"{name!r} is no name: half a character is in it")
    shape = [len(rows)]
    level = rows
    while level and isinstance(level[0], list):
        if len(shape) == MOST_DIMENSIONS:
            # A list that holds itself has no end.
            raise NoTensor(f"{name!r} has more than {MOST_DIMENSIONS} dimensions")
        size = len(level[0])
        if not all(isinstance(row, list) and len(row) == size for row in level):
            raise NoTensor(f"the rows of {name!r} are not of one size")
        shape.append(size)
        level = [plain(value) for row in level for value in cast("list[object]", row)]
    return Tensor(name=name, datatype=datatype_of(name, level), shape=tuple(shape), data=cast("list[Value]", level))


def datatype_of(name: str, values: Sequence[object]) -> Datatype:
    kinds = set(map(type, values))
    match kinds:
        case _ if kinds <= {str}:
            if not is_unicode(name, *cast("Sequence[str]", values)):
                raise NoTensor(f"{name!r} holds a text with half a character in it, which is no Unicode")
            return Datatype.BYTES
        case _ if kinds == {bool}:
            return Datatype.BOOL
        case _ if kinds == {int}:
            numbers = cast("Sequence[int]", values)
            if min(numbers) < INT64[0] or max(numbers) > INT64[1]:
                raise NoTensor(f"{name!r} holds a number of more than 64 bits")
            return Datatype.INT64
        case _ if kinds <= {int, float}:
            return Datatype.FP64
    told = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise NoTensor(f"{name!r} holds {told}: a tensor is of numbers, of texts, or of true and false")


def is_unicode(*texts: str) -> bool:
    """Whether texts can be sent: Python's own may hold half of a pair of surrogates."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True
