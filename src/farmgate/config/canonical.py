"""Every key of a tree is one the schema knows, under its canonical name; the others are problems."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Union, get_args, get_origin

from pydantic import BaseModel

from farmgate.config.environment import ENVIRONMENTS
from farmgate.config.errors import quoted, suggestion
from farmgate.config.nodes import Node, Path
from farmgate.config.overrides import PROVIDER_NAME
from farmgate.config.sections import adapter_named

__all__ = ["Canonical"]

PROVIDER_NAMES = (PROVIDER_NAME, "up to 64 letters, digits, `-` and `_`, a letter first")
OWN_NAMES = (re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}"), "up to 100 letters, digits, `.`, `_`, `:` and `-`")
MODEL_NAMES = (re.compile(r"[!-~]{1,256}"), "up to 256 visible ASCII characters")
NAMES: Mapping[Path, tuple[re.Pattern[str], str]] = {
    ("ai", "models"): MODEL_NAMES,
    ("ai", "routes"): MODEL_NAMES,
    ("models",): OWN_NAMES,
}


@dataclass(slots=True)
class Canonical:
    """One pass over a tree. What the schema does not know is left out and listed in `problems`."""

    problems: list[str] = field(default_factory=list)

    def model(self, node: Node, model: type[BaseModel], path: Path = ()) -> Node | None:
        """`node` as a section; None, and a problem, where it is something else than a mapping."""
        if node.value is None:
            return replace(node, value={})
        node = written_out(node, model)
        if not isinstance(node.value, dict):
            self.problems.append(f"{node.place}: {dotted(path)} must be a mapping, `key: value`")
            return None
        spellings = spellings_of(model)
        children: dict[str, Node] = {}
        for key, child in node.value.items():
            if (alias := spellings.get(key)) is None:
                self.unknown(key, child, path, tuple(dict.fromkeys(spellings.values())))
            elif alias in children:
                self.problems.append(
                    f"{child.key_place or child.place}: {dotted((*path, alias))} is said twice, "
                    f"as {quoted(alias)} and {quoted(key)}: keep one"
                )
            elif done := self.value(child, annotation(model, alias), (*path, alias)):
                children[alias] = done
        return replace(node, value=children)

    def value(self, node: Node, kind: object, path: Path) -> Node | None:
        kind = required(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return self.model(node, kind, path)
        if get_origin(kind) is Mapping:
            return self.named(node, get_args(kind)[1], path)
        if get_origin(kind) is tuple and is_model(item := get_args(kind)[0]) and isinstance(node.value, list):
            done = (self.value(child, item, (*path, index)) for index, child in enumerate(node.value))
            return replace(node, value=[child for child in done if child])
        return node

    def named(self, node: Node, kind: object, path: Path) -> Node | None:
        """A mapping whose keys are the user's own names."""
        if node.value is None:
            return replace(node, value={})
        if path[:1] == ("models",) and path[2:] == ("adapters",) and isinstance(node.value, list):
            node = self.by_name(node, path)
        if not isinstance(node.value, dict):
            self.problems.append(f"{node.place}: {dotted(path)} must be a mapping, `name: value`")
            return None
        if path == ("ai", "routing"):
            for name in node.value.keys() - set(ENVIRONMENTS):
                self.unknown(name, node.value[name], path, ENVIRONMENTS)
            return replace(node, value={name: node.value[name] for name in ENVIRONMENTS if name in node.value})
        if not is_model(kind):
            return node
        children: dict[str, Node] = {}
        for name, child in node.value.items():
            pattern, wanted = NAMES.get(path, PROVIDER_NAMES)
            if not pattern.fullmatch(name):
                place = child.key_place or child.place
                self.problems.append(f"{place}: {quoted(name)} in {dotted(path)} is not a name: use {wanted}")
            elif done := self.value(child, kind, (*path, name)):
                children[name] = done
        return replace(node, value=children)

    def by_name(self, node: Node, path: Path) -> Node:
        """A list of paths of adapters, each by the name it has from them."""
        children: dict[str, Node] = {}
        for child in node.value if isinstance(node.value, list) else ():
            name = adapter_named(child.value) if isinstance(child.value, str) else ""
            if not name:
                self.problems.append(f"{child.place}: {dotted(path)} must hold paths of folders or files")
            elif name in children:
                self.problems.append(
                    f"{child.place}: {dotted(path)} has two adapters called {quoted(name)}: "
                    "name them yourself, as `{first: path, second: path}`"
                )
            else:
                children[name] = child
        return replace(node, value=children)

    def unknown(self, key: str, child: Node, path: Path, known: tuple[str, ...]) -> None:
        hint = suggestion(key, known) or f"; it takes {', '.join(known)}"
        self.problems.append(f"{child.key_place or child.place}: unknown key {quoted(key)} in {dotted(path)}{hint}")


def written_out(node: Node, model: type[BaseModel]) -> Node:
    """A section that was written as one value, or as a list, in full."""
    name: str | None = getattr(model, "shorthand", None)
    if name is None or not isinstance(node.value, str | list):
        return node
    is_list = get_origin(model.model_fields[name].annotation) is tuple
    if isinstance(node.value, list) and not is_list:
        return node
    value = replace(node, value=[node]) if is_list and isinstance(node.value, str) else node
    return replace(node, value={name: value})


def dotted(path: Path) -> str:
    return ".".join(map(str, path)) or "the top level"


def spellings_of(model: type[BaseModel]) -> Mapping[str, str]:
    """The canonical name of each accepted spelling, the canonical ones first."""
    aliases = {field.alias or name: field.alias or name for name, field in model.model_fields.items()}
    return {**aliases, **{name: field.alias or name for name, field in model.model_fields.items()}}


def annotation(model: type[BaseModel], alias: str) -> object:
    return next(field.annotation for name, field in model.model_fields.items() if alias in (field.alias, name))


def required(kind: object) -> object:
    """`X` for `X | None`."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(arm for arm in get_args(kind) if arm is not type(None))
    return kind


def is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
