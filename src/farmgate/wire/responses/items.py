"""Items: what was said, called and thought before, read into messages and kept under ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from farmgate.core.errors import InvalidMessages, UnsupportedParameter
from farmgate.core.words import (
    AudioPart,
    CacheMark,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    Role,
    TextPart,
    ThinkingPart,
    ToolUse,
)
from farmgate.wire.responses.seal import SIGNED, open_seal

__all__ = ["Item", "Placed", "messages_of", "with_ids"]

Item: TypeAlias = Mapping[str, object]
PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


@dataclass(frozen=True, slots=True)
class Placed:
    """An item, and where the caller wrote it."""

    item: Item
    place: str


@dataclass(slots=True)
class Turn:
    """What an assistant thought, said and called before anybody else spoke: one message in words."""

    place: str
    parts: list[ContentPart] = field(default_factory=list)
    uses: list[ToolUse] = field(default_factory=list)
    has_spoken: bool = False

    def message(self) -> Message:
        content = plainly(tuple(self.parts)) or None
        return Message(role=Role.ASSISTANT, content=content, tool_uses=tuple(self.uses), place=self.place)


def messages_of(items: Iterable[Placed]) -> tuple[Message, ...]:
    """Items as messages. Raises InvalidMessages, and UnsupportedParameter for an item there is no word for."""
    reading = Reading()
    for placed in items:
        reading.read(placed)
    reading.end_turn()
    return tuple(reading.messages)


class Reading:
    """Reads items one after the other; what an assistant did in a row is gathered into one message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._turn: Turn | None = None
        self._calls: set[str] = set()

    def read(self, placed: Placed) -> None:
        item, place = placed.item, placed.place
        match item.get("type") or "message":
            case "message":
                self._message(item, place)
            case "function_call":
                use = function_call(item, place)
                self._calls.add(use.id)
                self._turn_at(place).uses.append(use)
            case "function_call_output":
                self._output(item, place)
            case "reasoning":
                self._turn_at(place).parts.append(thinking(item, place))
            case kind:
                told = f"`{place}`: this provider knows no items of the type {str(kind)[:40]!r}."
                raise UnsupportedParameter(told, param=place)

    def _message(self, item: Item, place: str) -> None:
        role = item.get("role")
        if role == "assistant":
            turn = self._turn
            if turn is not None and turn.has_spoken and not turn.uses:
                self.end_turn()
            turn = self._turn_at(place)
            turn.has_spoken = True
            turn.parts += spoken(item.get("content"), f"{place}.content")
            return
        if role not in ("user", "system", "developer"):
            told = f"`{place}.role` must be one of assistant, developer, system, user."
            raise InvalidMessages(told, param=f"{place}.role")
        self.end_turn()
        content = content_of(item.get("content"), f"{place}.content")
        self.messages.append(Message(role=Role(str(role)), content=content, place=place))

    def _output(self, item: Item, place: str) -> None:
        called = text_at(item, "call_id", place)
        if called not in self._calls:
            told = f"`{place}.call_id` answers no function call before it."
            raise InvalidMessages(told, param=f"{place}.call_id")
        self.end_turn()
        content = content_of(item.get("output"), f"{place}.output")
        self.messages.append(Message(role=Role.TOOL, content=content, tool_call_id=called, place=place))

    def _turn_at(self, place: str) -> Turn:
        if self._turn is None:
            self._turn = Turn(place)
        return self._turn

    def end_turn(self) -> None:
        """Somebody else speaks."""
        if self._turn is not None:
            self.messages.append(self._turn.message())
            self._turn = None


def text_at(item: Item, name: str, place: str) -> str:
    """A text that must be there."""
    value = item.get(name)
    if not isinstance(value, str):
        raise InvalidMessages(f"`{place}.{name}` must be a string.", param=f"{place}.{name}")
    return value


def text_or_none(item: Item, name: str, place: str) -> str | None:
    return None if item.get(name) is None else text_at(item, name, place)


def function_call(item: Item, place: str) -> ToolUse:
    return ToolUse(
        id=text_at(item, "call_id", place),
        name=text_at(item, "name", place),
        arguments=text_at(item, "arguments", place),
        signature=text_or_none(item, "signature", place),
    )


