"""One graph in ONNX Runtime: what it takes and gives, and inference with rows of several callers at once."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeAlias

import numpy
import onnxruntime

from farmgate.core.errors import InvalidValue, ModelFailed
from farmgate.engines.engine import Batch
from farmgate.engines.serving.batching import Batcher
from farmgate.wire.triton.tensors import Datatype, Form, Tensor

__all__ = ["CannotLoad", "Feeds", "Graph", "Inferring"]

Feeds: TypeAlias = Mapping[str, Any]
"""Arrays by the names of inputs, or of outputs."""
TYPES: Mapping[str, Datatype] = {
    "tensor(bool)": Datatype.BOOL,
    "tensor(string)": Datatype.BYTES,
    "tensor(float16)": Datatype.FP16,
    "tensor(float)": Datatype.FP32,
    "tensor(double)": Datatype.FP64,
    **{
        f"tensor({sign}int{bits})": Datatype(f"{sign}int{bits}".upper())
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
DTYPES: Mapping[Datatype, str] = {
    Datatype.BYTES: "object",
    Datatype.FP16: "float16",
    Datatype.FP32: "float32",
    Datatype.FP64: "float64",
}
"""numpy's names, where they are not the datatype's own in small letters."""
ERRORS_ONLY = 3


class CannotLoad(Exception):
    """There is no graph that can be asked; the text says why."""


class Unsplit(Exception):
    """What came of several callers' rows has not as many rows: it cannot be shared out."""


