"""What a model's name stands for: an entry of the configuration or a pulled file, and which versions there are."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from farmgate.core.errors import EngineUnavailable, InvalidValue, ModelNotFound
from farmgate.core.locator import is_remote
from farmgate.core.model import Capability, ModelInfo
from farmgate.core.ports import Places
from farmgate.engines.abilities import lacks_of_found
from farmgate.engines.adapters import Adapter, adapter_bytes
from farmgate.engines.command import Command
from farmgate.engines.declared import UNDECLARED, Declared
from farmgate.engines.engine import Engine
from farmgate.engines.found import Found, engine_for, find_source, why_not_found
from farmgate.engines.release import Version
from farmgate.engines.shards import weights_bytes

__all__ = ["Files", "Options", "Versions", "default_threads", "why_not_there"]

ANY = frozenset({"cpu", "gpu"})
TEXT_ALONE = frozenset({Capability.EMBEDDING, Capability.RERANK, Capability.INFER})
"""What a model does without its adapters."""
NONE_ELSE: Mapping[str, str] = MappingProxyType({})
WORDLESS = frozenset(("python", "onnx"))
"""Engines whose models have no context in tokens unless their owner says so, and that pulled files are not for."""


def default_threads() -> int:
    """All processors of a small machine; half of a larger one's, which are usually two to a core. At most 16."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return max(1, min(16, usable if usable <= 4 else usable // 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How large an engine is. Each of `parallel` requests has `context_tokens`, or the model's own limit if lower."""

    threads: int = field(default_factory=default_threads)
    context_tokens: int = 2048
    parallel: int = 4


class Files(Protocol):
    """What is needed of a model store. `known` is for names that callers send, `source` for the operator's."""

    def models(self) -> tuple[ModelInfo, ...]: ...

    def known(self, model: str) -> Path | None: ...

    def source(self, text: str) -> Path | None: ...

    def context_tokens(self, path: Path) -> int | None: ...


