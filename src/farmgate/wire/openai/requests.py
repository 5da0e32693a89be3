"""OpenAI's requests: read from callers, written for providers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from farmgate.core.errors import MissingParameter, UnsupportedParameter
from farmgate.core.request import Dialect, Kind, Request
from farmgate.core.words import Ask
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.multipart import replace_field
from farmgate.wire.openai import media_rules, rules
from farmgate.wire.openai.media import TranscriptionBody
from farmgate.wire.openai.quirks import PLAIN, Quirks
from farmgate.wire.openai.reading import DECODERS
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.openai.writing import encode_words
from farmgate.wire.strictjson import BOM, JsonLimits, decode_object, encode

__all__ = ["NOTHING", "OpenAIBody", "decode_request", "encode_request"]

# Before Python 3.12 a member looked up on its class costs as much as three function calls.
OPENAI = Dialect.OPENAI
TEXT = frozenset({Kind.CHAT, Kind.COMPLETION})
RULES = {
    Kind.CHAT: rules.CHAT,
    Kind.COMPLETION: rules.COMPLETION,
    Kind.EMBEDDING: rules.EMBEDDING,
    Kind.RERANK: media_rules.RERANK,
    Kind.MODERATION: media_rules.MODERATION,
    Kind.IMAGE: media_rules.IMAGE,
    Kind.SPEECH: media_rules.SPEECH,
}
REQUIRED: dict[Kind, tuple[str, ...]] = {
    Kind.CHAT: ("messages",),
    Kind.COMPLETION: ("prompt",),
    Kind.EMBEDDING: ("input",),
    Kind.RERANK: ("query", "documents"),
    Kind.MODERATION: ("input",),
    Kind.IMAGE: ("prompt",),
    Kind.SPEECH: ("input", "voice"),
}
NOTHING: Mapping[str, object] = MappingProxyType({})
STREAMS = frozenset({Kind.CHAT, Kind.COMPLETION, Kind.IMAGE})


class OpenAIBody:
    """A caller's body, checked. `fields` is the whole decoded object."""

    __slots__ = ("_words", "fields", "kind", "model", "raw", "stream")

    dialect = Dialect.OPENAI

    def __init__(self, raw: bytes, fields: dict[str, object], kind: Kind) -> None:
        self.raw = raw
        self.fields = fields
        self.kind = kind
        self.model = cast("str | None", fields.get("model"))
        # Sound is sent on as it comes, whatever was asked.
        self.stream = kind is Kind.SPEECH or (kind in STREAMS and fields.get("stream") is True)
        self._words: Ask | None = None

    @property
    def want_usage(self) -> bool:
        options = self.fields.get("stream_options")
        return type(options) is dict and options.get("include_usage") is True

    def own_name(self, param: str) -> str:
        """The same name: our words for fields are OpenAI's."""
        return param

    def ask(self) -> Ask:
        """The typed words, for a provider of another dialect. Raises UnsupportedParameter for what has none."""
        if self._words is None:
            decode = DECODERS.get(self.kind)
            if decode is None:
                raise UnsupportedParameter(f"This provider gives no {self.kind} answers.", param="model")
            self._words = decode(self.fields)
        return self._words


def decode_request(body: bytes, kind: Kind, *, json_limits: JsonLimits, list_limits: ListLimits) -> OpenAIBody:
    """A caller's body as a request of that kind. Raises a BadRequest that names the field."""
    fields = decode_object(body, json_limits)
    rules.check(fields, RULES[kind], list_limits)
    for name in REQUIRED[kind]:
        if fields.get(name) is None:
            raise MissingParameter(f"`{name}` is required.", param=name)
    return OpenAIBody(body.removeprefix(BOM), fields, kind)


def encode_request(
    request: Request,
    *,
    provider: str,
    ask_usage: bool,
    quirks: Quirks = PLAIN,
    ours: Mapping[str, object] = NOTHING,
) -> Outgoing:
    """The body for an OpenAI-compatible provider.

    A body that came in this dialect goes out byte for byte, unless the model has another name there or usage must
    be asked for. `ask_usage`: the provider knows `stream_options`; `quirks`: where it differs from OpenAI; `ours`:
    fields that we alone say, None for those nobody does: a caller's own are dropped and announced.
    """
    body = request.body
    changes: dict[str, object] = {}
    if isinstance(body, TranscriptionBody):
        return encode_transcription(body, request.model)
    streams = request.stream and request.kind in TEXT
    dropped: tuple[str, ...] = ()
    if body.dialect is OPENAI:
        fields: Mapping[str, object] = body.fields
    else:
        losses = Losses(provider)
        written = encode_words(body.ask(), losses, dialect=body.dialect) | ({"stream": True} if streams else {})
        fields = quirks.apply(written, losses, kind=request.kind)
        dropped = losses.dropped
    if ours and not ours.keys().isdisjoint(fields):
        theirs = sorted(ours.keys() & fields.keys())
        dropped = (*dropped, *theirs)
        fields = {name: value for name, value in fields.items() if name not in theirs}
    changes |= {name: value for name, value in ours.items() if value is not None}
    if fields.get("model") != request.model and request.model:
        changes["model"] = request.model
    if streams and ask_usage:
        options = fields.get("stream_options")
        asked = options if isinstance(options, Mapping) else {}
        if asked.get("include_usage") is not True:
            changes["stream_options"] = {**asked, "include_usage": True}
    if not changes and not dropped and body.dialect is OPENAI:
        return Outgoing(body=body.raw)
    return Outgoing(body=encode({**fields, **changes}), dropped=dropped)


def encode_transcription(body: TranscriptionBody, model: str | None) -> Outgoing:
    """The caller's own form, with the provider's name for the model."""
    raw = body.raw
    if model and body.model is not None and model != body.model:
        raw = replace_field(raw, body.form, "model", model)
    return Outgoing(body=raw, content_type=body.content_type)
