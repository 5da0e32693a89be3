"""Servers that somebody else wrote, as engines: vLLM, SGLang, TGI, or any command that serves OpenAI on a port.

Each is a row. The child in wrapper.py starts it, waits until it answers, and ends with it.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farmgate.core.ports import Purpose
from farmgate.engines.engine import TEXT, Launch, Spec
from farmgate.engines.folder import attention_heads
from farmgate.engines.launching import read_address
from farmgate.engines.served_adapters import SGLANG, TGI, VLLM, ServerAdapters, TgiAdapters
from farmgate.engines.sleeping import SglangSleep, VllmSleep
from farmgate.engines.surroundings import Sleeper

__all__ = ["COMMANDS", "Command"]


SPLITS = (1, 2, 4, 8)
"""On how many GPUs a server that can splits a model: its heads of attention must come out even."""
SERVER_BYTES = 2 << 30
"""What such a server has on each GPU beside weights, keys and values: context, graphs, what a large step computes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """`words` for the command line, unless the owner's `arguments` have one of these flags."""

    words: tuple[str, ...]
    unless: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`argv` may hold {path}, {name}, {port}, {context}, {parallel}, {gpus}, {share} and {share_of_free}, which
    Gpus explains. `ready`: the path that answers 200 when it is.

    `key_variable`: the variable the server takes its key from; without one it answers whoever reaches loopback.
    `sizes`: the flags, each with its other spellings, whose numbers multiplied say on how many GPUs it is.
    `sleeper`: how it sleeps, where it can; `sleep_words`, `sleep_environment`: what lets it.
    """

    name: str
    argv: tuple[str, ...]
    automatic: tuple[Automatic, ...] = ()
    sizes: tuple[tuple[str, ...], ...] = ()
    sleeper: Sleeper | None = None
    sleep_words: tuple[str, ...] = ()
    sleep_environment: tuple[tuple[str, str], ...] = ()
    ready: str = "/health"
    key_variable: str | None = None
    install: str = "install it"
    runs_on: frozenset[str] = frozenset({"gpu"})
    gpu_bytes: int = SERVER_BYTES
    purposes: frozenset[Purpose] = TEXT
    taking: ServerAdapters | TgiAdapters | None = None

    def missing(self) -> str | None:
        program = self.argv[0]
        if shutil.which(program) is not None:
            return None
        return f"{program} is not on the PATH: {self.install}"

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        return self.runs_on

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        """As the owner's arguments say; else any that its heads of attention can be shared over, if it takes {gpus}."""
        said = [number for flags in self.sizes if (number := number_of(spec.arguments, flags)) is not None]
        if said:
            return (math.prod(said),)
        if not any("{gpus}" in word for word in self._words(spec)):
            return (1,)
        heads = attention_heads(spec.path)
        return tuple(count for count in SPLITS if heads is None or heads % count == 0)

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        known = {
            "{path}": str(spec.path),
            "{name}": spec.model,
            "{context}": str(spec.context_tokens),
            "{parallel}": str(spec.parallel),
            "{gpus}": str(spec.gpus.count),
            "{share}": rounded_down(spec.gpus.share),
            "{share_of_free}": rounded_down(spec.gpus.share_of_free),
        }
        command = (
            *(sys.executable, "-P", "-m", "farmgate.engines.wrapper"),
            *("--parent", str(os.getpid())),
            *("--ready", self.ready),
            *(("--key-variable", self.key_variable) if self.key_variable is not None else ()),
            "--",
            *(filled(argument, known) for argument in self._words(spec)),
        )
        sleeps = self.sleep_environment if spec.sleeps else ()
        adapts = self.taking.environment if self.taking is not None and spec.adapters else {}
        return Launch(command=command, key=key, environment={**environment, **dict(sleeps), **adapts})

    def _words(self, spec: Spec) -> tuple[str, ...]:
        added = (one for one in self.automatic if not any(is_said(spec.arguments, flag) for flag in one.unless))
        sleeps = self.sleep_words if spec.sleeps else ()
        adapters = self.taking.arguments(spec) if self.taking is not None else ()
        return (*self.argv, *(word for one in added for word in one.words), *sleeps, *adapters, *spec.arguments)

    def address(self, line: bytes) -> str | None:
        return read_address(line)

    def complaint(self, log: str) -> str | None:
        """Its own words are the best there are."""
        return None


