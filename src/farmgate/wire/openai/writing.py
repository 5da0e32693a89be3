"""Words as the fields of OpenAI's requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from farmgate.core.request import Dialect
from farmgate.core.words import (
    Ask,
    AudioPart,
    Chat,
    Complete,
    ContentPart,
    Embed,
    FilePart,
    FormatKind,
    HostedTool,
    ImagePart,
    Message,
    OtherPart,
    Rerank,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    Thinking,
    ThinkingPart,
    Tool,
    ToolChoice,
    ToolMode,
)
from farmgate.wire.losses import Losses
from farmgate.wire.thinking import effort_of

__all__ = ["encode_words", "present"]


ALSO_RESPONSES = frozenset(
    ("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "verbosity")
)
"""Fields without a word that the Responses API and this one call the same."""


def encode_words(words: Ask, losses: Losses, *, dialect: Dialect = Dialect.TYPED) -> dict[str, object]:
    """The fields of a body. `dialect`: whose names `words.extra` has; OpenAI's own and those typed by hand are kept.

    Raises UnsupportedParameter for what OpenAI's API cannot be told.
    """
    extra = dict(words.extra) if dialect in (Dialect.OPENAI, Dialect.TYPED) else {}
    if dialect is Dialect.RESPONSES:
        extra = {name: value for name, value in words.extra.items() if name in ALSO_RESPONSES}
    losses.leave(words.extra, known=extra)
    match words:
        case Chat():
            if dialect not in (Dialect.OPENAI, Dialect.TYPED):
                refuse_foreign(words, losses)
            return encode_chat(words, losses) | extra
        case Complete():
            told: dict[str, object] = {"prompt": words.prompt}
            optional = {"suffix": words.suffix, "user": words.user, "logprobs": words.sampling.top_logprobs}
            return told | encode_sampling(words.sampling) | present(optional) | extra
        case Embed():
            told = {"input": list(words.inputs), "encoding_format": "float"}
            return told | present({"dimensions": words.dimensions, "user": words.user}) | extra
        case Rerank():
            told = {"query": words.query, "documents": list(words.documents)}
            return told | present({"top_n": words.most}) | extra
        case _:
            assert_never(words)


def present(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that were said."""
    return {name: value for name, value in fields.items() if value is not None}


def refuse_foreign(words: Chat, losses: Losses) -> None:
    """Raise for a part that is written in another dialect."""
    for at, message in enumerate(words.messages):
        parts = message.content if isinstance(message.content, tuple) else ()
        for place, part in enumerate(parts):
            if isinstance(part, OtherPart):
                where = f"{message.place or f'messages[{at}]'}.content[{place}]"
                raise losses.refuse(where, f"it has no part of the kind `{part.kind[:40]}`")


def encode_chat(words: Chat, losses: Losses) -> dict[str, object]:
    messages = [
        told
        for at, message in enumerate(words.messages)
        for told in encode_message(message, message.place or f"messages[{at}]", losses)
    ]
    logprobs = words.sampling.top_logprobs
    optional = {
        "tools": [encode_tool(tool, f"tools[{at}]", losses) for at, tool in enumerate(words.tools)] or None,
        "tool_choice": None if words.tool_choice is None else encode_tool_choice(words.tool_choice),
        "parallel_tool_calls": words.parallel_tools,
        "response_format": None if words.response_format is None else encode_format(words.response_format),
        "reasoning_effort": encode_effort(words.thinking),
        "user": words.user,
        "logprobs": None if logprobs is None else True,
        "top_logprobs": logprobs or None,
    }
    return {"messages": messages} | encode_sampling(words.sampling) | present(optional)


def encode_sampling(sampling: Sampling) -> dict[str, object]:
    return present(
        {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop) or None,
            "seed": sampling.seed,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "n": sampling.count if sampling.count != 1 else None,
        }
    )


def encode_effort(thinking: Thinking | None) -> str | None:
    if thinking is None:
        return None
    if thinking.is_enabled is False:
        return "none"
    if thinking.effort is None and thinking.budget_tokens is not None:
        return effort_of(thinking.budget_tokens)
    return thinking.effort


def encode_tool_choice(choice: ToolChoice) -> object:
    if choice.mode is ToolMode.NAMED:
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def encode_format(wanted: ResponseFormat) -> dict[str, object]:
    match wanted.kind:
        case FormatKind.TEXT:
            return {"type": "text"}
        case FormatKind.JSON:
            return {"type": "json_object"}
        case FormatKind.SCHEMA:
            named = {"name": wanted.name, "description": wanted.description, "schema": dict(wanted.schema)}
            return {"type": "json_schema", "json_schema": present({**named, "strict": wanted.strict})}
        case _:
            assert_never(wanted.kind)


def encode_message(message: Message, where: str, losses: Losses) -> list[dict[str, object]]:
    """One turn. A tool's answer is text in this API: images in it follow as the user's."""
    content = message.content
    losses.drop_if(message.is_error, "is_error")
    losses.drop_if([use for use in message.tool_uses if use.signature], "thinking.signature")
    if content is None or isinstance(content, str):
        return [fields_of(message, content)]
    parts = [
        (encode_part(part, f"{where}.content[{at}]", losses), part)
        for at, part in enumerate(content)
        if not isinstance(part, ThinkingPart)
    ]
    if len(parts) < len(content):
        losses.drop("thinking")
    if message.role is not Role.TOOL:
        return [fields_of(message, [told for told, _ in parts] if parts or not content else None)]
    text = [told for told, part in parts if isinstance(part, TextPart)]
    others = [told for told, part in parts if not isinstance(part, TextPart)]
    after: list[dict[str, object]] = [{"role": Role.USER, "content": others}] if others else []
    return [fields_of(message, text or ""), *after]


def fields_of(message: Message, content: object) -> dict[str, object]:
    uses = [
        {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}
        for use in message.tool_uses
    ]
    told: dict[str, object] = {"role": message.role, "content": content}
    return told | present({"name": message.name, "tool_calls": uses or None, "tool_call_id": message.tool_call_id})


def encode_part(part: ContentPart, where: str, losses: Losses) -> Mapping[str, object]:
    match part:
        case TextPart():
            losses.drop_if(part.cache, "cache_control")
            return {"type": "text", "text": part.text}
        case ImagePart():
            losses.drop_if(part.cache, "cache_control")
            return {"type": "image_url", "image_url": present({"url": part.url, "detail": part.detail})}
        case AudioPart():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case FilePart():
            losses.drop_if(part.cache, "cache_control")
            return encode_file(part, where, losses)
        case ThinkingPart():
            raise AssertionError("thinking is left out before")
        case OtherPart():
            return part.data
        case _:
            assert_never(part)


def encode_file(part: FilePart, where: str, losses: Losses) -> Mapping[str, object]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    if part.url is not None:
        raise losses.refuse(where, "its documents are sent whole, as base64")
    data = None if part.data is None else f"data:{part.media_type};base64,{part.data}"
    named = {"file_data": data, "file_id": part.id, "filename": part.name or ("document" if data else None)}
    return {"type": "file", "file": present(named)}


def encode_tool(tool: Tool | HostedTool, where: str, losses: Losses) -> Mapping[str, object]:
    if isinstance(tool, HostedTool):
        raise losses.refuse(where, f"it has no tool of the kind `{tool.kind[:40]}`")
    losses.drop_if(tool.cache, "cache_control")
    parameters = dict(tool.parameters) or None
    function = {"name": tool.name, "description": tool.description, "parameters": parameters, "strict": tool.strict}
    return {"type": "function", "function": present(function)}
