"""Tensors as KServe's v2 protocol has them, in JSON or behind it: read from whoever asks, written for whoever asked.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from farmgate.core.errors import InvalidType, InvalidValue, MissingParameter, ModelFailed, UnsupportedParameter
from farmgate.wire.strictjson import BOM, encode, refuse
from farmgate.wire.triton.binary import pack, unpack
from farmgate.wire.triton.datatypes import Datatype, Value

__all__ = [
    "Answered",
    "Asked",
    "Datatype",
    "Form",
    "RawAsk",
    "RawTensor",
    "Tensor",
    "Value",
    "decode_asked",
    "encode_answered",
    "encode_metadata",
    "read_raw",
]

NONE = msgspec.Raw(b"")
MOST_DIMENSIONS = 16
MOST_VALUES = 1 << 31
MOST_OF_NOTHING = 1 << 20
"""What the sizes beside a 0 may come to: no data bounds them, and a model may make memory of them."""


KINDS: Mapping[Datatype, type[Value]] = {
    Datatype.BOOL: bool,
    Datatype.BYTES: str,
    Datatype.FP16: float,
    Datatype.FP32: float,
    Datatype.FP64: float,
}
"""What JSON holds of a datatype; whole numbers where nothing is said here."""
RANGES: Mapping[Datatype, tuple[int, int]] = {
    kind: (-(1 << bits - 1), (1 << bits - 1) - 1) if kind.startswith("INT") else (0, (1 << bits) - 1)
    for bits in (8, 16, 32, 64)
    for kind in (Datatype(f"INT{bits}"), Datatype(f"UINT{bits}"))
}
FLAT = {
    kind: msgspec.json.Decoder(list[kind])  # type: ignore[valid-type] # made at run time
    for kind in (bool, int, float, str)
}
NESTED = msgspec.json.Decoder(list[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """`data` is flat, the last dimension of `shape` running fastest: a list, or numbers as a memoryview of them."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    data: Sequence[Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a tensor of a model looks like; -1 stands for a dimension of any size."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An inference that is wanted. `outputs`: only these, in this order; empty: all. `id`: the caller's own name.

    `binary`: of these outputs it is said whether they are to be bytes; of the others `is_binary` says it.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()
    id: str | None = None
    binary: Mapping[str, bool] = field(default_factory=dict)
    is_binary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A body that is written. `json_bytes`: how much of it is JSON; None: all."""

    body: bytes
    json_bytes: int | None = None


class RawTensor(msgspec.Struct):
    """An input; its data is not looked into yet."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = NONE
    parameters: dict[str, object] | None = None


class RawOutput(msgspec.Struct):
    """An output that is wanted."""

    name: str
    parameters: dict[str, object] | None = None


class RawAsk(msgspec.Struct):
    """A body as it came."""

    inputs: list[RawTensor]
    outputs: list[RawOutput] | None = None
    id: str | None = None
    parameters: dict[str, object] | None = None


decode_raw = msgspec.json.Decoder(RawAsk).decode
SIZE, BINARY, ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
HINTS = frozenset((ALL_BINARY, "priority", "timeout"))
"""Parameters of a request without which the answer says the same."""


