"""The turns of a conversation as Anthropic's: the system's words apart, results of tools in the user's turn."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Mapping
from typing import assert_never

import msgspec

from farmgate.core.errors import InvalidMessages
from farmgate.core.words import (
    AudioPart,
    CacheMark,
    Content,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    OtherPart,
    Role,
    TextPart,
    ThinkingPart,
    ToolUse,
)
from farmgate.wire.losses import Losses

__all__ = ["encode_cache", "encode_turns"]

Fields = dict[str, object]
ID = re.compile(r"[a-zA-Z0-9_-]{1,256}")
STRANGE = re.compile(r"[^a-zA-Z0-9_-]")


def encode_turns(messages: tuple[Message, ...], losses: Losses, *, is_own: bool) -> tuple[object, list[Fields]]:
    """The system prompt (None where there is none) and the turns. `is_own`: other parts are in Anthropic's form.

    A system message within the conversation goes to the others at its head, which is announced: few models know any
    other place for it.
    """
    system: list[Message] = []
    turns: list[Fields] = []
    for at, message in enumerate(messages):
        where = message.place or f"messages[{at}]"
        losses.drop_if(message.name, "messages[].name")
        if message.role in (Role.SYSTEM, Role.DEVELOPER):
            if turns:
                losses.drop(f"{where}.role")
            system.append(message)
        elif message.role is Role.TOOL:
            add_result(turns, result_of(message, where, losses, is_own=is_own))
        elif (turn := turn_of(message, where, losses, is_own=is_own)) is not None:
            turns.append(turn)
    return encode_system(system, losses), turns


def encode_system(messages: list[Message], losses: Losses) -> object:
    if len(messages) == 1 and isinstance(messages[0].content, str):
        return messages[0].content or None
    told: list[object] = []
    for message in messages:
        for at, part in enumerate(parts_of(message.content)):
            if not isinstance(part, TextPart):
                raise losses.refuse(f"{message.place or 'messages[0]'}.content[{at}]", "its system prompts are text")
            if part.text:
                told.append(text_block(part))
    return told or None


def parts_of(content: Content) -> tuple[ContentPart, ...]:
    if content is None or isinstance(content, str):
        return (TextPart(text=content),) if content else ()
    return content


def turn_of(message: Message, where: str, losses: Losses, *, is_own: bool) -> Fields | None:
    """One turn; None for an assistant's that says nothing, which Anthropic refuses."""
    is_assistant = message.role is Role.ASSISTANT
    losses.drop_if(message.is_error, "is_error")
    if isinstance(message.content, str) and not message.tool_uses:
        said = message.content
        return {"role": message.role, "content": said} if said or not is_assistant else None
    blocks = [
        block
        for at, part in enumerate(parts_of(message.content))
        for block in encode_part(part, f"{where}.content[{at}]", losses, is_own=is_own)
    ]
    for at, use in enumerate(message.tool_uses):
        blocks.append(encode_use(use, f"{where}.tool_calls[{at}]", losses))
    return {"role": message.role, "content": blocks} if blocks or not is_assistant else None


def add_result(turns: list[Fields], result: Fields) -> None:
    """Results of one turn's calls belong into one turn."""
    last = turns[-1]["content"] if turns and turns[-1]["role"] == Role.USER else None
    if isinstance(last, list) and last and last[0].get("type") == "tool_result":
        last.append(result)
    else:
        turns.append({"role": Role.USER, "content": [result]})


def result_of(message: Message, where: str, losses: Losses, *, is_own: bool) -> Fields:
    """An answer to a call. A mark on its last part is the result's own: Anthropic takes none within."""
    told: Fields = {"type": "tool_result", "tool_use_id": known_id(message.tool_call_id or "")}
    if isinstance(message.content, str):
        told |= {"content": message.content} if message.content else {}
    elif message.content is not None:
        inner = [
            block
            for at, part in enumerate(message.content)
            for block in encode_part(part, f"{where}.content[{at}]", losses, is_own=is_own)
        ]
        marks = [block.pop("cache_control") for block in inner if "cache_control" in block]
        told["content"] = inner
        if marks:
            told["cache_control"] = marks[-1]
    return told | ({"is_error": True} if message.is_error else {})


