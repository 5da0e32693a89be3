"""A caller may say that nobody is waiting."""

from __future__ import annotations

import pytest
from tests.unit.surfaces.farm_caller import Gate, ask

CHAT = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize(("told", "is_batch"), [(None, False), ("interactive", False), ("batch", True)])
async def test_a_request_is_as_urgent_as_its_caller_says(told: str | None, is_batch: bool) -> None:
    gate = Gate()
    headers = {} if told is None else {"x-farmgate-priority": told}
    assert (await ask(gate, "POST", "/api/ai/chat", CHAT, headers)).status == 200
    assert gate.target.asked[0].is_batch is is_batch


async def test_a_class_that_there_is_not_is_refused() -> None:
    gate = Gate()
    call = await ask(gate, "POST", "/api/ai/chat", CHAT, {"x-farmgate-priority": "urgent"})
    assert (call.status, call.error["code"]) == (400, "invalid_value")
    assert gate.target.asked == []
