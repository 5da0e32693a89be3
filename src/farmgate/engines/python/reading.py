"""What a class has, as its file says it: read, and never run. The gate knows so much before it starts anything."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from farmgate.core.model import Capability

__all__ = ["lacks_of", "methods_in", "why_no_model"]

NEEDED_FOR = {
    Capability.CHAT: ("chat", "stream"),
    Capability.COMPLETION: ("stream",),
    Capability.EMBEDDING: ("embed",),
    Capability.INFER: ("predict",),
}
"""Any one of these methods will do."""
WANTED = tuple(dict.fromkeys(name for any_of in NEEDED_FOR.values() for name in any_of))
MAY_BIND = ("globals", "vars", "exec", "eval", "setattr", "__getattr__")
"""Where one of these is in a file, it may have names that nobody can read in it."""


def lacks_of(path: Path, name: str) -> frozenset[Capability]:
    """What the class certainly cannot; nothing where its file does not tell all of it."""
    try:
        stat = path.stat()
    except OSError:
        return frozenset()
    return lacking(path, name, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def lacking(path: Path, name: str, _mtime_ns: int, _size: int) -> frozenset[Capability]:
    try:
        methods = methods_in(path.read_bytes(), name)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        # What is wrong with it is told by who loads it.
        methods = None
    if methods is None:
        return frozenset()
    return frozenset(kind for kind, any_of in NEEDED_FOR.items() if not methods & set(any_of))


def why_no_model(path: Path, name: str) -> str | None:
    """Why the class certainly is none that could be served; None where it may be."""
    try:
        source = path.read_bytes()
        tree = ast.parse(source)
        methods = methods_in(source, name)
    except SyntaxError as error:
        where = path.name if error.lineno is None else f"{path.name}:{error.lineno}"
        return f"{where} is no Python: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError):
        # What is wrong with it is told by who loads it.
        return None
    if not may_bind(tree, name):
        own = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        return f"there is no class {name!r} in {path.name}: there is {', '.join(own) or 'none'}"
    if methods is not None and not methods & set(WANTED):
        return f"{name} in {path.name} has none of {', '.join(WANTED)}"
    return None


def may_bind(tree: ast.Module, name: str) -> bool:
    """Whether a module may have this name once it is imported: by a class of it, an import, or in another way."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=found) | ast.FunctionDef(name=found) | ast.Name(id=found):
                if found in (name, *MAY_BIND):
                    return True
            case ast.alias(name=imported, asname=known):
                if (known or imported) in (name, "*"):
                    return True
    return False


def methods_in(source: bytes, name: str) -> frozenset[str] | None:
    """The names that the class has of its own; None where it may have others: from a base, from a decorator, or set
    from elsewhere. Raises SyntaxError, ValueError and RecursionError."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name]
    if len(classes) != 1:
        return None
    found = classes[0]
    is_plain = all(isinstance(base, ast.Name) and base.id == "object" for base in found.bases)
    if not is_plain or found.keywords or found.decorator_list or sets_more(found):
        return None
    return frozenset(node.name for node in found.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def sets_more(found: ast.ClassDef) -> bool:
    """Whether a name of the class, or of what it makes, is set to something that may be a method."""
    wanted = {name for any_of in NEEDED_FOR.values() for name in any_of}
    for node in ast.walk(found):
        if isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__getattribute__"):
            return True
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in wanted:
            return True
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in wanted:
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("setattr", "vars"):
            return True
    return False
