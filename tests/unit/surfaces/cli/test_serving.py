"""`farmgate dev` and `farmgate serve`: what is done before, said at the start, and read again later."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.unit.surfaces.cli.fakes import STARTER, FakeHouse, Serving, Shell

from farmgate.config import ConfigError, process
from farmgate.config.changes import differences, needs_restart
from farmgate.config.reloads import Reload
from farmgate.core.errors import Unavailable
from farmgate.surfaces.cli import watch
from farmgate.surfaces.cli.house import Finding
from farmgate.surfaces.cli.out import Out
from farmgate.surfaces.cli.panel import Facts, panel
from farmgate.surfaces.cli.uv import GUARD, again_with_engine, uv_command


@pytest.fixture
def has_weights(house: FakeHouse) -> None:
    house.store.known["starter"] = STARTER


@pytest.mark.usefixtures("has_weights")
def test_dev_says_at_once_what_it_does_and_then_how_to_call_it(shell: Shell, house: FakeHouse) -> None:
    ran = shell("dev", "--port", "0")
    assert (ran.code, ran.out) == (0, "")
    first, *rest = ran.err.splitlines()
    assert "looking for models" in first
    text = "\n".join(rest)
    assert "curl http://127.0.0.1:" in text
    assert "OPENAI_BASE_URL=http://127.0.0.1:" in text
    assert "starter (local)" in text
    assert "q quit" not in text, "nobody is at the keyboard"
    (config,) = house.served
    assert (config.environment, config.server.port) == ("development", 0)
    assert house.prepared == [config]
    assert house.opened == [], "with weights there is nothing to find out before serving"


@pytest.mark.usefixtures("has_weights")
def test_dev_for_programs_is_an_object_when_it_is_ready(shell: Shell) -> None:
    told = json.loads(shell("dev", "--json").out)
    assert told["event"] == "ready"
    assert told["apiBase"] == told["url"] + "/v1"
    assert told["defaultModel"] == "starter"


def test_dev_gets_the_starter_when_nothing_else_can_answer(shell: Shell, house: FakeHouse) -> None:
    house.gate.is_demo = True
    ran = shell("dev")
    assert ran.code == 0
    assert house.store.pulls == ["starter"]
    assert "no model found: getting SmolLM2-135M-Instruct, 93 MB, Apache-2.0, once" in ran.err
    assert ran.err.index("50 %") < ran.err.index("API ")


def test_dev_goes_on_with_the_demo_when_the_starter_cannot_be_had(shell: Shell, house: FakeHouse) -> None:
    house.gate.is_demo = True
    house.store.error = Unavailable("Tried the hub and pip.")
    ran = shell("dev")
    assert ran.code == 0
    assert "Tried the hub and pip." in ran.err
    assert len(house.served) == 1


def test_dev_goes_on_with_the_guide_where_there_is_no_network(shell: Shell, house: FakeHouse) -> None:
    house.gate.is_demo = True
    house.store.error = Unavailable("Tried the hub and pip.")
    house.store.shipped = frozenset({"guide"})
    ran = shell("dev")
    assert ran.code == 0
    assert house.store.pulls == ["starter", "guide"]
    assert "going on with the guide, which knows this documentation; `farmgate pull starter` tries again" in ran.err


@pytest.mark.parametrize(
    ("arguments", "is_demo", "config"),
    [
        (("--no-pull",), True, ""),
        ((), False, ""),
        ((), True, "ai: {providers: {demo: {}}, routing: {development: demo}}"),
    ],
    ids=["not wanted", "something answers", "the demo is wanted"],
)
def test_dev_pulls_nothing_otherwise(
    shell: Shell, house: FakeHouse, arguments: tuple[str, ...], is_demo: bool, config: str
) -> None:
    house.gate.is_demo = is_demo
    Path("farm.config.yaml").write_text(config)
    assert shell("dev", *arguments).code == 0
    assert house.store.pulls == []


def test_no_pull_goes_for_auto_pull_too(shell: Shell, house: FakeHouse) -> None:
    Path("farm.config.yaml").write_text("ai: {providers: {ollama: {autoPull: [llama3.1]}}}")
    shell("dev", "--no-pull")
    assert house.prepared[0].ai.providers["ollama"].auto_pull == ()
    shell("dev")
    assert house.prepared[1].ai.providers["ollama"].auto_pull == ("llama3.1",)


def test_no_pull_goes_for_configured_models_too(shell: Shell, house: FakeHouse) -> None:
    Path("farm.config.yaml").write_text("models: {chat: hf:owner/name}")
    shell("dev", "--no-pull")
    shell("dev")
    assert [config.models["chat"].auto_pull for config in house.prepared] == [False, True]


def test_without_engine_dev_says_how_to_get_a_model(shell: Shell, house: FakeHouse) -> None:
    house.engine, house.gate.is_demo = False, True
    ran = shell("dev")
    assert ran.code == 0
    for way in ("pip install 'farmgate[local]'", "uvx 'farmgate[local]' dev", "ollama serve", "OPENAI_API_KEY"):
        assert way in ran.err
    assert house.store.pulls == []


def test_dev_runs_development_and_says_so_when_farm_env_does_not(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_ENV", "production")
    assert "FARM_ENV is production, but dev runs development" in shell("dev", "--no-pull").err
    assert "FARM_ENV" not in shell("dev", "--no-pull", "--env", "production").err
    assert [config.environment for config in house.served] == ["development", "production"]


def test_serve_is_production_unless_told_otherwise(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("serve")
    Path(".env").write_text("FARM_ENV=staging\n")
    shell("serve")
    monkeypatch.setenv("FARM_ENV", "development")
    shell("serve")
    shell("serve", "--env", "staging")
    environments = [config.environment for config in house.served]
    assert environments == ["production", "staging", "development", "staging"]


def test_serve_is_one_line_and_prepares_nothing(shell: Shell, house: FakeHouse) -> None:
    ran = shell("serve")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.count("\n") == 1
    assert "ready on http://127.0.0.1:" in ran.err
    assert house.prepared == []


def test_serve_says_what_it_leaves_to_dev(shell: Shell) -> None:
    Path("farm.config.yaml").write_text("ai: {providers: {ollama: {autoStart: true}}}")
    assert "autoStart and autoPull are for `farmgate dev`" in shell("serve").err


def test_an_open_door_without_a_key_is_a_configuration_error(shell: Shell, house: FakeHouse) -> None:
    for verb in ("dev", "serve"):
        ran = shell(verb, "--host", "0.0.0.0")
        assert ran.code == 3
        assert "key" in ran.err
    assert house.served == []


def test_a_taken_address_is_said_before_anything_slow(shell: Shell, house: FakeHouse) -> None:
    house.taken = "127.0.0.1:8000 is in use: choose another --port."
    house.gate.is_demo = True
    ran = shell("dev")
    assert ran.code == 1
    assert ran.err.endswith("error: 127.0.0.1:8000 is in use: choose another --port.\n")
    assert house.store.pulls == []


# -------------------------------------------------------------------------------------------------- reloading


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written in one go here: nobody is waited for."""
    monkeypatch.setattr(watch, "SETTLE_S", 0)


