"""What a source in the configuration names: a file or a folder, whose engine it is for, and the class in it where it is
code. Only the operator's configuration is looked up here; what a caller sends never is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CODE", "GRAPH", "Found", "engine_for", "find_source", "why_not_found"]

CODE = re.compile(r"(?P<file>.+\.py):(?P<name>[^\W\d]\w*)")
"""A class in a file: `./sentiment.py:Sentiment`."""
GRAPH = ".onnx"
USUAL_GRAPHS = ("model.onnx", "onnx/model.onnx")
"""Where exporters put a graph in the folder of a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`engine`: whom files of this kind are for. `attribute`: the class, where the file is code."""

    path: Path
    engine: str
    attribute: str = ""


def find_source(text: str, engine: str | None, known: Callable[[str], Path | None]) -> Found | None:
    """None where there is no such file. `engine`: whose it is to be, where that is said; `known`: finds a pulled model,
    a GGUF file or a checkpoint."""
    try:
        return sought(text, engine, known)
    except (OSError, RuntimeError, ValueError):
        # A folder that may not be looked into, a name too long, no home for `~`: no such file, in other words.
        return None


def sought(text: str, engine: str | None, known: Callable[[str], Path | None]) -> Found | None:
    code = CODE.fullmatch(text)
    if code is not None and engine in (None, "python"):
        file = Path(code["file"]).expanduser()
        return Found(path=file.resolve(), engine="python", attribute=code["name"]) if file.is_file() else None
    graph = graph_at(Path(text).expanduser())
    if engine == "onnx" or (engine is None and graph is not None and is_for_graph(text)):
        return None if graph is None else Found(path=graph, engine="onnx")
    path = None if engine == "python" else known(text)
    return None if path is None else Found(path=path, engine=engine_for(path))


def graph_at(path: Path) -> Path | None:
    """A graph, or the one in a folder: of several, that with the usual name."""
    if path.suffix == GRAPH and path.is_file():
        return path.resolve()
    if not path.is_dir():
        return None
    usual = next((file for name in USUAL_GRAPHS if (file := path / name).is_file()), None)
    if usual is not None:
        return usual.resolve()
    graphs = list(path.glob(f"*{GRAPH}"))
    return graphs[0].resolve() if len(graphs) == 1 else None


def is_for_graph(text: str) -> bool:
    """Whether what holds a graph is there for it: a folder with other weights too is a checkpoint, unless its engine is
    said."""
    folder = Path(text).expanduser()
    return not folder.is_dir() or not any(folder.glob("*.safetensors"))


def why_not_found(text: str) -> str:
    """What is wrong with a source that was not found, behind `which`."""
    code = CODE.fullmatch(text)
    path = Path(code["file"] if code is not None else text)
    try:
        path = path.expanduser()
        is_folder, is_open = path.is_dir(), os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
        is_there = path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if is_there and not is_open:
        return "cannot be read: permission denied"
    if is_folder:
        return "has neither a config.json with *.safetensors in it, nor one .onnx file"
    if is_there and path.suffix == ".gguf":
        return "does not begin as GGUF files do: it may be damaged, or in another format"
    if not is_there and len(path.parts) > 1:
        return "is not there"
    return (
        "is neither a pulled model, nor a GGUF file, nor the folder of a checkpoint with a config.json, nor an "
        ".onnx file or a folder with one, nor a class in a file such as ./model.py:Model"
    )


def engine_for(path: Path) -> str:
    """The engine that pulled files, GGUF files and checkpoints are for."""
    return "transformers" if path.is_dir() else "llamacpp"
