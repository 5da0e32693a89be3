"""`${VAR}`, `${VAR:-default}` and `${file:/path}` in texts become values; `$${` stays `${`. Once, never twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path as FilePath

from farmgate.config.environment import Environment
from farmgate.config.errors import ConfigError, quoted
from farmgate.config.files import Files
from farmgate.config.nodes import Node, Path

__all__ = ["Interpolation", "Missing", "Why"]

# `rest` is anything else that starts like a reference, to be refused.
REFERENCE = re.compile(
    r"(?P<escape>\$\$\{)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<or>:-(?P<default>[^}$]*))?\}"
    r"|\$\{file:(?P<file>[^}$]+)\}"
    r"|(?P<rest>\$\{[^}]{0,40}\}?)"
)


class Why(StrEnum):
    """UNSET can be forgiven where the value is not used; WRONG cannot."""

    UNSET = "unset"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Missing:
    """A text that could not be completed. `problem` opens with the place."""

    path: Path
    why: Why
    problem: str


@dataclass(slots=True)
class Interpolation:
    """One pass over a tree. What could not be completed is left out of the tree and listed in `missing`."""

    environment: Environment
    files: Files
    folder: FilePath
    missing: list[Missing] = field(default_factory=list)

    def root(self, node: Node) -> Node:
        """The whole tree, a mapping, completed."""
        return self.tree(node, ()) or replace(node, value={})

    def tree(self, node: Node, path: Path) -> Node | None:
        match node.value:
            case dict(children):
                kept = ((key, self.tree(child, (*path, key))) for key, child in children.items())
                return replace(node, value={key: child for key, child in kept if child})
            case list(items):
                done = (self.tree(item, (*path, index)) for index, item in enumerate(items))
                return replace(node, value=[item for item in done if item])
            case str(text) if "${" in text and not node.literal:
                return self.text(node, text, path)
            case _:
                return node

    def text(self, node: Node, text: str, path: Path) -> Node | None:
        used: list[str] = []
        dotted = ".".join(map(str, path))

        def lose(why: Why, problem: str) -> str:
            self.missing.append(Missing(path, why, f"{node.place}: {dotted}: {problem}"))
            return ""

        before = len(self.missing)
        value = REFERENCE.sub(lambda found: self.one(found, used, lose), text)
        return replace(node, value=value, via=", ".join(used)) if len(self.missing) == before else None

    def one(self, found: re.Match[str], used: list[str], lose: Callable[[Why, str], str]) -> str:
        if found["escape"]:
            return "${"
        if found["rest"]:
            return lose(
                Why.WRONG,
                f"cannot read {quoted(found['rest'])}: write ${{NAME}}, ${{NAME:-default}} or ${{file:/path}}, "
                "and $${ for a plain ${",
            )
        if found["file"]:
            return self.from_file(found["file"], used, lose)
        name, default = found["name"], found["default"]
        variable = self.environment.get(name)
        if found["or"] and (variable is None or not variable.value):
            return str(default)
        if variable is None:
            return lose(Why.UNSET, f"the environment variable {name} is not set: set it, or write ${{{name}:-default}}")
        used.append(variable.where)
        return variable.value

    def from_file(self, name: str, used: list[str], lose: Callable[[Why, str], str]) -> str:
        """The content of a file without the newlines at its end."""
        try:
            text = self.files.text(self.folder / FilePath(name).expanduser())
        except ConfigError as error:
            return lose(Why.UNSET, str(error))
        except RuntimeError:
            return lose(Why.WRONG, f"{quoted(name)}: there is no such home directory")
        used.append(f"file {name}")
        return text.rstrip("\r\n")
