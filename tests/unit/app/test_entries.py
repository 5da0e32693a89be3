"""A provider that there is not is told where it is written; a cloud without its key is told before it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from farmgate.app.entries import check_entries
from farmgate.config import Config, ConfigError, load


def config(folder: Path, text: str, **variables: str) -> Config:
    (folder / "farm.config.yaml").write_text(text)
    return load(folder / "farm.config.yaml", cwd=folder, environ={"HOME": str(folder), **variables})


def test_every_provider_that_there_is_not_is_told_with_its_place_and_the_nearest_name(tmp_path: Path) -> None:
    text = "ai:\n  providers:\n    opnai: {}\n    mine: {provider: 'no_such_module:Mine'}\n    gone: {enabled: false}\n"
    with pytest.raises(ConfigError) as caught:
        check_entries(config(tmp_path, text))
    first, second = caught.value.problems
    assert "farm.config.yaml:3:5: ai.providers.opnai: there is no provider 'opnai'; did you mean \"openai\"?" in first
    assert "farm.config.yaml:4:5: ai.providers.mine: " in second
    assert "no_such_module" in second


def test_a_cloud_without_a_key_is_told_which_variable_it_wants(tmp_path: Path) -> None:
    (told,) = check_entries(config(tmp_path, "ai:\n  providers:\n    groq: {models: [m]}\n"))
    assert "farm.config.yaml:3:5: ai.providers.groq has no apiKey, and GROQ_API_KEY is not set" in told


@pytest.mark.parametrize(
    "entry",
    [
        "openai: {apiKey: sk-0123456789}",
        "openai: {url: 'http://127.0.0.1:9/v1'}",
        "openai: {headers: {authorization: mine}}",
        "openai: {enabled: false}",
        "vllm: {}",
        "ollama: {}",
        "mistral: {}",
    ],
)
def test_nothing_is_told_where_a_key_is_there_or_none_is_needed(entry: str, tmp_path: Path) -> None:
    text = f"ai:\n  providers:\n    {entry}\n"
    assert check_entries(config(tmp_path, text, MISTRAL_API_KEY="key-0123456789")) == ()
