"""Which files of a repository make a model: one GGUF model of those it has, or its checkpoint in safetensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from farmgate.core.locator import HubModel
from farmgate.engines.pulling.plan import gigabytes
from farmgate.engines.pulling.quantisation import preference, quantisation_in
from farmgate.engines.pulling.repository import Repository, RepositoryFile
from farmgate.engines.pulling.sources import NotThere
from farmgate.engines.shards import MOST_SHARDS, shard_in

__all__ = ["Choice", "checkpoint", "choose"]

# Not models: the eye of one that sees, and what was measured to quantise one well.
BESIDE = re.compile(r"(?:^|[-._/])(?:mmproj|imatrix)(?=[-._]|$)", re.IGNORECASE)

# What an engine reads beside the weights. No code (*.py) and no pickles (*.bin, *.pt), which are code as well.
CHECKPOINT = re.compile(
    r"config\.json|generation_config\.json|tokenizer[\w.-]*\.(?:json|model)|(?:tokenizer|spiece|sentencepiece[\w.-]*)\.model"
    r"|special_tokens_map\.json|added_tokens\.json|vocab\.(?:json|txt)|merges\.txt|chat_template[\w.-]*"
    r"|(?:pre)?processor_config\.json|model\.safetensors\.index\.json"
    r"|modules\.json|config_sentence_transformers\.json|sentence_\w+_config\.json|1_Pooling/config\.json"
    r"|(?:LICEN[SC]E|NOTICE)(?:\.txt|\.md)?"
)
SAFETENSORS = ".safetensors"
WEIGHTS = "model.safetensors"
MOST_NAMED = 8
MOST_FILES = 2 * MOST_SHARDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`told`: what was taken of several, and what else there is; empty where there was no choice."""

    files: tuple[RepositoryFile, ...]
    is_checkpoint: bool
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One GGUF model of a repository: a file, or all of its parts, first things first."""

    path: str
    label: str | None
    files: tuple[RepositoryFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def shown(self) -> str:
        return f"{self.label or self.path} ({gigabytes(self.size_bytes)})"


def choose(repository: Repository, wanted: HubModel) -> Choice:
    """Raises NotThere, with what there is."""
    models = gguf_models(repository.files)
    if wanted.file is not None:
        return Choice(files=named(models, wanted).files, is_checkpoint=False)
    if models:
        return preferred(models, wanted)
    return Choice(files=checkpoint(repository), is_checkpoint=True)


# ------------------------------------------------------------------------------------------------------------- GGUF


def gguf_models(files: Iterable[RepositoryFile]) -> list[Model]:
    """Those that are whole."""
    by_path = {file.path: file for file in files if file.path.lower().endswith(".gguf")}
    models = []
    for path in by_path:
        shard = shard_in(path)
        if BESIDE.search(path) or (shard is not None and (shard.number > 1 or shard.count > MOST_SHARDS)):
            continue
        parts = [path] if shard is None else [shard.name(number) for number in range(1, shard.count + 1)]
        if all(part in by_path for part in parts):
            found = tuple(by_path[part] for part in parts)
            models.append(Model(path=path, label=quantisation_in(shard.stem if shard else path), files=found))
    return sorted(models, key=lambda model: (preference(model.label), model.size_bytes, model.path))


def named(models: Sequence[Model], wanted: HubModel) -> Model:
    """The one that `wanted.file` means: by path, by the end of its path, by any of its parts, or by its label."""
    file = wanted.file or ""
    if file.lower().endswith(".gguf"):
        paths = [model for model in models if file in {part.path for part in model.files}]
        found = paths or [model for model in models if any(part.path.endswith(f"/{file}") for part in model.files)]
    else:
        label = file.upper().replace("UD_", "UD-")
        found = [model for model in models if model.label == label]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotThere(
            f"{wanted.repository} has several: name one, such as {address(wanted, found[0].path)}: {listed(found)}"
        )
    there = f"It has {listed(models)}" if models else "It has no GGUF files"
    raise NotThere(f"{wanted.repository} has no {file}. {there}")


def preferred(models: Sequence[Model], wanted: HubModel) -> Choice:
    taken, *others = models
    rivals = [model for model in models if model.label == taken.label]
    if len(rivals) > 1:
        raise NotThere(
            f"{wanted.repository} has several models: name one, such as {address(wanted, taken.path)}: {listed(rivals)}"
        )
    told = f"taking {taken.shown}; there is also {listed(others)}: {address(wanted, '...')} names one" if others else ""
    return Choice(files=taken.files, is_checkpoint=False, told=told)


def listed(models: Sequence[Model]) -> str:
    """The way they are told apart: by label where each has its own."""
    labels = [model.label for model in models]
    by_label = None not in labels and len(set(labels)) == len(labels)
    some = [
        model.shown if by_label else f"{model.path} ({gigabytes(model.size_bytes)})" for model in models[:MOST_NAMED]
    ]
    more = f" and {len(models) - MOST_NAMED} more" if len(models) > MOST_NAMED else ""
    return ", ".join(some) + more


def address(wanted: HubModel, file: str) -> str:
    return str(HubModel(repository=wanted.repository, revision=wanted.revision, file=file))


# ------------------------------------------------------------------------------------------------------- checkpoints


def checkpoint(repository: Repository) -> tuple[RepositoryFile, ...]:
    """Raises NotThere where it has none that can be used without running code of its own."""
    paths = {file.path for file in repository.files}
    weights = weight_files(repository)
    if not weights or "config.json" not in paths:
        raise NotThere(why_none(repository.name, paths))
    files = [file for file in repository.files if CHECKPOINT.fullmatch(file.path)]
    if len(files) + len(weights) > MOST_FILES:
        raise NotThere(f"{repository.name} has more than {MOST_FILES} files of one model")
    return (*files, *weights)


def weight_files(repository: Repository) -> tuple[RepositoryFile, ...]:
    """The weights once: some repositories have them whole, in parts, and in other forms besides."""
    by_path = {file.path: file for file in repository.files if file.path.endswith(SAFETENSORS) and "/" not in file.path}
    if WEIGHTS in by_path:
        return (by_path[WEIGHTS],)
    shards = [shard for path in by_path if (shard := shard_in(path)) is not None]
    first = min(shards, key=lambda shard: (shard.stem != "model", shard.stem, shard.count), default=None)
    if first is None:
        return tuple(by_path.values())
    names = [first.name(number) for number in range(1, first.count + 1)]
    missing = [name for name in names if name not in by_path]
    if missing:
        raise NotThere(f"{repository.name} lacks {missing[0]}: its weights are not whole")
    return tuple(by_path[name] for name in names)


def why_none(name: str, paths: Iterable[str]) -> str:
    names = set(paths)
    if "adapter_config.json" in names:
        return f"{name} is an adapter, not a model: pull the model it was made for"
    if any(path.endswith((".bin", ".pt", ".pth", ".ckpt")) for path in names):
        return f"{name} has only pickled weights, which can run code: pull a repository with safetensors or GGUF files"
    return f"{name} has neither GGUF files nor a checkpoint (config.json with *.safetensors)"
