"""What OpenAI's chunks and whole answers say, in our words.

Providers differ in what they leave out or write as null; anything that is of another kind than it should be is an
UpstreamInvalidResponse.
"""

from __future__ import annotations

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Annotation, Finish, FinishReason, Logprobs, Part, Reasoning, Refusal, Text, ToolDelta
from farmgate.wire.openai.proofs import decode_proof
from farmgate.wire.openai.usage import decode_usage
from farmgate.wire.strictjson import encode

__all__ = ["answer_parts", "chunk_parts", "finish_reason"]


NONE = msgspec.Raw(b"")


class ToldPiece(msgspec.Struct):
    """A piece of a content that came as a list, as some of Mistral's models write it."""

    text: str = ""


class ToldFunction(msgspec.Struct):
    """A called function; some engines write the arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, object] | None = None


class ToldCall(msgspec.Struct):
    """A call of a tool, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: ToldFunction | None = None
    extra_content: object = None


class ToldMessage(msgspec.Struct):
    """A message, or what a chunk adds to one."""

    content: str | list[ToldPiece] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToldCall] | None = None
    function_call: ToldFunction | None = None
    annotations: list[dict[str, object]] | None = None


class ToldLogprobs(msgspec.Struct):
    """The log probabilities of a chat's tokens. A completion's have another form and stay with those who speak it."""

    content: list[dict[str, object]] | None = None


class ToldChoice(msgspec.Struct):
    """One of the answers asked for, or a piece of it."""

    index: int | None = None
    delta: ToldMessage | None = None
    message: ToldMessage | None = None
    text: str | None = None
    logprobs: ToldLogprobs | None = None
    finish_reason: str | None = None


class Told(msgspec.Struct):
    """A chunk or a whole answer."""

    choices: list[ToldChoice] | None = None
    usage: msgspec.Raw = NONE


decode_told = msgspec.json.Decoder(Told).decode


def chunk_parts(payload: bytes) -> list[Part]:
    """The words of one chat or completion chunk."""
    chunk = decoded(payload)
    parts: list[Part] = []
    for choice in chunk.choices or ():
        index = choice.index or 0
        parts += said(choice.delta, choice.text, index)
        if choice.logprobs is not None:
            parts += logprobs_of(choice.logprobs, index)
        if choice.finish_reason:
            parts.append(Finish(finish_reason(choice.finish_reason), index))
    usage = None if chunk.usage is NONE else decode_usage(bytes(chunk.usage))
    return parts if usage is None else [*parts, usage]


def answer_parts(body: bytes) -> list[Part]:
    """The words of a whole chat or text completion, its usage left out."""
    parts: list[Part] = []
    for choice in decoded(body).choices or ():
        index = choice.index or 0
        parts += said(choice.message, choice.text, index)
        if choice.logprobs is not None:
            parts += logprobs_of(choice.logprobs, index)
        parts.append(Finish(finish_reason(choice.finish_reason or "stop"), index))
    return parts


def decoded(told: bytes) -> Told:
    try:
        return decode_told(told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse("The provider's answer is not of the form it should be.") from error


def said(message: ToldMessage | None, text: str | None, index: int) -> list[Part]:
    """What one choice says, thoughts first."""
    if message is None:
        return [Text(text, index)] if text else []
    parts: list[Part] = []
    if thought := message.reasoning_content or message.reasoning:
        parts.append(Reasoning(thought, index))
    content = message.content
    if words := "".join(piece.text for piece in content) if isinstance(content, list) else content or text:
        parts.append(Text(words, index))
    if message.refusal:
        parts.append(Refusal(message.refusal, index))
    # Most pieces are text: what they do not hold is not walked through.
    if message.annotations:
        parts += [Annotation(data, index) for data in message.annotations]
    calls = message.tool_calls
    if message.function_call is not None and not calls:
        calls = [ToldCall(function=message.function_call)]
    if calls:
        parts += [tool_delta(call, position, index) for position, call in enumerate(calls)]
    return parts


def logprobs_of(told: ToldLogprobs, index: int) -> list[Part]:
    return [Logprobs(tuple(told.content), index)] if told.content else []


def tool_delta(call: ToldCall, position: int, choice: int) -> ToolDelta:
    function = call.function or ToldFunction()
    arguments = function.arguments
    return ToolDelta(
        index=position if call.index is None else call.index,
        id=call.id,
        name=function.name,
        arguments=encode(arguments).decode() if isinstance(arguments, dict) else arguments or "",
        choice=choice,
        signature=None if call.extra_content is None else decode_proof({"extra_content": call.extra_content}),
    )


def finish_reason(word: str) -> FinishReason:
    """OpenAI's word for why an answer ended; words we do not know (`eos`, `end_turn`) mean that it simply did."""
    if word == "function_call":
        return FinishReason.TOOL_CALLS
    try:
        return FinishReason(word)
    except ValueError:
        return FinishReason.STOP
