"""Inference on its way: a caller's body that goes to the engine as it came, and an answer that comes back as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from farmgate.core.errors import BadRequest, UnsupportedParameter
from farmgate.core.event import Event
from farmgate.core.request import Dialect
from farmgate.core.words import Ask
from farmgate.wire.triton.tensors import read_raw
from farmgate.wire.upstream import proved

__all__ = [
    "LENGTH",
    "Address",
    "InferBody",
    "Inferred",
    "decode_body",
    "decode_inferred",
    "read_address",
    "read_length",
]

LENGTH = b"inference-header-content-length"
"""The header that says how much of a body is JSON."""

ADDRESS = re.compile(r"/v2/models/(?P<model>.+?)(?:/versions/(?P<version>[^/]+))?(?:/(?P<action>ready|infer))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a path under /v2/models/ names. `action`: empty for the model itself."""

    model: str
    version: str | None = None
    action: str = ""


def read_address(path: str) -> Address | None:
    """None for a path that is none of these."""
    found = ADDRESS.fullmatch(path)
    if found is None:
        return None
    return Address(model=found["model"], version=found["version"], action=found["action"] or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferBody:
    """A caller's tensors. The address names the model, and `version` where it must be that one.

    `json_bytes`: how much of it is JSON, where binary data is behind it.
    """

    raw: bytes
    json_bytes: int | None = None
    version: str | None = None
    dialect: Dialect = Dialect.TRITON
    fields: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    stream: bool = False
    want_usage: bool = False

    def ask(self) -> Ask:
        """Raises UnsupportedParameter: tensors have no words of ours."""
        raise UnsupportedParameter("This provider takes no tensors.", param="model")

    def own_name(self, param: str) -> str:
        return param


def read_length(told: bytes | None, size: int) -> int | None:
    """How much of a body is JSON, by the header that says so; None where it all is. Raises BadRequest."""
    if told is None:
        return None
    if not told.isdigit() or len(told) > 12 or int(told) > size:
        raise BadRequest("Inference-Header-Content-Length must be how many bytes of the body are JSON.")
    return int(told)


def decode_body(body: bytes, version: str | None, json_bytes: int | None = None) -> InferBody:
    """A caller's body. Only its form is looked at, since the engine reads the rest. Raises a BadRequest."""
    read_raw(body, json_bytes)
    return InferBody(raw=body, json_bytes=json_bytes, version=version)


class Inferred(Event):
    """An answer nobody looks into. `json_bytes`: how much of it is JSON, where binary data is behind it."""

    __slots__ = ("json_bytes",)

    def __init__(self, raw: bytes, json_bytes: int | None = None) -> None:
        super().__init__(raw=raw, dialect=Dialect.TRITON, bears_content=True)
        self.json_bytes = json_bytes


class Told(msgspec.Struct):
    """What must be known of an answer to relay it."""

    outputs: msgspec.Raw


decode_told = msgspec.json.Decoder(Told).decode


def decode_inferred(body: bytes, *, provider: str, json_bytes: int | None = None) -> Inferred:
    """An engine's answer. Raises UpstreamInvalidResponse for anything else."""
    head = body if json_bytes is None else body[:json_bytes]
    proved(head, decode_told, provider, "answered with something that is not an inference")
    return Inferred(body, json_bytes)
