"""`${...}` in a text: what it becomes, what it never becomes, and which provider it costs."""

from __future__ import annotations

import pytest
from tests.unit.config.conftest import Folder

MODEL = "ai: {defaultModel: '%s'}"
TWO = "ai:\n  providers:\n    a: {}\n    b: {%s}\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("x-${A}-${B}-y", "x-one-two-y"),
        ("${UNSET:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${A:-fallback}", "one"),
        ("a${UNSET:-}b", "ab"),
        ("$${A}", "${A}"),
        ("$A", "$A"),
        ("${TRICK}", "${A}"),
        ("${file:model.txt}", "from a file"),
        ("${A}$${B}${UNSET:-c}", "one${B}c"),
    ],
)
def test_a_reference_becomes_its_value_once(folder: Folder, text: str, value: str) -> None:
    folder.write("from a file\n", "model.txt")
    config = folder.load(MODEL % text, A="one", B="two", EMPTY="", TRICK="${A}")
    assert config.ai.default_model == value


def test_a_number_may_come_from_a_variable(folder: Folder) -> None:
    config = folder.load("server: {port: '${MY_PORT}'}", MY_PORT="7")
    assert config.server.port == 7
    assert config.origin("server.port").where == "farm.config.yaml:1:16"
    assert config.origin("server.port").via == "environment variable MY_PORT"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${UNSET}", "the environment variable UNSET is not set"),
        ("${}", 'cannot read "${}"'),
        ("${a b}", "cannot read"),
        ("${A", "cannot read"),
        ("${A:-${B}}", "cannot read"),
        ("${file:}", "cannot read"),
        ("${file:/nowhere/at/all}", "there is no such file"),
        ("${file:.}", "not a file"),
        ("${file:~nobody-at-all/x}", "no such home directory"),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error_with_its_place(folder: Folder, text: str, says: str) -> None:
    problems = folder.problems(MODEL % text, A="one", B="two")
    assert len(problems) == 1
    assert problems[0].startswith("farm.config.yaml:1:20: ai.defaultModel: ")
    assert says in problems[0]


def test_a_provider_that_is_not_asked_is_left_out_when_its_variable_is_not_set(folder: Folder) -> None:
    config = folder.load(TWO % "url: '${UNSET}'")
    assert list(config.ai.providers) == ["a"]
    assert config.left_out["b"].startswith("farm.config.yaml:4:14: ai.providers.b.url: the environment variable UNSET")


@pytest.mark.parametrize(
    "rest",
    [
        "ai: {routing: {development: b}}",
        "ai: {providers: {a: {enabled: false}}}",
    ],
)
def test_the_provider_that_must_answer_is_not_left_out(folder: Folder, rest: str) -> None:
    folder.write(rest, "farm.config.development.yaml")
    assert "UNSET is not set" in folder.problems(TWO % "apiKey: '${UNSET}'")[0]


def test_a_disabled_provider_needs_no_variable_and_no_words(folder: Folder) -> None:
    config = folder.load(TWO % "enabled: false, apiKey: '${UNSET}', headers: {x: '${UNSET}'}")
    assert not config.ai.providers["b"].enabled
    assert not config.left_out
    assert not config.notices


@pytest.mark.parametrize("entry", ["apiKey: ''", "apiKey: '${EMPTY}'", "apiKey: '${UNSET:-}'"])
def test_an_empty_key_is_no_key(folder: Folder, entry: str) -> None:
    config = folder.load(TWO % entry, EMPTY="")
    assert "apiKey is empty" in config.left_out["b"]
    (problem,) = folder.problems(TWO % entry, EMPTY="", AI_PROVIDER="b")
    assert "apiKey is empty" in problem


def test_a_malformed_reference_is_never_forgiven(folder: Folder) -> None:
    assert "cannot read" in folder.problems(TWO % "url: '${oops'")[0]


def test_a_key_with_a_line_end_is_refused_before_it_reaches_a_header(folder: Folder) -> None:
    (problem,) = folder.problems(TWO % "apiKey: '${K}'", K="abc\r\nx-evil: 1")
    assert "visible ASCII" in problem
    assert "evil" not in problem
