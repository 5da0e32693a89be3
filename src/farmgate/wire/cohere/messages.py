"""Cohere's messages. What an assistant says before it calls tools is called its plan there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from farmgate.core.words import (
    AudioPart,
    Content,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    OtherPart,
    Role,
    TextPart,
    ThinkingPart,
)
from farmgate.wire.losses import Losses

__all__ = ["encode_messages"]

Piece = dict[str, object]


def encode_messages(messages: Iterable[Message], losses: Losses) -> list[dict[str, object]]:
    """A conversation. Raises a BadRequest that names the message for what Cohere has no form for."""
    return [encode_message(message, message.place or f"messages[{at}]", losses) for at, message in enumerate(messages)]


def encode_message(message: Message, where: str, losses: Losses) -> dict[str, object]:
    losses.drop_if(None if message.role is Role.TOOL else message.name, "messages[].name")
    losses.drop_if(message.is_error, "is_error")
    match message.role:
        case Role.SYSTEM | Role.DEVELOPER:
            return {"role": "system", "content": encode_content(message.content, where, losses, only_text=True)}
        case Role.USER:
            return {"role": "user", "content": encode_content(message.content, where, losses)}
        case Role.TOOL:
            told = {"role": "tool", "tool_call_id": message.tool_call_id or ""}
            return told | {"content": encode_content(message.content, where, losses, only_text=True)}
        case Role.ASSISTANT:
            return encode_assistant(message, where, losses)
        case _:
            assert_never(message.role)


def encode_assistant(message: Message, where: str, losses: Losses) -> dict[str, object]:
    told: dict[str, object] = {"role": "assistant"}
    content = encode_content(message.content, where, losses, only_text=True)
    if not message.tool_uses:
        return told | {"content": content}
    pieces: list[Piece] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    plan = "".join(str(piece["text"]) for piece in pieces if piece["type"] == "text")
    thoughts = [piece for piece in pieces if piece["type"] == "thinking"]
    for use in message.tool_uses:
        losses.drop_if(use.signature, "tool_calls[].signature")
    told["tool_calls"] = [
        {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments or "{}"}}
        for use in message.tool_uses
    ]
    return told | ({"tool_plan": plan} if plan else {}) | ({"content": thoughts} if thoughts else {})


def encode_content(content: Content, where: str, losses: Losses, *, only_text: bool = False) -> str | list[Piece]:
    """Text, or pieces of it; `only_text`: who speaks shows no images."""
    if content is None or isinstance(content, str):
        return content or ""
    pieces = [encode_part(part, f"{where}.content[{at}]", losses, only_text) for at, part in enumerate(content)]
    return [piece for piece in pieces if piece is not None]


def encode_part(part: ContentPart, where: str, losses: Losses, only_text: bool) -> Piece | None:
    match part:
        case TextPart():
            losses.drop_if(part.cache, "cache_control")
            return {"type": "text", "text": part.text}
        case ThinkingPart():
            losses.drop_if(part.signature, "thinking.signature")
            if part.redacted is not None or not part.text:
                losses.drop("thinking")
                return None
            return {"type": "thinking", "thinking": part.text}
        case ImagePart() if not only_text:
            losses.drop_if(part.cache, "cache_control")
            image = {"url": part.url} | ({} if part.detail is None else {"detail": part.detail})
            return {"type": "image_url", "image_url": image}
        case FilePart() if part.text is not None:
            losses.drop_if(part.cache, "cache_control")
            return {"type": "text", "text": part.text}
        case FilePart():
            raise losses.refuse(where, "it takes documents as text")
        case ImagePart():
            raise losses.refuse(where, "only users show it images")
        case AudioPart():
            raise losses.refuse(where, "it hears nothing")
        case OtherPart():
            raise losses.refuse(where, f"it has no part of the kind `{part.kind[:40]}`")
        case _:
            assert_never(part)