class Versions:
    """`declared` is replaced whole when the configuration changes."""

    def __init__(self, weights: Files, engines: Mapping[str, Engine], options: Options) -> None:
        self.declared: Mapping[str, Declared] = {}
        self._weights = weights
        self._engines = engines
        self._options = options

    def models(self, answering: Mapping[str, str] = NONE_ELSE) -> tuple[ModelInfo, ...]:
        """Those of the configuration whose files are there, and what is pulled, by name. `answering`: by name, the
        version that answers, which may be another than the one the name stands for by itself."""
        pulled = {
            info.name: replace(
                info, context_tokens=self._context_tokens(None, info.context_tokens), lacks=self._lacks(info.name)
            )
            for info in self._weights.models()
        }
        swapped = {
            name: replace(pulled[label], name=name, description=f"version {label}")
            for name, label in answering.items()
            if label != name and name in pulled and label in pulled
        }
        declared = {name: info for name in self.declared if (info := self._info(name, answering)) is not None}
        adapted = {info.name: info for model in declared.values() for info in self._adapted(model)}
        return tuple(info for _, info in sorted({**adapted, **pulled, **swapped, **declared}.items()))

    def _adapted(self, model: ModelInfo) -> Iterator[ModelInfo]:
        """A model with each of its adapters whose files are there."""
        for adapter in self.adapters(model.name):
            if (size_bytes := adapter_bytes(adapter)) is not None:
                yield replace(
                    model,
                    name=f"{model.name}:{adapter.name}",
                    parent=model.name,
                    size_bytes=size_bytes,
                    description=f"adapter of {model.name}",
                    lacks=model.lacks | TEXT_ALONE,
                )

    def split(self, name: str) -> tuple[str, str | None]:
        """A name as callers say it: the model's, and that of the adapter which stands behind a colon."""
        if name in self.declared:
            return name, None
        model, _, adapter = name.rpartition(":")
        is_adapter = any(one.name == adapter for one in self.adapters(model))
        return (model, adapter) if is_adapter else (name, None)

    def must_be_whole(self, name: str) -> None:
        """Raises InvalidValue for an adapter: what runs is its model."""
        model, adapter = self.split(name)
        if adapter is not None:
            raise InvalidValue(f"{name} is an adapter of {model} and runs in its process: name {model}.", param="model")

    def entry(self, name: str) -> Declared:
        """What is said of a model; where nobody declares it, what holds for every one."""
        return self.declared.get(name, UNDECLARED)

    def adapters(self, model: str) -> tuple[Adapter, ...]:
        """Those of a model, as its entry names them."""
        return self.entry(model).adapters

    def places(self, name: str, version: Version | None) -> Places | None:
        """How many requests a model takes; `version`: the one that answers, where one ever did."""
        entry = self.entry(name)
        if version is None and entry is UNDECLARED and self._weights.known(name) is None:
            return None
        return Places(
            model=name,
            parallel=version.parallel if version is not None else entry.parallel or self._options.parallel,
            queue=entry.queue,
            patience_s=entry.queue_s,
        )

    def current(self, name: str) -> Version:
        """What a name stands for by itself. Raises ModelNotFound, and EngineUnavailable."""
        if name in self.declared:
            return self._of(name, self.declared[name].version)
        path = self._weights.known(name)
        if path is None:
            there = tuple(info.name for info in self.models())
            raise ModelNotFound(f"there is no model {name[:100]!r} on this machine: {instead_of(name, there)}")
        return self._version(name, name, pulled(path))

    def is_there(self, name: str) -> bool:
        """Whether there are files it could be started from."""
        if name in self.declared:
            return self._found(name, self.declared[name].version) is not None
        return self._weights.known(name) is not None

    def labelled(self, name: str, label: str) -> Version:
        """One version of a model: of those in its entry, or a pulled model. Raises InvalidValue for any other."""
        entry = self.entry(name)
        if label in entry.versions:
            return self._of(name, label)
        path = self._weights.known(label)
        if path is None or entry.engine in WORDLESS:
            there = [*entry.versions, *(one.name for one in self._weights.models())]
            raise InvalidValue(
                f"{name} has no version {label[:100]!r}: there is {', '.join(dict.fromkeys(there)) or 'none'}.",
                param="version",
            )
        return self._version(name, label, pulled(path))

    def _of(self, name: str, label: str) -> Version:
        found = self._found(name, label)
        if found is None:
            raise ModelNotFound(why_not_there(name, label, self.declared[name].versions[label]))
        return self._version(name, label, found)

    def _found(self, name: str, label: str) -> Found | None:
        entry = self.declared[name]
        if label in entry.versions:
            return find_source(entry.versions[label], entry.engine, self._weights.source)
        path = self._weights.known(label)
        return None if path is None else pulled(path)

    def _version(self, name: str, label: str, found: Found) -> Version:
        entry = self.entry(name)
        path, engine = found.path, entry.engine or found.engine
        return Version(
            name=name,
            label=label,
            path=path.absolute(),
            attribute=found.attribute,
            engine=self._engine(name, engine),
            context_tokens=self._context_tokens(entry.context_tokens, self._weights.context_tokens(path)),
            parallel=entry.parallel or self._options.parallel,
            threads=entry.threads or self._options.threads,
            device=entry.device,
            adapters=entry.adapters,
            arguments=entry.arguments,
            memory_bytes=entry.memory_bytes,
            batch=entry.batch,
            lacks=lacks_of_found(found, engine),
            dtype=entry.dtype,
            quantize=entry.quantize,
            sleeps=entry.sleeps,
        )

    def missing(self) -> str | None:
        """What to install where none of the models there are can be served; where there are none yet, no text."""
        names = {engine for name in self.declared if (engine := self._engine_of(name)) is not None}
        here = (self._weights.known(model.name) for model in self._weights.models())
        names |= {engine_for(path) for path in here if path is not None}
        if "command" in names:
            # Of a server of one's own only its own start tells.
            return None
        for_text = (one for name, one in self._engines.items() if name not in WORDLESS)
        engines = [one for name in names if (one := self._engines.get(name)) is not None] or [*for_text]
        missing = [one.missing() for one in engines]
        return missing[0] if missing and all(missing) else None

    def _lacks(self, name: str) -> frozenset[Capability]:
        """Of a pulled model."""
        path = self._weights.known(name)
        return frozenset() if path is None else lacks_of_found(pulled(path), engine_for(path))

    def _engine_of(self, name: str) -> str | None:
        declared = self.declared[name]
        found = self._found(name, declared.version)
        return declared.engine or (found.engine if found is not None else None)

    def _engine(self, model: str, name: str) -> Engine:
        entry = self.entry(model)
        if name == "command":
            engine: Engine | None = Command(name="command", argv=entry.command, ready=entry.ready, runs_on=ANY)
        else:
            engine = self._engines.get(name)
        if engine is None:
            raise EngineUnavailable(f"there is no engine {name!r}: there is {', '.join(self._engines)}")
        if name != "transformers" and (entry.dtype, entry.quantize) != ("auto", "none"):
            # The file of a pulled model, whose engine the configuration alone does not tell.
            raise EngineUnavailable(f"{model} is served by {engine.name}: take `dtype` and `quantize` away")
        if (missing := engine.missing()) is not None:
            raise EngineUnavailable(missing)
        return engine

    def _context_tokens(self, wanted: int | None, trained: int | None) -> int:
        """What one request has of it: an engine is not made larger than its options say, nor than the model's own."""
        most = wanted or self._options.context_tokens
        return min(most, trained or most)

    def _info(self, name: str, answering: Mapping[str, str]) -> ModelInfo | None:
        declared = self.declared[name]
        label = answering.get(name, declared.version)
        found = self._found(name, label)
        if found is None and label != declared.version:
            label, found = declared.version, self._found(name, declared.version)
        if found is None:
            return None
        path, engine = found.path, declared.engine or found.engine
        try:
            size_bytes, changed = weights_bytes(path), path.stat().st_mtime
        except OSError:
            # It goes at this very moment, or one of its files is not there.
            return None
        context_tokens = self._context_tokens(declared.context_tokens, self._weights.context_tokens(path))
        return ModelInfo(
            name=name,
            provider="local",
            size_bytes=size_bytes,
            description=f"version {label}",
            context_tokens=declared.context_tokens if engine in WORDLESS else context_tokens,
            created_unix=int(changed),
            lacks=lacks_of_found(found, engine),
        )


def instead_of(name: str, there: Sequence[str]) -> str:
    """What to say or do instead of a name that nothing has."""
    if close := difflib.get_close_matches(name[:100], there, n=1):
        return f"did you mean {close[0]!r}?"
    some = ", ".join(there[:5])
    more = ", ..." if len(there) > 5 else ""
    return f"there is {some}{more}" if there else "farmgate pull starter gets a small one"


def pulled(path: Path) -> Found:
    """A model of the store, whose name a caller may have sent."""
    return Found(path=path, engine=engine_for(path))


def why_not_there(name: str, label: str, text: str) -> str:
    """Why a model that is configured cannot be used, and what to do."""
    told = f"the files of {name} {label} are not there: models.{name} names {text!r}, which"
    return f"{told} is not pulled yet: farmgate pull {name}" if is_remote(text) else f"{told} {why_not_found(text)}"
