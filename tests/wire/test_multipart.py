"""Forms: what they say, and what is wrong with those that are none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import BadRequest
from farmgate.wire.multipart import decode_form, replace_field

TYPE = b"multipart/form-data; boundary=line"


def part(head: bytes, body: bytes) -> bytes:
    return b"--line\r\ncontent-disposition: form-data; " + head + b"\r\n\r\n" + body + b"\r\n"


FILE = part(b'name="file"; filename="a.wav"', b"\x00\r\n--lin\xff")
FORM = part(b'name="model"', b"whisper") + FILE + part(b'name="language"', b"") + b"--line--\r\n"


def code_of(body: bytes, kind: bytes = TYPE) -> str:
    with pytest.raises(BadRequest) as caught:
        decode_form(body, kind)
    return caught.value.code


def test_texts_and_files_are_found() -> None:
    form = decode_form(FORM, TYPE)
    assert form.fields == {"model": "whisper", "language": ""}
    assert form.files == ("file",)


def test_a_text_is_replaced_and_nothing_else_changes() -> None:
    changed = replace_field(FORM, decode_form(FORM, TYPE), "model", "large-v3")
    assert changed == FORM.replace(b"whisper", b"large-v3")
    assert decode_form(changed, TYPE).fields["model"] == "large-v3"


def test_a_form_that_is_cut_anywhere_is_refused() -> None:
    whole = FORM.removesuffix(b"\r\n")
    for at in range(len(whole) - 1):
        assert code_of(whole[:at]) == "invalid_multipart", at


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (FORM, b"multipart/form-data", "invalid_multipart"),
        (FORM, b"multipart/form-data; boundary=other", "invalid_multipart"),
        (FORM, b"multipart/form-data; boundary=" + b"x" * 71, "invalid_multipart"),
        (FORM, b"multipart/mixed; boundary=line", "invalid_multipart"),
        (b"", TYPE, "invalid_multipart"),
        (b"{}", TYPE, "invalid_multipart"),
        (part(b"", b"x") + FORM, TYPE, "invalid_multipart"),
        (part(b'name="' + b"n" * 300 + b'"', b"x") + FORM, TYPE, "invalid_multipart"),
        (part(b'name="a"; filename="../../etc/passwd"', b"x") + FORM, TYPE, "invalid_multipart"),
        (part(b'name="model"', b"other") + FORM, TYPE, "duplicate_key"),
        (part(b'name="a"', b"\xff") + FORM, TYPE, "invalid_unicode"),
        (part(b'name="a[]"', b"x") * 10_000 + FORM, TYPE, "invalid_multipart"),
        (part(b'name="a"', b"x" * (2 << 20)) + FORM, TYPE, "invalid_multipart"),
    ],
)
def test_a_form_that_is_none_is_told_so(body: bytes, kind: bytes, code: str) -> None:
    assert code_of(body, kind) == code


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.sampled_from([b"--line", b"--", b"\r\n", FILE, FORM, b"x", b":", b"content-disposition: form-data"]))
)
def test_any_bytes_are_a_form_or_a_bad_request(pieces: list[bytes]) -> None:
    with contextlib.suppress(BadRequest):
        decode_form(b"".join(pieces), TYPE)
