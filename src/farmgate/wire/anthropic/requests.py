"""Messages requests: read from callers, written for providers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import cast

from farmgate.core.errors import InvalidValue, MissingParameter, UnsupportedParameter
from farmgate.core.request import Body, Dialect, Kind, Request
from farmgate.core.words import Ask, Chat
from farmgate.wire.anthropic.reading import decode_chat
from farmgate.wire.anthropic.rules import CONTINUED, MESSAGES
from farmgate.wire.anthropic.writing import DEFAULT_MAX_TOKENS, encode_chat
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.openai import rules
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import BOM, JsonLimits, decode_object, encode

__all__ = [
    "NOT_COUNTED",
    "VERSION",
    "AnthropicBody",
    "betas_of",
    "decode_count",
    "decode_request",
    "encode_count",
    "encode_request",
    "version_of",
]

ANTHROPIC = Dialect.ANTHROPIC
VERSION = "2023-06-01"
TOKEN = re.compile(r"[A-Za-z0-9._:-]{1,128}")
MOST_BETAS = 64
NOT_COUNTED = ("max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier")
"""Fields that the endpoint for counting does not know."""
OWN_NAMES = {
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "response_format": "output_config.format",
    "reasoning_effort": "thinking",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}


class AnthropicBody:
    """A caller's body, checked. `fields` is the whole decoded object.

    `version` and `betas` are what the headers `anthropic-version` and `anthropic-beta` said.
    """

    __slots__ = ("_words", "betas", "fields", "model", "raw", "stream", "version")

    dialect = Dialect.ANTHROPIC
    want_usage = True

    def __init__(self, raw: bytes, fields: dict[str, object]) -> None:
        self.raw = raw
        self.fields = fields
        self.model = cast("str | None", fields.get("model"))
        self.stream = fields.get("stream") is True
        self.version: str | None = None
        self.betas: tuple[str, ...] = ()
        self._words: Chat | None = None

    def hear(self, *, version: bytes | None, betas: bytes | None) -> None:
        """Take what two headers say. Raises InvalidValue."""
        if version is not None:
            self.version = checked(version.decode("latin-1").strip(), "anthropic-version")
        if betas is not None:
            names = [name.strip() for name in betas.decode("latin-1").split(",")]
            self.betas = tuple(checked(name, "anthropic-beta") for name in names if name)
            if len(self.betas) > MOST_BETAS:
                raise InvalidValue(f"`anthropic-beta` names more than {MOST_BETAS}.", param="anthropic-beta")

    def own_name(self, param: str) -> str:
        """Anthropic's name for a field of ours."""
        return OWN_NAMES.get(param, param)

    def ask(self) -> Ask:
        """The typed words, for a provider of another dialect. Raises a BadRequest for what has none."""
        if self._words is None:
            fields = self.fields | ({"anthropic-beta": list(self.betas)} if self.betas else {})
            self._words = decode_chat(fields)
        return self._words


def checked(value: str, name: str) -> str:
    """A word that may stand in a header."""
    if not TOKEN.fullmatch(value):
        raise InvalidValue(f"`{name}` must be made of letters, digits, dots and dashes.", param=name)
    return value


def betas_of(body: Body) -> tuple[str, ...]:
    """The beta features a caller of this dialect asked for."""
    return body.betas if isinstance(body, AnthropicBody) else ()


def version_of(body: Body) -> str:
    """The version of the API a caller of this dialect asked for, or the one we write."""
    return (body.version if isinstance(body, AnthropicBody) else None) or VERSION


def decode_request(body: bytes, kind: Kind, *, json_limits: JsonLimits, list_limits: ListLimits) -> AnthropicBody:
    """A caller's body. Raises a BadRequest that names the field."""
    return decode(body, ("max_tokens", "messages"), json_limits, list_limits)


def decode_count(body: bytes, *, json_limits: JsonLimits, list_limits: ListLimits) -> AnthropicBody:
    """The body of a request to count tokens: no limit is set, nothing is streamed. Raises a BadRequest."""
    return decode(body, ("messages",), json_limits, list_limits)


def decode(body: bytes, required: Collection[str], json_limits: JsonLimits, list_limits: ListLimits) -> AnthropicBody:
    fields = decode_object(body, json_limits)
    thread = fields.get("thread")
    continues = isinstance(thread, dict) and thread.get("type") == "continue"
    rules.check(fields, CONTINUED if continues else MESSAGES, list_limits)
    for name in required:
        if fields.get(name) is None:
            raise MissingParameter(f"`{name}` is required.", param=name)
    return AnthropicBody(body.removeprefix(BOM), fields)


def encode_count(request: Request, *, provider: str) -> Outgoing:
    """The body for a provider that counts tokens as Anthropic does."""
    return encode_request(request, provider=provider, without=NOT_COUNTED)


def encode_request(
    request: Request,
    *,
    provider: str,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    without: Collection[str] = (),
    put: Mapping[str, object] | None = None,
) -> Outgoing:
    """The body for a provider that speaks Messages.

    A body that came in this dialect goes out byte for byte, unless something in it must differ: the model's name, the
    fields that are said elsewhere (`without`: a cloud may have `model` or `stream` in the address) and those that are
    said nowhere else (`put`: `anthropic_version`). `max_tokens`: the limit for callers who set none.
    """
    body = request.body
    dropped: tuple[str, ...] = ()
    if body.dialect is ANTHROPIC:
        fields: Mapping[str, object] = body.fields
        if "model" not in without and fields.get("model") != request.model:
            fields = {**fields, "model": request.model}
    else:
        words = body.ask()
        losses = Losses(provider)
        if not isinstance(words, Chat):
            raise UnsupportedParameter(f"{provider} has no {request.kind} API.", param="model")
        told = encode_chat(words, losses, model=request.model or "", dialect=body.dialect, max_tokens=max_tokens)
        fields = {"model": request.model} | told | ({"stream": True} if request.stream else {})
        dropped = losses.dropped
    changed = {name: value for name, value in fields.items() if name not in without} | dict(put or {})
    if body.dialect is ANTHROPIC and changed == body.fields:
        return Outgoing(body=body.raw)
    return Outgoing(body=encode(changed), dropped=dropped)