def known_id(id: str) -> str:
    """An id as Anthropic takes it. Others' may hold dots and colons; two that differ stay different."""
    if ID.fullmatch(id):
        return id
    return f"{STRANGE.sub('_', id)[:200]}_{zlib.crc32(id.encode()):08x}"


def encode_use(use: ToolUse, where: str, losses: Losses) -> Fields:
    losses.drop_if(use.signature, "thinking.signature")
    try:
        arguments: object = msgspec.json.decode(use.arguments) if use.arguments.strip() else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        place = f"{where}.function.arguments"
        raise InvalidMessages(f"`{place}` must be the text of a JSON object.", param=place)
    return {"type": "tool_use", "id": known_id(use.id), "name": use.name, "input": arguments}


def encode_part(part: ContentPart, where: str, losses: Losses, *, is_own: bool) -> list[Fields]:
    """A part as a block; none for what says nothing or cannot be given back."""
    match part:
        case TextPart():
            return [text_block(part)] if part.text else []
        case ImagePart():
            return [image_block(part, where, losses)]
        case FilePart():
            return [document_block(part, where, losses)]
        case ThinkingPart():
            return thinking_block(part, losses)
        case AudioPart():
            raise losses.refuse(where, "it does not hear")
        case OtherPart():
            if is_own:
                return [dict(part.data)]
            raise losses.refuse(where, f"it has no part of the kind `{part.kind[:40]}`")
        case _:
            assert_never(part)


def encode_cache(cache: CacheMark | None) -> Fields:
    if cache is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} | ({"ttl": cache.ttl} if cache.ttl else {})}


def text_block(part: TextPart) -> Fields:
    return {"type": "text", "text": part.text} | encode_cache(part.cache)


def thinking_block(part: ThinkingPart, losses: Losses) -> list[Fields]:
    """Thinking is given back only with its proof: Anthropic refuses any other."""
    if part.redacted is not None:
        return [{"type": "redacted_thinking", "data": part.redacted}]
    if not part.signature:
        losses.drop_if(part.text, "thinking")
        return []
    return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]


def image_block(part: ImagePart, where: str, losses: Losses) -> Fields:
    losses.drop_if(None if part.detail == "auto" else part.detail, "image_url.detail")
    source: Mapping[str, object] = {"type": "url", "url": part.url}
    if part.url[:5].lower() == "data:":
        head, _, data = part.url[5:].partition(",")
        media_type, semicolon, encoding = head.partition(";")
        if encoding.lower() != "base64" or not semicolon or not data:
            raise losses.refuse(where, "send an image as `data:image/...;base64,...`")
        source = {"type": "base64", "media_type": media_type.lower(), "data": data}
    return {"type": "image", "source": source} | encode_cache(part.cache)


def document_block(part: FilePart, where: str, losses: Losses) -> Fields:
    told: Fields = {"type": "document", "source": document_source(part, where, losses)}
    return told | ({"title": part.name} if part.name else {}) | encode_cache(part.cache)


def document_source(part: FilePart, where: str, losses: Losses) -> Fields:
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.id is not None:
        return {"type": "file", "file_id": part.id}
    if part.media_type == "application/pdf":
        return {"type": "base64", "media_type": part.media_type, "data": part.data or ""}
    if part.media_type.startswith("text/"):
        try:
            return {
                "type": "text",
                "media_type": "text/plain",
                "data": base64.b64decode(part.data or "", validate=True).decode(),
            }
        except (binascii.Error, ValueError):
            raise losses.refuse(where, "its text is not UTF-8 in base64") from None
    raise losses.refuse(where, "its documents are PDF or text")
