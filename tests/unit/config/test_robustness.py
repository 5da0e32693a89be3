"""No file whatever gives anything but a Config or a ConfigError."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.config.conftest import WHOLE_YAML, Folder

from farmgate.config import Config, ConfigError, load

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
ENDINGS = ("yaml", "json", "toml")
SECTIONS = [
    "ai",
    "providers",
    "routing",
    "features",
    "server",
    "limits",
    "keys",
    "headers",
    "timeouts",
    "options",
    "log",
]
SETTINGS = [
    "port",
    "host",
    "name",
    "key",
    "keyFile",
    "sha256",
    "url",
    "apiKey",
    "api_key",
    "models",
    "level",
    "enabled",
]
WORDS = st.sampled_from([*SECTIONS, *SETTINGS, "ollama", "options", "enabled", "production", "version", "x"])
REFERENCES = ["${A}", "${B:-x}", "${file:/x}", "${", "$${", "http://x", "ollama", "a\0b", "\ud800", "0.0.0.0", "~/x"]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(REFERENCES)
)
TREES = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=20,
)
MARKS = [*"{}[]:,-\"'#&*!|>%@`=.\\ \n\t", "---", "\\ud800", "!!python/object", "<<", "1e999", "0x", "_"]
MARKS += ["ai", "port", '"""', "'''", "2020-01-01", "[[", "]]", "%YAML 1.1\n", "\\U00110000"]
# Text that looks like the file formats more often than chance would make it.
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(MARKS), max_size=30).map("".join),
    st.builds(lambda at, text: WHOLE_YAML[:at] + text + WHOLE_YAML[at:], st.integers(0, 700), st.text(max_size=3)),
    TREES.map(json.dumps),
)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=20,
)


def outcome(folder: Path, name: str, data: bytes) -> Config | ConfigError:
    file = folder / name
    file.write_bytes(data)
    try:
        return load(file, cwd=folder, environ={"HOME": str(folder), "A": "value"})
    except ConfigError as error:
        return error


def is_clear(result: Config | ConfigError) -> bool:
    if isinstance(result, Config):
        return True
    return bool(result.problems) and all(problem and "\n" not in problem for problem in result.problems)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.parametrize("ending", ENDINGS)
@settings(deadline=None, max_examples=100)
@given(text=TEXTS)
def test_any_text_is_a_config_or_a_config_error(place: Path, ending: str, text: str) -> None:
    assert is_clear(outcome(place, f"any.{ending}", text.encode("utf-8", "surrogatepass")))


@pytest.mark.parametrize("ending", ENDINGS)
@settings(deadline=None)
@given(data=st.binary(max_size=100))
def test_any_bytes_are_a_config_or_a_config_error(place: Path, ending: str, data: bytes) -> None:
    assert is_clear(outcome(place, f"any.{ending}", data))


@settings(deadline=None)
@given(text=st.text(max_size=60), flag=st.text(max_size=20), value=TREES)
def test_any_env_file_and_any_flag_too(place: Path, text: str, flag: str, value: object) -> None:
    folder = place / "env"
    folder.mkdir(exist_ok=True)
    (folder / ".env").write_bytes(text.encode("utf-8", "surrogatepass"))
    for flags in ({}, {flag: value}, {f"ai.{flag}": value}):
        with contextlib.suppress(ConfigError):
            load(cwd=folder, environ={"HOME": str(folder)}, overrides=flags)


