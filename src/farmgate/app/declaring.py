"""What the configuration says of models on this machine, in the words of the engines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from farmgate.config import Config
from farmgate.config.schema import LocalModel
from farmgate.config.sections import MIB
from farmgate.core.locator import is_remote
from farmgate.engines.adapters import Adapter, CannotAdapt, TakesAdapters
from farmgate.engines.command import Command
from farmgate.engines.declared import Declared, Question
from farmgate.engines.engine import Batch, Engine
from farmgate.engines.found import CODE, GRAPH, Found, find_source
from farmgate.engines.hours import parse_hours
from farmgate.engines.ours import ENGINES
from farmgate.engines.python.reading import why_no_model
from farmgate.engines.surroundings import Keep
from farmgate.engines.versions import why_not_there

__all__ = ["absent_models", "declared_models"]

BATCHED = ("python", "onnx")
BATCHES = 2
"""Of requests let in: one is computed while the next gathers."""


def declared_models(config: Config) -> Mapping[str, Declared]:
    folder = config.source.parent if config.source is not None else Path.cwd()
    return {name: declared(name, entry, folder) for name, entry in config.models.items()}


def absent_models(
    models: Mapping[str, Declared], known: Callable[[str], Path | None], engines: Mapping[str, Engine] = ENGINES
) -> Iterator[str]:
    """Why versions and adapters of them certainly cannot be served here, as far as their files and what is installed
    tell it, a line each. `known`: finds what is pulled."""
    for name, model in models.items():
        for label, source in model.versions.items():
            found = find_source(source, model.engine, known)
            if found is None:
                yield why_not_there(name, label, source)
            elif (why := why_not_served(model, found, engines)) is not None:
                yield f"{name} {label} cannot be served: {why}"
        yield from useless_adapters(model, known, engines)


def why_not_served(model: Declared, found: Found, engines: Mapping[str, Engine]) -> str | None:
    """Why its engine certainly does not serve what was found; None where it may."""
    if found.attribute:
        return why_no_model(found.path, found.attribute)
    name = model.engine or found.engine
    if name == "command":
        return Command(name=name, argv=model.command).missing()
    if {name, found.engine} == {"llamacpp", "transformers"}:
        return f"{found.path} is for {found.engine}, and not for {name}"
    engine = engines.get(name)
    return None if engine is None else engine.missing()


def useless_adapters(
    model: Declared, known: Callable[[str], Path | None], engines: Mapping[str, Engine]
) -> Iterator[str]:
    """Why adapters are of no use to the version that answers."""
    found = find_source(model.versions[model.version], model.engine, known) if model.adapters else None
    if found is None:
        return
    # Of a command of one's own nothing is known, and it takes none.
    engine: object = engines.get(model.engine or found.engine)
    if not isinstance(engine, TakesAdapters) or (taking := engine.taking) is None:
        return
    for adapter in model.adapters:
        try:
            if not adapter.path.exists():
                yield f"the adapter {adapter.name} of {model.name} is not there: {adapter.path}"
                continue
            taking.check(adapter, found.path)
        except (CannotAdapt, OSError) as error:
            yield f"the adapter {adapter.name} of {model.name} cannot be used: {error}"


def declared(name: str, entry: LocalModel, folder: Path) -> Declared:
    versions = {label: placed(source, folder) for label, source in entry.sources.items()}
    engine = entry.engine or engine_of(versions.values())
    return Declared(
        name=name,
        versions=versions,
        version=entry.current,
        engine=engine,
        # Nobody knows whether code uses a GPU but who wrote it.
        device="cpu" if engine == "python" and entry.device == "auto" else entry.device,
        adapters=tuple(Adapter(called, beside(path, folder)) for called, path in entry.adapters.items()),
        command=entry.command,
        ready=entry.ready,
        arguments=entry.arguments,
        memory_bytes=entry.memory_mib * MIB if entry.memory_mib is not None else None,
        context_tokens=entry.context,
        parallel=entry.parallel or (BATCHES * entry.max_batch if engine in BATCHED else None),
        threads=entry.threads,
        keep=Keep(ttl_s=entry.ttl_s, pinned=entry.pin, priority=entry.priority),
        kept_s=entry.kept_s,
        question=Question(ask=entry.probe.ask, expect=entry.probe.expect) if entry.probe is not None else None,
        prewarm=entry.prewarm or entry.pin,
        hours=tuple(map(parse_hours, entry.hours)),
        queue=entry.queue,
        queue_s=entry.queue_timeout_s,
        dtype=entry.dtype,
        quantize=entry.quantize,
        sleeps=entry.sleep,
        batch=Batch(most=entry.max_batch, wait_ms=entry.max_wait_ms),
    )


def placed(source: str, folder: Path) -> str:
    """A path counts from the file it is written in; a pulled model's name, or where one comes from, stays as it is."""
    if is_remote(source):
        return source
    is_file = source.endswith((".gguf", GRAPH)) or CODE.fullmatch(source) is not None
    is_path = is_file or "/" in source or source.startswith("~")
    return str(beside(source, folder)) if is_path else source


def beside(text: str, folder: Path) -> Path:
    path = Path(text)
    try:
        return folder / path.expanduser()
    except RuntimeError:
        # Somebody who has no home here: there is no such file, which is told when it is asked for.
        return folder / path


def engine_of(sources: Collection[str]) -> str | None:
    """Which of the engines that batch here a model is for, where all its versions are; None: for none of them."""
    if all(CODE.fullmatch(source) for source in sources):
        return "python"
    found = [find_source(source, None, lambda _: None) for source in sources]
    return "onnx" if all(one is not None and one.engine == "onnx" for one in found) else None
