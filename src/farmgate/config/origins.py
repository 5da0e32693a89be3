"""Every setting can be listed with its value, masked where it is secret, and with who said so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmgate.config.nodes import Node, Path, at

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Origin", "Setting", "is_secret", "masked", "settings_of"]

SECRET_OPTION = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origin:
    """`where` is a file's place (`farm.config.yaml:4:18`, `.env.staging:3`), `environment variable NAME`,
    `command line` or `default`. `via` tells what a `${...}` at that place was filled from."""

    where: str
    via: str = ""

    def __str__(self) -> str:
        return f"{self.where} ({self.via})" if self.via else self.where


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of the configuration, as it may be shown.

    `digest` stands for the value itself where that is secret, so that two can be told apart without either.
    """

    path: str
    value: object
    origin: Origin
    digest: str | None = field(default=None, compare=False, repr=False)

    @property
    def is_secret(self) -> bool:
        return self.digest is not None


def masked(secret: str) -> str:
    """Enough of a secret to tell it from another, not enough to use it."""
    return f"{secret[:4]}…{secret[-4:]}" if len(secret) > 12 else "****"


def is_secret(path: Path, via: str = "") -> bool:
    """Whether a value is hidden: keys, every header, and options that look like a credential or came from
    outside the file."""
    match path:
        case (
            ("keys", _, "key" | "sha256")
            | ("ai", "providers", _, "apiKey", *_)
            | ("ai", "providers", _, "headers", _, *_)
        ):
            return True
        case ("ai", "providers", _, "options", *rest):
            return bool(via) or any(SECRET_OPTION.search(str(step)) for step in rest)
        case _:
            return False


def settings_of(root: BaseModel, tree: Node) -> Iterator[Setting]:
    """Every value of `root` under its canonical name. `tree` holds what was said; the rest is default."""
    for path, value in leaves(root, ()):
        node = at(tree, path)
        origin = Origin(node.place, node.via) if node else Origin("default")
        name = ".".join(map(str, path))
        if value is None or not holds_secret(path, value, filled_from(node)):
            yield Setting(name, list(value) if isinstance(value, tuple) else value, origin)
            continue
        reveal = getattr(value, "get_secret_value", None)
        secret = str(reveal() if reveal else value)
        yield Setting(name, "****" if isinstance(value, (list, tuple)) else masked(secret), origin, digest_of(secret))


def holds_secret(path: Path, value: object, via: str) -> bool:
    """Whether a value, or one within its lists, is hidden."""
    if is_secret(path, via):
        return True
    if isinstance(value, Mapping):
        return any(holds_secret((*path, str(key)), child, "") for key, child in value.items())
    return isinstance(value, (list, tuple)) and any(holds_secret(path, child, "") for child in value)


def filled_from(node: Node | None) -> str:
    """What a `${...}` in the value, or in one within its list, was filled from."""
    if node is None or node.via or not isinstance(node.value, (list, dict)):
        return node.via if node else ""
    inner = node.value if isinstance(node.value, list) else node.value.values()
    return next(filter(None, map(filled_from, inner)), "")


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def leaves(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            # Keys are listed by the loader: what is kept of them is not what was written.
            if path or name not in ("keys", "schema_"):
                yield from leaves(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from leaves(child, (*path, str(key)))
    else:
        yield path, value
