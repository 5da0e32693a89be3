"""The operator's class: found in its file, made, loaded, and called so that what it raises is told as its own."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from farmgate.core.errors import BadRequest, ModelFailed

__all__ = ["METHODS", "CannotLoad", "Code", "load"]

T = TypeVar("T")
METHODS = ("predict", "stream", "chat", "embed")


class CannotLoad(Exception):
    """There is no model; the text says why, in words that callers may read: of the code it names only the place."""


class Code:
    """A model that is loaded. Its methods are called by one thread, which loaded it."""

    def __init__(self, made: object, *, model: str, path: Path) -> None:
        self.can = tuple(name for name in METHODS if callable(getattr(made, name, None)))
        self._made = made
        self._model = model
        self._path = path

    @property
    def told(self) -> str:
        """What it can, in words."""
        return f"it has {' and '.join(self.can)}"

    def call(self, method: str, *arguments: object, **options: object) -> object:
        """What the method gives. Raises ModelFailed, and what a method raises to tell its caller: a BadRequest."""
        return self.guard(method, lambda: getattr(self._made, method)(*arguments, **options))

    def guard(self, method: str, act: Callable[[], T]) -> T:
        """What `act` gives, which is a step of that method. Raises as `call` does."""
        try:
            return act()
        except BadRequest:
            raise
        except BaseException as error:  # noqa: BLE001 - somebody else's code, in a thread no signal comes to: it is theirs
            # Its words may hold anything, also what other callers sent: they are for the log alone.
            traceback.print_exception(error)
            kind = type(error).__name__
        raise ModelFailed(
            f"The code of {self._model} failed: {method} raised {kind}. Its engine's log tells where.", param="model"
        )

    def options(self, method: str, told: Mapping[str, object]) -> dict[str, object]:
        """Those of a caller's options that the method takes, by their names; all where it takes any."""
        takes = inspect.signature(getattr(self._made, method)).parameters.values()
        if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in takes):
            return dict(told)
        # The first is the conversation or the prompt.
        names = {one.name for one in list(takes)[1:] if one.kind is not inspect.Parameter.VAR_POSITIONAL}
        return {name: value for name, value in told.items() if name in names}

    def failed(self, what: str) -> ModelFailed:
        """For results that are none."""
        return ModelFailed(f"The code of {self._model} failed: {what}.", param="model")


def load(path: Path, name: str, *, model: str) -> Code:
    """Import the file, make the class, and have it load. Raises CannotLoad."""
    module = imported(path)
    found = getattr(module, name, None)
    if not isinstance(found, type):
        own = [
            each for each, value in vars(module).items() if isinstance(value, type) and value.__module__ == path.stem
        ]
        raise CannotLoad(f"there is no class {name!r} in {path.name}: there is {', '.join(own) or 'none'}")
    made = attempt(found, path, f"{name}()")
    begin = getattr(made, "load", None)
    if callable(begin):
        attempt(begin, path, "load()")
    code = Code(made, model=model, path=path)
    if not code.can:
        raise CannotLoad(f"{name} in {path.name} has none of {', '.join(METHODS)}")
    return code


def imported(path: Path) -> ModuleType:
    """The module that a file is, under its own name, so that what it pickles can be found again."""
    name = path.stem
    if not name.isidentifier() or name in sys.stdlib_module_names or name in sys.modules:
        raise CannotLoad(f"{path.name} has the name of another module, or of none: call the file otherwise")
    # Behind everything else: a file json.py beside it is not the library's.
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CannotLoad(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader = spec.loader
    attempt(lambda: loader.exec_module(module), path, f"importing {path.name}")
    return module


def attempt(act: Callable[[], T], path: Path, what: str) -> T:
    """Raises CannotLoad, with what was raised in the log."""
    try:
        return act()
    except BaseException as error:  # noqa: BLE001 - as above
        traceback.print_exception(error)
        where = place(error, path)
        told = f"{what} raised {type(error).__name__}"
    raise CannotLoad(f"{told} at {where}" if where else f"{told}: it is called without arguments")


def place(error: BaseException, path: Path) -> str | None:
    """The last line of the operator's own file that led to an error, or, where none did, the last line at all; None
    where it was not even entered."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    if all(frame.filename == __file__ for frame in frames):
        return None
    own = [frame for frame in frames if Path(frame.filename) == path] or list(frames)
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"
