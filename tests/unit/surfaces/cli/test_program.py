"""The program as a whole: quick help, one line for every failure, options before or after the verb."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.surfaces.cli.fakes import FakeHouse, Shell

from farmgate import __version__
from farmgate.core.errors import ConfigInvalid, FarmError, ModelNotFound
from farmgate.surfaces.cli.program import joined
from farmgate.surfaces.cli.verbs import app, config_app

ROOT = Path(__file__).parents[4]
# Each of these takes longer to import than all of the help may take.
HEAVY = ("fastapi", "starlette", "uvicorn", "pydantic", "rich", "asyncio", "msgspec", "ruamel", "http", "ssl")
OURS = ("farmgate.app", "farmgate.config", "farmgate.core.request", "farmgate.providers", "farmgate.engines")


def real(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "farmgate", *arguments], cwd=cwd, capture_output=True, text=True)


def imported_by(*arguments: str, cwd: Path) -> set[str]:
    code = (
        "import atexit, sys; sys.argv = ['farmgate', *sys.argv[1:]]\n"
        "from farmgate.__main__ import main\n"
        "try: main()\n"
        "finally: print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    return set(ran.stderr.split())


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("--version",), ("version",), ()])
def test_help_and_version_import_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    modules = imported_by(*arguments, cwd=tmp_path)
    # Typer itself needs pydantic to read arguments, once there is anything to read beyond the first --help.
    allowed = set() if arguments == ("--help",) else {"pydantic"}
    assert modules & {*HEAVY, *OURS} <= allowed


def test_the_real_program_tells_its_version(tmp_path: Path) -> None:
    ran = real("--version", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, f"farmgate {__version__}\n")
    assert real("version", cwd=tmp_path).stdout.startswith(f"farmgate {__version__} (Python ")


def test_the_real_program_refuses_a_wrong_configuration(tmp_path: Path) -> None:
    (tmp_path / "farm.config.yaml").write_text("server:\n  prot: 1\n")
    ran = real("config", "check", cwd=tmp_path)
    assert ran.returncode == 3
    assert ran.stdout == ""
    assert re.search(r'^error: farm\.config\.yaml:2.*did you mean "port"', ran.stderr, re.IGNORECASE)


def test_without_a_verb_there_are_examples(shell: Shell) -> None:
    ran = shell()
    assert ran.code == 0
    assert "farmgate dev" in ran.out
    assert "farmgate run starter" in ran.out


def test_a_typo_is_a_usage_error_with_a_suggestion(shell: Shell) -> None:
    ran = shell("doctr")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "Did you mean 'doctor'?" in ran.err


def test_a_wrong_option_is_one_sentence_and_the_way_to_its_help(shell: Shell) -> None:
    assert shell("ls", "--bogus").err == "error: No such option: --bogus. Try: farmgate ls --help\n"


def test_with_json_what_is_said_is_an_object_per_line(shell: Shell) -> None:
    ran = shell("config", "init", "--json")
    assert [json.loads(line).keys() for line in ran.err.splitlines()] == [{"note"}, {"note"}]
    assert json.loads(ran.out)["written"]


def test_a_missing_argument_names_the_help_of_its_command(shell: Shell) -> None:
    ran = shell("run")
    assert ran.code == 2
    assert "farmgate run --help" in ran.err


def test_with_json_an_error_is_an_object(shell: Shell) -> None:
    for arguments, code in ((("pull",), "usage"), (("rm", "nothing", "--yes"), "model_not_found")):
        error = json.loads(shell(*arguments, "--json").err)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["code"] == code


def test_a_wrong_configuration_tells_every_problem(shell: Shell) -> None:
    Path("farm.config.yaml").write_text("server: {prot: 1}\njurnal: {}\n")
    ran = shell("config", "check")
    assert ran.code == 3
    assert ran.err.count("error: farm.config.yaml:") == 2
    told = json.loads(shell("config", "check", "--json").err)["error"]
    assert len(told["problems"]) == 2


def test_a_failure_is_one_line_that_cannot_steer_the_terminal(shell: Shell, house: FakeHouse) -> None:
    house.gate.target.error = ModelNotFound("no \x1b[31mmodel\nof that name")
    ran = shell("run", "x", "hello")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err == "error: no [31mmodel of that name\n"


def test_our_own_mistakes_are_one_line_too(shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(house, "weights", broken)
    ran = shell("rm", "x")
    assert ran.code == 1
    assert ran.err.startswith("error: Farmgate made a mistake: ZeroDivisionError: oh")
    assert "Traceback" not in ran.err
    monkeypatch.setenv("FARM_TRACE", "1")
    assert "Traceback" in shell("rm", "x").err


def test_ctrl_c_ends_with_130(shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(config: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(house, "weights", interrupted)
    ran = shell("rm", "x")
    assert ran.code == 130
    assert "Traceback" not in ran.err


def test_options_may_stand_before_or_after_the_verb(shell: Shell) -> None:
    Path("mine.yaml").write_text("server: {port: 4321}\n")
    for arguments in (
        ("--config", "mine.yaml", "--env", "staging", "--json", "config", "check"),
        ("config", "check", "--config", "mine.yaml", "--env", "staging", "--json"),
    ):
        told = json.loads(shell(*arguments).out)
        assert told["environment"] == "staging"
        assert told["config"].endswith("mine.yaml")


def test_quiet_says_nothing_but_data_and_errors(shell: Shell) -> None:
    ran = shell("run", "starter", "hi", "--quiet")
    assert (ran.out, ran.err) == ("Hello\n", "")
    assert shell("rm", "nothing", "--yes", "-q").err.startswith("error:")


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["run", "m", "-o", "temperature", "0.2", "hi"], ["run", "m", "-o", "temperature=0.2", "hi"]),
        (["run", "m", "-o", "temperature=0.2", "hi"], ["run", "m", "-o", "temperature=0.2", "hi"]),
        (["run", "-o", "a", "1", "-o", "b", "2", "m"], ["run", "-o", "a=1", "-o", "b=2", "m"]),
        (["run", "m", "--", "-o", "a", "b"], ["run", "m", "--", "-o", "a", "b"]),
        (["run", "m", "-o", "a"], ["run", "m", "-o", "a"]),
    ],
)
def test_an_option_may_be_written_as_two_words(given: list[str], understood: list[str]) -> None:
    assert joined(given) == understood


def test_every_command_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    commands = [f"farmgate {command.callback.__name__}" for command in app.registered_commands if command.callback]
    commands += [f"farmgate config {command.name}" for command in config_app.registered_commands]
    assert len(commands) == 22
    assert [command for command in commands if f"## `{command}" not in text] == []


def test_every_exit_code_is_in_the_documentation() -> None:
    from farmgate.surfaces.cli.exits import Exit

    text = (ROOT / "docs" / "cli.md").read_text()
    assert [code for code in Exit if f"| {code.value} |" not in text] == []


def test_every_farm_error_has_an_exit_code_other_than_usage_or_config() -> None:
    from farmgate.surfaces.cli.exits import Exit, WrongUse, exit_of

    def all_of(kind: type[FarmError]) -> list[type[FarmError]]:
        return [kind, *(deeper for each in kind.__subclasses__() for deeper in all_of(each))]

    for kind in set(all_of(FarmError)) - set(all_of(WrongUse)) - {ConfigInvalid}:
        error = kind.__new__(kind)
        assert exit_of(error) not in (Exit.OK, Exit.USAGE, Exit.CONFIG)
    assert exit_of(ConfigInvalid()) is Exit.CONFIG
