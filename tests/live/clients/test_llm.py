"""The `llm` command, with Farmgate as an entry of its extra-openai-models.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.journey.gate import KEY

Command = Callable[..., str]
MODELS = """\
- model_id: farmgate
  model_name: demo
  api_base: {base_url}
  api_key_name: farmgate
  supports_tools: true
  supports_schema: true
"""
TOOL = """\
def add(a: int, b: int) -> int:
    "The sum of two numbers."
    return a + b
"""


@pytest.fixture
def llm(base_url: str, tmp_path: Path) -> Command:
    """What an `llm` command prints; its settings are a directory of the test's."""
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(base_url=base_url))
    (tmp_path / "keys.json").write_text(json.dumps({"farmgate": KEY}))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("llm")), *arguments],
            env={**os.environ, "LLM_USER_PATH": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_model_is_listed(llm: Command) -> None:
    assert "farmgate" in llm("models")


@pytest.mark.parametrize("how", [(), ("--no-stream",)], ids=["streamed", "whole"])
def test_a_prompt_is_answered(llm: Command, how: tuple[str, ...]) -> None:
    assert 'beginning with "Ten names for a pelican"' in llm("-m", "farmgate", *how, "Ten names for a pelican")


def test_a_conversation_goes_on(llm: Command) -> None:
    llm("-m", "farmgate", "Hello")
    assert 'beginning with "And now?"' in llm("--continue", "And now?")


@pytest.mark.parametrize("how", [(), ("--no-stream",)], ids=["streamed", "whole"])
def test_a_tool_is_used(llm: Command, how: tuple[str, ...]) -> None:
    assert "42" in llm("-m", "farmgate", *how, "--functions", TOOL, "What is 19 and 23?")


def test_a_schema_is_kept(llm: Command) -> None:
    said = llm("-m", "farmgate", "--schema", "name, age int", "A dog called Rex, 3 years old")
    assert json.loads(said) == {"name": "Rex", "age": 3}
