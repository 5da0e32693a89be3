"""`farmgate config` and `farmgate doctor`."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from tests.unit.surfaces.cli.fakes import STARTER, FakeHouse, Shell

from farmgate.core.model import Health, HealthStatus
from farmgate.surfaces.cli.doctor import State, check_home, check_python
from farmgate.surfaces.cli.house import Finding


def test_init_writes_what_was_found_and_what_it_writes_is_valid(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something-secret")
    house.gate.findings = (
        Finding(name="openai", is_there=True, text="key set", key_variable="OPENAI_API_KEY"),
        Finding(name="local", is_there=True, text="1 model"),
        Finding(name="ollama", is_there=False, text="not running"),
        Finding(name="demo", is_there=True, text="always"),
    )
    ran = shell("config", "init")
    assert ran.code == 0
    text = Path("farm.config.yaml").read_text()
    assert '"${OPENAI_API_KEY}"' in text
    assert "secret" not in text
    assert "ollama" not in text
    assert "demo" not in text
    assert text.index("local:") < text.index("openai:"), "the default comes first"
    assert Path("farm.config.schema.json").exists()
    assert shell("config", "check").code == 0


def test_init_replaces_nothing_without_force(shell: Shell) -> None:
    path = Path("farm.config.yaml")
    path.write_text("not: [valid\n")
    ran = shell("config", "init")
    assert ran.code == 1
    assert "--force" in ran.err
    assert path.read_text() == "not: [valid\n"
    assert shell("config", "init", "--force").code == 0
    assert "not: [valid" not in path.read_text()


def test_init_writes_where_config_says(shell: Shell) -> None:
    assert json.loads(shell("config", "init", "--config", "other.yaml", "--json").out)["providers"] == ["local"]
    assert Path("other.yaml").exists()


def test_check_tells_the_file_and_the_environment(shell: Shell) -> None:
    Path("farm.config.yaml").write_text("ai: {features: {caching: true}}\n")
    ran = shell("config", "check", "--env", "staging")
    assert (ran.code, ran.out) == (0, "farm.config.yaml (staging): valid\n")
    assert "caching is not built yet" in ran.err


def test_check_of_an_open_door_without_a_key_fails(shell: Shell) -> None:
    Path("farm.config.yaml").write_text("server: {host: 0.0.0.0}\n")
    assert shell("config", "check").code == 3


def test_show_masks_secrets_and_tells_origins(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something-very-secret")
    Path("farm.config.yaml").write_text("server: {port: 4321}\n")
    monkeypatch.delenv("FARM_PORT")
    ran = shell("config", "show", "--origin")
    assert "something-very" not in ran.out
    line = next(line for line in ran.out.splitlines() if line.startswith("server.port"))
    assert line.split() == ["server.port", "4321", "farm.config.yaml:1:16"]
    assert "ORIGIN" not in shell("config", "show").out
    told = [json.loads(line) for line in shell("config", "show", "--origin", "--json").out.splitlines()]
    assert {"path": "server.port", "value": 4321, "origin": "farm.config.yaml:1:16"} in told


def test_schema_is_json(shell: Shell) -> None:
    assert json.loads(shell("config", "schema").out)["type"] == "object"


# ----------------------------------------------------------------------------------------------------- doctor


def checks(shell: Shell, *arguments: str) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in map(json.loads, shell("doctor", "--json", *arguments).out.splitlines())}


def test_all_is_well(shell: Shell, house: FakeHouse) -> None:
    house.store.known["starter"] = STARTER
    ran = shell("doctor")
    assert (ran.code, ran.err) == (0, "all is well\n")
    assert {line.split()[0] for line in ran.out.splitlines()} == {"ok"}


def test_every_line_that_is_not_well_has_its_fix(shell: Shell, house: FakeHouse) -> None:
    house.engine = False
    house.gate.is_demo = True
    house.gate.healths["openai"] = Health(name="openai", status=HealthStatus.UNHEALTHY, detail="key refused")
    told = checks(shell)
    assert {name for name, one in told.items() if one["state"] != "ok"} == {"engine", "models", "openai", "answers"}
    assert all(one["fix"] for one in told.values() if one["state"] != "ok")
    assert shell("doctor").code == 0, "nothing that is needed fails"


def test_the_default_provider_is_needed(shell: Shell, house: FakeHouse) -> None:
    house.gate.healths["local"] = Health(name="local", status=HealthStatus.UNHEALTHY, detail="crashed")
    assert checks(shell)["local"]["state"] == "fail"
    assert shell("doctor").code == 1


def test_a_taken_address_fails_with_another_port(shell: Shell, house: FakeHouse) -> None:
    house.taken = "127.0.0.1:8000 is in use"
    told = checks(shell)["address"]
    assert told["state"] == "fail"
    assert "--port" in told["fix"]


def test_a_wrong_configuration_is_where_it_ends(shell: Shell) -> None:
    Path("farm.config.yaml").write_text("server: {prot: 1}\n")
    told = checks(shell)
    assert list(told) == ["python", "config"]
    assert told["config"]["state"] == "fail"


def test_a_provider_that_there_is_not_is_a_wrong_configuration_and_the_rest_is_still_told(
    shell: Shell, house: FakeHouse
) -> None:
    house.wrong = "farm.config.yaml:3:5: ai.providers.opnai: there is no provider 'opnai'"
    told = checks(shell)
    assert told["config"]["state"] == "fail"
    assert "opnai" in told["config"]["text"]
    assert "address" in told
    ran = shell("config", "check")
    assert (ran.code, ran.out) == (3, "")
    assert "opnai" in ran.err


def test_a_provider_that_cannot_answer_as_it_is_written_is_told(shell: Shell, house: FakeHouse) -> None:
    house.notices = ("farm.config.yaml:3:5: ai.providers.openai has no apiKey",)
    assert "no apiKey" in shell("config", "check").err
    assert json.loads(shell("config", "check", "--json").out)["notices"] == [*house.notices]
    assert checks(shell)["config"]["state"] == "warn"


def test_a_data_directory_that_cannot_be_written_to_fails(tmp_path: Path) -> None:
    assert [one.state for one in check_home(tmp_path / "not" / "yet")] == [State.OK, State.OK]
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"
    (tmp_path / "file").touch()
    (told,) = check_home(tmp_path / "file" / "yet")
    assert told.state is State.FAIL
    assert told.fix is not None
    assert "FARM_HOME" in told.fix


def test_an_old_python_fails() -> None:
    assert check_python((3, 10, 4)).state is State.FAIL


def test_doctor_does_not_keep_the_address(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell("doctor").code == 0
    with socket.create_server(("127.0.0.1", int(os.environ["FARM_PORT"]))):
        pass