class Graph:
    """Loaded when it is made. Raises CannotLoad. Used by one thread.

    `batches`: rows of several callers may go through it together, because its inputs and outputs all begin with a
    dimension of any size. Outputs that are no tensors (lists of dicts, as some converters make) are left out.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CannotLoad(" ".join(str(error).split())[:500]) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if strange := [one.name for one in inputs if one.type not in TYPES]:
            raise CannotLoad(f"its input {strange[0]!r} is no tensor of a kind that JSON can hold")
        tensors = [one for one in outputs if one.type in TYPES]
        if not tensors:
            raise CannotLoad("none of its outputs is a tensor of a kind that JSON can hold")
        self.inputs = [form_of(one) for one in inputs]
        self.outputs = [form_of(one) for one in tensors]
        self.batches = begins_alike(inputs) and all(one.shape and not isinstance(one.shape[0], int) for one in tensors)

    def run(self, feeds: Feeds, wanted: Sequence[str] = ()) -> Feeds:
        """Raises InvalidValue for what the graph cannot be asked, and ModelFailed."""
        names = list(wanted) or [one.name for one in self.outputs]
        try:
            return dict(zip(names, self._session.run(names, feeds), strict=True))
        except Exception as error:
            if type(error).__name__ == "InvalidArgument":
                # Sizes that do not go together, numbers out of a table: told in names of the graph alone.
                raise InvalidValue(f"The graph cannot be asked that: {' '.join(str(error).split())[:500]}") from error
            traceback.print_exception(error)
            raise ModelFailed(f"The graph failed: {type(error).__name__}. Its engine's log tells where.") from error


def form_of(one: Any) -> Form:
    """Dimensions with a name, or with none, are of any size."""
    shape = tuple(size if isinstance(size, int) else -1 for size in one.shape)
    return Form(name=one.name, datatype=TYPES[one.type], shape=shape)


def begins_alike(inputs: Sequence[Any]) -> bool:
    """Whether every input begins with the same dimension, of any size."""
    firsts = {one.shape[0] if one.shape else 1 for one in inputs}
    return len(firsts) == 1 and not isinstance(next(iter(firsts)), int)


class Inferring:
    """Made in the event loop. Inference through the v2 protocol."""

    platform = "onnxruntime_onnx"

    def __init__(self, graph: Graph, *, model: str, batch: Batch, thread: Executor) -> None:
        self._graph = graph
        self._model = model
        self.inputs: Sequence[Form] = graph.inputs
        self.outputs: Sequence[Form] = graph.outputs
        self._may_batch = graph.batches
        self._batcher = Batcher[Feeds, Feeds](self._compute, batch=batch, thread=thread)

    async def infer(self, inputs: Sequence[Tensor], wanted: Sequence[str]) -> Sequence[Tensor]:
        known = [one.name for one in self.outputs]
        for name in wanted:
            if name not in known:
                raise InvalidValue(f"There is no output {name[:100]!r}: there is {', '.join(known)}.", param="outputs")
        check_inputs(inputs, self.inputs, self._model)
        feeds = {tensor.name: array_of(tensor) for tensor in inputs}
        rows = {tensor.shape[0] for tensor in inputs if tensor.shape}
        key: Hashable = object()
        if self._may_batch and len(rows) == 1:
            key = tuple(sorted((tensor.name, tensor.shape[1:]) for tensor in inputs))
        told = await self._batcher.ask(feeds, rows=max(rows, default=1), key=key)
        return [tensor_of(name, told[name]) for name in wanted or known]

    def _compute(self, asked: Sequence[Feeds]) -> list[Feeds]:
        if len(asked) == 1:
            return [self._graph.run(asked[0])]
        sizes = [len(next(iter(feeds.values()))) for feeds in asked]
        together = {name: numpy.concatenate([feeds[name] for feeds in asked]) for name in asked[0]}
        told = self._graph.run(together)
        if any(len(array) != sum(sizes) for array in told.values()):
            # Its own declaration was not true. Everybody is asked for alone now, and from here on.
            self._may_batch = False
            sys.stderr.write(f"{self._model} gives other numbers of rows than it takes: batches are off\n")
            raise Unsplit
        shares: list[Feeds] = []
        at = 0
        for size in sizes:
            shares.append({name: array[at : at + size] for name, array in told.items()})
            at += size
        return shares


def check_inputs(inputs: Sequence[Tensor], forms: Sequence[Form], model: str) -> None:
    """Raise InvalidValue unless these are the graph's inputs, in whatever order."""
    by_name = {form.name: form for form in forms}
    for at, tensor in enumerate(inputs):
        form = by_name.pop(tensor.name, None)
        where = f"inputs[{at}]"
        if form is None:
            names = ", ".join(one.name for one in forms)
            raise InvalidValue(f"`{where}`: {model} takes {names}, not {tensor.name[:100]!r}.", param=where)
        if tensor.datatype is not form.datatype:
            raise InvalidValue(f"`{where}.datatype` must be {form.datatype}.", param=f"{where}.datatype")
        fits = len(tensor.shape) == len(form.shape) and all(
            wanted in (-1, size) for size, wanted in zip(tensor.shape, form.shape, strict=True)
        )
        if not fits:
            told = list(form.shape)
            raise InvalidValue(
                f"`{where}.shape` must be like {told}, where -1 is any size; it is {list(tensor.shape)}.",
                param=f"{where}.shape",
            )
    if by_name:
        raise InvalidValue(f"`inputs` must hold {', '.join(by_name)} too.", param="inputs")


def array_of(tensor: Tensor) -> Any:
    """Raises InvalidValue for a number in JSON that is too large for its datatype."""
    dtype = DTYPES.get(tensor.datatype, tensor.datatype.lower())
    with numpy.errstate(over="ignore"):
        array = numpy.array(tensor.data, dtype=dtype).reshape(tensor.shape)
    if isinstance(tensor.data, list) and array.dtype.kind == "f" and not numpy.isfinite(array).all():
        raise InvalidValue(f"{tensor.name!r} holds a number that is too large for {tensor.datatype}.", param="inputs")
    return array


def tensor_of(name: str, array: Any) -> Tensor:
    kind = "BYTES" if array.dtype.kind in "OUS" else FROM_DTYPE[str(array.dtype)]
    values: Any
    if kind in ("BYTES", "FP16"):
        values = array.ravel().tolist()
    else:
        # Numbers stay as they are: whoever wants bytes of them gets these.
        values = memoryview(numpy.ascontiguousarray(array).reshape(-1))
    if kind == "BYTES":
        values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
    return Tensor(name=name, datatype=Datatype(kind), shape=tuple(array.shape), data=values)


FROM_DTYPE: Mapping[str, str] = {DTYPES.get(kind, kind.lower()): kind for kind in Datatype}
