"""Admins see and change what runs; nobody else does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.unit.surfaces.farm_caller import KEY, OTHER_KEY, Gate, ask

from farmgate.config import Config, load
from farmgate.config.changes import differences
from farmgate.config.features import switched
from farmgate.config.reloads import Reload
from farmgate.core.errors import UpstreamRateLimited
from farmgate.core.model import Facts
from farmgate.core.request import Kind
from farmgate.flow.explain import Explanation, Question, explain
from farmgate.flow.health import Ward
from farmgate.flow.route import ProviderView, View
from farmgate.surfaces.http.farm import farm_app
from farmgate.surfaces.http.route_models import KindName

ADMIN = {"authorization": f"Bearer {KEY}"}
TEXT = "ai: {providers: {demo: {options: {password: hunter2-hunter2}, url: 'http://a'}}}\n"
EVERY = [
    ("GET", "/api/admin/config"),
    ("POST", "/api/admin/config/reload"),
    ("GET", "/api/admin/features"),
    ("PATCH", "/api/admin/features"),
    ("POST", "/api/admin/route"),
]


class FakeAdministration:
    """Reads what it is given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.config = self.read(TEXT)
        self.loaded_unix = 1.5
        self.last: Reload | None = None
        self.needs_restart: tuple[str, ...] = ("server.port",)
        self.problems: tuple[str, ...] = ()
        self.next = self.config
        self.asked: list[Mapping[str, bool | None] | None] = []

    def read(self, text: str) -> Config:
        (self._folder / "farm.config.yaml").write_text(text)
        return load(cwd=self._folder, environ={"HOME": str(self._folder)})

    async def reload(self) -> Reload:
        self.asked.append(None)
        return self._reload()

    async def switch(self, features: Mapping[str, bool | None]) -> Reload:
        self.asked.append(features)
        self.next = switched(self.config, {name: value for name, value in features.items() if value is not None})
        return self._reload()

    def _reload(self) -> Reload:
        changes = differences(self.config, self.next)
        if not self.problems:
            self.config = self.next
        self.last = Reload(at_unix=2, config=self.config, changes=changes, problems=self.problems, warnings=("hm",))
        return self.last


class ModelView:
    """A catalogue that nobody may have look around."""

    def __init__(self, view: View) -> None:
        self._view = view

    def view(self) -> View:
        return self._view

    def published(self, provider: str, model: str) -> Facts:
        return Facts()

    async def refresh(self) -> None:
        raise AssertionError("somebody was asked")


class AdminGate(Gate):
    """A gate with somebody who administers it; KEY is an admin's."""

    def __init__(self, folder: Path, *, keys: bool = True) -> None:
        super().__init__(keys=keys, admins={"tests"})
        self.there = FakeAdministration(folder)
        self.questions: list[Question] = []
        self.ward = Ward()
        self.app = farm_app(
            self.desk,
            target=self.target,
            models=self,
            health=self.health,
            load=self.load,
            jobs=self.jobs,
            care=self.care,
            streaming=True,
            administration=self.there,
            explain=self.explain,
        )

    def explain(self, question: Question) -> Explanation:
        self.questions.append(question)
        view = View(providers={"a": ProviderView(models=frozenset({"m"}))}, default_provider="a")
        return explain(question, ModelView(view), self.ward, now=0.0, calls=4)


@pytest.fixture
def gate(tmp_path: Path) -> AdminGate:
    return AdminGate(tmp_path)


@pytest.mark.parametrize(("method", "path"), EVERY)
async def test_an_ordinary_key_is_told_what_to_do_and_changes_nothing(gate: AdminGate, method: str, path: str) -> None:
    call = await ask(gate, method, path, {}, {"authorization": f"Bearer {OTHER_KEY}"})
    assert (call.status, call.error["code"]) == (403, "not_an_admin")
    assert "admin: true" in call.error["message"]
    assert gate.there.asked == []


@pytest.mark.parametrize(("method", "path"), EVERY)
async def test_without_keys_everybody_here_is_an_admin_but_no_page_of_another_site(
    tmp_path: Path, method: str, path: str
) -> None:
    gate = AdminGate(tmp_path, keys=False)
    assert (await ask(gate, method, path, {})).status == 200
    gate.there.asked.clear()
    for site in ("cross-site", "same-site"):
        call = await ask(gate, method, path, {}, {"sec-fetch-site": site})
        assert (call.status, call.error["code"]) == (403, "not_an_admin")
    assert gate.there.asked == []
    assert (await ask(gate, method, path, {}, {"sec-fetch-site": "same-origin"})).status == 200


async def test_a_gate_that_is_not_served_has_nothing_to_administer() -> None:
    call = await ask(Gate(), "GET", "/api/admin/config")
    assert (call.status, call.error["code"]) == (404, "not_found")


async def test_a_reload_tells_what_changed(gate: AdminGate) -> None:
    gate.there.next = gate.there.read(TEXT.replace("http://a", "http://b").replace("hunter2-h", "another-h"))
    call = await ask(gate, "POST", "/api/admin/config/reload", None, ADMIN)
    assert call.status == 200
    path = "ai.providers.demo."
    assert call.json == {
        "generation": gate.there.next.generation,
        "changed": [
            {
                "path": f"{path}url",
                "what": "changed",
                "before": "http://a",
                "after": "http://b",
                "text": f"{path}url: http://a → http://b",
            },
            {
                "path": f"{path}options.password",
                "what": "changed",
                "secret": True,
                "text": f"{path}options.password: changed (secret)",
            },
        ],
        "unchanged": False,
        "needsRestart": [],
        "warnings": ["hm"],
    }


