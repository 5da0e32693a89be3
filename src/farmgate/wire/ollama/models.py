"""Ollama's models: what is on its disk, what is in its memory, what each can do, and what their names mean."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse

__all__ = [
    "Installed",
    "Resident",
    "decode_installed",
    "decode_resident",
    "decode_show",
    "decode_version",
    "full_name",
    "host_in",
]
__all__ += ["is_cloud"]

T = TypeVar("T")


class Details(msgspec.Struct):
    """What a model file says about itself."""

    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class Installed(msgspec.Struct):
    """A model on Ollama's disk; `name` has its tag."""

    name: str
    size: int | None = None
    modified_at: str | None = None
    details: Details | None = None

    @property
    def description(self) -> str | None:
        """Family, parameters, quantisation."""
        details = self.details or Details()
        known = (details.family, details.parameter_size, details.quantization_level)
        return " ".join(word for word in known if word) or None

    @property
    def modified_unix(self) -> int:
        """When it was pulled; 0 if unknown."""
        try:
            return int(datetime.fromisoformat(self.modified_at or "").timestamp())
        except (ValueError, OverflowError):
            return 0


class Resident(msgspec.Struct):
    """A model in Ollama's memory. `size_vram` below `size` means: partly on the CPU."""

    name: str
    size: int | None = None
    size_vram: int | None = None
    context_length: int | None = None


class InstalledList(msgspec.Struct):
    """The answer of /api/tags."""

    models: list[Installed] | None


class ResidentList(msgspec.Struct):
    """The answer of /api/ps."""

    models: list[Resident] | None


class Shown(msgspec.Struct):
    """The answer of /api/show."""

    capabilities: list[str] | None = None


class Version(msgspec.Struct):
    """The answer of /api/version."""

    version: str


def decode_installed(body: bytes, *, provider: str) -> list[Installed]:
    """The models of /api/tags."""
    return decode(body, InstalledList, provider).models or []


def decode_resident(body: bytes, *, provider: str) -> list[Resident]:
    """The models of /api/ps."""
    return decode(body, ResidentList, provider).models or []


def decode_show(body: bytes, *, provider: str) -> frozenset[str]:
    """What /api/show says a model can do: completion, tools, vision, thinking, embedding. Old versions do not say."""
    return frozenset(decode(body, Shown, provider).capabilities or ())


def decode_version(body: bytes, *, provider: str) -> str:
    """The version of /api/version."""
    return decode(body, Version, provider).version


def decode(body: bytes, kind: type[T], provider: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse(
            f"{provider} tells its models in a form we do not know: is it an Ollama server that answers there?"
        ) from error


def full_name(name: str) -> str:
    """A name to compare by: the store ignores case, and a name without a tag means `:latest`."""
    plain = name.strip().lower()
    return plain if ":" in plain.rpartition("/")[2] else f"{plain}:latest"


def host_in(name: str) -> str:
    """The host a model is pulled from, which stands before `namespace/model`; empty for Ollama's library."""
    return "/".join(name.strip().lower().split("/")[:-2])


def is_cloud(name: str) -> bool:
    """Whether Ollama would send the prompt to ollama.com instead of answering itself."""
    return name.strip().lower().endswith((":cloud", "-cloud"))
