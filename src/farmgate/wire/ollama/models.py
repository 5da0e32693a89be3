"""Ollama's models: what is on its disk, what is in its memory, what each can do, and what their names mean."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.model import Capability

__all__ = [
    "Installed",
    "Resident",
    "Shown",
    "decode_installed",
    "decode_resident",
    "decode_show",
    "decode_version",
    "full_name",
    "host_in",
]
__all__ += ["is_cloud"]

T = TypeVar("T")
MOST_TOKENS = 1 << 40
ABILITIES = {
    "completion": (Capability.CHAT, Capability.COMPLETION),
    "embedding": (Capability.EMBEDDING,),
    "tools": (Capability.TOOLS,),
    "vision": (Capability.VISION,),
    "audio": (Capability.AUDIO,),
    "thinking": (Capability.REASONING,),
}
TOLD = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.TOOLS, Capability.VISION, Capability.REASONING})
"""What Ollama always tells. It names embedding only where a model does nothing else, and any model can."""


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
    model_info: dict[str, object] | None = None

    @property
    def context_tokens(self) -> int | None:
        """The longest context the model was made for."""
        told = (value for key, value in (self.model_info or {}).items() if key.endswith(".context_length"))
        return next((value for value in told if type(value) is int and 0 < value < MOST_TOKENS), None)

    @property
    def abilities(self) -> frozenset[Capability]:
        """What it can, as far as there is a word for it. Old versions do not say."""
        return frozenset(one for name in self.capabilities or () for one in ABILITIES.get(name, ()))

    @property
    def lacks(self) -> frozenset[Capability]:
        """What it cannot: Ollama names all a model can, if any."""
        return TOLD - self.abilities if self.capabilities else frozenset()


class Version(msgspec.Struct):
    """The answer of /api/version."""

    version: str


def decode_installed(body: bytes, *, provider: str) -> list[Installed]:
    """The models of /api/tags."""
    return decode(body, InstalledList, provider).models or []


def decode_resident(body: bytes, *, provider: str) -> list[Resident]:
    """The models of /api/ps."""
    return decode(body, ResidentList, provider).models or []


def decode_show(body: bytes, *, provider: str) -> Shown:
    """What /api/show says of a model."""
    return decode(body, Shown, provider)


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
