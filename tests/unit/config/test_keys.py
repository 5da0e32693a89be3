"""Keys of callers: kept as hashes, never empty, never short, and required wherever others can reach the gate."""

from __future__ import annotations

import hashlib

import pytest
from tests.unit.config.conftest import Folder

from farmgate.config import ConfigError
from farmgate.config.keys import ApiKey

KEY = "a-key-of-twenty-chars"
HASH = hashlib.sha256(KEY.encode()).hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()


@pytest.mark.parametrize("entry", [f"key: {KEY}", "key: '${MY_KEY}'", "key: '${file:k}'", f"sha256: {HASH.upper()}"])
def test_a_key_is_kept_as_its_hash_only(folder: Folder, entry: str) -> None:
    folder.write(f"{KEY}\n", "k")
    config = folder.load(f"keys: [{{name: alice, {entry}}}]", MY_KEY=KEY)
    assert config.keys == (ApiKey(name="alice", sha256=HASH),)
    assert KEY not in repr(config)
    assert KEY not in str(list(config.origins()))


def test_a_key_file_has_a_key_or_a_hash_on_each_line(folder: Folder) -> None:
    folder.write(f"# keys\n\nalice {KEY}\nbob\t{OTHER}\n", "keys.txt").chmod(0o600)
    config = folder.load("keyFile: keys.txt")
    assert config.keys == (ApiKey(name="alice", sha256=HASH), ApiKey(name="bob", sha256=OTHER))
    assert config.origin("keys.bob").where == "keys.txt:4"
    assert config.notices == ()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_key_file_others_can_touch_is_said(folder: Folder, mode: int) -> None:
    folder.write(f"alice {KEY}", "keys.txt").chmod(mode)
    (notice,) = folder.load("keyFile: keys.txt").notices
    assert "chmod 600 keys.txt" in notice


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("{name: a, key: ''}", "1:23: keys.0 is empty"),
        ("{name: a, key: changeme}", "keys.0 is shorter than 16 characters"),
        ("{name: a, key: '${EMPTY}'}", "keys.0 is empty"),
        ("{name: a, key: '${UNSET}'}", "UNSET is not set"),
        ("{name: a, key: 'sixteen letters and spaces'}", "visible ASCII"),
        ("{name: a, sha256: abc}", "64 hexadecimal digits"),
        (f"{{name: a, sha256: {hashlib.sha256(b'').hexdigest()}}}", "SHA-256 of nothing"),
        ("{name: a}", "either key or sha256"),
        (f"{{name: a, key: {KEY}, sha256: {HASH}}}", "either key or sha256"),
        (f"{{name: 'a b', key: {KEY}}}", "must have a name of"),
        (f"{{name: anonymous, key: {KEY}}}", "must have another name"),
        (f"{{name: a, key: {KEY}}}, {{name: a, sha256: {OTHER}}}", 'the key name "a" is used twice'),
        (f"{{name: a, key: {KEY}}}, {{name: b, sha256: {HASH}}}", 'the keys "a" and "b" are the same key'),
    ],
)
def test_a_key_that_protects_nothing_is_an_error(folder: Folder, keys: str, says: str) -> None:
    problems = folder.problems(f"keys: [{keys}]", EMPTY="")
    assert says in problems[0]
    assert KEY not in "".join(problems)
    assert "changeme" not in "".join(problems)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("alice", "keys.txt:1: a line is `name key` or `name sha256`"),
        (f"alice {KEY}\nalice {OTHER}", "keys.txt:2: the key name"),
        ("\nalice short", "keys.txt:2: the key is shorter than 16 characters"),
    ],
)
def test_a_wrong_line_of_a_key_file_has_its_number(folder: Folder, lines: str, says: str) -> None:
    folder.write(lines, "keys.txt")
    assert says in folder.problems("keyFile: keys.txt")[0]


def test_a_key_file_that_is_not_there_is_an_error(folder: Folder) -> None:
    (problem,) = folder.problems("keyFile: none.txt")
    assert problem == "farm.config.yaml:1:10: keyFile: none.txt: there is no such file"


def test_a_key_whose_variable_is_not_set_is_one_problem(folder: Folder) -> None:
    with pytest.raises(ConfigError) as caught:
        folder.load("server: {host: 0.0.0.0}\nkeys: [{name: alice, key: '${MY_KEY}'}]")
    (problem,) = caught.value.problems
    assert "MY_KEY is not set" in problem


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gate.example", "127.1", "localhost.example", "[::]"])
def test_an_open_door_without_a_key_refuses_to_start(folder: Folder, host: str) -> None:
    (problem,) = folder.problems(f"server: {{host: '{host}'}}")
    assert problem.startswith("farm.config.yaml:1:16: Farmgate refuses to start")
    assert "keyFile" in problem
    (problem,) = folder.problems("server: {}", FARM_HOST=host)
    assert problem.startswith("environment variable FARM_HOST: Farmgate refuses to start")
    assert folder.load(f"keys: [{{name: a, key: {KEY}}}]", FARM_HOST=host).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_key(folder: Folder, host: str) -> None:
    assert folder.load(f"server: {{host: '{host}'}}").keys == ()


def test_an_empty_key_file_opens_no_door(folder: Folder) -> None:
    folder.write("# none yet\n", "keys.txt").chmod(0o600)
    assert "refuses to start" in folder.problems("keyFile: keys.txt\nserver: {host: 0.0.0.0}")[0]
