"""The words in a Messages request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from farmgate.core.errors import InvalidValue, UnsupportedParameter
from farmgate.core.words import (
    Chat,
    FormatKind,
    HostedTool,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
)
from farmgate.wire.anthropic.reading_turns import Unsaid, decode_cache, decode_turn, items, text_or_none, text_part

__all__ = ["ThreadUnsupported", "decode_chat"]

# What there is a word for; anything else travels in `extra`.
WORDS = frozenset(
    (
        *("model", "stream", "messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences"),
        *("tools", "tool_choice", "thinking", "output_config", "output_format", "metadata"),
    )
)
TOOL_WORDS = ("type", "name", "description", "input_schema", "strict", "cache_control")
MODES = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED, "tool": ToolMode.NAMED, "none": ToolMode.NONE}
EXTENDED = ("enabled", "adaptive")


class ThreadUnsupported(UnsupportedParameter):
    """Only Anthropic keeps a thread: send the whole conversation, without `thread`."""

    # Anthropic's own, by which its SDKs know that they can do so.
    code = "thread_unsupported_request"


def decode_chat(fields: Mapping[str, object]) -> Chat:
    """A checked body as words. What its blocks say beyond them is named in `extra`, as `document.citations`."""
    if fields.get("thread") is not None:
        raise ThreadUnsupported(param="thread")
    unsaid = Unsaid()
    messages = [*decode_system(fields.get("system"), unsaid)]
    for at, message in enumerate(items(fields["messages"])):
        messages += decode_turn(message, f"messages[{at}]", unsaid)
    config = cast("dict[str, object]", fields.get("output_config") or {})
    choice = cast("dict[str, object] | None", fields.get("tool_choice"))
    user = cast("dict[str, object]", fields.get("metadata") or {})
    unsaid.beyond(config, ("effort", "format"), "output_config")
    unsaid.beyond(user, ("user_id",), "metadata")
    return Chat(
        messages=tuple(messages),
        sampling=decode_sampling(fields),
        tools=tuple(decode_tool(tool, unsaid) for tool in items(fields.get("tools") or ())),
        tool_choice=None if choice is None else decode_tool_choice(choice),
        parallel_tools=None if choice is None else decode_parallel(choice),
        response_format=decode_format(config.get("format") or fields.get("output_format")),
        thinking=decode_thinking(fields.get("thinking"), config.get("effort")),
        user=cast("str | None", user.get("user_id")),
        extra={name: value for name, value in fields.items() if name not in WORDS} | unsaid.names,
    )


def decode_system(told: object, unsaid: Unsaid) -> list[Message]:
    if not told:
        return []
    content = told if isinstance(told, str) else tuple(text_part(block, unsaid) for block in items(told))
    return [Message(role=Role.SYSTEM, content=content, place="system")]


def decode_sampling(fields: Mapping[str, object]) -> Sampling:
    most = fields.get("max_tokens")
    if most == 0:
        raise InvalidValue("`max_tokens` must be at least 1: only Anthropic warms a cache with 0.", param="max_tokens")
    top_k = fields.get("top_k")
    return Sampling(
        temperature=cast("float | None", fields.get("temperature")),
        top_p=cast("float | None", fields.get("top_p")),
        top_k=None if top_k is None else int(cast("float", top_k)),
        max_tokens=None if most is None else int(cast("float", most)),
        stop=tuple(cast("list[str]", fields.get("stop_sequences") or ())),
    )


def decode_tool(tool: dict[str, object], unsaid: Unsaid) -> Tool | HostedTool:
    if tool.get("type") not in (None, "custom"):
        return HostedTool(kind=str(tool["type"]), data=tool)
    unsaid.beyond(tool, TOOL_WORDS, "tools[]")
    strict = tool.get("strict")
    return Tool(
        name=str(tool["name"]),
        description=text_or_none(tool, "description"),
        parameters=cast("Mapping[str, object]", tool["input_schema"]),
        strict=strict if isinstance(strict, bool) else None,
        cache=decode_cache(tool.get("cache_control")),
    )


def decode_tool_choice(told: dict[str, object]) -> ToolChoice:
    mode = MODES[str(told["type"])]
    return ToolChoice(mode=mode, name=str(told["name"]) if mode is ToolMode.NAMED else None)


def decode_parallel(choice: dict[str, object]) -> bool | None:
    disabled = choice.get("disable_parallel_tool_use")
    return None if disabled is None else not disabled


def decode_format(told: object) -> ResponseFormat | None:
    """Its answers always follow the schema, which others call strict."""
    if told is None:
        return None
    schema = cast("dict[str, dict[str, object]]", told)["schema"]
    return ResponseFormat(kind=FormatKind.SCHEMA, schema=schema, strict=True)


def decode_thinking(told: object, effort: object) -> Thinking | None:
    word = cast("str | None", effort)
    if told is None:
        return None if word is None else Thinking(effort=word)
    config = cast("dict[str, object]", told)
    kind = config["type"]
    if kind == "disabled":
        return Thinking(is_enabled=False, effort=word)
    if kind not in EXTENDED:
        raise UnsupportedParameter(
            f"`thinking.type`: this provider knows {', '.join(EXTENDED)} and disabled.", param="thinking.type"
        )
    budget, display = config.get("budget_tokens"), config.get("display")
    return Thinking(
        is_enabled=True,
        effort=word,
        budget_tokens=int(cast("float", budget)) if kind == "enabled" else None,
        is_shown=None if display is None else display != "omitted",
    )
