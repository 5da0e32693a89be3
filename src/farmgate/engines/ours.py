"""Every engine there is, by the name that the configuration has for it."""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.engines.command import COMMANDS
from farmgate.engines.engine import Engine
from farmgate.engines.llamacpp import LlamaCpp
from farmgate.engines.onnx.engine import Onnx
from farmgate.engines.python.engine import Python
from farmgate.engines.transformers import Transformers

__all__ = ["ENGINES"]

ENGINES: Mapping[str, Engine] = {
    "llamacpp": LlamaCpp(),
    "transformers": Transformers(),
    "python": Python(),
    "onnx": Onnx(),
    **COMMANDS,
}