def thinking(item: Item, place: str) -> ThinkingPart:
    """A thought: its text as far as it was shown, and the provider's proof of it where it came through us.

    A proof that another gate or provider sealed says nothing to whoever reads words.
    """
    shown = [*pieces(item, "summary", place), *pieces(item, "content", place)]
    sealed = open_seal(text_or_none(item, "encrypted_content", place))
    if sealed is None:
        return ThinkingPart(text="\n\n".join(shown))
    kind, proof = sealed
    if kind == SIGNED:
        return ThinkingPart(text="\n\n".join(shown), signature=proof)
    return ThinkingPart(redacted=proof)


def pieces(item: Item, name: str, place: str) -> list[str]:
    """The texts of a thought."""
    parts = item.get(name)
    if parts is None:
        return []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise InvalidMessages(f"`{place}.{name}` must be a list of parts.", param=f"{place}.{name}")
    return [text_at(part, "text", f"{place}.{name}[{at}]") for at, part in enumerate(parts)]


def spoken(content: object, place: str) -> tuple[ContentPart, ...]:
    """What an assistant said."""
    told = content_of(content, place)
    return (TextPart(text=told),) if isinstance(told, str) else told


def content_of(content: object, place: str) -> str | tuple[ContentPart, ...]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidMessages(f"`{place}` must be text or a list of parts.", param=place)
    return plainly(tuple(part_of(part, f"{place}[{at}]") for at, part in enumerate(content)))


def plainly(parts: tuple[ContentPart, ...]) -> str | tuple[ContentPart, ...]:
    """A text alone as just that: some engines behind a chat know nothing else."""
    match parts:
        case (TextPart(text=text, cache=None),):
            return text
        case _:
            return parts


def part_of(part: object, place: str) -> ContentPart:
    if not isinstance(part, dict):
        raise InvalidMessages(f"`{place}` must be an object.", param=place)
    cache = None if part.get("prompt_cache_breakpoint") is None else CacheMark()
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return TextPart(text=text_at(part, "text", place), cache=cache)
        case "refusal":
            return TextPart(text=text_at(part, "refusal", place))
        case "input_image" if part.get("image_url") is not None:
            url, detail = text_at(part, "image_url", place), text_or_none(part, "detail", place)
            return ImagePart(url=url, detail=detail, cache=cache)
        case "input_file":
            return file_of(part, place, cache)
        case "input_audio" if isinstance(sound := part.get("input_audio"), dict):
            where = f"{place}.input_audio"
            return AudioPart(data=text_at(sound, "data", where), format=text_at(sound, "format", where))
        case kind:
            told = f"`{place}`: this provider cannot be given {str(kind)[:40]!r} in this form."
            raise UnsupportedParameter(told, param=place)


def file_of(part: Item, place: str, cache: CacheMark | None) -> FilePart:
    """A document: whole, by address or by a provider's id."""
    data = text_or_none(part, "file_data", place)
    url, told_id = text_or_none(part, "file_url", place), text_or_none(part, "file_id", place)
    if data is None and url is None and told_id is None:
        told = f"`{place}` needs `file_data`, `file_url` or `file_id`."
        raise InvalidMessages(told, param=place)
    head, comma, rest = (data or "").partition(",")
    return FilePart(
        data=rest if comma else data,
        url=url if data is None else None,
        id=told_id if data is None and url is None else None,
        media_type=head.removeprefix("data:").removesuffix(";base64") if comma else "application/pdf",
        name=text_or_none(part, "filename", place),
        cache=cache,
    )


def with_ids(given: str | list[Item], seed: str) -> list[dict[str, object]]:
    """An input as items in their full form, each under an id; those without one get one made of `seed`."""
    items: list[Item] = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return [
        whole_item(item, f"{PREFIXES.get(str(item.get('type', 'message')), 'item')}_{seed}f{at:03x}")
        for at, item in enumerate(items)
    ]


def whole_item(item: Item, fresh_id: str) -> dict[str, object]:
    """An item with everything its readers expect in it."""
    kind = item.get("type") or "message"
    told: dict[str, object] = {**item, "type": kind, "id": item.get("id") or fresh_id}
    if kind in ("message", "function_call", "function_call_output") and told.get("status") is None:
        told["status"] = "completed"
    content = told.get("content")
    if kind == "message" and isinstance(content, str):
        is_answer = told.get("role") == "assistant"
        part: dict[str, object] = {"type": "output_text" if is_answer else "input_text", "text": content}
        told["content"] = [part | {"annotations": []} if is_answer else part]
    if kind == "reasoning":
        told.setdefault("summary", [])
    return told
