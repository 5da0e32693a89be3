"""An event: which of its words somebody waits for, and which are bookkeeping."""

from __future__ import annotations

import pytest

from farmgate.core.event import Event, Finish, Part, Reasoning, Refusal, Text, ToolDelta, Usage, Vector


@pytest.mark.parametrize("part", [Text("a"), Reasoning("a"), Refusal("a"), ToolDelta(index=0), Vector((1.0,))])
def test_what_a_caller_waits_for_is_content(part: Part) -> None:
    assert Event((part,)).bears_content


@pytest.mark.parametrize("parts", [(), (Finish(),), (Usage(prompt_tokens=1),)])
def test_bookkeeping_is_no_content(parts: tuple[Part, ...]) -> None:
    assert not Event(parts).bears_content


def test_an_event_knows_the_usage_in_it() -> None:
    assert Event((Text("a"), Usage(prompt_tokens=3))).usage == Usage(prompt_tokens=3)
    assert Event((Text("a"),)).usage is None
    assert Usage(prompt_tokens=3, completion_tokens=4).total_tokens == 7
