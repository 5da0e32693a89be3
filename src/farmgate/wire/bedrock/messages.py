"""Converse's messages: turns alternate, system texts stand apart, and tool results are the user's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
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
from farmgate.wire.bedrock.documents import Documents
from farmgate.wire.inline import inline_of
from farmgate.wire.losses import Losses

__all__ = ["Conversation", "cache_point", "converse_id", "encode_messages"]

Block = dict[str, object]

IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
SOUNDS = frozenset({"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "m4a", "mpeg", "mpga", "pcm", "webm"})
DEFAULT_TTL = "5m"
KNOWN_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")


@dataclass(slots=True)
class Conversation:
    """What Converse takes a conversation apart into. `has_tools`: tools were used in it."""

    system: list[Block] = field(default_factory=list)
    messages: list[dict[str, object]] = field(default_factory=list)
    has_tools: bool = False

    def add(self, role: Role, blocks: list[Block]) -> None:
        """Turns of one side that follow each other are one turn here."""
        if not blocks:
            return
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == role:
            said = last["content"]
            assert isinstance(said, list)
            said.extend(blocks)
        else:
            self.messages.append({"role": role, "content": blocks})


def encode_messages(messages: Iterable[Message], losses: Losses) -> Conversation:
    """A conversation. Raises a BadRequest that names the message for what Converse has no form for."""
    told = Conversation()
    documents = Documents()
    for at, message in enumerate(messages):
        where = message.place or f"messages[{at}]"
        losses.drop_if(None if message.role is Role.TOOL else message.name, "messages[].name")
        match message.role:
            case Role.SYSTEM | Role.DEVELOPER:
                if told.messages:
                    # Converse takes system texts in front only: said later, they now weigh on the whole.
                    losses.drop("messages[].role")
                told.system += system_blocks(message.content, where, losses)
            case Role.USER:
                blocks = content_blocks(message.content, where, losses, documents)
                if not blocks:
                    raise InvalidMessages(f"`{where}.content` is empty: Bedrock takes no empty message.", param=where)
                told.add(Role.USER, blocks)
            case Role.ASSISTANT:
                blocks = content_blocks(message.content, where, losses, documents)
                blocks += [
                    encode_tool_use(use, f"{where}.tool_calls[{n}]", losses) for n, use in enumerate(message.tool_uses)
                ]
                told.has_tools = told.has_tools or bool(message.tool_uses)
                told.add(Role.ASSISTANT, blocks)
            case Role.TOOL:
                told.has_tools = True
                told.add(Role.USER, tool_result(message, where, losses, documents))
            case _:
                assert_never(message.role)
    return told


def converse_id(id: str) -> str:
    """A tool call's id as Converse allows it: others' are longer or hold other signs. The same for the same, always."""
    return id if KNOWN_ID.fullmatch(id) else "call_" + hashlib.sha256(id.encode()).hexdigest()[:32]


def cache_point(mark: CacheMark | None, losses: Losses) -> list[Block]:
    """What follows a block up to which the prompt should be cached."""
    if mark is None:
        return []
    if mark.ttl in (None, DEFAULT_TTL):
        return [{"cachePoint": {"type": "default"}}]
    if mark.ttl == "1h":
        return [{"cachePoint": {"type": "default", "ttl": "1h"}}]
    losses.drop("cache_control.ttl")
    return [{"cachePoint": {"type": "default"}}]


def system_blocks(content: Content, where: str, losses: Losses) -> list[Block]:
    blocks: list[Block] = []
    for at, part in enumerate(parts_of(content)):
        if not isinstance(part, TextPart):
            raise losses.refuse(f"{where}.content[{at}]", "its system texts are text")
        if part.text.strip():
            blocks += [{"text": part.text}, *cache_point(part.cache, losses)]
    return blocks


def parts_of(content: Content) -> tuple[ContentPart, ...]:
    if content is None:
        return ()
    return (TextPart(text=content),) if isinstance(content, str) else content


def content_blocks(content: Content, where: str, losses: Losses, documents: Documents) -> list[Block]:
    """The blocks of a turn. Blank texts say nothing, and Converse refuses them."""
    blocks: list[Block] = []
    for at, part in enumerate(parts_of(content)):
        blocks += encode_part(part, f"{where}.content[{at}]", losses, documents)
    return blocks


def encode_part(part: ContentPart, where: str, losses: Losses, documents: Documents) -> list[Block]:
    match part:
        case TextPart():
            return [{"text": part.text}, *cache_point(part.cache, losses)] if part.text.strip() else []
        case ImagePart():
            losses.drop_if(None if part.detail == "auto" else part.detail, "image_url.detail")
            return [{"image": encode_image(part, where, losses)}, *cache_point(part.cache, losses)]
        case AudioPart():
            if part.format not in SOUNDS:
                raise losses.refuse(where, f"it knows no sound of the kind `{part.format[:40]}`")
            return [{"audio": {"format": part.format, "source": {"bytes": part.data}}}]
        case FilePart():
            return [{"document": documents.encode(part, where, losses)}, *cache_point(part.cache, losses)]
        case ThinkingPart():
            return encode_thinking(part, losses)
        case OtherPart():
            raise losses.refuse(where, f"it has no part of the kind `{part.kind[:40]}`")
        case _:
            assert_never(part)


def encode_thinking(part: ThinkingPart, losses: Losses) -> list[Block]:
    """Only what this provider thought is given back: it refuses thoughts that lack its own proof."""
    if part.redacted is not None:
        return [{"reasoningContent": {"redactedContent": part.redacted}}]
    if part.signature is None:
        losses.drop("thinking")
        return []
    return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}]


def encode_image(part: ImagePart, where: str, losses: Losses) -> Block:
    """The image itself. An address is refused: Farmgate fetches none, and Bedrock would read the operator's S3."""
    held = inline_of(part.url)
    if held is None:
        raise losses.refuse(where, "send the image itself, as `data:image/...;base64,...`")
    if held.media_type not in IMAGES:
        raise losses.refuse(where, f"it takes PNG, JPEG, GIF and WebP, not `{held.media_type[:40]}`")
    return {"format": IMAGES[held.media_type], "source": {"bytes": held.base64}}


def encode_tool_use(use: ToolUse, where: str, losses: Losses) -> Block:
    losses.drop_if(use.signature, "tool_calls[].signature")
    try:
        arguments: object = msgspec.json.decode(use.arguments) if use.arguments.strip() else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        place = f"{where}.function.arguments"
        raise InvalidMessages(f"`{place}` must be the text of a JSON object.", param=place)
    return {"toolUse": {"toolUseId": converse_id(use.id), "name": use.name, "input": arguments}}


def tool_result(message: Message, where: str, losses: Losses, documents: Documents) -> list[Block]:
    """A tool's answer. What it may hold is text, images and documents; a cache mark in it stands behind it."""
    inside: list[Block] = []
    behind: list[Block] = []
    for block in content_blocks(message.content, where, losses, documents):
        if "audio" in block or "reasoningContent" in block:
            raise losses.refuse(where, "a tool's answer is text, images and documents")
        (behind if "cachePoint" in block else inside).append(block)
    result: Block = {"toolUseId": converse_id(message.tool_call_id or ""), "content": inside}
    if message.is_error:
        result["status"] = "error"
    return [{"toolResult": result}, *behind[-1:]]