async def test_a_configuration_that_cannot_be_used_is_422_with_every_problem(gate: AdminGate) -> None:
    gate.there.problems = ("farm.config.yaml:1:1: one", "farm.config.yaml:2:1: two")
    call = await ask(gate, "POST", "/api/admin/config/reload", None, ADMIN)
    told: dict[str, Any] = call.json
    assert call.status == 422
    assert told["problems"] == list(gate.there.problems)
    assert told["generation"] == gate.there.config.generation
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert told["error"]["code"] == "config_invalid"
    assert all(problem in told["error"]["message"] for problem in gate.there.problems)
    last = (await ask(gate, "GET", "/api/admin/config", None, ADMIN)).json["lastReload"]
    assert (last["outcome"], last["problems"]) == ("failed", list(gate.there.problems))


async def test_what_is_in_effect_is_shown_without_its_secrets(gate: AdminGate, tmp_path: Path) -> None:
    call = await ask(gate, "GET", "/api/admin/config", None, ADMIN)
    assert b"hunter2-hunter2" not in b"".join(call.pieces)
    told = call.json
    assert told["loadedAt"] == "1970-01-01T00:00:01.500Z"
    assert told["files"] == [str(tmp_path / "farm.config.yaml")]
    assert told["needsRestart"] == ["server.port"]
    assert "lastReload" not in told
    settings = {setting["path"]: setting for setting in told["settings"]}
    assert settings["ai.providers.demo.url"]["origin"] == "farm.config.yaml:1:68"
    assert settings["ai.providers.demo.options.password"]["value"] == "hunt…ter2"
    assert settings["server.port"] == {"path": "server.port", "value": 8000, "origin": "default"}


async def test_switches_are_told_and_set(gate: AdminGate) -> None:
    body = {"streaming": False, "rate_limiting": True, "fallback": None}
    told = (await ask(gate, "PATCH", "/api/admin/features", body, ADMIN)).json
    assert gate.there.asked == [{"streaming": False, "rateLimiting": True, "fallback": None}]
    assert told["streaming"] == {"value": False, "origin": "PATCH /api/admin/features", "overridden": True}
    assert told["rateLimiting"]["note"] == "not built yet: callers are not limited"
    assert told["fallback"] == {"value": True, "origin": "default", "overridden": False}
    assert (await ask(gate, "GET", "/api/admin/features", None, ADMIN)).json == told


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"streaming": "no"}, "invalid_type"),
        ({"streaming": 0}, "invalid_type"),
        ({"streeming": True}, "unknown_parameter"),
        ({"rateLimiting": True, "rate_limiting": True}, "invalid_value"),
    ],
)
async def test_a_switch_that_is_none_is_refused(gate: AdminGate, body: dict[str, object], code: str) -> None:
    call = await ask(gate, "PATCH", "/api/admin/features", body, ADMIN)
    assert (call.status, call.error["code"]) == (400, code)
    assert gate.there.asked == []


async def test_a_plan_is_told_and_nobody_is_asked(gate: AdminGate) -> None:
    gate.ward.of("a/m").begin(0.0).end(UpstreamRateLimited(retry_after_s=2.5), 0.0, 0.0)
    call = await ask(gate, "POST", "/api/admin/route", {"model": "a/m"}, ADMIN)
    assert call.status == 200
    assert call.json == {
        "model": "a/m",
        "kind": "chat",
        "balance": "leastInFlight",
        "sticky": "off",
        "fallback": True,
        "calls": 4,
        "order": [],
        "resting": [
            {
                "provider": "a",
                "model": "m",
                "tier": 0,
                "weight": 1.0,
                "priority": 0,
                "state": "closed",
                "coolingForS": 2.5,
                "backInS": 2.5,
                "inFlight": 0,
                "why": "rate limit used up for 2.5 s more",
            }
        ],
        "skipped": [],
    }
    assert gate.target.asked == []


async def test_a_plan_is_for_the_key_that_asks_unless_another_is_named(gate: AdminGate) -> None:
    for body in ({}, {"key": "others", "session": "s", "kind": "embedding", "provider": "a", "model": "m"}):
        await ask(gate, "POST", "/api/admin/route", body, ADMIN)
    assert gate.questions == [
        Question(caller="tests"),
        Question(model="m", provider="a", kind=Kind.EMBEDDING, caller="others", session="s"),
    ]


async def test_a_plan_for_a_stream_is_refused_where_streams_are(gate: AdminGate) -> None:
    body = {"model": "m", "stream": True}
    assert (await ask(gate, "POST", "/api/admin/route", body, ADMIN)).status == 200
    await gate.there.switch({"streaming": False})
    call = await ask(gate, "POST", "/api/admin/route", body, ADMIN)
    assert (call.status, call.error["param"]) == (400, "stream")


@pytest.mark.parametrize("body", [{"kind": "poem"}, {"model": 1}, {"key": ""}, {"modell": "m"}, []])
async def test_a_question_that_is_none_is_refused(gate: AdminGate, body: object) -> None:
    assert (await ask(gate, "POST", "/api/admin/route", body, ADMIN)).status == 400
    assert gate.questions == []


def test_every_kind_can_be_asked_for() -> None:
    assert get_args(KindName) == tuple(Kind)
