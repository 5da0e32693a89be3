"""What docs/mock.md shows holds: its configuration in front of two mocks, and its scripts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.journey.gate import Answer, RealGate

from farmgate.mock import Mock
from farmgate.mock.script import read_script

GUIDE = (Path(__file__).parents[3] / "docs" / "mock.md").read_text()
CONFIG, FAILS, STEPS = (block.partition("\n```")[0] for block in GUIDE.split("```yaml\n")[1:])


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def chat(gate: RealGate, model: str, *, stream: bool = False) -> Answer:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}
    return gate.call("POST", "/v1/chat/completions", body)


async def test_the_gate_in_front_of_two_answers_from_the_second_while_the_first_fails(tmp_path: Path) -> None:
    async with Mock(script=parsed(FAILS)) as one, Mock() as two:
        config = parsed(CONFIG.replace("9001", str(one.port)).replace("9002", str(two.port)))
        # The gate and the client that asks it wait in threads: the mocks answer on this loop.
        gate = await asyncio.to_thread(RealGate(tmp_path, config=config).start)
        try:
            answers = [await asyncio.to_thread(chat, gate, "both") for _ in range(4)]
            broken = await asyncio.to_thread(chat, gate, "one/mock:rst=2", stream=True)
        finally:
            await asyncio.to_thread(gate.__exit__, None, None, None)
        assert [answer.status for answer in answers] == [200] * 4
        assert [answer.headers["x-farmgate-provider"] for answer in answers] == ["two", "two", "two", "one"]
        assert answers[0].headers["x-farmgate-fallback"] == "one/mock"
        assert b"upstream_stream_truncated" in broken.body
        assert [call.status for call in one.calls] == [503, 503, 503, 200, 200]
        assert two.counted.total == 3


def test_the_scripts_that_are_shown_can_be_read() -> None:
    assert len(read_script(parsed(STEPS)).rules) == 5
    (line,) = (line for line in GUIDE.splitlines() if "-X PUT" in line)
    assert read_script(json.loads(line.split("'")[1])).rules
