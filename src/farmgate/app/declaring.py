"""What the configuration says of models on this machine, in the words of the engines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from farmgate.config import Config
from farmgate.config.schema import LocalModel
from farmgate.engines.declared import Declared, Question
from farmgate.engines.supervisor import Keep

__all__ = ["declared_models"]


def declared_models(config: Config) -> Mapping[str, Declared]:
    folder = config.source.parent if config.source is not None else Path.cwd()
    return {name: declared(name, entry, folder) for name, entry in config.models.items()}


def declared(name: str, entry: LocalModel, folder: Path) -> Declared:
    return Declared(
        name=name,
        versions={label: placed(source, folder) for label, source in entry.sources.items()},
        version=entry.current,
        engine=entry.engine,
        device=entry.device,
        context_tokens=entry.context,
        parallel=entry.parallel,
        threads=entry.threads,
        keep=Keep(ttl_s=entry.ttl_s, pinned=entry.pin, priority=entry.priority),
        kept_s=entry.kept_s,
        question=Question(ask=entry.probe.ask, expect=entry.probe.expect) if entry.probe is not None else None,
        prewarm=entry.prewarm or entry.pin,
        queue=entry.queue,
        queue_s=entry.queue_timeout_s,
    )


def placed(source: str, folder: Path) -> str:
    """A path counts from the file it is written in; a name of a pulled model is left as it is."""
    is_path = "/" in source or source.endswith(".gguf") or source.startswith("~")
    return str(folder / Path(source).expanduser()) if is_path else source