def read_raw(body: bytes, json_bytes: int | None = None) -> RawAsk:
    """A body of the form it should have; what is in the tensors is not looked at. Raises a BadRequest.

    `json_bytes`: how much of it is JSON, where binary data is behind it.
    """
    if json_bytes is not None:
        body = body[:json_bytes]
    try:
        if not body.isascii():
            body.decode()
        raw = decode_raw(body.removeprefix(BOM))
    except msgspec.ValidationError as error:
        raise InvalidType(f"The body is not an inference request: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(body, error)
    if json_bytes is None and any(SIZE in (tensor.parameters or ()) for tensor in raw.inputs):
        raise InvalidValue(
            "A tensor is binary: say in the header Inference-Header-Content-Length where the JSON ends.", param="inputs"
        )
    refuse_parameters(raw)
    return raw


def refuse_parameters(raw: RawAsk) -> None:
    """Raise UnsupportedParameter for a parameter that would change the answer."""
    told = [
        *((name, "parameters") for name in raw.parameters or () if name not in HINTS),
        *(
            (name, f"inputs[{at}].parameters")
            for at, tensor in enumerate(raw.inputs)
            for name in tensor.parameters or ()
            if name != SIZE
        ),
        *(
            (name, f"outputs[{at}].parameters")
            for at, output in enumerate(raw.outputs or ())
            for name in output.parameters or ()
            if name != BINARY
        ),
    ]
    for name, where in told:
        raise UnsupportedParameter(f"`{where}.{name[:100]}` is not known here: leave it out.", param=where)


def decode_asked(body: bytes, json_bytes: int | None = None) -> Asked:
    """A body with all that is in it, as `read_raw` has it. Raises a BadRequest that names the tensor."""
    raw = read_raw(body, json_bytes)
    behind = memoryview(body)[len(body) if json_bytes is None else json_bytes :]
    tensors = []
    for at, tensor in enumerate(raw.inputs):
        size = size_of(tensor, len(behind), f"inputs[{at}]")
        tensors.append(tensor_of(tensor, None if size is None else behind[:size], f"inputs[{at}]"))
        behind = behind[size or 0 :]
    if len(behind):
        raise InvalidValue(f"{len(behind)} bytes behind the last tensor belong to none.", param="inputs")
    inputs = tuple(tensors)
    names = [tensor.name for tensor in inputs]
    for name in names:
        if names.count(name) > 1:
            raise InvalidValue(f"`inputs` names {name[:100]!r} twice.", param="inputs")
    outputs = raw.outputs or ()
    return Asked(
        inputs=inputs,
        outputs=tuple(output.name for output in outputs),
        id=raw.id,
        binary={one.name: one.parameters[BINARY] is True for one in outputs if BINARY in (one.parameters or {})},  # type: ignore[index] # looked at first
        is_binary=(raw.parameters or {}).get(ALL_BINARY) is True,
    )


def size_of(raw: RawTensor, left: int, where: str) -> int | None:
    """How many of the bytes that are left are a tensor's; None where its data is JSON. Raises InvalidValue."""
    size = (raw.parameters or {}).get(SIZE)
    if size is None:
        return None
    if type(size) is not int or not 0 <= size <= left or raw.data is not NONE:
        raise InvalidValue(
            f"`{where}.parameters.{SIZE}` must be a number of bytes that are there, in place of `data`.",
            param=f"{where}.parameters",
        )
    return size


def tensor_of(raw: RawTensor, binary: memoryview | None, where: str) -> Tensor:
    """`binary`: its data, where that is not JSON. Raises a BadRequest."""
    try:
        datatype = Datatype(raw.datatype)
    except ValueError:
        known = ", ".join(Datatype)
        raise InvalidValue(f"`{where}.datatype` must be one of {known}.", param=f"{where}.datatype") from None
    shape = tuple(raw.shape)
    if not is_plausible(shape):
        raise InvalidValue(
            f"`{where}.shape` must be up to {MOST_DIMENSIONS} sizes of 0 or more, and no larger than can be.",
            param=f"{where}.shape",
        )
    if binary is not None:
        values = unpack(binary, datatype, math.prod(shape), where)
        return Tensor(name=raw.name, datatype=datatype, shape=shape, data=values)
    if raw.data is NONE or bytes(raw.data) == b"null":
        raise MissingParameter(f"`{where}.data` is required.", param=f"{where}.data")
    values = values_of(bytes(raw.data), KINDS.get(datatype, int), shape, f"{where}.data")
    low, high = RANGES.get(datatype, (0, 0))
    if high and values and not (low <= cast("int", min(values)) and cast("int", max(values)) <= high):
        raise InvalidValue(f"`{where}.data` holds a number that is no {datatype}.", param=f"{where}.data")
    return Tensor(name=raw.name, datatype=datatype, shape=shape, data=values)


def is_plausible(shape: Sequence[int]) -> bool:
    if len(shape) > MOST_DIMENSIONS or any(not 0 <= size <= MOST_VALUES for size in shape):
        return False
    return 0 not in shape or math.prod(size for size in shape if size) <= MOST_OF_NOTHING


def values_of(data: bytes, kind: type[Value], shape: Sequence[int], where: str) -> list[Value]:
    """The values in their order, from a flat list or one that is nested as the shape is. Raises a BadRequest."""
    count = math.prod(shape)
    try:
        # Nearly always flat, and then read and checked in one go.
        values: list[Value] = FLAT[kind].decode(data)
    except msgspec.ValidationError as error:
        values = unnested(data, kind, shape, where, error)
    if len(values) != count:
        told = " x ".join(map(str, shape)) or "no dimension"
        raise InvalidValue(f"`{where}` holds {len(values)} values; its shape, {told}, {count}.", param=where)
    return values


def unnested(
    data: bytes, kind: type[Value], shape: Sequence[int], where: str, flat: msgspec.ValidationError
) -> list[Value]:
    """The values of a nested list. Raises InvalidType where that is not what it is; `flat`: why it is no flat one."""
    try:
        level = NESTED.decode(data)
        if not level or type(level[0]) is not list:
            raise InvalidType(f"`{where}`: {flat}.", param=where) from flat
        for size in shape[1:]:
            if not all(type(row) is list and len(row) == size for row in level):
                raise InvalidValue(f"`{where}` is not nested as its shape says.", param=where)
            level = [value for row in level for value in row]
        return cast("list[Value]", msgspec.convert(level, list[kind]))  # type: ignore[valid-type] # chosen at run time
    except msgspec.ValidationError as error:
        raise InvalidType(f"`{where}`: {error}.", param=where) from error


def encode_answered(outputs: Sequence[Tensor], asked: Asked, *, model: str, version: str) -> Answered:
    """The answer to what was asked. Raises ModelFailed for what JSON has no number for."""
    told: dict[str, object] = {"model_name": model, "model_version": version}
    if asked.id is not None:
        told["id"] = asked.id
    behind: list[bytes] = []
    written: list[dict[str, object]] = []
    for one in outputs:
        form: dict[str, object] = {"name": one.name, "shape": one.shape, "datatype": one.datatype}
        if asked.binary.get(one.name, asked.is_binary):
            behind.append(pack(one.data, one.datatype))
            written.append(form | {"parameters": {SIZE: len(behind[-1])}})
        else:
            written.append(form | {"data": data_of(one, model)})
    body = encode(told | {"outputs": written})
    return Answered(body=body) if not behind else Answered(body=b"".join((body, *behind)), json_bytes=len(body))


def data_of(tensor: Tensor, model: str) -> Sequence[Value]:
    """What JSON is made of. Raises ModelFailed."""
    data = tensor.data.tolist() if isinstance(tensor.data, memoryview) else tensor.data
    if KINDS.get(tensor.datatype) is float and not all(map(math.isfinite, cast("Sequence[float]", data))):
        raise ModelFailed(f"{model} gave a number in {tensor.name!r} that JSON does not have: not finite.")
    return data


def encode_metadata(
    *, model: str, version: str, platform: str, inputs: Sequence[Form], outputs: Sequence[Form]
) -> bytes:
    """What a model takes and gives."""

    def forms(of: Sequence[Form]) -> list[dict[str, object]]:
        return [{"name": one.name, "datatype": one.datatype, "shape": one.shape} for one in of]

    told = {"name": model, "versions": [version], "platform": platform}
    return encode({**told, "inputs": forms(inputs), "outputs": forms(outputs)})