@settings(deadline=None)
@given(JSON)
def test_json_is_read_as_json_is(tree: object) -> None:
    from farmgate.config.formats.read_json import read_json
    from farmgate.config.nodes import plain

    assert plain(read_json(json.dumps(tree, indent=1), "x")) == tree
    assert plain(read_json(json.dumps(tree, ensure_ascii=False), "x")) == tree


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("yaml", b"a: \x00", "NUL"),
        ("yaml", b"\xff\xfe\x00", "not UTF-8"),
        ("yaml", b"a: \x07", "not valid YAML"),
        ("yaml", b"#" * (1024 * 1024 + 1), "larger than 1048576 bytes"),
        ("yaml", BOMB.encode(), "aliases"),
        ("yaml", b"server: {port: 1}\nserver: {port: 2}", 'yaml:2:1: "server" is said twice (first at any.yaml:1:1)'),
        ("json", b'{"server": {},\n "server": {}}', 'json:2:2: "server" is said twice (first at any.json:1:2)'),
        ("toml", b"[server]\n[server]", "toml:2:8: not valid TOML"),
        ("yaml", b"- a\n- b", "the top of a configuration is a mapping"),
        ("yaml", b"just text", "the top of a configuration is a mapping"),
        ("json", b"[1]", "the top of a configuration is a mapping"),
        ("yaml", b"a: !!python/object/apply:os.system [id]", "tags"),
        ("yaml", b"a: 1\n---\nb: 2", "a second document"),
        ("yaml", b"? [a]\n: 1", "a key must be plain text"),
        ("yaml", b"a: \t- [", "not valid YAML"),
        ("yaml", b'server: {host: "a\\u0000b"}', "NUL or half a Unicode character"),
        ("json", b'{"server": {"host": "\\ud800"}}', "NUL or half a Unicode character"),
        ("yaml", b"[" * 100_000, "nested too deeply"),
        ("json", b"[" * 100_000, "nested too deeply"),
        ("toml", b"a = " + b"[" * 100_000, "nested too deeply"),
        ("json", b'{"a": ' * 40 + b"1" + b"}" * 40, "nested too deeply"),
        ("toml", b"a." * 300_000 + b"a = 1", "more than 32 parts"),
        ("toml", b"a = {" + b"b." * 300_000 + b"a = 1}", "more than 32 parts"),
        ("toml", b"a = " + b"9" * 10_000, "digits"),
        ("json", b'{"a": ' + b"9" * 10_000 + b"}", "digits"),
        ("json", b'{"a": 1} x', "more after the end"),
        ("json", b'{"a" 1}', "`:` is missing"),
        ("json", b'{"a": 1, }', "a key must be in double quotes"),
        ("json", b'{a: 1}', "json:1:2: a key must be in double quotes"),
        ("json", b'{"a": tru}', "a value is missing"),
        ("json", b'{"a": "b', "not valid JSON: unterminated string"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_a_clear_error(place: Path, name: str, text: bytes, says: str) -> None:
    error = outcome(place, f"any.{name}", text)
    assert isinstance(error, ConfigError)
    assert says in str(error)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("yaml", b"a: [" + b"x, " * 300_000 + b"]"),
        ("yaml", b"".join(b"k%d: ${U}\n" % n for n in range(60_000))),
        ("json", b"[" + b"1," * 500_000 + b"1]"),
        ("json", b"{" + b",".join(b'"k%d": 1' % n for n in range(60_000)) + b"}"),
        ("toml", b'"\\"' * 300_000),
        ("toml", b"x" * 1_000_000),
        ("yaml", b"x" * 1_000_000 + b": 1"),
        ("yaml", b"ai: {providers: {" + b"".join(b"p%d: {url: '${U}'}, " % n for n in range(20_000)) + b"}}"),
    ],
)
def test_a_large_hostile_file_is_refused_in_seconds(place: Path, name: str, text: bytes) -> None:
    began = time.process_time()
    assert isinstance(outcome(place, f"large.{name}", text), ConfigError)
    assert time.process_time() - began < 20


def test_yaml_means_what_yaml_1_2_says(folder: Folder) -> None:
    options = "a: no, b: 010, c: 0o10, d: 0x1F, e: ~, f: 1.5, g: '1', h: true, i: .inf, j: 1_0"
    text = f"ai: {{providers: {{a: {{options: {{{options}}}}}}}}}"
    assert folder.load(text).ai.providers["a"].options == {
        "a": "no", "b": 10, "c": 8, "d": 31, "e": None, "f": 1.5, "g": "1", "h": True, "i": float("inf"), "j": "1_0",
    }  # fmt: skip
