from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engines.fakes import gguf, text

from farmgate.engines.gguf import Header, NotGguf, is_gguf, parse_header, read_header

WHOLE = Header(architecture="llama", name="Tiny", context_tokens=4096)


def head(*pairs: bytes, version: int = 3, count: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs) if count is None else count) + b"".join(pairs)


def test_the_head_tells_architecture_name_and_context() -> None:
    assert parse_header(gguf()) == WHOLE


def test_cut_off_at_any_byte_it_says_less_and_never_something_else() -> None:
    data = gguf()
    for end in range(len(data)):
        try:
            found = parse_header(data[:end])
        except NotGguf:
            assert end < 24
            continue
        assert end >= 24
        assert found.architecture in {None, "llama"}
        assert found.name in {None, "Tiny"}
        assert found.context_tokens in {None, 4096}


def test_the_context_may_be_named_before_the_architecture() -> None:
    data = head(
        text("bert.context_length") + struct.pack("<IQ", 10, 512),
        text("general.architecture") + struct.pack("<I", 8) + text("bert"),
    )
    assert parse_header(data) == Header(architecture="bert", context_tokens=512)


@pytest.mark.parametrize("context", [0, 1 << 40])
def test_a_context_out_of_reason_is_no_context(context: int) -> None:
    data = head(
        text("general.architecture") + struct.pack("<I", 8) + text("x"),
        text("x.context_length") + struct.pack("<IQ", 10, context),
    )
    assert parse_header(data).context_tokens is None


@pytest.mark.parametrize(
    "data",
    [
        b"GGML" + bytes(20),
        head(version=1),
        head(version=0x03000000),
        head(count=1 << 63),
        head(struct.pack("<Q", 1 << 62)),
        head(text("k") + struct.pack("<I", 99)),
        head(text("k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 200),
    ],
    ids=["magic", "version", "big-endian", "keys", "text", "type", "depth"],
)
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(NotGguf):
        parse_header(data)


def test_an_array_that_claims_more_than_there_is_ends_the_reading_there() -> None:
    hostile = text("k") + struct.pack("<IIQ", 9, 4, 1 << 62)
    assert parse_header(head(text("general.name") + struct.pack("<I", 8) + text("n"), hostile)) == Header(name="n")


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_parse_or_be_refused(tail: bytes) -> None:
    for data in (tail, head(tail, count=1000)):
        try:
            parse_header(data)
        except NotGguf:
            continue


def test_files_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(gguf(filler=1_000_000))
    (tmp_path / "b.gguf").write_bytes(b"GGU")
    assert read_header(tmp_path / "a.gguf") == WHOLE
    assert is_gguf(tmp_path / "a.gguf")
    assert not is_gguf(tmp_path / "b.gguf")
    assert not is_gguf(tmp_path / "missing.gguf")
    assert not is_gguf(Path("a\0b"))
