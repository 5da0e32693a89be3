"""What the demo does with tools, and with a form an answer must have: it follows rules, for want of a model.

The first rule is that an agent's loop comes to an end: once a tool has answered, the demo passes that on.
"""

from __future__ import annotations

import json
from typing import assert_never

from farmgate.core.words import Chat, FormatKind, HostedTool, Message, ResponseFormat, Role, Tool, ToolMode, ToolUse
from farmgate.providers.demo_values import value_for
from farmgate.wire.losses import Losses

__all__ = ["call_for", "check_tools", "formed", "results_of"]


def check_tools(chat: Chat, losses: Losses) -> None:
    """Raises UnsupportedParameter for a tool that a provider would have to run itself."""
    for place, tool in enumerate(chat.tools):
        if isinstance(tool, HostedTool):
            raise losses.refuse(f"tools[{place}]", f"it has no tool of the kind `{tool.kind[:40]}`")


def call_for(chat: Chat, said: str) -> ToolUse | None:
    """The call to make, when a user has just spoken and no tool has answered yet."""
    if not chat.messages or chat.messages[-1].role is not Role.USER or results_of(chat):
        return None
    tool = chosen(chat, said)
    if tool is None:
        return None
    made = value_for({"type": "object", **tool.parameters}, said)
    arguments = made if isinstance(made, dict) else {}
    earlier = sum(len(message.tool_uses) for message in chat.messages)
    return ToolUse(id=f"call_{earlier + 1}", name=tool.name, arguments=json.dumps(arguments))


def chosen(chat: Chat, said: str) -> Tool | None:
    """The tool the caller chose; else the first whose name is among the words; else the first."""
    tools = {tool.name: tool for tool in chat.tools if isinstance(tool, Tool)}
    choice = chat.tool_choice
    match choice.mode if choice else ToolMode.AUTO:
        case ToolMode.NONE:
            return None
        case ToolMode.NAMED:
            return tools.get(choice.name or "") if choice else None
        case ToolMode.AUTO | ToolMode.REQUIRED:
            named = (tool for name, tool in tools.items() if name in said)
            return next(named, next(iter(tools.values()), None))
        case mode:
            assert_never(mode)


def results_of(chat: Chat) -> tuple[Message, ...]:
    """What tools have said since the assistant last spoke in words.

    A client may add a user's message behind a result ("Now answer the question"), which is no new question.
    """
    latest: list[Message] = []
    for message in reversed(chat.messages):
        if message.role is Role.ASSISTANT and not message.tool_uses:
            break
        if message.role is Role.TOOL:
            latest.append(message)
    return tuple(reversed(latest))


def formed(form: ResponseFormat, said: str, text: str) -> str:
    """The answer in the form asked for: by the schema, or the text in an object where there is none."""
    match form.kind:
        case FormatKind.TEXT:
            return text
        case FormatKind.JSON:
            return json.dumps({"text": text})
        case FormatKind.SCHEMA:
            return json.dumps(value_for(form.schema, said))
        case kind:
            assert_never(kind)
