"""What pulled models are called: a name is part of a file's name, so that it may be nothing else."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from farmgate.core.errors import InvalidValue
from farmgate.core.locator import HubModel, LocalFiles, WebFile
from farmgate.engines.pulling.quantisation import quantisation_in
from farmgate.engines.shards import shard_in

__all__ = ["check_name", "default_name", "is_name"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LONGEST = 100
# What lies beside models in their directory.
OURS = (".gguf", ".json", ".new", ".part", ".pip", ".lock")
COMMIT = re.compile(r"[0-9a-f]{40}")
COMMIT_DIGITS = 12


def is_name(text: str) -> bool:
    """Whether a model can have this name: nothing that leads to another directory, and nothing hidden."""
    return NAME.fullmatch(text) is not None


def check_name(text: str) -> str:
    """The name, as somebody chose it. Raises InvalidValue."""
    if not is_name(text) or text.lower().endswith(OURS):
        raise InvalidValue(
            f"{text[:100]!r} cannot be the name of a model: letters, digits, dots, dashes and underscores, at most "
            f"{LONGEST}, and none of {', '.join(OURS)} at its end.",
            param="name",
        )
    return text


def default_name(locator: HubModel | WebFile | LocalFiles) -> str:
    """What a model is called unless somebody says otherwise: the same for the same locator, wherever it is asked."""
    match locator:
        case HubModel():
            parts = [locator.repository.replace("/", "--")]
            if locator.file is not None:
                parts.append(quantisation_in(f"-{locator.file}") or stem_of(locator.file.rpartition("/")[2]))
            if locator.revision is not None:
                is_commit = COMMIT.fullmatch(locator.revision) is not None
                parts.append(locator.revision[:COMMIT_DIGITS] if is_commit else locator.revision)
            text = "--".join(parts)
        case WebFile():
            text = stem_of(unquote(urlsplit(locator.url).path).rpartition("/")[2])
        case LocalFiles():
            text = stem_of(Path(locator.path).expanduser().absolute().name)
    return fitted(text)


def stem_of(name: str) -> str:
    shard = shard_in(name)
    return shard.stem if shard is not None else re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)


def fitted(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "model"
    if name.lower().endswith(OURS):
        name = f"{name}-model"
    if len(name) > LONGEST:
        # Two long ones that begin alike stay two.
        name = f"{name[: LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name
