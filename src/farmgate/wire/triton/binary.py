"""Tensors as bytes behind a JSON body, as the binary extension of KServe's v2 protocol lays them.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/extension_binary_data.md
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping, Sequence
from typing import cast

from farmgate.core.errors import InvalidValue
from farmgate.wire.triton.datatypes import Datatype, Value

__all__ = ["pack", "unpack"]

FORMATS: Mapping[Datatype, str] = {
    Datatype.BOOL: "?",
    Datatype.UINT8: "B",
    Datatype.UINT16: "H",
    Datatype.UINT32: "I",
    Datatype.UINT64: "Q",
    Datatype.INT8: "b",
    Datatype.INT16: "h",
    Datatype.INT32: "i",
    Datatype.INT64: "q",
    Datatype.FP16: "e",
    Datatype.FP32: "f",
    Datatype.FP64: "d",
}
"""In Python's words for C's types; little-endian, whatever the machine."""
LENGTH = struct.Struct("<I")


def unpack(data: memoryview, datatype: Datatype, count: int, where: str) -> Sequence[Value]:
    """So many values; numbers stay where they are and are looked at there. Raises InvalidValue."""
    if datatype is Datatype.BYTES:
        return texts_in(data, count, where)
    form = FORMATS[datatype]
    size = struct.calcsize(f"<{form}")
    if len(data) != count * size:
        raise InvalidValue(
            f"`{where}` is of {len(data)} bytes; its shape and {datatype}, of {count * size}.", param=where
        )
    if datatype is Datatype.FP16 or sys.byteorder != "little":
        # Python's views know no half of a float.
        return list(struct.unpack(f"<{count}{form}", data))
    return cast("Sequence[Value]", data.cast(form))  # type: ignore[call-overload] # the formats are all of C's


def texts_in(data: memoryview, count: int, where: str) -> list[Value]:
    """Each text has its length in front of it."""
    texts: list[Value] = []
    at = 0
    while at < len(data) and len(texts) <= count:
        if at + LENGTH.size > len(data):
            break
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        if at + length > len(data):
            break
        try:
            texts.append(str(data[at : at + length], "utf-8"))
        except UnicodeDecodeError:
            raise InvalidValue(f"`{where}` holds a text that is not UTF-8.", param=where) from None
        at += length
    if at != len(data) or len(texts) != count:
        raise InvalidValue(f"`{where}` does not hold {count} texts, each behind its length.", param=where)
    return texts


def pack(values: Sequence[Value], datatype: Datatype) -> bytes:
    if datatype is Datatype.BYTES:
        texts = [str(value).encode() for value in values]
        return b"".join(piece for text in texts for piece in (LENGTH.pack(len(text)), text))
    if isinstance(values, memoryview) and sys.byteorder == "little":
        return values.tobytes()
    return struct.pack(f"<{len(values)}{FORMATS[datatype]}", *values)
