"""Converse's whole answers."""

from __future__ import annotations

import msgspec

from farmgate.core.event import Event, Part, Reasoning, Text, ToolDelta
from farmgate.wire.bedrock.usage import ToldUsage, usage_of
from farmgate.wire.bedrock.words import ModelFields, ToldCitation, annotation_of, finish_of
from farmgate.wire.upstream import proved

__all__ = ["decode_whole"]

NONE = msgspec.Raw(b"")
SERVER_TOOL = "server_tool_use"


class Thought(msgspec.Struct):
    """What the model thought, and its maker's proof."""

    text: str = ""
    signature: str | None = None


class Thoughts(msgspec.Struct, rename="camel"):
    """Thoughts to read, or only for their maker."""

    reasoning_text: Thought | None = None
    redacted_content: str | None = None


class Called(msgspec.Struct, rename="camel"):
    """A tool call; one the provider ran itself says so in `type`."""

    tool_use_id: str
    name: str
    input: msgspec.Raw = NONE
    type: str | None = None


class Piece(msgspec.Struct):
    """A text among cited ones."""

    text: str = ""


class Cited(msgspec.Struct):
    """Text with what it rests on."""

    content: list[Piece] | None = None
    citations: list[ToldCitation] | None = None


class Block(msgspec.Struct, rename="camel"):
    """One block of an answer: one of these is there."""

    text: str | None = None
    tool_use: Called | None = None
    reasoning_content: Thoughts | None = None
    citations_content: Cited | None = None


class ToldMessage(msgspec.Struct):
    """The assistant's turn."""

    content: list[Block] | None = None


class Output(msgspec.Struct):
    """What came out."""

    message: ToldMessage


class Whole(msgspec.Struct, rename="camel"):
    """An answer of /converse."""

    output: Output
    stop_reason: str
    usage: ToldUsage | None = None
    additional_model_response_fields: ModelFields | None = None


decode = msgspec.json.Decoder(Whole).decode


def decode_whole(body: bytes, *, provider: str) -> Event:
    """A 200 answer. Raises UpstreamInvalidResponse for anything that is not one."""
    answer = proved(body, decode, provider, "answered with something that is not an answer")
    parts: list[Part] = []
    tools = 0
    for block in answer.output.message.content or ():
        said = block_parts(block, tools)
        tools += any(isinstance(part, ToolDelta) for part in said)
        parts += said
    parts.append(finish_of(answer.stop_reason, answer.additional_model_response_fields, provider=provider))
    usage = usage_of(answer.usage)
    return Event((*parts, usage) if usage else tuple(parts))


def block_parts(block: Block, tools: int) -> list[Part]:
    """What a block says; `tools`: how many calls came before it."""
    if block.text:
        return [Text(block.text)]
    if (called := block.tool_use) is not None and called.type != SERVER_TOOL:
        arguments = bytes(called.input).decode()
        return [ToolDelta(index=tools, id=called.tool_use_id, name=called.name, arguments=arguments or "{}")]
    if (thoughts := block.reasoning_content) is not None:
        return thought_parts(thoughts)
    if (cited := block.citations_content) is not None:
        text = "".join(piece.text for piece in cited.content or ())
        found = [annotation for told in cited.citations or () if (annotation := annotation_of(told)) is not None]
        return [*([Text(text)] if text else []), *found]
    return []


def thought_parts(thoughts: Thoughts) -> list[Part]:
    parts: list[Part] = []
    if (thought := thoughts.reasoning_text) is not None:
        if thought.text:
            parts.append(Reasoning(thought.text))
        if thought.signature:
            parts.append(Reasoning("", signature=thought.signature))
    if thoughts.redacted_content:
        parts.append(Reasoning("", redacted=thoughts.redacted_content))
    return parts
