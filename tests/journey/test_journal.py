"""The journal knows every call a provider saw, also when the gate is killed under load; the next start goes on."""

from __future__ import annotations

from pathlib import Path

from tests.journey.gate import KEY, RealGate, request
from tests.journey.upstream import Upstream

from farmgate.core.usage import Outcome
from farmgate.stores.journal import read_calls

CLIENTS = 16
KILLS = 3
CHAT = "/v1/chat/completions"


def ask(model: str) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": True}


def test_every_call_a_provider_saw_is_on_record_after_the_gate_was_killed_under_load(tmp_path: Path) -> None:
    with Upstream() as upstream:
        up = {"provider": "openai", "url": upstream.url, "apiKey": "sk-CANARY-of-the-upstream"}
        config = {"keys": [{"name": "tests", "key": KEY}], "ai": {"providers": {"up": up}}}
        for kill in range(1, KILLS + 1):
            gate = RealGate(tmp_path, config=config).start()
            wires = [gate.wire() for _ in range(CLIENTS)]
            before = len(upstream.seen)
            for number, wire in enumerate(wires):
                wire.send(request("POST", CHAT, ask(("say", "wait-0", "wait-1", "wait-3")[number % 4])))
            for wire in wires[::4]:
                assert wire.answer().status == 200
                wire.send(request("POST", CHAT, ask("say")))
            # Killed as soon as the last of them was asked: some answers are on their way, some are complete.
            upstream.saw(before + CLIENTS + len(wires[::4]))
            gate.kill()
            for wire in wires:
                wire.close()
            calls = list(read_calls(gate.home / "journal"))
            assert len(calls) == len(upstream.seen) == kill * (CLIENTS + 4)
            assert len({call.id for call in calls}) == len(calls)
            assert sum(call.model.startswith("wait") for call in calls) == kill * 12
            assert {call.outcome for call in calls if call.model.startswith("wait")} == {Outcome.LOST}
            assert sum(call.outcome is Outcome.OK for call in calls) >= kill * 4
            assert all(call.completion_tokens == 3 for call in calls if call.outcome is Outcome.OK)

        # The next one starts in the same place, counts on, and tells what was lost.
        with RealGate(tmp_path, config=config).start() as gate:
            assert gate.call("POST", CHAT, ask("say")).status == 200
            lines = {line["model"]: line for line in gate.calls()}
        waits = [line for model, line in lines.items() if model.startswith("wait")]
        assert sum(line["lost"] for line in waits) == sum(line["calls"] for line in waits) == KILLS * 12
        assert lines["say"]["calls"] == KILLS * 8 + 1
        assert {line["key"] for line in lines.values()} == {"tests"}
        assert sum(line["calls"] for line in lines.values()) == len(upstream.seen)


def test_nothing_that_was_said_or_secret_is_on_record(tmp_path: Path) -> None:
    config = {"keys": [{"name": "tests", "key": KEY}], "ai": {"providers": {"demo": {"options": {"text": "ANSWERED"}}}}}
    with RealGate(tmp_path, config=config).start() as gate:
        body = {"model": "demo", "messages": [{"role": "user", "content": "ASKED"}]}
        assert gate.call("POST", CHAT, body, {"x-request-id": "mine-7"}).status == 200
        assert gate.call("POST", CHAT, body | {"model": "SECRETNAME"}).status == 404
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file != gate.config_file)
    assert b"mine-7" in kept
    for word in ("ANSWERED", "ASKED", "SECRETNAME", KEY):
        assert word.encode() not in kept
        assert word not in gate.everything_said()
