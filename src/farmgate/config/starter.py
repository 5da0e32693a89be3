"""The file `farmgate config init` writes: the schema line, and only what was found on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["EXAMPLE", "Found", "init_text"]

HEAD = """\
# yaml-language-server: $schema=./farm.config.schema.json
# `farmgate config check` reads this file; `farmgate config show --origin` tells where each value comes from.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A provider that was found. `key_variable` names the environment variable that holds its key."""

    name: str
    url: str | None = None
    key_variable: str | None = None
    models: tuple[str, ...] = ()
    default_model: str | None = None


def init_text(found: Sequence[Found]) -> str:
    """A `farm.config.yaml` with the providers found; the first one answers in development."""
    if not found:
        return HEAD + "# Nothing was found to talk to: `farmgate pull starter` gets a small model.\nai: {}\n"
    lines = ["ai:", "  providers:"]
    for one in found:
        lines.append(f"    {one.name}:{'' if entry(one) else ' {}'}")
        lines += [f"      {line}" for line in entry(one)]
    lines += ["  routing:", f"    development: {one_line(found[0].name)}"]
    return HEAD + "\n".join(lines) + "\n"


def entry(one: Found) -> list[str]:
    lines = []
    if one.url:
        lines.append(f"url: {one_line(one.url)}")
    if one.key_variable:
        lines.append(f'apiKey: "${{{one.key_variable}}}"')
    if one.models:
        lines.append(f"models: [{', '.join(one_line(model) for model in one.models)}]")
    if one.default_model:
        lines.append(f"defaultModel: {one_line(one.default_model)}")
    return lines


def one_line(text: str) -> str:
    """Text in double quotes as YAML and JSON both read it; a `${` in it stays as it is."""
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False)


EXAMPLE = init_text(
    (
        Found(name="ollama", url="http://localhost:11434", models=("llama3.1",), default_model="llama3.1"),
        Found(name="openai", key_variable="OPENAI_API_KEY"),
    )
)