@pytest.mark.usefixtures("has_weights", "settled")
@pytest.mark.parametrize("verb", ["serve", "dev"])
def test_a_changed_file_is_read_again_and_what_changed_is_said(shell: Shell, house: FakeHouse, verb: str) -> None:
    path = Path("farm.config.yaml")
    path.write_text("log: {level: info}\n")

    def during(serving: Serving) -> None:
        assert serving.read() is None
        path.write_text("log: {level: debug}  # changed\nserver: {drain: {timeoutS: 1}}\n")
        assert serving.reload.look() == (path.absolute(),)
        before, config = house.served[0], serving.reload.load()
        assert config.log.level == "debug"
        assert serving.read() is None
        changes = differences(before, config)
        restart, warnings = needs_restart(changes), ("a warning",)
        reload = Reload(
            at_unix=0, config=config, files=(path,), changes=changes, needs_restart=restart, warnings=warnings
        )
        serving.reloaded(reload, serving.gate)
        serving.reloaded(reload, serving.gate)

    house.during = during
    ran = shell(verb)
    assert (
        "reloading farm.config.yaml\n  server.drain.timeoutS: 600 → 1.0\n  log.level: info → debug\n"
        "  at the next start: server.drain.timeoutS\nnote: a warning\nreloaded: default starter (local)\n"
    ) in ran.err
    assert ran.err.count("note: a warning") == 1


@pytest.mark.usefixtures("has_weights", "settled")
def test_a_wrong_file_is_told_and_read_once(shell: Shell, house: FakeHouse) -> None:
    path = Path("farm.config.yaml")
    path.write_text("log: {level: info}\n")

    def during(serving: Serving) -> None:
        path.write_text("log: {levle: debug}\n")
        with pytest.raises(ConfigError, match="levle"):
            serving.read()
        assert serving.read() is None
        serving.reloaded(Reload(at_unix=0, config=house.served[0], problems=("no",)), serving.gate)
        path.write_text("log: {level: warning}\n")
        config = serving.read()
        assert config is not None
        assert config.log.level == "warning"

    house.during = during
    assert "the configuration from before stays in use\n" in shell("dev").err


@pytest.mark.usefixtures("has_weights", "settled")
def test_a_first_file_is_noticed_and_flags_still_win(shell: Shell, house: FakeHouse) -> None:
    given: list[object] = []

    def during(serving: Serving) -> None:
        Path("farm.config.yaml").write_text("server: {port: 4444}\nlog: {level: debug}\n")
        config = serving.read()
        assert config is not None
        given.extend((config.server.port, config.log.level, config.environment))

    house.during = during
    shell("dev", "--port", "0")
    assert given == [0, "debug", "development"]


# -------------------------------------------------------------------------------------------------- the panel


