"""Writes AWS's event stream, as its services do. Source: https://smithy.io/2.0/aws/amazon-eventstream.html"""

from __future__ import annotations

import struct
from binascii import crc32

__all__ = ["encode_message", "event", "exception", "stream_error", "text_header"]


def text_header(name: str, value: str) -> bytes:
    """A header whose value is text (type 7)."""
    told = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(told)) + told


def encode_message(headers: bytes, payload: bytes) -> bytes:
    """One message around headers that are encoded already."""
    total = 16 + len(headers) + len(payload)
    lengths = struct.pack(">II", total, len(headers))
    whole = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return whole + struct.pack(">I", crc32(whole))


def event(name: str, payload: bytes, *, kind: str = "application/json") -> bytes:
    """An event, its headers in the order services write them."""
    told = text_header(":event-type", name) + text_header(":content-type", kind)
    return encode_message(told + text_header(":message-type", "event"), payload)


def exception(name: str, payload: bytes) -> bytes:
    """An exception the service declares."""
    told = text_header(":exception-type", name) + text_header(":content-type", "application/json")
    return encode_message(told + text_header(":message-type", "exception"), payload)


def stream_error(code: str, message: str) -> bytes:
    """An error the service does not declare: it has no payload."""
    told = text_header(":error-code", code) + text_header(":error-message", message)
    return encode_message(told + text_header(":message-type", "error"), b"")
