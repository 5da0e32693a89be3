"""A whole file, as somebody would write it, in every format."""

from __future__ import annotations

import json

import pytest
from tests.unit.config.conftest import Folder

KEY = "sk-b12345678901b1c2"
DATA = {
    "ai": {
        "providers": {
            "ollama": {
                "enabled": True,
                "url": "http://localhost:11434",
                "models": ["llama3.1", "codestral", "phi3", "mistral"],
                "defaultModel": "llama3.1",
                "autoStart": True,
                "autoPull": ["llama3.1"],
            },
            "openai": {
                "enabled": True,
                "apiKey": "${OPENAI_API_KEY}",
                "models": ["gpt-4", "gpt-3.5-turbo"],
                "defaultModel": "gpt-3.5-turbo",
            },
            "huggingface": {"enabled": True, "models": ["microsoft/DialoGPT-medium", "gpt2"], "device": "auto"},
        },
        "routing": {"development": "ollama", "staging": "openai", "production": "openai"},
        "features": {"streaming": True, "caching": True, "rateLimiting": True, "fallback": True},
    }
}
TOML = """
[ai.providers.ollama]
enabled = true
url = "http://localhost:11434"
models = ["llama3.1", "codestral", "phi3", "mistral"]
defaultModel = "llama3.1"
autoStart = true
autoPull = ["llama3.1"]

[ai.providers]
openai = {enabled = true, apiKey = "${OPENAI_API_KEY}", models = ["gpt-4", "gpt-3.5-turbo"], defaultModel = "gpt-3.5-turbo"}
huggingface = {enabled = true, models = ["microsoft/DialoGPT-medium", "gpt2"], device = "auto"}

[ai.routing]
development = "ollama"
staging = "openai"
production = "openai"

[ai.features]
streaming = true
caching = true
rateLimiting = true
fallback = true
"""  # noqa: E501
SAME = {
    "farm.config.yml": None,
    "farm.config.json": json.dumps(DATA),
    "farm.config.toml": TOML,
    "farm.config.js": f"console.log('noise'); module.exports = {json.dumps(DATA)};",
    "farm.config.cjs": f"module.exports = {json.dumps(DATA)};",
}


def test_it_loads_in_development_without_a_key_for_the_provider_that_is_not_asked(
    folder: Folder, whole_yaml: str
) -> None:
    config = folder.load(whole_yaml)
    assert config.environment == "development"
    assert set(config.ai.providers) == {"ollama", "huggingface"}
    assert config.ai.routing["development"] == "ollama"
    ollama = config.ai.providers["ollama"]
    assert (ollama.default_model, ollama.auto_start, ollama.auto_pull) == ("llama3.1", True, ("llama3.1",))
    assert list(config.left_out) == ["openai"]
    assert "farm.config.yaml:4:42" in config.left_out["openai"]
    assert any("OPENAI_API_KEY is not set" in notice and "left out" in notice for notice in config.notices)


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_key_of_the_provider_that_must_answer_is_required(folder: Folder, whole_yaml: str, environment: str) -> None:
    (problem,) = folder.problems(whole_yaml, environment=environment)
    assert problem.startswith("farm.config.yaml:4:42: ai.providers.openai.apiKey: ")
    assert "OPENAI_API_KEY" in problem


def test_with_the_key_it_loads_in_production(folder: Folder, whole_yaml: str) -> None:
    config = folder.load(whole_yaml, FARM_ENV="production", OPENAI_API_KEY=KEY)
    api_key = config.ai.providers["openai"].api_key
    assert api_key is not None
    assert api_key.get_secret_value() == KEY
    assert not config.left_out


def test_every_setting_that_does_nothing_yet_is_said(folder: Folder, whole_yaml: str) -> None:
    notices = "\n".join(folder.load(whole_yaml).notices)
    for name in ("features.caching", "features.rateLimiting", "huggingface.device"):
        assert f"ai.{name}" in notices or f"ai.providers.{name}" in notices
    assert "streaming" not in notices
    assert "autoStart" not in notices


def test_streaming_off_is_built_so_nothing_is_said(folder: Folder) -> None:
    config = folder.load("ai: {features: {streaming: false}}")
    assert config.ai.features.streaming is False
    assert config.notices == ()


@pytest.mark.parametrize("name", sorted(SAME))
@pytest.mark.parametrize("variables", [{}, {"OPENAI_API_KEY": KEY}])
def test_the_same_content_in_another_format_is_the_same_config(
    folder: Folder, whole_yaml: str, name: str, variables: dict[str, str]
) -> None:
    folder.environ.update(variables)
    expected = folder.load(whole_yaml)
    (folder.path / "farm.config.yaml").unlink()
    config = folder.load(SAME[name] or whole_yaml, name)
    assert config == expected
    assert config.source == folder.path / name


def test_snake_case_is_accepted_everywhere(folder: Folder, whole_yaml: str) -> None:
    expected = folder.load(whole_yaml)
    snake = whole_yaml
    for camel, other in (
        ("apiKey", "api_key"),
        ("defaultModel", "default_model"),
        ("autoStart", "auto_start"),
        ("autoPull", "auto_pull"),
        ("rateLimiting", "rate_limiting"),
    ):
        snake = snake.replace(camel, other)
    config = folder.load(snake)
    assert config == expected
    assert config.origin("ai.providers.ollama.auto_pull").where == "farm.config.yaml:3:165"


def test_an_empty_file_is_all_defaults(folder: Folder) -> None:
    nothing = folder.load()
    assert nothing.source is None
    assert nothing.notices == ()
    for name in ("farm.config.yaml", "farm.config.json", "farm.config.toml", "farm.config.js"):
        assert folder.load("", name) == nothing
        (folder.path / name).unlink()
    assert (nothing.server.host, nothing.server.port) == ("127.0.0.1", 8000)
    assert nothing.server.limits.body_bytes == 20 * 1024 * 1024
    assert nothing.journal.segment_bytes == 64 * 1024 * 1024
    assert nothing.server.drain.timeout_s == 600