def facts(**changes: object) -> Facts:
    told = {
        "version": "0.1.0",
        "environment": "development",
        "url": "http://127.0.0.1:8000",
        "ready_s": 1.08,
        "needs_key": False,
        "findings": (
            Finding(name="ollama", is_there=True, text="127.0.0.1:11434 - 3 models"),
            Finding(name="openai", is_there=False, text="set OPENAI_API_KEY"),
        ),
        "default": ("ollama", "llama3.1"),
        "is_demo": False,
        "home": "~/.local/share/farmgate",
        "source": None,
        "notices": ("caching is not built yet",),
    }
    return Facts(**{**told, **changes})  # type: ignore[arg-type]  # a table of test values


CURL = """\
  try       curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' \\
       -d '{"model": "default", "messages": [{"role": "user", "content": "Hello"}]}'"""


def test_the_panel_is_aligned() -> None:
    assert "\n".join(panel(facts(), {"r": "reload", "q": "quit"})).split("\n") == [
        "",
        "  farmgate 0.1.0  development  ready in 1.1 s",
        "  API       http://127.0.0.1:8000/v1   (OpenAI-compatible; no key needed on this machine)",
        "  ollama    ok   127.0.0.1:11434 - 3 models",
        "  openai    -    set OPENAI_API_KEY",
        "  default   llama3.1 (ollama)",
        "  data      ~/.local/share/farmgate   config none (farmgate config init writes one)",
        "  note      caching is not built yet",
        "",
        *(CURL.splitlines()),
        "  or        export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none",
        "  keys      r reload   q quit",
        "",
    ]


def test_the_panel_tells_when_a_key_is_needed() -> None:
    text = "\n".join(panel(facts(needs_key=True, default=None)))
    assert "every call needs an API key" in text
    assert "authorization: Bearer YOUR_KEY" in text
    assert "none: name a model in every request" in text


# --------------------------------------------------------------------------------------------------------- uv


def test_only_uvx_counts_as_uvx(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)

    def found_with(**variables: str) -> str | None:
        def variable(name: str) -> str | None:
            return variables.get(name)

        return uv_command(variable)

    assert found_with(UV=str(uv)) == str(uv)
    assert found_with() is None
    assert found_with(UV=str(uv), VIRTUAL_ENV="/project/.venv") is None, "uv run in a project"
    assert found_with(UV=str(uv), **{GUARD: "1"}) is None, "never twice"


def script(path: Path, body: str) -> str:
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_what_uv_cannot_get_is_said_and_lived_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again_with_engine(script(tmp_path / "uv", "sys.exit(1)"), ("dev",), Out())
    again_with_engine(str(tmp_path / "none"), ("dev",), Out())
    told = capsys.readouterr().err
    assert told.count("going on without it") == 2
    assert "starting again as uvx --from 'farmgate[local]==" in told


def test_uvx_starts_us_again_with_the_engine(
    shell: Shell, house: FakeHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = script(tmp_path / "uv", "sys.exit(0)")
    monkeypatch.setenv("UV", uv)
    became: list[object] = []

    class Gone(BaseException):
        """This process is another program now."""

    def become(command: tuple[str, ...], **variables: str) -> None:
        became.append((command[:4], command[5:], variables))
        raise Gone

    monkeypatch.setattr(process, "become", become)
    house.engine, house.gate.is_demo = False, True
    with pytest.raises(Gone):
        shell("dev", "--port", "0")
    assert became == [((uv, "tool", "run", "--from"), ("farmgate", "dev", "--port", "0"), {GUARD: "1"})]

    house.gate.is_demo = False
    assert shell("dev").code == 0, "something else can answer: nothing is missing"


@pytest.mark.usefixtures("has_weights")
def test_the_panel_stands_for_what_info_would_log(shell: Shell, house: FakeHouse) -> None:
    shell("dev")
    Path("farm.config.yaml").write_text("log: {level: info}\n")
    shell("dev")
    assert [config.log.level for config in house.served] == ["warning", "info"]


@pytest.mark.usefixtures("has_weights")
def test_after_a_reload_what_does_not_answer_is_told(shell: Shell, house: FakeHouse) -> None:
    house.gate.findings = (Finding(name="ollama", is_there=False, text="it cannot be reached"),)
    house.during = lambda serving: serving.reloaded(Reload(at_unix=0, config=house.served[0]), serving.gate)
    assert shell("dev").err.endswith(
        "reloaded: nothing changed, default starter (local)\n  ollama: it cannot be reached\n"
    )


@pytest.mark.usefixtures("has_weights")
def test_the_advice_without_a_model_fits_what_is_installed(shell: Shell, house: FakeHouse) -> None:
    house.gate.is_demo = True
    assert "farmgate pull starter " in shell("serve").err
    house.engine = False
    ran = shell("serve")
    assert "pip install 'farmgate[local]' " in ran.err
    assert "farmgate pull starter " not in ran.err


@pytest.mark.usefixtures("has_weights")
def test_a_default_that_cannot_answer_is_said_to_be_one(shell: Shell, house: FakeHouse) -> None:
    house.gate.findings = (Finding(name="local", is_there=False, text="no model yet"),)
    assert "default   starter (local), which cannot answer now\n" in shell("dev").err
