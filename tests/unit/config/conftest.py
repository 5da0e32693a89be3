"""A directory with a configuration in it, and an environment that is nobody's."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from farmgate.config import Config, ConfigError, load

WHOLE_YAML = """\
ai:
  providers:
    ollama:      {enabled: true, url: "http://localhost:11434", models: [llama3.1, codestral, phi3, mistral], defaultModel: llama3.1, autoStart: true, autoPull: [llama3.1]}
    openai:      {enabled: true, apiKey: "${OPENAI_API_KEY}", models: [gpt-4, gpt-3.5-turbo], defaultModel: gpt-3.5-turbo}
    huggingface: {enabled: true, models: [microsoft/DialoGPT-medium, gpt2], device: auto}
  routing:  {development: ollama, staging: openai, production: openai}
  features: {streaming: true, caching: true, rateLimiting: true, fallback: true}
"""  # noqa: E501


@dataclass
class Folder:
    """Where the configuration of a test lives."""

    path: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, text: str | bytes, name: str = "farm.config.yaml") -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def load(
        self,
        text: str | bytes | None = None,
        name: str = "farm.config.yaml",
        *,
        environment: str | None = None,
        flags: dict[str, object] | None = None,
        **variables: str,
    ) -> Config:
        if text is not None:
            self.write(text, name)
        environ = {**self.environ, **variables}
        return load(cwd=self.path, environment=environment, environ=environ, overrides=flags)

    def problems(
        self,
        text: str | bytes | None = None,
        name: str = "farm.config.yaml",
        *,
        environment: str | None = None,
        flags: dict[str, object] | None = None,
        **variables: str,
    ) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as caught:
            self.load(text, name, environment=environment, flags=flags, **variables)
        return caught.value.problems


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "project"
    path.mkdir()
    return Folder(path, {"HOME": str(tmp_path / "home"), "PATH": os.environ.get("PATH", "")})


@pytest.fixture
def whole_yaml() -> str:
    """A real file, in the style people write."""
    return WHOLE_YAML
