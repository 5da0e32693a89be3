"""Servers that somebody else wrote, as engines: vLLM, SGLang, TGI, or any command that serves OpenAI on a port.

Each is a row. The child in wrapper.py starts it, waits until it answers, and ends with it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from farmgate.core.ports import Purpose
from farmgate.engines.engine import TEXT, Launch, Spec
from farmgate.engines.launching import read_address

__all__ = ["COMMANDS", "Command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`argv` may hold {path}, {name}, {port}, {context} and {parallel}. `ready`: the path that answers 200 when it is.

    `key_variable`: the variable the server takes its key from; without one it answers whoever reaches loopback.
    """

    name: str
    argv: tuple[str, ...]
    ready: str = "/health"
    key_variable: str | None = None
    install: str = "install it"
    runs_on: frozenset[str] = frozenset({"gpu"})
    purposes: frozenset[Purpose] = TEXT

    def missing(self) -> str | None:
        program = self.argv[0]
        if shutil.which(program) is not None:
            return None
        return f"{program} is not on the PATH: {self.install}"

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        known = {
            "{path}": str(spec.path),
            "{name}": spec.model,
            "{context}": str(spec.context_tokens),
            "{parallel}": str(spec.parallel),
        }
        command = (
            *(sys.executable, "-P", "-m", "farmgate.engines.wrapper"),
            *("--parent", str(os.getpid())),
            *("--ready", self.ready),
            *(("--key-variable", self.key_variable) if self.key_variable is not None else ()),
            "--",
            *(filled(argument, known) for argument in (*self.argv, *spec.arguments)),
        )
        return Launch(command=command, key=key, environment=environment)

    def address(self, line: bytes) -> str | None:
        return read_address(line)

    def complaint(self, log: str) -> str | None:
        """Its own words are the best there are."""
        return None


def filled(argument: str, known: Mapping[str, str]) -> str:
    """With what is known put in; the port is put in by the child, which knows it."""
    for place, value in known.items():
        argument = argument.replace(place, value)
    return argument


# https://docs.vllm.ai/en/latest/cli/serve.html
# https://docs.sglang.io/advanced_features/server_arguments.html
# https://huggingface.co/docs/text-generation-inference/reference/launcher
COMMANDS: Mapping[str, Command] = {
    "vllm": Command(
        name="vllm",
        argv=(
            *("vllm", "serve", "{path}", "--host", "127.0.0.1", "--port", "{port}"),
            *("--served-model-name", "{name}", "--max-model-len", "{context}", "--max-num-seqs", "{parallel}"),
        ),
        key_variable="VLLM_API_KEY",
        install="pip install vllm",
    ),
    "sglang": Command(
        name="sglang",
        argv=(
            *("python3", "-m", "sglang.launch_server", "--model-path", "{path}"),
            *("--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "{name}"),
            *("--context-length", "{context}", "--max-running-requests", "{parallel}"),
        ),
        install="pip install sglang",
    ),
    "tgi": Command(
        name="tgi",
        argv=(
            *("text-generation-launcher", "--model-id", "{path}", "--hostname", "127.0.0.1", "--port", "{port}"),
            *("--max-total-tokens", "{context}", "--max-concurrent-requests", "{parallel}"),
        ),
        key_variable="API_KEY",
        install="see huggingface.co/docs/text-generation-inference",
    ),
}
