"""Every value has an origin, and no secret is shown."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.unit.config.conftest import Folder

from farmgate.config import Origin
from farmgate.config.origins import masked

SECRET = "sk-b-hunter2-hunter2-b1c2"
TEXT = f"""\
ai:
  providers:
    openai:
      apiKey: {SECRET}
      headers: {{X-Extra: {SECRET}}}
      options: {{region: eu, clientSecret: {SECRET}, other: "${{OTHER}}"}}
keys:
  - {{name: alice, key: {SECRET}}}
"""


def test_no_secret_is_shown_anywhere(folder: Folder) -> None:
    config = folder.load(TEXT, OTHER=SECRET)
    shown = {path: value for path, value, _ in config.origins()}
    assert "hunter2" not in repr(config) + str(config) + str(shown) + str(config.notices)
    assert shown["ai.providers.openai.apiKey"] == "sk-b…b1c2"
    assert shown["ai.providers.openai.headers.X-Extra"] == "sk-b…b1c2"
    assert shown["ai.providers.openai.options.region"] == "eu"
    assert str(shown["keys.alice"]).startswith("sha256 ")
    assert config.ai.providers["openai"].options["clientSecret"] == SECRET


@pytest.mark.parametrize(("secret", "shown"), [("x" * 12, "****"), ("", "****"), ("abcdefghijklm", "abcd…jklm")])
def test_a_short_secret_is_hidden_whole(secret: str, shown: str) -> None:
    assert masked(secret) == shown


def test_an_origin_is_found_by_its_dotted_path(folder: Folder) -> None:
    config = folder.load(TEXT, OTHER="x")
    assert config.origin("ai.providers.openai.apiKey") == Origin("farm.config.yaml:4:15")
    assert config.origin("ai.providers.openai.api_key").where == "farm.config.yaml:4:15"
    assert config.origin("keys.alice").where == "farm.config.yaml:8:24"
    assert config.origin("server.drain.timeoutS").where == "default"
    assert (
        str(config.origin("ai.providers.openai.options.other")) == "farm.config.yaml:6:77 (environment variable OTHER)"
    )
    with pytest.raises(KeyError, match="no setting"):
        config.origin("server.nothing")


def test_every_setting_is_listed_once(folder: Folder) -> None:
    paths = [path for path, _, _ in folder.load(TEXT, OTHER="x").origins()]
    assert len(paths) == len(set(paths))
    assert {"environment", "home", "server.port", "log.level"} <= set(paths)


def test_two_configs_are_equal_when_they_say_the_same(folder: Folder) -> None:
    assert folder.load("server: {port: 5}") == folder.load("{}", FARM_PORT="5")
    assert folder.load("server: {port: 5}") != folder.load("{}", FARM_PORT="6")


def test_importing_the_room_imports_no_parser() -> None:
    heavy = ("pydantic", "ruamel", "dotenv", "tomllib")
    script = f"import sys, farmgate.config; print(*(name for name in {heavy} if name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"
