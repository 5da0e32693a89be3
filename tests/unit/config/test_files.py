"""Which file is read, in which format, and where each key stands in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.config.conftest import Folder

from farmgate.config import ConfigError, load


def test_a_file_is_found_on_the_way_up_to_the_git_root(folder: Folder) -> None:
    (folder.path / ".git").mkdir()
    source = folder.write("server: {port: 1}")
    deep = folder.path / "a" / "b"
    deep.mkdir(parents=True)
    config = load(cwd=deep, environ=folder.environ)
    assert config.source == source
    assert config.server.port == 1


def test_nothing_above_the_git_root_is_read(folder: Folder) -> None:
    folder.write("server: {port: 1}")
    inner = folder.path / "inner"
    (inner / ".git").mkdir(parents=True)
    assert load(cwd=inner, environ=folder.environ).source is None


def test_the_home_directory_is_the_last_one_looked_at(folder: Folder) -> None:
    home = folder.path / "home"
    deep = home / "work"
    deep.mkdir(parents=True)
    folder.write("server: {port: 1}")
    assert load(cwd=deep, environ={"HOME": str(home)}).source is None
    at_home = folder.write("server: {port: 2}", "home/farm.config.yaml")
    assert load(cwd=deep, environ={"HOME": str(home)}).source == at_home


def test_outside_home_and_git_only_the_working_directory_decides(folder: Folder) -> None:
    folder.write("server: {port: 1}")
    deep = folder.path / "deep"
    deep.mkdir()
    assert load(cwd=deep, environ=folder.environ).source is None


def test_two_files_in_one_directory_are_an_error_naming_both(folder: Folder) -> None:
    folder.write("", "farm.config.yaml")
    (problem,) = folder.problems("", "farm.config.toml")
    assert "farm.config.yaml and farm.config.toml" in problem


def test_a_named_file_wins_over_the_variable_and_both_over_the_search(folder: Folder) -> None:
    folder.write("server: {port: 1}")
    folder.write("server: {port: 2}", "two.yaml")
    three = folder.write("server: {port: 3}", "three.yaml")
    assert folder.load(FARM_CONFIG="two.yaml").server.port == 2
    config = load(three, cwd=folder.path, environ={**folder.environ, "FARM_CONFIG": "two.yaml"})
    assert config.server.port == 3


def test_a_named_file_that_is_not_there_is_an_error_saying_who_named_it(folder: Folder) -> None:
    assert "named by FARM_CONFIG" in folder.problems(FARM_CONFIG="none.yaml")[0]
    with pytest.raises(ConfigError, match="named by --config"):
        load(Path("none.yaml"), cwd=folder.path, environ=folder.environ)


@pytest.mark.parametrize("name", ["farm.config.ini", "farm.config"])
def test_another_ending_is_refused(folder: Folder, name: str) -> None:
    folder.write("", name)
    assert "ends in .yaml" in folder.problems(FARM_CONFIG=name)[0]


def test_what_is_not_a_regular_file_is_refused_without_waiting(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe.yaml")
    for name in ("pipe.yaml", "."):
        assert "not a file" in folder.problems(FARM_CONFIG=name)[0]


def test_overlays_are_merged_key_by_key_and_lists_are_replaced(folder: Folder) -> None:
    folder.write("ai: {providers: {a: {models: [x, y], device: cpu, default_model: x}}}\nserver: {port: 1}")
    folder.write("ai: {providers: {a: {models: [z], defaultModel: z}}}", "farm.config.staging.toml.off")
    folder.write('ai.providers.a = {models = ["z"], defaultModel = "z"}', "farm.config.staging.toml")
    assert folder.load().ai.providers["a"].models == ("x", "y")
    config = folder.load(environment="staging")
    entry = config.ai.providers["a"]
    assert (entry.models, entry.default_model, entry.device, config.server.port) == (("z",), "z", "cpu", 1)
    assert config.origin("ai.providers.a.models").where == "farm.config.staging.toml:1:18"
    assert config.origin("ai.providers.a.device").where == "farm.config.yaml:1:46"


def test_a_null_in_an_overlay_takes_a_setting_back_to_its_default(folder: Folder) -> None:
    folder.write("server: {port: 1, limits: {messages: 5}}")
    folder.write("server: {port: null, limits: null}", "farm.config.production.yaml")
    server = folder.load(environment="production").server
    assert (server.port, server.limits.messages) == (8000, 5)


def test_a_value_an_overlay_replaces_is_never_looked_up(folder: Folder) -> None:
    folder.write("log: {level: '${NEVER}'}")
    folder.write("log: {level: debug}", "farm.config.development.yaml")
    assert folder.load().log.level == "debug"


def test_every_file_that_was_read_is_watched(folder: Folder) -> None:
    secret = folder.write("a-key-of-twenty-chars", "secret.txt")
    key_file = folder.write("bob another-key-of-chars", "keys.txt")
    key_file.chmod(0o600)
    source = folder.write("keyFile: keys.txt\nkeys: [{name: alice, key: '${file:secret.txt}'}]")
    overlay = folder.write("", "farm.config.development.yaml")
    env, special = folder.write("", ".env"), folder.write("A=1", ".env.development")
    assert set(folder.load().watched) == {secret, key_file, source, overlay, env, special}


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("farm.config.yaml", "ai:\n  features:\n    rateLimting: true\n", "farm.config.yaml:3:5"),
        ("farm.config.json", '{"ai": {\n "features": {\n  "rateLimting": true}}}', "farm.config.json:3:3"),
        ("farm.config.toml", "[ai.features]\nstreaming = true\n  rateLimting = true", "farm.config.toml:3:3"),
        ("farm.config.toml", "[ai]\nfeatures = {rateLimting = true}", "farm.config.toml:2:1"),
        ("farm.config.js", "module.exports = {ai: {features: {\n  rateLimting: true}}}", "farm.config.js:2:3"),
    ],
)
def test_an_unknown_key_has_its_place_and_a_suggestion(folder: Folder, name: str, text: str, place: str) -> None:
    assert folder.problems(text, name) == (
        f'{place}: unknown key "rateLimting" in ai.features; did you mean "rateLimiting"?',
    )


def test_arrays_of_tables_have_their_places(folder: Folder) -> None:
    text = '[[keys]]\nname = "a"\nkey = "0123456789abcdef"\n[[keys]]\nname = "b"\nkey = "short"\n'
    (problem,) = folder.problems(text, "farm.config.toml")
    assert problem.startswith("farm.config.toml:6:7: keys.1 is shorter than 16")


def test_es_modules_are_read_whatever_the_package_says(folder: Folder) -> None:
    assert folder.load("export default {server: {port: 7}};", "farm.config.js").server.port == 7


def test_a_script_sees_the_env_files(folder: Folder) -> None:
    folder.write("MY_PORT=7", ".env")
    script = "module.exports = {server: {port: Number(process.env.MY_PORT)}}"
    assert folder.load(script, "farm.config.js").server.port == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("throw new Error('no luck')", "no luck"),
        ("module.exports = {", "Unexpected end of input"),
        ("module.exports = [1]", "must export an object"),
        ("module.exports = 'x'", "must export an object"),
        ("process.exit(0)", "before the file had exported"),
        ("const a = {}; a.a = a; module.exports = a", "circular"),
        ("module.exports = {a: 'x'.repeat(3000000)}", "larger than"),
    ],
)
def test_a_script_that_exports_nothing_useful_is_an_error(folder: Folder, text: str, says: str) -> None:
    (problem,) = folder.problems(text, "farm.config.js")
    assert problem.startswith("farm.config.js:")
    assert says in problem


def test_a_script_that_does_not_end_is_stopped(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmgate.config.formats.read_js.TIMEOUT_S", 0.5)
    assert "still running" in folder.problems("for (;;) {}", "farm.config.js")[0]


def test_without_node_a_script_is_an_error_that_says_so(folder: Folder) -> None:
    (problem,) = folder.problems("module.exports = {}", "farm.config.js", PATH=str(folder.path))
    assert "node is not installed" in problem


def test_a_javascript_key_that_is_written_twice_has_no_line_rather_than_a_wrong_one(folder: Folder) -> None:
    text = "// no lines\nmodule.exports = {ai: {providers: {ollama: {modls: []}, openai: {'modls': []}}}}"
    for problem in folder.problems(text, "farm.config.js"):
        assert problem.startswith('farm.config.js: unknown key "modls"')


def test_a_javascript_mistake_is_told_with_its_line(folder: Folder) -> None:
    (problem,) = folder.problems("module.exports = {\n  ai: {{}}\n}", "farm.config.js")
    assert problem.startswith("farm.config.js:2: node could not read it: ")
    (problem,) = folder.problems("\n\nthrow new Error('no way')", "farm.config.js")
    assert problem == "farm.config.js:3:7: node could not read it: no way"
