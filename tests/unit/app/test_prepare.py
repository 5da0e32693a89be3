"""What `farmgate dev` gets before it serves: models of the configuration that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from farmgate.app.house import hub_of
from farmgate.app.prepare import prepare
from farmgate.config import Config, ConfigError, load
from farmgate.core.errors import ModelNotFound
from farmgate.core.model import ModelInfo
from farmgate.core.ports import Progress, Report


class Store:
    """Remembers what it was asked for; some of it is there."""

    def __init__(self, *here: str) -> None:
        self.here = set(here)
        self.fetched: list[str] = []

    def models(self) -> tuple[ModelInfo, ...]:
        return ()

    def path(self, model: str) -> Path | None:
        return None

    def source(self, text: str) -> Path | None:
        return Path(text) if text in self.here else None

    async def pull(self, model: str, report: Report) -> Path:
        raise AssertionError

    async def fetch(self, source: str, report: Report, *, name: str | None = None) -> str:
        assert name is None
        self.fetched.append(source)
        report(Progress(status="downloading"))
        if source.endswith("nothing"):
            raise ModelNotFound("There is none.")
        return source

    def remove(self, model: str) -> bool:
        raise AssertionError


def config_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    (tmp_path / "farm.config.yaml").write_text(text)
    return load(cwd=tmp_path, environ={"FARM_HOME": str(tmp_path / "home"), **(environ or {})})


def report(_: str) -> Report:
    return lambda _: None


async def test_models_of_the_hub_and_of_addresses_are_got_where_they_are_missing(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        """
        ai: {providers: {local: {autoPull: [starter, "hf:owner/other"]}}}
        models:
          chat: {versions: {1: "hf:owner/name@v1", 2: "hf:owner/name@v2", 3: ./here.gguf, 4: starter}}
          gone: hf:owner/nothing
          web: https://host/x.gguf
          later: {source: "hf:owner/later", autoPull: false}
        """,
    )
    store = Store("hf:owner/name@v1", "starter")
    findings = await prepare(config, store, report, [])
    assert store.fetched == ["hf:owner/other", "hf:owner/name@v2", "hf:owner/nothing", "https://host/x.gguf"]
    assert [(finding.name, finding.is_there, finding.text) for finding in findings] == [
        ("local", True, "pulled hf:owner/other"),
        ("chat", True, "pulled hf:owner/name@v2"),
        ("gone", False, "hf:owner/nothing was not pulled: There is none."),
        ("web", True, "pulled https://host/x.gguf"),
    ]


def test_the_hub_is_the_one_its_other_clients_know(tmp_path: Path) -> None:
    make: Callable[..., Config] = lambda **environ: config_of(tmp_path, "", environ)  # noqa: E731
    assert hub_of(make())._base_url == "https://huggingface.co"
    mirror = hub_of(make(HF_ENDPOINT="https://mirror.example/", HUGGING_FACE_HUB_TOKEN="hf_one"))
    assert (mirror._base_url, mirror._token and mirror._token.origin) == (
        "https://mirror.example",
        "https://mirror.example:443",
    )
    both = hub_of(make(HF_TOKEN="hf_two", HUGGING_FACE_HUB_TOKEN="hf_one"))
    assert both._token is not None
    assert both._token.value == "hf_two"


@pytest.mark.parametrize("environ", [{"HF_ENDPOINT": "mirror.example"}, {"HF_TOKEN": "a secret"}])
def test_variables_that_cannot_be_used_are_told_without_their_secret(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="HF_ENDPOINT or HF_TOKEN cannot be used") as refused:
        hub_of(config_of(tmp_path, "", environ))
    assert "a secret" not in str(refused.value)
