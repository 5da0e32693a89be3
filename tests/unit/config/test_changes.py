"""What changed is told setting by setting, secrets by name only, and a file caught half-written is no configuration."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.unit.config.conftest import Folder

from farmgate.config import Config, ConfigError
from farmgate.config.changes import differences, needs_restart
from farmgate.config.features import SWITCHED, features_of, switched
from farmgate.config.following import check_following

TEXT = """\
keys: [{name: web, key: "${WEB_KEY}"}]
ai:
  providers:
    openai: {url: "http://a/v1", apiKey: "${OPENAI}", models: [a], headers: {x-team: one}}
    mine: {provider: demo, options: {password: abc, accounts: [{token: abc}], path: /a}}
  models: {gpt-4.1: {contextTokens: 5}}
"""
SECRETS = {"WEB_KEY": "web-key-0123456789abcdef", "OPENAI": "sk-0123456789-abcdef"}


def loaded(folder: Folder, text: str, **secrets: str) -> Config:
    folder.environ |= SECRETS | secrets
    return folder.load(text)


def told(before: Config, after: Config) -> list[str]:
    return [str(change) for change in differences(before, after)]


def test_the_same_is_no_change_wherever_it_is_said(folder: Folder) -> None:
    before = loaded(folder, TEXT)
    after = loaded(folder, f"# moved\n\n{TEXT}")
    assert told(before, after) == []
    assert before.generation == after.generation
    assert len(before.generation) == 12


def test_a_value_is_told_before_and_after_and_what_came_or_went_as_one(folder: Folder) -> None:
    before = loaded(folder, TEXT)
    text = TEXT.replace("http://a/v1", "http://b/v1").replace("[a]", "[a, b]").replace("mine:", "other:")
    after = loaded(folder, text.replace("gpt-4.1", "gpt-4").replace("path: /a", 'path: "/a"'))
    assert told(before, after) == [
        "ai.providers.openai.url: http://a/v1 → http://b/v1",
        'ai.providers.openai.models: ["a"] → ["a", "b"]',
        "ai.providers.other: added",
        "ai.models.gpt-4: added",
        "ai.providers.mine: removed",
        "ai.models.gpt-4.1: removed",
    ]
    assert before.generation != after.generation


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("OPENAI", "sk-0999999999-abcdef"), "ai.providers.openai.apiKey"),  # the mask is the same
        (("one", "two"), "ai.providers.openai.headers.x-team"),
        (("password: abc", "password: xyz"), "ai.providers.mine.options.password"),
        (("token: abc", "token: xyz"), "ai.providers.mine.options.accounts"),
        (("WEB_KEY", "web-key-0999999999abcdef"), "keys.web"),
    ],
)
def test_a_secret_is_said_to_have_changed_and_never_shown(folder: Folder, change: tuple[str, str], path: str) -> None:
    before = loaded(folder, TEXT)
    old, new = change
    is_variable = old in SECRETS
    after = loaded(folder, TEXT if is_variable else TEXT.replace(old, new), **{old: new} if is_variable else {})
    assert told(before, after) == [f"{path}: changed (secret)"]
    (found,) = differences(before, after)
    assert (found.before, found.after) == (None, None)
    assert before.generation != after.generation
    shown = str([value for _, value, _ in after.origins()]) + repr(after)
    assert not any(secret in shown for secret in ("xyz", "'two'", "0999999999", "'abc'"))


def test_an_admin_is_made_and_unmade(folder: Folder) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    folder.write(f"joe {digest}\nann {'b' * 64} admin\n", "k").chmod(0o600)
    before = folder.load("keyFile: k")
    assert [(key.name, key.is_admin) for key in before.keys] == [("joe", False), ("ann", True)]
    folder.write(f"joe {digest} admin\nann {'b' * 64}\n", "k")
    assert told(before, folder.load("keyFile: k")) == ["keys.joe.admin: added", "keys.ann.admin: removed"]
    folder.write(f"joe {digest} root\n", "k")
    with pytest.raises(ConfigError, match="k:1: a line is `name key`"):
        folder.load("keyFile: k")
    config = folder.load(f"keys: [{{name: a, sha256: {digest}, admin: true}}]")
    assert config.keys[0].is_admin


def test_what_waits_for_a_restart_is_named(folder: Folder) -> None:
    before = folder.load("server: {port: 1}\nai: {providers: {ollama: {models: [a]}}}")
    after = folder.load(
        "server: {port: 2, drain: {timeoutS: 1}, limits: {headerBytes: 2048, bodyBytes: 2048}}\n"
        "ai: {providers: {ollama: {models: [b], autoStart: true}}}\njournal: {enabled: false}\n"
        "responses: {store: 'off'}\nlog: {level: debug}\n"
    )
    assert set(needs_restart(differences(before, after))) == {
        "server.port",
        "server.drain.timeoutS",
        "server.limits.headerBytes",
        "journal.enabled",
        "responses.store",
        "ai.providers.ollama.autoStart",
    }


def test_a_switch_lies_on_top_and_says_so(folder: Folder) -> None:
    config = folder.load("ai: {features: {streaming: true}}")
    over = switched(config, {"streaming": False, "rateLimiting": True})
    assert (over.ai.features.streaming, over.ai.features.rate_limiting) == (False, True)
    assert told(config, over) == ["ai.features.streaming: true → false", "ai.features.rateLimiting: false → true"]
    assert any("rateLimiting is not built yet" in notice for notice in over.notices)
    found = features_of(over)
    assert (found["streaming"].value, found["streaming"].origin) == (False, SWITCHED)
    assert found["rateLimiting"].note == "not built yet: callers are not limited"
    assert not features_of(config)["streaming"].is_overridden
    assert switched(config, {}) is config


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("farm.config.yaml", text) for text in ("", "\n\n", "# only {a} comment\n", "---\n")),
        *(("farm.config.toml", text) for text in ("", "\n\n", "# only {a} comment\n")),
    ],
)
def test_a_file_without_a_word_does_not_follow_one_with_words(folder: Folder, name: str, text: str) -> None:
    before = folder.load("[log]\nlevel = 'info'\n" if name.endswith("toml") else "log: {level: info}", name)
    after = folder.load(text, name)
    with pytest.raises(ConfigError, match=f"{name}: is empty"):
        check_following(before, after)


def test_an_empty_mapping_is_a_word(folder: Folder) -> None:
    check_following(folder.load("log: {level: info}"), folder.load("{}"))


def test_a_file_may_take_the_place_of_another_but_not_just_go(folder: Folder) -> None:
    before = folder.load("log: {level: info}")
    overlay = folder.write("log: {level: debug}", "farm.config.development.yaml")
    with_overlay = folder.load("log: {level: info}")
    overlay.unlink()
    with pytest.raises(ConfigError, match=r"development\.yaml: is gone"):
        check_following(with_overlay, folder.load("log: {level: info}"))
    Path(before.source or "").unlink()
    with pytest.raises(ConfigError, match=r"farm\.config\.yaml: is gone"):
        check_following(before, folder.load())
    check_following(before, folder.load("[log]\nlevel = 'debug'\n", "farm.config.toml"))
