"""A configuration that changes under a running gate, providers from a user's own file, and starts that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.journey.gate import KEY, RealGate, data_of, events

CHAT = "/v1/chat/completions"
SECRET = "TEXT-OF-AN-EXCEPTION"
PROVIDER = f'''
from farmgate.core.model import Health, HealthStatus, ModelInfo
from farmgate.core.event import Event, Finish, Text
from farmgate.core.reply import Reply
from farmgate.providers.provider import ProviderBase

class MyProvider(ProviderBase):
    def __init__(self, settings):
        self.name = settings.name
        self.greeting = settings.options.get("greeting", "Hello")
        if self.greeting == "refuse":
            raise RuntimeError("{SECRET}")

    async def send(self, request):
        if request.model == "broken":
            raise ValueError("{SECRET}")
        return Reply.stream(self.say(request.model), provider=self.name, model=request.model)

    async def say(self, model):
        yield Text(self.greeting)
        if model == "breaking":
            raise ValueError("{SECRET}")
        yield Text(" from mine")
        yield Finish()

    async def models(self):
        if self.greeting == "mute":
            raise RuntimeError("{SECRET}")
        return tuple(ModelInfo(name=name, provider=self.name) for name in ("fine", "broken", "breaking"))

    async def health(self):
        if self.greeting == "mute":
            raise RuntimeError("{SECRET}")
        return Health(name=self.name, status=HealthStatus.HEALTHY)
'''


def config(text: str, **mine: object) -> dict[str, Any]:
    return {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {
            "providers": {
                "demo": {"options": {"text": text}},
                "slow": {"provider": "demo", "options": {"text": "word " * 30, "chunkDelayMs": 100}},
                "mine": {"provider": "my_module:MyProvider", "options": mine},
            },
            "routing": {"development": "demo"},
        },
    }


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[RealGate]:
    (tmp_path / "my_module.py").write_text(PROVIDER)
    with RealGate(tmp_path, config=config("first"), verb="dev").start() as gate:
        yield gate
        assert gate.stop() == 0
        assert SECRET not in gate.everything_said()


def ask(model: str, *, stream: bool = False) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}


def said(gate: RealGate, model: str = "demo/demo") -> str:
    answer = gate.call("POST", CHAT, ask(model))
    assert answer.status == 200, answer.body
    return str(answer.json["choices"][0]["message"]["content"])


def test_a_change_is_taken_up_without_dropping_a_stream_and_a_broken_one_is_not(gate: RealGate) -> None:
    assert said(gate) == "first"
    with gate.stream(CHAT, ask("slow/demo", stream=True)) as response:
        told = data_of(response)
        next(told)
        gate.configure(config("second"))
        gate.says('"event": "reloaded"')
        assert said(gate) == "second"
        assert gate.metric("farmgate_requests_in_flight") == 1
        rest = list(told)
    assert rest[-1] == "[DONE]"
    assert len(rest) > 25

    for broken in ("{nonsense", json.dumps({"ai": {"provider": {}}})):
        gate.config_file.write_text(broken)
        gate.says("stays in use")
        assert said(gate) == "second"
    gate.configure(config("third"))
    gate.says('"event": "reloaded"')
    assert said(gate) == "third"


@pytest.mark.parametrize(
    "change",
    [{"provider": "my_module:Nobody"}, {"provider": "no_module:At"}, {"provider": "nonsense"}],
    ids=["no class", "no module", "no such kind"],
)
def test_a_provider_that_cannot_be_made_leaves_the_old_configuration_in_use(
    gate: RealGate, change: dict[str, object]
) -> None:
    changed = config("second")
    changed["ai"]["providers"]["mine"] |= change
    gate.configure(changed)
    gate.says("not_reloaded")
    assert said(gate) == "first"
    assert said(gate, "mine/fine") == "Hello from mine"
    gate.configure(config("third", greeting="Hi"))
    gate.says('"event": "reloaded"')
    assert said(gate) == "third"
    assert said(gate, "mine/fine") == "Hi from mine"


@pytest.mark.parametrize("greeting", ["refuse", "mute"])
def test_a_provider_that_raises_where_it_must_not_takes_nobody_with_it(gate: RealGate, greeting: str) -> None:
    gate.configure(config("second", greeting=greeting))
    gate.says("not_reloaded" if greeting == "refuse" else '"event": "reloaded"')
    assert said(gate) == ("first" if greeting == "refuse" else "second")
    for path in ("/v1/models", "/api/ai/models"):
        answer = gate.call("GET", path)
        assert answer.status == 200
        assert b"demo" in answer.body
    health = gate.call("GET", "/api/ai/health")
    assert health.status == 200
    assert health.json["demo"]["status"] == "healthy"
    assert SECRET.encode() not in health.body


def test_a_provider_of_one_s_own_answers_and_its_mistakes_are_told_without_its_words(gate: RealGate) -> None:
    assert said(gate, "mine/fine") == "Hello from mine"
    told = events(gate.call("POST", CHAT, ask("fine", stream=True)).body)
    assert told[-1] == "[DONE]"
    assert (
        gate.call("POST", "/api/ai/chat", {"model": "fine", "messages": [{"role": "user", "content": "x"}]}).json[
            "provider"
        ]
        == "mine"
    )
    for path in (CHAT, "/api/ai/chat"):
        for stream in (False, True):
            answer = gate.call("POST", path, ask("broken", stream=stream))
            assert (answer.status, answer.error["code"]) == (502, "upstream_error")
            assert SECRET.encode() not in answer.body
        told = events(gate.call("POST", path, ask("breaking", stream=True)).body)
        assert json.loads(told[-1])["error"]["code"] == "upstream_error"
        assert "[DONE]" not in told
        assert not any(SECRET in data for data in told)
    assert gate.metric("farmgate_requests_in_flight") == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"server": {"host": "0.0.0.0"}}, "key"),
        ({"ai": {"providers": {"mine": {"provider": "my_module:MyProvider"}}}}, "my_module"),
        (
            {"ai": {"providers": {"mine": {"provider": "broken_module:MyProvider"}}}},
            "broken_module.py, line 2",
        ),
        ({"ai": {"provider": {}}}, "did you mean"),
    ],
    ids=["open to all without a key", "no such provider", "a provider that is no Python", "unknown setting"],
)
def test_a_start_that_would_be_wrong_is_refused_with_exit_code_3(
    tmp_path: Path, settings: dict[str, object], says: str
) -> None:
    (tmp_path / "broken_module.py").write_text("import os\nclass MyProvider(:\n")
    gate = RealGate(tmp_path, config=settings)
    for verb in ("serve", "dev"):
        code, out, err = gate.command(verb, "--port", "0")
        assert code == 3, err
        assert says in err
        assert "Traceback" not in err
        assert not out


def test_a_port_that_is_taken_is_told(gate: RealGate) -> None:
    code, _, err = gate.command("serve", "--port", str(gate.port))
    assert code != 0
    assert str(gate.port) in err
    assert "Traceback" not in err
