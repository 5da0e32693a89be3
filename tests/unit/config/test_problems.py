"""Everything that is wrong is said at once, with its place, without secrets."""

from __future__ import annotations

import pytest
from tests.unit.config.conftest import Folder

LIMITS = "server: {limits: {%s}}"


def test_every_problem_is_listed_at_once(folder: Folder) -> None:
    problems = folder.problems("srver: 1\nserver: {port: 99999, host: 5}\nai: {providers: {a: {apikey: x}}}\nlog: [1]")
    assert problems == (
        'farm.config.yaml:1:1: unknown key "srver" in the top level; did you mean "server"?',
        'farm.config.yaml:3:22: unknown key "apikey" in ai.providers.a; did you mean "apiKey"?',
        "farm.config.yaml:4:6: log must be a mapping, `key: value`",
        "farm.config.yaml:2:29: server.host must be text: put it in quotes, not 5",
        "farm.config.yaml:2:16: server.port must be at most 65535, not 99999",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("server: {port: eighty}", '1:16: server.port must be a whole number, not "eighty"'),
        ("server: {port: 80.5}", "1:16: server.port must be a whole number, not 80.5"),
        ("server: {port: true}", "1:16: server.port must be a number"),
        ("server: {port: -1}", "1:16: server.port must be at least 0, not -1"),
        ("server: {limits: {requestTimeoutS: .nan}}", "requestTimeoutS must be more than 0, not nan"),
        ("server: {limits: {requestTimeoutS: 0}}", "requestTimeoutS must be more than 0, not 0"),
        ("journal: {enabled: maybe}", '1:20: journal.enabled must be true or false, not "maybe"'),
        ("log: {level: wanring}", 'or \'error\', not "wanring"; did you mean "warning"?'),
        ("log: {level: [info]}", "log.level must be"),
        ("ai: {providers: {a: {models: x}}}", 'must be a list, such as [first, second], not "x"'),
        ("ai: {providers: {a: {models: [4.1]}}}", "1:31: ai.providers.a.models.0 must be text"),
        ("ai: {providers: [a]}", "1:17: ai.providers must be a mapping"),
        ("ai: {providers: {a: ollama}}", "1:21: ai.providers.a must be a mapping"),
        ("ai: {providers: {a b: {}}}", '1:18: "a b" in ai.providers is not a name'),
        ("ai: {providers: {a: {provider: 'a b'}}}", "must be the name of a type, or module:Class"),
        ("ai: {providers: {a: {api_key: x, apiKey: y}}}", "ai.providers.a.apiKey is said twice"),
        ("ai: {routing: {dev: a}}", 'unknown key "dev" in ai.routing; did you mean "development"?'),
        ("server: {limits: {zzz: 1}}", "it takes bodyBytes, headerBytes"),
        ("keys: [{key: 0123456789abcdef}]", "keys.0.name is missing"),
        ("keys: {a: b}", "keys must be a list"),
        ("version: 2", "version must be 1, not 2"),
        (f"server: {{port: {'9' * 250}}}", "a very large number"),
        ("ai: {providers: {a: {headers: {x: \"a\\nb\"}}}}", "headers must have values of plain characters"),
        ("ai: {providers: {a: {headers: {'x y': b}}}}", "headers must have header names"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_words(folder: Folder, text: str, says: str) -> None:
    (problem,) = folder.problems(text)
    assert problem.startswith("farm.config.yaml:1:")
    assert says in problem


@pytest.mark.parametrize(
    "url",
    [
        "localhost:11434", "ftp://x", "http://", "http:///x", "//x", "http://user:hunter2hunter2@x/",
        "http://x/?key=hunter2hunter2", "http://x#hunter2hunter2", "http://x:99999", "http://x:port", "http://[::1",
        "http://a b", "http://a\\@b", "http://é.x", "http://?",
    ],
)  # fmt: skip
def test_an_address_that_is_none_or_holds_a_secret_is_refused_and_not_repeated(folder: Folder, url: str) -> None:
    for problem in (
        *folder.problems(f"ai: {{providers: {{a: {{url: '{url}'}}}}}}"),
        *folder.problems("", OLLAMA_URL=url),
    ):
        assert ".url must" in problem
        assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url", ["http://localhost:11434", "https://a.example/v1", "http://[::1]:80", "http://10.0.0.1"]
)
def test_an_address_is_kept_without_the_slash_at_its_end(folder: Folder, url: str) -> None:
    assert folder.load(f"ai: {{providers: {{a: {{url: '{url}/'}}}}}}").ai.providers["a"].url == url


@pytest.mark.parametrize(
    "setting",
    ["apiKey: 123456789012345", "apiKey: [hunter2hunter2]", "apiKey: 'hunter2 hunter2'", "headers: {x: [hunter2]}"],
)
def test_a_secret_of_the_wrong_type_is_not_repeated(folder: Folder, setting: str) -> None:
    (problem,) = folder.problems(f"ai: {{providers: {{a: {{{setting}}}}}}}")
    assert "hunter2" not in problem
    assert "12345" not in problem


def test_a_value_from_a_variable_is_not_repeated(folder: Folder) -> None:
    (problem,) = folder.problems("server: {port: '${OOPS}'}", OOPS="hunter2hunter2")
    assert "hunter2" not in problem
    assert "server.port must be a whole number" in problem


def test_a_broken_line_with_a_secret_is_not_repeated(folder: Folder) -> None:
    for name, text in (
        ("farm.config.yaml", "keys: [{key: hunter2hunter2\nai: }"),
        ("farm.config.json", '{"keys": [{"key": "hunter2hunter2" "x"'),
        ("farm.config.toml", 'key = "hunter2hunter2" x'),
    ):
        (problem,) = folder.problems(text, name)
        assert "hunter2" not in problem
        assert problem.startswith(f"{name}:")
        (folder.path / name).unlink()


def test_a_terminal_is_not_steered_by_a_key(folder: Folder) -> None:
    (problem,) = folder.problems('"\\e[31mred": 1')
    assert "\x1b" not in problem


def test_a_thousand_problems_are_cut_short(folder: Folder) -> None:
    problems = folder.problems("".join(f"key{n}: 1\n" for n in range(1000)))
    assert len(problems) == 51
    assert problems[-1] == "... and 950 more"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ai: {routing: {development: olama}, providers: {ollama: {}}}", 'providers; did you mean "ollama"?'),
        ("ai: {routing: {development: local}}", "add `local: {}` there"),
        ("ai: {routing: {production: zzz}}", "1:28: ai.routing.production names"),
        ("ai: {routing: {development: a}, providers: {a: {enabled: false}}}", "which is disabled"),
        ("ai: {providers: {a: {models: [phi3], defaultModel: phi}}}", '1:52: ai.providers.a.defaultModel "phi"'),
        ("ai: {providers: {a: {models: [phi3]}}, routing: {development: a}, defaultModel: x}", 'Model "x"'),
        ("ai: {providers: {a: {models: [phi3]}}, defaultModel: a/x}", "ai.defaultModel \"x\" is not in ai.providers.a"),
    ],
)  # fmt: skip
def test_settings_must_agree_with_each_other(folder: Folder, text: str, says: str) -> None:
    (problem,) = folder.problems(text)
    assert says in problem


@pytest.mark.parametrize(
    "text",
    [
        "ai: {routing: {production: openai}}",
        "ai: {providers: {a: {models: ['phi3:latest'], defaultModel: phi3}}}",
        "ai: {providers: {a: {models: [x/y]}}, routing: {development: a}, defaultModel: x/y}",
        "ai: {providers: {a: {defaultModel: anything}}}",
    ],
)
def test_settings_that_agree_are_left_alone(folder: Folder, text: str) -> None:
    folder.load(text)


def test_a_route_of_another_environment_may_wait_for_its_overlay(folder: Folder) -> None:
    folder.write("ai: {routing: {production: vllm}}")
    folder.write("ai: {providers: {vllm: {url: 'http://v'}}}", "farm.config.production.yaml")
    assert folder.load().ai.providers == {}
    assert "vllm" in folder.load(environment="production").ai.providers
