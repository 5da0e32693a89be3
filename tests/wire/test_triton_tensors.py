"""Tensors in JSON: read from anybody, refused by name, written as they were read."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import (
    BadRequest,
    FarmError,
    InvalidJson,
    InvalidType,
    InvalidUnicode,
    InvalidValue,
    MissingParameter,
    ModelFailed,
    NotFound,
    UnsupportedParameter,
    UpstreamInvalidResponse,
)
from farmgate.core.event import Vector
from farmgate.core.words import Embed
from farmgate.wire.triton.binary import pack
from farmgate.wire.triton.bodies import (
    Address,
    InferBody,
    decode_body,
    decode_inferred,
    read_address,
    read_length,
)
from farmgate.wire.triton.errors import encode_error
from farmgate.wire.triton.infer import Tensors, decode_infer, encode_infer
from farmgate.wire.triton.tensors import Asked, Datatype, Form, Tensor, decode_asked, encode_answered, encode_metadata

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def body(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def one(data: object, *, shape: object = None, datatype: str = "FP32", name: str = "x") -> dict[str, Any]:
    size = len(data) if isinstance(data, list) else 1
    return {"name": name, "shape": [size] if shape is None else shape, "datatype": datatype, "data": data}


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        (one([1, 2.5]), [1.0, 2.5]),
        (one([1, 2, 3, 4], shape=[2, 2]), [1.0, 2.0, 3.0, 4.0]),
        (one([[1, 2], [3, 4]], shape=[2, 2]), [1.0, 2.0, 3.0, 4.0]),
        (one([[[1], [2]], [[3], [4]]], shape=[2, 2, 1]), [1.0, 2.0, 3.0, 4.0]),
        (one(["a", "\u00e9"], datatype="BYTES"), ["a", "\u00e9"]),
        (one([["a"], ["b"]], shape=[2, 1], datatype="BYTES"), ["a", "b"]),
        (one([True, False], datatype="BOOL"), [True, False]),
        (one([-128, 127], datatype="INT8"), [-128, 127]),
        (one([2**64 - 1], datatype="UINT64"), [2**64 - 1]),
        (one([7], shape=[], datatype="INT64"), [7]),
        (one([], shape=[0, 4]), []),
    ],
)
def test_a_tensor_is_read_flat_or_nested(asked: dict[str, Any], values: list[object]) -> None:
    (tensor,) = decode_asked(body(asked)).inputs
    assert list(tensor.data) == values
    assert [type(value) for value in tensor.data] == [type(value) for value in values]
    assert tensor.shape == tuple(asked["shape"])
    assert tensor.datatype == asked["datatype"]


def test_what_else_is_asked_is_read() -> None:
    asked = decode_asked(body(one([1]), id="7", outputs=[{"name": "y", "parameters": {"binary_data": True}}]))
    assert (asked.id, asked.outputs) == ("7", ("y",))
    assert (asked.binary, asked.is_binary) == ({"y": True}, False)
    every = decode_asked(body(parameters={"binary_data_output": True}))
    assert (every.inputs, every.is_binary) == ((), True)


@pytest.mark.parametrize(
    ("raw", "error", "told"),
    [
        (b"", InvalidJson, "empty"),
        (b"{", InvalidJson, "not valid JSON"),
        (b'{"inputs": [\xff]}', InvalidUnicode, ""),
        (b"[]", InvalidType, "not an inference request"),
        (b"{}", InvalidType, "`inputs`"),
        (body({"name": "x"}), InvalidType, "$.inputs[0]"),
        (body(one([1], shape=["1"])), InvalidType, "$.inputs[0].shape[0]"),
        (body(one([1], datatype="FLOAT")), InvalidValue, "`inputs[0].datatype` must be one of BOOL"),
        (body(one([1], shape=[-1])), InvalidValue, "inputs[0].shape"),
        (body(one([1], shape=[1] * 17)), InvalidValue, "inputs[0].shape"),
        (body(one([], shape=[0, 1 << 31])), InvalidValue, "inputs[0].shape"),
        (body(one([1], shape=[2])), InvalidValue, "holds 1 values; its shape, 2, 2"),
        (body(one([1, 2], shape=[])), InvalidValue, "no dimension, 1"),
        (body(one([[1], [2, 3]], shape=[2, 1])), InvalidValue, "not nested as its shape says"),
        (body(one([[1], 2], shape=[2, 1])), InvalidValue, "not nested as its shape says"),
        (body(one([[1, 2]], shape=[2])), InvalidType, "inputs[0].data"),
        (body(one(["a"])), InvalidType, "inputs[0].data"),
        (body(one([["a"]], shape=[1, 1])), InvalidType, "inputs[0].data"),
        (body(one([1.5], datatype="INT8")), InvalidType, "inputs[0].data"),
        (body(one([1], datatype="BOOL")), InvalidType, "inputs[0].data"),
        (body(one([True], datatype="INT8")), InvalidType, "inputs[0].data"),
        (body(one([128], datatype="INT8")), InvalidValue, "no INT8"),
        (body(one([-1], datatype="UINT8")), InvalidValue, "no UINT8"),
        (body(one([1], name="x"), one([1], name="x")), InvalidValue, "names 'x' twice"),
        (body({**one([1]), "data": None}), MissingParameter, "inputs[0].data"),
        (body({"name": "x", "shape": [1], "datatype": "FP32"}), MissingParameter, "inputs[0].data"),
        (
            body({"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}),
            InvalidValue,
            "say in the header Inference-Header-Content-Length",
        ),
        (body({**one([1]), "parameters": {"content_type": "base64"}}), UnsupportedParameter, "content_type"),
        (body(one([1]), parameters={"sequence_id": 1}), UnsupportedParameter, "sequence_id"),
        (
            body(one([1]), outputs=[{"name": "y", "parameters": {"classification": 3}}]),
            UnsupportedParameter,
            "classification",
        ),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, error: type[FarmError], told: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        decode_asked(raw)
    assert type(refusal.value) is error
    assert told in refusal.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@steady
@given(data=JSON, shape=st.lists(st.integers(-1, 4), max_size=4), datatype=st.sampled_from([*Datatype, "X"]))
def test_whatever_comes_is_a_tensor_or_the_caller_s_mistake(data: object, shape: list[int], datatype: str) -> None:
    try:
        (tensor,) = decode_asked(body(one(data, shape=shape, datatype=datatype))).inputs
    except BadRequest:
        return
    assert len(tensor.data) == math.prod(tensor.shape)


@steady
@given(st.binary(max_size=60) | JSON.map(lambda told: json.dumps(told).encode()))
def test_any_bytes_are_a_request_or_the_caller_s_mistake(raw: bytes) -> None:
    try:
        decode_asked(raw)
    except BadRequest:
        return


def test_an_answer_reads_back() -> None:
    output = Tensor(name="y", datatype=Datatype.FP32, shape=(1, 2), data=[0.5, 1.0])
    answered = encode_answered([output], Asked(inputs=(), id="7"), model="m", version="3")
    assert answered.json_bytes is None
    assert json.loads(answered.body) == {
        "model_name": "m",
        "model_version": "3",
        "id": "7",
        "outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.0]}],
    }


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_not_is_no_answer(number: float) -> None:
    output = Tensor(name="y", datatype=Datatype.FP64, shape=(1,), data=[number])
    with pytest.raises(ModelFailed, match="not finite"):
        encode_answered([output], Asked(inputs=()), model="m", version="1")
    assert encode_answered([output], Asked(inputs=(), is_binary=True), model="m", version="1").json_bytes


def test_metadata_says_what_a_model_takes_and_gives() -> None:
    form = Form(name="x", datatype=Datatype.FP32, shape=(-1, 4))
    told = json.loads(encode_metadata(model="m", version="1", platform="p", inputs=[form], outputs=[]))
    forms = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert told == {"name": "m", "versions": ["1"], "platform": "p", "inputs": forms, "outputs": []}


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/v2/models/m", Address(model="m")),
        ("/v2/models/m/ready", Address(model="m", action="ready")),
        ("/v2/models/m/infer", Address(model="m", action="infer")),
        ("/v2/models/m/versions/2", Address(model="m", version="2")),
        ("/v2/models/m/versions/2/infer", Address(model="m", version="2", action="infer")),
        ("/v2/models/local/m/versions/2/ready", Address(model="local/m", version="2", action="ready")),
        ("/v2/models/", None),
        ("/v2/repository", None),
    ],
)
def test_an_address_names_a_model_its_version_and_what_to_do(path: str, address: Address | None) -> None:
    assert read_address(path) == address


def test_a_body_on_its_way_is_the_caller_s_own() -> None:
    raw = body(one([1]))
    on_its_way = decode_body(raw, "2")
    assert (on_its_way.raw, on_its_way.version) == (raw, "2")
    with pytest.raises(UnsupportedParameter):
        on_its_way.ask()
    assert on_its_way.own_name("x") == "x"
    with pytest.raises(BadRequest):
        decode_body(b"{}", None)
    assert InferBody(raw=b"").stream is False


def test_an_answer_on_its_way_is_the_engine_s_own() -> None:
    assert decode_inferred(b'{"outputs": []}', provider="local").raw == b'{"outputs": []}'
    binary = decode_inferred(b'{"outputs": []}\xff', provider="local", json_bytes=15)
    assert (binary.raw, binary.json_bytes) == (b'{"outputs": []}\xff', 15)
    for nonsense in (b"{}", b"[]", b"no", b'{"outputs": "\xff"}'):
        with pytest.raises(UpstreamInvalidResponse):
            decode_inferred(nonsense, provider="local")


def behind(*tensors: tuple[str, list[int], bytes], extra: bytes = b"") -> tuple[bytes, int]:
    """A body with binary tensors, each of a datatype, a shape and its bytes, and how much of it is JSON."""
    inputs = [
        {"name": f"x{at}", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
        for at, (datatype, shape, data) in enumerate(tensors)
    ]
    told = body(*inputs)
    return told + b"".join(data for _, _, data in tensors) + extra, len(told)


VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 1],
    "INT32": [-(2**31), 1],
    "INT64": [-(2**63), 1],
    "FP16": [-0.5, 2.0],
    "FP32": [-0.5, 2.0],
    "FP64": [-0.1, 2.0],
    "BYTES": ["", "\u00e9t\u00e9"],
}


@pytest.mark.parametrize("datatype", Datatype)
def test_binary_data_is_what_it_was(datatype: Datatype) -> None:
    values = VALUES[datatype]
    packed = pack(values, datatype)
    raw, json_bytes = behind((datatype, [2], packed), ("FP32", [1], b"\0\0\x80?"))
    first, second = decode_asked(raw, json_bytes).inputs
    assert list(first.data) == values
    assert list(second.data) == [1.0]
    again = encode_answered([first, second], Asked(inputs=(), binary={first.name: True}), model="m", version="1")
    assert again.json_bytes is not None
    assert again.body[again.json_bytes :] == packed
    told = json.loads(again.body[: again.json_bytes])["outputs"]
    assert told[0]["parameters"] == {"binary_data_size": len(packed)}
    assert "data" not in told[0]
    assert told[1]["data"] == [1.0]


@pytest.mark.parametrize(
    ("raw", "json_bytes"),
    [
        behind(("FP32", [2], b"\0" * 7)),
        behind(("FP32", [2], b"\0" * 12)),
        behind(("FP32", [1], b"\0" * 4), extra=b"x"),
        behind(("BYTES", [2], b"\1\0\0\0a")),
        behind(("BYTES", [1], b"\2\0\0\0a")),
        behind(("BYTES", [1], b"\2\0")),
        behind(("BYTES", [1], b"\1\0\0\0\xff")),
        behind(("BYTES", [0], b"\0\0\0\0")),
    ],
)
def test_binary_data_of_another_size_is_refused(raw: bytes, json_bytes: int) -> None:
    with pytest.raises(InvalidValue):
        decode_asked(raw, json_bytes)


@pytest.mark.parametrize("size", [-1, 1.5, True, "4", 5])
def test_binary_data_is_as_much_as_is_said(size: object) -> None:
    told = body({"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": size}})
    with pytest.raises(InvalidValue):
        decode_asked(told + b"\0" * 4, len(told))
    both = body({**one([1]), "parameters": {"binary_data_size": 4}})
    with pytest.raises(InvalidValue):
        decode_asked(both + b"\0" * 4, len(both))


@steady
@given(st.sampled_from(Datatype), st.lists(st.integers(0, 3), max_size=3), st.binary(max_size=30))
def test_any_bytes_behind_a_body_are_a_tensor_or_the_caller_s_mistake(
    datatype: Datatype, shape: list[int], data: bytes
) -> None:
    raw, json_bytes = behind((datatype, shape, data))
    try:
        (tensor,) = decode_asked(raw, json_bytes).inputs
    except BadRequest:
        return
    assert len(tensor.data) == math.prod(tensor.shape)


@pytest.mark.parametrize(
    ("told", "length"), [(None, None), (b"0", 0), (b"7", 7), (b"8", None), (b"-1", None), (b"x", None), (b"", None)]
)
def test_where_the_json_ends_is_said_in_a_header(told: bytes | None, length: int | None) -> None:
    if told is None or length is not None:
        assert read_length(told, 7) == length
    else:
        with pytest.raises(BadRequest):
            read_length(told, 7)


def test_an_error_is_told_in_the_protocol_s_form() -> None:
    assert json.loads(encode_error(NotFound("There is no m."))) == {"error": "There is no m."}


def test_what_our_client_asks_our_server_reads_and_the_other_way_round() -> None:
    tensors = Tensors(input="text", output="vector", is_batched=False)
    asked = decode_asked(encode_infer(Embed(inputs=("a", "b")), tensors, provider="p").body)
    assert [(one.name, one.shape, list(one.data)) for one in asked.inputs] == [("text", (2,), ["a", "b"])]
    assert asked.outputs == ("vector",)
    output = Tensor(name="vector", datatype=Datatype.FP32, shape=(2, 2), data=[1.0, 0.0, 0.0, 1.0])
    told = encode_answered([output], asked, model="m", version="1").body
    event = decode_infer(told, tensors, texts=2, provider="p")
    assert event.parts == (Vector((1.0, 0.0), 0), Vector((0.0, 1.0), 1))
