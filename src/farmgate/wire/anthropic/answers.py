"""Anthropic's whole answers: read from a provider, written for a caller."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Annotation, Event, Finish, Part, Reasoning, Refusal, Text, ToolDelta, Usage
from farmgate.core.request import Dialect
from farmgate.wire.anthropic.errors import decode_told_error
from farmgate.wire.anthropic.streaming import citation_of, tool_id
from farmgate.wire.anthropic.usage import decode_usage, encode_usage
from farmgate.wire.anthropic.words import ToldAnswer, block_parts, decode_answer, finish_of, stop_reason
from farmgate.wire.calls import arguments_in
from farmgate.wire.upstream import proved

__all__ = ["Whole", "decode_count", "decode_whole", "encode_message"]


class Whole(Event):
    """A whole answer as it came from a provider of this dialect; the words are made on demand."""

    __slots__ = ("_answer",)

    def __init__(self, raw: bytes, answer: ToldAnswer) -> None:
        self.raw = raw
        self.dialect = Dialect.ANTHROPIC
        self.bears_content = True
        self.usage = decode_usage(answer.usage)
        self._answer = answer

    @property
    def parts(self) -> tuple[Part, ...]:
        answer = self._answer
        parts: list[Part] = []
        tools = 0
        for block in answer.content or ():
            parts += block_parts(block, tools)
            tools += block.type == "tool_use"
        parts.append(finish_of(answer.stop_reason, answer.stop_sequence))
        return (*parts, self.usage) if self.usage else tuple(parts)


def decode_whole(body: bytes, *, provider: str, model: str = "") -> Whole:
    """A provider's 200 answer. Raises UpstreamInvalidResponse for anything that is not one, or the error in it."""
    answer = proved(body, decode_answer, provider, "answered with something that is not an answer")
    if answer.type == "error":
        raise decode_told_error(body, provider=provider, model=model)
    if answer.content is None:
        raise UpstreamInvalidResponse(f"{provider} answered without an answer in it.")
    return Whole(body, answer)


class Count(msgspec.Struct):
    """The answer of a request to count tokens."""

    input_tokens: int


decode_tokens = msgspec.json.Decoder(Count).decode


def decode_count(body: bytes, *, provider: str) -> int:
    """The tokens a provider counted. Raises UpstreamInvalidResponse."""
    return proved(body, decode_tokens, provider, "counted no tokens").input_tokens


def encode_message(events: Iterable[Event], *, id: str, model: str, dropped: tuple[str, ...] = ()) -> dict[str, object]:
    """A message: blocks in the order they were said. `dropped`: what of the request the provider could not be told."""
    message = Message(id)
    for event in events:
        for part in event.parts:
            message.add(part)
        message.usage = event.usage or message.usage
    reason, sequence = stop_reason(message.finish, has_tools=bool(message.calls), has_refused=message.has_refused)
    usage = message.usage or Usage(estimated=True)
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block.told() for block in message.blocks],
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": encode_usage(usage, dropped=dropped),
    }


@dataclass(slots=True)
class Block:
    """A block that is put together: `pieces` make its text, thoughts or arguments."""

    kind: str
    fields: dict[str, object] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)

    def told(self) -> dict[str, object]:
        """The block. Raises UpstreamInvalidResponse for a call whose arguments are no JSON object."""
        told: dict[str, object] = {"type": self.kind} | self.fields
        match self.kind:
            case "text" | "thinking":
                told[self.kind] = "".join(self.pieces)
            case "tool_use":
                told["input"] = self._arguments()
        return told

    def _arguments(self) -> dict[str, object]:
        arguments = arguments_in("".join(self.pieces))
        if arguments is None:
            name = self.fields.get("name")
            raise UpstreamInvalidResponse(f"The model called {name!r} with arguments that are no JSON object.")
        return arguments


class Message:
    """A message that is put together, part by part."""

    def __init__(self, id: str) -> None:
        self._id = id
        self.blocks: list[Block] = []
        self.calls: dict[int, Block] = {}
        self.finish = Finish()
        self.has_refused = False
        self.usage: Usage | None = None

    def add(self, part: Part) -> None:
        """Only the first answer: this dialect cannot ask for more."""
        if getattr(part, "choice", 0):
            return
        match part:
            case Text() | Refusal():
                self.has_refused = self.has_refused or isinstance(part, Refusal)
                if part.text:
                    self._last("text").pieces.append(part.text)
            case Reasoning():
                self._think(part)
            case ToolDelta():
                self._call(part)
            case Annotation():
                told = self._last("text").fields.setdefault("citations", [])
                assert isinstance(told, list)
                told.append(citation_of(part))
            case Finish():
                self.finish = part
            case _:
                pass  # Usage is the event's; the rest cannot be asked for in this dialect.

    def _last(self, kind: str) -> Block:
        if not self.blocks or self.blocks[-1].kind != kind:
            self.blocks.append(Block(kind))
        return self.blocks[-1]

    def _think(self, part: Reasoning) -> None:
        if part.text or part.signature:
            if self.blocks and self.blocks[-1].fields.get("signature"):
                self.blocks.append(Block("thinking"))  # What is proved is over.
            block = self._last("thinking")
            block.pieces.append(part.text)
            block.fields["signature"] = part.signature or ""
        if part.redacted is not None:
            self.blocks.append(Block("redacted_thinking", {"data": part.redacted}))

    def _call(self, part: ToolDelta) -> None:
        block = self.calls.get(part.index)
        if block is None:
            fields: dict[str, object] = {"id": tool_id(part.id, self._id, part.index), "name": ""}
            block = self.calls[part.index] = Block("tool_use", fields)
            self.blocks.append(block)
        block.fields["name"] = part.name or block.fields["name"]
        block.pieces.append(part.arguments)
