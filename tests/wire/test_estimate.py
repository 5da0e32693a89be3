"""How many tokens a conversation may be where nobody counts them."""

from __future__ import annotations

from typing import Any

from farmgate.core.words import (
    AudioPart,
    Chat,
    FilePart,
    HostedTool,
    ImagePart,
    Message,
    OtherPart,
    Role,
    TextPart,
    Tool,
    ToolUse,
)
from farmgate.wire.estimate import estimate


def test_an_estimate_counts_what_is_said() -> None:
    def of(*parts: Any, **more: Any) -> int:
        return estimate(Chat(messages=(Message(role=Role.USER, content=parts),), **more))

    assert of(TextPart(text="x" * 400)) == 104
    assert of(ImagePart(url="data:image/png;base64," + "A" * 99_999)) == 1_604
    assert of(FilePart(data="A" * 4_000), FilePart(text="x" * 40)) == 114
    assert of(AudioPart(data="A" * 400, format="wav"), OtherPart(kind="x", data={"a": "b" * 32})) == 24
    assert of(tools=(Tool(name="f", description="d" * 80),)) > 20
    assert of(tools=(HostedTool(kind="x", data={"a": "b" * 80}),)) > 20
    use = ToolUse(id="c", name="ffff", arguments="x" * 36)
    assert estimate(Chat(messages=(Message(role=Role.ASSISTANT, tool_uses=(use,)),))) == 14
    assert estimate(Chat(messages=())) == 1