def is_said(arguments: Sequence[str], flag: str) -> bool:
    """Whether a flag is among them, alone or as `--flag=value`, with dashes or underscores."""
    return any(flag_of(word) == flag for word in arguments)


def flag_of(word: str) -> str:
    return word.partition("=")[0].replace("_", "-")


def number_of(arguments: Sequence[str], flags: Sequence[str]) -> int | None:
    """What is said behind a flag, the last time; None where it is not said, and 1 where it is no number."""
    found = None
    for at, word in enumerate(arguments):
        if flag_of(word) in flags:
            value = word.partition("=")[2] or next(iter(arguments[at + 1 : at + 2]), "")
            found = max(1, int(value)) if value.isdecimal() else 1
    return found


def rounded_down(part: float) -> str:
    """Never more than it is, and less by no more than a ten-thousandth."""
    return f"{math.floor(part * 10_000) / 10_000:.4f}"


def filled(argument: str, known: Mapping[str, str]) -> str:
    """With what is known put in; the port is put in by the child, which knows it."""
    for place, value in known.items():
        argument = argument.replace(place, value)
    return argument


def flat(sizes: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(flag for flags in sizes for flag in flags)


VLLM_SIZES = (
    ("--tensor-parallel-size", "-tp"),
    ("--pipeline-parallel-size", "-pp"),
    ("--data-parallel-size", "-dp"),
)
SGLANG_SIZES = (
    ("--tp-size", "--tensor-parallel-size", "--tp"),
    ("--pp-size", "--pipeline-parallel-size"),
    ("--dp-size", "--data-parallel-size", "--dp"),
)
TGI_SIZES = (("--num-shard",),)

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
        automatic=(
            Automatic(words=("--tensor-parallel-size", "{gpus}"), unless=flat(VLLM_SIZES)),
            Automatic(words=("--gpu-memory-utilization", "{share}"), unless=("--gpu-memory-utilization",)),
        ),
        sizes=VLLM_SIZES,
        sleeper=VllmSleep(),
        sleep_words=("--enable-sleep-mode",),
        # Without it there are no routes to sleep and wake by.
        sleep_environment=(("VLLM_SERVER_DEV_MODE", "1"),),
        key_variable="VLLM_API_KEY",
        taking=VLLM,
        install="pip install vllm",
    ),
    "sglang": Command(
        name="sglang",
        argv=(
            *("python3", "-m", "sglang.launch_server", "--model-path", "{path}"),
            *("--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "{name}"),
            *("--context-length", "{context}", "--max-running-requests", "{parallel}"),
        ),
        automatic=(
            Automatic(words=("--tp-size", "{gpus}"), unless=flat(SGLANG_SIZES)),
            # Of what is free when it starts, not of all; context and graphs come on top.
            Automatic(words=("--mem-fraction-static", "{share_of_free}"), unless=("--mem-fraction-static",)),
            # The others tell how busy they are without it.
            Automatic(words=("--enable-metrics",), unless=("--enable-metrics",)),
        ),
        sizes=SGLANG_SIZES,
        sleeper=SglangSleep(),
        # Without the second it wakes without its weights.
        sleep_words=("--enable-memory-saver", "--enable-weights-cpu-backup"),
        install="pip install sglang",
        taking=SGLANG,
    ),
    "tgi": Command(
        name="tgi",
        argv=(
            *("text-generation-launcher", "--model-id", "{path}", "--hostname", "127.0.0.1", "--port", "{port}"),
            *("--max-total-tokens", "{context}", "--max-concurrent-requests", "{parallel}"),
        ),
        automatic=(
            Automatic(words=("--num-shard", "{gpus}"), unless=flat(TGI_SIZES)),
            Automatic(words=("--cuda-memory-fraction", "{share}"), unless=("--cuda-memory-fraction",)),
        ),
        sizes=TGI_SIZES,
        key_variable="API_KEY",
        taking=TGI,
        install="see huggingface.co/docs/text-generation-inference",
    ),
}
