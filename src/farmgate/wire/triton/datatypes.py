"""What the tensors of KServe's v2 protocol are made of."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

__all__ = ["Datatype", "Value"]

Value: TypeAlias = bool | int | float | str


class Datatype(StrEnum):
    """What a tensor is made of. BYTES are texts here: JSON has no other bytes."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    # Enum's own hash is a Python function.
    __hash__ = str.__hash__
