"""The words in Responses requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from farmgate.wire.responses.items import Item, Placed, messages_of

__all__ = ["decode_words"]

# What there is a word for, or what is answered here and not by the provider; anything else travels in `extra`.
KNOWN = frozenset(
    (
        *("model", "input", "instructions", "stream", "stream_options", "store", "background", "metadata", "user"),
        *("previous_response_id", "conversation", "temperature", "top_p", "top_logprobs", "max_output_tokens"),
        *("tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "include"),
    )
)
LOGPROBS = "message.output_text.logprobs"
INCLUDED = frozenset({LOGPROBS, "reasoning.encrypted_content"})
"""What `include` may ask for and we answer ourselves."""
TOOL_HINTS = ("defer_loading", "allowed_callers", "output_schema", "async")


def decode_words(fields: Mapping[str, object], items: Iterable[Placed]) -> Chat:
    """A checked body as words. `items`: its input with everything that was said before. Raises a BadRequest."""
    if fields.get("prompt") is not None:
        raise UnsupportedParameter("`prompt`: this provider keeps no prompts: send the text itself.", param="prompt")
    told = cast("list[Item]", fields.get("tools") or [])
    tools = tuple(decode_tool(tool) for tool in told)
    choice, allowed = decode_choice(fields.get("tool_choice"))
    if allowed is not None:
        tools = tuple(tool for tool in tools if isinstance(tool, Tool) and tool.name in allowed)
    placed = list(items)
    instructions = fields.get("instructions")
    before = (
        () if instructions is None else (Message(role=Role.SYSTEM, content=str(instructions), place="instructions"),)
    )
    return Chat(
        messages=(*before, *messages_of(placed)),
        sampling=decode_sampling(fields),
        tools=tools,
        tool_choice=choice,
        parallel_tools=cast("bool | None", fields.get("parallel_tool_calls")),
        response_format=decode_format(fields.get("text")),
        thinking=decode_reasoning(fields.get("reasoning")),
        user=cast("str | None", fields.get("user")),
        extra=decode_extra(fields, placed, told),
    )


def decode_extra(fields: Mapping[str, object], placed: list[Placed], tools: list[Item]) -> dict[str, object]:
    """What there is no word for, under the names a caller knows it by."""
    extra = {name: value for name, value in fields.items() if name not in KNOWN and value is not None}
    text = cast("Mapping[str, object]", fields.get("text") or {})
    reasoning = cast("Mapping[str, object]", fields.get("reasoning") or {})
    options = cast("Mapping[str, object]", fields.get("stream_options") or {})
    include = [wanted for wanted in cast("list[str]", fields.get("include") or []) if wanted not in INCLUDED]
    beside = {
        "verbosity": text.get("verbosity"),
        "reasoning.mode": reasoning.get("mode"),
        "reasoning.context": reasoning.get("context"),
        "include": include or None,
        "stream_options.include_obfuscation": options.get("include_obfuscation") or None,
        "phase": next((one.item["phase"] for one in placed if one.item.get("phase") is not None), None),
    }
    hints = {f"tools[{at}].{hint}": tool.get(hint) for at, tool in enumerate(tools) for hint in TOOL_HINTS}
    return extra | {name: value for name, value in (beside | hints).items() if value is not None}


def decode_tool(tool: Item) -> Tool | HostedTool:
    if tool["type"] != "function":
        return HostedTool(kind=str(tool["type"]), data=tool)
    description, strict = tool.get("description"), tool.get("strict")
    return Tool(
        name=str(tool["name"]),
        description=description if isinstance(description, str) else None,
        parameters=cast("Mapping[str, object]", tool.get("parameters") or {}),
        strict=strict if isinstance(strict, bool) else None,
    )


def decode_choice(choice: object) -> tuple[ToolChoice | None, frozenset[str] | None]:
    """How tools are chosen, and which of them may be where not all of them may. Raises InvalidValue."""
    if choice is None:
        return None, None
    if isinstance(choice, str) and choice in ("auto", "none", "required"):
        return ToolChoice(mode=ToolMode(choice)), None
    told = choice if isinstance(choice, dict) else {}
    name, kind = told.get("name"), told.get("type")
    if kind == "function" and isinstance(name, str):
        return ToolChoice(mode=ToolMode.NAMED, name=name), None
    if kind == "allowed_tools":
        return decode_allowed(told)
    if isinstance(kind, str) and kind != "function":
        told_kind = f"`tool_choice`: this provider has no tool of the kind {kind[:40]!r}."
        raise UnsupportedParameter(told_kind, param="tool_choice")
    raise InvalidValue("`tool_choice` must be `auto`, `none`, `required` or name a function.", param="tool_choice")


def decode_allowed(choice: Mapping[str, object]) -> tuple[ToolChoice, frozenset[str]]:
    """A choice among some of the tools."""
    mode, tools = choice.get("mode", "auto"), choice.get("tools")
    if mode not in ("auto", "required"):
        raise InvalidValue("`tool_choice.mode` must be `auto` or `required`.", param="tool_choice.mode")
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InvalidValue("`tool_choice.tools` must be a list of tools.", param="tool_choice.tools")
    for tool in tools:
        if tool.get("type") != "function":
            told = "`tool_choice.tools`: this provider's tools are functions."
            raise UnsupportedParameter(told, param="tool_choice.tools")
    return ToolChoice(mode=ToolMode(str(mode))), frozenset(str(tool.get("name")) for tool in tools)


def decode_format(text: object) -> ResponseFormat | None:
    told = text.get("format") if isinstance(text, dict) else None
    if not isinstance(told, dict):
        return None
    if told["type"] != "json_schema":
        return ResponseFormat(kind=FormatKind.TEXT if told["type"] == "text" else FormatKind.JSON)
    strict = told.get("strict")
    return ResponseFormat(
        kind=FormatKind.SCHEMA,
        schema=told["schema"],
        name=told.get("name") or "answer",
        description=told.get("description"),
        strict=strict if isinstance(strict, bool) else None,
    )


def decode_reasoning(reasoning: object) -> Thinking | None:
    told = reasoning if isinstance(reasoning, dict) else {}
    effort = told.get("effort")
    summary = told.get("summary") or told.get("generate_summary")
    if effort is None and summary is None:
        return None
    return Thinking(
        is_enabled=None if effort is None else effort != "none", effort=effort, is_shown=True if summary else None
    )


def decode_sampling(fields: Mapping[str, object]) -> Sampling:
    most = fields.get("max_output_tokens")
    alternatives = int(cast("float", fields.get("top_logprobs") or 0))
    asked = LOGPROBS in cast("list[str]", fields.get("include") or [])
    return Sampling(
        temperature=cast("float | None", fields.get("temperature")),
        top_p=cast("float | None", fields.get("top_p")),
        max_tokens=None if most is None else int(cast("float", most)),
        top_logprobs=alternatives if asked or alternatives else None,
    )
