"""What a body must be to be read as a JSON object, and what is told to whoever sends something else."""

from __future__ import annotations

import contextlib
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import BadRequest, DuplicateKey, JsonTooDeep
from farmgate.wire.strictjson import JsonLimits, decode_object

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=6)

REFUSED = {
    "empty": (b"", "invalid_json", None),
    "only space": (b" \n\t", "invalid_json", None),
    "only a byte order mark": (b"\xef\xbb\xbf", "invalid_json", None),
    "not JSON": (b"hello", "invalid_json", None),
    "cut off": (b'{"model":"m"', "invalid_json", None),
    "trailing garbage": (b'{"a":1}x', "invalid_json", None),
    "two objects": (b'{"a":1}{"a":1}', "invalid_json", None),
    "trailing comma": (b'{"a":1,}', "invalid_json", None),
    "single quotes": (b"{'a':1}", "invalid_json", None),
    "a comment": (b'{"a":1 /* one */}', "invalid_json", None),
    "leading zero": (b'{"a":01}', "invalid_json", None),
    "unknown escape": (b'{"a":"\\x"}', "invalid_json", None),
    "newline in a string": (b'{"a":"\n"}', "invalid_json", None),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "invalid_json", None),
    "UTF-16 without a mark": ('{"a":1}'.encode("utf-16-le"), "invalid_json", None),
    "big-endian UTF-16": ('{"a":1}'.encode("utf-16-be"), "invalid_json", None),
    "UTF-32": ('{"a":1}'.encode("utf-32"), "invalid_json", None),
    "not UTF-8": (b'{"a":"\xff"}', "invalid_unicode", None),
    "overlong UTF-8": (b'{"a":"\xc0\xaf"}', "invalid_unicode", None),
    "cut UTF-8": (b'{"a":"\xe2\x82"}', "invalid_unicode", None),
    "an encoded surrogate": (b'{"a":"\xed\xa0\x80"}', "invalid_unicode", None),
    "a lone surrogate": (b'{"a":"\\ud800"}', "invalid_unicode", None),
    "surrogates in the wrong order": (b'{"a":"\\udc00\\ud800"}', "invalid_unicode", None),
    "NUL": (b'{"a":["\\u0000"]}', "invalid_unicode", None),
    "NUL in a key": (b'{"a":{"\\u0000":1}}', "invalid_unicode", None),
    "NUL as it is": (b'{"a":"\0"}', "invalid_unicode", None),
    "NaN": (b'{"temperature":NaN}', "invalid_number", "temperature"),
    "Infinity": (b'{"temperature":Infinity}', "invalid_number", "temperature"),
    "-Infinity": (b'{"a":1,"temperature":-Infinity}', "invalid_number", "temperature"),
    "1e999": (b'{"temperature":1e999}', "invalid_number", "temperature"),
    "5000 digits": (b'{"seed":' + b"1" * 5000 + b"}", "invalid_number", "seed"),
    "5000 digits after a NaN": (b'{"a":NaN,"seed":' + b"1" * 5000 + b"}", "invalid_number", "a"),
    "NaN in a list": (b'{"a":[NaN]}', "invalid_number", None),
    "NaN alone": (b"NaN", "invalid_number", None),
    "100,000 open brackets": (b'{"a":' + b"[" * 100_000, "json_too_deep", None),
    "100,000 pairs of brackets": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json_too_deep", None),
    "100,001 values": (b'{"a":[' + b",".join([b"1"] * 100_000) + b"]}", "json_too_deep", None),
    "a list": (b"[]", "invalid_type", None),
    "null": (b"null", "invalid_type", None),
    "a number": (b"1", "invalid_type", None),
    "a string": (b'"a"', "invalid_type", None),
    "a boolean": (b"true", "invalid_type", None),
    "two models": (b'{"model":"a","model":"b"}', "duplicate_key", "model"),
}


