"""LoRA adapters: what an engine is told of them, and what can be known of their files before it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from farmgate.engines.folder import read_json
from farmgate.engines.gguf import NotGguf, read_header

__all__ = [
    "PLAIN",
    "Adapter",
    "CannotAdapt",
    "Order",
    "TakesAdapters",
    "Taking",
    "adapter_bytes",
    "adapters_bytes",
    "check_folder",
    "check_gguf",
    "modules_of",
    "rank_of",
]

PLAIN: Mapping[str, object] = MappingProxyType({})
"""The fields of a request that names no adapter, where nothing must be said of that."""


class CannotAdapt(Exception):
    """These files are no adapter for this engine; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """`name`: behind the model's and a colon it is what callers ask for. `path`: a folder as peft saves it, or a GGUF
    file."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an engine is asked so that it takes an adapter, or lets go of one. Any 2xx is a yes."""

    method: str
    path: str
    body: Mapping[str, object]


class Taking(Protocol):
    """How one kind of engine takes adapters. Pure: engines/adapting.py acts."""

    @property
    def is_told_at_start(self) -> bool:
        """Whether the adapters there are stand in its command."""

    def check(self, adapter: Adapter, model: Path) -> None:
        """Raises CannotAdapt, and OSError, where the files are certainly of no use to it."""

    def can_become(self, given: Sequence[Adapter], wanted: Sequence[Adapter]) -> bool:
        """Whether a process that was started with `given` can have `wanted` without a new start."""

    def add(self, model: str, adapter: Adapter) -> Order: ...

    def remove(self, model: str, adapter: Adapter) -> Order: ...

    def fields(self, given: Sequence[Adapter], name: str | None) -> Mapping[str, object]:
        """What a request's body must hold beside the model's name to mean an adapter; None: the model alone."""


@runtime_checkable
class TakesAdapters(Protocol):
    """An engine that may take adapters; `taking` None: this one does not."""

    @property
    def taking(self) -> Taking | None: ...


def adapters_bytes(adapters: Sequence[Adapter]) -> int:
    """What their files hold. Those that are not there count as nothing."""
    return sum(adapter_bytes(adapter) or 0 for adapter in adapters)


def adapter_bytes(adapter: Adapter) -> int | None:
    """None where there are no files that may be read."""
    try:
        files = adapter.path.glob("*.safetensors") if adapter.path.is_dir() else (adapter.path,)
        return sum(file.stat().st_size for file in files)
    except OSError:
        return None


def check_folder(folder: Path) -> None:
    """Raise CannotAdapt unless the folder holds an adapter as peft saves it, with weights that run no code."""
    config = config_of(folder)
    if config is None:
        raise CannotAdapt(f"{folder} has no adapter_config.json that can be read: is it the folder of an adapter?")
    if config.get("peft_type") != "LORA":
        raise CannotAdapt(f"{folder} holds an adapter of type {config.get('peft_type')}: only LORA can be used")
    if not (folder / "adapter_model.safetensors").is_file():
        raise CannotAdapt(f"{folder} has no adapter_model.safetensors")


def check_gguf(path: Path, model: Path) -> None:
    """Raise CannotAdapt unless the file is an adapter in GGUF for a model of this architecture."""
    try:
        header = read_header(path)
        architecture = read_header(model).architecture
    except NotGguf as error:
        raise CannotAdapt(f"{path} is no adapter for llama.cpp: {error}. Convert it to GGUF") from error
    except IsADirectoryError as error:
        raise CannotAdapt(f"{path} is a folder: llama.cpp takes an adapter as a GGUF file. Convert it") from error
    if header.kind != "adapter":
        raise CannotAdapt(f"{path} is not an adapter but a {header.kind or 'model'}: give the file of the adapter")
    if None not in (header.architecture, architecture) and header.architecture != architecture:
        raise CannotAdapt(f"{path} is for models of {header.architecture}, and this one is of {architecture}")


def rank_of(folder: Path) -> int:
    """The rank of an adapter's matrices, at most of any of them; 0 where its folder does not say."""
    told = config_of(folder) or {}
    pattern = told.get("rank_pattern")
    ranks = [told.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    return max((rank for rank in ranks if isinstance(rank, int)), default=0)


def modules_of(folder: Path) -> frozenset[str]:
    """Which layers it changes, as its folder says."""
    told = (config_of(folder) or {}).get("target_modules")
    return frozenset(map(str, told)) if isinstance(told, list) else frozenset((str(told),))


def config_of(folder: Path) -> Mapping[str, object] | None:
    return read_json(folder / "adapter_config.json")
