"""Responses: the object around an output, written for callers; whole ones read from providers of the dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse
from farmgate.core.event import (
    Annotation,
    Event,
    Finish,
    FinishReason,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolDelta,
    Usage,
)
from farmgate.core.request import Dialect
from farmgate.wire.counts import detail, tokens
from farmgate.wire.openai.errors import decode_error
from farmgate.wire.upstream import proved

__all__ = [
    "Envelope",
    "Whole",
    "decode_failure",
    "decode_response",
    "decode_usage",
    "decode_whole",
    "encode_failure",
    "encode_usage",
    "finish_of",
]

EMPTY = (b"", b"null")
FAILURE_STATUS = {"rate_limit_exceeded": 429, "insufficient_quota": 429, "rate_limit_error": 429}
"""Status of a failure told within a 200, by its code or type; a code that is not here is the provider's own fault."""
FAILURE_CODES = frozenset({"server_error", "rate_limit_exceeded", "invalid_prompt"})
CALLERS_FAULT = (
    "invalid_request_error",
    "invalid_prompt",
    "image_",
    "invalid_image",
    "unsupported_image",
    "empty_image",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A response without its output: who it is, and what was asked. `fields` is the request's body."""

    id: str
    created_unix: int
    model: str
    fields: Mapping[str, object]
    is_kept: bool
    dropped: tuple[str, ...] = ()

    def told(
        self,
        status: str,
        output: list[dict[str, object]],
        *,
        usage: Usage | None = None,
        incomplete: str | None = None,
        error: FarmError | None = None,
        completed_unix: int | None = None,
    ) -> dict[str, object]:
        """The whole object. `incomplete`: why the output is not the whole one."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_unix,
            "status": status,
            "completed_at": completed_unix,
            "error": None if error is None else encode_failure(error),
            "incomplete_details": None if incomplete is None else {"reason": incomplete},
            "model": self.model,
            "output": output,
            "usage": None if usage is None else encode_usage(usage, dropped=self.dropped),
            **asked(self.fields),
            "store": self.is_kept,
        }


def encode_failure(error: FarmError) -> dict[str, object]:
    """The error in a failed response: OpenAI's clients know a few codes only. Its own stands in the event behind it."""
    code = error.code if error.code in FAILURE_CODES else "server_error"
    return {"code": code, "message": error.message}


def asked(fields: Mapping[str, object]) -> dict[str, object]:
    """What was asked, with OpenAI's defaults where nothing was said."""

    def said(name: str, usual: object = None) -> object:
        value = fields.get(name)
        return usual if value is None else value

    tier = said("service_tier", "default")
    return {
        "background": False,
        "frequency_penalty": 0.0,
        "instructions": said("instructions"),
        "max_output_tokens": said("max_output_tokens"),
        "max_tool_calls": said("max_tool_calls"),
        "metadata": said("metadata", {}),
        "parallel_tool_calls": said("parallel_tool_calls", True),
        "presence_penalty": 0.0,
        "previous_response_id": said("previous_response_id"),
        "prompt_cache_key": said("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None, **cast("dict[str, object]", said("reasoning", {}))},
        "safety_identifier": said("safety_identifier"),
        "service_tier": "default" if tier == "auto" else tier,
        "temperature": said("temperature", 1.0),
        "text": {"format": {"type": "text"}, **cast("dict[str, object]", said("text", {}))},
        "tool_choice": said("tool_choice", "auto"),
        "tools": said("tools", []),
        "top_logprobs": said("top_logprobs", 0),
        "top_p": said("top_p", 1.0),
        "truncation": said("truncation", "disabled"),
        "user": said("user"),
    }


def encode_usage(usage: Usage, *, dropped: tuple[str, ...] = ()) -> dict[str, object]:
    """The usage object. `dropped`: what of the request the provider could not be told."""
    told: dict[str, object] = {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
    if dropped:
        told["farmgate_dropped"] = list(dropped)
    return told


# --------------------------------------------------------------------------------------------- from a provider


class WholeHead(msgspec.Struct):
    """What must be known of a response to relay it."""

    id: str = ""
    status: str | None = None
    output: msgspec.Raw = msgspec.Raw(b"")
    usage: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


decode_head = msgspec.json.Decoder(WholeHead).decode


class Whole(Event):
    """A whole response as it came from a provider of this dialect; the words are decoded on demand."""

    __slots__ = ("id",)

    def __init__(self, raw: bytes, *, id: str, usage: Usage | None) -> None:
        self.raw = raw
        self.id = id
        self.dialect = Dialect.RESPONSES
        self.bears_content = True
        self.usage = usage

    @property
    def parts(self) -> tuple[Part, ...]:
        parts = response_parts(decode_response(self.raw))
        return (*parts, self.usage) if self.usage else tuple(parts)


def decode_whole(body: bytes, *, provider: str) -> Whole:
    """A provider's 200 answer. Raises UpstreamInvalidResponse for anything that is not one, or the error in it."""
    head = proved(body, decode_head, provider, "answered with something that is not a response")
    if bytes(head.error) not in EMPTY or head.status == "failed":
        raise decode_failure(bytes(head.error), provider=provider)
    if bytes(head.output)[:1] != b"[" or not head.id:
        raise UpstreamInvalidResponse(f"{provider} answered without an answer in it.")
    return Whole(body, id=head.id, usage=decode_usage(bytes(head.usage)))


def decode_failure(error: bytes, *, provider: str) -> FarmError:
    """What an error means that came under HTTP 200: `{"code", "message", ...}`, or null."""
    try:
        told = msgspec.json.decode(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = None
    inner = told if isinstance(told, dict) else {}
    code, kind = str(inner.get("code") or ""), str(inner.get("type") or "")
    status = FAILURE_STATUS.get(code) or FAILURE_STATUS.get(kind) or 500
    if code.startswith(CALLERS_FAULT) or kind.startswith(CALLERS_FAULT):
        status = 400
    return decode_error(status, {"error": inner}, provider=provider)


def decode_usage(raw: bytes) -> Usage | None:
    """The tokens a provider reports; None where it reports nothing usable."""
    if raw in EMPTY:
        return None
    try:
        told = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    given, said = tokens(told.get("input_tokens")), tokens(told.get("output_tokens") or 0)
    if given is None or said is None:
        return None
    return Usage(
        prompt_tokens=given,
        completion_tokens=said,
        cached_tokens=detail(told, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=detail(told, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=detail(told, "output_tokens_details", "reasoning_tokens"),
    )


class ToldPart(msgspec.Struct):
    """A part of a message or of a thought."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, object]] | None = None


class ToldItem(msgspec.Struct):
    """An item of an output, as far as there are words for it."""

    type: str = ""
    content: list[ToldPart] | None = None
    summary: list[ToldPart] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class ToldDetails(msgspec.Struct):
    """Why an output is not whole."""

    reason: str | None = None


class ToldResponse(msgspec.Struct):
    """A response."""

    output: list[ToldItem] | None = None
    status: str | None = None
    incomplete_details: ToldDetails | None = None


decode_told = msgspec.json.Decoder(ToldResponse).decode


def decode_response(body: bytes) -> ToldResponse:
    """A response as far as there are words for it. Raises UpstreamInvalidResponse."""
    try:
        return decode_told(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse("The provider's response is not of the form it should be.") from error


def response_parts(told: ToldResponse) -> list[Part]:
    """The words of a whole response, its usage left out."""
    parts: list[Part] = []
    calls = 0
    for item in told.output or ():
        match item.type:
            case "message":
                parts += [part for piece in item.content or () for part in said_parts(piece)]
            case "reasoning":
                parts += [Reasoning(piece.text) for piece in item.summary or item.content or () if piece.text]
            case "function_call":
                parts.append(ToolDelta(index=calls, id=item.call_id, name=item.name, arguments=item.arguments or ""))
                calls += 1
            case _:
                pass
    return [*parts, finish_of(told)]


def said_parts(piece: ToldPart) -> list[Part]:
    """What a part of a message says."""
    if piece.refusal:
        return [Refusal(piece.refusal)]
    annotations = [Annotation(data) for data in piece.annotations or ()]
    return [Text(piece.text), *annotations] if piece.text else []


def finish_of(told: ToldResponse) -> Finish:
    """Why a response ended, in our words."""
    reason = told.incomplete_details.reason if told.incomplete_details else None
    if reason == "content_filter":
        return Finish(FinishReason.CONTENT_FILTER)
    if told.status == "incomplete" or reason is not None:
        return Finish(FinishReason.LENGTH)
    has_calls = any(item.type == "function_call" for item in told.output or ())
    return Finish(FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP)
