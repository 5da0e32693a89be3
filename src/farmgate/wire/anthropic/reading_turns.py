"""The words in the turns of a Messages request: blocks become parts, calls of tools, and answers to them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from farmgate.core.errors import InvalidType
from farmgate.core.words import (
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
from farmgate.wire.strictjson import encode

__all__ = ["Unsaid", "decode_cache", "decode_turn", "items", "text_or_none", "text_part"]

IDLE: tuple[object, ...] = (None, {"enabled": False}, {"type": "direct"}, {})


@dataclass(slots=True)
class Unsaid:
    """What blocks say that has no word: by the name it is announced under where it goes no further."""

    names: dict[str, object] = field(default_factory=dict)

    def beyond(self, fields: Mapping[str, object], known: Collection[str], what: str) -> None:
        """Note every field that is not among the known ones and asks for something."""
        for name, value in fields.items():
            if name not in known and value not in IDLE:
                self.names[f"{what}.{name}"] = value

    def mark(self, block: Mapping[str, object]) -> None:
        """Note a cache mark on a block whose word cannot bear one."""
        if (cache := block.get("cache_control")) is not None:
            self.names["cache_control"] = cache


def items(value: object) -> list[dict[str, object]]:
    """A list of objects that a rule has already checked."""
    return cast("list[dict[str, object]]", value)


def text_or_none(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidType(f"`{name}` must be a string.", param=name)
    return value


def decode_cache(told: object) -> CacheMark | None:
    if not isinstance(told, dict):
        return None
    ttl = told.get("ttl")
    return CacheMark(ttl=ttl if isinstance(ttl, str) else None)


def decode_turn(message: dict[str, object], where: str, unsaid: Unsaid) -> Iterator[Message]:
    """A turn as one message, or as several: each result of a tool is a message of its own."""
    role, content = Role(str(message["role"])), message["content"]
    if isinstance(content, str):
        yield Message(role=role, content=content, place=where)
        return
    parts: list[ContentPart] = []
    uses: list[ToolUse] = []
    has_said = False
    for at, block in enumerate(items(content)):
        kind = block["type"]
        if kind == "tool_use":
            uses.append(decode_use(block, unsaid))
        elif kind == "tool_result":
            if parts:
                yield Message(role=role, content=tuple(parts), place=where)
                parts = []
            yield decode_result(block, f"{where}.content[{at}]", unsaid)
            has_said = True
        else:
            parts += decode_block(block, unsaid)
    if parts or uses or not has_said:
        told: Content = tuple(parts) if parts or not uses else None
        yield Message(role=role, content=told, tool_uses=tuple(uses), place=where)


def decode_use(block: dict[str, object], unsaid: Unsaid) -> ToolUse:
    unsaid.mark(block)
    unsaid.beyond(block, ("type", "id", "name", "input", "cache_control"), "tool_use")
    return ToolUse(id=str(block["id"]), name=str(block["name"]), arguments=encode(block["input"]).decode())


def decode_result(block: dict[str, object], where: str, unsaid: Unsaid) -> Message:
    """An answer to a call. Its cache mark is that of its last part."""
    unsaid.beyond(block, ("type", "tool_use_id", "content", "is_error", "cache_control"), "tool_result")
    told = block.get("content")
    if told is None or isinstance(told, str):
        content: Content = told or ""
    else:
        content = tuple(part for inner in items(told) for part in decode_block(inner, unsaid))
    cache = decode_cache(block.get("cache_control"))
    return Message(
        role=Role.TOOL,
        content=content if cache is None else marked(content, cache, block, unsaid),
        tool_call_id=str(block["tool_use_id"]),
        is_error=block.get("is_error") is True,
        place=where,
    )


def marked(content: Content, cache: CacheMark, block: dict[str, object], unsaid: Unsaid) -> Content:
    """The same content, its last part marked."""
    parts = (TextPart(text=content),) if isinstance(content, str) else content or ()
    if parts and isinstance(last := parts[-1], TextPart | ImagePart | FilePart):
        return (*parts[:-1], replace(last, cache=cache))
    unsaid.mark(block)
    return content


def decode_block(block: dict[str, object], unsaid: Unsaid) -> list[ContentPart]:
    """A block as parts; a document that is made of blocks is several."""
    match block["type"]:
        case "text":
            return [text_part(block, unsaid)]
        case "image":
            return [image_part(block, unsaid)]
        case "document":
            return document_parts(block, unsaid)
        case "thinking":
            return [ThinkingPart(text=str(block["thinking"]), signature=text_or_none(block, "signature") or None)]
        case "redacted_thinking":
            return [ThinkingPart(redacted=str(block["data"]))]
        case kind:
            return [OtherPart(kind=str(kind), data=block)]


def text_part(block: dict[str, object], unsaid: Unsaid) -> TextPart:
    unsaid.beyond(block, ("type", "text", "cache_control"), "text")
    return TextPart(text=str(block["text"]), cache=decode_cache(block.get("cache_control")))


def image_part(block: dict[str, object], unsaid: Unsaid) -> ContentPart:
    unsaid.beyond(block, ("type", "source", "cache_control"), "image")
    source = cast("dict[str, object]", block["source"])
    cache = decode_cache(block.get("cache_control"))
    if source["type"] == "base64":
        return ImagePart(url=f"data:{source['media_type']};base64,{source['data']}", cache=cache)
    if source["type"] == "url":
        return ImagePart(url=str(source["url"]), cache=cache)
    return OtherPart(kind="image", data=block)


def document_parts(block: dict[str, object], unsaid: Unsaid) -> list[ContentPart]:
    """What its author says about a document goes in front of it, as text."""
    unsaid.beyond(block, ("type", "source", "title", "context", "cache_control"), "document")
    source = cast("dict[str, object]", block["source"])
    file = FilePart(name=text_or_none(block, "title"), cache=decode_cache(block.get("cache_control")))
    context = text_or_none(block, "context")
    about: list[ContentPart] = [TextPart(text=context)] if context else []
    match source["type"]:
        case "base64":
            return [*about, replace(file, data=str(source["data"]), media_type=str(source["media_type"]))]
        case "text":
            return [*about, replace(file, text=str(source["data"]), media_type="text/plain")]
        case "url":
            return [*about, replace(file, url=str(source["url"]))]
        case "file":
            return [*about, replace(file, id=str(source["file_id"]))]
        case "content":
            return [*about, *inner_parts(source["content"], file, unsaid)]
        case _:
            return [OtherPart(kind="document", data=block)]


def inner_parts(content: object, file: FilePart, unsaid: Unsaid) -> list[ContentPart]:
    """A document that is text is one part; one with images in it is what it is made of, under its title."""
    if isinstance(content, str):
        return [replace(file, text=content, media_type="text/plain")]
    parts = [part for block in items(content) for part in decode_block(block, unsaid)]
    if parts and all(isinstance(part, TextPart) for part in parts):
        text = "\n".join(cast("TextPart", part).text for part in parts)
        return [replace(file, text=text, media_type="text/plain")]
    if parts and file.cache and isinstance(last := parts[-1], TextPart | ImagePart | FilePart):
        parts[-1] = replace(last, cache=file.cache)
    return [TextPart(text=file.name), *parts] if file.name else parts