@pytest.mark.parametrize(("body", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_each_kind_of_malformed_body_is_told_apart(body: bytes, code: str, param: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_object(body)
    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")
    assert (caught.value.code, caught.value.param) == (code, param)
    assert len(caught.value.message) <= 200


def test_a_byte_order_mark_is_no_fault() -> None:
    assert decode_object(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@steady
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_an_object_or_a_bad_request(body: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(decode_object(body), dict)


PIECES = st.sampled_from(
    [
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b",",
            b'"',
            b'"a"',
            b'"b"',
            b'"":',
            b"1",
            b"1e999",
            b"-",
            b".5",
            b"NaN",
            b"null",
        ),
        *(b" ", b"\n", b"\\", b"\\u0000", b"\\ud800", b"\xff", b"\xef\xbb\xbf", b"\0"),
    ]
)


@steady
@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_bytes_that_look_like_json_are_an_object_or_a_bad_request(body: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert decode_object(body) == json.loads(body.removeprefix(b"\xef\xbb\xbf"))


@steady
@given(
    OBJECTS, st.sampled_from([None, 1, "\t"]), st.sampled_from([":", ": ", " : ", "\n:\n", '\t:"'[:2]]), st.booleans()
)
def test_valid_objects_survive_however_they_are_spaced(
    value: dict[str, object], indent: int | str | None, colon: str, ascii_only: bool
) -> None:
    body = json.dumps(value, indent=indent, separators=(",", colon), ensure_ascii=ascii_only).encode()
    assert decode_object(body) == value


@pytest.mark.parametrize("first", ['"a":1', '"a" :1', '"a"\n\t :1', '"\\u0061":1'])
@pytest.mark.parametrize("second", ['"a":2', '"a" :2', '"a"\r\n:2'])
@pytest.mark.parametrize("around", ["%s", '"x":[0,{%s}]', '"x":{"y":[[{%s}]]}', '"p" :"q","r" :"s",%s'])
def test_a_key_named_twice_is_found_at_any_level_and_in_any_spacing(first: str, second: str, around: str) -> None:
    with pytest.raises(DuplicateKey) as caught:
        decode_object(("{" + around % f"{first},{second}" + "}").encode())
    assert caught.value.param == "a"


@steady
@given(OBJECTS, st.sampled_from([":", " :", "\t: "]), st.data())
def test_no_spacing_hides_a_key_named_twice(value: dict[str, object], colon: str, data: st.DataObject) -> None:
    value = {"a": 1} | value
    twice = data.draw(st.sampled_from(sorted(value)))
    pairs = [
        json.dumps(name) + data.draw(st.sampled_from([":", colon])) + json.dumps(held) for name, held in value.items()
    ]
    at = data.draw(st.integers(0, len(pairs)))
    pairs.insert(at, f"{json.dumps(twice)}:0")
    with pytest.raises(DuplicateKey):
        decode_object(("{" + ",".join(pairs) + "}").encode())


@pytest.mark.parametrize(
    "text", ['":', '{"a":1,"a":2}', '"model":"x"', ':"', "Bonjour : ça va ?", '\\":', '" :', '"\n:', "the end\\"]
)
def test_prose_that_quotes_json_is_not_taken_for_a_key_named_twice(text: str) -> None:
    value = {"messages": [{"role": "user", "content": text}], text: text}
    assert decode_object(json.dumps(value).encode()) == value
    assert decode_object(json.dumps(value, separators=(",", ":")).encode()) == value


@pytest.mark.parametrize("opening", ["[", '{"k":'])
def test_the_limit_of_depth_is_exact(opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def nested(levels: int) -> bytes:
        return ('{"a":' + opening * (levels - 1) + "0" + closing * (levels - 1) + "}").encode()

    assert decode_object(nested(64))
    with pytest.raises(JsonTooDeep):
        decode_object(nested(65))
    assert decode_object(nested(3), JsonLimits(depth=3))
    with pytest.raises(JsonTooDeep):
        decode_object(nested(4), JsonLimits(depth=3))


def test_the_limit_of_values_is_exact() -> None:
    limits = JsonLimits(nodes=10)
    assert decode_object(b'{"a":[1,2,3,4],"b":{"c":1,"d":2},"e":0}', JsonLimits(nodes=9))
    assert decode_object(b'{"a":[1,2,3,4,5,6,7,8,9]}', limits)
    with pytest.raises(JsonTooDeep):
        decode_object(b'{"a":[1,2,3,4,5,6,7,8,9,10]}', limits)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"messages": [{"role": "user", "content": "word " * 800_000}]}).encode(),
        json.dumps({"messages": [{"role": "user", "content": '"a": 1, ' * 500_000}]}).encode(),
    ],
    ids=["prose", "prose that quotes JSON"],
)
def test_a_large_body_costs_a_few_times_its_size(body: bytes) -> None:
    tracemalloc.start()
    try:
        assert decode_object(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * len(body)
