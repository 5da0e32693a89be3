"""What variables and flags say, and which of them wins."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.config.conftest import Folder

from farmgate.config import ConfigError
from farmgate.config.environment import read_env_file
from farmgate.config.files import Files

FILE = "server: {port: 1}"


def test_each_source_wins_over_the_weaker_ones(folder: Folder) -> None:
    flags: dict[str, object] = {"server.port": 6}
    folder.write("FARM_ENV=staging")
    seen = [(8000, "default")]
    steps = [
        ("farm.config.yaml", "server: {port: 1}"),
        ("farm.config.staging.yaml", "server: {port: 2}"),
        (".env", "FARM_PORT=3"),
        (".env.staging", "# two lines\n\nFARM_PORT=4"),
    ]
    (folder.path / "farm.config.yaml").unlink()
    for name, text in steps:
        folder.write(text, name)
        config = folder.load(environment="staging")
        seen.append((config.server.port, config.origin("server.port").where))
    by_variable = folder.load(environment="staging", FARM_PORT="5")
    by_flag = folder.load(environment="staging", FARM_PORT="5", flags=flags)
    seen += [(config.server.port, config.origin("server.port").where) for config in (by_variable, by_flag)]
    assert seen == [
        (8000, "default"),
        (1, "farm.config.yaml:1:16"),
        (2, "farm.config.staging.yaml:1:16"),
        (3, ".env:1"),
        (4, ".env.staging:3"),
        (5, "environment variable FARM_PORT"),
        (6, "command line"),
    ]


def test_the_environment_may_be_named_in_the_env_file(folder: Folder) -> None:
    folder.write("FARM_ENV=production", ".env")
    assert folder.load().environment == "production"
    assert folder.load().origin("environment").where == ".env:1"
    assert folder.load(FARM_ENV="staging").environment == "staging"
    assert folder.load(FARM_ENV="staging", environment="development").environment == "development"
    assert folder.load(FARM_ENV="").environment == "development"


@pytest.mark.parametrize("name", ["prod", "Production", "../x"])
def test_another_environment_is_an_error(folder: Folder, name: str) -> None:
    assert "must be development, staging or production" in folder.problems(FARM_ENV=name)[0]
    assert "must be development, staging or production" in folder.problems(environment=name)[0]


def test_each_variable_sets_its_setting(folder: Folder) -> None:
    config = folder.load(
        "ai: {providers: {vllm: {}}, routing: {development: openai}}",
        AI_PROVIDER="vllm",
        AI_DEFAULT_MODEL="phi3",
        OLLAMA_URL="http://gpu:11434/",
        OPENAI_API_KEY="sk-1234567890123456",
        HUGGINGFACE_TOKEN="hf_1234567890123456",
        FARM_HOST="localhost",
        FARM_PORT=" 9 ",
    )
    assert config.ai.routing["development"] == "vllm"
    assert config.ai.default_model == "phi3"
    providers = config.ai.providers
    assert list(providers) == ["vllm", "ollama", "openai", "huggingface"]
    assert providers["ollama"].url == "http://gpu:11434"
    for name in ("openai", "huggingface"):
        assert providers[name].api_key is not None
    assert (config.server.host, config.server.port) == ("localhost", 9)
    assert config.origin("ai.providers.huggingface.apiKey").where == "environment variable HUGGINGFACE_TOKEN"
    assert config.origin("ai.routing.development").where == "environment variable AI_PROVIDER"


def test_the_routed_provider_may_come_from_a_variable_alone(folder: Folder) -> None:
    assert list(folder.load(AI_PROVIDER="demo").ai.providers) == ["demo"]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"AI_PROVIDER": "olama"}, 'names no provider: "olama"; did you mean "ollama"?'),
        ({"AI_PROVIDER": "a b"}, "names no provider"),
        ({"AI_FALLBACK_PROVIDER": "nobody"}, "AI_FALLBACK_PROVIDER names"),
        ({"AI_RATE_LIMIT": "lots"}, "AI_RATE_LIMIT must be a number of requests"),
        ({"AI_RATE_LIMIT": "-1"}, "AI_RATE_LIMIT must be a number of requests"),
        ({"FARM_PORT": "http"}, 'environment variable FARM_PORT: server.port must be a whole number, not "http"'),
        ({"AI_PROVIDER": "off"}, "which is disabled"),
        ({"AI_PROVIDER": "ollama", "AI_DEFAULT_MODEL": "zzz"}, "AI_DEFAULT_MODEL: ai.defaultModel"),
    ],
)  # fmt: skip
def test_a_variable_that_makes_no_sense_is_an_error(folder: Folder, variables: dict[str, str], says: str) -> None:
    folder.environ.update(variables)
    (problem,) = folder.problems("ai: {providers: {ollama: {models: [phi3]}, off: {enabled: false}}}")
    assert says in problem


def test_variables_for_what_is_not_built_yet_are_said(folder: Folder) -> None:
    notices = folder.load(AI_FALLBACK_PROVIDER="openai", AI_RATE_LIMIT="60/minute").notices
    assert len(notices) == 2
    assert all("not built yet" in notice for notice in notices)


def test_an_empty_variable_is_not_set_and_is_said(folder: Folder) -> None:
    folder.write("OPENAI_API_KEY=", ".env")
    config = folder.load(FARM_PORT="")
    assert config.ai.providers == {}
    assert config.server.port == 8000
    assert ".env:1: OPENAI_API_KEY is empty: taken as not set" in config.notices
    assert any("FARM_PORT is empty" in notice for notice in config.notices)


def test_nothing_is_replaced_inside_variables_and_flags(folder: Folder) -> None:
    flags: dict[str, object] = {"ai.defaultModel": "${HOME}"}
    assert folder.load(flags=flags).ai.default_model == "${HOME}"
    folder.write("AI_DEFAULT_MODEL=${HOME}", ".env")
    assert folder.load().ai.default_model == "${HOME}"


def test_flags_take_either_spelling_and_none_is_no_flag(folder: Folder) -> None:
    flags: dict[str, object] = {"server.limits.body_bytes": 2048, "server.port": None, "ai.providers.a.models": ["x"]}
    config = folder.load(FILE, flags=flags)
    assert (config.server.limits.body_bytes, config.server.port) == (2048, 1)
    assert config.ai.providers["a"].models == ("x",)


def test_an_unknown_flag_is_an_error(folder: Folder) -> None:
    assert folder.problems(flags={"server.prt": 1}) == (
        'command line: unknown key "prt" in server; did you mean "port"?',
    )
    assert "has a value already" in folder.problems(flags={"server": 1, "server.port": 2})[0]


def test_a_line_of_an_env_file_that_is_no_setting_is_an_error(folder: Folder) -> None:
    folder.write("A=1\n\nthis is not a setting = 'x\n", ".env")
    (problem,) = folder.problems()
    assert problem == ".env:3: not a line of the form NAME=value"


@given(st.text(alphabet=st.sampled_from("AB=\"'\\ \n#${}é"), max_size=40))
def test_env_files_are_read_as_everybody_reads_them(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path: Path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text(text, newline="")
    try:
        found = read_env_file(path, Files(path.parent))
    except ConfigError:
        return
    expected = dotenv_values(stream=io.StringIO(text), interpolate=False)
    assert {name: variable.value for name, variable in found.items()} == {k: v or "" for k, v in expected.items()}


def test_any_variable_can_be_asked_for(folder: Folder) -> None:
    folder.write("GROQ_API_KEY=from-a-file-1234\nEMPTY=", ".env")
    config = folder.load(OTHER=" x ")
    assert config.variable("GROQ_API_KEY") == "from-a-file-1234"
    assert config.variable("OTHER") == "x"
    assert config.variable("EMPTY") is None
    assert config.variable("UNSET") is None
    assert "from-a-file" not in repr(config)


def test_the_data_directory_follows_the_variables(folder: Folder) -> None:
    home = Path(folder.environ["HOME"])
    assert folder.load().home == home / ".local/share/farmgate"
    assert folder.load(XDG_DATA_HOME="/data").home == Path("/data/farmgate")
    assert folder.load(XDG_DATA_HOME="relative").home == home / ".local/share/farmgate"
    assert folder.load(XDG_DATA_HOME="/data", FARM_HOME="here").home == folder.path / "here"
    assert folder.load(FARM_HOME="/x").origin("home").where == "environment variable FARM_HOME"
