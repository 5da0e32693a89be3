"""Ollama's messages and tools: arguments are objects, images are base64, text is one string."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from farmgate.core.errors import UnsupportedParameter
from farmgate.core.words import (
    AudioPart,
    Content,
    ContentPart,
    FilePart,
    HostedTool,
    ImagePart,
    Message,
    OtherPart,
    Role,
    TextPart,
    ThinkingPart,
    Tool,
    ToolUse,
    parts_of,
)
from farmgate.wire.calls import arguments_of
from farmgate.wire.inline import inline_of
from farmgate.wire.losses import Losses

__all__ = ["encode_messages", "encode_tool"]

KINDS = {AudioPart: "input_audio", FilePart: "file"}


def encode_messages(messages: Iterable[Message], losses: Losses) -> list[dict[str, object]]:
    """A conversation. Raises a BadRequest that names the message for what Ollama has no form for."""
    told: list[dict[str, object]] = []
    called: dict[str, str] = {}
    for at, message in enumerate(messages):
        called |= {use.id: use.name for use in message.tool_uses}
        told.append(encode_message(message, message.place or f"messages[{at}]", called, losses))
    return told


def encode_message(message: Message, where: str, called: Mapping[str, str], losses: Losses) -> dict[str, object]:
    """One turn; `called` names the tool of every call so far, because Ollama's templates go by names, not by ids."""
    role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
    told: dict[str, object] = {"role": role, "content": text_of(message.content)}
    losses.drop_if(message.is_error, "is_error")
    if thought := thought_in(message.content):
        told["thinking"] = thought
    for part in parts_of(message.content):
        if isinstance(part, TextPart | ImagePart | FilePart):
            losses.drop_if(part.cache, "cache_control")
        elif isinstance(part, ThinkingPart):
            losses.drop_if(part.signature or part.redacted, "thinking.signature")
    if images := images_of(message.content, where):
        told["images"] = images
    if message.tool_uses:
        told["tool_calls"] = [encode_tool_use(use, at, where) for at, use in enumerate(message.tool_uses)]
    if role is Role.TOOL:
        answered = message.tool_call_id or ""
        if answered:
            told["tool_call_id"] = answered
        if name := message.name or called.get(answered):
            told["tool_name"] = name
    return told


def text_of(content: Content) -> str:
    """All text of a message. Parts become lines, as other servers join them for templates that know only strings."""
    parts = parts_of(content)
    return "\n".join(part.text for part in parts if isinstance(part, TextPart | FilePart) and part.text is not None)


def thought_in(content: Content) -> str:
    """What the assistant thought in an earlier turn."""
    return "\n".join(part.text for part in parts_of(content) if isinstance(part, ThinkingPart) and part.text)


def images_of(content: Content, where: str) -> list[str]:
    """The base64 of every image of a message."""
    found = [encode_image(part, f"{where}.content[{at}]") for at, part in enumerate(parts_of(content))]
    return [image for image in found if image is not None]


def encode_image(part: ContentPart, where: str) -> str | None:
    """An image's base64; None for text. Nothing a caller sends makes Farmgate fetch an address."""
    match part:
        case TextPart() | ThinkingPart():
            return None
        case FilePart() if part.text is not None:
            return None
        case ImagePart():
            if (held := inline_of(part.url)) is not None:
                return held.base64
            raise UnsupportedParameter(
                f"`{where}`: send the image itself, as `data:image/...;base64,...`. Farmgate fetches no addresses.",
                param=where,
            )
        case AudioPart() | FilePart() | OtherPart():
            kind = part.kind[:40] if isinstance(part, OtherPart) else KINDS[type(part)]
            raise UnsupportedParameter(f"`{where}`: Ollama takes text and images, not `{kind}`.", param=where)
        case _:
            assert_never(part)


def encode_tool_use(use: ToolUse, at: int, where: str) -> dict[str, object]:
    arguments = arguments_of(use, f"{where}.tool_calls[{at}]")
    return {"id": use.id, "function": {"index": at, "name": use.name, "arguments": arguments}}


def encode_tool(tool: Tool | HostedTool, where: str, losses: Losses) -> dict[str, object]:
    """A function the model may call. Ollama wants a schema even where there is nothing to pass."""
    if isinstance(tool, HostedTool):
        raise losses.refuse_tool(tool, where)
    losses.drop_if(tool.strict, "tools[].function.strict")
    losses.drop_if(tool.cache, "cache_control")
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    function: dict[str, object] = {"name": tool.name, "description": tool.description or "", "parameters": parameters}
    return {"type": "function", "function": function}
